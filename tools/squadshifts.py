"""The SQuADShifts files beside the project, and which of their articles are for what;
make_weights.py and the benchmarks read them.

They are not part of the course: whoever has no ../shared/data/squadshifts trains and measures on
the course's own set instead.
"""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset

from src import runtime
from src.qa import load_squad

FOLDER = runtime.COURSE.parent / "shared" / "data" / "squadshifts"
ARTICLES = {
    "train": slice(0, 32),
    "development": slice(32, 40),
    "test": slice(40, 48),
}  # of new_wiki, in file order


def load_shift(name: str) -> Dataset | None:
    """All questions of "new_wiki", "reddit" or "amazon_reviews"; None without the file."""
    file = shift_file(name)
    return load_squad(file)["train"] if file.is_file() else None


def load_wiki(part: str) -> Dataset | None:
    """The questions of new_wiki's "train", "development" or "test" articles; None where the file is
    not there.
    """
    wiki = load_shift("new_wiki")
    return None if wiki is None else select_articles(wiki, ARTICLES[part])


def shift_file(name: str) -> Path:
    """Where a file is, or should be."""
    return FOLDER / f"{name}_v1.0.json"


def select_articles(dataset: Dataset, which: slice) -> Dataset:
    """The questions of some articles, counted in the order in which their titles come."""
    titles = set(list(dict.fromkeys(dataset["title"]))[which])
    return dataset.select([i for i, title in enumerate(dataset["title"]) if title in titles])
