"""Figures of calibration: is a reader right as often as it says, and what is that worth?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from src.plots import ANSWER, END, INK, MUTED, START, Figure, finish, listed, plain, subplots, tint
from src.plots.primitives import intervals, level, lines, write
from src.qa.calibration import AtThreshold, Coverage, Reliability


def plot_reliability(diagrams: Mapping[str, Reliability]) -> Figure:
    """Draw how often answers were right against how sure they were said to be.

    A dot has the mean confidence and the accuracy of its bin, with the 95 % interval of its
    accuracy. On the diagonal it says the truth. Below: how many answers each bin holds.

    Args:
        diagrams: name -> Reliability, such as {"as it is": report.before}.
    """
    size, ratios = (max(4.2, min(9, 3.6 * len(diagrams))), 4.6), (3, 1)
    options = {"sharex": True, "sharey": "row", "squeeze": False, "height_ratios": ratios}
    figure, axes = subplots(2, len(diagrams), figsize=size, **options)
    figure.get_layout_engine().set(wspace=0.06)  # room for the 100 beside the next panel's 0
    for (upper, lower), (name, diagram) in zip(axes.T, diagrams.items(), strict=True):
        _draw_reliability(upper, diagram, name)
        shares = 100 * diagram.counts / diagram.counts.sum()
        centres = 50 * (diagram.edges[:-1] + diagram.edges[1:])
        lower.bar(centres, shares, width=88 * np.diff(diagram.edges), color=tint(START, 0.55))
        lower.set_xlabel("said: % sure")
    axes[0, 0].set_ylabel("true: % of answers right")
    axes[1, 0].set_ylabel("% of\nanswers")
    errors = [(plain(name), f"{100 * each.error:.1f} points") for name, each in diagrams.items()]
    (first, off), *others = errors
    finding = f"{first[0].upper()}{first[1:]}, what it says is off by {off} on average"
    finding += "".join(f"; {name}, by {error}" for name, error in others)
    said = {
        name: {
            f"{100 * d.confidence[i]:.0f} % said": f"{100 * d.accuracy[i]:.0f} % right"
            for i in np.flatnonzero(d.counts)
        }
        for name, d in diagrams.items()
    }
    return finish(figure, finding, "Reliability diagram in bins of equal width", listed(said))


def _draw_reliability(ax: Axes, diagram: Reliability, name: str) -> None:
    """One panel: the diagonal, the gap of each bin, and its dot with the interval."""
    filled = diagram.counts > 0
    said, true = 100 * diagram.confidence[filled], 100 * diagram.accuracy[filled]
    counts = diagram.counts[filled].astype(int)
    right = np.round(true * counts / 100).astype(int)
    low, high = intervals(right, counts)
    ax.plot([0, 100], [0, 100], color=MUTED, linestyle="--", linewidth=1.2, zorder=1)
    ax.vlines(said, said, true, color=tint(END, 0.55), linewidth=6, zorder=2)
    ax.vlines(said, low, high, color=tint(START, 0.7), linewidth=1.2, zorder=3)
    look = {"markersize": 6, "markeredgecolor": "white", "zorder": 4, "gid": f"dots {name}"}
    ax.plot(said, true, "o", color=START, **look)
    title = f"{plain(name)}\nECE {diagram.error:.3f}"
    ax.set_title(title, fontsize=10.5, fontweight="normal", parse_math=False)
    ax.set(xlim=(-2, 102), ylim=(-4, 104), xticks=range(0, 101, 20))
    ax.grid(axis="y")


def plot_coverage(curves: Mapping[str, Coverage], wanted: float, chosen: AtThreshold) -> Figure:
    """Plot the share of answers that are right against the share of questions answered.

    Args:
        curves: name -> Coverage, the surest first.
        wanted: a share to draw a line at.
        chosen: what a threshold gave, marked (`Calibration.held_out`).
    """
    figure, ax = subplots(figsize=(8, 4))
    points = {name: 100 * np.stack([c.coverage, c.accuracy], axis=1) for name, c in curves.items()}
    given = chosen.answered > 0
    low, high = (100 * end for end in chosen.interval) if given else (100, 100)
    bottom = max(0, 10 * (min(low, *(each[:, 1].min() for each in points.values())) // 10) - 10)
    labels = "% of questions answered, the surest first", "% of answers right"
    lines(ax, points, *labels, xlim=(0, 101), ylim=(bottom, 101))
    level(ax, 100 * wanted, f"{100 * wanted:g} % right")
    every = {name: each[-1, 1] for name, each in points.items()}
    half = {name: each[np.argmax(each[:, 0] >= 50), 1] for name, each in points.items()}
    everything, surest = (next(iter(each.values())) for each in (every, half))
    finding = f"Answering every question is right {everything:.0f} % of the time; "
    finding += f"answering the surest half, {surest:.0f} %"
    if given:
        x, y = 100 * chosen.coverage, 100 * chosen.accuracy
        ax.axvline(x, color=INK, linestyle=":", linewidth=1.2, zorder=1)
        ax.vlines(x, low, high, color=INK, linewidth=1.6, zorder=3)
        ax.plot(x, y, "o", color=ANSWER, markersize=9, markeredgecolor="white", gid="chosen")
        side, shift = ("left", 6) if x < 60 else ("right", -6)
        text = f"threshold {_digits(chosen.threshold)}"
        write(ax, x, bottom, text, bold=True, shift=(shift, 10), ha=side)
        finding = f"Answering only the surest {x:.0f} % of questions is right {y:.0f} % of the time"
        finding += f"; answering all, {everything:.0f} %"
    interval = f"With 95 % confidence {low:.0f} to {high:.0f} % on other questions" if given else ""
    said = f"Surest half: {listed(half, '{:.0f} %')}. All: {listed(every, '{:.0f} %')}"
    return finish(figure, finding, "Lines of accuracy by coverage", interval, said)


def _digits(threshold: float) -> str:
    """With two digits, or as many as it takes to tell it from 0 and 1."""
    forms = (f"{threshold:.{digits}f}" for digits in range(2, 9))
    return next((form for form in forms if float(form) not in (0, 1)), f"{threshold:.2f}")
