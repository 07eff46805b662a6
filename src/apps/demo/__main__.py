"""The command line: `python -m src.apps.demo`. Bad input ends with status 2 and one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Option

from src import runtime
from src.apps.command import run_command

runtime.configure_libraries()  # before the first Hugging Face import: no Hub, no progress bars


def demo(
    host: Annotated[
        str, Option(help="address to listen on; 0.0.0.0 lets other computers of the network ask")
    ] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 takes any free one")] = 8007,
    model: Annotated[
        str, Option(help="released weights, a folder, or a Hub id")
    ] = "qa-minilm",
    texts: Annotated[
        Path | None, Option(help="folder of .txt and .md files to ask instead of Wikipedia")
    ] = None,
) -> None:
    """Open a page that asks Wikipedia, or a passage of your own, until Ctrl+C."""
    from src.apps.demo.server import run

    run(host, port, model, texts)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    return run_command(demo, "python -m src.apps.demo", arguments)


if __name__ == "__main__":
    sys.exit(main())
