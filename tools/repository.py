"""The files of the repository and the texts in them, for the tools that check both (`make lint`, `.pre-commit-config.yaml`)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def files(root: Path = ROOT) -> list[str]:
    """Paths of all files that are, or could be, committed, as seen from `root`: those git tracks, and new ones it does not ignore.

    Raises OSError where `root` is no clone: without git nobody knows which files belong to the course.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["git says nothing"])[-1]
        raise OSError(f"{root} is no clone of the course ({reason}); the checks of its files need one.")
    return sorted(name for name in set(result.stdout.split("\0")) if name and (root / name).is_file())


def named_or_all(names: Sequence[str], root: Path = ROOT) -> list[str]:
    """The files named on a command line, as seen from `root`; all of the repository where none are named.

    names: relative to the working folder, or absolute. Raises OSError for one that is not there or lies outside.
    """
    found = []
    for name in names:
        path = Path(name).resolve()
        if not path.is_file() or not path.is_relative_to(root):
            raise OSError(f"{name} is no file of the course; name files below {root}, or none to check all.")
        found.append(path.relative_to(root).as_posix())
    return found or files(root)


def cells(notebook: Path, kind: str | None = None) -> Iterator[tuple[int, str]]:
    """Number (the first is 1) and source of the cells of a notebook.   kind: "markdown" or "code"; None takes both."""
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"], 1):
        if kind in (None, cell["cell_type"]):
            yield number, "".join(cell["source"])
