"""The exercises: a stub is not attempted, the solution passes, every mistake is named."""

import ast
import contextlib
import json
import pydoc
import re
import subprocess
import sys
import threading
import time
from collections import Counter

import nbformat
import numpy as np
import pytest

from src.runtime import COURSE
from src.teaching.exercises import check, exercises, find, grade, grading, hint, notebooks, solution
from src.teaching.exercises.record import Case, Exercise
from src.teaching.quizzes import load_quiz
from tools.new_exercise import cells

EXERCISES = [exercise for notebook in notebooks() for exercise in exercises(notebook).values()]
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
SPAN = find("08.best_span").solution


def run(source, name):
    """The function `name` that a cell with this source defines."""
    namespace = {}
    exec(compile(source, "<cell>", "exec"), namespace)
    return namespace[name]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@each_exercise
def test_every_exercise_is_proved(exercise):
    stub = grade(exercise.id, run(exercise.stub, exercise.name))
    assert stub.status == "not attempted" and "not attempted yet" in stub.message
    solved = grade(exercise.id, run(exercise.solved, exercise.name))
    assert solved.passed and solved.message.startswith("**Right.**"), solved.message

    sentences = {says for _, says in exercise.wrong_answers}
    assert len(sentences) >= 2
    for wrong, says in exercise.wrong_answers:
        message = grade(exercise.id, wrong).message
        said = {sentence for sentence in sentences if sentence in message}
        assert said == {says}, f"{says}\ngot: {message}"

    def raises(*arguments):
        raise KeyError("what the reader's code stumbled over")

    message = grade(exercise.id, raises).message
    assert 'KeyError: "what the reader\'s code stumbled over"' in message
    assert "Traceback" not in message


@each_exercise
def test_every_stub_tells_goal_signature_shapes_and_example(exercise):
    definition = ast.parse(exercise.stub).body[-1]
    doc = ast.get_docstring(definition)
    assert all(argument.annotation for argument in definition.args.args) and definition.returns
    described = doc.partition("Args:")[2]
    assert all(argument.arg in described for argument in definition.args.args)
    assert exercise.hint and exercise.insight
    lines = [*exercise.stub.splitlines(), *exercise.solved.splitlines()]
    assert max(map(len, lines)) <= 80, "it should fit on a page without a scroll bar"
    assert len(exercise.solved.splitlines()) <= 40, "it should fit on a screen"


@each_exercise
def test_the_example_of_the_stub_is_true(exercise, monkeypatch):
    monkeypatch.setattr(grading, "TOLERANCE", 5e-4)  # an example gives few digits
    doc = " ".join(exercise.solution.__doc__.split())
    example = doc[doc.index(f"{exercise.name}(", doc.index("Example")) :]
    call, _, given = example.partition(" gives ")
    begun = (literal(given[:stop].rstrip(", ")) for stop in range(len(given), 0, -1))
    wanted = next(value for value in begun if value is not None)  # the longest that is a value
    assert grading.same(eval(call, {"np": np, exercise.name: exercise.solution}), wanted)


def literal(text):
    """The Python value written in `text`, or None."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return None


@each_exercise
def test_what_its_texts_name_in_the_course_is_there(exercise):
    texts = " ".join([exercise.hint, exercise.insight, exercise.mistakes])
    for name in re.findall(r"`(src\.[\w.]+)`", texts):
        assert pydoc.locate(name), name


def test_stubs_and_solutions_pass_the_linter_as_notebook_cells_would(tmp_path):
    for exercise in EXERCISES:
        for name in ("stub", "solved"):
            file = tmp_path / f"{exercise.id.replace('.', '_')}_{name}.py"
            file.write_text(getattr(exercise, name) + "\n")
    for command in (["check", "--ignore", "F401"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", str(COURSE / "pyproject.toml")]
        result = subprocess.run([*ruff, str(tmp_path)], capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr


def test_a_mistake_that_changes_what_is_not_in_the_solution_is_refused():
    exercise = Exercise(SPAN, "h", "i", [Case()], "not there -> here\n# Says.")
    with pytest.raises(ValueError, match=r"08\.best_span: a mistake changes 'not there'"):
        exercise.wrong_answers  # noqa: B018


def test_a_check_says_the_same_as_text_and_never_raises(capsys):
    odd = (lambda *a: 1, lambda *a: ..., lambda *a: None, lambda *a: object(), sys.exit, print)
    for answer in (..., None, 3, *odd, SPAN):
        check("08.best_span", answer)
    printed = capsys.readouterr().out
    assert "not attempted yet" in printed and "Right." in printed and "returned 1" in printed
    assert "**" not in printed and "<p" not in printed and "<div" not in printed


def test_an_answer_that_never_ends_is_stopped_even_if_it_catches_exceptions():
    def stubborn(n_tokens, room, doc_stride):
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)

    start = time.monotonic()
    verdict = grade("08.window_starts", stubborn)
    assert time.monotonic() - start < 5 and "still running after 2 seconds" in verdict.message
    right = find("08.window_starts").solution
    assert grade("08.window_starts", right).passed, "the alarm is off again"


def test_a_check_works_outside_the_main_thread():
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(grade("08.best_span", SPAN)))
    thread.start()
    thread.join()
    assert verdicts[0].passed


def test_an_unknown_exercise_is_answered_with_the_nearest():
    for ask in (hint, solution, lambda name: check(name, ...)):
        with pytest.raises(ValueError, match=r"did you mean '08\.best_span'"):
            ask("08.bestspan")
    with pytest.raises(ValueError, match="no exercise"):
        find("zzz")


def test_an_exercise_is_found_by_the_number_that_its_notebook_had_before():
    assert len({exercise.name for exercise in EXERCISES}) == len(EXERCISES), "one name each"
    assert find("05.sample_top_p") is find("06.sample_top_p")


@pytest.mark.parametrize(
    ("value", "expected", "result"),
    [
        (np.int64(3), 3, True),
        (3.0000001, 3, True),
        (np.array([1, 2]), (1, 2), True),
        ([1, 2], (1, 2), True),
        ((1, 2, 3), (1, 2), False),
        ((1,), (1, 2), False),
        (1, True, False),
        (True, 1, False),
        (np.bool_(True), True, True),
        (float("nan"), float("nan"), True),
        (float("nan"), 1.0, False),
        ("8", 8, False),
        (None, 0, False),
        ([[1.0], [2.0]], np.array([[1], [2]]), True),
        ([1, 2], np.array([[1], [2]]), False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": 1.0, "b": 2}, False),
        (Counter("a"), {"a": 1}, True),
        ({"b": 2, "a": 1}, {"a": 1, "b": 2}, False),
    ],
)
def test_results_are_compared_by_value_and_shape(value, expected, result):
    assert grading.same(value, expected) is result


def test_hint_and_solution_are_folded_and_the_plain_text_spoils_nothing(monkeypatch):
    panels = []
    monkeypatch.setattr("src.teaching.panel.display", panels.append)
    hint("08.best_span")
    solution("08.best_span")
    assert all("<details><summary" in p.html and " open" not in p.html for p in panels)
    assert "span" in panels[1].html and "for start" not in panels[1].text
    assert "notebook_08.py" in panels[1].text


def problems(notebook):
    """What is wrong with the exercise and quiz cells of a notebook (as a dict), as sentences."""
    found, known = [], {exercise.stub: exercise for exercise in EXERCISES}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in code]
    for number, (cell, source) in enumerate(zip(code, sources, strict=True)):
        tags = cell["metadata"].get("tags", [])
        if "exercise" in tags:
            if exercise := known.get(source):
                call = f'check("{exercise.id}", {exercise.name})'
                if not any(call in later for later in sources[number + 1 : number + 3]):
                    found.append(f"no check follows the stub of {exercise.id}")
            else:
                found.append(f"the stub that begins with {source[:40]!r} is no exercise's")
        for name, key in re.findall(r'show_quiz\("(\w+)", "(\w+)"\)', source):
            if "quiz" not in tags:
                found.append(f"the cell of quiz {name}, {key} lacks its tag")
            if key not in load_quiz(name):
                found.append(f"quiz {name} has no set {key}")
    return found


def test_the_cells_of_an_exercise_are_valid_and_problems_in_them_are_found():
    parts = [cell for exercise in EXERCISES for cell in cells(exercise.id)]
    notebook = {"cells": parts, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    nbformat.validate(notebook)
    assert problems(notebook) == []
    parts[1]["source"] += "\n    # more"
    parts[5]["source"] = "pass"
    quiz = 'show_quiz("08_bert_squad", "nothing")'
    parts.append({"cell_type": "code", "metadata": {}, "source": quiz})
    assert len(problems(notebook)) == 4


NOTEBOOKS = sorted((COURSE / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_exercise_and_quiz_cells_of_every_notebook_fit_the_exercises(notebook):
    assert problems(json.loads(notebook.read_text(encoding="utf-8"))) == []
