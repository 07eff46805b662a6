"""Quizzes: questions kept as data in data/quizzes, shown so that a click on a choice says whether it is right, and why.

Every choice is a <details> element whose summary is the choice and whose content is the verdict and the explanation. That
needs no script and no style sheet, so a question reads and folds the same in Jupyter, Colab, a static page and on GitHub.
Where scripts run, 1.5 KB of them add what needs one: picking several choices before checking, and typing a number.
"""

from __future__ import annotations

import functools
import html
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from src.teaching.panel import UNBOXED, Panel, inline_html, inline_text

QUIZZES = Path(__file__).resolve().parents[2] / "data" / "quizzes"
Kind = Literal["single", "multiple", "numeric"]
LETTERS = "abcdefghij"


@dataclass(frozen=True)
class Choice:
    """One thing to choose, and why it is right or wrong; of a numeric question, a number that a typical slip leads to."""

    text: str
    right: bool
    why: str


@dataclass(frozen=True)
class Question:
    """One question. `choices` come in the order they are shown in; a numeric question lists typical wrong numbers there."""

    id: str
    kind: Kind
    text: str
    choices: tuple[Choice, ...]
    answer: float | None = None  # numeric questions only, and so are the next three
    tolerance: float = 0.0
    unit: str = ""
    why: str = ""


@dataclass(frozen=True)
class QuestionSet:
    """The questions that one quiz cell shows."""

    quiz: str
    id: str
    title: str
    questions: tuple[Question, ...]


def show_quiz(quiz: str, questions: str) -> None:
    """Show one set of questions: click on a choice to see whether it is right and why.

    quiz: name of a file in data/quizzes, "06_bert_squad".   questions: the id of a set in it, "windows".
    Raises ValueError naming the quizzes or sets there are, where this one is not among them.
    """
    shown = load_set(quiz, questions)
    Panel(quiz_html(shown), quiz_text(shown)).show()


def load_set(quiz: str, questions: str) -> QuestionSet:
    """One set of a quiz. Raises ValueError naming the quizzes or sets there are, where this one is not among them."""
    sets = load_quiz(quiz)
    if questions not in sets:
        raise ValueError(f"quiz {quiz!r} has no set {questions!r}; it has {', '.join(sets)}.")
    return sets[questions]


@functools.cache
def load_quiz(name: str) -> dict[str, QuestionSet]:
    """All sets of data/quizzes/`name`.json by id, checked. Raises ValueError that says what is wrong and in which question."""
    path = QUIZZES / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in QUIZZES.glob("*.json"))) or "none"
        raise ValueError(f"there is no quiz {name!r} in data/quizzes; there are: {known}.")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"data/quizzes/{path.name} is not valid JSON: {error}.") from error
    return parse_quiz(data, name)


# --- the data and its checks ---------------------------------------------------------------------------------------------

_SET_KEYS = ({"id", "title", "questions"}, set())
_CHOICE_KEYS = ({"text", "right", "why"}, set())
_WRONG_KEYS = ({"value", "why"}, set())
_QUESTION_KEYS = {  # kind -> keys that must be there, keys that may
    "single": ({"id", "kind", "question", "choices"}, {"keep_order"}),
    "multiple": ({"id", "kind", "question", "choices"}, {"keep_order"}),
    "numeric": ({"id", "kind", "question", "answer", "why", "wrong"}, {"tolerance", "unit"}),
}


def parse_quiz(data: object, name: str) -> dict[str, QuestionSet]:
    """The sets of a quiz file's content. Raises ValueError at the first thing that breaks the format, naming the place.

    data: {"sets": [{"id", "title", "questions": [...]}]}. A question is
      {"id", "kind": "single" | "multiple", "question", "choices": [{"text", "right", "why"}], "keep_order"?: true} or
      {"id", "kind": "numeric", "question", "answer", "why", "wrong": [{"value", "why"}], "tolerance"?, "unit"?}.
    Choices are shuffled by a seed made of the quiz's and the question's names, so they stay put from run to run;
    "keep_order" leaves them as written, for choices that have an order of their own.
    """
    place = f"quiz {name}"
    sets: dict[str, QuestionSet] = {}
    ids: set[str] = set()
    _keys(data, ({"sets"}, set()), place)
    for raw in _rows(data, "sets", 1, place):  # type: ignore[arg-type]
        _keys(raw, _SET_KEYS, f"{place}, a set")
        where = f"{place}, set {_identifier(raw, place)!r}"
        if raw["id"] in sets:
            raise ValueError(f"{where}: another set has this id.")
        questions = tuple(_question(question, name, where) for question in _rows(raw, "questions", 1, where))
        for question in questions:
            if question.id in ids:
                raise ValueError(f"{where}, question {question.id!r}: another question has this id.")
            ids.add(question.id)
        sets[raw["id"]] = QuestionSet(name, raw["id"], _words(raw, "title", where), questions)
    return sets


def _question(raw: Any, quiz: str, place: str) -> Question:
    if not isinstance(raw, dict) or raw.get("kind") not in _QUESTION_KEYS:
        raise ValueError(f"{place}: every question is an object with a kind, one of {', '.join(_QUESTION_KEYS)}; got {str(raw)[:60]}.")
    kind: Kind = raw["kind"]
    where = f"{place}, question {_identifier(raw, place)!r}"
    _keys(raw, _QUESTION_KEYS[kind], where)
    text = _words(raw, "question", where)
    if kind == "numeric":
        answer, tolerance = _number(raw, "answer", where), _number(raw, "tolerance", where) if "tolerance" in raw else 0.0
        wrong = []
        for item in _rows(raw, "wrong", 1, where):
            _keys(item, _WRONG_KEYS, f"{where}, a wrong number")
            value = _number(item, "value", where)
            if abs(value - answer) <= tolerance:
                raise ValueError(f"{where}: the wrong number {value:g} would count as right.")
            wrong.append(Choice(f"{value:g}", False, _words(item, "why", where)))
        if len({choice.text for choice in wrong}) < len(wrong):
            raise ValueError(f"{where}: two wrong numbers are the same.")
        return Question(raw["id"], kind, text, tuple(wrong), answer, tolerance, raw.get("unit", ""), _words(raw, "why", where))
    choices = []
    for item in _rows(raw, "choices", 2, where):
        _keys(item, _CHOICE_KEYS, f"{where}, a choice")
        if not isinstance(item["right"], bool):
            raise ValueError(f"{where}: 'right' must be true or false; got {item['right']!r}.")
        choices.append(Choice(_words(item, "text", where), item["right"], _words(item, "why", where)))
    right = sum(choice.right for choice in choices)
    if (kind == "single" and right != 1) or (kind == "multiple" and not 1 <= right < len(choices)):
        wanted = "exactly one right choice" if kind == "single" else "at least one right and one wrong choice"
        raise ValueError(f"{where}: a {kind} question has {wanted}; this one has {right} of {len(choices)}.")
    if len({choice.text for choice in choices}) < len(choices) or len(choices) > len(LETTERS):
        raise ValueError(f"{where}: choices must differ, and be {len(LETTERS)} at most.")
    if not raw.get("keep_order", False):
        random.Random(f"{quiz}/{raw['id']}").shuffle(choices)  # a text as seed gives the same order on every Python
    return Question(raw["id"], kind, text, tuple(choices))


def _keys(raw: Any, allowed: tuple[set[str], set[str]], place: str) -> None:
    needed, optional = allowed
    if not isinstance(raw, dict):
        raise ValueError(f"{place}: expected an object with {', '.join(sorted(needed))}; got {str(raw)[:60]}.")
    if missing := needed - raw.keys():
        raise ValueError(f"{place}: {', '.join(sorted(missing))} missing.")
    if unknown := raw.keys() - needed - optional:
        raise ValueError(f"{place}: unknown key {', '.join(sorted(unknown))}.")


def _rows(raw: Mapping[str, Any], key: str, least: int, place: str) -> list[Any]:
    if not isinstance(raw[key], list) or len(raw[key]) < least:
        raise ValueError(f"{place}: {key!r} must be a list of at least {least}.")
    return raw[key]


def _words(raw: Mapping[str, Any], key: str, place: str) -> str:
    if not isinstance(raw[key], str) or not raw[key].strip():
        raise ValueError(f"{place}: {key!r} must be a text with something in it; got {raw[key]!r}.")
    return raw[key].strip()


def _number(raw: Mapping[str, Any], key: str, place: str) -> float:
    if isinstance(raw[key], bool) or not isinstance(raw[key], int | float):
        raise ValueError(f"{place}: {key!r} must be a number; got {raw[key]!r}.")
    return float(raw[key])


def _identifier(raw: Mapping[str, Any], place: str) -> str:
    if not isinstance(raw.get("id"), str) or not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", raw["id"]):
        raise ValueError(f"{place}: an id is made of small letters, digits and single underscores; got {raw.get('id')!r}.")
    return raw["id"]


# --- on the page ---------------------------------------------------------------------------------------------------------

VERDICTS = {("single", True): "Right.", ("single", False): "Not this one.", ("multiple", True): "Yes.", ("multiple", False): "No."}

# The page's own text colour on translucent tints, so that it reads on light and dark pages alike. Rules for `details`
# are spelled out because the themes of Sphinx style it too.
_STYLE = """
.wta-quiz{border:1px solid rgba(128,128,128,.4);border-radius:6px;padding:.5em 1em;margin:.4em 0;max-width:50em;line-height:1.45}
.wta-quiz .q{margin:.7em 0 .9em}
.wta-quiz p{margin:.3em 0}
.wta-quiz details{border:1px solid rgba(128,128,128,.3);border-radius:5px;margin:.3em 0;padding:0;background:none}
.wta-quiz summary{cursor:pointer;padding:.3em .7em;list-style:none;font-weight:inherit;color:inherit;background:none}
.wta-quiz summary::-webkit-details-marker,.wta-quiz summary::after{display:none}
.wta-quiz summary::before{content:"\\25CB";display:inline-block;width:1.5em;float:none;transform:none}
.wta-quiz [data-kind=multiple] summary::before{content:"\\2610"}
.wta-quiz .picked summary::before{content:"\\2611"!important}
.wta-quiz .picked summary{font-weight:600}
.wta-quiz [data-kind=numeric] summary::before{content:"\\25B8"}
.wta-quiz .y[open]{background:rgba(46,160,67,.14);border-color:rgb(46,160,67)}
.wta-quiz .n[open]{background:rgba(218,54,51,.11);border-color:rgb(218,54,51)}
.wta-quiz .y[open]>summary::before{content:"\\2714"!important}
.wta-quiz .n[open]>summary::before{content:"\\2718"!important}
.wta-quiz .w{padding:0 .7em .4em 2.2em}
.wta-quiz input,.wta-quiz button{font:inherit;color:inherit;background:rgba(128,128,128,.12);border:1px solid rgba(128,128,128,.6);
border-radius:4px;padding:.1em .6em;margin:.2em .5em .2em 0;width:auto}
.wta-quiz input{width:7em}
.wta-quiz button{cursor:pointer}
"""

# Works on every quiz of the page that is not yet at work, so it neither needs ids nor minds being there many times.
_SCRIPT = """
document.querySelectorAll('.wta-quiz:not([data-on])').forEach(function(z){
z.dataset.on=1;
function add(q,tag,text){var e=document.createElement(tag);e.textContent=text||'';q.querySelector('.act').appendChild(e);return e}
z.querySelectorAll('[data-kind=multiple]').forEach(function(q){
var c=[].slice.call(q.querySelectorAll('details')),done=false,b=add(q,'button','Check'),o=add(q,'output');
c.forEach(function(d){var s=d.querySelector('summary');s.setAttribute('role','checkbox');s.setAttribute('aria-checked','false');
s.addEventListener('click',function(e){if(!done){e.preventDefault();s.setAttribute('aria-checked',String(d.classList.toggle('picked')))}})});
b.onclick=function(){done=true;b.hidden=true;var hit=0,off=0,all=0;
c.forEach(function(d){var p=d.classList.contains('picked'),y=d.classList.contains('y');all+=y;hit+=p&&y;off+=p!==y;d.open=true});
o.textContent=off?'You found '+hit+' of '+all+'; '+off+(off>1?' choices':' choice')+' to think over.':'All right!'}});
z.querySelectorAll('[data-kind=numeric]').forEach(function(q){
var i=add(q,'input'),b=add(q,'button','Check'),o=add(q,'output');i.setAttribute('aria-label','your number');i.inputMode='decimal';
function go(){var v=i.value.trim().replace(',','.'),x=Number(v),m='Not this number. Try again, or unfold the answer.';
if(!v||isNaN(x))m='Type a number.';else q.querySelectorAll('[data-v]').forEach(function(d,k){
if(Math.abs(x-d.dataset.v)<=+d.dataset.t+1e-9)m=(k?'':'Right: ')+d.textContent});o.textContent=m}
b.onclick=go;i.onkeydown=function(e){e.stopPropagation();if(e.key==='Enter')go()}});
});
"""


def quiz_html(shown: QuestionSet) -> str:
    """A set as HTML that folds without a script; `_STYLE` and `_SCRIPT` ride along, for every output may be a frame of its own."""
    blocks = [f"<p><strong>Quiz: {inline_html(shown.title)}</strong></p>"]
    for number, question in enumerate(shown.questions, 1):
        count = f"{number}. " if len(shown.questions) > 1 else ""
        asks = {"single": "", "multiple": " <em>Choose all that apply.</em>", "numeric": ""}[question.kind]
        body = _numeric_html(question) if question.kind == "numeric" else _choices_html(question)
        blocks.append(f'<div class="q" data-kind="{question.kind}"><p>{count}{inline_html(question.text)}{asks}</p>{body}</div>')
    style = re.sub(r"\n", "", _STYLE)
    return f'<style>{UNBOXED}{style}</style><div class="wta wta-quiz">{"".join(blocks)}</div><script>{_SCRIPT.strip()}</script>'


def _choices_html(question: Question) -> str:
    rows = []
    for choice in question.choices:
        why = f'<div class="w"><strong>{VERDICTS[question.kind, choice.right]}</strong> {inline_html(choice.why)}</div>'
        rows.append(f'<details class="{"y" if choice.right else "n"}"><summary>{inline_html(choice.text)}</summary>{why}</details>')
    return "".join(rows) + ('<div class="act"></div>' if question.kind == "multiple" else "")


def _numeric_html(question: Question) -> str:
    assert question.answer is not None
    unit = f" {question.unit}" if question.unit else ""
    right = f"<strong>{question.answer:g}{html.escape(unit)}.</strong> {inline_html(question.why)}"
    # The script reads its replies from these very elements: nothing is stored twice.
    rows = [f'<p data-v="{question.answer:g}" data-t="{question.tolerance:g}">{right}</p>']
    rows += [
        f'<p data-v="{choice.text}" data-t="{question.tolerance:g}">Not {choice.text}: {inline_html(choice.why)}</p>'
        for choice in question.choices
    ]
    return f'<div class="act"></div><details><summary>The answer</summary><div class="w">{"".join(rows)}</div></details>'


def quiz_text(shown: QuestionSet) -> str:
    """A set as plain text, without its answers: text cannot fold."""
    lines = [f"Quiz: {inline_text(shown.title)}"]
    for number, question in enumerate(shown.questions, 1):
        lines += ["", f"{number}. {inline_text(question.text)}" + (" Choose all that apply." if question.kind == "multiple" else "")]
        if question.kind != "numeric":
            lines += [f"   {letter}) {inline_text(choice.text)}" for letter, choice in zip(LETTERS, question.choices, strict=False)]
    return "\n".join([*lines, "", f"Answers and why: data/quizzes/{shown.quiz}.json"])
