"""The rules of a poll: what is shown and told when, which votes count, and what comes back."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import io
import json
import re
import sqlite3
from datetime import timedelta

import pytest

from src.apps.poll.room import Room, as_choices
from src.apps.poll.store import Store
from src.apps.web.server import Problem
from src.teaching.quizzes import QUIZZES, load_quiz
from tests.unit.apps.stand_ins import HOSTILE

ANN, BOB = "a" * 22, "b" * 22


def ballot(question, *choices):
    return {"question": question, "choices": list(choices)}


def vote(room, voter, question, *choices):
    return asyncio.run(room.vote(voter, ballot(question, *choices)))


def show(room, question):
    room.show({"question": question})


def set_phase(room, question, phase):
    room.set_phase({"question": question, "phase": phase})


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
    assert room.voter_view(ANN)["yours"] == [1] and room.voter_view("c" * 22)["yours"] == []


def test_several_choices_count_once_each_whatever_their_order(room):
    show(room, "several")
    vote(room, ANN, "several", 2, 0)
    vote(room, BOB, "several", 2)
    view = room.instructor_view()
    assert (view["counts"], view["voters"]) == ([1, 0, 2], 2)
    assert room.voter_view(ANN)["yours"] == [0, 2]


def test_a_numeric_question_is_voted_on_among_its_answer_and_the_typical_slips(questions):
    question = as_choices(questions.questions[2])
    shown = [(choice.text, choice.right) for choice in question.choices]
    assert shown == [("7 things", False), ("12 things", True), ("100 things", False)]
    assert question.kind == "single" and question.choices[1].why == "Twelve: secret-g."


@pytest.mark.parametrize("name", sorted(file.stem for file in QUIZZES.glob("*.json")))
def test_every_question_of_the_course_can_be_polled(name, tmp_path):
    for key, found in load_quiz(name).items():
        room = Room(found, Store(tmp_path / f"{key}.sqlite", key))
        for question in found.questions:
            show(room, question.id)
            offered = room.questions[question.id].choices
            right = [i for i, choice in enumerate(offered) if choice.right]
            assert len({choice.text for choice in offered}) == len(offered) >= 2
            assert vote(room, ANN, question.id, *right)
            set_phase(room, question.id, "revealed")
            view = json.loads(json.dumps(room.voter_view(ANN)))
            told = [i for i, answer in enumerate(view["answers"]) if answer["right"]]
            assert told == view["yours"] == right


def test_nothing_tells_the_answer_or_the_counts_before_it_is_revealed(room, questions):
    vote(room, ANN, "one", 1)
    for question in questions.questions:
        show(room, question.id)
        for phase in ("open", "closed"):
            set_phase(room, question.id, phase)
            view = room.voter_view(ANN)
            assert view["answers"] is None and "counts" not in view and "voters" not in view
            told = json.dumps([view, room.instructor_view()])
            assert "secret" not in told and "Right." not in told
    show(room, "one")
    set_phase(room, "one", "revealed")
    view = json.loads(json.dumps(room.voter_view(ANN)))
    assert [answer["right"] for answer in view["answers"]] == [False, True, False]
    assert view["counts"] == [0, 1, 0] and view["voters"] == 1
    assert [answer["verdict"] for answer in view["answers"]] == [
        *("Not this one.", "Right.", "Not this one.")
    ]
    assert view["answers"][1]["why"] == [["", "Right because of "], ["em", "secret-b"], ["", "."]]
    assert "secret-d" not in json.dumps(view), "of the other questions nothing"


def test_votes_are_taken_only_while_voting_is_open_which_ends_for_good_with_the_answer(room):
    vote(room, ANN, "one", 0)
    for phase in ("closed", "open", "closed", "revealed", "revealed"):
        set_phase(room, "one", phase)
        assert room.instructor_view()["phase"] == phase
        if phase != "open":
            with pytest.raises(Problem, match=r"Voting on this question is over\."):
                vote(room, ANN, "one", 1)
    assert room.instructor_view()["counts"] == [1, 0, 0] and len(room._store.votes()) == 1
    for phase in ("open", "closed"):
        with pytest.raises(Problem, match="for good"):
            set_phase(room, "one", phase)


def test_next_and_previous_lead_through_the_questions_and_only_the_one_shown_takes_votes(room):
    way, following = [], "one"
    while following:
        show(room, following)
        view = room.instructor_view()
        way.append((view["previous"], view["id"], view["next"], view["number"], view["of"]))
        following = view["next"]
    assert way == [
        (None, "one", "several", 1, 3),
        ("one", "several", "number", 2, 3),
        ("several", "number", None, 3, 3),
    ]
    with pytest.raises(Problem, match="over"):
        vote(room, ANN, "one", 0)
    with pytest.raises(Problem, match="Another question"):
        set_phase(room, "one", "revealed")
    show(room, "one")
    assert vote(room, ANN, "one", 0) == 1


MALFORMED = [None, "text", [], {}, {"question": "none"}, {"question": ["one"]}, {"question": None}]
CHOICES = [[3], [-1], [True], [1.0], ["1"], [None], [[0]], [10**400], [0, 1], {"0": 1}, "0", None]


@pytest.mark.parametrize("asked", MALFORMED)
def test_what_no_page_sends_is_refused(room, asked):
    for act in (room.show, room.set_phase, lambda asked: asyncio.run(room.vote(ANN, asked))):
        with pytest.raises(Problem, match=r"not what this page sends; reload the page and try"):
            act(asked)
    assert room.shown == "one" and room.phase("one") == "open" and room._store.votes() == []


def test_what_is_no_choice_or_no_phase_is_refused_and_none_is_explained(room):
    for choices in CHOICES:
        with pytest.raises(Problem, match="not what this page sends"):
            asyncio.run(room.vote(ANN, {"question": "one", "choices": choices}))
    with pytest.raises(Problem, match=r"Choose something first\."):
        vote(room, ANN, "one")
    show(room, "several")
    with pytest.raises(Problem, match="not what this page sends"):
        vote(room, ANN, "several", 0, 0)
    for asked in ({"question": "several"}, {"question": "several", "phase": "over"}):
        with pytest.raises(Problem, match="not what this page sends"):
            room.set_phase(asked)
    assert room._store.votes() == [] and room.instructor_view()["phase"] == "open"


def test_votes_that_arrive_together_are_written_together_and_all_are_told(room, monkeypatch):
    calls, record = [], room._store.record

    def noted(votes):
        calls.append(list(votes))
        record(calls[-1])

    monkeypatch.setattr(room._store, "record", noted)

    async def everybody():
        votes = (room.vote(f"{i:022}", ballot("one", i % 3)) for i in range(200))
        return await asyncio.gather(*votes)

    assert sorted(asyncio.run(everybody())) == list(range(1, 201))
    assert [len(votes) for votes in calls] == [200]
    assert room.instructor_view()["counts"] == [67, 67, 66] and len(room._store.votes()) == 200


@pytest.mark.parametrize("move", ["reveal", "next"])
def test_a_vote_in_hand_when_the_instructor_goes_on_is_in_and_one_after_it_not(
    room, questions, move
):
    async def scenario():
        before = asyncio.create_task(room.vote(ANN, ballot("one", 0)))
        await asyncio.sleep(0)  # it waits to be written
        if move == "reveal":
            set_phase(room, "one", "revealed")
            told = room.voter_view(ANN)["counts"]
            assert told == [1, 0, 0], "what is told with the answer is final"
        else:
            show(room, "several")
            assert room.instructor_view()["written"] == 1
        with pytest.raises(Problem):
            await room.vote(BOB, ballot("one", 0))
        return await before

    assert asyncio.run(scenario()) == 1
    back = again(room, questions)
    show(back, "one")
    assert back.instructor_view()["counts"] == [1, 0, 0]


def test_votes_that_cannot_be_written_are_not_counted_and_their_voters_are_told(room, monkeypatch):
    def full(votes):
        raise sqlite3.OperationalError("database or disk is full")

    async def two():
        votes = (room.vote(voter, ballot("one", 0)) for voter in (ANN, BOB))
        return await asyncio.gather(*votes, return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(room._store, "record", full)
        assert list(map(str, asyncio.run(two()))) == ["database or disk is full"] * 2
    assert room.instructor_view()["voters"] == 0 and room.voter_view(ANN)["yours"] == []
    assert vote(room, ANN, "one", 0) == 1


def test_the_same_question_phase_and_votes_are_there_after_another_start(room, questions):
    vote(room, ANN, "one", 0)
    set_phase(room, "one", "revealed")
    show(room, "several")
    vote(room, ANN, "several", 0, 2)
    vote(room, BOB, "several", 1)
    set_phase(room, "several", "closed")
    views = [room.voter_view(ANN), room.voter_view(BOB), room.instructor_view()]
    back = again(room, questions)
    assert [back.voter_view(ANN), back.voter_view(BOB), back.instructor_view()] == views
    assert back.voters() == {ANN, BOB}
    show(back, "one")
    assert back.voter_view(ANN)["phase"] == "revealed" and back.voter_view(ANN)["yours"] == [0]


def test_votes_for_what_a_changed_quiz_no_longer_offers_stop_the_start(room, questions):
    vote(room, ANN, "one", 2)
    changed = dataclasses.replace(questions, questions=questions.questions[1:])
    with pytest.raises(
        ValueError, match=r"votes on 'one' for 'the third', which the quiz no longer"
    ):
        again(room, changed)


def test_who_waits_for_a_change_learns_of_votes_and_moves_apart(room):
    async def woken(act):
        waiting = [
            asyncio.ensure_future(condition.wait(timedelta(seconds=0.2)))
            for condition in (room.counted, room.moved)
        ]
        await act
        return await asyncio.gather(*waiting)

    async def move():
        show(room, "several")

    assert asyncio.run(woken(room.vote(ANN, ballot("one", 0)))) == [True, False]
    assert asyncio.run(woken(move())) == [True, True]


def test_the_table_of_votes_has_a_line_for_each_choice_and_numbers_for_voters(room):
    vote(room, BOB, "one", 1)
    vote(room, ANN, "one", 0)
    vote(room, BOB, "one", 0)
    show(room, "several")
    vote(room, ANN, "several", 0, 1)
    text = room.csv()
    rows = list(csv.DictReader(io.StringIO(text)))
    told = [(row["question"], row["voter"], row["choice"], row["right"]) for row in rows]
    assert told == [
        ("one", "1", f"the first {HOSTILE}", "false"),
        ("one", "2", f"the first {HOSTILE}", "false"),
        ("several", "2", "2", "true"),
        ("several", "2", "3", "false"),
    ]
    assert {(row["quiz"], row["set"]) for row in rows} == {("q", "mixed")}
    assert all(re.fullmatch(r"[\d-]{10}T[\d:]{8}\.\d{3}\+00:00", row["at"]) for row in rows)
    assert rows[2]["text"] == "Which are even?" and room.name == "q-mixed"
    assert ANN not in text and BOB not in text, "with an id one could vote in its owner's place"
