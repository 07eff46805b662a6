"""The figures of word vectors say what the data say: bars and marks are read back from them."""

import numpy as np
import pytest

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
        "from number 0: a; b; c",
    ),
    "plot_one_hot": (
        lambda: figures.plot_one_hot(WORDS[:4]),
        "One 1 in each row: 75 % of the 16 numbers are zeros",
        "woman: man 0, woman 1, king 0, queen 0",
    ),
    "plot_counts": (
        lambda: figures.plot_counts(COUNTS, WEIGHTS, TEXTS, COLUMNS),
        "“the” leads the counts; TF-IDF gives it at most 0, and “king” 0.69",
        "Heatmap of count: the king: 1, 1, 0; the queen: 1, 0, 1",
        "Heatmap of TF-IDF: the king: the 0, king 0.69, queen 0",
    ),
    "plot_bytes": (
        lambda: figures.plot_bytes({"all": 4e9, "some": 2e6, "few": 400}),
        "“all” takes 10,000,000 times the memory of “few”",
        "all: 4 GB; some: 2 MB; few: 400 B",
    ),
    "draw_angles": (
        lambda: figures.draw_angles({"a": (3, 1), "far": (6, 2), "near": (2, 2)}),
        "By direction, “far” is nearest to “a”; by distance, “near” is",
        "far to (6, 2), cosine 1.00; near to (2, 2), cosine 0.89",
    ),
    "draw_angles to the left": (
        lambda: figures.draw_angles({"a": (3, 1), "b": (3, 1.1), "c": (-1, 2)}),
        "By direction, “b” is nearest to “a”, and by distance too",
    ),
    "plot_vectors without zeros": (
        lambda: figures.plot_vectors(ODD, ["$x$", "naïve"]),
        "None of these numbers is zero; most alike are “$x$” and “naïve”, cosine 0.19",
    ),
    "plot_vectors": (
        lambda: figures.plot_vectors(WV, ["king", "queen", "apple", "pear"]),
        "92 % of these numbers are not zero; most alike are “apple” and “pear”, cosine 1.00",
    ),
    "plot_neighbours": (
        lambda: figures.plot_neighbours(WV, ["King", "apple"]),
        "The nearest pair is “apple” and “pear”, with a cosine of 1.00",
        "Bars of King: man: 0.48; queen: 0.28; pear: 0.21",
    ),
    "draw_equation": (
        lambda: figures.draw_equation(SHORT, "a", "b", "c"),
        "b - a + c ends near “d” (cosine 0.86), and nearer still to “b” (1.00) of the question",
        "Cosines with that point: a -0.03, b 1.00, c 0.26, d 0.86",
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
        "capital world: 100 %, 2 of 2; plural: 50 %, 1 of 2",
    ),
    "plot_similarity": (
        lambda: figures.plot_similarity(REPORTS, [("queen", "king")]),
        "The cosines order the pairs as people do to 0.50 (WordSim-353) and 0.30 (SimLex-999)",
        "Scatter of people's marks against cosines, WordSim-353: 3 pairs, 1 missing; SimLex-999: 3",
    ),
    "plot_associations": (
        lambda: figures.plot_associations(LEANS, "left", "right", USUAL),
        "2 of 4 words lean further than nine in ten ordinary words do",
        "The band of ordinary words goes from -0.09 to +0.09",
        "a -0.20, c +0.00, d +0.08, b +0.30",
    ),
}


def test_an_equation_is_drawn_to_scale_in_the_plane_of_its_four_points():
    ax = figures.draw_equation(WV, "man", "king", "woman").axes[0]
    man, king, woman, queen, end = (np.array(line.get_xydata()[0]) for line in ax.lines)
    assert king - man == pytest.approx(end - woman, abs=1e-6)
    step = np.linalg.norm(WV.units[2] - WV.units[0])
    assert np.linalg.norm(king - man) == pytest.approx(step, abs=1e-6)
    miss = np.linalg.norm(WV.units[3] - (WV.units[2] - WV.units[0] + WV.units[1]))
    assert np.linalg.norm(queen - end) <= miss + 1e-6
    assert ax.get_aspect() == 1


def test_categories_without_all_words_say_how_many_questions_are_left_out(texts):
    partly = figures.plot_analogies(analogies(["d", None, "x", "x", "d"]), "ours")
    assert "of 1, 1 unknown" in texts(partly)


def test_dollars_and_strange_letters_in_words_are_drawn_without_a_warning(recwarn):
    pairs = [tuple(ODD_WORDS[:2]), tuple(ODD_WORDS[2:])]
    figures.plot_neighbours(ODD, ODD_WORDS[:2]).png()
    figures.draw_pairs(ODD, pairs, "one", "other").png()
    assert not recwarn.list
