"""The exercises of notebook 01: their solutions against references of another make, and answers as readers write them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import distance
from sklearn.feature_extraction.text import CountVectorizer

from src.embeddings import WordVectors
from src.teaching.exercises import notebook_01
from src.text import Vocabulary

WRITTEN = {
    "01.bag_of_words": [
        ("return [1 if w in set(words) else 0 for w in vocabulary]", "not how often"),
        ("from collections import Counter\n    return list(Counter(words).values())", "the order of the text"),
        ("r = [0] * len(vocabulary)\n    for w in words:\n        r[vocabulary.index(w)] += 1\n    return r", "stumbles over a word"),
        ("return [[int(v == w) for v in vocabulary] for w in words]", "is their *sum*"),
        ("import numpy as np\n    return np.array([words.count(v) for v in vocabulary]) / (len(words) or 1)", "divides by the length"),
        ("return {w: words.count(w) for w in vocabulary}", "It is of type `dict`"),
    ],
    "01.tf_idf": [
        ("n = sum(word in t for t in texts)\n    return text.count(word) * len(texts) / max(n, 1)", "lacks the logarithm"),
        ("n = sum(word in t for t in texts)\n    return -text.count(word) * math.log(len(texts) / n) if n else 0", "upside down"),
        (
            "n = len([w for t in texts for w in t if w == word])\n    return text.count(word) * math.log(len(texts) / n) if n else 0.0",
            "the number of *texts*",
        ),
        ("n = sum(word in t for t in texts)\n    return text.count(word) * math.log10(len(texts) / n) if n else 0.0", "base 10"),
        ("n = sum(word in t for t in texts)\n    return (word in text) * math.log(len(texts) / max(n, 1))", "leaves out how often"),
        ("return text.count(word) * math.log(len(texts) / len([t for t in texts if word in t]))", "divides by zero"),
    ],
    "01.cosine_similarity": [
        ("return sum(a * b)", "the dot product alone"),
        ("return np.dot(a, b) / np.linalg.norm(b) if b.any() else 0", "expected 0.96"),
        ("return a @ b / (sum(a**2) * sum(b**2)) if a.any() and b.any() else 0", "*squared* lengths"),
        ("return np.sqrt(sum((a - b) ** 2))", "distance between the two tips"),
        ("c = a @ b / (np.linalg.norm(a) * np.linalg.norm(b) or 1)\n    return 1 - c", "1 minus the cosine"),
        ("return np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)", "divides 0 by 0"),
        ("return a * b / (np.linalg.norm(a) * np.linalg.norm(b) or 1)", "place by place"),
    ],
    "01.solve_analogy": [
        ("return (embeddings @ (embeddings[b] - embeddings[a] + embeddings[c])).argmax()", "lets the words of the question answer"),
        (
            "s = embeddings @ (embeddings[a] - embeddings[b] + embeddings[c])\n    s[[a, b, c]] = -9\n    return np.argmax(s)",
            "the wrong way",
        ),
        ("s = embeddings @ (embeddings[b] - embeddings[a] + embeddings[c])\n    s[c] = -9\n    return np.argmax(s)", "leaves out c only"),
        ("s = embeddings @ (embeddings[b] - embeddings[a] + embeddings[c])\n    s[[a, b, c]] = 0\n    return np.argmax(s)", "the score 0"),
        (
            "s = embeddings @ (embeddings[b] - embeddings[a] + embeddings[c])\n    s[[a, b, c]] = -9\n    return embeddings[np.argmax(s)]",
            "returns the vector",
        ),
    ],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("exercise", "body", "words"), [(name, *case) for name, written in WRITTEN.items() for case in written])
def test_answers_written_otherwise_are_told_what_is_wrong_too(verdict_on, exercise: str, body: str, words: str) -> None:
    verdict = verdict_on(exercise, body)
    assert not verdict.passed and words in verdict.message, verdict.message


def test_bags_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    vocabulary = ["cat", "dog", "king", "land", "queen"]
    counter = CountVectorizer(vocabulary=vocabulary)
    for _ in range(50):
        words = rng.choice([*vocabulary, "unicorn"], rng.integers(0, 9)).tolist()
        assert notebook_01.bag_of_words(words, vocabulary) == counter.transform([" ".join(words)]).toarray()[0].tolist()


def test_weights_are_counts_times_the_logarithm_by_table() -> None:
    rng = np.random.default_rng(1)
    words = ["cat", "dog", "king", "land", "queen"]
    texts = [rng.choice(words, 6).tolist() for _ in range(4)]
    counts = np.array([[text.count(word) for word in words] for text in texts])
    n = (counts > 0).sum(axis=0)
    for row, text in enumerate(texts):
        for column, word in enumerate(words):
            expected = counts[row, column] * np.log(4 / n[column]) if n[column] else 0
            assert notebook_01.tf_idf(word, text, texts) == pytest.approx(expected)


def test_cosines_are_those_of_scipy() -> None:
    rng = np.random.default_rng(2)
    for a, b in rng.normal(size=(50, 2, 7)):
        assert notebook_01.cosine_similarity(a, b) == pytest.approx(1 - distance.cosine(a, b))


def test_equations_are_solved_as_the_course_solves_them() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        rows = rng.normal(size=(9, 4))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        wv = WordVectors(Vocabulary("abcdefghi"), rows)
        a, b, c = rng.integers(0, 9, 3).tolist()
        expected = next(iter(wv.analogy("abcdefghi"[a], "abcdefghi"[b], "abcdefghi"[c], 1)))
        assert notebook_01.solve_analogy(rows, a, b, c) == "abcdefghi".index(expected)
