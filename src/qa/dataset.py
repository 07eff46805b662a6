"""Questions from anywhere, in one shape: the columns of SQuAD on the Hub (id, title, context, question, answers).

A source is the course's own set ("course"), a set on the Hub ("squad", "squad_v2"), a folder in the Hub's layout, a SQuAD
JSON file, or a table: JSONL, CSV or TSV. Everything is checked while it is read; what cannot be right stops with one line
that says where it is and what to do. Nothing is dropped, shortened or repaired.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

import datasets
from datasets import Dataset, DatasetDict, Features

from src.qa.course_set import build_course_set, load_passage_texts
from src.qa.squad import (
    FEATURES,
    NEEDS_NO_ANSWERS,
    Problem,
    Questions,
    SquadFormatError,
    check_pairs,
    check_span,
    dataset_from_squad,
    load_squad_json,
    name_of,
    no_answers,
    show,
)
from src.qa.tables import load_csv, load_jsonl

Version = Literal["v1", "v2"]
Source = str | PathLike[str]
Data = Source | Dataset | DatasetDict | Sequence[Source | Dataset | DatasetDict]

# The names people know, and where the Hub keeps the sets today.
HUB_NAMES = {"squad": "rajpurkar/squad", "squad_v2": "rajpurkar/squad_v2"}

# Files by the end of their name; all others are read as SQuAD JSON.
READERS: Mapping[str, Callable[..., Dataset]] = {
    ".jsonl": load_jsonl,
    ".ndjson": load_jsonl,
    ".csv": load_csv,
    ".tsv": load_csv,
}


def load_squad(name_or_path: Source, version: Version = "v2") -> DatasetDict:
    """Load questions and their passages by name or path, checked, one row per question.

    A JSON question is unanswerable where it says `"is_impossible": true`, and only then; a row of a CSV where its answer is
    empty; a row of the Hub or of a JSONL where its lists are. A passage may be empty where all its questions are
    unanswerable. An answer may have blanks around it where the passage has them there too.

    Args:
        name_or_path: "course" (train, validation, test); "squad" or "squad_v2" from the Hub; a folder that
            `datasets.load_dataset` reads (parquet or json, the Hub's splits: train, validation); or a file, which gives one
            key, "train", with every question in the order of the file: SQuAD v1.1 or v2.0 JSON, or a table whose name ends
            in .jsonl, .csv or .tsv (see `tables.load_jsonl` and `tables.load_csv` for their columns).
        version: "v2" keeps every question; "v1" keeps the answerable ones only, which is what SQuAD 1.1 is.

    Returns:
        A DatasetDict with `FEATURES`: id, title, context, question, answers {text: list, answer_start: list}; both lists
        are empty where the passage does not hold the answer. Offsets count characters (code points), as Python does.

    Raises:
        SquadFormatError: something is not right, such as an answer that is not at its offset; the message has the first
            problem of each kind. Articles, paragraphs and lines of a file count from one, rows of a split from zero.
    """
    if version not in ("v1", "v2"):
        raise ValueError(f"version is {version!r}; use 'v2' for every question or 'v1' for the answerable ones.")
    splits = _load(name_or_path)
    if version == "v2":
        return splits
    answerable = DatasetDict({split: answerable_only(part) for split, part in splits.items()})
    for split, part in answerable.items():
        if len(part) == 0 < len(splits[split]):
            raise SquadFormatError(f"{name_of(name_or_path)}: no question of {split!r} has an answer; load it with version='v2'.")
    return answerable


def load_data(data: Data, version: Version = "v2") -> DatasetDict:
    """Load one source or several: what `finetune(data=...)` takes. Splits of the same name are joined, in the order given.

    Args:
        data: a name or path (as `load_squad`), a Dataset (taken as "train") or DatasetDict in the same columns, or several.
        version: as `load_squad`.

    Raises:
        SquadFormatError: as `load_squad`; also where a source is given twice, or a question id comes up twice in a split.
    """
    sources = _sources(data)
    loaded = [_load_any(source, version) for source in sources]
    names = list(dict.fromkeys(split for splits in loaded for split in splits))
    return DatasetDict({name: _join([(s, d[name]) for s, d in zip(sources, loaded, strict=True) if name in d]) for name in names})


def load_split(data: Data, split: str = "validation", answers: bool = True) -> Dataset:
    """Load the questions to evaluate on, or to answer.

    Args:
        data: as `load_data`.
        split: which split of each source; a source that has one part only (a file) gives that, whatever its name.
        answers: False for questions that are to be answered: known answers are neither needed nor read, and `answers` is
            empty in every row.

    Raises:
        SquadFormatError: as `load_data`; also where a source of several parts has none called `split`.
    """
    parts = []
    for source in _sources(data):
        splits = _load_any(source, "v2", answers)
        if len(splits) > 1 and split not in splits:
            raise SquadFormatError(f"{name_of(source)}: has no split {split!r}; choose one of {', '.join(splits)}.")
        parts.append((source, splits[split] if split in splits else next(iter(splits.values()))))
    return _join(parts)


def answerable_only(dataset: Dataset) -> Dataset:
    """The rows whose passage holds the answer, in their order."""
    return dataset.select([row for row, answers in enumerate(dataset["answers"]) if answers["text"]])


def select_articles(dataset: Dataset, which: slice) -> Dataset:
    """The questions of some articles, counted in the order in which their titles come."""
    titles = set(list(dict.fromkeys(dataset["title"]))[which])
    return dataset.select([i for i, title in enumerate(dataset["title"]) if title in titles])


def gold_answers(dataset: Dataset) -> dict[str, list[str]]:
    """Question id -> its gold texts, an empty list where unanswerable: the references of `metrics.score_answers`."""
    return {qid: list(answers["text"]) for qid, answers in zip(dataset["id"], dataset["answers"], strict=True)}


def fingerprint(dataset: Dataset) -> str:
    """sha256 over questions, passages and answers, and how many there are."""
    digest = hashlib.sha256()
    for row in zip(dataset["id"], dataset["question"], dataset["context"], dataset["answers"], strict=True):
        digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return f"{len(dataset)} questions, sha256 {digest.hexdigest()[:16]}"


def _load(source: Source, answers: bool = True) -> DatasetDict:
    name = str(source)
    if name == "course":
        built = build_course_set(passages=load_passage_texts())
        parts = {split: squad for split, squad in built.items() if squad["data"]}
        return DatasetDict({split: dataset_from_squad(squad, f"course set, {split}", answers) for split, squad in parts.items()})
    if name in HUB_NAMES:
        return _load_hub(name, answers)
    path = Path(source)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # no permission, a name too long for the system, or with a NUL in it
        raise SquadFormatError(f"{name_of(source)}: not a usable path ({_flat(error)}); give a file or a folder.") from None
    if is_folder:
        return _load_folder(path, answers)
    if not exists:
        known = ", ".join(["course", *HUB_NAMES])
        advice = f"give the path of a JSON, JSONL, CSV or TSV file, or one of {known}"
        raise SquadFormatError(f"{name_of(source)}: no such file or folder; {advice}.")
    return DatasetDict({"train": READERS.get(path.suffix.lower(), load_squad_json)(path, answers)})


def _load_hub(name: str, answers: bool) -> DatasetDict:
    try:
        splits = datasets.load_dataset(HUB_NAMES[name])
    # The Hub client raises many kinds (offline flag, name lookup, HTTP, missing cache); all mean the same to the reader.
    except Exception as error:
        reason = _flat(error)[:200]
        raise SquadFormatError(f"{name}: cannot be had from the Hub here ({reason}); use 'course' or a SQuAD JSON file.") from error
    return _checked(splits, name, answers)


def _load_folder(folder: Path, answers: bool) -> DatasetDict:
    name = name_of(folder)
    # A cache of its own, thrown away at once: files that change in place can then never be answered from an old copy.
    with tempfile.TemporaryDirectory() as cache:
        try:
            splits = datasets.load_dataset(str(folder), cache_dir=cache, keep_in_memory=True)
        except Exception as error:
            raise SquadFormatError(
                f"{name}: `datasets` cannot read this folder ({_flat(error)[:200]}); put parquet files in it."
            ) from error
    return _checked(splits, name, answers)


def _checked(splits: Mapping[str, Dataset], name: str, answers: bool = True) -> DatasetDict:
    """Splits with exactly our features, every row checked as far as a published set can go wrong on its way here."""
    return DatasetDict({split: _checked_part(part, f"{name}, split {split!r}", answers) for split, part in splits.items()})


def _checked_part(part: Dataset, name: str, answers: bool) -> Dataset:
    wanted = {column: kind for column, kind in FEATURES.items() if answers or column != "answers"}
    missing = [column for column in wanted if column not in part.column_names and column != "title"]
    if missing:
        note = f" ({NEEDS_NO_ANSWERS})" if missing == ["answers"] else ""
        raise SquadFormatError(f"{name}: has no column {', '.join(missing)}; it needs {', '.join(FEATURES)}{note}.")
    part = part.select_columns([column for column in wanted if column in part.column_names])
    for column in part.column_names:
        kind = getattr(part.features[column], "dtype", "")
        may_be_number = column in ("id", "title") and kind.startswith(("int", "uint"))
        if column != "answers" and kind not in ("string", "large_string", "null") and not may_be_number:
            raise SquadFormatError(f"{name}: the column {column} does not hold text; write it as text.")
    try:
        part = part.cast(Features({column: wanted[column] for column in part.column_names}))
    except Exception as error:
        raise SquadFormatError(f"{name}: columns of the wrong type ({_flat(error)[:200]}).") from error
    titles = part["title"][:] if "title" in part.column_names else [None] * len(part)
    if None in titles or not answers:
        added = {"title": [title or "" for title in titles]} | ({} if answers else {"answers": [no_answers()] * len(part)})
        columns = {column: added[column] if column in added else part[column][:] for column in FEATURES}
        part = Dataset.from_dict(columns, features=FEATURES)
    _check_rows(part, name)
    return part


def _check_rows(dataset: Dataset, name: str) -> None:
    questions = Questions(name)
    columns = zip(*(dataset[column] for column in FEATURES), strict=True)
    for row, (qid, _, context, question, answers) in enumerate(columns):
        where = f"{name}, row {row}, question {show(qid)}"
        with questions.noting():
            if None in (qid, context, question, answers) or any(answers[f] is None or None in answers[f] for f in ("text", "answer_start")):
                raise Problem(where, "a field is empty (null); fill it in", "null")
            questions.claim(qid, where, f"row {row}")
            check_pairs(where, answers["text"], answers["answer_start"])
            for text, start in zip(answers["text"], answers["answer_start"], strict=True):
                check_span(where, context, text, start)
    questions.raise_problems()


def _sources(data: Data) -> list[Source | Dataset | DatasetDict]:
    if isinstance(data, (str, PathLike, Dataset, Mapping)):
        return [data]
    sources = list(data)
    if not sources:
        raise SquadFormatError("no data given; name at least one source.")
    seen: set[str] = set()
    for source in sources:
        if isinstance(source, (str, PathLike)):
            path = os.path.abspath(source)
            if path in seen:
                raise SquadFormatError(f"{name_of(source)}: is given twice; leave one of them out.")
            seen.add(path)
    return sources


def _load_any(source: Source | Dataset | DatasetDict, version: Version, answers: bool = True) -> DatasetDict:
    if not isinstance(source, (Dataset, Mapping)):
        return load_squad(source, version) if answers else _load(source, answers)
    splits = _checked({"train": source} if isinstance(source, Dataset) else source, name_of(source), answers)
    return splits if version == "v2" else DatasetDict({split: answerable_only(part) for split, part in splits.items()})


def _join(parts: list[tuple[Source | Dataset | DatasetDict, Dataset]]) -> Dataset:
    if len(parts) == 1:
        return parts[0][1]
    seen: dict[str, str] = {}
    for source, part in parts:
        for qid in part["id"]:
            if qid in seen:
                raise SquadFormatError(f"question {show(qid)} is in {seen[qid]} and in {name_of(source)}; leave one of them out.")
        seen |= dict.fromkeys(part["id"], name_of(source))
    return datasets.concatenate_datasets([part for _, part in parts])


def _flat(error: BaseException) -> str:
    """An outside error in one line, without its full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
