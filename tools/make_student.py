"""Train the released student: `python tools/make_student.py`.

Every second layer of qa-minilm, taught by qa-minilm's own scores on the course's training questions
and, where ../shared/data/squadshifts is there, on those of Wikipedia's training articles; see
`src.compression.distil`. In rounds of a few minutes, each with a lower learning rate. A round that
is done is kept in build/weights/runs/qa-student; what was stopped within a round starts that round
again.

Results go to build/weights/qa-student. The shipped files in weights/ are written only with
--release, which also scores student and teacher on the test articles and the course's test part:
once for a release, when every choice is made.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

from datasets import Dataset, concatenate_datasets

from src.compression import distil, halve_layers, save_student
from src.qa import QuestionAnswerer, load_squad
from src.qa.dataset import answerable_only
from src.qa.models import WEIGHTS, load_model, read_card
from src.training import Run
from tools.cards import made_here, parse_options, tell, write_page
from tools.make_weights import LICENCES, NOTE, calibrated, scores_of, sets_of_the_card
from tools.reader_data import SHARED, WIKI, load_wiki

SEED = 0
RECIPE = {"temperature": 2.0, "batch_size": 16}
MINUTES = 3.2  # of a round
LEARNING_RATES = (8e-4, 5e-4)  # the highest of each round
RUNS = runtime.COURSE / "build" / "weights" / "runs" / "qa-student"


def training_sets(course: Dataset) -> dict[str, Dataset]:
    """What the teacher is asked, by name; what is missing is said."""
    wiki = load_wiki("train")
    if wiki is None:
        print(f"Missing: {SHARED / WIKI}; the result will be weaker.", flush=True)
        return {"course": course}
    return {"course": course, "new_wiki": wiki}


def history_so_far(rounds: int) -> list[dict]:
    """The histories of the first rounds as one: steps and seconds go on from round to round."""
    history: list[dict] = []
    for number in range(1, rounds + 1):
        step, seconds = (history[-1]["step"], history[-1]["seconds"]) if history else (0, 0.0)
        file = RUNS / f"round-{number}" / "history.json"
        for entry in json.loads(file.read_text(encoding="utf-8")):
            later = {"step": entry["step"] + step, "seconds": entry["seconds"] + seconds}
            history.append(entry | later | {"planned_seconds": None})
    return history


def main() -> None:
    options = parse_options(__doc__, ["qa-student"])
    course, teacher = load_squad("course"), QuestionAnswerer.load("qa-minilm")
    parts = training_sets(course["train"])
    train = concatenate_datasets(list(parts.values()))
    for number, learning_rate in enumerate(LEARNING_RATES, start=1):
        folder = RUNS / f"round-{number}"
        if runtime.is_finished(folder):
            continue
        last = RUNS / f"round-{number - 1}"
        student = load_model(last)[0] if number > 1 else halve_layers(teacher.model)
        about = RECIPE | {"minutes": MINUTES, "learning_rate": learning_rate, "seed": SEED + number}
        about |= {"folder": folder, "report": tell(f"round {number}", "agreement")}
        run = distil(student, teacher, train, answerable_only(course["validation"]), **about)
        if not run.finished:
            sys.exit("Stopped; the same command goes on with it.")

    history = history_so_far(len(LEARNING_RATES))
    model, _ = load_model(RUNS / f"round-{len(LEARNING_RATES)}")
    card = {
        "name": "qa-student",
        "title": "three layers that learned from qa-minilm's six",
        "opened_by": 'QuestionAnswerer.load("qa-student")',
        "base": "minilm",
        "teacher": "qa-minilm",
        "layers": model.config.num_hidden_layers,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "data": {name: len(part) for name, part in parts.items()},
        "licences": {name: LICENCES[name] for name in parts},
        "recipe": RECIPE
        | {"minutes_per_round": MINUTES, "learning_rates": LEARNING_RATES}
        | {"precision": teacher.precision},
        "seed": SEED,
        "steps": history[-1]["step"],
        "questions_read": history[-1]["step"] * RECIPE["batch_size"],
        "minutes": round(history[-1]["seconds"] / 60, 1),
        "note": NOTE,
    }
    card |= made_here(f"one thread; {options.remark}".removesuffix("; "))
    card |= calibrated(QuestionAnswerer(model, teacher.tokenizer), course["validation"])
    target = options.folder / "qa-student"
    run = Run(model, history, history[-1]["seconds"], card["recipe"], finished=True)
    save_student(run, target, card)
    student = QuestionAnswerer.load(target, precision="fp32")  # what is stored, on any machine
    card["teacher_scores"], of_teacher = {}, read_card(WEIGHTS / card["teacher"])
    for part in ("development", "test")[: 1 + options.release]:
        card[part] = scores_of(student, sets_of_the_card(part))
        card["teacher_scores"][part] = of_teacher[part]
    save_student(run, target, card)
    write_page(target)


if __name__ == "__main__":
    main()
