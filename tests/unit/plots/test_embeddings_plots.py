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
AXES = WordVectors(Vocabulary("abcdef"), np.vstack([np.eye(3), -np.eye(3)]))
FULL = WordVectors(Vocabulary("abc"), np.array([[1, 1], [1, 2], [1, 9]]))
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
    "plot_counts": (
        lambda: figures.plot_counts(COUNTS, WEIGHTS, TEXTS, COLUMNS),
        "“the” is counted most and weighs nothing by TF-IDF; “king” weighs most",
        "Heatmap of count: the king: 1, 1, 0; the queen: 1, 0, 1",
        "Heatmap of TF-IDF: the king: the 0, king 0.69, queen 0",
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
        lambda: figures.plot_vectors(FULL, ["a", "b", "c"]),
        "None of these numbers is zero; “a” and “b” are most alike, “a” and “c” least",
    ),
    "plot_vectors": (
        lambda: figures.plot_vectors(WV, ["king", "queen", "apple", "pear"]),
        "92 % of these numbers are not zero; “apple” and “pear” are most alike, "
        "“queen” and “apple” least",
    ),
    "plot_neighbours": (
        lambda: figures.plot_neighbours(WV, ["King", "apple"]),
        "“apple” has the closest neighbours, “King” the least close",
        "Bars of King: man: 0.48; queen: 0.28; pear: 0.21",
    ),
    "draw_equation": (
        lambda: figures.draw_equation(SHORT, "a", "b", "c"),
        "b - a + c ends nearest to “b”, a word of the question; of all others “d” is nearest",
        "d lies 0.51 off the plane of the arrows",
        "Bars of true distance from b - a + c: b: 0.29; d: 0.67; c: 1.41; a: 1.66",
    ),
    "draw_equation without a rule": (
        lambda: figures.draw_equation(WV, "man", "king", "woman"),
        "king - man + woman ends nearest to “queen”",
    ),
    "draw_pairs": (  # -2 a, -2 b; -b - a, -c - b
        lambda: figures.draw_pairs(AXES, ["ad", "be", "cf"], "x", "y"),
        "From x to y the steps are 90° apart on average; to another's y they would be 60°",
    ),
    "plot_analogies": (
        lambda: figures.plot_analogies(analogies(["d", "d", "D", "x", None]), "ours"),
        "ours answers questions on “capital world” best, on “plural” worst",
        "Right in all: 75 % of 4",
        "capital world: 100 %, 2 of 2; plural: 50 %, 1 of 2",
    ),
    "plot_similarity": (
        lambda: figures.plot_similarity(REPORTS, [("queen", "king")]),
        "Cosines follow people's marks better in WordSim-353 than in SimLex-999",
        "Scatter of people's marks against cosines, WordSim-353: 3 pairs, 1 missing; SimLex-999: 3",
    ),
    "plot_associations": (
        lambda: figures.plot_associations(LEANS, "left", "right", USUAL),
        "2 of 4 words lean further than nine in ten ordinary words do; of 4 ordinary words 0.4 "
        "would on average",
        "The band of ordinary words goes from -0.09 to +0.09",
        "a -0.20, c +0.00, d +0.08, b +0.30",
    ),
}


def test_an_equation_is_drawn_to_scale_and_its_bars_are_the_true_distances():
    plane, bars = figures.draw_equation(WV, "man", "king", "woman").axes
    man, king, woman, queen, end = (np.array(line.get_xydata()[0]) for line in plane.lines)
    assert king - man == pytest.approx(end - woman, abs=1e-6)
    step = np.linalg.norm(WV.units[2] - WV.units[0])
    assert np.linalg.norm(king - man) == pytest.approx(step, abs=1e-6)
    assert plane.get_aspect() == 1
    target = WV.units[2] - WV.units[0] + WV.units[1]
    away = {word: np.linalg.norm(WV.units[WV.vocabulary[word]] - target) for word in WORDS[:4]}
    names = [name.get_text() for name in bars.get_yticklabels()]
    assert names == sorted(away, key=away.get)
    assert [bar.get_width() for bar in bars.patches] == pytest.approx(sorted(away.values()))
    off = np.sqrt(away["queen"] ** 2 - np.linalg.norm(queen - end) ** 2)
    assert f"queen, {off:.2f} off this plane" in [text.get_text() for text in plane.texts]
    with pytest.raises(ValueError, match="twice"):
        figures.draw_equation(WV, "man", "Man", "woman")


def test_categories_without_all_words_say_how_many_questions_are_left_out(texts):
    partly = figures.plot_analogies(analogies(["d", None, "x", "x", "d"]), "ours")
    assert "of 1, 1 unknown" in texts(partly)


def test_dollars_and_strange_letters_in_words_are_drawn_without_a_warning(recwarn):
    pairs = [tuple(ODD_WORDS[:2]), tuple(ODD_WORDS[2:])]
    figures.plot_neighbours(ODD, ODD_WORDS[:2]).png()
    figures.draw_pairs(ODD, pairs, "one", "other").png()
    assert not recwarn.list


def test_no_word_has_no_neighbours_to_draw():
    with pytest.raises(ValueError, match="no word to look up; put in one"):
        figures.plot_neighbours(WV, [])
