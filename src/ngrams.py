"""Language models that count: which token follows which n - 1 tokens.

    model = NgramModel(data.tokenizer, data.rows["train"], order=4)
    model.score("Oxygen is a chemical element.").perplexity_per_word

Source: Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from src.language_models import DecodingState, LanguageModel
from src.subwords import BytePairTokenizer


@dataclass
class NgramTable:
    """All m-grams that occur, for one m, numbered from 0 to N - 1.

    Attributes:
        keys: int64[N], rising: the number of the first m - 1 tokens (in the table of m - 1),
            times V, plus the last token.
        counts: int64[N]; see `count_ngrams`.
        totals: for each (m - 1)-gram, the sum of the counts of what follows.
        types: for each (m - 1)-gram, how many different tokens follow.
    """

    keys: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    types: np.ndarray

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The numbers of these keys, -1 where one does not occur."""
        places = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)

    def discount(self) -> float:
        """What Kneser-Ney takes off every count; n1 and n2: how many counts are one and two."""
        n1, n2 = (int((self.counts == count).sum()) for count in (1, 2))
        return n1 / (n1 + 2 * n2) if n1 else 0.5


def count_ngrams(
    rows: Iterable[Sequence[int]], order: int, V: int, start_id: int, continuations: bool
) -> list[NgramTable]:
    """Count the m-grams of texts for every m from 1 to `order`.

    Args:
        rows: the texts as tokens. Each gets order - 1 STARTs in front and one at its end.
        continuations: for m below `order`, count after how many different tokens each m-gram
            occurs, not how often (Kneser and Ney 1995).
    """
    padded = [np.array([*[start_id] * (order - 1), *row, start_id]) for row in rows]
    tokens = np.concatenate(padded)
    if tokens.max() >= V:
        found = f"token {tokens.max()} is not among the {V} of this vocabulary"
        raise ValueError(f"{found}; cut the texts with the same tokenizer.")
    # The STARTs in front of a text are not predicted.
    predicted = np.concatenate([np.arange(len(text)) >= order - 1 for text in padded])
    all_keys: list[np.ndarray] = []
    all_counts: list[np.ndarray] = []
    numbers = np.zeros(len(tokens) + 1, dtype=np.int64)  # of the (m - 1)-gram from each place on
    for m in range(1, order + 1):
        shorter = numbers
        keys, first, numbers = np.unique(
            shorter[:-1] * V + tokens[m - 1 :], return_index=True, return_inverse=True
        )
        counts = np.bincount(numbers[predicted[m - 1 :]], minlength=len(keys))
        if continuations and m > 1:
            without_first = shorter[first[counts > 0] + 1]  # of every different m-gram
            all_counts[-1] = np.bincount(without_first, minlength=len(all_keys[-1]))
        all_keys.append(keys)
        all_counts.append(counts)
    tables, contexts = [], 1
    for keys, counts in zip(all_keys, all_counts, strict=True):
        totals = np.bincount(keys // V, weights=counts, minlength=contexts)
        types = np.bincount(keys // V, weights=counts > 0, minlength=contexts)
        tables.append(NgramTable(keys, counts, totals, types))
        contexts = len(keys)
    return tables


class NgramModel(LanguageModel):
    """Counts which token follows which n - 1 tokens.

    Chen and Goodman 1998, section 2: add-k, and interpolated Kneser-Ney with one discount
    per length.

    Args:
        rows: the training texts as tokens.
        order: n, the length of the runs; 1 looks at no token before.
        smoothing: "kneser-ney" takes the same discount off every count and gives what it
            saves to the next shorter run, down to 1 / V. "add-k" adds k to every count of
            the longest runs and asks no shorter ones.
        k: for "add-k"; 0 is maximum likelihood: what did not follow has probability 0, and
            after an unseen run all tokens are equal.
    """

    def __init__(
        self,
        tokenizer: BytePairTokenizer,
        rows: Iterable[Sequence[int]],
        order: int = 4,
        smoothing: Literal["kneser-ney", "add-k"] = "kneser-ney",
        k: float = 0.0,
    ):
        if order < 1:
            raise ValueError(f"the order is {order}; it is the length of the runs, 1 or more.")
        if smoothing not in ("kneser-ney", "add-k"):
            raise ValueError(f"there is no smoothing {smoothing!r}; take 'kneser-ney' or 'add-k'.")
        if k < 0 or (k and smoothing == "kneser-ney"):
            raise ValueError(f"k is {k} with {smoothing}; it is 0 or more, and only for 'add-k'.")
        self.tokenizer, self.order, self.smoothing, self.k = tokenizer, order, smoothing, k
        continuations = smoothing == "kneser-ney"
        self.tables = count_ngrams(rows, order, tokenizer.V, tokenizer.start_id, continuations)
        self.discounts = [table.discount() for table in self.tables]
        self.parameters = sum(int((table.counts > 0).sum()) for table in self.tables)

    def mix(
        self, m: int, contexts: np.ndarray, counts: np.ndarray, shorter: np.ndarray
    ) -> np.ndarray:
        """From the probabilities by runs of m - 1 tokens to those by m tokens.

        Args:
            m: length of the runs.
            contexts: numbers of the m - 1 tokens before, -1 where unknown; one
                may serve all counts.
            counts: of each context with its token.
            shorter: the token's probability by the shorter run.
        """
        table, discount = self.tables[m - 1], self.discounts[m - 1]
        totals = np.where(contexts < 0, 0, table.totals[contexts])
        if self.smoothing == "add-k":
            return self._add_k(counts, totals)
        saved = discount * table.types[contexts]  # unused if unknown: total 0
        kept = np.maximum(counts - discount, 0)
        mixed = (kept + saved * shorter) / np.maximum(totals, 1)
        return np.where(totals > 0, mixed, shorter)

    def _add_k(self, counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
        """The shares of counts with k added to each; all equal where nothing was counted."""
        V = self.tokenizer.V
        totals = totals + self.k * V
        equal = np.full(np.broadcast(counts, totals).shape, 1 / V)
        return np.divide(counts + self.k, totals, out=equal, where=totals > 0)

    def _after_start(self, token_ids: Sequence[int]) -> list[int]:
        return [*[self.tokenizer.start_id] * (self.order - 1), *token_ids]

    def next_token_probs(self, token_ids: Sequence[int]) -> Tensor:
        V = self.tokenizer.V
        last = self._after_start(token_ids)[len(token_ids) :]  # the order - 1 tokens before
        probs = np.full(V, 1 / V)
        for m, table in enumerate(self.tables, start=1):
            context = np.array([0])  # the number of the last m - 1 tokens, table by table
            for shorter, token in zip(self.tables, last[len(last) - m + 1 :], strict=False):
                context = shorter.find(context * V + token)
            # All that follows this context.
            begin, end = np.searchsorted(table.keys, [context[0] * V, (context[0] + 1) * V])
            counts = np.zeros(V)
            counts[table.keys[begin:end] - context[0] * V] = table.counts[begin:end]
            probs = self.mix(m, context, counts, probs)
        return torch.from_numpy(probs)

    def read(self, state: DecodingState, token_ids: Sequence[int]) -> Tensor:
        state.token_ids += token_ids
        return self.next_token_probs(state.token_ids[1:]).log()

    def log_probs(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        return [self._log_probs(row) for row in rows]

    def _log_probs(self, token_ids: Sequence[int]) -> Tensor:
        V, T = self.tokenizer.V, len(token_ids)
        tokens = np.array(self._after_start(token_ids), dtype=np.int64)
        probs = np.full(T, 1 / V)
        numbers = np.zeros(len(tokens) + 1, dtype=np.int64)  # as in `count_ngrams`
        for m, table in enumerate(self.tables, start=1):
            contexts = numbers[:-1]
            numbers = table.find(contexts * V + tokens[m - 1 :])
            counts = np.where(numbers < 0, 0, table.counts[numbers])
            scored = slice(len(numbers) - T, None)  # the runs that end at a token of the text
            probs = self.mix(m, contexts[scored], counts[scored], probs)
        return torch.from_numpy(probs).log()
