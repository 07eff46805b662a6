"""The figures of pre-training say what the data say."""

from itertools import pairwise

from src.plots import pretraining

TOKENS = ["[CLS]", "the", "violin", "has", "four", "strings", "and", "a", "bow", ".", "[SEP]"]
SEEN = ["[CLS]", "the", "[MASK]", "has", "lamp", "strings", "and", "a", "bow", ".", "[SEP]"]
ASKED = [i in (2, 4, 8) for i in range(11)]
FILLED = {
    "Oxygen is a [MASK].": {"before": {"the": 0.1}, "after": {"gas": 0.5, "metal": 0.2}},
    "The $ is a [MASK].": {"before": {"the": 0.1}, "after": {"the": 0.3, "star": 0.2}},
}
SHARES = {"before": 0.05, "after": 0.3}
VIEWS = {
    "GPT": ([True] * 2 + [False] * 9, {" cat": 0.2, " dog": 0.1}),
    "BERT": ([i != 2 for i in range(11)], {"violin": 0.6, "guitar": 0.2}),
}

FIGURES = {
    "draw_masking": (
        lambda: pretraining.draw_masking(TOKENS, SEEN, ASKED),
        "3 of 9 tokens are asked: 1 hidden, 1 replaced by another, 1 left as it is",
        "becomes “[CLS] the [MASK] has lamp strings",
        "violin is hidden, four is replaced by another, bow is left as it is",
    ),
    "draw_masking of a long text": (
        lambda: pretraining.draw_masking(TOKENS * 3, SEEN * 3, ASKED * 3),
        "9 of 27 tokens are asked: 3 hidden, 3 replaced by another, 3 left as it is",
    ),
    "draw_fill_ins": (
        lambda: pretraining.draw_fill_ins(FILLED),
        "“after” and “before” differ in 1 of 2 blanks",
        "Oxygen is a [MASK].: before: the 10 %; after: gas 50 %, metal 20 %; The $",
    ),
    "plot_shares": (
        lambda: pretraining.plot_shares(SHARES, "blanks filled", (0.06, "always “the”")),
        "“after” is right most often; always “the”: 6.0 %",
        "before: 5.0 %; after: 30.0 %. Dashed line: always “the”: 6.0 %",
    ),
    "plot_shares with intervals": (  # of Wilson, by hand
        lambda: pretraining.plot_shares({"a": 0.5, "b": 0.95}, "right", (0.5, "a coin"), n=100),
        "“b” is right most often; a coin: 50.0 %",
        "a: 50.0 % (40 to 60); b: 95.0 % (89 to 98)",
    ),
    "plot_shares with a headline": (
        lambda: pretraining.plot_shares(SHARES, "right", (0.5, "a coin"), finding="Both guess"),
        "Both guess; a coin: 50.0 %",
    ),
    "plot_shares that are near": (
        lambda: pretraining.plot_shares({"a": 0.9, "b": 0.95}, "right", (0.5, "a coin"), n=100),
        "“b” is right most often, “a” nearly so; a coin: 50.0 %",
    ),
    "draw_views with two kinds of blanks": (
        lambda: pretraining.draw_views(TOKENS, 2, {"GPT": ([True] * 11, {" ": 0.2, "\n": 0.1})}),
        "GPT expects “␣”",
        "Bars of what GPT expects: ␣: 20 %; ␣: 10 %",
    ),
    "draw_views": (
        lambda: pretraining.draw_views(TOKENS, 2, VIEWS),
        "GPT expects “cat”; BERT expects “violin”",
        "The sentence “[CLS] the ? has four",
        "GPT: sees 2 words; BERT: sees 10 words",
        "Bars of what BERT expects: violin: 60 %; guitar: 20 %",
    ),
}


def test_long_sentences_go_on_in_the_next_line_and_no_two_boxes_overlap():
    figure = FIGURES["draw_masking of a long text"][0]()
    boxes = [(patch.get_y(), patch.get_x(), patch.get_width()) for patch in figure.axes[0].patches]
    lines = {y: sorted((x, x + width) for at, x, width in boxes if at == y) for y, *_ in boxes}
    assert len(boxes) == 33 and len(lines) == 3
    for line in lines.values():
        assert all(right < left for (_, right), (left, _) in pairwise(line))
        assert line[-1][1] <= pretraining.LINE


def test_the_word_that_is_asked_for_is_never_shown(texts):
    written = texts(FIGURES["draw_views"][0]())
    assert "violin" not in written and written.count("?") == 2
