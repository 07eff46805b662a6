"""The figures of calibration say what the numbers say: dots and curves are read back from them."""

import numpy as np
import pytest

from src.plots.calibration import plot_coverage, plot_reliability
from src.qa.calibration import at_threshold, coverage_curve, reliability

SCORES = np.array([0.95, 0.93, 0.9, 0.72, 0.7, 0.3, 0.1, 0.05])
CORRECT = np.array([1, 1, 0, 1, 0, 1, 0, 0], dtype=bool)
DIAGRAM, CURVE = reliability(SCORES, CORRECT, 5), coverage_curve(SCORES, CORRECT)
CHOSEN, SILENT = (at_threshold(SCORES, CORRECT, threshold) for threshold in (0.92, 0.99))
HALF = "Answering every question is right 50 % of the time; answering the surest half, 75 %"

FIGURES = {
    "plot_reliability": (
        lambda: plot_reliability({"as it is": DIAGRAM, "scaled": reliability(SCORES**2, CORRECT)}),
        "As it is, what it says is off by 25.6 points on average; scaled, by 33.0 points",
    ),
    "plot_coverage": (
        lambda: plot_coverage({"reader": CURVE, "another": CURVE}, 0.9, SILENT),
        HALF,
    ),
    "plot_coverage with a threshold": (
        lambda: plot_coverage({"reader": CURVE}, 0.9, CHOSEN),
        "Answering only the surest 25 % of questions is right 100 % of the time; "
        "answering all, 50 %",
    ),
}


def test_dots_are_at_the_confidence_and_accuracy_of_their_bins(mark):
    figure = plot_reliability({"as it is": DIAGRAM})
    dots = mark(figure, "dots as it is")
    assert dots.get_xdata() == pytest.approx([7.5, 30, 71, 278 / 3])
    assert dots.get_ydata() == pytest.approx([0, 100, 50, 200 / 3])
    assert [bar.get_height() for bar in figure.axes[1].patches] == [25, 12.5, 0, 25, 37.5]


def test_the_curve_and_the_chosen_threshold_are_those_of_the_numbers(mark):
    figure = plot_coverage({"reader": CURVE}, 0.9, CHOSEN)
    expected = 100 * np.stack([CURVE.coverage, CURVE.accuracy], axis=1)
    assert mark(figure, "reader").get_xydata() == pytest.approx(expected)
    assert mark(figure, "chosen").get_xydata().tolist() == [[25, 100]]


@pytest.mark.parametrize(
    ("threshold", "shown"),
    [(0.25, "0.25"), (0.9969, "0.997"), (0.99996, "0.99996"), (0.0004, "0.0004"), (0.0, "0.00")],
)
def test_a_threshold_has_as_many_digits_as_tell_it_from_zero_and_one(threshold, shown, texts):
    scores, correct = np.array([0.99999, 0.9, 0.1]), np.array([1, 1, 0])
    chosen = at_threshold(scores, correct, threshold)
    figure = plot_coverage({"reader": coverage_curve(scores, correct)}, 0.9, chosen)
    assert f"threshold {shown}" in texts(figure)
