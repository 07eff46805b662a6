"""The exercises of notebook 05: their solutions against the course's models, torch and transformers, and answers as readers write them."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import RepetitionPenaltyLogitsProcessor

from src.language_models import BytePairTokenizer, NgramModel, Score, top_p
from src.teaching.exercises import notebook_05

COUNTS = "c = following.get(before, {})\n    n, x = sum(c.values()), c.get(word, 0)\n    "
SORTED = "i = np.argsort(-probs)\n    c = np.cumsum(probs[i])\n    "
DRAW = "r = np.cumsum(probs[s])\n    return s[np.argmax(r > u * r[-1])]"
WRITTEN = {
    "05.bigram_probability": [
        (COUNTS + "return x / n", "k plays no part"),
        (COUNTS + "return (x + k) / (n + k) if n + k else 1 / V", "added once"),
        (COUNTS + "return (x + k) / n if n else 1 / V", "above the line only"),
        (COUNTS + "return (x + k) / (n + V)", "V instead of k V"),
        (COUNTS + "return (x + k) / (n + k * len(c)) if n else 1 / V", "not the V that could"),
        (COUNTS + "return x / sum(sum(f.values()) for f in following.values())", "count of *all* pairs"),
        ("c = following[before]\n    return (c.get(word, 0) + k) / (sum(c.values()) + k * V)", "KeyError"),
        ("c = following[before]\n    return (c[word] + k) / (sum(c.values()) + k * V)", "stumbles over"),
        (COUNTS + "t = n + k * V\n    return (x + k) / t if t else 0", "have to sum to one"),
        (COUNTS + "return (x + k) / (n + k * V)", "0 / 0"),
    ],
    "05.perplexity_per_word": [
        ("return np.exp(-np.mean(log_probs))", "number of tokens"),
        ("return 2 ** -(np.sum(log_probs) / words)", "mixes two bases"),
        ("return math.exp(sum(log_probs) / words)", "minus is missing"),
        ("return np.exp(-np.array(log_probs)).mean()", "rarest token decides"),
        ("return sum(math.exp(-x) for x in log_probs) / words", "rarest token decides"),
        ("return -np.sum(log_probs) / words", "stops at the mean surprise"),
        ("p = 1.0\n    for x in log_probs:\n        p *= math.exp(x)\n    return (1 / p) ** (1 / words)", "multiplies probabilities"),
        ("p = np.prod(np.exp(log_probs))\n    return np.inf if p == 0 else p ** (-1 / words)", "multiplies probabilities"),
        ("return math.exp(-sum(log_probs))", "plays no part"),
    ],
    "05.sample_top_p": [
        (SORTED + "s = i[: max(1, np.searchsorted(c, p, side='right'))]\n    " + DRAW, "crosses p"),
        (SORTED + "s = i[c <= p]\n    " + DRAW, "nothing stays to be drawn"),
        ("s = np.array([t for t in np.argsort(-probs) if probs[t] > p])\n    " + DRAW, "each token by itself"),
        ("i = np.argsort(probs)\n    s = i[np.cumsum(probs[i]) - probs[i] < p]\n    " + DRAW, "rarest tokens"),
        (
            SORTED + "total = 0\n    for t in i[c - probs[i] < p]:\n        total += probs[t]\n        if u < total:\n            return t",
            "sum to one again",
        ),
        (SORTED + "s = i[c - probs[i] < p]\n    return s[np.argmax(np.cumsum(probs[s]) > u)]", "nothing but False"),
        ("s = np.argsort(-probs)\n    " + DRAW, "makes no difference"),
        ("return np.argmax(probs)", "greedy decoding"),
        (SORTED + "s = i[c - probs[i] < p]\n    r = np.cumsum(probs[s])\n    return np.argmax(r > u * r[-1])", "sorted order"),
        (SORTED + "s = np.sort(i[c - probs[i] < p])\n    " + DRAW, "order of the vocabulary"),
    ],
    "05.repetition_penalised": [
        ("return np.array([x / penalty if i in token_ids else x for i, x in enumerate(logits)])", "makes these tokens *likelier*"),
        ("logits[token_ids] -= penalty\n    return logits", "subtracts the penalty"),
        (
            "for i in token_ids:\n        logits[i] = logits[i] / penalty if logits[i] > 0 else logits[i] * penalty\n    return logits",
            "penalised three times",
        ),
        ("return np.where(logits > 0, logits / penalty, logits * penalty)", "every token of the vocabulary"),
        ("for i in set(token_ids):\n        logits[i] *= penalty if logits[i] > 0 else 1 / penalty\n    return logits", "wrong way round"),
        ("for i in set(token_ids):\n        logits[i] = -np.inf\n    return logits", "once and for all"),
        ("for i in set(token_ids):\n        logits[i] /= penalty if logits[i] > 0 else penalty", "returns `None` every time"),
    ],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("exercise", "body", "words"), [(name, *case) for name, written in WRITTEN.items() for case in written])
def test_answers_written_otherwise_are_told_what_is_wrong_too(verdict_on, exercise, body, words):
    verdict = verdict_on(exercise, body)
    assert not verdict.passed and words in verdict.message, verdict.message


@pytest.mark.parametrize(
    ("exercise", "body"),
    [
        ("05.bigram_probability", COUNTS + "return 1 / V if n + k * V == 0 else (x + k) / (n + k * V)"),
        ("05.perplexity_per_word", "return np.exp(-np.sum(log_probs) / words)"),
        ("05.perplexity_per_word", "return math.e ** (-sum(log_probs) / words)"),
        ("05.sample_top_p", SORTED + "s = i[: np.searchsorted(c, p) + 1]\n    " + DRAW),
        (
            "05.repetition_penalised",
            "i = list(set(token_ids))\n    x = logits[i]\n    logits[i] = np.where(x < 0, x * penalty, x / penalty)\n    return logits",
        ),
    ],
)
def test_other_ways_to_write_a_right_answer_pass(verdict_on, exercise, body):
    verdict = verdict_on(exercise, body)
    assert verdict.passed, verdict.message


@pytest.mark.parametrize("k", [0.0, 0.3, 1.0])
def test_the_bigram_probability_is_that_of_the_courses_model_and_sums_to_one(k):
    tokenizer = BytePairTokenizer.train(["a"], 257)
    rng = np.random.default_rng(0)
    rows = rng.integers(1, 12, size=(20, 15)).tolist()
    following = defaultdict(Counter)
    for row in rows:
        for before, after in zip([tokenizer.start_id, *row], [*row, tokenizer.start_id], strict=True):
            following[before][after] += 1
    model = NgramModel(tokenizer, rows, order=2, smoothing="add-k", k=k)
    for before in (3, 11, 200):
        mine = [notebook_05.bigram_probability(before, after, following, tokenizer.V, k) for after in range(tokenizer.V)]
        assert mine == pytest.approx(model.next_token_probs([before]).tolist())
        assert sum(mine) == pytest.approx(1)


def test_the_perplexity_is_that_of_the_course_and_of_torch():
    log_probs = np.log(np.random.default_rng(0).random(50))
    mine = notebook_05.perplexity_per_word(log_probs.tolist(), 20)
    assert mine == pytest.approx(Score(float(log_probs.sum()), 50, 20, 100).perplexity_per_word)
    logits = torch.randn(30, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    right = torch.arange(30) % 9
    of_the_right = logits.log_softmax(-1)[torch.arange(30), right]
    assert notebook_05.perplexity_per_word(of_the_right.tolist(), 30) == pytest.approx(math.exp(F.cross_entropy(logits, right)))


def test_draws_by_top_p_come_from_the_tokens_that_the_course_keeps_with_their_chances():
    rng = np.random.default_rng(0)
    for p in (0.1, 0.5, 0.8, 0.95):
        probs = rng.dirichlet(np.full(12, 0.5))
        drawn = Counter(notebook_05.sample_top_p(probs, p, u) for u in (np.arange(4000) + 0.5) / 4000)
        expected = top_p(torch.from_numpy(probs).log(), p).softmax(-1)
        assert [drawn[token] / 4000 for token in range(12)] == pytest.approx(expected.tolist(), abs=1 / 2000)


def test_the_penalty_is_that_of_transformers():
    logits = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for token_ids in ([3], [3, 3, 5, 39], list(range(40))):
        theirs = RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([token_ids]), logits[None])[0]
        assert notebook_05.repetition_penalised(logits.numpy(), token_ids, 1.3) == pytest.approx(theirs.numpy())
