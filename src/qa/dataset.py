"""Questions from anywhere, in one shape: the columns of SQuAD on the Hub.

A source is the course's own set ("course"), a set on the Hub ("squad", "squad_v2"), a folder in the
Hub's layout, or a file: SQuAD JSON, JSONL, CSV or TSV (see `readers`). Everything is checked while
it is read; what cannot be right stops with one line that says where it is and what to do.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import datasets
from datasets import Dataset, DatasetDict

from src.qa.course_set import build_course_set
from src.qa.readers import place_of, read_file
from src.qa.rows import FEATURES, Questions, SquadFormatError, name_of, show

__all__ = ["FEATURES", "SquadFormatError", "load_squad"]

Source = str | PathLike[str] | Dataset | DatasetDict
Data = Source | Sequence[Source]

# The names people know, and where the Hub keeps the sets today.
HUB_NAMES = {"squad": "rajpurkar/squad", "squad_v2": "rajpurkar/squad_v2"}


def load_squad(name_or_path: str | PathLike[str], version: str = "v2") -> DatasetDict:
    """Load questions and their passages by name or path, checked, one row per question.

    Args:
        name_or_path: "course" (train, validation, test); "squad" or "squad_v2" from the Hub; a
            folder that `datasets.load_dataset` reads (parquet or json); or a file, as
            `readers.read_file`, which gives one key, "train".
        version: "v1" leaves out the unanswerable questions, which is what SQuAD 1.1 is.

    Returns:
        A DatasetDict with `FEATURES`: id, title, context, question, answers {text: list,
        answer_start: list}, empty lists where there is none. Offsets count characters.

    Raises:
        SquadFormatError: the message has the first problem of each kind. Articles, paragraphs and
            lines of a file count from one, rows of a split from zero.
    """
    if version not in ("v1", "v2"):
        advice = "use 'v2' for every question or 'v1' for the answerable ones"
        raise ValueError(f"version is {version!r}; {advice}.")
    splits = _load(name_or_path, answers=True)
    if version == "v2":
        return splits
    return DatasetDict({split: answerable_only(part) for split, part in splits.items()})


def load_data(data: Data) -> DatasetDict:
    """Load one source or several: what `finetune(data=...)` takes.

    A source is a name or path (as `load_squad`), a Dataset (taken as "train") or DatasetDict in the
    same columns. Splits of the same name are joined, in the order given.

    Raises:
        SquadFormatError: as `load_squad`; or a question id is in two sources.
    """
    loaded = [(source, _load(source, answers=True)) for source in _sources(data)]
    names = list(dict.fromkeys(split for _, splits in loaded for split in splits))
    return DatasetDict({n: _join([(s, d[n]) for s, d in loaded if n in d]) for n in names})


def load_split(data: Data, split: str = "validation", answers: bool = True) -> Dataset:
    """Load the questions to evaluate on, or to answer.

    Args:
        data: as `load_data`.
        split: which split of each source; a source with one part only (a file) gives that.
        answers: False for questions that are to be answered: known answers are neither needed nor
            read, and `answers` is empty in every row.
    """
    parts = []
    for source in _sources(data):
        splits = _load(source, answers)
        if len(splits) > 1 and split not in splits:
            choice = f"choose one of {', '.join(splits)}"
            raise SquadFormatError(f"{name_of(source)}: has no split {split!r}; {choice}.")
        parts.append((source, splits[split] if split in splits else next(iter(splits.values()))))
    return _join(parts)


def answerable_only(dataset: Dataset) -> Dataset:
    """The rows whose passage holds the answer, in their order."""
    return dataset.select([i for i, answers in enumerate(dataset["answers"]) if answers["text"]])


def gold_answers(dataset: Dataset) -> dict[str, list[str]]:
    """Question id -> its gold texts, empty where unanswerable: `references` of the metrics."""
    return {
        qid: list(answers["text"])
        for qid, answers in zip(dataset["id"], dataset["answers"], strict=True)
    }


def fingerprint(dataset: Dataset) -> str:
    """sha256 over questions, passages and answers where there are any, and how many there are."""
    digest, names = hashlib.sha256(), ("id", "question", "context", "answers")
    columns = [dataset[name] for name in names if name in dataset.column_names]
    for row in zip(*columns, strict=True):
        digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return f"{len(dataset)} questions, sha256 {digest.hexdigest()[:16]}"


def _sources(data: Data) -> list[Source]:
    one = isinstance(data, (str, PathLike, Dataset, Mapping))
    sources = [data] if one else list(data)
    if not sources:
        raise SquadFormatError("no data given; name at least one source.")
    return sources


def _load(source: Source, answers: bool) -> DatasetDict:
    """The splits of a source, checked; see `load_squad`, and `load_split` for `answers`."""
    name = name_of(source)
    if isinstance(source, Dataset):
        return _checked({"train": source}, name, answers)
    if isinstance(source, Mapping):
        return _checked(source, name, answers)
    if name == "course":
        return _checked(build_course_set(), name, answers)
    if name in HUB_NAMES:
        advice = "use 'course' or a SQuAD JSON file, or go online with COURSE_ONLINE=1"
        splits = _load_dataset(name, advice, HUB_NAMES[name])
        return _checked(splits, name, answers)
    if os.path.isdir(source):
        # A cache of its own, thrown away at once: files may change in place.
        with tempfile.TemporaryDirectory() as cache:
            options = {"path": str(source), "cache_dir": cache, "keep_in_memory": True}
            splits = _load_dataset(name, "put parquet files in it", **options)
        return _checked(splits, name, answers)
    if not os.path.exists(source):
        known = ", ".join(["course", *HUB_NAMES])
        advice = f"give the path of a JSON, JSONL, CSV or TSV file, or one of {known}"
        raise SquadFormatError(f"{name}: no such file or folder; {advice}.")
    return DatasetDict({"train": read_file(source, answers)})


def _load_dataset(name: str, advice: str, path: str, **options: Any) -> Mapping[str, Dataset]:
    try:
        return datasets.load_dataset(path, **options)
    except Exception as error:  # of the many kinds all mean the same to the reader
        reason = " ".join(str(error).split()).rstrip(".")[:200]
        problem = f"`datasets` cannot load it here ({reason or type(error).__name__})"
        raise SquadFormatError(f"{name}: {problem}; {advice}.") from error


def _checked(splits: Mapping[str, Dataset], name: str, answers: bool) -> DatasetDict:
    checked = DatasetDict()
    for split, part in splits.items():
        questions = Questions(f"{name}, split {split!r}", answers)
        for number, row in enumerate(part.to_list()):
            with questions.within(place_of("row", number, row, "id")):
                questions.add(row)
        checked[split] = questions.dataset(may_be_empty=True)
    return checked


def _join(parts: list[tuple[Source, Dataset]]) -> Dataset:
    seen: dict[str, str] = {}
    for source, part in parts:
        for qid in part["id"]:
            if qid in seen:
                both = f"{seen[qid]} and in {name_of(source)}"
                raise SquadFormatError(f"question {show(qid)} is in {both}; leave one of them out.")
        seen |= dict.fromkeys(part["id"], name_of(source))
    return datasets.concatenate_datasets([part for _, part in parts])
