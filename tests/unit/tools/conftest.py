"""What the tests of the tools share: a small repository to check."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook


@pytest.fixture
def clone(tmp_path) -> Path:
    """An empty git repository in a folder with a space in its name, which ignores build/."""
    root = tmp_path / "a clone"
    root.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    (root / ".gitignore").write_text("build/\n")
    return root


@pytest.fixture
def add(clone) -> Callable[..., Path]:
    """add(name, text), or add(name, cells=[("markdown", text), ...]): a new file in the clone."""

    def write(name: str, text: str = "", cells: list[tuple[str, str]] | None = None) -> Path:
        path = clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if cells is None:
            path.write_text(text, encoding="utf-8")
        else:
            kinds = {"markdown": new_markdown_cell, "code": new_code_cell}
            nbformat.write(
                new_notebook(cells=[kinds[kind](source) for kind, source in cells]), path
            )
        return path

    return write
