"""Check on a GPU, in eight minutes at most, what the tests can only check on a CPU.

    python tools/gpu_check.py [--cpu] [--output build/gpu_check.json]

--cpu tries the script itself: on the CPU, with a tiny BERT, fp32 for fp16. The exit status is 1
where a check failed, 2 where there is no GPU.
"""

import argparse
import os
import re
import signal
import sys
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

import torch
from datasets import DatasetDict
from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering

from src import assets
from src.files import write_json
from src.qa import QuestionAnswerer, evaluate, load_squad, training
from src.qa.rows import dataset_of

NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
LATE, LEAST = 0.1, 2.0  # of the planned seconds; seconds that are allowed anyway
EQUAL, F1_APART = 98, 0.5  # percent at least; points at most
FILLED = 0.75  # of a GPU by docs/colab_t4.md: the rest is for what its formulas leave out
BASE = "BERT-base"
# Model to fine-tune, None for a random BERT; how that differs from BERT-base; seconds of training;
# questions to learn from, and to answer; more for `finetune`.
T4 = dict(model="minilm", bert={}, seconds=30, learned=2000, asked=500, options={"batch_size": 32})
BERT = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
OPTIONS = dict(batch_size=8, max_length=128, doc_stride=32, learning_rate=3e-3)
TINY = dict(model=None, bert=BERT, seconds=5, learned=60, asked=40, options=OPTIONS)


def train(sizes: dict, folder: Path, precision: str | None = None, stop_at: float = 1e9) -> dict:
    """Fine-tune, in this precision or one that it chooses; press Ctrl-C after `stop_at` s."""
    course, cuda = load_squad("course"), torch.cuda.is_available()
    learned, scored = course["train"].take(sizes["learned"]), course["validation"].take(50)
    model, steps, stops = sizes["model"], [], [stop_at]
    if folder.name == BASE:  # with so much text behind that windows are full
        behind = " ".join(dict.fromkeys(learned["context"]))[:8000]
        rows = [row | {"context": f"{row['context']} {behind}"} for row in learned.take(16)]
        learned, model = dataset_of(rows), None
    if model is None and not (model := folder.with_name("bert")).exists():
        torch.manual_seed(0)
        BertForQuestionAnswering(BertConfig(**sizes["bert"])).save_pretrained(model)
        AutoTokenizer.from_pretrained(assets.path("minilm")).save_pretrained(model)

    def report(progress: dict) -> None:
        steps.append(progress["step"])
        if stops and progress["seconds"] >= stops[0]:
            stops.clear()  # a second Ctrl-C would not wait for the step
            signal.raise_signal(signal.SIGINT)

    data, minutes = DatasetDict(train=learned, validation=scored), sizes["seconds"] / 60
    fixed = precision if cuda or precision == "bf16" else "fp32", torch.get_num_threads()
    measured = (lambda *_, **__: fixed) if precision else training.measured
    with mock.patch.object(training, "measured", measured):
        run = training.finetune(model, data, minutes, folder, report=report, **sizes["options"])
    said = QuestionAnswerer.load(folder)(scored[0]["question"], scored[0]["context"], 0.0)
    losses = [entry["loss"] for entry in run.history]
    part = len(losses) // 4 + 1
    told = "precision seconds finished steps examples_per_second evaluation_seconds"
    return {key: getattr(run, key) for key in told.split()} | {
        "on_gpu": cuda,
        "planned_seconds": sizes["seconds"],
        "from_step": steps[0],
        "loss_at_first": round(mean(losses[:part]), 3),
        "loss_at_last": round(mean(losses[-part:]), 3),
        "f1": run.card["calibration"]["passage"]["f1"],
        "answers": said.text != "",
    }


def answer(count: int) -> dict:
    """What the course's reader answers to test questions, and its scores."""
    qa, asked = QuestionAnswerer.load(precision="fp32"), load_squad("course")["test"].take(count)
    texts = [given.text for given in qa(list(asked["question"]), list(asked["context"]))]
    return {"texts": texts, **evaluate(qa, asked)}


def kept(run: dict) -> dict[str, bool]:
    """What every finished training must be like."""
    late = abs(run["seconds"] - run["planned_seconds"])
    in_time = late <= max(LEAST, LATE * run["planned_seconds"])
    return {"minutes kept": in_time, "finished": run["finished"], "answers": run["answers"]}


def check_training(name: str, job: SimpleNamespace) -> tuple[dict, dict]:
    run = train(job.sizes, job.folder / name, "bf16" if name == "bf16" else "fp16")
    met = kept(run) | {"loss falls": run["loss_at_last"] < run["loss_at_first"]}
    if name == BASE:  # the first check, so alone in the GPU's memory
        page = (runtime.COURSE / "docs/colab_t4.md").read_text("utf-8")
        row = rf"\n\| {job.sizes['options']['batch_size']} (?:\| [\d.]+ ){{5}}\| ([\d.]+)"
        run["documented_gigabytes"] = said = float(re.search(row, page)[1])
        if torch.cuda.is_available():
            run["peak_gigabytes"] = peak = torch.cuda.max_memory_allocated() / 1e9
            met["memory as documented"] = FILLED * said <= peak <= said / FILLED
    return run, met


def check_resume(name: str, job: SimpleNamespace) -> tuple[dict, dict]:
    """Stopped halfway on one device, a run goes on on the other."""
    how = job.sizes, job.folder / name
    sides = partial(train, *how, "fp16"), partial(job.on_cpu, train, *how)
    first, second = sides if name.startswith("GPU") else sides[::-1]
    begun, ended = first(stop_at=job.sizes["seconds"] / 2), second()
    return ended, kept(ended) | {
        "stopped halfway": not begun["finished"],
        "went on": 0 < begun["steps"] == ended["from_step"] < ended["steps"],
        "one on the GPU": begun["on_gpu"] + ended["on_gpu"] == torch.cuda.is_available(),
    }


def check_answers(name: str, job: SimpleNamespace) -> tuple[dict, dict]:
    cpu, here = job.on_cpu(answer, job.sizes["asked"]), answer(job.sizes["asked"])
    texts = [side.pop("texts") for side in (cpu, here)]
    equal = 100 * mean(a == b for a, b in zip(*texts, strict=True))
    met = {"answers equal": equal >= EQUAL, "F1 equal": abs(here["f1"] - cpu["f1"]) <= F1_APART}
    return {"equal_percent": equal, "f1_on_cpu": cpu["f1"], **here}, met


CHECKS = {  # name -> what it finds and which criteria are met; seconds that it may take
    BASE: (check_training, 100),
    "fp16": (check_training, 60),
    "bf16": (check_training, 60),
    "GPU to CPU": (check_resume, 100),
    "CPU to GPU": (check_resume, 100),
    "answers": (check_answers, 60),
}


def attempt(name: str, job: SimpleNamespace) -> dict:
    """What a check found, and what is unmet: a criterion, its time, or that it ran at all."""
    check, seconds = CHECKS[name]

    def ring(*_):
        raise RuntimeError(f"not done in {seconds} s")

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        found, met = check(name, job)
    except Exception as error:  # the other checks go on
        found, met = {}, {repr(error): False}
    finally:
        signal.alarm(0)
    return {"unmet": [criterion for criterion, is_met in met.items() if not is_met]} | found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpu", action="store_true", help="without a GPU")
    parser.add_argument("--output", type=Path, default=runtime.COURSE / "build/gpu_check.json")
    options = parser.parse_args(arguments)
    if options.cpu:
        os.environ.update(NO_GPU)
    elif not torch.cuda.is_available():
        print("There is no GPU here that torch can use; try --cpu.", file=sys.stderr)
        return 2
    told = {"machine": runtime.machine_line(), "tiny": options.cpu, "checks": {}}
    print(told["machine"], flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with mock.patch.dict(os.environ, NO_GPU):  # for the other process: torch reads it once
        pool = get_context("spawn").Pool(1)

    def on_cpu(function, *given, **named):
        return pool.apply(function, given, named)

    with TemporaryDirectory(dir=options.output.parent) as folder, pool:
        sizes = TINY if options.cpu else T4
        job = SimpleNamespace(sizes=sizes, folder=Path(folder), on_cpu=on_cpu)
        for name in CHECKS:
            told["checks"][name] = found = attempt(name, job)
            print("FAIL" if found["unmet"] else "PASS", name, found, flush=True)
            write_json(options.output, told)
    return int(any(found["unmet"] for found in told["checks"].values()))


if __name__ == "__main__":
    sys.exit(main())
