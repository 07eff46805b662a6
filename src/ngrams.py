"""Language models that count: which token follows which n - 1 tokens (notebook 05).

    model = NgramModel(data.tokenizer, data.rows["train"], order=4)
    model.score("Oxygen is a chemical element.").perplexity_per_word

Source: Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from src.language_models import DecodingState, LanguageModel
from src.subwords import BytePairTokenizer


@dataclass
class Level:
    """All runs of m tokens that occur, for one m, numbered from 0 to N - 1.

    keys: int64[N], rising: the number (in the level of m - 1) of all but the last token, times V, plus the last token
    counts: int64[N], how often it occurs, or how many different tokens it occurs after (see `count_ngrams`)
    totals, types: for each run of m - 1 tokens, the sum of the counts of what follows, and how many different tokens follow
    """

    keys: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    types: np.ndarray

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The numbers of these keys, -1 for one that does not occur."""
        places = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)

    def discount(self) -> float:
        """What Kneser-Ney takes off every count: n1 / (n1 + 2 n2), of n1 counts of one and n2 of two; 1/2 where no count is one."""
        n1, n2 = (int((self.counts == count).sum()) for count in (1, 2))
        return n1 / (n1 + 2 * n2) if n1 else 0.5


def count_ngrams(rows: Iterable[Sequence[int]], order: int, V: int, start_id: int, continuations: bool) -> list[Level]:
    """Count the runs of 1 to `order` tokens in texts; each text stands between order - 1 STARTs and one.

    continuations: of runs shorter than `order`, count after how many different tokens they occur, not how often: "Francisco" is
    frequent, but after one word only (Kneser and Ney 1995).
    """
    padded = [np.array([*[start_id] * (order - 1), *row, start_id]) for row in rows]
    if not padded:
        raise ValueError("there is no text to count; give at least one.")
    tokens = np.concatenate(padded)
    if tokens.max() >= V:
        raise ValueError(f"token {tokens.max()} is not among the {V} of this vocabulary; cut the texts with the same tokenizer.")
    predicted = np.concatenate([np.arange(len(text)) >= order - 1 for text in padded])  # the STARTs before a text are given
    all_keys: list[np.ndarray] = []
    all_counts: list[np.ndarray] = []
    numbers = np.zeros(len(tokens) + 1, dtype=np.int64)  # of the run of m - 1 tokens that begins at each place
    for m in range(1, order + 1):
        shorter = numbers
        keys, first, numbers = np.unique(shorter[:-1] * V + tokens[m - 1 :], return_index=True, return_inverse=True)
        counts = np.bincount(numbers[predicted[m - 1 :]], minlength=len(keys))
        if continuations and m > 1:
            without_first = shorter[first[counts > 0] + 1]  # every different run of m tokens, its first one left out
            all_counts[-1] = np.bincount(without_first, minlength=len(all_keys[-1]))
        all_keys.append(keys)
        all_counts.append(counts)
    levels, parents = [], 1
    for keys, counts in zip(all_keys, all_counts, strict=True):
        totals = np.bincount(keys // V, weights=counts, minlength=parents)
        types = np.bincount(keys // V, weights=counts > 0, minlength=parents)
        levels.append(Level(keys, counts, totals, types))
        parents = len(keys)
    return levels


class NgramModel(LanguageModel):
    """Counts which tokens follow which n - 1 tokens; for those it has not seen it asks ever shorter runs.

    rows: the training texts as tokens   order: n, the length of the runs: 1 looks at no token before
    smoothing: "kneser-ney" takes the same discount off every count, and what it saves goes to the next shorter run, down to
        1 / V; "add-k" adds k to every count of the longest runs and asks no shorter ones
    k: for "add-k"; 0 is maximum likelihood: what did not follow has probability 0, and after a run never seen all are equal
    Source: Chen and Goodman 1998, section 2 (add-k, interpolated Kneser-Ney with one discount per length).
    Raises ValueError for other settings, for no text at all, and for tokens of another vocabulary.
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
        self.levels = count_ngrams(rows, order, tokenizer.V, tokenizer.start_id, continuations=smoothing == "kneser-ney")
        self.discounts = [level.discount() for level in self.levels]

    @property
    def parameters(self) -> int:
        """The counts it keeps."""
        return sum(int((level.counts > 0).sum()) for level in self.levels)

    def mix(self, m: int, contexts: np.ndarray, counts: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """From the probabilities by runs of m - 1 tokens to those by runs of m tokens.

        contexts: the numbers of the m - 1 tokens before, -1 where they are unknown   counts: of the run with the token
        shorter: its probability by the shorter run.   All of one shape, which is returned, or contexts of shape [1].
        """
        level, discount = self.levels[m - 1], self.discounts[m - 1]
        totals = np.where(contexts < 0, 0, level.totals[contexts])
        if self.smoothing == "add-k":
            return self._add_k(counts, totals)
        saved = discount * level.types[contexts]  # for an unknown context any number: its total is 0, see below
        mixed = (np.maximum(counts - discount, 0) + saved * shorter) / np.maximum(totals, 1)
        return np.where(totals > 0, mixed, shorter)

    def _add_k(self, counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
        """The shares of counts with k added to each; where nothing was counted all tokens are equal."""
        V = self.tokenizer.V
        all_counts = totals + self.k * V
        return np.divide(counts + self.k, all_counts, out=np.full(np.broadcast(counts, totals).shape, 1 / V), where=all_counts > 0)

    def next_token_probs(self, token_ids: Sequence[int]) -> Tensor:
        V = self.tokenizer.V
        last = [*[self.tokenizer.start_id] * (self.order - 1), *token_ids][len(token_ids) :]  # the order - 1 tokens before
        probs = np.full(V, 1 / V)
        for m, level in enumerate(self.levels, start=1):
            context = np.array([0])
            # The number of the last m - 1 tokens, level by level.
            for shorter_level, token in zip(self.levels, last[len(last) - m + 1 :], strict=False):
                context = shorter_level.find(context * V + token)
            begin, end = np.searchsorted(level.keys, [context[0] * V, (context[0] + 1) * V])  # all that follows this context
            counts = np.zeros(V)
            counts[level.keys[begin:end] - context[0] * V] = level.counts[begin:end]
            probs = self.mix(m, context, counts, probs)
        return torch.from_numpy(probs)

    def read(self, state: DecodingState, token_ids: Sequence[int]) -> Tensor:
        state.token_ids += token_ids
        return self.next_token_probs(state.token_ids[1:]).log()

    def log_probs(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        return [self._log_probs(row) for row in rows]

    def _log_probs(self, token_ids: Sequence[int]) -> Tensor:
        """One row of `log_probs`, at all places at once."""
        V, T = self.tokenizer.V, len(token_ids)
        tokens = np.array([*[self.tokenizer.start_id] * (self.order - 1), *token_ids], dtype=np.int64)
        probs = np.full(T, 1 / V)
        numbers = np.zeros(len(tokens) + 1, dtype=np.int64)  # of the run of m - 1 tokens that begins at each place
        for m, level in enumerate(self.levels, start=1):
            contexts = numbers[:-1]
            numbers = level.find(contexts * V + tokens[m - 1 :])
            counts = np.where(numbers < 0, 0, level.counts[numbers])
            scored = slice(len(numbers) - T, None)  # the runs that end at a token of the text
            probs = self.mix(m, contexts[scored], counts[scored], probs)
        return torch.from_numpy(probs).log()
