"""What people ask, checked, and the answers as the page shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from src.apps.web.server import Problem
from src.text import tokenize_words

if TYPE_CHECKING:
    from src.qa.open_domain import WikipediaAnswerer

QUESTION_CHARACTERS, PASSAGE_CHARACTERS = 500, 20_000
ANSWERS_SHOWN = 5  # the runners-up included
SPANS_READ = 20  # of a passage of one's own, the best of which overlap each other
QUEUE = 200  # questions that may wait
BUSY = "More people are asking than can be answered; try again in a moment."

# Words that give a question's language away and are in few names ("von" and "los" are in many).
ENGLISH = frozenset(
    tokenize_words(
        "what who whom whose where when which why how is are was were do does did has have had can "
        "could will would the a an of in on at to for from by with and or many much name tell"
    )
)
FOREIGN = frozenset(
    tokenize_words(
        "que qui quoi quel quelle quels quelles où quand comment pourquoi combien est sont dans "
        "qué quién quiénes cuál cuándo dónde cómo cuánto cuántos es son una "
        "wer was wo wann wie warum welche welcher welches ist sind ein eine und "
        "che chi quale quando perché quanto è sono nel della"
    )
)
NOT_ENGLISH = (
    "This does not look like English, the only language the reader has learned: "
    "trust its answer less."
)


@dataclass(frozen=True)
class Query:
    """A question, and the passage to find its answer in; None: passages are searched for."""

    question: str
    passage: str | None = None


def parse_query(asked: Any) -> Query:
    """The query in what a page sent: {"question": text, "passage": text or None}; or a Problem."""
    match asked:
        case {"question": str() as question, "passage": None | str() as passage}:
            query = _checked(question, "question", QUESTION_CHARACTERS).strip()
            if passage is None:
                return Query(query)
            return Query(query, _checked(passage, "passage", PASSAGE_CHARACTERS))
    raise Problem(400, "What arrived is not a question; reload the page and ask again.")


def _checked(text: str, what: str, most: int) -> str:
    if not any(map(str.isalnum, text)):
        raise Problem(400, f"There is no word in the {what} yet; type some.")
    if len(text) > most:
        count = f"The {what} has {len(text):,} characters"
        raise Problem(400, f"{count}; at most {most:,} are read, so shorten it.")
    return text.encode(errors="replace").decode()  # a lone surrogate is no text


def looks_foreign(question: str) -> bool:
    """Whether most letters are of another alphabet, or some words foreign and none English."""
    letters = [letter for letter in question if letter.isalpha()]
    if 2 * sum(letter > "\u024f" for letter in letters) > len(letters):  # beyond Latin
        return True
    words = set(tokenize_words(question))
    return bool(words & FOREIGN) and not words & (ENGLISH - FOREIGN)


class AnswerService:
    """Answers queries one after another, with all that the page needs to decide and to show."""

    def __init__(self, answerer: WikipediaAnswerer):
        self.answerer = answerer
        self._reading = ThreadPoolExecutor(1, "reader")  # beside the event loop
        self._waiting = 0

    @property
    def thresholds(self) -> dict[str, float]:
        """How sure an answer has to be, in [0, 1], until the person at the page moves it."""
        return {
            "search": float(self.answerer.threshold),
            "passage": float(self.answerer.reader.threshold),
        }

    async def ask(self, query: Query) -> dict[str, Any]:
        """What `answer` gives, in its turn. Cancelled while it waits, it is never read.

        Raises:
            Problem: too many wait.
        """
        if self._waiting >= QUEUE:
            raise Problem(503, BUSY)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._reading, self.answer, query)
        finally:
            self._waiting -= 1

    def answer(self, query: Query) -> dict[str, Any]:
        """Candidates and a note, a sentence or "", for a query.

        Candidates are the best first, none refused: that is decided on the page. They have text,
        the passage's title and its place, such as "manual.pdf, page 7" ("" for one's own), what is
        before and after the text in it, and score in [0, 1].
        """
        if query.passage is None:
            answer = self.answerer.ask(query.question, threshold=0.0)
            found = answer.candidates[:ANSWERS_SHOWN]
            candidates = [_shown(span, span.passage, span.title, span.place) for span in found]
        else:
            read = self.answerer.reader
            spans = read(query.question, query.passage, threshold=0.0, n_best=SPANS_READ).candidates
            candidates = [_shown(span, query.passage) for span in _without_overlaps(spans)]
        note = NOT_ENGLISH if looks_foreign(query.question) else ""
        return {"candidates": candidates, "note": note}


def _without_overlaps(spans: Sequence[Any]) -> list[Any]:
    """The best spans without those that overlap a better one: "8", but then not "number 8"."""
    kept: list[Any] = []
    for span in spans:
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return kept[:ANSWERS_SHOWN]


def _shown(span: Any, passage: str, title: str = "", place: str = "") -> dict[str, Any]:
    """In three pieces of text, since a browser counts characters in another way than Python."""
    before, after = passage[: span.start], passage[span.end :]
    place_of = {"title": title, "place": place, "before": before, "after": after}
    return {"text": span.text, "score": span.score} | place_of
