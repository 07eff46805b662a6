"""The figures of language models say what the numbers say."""

import math

import numpy as np
import pytest

from src import plots
from src.language_models import Continuation
from src.plots import language_models as lm

KEYBOARD = {"first": 0.2, "city": 0.1}
SUGGESTIONS = {
    "into the": {"phone keyboard": KEYBOARD, "language model": {" sea": 0.5, " river": 0.25}},
    "plays the": {"phone keyboard": KEYBOARD, "language model": {" violin": 0.4, " $": 0.3}},
}
CUTS = {"bytes": list("a $bc"), "words": ["a", " $bc"]}
WORDS = {
    "singing": {"GPT": ["sing", "ing"], "BERT": ["singing"]},
    "oxygen": {"GPT": ["ox", "y", "gen"], "BERT": ["oxygen"]},
}
ORDERS = {
    "Kneser-Ney": {1: 5000.0, 2: 1500.0, 3: 1400.0},
    "add 0.01": {1: 5100.0, 2: 3000.0},
    "counted only": {3: math.inf},
}
HISTORY = [
    {"seconds": 2.0, "loss": 8.0},
    {"seconds": 4.0, "loss": 6.0, "perplexity_per_word": 5000.0},
    {"seconds": 20.0, "loss": 5.0, "perplexity_per_word": 1500.0},
]
SPEEDS = {
    "GPT with cache": {32: 400.0, 256: 390.0},
    "GPT without cache": {32: 200.0, 256: 65.0},
    "LSTM": {32: 500.0, 256: 490.0},
}
RUNGS = [
    lm.Rung("5-gram", 1_500_000, 2.0, 1400.0),
    lm.Rung("GPT, 20 s", 1_300_000, 20.0, 2000.0),
    lm.Rung("SmolLM2", 134_515_008, 1e10, 30.0, estimated=True),
]
RATES = 0.5 ** np.arange(1, 41)
CUT = np.where(np.arange(40) < 2, 0.5, 0)
SAMPLERS = {"as it is": RATES / RATES.sum(), "cut": CUT}


def pieces(token_ids):
    return [f" t{token_id}" for token_id in token_ids]


def written(token_ids, prob):
    probs, tokens = (prob,) * len(token_ids), tuple(map(str, token_ids))
    return Continuation("The violin", " costs $5 or $6\n", tokens, tuple(token_ids), probs, False)


REPEATED = {"greedy": written([7] * 8, 0.5), "with a penalty": written(range(8), 0.1)}
RIVER = ["The", "river", "flows", "into", "the"]

FIGURES = {
    "draw_chain_rule": (
        lambda: lm.draw_chain_rule(["the", "cat", " $x$", "."], [0.75, 2 / 3, 0.5, 1]),
        "4 probabilities, one for each token, multiply to 0.25",
    ),
    "draw_chain_rule of an unlikely text": (
        lambda: lm.draw_chain_rule(["Ox", "ygen"] * 8, [0.5, 1e-5] * 8),
        "16 probabilities, one for each token, multiply to 3.9 × 10⁻⁴³",
    ),
    "plot_suggestions": (
        lambda: lm.plot_suggestions(SUGGESTIONS),
        "After 2 beginnings the phone keyboard has 1 list of words, "
        "the language model has 2 lists of words",
    ),
    "plot_suggestions of nothing": (
        lambda: lm.plot_suggestions({"zzz": {"phone keyboard": {}, "model": {" a": 0.5}}}),
        "After 1 beginnings the phone keyboard has 1 list of words, the model has 1 list of words",
    ),
    "plot_bigrams": (
        lambda: lm.plot_bigrams([[0, 2], [1, 0]], ["a", "b"]),
        "2 of 4 pairs never occur (50 %)",
    ),
    "draw_pieces": (
        lambda: lm.draw_pieces("a $bc", CUTS),
        "“a $bc” in 5 pieces (bytes), in 2 (words)",
    ),
    "draw_vocabularies": (
        lambda: lm.draw_vocabularies(WORDS),
        "2 words make 5 tokens for GPT, 2 tokens for BERT",
    ),
    "plot_orders": (
        lambda: lm.plot_orders(ORDERS),
        "Lowest: Kneser-Ney with n = 3, perplexity 1,400 per word; “counted only” is infinite (▲)",
    ),
    "draw_reach": (
        lambda: lm.draw_reach(RIVER),
        "3 models, and what each knows when it predicts the next token",
    ),
    "draw_reach of one": (
        lambda: lm.draw_reach(["the", "cat", "sat"], ["counting"], n=2),
        "What a model by counting knows when it predicts the next token",
    ),
    "plot_learning": (
        lambda: lm.plot_learning({"LSTM": HISTORY, "GPT, shipped": HISTORY}, {"5-gram": 1400.0}),
        "“LSTM” ends lowest, at 1,500 per word after 20 s; 5-gram 1,400",
    ),
    "plot_speeds": (
        lambda: lm.plot_speeds(SPEEDS),
        "The cache speeds up writing 2.0 times at 32 tokens, 6.0 times at 256 tokens",
    ),
    "plot_ladder": (
        lambda: lm.plot_ladder(RUNGS),
        "From 2,000 (GPT, 20 s) down to 30 per word (SmolLM2)",
    ),
    "plot_samplers": (
        lambda: lm.plot_samplers(SAMPLERS, pieces),
        "One distribution, 2 ways to draw from it: “cut” leaves 2 of 40 tokens",
    ),
    "plot_repetition": (
        lambda: lm.plot_repetition(REPEATED),
        "Tokens that only say again what was said: 50 % greedy, 0 % with a penalty",
    ),
    "draw_cache": (
        lambda: lm.draw_cache(4),
        "4 tokens take 10 without a cache and 4 with a cache through the network",
    ),
}


def drawn(name):
    return FIGURES[name][0]()


def gids(figure, begins="", ends=""):
    found = [str(artist.get_gid() or "") for artist in figure.findobj()]
    return [gid for gid in found if gid and gid.startswith(begins) and gid.endswith(ends)]


def test_a_chain_shows_each_probability_and_the_products_so_far(texts):
    figure = drawn("draw_chain_rule")
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0.75, 2 / 3, 0.5, 1]
    assert texts(figure)[2::3] == ["0.75", "0.5", "0.25", "0.25"]
    assert texts(figure)[1::3] == ["the", "cat", "␣$x$", "."]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.25, "0.25"), (0.001, "0.001"), (3.04e-8, "3.0 × 10⁻⁸"), (1.5e-12, "1.5 × 10⁻¹²"), (0, "0")],
)
def test_small_numbers_are_written_as_by_hand(value, expected):
    assert lm.scientific(value) == expected


def test_suggestions_are_bars_under_their_beginning_and_source(mark):
    assert mark(drawn("plot_suggestions"), "plays the language model violin").get_width() == 0.4
    assert gids(drawn("plot_suggestions of nothing"), "zzz") == ["zzz model a"]


def test_pairs_that_never_occur_are_grey_and_infinite_perplexities_at_the_edge(texts, mark):
    figure = drawn("plot_bigrams")
    assert texts(figure) == ["2", "1"]
    assert figure.axes[0].images[0].get_array().mask.tolist() == [[True, False], [False, True]]
    orders = drawn("plot_orders")
    assert mark(orders, "counted only, infinite").get_xdata().tolist() == [3]
    assert mark(orders, "Kneser-Ney").get_ydata().tolist() == [5000, 1500, 1400]
    assert "counted only: 3 inf" in orders.alt


def test_pieces_are_where_their_characters_are(mark, texts):
    figure = drawn("draw_pieces")
    box = mark(figure, "words 1")
    assert (box.get_x(), box.get_width()) == (1, 4) and "␣$bc" in texts(figure)
    assert len(gids(drawn("draw_vocabularies"), "GPT 1 ")) == 3


def test_reach_colours_what_each_model_knows():
    figure = drawn("draw_reach")
    seen = {kind: len(gids(figure, kind, " seen")) for kind in lm.REACH}
    assert seen == {"counting": 2 + 1, "recurring": 5 + 1, "attending": 5 + 1}, "with the “?”"


def test_learning_draws_the_scored_moments_and_the_level_to_beat(mark):
    figure = drawn("plot_learning")
    assert mark(figure, "LSTM").get_xydata().tolist() == [[4, 5000], [20, 1500]]
    assert mark(figure, "5-gram").get_xydata().tolist() == [[4, 1400], [20, 1400]]
    assert mark(figure, "GPT, shipped").get_linestyle() == "--"
    with pytest.raises(ValueError, match="none of these runs"):
        lm.plot_learning({"LSTM": HISTORY[:1]}, {})


def test_each_model_keeps_its_colour():
    names = ("5-gram", "LSTM, shipped", "GPT with cache", "SmolLM2", "another")
    colours = [lm.COUNTING, lm.RECURRING, lm.ATTENDING, lm.PRETRAINED, plots.MUTED]
    assert [lm.colour_of(name) for name in names] == colours


def test_the_ladder_has_each_model_at_one_height_in_both_charts(mark):
    figure = drawn("plot_ladder")
    size, seconds = (mark(figure, f"SmolLM2 {of}") for of in ("parameters", "seconds"))
    assert size.get_xydata().tolist() == [[134_515_008, 30]]
    assert seconds.get_xydata().tolist() == [[1e10, 30]]
    assert seconds.get_markerfacecolor() == "white" != size.get_markerfacecolor()


def test_samplers_are_drawn_over_the_same_tokens_with_what_stays_possible(mark, texts):
    figure = drawn("plot_samplers")
    assert [mark(figure, f"cut {y}").get_width() for y in range(13)] == [0.5, 0.5] + [0] * 11
    rest = mark(figure, "as it is 12").get_width()
    assert rest == pytest.approx(0.5**12, rel=1e-3), "all others together"
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [f"␣t{i}" for i in range(12)] + ["all others"] and "out" in texts(figure)


def test_a_token_repeats_when_the_run_it_ends_has_come_before():
    assert lm.repeats([1, 2, 3, 4, 1, 2, 3, 4, 5], n=4) == [False] * 7 + [True, False]
    assert lm.repeats([7] * 6, n=4) == [False] * 4 + [True, True]
    assert lm.repeats([1, 2], n=4) == [False, False]
    assert len(gids(drawn("plot_repetition"), "greedy", "again")) == 4


def test_the_cache_computes_each_token_once():
    figure = drawn("draw_cache")
    assert len(gids(figure, "without a cache", "computed")) == 10
    assert len(gids(figure, "with a cache", "computed")) == 4
    assert len(gids(figure, "with a cache", "kept")) == 6
