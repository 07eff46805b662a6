"""Train the released models for sequences: `python tools/make_sequences.py`.

For notebooks 03 to 05: the models that rewrite dates, one minute each, and a classifier of topics,
12 passes. Settings were chosen on development dates and introductions; the scores on the cards are
those of the test splits, of the stored file. Results go to build/weights/, with --release to
weights/, and the classifier is trained with three seeds.
"""

import math
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()  # before torch is imported

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.attention import AttentionEncoderDecoder
from src.batching import length_grouped
from src.dates import exact_match_by_length, make_dates, train_dates
from src.rnn import EncoderDecoder, TextClassifier
from src.topics import TopicData, accuracy, true_topics
from src.training import Run, fit, load_run, save_run
from src.transformer import Transformer
from tools.cards import card_of, parse_options, save_with_page, tell

# Models for dates, and what `train_dates` is given besides the minutes.
DATES: dict[str, tuple[type[nn.Module], dict]] = {
    "dates-rnn": (EncoderDecoder, {"batch_size": 32, "learning_rate": 4e-3}),
    "dates-attention": (AttentionEncoderDecoder, {"batch_size": 32, "learning_rate": 8e-3}),
    "dates-transformer": (Transformer, {"batch_size": 32, "learning_rate": 6e-3}),
}
DATE_MINUTES, TEST_DATES = 1.0, 4000
CLASSIFIER, TOPIC_PASSES = "topics-lstm", 12
SEEDS = (0, 1, 2)  # the first is that of the shipped models


def make_dates_model(name: str, target: Path, remark: str) -> None:
    """Train one model for dates, score the stored file on test dates, write the card."""
    make, recipe = DATES[name]
    torch.manual_seed(SEEDS[0])
    report = tell(name, "exact_match")
    run = train_dates(make(), DATE_MINUTES, seed=SEEDS[0], report=report, **recipe)
    save_run(run, target)
    stored = load_run(target, make)
    by_length = exact_match_by_length(stored.model, make_dates(TEST_DATES, seed=0, split="test"))
    right, count = map(sum, zip(*by_length.values(), strict=True))
    source = "dates and spans of dates made by src.dates, no day of them in two splits"
    title, opened_by = "dates written in many ways to ISO form", f"weights/{name}"
    opened_by = f'load_dates("{opened_by}", {make.__name__})'
    data = {"source": source, "licence": "none needed"}
    run.card = card_of(name, run, title, opened_by, data, remark)
    run.card["scores"] = {"exact_match": round(right / count, 4), "test_dates": count}
    run.card["exact_match_by_length"] = {
        f"{low} to {high - 1}": [right, count] for (low, high), (right, count) in by_length.items()
    }
    save_with_page(run, target)


def topic_batches(
    data: TopicData, batch_size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Inputs float[B, T, D_in], mask bool[B, T], topics int64[B], of about one length, endless."""
    rng, texts = random.Random(seed), data.splits["train"]
    while True:
        shuffled = rng.sample(texts, len(texts))
        for batch in length_grouped(shuffled, lambda text: len(text.words), batch_size, rng):
            inputs, mask = data.inputs([text.words for text in batch])
            yield inputs, mask, torch.tensor([text.topic for text in batch])


def train_topics(
    model: TextClassifier,
    data: TopicData,
    passes: int,
    seed: int = 0,
    batch_size: int = 32,
    learning_rate: float = 4e-3,
    **options: Any,
) -> Run:
    """Teach a classifier the topics; the history's `accuracy` is that on the development split.

    Passes over the training texts, not minutes, compare models fairly on any machine.
    """

    def loss_of(batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        inputs, mask, topics = batch
        return F.cross_entropy(model(inputs, mask), topics)

    batches = topic_batches(data, batch_size, seed)
    score = ("accuracy", lambda: accuracy(model, data, "development"))
    how = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed, "unit": "texts"}
    steps = passes * math.ceil(len(data.splits["train"]) / batch_size)
    return fit(model, batches, loss_of, None, score, steps=steps, **how, **options)


def make_classifier(target: Path, seeds: tuple[int, ...], remark: str) -> None:
    """Train a classifier with each seed, keep the first, score on test texts, write the card."""
    texts, name, by_seed, kept = TopicData.load(), CLASSIFIER, {}, None
    for seed in seeds:
        torch.manual_seed(seed)
        model = TextClassifier("lstm", texts.embeddings.shape[1], len(texts.topics))
        report = tell(f"{name}, seed {seed}", "accuracy")
        run = train_topics(model, texts, TOPIC_PASSES, seed, report=report)
        if kept is None:
            kept = run
            save_run(kept, target)
            model = load_run(target, TextClassifier).model
        by_seed[str(seed)] = round(accuracy(model, texts, "test"), 4)
    source = (
        "introductions of English Wikipedia articles with a topic (asset wikipedia), their words "
    )
    data = {
        "source": source + "as GloVe vectors (asset glove)",
        "licence": "CC BY-SA 4.0 (text), PDDL (GloVe)",
        "splits": {split: len(some) for split, some in texts.splits.items()},
    }
    topics = true_topics(texts, "test")
    commonest = round(float(np.bincount(topics).max() / len(topics)), 4)
    opened_by = f'load_run("weights/{name}", TextClassifier)'
    title = "the topic of a Wikipedia introduction"
    kept.card = card_of(name, kept, title, opened_by, data, remark)
    kept.card["scores"] = {"test_accuracy": by_seed[str(seeds[0])], "test_texts": len(topics)}
    kept.card["test_accuracy_by_seed"] = by_seed
    kept.card["always_the_commonest_topic"] = commonest
    save_with_page(kept, target)


def main() -> None:
    options = parse_options(__doc__, [*DATES, CLASSIFIER])
    for name in options.only:
        if name in DATES:
            make_dates_model(name, options.folder / name, options.remark)
        else:
            seeds = SEEDS if options.release else SEEDS[:1]
            make_classifier(options.folder / name, seeds, options.remark)


if __name__ == "__main__":
    main()
