"""The figures of calibration say what the numbers say."""

import numpy as np
import pytest

from src.plots.calibration import plot_coverage, plot_reliability
from src.qa.calibration import at_threshold, coverage_curve, reliability

SCORES = np.array([0.95, 0.93, 0.9, 0.72, 0.7, 0.3, 0.1, 0.05])
CORRECT = np.array([1, 1, 0, 1, 0, 1, 0, 0], dtype=bool)
DIAGRAM, CURVE = reliability(SCORES, CORRECT, 5), coverage_curve(SCORES, CORRECT)
CHOSEN, SILENT = (at_threshold(SCORES, CORRECT, threshold) for threshold in (0.92, 0.99))

FIGURES = {
    "plot_reliability": (
        lambda: plot_reliability({"as it is": DIAGRAM, "scaled": reliability(SCORES**2, CORRECT)}),
        "Said and true differ on average by 25.6 points (as it is), 33.0 points (scaled)",
        "0 % right at 8 % sure, 100 % right at 30 % sure, 50 % right at 71 % sure, 67 % right at",
    ),
    "plot_coverage": (
        lambda: plot_coverage({"reader": CURVE, "another": CURVE}, 0.9, SILENT),
        "Answering every question is right 50 % of the time",
        "another: 100 at 12.5, 100 at 25, 66.7 at 37.5, 75 at 50",
    ),
    "plot_coverage with a threshold": (
        lambda: plot_coverage({"reader": CURVE}, 0.9, CHOSEN),
        "Answering only the surest 25 % of questions is right 100 % of the time; "
        "answering all, 50 %",
        "With 95 % confidence 34 to 100 % on other questions",
    ),
}


@pytest.mark.parametrize(
    ("threshold", "shown"),
    [(0.25, "0.25"), (0.9969, "0.9969"), (0.99996, "0.99996"), (0.0004, "0.0004"), (0.0, "0")],
)
def test_a_threshold_has_as_many_digits_as_tell_it_from_zero_and_one(threshold, shown, texts):
    scores, correct = np.array([0.99999, 0.9, 0.1]), np.array([1, 1, 0])
    chosen = at_threshold(scores, correct, threshold)
    figure = plot_coverage({"reader": coverage_curve(scores, correct)}, 0.9, chosen)
    assert f"threshold {shown}" in texts(figure)
