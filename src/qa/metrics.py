"""Exact match and F1 by the official SQuAD rules, and the best "I don't know" threshold.

Everything here works on plain dicts from question id to texts, so it knows nothing of models. A set
with an unanswerable question is scored by the rules of SQuAD 2.0, any other by those of 1.1. They
differ in gold answers without words, such as "the".
Sources: Rajpurkar et al. 2016 (section 6.1) and 2018 (section 5), and the evaluation scripts
published with the two sets.
"""

import itertools
import math
import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

HALF_RIGHT = 0.5  # the F1 from which on an answer counts as right
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower-case `text`, drop ASCII punctuation and articles, join its words by single blanks.

    >>> normalize_answer("The King,  of Spain!")
    'king of spain'
    """
    # The order is part of the rules: "a.n" becomes the article "an" once its full stop is gone.
    bare = text.lower().translate(_WITHOUT_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(prediction: str, golds: Sequence[str]) -> float:
    """1.0 where `prediction` equals one of `golds` after normalising, else 0.0.

    Without golds, an empty prediction is right.
    """
    return _score_one(prediction, golds)[0]


def f1(prediction: str, golds: Sequence[str]) -> float:
    """Harmonic mean of word precision and recall, 0 to 1, against the gold that fits best.

    Words are counted with repetition. Where either side has no words left, both must be without.
    Without golds: as `exact_match`.
    """
    return _score_one(prediction, golds)[1]


def _score_one(prediction: str, golds: Sequence[str], v2: bool = True) -> tuple[float, float]:
    answer = normalize_answer(prediction)
    wanted = [normalize_answer(gold) for gold in golds]
    if v2:
        # 2.0 drops a gold such as "the"; a question left without golds wants "".
        wanted = [gold for gold in wanted if gold] or [""]
    return float(answer in wanted), max(_token_f1(answer, gold, v2) for gold in wanted)


def _token_f1(answer: str, gold: str, v2: bool) -> float:
    if not answer and not gold:
        return float(v2)
    answer_words, gold_words = answer.split(), gold.split()
    shared = (Counter(answer_words) & Counter(gold_words)).total()
    # 2PR / (P + R) with P = shared / answer words and R = shared / gold words.
    return 2 * shared / (len(answer_words) + len(gold_words))


def agreement(texts: Sequence[str], shares: np.ndarray) -> np.ndarray:
    """float[N]: for each of N answers the sum of the shares of those that agree with it.

    Two agree if all words of one are in the other, and their token F1 is HALF_RIGHT at least.
    `shares`, float[N], sum to 1 at most.
    """
    words = [normalize_answer(text).split() for text in texts]
    columns = {word: column for column, word in enumerate({*itertools.chain(*words)})}
    counts = np.zeros((len(texts), len(columns)), int)
    for row, found in zip(counts, words, strict=True):
        for word in found:
            row[columns[word]] += 1
    shared, lengths = np.minimum(counts[:, None], counts).sum(-1), counts.sum(-1)
    agrees = 2 * shared >= HALF_RIGHT * (lengths[:, None] + lengths)
    agrees &= shared == np.minimum(lengths[:, None], lengths)
    return np.minimum(agrees @ shares, 1.0)


def share_of_rest(share: float, agreed: float, score: float) -> float:
    """What the share of something that does not agree comes to, once `agreed` has become `score`.

    All of them in [0, 1]; what does not agree keeps its part of the rest.
    """
    return float((1 - score) * min(share / max(1 - agreed, 1e-12), 1.0))


@dataclass(frozen=True)
class QuestionScores:
    """The two scores of every question, in the order of the references.

    Attributes:
        exact, f1: float64[N], 0 to 1.
        answerable: bool[N].
    """

    exact: np.ndarray
    f1: np.ndarray
    answerable: np.ndarray


def score_questions(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> QuestionScores:
    """Score every question by itself: for intervals, and for comparing two models.

    Args:
        predictions: id -> answer text, "" where the model refuses.
        references: id -> gold texts, an empty list for an unanswerable question; at least one.
    """
    if not references:
        raise ValueError("there are no questions to score; the set is empty.")
    answerable = np.array([len(golds) > 0 for golds in references.values()])
    v2 = not answerable.all()
    pairs = [_score_one(predictions[qid], golds, v2) for qid, golds in references.items()]
    exact, token_f1 = np.array(pairs).T
    return QuestionScores(exact, token_f1, answerable)


def score_answers(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]
) -> dict[str, float | int]:
    """Exact match and F1 over all questions, in percent. Arguments as `score_questions`.

    Returns:
        exact_match, f1, total. Where a question is unanswerable, also NoAns_exact, NoAns_f1 and
        NoAns_total, and HasAns_exact, HasAns_f1 and HasAns_total if there are others, as the
        official script does.
    """
    scores = score_questions(predictions, references)
    total = len(references)
    result = {"exact_match": _percent(scores.exact), "f1": _percent(scores.f1), "total": total}
    if scores.answerable.all():
        return result
    for name, part in (("HasAns", scores.answerable), ("NoAns", ~scores.answerable)):
        if part.any():
            result |= {
                f"{name}_exact": _percent(scores.exact[part]),
                f"{name}_f1": _percent(scores.f1[part]),
                f"{name}_total": int(part.sum()),
            }
    return result


def _percent(values: np.ndarray) -> float:
    # fsum: the mean of 2/3s and 1/3s does not depend on the order of the questions.
    return 100.0 * math.fsum(values) / len(values)


def best_threshold(
    predictions: Mapping[str, str],
    scores: Mapping[str, float],
    references: Mapping[str, Sequence[str]],
) -> dict[str, float]:
    """The lowest scores to answer at that make exact match, and F1, as high as they can be.

    Questions with equal scores are answered or refused together, since no threshold can part them;
    the official script does part them. Among equally good thresholds the highest wins.

    Args:
        predictions: id -> the best answer text, given as if nothing were refused.
        scores: id -> how sure the model is of it, in [0, 1]; answered where score >= threshold.
        references: as in `score_questions`.

    Returns:
        best_exact, best_f1, in percent; best_exact_thresh, best_f1_thresh: see `threshold_below`.
    """
    confidence = np.array([scores[qid] for qid in references])
    answered = score_questions(predictions, references)
    refused = score_questions(dict.fromkeys(references, ""), references)
    descending = np.argsort(-confidence)
    confidence = confidence[descending]
    ends_tie = np.append(confidence[1:] < confidence[:-1], True)
    result = {}
    for name in ("exact", "f1"):
        if_answered, if_refused = getattr(answered, name), getattr(refused, name)
        gains = np.cumsum((if_answered - if_refused)[descending])[ends_tie]
        # Rounded: sums that differ in their last bits are equal, and the higher threshold wins.
        totals = np.round(if_refused.sum() + np.concatenate([[0.0], gains]), 9)
        groups = int(np.argmax(totals))
        result[f"best_{name}"] = float(100 * totals[groups] / len(references))
        result[f"best_{name}_thresh"] = threshold_below(confidence[ends_tie], groups)
    return result


def threshold_below(levels: np.ndarray, groups: int) -> float:
    """A threshold that answers exactly the first `groups` of the falling, distinct `levels`.

    Returns:
        Halfway between the two scores it separates, so that rounding in the model cannot flip an
        answer. 0 answers everything; nothing is answered halfway from the highest score to 1.
    """
    if groups == len(levels):
        return 0.0
    below = float(levels[groups])
    above = float(levels[groups - 1]) if groups else 1.0
    middle = (below + above) / 2
    if middle > below:
        return middle
    # No room in between: the level itself answers it; above 1 only a number past 1 refuses all.
    return above if groups else math.nextafter(below, math.inf)


def check_threshold(threshold: float, name: str = "threshold") -> None:
    """Raise ValueError unless it is a number in [0, 1]."""
    # `not 0 <= x` rather than `x < 0`, so that NaN is caught too.
    if not is_real(threshold) or not 0 <= threshold <= 1:
        says = "it is a score, from 0 (answer everything) to 1"
        raise ValueError(f"{name} is {threshold!r}; {says}.")


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless it is a number above 0."""
    if not is_real(temperature) or not 0 < temperature < math.inf:
        says = "it must be a number above 0, such as 1"
        raise ValueError(f"temperature is {temperature!r}; {says}.")


def is_real(value: object) -> bool:
    """Whether this is a number, and not True or False."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
