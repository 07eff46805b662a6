"""What the benchmarks share: questions, the recipe they compare with, machine, tables, results."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import BatchEncoding, PreTrainedTokenizerBase  # noqa: E402

from src.qa import load_squad  # noqa: E402
from src.qa.batches import PAD_TO  # noqa: E402
from src.qa.dataset import answerable_only  # noqa: E402
from tools.reader_data import SHARED, WIKI, load_wiki  # noqa: E402

RESULTS = runtime.COURSE / "build" / "bench"
# The tutorial recipe for SQuAD: what the course's own is measured against.
PADDED_TO, REFERENCE_BATCH, REFERENCE_RATE, REFERENCE_DROPOUT = 384, 16, 2e-5, 0.1


@dataclass(frozen=True)
class QuestionSplits:
    """Questions to train on, others to score on, and a line that says where they come from."""

    train: Dataset
    development: Dataset
    source: str


def load_questions() -> QuestionSplits:
    """Training and development articles of new_wiki; where it is not there, the course set."""
    train, development = load_wiki("train"), load_wiki("development")
    if train is not None and development is not None:
        source = f"new_wiki: {len(train)} questions of its training articles, "
        source += f"{len(development)} of its development articles"
        return QuestionSplits(train, development, source)
    course = load_squad("course")
    train, development = course["train"], answerable_only(course["validation"])
    missing = f"{SHARED / WIKI} is not there, hence the course set"
    return QuestionSplits(
        train,
        development,
        f"{missing}: {len(train)} training questions, "
        f"{len(development)} answerable validation questions",
    )


def pad(
    windows: Dataset,
    rows: Sequence[int],
    tokenizer: PreTrainedTokenizerBase,
    length: int | None = None,
) -> BatchEncoding:
    """Tensors of these windows, padded to `length` tokens, or as `finetune` does it."""
    names = ("input_ids", "token_type_ids", "attention_mask", "start_positions", "end_positions")
    columns = [name for name in names if name in windows.column_names]
    chosen = [{name: windows[int(row)][name] for name in columns} for row in rows]
    how = (
        {"padding": True, "pad_to_multiple_of": PAD_TO}
        if length is None
        else {"padding": "max_length", "max_length": length}
    )
    return tokenizer.pad(chosen, return_tensors="pt", **how)


def shuffled_batches(windows: int, seed: int) -> Iterator[np.ndarray]:
    """Endless batches of the reference recipe: random windows, whatever their length."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(windows)
        yield from (
            order[i : i + REFERENCE_BATCH]
            for i in range(0, max(1, windows - REFERENCE_BATCH + 1), REFERENCE_BATCH)
        )


def announce(title: str, questions: str) -> None:
    print(
        f"{title}\nmachine: {runtime.machine_line()}; {torch.get_num_threads()} threads\n"
        f"questions: {questions}",
        flush=True,
    )


def print_table(title: str, rows: Sequence[Sequence[object]]) -> None:
    """Print rows under each other; the first holds the headings, the first column is text."""
    cells = [
        [f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    print(f"\n{title}")
    for row in cells:
        print(
            "  "
            + "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        )
    sys.stdout.flush()


def print_rows(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print name -> column -> number as a table."""
    columns = list(next(iter(rows.values())))
    print_table(
        title,
        [
            ("", *columns),
            *((name, *(row[column] for column in columns)) for name, row in rows.items()),
        ],
    )


def write(name: str, result: dict) -> None:
    """Keep a result as build/bench/<name>.json."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    told = {
        "machine": runtime.machine_line(),
        "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d %H:%M"),
    }
    (RESULTS / f"{name}.json").write_text(
        json.dumps(told | result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"\nwritten to {(RESULTS / f'{name}.json').relative_to(runtime.COURSE)}", flush=True)
