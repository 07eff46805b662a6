"""Exact match, F1 and the best threshold, against the official rules by hand and torchmetrics."""

import math
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.text.squad import squad as torchmetrics_squad

from src.qa import metrics

# Articles, punctuation, capitals, other scripts, digits: all that normalising treats.
WORDS = ["the", "a", "an", "A", "The", "king", "King", "queen", "of", "Spain", "co-op", "1,000"]
WORDS += ["8", "...", "U.S.", "é", "e\u0301", "北京", "🙂", "'"]

texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
worded_texts = texts.filter(metrics.normalize_answer)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The King,  of Spain!", "king of spain"),
        ("an a the", ""),
        ("theatre another banana", "theatre another banana"),
        ("well-known", "wellknown"),
        ("the-end", "theend"),
        ("on–the–spot", "on– –spot"),
        ("a.n. other", "other"),
        ("\tU.S.\n army\u00a0base ", "us army base"),
        ("“curly” – dash", "“curly” – dash"),
        ("ÉCOLE", "école"),
        ("", ""),
        ("?!", ""),
    ],
)
def test_answers_are_normalised_as_the_official_script_does(text, normal):
    assert metrics.normalize_answer(text) == normal


@pytest.mark.parametrize(
    ("prediction", "golds", "exact", "f1"),
    [
        ("the king", ["King"], 1, 1),
        ("king of Spain", ["the king"], 0, 2 * (1 / 3) * 1 / (1 / 3 + 1)),
        ("in 1912", ["1912", "year 1912 in April"], 0, 2 / 3),
        ("night and night", ["night night night"], 0, 2 / 3),
        ("queen", ["king"], 0, 0),
        ("", ["king"], 0, 0),
        # An unanswerable question, or golds of which nothing is left, want an empty answer.
        ("", [], 1, 1),
        ("the", [], 1, 1),
        ("king", [], 0, 0),
        ("the", ["The"], 1, 1),
    ],
)
def test_one_answer_scores_as_worked_out_by_hand(prediction, golds, exact, f1):
    assert metrics.exact_match(prediction, golds) == exact
    assert metrics.f1(prediction, golds) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("prediction", "golds", "v1", "v2"),
    [
        # (exact, F1) by each version's script where golds have no words left.
        ("the", ["The"], (1, 0), (1, 1)),
        ("king", ["The"], (0, 0), (0, 0)),
        ("", ["the", "king"], (1, 0), (0, 0)),
        ("king", ["the", "king"], (1, 1), (1, 1)),
    ],
)
def test_a_set_is_scored_by_the_rules_of_2_0_where_a_question_is_unanswerable(
    prediction, golds, v1, v2
):
    for references, expected in (({"a": golds}, v1), ({"a": golds, "b": []}, v2)):
        scores = metrics.score_questions({"a": prediction, "b": ""}, references)
        assert (scores.exact[0], scores.f1[0]) == expected


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(texts, st.lists(worded_texts, min_size=1, max_size=3)), min_size=1, max_size=6
    )
)
def test_answerable_sets_score_as_torchmetrics_does(items):
    # Golds without words are left out: torchmetrics follows the 2.0 script there, also for 1.1.
    predictions = {str(i): prediction for i, (prediction, _) in enumerate(items)}
    references = {str(i): golds for i, (_, golds) in enumerate(items)}
    theirs = torchmetrics_squad(
        [{"id": qid, "prediction_text": text} for qid, text in predictions.items()],
        [
            {"id": qid, "answers": {"text": golds, "answer_start": [0] * len(golds)}}
            for qid, golds in references.items()
        ],
    )
    ours = metrics.score_answers(predictions, references)
    assert ours["exact_match"] == pytest.approx(float(theirs["exact_match"]), abs=1e-3)
    assert ours["f1"] == pytest.approx(float(theirs["f1"]), abs=1e-3)
    # Also by the rules of 2.0, beside a question that cannot be answered.
    beside = metrics.score_answers(predictions | {"?": ""}, references | {"?": []})
    assert (beside["HasAns_exact"], beside["HasAns_f1"]) == (ours["exact_match"], ours["f1"])


def test_a_set_is_split_by_answerability_and_parts_without_questions_are_left_out():
    references = {"a": ["king"], "b": ["old king", "king"], "c": [], "d": []}
    predictions = {"d": "queen", "c": "", "b": "old queen", "a": "king"}
    scores = metrics.score_questions(predictions, references)
    assert (scores.exact.tolist(), scores.f1.tolist()) == ([1, 0, 1, 0], [1, 0.5, 1, 0])
    assert metrics.score_answers(predictions, references) == {
        **{"exact_match": 50.0, "f1": 62.5, "total": 4},
        **{"HasAns_exact": 50.0, "HasAns_f1": 75.0, "HasAns_total": 2},
        **{"NoAns_exact": 50.0, "NoAns_f1": 50.0, "NoAns_total": 2},
    }
    answerable = {"exact_match": 100.0, "f1": 100.0, "total": 1}
    assert metrics.score_answers({"a": "x"}, {"a": ["x"]}) == answerable
    assert metrics.score_answers({"a": "", "b": "x"}, {"a": [], "b": []}) == {
        **{"exact_match": 50.0, "f1": 50.0, "total": 2},
        **{"NoAns_exact": 50.0, "NoAns_f1": 50.0, "NoAns_total": 2},
    }


def test_an_empty_set_is_an_error_that_says_so():
    with pytest.raises(ValueError, match="no questions to score"):
        metrics.score_answers({}, {})


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (metrics.check_threshold, (0, 1, np.float32(0.5)), (math.nan, -0.01, 1.01, "0.5", True)),
        (metrics.check_temperature, (0.01, 7, np.float32(2)), (math.nan, 0, -1, math.inf, "1")),
    ],
)
def test_only_numbers_within_the_limits_are_thresholds_and_temperatures(check, good, bad):
    for value in good:
        check(value)
    for value in bad:
        with pytest.raises(
            ValueError, match=rf"{check.__name__.removeprefix('check_')} is {value!r}"
        ):
            check(value)


# --- the threshold ----------------------------------------------------------------------------


def at_threshold(predictions, scores, references, threshold):
    kept = {qid: text if scores[qid] >= threshold else "" for qid, text in predictions.items()}
    return metrics.score_answers(kept, references)


def best_by_trying_all(predictions, scores, references, measure):
    """Highest value over all thresholds, and the fewest answers that reach it."""
    levels = [*sorted(set(scores.values())), 2.0]
    reached = [
        (at_threshold(predictions, scores, references, level)[measure], level) for level in levels
    ]
    best = max(value for value, _ in reached)
    highest = max(level for value, level in reached if value > best - 1e-9)
    return best, sum(score >= highest for score in scores.values())


scored_items = st.lists(
    st.tuples(
        st.sampled_from(["", "king", "old king", "the", "queen"]),
        st.lists(st.sampled_from(["king", "old king", "young king of Spain"]), max_size=2),
        # Few distinct scores, for ties; and neighbours with no float between them.
        st.sampled_from([0.0, 0.25, 0.5, np.nextafter(0.5, 1), 1.0, 5e-324]) | st.floats(0, 1),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=400)
@given(scored_items)
def test_the_best_threshold_is_the_one_found_by_trying_all(items):
    predictions, references, scores = (
        {str(i): item[part] for i, item in enumerate(items)} for part in (0, 1, 2)
    )
    found = metrics.best_threshold(predictions, scores, references)
    for measure, key in (("exact_match", "exact"), ("f1", "f1")):
        best, answered = best_by_trying_all(predictions, scores, references, measure)
        threshold = found[f"best_{key}_thresh"]
        assert found[f"best_{key}"] == pytest.approx(best, abs=1e-6)
        assert at_threshold(predictions, scores, references, threshold)[measure] == pytest.approx(
            best, abs=1e-6
        )
        assert sum(score >= threshold for score in scores.values()) == answered
        assert 0 <= threshold <= np.nextafter(1, 2)


def test_the_threshold_lies_halfway_between_right_and_wrong():
    references = {"a": ["x"], "b": ["y"], "c": [], "d": []}
    predictions = {"a": "x", "b": "y", "c": "x", "d": "y"}
    found = metrics.best_threshold(
        predictions, {"a": 0.9, "b": 0.8, "c": 0.4, "d": 0.1}, references
    )
    assert found["best_f1"] == found["best_exact"] == 100
    assert found["best_f1_thresh"] == found["best_exact_thresh"] == pytest.approx(0.6)


def test_a_hundred_thousand_questions_take_seconds():
    rng = random.Random(0)
    references = {str(i): ["king"] if rng.random() < 0.7 else [] for i in range(100_000)}
    predictions = {qid: rng.choice(["king", "queen", "old king"]) for qid in references}
    scores = {qid: rng.random() for qid in references}
    start = time.process_time()
    metrics.best_threshold(predictions, scores, references)
    assert time.process_time() - start < 20  # about 1.5 s; a quadratic search would take hours
