"""What smaller readers gain and cost: size, speed, exact match and F1.

Quantised, pruned and distilled, on the answerable questions of the course's test part. The
readers take turns in every round, after one small call each; the median of the rounds counts.
F1 comes with its interval against fp32, paired.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

import common
import numpy as np
import torch
from datasets import Dataset
from scipy.stats import bootstrap

from src.compression import halve_layers, measure, prune, quantise, reader_of, to_16_bits
from src.qa import QuestionAnswerer, load_squad
from src.qa.dataset import answerable_only, gold_answers
from src.qa.metrics import score_questions
from src.qa.models import ModelError


def readers_of(teacher: QuestionAnswerer, student: QuestionAnswerer) -> dict[str, QuestionAnswerer]:
    """All that are compared, the first being what the others are compared with."""
    model, small = teacher.model, student.model
    whole_numbers = quantise(model)
    return {
        "fp32": teacher,
        "fp32, computed in bf16": reader_of(model, teacher, "bf16"),
        "bf16": reader_of(to_16_bits(model), teacher, "fp32"),
        "int8": reader_of(whole_numbers, teacher, "fp32"),
        "int8, the rest in bf16": reader_of(whole_numbers, teacher, "bf16"),
        "half of the weights zero": reader_of(prune(model, 0.5), teacher, "fp32"),
        "every second layer, untaught": reader_of(halve_layers(model), teacher, "fp32"),
        "student": reader_of(small, student, "fp32"),
        "student, computed in bf16": reader_of(small, student, "bf16"),
        "student, int8, the rest in bf16": reader_of(quantise(small), student, "bf16"),
    }


def f1_of_each(qa: QuestionAnswerer, dataset: Dataset) -> np.ndarray:
    """F1 of every question, from 0 to 1: float64[N]."""
    answers = qa(list(dataset["question"]), list(dataset["context"]), threshold=0.0, n_best=1)
    texts = {qid: answer.text for qid, answer in zip(dataset["id"], answers, strict=True)}
    return score_questions(texts, gold_answers(dataset)).f1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=1000, help="at most")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    try:
        teacher, student = (
            QuestionAnswerer.load(name, precision="fp32") for name in ("qa-minilm", "qa-student")
        )
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    test = answerable_only(load_squad("course")["test"])
    dataset = test.select(range(min(options.questions, len(test))))
    instructions = [
        name
        for name, there in torch.cpu.get_capabilities().items()
        if there is True and ("vnni" in name or "amx" in name)
    ]
    common.announce(
        "Smaller models",
        f"the first {len(dataset)} of {len(test)} answerable test questions of the course",
    )
    print(f"instructions for bytes and bf16: {', '.join(instructions) or 'none'}")

    readers = readers_of(teacher, student)
    measured = measure(readers, dataset, options.rounds)
    each = {name: f1_of_each(qa, dataset) for name, qa in readers.items()}
    first = measured[0]
    rows = [
        (
            "reader",
            "megabytes",
            "questions/s",
            "times",
            "exact match",
            "F1",
            "F1 against fp32, 95 %",
        )
    ]
    result = []
    for found in measured:
        apart = each[found.name] - each[first.name]
        mean, interval = (
            apart.mean(),
            bootstrap((apart,), np.mean, method="percentile", rng=0).confidence_interval,
        )
        times = found.questions_per_second / first.questions_per_second
        against = (
            ""
            if found is first
            else f"{100 * mean:+.2f} ({100 * interval.low:+.2f} to {100 * interval.high:+.2f})"
        )
        rows.append(
            (
                found.name,
                found.megabytes,
                found.questions_per_second,
                times,
                found.exact_match,
                found.f1,
                against,
            )
        )
        shares = {"f1_apart": mean, "f1_apart_low": interval.low, "f1_apart_high": interval.high}
        result.append(
            asdict(found)
            | {"times_faster": times}
            | {name: 100 * share for name, share in shares.items()}
        )
    common.print_table(f"{len(dataset)} questions, {options.rounds} rounds", rows)
    common.write(
        "compression",
        {
            "questions": len(dataset),
            "rounds": options.rounds,
            "instructions": instructions,
            "readers": result,
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
