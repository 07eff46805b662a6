"""Figures of bigger and smaller models: sizes over the years, rounding, pruning, soft targets, what each measure gains and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from src.plots import (
    ANSWER,
    END,
    FAINT,
    INK,
    MUTED,
    START,
    Figure,
    alt,
    headline,
    move_apart,
    percent,
    plain,
    subplots,
    tint,
)

if TYPE_CHECKING:
    from src.compression import Measurement

# --- bigger --------------------------------------------------------------------------------------------------------------


def plot_model_sizes(sizes: Sequence[Mapping[str, Any]], ours: Mapping[str, int]) -> Figure:
    """Plot how many parameters language models have, by the year they appeared, on a logarithmic axis.

    sizes: one dict per model with year, model, parameters   ours: models of this course, name -> parameters, drawn as lines
    """
    figure, ax = subplots(figsize=(8.6, 5.4))
    FigureCanvasAgg(figure)  # labels are moved apart as they will be drawn
    years = np.array([int(row["year"]) for row in sizes])
    parameters = np.array([float(row["parameters"]) for row in sizes])
    ax.set_yscale("log")
    ax.set_xlim(years.min() - 0.6, years.max() + 0.9)
    ax.set_ylim(0.5 * min(parameters.min(), *ours.values()), 4 * parameters.max())
    ax.scatter(years, parameters, s=34, color=START, zorder=3, gid="models")
    for name, count in ours.items():
        ax.axhline(count, color=END, linewidth=1.1, linestyle="--", gid=f"ours {name}")
        ax.text(years.max() + 0.85, 1.08 * count, plain(f"{name}: {short_count(count)}"), color="#a04600", fontsize=9.5, ha="right")
    names = [
        ax.text(year, count, plain(_short_name(row["model"])), fontsize=9, color=INK, parse_math=False)
        for year, count, row in zip(years, parameters, sizes, strict=True)
    ]
    ax.yaxis.set_major_locator(LogLocator(10, numticks=12))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda count, _: short_count(count)))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("year")
    ax.set_ylabel("parameters")
    ax.grid(axis="y")
    move_apart(figure, ax, names, np.stack([years, parameters], axis=1))
    first, largest = min(range(len(sizes)), key=lambda i: (years[i], parameters[i])), int(parameters.argmax())
    ends = [f"{_short_name(sizes[i]['model'])} ({years[i]}, {short_count(parameters[i])})" for i in (first, largest)]
    finding = f"From {ends[0]} to {ends[1]}: {parameters[largest] / parameters[first]:,.0f} times as many parameters"
    headline(figure, finding)
    listed = "; ".join(f"{row['year']} {row['model']} {short_count(count)}" for row, count in zip(sizes, parameters, strict=True))
    mine = "; ".join(f"{name} {short_count(count)}" for name, count in ours.items())
    return alt(figure, f"Points, models by year and parameters, logarithmic. {finding}. {listed}. Models of this course, as lines: {mine}.")


def short_count(count: float) -> str:
    """A number of parameters as people say it: "117 million", "1.5 billion", "1,040 billion"."""
    unit, word = (1e9, "billion") if count >= 1e9 else (1e6, "million") if count >= 1e6 else (1e3, "thousand")
    value = count / unit
    return f"{value:,.0f} {word}" if value >= 100 or abs(value - round(value)) < 0.05 else f"{value:.1f} {word}"


def _short_name(model: str) -> str:
    """The name without what stands behind it in brackets."""
    return model.partition(" (")[0]


# --- quantise ------------------------------------------------------------------------------------------------------------


STEPS = 5  # of whole numbers on either side of zero that are drawn; all of them would be 255 lines


def draw_rounding(weights: Any, restored: Any, scales: Any, row: int = 0, places: int = 10) -> Figure:
    """Draw weights before and after int8: a few small ones of one row on the grid of its whole numbers, and the errors of the whole matrix.

    weights, restored: float[rows, columns], before and after   scales: float[rows, 1], a step of each row   row, places: what is drawn
    """
    weights, restored, scales = (np.asarray(array, dtype=float) for array in (weights, restored, scales))
    step = scales[row, 0]
    figure, (grid, errors) = subplots(1, 2, figsize=(8.6, 3.7), width_ratios=(1.5, 1))
    chosen = np.flatnonzero(np.abs(weights[row]) < STEPS * step)[:places]
    before, after = weights[row, chosen], restored[row, chosen]
    for number in range(-STEPS, STEPS + 1):
        grid.axhline(number * step, color=FAINT, linewidth=0.9, zorder=1)
    for x, (old, new) in enumerate(zip(before, after, strict=True)):
        grid.plot([x, x], [old, new], color=MUTED, linewidth=1.4, zorder=2)
    grid.plot(range(len(before)), before, "o", color=START, markersize=6, label="weight", gid="before", zorder=3)
    grid.plot(range(len(after)), after, "s", color=END, markersize=4.5, label="after int8", gid="after", zorder=3)
    grid.set_xticks(range(len(chosen)), chosen)
    grid.set_ylim(-(STEPS + 0.4) * step, (STEPS + 2.2) * step)
    grid.set_xlabel(f"column, in row {row} of the matrix")
    grid.set_ylabel("weight")
    grid.set_title("each line is one whole number", fontsize=10.5)
    grid.legend(loc="upper right", ncols=2, fontsize=9.5)
    moved = ((restored - weights) / scales).ravel()  # in steps
    errors.hist(moved, bins=np.linspace(-0.6, 0.6, 49), color=START, gid="errors")
    for edge in (-0.5, 0.5):
        errors.axvline(edge, color=END, linestyle="--", linewidth=1.2)
    errors.set_xlabel("error, in steps of its row")
    errors.set_ylabel(f"weights, of {moved.size:,}")
    errors.set_title("all errors of the matrix", fontsize=10.5)
    share = np.linalg.norm(restored - weights) / np.linalg.norm(weights)
    finding = f"No weight moves by more than {np.abs(moved).max():.2f} of a step; all errors together are {100 * share:.1f} % of the matrix"
    headline(figure, finding)
    pairs = "; ".join(f"{old:.4f} becomes {new:.4f}" for old, new in zip(before[:4], after[:4], strict=True))
    return alt(
        figure,
        f"Left: {len(before)} weights of row {row} as dots on lines {step:.5f} apart, and the line each is rounded to: {pairs}, and so on. "
        f"Right: a histogram of all errors, in steps. {finding}.",
    )


# --- prune ---------------------------------------------------------------------------------------------------------------


def plot_pruning(zeros: Sequence[tuple[float, Measurement]], layers: Sequence[tuple[float, Measurement]], whole: Measurement) -> Figure:
    """Plot quality and speed against the share of the encoder that is gone, for weights set to zero and for layers taken out.

    zeros, layers: (share from 0 to 1, what was measured)   whole: the model as it was, drawn at 0 in both
    """
    figure, axes = subplots(1, 2, figsize=(8.6, 3.8))
    series = {"weights set to zero": (START, zeros), "whole layers out": (END, layers)}
    for ax, measure, label in ((axes[0], "f1", "F1, %"), (axes[1], "questions_per_second", "questions per second")):
        highest = 0.0
        for name, (colour, points) in series.items():
            both = [(0.0, whole), *points]
            values = [getattr(measured, measure) for _, measured in both]
            ax.plot([share for share, _ in both], values, "o-", color=colour, markersize=5, gid=f"{measure} {name}", label=name)
            highest = max(highest, *values)
        ax.set_xlim(-0.02, 1)
        ax.set_ylim(0, 1.15 * highest)
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        ax.set_xlabel("share of the encoder's weights that is gone")
        ax.set_ylabel(label)
        ax.grid(axis="y")
    axes[0].legend(loc="upper right", fontsize=9.5)
    spared = [share for share, measured in zeros if measured.f1 >= whole.f1 - 2]
    faster = median(measured.questions_per_second for _, measured in zeros) / whole.questions_per_second
    kept = (
        f"{percent(max(spared))} of the weights can be zero for two points of F1"
        if spared
        else "Even the fewest zeros cost two points of F1"
    )
    finding = f"{kept}, but zeros are multiplied like any other number: {faster:.1f} times the speed"
    headline(figure, finding)
    told = "; ".join(
        f"{name}: " + ", ".join(f"{percent(share)} gone F1 {m.f1:.0f} at {m.questions_per_second:.0f} per second" for share, m in points)
        for name, (_, points) in series.items()
    )
    whole_told = f"As it was: F1 {whole.f1:.0f} at {whole.questions_per_second:.0f} per second"
    return alt(figure, f"Two charts, F1 and questions per second, against the share that is gone. {whole_told}. {told}. {finding}.")


# --- distil --------------------------------------------------------------------------------------------------------------


def draw_soft_targets(tokens: Sequence[str], logits: Any, right: int, temperatures: Sequence[float] = (1.0, 2.0), shown: int = 8) -> Figure:
    """Draw what there is to learn from one question: the label, and the teacher's probabilities, as they are and softened.

    tokens: str[T]   logits: float[T], the teacher's start logits   right: the label's place   shown: how many tokens, the likeliest
    """
    logits = np.asarray(logits, dtype=float)
    order = np.sort(np.argsort(-logits, kind="stable")[:shown])
    columns = {"the label": np.eye(len(logits))[right]}
    for temperature in temperatures:
        weights = np.exp((logits - logits.max()) / temperature)
        columns[f"the teacher, T = {temperature:g}"] = weights / weights.sum()
    figure, axes = subplots(1, len(columns), figsize=(8.6, 0.95 + 0.29 * len(order)), sharey=True)
    colours = (MUTED, START, ANSWER)
    for ax, (name, probs), colour in zip(axes, columns.items(), (*colours, *colours), strict=False):
        ax.barh(range(len(order)), probs[order], 0.62, color=colour, gid=name)
        for y, place in enumerate(order):
            ax.text(probs[place] + 0.02, y, "0" if probs[place] == 0 else percent(float(probs[place])), va="center", fontsize=9.5)
        ax.set_xlim(0, 1.3)
        ax.set_xticks([])
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.set_title(name, fontsize=10.5)
    axes[0].set_yticks(range(len(order)), [plain(tokens[place]) for place in order])
    axes[0].invert_yaxis()
    axes[0].set_ylabel("start of the answer")
    softest = list(columns.values())[-1]
    finding = f"The label says one token; the teacher, softened, spreads {percent(float(1 - softest.max()))} over the others"
    headline(figure, finding)
    told = ". ".join(
        f"{name}: " + ", ".join(f"{tokens[place]} {percent(float(probs[place]))}" for place in order if probs[place] > 0.005)
        for name, probs in columns.items()
    )
    return alt(figure, f"Bars of probabilities over the likeliest tokens. {told}. {finding}.")


# --- all together --------------------------------------------------------------------------------------------------------


def plot_measurements(measured: Sequence[Measurement]) -> Figure:
    """Plot size, speed and quality of several readers side by side; the first is the one the others are compared with."""
    first, *others = measured
    panels = (("megabytes", "megabytes"), ("questions_per_second", "questions per second"), ("f1", "F1, %"))
    figure, axes = subplots(1, 3, figsize=(8.6, 1.25 + 0.4 * len(measured)), sharey=True)
    for ax, (measure, title), colour in zip(axes, panels, ("C4", START, ANSWER), strict=True):
        values = [getattr(reader, measure) for reader in measured]
        for y, value in enumerate(values):
            ax.barh(y, value, 0.62, color=tint(colour, 0.9 if y else 0.4), gid=f"{measure} {measured[y].name}")
            change = "" if not y else f"  {value - values[0]:+.1f}" if measure == "f1" else f"  {_times(value / values[0])}"
            shown = f"{value:.0f}" if value >= 100 else f"{value:.1f}"
            ax.text(value + 0.02 * max(values), y, f"{shown}{change}", va="center", fontsize=9.5)
        ax.set_xlim(0, 1.62 * max(values))
        ax.set_xticks([])
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.set_title(title, fontsize=10.5)
    axes[0].set_yticks(range(len(measured)), [plain(reader.name) for reader in measured])
    axes[0].invert_yaxis()
    near = [reader for reader in others if reader.f1 >= first.f1 - 1]
    if near:
        best = max(near, key=lambda reader: reader.questions_per_second)
        speed, size = best.questions_per_second / first.questions_per_second, first.megabytes / best.megabytes
        finding = f"Within one point of F1, “{best.name}” is fastest: {speed:.1f} times the questions per second, {size:.1f} times smaller"
    else:
        finding = f"Every step costs more than one point of F1 on {first.questions} questions"
    headline(figure, finding)
    told = "; ".join(
        f"{reader.name}: {reader.megabytes:.1f} megabytes, {reader.questions_per_second:.0f} questions per second, F1 {reader.f1:.1f}"
        for reader in measured
    )
    return alt(figure, f"Bars of size, speed and quality of {len(measured)} readers on {first.questions} questions. {told}. {finding}.")


def _times(ratio: float) -> str:
    return f"×{ratio:.2f}" if ratio < 0.995 else f"×{ratio:.1f}"
