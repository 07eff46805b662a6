"""The deck for Anki, read as its manual says that Anki reads a file."""

import csv
import re

from src.teaching.quizzes import Choice, Question, QuestionSet, all_sets
from tools import anki


def read(text: str) -> tuple[dict[str, str], list[list[str]]]:
    """Headers, then notes: fields between tabs, quoted where needed, a quote in them doubled."""
    head = [line[1:].partition(":") for line in text.splitlines() if line.startswith("#")]
    body = text.splitlines(keepends=True)[len(head) :]
    return {name: value for name, _, value in head}, list(csv.reader(body, delimiter="\t"))


def test_anki_reads_a_note_for_each_question_that_has_an_answer():
    head, notes = read(anki.deck())
    assert head == {
        **{"separator": "tab", "html": "true", "deck": "Words to Answers"},
        **{"notetype": "Basic", "guid column": "1", "tags column": "4"},
    }
    asked = [q for one in all_sets() for q in one.questions if q.kind != "open"]
    assert len(notes) == len(asked) > 80 and {len(note) for note in notes} == {4}
    assert len({note[0] for note in notes}) == len(notes), "a note's id is its own"
    for question, (_, front, back, tag) in zip(asked, notes, strict=True):
        assert re.fullmatch(r"words-to-answers::\w+", tag), "a tag has no blank"
        right = sum(choice.right for choice in question.choices) or 1
        said = len(question.choices) + (question.kind == "numeric")
        assert (back.count("✔"), back.count("✘")) == (right, said - right)
        assert ("<li>" in front) == (question.kind != "numeric")


def test_quotes_tabs_line_ends_and_markup_in_a_question_stay_text():
    said = 'a "b"\tc\nd <i>e</i> `x < y` &'
    choices = (Choice(said, True, "**Yes**"), Choice("# no", False, said))
    question = Question("one", "single", said, choices)
    slips = (Choice("50", False, said),)
    number = Question("two", "numeric", said, slips, answer=0.5, unit="%", why=said)
    one = QuestionSet("set", "title", (question, number), quiz="00_quiz")
    _, notes = read(anki.deck([one]))
    escaped = 'a "b" c d &lt;i&gt;e&lt;/i&gt; <code>x &lt; y</code> &amp;'
    assert [note[0] for note in notes] == ["wta/00_quiz/one", "wta/00_quiz/two"]
    assert escaped in notes[0][1] and notes[0][2].count(escaped) == 2
    assert notes[1][1] == escaped and "<b>0.5 %</b>" in notes[1][2]
    assert notes[0][2].index("✔") < notes[0][2].index("✘")
