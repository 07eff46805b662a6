"""Fine-tuning a tiny BERT: minutes are kept, interruptions made good, nothing is lost."""

import inspect
import itertools
import json
import math
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from run_folders import WITHOUT_GRADIENT, contents, different, refusal, weights

from src import compute, runtime
from src import training as small_models
from src.qa import clock, runs, training
from src.qa.batches import LengthGroupedBatches
from src.qa.features import prepare_features
from src.qa.models import WORD_EMBEDDINGS, load_model
from src.qa.processes import LOCK, RunError
from src.qa.runs import CHECKPOINTS, MANIFEST, PROGRESS, RUN, FinetuneRun, load_run
from src.qa.training import finetune

N, B, PEAK = 60, 4, 3e-3  # questions and windows per step, so 15 steps a pass; the learning rate


@pytest.fixture(scope="module")
def data(harbour) -> DatasetDict:
    return DatasetDict(train=harbour)


@pytest.fixture(scope="module")
def with_validation(harbour) -> DatasetDict:
    return DatasetDict(train=harbour, validation=harbour.select(range(20)))


@pytest.fixture(scope="module")
def train(tiny_folder, data) -> Callable[..., FinetuneRun]:
    """finetune on the tiny model, quietly; further arguments replace the usual ones."""

    def run(output_dir: Path, **options) -> FinetuneRun:
        usual = {"model": tiny_folder, "data": data, "batch_size": B, "learning_rate": PEAK}
        usual |= {"epochs": None if "minutes" in options else 1, "report": lambda progress: None}
        return finetune(output_dir=output_dir, **usual | options)

    return run


@pytest.fixture(scope="module", autouse=True)
def every_step_is_logged_and_all_computed_in_fp32():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "LOGS", 10**6)
        patch.setattr(compute, "faster_precision", lambda *args: "fp32")
        yield


@pytest.fixture(scope="module")
def finished(train, tmp_path_factory) -> SimpleNamespace:
    """One uninterrupted run of four passes: its folder, the run, and what was reported."""
    folder = tmp_path_factory.mktemp("runs") / "live"
    reports, umask = [], os.umask(0o022)

    def report(progress: dict) -> None:
        assert json.loads((folder / PROGRESS).read_text()) == progress
        reports.append(progress | {"history": list(progress["history"])})

    run = train(folder, epochs=4, report=report)
    os.umask(umask)
    return SimpleNamespace(folder=folder, run=run, reports=reports)


@pytest.fixture
def refused(train) -> Callable[..., str]:
    return partial(refusal, train)


class Stopper:
    """Presses Ctrl-C once when a step, or a later one, is reported."""

    def __init__(self, step: int):
        self.step, self.phases = step, []

    def __call__(self, progress: dict) -> None:
        self.phases.append(progress["phase"])
        if progress["step"] >= self.step:
            self.step = math.inf
            signal.raise_signal(signal.SIGINT)


def shape(done: float) -> float:
    """The share of its peak that the learning rate has when the share `done` of a run is over."""
    return done / 0.1 if done < 0.1 else 0.5 + 0.5 * math.cos((done - 0.1) / 0.9 * math.pi)


# --- by the clock -----------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch) -> SimpleNamespace:
    """A machine whose clock the test holds: seconds of a step, set-up, saving and scoring."""
    made = SimpleNamespace(now=1000.0, step=lambda: 1.0, set_up=0.0, saving=0.0, scoring=0.0)
    made.checkpoints = 0
    for module in (small_models, training, compute, clock):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: made.now))

    def takes(home: object, name: str, seconds: Callable[[], float]) -> None:
        original = getattr(home, name)

        def slow(*args, **options):
            made.now += seconds()
            return original(*args, **options)

        monkeypatch.setattr(home, name, slow)

    def save() -> float:
        made.checkpoints += 1
        return made.saving

    calibrated = {"threshold": 0.4, "temperature": 1.5}
    monkeypatch.setattr(training, "evaluate", lambda *args: {"f1": 50.0})
    monkeypatch.setattr(runs, "fit_calibration", lambda *args: calibrated)
    takes(training, "span_loss", lambda: made.step())
    takes(training, "load_model", lambda: made.set_up)
    takes(training.ReaderTrainer, "_save_checkpoint", save)
    takes(runs, "save_reader", lambda: made.saving)
    takes(training, "evaluate", lambda: made.scoring)
    takes(runs, "make_card", lambda: made.scoring)
    return made


@pytest.mark.parametrize(("first", "then"), [(1.0, 5.0), (5.0, 1.0)])
def test_minutes_are_kept_though_steps_change_their_pace_and_the_learning_rate_follows_the_clock(
    train, machine, tmp_path, first, then
):
    began = machine.now
    machine.step = lambda: first if machine.now - began < 60 else then
    run = train(tmp_path, minutes=2)
    assert run.finished and abs(run.seconds - 120) <= 0.05 * 120
    assert machine.now - began == pytest.approx(run.seconds), "nothing was saved or scored"
    for before, entry in itertools.pairwise(run.history):
        expected = PEAK * shape(min(1, before["seconds"] / 120))
        assert entry["learning_rate"] == pytest.approx(expected, abs=1e-7)
    assert run.history[-1]["learning_rate"] < PEAK / 50


def test_a_model_that_is_slow_to_save_is_saved_so_seldom_that_it_costs_a_twentieth(
    train, machine, tmp_path
):
    machine.saving = 3.0
    run = train(tmp_path, minutes=5)
    assert abs(run.seconds - 300) <= 2
    assert machine.checkpoints == 5, "after 20 seconds, and then every 60"


def test_saving_and_scoring_do_not_count_and_about_sixty_logs_are_written(
    train, machine, with_validation, tmp_path, monkeypatch
):
    monkeypatch.setattr(clock, "LOGS", 60)
    machine.saving, machine.scoring, began, reports = 1.0, 7.0, machine.now, []
    run = train(tmp_path, data=with_validation, minutes=2, report=reports.append)
    assert abs(run.seconds - 120) <= 2
    assert machine.checkpoints == 5, "every 20 seconds of training"
    apart = (run.saving_seconds, run.evaluation_seconds)
    assert apart == pytest.approx((5 * 1 + 1, 4 * 7 + 7))
    assert machine.now - began == pytest.approx(run.seconds + sum(apart))
    assert run.history[-1]["seconds"] == pytest.approx(run.seconds)
    assert run.examples_per_second == pytest.approx(B / 1.0, rel=0.01), "of training alone"
    assert run.steps > 100 and 55 <= len(run.history) <= 61
    assert reports[0]["steps"] is None and reports[0]["planned_seconds"] == 120
    # How many steps it will be is an estimate, better and better.
    assert all(told["steps"] == pytest.approx(run.steps, rel=0.15) for told in reports[15:])
    assert reports[-1]["steps"] == run.steps


def test_one_step_at_least_is_taken_where_setting_up_took_all_the_time(train, machine, tmp_path):
    machine.set_up = 1000.0
    run = train(tmp_path, minutes=0.1)
    assert (run.finished, run.steps, len(run.history)) == (True, 1, 1)
    load_model(tmp_path)


class Killed(BaseException):
    """What a kill is to the process itself: nothing after it happens."""


def test_a_killed_run_by_minutes_ends_in_the_minutes_that_were_left(train, machine, tmp_path):
    began = machine.now

    def step() -> float:
        if machine.now - began > 50:
            raise Killed
        return 1.0

    machine.step = step
    with pytest.raises(Killed):
        train(tmp_path, minutes=1)
    folders = (tmp_path / CHECKPOINTS).iterdir()
    newest = max(folders, key=lambda folder: int(folder.name.rpartition("-")[2]))
    spent = json.loads((newest / MANIFEST).read_text())["seconds"]
    assert 40 <= spent < 50
    machine.step, restarted = lambda: 0.5, machine.now
    run = train(tmp_path, minutes=1)
    assert run.finished and machine.now - restarted == pytest.approx(60 - spent, abs=2)
    assert run.seconds == pytest.approx(60, abs=2)
    assert [entry["step"] for entry in run.history] == list(range(1, run.steps + 1))
    seconds = [entry["seconds"] for entry in run.history]
    assert seconds == sorted(seconds) and run.history[-1]["learning_rate"] < PEAK / 50
    load_model(tmp_path)


def test_a_run_by_minutes_that_was_stopped_goes_on_with_its_clock_rate_and_history(
    train, machine, tmp_path
):
    machine.saving, stopper = 5.0, Stopper(30)
    stopped = train(tmp_path, minutes=1, report=stopper)
    assert (stopped.finished, stopper.phases[-1]) == (False, "stopped")
    assert stopped.seconds == pytest.approx(32, abs=3)
    assert stopped.saving_seconds == pytest.approx(5 + 5 + 5)
    machine.step = lambda: 2.0
    run = train(tmp_path, minutes=1)
    assert run.finished and run.seconds == pytest.approx(60, abs=2)
    before, went_on = run.history[: len(stopped.history)], run.history[len(stopped.history) :]
    assert before == stopped.history and len(went_on) > 10
    expected = PEAK * shape(stopped.seconds / 60)
    assert went_on[0]["learning_rate"] == pytest.approx(expected, rel=0.02)
    assert run.history[-1]["seconds"] == pytest.approx(60, abs=2)


@pytest.mark.full
@pytest.mark.parametrize("busy", [0, 1])
def test_minutes_are_kept_on_this_machine_also_beside_a_busy_process(train, tmp_path, busy):
    command = [sys.executable, "-c", "while True: pass"]
    beside = [subprocess.Popen(command) for _ in range(busy)]
    try:
        run = train(tmp_path, minutes=0.5)
    finally:
        for process in beside:
            process.kill()
            process.wait()
    assert run.seconds == pytest.approx(30, abs=2)


# --- the training -----------------------------------------------------------------------------


def test_the_loss_falls(finished):
    losses = [entry["loss"] for entry in finished.run.history]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


def test_the_loss_is_that_of_the_library_where_nothing_is_padded_and_ignores_padding(tiny_model):
    token_ids = torch.randint(1000, 2000, (3, 11), generator=torch.Generator().manual_seed(0))
    inputs = {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids)}
    inputs["start_positions"] = torch.tensor([0, 3, 9])
    inputs["end_positions"] = torch.tensor([0, 5, 10])
    loss, outputs = training.span_loss(tiny_model, inputs)
    library = tiny_model(**inputs)
    assert torch.allclose(loss, library.loss, atol=1e-6)
    assert torch.equal(outputs.start_logits, library.start_logits)
    padded = {
        name: torch.nn.functional.pad(tensor, (0, 6)) if tensor.ndim == 2 else tensor
        for name, tensor in inputs.items()
    }
    assert torch.allclose(training.span_loss(tiny_model, padded)[0], loss, atol=1e-5)
    assert abs(tiny_model(**padded).loss - loss) > 0.1, "the library's own loss counts padding"


def test_the_loss_of_several_answers_is_the_mean_of_their_losses(tiny_model):
    token_ids = torch.randint(1000, 2000, (2, 9), generator=torch.Generator().manual_seed(0))
    inputs = {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids)}
    inputs["attention_mask"][1, 6:] = 0
    # Of each window, first and last token of the answers that people gave.
    given = [[(2, 3), (2, 5), (2, 3)], [(0, 0)]]
    sides = ("start_positions", "end_positions")
    shares, of_windows = {side: torch.zeros(2, 9) for side in sides}, []
    for row, answers in enumerate(given):
        window, losses = {name: tensor[row : row + 1] for name, tensor in inputs.items()}, []
        for answer in answers:
            one = {}
            for side, position in zip(sides, answer, strict=True):
                shares[side][row, position] += 1 / len(answers)
                one[side] = torch.tensor([position])
            losses.append(training.span_loss(tiny_model, window | one)[0])
        of_windows.append(sum(losses) / len(losses))
    loss, _ = training.span_loss(tiny_model, inputs | shares)
    assert torch.allclose(loss, sum(of_windows) / 2, atol=1e-5)


def test_by_passes_the_learning_rate_follows_the_steps(finished):
    assert finished.run.steps == 4 * N // B
    rates = [entry["learning_rate"] for entry in finished.run.history]
    assert rates == pytest.approx([PEAK * shape(step / 60) for step in range(60)])


@pytest.mark.parametrize(("width", "rate"), [(32, 3e-4), (511, 3e-4), (512, 5e-5), (768, 5e-5)])
def test_the_usual_learning_rate_depends_on_the_width(tmp_path, width, rate):
    run = FinetuneRun(tmp_path, {"learning_rate": None, "weight_decay": 0.0, "seed": 0})
    network = SimpleNamespace(config=SimpleNamespace(hidden_size=width))
    batches = LengthGroupedBatches([1] * N, B, 0, 1)
    assert training.training_arguments(run, batches, network).learning_rate == rate


def test_word_embeddings_stay_to_the_bit_and_all_else_is_trained_and_kept_in_half_precision(
    finished, tiny_folder
):
    before, after = weights(tiny_folder), weights(finished.folder)
    assert {*before} == {*after}
    for name, tensor in after.items():
        if name.endswith(WORD_EMBEDDINGS):
            assert tensor.dtype == torch.float32 and torch.equal(tensor, before[name])
        else:
            assert tensor.dtype == torch.float16
            stayed = torch.equal(tensor.float(), before[name].half().float())
            assert not stayed or name.endswith(WITHOUT_GRADIENT)


def test_weights_that_half_precision_does_not_hold_are_not_saved(refused, tmp_path, monkeypatch):
    original = training.finish

    def finish(trainer):
        trainer.model.qa_outputs.weight.data[0, 0] = 1e5
        original(trainer)

    monkeypatch.setattr(training, "finish", finish)
    assert "lower learning_rate" in refused(tmp_path, epochs=0.2)
    assert not load_run(tmp_path).finished and not (tmp_path / "model.safetensors").exists()


def test_there_is_no_dropout_while_training(finished):
    config = json.loads((finished.folder / "config.json").read_text())
    assert (config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]) == (0, 0)


@pytest.mark.parametrize(("emulated_only", "half"), [(True, "fp16"), (False, "bf16")])
def test_a_gpu_that_only_imitates_bf16_is_measured_in_fp16(monkeypatch, emulated_only, half):
    """A T4 says that it supports bf16 when it is asked without care."""

    def is_supported(including_emulation: bool = True) -> bool:
        return including_emulation or not emulated_only

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    monkeypatch.setattr(compute, "faster_precision", lambda work, device, half: half)
    reader = SimpleNamespace(model=torch.nn.Linear(1, 1), device=torch.device("cuda"))
    assert training.measured(reader, {}, False)[0] == half


def test_measuring_teaches_nothing(train, tmp_path, monkeypatch):
    def measure(work: Callable, *args) -> str:
        for _ in range(4):
            work()
        return "fp32"

    monkeypatch.setattr(compute, "faster_precision", measure)
    train(tmp_path / "measured", epochs=0.2)
    monkeypatch.setattr(training, "measured", lambda *args, **options: ("fp32", 1))
    train(tmp_path / "not", epochs=0.2)
    assert different(tmp_path / "measured", tmp_path / "not") == []


def test_progress_is_reported_with_all_that_is_documented_and_the_file_says_the_same(finished):
    keys = {"step", "steps", "seconds", "planned_seconds", "loss", "phase"}
    keys |= {"learning_rate", "examples_per_second", "history", "process"}
    reports = finished.reports
    assert all(set(told) == keys and told["process"] == os.getpid() for told in reports)
    assert [told["phase"] for told in reports] == ["training"] * 61 + ["finished"]
    assert [told["step"] for told in reports] == [*range(61), 60]
    assert {told["steps"] for told in reports} == {60}
    assert [len(told["history"]) for told in reports] == [*range(61), 60]
    assert reports[0]["loss"] is None
    assert all(told["loss"] > 0 and told["examples_per_second"] > 0 for told in reports[1:])
    seconds = [told["seconds"] for told in reports]
    assert seconds == sorted(seconds)


def test_a_run_says_what_it_cost_and_can_be_read_again(finished):
    run = finished.run
    assert run.finished and 0 < run.history[-1]["seconds"] <= run.seconds and run.saving_seconds > 0
    assert [entry["step"] for entry in run.history] == list(range(1, 61))
    keys = {"step", "seconds", "loss", "learning_rate", "examples_per_second"}
    assert set(run.history[0]) == keys
    # Speed is that of training alone: it cannot be less than with the set-up counted in.
    assert run.examples_per_second >= 60 * B / run.seconds
    assert (run.precision, run.processes, run.threads > 0) == ("fp32", 1, True)
    assert load_run(finished.folder) == run


def test_a_finished_folder_holds_what_is_needed_to_answer_and_no_checkpoints(finished, tiny_folder):
    written = {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"}
    files = {file.name: file.stat().st_mode for file in finished.folder.iterdir()}
    assert {*files} == written | {"card.json", RUN, PROGRESS, LOCK}
    modes = {stat.S_IMODE(mode) & 0o444 for mode in files.values()}
    assert modes == {0o444}, "a second user may read them"
    model, tokenizer = load_model(finished.folder)
    saved = weights(finished.folder)
    state = model.state_dict().items()
    assert all(torch.equal(tensor, saved[name].float()) for name, tensor in state)
    assert model.config._attn_implementation == "sdpa"
    assert tokenizer("Where is it?")["input_ids"][0] == tokenizer.cls_token_id
    card = json.loads((finished.folder / "card.json").read_text())
    expected = {"model": str(tiny_folder), "epochs": 4, "minutes": None, "seed": 0}
    expected |= {"batch_size": B, "steps": 60, "seconds": finished.run.seconds}
    expected |= {"threshold": 0.5, "temperature": 1.0, "offset": 0.0}
    expected["machine"] = runtime.machine_line()
    assert expected.items() <= card.items() and card["data"].startswith("60 questions")
    assert "not calibrated" in card["note"], "there were no validation questions"


# --- validation questions ---------------------------------------------------------------------


def test_f1_is_measured_four_times_and_the_card_is_made_of_validation_questions(
    train, with_validation, tmp_path, monkeypatch
):
    asked = []

    def fit_calibration(reader, questions):
        asked.append((reader.model.training, questions["id"]))
        return {"temperature": 1.7, "threshold": 0.3, "calibration": {"passage": {"f1": 61.5}}}

    monkeypatch.setattr(runs, "fit_calibration", fit_calibration)
    monkeypatch.setattr(runs, "CARD_QUESTIONS", 3)
    reports = []
    run = train(tmp_path, data=with_validation, epochs=2, report=reports.append)
    scored = {entry["step"]: entry["f1"] for entry in run.history if "f1" in entry}
    assert list(scored) == [8, 15, 23, 30] and all(0 <= f1 <= 100 for f1 in scored.values())
    assert reports[-1]["f1"] == scored[30] and run.evaluation_seconds > 0
    assert asked == [(False, ["q0", "q10", "q19"])], "from the first to the last"
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["temperature"], card["threshold"]) == (1.7, 0.3)
    assert card["calibration"]["passage"]["f1"] == 61.5
    assert load_run(tmp_path) == run and run.card == card


def test_f1_that_stays_well_below_its_best_is_said_once(
    train, with_validation, tmp_path, capsys, monkeypatch
):
    scores = [60.0, 50.0, 40.0, 30.0]
    monkeypatch.setattr(training, "evaluate", lambda *args: {"f1": scores.pop(0)})
    train(tmp_path, data=with_validation)
    assert scores == [] and capsys.readouterr().out.count("learning its questions by heart") == 1
    for curve, falls in (
        ((50, 60, 57, 55), True),
        ((50, 60, 55, 61), False),
        ((50, 60, 59, 58.5), False),
        ((60, 50, 59, 50), False),
        ((60, 50), False),
    ):
        assert clock.is_falling(curve) == falls


# --- asked for a second time ------------------------------------------------------------------


def test_a_finished_run_is_returned_without_a_step_and_left_alone(finished, train, monkeypatch):
    before = contents(finished.folder)
    (finished.folder / CHECKPOINTS / "checkpoint-3").mkdir(parents=True)  # which a kill left
    monkeypatch.setattr(training.ReaderTrainer, "train", lambda *args, **options: pytest.fail())
    reports = []
    again = train(finished.folder, epochs=4, report=reports.append)
    assert again == finished.run
    (told,), last = reports, finished.reports[-1]
    assert {*told} == {*last}
    assert all(told[name] == last[name] for name in ("phase", "step", "steps", "loss", "history"))
    assert contents(finished.folder) == before and not (finished.folder / CHECKPOINTS).exists()


OTHER = {"seed": 1, "batch_size": 8, "learning_rate": 1e-3, "weight_decay": 0.0}
OTHER |= {"max_length": 200, "doc_stride": 64, "epochs": 5, "minutes": 1, "model": "minilm"}


@pytest.mark.parametrize(("name", "value"), [*OTHER.items(), ("data", "one other answer")])
def test_other_arguments_begin_a_run_beside_and_one_line_says_so(
    finished, refused, data, capsys, monkeypatch, name, value
):
    def load(*args, **options):
        raise RunError("it began")

    monkeypatch.setattr(training, "load_model", load)
    if name == "data":
        rows = data["train"].to_list()
        rows[7]["answers"] = {"text": [], "answer_start": []}
        value = DatasetDict(train=Dataset.from_list(rows, features=data["train"].features))
    before, beside = contents(finished.folder), finished.folder.with_name("live-2")
    options = {"epochs": None if name == "minutes" else 4} | {name: value}
    try:
        assert refused(finished.folder, **options) == "it began"
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith(f"{finished.folder} holds a run with {name}=")
        assert line.endswith(f"; it goes to {beside}.")
        assert name == "data" or f"this one has {name}={value!r}" in line
        assert beside.is_dir() and contents(finished.folder) == before
    finally:
        shutil.rmtree(beside)


def test_runs_beside_go_on_and_are_found(train, tmp_path, capsys):
    live = tmp_path / "live"
    live.mkdir()
    (live / "notes.txt").write_text("mine")
    first = train(live, epochs=0.2, report=None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("step 0 of 3 · ")
    assert lines[-1].startswith("finished · step 3 of 3 · ")
    second = train(live, epochs=0.4, report=Stopper(2))
    third = train(live, epochs=0.2, seed=1)
    assert [run.output_dir.name for run in (first, second, third)] == ["live", "live-2", "live-3"]
    assert len(capsys.readouterr().out.splitlines()) == 2
    before = contents(live)
    went_on = train(live, epochs=0.4)
    assert (went_on.output_dir, went_on.finished, went_on.steps) == (second.output_dir, True, 6)
    assert [entry["step"] for entry in went_on.history] == list(range(1, 7))
    assert train(live, epochs=0.2, seed=1) == third == load_run(third.output_dir)
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"; it is in {third.output_dir}.")
    anew = train(live, epochs=0.2, resume=False)
    assert anew.output_dir.name == "live-4" and different(anew.output_dir, live) == []
    assert contents(live) == before and (live / "notes.txt").read_text() == "mine"
    assert "resume is off" in capsys.readouterr().out
    assert runtime.latest_run(live, tmp_path / "shipped") == anew.output_dir


def test_finetune_takes_what_the_contract_says():
    asked = inspect.signature(finetune).parameters
    defaults = {name: asked[name].default for name in asked}
    first = {"model": "minilm", "data": "course", "minutes": None, "output_dir": "build/qa"}
    first |= {"resume": True, "seed": 0}
    assert list(defaults.items())[:6] == list(first.items())
    named = {"epochs": None, "batch_size": 16, "learning_rate": None, "weight_decay": 0.01}
    named |= {"max_length": 384, "doc_stride": 128}
    assert named.items() <= defaults.items()
    assert all(asked[name].kind is inspect.Parameter.KEYWORD_ONLY for name in list(asked)[6:])


@pytest.mark.parametrize(
    "names", [["model.safetensors"], ["config.json", "tokenizer.json"], ["card.json"]]
)
def test_what_no_run_left_there_is_not_overwritten(refused, finished, tmp_path, names):
    for name in names:
        shutil.copy(finished.folder / name, tmp_path)
    before = contents(tmp_path)
    assert f"{tmp_path} holds {', '.join(names)} that no run left there" in refused(tmp_path)
    assert contents(tmp_path) == before and not (tmp_path / LOCK).exists()


BROKEN = ["", "{", "[]", '{"steps": 3}', '{"arguments": 3}', '{"finished": true, "model": "x"}']


def test_a_run_that_cannot_be_read_stays_and_a_new_one_goes_beside(train, tmp_path, capsys):
    for broken in BROKEN:
        (tmp_path / RUN).write_text(broken)
        with pytest.raises(RunError, match=f"{tmp_path} holds no readable run .* another folder"):
            load_run(tmp_path)
        opened = runs.open_run(tmp_path, {"seed": 0}, resume=True)
        assert opened.output_dir == tmp_path.with_name(f"{tmp_path.name}-2")
    beside = train(tmp_path, epochs=0.1)
    assert beside.finished and beside.output_dir == opened.output_dir
    says = f"{tmp_path} holds a run that cannot be read, or of another version"
    assert f"{says}; it goes to {beside.output_dir}." in capsys.readouterr().out
    assert (tmp_path / RUN).read_text() == broken


def test_a_second_training_in_the_same_folder_is_refused_meanwhile(train, refused, tmp_path):
    seen = []

    def meanwhile(progress: dict) -> None:
        if progress["step"] == 1:
            seen.append(refused(tmp_path, epochs=0.2))

    assert train(tmp_path, epochs=0.2, report=meanwhile).finished
    assert f"another process (pid {os.getpid()}) is training in {tmp_path};" in seen[0]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"epochs": None}, "either minutes or epochs"),
        ({"minutes": 0}, "above zero (found minutes=0"),
        ({"minutes": float("nan")}, "above zero"),
        ({"minutes": float("inf")}, "above zero"),
        ({"epochs": 0}, "above zero"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296"),
    ],
)
def test_what_no_run_could_follow_is_refused_before_anything_is_written(
    refused, tmp_path, options, words
):
    assert words in refused(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_data_without_training_questions_is_refused_in_one_line(refused, harbour, tmp_path):
    none, some = harbour.select([]), harbour.select(range(3))
    for splits in ({}, {"validation": some}, {"train": none, "validation": some}):
        line = refused(tmp_path / "run", data=DatasetDict(splits))
        found = ", ".join(f"{name} with {len(rows)}" for name, rows in splits.items())
        assert f"'train' (found {found or 'none'})" in line
    assert runs.training_splits({"train": some, "validation": none}) == (some, None)


# --- interrupted by hand ----------------------------------------------------------------------


def test_ctrl_c_stops_after_the_step_under_way_and_a_resume_goes_on_with_the_next_batch(
    train, data, tokenizer, tmp_path, monkeypatch
):
    seen, original = [], training.ReaderTrainer.compute_loss

    def compute_loss(self, model, inputs, *args, **options):
        assert inputs["input_ids"].shape[1] % 8 == 0, "few different shapes"
        columns = ("input_ids", "attention_mask", "start_positions")
        rows = zip(*(inputs[name] for name in columns), strict=True)
        seen.append([(ids[mask == 1].tolist(), int(start.argmax())) for ids, mask, start in rows])
        return original(self, model, inputs, *args, **options)

    monkeypatch.setattr(training.ReaderTrainer, "compute_loss", compute_loss)
    before, stopper = signal.getsignal(signal.SIGINT), Stopper(7)
    run = train(tmp_path, epochs=2, report=stopper)
    assert signal.getsignal(signal.SIGINT) is before
    assert (run.finished, run.steps, stopper.phases[-1]) == (False, 8, "stopped")
    assert load_run(tmp_path) == run
    load_model(tmp_path)
    steps = []
    resumed = train(tmp_path, epochs=2, report=lambda progress: steps.append(progress["step"]))
    assert (resumed.finished, resumed.steps, steps[0]) == (True, 30, 8)
    assert [entry["step"] for entry in resumed.history] == list(range(1, 31))
    assert resumed.seconds > run.seconds
    windows = prepare_features(data["train"], tokenizer)
    batches = itertools.islice(LengthGroupedBatches(windows["length"], B, 0, 2), 30)
    expected = (windows.select(batch) for batch in batches)
    columns = ("input_ids", "start_positions")
    assert seen == [
        list(zip(*(batch[name] for name in columns), strict=True)) for batch in expected
    ]


def test_a_run_that_began_in_fp16_on_a_gpu_goes_on_without_one(train, tmp_path):
    run = train(tmp_path, epochs=2, report=Stopper(7))
    run.precision = "fp16"
    run.save()
    (checkpoint,) = (tmp_path / "checkpoints").glob("checkpoint-8")
    scaler = {"scale": 2.0**16, "growth_factor": 2.0, "_growth_tracker": 3}
    torch.save(scaler, checkpoint / "scaler.pt")  # what the Trainer writes there in fp16
    resumed = train(tmp_path, epochs=2)
    assert (resumed.finished, resumed.steps) == (True, 30) and resumed.precision != "fp16"


def test_ctrl_c_in_the_last_step_changes_nothing(train, tmp_path):
    assert train(tmp_path, epochs=0.4, report=Stopper(5)).finished


def test_a_second_ctrl_c_interrupts_at_once():
    state, before = SimpleNamespace(interrupted=False), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), clock.stopped_by_ctrl_c(state):
        signal.raise_signal(signal.SIGINT)
        assert state.interrupted
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_in_another_thread_leaves_signals_alone(monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *args: pytest.fail("it set a handler"))
    done = []

    def work() -> None:
        with clock.stopped_by_ctrl_c(SimpleNamespace(interrupted=False)):
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_by_passes_threads_and_precision_are_those_of_the_beginning(train, tmp_path, monkeypatch):
    train(tmp_path, report=Stopper(3))
    record = json.loads((tmp_path / RUN).read_text())
    (tmp_path / RUN).write_text(json.dumps(record | {"threads": 3, "precision": "bf16"}))
    monkeypatch.setattr(training, "measured", lambda *args: pytest.fail("it measured"))
    found, before = set(), torch.get_num_threads()
    original = clock.Clock.on_optimizer_step

    def on_optimizer_step(self, args, *rest, **more):
        found.add((torch.get_num_threads(), args.bf16))
        original(self, args, *rest, **more)

    monkeypatch.setattr(clock.Clock, "on_optimizer_step", on_optimizer_step)
    run = train(tmp_path)
    assert run.finished and (run.threads, run.precision) == (3, "bf16")
    # Around forward and backward, too: the length of a gradient depends on how many add it up.
    assert found == {(3, True)} and torch.get_num_threads() == before


# --- what must not fail in silence ------------------------------------------------------------


def nan_weight(monkeypatch) -> None:
    original = training.prepare_network

    def prepare_network(network):
        original(network)
        network.bert.encoder.layer[0].output.dense.weight.data[3, 5] = torch.nan

    monkeypatch.setattr(training, "prepare_network", prepare_network)


def labels_on_padding(monkeypatch) -> None:
    original = training.ReaderCollator.__call__

    def collate(self, windows):
        batch = original(self, windows)
        lengths = batch["attention_mask"].cumsum(1)
        batch["end_positions"] = (lengths == lengths[:, -1:]).float()
        return batch

    monkeypatch.setattr(training.ReaderCollator, "__call__", collate)


@pytest.mark.parametrize(
    ("spoil", "options"),
    [(None, {"learning_rate": 1000.0}), (nan_weight, {}), (labels_on_padding, {})],
)
def test_a_loss_that_is_not_a_number_ends_the_run_and_nothing_is_finished(
    refused, tmp_path, monkeypatch, spoil, options
):
    if spoil:
        spoil(monkeypatch)
    reports = []
    says = refused(tmp_path, epochs=40, report=reports.append, **options)
    step = reports[-1]["step"] + 1
    assert f"the loss is not a number at step {step} of the run in {tmp_path};" in says
    assert {told["phase"] for told in reports} == {"training"}
    assert all(told["loss"] is None or math.isfinite(told["loss"]) for told in reports)
    assert not load_run(tmp_path).finished and not (tmp_path / "model.safetensors").exists()
