"""Notebook 07: hide words for BERT, and the loss at the blanks."""

import math

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

    Choose a token where dice[0] is below 0.15 and it is not special. It becomes
    mask_id where dice[1] is below 0.8, that of `drawn` below 0.9, or it stays.
    Gives inputs and labels; a label is the token if it was chosen, else -100.
    Example: mask_tokens(np.array([5, 6]), np.array([True, False]), np.array(
    [[0.1] * 2, [0.5] * 2]), np.array([8, 9]), 103) gives ([5, 103], [-100, 6]).

    Args:
        token_ids, drawn: int[T], the text, and random tokens.
        special: bool[T], True on [CLS], [SEP] and padding.
        dice: float[2, T], random numbers between 0 and 1.
        mask_id: the number of [MASK].
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
