"""Figures of the first notebook: sets, tasks, spam, how training works, the map of the course."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.patches import Ellipse

from src.plots import (
    ANSWER,
    END,
    FAINT,
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
    arrow,
    bars,
    box,
    drawing,
    html_panel,
    label_line_ends,
    legend,
    level,
    lines,
    stacked_bars,
    write,
)
from src.spam import Errors
from src.tasks import Score
from src.teaching.panel import Panel

STEP = {"colour": "#444444", "width": 1.6, "head": 13}  # arrows from box to box


def task_card(task: str, asks: str, given: str, result: str, by: str, watch_out: str = "") -> Panel:
    """Show one task of the tour as a card: what it asks, what goes in and out, by whom."""
    rows = {"in": given, "out": result, "by": by} | ({"watch out": watch_out} if watch_out else {})
    head = f"<strong>{html.escape(task)}</strong> &nbsp; <em>{html.escape(asks)}</em>"
    content = f'<div style="margin-bottom:.2em">{head}</div>'
    for name, text in rows.items():
        shown = f"<strong>{html.escape(text)}</strong>" if name == "out" else html.escape(text)
        label = "display:inline-block;min-width:5.5em;opacity:.75;text-indent:0"
        hanging = "margin:.15em 0;padding-left:5.5em;text-indent:-5.5em"
        content += f'<div style="{hanging}"><span style="{label}">{name}</span>{shown}</div>'
    frame = "border:1px solid rgba(128,128,128,.4);border-left:4px solid #0072b2;border-radius:4px"
    text = "\n".join([f"{task}: {asks}", *(f"  {name:9} {shown}" for name, shown in rows.items())])
    return html_panel(content, text, f"{frame};padding:.4em .9em;margin:.3em 0;line-height:1.45")


# --- sets and maps --------------------------------------------------------------------------------

SETS = {  # name: middle, size, colour, where its text goes, what this course puts into it
    "Artificial\nintelligence": (
        (8.0, 4.0), (15.8, 7.8), tint(MUTED, 0.13), (2.2, 4.1),
        "rules written\nby people: our first\nspam filter",
    ),
    "Machine learning": (
        (9.9, 3.8), (11.2, 6.0), tint("#0072b2", 0.17), (6.6, 3.8),
        "rules found in examples:\na best-fit line,\nour second spam filter",
    ),
    "Deep learning": (
        (12.0, 3.6), (6.4, 4.2), tint("#d55e00", 0.25), (12.0, 3.35),
        "many layers, learned\ntogether: BERT, GPT,\nour question answerer",
    ),
}  # fmt: skip


def draw_ai_sets() -> Figure:
    """Draw artificial intelligence, machine learning and deep learning as sets."""
    figure, ax = drawing((8, 4.1), (0, 16), (0, 8))
    for name, (middle, size, colour, (x, y), inside) in SETS.items():
        ax.add_patch(Ellipse(middle, *size, facecolor=colour, edgecolor=INK, linewidth=1.2))
        write(ax, x, y + 0.45, name, size=11.5, bold=True, va="bottom")
        write(ax, x, y + 0.25, inside, va="top")
    finding = "Deep learning is a part of machine learning, as that is of artificial intelligence"
    told = listed({name: inside for name, (*_, inside) in SETS.items()})
    return finish(figure, finding, "Three ellipses, one inside the other", told)


COURSE_MAP = (
    ("00", "Start here", "rules against learning,\nhow training works"),
    ("01", "Embeddings", "a word becomes numbers\nthat carry meaning"),
    ("02", "word2vec", "the numbers are learned\nfrom plain text"),
    ("03", "RNNs", "words in order:\na memory as it reads"),
    ("04", "Attention", "every word looks\nat every other"),
    ("05", "Language models", "pretraining: a lot of text,\nnobody labels it"),
    ("06", "BERT on SQuAD", "marks the answer\nin a passage"),
    ("07", "Ask Wikipedia", "finds the passage first,\nthen answers"),
)


def draw_course_map() -> Figure:
    """Draw the notebooks as a path, four in a row, each with what it adds."""
    rows = math.ceil(len(COURSE_MAP) / 4)
    height = 3.8 * rows - 0.4
    figure, ax = drawing((8.4, 0.514 * height), (0, 16.4), (0, height))
    for i, (number, name, adds) in enumerate(COURSE_MAP):
        x, y = 2.0 + 4.13 * (i % 4), 3.8 * (rows - 1 - i // 4) + 1.7
        colour = tint(ANSWER, 0.28) if i >= 6 else tint(START, 0.08 + 0.045 * i)
        box(ax, x, y, 3.76, 2.66, edge=INK, face=colour, rounded=0.3)
        write(ax, x, y + 0.72, f"{number}  {name}", bold=True)
        write(ax, x, y - 0.35, adds, size=8.8)
        if i % 4:
            arrow(ax, (x - 2.2, y), (x - 1.9, y), **STEP)
        elif i:
            arrow(ax, (14.39, y + 2.4), (2.0, y + 1.4), **STEP)
    finding = "The notebooks lead from a single word to an answer out of ten thousand articles"
    told = listed({f"{number} {name}": adds for number, name, adds in COURSE_MAP})
    return finish(figure, finding, "Boxes joined by arrows", told)


# --- how training works ---------------------------------------------------------------------------

LOOP = {  # step: what it means, for the best-fit line, for the spam filter
    "forward": (
        "guess, with the\nnumbers you have",
        "slope · x + intercept",
        "add up word weights,\nsqueeze into 0 to 1",
    ),
    "error": (
        "how far off are\nthe guesses?",
        "mean of\n(guess − truth)²",
        "mean of −log(belief\nin the truth)",
    ),
    "gradient": (
        "which way would each\nnumber make it worse?",
        "one number for slope,\none for intercept",
        "one number per word,\none for the bias",
    ),
    "adjust": (
        "a small step\nthe other way",
        "subtract learning rate\n· gradient",
        "subtract learning rate\n· gradient",
    ),
}


def draw_training_loop() -> Figure:
    """Draw the steps of training as a loop, for the best-fit line and for the spam filter."""
    figure, ax = drawing((8.4, 4.1), (-2.1, 17.2), (-0.2, 9.0))
    for i, (word, (means, line, spam)) in enumerate(LOOP.items()):
        x = 2.2 + 4.2 * i
        box(ax, x, 5.8, 3.86, 2.36, edge=INK, face=tint(START, 0.2), rounded=0.3)
        write(ax, x, 6.35, word, size=12.5, bold=True)
        for y, text, size in ((5.4, means, 9), (3.2, line, 8.8), (1.15, spam, 8.8)):
            write(ax, x, y, text, size=size)
        if i:
            arrow(ax, (x - 2.32, 5.8), (x - 1.95, 5.8), **STEP)
    for y, name in ((3.2, "best-fit\nline"), (1.15, "spam\nfilter")):
        write(ax, -2.0, y, name, END, 9.5, bold=True, ha="left")
        ax.axhline(y + 1.02, color=FAINT, linewidth=1)
    arrow(ax, (14.8, 7.05), (2.2, 7.05), **STEP | {"colour": END}, bend=0.2)
    write(ax, 8.5, 7.35, "epoch: one round over all examples, then again", END, bold=True)
    finding = "Training is four steps in a circle, the same for two numbers as for millions"
    shows = "Four boxes in a row, joined by arrows, and an arrow back to the first, named epoch"
    told = "; ".join(
        f"{word}: {means}; for the line {line}; for the spam filter {spam}"
        for word, (means, line, spam) in LOOP.items()
    )
    return finish(figure, finding, shows, told)


def plot_downhill(
    x: np.ndarray, y: np.ndarray, intercept: float, slopes: Sequence[float]
) -> Figure:
    """Plot the error of a line against its slope, and the steps of gradient descent on it.

    Args:
        x, y: float[N], the points; the intercept is held still.
        slopes: at least two, in the order they were visited.
    """
    visited = np.asarray(slopes, dtype=float)
    best = float((x * (y - intercept)).sum() / (x * x).sum())
    reach = 1.15 * max(abs(visited - best).max(), 1e-9)
    grid = np.linspace(best - reach, best + reach, 200)
    errors, at = (((s[:, None] * x + intercept - y) ** 2).mean(axis=1) for s in (grid, visited))
    gradient = float((2 * (visited[0] * x + intercept - y) * x).mean())
    near = np.array([-0.16, 0.16]) * reach
    figure, ax = subplots(figsize=(8, 3.9))
    ax.plot(grid, errors, color=MUTED, zorder=1)
    tangent = at[0] + gradient * near
    ax.plot(visited[0] + near, tangent, color=END, linewidth=2.4)
    place = {"shift": (14, 2), "ha": "left", "va": "bottom"}
    write(ax, visited[0], at[0], f"gradient {gradient:.1f}", END, 11, bold=True, **place)
    ax.plot(visited, at, "o-", color=START, markersize=7, linewidth=1.4)
    level(ax, best, f"lowest: slope {best:.2f}", axis="x", left=True)
    ax.set(ylim=(0, 1.05 * errors.max()), xlabel="slope", ylabel="error (mean square)")
    finding = f"{len(visited) - 1} steps against the gradient: the error goes from {at[0]:,.1f} to"
    finding += f" {at[-1]:,.1f}, the slope from {visited[0]:.2f} to {visited[-1]:.2f}"
    return finish(figure, finding, "The error of a line against its slope is a bowl")


def plot_line_training(
    x: np.ndarray,
    y: np.ndarray,
    history: Sequence[tuple[float, float, float]],
    x_label: str,
    y_label: str,
) -> Figure:
    """Plot a line on its way to the points, pale early and dark late, and its error per epoch.

    Args:
        x, y: float[N].
        history: (slope, intercept, error) before each epoch's step, and a last one behind them.
    """
    epochs, right = len(history) - 1, 1.05 * x.max()
    figure, (ax, curve) = subplots(1, 2, figsize=(8.4, 3.9), width_ratios=(1.35, 1))
    ax.plot(x, y, "o", color=INK, markersize=4.5, alpha=0.55)
    shown = sorted({0, *(round(epochs**share) for share in np.linspace(0, 1, 7))})
    ends, names = [], {1: "epoch 1", epochs: f"epoch {epochs:,}", 0: "start"}
    for epoch, share in zip(shown, np.linspace(0.25, 1, len(shown)), strict=True):
        slope, intercept, _ = history[epoch]
        look = {"color": tint(END, share), "linewidth": 1.4 + (epoch == epochs)}
        ax.plot([0, right], [intercept, slope * right + intercept], **look)
        if epoch in names:
            ends.append((right, slope * right + intercept, names[epoch], END))
    ax.set(xlim=(0, right), ylim=(min(0, y.min()) - 0.03 * y.max(), 1.12 * y.max()))
    ax.set(xlabel=x_label, ylabel=y_label)
    label_line_ends(ax, ends)
    errors = [error for _, _, error in history]
    curve.set_xscale("symlog", linthresh=1)  # which has a zero
    powers = [10**power for power in range(len(str(epochs)))]
    curve.set_xticks([0, *powers], ["start", *(f"{power:,}" for power in powers)])
    lines(curve, {"": list(enumerate(errors))}, "epoch, logarithmic", "error (mean square)")
    finding = f"In {epochs:,} epochs the line moves to the points: its error falls"
    finding += f" from {errors[0]:,.0f} to {errors[-1]:,.0f}"
    last = f"The last line has slope {history[-1][0]:.2f} and intercept {history[-1][1]:.2f}"
    return finish(figure, finding, "Points, and lines that come nearer to them", last)


# --- spam and tasks -------------------------------------------------------------------------------


def plot_filter_errors(errors: Mapping[str, Errors]) -> Figure:
    """Draw both kinds of error of several filters on the same messages, with the counts."""
    kinds = {"spam let through": START, "ham called spam": END}
    table = {
        name: dict(zip(kinds, (found.missed, found.false_alarms), strict=True))
        for name, found in errors.items()
    }
    figure, ax = subplots(figsize=(8, 1.7 + 0.75 * len(errors)))
    stacked_bars(ax, table, kinds, "wrong messages")
    for y, found in enumerate(errors.values()):
        text = f"{found.wrong} of {found.total}"
        write(ax, found.wrong, y, text, size=10.5, shift=(5, 0), ha="left")
    ax.set_xlim(0, 1.18 * max(1, *(found.wrong for found in errors.values())))
    ax.locator_params(axis="x", integer=True)
    legend(figure, kinds)
    ranked = sorted(errors.items(), key=lambda item: item[1].wrong)
    told = [f"{found.wrong} by “{name}”" for name, found in ranked]
    return finish(figure, f"Of the same {ranked[0][1].total} messages, wrong: {', '.join(told)}")


def plot_word_weights(for_spam: Mapping[str, float], against: Mapping[str, float]) -> Figure:
    """Draw the words with the largest and with the smallest weights of a learned filter."""
    rows = max(len(for_spam), len(against))
    figure, axes = subplots(1, 2, figsize=(8, 1.2 + 0.27 * rows))
    sides = ((for_spam, END, "for spam"), (against, START, "against spam"))
    longest = max(map(abs, [*for_spam.values(), *against.values()]))
    for ax, (words, colour, says) in zip(axes, sides, strict=True):
        sizes = {word: abs(weight) for word, weight in words.items()}
        shown = [f"{weight:+.2f}" for weight in words.values()]
        label = f"size of the weight: speaks {says}"
        bars(ax, sizes, shown, tint(colour, 0.75), label, height=0.72)
        ax.set_xlim(0, 1.25 * longest)
    best, worst = next(iter(for_spam)), next(iter(against))
    finding = f"“{best}” speaks most for spam, “{worst}” most against it"
    return finish(figure, finding)


def plot_task_scores(scores: Mapping[str, Score]) -> Figure:
    """Draw the share of right answers in each task, with a mark where guessing would be."""
    shares = {name: 100 * score.right / score.total for name, score in scores.items()}
    shares = dict(sorted(shares.items(), key=lambda item: -item[1]))
    figure, ax = subplots(figsize=(8, 1.5 + 0.5 * len(shares)))
    shown = [f"{scores[name].right:,} of {scores[name].total:,}" for name in shares]
    against = {name: f"{shares[name]:.0f} % for {percent(scores[name].chance)}" for name in shares}
    told = [f"{against[name]}, {count}" for name, count in zip(shares, shown, strict=True)]
    label = "right answers, % (orange mark: what guessing would get)"
    bars(ax, shares, shown, label=label, told=told)
    for row, name in enumerate(shares):
        guess = 100 * scores[name].chance
        ax.plot([guess, guess], [row - 0.38, row + 0.38], color=END, linewidth=2.4)
    ax.set(xlim=(0, 115), xticks=range(0, 101, 20))
    above = {name: shares[name] - 100 * scores[name].chance for name in shares}
    best, worst = max(above, key=above.get), min(above, key=above.get)
    finding = f"“{best}” lies furthest above guessing ({against[best]}), “{worst}” least"
    return finish(figure, f"{finding} ({against[worst]})", "Right, against guessing, and counted")
