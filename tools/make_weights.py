"""Train the released question-answering weights: `make weights`.

MiniLM first learns on questions with gaps, made of the introductions. From there two runs of
`src.qa.finetune`, which differ in their seed, go over everything there is, and the mean of their
weights is what is kept: `benchmarks/bench_reader.py` shows what each step gives. The course's own
set, which holds the unanswerable questions that people wrote, goes in twice. Where there is a
network (COURSE_ONLINE=1) the Hub's SQuAD 2.0 is read beside the course's set; otherwise the three
SQuADShifts files in ../shared/data, as far as they are there, and what is missing is said. (A
second run over Wikipedia and the course's set alone was tried: on the development articles F1 fell
by 1.3.)

Results go to build/weights/qa-minilm. The shipped files in weights/ are written only with
--release, which also scores the test articles and the course's test part: do that once for a
release, when every choice is made.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import assets, runtime

runtime.configure_libraries()

import numpy as np  # noqa: E402
from datasets import Dataset, DatasetDict, concatenate_datasets  # noqa: E402
from scipy.stats import bootstrap  # noqa: E402
from transformers import PreTrainedModel, PreTrainedTokenizerBase  # noqa: E402

from src.qa import QuestionAnswerer, evaluate, finetune, load_squad  # noqa: E402
from src.qa.cloze import cloze_questions  # noqa: E402
from src.qa.dataset import answerable_only, gold_answers  # noqa: E402
from src.qa.evaluation import fit_calibration, judge  # noqa: E402
from src.qa.metrics import score_questions  # noqa: E402
from src.qa.models import ModelError, load_model, save_released  # noqa: E402
from src.qa.runs import FinetuneRun  # noqa: E402
from tools.cards import made_here, parse_options, write_page  # noqa: E402
from tools.reader_data import SHARED, TRAIN_FILES, WIKI, load_wiki, read_file  # noqa: E402
from tools.unanswerable import (  # noqa: E402
    drop_answer_sentences,
    pair_with_other_passages,
    replace_names,
)

SEEDS = (0, 1)
CLOZE = 10_000  # questions to begin with
GAPS = "with gaps, before the rest"  # what the card calls them
START = {"epochs": 1, "batch_size": 16, "learning_rate": 3e-4}
RECIPE = {"epochs": 2, "batch_size": 32, "learning_rate": 3e-4}
RUNS = runtime.COURSE / "build" / "weights" / "runs"
NOTE = (
    "F1 ± its standard error. Articles are those of SQuADShifts' new_wiki, all answerable, none "
    "refused. AUC: how likely an answerable "
    "question has a higher score than an unanswerable one. ECE: how far scores and shares of right "
    "answers are apart."
)
LICENCES = {
    GAPS: "CC BY-SA 4.0",  # Wikipedia's sentences
    "new_wiki": "CC BY 4.0",
    "reddit": "CC BY 4.0",
    "amazon_reviews": "CC BY 4.0",
    "course": "CC BY 4.0",
    "squad_v2": "CC BY-SA 4.0",
}


def training_sets(course: Dataset) -> tuple[dict[str, Dataset], list[str]]:
    """What is read, by name, and what is missing."""
    again = course.map(lambda row: {"id": f"{row['id']}-again"})
    parts, missing = {"course": course, "course, again": again}, []
    if runtime.is_online():
        return parts | {"squad_v2": load_squad("squad_v2")["train"]}, missing
    makers = {
        "paired with another passage": pair_with_other_passages,
        "with another name": replace_names,
        "without the sentence": drop_answer_sentences,
    }
    counts = {
        "new_wiki": (1500, 1000, 1300),
        "reddit": (600, 400, 700),
        "amazon_reviews": (800, 0, 0),
    }
    for name, wanted in counts.items():
        file = WIKI if name == "new_wiki" else TRAIN_FILES[name]
        questions = load_wiki("train") if name == "new_wiki" else read_file(file)
        if questions is None:
            missing.append(str(SHARED / file))
            continue
        parts[name] = questions
        for (how, maker), count in zip(makers.items(), wanted, strict=True):
            if count:
                parts[f"{name}, {how}"] = maker(questions, count, SEEDS[0])
    return parts, missing


def unscored_introductions(course: DatasetDict) -> dict[str, str]:
    """Title -> text of the introductions that no score is taken on: self-made questions may come
    from these.
    """
    scored = {
        title.replace("_", " ")
        for part in ("development", "test")
        for title in (load_wiki(part) or {"title": []})["title"]
    }
    scored |= {title for part in ("validation", "test") for title in course[part]["title"]}
    return {t: passage.text for t, passage in assets.load_passages().items() if t not in scored}


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


def standard_error_of_f1(texts: dict[str, str], golds: dict[str, list[str]]) -> float:
    """Of the mean F1 over questions, in percent, by the bootstrap."""
    f1 = score_questions(texts, golds).f1
    return 100 * float(bootstrap((f1,), np.mean, n_resamples=2000, rng=0).standard_error)


def scored(qa: QuestionAnswerer, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the best answer, and whether there is one, question by question."""
    return judge(qa, dataset).confidences, has_answer(dataset)


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
    """Give the reader the temperature and the threshold that fit these questions; returns what its
    card says of them.
    """
    fields = fit_calibration(qa, validation)
    qa.temperature, qa.threshold = fields["temperature"], fields["threshold"]
    return fields


def scores_of(qa: QuestionAnswerer, wiki: Dataset | None, course: Dataset) -> dict:
    """What the card reports: F1 with its interval on articles; on the course's questions F1, both
    rates of refusal, AUC and ECE.
    """
    report = {}
    if wiki is not None:
        answers = qa(list(wiki["question"]), list(wiki["context"]), threshold=0.0, n_best=1)
        texts = {qid: answer.text for qid, answer in zip(wiki["id"], answers, strict=True)}
        measured = evaluate(qa, wiki)
        report["articles"] = {
            "questions": len(wiki),
            "exact_match": round(measured["exact_match"], 2),
            "f1": round(measured["f1"], 2),
            "f1_standard_error": round(standard_error_of_f1(texts, gold_answers(wiki)), 2),
        }
    scores, answerable = scored(qa, course)
    rates = refusal_rates(scores, answerable, qa.threshold)
    measured = evaluate(qa, course)
    report["course"] = {
        "questions": len(course),
        "unanswerable": int((~answerable).sum()),
        **{name: round(rate, 1) for name, rate in rates.items()},
        "exact_match": round(measured["exact_match"], 2),
        "f1": round(measured["f1"], 2),
        "f1_answerable_without_refusing": round(evaluate(qa, answerable_only(course))["f1"], 2),
        "auc": round(measured["auc"], 4),
        "ece": round(measured["ece"], 4),
    }
    return report


def main() -> None:
    options = parse_options(__doc__, ["qa-minilm"])
    course = load_squad("course")
    parts, missing = training_sets(course["train"])
    for file in missing:
        print(
            f"Missing: {file}; training goes on without it and the result will be weaker.",
            flush=True,
        )
    for name, part in parts.items():
        print(f"{name}: {len(part)} questions", flush=True)
    cloze = cloze_questions(unscored_introductions(course), CLOZE, SEEDS[0])
    start = train("qa-minilm-start", "minilm", cloze, SEEDS[0], **START)
    data = concatenate_datasets(list(parts.values()))
    runs = [
        train(f"qa-minilm-seed-{seed}", start.output_dir, data, seed, **RECIPE) for seed in SEEDS
    ]
    model, tokenizer = mean_of_models([run.output_dir for run in runs])
    folder = RUNS / "qa-minilm-mean"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    qa = QuestionAnswerer.load(folder)
    every = [start, *runs]
    wiki = load_wiki("development")
    card = {
        "name": "qa-minilm",
        "title": "MiniLM fine-tuned to mark answers, or to say that there is none",
        "opened_by": 'QuestionAnswerer.load("qa-minilm")',
        "base": "minilm",
        "data": {GAPS: len(cloze)} | {name: len(part) for name, part in parts.items()},
        "licences": {name: licence for name, licence in LICENCES.items() if name in {GAPS, *parts}},
        "recipe": RECIPE
        | {"dropout": 0.0, "word_embeddings": "frozen", "precision": start.precision},
        "start": START,
        "seeds": list(SEEDS),
        "steps": sum(run.steps for run in every),
        "minutes": round(sum(run.seconds for run in every) / 60, 1),
        "examples_per_second": runs[0].examples_per_second,
        "note": NOTE,
    }
    card |= made_here(options.remark) | calibrated(qa, course["validation"])
    card["development_of_each_run"] = {}
    for seed, run in zip(SEEDS, runs, strict=True):
        single = QuestionAnswerer.load(run.output_dir)
        calibrated(single, course["validation"])
        scores = scores_of(single, wiki, course["validation"])
        card["development_of_each_run"][f"seed {seed}"] = scores
    target = options.folder / "qa-minilm"
    save_released(model, target, card)
    qa = QuestionAnswerer.load(target)  # the scores are those of the stored file
    card["development"] = scores_of(qa, wiki, course["validation"])
    if options.release:
        card["test"] = scores_of(qa, load_wiki("test"), course["test"])
    save_released(model, target, card, history=[run.history for run in every])
    write_page(target)


if __name__ == "__main__":
    main()
