"""The course's quizzes as a deck for Anki, which asks each card again before you forget it.

A text file that Anki imports as it is: its first lines say how it is to be read, see
https://docs.ankiweb.net/importing/text-files.html. Each card has an id of its own, so that a later
import renews it and keeps what Anki knows of the reader.
"""

import csv
import io
from collections.abc import Sequence

from src.teaching.panel import inline_html
from src.teaching.quizzes import Question, QuestionSet, all_sets

HOW = (
    "are also a deck of cards for spaced repetition: install [Anki](https://apps.ankiweb.net), "
    "choose File, Import, and the file. A later import renews the cards and keeps your progress."
)
NAME = "words-to-answers-anki.txt"
HEAD = ("#separator:tab", "#html:true", "#deck:Words to Answers", "#notetype:Basic")
HEAD += ("#guid column:1", "#tags column:4")


def deck(sets: Sequence[QuestionSet] | None = None) -> str:
    """The file's text: id, front, back and tag of a card for each question that has an answer.

    Args:
        sets: the questions; None takes all of data/quizzes.
    """
    file = io.StringIO("\n".join([*HEAD, ""]))
    file.seek(0, io.SEEK_END)
    rows = csv.writer(file, "excel-tab", lineterminator="\n")
    for one in all_sets() if sets is None else sets:
        for question in one.questions:
            if question.kind != "open":
                tag = f"words-to-answers::{one.quiz}"
                shown = (" ".join(side.split()) for side in sides(question))  # one line each
                rows.writerow([f"wta/{one.quiz}/{question.id}", *shown, tag])
    return file.getvalue()


def sides(question: Question) -> tuple[str, str]:
    """What the front and the back of a card show, as HTML."""
    text = inline_html(question.text)
    if question.kind == "numeric":
        answer = f"{question.answer:g} {question.unit}".strip()
        why = [(True, answer, question.why)]
        why += [(False, choice.text, choice.why) for choice in question.choices]
    else:
        text += " <i>Choose all that apply.</i>" * (question.kind == "multiple")
        choices = "".join(f"<li>{inline_html(choice.text)}</li>" for choice in question.choices)
        text += f"<ul style=text-align:left>{choices}</ul>"
        why = [(choice.right, choice.text, choice.why) for choice in question.choices]
    lines = (
        f"<p>{'✔' if right else '✘'} <b>{inline_html(said)}</b><br>{inline_html(reason)}</p>"
        for right, said, reason in sorted(why, key=lambda one: not one[0])
    )
    return text, f"<div style=text-align:left>{''.join(lines)}</div>"
