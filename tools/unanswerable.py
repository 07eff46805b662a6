"""Questions that their passage does not answer, made from questions that have an answer.

A reader that only ever saw answerable questions never learns to refuse. Each of three ways is
checked, so that no answer is left in the passage:

- *another passage*: the question is put to the most similar other passage of its article that holds
  none of its answers;
- *another name*: a name or number in the question is replaced by one of the same kind from
  elsewhere in the article that is not in the passage;
- *without the sentence*: every sentence that holds an answer is taken out.
"""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
from datasets import Dataset
from sklearn.feature_extraction.text import TfidfVectorizer

from src.qa.metrics import normalize_answer
from src.qa.rows import dataset_of
from src.text import split_sentences

NO_ANSWER = {"text": [], "answer_start": []}
WORD = re.compile(r"\b\w\w+\b")  # what TfidfVectorizer counts
# Capitalised words that do not open the question, or a number; the group tells the kind.
NAME_OR_NUMBER = re.compile(
    r"(?<=\w )(?P<name>[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*)|\b(?P<number>\d[\d,.]*\d|\d)\b"
)


def pair_with_other_passages(dataset: Dataset, count: int, seed: int) -> Dataset:
    """Questions with the most similar passage of their article that does not hold their answer.

    Questions without an answer, and articles of one passage or without words, are left out.

    Args:
        dataset: rows in SQuAD's columns.
        count: how many; there can be fewer.
        seed: of the choice.

    Returns:
        Rows in the same columns with empty answers; ids end in "-other-passage".
    """
    passages = _passages_by_title(dataset)
    ranked = {
        title: _Similarity(texts)
        for title, texts in passages.items()
        if len(texts) > 1 and WORD.search(" ".join(texts))
    }
    rows = []
    for row in _shuffled(dataset, seed):
        if len(rows) == count:
            break
        if row["title"] not in ranked or not row["answers"]["text"]:
            continue
        answers = [normalize_answer(text) for text in row["answers"]["text"]]
        for passage in ranked[row["title"]].nearest(f"{row['question']} {row['context']}", most=5):
            plain = normalize_answer(passage)
            if passage != row["context"] and not any(answer in plain for answer in answers):
                rows.append(
                    row
                    | {"id": f"{row['id']}-other-passage", "context": passage, "answers": NO_ANSWER}
                )
                break
    return dataset_of(rows)


def replace_names(dataset: Dataset, count: int, seed: int) -> Dataset:
    """Questions in which one name or number became another that the passage does not mention.

    Arguments and result as `pair_with_other_passages`; the ids end in "-other-name".
    """
    rng = np.random.default_rng(seed)
    stock: dict[tuple[str, str], list[str]] = defaultdict(list)
    for title, texts in _passages_by_title(dataset).items():
        for text in texts:
            for match in NAME_OR_NUMBER.finditer(text):
                stock[title, match.lastgroup].append(match.group())
    rows = []
    for row in _shuffled(dataset, seed):
        if len(rows) == count:
            break
        found = [
            match
            for match in NAME_OR_NUMBER.finditer(row["question"])
            if match.group() in row["context"]
        ]
        if not found or not row["answers"]["text"]:
            continue
        match = found[rng.integers(len(found))]
        others = [
            text
            for text in stock[row["title"], match.lastgroup]
            if text not in row["context"] and text not in row["question"]
        ]
        if others:
            question = (
                row["question"][: match.start()]
                + others[rng.integers(len(others))]
                + row["question"][match.end() :]
            )
            rows.append(
                row | {"id": f"{row['id']}-other-name", "question": question, "answers": NO_ANSWER}
            )
    return dataset_of(rows)


def drop_answer_sentences(dataset: Dataset, count: int, seed: int) -> Dataset:
    """Questions whose passage lost all sentences that hold an answer, and still has two or more.

    Arguments and result as `pair_with_other_passages`; the ids end in "-without-the-sentence".
    """
    rows = []
    for row in _shuffled(dataset, seed):
        if len(rows) == count:
            break
        answers = [normalize_answer(text) for text in row["answers"]["text"]]
        sentences = split_sentences(row["context"])
        kept = [
            sentence
            for sentence in sentences
            if not any(answer in normalize_answer(sentence) for answer in answers)
        ]
        rest = " ".join(kept)
        # An answer across two sentences is in neither, and one could arise where two meet.
        if 2 <= len(kept) < len(sentences) and not any(
            answer in normalize_answer(rest) for answer in answers
        ):
            rows.append(
                row
                | {"id": f"{row['id']}-without-the-sentence", "context": rest, "answers": NO_ANSWER}
            )
    return dataset_of(rows)


class _Similarity:
    """The passages of one article, ranked by shared words."""

    def __init__(self, passages: list[str]):
        self.passages = passages
        self.vectorizer = TfidfVectorizer(sublinear_tf=True)
        self.vectors = self.vectorizer.fit_transform(passages)

    def nearest(self, text: str, most: int) -> list[str]:
        similarity = (self.vectors @ self.vectorizer.transform([text]).T).toarray().ravel()
        return [self.passages[i] for i in np.argsort(-similarity, kind="stable")[: most + 1]]


def _passages_by_title(dataset: Dataset) -> dict[str, list[str]]:
    passages: dict[str, dict[str, None]] = defaultdict(dict)
    for title, context in zip(dataset["title"], dataset["context"], strict=True):
        passages[title][context] = None
    return {title: list(texts) for title, texts in passages.items()}


def _shuffled(dataset: Dataset, seed: int):
    for i in np.random.default_rng(seed).permutation(len(dataset)):
        yield dataset[int(i)]
