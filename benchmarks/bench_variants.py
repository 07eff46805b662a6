"""Three variants of question answering: the reader, and SmolLM2 with the passage and without it.

Quality, seconds per question and megabytes of each, on open-domain questions of the course's test
part, asked one at a time, each in all variants before the next. Answers are kept in
build/bench/variants-answers.jsonl as they come; `--resume` goes on from there after an
interruption, on the same machine, with the same reader and settings. `--write` makes
data/qa_variants.csv of the run.

The rule for "supported" (src/qa/variants.py) was adjusted on the questions of data/qa_variants.csv.
`--others` asks the open-domain test questions that are not among them, and writes
build/bench/variants-others.csv with every answer beside its passage: read some, and count where the
rule is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import common
import pandas as pd
import torch
from datasets import Dataset

from src.compression import megabytes
from src.qa import QuestionAnswerer, generative, variants
from src.qa.generative import GenerativeAnswerer
from src.qa.models import ModelError, released_folder

# Seconds to a tenth of a millisecond and scores to a hundredth: more digits would only be noise.
DIGITS = {"exact_match": 0, "f1": 2, "seconds": 4}


def kept_answers(kept: Path, settings: dict) -> list[list[dict]]:
    """The answers of an interrupted run with these very settings, by question."""
    if not kept.exists():
        return []
    lines = kept.read_text(encoding="utf-8").splitlines(keepends=True)
    # A line without an end was being written.
    found, *questions = [json.loads(line) for line in lines if line.endswith("\n")]
    if found != settings:
        print(f"{kept.relative_to(common.runtime.COURSE)} is of a run with other settings.")
        return []
    return questions


def answer_all(
    rows: Dataset,
    reader: QuestionAnswerer,
    writer: GenerativeAnswerer,
    kept: Path,
    settings: dict,
    resume: bool,
) -> list[dict]:
    """The answers of `variants.ask_each`, kept question by question in the file `kept`."""
    by_id = {
        answers[0]["id"]: answers for answers in (kept_answers(kept, settings) if resume else [])
    }
    missing = [i for i, question_id in enumerate(rows["id"]) if question_id not in by_id]
    print(f"{len(by_id)} questions were answered before, {len(missing)} are to come", flush=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.open("w", encoding="utf-8") as file:
        for line in (settings, *by_id.values()):
            print(json.dumps(line, ensure_ascii=False), file=file, flush=True)
        answers: list[dict] = []
        for answer in (
            variants.ask_each(rows.select(missing), reader, writer, progress) if missing else ()
        ):
            answers.append(answer)
            if len(answers) == len(variants.VARIANTS):
                print(json.dumps(answers, ensure_ascii=False), file=file, flush=True)
                by_id[answer["id"]], answers = answers, []
    return [answer for question_id in rows["id"] for answer in by_id[question_id]]


def progress(told: dict) -> None:
    if told["step"] % 10 == 0 or told["step"] == told["steps"]:
        print(common.runtime.progress_line(told), flush=True)


def print_frame(title: str, frame: pd.DataFrame) -> None:
    common.print_table(
        title,
        [
            ("", *frame.columns),
            *(
                (name, *map(_plain, row))
                for name, row in zip(frame.index, frame.values, strict=True)
            ),
        ],
    )


def _plain(value: object) -> object:
    """Whole numbers without decimals."""
    return int(value) if float(value).is_integer() else float(value)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--questions", type=int, help="how many; without it 100, with --others all of them"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of questions")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run that was interrupted"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--others", action="store_true", help="ask questions that are not in data/qa_variants.csv"
    )
    which.add_argument("--write", action="store_true", help="make data/qa_variants.csv of this run")
    options = parser.parse_args()
    name = "variants-others" if options.others else "variants"
    without = set(variants.load_variants()["id"]) if options.others else set()
    try:
        reader = QuestionAnswerer.load(
            "qa-minilm", precision="fp32"
        )  # as the chat model; bf16 would answer faster where there is AMX
        usual = None if options.others else 100
        rows = variants.choose_questions(
            usual if options.questions is None else options.questions, options.seed, without
        )
    except (ModelError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    writer = GenerativeAnswerer("smollm2")
    common.announce(
        "Three variants",
        f"{len(rows)} open-domain questions of the course's test part, seed {options.seed}",
    )
    settings = {
        "machine": common.runtime.machine(),
        "threads": torch.get_num_threads(),
        "reader": hashlib.sha256(
            (released_folder("qa-minilm") / "model.safetensors").read_bytes()
        ).hexdigest(),
        "questions": list(rows["id"]),
        "prompts": [generative.OPEN_BOOK, generative.CLOSED_BOOK],
    }
    said = answer_all(
        rows, reader, writer, common.RESULTS / f"{name}-answers.jsonl", settings, options.resume
    )
    passages = dict(zip(rows["id"], rows["context"], strict=True))
    table = variants.grade(pd.DataFrame(said), passages).round(DIGITS)

    summary = variants.summarise(table)
    summary["megabytes"] = [megabytes(reader.model), *[megabytes(writer.model)] * 2]
    print_frame("quality in percent, seconds per question", summary.T)
    print_frame("what became of the questions", variants.count_kinds(table).T)
    for kind in (variants.FLUENT, variants.RIGHT_UNSUPPORTED):
        print(f"\n{kind}")
        for row in variants.telling_failures(table, 5, kind).itertuples():
            print(
                f"  {row.question} ({row.people_said})\n    {row.right_variant}: {row.right_answer}"
                f"\n    {row.other_variant}: {row.other_answer}"
            )
    common.write(
        name,
        {
            "questions": len(rows),
            "seed": options.seed,
            "variants": summary.to_dict("index"),
            "kinds": variants.count_kinds(table).to_dict("index"),
        },
    )
    if options.others:
        beside = common.RESULTS / f"{name}.csv"
        table.assign(passage=table["id"].map(passages)).to_csv(
            beside, index=False, lineterminator="\n"
        )
        print(f"and {beside.relative_to(common.runtime.COURSE)}")
    if options.write:
        table.to_csv(variants.SHIPPED, index=False, lineterminator="\n")
        print(f"and {variants.SHIPPED.relative_to(common.runtime.COURSE)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
