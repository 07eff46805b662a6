"""Questions that a language model wrote: what is kept, what an interrupted call goes on from, and the rows that come out."""

import json

import pytest

from src.qa import written
from src.qa.cloze import gaps_of
from src.qa.decoding import Answer
from src.qa.written import prompt, written_questions

PASSAGES = {
    f"Island {i}": f"Island {i} was mapped in 1{800 + i} by Ada Northcote. It lies in Lake Vormund and has 3{i:02} inhabitants."
    for i in range(150)
}


class Reader:
    """Marks the first gap of a passage, whatever is asked: right when that is what the question was written for."""

    def __call__(self, questions, contexts, threshold, n_best):
        found = []
        for context in contexts:
            start, end, *_ = next(iter(gaps_of(context)))
            found.append(Answer(context[start:end], start, end, 0.9, 0.1))
        return found


class Writer(written._Writer):
    """Writes the same good question each time, and every fifth time something that is none."""

    calls = 0

    def __init__(self, reader):
        self.reader, self.prompts = Reader(), []

    def _write(self, prompts):
        Writer.calls += 1
        self.prompts += prompts
        return ["no question at all" if i % 5 == 4 else "What is it that one asks for here?" for i, _ in enumerate(prompts)]


@pytest.fixture(autouse=True)
def _writer(monkeypatch):
    Writer.calls = 0
    monkeypatch.setattr(written, "_Writer", Writer)


def lines_of(file):
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_every_answer_stands_at_its_offset_and_was_confirmed_by_the_reader(tmp_path):
    rows = written_questions(PASSAGES, 5, 0, tmp_path / "written.jsonl")
    assert len(rows) == 5 and len(set(rows["id"])) == 5
    for row in rows:
        (text,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        first, end, *_ = next(iter(gaps_of(row["context"])))
        assert row["context"][start : start + len(text)] == text
        assert (start, start + len(text)) == (first, end), "the reader marked something else"


def test_what_is_no_question_or_was_answered_otherwise_is_noted_and_left_out(tmp_path):
    written_questions(PASSAGES, 5, 0, tmp_path / "written.jsonl")
    tried = lines_of(tmp_path / "written.jsonl")
    assert {row["kept"] for row in tried} == {True, False}
    assert all(not row["kept"] for row in tried if not row["question"].endswith("?"))


def test_an_interrupted_call_goes_on_and_a_finished_one_asks_no_model(tmp_path):
    file = tmp_path / "written.jsonl"
    whole = written_questions(PASSAGES, 8, 0, tmp_path / "whole.jsonl")
    written_questions(PASSAGES, 1, 0, file)
    begun = lines_of(file)
    again = written_questions(PASSAGES, 8, 0, file)
    assert lines_of(file)[: len(begun)] == begun
    assert again.to_list() == whole.to_list()
    calls = Writer.calls
    assert written_questions(PASSAGES, 8, 0, file).to_list() == whole.to_list()
    assert Writer.calls == calls


def test_where_the_passages_do_not_give_as_many_fewer_come_back(tmp_path):
    rows = written_questions(PASSAGES, 1000, 0, tmp_path / "written.jsonl")
    tried = lines_of(tmp_path / "written.jsonl")
    assert len(tried) == len(PASSAGES) and len(rows) == sum(row["kept"] for row in tried) < len(PASSAGES)


@pytest.mark.parametrize(
    ("question", "good"),
    [
        ("In which year was the island mapped?", True),
        ("In which year was the island mapped", False),
        ("In which year of 1871 was it mapped?", False),
        ("Which year?", False),
        (f"{'word ' * 30}?", False),
    ],
)
def test_a_question_has_a_questions_form_and_does_not_give_its_answer_away(question, good):
    assert written._is_a_question(question, "1871") is good


def test_the_prompt_ends_where_the_model_has_to_go_on():
    text = prompt("Tern lies\nin a lake.", "a lake")
    assert text.endswith("Passage: Tern lies in a lake.\nAnswer: a lake\nQuestion:")
    for passage, pairs in written.EXAMPLES:
        assert all(answer in passage for answer, _ in pairs)
