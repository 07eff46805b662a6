"""Fine-tuning a tiny BERT: minutes are kept, interruptions made good, nothing is lost."""

from __future__ import annotations

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
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from run_folders import WITHOUT_GRADIENT, contents, different, weights

from src import compute, runtime
from src import training as small_models
from src.qa import clock, runs, training
from src.qa.background import BackgroundRun
from src.qa.batches import LengthGroupedBatches
from src.qa.features import prepare_features
from src.qa.models import WORD_EMBEDDINGS, load_model
from src.qa.processes import HOLDER, LOCK, RunError
from src.qa.runs import CHECKPOINTS, MANIFEST, PROGRESS, RUN, FinetuneRun, load_run
from src.qa.training import finetune

N, B, PEAK = 60, 4, 3e-3  # questions and windows per step, so 15 steps a pass; the learning rate


@pytest.fixture(scope="module")
def data(harbour: Dataset) -> DatasetDict:
    return DatasetDict(train=harbour)


@pytest.fixture(scope="module")
def with_validation(harbour: Dataset) -> DatasetDict:
    return DatasetDict(train=harbour, validation=harbour.select(range(20)))


@pytest.fixture(scope="module")
def train(tiny_folder: Path, data: DatasetDict) -> Callable[..., FinetuneRun]:
    """finetune on the tiny model, quietly; further arguments replace the usual ones."""

    def run(output_dir: Path, **options) -> FinetuneRun:
        usual = {
            "model": tiny_folder,
            "data": data,
            "epochs": None if "minutes" in options else 1,
            "batch_size": B,
        }
        return finetune(
            output_dir=output_dir,
            **usual | {"learning_rate": PEAK, "report": lambda progress: None} | options,
        )

    return run


@pytest.fixture(autouse=True)
def every_step_is_logged_and_all_computed_in_fp32(monkeypatch):
    monkeypatch.setattr(clock, "LOGS", 10**6)
    monkeypatch.setattr(compute, "faster_precision", lambda *args: "fp32")


@pytest.fixture(scope="module")
def finished(
    train: Callable[..., FinetuneRun], tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """One uninterrupted run of four passes: its folder, the run, and what was reported."""
    folder = tmp_path_factory.mktemp("runs") / "live"
    seen: list[dict] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "LOGS", 10**6)
        run = train(folder, epochs=4, report=lambda progress: seen.append(dict(progress)))
    return SimpleNamespace(folder=folder, run=run, reports=seen)


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


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
    made = SimpleNamespace(
        now=1000.0, step=lambda: 0.5, set_up=0.0, saving=0.0, scoring=0.0, saved=[]
    )
    for module in (small_models, training, compute):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: made.now))

    def takes(home: object, name: str, seconds: Callable[[], float]) -> None:
        original = getattr(home, name)

        def slow(*args, **options):
            made.now += seconds()
            return original(*args, **options)

        monkeypatch.setattr(home, name, slow)

    monkeypatch.setattr(training, "evaluate", lambda *args: {"f1": 50.0})
    monkeypatch.setattr(
        runs, "fit_calibration", lambda *args: {"threshold": 0.4, "temperature": 1.5}
    )
    takes(training, "span_loss", lambda: made.step())
    takes(training, "load_model", lambda: made.set_up)
    takes(
        training.ReaderTrainer,
        "_save_checkpoint",
        lambda: made.saved.append(made.now) or made.saving,
    )
    takes(runs, "save_reader", lambda: made.saving)
    takes(training, "evaluate", lambda: made.scoring)
    takes(runs, "make_card", lambda: made.scoring)
    return made


@pytest.mark.parametrize(("first", "then"), [(0.5, 5.0), (5.0, 0.5), (1.0, 1.0)])
def test_minutes_are_kept_though_steps_change_their_pace_and_the_learning_rate_follows_the_clock(
    train, machine, tmp_path, first, then
):
    began = machine.now
    machine.step = lambda: first if machine.now - began < 60 else then
    run = train(tmp_path, minutes=2)
    assert run.finished and abs(run.seconds - 120) <= 0.05 * 120
    assert machine.now - began == pytest.approx(run.seconds), (
        "seconds by the wall, since nothing was saved or scored"
    )
    for before, entry in itertools.pairwise(run.history):
        assert entry["learning_rate"] == pytest.approx(
            PEAK * shape(min(1, before["seconds"] / 120)), abs=1e-7
        )
    assert run.history[-1]["learning_rate"] < PEAK / 50


def test_saving_and_scoring_do_not_count_and_are_reported_apart(
    train, machine, with_validation, tmp_path
):
    machine.saving, machine.scoring, began = 5.0, 7.0, machine.now
    run = train(tmp_path, data=with_validation, minutes=2)
    assert abs(run.seconds - 120) <= 2
    assert len(machine.saved) == 5, "every 20 seconds of training"
    assert run.saving_seconds == pytest.approx(
        5 * 5 + 5
    ) and run.evaluation_seconds == pytest.approx(4 * 7 + 7)
    assert machine.now - began == pytest.approx(
        run.seconds + run.saving_seconds + run.evaluation_seconds
    )
    assert run.history[-1]["seconds"] == pytest.approx(run.seconds)
    assert run.examples_per_second == pytest.approx(B / 0.5, rel=0.01), "of training alone"


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
        return 0.5

    machine.step = step
    with pytest.raises(Killed):
        train(tmp_path, minutes=1)
    newest = max(
        (tmp_path / CHECKPOINTS).iterdir(), key=lambda folder: int(folder.name.rpartition("-")[2])
    )
    spent = json.loads((newest / MANIFEST).read_text())["seconds"]
    assert 40 < spent < 50
    machine.step, restarted = lambda: 0.25, machine.now
    run = train(tmp_path, minutes=1)
    assert run.finished and machine.now - restarted == pytest.approx(60 - spent, abs=2)
    assert run.seconds == pytest.approx(60, abs=2)
    assert [entry["step"] for entry in run.history] == list(range(1, run.steps + 1))
    seconds = [entry["seconds"] for entry in run.history]
    assert seconds == sorted(seconds) and run.history[-1]["learning_rate"] < PEAK / 50
    load_model(tmp_path)


def test_a_run_by_minutes_that_was_stopped_goes_on_with_its_clock_rate_and_history(
    train, machine, tmp_path, monkeypatch
):
    monkeypatch.setattr(clock, "LOGS", 60)
    machine.saving, machine.scoring = 5.0, 7.0
    stopper = Stopper(60)
    stopped = train(tmp_path, minutes=1, report=stopper)
    assert (stopped.finished, stopper.phases[-1]) == (False, "stopped")
    assert stopped.seconds == pytest.approx(32, abs=3) and stopped.saving_seconds == pytest.approx(
        5 + 5 + 5
    )
    machine.step = lambda: 1.0
    run = train(tmp_path, minutes=1)
    assert run.finished and run.seconds == pytest.approx(60, abs=2)
    went_on = run.history[len(stopped.history) :]
    assert run.history[: len(stopped.history)] == stopped.history and len(went_on) > 20
    assert went_on[0]["learning_rate"] == pytest.approx(
        PEAK * shape(stopped.seconds / 60), rel=0.02
    )
    assert run.history[-1]["seconds"] == pytest.approx(60, abs=2)


def test_about_sixty_logs_are_written_however_many_steps_a_run_takes(
    train, machine, tmp_path, monkeypatch
):
    monkeypatch.setattr(clock, "LOGS", 60)
    reports = []
    run = train(tmp_path, minutes=1, report=reports.append)
    assert run.steps > 100 and 55 <= len(run.history) <= 61
    assert reports[0]["steps"] is None and reports[0]["planned_seconds"] == 60
    # How many steps it will be is an estimate, better and better.
    assert all(progress["steps"] == pytest.approx(run.steps, rel=0.15) for progress in reports[15:])
    assert reports[-1]["steps"] == run.steps


@pytest.mark.full
@pytest.mark.parametrize("processes_beside", [0, 1])
def test_minutes_are_kept_on_this_machine_also_beside_a_busy_process(
    train, tmp_path, processes_beside
):
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(processes_beside)
    ]
    try:
        run = train(tmp_path, minutes=0.5)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert run.seconds == pytest.approx(30, abs=2)


# --- the training -----------------------------------------------------------------------------


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
    given = [
        [(2, 3), (2, 5), (2, 3)],
        [(0, 0)],
    ]  # of each window, first and last token of the answers that people gave
    shares = [torch.zeros(2, 9), torch.zeros(2, 9)]
    for row, answers in enumerate(given):
        for answer in answers:
            for side, position in enumerate(answer):
                shares[side][row, position] += 1 / len(answers)
    loss, _ = training.span_loss(
        tiny_model, inputs | {"start_positions": shares[0], "end_positions": shares[1]}
    )
    one_by_one = []
    for row, answers in enumerate(given):
        window = {name: tensor[row : row + 1] for name, tensor in inputs.items()}
        of_one = [
            training.span_loss(
                tiny_model,
                window | {"start_positions": torch.tensor([s]), "end_positions": torch.tensor([e])},
            )[0]
            for s, e in answers
        ]
        one_by_one.append(sum(of_one) / len(of_one))
    assert torch.allclose(loss, (one_by_one[0] + one_by_one[1]) / 2, atol=1e-5)


def test_it_learns_from_the_batches_of_the_sampler_and_a_stopped_run_goes_on_with_the_next(
    train, data, tokenizer, tmp_path, monkeypatch
):
    seen, original = [], training.ReaderTrainer.compute_loss

    def compute_loss(self, model, inputs, *args, **options):
        rows = zip(
            inputs["input_ids"],
            inputs["attention_mask"].bool(),
            inputs["start_positions"],
            strict=True,
        )
        seen.append([(ids[real].tolist(), int(start.argmax())) for ids, real, start in rows])
        return original(self, model, inputs, *args, **options)

    monkeypatch.setattr(training.ReaderTrainer, "compute_loss", compute_loss)
    train(tmp_path, epochs=2, report=Stopper(11))
    train(tmp_path, epochs=2)
    windows = prepare_features(data["train"], tokenizer)
    batches = itertools.islice(LengthGroupedBatches(windows["length"], B, 0, 2), 30)
    assert seen == [
        [(windows[row]["input_ids"], windows[row]["start_positions"]) for row in batch]
        for batch in batches
    ]


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
            assert not torch.equal(tensor.float(), before[name].half().float()) or name.endswith(
                WITHOUT_GRADIENT
            )


def test_weights_that_half_precision_does_not_hold_are_not_saved(train, tmp_path, monkeypatch):
    original = training.finish

    def finish(trainer):
        trainer.model.qa_outputs.weight.data[0, 0] = 1e5
        original(trainer)

    monkeypatch.setattr(training, "finish", finish)
    with pytest.raises(RunError, match="lower learning_rate"):
        train(tmp_path, epochs=0.2)
    assert not load_run(tmp_path).finished and not (tmp_path / "model.safetensors").exists()


def test_there_is_no_dropout_while_training(train, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(
        training, "finish", lambda trainer: found.append(trainer.model.config.to_dict())
    )
    monkeypatch.setattr(runs, "publish", lambda *args: None)
    train(tmp_path, epochs=0.1)
    assert (found[0]["hidden_dropout_prob"], found[0]["attention_probs_dropout_prob"]) == (0, 0)


@pytest.mark.parametrize(("emulated_only", "half"), [(True, "fp16"), (False, "bf16")])
def test_a_gpu_that_only_imitates_bf16_is_measured_in_fp16(monkeypatch, emulated_only, half):
    """A T4 says that it supports bf16 when it is asked without care."""
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: including_emulation or not emulated_only,
    )
    monkeypatch.setattr(compute, "faster_precision", lambda work, device, half: half)
    reader = SimpleNamespace(model=torch.nn.Linear(1, 1), device=torch.device("cuda"))
    assert training.measured(reader, {}, False)[0] == half


def test_measuring_teaches_nothing(train, tmp_path, monkeypatch):
    monkeypatch.setattr(
        compute, "faster_precision", lambda work, *args: [work() for _ in range(4)] and "fp32"
    )
    train(tmp_path / "measured", epochs=0.2)
    monkeypatch.setattr(training, "measured", lambda *args, **options: ("fp32", 1))
    train(tmp_path / "not", epochs=0.2)
    assert different(tmp_path / "measured", tmp_path / "not") == []


def test_progress_is_reported_with_all_that_is_documented(finished):
    keys = {
        "step",
        "steps",
        "seconds",
        "planned_seconds",
        "saving_seconds",
        "loss",
        "learning_rate",
        "examples_per_second",
        "phase",
    }
    assert all(set(progress) == keys for progress in finished.reports)
    assert [progress["phase"] for progress in finished.reports] == ["training"] * 61 + ["finished"]
    assert [progress["step"] for progress in finished.reports] == [*range(61), 60]
    assert {progress["steps"] for progress in finished.reports} == {60}
    assert finished.reports[0]["loss"] is None
    assert all(
        progress["loss"] > 0 and progress["examples_per_second"] > 0
        for progress in finished.reports[1:]
    )
    seconds = [progress["seconds"] for progress in finished.reports]
    assert seconds == sorted(seconds)


def test_whoever_looks_on_finds_the_progress_in_a_file(train, tmp_path):
    seen = []
    run = train(
        tmp_path,
        report=lambda progress: seen.append(
            (progress, json.loads((tmp_path / PROGRESS).read_text()))
        ),
    )
    assert all(written.pop("process") == os.getpid() for _, written in seen)
    assert all(
        told == {name: value for name, value in written.items() if name != "history"}
        for told, written in seen
    )
    assert [len(written["history"]) for _, written in seen] == [*range(16), 15]
    assert seen[-1][1]["history"] == run.history


def test_a_line_is_printed_now_and_then_where_there_is_no_reporter(train, tmp_path, capsys):
    train(tmp_path, epochs=0.4, report=None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("step 0 of 6 · ") and lines[-1].startswith(
        "finished · step 6 of 6 · "
    )


def test_a_run_says_what_it_cost_and_can_be_read_again(finished):
    run = finished.run
    assert run.finished
    assert 0 < run.history[-1]["seconds"] <= run.seconds
    assert run.saving_seconds > 0
    assert [entry["step"] for entry in run.history] == list(range(1, 61))
    assert set(run.history[0]) == {
        "step",
        "seconds",
        "loss",
        "learning_rate",
        "grad_norm",
        "examples_per_second",
    }
    # Speed is that of training alone: it cannot be less than with the set-up counted in.
    assert run.examples_per_second >= 60 * B / run.seconds
    assert (run.precision in ("fp32", "bf16"), run.processes, run.threads > 0) == (True, 1, True)
    assert load_run(finished.folder) == run


def test_a_finished_folder_holds_what_is_needed_to_answer_and_no_checkpoints(finished, tiny_folder):
    files = {
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "card.json",
        RUN,
        PROGRESS,
        LOCK,
    }
    assert {file.name for file in finished.folder.iterdir()} == files
    model, tokenizer = load_model(finished.folder)
    assert all(
        torch.equal(tensor, weights(finished.folder)[name].float())
        for name, tensor in model.state_dict().items()
    )
    assert model.config._attn_implementation == "sdpa"
    assert tokenizer("Where is it?")["input_ids"][0] == tokenizer.cls_token_id
    card = json.loads((finished.folder / "card.json").read_text())
    expected = {
        "model": str(tiny_folder),
        "epochs": 4,
        "minutes": None,
        "seed": 0,
        "batch_size": B,
        "steps": 60,
    }
    assert {name: card[name] for name in expected} == expected
    assert (
        card["data"].startswith("60 questions")
        and card["machine"] == runtime.machine()
        and card["seconds"] == finished.run.seconds
    )


def test_a_second_user_may_read_all_files(train, tmp_path):
    before = os.umask(0o022)
    try:
        train(tmp_path, epochs=0.1)
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert all(mode & 0o444 == 0o444 for mode in modes.values()), modes


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
    assert (card["temperature"], card["threshold"], card["calibration"]["passage"]["f1"]) == (
        1.7,
        0.3,
        61.5,
    )
    assert load_run(tmp_path) == run and run.card == card


@pytest.mark.parametrize("splits", [("train",), ("train", "validation")])
def test_without_validation_questions_the_card_says_that_scores_are_not_calibrated(
    train, harbour, tmp_path, splits
):
    data = DatasetDict(
        {name: harbour if name == "train" else harbour.select([]) for name in splits}
    )
    run = train(tmp_path, data=data, epochs=0.3)
    assert not any("f1" in entry for entry in run.history)
    assert (run.card["threshold"], run.card["temperature"]) == (
        0.5,
        1.0,
    ) and "not calibrated" in run.card["note"]


@pytest.mark.parametrize(
    ("scores", "warnings"),
    [
        ((50, 60, 57, 55), 1),
        ((60, 50, 40, 30), 1),
        ((50, 60, 55, 61), 0),
        ((50, 60, 59, 58.5), 0),
        ((60, 50, 59, 50), 0),
    ],
)
def test_f1_that_stays_well_below_its_best_is_said_once(
    train, with_validation, tmp_path, capsys, monkeypatch, scores, warnings
):
    left = list(scores)
    monkeypatch.setattr(training, "evaluate", lambda *args: {"f1": float(left.pop(0))})
    run = train(tmp_path, data=with_validation)
    assert [entry["f1"] for entry in run.history if "f1" in entry] == list(scores)
    assert capsys.readouterr().out.count("learning its questions by heart") == warnings


# --- asked for a second time ------------------------------------------------------------------


def test_a_finished_run_is_returned_without_a_step_and_left_alone(finished, train, monkeypatch):
    before = contents(finished.folder)
    (finished.folder / CHECKPOINTS / "checkpoint-3").mkdir(parents=True)  # which a kill left
    monkeypatch.setattr(
        training.ReaderTrainer, "train", lambda *args, **options: pytest.fail("it trained")
    )
    reports = []
    again = train(finished.folder, epochs=4, report=reports.append)
    assert again == finished.run
    assert [set(progress) - {"history"} for progress in reports] == [set(finished.reports[-1])]
    assert all(
        reports[0][name] == finished.reports[-1][name]
        for name in ("phase", "step", "steps", "loss")
    )
    assert reports[0]["history"] == finished.run.history
    assert contents(finished.folder) == before and not (finished.folder / CHECKPOINTS).exists()


OTHER = [
    ("seed", 1),
    ("batch_size", 8),
    ("learning_rate", 1e-3),
    ("weight_decay", 0.0),
    ("max_length", 200),
    ("doc_stride", 64),
]
OTHER += [
    ("epochs", 5),
    ("minutes", 1),
    ("model", "minilm"),
    ("data", "fewer"),
    ("data", "one other answer"),
]


@pytest.mark.parametrize(("name", "value"), OTHER)
def test_other_arguments_begin_a_run_beside_and_one_line_says_so(
    finished, train, data, capsys, monkeypatch, name, value
):
    monkeypatch.setattr(
        training, "load_model", lambda *args, **options: (_ for _ in ()).throw(RunError("it began"))
    )
    if name == "data":
        changed = data["train"].to_list()
        changed[7]["answers"] = {"text": [], "answer_start": []}
        value = (
            data["train"].select(range(50))
            if value == "fewer"
            else Dataset.from_list(changed, features=data["train"].features)
        )
        value = DatasetDict(train=value)
    before, beside = contents(finished.folder), finished.folder.with_name("live-2")
    try:
        with pytest.raises(RunError, match="it began"):
            train(
                finished.folder,
                **{"epochs": 4} | ({"epochs": None} if name == "minutes" else {}) | {name: value},
            )
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith(f"{finished.folder} holds a run with {name}=") and line.endswith(
            f"; it goes to {beside}."
        )
        assert name == "data" or f"this one has {name}={value!r}" in line
        assert beside.is_dir() and contents(finished.folder) == before
    finally:
        shutil.rmtree(beside)


def test_runs_beside_go_on_and_are_found(train, tmp_path, capsys):
    live = tmp_path / "live"
    first = train(live, epochs=0.2)
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
    assert (
        anew.output_dir.name == "live-4"
        and different(anew.output_dir, live) == []
        and contents(live) == before
    )
    assert "resume is off" in capsys.readouterr().out
    assert runtime.latest_run(live, tmp_path / "shipped") == anew.output_dir


def test_the_progress_of_a_run_beside_is_found_by_its_process(finished, tmp_path):
    for name, process in (("live", 1), ("live-2", 7), ("live-x", 7)):
        (tmp_path / name).mkdir()
        (tmp_path / name / PROGRESS).write_text(json.dumps({"process": process, "step": name}))
    assert BackgroundRun(tmp_path / "live", 7).progress["step"] == "live-2"
    assert BackgroundRun(tmp_path / "live", 8).progress == {}


def test_a_run_of_an_older_version_stays_and_the_new_one_goes_beside(train, tmp_path, capsys):
    (tmp_path / "live").mkdir()
    old = {
        "run.json": '{"finished": true, "steps": 7}',
        "plan.json": "{}",
        "model.safetensors": "old weights",
    }
    for name, content in old.items():
        (tmp_path / "live" / name).write_text(content)
    run = train(tmp_path / "live", epochs=0.1)
    assert run.finished and run.output_dir == tmp_path / "live-2"
    assert (
        f"{tmp_path / 'live'} holds a run of an older version of the course; "
        f"it goes to {tmp_path / 'live-2'}." in capsys.readouterr().out
    )
    assert {name: (tmp_path / "live" / name).read_text() for name in old} == old


def test_finetune_takes_what_the_contract_says():
    asked = inspect.signature(finetune).parameters
    first = {
        "model": "minilm",
        "data": "course",
        "minutes": None,
        "output_dir": "build/qa",
        "resume": True,
        "seed": 0,
    }
    assert {name: asked[name].default for name in list(asked)[:6]} == first
    named = {
        "epochs": None,
        "batch_size": 16,
        "learning_rate": None,
        "weight_decay": 0.01,
        "max_length": 384,
        "doc_stride": 128,
    }
    assert {name: asked[name].default for name in named} == named
    assert all(
        asked[name].kind is inspect.Parameter.KEYWORD_ONLY
        for name in (*named, "version", "push_to_hub", "report")
    )


@pytest.mark.parametrize(
    "names", [["model.safetensors"], ["config.json", "tokenizer.json"], ["card.json"]]
)
def test_what_no_run_left_there_is_not_overwritten(train, finished, tmp_path, names):
    for name in names:
        shutil.copy(finished.folder / name, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(RunError) as error:
        train(tmp_path)
    assert f"{tmp_path} holds {', '.join(names)} that no run left there" in one_line(error)
    assert contents(tmp_path) == before and not (tmp_path / LOCK).exists()


def test_a_folder_with_other_things_in_it_is_trained_in_and_they_stay(train, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert train(tmp_path, epochs=0.1).finished and (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "{",
        "[]",
        '{"steps": 3}',
        "null",
        '{"arguments": 3}',
        '{"finished": true, "model": "Topics"}',
    ],
)
def test_a_run_that_cannot_be_read_is_one_line_and_stays(train, tmp_path, broken):
    (tmp_path / RUN).write_text(broken)
    with pytest.raises(RunError, match="run the training first"):
        load_run(tmp_path / "nowhere")
    for read in (lambda: load_run(tmp_path), lambda: train(tmp_path)):
        with pytest.raises(RunError) as error:
            read()
        assert str(tmp_path) in one_line(error) and "another folder" in str(error.value)
    assert (tmp_path / RUN).read_text() == broken


# A process that takes the lock of a file for a minute; it fails at once where another has it.
HOLD = """
import sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire(timeout=0)
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_training_in_the_same_folder_is_refused_until_the_first_has_ended(train, tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / LOCK)]

    def meanwhile(progress: dict) -> None:
        if progress["step"] == 1:
            assert (tmp_path / HOLDER).read_text() == f"{os.getpid()}\n"
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
        (tmp_path / HOLDER).write_text(f"{other.pid}\n")
        with pytest.raises(RunError) as error:
            train(tmp_path)
        assert f"another process (pid {other.pid}) is training in {tmp_path};" in one_line(error)
    finally:
        other.kill()
        other.communicate()
    assert train(tmp_path).finished  # a lock ends with its process, however that ends
    assert not (tmp_path / HOLDER).exists()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"minutes": None, "epochs": None}, "either minutes or epochs"),
        ({"minutes": 1, "epochs": 1}, "either minutes or epochs"),
        ({"minutes": 0, "epochs": None}, "above zero (found minutes=0"),
        ({"minutes": -1.0, "epochs": None}, "above zero"),
        ({"minutes": float("nan"), "epochs": None}, "above zero"),
        ({"minutes": float("inf"), "epochs": None}, "above zero"),
        ({"epochs": 0}, "above zero"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296"),
    ],
)
def test_what_no_run_could_follow_is_refused_in_one_line_before_anything_is_written(
    train, tmp_path, options, words
):
    with pytest.raises(RunError) as error:
        train(tmp_path / "run", **options)
    assert words in one_line(error)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "splits", [{}, {"validation": range(3)}, {"train": range(0), "validation": range(3)}]
)
def test_data_without_training_questions_is_refused_in_one_line(train, data, tmp_path, splits):
    with pytest.raises(RunError) as error:
        train(
            tmp_path / "run",
            data=DatasetDict({name: data["train"].select(which) for name, which in splits.items()}),
        )
    assert "'train'" in one_line(error) and f"(found {', '.join(splits) or 'none'})" in str(
        error.value
    )


# --- interrupted by hand ----------------------------------------------------------------------


def test_ctrl_c_stops_after_the_step_under_way_with_a_usable_model_and_a_resume_finishes(
    train, tmp_path
):
    before = signal.getsignal(signal.SIGINT)
    stopper = Stopper(7)
    run = train(tmp_path, epochs=4, report=stopper)
    assert signal.getsignal(signal.SIGINT) is before
    assert (run.finished, run.steps, stopper.phases[-1]) == (False, 8, "stopped")
    assert (
        json.loads((tmp_path / RUN).read_text())["finished"] is False and load_run(tmp_path) == run
    )
    load_model(tmp_path)
    steps = []
    resumed = train(tmp_path, epochs=4, report=lambda progress: steps.append(progress["step"]))
    assert (resumed.finished, resumed.steps, steps[0]) == (True, 60, 8)
    assert [entry["step"] for entry in resumed.history] == list(range(1, 61))
    assert resumed.seconds > run.seconds


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
    from threading import Thread

    monkeypatch.setattr(signal, "signal", lambda *args: pytest.fail("it set a handler"))
    done = []

    def work() -> None:
        with clock.stopped_by_ctrl_c(SimpleNamespace(interrupted=False)):
            done.append(True)

    thread = Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_by_passes_threads_and_precision_are_those_of_the_beginning(train, tmp_path, monkeypatch):
    train(tmp_path, report=Stopper(3))
    record = json.loads((tmp_path / RUN).read_text())
    (tmp_path / RUN).write_text(json.dumps(record | {"threads": 3, "precision": "bf16"}))
    monkeypatch.setattr(training, "measured", lambda *args: pytest.fail("it measured"))
    found, before = [], torch.get_num_threads()
    original = clock.Clock.on_optimizer_step

    def on_optimizer_step(self, args, *rest, **more):
        found.append((torch.get_num_threads(), args.bf16))
        original(self, args, *rest, **more)

    monkeypatch.setattr(clock.Clock, "on_optimizer_step", on_optimizer_step)
    run = train(tmp_path)
    assert run.finished and (run.threads, run.precision) == (3, "bf16")
    # Around forward and backward, too: the length of a gradient depends on how many add it up.
    assert set(found) == {(3, True)} and torch.get_num_threads() == before


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
        batch["end_positions"] = (
            batch["attention_mask"].cumsum(1) == batch["attention_mask"].sum(1, keepdim=True)
        ).float()
        batch["end_positions"][:, -1] = 1.0
        return batch

    monkeypatch.setattr(training.ReaderCollator, "__call__", collate)


@pytest.mark.parametrize(
    ("spoil", "options"),
    [(None, {"learning_rate": 1000.0}), (nan_weight, {}), (labels_on_padding, {})],
)
def test_a_loss_that_is_not_a_number_ends_the_run_and_nothing_is_finished(
    train, tmp_path, monkeypatch, spoil, options
):
    if spoil:
        spoil(monkeypatch)
    reports = []
    with pytest.raises(RunError) as error:
        train(tmp_path, epochs=40, report=reports.append, **options)
    assert (
        f"the loss is not a number at step {reports[-1]['step'] + 1} of the run in {tmp_path};"
        in one_line(error)
    )
    assert {progress["phase"] for progress in reports} == {"training"}
    assert all(progress["loss"] is None or math.isfinite(progress["loss"]) for progress in reports)
    assert not load_run(tmp_path).finished and not (tmp_path / "model.safetensors").exists()
