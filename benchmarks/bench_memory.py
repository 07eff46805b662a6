"""What notebook 03 says of memory and order: trains for ten minutes, writes data/memory.json."""

import json
import random
from dataclasses import replace

import common  # noqa: F401  it makes `src` known
import torch

from src import runtime
from src.rnn import STARTS, TextClassifier, learn_first_symbol, start
from src.topics import TopicData, accuracy
from tools.make_sequences import TOPIC_PASSES, train_topics

READERS = {  # kind, width, learning rate, whether words are shuffled in training and in the test
    "mean of the word vectors": ("bag", 64, 3e-2, False),
    "LSTM on shuffled words": ("lstm", 64, 4e-3, True),
    "a hidden layer for each word": ("words", 256, 1e-2, False),
    "LSTM": ("lstm", 64, 4e-3, False),
    "LSTM, both directions": ("bilstm", 64, 4e-3, False),
}


def shuffle_words(data: TopicData, seed: int) -> TopicData:
    """The same texts, the words of each in an order drawn once."""
    rng = random.Random(seed)
    splits = {
        split: [replace(one, words=tuple(rng.sample(one.words, len(one.words)))) for one in texts]
        for split, texts in data.splits.items()
    }
    return replace(data, splits=splits)


def train_reader(name: str, data: TopicData, seed: int) -> float:
    """Train one of READERS; returns the share of test texts, 0 to 1, whose topic is right."""
    kind, D, rate, shuffled = READERS[name]
    data = shuffle_words(data, seed) if shuffled else data
    torch.manual_seed(seed)
    model = TextClassifier(kind, data.embeddings.shape[1], len(data.topics), D=D)
    train_topics(model, data, TOPIC_PASSES, seed, learning_rate=rate)
    return accuracy(model, data, "test")


def main() -> None:
    symbols, order, data = {}, {}, TopicData.load()
    for seed in range(3):
        for name in STARTS:
            torch.manual_seed(seed)
            symbols.setdefault(name, []).append(round(learn_first_symbol(start(name, 4, 32)), 4))
        for name in READERS:
            order.setdefault(name, []).append(round(train_reader(name, data, seed), 4))
            print(seed, name, order[name], flush=True)
    runs = {"machine": runtime.machine_line(), "first_symbol": symbols, "order": order}
    (runtime.COURSE / "data/memory.json").write_text(json.dumps(runs, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
