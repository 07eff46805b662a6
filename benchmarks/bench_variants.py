"""Three variants of question answering: the reader, and SmolLM2 with the passage and without it.

Quality, seconds per question and megabytes of each, on open-domain questions of the course's test
part, asked one at a time, each in all variants before the next. `--write` makes
data/qa_variants.csv of the run.

The rule for "supported" (grading.py) was adjusted on the questions of data/qa_variants.csv.
`--others` asks the open-domain test questions that are not among them, and writes
build/bench/variants-others.csv with every answer beside its passage: read some, and count where the
rule is wrong.
"""

import argparse
import sys
from pathlib import Path

import common
import grading
import pandas as pd
from datasets import Dataset

from src.compression import megabytes
from src.qa import QuestionAnswerer, load_squad, variants
from src.qa.course_set import open_domain_questions
from src.qa.generative import GenerativeAnswerer
from src.qa.models import ModelError

# Seconds to a tenth of a millisecond and scores to a hundredth: more digits would only be noise.
DIGITS = {"exact_match": 0, "f1": 2, "seconds": 4}


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


def choose_rows(options: argparse.Namespace) -> Dataset:
    """The questions to ask."""
    if not options.others:
        return grading.choose_questions(options.questions, options.seed)
    shipped = set(variants.load_variants()["id"])
    rows = open_domain_questions(load_squad("course")["test"])
    return rows.filter(lambda row: row["id"] not in shipped)


def print_telling(table: pd.DataFrame) -> None:
    """Print failures worth reading, at most five of each kind."""
    for kind in (variants.FLUENT, variants.RIGHT_UNSUPPORTED):
        print(f"\n{kind}")
        for row in variants.telling_failures(table, 5, kind).itertuples():
            print(
                f"  {row.question} ({row.people_said})\n    {row.right_variant}: {row.right_answer}"
                f"\n    {row.other_variant}: {row.other_answer}"
            )


def write_table(table: pd.DataFrame, file: Path) -> None:
    table.to_csv(file, index=False, lineterminator="\n")
    print(f"and {file.relative_to(common.runtime.COURSE)}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=100, help="how many; without --others")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of questions")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--others", action="store_true", help="ask questions that are not in data/qa_variants.csv"
    )
    which.add_argument("--write", action="store_true", help="make data/qa_variants.csv of this run")
    options = parser.parse_args()
    name = "variants-others" if options.others else "variants"
    try:
        # In fp32 as the chat model; bf16 would answer faster where there is AMX.
        reader = QuestionAnswerer.load("qa-minilm", precision="fp32")
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rows = choose_rows(options)
    writer = GenerativeAnswerer("smollm2")
    common.announce(
        "Three variants",
        f"{len(rows)} open-domain questions of the course's test part, seed {options.seed}",
    )
    table = grading.ask_variants(rows, reader, writer, progress).round(DIGITS)

    summary = variants.summarise(table)
    summary["megabytes"] = [megabytes(reader.model), *[megabytes(writer.model)] * 2]
    print_frame("quality in percent, seconds per question", summary.T)
    print_frame("what became of the questions", variants.count_kinds(table).T)
    print_telling(table)
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
        passages = dict(zip(rows["id"], rows["context"], strict=True))
        beside = table.assign(passage=table["id"].map(passages))
        write_table(beside, common.RESULTS / f"{name}.csv")
    if options.write:
        write_table(table, variants.SHIPPED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
