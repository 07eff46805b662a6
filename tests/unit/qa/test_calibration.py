"""Calibration against torchmetrics and fine grids; thresholds against trying all."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from torchmetrics.functional.classification import binary_calibration_error

from src.qa import calibration
from src.qa.calibration import (
    Scaling,
    at_threshold,
    compare,
    coverage_curve,
    error_by_chance,
    fit_scaling,
    reliability,
    threshold_for,
)

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


def test_a_bin_holds_its_lower_edge_and_the_last_one_both():
    found = reliability([0.0, 0.2, 0.5, 0.9, 1.0], [1, 0, 1, 0, 1], bins=4)
    assert found.counts.tolist() == [2, 0, 1, 2]
    assert found.confidence == pytest.approx([0.1, math.nan, 0.5, 0.95], nan_ok=True)
    assert found.accuracy == pytest.approx([0.5, math.nan, 1, 0.5], nan_ok=True)
    assert found.error == pytest.approx((2 * 0.4 + 0.5 + 2 * 0.45) / 5)


@pytest.mark.parametrize("confidence", [-0.1, 1.5, 90, math.nan])
def test_a_confidence_that_is_no_probability_is_refused(confidence):
    with pytest.raises(ValueError, match="between 0 and 1"):
        reliability([0.5, confidence], [1, 1])


def test_the_error_of_chance_is_the_mean_over_all_outcomes_weighed_by_how_likely_they_are():
    said, expected = np.array([0.3, 0.35, 0.8]), 0.0
    for outcome in np.ndindex(2, 2, 2):
        right = np.array(outcome, dtype=bool)
        expected += np.prod(np.where(right, said, 1 - said)) * reliability(said, right).error
    assert error_by_chance(said, draws=20_000) == pytest.approx(expected, abs=0.005)


# --- temperature ------------------------------------------------------------------------------


def loss(scores, right, temperature):
    p = np.clip(Scaling(temperature)(np.where(right, scores, 1 - scores)), 1e-300, 1)
    return -np.mean(np.log(p))


@pytest.mark.parametrize(("temperature", "seed"), [(0.4, 0), (1.0, 1), (4.0, 3)])
def test_the_temperature_is_the_best_of_a_fine_grid(temperature, seed):
    scores, right = drawn(2000, temperature, seed=seed)
    losses = [loss(scores, right, t) for t in np.geomspace(0.05, 50, 2000)]
    found = fit_scaling(scores, right)
    assert found.offset == 0 and loss(scores, right, found.temperature) <= min(losses) + 1e-12
    assert found.temperature == pytest.approx(temperature, rel=0.25), "the one it was drawn with"


def test_scaling_makes_the_error_smaller_on_questions_it_was_not_fitted_on():
    fitted, (scores, right) = drawn(3000, 3.0, -0.5, seed=1), drawn(3000, 3.0, -0.5, seed=2)
    scalings = (Scaling(), fit_scaling(*fitted), fit_scaling(*fitted, offset=True))
    raw, temperature, both = (reliability(scale(scores), right).error for scale in scalings)
    assert raw > 1.5 * temperature > 1.5 * both
    assert both < 2 * error_by_chance(scores) < raw


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0.2, 5), st.floats(-3, 3))
def test_scaling_keeps_the_order_and_the_range(scores, temperature, offset):
    scaled = Scaling(temperature, offset)(np.sort(scores))
    assert (np.diff(scaled) >= 0).all() and (scaled >= 0).all() and (scaled <= 1).all()


def test_scaling_says_what_the_formula_says():
    expected = 1 / (1 + math.exp(-(math.log(9) / 2 + 0.5)))
    assert float(Scaling(2.0, 0.5)(0.9)) == pytest.approx(expected)
    assert Scaling()(np.array([0.0, 0.3, 1.0])) == pytest.approx([0.0, 0.3, 1.0])


def test_scores_that_are_sure_perfect_or_misleading_get_temperatures_within_the_limits():
    sure = fit_scaling([0.0, 1.0, 1.0, 0.5, 0.0], [0, 1, 0, 1, 1], offset=True)
    assert np.isfinite([sure.temperature, sure.offset]).all()
    coldest, hottest = calibration.TEMPERATURES
    assert coldest <= fit_scaling([0.2, 0.4, 0.6, 0.8], [0, 0, 1, 1]).temperature < 0.05
    assert fit_scaling([0.2, 0.4, 0.6, 0.8], [1, 1, 0, 0]).temperature == pytest.approx(hottest)


# --- coverage and thresholds ------------------------------------------------------------------


@given(answers)
def test_the_curve_counts_what_each_threshold_answers(pairs):
    said, right = arrays(pairs)
    curve = coverage_curve(said, right)
    assert curve.thresholds.tolist() == sorted(set(said.tolist()), reverse=True)
    for i, threshold in enumerate(curve.thresholds):
        answered = right[said >= threshold]
        assert curve.coverage[i] == pytest.approx(len(answered) / len(pairs))
        assert curve.accuracy[i] == pytest.approx(np.mean(answered))


@given(answers, st.sampled_from([0.5, 0.7, 0.9, 1.0]))
def test_the_threshold_is_the_best_of_all_that_can_be_tried(pairs, wanted):
    said, right = arrays(pairs)
    tried = [at_threshold(said, right, t) for t in {0.0, *said.tolist()}]
    most = max((a.answered for a in tried if a.accuracy >= wanted), default=0)
    found = at_threshold(said, right, threshold_for(said, right, wanted))
    assert found.answered == most
    assert not most or found.accuracy >= wanted


def test_where_nothing_is_answered_nothing_is_known():
    nothing = at_threshold(np.array([0.5, 0.6]), np.array([1, 1]), 0.7)
    assert (nothing.answered, nothing.coverage, nothing.interval) == (0, 0, (0.0, 1.0))
    assert math.isnan(nothing.accuracy)


def test_a_chosen_threshold_holds_on_other_questions_of_the_same_kind():
    report = compare(*drawn(3000, 0.5, seed=1), *drawn(3000, 0.5, seed=2), wanted=0.9)
    test = report.held_out
    low, high = test.interval
    assert low <= 0.9 <= high and test.coverage > 0.1
    assert report.chosen_on.accuracy >= 0.9
    assert report.before.error > 2 * report.after.error
    assert test.questions == 3000
    wilson = binomtest(test.right, test.answered).proportion_ci(method="wilson")
    assert test.interval == tuple(wilson)
