"""Fine-tuning: what is planned is what is done, whatever interrupts it. Runs take a tiny BERT, some in processes that get killed."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from safetensors.torch import load_file
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedModel, PreTrainedTokenizerBase

from src.qa import processes as processes_module
from src.qa import training
from src.qa.features import prepare_features
from src.qa.models import WORD_EMBEDDINGS, load_model
from src.qa.processes import RunError
from src.qa.training import Run, batch_passes, finetune, load_run

PLACES = ("Paris", "Oslo", "Rome", "Lima", "Cairo")
FILLER = ("ships", "left", "the", "harbour", "early", "because", "winds", "were", "mild", "and", "nobody", "wanted", "rain")
N, B = 60, 4  # questions and windows per step: 15 steps a pass


@pytest.fixture(scope="module")
def rows() -> Dataset:
    """Questions a tiny model can learn: the answer is always the name of a place, at very different lengths of passage."""
    made: dict[str, list] = {name: [] for name in ("id", "title", "context", "question", "answers")}
    choose = random.Random(0)
    for i in range(N):
        words = [choose.choice(FILLER) for _ in range(choose.choice((2, 5, 10, 20, 40, 80)))]
        at, place = choose.randrange(len(words)), choose.choice(PLACES)
        context = " ".join([*words[:at], place, *words[at:]])
        answers = {"text": [place], "answer_start": [context.index(place)]}
        values = {"id": f"q{i}", "title": "Harbour", "context": context, "question": "Where is it?", "answers": answers}
        for name, value in values.items():
            made[name].append(value)
    return Dataset.from_dict(made)


@pytest.fixture(scope="module")
def data(rows: Dataset) -> DatasetDict:
    return DatasetDict(train=rows)


@pytest.fixture(scope="module")
def data_file(rows: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same questions as a SQuAD file, for processes of their own."""
    paragraphs = []
    for row in rows:
        answers = [{"text": t, "answer_start": s} for t, s in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)]
        paragraphs.append({"context": row["context"], "qas": [{"id": row["id"], "question": row["question"], "answers": answers}]})
    file = tmp_path_factory.mktemp("data") / "harbour.json"
    file.write_text(json.dumps({"version": "1.1", "data": [{"title": "Harbour", "paragraphs": paragraphs}]}))
    return file


@pytest.fixture(scope="module")
def train(tiny_folder: Path, data: DatasetDict) -> Callable[..., Run]:
    """finetune on the tiny model, quietly; further arguments replace the usual ones."""

    def run(output_dir: Path, **options) -> Run:
        usual = {"model": tiny_folder, "data": data, "epochs": None if "minutes" in options else 1, "batch_size": B}
        return finetune(output_dir=output_dir, **usual | {"learning_rate": 3e-3, "report": lambda progress: None} | options)

    return run


@pytest.fixture(scope="module")
def finished(train: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One uninterrupted run of four passes: the folder, the run, what was reported, and the plan as it stood at the first report."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    seen: list[dict] = []
    plans: list[tuple[bytes, bytes]] = []

    def report(progress: dict) -> None:
        seen.append(dict(progress))
        plans.append(((folder / training.PLAN).read_bytes(), (folder / training.ORDER).read_bytes()))

    run = train(folder, epochs=4, report=report)
    return SimpleNamespace(folder=folder, run=run, reports=seen, plans=plans, options={"epochs": 4})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def different(a: Path, b: Path) -> list[str]:
    """Names of the parameters of two runs that are not equal to the bit."""
    first, second = weights(a), weights(b)
    return sorted({*first} ^ {*second}) + [name for name in first if name in second and not torch.equal(first[name], second[name])]


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


# ----------------------------------------------------------------------------------------------------------- order of batches

LENGTHS = np.random.default_rng(1).integers(20, 384, size=2003)


def padding(batches: np.ndarray) -> float:
    """Share of the computed tokens that are padding."""
    found = LENGTHS[batches]
    return 1 - found.sum() / (found.max(axis=1) * batches.shape[1]).sum()


def test_a_pass_takes_every_window_once_in_full_batches():
    for batches, _ in zip(batch_passes(LENGTHS, 16, seed=3), range(3), strict=False):
        counts = np.bincount(batches.ravel(), minlength=len(LENGTHS))
        assert batches.shape == (126, 16)  # 2003 windows are 125.2 batches
        assert counts.min() == 1
        assert counts.sum() - len(LENGTHS) == 13  # the last batch is topped up, nothing else comes twice
        assert counts.max() == 2


def test_a_pass_shorter_than_a_batch_fills_it():
    batches = next(batch_passes(np.array([5, 6, 7]), 8, seed=0))
    assert batches.shape == (1, 8)
    assert set(batches.ravel()) == {0, 1, 2}


def test_windows_of_like_length_share_a_batch_and_hardly_any_padding_is_left():
    batches = next(batch_passes(LENGTHS, 16, seed=0))
    shuffled = np.random.default_rng(0).permutation(LENGTHS.size)[:2000].reshape(-1, 16)
    assert padding(shuffled) > 0.4
    assert padding(batches) < 0.04
    spread = LENGTHS[batches].max(axis=1) - LENGTHS[batches].min(axis=1)
    assert spread.max() < 364 / 4, "no batch holds the longest of one group and the shortest of the next"


def test_batches_come_in_random_order_of_length():
    longest = LENGTHS[next(batch_passes(LENGTHS, 16, seed=0))].max(axis=1)
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_the_order_is_decided_by_the_seed_and_the_pass():
    def passes(seed: int) -> list[list[list[int]]]:
        return [batches.tolist() for batches, _ in zip(batch_passes(LENGTHS, 16, seed), range(2), strict=False)]

    assert passes(5) == passes(5)
    assert passes(5) != passes(6)
    assert passes(5)[0] != passes(5)[1]


# -------------------------------------------------------------------------------------------------------------------- the plan


def test_the_plan_is_written_before_the_first_step_and_stays_as_it_is(finished):
    assert finished.reports[0]["step"] == 0
    assert set(finished.plans) == {finished.plans[0]}
    plan = json.loads((finished.folder / training.PLAN).read_text())
    assert plan["steps"] == finished.run.steps == finished.run.plan.steps == 4 * N // B
    assert (finished.folder / training.ORDER).read_bytes() == finished.plans[0][1]
    assert np.load(finished.folder / training.ORDER).shape == (60, B)


def test_the_planned_batches_are_the_ones_trained_on(train, data, tokenizer, tmp_path, monkeypatch):
    seen = []
    original = training._PlannedTrainer.compute_loss

    def compute_loss(self, model, inputs, *args, **options):
        ids, mask = inputs["input_ids"], inputs["attention_mask"].bool()
        seen.append([row[real].tolist() for row, real in zip(ids, mask, strict=True)])
        return original(self, model, inputs, *args, **options)

    monkeypatch.setattr(training._PlannedTrainer, "compute_loss", compute_loss)
    train(tmp_path, epochs=2)
    windows = prepare_features(data["train"], tokenizer)["input_ids"]
    assert seen == [[windows[i] for i in batch] for batch in np.load(tmp_path / training.ORDER)]


@pytest.fixture
def even_clock(monkeypatch):
    """Time that passes by a millisecond whenever it is asked for, however busy the machine is."""
    ticks = itertools.count()
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: next(ticks) / 1000))


@pytest.mark.parametrize("minutes", [0.5, 2.0])
def test_as_many_steps_are_planned_as_fit_into_the_minutes(train, data, tokenizer, tmp_path, monkeypatch, even_clock, minutes):
    def seconds_of(length: int) -> float:
        return 0.5 + length / 100  # a step of this machine, were it slow: between 0.6 and 1.5 seconds

    monkeypatch.setattr(training, "_measure", lambda *args: ("fp32", seconds_of))
    run = train(tmp_path, minutes=minutes)
    lengths = np.array(prepare_features(data["train"], tokenizer)["length"])
    order = np.load(tmp_path / training.ORDER)
    longest = [lengths[batch].max() for batch in order]
    predicted = sum(map(seconds_of, longest))
    assert 60 * minutes - seconds_of(lengths.max()) - 0.1 < predicted < 60 * minutes
    assert run.plan.planned_seconds == pytest.approx(predicted, abs=0.1)
    assert run.steps == len(order) == run.plan.steps
    assert len({tuple(batch) for batch in order[: N // B]}) == N // B


def test_training_gets_a_quarter_of_the_time_where_setting_up_took_it_all(train, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_measure", lambda *args: ("fp32", lambda length: 0.001))
    assert train(tmp_path, minutes=1e-3).steps == pytest.approx(0.25 * 60e-3 / 0.001, abs=1)


def test_the_faster_precision_is_chosen(train, tmp_path, monkeypatch):
    times = {"fp32": 0.02, "bf16": 0.01}
    monkeypatch.setattr(training._Stepper, "seconds", lambda self, batches, precision, limit: [times[precision]] * len(batches))
    assert train(tmp_path / "bf16").plan.precision == "bf16"
    times["bf16"] = 0.02
    assert train(tmp_path / "fp32").plan.precision == "fp32"


@pytest.mark.parametrize(("capability", "precisions"), [(7, ["fp32", "fp16"]), (8, ["fp32", "bf16"])])
def test_a_gpu_that_only_imitates_bf16_is_measured_in_fp16(monkeypatch, capability, precisions):
    """A T4 has compute capability 7.5; torch can make bf16 tensors on it, and says so when it is asked without care."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(major=capability))
    monkeypatch.setattr(torch.cuda, "_check_bf16_tensor_supported", lambda device: True)
    assert torch.cuda.is_bf16_supported() and training._precisions(torch.device("cuda")) == precisions


def test_measuring_leaves_the_model_as_it_was(train, tiny_folder, tmp_path, monkeypatch):
    """A measured step must not teach: two runs with and without measuring end in the same weights."""
    monkeypatch.setattr(training, "_precisions", lambda device: ["fp32"])
    train(tmp_path / "measured", epochs=0.2)
    monkeypatch.setattr(training, "_measure", lambda *args: ("fp32", lambda length: 1.0))
    train(tmp_path / "not", epochs=0.2)
    assert different(tmp_path / "measured", tmp_path / "not") == []


def test_longer_batches_are_measured_to_take_no_less_time(tiny_model, tokenizer, data):
    windows = prepare_features(data["train"], tokenizer).remove_columns(["token_starts", "token_ends", "example_index", "example_id"])
    lengths = np.array(windows["length"])
    state = SimpleNamespace(num_processes=1, device=torch.device("cpu"))
    precision, seconds_of = training._measure(tiny_model, tokenizer, windows, next(batch_passes(lengths, B, 0)), lengths, 1.0, state)
    assert precision in ("fp32", "bf16")
    times = [seconds_of(length) for length in (1, 20, 60, lengths.max(), 384)]
    assert times[0] > 0
    assert times == sorted(times)


# ---------------------------------------------------------------------------------------------------------------- the training


def test_the_loss_falls(finished):
    losses = [entry["loss"] for entry in finished.run.history]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_the_loss_is_that_of_the_library_where_nothing_is_padded_and_ignores_padding(tiny_model):
    token_ids = torch.randint(1000, 2000, (3, 11), generator=torch.Generator().manual_seed(0))
    inputs = {
        "input_ids": token_ids,
        "attention_mask": torch.ones_like(token_ids),
        "start_positions": torch.tensor([0, 3, 9]),
        "end_positions": torch.tensor([0, 5, 10]),
    }
    loss, outputs = training.span_loss(tiny_model, inputs)
    library = tiny_model(**inputs)
    assert torch.allclose(loss, library.loss, atol=1e-6)
    assert torch.equal(outputs.start_logits, library.start_logits)
    padded = {name: torch.nn.functional.pad(tensor, (0, 6)) if tensor.ndim == 2 else tensor for name, tensor in inputs.items()}
    assert torch.allclose(training.span_loss(tiny_model, padded)[0], loss, atol=1e-5)
    assert abs(tiny_model(**padded).loss - loss) > 0.1, "the library's own loss counts padding"


def test_whoever_looks_on_finds_the_progress_in_a_file(train, tmp_path):
    seen = []
    run = train(tmp_path, report=lambda progress: seen.append((progress, json.loads((tmp_path / training.PROGRESS).read_text()))))
    assert all(told == {name: value for name, value in written.items() if name != "history"} for told, written in seen)
    assert [len(written["history"]) for _, written in seen] == [*range(16), 15]
    assert seen[-1][1]["history"] == run.history


def test_the_learning_rate_rises_then_falls_to_zero(finished):
    rates = [entry["learning_rate"] for entry in finished.run.history]
    peak = int(np.argmax(rates))
    assert finished.run.plan.learning_rate == max(rates) == 3e-3
    assert peak <= finished.run.plan.warmup_steps == round(0.06 * 60)
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] <= 3e-3 / 50


def test_the_usual_learning_rate_depends_on_the_width(train, tmp_path):
    assert train(tmp_path, epochs=0.1, learning_rate=None).plan.learning_rate == 3e-4  # 32 wide


def test_word_embeddings_stay_and_all_else_is_trained(finished, tiny_folder):
    changed = different(finished.folder, tiny_folder)
    frozen = [name for name in weights(tiny_folder) if name.endswith(WORD_EMBEDDINGS)]
    assert len(frozen) == 1
    assert {name for name in weights(tiny_folder) if name not in changed and not name.endswith(WITHOUT_GRADIENT)} == set(frozen)


def test_progress_is_reported_with_all_that_is_documented(finished):
    keys = {"step", "steps", "seconds", "planned_seconds", "saving_seconds", "loss", "learning_rate", "examples_per_second", "phase"}
    assert all(set(progress) == keys for progress in finished.reports)
    assert [progress["phase"] for progress in finished.reports] == ["training"] * 61 + ["finished"]
    assert [progress["step"] for progress in finished.reports] == [*range(61), 60]
    assert finished.reports[0]["loss"] is None
    assert all(progress["loss"] > 0 and progress["examples_per_second"] > 0 for progress in finished.reports[1:])
    seconds = [progress["seconds"] for progress in finished.reports]
    assert seconds == sorted(seconds)


def test_a_run_says_what_it_cost(finished):
    run = finished.run
    assert run.finished
    assert 0 < run.history[-1]["seconds"] <= run.seconds
    assert run.saving_seconds > 0
    assert [entry["step"] for entry in run.history] == list(range(1, 61))
    assert set(run.history[0]) == {"step", "seconds", "loss", "learning_rate", "grad_norm", "examples_per_second"}
    # Speed is that of training alone: it cannot be less than with the set-up counted in.
    assert run.examples_per_second >= 60 * B / run.seconds
    assert load_run(finished.folder) == run


def test_a_finished_folder_holds_a_model_and_no_checkpoints(finished):
    assert not (finished.folder / training.CHECKPOINTS).exists()
    model, tokenizer = load_model(finished.folder)
    assert all(torch.equal(tensor, weights(finished.folder)[name]) for name, tensor in model.state_dict().items())
    assert model.config._attn_implementation == "sdpa"
    assert tokenizer("Where is it?")["input_ids"][0] == tokenizer.cls_token_id


@pytest.mark.parametrize(("between", "expected"), [(0.0, list(range(1, 16))), (1e9, [15])])
def test_checkpoints_are_spaced_by_the_seconds_that_passed(train, tmp_path, monkeypatch, between, expected):
    saved, on_save = [], training._Clock.on_save
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", between)
    monkeypatch.setattr(
        training._Clock,
        "on_save",
        lambda self, args, state, *rest, **more: saved.append(state.global_step) or on_save(self, args, state, *rest, **more),
    )
    train(tmp_path / "run")
    assert saved == expected


# ------------------------------------------------------------------------------------------------------ asked for a second time


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        file.name: (file.stat().st_mtime_ns, file.read_bytes())
        for file in folder.iterdir()
        if file.is_file() and file.name != processes_module.LOCK
    }


def test_a_finished_run_is_returned_without_a_step(finished, train, monkeypatch):
    before = contents(finished.folder)
    monkeypatch.setattr(training._PlannedTrainer, "train", lambda *args, **options: pytest.fail("it trained"))
    reports = []
    again = train(finished.folder, epochs=4, report=reports.append)
    assert again == finished.run
    assert [set(progress) - {"history"} for progress in reports] == [set(finished.reports[-1])]
    assert all(reports[0][name] == finished.reports[-1][name] for name in ("phase", "step", "steps", "loss"))
    assert contents(finished.folder) == before


@pytest.mark.parametrize(
    "name, value",
    [
        ("seed", 1),
        ("batch_size", 8),
        ("learning_rate", 1e-3),
        ("weight_decay", 0.0),
        ("max_length", 200),
        ("doc_stride", 64),
        ("epochs", 5),
    ],
)
def test_other_arguments_in_its_folder_are_refused_by_name(finished, train, name, value):
    before = contents(finished.folder)
    with pytest.raises(RunError) as error:
        train(finished.folder, **finished.options | {name: value})
    assert f"{name}={value!r}" in one_line(error)
    assert str(finished.folder) in str(error.value)
    assert contents(finished.folder) == before


def test_other_data_another_model_and_minutes_are_refused_by_name(finished, train, data, tmp_path):
    fewer = DatasetDict(train=data["train"].select(range(50)))
    with pytest.raises(RunError) as error:
        train(finished.folder, epochs=4, data=fewer)
    assert "data='50 questions" in one_line(error)
    with pytest.raises(RunError) as error:
        train(finished.folder, epochs=4, model=tmp_path)
    assert f"model={str(tmp_path)!r}" in one_line(error)
    with pytest.raises(RunError) as error:
        train(finished.folder, minutes=1)
    assert "minutes=1" in one_line(error)


def test_one_other_answer_is_other_data(finished, train, data):
    changed = data["train"].to_list()
    changed[7]["answers"] = {"text": [], "answer_start": []}
    with pytest.raises(RunError, match="data='60 questions"):
        train(finished.folder, epochs=4, data=DatasetDict(train=Dataset.from_list(changed, features=data["train"].features)))


def test_a_folder_with_a_run_is_refused_without_resume(finished, train):
    before = contents(finished.folder)
    with pytest.raises(RunError) as error:
        train(finished.folder, epochs=4, resume=False)
    assert str(finished.folder) in one_line(error)
    assert contents(finished.folder) == before


@pytest.mark.parametrize("names", [["model.safetensors"], ["config.json", "tokenizer.json"], ["run.json"]])
def test_what_no_run_left_there_is_not_overwritten(train, finished, tmp_path, names):
    for name in names:
        shutil.copy(finished.folder / name, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(RunError) as error:
        train(tmp_path)
    assert f"{tmp_path} holds {', '.join(names)} that no run left there" in one_line(error)
    assert contents(tmp_path) == before and not (tmp_path / processes_module.LOCK).exists()


def test_released_weights_are_not_trained_over(train, course):
    with pytest.raises(RunError, match=r"qa-minilm holds model\.safetensors, config\.json.* that no run left there"):
        train(course / "weights" / "qa-minilm")


def test_a_folder_with_other_things_in_it_is_trained_in_and_they_stay(train, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert train(tmp_path).finished and (tmp_path / "notes.txt").read_text() == "mine"


# A process that takes the lock of the file it is given and keeps it for a minute; it fails at once where another has it.
HOLD = """
import sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire(timeout=0)
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_training_in_the_same_folder_is_refused_until_the_first_has_ended(train, tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / processes_module.LOCK)]

    def meanwhile(progress: dict) -> None:
        if progress["step"] == 1:
            assert (tmp_path / processes_module.HOLDER).read_text() == f"{os.getpid()}\n"
            second.append(subprocess.run(command, capture_output=True, text=True))

    second: list[subprocess.CompletedProcess] = []
    train(tmp_path, report=meanwhile)
    assert second[0].returncode == 1 and "Timeout" in second[0].stderr
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError) as error:
            train(tmp_path)
        assert f"another process is training in {tmp_path};" in one_line(error)
        (tmp_path / processes_module.HOLDER).write_text(f"{other.pid}\n")
        with pytest.raises(RunError) as error:
            train(tmp_path)
        assert f"another process (pid {other.pid}) is training in {tmp_path};" in one_line(error)
    finally:
        other.kill()
        other.communicate()
    assert train(tmp_path).finished  # a lock ends with its process, however that ends
    assert not (tmp_path / processes_module.HOLDER).exists()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"minutes": None, "epochs": None}, "either minutes or epochs"),
        ({"minutes": 1, "epochs": 1}, "either minutes or epochs"),
        ({"minutes": 0, "epochs": None}, "above zero"),
        ({"minutes": -1.0, "epochs": None}, "above zero"),
        ({"minutes": float("nan"), "epochs": None}, "above zero"),
        ({"minutes": float("inf"), "epochs": None}, "above zero"),
        ({"epochs": 0}, "above zero"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_one_line(train, tmp_path, options, words):
    with pytest.raises(RunError) as error:
        train(tmp_path / "run", **options)
    assert words in one_line(error)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("splits", [{}, {"validation": range(3)}, {"train": range(0), "validation": range(3)}])
def test_data_without_training_questions_is_refused_in_one_line(train, data, tmp_path, splits):
    with pytest.raises(RunError) as error:
        train(tmp_path / "run", data=DatasetDict({name: data["train"].select(which) for name, which in splits.items()}))
    assert "'train'" in one_line(error)


def test_a_batch_that_the_processes_cannot_share_is_refused(data, tmp_path):
    windows = {"length": [5, 6, 7]}
    state = SimpleNamespace(num_processes=3)
    with pytest.raises(RunError) as error:
        training._make_plan(None, None, {"batch_size": 16, "seed": 0}, None, None, windows, 0.0, state)
    assert "16" in one_line(error)
    assert "3 processes" in str(error.value)


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"steps": 3}', "null"])
def test_a_plan_that_cannot_be_read_is_one_line(finished, train, tmp_path, broken):
    (tmp_path / training.PLAN).write_text(broken)
    with pytest.raises(RunError) as error:
        train(tmp_path, epochs=4)
    assert training.PLAN in one_line(error)


@pytest.mark.parametrize("order", [None, b"", b"no array", "shorter"])
def test_batches_that_are_not_those_of_the_plan_are_one_line(finished, train, tmp_path, order):
    shutil.copy(finished.folder / training.PLAN, tmp_path)
    if order == "shorter":
        np.save(tmp_path / training.ORDER, np.load(finished.folder / training.ORDER)[:-1])
    elif order is not None:
        (tmp_path / training.ORDER).write_bytes(order)
    with pytest.raises(RunError) as error:
        train(tmp_path, epochs=4)
    assert training.ORDER in one_line(error)


def test_there_is_no_run_to_load_in_an_empty_folder(tmp_path):
    with pytest.raises(RunError) as error:
        load_run(tmp_path)
    assert str(tmp_path) in one_line(error)


# ---------------------------------------------------------------------------------------------------------- interrupted by hand


class Stopper:
    """Presses Ctrl-C when a step is reported: the run ends with the step after it."""

    def __init__(self, step: int):
        self.step, self.phases = step, []

    def __call__(self, progress: dict) -> None:
        self.phases.append(progress["phase"])
        if progress["step"] == self.step and progress["phase"] == "training":
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_stops_after_the_step_under_way_with_a_usable_model_and_a_resume_finishes(train, finished, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    stopper = Stopper(7)
    run = train(tmp_path, epochs=4, report=stopper)
    assert signal.getsignal(signal.SIGINT) is before
    assert (run.finished, run.steps, stopper.phases[-1]) == (False, 8, "stopped")
    assert json.loads((tmp_path / training.RUN).read_text())["finished"] is False
    model, _ = load_model(tmp_path)
    assert {name for name, tensor in model.state_dict().items() if torch.equal(tensor, weights(finished.folder)[name])} == {
        name for name in weights(finished.folder) if name.endswith(WORD_EMBEDDINGS)
    }
    steps = []
    resumed = train(tmp_path, epochs=4, report=lambda progress: steps.append(progress["step"]))
    assert (resumed.finished, resumed.steps, steps[0]) == (True, 60, 8)
    assert [entry["step"] for entry in resumed.history] == list(range(1, 61))
    assert resumed.seconds > run.seconds


def test_a_second_ctrl_c_interrupts_at_once():
    clock, before = SimpleNamespace(stop=False), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), training._stop_on_interrupt(clock):
        signal.raise_signal(signal.SIGINT)
        assert clock.stop
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on")
    assert signal.getsignal(signal.SIGINT) is before


def test_on_another_machine_the_rest_is_planned_anew_and_that_is_recorded(train, tmp_path, monkeypatch, even_clock):
    monkeypatch.setattr(training, "_measure", lambda *args: ("fp32", lambda length: 1.0))
    monkeypatch.setattr(training, "_machine", lambda: "an old machine")
    before = train(tmp_path, minutes=0.5, report=Stopper(9))
    assert before.plan.steps == 29, "30 seconds, less the milliseconds before step 1"
    order = np.load(tmp_path / training.ORDER)
    monkeypatch.setattr(training, "_measure", lambda *args: ("fp32", lambda length: 0.5))
    monkeypatch.setattr(training, "_machine", lambda: "a machine twice as fast")
    after = train(tmp_path, minutes=0.5)
    assert after.plan.replanned == [
        {
            **{"at_step": 10, "from": "an old machine", "to": "a machine twice as fast", "steps_before": before.plan.steps},
            **{"processes_before": 1, "processes": 1},
        }
    ]
    assert after.finished
    assert after.steps == after.plan.steps == 10 + 59
    assert [entry["step"] for entry in after.history] == list(range(1, after.steps + 1))
    assert after.history[-1]["learning_rate"] < 3e-3 / 20, "the schedule was planned anew, too"
    assert np.array_equal(np.load(tmp_path / training.ORDER)[: len(order)], order)
    assert load_run(tmp_path).plan == after.plan


def test_on_the_same_machine_nothing_is_measured_again(train, tmp_path, monkeypatch):
    train(tmp_path, report=Stopper(3))
    before = contents(tmp_path)
    monkeypatch.setattr(training, "_measure", lambda *args: pytest.fail("it measured"))
    run = train(tmp_path)
    assert run.finished
    assert run.plan.replanned == []
    assert all(contents(tmp_path)[name] == before[name] for name in (training.PLAN, training.ORDER))


def test_a_run_in_another_thread_leaves_signals_alone(monkeypatch):
    from threading import Thread

    monkeypatch.setattr(signal, "signal", lambda *args: pytest.fail("it set a handler"))
    done = []

    def work() -> None:
        with training._stop_on_interrupt(SimpleNamespace(stop=False)):
            done.append(True)

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


# ------------------------------------------------------------------------------------------------------------------ to the Hub


@pytest.fixture
def pushed(monkeypatch) -> list[tuple[str, str]]:
    calls: list[tuple[str, str]] = []
    for kind in (PreTrainedModel, PreTrainedTokenizerBase):
        monkeypatch.setattr(kind, "push_to_hub", lambda self, hub_id, kind=kind: calls.append((kind.__name__, hub_id)))
    return calls


def test_a_finished_model_is_uploaded_once_with_its_tokenizer(train, tmp_path, pushed):
    train(tmp_path, report=Stopper(2), push_to_hub="somebody/reader")
    assert pushed == [], "half a run is not uploaded"
    train(tmp_path, push_to_hub="somebody/reader")
    assert pushed == [("PreTrainedModel", "somebody/reader"), ("PreTrainedTokenizerBase", "somebody/reader")]
    train(tmp_path)
    assert len(pushed) == 2


def test_an_upload_that_failed_is_one_line_and_can_be_asked_for_again(train, tmp_path, pushed, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(PreTrainedModel, "push_to_hub", lambda *args: (_ for _ in ()).throw(OSError("no login\nhere")))
        with pytest.raises(RunError) as error:
            train(tmp_path, epochs=0.2, push_to_hub="somebody/reader")
    assert "somebody/reader" in one_line(error)
    assert load_run(tmp_path).finished
    train(tmp_path, epochs=0.2, push_to_hub="somebody/reader")
    assert [name for name, _ in pushed] == ["PreTrainedModel", "PreTrainedTokenizerBase"]


# ------------------------------------------------------------------------------------------------------------ killed processes


class Processes:
    """finetune in processes of their own, which can be killed; see training_processes.py."""

    def __init__(self, folder: Path, options: dict):
        self.folder, self.options, self.n = folder, options, 0
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("training_processes.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def start(self, output_dir: Path, *requests: dict, **options) -> tuple[list[int], list[Path]]:
        """Start one process for each request; returns their ids and output files."""
        asked, outputs = [], []
        for request in requests or ({},):
            self.n += 1
            outputs.append(self.folder / f"output-{self.n}.txt")
            asked.append({"options": self.options | {"output_dir": str(output_dir)} | options, "output": str(outputs[-1])} | request)
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline()), outputs

    def statuses(self) -> list[int]:
        """Wait for the processes started last; their exit statuses."""
        self.server.stdin.write("\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def run(self, output_dir: Path, **request) -> tuple[int, list[dict], str]:
        """Start one, wait; returns its exit status, the progress it reported, and all it printed."""
        _, (output,) = self.start(output_dir, request)
        (status,) = self.statuses()
        text = output.read_text()
        return status, [json.loads(line) for line in text.splitlines() if line.startswith('{"') and line.endswith("}")], text


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, data_file: Path) -> Iterator[Processes]:
    options = {"model": str(tiny_folder), "data": str(data_file), "epochs": 2, "batch_size": B, "learning_rate": 3e-3}
    made = Processes(tmp_path_factory.mktemp("processes"), options)
    yield made
    os.killpg(made.server.pid, signal.SIGKILL)  # and with it what it forked, should a test have left one waiting
    made.server.communicate()


@pytest.fixture(scope="module")
def reference(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of 30 steps in a process of its own."""
    folder = tmp_path_factory.mktemp("runs") / "reference"
    status, _, text = processes.run(folder)
    assert status == 0, text
    return folder


def with_plan_of(run: Path, folder: Path) -> Path:
    """A fresh folder with the recorded plan of another run: what starts there follows it from step 0."""
    folder.mkdir()
    for name in (training.PLAN, training.ORDER):
        shutil.copy(run / name, folder)
    return folder


def assert_same_result(folder: Path, reference: Path) -> None:
    run, other = load_run(folder), load_run(reference)
    assert run.finished
    assert different(folder, reference) == []
    assert [(entry["step"], entry["loss"]) for entry in run.history] == [(entry["step"], entry["loss"]) for entry in other.history]
    seconds = [entry["seconds"] for entry in run.history]
    assert seconds == sorted(seconds)
    assert (folder / training.PLAN).read_bytes() == (reference / training.PLAN).read_bytes()
    assert not (folder / training.CHECKPOINTS).exists()


def test_a_recorded_plan_in_a_fresh_folder_gives_the_same_run_to_the_bit(processes, reference, tmp_path):
    folder = with_plan_of(reference, tmp_path / "copy")
    status, reports, _ = processes.run(folder, save_every=3)
    assert (status, reports[0]["step"]) == (0, 0)
    assert_same_result(folder, reference)


def test_another_seed_does_not_give_the_same_run(processes, reference, tmp_path):
    status, _ = processes.start(tmp_path / "other", seed=1)[0], processes.statuses()
    assert status
    assert len(different(tmp_path / "other", reference)) > 10


@pytest.mark.parametrize("place", ["plan half written", "planning"])
def test_killed_before_there_is_a_plan_it_starts_again(processes, tmp_path, place):
    status, _, _ = processes.run(tmp_path / "run", kill_at=place)
    assert status == -signal.SIGKILL
    assert not (tmp_path / "run" / training.PLAN).exists()
    assert processes.run(tmp_path / "run")[0] == 0
    folder = with_plan_of(tmp_path / "run", tmp_path / "copy")
    assert processes.run(folder)[0] == 0
    assert_same_result(tmp_path / "run", folder)


# Where it is killed, with checkpoints every so many steps, and the step from which it must go on.
KILLS = {
    "in the first step": (1, 4, 0),
    "before the first checkpoint": (3, 4, 0),
    "in the step after a checkpoint": (9, 4, 8),
    "in the last step": (30, 4, 28),
    "while the first checkpoint is written": ("checkpoint half written", 4, 0),
    "when the first checkpoint is written but not marked": ("checkpoint not yet marked", 4, 0),
    "when all is trained and the model saved": ("model saved, run not", 4, 30),
}


@pytest.mark.parametrize("moment", KILLS)
def test_killed_and_resumed_it_ends_in_the_same_bits(processes, reference, tmp_path, moment):
    at, save_every, expected = KILLS[moment]
    folder = with_plan_of(reference, tmp_path / "run")
    assert processes.run(folder, kill_at=at, save_every=save_every)[0] == -signal.SIGKILL
    status, reports, text = processes.run(folder, save_every=save_every)
    assert status == 0, text
    assert reports[0]["step"] == expected
    assert_same_result(folder, reference)


def test_killed_while_clearing_up_it_is_finished(processes, reference, tmp_path):
    folder = with_plan_of(reference, tmp_path / "run")
    assert processes.run(folder, kill_at="checkpoints not yet removed")[0] == -signal.SIGKILL
    status, reports, _ = processes.run(folder)
    assert status == 0
    # Nothing is trained: the one report says that it was finished, and tells the whole history.
    assert [(report["phase"], report["step"]) for report in reports] == [("finished", reports[0]["steps"])]
    assert reports[0]["history"] == training.load_run(folder).history
    assert_same_result(folder, reference)


def test_a_half_written_checkpoint_is_ignored_and_removed(processes, reference, tmp_path):
    folder = with_plan_of(reference, tmp_path / "run")
    checkpoints = folder / training.CHECKPOINTS
    processes.run(folder, kill_at=7, save_every=3)
    assert {path.name for path in checkpoints.iterdir()} == {"checkpoint-3", "checkpoint-6"}
    shutil.copytree(checkpoints / "checkpoint-6", checkpoints / "checkpoint-29")
    (checkpoints / "checkpoint-29" / training.COMPLETE).unlink()
    (checkpoints / "checkpoint-29" / "optimizer.pt").write_bytes(b"cut o")
    status, reports, _ = processes.run(folder, stop_at=1)
    assert (status, reports[0]["step"], reports[-1]["phase"]) == (0, 6, "stopped")
    assert not (checkpoints / "checkpoint-29").exists()
    assert processes.run(folder)[0] == 0
    assert_same_result(folder, reference)


def test_stopped_by_ctrl_c_and_resumed_it_ends_in_the_same_bits(processes, reference, tmp_path):
    folder = with_plan_of(reference, tmp_path / "run")
    for stop_at, steps in ((5, 5), (1, 6), (11, 17)):  # counted by each process anew
        status, reports, text = processes.run(folder, stop_at=stop_at)
        assert status == 0, text
        assert (reports[-1]["phase"], reports[-1]["step"]) == ("stopped", steps)
        assert load_run(folder).finished is False
        load_model(folder)
    assert processes.run(folder)[0] == 0
    assert_same_result(folder, reference)


def kill_at_random(processes: Processes, reference: Path, folder: Path, kills: int, seed: int) -> list[float]:
    """Kill a run that many times after random delays, each time resuming it, then let it end. Returns the delays in seconds."""
    choose, delays = random.Random(seed), []
    while len(delays) < kills and not ((folder / training.RUN).is_file() and load_run(folder).finished):
        (pid,), (output,) = processes.start(folder, {"save_every": choose.choice((1, 2, 5))})
        started = time.monotonic()
        if choose.random() < 0.7:  # else anywhere, also while it is loading
            while not output.exists() or '"step"' not in output.read_text():
                time.sleep(0.002)
                assert time.monotonic() - started < 300, output.read_text()
        time.sleep(choose.uniform(0, 0.8))
        os.kill(pid, signal.SIGKILL)
        delays.append(round(time.monotonic() - started, 2))
        processes.statuses()
    status, _, text = processes.run(folder)
    assert status == 0, text
    return delays


def test_killed_again_and_again_at_random_moments_it_ends_in_the_same_bits(processes, reference, tmp_path):
    folder = with_plan_of(reference, tmp_path / "run")
    delays = kill_at_random(processes, reference, folder, kills=4, seed=1)
    assert delays
    assert_same_result(folder, reference)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_many_random_moments_it_ends_in_the_same_bits(processes, reference, tmp_path, seed):
    folder = with_plan_of(reference, tmp_path / "run")
    kill_at_random(processes, reference, folder, kills=8, seed=100 + seed)
    assert_same_result(folder, reference)


# ----------------------------------------------------------------------------------------------------------- several processes


def several(n: int, **of_one: dict) -> list[dict]:
    """Requests for `n` processes that find each other as torchrun's do; `process_0={...}` and so on goes to that one only."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(n), "LOCAL_WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    requests = [{"environment": shared | {"RANK": str(i), "LOCAL_RANK": str(i)}, "precision": "fp32", "save_every": 7} for i in range(n)]
    return [request | of_one.get(f"process_{i}", {}) for i, request in enumerate(requests)]


@pytest.fixture(scope="module")
def two(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An uninterrupted run of 30 steps on two processes: its folder, and what each of them printed."""
    folder = tmp_path_factory.mktemp("runs") / "two"
    _, outputs = processes.start(folder, *several(2))
    statuses, printed = processes.statuses(), [output.read_text() for output in outputs]
    assert statuses == [0, 0], printed
    return SimpleNamespace(folder=folder, printed=printed)


# These add the same to the score of every token, which no softmax sees: their gradient is rounding alone, and AdamW takes steps of
# full length along it.
WITHOUT_GRADIENT = ("key.bias", "layer.1.output.LayerNorm.bias", "qa_outputs.bias")


def largest_difference(a: Path, b: Path) -> float:
    first, second = weights(a), weights(b)
    assert {*first} == {*second}
    return max(float((first[name] - second[name]).abs().max()) for name in first if not name.endswith(WITHOUT_GRADIENT))


def test_two_processes_give_the_result_of_one_and_only_the_first_reports(processes, two, tmp_path):
    assert two.printed[1] == ""
    assert two.printed[0].count('"phase"') == 32
    assert processes.run(tmp_path / "one", precision="fp32")[0] == 0
    run, one = load_run(two.folder), load_run(tmp_path / "one")
    assert (run.plan.processes, one.plan.processes, run.steps, one.steps) == (2, 1, 30, 30)
    assert np.array_equal(np.load(two.folder / training.ORDER), np.load(tmp_path / "one" / training.ORDER))
    assert [e["loss"] for e in run.history] == pytest.approx([e["loss"] for e in one.history], abs=1e-4)
    assert largest_difference(two.folder, tmp_path / "one") < 1e-5
    # Which a difference of one batch would exceed by far:
    processes.start(tmp_path / "other", {"precision": "fp32"}, seed=1)
    assert processes.statuses() == [0]
    assert largest_difference(two.folder, tmp_path / "other") > 1e-2


GONE = "another process of this command has ended, or this one was told to; the same call with resume=True (--resume) goes on"

# Which of two processes is killed, where, and the step from which both must go on; checkpoints are saved every seven.
KILLS_OF_TWO = [
    pytest.param(1, 3, 0, id="the second, before the first checkpoint", marks=pytest.mark.full),
    pytest.param(1, 8, 7, id="the second, in the step after a checkpoint"),
    pytest.param(0, 30, 28, id="the first, in the last step"),
    pytest.param(0, "checkpoint half written", 0, id="the first, while a checkpoint is written", marks=pytest.mark.full),
    pytest.param(1, "checkpoint not yet marked", 0, id="the second, when it may not have written its share of a checkpoint"),
]


@pytest.mark.parametrize(("killed", "at", "expected"), KILLS_OF_TWO)
def test_when_one_of_two_is_killed_the_other_says_so_and_a_resume_ends_in_the_same_bits(processes, two, tmp_path, killed, at, expected):
    folder = with_plan_of(two.folder, tmp_path / "run")
    _, outputs = processes.start(folder, *several(2, **{f"process_{killed}": {"kill_at": at}}))
    statuses, texts = processes.statuses(), [output.read_text() for output in outputs]
    assert (statuses[killed], statuses[1 - killed]) == (-signal.SIGKILL, 2), texts
    assert texts[1 - killed].splitlines()[-1] == f"{GONE} from the last checkpoint in {folder}."
    _, outputs = processes.start(folder, *several(2))
    assert processes.statuses() == [0, 0], [output.read_text() for output in outputs]
    assert json.loads(outputs[0].read_text().splitlines()[0])["step"] == expected
    assert_same_result(folder, two.folder)


def test_ctrl_c_in_one_of_two_processes_stops_both_and_one_process_can_go_on(processes, tmp_path):
    _, outputs = processes.start(tmp_path / "run", *several(2, process_0={"stop_at": 9}))
    assert processes.statuses() == [0, 0], [output.read_text() for output in outputs]
    assert load_run(tmp_path / "run").steps == 9
    status, reports, text = processes.run(tmp_path / "run", precision="fp32")
    assert status == 0, text
    assert reports[0]["step"] == 9
    run = load_run(tmp_path / "run")
    (moved,) = run.plan.replanned
    assert (run.finished, run.plan.processes) == (True, 1)
    assert (moved["at_step"], moved["processes_before"], moved["processes"]) == (9, 2, 1)
    assert [entry["step"] for entry in run.history] == list(range(1, 31))


def test_processes_that_cannot_share_the_batch_are_refused_and_the_run_stays_as_it_is(processes, two, tmp_path):
    folder = with_plan_of(two.folder, tmp_path / "run")
    before = {name: content for name, (_, content) in contents(folder).items()}
    _, outputs = processes.start(folder, *several(3))
    assert processes.statuses() == [2, 2, 2], [output.read_text() for output in outputs]
    assert {output.read_text() for output in outputs} == {"batch_size is 4, which 3 processes cannot share equally; choose a multiple.\n"}
    assert {name: content for name, (_, content) in contents(folder).items()} == before


def test_hosts_that_differ_go_on_with_the_plan_of_the_first(processes, tmp_path):
    """Each would find another machine than the plan's, and plan anew while the first goes on: they would wait for each other."""
    machines = {"process_0": {"machine": "a host"}, "process_1": {"machine": "another host"}}
    processes.start(tmp_path / "run", *several(2, process_0={"machine": "a host", "stop_at": 3}, process_1=machines["process_1"]))
    assert processes.statuses() == [0, 0]
    _, outputs = processes.start(tmp_path / "run", *several(2, **machines))
    assert processes.statuses() == [0, 0], [output.read_text() for output in outputs]
    run = load_run(tmp_path / "run")
    assert (run.finished, run.plan.machine, run.plan.replanned) == (True, "a host", [])


def test_two_processes_measure_no_longer_than_the_minutes_allow(processes, tmp_path):
    """By the clock of whichever is slower, and both the same steps: a step is taken together or not at all."""
    slow = {"process_0": {"slow": 0.0}, "process_1": {"slow": 0.1}}
    _, outputs = processes.start(tmp_path / "run", *several(2, **slow), minutes=0.02, epochs=None)
    assert processes.statuses() == [0, 0], [output.read_text() for output in outputs]
    # Two rounds at least of one length for the precision, and of five lengths for the speed.
    assert [output.read_text().count("measured") for output in outputs] == [12, 12]
    run = load_run(tmp_path / "run")
    assert run.finished and run.plan.processes == 2
    assert 1 <= run.steps < 30, "1.2 seconds, with steps that took a tenth of a second or more"


# ------------------------------------------------------------------------------------------------------------- the command line


def command_line(course: Path, data_file: Path, tiny_folder: Path, output_dir: Path, processes: int, *more: str) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
    options = ["--data", str(data_file), "--model", str(tiny_folder), "--output-dir", str(output_dir), "--batch-size", str(B)]
    return [sys.executable, *launcher, "-m", "src.qa", "train", *options, *more]


@pytest.mark.full
def test_torchrun_with_two_processes_gives_the_result_of_one(course, clean_environment, data_file, tiny_folder, tmp_path):
    results = {}
    for n in (1, 2):
        command = command_line(course, data_file, tiny_folder, tmp_path / str(n), n, "--epochs", "2", "--learning-rate", "3e-3", "--json")
        done = subprocess.run(command, cwd=course, env=clean_environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        results[n] = json.loads(done.stdout.splitlines()[-1])
        assert done.stdout.count('"finished"') == 1
        assert done.stdout.count("finished · step 30 of 30 · ") == 1
    assert [results[n]["processes"] for n in (1, 2)] == [1, 2]
    precisions = {result["precision"] for result in results.values()}
    assert largest_difference(tmp_path / "1", tmp_path / "2") < (1e-5 if precisions == {"fp32"} else 0.05)


@pytest.mark.full
@pytest.mark.parametrize("n", [1, 2])
def test_ctrl_c_at_the_terminal_ends_well_and_resume_finishes(course, clean_environment, data_file, tiny_folder, tmp_path, n):
    command = command_line(course, data_file, tiny_folder, tmp_path / "run", n, "--epochs", "80", "--json")
    environment = clean_environment | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=course, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.startswith("step 0 of 1,200 · "), process.communicate()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    found = json.loads(out.splitlines()[-1])
    assert found["finished"] is False, err
    assert 0 < found["steps"] < 1200
    if n == 1:  # torchrun itself reports that it was interrupted
        assert (process.returncode, err) == (0, "")
    load_model(tmp_path / "run")
    done = subprocess.run([*command, "--resume"], cwd=course, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 1200


@pytest.mark.full
def test_a_run_ends_within_its_minutes(train, tokenizer, tmp_path):
    """Within 10 % of what was asked, saving excluded: on a machine that does nothing else, with steps of a tenth of a second or more.

    Beside the model's own work, which is measured, the Trainer takes about four milliseconds a step.
    """
    config = BertConfig(hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=1024)
    BertForQuestionAnswering(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    run = train(tmp_path / "run", model=tmp_path / "model", minutes=0.5, batch_size=20, learning_rate=1e-4)
    assert run.seconds == pytest.approx(30, rel=0.1)


@pytest.mark.full
def test_two_processes_end_within_their_minutes(course, clean_environment, data_file, tokenizer, tmp_path):
    """As above; on a core for each of them."""
    config = BertConfig(hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=1024)
    BertForQuestionAnswering(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    command = command_line(course, data_file, tmp_path / "model", tmp_path / "run", 2, "--minutes", "0.5", "--json")
    done = subprocess.run(command, cwd=course, env=clean_environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["finished"], result["processes"]) == (True, 2)
    assert result["seconds"] == pytest.approx(30, rel=0.15)


@pytest.mark.full
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_worker_killed_under_torchrun_ends_the_command_and_resume_finishes(
    course, clean_environment, data_file, tiny_folder, tmp_path, rank
):
    command = command_line(course, data_file, tiny_folder, tmp_path / "run", 2, "--epochs", "40", "--json")
    environment = clean_environment | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=course, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert line.startswith("step 0 of 600 · "), process.communicate()
    time.sleep(0.5)
    os.kill(worker_of(process.pid, rank), signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert err.count(f"error: {GONE}") == (1 if rank == "1" else 0), err  # the first is the one that speaks; torchrun names who was killed
    assert "SIGKILL" in err and out.count('"finished"') == 0
    done = subprocess.run([*command, "--resume"], cwd=course, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 600


def worker_of(launcher: int, rank: str) -> int:
    """The process id of the worker with that rank below a torchrun."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
            if parent == str(launcher) and f"LOCAL_RANK={rank}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                return int(folder.name)
        except OSError:  # it has ended
            continue
    raise AssertionError(f"torchrun {launcher} has no worker {rank}")
