"""Three variants of question answering: chosen evenly, graded by hand-made cases."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from benchmarks.grading import (
    COLUMNS,
    ask_variants,
    choose_questions,
    grade,
    is_right,
    is_supported,
    kind_of,
    new_words,
)
from src.qa import variants
from src.qa.course_set import course_topics, open_domain_questions
from src.qa.dataset import load_squad
from src.qa.metrics import score_questions
from src.qa.variants import load_variants, summarise, telling_failures

UNSUPPORTED = "right but unsupported"
NUMBER, WHO = "What is the atomic number of oxygen?", "Who isolated oxygen?"
PASSAGE = (
    "Oxygen is a reactive nonmetal. Its atomic number is 8. "
    "Joseph Priestley, who isolated it in 1774, lived in Leeds."
)


# --- choosing ---------------------------------------------------------------------------------


def test_a_hundred_questions_are_balanced_over_topics_and_articles():
    there, topics = open_domain_questions(load_squad("course")["test"]), course_topics()
    chosen = choose_questions(100)
    assert len(set(chosen["id"])) == 100 and set(chosen["id"]) <= set(there["id"])
    assert all(answers["text"] for answers in chosen["answers"])
    by_topic = Counter(topics[title] for title in chosen["title"])
    assert set(by_topic) == set(topics.values())
    assert max(by_topic.values()) - min(by_topic.values()) <= 1
    for topic, count in by_topic.items():
        of_topic, possible = (
            {title for title in rows["title"] if topics[title] == topic} for rows in (chosen, there)
        )
        assert len(of_topic) == min(count, len(possible))


def test_the_choice_follows_the_seed_and_nothing_else():
    np.random.seed(5)
    assert set(choose_questions(100)["id"]) == set(load_variants()["id"])
    assert choose_questions(9)["id"] == choose_questions(9)["id"]
    assert choose_questions(9, seed=1)["id"] != choose_questions(9)["id"]


# --- asking -----------------------------------------------------------------------------------


@pytest.fixture
def asked(questions):
    """Two questions in all variants: the table, the passages that were shown, and progress."""
    people = "Joseph Priestley", "Priestley", "Joseph Priestley"
    rows = questions((NUMBER, PASSAGE, "8"), (WHO, PASSAGE, *people))
    marked = {NUMBER: "8", WHO: "Leeds"}
    written = {
        (NUMBER, PASSAGE): "The atomic number of oxygen is 8.",
        (NUMBER, None): "The atomic number of oxygen is 16.",
        (WHO, PASSAGE): "Joseph Priestley isolated oxygen in Paris.",
    }
    shown, told = [], []

    def reader(question, passage, threshold=None):
        assert threshold == 0.0, "it must answer"
        return SimpleNamespace(text=marked.get(question, ""))

    def writer(question, context=None, max_new_tokens=40):
        shown.append((question, context))
        return written.get((question, context), "")

    return ask_variants(rows, reader, writer, told.append), shown[1:], told


def test_every_question_is_asked_in_every_variant_and_every_answer_gets_its_kind(asked):
    table, shown, told = asked
    assert tuple(table.columns) == COLUMNS
    columns = ["id", "variant", "answer", "supported", "kind"]
    assert table[columns].to_numpy().tolist() == [
        ["q0", "extractive", "8", True, "right"],
        ["q0", "open-book", "The atomic number of oxygen is 8.", True, "right"],
        ["q0", "closed-book", "The atomic number of oxygen is 16.", False, "fluent and wrong"],
        ["q1", "extractive", "Leeds", True, "marked the wrong words"],
        ["q1", "open-book", "Joseph Priestley isolated oxygen in Paris.", False, UNSUPPORTED],
        ["q1", "closed-book", "", False, "refused"],
    ]
    assert shown == [(NUMBER, PASSAGE), (NUMBER, None), (WHO, PASSAGE), (WHO, None)]
    assert (table["seconds"] > 0).all() and (table["seconds"] < 5).all()
    assert [(progress["step"], progress["steps"]) for progress in told] == [(1, 2), (2, 2)]
    assert set(table["people_said"]) == {"8", "Joseph Priestley | Priestley"}
    golds = {"q0": ["8"], "q1": ["Joseph Priestley", "Priestley"]}
    for _, part in table.groupby("variant"):
        expected = score_questions(dict(zip(part["id"], part["answer"], strict=True)), golds)
        assert list(part["exact_match"]) == list(100 * expected.exact)
        assert list(part["f1"]) == pytest.approx(list(100 * expected.f1))


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
        # Not quite what the passage says, yet in its words.
        ("Priestley was isolating oxygen while living in Leeds.", True),
        ("Priestley isolated oxygen in Paris.", False),
        # Six of seven words; as many, but the missing one is a number; two of four.
        ("Joseph Priestley isolated reactive oxygen in a cellar of Leeds.", True),
        ("Joseph Priestley isolated reactive oxygen in 1775 in Leeds.", False),
        ("Priestley found the stuff in Leeds.", False),
        ("oseph Pries", True),  # a piece of the passage, if an odd one
        ("", False),
        (" ", False),
    ],
)
def test_an_answer_is_supported_where_its_names_numbers_and_most_words_are_in_the_passage(
    answer, supported
):
    assert is_supported(answer, NUMBER, PASSAGE) == supported


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
    assert kind_of(variant, answer, NUMBER, ["8"], supported) == kind


# --- looking at the results -------------------------------------------------------------------


def made_table(*rows):
    """rows: (id, variant, answer, kind, f1)"""
    table = pd.DataFrame(rows, columns=["id", "variant", "answer", "kind", "f1"])
    about = {"title": "T", "question": "Q?", "people_said": "8", "supported": True}
    about["specific"] = [any(new_words(answer, "Q?").values()) for answer in table["answer"]]
    seconds = np.arange(1.0, len(table) + 1)
    return table.assign(exact_match=100.0 * (table["f1"] == 100), seconds=seconds, **about)


def test_the_summary_counts_shares_and_says_how_sure_the_rate_of_hallucination_is():
    kinds = ["right"] * 5 + ["right but unsupported"] + ["fluent and wrong"] * 3 + ["refused"]
    f1 = [100.0] * 2 + [10.0] * 8
    table = made_table(*((f"q{i}", "closed-book", "a", kinds[i], f1[i]) for i in range(10)))
    table["supported"] = [True] * 4 + [False] * 6
    (row,) = summarise(table).to_dict("records")
    interval = binomtest(3, 10).proportion_ci(0.95, method="wilson")
    expected = {"questions": 10, "exact_match": 20, "f1": 28, "right": 60, "supported": 40}
    expected |= {"fluent_and_wrong": 30, "fluent_low": 100 * interval.low}
    expected |= {"fluent_high": 100 * interval.high, "median_seconds": 5.5, "seconds_95th": 9.55}
    assert row == pytest.approx(expected)


def test_variants_keep_their_order_and_every_kind_has_its_column():
    rows = ("q0", "open-book", "a", "right", 100), ("q0", "closed-book", "a", "refused", 0)
    table = made_table(*rows)
    assert list(summarise(table).index) == ["open-book", "closed-book"]
    counts = variants.count_kinds(table)
    assert list(counts.index) == ["open-book", "closed-book"]
    refused = {kind: int(kind == "refused") for kind in variants.KINDS}
    assert counts.loc["closed-book"].to_dict() == refused


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
    columns = ["id", "right_variant", "right_answer", "other_variant", "other_answer"]
    assert found[columns].to_numpy().tolist() == [
        # The rare pair of variants first, then the shorter answer.
        ["q3", "closed-book", "8", "open-book", "9, or 10"],
        ["q2", "extractive", "8", "closed-book", "16"],
        ["q0", "extractive", "8", "closed-book", "the number 16"],
    ]
    assert len(telling_failures(table, 1)) == 1
    assert list(telling_failures(table, 5, "marked the wrong words")["id"]) == ["q3"]
    assert telling_failures(table, 5, "refused").empty


# --- the shipped run --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    """Question id -> its row, of the questions that may be in the shipped run."""
    return {row["id"]: row for row in open_domain_questions(load_squad("course")["test"])}


def test_the_shipped_run_asks_a_hundred_questions_of_the_set_in_every_variant(rows):
    table = load_variants()
    assert tuple(table.columns) == COLUMNS and len(table) == 300
    for _, part in table.groupby("id"):
        assert tuple(part["variant"]) == variants.VARIANTS
    for row in table.itertuples():
        there = rows[row.id]
        assert (row.title, row.question) == (there["title"], there["question"])
        assert row.people_said == " | ".join(dict.fromkeys(there["answers"]["text"]))
        assert len(row.answer) < 300 and there["context"] not in row.answer, "no passage"


def test_the_shipped_scores_and_kinds_follow_from_the_shipped_answers(rows):
    table = load_variants()
    said = table.drop(columns=["exact_match", "f1", "supported", "kind", "specific"])
    again = grade(said, {question_id: row["context"] for question_id, row in rows.items()})
    pd.testing.assert_frame_equal(again, table, check_dtype=False, atol=0.006)


@pytest.mark.full
def test_the_shipped_answers_are_those_of_the_shipped_reader_and_the_chat_model(rows):
    """After new weights: bench_variants.py --write. Another processor may round differently."""
    from src.qa.answerer import QuestionAnswerer
    from src.qa.generative import GenerativeAnswerer

    table = load_variants().set_index(["variant", "id"])["answer"]
    asked = [rows[question_id] for question_id in table["extractive"].index]
    reader = QuestionAnswerer.load("qa-minilm", precision="fp32")
    columns = ([row[name] for row in asked] for name in ("question", "context"))
    answers = zip(asked, reader(*columns, threshold=0.0), strict=True)
    assert sum(answer.text == table["extractive", row["id"]] for row, answer in answers) >= 98
    writer, same = GenerativeAnswerer(), 0
    for row in asked[::10]:
        same += writer(row["question"]) == table["closed-book", row["id"]]
        same += writer(row["question"], row["context"]) == table["open-book", row["id"]]
    assert same >= 18
