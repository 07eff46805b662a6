"""Train the released language models of notebook 05: `python tools/make_language_models.py`.

An LSTM and a small GPT with the same vocabulary, the same texts and the same minutes each. Settings were chosen on development
introductions; the scores on the cards are those of the test split, of the stored file.

Results go to build/weights/lm-*. The shipped files in weights/ are written only with --release, which also trains each with three
seeds for less time, to see how much a score owes to chance, and scores all models of the notebook, n-grams and SmolLM2 among them,
into data/language_models.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime
from src.files import write_json

runtime.configure_libraries()  # before torch is imported

import torch  # noqa: E402

from src.language_models import (  # noqa: E402
    GPTModel,
    LanguageData,
    LanguageModel,
    PretrainedModel,
    RecurrentModel,
    RecurrentNetwork,
    TextScore,
    TrainableModel,
    train_language_model,
)
from src.ngrams import NgramModel  # noqa: E402
from src.transformer import GPT  # noqa: E402
from tools.cards import card_of, minutes_text, model_line, recipe_line, save_with_page, tell  # noqa: E402

# How to make each model, and what `train_language_model` is given besides the minutes.
MODELS: dict[str, tuple[Callable[[LanguageData], TrainableModel], dict]] = {
    "lm-lstm": (
        lambda data: RecurrentModel(RecurrentNetwork(data.tokenizer.V, D=256, dropout=0.1), data.tokenizer),
        {"batch_size": 16, "learning_rate": 5e-3},
    ),
    "lm-gpt": (
        lambda data: GPTModel(GPT(data.tokenizer.V, D=256, H=4, L=2, max_T=256, dropout=0.1), data.tokenizer),
        {"batch_size": 4, "learning_rate": 3e-3},
    ),
}
MINUTES, SHORT_MINUTES = 6.0, 1.0  # of training: the shipped models, and those of the three seeds
ORDERS = (1, 2, 3, 4, 5)
EVERY = 4  # every fourth test text is one that all models are compared on; SmolLM2 would take a quarter of an hour for all of them
SEEDS = (0, 1, 2)  # the first is that of the shipped models
CLASSES: dict[str, type[TrainableModel]] = {"lm-lstm": RecurrentModel, "lm-gpt": GPTModel}
TITLES = {"lm-lstm": "an LSTM that writes introductions", "lm-gpt": "a small GPT that writes introductions"}


def figures(score: TextScore) -> dict[str, float]:
    """What the cards and the table say of a score."""
    return {
        "perplexity_per_word": round(score.perplexity_per_word, 1),
        "perplexity_per_token": round(score.perplexity_per_token, 2),
        "bits_per_byte": round(score.bits_per_byte, 4),
    }


def train(name: str, data: LanguageData, minutes: float, seed: int, what: str) -> TrainableModel:
    """A model of this kind, trained."""
    make, recipe = MODELS[name]
    torch.manual_seed(seed)
    model = make(data)
    train_language_model(model, data, minutes, seed=seed, report=tell(f"{name}, {what}", "perplexity_per_word"), **recipe)
    return model


def make_model(name: str, data: LanguageData, target: Path, minutes: float, seeds: tuple[int, ...], remark: str) -> None:
    """Train a model, then one with each seed for less time, score them on the test split, write the card."""
    model = train(name, data, minutes, SEEDS[0], "to be kept")
    kept = model.run
    model.save(target)
    scores = figures(type(model).load(target).score(data.texts["test"]))  # that of the stored file
    print(f"{name}: {scores}", flush=True)
    by_seed = {}
    for seed in seeds:
        by_seed[str(seed)] = figures(train(name, data, SHORT_MINUTES, seed, f"seed {seed}").score(data.texts["test"]))
        print(f"{name}, seed {seed}: {by_seed[str(seed)]}", flush=True)
    source = {
        "source": "introductions of English Wikipedia articles (asset wikipedia), split by article",
        "licence": "CC BY-SA 4.0",
        "splits": {split: len(texts) for split, texts in data.texts.items()},
        "training_tokens": sum(map(len, data.rows["train"])),
    }
    kept.card = card_of(name, kept, source, remark) | {
        "scores": {**scores, "test_texts": len(data.texts["test"])},
        "short_runs": {"minutes": SHORT_MINUTES, "scores_by_seed": by_seed},
    }
    save_with_page(kept, target, page(kept.card), {"tokenizer.json": model.tokenizer.to_json()})


def page(card: dict) -> str:
    """The card as a page for people: every number in it is from card.json."""
    data = card["data"]
    all_scores = {f"the stored file, {minutes_text(card['minutes'])}": card["scores"]}
    all_scores |= {
        f"{minutes_text(card['short_runs']['minutes'])}, seed {seed}": s for seed, s in card["short_runs"]["scores_by_seed"].items()
    }
    rows = [
        f"| {what} | {scores['perplexity_per_word']:,.0f} | {scores['perplexity_per_token']:.1f} | {scores['bits_per_byte']:.3f} |"
        for what, scores in all_scores.items()
    ]
    return "\n".join(
        [
            f"# {card['name']}: {TITLES[card['name']]}",
            "",
            "Written by `tools/make_language_models.py` from `card.json`. "
            f'Open it with `{CLASSES[card["name"]].__name__}.load("weights/{card["name"]}")`; its vocabulary is in `tokenizer.json`.',
            f"{model_line(card)}.",
            "",
            f"Data: {data['source']}: {data['splits']['train']:,} for training, {data['training_tokens']:,} tokens. "
            f"Licence of the texts: {data['licence']}.",
            "",
            recipe_line(card, "tokens"),
            "",
            f"On {card['scores']['test_texts']:,} test introductions:",
            "",
            "| trained | perplexity per word | per token | bits per byte |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
            "It writes in the manner of an introduction, and nothing that it says is to be believed.",
            "",
        ]
    )


def compare(data: LanguageData, cards: dict[str, dict]) -> dict:
    """Every model of notebook 05 on the same test introductions; of the networks the stored files."""
    rows, texts = [], data.texts["test"][::EVERY]  # spread out: neighbours in the asset are about one subject

    def score(name: str, model: LanguageModel, minutes: float | None) -> None:
        began = time.perf_counter()
        entry = figures(model.score(texts))
        rows.append({"model": name, "parameters": model.parameters, "training_minutes": minutes, **entry})
        print(f"{name}: {rows[-1]}, scored in {time.perf_counter() - began:.0f} s", flush=True)

    for order in ORDERS:
        began = time.perf_counter()
        model = NgramModel(data.tokenizer, data.rows["train"], order)
        score(f"{order}-gram", model, round((time.perf_counter() - began) / 60, 3))
    for name, card in cards.items():
        score(name, CLASSES[name].load(runtime.COURSE / "weights" / name), card["minutes"])
    score("smollm2", PretrainedModel(), None)
    return {
        "what": "perplexity and bits per byte of the language models of notebook 05 on the test introductions",
        "test_texts": len(texts),
        "written_by": "tools/make_language_models.py --release",
        "machine": runtime.machine(),
        "date": date.today().isoformat(),
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=MODELS, default=list(MODELS), help="train some of them, or none")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of training for each model that is kept")
    parser.add_argument("--to", type=Path, default=runtime.COURSE / "build" / "weights", help="the folder for their folders")
    parser.add_argument("--release", action="store_true", help="write weights/, with three seeds, and data/language_models.json")
    parser.add_argument("--remark", default="", help="words about the machine for the card, such as: busy with other work")
    options = parser.parse_args()

    folder = runtime.COURSE / "weights" if options.release else options.to
    seeds = SEEDS if options.release else ()
    data = LanguageData.load()
    for name in options.only:
        make_model(name, data, folder / name, options.minutes, seeds, options.remark)
    if options.release:
        cards = {name: json.loads((folder / name / "card.json").read_text(encoding="utf-8")) for name in MODELS}
        file = runtime.COURSE / "data" / "language_models.json"
        write_json(file, compare(data, cards))


if __name__ == "__main__":
    main()
