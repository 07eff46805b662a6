"""How far to believe a score: of the answers given with "90 % sure", are nine out of ten right?

    report = compare(confidences, correct, test_confidences, test_correct)
    report.before.error, report.after.error     # calibration error, without and with a temperature
    report.threshold                            # from which on nine of ten answers are right
    report.held_out.accuracy                    # ... on questions it was not chosen on
    fit_calibration(qa, course["validation"])   # temperature and threshold for a model's card

All but what asks an answerer works on arrays: confidences float[N] in [0, 1], correct bool[N].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit, logsumexp, softmax

from src.qa.metrics import best_threshold, check_temperature, score_answers, score_questions

if TYPE_CHECKING:
    from datasets import Dataset

    from src.qa.answerer import QuestionAnswerer
    from src.qa.decoding import Answer
    from src.qa.open_domain import OpenAnswer, WikipediaAnswerer

MAX_LOGIT = 36.0  # beyond it float64 rounds a score to 1
# Between which a temperature is looked for: answers that a score separates perfectly would want 0.
TEMPERATURES = (0.01, 100.0)
CARD_DIGITS = 4  # of a number on a card
HALF_RIGHT = 0.5  # the F1 from which on a card calls an answer right


# --- is what it says true? --------------------------------------------------------------------


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
        ValueError: the arrays do not fit.
    """
    confidences, correct = _checked(confidences, correct)
    if bins < 1:
        raise ValueError(f"bins is {bins}; it takes one at least.")
    edges = np.linspace(0, 1, bins + 1)
    places = np.searchsorted(edges, confidences, side="right") - 1
    places = np.minimum(places, bins - 1)  # 1.0 goes into the last bin
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 of an empty bin is nan
        confidence = np.bincount(places, weights=confidences, minlength=bins) / counts
        accuracy = np.bincount(places, weights=correct, minlength=bins) / counts
    return Reliability(edges, counts, confidence, accuracy)


def error_by_chance(
    confidences: np.ndarray, bins: int = 10, draws: int = 500, seed: int = 0
) -> float:
    """The calibration error that these confidences would show on average if they were true.

    It is not zero: ten answers that are 50 % sure are rarely right exactly five times.
    """
    confidences, rng = np.asarray(confidences, dtype=float), np.random.default_rng(seed)
    drawn = (rng.random(len(confidences)) < confidences for _ in range(draws))
    return float(np.mean([reliability(confidences, right, bins).error for right in drawn]))


# --- making it truer --------------------------------------------------------------------------


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
        if not math.isfinite(self.offset):
            raise ValueError(f"offset is {self.offset}; it must be a number, such as 0.")

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

    scores, correct = _checked(scores, correct)
    if correct.all() or not correct.any():
        found = f"all {len(correct)} answers are {'right' if correct.all() else 'wrong'}"
        raise ValueError(f"{found}; fitting needs both kinds.")
    model = LogisticRegression(C=np.inf, fit_intercept=offset, tol=1e-10, max_iter=1000)
    model.fit(_logits(scores)[:, None], correct)
    coldest, hottest = TEMPERATURES
    slope = float(np.clip(model.coef_[0, 0], 1 / hottest, 1 / coldest))
    return Scaling(1 / slope, float(model.intercept_[0]) if offset else 0.0)


# --- answering only what is sure --------------------------------------------------------------


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
    confidences, correct = _checked(confidences, correct)
    order = np.argsort(-confidences, kind="stable")
    sure, right = confidences[order], np.cumsum(correct[order])
    last = np.flatnonzero(np.append(sure[1:] < sure[:-1], True))  # of each group of equals
    return Coverage(sure[last], (last + 1) / len(sure), right[last] / (last + 1))


def threshold_for(confidences: np.ndarray, correct: np.ndarray, wanted: float = 0.9) -> float:
    """The lowest threshold whose answers are right at least `wanted` of the time.

    Found on few questions it is partly luck: judge it by others (`at_threshold`).

    Returns:
        Halfway between the two scores that it separates; 0 where everything may be answered; just
        above the highest score where no threshold reaches `wanted`, so that nothing is.
    """
    if not 0 < wanted <= 1:
        raise ValueError(f"wanted is {wanted}; it is a share of answers, above 0 and up to 1.")
    curve = coverage_curve(confidences, correct)
    reached = np.flatnonzero(curve.accuracy >= wanted)
    if not reached.size:
        return math.nextafter(float(curve.thresholds[0]), math.inf)
    lowest = reached[-1]
    if lowest == len(curve.thresholds) - 1:
        return 0.0
    above, below = float(curve.thresholds[lowest]), float(curve.thresholds[lowest + 1])
    middle = (above + below) / 2
    return middle if middle > below else above


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
    confidences, correct = _checked(confidences, correct)
    given = confidences >= threshold
    return AtThreshold(float(threshold), len(given), int(given.sum()), int(correct[given].sum()))


@dataclass(frozen=True)
class Calibration:
    """Fitted and chosen on validation questions, measured on test questions.

    Attributes:
        temperature: the scaling that was fitted.
        before, after: of the test scores as they are, and scaled.
        by_chance: the calibration error that would be there if the scaled scores were true.
        threshold: for `threshold=`.
        chosen_on, held_out: what it gave on validation and on test questions.
        curve: coverage against accuracy on the test questions.
    """

    temperature: Scaling
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
    bins: int = 10,
) -> Calibration:
    """Fit temperature and threshold on validation questions, and see what they are worth on others.

    Args:
        confidences, correct: of the validation questions, see `judge`.
        test_confidences, test_correct: of the test questions.
        wanted: how often an answer at the threshold or above should be right.
        bins: of equal width, for the calibration errors.

    Raises:
        ValueError: all validation answers are right, or all wrong.
    """
    temperature = fit_scaling(confidences, correct)
    threshold = threshold_for(confidences, correct, wanted)
    scaled = temperature(test_confidences)
    return Calibration(
        temperature=temperature,
        before=reliability(test_confidences, test_correct, bins),
        after=reliability(scaled, test_correct, bins),
        by_chance=error_by_chance(scaled, bins),
        threshold=threshold,
        chosen_on=at_threshold(confidences, correct, threshold),
        held_out=at_threshold(test_confidences, test_correct, threshold),
        curve=coverage_curve(test_confidences, test_correct),
    )


# --- of a reader ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """What an answerer said when it had to answer every question, and how right that was.

    By SQuAD 2.0's rules: an answer to an unanswerable question is wrong, and so is having none.

    Attributes:
        confidences: float[N], its scores.
        exact: bool[N], exact match.
        f1: float[N], 0 to 1.
    """

    confidences: np.ndarray
    exact: np.ndarray
    f1: np.ndarray

    def correct(self, least_f1: float | None = None) -> np.ndarray:
        """bool[N]: which answers match exactly, or have at least this F1."""
        return self.exact if least_f1 is None else self.f1 >= least_f1


def judge(answerer: QuestionAnswerer | WikipediaAnswerer, dataset: Dataset) -> Judged:
    """Ask every question of `dataset` (SQuAD's columns), without a threshold.

    A QuestionAnswerer reads each question's own passage; a WikipediaAnswerer has to find one.
    """
    questions = list(dataset["question"])
    if hasattr(answerer, "ask_many"):  # over Wikipedia
        answers = answerer.ask_many(questions, threshold=0.0)
    else:
        answers = answerer(questions, list(dataset["context"]), threshold=0.0, n_best=1)
    return judged(answers, dataset)


def judged(answers: Sequence[Answer] | Sequence[OpenAnswer], dataset: Dataset) -> Judged:
    """Compare answers, given without a threshold and in the order of `dataset`, with the golds."""
    from src.qa.dataset import gold_answers

    texts = {qid: answer.text for qid, answer in zip(dataset["id"], answers, strict=True)}
    scores = score_questions(texts, gold_answers(dataset), "v2")
    given = np.array([bool(answer.text) for answer in answers])
    confidences = np.array([answer.score for answer in answers])
    return Judged(confidences, (scores.exact == 1) & given, scores.f1 * given)


def fit_calibration(qa: QuestionAnswerer, dataset: Dataset) -> dict[str, float | int | str]:
    """The temperature that makes a reader's scores true, and then the threshold with the best F1.

    All questions are answered once. The temperature is that of least negative log-likelihood of
    "the best span is right": token F1 of HALF_RIGHT at least, by SQuAD 2.0's rules, so an answer to
    an unanswerable question is wrong. Use questions that the reader did not learn from.

    Args:
        qa: the reader; its own temperature and threshold play no part.
        dataset: rows in SQuAD's columns, with known answers.

    Returns:
        temperature and threshold; questions and unanswerable, how many there are; exact_match and
        f1, in percent, at that threshold; ece, the calibration error, in [0, 1]; auc as `evaluate`
        gives it, where there are both kinds of questions. Where the answers are fewer than two, all
        right or all wrong, nothing can be fitted: temperature 1, threshold 0.5, and a note.
    """
    from src.qa.dataset import gold_answers
    from src.qa.decoding import SPANS
    from src.qa.models import DEFAULT_THRESHOLD

    answers = qa(list(dataset["question"]), list(dataset["context"]), threshold=0.0, n_best=SPANS)
    golds = gold_answers(dataset)
    right = judged(answers, dataset).correct(HALF_RIGHT)
    # float[N, SPANS + 1]: logits of the spans, best first, and the null; -inf where spans lack.
    logits = np.full((len(answers), SPANS + 1), -np.inf)
    for row, answer in zip(logits, answers, strict=True):
        row[: len(answer.candidates)] = [candidate.logit for candidate in answer.candidates]
        row[-1] = answer.null_logit
    fitted = len(right) > 1 and right.any() and not right.all()
    temperature = _fit_temperature(logits, right) if fitted else 1.0
    scores = dict(zip(golds, softmax(logits / temperature, axis=1)[:, 0].tolist(), strict=True))
    texts = {qid: answer.text for qid, answer in zip(golds, answers, strict=True)}
    threshold = DEFAULT_THRESHOLD
    if fitted:
        threshold = min(best_threshold(texts, scores, golds)["best_f1_thresh"], 1.0)
    said = {qid: text if scores[qid] >= threshold else "" for qid, text in texts.items()}
    results = score_answers(said, golds, "v2")
    found = {
        "temperature": temperature,
        "threshold": threshold,
        "questions": len(golds),
        "unanswerable": sum(not gold for gold in golds.values()),
        "exact_match": results["exact_match"],
        "f1": results["f1"],
        "ece": reliability(list(scores.values()), right).error,
    }
    if 0 < found["unanswerable"] < found["questions"]:
        found["auc"] = answerable_auc(scores, golds)
    if not fitted:
        which = f"all {len(right)} answers {'right' if right.all() else 'wrong'}"
        which = which if len(right) > 1 else "only one answer"
        found["note"] = (
            f"With {which} nothing can be fitted: "
            "temperature and threshold are those of a model without a card."
        )
    return found


def answerable_auc(scores: Mapping[str, float], golds: Mapping[str, Sequence[str]]) -> float:
    """How likely the score of an answerable question is the higher one of two.

    Args:
        scores: id -> score.
        golds: id -> gold texts, empty for an unanswerable question; both kinds are there.
    """
    from sklearn.metrics import roc_auc_score

    answerable = [bool(texts) for texts in golds.values()]
    return float(roc_auc_score(answerable, [scores[qid] for qid in golds]))


def fields_for_card(found: Mapping[str, float | int | str]) -> dict:
    """What `fit_calibration` found, as a card has it."""
    rounded = {
        name: round(value, CARD_DIGITS) if isinstance(value, float) else value
        for name, value in found.items()
    }
    top = {name: rounded.pop(name) for name in ("threshold", "temperature")}
    return top | {"calibration": {"passage": rounded}}


def _fit_temperature(logits: np.ndarray, right: np.ndarray) -> float:
    """The temperature of least negative log-likelihood.

    scikit-learn's temperature scaling wants the class that is right among all; here it is only
    known whether the first one is.

    Args:
        logits: float[N, K]; softmax(logits / temperature)[:, 0] should be how likely it is right.
        right: bool[N].
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        # log(1 - p) from the others, to keep its digits.
        whole, others = logsumexp(scaled, axis=1), logsumexp(scaled[:, 1:], axis=1)
        return -float(np.where(right, scaled[:, 0] - whole, others - whole).mean())

    bounds, options = np.log(TEMPERATURES), {"xatol": 1e-6}
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options=options)
    return float(math.exp(found.x))


def _checked(confidences: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    confidences, correct = np.asarray(confidences, dtype=float), np.asarray(correct)
    if confidences.ndim != 1 or confidences.shape != correct.shape or not confidences.size:
        found = f"{confidences.shape} and {correct.shape}"
        raise ValueError(f"needs one confidence and one correct per answer; found {found}.")
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError("confidences must lie between 0 and 1.")
    if not np.isin(correct, (0, 1)).all():
        raise ValueError("correct must be True or False for each answer, not a share.")
    return confidences, correct.astype(bool)


def _logits(scores: np.ndarray | float) -> np.ndarray:
    return np.clip(logit(scores), -MAX_LOGIT, MAX_LOGIT)
