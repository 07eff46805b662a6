"""The figures of training: the live curve updates one display and never stops a training."""

import io
import sys
import time
from contextlib import nullcontext

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from src.plots import training
from src.plots.training import LiveCurve
from src.runtime import COURSE, progress_line


def progress(step, steps=400, **changes):
    return {
        "step": step,
        "steps": steps,
        "seconds": step * 0.5,
        "planned_seconds": steps * 0.5,
        "loss": 6.0 / (1 + step / 40),
        "learning_rate": 3e-4,
        "examples_per_second": 54.2,
        "phase": "training",
    } | changes


def history(losses, seconds=180.0):
    each = seconds / len(losses)
    return [
        {"step": step, "seconds": each * step, "loss": float(loss), "learning_rate": 1e-4}
        for step, loss in enumerate(losses, 1)
    ]


NOISY = 2 + np.random.default_rng(0).random(500)
RUNS = {"plain": history([5, 3]), "warm": history([2, 1], seconds=90), "broken": []}
CHANGES = {"W_q": [0.01, 0.02], "W_v": [0.05, 0.031], "word embeddings": [0.0]}

FIGURES = {
    "plot_runs": (
        lambda: training.plot_runs(RUNS),
        "The loss goes from 5.00 to 3.00 (plain), from 2.00 to 1.00 (warm)",
        "plain: 5 at 90, 3 at 180; warm: 2 at 45, 1 at 90",
    ),
    "plot_losses": (
        lambda: training.plot_losses(
            {"training": [0.7, 0.2], "held out": [0.7, 0.45]}, "epoch", {"a coin": 0.69}
        ),
        "The loss goes from 0.70 to 0.20 (training), from 0.70 to 0.45 (held out)",
        "Lines of loss by epoch: training: 0.7 at 1, 0.2 at 2; held out: 0.7 at 1, 0.45 at 2",
        "Dashed line: a coin",
    ),
    "plot_weight_change": (
        lambda: training.plot_weight_change(CHANGES),
        "W_v moved most, by 5.0 % in layer 1; the word embeddings not at all",
        "W_q 1.5 %, W_v 4.0 %, word embeddings 0.0 %",
    ),
}


class Display:
    """Stands in for IPython's display: what was shown, and every update of it."""

    def __init__(self):
        self.shown, self.updates = [], []

    def __call__(self, bundle, raw, display_id):
        assert raw and display_id
        self.shown.append(bundle)
        return self

    def update(self, bundle, raw):
        assert raw
        self.updates.append(bundle)


@pytest.fixture
def notebook(monkeypatch):
    display = Display()
    monkeypatch.setattr(training, "_in_notebook", lambda: True)
    monkeypatch.setattr(training, "PICTURE_EVERY", 0.2)
    monkeypatch.setattr(training, "display", display)
    return display


# --- the live curve -------------------------------------------------------------------------------


def test_a_notebook_gets_one_display_updated_now_and_then_and_a_last_time(notebook):
    live = LiveCurve("A run")
    began = time.monotonic()
    for step in range(1, 401):
        live(progress(step))
        time.sleep(0.001)
    passed = time.monotonic() - began
    live(progress(400, phase="finished"))
    assert len(notebook.shown) == 1
    assert 1 <= len(notebook.updates) <= passed / 0.2 + 2
    last = notebook.updates[-1]
    assert last["text/plain"] == "A run: " + progress_line(progress(400, phase="finished"))
    alt = 'alt="A run, loss against seconds of training: finished · step 400 of 400'
    assert alt in last["text/html"]
    assert len(last["text/html"]) < 62_000


def test_the_curve_shows_every_loss_against_seconds_up_to_the_planned_time(notebook):
    live = LiveCurve()
    for step in (1, 2, 3, 4):
        live(progress(step))
    figure = live.figure(progress(4))
    raw = figure.axes[0].lines[0]
    assert raw.get_xdata() == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert raw.get_ydata() == pytest.approx([progress(step)["loss"] for step in (1, 2, 3, 4)])
    assert figure.axes[0].get_xlim() == (0, 200)
    assert live.figure(progress(4)) is figure  # one figure for all updates


def test_a_change_of_phase_is_shown_at_once_and_the_end_only_once(notebook):
    live = LiveCurve()
    for phase in ("training", "training", "saving", "evaluating", "finished", "finished"):
        live(progress(10, phase=phase))
    lines = [bundle["text/plain"] for bundle in notebook.updates]
    phases = [line.split(": ")[1].split(" · ")[0] for line in lines]
    assert phases == ["saving", "evaluating", "finished"]


def test_the_picture_and_its_text_round_the_loss_alike(notebook):
    live = LiveCurve()
    for step in range(1, 41):
        live(progress(step))
    alt = live.figure(progress(40)).alt
    assert alt.endswith("loss 3.00. The loss began at 5.85.")  # 6 / 2, and 6 / (1 + 1 / 40)


def test_a_second_run_with_the_same_reporter_gets_its_own_display_and_curve(notebook):
    live = LiveCurve()
    for step in (1, 2, 3):
        live(progress(step))
    live(progress(3, phase="finished"))
    live(progress(1))
    assert len(notebook.shown) == 2
    assert len(live.points) == 1


def test_of_a_very_long_run_evenly_many_points_are_drawn_and_the_last(notebook):
    live = LiveCurve()
    live.points = [(step, step / 2, 1.0) for step in range(1, 20_001)]
    seconds = live.figure(progress(20_000)).axes[0].lines[0].get_xdata()
    assert 300 <= len(seconds) <= training.MOST_POINTS and seconds[-1] == 10_000
    assert len(set(np.diff(seconds))) == 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_display_that_breaks_stops_no_training_but_an_interrupt_does(monkeypatch, error):
    tried = []

    def broken(*arguments, **options):
        tried.append(1)
        raise error

    monkeypatch.setattr(training, "_in_notebook", lambda: True)
    monkeypatch.setattr(training, "display", broken)
    live, passes = LiveCurve(), nullcontext() if error is RuntimeError else pytest.raises(error)
    with passes:
        for step in range(1, 100):
            live(progress(step))
    assert len(tried) == 1, "it is not tried again at once"


ODD = [{}, {"loss": float("nan"), "step": 3}, {"phase": None, "seconds": None}]


@pytest.mark.parametrize("state", ODD)
def test_incomplete_and_odd_progress_is_shown_as_far_as_it_goes(notebook, state):
    live = LiveCurve("A $5 run")
    live(state)
    live(progress(5))
    assert len(notebook.shown) == 1 and notebook.shown[0]["text/plain"].startswith("A $5 run: ")


def test_outside_a_notebook_lines_are_printed_every_few_seconds(capsys):
    live = LiveCurve("A run")
    for step in range(1, 101):
        live(progress(step))
    live(progress(100, phase="finished"))
    states = progress(1), progress(100, phase="finished")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"A run: {progress_line(state)}" for state in states]


def test_with_a_closed_stream_training_goes_on(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    LiveCurve()(progress(1))


def test_the_line_says_what_is_known():
    state = progress(120, seconds=61.2, planned_seconds=180, loss=1.834)
    line = "step 120 of 400 · 61 s of 180 s · 54 questions/s · loss 1.83"
    assert progress_line(state) == line
    saving = {"phase": "saving", "step": 1200, "examples_per_second": 2.25}
    assert progress_line(saving) == "saving · step 1,200 · 2.2 questions/s"
    assert progress_line({"loss": float("nan")}) == "loss is not a number"
    assert progress_line({"examples_per_second": 12345.6, "unit": "words"}) == "12,346 words/s"
    assert progress_line({}) == "training"


def test_in_a_real_kernel_the_page_keeps_one_picture_of_the_last_state():
    code = """
from src import runtime; runtime.start()
from src.plots.training import LiveCurve, plot_losses
live = LiveCurve("A run")
for step in range(1, 31):
    live({"step": step, "steps": 30, "seconds": step, "planned_seconds": 30, "loss": 5 / step})
live({"step": 30, "steps": 30, "seconds": 30, "loss": 0.17, "phase": "finished"})
plot_losses({"a run": [2.0, 1.0]}, "epoch")
"""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(COURSE)}}).execute()
    outputs = book.cells[0].outputs
    assert [output.output_type for output in outputs] == ["display_data", "execute_result"]
    assert "finished · step 30 of 30" in outputs[0].data["text/plain"]
    assert [output.data["text/html"].count("<img") for output in outputs] == [1, 1]
    alt = 'alt="The loss goes from 2.00 to 1.00 (a run).'
    assert alt in outputs[1].data["text/html"]
    assert not any("image/png" in output.data for output in outputs)


# --- finished runs --------------------------------------------------------------------------------


def test_a_long_curve_is_smoothed_by_the_mean_of_its_neighbours_and_a_short_one_is_not():
    long, short = (training.plot_runs({"a": history(NOISY[:n])}).axes[0].lines[0] for n in (500, 5))
    means = [NOISY[max(0, i - 25) : i + 26].mean() for i in range(500)]
    assert long.get_ydata() == pytest.approx([NOISY[0], *means[1:]]), "the first as it is"
    assert short.get_ydata() == pytest.approx(NOISY[:5])


def test_the_weight_heatmap_writes_every_number_and_one_for_a_part_outside_the_layers(texts):
    figure = training.plot_weight_change(CHANGES)
    assert texts(figure) == ["1.0", "2.0", "5.0", "3.1", "0: frozen"]
    drawn = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(drawn, np.array([[1, 2], [5, 3.1], [0, 0]]))
