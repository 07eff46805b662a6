"""What the released reader learns from: questions that people wrote, and passages that do not
answer them.

    python tools/reader_data.py        print what there is

The files are in ../shared/data, beside the project and no part of it. Whoever lacks them trains and
measures on the course's own set.
"""

import functools
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

import numpy as np
import yaml
from datasets import Dataset, concatenate_datasets
from sklearn.feature_extraction.text import TfidfVectorizer

from src.qa import Retriever, load_squad
from src.qa.cloze import cloze_questions
from src.qa.documents import wikipedia
from src.qa.metrics import normalize_answer
from src.qa.rows import FEATURES, dataset_of

SHARED = runtime.COURSE.parent / "shared" / "data"
WIKI = "squadshifts/new_wiki_v1.0.json"
WIKI_ARTICLES = {"train": slice(0, 32), "development": slice(32, 40), "test": slice(40, 48)}
TRAIN_FILES = {
    "squad2": "squad_dev/squad2_dev_train.json",
    "squad1": "squad_dev/squad1_dev_train_extra.json",
    "reddit": "squadshifts/reddit_v1.0.json",
    "amazon_reviews": "squadshifts/amazon_reviews_v1.0.json",
}
SCORED_FILES = {
    "development": {"squad2": "squad_dev/squad2_dev_dev.json"},
    "test": {
        "squad2": "squad_dev/squad2_dev_test.json",
        "squad1": "squad_dev/squad1_dev_test.json",
    },
}
# A question that names what it is about can be asked without its passage: a name within it.
NAMES_ITS_SUBJECT = re.compile(r"\w,? (?!I\b)[A-Z][\w'’-]+")
UNANSWERABLE = 0.4  # of the questions of each collection, at least
NEAREST = 8  # passages among which one that does not answer is drawn
GAPS = "with gaps"  # the collection of self-made questions
INTRODUCTIONS = ("course", GAPS)  # the collections whose passages are introductions
ELSEWHERE = ("reddit", "amazon_reviews")  # the collections of other texts than an encyclopedia's
SEARCHED, ANOTHER = "searched", "other-passage"  # ends of the ids of a question's other passages
FOUND = "introductions, found by search"  # the part of that name
CLOZE = 8_000  # questions made of introductions
SEED = 0
NO_ANSWER = {"text": [], "answer_start": []}


def read_file(name: str) -> Dataset | None:
    """The questions of a file below ../shared/data; None where it is not there."""
    file = SHARED / name
    return load_squad(file)["train"] if file.is_file() else None


def load_wiki(part: str) -> Dataset | None:
    """The questions of new_wiki's "train", "development" or "test" articles; None without it."""
    wiki = read_file(WIKI)
    return None if wiki is None else select_articles(wiki, WIKI_ARTICLES[part])


def select_articles(rows: Dataset, which: slice) -> Dataset:
    """The questions of some articles, counted in the order in which their titles come."""
    titles = set(list(dict.fromkeys(rows["title"]))[which])
    return rows.select([i for i, title in enumerate(rows["title"]) if title in titles])


def scored_sets(part: str) -> dict[str, Dataset]:
    """The sets to choose on ("development") or to score once ("test"), by name."""
    found = {"new_wiki": load_wiki(part)}
    found |= {name: read_file(file) for name, file in SCORED_FILES[part].items()}
    return {name: rows for name, rows in found.items() if rows is not None}


def development_questions() -> Dataset:
    """All questions to choose on whose passage is given, in one."""
    sets = [load_squad("course")["validation"], *scored_sets("development").values()]
    return concatenate_datasets(sets)


def everyday_questions(part: str) -> Dataset:
    """The questions of data/everyday_questions.yaml, "development" or "test", without passages."""
    file = runtime.COURSE / "data" / "everyday_questions.yaml"
    topics = yaml.safe_load(file.read_text("utf-8"))
    asked = [one for topic in topics if topic["split"] == part for one in topic["questions"]]
    rows = []
    for number, one in enumerate(asked):
        texts = [str(text) for text in one.get("a", [])]
        answers = {"text": texts, "answer_start": [0] * len(texts)}
        row = {"id": f"everyday-{number}", "title": one["title"], "question": one["q"]}
        rows.append(row | {"context": "", "answers": answers})
    return dataset_of(rows)


@functools.cache
def scored_titles() -> frozenset[str]:
    """Titles that no training question may be about."""
    course = load_squad("course")
    sets = [*scored_sets("development").values(), *scored_sets("test").values()]
    sets += [course["validation"], course["test"]]
    return frozenset(title.replace("_", " ") for rows in sets for title in rows["title"])


def collections() -> dict[str, Dataset]:
    """The training questions by the collection that their passages are from."""
    barred = scored_titles()
    free = {one.title: one.text for one in wikipedia() if one.title not in barred}
    questions = load_squad("course")["train"], cloze_questions(free, CLOZE, SEED)
    found = dict(zip(INTRODUCTIONS, questions, strict=True)) | {"new_wiki": load_wiki("train")}
    found |= {name: read_file(file) for name, file in TRAIN_FILES.items()}
    return {name: answers_that_occur_once(rows) for name, rows in found.items() if rows is not None}


def answers_that_occur_once(rows: Dataset) -> Dataset:
    """Rows without the answers of which nobody knows which occurrence is meant, where a question
    has others; the sets give the first.
    """

    def once(row: dict) -> dict:
        pairs = list(zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True))
        sure = [pair for pair in pairs if row["context"].count(pair[0]) == 1] or pairs
        return {"answers": {"text": [t for t, _ in sure], "answer_start": [s for _, s in sure]}}

    return rows.map(once, features=FEATURES, load_from_cache_file=False)


# --- passages that do not answer


def negatives(
    rows: Dataset, search: Callable[[Sequence[dict]], Iterator[list[str]]], count: int, name: str
) -> Dataset:
    """Questions of `rows` that have an answer, each with a passage that does not hold it.

    Args:
        rows: in SQuAD's columns.
        search: gives for each of some rows the passages to choose from, the likest first.
        count: how many; there can be fewer.
        name: their ids end in "-" and this, and their number.

    Returns:
        Rows in the same columns with empty answers, in random order.
    """
    made, drawn = [], Counter()
    order = np.random.default_rng(SEED).permutation(len(rows))
    asked = [row for row in rows.select(order) if row["answers"]["text"]]
    for row, passages in zip(asked, search(asked), strict=True) if count else ():
        golds = [normalize_answer(text) for text in row["answers"]["text"]]
        others = (one for one in passages if one != row["context"] and not holds(one, golds))
        other = list(islice(others, NEAREST))
        if other:
            # The one drawn least so far: a passage that is like many would be told by its words.
            passage = min(other, key=lambda passage: drawn[passage])
            drawn[passage] += 1
            new = {"id": f"{row['id']}-{name}", "context": passage, "answers": NO_ANSWER}
            made.append(row | new)
        if len(made) == count:
            break
    return dataset_of(made)


def holds(passage: str, golds: Sequence[str]) -> bool:
    """Whether one of the answers, normalised, is in a passage as whole words."""
    plain = f" {normalize_answer(passage)} "
    return any(f" {gold} " in plain for gold in golds)


def likest_of(passages: Sequence[str]) -> Callable[[Sequence[dict]], Iterator[list[str]]]:
    """A search for the passages of a collection that share most words with question and passage."""
    passages = list(dict.fromkeys(passages))
    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    vectors = vectorizer.fit_transform(passages)

    def search(rows: Sequence[dict]) -> Iterator[list[str]]:
        for start in range(0, len(rows), 256):
            part = rows[start : start + 256]
            asked = [f"{2 * row['question']} {row['context']}" for row in part]
            for scores in (vectorizer.transform(asked) @ vectors.T).toarray():
                best = np.argsort(-scores, kind="stable")[: 3 * NEAREST]
                yield [passages[i] for i in best]

    return search


def found_by(
    retriever: Retriever, barred: frozenset[str]
) -> Callable[[Sequence[dict]], Iterator[list[str]]]:
    """The course's own search over introductions, without titles that are scored on."""

    def search(rows: Sequence[dict]) -> Iterator[list[str]]:
        for row in rows:
            hits = retriever.search(row["question"], 2 * NEAREST)
            yield [hit.text for hit in hits if hit.title not in barred]

    return search


def training_rows(collections: dict[str, Dataset]) -> dict[str, Dataset]:
    """All that is learned from, by name: the questions, and as many in a hundred of each
    collection with a passage that does not answer, so that style tells nothing.
    """
    found = dict(collections)
    for name, rows in collections.items():
        if name not in INTRODUCTIONS:
            drawn = negatives(rows, likest_of(rows["context"]), negatives_wanted(rows), ANOTHER)
            found[f"{name}, another passage"] = drawn
    asked = concatenate_datasets([rows for name, rows in collections.items() if name != GAPS])
    asked = asked.filter(lambda row: bool(NAMES_ITS_SUBJECT.search(row["question"])))
    introductions = concatenate_datasets([collections[name] for name in INTRODUCTIONS])
    search = found_by(Retriever.open(), scored_titles())
    found[FOUND] = negatives(asked, search, negatives_wanted(introductions), SEARCHED)
    return {name: rows for name, rows in found.items() if len(rows)}


def thinned(parts: dict[str, Dataset], share: float) -> dict[str, Dataset]:
    """The same with only a share of the questions about what is not in an encyclopedia."""

    def few(name: str, rows: Dataset) -> Dataset:
        if name.partition(",")[0] not in ELSEWHERE:
            return rows
        return rows.shuffle(seed=SEED).select(range(int(share * len(rows))))

    return {name: few(name, rows) for name, rows in parts.items()}


def negatives_wanted(rows: Dataset) -> int:
    """How many a collection needs besides what people wrote."""
    lacking = sum(not answers["text"] for answers in rows["answers"])
    return max(0, int(UNANSWERABLE * len(rows)) - lacking)


def main() -> None:
    parts = training_rows(collections())
    for name, rows in parts.items():
        lacking = sum(not answers["text"] for answers in rows["answers"])
        print(f"{name}: {len(rows):,} questions, {lacking:,} without an answer", flush=True)


if __name__ == "__main__":
    main()
