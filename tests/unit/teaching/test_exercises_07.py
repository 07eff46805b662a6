"""The exercises of notebook 07: their solutions against bm25s, scikit-learn and the course's code, and answers as readers write them."""

import random

import bm25s
import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from src.qa import calibration, retrieval
from src.teaching.exercises import notebook_07

WEIGHT = "w = math.log(1 + (documents - containing + 0.5) / (containing + 0.5))\n    "
FUSING = "totals = {}\n    for ranking in rankings:\n        for rank, name in enumerate(ranking, 1):\n            "
ADDING = f"{FUSING}totals[name] = totals.get(name, 0) + 1 / (constant + rank)\n    "
BINS = (
    "error = 0\n    for i in range(bins):\n        low, high = i / bins, (i + 1) / bins\n"
    "        m = (confidences >= low) & (confidences < high)\n        if i == bins - 1: m = confidences >= low\n"
)
GAP = "(correct[m].mean() - confidences[m].mean())"
WRITTEN = {
    "07.bm25_term": [
        (WEIGHT.replace("1 + ", "") + "return w * frequency / (k1 * (1 - b + b * length / mean_length) + frequency)", "the 1 in the log"),
        (WEIGHT + "return w * frequency / (frequency + k1)", "plays no part"),
        (WEIGHT + "return w * frequency / (frequency + k1 * (1 - b + b * mean_length / length))", "wrong way round"),
        (WEIGHT + "return w * frequency", "multiplies the weight by `frequency`"),
        (WEIGHT + "return w * frequency * (k1 + 1) / (frequency + k1 * (1 - b + b * length / mean_length))", "the factor k1 + 1"),
        (WEIGHT + "return w * frequency / (frequency + k1 * (b + (1 - b) * length / mean_length))", "have been mixed up"),
        (WEIGHT + "return w * frequency / frequency + k1 * (1 - b + b * length / mean_length)", "expected"),
        (
            "w = math.log(1 + (containing - documents + 0.5) / (documents + 0.5))\n"
            "    return w * frequency / (frequency + k1 * (1 - b + b * length / mean_length))",
            "changed places",
        ),
        (
            "w = math.log(1 + (containing + 0.5) / (documents - containing + 0.5))\n"
            "    return w * frequency / (frequency + k1 * (1 - b + b * length / mean_length))",
            "expected",
        ),
        (
            "w = np.log(documents / containing)\n    return w * frequency / (frequency + k1 * (1 - b + b * length / mean_length))",
            "as in TF-IDF",
        ),
        ("return math.log(1 + odds) * frequency", "NameError"),
    ],
    "07.fuse": [
        (f"{ADDING}return totals", "not in order"),
        (f"{ADDING}return dict(sorted(totals.items()))", "not in order"),
        (f"{ADDING}return dict(sorted(totals.items(), key=lambda item: item[1]))", "the smallest comes first"),
        (f"{ADDING}return sorted(totals.items(), key=lambda item: -item[1])", "it returns a list"),
        (f"{ADDING}return sorted(totals, key=totals.get, reverse=True)", "it returns a list"),
        (
            f"{ADDING.replace('ranking, 1', 'ranking')}return {{n: totals[n] for n in sorted(totals, key=lambda n: -totals[n])}}",
            "counts ranks from 0",
        ),
        (f"{FUSING}totals[name] = 1 / (constant + rank)\n    return dict(sorted(totals.items(), key=lambda x: -x[1]))", "overwrites"),
        (
            f"{FUSING}totals[name] = totals.get(name, 0) + rank\n    return dict(sorted(totals.items(), key=lambda x: x[1]))",
            "adds up the ranks themselves",
        ),
        (
            "names = [n for n in rankings[0] if all(n in r for r in rankings)]\n"
            "    s = {n: sum(1 / (constant + r.index(n) + 1) for r in rankings) for n in names}\n"
            "    return dict(sorted(s.items(), key=lambda x: -x[1]))",
            "only what stands on every list",
        ),
        (f"{FUSING}totals[name] += 1 / (constant + rank)\n    return totals", "KeyError"),
    ],
    "07.recall_at": [
        ("return len([r for r in ranks if r and r < k]) / len(ranks)", "leaves rank k out"),
        ("return sum(1 for r in ranks if r in range(k)) / len(ranks)", "leaves rank k out"),
        ("ranks = [r for r in ranks if r]\n    return sum(r <= k for r in ranks) / max(len(ranks), 1)", "whose passage was found"),
        ("return np.nanmean([r <= k if r else np.nan for r in ranks])", "whose passage was found"),
        ("return np.mean([r <= k for r in ranks])", "compares None with a number"),
        ("return 100 * np.mean([bool(r) and r <= k for r in ranks])", "returns percent"),
        ("return len([r for r in ranks if r and r <= k])", "how many questions"),
        ("return len([r for r in ranks[:k] if r]) / k", "expected"),
    ],
    "07.calibration_error": [
        (f"{BINS}        if m.any(): error += abs{GAP} / bins\n    return error", "empty ones too"),
        (f"{BINS}        error += m.mean() * abs{GAP}\n    return error", "one nan"),
        (f"{BINS}        if m.any(): error += m.mean() * {GAP}\n    return error", "cancel each other out"),
        (f"{BINS}        if m.any(): error += m.mean() * {GAP} ** 2\n    return error", "squares the gaps"),
        (f"{BINS}        if m.any(): error += m.sum() * abs{GAP}\n    return error", "sum to one"),
        (f"{BINS}        if m.any(): error = max(error, abs{GAP})\n    return error", "the largest gap"),
        (
            f"{BINS.replace('i == bins - 1', 'False')}        if m.any(): error += m.mean() * abs{GAP}\n    return error",
            "fall into no bin",
        ),
        (
            "sums, n = np.zeros(bins), len(correct)\n    for c, r in zip(confidences, correct):\n        sums[int(c * bins)] += r - c\n"
            "    return np.abs(sums).sum() / n",
            "a bin that is not there",
        ),
        (
            "error = 0\n    for low in np.arange(bins) / bins:\n        m = (confidences > low) & (confidences <= low + 1 / bins)\n"
            f"        if m.any(): error += m.mean() * abs{GAP}\n    return error",
            "goes into the lower bin",
        ),
        ("return abs(np.mean(correct) - np.mean(confidences))", "over all answers at once"),
        ("return np.abs(correct - confidences).mean()", "never 0.7 right"),
    ],
}
RIGHT = [
    (
        "07.bm25_term",
        "norm = 1 - b + b * length / mean_length\n"
        "    return 0.0 if not frequency else np.log1p((documents - containing + 0.5) / (containing + 0.5)) / (1 + k1 * norm / frequency)",
    ),
    ("07.fuse", f"{ADDING}return dict(sorted(totals.items(), key=lambda x: -x[1]))"),
    ("07.recall_at", "return np.mean(np.array([r or np.inf for r in ranks]) <= k)"),
    ("07.calibration_error", f"{BINS}        if m.any(): error += m.mean() * abs{GAP}\n    return error"),
    (
        "07.calibration_error",
        "i = np.clip((confidences * bins).astype(int), 0, bins - 1)\n"
        "    return np.abs(np.bincount(i, correct) - np.bincount(i, confidences)).sum() / len(i)",
    ),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("exercise", "body", "words"), [(name, *case) for name, written in WRITTEN.items() for case in written])
def test_answers_written_otherwise_are_told_what_is_wrong_too(verdict_on, exercise, body, words):
    verdict = verdict_on(exercise, body)
    assert not verdict.passed and words in verdict.message, verdict.message


@pytest.mark.parametrize(("exercise", "body"), RIGHT)
def test_right_answers_written_otherwise_pass(verdict_on, exercise, body):
    verdict = verdict_on(exercise, body)
    assert verdict.passed, verdict.message


def test_the_fusion_that_the_stub_shows_has_these_very_sums(verdict_on):
    found = notebook_07.fuse([["sun", "star"], ["star", "moon"]], 10.0)
    assert found == pytest.approx({"star": 0.1742, "sun": 0.0909, "moon": 0.0833}, abs=5e-5)
    assert "expected {'b': 0.1742, 'a': 0.09091, 'c': 0.08333}" in verdict_on("07.fuse", "return {}").message


def test_the_terms_of_a_question_sum_to_the_score_that_bm25s_gives():
    rng = random.Random(0)
    for _ in range(60):
        texts = [rng.choices("aaaabbbccdef", k=rng.randrange(1, 12)) for _ in range(rng.randrange(1, 9))]
        k1, b = rng.choice([0.5, 1.2, 1.5, 2.0]), rng.choice([0.0, 0.4, 0.75, 1.0])
        index = bm25s.BM25(k1=k1, b=b, method="lucene")
        index.index(texts, show_progress=False)
        question = sorted({word for text in texts for word in text})[: rng.randrange(1, 5)]
        mean_length = sum(map(len, texts)) / len(texts)
        scores = [
            sum(
                notebook_07.bm25_term(text.count(word), len(text), mean_length, sum(word in other for other in texts), len(texts), k1, b)
                for word in question
            )
            for text in texts
        ]
        assert index.get_scores(question) == pytest.approx(scores, rel=1e-5)


def test_a_term_is_what_the_courses_own_index_gives_a_question_of_one_word():
    texts = ["osmium osmium metal", "metal", "gas gas gas gas", "osmium gas water and more"]
    index = retrieval.KeywordIndex.build([retrieval.Document("", text) for text in texts])
    mean_length = sum(len(text.split()) for text in texts) / len(texts)
    for word, containing in (("osmium", 2), ("metal", 2), ("gas", 2), ("water", 1)):
        found = [
            notebook_07.bm25_term(
                text.split().count(word), len(text.split()), mean_length, containing, len(texts), retrieval.K1, retrieval.B
            )
            for text in texts
        ]
        assert index.scores(word) == pytest.approx(found, rel=1e-5)


def test_two_rankings_fuse_as_those_of_the_course_do():
    rng = random.Random(0)
    for _ in range(200):
        rankings = [rng.sample("abcdefghij", rng.randrange(11)) for _ in range(rng.randrange(1, 4))]
        constant = rng.choice([1.0, 10.0, 60.0])
        found = notebook_07.fuse(rankings, constant)
        assert found == pytest.approx(retrieval.fuse(rankings, constant))
        assert list(found.values()) == sorted(found.values(), reverse=True)


def test_recall_is_how_often_the_right_class_is_among_the_k_with_the_best_scores():
    rng = np.random.default_rng(0)
    for _ in range(50):
        questions, passages = rng.integers(1, 30), int(rng.integers(3, 12))
        scores, right = rng.random((questions, passages)), rng.integers(0, passages, questions)
        ranks = [1 + int((row > row[place]).sum()) for row, place in zip(scores, right, strict=True)]
        k = int(rng.integers(1, passages))
        shown = [rank if rank <= passages // 2 else None for rank in ranks]  # a list that ends half way down
        theirs = [top_k_accuracy_score(right, scores, k=depth, labels=range(passages)) for depth in (k, min(k, passages // 2))]
        assert notebook_07.recall_at(ranks, k) == pytest.approx(theirs[0])
        assert notebook_07.recall_at(shown, k) == pytest.approx(theirs[1])


def test_the_calibration_error_is_that_of_the_course_also_on_edges_and_with_empty_bins():
    rng = np.random.default_rng(0)
    for bins in range(1, 21):
        for size in (1, 3, 40, 400):
            confidences = rng.random(size) ** 0.5
            rounded = rng.random(size) < 0.5
            confidences[rounded] = np.round(confidences[rounded], 1)  # edges, 0 and 1 among them
            correct = rng.random(size) < 0.6  # not as the confidences say, or those of 1 would add nothing
            theirs = calibration.reliability(confidences, correct, bins).error
            assert notebook_07.calibration_error(confidences, correct, bins) == pytest.approx(theirs)
