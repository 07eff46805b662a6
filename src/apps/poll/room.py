"""The rules of a poll: a question is shown, votes are taken while it is open, then its answer."""

import asyncio
import csv
import io
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from tornado.locks import Condition

from src.apps.poll.store import Store, Vote
from src.apps.web.server import Problem
from src.teaching.panel import inline_pieces
from src.teaching.quizzes import Question, QuestionSet, as_choices

PHASES = ("open", "closed", "revealed", "again")
# After a question's name: votes before the discussion; answers that the room may see.
FIRST, ALLOWED = "#first", "#allowed"
COLUMNS = ("quiz", "set", "question", "text", "round", "voter", "choice", "right", "at")
FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # how one begins, the last four in Asia
ANSWER_CHARACTERS = 200
# No page sends such things, unless it was opened before the quiz was changed.
MALFORMED = "What arrived is not what this page sends; reload the page and try again."


class Room:
    """A poll while it runs: its questions, who voted what, and what the pages show.

    Everything is in the store before anybody is told so, and taken from there at the start.
    `moved` wakes who waits for another question or phase, `counted` also who waits for votes. A
    request that cannot be met raises Problem.

    Args:
        sets: what can be asked.
        store: of the votes.
        read: as `Reader` answers, where there are passages.
    """

    def __init__(
        self,
        sets: Sequence[QuestionSet],
        store: Store,
        read: Callable[[str, str, Sequence[str]], Awaitable[dict[str, Any]]] | None = None,
    ):
        self.sets, self._store, self._read = sets, store, read
        pairs = {f"{one.quiz}/{asked.id}": (one, asked) for one in sets for asked in one.questions}
        self.questions = {name: as_choices(asked) for name, (_, asked) in pairs.items()}
        self._set_of = {name: one for name, (one, _) in pairs.items()}
        self.moved, self.counted = Condition(), Condition()
        self._waiting: list[tuple[Vote, asyncio.Future[int]]] = []
        self._readings: dict[tuple[str, str], asyncio.Task[dict[str, Any]]] = {}
        self._state = store.state()
        self._votes: dict[str, dict[str, Vote]] = {}
        for vote in store.votes():
            asked = self.questions.get(vote.question.removesuffix(FIRST))
            if asked and (not asked.choices or {c.text for c in asked.choices} >= {*vote.choices}):
                self._votes.setdefault(vote.question, {})[vote.voter] = vote
            # else the quiz was changed: it stays in the file, and counts no more
        self.written = sum(map(len, self._votes.values()))  # changes of mind count, too

    @property
    def shown(self) -> str:
        """The name of the question shown: its quiz and its id, with a slash between."""
        shown = self._state.get("shown", "")
        return shown if shown in self.questions else next(iter(self.questions))

    def voters(self) -> set[str]:
        """Everybody who has voted on any question."""
        return {voter for votes in self._votes.values() for voter in votes}

    def phase(self, name: str) -> str:
        """One of PHASES."""
        return self._state.get(name, "open")

    # --- what pages ask for ---

    def show(self, asked: Any) -> None:
        """Show the question in {"question": name}; votes are then taken on this one only."""
        name = self._name(asked)
        self._write()  # who voted before this moment has voted
        self._readings.pop((name, ""), None)  # a reader that ended is started again
        self._keep("shown", name)

    def set_phase(self, asked: Any) -> None:
        """Take the shown question to {"question": name, "phase": one of PHASES}.

        "again" keeps the votes as the first ones, and opens it for others.
        """
        name, phase = self._name(asked), asked.get("phase")
        if phase not in PHASES:
            raise Problem(400, MALFORMED)
        if name != self.shown:
            raise Problem(409, "Another question is shown by now.")
        if self.phase(name) == "revealed" and phase != "revealed":
            raise Problem(409, "The answer is known, so voting on this question is over for good.")
        self._write()
        if phase == "again":
            if self._votes.get(name + FIRST):
                raise Problem(409, "The room has voted on this question twice.")
            self._store.vote_again(name, name + FIRST)
            self._votes[name + FIRST] = self._votes.pop(name, {})
            phase = "open"
        self._keep(name, phase)

    def moderate(self, asked: Any) -> None:
        """Show the room {"question": name, "text": an answer, "shown": true}, or hide it."""
        name = self._name(asked)
        match asked:
            case {"text": str(text), "shown": bool(shown)}:
                allowed = [other for other in self._allowed(name) if other != text]
                self._readings.pop((name, text), None)
                self._keep(name + ALLOWED, json.dumps(allowed + [text] * shown))
            case _:
                raise Problem(400, MALFORMED)

    async def vote(self, voter: str, asked: Any) -> int:
        """Take the vote {"question": name, "choices": [numbers from 0]}, in place of an earlier.

        To an open question the one choice is text. Returns when it is in the store; what arrives
        together is written together, since the disk takes as long for one.

        Returns:
            How many votes that makes.

        Raises:
            sqlite3.Error: it could not be written, and does not count.
        """
        name = self._name(asked)
        choices = _chosen(asked.get("choices"), self.questions[name])
        if name != self.shown or self.phase(name) != "open":
            raise Problem(409, "Voting on this question is over.")
        now, loop = datetime.now(UTC).isoformat(timespec="milliseconds"), asyncio.get_running_loop()
        written = loop.create_future()
        self._waiting.append((Vote(name, voter, choices, now), written))
        loop.call_soon(self._write)  # with what arrives until then
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
            self._votes.setdefault(vote.question, {})[vote.voter] = vote
            self.written += 1
            if not written.done():
                written.set_result(self.written)
        self.counted.notify_all()

    def _keep(self, name: str, value: str) -> None:
        self._store.keep(name, value)
        self._state[name] = value
        self._wake_all()

    def _wake_all(self) -> None:
        self.moved.notify_all()
        self.counted.notify_all()

    def _name(self, asked: Any) -> str:
        match asked:
            case {"question": str(name)} if name in self.questions:
                return name
        raise Problem(400, MALFORMED)

    # --- answers in words, and the reader that they may break ---

    def _allowed(self, name: str) -> list[str]:
        return json.loads(self._state.get(name + ALLOWED, "[]"))

    def _reading(self, name: str, text: str) -> dict[str, Any] | None:
        """What the reader makes of a passage with an answer; None while that waits its turn."""
        task = self._readings.get((name, text))
        if task is None:
            task = asyncio.ensure_future(self._read_with(name, text))
            task.add_done_callback(lambda _: self._wake_all())
            self._readings[name, text] = task
        return task.result() if task.done() else None

    async def _read_with(self, name: str, text: str) -> dict[str, Any]:
        question = self.questions[name]
        asked, passage = question.text, f"{question.passage} {text}"
        if text.endswith("?"):  # asked in place of the question
            asked, passage = text, question.passage
        try:
            return await self._read(asked, passage, question.accepted)
        except (OSError, ValueError):  # its process ended
            return {"text": "", "score": 0.0, "right": None}

    # --- what pages show ---

    def voter_view(self, voter: str) -> dict[str, Any]:
        """The question and the voter's own vote; once revealed, its answer and all votes."""
        name = self.shown
        vote, view = self._votes.get(name, {}).get(voter), self._view(name)
        offered = [choice.text for choice in self.questions[name].choices]
        own = vote.choices if vote else ()
        view["yours"] = [offered.index(text) if offered else text for text in own]
        return view | (self._counts(name) if view["phase"] == "revealed" else {})

    def instructor_view(self) -> dict[str, Any]:
        """The question and all votes; once revealed, its answer."""
        name = self.shown
        view = self._view(name) | self._counts(name) | {"written": self.written}
        if view["kind"] == "open":
            view["said"] = [vote.choices[0] for vote in self._votes.get(name, {}).values()]
            texts = [""] * bool(view["passage"]) + self._allowed(name)
            view["allowed"] = {t: view["passage"] and self._reading(name, t) for t in texts}
        return view

    def _view(self, name: str) -> dict[str, Any]:
        """What everybody may know. Texts are pieces of `inline_pieces`, and so never markup."""
        question, of = self.questions[name], self._set_of[name]
        answers = [
            {"right": c.right, "verdict": question.verdict(c), "why": inline_pieces(c.why)}
            for c in question.choices
        ]
        phase = self.phase(name)
        revealed = phase == "revealed"
        return {
            "title": inline_pieces(of.title),
            "names": [other for other, one in self._set_of.items() if one is of],
            "id": name,
            "again": bool(self._votes.get(name + FIRST)),
            "phase": phase,
            "kind": question.kind,
            "passage": question.passage,
            "text": inline_pieces(question.text),
            "choices": [inline_pieces(choice.text) for choice in question.choices],
            "answers": answers if revealed else None,
            "why": inline_pieces(question.why) if revealed else None,
        }

    def _counts(self, name: str) -> dict[str, Any]:
        """The votes, and those before a discussion."""
        view, offered = {}, [choice.text for choice in self.questions[name].choices]
        for which, key in (("before", name + FIRST), ("now", name)):
            votes = self._votes.get(key, {}).values()
            counts = Counter(choice for vote in votes for choice in vote.choices)
            view[which] = {"counts": [counts[text] for text in offered], "voters": len(votes)}
        return view

    def csv(self) -> bytes:
        """All votes, a line for each choice of each voter, as Excel reads it everywhere.

        That is UTF-16 with tabs. No cell is a formula. Voters are numbered: by their ids others
        could vote in their place.
        """
        text = io.StringIO()
        table = csv.writer(text, "excel-tab")
        table.writerow(COLUMNS)
        numbers: defaultdict[str, int] = defaultdict(itertools.count(1).__next__)
        for vote in self._store.votes():
            name, first, _ = vote.question.partition(FIRST)
            quiz, key = name.split("/")
            asked = self.questions.get(name)
            place = (quiz, self._set_of[name].id, key, asked.text) if asked else (quiz, "", key, "")
            round_ = 1 + bool(not first and self._votes.get(name + FIRST))
            right = {c.text: str(c.right).lower() for c in asked.choices} if asked else {}
            for choice in vote.choices:
                row = (*place, round_, numbers[vote.voter], choice, right.get(choice, ""), vote.at)
                table.writerow(map(_cell, row))
        return text.getvalue().encode("utf-16")


def _cell(value: str | int) -> str:
    """What a spreadsheet shows as it is: an apostrophe goes before what it would compute."""
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _words(text: str) -> str:
    """An answer on one line, without characters that hide others."""
    words = "".join(filter(str.isprintable, " ".join(text.split())))
    if not any(map(str.isalnum, words)):
        raise Problem(400, "There is no word in it yet; type some.")
    if len(words) > ANSWER_CHARACTERS:
        raise Problem(400, f"At most {ANSWER_CHARACTERS} characters are taken; shorten it.")
    return words


def _chosen(numbers: Any, question: Question) -> tuple[str, ...]:
    """The texts of the choices with these numbers, in the question's order; or the words."""
    match numbers:
        case [str(text)] if question.kind == "open":
            return (_words(text),)
    if numbers == []:
        raise Problem(400, "Choose something first.")
    offered = range(len(question.choices))
    most = len(offered) if question.kind == "multiple" else 1
    if (
        not isinstance(numbers, list)
        or not all(type(i) is int and i in offered for i in numbers)
        or not len(numbers) == len({*numbers}) <= most
    ):
        raise Problem(400, MALFORMED)
    return tuple(question.choices[i].text for i in sorted(numbers))
