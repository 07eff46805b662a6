"""Made unanswerable questions: no answer is left in the passage; the seed decides."""

from __future__ import annotations

import random
import re

import pytest
from datasets import Dataset

from src.qa.dataset import FEATURES
from src.qa.metrics import normalize_answer
from src.text import split_sentences
from tools.unanswerable import drop_answer_sentences, pair_with_other_passages, replace_names

PEOPLE = ["Kafka", "Curie", "Euler", "Ada Lovelace", "Turing", "Noether"]
PLACES = ["Prague", "Warsaw", "Basel", "London", "Göttingen"]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """120 questions on five articles that share people, places and years."""
    rng = random.Random(0)
    columns: dict[str, list] = {name: [] for name in FEATURES}
    passages = {
        f"Article {a}": [
            f"In {rng.randrange(1800, 1812)} the scholar {person} lived in {rng.choice(PLACES)} "
            f"with {rng.randrange(2, 9)} cats and a king."
            for person in rng.sample(PEOPLE, size)
        ]
        for a, size in enumerate((1, 2, 4, 6, 6))
    }
    for i in range(120):
        title = rng.choice(list(passages))
        context = rng.choice(passages[title])
        year, person, place, cats = re.match(
            r"In (\d+) the scholar (.+) lived in (\w+) with (\d)", context
        ).groups()
        question, *answers = rng.choice(
            [
                (f"Where did the scholar {person} live in {year}?", place),
                (
                    f"In which year did somebody called {person} live in {place}?",
                    year,
                    f"In {year}",
                ),
                (f"How many cats had {person}?", cats),
                (f"Who lived in {place} in {year}?", person, f"the scholar {person}"),
                (
                    f"Whom did {person} live with?",
                    "a king",
                    "A",
                ),  # "a" alone has nothing left to look for
                (f"What did {person} eat?",),
            ]
        )
        columns["id"].append(f"q{i}")
        columns["title"].append(title)
        columns["context"].append(context)
        columns["question"].append(question)
        columns["answers"].append({"text": answers, "answer_start": [0] * len(answers)})
    return Dataset.from_dict(columns, features=FEATURES)


@pytest.fixture(scope="module")
def original(dataset) -> dict[str, dict]:
    return {row["id"]: row for row in dataset}


@pytest.fixture(scope="module")
def long_dataset(dataset) -> Dataset:
    """The same questions, each over all passages of its article in one."""
    passages: dict[str, dict[str, None]] = {}
    for row in dataset:
        passages.setdefault(row["title"], {})[row["context"]] = None
    return dataset.map(lambda row: {"context": " ".join(passages[row["title"]])}, features=FEATURES)


@pytest.fixture(params=[pair_with_other_passages, replace_names, drop_answer_sentences])
def make(request):
    return request.param


@pytest.fixture
def questions(make, dataset, long_dataset) -> Dataset:
    return long_dataset if make is drop_answer_sentences else dataset


def test_the_same_seed_gives_the_same_questions_and_another_seed_others(make, questions):
    assert list(make(questions, 12, seed=1)) == list(make(questions, 12, seed=1))
    assert list(make(questions, 12, seed=1)["id"]) != list(make(questions, 12, seed=2)["id"])


def test_as_many_as_asked_for_or_as_there_can_be_each_with_an_id_of_its_own(make, questions):
    assert len(make(questions, 0, seed=0)) == 0
    assert len(make(questions, 10, seed=0)) == 10
    most = make(questions, 10_000, seed=0)
    assert 30 < len(most) < len(questions)
    assert len(set(most["id"])) == len(most)
    assert list(make(questions, 10, seed=0)) == list(most)[:10]
    assert most.features == FEATURES


def test_only_answerable_questions_are_used_and_none_keeps_an_answer(make, questions, original):
    for row in make(questions, 10_000, seed=0):
        source = original[
            re.sub("-(other-passage|other-name|without-the-sentence)$", "", row["id"])
        ]
        assert row["answers"] == {"text": [], "answer_start": []}
        assert source["answers"]["text"]
        assert row["title"] == source["title"]


def test_what_is_dropped_is_every_sentence_with_an_answer_and_nothing_else(long_dataset):
    original = {row["id"]: row for row in long_dataset}
    for row in drop_answer_sentences(long_dataset, 10_000, seed=0):
        source = original[row["id"].removesuffix("-without-the-sentence")]
        answers = [normalize_answer(answer) for answer in source["answers"]["text"]]
        before, after = split_sentences(source["context"]), split_sentences(row["context"])
        assert row["question"] == source["question"]
        assert after == [
            sentence
            for sentence in before
            if not any(answer in normalize_answer(sentence) for answer in answers)
        ]
        assert 2 <= len(after) < len(before)


def test_an_answer_over_two_sentences_or_arising_where_two_come_together_leaves_the_question_out():
    text = "It ended in May. June came. It was May. Nobody saw it."
    rows = [
        {
            "id": "over",
            "title": "T",
            "context": text,
            "question": "When?",
            "answers": {"text": ["May. June"], "answer_start": [12]},
        },
        {
            "id": "arising",
            "title": "T",
            "context": "We met in May. He left. June came.",
            "question": "When?",
        }
        | {"answers": {"text": ["He left", "may june"], "answer_start": [15, 0]}},
    ]
    assert len(drop_answer_sentences(Dataset.from_list(rows, features=FEATURES), 5, seed=0)) == 0


def test_another_passage_is_of_the_same_article_and_never_holds_an_answer(dataset, original):
    made = pair_with_other_passages(dataset, 10_000, seed=0)
    for row in made:
        source = original[row["id"].removesuffix("-other-passage")]
        assert row["question"] == source["question"]
        assert row["context"] != source["context"]
        assert (row["title"], row["context"]) in {
            (other["title"], other["context"]) for other in dataset
        }
        plain = normalize_answer(row["context"])
        assert not any(normalize_answer(answer) in plain for answer in source["answers"]["text"])
    assert {row["title"] for row in made} == {
        f"Article {a}" for a in range(1, 5)
    }  # not the one with a single passage


def test_of_the_other_passages_the_most_similar_without_the_answer_is_taken():
    texts = [
        "Kafka wrote novels in Prague about a castle.",
        "Kafka lived in Prague and wrote of a castle.",  # nearest, but it holds the answer
        "Kafka wrote novels about a castle elsewhere.",  # the one to take
        "Bananas ripen slowly when it is cold.",
    ]
    rows = [
        {
            "id": "k",
            "title": "T",
            "context": texts[0],
            "question": "Where did Kafka live?",
            "answers": {"text": ["Prague"], "answer_start": [21]},
        }
    ]
    rows += [
        {
            "id": f"o{i}",
            "title": "T",
            "context": text,
            "question": "?",
            "answers": {"text": [], "answer_start": []},
        }
        for i, text in enumerate(texts)
    ]
    (made,) = pair_with_other_passages(Dataset.from_list(rows, features=FEATURES), 5, seed=0)
    assert made["context"] == texts[2]


def test_another_name_stands_elsewhere_in_the_article_and_not_in_the_passage(dataset, original):
    passages = {}
    for row in dataset:
        passages.setdefault(row["title"], set()).add(row["context"])
    kinds = set()
    for row in replace_names(dataset, 10_000, seed=0):
        source = original[row["id"].removesuffix("-other-name")]
        assert row["context"] == source["context"] and row["question"] != source["question"]
        before, after = source["question"], row["question"]
        start = next(
            i for i, (one, other) in enumerate(zip(before, after, strict=False)) if one != other
        )
        end = next(
            i
            for i, (one, other) in enumerate(zip(before[::-1], after[::-1], strict=False))
            if one != other
        )
        while start and (before[start - 1].isalnum() or after[start - 1].isalnum()):
            start -= 1
        while end and before[len(before) - end].isalnum():
            end -= 1
        old, new = before[start : len(before) - end], after[start : len(after) - end]
        assert old in row["context"]
        assert new and new not in row["context"] and new not in before
        assert any(new in passage for passage in passages[row["title"]])
        assert old.isdigit() == new.isdigit()
        kinds.add(new.isdigit())
    assert kinds == {True, False}


def test_articles_without_words_to_compare_are_left_out():
    rows = [
        {
            "id": f"q{i}",
            "title": "T",
            "context": text,
            "question": "Which?",
            "answers": {"text": [text], "answer_start": [0]},
        }
        for i, text in enumerate(("a", "b", "7"))
    ]
    assert len(pair_with_other_passages(Dataset.from_list(rows, features=FEATURES), 5, seed=0)) == 0
