"""The figures of notebook 00 say what the numbers say: lines are read back from them."""

import numpy as np
import pytest

from src.plots import start
from src.runtime import COURSE
from src.spam import Errors
from src.tasks import Score

X, Y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 5.0])
SCORES = {
    "entailment": Score(8, 6, 18),
    "sentiment": Score(16, 10, 20),
    "topic": Score(900, 210, 1000),
}


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
    "plot_line_training": (
        lambda: start.plot_line_training(X, Y, descent(), "x, things", "y, things"),
        "The first 10 of 200 epochs bring over 99 % of the gain",
        "epoch 1: slope 0.77, intercept 0.33, error 2.57; epoch 10:",
    ),
    "plot_filter_errors": (
        lambda: start.plot_filter_errors({"rules": Errors(5, 18, 80), "learned": Errors(7, 8, 80)}),
        "Against “rules”, “learned” lets less spam through and calls more ham spam",
        "rules: spam let through 18, ham called spam 5; learned: spam let through 8, ham called",
    ),
    "plot_filter_losses": (
        lambda: start.plot_filter_losses({"training": [0.7, 0.2], "validation": [0.7, 0.4]}),
        "The loss falls on both, less on the messages that were kept aside",
        "training: 0.7 at 0, 0.2 at 1; validation: 0.7 at 0, 0.4 at 1",
    ),
    "plot_filter_losses that rise": (
        lambda: start.plot_filter_losses(
            {"training": [0.7, 0.3, 0.1], "validation": [0.7, 0.4, 1]}
        ),
        "After epoch 1 the loss grows on the messages that were kept aside",
    ),
    "plot_beliefs": (
        lambda: start.plot_beliefs({"one": [0.4, 0.6, 0.45, 0.7], "other": [0.6, 0.7, 0.8, 0.9]}),
        "“one” changes sides after epoch 3",
    ),
    "plot_word_weights": (
        lambda: start.plot_word_weights({"now": 1.2, "$5 $": 0.7}, {"the": -0.9, "a": -0.2}),
        "“now” speaks most for spam, “the” most against it",
        "now: +1.20; $5 $: +0.70",
        "the: -0.90; a: -0.20",
    ),
    "plot_task_scores": (
        lambda: start.plot_task_scores(SCORES),
        "Better than one answer for all, beyond chance: “sentiment”, “topic”; "
        "not shown: “entailment”",
        "sentiment: 16 of 20, interval 58 to 92 %, commonest 50 %; topic: 900 of 1,000, interval",
    ),
}


def test_the_map_has_every_numbered_notebook():
    numbers = {file.name[:2] for file in (COURSE / "notebooks").glob("[0-9]*.ipynb")}
    assert [number for number, _, _ in start.COURSE_MAP] == sorted(numbers)


def test_lines_and_the_way_downhill_are_those_of_the_history():
    history = descent()
    ax, ground = start.plot_line_training(X, Y, history, "x", "y").axes
    slope, intercept, _ = history[-1]
    last = ax.lines[-1]
    assert last.get_ydata() == pytest.approx(slope * np.array(last.get_xdata()) + intercept)
    cross, way, *_ = ground.lines
    assert np.transpose(way.get_data()) == pytest.approx(np.array(history)[:, :2])
    best = np.linalg.lstsq(np.column_stack([X, np.ones(3)]), Y)[0]
    assert np.ravel(cross.get_data()) == pytest.approx(best)


def test_a_gallery_says_the_same_as_html_and_as_text_and_escapes_html():
    rows = [("One", "a <b> c", "word " * 40), ("Two", "in", {"up": 0.6, "down": 0.3, "flat": 0.1})]
    gallery = start.task_gallery(rows)
    assert all(part in gallery.text for part in ("One", "a <b> c", "up 60%, down 30%"))
    assert all(part in gallery.html for part in ("One", "a &lt;b&gt; c", "up 60%, down 30%"))
    assert "flat" not in gallery.text and max(map(len, gallery.text.splitlines())) <= 76
