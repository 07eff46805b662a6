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
        "“the” 0.75, product 0.75; “cat” 0.67, product 0.5; “ $x$” 0.50, product 0.25; “.” 1.00",
    ),
    "plot_suggestions": (
        lambda: lm.plot_suggestions(SUGGESTIONS),
        "After 2 beginnings the phone keyboard has 1 list of words, the language model 2",
        "Bars of language model: plays the ...: violin: 40 %; $: 30 %",
    ),
    "plot_suggestions of nothing": (
        lambda: lm.plot_suggestions({"zzz": {"phone keyboard": {}, "model": {" a": 0.5}}}),
        "After 1 beginning the phone keyboard has 1 list of words, the model 1",
    ),
    "plot_bigrams": (
        lambda: lm.plot_bigrams([[0, 2], [1, 0]], ["a", "b"]),
        "2 of 4 pairs never occur (50 %)",
        "word before by word after: a: b 2; b: a 1.",
    ),
    "draw_pieces": (
        lambda: lm.draw_pieces("a $bc", CUTS),
        "“a $bc” in 5 pieces (bytes), in 2 (words)",
        "bytes: a | ␣ | $ | b | c (5); words: a | ␣$bc (2)",
    ),
    "draw_vocabularies": (
        lambda: lm.draw_vocabularies(WORDS),
        "2 words make 5 tokens for GPT, 2 tokens for BERT",
        "singing: GPT: sing ing; BERT: singing; oxygen: GPT: ox y gen; BERT: oxygen",
    ),
    "plot_orders": (
        lambda: lm.plot_orders(ORDERS),
        "Lowest: Kneser-Ney with n = 3, perplexity 1,400 per word; infinite (▲): counted only",
        "Kneser-Ney: 1: 5,000, 2: 1,500, 3: 1,400; add 0.01: 1: 5,100, 2: 3,000",
    ),
    "draw_reach": (
        lambda: lm.draw_reach(RIVER),
        "What a model knows when it predicts the next token: counting, recurring, attending",
        "counting, n = 3: the last 2 tokens, and nothing before",
    ),
    "draw_reach of one": (
        lambda: lm.draw_reach(["the", "cat", "sat"], ["counting"], n=2),
        "What a model knows when it predicts the next token: counting",
        "counting, n = 2: the last token, and nothing before",
    ),
    "plot_learning": (
        lambda: lm.plot_learning({"LSTM": HISTORY, "GPT, shipped": HISTORY}, {"5-gram": 1400.0}),
        "“LSTM” ends lowest, at 1,500 per word after 20 s; 5-gram 1,400",
        "LSTM: 5,000 at 4, 1,500 at 20",
        "5-gram: 1,400 at 4, 1,400 at 20",
    ),
    "plot_speeds": (
        lambda: lm.plot_speeds(SPEEDS),
        "The cache speeds up writing 2.0 times at 32 tokens, 6.0 times at 256 tokens",
        "GPT without cache: 200 at 32, 65 at 256",
    ),
    "plot_ladder": (
        lambda: lm.plot_ladder(RUNGS),
        "From 2,000 (GPT, 20 s) down to 30 per word (SmolLM2)",
        "SmolLM2: perplexity 30, 134,515,008 parameters, about 10 billion seconds (317 years)",
    ),
    "plot_samplers": (
        lambda: lm.plot_samplers(SAMPLERS, pieces),
        "One distribution, 2 ways to draw from it: “cut” leaves 2 of 40 tokens",
        "as it is: 40; cut: 2. Bars of as it is: ␣t0: 50 %; ␣t1: 25 %; ␣t2: 13 %",
        "all others: <1 %. Bars of cut: ␣t0: 50 %; ␣t1: 50 %; ␣t2: out",
    ),
    "plot_repetition": (
        lambda: lm.plot_repetition(REPEATED),
        "Tokens that only say again what was said: 50 % greedy, 0 % with a penalty",
        "greedy: The violin costs $5 or $6: 4 of 8 only repeat",
    ),
    "draw_cache": (
        lambda: lm.draw_cache(4),
        "4 tokens take 10 without a cache and 4 with a cache through the network",
        "with a cache only the last of each row",
    ),
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.25, "0.25"), (0.001, "0.001"), (3.04e-8, "3.0 × 10⁻⁸"), (1.5e-12, "1.5 × 10⁻¹²"), (0, "0")],
)
def test_small_numbers_are_written_as_by_hand(value, expected):
    assert lm.scientific(value) == expected


def test_each_model_keeps_its_colour():
    names = ("5-gram", "LSTM, shipped", "GPT with cache", "SmolLM2", "another")
    colours = [lm.COUNTING, lm.RECURRING, lm.ATTENDING, lm.PRETRAINED, plots.MUTED]
    assert [lm.colour_of(name) for name in names] == colours


def test_a_token_repeats_when_the_run_it_ends_has_come_before():
    assert lm.repeats([1, 2, 3, 4, 1, 2, 3, 4, 5], n=4) == [False] * 7 + [True, False]
    assert lm.repeats([7] * 6, n=4) == [False] * 4 + [True, True]
    assert lm.repeats([1, 2], n=4) == [False, False]
