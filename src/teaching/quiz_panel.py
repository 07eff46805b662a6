"""Quizzes on the page: a click on a choice says whether it is right, and why.

Every choice is a <details> element: the choice is its summary, verdict and explanation its content.
That needs no script, so a question folds the same in Jupyter, Colab, a static page and on GitHub.
Where scripts run, quiz.js adds picking several choices before checking, and typing a number.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from src.teaching.panel import Panel, inline_html, inline_text, style

if TYPE_CHECKING:
    from src.teaching.quizzes import Question, QuestionSet


def show_quiz(quiz: str, questions: str) -> None:
    """Show one set of questions: click on a choice to see whether it is right and why.

    `quiz` is a file in data/quizzes, such as "08_bert_squad", `questions` the id of a set in it.

    Raises:
        ValueError: there is none; names those there are.
    """
    from src.teaching.quizzes import load_set  # here, since pydantic is slow to import

    shown = load_set(quiz, questions)
    Panel(quiz_html(shown), quiz_text(shown)).show()


def quiz_html(shown: QuestionSet) -> str:
    """A set as HTML that folds without a script. Style and script are in it, since every output
    may be a frame of its own."""
    blocks = [f"<p><strong>Quiz: {inline_html(shown.title)}</strong></p>"]
    for number, question in enumerate(shown.questions, 1):
        text = inline_html(question.text)
        if len(shown.questions) > 1:
            text = f"{number}. {text}"
        if question.kind == "multiple":
            text += " <em>Choose all that apply.</em>"
        body = _numeric_html(question) if question.kind == "numeric" else _choices_html(question)
        blocks.append(f'<div class="q" data-kind="{question.kind}"><p>{text}</p>{body}</div>')
    script = Path(__file__).with_name("quiz.js").read_text(encoding="utf-8").partition("\n")[2]
    return (
        f'{style("quiz.css")}<div class="wta wta-quiz">{"".join(blocks)}</div>'
        f"<script>{script.strip()}</script>"
    )


def _choices_html(question: Question) -> str:
    rows = []
    for choice in question.choices:
        rows.append(
            f'<details class="{"y" if choice.right else "n"}">'
            f"<summary>{inline_html(choice.text)}</summary>"
            f'<div class="w"><strong>{question.verdict(choice)}</strong> '
            f"{inline_html(choice.why)}</div></details>"
        )
    return "".join(rows) + ('<div class="act"></div>' if question.kind == "multiple" else "")


def _numeric_html(question: Question) -> str:
    """The answer and the wrong numbers, from which quiz.js reads its replies."""
    answer = f"{question.answer:g}"
    unit = f" {html.escape(question.unit)}" if question.unit else ""
    says = {answer: f"<strong>{answer}{unit}.</strong> {inline_html(question.why)}"}
    for choice in question.choices:
        says[choice.text] = f"Not {choice.text}: {inline_html(choice.why)}"
    rows = (
        f'<p data-v="{number}" data-t="{question.tolerance:g}">{said}</p>'
        for number, said in says.items()
    )
    return (
        '<div class="act"></div><details><summary>The answer</summary>'
        f'<div class="w">{"".join(rows)}</div></details>'
    )


def quiz_text(shown: QuestionSet) -> str:
    """A set as plain text, without its answers: text cannot fold."""
    lines = [f"Quiz: {inline_text(shown.title)}"]
    for number, question in enumerate(shown.questions, 1):
        all_of = " Choose all that apply." if question.kind == "multiple" else ""
        lines += ["", f"{number}. {inline_text(question.text)}{all_of}"]
        if question.kind != "numeric":
            for letter, choice in zip("abcdefghij", question.choices, strict=False):
                lines.append(f"   {letter}) {inline_text(choice.text)}")
    return "\n".join([*lines, "", f"Answers and why: data/quizzes/{shown.quiz}.json"])
