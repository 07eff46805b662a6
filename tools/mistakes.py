"""Draw small mistakes in a source file with a seed, and see how many of them its tests catch.

    python tools/mistakes.py src/qa/decoding.py --tests tests/unit/qa/test_decoding.py --count 10

Each mistake goes alone into a copy of the project, and the tests run there: a failure, an error or
a hang catches it. The tests must pass on the unchanged copy first. What is found goes to
build/mistakes/NAME-SEED.json as well. Look at each survivor: it is a hole in the tests, or it
changes nothing that anybody could see.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {".git", ".venv", "build", "cache", "__pycache__"}  # of the copy; "cache" is data/cache
OPERATORS = {  # how they are written, and what is written instead
    **{ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">")},
    **{ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.In: ("in", "not in")},
    **{ast.NotIn: ("not in", "in"), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is")},
    **{ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*")},
    **{ast.And: ("and", "or"), ast.Or: ("or", "and")},
}
UNTESTED = {"TYPE_CHECKING", "__name__"}  # names in the conditions of code that no test runs
CALLS = {"min": "max", "max": "min", "argmin": "argmax", "argmax": "argmin"}
Change = tuple[str, int, int, str]  # kind, first byte, the byte after the last, what is put there


@dataclass(frozen=True)
class Mistake:
    """One change of a source file.

    Attributes:
        kind: one of those of `changes`.
        function: where it is, such as "Plan.key"; "" outside functions and classes.
        line: the line's number, from 1.
        before: the line as it is.
        after: the line with the mistake.
        source: the whole file with the mistake.
    """

    kind: str
    function: str
    line: int
    before: str
    after: str
    source: str


class Text:
    """The text of a Python file, with the places of the nodes of its syntax tree in it.

    Args:
        source: the text.
    """

    def __init__(self, source: str):
        self.bytes = source.encode()  # a node's column counts bytes
        self.lines = [0]
        for line in self.bytes.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def span(self, node: ast.expr | ast.keyword) -> tuple[int, int]:
        """The first byte of a node, and the one after its last."""
        return (
            self.lines[node.lineno - 1] + node.col_offset,
            self.lines[node.end_lineno - 1] + node.end_col_offset,
        )

    def of(self, node: ast.expr) -> str:
        """A node as it is written."""
        start, end = self.span(node)
        return self.bytes[start:end].decode()

    def replaced(self, kind: str, node: ast.expr, text: str) -> Change:
        """A change that writes `text` in place of a node."""
        return kind, *self.span(node), text

    def operator(self, kind: str, left: ast.expr, right: ast.expr, operator: ast.AST) -> Change:
        """A change of the operator between two nodes, whose own place the tree does not tell."""
        before, after = OPERATORS.get(type(operator), ("", ""))
        start, end = self.span(left)[1], self.span(right)[0]
        words = r"\s+".join(map(re.escape, before.split()))
        gap = self.bytes[start:end].decode()
        return kind, start, end, re.sub(words, after, gap, count=1) if before else gap


def changes(node: ast.AST, at: Text) -> Iterator[Change]:
    """Every change that can be made at a node of the syntax tree.

    Args:
        node: any node.
        at: the text that it was parsed from.

    Yields:
        Changes, those that change nothing among them.
    """
    conditions: list[ast.expr] = []
    match node:
        case ast.Compare():
            terms = pairwise([node.left, *node.comparators])
            for (left, right), operator in zip(terms, node.ops, strict=True):
                yield at.operator("comparison flipped", left, right, operator)
        case ast.BinOp():
            yield at.operator("operator changed", node.left, node.right, node.op)
        case ast.AugAssign():
            yield at.operator("operator changed", node.target, node.value, node.op)
        case ast.BoolOp():
            for left, right in pairwise(node.values):
                yield at.operator("and/or swapped", left, right, node.op)
        case ast.UnaryOp(op=ast.Not()):
            yield at.replaced("not dropped", node, f"({at.of(node.operand)})")
        case ast.Constant(value=bool()):
            yield at.replaced("True/False swapped", node, repr(not node.value))
        case ast.Constant(value=int() | float()):
            yield at.replaced("number off by one", node, repr(node.value + 1))
        case ast.Return(value=ast.expr()):
            yield at.replaced("None returned", node.value, "None")
        case ast.Call():
            yield from changes_of_call(node, at)
        case ast.arguments():
            for default in [*node.defaults, *node.kw_defaults]:
                if isinstance(default, ast.Constant):
                    yield at.replaced("default changed", default, repr(another(default.value)))
        case ast.If() | ast.While() | ast.IfExp():
            conditions = [node.test]
        case ast.comprehension():
            conditions = node.ifs
    for test in conditions:
        # `not a` and `a < b` have a change of their own, which does the same.
        if not isinstance(test, ast.Compare | ast.UnaryOp):
            yield at.replaced("condition negated", test, f"not ({at.of(test)})")


def changes_of_call(node: ast.Call, at: Text) -> Iterator[Change]:
    """min to max, and one keyword argument less; see `changes`."""
    name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
    if name in CALLS:
        end = at.span(node.func)[1]
        yield "min/max swapped", end - len(name), end, CALLS[name]
    for keyword in node.keywords:
        if keyword.arg:
            start, end = at.span(keyword)
            comma = re.match(rb"(\s*,\s*)?", at.bytes[end:]).end()
            yield "keyword argument dropped", start, end + comma, ""


def another(value: object) -> object:
    """A default that is not `value`, of its type where it has one."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return value + "?" if isinstance(value, str) else 1


def walk(node: ast.AST, function: str = "") -> Iterator[tuple[ast.AST, str]]:
    """A node, and all in it that tests should know of, each with the function it is in.

    Left out are what is raised, f-strings (their places are wrong before Python 3.12), type
    variables, what only type checkers read, and what runs only when a module is a program.
    """
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Call(func=ast.Name(id="TypeVar")):
            return
        case ast.If() if UNTESTED & {getattr(part, "id", "") for part in ast.walk(node.test)}:
            return
    yield node, function
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}".lstrip(".")
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.arguments) and isinstance(child, ast.Constant)):
            yield from walk(child, function)


def find(source: str) -> list[Mistake]:
    """All mistakes that can be made in a Python file; each gives a file that compiles.

    Args:
        source: the text of the file.

    Returns:
        The mistakes, in the order of the file. None is in an annotation or a decorator.
    """
    at, tree = Text(source), ast.parse(source)
    unchanged = ast.dump(tree)
    for node in ast.walk(tree):
        for name, nothing in (("annotation", None), ("returns", None), ("decorator_list", [])):
            if hasattr(node, name):
                setattr(node, name, nothing)
    found = []
    for node, function in walk(tree):
        for kind, start, end, text in changes(node, at):
            made = (at.bytes[:start] + text.encode() + at.bytes[end:]).decode()
            try:
                if ast.dump(ast.parse(made)) == unchanged:
                    continue
            except SyntaxError:
                continue
            line, last = (at.bytes[:place].count(b"\n") for place in (start, end))
            while source.splitlines()[line] == made.splitlines()[line] and line < last:
                line += 1
            before, after = (text.splitlines()[line].strip() for text in (source, made))
            found.append(Mistake(kind, function, line + 1, before, after, made))
    return found


def draw(source: str, count: int, seed: int) -> list[Mistake]:
    """Draw mistakes, spread over their kinds first and over functions next.

    Args:
        source: the text of a Python file.
        count: how many; fewer come where no more can be made.
        seed: the same one draws the same mistakes from the same text.

    Returns:
        The mistakes in the order drawn.
    """
    choose, found = random.Random(seed), find(source)
    left: dict[str, list[Mistake]] = {}
    for mistake in choose.sample(found, len(found)):
        left.setdefault(mistake.kind, []).append(mistake)
    drawn: list[Mistake] = []
    for kind in cycle(choose.sample(sorted(left), len(left))):
        if len(drawn) >= min(count, len(found)):
            break
        if left[kind]:
            functions = [mistake.function for mistake in drawn]
            rarest = min(left[kind], key=lambda mistake: functions.count(mistake.function))
            left[kind].remove(rarest)
            drawn.append(rarest)
    return drawn


def run_tests(folder: Path, tests: list[str], timeout: float | None) -> tuple[str, str, float]:
    """Run tests in a copy of the project.

    Args:
        folder: the copy.
        tests: files, as seen from it.
        timeout: seconds until they count as hanging; None waits for ever.

    Returns:
        "passed", "failed" or "hung"; the first failure, by pytest's own line; the seconds taken.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    # No compiled files: one made within the same second, of as many bytes, would be taken again.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    environment.setdefault("COURSE_CACHE", str(ROOT / "data" / "cache"))
    begun = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=timeout)
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as stopped:
        os.killpg(process.pid, signal.SIGINT)  # pytest then ends what its tests have started
        try:
            process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        if isinstance(stopped, KeyboardInterrupt):
            raise
        return "hung", "", time.monotonic() - begun
    lines = [line for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    first = (lines or said.strip().splitlines()[-1:] or [""])[0] if process.returncode else ""
    return "failed" if process.returncode else "passed", first, time.monotonic() - begun


def table(results: list[dict]) -> str:
    """How many mistakes of each kind were drawn, and how many were caught, a line each."""
    lines = []
    for kind in [*sorted({result["kind"] for result in results}), "all"]:
        outcomes = [result["outcome"] for result in results if kind in ("all", result["kind"])]
        caught = len(outcomes) - outcomes.count("survived")
        lines.append(f"{kind:24} {len(outcomes):3} drawn {caught:3} caught")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Draw, test, report. Returns the exit status: 2 where the tests fail without a mistake."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("file", help="the source file, as seen from the project's folder")
    parser.add_argument("--tests", nargs="+", required=True, help="test files that should notice")
    parser.add_argument("--count", type=int, default=10, help="how many mistakes to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--numbers", type=int, nargs="+", help="try only these of them, from 1")
    parser.add_argument("--timeout", type=float, help="seconds; 5 times what they need, or 60")
    parser.add_argument("--root", type=Path, default=ROOT, help="the project's folder")
    parser.add_argument("--json", type=Path, help="the file for the results")
    options = parser.parse_args(arguments)

    source = (options.root / options.file).read_text(encoding="utf-8")
    name = f"{Path(options.file).stem}-{options.seed}.json"
    report = options.json or ROOT / "build" / "mistakes" / name
    report.parent.mkdir(parents=True, exist_ok=True)
    told = {"file": options.file, "tests": options.tests, "seed": options.seed, "results": []}
    with tempfile.TemporaryDirectory(prefix="mistakes-") as place:
        copy = Path(place) / "course"
        ignored = lambda _, names: LEFT_OUT & {*names}  # noqa: E731
        shutil.copytree(options.root, copy, symlinks=True, ignore=ignored)
        outcome, said, seconds = run_tests(copy, options.tests, options.timeout)
        if outcome != "passed":
            print(f"error: without a mistake the tests {outcome}: {said}.", file=sys.stderr)
            return 2
        print(f"{options.file}: without a mistake the tests pass in {seconds:.0f} s", flush=True)
        timeout = options.timeout or max(60.0, 5 * seconds)
        for number, mistake in enumerate(draw(source, options.count, options.seed), 1):
            if options.numbers and number not in options.numbers:
                continue
            (copy / options.file).write_text(mistake.source, encoding="utf-8")
            outcome, said, seconds = run_tests(copy, options.tests, timeout)
            outcome = {"passed": "survived", "failed": "caught"}.get(outcome, "hung, so caught")
            found = {"number": number, "outcome": outcome, "by": said, "seconds": round(seconds)}
            change = {k: v for k, v in asdict(mistake).items() if k != "source"}
            told["results"].append(found | change)
            text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
            report.write_text(text, encoding="utf-8")
            where = f"line {mistake.line} {mistake.function}"
            print(f"{number:2} {outcome}: {mistake.kind}, {where} ({seconds:.0f} s)")
            for sign, line in (("-", mistake.before), ("+", mistake.after)):
                print(f"   {sign} {textwrap.shorten(line, 140)}", flush=True)
    print(table(told["results"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
