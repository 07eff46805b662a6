"""Find what makes a released reader's scores true, and write it into its card.

For a passage that is given: the scaling and the threshold (`fit_calibration`), on the
development questions; every set of the card is then scored again, the test part once.
For passages that are searched for (--search, after new weights): a scaling, fitted on the
development questions and measured on the test questions: everyday ones, and open-domain ones, each
asked with and without the article that answers it; and what is refused of the everyday ones.
An answer is right here with an F1 of 0.5.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

import numpy as np
from datasets import Dataset, DatasetDict

from src.files import write_json
from src.qa import QuestionAnswerer, Retriever, WikipediaAnswerer, load_squad
from src.qa.calibration import Scaling, at_threshold, fit_scaling, reliability
from src.qa.course_set import open_domain_questions
from src.qa.evaluation import CARD_DIGITS, Judged, judge
from src.qa.metrics import HALF_RIGHT
from src.qa.models import CARD, WEIGHTS, card_folder, read_card, scaling_of
from src.qa.retriever import Hit
from tools import make_weights
from tools.cards import write_page
from tools.reader_data import development_questions, everyday_questions

SURE = 0.9  # what the demo calls sure


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--model", default="qa-minilm", help="weights, or a folder with a card")
    parser.add_argument("--search", action="store_true", help="the scaling for searched passages")
    options = parser.parse_args()
    folder = card_folder(options.model)
    if folder is None:
        sys.exit(f"error: {options.model!r} has no card; name released weights, such as qa-minilm.")
    card, course = read_card(folder), load_squad("course")
    told = dict(card.get("calibration", {}))
    if options.search:
        told["search"], card["test"]["everyday"] = search_entries(options.model, course)
    else:
        fields = score_given_passages(options.model, card)
        told |= fields.pop("calibration")
        card |= fields
    card["calibration"] = told
    names = ("threshold", "temperature", "offset", "calibration")
    print(json.dumps({name: card[name] for name in names}, indent=2), flush=True)
    write_json(folder / CARD, card)
    write_page(folder)


def search_entries(model: str, course: DatasetDict) -> tuple[dict, dict]:
    """The card's entries for passages that are searched for: the scaling; and what it and the
    threshold make of everyday test questions.
    """
    answerer, judged = WikipediaAnswerer.load(model), []
    answerer.scaling = Scaling()
    for split, part in (("validation", "development"), ("test", "test")):
        asked, rows = open_domain_questions(course[split]), everyday_questions(part)
        everyday = judge(answerer, rows)
        judged.append(together(judge_with_and_without(answerer, asked), everyday))
    entry = entry_for_card(*judged)
    told = refusals(everyday, make_weights.has_answer(rows), scaling_of(entry), answerer.threshold)
    return {name: round(value, CARD_DIGITS) for name, value in entry.items()}, told


def refusals(
    judged: Judged, answerable: np.ndarray, scaling: Scaling, threshold: float
) -> dict[str, float]:
    """What a threshold costs: of bool[questions] `answerable` and of the others, how many are
    refused; and how many of the answers are right.
    """
    scores = scaling(judged.confidences)
    rates = make_weights.refusal_rates(scores, answerable, threshold)
    rates["right_of_answered_percent"] = (
        100 * judged.correct(HALF_RIGHT)[scores >= threshold].mean()
    )
    return {
        "questions": len(scores),
        "unanswerable": int((~answerable).sum()),
        **{name: round(float(percent), 1) for name, percent in rates.items()},
    }


def judge_with_and_without(answerer: WikipediaAnswerer, dataset: Dataset) -> Judged:
    """`judge` over the whole library, and over one without the article each question was written
    on.

    So half of the questions have no answer there, as many that people ask.
    """
    without = without_their_articles(answerer, dataset)
    return together(judge(answerer, dataset), judge(without, dataset))


def together(*judged: Judged) -> Judged:
    """One after the other."""
    names = ("confidences", "exact", "f1")
    return Judged(*(np.concatenate([getattr(each, name) for each in judged]) for name in names))


def without_their_articles(answerer: WikipediaAnswerer, dataset: Dataset) -> WikipediaAnswerer:
    """The same answerer, which for each question does not find the article it was written on."""
    titles = dict(zip(dataset["question"], dataset["title"], strict=True))
    lacking = RetrieverWithout(answerer.retriever, titles)
    how = answerer.threshold, answerer.scaling
    return WikipediaAnswerer(lacking, answerer.reader, *how)


class RetrieverWithout:
    """A retriever that for each question leaves out one title. titles: question -> title."""

    def __init__(self, retriever: Retriever, titles: Mapping[str, str]):
        self.retriever, self.titles = retriever, titles

    def search(self, question: str, n: int) -> list[Hit]:
        hits = self.retriever.search(question, n + 1)
        return [hit for hit in hits if hit.title != self.titles[question]][:n]


def entry_for_card(fitted_on: Judged, measured_on: Judged) -> dict[str, float]:
    """The scaling that makes scores true, and what it is worth on other questions.

    Returns: temperature, offset: fitted on the first; ece, ece_scaled: calibration errors of the
    second, as they are and scaled; questions: how many the second are; sure, sure_and_right: how
    many answers have a scaled score of SURE at least, and how many of these are right.
    """
    scaling = fit_scaling(fitted_on.confidences, fitted_on.correct(HALF_RIGHT), offset=True)
    confidences, correct = measured_on.confidences, measured_on.correct(HALF_RIGHT)
    sure = at_threshold(scaling(confidences), correct, SURE)
    return {
        "temperature": scaling.temperature,
        "offset": scaling.offset,
        "ece": reliability(confidences, correct).error,
        "ece_scaled": reliability(scaling(confidences), correct).error,
        "questions": sure.questions,
        "sure": sure.answered,
        "sure_and_right": sure.right,
    }


def score_given_passages(model: str, card: dict) -> dict:
    """Fit on the development questions, put the new scores into `card`, and return its new
    fields.
    """
    qa = QuestionAnswerer.load(model)
    fields = make_weights.calibrated(qa, development_questions())
    for part in ("development", "test"):
        card[part] |= make_weights.scores_of(qa, make_weights.sets_of_the_card(part))
        if "teacher" in card:  # run for the teacher first
            card["teacher_scores"][part] = read_card(WEIGHTS / card["teacher"])[part]
    return fields


if __name__ == "__main__":
    main()
