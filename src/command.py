"""The command line of the programs: bad input ends with one line and status 2."""

import os
import sys
import time

import typer

from src import assets

BAD_INPUT = 2
INTERRUPTED = 130
SECONDS_TO_SPEAK = 3.0  # of the first of several processes, while the others wait
OPTIONS = {"add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False}


def run_app(app: typer.Typer, program: str, arguments: list[str] | None) -> int:
    """Run a command line, under torchrun too; returns the exit status.

    Args:
        app: made with OPTIONS.
        program: how it is started, "python -m src.qa".
        arguments: of the command line; None takes those of the process.
    """
    try:
        status = app(arguments, standalone_mode=False, prog_name=program) or 0
    except typer.TyperException as error:  # an unknown option, a word where a number belongs
        problem = f"{error.format_message().rstrip('.')}; see {program} --help."
    except (ValueError, OSError, assets.AssetError) as error:
        problem = str(error)
        if isinstance(error, OSError) and error.strerror and error.filename:
            problem = f"{error.filename}: {error.strerror}; mend that, or name another."
    else:
        if status == INTERRUPTED and is_first_process():
            print("Interrupted.", file=sys.stderr)
        return status
    if is_first_process():
        print("error: " + " ".join(problem.split()), file=sys.stderr, flush=True)
    else:  # torchrun ends all processes with the first that fails: let that one say why
        time.sleep(SECONDS_TO_SPEAK)
    return BAD_INPUT


def is_first_process() -> bool:
    """Whether this is the first, or only, process of a command here: torchrun numbers them."""
    return os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0")) == "0"
