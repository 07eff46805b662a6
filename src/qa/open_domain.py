"""Answer a question from everything that can be searched: find passages, read them, choose.

    answerer = WikipediaAnswerer.load()
    answerer.ask("What is the atomic number of oxygen?")  # OpenAnswer(text="8", title="Oxygen")

Light to import: torch is loaded with the reader.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from src import runtime
from src.qa.calibration import Scaling
from src.qa.dense import Report
from src.qa.documents import Document, Folder, scan_folder
from src.qa.metrics import agreement, check_threshold, share_of_rest
from src.qa.retriever import Hit, Retriever

if TYPE_CHECKING:
    from src.qa.answerer import QuestionAnswerer
    from src.qa.decoding import Answer, Candidate

PASSAGES_READ, SPANS_READ = 10, 5  # for an answer, and of each passage
# What speaks for a span and for none, see `support`; how sure one has to be. Chosen on development
# questions, by `benchmarks/bench_retrieval.py --choose`.
LOGIT, NULL, RANK, NONE = 0.46, 0.22, 1.06, 1.48
OPEN_THRESHOLD = 0.5


@dataclass(frozen=True)
class OpenAnswer:
    """An answer and where it was found: text == passage[start:end], in the article `title`.

    A refusal has text, title and passage "" and start = end = 0; its scores are those of the best
    candidate.

    Attributes:
        file, page: where the passage is from, below the folder of texts ("" in Wikipedia), and on
            which page, from 1, the answer begins; None where it has no pages.
        score: the probability, in [0, 1], that it is right.
        reader_score: the same, had the reader been given this passage alone.
        retrieval_score: `Hit.score` of the passage.
        candidates: the best answer of each passage that was read, best first.
        null_score: the probability, in [0, 1], that no passage holds an answer.
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
    null_score: float = 1.0

    @property
    def place(self) -> str:
        """File and page, as one reads them: "manual.pdf, page 7"."""
        return self.file if self.page is None else f"{self.file}, page {self.page}"

    @property
    def source(self) -> str:
        """Title and place."""
        return f"{self.title}, {self.place}" if self.file else self.title

    @property
    def is_refusal(self) -> bool:
        """Whether this says that no passage holds an answer."""
        return self.start == self.end

    @property
    def runners_up(self) -> tuple[OpenAnswer, ...]:
        """The candidates that were not taken, best first."""
        return self.candidates if self.is_refusal else self.candidates[1:]


REFUSED = {"text": "", "start": 0, "end": 0, "title": "", "passage": "", "file": "", "page": None}
NOTHING = OpenAnswer("", 0, 0, "", "", 0.0, 0.0, 0.0)


class WikipediaAnswerer:
    """Answers a question from all that a retriever searches, or says that nothing there does.

    Attributes:
        threshold: the lowest `score` that is answered.
        scaling: makes scores of searched passages true.
        texts: what `load` found in a folder of texts, read and unread; None without one.
    """

    texts: Folder | None = None

    def __init__(
        self,
        retriever: Retriever,
        reader: QuestionAnswerer,
        threshold: float = OPEN_THRESHOLD,
        scaling: Scaling | None = None,
    ):
        check_threshold(threshold)
        self.retriever, self.reader, self.threshold = retriever, reader, threshold
        self.scaling = scaling or Scaling()

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
            documents: what to search; None is Wikipedia.
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
        from src.qa.models import scaling_of

        reader = QuestionAnswerer.load(model)  # first: a wrong name should not cost a minute
        scaling = scaling_of(reader.card.get("calibration", {}).get("search", {}))
        searched = Retriever.open(documents, folder=folder, report=report)
        answerer = cls(searched, reader, scaling=scaling)
        answerer.texts = found
        return answerer

    def ask(
        self, question: str, n: int = PASSAGES_READ, threshold: float | None = None
    ) -> OpenAnswer:
        """Search n passages, read them together, and give the best answer.

        `threshold` is the lowest score that is answered; None is this answerer's.

        Raises:
            ValueError: a blank question, or a threshold outside [0, 1].
        """
        return self.ask_many([question], n, threshold)[0]

    def ask_many(
        self, questions: Sequence[str], n: int = PASSAGES_READ, threshold: float | None = None
    ) -> list[OpenAnswer]:
        """One `OpenAnswer` per question; all passages are read together."""
        threshold = self.threshold if threshold is None else threshold
        check_threshold(threshold)
        hits = [self.retriever.search(question, n) for question in questions]
        pairs = zip(questions, hits, strict=True)
        asked = [question for question, found in pairs for _ in found]
        texts = [hit.text for found in hits for hit in found]
        read = self.reader(asked, texts, threshold=0.0, n_best=SPANS_READ) if texts else []
        answers = iter(read)  # of the first question's passages, then the next
        given = [list(itertools.islice(answers, len(found))) for found in hits]
        both = zip(hits, given, strict=True)
        how = threshold, self.scaling
        return [choose(found, answers, *how) for found, answers in both]


def choose(
    hits: Sequence[Hit],
    answers: Sequence[Answer],
    threshold: float,
    scaling: Scaling,
) -> OpenAnswer:
    """The best of the answers in all passages, or a refusal.

    One softmax over the spans of all passages and "none". What speaks for an
    answer is the sum of the shares of all that agree with it, also in other
    passages.

    Args:
        hits: the passages, the likest first.
        answers: what the reader marked in each, without a threshold.
        threshold: the lowest score that is answered.
        scaling: from the sum of shares to the score.
    """
    spans, logits = [], [NONE]
    for rank, (hit, answer) in enumerate(zip(hits, answers, strict=True), 1):
        for span in answer.candidates:
            spans.append((rank, hit, answer, span))
            logits.append(support(span.logit, answer.null_logit, rank))
    none, *shares = softmax(logits)
    agreed = agreement([span.text for *_, span in spans], np.array(shares))
    scores, found = scaling(agreed), {}
    for place in np.argsort(-np.array(shares), kind="stable"):
        (rank, *read), score = spans[place], float(scores[place])
        null = share_of_rest(none, agreed[place], score)
        found.setdefault(rank, _open_answer(*read, score, null))
    candidates = tuple(found.values())
    best = candidates[0] if candidates else NOTHING
    if best.score < threshold:
        best = replace(best, **REFUSED)
    return replace(best, candidates=candidates)


def _open_answer(
    hit: Hit, answer: Answer, span: Candidate, score: float, null: float
) -> OpenAnswer:
    place = {"file": hit.document.file, "page": hit.document.page_at(span.start)}
    scores = score, answer.score, hit.score
    found = OpenAnswer(span.text, span.start, span.end, hit.title, hit.text, *scores, **place)
    return replace(found, null_score=null)


def support(logit: float, null_logit: float, rank: int) -> float:
    """How much speaks for a span, as a logit that can be compared between passages.

    `logit` is the span's, start and end together, `null_logit` that of no answer in its passage;
    the passage found first has rank 1.
    """
    return LOGIT * logit - NULL * null_logit - RANK * math.log(rank)
