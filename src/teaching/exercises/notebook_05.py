"""Notebook 05: positions and layer norm, in numpy."""

import numpy as np

from src.teaching.exercises.record import Case, Exercise


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
