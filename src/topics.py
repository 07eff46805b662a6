"""The topics of Wikipedia introductions: texts with labels, training a `TextClassifier` on them, and scoring it (notebook 03).

    data = TopicData.load()                                     # 9,033 introductions with one of 11 topics
    run = train_topics(TextClassifier("bilstm", 50, len(data.topics)), data, minutes=1)
    accuracy(run.model, data, "test")
    predict(run.model, data, "A violin concerto in three movements")       # {"Arts": 0.97, ...}

Words come in as GloVe vectors, which stay as they are: so the classifiers are small, and know words that no label came with.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from src import assets
from src.dates import Split
from src.embeddings import WordVectors
from src.rnn import TextClassifier, pad
from src.text import Vocabulary, tokenize_words
from src.training import Run, fit, in_eval_mode

UNLABELLED = "Uncategorized"
MOST_WORDS = 64  # of an introduction that are read; half of all have fewer than 74
PADDING = "<pad>"


@dataclass(frozen=True)
class TopicText:
    """An introduction: its title, its words (those GloVe knows, at most MOST_WORDS), and the number of its topic."""

    title: str
    words: tuple[str, ...]
    topic: int


@dataclass
class TopicData:
    """The labelled introductions in three splits, and the vectors of their words.

    topics: names in alphabetical order   splits: "train", "development" and "test", each title in one of them
    vocabulary: V words, number 0 is padding   embeddings: float32[V, D_in], row 0 zeros
    """

    topics: list[str]
    splits: dict[str, list[TopicText]]
    vocabulary: Vocabulary
    embeddings: Tensor

    @classmethod
    def load(cls) -> TopicData:
        """Read the introductions and GloVe (see `src.assets`). Introductions without a topic are left out."""
        wv = WordVectors.load("glove")
        passages = [passage for passage in assets.load_passages().values() if passage.topic != UNLABELLED]
        topics = sorted({passage.topic for passage in passages})
        splits: dict[str, list[TopicText]] = {"train": [], "development": [], "test": []}
        for passage in passages:
            words = tuple(word for word in tokenize_words(passage.text) if word in wv.vocabulary.ids)[:MOST_WORDS]
            if words:
                splits[split_of(passage.title)].append(TopicText(passage.title, words, topics.index(passage.topic)))
        vocabulary = Vocabulary.from_sentences((text.words for texts in splits.values() for text in texts), specials=[PADDING])
        rows = wv.vectors[wv.vocabulary.encode(vocabulary.words[1:])].astype(np.float32)
        embeddings = torch.from_numpy(np.concatenate([np.zeros_like(rows[:1]), rows]))
        return cls(topics, splits, vocabulary, embeddings)

    def inputs(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Words of several texts as a batch: inputs float[B, T, D_in] and mask bool[B, T]."""
        token_ids, mask = pad([self.vocabulary.encode(words) for words in texts])
        return self.embeddings[token_ids], mask


def split_of(title: str) -> Split:
    """The split of an article, always the same: one in five is for the test, one in ten for development."""
    return {0: "test", 1: "test", 2: "development"}.get(zlib.crc32(title.encode()) % 10, "train")


# --- training and scoring ------------------------------------------------------------------------------------------------


def topic_batches(data: TopicData, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Training batches without end, each of about one length: inputs float[B, T, D_in], mask bool[B, T], topics int64[B]."""
    rng = random.Random(seed)
    while True:
        texts = rng.sample(data.splits["train"], len(data.splits["train"]))
        texts.sort(key=lambda text: len(text.words) + 8 * rng.random())  # other neighbours in every pass
        begins = list(range(0, len(texts), batch_size))
        rng.shuffle(begins)
        for begin in begins:
            batch = texts[begin : begin + batch_size]
            yield (*data.inputs([text.words for text in batch]), torch.tensor([text.topic for text in batch]))


def train_topics(
    model: TextClassifier,
    data: TopicData,
    minutes: float | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    report: Callable[[dict], None] | None = None,
    batch_size: int = 32,
    learning_rate: float = 4e-3,
    passes: int | None = None,
) -> Run:
    """Teach a classifier the topics for so many minutes from the call on, or until Ctrl-C; arguments as in `train_dates`.

    passes: go over the training texts so many times instead, however long it takes; so models are compared fairly on any machine.
    The history's loss is per text, ln 11 for a model that guesses; its `accuracy`, in [0, 1], is that on the development split.
    """

    def loss_of(batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        inputs, mask, topics = batch
        return F.cross_entropy(model(inputs, mask), topics)

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
        report=report,
        steps=None if passes is None else passes * math.ceil(len(data.splits["train"]) / batch_size),
        folder=folder,
    )


def probabilities(model: TextClassifier, data: TopicData, texts: Sequence[Sequence[str]], batch_size: int = 256) -> Tensor:
    """How likely each topic is for each text, in the order of the texts.   Returns float[len(texts), topics]."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    probs = torch.empty(len(texts), len(data.topics))
    with in_eval_mode(model):
        for begin in range(0, len(order), batch_size):
            batch = order[begin : begin + batch_size]
            probs[batch] = model(*data.inputs([texts[i] for i in batch])).softmax(-1)
    return probs


def predict(model: TextClassifier, data: TopicData, text: str) -> dict[str, float]:
    """The topics of any text, the likeliest first. Words outside the vocabulary are left out; ValueError where none is left."""
    words = [word for word in tokenize_words(text) if word in data.vocabulary.ids][:MOST_WORDS]
    if not words:
        raise ValueError(f"no word of {text!r} is in the vocabulary of {len(data.vocabulary):,} words; try another text.")
    probs = probabilities(model, data, [words])[0].tolist()
    return dict(sorted(zip(data.topics, probs, strict=True), key=lambda pair: -pair[1]))


def predicted_topics(model: TextClassifier, data: TopicData, split: Split) -> np.ndarray:
    """The number of the likeliest topic of every text of a split, int64[N]."""
    return probabilities(model, data, [text.words for text in data.splits[split]]).argmax(-1).numpy()


def true_topics(data: TopicData, split: Split) -> np.ndarray:
    """The number of the topic of every text of a split, int64[N]."""
    return np.array([text.topic for text in data.splits[split]])


def accuracy(model: TextClassifier, data: TopicData, split: Split) -> float:
    """The share of texts of a split, in [0, 1], whose topic comes out right."""
    return float((predicted_topics(model, data, split) == true_topics(data, split)).mean())


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, topics: int) -> np.ndarray:
    """How often each topic was taken for each: int64[topics, topics], a row for the true one, a column for the predicted one."""
    counts = np.zeros((topics, topics), dtype=np.int64)
    np.add.at(counts, (true, predicted), 1)
    return counts
