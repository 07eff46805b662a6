"""Batches of training: like lengths, all answers in the labels, any number of processes."""

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


def first(n: int, *how) -> list:
    return list(itertools.islice(LengthGroupedBatches(LENGTHS, 16, *how), n))


def test_a_pass_takes_every_window_once_in_full_batches():
    for batches in itertools.islice(batch_passes(LENGTHS, 16, seed=3), 3):
        counts = np.bincount(batches.ravel(), minlength=len(LENGTHS))
        assert batches.shape == (126, 16)  # 2003 windows are 125.2 batches
        # The last batch is topped up with 13 windows, nothing else comes twice.
        assert (counts.min(), counts.max(), counts.sum()) == (1, 2, len(LENGTHS) + 13)
    batches = next(batch_passes(np.array([5, 6, 7]), 8, seed=0))  # shorter than a batch
    assert batches.shape == (1, 8) and set(batches.ravel()) == {0, 1, 2}


def test_windows_of_like_length_share_a_batch_and_batches_come_in_random_order():
    batches = next(batch_passes(LENGTHS, 16, seed=0))
    shuffled = np.random.default_rng(0).permutation(LENGTHS.size)[:2000].reshape(-1, 16)
    assert padding(shuffled) > 0.4 and padding(batches) < 0.04
    longest, shortest = LENGTHS[batches].max(axis=1), LENGTHS[batches].min(axis=1)
    # No batch holds the longest of one group and the shortest of the next.
    assert (longest - shortest).max() < 364 / 4
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_the_order_is_decided_by_the_seed_and_the_pass():
    batches = first(252, 4, 2)
    assert batches == first(252, 4, 2) != first(252, 5, 2)
    passes = np.concatenate(list(itertools.islice(batch_passes(LENGTHS, 16, 4), 2)))
    assert batches == passes.tolist() and batches[:126] != batches[126:]


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_a_step_of_the_same_windows(processes):
    parts = first(40 * processes, 1, 3, processes)
    assert {len(part) for part in parts} == {16 // processes}
    # accelerate gives process i of n the parts i, i + n, i + 2 n ...
    together = np.array(parts).reshape(40, 16)
    assert together.tolist() == first(40, 1, 3)


@pytest.mark.parametrize(
    ("epochs", "steps"), [(1, 126), (2, 252), (0.5, 63), (1e-9, 1), (1.3, 164)]
)
def test_steps_are_the_passes_times_their_batches_and_one_at_least(epochs, steps):
    batches = LengthGroupedBatches(LENGTHS, 16, 0, epochs, processes=2)
    assert (batches.steps, len(batches)) == (steps, 2 * steps)


def test_a_run_by_the_clock_has_no_end():
    batches = LengthGroupedBatches(LENGTHS, 16, 0)
    assert batches.steps is None and len(batches) >= 10**9
    assert len(first(500, 0)) == 500


def test_a_label_is_the_share_of_the_answers_that_begin_and_end_at_each_token(tokenizer, questions):
    text = "Kafka wrote it in Prague in 1915"
    where = ("Where?", text, "Prague", "in Prague", "Prague", "Prague in 1915")
    rows = questions(where, ("Who paid?", text), ("Who?", text, "Kafka"))
    windows = prepare_features(rows, tokenizer).select_columns(list(LEARNED_FROM))
    batch = ReaderCollator(tokenizer, pad_to_multiple_of=8)(windows.__getitems__([0, 1, 2]))
    expected = {
        "start": [{"prague": 0.75, "in": 0.25}, {"[CLS]": 1.0}, {"ka": 1.0}],
        "end": [{"prague": 0.75, "1915": 0.25}, {"[CLS]": 1.0}, {"##a": 1.0}],
    }
    for side, labels in expected.items():
        shares = batch[f"{side}_positions"]
        assert shares.shape == batch["input_ids"].shape
        assert torch.equal(shares.sum(1), torch.ones(3))
        for ids, row, label in zip(batch["input_ids"], shares, labels, strict=True):
            tokens = tokenizer.convert_ids_to_tokens(ids)
            found = {tokens[i]: float(row[i]) for i in row.nonzero()[:, 0].tolist()}
            assert found == label
