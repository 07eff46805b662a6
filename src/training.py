"""Training by the clock: a budget of minutes or steps, the loop for small models, and how a run is kept.

budget = Budget(minutes=4)                    # or steps=1000
while not budget.is_over(step):
    learning_rate = budget.learning_rate(step, peak=3e-4)
    ...                                       # one step
    with budget.paused():                     # scoring and saving stop the clock
        ...

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


class Budget:
    """Minutes, or steps, that a training may take: how much is over, when to stop, and the learning rate on the way.

    By minutes everything follows the clock, so the schedule ends when the time does, however fast the machine is just then.

    Args:
        minutes: wall time from `began` to the last step, pauses left out. None for a run that counts steps.
        steps: how many steps to take. One of the two is None.
        began: when the clock starts, by `time.perf_counter`; None is now.
        spent: seconds that an interrupted run had used before.

    Raises:
        ValueError: both or neither are given, or what is given is not a number above zero.
    """

    def __init__(self, minutes: float | None = None, steps: int | None = None, began: float | None = None, spent: float = 0.0):
        given = minutes if steps is None else steps
        if (minutes is None) == (steps is None) or not 0 < given < math.inf:
            raise ValueError(f"minutes is {minutes} and steps is {steps}; give one of them, above zero, and None for the other.")
        self.minutes, self.steps, self.spent = minutes, steps, spent
        self.began = time.perf_counter() if began is None else began
        self.pauses = 0.0  # seconds
        self.paused_at: float | None = None
        self.last_step = (0, self.seconds)

    @property
    def seconds(self) -> float:
        """Of training so far: wall time without the pauses."""
        now = time.perf_counter() if self.paused_at is None else self.paused_at
        return self.spent + now - self.began - self.pauses

    @property
    def planned_seconds(self) -> float | None:
        """How long the run will take as far as one can tell; None before the first step of a run that counts steps."""
        if self.minutes is not None:
            return 60 * self.minutes
        step, seconds = self.last_step
        return seconds * self.steps / step if step else None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within it the clock stands still: for scoring and saving. It may be nested."""
        if self.paused_at is not None:
            yield
            return
        self.paused_at = time.perf_counter()
        try:
            yield
        finally:
            self.pauses += time.perf_counter() - self.paused_at
            self.paused_at = None

    def done(self, step: int) -> float:
        """The share of the run that is over after `step` steps, in [0, 1]."""
        return min(1.0, step / self.steps if self.minutes is None else self.seconds / (60 * self.minutes))

    def is_over(self, step: int) -> bool:
        """Whether to stop after `step` steps. By minutes: when one more step would end further from the end of the time than this.

        Call it once after every step: how long a step takes is known from the last ones. The first step is always taken.
        """
        if self.minutes is None:
            return step >= self.steps
        before, at = self.last_step
        seconds = self.seconds
        step_seconds = (seconds - at) / (step - before) if before < step else 0.0
        self.last_step = (step, seconds)
        return step > 0 and seconds + step_seconds / 2 >= 60 * self.minutes

    def learning_rate(self, step: int, peak: float) -> float:
        """The learning rate for the step after `step` steps, see `learning_rate_at`."""
        return learning_rate_at(self.done(step), peak)


@dataclass
class Run:
    """A trained model.

    model: as it is at the end, on the CPU, in eval mode   seconds: of training, scoring left out
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
    Scoring and reporting stop the clock. Raises ValueError as `Budget` does, and for a loss that is not a number any more.
    """
    budget = Budget(minutes, steps)
    settings = {"minutes": minutes, "steps": steps, "batch_size": batch_size, "learning_rate": learning_rate, "clip": clip, "seed": seed}
    log = Log(budget, batch_size, unit, score, report)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01, fused=True)  # fused: one loop over all weights
    model.train()
    finished = True
    # The reader's own random numbers go on as if nothing had been drawn.
    with runtime.one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            for batch in batches:
                if budget.is_over(log.step):
                    break
                rate = optimizer.param_groups[0]["lr"] = budget.learning_rate(log.step, learning_rate)
                optimizer.zero_grad()
                loss = loss_of(batch)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                log.add(loss.item(), rate)
        except KeyboardInterrupt:
            finished = False
    log.write("finished" if finished else "stopped", with_score=True)
    return Run(model.eval(), log.history, budget.seconds, settings, finished)


class Log:
    """Keeps the history of a run: a hundred entries, ten of them with a score, which is measured while the clock stands still."""

    def __init__(
        self,
        budget: Budget,
        batch_size: int,
        unit: str,
        score: tuple[str, Callable[[], float]],
        report: Callable[[dict], None] | None,
    ):
        self.budget, self.batch_size, self.unit, self.score, self.report = budget, batch_size, unit, score, report
        self.history: list[dict] = []
        self.losses: list[float] = []
        self.step = 0

    def add(self, loss: float, rate: float) -> None:
        """Count a step; write an entry if it is time to. Raises ValueError for a loss that is not a number any more."""
        self.step += 1
        self.losses.append(loss)
        if not math.isfinite(loss):
            raise ValueError(f"the loss is {loss} at step {self.step}; train with a learning_rate below {rate:g}.")
        scored = sum(self.score[0] in entry for entry in self.history)
        done = self.budget.done(self.step)
        if done >= len(self.history) / LOGS:
            self.write("training", with_score=done >= (scored + 1) / SCORES, learning_rate=rate)

    def write(self, phase: str, with_score: bool, **more: float) -> None:
        """Add an entry to the history, with the mean loss since the last one."""
        with self.budget.paused():
            seconds = self.budget.seconds
            entry: dict[str, Any] = {"step": self.step, "seconds": seconds, "planned_seconds": self.budget.planned_seconds, **more}
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
