"""Figures of three ways to answer the same questions: how good each is and how long it takes, and what became of the questions."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from src.plots import ANSWER, END, FAINT, INK, MUTED, PALE, START, Figure, alt, headline, plain, readable_on, subplots, tint
from src.qa import variants

COLOURS = {variants.EXTRACTIVE: START, variants.OPEN_BOOK: PALE, variants.CLOSED_BOOK: "C4"}
KIND_COLOURS = {
    variants.RIGHT: ANSWER,
    variants.RIGHT_UNSUPPORTED: tint(ANSWER, 0.4),
    variants.MARKED_WRONG: FAINT,
    variants.WRONG_WITH_PASSAGE: MUTED,
    variants.FLUENT: END,
    variants.REPEATS: tint(END, 0.3),
    variants.REFUSED: "#ffffff",
}
PANELS = {  # column of `summarise` -> what stands above it
    "exact_match": "exact match, %",
    "f1": "F1, %",
    "right": "says a right answer, %",
    "supported": "stands in the passage, %",
    "fluent_and_wrong": "fluent and wrong, %",
    "median_seconds": "seconds per question",
}

LINES = {  # where a line is drawn: from one column to another, and what it says
    "fluent_and_wrong": ("fluent_low", "fluent_high", "line: 95 % interval"),
    "median_seconds": ("median_seconds", "seconds_95th", "median, line to the 95th percentile"),
}


def plot_ways(summary: pd.DataFrame) -> Figure:
    """Plot how good each way to answer is, how true to the passage, and how long it takes, a panel for each measure.

    summary: of `src.qa.variants.summarise`. The line at "fluent and wrong" is the interval that holds it with 95 % confidence; at the
    seconds it goes from the median to what 95 % of the questions stay below.
    """
    _check(summary)
    figure, axes = subplots(2, 3, figsize=(8.6, 1.9 + 0.62 * len(summary)), sharey=True)
    for ax, (measure, title) in zip(axes.flat, PANELS.items(), strict=True):
        _draw_measure(ax, summary, measure)
        ax.set_title(title, fontsize=10.5)
        if measure in LINES:
            ax.set_xlabel(LINES[measure][2], fontsize=9.5)
    axes[0, 0].set_yticks(range(len(summary)), [plain(way) for way in summary.index])
    axes[0, 0].invert_yaxis()
    best, worst = summary["right"].idxmax(), summary["fluent_and_wrong"].idxmax()
    finding = (
        f"Most often right is {best}, {summary['right'][best]:.0f} %; most often fluent and wrong "
        f"{worst}, {summary['fluent_and_wrong'][worst]:.0f} %"
    )
    headline(figure, finding)
    told = "; ".join(
        f"{way}: exact match {row['exact_match']:.0f} %, F1 {row['f1']:.0f} %, says a right answer {row['right']:.0f} %, stands in the "
        f"passage {row['supported']:.0f} %, fluent and wrong {row['fluent_and_wrong']:.0f} % (between {row['fluent_low']:.0f} and "
        f"{row['fluent_high']:.0f}), {_seconds(row['median_seconds'])} seconds, for 95 % of the questions under "
        f"{_seconds(row['seconds_95th'])}"
        for way, row in summary.iterrows()
    )
    return alt(figure, f"Bars of {len(summary)} ways to answer {summary['questions'].max():.0f} questions. {told}. {finding}.")


def _draw_measure(ax: Axes, summary: pd.DataFrame, measure: str) -> None:
    """One panel: a bar for each way with its value, and a line where there is more to say than one number."""
    most = 100.0 if measure != "median_seconds" else float(summary["seconds_95th"].max())
    for y, (way, row) in enumerate(summary.iterrows()):
        value = end = float(row[measure])
        ax.barh(y, value, 0.62, color=COLOURS.get(way, MUTED), gid=f"{measure} {way}")
        if measure in LINES:
            low, end = (float(row[name]) for name in LINES[measure][:2])
            ax.plot([low, end], [y, y], color=INK, linewidth=1.4, gid=f"line {measure} {way}")
        shown = _seconds(value) if measure == "median_seconds" else f"{value:.0f}"
        ax.text(max(value, end) + 0.03 * most, y, shown, va="center", fontsize=9.5)
    ax.set_xlim(0, 1.25 * most)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="y", length=0)


def plot_kinds(table: pd.DataFrame) -> Figure:
    """Plot what became of the questions, a bar for each way, parted by the kinds of `src.qa.variants.kind_of`.

    table: of `src.qa.variants.ask_variants` or `load_variants`
    """
    counts = variants.count_kinds(table)
    _check(counts)
    counts = counts.loc[:, counts.sum() > 0]
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    figure, ax = subplots(figsize=(8.6, 1.75 + 0.45 * len(counts)))
    lefts = [0.0] * len(counts)
    for kind in counts.columns:
        colour: Any = KIND_COLOURS[kind]
        ax.barh(range(len(counts)), shares[kind], 0.66, left=lefts, color=colour, edgecolor="#999999", linewidth=0.6, label=kind)
        for y, (share, count) in enumerate(zip(shares[kind], counts[kind], strict=True)):
            if count:
                style = {"ha": "center", "va": "center", "fontsize": 10, "color": readable_on(colour)}
                ax.text(lefts[y] + share / 2, y, str(count), gid=f"{kind} {counts.index[y]}", **style)
        lefts = [left + share for left, share in zip(lefts, shares[kind], strict=True)]
    ax.set_yticks(range(len(counts)), [plain(way) for way in counts.index])
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_xlabel("% of the questions; in the bars, how many")
    ax.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9.5)
    fluent = counts[variants.FLUENT] if variants.FLUENT in counts else counts.iloc[:, 0] * 0
    total = counts.sum(axis=1)
    parts = [f"{way} {fluent[way]} of {total[way]}" for way in fluent.sort_values(ascending=False, kind="stable").index]
    finding = f"Fluent and wrong: {', '.join(parts)}"
    headline(figure, finding)
    told = "; ".join(f"{way}: " + ", ".join(f"{count} {kind}" for kind, count in row.items() if count) for way, row in counts.iterrows())
    return alt(figure, f"Bars of what became of the questions, for each way to answer. {told}. {finding}.")


def _check(rows: pd.DataFrame) -> None:
    if rows.empty:
        raise ValueError("there is nothing to draw; give the answers of at least one way.")


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"
