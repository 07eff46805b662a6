"""Exercises: a stub to fill in, a check that says which mistake an answer looks like, a hint and a solution that unfold.

An exercise is one `Exercise` in the module of its notebook, `notebook_06` for notebook 06. Its solution is an ordinary function
of that module, and so are the typical mistakes: an answer that gives what a mistake gives, on the very cases where the mistake
shows, is told which one it looks like. The stub is the solution's own signature and docstring, so the two cannot drift apart.

    check("06.best_span", best_span)       in a notebook: shows what is wrong, and never stops "Run all"
    grade("06.best_span", best_span)       the same verdict as data, for tests
"""

from __future__ import annotations

import ast
import copy
import difflib
import functools
import importlib
import inspect
import math
import os
import signal
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from src.teaching.panel import Panel, box, folded, inline_text, paragraphs_html
from src.teaching.sources import source_box, source_of, source_pre

PROOF_FLAG = "COURSE_PROOF"  # set to 1 by the course's own proofs: a check that is not passed then raises
SECONDS = 2.0  # for all cases of one check; a loop that never ends fills memory if it is given much longer
TOLERANCE = 1e-6

Status = Literal["passed", "wrong", "error", "not attempted"]


@dataclass(frozen=True)
class Case:
    """One call of the answer and what it must return; `note` says what the case is about, as the end of "here, ..."."""

    arguments: tuple[Any, ...]
    expected: Any
    note: str = ""


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer, written out, and what to say to whoever gives it.

    words: a part of `says` that proofs look for.
    sign: whether a wrong value returned for a case betrays the mistake, for answers that make it together with another one
    and so return what no written-out mistake does.
    """

    answer: Callable[..., Any]
    says: str
    words: str
    sign: Callable[[Case, Any], bool] | None = None


@dataclass(frozen=True)
class Exercise:
    """All there is to one exercise. `cases` go from plain to subtle: the first that fails is the one shown.

    imports: lines the stub needs above it.   insight: one or two sentences for whoever has passed.
    """

    id: str
    title: str
    goal: str
    solution: Callable[..., Any]
    cases: tuple[Case, ...]
    mistakes: tuple[Mistake, ...]
    hint: str
    insight: str
    imports: str = ""

    @property
    def name(self) -> str:
        """The name of the function to write."""
        return self.solution.__name__

    @property
    def stub(self) -> str:
        """The source of the stub cell: imports, the solution's signature and docstring, and a body that returns `...`."""
        source = source_of(self.solution)
        definition = ast.parse(source).body[0]
        assert isinstance(definition, ast.FunctionDef) and ast.get_docstring(definition), f"{self.id}: the solution needs a docstring"
        head = "\n".join(source.splitlines()[: definition.body[0].end_lineno])
        return f"{self._above}{head}\n    return ...  # your code here, in place of the three dots"

    @property
    def solved(self) -> str:
        """The source of the stub cell with the solution in it."""
        return f"{self._above}{source_of(self.solution).rstrip()}"

    @property
    def _above(self) -> str:
        return f"{self.imports.strip()}\n\n\n" if self.imports else ""


@dataclass(frozen=True)
class Verdict:
    """What a check found. `message` is for the reader, paragraphs apart by empty lines, code indented by four blanks."""

    status: Status
    message: str

    @property
    def passed(self) -> bool:
        """Whether every case came out right."""
        return self.status == "passed"


# --- what notebooks call -------------------------------------------------------------------------------------------------


def check(exercise: str, answer: object, proof: bool | None = None) -> None:
    """Show whether `answer` solves the exercise; if not, the first case that fails and the mistake it looks like.

    exercise: "06.best_span".   answer: the function from the stub cell.
    Raises AssertionError with the same words if `proof`, else never because of the answer; None asks the variable COURSE_PROOF.
    """
    verdict = grade(exercise, answer)
    colour = {"passed": "good", "wrong": "bad", "error": "bad", "not attempted": "open"}[verdict.status]
    Panel(box(colour, paragraphs_html(verdict.message)), inline_text(verdict.message)).show()
    if proof is None:
        proof = os.environ.get(PROOF_FLAG, "0") not in ("", "0")
    if proof and not verdict.passed:
        raise AssertionError(f"{exercise}: {verdict.message}")


def hint(exercise: str) -> None:
    """Show the exercise's hint, folded."""
    found = find(exercise)
    text = f"Hint for {found.name}: {inline_text(found.hint)}"
    Panel(folded(f"Hint for <code>{found.name}</code>", paragraphs_html(found.hint)), text).show()


def solution(exercise: str) -> None:
    """Show one solution of the exercise, folded. Other ways are as good: the check looks at results only."""
    found = find(exercise)
    summary = f"A solution of <code>{found.name}</code>"
    # The plain text has no solution in it, since it cannot fold and would spoil the exercise.
    text = f"A solution of {found.name} is in {_where(found)}, function {found.name}."
    Panel(folded(summary, source_box(source_pre(found.solved))), text).show()


def cells(exercise: str) -> list[dict[str, Any]]:
    """The cells of an exercise as it stands in a notebook, ready for nbformat: text, stub, check, hint and solution."""
    found = find(exercise)
    text = f"**Exercise: {found.title}.** {found.goal} The check below says how it went; hint and solution unfold."

    slug = found.id.replace(".", "-").replace("_", "-")

    def code(source: str, tag: str) -> dict[str, Any]:
        metadata = {"tags": [tag]}
        return {"id": f"{slug}-{tag}", "cell_type": "code", "metadata": metadata, "source": source, "execution_count": None, "outputs": []}

    return [
        {"id": slug, "cell_type": "markdown", "metadata": {"tags": ["exercise"]}, "source": text},
        code(found.stub, "exercise"),
        code(f'check("{found.id}", {found.name})', "check"),
        code(f'hint("{found.id}")\nsolution("{found.id}")', "solution"),
    ]


# --- the registry --------------------------------------------------------------------------------------------------------


def notebooks() -> list[str]:
    """Numbers of the notebooks that have exercises: "06", ..."""
    return sorted(file.stem.removeprefix("notebook_") for file in Path(__file__).parent.glob("notebook_*.py"))


@functools.cache
def exercises(notebook: str) -> Mapping[str, Exercise]:
    """The exercises of a notebook ("06") by id, in the order they are set. Raises ValueError for a notebook without any."""
    if notebook not in notebooks():
        raise ValueError(f"there are no exercises for notebook {notebook!r}; there are for: {', '.join(notebooks())}.")
    module = importlib.import_module(f"src.teaching.exercises.notebook_{notebook}")
    found: dict[str, Exercise] = {}
    for exercise in module.EXERCISES:
        if exercise.id in found or exercise.id != f"{notebook}.{exercise.name}":
            raise ValueError(f"exercise id {exercise.id!r} in notebook_{notebook}.py must be '{notebook}.{exercise.name}', and only once.")
        found[exercise.id] = exercise
    return found


def find(exercise: str) -> Exercise:
    """The exercise with this id. Raises ValueError that offers the nearest id where there is none."""
    notebook = exercise.partition(".")[0]
    known = [name for number in notebooks() for name in exercises(number)] if notebook not in notebooks() else list(exercises(notebook))
    if exercise not in known:
        near = difflib.get_close_matches(exercise, known, n=1, cutoff=0.5)
        offer = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}."
        raise ValueError(f"there is no exercise {exercise!r}; {offer}")
    return exercises(notebook)[exercise]


# --- the check -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Outcome:
    """What one call came to: a value, or an error (then `line` tells where in the answer it happened)."""

    value: Any = None
    error: BaseException | None = None
    line: str = ""

    def fits(self, expected: Any) -> bool:
        return self.error is None and same(self.value, expected)

    def like(self, other: _Outcome) -> bool:
        if self.error is not None or other.error is not None:
            return type(self.error) is type(other.error)
        return same(self.value, other.value)


class _OutOfTime(BaseException):
    """Raised inside an answer that does not end. Not an Exception, so that the answer's own `except` does not swallow it."""


def grade(exercise: str, answer: object) -> Verdict:
    """Whether `answer` solves the exercise, as data. Never raises because of the answer. See `check`."""
    found = find(exercise)
    if answer is ...:
        return Verdict("not attempted", f"`{found.name}`: not attempted yet.")
    if not callable(answer):
        wanted = f'`check` needs the function itself: `check("{found.id}", {found.name})`.'
        return Verdict("error", f"{wanted} It was given {_shown(answer)}, which cannot be called.")
    outcomes = _run(answer, found.cases)
    failing = [number for number, outcome in enumerate(outcomes) if not outcome.fits(found.cases[number].expected)]
    if not failing:
        return Verdict("passed", f"**Right.** `{found.name}` passes all {len(found.cases)} cases. {found.insight}")
    first = outcomes[failing[0]]
    if first.value is ...:
        return Verdict(
            "not attempted",
            f"`{found.name}`: not attempted yet. It still returns `...`: put your code in their place, then run its cell and this one.",
        )
    if all(outcome.error is None and outcome.value is None for outcome in outcomes):
        return Verdict("wrong", f"`{found.name}` returns `None` every time. Is the `return` missing, or does it only print the result?")
    case = found.cases[failing[0]]
    said = [f"**Not yet.** {len(failing)} of {len(found.cases)} cases {'fails' if len(failing) == 1 else 'fail'}; the first of them:"]
    call = f"    {_call(found, case)}"
    if first.error is None:
        said.append(f"{call}\n    returned {_shown(first.value)}\n    expected {_shown(case.expected)}")
    elif isinstance(first.error, _OutOfTime):
        said.append(f"{call}\n    was still running after {SECONDS:g} seconds, and was stopped\n    expected {_shown(case.expected)}")
        said.append("Does your loop ever end? Look at what must change from one round to the next.")
    else:
        said.append(f"{call}\n    raised {_error(first.error)}{first.line}\n    expected {_shown(case.expected)}")
    if case.note:
        said.append(f"Here, {case.note}.")
    mistake = _diagnose(found, outcomes, failing)
    if mistake is not None:
        said.append(f"**This looks like a known mistake:** {mistake.says}")
    elif first.error is None and (shape := _shape_advice(first.value, case.expected)):
        said.append(shape)
    return Verdict("error" if first.error is not None else "wrong", "\n\n".join(said))


def _diagnose(exercise: Exercise, outcomes: Sequence[_Outcome], failing: Sequence[int]) -> Mistake | None:
    """The mistake whose results the answer gives on the first failing case, and of those the one it agrees with most.

    Agreement counts over all cases, right ones too: a mistake that would have failed a case the answer gets right is less likely.
    Where no mistake gives that result, the first whose sign shows in it.
    """
    first, case = outcomes[failing[0]], exercise.cases[failing[0]]
    best, most = None, 0
    for number, mistake in enumerate(exercise.mistakes):
        wrong = _mistaken(exercise.id, number)
        if first.like(wrong[failing[0]]):
            agreement = sum(mine.like(theirs) for mine, theirs in zip(outcomes, wrong, strict=True))
            if agreement > most:
                best, most = mistake, agreement
    if best is not None or first.error is not None:
        return best
    return next((mistake for mistake in exercise.mistakes if _betrays(mistake, case, first.value)), None)


def _betrays(mistake: Mistake, case: Case, value: Any) -> bool:
    try:
        return mistake.sign is not None and bool(mistake.sign(case, value.tolist() if hasattr(value, "tolist") else value))
    except Exception:  # a value of another kind than the sign is about
        return False


@functools.cache
def _mistaken(exercise: str, number: int) -> list[_Outcome]:
    found = find(exercise)
    return _run(found.mistakes[number].answer, found.cases)


def _run(answer: Callable[..., Any], cases: Sequence[Case]) -> list[_Outcome]:
    """One outcome per case. After the first that runs out of time the rest are not tried, and count as out of time too."""
    outcomes: list[_Outcome] = []
    try:
        with _time_limit(SECONDS):
            for case in cases:
                try:
                    # Copies: an answer that changes its arguments must not change the next check.
                    outcomes.append(_Outcome(answer(*copy.deepcopy(case.arguments))))
                except (Exception, SystemExit) as error:
                    outcomes.append(_Outcome(error=error, line=_line_in(answer, error)))
                if outcomes[-1].value is ...:  # a stub: all cases would say the same
                    return outcomes + [_Outcome(...)] * (len(cases) - len(outcomes))
    except _OutOfTime as error:
        outcomes += [_Outcome(error=error)] * (len(cases) - len(outcomes))
    return outcomes


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise _OutOfTime in this block after `seconds`, where the system can: Unix, and the main thread, where cells run."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    remaining = signal.setitimer(signal.ITIMER_REAL, seconds)[0]  # somebody else's alarm, such as a test's time limit
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, remaining)
        signal.signal(signal.SIGALRM, before)


def _line_in(answer: Callable[..., Any], error: BaseException) -> str:
    """Where in the reader's own code the error arose: the deepest line of the answer's file, as `, in line 4: ...`."""
    try:
        file = inspect.unwrap(answer).__code__.co_filename  # type: ignore[attr-defined]
    except AttributeError:
        return ""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file and frame.line]
    return f"\n    in line {frames[-1].lineno} of its cell: {frames[-1].line}" if frames else ""


def same(value: Any, expected: Any) -> bool:
    """Whether a result is the expected one, generously: numpy or plain numbers, tuples, lists or arrays; floats to 1e-6.

    The order of a dict counts where an OrderedDict is expected.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()  # numpy and torch, arrays and scalars
    if hasattr(expected, "tolist"):
        expected = expected.tolist()
    if isinstance(value, range):
        value = list(value)
    if isinstance(expected, bool) or isinstance(value, bool):
        return value is expected
    if isinstance(expected, int | float):
        if not isinstance(value, int | float):
            return False
        return math.isclose(value, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (math.isnan(value) and math.isnan(expected))
    if isinstance(expected, list | tuple):
        # zip would stop at the shorter one
        return isinstance(value, list | tuple) and len(value) == len(expected) and all(map(same, value, expected))
    if isinstance(expected, Mapping):
        keys = list if isinstance(expected, OrderedDict) else set
        return isinstance(value, Mapping) and keys(value) == keys(expected) and all(same(value[key], expected[key]) for key in expected)
    try:
        return bool(value == expected)
    except Exception:  # an object of the answer's own that cannot be compared is not the expected one
        return False


def _shape_advice(value: Any, expected: Any) -> str:
    """A sentence where the kind of result is wrong, whatever its content."""
    value, expected = (item.tolist() if hasattr(item, "tolist") else item for item in (value, expected))
    row = isinstance(expected, list | tuple)
    if row and isinstance(value, list | tuple) and len(value) != len(expected):
        return f"It has {len(value)} items; {len(expected)} were expected."
    if row != isinstance(value, list | tuple) or (value is None):
        return f"It is of type `{type(value).__name__}`; a `{type(expected).__name__}` was expected."
    return ""


def _call(exercise: Exercise, case: Case) -> str:
    return f"{exercise.name}({', '.join(map(_shown, case.arguments))})"


def _shown(value: Any, limit: int = 160) -> str:
    """A value as a reader would type it: floats short, arrays as lists, numpy's numbers without their type."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return f"{value:.1f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.4g}"
    if isinstance(value, list):
        text = f"[{', '.join(map(_shown, value))}]"
    elif isinstance(value, tuple):
        text = f"({', '.join(map(_shown, value))}{',' if len(value) == 1 else ''})"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{_shown(key)}: {_shown(item)}" for key, item in value.items()) + "}"
    else:
        try:
            text = repr(value)
        except Exception:
            text = f"an object of type {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 4] + " ..."


def _error(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:200]}" if words else type(error).__name__


def _where(exercise: Exercise) -> str:
    return f"src/teaching/exercises/{Path(inspect.getsourcefile(exercise.solution) or '').name}"
