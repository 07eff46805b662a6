"""Figures of calibration: is a reader right as often as it says, and what is that worth?"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from src.plots import ANSWER, END, INK, MUTED, START, Figure, finish, subplots, tell, tint
from src.plots.primitives import intervals, level, lines, title, write
from src.qa.calibration import AtThreshold, Coverage, Reliability


def plot_reliability(diagrams: Mapping[str, Reliability]) -> Figure:
    """Draw how often answers were right against how sure they were said to be.

    A dot has the mean confidence and the accuracy of its bin, with the 95 % interval of its
    accuracy. On the diagonal it says the truth. Below: how many answers each bin holds.
    """
    size, ratios = (min(9, 3.6 * len(diagrams)), 4.6), (3, 1)
    options = {"sharex": True, "sharey": "row", "squeeze": False, "height_ratios": ratios}
    figure, axes = subplots(2, len(diagrams), figsize=size, **options)
    figure.get_layout_engine().set(wspace=0.06)  # room for the 100 beside the next panel's 0
    for (upper, lower), (name, diagram) in zip(axes.T, diagrams.items(), strict=True):
        title(upper, f"{name}\nECE {diagram.error:.3f}", bold=False)
        _draw_reliability(upper, diagram)
        shares = 100 * diagram.counts / diagram.counts.sum()
        centres = 50 * (diagram.edges[:-1] + diagram.edges[1:])
        lower.bar(centres, shares, width=88 * np.diff(diagram.edges), color=tint(START, 0.55))
        lower.set_xlabel("said: % sure")
    axes[0, 0].set_ylabel("true: % of answers right")
    axes[1, 0].set_ylabel("% of\nanswers")
    errors = [f"{100 * each.error:.1f} points ({name})" for name, each in diagrams.items()]
    return finish(figure, f"Said and true differ on average by {', '.join(errors)}")


def _draw_reliability(ax: Axes, diagram: Reliability) -> None:
    filled = diagram.counts > 0
    said, true = 100 * diagram.confidence[filled], 100 * diagram.accuracy[filled]
    counts = diagram.counts[filled].astype(int)
    low, high = intervals(np.round(true * counts / 100), counts)
    ax.plot([0, 100], [0, 100], color=MUTED, linestyle="--", linewidth=1.2, zorder=1)
    ax.vlines(said, said, true, color=tint(END, 0.55), linewidth=6, zorder=2)
    ax.vlines(said, low, high, color=tint(START, 0.7), linewidth=1.2, zorder=3)
    ax.plot(said, true, "o", color=START, markersize=6, markeredgecolor="white", zorder=4)
    ax.set(xlim=(-2, 102), ylim=(-4, 104), xticks=range(0, 101, 20))
    ax.grid(axis="y")
    dots = [f"{y:.0f} % right at {x:.0f} % sure" for x, y in zip(said, true, strict=True)]
    tell(ax, "Dots", ", ".join(dots))


def plot_coverage(curves: Mapping[str, Coverage], wanted: float, chosen: AtThreshold) -> Figure:
    """Plot the share of answers that are right against the share of questions answered.

    `wanted` is a share to draw a line at, `chosen` what a threshold gave (`Calibration.held_out`).
    """
    figure, ax = subplots(figsize=(8, 4))
    points = {name: 100 * np.stack([c.coverage, c.accuracy], axis=1) for name, c in curves.items()}
    low, high = (100 * end for end in chosen.interval) if chosen.answered else (100, 100)
    bottom = max(0, 10 * (min(low, *(each[:, 1].min() for each in points.values())) // 10) - 10)
    labels = "% of questions answered, the surest first", "% of answers right"
    lines(ax, points, *labels, xlim=(0, 101), ylim=(bottom, 101))
    level(ax, 100 * wanted, f"{100 * wanted:g} % right")
    everything = next(iter(points.values()))[-1, 1]
    if not chosen.answered:
        return finish(figure, f"Answering every question is right {everything:.0f} % of the time")
    x, y = 100 * chosen.coverage, 100 * chosen.accuracy
    ax.axvline(x, color=INK, linestyle=":", linewidth=1.2, zorder=1)
    ax.vlines(x, low, high, color=INK, linewidth=1.6, zorder=3)
    ax.plot(x, y, "o", color=ANSWER, markersize=9, markeredgecolor="white")
    side, shift = ("left", 6) if x < 60 else ("right", -6)
    threshold = f"threshold {chosen.threshold:.5g}"
    write(ax, x, bottom, threshold, bold=True, shift=(shift, 10), ha=side)
    finding = f"Answering only the surest {x:.0f} % of questions is right {y:.0f} % of the time"
    finding += f"; answering all, {everything:.0f} %"
    interval = f"With 95 % confidence {low:.0f} to {high:.0f} % on other questions"
    return finish(figure, finding, f"Dot: {threshold}", interval)
