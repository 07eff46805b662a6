"""Find the passages that may answer a question, by keyword and by meaning.

    retriever = Retriever.open()                            # over Wikipedia's introductions
    retriever.search("Who found oxygen?", n=5)              # [Hit(title="Oxygen", ...), ...]
    retriever.add(read_folder("my textbook"))               # only what is new is computed

What is built is kept in `runtime.cache() / "retrieval"`, which can be deleted at any time. The
vectors of Wikipedia's introductions come with the course.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from src.qa.dense import DenseIndex
from src.qa.documents import Document, RetrievalError, unique_documents, wikipedia
from src.qa.index_folder import Report
from src.qa.keyword import KeywordIndex

By = Literal["keyword", "dense", "fused"]
Indexes = dict[str, KeywordIndex | DenseIndex]

# Chosen on the validation questions, by `benchmarks/bench_retrieval.py --choose`: the larger, the
# less the first few ranks stand out.
FUSION = 10
POOL = 100  # how far down each ranking a fusion looks


@dataclass(frozen=True)
class Hit:
    """A passage found.

    Attributes:
        number: of the document.
        score: by what was asked for, higher is better.
        scores, ranks: by each of "keyword" and "dense" that was used. Ranks begin at 1, and only
            the first POOL have one, or the first n where more were asked for.
    """

    number: int
    title: str
    text: str
    score: float
    scores: dict[str, float] = field(repr=False)
    ranks: dict[str, int]


def fuse(rankings: Iterable[Sequence[int]], constant: float = FUSION) -> dict[int, float]:
    """Join rankings by reciprocal rank fusion.

    A document gets 1 / (constant + rank) from every ranking it is in, ranks beginning at 1.
    Source: Cormack, Clarke and Buettcher 2009.

    Returns:
        document -> sum, highest first; of equal ones the lower number.
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

    Args:
        documents: what is searched.
        indexes: "keyword" and "dense", or one of them.
        folder: where `add` keeps what it builds.
    """

    def __init__(
        self, documents: Sequence[Document], indexes: Indexes, folder: str | Path | None = None
    ):
        self.documents, self.indexes = list(documents), indexes
        self._folder = folder

    @classmethod
    def open(
        cls,
        documents: Iterable[Document] | None = None,
        by: By = "fused",
        folder: str | Path | None = None,
        report: Report | None = None,
    ) -> Retriever:
        """Open the indexes of these documents, building what is not on disk.

        Args:
            documents: None is Wikipedia.
            by: "keyword" or "dense" opens one index only.
            folder: where they are kept; None is `runtime.cache() / "retrieval"`.
            report: is told of progress where vectors are computed (10 ms a passage).

        Raises:
            RetrievalError: there is nothing to search, or an index cannot be written.
        """
        _check_by(by)
        documents = wikipedia() if documents is None else unique_documents(documents)
        if not documents:
            nothing = "there are no documents to search"
            raise RetrievalError(f"{nothing}; pass some, or None for Wikipedia.")
        indexes: Indexes = {}
        if by in ("keyword", "fused"):
            indexes["keyword"] = KeywordIndex.open(documents, folder)
        if by in ("dense", "fused"):
            indexes["dense"] = DenseIndex.open(documents, folder, report)
        return cls(documents, indexes, folder)

    def search(self, question: str, n: int = 5, by: By | None = None) -> list[Hit]:
        """Find the n passages that most likely answer the question, best first.

        By keyword there can be fewer: only documents with one of its words are found.

        Args:
            question: in words.
            n: how many.
            by: "keyword", "dense" or "fused"; None uses all that was opened.

        Raises:
            ValueError: a blank question, or an index that was not opened.
        """
        question = checked_question(question)
        if by is not None:
            _check_by(by)
        kinds = list(self.indexes) if by in (None, "fused") else [by]
        if not set(kinds) <= self.indexes.keys() or (by == "fused" and len(kinds) < 2):
            opened = " and ".join(self.indexes)
            raise ValueError(f"this retriever was opened by {opened} alone; open it by 'fused'.")
        if n < 1:
            raise ValueError(f"n is {n}; ask for one passage at least.")
        scores = {kind: self.indexes[kind].scores(question) for kind in kinds}
        rankings = {kind: top_k(scores[kind], max(n, POOL)) for kind in kinds}
        if "keyword" in rankings:  # a document without any of the words was not found
            found = scores["keyword"] > 0
            rankings["keyword"] = [number for number in rankings["keyword"] if found[number]]
        ranks = {k: {doc: r for r, doc in enumerate(docs, 1)} for k, docs in rankings.items()}
        if len(kinds) > 1:
            totals = fuse(rankings.values())
        else:
            totals = {doc: float(scores[kinds[0]][doc]) for doc in rankings[kinds[0]]}
        hits = []
        for number, total in list(totals.items())[:n]:
            document = self.documents[number]
            its_scores = {kind: float(scores[kind][number]) for kind in kinds}
            its_ranks = {kind: ranks[kind][number] for kind in kinds if number in ranks[kind]}
            hits.append(Hit(number, document.title, document.text, total, its_scores, its_ranks))
        return hits

    def add(self, documents: Iterable[Document], report: Report | None = None) -> None:
        """Search these, too, from now on; vectors are computed for new ones only."""
        together = unique_documents([*self.documents, *documents])
        if together == self.documents:
            return
        indexes: Indexes = {}
        for kind, index in self.indexes.items():
            if isinstance(index, DenseIndex):  # its encoder is not loaded twice
                indexes[kind] = DenseIndex.open(together, self._folder, report, index.encoder)
            else:
                indexes[kind] = KeywordIndex.open(together, self._folder)
        # Only now: an interruption leaves all as it was.
        self.documents, self.indexes = together, indexes


def _check_by(by: str) -> None:
    if by not in get_args(By):
        raise ValueError(f"by is {by!r}; use 'keyword', 'dense' or 'fused'.")


def checked_question(question: str) -> str:
    """The question without blanks around it.

    Raises:
        ValueError: it is blank, or no text.
    """
    if not isinstance(question, str):
        raise ValueError(f"the question is {reprlib.repr(question)}; ask in words.")
    if not question.strip():
        raise ValueError("the question is blank; ask something.")
    try:
        question.encode()
    except UnicodeEncodeError as error:
        where = f"{error.reason} at character {error.start}"
        raise ValueError(f"the question is not readable as text ({where}); type it anew.") from None
    return question.strip()
