"""The exercises of notebook 04: masked attention, heads, positions and layer norm, in plain numpy."""

from __future__ import annotations

from math import cos, exp, sin
from typing import Any

import numpy as np

from src.teaching.exercises import Case, Exercise, Mistake

# --- masked_attention ----------------------------------------------------------------------------------------------------


def masked_attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    mask: np.ndarray,
) -> np.ndarray:
    """Mix the rows of value by how well each query matches each allowed key.

    query: float[T, D]   key: float[S, D]   value: float[S, D_v]
    mask: bool[T, S], True where the row's query may look at the column's key
    Returns float[T, D_v]: softmax(query key^T / sqrt(D)) value, the softmax of
    each row taken over its allowed keys only. A row that may look at nothing
    gives zeros. Scores may be in the thousands.
    Example: masked_attention(np.zeros((1, 2)), np.ones((3, 2)),
        np.array([[1.0], [2.0], [9.0]]), np.array([[True, True, False]]))
    gives [[1.5]]: equal scores, so the mean of the two allowed values.
    """
    scores = query @ key.T / np.sqrt(query.shape[-1])  # [T, S]
    scores = np.where(mask, scores, -1e30)
    # Softmax does not change when all scores fall by the same number.
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True)) * mask
    totals = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(totals == 0, 1, totals) @ value


def _softmax(scores: Any, axis: int = -1) -> Any:
    weights = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def _without_root(query: Any, key: Any, value: Any, mask: Any) -> Any:
    return masked_attention(query / np.sqrt(query.shape[-1]), key, value, mask)


def _without_division(query: Any, key: Any, value: Any, mask: Any) -> Any:
    return masked_attention(query * np.sqrt(query.shape[-1]), key, value, mask)


def _by_the_number_of_keys(query: Any, key: Any, value: Any, mask: Any) -> Any:
    return masked_attention(query * np.sqrt(query.shape[-1] / len(key)), key, value, mask)


def _down_the_columns(query: Any, key: Any, value: Any, mask: Any) -> Any:
    scores = np.where(mask, query @ key.T / np.sqrt(query.shape[-1]), -1e30)
    return (_softmax(scores, axis=0) * mask) @ value


def _mask_turned_round(query: Any, key: Any, value: Any, mask: Any) -> Any:
    return masked_attention(query, key, value, ~mask)


def _mask_after_softmax(query: Any, key: Any, value: Any, mask: Any) -> Any:
    return (_softmax(query @ key.T / np.sqrt(query.shape[-1])) * mask) @ value


def _zero_for_forbidden(query: Any, key: Any, value: Any, mask: Any) -> Any:
    return _softmax(query @ key.T / np.sqrt(query.shape[-1]) * mask) @ value


def _mask_ignored(query: Any, key: Any, value: Any, mask: Any) -> Any:
    return masked_attention(query, key, value, np.ones_like(mask))


def _overflow(query: Any, key: Any, value: Any, mask: Any) -> Any:
    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.exp(query @ key.T / np.sqrt(query.shape[-1])) * mask
        totals = weights.sum(axis=-1, keepdims=True)
        return weights / np.where(totals == 0, 1, totals) @ value


def _nothing_by_nothing(query: Any, key: Any, value: Any, mask: Any) -> Any:
    with np.errstate(invalid="ignore"):
        scores = np.where(mask, query @ key.T / np.sqrt(query.shape[-1]), -np.inf)
        return _softmax(scores) @ value


def _mean_for_nothing(query: Any, key: Any, value: Any, mask: Any) -> Any:
    scores = np.where(mask, query @ key.T / np.sqrt(query.shape[-1]), -1e9)
    return _softmax(scores) @ value


def _something_for_nothing(case: Case, value: Any) -> bool:
    mask = case.arguments[3]
    return any(not allowed.any() and any(x != 0 and x == x for x in row) for allowed, row in zip(mask, value, strict=True))


_WORDS = (np.array([[2.0, 1, 0, 1], [0, 1, 2, 1]]), np.array([[2.0, 2, 1, 0], [1, 0, 3, 0]]), np.array([[5.0, 0, 1], [1, 4, 1]]))
_HIGH, _MIDDLE = 1 / (1 + exp(-2)), 1 / (1 + exp(1))  # scores 3 and 1, and scores 2 and 3, after the division by 2
_BOTH = [[_HIGH * 4 + 1, (1 - _HIGH) * 4, 1], [_MIDDLE * 4 + 1, (1 - _MIDDLE) * 4, 1]]
_THREE = (np.array([[1.0, 0], [0, 1], [1, 1]]), np.array([[1.0, 2], [3, 1], [2, 2]]), np.array([[2.0], [4], [9]]))


def _three(*keys: list[int]) -> list[list[float]]:
    """The expected rows for _THREE, by the plain formula; `keys` are those that each query may look at."""
    query, key, value = (part.tolist() for part in _THREE)
    rows = []
    for q, allowed in zip(query, keys, strict=True):
        shares = {j: exp((q[0] * key[j][0] + q[1] * key[j][1]) / 2**0.5) for j in allowed}
        rows.append([sum(share * value[j][0] for j, share in shares.items()) / (sum(shares.values()) or 1)])
    return rows


MASKED_ATTENTION = Exercise(
    id="04.masked_attention",
    title="masked attention",
    goal="Write the layer that everything in this notebook is made of: each query mixes the values of the keys it is allowed to look at.",
    solution=masked_attention,
    cases=(
        Case((*_WORDS, np.ones((2, 2), dtype=bool)), _BOTH, "everything is allowed: these are Thinking and Machines"),
        Case((*_THREE, np.tri(3, dtype=bool)), _three([0], [0, 1], [0, 1, 2]), "the mask is causal: nobody looks at what comes later"),
        Case(
            (*_THREE, np.array([[True, True, False]] * 3)),
            _three([0, 1], [0, 1], [0, 1]),
            "the last key is padding, and nobody may look at it",
        ),
        Case(
            (np.array([[2000.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[3.0], [5.0]]), np.ones((1, 2), dtype=bool)),
            [[3.0]],
            "one score is about 1400, and e to the power of that is more than a computer's number can hold",
        ),
        Case(
            (*_THREE, np.array([[False, False, False], [True, False, True], [True, True, True]])),
            _three([], [0, 2], [0, 1, 2]),
            "the first query may look at nothing",
        ),
    ),
    mistakes=(
        Mistake(
            _without_division,
            "the scores are not divided by sqrt(D). Then wide vectors give large scores, and softmax puts nearly everything on one key.",
            "not divided by sqrt(D)",
        ),
        Mistake(
            _without_root,
            "it divides by D instead of by its square root. The scores become too small, and all keys get nearly the same share.",
            "by D instead of by its square root",
        ),
        Mistake(
            _by_the_number_of_keys,
            "it divides by the root of the number of keys. What makes scores large is the width D of the vectors, `query.shape[-1]`.",
            "the number of keys",
        ),
        Mistake(
            _down_the_columns,
            "the softmax runs down the columns. Each *query* spreads its attention over the keys, so each row must sum to one: `axis=-1`.",
            "down the columns",
        ),
        Mistake(
            _mask_turned_round,
            "the mask is turned round. Here True means *allowed*; some libraries mean the opposite, which is worth a look every time.",
            "turned round",
        ),
        Mistake(
            _mask_after_softmax,
            "it masks after the softmax. Then a row sums to less than one: the share of the forbidden keys is lost instead of going to the "
            "allowed ones. Mask the scores.",
            "masks after the softmax",
        ),
        Mistake(
            _zero_for_forbidden,
            "it gives forbidden keys a score of 0. But e to the power of 0 is 1, so they still get a share; they need a very low score.",
            "a score of 0",
        ),
        Mistake(_mask_ignored, "the mask makes no difference to its result. Put it into the scores, before the softmax.", "no difference"),
        Mistake(
            _overflow,
            "the formula is right, but e to the power of a large score overflows to infinity. Take the highest score of the row off "
            "all of them first: softmax stays the same.",
            "overflows",
        ),
        Mistake(
            _nothing_by_nothing,
            "a row that may look at nothing gives 0 / 0, which is not a number (`nan`), and one `nan` spoils everything after it. "
            "Such a row must give zeros.",
            "0 / 0",
        ),
        Mistake(
            _mean_for_nothing,
            "where nothing is allowed, it still mixes the forbidden values: all scores of the row are equally low, and softmax only sees "
            "differences. Multiply the weights by the mask once more.",
            "still mixes the forbidden values",
            _something_for_nothing,
        ),
    ),
    hint="Four steps. Scores: `query @ key.T`, divided by the square root of D. Where the mask is False, a very low score (`np.where`). "
    "Softmax along each row. Weights times `value`. Then look at the two special cases: very large scores, and a row without any True.",
    insight="`src.attention.scaled_dot_product_attention` is this, for any number of axes in front. Attention in BERT and in GPT "
    "differs in one argument: the mask.",
    imports="import numpy as np",
)

# --- split_heads ---------------------------------------------------------------------------------------------------------


def split_heads(x: np.ndarray, H: int) -> np.ndarray:
    """Give each of H heads its own columns of every token's vector.

    x: float[T, D], D a multiple of H
    Returns float[H, T, D / H]: head 0 has the first D / H numbers of each token,
    head 1 the next, and so on.
    Example: split_heads(np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), 2)
    gives [[[1, 2], [5, 6]], [[3, 4], [7, 8]]].
    """
    T, D = x.shape
    # [T, D] -> [T, H, D / H] -> [H, T, D / H]
    return x.reshape(T, H, D // H).transpose(1, 0, 2)


def _mixed_tokens(x: Any, H: int) -> Any:
    T, D = x.shape
    return x.reshape(H, T, D // H)


def _heads_second(x: Any, H: int) -> Any:
    T, D = x.shape
    return x.reshape(T, H, D // H)


def _every_hth_column(x: Any, H: int) -> Any:
    return np.stack([x[:, head::H] for head in range(H)])


def _columns_first(x: Any, H: int) -> Any:
    return split_heads(x, H).transpose(0, 2, 1)


_GRID = np.arange(12.0).reshape(3, 4)
_WIDE = np.arange(12.0).reshape(2, 6)

SPLIT_HEADS = Exercise(
    id="04.split_heads",
    title="columns for every head",
    goal="Cut the vectors of all tokens into pieces, one for each head, without mixing tokens.",
    solution=split_heads,
    cases=(
        Case((_GRID, 2), [[[0, 1], [4, 5], [8, 9]], [[2, 3], [6, 7], [10, 11]]], "there are 3 tokens, 4 wide, for 2 heads"),
        Case((_WIDE, 3), [[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]], "there are 2 tokens, 6 wide, for 3 heads"),
        Case((_WIDE, 1), [_WIDE.tolist()], "a single head gets everything, and the axis of heads is still there"),
        Case((_WIDE[:, :2], 2), [[[0], [6]], [[1], [7]]], "each head gets a single number of every token"),
    ),
    mistakes=(
        Mistake(
            _mixed_tokens,
            "`reshape(H, T, D // H)` has the right shape and the wrong content: it reads the numbers row by row, so one head gets "
            "all of the first tokens and another the last ones. Cut each token first, [T, H, D / H], then swap the two axes.",
            "the wrong content",
        ),
        Mistake(
            _heads_second,
            "the heads are on the second axis, [T, H, D / H]. Each head should have all tokens: swap the first two axes (`transpose`).",
            "on the second axis",
        ),
        Mistake(
            _every_hth_column,
            "a head gets every H-th column. That could be learned as well, but weights of real models are stored with the columns of a "
            "head side by side.",
            "every H-th column",
        ),
        Mistake(
            _columns_first,
            "the last two axes have changed places: a head should have a row for each token, [T, D / H].",
            "changed places",
        ),
    ),
    hint="Two moves: `reshape` cuts each row into H pieces (which shape is that?), `transpose` brings the axis of heads to the front.",
    insight="No number is computed: heads are a way to look at the columns. That is why `MultiHeadAttention` needs one matrix W_q, not H.",
    imports="import numpy as np",
)

# --- positional_encoding ------------------------------------------------------------------------------------------------


def positional_encoding(T: int, D: int) -> np.ndarray:
    """A pattern of waves that tells each position from every other.

    T: positions, counted from 0   D: width, even
    Returns float[T, D]. For i = 0, 1, ... up to D / 2 - 1:
    column 2i is sin(position / 10000^(2i / D)),
    column 2i + 1 is cos(position / 10000^(2i / D)).
    Example: positional_encoding(2, 2) gives [[0.0, 1.0], [0.8415, 0.5403]].
    """
    # float[T, D / 2]: a row for each position, a column for each wave
    angles = np.arange(T)[:, None] / 10_000 ** (np.arange(0, D, 2) / D)
    table = np.empty((T, D))
    table[:, 0::2], table[:, 1::2] = np.sin(angles), np.cos(angles)
    return table


def _waves(T: int, exponents: Any, first: int = 0) -> Any:
    return np.arange(first, first + T)[:, None] / 10_000.0**exponents


def _interleaved(sines: Any, cosines: Any) -> Any:
    return np.stack([sines, cosines], axis=-1).reshape(len(sines), -1)


def _two_halves(T: int, D: int) -> Any:
    angles = _waves(T, np.arange(0, D, 2) / D)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def _cosine_first(T: int, D: int) -> Any:
    angles = _waves(T, np.arange(0, D, 2) / D)
    return _interleaved(np.cos(angles), np.sin(angles))


def _from_one(T: int, D: int) -> Any:
    angles = _waves(T, np.arange(0, D, 2) / D, first=1)
    return _interleaved(np.sin(angles), np.cos(angles))


def _half_the_exponent(T: int, D: int) -> Any:
    angles = _waves(T, np.arange(D // 2) / D)
    return _interleaved(np.sin(angles), np.cos(angles))


def _own_wave_for_each_column(T: int, D: int) -> Any:
    angles = _waves(T, np.arange(D) / D)
    return _interleaved(np.sin(angles[:, 0::2]), np.cos(angles[:, 1::2]))


def _multiplied(T: int, D: int) -> Any:
    angles = _waves(T, -np.arange(0, D, 2) / D)
    return _interleaved(np.sin(angles), np.cos(angles))


def _turned(T: int, D: int) -> Any:
    return positional_encoding(T, D).T


def _table(T: int, D: int) -> list[list[float]]:
    """The expected table, number by number."""
    return [[(cos if j % 2 else sin)(t / 10_000 ** ((j - j % 2) / D)) for j in range(D)] for t in range(T)]


POSITIONAL_ENCODING = Exercise(
    id="04.positional_encoding",
    title="positions as waves",
    goal="Compute the table of position vectors of the paper of 2017: fast waves in the first columns, slow ones in the last.",
    solution=positional_encoding,
    cases=(
        Case((3, 4), _table(3, 4), "there are 3 positions and 2 waves, each with a sine and a cosine"),
        Case((1, 6), [[0, 1, 0, 1, 0, 1]], "there is only position 0: every sine is 0, every cosine 1"),
        Case((4, 2), _table(4, 2), "there is a single wave"),
        Case((6, 8), _table(6, 8), "there are 4 waves"),
    ),
    mistakes=(
        Mistake(
            _two_halves,
            "it puts all sines into the first half and all cosines into the second. Some programs do; here, as in the paper, they "
            "alternate: `table[:, 0::2]` and `table[:, 1::2]`.",
            "first half",
        ),
        Mistake(_cosine_first, "sine and cosine have changed places: the even columns, 0, 2, ..., hold the sine.", "changed places"),
        Mistake(_from_one, "it counts positions from 1. The first token stands at position 0, where every sine is 0.", "from 1"),
        Mistake(
            _half_the_exponent,
            "the exponent is i / D instead of 2i / D, so the waves slow down by half as much. `np.arange(0, D, 2) / D` is 2i / D.",
            "instead of 2i / D",
        ),
        Mistake(
            _own_wave_for_each_column,
            "every column has a wave of its own. A sine and the cosine beside it share one: together they say where on the circle the "
            "position is.",
            "wave of its own",
        ),
        Mistake(
            _multiplied,
            "it multiplies where it should divide, so the last waves are the fastest, far too fast to tell neighbours apart.",
            "multiplies where it should divide",
        ),
        Mistake(_turned, "rows and columns have changed roles: a position is a row, float[T, D].", "changed roles"),
    ),
    hint="Make the angles first, float[T, D / 2]: positions as a column, `np.arange(T)[:, None]`, divided by 10000 to the power of "
    "`np.arange(0, D, 2) / D`. Then fill the even columns with their sine and the odd ones with their cosine.",
    insight="The position k further on is always the same rotation of these pairs, whatever the position: distances can be read off by a "
    "linear layer.",
    imports="import numpy as np",
)

# --- layer_norm ----------------------------------------------------------------------------------------------------------


def layer_norm(
    x: np.ndarray,
    gain: np.ndarray,
    bias: np.ndarray,
    epsilon: float,
) -> np.ndarray:
    """Bring each token's vector to mean 0 and spread 1, then stretch and shift.

    x: float[T, D]   gain, bias: float[D], learned, the same for all tokens
    epsilon: added to the variance, so that a row of equal numbers is no 0 / 0
    Returns float[T, D]: (x - mean) / sqrt(variance + epsilon) * gain + bias, with
    mean and variance of each row; the variance is the mean of squared deviations.
    Example: layer_norm(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), 0.0)
    gives [[-1.0, 1.0]].
    """
    mean = x.mean(axis=-1, keepdims=True)  # [T, 1]
    variance = x.var(axis=-1, keepdims=True)  # [T, 1]
    return (x - mean) / np.sqrt(variance + epsilon) * gain + bias


def _over_tokens(x: Any, gain: Any, bias: Any, epsilon: float) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + epsilon) * gain + bias


def _over_everything(x: Any, gain: Any, bias: Any, epsilon: float) -> Any:
    return (x - x.mean()) / np.sqrt(x.var() + epsilon) * gain + bias


def _centred(x: Any) -> Any:
    return x - x.mean(axis=-1, keepdims=True)


def _by_one_less(x: Any, gain: Any, bias: Any, epsilon: float) -> Any:
    return _centred(x) / np.sqrt(x.var(axis=-1, keepdims=True, ddof=1) + epsilon) * gain + bias


def _root_forgotten(x: Any, gain: Any, bias: Any, epsilon: float) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return _centred(x) / (x.var(axis=-1, keepdims=True) + epsilon) * gain + bias


def _epsilon_outside(x: Any, gain: Any, bias: Any, epsilon: float) -> Any:
    return _centred(x) / (np.sqrt(x.var(axis=-1, keepdims=True)) + epsilon) * gain + bias


def _epsilon_forgotten(x: Any, gain: Any, bias: Any, epsilon: float) -> Any:
    with np.errstate(invalid="ignore"):
        return _centred(x) / np.sqrt(x.var(axis=-1, keepdims=True)) * gain + bias


def _gain_forgotten(x: Any, gain: Any, bias: Any, epsilon: float) -> Any:
    return layer_norm(x, np.ones_like(gain), np.zeros_like(bias), epsilon)


def _bias_stretched(x: Any, gain: Any, bias: Any, epsilon: float) -> Any:
    return (layer_norm(x, np.ones_like(gain), np.zeros_like(bias), epsilon) + bias) * gain


_ROWS = np.array([[1.0, 2, 4, 5], [0, 0, 0, 8]])  # mean 3 and variance 2.5; mean 2 and variance 12

LAYER_NORM = Exercise(
    id="04.layer_norm",
    title="layer norm",
    goal="Write what stands behind every sum in a block: it keeps the numbers of each token at a steady size.",
    solution=layer_norm,
    cases=(
        Case(
            (_ROWS, np.ones(4), np.zeros(4), 0.0),
            [[v / 2.5**0.5 for v in (-2, -1, 1, 2)], [v / 12**0.5 for v in (-2, -2, -2, 6)]],
            "there are two tokens of very different size, and each is brought to mean 0 and spread 1 by itself",
        ),
        Case(
            (np.array([[1.0, 3.0]]), np.array([2.0, 10.0]), np.array([0.5, 1.0]), 0.0),
            [[-1.5, 11.0]],
            "gain and bias stretch and shift what is -1 and 1 before",
        ),
        Case((np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), 3.0), [[-0.5, 0.5]], "the variance is 1, and epsilon, for once, is 3"),
        Case((np.array([[7.0, 7, 7]]), np.ones(3), np.zeros(3), 1e-5), [[0.0, 0, 0]], "all numbers of the token are equal"),
    ),
    mistakes=(
        Mistake(
            _over_tokens,
            "mean and variance are taken over the tokens. Layer norm looks at one token at a time: `axis=-1`. (Over the others it would be "
            "batch norm, and a token would change with its company.)",
            "over the tokens",
        ),
        Mistake(
            _over_everything,
            "mean and variance are those of the whole matrix. Every token has its own: `axis=-1, keepdims=True`.",
            "whole matrix",
        ),
        Mistake(
            _by_one_less,
            "the variance divides by D - 1. That is the estimate from a sample; here it is the plain mean of squares, which is what "
            "`x.var()` gives in numpy (torch's default is the other one).",
            "by D - 1",
        ),
        Mistake(_root_forgotten, "it divides by the variance. The spread is its square *root*.", "by the variance"),
        Mistake(
            _epsilon_outside,
            "epsilon is added behind the root. In the formula it stands under it: sqrt(variance + epsilon).",
            "behind the root",
        ),
        Mistake(_epsilon_forgotten, "epsilon is left out, so a token whose numbers are all equal becomes 0 / 0.", "left out"),
        Mistake(
            _gain_forgotten,
            "gain and bias do nothing. They are learned, and let a layer undo the norm where that is better.",
            "do nothing",
        ),
        Mistake(_bias_stretched, "the bias is stretched by the gain. First times gain, then plus bias.", "stretched by the gain"),
    ),
    hint="`x.mean(axis=-1, keepdims=True)` and `x.var(axis=-1, keepdims=True)` are float[T, 1], so they fit every column of their row.",
    insight="No other token has a say in it, so padding and batch size cannot change the result. `nn.LayerNorm` is this.",
    imports="import numpy as np",
)

EXERCISES = (MASKED_ATTENTION, SPLIT_HEADS, POSITIONAL_ENCODING, LAYER_NORM)
