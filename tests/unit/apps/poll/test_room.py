"""The rules of a poll: what is shown and told when, which votes count, and that everything comes back at the next start."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sqlite3
from dataclasses import replace

import pytest

from src.apps.poll.room import Over, Room, as_choices
from src.apps.poll.store import Store
from src.teaching.quizzes import QUIZZES, load_quiz

ANN, BOB = "a" * 22, "b" * 22


def vote(room, voter, question, *choices):
    return asyncio.run(room.vote(voter, {"question": question, "choices": list(choices)}))


def again(room, questions):
    """The same poll, started once more on the same file."""
    room._store.close()
    return Room(questions, Store(room._store.path, "q/mixed"))


def test_a_vote_is_counted_and_can_be_changed_and_everybody_has_one(room):
    assert vote(room, ANN, "one", 0) == 1
    assert vote(room, BOB, "one", 1) == 2
    assert vote(room, ANN, "one", 1) == 3
    view = room.instructor_view()
    assert (view["counts"], view["voters"], view["written"]) == ([0, 2, 0], 2, 3)
    assert room.attendee_view(ANN)["yours"] == [1] and room.attendee_view("c" * 22)["yours"] == []


def test_several_choices_count_once_each_whatever_their_order(room):
    room.show({"question": "several"})
    vote(room, ANN, "several", 2, 0)
    vote(room, BOB, "several", 2)
    view = room.instructor_view()
    assert (view["counts"], view["voters"]) == ([1, 0, 2], 2)
    assert room.attendee_view(ANN)["yours"] == [0, 2]


def test_a_numeric_question_is_voted_on_among_its_answer_and_the_typical_slips(questions):
    question = as_choices(questions.questions[2])
    assert [(choice.text, choice.right) for choice in question.choices] == [("7 things", False), ("12 things", True), ("100 things", False)]
    assert question.kind == "single" and question.choices[1].why == "Twelve: secret-g."


@pytest.mark.parametrize("name", sorted(file.stem for file in QUIZZES.glob("*.json")))
def test_every_question_of_the_course_can_be_polled(name, tmp_path):
    for key, found in load_quiz(name).items():
        room = Room(found, Store(tmp_path / f"{key}.sqlite", key))
        for question in found.questions:
            room.show({"question": question.id})
            offered = room.questions[question.id]
            right = [i for i, choice in enumerate(offered.choices) if choice.right]
            assert len({choice.text for choice in offered.choices}) == len(offered.choices) >= 2
            assert vote(room, ANN, question.id, *right)
            room.set_phase({"question": question.id, "phase": "revealed"})
            view = room.attendee_view(ANN)
            assert [i for i, answer in enumerate(view["answers"]) if answer["right"]] == view["yours"] == right
            json.dumps(view)


def test_nothing_tells_the_answer_or_the_counts_to_those_who_vote_before_it_is_revealed(room, questions):
    vote(room, ANN, "one", 1)
    for question in questions.questions:
        room.show({"question": question.id})
        for phase in ("open", "closed"):
            room.set_phase({"question": question.id, "phase": phase})
            view = room.attendee_view(ANN)
            assert view["answers"] is None and "counts" not in view and "voters" not in view
            told = json.dumps([view, room.instructor_view()])
            assert "secret" not in told and "Right." not in told
    room.show({"question": "one"})
    room.set_phase({"question": "one", "phase": "revealed"})
    view = room.attendee_view(ANN)
    assert [answer["right"] for answer in view["answers"]] == [False, True, False] and view["counts"] == [0, 1, 0]
    assert [answer["verdict"] for answer in view["answers"]] == ["Not this one.", "Right.", "Not this one."]
    assert ["", "The second is right because of secret-b."] in json.loads(json.dumps(view["answers"][1]["why"]))
    assert "secret-d" not in json.dumps(view), "of the other questions nothing"


@pytest.mark.parametrize("phase", ["closed", "revealed"])
def test_votes_are_taken_only_while_voting_is_open(room, phase):
    vote(room, ANN, "one", 0)
    room.set_phase({"question": "one", "phase": phase})
    with pytest.raises(Over, match=r"Voting on this question is over\."):
        vote(room, ANN, "one", 1)
    assert room.instructor_view()["counts"] == [1, 0, 0] and len(room._store.votes()) == 1


def test_voting_that_was_closed_can_be_opened_again_but_not_once_the_answer_is_known(room):
    for phase in ("closed", "open", "closed", "revealed", "revealed"):
        room.set_phase({"question": "one", "phase": phase})
        assert room.instructor_view()["phase"] == phase
    for phase in ("open", "closed"):
        with pytest.raises(Over, match="for good"):
            room.set_phase({"question": "one", "phase": phase})


def test_votes_are_taken_on_the_question_that_is_shown_only(room):
    room.show({"question": "several"})
    with pytest.raises(Over):
        vote(room, ANN, "one", 0)
    with pytest.raises(Over, match="Another question"):
        room.set_phase({"question": "one", "phase": "revealed"})
    room.show({"question": "one"})
    assert vote(room, ANN, "one", 0) == 1


def test_next_and_previous_lead_through_the_questions_in_order(room):
    assert (room.instructor_view()["previous"], room.instructor_view()["number"]) == (None, 1)
    way = []
    while (following := room.instructor_view()["next"]) is not None:
        way.append((room.shown, room.instructor_view()["number"], room.instructor_view()["of"]))
        room.show({"question": following})
    assert way == [("one", 1, 3), ("several", 2, 3)] and room.shown == "number"
    assert room.instructor_view()["previous"] == "several"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (None, "not what this page sends"),
        ("text", "not what this page sends"),
        ([], "not what this page sends"),
        ({}, "not what this page sends"),
        ({"question": "one"}, "not what this page sends"),
        ({"question": "none", "choices": [0]}, "no such question"),
        ({"question": ["one"], "choices": [0]}, "no such question"),
        ({"question": None, "choices": [0]}, "no such question"),
        ({"question": "one", "choices": []}, "Choose something"),
        ({"question": "one", "choices": [0, 1]}, "takes one choice"),
        ({"question": "one", "choices": [3]}, "no such choice"),
        ({"question": "one", "choices": [-1]}, "no such choice"),
        ({"question": "one", "choices": [True]}, "no such choice"),
        ({"question": "one", "choices": [1.0]}, "no such choice"),
        ({"question": "one", "choices": ["1"]}, "no such choice"),
        ({"question": "one", "choices": [None]}, "no such choice"),
        ({"question": "one", "choices": [[0]]}, "no such choice"),
        ({"question": "one", "choices": {"0": 1}}, "no such choice"),
        ({"question": "one", "choices": "0"}, "no such choice"),
        ({"question": "one", "choices": 10**400}, "no such choice"),
        ({"question": "several", "choices": [0, 0]}, "twice"),
    ],
)
def test_what_is_no_vote_is_refused_in_one_sentence_and_not_kept(room, asked, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        asyncio.run(room.vote(ANN, asked))
    assert str(refused.value).endswith(".") and len(str(refused.value)) < 100
    assert room._store.votes() == [] and room.instructor_view()["voters"] == 0


@pytest.mark.parametrize("asked", [None, {}, {"question": "one"}, {"question": "one", "phase": "over"}, {"question": 1, "phase": "open"}])
def test_no_other_phase_can_be_asked_for(room, asked):
    with pytest.raises(ValueError, match=r"reload the page and try again\."):
        room.set_phase(asked)
    assert room.instructor_view()["phase"] == "open"


def test_votes_that_arrive_together_are_written_together_and_all_are_told(room):
    calls = []
    record = room._store.record
    room._store.record = lambda votes: (calls.append(votes := list(votes)), record(votes))

    async def everybody():
        return await asyncio.gather(*(room.vote(f"{i:022}", {"question": "one", "choices": [i % 3]}) for i in range(200)))

    assert sorted(asyncio.run(everybody())) == list(range(1, 201))
    assert [len(votes) for votes in calls] == [200]
    assert room.instructor_view()["counts"] == [67, 67, 66] and len(room._store.votes()) == 200


def test_a_vote_in_hand_when_the_answer_is_revealed_is_in_and_one_after_it_is_not(room, questions):
    async def scenario():
        before = asyncio.create_task(room.vote(ANN, {"question": "one", "choices": [0]}))
        await asyncio.sleep(0)  # it waits to be written
        room.set_phase({"question": "one", "phase": "revealed"})
        assert room.attendee_view(ANN)["counts"] == [1, 0, 0], "what is told with the answer is final"
        with pytest.raises(Over):
            await room.vote(BOB, {"question": "one", "choices": [0]})
        return await before

    assert asyncio.run(scenario()) == 1
    assert room.attendee_view(ANN)["counts"] == [1, 0, 0]
    assert again(room, questions).attendee_view(ANN)["counts"] == [1, 0, 0]


def test_votes_that_cannot_be_written_are_not_counted_and_their_voters_are_told(room):
    def full(votes):
        raise sqlite3.OperationalError("database or disk is full")

    record, room._store.record = room._store.record, full

    async def two():
        votes = (room.vote(voter, {"question": "one", "choices": [0]}) for voter in (ANN, BOB))
        return await asyncio.gather(*votes, return_exceptions=True)

    assert [str(problem) for problem in asyncio.run(two())] == ["database or disk is full"] * 2
    assert room.instructor_view()["voters"] == 0 and room.attendee_view(ANN)["yours"] == []
    room._store.record = record
    assert vote(room, ANN, "one", 0) == 1


def test_the_same_question_phase_and_votes_are_there_after_another_start(room, questions):
    vote(room, ANN, "one", 0)
    room.set_phase({"question": "one", "phase": "revealed"})
    room.show({"question": "several"})
    vote(room, ANN, "several", 0, 2)
    vote(room, BOB, "several", 1)
    room.set_phase({"question": "several", "phase": "closed"})
    views = [room.attendee_view(ANN), room.attendee_view(BOB), {**room.instructor_view(), "written": None}]
    back = again(room, questions)
    assert [back.attendee_view(ANN), back.attendee_view(BOB), {**back.instructor_view(), "written": None}] == views
    assert back.voters() == {ANN, BOB}
    back.show({"question": "one"})
    assert back.attendee_view(ANN)["phase"] == "revealed" and back.attendee_view(ANN)["yours"] == [0]


def test_votes_for_what_a_changed_quiz_no_longer_offers_stop_the_start_with_a_sentence(room, questions):
    vote(room, ANN, "one", 2)
    changed = questions.questions[1:]
    with pytest.raises(ValueError, match=r"holds votes on 'one' for 'third', which the quiz no longer offers; begin with --new"):
        again(room, replace(questions, questions=changed))


def test_who_waits_for_a_change_learns_of_votes_and_moves_apart(room):
    async def scenario():
        moved, counted = room.moved.version, room.counted.version
        waiting = asyncio.create_task(room.counted.changed(counted, 10))
        await room.vote(ANN, {"question": "one", "choices": [0]})
        assert await waiting and not await room.moved.changed(moved, 0.01)
        room.show({"question": "several"})
        assert await room.moved.changed(moved, 0.01)
        assert not await room.moved.changed(room.moved.version, 0.01)

    asyncio.run(scenario())


def test_the_table_of_votes_has_a_line_for_each_choice_and_numbers_for_voters(room):
    vote(room, BOB, "one", 1)
    vote(room, ANN, "one", 0)
    vote(room, BOB, "one", 0)
    room.show({"question": "several"})
    vote(room, ANN, "several", 0, 1)
    text = room.csv()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["question"], row["voter"], row["choice"], row["right"]) for row in rows] == [
        ("one", "1", "first & <b>foremost</b>", "false"),
        ("one", "2", "first & <b>foremost</b>", "false"),
        ("several", "2", "2", "true"),
        ("several", "2", "3", "false"),
    ]
    assert {(row["quiz"], row["set"]) for row in rows} == {("q", "mixed")} and all(row["at"].endswith("+00:00") for row in rows)
    assert ANN not in text and BOB not in text, "with an id one could vote in its owner's place"
