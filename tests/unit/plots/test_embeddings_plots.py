"""The figures of word vectors say what the data say: bars and marks are read back from them."""

import numpy as np
import pytest

from src import plots
from src.embeddings import AnalogyQuestion, AnalogyReport, SimilarityReport, WordVectors
from src.plots import embeddings as figures
from src.text import Vocabulary

WORDS = ["man", "woman", "king", "queen", "apple", "pear"]
ROWS = [
    [0.8, 0, 0.6],
    [-0.8, 0, 0.6],
    [0.6, 0.8, 0],
    [-0.6, 0.8, 0.1],
    [0.1, 0.1, 1],
    [0.1, 0.2, 1],
]
WV = WordVectors(Vocabulary(WORDS), np.array(ROWS, dtype=np.float32))
ODD_WORDS = ["$x$", "語", "naïve", "a$b$c"]
ODD = WordVectors(Vocabulary(ODD_WORDS), np.eye(4, 3, dtype=np.float32) + 0.1)
FULL = WordVectors(Vocabulary(["a", "b"]), np.ones((2, 4)))
SHORT_ROWS = [
    [1, 0, 0],
    [1, 0.3, 0],
    [0, 1, 0],
    [0, 1, 0.6],
]  # a short step a to c: b stays nearest
SHORT = WordVectors(Vocabulary(["a", "c", "b", "d"]), np.array(SHORT_ROWS))
TEXTS, COLUMNS = ["the king", "the queen"], ["the", "king", "queen"]
COUNTS = np.array([[1, 1, 0], [1, 0, 1]])
WEIGHTS = COUNTS * np.array([0, 0.69, 0.69])
LEANS = {"a": -0.2, "b": 0.3, "c": 0.0, "d": 0.08}
USUAL = np.linspace(-0.1, 0.1, 201)  # nine in ten lie between -0.09 and 0.09


def analogies(answers):
    categories = ["capital-world", "capital-world", "gram8-plural", "gram8-plural", "family"]
    questions = [AnalogyQuestion(category, *"abcd") for category in categories]
    return AnalogyReport(tuple(questions), tuple(answers), 100)


def similarity(name, correlation):
    used = (("man", "woman", 8.0), ("king", "queen", 5.5), ("king", "pear", 1.0))
    missing = (("x", "y", 2.0),)
    return SimilarityReport(name, correlation, used, missing, np.array([0.9, 0.7, 0.1]))


REPORTS = [similarity("wordsim353", 0.5), similarity("simlex999", 0.3)]

FIGURES = {
    "draw_word_numbers": (
        lambda: figures.draw_word_numbers(["a", "b", "c"], "b"),
        "By their numbers, “b” is nearest to “a” and “c”",
    ),
    "plot_one_hot": (
        lambda: figures.plot_one_hot(WORDS[:4]),
        "One 1 in each row: 75 % of the 16 numbers are zeros",
    ),
    "plot_counts": (
        lambda: figures.plot_counts(COUNTS, WEIGHTS, TEXTS, COLUMNS),
        "“the” leads the counts; TF-IDF gives it at most 0.00, and “king” 0.69",
    ),
    "plot_bytes": (
        lambda: figures.plot_bytes({"all": 4e9, "some": 2e6, "few": 400}),
        "“all” takes 10,000,000 times the memory of “few”",
    ),
    "draw_angles": (
        lambda: figures.draw_angles({"a": (3, 1), "far": (6, 2), "near": (2, 2)}),
        "By direction, “far” is nearest to “a”; by distance, “near” is",
    ),
    "draw_angles to the left": (
        lambda: figures.draw_angles({"a": (3, 1), "b": (3, 1.1), "c": (-1, 2)}),
        "By direction, “b” is nearest to “a”, and by distance too",
    ),
    "plot_vectors": (
        lambda: figures.plot_vectors(WV, ["king", "queen", "apple", "pear"]),
        "8 % of these numbers are zero; most alike are “apple” and “pear”",
    ),
    "plot_vectors without zeros": (
        lambda: figures.plot_vectors(FULL, ["a", "b"]),
        "None of these numbers is zero; most alike are “a” and “b”",
    ),
    "plot_neighbours": (
        lambda: figures.plot_neighbours(WV, ["King", "apple"], 4),
        "The nearest pair is “apple” and “pear”, with a cosine of 1.00",
    ),
    "draw_equation": (
        lambda: figures.draw_equation(SHORT, "a", "b", "c"),
        "b - a + c ends near “d” (cosine 0.86), and nearer still to “b” (1.00) of the question",
    ),
    "draw_pairs": (
        lambda: figures.draw_pairs(WV, [("man", "king"), ("woman", "queen")], "person", "ruler"),
        "The 2 steps from person to ruler point nearly the same way: "
        "mean cosine 0.91 between two of them",
    ),
    "draw_pairs in many ways": (
        lambda: figures.draw_pairs(WV, [("man", "king"), ("queen", "woman")], "one", "other"),
        "The 2 steps from one to other point many ways: mean cosine -0.91 between two of them",
    ),
    "plot_analogies": (
        lambda: figures.plot_analogies(analogies(["d", "d", "D", "x", None]), "ours"),
        "ours: 75 % of 4 questions right, from capital world (100 %) to plural (50 %)",
    ),
    "plot_similarity": (
        lambda: figures.plot_similarity(REPORTS, [("queen", "king")]),
        "The cosines order the pairs of WordSim-353 as people do to 0.50, "
        "those of SimLex-999 to 0.30",
    ),
    "plot_associations": (
        lambda: figures.plot_associations(LEANS, "left", "right", USUAL),
        "2 of 4 words lean further than nine in ten ordinary words do",
    ),
}


def test_counts_and_weights_are_written_in_their_cells():
    figure = figures.plot_counts(COUNTS, WEIGHTS, TEXTS, COLUMNS)
    above, below = ([text.get_text() for text in ax.texts] for ax in figure.axes)
    assert above == ["1", "1", "0", "1", "0", "1"]
    assert below == ["0", "0.69", "0", "0", "0", "0.69"]


def test_bytes_are_written_in_units_people_read(texts):
    figure = figures.plot_bytes({"all": 4e9, "some": 2e6, "few": 400})
    assert texts(figure) == ["4 GB", "2 MB", "400 B"]


def test_neighbours_are_those_of_the_vectors_with_bars_as_long_as_their_cosines():
    figure = figures.plot_neighbours(WV, ["King", "apple"], 4)
    for ax, word in zip(figure.axes, ("King", "apple"), strict=True):
        near = WV.get_top_similar(word, 4)
        assert [bar.get_width() for bar in ax.patches] == pytest.approx(list(near.values()))
        assert [text.get_text() for text in ax.texts][::2] == list(near)


def test_an_equation_tells_the_true_cosines(texts):
    units = SHORT.units
    target = units[2] - units[0] + units[1]
    cosines = units @ target / np.linalg.norm(target)
    assert cosines[2] > cosines[3]  # b is nearer than the answer
    named = {f"b ({cosines[2]:.2f})", f"d ({cosines[3]:.2f})", "b - a + c"}
    assert named <= set(texts(figures.draw_equation(SHORT, "a", "b", "c")))


def test_an_equation_is_drawn_to_scale_in_the_plane_of_its_four_points():
    ax = figures.draw_equation(WV, "man", "king", "woman").axes[0]
    man, king, woman, queen, end = (np.array(line.get_xydata()[0]) for line in ax.lines)
    assert king - man == pytest.approx(end - woman, abs=1e-6)
    step = np.linalg.norm(WV.units[2] - WV.units[0])
    assert np.linalg.norm(king - man) == pytest.approx(step, abs=1e-6)
    miss = np.linalg.norm(WV.units[3] - (WV.units[2] - WV.units[0] + WV.units[1]))
    assert np.linalg.norm(queen - end) <= miss + 1e-6
    assert ax.get_aspect() == 1


def test_pairs_state_the_cosine_of_their_steps():
    steps = WV.units[2:4] - WV.units[:2]
    cosine = steps[0] @ steps[1] / np.prod(np.linalg.norm(steps, axis=1))
    figure = figures.draw_pairs(WV, [("man", "king"), ("woman", "queen")], "one", "other")
    assert f"mean cosine {cosine:.2f}" in plots.title_of(figure)


def test_analogies_have_their_shares_as_bars_and_unknown_words_are_told(texts):
    figure = figures.plot_analogies(analogies(["d", "d", "D", "x", None]))
    assert [bar.get_width() for bar in figure.axes[0].patches] == [100, 50]
    partly = figures.plot_analogies(analogies(["d", None, "x", "x", "d"]))
    assert "of 1, 1 unknown" in texts(partly)
    with pytest.raises(ValueError, match="none of the 5 questions"):
        figures.plot_analogies(analogies([None] * 5))


def test_similarity_puts_every_pair_at_its_mark_and_names_the_asked_ones():
    figure = figures.plot_similarity(REPORTS, [("queen", "king")])
    dots = figure.axes[0].lines[0].get_xydata().tolist()
    assert dots == [[8.0, 0.9], [5.5, 0.7], [1.0, 0.1]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["king / queen"]
    assert "1 missing" in figure.alt


def test_associations_go_from_left_to_right(texts):
    figure = figures.plot_associations(LEANS, "left", "right", USUAL)
    assert texts(figure)[1:] == ["a", "c", "d", "b"]


def test_dollars_and_strange_letters_in_words_are_drawn_without_a_warning(recwarn):
    pairs = [tuple(ODD_WORDS[:2]), tuple(ODD_WORDS[2:])]
    figures.plot_neighbours(ODD, ODD_WORDS[:2], 3).png()
    figures.draw_pairs(ODD, pairs, "one", "other").png()
    assert not recwarn.list
