"""The figures of three ways to answer say what the numbers say."""

import pandas as pd

from src.plots.variants import plot_kinds, plot_variants
from src.qa import variants


def table_of(**kinds_by_way):
    """One row per answer: table_of(extractive={"right": 3}) has three right answers."""
    rows = []
    for way, kinds in kinds_by_way.items():
        for kind, count in kinds.items():
            right, seconds = 100.0 * kind.startswith("right"), 0.5 + len(rows) / 100
            row = (way.replace("_", "-"), kind, right, right, seconds, "unsupported" not in kind)
            rows += [row] * count
    return pd.DataFrame(
        rows, columns=["variant", "kind", "exact_match", "f1", "seconds", "supported"]
    )


TABLE = table_of(
    extractive={"right": 15, "marked the wrong words": 5},
    open_book={
        "right": 10,
        "right but unsupported": 2,
        "wrong though the passage was there": 5,
        "fluent and wrong": 3,
    },
    closed_book={
        "right": 3,
        "right but unsupported": 1,
        "fluent and wrong": 14,
        "repeats the question": 1,
        "refused": 1,
    },
)
SUMMARY = variants.summarise(TABLE)

FIGURES = {
    "plot_variants": (
        lambda: plot_variants(SUMMARY),
        "Most often right is extractive, 75 %; most often fluent and wrong closed-book, 70 %",
        "Bars of exact match, %: extractive: 75; open-book: 60; closed-book: 20",
        "Bars of is in the passage, %: extractive: 100; open-book: 90; closed-book: 95",
    ),
    "plot_kinds": (
        lambda: plot_kinds(TABLE),
        "Fluent and wrong: closed-book 14 of 20, open-book 3 of 20, extractive 0 of 20",
        "extractive: right 15, right but unsupported 0, marked the wrong words 5",
    ),
    "plot_kinds of one way": (
        lambda: plot_kinds(TABLE[TABLE["variant"] == "extractive"]),
        "Fluent and wrong: extractive 0 of 20",
        "extractive: right 15, marked the wrong words 5.",
    ),
}
