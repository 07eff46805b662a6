"""How far to believe a score: of the answers given with "90 % sure", are nine out of ten right?

    report = compare(confidences, correct, test_confidences, test_correct)
    report.before.error, report.after.error     # calibration error, as it is and scaled
    report.threshold                            # from which on nine of ten answers are right
    report.held_out.accuracy                    # ... on questions it was not chosen on

All of it works on arrays: confidences float[N] in [0, 1], correct bool[N]. `src.qa.evaluation`
makes them of a reader's answers.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from src.qa.metrics import check_temperature, is_real, threshold_below

MAX_LOGIT = 36.0  # beyond it float64 rounds a score to 1
# Between which a temperature is looked for: answers that a score separates perfectly would want 0.
TEMPERATURES = (0.01, 100.0)


@dataclass(frozen=True)
class Reliability:
    """Answers in bins of confidence, and how often those of a bin were right.

    Attributes:
        edges: float[bins + 1]; a bin holds its lower edge only, the last one both.
        counts: int[bins].
        confidence, accuracy: float[bins], means over each bin, nan where it is empty.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap between accuracy and confidence, in [0, 1].

        ECE = sum over bins of counts / N * |accuracy - confidence|
        Source: Naeini et al. 2015; Guo et al. 2017, section 2.
        """
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(self.counts * gaps) / self.counts.sum())


def reliability(confidences: np.ndarray, correct: np.ndarray, bins: int = 10) -> Reliability:
    """Sort answers by confidence into bins of equal width from 0 to 1.

    Raises:
        ValueError: a confidence is not in [0, 1].
    """
    confidences = np.asarray(confidences, dtype=float)
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError("confidences must lie between 0 and 1.")
    edges = np.linspace(0, 1, bins + 1)
    places = np.searchsorted(edges, confidences, side="right") - 1
    places = np.minimum(places, bins - 1)  # 1.0 goes into the last bin
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 of an empty bin is nan
        confidence = np.bincount(places, weights=confidences, minlength=bins) / counts
        accuracy = np.bincount(places, weights=correct, minlength=bins) / counts
    return Reliability(edges, counts, confidence, accuracy)


def error_by_chance(confidences: np.ndarray, draws: int = 500) -> float:
    """The calibration error that these confidences would show on average if they were true.

    It is not zero: ten answers that are 50 % sure are rarely right exactly five times.
    """
    rng = np.random.default_rng(0)
    drawn = (rng.random(len(confidences)) < confidences for _ in range(draws))
    return float(np.mean([reliability(confidences, right).error for right in drawn]))


@dataclass(frozen=True)
class Scaling:
    """Scores made truer, in the same order: sigmoid(logit(score) / temperature + offset).

    Source: Guo et al. 2017, section 4.2 (temperature); Platt 1999 (both).

    Attributes:
        temperature: above 1 pulls all scores towards 0.5, below 1 pushes them apart.
        offset: moves them all up or down.
    """

    temperature: float = 1.0
    offset: float = 0.0

    def __post_init__(self):
        check_temperature(self.temperature)
        if not is_real(self.offset) or not math.isfinite(self.offset):
            raise ValueError(f"offset is {self.offset!r}; it must be a number, such as 0.")

    def __call__(self, scores: np.ndarray | float) -> np.ndarray:
        """float[...] in [0, 1] to float[...] in [0, 1]."""
        return expit(_logits(scores) / self.temperature + self.offset)


def fit_scaling(scores: np.ndarray, correct: np.ndarray, offset: bool = False) -> Scaling:
    """Fit a temperature, and an offset where asked for: logistic regression of `correct` on logits.

    Fit it on other questions than those it is judged by.

    Raises:
        ValueError: all answers are right, or all wrong.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf, fit_intercept=offset, tol=1e-10, max_iter=1000)
    model.fit(_logits(scores)[:, None], correct)
    coldest, hottest = TEMPERATURES
    slope = float(np.clip(model.coef_[0, 0], 1 / hottest, 1 / coldest))
    return Scaling(1 / slope, float(model.intercept_[0]) if offset else 0.0)


def _logits(scores: np.ndarray | float) -> np.ndarray:
    return np.clip(logit(scores), -MAX_LOGIT, MAX_LOGIT)


@dataclass(frozen=True)
class Coverage:
    """What answering from a threshold on gives, for every threshold that makes a difference.

    Attributes:
        thresholds: float[K], falling.
        coverage: float[K], the share of questions answered.
        accuracy: float[K], the share of answers that are right.
    """

    thresholds: np.ndarray
    coverage: np.ndarray
    accuracy: np.ndarray


def coverage_curve(confidences: np.ndarray, correct: np.ndarray) -> Coverage:
    """Answer the surest question first, then the next; those of equal confidence together."""
    order = np.argsort(-confidences)
    sure, right = confidences[order], np.cumsum(correct[order])
    last = np.flatnonzero(np.append(sure[1:] < sure[:-1], True))  # of each group of equals
    return Coverage(sure[last], (last + 1) / len(sure), right[last] / (last + 1))


def threshold_for(confidences: np.ndarray, correct: np.ndarray, wanted: float = 0.9) -> float:
    """The lowest threshold whose answers are right at least `wanted` of the time.

    Found on few questions it is partly luck: judge it by others (`at_threshold`). Where no
    threshold reaches `wanted`, nothing is answered; see `threshold_below`.
    """
    curve = coverage_curve(confidences, correct)
    reached = np.flatnonzero(curve.accuracy >= wanted)
    return threshold_below(curve.thresholds, reached[-1] + 1 if reached.size else 0)


@dataclass(frozen=True)
class AtThreshold:
    """What a threshold gave: of `questions` so many `answered`, and of these `right`."""

    threshold: float
    questions: int
    answered: int
    right: int

    @property
    def coverage(self) -> float:
        """The share of questions answered."""
        return self.answered / self.questions

    @property
    def accuracy(self) -> float:
        """The share of answers that are right; nan where there are none."""
        return self.right / self.answered if self.answered else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Where the accuracy on other questions of the kind lies, with 95 % confidence."""
        from scipy.stats import binomtest

        if not self.answered:
            return 0.0, 1.0
        interval = binomtest(self.right, self.answered).proportion_ci(method="wilson")
        return interval.low, interval.high


def at_threshold(confidences: np.ndarray, correct: np.ndarray, threshold: float) -> AtThreshold:
    """Count what is answered, and right, if confidences of at least `threshold` are answered."""
    given = confidences >= threshold
    return AtThreshold(threshold, len(given), int(given.sum()), int(correct[given].sum()))


@dataclass(frozen=True)
class Calibration:
    """Fitted and chosen on validation questions, measured on test questions.

    Attributes:
        before, after: of the test scores as they are, and scaled.
        by_chance: the calibration error that would be there if the scaled scores were true.
        chosen_on, held_out: what the threshold gave on validation and on test questions.
        curve: coverage against accuracy on the test questions.
    """

    scaling: Scaling
    before: Reliability
    after: Reliability
    by_chance: float
    threshold: float
    chosen_on: AtThreshold
    held_out: AtThreshold
    curve: Coverage


def compare(
    confidences: np.ndarray,
    correct: np.ndarray,
    test_confidences: np.ndarray,
    test_correct: np.ndarray,
    wanted: float = 0.9,
) -> Calibration:
    """Fit scaling and threshold on validation questions, and see what they are worth on others.

    The answers to both are of `evaluation.judge`. `wanted` is how often an answer at the threshold
    or above should be right.

    Raises:
        ValueError: as `fit_scaling`.
    """
    scaling = fit_scaling(confidences, correct, offset=True)
    threshold = threshold_for(confidences, correct, wanted)
    scaled = scaling(test_confidences)
    return Calibration(
        scaling=scaling,
        before=reliability(test_confidences, test_correct),
        after=reliability(scaled, test_correct),
        by_chance=error_by_chance(scaled),
        threshold=threshold,
        chosen_on=at_threshold(confidences, correct, threshold),
        held_out=at_threshold(test_confidences, test_correct, threshold),
        curve=coverage_curve(test_confidences, test_correct),
    )
