"""Samplers equal transformers' own, step by step, and draw by their probabilities."""

import math
from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from src.sampling import Sampler, repetition_penalty, temperature, top_k, top_p


def some_logits(seed: int) -> Tensor:
    """Random logits, with ties among them (rounded), and some tokens impossible."""
    logits = 3 * torch.randn(40, generator=torch.Generator().manual_seed(seed))
    if seed % 2:
        logits = logits.round()
    if seed % 3 == 0:
        logits[::7] = -math.inf
    return logits


TIES = [torch.zeros(8), torch.tensor([0.0, 0.0, -1.0, -1.0]), torch.tensor([5.0])]
ALL_LOGITS = [*map(some_logits, range(12)), *TIES]


@pytest.mark.parametrize(
    ("ours", "theirs", "values"),
    [
        (temperature, TemperatureLogitsWarper, [0.01, 0.7, 1.0, 3.0]),
        (top_k, TopKLogitsWarper, [1, 2, 3, 5, 39, 40, 100]),
        (top_p, TopPLogitsWarper, [0.0, 1e-6, 0.25, 0.3, 0.5, 0.75, 0.9, 0.999, 1.0]),
    ],
)
def test_each_step_equals_the_librarys_also_at_ties(ours, theirs, values):
    for value in values:
        for logits in ALL_LOGITS:
            assert torch.equal(ours(logits, value), theirs(value)(None, logits[None])[0]), value


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.3, 10.0])
@pytest.mark.parametrize("token_ids", [[0], [3, 3, 5, 39], list(range(40))])
def test_repetition_penalty_equals_the_librarys(penalty, token_ids):
    processor = RepetitionPenaltyLogitsProcessor(penalty)
    for logits in map(some_logits, range(12)):
        expected = processor(torch.tensor([token_ids]), logits[None])[0]
        assert torch.equal(repetition_penalty(logits, token_ids, penalty), expected)
        assert torch.equal(repetition_penalty(logits, [], penalty), logits)


def test_the_steps_of_a_sampler_come_in_the_librarys_order_and_leave_their_input_alone():
    logits, token_ids = some_logits(2), [4, 9, 9]
    before = logits.clone()
    found = Sampler(0.6, top_k=12, top_p=0.8, repetition_penalty=1.4).probs(logits, token_ids)
    assert torch.equal(logits, before)
    expected = RepetitionPenaltyLogitsProcessor(1.4)(torch.tensor([token_ids]), logits[None])
    for warper in (TemperatureLogitsWarper(0.6), TopKLogitsWarper(12), TopPLogitsWarper(0.8)):
        expected = warper(None, expected)
    assert_close(found, expected.softmax(-1)[0])


def test_a_sampler_draws_by_its_probabilities():
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(Sampler()(logits, [], generator) for _ in range(4000))
    for token, prob in enumerate([0.1, 0.2, 0.3, 0.4]):
        assert drawn[token] / 4000 == pytest.approx(prob, abs=0.03)  # four standard deviations
    assert {Sampler(top_k=2)(logits, [], generator) for _ in range(200)} == {2, 3}
    assert {Sampler.greedy()(logits, [], generator) for _ in range(20)} == {3}


def test_a_penalty_breaks_a_loop():
    logits = torch.tensor([2.0, 1.9, 0.0])
    assert int(Sampler.greedy().probs(logits, [0]).argmax()) == 0
    assert int(Sampler.greedy(repetition_penalty=1.2).probs(logits, [0]).argmax()) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda logits: temperature(logits, 0), "temperature is 0"),
        (lambda logits: top_k(logits, 0), "k is 0"),
        (lambda logits: top_p(logits, 1.5), "p is 1.5"),
        (lambda logits: repetition_penalty(logits, [0], 0), "penalty is 0"),
    ],
)
def test_impossible_settings_are_told(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong(torch.zeros(5))
