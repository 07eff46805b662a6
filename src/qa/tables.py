"""Questions from tables, one a row: JSONL with the Hub's or SQuAD's fields, and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from datasets import Dataset

from src.qa.squad import (
    NEEDS_NO_ANSWERS,
    Problem,
    Questions,
    SquadFormatError,
    check_fields,
    check_not_blank,
    check_span,
    name_of,
    no_answers,
    parse_json,
    places_of,
    read_answers,
    read_text,
    show,
    text_or_number,
    why_absent,
)

SEPARATORS = ",;\t"
COLUMNS = ("id", "title", "context", "question", "answer", "answer_start")
# The csv module's own limit is 131,072 characters, less than some passages have.
LONGEST_FIELD = 2**31 - 1

_LINE = "a line has `question`, `context` and `answers`, and may have `id` and `title`"
_HEADER = (
    "the first line names the columns: question, answer, passage; id, title, answer_start if wanted"
)


def load_jsonl(file: str | PathLike[str], answers: bool = True) -> Dataset:
    """Read a file with one JSON object a line: id, title, context, question, answers.

    `answers` is the Hub's {"text": [...], "answer_start": [...]}, empty lists for an unanswerable
    question, or SQuAD's list of objects, with `is_impossible` where it is empty. `id` may be left
    out, and is then FILE:LINE. Blank lines and other fields are ignored.

    Args:
        file: path of the file.
        answers: False reads no answers, and leaves them empty.

    Returns:
        Rows with `FEATURES`, in the order of the file.

    Raises:
        SquadFormatError: something is wrong; the message has the first problem of each kind.
    """
    questions = Questions(name_of(file))
    # Not `splitlines`: a text may hold other characters that end lines.
    for line, text in enumerate(read_text(file).split("\n"), 1):
        if text.strip():
            where = f"{questions.name}, line {line}"
            with questions.noting(line):
                fields = parse_json(text, where, one_line=True)
                place = f"{Path(file).name}:{line}"
                questions.add(where, row_of_object(where, fields, place, answers))
    return questions.dataset("holds no question")


def row_of_object(
    where: str, fields: Any, place: str | None = None, answers: bool = True
) -> dict[str, Any]:
    """Check one question of a JSONL or of a set in the Hub's layout; returns its row.

    Args:
        where: for errors.
        fields: what should be an object.
        place: the id where it has none; None where it must have one.
        answers: False reads none.

    Raises:
        Problem: something is wrong with it.
    """
    check_fields(where, fields, {"question": str, "context": str}, _LINE)
    qid, title = (text_or_number(where, fields, field) for field in ("id", "title"))
    if qid is None and place is None:
        raise Problem(where, "`id` is null; fill it in", "id type")
    row = {"id": place if qid is None else qid, "title": title or ""}
    row |= {"context": fields["context"], "question": fields["question"]}
    for field in ("id", "question"):
        check_not_blank(where, field, row[field])
    found = read_answers(where, row["context"], fields, hub=True) if answers else no_answers()
    return row | {"answers": found}


def load_csv(file: str | PathLike[str], answers: bool = True) -> Dataset:
    """Read a table whose first line names its columns.

    They are question, answer, passage (or context), and where wanted id, title and answer_start,
    in any order, separated by commas, semicolons or tabs. An empty answer is an unanswerable
    question; one that occurs once in its passage needs no `answer_start`. Without a column `id`,
    the id is FILE:LINE. Cells are taken as they are. Other columns and empty rows are ignored.

    Args:
        file: path of the file.
        answers: False reads no answers, and leaves them empty.

    Returns:
        Rows with `FEATURES`, in the order of the file.

    Raises:
        SquadFormatError: something is wrong; the message has the first problem of each kind.
    """
    questions = Questions(name_of(file))
    records, separator = _records(read_text(file), questions.name)
    (line, header), *records = records
    columns = _columns(header, f"{questions.name}, line {line}", answers)
    for line, cells in records:
        if any(cell.strip() for cell in cells):
            where = f"{questions.name}, line {line}"
            with questions.noting(line):
                if len(cells) != len(header):
                    advice = f"put a text that holds {separator!r} in quotes"
                    says = f"has {len(cells)} cells, the header {len(header)}; {advice}"
                    raise Problem(where, says, "cells")
                row = {column: cells[number] for column, number in columns.items()}
                row.setdefault("id", f"{Path(file).name}:{line}")
                questions.add(where, _row_of_cells(where, row, answers))
    return questions.dataset("has a header and no question below it")


def _records(text: str, name: str) -> tuple[list[tuple[int, list[str]]], str]:
    """Part a text into rows of cells.

    Returns:
        The rows from the header on, each with the line where it begins, and the separator.
    """
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        advice = "as UTF-16 and damaged files do; save it as UTF-8"
        raise SquadFormatError(f"{name}, line {line}: holds a NUL, {advice}.")
    skipped = 0
    if mark := re.match(r"sep=.\r?\n", text):  # a line for Excel
        text, skipped = text[mark.end() :], 1
    records: list[tuple[int, list[str]]] = []
    line = skipped + 1
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        separator = max(SEPARATORS, key=lambda mark: _columns_found(text, mark))
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        for cells in reader:
            if records or any(cells):
                records.append((line, cells))
            line = skipped + reader.line_num + 1
    except csv.Error as error:
        advice = "close every quote that a cell opens, and write a quote inside it twice"
        raise SquadFormatError(f"{name}, line {line}: not CSV ({error}); {advice}.") from None
    finally:
        csv.field_size_limit(limit)
    if not records:
        raise SquadFormatError(f"{name}: is empty; {_HEADER}.")
    return records, separator


def _columns_found(text: str, separator: str) -> int:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = next((cells for cells in rows if any(cells)), [])
    return len(set(_names(header)) - {""})


def _names(header: Sequence[str]) -> list[str]:
    """The columns of a header that mean something here, by their usual names; "" for all others."""
    names = [cell.strip().lower() for cell in header]
    names = ["context" if name == "passage" else name for name in names]
    return [name if name in COLUMNS else "" for name in names]


def _columns(header: Sequence[str], where: str, answers: bool) -> dict[str, int]:
    """Column -> its number. Raises SquadFormatError where one is missing or comes twice."""
    names = _names(header)
    for name, count in Counter(filter(None, names)).items():
        if count > 1:
            cells = [cell for cell, found in zip(header, names, strict=True) if found == name]
            columns = ", ".join(map(show, cells))
            says = f"{count} columns hold the {name} ({columns}); leave one of them"
            raise SquadFormatError(f"{where}: {says}.")
    missing = [name for name in ("question", "context") if name not in names]
    if missing:
        found = ", ".join(map(show, header[:8]))
        wanted = " or ".join(missing).replace("context", "passage")
        raise SquadFormatError(f"{where}: has no column {wanted} (found {found}); {_HEADER}.")
    if answers and "answer" not in names:
        advice = "add it, empty for a question that the passage does not answer"
        raise SquadFormatError(f"{where}: has no column answer; {advice} ({NEEDS_NO_ANSWERS}).")
    return {name: number for number, name in enumerate(names) if name}


def _row_of_cells(where: str, cells: dict[str, str], answers: bool) -> dict[str, Any]:
    for field in ("id", "question"):
        check_not_blank(where, field, cells[field])
    found = no_answers()
    if answers and (cells["answer"] or cells.get("answer_start", "").strip()):
        found = {"text": [cells["answer"]], "answer_start": [_start(where, cells)]}
    row = {field: cells[field] for field in ("id", "context", "question")}
    return row | {"title": cells.get("title", ""), "answers": found}


def _start(where: str, cells: dict[str, str]) -> int:
    """Where the answer begins in its passage: as the table says, or else where it occurs once."""
    answer, context = cells["answer"], cells["context"]
    given = cells.get("answer_start", "").strip()
    if not answer.strip():
        advice = "copy it from the passage, or empty it and answer_start where there is none"
        raise Problem(where, f"the answer {show(answer)} is blank; {advice}", "blank answer")
    if given:
        # pandas writes 12.0 where some cells of the column are empty.
        if not re.fullmatch(r"-?[0-9]{1,18}(\.0*)?", given):
            says = f"answer_start is {show(given)}; make it a whole number"
            raise Problem(where, says, "answer_start type")
        start = int(given.split(".")[0])
        check_span(where, context, answer, start)
        return start
    starts = places_of(answer, context)
    if not starts:
        found = f"the answer {show(answer)} is not in the passage{why_absent(answer, context)}"
        raise Problem(where, f"{found}; copy it from there letter for letter", "absent")
    if len(starts) > 1:
        listed = ", ".join(map(str, starts[:3])) + (" and on" if len(starts) > 3 else "")
        found = f"the answer {show(answer)} occurs {len(starts)} times, at {listed}"
        raise Problem(where, f"{found}; write the one meant in a column answer_start", "several")
    return starts[0]
