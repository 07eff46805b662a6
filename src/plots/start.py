"""Figures of the first notebook: sets, tasks, spam, how training works, and the map of the course (notebook 00)."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import partial

import matplotlib
import numpy as np
from matplotlib.patches import Ellipse, FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from src.plots import (
    ANSWER,
    END,
    FAINT,
    INK,
    MUTED,
    START,
    Figure,
    alt,
    arrow,
    clean_axes,
    headline,
    label_line_ends,
    percent,
    plain,
    subplots,
    tint,
)
from src.plots.training import loss_lines
from src.spam import Errors
from src.tasks import Score
from src.teaching.panel import UNBOXED, Panel

_arrow = partial(arrow, colour="#444444", width=1.6, head=13)

# --- cards and coloured words (HTML) -------------------------------------------------------------------------------------


def task_card(task: str, asks: str, given: str, result: str, by: str, watch_out: str = "") -> Panel:
    """One task of the tour in the same small card: what it asks, what goes in, what comes out, who did it, where it fails."""
    rows = [("in", given), ("out", result), ("by", by), *([("watch out", watch_out)] if watch_out else [])]
    label = "display:inline-block;min-width:5.5em;opacity:.75"
    lines = "".join(
        f'<div style="margin:.15em 0;padding-left:5.5em;text-indent:-5.5em"><span style="{label};text-indent:0">{name}</span>'
        f"{'<strong>' if name == 'out' else ''}{html.escape(text)}{'</strong>' if name == 'out' else ''}</div>"
        for name, text in rows
    )
    head = f'<div style="margin-bottom:.2em"><strong>{html.escape(task)}</strong> &nbsp; <em>{html.escape(asks)}</em></div>'
    style = "border:1px solid rgba(128,128,128,.4);border-left:4px solid #0072b2;border-radius:4px;padding:.4em .9em;margin:.3em 0"
    content = f'<div class="wta" style="{style};max-width:52em;line-height:1.45">{head}{lines}</div>'
    text = "\n".join([f"{task}: {asks}", *(f"  {name:9} {shown}" for name, shown in rows)])
    return Panel(f"<style>{UNBOXED}</style>{content}", text)


def tinted_words(words: Sequence[tuple[str, float]], strongest: float, caption: str) -> Panel:
    """A text with each word on a background as strong as its value: orange above zero, blue below, none at zero.

    words: each with its value   strongest: the value that gets the full colour   caption: a line below, in plain words
    """
    spans = []
    for word, value in words:
        colour = "213,94,0" if value > 0 else "0,114,178"
        share = 0.65 * min(1.0, abs(value) / strongest)
        style = f"background:rgba({colour},{share:.2f});border-radius:3px;padding:1px 3px"
        spans.append(f'<span style="{style}" title="{value:+.2f}">{html.escape(word)}</span>')
    body = f'<div style="line-height:1.9;font-size:105%">{" ".join(spans)}</div>'
    note = f'<div style="opacity:.75;margin-top:.2em">{html.escape(caption)}</div>'
    plain_words = " ".join(f"{word.strip()} ({value:+.2f})" for word, value in words)
    return Panel(f'<style>{UNBOXED}</style><div class="wta" style="max-width:52em">{body}{note}</div>', f"{plain_words}\n{caption}")


# --- sets and maps -------------------------------------------------------------------------------------------------------


def draw_ai_sets() -> Figure:
    """Draw artificial intelligence, machine learning and deep learning as sets, each with what this course puts into it."""
    figure, ax = subplots(figsize=(8, 4.1))
    clean_axes(ax)
    ax.set_xlim(0, 16)
    ax.set_ylim(0, 8)
    sets = [
        (
            (8.0, 4.0),
            15.8,
            7.8,
            tint(MUTED, 0.13),
            "Artificial\nintelligence",
            "rules written\nby people: our first\nspam filter",
            (2.2, 4.1),
        ),
        (
            (9.9, 3.8),
            11.2,
            6.0,
            tint(START, 0.17),
            "Machine learning",
            "rules found in examples:\na best-fit line,\nour second spam filter",
            (6.6, 3.8),
        ),
        (
            (12.0, 3.6),
            6.4,
            4.2,
            tint(END, 0.25),
            "Deep learning",
            "many layers, learned\ntogether: BERT, GPT,\nour question answerer",
            (12.0, 3.35),
        ),
    ]
    for middle, width, height, colour, name, inside, place in sets:
        ax.add_patch(Ellipse(middle, width, height, facecolor=colour, edgecolor=INK, linewidth=1.2, gid=name))
        ax.text(place[0], place[1] + 0.45, name, ha="center", va="bottom", fontsize=11.5, fontweight="bold")
        ax.text(place[0], place[1] + 0.25, inside, ha="center", va="top", fontsize=10)
    finding = "Deep learning is a part of machine learning, and that is a part of artificial intelligence"
    headline(figure, finding)
    contents = "; ".join(f"{name}: {inside}" for _, _, _, _, name, inside, _ in sets)
    return alt(figure, f"Three ellipses, one inside the other. {finding}. {contents}.")


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
    """Draw the eight notebooks as a path, each with what it adds on the way from a single word to an answer."""
    figure, ax = subplots(figsize=(8.4, 3.7))
    clean_axes(ax)
    ax.set_xlim(0, 16.4)
    ax.set_ylim(0, 7.2)
    middles = [(2.0 + 4.13 * (i % 4), 5.5 if i < 4 else 1.7) for i in range(8)]
    for i, ((x, y), (number, name, adds)) in enumerate(zip(middles, COURSE_MAP, strict=True)):
        colour = tint(ANSWER, 0.28) if i >= 6 else tint(START, 0.08 + 0.045 * i)
        box = FancyBboxPatch(
            (x - 1.8, y - 1.25), 3.6, 2.5, boxstyle="round,pad=0.08,rounding_size=0.25", facecolor=colour, edgecolor=INK, gid=number
        )
        ax.add_patch(box)
        ax.text(x, y + 0.72, f"{number}  {name}", ha="center", va="center", fontsize=10, fontweight="bold")
        ax.text(x, y - 0.35, adds, ha="center", va="center", fontsize=8.8)
        if i % 4:
            ax.add_patch(_arrow((x - 2.2, y), (x - 1.9, y)))
    ax.add_patch(_arrow((middles[3][0], 4.1), (middles[4][0], 3.1)))
    finding = "Eight notebooks lead from a single word to an answer out of ten thousand articles"
    headline(figure, finding)
    steps = "; ".join(f"{number} {name}: {adds}" for number, name, adds in COURSE_MAP)
    return alt(figure, f"Eight boxes joined by arrows. {finding}. {steps}.")


# --- how training works --------------------------------------------------------------------------------------------------

LOOP = (
    ("forward", "guess, with the\nnumbers you have", "slope · x + intercept", "add up word weights,\nsqueeze into 0 to 1"),
    ("error", "how far off are\nthe guesses?", "mean of\n(guess − truth)²", "mean of −log(belief\nin the truth)"),
    (
        "gradient",
        "which way would each\nnumber make it worse?",
        "one number for slope,\none for intercept",
        "one number per word,\none for the bias",
    ),
    ("adjust", "a small step\nthe other way", "subtract learning rate\n· gradient", "subtract learning rate\n· gradient"),
)


def draw_training_loop() -> Figure:
    """Draw the five words of training as a loop, with what each is for the best-fit line and for the spam filter."""
    figure, ax = subplots(figsize=(8.4, 4.1))
    clean_axes(ax)
    ax.set_xlim(-2.1, 17.2)
    ax.set_ylim(-0.2, 9.0)
    for i, (word, means, line, spam) in enumerate(LOOP):
        x = 2.2 + 4.2 * i
        box = FancyBboxPatch(
            (x - 1.85, 4.7), 3.7, 2.2, boxstyle="round,pad=0.08,rounding_size=0.25", facecolor=tint(START, 0.2), edgecolor=INK, gid=word
        )
        ax.add_patch(box)
        ax.text(x, 6.35, word, ha="center", va="center", fontsize=12.5, fontweight="bold")
        ax.text(x, 5.4, means, ha="center", va="center", fontsize=9)
        ax.text(x, 3.2, line, ha="center", va="center", fontsize=8.8)
        ax.text(x, 1.15, spam, ha="center", va="center", fontsize=8.8)
        if i:
            ax.add_patch(_arrow((x - 2.32, 5.8), (x - 1.95, 5.8)))
    for y, name in ((3.2, "best-fit\nline"), (1.15, "spam\nfilter")):
        ax.text(-2.0, y, name, ha="left", va="center", fontsize=9.5, fontweight="bold", color=END)
        ax.axhline(y + 1.02, color=FAINT, linewidth=1)
    ax.add_patch(_arrow((14.8, 7.05), (2.2, 7.05), colour=END, bend=0.2))
    ax.text(
        8.5, 7.35, "epoch: one round over all examples, then again", ha="center", va="center", fontsize=10, color=END, fontweight="bold"
    )
    finding = "Training is four steps in a circle, the same for two numbers as for millions"
    headline(figure, finding)
    steps = "; ".join(f"{word}: {means}; for the line {line}; for the spam filter {spam}" for word, means, line, spam in LOOP)
    return alt(figure, f"Four boxes in a row, joined by arrows, and an arrow back to the first, named epoch. {finding}. {steps}.")


def plot_downhill(x: np.ndarray, y: np.ndarray, intercept: float, slopes: Sequence[float]) -> Figure:
    """Plot the error of a line against its slope, the intercept held still, and the steps that gradient descent took on it.

    x, y: float[N], the points   slopes: at least two, in the order they were visited
    """
    x, y, visited = np.asarray(x, dtype=float), np.asarray(y, dtype=float), np.asarray(slopes, dtype=float)
    best = float((x * (y - intercept)).sum() / (x * x).sum())
    reach = 1.15 * max(abs(visited - best).max(), 1e-9)
    grid = np.linspace(best - reach, best + reach, 200)
    errors = _errors(x, y, grid, intercept)
    at = _errors(x, y, visited, intercept)
    figure, ax = subplots(figsize=(8, 3.9))
    ax.plot(grid, errors, color=MUTED, zorder=1)
    gradient = float((2 * (visited[0] * x + intercept - y) * x).mean())
    near = np.array([-0.16, 0.16]) * reach
    ax.plot(visited[0] + near, at[0] + gradient * near, color=END, linewidth=2.4, gid="tangent")
    ax.annotate(f"gradient {gradient:.1f}", (visited[0], at[0]), xytext=(14, 2), textcoords="offset points", color=END, fontweight="bold")
    ax.plot(visited, at, "o-", color=START, markersize=7, linewidth=1.4, gid="steps")
    ax.axvline(best, color=ANSWER, linestyle="--", linewidth=1.4)
    ax.annotate(
        f"lowest: slope {best:.2f}", (best, errors.max()), xytext=(5, -8), textcoords="offset points", color=ANSWER, fontweight="bold"
    )
    ax.set_ylim(0, 1.05 * errors.max())
    ax.set_xlabel("slope")
    ax.set_ylabel("error (mean square)")
    path = f"the slope goes from {visited[0]:.2f} to {visited[-1]:.2f}, the error from {at[0]:,.1f} to {at[-1]:,.1f}"
    finding = f"{len(visited) - 1} steps against the gradient: {path}"
    headline(figure, finding)
    return alt(
        figure,
        f"A bowl: the error of a line against its slope, with the visited slopes on it. {finding}. The lowest point is at {best:.2f}.",
    )


def _errors(x: np.ndarray, y: np.ndarray, slopes: np.ndarray, intercept: float) -> np.ndarray:
    """Mean square error of the line for each of several slopes: float[slopes]."""
    return ((slopes[:, None] * x + intercept - y) ** 2).mean(axis=1)


def plot_line_training(x: np.ndarray, y: np.ndarray, history: Sequence[tuple[float, float, float]], x_label: str, y_label: str) -> Figure:
    """Plot a line on its way to the points, pale early and dark late, and its error per epoch.

    x, y: float[N]   history: (slope, intercept, error) before each epoch's step, and a last one behind them
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    epochs = len(history) - 1
    figure, (ax, curve) = subplots(1, 2, figsize=(8.4, 3.9), width_ratios=(1.35, 1))
    ax.plot(x, y, "o", color=INK, markersize=4.5, alpha=0.55)
    shown = sorted({0, *(round(epochs**share) for share in np.linspace(0, 1, 7))})
    ends = np.array([0, x.max() * 1.05])
    for rank, epoch in enumerate(shown):
        slope, intercept, _ = history[epoch]
        colour = tint(END, 0.25 + 0.75 * rank / max(1, len(shown) - 1))
        ax.plot(ends, slope * ends + intercept, color=colour, linewidth=1.4 + (epoch == epochs), gid=f"epoch {epoch}")
    ax.set_xlim(0, x.max() * 1.05)
    ax.set_ylim(min(0, y.min()) - 0.03 * y.max(), 1.12 * y.max())
    ends_named = [(epoch, name) for epoch, name in ((0, "start"), (1, "epoch 1"), (epochs, f"epoch {epochs:,}")) if epoch in shown]
    right = ends[1]
    label_line_ends(ax, [(right, history[epoch][0] * right + history[epoch][1], name, END) for epoch, name in ends_named])
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    errors = [error for _, _, error in history]
    curve.plot(np.arange(1, len(errors) + 1), errors, color=START)
    curve.set_xscale("log")
    curve.set_ylim(0, 1.05 * max(errors))
    curve.set_xlabel("epoch, logarithmic")
    curve.set_ylabel("error (mean square)")
    curve.grid(axis="y")
    slope, intercept, error = history[-1]
    finding = f"In {epochs:,} epochs the line moves to the points: its error falls from {errors[0]:,.0f} to {error:,.0f}"
    headline(figure, finding)
    return alt(
        figure,
        f"Left: points, and lines that come nearer to them; right: the error per epoch. {finding}. "
        f"The last line has slope {slope:.2f} and intercept {intercept:.2f}.",
    )


def plot_losses(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Plot the loss per epoch, one line per set of messages, each named at its end; a coin's loss is drawn for comparison."""
    if not curves or not all(len(losses) for losses in curves.values()):
        raise ValueError("plot_losses needs at least one loss per curve; train first.")
    points = {f"{name}: {losses[-1]:.2f}": np.column_stack([np.arange(1, len(losses) + 1), losses]) for name, losses in curves.items()}
    figure, ax = loss_lines(points, [(float(np.log(2)), "a coin: 0.69")])
    (first, losses), *others = curves.items()
    ax.set_xlim(1, len(losses))
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss, nats per message")
    finding = f"On the {first} messages the loss falls from {losses[0]:.2f} to {losses[-1]:.2f} in {len(losses)} epochs"
    finding += "".join(f"; on the {name} messages it ends at {other[-1]:.2f}" for name, other in others)
    headline(figure, finding)
    return alt(figure, f"Lines of loss against epoch. {finding}. A coin's loss is 0.69.")


# --- spam ----------------------------------------------------------------------------------------------------------------


def plot_filter_errors(errors: Mapping[str, Errors]) -> Figure:
    """Draw both kinds of error of several filters on the same messages, side by side, with the counts.

    errors: name of a filter -> its errors; all over the same number of messages, else a ValueError.
    """
    totals = {found.total for found in errors.values()}
    if len(totals) != 1:
        raise ValueError(f"filters are compared on the same messages; found {sorted(totals)} messages.")
    total = totals.pop()
    kinds = [("missed", "spam let through", START), ("false_alarms", "ham called spam", END)]
    figure, ax = subplots(figsize=(8, 1.7 + 0.75 * len(errors)))
    names = list(errors)
    for row, name in enumerate(names):
        left = 0
        for kind, _, colour in kinds:
            count = getattr(errors[name], kind)
            bar = ax.barh(row, count, 0.62, left=left, color=colour, gid=f"{name} {kind}")
            if count:
                ax.bar_label(bar, [str(count)], label_type="center", color="white", fontweight="bold")
            left += count
        ax.text(left + 0.3, row, f"{errors[name].wrong} of {total}", va="center", fontsize=10.5)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1.18 * max(1, *(found.wrong for found in errors.values())))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("wrong messages")
    ax.tick_params(axis="y", length=0)
    handles = [matplotlib.patches.Patch(color=colour, label=label) for _, label, colour in kinds]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    ranked = sorted(names, key=lambda name: errors[name].wrong)
    finding = f"On the same {total} messages: {'; '.join(f'{name} {errors[name].wrong} errors' for name in ranked)}"
    headline(figure, finding)
    details = "; ".join(f"{name}: {found.missed} spam let through, {found.false_alarms} ham called spam" for name, found in errors.items())
    return alt(figure, f"Bars of wrong messages by kind of error. {finding}. {details}.")


def plot_word_weights(for_spam: Mapping[str, float], against: Mapping[str, float]) -> Figure:
    """Draw the words with the largest and with the smallest weights of a learned filter, as bars with their values."""
    figure, axes = subplots(1, 2, figsize=(8, 1.2 + 0.27 * max(len(for_spam), len(against))))
    longest = 1.25 * max(map(abs, [*for_spam.values(), *against.values()]))
    for ax, words, colour, says in ((axes[0], for_spam, END, "speaks for spam"), (axes[1], against, START, "speaks against spam")):
        places = range(len(words))
        bars = ax.barh(places, [abs(weight) for weight in words.values()], 0.72, color=tint(colour, 0.75))
        ax.bar_label(bars, [f"{weight:+.2f}" for weight in words.values()], padding=3, fontsize=9)
        ax.set_yticks(places, [plain(word) for word in words], parse_math=False)
        ax.invert_yaxis()
        ax.set_xlim(0, longest)
        ax.set_xlabel(f"size of the weight: {says}")
        ax.tick_params(axis="y", length=0)
    finding = f"“{plain(next(iter(for_spam)))}” speaks most for spam, “{plain(next(iter(against)))}” most against it"
    headline(figure, finding)
    lists = "; ".join(", ".join(f"{word} {weight:+.2f}" for word, weight in words.items()) for words in (for_spam, against))
    return alt(figure, f"Bars of word weights, for spam on the left, against it on the right. {finding}. {lists}.")


# --- tasks ---------------------------------------------------------------------------------------------------------------


def plot_task_scores(scores: Mapping[str, Score]) -> Figure:
    """Draw the share of right answers in each task as a bar, with a mark where guessing would be."""
    if not scores:
        raise ValueError("there is no score to draw.")
    ordered = dict(sorted(scores.items(), key=lambda item: item[1].right / item[1].total, reverse=True))
    figure, ax = subplots(figsize=(8, 1.5 + 0.5 * len(ordered)))
    for row, (name, score) in enumerate(ordered.items()):
        share = 100 * score.right / score.total
        ax.barh(row, share, 0.62, color=tint(START, 0.7), gid=name)
        ax.text(share + 1, row, f"{score.right} of {score.total}", va="center", fontsize=10.5)
        ax.plot([100 * score.chance] * 2, [row - 0.38, row + 0.38], color=END, linewidth=2.4, gid=f"{name} chance")
    ax.set_yticks(range(len(ordered)), list(ordered))
    ax.set_ylim(len(ordered) - 0.4, -0.6)
    ax.set_xlim(0, 112)
    ax.set_xticks(range(0, 101, 20))
    ax.set_xlabel("right answers, % (orange mark: what guessing would get)")
    ax.tick_params(axis="y", length=0)
    best, worst = next(iter(ordered)), list(ordered)[-1]
    shares = {name: percent(score.right / score.total) for name, score in ordered.items()}
    finding = f"From {shares[best]} right ({best}) down to {shares[worst]} ({worst})"
    headline(figure, finding)
    details = "; ".join(f"{name}: {score.right} of {score.total}, chance {percent(score.chance)}" for name, score in ordered.items())
    return alt(figure, f"Bars of the share of right answers by task. {finding}. {details}.")
