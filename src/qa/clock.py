"""The callback that ends a fine-tuning run by the clock, and has it log, score and save."""

from __future__ import annotations

import math
import os
import signal
import threading
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
SECONDS_BETWEEN_CHECKPOINTS = 20.0
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
        self.record = {
            "seconds": 0.0,
            "training": 0.0,
            "pauses": 0.0,
            "evaluating": 0.0,
            "evaluations": 0,
            "logs": 0,
        } | record
        self.share, self.saved_at, self.pause, self.trainer_state = 0.0, None, ExitStack(), None
        self.interrupted = self.ends = self.stopped = False

    def start(self, steps: int | None) -> None:
        """Start the budget, from when `finetune` was called; steps: None for a run by minutes."""
        self.budget = Budget(
            self.run.arguments["minutes"], steps, self.began, self.record["seconds"]
        )

    def learning_rate(self, step: int) -> float:
        """The share of its peak that the learning rate has after `step` steps."""
        return learning_rate_at(self.share if self.budget.minutes else self.budget.done(step), 1.0)

    def on_train_begin(self, args, state, control, **kwargs):
        self.trainer_state, self.share = state, self.budget.done(state.global_step)
        self.set_up = (
            self.budget.seconds - self.record["training"]
        )  # so that seconds - set_up are those of training alone
        self.tell("training")

    def on_step_begin(self, args, state, control, **kwargs):
        self.pause.close()

    def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
        gradient = next(p.grad for p in reversed(list(model.parameters())) if p.grad is not None)
        if (
            not args.fp16 and not torch.isfinite(gradient).all()
        ):  # fp16 leaves out a step that was too large for it
            raise self._not_a_number(state.global_step + 1)

    def _not_a_number(self, step: int) -> RunError:
        return RunError(
            f"the loss is not a number at step {step} of the run in {self.run.output_dir}; "
            "choose a lower learning_rate, or look for what is odd in the model and the data."
        )

    def on_optimizer_step(self, args, state, control, **kwargs):
        step = state.global_step + 1
        own = (
            OVER
            if self.budget.is_over(step)
            else STOPPED
            if self.interrupted
            else self.budget.seconds
        )
        told = agreed(own, self.state)
        self.ends, self.stopped = told >= STOPPED, told == STOPPED
        self.seconds = self.budget.seconds if self.stopped else told
        self.share = (
            self.budget.done(step)
            if self.budget.steps
            else min(1.0, self.seconds / 60 / self.budget.minutes)
        )

    def on_step_end(self, args, state, control, **kwargs):
        due = (
            self.validation is not None
            and not self.stopped
            and self._is_due("evaluations", EVALUATIONS)
        )
        self.saved_at = self.seconds if self.saved_at is None else self.saved_at
        control.should_training_stop |= self.ends
        control.should_evaluate = due
        control.should_log = self._is_due("logs", LOGS) or self.ends or due
        control.should_save = self.stopped or (
            not self.ends and self.seconds - self.saved_at >= SECONDS_BETWEEN_CHECKPOINTS
        )
        if control.should_save:
            self.saved_at = self.seconds
        if self.ends or due or control.should_save:
            self.pause.enter_context(self.budget.paused())

    def _is_due(self, name: str, times: int) -> bool:
        """Whether another of so many moments of the run has come since this was last so."""
        passed, before = int(self.share * times + 1e-9), self.record[name]
        self.record[name] = passed
        return passed > before

    def on_log(self, args, state, control, **kwargs):
        entry = state.log_history[-1]
        if "loss" in entry:  # not the Trainer's own summary at the end
            if not math.isfinite(entry["loss"]):
                raise self._not_a_number(state.global_step)
            entry |= {"seconds": round(self.budget.seconds, 2), "examples_per_second": self.speed}
            self.tell("training")

    def on_save(self, args, state, control, **kwargs):
        # Each writes a file of its own: a checkpoint is whole when all have written.
        self.state.wait_for_everyone()
        if self.state.is_main_process:
            seconds = self.budget.seconds
            record = self.record | {
                "seconds": seconds,
                "training": seconds - self.set_up,
                "pauses": self.pauses,
            }
            write_manifest(Path(args.output_dir) / f"checkpoint-{state.global_step}", record)

    def add_score(self, f1: float, seconds: float) -> None:
        """Keep F1 with the newest entry of the history, and say so once if it keeps falling."""
        self.record["evaluating"] += seconds
        self.trainer_state.log_history[-1]["f1"] = round(f1, 2)
        scores = [entry["f1"] for entry in self.history if "f1" in entry]
        if is_falling(scores) and not is_falling(scores[:-1]):
            print(
                f"F1 on validation questions fell from {max(scores):.1f} to {f1:.1f}: "
                "it may be learning its questions by heart."
            )
        self.tell("training")

    @property
    def history(self) -> list[dict]:
        """The Trainer's log, one entry per log, without its own summary at the end."""
        keep = (
            "step",
            "seconds",
            "loss",
            "learning_rate",
            "grad_norm",
            "examples_per_second",
            "f1",
        )
        return [
            {name: entry[name] for name in keep if name in entry}
            for entry in self.trainer_state.log_history
            if "loss" in entry
        ]

    @property
    def pauses(self) -> float:
        """Seconds that scoring and saving have taken."""
        return self.record["pauses"] + self.budget.pauses

    @property
    def speed(self) -> float:
        """Windows a second of training alone."""
        seconds = self.budget.seconds - self.set_up
        return round(
            self.trainer_state.global_step * self.run.arguments["batch_size"] / max(seconds, 1e-9),
            2,
        )

    def tell(self, phase: str) -> None:
        """Tell the reporter, and whoever looks on from another process, how far the run is."""
        step, share, log = self.trainer_state.global_step, self.share, self.history
        steps = self.budget.steps or (round(step / share) if step and share else None)
        progress = {
            "phase": phase,
            "step": step,
            "steps": steps,
            "planned_seconds": self.budget.planned_seconds,
        }
        progress |= {
            "seconds": self.budget.seconds,
            "saving_seconds": self.pauses - self.record["evaluating"],
        }
        self._tell(progress | {"examples_per_second": self.speed}, log, self.report)

    def tell_again(self) -> None:
        """Tell of a run that was finished before: its end, and with it the whole history."""
        run = self.run
        progress = {
            "phase": "finished",
            "step": run.steps,
            "steps": run.steps,
            "planned_seconds": run.seconds,
        }
        progress |= {
            "seconds": run.seconds,
            "saving_seconds": run.saving_seconds,
            "examples_per_second": run.examples_per_second,
        }
        self._tell(progress, run.history, lambda told: self.report(told | {"history": run.history}))

    def _tell(self, progress: dict, history: list[dict], report: Callable[[dict], None]) -> None:
        last = history[-1] if history else {"loss": None, "learning_rate": 0.0}
        progress |= {name: last[name] for name in ("loss", "learning_rate", "f1") if name in last}
        if self.state.is_main_process:
            write_json(
                self.run.output_dir / PROGRESS,
                progress | {"history": history, "process": os.getpid()},
            )
            report(progress)


def is_falling(scores: list[float]) -> bool:
    """Whether the last two are both well below the best."""
    return len(scores) > 2 and max(scores[-2:]) < max(scores) - OVERFITTING


def agreed(seconds: float, state: PartialState) -> float:
    """One number for all processes: that of the first, or OVER or STOPPED if one says so."""
    if state.num_processes == 1:
        return seconds
    together = torch.tensor(
        seconds if state.is_main_process or seconds >= STOPPED else 0.0,
        dtype=torch.float64,
        device=state.device,
    )
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
