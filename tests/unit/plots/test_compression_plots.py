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
LOGITS = np.array([0.0, 8.0, 4.0, -2.0])


def reader(name="a", megabytes=90.0, speed=40.0, f1=78.0):
    more = f1 - 78.0
    speeds = (speed, 0.9 * speed, 1.2 * speed)
    return Measurement(name, megabytes, *speeds, f1 - 12, f1, more - 1, more + 1, 100)


ZEROS = [(0.3, reader(f1=77.5, speed=41)), (0.6, reader(f1=76.4, speed=36)), (0.9, reader(f1=10))]
LAYERS = [(0.5, reader(f1=20, speed=80))]
INT8, TINY = reader("int8", 22.5, 80, 77.5), reader("tiny", 9, 400, 30)

FIGURES = {
    "plot_model_sizes": (
        lambda: compression.plot_model_sizes(TWO, MINI),
        "Largest dense: B (2019, 5 billion) and largest mixture: A (2018, 5 million)",
        "2018 A (mixture of experts) 5 million. Dashed line: MiniLM: 22.7 million",
    ),
    "plot_pruning": (
        lambda: compression.plot_pruning(ZEROS, LAYERS, reader()),
        "30 % of the weights can go without a loss that 100 questions show, "
        "but zeros are multiplied like any other number: no clear change of speed",
        "zeros: 78 at 0 %, 77.5 at 30 %, 76.4 at 60 %, 10 at 90 %; layers out: 78 at 0 %, 20 at",
        "layers out: 40 at 0 %, 80 at 50 %",
    ),
    "plot_pruning at a price": (
        lambda: compression.plot_pruning([(0.3, reader(f1=50))], LAYERS, reader()),
        "Even 30 % of the weights cost F1, beyond chance, "
        "but zeros are multiplied like any other number: no clear change of speed",
    ),
    "draw_soft_targets": (
        lambda: compression.draw_soft_targets(["a", "b", "$c", "d"], LOGITS, 2),
        "The label says one token; the teacher, softened, spreads 14 % over the others",
        "Bars of the label: a: 0; b: 0; $c: 100 %; d: 0",
        "Bars of the teacher, T = 1: a: under 1 %; b: 98 %; $c: 2 %",  # e^8 and e^4 of their sum
        "Bars of the teacher, T = 2: a: 2 %; b: 86 %; $c: 12 %",  # e^4 and e^2
    ),
    "plot_pruning that gains time": (
        lambda: compression.plot_pruning([(0.3, reader(speed=80))], LAYERS, reader()),
        "30 % of the weights can go without a loss that 100 questions show, "
        "but zeros are multiplied like any other number: 2.0 times the speed",
    ),
    "plot_measurements": (
        lambda: compression.plot_measurements([reader("fp32"), INT8, TINY]),
        "F1 as before, as far as 100 questions can tell: 1 of 2; "
        "the fastest of these is “int8”, with 25 % of the megabytes",
        "Bars of megabytes: fp32: 90.0; int8: 22.5 ×0.25; tiny: 9.0 ×0.10",
        "int8: 80.0 ×2.0; tiny: 400 ×10.0. Bars of F1, %: fp32: 78.0; int8: 77.5 (-1.5 to +0.5)",
    ),
    "plot_measurements where none is good": (
        lambda: compression.plot_measurements([reader("fp32"), TINY]),
        "All have less F1 than “fp32”, beyond chance on 100 questions",
    ),
}


def test_every_model_of_the_table_has_its_place_and_its_name(texts):
    figure = compression.plot_model_sizes(SIZES, MINI)
    dense, mixed = (some.get_offsets().tolist() for some in figure.axes[0].collections[:2])
    places = [[float(row["year"]), float(row["parameters"])] for row in SIZES]
    assert sorted(dense + mixed) == sorted(places)
    assert len(mixed) == sum("(mixture of experts)" in row["model"] for row in SIZES)
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
