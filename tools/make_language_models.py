"""Train the released language models of notebook 06: `python tools/make_language_models.py`.

An LSTM and a small GPT with the same vocabulary, texts and minutes, and an LSTM of letters for
those who skip its training in the notebook. Settings were chosen on development introductions; the
scores on the cards are those of the test split, of the stored file. Results go to
build/weights/lm-*. With --release weights/ is written, the first two are also trained with three
seeds for less time, to see how much a score owes to chance, and all models that the notebook
compares are scored into data/language_models.json.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()  # before torch is imported

import torch

from src.files import write_json
from src.language_models import (
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
from src.ngrams import NgramModel
from src.transformer import GPT
from tools.cards import card_of, made_here, parse_options, save_with_page, tell

LSTM = {"batch_size": 16, "learning_rate": 5e-3}
SMALL = {"D": 256, "H": 4, "L": 2, "max_T": 256, "dropout": 0.1}
# As in the notebook, by steps: a reader's half minute goes half as far, or further.
LETTERS = {"batch_size": 16, "learning_rate": 8e-3, "beginning": "The ", "steps": 500}
# The class of each model, its network and the settings of that, its recipe, what it is.
MODELS: dict[str, tuple] = {
    "lm-lstm": (RecurrentModel, RecurrentNetwork, {"D": 256, "dropout": 0.1}, LSTM, "an LSTM"),
    "lm-gpt": (GPTModel, GPT, SMALL, {"batch_size": 4, "learning_rate": 3e-3}, "a small GPT"),
    "lm-letters": (RecurrentModel, RecurrentNetwork, {"D": 192}, LETTERS, "an LSTM of letters"),
}
MINUTES, SHORT_MINUTES = 6.0, 1.0  # of training: the shipped models, and those of the three seeds
EVERY = 4  # every fourth test text compares all models; SmolLM2 would take 15 minutes for all
SEEDS = (0, 1, 2)  # the first is that of the shipped models


def figures(score: TextScore) -> dict[str, float]:
    """What the cards and the table say of a score."""
    return {
        "perplexity_per_word": round(score.perplexity_per_word, 1),
        "perplexity_per_token": round(score.perplexity_per_token, 2),
        "bits_per_byte": round(score.bits_per_byte, 4),
    }


def train(name: str, data: LanguageData, minutes: float, seed: int) -> TrainableModel:
    """A model of this kind, trained."""
    kind, network, settings, recipe, _ = MODELS[name]
    minutes = None if "steps" in recipe else minutes
    torch.manual_seed(seed)
    model = kind(network(data.tokenizer.V, **settings), data.tokenizer)
    report = tell(f"{name}, seed {seed}", "perplexity_per_word")
    train_language_model(model, data, minutes, seed=seed, report=report, **recipe)
    return model


def make_model(
    name: str, data: LanguageData, target: Path, seeds: tuple[int, ...], remark: str
) -> None:
    """Train a model, and one with each seed for less time; score them; write the card."""
    model, test = train(name, data, MINUTES, SEEDS[0]), data.texts["test"]
    if name == "lm-letters":  # four times as many tokens, one after the other
        test, seeds = test[::20], ()
    model.save(target)
    kind = MODELS[name][0]
    scores = figures(kind.load(target).score(test))  # that of the stored file
    by_seed = {}
    for seed in seeds:
        by_seed[str(seed)] = figures(train(name, data, SHORT_MINUTES, seed).score(test))
        print(f"{name}, seed {seed}: {by_seed[str(seed)]}", flush=True)
    source = {
        "source": "introductions of English Wikipedia articles (asset wikipedia), split by article",
        "licence": "CC BY-SA 4.0",
        "splits": {split: len(texts) for split, texts in data.texts.items()},
        "training_tokens": sum(map(len, data.rows["train"])),
    }
    run = model.run
    title = f"{MODELS[name][-1]} that writes introductions"
    opened_by = f'{kind.__name__}.load("weights/{name}")'
    run.card = card_of(name, run, title, opened_by, source, remark) | {
        "scores": {**scores, "test_texts": len(test)},
        "short_runs": {"minutes": SHORT_MINUTES, "scores_by_seed": by_seed},
        "note": "It writes in the manner of an introduction; believe nothing that it says.",
    }
    save_with_page(run, target, {"tokenizer.json": model.tokenizer.to_json()})


def compare(data: LanguageData) -> dict:
    """Every model of notebook 06 on the same test introductions; the networks as stored."""
    rows, texts = [], data.texts["test"][::EVERY]  # neighbours are about one subject

    def score(name: str, model: LanguageModel) -> None:
        entry = {"model": name, "parameters": model.parameters}
        rows.append(entry | figures(model.score(texts)))
        print(rows[-1], flush=True)

    for order in range(1, 6):
        score(f"{order}-gram", NgramModel(data.tokenizer, data.rows["train"], order))
    for name in ("lm-lstm", "lm-gpt"):
        score(name, MODELS[name][0].load(runtime.COURSE / "weights" / name))
    score("smollm2", PretrainedModel())
    return {
        "what": "perplexity and bits per byte of the language models of notebook 06 "
        "on the test introductions",
        "test_texts": len(texts),
        "written_by": "tools/make_language_models.py --release",
        "rows": rows,
    } | made_here("")


def main() -> None:
    options = parse_options(__doc__, list(MODELS))
    for name in options.only:
        data = LanguageData.load(257 if name == "lm-letters" else 4000)
        seeds = SEEDS if options.release else ()
        make_model(name, data, options.folder / name, seeds, options.remark)
    if options.release:
        write_json(runtime.COURSE / "data" / "language_models.json", compare(LanguageData.load()))


if __name__ == "__main__":
    main()
