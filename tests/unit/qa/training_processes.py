"""A process that forks `finetune` runs for test_training.py: they can be killed at any moment, and start without importing torch again.

Reads a line of JSON, a list of requests; forks a process for each and prints their ids as a list. Reads an empty line; waits for
them (until then no id can come to mean another process) and prints their exit statuses as a list.

A request is an object: options (arguments of `finetune`), output (file for what the process prints, its progress as a line of
JSON each), and where wanted environment (more variables), save_every (steps between checkpoints; without it only the end is
saved), precision (instead of the faster one), machine (what it takes this one for), slow (seconds that every measured step takes
longer; each is printed), kill_at and stop_at (SIGKILL or SIGINT to itself: a name of PLACES, or the number of a step).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from src import runtime

runtime.configure_libraries()

from transformers import BertForQuestionAnswering  # noqa: E402

from src.qa import training  # noqa: E402

assert BertForQuestionAnswering is not None  # imported before forking: transformers loads its models when they are named

# name -> the function before whose call a signal can be asked for, and which of its calls are meant.
PLACES: dict[str, tuple[object, str, Callable[..., bool]]] = {
    "planning": (training, "_measure", lambda *args: True),
    "plan half written": (training, "write_json", lambda path, value: path.name == training.PLAN),
    "checkpoint half written": (training._PlannedTrainer, "_save_optimizer_and_scheduler", lambda *args: True),
    "checkpoint not yet marked": (training._Clock, "on_save", lambda *args: True),
    "model saved, run not": (training, "write_json", lambda path, value: path.name == training.RUN),
    "checkpoints not yet removed": (training.shutil, "rmtree", lambda path, *args: Path(path).name == training.CHECKPOINTS),
}


def signal_myself(number: signal.Signals, at: str | int) -> None:
    """Have this process send itself a signal at a place, or in the middle of its `at`-th step."""
    home, name, is_meant = PLACES[at] if isinstance(at, str) else (training._PlannedTrainer, "compute_loss", lambda *args: True)
    original, calls_left = getattr(home, name), [1 if isinstance(at, str) else at]

    def wrapper(*args, **options):
        if is_meant(*args):
            calls_left[0] -= 1
            if calls_left[0] == 0:
                os.kill(os.getpid(), number)
        return original(*args, **options)

    setattr(home, name, wrapper)


def slow_down(seconds: float) -> None:
    """Make every step of this process that is measured for the plan take longer, and print a line for it."""
    original = training._Stepper._step

    def wrapper(*args):
        print("measured", flush=True)
        time.sleep(seconds)
        return original(*args) + seconds

    training._Stepper._step = wrapper


def train(request: dict) -> int:
    """Runs in the forked process: fine-tunes as asked. Returns its exit status, 2 for a RunError."""
    with open(request["output"], "w", encoding="utf-8") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.update(request.get("environment", {}))
    original = training._training_arguments

    def with_other_intervals(*args):
        found = original(*args)
        found.logging_steps, found.save_steps = 1, request.get("save_every", 10**9)
        return found

    training._training_arguments = with_other_intervals
    if "precision" in request:
        training._precisions = lambda device: [request["precision"]]
    if "machine" in request:
        training._machine = lambda: request["machine"]
    if "slow" in request:
        slow_down(request["slow"])
    for name, number in (("kill_at", signal.SIGKILL), ("stop_at", signal.SIGINT)):
        if name in request:
            signal_myself(number, request[name])
    try:
        training.finetune(**request["options"], report=lambda progress: print(json.dumps(progress), flush=True))
    except training.RunError as error:
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


def main() -> None:
    """Serve requests until the input ends."""
    for line in sys.stdin:
        pids = [fork(request) for request in json.loads(line)]
        print(json.dumps(pids), flush=True)
        sys.stdin.readline()
        print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]), flush=True)


if __name__ == "__main__":
    main()
