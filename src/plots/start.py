"""Figures of the first notebook: sets, tasks, spam, how training works, the map of the course."""

import html
import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
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
    intervals,
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


def task_gallery(rows: Sequence[tuple[str, str, object]]) -> Panel:
    """Show tasks one below the other: what each is called, what goes in, what comes out.

    What comes out is a text, or label -> share, of which the first two are shown.
    """
    cell = '<td style="text-align:left;vertical-align:top;padding:.35em 1em .35em 0">'
    content, text = "", []
    for name, given, result in rows:
        if isinstance(result, Mapping):
            result = ", ".join(f"{label} {share:.0%}" for label, share in [*result.items()][:2])
        shown = [f"<em>{html.escape(name)}</em>", html.escape(given)]
        shown.append(f"<strong>{html.escape(str(result))}</strong>")
        content += f"<tr>{''.join(f'{cell}{part}</td>' for part in shown)}</tr>"
        text += [
            name,
            *textwrap.wrap(f"   in: {given}", 76),
            *textwrap.wrap(f"  out: {result}", 76),
        ]
    return html_panel(f"<table>{content}</table>", "\n".join(text))


# --- sets and maps

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
    ("05", "The transformer", "attention in layers:\nBERT and GPT"),
    ("06", "Language models", "what comes next?\nthe text knows"),
    ("07", "Plain text", "what is missing?\nnobody labels it"),
    ("08", "BERT on SQuAD", "marks the answer\nin a passage"),
    ("09", "Ask Wikipedia", "finds the passage first,\nthen answers"),
    ("10", "Bigger, smaller", "what size buys,\nand what it costs"),
)


def draw_course_map() -> Figure:
    """Draw the notebooks as a path, four in a row, each with what it adds."""
    rows = math.ceil(len(COURSE_MAP) / 4)
    height = 3.8 * rows - 0.4
    figure, ax = drawing((8.4, 0.514 * height), (0, 16.4), (0, height))
    for i, (number, name, adds) in enumerate(COURSE_MAP):
        x, y = 2.0 + 4.13 * (i % 4), 3.8 * (rows - 1 - i // 4) + 1.7
        colour = tint(ANSWER, 0.28) if i >= 8 else tint(START, 0.08 + 0.045 * i)
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


# --- how training works

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


def plot_line_training(
    x: np.ndarray, y: np.ndarray, history: Sequence[tuple[float, ...]], x_label: str, y_label: str
) -> Figure:
    """Plot a line on its way to the points, and beside it the way of its two numbers downhill.

    `history` has (slope, intercept, error), at the start and after each epoch.
    """
    epochs = len(history) - 1
    shown = [0, *(10**power for power in range(9) if 5 * 10**power <= epochs), epochs]
    names = {0: "start"} | {epoch: f"epoch {epoch:,}" for epoch in shown[1:]}
    figure, (ax, ground) = subplots(1, 2, figsize=(8.6, 4.1))
    ax.plot(x, y, "o", color=INK, markersize=4.5, alpha=0.55)
    slopes, intercepts, errors = np.array(history).T
    contours(ground, x, y, slopes, intercepts)
    ground.plot(slopes, intercepts, color=END, linewidth=1.6)
    right, ends = 1.05 * max(x), []
    for epoch, share in zip(shown, np.linspace(0.3, 1, len(shown)), strict=True):
        colour, end = tint(END, share), slopes[epoch] * right + intercepts[epoch]
        ax.plot([0, right], [intercepts[epoch], end], color=colour, linewidth=1.6)
        ends.append((right, end, names[epoch], END))
        ground.plot(slopes[epoch], intercepts[epoch], "o", color=colour, markeredgecolor=INK)
        write(ground, slopes[epoch], intercepts[epoch], names[epoch], shift=(8, -9), ha="left")
    ax.set(xlim=(0, right), ylim=(min(0, min(y)) - 0.03 * max(y), 1.12 * max(y)))
    ax.set(xlabel=x_label, ylabel=y_label)
    label_line_ends(ax, [ends[0], ends[1], ends[-1]])
    gain = (errors[0] - errors) / max(errors[0] - errors[-1], 1e-12)
    enough = next(epoch for epoch in shown if gain[epoch] > 0.99)
    finding = f"The first {enough:,} of {epochs:,} epochs bring {percent(gain[enough])} of the gain"
    told = "slope {:.2f}, intercept {:.2f}, error {:.2f}"
    steps = {name: told.format(*history[epoch]) for epoch, name in names.items()}
    shows = "Left: points, and lines that come nearer to them. Right: the way of slope and"
    shows += " intercept across lines of equal error, towards a cross at the least-squares solution"
    return finish(figure, finding, shows, listed(steps))


def contours(
    ax: Axes, x: np.ndarray, y: np.ndarray, slopes: np.ndarray, intercepts: np.ndarray
) -> None:
    """Draw lines of equal error over slope and intercept, and a cross where it is lowest.

    `slopes` and `intercepts` must be in sight.
    """
    best = np.polyfit(x, y, deg=1)
    sides = []
    for visited, lowest in zip((slopes, intercepts), best, strict=True):
        low, high = min(*visited, lowest), max(*visited, lowest)
        sides.append(np.linspace(low - 0.15 * (high - low), high + 0.5 * (high - low), 120))
    slope, intercept = np.meshgrid(*sides)
    errors = np.mean([(slope * a + intercept - b) ** 2 for a, b in zip(x, y, strict=True)], axis=0)
    levels = np.geomspace(1.01 * errors.min() + 1e-9, errors.max(), 14)
    ax.contour(slope, intercept, errors, levels=levels, colors=MUTED, linewidths=0.7)
    ax.plot(*best, "+", color=INK, markersize=12)
    ax.set(xlabel="slope", ylabel="intercept")


# --- spam and tasks


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
    (best, fewest), (other, most), *_ = sorted(errors.items(), key=lambda item: item[1].wrong)
    spam, ham = _less(fewest.missed, most.missed), _less(fewest.false_alarms, most.false_alarms)
    finding = f"Against “{other}”, “{best}” lets {spam} spam through and calls {ham} ham spam"
    return finish(figure, finding)


def plot_filter_losses(losses: Mapping[str, Sequence[float]]) -> Figure:
    """Plot the loss of a filter by epoch, "training" and "validation", before each step."""
    figure, ax = subplots(figsize=(8, 3.6))
    lines(ax, {name: list(enumerate(values)) for name, values in losses.items()}, "epoch", "loss")
    level(ax, math.log(2), "a coin: 0.69", below=True)
    aside = losses["validation"]
    lowest = int(np.argmin(aside))
    less = "less" if aside[-1] > losses["training"][-1] else "as far"
    finding = f"The loss falls on both, {less} on the messages that were kept aside"
    if aside[-1] > 1.01 * aside[lowest]:
        finding = f"After epoch {lowest:,} the loss grows on the messages that were kept aside"
    return finish(figure, finding)


def plot_beliefs(beliefs: Mapping[str, Sequence[float]]) -> Figure:
    """Plot how likely a filter takes some messages to be spam, after each epoch of training."""
    curves = {name: np.column_stack([np.arange(len(p)) + 1, p]) for name, p in beliefs.items()}
    figure, ax = subplots(figsize=(8, 3.9))
    lines(ax, curves, "epoch, logarithmic", "probability of spam", ylim=(0, 1), log="x")
    level(ax, 0.5, "undecided")
    turns = []
    for name, probs in beliefs.items():
        other_side = np.flatnonzero((np.asarray(probs) > 0.5) != (probs[-1] > 0.5))
        if len(other_side):
            turns.append(f"“{name}” changes sides after epoch {other_side[-1] + 1:,}")
    return finish(figure, "; ".join(turns) or "No message changes sides")


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
    """Draw the share of right answers in each task with its interval, and what it has to beat."""
    shares = {name: 100 * score.right / score.total for name, score in scores.items()}
    low, high = intervals(*zip(*((one.right, one.total) for one in scores.values()), strict=True))
    rival = [100 * score.commonest / score.total for score in scores.values()]
    shown = [f"{score.right:,} of {score.total:,}" for score in scores.values()]
    figure, ax = subplots(figsize=(8, 1.5 + 0.55 * len(shares)))
    told = [
        f"{count}, interval {a:.0f} to {b:.0f} %, commonest {c:.0f} %"
        for count, a, b, c in zip(shown, low, high, rival, strict=True)
    ]
    label = "right answers, %; orange: one answer for all; line: 95 % interval"
    bars(ax, shares, "", label=label, told=told)
    for row, (start, end) in enumerate(zip(low, high, strict=True)):
        ax.plot([start, end], [row, row], color=INK, linewidth=1.4)
        ax.plot([rival[row]] * 2, [row - 0.38, row + 0.38], color=END, linewidth=2.4)
        write(ax, end, row, shown[row], size=9.5, shift=(6, 0), ha="left")
    ax.set(xlim=(0, 118), xticks=range(0, 101, 20))
    sure = [name for name, start, mark in zip(shares, low, rival, strict=True) if start > mark]
    unsure = [name for name in shares if name not in sure]
    finding = f"Better than one answer for all, beyond chance: {_quoted(sure)}"
    return finish(figure, f"{finding}; not shown: {_quoted(unsure)}")


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"“{name}”" for name in names) or "none"


def _less(number: int, other: int) -> str:
    return "as much" if number == other else "less" if number < other else "more"
