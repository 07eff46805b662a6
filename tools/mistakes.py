"""Draw small mistakes in a source file with a seed, and see how many of them its tests catch.

    python tools/mistakes.py src/qa/decoding.py --tests tests/unit/qa/test_decoding.py --count 10

Each mistake goes alone into a copy of the project, and the tests run there: a failure, an error or
a hang catches it. The tests must pass on the unchanged copy first. Look at each survivor: it is a
hole in the tests, or it changes nothing that anybody could see.
"""

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {".git", ".venv", "build", "cache", "__pycache__"}  # of the copy; "cache" is data/cache
SWAPS = {  # operators both ways
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq},
    **{ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot},
    **{ast.IsNot: ast.Is, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div},
    **{ast.Div: ast.Mult, ast.And: ast.Or, ast.Or: ast.And},
}
CALLS = {"min": "max", "max": "min", "argmin": "argmax", "argmax": "argmin"}
NOT_RUN = {"annotation", "returns", "decorator_list"}  # fields that no test is about


class Mistake(NamedTuple):
    """One change of a source file: its kind, the function it is in ("" outside), the line's
    number, the changed code before and after, and the whole source with it."""

    kind: str
    function: str
    line: int
    before: str
    after: str
    source: str


def changes(node: ast.AST) -> Iterator[tuple[str, str, object]]:
    """What can be changed at a node: the kind, the field, and the field's new value."""
    match node:
        case ast.Compare(ops=ops):
            for place, operator in enumerate(ops):
                new = SWAPS[type(operator)]()
                yield "comparison flipped", "ops", [*ops[:place], new, *ops[place + 1 :]]
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) if type(operator) in SWAPS:
            yield "operator changed", "op", SWAPS[type(operator)]()
        case ast.BoolOp(op=operator):
            yield "and/or swapped", "op", SWAPS[type(operator)]()
        case ast.Constant(value=bool(value)):
            yield "True/False swapped", "value", not value
        case ast.Constant(value=int(value) | float(value)):
            yield "number off by one", "value", value + 1
        case ast.Return(value=ast.expr()):
            yield "None returned", "value", ast.Constant(None)
        case ast.Call(func=ast.Name(id=name)) if name in CALLS:
            yield "min/max swapped", "func", ast.Name(CALLS[name])
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in CALLS:
            yield "min/max swapped", "func", ast.Attribute(value, CALLS[name])
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            # A comparison has a change of its own, which does the same.
            if not isinstance(test, ast.Compare):
                yield "condition negated", "test", ast.UnaryOp(ast.Not(), test)
        case ast.comprehension(ifs=[test, *rest]) if not isinstance(test, ast.Compare):
            yield "condition negated", "ifs", [ast.UnaryOp(ast.Not(), test), *rest]
    for place, keyword in enumerate(getattr(node, "keywords", [])):
        if keyword.arg and isinstance(node, ast.Call):
            yield "keyword dropped", "keywords", node.keywords[:place] + node.keywords[place + 1 :]


def walk(node: ast.AST, function: str = "") -> Iterator[tuple[ast.AST, str]]:
    """A node, and all in it that tests should know of, each with the function it is in.

    Left out are what is raised, f-strings, what only type checkers read, and what runs only when a
    module is a program.
    """
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Call(func=ast.Name(id="TypeVar")):
            return
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Compare(left=ast.Name(id="__name__"))):
            return
    yield node, function
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}".lstrip(".")
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and name not in NOT_RUN:
                yield from walk(child, function)


def find(source: str) -> list[Mistake]:
    """All mistakes that can be made in the text of a Python file, in its order."""
    tree, found, line = ast.parse(source), [], 0
    for node, function in walk(tree):
        line = getattr(node, "lineno", line)
        for kind, field, value in changes(node):
            changed = copy.copy(node)
            setattr(changed, field, value)
            before, after = (ast.unparse(one).splitlines()[0] for one in (node, changed))
            old = getattr(node, field)
            setattr(node, field, value)
            made = ast.unparse(tree)
            found.append(Mistake(kind, function, line, before, after, made))
            setattr(node, field, old)
    return found


def draw(source: str, count: int, seed: int) -> list[Mistake]:
    """Draw mistakes with a seed, spread over their kinds first and over functions next."""
    choose, found = random.Random(seed), find(source)
    left: dict[str, list[Mistake]] = {}
    for mistake in choose.sample(found, len(found)):
        left.setdefault(mistake.kind, []).append(mistake)
    drawn: list[Mistake] = []
    for kind in cycle(choose.sample(sorted(left), len(left))):
        if len(drawn) >= min(count, len(found)):
            break
        if left[kind]:
            functions = Counter(mistake.function for mistake in drawn)
            drawn.append(min(left[kind], key=lambda mistake: functions[mistake.function]))
            left[kind].remove(drawn[-1])
    return drawn


def run_tests(folder: Path, tests: list[str], timeout: float) -> str:
    """Run tests in a copy of the project: "" where they pass, else what noticed the mistake."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    # No compiled files: one made within the same second, of as many bytes, would be taken again.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    environment.setdefault("COURSE_CACHE", str(ROOT / "data" / "cache"))
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(
        command, cwd=folder, env=environment, start_new_session=True, **told
    ) as process:
        try:
            said, _ = process.communicate(timeout=timeout)
        except BaseException as stopped:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(stopped, subprocess.TimeoutExpired):
                return f"they hang ({timeout:.0f} s)"
            raise
    lines = [line for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return (lines or said.strip().splitlines()[-1:])[0] if process.returncode else ""


def main(arguments: list[str] | None = None) -> int:
    """Draw, test, report. Returns the exit status: 2 where the tests fail without a mistake."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("file", help="the source file, as seen from the project's folder")
    parser.add_argument("--tests", nargs="+", required=True, help="test files that should notice")
    parser.add_argument("--count", type=int, default=10, help="how many mistakes to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=600, help="seconds until tests hang")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project's folder")
    options = parser.parse_args(arguments)

    source = (options.root / options.file).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="mistakes-") as place:
        project = Path(place) / "course"
        ignored = lambda _, names: LEFT_OUT & {*names}  # noqa: E731
        shutil.copytree(options.root, project, symlinks=True, ignore=ignored)
        (project / options.file).write_text(ast.unparse(ast.parse(source)), encoding="utf-8")
        if said := run_tests(project, options.tests, options.timeout):
            print(f"error: without a mistake the tests fail: {said}.", file=sys.stderr)
            return 2
        drawn, caught = draw(source, options.count, options.seed), Counter()
        for number, mistake in enumerate(drawn, 1):
            (project / options.file).write_text(mistake.source, encoding="utf-8")
            said = run_tests(project, options.tests, options.timeout)
            caught[mistake.kind] += bool(said)
            where = f"{options.file}:{mistake.line} {mistake.function}"
            print(f"{number:2} {'caught' if said else 'SURVIVED':8} {mistake.kind}, {where}")
            print(f"   {mistake.before}\n   {mistake.after}\n   {said}", flush=True)
    for kind, count in sorted(Counter(mistake.kind for mistake in drawn).items()):
        print(f"{kind:20} {count:3} drawn {caught[kind]:3} caught")
    print(f"{'all':20} {len(drawn):3} drawn {caught.total():3} caught")
    return 0


if __name__ == "__main__":
    sys.exit(main())
