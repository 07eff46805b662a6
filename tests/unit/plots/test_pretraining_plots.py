"""The figures of pre-training say what the data say, are small, and describe themselves."""

from itertools import pairwise

import matplotlib.style
import pytest

from src import plots
from src.plots import pretraining
from src.pretraining import as_sequences
from src.runtime import COURSE

TOKENS = ["[CLS]", "the", "violin", "has", "four", "strings", "and", "a", "bow", ".", "[SEP]"]
SEEN = ["[CLS]", "the", "[MASK]", "has", "lamp", "strings", "and", "a", "bow", ".", "[SEP]"]
ASKED = [i in (2, 4, 8) for i in range(11)]
FILLED = {
    "Oxygen is a [MASK].": {"before": {"the": 0.1, "of": 0.05}, "after": {"gas": 0.5, "metal": 0.2}},
    "The sun is a [MASK].": {"before": {"the": 0.1, "a": 0.05}, "after": {"the": 0.3, "star": 0.2}},
}
PIECES = {
    "singing": {"GPT": ["sing", "ing"], "BERT": ["singing"]},
    "oxygen": {"GPT": ["ox", "y", "gen"], "BERT": ["oxygen"]},
}
STEPS = [("letters", ["s", "##i", "##n", "##g"]), ("##i + ##n, 9 times", ["s", "##in", "##g"]), ("s + ##in, 4 times", ["sin", "##g"])]
TASKS = {
    "entailment": as_sequences("entailment", "A man is asleep on a bench in the park.", "A man is awake and sings to the birds."),
    "multiple choice": as_sequences("multiple choice", "Ann bought bread and went home.", "What did she buy?", "Rio", "bread"),
}


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


def marks(figure, prefix=""):
    """gid -> artist of everything that was given an id starting with `prefix`."""
    found = figure.findobj(lambda artist: artist.get_gid() is not None and str(artist.get_gid()).startswith(prefix))
    return {artist.get_gid(): artist for artist in found}


def texts_of(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def some_figures():
    yield pretraining.draw_masking(TOKENS * 3, SEEN * 3, ASKED * 3)
    yield pretraining.draw_fill_ins(FILLED)
    yield pretraining.plot_shares({"before": 0.05, "after": 0.3}, "blanks filled rightly", (0.06, "always “the”"))
    yield pretraining.draw_pairs({"neighbours": ("Oxygen is a chemical element with eight protons.", "It is a gas.", True)})
    yield pretraining.draw_suspicions(SEEN, TOKENS, [0.1, 0.2, 0.9, 0.1, 0.3, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1])
    sees = [True] * 2 + [False] * 9
    yield pretraining.draw_views(TOKENS, 2, {"GPT": (sees, {" cat": 0.2, " dog": 0.1}), "BERT": (sees, {"violin": 0.4})})
    yield pretraining.draw_merges("sing", STEPS)
    yield pretraining.draw_vocabularies(PIECES)
    yield pretraining.draw_sequences(TASKS, {"entailment": "one layer, three classes", "multiple choice": "one score each, softmax"})


def test_every_figure_has_a_finding_a_description_and_is_small():
    for figure in some_figures():
        assert len(plots.title_of(figure).split()) >= 4 and len(figure.alt.split()) >= 20, figure.alt
        assert len(figure.to_html()) < 63_000, plots.title_of(figure)


def test_masking_shows_what_is_seen_and_below_it_what_stood_there_and_counts_the_kinds():
    figure = pretraining.draw_masking(TOKENS, SEEN, ASKED)
    assert plots.title_of(figure) == "3 of 9 tokens are asked for: 1 hidden, 1 replaced, 1 left as they are"
    assert {"hidden 2", "replaced 4", "kept 8", "special 0", "special 10", "text 1"} <= set(marks(figure))
    labels = {gid: artist.get_text() for gid, artist in marks(figure, "label").items()}
    assert labels == {"label 2": "violin", "label 4": "four", "label 8": "bow"}
    assert "“four” replaced by “lamp”" in figure.alt
    with pytest.raises(ValueError, match="one length"):
        pretraining.draw_masking(TOKENS, SEEN[1:], ASKED)


def test_long_sentences_go_on_in_the_next_line_and_no_two_boxes_overlap():
    figure = pretraining.draw_masking(TOKENS * 3, SEEN * 3, ASKED * 3)
    boxes = [(patch.get_y(), patch.get_x(), patch.get_x() + patch.get_width()) for patch in figure.axes[0].patches]
    assert len(boxes) == 33 and len({y for y, _, _ in boxes}) == 3
    for y in {y for y, _, _ in boxes}:
        line = sorted((left, right) for other, left, right in boxes if other == y)
        assert all(right < left for (_, right), (left, _) in pairwise(line))
        assert line[-1][1] <= pretraining.LINE


def test_filled_blanks_are_compared_between_the_first_and_the_last_head():
    figure = pretraining.draw_fill_ins(FILLED)
    assert plots.title_of(figure) == "“after” fills 1 of 2 blanks otherwise than “before”"
    assert "gas 50 %  metal 20 %" in texts_of(figure) and "Oxygen is a _____." in texts_of(figure)
    assert len(marks(figure)) == 4


def test_shares_are_drawn_beside_what_guessing_reaches():
    figure = pretraining.plot_shares({"before": 0.05, "after": 0.3}, "right", (0.06, "always “the”"))
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.05, 0.3]
    assert plots.title_of(figure) == "“after”: 30.0 % right; always “the”: 6.0 %"
    assert figure.axes[0].lines[0].get_xdata()[0] == 0.06
    assert plots.title_of(pretraining.plot_shares({"a": 0.5}, "right", (0.5, "a coin"), "Said otherwise")) == "Said otherwise"


def test_pairs_carry_their_labels():
    figure = pretraining.draw_pairs({"neighbours": ("A.", "B.", True), "swapped": ("B.", "A.", False)})
    assert {"label 1: follows", "label 0: does not"} <= set(texts_of(figure))
    assert texts_of(figure).count("[SEP]") == 4


def test_suspicions_count_what_was_found_and_what_was_suspected_wrongly():
    chances = [0.1, 0.2, 0.9, 0.1, 0.3, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1]
    figure = pretraining.draw_suspicions(SEEN, TOKENS, chances)
    assert plots.title_of(figure) == "Suspected: 1 of 2 replaced tokens, and 1 of 9 others"
    assert {gid: artist.get_text() for gid, artist in marks(figure, "original").items()} == {"original 2": "violin", "original 4": "four"}
    assert "Suspected without reason: “strings” 80 %" in figure.alt
    assert set(marks(figure, "replaced")) == {"replaced 2", "replaced 4"}


def test_views_hide_what_a_model_cannot_see_and_never_show_the_word_asked_for():
    figure = pretraining.draw_views(
        TOKENS,
        2,
        {
            "GPT": ([True] * 2 + [False] * 9, {" cat": 0.2, " dog": 0.1}),
            "BERT": ([i != 2 for i in range(11)], {"violin": 0.6, "guitar": 0.2}),
        },
    )
    assert plots.title_of(figure) == "GPT expects “cat”; BERT expects “violin”"
    assert len(marks(figure, "GPT")) == 11 + 2
    assert sum("unseen" in gid for gid in marks(figure, "GPT")) == 8 and not any("unseen" in gid for gid in marks(figure, "BERT"))
    assert "violin" not in texts_of(figure) and texts_of(figure).count("?") == 2


def test_merges_and_pieces_are_drawn_piece_by_piece_and_counted():
    figure = pretraining.draw_merges("sing", STEPS)
    assert plots.title_of(figure) == "“sing” goes from 4 letters to 2 pieces in 2 merges"
    assert len(marks(figure, "row 0")) == 4 and len(marks(figure, "row 2")) == 2
    figure = pretraining.draw_vocabularies(PIECES)
    assert plots.title_of(figure) == "2 words make 5 tokens for GPT, 2 tokens for BERT"
    assert set(marks(figure, "GPT 1")) == {"GPT 1 0", "GPT 1 1", "GPT 1 2"}


def test_sequences_keep_short_answers_apart_from_special_tokens():
    figure = pretraining.draw_sequences(TASKS, {"entailment": "classes", "multiple choice": "softmax"})
    assert plots.title_of(figure).startswith("2 tasks, one model")
    texts = texts_of(figure)
    assert texts.count("<s>") == 3 and texts.count("<e>") == 3 and "Rio" in texts and "bread" in texts
    rows = {}
    for gid, patch in marks(figure).items():
        task, number, _ = gid.rsplit(" ", 2)
        rows.setdefault((task, number), []).append((patch.get_x(), patch.get_x() + patch.get_width()))
    assert all(boxes[-1][1] < 66 for boxes in map(sorted, rows.values())), "a sequence runs into what becomes of it"
