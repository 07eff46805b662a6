"""The reader's ladder: what each idea for training `weights/qa-minilm` gives on the development
articles, one idea at a time.

Every rung is a run of `src.qa.finetune`, or a mean of such runs, kept in build/bench/reader/<rung>:
a rung that is there is not trained again, and one that was interrupted goes on. All are scored on
the development articles of new_wiki and on the answerable validation questions of the course;
refusing, by the area under the ROC curve of the score on all its validation questions (0.5 is
chance). The test parts are never read. The rungs train on little, so that the ladder fits into 90
minutes: what holds here has to be tried once more at full size.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import common
import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from sklearn.metrics import roc_auc_score

from src.qa import QuestionAnswerer, evaluate, finetune, load_run, load_squad
from src.qa.cloze import cloze_questions
from src.qa.dataset import answerable_only, gold_answers
from tools.make_weights import (
    mean_of_models,
    scored,
    standard_error_of_f1,
    training_sets,
    unscored_introductions,
)
from tools.reader_data import load_wiki

FOLDER = common.RESULTS / "reader"
CLOZE = 10_000  # questions made of introductions
PLAIN = {"learning_rate": 3e-4, "batch_size": 16}


class Ladder:
    """The runs that rungs are made of, each trained when it is first asked for."""

    def __init__(self, passes: float):
        self.passes = passes
        self.course = load_squad("course")
        self.wiki = load_wiki("train")
        self.development = load_wiki("development")
        if self.wiki is None or self.development is None:
            sys.exit(
                "bench_reader: ../shared/data/squadshifts/new_wiki_v1.0.json is not there; the "
                "ladder needs its articles."
            )
        self.human = concatenate_datasets([self.wiki, self.course["train"]])

    def train(
        self, name: str, data: Dataset, passes: float, model: str | Path = "minilm", seed: int = 0
    ) -> Path:
        folder = FOLDER / name
        print(
            f"\n{name}: {len(data):,} questions, {passes:g} passes, from {Path(model).name}, seed "
            f"{seed}",
            flush=True,
        )
        run = finetune(
            model,
            DatasetDict(train=data),
            output_dir=folder,
            seed=seed,
            epochs=passes * self.passes,
            **PLAIN,
        )
        if not run.finished:
            sys.exit("Stopped; the same command goes on with it.")
        return folder

    def base(self, seed: int = 0) -> Path:
        return self.train(f"human-1-pass-seed-{seed}", self.human, 1, seed=seed)

    def longer(self) -> Path:
        return self.train("human-3-passes", self.human, 3)

    def cloze(self) -> Path:
        return self.train(
            "cloze", cloze_questions(unscored_introductions(self.course), CLOZE, 0), 1
        )

    def after_cloze(self, seed: int = 0) -> Path:
        return self.train(f"cloze-then-human-seed-{seed}", self.human, 1, self.cloze(), seed)

    def averaged(self) -> Path:
        model, tokenizer = mean_of_models([self.after_cloze(seed) for seed in (0, 1)])
        model.save_pretrained(FOLDER / "mean-of-two")
        tokenizer.save_pretrained(FOLDER / "mean-of-two")
        return FOLDER / "mean-of-two"

    def everything(self) -> Path:
        parts, _ = training_sets(self.course["train"])
        return self.train("everything-1-pass", concatenate_datasets(list(parts.values())), 1)


RUNGS = {
    "people's questions, one pass": Ladder.base,
    "the same, another seed": lambda ladder: ladder.base(1),
    "three passes": Ladder.longer,
    "first questions with gaps": Ladder.after_cloze,
    "the same, another seed of the second part": lambda ladder: ladder.after_cloze(1),
    "the mean of these two": Ladder.averaged,
    "other kinds of text, made unanswerable ones": Ladder.everything,
}


def scores(folder: Path, ladder: Ladder) -> dict[str, float]:
    """F1 with its standard error and exact match on the development articles, F1 and refusing on
    the course's validation part.
    """
    qa = QuestionAnswerer.load(folder)
    rows = ladder.development
    answers = qa(list(rows["question"]), list(rows["context"]), threshold=0.0, n_best=1)
    texts = {
        question_id: answer.text for question_id, answer in zip(rows["id"], answers, strict=True)
    }
    validation = ladder.course["validation"]
    measured = evaluate(qa, rows)
    sure, answerable = scored(qa, validation)
    limit = np.quantile(sure[answerable], 0.15)
    return {
        "F1": measured["f1"],
        "±": standard_error_of_f1(texts, gold_answers(rows)),
        "exact match": measured["exact_match"],
        "course F1": evaluate(qa, answerable_only(validation))["f1"],
        "refusing, AUC": float(roc_auc_score(answerable, sure)),
        "refused, % (15 % wrongly)": 100 * float(np.mean(sure[~answerable] < limit)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rungs", type=int, nargs="*", help=f"their numbers, from 1 to {len(RUNGS)}; left out: all"
    )
    parser.add_argument(
        "--passes",
        type=float,
        default=1.0,
        help="times as many passes in every run; 0.02 to try it out",
    )
    options = parser.parse_args()
    ladder = Ladder(options.passes)
    common.announce(
        "The reader's ladder",
        f"{len(ladder.human):,} human ones to train on, {len(ladder.development):,} of development "
        "articles",
    )
    result = {}
    for number, (name, climb) in enumerate(RUNGS.items(), 1):
        if options.rungs and number not in options.rungs:
            continue
        folder = climb(ladder)
        run = load_run(folder) if (folder / "run.json").is_file() else None
        result[name] = scores(folder, ladder) | {"minutes": run.seconds / 60 if run else 0.0}
        common.print_rows("so far", result)
        common.write("reader", {"rungs": result})
    return 0


if __name__ == "__main__":
    sys.exit(main())
