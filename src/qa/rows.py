"""A question as all of `qa` reads it, one row, and the check of rows.

A reader of files brings each question into SQuAD's own fields and hands it to `Questions`. Nothing
is dropped, shortened or repaired: what is wrong is noted, and one error tells the first problem of
each kind.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from datasets import Dataset, Features, List, Value

FEATURES = Features(
    {
        "id": Value("string"),
        "title": Value("string"),
        "context": Value("string"),
        "question": Value("string"),
        "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
    }
)
NEEDS_NO_ANSWERS = "`python -m src.qa answer` needs none"
KINDS_TOLD = 5  # of problems, each with its first place
PLACES_TOLD = 4  # of the others of one kind

_QUESTION = "a question has `id`, `question`, `context` (its passage) and `answers`"
_ANSWER = "an answer has `text` and `answer_start`"
_KINDS = {list: "a list", str: "text", int: "a whole number", bool: "true or false"}


def dataset_of(rows: Sequence[Mapping[str, Any]]) -> Dataset:
    """Rows as a Dataset with FEATURES, also where there are none."""
    columns = {name: [row[name] for row in rows] for name in FEATURES}
    return Dataset.from_dict(columns, features=FEATURES)


class SquadFormatError(ValueError):
    """Questions that cannot be loaded; one line: file, place, what is wrong, what to do."""


class Fault(Exception):
    """One thing that is wrong in a file.

    Args:
        says: what was found and what to do, without a full stop.
        kind: the same for problems of which one is enough to tell.
    """

    def __init__(self, says: str, kind: str):
        super().__init__(says)
        self.kind = kind
        self.place: tuple[str, ...] = ()  # in the file, from the whole to the part


class Questions:
    """The questions of one source as they are read, and all problems met on the way.

    `name` is what errors call the source. Without `answers` none are read.
    """

    def __init__(self, name: str, answers: bool):
        self.name, self.answers = name, answers
        self._columns: dict[str, list] = {column: [] for column in FEATURES}
        self._places: dict[str, str] = {}  # of each id
        self._place: list[str] = []
        self._problems: dict[str, list[Fault]] = {}

    @contextmanager
    def within(self, *place: str) -> Iterator[None]:
        """Note a problem that is met in this part of the file, and go on behind it."""
        self._place += place
        try:
            yield
        except Fault as problem:
            problem.place = tuple(self._place)
            self._problems.setdefault(problem.kind, []).append(problem)
        finally:
            del self._place[len(self._place) - len(place) :]

    def add(self, fields: Any, **given: Any) -> None:
        """Check a question and take it as a row; Fault where something is wrong with it.

        Args:
            fields: SQuAD's, and others, which are ignored. `title` may be left out, `id` and
                `title` be whole numbers, and `answers` have the Hub's layout.
            given: fields that are found elsewhere in the file.
        """
        check_fields(fields, {}, _QUESTION)
        fields = {**fields, **given}
        for field in ("id", "title"):
            if type(fields.get(field)) is int:
                fields[field] = str(fields[field])
        if fields.get("title") is None:
            fields["title"] = ""
        texts = ("id", "title", "context", "question")
        check_fields(fields, dict.fromkeys(texts, str), _QUESTION)
        for field in ("id", "question"):
            if not fields[field].strip():
                raise Fault(f"`{field}` is empty; fill it in", f"{field} empty")
        answers = self._read_answers(fields) if self.answers else {"text": [], "answer_start": []}
        if fields["id"] in self._places:
            says = f"this id is already in {self._places[fields['id']]}"
            raise Fault(f"{says}; give every question its own", "id twice")
        self._places[fields["id"]] = ", ".join(self._place)
        for column in self._columns:
            self._columns[column].append(answers if column == "answers" else fields[column])

    def _read_answers(self, fields: Mapping[str, Any]) -> dict[str, list]:
        """The answers in the Hub's layout, empty lists for none."""
        found, impossible = fields.get("answers"), fields.get("is_impossible")
        may_be_empty = bool(impossible)
        if impossible is not None:
            check_fields(fields, {"is_impossible": bool}, _QUESTION)
        if isinstance(found, dict):
            may_be_empty = impossible is not False
            found = _list_of_answers(found)
        if not found and not may_be_empty:
            advice = "give it one, or set `is_impossible` to true (SQuAD v2.0)"
            raise Fault(f"has no `answers`; {advice}; {NEEDS_NO_ANSWERS}", "no answers")
        found = [] if found is None else found
        if not isinstance(found, list):
            raise Fault(f"`answers` is {show(found)}; make it a list", "answers")
        if impossible and found:
            says = "`is_impossible` is true, yet it has answers; empty them, or set it to false"
            raise Fault(says, "impossible with answers")
        answers = {"text": [], "answer_start": []}
        for number, answer in enumerate(found, 1):
            with self.within(f"answer {number}"):
                check_fields(answer, {"text": str, "answer_start": int}, _ANSWER)
                _check_span(fields["context"], answer["text"], answer["answer_start"])
                for field, values in answers.items():
                    values.append(answer[field])
        return answers

    def dataset(self, may_be_empty: bool = False) -> Dataset:
        """Return the rows.

        Raises:
            SquadFormatError: there are problems, or no question.
        """
        if self._problems:
            kinds = list(self._problems.values())
            message = " Also ".join(map(_tell, kinds[:KINDS_TOLD]))
            more = len(kinds) - KINDS_TOLD
            if more > 0:
                message += f" And problems of {more} more kind{'s' if more > 1 else ''}."
            comma = ", " if kinds[0][0].place else ""
            raise SquadFormatError(f"{self.name}{comma}{message}")
        if not self._places and not may_be_empty:
            raise SquadFormatError(f"{self.name}: holds no question.")
        return Dataset.from_dict(self._columns, features=FEATURES)


def _tell(problems: list[Fault]) -> str:
    first, *others = problems
    also = ""
    if others:
        places = "; ".join(", ".join(other.place[-2:]) for other in others[:PLACES_TOLD])
        more = len(others) - PLACES_TOLD
        also = f" (also {places}{f' and {more} more' if more > 0 else ''})"
    return f"{', '.join(first.place)}: {first}{also}."


def _list_of_answers(answers: dict) -> list[dict[str, Any]]:
    check_fields(answers, {"text": list, "answer_start": list}, _ANSWER)
    texts, starts = answers["text"], answers["answer_start"]
    if len(texts) != len(starts):
        raise Fault(f"{len(texts)} answer texts, {len(starts)} offsets; pair them", "pairs")
    pairs = zip(texts, starts, strict=True)
    return [{"text": text, "answer_start": start} for text, start in pairs]


def check_fields(found: Any, fields: Mapping[str, type], shape: str) -> None:
    """Check that `found` is an object with fields of these very types, its text fit for UTF-8.

    A bool is no int. `shape` is what the Fault says it should be.
    """
    if not isinstance(found, dict):
        raise Fault(f"found {show(found)} where an object belongs; {shape}", f"object: {shape}")
    for field, kind in fields.items():
        if field not in found:
            raise Fault(f"the field `{field}` is missing; {shape}", f"{field} missing")
        value = found[field]
        if type(value) is not kind:
            says = f"`{field}` is {show(value)}; make it {_KINDS[kind]}"
            raise Fault(says, f"{field} type")
        if kind is str:
            _check_characters(field, value)


def _check_characters(field: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        broken = f"half of a character, {show(text[error.start])}, at offset {error.start}"
        says = f"`{field}` holds {broken} (a lone surrogate); write the whole character"
        raise Fault(says, "surrogate") from None


# --- the place of an answer


def _check_span(context: str, text: str, start: int) -> None:
    if not text.strip():
        says = f"the answer {show(text)} is blank; copy it from the passage, or leave it out"
        raise Fault(says, "blank answer")
    if start >= 0 and context.startswith(text, start):
        return
    found = f"the answer {show(text)} is not at offset {show(start)}"
    if start < 0:
        found += " (below zero)"
    elif start >= len(context):
        found += f" (the passage has {len(context)} characters)"
    else:
        found += f", where there is {show(context[start : start + len(text)])}"
    starts = places_of(text, context)
    if not starts:
        advice = f"nor anywhere in the passage{why_absent(text, context)}"
        raise Fault(f"{found}, {advice}; copy it from there letter for letter", "offset")
    advice = f"it occurs at {first_three(starts)}: set `answer_start` to the one meant"
    for at in starts[:4]:
        if start in (len(context[:at].encode()), len(context[:at].encode("utf-16-le")) // 2):
            units = "offsets count characters, not bytes or UTF-16 units"
            advice = f"{units}: set `answer_start` to {at}"
    raise Fault(f"{found}; {advice}", "offset")


def places_of(text: str, context: str) -> list[int]:
    """Offsets at which `text` occurs in `context`; occurrences may overlap."""
    starts, at = [], context.find(text)
    while at >= 0:
        starts.append(at)
        at = context.find(text, at + 1)
    return starts


def first_three(starts: list[int]) -> str:
    """Offsets for an error message."""
    return ", ".join(map(str, starts[:3])) + (" and on" if len(starts) > 3 else "")


def why_absent(text: str, context: str) -> str:
    """A hint in parentheses where a text that is not in the passage nearly is."""
    if text.strip() in context:
        return " (it is there without the blanks around it)"
    text, context = (unicodedata.normalize("NFKC", each).casefold() for each in (text, context))
    alike = " in these very characters (capitals, accents or look-alikes differ)"
    return alike if text in context else ""


# --- how errors show things


def show(value: Any) -> str:
    """`value` for an error message: one line, printable, short; as Python or JSON writes it."""
    shown = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


def name_of(source: object) -> str:
    """What errors call a source: a path, escaped where it would break the line, or a kind."""
    if isinstance(source, (Dataset, Mapping)):
        return f"the {type(source).__name__} given"
    name = str(source)
    return name if name.isprintable() and name else repr(name)
