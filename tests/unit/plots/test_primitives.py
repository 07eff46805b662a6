"""The primitives draw the numbers they are given, and tell the same numbers."""

import itertools

import matplotlib
import numpy as np
import pytest

from src.plots import finish, primitives, subplots

TABLE = {"one": {"a": 3.0, "b": 1.0}, "two": {"a": 0.0, "b": 5.0}}
COLOURS = {"a": "C0", "b": "C1"}
CURVES = {"long": [(x, x**2) for x in range(1, 20)], "short": [(1, 0.5), (2, 0.25)]}


@pytest.fixture
def chart():
    """chart(draw, ...): the axes into which draw(ax, ...) drew, and the alternative text."""

    def draw(primitive, *arguments, **options):
        figure, ax = subplots()
        primitive(ax, *arguments, **options)
        return ax, finish(figure, "A finding").alt

    return draw


def test_a_heatmap_has_the_values_in_the_one_colour_map_and_grey_where_nothing_is_allowed(chart):
    values, allowed = np.array([[0.25, 0.5], [1.0, 0.0]]), np.array([[True, False], [True, True]])
    names = ["the", "the"], ["$x$", "語"]
    ax, alt = chart(primitives.heatmap, values, *names, "{:.2f}".format, allowed=allowed)
    (picture,) = ax.images
    assert (picture.get_array().data == values).all()
    assert (picture.get_array().mask == ~allowed).all()
    assert picture.cmap.name == matplotlib.rcParams["image.cmap"]
    assert [text.get_text() for text in ax.texts] == ["0.25", "1.00", "0.00"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["$x$", "▯"]
    assert alt == "A finding. Heatmap: the: $x$ 0.25; the: $x$ 1.00, 語 0.00."


def test_bars_are_as_long_as_their_values_and_told_as_they_are_written(chart):
    pairs = [("the", 0.5), ("the", -0.25), ("none", float("nan"))]
    ax, alt = chart(primitives.bars, pairs, ["0.5", "", "none"], label="weight")
    assert [bar.get_width() for bar in ax.patches][:2] == [0.5, -0.25]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["the", "the", "none"]
    assert (
        ax.yaxis_inverted()
        and alt == "A finding. Bars of weight: the: 0.5; the: -0.25; none: none."
    )


def test_stacked_bars_begin_where_the_part_before_ends(chart):
    ax, alt = chart(primitives.stacked_bars, TABLE, COLOURS, "things")
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [
        (0, 3),
        (3, 1),
        (0, 0),
        (0, 5),
    ]
    assert [text.get_text() for text in ax.texts] == ["3", "1", "5"]
    assert alt == "A finding. Stacked bars of things: one: a 3, b 1; two: a 0, b 5."


def test_grouped_bars_have_one_bar_for_each_kind(chart):
    ax, alt = chart(primitives.grouped_bars, TABLE, COLOURS, "things")
    assert [bar.get_width() for bar in ax.patches] == [3, 1, 0, 5]
    assert alt == "A finding. Bars of things: one: a 3.00, b 1.00; two: a 0.00, b 5.00."


def test_lines_go_through_their_points_and_long_ones_are_told_by_their_ends(chart):
    ax, alt = chart(primitives.lines, CURVES, "steps", "loss", log="y", ylim=(0.1, 500))
    assert [line.get_xydata().tolist() for line in ax.lines] == [
        [list(point) for point in curve] for curve in CURVES.values()
    ]
    assert [text.get_text() for text in ax.texts] == ["short", "long"] and ax.get_yscale() == "log"
    told = "long: 1 at 1, 361 at 19; short: 0.5 at 1, 0.25 at 2"
    assert alt == f"A finding. Lines of loss by steps: {told}."


def test_shares_are_told_in_percent_and_a_band_lies_around_its_line(chart):
    def draw(ax):
        primitives.percents(ax)
        curves, bands = {"": [(0, 0.5), (1, 1.0)]}, {"": ([0.4, 0.9], [0.6, 1.0])}
        primitives.lines(ax, curves, "place", "right", bands=bands)
        primitives.level(ax, 0.25, "a guess")

    ax, alt = chart(draw)
    assert set(ax.collections[0].get_paths()[0].vertices[:, 1]) == {0.4, 0.6, 0.9, 1.0}
    assert ax.lines[1].get_ydata() == [0.25, 0.25]
    assert alt == "A finding. Lines of right by place: 50 % at 0, 100 % at 1. Dashed line: a guess."


def test_names_at_line_ends_do_not_overlap(chart):
    curves = {f"recipe {i}": [(1, 10), (4, 50 + i / 10)] for i in range(6)}
    ax, _ = chart(primitives.lines, curves, "minutes", "F1")
    ax.figure.draw_without_rendering()
    boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 3 for below, above in itertools.pairwise(boxes))


def test_labels_of_points_leave_the_readers_random_numbers_alone(chart):
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    ax, _ = chart(primitives.label_points, np.eye(3)[:, :2], ["a", "$b$", "c"])
    assert np.random.random() == expected
    assert [text.get_text() for text in ax.texts][:3] == ["a", "$b$", "c"]


def test_an_interval_is_wilsons():
    assert primitives.intervals([1], [4])[:, 0] == pytest.approx([4.56, 69.94], abs=0.01)


def test_words_are_tinted_by_sign_and_size_and_never_beyond_the_strongest():
    words = [("up", 1.0), ("down", -0.5), ("none", 0.0), ("far", 9.0), ("<i>", 0.1)]
    panel = primitives.tinted_words(words, 1.0, "a caption")
    assert panel.html.count("213,94,0,0.65") == 2
    assert "0,114,178,0.33" in panel.html and "0,114,178,0.00" in panel.html
    assert "&lt;i&gt;" in panel.html and "a caption" in panel.html
    assert "up (+1.00) down (-0.50)" in panel.text
