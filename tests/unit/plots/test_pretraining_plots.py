"""The figures of pre-training say what the data say."""

from itertools import pairwise

from src.plots import pretraining
from src.pretraining import as_sequences

TOKENS = ["[CLS]", "the", "violin", "has", "four", "strings", "and", "a", "bow", ".", "[SEP]"]
SEEN = ["[CLS]", "the", "[MASK]", "has", "lamp", "strings", "and", "a", "bow", ".", "[SEP]"]
ASKED = [i in (2, 4, 8) for i in range(11)]
CHANCES = [0.1, 0.2, 0.9, 0.1, 0.3, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1]
FILLED = {
    "Oxygen is a [MASK].": {"before": {"the": 0.1}, "after": {"gas": 0.5, "metal": 0.2}},
    "The $ is a [MASK].": {"before": {"the": 0.1}, "after": {"the": 0.3, "star": 0.2}},
}
SHARES = {"before": 0.05, "after": 0.3}
PAIRS = {"neighbours": ("A gas.", "B.", True), "swapped": ("B.", "A gas.", False)}
VIEWS = {
    "GPT": ([True] * 2 + [False] * 9, {" cat": 0.2, " dog": 0.1}),
    "BERT": ([i != 2 for i in range(11)], {"violin": 0.6, "guitar": 0.2}),
}
TASKS = {
    "entailment": as_sequences("entailment", "A man is asleep in the park.", "A man sings there."),
    "multiple choice": as_sequences("multiple choice", "Ann bought it.", "What?", "Rio", "bread"),
}
ENDS = {"entailment": "one layer, three classes", "multiple choice": "one score each, softmax"}

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
        "“after” fills 1 of 2 blanks otherwise than “before”",
        "Oxygen is a [MASK].: before: the 10 %; after: gas 50 %, metal 20 %; The $",
    ),
    "plot_shares": (
        lambda: pretraining.plot_shares(SHARES, "blanks filled rightly", (0.06, "always “the”")),
        "“after”: 30.0 % right; always “the”: 6.0 %",
        "before: 5.0 %; after: 30.0 %. Dashed line: always “the”: 6.0 %",
    ),
    "draw_pairs": (
        lambda: pretraining.draw_pairs(PAIRS),
        "Pairs label themselves: where the second sentence came from is the answer",
        "neighbours: “A gas.” then “B.”, label 1; swapped: “B.” then “A gas.”, label 0",
    ),
    "draw_replaced_probs": (
        lambda: pretraining.draw_replaced_probs(SEEN, TOKENS, CHANCES),
        "Suspected: 1 of 2 replaced tokens, and 1 of 9 others",
        "[MASK] 90 % in place of violin, has 10 %, lamp 30 % in place of four, strings 80 %",
    ),
    "draw_views": (
        lambda: pretraining.draw_views(TOKENS, 2, VIEWS),
        "GPT expects “cat”; BERT expects “violin”",
        "The sentence “[CLS] the ? has four",
        "GPT: sees 2 words; BERT: sees 10 words",
        "Bars of what BERT expects: violin: 60 %; guitar: 20 %",
    ),
    "draw_sequences": (
        lambda: pretraining.draw_sequences(TASKS, ENDS),
        "2 tasks, one model: every example becomes one sequence or several",
        "park. $ A man sings there. <e>, then one layer, three classes; multiple choice: <s>",
        "$ Rio <e> and <s> Ann bought it. What? $ bread <e>, then one score each",
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


def test_the_more_a_token_is_suspected_the_stronger_its_colour():
    boxes = FIGURES["draw_replaced_probs"][0]().axes[0].patches
    blue = [boxes[t].get_facecolor()[2] for t in (5, 1, 0)]  # 80, 20 and 10 %
    assert blue == sorted(blue)


def test_the_word_that_is_asked_for_is_never_shown(texts):
    written = texts(FIGURES["draw_views"][0]())
    assert "violin" not in written and written.count("?") == 2


def test_sequences_end_before_what_becomes_of_them():
    figure = FIGURES["draw_sequences"][0]()
    boxes = [patch for patch in figure.axes[0].patches if hasattr(patch, "get_width")]
    assert max(box.get_x() + box.get_width() for box in boxes) < 66
