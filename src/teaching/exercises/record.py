"""What an exercise is: a solution, the cases it is tried on, and the mistakes that people make."""

from __future__ import annotations

import ast
import functools
import sys
import textwrap
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from src.teaching.sources import source_of


class Case:
    """One call of the answer, and what it must return.

    Args:
        arguments: what the answer is called with. A list becomes an array where the solution
            takes an np.ndarray.
        gives: what it must return; left out, what the solution returns.
        here: what the case is about, as the end of a sentence "Here, ...".
    """

    def __init__(self, *arguments: Any, gives: Any = ..., here: str = "") -> None:
        self.arguments, self.gives, self.here = arguments, gives, here


class Mistake(NamedTuple):
    """A sentence for someone who makes a mistake, and what gives the mistake away.

    `answers` are wrong answers; `signs` are conditions on the value of a case.
    """

    says: str
    answers: list[Callable[..., Any]]
    signs: list[str]


@dataclass(frozen=True, eq=False)
class Exercise:
    """All there is to one exercise; its id is the notebook's number and the solution's name.

    Args:
        solution: a function whose docstring says what to write, with an example "... gives ...".
        hint: what helps someone who is stuck.
        insight: what to say after the right answer.
        cases: from plain to subtle; the first that fails is shown.
        mistakes: wrong answer -> the sentence that names the mistake. A wrong answer is
            "old -> new", a change in the solution ("; " between several changes);
            "return ...", the body of a function, as a reader would write it; or
            "if ...", a condition on a wrong result: it can use the arguments by name,
            `value` (what the answer returned) and `expected`.
            Several wrong answers for one sentence are a tuple.
    """

    solution: Callable[..., Any]
    hint: str
    insight: str
    cases: list[Case]
    mistakes: Mapping[str | tuple[str, ...], str]

    def __post_init__(self) -> None:
        kinds = self.solution.__annotations__.values()
        for case in self.cases:
            case.arguments = tuple(
                np.array(value) if kind is np.ndarray and isinstance(value, list) else value
                for kind, value in zip(kinds, case.arguments, strict=False)
            )

    @property
    def name(self) -> str:
        """The name of the function to write."""
        return self.solution.__name__

    @property
    def id(self) -> str:
        """For example "06.best_span", of the function in notebook_06.py."""
        return f"{self.solution.__module__.rpartition('_')[2]}.{self.name}"

    @property
    def stub(self) -> str:
        """The source of the stub's cell: the solution without its body."""
        return f"{self._head}    return ...  # your code here, in place of the three dots"

    @property
    def solved(self) -> str:
        """The source of the stub's cell with the solution in it."""
        return f"{self._imports}{source_of(self.solution).rstrip()}"

    @functools.cached_property
    def expected(self) -> list[Any]:
        """What each case must return."""
        return [
            self.solution(*deepcopy(case.arguments)) if case.gives is ... else case.gives
            for case in self.cases
        ]

    @functools.cached_property
    def known_mistakes(self) -> list[Mistake]:
        """The mistakes as functions and conditions.

        Raises:
            ValueError: a mistake is written in none of the three ways.
        """
        found = []
        for wrong, says in self.mistakes.items():
            ways = (wrong,) if isinstance(wrong, str) else wrong
            signs = [way for way in ways if way.startswith("if ") and "->" not in way]
            answers = [self.with_body(self._body(way)) for way in ways if way not in signs]
            found.append(Mistake(says, answers, [sign.removeprefix("if ") for sign in signs]))
        return found

    def with_body(self, body: str) -> Callable[..., Any]:
        """An answer to the exercise: the stub with `body` in place of its last line."""
        made: dict[str, Any] = {}
        exec(f"{self._head}{textwrap.indent(body, '    ')}", self.solution.__globals__, made)
        return made[self.name]

    def shows(self, sign: str, case: Case, expected: Any, value: Any) -> bool:
        """Whether the condition `sign` of a mistake holds for what an answer returned."""
        parameters = self.solution.__code__.co_varnames
        names = dict(zip(parameters, case.arguments, strict=False))
        names |= {"value": value, "expected": expected}
        try:
            return bool(eval(sign, self.solution.__globals__ | names))
        except Exception:  # a value of another kind than the condition is about
            return False

    def _body(self, wrong: str) -> str:
        """The body of a wrong answer."""
        if "->" not in wrong:
            return wrong
        body = self._lines[1]
        for change in wrong.split("; "):
            old, _, new = (part.strip() for part in change.partition("->"))
            if old not in body:
                raise ValueError(
                    f"{self.id}: a mistake changes {old!r}, which the solution has not."
                )
            body = body.replace(old, new)
        return body

    @functools.cached_property
    def _lines(self) -> tuple[str, str]:
        """The solution's source up to its docstring, and its body without indent."""
        source = source_of(self.solution)
        end = ast.parse(source).body[0].body[0].end_lineno  # type: ignore[attr-defined]
        lines = source.splitlines(keepends=True)
        return "".join(lines[:end]), textwrap.dedent("".join(lines[end:]))

    @property
    def _head(self) -> str:
        return f"{self._imports}{self._lines[0]}"

    @property
    def _imports(self) -> str:
        """What the solution needs imported, out of the imports of its file."""
        tree = ast.parse(source_of(self.solution))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        parts: dict[int, list[str]] = {}
        for node in ast.parse(source_of(sys.modules[self.solution.__module__])).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                node.names = [alias for alias in node.names if (alias.asname or alias.name) in used]
                if node.names:
                    package = (getattr(node, "module", None) or node.names[0].name).split(".")[0]
                    part = 0 if package in sys.stdlib_module_names else 2 if package == "src" else 1
                    parts.setdefault(part, []).append(ast.unparse(node))
        text = "\n\n".join("\n".join(parts[part]) for part in sorted(parts))
        return f"{text}\n\n\n" if text else ""
