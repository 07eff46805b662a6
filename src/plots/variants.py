"""Figures of three ways to answer the same questions: how good each is, and what it got wrong."""

import pandas as pd

from src.plots import ANSWER, END, FAINT, INK, MUTED, PALE, START, Figure, finish, subplots, tint
from src.plots.primitives import bars, legend, stacked_bars, title
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
PANELS = {  # column of `summarise` -> what is above it, and the columns of a line over the bar
    "exact_match": ("exact match, %", ()),
    "f1": ("F1, %", ()),
    "right": ("says a right answer, %", ()),
    "supported": ("is in the passage, %", ()),
    "fluent_and_wrong": (
        "fluent and wrong, %\n(line: 95 % interval)",
        ("fluent_low", "fluent_high"),
    ),
    "median_seconds": (
        "median seconds\n(line: to the 95th percentile)",
        ("median_seconds", "seconds_95th"),
    ),
}


def plot_variants(summary: pd.DataFrame) -> Figure:
    """Plot how good each way to answer is, how true to the passage, and how long it takes.

    `summary` is of `src.qa.variants.summarise`.
    """
    size = (8.6, 1.9 + 0.62 * len(summary))
    figure, axes = subplots(2, 3, figsize=size, sharey=True)
    colours = [COLOURS[way] for way in summary.index]
    for ax, (measure, (name, ends)) in zip(axes.flat, PANELS.items(), strict=True):
        title(ax, name, 10)
        form = "{:.2g}" if measure == "median_seconds" else "{:.0f}"
        most = summary[ends[1]].max() if measure == "median_seconds" else 100
        bars(ax, summary[measure].to_dict(), "", colours)
        for y, (_, row) in enumerate(summary.iterrows()):
            right = max([row[measure], *(row[end] for end in ends)])
            ax.text(right + 0.03 * most, y, form.format(row[measure]), va="center", fontsize=9.5)
            if ends:
                ax.plot(row[list(ends)], [y, y], color=INK, linewidth=1.4)
        ax.set_xlim(0, 1.25 * most)
    best, worst = summary["right"].idxmax(), summary["fluent_and_wrong"].idxmax()
    finding = f"Most often right is {best}, {summary['right'][best]:.0f} %; most often "
    finding += f"fluent and wrong {worst}, {summary['fluent_and_wrong'][worst]:.0f} %"
    return finish(figure, finding, f"{summary['questions'].max():.0f} questions")


def plot_kinds(table: pd.DataFrame) -> Figure:
    """Plot what became of the questions of `load_variants`, a bar for each way to answer."""
    counts = variants.count_kinds(table)
    counts = counts.loc[:, counts.sum() > 0]
    colours = {kind: KIND_COLOURS[kind] for kind in counts.columns}
    figure, ax = subplots(figsize=(8.6, 1.75 + 0.45 * len(counts)))
    parts = {way: row.to_dict() for way, row in counts.iterrows()}
    stacked_bars(ax, parts, colours, "questions")
    legend(figure, colours, 3)
    fluent = counts.get(variants.FLUENT, 0 * counts.iloc[:, 0]).sort_values(ascending=False)
    told = [f"{way} {count} of {counts.loc[way].sum()}" for way, count in fluent.items()]
    return finish(figure, f"Fluent and wrong: {', '.join(told)}")
