"""Scores against numbers by hand; the fit of a card's scaling against what was drawn."""

from types import SimpleNamespace

import numpy as np
import pytest
from datasets import DatasetDict
from sklearn.metrics import roc_auc_score

from src.qa import QuestionAnswerer, evaluate
from src.qa.calibration import Scaling
from src.qa.decoding import Answer
from src.qa.evaluation import fit_calibration, judge
from src.qa.models import scaling_of

CITY = "Franz Kafka was born in Prague in the year 1883."


class Prepared:
    """Stands in for an answerer: says to every question what was prepared for it."""

    threshold = 0.5

    def __init__(self, **answers: tuple[str, float]):
        self.answers = answers

    def __call__(self, questions, contexts, threshold=None, n_best=5):
        assert threshold == 0.0, "evaluate needs the texts behind refusals, too"
        said = [self.answers[question] for question in questions]
        return [Answer(text, 0, len(text), score, 1 - score) for text, score in said]


def test_scores_on_answerable_questions_are_those_worked_out_by_hand(questions):
    dataset = questions(
        ("a", CITY, "Franz Kafka", "Kafka"),
        ("b", CITY, "1883"),
        ("c", CITY, "Prague"),
        ("d", CITY, "born in Prague"),
    )
    # a: exact by its second answer. b: 1 of 4 words right (the article goes), all found:
    # 2 · 1/3 · 1 / (4/3) = 0.5.
    # c: wrong. d: nothing said for sure, and still counted, for SQuAD 1.1 has no refusals.
    said = {"a": ("Kafka", 0.9), "b": ("in the year 1883", 0.9)}
    said |= {"c": ("1883", 0.9), "d": ("Born in Prague", 0.1)}
    result = evaluate(Prepared(**said), dataset)
    assert result.pop("seconds") >= 0
    assert result == {
        "exact_match": pytest.approx(100 * 2 / 4),
        "f1": pytest.approx(100 * (1 + 0.5 + 0 + 1) / 4),
        "total": 4,
        # Of three that say 0.9 two are right, a and b with an F1 of one half; d says 0.1, rightly.
        "ece": pytest.approx(3 / 4 * abs(2 / 3 - 0.9) + 1 / 4 * abs(1 - 0.1)),
        # The three come together, so whoever wants half gets them; four fifths takes all.
        **{"risk_at_50": pytest.approx(1 / 3), "risk_at_80": pytest.approx(1 / 4)},
    }
    assert evaluate(Prepared(**said), dataset, threshold=0.5)["exact_match"] == 25


def test_scores_with_unanswerable_questions_are_those_worked_out_by_hand(questions):
    dataset = questions(
        ("a", CITY, "Kafka"), ("b", CITY, "1883"), ("c", CITY), ("d", CITY), ("e", CITY, "Prague")
    )
    said = {"a": ("Kafka", 0.9), "b": ("year 1883", 0.8), "c": ("Prague", 0.7)}
    said |= {"d": ("born", 0.15), "e": ("Prague", 0.3)}
    qa = Prepared(**said)
    result = evaluate(qa, dataset)
    assert 0.7 < result.pop("best_f1_thresh") < 0.8 < result.pop("best_exact_thresh") < 0.9
    assert result.pop("seconds") >= 0
    assert result == pytest.approx(
        {
            # At 0.5: a exact, b F1 2/3, c answered wrongly, d refused rightly, e refused wrongly.
            **{"threshold": 0.5, "total": 5, "HasAns_total": 3, "NoAns_total": 2},
            **{"exact_match": 100 * 2 / 5, "f1": 100 * (1 + 2 / 3 + 0 + 1 + 0) / 5},
            **{"HasAns_exact": 100 / 3, "HasAns_f1": 100 * (1 + 2 / 3) / 3},
            **{"NoAns_exact": 50, "NoAns_f1": 50},
            # Best F1: answer a and b, refuse the rest. Down to e and refuse d is as good; the
            # higher wins. Best exact match: a alone, and two refusals.
            **{"best_f1": 100 * (1 + 2 / 3 + 2) / 5, "best_exact": 60},
            # Of the six pairs of both kinds of questions, a and b beat c and d, e beats d alone.
            "auc": 5 / 6,
            # Right are a, b and e; each has a bin of its own.
            "ece": (0.1 + 0.2 + 0.7 + 0.15 + 0.7) / 5,
            # The surest three hold one wrong answer, c; the surest four also e, which is right.
            **{"risk_at_50": 1 / 3, "risk_at_80": 1 / 4},
        }
    )
    assert "auc" not in evaluate(qa, questions(("c", CITY), ("d", CITY)))
    assert evaluate(qa, dataset, threshold=0.0)["NoAns_exact"] == 0
    at_score = evaluate(qa, dataset, threshold=0.3)  # e's own score: answered
    assert at_score["exact_match"] == pytest.approx(60) and at_score["threshold"] == 0.3


def test_a_dataset_of_several_splits_is_an_error_that_names_one(questions):
    with pytest.raises(ValueError, match=r"choose a split, for example dataset\['validation'\]"):
        evaluate(Prepared(), DatasetDict(validation=questions(("Who?", "Kafka"))))


# --- question by question ---------------------------------------------------------------------


class Search:
    """Stands in for `WikipediaAnswerer`: answers as `Prepared`, whatever the passage."""

    def __init__(self, answers):
        self.answers = answers

    def ask_many(self, questions, threshold):
        assert threshold == 0.0
        said = (self.answers[question] for question in questions)
        return [SimpleNamespace(text=text, score=score) for text, score in said]


def test_an_answer_is_right_where_it_matches_and_never_where_there_is_none(questions):
    rows = questions(
        ("exact", CITY, "Kafka"),
        ("half", CITY, "Prague"),
        ("unanswerable", CITY),
        ("silent_on_unanswerable", CITY),
        ("silent", CITY, "Kafka"),
    )
    said = {"exact": ("Kafka!", 0.9), "half": ("in Prague", 0.7), "unanswerable": ("Kafka", 0.6)}
    said |= {"silent_on_unanswerable": ("", 0.0), "silent": ("", 0.0)}
    for answerer in (Prepared(**said), Search(said)):
        judged = judge(answerer, rows)
        assert judged.confidences.tolist() == [0.9, 0.7, 0.6, 0.0, 0.0]
        assert judged.exact.tolist() == [True, False, False, False, False]
        assert judged.f1.tolist() == pytest.approx([1, 2 / 3, 0, 0, 0])
        assert judged.correct(0.5).tolist() == [True, True, False, False, False]


# --- the scaling of a model's card ------------------------------------------------------------


class Drawn:
    """A reader whose scores are true once they are scaled: what is right is drawn from them."""

    def __init__(self, number: int, scaling: Scaling, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.scores = rng.uniform(0.01, 0.99, number)
        self.right = rng.random(number) < scaling(self.scores)
        self.lacks = ~self.right & (rng.random(number) < 0.5)  # others have another answer
        self.scaling = Scaling(9.0)

    def dataset(self, questions):
        golds = np.where(self.lacks, "", np.where(self.right, "one", "two"))
        rows = ((f"q{i}", "one two", *filter(None, [gold])) for i, gold in enumerate(golds))
        return questions(*rows)

    def __call__(self, asked, contexts, threshold, n_best):
        assert threshold == 0.0 and self.scaling == Scaling()
        return [Answer("one", 0, 3, score, 1 - score) for score in self.scores.tolist()]


@pytest.mark.parametrize("drawn", [Scaling(0.5, 0.5), Scaling(), Scaling(3.0, -1.0)])
def test_the_fitted_scaling_is_the_one_the_answers_were_drawn_with(questions, drawn):
    reader = Drawn(4000, drawn)
    found = fit_calibration(reader, reader.dataset(questions))
    assert found["temperature"] == pytest.approx(drawn.temperature, rel=0.15)
    assert found["offset"] == pytest.approx(drawn.offset, abs=0.15)
    assert reader.scaling == Scaling(9.0), "nothing is set"
    told = found["calibration"]["passage"]
    assert told["ece"] < 0.05 and "note" not in told
    assert (told["questions"], told["unanswerable"]) == (4000, reader.lacks.sum())


def test_the_threshold_is_the_best_of_all(questions):
    reader = Drawn(80, Scaling(2.0), seed=1)
    found = fit_calibration(reader, reader.dataset(questions))
    scores = Scaling(found["temperature"], found["offset"])(reader.scores)

    def f1_at(threshold: float) -> float:
        # Right: said where it is the answer, nothing said where there is none.
        return 100 * np.where(scores >= threshold, reader.right, reader.lacks).mean()

    told = found["calibration"]["passage"]
    assert told["f1"] == told["exact_match"] == pytest.approx(f1_at(found["threshold"]), abs=1e-4)
    best = max(f1_at(threshold) for threshold in (0.0, *scores, 1.0))
    assert told["f1"] == pytest.approx(best, abs=1e-4)
    assert told["auc"] == pytest.approx(roc_auc_score(~reader.lacks, scores), abs=1e-4)


@pytest.mark.parametrize("right", [[True], [True] * 3, [False] * 2])
def test_where_nothing_can_be_fitted_the_defaults_are_taken_and_a_note_says_so(questions, right):
    reader = Drawn(len(right), Scaling())
    reader.right, reader.lacks = np.array(right), np.zeros(len(right), bool)
    found = fit_calibration(reader, reader.dataset(questions))
    assert [found[name] for name in ("temperature", "offset", "threshold")] == [1.0, 0.0, 0.5]
    told = found["calibration"]["passage"]
    assert "nothing can be fitted" in told["note"] and "auc" not in told


def test_the_reader_answers_with_what_was_fitted_as_the_fit_said_it_would(tiny_folder, questions):
    """The scores behind the fit are those that the reader gives afterwards."""
    passages = [
        f"It is {n}, said the {who}." for n in range(3, 13) for who in ("king", "old queen")
    ]
    passages += ["", " "]
    reader = QuestionAnswerer.load(
        tiny_folder, threshold=0.9, scaling=Scaling(7.0), precision="fp32"
    )
    answers = reader(["Which number?"] * len(passages), passages, threshold=0.0)
    golds = [[answer.text] if answer.text and i % 3 else [] for i, answer in enumerate(answers)]
    rows = questions(
        *(("Which number?", p, *gold) for p, gold in zip(passages, golds, strict=True))
    )
    found = fit_calibration(reader, rows)
    assert (reader.threshold, reader.scaling) == (0.9, Scaling(7.0)), "nothing is set"
    fitted = {"threshold": found["threshold"], "scaling": scaling_of(found)}
    measured = evaluate(QuestionAnswerer.load(tiny_folder, precision="fp32", **fitted), rows)
    told = found["calibration"]["passage"]
    names = ("exact_match", "f1", "ece", "auc")
    assert [measured[name] for name in names] == pytest.approx(
        [told[name] for name in names], abs=2e-4
    )
    assert measured["best_f1"] == pytest.approx(told["f1"], abs=1e-4)
