"""The budget by a clock that the tests move, the loop, and runs that come back from disk."""

import dataclasses
import errno
import itertools
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from src import runtime
from src.training import Budget, Run, fit, learning_rate_at, load_run, save_run


@pytest.fixture
def clock(ticking_clock) -> SimpleNamespace:
    """A clock that moves only when a test says so."""
    ticking_clock.tick = 0
    return ticking_clock


def steps_taken(budget: Budget, clock: SimpleNamespace, seconds_of: Callable[[int], float]) -> int:
    """Train until the budget says stop.   seconds_of: how long each step takes"""
    step = 0
    while not budget.is_over(step):
        clock.now += seconds_of(step)
        step += 1
    return step


# --- the budget ----------------------------------------------------------------------------------


def test_minutes_are_kept_though_steps_become_ten_times_slower_midway(
    clock,
):
    budget = Budget(minutes=1)
    rates: list[float] = []

    def seconds_of(step: int) -> float:
        rates.append(budget.learning_rate(step, peak=1.0))
        return 0.1 if clock.now < 1030 else 1.0

    steps = steps_taken(budget, clock, seconds_of)
    assert budget.seconds == pytest.approx(60, abs=0.5) and 325 <= steps <= 335
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates[-1] < 0.005, "the schedule has ended, too"


@pytest.mark.parametrize("step_seconds", [0.7, 25, 39, 41, 119, 200])
def test_a_run_stops_where_one_more_step_would_end_further_from_the_end_than_now(
    clock, step_seconds
):
    budget = Budget(minutes=1)
    steps = steps_taken(budget, clock, lambda step: step_seconds)
    # Which is 1 where the first step alone is longer than the time.
    assert steps == min(range(1, 200), key=lambda n: abs(60 - n * step_seconds))


def test_a_run_that_counts_steps_ends_with_them_and_predicts_its_time_from_those_taken(
    clock,
):
    budget = Budget(steps=7)
    assert steps_taken(budget, clock, lambda step: 1000.0 * step) == 7
    assert [budget.done(step) for step in (0, 3.5, 7, 8)] == [0, 0.5, 1, 1]
    budget = Budget(steps=8)
    assert not budget.is_over(0) and budget.planned_seconds is None
    clock.now += 5
    assert not budget.is_over(2)
    assert budget.planned_seconds == 20
    assert Budget(minutes=3).planned_seconds == 180


def test_pauses_are_not_counted_also_when_nested_or_left_by_an_error(
    clock,
):
    budget = Budget(minutes=1)
    clock.now += 10
    with budget.paused():
        clock.now += 1000
        assert budget.seconds == 10 and budget.done(1) == 10 / 60
        with budget.paused():
            clock.now += 1000
        clock.now += 1000  # the outer one goes on
        assert budget.seconds == 10
    with pytest.raises(KeyError), budget.paused():
        clock.now += 1000
        raise KeyError
    clock.now += 5
    assert budget.seconds == 15 and not budget.is_over(1)


def test_a_pause_between_steps_does_not_make_the_last_step_look_long(
    clock,
):
    budget = Budget(minutes=1)
    for step in range(50):
        assert not budget.is_over(step)
        clock.now += 1
        with budget.paused():
            clock.now += 500
    assert not budget.is_over(50)


def test_a_resumed_run_has_the_minutes_that_were_left(clock):
    budget = Budget(minutes=1, spent=45)
    assert budget.learning_rate(300, peak=2.0) == learning_rate_at(0.75, 2.0)
    assert steps_taken(budget, clock, lambda step: 1.0) == 15
    assert budget.seconds == 60
    assert Budget(minutes=1, spent=61).is_over(300)  # nothing left
    assert not Budget(minutes=1, spent=61).is_over(0)  # one step is always taken


@pytest.mark.parametrize(
    "amounts", [(1, 1), (None, None), (None, 0), (None, math.nan), (None, math.inf)]
)
@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_no_budget_is_refused_in_one_sentence(amounts, swapped):
    minutes, steps = reversed(amounts) if swapped else amounts
    with pytest.raises(ValueError) as error:
        Budget(minutes, steps)
    found = f"minutes is {minutes} and steps is {steps}"
    assert str(error.value) == f"{found}; give one of them, a number above zero."


def test_the_learning_rate_rises_in_a_line_and_falls_along_half_a_cosine_to_zero():
    third = 0.9 / 3  # of the cosine, 60°, whose cosine is a half
    done = [0, 0.05, 0.1, 0.1 + third, 0.55, 0.1 + 2 * third, 1, 1.5]
    rates = [learning_rate_at(share, 2.0) for share in done]
    assert rates == pytest.approx([0, 1, 2, 1.5, 1, 0.5, 0, 0])


def test_by_minutes_the_learning_rate_follows_the_clock_and_by_steps_the_steps(
    clock,
):
    by_minutes, by_steps = Budget(minutes=1), Budget(steps=60)
    for second in range(0, 70, 7):
        clock.now = 1000 + second
        expected = learning_rate_at(min(1, second / 60), 3.0)
        assert by_minutes.learning_rate(9999, 3.0) == expected
        assert by_steps.learning_rate(second, 3.0) == expected


# --- the loop ------------------------------------------------------------------------------------


class Line(nn.Module):
    """A line through points; the smallest model that can be saved."""

    def __init__(self, slope: float = 0.0):
        super().__init__()
        self.settings = {"slope": slope}
        self.slope = nn.Parameter(torch.tensor([slope]))
        self.offset = nn.Parameter(torch.tensor([0.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope * x + self.offset


X = torch.linspace(-1, 1, 8)


def fit_line(model: Line, on_step: Callable[[int], object] = lambda step: None, **options) -> Run:
    """Learn y = 3 x - 1.   on_step: called in every step with its number, the first is 1"""
    steps = itertools.count(1)

    def loss_of(x: Tensor) -> Tensor:
        changed = on_step(next(steps))
        return (model(x) - (3 * x - 1)).square().mean() if changed is None else changed

    usual = {"batches": itertools.repeat(X), "minutes": None, "score": ("right", lambda: 0.5)}
    usual |= {"batch_size": 8, "learning_rate": 0.3}
    return fit(model, loss_of=loss_of, **usual | options)


def test_the_loop_learns_a_line():
    model = Line()
    run = fit_line(model, steps=200)
    assert (model.slope.item(), model.offset.item()) == pytest.approx((3, -1), abs=0.02)
    assert run.model is model and run.finished and not model.training
    assert run.history[0]["loss"] == pytest.approx((3 * X - 1).square().mean().item())
    settings = {"minutes": None, "steps": 200, "batch_size": 8}
    assert run.settings == settings | {"learning_rate": 0.3, "clip": 1.0, "seed": 0}


@pytest.mark.parametrize("steps", [1, 10, 100, 250])
def test_every_entry_of_a_history_has_a_loss_also_where_the_run_ends_with_a_log(steps):
    run = fit_line(Line(), steps=steps)
    assert run.history[-1]["step"] == steps and run.history[-1]["phase"] == "finished"
    assert all(entry["loss"] > 0 for entry in run.history)
    # The first step, one in each hundredth, and the end.
    assert len(run.history) == min(steps, 100) + 1 + (steps > 100)


def test_scoring_and_reporting_stop_the_clock(clock):
    def pass_time(seconds: float) -> float:
        clock.now += seconds
        return seconds

    told: list[dict] = []

    def report(entry: dict) -> None:
        pass_time(50)
        told.append(entry)

    def on_step(step: int) -> None:
        pass_time(0.25)

    score = ("patience", lambda: pass_time(100))
    run = fit_line(Line(), on_step, minutes=1, score=score, report=report)
    assert run.seconds == 60 and run.history[-1]["step"] == 240
    seconds = [entry["seconds"] for entry in run.history[1:-1]]
    assert seconds == pytest.approx([0.6 * i for i in range(1, 101)], abs=0.25)
    scored = [entry["seconds"] for entry in run.history if "patience" in entry]
    assert scored == pytest.approx([*range(6, 66, 6), 60], abs=0.25)
    assert told == run.history and {entry["planned_seconds"] for entry in told} == {60}
    assert run.history[-1]["examples_per_second"] == pytest.approx(8 * 240 / 60)


def test_after_a_long_stop_the_history_goes_on_without_catching_up(clock):
    """A laptop that was shut: no hundred entries and ten scores come after it."""

    def on_step(step: int) -> None:
        clock.now += 30 if step == 20 else 0.1

    run = fit_line(Line(), on_step, minutes=1)
    after = [entry for entry in run.history if entry["step"] >= 20]
    assert after[1]["step"] > 21 and sum("right" in entry for entry in after) <= 7


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run_and_nothing_is_saved(tmp_path, value):
    told: list[dict] = []

    def on_step(step: int) -> Tensor | None:
        return torch.tensor(value, requires_grad=True) if step == 3 else None

    says = f"^the loss is {value} at step 3; train with a learning_rate below 0.3.$"
    with pytest.raises(ValueError, match=says):
        fit_line(Line(), on_step, steps=9, report=told.append, folder=tmp_path)
    assert not list(tmp_path.iterdir()) and all(entry["phase"] == "training" for entry in told)


def test_weights_that_the_last_step_broke_end_the_run_too(tmp_path):
    model = Line()

    def on_step(step: int) -> Tensor:
        return (model.slope * 0).sqrt().sum()  # 0, and its gradient is 0 times infinity

    says = "^slope in the model holds NaN or infinite numbers; train with a lower"
    with pytest.raises(ValueError, match=says):
        fit_line(model, on_step, steps=1, folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"learning_rate": math.nan}, "the learning_rate is nan; it must be a number above zero."),
        ({"learning_rate": 0}, "the learning_rate is 0; it must be a number above zero."),
        ({"batches": [X] * 3}, "the batches ended after step 3."),
        (
            {"model": Line(math.nan)},  # not the fault of the learning rate
            "the loss is nan at step 1; look for NaN in the model and in the batch.",
        ),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(options, says):
    with pytest.raises(ValueError) as error:
        fit_line(**{"model": Line(), "steps": 4} | options)
    assert str(error.value) == says


@pytest.mark.parametrize("where", ["step", "score", "report"])
def test_ctrl_c_keeps_what_was_learned_wherever_it_falls(tmp_path, where):
    calls = itertools.count(1)

    def interrupt(*_: object) -> float | None:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return 0.5 if where == "score" else None

    asked = {"step": "on_step"}.get(where, where)
    options = {asked: ("right", interrupt) if where == "score" else interrupt}
    run = fit_line(Line(), steps=100, folder=tmp_path, **options)
    last = run.history[-1]
    assert not run.finished and last["phase"] == "stopped"
    assert 0 < last["step"] < 100 and last["loss"] > 0
    again = load_run(tmp_path, Line)
    assert not again.finished and again.history == run.history
    assert again.model.slope.item() == pytest.approx(run.model.slope.item(), rel=1e-3)


def test_a_folder_that_cannot_be_written_is_told_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("mine")
    folder = tmp_path / "file" / "run"
    with pytest.raises(OSError) as error:
        fit_line(Line(), lambda step: pytest.fail("a step was taken"), steps=1, folder=folder)
    assert str(error.value).startswith(f"{folder} cannot be written (Not a directory); ")


# --- keeping a run -------------------------------------------------------------------------------


def a_run(slope: float, **more) -> Run:
    history = [{"step": 1, "seconds": 0.5, "loss": slope}]
    return Run(Line(slope), history, 0.5, {"minutes": 1}, **{"finished": True} | more)


FILES = ("model.safetensors", "history.json", "run.json", "card.json")


@pytest.fixture
def saved(tmp_path) -> Path:
    save_run(a_run(2.0, card={"name": "lïne"}), tmp_path / "run")
    return tmp_path / "run"


def test_a_saved_run_comes_back(saved):
    again, run = load_run(saved, Line), a_run(2.0, card={"name": "lïne"})
    slope = again.model.slope
    assert slope.item() == 2 and slope.dtype == torch.float32 and not again.model.training
    assert dataclasses.replace(again, model=run.model) == run
    assert load_file(saved / "model.safetensors")["slope"].dtype == torch.float16
    assert "lïne" in (saved / "card.json").read_text(encoding="utf-8")
    assert {file.name for file in saved.iterdir()} == set(FILES)


def test_a_run_saved_over_another_leaves_nothing_of_it(saved):
    save_run(a_run(5.0), saved, {"extra.json": b"{}"})
    again = load_run(saved, Line)
    assert again.model.slope.item() == 5 and again.card == {}
    assert (saved / "extra.json").read_bytes() == b"{}"


@pytest.mark.parametrize("name", FILES)
def test_on_a_full_disk_the_older_run_stays_and_one_sentence_says_so(saved, monkeypatch, name):
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    write_bytes = Path.write_bytes

    def write_until_full(file: Path, content: bytes) -> int:
        if name in file.name:
            write_bytes(file, content[:7])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(file, content)

    monkeypatch.setattr(Path, "write_bytes", write_until_full)
    with pytest.raises(OSError) as error:
        save_run(a_run(5.0, card={"name": "another"}), saved)
    assert str(error.value).startswith(f"{saved} cannot be written (No space left on device); ")
    after = {file.name: file.read_bytes() for file in saved.iterdir()}
    assert after == before  # and the disk is as free as it was


@pytest.mark.parametrize("moved", [0, 1, 3])
def test_a_kill_while_files_are_moved_leaves_no_mixture_that_counts_as_a_run(
    saved, monkeypatch, moved
):
    replace, left = os.replace, iter(range(moved))

    def replace_some(*files: Path) -> None:
        if next(left, None) is None:
            raise SystemExit("killed")
        replace(*files)

    monkeypatch.setattr(os, "replace", replace_some)
    with pytest.raises(SystemExit):
        save_run(a_run(5.0, card={"name": "another"}), saved)
    assert not runtime.is_finished(saved)
    says = r"holds no run\.json; name a folder with a saved run, such as weights/dates-rnn"
    with pytest.raises(FileNotFoundError, match=says):
        load_run(saved, Line)


@pytest.mark.parametrize("value", [math.nan, -math.inf, 70_000.0])  # too large for half precision
def test_weights_that_are_no_numbers_are_not_saved(saved, value):
    says = r"^slope in the model in half precision holds NaN or infinite .* nothing was saved"
    for folder in (saved, saved / "new"):
        with pytest.raises(ValueError, match=says):
            save_run(a_run(value), folder)
    assert load_run(saved, Line).model.slope.item() == 2
    assert not (saved / "new").exists()


Damage = Callable[[Path], object]


def change_weights(**more: Tensor | None) -> Damage:
    """Write model.safetensors again with these weights changed, or without those that are None."""

    def change(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors") | more
        kept = {name: tensor for name, tensor in weights.items() if tensor is not None}
        save_file(kept, folder / "model.safetensors")

    return change


def change_run(**more: object) -> Damage:
    """The same for run.json."""

    def change(folder: Path) -> None:
        about = json.loads((folder / "run.json").read_text()) | more
        kept = {name: value for name, value in about.items() if value is not None}
        (folder / "run.json").write_text(json.dumps(kept))

    return change


def cut(name: str, length: int) -> Damage:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:length])


def write(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "file", "says"),
    [
        (change_weights(slope=None), "run.json", '(Missing key(s) in state_dict: "slope".)'),
        (change_weights(bend=torch.ones(1)), "run.json", "(Unexpected key(s) in state_dict"),
        (change_weights(slope=torch.ones(2)), "run.json", "(size mismatch for slope"),
        (change_run(model_settings={"bend": 1}), "run.json", "no Line can be made of"),
        (change_run(settings=None, model=None), "run.json", "does not say settings, model;"),
        (
            change_weights(slope=torch.tensor([math.nan])),
            "model.safetensors",
            "holds NaN or infinite numbers",
        ),
        (cut("model.safetensors", -1), "model.safetensors", "is damaged"),
        (cut("run.json", 30), "run.json", "is damaged"),
        (cut("history.json", 0), "history.json", "is damaged"),
        (cut("card.json", -7), "card.json", "is damaged"),
        (write("run.json", b"[]"), "run.json", "holds a list instead of a dict"),
        (write("history.json", b"{}"), "history.json", "holds a dict instead of a list"),
    ],
)
def test_what_is_not_whole_is_one_sentence_that_names_the_file(saved, damage, file, says):
    damage(saved)
    with pytest.raises(ValueError) as error:
        load_run(saved, Line)
    assert str(saved / file) in str(error.value)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_another_class_and_a_missing_file_are_told(saved):
    with pytest.raises(ValueError, match=r"holds a model of the class Line, not LSTM\.$"):
        load_run(saved, nn.LSTM)
    for name in ("model.safetensors", "history.json", "run.json"):
        (saved / name).rename(saved / "away")
        with pytest.raises(FileNotFoundError) as error:
            load_run(saved, Line)
        assert str(error.value).startswith(f"{saved} holds no {name}; ")
        (saved / "away").rename(saved / name)
