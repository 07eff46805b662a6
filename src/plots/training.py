"""Figures of training: a curve that grows while a model trains, curves of finished runs, how far the weights moved."""

from __future__ import annotations

import contextlib
import math
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from src.plots import MUTED, START, Figure, alt, headline, label_line_ends, plain, readable_on, subplots
from src.runtime import as_number, progress_line

PHASES = ("training", "saving", "evaluating", "finished", "stopped")
LAST_PHASES = ("finished", "stopped")
MOST_POINTS = 400  # of a live curve; a longer one is thinned


class LiveCurve:
    """Shows a training run while it goes: call it with the progress of every step.

    In a notebook one display is updated in place, at most once a second and for about 2 % of the time; elsewhere a
    line of text is printed every few seconds. It cannot fail the training: what goes wrong in showing is left unshown.

        curve = LiveCurve("MiniLM on the course's questions")
        curve({"step": 1, "steps": 400, "seconds": 0.4, "planned_seconds": 180, "loss": 5.9, "phase": "training"})
    """

    def __init__(self, title: str = "Training", seconds: float = 1.0, line_seconds: float = 5.0, stream: TextIO | None = None) -> None:
        """title: what is trained   seconds, line_seconds: least time between two pictures, two lines   stream: default stdout"""
        self.title = title
        self.seconds, self.line_seconds, self.stream = seconds, line_seconds, stream
        self.points: list[dict[str, float]] = []  # seconds, step, loss
        self._phase: str | None = None
        self._next = -math.inf
        self._every = 1.0  # least number of steps from one kept point to the next
        self._handle: Any = None
        self._figure: Figure | None = None
        self._in_notebook = _in_notebook()

    def __call__(self, progress: Mapping[str, Any]) -> None:
        """Take in the state of the training and show it if it is time to.

        progress, all optional: step, steps, seconds (of training so far), planned_seconds, loss, learning_rate,
        examples_per_second, phase (one of PHASES).
        """
        with contextlib.suppress(Exception):  # showing must never stop a training; KeyboardInterrupt is not an Exception
            phase = str(progress.get("phase") or "training")
            if self._phase in LAST_PHASES and phase == PHASES[0]:  # another run: a display of its own below
                self.points, self._every, self._handle = [], 1.0, None
            if not self.points:  # a run that was finished before tells its whole history at once
                for entry in progress.get("history") or ():
                    self._keep(entry)
            self._keep(progress)
            if phase == self._phase and (time.monotonic() < self._next or phase in LAST_PHASES):
                return
            self._phase = phase
            self._next = time.monotonic() + (self.seconds if self._in_notebook else self.line_seconds)
            if not self._in_notebook:
                print(f"{self.title}: {progress_line(progress)}", file=self.stream or sys.stdout, flush=True)
                return
            began = time.thread_time()
            self._show(progress, last=phase in LAST_PHASES)
            self._next = max(self._next, time.monotonic() + 40 * (time.thread_time() - began))

    def _keep(self, progress: Mapping[str, Any]) -> None:
        """Remember the loss of this step; whenever there are 2 x MOST_POINTS, every second point goes."""
        loss, step = as_number(progress.get("loss")), as_number(progress.get("step"))
        if loss is None or (self.points and step is not None and step <= self.points[-1]["step"]):
            return
        step = float(len(self.points)) if step is None else step
        if self.points and step - self.points[-1]["step"] < self._every:
            return
        seconds = as_number(progress.get("seconds"))
        self.points.append({"step": step, "seconds": step if seconds is None else seconds, "loss": loss})
        if len(self.points) > 2 * MOST_POINTS:
            self.points = self.points[::2]
            self._every = 0.9 * (self.points[-1]["step"] - self.points[0]["step"]) / (len(self.points) - 1)

    def _show(self, progress: Mapping[str, Any], last: bool) -> None:
        """Draw and put the picture into the one display. The last picture is drawn sharper than those on the way."""
        from IPython.display import display

        figure = self.figure(progress)
        bundle = {"text/html": figure.to_html(scale=None if last else 1), "text/plain": f"{self.title}: {progress_line(progress)}"}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def figure(self, progress: Mapping[str, Any]) -> Figure:
        """The picture of this moment: title, state, loss so far, and how much of the planned time is still to come.

        One figure for all moments, since making axes anew would double the cost.
        """
        if self._figure is None:
            self._figure = self._blank()
        figure, (raw, smooth, tip) = self._figure, self._lines
        seconds = np.array([point["seconds"] for point in self.points])
        losses = np.array([point["loss"] for point in self.points])
        done, planned = as_number(progress.get("seconds")) or 0.0, as_number(progress.get("planned_seconds")) or 0.0
        smoothed = _smooth(losses)
        raw.set_data(seconds, losses)
        smooth.set_data(seconds, smoothed)
        tip.set_data(seconds[-1:], smoothed[-1:])
        ax = figure.axes[0]
        ax.set_xlim(0, max(planned, done, 1.0))
        _loss_limits(ax, losses)
        self._ahead.set_x(done)
        self._ahead.set_width(0 if progress.get("phase") in LAST_PHASES else max(planned - done, 0.0))
        line = progress_line(progress)
        self._line.set_text(line)
        fell = f" The loss went from {losses[0]:.2f} to {smoothed[-1]:.2f}." if len(losses) > 1 else ""
        return alt(figure, f"{self.title}, loss against seconds of training: {line}.{fell}")

    def _blank(self) -> Figure:
        """The figure before its first moment; keeps hold of what changes."""
        figure, ax = subplots(figsize=(8, 2.7), layout="none")  # placing things by itself would take half of the time
        figure.subplots_adjust(left=0.085, right=0.975, top=0.76, bottom=0.19)
        self._lines = (
            ax.plot([], [], color=START, alpha=0.3, linewidth=1)[0],
            ax.plot([], [], color=START, linewidth=2.2)[0],
            ax.plot([], [], "o", color=START, markersize=6)[0],
        )
        self._ahead = ax.axvspan(0, 1, color="#f0f0f0", linewidth=0, zorder=0)
        ax.xaxis.set_major_locator(MaxNLocator(7))
        ax.yaxis.set_major_locator(MaxNLocator(4))
        ax.set_xlabel("training, seconds")
        ax.set_ylabel("loss")
        figure.text(0.01, 0.975, self.title, fontsize=12, fontweight="bold", va="top", parse_math=False)
        self._line = figure.text(0.01, 0.86, "", fontsize=10.5, va="top", color="#444444", parse_math=False)
        return figure


def plot_training_curve(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Plot a finished run: its loss against seconds, and the learning rate below.

    history: one dict per log with seconds, loss and, where known, learning_rate and step (`finetune(...).history`); logs
    without a loss are passed over. Raises ValueError where no log has one.
    """
    seconds, losses = _series(history, "loss")
    if not len(losses):
        raise ValueError("this history has no loss in it; was the run stopped before its first step?")
    rate_seconds, rates = _series(history, "learning_rate")
    rows = 2 if len(rates) else 1
    figure, axes = subplots(
        rows, 1, figsize=(8, 4.2 if rows == 2 else 3.4), sharex=True, squeeze=False, **({"height_ratios": (2.6, 1)} if rows == 2 else {})
    )
    ax = axes[0, 0]
    smooth = _loss_line(ax, seconds, losses, START)
    _loss_limits(ax, losses)
    ax.set_xlim(0, max(1.01 * seconds[-1], 1e-9))
    ax.set_ylabel("loss")
    if len(losses) > 8:
        ax.legend(loc="upper right", frameon=False, fontsize=10)
    if rows == 2:
        axes[1, 0].plot(rate_seconds, rates, color="C4")
        axes[1, 0].set_ylim(0, 1.15 * max(rates.max(), 1e-12))
        axes[1, 0].set_ylabel("learning\nrate")
        axes[1, 0].ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
    axes[-1, 0].set_xlabel("training, seconds")
    steps = max((int(log["step"]) for log in history if as_number(log.get("step")) is not None), default=0)
    verb = "fell" if smooth[-1] < losses[0] else "rose"
    finding = f"The loss {verb} from {losses[0]:.2f} to {smooth[-1]:.2f} in {_duration(seconds[-1])}" + (
        f", {steps:,} steps" if steps else ""
    )
    headline(figure, finding)
    rate = f" The learning rate ends at {rates[-1]:.1e}, its peak is {rates.max():.1e}." if rows == 2 else ""
    return alt(figure, f"Loss against seconds of training. {finding}.{rate}")


def plot_runs(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Plot the loss of several runs against seconds, smoothed, each named at the end of its line.

    runs: name -> history, as `plot_training_curve` takes it; a run without a loss is left out.
    """
    series = {name: _series(history, "loss") for name, history in runs.items()}
    series = {name: values for name, values in series.items() if len(values[1])}
    if not series:
        raise ValueError("none of these runs has a loss in its history.")
    figure, ax = subplots(figsize=(8, 3.8))
    ends = []
    for i, (name, (seconds, losses)) in enumerate(series.items()):
        smooth = _loss_line(ax, seconds, losses, f"C{i}", raw=False)
        ends.append((float(seconds[-1]), float(smooth[-1]), plain(name), f"C{i}"))
    _loss_limits(ax, np.concatenate([_smooth(losses) for _, losses in series.values()]))
    ax.set_xlim(0, max(max(end[0] for end in ends) * 1.02, 1e-9))
    ax.set_xlabel("training, seconds")
    ax.set_ylabel("loss")
    label_line_ends(ax, ends)
    ranked = sorted(ends, key=lambda end: end[1])
    finding = f"“{ranked[0][2]}” ends lowest: loss {ranked[0][1]:.2f} after {_duration(ranked[0][0])}"
    if len(ranked) > 1:
        finding += f"; “{ranked[1][2]}”: {ranked[1][1]:.2f} after {_duration(ranked[1][0])}"
    headline(figure, finding)
    return alt(
        figure,
        f"Lines of loss against seconds of training. {finding}. "
        + "; ".join(f"{name} ends at {loss:.2f} after {_duration(s)}" for s, loss, name, _ in ranked)
        + ".",
    )


def loss_lines(curves: Mapping[str, np.ndarray], levels: Sequence[tuple[float, str]]) -> tuple[Figure, Axes]:
    """Draw the loss of each curve as it is, its name at its end, over an axis from zero; dashed lines are there to compare it with.

    curves: name -> float[N, 2], how far training was and the loss   levels: losses and their names, written above the first and
    below the others. The caller names the axes and sets the headline.
    """
    figure, ax = subplots(figsize=(8, 3.8))
    last = max(float(points[-1, 0]) for points in curves.values())
    ends = []
    for number, (name, points) in enumerate(curves.items()):
        ax.plot(points[:, 0], points[:, 1], color=f"C{number}", gid=name)
        ends.append((float(points[-1, 0]), float(points[-1, 1]), plain(name), f"C{number}"))
    for number, (level, name) in enumerate(levels):
        ax.axhline(level, color=MUTED, linestyle="--", linewidth=1.3, zorder=1)
        place = {"xytext": (-4, -13 if number else 4), "textcoords": "offset points", "ha": "right"}
        ax.annotate(name, (last, level), color="#555555", fontsize=10, parse_math=False, **place)
    ax.set_ylim(0, 1.15 * max([level for level, _ in levels] + [float(points[:, 1].max()) for points in curves.values()]))
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    return figure, ax


def plot_f1_against_minutes(curves: Mapping[str, Sequence[tuple[float, float]]], target: float | None = None) -> Figure:
    """Plot F1 against minutes of training, one line per recipe, named at its end.

    curves: name -> (minutes, F1 in percent) pairs in order of time   target: an F1 to draw a line at
    """
    curves = {name: list(points) for name, points in curves.items() if len(points)}
    if not curves:
        raise ValueError("no curve has a point; measure first.")
    figure, ax = subplots(figsize=(8, 4))
    ends, highest = [], target or 0
    for name, points in curves.items():
        minutes, scores = zip(*points, strict=True)
        (line,) = ax.plot(minutes, scores, marker="o", markersize=5, label=name)
        ends.append((minutes[-1], scores[-1], plain(name), line.get_color()))
        highest = max(highest, *scores)
    ax.set_xlim(0, max(end[0] for end in ends) * 1.02)
    ax.set_ylim(0, min(103, highest * 1.12 + 1))
    if target is not None:
        ax.axhline(target, color=MUTED, linestyle="--", linewidth=1.4, zorder=1)
        ax.annotate(f"target {target:g}", (0, target), xytext=(4, 4), textcoords="offset points", color="#666666", fontsize=10)
    ax.set_xlabel("training, minutes")
    ax.set_ylabel("F1, %")
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    final = sorted(((points[-1][1], points[-1][0], name) for name, points in curves.items()), reverse=True)
    finding = f"“{plain(final[0][2])}” reaches F1 {final[0][0]:.0f} after {_minutes(final[0][1])}"
    if len(final) > 1:
        finding += f"; “{plain(final[1][2])}”: {final[1][0]:.0f} after {_minutes(final[1][1])}"
    reached = [minutes for minutes, score in curves[final[0][2]] if target is not None and score >= target]
    if reached:
        finding += f". The target of {target:g} is passed by minute {reached[0]:.1f}"
    headline(figure, finding)
    series = "; ".join(
        f"{name}: " + ", ".join(f"{score:.0f} at {minutes:.1f}" for minutes, score in points) for name, points in curves.items()
    )
    return alt(figure, f"Lines of F1 in percent against minutes of training. {finding}. F1 at minutes: {series}.")


def _minutes(minutes: float) -> str:
    return f"{minutes:.1f} minute{'' if f'{minutes:.1f}' == '1.0' else 's'}"


# --- weights -------------------------------------------------------------------------------------------------------------


def plot_weight_change(changes: Mapping[str, Sequence[float]]) -> Figure:
    """Draw how far each part of the encoder moved in fine-tuning, by layer, as a heatmap with the numbers in its cells.

    changes: name of a part -> float[layers], ||after - before|| / ||before||; one number only for a part outside the layers
    (such as the word embeddings), which is drawn over the whole width. Exactly 0 says frozen.
    """
    parts = {name: np.asarray(values, dtype=float) for name, values in changes.items()}
    layers = max((len(values) for values in parts.values()), default=0)
    if not layers or any(len(values) not in (1, layers) for values in parts.values()):
        raise ValueError(f"each part needs one change per layer, or one for all; found { ({name: len(v) for name, v in parts.items()}) }.")
    table = np.stack([np.broadcast_to(values, layers) for values in parts.values()])  # [parts, layers]

    figure, ax = subplots(figsize=(8, 1.6 + 0.46 * len(parts)))
    picture = ax.imshow(100 * table, aspect="auto", vmin=0)
    for y, (name, values) in enumerate(parts.items()):
        wide = len(values) == 1 < layers
        for x in [(layers - 1) / 2] if wide else range(layers):
            value = values[0] if wide else values[x]
            text = ("0: frozen" if wide else "0") if value == 0 else f"{100 * value:.1f}" if 100 * value < 99.5 else f"{100 * value:.0f}"
            ax.text(
                x,
                y,
                text,
                ha="center",
                va="center",
                fontsize=10.5,
                color=readable_on(picture.cmap(picture.norm(100 * value))),
                gid=f"{name} {x}",
            )
    ax.set_xticks(range(layers), [str(i + 1) for i in range(layers)])
    ax.set_yticks(range(len(parts)), [_symbol(name) for name in parts])
    ax.set_xlabel("layer")
    ax.set_ylabel("part")
    ax.set_xticks(np.arange(layers - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(len(parts) - 1) + 0.5, minor=True)
    ax.hlines(np.arange(len(parts) - 1) + 0.5, -0.5, layers - 0.5, color="white", linewidth=1.5)
    ax.tick_params(which="both", length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    figure.colorbar(picture, ax=ax, label="change, % of the weights' norm", pad=0.02)

    name = max(parts, key=lambda part: parts[part].max())
    values = parts[name]
    where = f" in layer {int(values.argmax()) + 1}" if len(values) > 1 else ""
    finding = f"{name} moved most, by {100 * values.max():.1f} %{where}" if values.max() > 0 else "No weight moved"
    frozen = [part for part, part_values in parts.items() if not part_values.any()]
    if frozen and values.max() > 0:
        finding += f"; the {' and '.join(frozen)} not at all"
    headline(figure, finding)
    means = "; ".join(f"{part} {100 * part_values.mean():.1f} %" for part, part_values in parts.items())
    return alt(
        figure, f"Heatmap of how far weights moved in fine-tuning, parts of the encoder by layer. {finding}. Means over layers: {means}."
    )


def _symbol(name: str) -> str:
    """W_q and its like with a true subscript; every other name as it is."""
    symbol = re.fullmatch(r"([A-Za-z])_(\w+)", name)
    return f"${symbol[1]}_{{{symbol[2]}}}$" if symbol else name.replace("$", r"\$")


def _series(history: Sequence[Mapping[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and values of every log that has `name` as a finite number: float[N], float[N]."""
    pairs = [(as_number(log.get("seconds")), as_number(log.get(name))) for log in history]
    known = [(s, value) for s, value in pairs if s is not None and value is not None]
    return np.array([s for s, _ in known]), np.array([value for _, value in known])


def _loss_line(ax: Any, seconds: Sequence[float], losses: np.ndarray, colour: str, raw: bool = True) -> np.ndarray:
    """Draw the losses, pale, and over them their smoothed curve, which is returned: float[N]."""
    smooth = _smooth(losses)
    if len(losses) > 8 and raw:
        ax.plot(seconds, losses, color=colour, alpha=0.3, linewidth=1, label="each log")
    ax.plot(seconds, smooth, color=colour, linewidth=2.2, label="smoothed")
    ax.plot(seconds[-1:], smooth[-1:], "o", color=colour, markersize=6)
    return smooth


def _smooth(values: np.ndarray) -> np.ndarray:
    """Mean of each value and its neighbours, a twentieth of the series to either side (none in a short one): float[N] -> float[N]."""
    reach = len(values) // 20 if len(values) > 8 else 0
    sums = np.concatenate([[0.0], np.cumsum(values)])
    stops = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    starts = np.maximum(np.arange(len(values)) - reach, 0)
    return (sums[stops] - sums[starts]) / (stops - starts)


def _loss_limits(ax: Any, losses: np.ndarray) -> None:
    """From zero, which is the best a loss can be, to just above the highest, outliers aside; with grid lines."""
    ax.grid(axis="y")
    high = float(np.quantile(losses, 0.99)) if len(losses) else 1.0
    ax.set_ylim(0, 1.12 * max(high, 1e-6))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} minutes"


def _in_notebook() -> bool:
    """Whether this process is a notebook's kernel, whose front end can update a display in place."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None
