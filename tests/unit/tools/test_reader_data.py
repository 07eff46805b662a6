"""tools/reader_data.py, make_teacher.py: passages that do not answer, and what is kept of them."""

import numpy as np
import pytest
from datasets import Dataset

from src.qa.rows import FEATURES, dataset_of
from tools import make_teacher, reader_data

PASSAGES = {
    "red": "The red fox lives in the wood and eats mice.",
    "fox": "The grey fox climbs trees. It, too, eats mice, and now and then a frog.",
    "sea": "The sea is salt; its waves are high in the winter.",
    "elm": "An elm is a tree of the wood. Foxes sleep under it.",
}


@pytest.fixture
def rows() -> Dataset:
    asked = [
        ("1", "Where does the red fox live?", "red", "wood"),
        ("2", "What does the grey fox climb?", "fox", "trees"),
        ("3", "When are the waves high?", "sea", "winter"),
        ("4", "What sings in an elm?", "elm", None),
    ]
    made = []
    for number, question, name, answer in asked:
        start = [PASSAGES[name].index(answer)] if answer else []
        answers = {"text": [answer] if answer else [], "answer_start": start}
        row = {"id": number, "title": name, "context": PASSAGES[name], "question": question}
        made.append(row | {"answers": answers})
    return dataset_of(made)


def test_another_passage_never_holds_the_answer_and_is_like_the_right_one(rows):
    found = reader_data.negatives(rows, reader_data.likest_of(rows["context"]), 9, "other")
    assert sorted(found["id"]) == ["1-other", "2-other", "3-other"], "none of what has no answer"
    passages = dict(zip(found["id"], found["context"], strict=True))
    assert passages["1-other"] == PASSAGES["fox"], "not the elm's: it names the wood"
    assert all(answers["text"] == [] for answers in found["answers"])
    assert len(reader_data.negatives(rows, reader_data.likest_of(rows["context"]), 0, "other")) == 0


def test_an_answer_is_held_as_whole_words_whatever_their_case():
    assert reader_data.holds("The Elm, a tree", ["elm"])
    assert not reader_data.holds("at the helm", ["elm"])


def test_of_answers_that_occur_twice_only_sure_ones_are_kept(rows):
    context = "In May it rains. In June, and again in May, it is dry."
    answers = {"text": ["May", "In May"], "answer_start": [3, 0]}
    both = rows.select([0]).map(lambda row: {"context": context, "answers": answers})
    (kept,) = reader_data.answers_that_occur_once(both.cast(FEATURES))["answers"]
    assert kept == {"text": ["In May"], "answer_start": [0]}


def test_windows_of_a_passage_are_merged_by_the_character_of_a_token():
    known: dict[int, float] = {}
    make_teacher.merge(known, np.array([-1, -1, 0, 4]), np.array([2.0, 9.0, 1.0, 3.0]))
    make_teacher.merge(known, np.array([-1, -1, 4, 8]), np.array([1.0, 9.0, 5.0, 0.5]))
    assert known == {-1: 1.0, 0: 1.0, 4: 5.0, 8: 0.5}
