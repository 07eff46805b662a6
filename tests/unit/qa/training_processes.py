"""A process that forks `finetune` runs for test_killed_training.py, which can be killed.

Reads a line of JSON, a list of requests; forks a process for each and prints their ids as a list.
Reads an empty line; waits for them (until then no id can come to mean another process) and prints
their exit statuses as a list.

A request is an object: options (arguments of `finetune`), output (file for what it prints, its
progress as a line of JSON each), and where wanted environment (more variables), save_every (steps
between checkpoints; without it only the end is saved), kill_at and stop_at (SIGKILL or SIGINT to
itself: a name of PLACES, or the number of a step), nan_at (the number of a step whose loss is not a
number), late (seconds that its clock is behind), checkpoints (seconds between them). Every run
computes in fp32, and logs every step.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from src import compute, runtime

runtime.configure_libraries()

# Loaded before forking: transformers loads its models when they are named.
from transformers import BertForQuestionAnswering  # noqa: E402, F401

from src import training as small_models  # noqa: E402
from src.qa import clock, runs, training  # noqa: E402


def always(*args: object) -> bool:
    return True


def is_record(path: Path, value: dict) -> bool:
    return path.name == runs.RUN


def is_last_record(path: Path, value: dict) -> bool:
    return is_record(path, value) and bool(value["steps"])


def is_checkpoints(path: Path, *args: object) -> bool:
    return Path(path).name == runs.CHECKPOINTS


Trainer = training.ReaderTrainer
# name -> the function before whose call a signal can be asked for, and which calls are meant.
PLACES: dict[str, tuple[object, str, Callable[..., bool]]] = {
    "measuring": (training, "measured", always),
    "record half written": (runs, "write_json", is_record),
    "checkpoint half written": (Trainer, "_save_optimizer_and_scheduler", always),
    "checkpoint not yet marked": (clock, "write_manifest", always),
    "checkpoint perhaps not yet whole": (clock.Clock, "on_save", always),
    "model saved, run not": (runs, "write_json", is_last_record),
    "checkpoints not yet removed": (training.shutil, "rmtree", is_checkpoints),
}


def before_call(home: object, name: str, action: Callable[..., object]) -> None:
    """Have `action` called with the same arguments before each call of a function."""
    original = getattr(home, name)

    def wrapper(*args, **options):
        action(*args)
        return original(*args, **options)

    setattr(home, name, wrapper)


def signal_myself(number: signal.Signals, at: str | int) -> None:
    """Have this process send itself a signal at a place, or in the middle of its `at`-th step."""
    home, name, is_meant = PLACES.get(at, (Trainer, "compute_loss", always))
    calls_left = [1 if isinstance(at, str) else at]

    def action(*args) -> None:
        if is_meant(*args):
            calls_left[0] -= 1
            if calls_left[0] == 0:
                os.kill(os.getpid(), number)

    before_call(home, name, action)


def lose_the_loss(at: int) -> None:
    """Have this process compute a loss that is not a number in its `at`-th step only."""
    step, span_loss = [0], training.span_loss

    def sometimes_nan(model, inputs):
        loss, outputs = span_loss(model, inputs)
        return (loss * float("nan") if step[0] == at else loss), outputs

    training.span_loss = sometimes_nan
    before_call(Trainer, "compute_loss", lambda *args: step.append(step.pop() + 1))


def save_every(steps: int) -> None:
    """Save a checkpoint every so many steps, whatever the clock says."""
    original = clock.Clock.on_step_end

    def on_step_end(self, args, state, control, **more):
        original(self, args, state, control, **more)
        control.should_save = self.stopped or (not self.ends and state.global_step % steps == 0)

    clock.Clock.on_step_end = on_step_end


def train(request: dict) -> int:
    """Fine-tune as asked, in the forked process; returns its exit status, 2 for a RunError."""
    with open(request["output"], "w", encoding="utf-8") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.update(request.get("environment", {}))
    clock.LOGS, clock.SECONDS_BETWEEN_CHECKPOINTS = 10**6, request.get("checkpoints", 1e9)
    late = request.get("late", 0)
    small_models.time = SimpleNamespace(perf_counter=lambda: time.perf_counter() - late)
    compute.faster_precision = lambda *args: "fp32"
    if "save_every" in request:
        save_every(request["save_every"])
    if "nan_at" in request:
        lose_the_loss(request["nan_at"])
    for name, number in (("kill_at", signal.SIGKILL), ("stop_at", signal.SIGINT)):
        if name in request:
            signal_myself(number, request[name])

    def report(progress: dict) -> None:
        print(json.dumps(progress), flush=True)

    try:
        training.finetune(**request["options"], report=report)
    except runs.RunError as error:
        print(error, flush=True)
        return 2
    return 0


def fork(request: dict) -> int:
    """Start a process for the request; returns its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        status = train(request)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    for line in sys.stdin:
        pids = [fork(request) for request in json.loads(line)]
        print(json.dumps(pids), flush=True)
        sys.stdin.readline()
        ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(json.dumps(ended), flush=True)
