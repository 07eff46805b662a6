"""What notebooks show with show_source fits a screen, in lines that fit the column of a page."""

import ast
from pathlib import Path

import nbformat
import pytest

from src.teaching.sources import source_of

COLUMNS, LINES = 80, 40  # without the docstring
LONGER = {"ReaderTrainer": 60}  # the Trainer's hooks, one after the other


def shown_in(notebook: Path) -> list[tuple[str, object]]:
    """What the notebook's cells hand to show_source, looked up as the cells import it."""
    names: dict[str, object] = {}
    shown = []
    cells = nbformat.read(notebook, as_version=4).cells
    for cell in cells:
        if cell.cell_type != "code" or cell.source.startswith(("%", "!")):
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "src":
                exec(ast.unparse(node), names)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "show_source":
                shown += [ast.unparse(argument) for argument in node.args]
    return [(name, eval(name, names)) for name in shown]


@pytest.mark.parametrize(
    "notebook", sorted(Path("notebooks").glob("*.ipynb")), ids=lambda p: p.stem
)
def test_what_is_shown_fits_a_screen(notebook):
    for name, item in shown_in(notebook):
        source = source_of(item)
        widest = max(map(len, source.splitlines()))
        assert widest <= COLUMNS, f"{name} has a line of {widest} characters"
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
                node.body = node.body[1:] or [ast.Pass()]
        lines = len(ast.unparse(tree).splitlines())
        assert lines <= LONGER.get(name, LINES), f"{name} has {lines} lines without its docstrings"
