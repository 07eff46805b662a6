"""Safe answers, problems told in one sentence, and a port, by tornado, Jupyter's own server."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
MAX_BODY_BYTES = 4_000_000  # enough for a handler to say how much too long a text is
SECURITY_HEADERS = {
    # A browser then asks no other computer for anything, and runs the page's own script only.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
SENTENCES = {
    400: "This request cannot be read; reload the page and try again.",
    403: "This page answers on this computer only.",
    404: "There is nothing here.",
    405: "This address takes no such request.",
    500: "Something went wrong, and nothing was kept; the terminal says what.",
}


class Problem(HTTPError):
    """Something to tell the person at the page: an HTTP status and one sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(status)
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class Handler(RequestHandler):
    """Sends safe headers, and problems as {"problem": one sentence}.

    The setting `names` of its application lists the host names it answers to; None: any.
    """

    def set_default_headers(self) -> None:
        """Send SECURITY_HEADERS, and not which server this is."""
        for name, value in SECURITY_HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def prepare(self) -> None:
        """Refuse other host names, by which pages elsewhere could make a browser ask us."""
        names = self.settings["names"]
        if names is not None and self.request.host_name not in names:
            raise HTTPError(403)

    def json_body(self) -> Any:
        """The JSON that a page sent.

        Pages of other sites can make a browser send forms and plain text, but not this type.
        """
        try:
            if self.request.headers.get("Content-Type", "").startswith("application/json"):
                return json.loads(self.request.body)
        except (ValueError, RecursionError):
            pass
        raise Problem(400, "What arrived is not JSON; reload the page and try again.")

    def sentence(self, status: int, details: dict[str, Any]) -> str:
        """What to tell of an error, as `write_error` gets it."""
        error = details.get("exc_info", (None, None))[1]
        if isinstance(error, Problem):
            return error.sentence
        return SENTENCES.get(status, SENTENCES[500])

    def write_error(self, status_code: int, **details: Any) -> None:
        """Send the problem for the page's script to show."""
        self.finish({"problem": self.sentence(status_code, details)})


class StaticFile(Handler, StaticFileHandler):
    """A style sheet or a script."""


class NotFound(Handler):
    """Every other address."""

    def prepare(self) -> None:
        super().prepare()
        raise HTTPError(404)


def make_application(routes: list[tuple], folder: Path, **settings: Any) -> Application:
    """A web application with the style sheets, scripts and templates of a program's folder.

    `routes` are address and handler of everything else, `settings` what these need, with `names`.
    """
    web = Path(__file__).resolve().parent
    return Application(
        [
            *routes,
            (r"/(base\.css)", StaticFile, {"path": str(web)}),
            (r"/([a-z]+\.(?:css|js))", StaticFile, {"path": str(folder)}),
        ],
        default_handler_class=NotFound,
        template_path=str(folder),
        log_function=lambda handler: None,  # what people ask and when they vote is theirs
        **settings,
    )


def bind(host: str, port: int) -> socket.socket:
    """Take a port, before anything slow is loaded.

    Raises:
        OSError: that fails.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:  # a room presses at once, hence the backlog
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).split(" (")[0]
        found = f"cannot listen on {host}:{port} ({reason})"
        raise OSError(f"{found}; choose another --port or --host.") from None
    listening.setblocking(False)
    return listening


def address(listening: socket.socket) -> str:
    """The page's address: with this computer's name where all of its addresses are served."""
    host, port = listening.getsockname()[:2]
    host = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


async def serve(application: Application, listening: socket.socket, **options: Any) -> None:
    """Answer until cancelled, on a socket of `bind`; options as HTTPServer takes them."""
    server = HTTPServer(application, **{"max_body_size": MAX_BODY_BYTES} | options)
    server.add_socket(listening)
    try:
        await asyncio.Event().wait()
    finally:
        server.stop()


def serve_until_interrupted(
    application: Application, listening: socket.socket, **options: Any
) -> None:
    """As `serve`, until Ctrl+C."""
    try:
        asyncio.run(serve(application, listening, **options))
    except KeyboardInterrupt:
        print("Ended.")
