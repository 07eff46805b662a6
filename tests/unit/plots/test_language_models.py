"""The figures of language models say what the numbers say."""

import math

import numpy as np
import pytest

from src import plots
from src.plots import language_models as lm

CUTS = {"bytes": list("a $bc"), "words": ["a", " $bc"]}
WORDS = {
    "singing": {"GPT": ["sing", "ing"], "BERT": ["singing"]},
    "oxygen": {"GPT": ["ox", "y", "gen"], "BERT": ["oxygen"]},
}
ORDERS = {
    "Kneser-Ney": {1: 5000.0, 2: 1500.0, 3: 1400.0},
    "add 0.01": {1: 5100.0, 2: 3000.0, 3: 3200.0},
    "counted only": {3: math.inf},
}
RUNGS = [
    lm.Rung("5-gram", 1_500_000, 950_000, 1400.0),
    lm.Rung("GPT", 1_300_000, 950_000, 2000.0),
    lm.Rung("SmolLM2", 134_515_008, 2e12, 30.0),
]
RATES = 0.5 ** np.arange(1, 41)
CUT = np.where(np.arange(40) < 2, 0.5, 0)
SAMPLERS = {"as it is": RATES / RATES.sum(), "cut": CUT}


def pieces(token_ids):
    return [f" t{token_id}" for token_id in token_ids]


RIVER = ["The", "river", "flows", "into", "the"]

FIGURES = {
    "draw_chain_rule": (
        lambda: lm.draw_chain_rule(["the", "cat", " $x$", "."], [0.75, 2 / 3, 0.5, 1]),
        "4 probabilities, one for each token, multiply to 0.25",
        "“the” 0.75, product 0.75; “cat” 0.67, product 0.5; “ $x$” 0.50, product 0.25; “.” 1.00",
    ),
    "plot_bigrams": (
        lambda: lm.plot_bigrams([[0, 2], [1, 0]], ["a", "b"]),
        "2 of 4 pairs never occur (50 %)",
        "word before by word after: a: b 2; b: a 1.",
    ),
    "draw_pieces": (
        lambda: lm.draw_pieces("a $bc", CUTS),
        "“a $bc” in 5 pieces (bytes), in 2 pieces (words)",
        "bytes: a | ␣ | $ | b | c (5); words: a | ␣$bc (2)",
    ),
    "draw_pieces that no merge joins": (
        lambda: lm.draw_pieces("oxygen", {"letters": list("oxygen")}),
        "“oxygen” in 6 pieces (letters)",
    ),
    "draw_vocabularies": (
        lambda: lm.draw_vocabularies(WORDS),
        "2 words make 5 tokens for GPT, 2 tokens for BERT",
        "singing: GPT: sing ing; BERT: singing; oxygen: GPT: ox y gen; BERT: oxygen",
    ),
    "plot_orders": (
        lambda: lm.plot_orders(ORDERS),
        "With longer runs perplexity falls to 1,400 (Kneser-Ney), 3,000 and back up to 3,200 "
        "(add 0.01); infinite (▲): counted only",
        "Kneser-Ney: 1: 5,000, 2: 1,500, 3: 1,400; add 0.01: 1: 5,100, 2: 3,000, 3: 3,200",
    ),
    "draw_reach": (
        lambda: lm.draw_reach(RIVER),
        "What a model knows when it predicts the next token: counting, recurring, attending",
        "counting, n = 3: the last 2 tokens, and nothing before",
    ),
    "draw_reach of one": (
        lambda: lm.draw_reach(["the", "cat", "sat"], n=2),
        "What a model knows when it predicts the next token: counting, recurring, attending",
        "counting, n = 2: the last token, and nothing before",
    ),
    "plot_ladder": (
        lambda: lm.plot_ladder(RUNGS),
        "Lowest: SmolLM2, perplexity 30 per word, with the most tokens and parameters",
        "GPT: perplexity 2,000, 1,300,000 parameters, 950,000 tokens",
        "SmolLM2: perplexity 30, 134,515,008 parameters, 2,000,000,000,000 tokens",
    ),
    "plot_samplers": (
        lambda: lm.plot_samplers(SAMPLERS, pieces),
        "“as it is” leaves under 1 % to all but the 12 likeliest, “cut” only 2 of 40 tokens",
        "as it is: 40; cut: 2. Bars of as it is: ␣t0: 50 %; ␣t1: 25 %; ␣t2: 13 %",
        "all others: <1 %. Bars of cut: ␣t0: 50 %; ␣t1: 50 %; ␣t2: out",
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
