"""Boxes for a learner's own texts: a new text is shown, a bad one says why, a page keeps words."""

import pytest

from src.teaching import text_boxes
from src.teaching.boxes import NOTE, controls

PASSAGE = "Lunch is at noon, in the garden if the sun shines; bring a pencil, too."


def answered(question, passage):
    if not question.strip():
        raise ValueError("There is no question; write one.")
    return f"{question} {passage}"


@pytest.fixture
def shown(monkeypatch):
    pieces = []
    monkeypatch.setattr("src.teaching.boxes.display", lambda it, raw=False: pieces.append(it))
    return pieces


def test_a_stored_notebook_keeps_the_first_result_and_a_sentence(shown):
    text_boxes(answered, question="When?", passage="At noon.")
    result, boxes = shown
    assert result == "When? At noon."
    assert boxes["text/plain"] == NOTE
    assert "application/vnd.jupyter.widget-view+json" in boxes


def test_without_ipywidgets_there_is_the_first_result(shown, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    text_boxes(answered, question="When?", passage="At noon.")
    assert shown == ["When? At noon."]


def test_enter_in_a_line_and_the_button_compute_with_what_stands_in_all_boxes_once():
    asked = []

    def ask(question, passage):
        asked.append((question, passage))
        return "found"

    question, passage, button, result = controls(ask, question="When?", passage=PASSAGE).children
    assert (question.description, passage.description) == ("question", "passage")
    question.value = "Where?"
    button.click()  # nothing has changed since
    passage.value = "In the garden."
    assert asked == [("Where?", PASSAGE)]  # lines are still being written
    button.click()
    assert asked[1:] == [("Where?", "In the garden.")]
    assert [one["data"]["text/plain"] for one in result.outputs] == ["'found'"]


def test_a_text_that_cannot_be_used_is_answered_with_its_sentence_and_the_next_one_works():
    question, _, button, result = controls(answered, question="When?", passage="Noon.").children
    question.value = " "
    assert "There is no question; write one." in str(result.outputs)
    assert not button.disabled
    question.value = "<b>When</b>?"
    assert [one["data"]["text/plain"] for one in result.outputs] == ["'<b>When</b>? Noon.'"]
