"""Notebook 04: masked attention, in numpy."""

import numpy as np

from src.teaching.exercises.record import Case, Exercise


def masked_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    mask: np.ndarray,
) -> np.ndarray:
    """Mix the rows of value by how well each query matches each allowed key.

    softmax(query key^T / sqrt(D)) value; the softmax of each row is over its
    allowed keys. A row without any gives zeros. Scores may be in the thousands.
    Example: masked_attention(np.zeros((1, 2)), np.ones((3, 2)),
        np.array([[1.0], [2.0], [9.0]]), np.array([[True, True, False]]))
    gives [[1.5]]: equal scores, so the mean of the two allowed values.

    Args:
        query, key, value: float[T, D], float[S, D] and float[S, D_v].
        mask: bool[T, S], True where the query may attend to the key.

    Returns:
        float[T, D_v].
    """
    scores = query @ key.T / np.sqrt(query.shape[-1])  # [T, S]
    scores = np.where(mask, scores, -1e30)
    # Softmax does not change when all scores fall by the same number.
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True)) * mask
    totals = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(totals == 0, 1, totals) @ value


TWO = ([[2.0, 1, 0, 1], [0, 1, 2, 1]], [[2.0, 2, 1, 0], [1, 0, 3, 0]], [[5.0, 0, 1], [1, 4, 1]])
THREE = ([[1.0, 0], [0, 1], [1, 1]], [[1.0, 2], [3, 1], [2, 2]], [[2.0], [4], [9]])

MASKED_ATTENTION = Exercise(
    masked_attention,
    hint="Scores: `query @ key.T`, divided by the root of D. Where the mask is False, a very low "
    "score (`np.where`). Softmax along each row. Weights times `value`. Then think of very large "
    "scores, and of a row without any True.",
    insight="`src.attention.scaled_dot_product_attention` is this, for any number of axes in "
    "front. Attention in BERT and in GPT differs in the mask alone.",
    cases=[
        Case(*TWO, [[True, True]] * 2, here="everything is allowed"),
        Case(*THREE, np.tri(3, dtype=bool), here="the mask is causal: no query sees a later key"),
        Case(*THREE, [[True, True, False]] * 3, here="the last key is padding"),
        Case([[2000.0, 0.0]], np.eye(2), [[3.0], [5.0]], [[True] * 2], here="one score is 1414"),
        Case(
            *THREE,
            [[False] * 3, [True, False, True], [True] * 3],
            here="the first row allows nothing",
        ),
    ],
    mistakes="""
    / np.sqrt(query.shape[-1]) ->
    # The scores are not divided by sqrt(D). Wide vectors then put nearly everything on one key.
    axis=-1 -> axis=0
    # The softmax runs down the columns. Each *query* spreads its attention over the keys:
    # `axis=-1`.
    np.where(mask, -> np.where(~mask,
    * mask -> * ~mask
    # The mask is inverted. Here True means *allowed*; some libraries mean the opposite.
    np.where(mask, scores, -1e30) -> scores
    * mask ->
    @ value -> * mask @ value
    # It masks after the softmax, so a row sums to less than one. Mask the scores.
    * mask ->
    np.where(mask, scores, -1e30) -> scores * mask
    # It gives forbidden keys a score of 0. But e to the power of 0 is 1; they need a very low
    # score.
    scores - scores.max(axis=-1, keepdims=True) -> scores
    # The formula is right, but e to the power of a large score overflows. Subtract the row's
    # highest score first.
    * mask ->
    # Where nothing is allowed, it mixes the forbidden values. Multiply the weights by the mask once
    # more.
    """,
)
