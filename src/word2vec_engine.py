"""The fast way through a text for `src.word2vec`: blocks of words instead of single pairs.

Pair by pair, a computer spends its time on fetching vectors. So the text is cut into blocks, and
every centre of a block is scored with every word in and around it in one matrix product; a mask
says which of these pairs count. All pairs of a step share their negatives.

Source: Ji, Satish, Li and Dubey 2016, "Parallelizing word2vec in shared and distributed memory".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from src.text import Vocabulary

Architecture = Literal["skipgram", "cbow"]

# More words in a step: faster, until the vectors of frequent words move too far at once.
BLOCK = 32  # words in a row, whose windows are scored in one matrix product
BLOCKS_PER_STEP = 32
LEAST_STEPS = 50  # per pass, with fewer blocks in each where a text is small
SHARED_NEGATIVES = 256  # per step, each counting for less; with few, the loss rises at first


def cut_blocks(
    token_ids: np.ndarray,
    sentences: np.ndarray,
    reach: np.ndarray,
    chosen: np.ndarray,
    window: int,
    L: int = BLOCK,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Some of the blocks of a text, each with the words around it.

    Args:
        token_ids, sentences, reach: int64[n], the words of the text, the number of the sentence of
            each, and how far its window reaches, from 1 to `window`.
        chosen: int64[R], numbers of blocks; block b begins with word b * L.

    Returns:
        centres int64[R, L], contexts int64[R, L + 2 * window] (the same words and `window` more
        on either side), and pairs bool[R, L, L + 2 * window], which centre goes with which
        context. What is beyond the text is in no pair.
    """
    places = chosen[:, None] * L + np.arange(-window, L + window)
    real = (places >= 0) & (places < len(token_ids))
    places, middle = places.clip(0, len(token_ids) - 1), slice(window, window + L)
    contexts, around = token_ids[places], np.where(real, sentences[places], -1)
    distance = abs(np.arange(-window, L + window) - np.arange(L)[:, None])
    near = (distance > 0) & (distance <= reach[places[:, middle], None])
    same_sentence = around[:, middle, None] == around[:, None, :]
    pairs = near & same_sentence & real[:, middle, None]
    return contexts[:, middle], contexts, pairs


@dataclass
class Batch:
    """What one step learns from.

    Attributes:
        centres, contexts: int64[R, L], int64[R, C].
        pairs: float[R, L, C], 1 where a centre goes with a context, else 0.
        noise: int64[K], the negatives, shared by all pairs.
        epoch: passes over the text before this step, such as 1.25.
    """

    centres: Tensor
    contexts: Tensor
    pairs: Tensor
    noise: Tensor
    epoch: float

    def targets(self, architecture: Architecture) -> int:
        """How many words it predicts: skip-gram one per pair, CBOW one per centre that has one."""
        if architecture == "skipgram":
            return int(self.pairs.sum())
        return int(self.pairs.any(-1).sum())


@dataclass
class EncodedText:
    """A text as numbers.

    Attributes:
        token_ids: int64[n], the words that are in the vocabulary, sentence after sentence.
        sentences: int64[n], the number of the sentence of each.
        words: how many the text had, with those left out.
    """

    token_ids: np.ndarray
    sentences: np.ndarray
    words: int

    @classmethod
    def read(cls, sentences: Iterable[Sequence[str]], vocabulary: Vocabulary) -> EncodedText:
        """Encode sentences, leaving out words that are not in the vocabulary."""
        token_ids, lengths, words = [], [], 0
        for sentence in sentences:
            known = vocabulary.encode(sentence, unknown="drop")
            token_ids.extend(known)
            lengths.append(len(known))
            words += len(sentence)
        numbers = np.repeat(np.arange(len(lengths)), lengths)
        return cls(np.array(token_ids, dtype=np.int64), numbers, words)

    def batches(
        self, window: int, keep: np.ndarray, noise: np.ndarray, rng: np.random.Generator
    ) -> Iterator[Batch]:
        """Pass after pass over the text, without end, all drawn by `rng`.

        In each pass words are thinned out and reaches, up to `window`, drawn anew, and blocks come
        in a new order. `keep` and `noise`, float64[V], are of `subsampling_keep` and
        `noise_distribution`.
        """
        keep, noise_sums = keep[self.token_ids], noise.cumsum()[:-1]
        for epoch in itertools.count():
            kept = rng.random(len(keep)) < keep
            token_ids, sentences = self.token_ids[kept], self.sentences[kept]
            reach = rng.integers(1, window + 1, len(token_ids))
            order = rng.permutation(-(-len(token_ids) // BLOCK))
            size = min(BLOCKS_PER_STEP, len(order) // LEAST_STEPS + 1)
            steps = max(1, -(-len(order) // size))  # a pass without any word is a step, too
            for step in range(steps):
                chosen = order[step * size : (step + 1) * size]
                blocks = cut_blocks(token_ids, sentences, reach, chosen, window)
                centres, contexts, pairs = map(torch.from_numpy, blocks)
                drawn = noise_sums.searchsorted(rng.random(SHARED_NEGATIVES), side="right")
                negatives, done = torch.from_numpy(drawn), epoch + step / steps
                yield Batch(centres, contexts, pairs.float(), negatives, done)


class AdagradRows:
    """One layer while it is trained: float[V, D], of which a step changes a few rows only.

    Each row's gradient is divided by the root of the sum of its squared lengths so far: frequent
    words, which get hundreds of gradients in a step, move no further than rare ones.

    Source: Duchi, Hazan and Singer 2011 (Adagrad), with one number per row.
    """

    def __init__(self, weights: Tensor):
        self.weights = weights
        self.squares = torch.zeros(len(weights))

    def take(self, *token_ids: Tensor) -> list[Tensor]:
        """The vectors, float[..., D], of any number of tensors int64[...].

        Gradients lead back to one copy of each row in use.
        """
        flat = torch.cat([ids.flatten() for ids in token_ids])
        self.used, places = flat.unique(return_inverse=True)
        self.rows = self.weights.index_select(0, self.used).requires_grad_()
        vectors = self.rows.index_select(0, places).split([ids.numel() for ids in token_ids])
        D = self.weights.shape[1]
        return [part.view(*ids.shape, D) for part, ids in zip(vectors, token_ids, strict=True)]

    def step(self, learning_rate: float) -> None:
        """Move the rows taken last against their gradients."""
        gradients = self.rows.grad
        self.squares[self.used] += gradients.square().sum(1)
        scale = learning_rate * (self.squares[self.used] + 1e-8).rsqrt()
        self.weights.index_add_(0, self.used, scale[:, None] * gradients, alpha=-1)


def batch_loss(
    architecture: Architecture, first: AdagradRows, second: AdagradRows, batch: Batch, weight: float
) -> Tensor:
    """The negative-sampling loss of a batch, summed over its targets.

    Vectors of the words that predict are from the first layer, those of targets and negatives
    from the second: for skip-gram the centres predict, for CBOW the contexts. `weight` is how much
    each negative counts.
    """
    pairs, neighbours = batch.pairs, batch.pairs.sum(-1)  # [R, L, C], [R, L]
    if architecture == "skipgram":
        (centres,) = first.take(batch.centres)  # [R, L, D]
        contexts, noise = second.take(batch.contexts, batch.noise)  # [R, C, D], [K, D]
        positive, negative = centres @ contexts.mT, centres @ noise.T  # [R, L, C], [R, L, K]
        negatives = F.logsigmoid(-negative).sum(-1) * neighbours
        return -(F.logsigmoid(positive) * pairs).sum() - weight * negatives.sum()
    (contexts,) = first.take(batch.contexts)
    centres, noise = second.take(batch.centres, batch.noise)
    means = (pairs / neighbours.clamp(min=1)[:, :, None]) @ contexts  # [R, L, D]
    positive, negative = (means * centres).sum(-1), means @ noise.T  # [R, L], [R, L, K]
    losses = F.logsigmoid(positive) + weight * F.logsigmoid(-negative).sum(-1)
    return -(losses * (neighbours > 0)).sum()


def train_step(
    architecture: Architecture,
    first: AdagradRows,
    second: AdagradRows,
    batch: Batch,
    weight: float,
    learning_rate: float,
) -> float:
    """Learn from one batch; returns the loss before the change, summed over the targets."""
    loss = batch_loss(architecture, first, second, batch, weight)
    loss.backward()
    first.step(learning_rate)
    second.step(learning_rate)
    return loss.item()
