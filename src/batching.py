"""Batches of items of about one length, so that little of a batch is padding."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def length_grouped(
    items: Iterable[Item],
    length: Callable[[Item], int],
    batch_size: int,
    rng: random.Random,
) -> Iterator[list[Item]]:
    """Cut a stream into batches for training; it may be endless.

    64 batches are sorted together and come in random order.
    """
    items = iter(items)
    while some := sorted(itertools.islice(items, 64 * batch_size), key=length):
        begins = list(range(0, len(some), batch_size))
        rng.shuffle(begins)
        for begin in begins:
            yield some[begin : begin + batch_size]


def in_length_order(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Batches of places for reading everything once, the shortest first."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for begin in range(0, len(order), batch_size):
        yield order[begin : begin + batch_size]
