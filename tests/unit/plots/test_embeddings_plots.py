"""The figures of word vectors say what the data say: headlines, bars and marks are read back from the figures."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator

import matplotlib.style
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation, Text

from src import plots
from src.embeddings import AnalogyQuestion, AnalogyReport, SimilarityReport, WordVectors
from src.plots import embeddings as figures
from src.runtime import COURSE
from src.text import Vocabulary

WORDS = ["man", "woman", "king", "queen", "apple", "pear"]
TEXTS, COLUMNS = ["the king", "the queen"], ["the", "king", "queen"]
COUNTS = np.array([[1, 1, 0], [1, 0, 1]])


@pytest.fixture(autouse=True)
def course_style() -> Iterator[None]:
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


@pytest.fixture(scope="module")
def wv() -> WordVectors:
    rows = [[0.8, 0, 0.6], [-0.8, 0, 0.6], [0.6, 0.8, 0], [-0.6, 0.8, 0.1], [0.1, 0.1, 1], [0.1, 0.2, 1]]
    return WordVectors(Vocabulary(WORDS), np.array(rows, dtype=np.float32))


def analogies(answers: list[str | None]) -> AnalogyReport:
    categories = ["capital-world", "capital-world", "gram8-plural", "gram8-plural", "family"]
    questions = tuple(AnalogyQuestion(category, "a", "b", "c", "d", line) for line, category in enumerate(categories, 2))
    return AnalogyReport(questions, tuple(answers), 100)


def similarity(name: str, correlation: float) -> SimilarityReport:
    used = (("man", "woman", 8.0), ("king", "queen", 5.5), ("king", "pear", 1.0))
    return SimilarityReport(name, correlation, used, (("x", "y", 2.0),), np.array([0.9, 0.7, 0.1]))


def every_figure(wv: WordVectors) -> Iterator[plots.Figure]:
    yield figures.draw_word_numbers(sorted(WORDS), "king")
    yield figures.plot_one_hot(WORDS)
    yield figures.plot_counts(COUNTS, COUNTS * np.array([0, 0.7, 0.7]), TEXTS, COLUMNS)
    yield figures.plot_bytes({"all": 4e12, "some": 2e6, "few": 950})
    yield figures.draw_angles({"king": (3, 1), "queen": (4.8, 2.4), "pear": (-1, 2)})
    yield figures.plot_vectors(wv, WORDS)
    yield figures.plot_neighbours(wv, ["King", "apple"], 4)
    yield figures.draw_equation(wv, "man", "king", "woman")
    yield figures.draw_pairs(wv, [("man", "king"), ("woman", "queen")], "person", "ruler")
    yield figures.plot_analogies(analogies(["d", "d", "d", "x", None]), "$our vectors$")
    yield figures.plot_similarity([similarity("wordsim353", 0.5), similarity("simlex999", 0.3)], [("queen", "king")])
    yield figures.plot_associations({"apple": -0.2, "pear": 0.3, "king": 0.0}, "left", "right", np.linspace(-0.1, 0.1, 101))


def title(figure: plots.Figure) -> str:
    return plots.title_of(figure)


def texts(figure: plots.Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


# --- what every figure owes ----------------------------------------------------------------------------------------------


def test_every_figure_has_a_headline_alternative_text_that_tells_it_and_is_small(wv: WordVectors) -> None:
    for figure in every_figure(wv):
        assert title(figure) and title(figure) in figure.alt, title(figure)
        assert len(figure._repr_mimebundle_()["text/html"]) <= 62_000
        assert all(axes.get_xlabel() for axes in figure.axes[-1:] if axes.axison) or title(figure)


def test_no_tick_or_axis_label_lies_over_another_or_outside_the_picture(wv: WordVectors) -> None:
    for figure in every_figure(wv):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer, page = canvas.get_renderer(), figure.bbox.padded(1)
        for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_visible()]
            boxes = [label.get_window_extent(renderer) for label in (*ticks, axis.label) if label.get_text()]
            assert all(page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1) for box in boxes), title(figure)
            shrunk = [box.padded(-1) for box in boxes if min(box.width, box.height) > 2]
            turned = any(tick.get_rotation() % 90 for tick in ticks)  # boxes around slanted labels overlap where the labels do not
            assert turned or not any(one.overlaps(two) for one, two in itertools.combinations(shrunk, 2)), title(figure)


def test_every_name_lies_inside_the_picture(wv: WordVectors) -> None:
    for figure in every_figure(wv):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer, page = canvas.get_renderer(), figure.bbox.padded(1)
        for text in (text for axes in figure.axes for text in axes.texts if text.get_text()):
            box = Text.get_window_extent(text, renderer) if isinstance(text, Annotation) else text.get_window_extent(renderer)
            assert page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1), f"{title(figure)}: {text.get_text()}"


def test_dollars_and_strange_letters_in_words_are_drawn_as_they_are_without_a_warning() -> None:
    words = ["$x$", "語", "naïve", "a$b$c"]
    odd = WordVectors(Vocabulary(words), np.eye(4, 3, dtype=np.float32) + 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in (
            figures.plot_neighbours(odd, words[:2], 3),
            figures.draw_pairs(odd, [("$x$", "語"), ("naïve", "a$b$c")]),
            figures.draw_equation(odd, *words[:3]),
            figures.plot_one_hot(words),
            figures.draw_word_numbers(words, "語"),
        ):
            figure.png()


# --- what each figure says -----------------------------------------------------------------------------------------------


def test_numbers_name_the_words_before_and_after_also_at_the_ends() -> None:
    assert title(figures.draw_word_numbers(["a", "b", "c"], "b")) == "By their numbers, “b” is nearest to “a” and “c”"
    assert title(figures.draw_word_numbers(["a", "b", "c"], "c")) == "By their numbers, “c” is nearest to “b”"


def test_one_hot_counts_its_zeros() -> None:
    figure = figures.plot_one_hot(WORDS[:4])
    assert title(figure) == "One 1 in each row: 75 % of the 16 numbers are zeros"
    assert (np.asarray(figure.axes[0].images[0].get_array()) == np.eye(4)).all()


def test_counts_and_weights_are_written_in_their_cells() -> None:
    weights = COUNTS * np.array([0, 0.69, 0.69])
    figure = figures.plot_counts(COUNTS, weights, TEXTS, COLUMNS)
    assert title(figure) == "“the” leads the counts; TF-IDF gives it at most 0.00, and “king” 0.69"
    above, below = ([text.get_text() for text in axes.texts] for axes in figure.axes)
    assert above == ["1", "1", "0", "1", "0", "1"]
    assert below == ["0", "0.69", "0", "0", "0", "0.69"]


def test_bytes_are_written_in_units_people_read_and_compared() -> None:
    figure = figures.plot_bytes({"all": 4e9, "some": 2e6, "few": 400})
    assert {"4 GB", "2 MB", "400 bytes"} <= set(texts(figure))
    assert title(figure) == "“all” takes 10,000,000 times the memory of “few”"


def test_direction_and_distance_may_name_different_words() -> None:
    assert title(figures.draw_angles({"a": (3, 1), "far": (6, 2), "near": (2, 2)})) == (
        "By direction, “far” is nearest to “a”; by distance, “near” is"
    )
    assert title(figures.draw_angles({"a": (3, 1), "b": (3, 1.1), "c": (0, 2)})).endswith("and by distance too")


def test_neighbours_are_those_of_the_vectors_with_bars_as_long_as_their_cosines(wv: WordVectors) -> None:
    figure = figures.plot_neighbours(wv, ["King", "apple"], 4)
    for axes, word in zip(figure.axes, ("King", "apple"), strict=True):
        near = wv.get_top_similar(word, 4)
        assert [bar.get_width() for bar in axes.patches] == pytest.approx(list(near.values()))
        assert [text.get_text() for text in axes.texts][::2] == list(near)
    assert "“apple” and “pear”" in title(figure)


def test_vectors_state_their_zeros_and_the_nearest_pair(wv: WordVectors) -> None:
    assert title(figures.plot_vectors(wv, ["king", "queen", "apple", "pear"])).endswith("most alike are “apple” and “pear”")
    full = WordVectors(Vocabulary(["a", "b"]), np.ones((2, 4)))
    assert title(figures.plot_vectors(full, ["a", "b"])).startswith("None of these numbers is zero;")


def test_an_equation_says_when_a_word_of_the_question_is_nearest() -> None:
    rows = np.array([[1, 0, 0], [1, 0.3, 0], [0, 1, 0], [0, 1, 0.6]])  # a short step from a to c: b stays nearest
    short = WordVectors(Vocabulary(["a", "c", "b", "d"]), rows)
    figure = figures.draw_equation(short, "a", "b", "c")
    target = short.units[2] - short.units[0] + short.units[1]
    nearest, answer = (float(short.units[row] @ target / np.linalg.norm(target)) for row in (2, 3))
    assert nearest > answer
    assert title(figure) == f"b - a + c ends near “d” (cosine {answer:.2f}), and nearer still to “b” ({nearest:.2f}) of the question"
    assert {f"b ({nearest:.2f})", f"d ({answer:.2f})", "b - a + c"} <= set(texts(figure))


def test_an_equation_is_drawn_to_scale_in_the_plane_of_its_four_points(wv: WordVectors) -> None:
    axes = figures.draw_equation(wv, "man", "king", "woman").axes[0]
    man, king, woman, queen, end = (np.array(line.get_xydata()[0]) for line in axes.lines)
    assert king - man == pytest.approx(end - woman, abs=1e-6)
    assert np.linalg.norm(king - man) == pytest.approx(np.linalg.norm(wv.units[2] - wv.units[0]), abs=1e-6)
    assert np.linalg.norm(queen - end) <= np.linalg.norm(wv.units[3] - (wv.units[2] - wv.units[0] + wv.units[1])) + 1e-6
    assert axes.get_aspect() == 1


def test_pairs_state_how_alike_their_steps_are(wv: WordVectors) -> None:
    steps = [wv.units[2] - wv.units[0], wv.units[3] - wv.units[1]]
    cosine = steps[0] @ steps[1] / (np.linalg.norm(steps[0]) * np.linalg.norm(steps[1]))
    figure = figures.draw_pairs(wv, [("man", "king"), ("woman", "queen")], "person", "ruler")
    assert title(figure) == f"The 2 steps from person to ruler point nearly the same way: mean cosine {cosine:.2f} between two of them"
    crossing = figures.draw_pairs(wv, [("man", "king"), ("queen", "woman")], "person", "ruler")
    assert "point many ways" in title(crossing)


def test_analogies_go_from_the_best_category_to_the_worst_with_unknown_ones_told() -> None:
    figure = figures.plot_analogies(analogies(["d", "d", "D", "x", None]), "ours")
    assert title(figure) == "ours: 75 % of 4 questions right, from capital world (100 %) to plural (50 %)"
    assert [bar.get_width() for bar in figure.axes[0].patches] == [100, 50]
    partly = figures.plot_analogies(analogies(["d", None, "x", "x", "d"]))
    assert "of 1, 1 unknown" in texts(partly)
    with pytest.raises(ValueError, match="none of the 5 questions"):
        figures.plot_analogies(analogies([None] * 5))


def test_similarity_puts_every_pair_at_its_mark_and_names_the_asked_ones() -> None:
    figure = figures.plot_similarity([similarity("wordsim353", 0.5), similarity("simlex999", 0.3)], [("queen", "king")])
    assert title(figure) == "The cosines order the pairs of WordSim-353 as people do to 0.50, those of SimLex-999 to 0.30"
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[8.0, 0.9], [5.5, 0.7], [1.0, 0.1]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["king / queen"]
    assert "1 missing" in figure.alt


def test_associations_count_the_words_outside_the_band_of_ordinary_ones() -> None:
    usual = np.linspace(-0.1, 0.1, 201)  # nine in ten lie between -0.09 and 0.09
    figure = figures.plot_associations({"a": -0.2, "b": 0.3, "c": 0.0, "d": 0.08}, "left", "right", usual)
    assert title(figure) == "2 of 4 words lean further than nine in ten ordinary words do (grey band)"
    assert [text.get_text() for text in figure.axes[0].texts][1:] == ["a", "c", "d", "b"]
