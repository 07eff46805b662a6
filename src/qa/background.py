"""A training that runs as a process of its own: whether it still does, and what ended it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from textwrap import fill

import psutil


def process_of(script: Path) -> psutil.Process | None:
    """The process that runs this Python file, whoever started it; None where it is over."""
    for process in psutil.process_iter(["cmdline", "status"]):
        told = process.info
        if str(script) in (told["cmdline"] or ()) and told["status"] != psutil.STATUS_ZOMBIE:
            return process
    return None


def print_failure(script: Path) -> None:
    """Print the error with which a script ended whose output is in output.txt beside it, if one."""
    with suppress(FileNotFoundError):
        said = (script.parent / "output.txt").read_text(encoding="utf-8", errors="replace")
        if "Traceback (most recent call last)" in said:
            print(fill(f"It ended early. {said.splitlines()[-1]}", 76))
