"""Train the released heads of notebook 07: `python tools/make_pretraining.py`.

On the frozen MiniLM: a head for masked words, a classifier of sentence pairs for each kind of
negatives, and a discriminator of replaced tokens, whose generator is the masked-word head. Each
in less than 3.5 minutes. Settings were chosen on development articles; the scores on the cards
are those of test articles. Results go to build/weights/, with --release to weights/.
"""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()  # before torch is imported

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.batching import length_grouped
from src.pretraining import (
    BATCH_SIZE,
    Article,
    Discriminator,
    Examples,
    FrozenEncoder,
    MaskedWordGenerator,
    MaskedWordHead,
    Negatives,
    PairClassifier,
    SentencePair,
    TokenGenerator,
    collect,
    discriminator_scores,
    load_articles,
    load_encoder,
    masked_accuracy,
    masked_batches,
    pair_features,
    replaced_batches,
    sentence_pairs,
    train_masked_words,
    with_replay,
)
from src.training import Run, fit, in_eval_mode, load_run
from tools.cards import card_of, parse_options, save_with_page, tell

MINUTES = {"mlm-head": 3.2, "next-sentence": 1.5, "sentence-order": 2.0, "replaced-tokens": 3.0}
NEGATIVES: dict[str, Negatives] = {"next-sentence": "another article", "sentence-order": "swapped"}
SEED, PAIRS = 0, 32  # pairs in a batch
TEST_BATCHES = 24  # that the scores on the cards are taken on

Found = tuple[Run, dict[str, float], str, int]  # the stored run, its scores, on how many of what


def binary_accuracy(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """The share, 0 to 1, of logits on the right side of 0; labels float[N], 0 or 1."""
    with in_eval_mode(model):
        return ((model(inputs) > 0) == (labels > 0.5)).float().mean().item()


def train_binary(
    model: nn.Module, batches: Callable[..., Iterator[Examples]], scored: int, **options: Any
) -> Run:
    """Teach a model that gives one logit for each row, in place.

    Args:
        batches: split and seed -> examples without end.
        scored: batches of the development split, on which the history's `accuracy` is taken.
        options: of `fit`.
    """
    development = collect(batches("development", seed=1), scored)

    def loss_of(examples: Examples) -> Tensor:
        inputs, labels = examples
        return F.binary_cross_entropy_with_logits(model(inputs), labels)

    score = ("accuracy", lambda: binary_accuracy(model, *development))
    fresh = with_replay(batches("train", seed=SEED), 3, SEED)
    return fit(model, fresh, loss_of, score=score, seed=SEED, **options)


def pair_batches(
    encoder: FrozenEncoder, articles: Sequence[Article], negatives: Negatives, seed: int
) -> Iterator[Examples]:
    """`sentence_pairs` as the encoder reads them: float[B, 3, D], and 1 where true, float[B]."""

    def length(pair: SentencePair) -> int:
        return len(pair.first) + len(pair.second)

    pairs = sentence_pairs(articles, negatives, seed)
    for batch in length_grouped(pairs, length, PAIRS, random.Random(seed)):
        yield pair_features(encoder, batch), torch.tensor([float(pair.follows) for pair in batch])


def train_pairs(
    classifier: PairClassifier,
    encoder: FrozenEncoder,
    articles: dict,
    negatives: Negatives,
    **options: Any,
) -> Run:
    """Teach a classifier which sentences follow each other."""

    def batches(split: str, seed: int) -> Iterator[Examples]:
        return pair_batches(encoder, articles[split], negatives, seed)

    how = {"unit": "pairs", "batch_size": PAIRS, "learning_rate": 1e-3}
    return train_binary(classifier, batches, 4, **how, **options)


def train_discriminator(
    discriminator: Discriminator,
    encoder: FrozenEncoder,
    articles: dict,
    draw: TokenGenerator,
    **options: Any,
) -> Run:
    """Teach a discriminator which tokens `draw` replaced."""

    def batches(split: str, seed: int) -> Iterator[Examples]:
        return replaced_batches(encoder, articles[split], draw, seed)

    how = {"unit": "sentences", "batch_size": BATCH_SIZE, "learning_rate": 2e-3}
    return train_binary(discriminator, batches, 2, **how, **options)


def make_head(encoder: FrozenEncoder, articles: dict, target: Path, options: dict) -> Found:
    """Train the head for masked words, and score the stored file on blanks in test sentences."""
    head = MaskedWordHead.untrained(encoder, articles["train"])
    batches = masked_batches(encoder, articles["test"], SEED, blanks_only=True)
    vectors, labels = collect(batches, TEST_BATCHES)
    untrained = masked_accuracy(head, encoder, vectors, labels)
    train_masked_words(head, encoder, articles, seed=SEED, folder=target, **options)
    stored = load_run(target, MaskedWordHead)
    scores = {
        "test_accuracy": masked_accuracy(stored.model, encoder, vectors, labels),
        "before_training": untrained,
        "always_the_commonest": torch.bincount(labels).max().item() / len(labels),
    }
    return stored, scores, "blanks", len(labels)


def make_pair_classifier(
    encoder: FrozenEncoder, articles: dict, target: Path, options: dict
) -> Found:
    """Train a classifier of sentence pairs, and score the stored file on pairs of test articles."""
    negatives = NEGATIVES[target.name]
    classifier = PairClassifier(encoder.D)
    train_pairs(classifier, encoder, articles, negatives, folder=target, **options)
    stored = load_run(target, PairClassifier)
    batches = pair_batches(encoder, articles["test"], negatives, SEED)
    features, follows = collect(batches, TEST_BATCHES)
    scores = {"test_accuracy": binary_accuracy(stored.model, features, follows)}
    return stored, scores, "pairs", len(follows)


def make_discriminator(
    encoder: FrozenEncoder, articles: dict, target: Path, options: dict
) -> Found:
    """Train the discriminator against the head in the folder beside, and score it likewise."""
    head = load_run(target.parent / "mlm-head", MaskedWordHead).model
    draw, model = MaskedWordGenerator(head, encoder), Discriminator(encoder.D, encoder.D_words)
    train_discriminator(model, encoder, articles, draw, folder=target, **options)
    stored = load_run(target, Discriminator)
    batches = replaced_batches(encoder, articles["test"], draw, SEED)
    features, replaced = collect(batches, TEST_BATCHES)
    scores = discriminator_scores(stored.model, features, replaced)
    return stored, scores, "tokens", len(replaced)


MAKERS = {
    "mlm-head": make_head,
    **dict.fromkeys(NEGATIVES, make_pair_classifier),
    "replaced-tokens": make_discriminator,
}


def main() -> None:
    options = parse_options(__doc__, list(MAKERS))
    encoder, articles = load_encoder(), load_articles()
    for name in options.only:
        target = options.folder / name
        torch.manual_seed(SEED)
        settings = {"minutes": MINUTES[name], "report": tell(name, "accuracy")}
        run, scores, asked, number = MAKERS[name](encoder, articles, target, settings)
        data = {
            "source": "sentences of introductions of English Wikipedia articles (asset wikipedia)",
            "licence": "CC BY-SA 4.0",
        }
        title = "learned from plain text, on a frozen encoder"
        opened_by = f'load_run("weights/{name}", {type(run.model).__name__})'
        run.card = card_of(name, run, title, opened_by, data, options.remark) | {
            "encoder": "minilm, frozen (asset minilm, Apache-2.0)",
            "scores": {score: round(value, 4) for score, value in scores.items()}
            | {f"test_{asked}": number},
        }
        save_with_page(run, target)


if __name__ == "__main__":
    main()
