"""The exercises of notebook 02: from sentences to training pairs, from a pair to its loss, from a first layer to word vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from src.teaching.exercises import Case, Exercise, Mistake

# --- training_pairs ------------------------------------------------------------------------------------------------------


def training_pairs(token_ids: list[int], window: int) -> list[tuple[int, int]]:
    """Every (centre, context) pair of one sentence, for skip-gram.

    token_ids: the words of the sentence in order, each as its number
    window: how many places before and after the centre count as its context
    Pairs are sorted by the place of the centre, then by that of the context.
    Near the ends of the sentence there is less context, and that is all right.
    Example: training_pairs([7, 3, 5], 1) gives [(7, 3), (3, 7), (3, 5), (5, 3)].
    """
    T, pairs = len(token_ids), []
    for i in range(T):
        first, last = max(i - window, 0), min(i + window, T - 1)
        for j in range(first, last + 1):
            if j != i:
                pairs.append((token_ids[i], token_ids[j]))
    return pairs


def _pairs(token_ids: list[int], window: int, skip_own_place: bool = True, ahead: int = 0) -> list[tuple[int, int]]:
    """The pairs, with the window longer by `ahead` places."""
    return [
        (token_ids[i], token_ids[j])
        for i in range(len(token_ids))
        for j in range(max(i - window, 0), min(i + window + 1 + ahead, len(token_ids)))
        if not (skip_own_place and i == j)
    ]


def _centre_as_context(token_ids: list[int], window: int) -> list[tuple[int, int]]:
    return _pairs(token_ids, window, skip_own_place=False)


def _only_ahead(token_ids: list[int], window: int) -> list[tuple[int, int]]:
    return [(token_ids[i], token_ids[j]) for i in range(len(token_ids)) for j in range(i + 1, min(i + window + 1, len(token_ids)))]


def _last_place_missing(token_ids: list[int], window: int) -> list[tuple[int, int]]:
    return _pairs(token_ids, window, ahead=-1)


def _negative_places(token_ids: list[int], window: int) -> list[tuple[int, int]]:
    return [
        (centre, context) for i, centre in enumerate(token_ids) for context in token_ids[i - window : i] + token_ids[i + 1 : i + window + 1]
    ]


def _around_the_end(token_ids: list[int], window: int) -> list[tuple[int, int]]:
    return [
        (centre, token_ids[(i + step) % len(token_ids)])
        for i, centre in enumerate(token_ids)
        for step in range(-window, window + 1)
        if step != 0
    ]


def _same_word_skipped(token_ids: list[int], window: int) -> list[tuple[int, int]]:
    return [(centre, context) for centre, context in _pairs(token_ids, window) if centre != context]


def _context_first(token_ids: list[int], window: int) -> list[tuple[int, int]]:
    return [(context, centre) for centre, context in _pairs(token_ids, window)]


def _has_a_pair_with_itself(case: Case, value: Any) -> bool:
    return 5 not in case.arguments[0] and any(centre == context for centre, context in value)


TRAINING_PAIRS = Exercise(
    id="02.training_pairs",
    title="a sentence into training pairs",
    goal="Slide a window over the words of a sentence and write down who stands near whom.",
    solution=training_pairs,
    cases=(
        Case(
            ([4, 9, 2, 6], 2),
            [(4, 9), (4, 2), (9, 4), (9, 2), (9, 6), (2, 4), (2, 9), (2, 6), (6, 9), (6, 2)],
        ),
        Case(([7, 3, 5], 1), [(7, 3), (3, 7), (3, 5), (5, 3)]),
        Case(([1, 2, 3], 9), [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)], "the window is longer than the sentence"),
        Case(([8], 3), [], "a sentence of one word has no context at all"),
        Case(([5, 5, 1], 1), [(5, 5), (5, 5), (5, 1), (1, 5)], "a word stands beside a copy of itself, at another place"),
    ),
    mistakes=(
        Mistake(
            _centre_as_context,
            "it makes a pair of every word with itself. The centre is the question, so it must be left out of the answers.",
            "pair of every word with itself",
            _has_a_pair_with_itself,
        ),
        Mistake(
            _only_ahead,
            "it looks ahead only. The window reaches to both sides: the words before the centre are its context as well.",
            "looks ahead only",
        ),
        Mistake(
            _last_place_missing,
            "it misses the last place of the window. `range` and slices stop *before* their end, so the end has to be `i + window + 1`.",
            "misses the last place",
        ),
        Mistake(
            _negative_places,
            "near the start of the sentence `i - window` is below zero, and Python counts a negative place of a list from its end. "
            "Start at `max(i - window, 0)`.",
            "is below zero",
        ),
        Mistake(
            _around_the_end,
            "it goes round: the context of the first word holds the last one. A window stops at the ends of the sentence.",
            "it goes round",
        ),
        Mistake(
            _same_word_skipped,
            "it leaves out a pair because its two *words* are equal. Compare places, `j != i`: a word may stand beside another copy "
            "of itself.",
            "Compare places",
        ),
        Mistake(
            _context_first,
            "centre and context have changed places in the pairs. The first of the two is the word the window stands on.",
            "changed places",
        ),
    ),
    hint="Two loops: `i` over the places of the sentence, `j` over the places from `max(i - window, 0)` to `min(i + window, T - 1)`, both "
    "included. What must not happen when `j == i`?",
    insight="Nobody labelled anything: the text itself says what the right answers are. `src.word2vec.training_pairs` does it faster.",
)


# --- keep_probability ----------------------------------------------------------------------------------------------------


def keep_probability(counts: np.ndarray, threshold: float) -> np.ndarray:
    """The chance of each word to stay when frequent words are thinned out.

    counts: int[V], how often each word occurs in the text, at least once
    threshold: a share of all words, such as 0.001
    Returns float[V], square root of (threshold / share of the word), at most 1;
    the share of a word is its count divided by the sum of all counts.
    Example: keep_probability(np.array([90, 9, 1]), 0.1) gives [0.3333, 1.0, 1.0]:
    the first word makes up 0.9 of the text, and the square root of 1/9 is 1/3.
    """
    shares = counts / counts.sum()
    return np.minimum(1.0, np.sqrt(threshold / shares))


def _drop_probability(counts: np.ndarray, threshold: float) -> np.ndarray:
    return 1 - keep_probability(counts, threshold)


def _drop_without_limit(counts: np.ndarray, threshold: float) -> np.ndarray:
    return 1 - np.sqrt(threshold / (counts / counts.sum()))


def _without_limit(counts: np.ndarray, threshold: float) -> np.ndarray:
    return np.sqrt(threshold / (counts / counts.sum()))


def _counts_for_shares(counts: np.ndarray, threshold: float) -> np.ndarray:
    return np.minimum(1.0, np.sqrt(threshold / counts))


def _no_square_root(counts: np.ndarray, threshold: float) -> np.ndarray:
    return np.minimum(1.0, threshold / (counts / counts.sum()))


def _upside_down(counts: np.ndarray, threshold: float) -> np.ndarray:
    return np.minimum(1.0, np.sqrt(counts / counts.sum() / threshold))


def _above_one(case: Case, value: Any) -> bool:
    return max(value) > 1 + 1e-6


KEEP_PROBABILITY = Exercise(
    id="02.keep_probability",
    title="thin out the frequent words",
    goal="Compute the chance of each word to stay in the text. The frequent ones, `the` and `of`, are thinned out most; rare ones "
    "all stay.",
    solution=keep_probability,
    cases=(
        Case(
            (np.array([90, 9, 1]), 0.1),
            np.array([1 / 3, 1, 1]),
            "the first word makes up nine tenths of the text, the others less than the threshold",
        ),
        Case((np.array([50, 40, 10]), 0.2), np.array([0.4**0.5, 0.5**0.5, 1]), "two words are above the threshold"),
        Case((np.array([25, 25, 25, 25]), 0.01), np.full(4, 0.2), "all words are equally frequent, and far above the threshold"),
        Case((np.array([5, 3, 2]), 0.9), np.ones(3), "the threshold is so high that every word stays"),
    ),
    mistakes=(
        Mistake(
            _drop_probability,
            "it gives the chance to be *thrown out*. The paper writes it down that way, 1 - sqrt(threshold / share); here the "
            "chance to stay is asked for.",
            "thrown out",
        ),
        Mistake(
            _drop_without_limit,
            "it gives the chance to be dropped, and below zero for rare words. Asked for is the chance to stay, and it lies between "
            "0 and 1.",
            "chance to be dropped",
        ),
        Mistake(
            _without_limit,
            "it goes above 1 for rare words. A chance cannot: `np.minimum(1.0, ...)` says that they all stay.",
            "goes above 1",
            _above_one,
        ),
        Mistake(
            _counts_for_shares,
            "it compares the threshold with the counts. The threshold is a share of the text, so the counts must become shares "
            "first: divide by their sum.",
            "with the counts",
        ),
        Mistake(
            _no_square_root,
            "it lacks the square root. Without it frequent words would be thinned down to exactly the threshold; the root is gentler.",
            "lacks the square root",
        ),
        Mistake(
            _upside_down,
            "the fraction stands on its head: it keeps all frequent words and throws out the rare ones, which carry the meaning. "
            "The share belongs below.",
            "on its head",
        ),
    ),
    hint="First the shares: `counts / counts.sum()`. Then threshold over share, its square root, and nothing above 1 (`np.minimum`).",
    insight="`src.word2vec.subsampling_keep` does this. The text gets shorter, so training is faster, and windows reach over the "
    "gaps to words that say more.",
    imports="import numpy as np",
)


# --- pair_loss -----------------------------------------------------------------------------------------------------------


def pair_loss(
    centre: np.ndarray,
    context: np.ndarray,
    negatives: np.ndarray,
) -> float:
    """The negative-sampling loss of one training pair.

    centre: float[D], the centre's row of the first layer
    context: float[D], the row of its true neighbour in the second layer
    negatives: float[K, D], the rows of K words drawn at random
    loss = -log sigmoid(context . centre)
           - sum over k of log sigmoid(-negatives[k] . centre)
    A score of -1000 must not end in infinity: -log sigmoid(x) is
    np.logaddexp(0, -x), which is safe for any x.
    Example: pair_loss(np.zeros(2), np.ones(2), np.ones((3, 2))) gives 2.7726,
    which is 4 times log 2: one coin is tossed for each of the four words.
    """
    right = context @ centre  # should become large
    wrong = negatives @ centre  # float[K], should become small
    return float(np.logaddexp(0, -right) + np.logaddexp(0, wrong).sum())


def _sigmoid(x: Any) -> Any:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def _negatives_as_neighbours(centre: np.ndarray, context: np.ndarray, negatives: np.ndarray) -> float:
    return float(np.logaddexp(0, -context @ centre) + np.logaddexp(0, -negatives @ centre).sum())


def _signs_swapped(centre: np.ndarray, context: np.ndarray, negatives: np.ndarray) -> float:
    return float(np.logaddexp(0, context @ centre) + np.logaddexp(0, -negatives @ centre).sum())


def _mean_of_negatives(centre: np.ndarray, context: np.ndarray, negatives: np.ndarray) -> float:
    return float(np.logaddexp(0, -context @ centre) + np.logaddexp(0, negatives @ centre).mean())


def _minus_forgotten(centre: np.ndarray, context: np.ndarray, negatives: np.ndarray) -> float:
    return -pair_loss(centre, context, negatives)


def _log_forgotten(centre: np.ndarray, context: np.ndarray, negatives: np.ndarray) -> float:
    return float(-_sigmoid(context @ centre) - _sigmoid(-negatives @ centre).sum())


def _negatives_forgotten(centre: np.ndarray, context: np.ndarray, negatives: np.ndarray) -> float:
    return float(np.logaddexp(0, -context @ centre))


def _overflows(centre: np.ndarray, context: np.ndarray, negatives: np.ndarray) -> float:
    with np.errstate(divide="ignore"):
        return float(-np.log(_sigmoid(context @ centre)) - np.log(_sigmoid(-negatives @ centre)).sum())


PAIR_LOSS = Exercise(
    id="02.pair_loss",
    title="the loss of one pair",
    goal="Score a pair of true neighbours and a few words drawn at random: the loss is small where the pair scores high and the "
    "others low.",
    solution=pair_loss,
    cases=(
        Case((np.array([1.0, 0.0]), np.array([2.0, 5.0]), np.array([[-1.0, 3.0], [0.5, 1.0]])), 1.4142667),
        Case((np.zeros(2), np.ones(2), np.ones((3, 2))), 2.7725887, "the centre is all zeros, as before any training, so every score is 0"),
        Case((np.array([1.0, -1.0]), np.array([0.5, 0.25]), np.zeros((0, 2))), 0.5759394, "there is no negative at all"),
        Case(
            (np.array([0.5, 2.0]), np.array([-1.0, 1.0]), np.array([[1.0, 1.0]])),
            2.7803030,
            "the wrong word scores higher than the right one",
        ),
        Case((np.array([10.0, 0.0]), np.array([-100.0, 0.0]), np.array([[100.0, 0.0]])), 2000.0, "the scores are huge: -1000 and 1000"),
    ),
    mistakes=(
        Mistake(
            _negatives_as_neighbours,
            "it treats the negatives as if they were neighbours. Their scores should *fall*, so their sign turns: sigmoid(-negative "
            ". centre).",
            "as if they were neighbours",
        ),
        Mistake(
            _signs_swapped,
            "both signs are turned: this pushes neighbours apart and pulls random words together. The true pair has sigmoid(+score).",
            "both signs are turned",
        ),
        Mistake(
            _mean_of_negatives,
            "it takes the mean over the negatives. The formula has their sum: every one of them is a question of its own.",
            "the mean over the negatives",
        ),
        Mistake(
            _minus_forgotten,
            "it lacks the minus in front. The logarithm of a probability is negative; a loss is what should become smaller, so it "
            "is minus that.",
            "lacks the minus",
            lambda case, value: value < 0 and abs(value + case.expected) < 1e-4,
        ),
        Mistake(
            _log_forgotten,
            "it adds up probabilities. Take the logarithm of each sigmoid first: only then do the gradients push hard where the "
            "model is badly wrong.",
            "adds up probabilities",
        ),
        Mistake(
            _negatives_forgotten,
            "the negatives do not count. Then the cheapest way to a small loss is to make *all* vectors alike.",
            "negatives do not count",
        ),
        Mistake(
            _overflows,
            "the formula is right, but sigmoid(-1000) rounds to 0 on a computer, and its logarithm is minus infinity. "
            "`np.logaddexp(0, -x)` is -log sigmoid(x) without that step.",
            "rounds to 0",
        ),
    ),
    hint="Two scores: `context @ centre` is one number, `negatives @ centre` is K of them. -log sigmoid(x) is `np.logaddexp(0, -x)`; "
    "which x belongs to a negative, its score or minus its score?",
    insight="Before training every score is near 0, so the loss of a pair starts at (1 + K) log 2. "
    "`SkipGram.negative_sampling_loss` takes the mean of this over a batch.",
    imports="import numpy as np",
)


# --- normalise_rows ------------------------------------------------------------------------------------------------------


def normalise_rows(embeddings: np.ndarray) -> np.ndarray:
    """Every row with length 1, pointing where it pointed before.

    embeddings: float[V, D], one row for each word
    Returns float[V, D]. A row of zeros has no direction; it stays all zeros.
    The argument itself is left as it was.
    Example: normalise_rows(np.array([[3.0, 4.0], [0.0, 2.0]]))
    gives [[0.6, 0.8], [0.0, 1.0]].
    """
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)  # [V, 1]
    return embeddings / np.where(lengths == 0, 1, lengths)


def _columns(embeddings: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(embeddings, axis=0, keepdims=True)
    return embeddings / np.where(lengths == 0, 1, lengths)


def _one_length_for_all(embeddings: np.ndarray) -> np.ndarray:
    return embeddings / np.linalg.norm(embeddings)


def _sums_for_lengths(embeddings: np.ndarray) -> np.ndarray:
    sums = embeddings.sum(axis=1, keepdims=True)
    return embeddings / np.where(sums == 0, 1, sums)


def _squares_for_lengths(embeddings: np.ndarray) -> np.ndarray:
    squares = (embeddings**2).sum(axis=1, keepdims=True)
    return embeddings / np.where(squares == 0, 1, squares)


def _zero_by_zero(embeddings: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def _axis_lost(embeddings: np.ndarray) -> np.ndarray:
    return embeddings / np.linalg.norm(embeddings, axis=1)


NORMALISE_ROWS = Exercise(
    id="02.normalise_rows",
    title="vectors of length one",
    goal="Give every word vector the length 1, so that a dot product of two of them is their cosine.",
    solution=normalise_rows,
    cases=(
        Case((np.array([[3.0, 4.0], [0.0, 2.0]]),), np.array([[0.6, 0.8], [0.0, 1.0]])),
        Case(
            (np.array([[1.0, 2.0, 2.0], [-6.0, 2.0, 3.0]]),),
            np.array([[1, 2, 2], [0, 0, 0]]) / 3 + np.array([[0, 0, 0], [-6, 2, 3]]) / 7,
            "there are two rows of three numbers",
        ),
        Case(
            (np.array([[0.0, 5.0], [0.0, 0.0]]),),
            np.array([[0.0, 1.0], [0.0, 0.0]]),
            "one row is all zeros: it has no direction, and stays as it is",
        ),
    ),
    mistakes=(
        Mistake(
            _columns, "it divides by the lengths of the *columns*. A word is a row: `axis=1` goes along it.", "lengths of the *columns*"
        ),
        Mistake(
            _one_length_for_all,
            "it divides all rows by one number, the length of the whole matrix. Every row has a length of its own: `axis=1`.",
            "one number",
        ),
        Mistake(
            _sums_for_lengths,
            "it makes the numbers of a row sum to one. The length is the root of the sum of squares, `np.linalg.norm(..., axis=1)`.",
            "sum to one",
        ),
        Mistake(
            _squares_for_lengths, "it divides by the sum of squares. The length is the square *root* of that.", "by the sum of squares"
        ),
        Mistake(_zero_by_zero, "0 / 0 is not a number (`nan`). Put 1 in place of a length of 0, for instance by `np.where`.", "0 / 0"),
        Mistake(
            _axis_lost,
            "the lengths have lost an axis: float[V] lies along the columns when numpy divides. Keep it as float[V, 1] by `keepdims=True`.",
            "lost an axis",
        ),
    ),
    hint="`np.linalg.norm(embeddings, axis=1, keepdims=True)` gives the length of every row, float[V, 1]. Which of them must not be "
    "divided by?",
    insight="`WordVectors` does this once, when it opens a file; after that the cosine of all V words with one of them is a single "
    "matrix product.",
    imports="import numpy as np",
)

EXERCISES = (TRAINING_PAIRS, KEEP_PROBABILITY, PAIR_LOSS, NORMALISE_ROWS)
