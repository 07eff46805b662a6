"""What taking something away shows, where it is known what matters."""

import re

import pytest
import torch

from src.qa import QuestionAnswerer
from src.qa.decoding import Answer, Candidate
from src.qa.evidence import belief, blinded, falls, planted_cases

ASKED = "When was the bridge of Tolm built?"
PASSAGE = "The bridge of Arven was built in 1842. The bridge of Tolm was built in 1907. It rains."


def counting(questions, passages=None, **_):
    """Reads as the planted case wants: a year, by the words of its sentence that are asked for."""
    if isinstance(questions, str):
        return counting([questions], [passages])[0]
    answers = []
    for question, passage in zip(questions, passages, strict=True):
        found = []
        for sentence in passage.split(". "):
            words = set(re.findall(r"\w+", sentence)) & set(re.findall(r"\w+", question))
            for year in re.finditer(r"\d+", sentence):
                at = passage.index(year[0])
                found.append(Candidate(year[0], at, at + 4, 0.0, len(words) / 10))
        found.sort(key=lambda candidate: -candidate.score)
        best = found[0] if found else Candidate("", 0, 0, 0.0, 0.0)
        answers.append(Answer(best.text, best.start, best.end, best.score, 0.0, tuple(found)))
    return answers


def test_what_is_left_out_is_a_word_of_the_question_or_a_sentence_of_the_passage():
    words, fall, answer = falls(counting, ASKED, PASSAGE, "words")
    assert answer.text == "1907" and words == ASKED.split()
    expected = [0, 0.1, 0, 0.1, 0.1, 0.1, 0.1]  # "When" and "the" are not in its sentence
    assert fall == pytest.approx(expected)
    sentences, fall, _ = falls(counting, ASKED, PASSAGE, "sentences")
    assert " ".join(sentences) == PASSAGE and len(sentences) == 3
    assert fall == pytest.approx([0, answer.score, 0])


def test_an_answer_is_believed_as_far_as_the_best_span_that_agrees_with_it():
    answers = counting([ASKED] * 2, [PASSAGE, "It rains."])
    assert belief(answers, "in 1842") == pytest.approx([0.4, 0])


def test_a_question_of_one_word_can_lose_it():
    assert falls(counting, "1907?", PASSAGE, "words")[1] == pytest.approx([0.1])


def test_in_planted_cases_one_word_of_the_question_decides_between_two_years():
    cases = planted_cases()
    for question, passage, town, year in cases:
        assert question.split().count(town) == 1 and f"of {town} was built in {year}." in passage
        others = [case[3] for case in cases if case[1] == passage and case[2] != town]
        assert len(others) == 1 and others != [year]
    assert len({case[0] for case in cases}) == 24


def test_a_blinded_head_looks_at_all_tokens_alike_and_sees_again_afterwards(tiny_model, tokenizer):
    reader = QuestionAnswerer(tiny_model, tokenizer, precision="fp32")
    reader.model.set_attn_implementation("eager")
    inputs = tokenizer("Who?", "It was Ada.", return_tensors="pt")

    def maps():
        with torch.no_grad():
            return reader.model(**inputs, output_attentions=True).attentions

    before, even = maps(), 1 / inputs["input_ids"].shape[1]
    with pytest.raises(KeyboardInterrupt), blinded(reader, 1, [0]):
        blind = maps()
        raise KeyboardInterrupt
    torch.testing.assert_close(blind[1][:, 0], torch.full_like(blind[1][:, 0], even))
    torch.testing.assert_close(blind[1][:, 1], before[1][:, 1])
    torch.testing.assert_close(blind[0], before[0])
    assert not torch.allclose(before[1][:, 0], blind[1][:, 0], atol=1e-3)
    torch.testing.assert_close(maps(), before)
