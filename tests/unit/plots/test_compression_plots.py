"""The figures of bigger and smaller models say what the numbers say."""

import csv

import matplotlib.style
import numpy as np
import pytest

from src import plots
from src.compression import Measurement
from src.plots import compression
from src.runtime import COURSE

SIZES = list(csv.DictReader((COURSE / "data" / "model_sizes.csv").read_text(encoding="utf-8").splitlines()))


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


def marks(figure, prefix):
    """gid -> artist of everything that was given an id starting with `prefix`."""
    found = figure.findobj(lambda artist: str(artist.get_gid() or "").startswith(prefix))
    return {artist.get_gid(): artist for artist in found}


def reader(name, megabytes=90.0, speed=40.0, f1=78.0):
    return Measurement(name, megabytes, speed, f1 - 12, f1, 100)


def rounded(seed=0):
    weights = np.random.default_rng(seed).normal(size=(8, 200))
    scales = np.abs(weights).max(axis=1, keepdims=True) / 127
    return weights, np.round(weights / scales) * scales, scales


def some_figures():
    yield compression.plot_model_sizes(SIZES, {"MiniLM": 22_713_216, "our GPT": 1_400_000})
    yield compression.draw_rounding(*rounded())
    steps = [(share, reader(f"{share}", f1=78 - 60 * share**4)) for share in (0.2, 0.5, 0.8)]
    layers = [(k / 6, reader(f"{k} out", speed=40 * 6 / (6 - k), f1=78 / (k + 1))) for k in (1, 2, 3)]
    yield compression.plot_pruning(steps, layers, reader("whole"))
    yield compression.draw_soft_targets(["[CLS]", "in", "1774", "by", "Joseph", "priest", "##ley", "."], [1, 2, 9, 1, 6, 3, 0, 1], right=2)
    yield compression.plot_measurements([reader("fp32"), reader("int8", 23, 80, 77.6), reader("half the layers", 60, 75, 40)])


def test_every_figure_has_a_finding_a_description_and_is_small():
    for figure in some_figures():
        assert len(plots.title_of(figure).split()) >= 5 and len(figure.alt.split()) >= 20
        assert len(figure.to_html()) < 63_000


def test_every_model_of_the_table_is_a_point_at_its_year_and_size():
    figure = compression.plot_model_sizes(SIZES, {"MiniLM": 22_713_216})
    points = marks(figure, "models")["models"].get_offsets()
    assert points.tolist() == [[float(row["year"]), float(row["parameters"])] for row in SIZES]
    ax = figure.axes[0]
    assert ax.get_yscale() == "log" and {text.get_text() for text in ax.texts} >= {row["model"].partition(" (")[0] for row in SIZES}
    low, high = ax.get_ylim()
    assert low < 22_713_216 and high > max(float(row["parameters"]) for row in SIZES)
    assert all(row["model"] in figure.alt for row in SIZES)
    sizes = [{"year": "2019", "model": "B", "parameters": "5e9"}, {"year": "2018", "model": "A (old)", "parameters": "5e6"}]
    title = plots.title_of(compression.plot_model_sizes(sizes, {"MiniLM": 22_713_216}))
    assert title == "From A (2018, 5 million) to B (2019, 5 billion): 1,000 times as many parameters"


def test_drawing_the_sizes_leaves_the_readers_random_numbers_alone():
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    compression.plot_model_sizes(SIZES, {"MiniLM": 22_713_216})
    assert np.random.random() == expected


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


def test_rounding_is_drawn_weight_by_weight_and_all_errors_are_counted():
    weights, restored, scales = rounded()
    figure = compression.draw_rounding(weights, restored, scales, row=3, places=5)
    near = np.flatnonzero(np.abs(weights[3]) < 5 * scales[3])[:5]
    assert marks(figure, "before")["before"].get_ydata().tolist() == weights[3, near].tolist()
    assert marks(figure, "after")["after"].get_ydata().tolist() == restored[3, near].tolist()
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == weights.size
    share = 100 * np.linalg.norm(restored - weights) / np.linalg.norm(weights)
    assert plots.title_of(figure) == f"No weight moves by more than 0.50 of a step; all errors together are {share:.1f} % of the matrix"


def test_pruning_says_how_many_zeros_are_free_and_that_they_bring_no_speed():
    zeros = [(0.3, reader("a", f1=77.5, speed=41)), (0.6, reader("b", f1=76.4)), (0.9, reader("c", f1=10))]
    layers = [(0.5, reader("d", f1=20, speed=80))]
    figure = compression.plot_pruning(zeros, layers, reader("whole"))
    title = plots.title_of(figure)
    assert (
        title == "60 % of the weights can be zero for two points of F1, but zeros are multiplied like any other number: 1.0 times the speed"
    )
    lines = marks(figure, "f1") | marks(figure, "questions_per_second")
    assert lines["f1 weights set to zero"].get_ydata().tolist() == [78, 77.5, 76.4, 10]
    assert lines["questions_per_second whole layers out"].get_ydata().tolist() == [40, 80]
    worse = compression.plot_pruning([(0.3, reader("a", f1=50))], layers, reader("whole"))
    assert plots.title_of(worse).startswith("Even the fewest zeros cost two points of F1")


def test_soft_targets_are_the_softmax_of_the_logits_divided_by_the_temperature():
    logits = np.array([0.0, 8.0, 4.0, -2.0])
    figure = compression.draw_soft_targets(["a", "b", "c", "d"], logits, right=2, temperatures=(1, 4), shown=4)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["the label", "the teacher, T = 1", "the teacher, T = 4"]
    for ax, expected in zip(figure.axes, (np.eye(4)[2], np.exp(logits), np.exp(logits / 4)), strict=True):
        assert [bar.get_width() for bar in ax.patches] == pytest.approx((expected / expected.sum()).tolist())
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b", "c", "d"]


def test_the_comparison_names_the_fastest_that_is_still_good_and_says_when_none_is():
    first = reader("fp32", 90, 40, 78)
    figure = compression.plot_measurements([first, reader("int8", 22.5, 80, 77.5), reader("tiny", 9, 400, 30)])
    assert plots.title_of(figure) == "Within one point of F1, “int8” is fastest: 2.0 times the questions per second, 4.0 times smaller"
    bars = marks(figure, "megabytes") | marks(figure, "f1")
    assert bars["megabytes int8"].get_width() == 22.5 and bars["f1 tiny"].get_width() == 30
    texts = {text.get_text() for ax in figure.axes for text in ax.texts}
    assert {"22.5  ×0.25", "80.0  ×2.0", "77.5  -0.5", "400  ×10.0"} <= texts
    worse = compression.plot_measurements([first, reader("tiny", 9, 400, 30)])
    assert plots.title_of(worse) == "Every step costs more than one point of F1 on 100 questions"
