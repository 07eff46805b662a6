"""In which order windows are learned from: batches of like length, and short crops of the passage for most of a run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from datasets import Dataset

from src.qa.features import PASSAGE, crop

PAD_TO = 8  # tokens: with fewer different shapes a CPU keeps fewer buffers and kernels
BATCHES_PER_GROUP = 50  # sorted by length together: enough to leave little padding, few enough to stay random
CROP = 96  # tokens that a window is cut down to, around its answer, for most of the run
WHOLE_FROM = 0.8  # the share of the run from which on windows are whole
ENDLESS = 10**9  # steps of a run by minutes: the clock ends it
MODEL_INPUTS = ("input_ids", "token_type_ids", "attention_mask", "start_positions", "end_positions")


class LengthGroupedBatches:
    """Endless passes over the windows in random batches of like length: a batch sampler, also for several processes.

    An item is (window, tokens, place): a window that has more than `tokens` is cropped, `place` in [0, 1) says where.

    Args:
        lengths: int[windows], in tokens.
        batch_size: windows a step, over all processes.
        seed: of the order and of the crops.
        epochs: how many passes make `steps` steps; None has no end.
        share: how much of a run without end is over; one of `epochs` counts its steps.
        processes: that share a step: each takes every so-manyth batch of `batch_size` / `processes` windows.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int,
        epochs: float | None = None,
        share: Callable[[], float] = lambda: 0.0,
        processes: int = 1,
    ):
        self.lengths, self.step_size, self.seed = np.asarray(lengths), batch_size, seed
        self.share, self.processes = share, processes
        self.batch_size, self.drop_last = batch_size // processes, False
        per_pass = -(-len(self.lengths) // batch_size)
        self.steps = None if epochs is None else max(1, round(epochs * per_pass))

    def __len__(self) -> int:
        return (self.steps or ENDLESS) * self.processes

    def __iter__(self) -> Iterator[list[tuple[int, int, float]]]:
        steps = (rows for batches in batch_passes(self.lengths, self.step_size, self.seed) for rows in batches)
        for step, rows in enumerate(steps):
            share = step / self.steps if self.steps else self.share()
            tokens = CROP if share < WHOLE_FROM else int(self.lengths.max())
            places = np.random.default_rng([self.seed, step]).random(len(rows))
            items = [(int(row), tokens, float(place)) for row, place in zip(rows, places, strict=True)]
            yield from (items[i : i + self.batch_size] for i in range(0, len(items), self.batch_size))


def batch_passes(lengths: np.ndarray, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Endless passes over the windows as int64[batches, batch_size]: shuffled, then grouped so that a batch has like lengths.

    lengths: int[windows]. Every batch is full: the last one of a pass is topped up from the start of its shuffle.
    """
    for epoch in itertools.count():
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(lengths))
        order = np.resize(order, -(-len(order) // batch_size) * batch_size)
        # Groups of whole batches: one that held the longest of a group and the shortest of the next would be mostly padding.
        batches = order.reshape(-1, batch_size)
        groups = [group.ravel() for group in np.array_split(batches, -(-len(batches) // BATCHES_PER_GROUP))]
        order = np.concatenate([group[np.argsort(lengths[group], kind="stable")] for group in groups])
        # The order of the batches is random again, or every group would end with its longest.
        yield rng.permutation(order.reshape(-1, batch_size))


def batches_by_length(lengths: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """The places of all `lengths`, from short to long, in batches of about so many `tokens`, padding included."""
    order = np.argsort(lengths, kind="stable")
    first = 0
    for last in range(1, len(order) + 1):
        if last == len(order) or (last + 1 - first) * lengths[order[last]] > tokens:
            yield order[first:last]
            first = last


class Crops(torch.utils.data.Dataset):
    """The windows of `prepare_features`, cropped as the items of `LengthGroupedBatches` ask for."""

    def __init__(self, windows: Dataset):
        self.windows = windows.select_columns([name for name in (*MODEL_INPUTS, *PASSAGE) if name in windows.column_names])

    def __len__(self) -> int:
        return len(self.windows)

    def __getitems__(self, items: list[tuple[int, int, float]]) -> list[dict]:
        columns = self.windows[[row for row, _, _ in items]]
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return [crop(row, tokens, place) for row, (_, tokens, place) in zip(rows, items, strict=True)]
