"""The callback that ends a fine-tuning run by the clock, and has it log, score and save."""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from accelerate import PartialState
from datasets import Dataset
from transformers import TrainerCallback

from src import runtime
from src.files import write_json
from src.qa.processes import RunError, broadcast
from src.qa.runs import PROGRESS, FinetuneRun, latest_checkpoint, write_manifest
from src.training import Budget, learning_rate_at

LOGS, EVALUATIONS = 60, 4  # in a run
SECONDS_BETWEEN_CHECKPOINTS = 20.0  # at least, and so many that saving takes
SAVING = 0.05  # of the training at most
OVERFITTING = 2.0  # points of F1 below the best, twice in a row
STOPPED, OVER = 1e12, 2e12  # seconds that stand for Ctrl-C, and for the end of the budget


class Clock(TrainerCallback):
    """Ends a run when its time is over; it logs, scores and saves, which stops the clock.

    Several processes agree on one number a step: the seconds by the clock of the first.
    """

    def __init__(
        self,
        run: FinetuneRun,
        began: float,
        validation: Dataset | None,
        report: Callable | None,
        state: PartialState,
    ):
        self.run, self.began, self.validation, self.state = run, began, validation, state
        self.report = report or runtime.print_progress()
        self.checkpoint, record = broadcast(latest_checkpoint(run), state)
        # Kept with every checkpoint; `share` is how much of the run is over.
        self.record = {"seconds": 0.0, "share": 0.0, "history": []} | record
        self.history = self.record["history"]
        self.share, self.scoring, self.pause = 0.0, 0.0, ExitStack()
        self.between = SECONDS_BETWEEN_CHECKPOINTS
        self.interrupted = self.ends = self.stopped = False

    def start(self, steps: int | None) -> None:
        """Start the budget, from when `finetune` was called; steps: None for a run by minutes."""
        minutes = self.run.arguments["minutes"]
        self.budget = Budget(minutes, steps, self.began, self.record["seconds"])

    def learning_rate(self, step: int) -> float:
        """The share of its peak that the learning rate has after `step` steps."""
        return learning_rate_at(self.share if self.budget.minutes else self.budget.done(step), 1.0)

    def on_train_begin(self, args, state, control, **kwargs):
        self.step = self.first_step = state.global_step
        self.save_began = self._not_scoring()
        self.set_up, self.saved_at = self.budget.seconds, None
        self.share = self.budget.done(self.step)
        self.tell("training")

    def on_step_begin(self, args, state, control, **kwargs):
        self.pause.close()

    def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
        gradient = next(p.grad for p in reversed(list(model.parameters())) if p.grad is not None)
        # In fp16 a step that was too large is left out.
        if not args.fp16 and not torch.isfinite(gradient).all():
            raise self._not_a_number(state.global_step + 1)

    def _not_a_number(self, step: int) -> RunError:
        return RunError(
            f"the loss is not a number at step {step} of the run in {self.run.output_dir}; "
            "choose a lower learning_rate, or look for what is odd in the model and the data."
        )

    def on_optimizer_step(self, args, state, control, **kwargs):
        self.step = state.global_step + 1
        seconds = STOPPED if self.interrupted else self.budget.seconds
        told = agreed(OVER if self.budget.is_over(self.step) else seconds, self.state)
        self.ends, self.stopped = told >= STOPPED, told == STOPPED
        self.seconds = self.budget.seconds if self.stopped else told
        minutes = self.budget.minutes
        over = self.seconds / 60 / minutes if minutes else self.budget.done(self.step)
        self.share = min(1.0, over)

    def on_step_end(self, args, state, control, **kwargs):
        score = self.validation is not None and not self.stopped and self._is_due(EVALUATIONS)
        if self.saved_at is None:  # agreed, unlike what each process's clock said at the start
            self.saved_at = self.seconds
        since = self.seconds - self.saved_at
        save = self.stopped or (not self.ends and since >= self.between)
        control.should_training_stop |= self.ends
        control.should_log = self._is_due(LOGS) or self.ends or score
        control.should_evaluate, control.should_save = score, save
        if save:
            self.saved_at, self.save_began = self.seconds, self._not_scoring()
        if self.ends or score or save:
            self.pause.enter_context(self.budget.paused())
        if not self.stopped:  # what it leaves out is due when the run goes on
            self.record["share"] = self.share

    def _is_due(self, times: int) -> bool:
        """Whether another of so many moments of the run has come with this step."""
        return int(self.share * times + 1e-9) > int(self.record["share"] * times + 1e-9)

    def on_log(self, args, state, control, logs, **kwargs):
        if "loss" not in logs:  # the Trainer's own summary at the end
            return
        if not math.isfinite(logs["loss"]):
            raise self._not_a_number(self.step)
        entry = {"step": self.step, "seconds": round(self.budget.seconds, 2), "loss": logs["loss"]}
        entry |= {"learning_rate": logs["learning_rate"], "examples_per_second": self.speed}
        self.history.append(entry)
        self.tell("training")

    def on_save(self, args, state, control, **kwargs):
        # Each writes a file of its own: a checkpoint is whole when all have written.
        self.state.wait_for_everyone()
        if self.state.is_main_process:
            record = self.record | {"seconds": self.budget.seconds}
            write_manifest(Path(args.output_dir) / f"checkpoint-{self.step}", record)
        took = broadcast(self._not_scoring() - self.save_began, self.state)
        self.between = max(SECONDS_BETWEEN_CHECKPOINTS, took / SAVING)

    def _not_scoring(self) -> float:
        """A clock that stands still while questions are scored."""
        return time.perf_counter() - self.scoring

    def add_score(self, f1: float, seconds: float) -> None:
        """Keep F1 with the newest entry of the history, and say so once if it keeps falling."""
        self.scoring += seconds
        self.history[-1]["f1"] = round(f1, 2)
        scores = [entry["f1"] for entry in self.history if "f1" in entry]
        if is_falling(scores) and not is_falling(scores[:-1]):
            fell = f"F1 fell from {max(scores):.1f} to {f1:.1f} on validation questions"
            print(f"{fell}:\nit may be learning its questions by heart.")
        self.tell("training")

    @property
    def speed(self) -> float:
        """Windows a second since this call began to train."""
        windows = (self.step - self.first_step) * self.run.arguments["batch_size"]
        return round(windows / max(self.budget.seconds - self.set_up, 1e-9), 2)

    def tell(self, phase: str) -> None:
        """Tell the reporter, and whoever looks on from another process, how far the run is."""
        steps = self.budget.steps
        if not steps and self.step and self.share:
            steps = round(self.step / self.share)
        progress = {"phase": phase, "step": self.step, "steps": steps}
        progress |= {"seconds": self.budget.seconds, "planned_seconds": self.budget.planned_seconds}
        self._tell(progress | {"examples_per_second": self.speed}, self.history)

    def tell_again(self) -> None:
        """Tell of a run that was finished before."""
        run = self.run
        progress = {"phase": "finished", "step": run.steps, "steps": run.steps}
        progress |= {"seconds": run.seconds, "planned_seconds": run.seconds}
        self._tell(progress | {"examples_per_second": run.examples_per_second}, run.history)

    def _tell(self, progress: dict, history: list[dict]) -> None:
        if not self.state.is_main_process:
            return
        last = history[-1] if history else {"loss": None, "learning_rate": 0.0}
        progress |= {name: last[name] for name in ("loss", "learning_rate", "f1") if name in last}
        progress |= {"history": history, "process": os.getpid()}
        write_json(self.run.output_dir / PROGRESS, progress)
        self.report(progress)


def is_falling(scores: list[float]) -> bool:
    """Whether the last two are both well below the best."""
    return len(scores) > 2 and max(scores[-2:]) < max(scores) - OVERFITTING


def agreed(seconds: float, state: PartialState) -> float:
    """One number for all processes: that of the first, or OVER or STOPPED if one says so."""
    if state.num_processes == 1:
        return seconds
    own = seconds if state.is_main_process or seconds >= STOPPED else 0.0
    together = torch.tensor(own, dtype=torch.float64, device=state.device)
    torch.distributed.all_reduce(together, op=torch.distributed.ReduceOp.MAX)
    return together.item()


@contextmanager
def stopped_by_ctrl_c(clock: Clock) -> Iterator[None]:
    """Ctrl-C, or a notebook's stop button, ends the run after this step; a second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number, frame):
        if clock.interrupted:
            raise KeyboardInterrupt
        clock.interrupted = True

    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
