"""Find the passages that may answer a question, by keyword and by meaning.

    retriever = Retriever.open()                            # over Wikipedia's introductions
    retriever.search("Who found oxygen?", n=5)              # hits, the best first
    Retriever.open(scan_folder("my textbook").documents)    # only what is new is computed

Vectors are kept in `runtime.cache() / "retrieval"`, which can be deleted at any time. Those of
Wikipedia's introductions come with the course.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.qa.dense import DenseIndex, Report
from src.qa.documents import Document, RetrievalError, unique_documents, wikipedia
from src.qa.keyword import KeywordIndex
from src.text import check_text

# How to search, and the indexes that takes.
WAYS = {"keyword": ("keyword",), "dense": ("dense",), "fused": ("keyword", "dense")}
Indexes = dict[str, KeywordIndex | DenseIndex]

# Chosen on the validation questions, by `benchmarks/bench_retrieval.py --choose`: the larger, the
# less the first few ranks stand out.
FUSION = 10
POOL = 100  # how far down each ranking a fusion looks


@dataclass(frozen=True)
class Hit:
    """A passage found: the document's number, and its score by what was asked for."""

    number: int
    document: Document
    score: float

    @property
    def title(self) -> str:
        """The document's title."""
        return self.document.title

    @property
    def text(self) -> str:
        """The document's text."""
        return self.document.text


def fuse(rankings: Iterable[Iterable[int]], constant: float = FUSION) -> dict[int, float]:
    """Join rankings by reciprocal rank fusion: document -> sum, highest first.

    A document gets 1 / (constant + rank) from every ranking it is in, ranks beginning at 1; of
    equal ones the lower number comes first. Source: Cormack, Clarke and Buettcher 2009.
    """
    totals: dict[int, float] = {}
    for ranking in rankings:
        for rank, number in enumerate(ranking, 1):
            totals[number] = totals.get(number, 0.0) + 1 / (constant + rank)
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def top_k(scores: np.ndarray, k: int) -> list[int]:
    """The numbers of the k highest scores, highest first; of equal ones the lower number."""
    k = min(k, len(scores))
    limit = np.partition(scores, -k)[-k]
    candidates = np.flatnonzero(scores >= limit)
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k].tolist()


class Retriever:
    """Finds passages by keyword, by meaning ("dense"), or by both. `Retriever.open()` makes one.

    `indexes` holds "keyword" and "dense", or one of them.
    """

    def __init__(self, documents: Sequence[Document], indexes: Indexes):
        self.documents, self.indexes = list(documents), indexes

    @classmethod
    def open(
        cls,
        documents: Iterable[Document] | None = None,
        by: str = "fused",
        folder: str | Path | None = None,
        report: Report | None = None,
    ) -> Retriever:
        """Index these documents; None is Wikipedia.

        Args:
            by: "keyword" or "dense" makes one index only.
            folder: where vectors are kept; None is `runtime.cache() / "retrieval"`.
            report: is told of progress where vectors are computed (10 ms a passage).

        Raises:
            RetrievalError: there is nothing to search, or vectors cannot be written.
        """
        kinds = _indexes_for(by)
        documents = wikipedia() if documents is None else unique_documents(documents)
        if not documents:
            nothing = "there are no documents to search"
            raise RetrievalError(f"{nothing}; pass some, or None for Wikipedia.")
        indexes: Indexes = {}
        if "keyword" in kinds:
            indexes["keyword"] = KeywordIndex.build(documents)
        if "dense" in kinds:
            indexes["dense"] = DenseIndex.open(documents, folder, report)
        return cls(documents, indexes)

    def search(self, question: str, n: int = 5, by: str | None = None) -> list[Hit]:
        """Find the n passages that most likely answer the question, best first.

        By keyword there can be fewer: only documents with one of its words are found.

        Args:
            by: "keyword", "dense" or "fused"; None uses all that was opened.

        Raises:
            ValueError: a blank question, or an index that was not opened.
        """
        question = checked_question(question)
        kinds = self.indexes.keys() if by is None else _indexes_for(by)
        if not self.indexes.keys() >= set(kinds):
            opened = " and ".join(self.indexes)
            raise ValueError(f"this retriever was opened by {opened} alone; open it by 'fused'.")
        if n < 1:
            raise ValueError(f"n is {n}; ask for one passage at least.")
        rankings = [self._ranking(kind, question, max(n, POOL)) for kind in kinds]
        scores = fuse(rankings) if len(rankings) > 1 else rankings[0]
        return [Hit(number, self.documents[number], scores[number]) for number in list(scores)[:n]]

    def _ranking(self, kind: str, question: str, k: int) -> dict[int, float]:
        scores = self.indexes[kind].scores(question)
        ranking = {number: float(scores[number]) for number in top_k(scores, k)}
        if kind == "keyword":  # a document without any of the words was not found
            ranking = {number: score for number, score in ranking.items() if score > 0}
        return ranking


def _indexes_for(by: str) -> tuple[str, ...]:
    if by not in WAYS:
        raise ValueError(f"by is {by!r}; use 'keyword', 'dense' or 'fused'.")
    return WAYS[by]


def checked_question(question: str) -> str:
    """The question without blanks around it.

    Raises:
        ValueError: it is blank, or no text.
    """
    try:
        check_text(question, "the question").encode()
    except UnicodeEncodeError as error:
        where = f"{error.reason} at character {error.start}"
        raise ValueError(f"the question is not readable as text ({where}); type it anew.") from None
    return question.strip()
