"""What a fine-tuning run leaves on disk: its folder, its checkpoints, its model and card.

A run's folder holds run.json (what was asked for, and how it went), progress.json while it goes,
checkpoints/ until it is finished, and at the end the model, its tokenizer and card.json.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset
from safetensors import SafetensorError
from transformers.utils import SAFE_WEIGHTS_NAME

from src import compute, runtime
from src.files import read_json, write_json
from src.qa.cpu_attention import NAME as CPU_ATTENTION
from src.qa.evaluation import fit_calibration
from src.qa.models import load_model, share
from src.qa.processes import RunError, abort_when_a_peer_fails, folder_lock
from src.runtime import first_line

if TYPE_CHECKING:
    from src.qa.answerer import QuestionAnswerer

CARD_QUESTIONS = 1000  # of the validation split, for the card
RUN, PROGRESS, CHECKPOINTS = "run.json", "progress.json", "checkpoints"
# What torch and tokenizers say of a full disk, in errors of no class of its own.
FULL_DISK_MESSAGES = ("PytorchStreamWriter", "inline_container", "(os error ")
MANIFEST = "complete.json"  # written last into a checkpoint: the sum of each file in it
# What would be written over in a folder where no run left it.
WRITTEN = (SAFE_WEIGHTS_NAME, "config.json", "tokenizer.json", "tokenizer_config.json", "card.json")


@dataclass
class FinetuneRun:
    """A fine-tuning run: what was asked for, what it cost, how the loss fell.

    Attributes:
        output_dir: its folder.
        arguments: what `finetune` was asked for; another call with the same goes on with this run.
        precision, threads, processes: what it computes in and with.
        finished: False while it goes, and after Ctrl-C.
        steps: taken so far.
        seconds: from the call to the last step, without saving and evaluating.
        saving_seconds, evaluation_seconds: what these took in the last call.
        examples_per_second: windows per second of training alone, in the last call.
        history: one dict per log: step, seconds, loss, learning_rate, examples_per_second, and f1
            where it was measured.
        card: what card.json says: threshold, temperature, scores on the validation split.
        told: a sentence for people, where the run is not in the folder that was asked for.
    """

    output_dir: Path
    arguments: dict
    precision: str = "fp32"
    threads: int = 0
    processes: int = 1
    finished: bool = False
    steps: int = 0
    seconds: float = 0.0
    saving_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    examples_per_second: float = 0.0
    history: list[dict] = field(default_factory=list)
    card: dict = field(default_factory=dict)
    told: str = field(default="", compare=False)

    def save(self) -> None:
        """Write run.json, and card.json once there is a card."""
        about = asdict(self)
        del about["output_dir"], about["card"], about["told"]
        if self.card:
            write_json(self.output_dir / "card.json", self.card)
        write_json(self.output_dir / RUN, about)


def checked(given: Mapping) -> dict:
    """The arguments of `finetune` that make a run what it is.

    Raises:
        RunError: no run could follow them.
    """
    minutes, epochs, size = given["minutes"], given["epochs"], given["batch_size"]
    rate, decay = given["learning_rate"], given["weight_decay"]
    processes = int(os.environ.get("WORLD_SIZE", 1))  # before they wait for each other
    wanted, advice = epochs if minutes is None else minutes, "give either minutes or epochs"
    problems = {
        f"{advice}, above zero (found minutes={minutes}, epochs={epochs})": (
            (minutes is None) != (epochs is None) and 0 < wanted < math.inf
        ),
        f"learning_rate is {rate}; choose one above zero, or None for the usual one": (
            rate is None or 0 < rate < math.inf
        ),
        f"weight_decay is {decay}; choose 0 or a small number above it": 0 <= decay < math.inf,
        f"batch_size is {size}; choose a multiple of the number of processes, {processes}": (
            size > 0 and size % processes == 0
        ),
        f"seed is {given['seed']}; choose a whole number from 0 to {2**32 - 1}": (
            0 <= given["seed"] < 2**32
        ),
    }
    for problem, is_fine in problems.items():
        if not is_fine:
            raise RunError(f"{problem}.")
    names = "minutes epochs seed batch_size learning_rate weight_decay max_length doc_stride"
    return {"model": str(given["model"])} | {name: given[name] for name in names.split()}


def training_splits(splits: Mapping[str, Dataset]) -> tuple[Dataset, Dataset | None]:
    """The questions to train on, and those to score on or None.

    Raises:
        RunError: there are none to train on.
    """
    if not len(splits.get("train", ())):
        found = ", ".join(f"{name} with {len(rows)}" for name, rows in splits.items()) or "none"
        raise RunError(f"there are no questions in the split 'train' (found {found}); add some.")
    return splits["train"], splits.get("validation") or None


def load_run(folder: str | Path) -> FinetuneRun:
    """Read the run that `finetune` left in `folder`.

    Raises:
        RunError: there is none, or it is damaged.
    """
    folder = Path(folder)
    try:
        card = folder / "card.json"
        card = read_json(card, dict) if card.is_file() else {}
        run = FinetuneRun(folder, card=card, **read_json(folder / RUN, dict))
        dict(run.arguments)  # which it must be
    except (OSError, ValueError, TypeError) as error:
        advice = "run the training first, or choose another folder"
        raise RunError(f"{folder} holds no readable run ({error}); {advice}.") from None
    return run


def open_run(output_dir: Path, arguments: dict, resume: bool) -> FinetuneRun:
    """The run in `output_dir` with these arguments, or a new one there or beside it.

    Where build/live holds another run, build/live-2 is looked at, and so on; the run's `told` is
    then a sentence. `resume` says whether a run with the same arguments is the one that is meant.

    Raises:
        RunError: a folder holds files that no run left there.
    """
    folder, number, why = output_dir, 1, ""
    while (folder / RUN).is_file():
        try:
            run = load_run(folder)
        except RunError:
            found = f"{folder} holds a run that cannot be read, or of another version"
        else:
            other = [name for name, value in arguments.items() if run.arguments.get(name) != value]
            if resume and not other:
                run.told = why and f"{why}; it is in {folder}."
                return run
            found = f"{folder} holds a run, and this one is to begin anew (resume is off)"
            if other:
                name = other[0]
                theirs = f"{folder} holds a run with {name}={run.arguments.get(name)!r}"
                found = f"{theirs}, and this one has {name}={arguments[name]!r}"
        why, number = why or found, number + 1
        folder = output_dir.with_name(f"{output_dir.name}-{number}")
    others = [name for name in WRITTEN if (folder / name).exists()]
    if others:
        theirs = f"{folder} holds {', '.join(others)} that no run left there"
        raise RunError(f"{theirs} and that would be overwritten; choose another output_dir.")
    return FinetuneRun(folder, arguments, told=why and f"{why}; it goes to {folder}.")


def write_manifest(checkpoint: Path, record: dict) -> None:
    """Mark a checkpoint as whole: the sums of its files, and how far the run was."""
    write_json(checkpoint / MANIFEST, record | {"files": _sums(checkpoint)})


def _sums(checkpoint: Path) -> dict[str, str]:
    sums = {}
    for file in checkpoint.iterdir():
        if file.name != MANIFEST:
            with file.open("rb") as opened:
                sums[file.name] = hashlib.file_digest(opened, "sha256").hexdigest()
    return sums


def latest_checkpoint(run: FinetuneRun) -> tuple[str | None, dict]:
    """The newest whole checkpoint of a run and its record; (None, {}) where there is none.

    One whose files are not those that were written is passed over, and the older one serves. One
    that was cut off while being saved has no record and does not count.

    Raises:
        RunError: there are finished checkpoints, and every one of them is damaged.
    """
    place, damaged = run.output_dir / CHECKPOINTS, []
    if run.finished:  # a kill may have left some while they were being removed
        shutil.rmtree(place, ignore_errors=True)
    folders = place.glob("checkpoint-*")
    for folder in sorted(folders, key=lambda f: int(f.name.rpartition("-")[2]), reverse=True):
        if not (folder / MANIFEST).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            record = read_json(folder / MANIFEST, dict)
            is_whole = record.pop("files").items() <= _sums(folder).items()
        except (OSError, ValueError, KeyError, AttributeError):
            is_whole = False
        if is_whole:
            for each in damaged:  # they would count among the two that are kept
                shutil.rmtree(each, ignore_errors=True)
            return str(folder), record
        damaged.append(folder)
    if damaged:
        names = ", ".join(folder.name for folder in damaged)
        advice = "delete that folder to begin this run anew, or choose another output_dir"
        raise RunError(f"the checkpoints in {place} are damaged ({names}); {advice}.")
    return None, {}


@contextmanager
def told_when_unwritable(folder: Path, advice: str) -> Iterator[None]:
    """What the system refuses to write becomes a RunError in one sentence, ending in `advice`."""
    try:
        yield
    except (ValueError, BrokenPipeError):  # a sentence already, or of what is printed
        raise
    except Exception as error:
        in_words = any(words in str(error) for words in FULL_DISK_MESSAGES)
        if not in_words and not isinstance(error, (OSError, SafetensorError)):
            raise
        reason = getattr(error, "strerror", None) or first_line(error)
        raise RunError(f"{folder} cannot be written ({reason}); {advice}") from None


@contextmanager
def working_in(run: FinetuneRun, state: PartialState) -> Iterator[None]:
    """Alone in the run's folder.

    Raises:
        RunError: it cannot be written, or another process ends.
    """
    folder = run.output_dir
    advice = "the same call with resume=True (--resume) goes on from the last checkpoint"
    with (
        abort_when_a_peer_fails(state, f"{advice} in {folder}."),
        told_when_unwritable(folder, f"make room or choose another output_dir; {advice}."),
        folder_lock(folder, state, f"training in {folder}", "output_dir"),
        compute.keep_malloc_pages(),
    ):
        if run.told and state.is_main_process:
            print(run.told, flush=True)
        yield


# --- what is left at the end


def save_reader(reader: QuestionAnswerer, run: FinetuneRun) -> None:
    """Write the model in half precision, but for the word embeddings; it is rounded in place.

    Raises:
        RunError: half precision does not hold the weights; nothing is written.
    """
    network, folder = reader.model, run.output_dir
    if network.config._attn_implementation == CPU_ATTENTION:
        network.set_attn_implementation("sdpa")
    state = network.state_dict()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            state[name] = parameter.data.half()
            parameter.data = state[name].float()
    if not all(torch.isfinite(tensor).all() for tensor in state.values()):
        grew = f"weights of the run in {folder} grew beyond all measure in {run.steps} steps"
        raise RunError(f"{grew}; choose a lower learning_rate.")
    network.save_pretrained(folder, state_dict=state)
    reader.tokenizer.save_pretrained(folder)
    share(folder)


def make_card(reader: QuestionAnswerer, run: FinetuneRun, validation: Dataset | None) -> dict:
    """How the model was made, and threshold and scaling by validation questions."""
    made = run.arguments | {"precision": run.precision, "steps": run.steps, "seconds": run.seconds}
    made |= {"machine": runtime.machine_line(), "date": date.today().isoformat()}
    if validation is None:
        note = "no validation questions, so the scores are not calibrated"
        return made | {"threshold": 0.5, "temperature": 1.0, "offset": 0.0, "note": note}
    reader.model.eval()
    return made | fit_calibration(reader, evenly(validation, CARD_QUESTIONS))


def publish(run: FinetuneRun, hub_id: str) -> None:
    """Upload a finished model."""
    try:
        for part in load_model(run.output_dir):
            part.push_to_hub(hub_id)
    except (OSError, ValueError) as error:
        found = f"the model in {run.output_dir} is finished, but could not be uploaded to"
        advice = "log in with `hf auth login`, go online with COURSE_ONLINE=1, and call again"
        raise RunError(f"{found} {hub_id!r} ({first_line(error)}); {advice}.") from None


def evenly(questions: Dataset, most: int) -> Dataset:
    """At most so many of the questions, from the first to the last at even distances."""
    chosen = np.linspace(0, len(questions) - 1, min(most, len(questions))).round()
    return questions.select(chosen.astype(int))
