"""Training by the clock: a budget of minutes or steps, a loop for small models, and saved runs.

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

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from src import compute
from src.files import WRITE_AGAIN, json_bytes, make_folder, read_json, write_together, writing

WARM_UP = 0.1  # the learning rate rises for this share of a run
LONGEST_GRADIENT = 1.0  # a longer one is scaled down to this length
LOGS, SCORES = 100, 10  # entries of a history; how many of them have a score
LOWER = "train with a lower learning_rate"  # advice
MODEL, HISTORY, CARD, RUN = "model.safetensors", "history.json", "card.json", "run.json"

Model = TypeVar("Model", bound=nn.Module)
Batch = TypeVar("Batch")
NamedScore = tuple[str, Callable[[], float]]  # its name in the history, and what measures it
Report = Callable[[dict], None]  # called with every new entry of a history


class Budget:
    """Minutes, or steps, that a training may take.

    By minutes everything follows the clock: the learning rate is zero and the
    training stops when the time is over, however fast the machine is by then.

    Args:
        minutes: wall time from `began` to the last step, without pauses.
        steps: instead of minutes: how many to take, or passes over a text. What
            is counted here is the `step` of all methods.
        began: when the clock starts, by `time.perf_counter`; None is now.
        spent: seconds that an interrupted run had used before.

    Raises:
        ValueError: both or neither are given, or not a number above zero.
    """

    def __init__(
        self,
        minutes: float | None = None,
        steps: float | None = None,
        began: float | None = None,
        spent: float = 0.0,
    ):
        given = steps if minutes is None else minutes
        if None not in (minutes, steps) or not 0 < (given or 0) < math.inf:
            found = f"minutes is {minutes} and steps is {steps}"
            raise ValueError(f"{found}; give one of them, a number above zero.")
        self.minutes, self.steps, self.spent = minutes, steps, spent
        self.began = time.perf_counter() if began is None else began
        self.pauses = 0.0  # seconds
        self.paused_at: float | None = None
        self.asked: tuple[float, float] | None = None  # step, seconds: is_over?
        self.step_seconds = 0.0  # of the last step

    @property
    def seconds(self) -> float:
        """Of training so far: wall time without the pauses."""
        now = self.paused_at
        if now is None:
            now = time.perf_counter()
        return self.spent + now - self.began - self.pauses

    @property
    def planned_seconds(self) -> float | None:
        """How long the run will take; None before a run that counts steps has taken one."""
        if self.minutes is not None:
            return 60 * self.minutes
        step, seconds = self.asked or (0, 0.0)
        return seconds * self.steps / step if step else None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within it the clock stands still. It can be nested."""
        if self.paused_at is not None:
            yield
            return
        self.paused_at = time.perf_counter()
        try:
            yield
        finally:
            self.pauses += time.perf_counter() - self.paused_at
            self.paused_at = None

    def done(self, step: float) -> float:
        """The share of the run that is over after `step` steps, 0 to 1."""
        if self.minutes is None:
            return min(1.0, step / self.steps)
        return min(1.0, self.seconds / (60 * self.minutes))

    def is_over(self, step: float) -> bool:
        """Whether to stop after `step` steps. Ask once before every step.

        By minutes: where one more step, as long as the last one, would end
        further from the end of the time than now. One step is always taken.
        """
        seconds = self.seconds
        if self.asked is not None and step > self.asked[0]:
            self.step_seconds = seconds - self.asked[1]
        self.asked = (step, seconds)
        if self.minutes is None:
            return step >= self.steps
        halfway_through_the_next = seconds + self.step_seconds / 2
        return step > 0 and halfway_through_the_next >= 60 * self.minutes

    def learning_rate(self, step: float, peak: float) -> float:
        """The learning rate of the next step; see `learning_rate_at`."""
        return learning_rate_at(self.done(step), peak)


def learning_rate_at(done: float, peak: float) -> float:
    """The learning rate when a share `done` of a run is over, 0 to 1.

    It rises to `peak` in a straight line, then falls to zero along a cosine.
    """
    if done < WARM_UP:
        return peak * done / WARM_UP
    falling = min(1.0, (done - WARM_UP) / (1 - WARM_UP))
    return peak * (1 + math.cos(math.pi * falling)) / 2


@dataclass
class Run:
    """A trained model.

    Attributes:
        model: as it is at the end, in eval mode.
        history: one dict per entry of `Log`.
        seconds: of training, scoring left out.
        settings: what it was trained with.
        finished: False after Ctrl-C, which leaves the model as it is then.
        card: see weights/.
    """

    model: nn.Module
    history: list[dict]
    seconds: float
    settings: dict
    finished: bool
    card: dict = field(default_factory=dict)


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
    score: NamedScore,
    batch_size: int,
    learning_rate: float,
    seed: int = 0,
    unit: str = "examples",
    report: Report | None = None,
    steps: int | None = None,
    folder: str | Path | None = None,
) -> Run:
    """Train a model in place, by minutes or by steps, or until Ctrl-C.

    Args:
        batches: without end.
        loss_of: the mean loss of a batch, with gradients.
        minutes: wall time from the call to the last step; scoring and reporting stop the clock.
        score: what is measured ten times on the way: its name, and a function that measures it.
        batch_size: how many `unit` a batch has.
        learning_rate: its peak; see `learning_rate_at`.
        seed: for dropout.
        unit: what is learned from, in the plural.
        report: called with every new entry of the history.
        steps: how many to take, instead of minutes.
        folder: where to save the run, if at all; see `save_run`.

    Raises:
        ValueError: `Budget` refuses, the batches end, or the loss or a weight is not a number any
            more; then nothing is saved.
        OSError: `folder` cannot be written.
    """
    budget = Budget(minutes, steps)
    if folder is not None:
        make_folder(folder)
    settings = {"minutes": minutes, "steps": steps, "batch_size": batch_size}
    settings |= {"learning_rate": learning_rate, "clip": LONGEST_GRADIENT, "seed": seed}

    def speed(step: float, seconds: float) -> dict:
        return {"examples_per_second": step * batch_size / seconds, "unit": unit}

    log = Log(budget, learning_rate, speed, score, report)
    # The reader's own random numbers stay as they are.
    with compute.one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        take_steps(model, batches, loss_of, log)
    run = Run(model, log.history, budget.seconds, settings, log.finished)
    if folder is not None:
        save_run(run, folder)
    return run


def take_steps(
    model: nn.Module,
    batches: Iterable[Batch],
    loss_of: Callable[[Batch], Tensor],
    log: Log,
) -> None:
    """The loop of `fit`: step after step until the budget is spent.

    Ctrl-C ends it early, which leaves the model as it is then.
    """
    budget, weights = log.budget, list(model.parameters())
    optimizer = torch.optim.AdamW(weights, weight_decay=0.01, fused=True)
    model.train()
    try:
        for batch in batches:
            if budget.is_over(log.step):
                break
            rate = budget.learning_rate(log.step, peak=log.peak)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            loss = loss_of(batch)
            loss.backward()
            nn.utils.clip_grad_norm_(weights, LONGEST_GRADIENT)
            optimizer.step()
            log.add(loss.item(), rate)
        else:
            raise ValueError(f"the batches ended after step {log.step}.")
        check_numbers(dict(model.named_parameters()), "the model", LOWER)
        log.write("finished")
    except KeyboardInterrupt:
        log.write("stopped")
    model.eval()


class Log:
    """Keeps the history of a run: a hundred entries, ten of them with a score.

    An entry has step, seconds, planned_seconds, loss (the mean since the last one),
    learning_rate, phase, and a score under its name. Scoring and reporting stop the clock.

    Args:
        budget: of the run.
        peak: of the learning rate, for advice.
        speed: called with how far the run is, as the budget counts, and its seconds; what it
            returns goes into every entry.
        score: what to measure, if anything.
        report: called with every new entry.
    """

    def __init__(
        self,
        budget: Budget,
        peak: float,
        speed: Callable[[float, float], dict],
        score: NamedScore | None = None,
        report: Report | None = None,
    ):
        if not 0 < peak < math.inf:
            raise ValueError(f"the learning_rate is {peak}; it must be a number above zero.")
        self.budget, self.peak, self.speed = budget, peak, speed
        self.score, self.report = score, report
        self.history: list[dict] = []
        self.step = 0
        self.passes: float | None = None  # over a text, where the budget counts these
        self.loss_sum = self.weight_sum = 0.0  # since the last entry
        self.loss: float | None = None  # of the last entry
        self.next_entry, self.next_score = 0.0, 1 / SCORES  # shares of the run

    @property
    def finished(self) -> bool:
        """Whether the last entry says so."""
        return bool(self.history) and self.history[-1]["phase"] == "finished"

    def add(self, loss: float, learning_rate: float, weight: float = 1) -> None:
        """Count a step; write an entry if it is time to.

        `weight` is how many examples `loss` is the mean of, where steps differ in that.

        Raises:
            ValueError: the loss is not a number any more.
        """
        self.step += 1
        if not math.isfinite(loss):
            advice = f"train with a learning_rate below {self.peak:g}"
            if self.step == 1:  # nothing has been learned yet
                advice = "look for NaN in the model and in the batch"
            raise ValueError(f"the loss is {loss} at step {self.step}; {advice}.")
        self.loss_sum += weight * loss
        self.weight_sum += weight
        done = self.budget.done(self._position)
        if self.weight_sum and done >= self.next_entry:
            scored = done >= self.next_score
            self.write("training", with_score=scored, learning_rate=learning_rate)

    def write(self, phase: str, with_score: bool = True, **more: float) -> None:
        """Add an entry to the history, with the mean loss since the last one."""
        with self.budget.paused():
            seconds, position = self.budget.seconds, self._position
            entry: dict[str, Any] = {"step": self.step, "seconds": seconds}
            entry |= {"planned_seconds": self.budget.planned_seconds, **more}
            if self.weight_sum:  # else nothing was learned since
                self.loss = self.loss_sum / self.weight_sum
            entry["loss"] = self.loss
            entry |= self.speed(position, seconds) | {"phase": phase}
            done = self.budget.done(position)
            if with_score and self.score is not None:
                name, measure = self.score
                entry[name] = measure()
                self.next_score = (math.floor(done * SCORES + 1e-9) + 1) / SCORES
            self.next_entry = (math.floor(done * LOGS + 1e-9) + 1) / LOGS
            self.loss_sum = self.weight_sum = 0.0
            self.history.append(entry)
            if self.report is not None:
                self.report(entry)

    @property
    def _position(self) -> float:
        """How far the run is, as the budget counts."""
        return self.step if self.passes is None else self.passes


# --- keeping a run


def save_run(run: Run, folder: str | Path, others: Mapping[str, bytes] | None = None) -> None:
    """Write a run, whole or not at all; `load_run` reads it. For `others` see `write_run`.

    Its model must have `settings`, the arguments of its constructor.
    """
    about = {"finished": run.finished, "settings": run.settings, "seconds": run.seconds}
    about |= {"model": type(run.model).__name__, "model_settings": run.model.settings}
    write_run(folder, run.model.state_dict(), about, run.history, run.card, others)


def load_run(folder: str | Path, model_class: type[Model]) -> Run:
    """Read what `save_run` wrote: the run, its model in float32 and eval mode.

    Raises:
        FileNotFoundError: as `read_run`.
        ValueError: as `read_run`; or the model is of another class, or its settings or weights do
            not fit.
    """
    folder, name = Path(folder), model_class.__name__
    weights, about, history, card = read_run(folder, ("model", "model_settings"))
    if about["model"] != name:
        raise ValueError(f"{folder} holds a model of the class {about['model']}, not {name}.")
    try:
        model = model_class(**about["model_settings"])
        model.load_state_dict(weights)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n")[:2][-1].strip()  # of several the first
        found = f"no {name} can be made of {folder / RUN} and {MODEL} ({reason})"
        raise ValueError(f"{found}; {WRITE_AGAIN}.") from None
    return Run(model.eval(), history, about["seconds"], about["settings"], about["finished"], card)


def write_run(
    folder: str | Path,
    weights: Mapping[str, Tensor],
    about: Mapping[str, Any],
    history: list[dict],
    card: Mapping[str, Any] | None = None,
    others: Mapping[str, bytes] | None = None,
) -> None:
    """Write the files of a run, all or none, over those of an older run; `read_run` reads them.

    Args:
        folder: made where there is none.
        weights: by name; stored in half precision.
        about: for run.json: finished, seconds, settings, and what else is known.
        history, card: for the files of that name; without a card there is none.
        others: contents of further files, by name.

    Raises:
        ValueError: a weight is not a number, or too large for half precision; nothing is written.
        OSError: it cannot be written, in one sentence.
    """
    halves = {}
    for name, w in weights.items():
        halves[name] = (w.half() if w.is_floating_point() else w).detach().cpu().contiguous()
    check_numbers(halves, "the model in half precision", f"nothing was saved; {LOWER}")
    # Not by safetensors' own `save_file`: its files can be read by nobody but their owner.
    content = {MODEL: safetensors.torch.save(halves, metadata={"format": "pt"})}
    content |= {**(others or {}), HISTORY: json_bytes(history)}
    content |= {CARD: json_bytes(card) if card else None, RUN: json_bytes(about)}
    folder = make_folder(folder)
    with writing(folder):
        write_together({folder / name: written for name, written in content.items()})


def read_run(
    folder: Path, fields: Iterable[str] = ()
) -> tuple[dict[str, Tensor], dict, list[dict], dict]:
    """Read what `write_run` wrote; run.json must say `fields`, too.

    Returns:
        The weights in float32, and what run.json, history.json and card.json say.

    Raises:
        FileNotFoundError: a file is missing, by name.
        ValueError: a file is damaged, or a weight is not a number; one sentence, with the file.
    """
    for name in (RUN, HISTORY, MODEL):
        if not (folder / name).is_file():
            advice = "name a folder with a saved run, such as weights/dates-rnn"
            raise FileNotFoundError(f"{folder} holds no {name}; {advice}.")
    about = read_json(folder / RUN, dict)
    missing = [name for name in ("finished", "seconds", "settings", *fields) if name not in about]
    if missing:
        advice = "name a folder with another run, or write this one again"
        raise ValueError(f"{folder / RUN} does not say {', '.join(missing)}; {advice}.")
    try:
        weights = safetensors.torch.load_file(folder / MODEL)
    except SafetensorError as error:
        raise ValueError(f"{folder / MODEL} is damaged ({error}); {WRITE_AGAIN}.") from None
    check_numbers(weights, str(folder / MODEL), WRITE_AGAIN)
    weights = {name: w.float() if w.is_floating_point() else w for name, w in weights.items()}
    history = read_json(folder / HISTORY, list)
    card = read_json(folder / CARD, dict) if (folder / CARD).is_file() else {}
    return weights, about, history, card


def check_numbers(weights: Mapping[str, Tensor], where: str, advice: str) -> None:
    """Raise ValueError, with the name of the first, where weights are NaN or infinite."""
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} in {where} holds NaN or infinite numbers; {advice}.")
