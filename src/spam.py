"""Is this message spam? A filter of hand-written rules, and one that learns its weights from examples, in numpy.

    messages = load_messages("train")
    rules_filter(text)                        # True or False, by rules that a person wrote
    learned, history = train_filter(messages) # the same question, by weights that gradient descent found
    learned.probability(text)                 # 0.93

The messages are the course's own (data/spam): invented, with invented names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from src import runtime
from src.text import Vocabulary, tokenize_words

SPLITS = ("train", "validation", "test")
Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Message:
    """One message and whether it is spam; everything that is not is called ham."""

    text: str
    is_spam: bool


def load_messages(split: Split) -> list[Message]:
    """The messages of one split of data/spam/messages.csv, in the file's order. Raises ValueError for another split."""
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r} of the messages; there are {', '.join(SPLITS)}.")
    with (runtime.COURSE / "data" / "spam" / "messages.csv").open(encoding="utf-8", newline="") as file:
        return [Message(row["text"], row["label"] == "spam") for row in csv.DictReader(file) if row["split"] == split]


# --- counting errors -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Errors:
    """What a filter got wrong. false_alarms: ham called spam.   missed: spam let through.   total: messages judged."""

    false_alarms: int
    missed: int
    total: int

    @property
    def wrong(self) -> int:
        """Messages judged wrongly, of both kinds together."""
        return self.false_alarms + self.missed

    @property
    def accuracy(self) -> float:
        """The share of messages judged rightly, in [0, 1]."""
        return 1 - self.wrong / self.total


def count_errors(is_spam: Callable[[str], bool], messages: Sequence[Message]) -> Errors:
    """Judge every message with the filter `is_spam` and count both kinds of error. Raises ValueError without messages."""
    if not messages:
        raise ValueError("there are no messages to judge.")
    verdicts = [is_spam(message.text) for message in messages]
    false_alarms = sum(verdict and not message.is_spam for verdict, message in zip(verdicts, messages, strict=True))
    missed = sum(message.is_spam and not verdict for verdict, message in zip(verdicts, messages, strict=True))
    return Errors(false_alarms, missed, len(messages))


# --- rules, written by a person ------------------------------------------------------------------------------------------

# What the writer of these rules noticed in the messages. They were written before the splits were drawn, so a part of what is now
# the test split had been read: that can only flatter the rules.
RULES: dict[str, re.Pattern[str]] = {
    "promises a prize": re.compile(r"\b(won|wins|winner|prize|jackpot|lotto|casino|bonus|voucher|reward|claim)\b", re.I),
    "promises money": re.compile(r"\b(cash|income|loan|fortune|refund|million|crypto|coins?|grant|earn|per hour|account)\b", re.I),
    "sells a miracle": re.compile(r"\b(pills?|weight|belly|snoring|younger|secret|diploma|trial|followers|singles|photos|cheap)\b", re.I),
    "costs nothing": re.compile(r"\b(free|complimentary|guaranteed|no (cost|deposit|experience|questions|credit check))\b", re.I),
    "is in a hurry": re.compile(r"\b(urgent|now|tonight|today|immediately|final notice|expires?|last chance|within \d+ hours)\b", re.I),
    "asks for secrets": re.compile(r"\b(bank details|passport|password|code|your card|verify|confirm|log in|sign in|identity)\b", re.I),
    "has a link": re.compile(r"\b[\w-]+\.example\.(com|net|org)\b", re.I),
    "asks to text or call": re.compile(r"\b(555-\d{4}|(text|reply|send) [A-Z]{2,})\b"),
    "shouts": re.compile(r"\b[A-Z]{4,}\b|!!"),
    "hides letters behind digits": re.compile(r"\b[a-z]+\d[a-z]+\b.*\b[a-z]+\d[a-z]+\b", re.I),
    "is too polite": re.compile(r"\b(dear (sir|friend|doctor|candidate)|esteemed|kindly|with respect|my darling|handsome)\b", re.I),
    "names a price": re.compile(r"\b\d+\.\d\d\b|[$%]|\b\d+,\d{3}\b"),
}
RULES_NEEDED = 2  # one sign alone is found in many an honest message


def matching_rules(text: str) -> list[str]:
    """The names of the rules that fit a message."""
    return [name for name, pattern in RULES.items() if pattern.search(text)]


def rules_filter(text: str) -> bool:
    """Whether a message is spam by the rules: at least RULES_NEEDED of them fit."""
    return len(matching_rules(text)) >= RULES_NEEDED


# --- weights, learned from examples --------------------------------------------------------------------------------------


def count_words(texts: Iterable[str], vocabulary: Vocabulary) -> np.ndarray:
    """How often each word of the vocabulary stands in each text: float[N, V]. Other words count nowhere."""
    texts = list(texts)
    counts = np.zeros((len(texts), len(vocabulary)))
    for row, text in enumerate(texts):
        # add.at, because a word that stands there twice has to be added twice
        np.add.at(counts[row], vocabulary.encode(tokenize_words(text), unknown="drop"), 1)
    return counts


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """Squeeze any number into (0, 1): 0 becomes one half, large numbers come near 1, very negative ones near 0."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(scores)))  # equal to 1 / (1 + exp(-score)), and never overflows


def log_loss(is_spam: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean of -log(probability given to the truth), in nats: 0 is perfect, log 2 = 0.69 is what a coin gets.

    is_spam: bool or 0/1[N]   probabilities: float[N], of being spam
    """
    of_the_truth = np.where(is_spam, probabilities, 1 - np.asarray(probabilities))
    return float(-np.log(np.maximum(of_the_truth, 1e-300)).mean())


@dataclass(frozen=True)
class LearnedFilter:
    """One weight per word and a bias: logistic regression. weights: float[V], in the order of the vocabulary."""

    vocabulary: Vocabulary
    weights: np.ndarray
    bias: float

    def probability(self, text: str) -> float:
        """How likely a message is spam, in (0, 1): the sigmoid of the bias and the weights of its words, added up."""
        return float(sigmoid(count_words([text], self.vocabulary) @ self.weights + self.bias)[0])

    def __call__(self, text: str) -> bool:
        """Whether a message is spam: more likely than not."""
        return self.probability(text) > 0.5

    def word_weights(self, text: str) -> list[tuple[str, float]]:
        """The words of a message, in order, each with its weight; 0 for a word that training never saw."""
        words = tokenize_words(text)
        found = [self.vocabulary.ids.get(word) for word in words]
        return [(word, 0.0 if number is None else float(self.weights[number])) for word, number in zip(words, found, strict=True)]

    def strongest(self, n: int) -> tuple[dict[str, float], dict[str, float]]:
        """The n words that speak most for spam, and the n that speak most against it, each with its weight, strongest first."""
        order = np.argsort(self.weights)
        words = self.vocabulary.words
        return {words[i]: float(self.weights[i]) for i in order[::-1][:n]}, {words[i]: float(self.weights[i]) for i in order[:n]}


def train_filter(
    messages: Sequence[Message], epochs: int = 3000, learning_rate: float = 1.0, decay: float = 1.0, min_count: int = 2
) -> tuple[LearnedFilter, list[dict[str, float]]]:
    """Learn one weight per word by gradient descent on all messages at once; also returns one dict per epoch: epoch, loss.

    decay: how strongly weights are pulled back to 0; decay / 2 times the sum of their squares, divided by the number of messages,
    is added to what is made small (but not to the loss in the history). scikit-learn's LogisticRegression calls 1 / decay C.
    min_count: words seen less often get no weight.
    """
    texts = [message.text for message in messages]
    vocabulary = Vocabulary.from_sentences(map(tokenize_words, texts), min_count=min_count)
    counts = count_words(texts, vocabulary)  # float[N, V]
    truth = np.array([message.is_spam for message in messages], dtype=float)
    weights, bias = np.zeros(len(vocabulary)), 0.0
    history = []
    for epoch in range(1, epochs + 1):
        probabilities = sigmoid(counts @ weights + bias)  # forward: float[N]
        history.append({"epoch": epoch, "loss": log_loss(truth, probabilities)})  # error
        wrong_by = probabilities - truth
        weights_gradient = (counts.T @ wrong_by + decay * weights) / len(truth)  # gradient: float[V]
        bias_gradient = wrong_by.mean()
        weights = weights - learning_rate * weights_gradient  # adjust
        bias = bias - learning_rate * bias_gradient
    return LearnedFilter(vocabulary, weights, float(bias)), history
