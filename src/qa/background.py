"""Training as a process of its own, so that a notebook's next cells need not wait for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from textwrap import fill

import psutil

from src import runtime
from src.qa.runs import PROGRESS

MARK = "process"  # in a run's folder: the number of the process that trains, or trained, there


class BackgroundRun:
    """A training that runs beside you: ask how far it is, draw its curve, stop it."""

    def __init__(self, output_dir: Path, process_id: int):
        self.output_dir, self.process_id = output_dir, process_id

    @property
    def is_running(self) -> bool:
        """Whether a process of this number is a training: numbers are used again."""
        try:
            process = psutil.Process(self.process_id)
            is_training = {"src.qa", "train"} <= {*process.cmdline()}
            return is_training and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:  # there is none, or it is somebody else's
            return False

    @property
    def progress(self) -> dict:
        """The newest report: step, steps, seconds, planned_seconds, loss, phase, history; or {}.

        Where `output_dir` held a run with other arguments, the training is in a folder beside it.
        """
        for folder in runtime.runs_beside(self.output_dir):
            with suppress(FileNotFoundError):
                told = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
                if told.get("process") == self.process_id:
                    return told
        return {}

    def stop(self, wait: float = 60.0) -> None:
        """Stop after the step under way, saving a usable model; wait for it `wait` seconds."""
        if self.is_running:
            os.kill(self.process_id, signal.SIGINT)
        deadline = time.monotonic() + wait
        while self.is_running and time.monotonic() < deadline:
            time.sleep(0.1)


def train_in_background(output_dir: str | Path, **options: object) -> BackgroundRun:
    """Start `python -m src.qa train` and return at once, or attach to one that is running.

    A run found there goes on where it stopped.

    Args:
        output_dir: folder of the run; what the process prints goes to train.log in it.
        options: those of the command line, such as data="course", minutes=1.
    """
    output_dir = Path(output_dir).resolve()
    output_dir.mkdir(parents=True, exist_ok=True)
    found = find_in_background(output_dir)
    if found and found.is_running:
        return found
    command = [sys.executable, "-m", "src.qa", "train", "--output-dir", str(output_dir), "--resume"]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    with (output_dir / "train.log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=runtime.COURSE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (output_dir / MARK).write_text(str(process.pid))
    return BackgroundRun(output_dir, process.pid)


def find_in_background(output_dir: str | Path) -> BackgroundRun | None:
    """The training that was last started in `output_dir`, running or over, by any Python."""
    output_dir = Path(output_dir).resolve()
    mark = output_dir / MARK
    return BackgroundRun(output_dir, int(mark.read_text())) if mark.is_file() else None


def process_of(script: Path) -> psutil.Process | None:
    """The process that runs this Python file, whoever started it; None where it is over."""
    for process in psutil.process_iter(["cmdline", "status"]):
        told = process.info
        if str(script) in (told["cmdline"] or ()) and told["status"] != psutil.STATUS_ZOMBIE:
            return process
    return None


def print_failure(script: Path) -> None:
    """Print the error with which a script ended whose output is in output.txt beside it, if one."""
    with suppress(FileNotFoundError):
        said = (script.parent / "output.txt").read_text(encoding="utf-8", errors="replace")
        if "Traceback (most recent call last)" in said:
            print(fill(f"It ended early. {said.splitlines()[-1]}", 76))
