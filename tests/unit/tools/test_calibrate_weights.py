"""Calibrating over a library, with and without the article that answers, for a model's card."""

from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset
from scipy.stats import binomtest

from src.qa.calibration import Scaling
from src.qa.documents import Document
from src.qa.evaluation import Judged
from src.qa.keyword import KeywordIndex
from src.qa.open_domain import WikipediaAnswerer
from src.qa.retriever import Retriever
from tools import calibrate_weights


class ScriptedSearch:
    """Answers each question with the words and the score it was told to."""

    def __init__(self, script):
        self.script = script

    def ask_many(self, questions, threshold):
        return [SimpleNamespace(text=self.script[q][0], score=self.script[q][1]) for q in questions]


def test_without_their_articles_each_question_misses_its_own_article_and_no_other():
    documents = [Document(name, f"{name} is a metal.") for name in ("Gold", "Iron", "Zinc")]
    rows = {"question": ["Is gold a metal?", "Is iron a metal?"], "title": ["Gold", "Iron"]}
    found = Retriever(documents, {"keyword": KeywordIndex.build(documents)})
    answerer = WikipediaAnswerer(found, None, 0.3)
    lacking = calibrate_weights.without_their_articles(answerer, rows)
    for question, title in zip(*rows.values(), strict=True):
        hits = {hit.title for hit in answerer.retriever.search(question, 3)}
        assert hits == {"Gold", "Iron", "Zinc"}
        assert {hit.title for hit in lacking.retriever.search(question, 2)} == hits - {title}
        assert len(lacking.retriever.search(question, 1)) == 1, "as many as were asked for"
    assert lacking.threshold == 0.3


def test_with_and_without_is_judged_one_after_the_other(monkeypatch):
    answers = [{"text": ["yes"], "answer_start": [0]}] * 2
    rows = Dataset.from_dict({"id": ["a", "b"], "question": ["a", "b"], "answers": answers})
    without = ScriptedSearch({"a": ("no", 0.2), "b": ("yes", 0.4)})
    monkeypatch.setattr(calibrate_weights, "without_their_articles", lambda *_: without)
    whole = ScriptedSearch({"a": ("yes", 0.9), "b": ("no", 0.8)})
    judged = calibrate_weights.judge_with_and_without(whole, rows)
    assert judged.confidences.tolist() == [0.9, 0.8, 0.2, 0.4]
    assert judged.exact.tolist() == [True, False, False, True]


def test_a_cards_entry_makes_90_percent_sure_mean_nine_of_ten_on_other_questions():
    """Drawn from a reader that is far too sure."""

    def judged(seed: int) -> Judged:
        rng = np.random.default_rng(seed)
        scores = 1 / (1 + np.exp(-rng.normal(0.5, 2, 8000)))
        right = rng.random(8000) < Scaling(2.0, -0.5)(scores)
        return Judged(scores, np.zeros(8000, dtype=bool), np.where(right, 0.6, 0.4))

    fitted_on, measured_on = judged(1), judged(2)
    entry = calibrate_weights.entry_for_card(fitted_on, measured_on)
    scaling = Scaling(entry["temperature"], entry["offset"])
    assert scaling.temperature == pytest.approx(2, rel=0.1)
    assert scaling.offset == pytest.approx(-0.5, abs=0.1)
    assert entry["ece"] > 0.1 and entry["ece_scaled"] < 0.03
    sure = scaling(measured_on.confidences) >= 0.9
    assert (entry["questions"], entry["sure"]) == (8000, sure.sum())
    assert entry["sure_and_right"] == (measured_on.f1[sure] == 0.6).sum()
    interval = binomtest(entry["sure_and_right"], entry["sure"]).proportion_ci()
    assert entry["sure"] > 20
    assert interval.low <= scaling(measured_on.confidences)[sure].mean() <= interval.high


def test_what_a_threshold_costs_counted_by_hand():
    scores, f1 = np.array([0.2, 0.6, 0.8, 0.55, 0.1]), np.array([1.0, 0.3, 0.5, 0.0, 0.0])
    judged, answerable = Judged(scores, f1 == 1, f1), np.array([True, True, True, False, False])
    told = calibrate_weights.refusals(judged, answerable, Scaling(), 0.5)
    assert told == {
        "questions": 5,
        "unanswerable": 2,
        "unanswerable_refused_percent": 50.0,
        "answerable_refused_percent": 33.3,
        "right_of_answered_percent": 33.3,
    }
    doubtful = calibrate_weights.refusals(judged, answerable, Scaling(1.0, -1.0), 0.5)
    assert doubtful["answerable_refused_percent"] == 66.7, "scaled before it is compared"
