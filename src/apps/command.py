"""The command line of the programs."""

import sys
from collections.abc import Callable

import typer

from src import assets

BAD_INPUT = 2


def run_command(command: Callable[..., None], program: str, arguments: list[str] | None) -> int:
    """Call a function with the options of a command line; returns the exit status.

    Bad input ends with one line and status 2.

    Args:
        command: its annotations are options, as typer reads them.
        program: how it is started, "python -m src.apps.poll".
        arguments: of the command line; None takes those of the process.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        return app(arguments, standalone_mode=False, prog_name=program) or 0
    except typer.TyperException as error:  # an unknown option, a word where a number belongs
        problem = f"{error.format_message().rstrip('.')}; see {program} --help."
    except (ValueError, OSError, assets.AssetError) as error:
        problem = str(error)
    print("error: " + " ".join(problem.split()), file=sys.stderr, flush=True)
    return BAD_INPUT
