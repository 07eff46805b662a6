"""The exercises of notebook 02: their solutions against references of another make, and answers as readers write them."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import normalize
from torch.nn import functional as F

from src.teaching.exercises import notebook_02
from src.word2vec import subsampling_keep
from src.word2vec import training_pairs as course_pairs

WRITTEN = {
    "02.training_pairs": [
        (
            "p = []\n    for i, w in enumerate(token_ids):\n        for j in range(i - window, i + window + 1):\n"
            "            if 0 <= j < len(token_ids):\n                p.append((w, token_ids[j]))\n    return p",
            "pair of every word with itself",
        ),
        (
            "p = []\n    for i, w in enumerate(token_ids):\n        for j in range(i - window, i + window + 1):\n"
            "            if j != i:\n                p.append((w, token_ids[j % len(token_ids)]))\n    return p",
            "it goes round",
        ),
        (
            "return [(w, c) for i, w in enumerate(token_ids) for c in token_ids[max(0, i - window):i + window] if c is not w]",
            "misses the last place",
        ),
        (
            "return [(a, b) for i, a in enumerate(token_ids) for j, b in enumerate(token_ids) if abs(i - j) <= window and a != b]",
            "Compare places",
        ),
        ("return [(w, token_ids[i + 1]) for i, w in enumerate(token_ids)]", "IndexError"),
        ("return []", "It has 0 items"),
    ],
    "02.keep_probability": [
        ("return np.clip(1 - np.sqrt(threshold / (counts / sum(counts))), 0, 1)", "thrown out"),
        ("f = counts / counts.sum()\n    return np.sqrt(threshold / f) + threshold / f", "goes above 1"),
        ("return np.minimum(1, (threshold / counts) ** 0.5)", "with the counts"),
        ("return np.minimum(1, threshold * counts.sum() / counts)", "lacks the square root"),
        ("f = counts / counts.sum()\n    return np.where(f > threshold, np.sqrt(f / threshold), 1)", "goes above 1"),
    ],
    "02.pair_loss": [
        (
            "s = lambda x: 1 / (1 + np.exp(-x))\n    return np.log(s(context @ centre)) + np.log(s(-negatives @ centre)).sum()",
            "lacks the minus",
        ),
        (
            "s = lambda x: 1 / (1 + np.exp(-x))\n    return -np.log(s(context @ centre)) - np.log(1 - s(negatives @ centre)).sum()",
            "rounds to 0",
        ),
        ("return np.logaddexp(0, -centre @ context) + sum(np.logaddexp(0, -n @ centre) for n in negatives)", "as if they were neighbours"),
        ("return np.logaddexp(0, -centre @ context) + np.logaddexp(0, negatives @ centre)", "It is of type `list`"),
        ("return np.logaddexp(0, -centre @ context)", "negatives do not count"),
    ],
    "02.normalise_rows": [
        ("return embeddings / np.sqrt((embeddings ** 2).sum())", "one number"),
        ("return np.array([row / np.sqrt(row @ row) for row in embeddings])", "0 / 0"),
        ("return embeddings / np.maximum((embeddings ** 2).sum(1, keepdims=True), 1e-12)", "by the sum of squares"),
        ("return embeddings / np.maximum(np.linalg.norm(embeddings, axis=0), 1e-12)", "lengths of the *columns*"),
    ],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("exercise", "body", "words"), [(name, *case) for name, written in WRITTEN.items() for case in written])
def test_answers_written_otherwise_are_told_what_is_wrong_too(verdict_on, exercise, body, words):
    verdict = verdict_on(exercise, body)
    assert not verdict.passed and words in verdict.message, verdict.message


def test_pairs_are_those_of_the_course():
    rng = np.random.default_rng(0)
    for _ in range(200):
        sentence, window = rng.integers(0, 8, rng.integers(1, 9)).tolist(), int(rng.integers(1, 6))
        assert notebook_02.training_pairs(sentence, window) == [tuple(pair) for pair in course_pairs(sentence, window).tolist()]


def test_the_chance_to_stay_is_that_of_the_course():
    counts = np.random.default_rng(0).integers(1, 5000, 300)
    for threshold in (1e-5, 1e-3, 0.1):
        assert notebook_02.keep_probability(counts, threshold) == pytest.approx(subsampling_keep(counts, threshold))


def test_the_loss_of_a_pair_is_the_cross_entropy_of_one_yes_and_k_times_no():
    rng = np.random.default_rng(0)
    for K in (0, 1, 5):
        centre, context, negatives = rng.normal(size=8), rng.normal(size=8), rng.normal(size=(K, 8))
        scores = torch.tensor(np.concatenate([[context @ centre], negatives @ centre]))
        answers = torch.tensor([1.0] + [0.0] * K, dtype=torch.float64)
        expected = F.binary_cross_entropy_with_logits(scores, answers, reduction="sum")
        assert notebook_02.pair_loss(centre, context, negatives) == pytest.approx(float(expected))


def test_normalised_rows_are_those_of_scikit_learn_and_the_argument_is_left_alone():
    embeddings = np.random.default_rng(0).normal(size=(50, 7))
    embeddings[3] = 0
    before = embeddings.copy()
    assert notebook_02.normalise_rows(embeddings) == pytest.approx(normalize(embeddings))
    assert (embeddings == before).all()
