"""Questions made from sentences: the answer is at its offset and gone from the question."""

import pytest

from src.qa.cloze import cloze_questions

PASSAGES = {
    "Tern Island": "Tern Island was mapped in 1871 by Ada Northcote. "
    "It lies in Lake Vormund and has 340 inhabitants, most of whom fish.",
    "Glass harp": "The glass harp was refined by Bruno Hofmann in Vienna. "
    "A player needs 37 glasses, and concerts were common until 1835.",
    "Nothing": "there is nothing here to ask for.",
}


@pytest.fixture(scope="module")
def made():
    return cloze_questions(PASSAGES, count=100, seed=0)


def test_every_answer_is_at_its_offset_and_taken_out_of_its_question(made):
    assert len(made) >= 3
    for row in made:
        (text,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"] == PASSAGES[row["title"]]
        assert row["context"][start : start + len(text)] == text
        assert text not in row["question"].split() and row["question"].endswith("?")


def test_years_are_asked_with_when_and_numbers_with_how_many():
    rows = [row for seed in range(20) for row in cloze_questions(PASSAGES, 100, seed)]
    words = {row["answers"]["text"][0]: row["question"].split()[0] for row in rows}
    assert words["1871"] == "when"
    assert words["340"] == words["37"] == "how"
    assert words["Ada Northcote"] == words["Bruno Hofmann"] == "who"


def test_the_seed_decides(made):
    again, *others = (cloze_questions(PASSAGES, 100, seed).to_list() for seed in range(4))
    assert again == made.to_list() and any(other != again for other in others)


def test_there_are_no_more_than_asked_for_two_a_passage_and_each_has_its_id(made):
    assert len(cloze_questions(PASSAGES, count=2, seed=0)) == 2
    titles = made["title"][:]
    assert max(map(titles.count, titles)) <= 2 and "Nothing" not in titles
    assert len(set(made["id"])) == len(made)
