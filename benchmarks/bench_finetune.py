"""Training, ours against the tutorial recipe (fp32, dropout 0.1, windows padded to 384, batch 16,
learning rate 2e-5, all weights).

1. Examples per second, each change of the recipe by itself, on the same real windows. All recipes
take turns within a round, so that whatever else the machine does falls on all of them; the median
over the rounds counts. 2. F1 on the development articles after equal minutes, from plain MiniLM on
the training articles. In the tutorial recipe the learning rate falls linearly to zero at the end of
those minutes, too.
"""

import argparse
import copy
import shutil
import time
from contextlib import nullcontext
from dataclasses import dataclass

import common
import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src import compute, runtime
from src.batching import batch_passes
from src.qa import QuestionAnswerer, evaluate, finetune, prepare_features
from src.qa.cpu_attention import use_cpu_attention
from src.qa.models import WORD_EMBEDDINGS, load_model

SEED = 0


@dataclass(frozen=True)
class Recipe:
    """One way to take a training step; the defaults are the tutorial's."""

    name: str
    grouped: bool = False
    bf16: bool = False
    dropout: float = common.REFERENCE_DROPOUT
    cpu_attention: bool = False
    frozen: bool = False
    kept_memory: bool = False


LADDER = (
    Recipe("the tutorial recipe"),
    Recipe("+ like lengths together, padded to the longest", grouped=True),
    Recipe("+ bf16", grouped=True, bf16=True),
    Recipe("+ dropout 0 (sdpa attention)", grouped=True, bf16=True, dropout=0.0),
    Recipe(
        "+ attention of src.qa.cpu_attention",
        grouped=True,
        bf16=True,
        dropout=0.0,
        cpu_attention=True,
    ),
    Recipe(
        "+ word embeddings frozen",
        grouped=True,
        bf16=True,
        dropout=0.0,
        cpu_attention=True,
        frozen=True,
    ),
    Recipe(
        "+ memory kept between steps (ours)",
        grouped=True,
        bf16=True,
        dropout=0.0,
        cpu_attention=True,
        frozen=True,
        kept_memory=True,
    ),
)


class Stepper:
    """Training steps after a recipe, on a model of its own."""

    def __init__(self, recipe: Recipe, model: PreTrainedModel, rate: float = common.REFERENCE_RATE):
        self.recipe = recipe
        self.model = copy.deepcopy(model).train()
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = recipe.dropout
        if recipe.cpu_attention:
            use_cpu_attention(self.model)
        if recipe.frozen:
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(not name.endswith(WORD_EMBEDDINGS))
        self.parameters = [
            parameter for parameter in self.model.parameters() if parameter.requires_grad
        ]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=rate, weight_decay=0.01, fused=True)

    def step(self, inputs: dict[str, torch.Tensor]) -> float:
        """One step; returns its loss."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bf16):
            loss = self.model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.item()


def speeds(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    windows: Dataset,
    rounds: int,
    steps: int,
) -> dict[str, list[float]]:
    """Examples per second of every recipe in every round.

    A round takes `steps` batches of one of our passes, evenly over all lengths, shifted from round
    to round; the tutorial recipe gets the same windows in random order.
    """
    lengths = np.asarray(windows["length"])
    batches = next(batch_passes(lengths, common.REFERENCE_BATCH, SEED))
    batches = batches[np.argsort(lengths[batches].max(axis=1), kind="stable")]
    steppers = [Stepper(recipe, model) for recipe in LADDER]
    found: dict[str, list[float]] = {recipe.name: [] for recipe in LADDER}
    rng = np.random.default_rng(SEED)
    for turn in range(rounds + 1):  # the first is thrown away: kernels, buffers, optimizer states
        taken = 1 if turn == 0 else steps
        places = (
            (np.arange(taken) + (turn - 0.5) % rounds / rounds) / taken if turn else np.array([0.5])
        )
        chosen = batches[(places * len(batches)).astype(int)]
        mixed = rng.permutation(chosen.ravel()).reshape(chosen.shape)
        for stepper in steppers:
            grouped = stepper.recipe.grouped
            start = time.perf_counter()
            with compute.keep_malloc_pages() if stepper.recipe.kept_memory else nullcontext():
                for rows in chosen if grouped else mixed:
                    stepper.step(
                        common.pad(windows, rows, tokenizer, None if grouped else common.PADDED_TO)
                    )
            if turn:
                found[stepper.recipe.name].append(chosen.size / (time.perf_counter() - start))
        print(f"round {turn} of {rounds} done", flush=True)
    return found


def print_speeds(found: dict[str, list[float]]) -> None:
    medians = {name: float(np.median(values)) for name, values in found.items()}
    first = medians[LADDER[0].name]
    rows = [("recipe", "examples/s", "lowest", "highest", "times the tutorial's")]
    rows += [
        (name, medians[name], min(values), max(values), medians[name] / first)
        for name, values in found.items()
    ]
    common.print_table("Examples per second, median over the rounds", rows)


def train_reference(model: str, train: Dataset, minutes: float) -> tuple[QuestionAnswerer, dict]:
    """The tutorial recipe for `minutes`, from reading the questions to the last step."""
    started = time.perf_counter()
    runtime.set_seed(SEED)
    network, tokenizer = load_model(model, dropout=common.REFERENCE_DROPOUT, for_training=True)
    windows = prepare_features(train, tokenizer)
    stepper = Stepper(LADDER[0], network)
    steps, losses, last = 0, [], 0.0
    set_up = time.perf_counter() - started
    for rows in common.shuffled_batches(len(windows), SEED):
        elapsed = time.perf_counter() - started
        # A step begins only where it will also end in time; the first one always does.
        if steps and elapsed + last > 60 * minutes:
            break
        for group in stepper.optimizer.param_groups:
            group["lr"] = common.REFERENCE_RATE * max(0.0, 1 - elapsed / (60 * minutes))
        before = time.perf_counter()
        losses.append(stepper.step(common.pad(windows, rows, tokenizer, common.PADDED_TO)))
        last = time.perf_counter() - before
        steps += 1
    seconds = time.perf_counter() - started
    cost = {
        "steps": steps,
        "seconds": seconds,
        "examples_per_second": steps * common.REFERENCE_BATCH / (seconds - set_up),
    }
    return QuestionAnswerer(stepper.model, tokenizer), cost | {
        "last_loss": float(np.mean(losses[-10:]))
    }


def train_ours(model: str, train: Dataset, minutes: float) -> tuple[QuestionAnswerer, dict]:
    folder = common.RESULTS / "finetune" / "ours"
    shutil.rmtree(folder, ignore_errors=True)
    run = finetune(model, DatasetDict(train=train), minutes=minutes, output_dir=folder, seed=SEED)
    cost = {
        "steps": run.steps,
        "seconds": run.seconds,
        "examples_per_second": run.examples_per_second,
    }
    last = float(np.mean([entry["loss"] for entry in run.history[-10:]])) if run.history else None
    return QuestionAnswerer.load(folder), cost | {
        "saving_seconds": run.saving_seconds,
        "precision": run.precision,
        "last_loss": last,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=4.0,
        help="of training for the comparison of F1; 0 leaves it out",
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="of measuring examples per second; 0 leaves it out"
    )
    parser.add_argument("--steps", type=int, default=8, help="steps of each recipe in a round")
    parser.add_argument("--questions", type=int, help="take only so many questions of each part")
    parser.add_argument("--model", default="minilm", help="what training starts from")
    options = parser.parse_args()
    questions = common.load_questions()
    train, development = (
        part.select(range(min(options.questions or len(part), len(part))))
        for part in (questions.train, questions.development)
    )
    common.announce("Fine-tuning", questions.source)
    result: dict = {
        "source": questions.source,
        "questions": [len(train), len(development)],
        "model": options.model,
    }
    if options.rounds:
        runtime.set_seed(SEED)
        model, tokenizer = load_model(options.model, for_training=True)
        result["speeds"] = speeds(
            model, tokenizer, prepare_features(train, tokenizer), options.rounds, options.steps
        )
        print_speeds(result["speeds"])
    if options.minutes:
        rows = [("recipe", "steps", "seconds", "examples/s", "exact match", "F1")]
        for name, trainer in (("tutorial", train_reference), ("ours", train_ours)):
            qa, cost = trainer(options.model, train, options.minutes)
            scores = evaluate(qa, development)
            result[name] = cost | {
                "exact_match": scores["exact_match"],
                "f1": scores["f1"],
                "evaluation_seconds": scores["seconds"],
            }
            rows.append(
                (
                    name,
                    cost["steps"],
                    cost["seconds"],
                    cost["examples_per_second"],
                    scores["exact_match"],
                    scores["f1"],
                )
            )
        common.print_table(
            f"Scores on {len(development)} development questions after {options.minutes:g} minutes",
            rows,
        )
    common.write("finetune", result)


if __name__ == "__main__":
    main()
