"""Kill a training run at random moments (kill -9), resume it to the end, and compare its weights with those of a run left alone.

Each trial starts in a fresh folder with the recorded plan of the run left alone, so that both follow the same plan. Equal means
equal to the bit, in every parameter. The exit status is 1 when one is not.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import common
import torch
from safetensors.torch import load_file

from src.qa import finetune, training

SEED = 0


def train(folder: Path, model: str, seconds: float, checkpoint_every: float) -> None:
    """Runs in a process of its own: prints the step it begins with, and its last one."""
    training.SECONDS_BETWEEN_CHECKPOINTS = checkpoint_every
    run = finetune(
        model,
        "course",
        minutes=seconds / 60,
        output_dir=folder,
        report=lambda progress: print(json.dumps({"step": progress["step"]}), flush=True),
    )
    print(json.dumps({"finished": run.finished, "steps": run.steps}), flush=True)


def start(folder: Path, options: argparse.Namespace) -> subprocess.Popen:
    command = [sys.executable, str(Path(__file__).resolve()), "--child", str(folder), "--model", options.model]
    command += ["--seconds", str(options.seconds), "--checkpoint-every", str(options.checkpoint_every)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> list[dict]:
    """What a process printed, once it has ended."""
    lines = process.communicate()[0].splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def run_to_end(folder: Path, options: argparse.Namespace) -> tuple[int, float]:
    """Train or resume in `folder` until it is finished; returns the step it began with, and how long it took."""
    begun = time.monotonic()
    process = start(folder, options)
    told = finish(process)
    if process.returncode or not told or not told[-1].get("finished"):
        raise SystemExit(f"the run in {folder} did not come to its end (exit status {process.returncode}).")
    return told[0].get("step", told[-1].get("steps")), time.monotonic() - begun


def differing(folder: Path, other: Path) -> list[str]:
    """Names of the parameters that are not equal to the bit."""
    first, second = (load_file(run / "model.safetensors") for run in (folder, other))
    return sorted({*first} ^ {*second}) + [name for name in first if name in second and not torch.equal(first[name], second[name])]


def trial(number: int, alone: Path, folder: Path, latest: float, choose: random.Random, options: argparse.Namespace) -> dict:
    """One kill and one resume; a process that ends before its kill is due is started again, with an earlier one."""
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in (training.PLAN, training.ORDER):
            shutil.copy(alone / name, folder)
        process = start(folder, options)
        delay = choose.uniform(0, latest)
        try:
            process.wait(timeout=delay)
            latest *= 0.9
            finish(process)
            continue
        except subprocess.TimeoutExpired:
            process.kill()
        told = finish(process)
        break
    steps = [line["step"] for line in told if "step" in line]
    resumed_from, _ = run_to_end(folder, options)
    names = differing(folder, alone)
    return {
        "kill": number,
        "after_seconds": round(delay, 1),
        "last_step_reported": steps[-1] if steps else None,
        "resumed_from": resumed_from,
        "differing_parameters": len(names),
        "equal": not names,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0, help="what the run is planned for")
    parser.add_argument("--checkpoint-every", type=float, default=4.0, help="seconds between checkpoints")
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--seed", type=int, default=SEED, help="of the random moments")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        train(options.child, options.model, options.seconds, options.checkpoint_every)
        return 0
    common.announce("Kill and resume", "the course set")
    folder = common.RESULTS / "kill_resume"
    shutil.rmtree(folder, ignore_errors=True)
    _, took = run_to_end(folder / "alone", options)
    plan = training.load_run(folder / "alone").plan
    print(f"left alone: {plan.steps} steps in {took:.0f} s, from the start of the process to its end", flush=True)
    choose, trials = random.Random(options.seed), []
    for number in range(1, options.kills + 1):
        trials.append(trial(number, folder / "alone", folder / "trial", took, choose, options))
        print(f"kill {number} of {options.kills}: {'equal' if trials[-1]['equal'] else 'DIFFERENT'}", flush=True)
    headings = ("kill", "after s", "last step reported", "resumed from", "weights")
    rows = [
        (t["kill"], t["after_seconds"], t["last_step_reported"], t["resumed_from"], "equal" if t["equal"] else "DIFFERENT") for t in trials
    ]
    common.print_table(f"{options.kills} kills of a run of {plan.steps} steps", [headings, *rows])
    equal = sum(t["equal"] for t in trials)
    print(f"\n{equal} of {len(trials)} end in the weights of the run left alone, to the bit")
    common.write("kill_resume", {"steps": plan.steps, "precision": plan.precision, "seconds_alone": took, "trials": trials})
    return 0 if equal == len(trials) else 1


if __name__ == "__main__":
    sys.exit(main())
