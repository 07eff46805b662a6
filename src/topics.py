"""The topics of Wikipedia introductions: texts with labels, and a classifier to train on them.

    data = TopicData.load()  # 9,033 introductions with one of 11 topics
    run = train_topics(TextClassifier("bilstm", 50, len(data.topics)), data, minutes=1)
    accuracy(run.model, data, "test")
    predict(run.model, data, "A violin concerto in three movements")  # {"Arts": 0.97, ...}

Words come in as GloVe vectors, which are not trained: so the classifiers are small, and know
words that no label came with.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from src import assets
from src.batching import batches_by_length, length_grouped
from src.dates import Split
from src.embeddings import WordVectors
from src.rnn import TextClassifier, pad
from src.text import Vocabulary, tokenize_words
from src.training import Run, fit, in_eval_mode

UNLABELLED = "Uncategorized"
MOST_WORDS = 64  # of an introduction that are read; half of all have fewer than 74


@dataclass(frozen=True)
class TopicText:
    """An introduction: its title, its topic's number, and its first words that GloVe knows."""

    title: str
    words: tuple[str, ...]
    topic: int


@dataclass
class TopicData:
    """The labelled introductions, and the vectors of their words.

    Attributes:
        topics: their names, in alphabetical order.
        splits: "train", "development" and "test"; each title is in one of them.
        vocabulary: V words; number 0 is padding.
        embeddings: float32[V, D_in], row 0 zeros.
    """

    topics: list[str]
    splits: dict[str, list[TopicText]]
    vocabulary: Vocabulary
    embeddings: Tensor

    @classmethod
    def load(cls) -> TopicData:
        """Read the introductions that have a topic, and GloVe."""
        wv = WordVectors.load("glove")
        passages = [page for page in assets.load_passages().values() if page.topic != UNLABELLED]
        topics = sorted({passage.topic for passage in passages})
        splits: dict[str, list[TopicText]] = {"train": [], "development": [], "test": []}
        for passage in passages:
            words = tokenize_words(passage.text)
            words = tuple(word for word in words if word in wv.vocabulary.ids)[:MOST_WORDS]
            if words:
                text = TopicText(passage.title, words, topics.index(passage.topic))
                splits[split_of(passage.title)].append(text)
        sentences = (text.words for texts in splits.values() for text in texts)
        vocabulary = Vocabulary.from_sentences(sentences, specials=["<pad>"])
        rows = wv.vectors[wv.vocabulary.encode(vocabulary.words[1:])].astype(np.float32)
        embeddings = torch.from_numpy(np.concatenate([np.zeros_like(rows[:1]), rows]))
        return cls(topics, splits, vocabulary, embeddings)

    def inputs(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Words of several texts as a batch: inputs float[B, T, D_in] and mask bool[B, T]."""
        token_ids, mask = pad([self.vocabulary.encode(words) for words in texts])
        return self.embeddings[token_ids], mask


def split_of(title: str) -> Split:
    """The split of an article, always the same: a fifth for the test, a tenth for development."""
    place = zlib.crc32(title.encode()) % 10
    return {0: "test", 1: "test", 2: "development"}.get(place, "train")


# --- training and scoring


def topic_batches(
    data: TopicData, batch_size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Training batches without end, each of about one length.

    Yields:
        Inputs float[B, T, D_in], mask bool[B, T], topics int64[B].
    """
    rng, texts = random.Random(seed), data.splits["train"]
    while True:
        shuffled = rng.sample(texts, len(texts))
        for batch in length_grouped(shuffled, lambda text: len(text.words), batch_size, rng):
            inputs, mask = data.inputs([text.words for text in batch])
            yield inputs, mask, torch.tensor([text.topic for text in batch])


def train_topics(
    model: TextClassifier,
    data: TopicData,
    minutes: float | None = None,
    seed: int = 0,
    batch_size: int = 32,
    learning_rate: float = 4e-3,
    passes: int | None = None,
    **options: Any,
) -> Run:
    """Teach a classifier, in place, the topics.

    The history's loss is per text, ln 11 for a model that guesses; its `accuracy`, 0 to 1, is
    that on the development split. `passes` over the training texts, instead of minutes, compare
    models fairly on any machine; for the rest, and options, see `src.training.fit`.
    """

    def loss_of(batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        inputs, mask, topics = batch
        return F.cross_entropy(model(inputs, mask), topics)

    per_pass = math.ceil(len(data.splits["train"]) / batch_size)
    return fit(
        model,
        topic_batches(data, batch_size, seed),
        loss_of,
        minutes,
        score=("accuracy", lambda: accuracy(model, data, "development")),
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        unit="texts",
        steps=None if passes is None else passes * per_pass,
        **options,
    )


def probabilities(
    model: TextClassifier, data: TopicData, texts: Sequence[Sequence[str]], tokens: int = 8192
) -> Tensor:
    """How likely each topic is for each text: float[N, topics], in the order of the texts."""
    probs = torch.empty(len(texts), len(data.topics))
    with in_eval_mode(model):
        for batch in batches_by_length([len(words) for words in texts], tokens):
            probs[batch] = model(*data.inputs([texts[i] for i in batch])).softmax(-1)
    return probs


def predict(model: TextClassifier, data: TopicData, text: str) -> dict[str, float]:
    """The topics of any text, the likeliest first; words outside the vocabulary are left out."""
    words = [word for word in tokenize_words(text) if word in data.vocabulary.ids][:MOST_WORDS]
    if not words:
        found = f"no word of {text!r} is in the vocabulary of {len(data.vocabulary):,} words"
        raise ValueError(f"{found}; try another text.")
    probs, order = probabilities(model, data, [words])[0].sort(descending=True)
    return {data.topics[i]: prob for i, prob in zip(order.tolist(), probs.tolist(), strict=True)}


def predicted_topics(model: TextClassifier, data: TopicData, split: Split) -> np.ndarray:
    """The likeliest topic of every text of a split: int64[N]."""
    probs = probabilities(model, data, [text.words for text in data.splits[split]])
    return probs.argmax(-1).numpy()


def true_topics(data: TopicData, split: Split) -> np.ndarray:
    """The topic of every text of a split: int64[N]."""
    return np.array([text.topic for text in data.splits[split]])


def accuracy(model: TextClassifier, data: TopicData, split: Split) -> float:
    """The share of texts of a split, 0 to 1, whose topic is right."""
    return float((predicted_topics(model, data, split) == true_topics(data, split)).mean())
