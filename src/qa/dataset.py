"""Questions from anywhere, in one shape: the columns of SQuAD on the Hub.

A source is the course's own set ("course"), a set on the Hub ("squad", "squad_v2"), a folder in the
Hub's layout, a SQuAD JSON file, or a table: JSONL, CSV or TSV. Everything is checked while it is
read; what cannot be right stops with one line that says where it is and what to do. Nothing is
dropped, shortened or repaired.
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
from datasets import Dataset, DatasetDict

from src.qa.course_set import build_course_set, load_passage_texts
from src.qa.squad import (
    FEATURES,
    NEEDS_NO_ANSWERS,
    Questions,
    SquadFormatError,
    dataset_from_squad,
    load_squad_json,
    name_of,
    show,
)
from src.qa.tables import load_csv, load_jsonl, row_of_object

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

    A JSON question is unanswerable where it says `"is_impossible": true`, and only then; a row of a
    CSV where its answer is empty; a row of the Hub or of a JSONL where its lists are. A passage may
    be empty where all its questions are unanswerable.

    Args:
        name_or_path: "course" (train, validation, test); "squad" or "squad_v2" from the Hub; a
            folder that `datasets.load_dataset` reads (parquet or json); or a file, which gives one
            key, "train", in the order of the file: SQuAD v1.1 or v2.0 JSON, or a table whose name
            ends in .jsonl, .csv or .tsv (see `tables` for their columns).
        version: "v1" leaves out the unanswerable questions, which is what SQuAD 1.1 is.

    Returns:
        A DatasetDict with `FEATURES`: id, title, context, question, answers {text: list,
        answer_start: list}, empty lists where there is none. Offsets count characters.

    Raises:
        SquadFormatError: something is wrong, such as an answer that is not at its offset; the
            message has the first problem of each kind. Articles, paragraphs and lines of a file
            count from one, rows of a split from zero.
    """
    if version not in ("v1", "v2"):
        advice = "use 'v2' for every question or 'v1' for the answerable ones"
        raise ValueError(f"version is {version!r}; {advice}.")
    splits = _load(name_or_path)
    if version == "v2":
        return splits
    answerable = DatasetDict({split: answerable_only(part) for split, part in splits.items()})
    for split, part in answerable.items():
        if len(part) == 0 < len(splits[split]):
            nothing = f"no question of {split!r} has an answer"
            raise SquadFormatError(
                f"{name_of(name_or_path)}: {nothing}; load it with version='v2'."
            )
    return answerable


def load_data(data: Data, version: Version = "v2") -> DatasetDict:
    """Load one source or several: what `finetune(data=...)` takes.

    Splits of the same name are joined, in the order given.

    Args:
        data: a name or path (as `load_squad`), a Dataset (taken as "train") or DatasetDict in the
            same columns, or several.
        version: as `load_squad`.

    Raises:
        SquadFormatError: as `load_squad`; a source is given twice, or a question id twice.
    """
    sources = _sources(data)
    loaded = [_load_any(source, version) for source in sources]
    names = list(dict.fromkeys(split for splits in loaded for split in splits))
    pairs = list(zip(sources, loaded, strict=True))
    return DatasetDict({n: _join([(s, d[n]) for s, d in pairs if n in d]) for n in names})


def load_split(data: Data, split: str = "validation", answers: bool = True) -> Dataset:
    """Load the questions to evaluate on, or to answer.

    Args:
        data: as `load_data`.
        split: which split of each source; a source with one part only (a file) gives that.
        answers: False for questions that are to be answered: known answers are neither needed nor
            read, and `answers` is empty in every row.

    Raises:
        SquadFormatError: as `load_data`; a source of several parts has none called `split`.
    """
    parts = []
    for source in _sources(data):
        splits = _load_any(source, "v2", answers)
        if len(splits) > 1 and split not in splits:
            raise SquadFormatError(
                f"{name_of(source)}: has no split {split!r}; choose one of {', '.join(splits)}."
            )
        parts.append((source, splits[split] if split in splits else next(iter(splits.values()))))
    return _join(parts)


def answerable_only(dataset: Dataset) -> Dataset:
    """The rows whose passage holds the answer, in their order."""
    return dataset.select(
        [row for row, answers in enumerate(dataset["answers"]) if answers["text"]]
    )


def gold_answers(dataset: Dataset) -> dict[str, list[str]]:
    """Question id -> its gold texts, empty where unanswerable: `references` of the metrics."""
    return {
        qid: list(answers["text"])
        for qid, answers in zip(dataset["id"], dataset["answers"], strict=True)
    }


def fingerprint(dataset: Dataset) -> str:
    """sha256 over questions, passages and answers, and how many there are."""
    digest = hashlib.sha256()
    for row in zip(
        dataset["id"], dataset["question"], dataset["context"], dataset["answers"], strict=True
    ):
        digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return f"{len(dataset)} questions, sha256 {digest.hexdigest()[:16]}"


def _load(source: Source, answers: bool = True) -> DatasetDict:
    name = str(source)
    if name == "course":
        built = build_course_set(passages=load_passage_texts())
        parts = [(split, squad) for split, squad in built.items() if squad["data"]]
        read = {s: dataset_from_squad(squad, f"course set, {s}", answers) for s, squad in parts}
        return DatasetDict(read)
    if name in HUB_NAMES:
        return _load_hub(name, answers)
    path = Path(source)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # no permission, a name too long or with a NUL in it
        problem = f"not a usable path ({_flat(error)})"
        raise SquadFormatError(f"{name_of(source)}: {problem}; give a file or a folder.") from None
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
    # Of the many kinds that the Hub client raises all mean the same to the reader.
    except Exception as error:
        problem = f"cannot be had from the Hub here ({_flat(error)[:200]})"
        advice = "use 'course' or a SQuAD JSON file"
        raise SquadFormatError(f"{name}: {problem}; {advice}.") from error
    return _checked(splits, name, answers)


def _load_folder(folder: Path, answers: bool) -> DatasetDict:
    name = name_of(folder)
    # A cache of its own, thrown away at once: files may change in place.
    with tempfile.TemporaryDirectory() as cache:
        try:
            splits = datasets.load_dataset(str(folder), cache_dir=cache, keep_in_memory=True)
        except Exception as error:
            problem = f"`datasets` cannot read this folder ({_flat(error)[:200]})"
            raise SquadFormatError(f"{name}: {problem}; put parquet files in it.") from error
    return _checked(splits, name, answers)


def _checked(splits: Mapping[str, Dataset], name: str, answers: bool = True) -> DatasetDict:
    """Splits with exactly our features, every row checked."""
    parts = splits.items()
    return DatasetDict({s: _checked_part(p, f"{name}, split {s!r}", answers) for s, p in parts})


def _checked_part(part: Dataset, name: str, answers: bool) -> Dataset:
    wanted = [column for column in FEATURES if answers or column != "answers"]
    missing = [column for column in wanted if column not in (*part.column_names, "title")]
    if missing:
        note = f" ({NEEDS_NO_ANSWERS})" if missing == ["answers"] else ""
        needs = f"it needs {', '.join(FEATURES)}{note}"
        raise SquadFormatError(f"{name}: has no column {', '.join(missing)}; {needs}.")
    part = part.select_columns([column for column in wanted if column in part.column_names])
    questions = Questions(name)
    for number, row in enumerate(part.to_list()):
        where = f"{name}, row {number}, question {show(row['id'])}"
        with questions.noting():
            questions.add(where, row_of_object(where, row, answers=answers))
    return questions.dataset()


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


def _load_any(
    source: Source | Dataset | DatasetDict, version: Version, answers: bool = True
) -> DatasetDict:
    if not isinstance(source, (Dataset, Mapping)):
        return load_squad(source, version) if answers else _load(source, answers)
    splits = {"train": source} if isinstance(source, Dataset) else source
    splits = _checked(splits, name_of(source), answers)
    if version == "v1":
        splits = DatasetDict({split: answerable_only(part) for split, part in splits.items()})
    return splits


def _join(parts: list[tuple[Source | Dataset | DatasetDict, Dataset]]) -> Dataset:
    if len(parts) == 1:
        return parts[0][1]
    seen: dict[str, str] = {}
    for source, part in parts:
        for qid in part["id"]:
            if qid in seen:
                both = f"{seen[qid]} and in {name_of(source)}"
                raise SquadFormatError(f"question {show(qid)} is in {both}; leave one of them out.")
        seen |= dict.fromkeys(part["id"], name_of(source))
    return datasets.concatenate_datasets([part for _, part in parts])


def _flat(error: BaseException) -> str:
    """An outside error in one line, without its full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
