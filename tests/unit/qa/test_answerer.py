"""Asking one question or many, long passages, refusals; scores against numbers by hand."""

from __future__ import annotations

import json
import random
import shutil

import numpy as np
import pytest
from datasets import DatasetDict
from transformers import BertConfig, BertForQuestionAnswering

from src.batching import batches_by_length
from src.qa import answerer as answerer_module
from src.qa.answerer import QuestionAnswerer, evaluate
from src.qa.decoding import Answer
from src.qa.features import prepare_features

SENTENCE = "oxygen is the chemical element with symbol o and atomic number 8 ; "
SENTENCE += "cafe\u0301 北京 🙂 it was found by Scheele in 1771"


@pytest.fixture
def qa(tiny_model, tokenizer) -> QuestionAnswerer:
    return QuestionAnswerer(
        tiny_model, tokenizer, threshold=0.0, max_length=48, doc_stride=12, precision="fp32"
    )


@pytest.fixture(scope="module")
def asked() -> tuple[list[str], list[str]]:
    """Questions and passages of many lengths, in no order; some longer than a window, one empty."""
    rng = random.Random(0)
    lengths = [0, 1, 2, 300, 5, 90, 40, 41, 42, 7, 7, 150, 20, 60]
    rng.shuffle(lengths)
    passages = [" ".join(rng.choice(SENTENCE.split()) for _ in range(length)) for length in lengths]
    return [
        f"What is number {'very ' * rng.randrange(6)}{i}?" for i in range(len(passages))
    ], passages


def same(one: Answer, other: Answer) -> bool:
    return (one.text, one.start, one.end) == (
        other.text,
        other.start,
        other.end,
    ) and one.score == pytest.approx(other.score, abs=1e-5)


def test_one_by_one_and_all_together_give_the_same_answers_in_order(qa, asked):
    questions, passages = asked
    together = qa(questions, passages)
    assert (
        len({answer.text for answer in together}) > 6
    )  # different enough that a wrong order would show
    for question, passage, answer in zip(questions, passages, together, strict=True):
        assert same(qa(question, passage), answer)
        assert answer.text == passage[answer.start : answer.end]
        assert all(
            candidate.text == passage[candidate.start : candidate.end]
            for candidate in answer.candidates
        )
    shuffled = random.Random(1).sample(range(len(questions)), len(questions))
    again = qa([questions[i] for i in shuffled], [passages[i] for i in shuffled])
    assert all(same(answer, together[i]) for answer, i in zip(again, shuffled, strict=True))


def test_rounds_and_small_batches_change_no_answer(qa, asked, monkeypatch):
    together = qa(*asked)
    monkeypatch.setattr(answerer_module, "QUESTIONS_PER_ROUND", 3)
    monkeypatch.setattr(answerer_module, "TOKENS_PER_BATCH", 60)
    assert all(same(one, other) for one, other in zip(qa(*asked), together, strict=True))


def test_batches_hold_like_lengths_every_window_once_and_no_more_tokens_than_allowed():
    lengths = np.random.default_rng(0).integers(3, 60, 200)
    batches = list(batches_by_length(lengths, 100))
    assert sorted(np.concatenate(batches)) == list(range(200))
    assert all(len(batch) * lengths[batch].max() <= 100 for batch in batches)
    assert [*lengths[np.concatenate(batches)]] == sorted(lengths)
    assert len(batches) < 100
    assert [list(batch) for batch in batches_by_length(np.array([500, 500]), 100)] == [
        [0],
        [1],
    ]  # longer than allowed: alone


def test_an_answer_beyond_the_first_window_is_found(qa, monkeypatch):
    passage = "word " * 100 + "oxygen " + "word " * 60
    oxygen = qa.tokenizer.convert_tokens_to_ids("oxygen")

    def forward(inputs, precision=None):
        logits = 5.0 * (inputs["input_ids"] == oxygen).float().numpy()
        return logits, logits

    monkeypatch.setattr(qa, "_forward", forward)
    answer = qa("What?", passage)
    assert (answer.text, answer.start) == ("oxygen", 500)


def test_one_answer_for_two_strings_and_a_list_for_two_lists(qa):
    assert isinstance(qa("Who?", "Kafka"), Answer)
    (answer,) = qa(["Who?"], ["Kafka"])
    assert isinstance(answer, Answer)
    assert qa([], []) == []


@pytest.mark.parametrize(
    "pair",
    [
        (["Who?"], ["a", "b"]),
        (["Who?", "What?"], "Kafka"),
        ("Who?", ["Kafka"]),
        (["Who?"], "x"),
        ([], ["a"]),
    ],
)
def test_questions_and_passages_that_do_not_pair_up_are_an_error(qa, pair):
    with pytest.raises(ValueError, match="pass two strings, or two lists of equal length"):
        qa(*pair)


@pytest.mark.parametrize("blank", ["", "  ", "\n\t", "\u00a0"])
def test_a_blank_question_is_an_error_that_gives_its_number(qa, blank):
    with pytest.raises(ValueError, match="question 1 is blank"):
        qa(["Who?", blank], ["Kafka", "Kafka"])


def test_an_empty_passage_is_a_refusal(qa):
    answer = qa("Who?", "")
    assert (answer.text, answer.start, answer.end, answer.score, answer.null_score) == (
        "",
        0,
        0,
        0,
        1,
    )


def test_the_threshold_of_a_call_goes_before_that_of_the_answerer(tiny_model, tokenizer):
    passage = "Oxygen is the chemical element with symbol O and atomic number 8."
    score = QuestionAnswerer(tiny_model, tokenizer, precision="fp32")("What?", passage).score
    assert 0.006 < score < 0.99
    strict = QuestionAnswerer(tiny_model, tokenizer, threshold=score + 0.005, precision="fp32")
    assert strict("What?", passage).is_refusal
    assert strict("What?", passage, threshold=0.0).text != ""
    assert strict("What?", passage, threshold=score - 0.005).text != ""
    assert strict("What?", passage, threshold=1.0).is_refusal


def test_as_many_candidates_as_asked_for(qa):
    for n_best in (1, 4):
        assert len(qa("What?", "Oxygen is an element.", n_best=n_best).candidates) == n_best


@pytest.mark.parametrize("precision", ["fp32", "bf16", "auto"])
def test_every_precision_answers_and_says_what_it_computes_in(
    tiny_model, tokenizer, asked, precision
):
    exact = QuestionAnswerer(tiny_model, tokenizer, precision="fp32")
    qa = QuestionAnswerer(tiny_model, tokenizer, precision=precision)
    assert qa.precision in ("fp32", "bf16") and (precision == "auto" or qa.precision == precision)
    scores, exact_scores = (
        np.array([answer.score for answer in one(*asked)]) for one in (qa, exact)
    )
    np.testing.assert_allclose(scores, exact_scores, atol=1e-6 if qa.precision == "fp32" else 0.05)
    if qa.precision == "bf16":
        assert (scores != exact_scores).any()  # it did compute in bf16


def test_token_scores_show_the_first_window_as_the_model_sees_it(qa):
    seen = qa.token_scores("Which number?", "Oxygen has " + "number " * 80)
    assert seen.tokens[:6] == ["[CLS]", "which", "number", "?", "[SEP]", "oxygen"]
    assert (
        len(seen.tokens)
        == len(seen.start_logits)
        == len(seen.end_logits)
        == len(seen.in_passage)
        == 48
    )
    assert [*np.flatnonzero(~seen.in_passage)] == [0, 1, 2, 3, 4, 47]


def test_a_folder_without_a_card_answers_from_one_half_on_unless_told_otherwise(tiny_folder):
    qa = QuestionAnswerer.load(tiny_folder)
    assert (qa.threshold, qa.temperature) == (0.5, 1)
    qa = QuestionAnswerer.load(
        str(tiny_folder), threshold=0.25, max_length=100, doc_stride=9, temperature=2.0
    )
    assert (qa.threshold, qa.temperature, qa.max_length, qa.doc_stride) == (0.25, 2.0, 100, 9)


def test_a_runs_card_says_at_which_threshold_and_temperature_it_answers(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "run")
    (folder / "card.json").write_text(json.dumps({"threshold": 0.125, "temperature": 1.75}))
    qa = QuestionAnswerer.load(folder, precision="fp32")
    assert (qa.threshold, qa.temperature) == (0.125, 1.75)
    assert QuestionAnswerer.load(folder, threshold=0.25).temperature == 1.75
    plain = QuestionAnswerer.load(tiny_folder, precision="fp32")
    passage = "Oxygen is the chemical element with symbol O and atomic number 8."
    answer, unscaled = qa("What?", passage, n_best=20), plain("What?", passage, n_best=20)
    # To the power of 1 / temperature, brought back to a sum of one.
    powers = [
        score ** (1 / 1.75)
        for score in (*(c.score for c in unscaled.candidates), unscaled.null_score)
    ]
    scaled = [power / sum(powers) for power in powers]
    assert [*(c.score for c in answer.candidates), answer.null_score] == pytest.approx(
        scaled, rel=1e-4
    )


@pytest.mark.parametrize("threshold", [float("nan"), -0.1, 1.1])
def test_a_threshold_that_is_no_score_is_refused_wherever_it_is_taken(
    tiny_model, tiny_folder, tokenizer, questions, threshold
):
    qa = QuestionAnswerer(tiny_model, tokenizer)
    rows = questions(("Who?", "Kafka", "Kafka"))
    for taken in (
        lambda: QuestionAnswerer(tiny_model, tokenizer, threshold=threshold),
        lambda: QuestionAnswerer.load(tiny_folder, threshold=threshold),
        lambda: qa("Who?", "Kafka", threshold=threshold),
        lambda: qa([], [], threshold=threshold),
        lambda: evaluate(qa, rows, threshold=threshold),
    ):
        with pytest.raises(ValueError, match=r"threshold is .* it is a score"):
            taken()
    for temperature in (float("nan"), 0.0, -1.0):
        with pytest.raises(ValueError, match="temperature is"):
            QuestionAnswerer(tiny_model, tokenizer, temperature=temperature)


def test_a_model_that_gives_what_is_not_a_number_says_nothing(qa, monkeypatch):
    """Before, this was "no answer in this text", 100 % sure."""

    def forward(inputs, precision=None):
        return (np.full(inputs["input_ids"].shape, np.nan),) * 2

    monkeypatch.setattr(qa, "_forward", forward)
    for asked in (qa, qa.token_scores):
        with pytest.raises(ValueError, match="logits that are not numbers"):
            asked("What?", "Oxygen is an element.")


def test_windows_are_no_longer_than_the_model_has_positions(tokenizer, questions, capsys):
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=50,
    )
    qa = QuestionAnswerer(BertForQuestionAnswering(config), tokenizer)
    assert (qa.max_length, qa.doc_stride) == (50, 16)  # 128 of 384 tokens, so 16 of 50
    passage = "word " * 200
    assert qa("What?", passage, threshold=0.0).text
    assert (
        max(
            prepare_features(
                questions(("What?", passage)), tokenizer, qa.max_length, qa.doc_stride, labels=False
            )["length"]
        )
        == 50
    )
    QuestionAnswerer(BertForQuestionAnswering(config), tokenizer)
    assert (
        capsys.readouterr().err
        == "This model has 50 positions, so windows are 50 tokens long, not 384.\n"
    )  # said once


class Prepared:
    """Stands in for an answerer: says to every question what was prepared for it."""

    threshold = 0.5

    def __init__(self, **answers: tuple[str, float]):
        self.answers = answers

    def __call__(self, questions, contexts, threshold=None, n_best=5):
        assert (
            threshold == 0.0
        )  # refusals are decided by evaluate, which needs the texts behind them, too
        return [
            Answer(text, 0, len(text), score, 1 - score)
            for text, score in (self.answers[question] for question in questions)
        ]


CITY = "Franz Kafka was born in Prague in the year 1883."


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
    qa = Prepared(
        a=("Kafka", 0.9), b=("in the year 1883", 0.9), c=("1883", 0.9), d=("Born in Prague", 0.1)
    )
    result = evaluate(qa, dataset)
    assert set(result) == {"exact_match", "f1", "total", "seconds", "ece"}
    assert result["exact_match"] == pytest.approx(100 * 2 / 4)
    assert result["f1"] == pytest.approx(100 * (1 + 0.5 + 0 + 1) / 4)
    assert result["total"] == 4
    # Of three that say 0.9 two are right, a and b with an F1 of one half; d says 0.1 and is right.
    assert result["ece"] == pytest.approx(3 / 4 * abs(2 / 3 - 0.9) + 1 / 4 * abs(1 - 0.1))


def test_a_threshold_asked_for_holds_on_answerable_questions_too(questions):
    dataset = questions(("a", CITY, "Kafka"), ("d", CITY, "Prague"))
    qa = Prepared(a=("Kafka", 0.9), d=("Prague", 0.1))
    assert evaluate(qa, dataset)["exact_match"] == 100
    assert evaluate(qa, dataset, threshold=0.5)["exact_match"] == 50


def test_scores_with_unanswerable_questions_are_those_worked_out_by_hand(questions):
    dataset = questions(
        ("a", CITY, "Kafka"), ("b", CITY, "1883"), ("c", CITY), ("d", CITY), ("e", CITY, "Prague")
    )
    answers = {
        "a": ("Kafka", 0.9),
        "b": ("year 1883", 0.8),
        "c": ("Prague", 0.7),
        "d": ("born", 0.15),
        "e": ("Prague", 0.3),
    }
    result = evaluate(Prepared(**answers), dataset)
    assert set(result) == {
        *("exact_match", "f1", "total", "seconds", "threshold"),
        *("HasAns_exact", "HasAns_f1", "HasAns_total", "NoAns_exact", "NoAns_f1", "NoAns_total"),
        *("best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh", "auc", "ece"),
    }
    # Of the six pairs of both kinds of questions, a and b beat c and d, e beats d alone.
    assert result["auc"] == pytest.approx(5 / 6)
    # Right are a, b and e; each has a bin of its own.
    assert result["ece"] == pytest.approx((0.1 + 0.2 + 0.7 + 0.15 + 0.7) / 5)
    # At 0.5: a exact, b F1 2/3, c answered wrongly, d refused rightly, e refused wrongly.
    assert result["threshold"] == 0.5
    assert result["exact_match"] == pytest.approx(100 * 2 / 5)
    assert result["f1"] == pytest.approx(100 * (1 + 2 / 3 + 0 + 1 + 0) / 5)
    assert (result["HasAns_exact"], result["NoAns_exact"]) == (pytest.approx(100 / 3), 50)
    assert result["HasAns_f1"] == pytest.approx(100 * (1 + 2 / 3) / 3)
    # Best F1: answer a, b (1 + 2/3) and refuse the rest (2): 3.67; down to e (1 + 2/3 + 1) and
    # refuse d (1): 3.67; the higher wins.
    assert result["best_f1"] == pytest.approx(100 * (1 + 2 / 3 + 2) / 5)
    assert 0.7 < result["best_f1_thresh"] < 0.8
    assert (
        result["best_exact"] == pytest.approx(60) and result["best_exact_thresh"] > 0.8
    )  # a alone, and two refusals

    assert "auc" not in evaluate(Prepared(**answers), questions(("c", CITY), ("d", CITY)))
    all_answered = evaluate(Prepared(**answers), dataset, threshold=0.0)
    assert all_answered["NoAns_exact"] == 0 and all_answered["exact_match"] == pytest.approx(40)
    at_score = evaluate(Prepared(**answers), dataset, threshold=0.3)  # e's own score: answered
    assert at_score["exact_match"] == pytest.approx(60) and at_score["threshold"] == 0.3


def test_a_reader_is_scored_on_what_it_answers(qa, questions):
    passage = "Oxygen is the chemical element with symbol O and atomic number 8."
    said = qa("What is it?", passage).text
    dataset = questions(("What is it?", passage, said), ("What is it?", passage))
    result = evaluate(qa, dataset, threshold=0.0)
    assert (
        result["HasAns_exact"],
        result["HasAns_f1"],
        result["NoAns_exact"],
        result["total"],
    ) == (100, 100, 0, 2)


def test_a_dataset_of_several_splits_is_an_error_that_names_one(qa, questions):
    with pytest.raises(ValueError, match=r"choose a split, for example dataset\['validation'\]"):
        evaluate(qa, DatasetDict(validation=questions(("Who?", "Kafka"))))
