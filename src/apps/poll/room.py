"""What may happen in a poll: one question is shown, votes are taken while it is open, then its answer is. Nothing here knows of HTTP."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from src.apps.poll.store import Store, Vote
from src.teaching.panel import inline_pieces
from src.teaching.quizzes import VERDICTS, Choice, Question, QuestionSet

PHASES = ("open", "closed", "revealed")
RELOAD = "reload the page and try again."
COLUMNS = ("quiz", "set", "question", "text", "voter", "choice", "right", "at")


class Over(Exception):
    """What is asked for could have been done earlier, but not now; the message is one sentence for the person who asked."""


class Signal:
    """Something that changes: whoever waits learns that it did since they looked."""

    def __init__(self) -> None:
        self.version = 0
        self._changed = asyncio.Event()

    def fire(self) -> None:
        """It has changed."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, since: int, seconds: float) -> bool:
        """Wait until the version is another than `since`, for so many seconds at most; whether it is."""
        if self.version == since:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)
        return self.version != since


def as_choices(question: Question) -> Question:
    """A question that can be voted on: of a numeric one, its answer and the typical wrong numbers become choices, smallest first."""
    if question.kind != "numeric":
        return question
    assert question.answer is not None
    numbers = sorted((Choice(f"{question.answer:g}", True, question.why), *question.choices), key=lambda choice: float(choice.text))
    choices = tuple(dataclasses.replace(choice, text=f"{choice.text} {question.unit}".strip()) for choice in numbers)
    return dataclasses.replace(question, kind="single", choices=choices)


class Room:
    """A poll while it runs: its questions, who voted what, and what the pages show. To be used from one event loop only.

    Everything is in the store before anybody is told so, and is taken up from there at the start.
    moved: fires when another question or phase is shown   counted: fires with every vote, too
    Raises ValueError in one sentence where the store's votes do not fit the questions.
    """

    def __init__(self, questions: QuestionSet, store: Store):
        self._set, self._store = questions, store
        self.questions = {question.id: as_choices(question) for question in questions.questions}
        self.moved, self.counted = Signal(), Signal()
        self._waiting: list[tuple[Vote, asyncio.Future[int]]] = []
        self._phases = store.phases()
        shown = store.shown()
        self.shown = shown if shown in self.questions else next(iter(self.questions))
        self._votes: dict[str, dict[str, Vote]] = {question: {} for question in self.questions}
        for vote in store.votes():
            offered = {choice.text for choice in self.questions[vote.question].choices} if vote.question in self.questions else set()
            if not offered.issuperset(vote.choices):
                raise ValueError(
                    f"{store.path} holds votes on {vote.question!r} for {' and '.join(vote.choices)!r}, which the quiz no longer offers; "
                    "begin with --new, or choose another --file."
                )
            self._votes[vote.question][vote.voter] = vote
        self.written = sum(map(len, self._votes.values()))  # votes so far, changes of mind counted too

    # --- what is asked of it ---

    def voters(self) -> set[str]:
        """Everybody who has voted on any question."""
        return {voter for votes in self._votes.values() for voter in votes}

    def phase(self, question: str) -> str:
        """Where a question is on its way: "open" for votes, "closed", or "revealed", with its answer told."""
        return self._phases.get(question, "open")

    def show(self, asked: object) -> None:
        """Show the question in {"question": id}; votes are then taken on this one only. Raises ValueError with one sentence."""
        question = self._question(asked)
        self._write()  # who voted before this moment has voted
        self._store.show(question.id)
        self.shown = question.id
        self._fire()

    def set_phase(self, asked: object) -> None:
        """Take the shown question to {"question": id, "phase": name}. Raises ValueError or Over with one sentence."""
        question, phase = self._question(asked), _entry(asked, "phase")
        if phase not in PHASES:
            raise ValueError(f"There is no such phase of a question; {RELOAD}")
        if question.id != self.shown:
            raise Over("Another question is shown by now.")
        if self.phase(question.id) == "revealed" and phase != "revealed":
            raise Over("The answer is known, so that voting on this question is over for good.")
        self._write()
        self._store.set_phase(question.id, phase)
        self._phases[question.id] = phase
        self._fire()

    async def vote(self, voter: str, asked: object) -> int:
        """Take a vote, {"question": id, "choices": [numbers from 0]}, in place of an earlier one; returns how many that makes.

        It returns when the vote is written: those that arrive together are written together, since the disk takes as long for one.
        Raises ValueError or Over with one sentence, and sqlite3.Error; in all three cases the vote does not count.
        """
        question = self._question(asked)
        chosen = _numbers(_entry(asked, "choices"), len(question.choices))
        if question.kind == "single" and len(chosen) != 1:
            raise ValueError("This question takes one choice.")
        if question.id != self.shown or self.phase(question.id) != "open":
            raise Over("Voting on this question is over.")
        texts = tuple(question.choices[i].text for i in chosen)
        vote = Vote(question.id, voter, texts, datetime.now(UTC).isoformat(timespec="milliseconds"))
        written: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((vote, written))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._write)
        return await written

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            self._store.record(vote for vote, _ in waiting)
        except Exception as error:  # whatever it is, those who wait must learn of it
            for _, written in waiting:
                if not written.done():
                    written.set_exception(error)
            return
        for vote, written in waiting:
            self._votes[vote.question][vote.voter] = vote
            self.written += 1
            if not written.done():
                written.set_result(self.written)
        self.counted.fire()

    def _fire(self) -> None:
        self.moved.fire()
        self.counted.fire()

    def _question(self, asked: object) -> Question:
        question = _entry(asked, "question")
        if not isinstance(question, str) or question not in self.questions:
            raise ValueError(f"There is no such question in this poll; {RELOAD}")
        return self.questions[question]

    # --- what is shown ---

    def attendee_view(self, voter: str) -> dict[str, Any]:
        """What a voter's page shows: the question and their own vote; when it is revealed, its answer and everybody's votes."""
        question = self.questions[self.shown]
        own = self._votes[question.id].get(voter)
        yours = [i for i, choice in enumerate(question.choices) if own and choice.text in own.choices]
        return self._view(question) | {"yours": yours} | (self._counts(question) if self.phase(question.id) == "revealed" else {})

    def instructor_view(self) -> dict[str, Any]:
        """What the instructor's page shows: the question and everybody's votes, and its answer when it is revealed."""
        question, ids = self.questions[self.shown], list(self.questions)
        place = ids.index(question.id)
        around = {"previous": ids[place - 1] if place else None, "next": ids[place + 1] if place + 1 < len(ids) else None}
        return self._view(question) | self._counts(question) | around | {"written": self.written}

    def _view(self, question: Question) -> dict[str, Any]:
        """What everybody may know. Texts go as pieces of `inline_pieces`, which a page makes elements of, so never markup."""
        phase = self.phase(question.id)
        answers = [
            {"right": choice.right, "verdict": VERDICTS[question.kind, choice.right], "why": inline_pieces(choice.why)}
            for choice in question.choices
        ]
        return {
            "title": inline_pieces(self._set.title),
            "number": list(self.questions).index(question.id) + 1,
            "of": len(self.questions),
            "id": question.id,
            "phase": phase,
            "multiple": question.kind == "multiple",
            "text": inline_pieces(question.text),
            "choices": [inline_pieces(choice.text) for choice in question.choices],
            "answers": answers if phase == "revealed" else None,
        }

    def _counts(self, question: Question) -> dict[str, Any]:
        votes = self._votes[question.id].values()
        counts = Counter(choice for vote in votes for choice in vote.choices)
        return {"counts": [counts[choice.text] for choice in question.choices], "voters": len(votes)}

    def csv(self) -> str:
        """All votes, a line for each choice of each voter. Voters are numbered: their ids would let others vote in their place."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        numbers: dict[str, int] = {}
        for vote in self._store.votes():
            question = self.questions[vote.question]
            number = numbers.setdefault(vote.voter, len(numbers) + 1)
            right = {choice.text: str(choice.right).lower() for choice in question.choices}
            for choice in vote.choices:
                table.writerow((self._set.quiz, self._set.id, question.id, question.text, number, choice, right[choice], vote.at))
        return text.getvalue()

    @property
    def name(self) -> str:
        """The quiz and the set, as they are in a file's name."""
        return f"{self._set.quiz}-{self._set.id}"


def _entry(asked: object, name: str) -> object:
    if not isinstance(asked, Mapping) or name not in asked:
        raise ValueError(f"What arrived is not what this page sends; {RELOAD}")
    return asked[name]


def _numbers(chosen: object, below: int) -> list[int]:
    """The numbers of choices in their order: at least one, none twice."""
    if not isinstance(chosen, list) or not all(type(number) is int and 0 <= number < below for number in chosen):
        raise ValueError(f"There is no such choice; {RELOAD}")
    if not chosen:
        raise ValueError("Choose something first.")
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"A choice is there twice; {RELOAD}")
    return sorted(chosen)
