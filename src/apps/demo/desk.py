"""What people ask, checked, and the answers in the shape the page shows them. Nothing here knows of HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from src.qa.calibration import Scaling
from src.text import tokenize_words

if TYPE_CHECKING:
    from src.qa.decoding import Answer
    from src.qa.open_domain import OpenAnswer, WikipediaAnswerer

QUESTION_CHARACTERS, PASSAGE_CHARACTERS = 500, 20_000
SHOWN = 5  # answers, the runners-up included
SPANS = 20  # of a passage of one's own, the best of which overlap each other

# Words that give a question's language away, and stand in few names ("von", "los"). One with some of the second kind and none of
# the first is not English.
ENGLISH = frozenset(
    tokenize_words(
        "what who whom whose where when which why how is are was were do does did has have had can could will would "
        "the a an of in on at to for from by with and or many much name tell"
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
NOT_ENGLISH = "This does not look like English, the only language the reader has learned: trust its answer less."


@dataclass(frozen=True)
class Question:
    """A question, and the passage to find its answer in; None: passages are searched for."""

    text: str
    passage: str | None = None


def checked(asked: object) -> Question:
    """The question in what a browser sent: {"question": text, "passage": text or None}.

    Raises ValueError with one sentence for the person who asked.
    """
    if not isinstance(asked, dict):
        raise ValueError("What arrived is not a question; reload the page and ask again.")
    question = _checked_text(asked.get("question"), "question", QUESTION_CHARACTERS)
    passage = asked.get("passage")
    return Question(question.strip(), None if passage is None else _checked_text(passage, "passage", PASSAGE_CHARACTERS))


def _checked_text(text: object, what: str, most: int) -> str:
    if not isinstance(text, str):
        raise ValueError(f"The {what} is not text; reload the page and ask again.")
    if not any(map(str.isalnum, text)):
        raise ValueError(f"There is no word in the {what} yet; type some.")
    if len(text) > most:
        raise ValueError(f"The {what} has {len(text):,} characters; at most {most:,} are read, so shorten it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"The {what} holds characters that are no text; type it anew.") from None
    return text


def looks_foreign(question: str) -> bool:
    """Whether most letters are of another alphabet, or some of the words are of another language and none are English."""
    letters = [letter for letter in question if letter.isalpha()]
    if 2 * sum(letter > "\u024f" for letter in letters) > len(letters):  # beyond Latin with its accents
        return True
    words = set(tokenize_words(question))
    return bool(words & FOREIGN) and not words & (ENGLISH - FOREIGN)


class Desk:
    """Answers questions, several at a time, with everything the page needs to decide and to show.

    answerer: searches and reads   search: what makes its scores true for passages that are found; it leaves the order of answers,
    and so every decision, as it is. For a passage given, the reader's scores are taken as they are.
    """

    def __init__(self, answerer: WikipediaAnswerer, search: Scaling | None = None):
        self.answerer = answerer
        self._search = search or Scaling()

    @property
    def thresholds(self) -> dict[str, float]:
        """How sure an answer has to be, in [0, 1], unless the person at the page says otherwise."""
        return {
            "search": float(self._search(self.answerer.threshold)),
            "passage": float(self.answerer.reader.threshold),
        }

    def answer(self, questions: Sequence[Question]) -> list[dict[str, Any]]:
        """For each question {"candidates": [...], "note": one sentence or ""}, in their order.

        candidates: best first, none refused: that is decided on the page. Each has text, the passage's title ("" for one's own),
        what stands before and after the answer in it, and score in [0, 1].
        """
        searched = [question.text for question in questions if question.passage is None]
        given = [question for question in questions if question.passage is not None]
        found = iter(self.answerer.ask_many(searched, n=SHOWN, threshold=0.0) if searched else [])
        texts, passages = [question.text for question in given], [question.passage for question in given]
        read = iter(self.answerer.reader(texts, passages, threshold=0.0, n_best=SPANS) if given else [])
        results = []
        for question in questions:
            candidates = self._found(next(found)) if question.passage is None else self._read(next(read), question.passage)
            results.append({"candidates": candidates, "note": NOT_ENGLISH if looks_foreign(question.text) else ""})
        return results

    def _found(self, answer: OpenAnswer) -> list[dict[str, Any]]:
        return [_shown(found, found.passage, found.title, float(self._search(found.score))) for found in answer.candidates]

    def _read(self, answer: Answer, passage: str) -> list[dict[str, Any]]:
        return [_shown(candidate, passage, "", candidate.score) for candidate in _apart(answer.candidates)]


def _apart(candidates: Iterable[Any]) -> list[Any]:
    """The best spans that do not overlap a better one: "8", but then neither "number 8" nor "8."."""
    kept: list[Any] = []
    for candidate in candidates:
        if all(candidate.end <= other.start or other.end <= candidate.start for other in kept):
            kept.append(candidate)
    return kept[:SHOWN]


def _shown(span: Any, passage: str, title: str, score: float) -> dict[str, Any]:
    """An answer for the page: in three pieces of text, since a browser counts characters in another way than Python."""
    return {"text": span.text, "title": title, "before": passage[: span.start], "after": passage[span.end :], "score": score}
