"""tools/mistakes.py: mistakes of every kind, the same for the same seed, honestly counted."""

from __future__ import annotations

import ast
import json
from collections import Counter
from pathlib import Path

import pytest

from tools import mistakes

SOURCE = '''"""Up to 3 and True, not more: a docstring."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING and not False:
    from collections.abc import Sequence

T = TypeVar("T", bound=int)


@dataclass(frozen=True)
class Shelf:
    """Room for 2 books."""

    width: Literal[1, 2] = 2

    def takes(self, books: int) -> bool:
        """Whether so many books fit: not more than 9 + 1."""
        return not books > self.width


def mean(numbers: "Sequence[float]", digits: int = 3, exact: bool = False) -> float | None:
    """The mean, or None."""
    if not (numbers and digits >= 0):
        raise ValueError(f"{len(numbers) + 1} and {digits}; at least 1, not {max(numbers)}.")
    found = sum(numbers) / len(numbers)
    return found if exact else min(round(found, ndigits=digits), max(numbers))


def first_above(numbers, limit):
    ä = [one for one in numbers if callable(one) or one is not None]; place = 0  # limit < 3
    while bool(ä) and place < len(ä) and ä[place] <= limit:
        place += 1
    return None if place == len(ä) else ä[place]


if __name__ == "__main__":
    print(mean([1, 2]))

flag = True
'''
# kind -> the text before and after, one example of each
EXAMPLES = {
    "comparison flipped": ("books > self", "books >= self"),
    "operator changed": ("sum(numbers) / len", "sum(numbers) * len"),
    "and/or swapped": ("numbers and digits", "numbers or digits"),
    "not dropped": ("return not books > self.width", "return (books > self.width)"),
    "number off by one": ("place = 0", "place = 1"),
    "True/False swapped": ("flag = True", "flag = False"),
    "condition negated": ("found if exact else", "found if not (exact) else"),
    "None returned": ("return not books > self.width", "return None"),
    "min/max swapped": ("min(round", "max(round"),
    "keyword argument dropped": ("round(found, ndigits=digits)", "round(found, )"),
    "default changed": ("digits: int = 3", "digits: int = 4"),
}


@pytest.fixture(scope="module")
def found() -> list[mistakes.Mistake]:
    return mistakes.find(SOURCE)


def changed_lines(mistake: mistakes.Mistake) -> list[tuple[str, str]]:
    pairs = zip(SOURCE.splitlines(), mistake.source.splitlines(), strict=True)
    return [(before, after) for before, after in pairs if before != after]


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_kind_of_mistake_is_made(found, kind):
    before, after = EXAMPLES[kind]
    assert SOURCE.count(before) == 1
    assert SOURCE.replace(before, after) in [
        mistake.source for mistake in found if mistake.kind == kind
    ]


def test_there_are_no_other_kinds(found):
    assert {mistake.kind for mistake in found} == {*EXAMPLES}


def test_every_mistake_compiles_and_is_another_program_in_one_line(found):
    for mistake in found:
        compile(mistake.source, "mistake", "exec")
        assert ast.dump(ast.parse(mistake.source)) != ast.dump(ast.parse(SOURCE))
        ((before, after),) = changed_lines(mistake)
        assert (mistake.before, mistake.after) == (before.strip(), after.strip())
        assert SOURCE.splitlines()[mistake.line - 1] == before
    assert len({mistake.source for mistake in found}) == len(found), "none comes twice"


def test_a_mistake_says_in_which_function_it_is(found):
    functions = {mistake.before: mistake.function for mistake in found}
    assert functions["return not books > self.width"] == "Shelf.takes"
    assert functions["place += 1"] == "first_above"
    assert functions["flag = True"] == ""


@pytest.mark.parametrize(
    "words",
    [
        "docstring",
        "not more than",
        "The mean",
        "Literal[1",
        "TYPE_CHECKING",
        "TypeVar(",
        "@dataclass",
        "raise",
        "print(",
    ],
)
def test_what_no_test_should_know_of_stays(found, words):
    (line,) = [
        line
        for line in SOURCE.splitlines()
        if words in line and "import TYPE" not in line and "from typing" not in line
    ]
    allowed = {"width: Literal[1, 2] = 3"}  # the value, not the annotation
    assert {mistake.after for mistake in found if mistake.before == line.strip()} <= allowed


def test_a_comment_is_no_code(found):
    assert not [
        mistake
        for mistake in found
        if "# limit <= 3" in mistake.source or "# limit < 4" in mistake.source
    ]


def test_a_keyword_on_a_line_of_its_own_goes_with_its_comma():
    source = "found = dict(\n    one=first,\n    two=(second),\n)\n"
    dropped = {mistake.before: mistake.source for mistake in mistakes.find(source)}
    assert dropped == {
        "one=first,": "found = dict(\n    two=(second),\n)\n",
        "two=(second),": "found = dict(\n    one=first,\n    )\n",
    }


def test_the_same_seed_draws_the_same_mistakes_and_another_seed_others():
    assert mistakes.draw(SOURCE, 10, seed=0) == mistakes.draw(SOURCE, 10, seed=0)
    assert mistakes.draw(SOURCE, 10, seed=0) != mistakes.draw(SOURCE, 10, seed=1)


@pytest.mark.parametrize("seed", range(5))
def test_mistakes_are_spread_over_kinds_and_functions(seed):
    drawn = mistakes.draw(SOURCE, 11, seed)
    assert Counter(mistake.kind for mistake in drawn) == dict.fromkeys(EXAMPLES, 1)
    assert {mistake.function for mistake in drawn} >= {"Shelf.takes", "mean", "first_above"}


def test_no_more_are_drawn_than_can_be_made(found):
    drawn = mistakes.draw(SOURCE, 10_000, seed=0)
    assert sorted(mistake.source for mistake in drawn) == sorted(
        mistake.source for mistake in found
    )


CODE = """def larger(a, b):
    return max(a, b)
"""
TESTS = """from code_of_mine import larger

def test_it():
    assert (larger(3, 5), larger(5, 3)) == (5, 5)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A module with a test that sees every mistake in it, one that sees none, one that fails."""
    (tmp_path / "project" / "build").mkdir(parents=True)
    files = {
        "code_of_mine.py": CODE,
        "test_strict.py": TESTS,
        "pytest.ini": "[pytest]\npythonpath = .\n",
    }
    files |= {
        "test_blind.py": "def test_it():\n    pass\n",
        "test_broken.py": "def test_it():\n    assert False\n",
    }
    for name, text in files.items():
        (tmp_path / "project" / name).write_text(text)
    return tmp_path / "project"


def results(project: Path, tests: str, *more: str) -> list[dict]:
    file = project.parent / "results.json"
    arguments = [
        "code_of_mine.py",
        "--tests",
        tests,
        "--root",
        str(project),
        "--json",
        str(file),
        *more,
    ]
    assert mistakes.main(arguments) == 0
    assert (project / "code_of_mine.py").read_text() == CODE, "mistakes are made in a copy"
    return json.loads(file.read_text())["results"]


def test_a_strict_test_catches_mistakes_and_is_named(project, capsys):
    wanted = {"return min(a, b)", "return None"}
    drawn = enumerate(mistakes.draw(CODE, 20, 0), 1)
    numbers = [str(number) for number, mistake in drawn if mistake.after in wanted]
    found = results(project, "test_strict.py", "--count", "20", "--numbers", *numbers)
    assert {result["after"]: result["outcome"] for result in found} == dict.fromkeys(
        wanted, "caught"
    )
    assert all(result["by"].startswith("FAILED test_strict.py::test_it") for result in found)
    assert f"{'all':24}   2 drawn   2 caught" in capsys.readouterr().out


def test_tests_that_hang_are_ended(project):
    (project / "test_hanging.py").write_text("def test_it():\n    while True:\n        pass\n")
    assert mistakes.run_tests(project, ["test_hanging.py"], timeout=3)[0] == "hung"


def test_a_test_that_cannot_fail_lets_all_survive(project):
    found = results(project, "test_blind.py", "--count", "2")
    assert [result["outcome"] for result in found] == ["survived"] * 2


def test_tests_that_fail_without_a_mistake_are_refused(project, capsys):
    arguments = [
        "code_of_mine.py",
        "--tests",
        "test_broken.py",
        "--root",
        str(project),
        "--json",
        str(project / "x.json"),
    ]
    assert mistakes.main(arguments) == 2
    assert (
        "without a mistake the tests failed: FAILED test_broken.py::test_it"
        in capsys.readouterr().err
    )
    assert not (project / "x.json").exists()
