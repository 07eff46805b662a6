"""Train the released heads of notebook 05b: `python tools/make_pretraining.py`.

On the frozen MiniLM: a head for masked words, a classifier of sentence pairs for each kind of wrong pairs, and a discriminator of replaced
tokens, whose generator is the masked-word head. Each in less than 3.5 minutes. Settings were chosen on development articles; the scores
on the cards are those of test articles.

Results go to build/weights/. The shipped files in weights/ are written only with --release.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()  # before torch is imported

import torch  # noqa: E402

from src.pretraining import (  # noqa: E402
    Discriminator,
    FrozenEncoder,
    MaskedWordGenerator,
    MaskedWordHead,
    PairClassifier,
    Wrong,
    binary_accuracy,
    collect,
    discriminator_scores,
    load_articles,
    load_encoder,
    masked_accuracy,
    masked_batches,
    pair_batches,
    replaced_batches,
    train_discriminator,
    train_masked_words,
    train_pairs,
)
from src.training import Run, load_run  # noqa: E402
from tools.cards import card_of, model_line, recipe_line, save_with_page, tell  # noqa: E402

MINUTES = {"mlm-head": 3.2, "next-sentence": 1.5, "sentence-order": 2.0, "replaced-tokens": 3.0}
PAIRS: dict[str, Wrong] = {"next-sentence": "another article", "sentence-order": "swapped"}
SEED, TEST_SEED = 0, 0
TEST_PIECES = 24  # batches that the scores on the cards are taken on


def write_card(name: str, run: Run, scores: dict[str, float], asked: str, number: int, target: Path, remark: str) -> None:
    """Write the run again with its card, and the card as a page for people: every number in it is from card.json.

    asked, number: what the scores were taken on, and how many of them
    """
    data = {"source": "sentences of introductions of English Wikipedia articles (asset wikipedia)", "licence": "CC BY-SA 4.0"}
    run.card = card_of(name, run, data, remark) | {
        "encoder": "minilm, frozen (asset minilm, Apache-2.0)",
        "scores": {score: round(value, 4) for score, value in scores.items()} | {f"test_{asked}": number},
    }
    card = run.card
    page = [
        f"# {name}: learned from plain text, on a frozen encoder",
        "",
        f'Written by `tools/make_pretraining.py` from `card.json`. Open it with `load_run("weights/{name}", {card["model"]["class"]})`.',
        f"{model_line(card)}, on {card['encoder']}.",
        "",
        f"Data: {card['data']['source']}. Licence: {card['data']['licence']}. The labels are made from the text (src/pretraining.py).",
        "",
        recipe_line(card),
        "",
        f"| on {number:,} {asked} of test articles | |",
        "| --- | --- |",
        *(f"| {score.replace('_', ' ')} | {100 * value:.1f} % |" for score, value in scores.items()),
        "",
    ]
    save_with_page(run, target, "\n".join(page))


def make_head(encoder: FrozenEncoder, articles: dict, target: Path, remark: str) -> None:
    """Train the head for masked words, and score the stored file on blanks in test sentences."""
    torch.manual_seed(SEED)
    head = MaskedWordHead.untrained(encoder, articles["train"])
    vectors, labels = collect(masked_batches(encoder, articles["test"], TEST_SEED, blanks_only=True), TEST_PIECES)
    untrained = masked_accuracy(head, encoder, vectors, labels)
    train_masked_words(head, encoder, articles, MINUTES["mlm-head"], SEED, folder=target, report=tell("mlm-head", "accuracy"))
    stored = load_run(target, MaskedWordHead)
    commonest = torch.bincount(labels).max().item() / len(labels)
    accuracy = masked_accuracy(stored.model, encoder, vectors, labels)
    scores = {"test_accuracy": accuracy, "before_training": untrained, "always_the_commonest": commonest}
    write_card("mlm-head", stored, scores, "blanks", len(labels), target, remark)


def make_pair_classifier(name: str, encoder: FrozenEncoder, articles: dict, target: Path, remark: str) -> None:
    """Train a classifier of sentence pairs, and score the stored file on pairs of test articles."""
    torch.manual_seed(SEED)
    options = {"folder": target, "report": tell(name, "accuracy")}
    train_pairs(PairClassifier(encoder.D), encoder, articles, PAIRS[name], MINUTES[name], SEED, **options)
    stored = load_run(target, PairClassifier)
    features, follows = collect(pair_batches(encoder, articles["test"], PAIRS[name], TEST_SEED), TEST_PIECES)
    scores = {"test_accuracy": binary_accuracy(stored.model, features, follows)}
    write_card(name, stored, scores, "pairs", len(follows), target, remark)


def make_discriminator(encoder: FrozenEncoder, articles: dict, head_folder: Path, target: Path, remark: str) -> None:
    """Train the discriminator of replaced tokens against the head in `head_folder`, and score the stored file on test sentences."""
    torch.manual_seed(SEED)
    generator = MaskedWordGenerator(load_run(head_folder, MaskedWordHead).model, encoder)
    name = "replaced-tokens"
    train_discriminator(
        Discriminator(encoder.D, encoder.D_words), encoder, articles, generator, MINUTES[name], SEED, target, tell(name, "accuracy")
    )
    stored = load_run(target, Discriminator)
    features, replaced = collect(replaced_batches(encoder, articles["test"], generator, TEST_SEED), TEST_PIECES)
    write_card(name, stored, discriminator_scores(stored.model, features, replaced), "tokens", len(replaced), target, remark)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(MINUTES), default=list(MINUTES), help="train some of them")
    parser.add_argument("--to", type=Path, default=runtime.COURSE / "build" / "weights", help="the folder for their folders")
    parser.add_argument("--release", action="store_true", help="write weights/: once for a release")
    parser.add_argument("--remark", default="", help="words about the machine for the card, such as: busy with other work")
    options = parser.parse_args()

    folder = runtime.COURSE / "weights" if options.release else options.to
    encoder, articles = load_encoder(), load_articles()
    for name in options.only:
        arguments: tuple[Any, ...] = (encoder, articles, folder / name, options.remark)
        if name == "mlm-head":
            make_head(*arguments)
        elif name in PAIRS:
            make_pair_classifier(name, *arguments)
        else:
            make_discriminator(encoder, articles, folder / "mlm-head", folder / name, options.remark)


if __name__ == "__main__":
    main()
