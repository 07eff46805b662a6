"""Train the released question-answering weights: `make weights`.

Runs of `src.qa.finetune` that differ in their seed go over all questions of `tools.reader_data`,
each with its own passage and with others that do not answer it, and by what a teacher said of them
(`tools.passage_training`); the mean of their weights is kept. `benchmarks/bench_reader.py` shows
what each step gives. What is missing below ../shared/data is said, and training goes on without.

Results go to build/weights/qa-minilm. The shipped files in weights/ are written only with
--release, which also scores the test files: do that once for a release, when every choice is made.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from scipy.stats import bootstrap
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.qa import QuestionAnswerer, finetune, load_squad
from src.qa.evaluation import ask_all, fit_calibration, judge_answers, results_at
from src.qa.models import ModelError, load_model, save_released, scaling_of
from src.qa.runs import FinetuneRun
from tools.cards import made_here, parse_options, write_page
from tools.passage_training import SAID, PassageTrainer
from tools.reader_data import (
    SHARED,
    TRAIN_FILES,
    WIKI,
    collections,
    development_questions,
    scored_sets,
    thinned,
    training_rows,
)

SEEDS = (0,)
RECIPE = {"epochs": 2, "batch_size": 20, "learning_rate": 3e-4}
ELSEWHERE_SHARE = 0.5  # of Reddit's and Amazon's questions
TEACHING = {"trust": 0.5, "together": 1.0}  # see tools/passage_training.py
RUNS = runtime.COURSE / "build" / "weights" / "runs"
NOTE = (
    "new_wiki: articles of SQuADShifts; squad1, squad2: a part of SQuAD's development sets. Where "
    "every question has an answer none is refused; elsewhere the threshold counts. AUC: how likely "
    "an answerable question has a higher score than an unanswerable one. ECE: how far scores and "
    "shares of right answers are apart."
)
LICENCES = {
    "course": "CC BY 4.0",
    "with gaps": "CC BY-SA 4.0",  # Wikipedia's sentences
    "new_wiki": "CC BY 4.0",
    "squad2": "CC BY-SA 4.0",
    "squad1": "CC BY-SA 4.0",
    "reddit": "CC BY 4.0",
    "amazon_reviews": "CC BY 4.0",
    "squad_v2": "CC BY-SA 4.0",
}


def train(name: str, model: str | Path, data: Dataset, seed: int, **recipe) -> FinetuneRun:
    """That run in build/weights/runs, finished; an interrupted one goes on."""
    print(f"\n{name}: {len(data):,} questions, from {Path(model).name}, seed {seed}", flush=True)
    run = finetune(model, DatasetDict(train=data), output_dir=RUNS / name, seed=seed, **recipe)
    if not run.finished:
        sys.exit("Stopped; the same command goes on with it.")
    return run


def mean_of_models(
    folders: Sequence[str | Path],
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The mean of every weight over models fine-tuned from one model, with the first one's
    tokenizer.

    Source: Wortsman et al. 2022, "Model soups".
    """
    model, tokenizer = load_model(folders[0])
    states = [load_model(folder)[0].state_dict() for folder in folders]
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    for folder, its_shapes in zip(folders, shapes, strict=True):
        if its_shapes != shapes[0]:
            found = f"the model in {folder} has other weights than the one in {folders[0]}"
            raise ModelError(f"{found}; average runs of one model.")
    model.load_state_dict(
        {name: sum(state[name] for state in states) / len(states) for name in states[0]}
    )
    return model, tokenizer


def standard_error_of_f1(f1: np.ndarray) -> float:
    """Of the mean of float[questions], in percent, by the bootstrap."""
    return 100 * float(bootstrap((f1,), np.mean, n_resamples=2000, rng=0).standard_error)


def has_answer(dataset: Dataset) -> np.ndarray:
    """bool[questions]: which of them have an answer."""
    return np.array([bool(answers["text"]) for answers in dataset["answers"]])


def refusal_rates(scores: np.ndarray, answerable: np.ndarray, threshold: float) -> dict[str, float]:
    """How many in a hundred are refused, of the unanswerable questions and of the others."""
    refused = scores < threshold
    return {
        "unanswerable_refused_percent": 100 * float(np.mean(refused[~answerable])),
        "answerable_refused_percent": 100 * float(np.mean(refused[answerable])),
    }


def calibrated(qa: QuestionAnswerer, validation: Dataset) -> dict:
    """Give the reader the scaling and the threshold that fit these questions; returns what its
    card says of them.
    """
    fields = fit_calibration(qa, validation)
    qa.scaling, qa.threshold = scaling_of(fields), fields["threshold"]
    return fields


def sets_of_the_card(part: str) -> dict[str, Dataset]:
    """What a card gives scores on: everything with passages of "development" or "test"."""
    course = load_squad("course")[{"development": "validation", "test": "test"}[part]]
    return scored_sets(part) | {"course": course}


def scores_of(qa: QuestionAnswerer, sets: dict[str, Dataset]) -> dict[str, dict[str, float]]:
    """What the card reports of each set: exact match, F1 and ECE; where some questions have no
    answer both rates of refusal and AUC too, and else F1's standard error.
    """
    report = {}
    for name, rows in sets.items():
        answers, answerable = ask_all(qa, rows), has_answer(rows)
        judged, refusing = judge_answers(answers, rows), not answerable.all()
        measured = results_at(qa.threshold if refusing else 0.0, answers, rows)
        told = {score: round(measured[score], 2) for score in ("exact_match", "f1")}
        told = {"questions": len(rows)} | told | {"ece": round(measured["ece"], 4)}
        if refusing:
            rates = refusal_rates(judged.confidences, answerable, qa.threshold)
            told["unanswerable"] = int((~answerable).sum())
            told |= {rate: round(percent, 1) for rate, percent in rates.items()}
            marked = 100 * float(judged.f1[answerable].mean())
            told["f1_answerable_without_refusing"] = round(marked, 2)
            told["auc"] = round(measured["auc"], 4)
        else:
            told["f1_standard_error"] = round(standard_error_of_f1(judged.f1), 2)
        report[name] = told
    return report


def main() -> None:
    options = parse_options(__doc__, ["qa-minilm"])
    found = collections()
    if runtime.is_online():
        found["squad_v2"] = load_squad("squad_v2")["train"]
    for name, file in (TRAIN_FILES | {"new_wiki": WIKI}).items():
        if name not in found:
            print(f"Missing: {SHARED / file}; the result will be weaker.", flush=True)
    parts = thinned(training_rows(found), ELSEWHERE_SHARE)
    for name, part in parts.items():
        print(f"{name}: {len(part):,} questions", flush=True)
    data = concatenate_datasets(list(parts.values()))
    trainer = partial(PassageTrainer, said=SAID, **TEACHING)
    runs = [
        train(f"qa-minilm-seed-{seed}", "minilm", data, seed, trainer=trainer, **RECIPE)
        for seed in SEEDS
    ]
    model, tokenizer = mean_of_models([run.output_dir for run in runs])
    folder = RUNS / "qa-minilm-mean"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    qa = QuestionAnswerer.load(folder)
    development, sets = development_questions(), sets_of_the_card("development")
    card = {
        "name": "qa-minilm",
        "title": "MiniLM fine-tuned to mark answers, or to say that there is none",
        "opened_by": 'QuestionAnswerer.load("qa-minilm")',
        "base": "minilm",
        "data": {name: len(part) for name, part in parts.items()},
        "licences": {name: licence for name, licence in LICENCES.items() if name in parts},
        "recipe": RECIPE
        | TEACHING
        | {"dropout": 0.0, "word_embeddings": "frozen", "precision": runs[0].precision},
        "seeds": list(SEEDS),
        "steps": sum(run.steps for run in runs),
        "minutes": round(sum(run.seconds for run in runs) / 60, 1),
        "examples_per_second": runs[0].examples_per_second,
        "note": NOTE,
    }
    card |= made_here(options.remark) | calibrated(qa, development)
    card["development_of_each_run"] = {}
    for seed, run in zip(SEEDS, runs, strict=True):
        single = QuestionAnswerer.load(run.output_dir)
        calibrated(single, development)
        card["development_of_each_run"][f"seed {seed}"] = scores_of(single, sets)
    target = options.folder / "qa-minilm"
    save_released(model, target, card)
    qa = QuestionAnswerer.load(target, precision="fp32")  # what is stored, on any machine
    card["development"] = scores_of(qa, sets)
    if options.release:
        card["test"] = scores_of(qa, sets_of_the_card("test"))
    save_released(model, target, card, history=[run.history for run in runs])
    write_page(target)


if __name__ == "__main__":
    main()
