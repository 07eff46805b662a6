"""Safe answers, trouble told in one sentence, and a port to listen on. Built on tornado, the server that Jupyter runs on."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler

LOCAL = ("127.0.0.1", "localhost", "::1")
MOST_BYTES = 4_000_000  # of one request, read before a handler can say in a sentence that it is too long
HEADERS = {
    # A browser that keeps to this asks no other computer for anything, and runs no script but the page's own file, whatever a text holds.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
SENTENCES = {
    400: "This request cannot be read; reload the page and try again.",
    403: "This page answers on this computer only.",
    404: "There is nothing here.",
    405: "This takes no such request.",
}


class Problem(HTTPError):
    """Something to tell the person at the page: a status and one sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(status)
        self.sentence = sentence


class Handler(RequestHandler):
    """What all answers have in common: safe headers, and trouble told as {"problem": one sentence}.

    It takes two settings of its application. names: what this computer may be called by those who ask, None for anything;
    failed: the sentence for an error nobody foresaw.
    """

    def set_default_headers(self) -> None:
        """Send HEADERS with every answer, and not which server this is."""
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def prepare(self) -> None:
        """Answer only those who call this computer by its own name: a page elsewhere could make a browser call it by another."""
        names = self.settings["names"]
        if names is not None and self.request.host_name not in names:
            raise HTTPError(403)

    def write_error(self, status_code: int, **details: Any) -> None:
        """Trouble as JSON, for the page's script to show."""
        error = details.get("exc_info", (None, None))[1]
        told = SENTENCES.get(status_code, self.settings["failed"])
        self.finish({"problem": error.sentence if isinstance(error, Problem) else told})


class File(Handler, StaticFileHandler):
    """A style sheet or a script."""


class Nothing(Handler):
    """Every other address."""

    def prepare(self) -> None:
        """Refuse."""
        super().prepare()
        raise HTTPError(404)


BASE = (r"/(base\.css)", File, {"path": str(Path(__file__).resolve().parent)})  # a route


def json_of(request: HTTPServerRequest) -> object:
    """What a request's body says in JSON. Raises ValueError with one sentence where it is none, or is not called so.

    Pages of other sites can make a browser send forms and plain text here unasked, but not this type.
    """
    try:
        if request.headers.get("Content-Type", "").startswith("application/json"):
            return json.loads(request.body)
    except (ValueError, RecursionError):
        pass
    raise ValueError("What arrived is not JSON; reload the page and try again.")


def bind(host: str, port: int) -> socket.socket:
    """Take the port, before anything slow is loaded. Raises OSError in one sentence where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=1024)  # a room presses at once
    except (OSError, OverflowError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).split(" (")[0]  # without the address again
        raise OSError(f"cannot listen on {host}:{port} ({reason}); choose another --port or --host.") from None
    listening.setblocking(False)
    return listening


async def serve(application: Application, listening: socket.socket, **options: Any) -> None:
    """Answer until cancelled, as asyncio.run does when the process is interrupted. options: as HTTPServer takes them."""
    server = HTTPServer(application, **{"max_body_size": MOST_BYTES} | options)
    server.add_socket(listening)
    try:
        await asyncio.Event().wait()
    finally:
        server.stop()


def address(listening: socket.socket) -> str:
    """The page's address for a browser; where all of this computer's addresses are listened on, the one with its name."""
    host, port = listening.getsockname()[:2]
    host = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
