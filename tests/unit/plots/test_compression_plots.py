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


ZEROS = [(0.3, reader(f1=77.5, speed=41)), (0.6, reader(f1=76.4, speed=36)), (0.9, reader(f1=10))]
LAYERS = [(0.5, reader(f1=20, speed=80))]
INT8, TINY = reader("int8", 22.5, 80, 77.5), reader("tiny", 9, 400, 30)

FIGURES = {
    "plot_model_sizes": (
        lambda: compression.plot_model_sizes(TWO, MINI),
        "From A (2018, 5 million) to B (2019, 5 billion): about 1,000 times as many parameters",
        "2018 A (mixture of experts) 5 million. Dashed line: MiniLM: 22.7 million",
    ),
    "draw_rounding": (
        lambda: compression.draw_rounding(WEIGHTS, RESTORED, SCALES, row=3),
        "No weight moves by more than 0.50 of a step; all errors together are "
        f"{100 * np.linalg.norm(RESTORED - WEIGHTS) / np.linalg.norm(WEIGHTS):.1f} % of the matrix",
    ),
    "plot_pruning": (
        lambda: compression.plot_pruning(ZEROS, LAYERS, reader()),
        "60 % of the weights can be zero for two points of F1, "
        "but zeros are multiplied like any other number: 0.9 times the speed",
        "zeros: 78 at 0 %, 77.5 at 30 %, 76.4 at 60 %, 10 at 90 %; layers out: 78 at 0 %, 20 at",
        "layers out: 40 at 0 %, 80 at 50 %",
    ),
    "plot_pruning at a price": (
        lambda: compression.plot_pruning([(0.3, reader(f1=50))], LAYERS, reader()),
        "Even 30 % of the weights set to zero cost two points of F1, "
        "but zeros are multiplied like any other number: 1.0 times the speed",
    ),
    "draw_soft_targets": (
        lambda: compression.draw_soft_targets(["a", "b", "$c", "d"], LOGITS, 2),
        "The label says one token; the teacher, softened, spreads 14 % over the others",
        "Bars of the label: a: 0; b: 0; $c: 100 %; d: 0",
        "Bars of the teacher, T = 1: a: under 1 %; b: 98 %; $c: 2 %",  # e^8 and e^4 of their sum
        "Bars of the teacher, T = 2: a: 2 %; b: 86 %; $c: 12 %",  # e^4 and e^2
    ),
    "plot_measurements": (
        lambda: compression.plot_measurements([reader("fp32"), INT8, TINY]),
        "Within one point of F1, “int8” is fastest: "
        "2.0 times the questions per second, 4.0 times smaller",
        "Bars of megabytes: fp32: 90.0; int8: 22.5 ×0.25; tiny: 9.0 ×0.10",
        "int8: 80.0 ×2.0; tiny: 400 ×10.0. Bars of F1, %: fp32: 78.0; int8: 77.5 -0.5",
    ),
    "plot_measurements where none is good": (
        lambda: compression.plot_measurements([reader("fp32"), TINY]),
        "Every step costs more than one point of F1 on 100 questions",
    ),
}


def test_every_model_of_the_table_has_its_place_and_its_name(texts):
    figure = compression.plot_model_sizes(SIZES, MINI)
    points = figure.axes[0].collections[0].get_offsets().tolist()
    assert points == [[float(row["year"]), float(row["parameters"])] for row in SIZES]
    assert set(texts(figure)) >= {row["model"].partition(" (")[0] for row in SIZES}


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


def test_rounding_tells_small_weights_one_by_one_and_counts_all_errors():
    figure = FIGURES["draw_rounding"][0]()
    near = np.flatnonzero(np.abs(WEIGHTS[3]) < 5 * SCALES[3])[0]
    assert f"{WEIGHTS[3, near]:.4f} becomes {RESTORED[3, near]:.4f}" in figure.alt
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == WEIGHTS.size
