"""The reader's ladder: what each idea for training `weights/qa-minilm` gives on development data,
one idea at a time.

Every rung is one pass of `src.qa.finetune` over some of the questions, or the mean of such runs,
kept in build/bench/reader/<rung>: a rung that is there is not trained again, and one that was
interrupted goes on. All are scored on the development files; the test parts are never read. Of
Reddit's and Amazon's questions a quarter is taken: a rung takes half an hour at most.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import common
from datasets import Dataset, concatenate_datasets

from src.qa import QuestionAnswerer, finetune, load_run
from src.qa.evaluation import ask_all, judge_answers, results_at
from src.qa.training import ReaderTrainer
from tools import reader_data
from tools.make_weights import has_answer, mean_of_models, standard_error_of_f1
from tools.passage_training import SAID, PassageTrainer

FOLDER = common.RESULTS / "reader"
ANSWERS = ("new_wiki", *reader_data.ELSEWHERE, "course")
PEOPLE = ("squad2", "squad1")
OTHERS = ", another passage", reader_data.FOUND  # ends of their names


@dataclass(frozen=True)
class Recipe:
    """A run: what it reads, and how.

    Attributes:
        others: whether passages that do not answer are read, too.
        together: None trains on windows by themselves; else the weight of one softmax over all
            passages of a question.
        trust: the teacher's share of the labels.
    """

    parts: tuple[str, ...]
    others: bool = False
    together: float | None = None
    trust: float = 0.0
    seed: int = 0
    passes: float = 1.0


PEOPLES = Recipe((*ANSWERS, *PEOPLE))
SINGLE = replace(PEOPLES, others=True)
SEVERAL = replace(SINGLE, together=1.0)
HALF = replace(SEVERAL, trust=0.5)
TAUGHT = replace(SEVERAL, trust=1.0)
AGAIN = replace(TAUGHT, seed=1)
RUNGS: dict[str, Recipe | tuple[Recipe, ...]] = {
    "people's answers": Recipe(ANSWERS),
    "and the questions that people made unanswerable": PEOPLES,
    "and passages that do not answer": SINGLE,
    "the same, all passages of a question in one softmax": SEVERAL,
    "half of each label the teacher's": HALF,
    "labels the teacher's": TAUGHT,
    "with questions with gaps, too": replace(TAUGHT, parts=(*TAUGHT.parts, reader_data.GAPS)),
    "labels the teacher's, another seed": AGAIN,
    "the mean of these two": (TAUGHT, AGAIN),
    "two passes": replace(TAUGHT, passes=2.0),
}


class Ladder:
    """The questions, and the runs, each trained when it is first asked for."""

    def __init__(self, passes: float):
        self.passes = passes
        rows = reader_data.training_rows(reader_data.collections())
        self.parts = reader_data.thinned(rows, 0.25)
        self.development = reader_data.scored_sets("development")

    def rows(self, rung: Recipe) -> Dataset:
        """What a rung reads; passages that do not answer only beside their question's own."""
        names = [*rung.parts]
        if rung.others:
            names += [name for name in self.parts if name.endswith(OTHERS)]
        return concatenate_datasets([self.parts[name] for name in names])

    def folder(self, name: str, rung: Recipe) -> Path:
        rows = self.rows(rung)
        print(f"\n{name}: {len(rows):,} questions", flush=True)
        trainer, size = ReaderTrainer, 16
        if rung.together is not None:
            how = {"together": rung.together, "trust": rung.trust}
            how["said"] = SAID if rung.trust else None
            trainer, size = partial(PassageTrainer, **how), 10  # groups of 1.6 windows
        run = finetune(
            data=rows,
            output_dir=FOLDER / name.replace(" ", "-"),
            epochs=rung.passes * self.passes,
            seed=rung.seed,
            batch_size=size,
            trainer=trainer,
        )
        if not run.finished:
            sys.exit("Stopped; the same command goes on with it.")
        return run.output_dir

    def climb(self, name: str) -> Path:
        """The folder of a rung's model, trained where it is not there."""
        rung = RUNGS[name]
        if isinstance(rung, Recipe):
            return self.folder(name, rung)
        names = [next(n for n, other in RUNGS.items() if other == one) for one in rung]
        model, tokenizer = mean_of_models([self.folder(n, RUNGS[n]) for n in names])
        folder = FOLDER / name.replace(" ", "-")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder


def scores(folder: Path, development: dict[str, Dataset]) -> dict[str, float]:
    """F1 and its standard error where there is an answer; and how well refusing can go."""
    qa, told = QuestionAnswerer.load(folder), {}
    for name, rows in development.items():
        answers = ask_all(qa, rows)
        found = results_at(qa.threshold, answers, rows)
        f1 = judge_answers(answers, rows).f1[has_answer(rows)]
        told |= {f"{name} F1": 100 * f1.mean(), f"{name} ±": standard_error_of_f1(f1)}
        if "auc" in found:
            told |= {f"{name} AUC": found["auc"], f"{name} best F1": found["best_f1"]}
    return told


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = f"their numbers, from 1 to {len(RUNGS)}; left out: all"
    parser.add_argument("--rungs", type=int, nargs="*", help=numbers)
    less = "times as many passes in every run; 0.02 to try it out"
    parser.add_argument("--passes", type=float, default=1.0, help=less)
    options = parser.parse_args()
    if not reader_data.scored_sets("development"):
        sys.exit(f"bench_reader: there is nothing to score in {reader_data.SHARED}.")
    ladder = Ladder(options.passes)
    common.announce("The reader's ladder", f"{sum(map(len, ladder.parts.values())):,} questions")
    result = {}
    for number, name in enumerate(RUNGS, 1):
        if options.rungs and number not in options.rungs:
            continue
        folder = ladder.climb(name)
        minutes = load_run(folder).seconds / 60 if (folder / "run.json").is_file() else 0.0
        result[name] = scores(folder, ladder.development) | {"minutes": minutes}
        common.print_rows("so far", result)
        common.write("reader", {"rungs": result})
    return 0


if __name__ == "__main__":
    sys.exit(main())
