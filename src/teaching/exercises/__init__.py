"""Exercises: a stub to fill in, a check that names the likely mistake, a hint and a solution.

The exercises of notebook 08 are in `notebook_08.py`. To add one, write its solution as a function
there, with a docstring that says what to write, and below it an `Exercise` with cases and mistakes.

    check("08.best_span", best_span)     in a notebook: says what is wrong, never stops "Run all"
    grade("08.best_span", best_span)     the same verdict as data, for tests
"""

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path

from src.teaching.exercises.grading import Verdict, grade_answer
from src.teaching.exercises.record import Exercise
from src.teaching.panel import Panel, folded, framed, inline_text, paragraphs_html
from src.teaching.sources import source_box, source_pre
from src.text import close_spellings

COLOURS = {"passed": "good", "wrong": "bad", "not attempted": "open"}


def check(exercise: str, answer: object) -> None:
    """Show whether `answer`, the function from the stub's cell, solves "08.best_span", say.

    If not, a case that fails and the likely mistake.
    """
    verdict = grade(exercise, answer)
    shown = framed(COLOURS[verdict.status], paragraphs_html(verdict.message))
    Panel(shown, inline_text(verdict.message)).show()


def grade(exercise: str, answer: object) -> Verdict:
    """What `check` shows, as data."""
    return grade_answer(find(exercise), answer)


def hint(exercise: str) -> None:
    """Show the exercise's hint, folded."""
    found = find(exercise)
    summary = f"Hint for <code>{found.name}</code>"
    text = f"Hint for {found.name}: {inline_text(found.hint)}"
    Panel(folded(summary, paragraphs_html(found.hint)), text).show()


def solution(exercise: str) -> None:
    """Show a solution of the exercise, folded. Others are as good: the check looks at results."""
    found = find(exercise)
    summary = f"A solution of <code>{found.name}</code>"
    # Plain text cannot fold and would spoil the exercise, so it only says where the solution is.
    file = f"src/teaching/exercises/notebook_{found.id.partition('.')[0]}.py"
    text = f"A solution of {found.name} is in {file}, function {found.name}."
    Panel(folded(summary, source_box(source_pre(found.solved))), text).show()


@functools.cache
def notebooks() -> list[str]:
    """Numbers of the notebooks that have exercises: "00", ..."""
    files = Path(__file__).parent.glob("notebook_*.py")
    return sorted(file.stem.removeprefix("notebook_") for file in files)


@functools.cache
def exercises(notebook: str) -> Mapping[str, Exercise]:
    """The exercises of a notebook ("08") by id, in the order of its file."""
    module = importlib.import_module(f"{__name__}.notebook_{notebook}")
    return {item.id: item for item in vars(module).values() if isinstance(item, Exercise)}


def find(exercise: str) -> Exercise:
    """The exercise with this id, or with the number that its notebook had before.

    Raises:
        ValueError: there is none; offers the nearest.
    """
    known = {item.name: item for number in notebooks() for item in exercises(number).values()}
    found = known.get(exercise.partition(".")[2])
    if found is None:
        ids = [item.id for item in known.values()]
        near = close_spellings(exercise, ids, n=1)
        offer = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(ids)}."
        raise ValueError(f"there is no exercise {exercise!r}; {offer}")
    return found
