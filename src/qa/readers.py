"""Files of questions: SQuAD JSON, JSONL and CSV, brought into the one form that `rows` checks."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from datasets import Dataset

from src.qa.rows import (
    NEEDS_NO_ANSWERS,
    Fault,
    Questions,
    SquadFormatError,
    check_fields,
    first_three,
    name_of,
    places_of,
    show,
    why_absent,
)

SEPARATORS = ",;\t"
COLUMNS = ("id", "title", "context", "question", "answer", "answer_start")
# The csv module's own limit is 131,072 characters, less than some passages have.
LONGEST_CELL = 2**31 - 1

_FILE = "a SQuAD file is an object with a list `data` of articles"
_ARTICLE = "an article has `paragraphs`, and may have a `title`"
_PARAGRAPH = "a paragraph has `context` and `qas`"
_HEADER = (
    "the first line names the columns: question, answer, passage; id, title, answer_start if wanted"
)
# How files begin that people give in place of text.
_PACKED = {
    b"PK\x03\x04": "an Excel workbook or another zip archive; save it as 'CSV UTF-8', or unpack it",
    b"\x1f\x8b": "packed with gzip; unpack it first",
    b"PAR1": "a parquet file; put it in a folder and give the folder",
}


def read_file(file: str | PathLike[str], answers: bool = True) -> Dataset:
    """Read a file of questions; the end of its name says what it is.

    .jsonl, .ndjson: one JSON object a line, with id, title, context, question and answers: the
    Hub's {"text": [...], "answer_start": [...]}, empty lists for an unanswerable question, or
    SQuAD's list of objects, with `is_impossible` where it is empty.

    .csv, .tsv: a table whose first line names its columns: question, answer, passage (or context),
    and where wanted id, title and answer_start, in any order, separated by commas, semicolons or
    tabs. An empty answer is an unanswerable question; one that occurs once in its passage needs no
    `answer_start`. Cells are taken as they are. Other columns and empty rows are ignored.

    In both, `id` may be left out, and is then FILE:LINE.

    Others are SQuAD v1.1 or v2.0 JSON, also as annotation tools write it: articles without a title
    get "", a whole number as id becomes its text, and `answers` may be null or missing where
    `is_impossible` is true. Other fields are ignored.

    Args:
        answers: False reads no answers, and leaves them empty.

    Returns:
        Rows with `FEATURES`, in the order of the file.

    Raises:
        SquadFormatError: something is wrong; the message has the first problem of each kind.
    """
    file = Path(file)
    kind, text = file.suffix.lower(), _read_text(file)
    questions = Questions(name_of(file), answers)
    if kind in (".csv", ".tsv"):
        _read_csv(questions, text, file.name)
    elif kind in (".jsonl", ".ndjson"):
        _read_jsonl(questions, text, file.name)
    else:
        with questions.within():
            _read_articles(questions, _parse_json(text))
    return questions.dataset()


def _read_articles(questions: Questions, squad: Any) -> None:
    check_fields(squad, {"data": list}, _FILE)
    for a, article in enumerate(squad["data"], 1):
        with questions.within(place_of("article", a, article, "title")):
            check_fields(article, {"paragraphs": list}, _ARTICLE)
            for p, paragraph in enumerate(article["paragraphs"], 1):
                with questions.within(f"paragraph {p}"):
                    check_fields(paragraph, {"context": str, "qas": list}, _PARAGRAPH)
                    above = {"title": article.get("title"), "context": paragraph["context"]}
                    for q, qa in enumerate(paragraph["qas"], 1):
                        with questions.within(place_of("question", q, qa, "id")):
                            questions.add(qa, **above)


def place_of(kind: str, number: int, fields: Any, name: str) -> str:
    """What errors call a part of a file: its number, and its name where it has one."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return f"{kind} {number}" + (f" {show(str(value))}" if type(value) in (str, int) else "")


def _read_jsonl(questions: Questions, text: str, file_name: str) -> None:
    # Not `splitlines`: a text may hold other characters that end lines.
    for line, row in enumerate(text.split("\n"), 1):
        if row.strip():
            with questions.within(f"line {line}"):
                fields = _parse_json(row, line)
                no_id = isinstance(fields, dict) and fields.get("id") is None
                questions.add(fields, **({"id": f"{file_name}:{line}"} if no_id else {}))


# --- tables


def _read_csv(questions: Questions, text: str, file_name: str) -> None:
    if text.startswith("sep="):  # a line for Excel
        text = "\n" + text.partition("\n")[2]
    csv.field_size_limit(LONGEST_CELL)
    separator = max(SEPARATORS, key=lambda mark: _count_columns(text, mark))
    columns: list[str] = []
    for line, cells in _records(text, separator, questions.name):
        if not columns:
            columns = _columns(cells, f"{questions.name}, line {line}", questions.answers)
        elif any(cell.strip() for cell in cells):
            with questions.within(f"line {line}"):
                if len(cells) != len(columns):
                    says = f"has {len(cells)} cells, the header {len(columns)}"
                    raise Fault(f"{says}; put a text that holds {separator!r} in quotes", "cells")
                row = dict(zip(columns, cells, strict=True))
                fields = {"id": f"{file_name}:{line}"}
                fields |= {name: row[name] for name in COLUMNS if name in row}
                questions.add(fields, answers=_read_answer(row) if questions.answers else None)


def _records(text: str, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of cells from the header on, each with the line where it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line, below = 1, False
    try:
        for cells in reader:
            below = below or any(cells)
            if below:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        advice = "close every quote that a cell opens, and write a quote inside it twice"
        raise SquadFormatError(f"{name}, line {line}: not CSV ({error}); {advice}.") from None


def _count_columns(text: str, separator: str) -> int:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = next((cells for cells in rows if any(cells)), [])
    return len({_column(cell) for cell in header} & {*COLUMNS})


def _column(cell: str) -> str:
    name = cell.strip().lower()
    return "context" if name == "passage" else name


def _columns(header: list[str], where: str, answers: bool) -> list[str]:
    columns = [_column(cell) for cell in header]
    for name, count in Counter(columns).items():
        if count > 1 and name in COLUMNS:
            advice = "leave one of them (passage and context mean the same)"
            raise SquadFormatError(f"{where}: {count} columns hold the {name}; {advice}.")
    missing = [name for name in ("question", "context") if name not in columns]
    if missing:
        found = ", ".join(map(show, header[:8]))
        wanted = " or ".join(missing).replace("context", "passage")
        raise SquadFormatError(f"{where}: has no column {wanted} (found {found}); {_HEADER}.")
    if answers and "answer" not in columns:
        advice = "add it, empty for a question that the passage does not answer"
        raise SquadFormatError(f"{where}: has no column answer; {advice} ({NEEDS_NO_ANSWERS}).")
    return columns


def _read_answer(row: dict[str, str]) -> dict[str, list]:
    """The answer in the Hub's layout: where the table says, or else where it occurs once."""
    answer, context = row["answer"], row["context"]
    given = row.get("answer_start", "").strip()
    if not answer and not given:
        return {"text": [], "answer_start": []}
    if given:
        # pandas writes 12.0 where some cells of the column are empty.
        if not re.fullmatch(r"-?[0-9]{1,18}(\.0*)?", given):
            says = f"`answer_start` is {show(given)}; make it a whole number"
            raise Fault(says, "answer_start type")
        return {"text": [answer], "answer_start": [int(given.split(".")[0])]}
    starts = places_of(answer, context)
    if not starts:
        found = f"the answer {show(answer)} is not in the passage{why_absent(answer, context)}"
        raise Fault(f"{found}; copy it from there letter for letter", "absent")
    if len(starts) > 1 and answer.strip():
        found = f"the answer {show(answer)} occurs {len(starts)} times, at {first_three(starts)}"
        raise Fault(f"{found}; write the one meant in a column answer_start", "several")
    return {"text": [answer], "answer_start": starts[:1]}


# --- text and JSON


def _read_text(file: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark. Raises SquadFormatError."""
    name = name_of(file)
    try:
        data = file.read_bytes()
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


def _parse_json(text: str, line: int = 1) -> Any:
    """Parse JSON that begins in this line, no field twice. Raises a Fault."""
    try:
        return json.loads(text, object_pairs_hook=_object_without_duplicates)
    except json.JSONDecodeError as error:
        found = f"{error.msg}: line {line + error.lineno - 1}, column {error.colno}"
    except (ValueError, RecursionError) as error:  # a number of 4,300 digits; nested too deeply
        found = str(error).partition(";")[0]
    ends = (
        "a name in .json is for SQuAD, in .jsonl for an object a line, in .csv or .tsv for tables"
    )
    raise Fault(f"not JSON ({found}); correct it, or the end of its name: {ends}", "JSON")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """json would keep the last and lose the others without a word. Raises a Fault."""
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        near = f" (the one with id {show(result['id'])})" if "id" in result else ""
        says = f"the field {show(twice)} is given twice in one object{near}; correct it"
        raise Fault(says, "field twice")
    return result
