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
        "3 of 9 tokens are asked: 1 hidden, 1 replaced, 1 kept",
    ),
    "draw_masking of a long text": (
        lambda: pretraining.draw_masking(TOKENS * 3, SEEN * 3, ASKED * 3),
        "9 of 27 tokens are asked: 3 hidden, 3 replaced, 3 kept",
    ),
    "draw_fill_ins": (
        lambda: pretraining.draw_fill_ins(FILLED),
        "“after” fills 1 of 2 blanks otherwise than “before”",
    ),
    "plot_shares": (
        lambda: pretraining.plot_shares(SHARES, "blanks filled rightly", (0.06, "always “the”")),
        "“after”: 30.0 % right; always “the”: 6.0 %",
    ),
    "draw_pairs": (
        lambda: pretraining.draw_pairs(PAIRS),
        "Pairs label themselves: where the second sentence came from is the answer",
    ),
    "draw_replaced_probs": (
        lambda: pretraining.draw_replaced_probs(SEEN, TOKENS, CHANCES),
        "Suspected: 1 of 2 replaced tokens, and 1 of 9 others",
    ),
    "draw_views": (
        lambda: pretraining.draw_views(TOKENS, 2, VIEWS),
        "GPT expects “cat”; BERT expects “violin”",
    ),
    "draw_sequences": (
        lambda: pretraining.draw_sequences(TASKS, ENDS),
        "2 tasks, one model: every example becomes one sequence or several",
    ),
}


def gids(figure, prefix=""):
    """Ids of everything drawn whose id begins so."""
    found = (str(artist.get_gid() or "") for artist in figure.findobj())
    return {gid for gid in found if gid and gid.startswith(prefix)}


def drawn(name):
    return FIGURES[name][0]()


def test_masking_shows_what_is_seen_and_below_it_the_labels(mark):
    figure = drawn("draw_masking")
    kinds = {"hidden 2", "replaced 4", "kept 8", "special 0", "special 10", "text 1"}
    assert kinds <= gids(figure)
    below = {gid: mark(figure, gid).get_text() for gid in gids(figure, "below")}
    assert below == {"below hidden 2": "violin", "below replaced 4": "four", "below kept 8": "bow"}


def test_long_sentences_go_on_in_the_next_line_and_no_two_boxes_overlap():
    figure = drawn("draw_masking of a long text")
    boxes = [(patch.get_y(), patch.get_x(), patch.get_width()) for patch in figure.axes[0].patches]
    lines = {y: sorted((x, x + width) for at, x, width in boxes if at == y) for y, *_ in boxes}
    assert len(boxes) == 33 and len(lines) == 3
    for line in lines.values():
        assert all(right < left for (_, right), (left, _) in pairwise(line))
        assert line[-1][1] <= pretraining.LINE


def test_blanks_and_pairs_are_written_with_what_fills_them_and_their_labels(texts):
    filled, pairs = texts(drawn("draw_fill_ins")), texts(drawn("draw_pairs"))
    assert "gas 50 %  metal 20 %" in filled and "Oxygen is a _____." in filled
    assert {"label 1: follows", "label 0: does not"} <= set(pairs) and pairs.count("[SEP]") == 4


def test_shares_are_drawn_beside_what_guessing_reaches(mark):
    figure = drawn("plot_shares")
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.05, 0.3]
    assert mark(figure, "level always “the”: 6.0 %").get_xdata()[0] == 0.06


def test_replaced_tokens_are_framed_with_what_was_there_and_suspected_ones_tinted(mark):
    figure = drawn("draw_replaced_probs")
    assert gids(figure, "replaced") == {"replaced 2", "replaced 4"}
    assert mark(figure, "below replaced 4").get_text() == "four"
    faces = [mark(figure, gid).get_facecolor()[2] for gid in ("own 5", "own 1", "own 0")]
    assert faces == sorted(faces), "the more suspected, the less blue"


def test_views_hide_what_a_model_cannot_see_and_never_show_the_word_asked_for(texts):
    figure = drawn("draw_views")
    unseen = {name: sum("unseen" in gid for gid in gids(figure, name)) for name in VIEWS}
    assert unseen == {"GPT": 8, "BERT": 0}
    assert "violin" not in texts(figure) and texts(figure).count("?") == 2


def test_sequences_have_their_marks_and_end_before_what_becomes_of_them(texts):
    figure = drawn("draw_sequences")
    written = texts(figure)
    assert written.count("<s>") == written.count("<e>") == 3 and {"Rio", "bread"} <= set(written)
    boxes = [patch for patch in figure.axes[0].patches if hasattr(patch, "get_width")]
    assert max(box.get_x() + box.get_width() for box in boxes) < 66
