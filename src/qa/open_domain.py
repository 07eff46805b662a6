"""Answer a question from everything that can be searched: find passages, read them, choose.

    answerer = WikipediaAnswerer.load()
    answerer.ask("What is the atomic number of oxygen?")  # OpenAnswer(text="8", title="Oxygen")

Light to import: torch is loaded with the reader.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from scipy.special import expit

from src import runtime
from src.qa.dense import Report
from src.qa.documents import Document, Folder, scan_folder
from src.qa.metrics import check_threshold
from src.qa.retriever import Hit, Retriever

if TYPE_CHECKING:
    from src.qa.answerer import QuestionAnswerer
    from src.qa.decoding import Answer

PASSAGES_READ = 5  # for an answer
# Chosen on the validation questions, by `benchmarks/bench_retrieval.py --choose`: what is left of
# the reader's odds with each rank further down, and the lowest score that is answered.
RANK_DISCOUNT = 0.3
OPEN_THRESHOLD = 0.9


@dataclass(frozen=True)
class OpenAnswer:
    """An answer and where it was found: text == passage[start:end], in the article `title`.

    A refusal has text, title and passage "" and start = end = 0; its scores are those of the best
    candidate.

    Attributes:
        file: where the passage is from, below the folder of texts; "" in Wikipedia.
        page: of this file, on which the answer begins, counted from 1; None where it has no pages.
        score: in [0, 1], of reading and retrieval together.
        reader_score: of the reader alone, see `reader_score`.
        retrieval_score: `Hit.score` of the passage.
        candidates: the best answer of each passage that was read, best first.
    """

    text: str
    start: int
    end: int
    title: str
    passage: str = field(repr=False)
    score: float
    reader_score: float
    retrieval_score: float
    candidates: tuple[OpenAnswer, ...] = field(default=(), repr=False)
    file: str = ""
    page: int | None = None

    @property
    def place(self) -> str:
        """File and page, as one reads them: "manual.pdf, page 7"."""
        return self.file if self.page is None else f"{self.file}, page {self.page}"

    @property
    def source(self) -> str:
        """Title and place."""
        return f"{self.title}, {self.place}" if self.file else self.title

    @property
    def null_score(self) -> float:
        """The probability, in [0, 1], that no passage holds an answer."""
        return 1 - self.score

    @property
    def is_refusal(self) -> bool:
        """Whether this says that no passage holds an answer."""
        return self.start == self.end

    @property
    def runners_up(self) -> tuple[OpenAnswer, ...]:
        """The candidates that were not taken, best first."""
        return self.candidates if self.is_refusal else self.candidates[1:]


class WikipediaAnswerer:
    """Answers a question from all that a retriever searches, or says that nothing there does.

    Args:
        retriever: finds the passages.
        reader: reads them.
        threshold: the lowest `score` that is answered.

    Attributes:
        texts: what `load` found in a folder of texts, read and unread; None without one.
    """

    texts: Folder | None = None

    def __init__(
        self, retriever: Retriever, reader: QuestionAnswerer, threshold: float = OPEN_THRESHOLD
    ):
        check_threshold(threshold)
        self.retriever, self.reader, self.threshold = retriever, reader, threshold

    @classmethod
    def load(
        cls,
        model: str | Path = "qa-minilm",
        documents: Iterable[Document] | None = None,
        texts: str | Path | None = None,
        folder: str | Path | None = None,
        report: Report | None = None,
    ) -> WikipediaAnswerer:
        """Load the reader and open the index, which is built on first use.

        Args:
            model: as `QuestionAnswerer.load` takes it.
            documents: such as `read_folder("my textbook")`; None is Wikipedia.
            texts: instead: a folder of .txt, .md, .html, .epub, .docx and .pdf files. A warning
                names those that cannot be read.
            folder, report: as in `Retriever.open`.

        Raises:
            ModelError, RetrievalError, AssetError: something cannot be read or written.
            ValueError: both documents and texts are given.
        """
        if documents is not None and texts is not None:
            raise ValueError("documents and texts are both given; pass one of them.")
        found = None if texts is None else scan_folder(texts)
        if found is not None:
            documents = found.documents
            if found.failed:
                warnings.warn(f"not read: {', '.join(found.failed)}", stacklevel=2)
        runtime.configure_libraries()  # before the import that reads the settings
        from src.qa.answerer import QuestionAnswerer

        reader = QuestionAnswerer.load(model)  # first: a wrong name should not cost a minute
        answerer = cls(Retriever.open(documents, folder=folder, report=report), reader)
        answerer.texts = found
        return answerer

    def ask(
        self, question: str, n: int = PASSAGES_READ, threshold: float | None = None
    ) -> OpenAnswer:
        """Search n passages, read them together, and give the best answer.

        Args:
            question: in words.
            n: how many passages to read.
            threshold: the lowest score that is answered; None is this answerer's.

        Raises:
            ValueError: a blank question, or a threshold outside [0, 1].
        """
        return self.ask_many([question], n, threshold)[0]

    def ask_many(
        self,
        questions: Sequence[str],
        n: int = PASSAGES_READ,
        threshold: float | None = None,
    ) -> list[OpenAnswer]:
        """One `OpenAnswer` per question; all passages are read together."""
        threshold = self.threshold if threshold is None else threshold
        check_threshold(threshold)
        hits = [self.retriever.search(question, n) for question in questions]
        pairs = zip(questions, hits, strict=True)
        asked = [question for question, found in pairs for _ in found]
        texts = [hit.text for found in hits for hit in found]
        read = self.reader(asked, texts, threshold=0.0, n_best=1) if texts else []
        answers = iter(read)  # of the first question's passages, then the next
        given = [list(itertools.islice(answers, len(found))) for found in hits]
        both = zip(hits, given, strict=True)
        return [_choose(found, answers, threshold) for found, answers in both]


def _choose(hits: Sequence[Hit], answers: Sequence[Answer], threshold: float) -> OpenAnswer:
    """The best of the answers in each passage, or a refusal."""
    found = []
    for rank, (hit, answer) in enumerate(zip(hits, answers, strict=True), 1):
        if answer.candidates:  # a passage without tokens has none
            span, sure = answer.candidates[0], reader_score(answer)
            scores = discounted_score(sure, rank), sure, hit.score
            answer = OpenAnswer(span.text, span.start, span.end, hit.title, hit.text, *scores)
            file, page = hit.document.file, hit.document.page_at(span.start)
            found.append(replace(answer, file=file, page=page))
    found.sort(key=lambda answer: -answer.score)  # of equal ones the one found first
    best = found[0] if found else OpenAnswer("", 0, 0, "", "", 0.0, 0.0, 0.0)
    if best.score < threshold:
        best = replace(best, text="", start=0, end=0, title="", passage="", file="", page=None)
    return replace(best, candidates=tuple(found))


def reader_score(answer: Answer) -> float:
    """How sure the reader is of its best span against no answer: sigmoid(logit - null_logit).

    It can be compared between passages: other spans of the same passage do not lower it, as they
    do `answer.score`. A passage without tokens has 0.
    """
    if not answer.candidates:
        return 0.0
    return float(expit(answer.candidates[0].logit - answer.null_logit))


def discounted_score(score: float, rank: int) -> float:
    """The reader's score, its odds discounted by the rank of the passage.

    odds = score / (1 - score) * RANK_DISCOUNT ** (rank - 1)
    """
    odds = score / max(1 - score, 1e-12) * RANK_DISCOUNT ** (rank - 1)
    return odds / (1 + odds)
