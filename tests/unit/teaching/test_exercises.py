"""The proofs of the exercises: a stub is not attempted, the solution passes, every typical mistake is named, errors are humane."""

import ast
import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections import OrderedDict

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from src.qa import metrics
from src.teaching.exercises import (
    Case,
    Exercise,
    Mistake,
    cells,
    check,
    exercises,
    find,
    grade,
    hint,
    notebook_06,
    notebooks,
    same,
    solution,
)
from src.teaching.glossary import COURSE

EXERCISES = [exercise for notebook in notebooks() for exercise in exercises(notebook).values()]
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)


def run(source, name):
    """The function `name` that a cell with this source defines."""
    namespace = {}
    exec(compile(source, "<cell>", "exec"), namespace)
    return namespace[name]


@each_exercise
def test_every_exercise_is_proved(exercise):
    stub = grade(exercise.id, run(exercise.stub, exercise.name))
    assert stub.status == "not attempted" and "not attempted yet" in stub.message

    solved = grade(exercise.id, run(exercise.solved, exercise.name))
    assert solved.passed and solved.message.startswith("**Right.**"), solved.message

    assert len(exercise.mistakes) >= 2
    for mistake in exercise.mistakes:
        assert mistake.words in mistake.says
        others = [other.words for other in exercise.mistakes if other is not mistake]
        verdict = grade(exercise.id, mistake.answer)
        assert not verdict.passed and mistake.words in verdict.message, f"{mistake.answer.__name__} got: {verdict.message}"
        assert not any(words in verdict.message for words in others), f"{mistake.answer.__name__} is also called another mistake"

    def raises(*arguments):
        raise KeyError("what the reader's code stumbled over")

    verdict = grade(exercise.id, raises)
    assert verdict.status == "error" and "KeyError" in verdict.message and "what the reader's code stumbled over" in verdict.message
    assert exercise.name in verdict.message and "Traceback" not in verdict.message


@each_exercise
def test_every_stub_tells_goal_signature_shapes_and_example(exercise):
    definition = next(node for node in ast.parse(exercise.stub).body if isinstance(node, ast.FunctionDef))
    doc = ast.get_docstring(definition)
    assert definition.name == exercise.name and all(argument.annotation for argument in definition.args.args) and definition.returns
    assert all(argument.arg in doc for argument in definition.args.args), "an argument is not explained"
    assert "Example" in doc and " gives " in " ".join(doc.split())
    assert max(len(line) for line in [*exercise.stub.splitlines(), *exercise.solved.splitlines()]) <= 82, (
        "a stub should fit on a page without a scroll bar"
    )
    assert exercise.goal and exercise.hint and exercise.insight and exercise.title


@each_exercise
def test_the_example_of_the_stub_is_true(exercise):
    doc = " ".join(exercise.solution.__doc__.split())
    start = doc.index(f"{exercise.name}(", doc.index("Example"))
    depth, end = 0, start
    for end in range(start, len(doc)):
        depth += {"(": 1, ")": -1}.get(doc[end], 0)
        if depth == 0 and doc[end] == ")":
            break
    call, rest = doc[start : end + 1], doc[end + 1 :]
    assert rest.startswith(" gives ")
    given = rest.removeprefix(" gives ")
    wanted = next(
        value for stop in range(len(given), 0, -1) if (value := literal(given[:stop])) is not None
    )  # the longest beginning that is a value
    assert close(eval(call, {"np": np, exercise.name: exercise.solution}), wanted)


def close(found, wanted):
    """Whether they hold the same, numbers to the digits that an example gives; what is no rectangle of numbers, part by part."""
    try:
        return np.allclose(found, wanted, atol=5e-4)
    except (TypeError, ValueError):
        if isinstance(wanted, str):
            return found == wanted
        return len(found) == len(wanted) and all(close(*pair) for pair in zip(found, wanted, strict=True))


def literal(text):
    """The Python value written in `text`, or None."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return None


@each_exercise
def test_stub_and_solution_pass_the_linter_as_a_notebook_cell_would(exercise, tmp_path):
    for name, source in (("stub", exercise.stub), ("solved", exercise.solved)):
        file = tmp_path / f"{name}.py"
        file.write_text(source + "\n")
        for command in (["check", "--ignore", "F401"], ["format", "--check"]):
            result = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--config", str(COURSE / "pyproject.toml"), str(file)],
                capture_output=True,
                text=True,
            )
            assert result.returncode == 0, result.stdout + result.stderr


# --- answers as readers write them: not the registry's own wordings -------------------------------------------------------


def search(lowest, stop):
    """A body for best_span in two loops, which begins with the sum `lowest` and ends every span before `stop`."""
    return (
        f"best = {lowest}\n    for s in range(len(start_logits)):\n        for e in range(s, {stop}):\n"
        "            if start_logits[s] + end_logits[e] > best:\n"
        "                best, span = start_logits[s] + end_logits[e], (s, e)\n"
        "    return span"
    )


WRITTEN = {
    "06.window_starts": [
        ("return list(range(0, n_tokens, doc_stride or 1))", "the step is"),
        ("s = [0]\n    while s[-1] + doc_stride < n_tokens:\n        s.append(s[-1] + doc_stride)\n    return s", "the step is"),
        ("return np.arange(0, max(n_tokens - room, 0) + 1, room - doc_stride)[:-1]", "misses the tail"),
        ("return [i * (room - doc_stride) for i in range(-(-n_tokens // (room - doc_stride)))]", "extra window"),
        ("return [i * room for i in range(-(-n_tokens // room))]", "do not overlap"),
        ("s = [0]\n    while s[-1] + room < n_tokens:\n        s.append(s[-1])\n    return s", "Does your loop ever end?"),
        ("print(0)", "returns `None` every time"),
        ("return len(range(0, n_tokens, room))", "of type `int`; a `list` was expected"),
        ("return [0, 4.5]", "expected [0, 4]"),
    ],
    "06.label_window": [
        (
            "t = [i for i, (s, e) in enumerate(zip(token_starts, token_ends)) if s != -1 and not (e <= answer_start or s >= answer_end)]\n"
            "    return (min(t), max(t)) if t else (0, 0)",
            "a part of the answer",
        ),
        (
            "t = [i for i, s in enumerate(token_starts) if answer_start <= s < answer_end]\n    return (t[0], t[-1] + 1) if t else (0, 0)",
            "one too far",
        ),
        ("return (token_starts.index(answer_start), token_ends.index(answer_end))", "expected (0, 0)"),
        ("return (answer_start, answer_end - 1)", "expected (9, 9)"),
        ("return (answer_start, answer_end)", "returns characters"),
    ],
    "06.best_span": [
        ("return start_logits.argmax(), end_logits.argmax()", "apart from each other"),
        ("s, e = start_logits.argmax(), end_logits.argmax()\n    return (s, e) if s <= e else (e, s)", "expected (2, 3)"),
        (search(-1e9, "len(end_logits)"), "ignores"),
        (search(-1e9, "min(len(end_logits), s + max_answer_length + 1)"), "one token too many"),
        (search(0, "min(len(end_logits), s + max_answer_length)"), "all scores are below zero"),
        ("return start_logits.top()", "has no attribute 'top'"),
        ("return (1,)", "It has 1 items; 2 were expected."),
        ("start_logits[:] = 0\n    return 1, 2", "expected (2, 3)"),
    ],
    "06.token_f1": [
        (
            "p, g = set(prediction.lower().split()), set(gold.lower().split())\n    s = len(p & g)\n"
            "    return 2 * s / (len(p) + len(g)) if p or g else 1.0",
            "punctuation and the articles",
        ),
        (
            "p, g = prediction.split(), gold.split()\n    s = len([w for w in p if w in g])\n"
            "    return 2 * s / (len(p) + len(g)) if p or g else 1.0",
            "through `normalize_answer` first",
        ),
        (
            "p, g = normalize_answer(prediction).split(), normalize_answer(gold).split()\n    s = len(set(p) & set(g))\n"
            "    return 2 * (s / len(p)) * (s / len(g)) / ((s / len(p)) + (s / len(g)))",
            "compares sets",
        ),
        (
            "p, g = normalize_answer(prediction).split(), normalize_answer(gold).split()\n    s = sum((Counter(p) & Counter(g)).values())\n"
            "    pr, re = s / len(p), s / len(g)\n    return 2 * pr * re / (pr + re)",
            "divides by zero",
        ),
        ("return 100.0 if prediction == gold else 0.0", "returns percent"),
    ],
}


@pytest.mark.parametrize(("exercise", "body", "words"), [(name, *case) for name, written in WRITTEN.items() for case in written])
def test_answers_written_otherwise_are_told_what_is_wrong_too(exercise, body, words):
    found = find(exercise)
    head = found.stub.rpartition("    return ...")[0]
    answer = run(f"import numpy as np\n{head}    {body}\n", found.name)
    verdict = grade(exercise, answer)
    assert not verdict.passed and words in verdict.message, verdict.message


def test_every_way_to_write_a_right_answer_passes():
    def loops(s, e, longest):
        pairs = [(s[i] + e[j], i, j) for i in range(len(s)) for j in range(i, min(i + longest, len(e)))]
        return list(max(pairs)[1:])

    assert grade("06.best_span", loops).passed
    assert grade("06.best_span", lambda s, e, n: np.array(loops(s, e, n))).passed
    assert grade("06.window_starts", lambda n, r, d: range(0, max(n - d, 1), r - d)).passed


# --- the solutions against references of another make ----------------------------------------------------------------------


def test_windows_are_those_of_a_real_tokenizer():
    words = Tokenizer(models.WordLevel({"w": 0}, unk_token="w"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    for n_tokens in range(1, 30):
        for room in range(1, 9):
            for doc_stride in range(room):
                words.enable_truncation(max_length=room, stride=doc_stride)
                first = words.encode(" ".join("w" * n_tokens))
                starts = [window.offsets[0][0] // 2 for window in [first, *first.overflowing]]
                assert notebook_06.window_starts(n_tokens, room, doc_stride) == starts


def test_f1_is_that_of_the_course():
    rng = random.Random(0)
    words = ["the", "a", "King", "king", "of", "Spain", "...", "8", "x"]
    for _ in range(2000):
        prediction, gold = (" ".join(rng.choices(words, k=rng.randrange(5))) for _ in range(2))
        assert notebook_06.token_f1(prediction, gold) == pytest.approx(metrics.f1(prediction, [gold]))


def test_the_best_span_has_the_largest_sum_of_all_valid_ones():
    rng = np.random.default_rng(0)
    for _ in range(300):
        size, longest = rng.integers(1, 9, 2)
        start_logits, end_logits = rng.normal(size=(2, size))
        sums = {(i, j): start_logits[i] + end_logits[j] for i in range(size) for j in range(i, size) if j < i + longest}
        assert notebook_06.best_span(start_logits, end_logits, longest) == max(sums, key=sums.get)


def test_window_labels_mark_exactly_the_answer_where_the_window_holds_it():
    rng = random.Random(0)
    passage = "one two three four five six seven eight nine ten"
    starts = [i for i in range(len(passage)) if i == 0 or passage[i - 1] == " "]
    ends = [passage.find(" ", start) if " " in passage[start:] else len(passage) for start in starts]
    for _ in range(500):
        first, size = rng.randrange(10), rng.randrange(1, 11)
        shown = slice(first, first + size)
        token_starts, token_ends = ([-1, -1, -1, *values[shown], -1] for values in (starts, ends))
        i = rng.randrange(10)
        j = rng.randrange(i, 10)
        label = notebook_06.label_window(starts[i], ends[j], token_starts, token_ends)
        whole = first <= i and j < min(first + size, 10)
        assert label == ((i - first + 3, j - first + 3) if whole else (0, 0))


# --- the check itself ------------------------------------------------------------------------------------------------------


def test_a_check_says_the_same_as_text_and_never_raises(capsys):
    for answer in (
        ...,
        None,
        3,
        lambda *a: 1,
        lambda *a: ...,
        lambda *a: None,
        lambda *a: object(),
        sys.exit,
        print,
        find("06.best_span").solution,
    ):
        check("06.best_span", answer)
    printed = capsys.readouterr().out
    assert "not attempted yet" in printed and "Right." in printed and "returned 1" in printed
    assert "**" not in printed and "<p" not in printed and "<div" not in printed


def test_under_the_proofs_flag_a_check_that_is_not_passed_raises(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_PROOF", "1")
    check("06.best_span", find("06.best_span").solution)
    for answer in (..., find("06.best_span").mistakes[0].answer):
        with pytest.raises(AssertionError, match=r"06\.best_span"):
            check("06.best_span", answer)
        check("06.best_span", answer, proof=False)
    monkeypatch.setenv("COURSE_PROOF", "0")
    check("06.best_span", ...)
    with pytest.raises(AssertionError):
        check("06.best_span", ..., proof=True)


def test_an_answer_that_never_ends_is_stopped_even_if_it_catches_exceptions():
    def stubborn(n_tokens, room, doc_stride):
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)

    start = time.monotonic()
    verdict = grade("06.window_starts", stubborn)
    assert time.monotonic() - start < 5 and "still running after 2 seconds" in verdict.message
    assert grade("06.window_starts", find("06.window_starts").solution).passed, "the alarm is off again"


def test_a_check_works_outside_the_main_thread():
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(grade("06.best_span", find("06.best_span").solution)))
    thread.start()
    thread.join()
    assert verdicts[0].passed


def test_an_unknown_exercise_is_answered_with_the_nearest():
    for ask in (hint, solution, lambda name: check(name, ...)):
        with pytest.raises(ValueError, match=r"did you mean '06\.best_span'"):
            ask("06.bestspan")
    with pytest.raises(ValueError, match="no exercises for notebook"):
        exercises("99")
    with pytest.raises(ValueError, match="no exercise"):
        find("zzz")


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
        ({"b": 2, "a": 1}, {"a": 1, "b": 2}, True),
        ({"b": 2, "a": 1}, OrderedDict(a=1, b=2), False),
        ({"a": 1, "b": 2}, OrderedDict(a=1, b=2), True),
    ],
)
def test_results_are_compared_by_value_and_shape(value, expected, result):
    assert same(value, expected) is result


def test_hint_and_solution_are_folded_and_the_plain_text_spoils_nothing(monkeypatch):
    panels = []
    monkeypatch.setattr("src.teaching.panel.display", panels.append)
    hint("06.best_span")
    solution("06.best_span")
    assert all("<details><summary" in panel.html and " open" not in panel.html for panel in panels)
    assert "unravel_index" in panels[1].html and "unravel_index" not in panels[1].text and "notebook_06.py" in panels[1].text


def test_a_registry_with_a_wrong_id_is_refused(monkeypatch):
    def solved(x: int) -> int:
        """One. Example: solved(1) gives 1."""
        return x

    wrong = Exercise("06.other", "t", "g", solved, (Case((1,), 1),), (Mistake(solved, "s", "s"),), "h", "i")
    monkeypatch.setattr(notebook_06, "EXERCISES", (wrong,))
    with pytest.raises(ValueError, match=r"must be '06\.solved'"):
        exercises.__wrapped__("06")


# --- the notebooks ---------------------------------------------------------------------------------------------------------


def problems(notebook):
    """What is wrong with the exercise and quiz cells of a notebook (as a dict), as sentences."""
    import re

    from src.teaching.quizzes import load_quiz

    found, known = [], {exercise.stub: exercise for exercise in EXERCISES}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code):
        tags, source = cell["metadata"].get("tags", []), "".join(cell["source"])
        if "exercise" in tags:
            if source not in known:
                found.append(f"the stub that begins with {source[:40]!r} is none of the registry's")
            elif not any(cell_of_check(known[source], later) for later in code[number + 1 : number + 3]):
                found.append(f"no check follows the stub of {known[source].id}")
        for name, key in re.findall(r'show_quiz\("(\w+)", "(\w+)"\)', source):
            if "quiz" not in tags:
                found.append(f"the cell of quiz {name}, {key} lacks its tag")
            if key not in load_quiz(name):
                found.append(f"quiz {name} has no set {key}")
    return found


def cell_of_check(exercise, cell):
    """Whether this cell checks the exercise."""
    return "check" in cell["metadata"].get("tags", []) and f'check("{exercise.id}", {exercise.name})' in "".join(cell["source"])


def test_the_cells_of_an_exercise_are_a_valid_part_of_a_notebook_and_problems_in_them_are_found():
    import nbformat

    parts = [cell for exercise in EXERCISES for cell in cells(exercise.id)]
    notebook = {"cells": parts, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    nbformat.validate(notebook)
    assert problems(notebook) == []
    parts[1]["source"] += "\n    # more"
    parts[6]["source"] = "pass"
    parts.append({"cell_type": "code", "metadata": {}, "source": 'show_quiz("06_bert_squad", "nothing")'})
    assert len(problems(notebook)) == 4


@pytest.mark.parametrize("notebook", sorted((COURSE / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_exercise_and_quiz_cells_of_every_notebook_fit_the_registry(notebook):
    assert problems(json.loads(notebook.read_text(encoding="utf-8"))) == []
