"""What smaller readers gain and cost: size, speed and F1, with rounds and intervals.

With --students instead: F1 after equal steps of halves that learn from their teacher or from labels
only, and of a pruned reader. Runs in data/students.csv are not made again.
"""

import argparse
import copy
from dataclasses import asdict

import common
import pandas as pd
import torch
from datasets import concatenate_datasets

from src import runtime
from src.compression import (
    distil,
    halve_layers,
    hold_zeros,
    measure,
    prune,
    quantise,
    reader_of,
    to_16_bits,
)
from src.qa import QuestionAnswerer, load_squad
from src.qa.dataset import answerable_only
from src.qa.models import load_model

HALF, PLAIN = "half of the reader", "half of plain MiniLM"
PRUNED, WHOLE = "the reader, pruned", "the reader"  # 60 % of the weights; none
LESSONS = [(HALF, "teacher", 5e-4), (HALF, "labels", 5e-4), (PLAIN, "labels", 5e-4)]
LESSONS += [(PRUNED, "labels", 2e-4), (WHOLE, "labels", 2e-4), (HALF, "labels", 2e-4)]


def measure_readers(teacher: QuestionAnswerer, options: argparse.Namespace) -> None:
    """Measure the reader and what can be made of it; the first is what the others are against."""
    student, int8 = QuestionAnswerer.load("qa-student", precision="fp32"), quantise(teacher.model)
    models = {
        "fp32": (teacher.model, "fp32"),
        "fp32, computed in bf16": (teacher.model, "bf16"),
        "bf16": (to_16_bits(teacher.model), "fp32"),
        "int8": (int8, "fp32"),
        "int8, the rest in bf16": (int8, "bf16"),
        "half of the weights zero": (prune(teacher.model, 0.5), "fp32"),
        "every second layer, untaught": (halve_layers(teacher.model), "fp32"),
        "student": (student.model, "fp32"),
        "student, computed in bf16": (student.model, "bf16"),
        "student, int8, the rest in bf16": (quantise(student.model), "bf16"),
    }
    readers = {}
    for name, (model, precision) in models.items():
        like = student if name.startswith("student") else teacher
        readers[name] = reader_of(model, like, precision)
    test = answerable_only(load_squad("course")["test"])
    common.announce("Smaller models", f"{len(test)} answerable test questions of the course")
    rows = [("reader", "megabytes", "questions/s", "range", "F1", "F1 against fp32, 95 %")]
    found = measure(readers, test, options.rounds)
    for m in found:
        ends = f"{m.slowest:.0f} to {m.fastest:.0f}", m.f1, f"{m.f1_low:+.2f} to {m.f1_high:+.2f}"
        rows.append((m.name, m.megabytes, m.questions_per_second, *ends))
    common.print_table(f"{len(test)} questions, {options.rounds} rounds", rows)
    kinds = {k: there for k, there in torch.cpu.get_capabilities().items() if there is True}
    result = {"questions": len(test), "rounds": options.rounds, "instructions": list(kinds)}
    common.write("compression", result | {"readers": [asdict(m) for m in found]})


def start_of(name: str, teacher: QuestionAnswerer) -> torch.nn.Module:
    if name == PRUNED:
        small = prune(teacher.model, 0.6)
        hold_zeros(small)
        return small
    if name == WHOLE:
        return copy.deepcopy(teacher.model)
    half = name == HALF
    return halve_layers(teacher.model if half else load_model("minilm", 0.0, True)[0])


def teach_students(teacher: QuestionAnswerer, options: argparse.Namespace) -> None:
    """Make the runs that are missing, each a row of the table."""
    table, course = runtime.COURSE / "data" / "students.csv", load_squad("course")
    asked = [answerable_only(course[split]) for split in ("validation", "test")]
    runs = [(start, "nothing", 0.0, 0, 0) for start in (HALF, PLAIN, PRUNED, WHOLE)]
    runs += [(*each, options.steps, seed) for seed in range(options.seeds) for each in LESSONS]
    for start, lesson, rate, steps, seed in runs:
        known = pd.read_csv(table)
        if (known.iloc[:, :5] == [start, lesson, rate, steps, seed]).all(axis=1).any():
            continue
        torch.manual_seed(seed)
        student = start_of(start, teacher)
        if steps:
            settings = {"steps": steps, "seed": seed, "learning_rate": rate}
            settings["labels_only"] = lesson == "labels"
            distil(student, teacher, course["train"], asked[0], None, **settings)
        reader = reader_of(student, teacher, teacher.precision)
        (m,) = measure({start: reader}, concatenate_datasets(asked), rounds=1)
        scores = round(m.f1, 2), round(m.exact_match, 2), m.questions
        known.loc[len(known)] = [start, lesson, rate, steps, seed, *scores]
        known.to_csv(table, index=False)
        print(*known.iloc[-1], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--students", action="store_true")
    parser.add_argument("--steps", type=int, default=300, help="of each student")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    precision = "auto" if options.students else "fp32"
    teacher = QuestionAnswerer.load("qa-minilm", precision=precision)
    (teach_students if options.students else measure_readers)(teacher, options)


if __name__ == "__main__":
    main()
