"""Quizzes: questions kept in data/quizzes; a click on a choice says whether it is right, and why.

Every choice is a <details> element: the choice is its summary, verdict and explanation its content.
That needs no script, so a question folds the same in Jupyter, Colab, a static page and on GitHub.
Where scripts run, quiz.js adds picking several choices before checking, and typing a number.
"""

from __future__ import annotations

import functools
import html
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StringConstraints, model_validator
from pydantic.dataclasses import dataclass

from src.runtime import COURSE
from src.teaching.panel import UNBOXED, Panel, inline_html, inline_text
from src.teaching.schema import FORBID, Text, checked

QUIZZES = COURSE / "data" / "quizzes"
LETTERS = "abcdefghij"
VERDICTS = {
    ("single", True): "Right.",
    ("single", False): "Not this one.",
    ("multiple", True): "Yes.",
    ("multiple", False): "No.",
}
Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(_[a-z0-9]+)*$")]


@dataclass(frozen=True, config=FORBID)
class Choice:
    """One thing to choose, and why it is right or wrong."""

    text: Text
    right: StrictBool
    why: Text


@dataclass(frozen=True, config=FORBID)
class Question:
    """One question.

    The choices of a "numeric" one are wrong numbers that typical slips lead to; it alone has an
    answer, and if wanted a tolerance and a unit. Choices are shuffled, unless `keep_order` says
    that they have an order of their own.
    """

    id: Id
    kind: Literal["single", "multiple", "numeric"]
    text: Text
    choices: tuple[Choice, ...] = Field(min_length=1, max_length=len(LETTERS))
    keep_order: StrictBool = False
    answer: StrictFloat | None = None
    tolerance: StrictFloat = 0.0
    unit: str = ""
    why: str = ""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Question:
        right = sum(choice.right for choice in self.choices)
        if len({choice.text for choice in self.choices}) < len(self.choices):
            raise ValueError("two choices are the same")
        if self.kind == "numeric":
            if self.answer is None or not self.why or right:
                raise ValueError("a numeric question has an answer, a why, and wrong choices")
            for choice in self.choices:
                if abs(float(choice.text) - self.answer) <= self.tolerance:
                    raise ValueError(f"the wrong number {choice.text} would count as right")
        elif self.kind == "single" and right != 1:
            raise ValueError(f"a single question has exactly one right choice, not {right}")
        elif self.kind == "multiple" and not 0 < right < len(self.choices):
            raise ValueError("a multiple question has at least one right and one wrong choice")
        return self


@dataclass(frozen=True, config=FORBID)
class QuestionSet:
    """The questions that one quiz cell shows; `quiz` is the name of their file."""

    id: Id
    title: Text
    questions: tuple[Question, ...] = Field(min_length=1)
    quiz: str = ""


@dataclass(frozen=True, config=FORBID)
class _Quiz:
    """A file of data/quizzes."""

    sets: tuple[QuestionSet, ...] = Field(min_length=1)


def show_quiz(quiz: str, questions: str) -> None:
    """Show one set of questions: click on a choice to see whether it is right and why.

    Args:
        quiz: name of a file in data/quizzes, such as "06_bert_squad".
        questions: the id of a set in it, such as "windows".

    Raises:
        ValueError: there is no such quiz or set; the message names those there are.
    """
    shown = load_set(quiz, questions)
    Panel(quiz_html(shown), quiz_text(shown)).show()


def load_set(quiz: str, questions: str) -> QuestionSet:
    """One set of a quiz. Raises ValueError as `show_quiz` does."""
    sets = load_quiz(quiz)
    if questions not in sets:
        raise ValueError(f"quiz {quiz!r} has no set {questions!r}; it has {', '.join(sets)}.")
    return sets[questions]


@functools.cache
def load_quiz(name: str) -> dict[str, QuestionSet]:
    """All sets of a quiz by id.

    Raises:
        ValueError: there is no such file, or something is wrong in it.
    """
    path = QUIZZES / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in QUIZZES.glob("*.json"))) or "none"
        raise ValueError(f"there is no quiz {name!r} in data/quizzes; there are: {known}.")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"data/quizzes/{path.name} is not valid JSON: {error}.") from error
    return parse_quiz(data, name)


def parse_quiz(data: object, name: str) -> dict[str, QuestionSet]:
    """The sets of a quiz file's content, by id.

    Raises:
        ValueError: it breaks the format of `Question`; the message names the place.
    """
    sets = checked(_Quiz, data, f"quiz {name}").sets
    questions = [question for one in sets for question in one.questions]
    for ids in ([one.id for one in sets], [question.id for question in questions]):
        if twice := {key for key in ids if ids.count(key) > 1}:
            raise ValueError(f"quiz {name}: the id {', '.join(sorted(twice))} is used twice.")
    return {
        one.id: replace(one, quiz=name, questions=tuple(_shuffled(q, name) for q in one.questions))
        for one in sets
    }


def _shuffled(question: Question, quiz: str) -> Question:
    """The question with its choices in an order that stays the same from run to run."""
    if question.keep_order or question.kind == "numeric":
        return question
    choices = list(question.choices)
    random.Random(f"{quiz}/{question.id}").shuffle(choices)  # the same on every Python
    return replace(question, choices=tuple(choices))


# --- on the page ----------------------------------------------------------------------------------


def quiz_html(shown: QuestionSet) -> str:
    """A set as HTML that folds without a script. Style and script are in it, since every output
    may be a frame of its own."""
    blocks = [f"<p><strong>Quiz: {inline_html(shown.title)}</strong></p>"]
    for number, question in enumerate(shown.questions, 1):
        text = inline_html(question.text)
        if len(shown.questions) > 1:
            text = f"{number}. {text}"
        if question.kind == "multiple":
            text += " <em>Choose all that apply.</em>"
        body = _numeric_html(question) if question.kind == "numeric" else _choices_html(question)
        blocks.append(f'<div class="q" data-kind="{question.kind}"><p>{text}</p>{body}</div>')
    style, script = _part("quiz.css"), _part("quiz.js").partition("\n")[2]
    return (
        f"<style>{UNBOXED}{style.replace(chr(10), '')}</style>"
        f'<div class="wta wta-quiz">{"".join(blocks)}</div><script>{script.strip()}</script>'
    )


@functools.cache
def _part(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _choices_html(question: Question) -> str:
    rows = []
    for choice in question.choices:
        verdict = f"<strong>{VERDICTS[question.kind, choice.right]}</strong>"
        rows.append(
            f'<details class="{"y" if choice.right else "n"}">'
            f"<summary>{inline_html(choice.text)}</summary>"
            f'<div class="w">{verdict} {inline_html(choice.why)}</div></details>'
        )
    return "".join(rows) + ('<div class="act"></div>' if question.kind == "multiple" else "")


def _numeric_html(question: Question) -> str:
    """The answer and the wrong numbers, from which quiz.js reads its replies."""
    answer = f"{question.answer:g}"
    unit = f" {html.escape(question.unit)}" if question.unit else ""
    says = {answer: f"<strong>{answer}{unit}.</strong> {inline_html(question.why)}"}
    for choice in question.choices:
        says[choice.text] = f"Not {choice.text}: {inline_html(choice.why)}"
    rows = (
        f'<p data-v="{number}" data-t="{question.tolerance:g}">{said}</p>'
        for number, said in says.items()
    )
    return (
        '<div class="act"></div><details><summary>The answer</summary>'
        f'<div class="w">{"".join(rows)}</div></details>'
    )


def quiz_text(shown: QuestionSet) -> str:
    """A set as plain text, without its answers: text cannot fold."""
    lines = [f"Quiz: {inline_text(shown.title)}"]
    for number, question in enumerate(shown.questions, 1):
        all_of = " Choose all that apply." if question.kind == "multiple" else ""
        lines += ["", f"{number}. {inline_text(question.text)}{all_of}"]
        if question.kind != "numeric":
            for letter, choice in zip(LETTERS, question.choices, strict=False):
                lines.append(f"   {letter}) {inline_text(choice.text)}")
    return "\n".join([*lines, "", f"Answers and why: data/quizzes/{shown.quiz}.json"])
