"""Notebook 06: counts, perplexity, top-p."""

import math

import numpy as np

from src.teaching.exercises.record import Case, Exercise


def bigram_probability(
    before: str,
    word: str,
    following: dict[str, dict[str, int]],
    V: int,
    k: float,
) -> float:
    """The probability of `word` right after `before`, by add-k smoothing.

    (count of the pair + k) / (count of all pairs that begin so + k V);
    where that is 0 / 0, all words are equally likely: 1 / V.
    Example: bigram_probability("the", "cat", {"the": {"cat": 3}}, 10, 0.5)
    gives 0.4375: (3 + 0.5) / (3 + 0.5 x 10).

    Args:
        before, word: two words, in their order.
        following: following[a][b] is how often b came right after a; pairs that
            never came are missing.
        V: words in the vocabulary.
        k: added to the count of each of the V pairs.
    """
    counts = following.get(before, {})
    total = sum(counts.values()) + k * V
    return (counts.get(word, 0) + k) / total if total else 1 / V


FOLLOWING = {"the": {"cat": 3, "dog": 1}, "a": {"dog": 2}, "cat": {"sat": 2, "ran": 2}}

BIGRAM_PROBABILITY = Exercise(
    bigram_probability,
    hint="`following.get(before, {})` holds the counts after `before`; `counts.get(word, 0)` is "
    "one of them. What is their sum, and what does k, added V times, add to it?",
    insight="`NgramModel(..., order=2, smoothing='add-k')` is this on tokens. Kneser-Ney takes "
    "from every count instead, and gives to words that follow many others.",
    cases=[
        Case("the", "cat", FOLLOWING, 8, 0.0, gives=3 / 4, here="k is 0, so only counts matter"),
        Case("the", "cat", FOLLOWING, 8, 0.5, gives=3.5 / 8, here="k is 0.5"),
        Case("the", "mouse", FOLLOWING, 8, 0.5, gives=0.5 / 8, here="the pair never came"),
        Case("mouse", "cat", FOLLOWING, 8, 0.5, gives=1 / 8, here="nothing ever followed `mouse`"),
        Case("mouse", "cat", FOLLOWING, 8, 0.0, gives=1 / 8, here="nothing followed, and k is 0"),
    ],
    mistakes="""
    counts.values()) -> sum(f.values()) for f in following.values())
    # It divides by the count of *all* pairs. The question is what follows `before`, so only pairs
    # that begin with it count.
    return bigram_probability(word, before, following, V, k)
    # The two words are swapped: it looks up `following[word][before]`.
    return bigram_probability(before, word, following, V, 0)
    # k has no effect. Without it a single pair that never came makes the whole text impossible.
    + k * V ->
    # k is added to the numerator only, so the V probabilities sum to more than one. Add k V to the
    # denominator.
    else 1 / V -> else 0.0
    # After a word that nothing followed, with k = 0, each of the V words gets 1 / V.
    k * V -> k
    # In the denominator k is added once. Each of the V words gets it, so it is k V.
    """,
)


def perplexity_per_word(log_probs: list[float], words: int) -> float:
    """Among how many equally likely words a model seems to choose, on average.

    It is exp(-total / words), of the total of all log_probs.
    Example: perplexity_per_word([-1.0, -2.0, -3.0], 2) gives 20.0855, e cubed.

    Args:
        log_probs: natural logarithm of each token's probability, -inf for 0.
        words: how many words these tokens make up, often fewer.
    """
    return math.exp(-sum(log_probs) / words)


PERPLEXITY_PER_WORD = Exercise(
    perplexity_per_word,
    hint="Three steps: the sum of all logarithms; minus that, divided by the number of words; e to "
    "the power of that, `math.exp`.",
    insight="Divided by the bytes and by ln 2 instead, the same total gives bits per byte.",
    cases=[
        Case([-math.log(8)] * 3, 3, gives=8.0, here="every word is one token of probability 1/8"),
        Case([-0.5, -1.0, -1.5], 2, gives=math.exp(1.5), here="three tokens make up two words"),
        Case([-1.0] * 800, 400, gives=math.exp(2), here="the product of the probabilities is tiny"),
    ],
    mistakes="""
    / words -> / len(log_probs)
    # It divides by the number of tokens. A model with longer tokens has fewer of them; words are
    # the same for all.
    math.exp( -> 2 ** (
    # It mixes two bases: the logarithms are natural ones, but it raises 2 to their mean. `math.exp`
    # undoes `math.log`.
    -sum -> sum
    # The minus is missing, so it is the probability of an average word. Perplexity is 1 divided by
    # it, and never below 1.
    return sum(math.exp(-x) for x in log_probs) / len(log_probs)
    # It applies exp to each token before the mean, so the rarest decides nearly alone. First the
    # mean, then, once, `exp`.
    return np.prod(np.exp(log_probs)) ** (-1 / words)
    # It multiplies probabilities. The product of a few hundred of them is rounded to 0; add their
    # logarithms instead.
    """,
)


def sample_top_p(probs: np.ndarray, p: float, u: float) -> int:
    """Draw from the fewest, likeliest tokens that together reach p.

    Sort the tokens from the likeliest on. A token stays if those before it do
    not reach p yet. Go through those that stay and add up their probabilities;
    stop at the first where the sum is above u times the sum of all that stay.
    Example: sample_top_p(np.array([0.1, 0.6, 0.3]), 0.8, 0.9) gives 2: tokens 1
    and 2 stay with a sum of 0.9, and only with token 2 it gets above 0.81.

    Args:
        probs: float[V], summing to one.
        p: above 0, up to 1.
        u: a random number, 0 <= u < 1, which decides the draw.

    Returns:
        The number of that token, its place in probs.
    """
    order = np.argsort(-probs)
    before = np.cumsum(probs[order]) - probs[order]
    kept = order[before < p]
    running = np.cumsum(probs[kept])
    return int(kept[np.argmax(running > u * running[-1])])


PROBS = [0.125, 0.5, 0.25, 0.09375, 0.03125]  # from the likeliest on: 1, 2, 0, 3, 4

SAMPLE_TOP_P = Exercise(
    sample_top_p,
    hint="`order = np.argsort(-probs)` gives the tokens, likeliest first; "
    "`np.cumsum(probs[order])` is their running sum. Subtract a token's own probability: that is "
    "what those before it reach. `np.argmax` of booleans gives the first True.",
    insight="Where the model is sure, one or two tokens stay; where it is not, hundreds may. Top-k "
    "keeps the same number in both cases.",
    cases=[
        Case(PROBS, 0.2, 0.9, gives=1, here="the likeliest token reaches p alone"),
        Case(PROBS, 0.7, 0.9, gives=2, here="0.5 does not reach p, 0.5 + 0.25 does"),
        Case(PROBS, 0.8, 0.95, gives=0, here="tokens 1, 2 and 0 stay, with a sum of 0.875"),
        Case(PROBS, 0.9, 0.7, gives=2, here="four tokens stay, and u is somewhere in the middle"),
    ],
    mistakes="""
    order[before < p] -> order[: max(1, (before + probs[order] <= p).sum())]
    # It drops the token with which the sum crosses p. Without it those that stay do not reach p.
    before < p -> probs[order] >= p
    # It compares each token by itself with p. What has to reach p is the sum of those that stay.
    return int(probs.argmax())
    # It always takes the likeliest token. That is greedy decoding; here u decides.
    order[before < p] -> np.sort(order[before < p])
    # The right tokens stay, but in the order of the vocabulary. Begin with the likeliest.
    argsort(-probs) -> argsort(probs)
    # It begins with the rarest tokens: `argsort` sorts upwards. Sort `-probs`.
    u * running[-1] -> u
    # The running sum ends below 1, so a large u is above all of it. Compare with u times the sum of
    # those that stay.
    int(kept[np.argmax(running > u * running[-1])]) -> int(np.argmax(running > u * running[-1]))
    # It returns the token's place in the sorted order. Its number is wanted: `order[place]`.
    """,
)
