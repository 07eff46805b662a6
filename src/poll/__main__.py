"""The command line: `python -m src.poll`. Bad input ends with status 2 and one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from src import runtime

BAD_INPUT = 2
FILE = runtime.COURSE / "build" / "poll" / "poll.sqlite"
app = typer.Typer(help="A live poll.", add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def poll(
    quiz: Annotated[str, typer.Option(help="a file of data/quizzes, without .json")] = "00_start_here",
    questions: Annotated[str | None, typer.Option("--set", help="a set of questions in it; left out: the first")] = None,
    network: Annotated[bool, typer.Option("--network", help="let the phones of this computer's network vote")] = False,
    host: Annotated[str, typer.Option(help="instead: the one address of this computer to listen on")] = "127.0.0.1",
    url: Annotated[str | None, typer.Option(help="instead: where a proxy on this computer publishes the poll; see docs/polls.md")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one")] = 8008,
    file: Annotated[Path, typer.Option(help="where votes are kept, and found again")] = FILE,
    begin: Annotated[bool, typer.Option("--new", help="begin without votes; the old file is kept under another name")] = False,
    voters_per_address: Annotated[int, typer.Option(min=1, help="how many voters may come from one address")] = 250,
) -> None:
    """Ask a room: questions on the projector, votes from phones, until Ctrl+C."""
    from src.poll.server import run

    run(quiz, questions, file, begin, host, port, network, url, voters_per_address)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        return app(arguments, standalone_mode=False, prog_name="python -m src.poll") or 0
    except typer.TyperException as error:  # the command line itself: an unknown option, a word where a number belongs
        problem = f"{error.format_message().rstrip('.')}; see python -m src.poll --help."
    except (ValueError, OSError) as error:
        problem = str(error)
    print("error: " + " ".join(problem.split()), file=sys.stderr, flush=True)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
