"""Figures of calibration: is a reader right as often as it says, and what does it gain by answering only what it is sure of?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import binomtest

from src.plots import ANSWER, END, INK, MUTED, START, Figure, alt, headline, label_line_ends, plain, subplots, tint
from src.qa.calibration import AtThreshold, Coverage, Reliability


def plot_reliability(diagrams: Mapping[str, Reliability]) -> Figure:
    """Draw how often answers were right against how sure they were said to be, a panel for each way to say it.

    diagrams: name -> Reliability, such as {"as it is": report.before, "with a temperature": report.after}
    A dot stands at the mean confidence and accuracy of its bin, with the interval that holds its accuracy with 95 %; on the
    diagonal it says the truth. Below: how many answers each bin holds.
    """
    if not diagrams:
        raise ValueError("there is nothing to draw; give at least one Reliability.")
    figure, axes = subplots(
        2,
        len(diagrams),
        figsize=(max(4.2, min(9, 3.6 * len(diagrams))), 4.6),
        sharex=True,
        sharey="row",
        squeeze=False,
        height_ratios=(3, 1),
    )
    figure.get_layout_engine().set(wspace=0.06)  # room for the 100 of one panel beside the 0 of the next
    for column, (name, diagram) in enumerate(diagrams.items()):
        _draw_reliability(axes[0, column], diagram, name)
        shares = 100 * diagram.counts / diagram.counts.sum()
        centres = 50 * (diagram.edges[:-1] + diagram.edges[1:])
        axes[1, column].bar(centres, shares, width=88 * np.diff(diagram.edges), color=tint(START, 0.55), gid=f"counts {name}")
        axes[1, column].set_xlabel("said: % sure")
    axes[0, 0].set_ylabel("true: % of answers right")
    axes[1, 0].set_ylabel("% of\nanswers")
    errors = [(name, 100 * diagram.error) for name, diagram in diagrams.items()]
    finding = f"{plain(errors[0][0])}, what it says is off by {_points(errors[0][1])} on average"
    finding += "".join(f"; {plain(name)}, by {_points(error)}" for name, error in errors[1:])
    finding = finding[0].upper() + finding[1:]
    headline(figure, finding)
    bins = "; ".join(f"{name}: {_bins(diagram)}" for name, diagram in diagrams.items())
    return alt(
        figure,
        f"Reliability diagram: the share of answers that are right against how sure the reader is, in bins of equal width. {finding}. "
        f"Right, of answers in each bin: {bins}.",
    )


def _draw_reliability(ax: Axes, diagram: Reliability, name: str) -> None:
    """One panel: the diagonal, the gap of each bin, and its dot with the interval."""
    ax.plot([0, 100], [0, 100], color=MUTED, linestyle="--", linewidth=1.2, zorder=1)
    filled = np.flatnonzero(diagram.counts)
    said, true = 100 * diagram.confidence[filled], 100 * diagram.accuracy[filled]
    right = np.round(diagram.accuracy[filled] * diagram.counts[filled]).astype(int)
    tests = [binomtest(int(r), int(n)) for r, n in zip(right, diagram.counts[filled], strict=True)]
    intervals = 100 * np.array([list(test.proportion_ci(method="wilson")) for test in tests])  # [bins, 2]
    ax.vlines(said, said, true, color=tint(END, 0.55), linewidth=6, zorder=2)
    ax.errorbar(said, true, yerr=np.abs(intervals.T - true), fmt="none", ecolor=tint(START, 0.7), elinewidth=1.2, capsize=2, zorder=3)
    ax.plot(said, true, "o", color=START, markersize=6, markeredgecolor="white", zorder=4, gid=f"dots {name}")
    ax.set_title(f"{plain(name)}\nECE {diagram.error:.3f}", fontsize=10.5, fontweight="normal", parse_math=False)
    ax.set_xlim(-2, 102)
    ax.set_ylim(-4, 104)
    ax.set_xticks(range(0, 101, 20))
    ax.grid(axis="y")


def _bins(diagram: Reliability) -> str:
    filled = np.flatnonzero(diagram.counts)
    return ", ".join(f"{100 * diagram.accuracy[i]:.0f} % where {100 * diagram.confidence[i]:.0f} % were said" for i in filled)


def _points(value: float) -> str:
    return f"{value:.1f} points"


def plot_coverage(curves: Mapping[str, Coverage], wanted: float | None = None, chosen: AtThreshold | None = None) -> Figure:
    """Plot the share of answers that are right against the share of questions answered, the surest first.

    curves: name -> Coverage   wanted: a share to draw a line at   chosen: what a threshold gave, marked (`Calibration.held_out`)
    """
    if not curves:
        raise ValueError("there is nothing to draw; give at least one Coverage.")
    figure, ax = subplots(figsize=(8, 4))
    ends: list[tuple[float, float, str, Any]] = []
    lowest = 100.0
    for i, (name, curve) in enumerate(curves.items()):
        ax.plot(100 * curve.coverage, 100 * curve.accuracy, color=f"C{i}", gid=f"curve {name}")
        ends.append((100 * float(curve.coverage[-1]), 100 * float(curve.accuracy[-1]), plain(name), f"C{i}"))
        lowest = min(lowest, 100 * float(curve.accuracy.min()))
    if wanted is not None:
        ax.axhline(100 * wanted, color=MUTED, linestyle="--", linewidth=1.3, zorder=1)
        at = {"xytext": (-4, 4), "textcoords": "offset points", "ha": "right"}
        ax.annotate(f"{100 * wanted:g} % right", (100, 100 * wanted), color="#666666", **at)
    given = chosen is not None and chosen.answered > 0
    if given:
        low, high = chosen.interval
        x, y = 100 * chosen.coverage, 100 * chosen.accuracy
        ax.axvline(x, color=INK, linestyle=":", linewidth=1.2, zorder=1)
        ax.vlines(x, 100 * low, 100 * high, color=INK, linewidth=1.6, zorder=3)
        ax.plot(x, y, "o", color=ANSWER, markersize=9, markeredgecolor="white", zorder=4, gid="chosen")
        lowest = min(lowest, 100 * low)
    ax.set_xlim(0, 101)
    bottom = max(0, 10 * (lowest // 10) - 10)
    ax.set_ylim(bottom, 101)
    if given:  # at the bottom, which only the end of a line comes near
        side, shift = ("left", 6) if x < 60 else ("right", -6)
        at = {"xytext": (shift, 6), "textcoords": "offset points", "ha": side, "fontweight": "bold"}
        ax.annotate(f"threshold {_short(chosen.threshold)}", (x, bottom), **at)
    ax.grid(axis="y")
    ax.set_xlabel("% of questions answered, the surest first")
    ax.set_ylabel("% of answers right")
    label_line_ends(ax, ends)
    every = "; ".join(f"{name}: {y:.0f} %" for _, y, name, _ in ends)
    if given:
        finding = f"Answering only the surest {100 * chosen.coverage:.0f} % of questions is right {100 * chosen.accuracy:.0f} % of the time"
        finding += f"; answering all, {ends[0][1]:.0f} %"
    else:
        finding = f"Answering every question is right {ends[0][1]:.0f} % of the time"
        finding += f"; answering the surest half, {100 * _at(next(iter(curves.values())), 0.5):.0f} %"
    headline(figure, finding)
    halves = "; ".join(f"{name}: {100 * _at(curve, 0.5):.0f} %" for name, curve in curves.items())
    interval = f" On other questions it lies between {100 * low:.0f} and {100 * high:.0f} %, with 95 % confidence." if given else ""
    return alt(
        figure,
        f"Lines of the share of answers that are right against the share of questions answered. {finding}.{interval} "
        f"Right when the surest half is answered: {halves}. When all are: {every}.",
    )


def _short(threshold: float) -> str:
    """With two digits, or as many as it takes to tell it from 0 and 1."""
    digits = next((n for n in range(2, 9) if f"{threshold:.{n}f}" not in (f"{0:.{n}f}", f"{1:.{n}f}")), 2)
    return f"{threshold:.{digits}f}"


def _at(curve: Coverage, coverage: float) -> float:
    """The accuracy at the least coverage that reaches `coverage`."""
    return float(curve.accuracy[np.argmax(curve.coverage >= coverage)])
