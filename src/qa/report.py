"""What a set of questions is made of: sizes, lengths, first words and subjects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pandas as pd
from datasets import Dataset


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


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def _mean_words(texts: Iterable[str]) -> float:
    lengths = [len(text.split()) for text in texts]
    return round(sum(lengths) / len(lengths), 1) if lengths else 0.0
