"""Batches of training: like lengths, all answers in the labels, any number of processes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from src.batching import batch_passes
from src.qa.batches import LEARNED_FROM, LengthGroupedBatches, ReaderCollator
from src.qa.features import prepare_features

LENGTHS = np.random.default_rng(1).integers(20, 384, size=2003)


def padding(batches: np.ndarray) -> float:
    """Share of the computed tokens that are padding."""
    found = LENGTHS[batches]
    return 1 - found.sum() / (found.max(axis=1) * batches.shape[1]).sum()


def first(n: int, batches: LengthGroupedBatches) -> list[list[int]]:
    return list(itertools.islice(batches, n))


def test_a_pass_takes_every_window_once_in_full_batches():
    for batches in itertools.islice(batch_passes(LENGTHS, 16, seed=3), 3):
        counts = np.bincount(batches.ravel(), minlength=len(LENGTHS))
        assert batches.shape == (126, 16)  # 2003 windows are 125.2 batches
        assert counts.min() == 1
        assert (
            counts.sum() - len(LENGTHS) == 13
        )  # the last batch is topped up, nothing else comes twice
        assert counts.max() == 2


def test_a_pass_shorter_than_a_batch_fills_it():
    batches = next(batch_passes(np.array([5, 6, 7]), 8, seed=0))
    assert batches.shape == (1, 8)
    assert set(batches.ravel()) == {0, 1, 2}


def test_windows_of_like_length_share_a_batch_and_hardly_any_padding_is_left():
    batches = next(batch_passes(LENGTHS, 16, seed=0))
    shuffled = np.random.default_rng(0).permutation(LENGTHS.size)[:2000].reshape(-1, 16)
    assert padding(shuffled) > 0.4
    assert padding(batches) < 0.04
    spread = LENGTHS[batches].max(axis=1) - LENGTHS[batches].min(axis=1)
    assert spread.max() < 364 / 4, (
        "no batch holds the longest of one group and the shortest of the next"
    )


def test_batches_come_in_random_order_of_length():
    longest = LENGTHS[next(batch_passes(LENGTHS, 16, seed=0))].max(axis=1)
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_the_order_is_decided_by_the_seed_and_the_pass():
    def passes(seed: int) -> list[list[list[int]]]:
        return [
            batches.tolist() for batches in itertools.islice(batch_passes(LENGTHS, 16, seed), 2)
        ]

    assert passes(5) == passes(5)
    assert passes(5) != passes(6)
    assert passes(5)[0] != passes(5)[1]


def test_the_same_seed_gives_the_same_batches_and_another_one_others():
    batches = [first(252, LengthGroupedBatches(LENGTHS, 16, seed, 2)) for seed in (4, 4, 5)]
    assert (
        batches[0]
        == batches[1]
        == np.concatenate(list(itertools.islice(batch_passes(LENGTHS, 16, 4), 2))).tolist()
    )
    assert batches[0] != batches[2]


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_a_step_of_the_same_windows(processes):
    alone = first(40, LengthGroupedBatches(LENGTHS, 16, 1, 3))
    parts = first(40 * processes, LengthGroupedBatches(LENGTHS, 16, 1, 3, processes=processes))
    assert {len(part) for part in parts} == {16 // processes}
    # accelerate gives process i of n the parts i, i + n, i + 2 n ...
    together = [
        list(itertools.chain(*parts[i : i + processes])) for i in range(0, len(parts), processes)
    ]
    assert together == alone


@pytest.mark.parametrize(
    ("epochs", "steps"), [(1, 126), (2, 252), (0.5, 63), (1e-9, 1), (1.3, 164)]
)
def test_steps_are_the_passes_times_their_batches_and_one_at_least(epochs, steps):
    batches = LengthGroupedBatches(LENGTHS, 16, 0, epochs, processes=2)
    assert (batches.steps, len(batches)) == (steps, 2 * steps)


def test_a_run_by_the_clock_has_no_end():
    batches = LengthGroupedBatches(LENGTHS, 16, 0)
    assert batches.steps is None and len(batches) >= 10**9
    assert len(first(500, batches)) == 500


def test_a_label_is_the_share_of_the_answers_that_begin_and_end_at_each_token(tokenizer, questions):
    text = "Kafka wrote it in Prague in 1915"
    rows = [
        ("Where?", text, "Prague", "in Prague", "Prague", "Prague in 1915"),
        ("Who paid?", text),
        ("Who?", text, "Kafka"),
    ]
    windows = prepare_features(questions(*rows), tokenizer).select_columns(list(LEARNED_FROM))
    batch = ReaderCollator(tokenizer, pad_to_multiple_of=8)(windows.__getitems__([0, 1, 2]))
    tokens = [tokenizer.convert_ids_to_tokens(ids) for ids in batch["input_ids"]]
    expected = [
        {"start": {"prague": 0.75, "in": 0.25}, "end": {"prague": 0.75, "1915": 0.25}},
        {"start": {"[CLS]": 1.0}, "end": {"[CLS]": 1.0}},
        {"start": {"ka": 1.0}, "end": {"##a": 1.0}},
    ]
    for side in ("start", "end"):
        shares = batch[f"{side}_positions"]
        assert shares.shape == batch["input_ids"].shape and torch.equal(
            shares.sum(1), torch.ones(3)
        )
        found = [
            {tokens[row][i]: float(shares[row, i]) for i in shares[row].nonzero()[:, 0].tolist()}
            for row in range(3)
        ]
        assert found == [labels[side] for labels in expected]
