"""The figures of notebook 09 say what the numbers say: bars, lines and marks are read back."""

import html
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from src.plots import retrieval
from src.qa.open_domain import OpenAnswer
from src.qa.retriever import fuse

PASSAGE = "Dr. Ada <b>found</b> it. Oxygen has the atomic number 8, it is said. It burns."
INDEX = {
    "the": {"first": 2, "second": 4, "third": 1},
    "cat": {"first": 1, "second": 2},
    "bird": {"third": 1},
}
RANKINGS = {"keyword": ["Tree", "Bird", "$Nest"], "dense": ["$Nest", "Tree", "Forest"]}
FUSED = fuse(RANKINGS.values(), 10)
RANKS = {"keyword": [1, 1, 3, math.inf], "dense": [1, 6, 20, 21], "fused": [1, 1, 2, 5]}
TEXTS = ["a cat dozed in front of a rug", "the truck was on the bridge, which is long", "tulips"]
SCORES = {"keyword": [0.1, 1.4, 0.0], "dense": [0.6, 0.2, -0.05]}
VECTORS = np.arange(12.0).reshape(3, 4)
CANDIDATES = (["Oxygen", "A title that is much longer than its place"], ["8", "$16$"])
READ = {"with": {1: 70.0, 5: 75.2}, "without": {1: 70.0, 5: 66.0}}

FIGURES = {
    "draw_open_pipeline": (
        lambda: retrieval.draw_open_pipeline(10_033, 100, 5),
        "Of 10,033 passages 5 are read, and one of them answers, or none",
        "by keyword and by meaning, keep the best 100 each of 10,033 passages",
    ),
    "draw_inverted_index": (
        lambda: retrieval.draw_inverted_index(INDEX, ["the", "cat", "the", "$unheard"]),
        "For “the cat $unheard” 2 of 3 words are looked up: 5 of 6 entries",
        "the: first 2, second 4, third 1; cat: first 1, second 2; bird: third 1",
    ),
    "draw_pooling": (
        lambda: retrieval.draw_pooling(["a", "b", "$"], VECTORS, VECTORS.mean(0)),
        "3 vectors of 4 numbers, one for each token, become one for the sentence: their mean",
    ),
    "plot_two_searches": (
        lambda: retrieval.plot_two_searches("a $ b", TEXTS, SCORES),
        f"“a $ b”: by keyword “{TEXTS[1]}” is first; by meaning “{TEXTS[0]}” is first",
        "is long: 1.40; tulips: 0.00. Bars of score by meaning (cosine): a cat dozed in front of",
    ),
    "draw_fusion": (
        lambda: retrieval.draw_fusion(RANKINGS, FUSED),
        "“Tree” comes first: place 1 by keyword, place 2 by meaning",  # 1/11 + 1/12 > 1/13 + 1/11
        "Fused: Tree 0.1742, $Nest 0.1678, Bird 0.0833, Forest 0.0769",
    ),
    "plot_recall": (
        lambda: retrieval.plot_recall(RANKS),
        "The right article is among the first 5: "
        "both, fused for 100 %; by keyword for 75 %; by meaning for 25 % of 4 questions",
        "by keyword: the first 50 %, the first 5: 75 %, the first 10: 75 %; by meaning: the first",
    ),
    "plot_candidates": (
        lambda: retrieval.plot_candidates(*CANDIDATES, [0.9, 0.95], [0.9, 0.85], 0.29),
        "“8”, from place 1, has the highest score: 0.90",
    ),
    "plot_candidates that are too weak": (
        lambda: retrieval.plot_candidates(*CANDIDATES, [0.9, 0.95], [0.9, 0.85], 0.99),
        "Nothing reaches 0.99: the best guess has 0.90",
        "read alone 0.95, one softmax over all 0.85",
        "Dashed line: threshold 0.99",
    ),
    "plot_passages_read": (
        lambda: retrieval.plot_passages_read(READ),
        "F1 with: 70 with 1 read, 75 with 5; without: 70 with 1 read, 66 with 5",
        "with: 70 at 1, 75.2 at 5",
    ),
}


# --- an answer with its evidence ------------------------------------------------------------------


def found(text, title="Oxygen", score=0.9):
    start = PASSAGE.index(text)
    return OpenAnswer(text, start, start + len(text), title, PASSAGE, score, score, 0.1)


def answered(*candidates):
    first = candidates[0]
    place = first.start, first.end, first.title, first.passage
    return OpenAnswer(first.text, *place, first.score, first.score, 0.1, candidates)


def test_an_answer_is_marked_in_its_tinted_sentence_with_title_and_runners_up():
    answer = answered(found("8"), found("Ada", "A <i> title", 0.2))
    shown = retrieval.show_open_answer(answer, "Which <number>?")
    marked = r"<span[^>]*>Oxygen has the atomic number <mark[^>]*>8</mark>, it is said\.</span>"
    assert re.search(marked, shown.html)
    (body,) = re.findall(r"pre-wrap[^>]*>(.*?)</div>", shown.html, flags=re.S)
    assert html.unescape(re.sub(r"</?(mark|span)[^>]*>", "", body)) == PASSAGE
    assert "Which &lt;number&gt;?" in shown.html and "<b>" not in shown.html
    assert "0.90 sure; in: <em>Oxygen</em>" in shown.html
    assert "0.20  Ada  (in: A &lt;i&gt; title)" in shown.html
    in_text = "Which <number>? 8 (0.90 sure; in: Oxygen)\n  0.20  Ada  (in: A <i> title)"
    assert repr(shown) == in_text


def test_a_source_of_ones_own_is_shown_with_file_and_page():
    own = replace(found("8", "bread: Baking"), file="bread.pdf", page=7)
    whole = replace(own, candidates=(own, own))
    shown = retrieval.show_open_answer(whole).html
    assert shown.count("bread: Baking, bread.pdf, page 7") == 2


def test_a_refusal_shows_no_passage_and_says_what_was_turned_down():
    answer = OpenAnswer("", 0, 0, "", "", 0.12, 0.12, 0.1, (found("8", score=0.12),))
    shown = retrieval.show_open_answer(answer)
    assert "I don't know" in repr(shown) and "0.12 sure" in repr(shown)
    assert "<mark" not in shown.html and "pre-wrap" not in shown.html
    assert "0.12  8  (in: Oxygen)" in shown.html


def test_no_more_than_three_runners_up_are_shown():
    answer = answered(*(found("8", f"title {i}", 0.9 - i / 10) for i in range(6)))
    page = retrieval.show_open_answer(answer).html
    assert re.findall(r"title \d", page) == [f"title {i}" for i in range(4)]  # its own, three more
    assert "runners-up" not in retrieval.show_open_answer(answered(found("8"))).html


@pytest.mark.parametrize(
    ("piece", "sentence"),
    [
        ("8", "Oxygen has the atomic number 8, it is said."),
        ("Ada", "Dr. Ada <b>found</b> it."),
        ("it is said. It", "Oxygen has the atomic number 8, it is said. It burns."),
        ("burns.", "It burns."),
    ],
)
def test_the_sentence_around_an_answer_is_found_also_where_it_spans_two(piece, sentence):
    start = PASSAGE.index(piece)
    first, last = retrieval.sentence_around(PASSAGE, start, start + len(piece))
    assert PASSAGE[first:last] == sentence


# --- finding --------------------------------------------------------------------------------------


def test_the_mean_is_drawn_below_the_vectors():
    figure = retrieval.draw_pooling(["a", "b", "$"], VECTORS, VECTORS.mean(0))
    above, below = (ax.images[0].get_array() for ax in figure.axes[:2])
    assert above.tolist() == VECTORS.tolist() and below.tolist() == [[4, 5, 6, 7]]


def test_fusion_leads_every_place_to_the_place_of_its_sum():
    order = ["Tree", "$Nest", "Bird", "Forest"]
    lines = retrieval.draw_fusion(RANKINGS, FUSED).axes[0].lines
    assert [tuple(line.get_ydata()) for line in lines] == [
        (place, order.index(document))
        for documents in RANKINGS.values()
        for place, document in enumerate(documents)
    ]
