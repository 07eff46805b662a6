"""Notebook 09: a word's part of BM25, fusing two rankings, recall, calibration error."""

import math

import numpy as np

from src.teaching.exercises.record import Case, Exercise


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

    The word's weight:
        ln(1 + (documents - containing + 0.5) / (containing + 0.5))
    The part of it that the document gets:
        frequency / (frequency + k1 * (1 - b + b * length / mean_length))
    Example: bm25_term(2, 50, 100.0, 10, 1000, 1.5, 0.5) gives 2.9167: the word
    weighs 4.557, and the document gets 0.64 of that.

    Args:
        frequency: how often the word occurs in this document.
        length, mean_length: words in this document, and in one on average.
        containing, documents: documents that have the word, and all documents.
        k1, b: how much a repeated word still adds, and how much length counts.
    """
    odds_against = (documents - containing + 0.5) / (containing + 0.5)
    weight = math.log(1 + odds_against)
    room = k1 * (1 - b + b * length / mean_length)
    return weight * frequency / (frequency + room)


RARE = math.log(1001 / 10.5)  # the weight of a word in 10 of 1000 documents

BM25_TERM = Exercise(
    bm25_term,
    hint="Three lines: the weight, `math.log(1 + ...)`; what is added to `frequency` in the "
    "denominator; and the product.",
    insight="bm25s works this out for every word in every document when the index is built. A "
    "question only looks up its words and adds, which is why `KeywordIndex` is so fast.",
    cases=[
        Case(1, 100, 100.0, 10, 1000, 1.5, 0.5, gives=RARE * 0.4, here="the length is average"),
        Case(6, 100, 100.0, 10, 1000, 1.5, 0.5, gives=RARE * 0.8, here="the word occurs six times"),
        Case(1, 100, 100.0, 800, 1000, 1.5, 0.5, here="most documents have the word"),
        Case(1, 300, 100.0, 10, 1000, 1.5, 0.25, gives=RARE / 3.25, here="the document is long"),
        Case(0, 80, 100.0, 10, 1000, 1.5, 0.5, gives=0.0, here="the word does not occur"),
    ],
    mistakes="""
    math.log(1 + odds_against) -> math.log(odds_against)
    # The 1 in the logarithm is missing. Without it a word of more than half of the documents gets a
    # weight below zero.
    math.log(1 + odds_against) -> math.log(documents / containing)
    # The weight is log(documents / containing), as in TF-IDF. BM25's asks how many do *not* have
    # the word.
    / (frequency + room) ->
    # It multiplies the weight by `frequency`. Then a page that says a word fifty times beats every
    # other.
    frequency / (frequency + room) -> (frequency / frequency + room)
    # The brackets in the denominator are missing: `f / f + x` is 1 + x in Python. Write
    # `f / (f + x)`.
    return weight -> return (k1 + 1) * weight
    # It has a factor k1 + 1, as BM25 is often written. It changes no order; this version leaves it
    # out.
    length / mean_length -> mean_length / length
    # Length and mean are the wrong way round: this favours long documents.
    """,
)


def fuse(rankings: list[list[str]], constant: float) -> dict[str, float]:
    """Make one ranking of several, by reciprocal rank fusion.

    From every list that has it a name gets 1 / (constant + rank), where the
    first of a list has rank 1; what it gets is added up.
    Example: fuse([["sun", "star"], ["star", "moon"]], 10.0)
    gives {"star": 0.1742, "sun": 0.0909, "moon": 0.0833}.

    Args:
        rankings: lists of names, each with its best one first.
        constant: the larger it is, the less the first few ranks stand out.

    Returns:
        From every name to its sum, the largest sum first.
    """
    totals: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, 1):
            totals[name] = totals.get(name, 0.0) + 1 / (constant + rank)
    best_first = sorted(totals, key=totals.get, reverse=True)
    return {name: totals[name] for name in best_first}


FUSE = Exercise(
    fuse,
    hint="An empty dict, a loop over the lists, and in it one over `enumerate(ranking, 1)`, which "
    "gives rank and name. `sorted(totals, key=totals.get, reverse=True)` has the names in their "
    "order; make a new dict in that order.",
    insight="`src.qa.retriever.fuse` is the same with document numbers. It needs no training and "
    "no scores, so it can join any two searches.",
    cases=[
        Case(
            *([["a", "b"], ["b", "c"]], 10.0),
            gives={"b": 1 / 12 + 1 / 11, "a": 1 / 11, "c": 1 / 12},
            here="only b is on both lists",
        ),
        Case([list("abcd"), list("dbac")], 10.0, here="all names are on both lists"),
        Case([["a", "b", "c"], []], 10.0, here="one of the lists is empty"),
    ],
    mistakes="""
    enumerate(ranking, 1) -> enumerate(ranking)
    # It counts ranks from 0. The first of a list has rank 1: `enumerate(ranking, 1)`.
    in best_first} -> in best_first if all(name in ranking for ranking in rankings)}
    # It keeps only what is on every list. What one search missed can still be right.
    + 1 / (constant + rank) -> + rank
    , reverse=True ->
    # It adds up the ranks themselves, so a name on one list looks better than one on both. Add up 1
    # / (constant + rank).
    1 / (constant + rank) -> 1 / constant + rank
    # Brackets are missing: write `1 / (constant + rank)`.
    totals.get(name, 0.0) + ->
    # A later list overwrites what an earlier one gave. Add to it.
    totals.get(name, 0.0) + 1 / (constant + rank)
    -> max(totals.get(name, 0.0), 1 / (constant + rank))
    # It keeps the best rank of each name and forgets the others. Add both: it counts that two
    # searches agree.
    in best_first} -> in totals}
    # The sums are right, but not in order: sort by the sum, largest first.
    """,
)


def recall_at(ranks: list[int | None], k: int) -> float:
    """Share of all questions whose right passage is among the first k found.

    Example: recall_at([1, 4, None, 2], 3) gives 0.5: two questions of four.

    Args:
        ranks: for each question the rank of its right passage, 1 where it was
            found first; None where it was not found. There is at least one.
        k: how many of the passages found count.
    """
    found = sum(rank is not None and rank <= k for rank in ranks)
    return found / len(ranks)


RECALL_AT = Exercise(
    recall_at,
    hint="Which ranks count? Those that are not None and at most k. Count them with "
    "`sum(... for rank in ranks)`, since True is 1, and divide by the number of questions.",
    insight="The reader can only find what the search hands it, so recall at k is about the most "
    "that the whole system can get right.",
    cases=[
        Case([1, 3, 2, 7], 5, gives=0.75, here="three of four passages are among the first five"),
        Case([1, 5, 9, 2], 5, gives=0.75, here="rank 5 is among the first five"),
        Case([2, None, 1, 8], 5, gives=0.5, here="one passage was not found at all"),
        Case([None, 2, None, None, 30, 1], 20, gives=1 / 3, here="k is larger than the list"),
    ],
    mistakes="""
    rank <= k -> rank < k
    # It leaves rank k out. Ranks begin at 1: `<=`, not `<`.
    / len(ranks) -> / max(sum(rank is not None for rank in ranks), 1)
    # It divides by the questions whose passage was found. Those with None are the worst failures.
    rank is not None and rank <= k -> (rank or 0) <= k
    # It takes None for 0, so what was never found counts as found first.
    / len(ranks) -> / k
    # It divides by `k`. The share is of the questions, `len(ranks)`.
    return sum(rank is not None for rank in ranks[:k]) / len(ranks[:k])
    # It looks at the first k questions. Each number in `ranks` is a question; compare it with k.
    """,
)


def calibration_error(
    confidences: np.ndarray,
    correct: np.ndarray,
    bins: int,
) -> float:
    """How far claimed and true are apart: the expected calibration error.

    The gap of a bin is the distance between the share of its answers that are
    right and their mean confidence. Empty bins have none.
    Example: calibration_error(np.array([0.9, 0.8, 0.3]),
    np.array([True, False, False]), 2) gives 0.3333: gaps of 0.35 and 0.3.

    Args:
        confidences: float[N], from 0 to 1, how sure each answer was.
        correct: bool[N], whether it was right.
        bins: number of bins of equal width that the answers are sorted into, by
            confidence. A bin includes its lower edge; the last one both edges.

    Returns:
        The mean gap, where each bin counts by its share of all answers.
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


def answers(confidences: list[float], correct: str) -> tuple[np.ndarray, np.ndarray]:
    """The arguments of a case; `correct` has "+" for a right answer, "-" for a wrong one."""
    return np.array(confidences), np.array([letter == "+" for letter in correct])


CALIBRATION_ERROR = Exercise(
    calibration_error,
    hint="A loop over the bins: `low = place / bins`, `high = (place + 1) / bins`, and "
    "`here = (confidences >= low) & (confidences < high)` marks the answers of one bin; in the "
    "last one `<=`. Where `here.any()`, add `here.mean()` times the gap.",
    insight="`src.qa.calibration.reliability` does this, and keeps the bins for the diagram. It is "
    "not zero even for perfect scores: ten answers that are 50 % sure are rarely right exactly "
    "five times.",
    cases=[
        Case(*answers([0.3, 0.4, 0.6, 0.7], "-+++"), 2, gives=0.25, here="the gaps are 0.15, 0.35"),
        Case(*answers([0.9, 0.8, 0.7, 0.2], "++--"), 2, gives=0.15, here="the bins have 3 and 1"),
        Case(
            *answers([0.9, 0.9, 0.2, 0.2], "+-+-"), 2, gives=0.35, here="a gap is above, one below"
        ),
        Case(*answers([0.95] * 4 + [0.15], "+++--"), 10, gives=0.19, here="eight bins are empty"),
        Case(*answers([1.0, 1.0, 0.4, 0.4], "+-+-"), 2, gives=0.3, here="two are certain"),
        Case(*answers([0.5, 0.5, 0.2, 0.2], "---+"), 2, gives=0.4, here="0.5 is in the upper bin"),
    ],
    mistakes="""
    here.mean() * gap -> gap
    float(error) -> float(error / len(set(places)))
    # Every bin counts the same. Weight each gap by the bin's share of all answers.
    gap = abs( -> gap = (
    # It lets gaps above and below cancel each other out. Take `abs` of each gap before adding.
    return abs(correct.mean() - confidences.mean())
    # It compares two means over all answers. Too sure here and too shy there then looks perfect;
    # hence the bins.
    return np.abs(correct - confidences).mean()
    # It compares each answer with its own confidence. A single answer is right or wrong, never 0.7
    # right.
    np.digitize(confidences, edges) -> np.digitize(confidences, edges, right=True)
    # A confidence on an edge goes into the lower bin. Here a bin includes its lower edge.
    confidences[here].mean() -> (place + 0.5) / bins
    # It takes the middle of each bin, not the mean confidence of the answers in it.
    """,
)
