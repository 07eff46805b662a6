"""Notebook 10: a matrix in whole numbers."""

import numpy as np

from src.teaching.exercises.record import Case, Exercise


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
