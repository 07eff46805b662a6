"""The figures of calibration say what the numbers say: dots, curves and titles are read back from the figures."""

from __future__ import annotations

import re

import matplotlib.style
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from src import plots
from src.plots.calibration import plot_coverage, plot_reliability
from src.qa.calibration import at_threshold, coverage_curve, reliability
from src.runtime import COURSE

SCORES = np.array([0.95, 0.93, 0.9, 0.72, 0.7, 0.3, 0.1, 0.05])
CORRECT = np.array([1, 1, 0, 1, 0, 1, 0, 0], dtype=bool)


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


def marked(figure, gid):
    (found,) = figure.findobj(lambda artist: artist.get_gid() == gid)
    return found


def every_figure():
    rng = np.random.default_rng(0)
    scores = rng.random(400) ** 0.4
    right = rng.random(400) < scores**2
    curve = coverage_curve(scores, right)
    yield plot_reliability({"as it is": reliability(scores, right)})
    yield plot_reliability({"as it is": reliability(scores, right), "with a temperature": reliability(scores**2, right)})
    yield plot_reliability({f"way {i}": reliability(scores, right, 5) for i in range(3)})
    yield plot_coverage({"reader": curve}, 0.9, at_threshold(scores, right, 0.93))
    yield plot_coverage({"reader": curve, "another": coverage_curve(scores, rng.random(400) < 0.5)})


def test_every_figure_is_small_and_has_alternative_text():
    for figure in every_figure():
        stored = figure._repr_mimebundle_()["text/html"]
        assert len(stored) < 62_000 and plots.title_of(figure).rstrip(".") in figure.alt


def test_nothing_is_cut_off_and_no_two_labels_overlap():
    for figure in every_figure():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        page = figure.bbox.padded(1)
        labels = [axis.label for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) if axis.label.get_text()]
        for box in (label.get_window_extent(canvas.get_renderer()) for label in labels):
            assert page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1)
        titles = [ax.title.get_window_extent(canvas.get_renderer()) for ax in figure.axes if ax.get_title()]
        assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])
        assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1


def test_dots_stand_at_the_confidence_and_accuracy_of_their_bins():
    diagram = reliability(SCORES, CORRECT, 5)
    figure = plot_reliability({"as it is": diagram})
    dots = marked(figure, "dots as it is")
    assert dots.get_xdata() == pytest.approx([7.5, 30, 71, 100 * np.mean([0.95, 0.93, 0.9])])
    assert dots.get_ydata() == pytest.approx([0, 100, 50, 200 / 3])
    bars = figure.axes[1].patches
    assert [bar.get_height() for bar in bars] == pytest.approx([25, 12.5, 0, 25, 37.5])
    assert f"off by {100 * diagram.error:.1f} points" in plots.title_of(figure)


def test_the_curve_and_the_chosen_threshold_are_those_of_the_numbers():
    curve, chosen = coverage_curve(SCORES, CORRECT), at_threshold(SCORES, CORRECT, 0.92)
    figure = plot_coverage({"reader": curve}, wanted=0.9, chosen=chosen)
    line, dot = marked(figure, "curve reader"), marked(figure, "chosen")
    assert line.get_xdata() == pytest.approx(100 * curve.coverage) and line.get_ydata() == pytest.approx(100 * curve.accuracy)
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (25, 100)
    assert plots.title_of(figure) == "Answering only the surest 25 % of questions is right 100 % of the time; answering all, 50 %"


@pytest.mark.parametrize(
    ("threshold", "shown"), [(0.25, "0.25"), (0.9969, "0.997"), (0.99996, "0.99996"), (0.0004, "0.0004"), (0.0, "0.00")]
)
def test_a_threshold_is_written_with_as_many_digits_as_tell_it_from_zero_and_one(threshold, shown):
    scores = np.array([0.99999, 0.9, 0.1])
    figure = plot_coverage({"reader": coverage_curve(scores, [1, 1, 0])}, chosen=at_threshold(scores, [1, 1, 0], threshold))
    assert f"threshold {shown}" in [text.get_text() for text in figure.axes[0].texts]


def test_without_a_threshold_or_where_it_answers_nothing_the_half_is_named():
    curve = coverage_curve(SCORES, CORRECT)
    for chosen in (None, at_threshold(SCORES, CORRECT, 0.99)):
        title = plots.title_of(plot_coverage({"reader": curve}, chosen=chosen))
        assert re.search(r"every question is right 50 % .* the surest half, 75 %", title)


def test_nothing_to_draw_is_refused():
    for function in (plot_reliability, plot_coverage):
        with pytest.raises(ValueError, match="nothing to draw"):
            function({})
