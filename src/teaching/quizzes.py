"""The questions of quizzes and polls: what a file of data/quizzes holds, read and checked."""

from __future__ import annotations

import functools
import json
import random
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StringConstraints, model_validator
from pydantic.dataclasses import dataclass

from src.runtime import COURSE
from src.teaching.schema import FORBID, Text, checked

QUIZZES = COURSE / "data" / "quizzes"
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
    answer, and if wanted a tolerance and a unit. An "open" one, for polls, has none: it is answered
    in words. With a passage, the room tries to keep the reader from an accepted answer. Choices are
    shuffled, unless `keep_order` says that they have an order of their own.
    """

    id: Id
    kind: Literal["single", "multiple", "numeric", "open"]
    text: Text
    choices: tuple[Choice, ...] = Field((), max_length=10)
    keep_order: StrictBool = False
    answer: StrictFloat | None = None
    tolerance: StrictFloat = 0.0
    unit: str = ""
    why: str = ""
    passage: str = ""
    accepted: tuple[Text, ...] = ()

    def verdict(self, choice: Choice) -> str:
        """What to say to who chose it."""
        if self.kind == "multiple":
            return "Yes." if choice.right else "No."
        return "Right." if choice.right else "Not this one."

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Question:
        right = sum(choice.right for choice in self.choices)
        if (self.kind == "open") == bool(self.choices):
            raise ValueError("every question has choices, but an open one has none")
        if bool(self.passage) != bool(self.accepted) or (self.passage and self.choices):
            raise ValueError("only an open question has a passage, and accepted answers with it")
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


def load_set(quiz: str, questions: str) -> QuestionSet:
    """One set of a quiz.

    Raises:
        ValueError: as `show_quiz`.
    """
    sets = load_quiz(quiz)
    if questions not in sets:
        raise ValueError(f"quiz {quiz!r} has no set {questions!r}; it has {', '.join(sets)}.")
    return sets[questions]


def all_sets() -> list[QuestionSet]:
    """Every set of every quiz.

    Raises:
        ValueError: as `load_quiz`.
    """
    names = sorted(file.stem for file in QUIZZES.glob("*.json"))
    return [one for name in names for one in load_quiz(name).values()]


@functools.cache
def load_quiz(name: str) -> dict[str, QuestionSet]:
    """All sets of a quiz by id.

    Raises:
        ValueError: its file is not there, or is wrong.
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
    if question.keep_order or question.kind == "numeric":
        return question
    choices = list(question.choices)
    random.Random(f"{quiz}/{question.id}").shuffle(choices)  # the same on every Python
    return replace(question, choices=tuple(choices))


def as_choices(question: Question) -> Question:
    """A question to vote on: a number is chosen among the typical slips, smallest first."""
    if question.kind != "numeric":
        return question
    right = Choice(f"{question.answer:g}", True, question.why)
    numbers = sorted((right, *question.choices), key=lambda choice: float(choice.text))
    choices = tuple(replace(c, text=f"{c.text} {question.unit}".strip()) for c in numbers)
    return replace(question, kind="single", choices=choices)
