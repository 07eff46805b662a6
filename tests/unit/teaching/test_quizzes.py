"""Quizzes: every file is valid and explains every choice; a set reads without script or style."""

import html
import json
import re
from html.parser import HTMLParser

import pytest

from src.teaching import quizzes
from src.teaching.quiz_panel import quiz_html, quiz_text, show_quiz
from src.teaching.quizzes import QUIZZES, load_quiz, parse_quiz

NAMES = sorted(file.stem for file in QUIZZES.glob("*.json"))
SETS = [(name, key) for name in NAMES for key in load_quiz(name)]


def quiz(*questions, **changes):
    """The content of a file with one set."""
    return {"sets": [{"id": "one", "title": "T", "questions": list(questions)} | changes]}


def choices(*right, **changes):
    """Five choices; `right` are the numbers of the right ones."""
    return [
        {"text": str(i), "right": i in right, "why": f"because {i}"} | changes for i in range(5)
    ]


SINGLE = {"id": "a", "kind": "single", "text": "Q?", "choices": choices(2)}
NUMERIC = {
    "id": "b",
    "kind": "numeric",
    "text": "N?",
    "answer": 4,
    "tolerance": 0.1,
    "why": "so",
    "choices": choices()[:4],
}
DATA = quiz(SINGLE, NUMERIC)


@pytest.mark.parametrize(("name", "key"), SETS)
def test_every_explanation_of_every_set_teaches(name, key):
    for question in load_quiz(name)[key].questions:
        why = [choice.why for choice in question.choices]
        why += [question.why] if question.kind == "numeric" else []
        assert all(len(text.split()) >= 5 for text in why), f"{question.id}: explain more"
        assert len(set(why)) == len(why), f"{question.id}: every choice needs its own"
        assert all(text.endswith((".", "?", "!", ".)")) for text in why), question.id


@pytest.mark.parametrize("name", NAMES)
def test_the_right_choice_is_not_always_in_the_same_place_or_the_longest(name):
    questions = [question for found in load_quiz(name).values() for question in found.questions]
    singles = [question.choices for question in questions if question.kind == "single"]
    places = {[choice.right for choice in choices].index(True) for choices in singles}
    assert len(singles) < 3 or len(places) > 1
    longest = sum(max(choices, key=lambda c: len(c.text)).right for choices in singles)
    assert len(singles) < 4 or longest < len(singles), "choosing the longest would pass"


def order(question):
    """The texts of its choices, in the order they are shown in."""
    return [choice.text for choice in parse_quiz(quiz(question), "q")["one"].questions[0].choices]


def test_the_shuffle_is_the_same_every_time_and_differs_between_questions():
    assert order(SINGLE) == order(SINGLE)
    assert sorted(order(SINGLE)) == ["0", "1", "2", "3", "4"]
    assert len({tuple(order(SINGLE | {"id": f"a{i}"})) for i in range(20)}) > 10
    assert order(SINGLE | {"keep_order": True}) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"sets": []}, "sets: .* at least 1"),
        (DATA | {"more": 1}, "more: unexpected"),
        (quiz(SINGLE, id="Big One"), "sets, number 1, id: .*; got 'Big One'"),
        (quiz(SINGLE | {"kind": "essay"}), "kind: .*'single', 'multiple', 'numeric' or 'open'"),
        (quiz(SINGLE | {"choices": [{"text": "1", "right": True}]}), "why: field required"),
        (quiz(SINGLE | {"choices": choices(2, right="yes")}), "right: .* boolean; got 'yes'"),
        (quiz(SINGLE | {"choices": choices(1, 2)}), "exactly one right choice, not 2"),
        (quiz(SINGLE | {"choices": choices()}), "exactly one right choice, not 0"),
        (quiz(SINGLE | {"choices": choices(2, text="1")}), "two choices are the same"),
        (quiz(SINGLE | {"kind": "numeric"}), "has an answer"),
        (quiz(SINGLE | {"kind": "open"}), "an open one has none"),
        (quiz(SINGLE | {"passage": "p", "accepted": ["a"]}), "only an open question"),
        (quiz(SINGLE | {"kind": "open", "choices": [], "passage": "p"}), "accepted answers"),
        (quiz(SINGLE | {"kind": "multiple", "choices": choices()}), "at least one right and one"),
        (quiz(SINGLE | {"kind": "multiple", "choices": choices(*range(5))}), "one wrong"),
        (quiz(NUMERIC | {"answer": "4"}), "answer: .* number; got '4'"),
        (quiz(NUMERIC | {"answer": 3}), "3 would count as right"),
        (quiz(SINGLE, NUMERIC | {"id": "a"}), "the id a is used twice"),
    ],
)
def test_broken_data_is_refused_with_the_place_and_the_reason(data, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        parse_quiz(data, "q")
    assert str(error.value).startswith("quiz q") and "\n" not in str(error.value)


def test_unknown_names_are_answered_with_the_known_ones(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="08_bert_squad"):
        show_quiz("08_bert", "windows")
    with pytest.raises(ValueError, match="windows"):
        show_quiz("08_bert_squad", "window")
    monkeypatch.setattr(quizzes, "QUIZZES", tmp_path)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"broken\.json is not valid JSON"):
        load_quiz("broken")


class Tags(HTMLParser):
    """Checks that tags close in order, and gathers the text that shows before anything unfolds."""

    def __init__(self):
        super().__init__()
        self.open, self.unfolded, self.addresses = [], "", []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        hidden = {"style", "script"} & set(self.open)
        if not hidden and ("details" not in self.open or "summary" in self.open):
            self.unfolded += data


def unmarked(text):
    """`text` without marks of Markdown or HTML."""
    return re.sub(r"[`*]|</?(code|em|strong)>", "", text)


@pytest.mark.parametrize(("name", "key"), SETS)
def test_a_set_folds_its_answers_without_script_asks_nothing_of_other_hosts_and_is_small(name, key):
    found = load_quiz(name)[key]
    markup = quiz_html(found)
    page = Tags()
    page.feed(markup)
    assert not page.open and not page.addresses and "http" not in markup
    text = unmarked(html.unescape(markup))
    for question in found.questions:
        for choice in question.choices:
            why = unmarked(choice.why)
            assert why in text and why not in page.unfolded, "it must show only once chosen"
            assert question.kind == "numeric" or unmarked(choice.text) in page.unfolded
    assert len(json.dumps(markup)) + len(json.dumps(quiz_text(found))) < 10_000


def test_the_plain_text_asks_without_giving_the_answers_away():
    text = quiz_text(parse_quiz(DATA, "q")["one"])
    assert "Q?" in text and "a) " in text and "because" not in text and "so" not in text.split()


def test_what_looks_like_html_in_a_question_is_shown_as_it_is_written():
    data = quiz(SINGLE | {"text": "What does `<b>` & $x_1$ do, **really**?"})
    markup = quiz_html(parse_quiz(data, "q")["one"])
    assert "<code>&lt;b&gt;</code> &amp; $x_1$ do, <strong>really</strong>?" in markup
