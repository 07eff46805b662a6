"""The exercises of notebook 05b: hiding words and keeping them as labels, the loss at the blanks alone, a step of merging, int8."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np

from src.teaching.exercises import Case, Exercise, Mistake

# --- mask_tokens ---------------------------------------------------------------------------------------------------------


def mask_tokens(
    token_ids: np.ndarray,
    special: np.ndarray,
    dice: np.ndarray,
    drawn: np.ndarray,
    mask_id: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Hide words as BERT does. The dice have been thrown already.

    token_ids: int[T]   special: bool[T], True on [CLS], [SEP] and padding
    dice: float[2, T], between 0 and 1. The first row chooses the tokens to ask
    for: below 0.15, and not special. The second says what becomes of a chosen
    one: below 0.8 it is hidden behind mask_id, from 0.8 to below 0.9 it is
    replaced by the token of `drawn`, int[T], at its place; else it stays.
    Returns inputs and labels, int[T] each. A label is the token that stood there
    where it was chosen, and -100 everywhere else.
    Example: mask_tokens(np.array([5, 6]), np.array([True, False]),
    np.array([[0.1, 0.1], [0.5, 0.5]]), np.array([8, 9]), 103)
    gives ([5, 103], [-100, 6]).
    """
    chosen = (dice[0] < 0.15) & ~special
    inputs = np.where(chosen & (dice[1] < 0.8), mask_id, token_ids)
    inputs = np.where(chosen & (dice[1] >= 0.8) & (dice[1] < 0.9), drawn, inputs)
    return inputs, np.where(chosen, token_ids, -100)


def _hides_special(token_ids: Any, special: Any, dice: Any, drawn: Any, mask_id: int) -> Any:
    return mask_tokens(token_ids, np.zeros_like(special), dice, drawn, mask_id)


def _labels_everywhere(token_ids: Any, special: Any, dice: Any, drawn: Any, mask_id: int) -> Any:
    return mask_tokens(token_ids, special, dice, drawn, mask_id)[0], token_ids


def _labels_of_inputs(token_ids: Any, special: Any, dice: Any, drawn: Any, mask_id: int) -> Any:
    inputs, labels = mask_tokens(token_ids, special, dice, drawn, mask_id)
    return inputs, np.where(labels == -100, -100, inputs)


def _always_hidden(token_ids: Any, special: Any, dice: Any, drawn: Any, mask_id: int) -> Any:
    labels = mask_tokens(token_ids, special, dice, drawn, mask_id)[1]
    return np.where(labels == -100, token_ids, mask_id), labels


def _drawn_for_all_the_rest(token_ids: Any, special: Any, dice: Any, drawn: Any, mask_id: int) -> Any:
    inputs, labels = mask_tokens(token_ids, special, dice, drawn, mask_id)
    return np.where((labels != -100) & (dice[1] >= 0.8), drawn, inputs), labels


def _kept_are_not_asked(token_ids: Any, special: Any, dice: Any, drawn: Any, mask_id: int) -> Any:
    inputs, _ = mask_tokens(token_ids, special, dice, drawn, mask_id)
    return inputs, np.where(inputs != token_ids, token_ids, -100)


def _one_dice_for_both(token_ids: Any, special: Any, dice: Any, drawn: Any, mask_id: int) -> Any:
    return mask_tokens(token_ids, special, np.stack([dice[0], dice[0] / 0.15]), drawn, mask_id)


def _dice(*rows: tuple[float, float]) -> np.ndarray:
    """Two throws for each place, as float[2, T]."""
    return np.array(rows, dtype=float).T


_TEXT = np.array([101, 11, 12, 13, 14, 15, 102])
_ENDS = np.array([True, False, False, False, False, False, True])
_OTHERS = np.array([90, 91, 92, 93, 94, 95, 96])

MASK_TOKENS = Exercise(
    id="05b.mask_tokens",
    title="hide words, keep the answers",
    goal="Make an exercise for BERT out of a sentence: what it gets to see, and the labels.",
    solution=mask_tokens,
    cases=(
        Case(
            (_TEXT, _ENDS, _dice((0.9, 0.5), (0.5, 0.5), (0.1, 0.3), (0.7, 0.85), (0.6, 0.1), (0.9, 0.95), (0.9, 0.2)), _OTHERS, 103),
            ([101, 11, 103, 13, 14, 15, 102], [-100, -100, 12, -100, -100, -100, -100]),
            "one token is chosen, and hidden",
        ),
        Case(
            (_TEXT, _ENDS, _dice((0.9, 0.5), (0.02, 0.1), (0.1, 0.85), (0.14, 0.95), (0.6, 0.1), (0.9, 0.9), (0.9, 0.2)), _OTHERS, 103),
            ([101, 103, 92, 13, 14, 15, 102], [-100, 11, 12, 13, -100, -100, -100]),
            "three tokens are chosen: one is hidden, one replaced, one stays, and all three have a label",
        ),
        Case(
            (_TEXT, _ENDS, _dice((0.1, 0.5), (0.5, 0.5), (0.6, 0.3), (0.7, 0.5), (0.6, 0.1), (0.08, 0.2), (0.0, 0.85)), _OTHERS, 103),
            ([101, 11, 12, 13, 14, 103, 102], [-100, -100, -100, -100, -100, 15, -100]),
            "the dice would choose [CLS] and [SEP] too, which are no text",
        ),
        Case(
            (np.array([7, 7]), np.array([False, False]), _dice((0.15, 0.1), (0.5, 0.9)), np.array([1, 2]), 103),
            ([7, 7], [-100, -100]),
            "nothing is chosen: 0.15 is not below 0.15",
        ),
    ),
    mistakes=(
        Mistake(
            _hides_special,
            "it chooses special tokens as well. `[CLS]`, `[SEP]` and padding are no text: nobody should learn to guess them.",
            "chooses special tokens",
        ),
        Mistake(
            _labels_everywhere,
            "it gives every token a label, so the loss would be taken everywhere, mostly where the answer can be seen. Where nothing is "
            "asked the label is -100.",
            "gives every token a label",
        ),
        Mistake(
            _labels_of_inputs,
            "its labels are what the model sees, not what stood there. A label is the token *before* masking.",
            "not what stood there",
        ),
        Mistake(
            _always_hidden,
            "it hides every chosen token. One in ten is replaced by another and one in ten stays, so that the model cannot rely on what "
            "it sees at other places.",
            "hides every chosen token",
        ),
        Mistake(
            _drawn_for_all_the_rest,
            "it replaces everything that is not hidden. From 0.9 on a chosen token stays as it is.",
            "replaces everything",
        ),
        Mistake(
            _kept_are_not_asked,
            "a chosen token that stays has no label. It is asked for all the same; the model cannot know that it is right.",
            "asked for all the same",
        ),
        Mistake(
            _one_dice_for_both,
            "it uses the first dice for both questions. What becomes of a chosen token is decided by the second row.",
            "first dice for both",
        ),
    ),
    hint="Begin with `chosen`, bool[T]. Then three times `np.where`: mask_id, drawn, and at last the labels, from `token_ids` itself.",
    insight="No person wrote these labels. `src.pretraining.mask_words` does the same for a whole batch; its `NO_LABEL` is your -100.",
    imports="import numpy as np",
)


# --- masked_loss ---------------------------------------------------------------------------------------------------------


def masked_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """The loss of masked words: the mean over the blanks, and nothing else.

    logits: float[T, V], a score for every token of the vocabulary at every place
    labels: int[T], the token that stood there, or -100 where nothing is asked
    Returns the mean of -ln(probability of the label) over the places with a
    label, where softmax makes probabilities of a row of logits. Scores can be
    large: 1000 must not overflow. 0.0 where no place has a label.
    Example: masked_loss(np.array([[0.0, 0.0], [9.0, 1.0]]), np.array([1, -100]))
    gives 0.6931, the logarithm of 2.
    """
    asked = labels != -100
    if not asked.any():
        return 0.0
    scores = logits[asked] - logits[asked].max(axis=1, keepdims=True)
    log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return float(-log_probs[np.arange(len(log_probs)), labels[asked]].mean())


def _log_softmax(logits: Any) -> Any:
    scores = logits - logits.max(axis=1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def _losses(logits: Any, labels: Any) -> Any:
    """The loss of each place, 0 where nothing is asked."""
    asked = labels != -100
    return np.where(asked, -_log_softmax(logits)[np.arange(len(labels)), np.where(asked, labels, 0)], 0.0)


def _over_all_places(logits: Any, labels: Any) -> float:
    return float(_losses(logits, labels).mean())


def _summed(logits: Any, labels: Any) -> float:
    return float(_losses(logits, labels).sum())


def _minus_hundred_as_place(logits: Any, labels: Any) -> float:
    return float(-_log_softmax(logits)[np.arange(len(labels)), labels % logits.shape[1]].mean())


def _without_softmax(logits: Any, labels: Any) -> float:
    asked = labels != -100
    return float(-logits[asked, labels[asked]].mean()) if asked.any() else 0.0


def _overflows(logits: Any, labels: Any) -> float:
    asked = labels != -100
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return float(-np.log(probs[asked, labels[asked]]).mean()) if asked.any() else 0.0


def _mean_of_nothing(logits: Any, labels: Any) -> float:
    return masked_loss(logits, labels) if (labels != -100).any() else math.nan


def _in_bits(logits: Any, labels: Any) -> float:
    return masked_loss(logits, labels) / math.log(2)


_SCORES = np.array([[2.0, 0.0, 1.0], [0.5, 0.5, 0.5], [0.0, 3.0, -1.0], [1.0, 1.0, 4.0]])

MASKED_LOSS = Exercise(
    id="05b.masked_loss",
    title="the loss at the blanks",
    goal="Compute what training makes small: how surprised the model is by what stood at the blanks.",
    solution=masked_loss,
    cases=(
        Case(
            (_SCORES, np.array([-100, 2, 1, -100])),
            (math.log(3) + math.log(1 + math.exp(-3) + math.exp(-4))) / 2,
            "two of four places are asked; at the first of them all three tokens are equally likely",
        ),
        Case((_SCORES, np.array([0, -100, -100, -100])), math.log(1 + math.exp(-2) + math.exp(-1)), "a single place is asked"),
        Case((_SCORES[1:2], np.array([0])), math.log(3), "every place is asked, and every token is equally likely"),
        Case((np.array([[1000.0, 0.0], [0.0, 1000.0]]), np.array([0, 0])), 500.0, "scores are large; exp(1000) is more than a float holds"),
        Case((_SCORES, np.array([-100, -100, -100, -100])), 0.0, "nothing is asked at all"),
    ),
    mistakes=(
        Mistake(
            _over_all_places,
            "it divides by the number of all places. Places where nothing is asked must not count, or the loss depends on how many blanks "
            "there happen to be.",
            "number of all places",
        ),
        Mistake(_summed, "it sums the losses. Asked for is their mean over the blanks.", "sums the losses"),
        Mistake(
            _minus_hundred_as_place,
            "it takes -100 for the number of a token. It says that nothing is asked there: leave these places out first.",
            "takes -100 for the number",
        ),
        Mistake(
            _without_softmax,
            "it averages the scores themselves. Softmax makes probabilities of them first, then comes the logarithm.",
            "averages the scores",
        ),
        Mistake(
            _overflows,
            "it overflows with large scores: exp(1000) is infinite. Subtract the largest score of each row first; softmax stays the same.",
            "it overflows",
        ),
        Mistake(
            _mean_of_nothing,
            "the mean of no number at all is 0 / 0. Where nothing is asked the loss is 0.0.",
            "mean of no number",
        ),
        Mistake(_in_bits, "it counts in bits. Here, as in torch, the logarithm is the natural one.", "counts in bits"),
    ),
    hint="Choose the rows with `logits[labels != -100]` first. The logarithm of softmax is `scores - np.log(np.exp(scores).sum(...))`, "
    "after the largest score of each row has been subtracted.",
    insight="torch's `cross_entropy` does the same; -100 is its own default for places to leave out, which is why BERT's labels use it.",
    imports="import numpy as np",
)


# --- merge_once ----------------------------------------------------------------------------------------------------------


def merge_once(words: list[list[str]], counts: list[int]) -> list[list[str]]:
    """One step of byte-pair encoding: join the most frequent two neighbours.

    words: each word as its pieces so far, such as ["l", "ow"]
    counts: how often each of the words occurs in the text
    Find the two pieces that stand side by side most often in the text (of equally
    frequent pairs the first in alphabetical order), and join them in every word,
    going from left to right. Returns the words with their new pieces; nothing
    changes where every word is a single piece.
    Example: merge_once([["a", "b", "c"], ["b", "c"]], [2, 3])
    gives [["a", "bc"], ["bc"]]: b and c stand together 5 times, a and b 2 times.
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


def _pairs(words: list[list[str]], counts: list[int]) -> Counter:
    pairs: Counter = Counter()
    for pieces, count in zip(words, counts, strict=True):
        for pair in pairwise(pieces):
            pairs[pair] += count
    return pairs


def _join(pieces: list[str], best: tuple[str, str], most: int = 99) -> list[str]:
    joined, i = [], 0
    while i < len(pieces):
        hit = most > 0 and tuple(pieces[i : i + 2]) == best
        most -= hit
        joined.append("".join(best) if hit else pieces[i])
        i += 2 if hit else 1
    return joined


def _ignores_counts(words: Any, counts: Any) -> Any:
    return merge_once(words, [1] * len(words))


def _first_place_only(words: Any, counts: Any) -> Any:
    pairs = _pairs(words, counts)
    best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=("", ""))
    return [_join(pieces, best, most=1) for pieces in words]


def _first_seen(words: Any, counts: Any) -> Any:
    pairs = _pairs(words, counts)
    best = max(pairs, key=lambda pair: pairs[pair], default=("", ""))
    return [_join(pieces, best) for pieces in words]


def _piece_used_twice(words: Any, counts: Any) -> Any:
    pairs = _pairs(words, counts)
    best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=("", ""))
    result = []
    for pieces in words:
        hits = {i for i, pair in enumerate(pairwise(pieces)) if pair == best}
        result.append(["".join(best) if i in hits else piece for i, piece in enumerate(pieces) if i in hits or i - 1 not in hits])
    return result


def _letters_again(words: Any, counts: Any) -> Any:
    return merge_once([list("".join(pieces)) for pieces in words], counts)


def _rarest(words: Any, counts: Any) -> Any:
    pairs = _pairs(words, counts)
    best = min(pairs, key=lambda pair: (pairs[pair], pair), default=("", ""))
    return [_join(pieces, best) for pieces in words]


def _nothing_to_join(words: Any, counts: Any) -> Any:
    if not _pairs(words, counts):
        raise ValueError("max() iterable argument is empty")
    return merge_once(words, counts)


MERGE_ONCE = Exercise(
    id="05b.merge_once",
    title="one merge",
    goal="Write the one step that vocabularies of GPT and BERT are made by, thousands of times over.",
    solution=merge_once,
    cases=(
        Case(
            ([["s", "i", "n", "g"], ["r", "i", "n", "g"], ["r", "a", "n"]], [4, 3, 6]),
            [["s", "in", "g"], ["r", "in", "g"], ["r", "a", "n"]],
            "i and n stand side by side 7 times, as n and g do, and come first in the alphabet",
        ),
        Case(
            ([["c", "a", "t"], ["c", "a", "r"], ["d", "o", "g"]], [2, 2, 9]),
            [["c", "a", "t"], ["c", "a", "r"], ["do", "g"]],
            "the pair that stands in most words is not the one that stands most often in the text",
        ),
        Case(([["z", "y"], ["b", "a"]], [3, 3]), [["z", "y"], ["ba"]], "two pairs are equally frequent; the alphabet decides"),
        Case(
            ([["th", "e"], ["th", "e", "n"], ["t", "o"]], [5, 2, 6]),
            [["the"], ["the", "n"], ["t", "o"]],
            "one piece has two letters already",
        ),
        Case(
            ([["b", "a", "n", "a", "n", "a"], ["a", "n"]], [2, 1]),
            [["b", "an", "an", "a"], ["an"]],
            "the pair stands twice in one word",
        ),
        Case(([["h", "a", "a", "a", "a"]], [1]), [["h", "aa", "aa"]], "four equal pieces stand in a row: each can be joined only once"),
        Case(([["ox"], ["a"]], [2, 5]), [["ox"], ["a"]], "there is nothing left to join"),
    ),
    mistakes=(
        Mistake(
            _ignores_counts,
            "it counts every word once. A pair in a word that occurs nine times stands in the text nine times.",
            "counts every word once",
        ),
        Mistake(_first_place_only, "it joins only the first of several such pairs in a word.", "only the first of several"),
        Mistake(
            _first_seen,
            "of equally frequent pairs it takes the one it saw first. Take the first in alphabetical order, so that the result does not "
            "depend on the order of the words.",
            "the one it saw first",
        ),
        Mistake(
            _piece_used_twice,
            "it uses a piece twice: what has been joined with its left neighbour cannot be joined with its right one as well.",
            "uses a piece twice",
        ),
        Mistake(
            _letters_again,
            "it begins with single letters again. Merges build on each other: a piece that was joined before counts as one.",
            "single letters again",
        ),
        Mistake(_rarest, "it joins the rarest pair. The most frequent one saves most tokens.", "the rarest pair"),
        Mistake(
            _nothing_to_join, "it fails where no two pieces stand side by side. Then the words stay as they are.", "no two pieces stand"
        ),
    ),
    hint="Two loops. In the first a `Counter` gets `count` for every pair of neighbours, `zip(pieces, pieces[1:])`. In the second walk "
    "through each word with an index `i` that moves on by 2 after a join and by 1 otherwise.",
    insight="Repeat it, write down each join, and you have a vocabulary: `src.subwords.learn_merges` is this in a loop.",
    imports="from collections import Counter\nfrom itertools import pairwise",
)

# --- quantise_matrix -----------------------------------------------------------------------------------------------------


def quantise_matrix(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write each row of a matrix in whole numbers from -127 to 127 and a scale.

    weights: float[rows, columns]
    Returns the whole numbers, int[rows, columns], and the scales, float[rows].
    A row's scale makes its largest number, whatever its sign, 127 or -127; a row
    of zeros has scale 1. Weights are divided by it and rounded to the nearest.
    So numbers times scales, row by row, are nearly the weights again.
    Example: quantise_matrix(np.array([[1.27, -0.5]]))
    gives ([[127, -50]], [0.01]).
    """
    scales = np.abs(weights).max(axis=1) / 127
    scales = np.where(scales == 0, 1.0, scales)
    return np.round(weights / scales[:, None]).astype(int), scales


def _with_scales(weights: Any, scales: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.round(weights / scales[:, None]).astype(int), scales


def _safe(scales: Any) -> Any:
    return np.where(scales == 0, 1.0, scales)


def _scale_of_the_mean(weights: Any) -> Any:
    return _with_scales(weights, _safe(np.abs(weights).mean(axis=1) / 127))


def _one_scale_for_all(weights: Any) -> Any:
    return _with_scales(weights, np.full(len(weights), np.abs(weights).max() / 127))


def _single_number_as_scale(weights: Any) -> Any:
    scale = np.abs(weights).max() / 127
    return np.round(weights / scale).astype(int), scale


def _sign_forgotten(weights: Any) -> Any:
    return _with_scales(weights, _safe(weights.max(axis=1) / 127))


def _from_zero_to_255(weights: Any) -> Any:
    low = weights.min(axis=1)
    scales = _safe((weights.max(axis=1) - low) / 255)
    return np.round((weights - low[:, None]) / scales[:, None]).astype(int), scales


def _cut_off(weights: Any) -> Any:
    scales = quantise_matrix(weights)[1]
    return (weights / scales[:, None]).astype(int), scales


def _not_rounded(weights: Any) -> Any:
    scales = quantise_matrix(weights)[1]
    return weights / scales[:, None], scales


def _by_128(weights: Any) -> Any:
    return _with_scales(weights, _safe(np.abs(weights).max(axis=1) / 128))


def _scale_for_each_column(weights: Any) -> Any:
    scales = _safe(np.abs(weights).max(axis=0) / 127)
    return np.round(weights / scales).astype(int), scales


def _upside_down(weights: Any) -> Any:
    numbers, scales = quantise_matrix(weights)
    return numbers, 1 / scales


def _zero_by_zero(weights: Any) -> Any:
    return _with_scales(weights, np.abs(weights).max(axis=1) / 127)


def _has_a_scale_of_zero(case: Case, value: Any) -> bool:
    return 0 in list(value[1])


QUANTISE_MATRIX = Exercise(
    id="05b.quantise_matrix",
    title="from floating point to int8",
    goal="Write a matrix in whole numbers that fit into one byte each, with a scale for each row.",
    solution=quantise_matrix,
    cases=(
        Case((np.array([[1.27, -0.5, 0.768]]),), ([[127, -50, 77]], [0.01]), "there is one row, and a step of it is 0.01"),
        Case(
            (np.array([[2.54, 1.0], [0.0254, -0.01]]),),
            ([[127, 50], [127, -50]], [0.02, 0.0002]),
            "the weights of the second row are a hundred times smaller",
        ),
        Case((np.array([[-12.7, 3.0], [1.0, -2.54]]),), ([[-127, 30], [50, -127]], [0.1, 0.02]), "the largest weights are negative"),
        Case((np.array([[0.0, 0.0], [1.27, 0.0]]),), ([[0, 0], [127, 0]], [1.0, 0.01]), "all weights of the first row are zero"),
    ),
    mistakes=(
        Mistake(
            _scale_of_the_mean,
            "the scale comes from the mean of the row. Then the larger weights become more than 127 and do not fit into a byte: it has to "
            "be the largest one that becomes 127.",
            "from the mean",
        ),
        Mistake(
            _one_scale_for_all,
            "there is one scale for the whole matrix. A row of small weights then uses a few of its numbers only: take the maximum along "
            "each row, `axis=1`.",
            "one scale for the whole matrix",
        ),
        Mistake(
            _single_number_as_scale,
            "the scale is a single number, and each row needs its own: the maximum with `axis=1`.",
            "a single number",
        ),
        Mistake(
            _from_zero_to_255,
            "it counts from 0 to 255, from the lowest weight to the highest. That uses the byte fully, but 0 no longer means 0, and the "
            "product of a layer gets more parts. Here the numbers have a sign.",
            "from 0 to 255",
        ),
        Mistake(
            _sign_forgotten,
            "the scale is made from the highest weight, but a negative one can be larger in size, and then does not fit: `np.abs` first.",
            "larger in size",
        ),
        Mistake(
            _cut_off,
            "it cuts off what stands behind the point, as `astype(int)` does. So all weights move towards zero, up to a whole step: "
            "round first.",
            "cuts off",
        ),
        Mistake(
            _not_rounded,
            "the weights are divided and not rounded, so they are no whole numbers and need as many bits as before.",
            "not rounded",
        ),
        Mistake(
            _by_128,
            "it divides by 128, so the largest weight becomes 128, and the largest number of a byte with sign is 127.",
            "by 128",
        ),
        Mistake(
            _scale_for_each_column,
            "each column has a scale. A row makes one output of the layer, so a scale for each row can wait until after the product; one "
            "for each column cannot.",
            "each column has a scale",
        ),
        Mistake(_upside_down, "the scales are upside down: numbers *times* scales should be the weights again.", "upside down"),
        Mistake(
            _zero_by_zero, "a row of zeros is divided by zero. Give it the scale 1 (`np.where`).", "divided by zero", _has_a_scale_of_zero
        ),
    ),
    hint="Three lines: `np.abs(weights).max(axis=1) / 127`, with 1 where that is 0; `weights / scales[:, None]`, rounded; both returned. "
    "`[:, None]` makes a column of the scales, so that each row is divided by its own.",
    insight="The error is half a scale at most, so one large weight makes its whole row coarse. That is why each row has its own.",
    imports="import numpy as np",
)

EXERCISES = (MASK_TOKENS, MASKED_LOSS, MERGE_ONCE, QUANTISE_MATRIX)
