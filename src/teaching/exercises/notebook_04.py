"""Notebook 04: masked attention and heads, in numpy."""

import numpy as np

from src.teaching.exercises.record import Case, Exercise


def masked_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    mask: np.ndarray,
) -> np.ndarray:
    """Mix the rows of value by how well each query matches each allowed key.

    softmax(query key^T / sqrt(D)) value, where the softmax of each row is taken
    over its allowed keys. A row that may attend to nothing gives zeros. Scores
    may be in the thousands.
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


def split_heads(x: np.ndarray, H: int) -> np.ndarray:
    """Give each of H heads its own columns of every token's vector.

    Head 0 has the first D / H numbers of each token, head 1 the next ones.
    Example: split_heads(np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), 2)
    gives [[[1, 2], [5, 6]], [[3, 4], [7, 8]]].

    Args:
        x: float[T, D], D a multiple of H.
        H: the number of heads.

    Returns:
        float[H, T, D / H].
    """
    T, D = x.shape
    # [T, D] to [T, H, D / H] to [H, T, D / H]
    return x.reshape(T, H, D // H).transpose(1, 0, 2)


SPLIT_HEADS = Exercise(
    split_heads,
    hint="Two moves: `reshape` cuts each row into H pieces (to which shape?), `transpose` brings "
    "the axis of heads to the front.",
    insight="No number is computed: heads are a way to look at the columns. That is why "
    "`MultiHeadAttention` needs one matrix W_q, not H.",
    cases=[
        Case(np.arange(12.0).reshape(3, 4), 2, here="there are 3 tokens, 4 wide, for 2 heads"),
        Case(
            np.arange(12.0).reshape(2, 6),
            1,
            here="a single head gets everything, and the axis stays",
        ),
    ],
    mistakes="""
    return x.reshape(H, len(x), -1)
    # The shape is right and the content is not: `reshape` reads row by row, so one head gets all of
    # the first tokens. Cut each token first, [T, H, D / H], then swap two axes.
    .transpose(1, 0, 2) ->
    # The heads are on the second axis, [T, H, D / H]. Swap the first two axes (`transpose`).
    return np.stack([x[:, head::H] for head in range(H)])
    # A head gets every H-th column. Real models store the columns of a head side by side.
    (1, 0, 2) -> (1, 2, 0)
    # The last two axes are swapped: a head should have a row for each token, [T, D / H].
    """,
)
