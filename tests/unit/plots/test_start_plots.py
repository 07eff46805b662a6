"""The figures of notebook 00 say what the numbers say: bars and steps are read back from them."""

import numpy as np
import pytest

from src.plots import primitives, start
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
LOSSES = {"training": [0.7, 0.2], "validation": [0.7, 0.45]}


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
        "Eight notebooks lead from a single word to an answer out of ten thousand articles",
    ),
    "draw_training_loop": (
        start.draw_training_loop,
        "Training is four steps in a circle, the same for two numbers as for millions",
    ),
    "plot_downhill": (
        lambda: start.plot_downhill(X, Y, 0.5, [0.0, 1.0, 1.2]),
        "2 steps against the gradient: the error goes from 9.6 to 0.3, the slope from 0.00 to 1.20",
    ),
    "plot_line_training": (
        lambda: start.plot_line_training(X, Y, descent(), "x, things", "y, things"),
        "In 200 epochs the line moves to the points: its error falls from 13 to 0",
    ),
    "plot_losses": (
        lambda: start.plot_losses(LOSSES),
        "On the training messages the loss falls from 0.70 to 0.20 in 2 epochs; "
        "on the validation messages it ends at 0.45",
    ),
    "plot_filter_errors": (
        lambda: start.plot_filter_errors(ERRORS),
        "On the same 80 messages “learned” errs least, 15 times; “rules” 23 times",
    ),
    "plot_filter_errors without errors": (
        lambda: start.plot_filter_errors({"perfect": Errors(0, 0, 10)}),
        "On the same 10 messages “perfect” errs least, 0 times",
    ),
    "plot_word_weights": (
        lambda: start.plot_word_weights({"now": 1.2, "$5 $": 0.7}, {"the": -0.9, "a": -0.2}),
        "“now” speaks most for spam, “the” most against it",
    ),
    "plot_task_scores": (
        lambda: start.plot_task_scores(SCORES),
        "“topic” lies furthest above guessing (90 % for 9 %), “entailment” least (33 % for 33 %)",
    ),
}


def test_the_map_has_every_notebook():
    numbers = {file.name[:2] for file in (COURSE / "notebooks").glob("*.ipynb")}
    assert [number for number, _, _ in start.COURSE_MAP] == sorted(numbers)


def test_the_steps_lie_on_the_bowl_and_the_tangent_has_the_gradients_slope(mark, texts):
    figure = start.plot_downhill(X, Y, 0.5, [0.0, 1.0])
    expected = [((slope * X + 0.5 - Y) ** 2).mean() for slope in (0.0, 1.0)]
    assert mark(figure, "steps").get_ydata() == pytest.approx(expected)
    (x0, x1), (y0, y1) = mark(figure, "tangent").get_data()
    assert (y1 - y0) / (x1 - x0) == pytest.approx((2 * (0.5 - Y) * X).mean())
    best = np.linalg.lstsq(X[:, None], Y - 0.5)[0][0]
    assert f"lowest: slope {best:.2f}" in texts(figure)


def test_the_lines_are_those_of_the_history(mark):
    history = descent()
    last = mark(start.plot_line_training(X, Y, history, "x", "y"), "epoch 200")
    slope, intercept, _ = history[-1]
    assert last.get_ydata() == pytest.approx(slope * np.array(last.get_xdata()) + intercept)


def test_losses_end_with_their_names_and_values(mark, texts):
    figure = start.plot_losses(LOSSES)
    assert mark(figure, "training: 0.20").get_xydata().tolist() == [[1, 0.7], [2, 0.2]]
    assert {"training: 0.20", "validation: 0.45", "a coin: 0.69"} == set(texts(figure))


def test_both_kinds_of_error_are_drawn_one_after_the_other(mark, texts):
    figure = start.plot_filter_errors(ERRORS)
    for name, missed, false_alarms in (("rules", 18, 5), ("learned", 8, 7)):
        first, second = (
            mark(figure, f"{name} {k}") for k in ("spam let through", "ham called spam")
        )
        assert (first.get_width(), second.get_width(), second.get_x()) == (
            missed,
            false_alarms,
            missed,
        )
    assert {"18", "5", "23 of 80", "8", "7", "15 of 80"} == set(texts(figure))
    with pytest.raises(ValueError, match="same messages"):
        start.plot_filter_errors({"a": Errors(1, 1, 10), "b": Errors(1, 1, 20)})


def test_word_weights_are_written_with_their_sign_at_bars_of_their_size(mark, texts):
    figure = start.plot_word_weights({"now": 1.2}, {"the": -0.9})
    assert texts(figure) == ["+1.20", "-0.90"]
    assert [mark(figure, word).get_width() for word in ("now", "the")] == [1.2, 0.9]


def test_task_scores_are_ordered_and_guessing_is_marked(mark):
    figure = start.plot_task_scores(SCORES)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["topic", "sentiment", "entailment"]
    assert mark(figure, "sentiment chance").get_xdata() == pytest.approx([50, 50])
    assert mark(figure, "entailment").get_width() == pytest.approx(100 / 3)


def test_a_card_says_the_same_as_html_and_as_text_and_escapes_what_looks_like_html():
    card = start.task_card("Task", "what?", "a <b> c", "yes & no", "a model", "care")
    assert all(part in card.text for part in ("a <b> c", "yes & no", "a model", "care"))
    assert all(part in card.html for part in ("a &lt;b&gt; c", "yes &amp; no", "a model", "care"))
    assert "watch out" not in start.task_card("Task", "what?", "in", "out", "by").text


def test_words_are_tinted_by_sign_and_size_and_never_beyond_the_strongest():
    words = [("up", 1.0), ("down", -0.5), ("none", 0.0), ("far", 9.0), ("<i>", 0.1)]
    panel = primitives.tinted_words(words, 1.0, "a caption")
    assert panel.html.count("213,94,0,0.65") == 2
    assert "0,114,178,0.33" in panel.html and "0,114,178,0.00" in panel.html
    assert "&lt;i&gt;" in panel.html and "a caption" in panel.html
    assert "up (+1.00) down (-0.50)" in panel.text
