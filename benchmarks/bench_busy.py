"""A training on a machine that does something else, too: speed, minutes kept, and F1, alone and
beside busy processes.

Each row is a run of `finetune` in a process of its own: alone, beside one and beside two processes
that keep a core busy, and two trainings side by side. F1 is that of the development articles, after
a longer training from plain MiniLM on the training articles.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import common
from datasets import DatasetDict

from src.qa import QuestionAnswerer, evaluate, finetune

BUSY = "while True: pass"
CONDITIONS = ("idle", "one busy process", "two busy processes", "two trainings")


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Within it `count` processes compute without a pause."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def child(options: argparse.Namespace) -> None:
    """One run, in a process of its own; prints what it was like as the last line."""
    questions = common.load_questions()
    shutil.rmtree(options.child, ignore_errors=True)
    start = time.perf_counter()
    run = finetune(
        "minilm",
        DatasetDict(train=questions.train),
        options.minutes,
        options.child,
        seed=options.seed,
    )
    told = {
        "asked": 60 * options.minutes,
        "seconds": run.seconds,
        "steps": run.steps,
        "examples_per_second": run.examples_per_second,
    }
    told |= {"saving_seconds": run.saving_seconds, "wall": time.perf_counter() - start}
    told["training_megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if options.score:
        scores = evaluate(
            QuestionAnswerer.load(options.child, threshold=0.0), questions.development
        )
        told |= {
            "f1": scores["f1"],
            "exact_match": scores["exact_match"],
            "evaluation_seconds": scores["seconds"],
        }
        told["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(told), flush=True)


def measure(name: str, minutes: float, score: bool, seed: int) -> list[dict]:
    """The runs of a condition; of two trainings side by side, both."""
    trainings = 2 if name == "two trainings" else 1
    with busy_processes(CONDITIONS.index(name) if trainings == 1 else 0):
        processes = []
        for number in range(trainings):
            folder = common.RESULTS / "busy" / f"{name.replace(' ', '-')}-{number}"
            command = [sys.executable, str(Path(__file__).resolve()), "--child", str(folder)]
            command += [
                "--minutes",
                str(minutes),
                "--seed",
                str(seed),
                *(["--score"] if score else []),
            ]
            processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"a training did not come to its end ({name}).")
    return [{"condition": name} | json.loads(output.splitlines()[-1]) for output in outputs]


def kept(run: dict) -> bool:
    """Whether a run kept its minutes within 5 %, or two seconds."""
    return abs(run["seconds"] - run["asked"]) <= max(2.0, 0.05 * run["asked"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=0.75, help="of each run for the speeds")
    parser.add_argument(
        "--rounds", type=int, default=1, help="of all conditions; 0 leaves the speeds out"
    )
    parser.add_argument(
        "--f1-minutes", type=float, default=4.0, help="of the longer trainings; 0 leaves them out"
    )
    parser.add_argument(
        "--f1-only",
        choices=CONDITIONS[:2],
        nargs="*",
        default=CONDITIONS[:2],
        help="where to take the longer trainings",
    )
    parser.add_argument("--score", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    common.announce("Training on a busy machine", common.load_questions().source)
    runs: list[dict] = []
    for seed in range(options.rounds):
        for name in CONDITIONS:
            for run in measure(name, options.minutes, score=False, seed=seed):
                runs.append(run)
                print(json.dumps(run), flush=True)
    if options.f1_minutes:
        for name in options.f1_only:
            runs += measure(name, options.f1_minutes, score=True, seed=options.seed)
            print(json.dumps(runs[-1]), flush=True)
    headings = ("", "asked, s", "took, s", "examples/s", "F1", "MB")
    columns = ("condition", "asked", "seconds", "examples_per_second", "f1", "training_megabytes")
    common.print_table(
        "Trainings", [headings, *([run.get(name, "") for name in columns] for run in runs)]
    )
    print(
        f"\n{sum(map(kept, runs))} of {len(runs)} kept their minutes within 5 %, or 2 s", flush=True
    )
    common.write("busy", {"runs": runs})


if __name__ == "__main__":
    main()
