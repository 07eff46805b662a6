"""The course's own question set: written by hand over Wikipedia introductions, built into SQuAD v2.0 JSON.

`data/course_qa/*.yaml` holds questions and answers and names each passage by its title only; the text of the
passage stays in the `wikipedia` asset. `data/course_qa/README.md` explains the format to a person who writes questions.

    python -m src.qa.course_set            # check all files and print what the set is made of
    python -m src.qa.course_set FILE...    # the same for these files alone
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from src import assets

if TYPE_CHECKING:
    from datasets import Dataset

FOLDER = Path(__file__).resolve().parents[2] / "data" / "course_qa"
SPLITS = ("train", "validation", "test")
ARTICLE_FIELDS = {"title", "split", "questions"}
QUESTION_FIELDS = {"q", "a", "in", "near", "alone"}

# Marks such as a combining acute are no \w, yet "cafe" is no whole word of "cafe\u0301".
_WORD = r"[\w\u0300-\u036f]"


class CourseSetError(ValueError):
    """A question file that cannot be built; the message is one line naming the file, the title and the question."""


def question_files() -> list[Path]:
    """The question files of the course, one per topic, by name."""
    return sorted(FOLDER.glob("*.yaml"))


def course_topics(files: Iterable[Path] | None = None) -> dict[str, str]:
    """Article title -> topic, which is the name of the file it stands in: "Oxygen" -> "physical sciences"."""
    files = question_files() if files is None else files
    return {article["title"]: file.stem.replace("_", " ") for file in files for article in _read_articles(file)}


def open_domain_questions(rows: Dataset) -> Dataset:
    """Those of `rows`, a part of the course's set, that make sense without their passage; in their order."""
    alone = open_domain_ids()
    return rows.select([i for i, question_id in enumerate(rows["id"]) if question_id in alone])


def open_domain_ids(files: Iterable[Path] | None = None) -> frozenset[str]:
    """Ids of the questions marked `alone`: they make sense, and have one right answer, without their passage."""
    files = question_files() if files is None else files
    articles = (article for file in files for article in _read_articles(file))
    return frozenset(
        question_id(article["title"], entry["q"]) for article in articles for entry in article["questions"] if "alone" in entry
    )


def load_passage_texts() -> dict[str, str]:
    """Title -> text of every passage one may write questions on: the English introductions of the `wikipedia` asset."""
    return {title: passage.text for title, passage in assets.load_passages().items()}


def build_course_set(files: Iterable[Path] | None = None, *, passages: Mapping[str, str]) -> dict[str, dict]:
    """Build the course's question files into one SQuAD v2.0 object per split, checking every line.

    files: YAML files, each a list of articles (`title`, `split`, `questions`); None takes those of the course.
    passages: title -> passage text.
    Returns {"train": {"version": "v2.0", "data": [...]}, "validation": {...}, "test": {...}}, articles in file order.
    Raises CourseSetError for an unknown title or field, an answer that is not a whole-word span of its passage or
    stands there more than once without an `in` phrase, a question asked twice, and a title used twice.
    """
    files = question_files() if files is None else list(files)
    if not files:
        raise CourseSetError(f"{FOLDER}: holds no question files (*.yaml); restore them from the repository.")
    data: dict[str, list[dict]] = {split: [] for split in SPLITS}
    seen_titles: dict[str, Path] = {}
    for file in files:
        for article in _read_articles(file):
            title = article["title"]
            if title in seen_titles:
                raise CourseSetError(f"{file}: the title {title!r} already stands in {seen_titles[title]}; merge the two.")
            if title not in passages:
                raise CourseSetError(f"{file}: no passage is called {title!r}; use a title of the wikipedia asset, letter for letter.")
            seen_titles[title] = file
            data[article["split"]].append(_build_article(file, article, passages[title]))
    return {split: {"version": "v2.0", "data": articles} for split, articles in data.items()}


def question_id(title: str, question: str) -> str:
    """A stable 24-digit hexadecimal id (SQuAD's own length), the same as long as title and wording are."""
    return hashlib.sha256(f"{title}\n{' '.join(question.split())}".encode()).hexdigest()[:24]


def find_answer(passage: str, answer: str, phrase: str | None = None) -> int:
    """Character offset of `answer` in `passage`, as a whole word or words.

    phrase: words around the answer that stand once in the passage, needed when the answer itself stands there more
    than once. Raises ValueError saying what to change.
    """
    if not answer.strip():
        raise ValueError("the answer is blank; copy the words from the passage.")
    offset, text = 0, passage
    if phrase is not None:
        times = len(_starts(phrase, passage)) if phrase else 0
        if times != 1:
            raise ValueError(f"the `in` phrase {phrase!r} stands {times} times in the passage; it must stand there once.")
        offset, text = passage.index(phrase), phrase
    starts = [offset + start for start in _starts(rf"(?<!{_WORD}){re.escape(answer)}(?!{_WORD})", text, pattern=True)]
    if not starts:
        where = "the `in` phrase" if phrase is not None else "the passage"
        raise ValueError(f"the answer {answer!r} does not stand in {where} as whole words; copy it letter for letter.")
    if len(starts) > 1:
        raise ValueError(f"the answer {answer!r} stands {len(starts)} times; add `in:` with the words around the one you mean.")
    return starts[0]


def _starts(wanted: str, text: str, pattern: bool = False) -> list[int]:
    # The lookahead finds occurrences that overlap, too: "aa" stands twice in "aaa".
    return [match.start() for match in re.finditer(f"(?={wanted if pattern else re.escape(wanted)})", text)]


class _Loader(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # the C parser where there is one: ten times faster
    """Keeps every scalar a string (an answer of 1.50 stays "1.50", No stays "No") and refuses a field given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a field is given twice", node.start_mark)
        return mapping


def _read_articles(file: Path) -> list[dict]:
    try:
        articles = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise CourseSetError(f"{file}: cannot be read ({error.strerror}); check the path.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).replace("<unicode string>", "the file").split())
        raise CourseSetError(f"{file}: not readable as YAML in UTF-8 ({reason}); quote texts with a colon or other signs.") from None
    if not isinstance(articles, list):
        raise CourseSetError(f"{file}: expected a list of articles, each starting with `- title:`.")
    for number, article in enumerate(articles, 1):
        if not isinstance(article, dict) or set(article) != ARTICLE_FIELDS:
            raise CourseSetError(f"{file}: article {number} needs the fields title, split and questions, and no others.")
        if not isinstance(article["title"], str) or not isinstance(article["questions"], list):
            raise CourseSetError(f"{file}: article {number} needs a title in words and a list of questions.")
        if article["split"] not in SPLITS:
            raise CourseSetError(f"{file}, {article['title']!r}: split is {article['split']!r}; use one of {', '.join(SPLITS)}.")
    return articles


def _build_article(file: Path, article: dict, passage: str) -> dict:
    title = article["title"]
    qas: list[dict] = []
    seen: set[str] = set()
    for number, entry in enumerate(article["questions"], 1):
        where = f"{file}, {title!r}, question {number}"
        _check_fields(where, entry)
        question = " ".join(entry["q"].split())
        if not question.endswith("?") or question.lower() in seen:
            problem = "is asked twice; ask something else" if question.lower() in seen else "does not end with a question mark; add it"
            raise CourseSetError(f"{where}: {question!r} {problem}.")
        seen.add(question.lower())
        texts = entry["a"] if "a" in entry else entry["near"]
        try:
            spans = [
                {"text": text, "answer_start": find_answer(passage, text, entry.get("in"))}
                for text in (texts if isinstance(texts, list) else [texts])
            ]
        except ValueError as error:
            raise CourseSetError(f"{where}: {error}") from None
        qa = {"id": question_id(title, question), "question": question, "is_impossible": "near" in entry}
        qas.append(qa | ({"answers": [], "plausible_answers": spans} if "near" in entry else {"answers": spans}))
    if not qas:
        raise CourseSetError(f"{file}, {title!r}: has no questions; write some or take the article out.")
    return {"title": title, "paragraphs": [{"context": passage, "qas": qas}]}


def _check_fields(where: str, entry: Any) -> None:
    if not isinstance(entry, dict) or "q" not in entry or not set(entry) <= QUESTION_FIELDS:
        raise CourseSetError(f"{where}: needs q, and a or near; `in` and `alone` are optional; no other fields.")
    if ("a" in entry) == ("near" in entry):
        raise CourseSetError(f"{where}: give `a` when the passage answers it, `near` (a tempting wrong span) when it does not.")
    if "alone" in entry and ("near" in entry or entry["alone"] != "yes"):
        raise CourseSetError(f"{where}: `alone` marks a question with an answer that needs no passage; write `alone: yes` or leave it out.")
    for field, value in entry.items():
        several = field in ("a", "near") and isinstance(value, list) and value
        if not all(isinstance(text, str) for text in (value if several else [value])):
            kind = "a text or a list of texts" if field in ("a", "near") else "a text"
            raise CourseSetError(f"{where}: `{field}` is not {kind}; put quotes around it if it holds a colon, comma or bracket.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the question files and print the mix of the set, or one line on stderr and status 2."""
    # Imported here: only this command needs pandas and `datasets`.
    from src.qa.report import questions_report
    from src.qa.squad import dataset_from_squad

    files = [Path(name) for name in (sys.argv[1:] if arguments is None else arguments)] or question_files()
    try:
        built = build_course_set(files, passages=load_passage_texts())
        splits = {split: dataset_from_squad(squad, f"the {split} split") for split, squad in built.items() if squad["data"]}
    except (ValueError, OSError, RuntimeError) as error:
        print(f"python -m src.qa.course_set: {error}", file=sys.stderr)
        return 2
    print(questions_report(splits, course_topics(files)).to_string())
    alone = open_domain_ids(files)
    counts = ", ".join(f"{len(alone.intersection(rows['id']))} in {split}" for split, rows in splits.items())
    print(f"make sense without their passage: {len(alone)} ({counts})")
    return 0


if __name__ == "__main__":
    # Run from the imported module, not from this second copy of it, so that its errors are the ones caught.
    from src.qa.course_set import main as imported_main

    sys.exit(imported_main())
