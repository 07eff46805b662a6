"""tools/mistakes.py: mistakes of every kind, the same for the same seed, honestly counted."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tools import mistakes

SOURCE = '''"""Up to 3 and True, not more: a docstring."""
from typing import TYPE_CHECKING, Literal, TypeVar
if TYPE_CHECKING:
    LIMIT = 3
T = TypeVar('T', bound=int, covariant=True)

@dataclass(frozen=True)
class Shelf:
    width: Literal[1, 2] = 2

    def takes(self, books: int) -> bool:
        return not books > self.width

def mean(numbers, digits=3, exact=False):
    if not (numbers and digits >= 0):
        raise ValueError(f'{len(numbers) + 1}; at least 1')
    found = sum(numbers) / len(numbers)
    return found if exact else min(round(found, ndigits=digits), max(numbers))

def first_above(numbers, limit):
    place = 0
    while place < len(numbers) and numbers[place] <= limit:
        place += 1
    return place
if __name__ == '__main__':
    print(mean([1, 2]))
'''
# kind -> the text before and after, one example of each
EXAMPLES = {
    "comparison flipped": ("books > self", "books >= self"),
    "operator changed": ("sum(numbers) / len", "sum(numbers) * len"),
    "and/or swapped": ("numbers and digits", "numbers or digits"),
    "number off by one": ("place = 0", "place = 1"),
    "True/False swapped": ("exact=False", "exact=True"),
    "condition negated": ("found if exact else", "found if not exact else"),
    "None returned": ("return not books > self.width", "return None"),
    "min/max swapped": ("min(round", "max(round"),
    "keyword dropped": ("round(found, ndigits=digits)", "round(found)"),
}


@pytest.fixture(scope="module")
def found() -> list[mistakes.Mistake]:
    return mistakes.find(SOURCE)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_kind_of_mistake_is_made(found, kind):
    before, after = EXAMPLES[kind]
    wanted = ast.unparse(ast.parse(SOURCE.replace(before, after)))
    (made,) = [one for one in found if one.source == wanted]
    assert made.kind == kind


def test_there_are_no_other_kinds_and_none_comes_twice(found):
    assert {mistake.kind for mistake in found} == {*EXAMPLES}
    assert len({mistake.source for mistake in found}) == len(found)


def test_a_mistake_changes_one_line_of_what_tests_should_know_of(found):
    plain = ast.unparse(ast.parse(SOURCE)).splitlines()
    for mistake in found:
        lines = zip(plain, mistake.source.splitlines(), strict=True)
        ((before, _),) = [pair for pair in lines if pair[0] != pair[1]]
        assert SOURCE.splitlines()[mistake.line - 1].strip() == before.strip()
        words = ("docstring", "LIMIT", "TypeVar", "@dataclass", "raise", "__name__", "print")
        assert not any(word in before for word in words)
        assert "Literal[1, 2]" in mistake.source


def test_a_mistake_says_in_which_function_it_is(found):
    functions = {mistake.before: mistake.function for mistake in found}
    assert functions["return not books > self.width"] == "Shelf.takes"
    assert functions["place += 1"] == "first_above"


def test_a_seed_draws_the_same_mistakes_spread_over_kinds_and_functions():
    drawn = mistakes.draw(SOURCE, len(EXAMPLES), seed=0)
    assert drawn == mistakes.draw(SOURCE, len(EXAMPLES), seed=0)
    assert drawn != mistakes.draw(SOURCE, len(EXAMPLES), seed=1)
    assert Counter(mistake.kind for mistake in drawn) == dict.fromkeys(EXAMPLES, 1)
    assert {mistake.function for mistake in drawn} >= {"Shelf.takes", "mean", "first_above"}


def test_no_more_are_drawn_than_can_be_made(found):
    assert sorted(mistakes.draw(SOURCE, 10_000, seed=0)) == sorted(found)


CODE = "def larger(a, b):\n    return max(a, b)\n"
TESTS = {
    "strict": "from code_of_mine import larger\n\n"
    "def test_it():\n    assert (larger(3, 5), larger(5, 3)) == (5, 5)\n",
    "blind": "def test_it():\n    pass\n",
    "broken": "def test_it():\n    assert False\n",
    "hanging": "def test_it():\n    while True:\n        pass\n",
}


@pytest.fixture
def project(tmp_path) -> Path:
    """A module with tests of four kinds."""
    (tmp_path / "code_of_mine.py").write_text(CODE)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    for name, text in TESTS.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("tests", "status", "said"),
    [
        ("strict", 0, "all                    2 drawn   2 caught"),
        ("blind", 0, "all                    2 drawn   0 caught"),
        ("broken", 2, "without a mistake the tests fail: FAILED test_broken.py::test_it"),
    ],
)
def test_what_tests_catch_is_counted_and_the_project_stays(project, capsys, tests, status, said):
    arguments = ["code_of_mine.py", "--tests", f"test_{tests}.py", "--root", str(project)]
    assert mistakes.main(arguments) == status
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
    assert (project / "code_of_mine.py").read_text() == CODE


def test_tests_that_hang_are_ended(project):
    assert mistakes.run_tests(project, ["test_hanging.py"], timeout=3) == "they hang (3 s)"
