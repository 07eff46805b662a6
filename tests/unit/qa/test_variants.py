"""Three variants of question answering: chosen evenly, graded by hand-made cases."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from src.qa import variants
from src.qa.course_set import course_topics, open_domain_ids
from src.qa.dataset import answerable_only, load_squad
from src.qa.metrics import score_questions
from src.qa.variants import (
    ask_variants,
    choose_questions,
    grade,
    is_right,
    is_supported,
    kind_of,
    load_variants,
    summarise,
    telling_failures,
)

PASSAGE = (
    "Oxygen is a reactive nonmetal. Its atomic number is 8. "
    "Joseph Priestley, who isolated it in 1774, lived in Leeds."
)


class ScriptedReader:
    """Marks what it was told to for each question."""

    def __init__(self, marks):
        self.marks = marks

    def __call__(self, question, passage, threshold=None):
        assert threshold == 0.0, "it must answer"
        return SimpleNamespace(text=self.marks.get(question, ""))


class ScriptedWriter:
    """Writes what it was told to for each question: (open-book, closed-book)."""

    def __init__(self, texts):
        self.texts, self.shown = texts, []

    def __call__(self, question, context=None, max_new_tokens=40):
        if question not in self.texts:
            return ""
        self.shown.append(context)
        return self.texts[question][context is None]


@pytest.fixture
def asked(questions):
    """Two questions in all variants: the table, and the passages that the writer was shown."""
    rows = questions(
        ("What is the atomic number of oxygen?", PASSAGE, "8"),
        ("Who isolated oxygen?", PASSAGE, "Joseph Priestley", "Priestley", "Joseph Priestley"),
    )
    reader = ScriptedReader(
        {"What is the atomic number of oxygen?": "8", "Who isolated oxygen?": "Leeds"}
    )
    writer = ScriptedWriter(
        {
            "What is the atomic number of oxygen?": (
                "The atomic number of oxygen is 8.",
                "The atomic number of oxygen is 16.",
            ),
            "Who isolated oxygen?": ("Joseph Priestley isolated oxygen in Paris.", ""),
        }
    )
    told = []
    return ask_variants(rows, reader, writer, told.append), writer.shown, told


# --- choosing ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chosen():
    return choose_questions(100)


def test_a_hundred_answerable_open_domain_questions_of_the_test_part_are_chosen(chosen):
    test, alone = answerable_only(load_squad("course")["test"]), open_domain_ids()
    assert len(set(chosen["id"])) == 100 and set(chosen["id"]) <= set(test["id"]) & alone


def test_topics_and_articles_are_balanced(chosen):
    topics, alone = course_topics(), open_domain_ids()
    by_topic = Counter(topics[title] for title in chosen["title"])
    assert (
        len(by_topic) == len(set(topics.values()))
        and max(by_topic.values()) - min(by_topic.values()) <= 1
    )
    there = {row["title"] for row in load_squad("course")["test"] if row["id"] in alone}
    for topic, count in by_topic.items():
        articles = {title for title in there if topics[title] == topic}
        assert len({title for title in chosen["title"] if topics[title] == topic}) == min(
            count, len(articles)
        )


def test_the_choice_follows_the_seed_and_nothing_else(chosen):
    np.random.seed(5)
    assert choose_questions(100)["id"] == chosen["id"]
    assert set(choose_questions(100, seed=1)["id"]) != set(chosen["id"])


def test_questions_beside_those_already_asked_are_all_the_others(chosen):
    """On these the rule for "supported" can be judged: it was adjusted on the shipped hundred."""
    shipped, alone = set(load_variants()["id"]), open_domain_ids()
    every = {row["id"] for row in load_squad("course")["test"]} & alone
    others = choose_questions(None, without=shipped)
    assert set(others["id"]) == every - shipped and len(others) == len(every) - 100 > 100
    assert set(choose_questions(None)["id"]) == every
    few = choose_questions(11, without=set(chosen["id"]))
    assert len(set(few["id"])) == 11 and set(few["id"]).isdisjoint(chosen["id"])
    with pytest.raises(
        ValueError,
        match="the test part has 0 that make sense without their passage, and were not left out",
    ):
        choose_questions(1, without=alone)


@pytest.mark.parametrize("n", [0, 100_000])
def test_a_number_that_cannot_be_had_is_refused(n):
    with pytest.raises(ValueError, match=f"{n} questions are asked for; the test part has"):
        choose_questions(n)


# --- asking -----------------------------------------------------------------------------------


def test_every_question_is_asked_in_every_variant_and_once_without_the_passage(asked):
    table, shown, told = asked
    assert tuple(table.columns) == variants.COLUMNS
    assert list(zip(table["id"], table["variant"], strict=True)) == [
        (i, variant) for i in ("q0", "q1") for variant in variants.VARIANTS
    ]
    assert shown == [PASSAGE, None, PASSAGE, None]
    assert list(table["answer"]) == [
        "8",
        "The atomic number of oxygen is 8.",
        "The atomic number of oxygen is 16.",
        "Leeds",
        "Joseph Priestley isolated oxygen in Paris.",
        "",
    ]
    assert (table["seconds"] > 0).all() and (table["seconds"] < 5).all()
    assert [(progress["step"], progress["steps"]) for progress in told] == [(1, 2), (2, 2)]
    assert set(table["people_said"]) == {"8", "Joseph Priestley | Priestley"}


def test_every_answer_gets_its_kind(asked):
    assert list(asked[0]["kind"]) == [
        "right",
        "right",
        "fluent and wrong",
        "marked the wrong words",
        "right but unsupported",
        "refused",
    ]
    assert list(asked[0]["supported"]) == [True, True, False, True, False, False]


def test_scores_are_those_of_the_official_rules(asked):
    table = asked[0]
    golds = {"q0": ["8"], "q1": ["Joseph Priestley", "Priestley"]}
    for _, part in table.groupby("variant"):
        expected = score_questions(dict(zip(part["id"], part["answer"], strict=True)), golds)
        assert list(part["exact_match"]) == list(100 * expected.exact) and list(
            part["f1"]
        ) == pytest.approx(list(100 * expected.f1))


def test_a_question_without_an_answer_is_refused_before_any_is_asked(questions):
    rows = questions(("Which?", "It is 8.", "8"), ("Who?", "It is 8."))
    with pytest.raises(ValueError, match="question 'q1' has no answer"):
        ask_variants(rows, None, None)
    with pytest.raises(ValueError, match="there are no questions"):
        ask_variants(rows.select([]), None, None)


# --- grading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "golds", "right"),
    [
        ("The atomic number of oxygen is 8.", ["8"], True),
        ("It is 18.", ["8"], False),
        ("the Tall King!", ["tall king"], True),
        ("king, who was tall", ["tall king"], False),
        ("It was in Darwin’s garden", ["the garden of Darwin", "Darwin"], True),
        ("about 1000000 people", ["1,000,000"], True),
        ("On 1, 2 and 3", ["12"], False),
        ("a well-known man", ["well known"], True),
        ("Priestley", ["Joseph Priestley"], False),
        ("A team has 7 players.", ["seven"], True),
        ("The forces of nature", ["force"], True),
        ("anything", ["the"], False),
        ("", ["8"], False),
        ("$", ["€"], False),
    ],
)
def test_an_answer_is_right_where_the_words_of_a_right_answer_occur_in_it(answer, golds, right):
    assert is_right(answer, golds) == right


@pytest.mark.parametrize(
    ("answer", "supported"),
    [
        ("8", True),
        ("The atomic number of oxygen is 8.", True),
        ("The atomic number of oxygen is 16.", False),
        ("The answer to this question is the atomic number of oxygen.", False),  # says nothing new
        ("In 1774, by Priestley", True),
        (
            "Priestley was isolating oxygen while living in Leeds.",
            True,
        ),  # not quite what the passage says, yet in its words
        ("Priestley isolated oxygen in Paris.", False),
        (
            "Joseph Priestley isolated reactive oxygen in a cellar of Leeds.",
            True,
        ),  # six of seven words
        (
            "Joseph Priestley isolated reactive oxygen in 1775 in Leeds.",
            False,
        ),  # as many, but the missing one is a number
        ("Priestley found the stuff in Leeds.", False),  # two of four words
        ("oseph Pries", True),  # a piece of the passage, if an odd one
        ("", False),
        (" ", False),
    ],
)
def test_an_answer_is_supported_where_its_names_numbers_and_most_words_are_in_the_passage(
    answer, supported
):
    assert is_supported(answer, "What is the atomic number of oxygen?", PASSAGE) == supported


def test_names_and_numbers_are_told_from_other_words():
    said = variants.new_words(
        "Its Two founders, Marie and pierre, were 1,000 miles away.", "Where were the founders?"
    )
    assert said == {
        "2": True,
        "mari": True,
        "pierr": False,
        "1000": True,
        "mile": False,
        "awai": False,
    }


@pytest.mark.parametrize(
    ("variant", "answer", "supported", "kind"),
    [
        ("extractive", "8", True, "right"),
        ("extractive", "1774", True, "marked the wrong words"),
        ("extractive", "atomic number", True, "marked the wrong words"),
        ("extractive", "", False, "refused"),
        ("open-book", "It is 8.", True, "right"),
        ("open-book", "It is 8, said Bohr.", False, "right but unsupported"),
        ("open-book", "It is 1774.", True, "wrong though the passage was there"),
        ("open-book", "It is 16.", False, "fluent and wrong"),
        ("open-book", "The passage does not mention it.", False, "refused"),
        ("open-book", "Oxygen has an atomic number.", False, "repeats the question"),
        ("closed-book", "It is 8.", True, "right"),
        ("closed-book", "It is 16.", False, "fluent and wrong"),
        ("closed-book", "It is 1774.", True, "fluent and wrong"),
        ("closed-book", "I'm sorry, but I can't say.", False, "refused"),
        ("closed-book", "Oxygen does not contain any.", False, "fluent and wrong"),
        ("closed-book", "It is the atomic number of oxygen.", False, "repeats the question"),
    ],
)
def test_the_kind_of_an_answer_follows_from_variant_words_and_support(
    variant, answer, supported, kind
):
    assert (
        kind_of(variant, answer, "What is the atomic number of oxygen?", ["8"], supported) == kind
    )


# --- looking at the results -------------------------------------------------------------------


def made_table(*rows):
    """rows: (id, variant, answer, kind, f1)"""
    table = pd.DataFrame(rows, columns=["id", "variant", "answer", "kind", "f1"])
    about = {
        "title": "T",
        "question": "Q?",
        "people_said": "8",
        "seconds": np.arange(1.0, len(table) + 1),
        "supported": True,
    }
    return table.assign(exact_match=100.0 * (table["f1"] == 100), **about)


def test_the_summary_counts_shares_and_says_how_sure_the_rate_of_hallucination_is():
    kinds = ["right"] * 5 + ["right but unsupported"] + ["fluent and wrong"] * 3 + ["refused"]
    table = made_table(
        *(
            (f"q{i}", "closed-book", "a", kind, 100.0 if i < 2 else 10.0)
            for i, kind in enumerate(kinds)
        )
    )
    table["supported"] = [True] * 4 + [False] * 6
    (row,) = summarise(table).to_dict("records")
    interval = binomtest(3, 10).proportion_ci(0.95, method="wilson")
    assert row == pytest.approx(
        {
            "questions": 10,
            "exact_match": 20,
            "f1": 28,
            "right": 60,
            "supported": 40,
            "fluent_and_wrong": 30,
            "fluent_low": 100 * interval.low,
            "fluent_high": 100 * interval.high,
            "median_seconds": 5.5,
            "seconds_95th": np.percentile(np.arange(1, 11), 95),
        },
        abs=1e-4,
    )


def test_variants_come_in_their_order_and_every_kind_has_its_column():
    table = made_table(
        ("q0", "closed-book", "a", "refused", 0), ("q0", "extractive", "a", "right", 100)
    )
    assert list(summarise(table).index) == ["extractive", "closed-book"]
    counts = variants.count_kinds(table)
    assert (
        list(counts.index) == ["extractive", "closed-book"]
        and tuple(counts.columns) == variants.KINDS
    )
    assert counts.loc["closed-book"].to_dict() == {
        kind: int(kind == "refused") for kind in variants.KINDS
    }


def test_a_telling_failure_shows_one_variant_right_and_another_wrong():
    table = made_table(
        ("q0", "extractive", "8", "right", 100),
        ("q0", "closed-book", "the number 16", "fluent and wrong", 0),
        ("q1", "extractive", "9", "marked the wrong words", 0),
        ("q1", "closed-book", "no one was right", "fluent and wrong", 0),
        ("q2", "extractive", "8", "right", 100),
        ("q2", "closed-book", "16", "fluent and wrong", 0),
        ("q3", "extractive", "9", "marked the wrong words", 0),
        ("q3", "open-book", "9, or 10", "fluent and wrong", 20),
        ("q3", "closed-book", "8", "right", 100),
    )
    found = telling_failures(table, 5)
    assert list(found["id"]) == ["q3", "q2", "q0"], (
        "the rare pair of variants first, then the shorter answer"
    )
    assert (found["right_answer"] == "8").all() and list(found["other_answer"]) == [
        "9, or 10",
        "16",
        "the number 16",
    ]
    assert list(found["right_variant"]) == ["closed-book", "extractive", "extractive"]
    assert len(telling_failures(table, 1)) == 1
    assert list(telling_failures(table, 5, "marked the wrong words")["id"]) == ["q3"]
    assert telling_failures(table, 5, "refused").empty


@pytest.mark.parametrize("kind", ["right", "nonsense"])
def test_what_is_no_kind_of_failure_is_refused(kind):
    with pytest.raises(ValueError, match="a failure is one of right but unsupported, marked"):
        telling_failures(made_table(("q0", "extractive", "8", "right", 100)), 1, kind)


# --- the shipped run --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked_of():
    """Question id -> its row, of the questions that may be in the shipped run."""
    alone = open_domain_ids()
    return {
        row["id"]: row
        for row in answerable_only(load_squad("course")["test"])
        if row["id"] in alone
    }


def test_the_shipped_run_asks_a_hundred_questions_of_the_set_in_every_variant(asked_of):
    table = load_variants()
    assert tuple(table.columns) == variants.COLUMNS and len(table) == 300
    assert (
        table.groupby("id")["variant"]
        .apply(list)
        .map(lambda found: found == list(variants.VARIANTS))
        .all()
    )
    for row in table.itertuples():
        there = asked_of[row.id]
        assert (row.title, row.question) == (there["title"], there["question"])
        assert row.people_said == " | ".join(dict.fromkeys(there["answers"]["text"]))


def test_the_shipped_scores_and_kinds_follow_from_the_shipped_answers(asked_of):
    table = load_variants()
    again = grade(
        table[["id", "title", "question", "people_said", "variant", "answer", "seconds"]],
        {i: r["context"] for i, r in asked_of.items()},
    )
    pd.testing.assert_frame_equal(again, table, check_dtype=False, atol=0.006)


def test_the_shipped_run_holds_no_passage(asked_of):
    table = load_variants()
    assert table["answer"].str.len().max() < 300
    text = variants.SHIPPED.read_text(encoding="utf-8")
    assert not any(asked_of[question_id]["context"] in text for question_id in set(table["id"]))


@pytest.mark.full
def test_the_shipped_answers_are_those_of_the_shipped_reader_and_the_chat_model(asked_of):
    """After new weights: bench_variants.py --write. Another processor may round differently."""
    from src.qa.answerer import QuestionAnswerer
    from src.qa.generative import GenerativeAnswerer

    table = load_variants().set_index(["variant", "id"])["answer"]
    ids = list(table["extractive"].index)
    answers = QuestionAnswerer.load("qa-minilm", precision="fp32")(
        [asked_of[i]["question"] for i in ids], [asked_of[i]["context"] for i in ids], threshold=0.0
    )
    assert (
        sum(answer.text == table["extractive", i] for answer, i in zip(answers, ids, strict=True))
        >= 98
    )
    writer = GenerativeAnswerer()
    same = [writer(asked_of[i]["question"]) == table["closed-book", i] for i in ids[::10]]
    same += [
        writer(asked_of[i]["question"], asked_of[i]["context"]) == table["open-book", i]
        for i in ids[::10]
    ]
    assert sum(same) >= 18
