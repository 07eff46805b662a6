"""Asking one question or many, long passages, refusals."""

import json
import random
import shutil

import numpy as np
import pytest
from transformers import BertConfig, BertForQuestionAnswering

from src.batching import batches_by_length
from src.qa import QuestionAnswerer, evaluate
from src.qa import answerer as answerer_module
from src.qa.calibration import Scaling
from src.qa.decoding import Answer

SENTENCE = "oxygen is the chemical element with symbol o and atomic number 8 ; "
SENTENCE += "cafe\u0301 北京 🙂 it was found by Scheele in 1771"
OXYGEN = "Oxygen is the chemical element with symbol O and atomic number 8."


@pytest.fixture
def qa(tiny_model, tokenizer) -> QuestionAnswerer:
    settings = {"max_length": 48, "doc_stride": 12, "precision": "fp32"}
    return QuestionAnswerer(tiny_model, tokenizer, threshold=0.0, **settings)


@pytest.fixture(scope="module")
def asked() -> tuple[list[str], list[str]]:
    """Questions and passages of many lengths, in no order; some longer than a window, one empty."""
    rng = random.Random(0)
    lengths = [0, 1, 2, 300, 5, 90, 40, 41, 42, 7, 7, 150, 20, 60]
    rng.shuffle(lengths)
    passages = [" ".join(rng.choices(SENTENCE.split(), k=length)) for length in lengths]
    asked = [f"What is number {'very ' * rng.randrange(6)}{i}?" for i in range(len(passages))]
    return asked, passages


def same(one: Answer, other: Answer) -> bool:
    said = [(answer.text, answer.start, answer.end) for answer in (one, other)]
    return said[0] == said[1] and one.score == pytest.approx(other.score, abs=1e-5)


def test_one_by_one_and_all_together_give_the_same_answers_in_order(qa, asked, monkeypatch):
    questions, passages = asked
    together = qa(questions, passages)
    assert len({answer.text for answer in together}) > 6, "so a wrong order would show"
    for question, passage, answer in zip(questions, passages, together, strict=True):
        assert same(qa(question, passage), answer)
        for said in (answer, *answer.candidates):
            assert said.text == passage[said.start : said.end]
    shuffled = random.Random(1).sample(range(len(questions)), len(questions))
    again = qa([questions[i] for i in shuffled], [passages[i] for i in shuffled])
    assert all(same(answer, together[i]) for answer, i in zip(again, shuffled, strict=True))
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
    alone = batches_by_length(np.array([500, 500]), 100)  # longer than allowed
    assert [list(batch) for batch in alone] == [[0], [1]]


def test_an_answer_beyond_the_first_window_is_found(qa, monkeypatch):
    oxygen = qa.tokenizer.convert_tokens_to_ids("oxygen")

    def forward(inputs):
        logits = 5.0 * (inputs["input_ids"] == oxygen).float().numpy()
        return logits, logits

    monkeypatch.setattr(qa, "_forward", forward)
    answer = qa("What?", "word " * 100 + "oxygen " + "word " * 60)
    assert (answer.text, answer.start) == ("oxygen", 500)


def test_one_answer_for_two_strings_and_a_list_for_two_lists(qa):
    assert isinstance(qa("Who?", "Kafka"), Answer)
    (answer,) = qa(["Who?"], ["Kafka"])
    assert isinstance(answer, Answer)
    assert qa([], []) == []
    for n_best in (1, 4):
        assert len(qa("What?", OXYGEN, n_best=n_best).candidates) == n_best
    of_nothing = qa("Who?", "")
    assert of_nothing == Answer("", 0, 0, 0.0, 1.0, null_logit=of_nothing.null_logit)


@pytest.mark.parametrize(
    ("questions", "passages", "message"),
    [
        (["Who?"], ["a", "b"], "two strings, or two lists of equal length"),
        ("Who?", ["Kafka"], "two strings, or two lists of equal length"),
        (["Who?"], "x", "two strings, or two lists of equal length"),
        (["Who?", ""], ["a", "b"], "question 1 is blank"),
        (" \n\t\u00a0", "Kafka", "question 0 is blank"),
    ],
)
def test_what_cannot_be_asked_is_an_error(qa, questions, passages, message):
    with pytest.raises(ValueError, match=message):
        qa(questions, passages)


def test_the_threshold_of_a_call_goes_before_that_of_the_answerer(tiny_model, tokenizer):
    score = QuestionAnswerer(tiny_model, tokenizer, precision="fp32")("What?", OXYGEN).score
    assert 0.006 < score < 0.99
    strict = QuestionAnswerer(tiny_model, tokenizer, threshold=score + 0.005, precision="fp32")
    assert strict("What?", OXYGEN).is_refusal
    assert strict("What?", OXYGEN, threshold=0.0).text != ""
    assert strict("What?", OXYGEN, threshold=score - 0.005).text != ""
    assert strict("What?", OXYGEN, threshold=1.0).is_refusal


@pytest.mark.parametrize("precision", ["fp32", "bf16", "auto"])
def test_every_precision_answers_and_says_what_it_computes_in(
    tiny_model, tokenizer, asked, precision
):
    readers = [QuestionAnswerer(tiny_model, tokenizer, precision=p) for p in (precision, "fp32")]
    scores, exact = (np.array([answer.score for answer in qa(*asked)]) for qa in readers)
    used = readers[0].precision
    assert used in ("fp32", "bf16") and precision in (used, "auto")
    np.testing.assert_allclose(scores, exact, atol=1e-6 if used == "fp32" else 0.05)
    assert used == "fp32" or (scores != exact).any(), "it did compute in bf16"


def test_token_scores_show_the_first_window_as_the_model_sees_it(qa):
    seen = qa.token_scores("Which number?", "Oxygen has " + "number " * 80)
    assert seen.tokens[:6] == ["[CLS]", "which", "number", "?", "[SEP]", "oxygen"]
    assert {*map(len, (seen.tokens, seen.start_logits, seen.end_logits, seen.in_passage))} == {48}
    assert [*np.flatnonzero(~seen.in_passage)] == [0, 1, 2, 3, 4, 47]


def test_a_folder_without_a_card_answers_from_one_half_on_unless_told_otherwise(tiny_folder):
    qa = QuestionAnswerer.load(tiny_folder)
    assert (qa.threshold, qa.scaling) == (0.5, Scaling())
    options = {"threshold": 0.25, "scaling": Scaling(2.0), "max_length": 100, "doc_stride": 9}
    qa = QuestionAnswerer.load(str(tiny_folder), **options)
    assert {name: getattr(qa, name) for name in options} == options


def test_a_runs_card_says_at_which_threshold_and_with_what_scaling_it_answers(
    tiny_folder, tmp_path
):
    folder = shutil.copytree(tiny_folder, tmp_path / "run")
    (folder / "card.json").write_text(
        json.dumps({"threshold": 0.125, "temperature": 1.75, "offset": 0.5})
    )
    qa = QuestionAnswerer.load(folder, precision="fp32")
    scaling = Scaling(1.75, 0.5)
    assert (qa.threshold, qa.scaling) == (0.125, scaling)
    assert QuestionAnswerer.load(folder, threshold=0.25).scaling == scaling
    plain = QuestionAnswerer.load(tiny_folder, precision="fp32")
    scaled, unscaled = (
        np.array([c.score for c in reader("What?", OXYGEN, n_best=20).candidates])
        for reader in (qa, plain)
    )
    np.testing.assert_allclose(scaled, scaling(unscaled), rtol=1e-4)


def test_no_answer_is_longer_than_allowed(tiny_model, tokenizer):
    for most in (1, 3):
        qa = QuestionAnswerer(tiny_model, tokenizer, precision="fp32", max_answer_tokens=most)
        found = [span.text for span in qa("What?", OXYGEN, n_best=100).candidates]
        lengths = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in found]
        assert max(lengths) == most
    with pytest.raises(ValueError, match="max_answer_tokens is 0; an answer has at least one"):
        QuestionAnswerer(tiny_model, tokenizer, max_answer_tokens=0)


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


def test_a_model_that_gives_what_is_not_a_number_says_nothing(qa, monkeypatch):
    """Before, this was "no answer in this text", 100 % sure."""
    nothing = lambda inputs: (np.full(inputs["input_ids"].shape, np.nan),) * 2  # noqa: E731
    monkeypatch.setattr(qa, "_forward", nothing)
    for asked in (qa, qa.token_scores):
        with pytest.raises(ValueError, match="logits that are not numbers"):
            asked("What?", "Oxygen is an element.")


def test_windows_are_no_longer_than_the_model_has_positions(tokenizer, capsys):
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(**size, intermediate_size=64, max_position_embeddings=50)
    qa = QuestionAnswerer(BertForQuestionAnswering(config), tokenizer)
    assert (qa.max_length, qa.doc_stride) == (50, 16)  # 128 of 384 tokens, so 16 of 50
    assert qa("What?", "word " * 200, threshold=0.0).text
    assert len(qa.token_scores("What?", "word " * 200).tokens) == 50
    said = "This model has 50 positions, so windows are 50 tokens long, not 384.\n"
    assert capsys.readouterr().err == said
