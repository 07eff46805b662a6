"""Exact match and F1 by the official SQuAD rules, the best "I don't know" threshold, and how sure the numbers are.

Everything here works on plain dicts from question id to texts, so it knows nothing of models. Where SQuAD 1.1 and 2.0 differ
(golds that normalise to nothing), `version` says which rules apply; left out, a set with an unanswerable question is 2.0.
Sources: Rajpurkar et al. 2016 (section 6.1) and 2018 (section 5), and the evaluation scripts published with the two sets.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Version = Literal["v1", "v2"]

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower-case `text`, drop ASCII punctuation and the English articles, and join its words by single blanks.

    >>> normalize_answer("The King,  of Spain!")
    'king of spain'
    """
    # The order is part of the rules: "a.n" becomes the article "an" once its full stop is gone.
    bare = text.lower().translate(_WITHOUT_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(prediction: str, golds: Sequence[str], version: Version = "v2") -> float:
    """1.0 where `prediction` equals one of `golds` after normalising, else 0.0. No golds: 1.0 for an empty prediction (v2)."""
    return _score_one(prediction, golds, version)[0]


def f1(prediction: str, golds: Sequence[str], version: Version = "v2") -> float:
    """Harmonic mean of word precision and recall, 0 to 1, against the gold that fits best. No golds: as `exact_match`.

    Words are counted with repetition. Where either side has no words left, v2 asks for equality and v1 gives 0.
    """
    return _score_one(prediction, golds, version)[1]


@dataclass(frozen=True)
class QuestionScores:
    """The two scores of every question, in the order of the references.

    ids: question ids   exact, f1: float64[N], 0 to 1   answerable: bool[N]   version: the rules they were scored by
    """

    ids: tuple[str, ...]
    exact: np.ndarray
    f1: np.ndarray
    answerable: np.ndarray
    version: Version


def score_questions(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]], version: Version | None = None
) -> QuestionScores:
    """Score every question by itself: for intervals, for looking at the worst, for comparing two models.

    predictions: id -> answer text, "" where the model refuses.
    references: id -> gold texts, an empty list for an unanswerable question.
    version: "v1" or "v2"; None takes v2 where a question is unanswerable, else v1.
    Raises ValueError naming the id where a prediction is missing, has no question, or is not text.
    """
    version = _check(predictions, references, version)
    pairs = [_score_one(predictions[qid], golds, version) for qid, golds in references.items()]
    exact, token_f1 = np.array(pairs, dtype=np.float64).T
    answerable = np.array([len(golds) > 0 for golds in references.values()])
    return QuestionScores(tuple(references), exact, token_f1, answerable, version)


def score_answers(
    predictions: Mapping[str, str], references: Mapping[str, Sequence[str]], version: Version | None = None
) -> dict[str, float | int]:
    """Exact match and F1 over all questions, in percent, with the official split by answerability for SQuAD 2.0.

    Arguments and errors as in `score_questions`.
    Returns {"exact_match", "f1", "total"}; under v2 also HasAns_exact, HasAns_f1, HasAns_total where some question is
    answerable and NoAns_exact, NoAns_f1, NoAns_total where some question is not (as the official script does).
    """
    scores = score_questions(predictions, references, version)
    result = {"exact_match": _percent(scores.exact), "f1": _percent(scores.f1), "total": len(scores.ids)}
    if scores.version == "v2":
        for name, part in (("HasAns", scores.answerable), ("NoAns", ~scores.answerable)):
            if part.any():
                result |= {
                    f"{name}_exact": _percent(scores.exact[part]),
                    f"{name}_f1": _percent(scores.f1[part]),
                    f"{name}_total": int(part.sum()),
                }
    return result


def best_threshold(
    predictions: Mapping[str, str], scores: Mapping[str, float], references: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """The lowest score to answer at that makes exact match, and the one that makes F1, as high as it can be.

    predictions: id -> the best answer text, given as if nothing were refused.
    scores: id -> how sure the model is of it, in [0, 1]; a question is answered where its score >= threshold.
    references: as in `score_questions`, scored by the v2 rules.
    Returns {"best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh"}; the first of each pair in percent, the second on the
    scale of `scores`: halfway between the two scores it separates, so that rounding in the model cannot flip an answer; 0
    where answering everything is best, just above the highest score where answering nothing is.

    Questions with equal scores are answered or refused together, since no threshold can part them. (The official script walks
    through them one by one and may report a value that no threshold reaches.) Among equally good thresholds the highest wins,
    the one that answers fewest: a wrong answer is never preferred to a refusal. O(N log N).
    """
    _check(predictions, references, "v2")
    _check_ids(scores, references, "score")
    confidence = np.empty(len(references))
    for row, qid in enumerate(references):
        score = scores[qid]
        if not _is_number(score) or not 0 <= score <= 1:
            raise ValueError(f"question {qid!r}: its score is {score!r}; scores lie between 0 and 1.")
        confidence[row] = score
    answered = score_questions(predictions, references, "v2")
    refused = score_questions(dict.fromkeys(references, ""), references, "v2")

    descending = np.argsort(-confidence, kind="stable")
    confidence = confidence[descending]
    ends_tie = np.append(confidence[1:] < confidence[:-1], True)
    result = {}
    for name, if_answered, if_refused in (("exact", answered.exact, refused.exact), ("f1", answered.f1, refused.f1)):
        gains = np.cumsum((if_answered - if_refused)[descending])[ends_tie]
        # Rounded, so that sums that differ only in their last bits count as equal and the higher threshold wins.
        totals = np.round(if_refused.sum() + np.concatenate([[0.0], gains]), 9)
        groups = int(np.argmax(totals))
        result[f"best_{name}"] = float(100 * totals[groups] / len(references))
        result[f"best_{name}_thresh"] = _threshold_below(confidence[ends_tie], groups)
    return result


def check_threshold(threshold: float, name: str = "threshold") -> None:
    """Raise ValueError unless it is a number in [0, 1]."""
    # `not 0 <= x` rather than `x < 0`, so that NaN is caught too.
    if not _is_number(threshold) or not 0 <= threshold <= 1:
        raise ValueError(f"{name} is {threshold!r}; it is a score, from 0 (answer everything) to 1.")


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless it is a number above 0."""
    if not _is_number(temperature) or not 0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature!r}; it must be a number above 0, such as 1.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def roc_auc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """The chance that a positive example scores higher than a negative one; equal scores count half.

    The area under the ROC curve, from the positives' mean rank (Mann and Whitney 1947).

    Args:
        scores: N numbers.
        positive: N flags, of both kinds.

    Raises:
        ValueError: there is only one kind.
    """
    from scipy.stats import rankdata

    scores, positive = np.asarray(scores, dtype=float), np.asarray(positive, dtype=bool)
    yes, no = int(positive.sum()), int((~positive).sum())
    if not yes or not no:
        raise ValueError(f"found {yes} positive and {no} negative examples; the area needs both kinds.")
    return float((rankdata(scores)[positive].sum() - yes * (yes + 1) / 2) / (yes * no))


@dataclass(frozen=True)
class Interval:
    """A mean over questions, in percent, with its standard error and the interval that holds it with `confidence`."""

    mean: float
    low: float
    high: float
    standard_error: float
    confidence: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} ({100 * self.confidence:.0f} % interval {self.low:.1f} to {self.high:.1f})"


def f1_interval(
    predictions: Mapping[str, str],
    references: Mapping[str, Sequence[str]],
    *,
    version: Version | None = None,
    groups: Mapping[str, str] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """How far F1 might lie from this value on other questions of the same kind: a bootstrap interval over questions.

    groups: id -> article title; given, whole articles are drawn instead of questions, which is wider and more honest where
    a model does well on some articles and badly on others.
    The other arguments as in `score_questions` and `bootstrap_interval`.
    """
    scores = score_questions(predictions, references, version)
    if groups is not None:
        _check_ids(groups, references, "group")
    labels = None if groups is None else [groups[qid] for qid in scores.ids]
    return bootstrap_interval(scores.f1, groups=labels, confidence=confidence, resamples=resamples, seed=seed)


def bootstrap_interval(
    values: Sequence[float] | np.ndarray,
    *,
    groups: Sequence[str] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of the mean of `values` (0 to 1 each), in percent; the same `seed` gives the same interval.

    values: one number per question; differences of two models' scores on the same questions give a paired comparison.
    groups: one label per value; values of a label are drawn together.
    Raises ValueError for fewer than two values (or groups): one question says nothing about others.
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, sections 6.2 and 13.3.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"values must be one row of finite numbers, one per question; got shape {values.shape}.")
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(f"confidence must lie between 0 and 1 and resamples be positive; got {confidence} and {resamples}.")
    if groups is None:
        sums, counts = values, np.ones(len(values))
    else:
        if len(groups) != len(values):
            raise ValueError(f"{len(groups)} groups for {len(values)} values; give one label per value.")
        _, labels = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
        sums, counts = np.bincount(labels, weights=values), np.bincount(labels).astype(float)
    if len(sums) < 2:
        raise ValueError(f"an interval needs at least two {'questions' if groups is None else 'groups'}; got {len(sums)}.")
    rng = np.random.default_rng(seed)
    means = []
    # In slices of about four million draws, so that memory stays small for a whole development set.
    step = max(1, 4_000_000 // len(sums))
    for first in range(0, resamples, step):
        drawn = rng.integers(len(sums), size=(min(step, resamples - first), len(sums)))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    means = 100 * np.concatenate(means)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(100 * values.mean()), float(low), float(high), float(means.std()), confidence)


def _score_one(prediction: str, golds: Sequence[str], version: Version) -> tuple[float, float]:
    answer = normalize_answer(prediction)
    wanted = [normalize_answer(gold) for gold in golds]
    if version == "v2":
        # A gold such as "the" leaves nothing to compare: 2.0 drops it, and a question left without golds wants "".
        wanted = [gold for gold in wanted if gold] or [""]
    return float(answer in wanted), max(_token_f1(answer, gold, version) for gold in wanted)


def _token_f1(answer: str, gold: str, version: Version) -> float:
    if not answer or not gold:
        return float(answer == gold) if version == "v2" else 0.0
    answer_words, gold_words = answer.split(), gold.split()
    shared = (Counter(answer_words) & Counter(gold_words)).total()
    # 2PR / (P + R) with P = shared / answer words and R = shared / gold words.
    return 2 * shared / (len(answer_words) + len(gold_words))


def _threshold_below(levels: np.ndarray, groups: int) -> float:
    """A threshold that answers exactly the first `groups` of the descending, distinct score `levels`."""
    if groups == len(levels):
        return 0.0
    below = float(levels[groups])
    above = float(levels[groups - 1]) if groups else 1.0
    middle = (below + above) / 2
    if middle > below:
        return middle
    # No room in between: the level itself answers it; above a highest score of 1 only a number past 1 refuses all.
    return above if groups else math.nextafter(below, math.inf)


def _check(predictions: Mapping[str, str], references: Mapping[str, Sequence[str]], version: Version | None) -> Version:
    if version not in (None, "v1", "v2"):
        raise ValueError(f"version is {version!r}; use 'v1', 'v2' or None.")
    if not references:
        raise ValueError("there are no questions to score; the set is empty.")
    _check_ids(predictions, references, "prediction")
    answerable = True
    for qid, golds in references.items():
        # One text in place of a list would be read as a list of letters, and score without complaint.
        if isinstance(golds, str) or not all(isinstance(gold, str) for gold in golds):
            raise ValueError(f"question {qid!r}: its gold answers must be a list of texts (empty if unanswerable).")
        if not isinstance(predictions[qid], str):
            raise ValueError(f"question {qid!r}: its prediction is {predictions[qid]!r}; give text, '' to refuse.")
        if not golds:
            answerable = False
            if version == "v1":
                raise ValueError(f"question {qid!r} has no gold answer; SQuAD 1.1 has none such, so score it with version='v2'.")
    return version or ("v1" if answerable else "v2")


def _check_ids(given: Mapping[str, object], references: Mapping[str, object], what: str) -> None:
    for qid in references:
        if qid not in given:
            raise ValueError(f"question {qid!r} has no {what}; give one for every question.")
    if len(given) > len(references):
        extra = _first(qid for qid in given if qid not in references)
        raise ValueError(f"there is a {what} for {extra!r}, but no such question; was it made from another data set?")


def _first(items: Iterable[str]) -> str:
    return next(iter(items))


def _percent(values: np.ndarray) -> float:
    # fsum: the mean of 2/3s and 1/3s does not depend on the order of the questions.
    return 100.0 * math.fsum(values) / len(values)
