"""Figures of training: a curve that grows meanwhile, curves of finished runs, moved weights."""

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib.ticker import MaxNLocator

from src.plots import START, Figure, alt, finish, listed, readable_on, subplots
from src.plots.primitives import heatmap, level, lines, write
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

        `progress` is what `src.runtime.progress_line` takes, with the history of a finished run.
        """
        with contextlib.suppress(Exception):  # an interrupt is not an Exception
            phase = str(progress.get("phase") or "training")
            if self._phase in LAST_PHASES and phase == "training":  # another run: a new display
                self.points, self._handle = [], None
            logs = [] if self.points else progress.get("history") or []
            for log in (*logs, progress):
                self._keep(log)
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
        loss, step = as_number(progress.get("loss")), as_number(progress.get("step"))
        step = float(len(self.points)) if step is None else step
        if loss is not None and (not self.points or step > self.points[-1][0]):
            seconds = as_number(progress.get("seconds"))
            self.points.append((step, step if seconds is None else seconds, loss))

    def _show(self, progress: Mapping[str, Any], last: bool) -> None:
        """Put the picture into the one display. The last one is sharper than those before."""
        page = self.figure(progress).to_html(live=not last)
        bundle = {"text/html": page, "text/plain": f"{self.title}: {progress_line(progress)}"}
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
        _, seconds, losses = drawn.T
        done = as_number(progress.get("seconds")) or 0.0
        planned = as_number(progress.get("planned_seconds")) or 0.0
        smoothed = _smooth(losses)
        raw.set_data(seconds, losses)
        smooth.set_data(seconds, smoothed)
        tip.set_data(seconds[-1:], smoothed[-1:])
        ax = figure.axes[0]
        high = float(np.quantile(losses, 0.99)) if len(losses) else 1.0  # outliers aside
        ax.set(xlim=(0, max(planned, done, 1.0)), ylim=(0, 1.12 * max(high, 1e-6)))
        over = progress.get("phase") in LAST_PHASES
        self._ahead.set_x(done)
        self._ahead.set_width(0 if over else max(planned - done, 0.0))
        line = progress_line(progress)
        self._line.set_text(line)
        began = f" The loss began at {losses[0]:.2f}." if len(losses) > 1 else ""
        return alt(figure, f"{self.title}, loss against seconds of training: {line}.{began}")

    def _blank(self) -> Figure:
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
        ax.grid(axis="y")
        look = {"va": "top", "parse_math": False}
        figure.text(0.01, 0.975, self.title, fontsize=12, fontweight="bold", **look)
        self._line = figure.text(0.01, 0.86, "", fontsize=10.5, color="#444444", **look)
        return figure


def plot_runs(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Plot the loss of one run or several against seconds, smoothed.

    A history has one dict per log (`finetune(...).history`); logs without a loss are passed over.
    """
    curves = {}
    for name, history in runs.items():
        pairs = [(as_number(log.get("seconds")), as_number(log.get("loss"))) for log in history]
        points = np.array([pair for pair in pairs if None not in pair]).reshape(-1, 2)
        if len(points):
            smoothed = _smooth(points[:, 1])
            smoothed[0] = points[0, 1]  # where it began, not a mean of what it soon came to
            curves[name] = np.column_stack([points[:, 0], smoothed])
    return plot_losses(curves, "training, seconds")


def plot_losses(
    curves: Mapping[str, Any], x: str, levels: Mapping[str, float] | None = None, y: str = "loss"
) -> Figure:
    """Plot losses from the first to the last, each named at its end.

    Args:
        curves: name -> float[N, 2], (x, loss) in order; or float[N], the losses of 1, 2, 3, ...
        x, y: labels of the axes, with their units.
        levels: name -> a loss to compare with, such as that of a guess.
    """
    points = {
        name: np.column_stack([np.arange(1, len(curve) + 1), curve])
        if np.ndim(curve) == 1
        else curve
        for name, curve in curves.items()
    }
    levels = levels or {}
    last = max(curve[-1, 0] for curve in points.values())
    high = max(*(curve[:, 1].max() for curve in points.values()), *levels.values(), 1e-6)
    figure, ax = subplots(figsize=(8, 3.8))
    lines(ax, points, x, y, xlim=(0, last), ylim=(0, 1.15 * high))
    ax.locator_params(axis="x", integer=True)
    for name, value in levels.items():
        level(ax, value, name, below=value < high / 2)
    said = [f"from {c[0, 1]:.2f} to {c[-1, 1]:.2f} ({n})" for n, c in points.items()]
    return finish(figure, f"The loss goes {', '.join(said)}")


# --- weights


def plot_weight_change(changes: Mapping[str, Sequence[float]]) -> Figure:
    """Draw how far each part of the encoder moved in fine-tuning, by layer, as a heatmap.

    `changes`: part -> float[layers], ||after - before|| / ||before||; one number for a part outside
    the layers, such as the word embeddings. Exactly 0 says frozen.
    """
    parts = {name: 100 * np.asarray(values, dtype=float) for name, values in changes.items()}
    layers = max(map(len, parts.values()))
    table = np.stack([np.broadcast_to(values, layers) for values in parts.values()])
    figure, ax = subplots(figsize=(8, max(2.9, 1.6 + 0.46 * len(parts))))
    numbers = [str(layer + 1) for layer in range(layers)]
    picture = heatmap(ax, table, list(parts), numbers, unit="change, % of the weights' norm")
    for row, values in enumerate(parts.values()):
        wide = len(values) == 1 < layers
        for column, value in enumerate(values):
            text = "0: frozen" if wide and not value else f"{value:.1f}" if value else "0"
            place, colour = (layers - 1) / 2 if wide else column, picture.cmap(picture.norm(value))
            write(ax, place, row, text, readable_on(colour), 10.5)
    figure.told.clear()  # the means below say more than the largest of each row
    ax.set(xlabel="layer", ylabel="part")
    edges = np.arange(len(parts) - 1) + 0.5
    ax.hlines(edges, -0.5, layers - 0.5, color="white", linewidth=1.5)
    name = max(parts, key=lambda part: parts[part].max())
    where = f" in layer {parts[name].argmax() + 1}" if len(parts[name]) > 1 else ""
    finding = f"{name} moved most, by {parts[name].max():.1f} %{where}"
    frozen = [part for part, values in parts.items() if not values.any()]
    finding += f"; the {' and '.join(frozen)} not at all" if frozen else ""
    means = listed({part: values.mean() for part, values in parts.items()}, "{:.1f} %")
    shows = f"How far parts of the encoder moved, means over layers: {means}"
    return finish(figure, finding, shows)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Mean of each value and its neighbours, a twentieth of the series to either side."""
    if len(values) < 20:
        return values
    window = np.ones(2 * (len(values) // 20) + 1)
    there = np.convolve(np.ones(len(values)), window, "same")  # fewer neighbours at the ends
    return np.convolve(values, window, "same") / there


def _in_notebook() -> bool:
    return getattr(get_ipython(), "kernel", None) is not None
