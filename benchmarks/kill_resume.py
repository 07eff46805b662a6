"""Kill a training at random moments (kill -9), resume it to the end, and look at what came out.

A run by epochs must end in the weights of a run left alone, equal to the bit in every parameter. A
run by minutes must end in the minutes that were left, with a model that answers. The exit status is
1 when one does not.
"""

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

from src.qa import QuestionAnswerer, clock, finetune, load_run, load_squad

SEED = 0
PASSAGE = "Oxygen is the chemical element with the symbol O and the atomic number 8."


def train(folder: Path, options: argparse.Namespace) -> None:
    """Runs in a process of its own: prints each step and second that it reports."""
    clock.SECONDS_BETWEEN_CHECKPOINTS = options.checkpoint_every
    data = load_squad("course")
    data["train"] = data["train"].select(range(options.questions))
    del data["validation"], data["test"]
    by = {"epochs": options.epochs} if options.by == "epochs" else {"minutes": options.seconds / 60}
    told = finetune(options.model, data, output_dir=folder, report=report, **by)
    print(
        json.dumps({"finished": told.finished, "steps": told.steps, "seconds": told.seconds}),
        flush=True,
    )


def report(progress: dict) -> None:
    print(json.dumps({"step": progress["step"], "seconds": progress["seconds"]}), flush=True)


def start(folder: Path, options: argparse.Namespace) -> subprocess.Popen:
    command = [sys.executable, str(Path(__file__).resolve()), "--child", str(folder)]
    for name in ("by", "model", "seconds", "epochs", "questions", "checkpoint_every"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> list[dict]:
    """What a process printed, once it has ended."""
    lines = process.communicate()[0].splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


def run_to_end(folder: Path, options: argparse.Namespace) -> tuple[list[dict], float]:
    """Train or resume in `folder` until it is finished; returns what it printed, and how long it
    took.
    """
    begun = time.monotonic()
    process = start(folder, options)
    told = finish(process)
    if process.returncode or not told or not told[-1].get("finished"):
        raise SystemExit(
            f"the run in {folder} did not come to its end (exit status {process.returncode})."
        )
    return told, time.monotonic() - begun


def differing(folder: Path, other: Path) -> list[str]:
    """Names of the parameters that are not equal to the bit."""
    first, second = (load_file(run / "model.safetensors") for run in (folder, other))
    return sorted({*first} ^ {*second}) + [
        name for name in first if name in second and not torch.equal(first[name], second[name])
    ]


def trial(
    number: int,
    alone: Path,
    folder: Path,
    latest: float,
    choose: random.Random,
    options: argparse.Namespace,
) -> dict:
    """One kill and one resume; a process that ends before its kill is due is started again, with an
    earlier one.
    """
    while True:
        shutil.rmtree(folder, ignore_errors=True)
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
    resumed, _ = run_to_end(folder, options)
    last = next((line for line in reversed(told) if "step" in line), {"step": None})
    found = {
        "kill": number,
        "after": round(delay, 1),
        "last_step": last["step"],
        "resumed_from": resumed[0]["step"],
    }
    if options.by == "epochs":
        names = differing(folder, alone)
        return found | {
            "good": not names,
            "what": "equal" if not names else f"{len(names)} DIFFERENT",
        }
    seconds = resumed[-1]["seconds"]
    usable = all(
        bool(torch.isfinite(tensor).all())
        for tensor in load_file(folder / "model.safetensors").values()
    )
    answer = QuestionAnswerer.load(folder)("What is the symbol of oxygen?", PASSAGE, threshold=0.0)
    usable = usable and answer.text != "" and load_run(folder).finished
    kept = abs(seconds - options.seconds) <= max(2.0, 0.05 * options.seconds)
    return found | {
        "good": usable and kept,
        "what": f"{seconds:.1f} of {options.seconds:.0f} s, {'usable' if usable else 'NOT USABLE'}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--by", choices=("epochs", "minutes"), default="epochs")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--questions", type=int, default=400, help="of the course's training set")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a run by minutes")
    parser.add_argument(
        "--checkpoint-every", type=float, default=2.0, help="seconds between checkpoints"
    )
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--seed", type=int, default=SEED, help="of the random moments")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        train(options.child, options)
        return 0
    common.announce(f"Kill and resume, by {options.by}", f"{options.questions} of the course set")
    folder = common.RESULTS / f"kill_resume_{options.by}"
    shutil.rmtree(folder, ignore_errors=True)
    told, took = run_to_end(folder / "alone", options)
    print(
        f"left alone: {told[-1]['steps']} steps in {took:.0f} s, from the start of the process to "
        "its end",
        flush=True,
    )
    choose, trials = random.Random(options.seed), []
    for number in range(1, options.kills + 1):
        trials.append(trial(number, folder / "alone", folder / "trial", took, choose, options))
        print(f"kill {number} of {options.kills}: {trials[-1]['what']}", flush=True)
    headings = ("kill", "after s", "last step reported", "resumed from", "outcome")
    rows = [
        tuple(each[name] for name in ("kill", "after", "last_step", "resumed_from", "what"))
        for each in trials
    ]
    common.print_table(f"{options.kills} kills", [headings, *rows])
    good = sum(each["good"] for each in trials)
    print(f"\n{good} of {len(trials)} ended as they should", flush=True)
    common.write(f"kill_resume_{options.by}", {"seconds_alone": took, "trials": trials})
    return 0 if good == len(trials) else 1


if __name__ == "__main__":
    sys.exit(main())
