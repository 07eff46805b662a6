"""The figures of notebook 07 say what the numbers say: bars, lines, marks and titles are read back from the figures."""

from __future__ import annotations

import html
import io
import itertools
import math
import re

import matplotlib.style
import matplotlib.text
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from scipy.stats import binomtest

from src import plots
from src.plots import retrieval
from src.qa.open_domain import Found, OpenAnswer
from src.qa.retriever import fuse
from src.runtime import COURSE

PASSAGE = "Dr. Ada <b>found</b> it. Oxygen has the atomic number 8, it is said. It burns."
INDEX = {"the": {"first": 2, "second": 4, "third": 1}, "cat": {"first": 1, "second": 2}, "bird": {"third": 1}}
RANKINGS = {"keyword": ["Tree", "Bird", "Nest"], "dense": ["Nest", "Tree", "Forest"]}
RANKS = {"keyword": [1, 1, 3, math.inf], "dense": [1, 6, 20, 21], "fused": [1, 1, 2, 5]}
TEXTS = ["a cat dozed in front of a rug", "the truck stood on the bridge, which is long", "she planted tulips"]
TAKEN = [(0, 0, 5), (1, 0, 3), (1, 3, 4), (1, 4, 5), (0, 5, 7)]


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


def found(text, title="Oxygen", score=0.9, passage=PASSAGE):
    start = passage.index(text)
    return Found(text, start, start + len(text), title, passage, score, score, 0.1)


def answered(*candidates):
    first = candidates[0]
    return OpenAnswer(first.text, first.start, first.end, first.title, first.passage, first.score, first.retrieval_score, candidates)


def refused(*candidates):
    return OpenAnswer("", 0, 0, "", "", candidates[0].score, 0.1, candidates)


def every_figure():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(9, 384))
    yield retrieval.draw_open_pipeline(10_033, 100, 5)
    yield retrieval.draw_inverted_index(INDEX, ["the", "cat"])
    yield retrieval.draw_inverted_index({f"word{i}": {"one text": 1} for i in range(22)}, ["word3", "$nobody$"])
    parts = {name: [f / (f + room) for f in range(11)] for name, room in {"mean length": 1.5, "twice as long": 2.25, "half": 1.1}.items()}
    yield retrieval.plot_term_weights(parts, WEIGHTS)
    yield retrieval.draw_pooling([f"token{i}" for i in range(9)], vectors, vectors.mean(0))
    yield retrieval.plot_two_searches("the kitten slept on the carpet", TEXTS, {"keyword": [0.1, 1.4, 0.0], "dense": [0.6, 0.2, -0.05]})
    yield retrieval.draw_fusion(RANKINGS, fuse(RANKINGS.values()))
    yield retrieval.plot_recall(RANKS)
    yield retrieval.plot_candidates(["Oxygen", "A title that is much longer than its place"], ["8", "$16$"], [0.9, 0.95], [0.9, 0.7], 0.29)
    yield retrieval.plot_discount({0.5: [0.5, 0.2, 0.1], 0.9: [0.9, 0.7, 0.4]}, 0.29)
    yield retrieval.plot_passages_read({"with the discount": {1: 70.0, 5: 75.0}, "all alike": {1: 70.0, 5: 66.0}})
    yield retrieval.draw_schedule(TAKEN)


WEIGHTS = {1: 8.8, 10: 6.9, 100: 4.6, 1000: 2.3, 10_000: 0.003}


def by_gid(figure, gid):
    (artist,) = figure.findobj(lambda artist: artist.get_gid() == gid)
    return artist


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


# --- what every figure owes ----------------------------------------------------------------------------------------------


def test_every_figure_is_stored_small_opaque_and_with_alternative_text():
    for figure in every_figure():
        assert plots.title_of(figure) in figure.alt
        assert len(figure.to_html()) < 62_000, plots.title_of(figure)
        picture = Image.open(io.BytesIO(figure.png())).convert("RGBA")
        assert picture.getchannel("A").getextrema() == (255, 255) and picture.getpixel((0, 0)) == (255, 255, 255, 255)


def test_every_chart_names_its_axes():
    for figure in every_figure():
        for ax in figure.axes:
            if ax.axison and ax.get_label() != "<colorbar>":
                below = ax.get_xlabel() or any(other.get_xlabel() for other in ax.get_shared_x_axes().get_siblings(ax))
                beside = any(other.get_ylabel() or other.get_yticklabels() for other in ax.get_shared_y_axes().get_siblings(ax))
                assert below and beside, plots.title_of(figure)


def test_no_text_leaves_the_picture_and_no_two_overlap():
    for figure in every_figure():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer, page, unseen = canvas.get_renderer(), figure.bbox.padded(1), hidden_ticks(figure)
        boxes = []
        for text in figure.findobj(matplotlib.text.Text):
            if text.get_visible() and text.get_text().strip() and text not in unseen:
                box = text.get_window_extent(renderer)
                assert page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1), (plots.title_of(figure), text.get_text())
                if not text.get_rotation() % 90:
                    boxes.append((text.get_text(), box.padded(-1.5)))
        crossing = [(one, two) for (one, a), (two, b) in itertools.combinations(boxes, 2) if a.overlaps(b) and a.width > 0 < b.width]
        assert not crossing, plots.title_of(figure)


def hidden_ticks(figure):
    """Labels of ticks beyond the limits of their axis, and of axes that are switched off: laid out, and not drawn."""
    hidden = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low <= tick.get_loc() <= high or not ax.axison:
                    hidden |= {tick.label1, tick.label2}
    return hidden


# --- an answer with its evidence -----------------------------------------------------------------------------------------


def test_an_answer_is_marked_in_its_tinted_sentence_with_title_and_runners_up():
    shown = retrieval.show_open_answer(answered(found("8"), found("Ada", "A <i> title", 0.2)), "Which <number>?")
    page = shown.data
    assert re.search(r"<span[^>]*>Oxygen has the atomic number <mark[^>]*>8</mark>, it is said\.</span>", page)
    (body,) = re.findall(r"pre-wrap[^>]*>(.*?)</div>", page, flags=re.S)
    assert html.unescape(re.sub(r"</?(mark|span)[^>]*>", "", body)) == PASSAGE
    assert "Which &lt;number&gt;?" in page and "<b>" not in page and "<i>" not in page
    assert "0.90 sure; in: <em>Oxygen</em>" in page and "0.20  Ada  (in: A &lt;i&gt; title)" in page
    assert repr(shown) == "Which <number>? 8 (0.90 sure; in: Oxygen)\n  0.20  Ada  (in: A <i> title)"


def test_a_refusal_shows_no_passage_and_says_what_was_turned_down():
    shown = retrieval.show_open_answer(refused(found("8", score=0.12)))
    assert "I don't know" in repr(shown) and "0.12 sure" in repr(shown) and "<mark" not in shown.data and "pre-wrap" not in shown.data
    assert "0.12  8  (in: Oxygen)" in shown.data


def test_no_more_runners_up_are_shown_than_asked_for():
    answer = answered(*(found("8", f"title {i}", 0.9 - i / 10) for i in range(6)))
    page = retrieval.show_open_answer(answer, runners_up=2).data
    assert re.findall(r"title \d", page) == ["title 0", "title 1", "title 2"]  # its own, and two more
    assert "runners-up" not in retrieval.show_open_answer(answered(found("8"))).data


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


# --- finding -------------------------------------------------------------------------------------------------------------


def test_the_pipeline_names_its_numbers():
    shown = " ".join(texts(retrieval.draw_open_pipeline(10_033, 100, 5)))
    assert "10,033 passages" in shown and shown.count("100") == 2 and "5 answers" in shown


def test_an_index_shows_every_count_once_and_counts_what_is_looked_up():
    figure = retrieval.draw_inverted_index(INDEX, ["the", "cat", "the", "unheard"])
    assert sorted(text for text in texts(figure) if text.isdigit()) == ["1", "1", "1", "2", "2", "4"]
    assert plots.title_of(figure) == "For “the cat unheard” 2 of 3 words are looked up: 5 of 6 entries"
    looked_up, other = by_gid(figure, "cat first"), by_gid(figure, "bird third")
    assert looked_up.get_facecolor() != other.get_facecolor()
    with pytest.raises(ValueError, match="22 words"):
        retrieval.draw_inverted_index({f"w{i}": {"a": 1} for i in range(23)}, [])


def test_curves_of_a_words_weight_are_the_numbers_given():
    values = [f / (f + 1.5) for f in range(11)]
    figure = retrieval.plot_term_weights({"mean length": values}, WEIGHTS)
    assert by_gid(figure, "mean length").get_ydata() == pytest.approx(values)
    assert dict(zip(by_gid(figure, "idf").get_xdata(), by_gid(figure, "idf").get_ydata(), strict=True)) == WEIGHTS
    assert "10 times is worth 2.2 times as much as once" in plots.title_of(figure)  # 10/11.5 over 1/2.5
    assert "a word in 1 text weighs 8.8, one in 10,000 weighs 0.00" in plots.title_of(figure)


def test_pooled_vectors_are_drawn_above_their_mean():
    vectors = np.arange(12.0).reshape(3, 4)
    figure = retrieval.draw_pooling(["a", "b", "c"], vectors, vectors.mean(0), shown=2)
    above, below = (ax.images[0].get_array() for ax in figure.axes[:2])
    assert above.tolist() == vectors[:, :2].tolist() and below.tolist() == [[4.0, 5.0]]
    with pytest.raises(ValueError, match="2 tokens"):
        retrieval.draw_pooling(["a", "b"], vectors, vectors.mean(0))


def test_two_searches_mark_the_highest_of_each():
    figure = retrieval.plot_two_searches("q", TEXTS, {"keyword": [0.1, 1.4, 0.0], "dense": [0.6, 0.2, -0.05]})
    assert [by_gid(figure, f"keyword {row}").get_width() for row in range(3)] == [0.1, 1.4, 0.0]
    assert by_gid(figure, "dense 0").get_facecolor() != by_gid(figure, "dense 1").get_facecolor()
    assert f"by keyword “{TEXTS[1]}” is first; by meaning “{TEXTS[0]}” is first" in plots.title_of(figure)


def test_fusion_leads_every_place_to_the_place_of_its_sum():
    figure = retrieval.draw_fusion(RANKINGS, fuse(RANKINGS.values(), 10))
    assert plots.title_of(figure) == "“Tree” comes first: place 1 by keyword, place 2 by meaning"  # 1/11 + 1/12 > 1/13 + 1/11
    order = ["Tree", "Nest", "Bird", "Forest"]
    for name, documents in RANKINGS.items():
        for place, document in enumerate(documents):
            assert by_gid(figure, f"line {name} {document}").get_ydata().tolist() == [place, order.index(document)]
    assert any("0.1742" in text for text in texts(figure))


def test_recall_counts_ranks_up_to_each_depth_with_its_interval():
    figure = retrieval.plot_recall(RANKS, (1, 5, 20))
    heights = {name: [by_gid(figure, f"{name} {depth}").get_height() for depth in (1, 5, 20)] for name in RANKS}
    assert heights == {"keyword": [50, 75, 75], "dense": [25, 25, 75], "fused": [50, 100, 100]}
    assert "first 5 of all: both, fused 100 %, by keyword 75 %, by meaning 25 %, of 4 questions" in plots.title_of(figure)
    ends = np.concatenate([line.get_segments() for line in figure.axes[0].collections])  # the intervals' lines
    low, high = binomtest(1, 4).proportion_ci(method="wilson")
    assert any(np.allclose(segment[:, 1], [100 * low, 100 * high]) for segment in ends)


# --- reading -------------------------------------------------------------------------------------------------------------


def test_candidates_show_both_scores_and_say_whether_one_is_taken():
    given = (["Oxygen", "Sulfur"], ["8", "16"], [0.9, 0.95], [0.9, 0.85])
    assert plots.title_of(retrieval.plot_candidates(*given, 0.29)) == "“8”, from place 1, has the most support: 0.90"
    figure = retrieval.plot_candidates(*given, 0.99)
    assert plots.title_of(figure).startswith("Nothing reaches the threshold")
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.9, 0.95, 0.9, 0.85]
    assert "0.85" in texts(figure) and "threshold 0.99" in texts(figure)


def test_the_discount_says_down_to_which_place_an_answer_is_given():
    figure = retrieval.plot_discount({0.2: [0.2, 0.1], 0.9: [0.9, 0.73], 0.5: [0.5, 0.2]}, 0.29)
    assert plots.title_of(figure) == "A reader 0.2 sure is never answered; 0.9 sure is answered down to place 2; 0.5 sure to place 1"
    assert by_gid(figure, "0.9").get_ydata().tolist() == [0.9, 0.73]
    shorter = retrieval.plot_discount({0.2: [0.2, 0.1], 0.9: [0.9, 0.73, 0.45]}, 0.29)
    assert by_gid(shorter, "0.2").get_xdata().tolist() == [1, 2] and "threshold 0.29" in texts(shorter)


def test_f1_is_drawn_against_the_passages_read():
    figure = retrieval.plot_passages_read({"with": {1: 70.0, 5: 75.2}, "without": {1: 70.0, 5: 66.0}})
    line = by_gid(figure, "with")
    assert line.get_xdata().tolist() == [1, 5] and line.get_ydata().tolist() == [70.0, 75.2]
    assert plots.title_of(figure) == "F1 with: 70 with 1 read, 75 with 5; without: 70 with 1 read, 66 with 5"


# --- several processes ---------------------------------------------------------------------------------------------------


def test_a_schedule_shows_who_works_when_and_when_all_are_done():
    figure = retrieval.draw_schedule(TAKEN, ["a", "b", "c", "d", "e"])
    bars = [by_gid(figure, f"chunk {number}") for number in range(5)]
    assert [(round(bar.get_y() + bar.get_height() / 2), bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars] == TAKEN
    assert plots.title_of(figure) == "5 chunks, 12 seconds of work: 2 processes are done after 7"
    assert "1 process is done after 5" in plots.title_of(retrieval.draw_schedule([(0, 0, 2), (0, 2, 5)]))
    with pytest.raises(ValueError, match="no chunks"):
        retrieval.draw_schedule([])
