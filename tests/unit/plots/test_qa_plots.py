"""The figures of question answering say what the data say: bars and marks are read back."""

import html
import re
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgba
from transformers import AutoTokenizer

from src import assets
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


def row(answer="8"):
    answers = {"text": [answer], "answer_start": [PASSAGE.index(answer)]}
    none = {"text": [], "answer_start": []}
    columns = {"id": "q", "question": "What is the atomic number of oxygen?", "context": PASSAGE}
    return columns | {"answers": answers if answer else none}


def windows(max_length=48, doc_stride=12, labels=True, **given):
    dataset = Dataset.from_list([row(**given)])
    return prepare_features(dataset, TOKENIZER, max_length, doc_stride, labels=labels)


def draw(*args, **given):
    return qa.draw_windows(windows(*args, **given), TOKENIZER)


SURE, HAS_ANSWER = [0.1, 0.4, 0.6, 0.9, 0.2, 0.7], [True, True, True, True, False, False]
F1 = [1, 1, 0.5, 1, 0, 0]
SHORT = ["[CLS]", "which", "[SEP]", "num", "##ber", "$8", "[SEP]"]
LOGITS = [0, 0, 0, 5.5, 0, 1, 0], [0, 0, 0, 0, 0, -2, 0]

FIGURES = {
    "draw_windows": (
        draw,
        f"3 windows of up to 48 tokens for a passage of {len(OFFSETS)}, 12 shared (doc_stride); "
        "1 of 3 with the whole answer “8”",
        "window 1: 0 to 36; window 2: 25 to 61; window 3: 50 to 75",
        "labelled: the answer; labelled: [CLS]; labelled: [CLS]",
    ),
    "draw_windows without an answer": (
        lambda: draw(answer=""),
        f"3 windows of up to 48 tokens for a passage of {len(OFFSETS)}, 12 shared (doc_stride)",
        "labelled: [CLS]; labelled: [CLS]; labelled: [CLS]",
    ),
    "draw_windows without labels": (
        lambda: draw(labels=False),
        f"3 windows of up to 48 tokens for a passage of {len(OFFSETS)}, 12 shared (doc_stride)",
    ),
    "plot_span_matrix": (
        lambda: qa.plot_span_matrix([0, 2, 1.0], [3, 0, -1.0], ["$a", "b", "c"]),
        "Of 6 allowed spans “$a” scores highest: 0.0 + 3.0 = 3.0",
    ),
    "plot_threshold": (
        lambda: qa.plot_threshold(SURE, HAS_ANSWER, F1, chosen=0.4),
        "At 0.40 the reader answers 75 % of 4 answerable questions "
        "and refuses 50 % of 2 unanswerable ones",
        "F1 over all questions is 58.3 there",
    ),
    "plot_threshold that refuses nothing": (
        lambda: qa.plot_threshold(SURE, HAS_ANSWER, F1, chosen=0.0),
        "At 0.00 the reader answers 100 % of 4 answerable questions "
        "and refuses 0 % of 2 unanswerable ones",
        "F1 over all questions is 58.3 there",
    ),
    "draw_question_to_answer": (
        lambda: qa.draw_question_to_answer("which", "number $8", SHORT, *LOGITS, (3, 5)),
        "7 tokens, 14 logits, one answer: “number $8”, where start and end score 5.5 − 2.0 = 3.5",
    ),
}


# --- windows --------------------------------------------------------------------------------------


def bars(figure):
    """First token, tokens and colour of every bar."""
    return [(bar.get_x(), bar.get_width(), bar.get_facecolor()) for bar in figure.axes[0].patches]


def test_bars_cover_the_tokens_of_their_windows_and_what_they_share():
    drawn = [(start, width) for start, width, _ in bars(draw(doc_stride=9))]
    held = []
    for window in windows(doc_stride=9):
        spans = zip(window["token_starts"], window["token_ends"], strict=True)
        tokens = [OFFSETS.index(span) for span in spans if span[0] >= 0]
        held.append((tokens[0], tokens[-1] + 1))
    assert {(first, last - first) for first, last in held} <= set(drawn)
    assert (held[1][0], 9) in drawn and held[1][0] + 9 == held[0][1]


def test_an_answer_cut_by_a_window_has_another_colour():
    given = {"answer": PASSAGE[PASSAGE.index("a highly") : PASSAGE.index(" readily")]}
    features = windows(doc_stride=16, **given)
    starts = [window["start_positions"] > 0 for window in features]
    assert any(starts) and not all(starts)
    colours = [to_rgba(colour) for colour in (qa.ANSWER, "C4")]
    drawn = [colour for *_, colour in bars(draw(doc_stride=16, **given))]
    assert drawn.count(colours[0]) == sum(starts) and drawn.count(colours[1]) >= 1


# --- questions and scores -------------------------------------------------------------------------


@settings(max_examples=8)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_matrix_marks_the_best_allowed_span(T, longest, seed):
    start, end = np.random.default_rng(seed).normal(size=(2, T))
    figure = qa.plot_span_matrix(start, end, [f"t{i}" for i in range(T)], longest)
    spans = [(i, j) for i in range(T) for j in range(i, min(T, i + longest))]
    total, i, j = max((start[i] + end[j], i, j) for i, j in spans)
    (ax, *_), (*_, mark) = figure.axes, figure.axes[0].patches
    column, line = round(mark.get_x() + 0.5), round(mark.get_y() + 0.5)
    assert ax.get_yticklabels()[line].get_text() == f"t{i}"
    assert ax.get_xticklabels()[column].get_text() == f"t{j}"
    cells = ax.images[0].get_array()
    assert cells[line, column] == cells.max() == pytest.approx(total)
    assert np.ma.getmaskarray(cells)[np.tril_indices(len(cells), -1)].all()
    assert f"{total:.1f}".replace("-", "−") in figure.get_suptitle()


# --- pictures and answers -------------------------------------------------------------------------


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
