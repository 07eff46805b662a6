"""The figures of notebook 00 say what the numbers say: bars and steps are read back from them."""

import numpy as np
import pytest

from src.plots import start
from src.runtime import COURSE
from src.spam import Errors
from src.tasks import Score

X, Y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 5.0])
SCORES = {
    "entailment": Score(6, 18, 1 / 3),
    "topic": Score(900, 1000, 1 / 11),
    "sentiment": Score(16, 20, 0.5),
}
ERRORS = {"rules": Errors(5, 18, 80), "learned": Errors(7, 8, 80)}


def descent(epochs=200, rate=0.05):
    """(slope, intercept, error) before each epoch, and after the last."""
    history, slope, intercept = [], 0.0, 0.0
    for _ in range(epochs + 1):
        wrong = slope * X + intercept - Y
        history.append((slope, intercept, (wrong**2).mean()))
        slope -= rate * (2 * wrong * X).mean()
        intercept -= rate * (2 * wrong).mean()
    return history


FIGURES = {
    "draw_ai_sets": (
        start.draw_ai_sets,
        "Deep learning is a part of machine learning, as that is of artificial intelligence",
    ),
    "draw_course_map": (
        start.draw_course_map,
        "The notebooks lead from a single word to an answer out of ten thousand articles",
    ),
    "draw_training_loop": (
        start.draw_training_loop,
        "Training is four steps in a circle, the same for two numbers as for millions",
        "for the line subtract learning rate · gradient; for the spam filter subtract learning",
    ),
    "plot_downhill": (
        lambda: start.plot_downhill(X, Y, 0.5, [0.0, 1.0, 1.2]),
        "2 steps against the gradient: the error goes from 9.6 to 0.3, the slope from 0.00 to 1.20",
        "Dashed line: lowest: slope 1.43",
    ),
    "plot_line_training": (
        lambda: start.plot_line_training(X, Y, descent(), "x, things", "y, things"),
        "In 200 epochs the line moves to the points: its error falls from 13 to 0",
        "by epoch, logarithmic: 12.7 at start, 0.0556 at 200",
    ),
    "plot_filter_errors": (
        lambda: start.plot_filter_errors(ERRORS),
        "Of the same 80 messages, wrong: 15 by “learned”, 23 by “rules”",
        "rules: spam let through 18, ham called spam 5; learned: spam let through 8, ham called",
    ),
    "plot_filter_errors without errors": (
        lambda: start.plot_filter_errors({"perfect": Errors(0, 0, 10)}),
        "Of the same 10 messages, wrong: 0 by “perfect”",
    ),
    "plot_word_weights": (
        lambda: start.plot_word_weights({"now": 1.2, "$5 $": 0.7}, {"the": -0.9, "a": -0.2}),
        "“now” speaks most for spam, “the” most against it",
        "now: +1.20; $5 $: +0.70",
        "the: -0.90; a: -0.20",
    ),
    "plot_task_scores": (
        lambda: start.plot_task_scores(SCORES),
        "“topic” lies furthest above guessing (90 % for 9 %), “entailment” least (33 % for 33 %)",
        "topic: 90 % for 9 %, 900 of 1,000; sentiment: 80 % for 50 %, 16 of 20; entailment: 33 %",
    ),
}


def test_the_map_has_every_notebook():
    numbers = {file.name[:2] for file in (COURSE / "notebooks").glob("*.ipynb")}
    assert [number for number, _, _ in start.COURSE_MAP] == sorted(numbers)


def test_the_steps_lie_on_the_bowl_and_the_tangent_has_the_gradients_slope():
    _, tangent, steps, lowest = start.plot_downhill(X, Y, 0.5, [0.0, 1.0]).axes[0].lines
    expected = [((slope * X + 0.5 - Y) ** 2).mean() for slope in (0.0, 1.0)]
    assert steps.get_ydata() == pytest.approx(expected)
    (x0, x1), (y0, y1) = tangent.get_data()
    assert (y1 - y0) / (x1 - x0) == pytest.approx((2 * (0.5 - Y) * X).mean())
    assert lowest.get_xdata()[0] == pytest.approx(np.linalg.lstsq(X[:, None], Y - 0.5)[0][0])


def test_the_last_line_is_that_of_the_history():
    history = descent()
    last = start.plot_line_training(X, Y, history, "x", "y").axes[0].lines[-1]
    slope, intercept, _ = history[-1]
    assert last.get_ydata() == pytest.approx(slope * np.array(last.get_xdata()) + intercept)


def test_a_card_says_the_same_as_html_and_as_text_and_escapes_what_looks_like_html():
    card = start.task_card("Task", "what?", "a <b> c", "yes & no", "a model", "care")
    assert all(part in card.text for part in ("a <b> c", "yes & no", "a model", "care"))
    assert all(part in card.html for part in ("a &lt;b&gt; c", "yes &amp; no", "a model", "care"))
    assert "watch out" not in start.task_card("Task", "what?", "in", "out", "by").text
