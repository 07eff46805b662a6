"""Whether an answer is right, and if not, which known mistake it looks like."""

from __future__ import annotations

import copy
import functools
import inspect
import math
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from src.teaching.exercises.record import Case, Exercise

SECONDS = 2.0  # for all cases; a loop that never ends fills the memory if it is given much longer
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Verdict:
    """What a check found. `message` is Markdown; a line indented by four spaces is code."""

    status: Literal["passed", "wrong", "not attempted"]
    message: str

    @property
    def passed(self) -> bool:
        """Whether every case came out right."""
        return self.status == "passed"


@dataclass(frozen=True)
class _Outcome:
    """What an answer did with one case: `value`, or `error` and where in its code it arose."""

    value: Any = None
    error: BaseException | None = None
    line: str = ""

    def like(self, other: _Outcome) -> bool:
        return type(self.error) is type(other.error) and same(self.value, other.value)


class _OutOfTime(BaseException):
    """Stops an answer that never ends; no Exception, or the answer's `except` could catch it."""


def grade_answer(found: Exercise, answer: object) -> Verdict:
    """Try `answer` on the cases of an exercise. Never raises because of the answer."""
    name = found.name
    if answer is ...:
        return Verdict("not attempted", f"`{name}`: not attempted yet.")
    if not callable(answer):
        call = f'`check("{found.id}", {name})`'
        needs = f"`check` needs the function itself: {call}. {_shown(answer)} cannot be called."
        return Verdict("wrong", needs)
    outcomes = _run(answer, found.cases)
    failing = [
        number
        for number, (outcome, expected) in enumerate(zip(outcomes, found.expected, strict=True))
        if outcome.error is not None or not same(outcome.value, expected)
    ]
    if not failing:
        passed = f"**Right.** `{name}` passes all {len(found.cases)} cases. {found.insight}"
        return Verdict("passed", passed)
    first = outcomes[failing[0]]
    if first.value is ...:
        todo = "Put your code in place of the `...`, then run its cell and this one."
        return Verdict("not attempted", f"`{name}`: not attempted yet. {todo}")
    if all(outcome.error is None and outcome.value is None for outcome in outcomes):
        why = "Is the `return` missing, or does it only print the result?"
        return Verdict("wrong", f"`{name}` returns `None` every time. {why}")
    return Verdict("wrong", "\n\n".join(_what_is_wrong(found, outcomes, failing)))


def _what_is_wrong(found: Exercise, outcomes: list[_Outcome], failing: list[int]) -> list[str]:
    number = failing[0]
    case, first, expected = found.cases[number], outcomes[number], found.expected[number]
    if first.error is None:
        happened = f"returned {_shown(first.value)}"
    elif isinstance(first.error, _OutOfTime):
        happened = f"was still running after {SECONDS:g} seconds, and was stopped"
    else:
        words = " ".join(str(first.error).split())[:200]
        happened = f"raised {type(first.error).__name__}: {words}{first.line}"
    call = f"{found.name}({', '.join(map(_shown, case.arguments))})"
    fail = "case fails" if len(failing) == 1 else "cases fail"
    said = [
        f"**Not yet.** {len(failing)} {fail} of {len(found.cases)}; the first:",
        f"    {call}\n    {happened}\n    expected {_shown(expected)}",
    ]
    if isinstance(first.error, _OutOfTime):
        said.append("Does your loop ever end? Look at what must change from round to round.")
    if case.here:
        said.append(f"Here, {case.here}.")
    if mistake := _diagnose(found, outcomes, number):
        said.append(f"**This looks like a known mistake.** {mistake}")
    elif first.error is None and (advice := _shape_advice(first.value, expected)):
        said.append(advice)
    return said


def _diagnose(found: Exercise, outcomes: list[_Outcome], first: int) -> str:
    """The sentence of the mistake that gives what the answer gave on its first failing case.

    Of several, the one that agrees with the answer on most cases, right ones too; "" if there is
    none.
    """
    best, most = "", 0
    for wrong, says in _tried_mistakes(found):
        agreement = sum(map(_Outcome.like, outcomes, wrong))
        if outcomes[first].like(wrong[first]) and agreement > most:
            best, most = says, agreement
    return best


@functools.cache
def _tried_mistakes(found: Exercise) -> list[tuple[list[_Outcome], str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy: many mistakes divide by zero
        return [(_run(wrong, found.cases), says) for wrong, says in found.wrong_answers]


def _run(answer: Callable[..., Any], cases: Sequence[Case]) -> list[_Outcome]:
    """One outcome per case. Once the time is up, the remaining cases count as out of time too."""
    outcomes: list[_Outcome] = []
    try:
        with _time_limit(SECONDS):
            for case in cases:
                try:
                    # A copy: an answer that changes its arguments must not change the next check.
                    outcomes.append(_Outcome(answer(*copy.deepcopy(case.arguments))))
                except (Exception, SystemExit) as error:
                    outcomes.append(_Outcome(error=error, line=_line_in(answer, error)))
    except _OutOfTime as error:
        outcomes += [_Outcome(error=error)] * (len(cases) - len(outcomes))
    return outcomes


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise _OutOfTime in this block after `seconds`, on Unix and in the main thread."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    others = signal.setitimer(signal.ITIMER_REAL, seconds)[0]  # such as a test's time limit
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, others)
        signal.signal(signal.SIGALRM, before)


def _line_in(answer: Callable[..., Any], error: BaseException) -> str:
    code = getattr(inspect.unwrap(answer), "__code__", None)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if code is not None and frame.filename == code.co_filename and frame.line:
            return f"\n    in line {frame.lineno} of its cell: {frame.line}"
    return ""


def _plain(value: Any) -> Any:
    """Arrays and numbers of numpy and torch as Python's own; every mapping as a dict."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, range):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def same(value: Any, expected: Any) -> bool:
    """Whether a result is the expected one: arrays, lists and tuples are alike, floats to 1e-6.

    The order of a dict counts.
    """
    value, expected = _plain(value), _plain(expected)
    if isinstance(value, list | tuple) and isinstance(expected, list | tuple):
        return len(value) == len(expected) and all(map(same, value, expected))
    if {type(value), type(expected)} <= {int, float}:
        close = math.isclose(value, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        return close or (math.isnan(value) and math.isnan(expected))
    if type(value) is not type(expected):
        return False
    if isinstance(expected, dict):
        return list(value) == list(expected) and all(map(same, value.values(), expected.values()))
    return bool(value == expected)


def _shape_advice(value: Any, expected: Any) -> str:
    value, expected = _plain(value), _plain(expected)
    rows = [isinstance(item, list | tuple) for item in (value, expected)]
    if all(rows) and len(value) != len(expected):
        return f"It has {len(value)} items; {len(expected)} were expected."
    if rows[0] != rows[1] or value is None:
        wanted = type(expected).__name__
        return f"It is of type `{type(value).__name__}`; a `{wanted}` was expected."
    return ""


def _shown(value: Any, limit: int = 160) -> str:
    """A value as a reader would type it: short floats, arrays as lists."""
    try:
        text = repr(_rounded(value))
    except Exception:
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 4] + " ..."


def _rounded(value: Any) -> Any:
    value = _plain(value)
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, list | tuple):
        return type(value)(map(_rounded, value))
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value
