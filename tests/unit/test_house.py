"""The house stays small and readable: bytes, lengths of lines and functions, where imports go."""

import ast
import functools
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

# Bytes of Python that a folder may hold. They go down: the aim is 850,000 for src, 750,000 for
# tests and 150,000 for tools. They grew by what src gave and the decks, by the pages that compute,
# what the site remembers and the stand-in for the Hub, and by publishing and the check on a GPU.
BUDGETS = {"src": 939_800, "tests": 1_047_200, "tools": 260_100, "benchmarks": 131_300}
LONGEST_LINE, LONGEST_FUNCTION, LONGEST_FIGURE = 100, 60, 30  # characters; lines
# From the ground up. A room may import its own layer and those below it.
LAYERS = (
    "files text runtime compute batching assets command",
    "training",
    "spam tasks topics dates embeddings word2vec word2vec_engine rnn attention transformer "
    "subwords sampling ngrams language_models pretraining compression qa",
    "teaching plots",
    "apps",
)
LAYER_OF = {room: height for height, rooms in enumerate(LAYERS) for room in rooms.split()}
FILES = {folder: sorted(Path(folder).rglob("*.py")) for folder in BUDGETS}


def module_of(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in FILES["src"]}


@functools.cache
def imports_of(module: str) -> set[str]:
    """The modules of `src` that one imports when it runs, at its head or inside a function."""
    found, tree = set(), ast.parse(MODULES[module].read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not is_for_types_only(node)]
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:  # of a module, or of something in it
            found |= {part for part in (name, name.rpartition(".")[0]) if part in MODULES}
    return found - {module, "src"}


def is_for_types_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


@pytest.mark.parametrize("folder", BUDGETS)
def test_a_folder_keeps_its_budget(folder):
    assert sum(file.stat().st_size for file in FILES[folder]) <= BUDGETS[folder]


@pytest.mark.parametrize("folder", BUDGETS)
def test_no_line_runs_out_of_the_page(folder):
    long = [
        f"{file}:{number}"
        for file in FILES[folder]
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > LONGEST_LINE
    ]
    assert not long


@pytest.mark.parametrize("folder", BUDGETS)
def test_no_function_is_longer_than_a_page(folder):
    long = [
        f"{file}: {function.name}"
        for file in FILES[folder]
        for function in functions(file)
        if len(ast.unparse(without_docstring(function)).splitlines()) > most_lines(function.name)
    ]
    assert not long


def most_lines(name: str) -> int:
    return LONGEST_FIGURE if name.startswith(("plot_", "draw_")) else LONGEST_FUNCTION


def without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
    if ast.get_docstring(function) and len(function.body) > 1:
        function.body = function.body[1:]
    return function


def test_no_module_imports_itself_by_way_of_others():
    graph = {module: imports_of(module) for module in MODULES}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_imports_go_down_only():
    for module in set(MODULES) - {"src"}:
        height = LAYER_OF[module.split(".")[1]]
        rooms = {other.split(".")[1] for other in imports_of(module)}
        assert not {room for room in rooms if LAYER_OF[room] > height}, module
