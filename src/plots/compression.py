"""Figures of bigger and smaller models: sizes, rounding, pruning, soft targets, measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.special import softmax

from src.plots import (
    ANSWER,
    END,
    FAINT,
    MUTED,
    START,
    Figure,
    finish,
    listed,
    percent,
    subplots,
    tint,
)
from src.plots.primitives import (
    bars,
    label_points,
    legend,
    level,
    lines,
    logarithmic,
    percents,
    title,
)

if TYPE_CHECKING:
    from src.compression import Measurement


def plot_model_sizes(sizes: Sequence[Mapping[str, Any]], ours: Mapping[str, int]) -> Figure:
    """Plot how many parameters language models have, by the year they appeared.

    Args:
        sizes: one dict per model with year, model, parameters.
        ours: models of this course -> parameters, drawn as lines.
    """
    figure, ax = subplots(figsize=(8.6, 5.6))
    points = np.array([[float(row["year"]), float(row["parameters"])] for row in sizes])
    (first, smallest), (last, largest) = points.min(axis=0), points.max(axis=0)
    kinds = {"dense": START, "mixture of experts: a token uses a part": "C4"}
    colours = ["C4" if "(mixture of experts)" in row["model"] else START for row in sizes]
    ax.scatter(*points.T, s=34, color=colours, zorder=3)
    legend(figure, kinds)
    ax.set(xlim=(first - 0.6, last + 0.9), xlabel="year", ylabel="parameters")
    ax.set_ylim(0.5 * min(smallest, *ours.values()), 4 * largest)
    for name, count in ours.items():
        level(ax, count, f"{name}: {short_count(count)}")
    logarithmic(ax)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda count, _: short_count(count)))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y")
    names = [row["model"].partition(" (")[0] for row in sizes]  # without what is in brackets
    push = np.repeat(points, 6, axis=0)  # each point pushes names off as six do
    label_points(ax, points, names, size=9, avoid=push)
    ends = np.lexsort((points[:, 1], points[:, 0]))[0], points[:, 1].argmax()
    told = [f"{names[i]} ({points[i, 0]:.0f}, {short_count(points[i, 1])})" for i in ends]
    grown = points[ends[1], 1] / points[ends[0], 1]
    finding = (
        f"From {told[0]} to {told[1]}: about {float(f'{grown:.2g}'):,.0f} times as many parameters"
    )
    listing = {f"{row['year']} {row['model']}": float(row["parameters"]) for row in sizes}
    return finish(figure, finding, f"Points by year and size, {listed(listing, short_count)}")


def short_count(count: float) -> str:
    """A number of parameters as people say it: "117 million", "1.5 billion", "1,040 billion"."""
    words = ((1e9, "billion"), (1e6, "million"), (1e3, "thousand"))
    unit, word = next((pair for pair in words if count >= pair[0]), words[-1])
    value = count / unit
    return f"{value:,.{0 if value >= 100 or abs(value - round(value)) < 0.05 else 1}f} {word}"


# --- fewer bits, fewer weights --------------------------------------------------------------------

STEPS = 5  # of whole numbers on either side of zero that are drawn; all would be 255 lines


def draw_rounding(weights: Any, restored: Any, scales: Any, row: int = 0) -> Figure:
    """Draw weights before and after int8: small ones of one row, and the errors of all.

    Args:
        weights, restored: float[rows, columns], before and after.
        scales: float[rows, 1], a step of each row.
        row: of which the first ten small weights are drawn.
    """
    old, new, scales = (np.asarray(array, dtype=float) for array in (weights, restored, scales))
    step = scales[row, 0]
    figure, (grid, errors) = subplots(1, 2, figsize=(8.6, 3.7), width_ratios=(1.5, 1))
    chosen = np.flatnonzero(np.abs(old[row]) < STEPS * step)[:10]
    places = range(len(chosen))
    for number in range(-STEPS, STEPS + 1):
        grid.axhline(number * step, color=FAINT, linewidth=0.9, zorder=1)
    grid.vlines(places, old[row, chosen], new[row, chosen], color=MUTED, linewidth=1.4)
    grid.plot(places, old[row, chosen], "o", color=START, label="weight")
    look = {"markersize": 4.5, "label": "after int8"}
    grid.plot(places, new[row, chosen], "s", color=END, **look)
    grid.set_xticks(places, chosen)
    grid.set_ylim(-(STEPS + 0.4) * step, (STEPS + 2.2) * step)
    grid.set(xlabel=f"column, in row {row} of the matrix", ylabel="weight")
    title(grid, "each line is one whole number", 10.5)
    grid.legend(loc="upper right", ncols=2, fontsize=9.5)
    moved = ((new - old) / scales).ravel()  # in steps
    errors.hist(moved, bins=np.linspace(-0.6, 0.6, 49), color=START)
    errors.vlines((-0.5, 0.5), *errors.get_ylim(), color=END, linestyle="--", linewidth=1.2)
    errors.set(xlabel="error, in steps of its row", ylabel=f"weights, of {moved.size:,}")
    title(errors, "all errors of the matrix", 10.5)
    share = np.linalg.norm(new - old) / np.linalg.norm(old)
    finding = f"No weight moves by more than {np.abs(moved).max():.2f} of a step; "
    finding += f"all errors together are {100 * share:.1f} % of the matrix"
    pairs = zip(old[row, chosen], new[row, chosen], strict=True)
    told = ", ".join(f"{a:.4f} becomes {b:.4f}" for a, b in pairs)
    return finish(figure, finding, f"Small weights, {told}", "A histogram of all errors")


def plot_pruning(
    zeros: Sequence[tuple[float, Measurement]],
    layers: Sequence[tuple[float, Measurement]],
    whole: Measurement,
) -> Figure:
    """Plot quality and speed against the share of the encoder that is gone.

    Args:
        zeros, layers: (share from 0 to 1, what was measured), for weights set to zero and for
            layers taken out.
        whole: the model as it was.
    """
    figure, axes = subplots(1, 2, figsize=(8.6, 3.8))
    series = {"zeros": [(0.0, whole), *zeros], "layers out": [(0.0, whole), *layers]}
    measures = {"f1": "F1, %", "questions_per_second": "questions per second"}
    x, colours = "share of the encoder's weights that is gone", {"zeros": START, "layers out": END}
    for ax, (measure, label) in zip(axes, measures.items(), strict=True):
        curves = {
            name: [(share, getattr(m, measure)) for share, m in points]
            for name, points in series.items()
        }
        percents(ax, "x")
        lines(ax, curves, x, label, colours, xlim=(-0.02, 1), marker="o")
    spared = [(share, m) for share, m in zeros if m.f1 >= whole.f1 - 2]
    share, named = max(spared or zeros[:1], key=lambda each: each[0])
    speed = named.questions_per_second / whole.questions_per_second
    kept = f"Even {percent(share)} of the weights set to zero cost two points of F1"
    if spared:
        kept = f"{percent(share)} of the weights can be zero for two points of F1"
    finding = f"{kept}, but zeros are multiplied like any other number: {speed:.1f} times the speed"
    return finish(figure, finding)


# --- a student, and all together ------------------------------------------------------------------


def draw_soft_targets(tokens: Sequence[str], logits: Any, right: int) -> Figure:
    """Draw what there is to learn from one question: the label, and the teacher's probabilities.

    Args:
        tokens: str[T].
        logits: float[T], the teacher's start logits; the eight likeliest are drawn.
        right: the label's place.
    """
    logits = np.asarray(logits, dtype=float)
    order = np.sort(np.argsort(-logits, kind="stable")[:8])
    columns = {
        "the label": np.eye(len(logits))[right],
        "the teacher, T = 1": softmax(logits),
        "the teacher, T = 2": softmax(logits / 2),
    }
    size = (8.6, 0.95 + 0.29 * len(order))
    figure, axes = subplots(1, 3, figsize=size, sharey=True)
    for ax, (name, probs), colour in zip(
        axes, columns.items(), (MUTED, START, ANSWER), strict=True
    ):
        title(ax, name)
        shown = [percent(p) if p else "0" for p in probs[order]]
        bars(ax, [(tokens[place], probs[place]) for place in order], shown, colour)
        ax.set_xlim(0, 1.3)
    axes[0].set_ylabel("start of the answer")
    finding = "The label says one token; the teacher, softened, spreads "
    return finish(figure, f"{finding}{percent(1 - probs.max())} over the others")


def plot_measurements(measured: Sequence[Measurement]) -> Figure:
    """Plot size, speed and quality of several readers, compared with the first."""
    first, *others = measured
    panels = {"megabytes": "C4", "questions_per_second": START, "f1": ANSWER}
    size = (8.6, 1.25 + 0.4 * len(measured))
    figure, axes = subplots(1, 3, figsize=size, sharey=True)
    for ax, (measure, colour) in zip(axes, panels.items(), strict=True):
        title(ax, {"f1": "F1, %"}.get(measure, measure.replace("_", " ")))
        values = {m.name: float(getattr(m, measure)) for m in measured}
        shown = [f"{value:.0f}" if value >= 100 else f"{value:.1f}" for value in values.values()]
        for i, reader in enumerate(others, 1):
            ratio = values[reader.name] / values[first.name]
            times = f"×{ratio:.2f}" if ratio < 0.995 else f"×{ratio:.1f}"
            shown[i] += f"  {reader.f1 - first.f1:+.1f}" if measure == "f1" else f"  {times}"
        shades = [tint(colour, 0.9 if i else 0.4) for i in range(len(measured))]
        bars(ax, values, shown, shades, room=1.62)
    near = [reader for reader in others if reader.f1 >= first.f1 - 1]
    finding = f"Every step costs more than one point of F1 on {first.questions} questions"
    if near:
        best = max(near, key=lambda reader: reader.questions_per_second)
        speed = best.questions_per_second / first.questions_per_second
        finding = f"Within one point of F1, “{best.name}” is fastest: {speed:.1f} times the "
        finding += f"questions per second, {first.megabytes / best.megabytes:.1f} times smaller"
    return finish(figure, finding, f"Measured on {first.questions} questions")
