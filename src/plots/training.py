"""Figures of training: a curve that grows meanwhile, curves of finished runs, moved weights."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from src.plots import START, Figure, alt, finish, listed, readable_on, subplots
from src.plots.primitives import heatmap, lines, write
from src.runtime import as_number, progress_line

LAST_PHASES = ("finished", "stopped")
MOST_POINTS = 400  # drawn of a live curve; of a longer one every second, third, ...
PICTURE_EVERY, LINE_EVERY = 1.0, 5.0  # least seconds between two pictures, two lines


class LiveCurve:
    """Shows a training run while it goes: call it with the progress of every step.

    In a notebook one display is updated in place, at most once a second and for about 2 % of the
    time; elsewhere a line is printed every five seconds. What goes wrong in showing never stops
    the training.

        curve = LiveCurve("MiniLM on the course's questions")
        curve({"step": 1, "steps": 400, "seconds": 0.4, "planned_seconds": 180, "loss": 5.9})
    """

    def __init__(self, title: str = "Training") -> None:
        self.title = title
        self.points: list[tuple[float, float, float]] = []  # step, seconds, loss
        self._phase: str | None = None
        self._next = -math.inf
        self._handle: Any = None
        self._figure: Figure | None = None
        self._in_notebook = _in_notebook()

    def __call__(self, progress: Mapping[str, Any]) -> None:
        """Take in the state of the training and show it if it is time to.

        Args:
            progress: all optional: step, steps, seconds (of training so far), planned_seconds,
                loss, learning_rate, examples_per_second, phase ("training" if not given,
                "saving", "evaluating", "finished", "stopped"), history of a finished run.
        """
        with contextlib.suppress(Exception):  # an interrupt is not an Exception
            phase = str(progress.get("phase") or "training")
            if self._phase in LAST_PHASES and phase == "training":  # another run: a new display
                self.points, self._handle = [], None
            if not self.points:
                for entry in progress.get("history") or ():
                    self._keep(entry)
            self._keep(progress)
            if phase == self._phase and (time.monotonic() < self._next or phase in LAST_PHASES):
                return
            self._phase = phase
            self._next = time.monotonic() + (PICTURE_EVERY if self._in_notebook else LINE_EVERY)
            if not self._in_notebook:
                print(f"{self.title}: {progress_line(progress)}", flush=True)
                return
            began = time.thread_time()
            self._show(progress, last=phase in LAST_PHASES)
            self._next = max(self._next, time.monotonic() + 40 * (time.thread_time() - began))

    def _keep(self, progress: Mapping[str, Any]) -> None:
        """Remember the loss of this step, once."""
        loss, step = as_number(progress.get("loss")), as_number(progress.get("step"))
        step = float(len(self.points)) if step is None else step
        if loss is not None and (not self.points or step > self.points[-1][0]):
            seconds = as_number(progress.get("seconds"))
            self.points.append((step, step if seconds is None else seconds, loss))

    def _show(self, progress: Mapping[str, Any], last: bool) -> None:
        """Put the picture into the one display. The last one is sharper than those before."""
        from IPython.display import display

        picture, line = self.figure(progress), progress_line(progress)
        page = picture.to_html(scale=None if last else 1)
        bundle = {"text/html": page, "text/plain": f"{self.title}: {line}"}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def figure(self, progress: Mapping[str, Any]) -> Figure:
        """The picture of this moment: title, state, loss so far, and the time still to come.

        One figure for all moments, since making axes anew would double the cost.
        """
        if self._figure is None:
            self._figure = self._blank()
        figure, (raw, smooth, tip) = self._figure, self._lines
        every = 1 + len(self.points) // MOST_POINTS
        drawn = np.array(self.points[::-every][::-1]).reshape(-1, 3)  # the last one always
        seconds, losses = drawn[:, 1], drawn[:, 2]
        done = as_number(progress.get("seconds")) or 0.0
        planned = as_number(progress.get("planned_seconds")) or 0.0
        smoothed = _smooth(losses)
        raw.set_data(seconds, losses)
        smooth.set_data(seconds, smoothed)
        tip.set_data(seconds[-1:], smoothed[-1:])
        ax = figure.axes[0]
        ax.set_xlim(0, max(planned, done, 1.0))
        _loss_limits(ax, losses)
        over = progress.get("phase") in LAST_PHASES
        self._ahead.set_x(done)
        self._ahead.set_width(0 if over else max(planned - done, 0.0))
        line = progress_line(progress)
        self._line.set_text(line)
        fell = ""
        if len(losses) > 1:
            fell = f" The loss went from {losses[0]:.2f} to {smoothed[-1]:.2f}."
        return alt(figure, f"{self.title}, loss against seconds of training: {line}.{fell}")

    def _blank(self) -> Figure:
        """The figure before its first moment; keeps hold of what changes."""
        figure, ax = subplots(figsize=(8, 2.7), layout="none")  # a layout would double the time
        figure.subplots_adjust(left=0.085, right=0.975, top=0.76, bottom=0.19)
        self._lines = (
            ax.plot([], [], color=START, alpha=0.3, linewidth=1)[0],
            ax.plot([], [], color=START, linewidth=2.2)[0],
            ax.plot([], [], "o", color=START, markersize=6)[0],
        )
        self._ahead = ax.axvspan(0, 1, color="#f0f0f0", linewidth=0, zorder=0)
        ax.xaxis.set_major_locator(MaxNLocator(7))
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.set(xlabel="training, seconds", ylabel="loss")
        look = {"va": "top", "parse_math": False}
        figure.text(0.01, 0.975, self.title, fontsize=12, fontweight="bold", **look)
        self._line = figure.text(0.01, 0.86, "", fontsize=10.5, color="#444444", **look)
        return figure


def plot_training_curve(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Plot a finished run: its loss against seconds, and the learning rate below.

    Args:
        history: one dict per log with seconds, loss and, where known, learning_rate and step
            (`finetune(...).history`). Logs without a loss are passed over.

    Raises:
        ValueError: no log has a loss.
    """
    seconds, losses = _series(history, "loss")
    if not len(losses):
        raise ValueError("this history has no loss: was the run stopped before its first step?")
    rate_seconds, rates = _series(history, "learning_rate")
    rows = 2 if len(rates) else 1
    shape = {"figsize": (8, 2.6 + 0.8 * rows), "height_ratios": (2.6, 1)[:rows]}
    figure, axes = subplots(rows, 1, sharex=True, squeeze=False, **shape)
    ax, smooth = axes[0, 0], _smooth(losses)
    if len(losses) > 8:
        ax.plot(seconds, losses, color=START, alpha=0.3, linewidth=1, label="each log")
    ax.plot(seconds, smooth, color=START, linewidth=2.2, label="smoothed")
    ax.plot(seconds[-1:], smooth[-1:], "o", color=START, markersize=6)
    _loss_limits(ax, losses)
    ax.set(xlim=(0, 1.01 * seconds[-1] + 1e-9), ylabel="loss")
    if len(losses) > 8:
        ax.legend(loc="upper right", frameon=False, fontsize=10)
    if rows == 2:
        axes[1, 0].plot(rate_seconds, rates, color="C4")
        axes[1, 0].set(ylim=(0, 1.15 * rates.max() + 1e-12), ylabel="learning\nrate")
        powers = {"style": "sci", "scilimits": (0, 0), "useMathText": True}
        axes[1, 0].ticklabel_format(axis="y", **powers)
    axes[-1, 0].set_xlabel("training, seconds")
    steps = max(int(as_number(log.get("step")) or 0) for log in history)
    finding = f"The loss {'fell' if smooth[-1] < losses[0] else 'rose'} from {losses[0]:.2f} to"
    finding += f" {smooth[-1]:.2f} in {_duration(seconds[-1])}"
    finding += f", {steps:,} steps" if steps else ""
    rate = ""
    if rows == 2:
        rate = f"The learning rate ends at {rates[-1]:.1e}, its peak is {rates.max():.1e}"
    return finish(figure, finding, "Loss against seconds of training", rate)


def plot_runs(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Plot the loss of several runs against seconds, smoothed, each named at the end of its line.

    Args:
        runs: name -> history, as `plot_training_curve` takes it; a run without a loss is left out.
    """
    curves = {}
    for name, history in runs.items():
        seconds, losses = _series(history, "loss")
        if len(losses):
            curves[name] = np.column_stack([seconds, _smooth(losses)])
    figure, ax = subplots(figsize=(8, 3.8))
    last = max(curve[-1, 0] for curve in curves.values())
    high = max(float(np.quantile(curve[:, 1], 0.99)) for curve in curves.values())
    limits = {"xlim": (0, 1.02 * last), "ylim": (0, 1.12 * high)}
    lines(ax, curves, "training, seconds", "loss", **limits, linewidth=2.2)
    ends = {name: tuple(curve[-1]) for name, curve in curves.items()}
    ranked = sorted(ends, key=lambda name: ends[name][1])
    told = {n: f"loss {loss:.2f} after {_duration(seconds)}" for n, (seconds, loss) in ends.items()}
    finding = f"“{ranked[0]}” ends lowest: {told[ranked[0]]}"
    finding += "".join(f"; “{name}”: {told[name]}" for name in ranked[1:2])
    return finish(figure, finding, "Lines of loss against seconds of training", listed(told))


def plot_f1_against_minutes(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Plot F1 against minutes of training, a line for each recipe.

    Args:
        curves: name -> (minutes, F1 in percent) in order of time.
    """
    figure, ax = subplots(figsize=(8, 4))
    highest = max(score for curve in curves.values() for _, score in curve)
    last = max(curve[-1][0] for curve in curves.values())
    limits = {"xlim": (0, 1.02 * last), "ylim": (0, min(103, 1 + 1.12 * highest))}
    lines(ax, curves, "training, minutes", "F1, %", **limits, marker="o", markersize=5)
    ranked = sorted(curves, key=lambda name: -curves[name][-1][1])
    best, *others = ranked
    told = {name: f"{f1:.0f} after {_minutes(end)}" for name, (*_, (end, f1)) in curves.items()}
    finding = f"“{best}” reaches F1 {told[best]}"
    finding += "".join(f"; “{name}”: {told[name]}" for name in others[:1])
    points = {
        name: ", ".join(f"{f1:.0f} at {m:.1f}" for m, f1 in curve) for name, curve in curves.items()
    }
    shows = "Lines of F1 in percent against minutes of training"
    return finish(figure, finding, shows, f"F1 at minutes: {listed(points)}")


def _minutes(minutes: float) -> str:
    return f"{minutes:.1f} minute{'' if f'{minutes:.1f}' == '1.0' else 's'}"


# --- weights --------------------------------------------------------------------------------------


def plot_weight_change(changes: Mapping[str, Sequence[float]]) -> Figure:
    """Draw how far each part of the encoder moved in fine-tuning, by layer, as a heatmap.

    Args:
        changes: part -> float[layers], ||after - before|| / ||before||; one number for a part
            outside the layers, such as the word embeddings. Exactly 0 says frozen.
    """
    parts = {name: 100 * np.asarray(values, dtype=float) for name, values in changes.items()}
    layers = max(map(len, parts.values()))
    table = np.stack([np.broadcast_to(values, layers) for values in parts.values()])
    figure, ax = subplots(figsize=(8, max(2.9, 1.6 + 0.46 * len(parts))))
    numbers = [str(layer + 1) for layer in range(layers)]
    label = "change, % of the weights' norm"
    picture = heatmap(ax, table, list(parts), numbers, unit=label)
    for row, values in enumerate(parts.values()):
        wide = len(values) == 1 < layers
        for column, value in enumerate(values):
            text = "0: frozen" if wide and not value else _percents(value)
            place, colour = (layers - 1) / 2 if wide else column, picture.cmap(picture.norm(value))
            write(ax, place, row, text, readable_on(colour), 10.5)
    ax.set_yticks(range(len(parts)), [_symbol(name) for name in parts], parse_math=True)
    ax.set(xlabel="layer", ylabel="part")
    edges = np.arange(len(parts) - 1) + 0.5
    ax.hlines(edges, -0.5, layers - 0.5, color="white", linewidth=1.5)
    name = max(parts, key=lambda part: parts[part].max())
    where = f" in layer {parts[name].argmax() + 1}" if len(parts[name]) > 1 else ""
    finding = "No weight moved"
    if table.any():
        finding = f"{name} moved most, by {parts[name].max():.1f} %{where}"
        frozen = [part for part, values in parts.items() if not values.any()]
        finding += f"; the {' and '.join(frozen)} not at all" if frozen else ""
    means = listed({part: values.mean() for part, values in parts.items()}, "{:.1f} %")
    shows = "Heatmap of how far weights moved in fine-tuning, parts of the encoder by layer"
    return finish(figure, finding, shows, f"Means over layers: {means}")


def _percents(value: float) -> str:
    return "0" if value == 0 else f"{value:.1f}" if value < 99.5 else f"{value:.0f}"


def _symbol(name: str) -> str:
    """W_q and its like with a true subscript; every other name as it is."""
    symbol = re.fullmatch(r"([A-Za-z])_(\w+)", name)
    return f"${symbol[1]}_{{{symbol[2]}}}$" if symbol else name.replace("$", r"\$")


def _series(history: Sequence[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and values of every log that has `name` as a finite number: float[N], float[N]."""
    pairs = [(as_number(log.get("seconds")), as_number(log.get(name))) for log in history]
    known = [pair for pair in pairs if None not in pair]
    return np.array([second for second, _ in known]), np.array([value for _, value in known])


def _smooth(values: np.ndarray) -> np.ndarray:
    """Mean of each value and its neighbours, a twentieth of the series to either side: float[N]."""
    if len(values) < 20:
        return values
    window = np.ones(2 * (len(values) // 20) + 1)
    there = np.convolve(np.ones(len(values)), window, "same")  # fewer neighbours at the ends
    return np.convolve(values, window, "same") / there


def _loss_limits(ax: Axes, losses: np.ndarray) -> None:
    """From zero, the best a loss can be, to just above the highest, outliers aside."""
    ax.grid(axis="y")
    high = float(np.quantile(losses, 0.99)) if len(losses) else 1.0
    ax.set_ylim(0, 1.12 * max(high, 1e-6))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"


def _in_notebook() -> bool:
    """Whether this process is a notebook's kernel, whose front end updates a display in place."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None
