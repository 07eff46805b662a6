"""What an exercise is: a solution, the cases it is tried on, and the mistakes that people make."""

import ast
import functools
import itertools
import re
import sys
import textwrap
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, eq=False)
class Exercise:
    """All there is to one exercise; its id is the notebook's number and the solution's name.

    Args:
        solution: a function whose docstring says what to write, with an example "... gives ...".
        hint, insight: what helps someone who is stuck, and what to say after the right answer.
        cases: from plain to subtle; the first that fails is shown.
        mistakes: wrong answers, each with the sentence that names the mistake below it, behind #.
            A wrong answer is one or more changes in the solution, "old -> new", each on a line
            of its own (a long one goes on with "-> new"); or the body of a function, as a reader
            would write it.
    """

    solution: Callable[..., Any]
    hint: str
    insight: str
    cases: list[Case]
    mistakes: str

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
        """For example "08.best_span", of the function in notebook_08.py."""
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
    def wrong_answers(self) -> list[tuple[Callable[..., Any], str]]:
        """The mistakes as functions, each with its sentence.

        Raises:
            ValueError: one changes what is not in the solution.
        """
        lines = textwrap.dedent(self.mistakes).strip().splitlines()
        parts = itertools.groupby(lines, key=lambda line: line.startswith("# "))
        texts = ["\n".join(part).replace("\n# ", " ") for _, part in parts]
        return [
            (self.with_body(self._changed(wrong) if "->" in wrong else wrong), says[2:])
            for wrong, says in zip(texts[::2], texts[1::2], strict=True)
        ]

    def with_body(self, body: str) -> Callable[..., Any]:
        """An answer to the exercise: the stub with `body` in place of its last line."""
        made: dict[str, Any] = {}
        exec(f"{self._head}{textwrap.indent(body, '    ')}", self.solution.__globals__, made)
        return made[self.name]

    def _changed(self, changes: str) -> str:
        body = self._head_and_body[1]
        for change in changes.replace("\n->", " ->").splitlines():
            old, _, new = (part.strip() for part in change.partition("->"))
            if old not in body:
                raise ValueError(f"{self.id}: a mistake changes {old!r}: not in the solution.")
            body = body.replace(old, new)
        return body

    @functools.cached_property
    def _head_and_body(self) -> tuple[str, str]:
        source = source_of(self.solution)
        end = ast.parse(source).body[0].body[0].end_lineno  # type: ignore[attr-defined]
        lines = source.splitlines(keepends=True)
        return "".join(lines[:end]), textwrap.dedent("".join(lines[end:]))

    @property
    def _head(self) -> str:
        return f"{self._imports}{self._head_and_body[0]}"

    @property
    def _imports(self) -> str:
        tree = ast.parse(source_of(self.solution))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        file = source_of(sys.modules[self.solution.__module__])
        lines = re.findall(r"^(?:from|import) .*\n+", file, re.M)
        needed = [line for line in lines if re.findall(r"\w+", line)[-1] in used]
        return "".join(needed).rstrip() + "\n\n\n" if needed else ""
