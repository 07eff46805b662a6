"""The figures of language models say what the numbers say, are small, and describe themselves."""

import math

import matplotlib.style
import numpy as np
import pytest

from src import plots
from src.language_models import Continuation
from src.plots import language_models as lm
from src.runtime import COURSE

SUGGESTIONS = {
    "into the": {"phone keyboard": {"first": 0.2, "city": 0.1}, "language model": {" sea": 0.5, " river": 0.25}},
    "plays the": {"phone keyboard": {"first": 0.2, "city": 0.1}, "language model": {" violin": 0.4, " role": 0.3}},
}
HISTORY = [
    {"seconds": 2.0, "loss": 8.0},
    {"seconds": 4.0, "loss": 6.0, "perplexity_per_word": 5000.0},
    {"seconds": 20.0, "loss": 5.0, "perplexity_per_word": 1500.0},
]
SPEEDS = {"GPT with cache": {32: 400.0, 256: 390.0}, "GPT without cache": {32: 200.0, 256: 65.0}}
RUNGS = [
    lm.Rung("5-gram", 1_500_000, 2.0, 1400.0),
    lm.Rung("GPT, 20 s", 1_300_000, 20.0, 2000.0),
    lm.Rung("SmolLM2", 134_515_008, 1e10, 30.0, estimated=True),
]
PROBS = np.array([0.4, 0.3, 0.2, 0.1, 0.0])
ORDERS = {"Kneser-Ney": {1: 5000.0, 2: 1500.0, 3: 1400.0}, "add 0.01": {1: 5100.0, 2: 3000.0}, "counted only": {3: math.inf}}


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


def marks(figure, prefix=""):
    """gid -> artist of everything that was given an id starting with `prefix`."""
    found = figure.findobj(lambda artist: artist.get_gid() is not None and str(artist.get_gid()).startswith(prefix))
    return {artist.get_gid(): artist for artist in found}


def written(token_ids, probs, text=" and so on"):
    return Continuation("The violin", text, tuple(map(str, token_ids)), tuple(token_ids), tuple(probs), False)


def pieces(token_ids):
    return [f" t{token_id}" for token_id in token_ids]


def some_figures():
    yield lm.draw_chain_rule(["the", "cat", "sat", "."], [0.75, 2 / 3, 0.5, 1])
    yield lm.draw_chain_rule(["Ox", "ygen"] * 8, [0.5, 1e-5] * 8)
    yield lm.plot_suggestions(SUGGESTIONS)
    yield lm.plot_bigrams(np.eye(9, dtype=int) * 3, [f"word{i}" for i in range(9)])
    yield lm.draw_pieces({"small": list("Sunlight, please."), "large": ["Sun", "light", ",", " please", "."]})
    yield lm.plot_orders(ORDERS)
    yield lm.draw_reach(["The", "river", "flows", "into", "the"])
    yield lm.draw_reach(["the", "cat", "sat"], ["counting"], n=2)
    yield lm.plot_learning({"LSTM, used here": HISTORY, "GPT, shipped": HISTORY}, {"5-gram": 1400.0})
    yield lm.plot_speeds(SPEEDS)
    yield lm.plot_ladder(RUNGS)
    yield lm.plot_samplers({name: np.full(40, 1 / 40) for name in ("as it is", "greedy", "t = 0.5", "t = 1.5", "k", "p")}, pieces)
    yield lm.plot_repetition({name: written(range(90), np.linspace(0, 1, 90)) for name in ("greedy", "penalty")})
    yield lm.draw_cache(5)


def test_every_figure_has_a_finding_a_description_and_is_small():
    for figure in some_figures():
        assert len(plots.title_of(figure).split()) >= 5 and len(figure.alt.split()) >= 20
        assert len(figure.to_html()) < 63_000, plots.title_of(figure)


def test_the_chain_rule_multiplies_up_to_the_headline():
    figure = lm.draw_chain_rule(["the", "cat", "sat", "."], [0.75, 2 / 3, 0.5, 1])
    assert plots.title_of(figure) == "4 probabilities, one for each token, multiply to 0.25"
    assert [bar.get_height() for bar in marks(figure, "token").values()] == pytest.approx([0.75, 2 / 3, 0.5, 1])
    assert [text.get_text() for text in marks(figure, "product").values()] == ["0.75", "0.5", "0.25", "0.25"]


def test_a_chain_with_an_impossible_token_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        lm.draw_chain_rule(["the", "cat"], [0.5, 0])


@pytest.mark.parametrize(
    ("value", "expected"), [(0.25, "0.25"), (0.001, "0.001"), (3.04e-8, "3.0 × 10⁻⁸"), (1.5e-12, "1.5 × 10⁻¹²"), (0, "0")]
)
def test_small_numbers_are_written_as_by_hand(value, expected):
    assert lm.scientific(value) == expected


def test_suggestions_that_never_change_are_counted_as_one_list():
    figure = lm.plot_suggestions(SUGGESTIONS)
    assert plots.title_of(figure) == "After 2 beginnings the phone keyboard has 1 list of words, the language model has 2 lists of words"
    assert marks(figure)["plays the language model 0"].get_width() == 0.4
    assert "“into the”, language model: sea 50 %, river 25 %" in figure.alt


def test_a_source_that_suggests_nothing_leaves_its_place_empty():
    figure = lm.plot_suggestions({"zzz": {"phone keyboard": {}, "language model": {" a": 0.5}}})
    assert list(marks(figure)) == ["zzz language model 0"]


def test_pairs_that_never_occur_are_counted_and_grey():
    figure = lm.plot_bigrams([[0, 2], [1, 0]], ["a", "b"])
    assert plots.title_of(figure) == "2 of 4 pairs never occur (50 %)"
    assert {gid: text.get_text() for gid, text in marks(figure).items()} == {"a b": "2", "b a": "1"}
    assert figure.axes[0].images[0].get_array().mask.tolist() == [[True, False], [False, True]]
    with pytest.raises(ValueError, match="counts of shape"):
        lm.plot_bigrams([[0, 2]], ["a", "b"])


def test_pieces_stand_where_their_characters_do():
    figure = lm.draw_pieces({"bytes": list("a bc"), "words": ["a", " bc"]})
    assert plots.title_of(figure) == "One text of 2 words and 4 bytes: 4, 2 tokens, by the vocabulary"
    box = marks(figure)["words 1"]
    assert (box.get_x(), box.get_width()) == (1, 3)
    assert "␣bc" in [text.get_text() for text in figure.axes[0].texts]
    with pytest.raises(ValueError, match="same text"):
        lm.draw_pieces({"one": ["a"], "other": ["b"]})


def test_infinite_perplexities_are_drawn_at_the_edge_and_told():
    figure = lm.plot_orders(ORDERS)
    assert plots.title_of(figure) == "Lowest: Kneser-Ney with n = 3, perplexity 1,400 per word; “counted only” is infinite (▲)"
    assert marks(figure)["counted only, infinite"].get_xdata().tolist() == [3]
    assert marks(figure)["Kneser-Ney"].get_ydata().tolist() == [5000, 1500, 1400]
    assert "infinite at n = 3" in figure.alt


def test_reach_colours_what_each_model_knows():
    figure = lm.draw_reach(["The", "river", "flows", "into", "the"], n=3)
    seen = {kind: sum("unseen" not in gid for gid in marks(figure, kind)) for kind in ("counting", "recurring", "attending")}
    assert seen == {"counting": 2 + 1, "recurring": 5 + 1, "attending": 5 + 1}, "the question mark is always there"
    with pytest.raises(ValueError, match="kinds of counting"):
        lm.draw_reach(["a", "b", "c"], ["guessing"])


def test_learning_draws_the_scored_moments_and_the_level_to_beat():
    figure = lm.plot_learning({"LSTM, used here": HISTORY}, {"5-gram": 1400.0})
    assert marks(figure)["LSTM, used here"].get_xydata().tolist() == [[4, 5000], [20, 1500]]
    assert plots.title_of(figure) == "Perplexity per word: “LSTM, used here” 1,500 after 20 s; 5-gram 1,400"
    low, high = figure.axes[0].get_ylim()
    assert low < 1400 and high > 5000
    with pytest.raises(ValueError, match="none of these runs"):
        lm.plot_learning({"LSTM": HISTORY[:1]})


def test_each_model_keeps_its_colour():
    assert [lm.colour_of(name) for name in ("5-gram", "LSTM, shipped", "GPT with cache", "SmolLM2", "another")] == [
        lm.COUNTING,
        lm.RECURRING,
        lm.ATTENDING,
        lm.PRETRAINED,
        plots.MUTED,
    ]


def test_speeds_compare_with_and_without_at_the_longest_text():
    assert plots.title_of(lm.plot_speeds(SPEEDS)) == "At 256 tokens the cache makes writing 6.0 times as fast"
    alone = lm.plot_speeds({"LSTM": {32: 500.0, 128: 490.0}})
    assert plots.title_of(alone) == "LSTM: 490 tokens per second at 128"


def test_the_ladder_has_each_model_at_one_height_in_both_charts():
    figure = lm.plot_ladder(RUNGS)
    points = marks(figure)
    assert points["SmolLM2 parameters"].get_xydata().tolist() == [[134_515_008, 30]]
    assert points["SmolLM2 seconds"].get_xydata().tolist() == [[1e10, 30]]
    assert points["SmolLM2 seconds"].get_markerfacecolor() == "white" != points["SmolLM2 parameters"].get_markerfacecolor()
    assert plots.title_of(figure) == "From 2,000 (GPT, 20 s) down to 30 per word (SmolLM2)"
    assert "an estimated 10,000,000,000 seconds" in figure.alt


def test_samplers_are_drawn_over_the_same_tokens_with_what_stays_possible():
    cut = np.array([0.0, 0.6, 0.4, 0.0, 0.0])
    figure = lm.plot_samplers({"as it is": PROBS, "cut": cut}, pieces, count=3)
    assert plots.title_of(figure) == "One distribution, 2 ways to draw from it: “cut” leaves 2 of 5 tokens"
    bars = marks(figure, "cut")
    assert [bars[f"cut {y}"].get_width() for y in range(4)] == pytest.approx([0, 0.6, 0.4, 0])
    assert marks(figure)["as it is 3"].get_width() == pytest.approx(0.1), "all others together"
    assert "out" in [text.get_text() for text in figure.axes[1].texts]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["␣t0", "␣t1", "␣t2", "all others"]


def test_a_token_repeats_when_the_run_it_ends_has_come_before():
    assert lm.repeats([1, 2, 3, 4, 1, 2, 3, 4, 5], n=4) == [False] * 7 + [True, False]
    assert lm.repeats([7] * 6, n=4) == [False] * 4 + [True, True]
    assert lm.repeats([1, 2], n=4) == [False, False]


def test_repetition_tells_what_share_was_said_again():
    texts = {"greedy": written([7] * 8, [0.5] * 8), "with a penalty": written(range(8), [0.1] * 8)}
    figure = lm.plot_repetition(texts)
    assert plots.title_of(figure) == "Tokens that only say again what was said: 50 % greedy, 0 % with a penalty"
    assert sum(gid.endswith("again") for gid in marks(figure, "greedy")) == 4


def test_the_cache_computes_each_token_once():
    figure = lm.draw_cache(4)
    assert plots.title_of(figure) == "4 tokens: 10 passes through the network without a cache, 4 with one"
    assert sum(gid.endswith("computed") for gid in marks(figure, "without")) == 10
    assert sum(gid.endswith("computed") for gid in marks(figure, "with ")) == 4
    with pytest.raises(ValueError, match="3 to 8"):
        lm.draw_cache(20)


def test_tokens_with_dollars_and_odd_characters_can_be_drawn():
    for figure in (
        lm.draw_chain_rule(["$5", " $x_2$"], [0.5, 0.5]),
        lm.draw_pieces({"$": ["$a", " b$"]}),
        lm.plot_samplers({"as it is": PROBS}, lambda ids: ["$a$", "\n", "�", "日"][: len(ids)], count=4),
        lm.plot_repetition({"greedy": written([1, 2], [0.1, 0.2], text=" costs $5 or $6\n\n")}),
    ):
        figure.png()
