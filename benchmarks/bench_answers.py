"""Score a reader on every set there is: given passages, everyday and open questions over Wikipedia.

    python benchmarks/bench_answers.py --part development
    python benchmarks/bench_answers.py --part test          once for each released weight file

Sets of ../shared/data are left out where they are not there, and the table says so. An answer is
right here with a token F1 of 0.5. Beside each calibration error is what a perfectly calibrated
score would show at that many questions, at the 95th percentile of 200 simulations.
"""

import argparse
import time

import common
import numpy as np
from datasets import Dataset
from scipy.stats import binomtest

from src.qa import QuestionAnswerer, WikipediaAnswerer
from src.qa.calibration import reliability
from src.qa.course_set import open_domain_questions
from src.qa.evaluation import Judged, ask_all, judge, judge_answers, results_at
from src.qa.metrics import HALF_RIGHT
from tools import reader_data
from tools.calibrate_weights import without_their_articles
from tools.make_weights import has_answer, refusal_rates, sets_of_the_card


def given_passages(qa: QuestionAnswerer, rows: Dataset) -> dict[str, float]:
    """F1, what is refused, AUC and calibration where the passage is given."""
    answers, answerable = ask_all(qa, rows), has_answer(rows)
    judged = judge_answers(answers, rows)
    found = results_at(0.0 if answerable.all() else qa.threshold, answers, rows)
    told = {name: found[name] for name in ("total", "exact_match", "f1")}
    if "NoAns_total" in found:
        told |= refusal_rates(judged.confidences, answerable, qa.threshold)
        told |= {"auc": found["auc"], "best f1": found["best_f1"]}
    return told | calibration_of(judged)


def calibration_of(judged: Judged) -> dict[str, float]:
    """ECE with that of a perfect score, and the Brier score."""
    right, scores = judged.correct(HALF_RIGHT), judged.confidences
    rng = np.random.default_rng(0)
    perfect = [reliability(scores, rng.random(len(scores)) < scores).error for _ in range(200)]
    return {
        "ece": reliability(scores, right).error,
        "ece if perfect, at most": float(np.percentile(perfect, 95)),
        "brier": float(np.mean((scores - right) ** 2)),
    }


def everyday(answerer: WikipediaAnswerer, part: str) -> dict[str, object]:
    """Of everyday questions: how many are answered, how many of those rightly, what is refused."""
    rows = reader_data.everyday_questions(part)
    seconds, given = [], []
    for question in rows["question"]:
        start = time.perf_counter()
        given.append(answerer.ask(question, threshold=0.0))
        seconds.append(time.perf_counter() - start)
    judged, answerable = judge_answers(given, rows), has_answer(rows)
    right, refused = judged.correct(HALF_RIGHT), judged.confidences < answerer.threshold
    verdicts = np.where(refused, "refused", np.where(right, "right", "WRONG"))
    for verdict, asked, answer in zip(verdicts, rows["question"], given, strict=True):
        print(f"  {verdict:8}{answer.score:5.2f} {asked} -> {answer.text} ({answer.title})")
    return {
        "questions": len(rows),
        "answerable answered": share(~refused[answerable]),
        "right among answered": share(right[~refused]),
        "unanswerable refused": share(refused[~answerable]),
        "median seconds": float(np.median(seconds)),
    } | calibration_of(judged)


def share(hits: np.ndarray) -> str:
    """A share in percent with its 95 % interval and n."""
    if not hits.size:
        return "none"
    low, high = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return f"{100 * np.mean(hits):.0f} % ({100 * low:.0f} to {100 * high:.0f}) of {len(hits)}"


def open_questions(answerer: WikipediaAnswerer, rows: Dataset) -> dict[str, object]:
    """Exact match and F1 over Wikipedia when every question is answered; what is answered, and what
    is refused where the article is taken away; and calibration.
    """
    judged, without = judge(answerer, rows), judge(without_their_articles(answerer, rows), rows)
    told = {"total": len(rows), "exact_match": 100 * judged.exact.mean()}
    told |= {"f1": 100 * judged.f1.mean()}
    told |= {"answered": share(judged.confidences >= answerer.threshold)}
    told |= {"refused without": share(without.confidences < answerer.threshold)}
    return told | calibration_of(judged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="qa-minilm")
    parser.add_argument("--part", choices=["development", "test"], default="development")
    options = parser.parse_args()
    qa, sets = QuestionAnswerer.load(options.model), sets_of_the_card(options.part)
    results = {}
    for name, rows in sets.items():
        results[name] = given_passages(qa, rows)
        print(f"{name}: {told(results[name])}", flush=True)
    answerer = WikipediaAnswerer.load(options.model)
    results["open"] = open_questions(answerer, open_domain_questions(sets["course"]))
    print(f"open questions: {told(results['open'])}", flush=True)
    results["everyday"] = everyday(answerer, options.part)
    print(f"everyday questions: {told(results['everyday'])}", flush=True)
    common.write(f"answers-{options.part}", {"model": options.model} | results)


def told(result: dict) -> str:
    """A result in a line."""
    parts = (f"{n} {v:.4g}" if isinstance(v, float) else f"{n} {v}" for n, v in result.items())
    return ", ".join(parts)


if __name__ == "__main__":
    main()
