"""Training a small model for so many minutes: one loop for the dates (notebooks 03, 04) and the topics (03).

run = fit(model, batches, loss_of, minutes=1, score=("accuracy", score), report=LiveCurve("topics"))
save_run(run, "build/runs/03/mine")
load_run("build/runs/03/mine", TextClassifier).model
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from src import runtime

WARM_UP = 0.1  # the learning rate rises for this share of a run
LOGS, SCORES = 100, 10  # entries of a history; how many of them have a score

Model = TypeVar("Model", bound=nn.Module)
Batch = TypeVar("Batch")


@dataclass
class Run:
    """A trained model.

    model: as it is at the end, on the CPU, in eval mode   seconds: from the call to the end, scores included
    history: one dict per log: step, seconds, planned_seconds, loss (mean since the last log), learning_rate, examples_per_second,
    unit, phase; where it was measured also the score, under its name.
    settings: what it was trained with   finished: False after Ctrl-C, which leaves the model as it is then   card: see weights/
    """

    model: nn.Module
    history: list[dict]
    seconds: float
    settings: dict
    finished: bool = True
    card: dict = field(default_factory=dict)


def learning_rate_at(done: float, peak: float) -> float:
    """The learning rate when the share `done` of a run is over: up to `peak` in a straight line, then down to zero along a cosine."""
    if done < WARM_UP:
        return peak * done / WARM_UP
    return peak * (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP)))) / 2


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Without dropout and gradients; afterwards the model is as it was."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def fit(
    model: nn.Module,
    batches: Iterable[Batch],
    loss_of: Callable[[Batch], Tensor],
    minutes: float | None,
    score: tuple[str, Callable[[], float]],
    batch_size: int,
    learning_rate: float,
    clip: float = 1.0,
    seed: int = 0,
    unit: str = "examples",
    report: Callable[[dict], None] | None = None,
    steps: int | None = None,
) -> Run:
    """Train a model in place for so many minutes from the call on, or for so many steps, or until Ctrl-C.

    batches: without end   loss_of: the mean loss of a batch, with gradients
    score: what is measured ten times on the way: its name, and a function without arguments that gives it
    learning_rate: its peak, see `learning_rate_at`   clip: longest gradient; a longer one is scaled down to it
    seed: for dropout   unit: what a batch has `batch_size` of   report: called with every new entry of the history
    Raises ValueError where there is no time at all, or both minutes and steps, and for a loss that is not a number any more.
    """
    if (minutes is None) == (steps is None):
        raise ValueError(f"minutes is {minutes} and steps is {steps}; give one of them, and None for the other.")
    if (minutes if steps is None else steps) <= 0:
        raise ValueError(f"minutes is {minutes}, steps is {steps}; give more than 0 of them.")
    settings = {"minutes": minutes, "steps": steps, "batch_size": batch_size, "learning_rate": learning_rate, "clip": clip, "seed": seed}
    log = _Log(minutes, steps, batch_size, unit, score, report)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01, fused=True)  # fused: one loop over all weights
    model.train()
    finished = True
    # The reader's own random numbers go on as if nothing had been drawn.
    with runtime.one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            for batch in batches:
                if (done := log.done()) >= 1:
                    break
                rate = optimizer.param_groups[0]["lr"] = learning_rate_at(done, learning_rate)
                optimizer.zero_grad()
                loss = loss_of(batch)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                log.add(loss.item(), rate)
        except KeyboardInterrupt:
            finished = False
    log.write("finished" if finished else "stopped", with_score=True)
    return Run(model.eval(), log.history, log.seconds(), settings, finished)


class _Log:
    """Keeps the history of a run, and its clock."""

    def __init__(
        self,
        minutes: float | None,
        steps: int | None,
        batch_size: int,
        unit: str,
        score: tuple[str, Callable[[], float]],
        report: Callable[[dict], None] | None,
    ):
        self.began = time.perf_counter()
        self.minutes, self.steps, self.batch_size, self.unit, self.score, self.report = minutes, steps, batch_size, unit, score, report
        self.history: list[dict] = []
        self.losses: list[float] = []
        self.step = 0

    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def done(self) -> float:
        """The share of the run that is over: of its time, or of its steps where those are given."""
        return self.seconds() / (60 * self.minutes) if self.steps is None else self.step / self.steps

    def planned_seconds(self, seconds: float) -> float | None:
        """How long the run will take as far as one can tell; None before the first step of a run that counts steps."""
        if self.steps is None:
            return 60 * self.minutes
        return seconds * self.steps / self.step if self.step else None

    def add(self, loss: float, rate: float) -> None:
        """Count a step; write an entry if it is time to."""
        self.step += 1
        self.losses.append(loss)
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss} at step {self.step}; train with a learning_rate below {rate:g}.")
        scored = sum(self.score[0] in entry for entry in self.history)
        if self.done() >= len(self.history) / LOGS:
            self.write("training", with_score=self.done() >= (scored + 1) / SCORES, learning_rate=rate)

    def write(self, phase: str, with_score: bool, **more: float) -> None:
        """Add an entry to the history, with the mean loss since the last one."""
        seconds = self.seconds()
        entry: dict[str, Any] = {"step": self.step, "seconds": seconds, "planned_seconds": self.planned_seconds(seconds), **more}
        if self.losses:
            entry["loss"] = sum(self.losses) / len(self.losses)
            self.losses.clear()
        elif self.history:  # it ended with a log: nothing was learned since
            entry["loss"] = self.history[-1]["loss"]
        entry |= {"examples_per_second": self.step * self.batch_size / seconds, "unit": self.unit, "phase": phase}
        if with_score:
            name, measure = self.score
            entry[name] = measure()
        self.history.append(entry)
        if self.report is not None:
            self.report(entry)


# --- keeping a run -------------------------------------------------------------------------------------------------------


def save_run(run: Run, folder: str | Path) -> None:
    """Write a run: `load_run` reads it again. The model must have `settings`, the arguments of its constructor.

    model.safetensors: the weights, half precision.   history.json: the history.   run.json: the model's class and settings and the
    rest.   card.json: the card, if there is one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: weights.half().contiguous() for name, weights in run.model.state_dict().items()}, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)  # safetensors lets only its writer read it
    about = {"finished": run.finished, "model": type(run.model).__name__, "model_settings": run.model.settings}
    about |= {"settings": run.settings, "seconds": run.seconds}
    files = {"history.json": run.history, "run.json": about} | ({"card.json": run.card} if run.card else {})
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_run(folder: str | Path, model_class: type[Model]) -> Run:
    """Read what `save_run` wrote, the weights back in float32.   model_class: the class of the model, such as EncoderDecoder

    Raises FileNotFoundError, naming what is missing, and ValueError where the folder holds a model of another class.
    """
    folder = Path(folder)
    for name in ("run.json", "history.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}; name a folder that save_run wrote, as weights/dates-rnn.")
    about, history = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("run.json", "history.json"))
    if about["model"] != model_class.__name__:
        raise ValueError(f"{folder} holds a model of the class {about['model']}, not {model_class.__name__}.")
    model = model_class(**about["model_settings"])
    model.load_state_dict({name: weights.float() for name, weights in load_file(folder / "model.safetensors").items()})
    card_file = folder / "card.json"
    card = json.loads(card_file.read_text(encoding="utf-8")) if card_file.is_file() else {}
    return Run(model.eval(), history, about["seconds"], about["settings"], about["finished"], card)
