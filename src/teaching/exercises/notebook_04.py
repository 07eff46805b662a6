"""Notebook 04: masked attention, heads, positions and layer norm, in numpy."""

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


def positional_encoding(T: int, D: int) -> np.ndarray:
    """A pattern of waves that tells each position from every other.

    For i = 0, 1, ... up to D / 2 - 1:
    column 2i is sin(position / 10000^(2i / D)),
    column 2i + 1 is cos(position / 10000^(2i / D)).
    Example: positional_encoding(2, 2) gives [[0.0, 1.0], [0.8415, 0.5403]].

    Args:
        T: the number of positions, counted from 0.
        D: the width, even.

    Returns:
        float[T, D].
    """
    # float[T, D / 2]: a row for each position, a column for each wave
    angles = np.arange(T)[:, None] / 10_000 ** (np.arange(0, D, 2) / D)
    table = np.empty((T, D))
    table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles)
    return table


POSITIONAL_ENCODING = Exercise(
    positional_encoding,
    hint="Make the angles first, float[T, D / 2]: positions as a column, `np.arange(T)[:, None]`, "
    "divided by 10000 to the power of `np.arange(0, D, 2) / D`. Then fill the even columns with "
    "their sine, the odd ones with their cosine.",
    insight="A step of k positions is the same rotation of these pairs everywhere, so a linear "
    "layer can read off distances.",
    cases=[
        Case(3, 4, here="there are 3 positions and 2 waves, each with a sine and a cosine"),
        Case(1, 6, gives=[[0, 1, 0, 1, 0, 1]], here="at position 0 every sine is 0"),
    ],
    mistakes="""
    0::2 -> : D // 2
    1::2 -> D // 2 :
    # It puts all sines first, then all cosines. Here they alternate: `table[:, 0::2]` and
    # `table[:, 1::2]`.
    np.sin(angles), np.cos(angles) -> np.cos(angles), np.sin(angles)
    # Sine and cosine are swapped: the even columns, 0, 2, ..., hold the sine.
    np.arange(T)[ -> (np.arange(T) + 1)[
    # It counts positions from 1. The first token is at position 0, where every sine is 0.
    np.arange(0, D, 2) -> np.arange(D // 2)
    # The exponent is i / D instead of 2i / D. `np.arange(0, D, 2) / D` is 2i / D.
    angles = np.arange(T)[:, None] / 10_000 ** (np.arange(D) / D)
    return np.where(np.arange(D) % 2, np.cos(angles), np.sin(angles))
    # Every column has a wave of its own. A sine and the cosine next to it share one.
    """,
)


def layer_norm(
    x: np.ndarray,
    gain: np.ndarray,
    bias: np.ndarray,
    epsilon: float,
) -> np.ndarray:
    """Bring each token's vector to mean 0 and spread 1, then stretch and shift.

    (x - mean) / sqrt(variance + epsilon) * gain + bias, with the mean and the
    variance of each row; the variance is the mean of squared deviations.
    Example: layer_norm(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), 0.0)
    gives [[-1.0, 1.0]].

    Args:
        x: float[T, D].
        gain, bias: float[D], learned, the same for all tokens.
        epsilon: keeps a row of equal numbers from becoming 0 / 0.

    Returns:
        float[T, D].
    """
    mean = x.mean(axis=-1, keepdims=True)  # [T, 1]
    variance = x.var(axis=-1, keepdims=True)  # [T, 1]
    return (x - mean) / np.sqrt(variance + epsilon) * gain + bias


PLAIN = (np.ones(4), np.zeros(4))
PAIR = [[1.0, 3.0]]  # mean 2, variance 1

LAYER_NORM = Exercise(
    layer_norm,
    hint="`x.mean(axis=-1, keepdims=True)` and `x.var(axis=-1, keepdims=True)` are float[T, 1], so "
    "they fit every column of their row.",
    insight="It looks at one token at a time, so padding and batch size cannot change the result. "
    "`nn.LayerNorm` is this.",
    cases=[
        Case(
            [[1.0, 2, 4, 5], [0, 0, 0, 8]], *PLAIN, 0.0, here="each token is normalised by itself"
        ),
        Case(PAIR, [2.0, 10.0], [0.5, 1.0], 0.0, gives=[[-1.5, 11.0]], here="gain and bias count"),
        Case(PAIR, np.ones(2), np.zeros(2), 3.0, gives=[[-0.5, 0.5]], here="epsilon is 3"),
        Case(np.full((1, 4), 7.0), *PLAIN, 1e-5, gives=[[0.0] * 4], here="all numbers are equal"),
    ],
    mistakes="""
    axis=-1 -> axis=0
    # Mean and variance are taken over the tokens. Layer norm looks at one token at a time:
    # `axis=-1`.
    axis=-1, keepdims=True ->
    # Mean and variance are those of the whole matrix. Every token has its own:
    # `axis=-1, keepdims=True`.
    x.var( -> x.var(ddof=1,
    # The variance divides by D - 1, torch's default. Here it is the plain mean of squares,
    # `x.var()` in numpy.
    np.sqrt(variance + epsilon) -> (variance + epsilon)
    # It divides by the variance. The spread is its square *root*.
    np.sqrt(variance + epsilon) -> (np.sqrt(variance) + epsilon)
    # Epsilon is added outside the root. The formula is sqrt(variance + epsilon).
    """,
)
