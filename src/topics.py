"""The topics of Wikipedia introductions: texts with labels, and what a classifier says of them.

    data = TopicData.load()  # 9,033 introductions with one of 11 topics
    model = load_run("weights/topics-lstm", TextClassifier).model
    accuracy(model, data, "test")
    predict(model, data, "A violin concerto in three movements")  # {"Arts": 0.97, ...}

Words come in as GloVe vectors, which are not trained: so the classifiers are small, and know
words that no label came with. tools/make_sequences.py trains them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from src import assets
from src.batching import batches_by_length
from src.dates import Split
from src.embeddings import WordVectors
from src.rnn import TextClassifier, pad
from src.text import Vocabulary, tokenize_words
from src.training import in_eval_mode

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


# --- scoring


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
