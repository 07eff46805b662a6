"""Train the released question-answering weights: `make weights`.

Two runs of `src.qa.finetune`. The first reads everything there is; the second goes on with what is nearest to the questions
the course asks: Wikipedia and the course's own set. Where there is a network (COURSE_ONLINE=1) the Hub's SQuAD 2.0 is read;
otherwise the three SQuADShifts files in ../shared/data, as far as they are there, and what is missing is said.

Results go to build/weights/qa-minilm. The shipped files in weights/ are written only with --release, which also scores the
test articles and the course's test part: do that once for a release, when every choice is made.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

import numpy as np  # noqa: E402
from datasets import Dataset, DatasetDict, concatenate_datasets  # noqa: E402

from src.qa import QuestionAnswerer, evaluate, finetune, load_squad  # noqa: E402
from src.qa.dataset import answerable_only, gold_answers  # noqa: E402
from src.qa.metrics import f1_interval  # noqa: E402
from src.qa.models import load_model, save_released  # noqa: E402
from src.qa.unanswerable import pair_with_other_passages, replace_names  # noqa: E402

SHIFTS = runtime.COURSE.parent / "shared" / "data" / "squadshifts"
TRAIN_ARTICLES, DEVELOPMENT_ARTICLES = slice(0, 32), slice(32, 40)  # of new_wiki, in file order; the last eight are for the test
TEST_ARTICLES = slice(40, 48)
SEED = 0
FIRST = {"epochs": 2, "batch_size": 32, "learning_rate": 3e-4}
SECOND = {"epochs": 2, "batch_size": 32, "learning_rate": 1.5e-4}
LICENCES = {
    "new_wiki": "CC BY 4.0",
    "reddit": "CC BY 4.0",
    "amazon_reviews": "CC BY 4.0",
    "course": "CC BY 4.0",
    "squad_v2": "CC BY-SA 4.0",
}


def articles(dataset: Dataset, which: slice) -> Dataset:
    """The questions of some articles, by their order in the file."""
    titles = set(list(dict.fromkeys(dataset["title"]))[which])
    return dataset.select([i for i, title in enumerate(dataset["title"]) if title in titles])


def load_shift(name: str) -> Dataset | None:
    file = SHIFTS / f"{name}_v1.0.json"
    return load_squad(file)["train"] if file.is_file() else None


def training_sets(course: Dataset) -> tuple[dict[str, Dataset], dict[str, Dataset], list[str]]:
    """What the first and the second run read, by name, and what is missing."""
    first, second, missing = {"course": course}, {"course": course, "course, again": _renamed(course, "again")}, []
    if os.environ.get("COURSE_ONLINE", "0") not in ("", "0"):
        first["squad_v2"] = load_squad("squad_v2")["train"]
        return first, second | {"squad_v2": first["squad_v2"]}, missing
    makers = {"paired with another passage": pair_with_other_passages, "with another name": replace_names}
    counts = {"new_wiki": (1500, 1000), "reddit": (600, 400), "amazon_reviews": (800, 0)}
    for name, wanted in counts.items():
        questions = load_shift(name)
        if questions is None:
            missing.append(str(SHIFTS / f"{name}_v1.0.json"))
            continue
        if name == "new_wiki":
            questions = articles(questions, TRAIN_ARTICLES)
        parts = {name: questions}
        for (how, maker), count in zip(makers.items(), wanted, strict=True):
            if count:
                parts[f"{name}, {how}"] = maker(questions, count, SEED)
        first |= parts
        if name == "new_wiki":
            second |= parts
    return first, second, missing


def refusals(qa: QuestionAnswerer, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the best answer, and whether there is one, question by question."""
    answers = qa(list(dataset["question"]), list(dataset["context"]), threshold=0.0, n_best=1)
    return np.array([answer.score for answer in answers]), np.array([bool(answer["text"]) for answer in dataset["answers"]])


def choose_threshold(qa: QuestionAnswerer, validation: Dataset) -> float:
    """The threshold that refuses the most unanswerable questions more than answerable ones (Youden's index), on validation."""
    scores, answerable = refusals(qa, validation)
    candidates = np.unique(scores)
    index = [np.mean(scores[~answerable] < t) - np.mean(scores[answerable] < t) for t in candidates]
    best = int(np.argmax(index))
    below = candidates[best - 1] if best else 0.0
    return round(float((candidates[best] + below) / 2), 4)


def scores_of(qa: QuestionAnswerer, wiki: Dataset | None, course: Dataset) -> dict:
    """What the card reports: F1 with its interval on articles, both rates of refusal and F1 on the course's questions."""
    report = {}
    if wiki is not None:
        answers = qa(list(wiki["question"]), list(wiki["context"]), threshold=0.0, n_best=1)
        texts = {qid: answer.text for qid, answer in zip(wiki["id"], answers, strict=True)}
        interval = f1_interval(texts, gold_answers(wiki))
        measured = evaluate(qa, wiki)
        report["articles"] = {
            "questions": len(wiki),
            "exact_match": round(measured["exact_match"], 2),
            "f1": round(measured["f1"], 2),
            "f1_standard_error": round(interval.standard_error, 2),
        }
    scores, answerable = refusals(qa, course)
    measured = evaluate(qa, course)
    report["course"] = {
        "questions": len(course),
        "unanswerable": int((~answerable).sum()),
        "unanswerable_refused_percent": round(100 * float(np.mean(scores[~answerable] < qa.threshold)), 1),
        "answerable_refused_percent": round(100 * float(np.mean(scores[answerable] < qa.threshold)), 1),
        "exact_match": round(measured["exact_match"], 2),
        "f1": round(measured["f1"], 2),
        "f1_answerable_without_refusing": round(evaluate(qa, answerable_only(course))["f1"], 2),
    }
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=runtime.COURSE / "build" / "weights" / "qa-minilm", help="where the result goes")
    parser.add_argument("--release", action="store_true", help="write weights/qa-minilm and score the test parts: once for a release")
    options = parser.parse_args()
    runs = runtime.COURSE / "build" / "weights" / "runs"

    course = load_squad("course")
    first, second, missing = training_sets(course["train"])
    for file in missing:
        print(f"Missing: {file}; training goes on without it and the result will be weaker.", flush=True)
    for name, part in (first | second).items():
        print(f"{name}: {len(part)} questions", flush=True)
    run_1 = finetune("minilm", _joined(first), output_dir=runs / "first", seed=SEED, **FIRST)
    if not run_1.finished:
        sys.exit("Stopped in the first run; the same command goes on with it.")
    run_2 = finetune(runs / "first", _joined(second), output_dir=runs / "second", seed=SEED, **SECOND)

    if not run_2.finished:
        sys.exit("Stopped in the second run; the same command goes on with it.")

    wiki = load_shift("new_wiki")
    development = articles(wiki, DEVELOPMENT_ARTICLES) if wiki is not None else None
    results = {}
    for name in ("first", "second"):
        qa = QuestionAnswerer.load(runs / name)
        qa.threshold = choose_threshold(qa, course["validation"])
        results[name] = {"threshold": qa.threshold} | scores_of(qa, development, course["validation"])
        print(name, json.dumps(results[name]), flush=True)

    model, _ = load_model(runs / "second")
    card = {
        "base": "minilm",
        "data": {name: len(part) for name, part in first.items()},
        "data_second_run": {name: len(part) for name, part in second.items()},
        "licences": {name: licence for name, licence in LICENCES.items() if name in first},
        "recipe": {"first": FIRST, "second": SECOND, "dropout": 0.0, "word_embeddings": "frozen", "precision": run_2.plan.precision},
        "seed": SEED,
        "steps": run_1.steps + run_2.steps,
        "minutes": round((run_1.seconds + run_2.seconds) / 60, 1),
        "examples_per_second": [run_1.examples_per_second, run_2.examples_per_second],
        "machine": runtime.machine(),
        "date": date.today().isoformat(),
        "threshold": results["second"]["threshold"],
        "development": results,
    }
    folder = runtime.COURSE / "weights" / "qa-minilm" if options.release else options.to
    save_released(model, folder, card)
    qa = QuestionAnswerer.load(folder)  # the scores are those of the stored file
    card["development"]["stored"] = scores_of(qa, development, course["validation"])
    if options.release:
        card["test"] = scores_of(qa, articles(wiki, TEST_ARTICLES) if wiki is not None else None, course["test"])
    save_released(model, folder, card)
    history = [{"run": i} | entry for i, run in enumerate((run_1, run_2), 1) for entry in run.history]
    (folder / "history.json").write_text(json.dumps(history, indent=0) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(describe(card), encoding="utf-8")
    print(json.dumps(card, indent=1), flush=True)


def describe(card: dict) -> str:
    """The card as a page for people: every number in it is from card.json."""
    lines = [
        "# qa-minilm: MiniLM fine-tuned to mark answers, or to say that there is none",
        "",
        "Written by `tools/make_weights.py` from `card.json`. Half precision; the word embeddings were frozen and come from the",
        f'`{card["base"]}` asset. Load it with `QuestionAnswerer.load("qa-minilm")`.',
        "",
        "| training data | questions |",
        "| --- | --- |",
        *(f"| {name} | {count:,} |" for name, count in card["data"].items()),
        "",
        f"Licences of the data: {'; '.join(f'{name} {licence}' for name, licence in card['licences'].items())}.",
        "",
        f"Recipe: a first run over all of it ({_recipe(card['recipe']['first'])}), a second over {', '.join(card['data_second_run'])} "
        f"({_recipe(card['recipe']['second'])}); dropout 0, {card['recipe']['precision']}, seed {card['seed']}, {card['steps']:,} steps, "
        f"{card['minutes']} minutes on {card['machine']}, {card['date']}.",
        "",
        f"Threshold {card['threshold']}, chosen on the course's validation questions.",
        "",
        "| scores of this file | articles | exact match | F1 | course questions | F1 | unanswerable refused | answerable refused |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    parts = {"development and validation": card["development"]["stored"], "test, scored once": card.get("test")}
    for name, scores in parts.items():
        if scores is not None:
            wiki, course = scores.get("articles"), scores["course"]
            lines.append(
                f"| {name} | "
                + (f"{wiki['questions']} | {wiki['exact_match']} | {wiki['f1']} ± {wiki['f1_standard_error']}" if wiki else "- | - | -")
                + f" | {course['questions']} | {course['f1']} | {course['unanswerable_refused_percent']} % of {course['unanswerable']}"
                + f" | {course['answerable_refused_percent']} % of {course['questions'] - course['unanswerable']} |"
            )
    return "\n".join(
        [*lines, "", "F1 ± its standard error. Articles are those of SQuADShifts' new_wiki, all answerable, none refused.", ""]
    )


def _recipe(options: dict) -> str:
    return f"{options['epochs']} passes, batch {options['batch_size']}, learning rate {options['learning_rate']:g}"


def _joined(parts: dict[str, Dataset]) -> DatasetDict:
    return DatasetDict(train=concatenate_datasets(list(parts.values())))


def _renamed(dataset: Dataset, suffix: str) -> Dataset:
    return dataset.map(lambda row: {"id": f"{row['id']}-{suffix}"}, keep_in_memory=True)


if __name__ == "__main__":
    main()
