"""What a question is, and SQuAD JSON: each is checked, and one error tells of all that is wrong.

Nothing is dropped, shortened or repaired. A reader of files adds each question to `Questions`,
notes each problem there, and ends with `Questions.dataset()`, which returns the rows or raises.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
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

KINDS_TOLD, LINES_TOLD = 5, 5
NEEDS_NO_ANSWERS = "`python -m src.qa answer` needs none"

_FILE = (
    "a SQuAD file is an object with a list `data` of articles; rows of questions belong in a .jsonl"
)
_ARTICLE = (
    "an article has `paragraphs`, and may have a `title`; rows of questions belong in a .jsonl"
)
_PARAGRAPH = "a paragraph has `context` and `qas`"
_QUESTION = "a question has `id`, `question` and `answers`"
_ANSWER = "an answer has `text` and `answer_start`"

# How files begin that people give in place of text.
_PACKED = {
    b"PK\x03\x04": "an Excel workbook or another zip archive; save it as 'CSV UTF-8', or unpack it",
    b"\x1f\x8b": "packed with gzip; unpack it first",
    b"PAR1": "a parquet file; put it in a folder and give the folder",
}


class SquadFormatError(ValueError):
    """Questions that cannot be loaded; one line: file, place, what is wrong, what to do."""


class Problem(Exception):
    """One thing that is wrong in a file.

    Args:
        where: the file and the place in it.
        says: what was found and what to do, without a full stop.
        kind: the same for problems of which one is enough to tell.
    """

    def __init__(self, where: str, says: str, kind: str):
        super().__init__(where, says)
        self.where, self.says, self.kind = where, says, kind
        self.line: int | None = None  # of the file, counted from one, where it has lines


class Questions:
    """The questions of one source as they are read, and all problems met on the way."""

    def __init__(self, name: str):
        self.name = name
        self._columns: dict[str, list] = {column: [] for column in FEATURES}
        self._places: dict[str, str] = {}
        self._problems: dict[str, list[Problem]] = {}

    @contextmanager
    def noting(self, line: int | None = None) -> Iterator[None]:
        """Note a problem met inside and go on behind it."""
        try:
            yield
        except Problem as problem:
            problem.line = line
            self._problems.setdefault(problem.kind, []).append(problem)

    def add(self, where: str, row: Mapping[str, Any]) -> None:
        """Take a checked row, with the columns of `FEATURES`; its id must be new."""
        if row["id"] in self._places:
            place = self._places[row["id"]]
            says = f"this id is already in {place}; give every question its own"
            raise Problem(where, says, "id twice")
        self._places[row["id"]] = where.removeprefix(f"{self.name}, ")
        for column, values in self._columns.items():
            values.append(row[column])

    def _raise_problems(self) -> None:
        """Raise SquadFormatError with the first problem of each kind, and how many others."""
        if not self._problems:
            return
        told = [_tell(problems) for problems in list(self._problems.values())[:KINDS_TOLD]]
        sentences = [told[0], *(f"Also {also.removeprefix(f'{self.name}, ')}" for also in told[1:])]
        more = len(self._problems) - KINDS_TOLD
        if more > 0:
            sentences.append(f"And problems of {more} more kind{'s' if more > 1 else ''}.")
        raise SquadFormatError(" ".join(sentences))

    def dataset(self, empty: str = "") -> Dataset:
        """Return the rows.

        Args:
            empty: what the error says where there are none; "" allows that.

        Raises:
            SquadFormatError: problems were noted, or there is no question.
        """
        self._raise_problems()
        if empty and not self._places:
            raise SquadFormatError(f"{self.name}: {empty}.")
        return Dataset.from_dict(self._columns, features=FEATURES)


def _tell(problems: list[Problem]) -> str:
    first, *others = problems
    lines = [str(problem.line) for problem in others[: LINES_TOLD - 1] if problem.line is not None]
    more = len(others) - len(lines)
    also = ""
    if lines:
        plural = "s" if len(others) > 1 else ""
        also = f" (also line{plural} {', '.join(lines)}{f' and {more} more' if more else ''})"
    elif others:
        also = f" (and {more} more like it)"
    return f"{first.where}: {first.says}{also}."


def load_squad_json(file: str | PathLike[str], answers: bool = True) -> Dataset:
    """Read a SQuAD v1.1 or v2.0 JSON file. Arguments and errors as `dataset_from_squad`."""
    name = name_of(file)
    text = read_text(file)
    try:
        return dataset_from_squad(parse_json(text, name), name, answers)
    except Problem as problem:
        raise SquadFormatError(_tell([problem])) from None


def dataset_from_squad(squad: Any, name: str = "the SQuAD object", answers: bool = True) -> Dataset:
    """Turn a parsed SQuAD v1.1 or v2.0 object into rows, checking every level of it.

    What annotation tools write is read too: articles without a title get "", a whole number as id
    becomes its text, and `answers` may be null or missing where `is_impossible` is true.
    Other fields are ignored.

    Args:
        squad: the object.
        name: what errors call it (its file).
        answers: False reads no answers, and leaves them empty.

    Returns:
        Rows with `FEATURES`, in the order of the file.

    Raises:
        SquadFormatError: something is wrong; the message has the first problem of each kind.
    """
    questions = Questions(name)
    with questions.noting():
        check_fields(name, squad, {"data": list}, _FILE)
        for a, article in enumerate(squad["data"], 1):
            with questions.noting():
                _read_article(questions, f"{name}, article {a}", article, answers)
    return questions.dataset(
        "holds no question; it needs at least one in data[..].paragraphs[..].qas"
    )


def _read_article(questions: Questions, where: str, article: Any, answers: bool) -> None:
    check_fields(where, article, {}, _ARTICLE)
    title = text_or_number(where, article, "title") or ""
    where = f"{where} {show(title)}" if title else where
    check_fields(where, article, {"paragraphs": list}, _ARTICLE)
    for p, paragraph in enumerate(article["paragraphs"], 1):
        where_paragraph = f"{where}, paragraph {p}"
        with questions.noting():
            check_fields(where_paragraph, paragraph, {"context": str, "qas": list}, _PARAGRAPH)
            for q, qa in enumerate(paragraph["qas"], 1):
                with questions.noting():
                    context = paragraph["context"]
                    where_question, row = _read_question(where_paragraph, q, qa, context, answers)
                    questions.add(where_question, row | {"title": title, "context": context})


def _read_question(
    where: str, number: int, qa: Any, context: str, answers: bool
) -> tuple[str, dict[str, Any]]:
    """Check one question; returns where it is, by its id, and its id, question and answers."""
    check_fields(f"{where}, question {number}", qa, {}, _QUESTION)
    qid = text_or_number(f"{where}, question {number}", qa, "id")
    if qid is None:
        check_fields(f"{where}, question {number}", qa, {"id": str}, _QUESTION)
    where = f"{where}, question {show(qid)}"
    check_fields(where, qa, {"question": str}, _QUESTION)
    for field, text in (("id", qid), ("question", qa["question"])):
        check_not_blank(f"{where} (number {number})", field, text)
    found = read_answers(where, context, qa) if answers else no_answers()
    return where, {"id": qid, "question": qa["question"], "answers": found}


def no_answers() -> dict[str, list]:
    return {"text": [], "answer_start": []}


def read_answers(
    where: str, context: str, qa: Mapping[str, Any], hub: bool = False
) -> dict[str, list]:
    """Check the answers of a question and give them in the Hub's layout, empty lists for none.

    Args:
        where: for errors.
        context: the passage.
        qa: the question, with SQuAD's list of answers.
        hub: also take the Hub's {"text": [...], "answer_start": [...]}, where empty lists mean an
            unanswerable question; in SQuAD's layout `is_impossible` says so.

    Raises:
        Problem: they are not right, or not there.
    """
    impossible = qa.get("is_impossible", False)
    if type(impossible) is not bool:
        raise Problem(
            where, f"`is_impossible` is {show(impossible)}; make it true or false", "is_impossible"
        )
    if "answers" not in qa and not impossible:
        says = f"the field `answers` is missing; give the question its answers ({NEEDS_NO_ANSWERS})"
        raise Problem(where, says, "answers missing")
    found = qa.get("answers")
    may_be_empty = impossible
    if hub and type(found) is dict:
        may_be_empty = impossible or "is_impossible" not in qa
        found = _paired(where, found)
    if found is None:
        found = []
    if type(found) is not list:
        raise Problem(where, f"`answers` is {show(found)}; make it a list", "answers")
    if impossible and found:
        says = "`is_impossible` is true, yet it has answers; empty `answers`, or set it to false"
        raise Problem(where, says, "impossible with answers")
    if not found and not may_be_empty:
        advice = "give one, or set `is_impossible` to true (SQuAD v2.0)"
        says = f"has no answers; {advice}; {NEEDS_NO_ANSWERS}"
        raise Problem(where, says, "no answers")
    for number, answer in enumerate(found, 1):
        place = f"{where}, answer {number}"
        check_fields(place, answer, {"text": str, "answer_start": int}, _ANSWER)
        check_span(place, context, answer["text"], answer["answer_start"])
    return {field: [answer[field] for answer in found] for field in ("text", "answer_start")}


def _paired(where: str, answers: dict) -> list[dict[str, Any]]:
    """The Hub's layout as SQuAD's list of answers."""
    check_fields(
        where,
        answers,
        {"text": list, "answer_start": list},
        "`answers` has `text` and `answer_start`",
    )
    texts, starts = answers["text"], answers["answer_start"]
    check_pairs(where, texts, starts)
    return [
        {"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)
    ]


def check_pairs(where: str, texts: list, starts: list) -> None:
    if len(texts) != len(starts):
        raise Problem(
            where, f"{len(texts)} answer texts, {len(starts)} offsets; pair them", "pairs"
        )


def check_span(where: str, context: str, text: str, start: int) -> None:
    """Raise a Problem unless `text` is in `context` at `start`, in characters."""
    if not text.strip():
        raise Problem(
            where, f"the answer {show(text)} is blank; copy it from the passage", "blank answer"
        )
    if start < 0 or not context.startswith(text, start):
        found = f"the answer {show(text)} is not at offset {show(start)}"
        raise Problem(where, found + _instead(context, text, start), "offset")


def places_of(text: str, context: str) -> list[int]:
    """Offsets at which `text` occurs in `context`; occurrences may overlap."""
    starts, at = [], context.find(text)
    while at >= 0:
        starts.append(at)
        at = context.find(text, at + 1)
    return starts


def why_absent(text: str, context: str) -> str:
    """A hint in parentheses where a text that is not in the passage nearly is."""
    if text.strip() in context:
        return " (it is there without the blanks around it)"
    same_look = (
        unicodedata.normalize("NFKC", text).casefold()
        in unicodedata.normalize("NFKC", context).casefold()
    )
    return (
        " in these very characters (capitals, accents or look-alikes differ)" if same_look else ""
    )


def _instead(context: str, text: str, start: int) -> str:
    """The rest of the sentence for an answer that is not at its offset."""
    if start < 0:
        found = " (below zero)"
    elif start >= len(context):
        found = f" (the passage has {len(context)} characters)"
    else:
        found = f", where there is {show(context[start : start + len(text)])}"
    starts = places_of(text, context)
    if not starts:
        nowhere = f"nor anywhere in the passage{why_absent(text, context)}"
        return f"{found}, {nowhere}; copy it from there letter for letter"
    for at in starts[:4]:
        if start in (len(context[:at].encode()), len(context[:at].encode("utf-16-le")) // 2):
            units = "offsets count characters, not bytes or UTF-16 units"
            return f"{found}; {units}: set `answer_start` to {at}"
    listed = ", ".join(map(str, starts[:3]))
    if len(starts) == 1:
        return f"{found}; it occurs at {listed}: set `answer_start` to that"
    more = " and on" if len(starts) > 3 else ""
    return f"{found}; it occurs at {listed}{more}: set `answer_start` to the one meant"


# --- text and JSON ----------------------------------------------------------------------------


def read_text(file: str | PathLike[str]) -> str:
    """The text of a UTF-8 file, without a byte order mark. Raises SquadFormatError."""
    name = name_of(file)
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        says = f"cannot be read ({error.strerror}); check the path and its permissions"
        raise SquadFormatError(f"{name}: {says}.") from None
    for start, what in _PACKED.items():
        if data.startswith(start):
            raise SquadFormatError(f"{name}: is {what}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        found = "UTF-16" if utf16 else f"byte {error.start}, in line {line}"
        says = f"not UTF-8 text ({found}); save it as UTF-8 (in Excel, 'CSV UTF-8')"
        raise SquadFormatError(f"{name}: {says}.") from None
    if not text.strip():
        raise SquadFormatError(f"{name}: is empty; check where it came from.")
    return text


def parse_json(text: str, where: str, one_line: bool = False) -> Any:
    """Parse JSON strictly: no field twice, no NaN. Raises a Problem."""
    try:
        return json.loads(
            text, object_pairs_hook=_object_without_duplicates, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        place = (
            f"column {error.colno}" if one_line else f"line {error.lineno}, column {error.colno}"
        )
        advice = "correct it there or download the file again"
        if one_line:
            advice = "each line is one whole JSON object (a SQuAD file ends in .json)"
        elif error.msg == "Extra data":
            advice = "where each line is an object of its own, let the file end in .jsonl"
        elif not where.endswith(".json"):
            advice += ", or let its name say what it is: .json, .jsonl, .csv or .tsv"
        raise Problem(
            where, f"not JSON ({error.msg.removesuffix(' at')} at {place}); {advice}", "not JSON"
        ) from None
    except RecursionError:
        says = "lists and objects nested too deeply to be questions; check where it came from"
        raise Problem(where, says, "nested") from None
    except _JsonTrouble as error:
        raise Problem(where, f"{error}; correct it", "JSON") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        says = "holds a number of thousands of digits; correct it or download the file again"
        raise Problem(where, says, "digits") from None


class _JsonTrouble(ValueError):
    """What Python's reader would let pass."""


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        near = next((f" (the one with id {show(v)})" for k, v in pairs if k == "id"), "")
        # json would keep the last and lose the others without a word.
        raise _JsonTrouble(f"the field {show(twice)} is given twice in one object{near}")
    return result


def _no_constant(constant: str) -> float:
    raise _JsonTrouble(f"{constant} is not a JSON number")


# --- fields and how errors show them ----------------------------------------------------------

_KINDS = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true/false",
    type(None): "null",
}
_JSON_NAMES = {None: "null", True: "true", False: "false"}


def check_fields(where: str, found: Any, fields: Mapping[str, type], shape: str) -> None:
    """Check that `found` is an object with fields of these very types, its text fit for UTF-8.

    Args:
        where: for errors.
        found: anything.
        fields: field -> its type; a bool is no int.
        shape: what errors say it should be.

    Raises:
        Problem: it is something else.
    """
    if type(found) is not dict:
        raise Problem(
            where, f"found {show(found)} where an object belongs; {shape}", f"no object: {shape}"
        )
    for field, kind in fields.items():
        if field not in found:
            raise Problem(where, f"the field `{field}` is missing; {shape}", f"{field} missing")
        value = found[field]
        if type(value) is not kind:
            raise Problem(
                where, f"`{field}` is {show(value)}; make it {_KINDS[kind]}", f"{field} type"
            )
        if kind is str:
            _check_characters(where, field, value)


def text_or_number(where: str, found: Mapping[str, Any], field: str) -> str | None:
    """The text of a field that may be a whole number; None where it is null or missing."""
    value = found.get(field)
    if type(value) is int:
        return str(value)
    if value is not None:
        check_fields(where, found, {field: str}, "")
    return value


def check_not_blank(where: str, field: str, text: str) -> None:
    if not text.strip():
        raise Problem(where, f"`{field}` is empty; fill it in", f"{field} empty")


def _check_characters(where: str, field: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        broken = f"half of a character, {show(text[error.start])}, at offset {error.start}"
        says = f"`{field}` holds {broken} (a lone surrogate); write the whole character"
        raise Problem(where, says, "surrogate") from None


def show(value: Any, limit: int = 60) -> str:
    """`value` for an error message: one line, printable, short; a list by its kind only."""
    if isinstance(value, (dict, list)):
        return _KINDS[type(value)]
    if isinstance(value, str) and len(value) > limit:
        return f"{value[:limit]!r}..."
    shown = (
        _JSON_NAMES.get(value) if value is None or value is True or value is False else repr(value)
    )
    return shown if isinstance(value, str) or len(shown) <= limit else f"{shown[:limit]}..."


def name_of(source: object) -> str:
    """What errors call a source: a path, escaped where it would break the line, or a kind."""
    if isinstance(source, (Dataset, Mapping)):
        return f"the {type(source).__name__} given"
    name = str(source)
    return name if name.isprintable() and name else repr(name)
