"""How far to believe a score: of the answers given with "90 % sure", are nine out of ten right?

    report = calibrate(QuestionAnswerer.load(), course["validation"], course["test"])
    report.before.error, report.after.error     # expected calibration error on the test part, without and with a temperature
    report.threshold                            # for `qa(question, passage, threshold=...)`: right nine times out of ten
    report.held_out.accuracy                    # ... and how often that was so on questions it was not chosen on
    fit_calibration(qa, course["validation"])   # the one temperature and the threshold that go into a model's card
    entry_for_card(judged, judged_test)         # the same for passages that are searched for

Everything but what asks an answerer works on plain arrays: confidences float[N] in [0, 1] and correct bool[N].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit, logsumexp, softmax

from src.qa.metrics import best_threshold, check_temperature, roc_auc, score_answers, score_questions

if TYPE_CHECKING:
    from datasets import Dataset

    from src.qa.answerer import QuestionAnswerer
    from src.qa.decoding import Answer
    from src.qa.retrieval import Hit, OpenAnswer, Retriever, WikipediaAnswerer

MOST_EXTREME = 36.0  # the logit beyond which float64 rounds a score to 1
TEMPERATURES = (0.01, 100.0)  # between which one is looked for: answers that a score separates perfectly would want 0
NORMAL_95 = 1.959964  # standard errors to either side that hold 95 % of a normal distribution
DIGITS = 4  # of a number on a card
SURE, HALF_RIGHT = 0.9, 0.5  # of a card: what is asked of the sure answers, and the F1 from which on one is called right


# --- is what it says true? ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reliability:
    """Answers in bins of confidence, and how often those of a bin were right.

    edges: float[bins + 1]; a bin holds its lower edge and not its upper one, the last one holds both
    counts: int[bins]   confidence, accuracy: float[bins], the means over each bin, nan where it is empty
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error, in [0, 1]: how far said and true are apart, over all answers.

        ECE = sum over bins of  counts / N · |accuracy - confidence|
        Source: Naeini et al. 2015; Guo et al. 2017, section 2.
        """
        return float(np.nansum(self.counts * np.abs(self.accuracy - self.confidence)) / self.counts.sum())


def reliability(confidences: np.ndarray, correct: np.ndarray, bins: int = 10) -> Reliability:
    """Sort answers by confidence into `bins` bins of equal width from 0 to 1. Raises ValueError where the arrays do not fit."""
    confidences, correct = _checked(confidences, correct)
    if bins < 1:
        raise ValueError(f"bins is {bins}; it takes one at least.")
    edges = np.linspace(0, 1, bins + 1)
    places = np.minimum(np.searchsorted(edges, confidences, side="right") - 1, bins - 1)  # 1.0 goes into the last bin
    counts = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 of an empty bin is the nan that is promised
        confidence = np.bincount(places, weights=confidences, minlength=bins) / counts
        accuracy = np.bincount(places, weights=correct, minlength=bins) / counts
    return Reliability(edges, counts, confidence, accuracy)


def error_by_chance(confidences: np.ndarray, bins: int = 10, draws: int = 500, seed: int = 0) -> float:
    """The calibration error that these confidences would show on average if each of them were true.

    Not zero: ten answers that are 50 % sure are rarely right exactly five times. An error near this one is as good as none.
    """
    confidences = np.asarray(confidences, dtype=float)
    rng = np.random.default_rng(seed)
    return float(np.mean([reliability(confidences, rng.random(len(confidences)) < confidences, bins).error for _ in range(draws)]))


# --- making it truer ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scaling:
    """Scores made truer without changing their order: sigmoid(logit(score) / temperature + offset).

    temperature: above 1 pulls all scores towards 0.5, below 1 pushes them apart
    offset: moves them all up or down, for a reader that is too bold or too shy throughout
    Source: Guo et al. 2017, section 4.2 (temperature); Platt 1999 (both).
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

    def score_at(self, confidence: np.ndarray | float) -> np.ndarray:
        """The way back: the score that becomes this confidence, such as the threshold for "90 % sure"."""
        return expit((_logits(confidence) - self.offset) * self.temperature)


def fit_scaling(scores: np.ndarray, correct: np.ndarray, offset: bool = False) -> Scaling:
    """The temperature, and with `offset` also the offset, that make what happened likeliest: least mean negative log-likelihood.

    loss = -mean(log p where right, log(1 - p) where wrong), p = the scaled score. It has one lowest point, which is found from
    anywhere. Fit it on other questions than those it is judged by. Raises ValueError where all answers are right, or all wrong.
    """
    from scipy.optimize import minimize

    scores, correct = _checked(scores, correct)
    if correct.all() or not correct.any():
        raise ValueError(f"all {len(correct)} answers are {'right' if correct.all() else 'wrong'}; fitting needs both kinds.")
    logits = _logits(scores)

    def loss_and_gradient(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, moved = parameters  # slope = 1 / temperature: in it, unlike in the temperature, the loss is convex
        scaled = slope * logits + moved
        loss = np.logaddexp(0, np.where(correct, -scaled, scaled)).mean()
        excess = expit(scaled) - correct
        return loss, np.array([(excess * logits).mean(), excess.mean()])

    coldest, hottest = TEMPERATURES
    bounds = [(1 / hottest, 1 / coldest), (None, None) if offset else (0.0, 0.0)]
    found = minimize(loss_and_gradient, (1.0, 0.0), jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-10})
    slope, moved = found.x
    return Scaling(float(1 / slope), float(moved))


# --- answering only what is sure ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coverage:
    """What it gives to answer only from a threshold on, for every threshold that makes a difference.

    thresholds: float[K], falling   coverage: float[K], the share of questions answered   accuracy: float[K], the share of those right
    """

    thresholds: np.ndarray
    coverage: np.ndarray
    accuracy: np.ndarray


def coverage_curve(confidences: np.ndarray, correct: np.ndarray) -> Coverage:
    """Answer the surest question first, then the next, to the last; questions of equal confidence together."""
    confidences, correct = _checked(confidences, correct)
    order = np.argsort(-confidences, kind="stable")
    sure, right = confidences[order], np.cumsum(correct[order])
    last = np.flatnonzero(np.append(sure[1:] < sure[:-1], True))  # of each group of equals
    return Coverage(sure[last], (last + 1) / len(sure), right[last] / (last + 1))


def threshold_for(confidences: np.ndarray, correct: np.ndarray, wanted: float = 0.9) -> float:
    """The lowest threshold whose answers, taken together, are right at least `wanted` of the time: the most that can be answered.

    Halfway between the two scores that it parts; 0 where everything may be answered; just above the highest score where no
    threshold reaches `wanted`, so that nothing is. Found on few questions it is partly luck: judge it by others (`answered_from`).
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
class Answered:
    """What a threshold gave: so many of `questions` were answered, so many of the answers right."""

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
        """Where the accuracy on other questions of the same kind lies, with 95 % confidence."""
        return wilson(self.right, self.answered)


def answered_from(confidences: np.ndarray, correct: np.ndarray, threshold: float) -> Answered:
    """Count what is answered, and right, where a question is answered when its confidence is at least `threshold`."""
    confidences, correct = _checked(confidences, correct)
    given = confidences >= threshold
    return Answered(float(threshold), len(given), int(given.sum()), int(correct[given].sum()))


def wilson(right: int, total: int) -> tuple[float, float]:
    """The interval that holds a share with 95 % confidence, when `right` of `total` were; (0, 1) where nothing is known.

    Unlike mean ± 2 standard errors it never leaves [0, 1], and does not shrink to nothing when all were right. Source: Wilson 1927.
    """
    if not total:
        return 0.0, 1.0
    z, share = NORMAL_95, right / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    reach = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return max(0.0, centre - reach), min(1.0, centre + reach)


# --- of a reader ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """What an answerer said when it had to answer every question, and how right that was.

    confidences: float[N], its scores   exact: bool[N], exact match   f1: float[N], 0 to 1   Both by SQuAD 2.0's rules, so an
    answer to an unanswerable question is wrong, and so is having none to give.
    """

    confidences: np.ndarray
    exact: np.ndarray
    f1: np.ndarray

    def correct(self, least_f1: float | None = None) -> np.ndarray:
        """bool[N]: which answers count as right, those that match exactly (None), or those with at least this F1."""
        return self.exact if least_f1 is None else self.f1 >= least_f1


def judge(answerer: QuestionAnswerer | WikipediaAnswerer, dataset: Dataset) -> Judged:
    """Ask every question of `dataset` (SQuAD's columns), without a threshold, and compare with the known answers.

    A QuestionAnswerer reads each question's own passage; a WikipediaAnswerer is not shown it and has to find one.
    """
    from src.qa.answerer import QuestionAnswerer

    questions = list(dataset["question"])
    if isinstance(answerer, QuestionAnswerer):
        answers = answerer(questions, list(dataset["context"]), threshold=0.0, n_best=1)
    else:
        answers = answerer.ask_many(questions, threshold=0.0)
    return judged(answers, dataset)


def judged(answers: Sequence[Answer] | Sequence[OpenAnswer], dataset: Dataset) -> Judged:
    """Compare answers, given without a threshold and in the order of `dataset`, with the known ones."""
    from src.qa.dataset import gold_answers

    texts = {question_id: answer.text for question_id, answer in zip(dataset["id"], answers, strict=True)}
    scores = score_questions(texts, gold_answers(dataset), "v2")
    given = np.array([bool(answer.text) for answer in answers])
    return Judged(np.array([answer.score for answer in answers]), (scores.exact == 1) & given, scores.f1 * given)


def judge_with_and_without(answerer: WikipediaAnswerer, dataset: Dataset) -> Judged:
    """As `judge`, every question twice: over the whole library, and over one that lacks the article the question was written on.

    So half of the questions have no answer there, as many that people ask have none.
    """
    whole, lacking = judge(answerer, dataset), judge(without_their_articles(answerer, dataset), dataset)
    return Judged(*(np.concatenate([getattr(each, name) for each in (whole, lacking)]) for name in ("confidences", "exact", "f1")))


def without_their_articles(answerer: WikipediaAnswerer, dataset: Dataset) -> WikipediaAnswerer:
    """The same answerer, which for each question of `dataset` does not find the article that the question was written on."""
    from src.qa.retrieval import WikipediaAnswerer

    titles = dict(zip(dataset["question"], dataset["title"], strict=True))
    return WikipediaAnswerer(_Lacking(answerer.retriever, titles), answerer.reader, answerer.threshold)


class _Lacking:
    """Stands before a retriever. titles: question -> the title that is not found for it"""

    def __init__(self, retriever: Retriever, titles: Mapping[str, str]):
        self.retriever, self.titles = retriever, titles

    def search(self, question: str, n: int) -> list[Hit]:
        return [hit for hit in self.retriever.search(question, n + 1) if hit.title != self.titles[question]][:n]


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
        right or all wrong, nothing can be fitted: temperature 1, threshold 0.5, and a note that
        says so.
    """
    from src.qa.dataset import gold_answers
    from src.qa.decoding import SPANS
    from src.qa.models import DEFAULT_THRESHOLD

    answers = qa(list(dataset["question"]), list(dataset["context"]), threshold=0.0, n_best=SPANS)
    golds = gold_answers(dataset)
    right = judged(answers, dataset).correct(HALF_RIGHT)
    # float[N, SPANS + 1]: the logits of each question's spans, best first, then the null's; -inf where there are fewer spans
    logits = np.full((len(answers), SPANS + 1), -np.inf)
    for row, answer in zip(logits, answers, strict=True):
        row[: len(answer.candidates)] = [candidate.logit for candidate in answer.candidates]
        row[-1] = answer.null_logit
    fitted = len(right) > 1 and right.any() and not right.all()
    temperature = _fit_temperature(logits, right) if fitted else 1.0
    scores = dict(zip(golds, softmax(logits / temperature, axis=1)[:, 0].tolist(), strict=True))
    texts = {qid: answer.text for qid, answer in zip(golds, answers, strict=True)}
    threshold = min(best_threshold(texts, scores, golds)["best_f1_thresh"], 1.0) if fitted else DEFAULT_THRESHOLD
    said = {qid: text if scores[qid] >= threshold else "" for qid, text in texts.items()}
    at_threshold = score_answers(said, golds, "v2")
    found = {
        "temperature": temperature,
        "threshold": threshold,
        "questions": len(golds),
        "unanswerable": sum(not gold for gold in golds.values()),
        "exact_match": at_threshold["exact_match"],
        "f1": at_threshold["f1"],
        "ece": reliability(list(scores.values()), right).error,
    }
    if 0 < found["unanswerable"] < found["questions"]:
        found["auc"] = roc_auc(list(scores.values()), [bool(gold) for gold in golds.values()])
    if not fitted:
        which = "only one answer" if len(right) < 2 else f"all {len(right)} answers {'right' if right.all() else 'wrong'}"
        found["note"] = f"With {which} nothing can be fitted: temperature and threshold are those of a model without a card."
    return found


def fields_for_card(found: Mapping[str, float | int | str]) -> dict:
    """What `fit_calibration` found as a model's card has it: threshold and temperature, and under calibration, passage the rest."""
    rounded = {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in found.items()}
    return {name: rounded.pop(name) for name in ("threshold", "temperature")} | {"calibration": {"passage": rounded}}


def _fit_temperature(logits: np.ndarray, right: np.ndarray) -> float:
    """The temperature of least negative log-likelihood.

    Args:
        logits: float[N, K], of which softmax(logits / temperature)[:, 0] should be the chance of being right.
        right: bool[N].
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        whole, others = logsumexp(scaled, axis=1), logsumexp(scaled[:, 1:], axis=1)  # log(1 - p) from the others, to keep its digits
        return -float(np.where(right, scaled[:, 0] - whole, others - whole).mean())

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(math.exp(found.x))


@dataclass(frozen=True)
class Calibration:
    """All that was found: fitted and chosen on validation questions, measured on the test questions.

    temperature, with_offset: the two scalings   before, after, after_with_offset: Reliability of the test scores as they are
    and with each scaling   by_chance: the calibration error that would be there if the scores with a temperature were true
    threshold: a score, for `threshold=`   chosen_on, held_out: what it gave on validation and on test questions
    curve: coverage against accuracy on the test questions
    """

    temperature: Scaling
    with_offset: Scaling
    before: Reliability
    after: Reliability
    after_with_offset: Reliability
    by_chance: float
    threshold: float
    chosen_on: Answered
    held_out: Answered
    curve: Coverage

    def to_dict(self) -> dict[str, float]:
        """The figures alone, for a card or a table."""
        low, high = self.held_out.interval
        return {
            "temperature": self.temperature.temperature,
            "with_offset_temperature": self.with_offset.temperature,
            "with_offset_offset": self.with_offset.offset,
            "bins": len(self.before.counts),
            "ece": self.before.error,
            "ece_temperature": self.after.error,
            "ece_with_offset": self.after_with_offset.error,
            "ece_by_chance": self.by_chance,
            "threshold": self.threshold,
            "validation_questions": self.chosen_on.questions,
            "validation_coverage": self.chosen_on.coverage,
            "validation_accuracy": self.chosen_on.accuracy,
            "test_questions": self.held_out.questions,
            "test_coverage": self.held_out.coverage,
            "test_accuracy": self.held_out.accuracy,
            "test_accuracy_low": low,
            "test_accuracy_high": high,
        }


def calibrate(
    answerer: QuestionAnswerer | WikipediaAnswerer,
    validation: Dataset,
    test: Dataset,
    wanted: float = 0.9,
    least_f1: float | None = None,
    bins: int = 10,
) -> Calibration:
    """Fit temperature and threshold on the questions of `validation`, and see on those of `test` what they are worth.

    wanted: how often an answer at the threshold or above it should be right   least_f1: as `Judged.correct` takes it
    bins: of equal width, for the calibration errors. Raises ValueError where all validation answers are right, or all wrong.
    """
    fitted_on, measured_on = judge(answerer, validation), judge(answerer, test)
    return compare(fitted_on.confidences, fitted_on.correct(least_f1), measured_on.confidences, measured_on.correct(least_f1), wanted, bins)


def compare(
    confidences: np.ndarray,
    correct: np.ndarray,
    test_confidences: np.ndarray,
    test_correct: np.ndarray,
    wanted: float = 0.9,
    bins: int = 10,
) -> Calibration:
    """What `calibrate` does once the answers are there; the first two arrays are of validation questions."""
    temperature, with_offset = fit_scaling(confidences, correct), fit_scaling(confidences, correct, offset=True)
    threshold = threshold_for(confidences, correct, wanted)
    return Calibration(
        temperature=temperature,
        with_offset=with_offset,
        before=reliability(test_confidences, test_correct, bins),
        after=reliability(temperature(test_confidences), test_correct, bins),
        after_with_offset=reliability(with_offset(test_confidences), test_correct, bins),
        by_chance=error_by_chance(temperature(test_confidences), bins),
        threshold=threshold,
        chosen_on=answered_from(confidences, correct, threshold),
        held_out=answered_from(test_confidences, test_correct, threshold),
        curve=coverage_curve(test_confidences, test_correct),
    )


def entry_for_card(fitted_on: Judged, measured_on: Judged) -> dict[str, float]:
    """What a reader's card says of one kind of its scores: the scaling that makes them true, and what it is worth on other questions.

    temperature, offset: of a `Scaling`, fitted on the first, where an answer is right with an F1 of HALF_RIGHT
    ece, ece_scaled: calibration errors of the second, as they are and scaled   questions: how many the second are
    sure, sure_and_right: how many answers have a scaled score of SURE at least, and how many of these are right
    """
    report = compare(fitted_on.confidences, fitted_on.correct(HALF_RIGHT), measured_on.confidences, measured_on.correct(HALF_RIGHT), SURE)
    sure = answered_from(report.with_offset(measured_on.confidences), measured_on.correct(HALF_RIGHT), SURE)
    return {
        "temperature": report.with_offset.temperature,
        "offset": report.with_offset.offset,
        "ece": report.before.error,
        "ece_scaled": report.after_with_offset.error,
        "questions": sure.questions,
        "sure": sure.answered,
        "sure_and_right": sure.right,
    }


def _checked(confidences: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    confidences, correct = np.asarray(confidences, dtype=float), np.asarray(correct)
    if confidences.ndim != 1 or confidences.shape != correct.shape or not confidences.size:
        raise ValueError(f"needs one confidence and one correct per answer; found {confidences.shape} and {correct.shape}.")
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError("confidences must lie between 0 and 1.")
    if not np.isin(correct, (0, 1)).all():
        raise ValueError("correct must be True or False for each answer, not a share.")
    return confidences, correct.astype(bool)


def _logits(scores: np.ndarray | float) -> np.ndarray:
    return np.clip(logit(scores), -MOST_EXTREME, MOST_EXTREME)
