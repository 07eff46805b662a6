"""Figures of bigger and smaller models: sizes, pruning, soft targets, measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.special import softmax

from src.plots import (
    ANSWER,
    END,
    INK,
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
    write,
)

if TYPE_CHECKING:
    from src.compression import Measurement


def plot_model_sizes(sizes: Sequence[Mapping[str, Any]], ours: Mapping[str, int]) -> Figure:
    """Plot how many parameters language models have, by the year they appeared.

    `sizes` have year, model and parameters; `ours` are models of this course, drawn as lines.
    """
    figure, ax = subplots(figsize=(8.6, 5.6))
    points = np.array([[float(row["year"]), float(row["parameters"])] for row in sizes])
    (first, smallest), (last, largest) = points.min(axis=0), points.max(axis=0)
    kinds = {"circles, dense": START, "triangles, mixtures of experts: a token uses a part": "C4"}
    mixed = np.array(["(mixture of experts)" in row["model"] for row in sizes])
    for which, marker, colour in ((~mixed, "o", START), (mixed, "^", "C4")):
        ax.scatter(*points[which].T, s=38, marker=marker, color=colour, zorder=3)
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
    largest = {}
    for kind, which in (("dense", ~mixed), ("mixture", mixed)):
        place = max(np.flatnonzero(which), key=lambda i: points[i, 1], default=None)
        if place is not None:
            said = f"{names[place]} ({points[place, 0]:.0f}, {short_count(points[place, 1])})"
            largest[kind] = said
    finding = f"Largest {' and largest '.join(f'{k}: {v}' for k, v in largest.items())}"
    listing = {f"{row['year']} {row['model']}": float(row["parameters"]) for row in sizes}
    return finish(figure, finding, f"Points by year and size, {listed(listing, short_count)}")


def short_count(count: float) -> str:
    """A number of parameters as people say it: "117 million", "1.5 billion", "1,040 billion"."""
    words = ((1e9, "billion"), (1e6, "million"), (1e3, "thousand"))
    unit, word = next((pair for pair in words if count >= pair[0]), words[-1])
    value = count / unit
    return f"{value:,.{0 if value >= 100 or abs(value - round(value)) < 0.05 else 1}f} {word}"


def plot_pruning(
    zeros: Sequence[tuple[float, Measurement]],
    layers: Sequence[tuple[float, Measurement]],
    whole: Measurement,
) -> Figure:
    """Plot quality and speed against the share of the encoder that is gone, 0 to 1.

    `zeros` and `layers` are of weights set to zero and layers taken out; `whole` is the model as
    it was.
    """
    figure, axes = subplots(1, 2, figsize=(8.6, 3.8))
    series = {"zeros": [(0.0, whole), *zeros], "layers out": [(0.0, whole), *layers]}
    measures = {"f1": "F1, %", "questions_per_second": "questions per second"}
    x, colours = "share of the encoder's weights that is gone", {"zeros": START, "layers out": END}
    for ax, (measure, label) in zip(axes, measures.items(), strict=True):
        curves, bands = {}, {}
        for name, points in series.items():
            curves[name] = [(share, getattr(m, measure)) for share, m in points]
            ends = [_ends(m, whole, measure) for _, m in points]
            bands[name] = tuple(zip(*ends, strict=True))
        percents(ax, "x")
        most = 1.05 * max(max(upper) for _, upper in bands.values())
        lines(ax, curves, x, label, colours, bands, (-0.02, 1), (0, most), marker="o")
    spared = [(share, m) for share, m in zeros if m.f1_high >= 0]
    share, named = max(spared or zeros[:1], key=lambda each: each[0])
    speed = named.questions_per_second / whole.questions_per_second
    steady = named.slowest <= whole.fastest and whole.slowest <= named.fastest
    times = "no clear change of speed" if steady else f"{speed:.1f} times the speed"
    kept = f"Even {percent(share)} of the weights cost F1, beyond chance"
    if spared:
        kept = f"{percent(share)} of the weights can go without a loss that "
        kept += f"{whole.questions} questions show"
    finding = f"{kept}, but zeros are multiplied like any other number: {times}"
    return finish(figure, finding)


def _ends(m: Measurement, first: Measurement, measure: str) -> tuple[float, float]:
    """Of a measurement: the range over the rounds, or the 95 % interval against the first."""
    if measure == "f1":
        return first.f1 + m.f1_low, first.f1 + m.f1_high
    return (m.slowest, m.fastest) if measure == "questions_per_second" else (m.megabytes,) * 2


# --- a student, and all together


def draw_soft_targets(tokens: Sequence[str], logits: Any, right: int) -> Figure:
    """Draw what there is to learn from one question: the label, and the teacher's probabilities.

    Args:
        tokens, logits: str[T], float[T], the teacher's start logits; the eight likeliest are drawn.
        right: the label's place.
    """
    logits = np.asarray(logits, dtype=float)
    order = np.sort(np.argsort(-logits, kind="stable")[:8])
    panels = {
        "the label": np.eye(len(logits))[right],
        "the teacher, T = 1": softmax(logits),
        "the teacher, T = 2": softmax(logits / 2),
    }
    size = (8.6, 0.95 + 0.29 * len(order))
    figure, axes = subplots(1, 3, figsize=size, sharey=True)
    for ax, (name, probs), colour in zip(axes, panels.items(), (MUTED, START, ANSWER), strict=True):
        title(ax, name)
        shown = [percent(p) if p else "0" for p in probs[order]]
        bars(ax, [(tokens[place], probs[place]) for place in order], shown, colour)
        ax.set_xlim(0, 1.3)
    axes[0].set_ylabel("start of the answer")
    finding = "The label says one token; the teacher, softened, spreads "
    return finish(figure, f"{finding}{percent(1 - probs.max())} over the others")


def plot_measurements(measured: Sequence[Measurement]) -> Figure:
    """Plot size, speed and quality of several readers, compared with the first.

    Lines are the range of speed over the rounds, and the 95 % interval of F1 against the first.
    """
    first, *others = measured
    panels = {"megabytes": "C4", "questions_per_second": START, "f1": ANSWER}
    size = (8.6, 1.25 + 0.4 * len(measured))
    figure, axes = subplots(1, 3, figsize=size, sharey=True)
    for ax, (measure, colour) in zip(axes, panels.items(), strict=True):
        title(ax, {"f1": "F1, %"}.get(measure, measure.replace("_", " ")))
        shown = [_compared(m, first, measure) for m in measured]
        shades = [tint(colour, 0.9 if i else 0.4) for i in range(len(measured))]
        values = {m.name: float(getattr(m, measure)) for m in measured}
        bars(ax, values, "", shades, room=2.1 if measure == "f1" else 1.7, told=shown)
        for y, m in enumerate(measured):
            ends = _ends(m, first, measure)
            ax.plot(ends, (y, y), color=INK, linewidth=1.4)
            at = max(values[m.name], *ends)
            write(ax, at, y, shown[y], size=9.5, shift=(5, 0), ha="left")
    near = [reader for reader in others if reader.f1_low <= 0 <= reader.f1_high]
    finding = f"All have less F1 than “{first.name}”, beyond chance on {first.questions} questions"
    if near:
        best = max(near, key=lambda reader: reader.questions_per_second)
        finding = f"F1 as before, as far as {first.questions} questions can tell: {len(near)} of "
        finding += f"{len(others)}; the fastest of these is “{best.name}”, with "
        finding += f"{percent(best.megabytes / first.megabytes)} of the megabytes"
    return finish(figure, finding, f"Measured on {first.questions} questions")


def _compared(m: Measurement, first: Measurement, measure: str) -> str:
    value = getattr(m, measure)
    text = f"{value:.0f}" if value >= 100 and measure != "f1" else f"{value:.1f}"
    if m is first:
        return text
    if measure == "f1":
        return f"{text} ({m.f1_low:+.1f} to {m.f1_high:+.1f})"
    ratio = value / getattr(first, measure)
    return f"{text}  ×{ratio:.{2 if ratio < 0.995 else 1}f}"
