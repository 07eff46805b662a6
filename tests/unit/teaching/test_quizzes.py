"""Quizzes: every file is valid and explains every choice; broken data is refused by name; a set reads without script or style."""

import copy
import html
import json
import re
from html.parser import HTMLParser

import pytest

from src.teaching import quizzes
from src.teaching.quizzes import QUIZZES, load_quiz, parse_quiz, quiz_html, quiz_text, show_quiz

NAMES = sorted(file.stem for file in QUIZZES.glob("*.json"))
SETS = [(name, key) for name in NAMES for key in load_quiz(name)]

DATA = {
    "sets": [
        {
            "id": "one",
            "title": "T",
            "questions": [
                {
                    "id": "a",
                    "kind": "single",
                    "question": "Q?",
                    "choices": [
                        {"text": str(i), "right": i == 2, "why": f"because {i}"} for i in range(5)
                    ],
                },
                {
                    "id": "b",
                    "kind": "numeric",
                    "question": "N?",
                    "answer": 4,
                    "tolerance": 0.1,
                    "why": "so",
                    "wrong": [{"value": 3, "why": "no"}],
                },
            ],
        }
    ]
}


def test_there_is_a_quiz_for_notebook_06_with_at_least_six_questions():
    assert sum(len(found.questions) for found in load_quiz("06_bert_squad").values()) >= 6


@pytest.mark.parametrize(("name", "key"), SETS)
def test_every_explanation_of_every_set_teaches(name, key):
    for question in load_quiz(name)[key].questions:
        explanations = [choice.why for choice in question.choices] + (
            [question.why] if question.kind == "numeric" else []
        )
        assert all(len(why.split()) >= 5 for why in explanations), (
            f"{question.id}: an explanation of a word or two explains nothing"
        )
        assert len(set(explanations)) == len(explanations), (
            f"{question.id}: every choice needs an explanation of its own"
        )
        assert all(why.endswith((".", "?", "!", ".)")) for why in explanations), question.id


@pytest.mark.parametrize("name", NAMES)
def test_the_right_choice_is_not_always_in_the_same_place_or_the_longest(name):
    singles = [
        question
        for found in load_quiz(name).values()
        for question in found.questions
        if question.kind == "single"
    ]
    places = [[choice.right for choice in question.choices].index(True) for question in singles]
    assert len(singles) < 3 or len(set(places)) > 1
    longest = sum(
        max(question.choices, key=lambda choice: len(choice.text)).right for question in singles
    )
    assert len(singles) < 4 or longest < len(singles), "a reader could pass by choosing the longest"


def test_the_shuffle_is_the_same_every_time_and_differs_between_questions():
    order = [choice.text for choice in parse_quiz(DATA, "q")["one"].questions[0].choices]
    assert order == [
        choice.text for choice in parse_quiz(copy.deepcopy(DATA), "q")["one"].questions[0].choices
    ]
    assert sorted(order) == ["0", "1", "2", "3", "4"]
    orders = set()
    for i in range(20):
        data = copy.deepcopy(DATA)
        data["sets"][0]["questions"][0]["id"] = f"a{i}"
        orders.add(
            tuple(choice.text for choice in parse_quiz(data, "q")["one"].questions[0].choices)
        )
    assert len(orders) > 10
    data["sets"][0]["questions"][0]["keep_order"] = True
    assert [choice.text for choice in parse_quiz(data, "q")["one"].questions[0].choices] == [
        "0",
        "1",
        "2",
        "3",
        "4",
    ]


def change(path, value):
    """DATA with the entry at `path` replaced, or removed where value is None."""
    data = copy.deepcopy(DATA)
    *way, last = path
    spot = data
    for step in way:
        spot = spot[step]
    if value is None:
        del spot[last]
    else:
        spot[last] = value
    return data


FIRST = ("sets", 0, "questions", 0)
SECOND = ("sets", 0, "questions", 1)


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("sets",), [], "at least 1"),
        (("sets",), None, "sets missing"),
        (("more",), 1, "unknown key more"),
        (("sets", 0, "id"), "Big One", "small letters"),
        (("sets", 0, "title"), " ", "title"),
        (("sets", 0, "questions"), [], "at least 1"),
        ((*FIRST, "kind"), "essay", "kind"),
        ((*FIRST, "question"), None, "question missing"),
        ((*FIRST, "choices"), [], "at least 2"),
        ((*FIRST, "choices", 0, "why"), "", "why"),
        ((*FIRST, "choices", 0, "why"), None, "why missing"),
        ((*FIRST, "choices", 0, "right"), True, "exactly one right"),
        ((*FIRST, "choices", 2, "right"), False, "exactly one right"),
        ((*FIRST, "choices", 2, "right"), "yes", "true or false"),
        ((*FIRST, "choices", 0, "text"), "1", "differ"),
        ((*FIRST, "kind"), "numeric", "answer"),
        ((*SECOND, "answer"), "4", "number"),
        ((*SECOND, "answer"), True, "number"),
        ((*SECOND, "wrong", 0, "value"), 4.05, "count as right"),
        ((*SECOND, "wrong"), [{"value": 3, "why": "x"}, {"value": 3, "why": "y"}], "the same"),
        ((*SECOND, "id"), "a", "another question"),
    ],
)
def test_broken_data_is_refused_with_the_place_and_the_reason(path, value, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        parse_quiz(change(path, value), "q")
    assert str(error.value).startswith("quiz q")


def test_a_multiple_question_needs_right_and_wrong_choices():
    for right in (True, False):
        data = change((*FIRST, "kind"), "multiple")
        for choice in data["sets"][0]["questions"][0]["choices"]:
            choice["right"] = right
        with pytest.raises(ValueError, match="at least one right and one wrong"):
            parse_quiz(data, "q")


def test_unknown_names_are_answered_with_the_known_ones(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="06_bert_squad"):
        show_quiz("06_bert", "windows")
    with pytest.raises(ValueError, match="windows"):
        show_quiz("06_bert_squad", "window")
    monkeypatch.setattr(quizzes, "QUIZZES", tmp_path)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"broken\.json is not valid JSON"):
        load_quiz("broken")


class Tags(HTMLParser):
    """Checks that tags close in order, and gathers what stands outside of <details>, <style> and <script>."""

    def __init__(self):
        super().__init__()
        self.open, self.unfolded, self.addresses = [], "", []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open) and (
            "details" not in self.open or "summary" in self.open
        ):
            self.unfolded += data


@pytest.mark.parametrize(("name", "key"), SETS)
def test_a_set_folds_its_answers_without_script_asks_nothing_of_other_hosts_and_is_small(name, key):
    found = load_quiz(name)[key]
    markup = quiz_html(found)
    page = Tags()
    page.feed(markup)
    assert not page.open and not page.addresses and "http" not in markup
    text = html.unescape(markup)
    for question in found.questions:
        for choice in question.choices:
            plain = re.sub(r"[`*]", "", choice.why)
            assert plain in re.sub(r"</?(code|em|strong)>", "", text)
            assert plain not in page.unfolded, "an explanation shows before the reader has chosen"
            if question.kind != "numeric":
                assert re.sub(r"[`*]", "", choice.text) in page.unfolded
    assert len(json.dumps(markup)) + len(json.dumps(quiz_text(found))) < 10_000


def test_the_plain_text_asks_without_giving_the_answers_away():
    found = parse_quiz(DATA, "q")["one"]
    text = quiz_text(found)
    assert "Q?" in text and "a) " in text and "because" not in text and "so" not in text.split()


def test_what_looks_like_html_in_a_question_is_shown_as_it_is_written():
    data = change((*FIRST, "question"), "What does `<b>` & $x_1$ do, **really**?")
    markup = quiz_html(parse_quiz(data, "q")["one"])
    assert "<code>&lt;b&gt;</code> &amp; $x_1$ do, <strong>really</strong>?" in markup


def test_outside_a_notebook_a_quiz_is_printed(capsys):
    show_quiz("06_bert_squad", "windows")
    assert "Quiz: windows over a long passage" in capsys.readouterr().out
