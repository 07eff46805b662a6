"""The exercises of notebook 07: a word's part of a BM25 score, two rankings made one, how often a passage is found, how true scores are."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import numpy as np

from src.teaching.exercises import Case, Exercise, Mistake, same

# --- bm25_term -----------------------------------------------------------------------------------------------------------


def bm25_term(
    frequency: int,
    length: int,
    mean_length: float,
    containing: int,
    documents: int,
    k1: float,
    b: float,
) -> float:
    """What one word of a question adds to a document's BM25 score.

    frequency: times the word stands in this document
    length: words in this document   mean_length: words in a document on average
    containing: documents that hold the word   documents: how many there are
    k1, b: how much a repeated word still adds, and how much length counts
    The word's weight: ln(1 + (documents - containing + 0.5) / (containing + 0.5))
    and what the document gets of it is this part:
        frequency / (frequency + k1 * (1 - b + b * length / mean_length))
    Example: bm25_term(2, 50, 100.0, 10, 1000, 1.5, 0.5) gives 2.9167: the word
    weighs 4.557, and the document gets 0.64 of that.
    """
    odds_against = (documents - containing + 0.5) / (containing + 0.5)
    weight = math.log(1 + odds_against)
    room = k1 * (1 - b + b * length / mean_length)
    return weight * frequency / (frequency + room)


def _weight(containing: int, documents: int) -> float:
    return math.log(1 + (documents - containing + 0.5) / (containing + 0.5))


def _room(length: int, mean_length: float, k1: float, b: float) -> float:
    return k1 * (1 - b + b * length / mean_length)


def _without_one(frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float) -> float:
    weight = math.log((documents - containing + 0.5) / (containing + 0.5))
    return weight * frequency / (frequency + _room(length, mean_length, k1, b))


def _plain_idf(frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float) -> float:
    return math.log(documents / containing) * frequency / (frequency + _room(length, mean_length, k1, b))


def _other_logarithm(frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float) -> float:
    return bm25_term(frequency, length, mean_length, containing, documents, k1, b) / math.log(10)


def _no_weight(frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float) -> float:
    return frequency / (frequency + _room(length, mean_length, k1, b))


def _swapped(frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float) -> float:
    return bm25_term(frequency, length, mean_length, documents, containing, k1, b)


def _unsaturated(frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float) -> float:
    return _weight(containing, documents) * frequency


def _brackets_missing(frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float) -> float:
    return _weight(containing, documents) * (frequency / frequency + _room(length, mean_length, k1, b))


def _factor_of_the_first_version(
    frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float
) -> float:
    return bm25_term(frequency, length, mean_length, containing, documents, k1, b) * (k1 + 1)


def _length_forgotten(frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float) -> float:
    return bm25_term(frequency, length, mean_length, containing, documents, k1, 0.0)


def _length_inverted(frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float) -> float:
    return _weight(containing, documents) * frequency / (frequency + k1 * (1 - b + b * mean_length / length))


def _other_end_of_b(frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float) -> float:
    return bm25_term(frequency, length, mean_length, containing, documents, k1, 1 - b)


def _length_without_k1(frequency: int, length: int, mean_length: float, containing: int, documents: int, k1: float, b: float) -> float:
    return _weight(containing, documents) * frequency / (frequency + k1) / (1 - b + b * length / mean_length)


# A weight is written as ln((N + 1) / (n + 0.5)), which is the same by another way.
BM25_TERM = Exercise(
    id="07.bm25_term",
    title="one word's part of BM25",
    goal="Work out what one word of the question adds to the score of one document. A document's BM25 score is the sum of this over "
    "the question's words.",
    solution=bm25_term,
    cases=(
        Case((1, 100, 100.0, 10, 1000, 1.5, 0.5), math.log(1001 / 10.5) * 0.4, "the document is of mean length and holds the word once"),
        Case(
            (6, 100, 100.0, 10, 1000, 1.5, 0.5),
            math.log(1001 / 10.5) * 0.8,
            "the document holds the word six times, which is worth twice as much as once",
        ),
        Case(
            (1, 100, 100.0, 800, 1000, 1.5, 0.5),
            math.log(1001 / 800.5) * 0.4,
            "most documents hold the word, so it says little, and still not less than nothing",
        ),
        Case(
            (1, 300, 100.0, 10, 1000, 1.5, 0.25),
            math.log(1001 / 10.5) * 1 / 3.25,
            "the document is three times as long as the mean, so it may hold the word by chance",
        ),
        Case(
            (1, 50, 100.0, 10, 1000, 1.5, 0.75),
            math.log(1001 / 10.5) * 1 / 1.9375,
            "the document is half as long as the mean, which makes the word count more",
        ),
        Case((1, 300, 100.0, 10, 1000, 1.5, 0.0), math.log(1001 / 10.5) * 0.4, "`b` is 0, so length does not count"),
        Case((3, 200, 100.0, 10, 1000, 1.5, 1.0), math.log(1001 / 10.5) * 0.5, "`b` is 1, so length counts in full"),
        Case(
            (7, 300, 100.0, 10, 1000, 0.0, 0.5),
            math.log(1001 / 10.5),
            "`k1` is 0, so all that counts is whether the word is there, not how often",
        ),
        Case((0, 80, 100.0, 10, 1000, 1.5, 0.5), 0.0, "the document does not hold the word"),
    ),
    mistakes=(
        Mistake(
            _without_one,
            "the 1 in the logarithm is missing. Without it a word that more than half of the documents hold gets a weight below zero, and "
            "a document would lose by holding it.",
            "the 1 in the logarithm",
        ),
        Mistake(
            _plain_idf,
            "the weight is log(documents / containing), as in TF-IDF. BM25's asks how many documents do *not* hold the word: "
            "1 + (documents - containing + 0.5) / (containing + 0.5).",
            "as in TF-IDF",
        ),
        Mistake(
            _other_logarithm,
            "it takes the logarithm to base 10. Here it is the natural one, `math.log`. The order of the documents would be the same.",
            "to base 10",
        ),
        Mistake(
            _no_weight,
            "the word's weight is missing, so `the` counts as much as `osmium`. Multiply by the logarithm.",
            "weight is missing",
        ),
        Mistake(
            _swapped,
            "`containing` and `documents` have changed places. Then a rare word weighs less than a frequent one; it should be the other "
            "way round.",
            "changed places",
            lambda case, value: case.arguments[3] == 10 and value < 0,
        ),
        Mistake(
            _unsaturated,
            "it multiplies the weight by `frequency`. Then a page that says a word fifty times beats every other. The part, frequency / "
            "(frequency + ...), never reaches 1, however often the word comes.",
            "multiplies the weight by `frequency`",
        ),
        Mistake(
            _brackets_missing,
            "the brackets below the line are missing: `f / f + x` is 1 + x in Python. Write `f / (f + x)`.",
            "brackets below the line",
        ),
        Mistake(
            _factor_of_the_first_version,
            "it has the factor k1 + 1 above the line, as BM25 is often written. The factor is the same for all words and documents, so "
            "it changes no order; this version leaves it out.",
            "the factor k1 + 1",
        ),
        Mistake(
            _length_forgotten,
            "the document's length plays no part. A long document holds more of everything; BM25 makes up for it by "
            "1 - b + b * length / mean_length.",
            "plays no part",
        ),
        Mistake(
            _length_inverted,
            "length and mean are the wrong way round: mean_length / length favours long documents, which hold more words by chance anyway.",
            "wrong way round",
        ),
        Mistake(
            _other_end_of_b,
            "`b` and `1 - b` have been mixed up. `b` says how much length counts: with 0 not at all, with 1 in full.",
            "have been mixed up",
        ),
        Mistake(
            _length_without_k1,
            "length divides the whole score. It belongs beside `k1`, below the line: a longer document needs more mentions for the same "
            "part, and the part still never reaches 1.",
            "divides the whole score",
        ),
    ),
    hint="Three lines: the weight, `math.log(1 + ...)`; what stands beside `frequency` below the line; and the product. With a frequency "
    "of 0 the product is 0 by itself.",
    insight="bm25s works this out for every word in every document when the index is built. A question only looks up its own words "
    "and adds, which is why `KeywordIndex` answers in milliseconds.",
    imports="import math",
)

# --- fuse ----------------------------------------------------------------------------------------------------------------


def fuse(rankings: list[list[str]], constant: float) -> dict[str, float]:
    """Make one ranking of several, by reciprocal rank fusion.

    rankings: lists of names, each with its best one first
    constant: the larger it is, the less the first few ranks stand out
    From every list a name stands on it gets 1 / (constant + rank), where the
    first of a list has rank 1; what it gets is added up.
    Returns a dict from every name to its sum, the largest sum first.
    Example: fuse([["sun", "star"], ["star", "moon"]], 10.0)
    gives {"star": 0.1742, "sun": 0.0909, "moon": 0.0833}.
    """
    totals: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, 1):
            totals[name] = totals.get(name, 0.0) + 1 / (constant + rank)
    best_first = sorted(totals, key=totals.get, reverse=True)
    return {name: totals[name] for name in best_first}


def _in_order(totals: dict[str, float], worst_first: bool = False) -> OrderedDict[str, float]:
    return OrderedDict(sorted(totals.items(), key=lambda item: item[1] if worst_first else -item[1]))


def _ranks(rankings: list[list[str]]) -> dict[str, list[int]]:
    """The ranks of each name, in the order in which names come up."""
    found: dict[str, list[int]] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, 1):
            found.setdefault(name, []).append(rank)
    return found


def _from_zero(rankings: list[list[str]], constant: float) -> Any:
    return fuse(rankings, constant - 1)


def _on_all_lists_only(rankings: list[list[str]], constant: float) -> Any:
    everywhere = set.intersection(*map(set, rankings))
    return OrderedDict((name, total) for name, total in fuse(rankings, constant).items() if name in everywhere)


def _sum_of_ranks(rankings: list[list[str]], constant: float) -> Any:
    return _in_order({name: sum(ranks) for name, ranks in _ranks(rankings).items()}, worst_first=True)


def _of_the_sum_of_ranks(rankings: list[list[str]], constant: float) -> Any:
    return _in_order({name: 1 / (constant + sum(ranks)) for name, ranks in _ranks(rankings).items()})


def _without_constant(rankings: list[list[str]], constant: float) -> Any:
    return fuse(rankings, 0.0)


def _brackets_forgotten(rankings: list[list[str]], constant: float) -> Any:
    return _in_order({name: sum(1 / constant + rank for rank in ranks) for name, ranks in _ranks(rankings).items()})


def _last_list_wins(rankings: list[list[str]], constant: float) -> Any:
    return _in_order({name: 1 / (constant + ranks[-1]) for name, ranks in _ranks(rankings).items()})


def _best_rank_only(rankings: list[list[str]], constant: float) -> Any:
    return _in_order({name: 1 / (constant + min(ranks)) for name, ranks in _ranks(rankings).items()})


def _mean_of_its_lists(rankings: list[list[str]], constant: float) -> Any:
    return _in_order({name: sum(1 / (constant + rank) for rank in ranks) / len(ranks) for name, ranks in _ranks(rankings).items()})


def _as_they_come(rankings: list[list[str]], constant: float) -> Any:
    totals = fuse(rankings, constant)
    return OrderedDict((name, totals[name]) for name in _ranks(rankings))


def _worst_first(rankings: list[list[str]], constant: float) -> Any:
    return _in_order(fuse(rankings, constant), worst_first=True)


def _pairs(rankings: list[list[str]], constant: float) -> Any:
    return list(fuse(rankings, constant).items())


def _fused(**totals: float) -> OrderedDict[str, float]:
    """What is expected, written as it is to come: an OrderedDict, whose order counts."""
    return OrderedDict(totals)


FUSE = Exercise(
    id="07.fuse",
    title="two rankings become one",
    goal="Join what was found by keyword with what was found by meaning. Their scores cannot be compared, but their ranks can.",
    solution=fuse,
    cases=(
        Case(([["a", "b"], ["b", "c"]], 10.0), _fused(b=1 / 12 + 1 / 11, a=1 / 11, c=1 / 12), "only b stands on both lists"),
        Case(
            ([["a", "b", "c", "d"], ["d", "b", "a", "c"]], 10.0),
            _fused(a=1 / 11 + 1 / 13, b=1 / 12 + 1 / 12, d=1 / 14 + 1 / 11, c=1 / 13 + 1 / 14),
            "a stands first and third, d fourth and first, b second on both lists",
        ),
        Case(
            ([["a", "b", "c", "d"], ["d", "c"]], 2.0),
            _fused(d=1 / 6 + 1 / 3, c=1 / 5 + 1 / 4, a=1 / 3, b=1 / 4),
            "c is first on no list and still comes before a, which is",
        ),
        Case(
            ([["x", "y"], ["y", "z"], ["z", "y"]], 60.0),
            _fused(y=1 / 62 + 1 / 61 + 1 / 62, z=1 / 62 + 1 / 61, x=1 / 61),
            "there are three lists",
        ),
        Case(([["a", "b", "c"], []], 10.0), _fused(a=1 / 11, b=1 / 12, c=1 / 13), "one of the lists is empty: nothing was found that way"),
        Case(([[], []], 10.0), _fused(), "nothing was found at all"),
    ),
    mistakes=(
        Mistake(
            _from_zero,
            "it counts ranks from 0. The first of a list has rank 1: `enumerate(ranking, 1)`.",
            "counts ranks from 0",
        ),
        Mistake(
            _on_all_lists_only,
            "it keeps only what stands on every list. A passage that one way of searching missed can still be the right one, and that is "
            "what the other way is for.",
            "only what stands on every list",
            lambda case, value: len(value) < len(case.expected),
        ),
        Mistake(
            _sum_of_ranks,
            "it adds up the ranks themselves. Then a name that stands on a single list has a smaller sum than one that stands on both, and "
            "looks better. Add up 1 / (constant + rank).",
            "adds up the ranks themselves",
        ),
        Mistake(
            _of_the_sum_of_ranks,
            "it adds up the ranks and takes one fraction of the sum. Each list gives a fraction of its own, and the fractions are added.",
            "one fraction of the sum",
        ),
        Mistake(
            _without_constant,
            "`constant` plays no part. With 1 / rank the first place is worth twice the second, so one list decides nearly everything.",
            "`constant` plays no part",
        ),
        Mistake(
            _brackets_forgotten,
            "brackets are missing: `1 / constant + rank` divides first. Write `1 / (constant + rank)`.",
            "divides first",
        ),
        Mistake(
            _last_list_wins,
            "a later list overwrites what an earlier one gave. Add to what is there: `totals[name] = totals.get(name, 0.0) + ...`.",
            "overwrites",
        ),
        Mistake(
            _best_rank_only,
            "it keeps the best rank of each name and forgets the others. That two searches agree is the best sign there is: add both.",
            "forgets the others",
        ),
        Mistake(
            _mean_of_its_lists,
            "it takes the mean over the lists that a name stands on, so to stand on two gains nothing. Take the sum.",
            "mean over the lists",
        ),
        Mistake(
            _as_they_come,
            "the sums are right, but not in order. A dict keeps the order in which it was filled: sort by the sum, largest first.",
            "not in order",
            lambda case, value: same(value, dict(case.expected)),
        ),
        Mistake(
            _worst_first,
            "the sums are right, and the smallest comes first. `sorted` begins with the smallest; `reverse=True` turns it round.",
            "the smallest comes first",
        ),
        Mistake(
            _pairs,
            "it returns a list. Asked for is a dict, from each name to its sum; `dict(...)` makes one of a list of pairs, and keeps their "
            "order.",
            "it returns a list",
            lambda case, value: isinstance(value, list | tuple),
        ),
    ),
    hint="An empty dict, a loop over the lists, and in it one over `enumerate(ranking, 1)`, which gives rank and name. At the end "
    "`sorted(totals, key=totals.get, reverse=True)` has the names in their order; make a new dict in that order.",
    insight="`src.qa.retrieval.fuse` is the same with document numbers. It needs no training and no scores, only ranks, so any two "
    "searches can be joined by it.",
)

# --- recall_at -----------------------------------------------------------------------------------------------------------


def recall_at(ranks: list[int | None], k: int) -> float:
    """Share of all questions whose right passage is among the first k found.

    ranks: for each question the rank of its right passage, 1 where it was found
        first; None where it was not found at all. There is a question at least.
    k: how many of the passages found count
    Returns a share, 0 to 1.
    Example: recall_at([1, 4, None, 2], 3) gives 0.5: two questions of four.
    """
    found = sum(rank is not None and rank <= k for rank in ranks)
    return found / len(ranks)


def _rank_k_left_out(ranks: list[int | None], k: int) -> float:
    return recall_at(ranks, k - 1)


def _found_questions_only(ranks: list[int | None], k: int) -> float:
    found = [rank for rank in ranks if rank is not None]
    return sum(rank <= k for rank in found) / len(found)


def _none_compared(ranks: list[Any], k: int) -> float:
    return sum(rank <= k for rank in ranks) / len(ranks)


def _none_is_zero(ranks: list[int | None], k: int) -> float:
    return sum((rank or 0) <= k for rank in ranks) / len(ranks)


def _in_percent(ranks: list[int | None], k: int) -> float:
    return 100 * recall_at(ranks, k)


def _number(ranks: list[int | None], k: int) -> int:
    return sum(rank is not None and rank <= k for rank in ranks)


def _divided_by_k(ranks: list[int | None], k: int) -> float:
    return _number(ranks, k) / k


def _not_found_instead(ranks: list[int | None], k: int) -> float:
    return 1 - recall_at(ranks, k)


def _exactly_at_k(ranks: list[int | None], k: int) -> float:
    return sum(rank == k for rank in ranks) / len(ranks)


def _reciprocal_rank(ranks: list[int | None], k: int) -> float:
    return sum(1 / rank for rank in ranks if rank is not None and rank <= k) / len(ranks)


def _first_k_questions(ranks: list[int | None], k: int) -> float:
    return sum(rank is not None for rank in ranks[:k]) / len(ranks[:k])


RECALL_AT = Exercise(
    id="07.recall_at",
    title="recall at k",
    goal="Measure a search without reading a single answer: for how many questions does the reader get to see the right passage?",
    solution=recall_at,
    cases=(
        Case(([1, 3, 2, 7], 5), 0.75, "three of four passages stand among the first five"),
        Case(([1, 5, 9, 2], 5), 0.75, "one passage has rank 5, which is the last of the first five"),
        Case(([2, None, 1, 8], 5), 0.5, "one passage was not found at all, and its question counts all the same"),
        Case(([1, 2, 1], 1), 2 / 3, "only the first passage of each list counts"),
        Case(([None, 2, None, None, 30, 1], 20), 1 / 3, "k is larger than the number of questions"),
        Case(([None, None], 20), 0.0, "nothing was found for any question"),
        Case(([3, 1, 2], 20), 1.0, "every passage stands far enough up"),
    ),
    mistakes=(
        Mistake(
            _rank_k_left_out,
            "it leaves rank k out. Ranks begin at 1, so the first k are those up to k itself: `<=`, not `<`.",
            "leaves rank k out",
        ),
        Mistake(
            _found_questions_only,
            "it divides by the questions whose passage was found. Those with None are the worst failures; leaving them out makes a search "
            "look better the more it misses.",
            "whose passage was found",
        ),
        Mistake(
            _none_compared,
            "it compares None with a number, which Python refuses. Ask `rank is not None` first.",
            "compares None with a number",
        ),
        Mistake(
            _none_is_zero,
            "it takes None for 0, and 0 is less than k, so what was never found counts as found first.",
            "takes None for 0",
        ),
        Mistake(
            _in_percent,
            "it returns percent. Asked for is a share, between 0 and 1.",
            "returns percent",
            lambda case, value: value > len(case.arguments[0]),
        ),
        Mistake(_number, "it returns how many questions, not which share of them. Divide by how many there are.", "how many questions"),
        Mistake(
            _divided_by_k,
            "it divides by `k`. That is how far down each list one looks; the share is of the questions, `len(ranks)`.",
            "divides by `k`",
        ),
        Mistake(
            _not_found_instead,
            "it is the share of questions whose passage is *not* among the first k. Subtract it from 1.",
            "is *not* among the first k",
        ),
        Mistake(
            _exactly_at_k,
            "it counts passages with exactly rank k. All ranks up to k count.",
            "exactly rank k",
        ),
        Mistake(
            _reciprocal_rank,
            "it adds up 1 / rank. That is another measure, the mean reciprocal rank. For recall at k it does not matter where among the "
            "first k a passage stands.",
            "mean reciprocal rank",
        ),
        Mistake(
            _first_k_questions,
            "it looks at the first k questions, `ranks[:k]`. Each number in `ranks` is a question of its own; compare each of them with k.",
            "the first k questions",
        ),
    ),
    hint="Which ranks count? Those that are not None and at most k. Count them with `sum(... for rank in ranks)`, for True is 1, and "
    "divide by the number of questions.",
    insight="The reader can only find what the search hands it. Recall at k is therefore about the most that the whole system can get "
    "right, however good the reader is; only now and then does another passage hold the answer as well.",
)

# --- calibration_error ---------------------------------------------------------------------------------------------------


def calibration_error(
    confidences: np.ndarray,
    correct: np.ndarray,
    bins: int,
) -> float:
    """How far said and true are apart: the expected calibration error.

    confidences: float[N], from 0 to 1, how sure each answer was
    correct: bool[N], whether it was right
    bins: number of bins of equal width that the answers are sorted into, by
        confidence. A bin holds its lower edge and not its upper one; the last
        bin holds both.
    The gap of a bin lies between the share of its answers that are right and
    their mean confidence, whichever is larger. Returns the mean gap, where each
    bin counts by its part of all answers. An empty bin has none.
    Example: calibration_error(np.array([0.9, 0.8, 0.3]),
    np.array([True, False, False]), 2) gives 0.3333: gaps of 0.35 and 0.3.
    """
    edges = np.linspace(0, 1, bins + 1)
    # digitize gives a confidence of 1 a bin of its own, behind the last
    places = np.minimum(np.digitize(confidences, edges) - 1, bins - 1)
    error = 0.0
    for place in range(bins):
        here = places == place
        if here.any():
            gap = abs(correct[here].mean() - confidences[here].mean())
            error += here.mean() * gap
    return float(error)


def _binned(confidences: np.ndarray, correct: np.ndarray, places: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """For every bin its part of all answers, and the share right minus the mean confidence, nan where it is empty."""
    kept = (places >= 0) & (places < bins)
    counts = np.bincount(places[kept], minlength=bins)
    surplus = np.bincount(places[kept], weights=correct[kept] - confidences[kept], minlength=bins)
    with np.errstate(invalid="ignore"):
        return counts / len(confidences), surplus / counts


def _gaps(confidences: np.ndarray, correct: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    return _binned(confidences, correct, np.minimum((confidences * bins).astype(int), bins - 1), bins)


def _unweighted(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    return float(np.nanmean(np.abs(_gaps(confidences, correct, bins)[1])))


def _divided_by_bins(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    return float(np.nansum(np.abs(_gaps(confidences, correct, bins)[1])) / bins)


def _squared(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    shares, gaps = _gaps(confidences, correct, bins)
    return float(np.nansum(shares * gaps**2))


def _signed(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    shares, gaps = _gaps(confidences, correct, bins)
    return float(np.nansum(shares * -gaps))


def _without_bins(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    return float(abs(correct.mean() - confidences.mean()))


def _each_for_itself(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    return float(np.abs(correct - confidences).mean())


def _largest_gap(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    return float(np.nanmax(np.abs(_gaps(confidences, correct, bins)[1])))


def _counts_as_weights(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    return calibration_error(confidences, correct, bins) * len(confidences)


def _middle_of_bin(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    shares, gaps = _binned((places + 0.5) / bins, correct, places, bins)
    return float(np.nansum(shares * np.abs(gaps)))


def _empty_is_nan(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    shares, gaps = _gaps(confidences, correct, bins)
    return float((shares * np.abs(gaps)).sum())


def _certain_lost(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    shares, gaps = _binned(confidences, correct, (confidences * bins).astype(int), bins)
    return float(np.nansum(shares * np.abs(gaps)))


def _certain_beyond(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    if (confidences == 1).any():
        raise IndexError(f"index {bins} is out of bounds for axis 0 with size {bins}")
    return calibration_error(confidences, correct, bins)


def _upper_edge(confidences: np.ndarray, correct: np.ndarray, bins: int) -> float:
    shares, gaps = _binned(confidences, correct, np.ceil(confidences * bins).astype(int) - 1, bins)
    return float(np.nansum(shares * np.abs(gaps)))


def _answers(confidences: list[float], correct: str, bins: int) -> tuple[np.ndarray, np.ndarray, int]:
    """correct: "+" for a right answer, "-" for a wrong one."""
    return np.array(confidences), np.array([letter == "+" for letter in correct]), bins


CALIBRATION_ERROR = Exercise(
    id="07.calibration_error",
    title="expected calibration error",
    goal="Put a number on how far the scores of a reader can be believed: of the answers given with 0.9, are nine out of ten right?",
    solution=calibration_error,
    cases=(
        Case(_answers([0.3, 0.4, 0.6, 0.7], "-+++", 2), 0.25, "each bin holds two answers, and the gaps are 0.15 and 0.35"),
        Case(_answers([0.9, 0.8, 0.7, 0.2], "++--", 2), 0.15, "the upper bin holds three answers of four, and the gaps are 0.1333 and 0.2"),
        Case(_answers([0.9, 0.9, 0.2, 0.2], "+-+-", 2), 0.35, "it is too sure by 0.4 in one bin, and not sure enough by 0.3 in the other"),
        Case(_answers([0.95, 0.95, 0.95, 0.95, 0.15], "+++--", 10), 0.19, "eight of the ten bins are empty"),
        Case(_answers([1.0, 1.0, 0.4, 0.4], "+-+-", 2), 0.3, "two answers have confidence 1, which belongs to the last bin"),
        Case(_answers([0.5, 0.5, 0.2, 0.2], "---+", 2), 0.4, "two answers lie on the edge between the bins, and belong to the upper one"),
        Case(_answers([0.0, 0.0, 0.75, 0.75], "+-+-", 2), 0.375, "two answers have confidence 0, which belongs to the first bin"),
        Case(_answers([0.6, 0.8], "+-", 1), 0.2, "there is one bin for all"),
        Case(_answers([1.0, 1.0, 1.0], "+++", 5), 0.0, "every answer was certain, and right"),
    ),
    mistakes=(
        Mistake(
            _unweighted,
            "every bin counts the same, the one with three answers and the one with a hundred. Weight each gap by the part of all answers "
            "that its bin holds.",
            "every bin counts the same",
        ),
        Mistake(
            _divided_by_bins,
            "it divides the sum of the gaps by the number of bins, empty ones too. Then more bins mean a smaller error, whatever the "
            "answers are. Weight each gap by the part of all answers that its bin holds.",
            "empty ones too",
        ),
        Mistake(
            _squared,
            "it squares the gaps. The expected calibration error takes their size, `abs`, so that 0.1 means: off by 0.1 on average.",
            "squares the gaps",
        ),
        Mistake(
            _signed,
            "it lets gaps above and below cancel each other out. A reader that is too sure here and too shy there is wrong in both "
            "places: take `abs` of each gap before adding.",
            "cancel each other out",
            lambda case, value: value < 0,
        ),
        Mistake(
            _without_bins,
            "it compares one mean with one mean, over all answers at once. Too sure here and too shy there then looks perfect; that is "
            "what bins are for.",
            "over all answers at once",
        ),
        Mistake(
            _each_for_itself,
            "it compares each answer with its own confidence. A single answer is right or wrong and never 0.7 right; only the share within "
            "a bin can be compared with 0.7.",
            "never 0.7 right",
        ),
        Mistake(
            _largest_gap,
            "it returns the largest gap. That is the maximum calibration error; asked for is the mean.",
            "the largest gap",
        ),
        Mistake(
            _counts_as_weights,
            "it weights by the number of answers in a bin. Divide by the number of all answers, so that the weights sum to one.",
            "sum to one",
            lambda case, value: value > 1,
        ),
        Mistake(
            _middle_of_bin,
            "it takes the middle of each bin for what was said. Take the mean confidence of the answers that are in it.",
            "the middle of each bin",
        ),
        Mistake(
            _empty_is_nan,
            "an empty bin gives 0 / 0, and one nan makes the whole sum nan. Leave empty bins out.",
            "one nan",
            lambda case, value: np.isnan(value),
        ),
        Mistake(
            _certain_lost,
            "answers with a confidence of exactly 1 fall into no bin. The last bin holds its upper edge, too.",
            "fall into no bin",
        ),
        Mistake(
            _certain_beyond,
            "a confidence of exactly 1 gets the number of a bin that is not there, one behind the last. `min(place, bins - 1)` mends it.",
            "a bin that is not there",
        ),
        Mistake(
            _upper_edge,
            "a confidence on an edge goes into the lower bin. Some programs do that, and then lose answers with a confidence of 0. Here "
            "a bin holds its lower edge.",
            "goes into the lower bin",
        ),
    ),
    hint="A loop over the bins: `low = place / bins`, `high = (place + 1) / bins`, and `here = (confidences >= low) & (confidences < "
    "high)` marks the answers of one bin; in the last one `<=`. Where `here.any()`, add `here.mean()` times the gap.",
    insight="`src.qa.calibration.reliability` does this, and keeps the bins for the diagram. It is not zero even for perfect scores, "
    "since ten answers that are 50 % sure are rarely right exactly five times.",
    imports="import numpy as np",
)

EXERCISES = (BM25_TERM, FUSE, RECALL_AT, CALIBRATION_ERROR)
