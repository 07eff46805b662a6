"""Serve a folder on this computer, for pages that compute: `python tools/site_server.py [FOLDER]`.

With the two headers below browsers let a page use several threads; without them it uses one.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


class SiteHandler(SimpleHTTPRequestHandler):
    """A web server of files that says nothing."""

    headers_sent: dict[str, str] = ISOLATED

    def end_headers(self) -> None:
        """Add ours."""
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def server(folder: Path, port: int = 0, isolated: bool = True) -> ThreadingHTTPServer:
    """A server of a folder on 127.0.0.1, not yet serving; port 0 takes any that is free."""
    kind = type("Here", (SiteHandler,), {"headers_sent": ISOLATED if isolated else {}})
    return ThreadingHTTPServer(("127.0.0.1", port), functools.partial(kind, directory=str(folder)))


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"
    here = server(where, int(sys.argv[2]) if len(sys.argv) > 2 else 8000)
    print(f"The site: http://127.0.0.1:{here.server_port}/ (Ctrl+C ends it)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        here.serve_forever()
