"""Batches of the reader's training: like lengths together, short crops first, the same for every number of processes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from src.qa.batches import CROP, MODEL_INPUTS, Crops, LengthGroupedBatches, batch_passes
from src.qa.features import crop, prepare_features

LENGTHS = np.random.default_rng(1).integers(20, 384, size=2003)


def padding(batches: np.ndarray) -> float:
    """Share of the computed tokens that are padding."""
    found = LENGTHS[batches]
    return 1 - found.sum() / (found.max(axis=1) * batches.shape[1]).sum()


def first(n: int, batches: LengthGroupedBatches) -> list[list[tuple[int, int, float]]]:
    return list(itertools.islice(batches, n))


def test_a_pass_takes_every_window_once_in_full_batches():
    for batches in itertools.islice(batch_passes(LENGTHS, 16, seed=3), 3):
        counts = np.bincount(batches.ravel(), minlength=len(LENGTHS))
        assert batches.shape == (126, 16)  # 2003 windows are 125.2 batches
        assert counts.min() == 1
        assert counts.sum() - len(LENGTHS) == 13  # the last batch is topped up, nothing else comes twice
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
    assert spread.max() < 364 / 4, "no batch holds the longest of one group and the shortest of the next"


def test_batches_come_in_random_order_of_length():
    longest = LENGTHS[next(batch_passes(LENGTHS, 16, seed=0))].max(axis=1)
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_the_order_is_decided_by_the_seed_and_the_pass():
    def passes(seed: int) -> list[list[list[int]]]:
        return [batches.tolist() for batches in itertools.islice(batch_passes(LENGTHS, 16, seed), 2)]

    assert passes(5) == passes(5)
    assert passes(5) != passes(6)
    assert passes(5)[0] != passes(5)[1]


def test_the_same_seed_gives_the_same_items_and_another_one_others():
    def items(seed: int) -> list:
        return first(300, LengthGroupedBatches(LENGTHS, 16, seed, 2))

    assert items(4) == items(4)
    others = items(5)
    assert [[row for row, _, _ in batch] for batch in items(4)] != [[row for row, _, _ in batch] for batch in others]
    assert [place for _, _, place in items(4)[0]] != [place for _, _, place in others[0]]


def test_items_are_the_windows_of_the_passes_each_with_a_place_of_its_own():
    batches = first(252, LengthGroupedBatches(LENGTHS, 16, 7, 2))
    expected = np.concatenate(list(itertools.islice(batch_passes(LENGTHS, 16, 7), 2)))
    assert [[row for row, _, _ in batch] for batch in batches] == expected.tolist()
    places = np.array([[place for _, _, place in batch] for batch in batches])
    assert ((places >= 0) & (places < 1)).all() and len(np.unique(places)) == places.size
    assert np.histogram(places, 10, (0, 1))[0].min() > 0.08 * places.size, "from the first to the last alike"


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_a_step_of_the_same_windows(processes):
    alone = first(40, LengthGroupedBatches(LENGTHS, 16, 1, 3))
    parts = first(40 * processes, LengthGroupedBatches(LENGTHS, 16, 1, 3, processes=processes))
    assert {len(part) for part in parts} == {16 // processes}
    # accelerate gives process i of n the parts i, i + n, i + 2 n ...
    together = [list(itertools.chain(*parts[i : i + processes])) for i in range(0, len(parts), processes)]
    assert together == alone


@pytest.mark.parametrize(("epochs", "steps"), [(1, 126), (2, 252), (0.5, 63), (1e-9, 1), (1.3, 164)])
def test_steps_are_the_passes_times_their_batches_and_one_at_least(epochs, steps):
    batches = LengthGroupedBatches(LENGTHS, 16, 0, epochs, processes=2)
    assert (batches.steps, len(batches)) == (steps, 2 * steps)


def test_a_run_of_passes_is_cropped_for_eight_tenths_of_its_steps():
    batches = first(252, LengthGroupedBatches(LENGTHS, 16, 0, 2, share=lambda: 1.0))
    tokens = [{tokens for _, tokens, _ in batch} for batch in batches]
    assert tokens == [{CROP}] * 202 + [{LENGTHS.max()}] * 50  # 0.8 of 252 are 201.6


def test_a_run_by_the_clock_has_no_end_and_whole_windows_when_eight_tenths_are_over():
    share = [0.0]
    batches = LengthGroupedBatches(LENGTHS, 16, 0, None, share=lambda: share[0])
    found, items = [], iter(batches)
    for share[0] in (0.0, 0.5, 0.79, 0.8, 1.0):
        found.append({tokens for _, tokens, _ in next(items)})
    assert found == [{CROP}] * 3 + [{LENGTHS.max()}] * 2
    assert batches.steps is None and len(batches) >= 10**9
    assert len(list(itertools.islice(items, 500))) == 500


def test_the_windows_come_cropped_as_their_items_ask_and_without_what_no_model_reads(tokenizer, questions):
    rows = [("Who?", "word " * n + "Kafka " + "word " * (150 - n), "Kafka") for n in (3, 70, 140)]
    windows = prepare_features(questions(*rows), tokenizer)
    items = [(2, 96, 0.5), (0, 384, 0.1), (2, 40, 0.0), (1, 60, 0.99)]
    columns = (*MODEL_INPUTS, "passage_start", "passage_end")
    expected = [crop({name: windows[row][name] for name in columns}, tokens, place) for row, tokens, place in items]
    found = Crops(windows).__getitems__(items)
    assert found == expected
    assert [len(row["input_ids"]) for row in found] == [96, windows["length"][0], 40, 60]
    assert all(set(row) == set(MODEL_INPUTS) for row in found)
