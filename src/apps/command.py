"""The command line of a program with one command."""

from collections.abc import Callable

import typer

from src.command import OPTIONS, run_app


def run_command(command: Callable[..., None], program: str, arguments: list[str] | None) -> int:
    """Call a function whose annotations are the options; the rest is as in `run_app`."""
    app = typer.Typer(**OPTIONS)
    app.command()(command)
    return run_app(app, program, arguments)
