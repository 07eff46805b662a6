"""The figures of notebook 00 say what the numbers say: titles, bars and steps are read back from the figures."""

import io
import itertools

import matplotlib.style
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from src import plots
from src.plots import start
from src.runtime import COURSE
from src.spam import Errors
from src.tasks import Score

X, Y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 5.0])
SCORES = {"topic": Score(900, 1000, 1 / 11), "sentiment": Score(16, 20, 0.5), "entailment": Score(6, 18, 1 / 3)}
ERRORS = {"rules": Errors(5, 18, 80), "learned": Errors(7, 8, 80)}


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


def descent(epochs=200, rate=0.05):
    """(slope, intercept, error) before each epoch, and after the last."""
    history, slope, intercept = [], 0.0, 0.0
    for _ in range(epochs + 1):
        wrong_by = slope * X + intercept - Y
        history.append((slope, intercept, (wrong_by**2).mean()))
        slope, intercept = slope - rate * (2 * wrong_by * X).mean(), intercept - rate * (2 * wrong_by).mean()
    return history


def every_figure():
    yield start.draw_ai_sets()
    yield start.draw_course_map()
    yield start.draw_training_loop()
    yield start.plot_downhill(X, Y, 0.0, [0.0, 0.77, 1.2])
    yield start.plot_line_training(X, Y, descent(), "x, things", "y, things")
    yield start.plot_losses({"training": np.geomspace(0.69, 0.1, 50), "validation": np.geomspace(0.69, 0.4, 50)})
    yield start.plot_filter_errors(ERRORS)
    yield start.plot_word_weights({"now": 1.2, "$5 $": 0.7}, {"the": -0.9, "a": -0.2})
    yield start.plot_task_scores(SCORES)


def by_gid(figure, gid):
    (found,) = figure.findobj(lambda artist: artist.get_gid() == gid)
    return found


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def test_every_figure_is_stored_small_opaque_and_with_alternative_text():
    for figure in every_figure():
        assert plots.title_of(figure) in figure.alt
        assert len(figure.to_html()) < 62_000
        picture = Image.open(io.BytesIO(figure.png())).convert("RGBA")
        assert picture.getchannel("A").getextrema() == (255, 255) and picture.getpixel((0, 0)) == (255, 255, 255, 255)


def test_every_chart_names_its_axes():
    for figure in every_figure():
        for ax in figure.axes:
            if ax.axison:
                assert ax.get_xlabel(), plots.title_of(figure)
                assert ax.get_ylabel() or ax.get_yticklabels(), plots.title_of(figure)


def test_no_text_leaves_the_picture():
    for figure in every_figure():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        for text in figure.findobj(matplotlib.text.Text):
            if text.get_text().strip() and text.get_visible():
                box = text.get_window_extent(canvas.get_renderer())
                beyond = max(-box.x0, -box.y0, box.x1 - figure.bbox.x1, box.y1 - figure.bbox.y1)
                # tick labels beyond the limits of an axis are laid out, and not drawn
                assert beyond <= 1 or box.width == 0 or text in _hidden_ticks(figure), text.get_text()


def _hidden_ticks(figure):
    hidden = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low <= tick.get_loc() <= high or not ax.axison:
                    hidden |= {tick.label1, tick.label2}
    return hidden


# --- sets and maps -------------------------------------------------------------------------------------------------------


def test_each_set_lies_inside_the_one_before():
    figure = start.draw_ai_sets()
    rings = [by_gid(figure, name) for name in ("Artificial\nintelligence", "Machine learning", "Deep learning")]
    for outer, inner in itertools.pairwise(rings):
        angles = np.linspace(0, 2 * np.pi, 100)
        x = inner.center[0] + inner.width / 2 * np.cos(angles)
        y = inner.center[1] + inner.height / 2 * np.sin(angles)
        inside = ((x - outer.center[0]) / (outer.width / 2)) ** 2 + ((y - outer.center[1]) / (outer.height / 2)) ** 2
        assert inside.max() <= 1


def test_the_map_has_all_notebooks_in_order():
    figure = start.draw_course_map()
    assert [number for number, _, _ in start.COURSE_MAP] == [f"0{i}" for i in range(8)]
    assert all(by_gid(figure, f"0{i}") for i in range(8))


def test_the_loop_has_the_four_steps_in_order_and_names_the_epoch():
    figure = start.draw_training_loop()
    places = [by_gid(figure, word).get_bbox().x0 for word in ("forward", "error", "gradient", "adjust")]
    assert places == sorted(places)
    assert any("epoch" in text for text in texts(figure))


# --- training ------------------------------------------------------------------------------------------------------------


def test_the_steps_lie_on_the_bowl_and_the_tangent_has_the_gradients_slope():
    figure = start.plot_downhill(X, Y, 0.5, [0.0, 1.0])
    steps, tangent = by_gid(figure, "steps"), by_gid(figure, "tangent")
    assert steps.get_ydata() == pytest.approx([((slope * X + 0.5 - Y) ** 2).mean() for slope in (0.0, 1.0)])
    (x0, x1), (y0, y1) = tangent.get_xdata(), tangent.get_ydata()
    assert (y1 - y0) / (x1 - x0) == pytest.approx((2 * (0.5 - Y) * X).mean())
    best = np.linalg.lstsq(X[:, None], Y - 0.5)[0][0]
    assert f"lowest: slope {best:.2f}" in texts(figure)


def test_the_lines_are_those_of_the_history_and_the_title_tells_its_ends():
    history = descent()
    figure = start.plot_line_training(X, Y, history, "x", "y")
    last = by_gid(figure, "epoch 200")
    slope, intercept, error = history[-1]
    assert last.get_ydata() == pytest.approx(slope * last.get_xdata() + intercept)
    assert (
        plots.title_of(figure) == f"In 200 epochs the line moves to the points: its error falls from {history[0][2]:,.0f} to {error:,.0f}"
    )


def test_the_losses_end_with_their_names_and_values():
    figure = start.plot_losses({"training": [0.7, 0.2], "validation": [0.7, 0.45]})
    assert {"training: 0.20", "validation: 0.45"} <= set(texts(figure))
    assert (
        plots.title_of(figure)
        == "On the training messages the loss falls from 0.70 to 0.20 in 2 epochs; on the validation messages it ends at 0.45"
    )
    with pytest.raises(ValueError, match="at least one loss"):
        start.plot_losses({"training": []})


# --- spam and tasks ------------------------------------------------------------------------------------------------------


def test_both_kinds_of_error_are_drawn_one_after_the_other():
    figure = start.plot_filter_errors(ERRORS)
    widths = {(name, kind): by_gid(figure, f"{name} {kind}") for name in ERRORS for kind in ("missed", "false_alarms")}
    containers = {key: patch.get_width() for key, patch in widths.items()}
    assert containers == {("rules", "missed"): 18, ("rules", "false_alarms"): 5, ("learned", "missed"): 8, ("learned", "false_alarms"): 7}
    assert widths["rules", "false_alarms"].get_x() == 18
    assert plots.title_of(figure) == "On the same 80 messages: learned 15 errors; rules 23 errors"
    with pytest.raises(ValueError, match="same messages"):
        start.plot_filter_errors({"a": Errors(1, 1, 10), "b": Errors(1, 1, 20)})


def test_a_filter_without_errors_can_be_drawn():
    assert "0 errors" in plots.title_of(start.plot_filter_errors({"perfect": Errors(0, 0, 10)}))


def test_word_weights_are_written_with_their_sign():
    figure = start.plot_word_weights({"now": 1.2}, {"the": -0.9})
    assert {"+1.20", "-0.90"} <= set(texts(figure))
    assert plots.title_of(figure) == "“now” speaks most for spam, “the” most against it"


def test_task_scores_are_ordered_and_chance_is_marked():
    figure = start.plot_task_scores(SCORES)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["topic", "sentiment", "entailment"]
    assert by_gid(figure, "sentiment chance").get_xdata() == pytest.approx([50, 50])
    assert by_gid(figure, "entailment").get_width() == pytest.approx(100 / 3)
    assert plots.title_of(figure) == "From 90 % right (topic) down to 33 % (entailment)"
    with pytest.raises(ValueError, match="no score"):
        start.plot_task_scores({})


# --- cards ---------------------------------------------------------------------------------------------------------------


def test_a_card_says_the_same_as_html_and_as_text_and_escapes_what_looks_like_html():
    card = start.task_card("Task", "what?", "a <b> c", "yes & no", "a model", "care")
    for part in ("a &lt;b&gt; c", "yes &amp; no", "a model", "care"):
        assert part in card.html
    for part in ("a <b> c", "yes & no", "a model", "care"):
        assert part in card.text
    assert "watch out" not in start.task_card("Task", "what?", "in", "out", "by").text


def test_words_are_tinted_by_sign_and_size_and_never_beyond_the_strongest():
    panel = start.tinted_words([("up", 1.0), ("down", -0.5), ("none", 0.0), ("far", 9.0), ("<i>", 0.1)], 1.0, "a caption")
    assert panel.html.count("213,94,0,0.65") == 2 and "0,114,178,0.33" in panel.html and "0,114,178,0.00" in panel.html
    assert "&lt;i&gt;" in panel.html and "a caption" in panel.html and "up (+1.00) down (-0.50)" in panel.text
