"""Find passages by keyword: an index of words, scored by BM25.

Light to import: bm25s is loaded by what needs it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from src.qa.documents import WITHOUT_BLANKS, Document, RetrievalError
from src.text import tokenize_words

# Chosen on the validation questions, by `benchmarks/bench_retrieval.py --choose`:
# how often a title counts beside its text, and BM25's two constants.
TITLE_TIMES, K1, B = 3, 1.5, 0.5


def keywords(text: str) -> list[str]:
    """The words of a text as the keyword index knows them.

    They are in lower case, without the s of a plural or a possessive: "Bees' wings, the country's
    cities" -> bee, wing, the, country, city. The rules are for English; other words mostly stay as
    they are. Where a script has no blanks between words, characters and pairs of neighbours are
    words too: 光合作 -> 光合作, 光, 合, 作, 光合, 合作.
    """
    words = [_singular(word) for word in tokenize_words(text)]
    runs = re.findall(f"[{WITHOUT_BLANKS}]+", text)
    return words + [run[i : i + n] for run in runs for n in (1, 2) for i in range(len(run) - n + 1)]


def _singular(word: str) -> str:
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


class KeywordIndex:
    """BM25: documents score by the question's words, rare ones more, repeated ones ever less.

    score(d) = sum over the question's words w of
        idf(w) * f / (f + K1 * (1 - B + B * length(d) / mean length)),
        idf(w) = ln(1 + (N - n + 0.5) / (n + 0.5)),
    where w occurs f times in d, and in n of N documents.
    Source: Robertson and Zaragoza 2009, idf as in Lucene; computed by the library bm25s.
    """

    def __init__(self, bm25):
        self._bm25 = bm25

    @classmethod
    def build(cls, documents: Sequence[Document]) -> KeywordIndex:
        """Count all words of all documents.

        Raises:
            RetrievalError: they hold none.
        """
        import bm25s

        ids: dict[str, int] = {}
        token_ids = []
        for document in documents:
            words = TITLE_TIMES * keywords(document.title) + keywords(document.text)
            token_ids.append([ids.setdefault(word, len(ids)) for word in words])
        if not ids:
            found = f"the {len(documents)} documents hold no words to search for"
            raise RetrievalError(f"{found}; pass some that do.")
        bm25 = bm25s.BM25(k1=K1, b=B, method="lucene")
        how = {"create_empty_token": False, "show_progress": False}
        bm25.index((token_ids, ids), **how)
        return cls(bm25)

    def scores(self, question: str) -> np.ndarray:
        """float32[N], the BM25 score of every document for a question."""
        words = list(dict.fromkeys(keywords(question)))  # each counts once
        return self._bm25.get_scores_from_ids(self._bm25.get_tokens_ids(words))
