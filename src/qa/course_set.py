"""The course's own question set, written by hand.

`data/course_qa/*.yaml` holds questions and answers on Wikipedia introductions, and names each by
its title; the text stays in the `wikipedia` asset. `data/course_qa/README.md` explains the format;
`tools/check_questions.py` checks the files.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset, DatasetDict

from src import assets, runtime
from src.qa.rows import dataset_of

FOLDER = runtime.COURSE / "data" / "course_qa"
SPLITS = ("train", "validation", "test")
QUESTION_FIELDS = {"q", "a", "in", "near", "alone"}

# Marks such as a combining acute are no \w, yet "cafe" is no whole word of "cafe\u0301".
_WORD = r"[\w\u0300-\u036f]"


class CourseSetError(ValueError):
    """A question file that cannot be built; one line with the file, title and question."""


def question_files() -> list[Path]:
    """The question files of the course, one per topic, by name."""
    return sorted(FOLDER.glob("*.yaml"))


def course_topics(files: Iterable[Path] | None = None) -> dict[str, str]:
    """Article title -> topic, which is the name of its file: "Oxygen" -> "physical sciences"."""
    files = question_files() if files is None else files
    topics = {file: file.stem.replace("_", " ") for file in files}
    return {a["title"]: topic for file, topic in topics.items() for a in _read_articles(file)}


def open_domain_questions(rows: Dataset, files: Iterable[Path] | None = None) -> Dataset:
    """Those of `rows`, a part of the course's set, that make sense without their passage.

    They are marked `alone` in the question files, and have one right answer.
    """
    alone = set()
    for file in question_files() if files is None else files:
        for article in _read_articles(file):
            marked = (entry["q"] for entry in article["questions"] if "alone" in entry)
            alone.update(question_id(article["title"], question) for question in marked)
    return rows.select([i for i, row_id in enumerate(rows["id"]) if row_id in alone])


def build_course_set(
    files: Iterable[Path] | None = None, passages: Mapping[str, str] | None = None
) -> DatasetDict:
    """Build the rows of each split from question files, checking every line.

    Args:
        files: YAML files, each a list of articles (title, split, questions); None takes those of
            the course.
        passages: title -> passage text; None takes those of the `wikipedia` asset.

    Returns:
        train, validation and test, where they have questions, with `FEATURES`, in file order.

    Raises:
        CourseSetError: an unknown title or field, an answer that is not a whole-word span of its
            passage or occurs there more than once without an `in` phrase; something given twice.
    """
    files = question_files() if files is None else list(files)
    if not files:
        advice = "holds no question files (*.yaml); restore them from the repository"
        raise CourseSetError(f"{FOLDER}: {advice}.")
    if passages is None:
        passages = {title: passage.text for title, passage in assets.load_passages().items()}
    rows: dict[str, list[dict]] = {split: [] for split in SPLITS}
    seen: dict[str, Path] = {}
    for file in files:
        for article in _read_articles(file):
            title = article["title"]
            if title in seen:
                twice = f"the title {title!r} is already in {seen[title]}"
                raise CourseSetError(f"{file}: {twice}; merge the two.")
            if title not in passages:
                advice = "use a title of the wikipedia asset, letter for letter"
                raise CourseSetError(f"{file}: no passage is called {title!r}; {advice}.")
            seen[title] = file
            rows[article["split"]] += _rows_of(file, article, passages[title])
    found = {split: dataset_of(part) for split, part in rows.items() if part}
    return DatasetDict(found)


def question_id(title: str, question: str) -> str:
    """A stable 24-digit hexadecimal id, the same as long as title and wording are."""
    content = f"{title}\n{' '.join(question.split())}"
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def find_answer(passage: str, answer: str, phrase: str | None = None) -> int:
    """Character offset of `answer` in `passage`, as a whole word or words.

    `phrase` are words around the answer that occur once in the passage, needed where the answer
    itself occurs more than once.

    Raises:
        ValueError: says what to change.
    """
    if not answer.strip():
        raise ValueError("the answer is blank; copy the words from the passage.")
    offset, text, where = 0, passage, "the passage"
    if phrase is not None:
        times = len(_starts(re.escape(phrase), passage)) if phrase else 0
        if times != 1:
            found = f"the `in` phrase {phrase!r} occurs {times} times in the passage"
            raise ValueError(f"{found}; it must occur there once.")
        offset, text, where = passage.index(phrase), phrase, "the `in` phrase"
    starts = _starts(rf"(?<!{_WORD}){re.escape(answer)}(?!{_WORD})", text)
    if not starts:
        found = f"the answer {answer!r} is not in {where} as whole words"
        raise ValueError(f"{found}; copy it letter for letter.")
    if len(starts) > 1:
        advice = "add `in:` with the words around the one you mean"
        raise ValueError(f"the answer {answer!r} occurs {len(starts)} times; {advice}.")
    return offset + starts[0]


def _starts(pattern: str, text: str) -> list[int]:
    # The lookahead finds occurrences that overlap, too: "aa" occurs twice in "aaa".
    return [match.start() for match in re.finditer(f"(?={pattern})", text)]


class YamlLoader(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # the C parser is ten times faster
    """Keeps scalars strings (1.50 stays "1.50", No stays "No"); refuses a field given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            says = "a field is given twice"
            raise yaml.constructor.ConstructorError(None, None, says, node.start_mark)
        return mapping


def _read_articles(file: Path) -> list[dict]:
    try:
        articles = yaml.load(file.read_text(encoding="utf-8"), Loader=YamlLoader)
    except OSError as error:
        advice = "check the path"
        raise CourseSetError(f"{file}: cannot be read ({error.strerror}); {advice}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).replace("<unicode string>", "the file").split())
        advice = "quote texts with a colon or other signs"
        problem = f"not readable as YAML in UTF-8 ({reason})"
        raise CourseSetError(f"{file}: {problem}; {advice}.") from None
    if not isinstance(articles, list):
        raise CourseSetError(f"{file}: expected a list of articles, each starting with `- title:`.")
    for number, article in enumerate(articles, 1):
        kinds = {"title": str, "split": str, "questions": list}
        found = article if isinstance(article, dict) else {}
        if {field: type(value) for field, value in found.items()} != kinds:
            fields = "a title, a split and a list of questions, and no other fields"
            raise CourseSetError(f"{file}: article {number} needs {fields}.")
        if article["split"] not in SPLITS:
            problem = f"split is {article['split']!r}; use one of {', '.join(SPLITS)}"
            raise CourseSetError(f"{file}, {article['title']!r}: {problem}.")
    return articles


def _rows_of(file: Path, article: dict, passage: str) -> list[dict]:
    title = article["title"]
    rows: list[dict] = []
    for number, entry in enumerate(article["questions"], 1):
        where = f"{file}, {title!r}, question {number}"
        _check_entry(where, entry)
        question = " ".join(entry["q"].split())
        if not question.endswith("?"):
            problem = "does not end with a question mark; add it"
            raise CourseSetError(f"{where}: {question!r} {problem}.")
        if question.lower() in {row["question"].lower() for row in rows}:
            raise CourseSetError(f"{where}: {question!r} is asked twice; ask something else.")
        texts = entry.get("a", entry.get("near"))
        texts = texts if isinstance(texts, list) else [texts]
        try:
            starts = [find_answer(passage, text, entry.get("in")) for text in texts]
        except ValueError as error:
            raise CourseSetError(f"{where}: {error}") from None
        if "near" in entry:
            texts, starts = [], []
        row = {"id": question_id(title, question), "title": title, "context": passage}
        row |= {"question": question, "answers": {"text": texts, "answer_start": starts}}
        rows.append(row)
    if not rows:
        advice = "write some or take the article out"
        raise CourseSetError(f"{file}, {title!r}: has no questions; {advice}.")
    return rows


def _check_entry(where: str, entry: Any) -> None:
    fields = set(entry) if isinstance(entry, dict) else set()
    if not {"q"} <= fields <= QUESTION_FIELDS or ("a" in fields) == ("near" in fields):
        form = "q, and either a or near (a tempting wrong span, where the passage has no answer)"
        raise CourseSetError(f"{where}: needs {form}; `in` and `alone` if wanted; nothing else.")
    if "alone" in entry and ("near" in entry or entry["alone"] != "yes"):
        meaning = "`alone` marks a question with an answer that needs no passage"
        raise CourseSetError(f"{where}: {meaning}; write `alone: yes` or leave it out.")
    for field, value in entry.items():
        may_be_list = field in ("a", "near")
        values = value if may_be_list and isinstance(value, list) and value else [value]
        if not all(isinstance(text, str) for text in values):
            kind = "a text or a list of texts" if may_be_list else "a text"
            advice = "put quotes around it if it holds a colon, comma or bracket"
            raise CourseSetError(f"{where}: `{field}` is not {kind}; {advice}.")
