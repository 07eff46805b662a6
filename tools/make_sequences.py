"""Train the released models for sequences: `python tools/make_sequences.py`.

For notebooks 03 and 04: the models that rewrite dates, one minute each, and the classifiers of topics, 12 passes each.
Settings were chosen on development dates and development introductions; the scores on the cards are those of the test splits.

Results go to build/weights/dates-* and topics-*. The shipped files in weights/ are written only with --release, which also trains
the classifiers with more seeds for the table on their cards.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()  # before torch is imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from src.attention import AttentionEncoderDecoder  # noqa: E402
from src.dates import exact_match_by_length, make_dates, train_dates  # noqa: E402
from src.rnn import KINDS, EncoderDecoder, TextClassifier  # noqa: E402
from src.topics import TopicData, accuracy, train_topics, true_topics  # noqa: E402
from src.training import load_run, save_run  # noqa: E402
from src.transformer import Transformer  # noqa: E402
from tools.cards import card_of, model_line, recipe_line, save_with_page, tell  # noqa: E402

# Models for dates: how to make one, and what `train_dates` is given besides the minutes.
DATES: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "dates-rnn": (EncoderDecoder, {"batch_size": 32, "learning_rate": 4e-3}),
    "dates-attention": (AttentionEncoderDecoder, {"batch_size": 32, "learning_rate": 8e-3}),
    "dates-transformer": (Transformer, {"batch_size": 32, "learning_rate": 6e-3}),
}
DATE_MINUTES = 1.0
TEST_DATES = 4000
# Classifiers: peak learning rate by kind; all make as many passes. The bag has one matrix to learn; the tanh RNN takes small steps only.
TOPICS = {"bag": 3e-2, "rnn": 2e-3, "lstm": 4e-3, "bilstm": 4e-3}
TOPIC_PASSES = 12
SEED, OTHER_SEEDS = 0, (1, 2)


def describe(card: dict, what: str, opened_by: str, scores: list[str]) -> str:
    """The card as a page for people: every number in it is from card.json."""
    return "\n".join(
        [
            f"# {card['name']}: {what}",
            "",
            f"Written by `tools/make_sequences.py` from `card.json`. Open it with `{opened_by}`.",
            f"{model_line(card)}.",
            "",
            f"Data: {card['data']['source']}. Licence: {card['data']['licence']}.",
            "",
            recipe_line(card),
            "",
            *scores,
            "",
        ]
    )


def make_dates_model(name: str, target: Path, remark: str) -> None:
    """Train one model for dates for its minute, score the stored file on test dates, write the card."""
    make, recipe = DATES[name]
    torch.manual_seed(SEED)
    run = train_dates(make(), DATE_MINUTES, seed=SEED, report=tell(name, "exact_match"), **recipe)
    save_run(run, target)
    stored = load_run(target, type(run.model))
    by_length = exact_match_by_length(stored.model, make_dates(TEST_DATES, seed=0, split="test"))
    right, count = map(sum, zip(*by_length.values(), strict=True))
    data = {"source": "dates and spans of dates made by src.dates, no day of them in two splits", "licence": "none needed, made by rules"}
    run.card = card_of(name, run, data, remark)
    run.card["scores"] = {"exact_match": round(right / count, 4), "test_dates": count}
    run.card["exact_match_by_length"] = {f"{low} to {high - 1}": [right, count] for (low, high), (right, count) in by_length.items()}
    table = [f"| exact match on {count:,} test dates, by characters | right |", "| --- | --- |", f"| all | {100 * right / count:.1f} % |"]
    table += [f"| {bin_} | {100 * right / count:.1f} % of {count} |" for bin_, (right, count) in run.card["exact_match_by_length"].items()]
    opened_by = f'load_dates("weights/{name}", {type(run.model).__name__})'
    page = describe(run.card, "dates written in many ways to ISO form", opened_by, table)
    save_with_page(run, target, page)


def make_classifier(kind: str, target: Path, texts: TopicData, seeds: tuple[int, ...], remark: str) -> None:
    """Train one kind of classifier with each seed, keep the first, score on the test split, write the card."""
    by_seed: dict[str, float] = {}
    for seed in seeds:
        torch.manual_seed(seed)
        model = TextClassifier(kind, texts.embeddings.shape[1], len(texts.topics))
        run = train_topics(
            model, texts, passes=TOPIC_PASSES, seed=seed, learning_rate=TOPICS[kind], report=tell(f"topics-{kind}, seed {seed}", "accuracy")
        )
        if seed == seeds[0]:
            kept = run
            save_run(kept, target)
            by_seed[str(seed)] = round(accuracy(load_run(target, TextClassifier).model, texts, "test"), 4)  # that of the stored file
        else:
            by_seed[str(seed)] = round(accuracy(run.model, texts, "test"), 4)
    source = "introductions of English Wikipedia articles with a topic (asset wikipedia), their words as GloVe vectors (asset glove)"
    data = {
        "source": source,
        "licence": "CC BY-SA 4.0 (text), PDDL (GloVe)",
        "splits": {name: len(split) for name, split in texts.splits.items()},
    }
    kept.card = card_of(f"topics-{kind}", kept, data, remark)
    kept.card["scores"] = {"test_accuracy": by_seed[str(seeds[0])], "test_texts": len(texts.splits["test"])}
    kept.card["test_accuracy_by_seed"] = by_seed
    commonest = np.bincount(true_topics(texts, "test")).max() / len(texts.splits["test"])
    kept.card["always_the_commonest_topic"] = round(float(commonest), 4)
    table = [f"| accuracy on {len(texts.splits['test']):,} test introductions, by seed | |", "| --- | --- |"]
    table += [f"| {seed} | {100 * value:.1f} % |" for seed, value in by_seed.items()]
    table.append(f"| always the commonest topic | {100 * commonest:.1f} % |")
    opened_by = f'load_run("weights/topics-{kind}", TextClassifier)'
    page = describe(kept.card, "the topic of a Wikipedia introduction", opened_by, table)
    save_with_page(kept, target, page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*DATES, *(f"topics-{kind}" for kind in KINDS)]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="train some of them")
    parser.add_argument("--to", type=Path, default=runtime.COURSE / "build" / "weights", help="the folder for their folders")
    parser.add_argument("--release", action="store_true", help="write weights/, train the classifiers with three seeds: once for a release")
    parser.add_argument("--remark", default="", help="words about the machine for the card, such as: busy with other work")
    options = parser.parse_args()

    folder = runtime.COURSE / "weights" if options.release else options.to
    texts = TopicData.load() if any(name not in DATES for name in options.only) else None
    for name in options.only:
        if name in DATES:
            make_dates_model(name, folder / name, options.remark)
        elif texts is not None:
            seeds = (SEED, *OTHER_SEEDS) if options.release else (SEED,)
            make_classifier(name.removeprefix("topics-"), folder / name, texts, seeds, options.remark)


if __name__ == "__main__":
    main()
