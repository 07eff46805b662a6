"""Notebook 02: from sentences to training pairs, from a pair to its loss, fewer frequent words."""

import numpy as np

from src.teaching.exercises.record import Case, Exercise


def training_pairs(token_ids: list[int], window: int) -> list[tuple[int, int]]:
    """Every (centre, context) pair of one sentence, for skip-gram.

    Pairs are sorted by the place of the centre, then by that of the context.
    Example: training_pairs([7, 3, 5], 1)
    gives [(7, 3), (3, 7), (3, 5), (5, 3)].

    Args:
        token_ids: the words of the sentence in order, each as its number.
        window: how many words before and after the centre are its context;
            near the ends of the sentence there are fewer.
    """
    T, pairs = len(token_ids), []
    for i in range(T):
        first, last = max(i - window, 0), min(i + window, T - 1)
        for j in range(first, last + 1):
            if j != i:
                pairs.append((token_ids[i], token_ids[j]))
    return pairs


TRAINING_PAIRS = Exercise(
    training_pairs,
    hint="Two loops: `i` over the places of the sentence, `j` from `max(i - window, 0)` to "
    "`min(i + window, T - 1)`, both included. What must not happen when `j == i`?",
    insight="Nobody labelled anything: the text itself says what the right answers are. "
    "`src.word2vec.training_pairs` does it faster.",
    cases=[
        Case([4, 9, 2, 6], 2, here="the window reaches two words to each side"),
        Case([1, 2, 3], 9, here="the window is longer than the sentence"),
        Case([5, 5, 1], 1, gives=[(5, 5), (5, 5), (5, 1), (1, 5)], here="a word occurs twice"),
    ],
    mistakes="""
    if j != i: -> if True:
    # It makes a pair of every word with itself. Leave the centre out of its own context.
    max(i - window, 0), -> i,
    # It looks ahead only. The words before the centre are its context as well.
    i + window, -> i + window - 1,
    # It misses the last place of the window. `range` and slices stop *before* their end,
    # `i + window + 1`.
    return [(a, b) for i, a in enumerate(token_ids)
        for b in token_ids[i - window : i] + token_ids[i + 1 : i + window + 1]]
    # Near the start `i - window` is below zero, and Python counts that from the end of the list.
    # Start at `max(i - window, 0)`.
    if j != i: -> if token_ids[j] != token_ids[i]:
    # It leaves out pairs of two equal *words*. Compare places, `j != i`.
    (token_ids[i], token_ids[j]) -> (token_ids[j], token_ids[i])
    # Centre and context are swapped. The first of the two is the word in the middle of the window.
    """,
)


def keep_probability(counts: np.ndarray, threshold: float) -> np.ndarray:
    """The probability of keeping each word when frequent ones are subsampled.

    It is sqrt(threshold / share), at most 1; the share of a word is its count
    divided by the sum of all counts.
    Example: keep_probability(np.array([90, 9, 1]), 0.1)
    gives [0.3333, 1.0, 1.0]: the share is 0.9, and sqrt(1/9) is 1/3.

    Args:
        counts: int[V], how often each word occurs in the text, at least once.
        threshold: a share of the text, such as 0.001.

    Returns:
        float[V].
    """
    shares = counts / counts.sum()
    return np.minimum(1.0, np.sqrt(threshold / shares))


KEEP_PROBABILITY = Exercise(
    keep_probability,
    hint="First the shares: `counts / counts.sum()`. Then threshold over share, its square root, "
    "and nothing above 1 (`np.minimum`).",
    insight="`src.word2vec.subsampling_keep` does this. The text gets shorter, so training is "
    "faster, and windows reach more telling words.",
    cases=[
        Case([90, 9, 1], 0.1, here="the first word makes up nine tenths of the text"),
        Case([25, 25, 25, 25], 0.01, here="all words are equally frequent"),
        Case([5, 3, 2], 0.9, gives=np.ones(3), here="the threshold is above all shares"),
    ],
    mistakes="""
    return np.minimum -> return 1 - np.minimum
    # It gives the probability of being *dropped*, as the paper writes it. Here that of staying is
    # wanted.
    np.minimum(1.0, np.sqrt(threshold / shares)) -> np.sqrt(threshold / shares)
    # It goes above 1 for rare words. A probability cannot: `np.minimum(1.0, ...)`.
    threshold / shares -> threshold / counts
    # It compares the threshold with the counts. It is a share of the text, so divide the counts by
    # their sum first.
    np.sqrt(threshold / shares) -> threshold / shares
    # It lacks the square root. Without it frequent words would be thinned down to the threshold
    # itself.
    threshold / shares -> shares / threshold
    # The fraction is upside down: it keeps all frequent words and drops the rare ones, which carry
    # the meaning.
    """,
)


def pair_loss(
    centre: np.ndarray,
    context: np.ndarray,
    negatives: np.ndarray,
) -> float:
    """The negative-sampling loss of one training pair.

    loss = -log sigmoid(context . centre)
           - sum over k of log sigmoid(-negatives[k] . centre)
    A score of -1000 must not end in infinity: -log sigmoid(x) is
    np.logaddexp(0, -x), which is safe for any x.
    Example: pair_loss(np.zeros(2), np.ones(2), np.ones((3, 2))) gives 2.7726:
    4 times log 2, since sigmoid(0) is one half for each of the four words.

    Args:
        centre: float[D], the centre's row of the first layer.
        context: float[D], the row of its true neighbour in the second layer.
        negatives: float[K, D], the rows of K words drawn at random.
    """
    right = context @ centre  # should become large
    wrong = negatives @ centre  # float[K], should become small
    return float(np.logaddexp(0, -right) + np.logaddexp(0, wrong).sum())


PAIR_LOSS = Exercise(
    pair_loss,
    hint="`context @ centre` is one number, `negatives @ centre` is K of them. -log sigmoid(x) is "
    "`np.logaddexp(0, -x)`. For a negative, is x its score or minus its score?",
    insight="Before training every score is near 0, so the loss of a pair starts at (1 + K) log 2.",
    cases=[
        Case([1.0, 0.0], [2.0, 5.0], [[-1.0, 3.0], [0.5, 1.0]]),
        Case(np.zeros(2), np.ones(2), np.ones((3, 2)), here="the centre is all zeros"),
        Case([10.0, 0.0], [-100.0, 0.0], [[100.0, 0.0]], gives=2000.0, here="the scores are huge"),
    ],
    mistakes="""
    logaddexp(0, wrong) -> logaddexp(0, -wrong)
    # It treats the negatives as if they were neighbours. Their scores should *fall*:
    # sigmoid(-negative . centre).
    .sum() -> .mean()
    # It takes the mean over the negatives. The formula has their sum.
    return float -> return -float
    # It lacks the minus in front. The logarithm of a probability is negative, and a loss is what
    # should become small.
    np.logaddexp(0, -right) -> np.log1p(np.exp(-right))
    np.logaddexp(0, wrong) -> np.log1p(np.exp(wrong))
    # The formula is right, but sigmoid(-1000) rounds to 0, and its logarithm is minus infinity.
    # `np.logaddexp(0, -x)` is safe.
    """,
)
