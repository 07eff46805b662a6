"""The figures of question answering say what the data say: bars and marks are read back."""

import html
import itertools
import re
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from src import assets, plots
from src.plots import qa
from src.qa.features import prepare_features

PASSAGE = (
    "Oxygen is a chemical element with the symbol O and atomic number 8. It is a member of the "
    "chalcogen group, a highly reactive nonmetal, and a strong oxidizing agent that readily forms "
    "oxides with most elements as well as with other compounds. Oxygen is the most abundant "
    "element in the crust of the Earth, and the third most abundant in the universe."
)
TOKENIZER = AutoTokenizer.from_pretrained(assets.path("minilm"))
OFFSETS = TOKENIZER(PASSAGE, add_special_tokens=False, return_offsets_mapping=True)[
    "offset_mapping"
]


def row(answer="8", at=None, context=PASSAGE, question="What is the atomic number of oxygen?"):
    found = [context.index(answer) if at is None else at] if answer else []
    answers = {"text": [answer] if answer else [], "answer_start": found}
    columns = {"id": "q", "title": "Oxygen", "context": context, "question": question}
    return columns | {"answers": answers}


def windows(max_length=48, doc_stride=12, labels=True, **given):
    dataset = Dataset.from_list([row(**given)])
    return prepare_features(dataset, TOKENIZER, max_length, doc_stride, labels=labels)


def draw(*args, **given):
    return qa.draw_windows(windows(*args, **given), TOKENIZER)


CONTEXT = "x" * 50 + " one two three " + "y" * 85  # 150 characters
PLACED = [
    row("one", context=CONTEXT),
    row("two three", context=CONTEXT),
    row("y", at=120, context=CONTEXT),
    row("", context=CONTEXT),
]
MIX = [row(), row(""), row(question="who is it?"), row(question="WHO was it?")]
PIECES = ["[CLS]", "atomic", "ox", "##ygen", "$"]
START, END = [0.1, 0.1, 0.7, 0.05, 0.05], [0.1, 0.2, 0.1, 0.6, 0.0]
SURE, HAS_ANSWER = [0.1, 0.4, 0.6, 0.9, 0.2, 0.7], [True, True, True, True, False, False]
F1 = [1, 1, 0.5, 1, 0, 0]
SHORT = ["[CLS]", "which", "[SEP]", "num", "##ber", "$8", "[SEP]"]
LOGITS = [0, 0, 0, 5.5, 0, 1, 0], [0, 0, 0, 0, 0, -2, 0]

FIGURES = {
    "draw_windows": (
        draw,
        f"3 windows of up to 48 tokens for a passage of {len(OFFSETS)}, 12 shared (doc_stride); "
        "1 of 3 with the whole answer “8”",
    ),
    "draw_windows without an answer": (
        lambda: draw(answer=""),
        f"3 windows of up to 48 tokens for a passage of {len(OFFSETS)}, 12 shared (doc_stride); "
        "none with an answer",
    ),
    "draw_windows without labels": (
        lambda: draw(labels=False),
        f"3 windows of up to 48 tokens for a passage of {len(OFFSETS)}, 12 shared (doc_stride)",
    ),
    "draw_windows of nothing": (
        lambda: draw(answer="", context=""),
        "1 window of up to 11 tokens for a passage of 0; none with an answer",
    ),
    "plot_answer_positions": (
        lambda: qa.plot_answer_positions(PLACED),
        "Half of all answers start in the first 37 % of their passage; 67 % have one word",
    ),
    "plot_question_mix": (
        lambda: qa.plot_question_mix({"train": MIX * 3, "test": MIX[:2]}),
        "29 % of the 14 questions have no answer in their passage; 57 % begin with “what”",
    ),
    "plot_question_mix with answers": (
        lambda: qa.plot_question_mix({"test": MIX[2:]}),
        "All 2 questions have an answer in their passage; 100 % begin with “who”",
    ),
    "plot_token_scores": (
        lambda: qa.plot_token_scores(PIECES, START, END),
        "The likeliest answer “oxygen” takes 70 % of the start and 60 % of the end",
    ),
    "plot_token_scores of no answer": (
        lambda: qa.plot_token_scores(["[CLS]", "a"], [0.9, 0.1], [0.8, 0.2]),
        "No answer: “[CLS]” takes 90 % of the start and 80 % of the end",
    ),
    "plot_token_scores of a wrong order": (
        lambda: qa.plot_token_scores(list("abc"), [0.0, 0.1, 0.9], [0.8, 0.15, 0.05]),
        "The likeliest answer “c” takes 90 % of the start and 5 % of the end",
    ),
    "plot_span_matrix": (
        lambda: qa.plot_span_matrix([0, 2, 1.0], [3, 0, -1.0], ["$a", "b", "c"]),
        "Of 6 allowed spans “$a” scores highest: 0.0 + 3.0 = 3.0",
    ),
    "plot_threshold": (
        lambda: qa.plot_threshold(SURE, HAS_ANSWER, F1, chosen=0.4),
        "At 0.40 the reader answers 75 % of the answerable questions "
        "and refuses 50 % of the unanswerable ones",
    ),
    "draw_four_heads": (
        qa.draw_four_heads,
        "One encoder, four heads: they differ only in which output vectors they read",
    ),
    "draw_question_to_answer": (
        lambda: qa.draw_question_to_answer("which", "number $8", SHORT, *LOGITS, (3, 5)),
        "7 tokens, 14 logits, one answer: “number $8”, where start and end score 5.5 − 2.0 = 3.5",
    ),
}


def drawn(name):
    return FIGURES[name][0]()


def marks(figure, prefix):
    """gid -> artist of everything that was given an id starting with `prefix`."""
    found = figure.findobj(lambda artist: str(artist.get_gid() or "").startswith(prefix))
    return {artist.get_gid(): artist for artist in found}


# --- windows --------------------------------------------------------------------------------------


def test_bars_cover_the_tokens_of_their_windows():
    bars = marks(drawn("draw_windows"), "window ")
    for k, window in enumerate(windows()):
        spans = zip(window["token_starts"], window["token_ends"], strict=True)
        held = [OFFSETS.index(span) for span in spans if span[0] >= 0]
        bar = bars[f"window {k}"]
        assert (bar.get_x(), bar.get_x() + bar.get_width()) == (held[0], held[-1] + 1)
    assert len(bars) == 3


def test_the_shaded_part_is_what_two_windows_share(mark):
    figure = draw(doc_stride=9)
    first, second, shared = (mark(figure, gid) for gid in ("window 0", "window 1", "overlap 0"))
    assert shared.get_x() == second.get_x() and shared.get_width() == 9
    assert shared.get_x() + 9 == first.get_x() + first.get_width()


def test_the_answer_is_marked_and_windows_without_it_are_called_cls():
    at = PASSAGE.index("chalcogen")
    tokens = [i for i, (s, e) in enumerate(OFFSETS) if s < at + 9 and e > at]
    figure = draw(answer="chalcogen")
    labels = {gid: text.get_text() for gid, text in marks(figure, "label ").items()}
    holds = [window["start_positions"] > 0 for window in windows(answer="chalcogen")]
    assert any(holds) and not all(holds)
    for k, held in enumerate(holds):
        assert labels[f"label {k}"] == f"labelled: {'the answer' if held else '[CLS]'}"
        if held:
            mark = marks(figure, f"answer {k}")[f"answer {k}"]
            assert (mark.get_x(), mark.get_width()) == (tokens[0], len(tokens))
    assert not marks(drawn("draw_windows without an answer"), "answer ")
    assert not marks(drawn("draw_windows without labels"), "label ")


def test_an_answer_cut_by_a_window_has_another_colour():
    given = {"answer": PASSAGE[PASSAGE.index("a highly") : PASSAGE.index(" readily")]}
    figure = draw(doc_stride=16, **given)
    colours = {gid: mark.get_facecolor() for gid, mark in marks(figure, "answer ").items()}
    features = windows(doc_stride=16, **given)
    whole = {f"answer {k}" for k, window in enumerate(features) if window["start_positions"] > 0}
    assert whole and whole < set(colours)
    cut = set(colours) - whole
    assert not {colours[gid] for gid in whole} & {colours[gid] for gid in cut}


def test_windows_of_two_questions_are_refused():
    data = Dataset.from_list([row(), row() | {"id": "other"}])
    with pytest.raises(ValueError, match=r"of one question, not of 2.*select"):
        qa.draw_windows(prepare_features(data, TOKENIZER), TOKENIZER)


# --- questions and scores -------------------------------------------------------------------------


def test_answer_positions_and_the_question_mix_add_up(mark):
    figure = drawn("plot_answer_positions")
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert len(heights) == 10 and sum(heights) == pytest.approx(100)
    middle = 100 * np.median([51, 55, 120]) / 150
    assert mark(figure, "level median 37 %").get_xdata()[0] == pytest.approx(middle)
    with pytest.raises(ValueError, match="nothing to plot"):
        qa.plot_answer_positions([row("")])
    left, right = drawn("plot_question_mix").axes
    assert [bar.get_width() for bar in left.patches] == [9, 3, 1, 1]
    assert sum(bar.get_width() for bar in right.patches) == pytest.approx(100)
    assert [label.get_text() for label in right.get_yticklabels()] == ["what …", "who …", "others"]


def test_start_scores_point_up_and_end_scores_down():
    upper, _, lower = drawn("plot_token_scores").axes
    assert [bar.get_height() for bar in upper.patches[:5]] == pytest.approx(
        [100 * p for p in START]
    )
    assert [bar.get_height() for bar in lower.patches[:5]] == pytest.approx([100 * p for p in END])
    assert not upper.yaxis_inverted() and lower.yaxis_inverted()


@pytest.mark.parametrize("answer", [(0, 0), (1, 2), (150, 152), (299, 299), (20, 110)])
def test_a_long_passage_is_shown_around_the_answer_with_its_first_token(answer):
    tokens = ["[CLS]", *[f"t{i}" for i in range(1, 300)]]
    start, end = np.eye(300)[list(answer)]
    figure = qa.plot_token_scores(tokens, start, end)
    labels = [text.get_text() for text in figure.axes[1].texts]
    assert labels[0] == "[CLS]" and len(labels) <= 46
    assert tokens[answer[0]] in labels and tokens[answer[1]] in labels
    shown = [tokens.index(label) if label != "⋯" else None for label in labels]
    for left, right in itertools.pairwise(shown):  # every gap is shown as one, nothing else is
        assert left is None or right is None or right == left + 1
    gaps = zip(shown, shown[1:], shown[2:], strict=False)
    assert all(right > left + 1 for left, gap, right in gaps if gap is None)
    assert (shown[-1] is None) == (299 not in shown)


@settings(max_examples=8)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_matrix_marks_the_best_allowed_span(T, longest, seed):
    start, end = np.random.default_rng(seed).normal(size=(2, T))
    figure = qa.plot_span_matrix(start, end, [f"t{i}" for i in range(T)], longest)
    spans = [(i, j) for i in range(T) for j in range(i, min(T, i + longest))]
    total, i, j = max((start[i] + end[j], i, j) for i, j in spans)
    ax, mark = figure.axes[0], marks(figure, "best")["best"]
    column, line = round(mark.get_x() + 0.5), round(mark.get_y() + 0.5)
    assert ax.get_yticklabels()[line].get_text() == f"t{i}"
    assert ax.get_xticklabels()[column].get_text() == f"t{j}"
    cells = ax.images[0].get_array()
    assert cells[line, column] == cells.max() == pytest.approx(total)
    assert np.ma.getmaskarray(cells)[np.tril_indices(len(cells), -1)].all()
    assert f"{total:.1f}".replace("-", "−") in plots.title_of(figure)


def test_the_threshold_splits_the_questions_as_it_says(mark):
    figure = drawn("plot_threshold")
    names = ("answerable: answered", "unanswerable: refused", "F1 over all")
    lines = [mark(figure, name).get_xydata() for name in names]
    at = int(np.flatnonzero(lines[0][:, 0] == 0.4)[0])
    assert [line[at, 1] for line in lines] == pytest.approx([75, 50, 100 * 3.5 / 6])
    assert [line[0, 1] for line in lines] == pytest.approx([100, 0, 100 * 3.5 / 6])
    assert "58.3" in figure.alt


# --- pictures and answers -------------------------------------------------------------------------


def test_each_head_reads_the_vectors_it_should():
    figure = drawn("draw_four_heads")
    reads = {
        name: [int(gid.split()[1]) for gid in marks(figure, f"{name} ") if gid.endswith(" read")]
        for name in qa.HEADS
    }
    assert reads == {"class": [0], "span": [*range(9)], "pair": [0], "tag": [1, 2, 3, 4]}
    assert len(marks(figure, "span start ")) == len(marks(figure, "span end ")) == 9


def answer(text, start, score=0.9):
    end = start + len(text)
    return SimpleNamespace(text=text, start=start, end=end, score=score, null_score=1 - score)


def test_the_passage_is_shown_whole_escaped_with_the_answer_marked():
    context = '<script>alert("x")</script> & 8 <b>bold</b>\nnext'
    given = answer("8 <b>", context.index("8"))
    page = qa.show_answer(given, context, question="What <i>is</i> it?").html
    assert "<script>" not in page and "<b>" not in page and "<i>" not in page
    assert re.search(r"<mark[^>]*>8 &lt;b&gt;</mark>", page)
    (body,) = re.findall(r"pre-wrap[^>]*>(.*?)</div>", page, flags=re.S)
    assert html.unescape(re.sub(r"</?mark[^>]*>", "", body)) == context
    assert "What &lt;i&gt;is&lt;/i&gt; it?" in page
    assert "width:90%" in page and "0.90 sure" in page
    assert "color:inherit" in page and "background:white" not in page


def test_a_refusal_marks_nothing_and_says_so():
    shown = qa.show_answer(answer("", 0, score=0.12), "Some passage.")
    assert "<mark" not in shown.html and "no answer in this passage (0.12 sure" in shown.html
    assert "no answer" in repr(shown)


def test_an_answer_of_another_passage_is_refused():
    with pytest.raises(ValueError, match="is not at characters"):
        qa.show_answer(answer("8", 0), "no such thing")
