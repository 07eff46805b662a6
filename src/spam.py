"""Is this message spam? A filter of hand-written rules, and one that learns, in numpy.

    messages = load_messages("train")
    rules_filter(text)  # True or False, by rules that a person wrote
    learned, history = train_filter(messages)  # weights that gradient descent found
    learned.probability(text)  # 0.93

The messages are the course's own (data/spam): invented, with invented names. N: messages, V:
words.
"""

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.stats import binomtest

from src import runtime
from src.text import Vocabulary, check_text, tokenize_words

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Message:
    """One message, and whether it is spam; everything else is called ham."""

    text: str
    is_spam: bool


def load_messages(split: Split) -> list[Message]:
    """The messages of one split of data/spam/messages.csv, in the file's order."""
    if split not in get_args(Split):
        raise ValueError(f"there is no split {split!r}; there are {', '.join(get_args(Split))}.")
    file = runtime.COURSE / "data" / "spam" / "messages.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == split]
    return [Message(row["text"], row["label"] == "spam") for row in rows]


# Invented addresses end in example.com, .net or .org, invented telephone numbers begin with 555.
ADDRESS = re.compile(r"\S+\.example\.\S+|555-\d{4}")


def without_addresses(messages: Sequence[Message]) -> list[Message]:
    """The same messages without web addresses and telephone numbers."""
    return [Message(ADDRESS.sub("", message.text), message.is_spam) for message in messages]


# --- counting errors


@dataclass(frozen=True)
class Errors:
    """What a filter got wrong: ham called spam, and spam let through, of all messages judged."""

    false_alarms: int
    missed: int
    total: int

    @property
    def wrong(self) -> int:
        """Messages judged wrongly, of both kinds together."""
        return self.false_alarms + self.missed


def count_errors(is_spam: Callable[[str], bool], messages: Sequence[Message]) -> Errors:
    """Judge every message with the filter `is_spam`, and count both kinds of error."""
    wrong = [message for message in messages if is_spam(message.text) != message.is_spam]
    missed = sum(message.is_spam for message in wrong)
    return Errors(len(wrong) - missed, missed, len(messages))


# --- rules, written by a person

# They were written before the splits were drawn, so part of what is now the test split had been
# read: that can only flatter the rules.
RULES: dict[str, re.Pattern[str]] = {
    name: re.compile(rf"\b({pattern})\b", re.I)
    for name, pattern in {
        "promises a prize": "won|wins|winner|prize|jackpot|lotto|casino|bonus|voucher|reward|claim",
        "promises money": "cash|income|loan|fortune|refund|million|crypto|coins?|grant|earn"
        "|per hour|account",
        "sells a miracle": "pills?|weight|belly|snoring|younger|secret|diploma|trial|followers"
        "|singles|photos|cheap",
        "costs nothing": "free|complimentary|guaranteed"
        "|no (cost|deposit|experience|questions|credit check)",
        "is in a hurry": r"urgent|now|tonight|today|immediately|final notice|expires?|last chance"
        r"|within \d+ hours",
        "asks for secrets": "bank details|passport|password|code|your card|verify|confirm|log in"
        "|sign in|identity",
        "has a link": r"[\w-]+\.example\.(com|net|org)",
        "is too polite": "dear (sir|friend|doctor|candidate)|esteemed|kindly|with respect"
        "|my darling|handsome",
        "hides letters behind digits": r"[a-z]+\d[a-z]+\b.*\b[a-z]+\d[a-z]+",
    }.items()
}
RULES |= {  # where capitals or signs count
    "asks to text or call": re.compile(r"\b(555-\d{4}|(text|reply|send) [A-Z]{2,})\b"),
    "shouts": re.compile(r"\b[A-Z]{4,}\b|!!"),
    "names a price": re.compile(r"\b\d+\.\d\d\b|[$%]|\b\d+,\d{3}\b"),
}
RULES_NEEDED = 2  # many an honest message matches one


def matching_rules(text: str) -> list[str]:
    """The names of the rules that match a message."""
    return [name for name, pattern in RULES.items() if pattern.search(text)]


def rules_filter(text: str) -> bool:
    """Whether a message is spam: at least RULES_NEEDED rules match it."""
    return len(matching_rules(text)) >= RULES_NEEDED


# --- weights, learned from examples


def count_words(texts: Sequence[str], vocabulary: Vocabulary) -> np.ndarray:
    """How often each word of the vocabulary occurs in each text: float[N, V]."""
    counts = np.zeros((len(texts), len(vocabulary)))
    for row, text in zip(counts, texts, strict=True):
        # add.at, because a word that occurs twice has to be added twice
        np.add.at(row, vocabulary.encode(tokenize_words(text), unknown="drop"), 1)
    return counts


def sigmoid(scores: np.ndarray) -> np.ndarray:
    """Squeeze any number into (0, 1): 0 becomes one half, large numbers come near 1."""
    # Equal to 1 / (1 + exp(-score)), and never overflows.
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(scores)))


def log_loss(is_spam: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean of -log(probability given to the truth): 0 is perfect, a coin gets log 2 = 0.69.

    `is_spam` is bool or 0/1[N], the probabilities of being spam float[N].
    """
    of_the_truth = np.where(is_spam, probabilities, 1 - np.asarray(probabilities))
    return float(-np.log(np.maximum(of_the_truth, 1e-300)).mean())


@dataclass(frozen=True)
class LearnedFilter:
    """Logistic regression: one weight per word of the vocabulary, float[V], and a bias."""

    vocabulary: Vocabulary
    weights: np.ndarray
    bias: float

    def probability(self, text: str) -> float:
        """How likely a message is spam, 0 to 1."""
        scores = count_words([text], self.vocabulary) @ self.weights + self.bias
        return float(sigmoid(scores)[0])

    def __call__(self, text: str) -> bool:
        """Whether a message is spam: more likely than not."""
        return self.probability(text) > 0.5

    def contributions(self, text: str) -> list[tuple[str, float]]:
        """What is added up for a message: the bias, then the weight of each of its words.

        A word without a weight adds 0.
        """
        check_text(text, "the message")
        weights = dict(zip(self.vocabulary.words, self.weights.tolist(), strict=True))
        words = [(word, weights.get(word, 0.0)) for word in tokenize_words(text)]
        return [("bias", self.bias), *words]

    def strongest(self, n: int) -> tuple[dict[str, float], dict[str, float]]:
        """The n words that speak most for spam, and against it, with their weights."""
        pairs = zip(self.vocabulary.words, self.weights.tolist(), strict=True)
        rising = sorted(pairs, key=lambda pair: pair[1])
        return dict(rising[::-1][:n]), dict(rising[:n])


def train_filter(
    messages: Sequence[Message],
    epochs: int = 1000,
    learning_rate: float = 1.0,
    decay: float = 1.0,
    min_count: int = 2,
) -> tuple[LearnedFilter, list[dict[str, float]]]:
    """Learn one weight per word by gradient descent on all messages at once.

    `decay` pulls weights back to 0 (scikit-learn calls 1 / decay C); words seen less often than
    `min_count` get no weight. Returns the filter, and its loss by epoch.
    """
    texts = [message.text for message in messages]
    words = map(tokenize_words, texts)
    vocabulary = Vocabulary.from_sentences(words, min_count=min_count)
    counts = count_words(texts, vocabulary)  # float[N, V]
    truth = np.array([message.is_spam for message in messages], dtype=float)
    weights, bias = np.zeros(len(vocabulary)), 0.0
    history = []
    for epoch in range(1, epochs + 1):
        probabilities = sigmoid(counts @ weights + bias)  # forward: float[N]
        loss = log_loss(truth, probabilities)  # error
        history.append({"epoch": epoch, "loss": loss})
        wrong_by = probabilities - truth  # gradient
        weights_gradient = (counts.T @ wrong_by + decay * weights) / len(truth)
        bias_gradient = wrong_by.mean()
        weights = weights - learning_rate * weights_gradient  # adjust
        bias = bias - learning_rate * bias_gradient
    return LearnedFilter(vocabulary, weights, float(bias)), history


def cross_validate(
    learn: Sequence[Message], *judged: Sequence[Message], parts: int = 10, seed: int = 0
) -> list[np.ndarray]:
    """Which messages are judged rightly by a filter that did not learn from them?

    The messages are cut into parts. Each part is judged by a filter that
    learned from the others.

    Args:
        learn: to learn from.
        judged: the same messages in the same order, perhaps changed; more than
            once, if the same filters are to judge several forms of them.
        parts: how many.
        seed: draws which message is in which part.

    Returns:
        For each of `judged` whether the verdict is right: bool[N].
    """
    order = np.random.default_rng(seed).permutation(len(learn))
    right = [np.zeros(len(learn), dtype=bool) for _ in judged]
    for part in range(parts):
        left_out = order[part::parts]
        others = [learn[i] for i in np.setdiff1d(order, left_out)]
        learned, _ = train_filter(others, epochs=300)
        for found, messages in zip(right, judged, strict=True):
            for i in left_out:
                found[i] = learned(messages[i].text) == messages[i].is_spam
    return right


def chance_of_luck(right: Sequence[bool], other: Sequence[bool]) -> tuple[int, int, float]:
    """Is one of two filters better, or just luckier on these messages?

    Only messages count on which one filter is right and the other wrong. Equally
    good filters would share them like heads and tails.

    Args:
        right, other: bool[N], whether each filter judged each message rightly.

    Returns:
        How many only the first has right, how many only the other, and how often
        a coin falls as unevenly or more.
    """
    right, other = np.asarray(right, dtype=bool), np.asarray(other, dtype=bool)
    first, second = int((right & ~other).sum()), int((other & ~right).sum())
    if first + second == 0:
        return 0, 0, 1.0
    return first, second, float(binomtest(first, first + second).pvalue)
