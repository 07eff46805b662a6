"""The figures of bigger and smaller models say what the numbers say."""

import csv

import numpy as np
import pytest

from src.compression import Measurement
from src.plots import compression
from src.runtime import COURSE

TABLE = (COURSE / "data" / "model_sizes.csv").read_text(encoding="utf-8")
SIZES = list(csv.DictReader(TABLE.splitlines()))
MINI = {"MiniLM": 22_713_216}
TWO = [
    {"year": "2019", "model": "B", "parameters": "5e9"},
    {"year": "2018", "model": "A (mixture of experts)", "parameters": "5e6"},
]
WEIGHTS = np.random.default_rng(0).normal(size=(8, 200))
SCALES = np.abs(WEIGHTS).max(axis=1, keepdims=True) / 127
RESTORED = np.round(WEIGHTS / SCALES) * SCALES
LOGITS = np.array([0.0, 8.0, 4.0, -2.0])


def reader(name="a", megabytes=90.0, speed=40.0, f1=78.0):
    return Measurement(name, megabytes, speed, f1 - 12, f1, 100)


ZEROS = [(0.3, reader(f1=77.5, speed=41)), (0.6, reader(f1=76.4)), (0.9, reader(f1=10))]
LAYERS = [(0.5, reader(f1=20, speed=80))]
INT8, TINY = reader("int8", 22.5, 80, 77.5), reader("tiny", 9, 400, 30)

FIGURES = {
    "plot_model_sizes": (
        lambda: compression.plot_model_sizes(TWO, MINI),
        "From A (2018, 5 million) to B (2019, 5 billion): 1,000 times as many parameters",
    ),
    "draw_rounding": (
        lambda: compression.draw_rounding(WEIGHTS, RESTORED, SCALES, row=3),
        "No weight moves by more than 0.50 of a step; all errors together are "
        f"{100 * np.linalg.norm(RESTORED - WEIGHTS) / np.linalg.norm(WEIGHTS):.1f} % of the matrix",
    ),
    "plot_pruning": (
        lambda: compression.plot_pruning(ZEROS, LAYERS, reader()),
        "60 % of the weights can be zero for two points of F1, "
        "but zeros are multiplied like any other number: 1.0 times the speed",
    ),
    "plot_pruning at a price": (
        lambda: compression.plot_pruning([(0.3, reader(f1=50))], LAYERS, reader()),
        "Even the fewest zeros cost two points of F1, "
        "but zeros are multiplied like any other number: 1.0 times the speed",
    ),
    "draw_soft_targets": (
        lambda: compression.draw_soft_targets(["a", "b", "$c", "d"], LOGITS, 2),
        "The label says one token; the teacher, softened, spreads 14 % over the others",
    ),
    "plot_measurements": (
        lambda: compression.plot_measurements([reader("fp32"), INT8, TINY]),
        "Within one point of F1, “int8” is fastest: "
        "2.0 times the questions per second, 4.0 times smaller",
    ),
    "plot_measurements where none is good": (
        lambda: compression.plot_measurements([reader("fp32"), TINY]),
        "Every step costs more than one point of F1 on 100 questions",
    ),
}


def test_every_model_of_the_table_is_a_point_with_its_name_at_its_year_and_size(mark, texts):
    np.random.seed(3)
    figure = compression.plot_model_sizes(SIZES, MINI)
    after = np.random.random()
    np.random.seed(3)
    assert np.random.random() == after, "the reader's random numbers are left alone"
    points = mark(figure, "models").get_offsets()
    assert points.tolist() == [[float(row["year"]), float(row["parameters"])] for row in SIZES]
    assert set(texts(figure)) >= {row["model"].partition(" (")[0] for row in SIZES}
    low, high = figure.axes[0].get_ylim()
    assert low < 22_713_216 and high > max(float(row["parameters"]) for row in SIZES)


def test_mixtures_of_experts_have_another_colour(mark):
    one, other = mark(compression.plot_model_sizes(TWO, MINI), "models").get_facecolors()
    assert one.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (93_600_000, "93.6 million"),
        (1_542_000_000, "1.5 billion"),
        (175e9, "175 billion"),
        (1.04e12, "1,040 billion"),
        (4_000, "4 thousand"),
    ],
)
def test_sizes_are_said_as_people_say_them(count, text):
    assert compression.short_count(count) == text


def test_rounding_is_drawn_weight_by_weight_and_all_errors_are_counted(mark):
    figure = FIGURES["draw_rounding"][0]()
    near = np.flatnonzero(np.abs(WEIGHTS[3]) < 5 * SCALES[3])[:10]
    assert mark(figure, "before").get_ydata().tolist() == WEIGHTS[3, near].tolist()
    assert mark(figure, "after").get_ydata().tolist() == RESTORED[3, near].tolist()
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == WEIGHTS.size


def test_lines_and_bars_are_what_was_measured(texts):
    f1, speed = FIGURES["plot_pruning"][0]().axes
    assert f1.lines[0].get_xydata().tolist() == [[0, 78], [0.3, 77.5], [0.6, 76.4], [0.9, 10]]
    assert speed.lines[1].get_xydata().tolist() == [[0, 40], [0.5, 80]]
    figure = FIGURES["plot_measurements"][0]()
    assert {"22.5  ×0.25", "80.0  ×2.0", "77.5  -0.5", "400  ×10.0"} <= set(texts(figure))
    assert [bar.get_width() for bar in figure.axes[0].patches] == [90, 22.5, 9]


def test_soft_targets_are_the_softmax_of_the_logits_divided_by_the_temperature():
    figure = FIGURES["draw_soft_targets"][0]()
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["the label", "the teacher, T = 1", "the teacher, T = 2"]
    wanted = np.eye(4)[2], np.exp(LOGITS), np.exp(LOGITS / 2)
    for ax, expected in zip(figure.axes, wanted, strict=True):
        widths = [bar.get_width() for bar in ax.patches]
        assert widths == pytest.approx((expected / expected.sum()).tolist())
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["a", "b", "$c", "d"]
