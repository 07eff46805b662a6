"""Questions from anywhere, in one shape: the columns of SQuAD on the Hub (id, title, context, question, answers).

A source is the course's own set ("course"), a set on the Hub ("squad", "squad_v2"), a folder in the Hub's layout, or a SQuAD
JSON file. Everything is checked while it is read; what cannot be right stops with one line that says where it stands and
what to do. Nothing is dropped, shortened or repaired.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import datasets
import pandas as pd
from datasets import Dataset, DatasetDict, Features, List, Value

from src.qa.course_set import build_course_set, load_passage_texts

Version = Literal["v1", "v2"]
Source = str | PathLike[str]
Data = Source | Dataset | DatasetDict | Sequence[Source | Dataset | DatasetDict]

FEATURES = Features(
    {
        "id": Value("string"),
        "title": Value("string"),
        "context": Value("string"),
        "question": Value("string"),
        "answers": {"text": List(Value("string")), "answer_start": List(Value("int32"))},
    }
)

TEXT_COLUMNS = ("id", "title", "context", "question")

# The names people know, and where the Hub keeps the sets today.
HUB_NAMES = {"squad": "rajpurkar/squad", "squad_v2": "rajpurkar/squad_v2"}


class SquadFormatError(ValueError):
    """Questions that cannot be loaded as asked. The message is one line: file, article, paragraph, question id, what to do."""


def load_squad(name_or_path: Source, version: Version = "v2") -> DatasetDict:
    """Load questions and their passages by name or path, checked, one row per question.

    name_or_path: "course" (train, validation, test); "squad" or "squad_v2" from the Hub, or a folder that
    `datasets.load_dataset` reads (parquet or json, the Hub's splits: train, validation); or a SQuAD v1.1 or v2.0 JSON file
    (one key, "train", with every question, in the order of the file).
    version: "v2" keeps every question; "v1" keeps the answerable ones only, which is what SQuAD 1.1 is.
    Returns a DatasetDict with `FEATURES`: id, title, context, question, answers {text: list, answer_start: list}; both lists
    are empty where the passage does not hold the answer. Offsets count characters (code points), as Python does.
    Raises SquadFormatError for anything that is not right, such as an answer that does not stand at its offset.

    A JSON question is unanswerable where it says `"is_impossible": true`, and only then; other fields (`plausible_answers`
    and so on) are ignored. A passage may be empty where all its questions are unanswerable. An answer may have blanks around
    it where the passage has them there too. Errors count articles and paragraphs of a file from one, rows of a split from zero.
    """
    if version not in ("v1", "v2"):
        raise ValueError(f"version is {version!r}; use 'v2' for every question or 'v1' for the answerable ones.")
    splits = _load(name_or_path)
    if version == "v2":
        return splits
    answerable = DatasetDict({split: answerable_only(part) for split, part in splits.items()})
    for split, part in answerable.items():
        if len(part) == 0 < len(splits[split]):
            raise SquadFormatError(f"{_name(name_or_path)}: no question of {split!r} has an answer; load it with version='v2'.")
    return answerable


def load_data(data: Data, version: Version = "v2") -> DatasetDict:
    """Load one source or several: what `finetune(data=...)` takes. Splits of the same name are joined, in the order given.

    data: a name or path (as `load_squad`), a Dataset (taken as "train") or DatasetDict in the same columns, or several of them.
    Raises SquadFormatError where a question id comes up twice in a split, naming both sources.
    """
    sources = _sources(data)
    loaded = [_load_any(source, version) for source in sources]
    names = list(dict.fromkeys(split for splits in loaded for split in splits))
    return DatasetDict({name: _join([(s, d[name]) for s, d in zip(sources, loaded, strict=True) if name in d]) for name in names})


def load_split(data: Data, split: str = "validation", version: Version = "v2") -> Dataset:
    """Load the questions to evaluate on: `split` of each source, or all of a source that has one part only (a JSON file).

    data, version and errors as `load_data`; also an error where a source of several parts has none called `split`.
    """
    parts = []
    for source in _sources(data):
        splits = _load_any(source, version)
        if len(splits) > 1 and split not in splits:
            raise SquadFormatError(f"{_name(source)}: has no split {split!r}; choose one of {', '.join(splits)}.")
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


def load_squad_json(file: Source) -> Dataset:
    """Read one SQuAD v1.1 or v2.0 JSON file, checking every level of it. Errors as `load_squad`."""
    name = _name(file)
    return dataset_from_squad(_read_json(Path(file), name), name)


def dataset_from_squad(squad: Any, name: str = "the SQuAD object") -> Dataset:
    """Turn a parsed SQuAD v1.1 or v2.0 object into rows. name: what errors call it (its file). Errors as `load_squad`."""
    columns: dict[str, list] = {column: [] for column in FEATURES}
    seen: dict[str, str] = {}
    for where, article, paragraph, qa in _questions(squad, name):
        answers = _answers(where, paragraph["context"], qa)
        if qa["id"] in seen:
            raise SquadFormatError(f"{where}: this id already stands in {seen[qa['id']]}; give every question its own.")
        seen[qa["id"]] = where.removeprefix(f"{name}, ")
        row = {"id": qa["id"], "title": article["title"], "context": paragraph["context"], "question": qa["question"]}
        for column, value in (row | {"answers": answers}).items():
            columns[column].append(value)
    if not seen:
        raise SquadFormatError(f"{name}: holds no question; it needs at least one in data[..].paragraphs[..].qas.")
    return Dataset.from_dict(columns, features=FEATURES)


def questions_report(splits: Mapping[str, Dataset], topics: Mapping[str, str] | None = None, first_words: int = 8) -> pd.DataFrame:
    """What a set of questions is made of, one column per split: sizes, lengths, first words and, with `topics`, subjects.

    topics: article title -> topic, such as `course_set.course_topics()`; titles without one count as "other".
    first_words: how many of the most frequent first words (over all splits) get a row of their own.
    Rows are indexed by (group, measure); lengths are means in words, parted at blanks.
    """
    lowered = {split: [question.split()[0].lower() for question in part["question"] if question.split()] for split, part in splits.items()}
    common = [word for word, _ in Counter(word for words in lowered.values() for word in words).most_common(first_words)]
    columns = {}
    for split, part in splits.items():
        texts = [answers["text"] for answers in part["answers"]]
        golds = [text[0] for text in texts if text]
        contexts = dict.fromkeys(part["context"])
        unanswerable = len(texts) - len(golds)
        column: dict[tuple[str, str], int | float] = {
            ("size", "articles"): len(set(part["title"])),
            ("size", "passages"): len(contexts),
            ("size", "questions"): len(part),
            ("size", "unanswerable"): unanswerable,
            ("size", "unanswerable, %"): _percent(unanswerable, len(part)),
            ("mean words", "passage"): _mean_words(contexts),
            ("mean words", "question"): _mean_words(part["question"]),
            ("mean words", "answer"): _mean_words(golds),
        }
        counts = Counter(lowered[split])
        column |= {("first word, %", word): _percent(counts[word], len(part)) for word in common}
        column["first word, %", "other"] = _percent(len(part) - sum(counts[word] for word in common), len(part))
        if topics is not None:
            by_topic = Counter(topics.get(title, "other") for title in part["title"])
            column |= {("questions by topic", topic): by_topic[topic] for topic in sorted({*topics.values(), *by_topic})}
        columns[split] = column
    # dtype object, so that counts stay whole numbers beside the means.
    table = pd.DataFrame({split: pd.Series(column, dtype=object) for split, column in columns.items()}, dtype=object)
    table.index = pd.MultiIndex.from_tuples(table.index, names=["", "measure"])
    return table.fillna(0)


def _load(source: Source) -> DatasetDict:
    name = str(source)
    if name == "course":
        built = build_course_set(passages=load_passage_texts())
        return DatasetDict({split: dataset_from_squad(squad, f"course set, {split}") for split, squad in built.items() if squad["data"]})
    if name in HUB_NAMES:
        return _load_hub(name)
    path = Path(source)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name too long for the system, or with a NUL in it
        raise SquadFormatError(f"{_name(source)}: not a usable path ({_flat(error)}); give a JSON file or a folder.") from None
    if is_folder:
        return _load_folder(path)
    if not exists:
        known = ", ".join(["course", *HUB_NAMES])
        raise SquadFormatError(f"{_name(source)}: no such file or folder; give the path of a SQuAD JSON file, or one of {known}.")
    return DatasetDict({"train": load_squad_json(path)})


def _load_hub(name: str) -> DatasetDict:
    try:
        splits = datasets.load_dataset(HUB_NAMES[name])
    # The Hub client raises many kinds (offline flag, name lookup, HTTP, missing cache); all mean the same to the reader.
    except Exception as error:
        reason = _flat(error)[:200]
        raise SquadFormatError(f"{name}: cannot be had from the Hub here ({reason}); use 'course' or a SQuAD JSON file.") from error
    return _checked(splits, name)


def _load_folder(folder: Path) -> DatasetDict:
    name = _name(folder)
    # A cache of its own, thrown away at once: files that change in place can then never be answered from an old copy.
    with tempfile.TemporaryDirectory() as cache:
        try:
            splits = datasets.load_dataset(str(folder), cache_dir=cache, keep_in_memory=True)
        except Exception as error:
            raise SquadFormatError(
                f"{name}: `datasets` cannot read this folder ({_flat(error)[:200]}); put parquet files in it."
            ) from error
    return _checked(splits, name)


def _checked(splits: Mapping[str, Dataset], name: str) -> DatasetDict:
    """Splits with exactly our features, every row checked as far as a published set can go wrong on its way here."""
    checked = {}
    for split, part in splits.items():
        missing = sorted(set(FEATURES) - set(part.column_names))
        if missing:
            raise SquadFormatError(f"{name}, split {split!r}: has no column {', '.join(missing)}; it needs {', '.join(FEATURES)}.")
        part = part.select_columns(list(FEATURES))
        numbers = [column for column in TEXT_COLUMNS if part.features[column] not in (Value("string"), Value("large_string"))]
        if numbers:
            raise SquadFormatError(f"{name}, split {split!r}: the column {', '.join(numbers)} does not hold text; write it as text.")
        if part.features != FEATURES:
            try:
                part = part.cast(FEATURES)
            except Exception as error:
                raise SquadFormatError(f"{name}, split {split!r}: columns of the wrong type ({_flat(error)[:200]}).") from error
        _check_rows(part, f"{name}, split {split!r}")
        checked[split] = part
    return DatasetDict(checked)


def _check_rows(dataset: Dataset, name: str) -> None:
    seen: dict[str, int] = {}
    columns = zip(*(dataset[column] for column in FEATURES), strict=True)
    for row, (qid, _, context, question, answers) in enumerate(columns):
        where = f"{name}, row {row}, question {_show(qid)}"
        if None in (qid, context, question, answers) or any(answers[f] is None or None in answers[f] for f in ("text", "answer_start")):
            raise SquadFormatError(f"{where}: a field is empty (null); fill it in.")
        if qid in seen:
            raise SquadFormatError(f"{where}: this id already stands in row {seen[qid]}; give every question its own.")
        seen[qid] = row
        if len(answers["text"]) != len(answers["answer_start"]):
            raise SquadFormatError(f"{where}: {len(answers['text'])} answer texts, {len(answers['answer_start'])} offsets; pair them.")
        for text, start in zip(answers["text"], answers["answer_start"], strict=True):
            _check_span(where, context, text, start)


def _sources(data: Data) -> list[Source | Dataset | DatasetDict]:
    if isinstance(data, (str, PathLike, Dataset, Mapping)):
        return [data]
    sources = list(data)
    if not sources:
        raise SquadFormatError("no data given; name at least one source.")
    return sources


def _load_any(source: Source | Dataset | DatasetDict, version: Version) -> DatasetDict:
    if not isinstance(source, (Dataset, Mapping)):
        return load_squad(source, version)
    splits = _checked({"train": source} if isinstance(source, Dataset) else source, _name(source))
    return splits if version == "v2" else DatasetDict({split: answerable_only(part) for split, part in splits.items()})


def _join(parts: list[tuple[Source | Dataset | DatasetDict, Dataset]]) -> Dataset:
    if len(parts) == 1:
        return parts[0][1]
    seen: dict[str, str] = {}
    for source, part in parts:
        for qid in part["id"]:
            if qid in seen:
                raise SquadFormatError(f"question {_show(qid)} stands in {seen[qid]} and in {_name(source)}; leave one of them out.")
        seen |= dict.fromkeys(part["id"], _name(source))
    return datasets.concatenate_datasets([part for _, part in parts])


def _read_json(file: Path, name: str) -> Any:
    try:
        text = file.read_bytes().decode("utf-8-sig")  # some editors put a byte order mark in front
    except OSError as error:
        raise SquadFormatError(f"{name}: cannot be read ({error.strerror}); check the path and its permissions.") from None
    except UnicodeDecodeError as error:
        raise SquadFormatError(f"{name}: not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    try:
        return json.loads(text, object_pairs_hook=_object_without_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise SquadFormatError(f"{name}: not JSON ({error.msg} at {place}); correct it there or download the file again.") from None
    except RecursionError:
        raise SquadFormatError(f"{name}: lists and objects nested too deeply to be a SQuAD file; check where it came from.") from None
    except _JsonTrouble as error:
        raise SquadFormatError(f"{name}: {error}; correct it.") from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        raise SquadFormatError(f"{name}: holds a number of thousands of digits; correct it or download the file again.") from None


class _JsonTrouble(ValueError):
    """What Python's reader would let pass."""


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        near = next((f" (the one with id {_show(v)})" for k, v in pairs if k == "id"), "")
        # json would keep the last and lose the others without a word.
        raise _JsonTrouble(f"the field {_show(twice)} stands twice in one object{near}")
    return result


def _no_constant(constant: str) -> float:
    raise _JsonTrouble(f"{constant} is not a JSON number")


def _questions(squad: Any, name: str) -> Iterator[tuple[str, dict, dict, dict]]:
    """Walk over all questions, checking shapes and types; yields (where, article, paragraph, question). Counts from one."""
    _check_fields(name, squad, {"data": list}, "a SQuAD file is an object with a list `data` of articles")
    for a, article in enumerate(squad["data"], 1):
        where_article = f"{name}, article {a}"
        _check_fields(where_article, article, {"title": str}, "an article has `title` and `paragraphs`")
        where_article = f"{where_article} {_show(article['title'])}"
        _check_fields(where_article, article, {"paragraphs": list}, "an article has `title` and `paragraphs`")
        for p, paragraph in enumerate(article["paragraphs"], 1):
            where_paragraph = f"{where_article}, paragraph {p}"
            _check_fields(where_paragraph, paragraph, {"context": str, "qas": list}, "a paragraph has `context` and `qas`")
            for q, qa in enumerate(paragraph["qas"], 1):
                where = f"{where_paragraph}, question {q}"
                _check_fields(where, qa, {"id": str}, "a question has `id`, `question` and `answers`")
                where = f"{where_paragraph}, question {_show(qa['id'])}"
                _check_fields(where, qa, {"question": str, "answers": list}, "a question has `id`, `question` and `answers`")
                for field in ("id", "question"):
                    if not qa[field].strip():
                        raise SquadFormatError(f"{where} (number {q}): `{field}` is empty; fill it in.")
                yield where, article, paragraph, qa


def _answers(where: str, context: str, qa: dict) -> dict[str, list]:
    impossible = qa.get("is_impossible", False)
    if not isinstance(impossible, bool):
        raise SquadFormatError(f"{where}: `is_impossible` is {_show(impossible)}; make it true or false.")
    if impossible and qa["answers"]:
        raise SquadFormatError(f"{where}: `is_impossible` is true, yet it has answers; empty `answers`, or set it to false.")
    if not impossible and not qa["answers"]:
        raise SquadFormatError(f"{where}: has no answers; give one, or set `is_impossible` to true (SQuAD v2.0).")
    for number, answer in enumerate(qa["answers"], 1):
        place = f"{where}, answer {number}"
        _check_fields(place, answer, {"text": str, "answer_start": int}, "an answer has `text` and `answer_start`")
        _check_span(place, context, answer["text"], answer["answer_start"])
    return {field: [answer[field] for answer in qa["answers"]] for field in ("text", "answer_start")}


def _check_span(where: str, context: str, text: str, start: int) -> None:
    if not text.strip():
        raise SquadFormatError(f"{where}: the answer {_show(text)} is blank; copy it from the passage.")
    if start < 0 or not context.startswith(text, start):
        raise SquadFormatError(f"{where}: the answer {_show(text)} is not at offset {_show(start)}{_instead(context, text, start)}")


def _instead(context: str, text: str, start: int) -> str:
    """The rest of the sentence for an answer that is not at its offset: what stands there, and what to do."""
    if start < 0:
        found = " (below zero)"
    elif start >= len(context):
        found = f" (the passage has {len(context)} characters)"
    else:
        found = f", where {_show(context[start : start + len(text)])} stands"
    starts, at = [], context.find(text)
    while at >= 0 and len(starts) < 4:
        starts.append(at)
        at = context.find(text, at + 1)
    if not starts:
        same_look = unicodedata.normalize("NFKC", text).casefold() in unicodedata.normalize("NFKC", context).casefold()
        why = " in these very characters (capitals, accents or look-alikes differ)" if same_look else ""
        return f"{found}, nor anywhere in the passage{why}; copy it from there letter for letter."
    for at in starts:
        if start in (len(context[:at].encode()), len(context[:at].encode("utf-16-le")) // 2):
            return f"{found}; offsets count characters, not bytes or UTF-16 units: set `answer_start` to {at}."
    listed = ", ".join(map(str, starts[:3]))
    if len(starts) == 1:
        return f"{found}; it stands at {listed}: set `answer_start` to that."
    return f"{found}; it stands at {listed}{' and on' if len(starts) > 3 else ''}: set `answer_start` to the one meant."


_KINDS = {dict: "an object", list: "a list", str: "text", int: "a whole number", float: "a number", bool: "true/false", type(None): "null"}


_JSON_NAMES = {None: "null", True: "true", False: "false"}


def _check_fields(where: str, found: Any, fields: Mapping[str, type], shape: str) -> None:
    """Check that `found` is an object with `fields` of these very types (a bool is no int), its text fit for UTF-8."""
    if type(found) is not dict:
        raise SquadFormatError(f"{where}: found {_show(found)} where an object belongs; {shape}.")
    for field, kind in fields.items():
        if field not in found:
            raise SquadFormatError(f"{where}: the field `{field}` is missing; {shape}.")
        value = found[field]
        if type(value) is not kind:
            raise SquadFormatError(f"{where}: `{field}` is {_show(value)}; make it {_KINDS[kind]}.")
        if kind is str:
            try:
                value.encode()
            except UnicodeEncodeError as error:
                broken = f"half of a character, {_show(value[error.start])}, at offset {error.start}"
                raise SquadFormatError(f"{where}: `{field}` holds {broken} (a lone surrogate); write the whole character.") from None


def _show(value: Any, limit: int = 60) -> str:
    """`value` for an error message: one line, printable, short; a list or object by its kind only."""
    if isinstance(value, (dict, list)):
        return _KINDS[type(value)]
    if isinstance(value, str) and len(value) > limit:
        return f"{value[:limit]!r}..."
    shown = _JSON_NAMES.get(value) if value is None or value is True or value is False else repr(value)
    return shown if isinstance(value, str) or len(shown) <= limit else f"{shown[:limit]}..."


def _flat(error: BaseException) -> str:
    """An outside error in one line, without its full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _name(source: object) -> str:
    """What errors call a source: a path as given (quoted and escaped where it would break the line), a data set by its kind."""
    if isinstance(source, (Dataset, Mapping)):
        return f"the {type(source).__name__} given"
    name = str(source)
    return name if name.isprintable() and name else repr(name)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _mean_words(texts: Iterable[str]) -> float:
    lengths = [len(text.split()) for text in texts]
    return round(sum(lengths) / len(lengths), 1) if lengths else 0.0
