"""Batches of items of about one length, so that little of a batch is padding."""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")
# Sorted by length together: enough to leave little padding, few enough to stay random.
BATCHES_PER_GROUP = 64


def length_grouped(
    items: Iterable[Item],
    length: Callable[[Item], int],
    batch_size: int,
    rng: random.Random | np.random.Generator,
) -> Iterator[list[Item]]:
    """Cut a stream into batches for training; it may be endless.

    The batches of a group are sorted together and come in random order.
    """
    items = iter(items)
    while some := sorted(itertools.islice(items, BATCHES_PER_GROUP * batch_size), key=length):
        begins = list(range(0, len(some), batch_size))
        rng.shuffle(begins)
        for begin in begins:
            yield some[begin : begin + batch_size]


def batch_passes(lengths: np.ndarray, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Endless passes over the windows, shuffled, then grouped so that a batch has like lengths.

    A pass is int64[batches, batch_size]; its last batch is filled up from the start of the shuffle.
    """
    for epoch in itertools.count():
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(lengths))
        order = np.resize(order, -(-len(order) // batch_size) * batch_size)
        yield np.array(list(length_grouped(order, lengths.__getitem__, batch_size, rng)))


def batches_by_length(lengths: Sequence[int], tokens: int) -> Iterator[np.ndarray]:
    """The places of all `lengths`, from short to long, in batches of about `tokens`."""
    order = np.argsort(lengths, kind="stable")
    first = 0
    for last in range(1, len(order) + 1):
        if last == len(order) or (last + 1 - first) * lengths[order[last]] > tokens:
            yield order[first:last]
            first = last
