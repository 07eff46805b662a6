"""How good a reader's answers are, and how far to believe its scores.

evaluate(qa, course["test"])                # exact match, F1, and what the scores are worth
judge(qa, course["test"])                   # the same question by question, for `calibration`
fit_calibration(qa, course["validation"])   # scaling and threshold for a model's card
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from datasets import Dataset, DatasetDict

from src.qa.answerer import QuestionAnswerer
from src.qa.calibration import Scaling, coverage_curve, fit_scaling, reliability
from src.qa.dataset import gold_answers
from src.qa.decoding import Answer
from src.qa.metrics import (
    HALF_RIGHT,
    best_threshold,
    check_threshold,
    score_answers,
    score_questions,
)
from src.qa.models import DEFAULT_THRESHOLD

if TYPE_CHECKING:
    from src.qa.open_domain import OpenAnswer, WikipediaAnswerer

    Answers = Sequence[Answer] | Sequence[OpenAnswer]

COVERAGES = (50, 80)  # percent of the questions whose risk is told
CARD_DIGITS = 4  # of a number on a card


def evaluate(
    qa: QuestionAnswerer, dataset: Dataset, threshold: float | None = None
) -> dict[str, float]:
    """Exact match and F1 on questions with known answers, in percent, by the official SQuAD rules.

    Args:
        dataset: rows in SQuAD's columns, answerable or not.
        threshold: the lowest score answered; None takes qa's own, or, where no question is
            unanswerable, answers all (SQuAD 1.1 has no refusals).

    Returns:
        exact_match, f1, total, seconds; ece, the expected calibration error of the scores, in
        [0, 1]; risk_at_50 and risk_at_80, the share of wrong answers among the surest half and
        four fifths; with unanswerable questions also HasAns_* and NoAns_* (exact, f1, total),
        threshold, best_exact and best_f1 with the thresholds that would give them, and auc: how
        likely the score of an answerable question is the higher one of two.

    Raises:
        ValueError: a DatasetDict (name the split), or a threshold outside [0, 1].
    """
    if isinstance(dataset, DatasetDict):
        first = next(iter(dataset))
        raise ValueError(f"found a DatasetDict; choose a split, for example dataset[{first!r}].")
    if threshold is not None:
        check_threshold(threshold)
    start = time.perf_counter()
    # The best threshold needs the answers behind the refusals, too.
    answers = ask_all(qa, dataset)
    seconds = time.perf_counter() - start
    if threshold is None:
        threshold = 0.0 if all(gold_answers(dataset).values()) else qa.threshold
    return results_at(threshold, answers, dataset) | {"seconds": round(seconds, 2)}


def results_at(threshold: float, answers: Sequence[Answer], dataset: Dataset) -> dict[str, float]:
    """What `evaluate` returns, but for seconds, of answers given without a threshold."""
    golds, texts, scores = _by_id(answers, dataset)
    said = {qid: text if scores[qid] >= threshold else "" for qid, text in texts.items()}
    result = score_answers(said, golds)
    if "NoAns_total" in result:
        result |= best_threshold(texts, scores, golds) | {"threshold": threshold}
        if "HasAns_total" in result:
            from sklearn.metrics import roc_auc_score  # takes a second

            answerable = [bool(gold) for gold in golds.values()]
            result["auc"] = float(roc_auc_score(answerable, list(scores.values())))
    found = judge_answers(answers, dataset)
    right = found.correct(HALF_RIGHT)
    result["ece"] = reliability(found.confidences, right).error
    curve = coverage_curve(found.confidences, right)
    for percent in COVERAGES:
        enough = np.searchsorted(curve.coverage, percent / 100)
        result[f"risk_at_{percent}"] = 1 - float(curve.accuracy[enough])
    return result


def _by_id(
    answers: Answers, dataset: Dataset
) -> tuple[dict[str, list[str]], dict[str, str], dict[str, float]]:
    golds = gold_answers(dataset)
    texts = {qid: answer.text for qid, answer in zip(golds, answers, strict=True)}
    return golds, texts, {qid: answer.score for qid, answer in zip(golds, answers, strict=True)}


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

    def correct(self, least_f1: float) -> np.ndarray:
        """bool[N]: which answers have at least this F1."""
        return self.f1 >= least_f1


def ask_all(answerer: QuestionAnswerer | WikipediaAnswerer, dataset: Dataset) -> Answers:
    """Ask every question of `dataset`, without a threshold.

    A QuestionAnswerer reads each question's own passage; a WikipediaAnswerer has to find one.
    """
    questions = list(dataset["question"])
    if hasattr(answerer, "ask_many"):
        return answerer.ask_many(questions, threshold=0.0)
    return answerer(questions, list(dataset["context"]), threshold=0.0, n_best=1)


def judge(answerer: QuestionAnswerer | WikipediaAnswerer, dataset: Dataset) -> Judged:
    """`ask_all`, and how right the answers are."""
    return judge_answers(ask_all(answerer, dataset), dataset)


def judge_answers(answers: Answers, dataset: Dataset) -> Judged:
    """How right answers without a threshold are."""
    golds, texts, confidences = _by_id(answers, dataset)
    scores, given = score_questions(texts, golds), np.array([bool(text) for text in texts.values()])
    exact = (scores.exact == 1) & given
    return Judged(np.array(list(confidences.values())), exact, scores.f1 * given)


def fit_calibration(qa: QuestionAnswerer, dataset: Dataset) -> dict:
    """The scaling that makes a reader's scores true, and then the threshold with the best F1.

    All questions are answered once, whatever the reader's own scaling and threshold. An answer is
    right with a token F1 of HALF_RIGHT at least; see `Judged`. Use questions that the reader did
    not learn from.

    Returns:
        What a card says: temperature, offset, threshold, and under ["calibration"]["passage"]
        questions and unanswerable, how many there are, and what `evaluate` gives at that threshold.
        Where the answers are all right or all wrong: temperature 1, offset 0, threshold 0.5, and a
        note.
    """
    plain = copy.copy(qa)
    plain.scaling = Scaling()
    answers = ask_all(plain, dataset)
    found = judge_answers(answers, dataset)
    right, scaling, threshold = found.correct(HALF_RIGHT), Scaling(), DEFAULT_THRESHOLD
    fitted = right.any() and not right.all()
    if fitted:
        scaling = fit_scaling(found.confidences, right, offset=True)
        scores = scaling(found.confidences).tolist()
        answers = [replace(answer, score=s) for answer, s in zip(answers, scores, strict=True)]
        golds, texts, by_id = _by_id(answers, dataset)
        threshold = min(best_threshold(texts, by_id, golds)["best_f1_thresh"], 1.0)
    results = results_at(threshold, answers, dataset)
    told = {"questions": results["total"], "unanswerable": results.get("NoAns_total", 0)}
    names = [name for name in ("exact_match", "f1", "ece", "auc") if name in results]
    told |= {name: round(results[name], CARD_DIGITS) for name in names}
    if not fitted:
        told["note"] = (
            "All answers are right, or all wrong, so nothing can be fitted: "
            "scaling and threshold are those of a model without a card."
        )
    fields = asdict(scaling) | {"threshold": threshold}
    fields = {name: round(value, CARD_DIGITS) for name, value in fields.items()}
    return fields | {"calibration": {"passage": told}}
