"""Notebook 05b: hide words for BERT, the loss at the blanks, one merge of BPE, int8 weights."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np

from src.teaching.exercises.record import Case, Exercise


def mask_tokens(
    token_ids: np.ndarray,
    special: np.ndarray,
    dice: np.ndarray,
    drawn: np.ndarray,
    mask_id: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Hide words as BERT does. The dice have been thrown already.

    A token is chosen where dice[0] is below 0.15 and it is not special. Where
    dice[1] is below 0.8 a chosen token becomes mask_id, from 0.8 to below 0.9
    the token of `drawn` at its place, and from 0.9 on it stays as it is.
    Example: mask_tokens(np.array([5, 6]), np.array([True, False]),
    np.array([[0.1, 0.1], [0.5, 0.5]]), np.array([8, 9]), 103)
    gives ([5, 103], [-100, 6]).

    Args:
        token_ids: int[T].
        special: bool[T], True on [CLS], [SEP] and padding.
        dice: float[2, T], random numbers between 0 and 1.
        drawn: int[T], random tokens.
        mask_id: the number of [MASK].

    Returns:
        Inputs and labels, int[T] each; a label is the original token where one
        was chosen, and -100 everywhere else.
    """
    chosen = (dice[0] < 0.15) & ~special
    hidden = chosen & (dice[1] < 0.8)
    swapped = chosen & (dice[1] >= 0.8) & (dice[1] < 0.9)
    inputs = np.where(hidden, mask_id, np.where(swapped, drawn, token_ids))
    return inputs, np.where(chosen, token_ids, -100)


TEXT = [101, 11, 12, 13, 14, 15, 102]
ENDS = [True, False, False, False, False, False, True]
OTHERS = [90, 91, 92, 93, 94, 95, 96]
FEW = [[0.9, 0.02, 0.1, 0.14, 0.6, 0.9, 0.9], [0.5, 0.1, 0.85, 0.95, 0.1, 0.9, 0.2]]
AT_ENDS = [[0.1, 0.5, 0.6, 0.7, 0.6, 0.08, 0.0], [0.5, 0.5, 0.3, 0.5, 0.1, 0.2, 0.85]]

MASK_TOKENS = Exercise(
    mask_tokens,
    hint="Begin with `chosen`, bool[T]. Then three times `np.where`: mask_id, drawn, and the "
    "labels, from `token_ids` itself.",
    insight="No person wrote these labels. `src.pretraining.mask_words` does the same for a whole "
    "batch.",
    cases=[
        Case([11, 102], [False, True], [[0.1] * 2] * 2, [90, 91], 103, here="only one is a word"),
        Case(
            *(TEXT, ENDS, FEW, OTHERS, 103),
            gives=([101, 103, 92, 13, 14, 15, 102], [-100, 11, 12, 13, -100, -100, -100]),
            here="three tokens are chosen: one is hidden, one replaced, one stays",
        ),
        Case(
            *(TEXT, ENDS, AT_ENDS, OTHERS, 103),
            gives=([101, 11, 12, 13, 14, 103, 102], [-100, -100, -100, -100, -100, 15, -100]),
            here="the dice would choose [CLS] and [SEP] too, which are no text",
        ),
    ],
    mistakes="""
    & ~special ->
    # It chooses special tokens as well. `[CLS]`, `[SEP]` and padding are no text to learn from.
    np.where(chosen, token_ids, -100) -> token_ids
    # It gives every token a label, also those whose answer can be seen. Where no token is chosen
    # the label is -100.
    np.where(chosen, token_ids, -100) -> np.where(chosen, inputs, -100)
    # Its labels are what the model sees, not the original tokens.
    chosen & (dice[1] < 0.8) -> chosen
    # It hides every chosen token. One in ten is replaced and one in ten stays.
    np.where(chosen, token_ids, -100) -> np.where(inputs != token_ids, token_ids, -100)
    # A chosen token that stays has no label. The model cannot know that it is right.
    dice[1] -> dice[0] / 0.15
    # It uses the first row of dice for both decisions.
    """,
)


def masked_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """The loss of masked words: the mean over the blanks, and nothing else.

    The mean of -ln(probability of the label) over the places with a label; the
    probabilities are the softmax of a row. Logits of 1000 must not overflow.
    Example:
    masked_loss(np.array([[0.0, 0.0], [9.0, 1.0]]), np.array([1, -100]))
    gives 0.6931, the logarithm of 2.

    Args:
        logits: float[T, V].
        labels: int[T], the original token, or -100 at places that do not count.

    Returns:
        The mean, 0.0 where no place has a label.
    """
    asked = labels != -100
    if not asked.any():
        return 0.0
    scores = logits[asked] - logits[asked].max(axis=1, keepdims=True)
    log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return float(-log_probs[np.arange(len(log_probs)), labels[asked]].mean())


SCORES = [[2.0, 0.0, 1.0], [0.5, 0.5, 0.5], [0.0, 3.0, -1.0], [1.0, 1.0, 4.0]]

MASKED_LOSS = Exercise(
    masked_loss,
    hint="First choose the rows, `logits[labels != -100]`, and subtract the largest score of each. "
    "The logarithm of softmax is then `scores - np.log(np.exp(scores).sum(...))`.",
    insight="torch's `cross_entropy` does the same; -100 is its own default for places that do not "
    "count.",
    cases=[
        Case(SCORES, [-100, 2, 1, -100], here="two of four places have a label"),
        Case(SCORES[1:2], [0], gives=math.log(3), here="all tokens are equally likely"),
        Case([[1000.0, 0.0], [0.0, 1000.0]], [0, 0], gives=500.0, here="no float holds exp(1000)"),
        Case(SCORES, [-100] * 4, gives=0.0, here="no place has a label"),
    ],
    mistakes="""
    .mean() -> .sum() / len(labels)
    # It divides by the number of all places. Only places with a label count.
    .mean() -> .sum()
    # It sums the losses. Their mean over the blanks is wanted.
    labels != -100 -> labels == labels
    labels[asked] -> labels % logits.shape[1]
    # It takes -100 for the number of a token. Leave these places out first.
    log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    -> log_probs = logits[asked]
    # It averages the scores themselves. First softmax makes probabilities of them, then comes the
    # logarithm.
    """,
)


def merge_once(words: list[list[str]], counts: list[int]) -> list[list[str]]:
    """One step of byte-pair encoding: join the most frequent neighbours.

    Find the two pieces that are neighbours most often in the text (of equally
    frequent pairs the first in alphabetical order), and join them in every
    word, going from left to right.
    Example: merge_once([["a", "b", "c"], ["b", "c"]], [2, 3])
    gives [["a", "bc"], ["bc"]]: b and c are neighbours 5 times, a and b twice.

    Args:
        words: each word as its pieces so far, such as ["l", "ow"].
        counts: how often each of the words occurs in the text.

    Returns:
        The words with their new pieces; unchanged if every word is one piece.
    """
    pairs: Counter = Counter()
    for pieces, count in zip(words, counts, strict=True):
        for pair in pairwise(pieces):
            pairs[pair] += count
    if not pairs:
        return words
    best = min(pairs, key=lambda pair: (-pairs[pair], pair))
    result = []
    for pieces in words:
        joined, i = [], 0
        while i < len(pieces):
            hit = tuple(pieces[i : i + 2]) == best
            joined.append("".join(best) if hit else pieces[i])
            i += 2 if hit else 1
        result.append(joined)
    return result


MERGE_ONCE = Exercise(
    merge_once,
    hint="Two loops. In the first a `Counter` gets `count` for every pair of neighbours, "
    "`zip(pieces, pieces[1:])`. In the second go through each word with an index `i` that moves on "
    "by 2 after a join and by 1 otherwise.",
    insight="Repeat it, write down each join, and you have a vocabulary: "
    "`src.subwords.learn_merges` is this in a loop.",
    cases=[
        Case([list("cat"), list("car"), ["do", "g"]], [2, 2, 9], here="`do g` occurs 9 times"),
        Case([["z", "y"], ["b", "a"]], [3, 3], gives=[["z", "y"], ["ba"]], here="there is a tie"),
        Case([list("banana")], [1], gives=[["b", "an", "an", "a"]], here="the pair occurs twice"),
        Case([list("haaaa")], [1], gives=[["h", "aa", "aa"]], here="four pieces are equal"),
        Case([["ox"], ["a"]], [2, 5], gives=[["ox"], ["a"]], here="there is nothing left to join"),
    ],
    mistakes="""
    += count -> += 1
    # It counts every word once. A pair in a word that occurs nine times occurs nine times in the
    # text.
    == best -> == best and len(joined) == i
    # It joins only the first of several such pairs in a word.
    (-pairs[pair], pair) -> -pairs[pair]
    # Of equally frequent pairs it takes the one it saw first. Take the first in alphabetical order.
    i += 2 if hit else 1 -> i += 1
    # It uses a piece twice. After a join move on by 2: the right neighbour is used up.
    """,
)


def quantise_matrix(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write each row of a matrix in whole numbers from -127 to 127 and a scale.

    A row's scale makes its largest number, whatever its sign, 127 or -127; a
    row of zeros has scale 1. Weights are divided by it and rounded, so numbers
    times scales, row by row, are nearly the weights again.
    Example: quantise_matrix(np.array([[1.27, -0.5]]))
    gives ([[127, -50]], [0.01]).

    Args:
        weights: float[rows, columns].

    Returns:
        The whole numbers, int[rows, columns], and the scales, float[rows].
    """
    scales = np.abs(weights).max(axis=1) / 127
    scales = np.where(scales == 0, 1.0, scales)
    return np.round(weights / scales[:, None]).astype(int), scales


QUANTISE_MATRIX = Exercise(
    quantise_matrix,
    hint="Three lines: `np.abs(weights).max(axis=1) / 127`, with 1 where that is 0; "
    "`weights / scales[:, None]`, rounded; both returned. `[:, None]` makes a column of the "
    "scales.",
    insight="The error is half a scale at most, so one large weight makes its whole row coarse. "
    "That is why each row has its own.",
    cases=[
        Case([[1.27, -0.5, 0.768]], gives=([[127, -50, 77]], [0.01])),
        Case([[2.54, 1.0], [0.0254, -0.01]], here="the second row is a hundred times smaller"),
        Case([[-12.7, 3.0], [1.0, -2.54]], here="the largest weights are negative"),
        Case([[0.0, 0.0], [1.27, 0.0]], here="all weights of the first row are zero"),
    ],
    mistakes="""
    .max(axis=1) / 127 -> .max() / 127 * np.ones(len(weights))
    # There is one scale for the whole matrix. Each row has its own, `axis=1`.
    low, high = weights.min(axis=1), weights.max(axis=1)
    scales = np.maximum((high - low) / 255, 1e-9)
    return np.round((weights - low[:, None]) / scales[:, None]).astype(int), scales
    # It counts from 0 to 255, from the lowest weight to the highest. Here the numbers have a sign,
    # and 0 means 0.
    np.abs(weights).max -> weights.max
    # The scale comes from the highest weight, but a negative one can be larger in size: `np.abs`
    # first.
    np.round( -> (
    # It cuts off the decimals, so all weights move towards zero. Round first.
    127 -> 128
    # It divides by 128, but the largest number of a signed byte is 127.
    axis=1 -> axis=0
    scales[:, None] -> scales
    # Each column has a scale. A row makes one output of the layer.
    """,
)
