"""The rules of a poll: a question is shown, votes are taken while it is open, then its answer."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import io
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from tornado.locks import Condition

from src.apps.poll.store import Store, Vote
from src.apps.web.server import Problem
from src.teaching.panel import inline_pieces
from src.teaching.quizzes import Choice, Question, QuestionSet

PHASES = ("open", "closed", "revealed")
COLUMNS = ("quiz", "set", "question", "text", "voter", "choice", "right", "at")
# No page sends such things, unless it was opened before the quiz was changed.
MALFORMED = "What arrived is not what this page sends; reload the page and try again."


def as_choices(question: Question) -> Question:
    """A question that can be voted on.

    Of a numeric one, its answer and the typical wrong numbers become choices, smallest first.
    """
    if question.kind != "numeric":
        return question
    right = Choice(f"{question.answer:g}", True, question.why)
    numbers = sorted((right, *question.choices), key=lambda choice: float(choice.text))
    choices = tuple(
        dataclasses.replace(choice, text=f"{choice.text} {question.unit}".strip())
        for choice in numbers
    )
    return dataclasses.replace(question, kind="single", choices=choices)


class Room:
    """A poll while it runs: its questions, who voted what, and what the pages show.

    Everything is in the store before anybody is told so, and is taken up from there at the
    start. `moved` wakes who waits for another question or phase, `counted` also those who wait
    for votes. A request that cannot be met raises Problem.

    Args:
        questions: what is asked.
        store: where votes are kept.

    Raises:
        ValueError: the store's votes do not fit the questions.
    """

    def __init__(self, questions: QuestionSet, store: Store):
        self._set, self._store = questions, store
        self.questions = {question.id: as_choices(question) for question in questions.questions}
        self.moved, self.counted = Condition(), Condition()
        self._waiting: list[tuple[Vote, asyncio.Future[int]]] = []
        self._phases = store.phases()
        shown = store.shown()
        self.shown = shown if shown in self.questions else next(iter(self.questions))
        self._votes: dict[str, dict[str, Vote]] = {name: {} for name in self.questions}
        for vote in store.votes():
            self._check_is_offered(vote)
            self._votes[vote.question][vote.voter] = vote
        self.written = sum(map(len, self._votes.values()))  # changes of mind count, too

    def _check_is_offered(self, vote: Vote) -> None:
        question = self.questions.get(vote.question)
        offered = {choice.text for choice in question.choices} if question else set()
        if not offered.issuperset(vote.choices):
            raise ValueError(
                f"{self._store.path} holds votes on {vote.question!r} for "
                f"{' and '.join(vote.choices)!r}, which the quiz no longer offers; "
                "begin with --new, or choose another --file."
            )

    @property
    def name(self) -> str:
        """The quiz and the set, as they are in a file's name."""
        return f"{self._set.quiz}-{self._set.id}"

    def voters(self) -> set[str]:
        """Everybody who has voted on any question."""
        return {voter for votes in self._votes.values() for voter in votes}

    def phase(self, question: str) -> str:
        """One of PHASES."""
        return self._phases.get(question, "open")

    # --- what pages ask for ---

    def show(self, asked: Any) -> None:
        """Show the question in {"question": id}; votes are then taken on this one only."""
        question = self._question(asked)
        self._write()  # who voted before this moment has voted
        self._store.show(question.id)
        self.shown = question.id
        self._wake_all()

    def set_phase(self, asked: Any) -> None:
        """Take the shown question to {"question": id, "phase": name}."""
        question = self._question(asked)
        phase = asked.get("phase")
        if phase not in PHASES:
            raise Problem(400, MALFORMED)
        if question.id != self.shown:
            raise Problem(409, "Another question is shown by now.")
        if self.phase(question.id) == "revealed" and phase != "revealed":
            raise Problem(409, "The answer is known, so voting on this question is over for good.")
        self._write()
        self._store.set_phase(question.id, phase)
        self._phases[question.id] = phase
        self._wake_all()

    async def vote(self, voter: str, asked: Any) -> int:
        """Take the vote {"question": id, "choices": [numbers from 0]}, in place of an earlier one.

        Returns when it is written. Votes that arrive together are written together, since the
        disk takes as long for one.

        Returns:
            How many votes that makes.

        Raises:
            sqlite3.Error: it could not be written; as after a Problem, it does not count.
        """
        question = self._question(asked)
        choices = _chosen(asked.get("choices"), question)
        if question.id != self.shown or self.phase(question.id) != "open":
            raise Problem(409, "Voting on this question is over.")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        written: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((Vote(question.id, voter, choices, now), written))
        asyncio.get_running_loop().call_soon(self._write)  # with what arrives until then
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
        self.counted.notify_all()

    def _wake_all(self) -> None:
        self.moved.notify_all()
        self.counted.notify_all()

    def _question(self, asked: Any) -> Question:
        match asked:
            case {"question": str(name)} if name in self.questions:
                return self.questions[name]
        raise Problem(400, MALFORMED)

    # --- what pages show ---

    def voter_view(self, voter: str) -> dict[str, Any]:
        """The question and the voter's own vote; once revealed, its answer and all votes."""
        question = self.questions[self.shown]
        vote = self._votes[question.id].get(voter)
        own = vote.choices if vote else ()
        view = self._view(question)
        view["yours"] = [i for i, choice in enumerate(question.choices) if choice.text in own]
        if view["phase"] == "revealed":
            view |= self._counts(question)
        return view

    def instructor_view(self) -> dict[str, Any]:
        """The question and all votes; once revealed, its answer."""
        question, ids = self.questions[self.shown], list(self.questions)
        i = ids.index(question.id)
        around = {
            "previous": ids[i - 1] if i else None,
            "next": ids[i + 1] if i + 1 < len(ids) else None,
        }
        view = self._view(question) | self._counts(question) | around
        return view | {"written": self.written}

    def _view(self, question: Question) -> dict[str, Any]:
        """What everybody may know. Texts are pieces of `inline_pieces`, and so never markup."""
        answers = [
            {
                "right": choice.right,
                "verdict": question.verdict(choice),
                "why": inline_pieces(choice.why),
            }
            for choice in question.choices
        ]
        phase = self.phase(question.id)
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
        return {
            "counts": [counts[choice.text] for choice in question.choices],
            "voters": len(votes),
        }

    def csv(self) -> str:
        """All votes, a line for each choice of each voter.

        Voters are numbered: by their ids others could vote in their place.
        """
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        numbers: dict[str, int] = {}
        for vote in self._store.votes():
            question = self.questions[vote.question]
            number = numbers.setdefault(vote.voter, len(numbers) + 1)
            place = (self._set.quiz, self._set.id, question.id, question.text, number)
            right = {choice.text: str(choice.right).lower() for choice in question.choices}
            table.writerows((*place, choice, right[choice], vote.at) for choice in vote.choices)
        return text.getvalue()


def _chosen(numbers: Any, question: Question) -> tuple[str, ...]:
    """The texts of the choices with these numbers, in the question's order."""
    allowed = range(len(question.choices))
    if not isinstance(numbers, list) or any(
        type(i) is not int or i not in allowed for i in numbers
    ):
        raise Problem(400, MALFORMED)
    if not numbers:
        raise Problem(400, "Choose something first.")
    if len(set(numbers)) < len(numbers) or (question.kind == "single" and len(numbers) > 1):
        raise Problem(400, MALFORMED)
    return tuple(question.choices[i].text for i in sorted(numbers))
