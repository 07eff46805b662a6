"""The command line: `python -m src.apps.poll`. Bad input ends with status 2 and one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Option

from src import runtime
from src.apps.command import run_command

VOTES = runtime.COURSE / "build" / "poll" / "poll.sqlite"


def poll(
    quiz: Annotated[
        str, Option(help="a file of data/quizzes, without .json")
    ] = "00_start_here",
    questions: Annotated[
        str | None, Option("--set", help="a set of questions in it; left out: the first")
    ] = None,
    network: Annotated[
        bool, Option("--network", help="let the phones of this computer's network vote")
    ] = False,
    host: Annotated[
        str, Option(help="instead: the one address of this computer to listen on")
    ] = "127.0.0.1",
    url: Annotated[
        str | None,
        Option(help="instead: where a proxy here publishes the poll; see docs/polls.md"),
    ] = None,
    port: Annotated[int, Option(min=0, max=65535, help="0 takes any free one")] = 8008,
    file: Annotated[Path, Option(help="where votes are kept, and found again")] = VOTES,
    begin: Annotated[
        bool, Option("--new", help="begin without votes; the old file is renamed")
    ] = False,
    voters_per_address: Annotated[
        int, Option(min=1, help="how many voters may come from one address")
    ] = 250,
) -> None:
    """Ask a room: questions on the projector, votes from phones, until Ctrl+C."""
    from src.apps.poll.server import run

    run(quiz, questions, file, begin, host, port, network, url, voters_per_address)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    return run_command(poll, "python -m src.apps.poll", arguments)


if __name__ == "__main__":
    sys.exit(main())
