"""Calibration against torchmetrics, fine grids and slow loops; thresholds against trying all."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score
from torchmetrics.functional.classification import binary_calibration_error

from src.qa import calibration
from src.qa.calibration import (
    Scaling,
    at_threshold,
    compare,
    coverage_curve,
    error_by_chance,
    fields_for_card,
    fit_calibration,
    fit_scaling,
    judge,
    reliability,
    threshold_for,
)
from src.qa.decoding import Answer, Candidate

# Few values, so that equal confidences, edges of bins, 0 and 1 are frequent.
confidences = st.one_of(st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.5, 0.9, 1.0]), st.floats(0, 1))
answers = st.lists(st.tuples(confidences, st.booleans()), min_size=1, max_size=40)


def arrays(pairs):
    said, right = zip(*pairs, strict=True)
    return np.array(said), np.array(right)


def drawn(n=4000, temperature=1.0, offset=0.0, seed=0):
    """Scores of a reader whose true confidence is a `Scaling` of what it says."""
    rng = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-rng.normal(0.5, 2, n)))
    return scores, rng.random(n) < Scaling(temperature, offset)(scores)


# --- calibration error ------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [1, 5, 10, 15])
def test_the_calibration_error_is_that_of_torchmetrics(bins):
    said, right = drawn(500, temperature=2)
    expected = binary_calibration_error(
        torch.tensor(said), torch.tensor(right).long(), n_bins=bins, norm="l1"
    )
    assert reliability(said, right, bins).error == pytest.approx(float(expected), abs=1e-9)


@given(answers, st.integers(1, 12))
def test_the_calibration_error_is_that_of_a_slow_loop(pairs, bins):
    said, right = arrays(pairs)
    found = reliability(said, right, bins)
    total = 0.0
    for i in range(bins):
        low, high = found.edges[i], found.edges[i + 1]
        inside = [(c, r) for c, r in pairs if low <= c < high or (i == bins - 1 and c == 1.0)]
        assert found.counts[i] == len(inside)
        if inside:
            said_mean, right_mean = np.mean([c for c, _ in inside]), np.mean([r for _, r in inside])
            assert (found.confidence[i], found.accuracy[i]) == (
                pytest.approx(said_mean),
                pytest.approx(right_mean),
            )
            total += len(inside) / len(pairs) * abs(said_mean - right_mean)
        else:
            assert np.isnan(found.confidence[i]) and np.isnan(found.accuracy[i])
    assert found.error == pytest.approx(total)


def test_true_confidences_have_the_error_of_chance_and_wrong_ones_more():
    true, wrong = drawn(300), drawn(300, temperature=3)
    assert reliability(*true).error < 2 * error_by_chance(true[0])
    assert reliability(*wrong).error > 2 * error_by_chance(wrong[0])


def test_the_error_of_chance_is_the_mean_over_all_outcomes_weighed_by_how_likely_they_are():
    said, expected = np.array([0.3, 0.35, 0.8]), 0.0
    for outcome in np.ndindex(2, 2, 2):
        right = np.array(outcome, dtype=bool)
        expected += np.prod(np.where(right, said, 1 - said)) * reliability(said, right).error
    assert error_by_chance(said, draws=20_000) == pytest.approx(expected, abs=0.005)


# --- temperature ------------------------------------------------------------------------------


def loss(scores, right, temperature, offset=0.0):
    p = np.clip(Scaling(temperature, offset)(scores), 1e-300, 1)
    q = np.clip(Scaling(temperature, -offset)(1 - scores), 1e-300, 1)
    return -np.mean(np.where(right, np.log(p), np.log(q)))


@pytest.mark.parametrize(("temperature", "seed"), [(0.4, 0), (1.0, 1), (2.5, 2), (4.0, 3)])
def test_the_temperature_is_the_best_of_a_fine_grid(temperature, seed):
    scores, right = drawn(2000, temperature, seed=seed)
    grid = np.exp(np.linspace(np.log(0.05), np.log(50), 4000))
    best = grid[np.argmin([loss(scores, right, t) for t in grid])]
    found = fit_scaling(scores, right)
    assert found.temperature == pytest.approx(best, rel=0.003) and found.offset == 0
    assert (
        loss(scores, right, found.temperature) <= min(loss(scores, right, t) for t in grid) + 1e-12
    )
    assert found.temperature == pytest.approx(temperature, rel=0.25), "the one it was drawn with"


def test_scaling_makes_the_error_smaller_on_questions_it_was_not_fitted_on():
    fitted, new = drawn(3000, 3.0, -0.5, seed=1), drawn(3000, 3.0, -0.5, seed=2)
    errors = [reliability(new[0], new[1]).error]
    errors += [
        reliability(fit_scaling(*fitted, offset=offset)(new[0]), new[1]).error
        for offset in (False, True)
    ]
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]
    assert errors[2] < 2 * error_by_chance(new[0])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0.2, 5), st.floats(-3, 3))
def test_scaling_keeps_the_order_and_the_range(scores, temperature, offset):
    scaled = Scaling(temperature, offset)(np.sort(scores))
    assert (np.diff(scaled) >= 0).all() and (scaled >= 0).all() and (scaled <= 1).all()


def test_scaling_says_what_the_formula_says():
    assert float(Scaling(2.0, 0.5)(0.9)) == pytest.approx(
        1 / (1 + math.exp(-(math.log(9) / 2 + 0.5)))
    )
    assert Scaling()(np.array([0.0, 0.3, 1.0])) == pytest.approx([0.0, 0.3, 1.0])


def test_scores_of_zero_and_one_are_fitted_without_infinities():
    found = fit_scaling([0.0, 1.0, 1.0, 0.5, 0.0], [0, 1, 0, 1, 1], offset=True)
    assert np.isfinite([found.temperature, found.offset]).all()


def test_a_perfect_score_gets_a_low_temperature_and_a_misleading_one_a_high_one():
    coldest, hottest = calibration.TEMPERATURES
    assert coldest <= fit_scaling([0.2, 0.4, 0.6, 0.8], [0, 0, 1, 1]).temperature < 0.05
    assert fit_scaling([0.2, 0.4, 0.6, 0.8], [1, 1, 0, 0]).temperature == pytest.approx(hottest)


@pytest.mark.parametrize(("right", "word"), [([1, 1], "right"), ([0, 0], "wrong")])
def test_answers_of_one_kind_cannot_be_fitted(right, word):
    with pytest.raises(ValueError, match=f"all 2 answers are {word}"):
        fit_scaling([0.2, 0.8], right)


# --- coverage and thresholds ------------------------------------------------------------------


@given(answers)
def test_the_curve_counts_what_each_threshold_answers(pairs):
    said, right = arrays(pairs)
    curve = coverage_curve(said, right)
    assert curve.thresholds.tolist() == sorted(set(said.tolist()), reverse=True)
    for threshold, coverage, accuracy in zip(
        curve.thresholds, curve.coverage, curve.accuracy, strict=True
    ):
        answered = [r for c, r in pairs if c >= threshold]
        assert coverage == pytest.approx(len(answered) / len(pairs)) and accuracy == pytest.approx(
            np.mean(answered)
        )


@given(answers, st.sampled_from([0.5, 0.7, 0.9, 1.0]))
def test_the_threshold_is_the_best_of_all_that_can_be_tried(pairs, wanted):
    said, right = arrays(pairs)
    tried = [at_threshold(said, right, t) for t in {0.0, *said.tolist()}]
    most = max((a.answered for a in tried if a.accuracy >= wanted), default=0)
    found = at_threshold(said, right, threshold_for(said, right, wanted))
    assert found.answered == most
    assert not most or found.accuracy >= wanted


def test_the_threshold_lies_halfway_between_the_scores_it_parts():
    assert threshold_for([0.9, 0.8, 0.4, 0.1], [1, 1, 0, 0], 0.9) == pytest.approx(0.6)
    assert threshold_for([0.9, 0.8], [1, 1], 0.9) == 0
    assert 0.9 < threshold_for([0.9, 0.8], [0, 1], 0.9) < 0.900001


def test_neighbouring_numbers_are_parted_too():
    high = math.nextafter(0.5, 1)
    assert at_threshold([0.5, high], [0, 1], threshold_for([0.5, high], [0, 1])).answered == 1


def test_where_nothing_is_answered_nothing_is_known():
    nothing = at_threshold([0.5, 0.6], [1, 1], 0.7)
    assert (
        nothing.answered == 0
        and nothing.coverage == 0
        and math.isnan(nothing.accuracy)
        and nothing.interval == (0.0, 1.0)
    )


@pytest.mark.parametrize(
    ("said", "right", "message"),
    [
        ([], [], "one confidence and one correct"),
        ([0.5], [1, 0], "one confidence and one correct"),
        ([[0.5]], [[1]], "one confidence and one correct"),
        ([1.5], [1], "between 0 and 1"),
        ([math.nan], [1], "between 0 and 1"),
        ([0.5], [0.7], "True or False"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(said, right, message):
    for function in (reliability, fit_scaling, coverage_curve, threshold_for):
        with pytest.raises(ValueError, match=message):
            function(said, right)


def test_settings_without_sense_are_refused():
    with pytest.raises(ValueError, match="bins is 0"):
        reliability([0.5], [1], bins=0)
    for wanted in (0, 1.1, math.nan):
        with pytest.raises(ValueError, match="wanted is"):
            threshold_for([0.5], [1], wanted)


# --- of a reader ------------------------------------------------------------------------------


def test_a_chosen_threshold_holds_on_other_questions_of_the_same_kind():
    report = compare(*drawn(3000, 0.5, seed=1), *drawn(3000, 0.5, seed=2), wanted=0.9)
    low, high = report.held_out.interval
    assert low <= 0.9 <= high and report.held_out.coverage > 0.1
    assert report.chosen_on.accuracy >= 0.9
    assert report.before.error > 2 * report.after.error
    assert report.held_out.questions == 3000
    assert report.held_out.interval == tuple(
        binomtest(report.held_out.right, report.held_out.answered).proportion_ci(method="wilson")
    )


class ScriptedSearch:
    """Answers each question, whatever its passage, with the words and the score it was told to."""

    def __init__(self, script):
        self.script = script

    def ask_many(self, questions, threshold):
        assert threshold == 0.0
        return [SimpleNamespace(text=self.script[q][0], score=self.script[q][1]) for q in questions]


def test_an_answer_is_right_where_it_matches_and_never_where_there_is_none(questions):
    rows = questions(
        ("exact", "the tall king", "tall king"),
        ("half", "the tall king", "king"),
        ("unanswerable", "the tall king"),
        ("silent on an unanswerable one", "the tall king"),
        ("silent", "the tall king", "king"),
    )
    script = {
        "exact": ("The tall king!", 0.9),
        "half": ("tall king", 0.7),
        "unanswerable": ("king", 0.6),
        "silent on an unanswerable one": ("", 0.0),
        "silent": ("", 0.0),
    }
    judged = judge(ScriptedSearch(script), rows)
    assert judged.confidences.tolist() == [0.9, 0.7, 0.6, 0.0, 0.0]
    assert judged.correct().tolist() == [True, False, False, False, False]
    assert judged.f1.tolist() == pytest.approx([1, 2 / 3, 0, 0, 0])
    assert judged.correct(least_f1=0.5).tolist() == [True, True, False, False, False]


def test_a_reader_is_judged_by_its_best_answers_without_its_threshold(tiny_folder, questions):
    from src.qa.answerer import QuestionAnswerer

    rows = questions(
        ("Which number?", "It is 8 and 9.", "8"),
        ("Who?", "It is 8 and 9.", "9"),
        ("Where?", "It is 8 and 9."),
    )
    qa = QuestionAnswerer.load(tiny_folder, threshold=1.0)
    answers = qa(list(rows["question"]), list(rows["context"]), threshold=0.0)
    judged = judge(qa, rows)
    assert judged.confidences == pytest.approx([answer.score for answer in answers])
    assert judged.exact.tolist() == [
        answer.text == gold for answer, gold in zip(answers, ["8", "9", None], strict=True)
    ]


# --- the one temperature of a model's card ----------------------------------------------------


class Drawn:
    """A reader whose softmax at `temperature` is true: which span is right is drawn from it."""

    def __init__(self, number: int, temperature: float, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.rows, self.asked = [], 0
        for i in range(number):
            logits = np.append(
                np.sort(rng.normal(0, 4, 3))[::-1], rng.normal(0, 4)
            )  # three spans and the null
            share = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
            self.rows.append((f"q{i}", logits, int(rng.choice(4, p=share))))

    def dataset(self, questions):
        return questions(
            *(
                (name, "one two three four", *(["one", "two", "three"][right : right + 1]))
                for name, _, right in self.rows
            )
        )

    def __call__(self, asked, contexts, threshold, n_best):
        assert threshold == 0.0 and n_best == 20
        self.asked += 1
        answers = []
        for _, logits, _ in self.rows:
            spans = zip(("one", "two", "three"), (0, 4, 8), logits[:3].tolist(), strict=True)
            candidates = tuple(
                Candidate(text, start, start + len(text), logit, 0.5)
                for text, start, logit in spans
            )
            answers.append(Answer("one", 0, 3, 0.5, 0.5, candidates, float(logits[3])))
        return answers


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_fitted_temperature_is_the_one_the_answers_were_drawn_with(questions, temperature):
    reader = Drawn(3000, temperature)
    found = fit_calibration(reader, reader.dataset(questions))
    assert found["temperature"] == pytest.approx(temperature, rel=0.15)
    assert found["ece"] < 0.05 and reader.asked == 1
    assert (found["questions"], found["unanswerable"]) == (
        3000,
        sum(right == 3 for _, _, right in reader.rows),
    )
    assert "note" not in found


def test_no_temperature_on_a_fine_grid_is_likelier(questions):
    reader = Drawn(60, 2.0, seed=3)
    found = fit_calibration(reader, reader.dataset(questions))

    def loss(temperature: float) -> float:
        total = 0.0
        for _, logits, right in reader.rows:
            powers = [math.exp((logit - max(logits)) / temperature) for logit in logits]
            total -= math.log(
                (powers[0] if right == 0 else math.fsum(powers[1:])) / math.fsum(powers)
            )
        return total

    assert all(
        loss(found["temperature"]) <= loss(other) + 1e-6 for other in np.geomspace(0.05, 50, 400)
    )


def test_the_threshold_is_the_best_of_all_on_the_calibrated_scale(questions):
    reader = Drawn(80, 2.0, seed=1)
    rows = reader.dataset(questions)
    found = fit_calibration(reader, rows)
    scores = []
    for _, logits, _ in reader.rows:
        powers = np.exp((logits - logits.max()) / found["temperature"])
        scores.append(powers[0] / powers.sum())

    def f1_at(threshold: float) -> float:
        # Right: the first span said where it is the answer, nothing said where there is none.
        places = [place for _, _, place in reader.rows]
        said = [score >= threshold for score in scores]
        return 100 * float(
            np.mean(
                [
                    place == 0 if speaks else place == 3
                    for speaks, place in zip(said, places, strict=True)
                ]
            )
        )

    assert found["f1"] == found["exact_match"] == pytest.approx(f1_at(found["threshold"]))
    assert found["f1"] == pytest.approx(max(f1_at(threshold) for threshold in (0.0, *scores, 1.0)))
    assert found["auc"] == pytest.approx(
        roc_auc_score([place != 3 for _, _, place in reader.rows], scores)
    )


@pytest.mark.parametrize(
    ("golds", "which"),
    [
        (["one"], "only one answer"),
        (["one"] * 3, "all 3 answers right"),
        (["four"] * 3, "all 3 answers wrong"),
    ],
)
def test_where_nothing_can_be_fitted_the_defaults_are_taken_and_a_note_says_so(
    questions, golds, which
):
    reader = Drawn(len(golds), 1.0)
    rows = questions(*((f"q{i}", "one two three four", gold) for i, gold in enumerate(golds)))
    found = fit_calibration(reader, rows)
    assert (found["temperature"], found["threshold"]) == (1.0, 0.5)
    assert which in found["note"] and "auc" not in found


def test_the_reader_answers_with_what_was_fitted_as_the_fit_said_it_would(tiny_folder, questions):
    """The scores behind the fit are those that the reader gives afterwards."""
    from src.qa.answerer import QuestionAnswerer, evaluate

    passages = [
        f"It is {n} and {n + 1}, said the {who}."
        for n in range(3, 13)
        for who in ("king", "old queen")
    ] + ["", " "]
    reader = QuestionAnswerer.load(tiny_folder, threshold=0.9, temperature=7.0, precision="fp32")
    said = [
        answer.text for answer in reader(["Which number?"] * len(passages), passages, threshold=0.0)
    ]
    golds = [[text] if text and i % 3 else [] for i, text in enumerate(said)]
    rows = questions(
        *(("Which number?", passage, *gold) for passage, gold in zip(passages, golds, strict=True))
    )
    found = fit_calibration(reader, rows)
    assert (reader.threshold, reader.temperature) == (0.9, 7.0), "nothing is set"
    fitted = QuestionAnswerer.load(
        tiny_folder,
        threshold=found["threshold"],
        temperature=found["temperature"],
        precision="fp32",
    )
    measured = evaluate(fitted, rows)
    assert {name: measured[name] for name in ("exact_match", "f1", "ece", "auc")} == pytest.approx(
        {name: found[name] for name in ("exact_match", "f1", "ece", "auc")}, abs=1e-6
    )
    assert measured["best_f1"] == pytest.approx(found["f1"])


def test_a_cards_fields_are_threshold_temperature_and_the_rest_by_name():
    found = {
        "temperature": 1.234567,
        "threshold": 0.45678912,
        "questions": 7,
        "f1": 61.23456,
        "note": "words",
    }
    assert fields_for_card(found) == {
        "threshold": 0.4568,
        "temperature": 1.2346,
        "calibration": {"passage": {"questions": 7, "f1": 61.2346, "note": "words"}},
    }
