"""Figures of language models: probabilities multiplied, counts, what a model looks back at, learning, speed, sampling (notebook 05)."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from src.language_models import Continuation
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
    readable_on,
    subplots,
    tint,
)
from src.runtime import as_number

COUNTING, RECURRING, ATTENDING, PRETRAINED = ANSWER, START, END, "C3"  # what the colours mean in every figure of this file
KINDS = {"gram": COUNTING, "lstm": RECURRING, "gpt": ATTENDING, "smollm2": PRETRAINED}


def colour_of(name: str) -> str:
    """The colour of a model by its name: "5-gram", "LSTM, 20 s", "GPT", "SmolLM2"; grey for another."""
    return next((colour for kind, colour in KINDS.items() if kind in name.lower()), MUTED)


def shown(token: str) -> str:
    """A token as it can be drawn, the blanks in it visible."""
    return plain(token.replace(" ", "␣"))


def scientific(value: float) -> str:
    """A small number as one writes it by hand: 0.25, or 3 × 10⁻⁸ with the power as Unicode."""
    if value == 0 or value >= 0.001:
        return f"{value:.3g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits} × 10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


# --- the chain rule, and completion --------------------------------------------------------------------------------------


def draw_chain_rule(tokens: Sequence[str], probs: Sequence[float]) -> Figure:
    """Draw a text token by token: how likely each is after all those before it, and below the product so far.

    tokens: str[T], 16 at most   probs: float[T], each above 0
    """
    T, values = len(tokens), np.asarray(probs, dtype=float)
    if not 1 <= T <= 16 or len(values) != T or not (values > 0).all() or not (values <= 1 + 1e-9).all():
        raise ValueError(f"needs 1 to 16 tokens with a probability above 0 each; got {T} tokens and {values.tolist()}.")
    figure, ax = subplots(figsize=(8.6, 3.5))
    bars = ax.bar(range(T), values, 0.72, color=tint(START, 0.75))
    product = np.cumprod(values)
    size = 10.5 if T <= 9 else 8.5
    for t, (bar, value) in enumerate(zip(bars, values, strict=True)):
        bar.set_gid(f"token {t}")
        ax.text(t, value + 0.02, f"{value:.2f}" if value >= 0.01 else scientific(value), ha="center", va="bottom", fontsize=size)
        below = ax.annotate(scientific(product[t]), (t, 0), xytext=(0, -24), textcoords="offset points", ha="center", va="top")
        below.set(gid=f"product {t}", color="#555555", fontsize=size - 1.5)
    ax.set_xticks(range(T), [shown(token) for token in tokens], parse_math=False, fontsize=size, fontweight="bold")
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.7, T - 0.3)
    ax.set_ylim(0, 1.12)
    ax.set_yticks([0, 0.5, 1])
    ax.set_ylabel("probability,\ngiven all before")
    ax.set_xlabel("token, and below it the product so far", labelpad=20)
    finding = f"{T} probabilities, one for each token, multiply to {scientific(product[-1])}"
    headline(figure, finding)
    factors = "; ".join(f"“{token}” {value:.2g}" for token, value in zip(tokens, values, strict=True))
    return alt(figure, f"Bars, one for each token of a text: its probability after all tokens before it. {factors}. {finding}.")


def plot_suggestions(suggestions: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """Plot what several sources suggest after several beginnings, with probabilities: a row for each beginning, a column for each source.

    suggestions: beginning -> source -> word -> probability; every beginning has the same sources
    """
    beginnings, sources = list(suggestions), list(next(iter(suggestions.values())))
    figure, axes = subplots(len(beginnings), len(sources), figsize=(8.6, 0.9 + 1.15 * len(beginnings)), sharex=True, squeeze=False)
    highest = max(max(words.values(), default=0) for row in suggestions.values() for words in row.values())
    for row, beginning in enumerate(beginnings):
        for column, source in enumerate(sources):
            ax, words = axes[row, column], suggestions[beginning][source]
            bars = ax.barh(range(len(words)), list(words.values()), 0.7, color=tint(f"C{column}", 0.7))
            for y, (bar, share) in enumerate(zip(bars, words.values(), strict=True)):
                bar.set_gid(f"{beginning} {source} {y}")
                ax.annotate(percent(share), (share, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9.5)
            ax.set_yticks(range(len(words)), [plain(word.strip() or word) for word in words], fontsize=10, parse_math=False)
            ax.set_ylim(max(len(words), 3) - 0.4, -0.6)
            ax.tick_params(length=0)
            ax.set_xlim(0, 1.25 * highest)
            ax.set_title(f"{plain(beginning)} ..." if column == 0 else "", fontsize=10, fontweight="normal", parse_math=False)
            if row == len(beginnings) - 1:
                ax.set_xlabel(f"{source}: share" if column == 0 else f"{source}: probability")
                ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.0f} %"))
                ax.xaxis.set_major_locator(MaxNLocator(4))
    lists = {source: len({tuple(suggestions[beginning][source]) for beginning in beginnings}) for source in sources}
    found = [f"the {source} has {count} list{'s' if count > 1 else ''} of words" for source, count in lists.items()]
    finding = f"After {len(beginnings)} beginnings {', '.join(found)}"
    headline(figure, finding)
    written = "; ".join(
        f"“{beginning}”, {source}: "
        + ", ".join(f"{word.strip()} {100 * share:.0f} %" for word, share in suggestions[beginning][source].items())
        for beginning in beginnings
        for source in sources
    )
    return alt(figure, f"Bars of suggested next words. {written}. {finding}.")


# --- counting ------------------------------------------------------------------------------------------------------------


def plot_bigrams(counts: Any, words: Sequence[str]) -> Figure:
    """Plot how often each word came after each other one, as a heatmap with its numbers; grey where it never did.

    counts: int[V, V], a row for the word before, a column for the word after   words: str[V]
    """
    counts = np.asarray(counts)
    V = len(words)
    if counts.shape != (V, V) or V > 14:
        raise ValueError(f"{V} words need counts of shape [{V}, {V}], of 14 words at most; got {counts.shape}.")
    figure, ax = subplots(figsize=(min(8.2, 2.4 + 0.62 * V), 1.6 + 0.4 * V))
    colours = matplotlib.colormaps[matplotlib.rcParams["image.cmap"]].with_extremes(bad=FAINT)
    picture = ax.imshow(np.ma.masked_equal(counts, 0), cmap=colours, vmin=0, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = readable_on(picture.cmap(picture.norm(count)))
            ax.text(column, row, f"{count}", ha="center", va="center", fontsize=10.5, color=colour, gid=f"{words[row]} {words[column]}")
    ax.set_xticks(range(V), [plain(word) for word in words], parse_math=False, rotation=45 if V > 8 else 0)
    ax.set_yticks(range(V), [plain(word) for word in words], parse_math=False)
    ax.set_xlabel("word after")
    ax.set_ylabel("word before")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    figure.colorbar(picture, ax=ax, label="times", pad=0.02, ticks=range(int(counts.max()) + 1))
    never = int((counts == 0).sum())
    finding = f"{never} of {V * V} pairs never occur ({percent(never / (V * V))})"
    headline(figure, finding)
    pairs = "; ".join(f"{words[i]} {words[j]} {count}" for (i, j), count in np.ndenumerate(counts) if count)
    return alt(figure, f"A heatmap of how often one word follows another. {pairs}. {finding}.")


def draw_pieces(cuts: Mapping[str, Sequence[str]]) -> Figure:
    """Draw one text as several vocabularies cut it, a row each, with the number of tokens.

    cuts: name -> the pieces, which all join to the same text, of 90 characters at most
    """
    texts = {"".join(pieces) for pieces in cuts.values()}
    text = texts.pop() if len(texts) == 1 else ""
    if not 0 < len(text) <= 90:
        raise ValueError("needs at least one cut, and all must join to the same text, of 1 to 90 characters.")
    figure, ax = subplots(figsize=(8.8, 0.75 + 0.78 * len(cuts)))
    clean_axes(ax)
    ax.set_xlim(-0.5, 1.17 * len(text))
    ax.set_ylim(len(cuts) - 0.45, -0.75)
    size = min(12.0, 560 / len(text))
    for row, (name, pieces) in enumerate(cuts.items()):
        ax.text(0, row - 0.42, plain(name), fontsize=9.5, fontweight="bold", va="center", parse_math=False)
        place = 0
        for number, piece in enumerate(pieces):
            colour = tint("C0" if number % 2 else "C4", 0.22)
            box = Rectangle((place, row - 0.2), len(piece), 0.5, facecolor=colour, edgecolor="white", linewidth=1.4)
            box.set_gid(f"{name} {number}")
            ax.add_patch(box)
            style = {"ha": "center", "va": "center", "family": "monospace", "fontsize": size, "parse_math": False}
            ax.text(place + len(piece) / 2, row + 0.05, shown(piece), **style)
            place += len(piece)
        ax.text(place + 1, row + 0.05, f"{len(pieces)} tokens", fontsize=10, va="center", color="#555555")
    words, size_in_bytes = len(text.split()), len(text.encode())
    numbers = [str(len(pieces)) for pieces in cuts.values()]
    finding = f"One text of {words} words and {size_in_bytes} bytes: {', '.join(numbers)} tokens, by the vocabulary"
    headline(figure, finding)
    rows = "; ".join(
        f"{name}: {len(pieces)} tokens, {' | '.join(piece.strip() or '␣' for piece in pieces)}" for name, pieces in cuts.items()
    )
    return alt(figure, f"The text “{text}” cut into tokens in {len(cuts)} ways. {rows}. {finding}.")


def plot_orders(perplexities: Mapping[str, Mapping[int, float]], text: str = "held-out introductions") -> Figure:
    """Plot perplexity per word against n, a line for each way of counting; an infinite one is a triangle at the upper edge.

    perplexities: way of counting -> n -> perplexity per word   text: what was scored
    """
    finite = [value for by_order in perplexities.values() for value in by_order.values() if np.isfinite(value)]
    figure, ax = subplots(figsize=(8, 3.9))
    low, high = min(finite) / 1.6, max(finite) * 4
    ends = []
    for number, (name, by_order) in enumerate(perplexities.items()):
        colour = ("C2", "C4", "C1", "C3")[number % 4]
        orders = list(by_order)
        values = np.array([by_order[order] for order in orders])
        ax.plot(orders, np.where(np.isfinite(values), values, np.nan), "o-", color=colour, gid=name)
        lost = [order for order in orders if not np.isfinite(by_order[order])]
        if lost:
            ax.plot(lost, [high / 1.25] * len(lost), "^", color=colour, markersize=9, gid=f"{name}, infinite", clip_on=False)
        last = by_order[orders[-1]]
        ends.append((orders[-1], last if np.isfinite(last) else high / 1.25, plain(name), colour))
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    orders = sorted({order for by_order in perplexities.values() for order in by_order})
    ax.set_xlim(orders[0] - 0.15, orders[-1] + 0.1)
    ax.set_xticks(orders)
    ax.set_xlabel("n: tokens in a run, the foretold one included")
    ax.set_ylabel("perplexity per word")
    _plain_logarithms(ax)
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    value, order, name = min((value, order, name) for name, by_order in perplexities.items() for order, value in by_order.items())
    infinite = [name for name, by_order in perplexities.items() if not np.isfinite(list(by_order.values())).all()]
    finding = f"Lowest: {name} with n = {order}, perplexity {value:,.0f} per word"
    if infinite:
        finding += f"; “{plain(infinite[0])}” is infinite (▲)"
    headline(figure, finding)
    lines = "; ".join(
        f"{name}: "
        + ", ".join(f"{value:,.0f} at n = {order}" if np.isfinite(value) else f"infinite at n = {order}" for order, value in by.items())
        for name, by in perplexities.items()
    )
    return alt(figure, f"Lines of perplexity per word on {text} against n. {lines}. {finding}.")


def _plain_logarithms(ax: Axes, axis: str = "y") -> None:
    """Ticks of a logarithmic axis as plain numbers: 1, 2 and 5 times the powers of ten where there are few powers."""
    low, high = ax.get_ylim() if axis == "y" else ax.get_xlim()
    chosen = ax.yaxis if axis == "y" else ax.xaxis
    chosen.set_major_locator(LogLocator(10, subs=(1, 2, 5) if np.log10(high / low) < 2.5 else (1,), numticks=12))
    chosen.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    chosen.set_minor_formatter(NullFormatter())


# --- what a model looks back at ------------------------------------------------------------------------------------------


def draw_reach(tokens: Sequence[str], kinds: Sequence[str] = ("counting", "recurring", "attending"), n: int = 3) -> Figure:
    """Draw what each kind of model knows of a text when it foretells the next token.

    tokens: str[T], 3 to 10   kinds: of "counting" (the last n - 1 tokens), "recurring" (a state), "attending" (every token)
    """
    T = len(tokens)
    if not 3 <= T <= 10 or not set(kinds) <= {"counting", "recurring", "attending"} or not kinds:
        raise ValueError(f"needs 3 to 10 tokens, and kinds of counting, recurring and attending; got {T} tokens and {list(kinds)}.")
    widths = np.array([max(len(token), 3) + 1.2 for token in tokens] + [4.2])
    lefts = np.concatenate([[0.0], np.cumsum(widths + 0.8)[:-1]])
    middles = lefts + widths / 2
    figure, axes = subplots(len(kinds), 1, figsize=(8.6, 0.55 + 1.5 * len(kinds)), squeeze=False)
    says = {
        "counting": f"counting, n = {n}: the last {f'{n - 1} tokens' if n > 2 else 'token'}, and nothing before",
        "recurring": "recurring: one state, handed on from token to token",
        "attending": "attending: every token of its window, each at first hand",
    }
    for ax, kind in zip(axes[:, 0], kinds, strict=True):
        colour = {"counting": COUNTING, "recurring": RECURRING, "attending": ATTENDING}[kind]
        clean_axes(ax)
        ax.set_xlim(-0.4, lefts[-1] + widths[-1] + 0.4)
        ax.set_ylim(-0.55, 2.25)
        ax.text(0, 2.05, says[kind], color=colour, fontsize=10.5, fontweight="bold", va="center")
        for t, token in enumerate([*tokens, "?"]):
            seen = kind != "counting" or T - t < n or t == T
            face, edge = (("white", INK) if t == T else (tint(colour, 0.25), colour)) if seen else ("#f4f4f4", FAINT)
            box = Rectangle((lefts[t], -0.4), widths[t], 0.72, facecolor=face, edgecolor=edge, linewidth=1.1)
            box.set_gid(f"{kind} {t} {'seen' if seen else 'unseen'}")
            if t == T:
                box.set_linestyle("--")
            ax.add_patch(box)
            style = {"ha": "center", "va": "center", "fontsize": 10.5, "parse_math": False}
            ax.text(middles[t], -0.04, plain(token), color=INK if seen else MUTED, **style)
        if kind == "recurring":
            for t in range(T):
                ax.add_patch(arrow((middles[t], 0.34), (middles[t], 0.82), colour))
                ax.add_patch(Rectangle((middles[t] - 0.65, 0.84), 1.3, 0.5, facecolor=tint(colour, 0.55), edgecolor=colour))
                if t < T - 1:
                    ax.add_patch(arrow((middles[t] + 0.68, 1.09), (middles[t + 1] - 0.68, 1.09), colour))
            ax.add_patch(arrow((middles[T - 1] + 0.68, 1.09), (middles[T] - 0.15, 0.36), colour))
        else:
            first = T - n + 1 if kind == "counting" else 0
            for t in range(max(first, 0), T):
                distance = middles[T] - middles[t]
                bend = -min(0.42, 2.6 / distance)
                ax.add_patch(arrow((middles[t], 0.34), (middles[T] - 0.2 * (T - t) / T, 0.36), colour, bend=bend))
    finding = {
        1: f"What a model by {kinds[0]} knows when it foretells the next token",
    }.get(len(kinds), f"{len(kinds)} answers to one question: what is known when the next token is foretold?")
    headline(figure, finding)
    return alt(
        figure, f"The tokens “{' '.join(tokens)}” and a question mark after them. {'. '.join(says[kind] for kind in kinds)}. {finding}."
    )


# --- learning, and speed -------------------------------------------------------------------------------------------------


def plot_learning(runs: Mapping[str, Sequence[Mapping[str, Any]]], levels: Mapping[str, float] | None = None) -> Figure:
    """Plot the perplexity per word on development texts against seconds of training, both logarithmic.

    runs: name -> history of `train_language_model`   levels: name -> a perplexity to compare with, drawn over the whole width
    Raises ValueError where no run was scored.
    """
    series = {}
    for name, history in runs.items():
        points = [(as_number(log["seconds"]), as_number(log.get("perplexity_per_word"))) for log in history]
        series[name] = [(seconds, value) for seconds, value in points if seconds and value]
    series = {name: points for name, points in series.items() if points}
    if not series:
        raise ValueError("none of these runs has a perplexity in its history.")
    levels = dict(levels or {})
    values = [value for points in series.values() for _, value in points] + list(levels.values())
    seconds = [second for points in series.values() for second, _ in points]
    figure, ax = subplots(figsize=(8.4, 4))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(min(seconds) / 1.2, max(seconds) * 1.05)
    ax.set_ylim(min(values) / 1.3, min(max(values) * 1.2, 200 * min(values)))
    ends = []
    for number, (name, points) in enumerate(series.items()):
        colour, shipped = colour_of(name), "shipped" in name
        ax.plot(*zip(*points, strict=True), "o--" if shipped else "o-", color=colour, markersize=5, gid=name, zorder=3 + number)
        ends.append((*points[-1], plain(name), colour))
    for name, value in levels.items():
        ax.axhline(value, color=colour_of(name), linestyle=":", linewidth=1.8, gid=name)
        ends.append((max(seconds), value, plain(name), colour_of(name)))
    ax.set_xlabel("training, seconds")
    ax.set_ylabel("perplexity per word")
    _plain_logarithms(ax)
    _plain_logarithms(ax, "x")
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    last = {name: (points[-1][1], points[-1][0]) for name, points in series.items()}
    told = [
        f"“{plain(name)}” {value:,.0f} after {second:.0f} s" for name, (value, second) in sorted(last.items(), key=lambda item: item[1])
    ]
    finding = f"Perplexity per word: {', '.join(told[:3])}"
    if levels:
        finding += f"; {', '.join(f'{plain(name)} {value:,.0f}' for name, value in levels.items())}"
    headline(figure, finding)
    return alt(
        figure,
        f"Lines of perplexity per word on development texts against seconds of training, both on logarithmic axes. {'; '.join(told)}. "
        + "".join(f"The level of {name}: {value:,.0f}. " for name, value in levels.items()),
    )


def plot_speeds(speeds: Mapping[str, Mapping[int, float]]) -> Figure:
    """Plot tokens per second against the length of the text that is written, a line for each way.

    speeds: way -> tokens written -> tokens per second
    """
    figure, ax = subplots(figsize=(8, 3.6))
    ends = []
    for name, by_length in speeds.items():
        colour = colour_of(name)
        without = "without" in name
        ax.plot(list(by_length), list(by_length.values()), "o--" if without else "o-", color=colour, gid=name)
        for length, speed in by_length.items():
            place = {"xytext": (0, -6 if without else 6), "va": "top" if without else "bottom"}  # so that near lines stay readable
            ax.annotate(f"{speed:,.0f}", (length, speed), textcoords="offset points", ha="center", fontsize=9, color=INK, **place)
        length, speed = list(by_length.items())[-1]
        ends.append((length, speed, plain(name), colour))
    lengths = sorted({length for by_length in speeds.values() for length in by_length})
    ax.set_xlim(0, lengths[-1] * 1.05)
    ax.set_ylim(0, 1.15 * max(max(by_length.values()) for by_length in speeds.values()))
    ax.set_xticks(lengths)
    ax.set_xlabel("length of the text, tokens")
    ax.set_ylabel("tokens per second")
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    with_cache, without_cache = (next((name for name in speeds if word in name), None) for word in ("with ", "without "))
    longest = lengths[-1]
    if with_cache and without_cache:
        times = speeds[with_cache][longest] / speeds[without_cache][longest]
        finding = f"At {longest} tokens the cache makes writing {times:.1f} times as fast"
    else:
        finding = "; ".join(f"{name}: {by_length[longest]:,.0f} tokens per second at {longest}" for name, by_length in speeds.items())
    headline(figure, finding)
    lines = "; ".join(f"{name}: " + ", ".join(f"{speed:,.0f} at {length}" for length, speed in by.items()) for name, by in speeds.items())
    return alt(figure, f"Lines of tokens per second against the length of a text. {lines}. {finding}.")


@dataclass(frozen=True)
class Rung:
    """A model on the ladder.   seconds: of training   estimated: whether the seconds are only an estimate"""

    name: str
    parameters: int
    seconds: float
    perplexity: float
    estimated: bool = False


def plot_ladder(rungs: Sequence[Rung]) -> Figure:
    """Plot quality against size, and against training time: a point for each model, at the same height in both charts."""
    figure, axes = subplots(1, 2, figsize=(8.8, 4.1), sharey=True)
    for ax, of in zip(axes, ("parameters", "seconds"), strict=True):
        ax.set_xscale("log")
        ax.set_yscale("log")
        for rung in rungs:
            colour, hollow = colour_of(rung.name), of == "seconds" and rung.estimated
            x = getattr(rung, of)
            style = {"markerfacecolor": "white" if hollow else colour, "markeredgecolor": colour, "markeredgewidth": 1.8}
            ax.plot([x], [rung.perplexity], "o", markersize=9, gid=f"{rung.name} {of}", zorder=3, **style)
        xs = [getattr(rung, of) for rung in rungs]
        ax.set_xlim(min(xs) / 3, max(xs) * 3)
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.grid(axis="y")
    ys = [rung.perplexity for rung in rungs]
    axes[0].set_ylim(min(ys) / 1.5, max(ys) * 1.5)
    _plain_logarithms(axes[0])
    axes[0].set_ylabel("perplexity per word")
    axes[0].set_xlabel("parameters")
    axes[1].set_xlabel("training, seconds" + (" (hollow: estimate)" if any(rung.estimated for rung in rungs) else ""))
    right = axes[1].get_xlim()[1]
    label_line_ends(axes[1], [(right, rung.perplexity, plain(rung.name), colour_of(rung.name)) for rung in rungs])
    best, worst = min(rungs, key=lambda rung: rung.perplexity), max(rungs, key=lambda rung: rung.perplexity)
    finding = f"From {worst.perplexity:,.0f} ({worst.name}) down to {best.perplexity:,.0f} per word ({best.name})"
    headline(figure, finding)
    points = "; ".join(
        f"{rung.name}: perplexity {rung.perplexity:,.0f}, {rung.parameters:,} parameters, "
        f"{'an estimated ' if rung.estimated else ''}{rung.seconds:,.0f} seconds of training"
        for rung in rungs
    )
    return alt(figure, f"Two charts of perplexity per word, against parameters and against seconds of training. {points}. {finding}.")


# --- sampling ------------------------------------------------------------------------------------------------------------


def plot_samplers(probs: Mapping[str, Any], pieces: Callable[[list[int]], list[str]], count: int = 12) -> Figure:
    """Plot one distribution as it is and as several samplers change it, beside one another, for the likeliest tokens.

    probs: sampler -> float[V], the first as it is   pieces: token numbers -> tokens (`tokenizer.pieces`)   count: tokens drawn
    """
    tables = {name: np.asarray(values, dtype=float) for name, values in probs.items()}
    original = next(iter(tables.values()))
    order = np.argsort(-original, kind="stable")[:count]
    tokens = [shown(piece) for piece in pieces(order.tolist())]
    figure, axes = subplots(1, len(tables), figsize=(8.8, 1.35 + 0.235 * (count + 1)), sharey=True, sharex=True, squeeze=False)
    kept = {name: int((values > 0).sum()) for name, values in tables.items()}
    highest = max(max(values[order].max(), 1 - values[order].sum()) for values in tables.values())
    for number, (ax, (name, values)) in enumerate(zip(axes[0], tables.items(), strict=True)):
        rest = max(0.0, 1 - values[order].sum())
        heights = [*values[order], rest]
        colours = [tint("C0", 0.75)] * count + [tint(MUTED, 0.8)]
        bars = ax.barh(range(count + 1), heights, 0.75, color=colours)
        for y, (bar, value) in enumerate(zip(bars, heights, strict=True)):
            bar.set_gid(f"{name} {y}")
            text = "out" if value == 0 and y < count else "" if value == 0 else f"{100 * value:.0f}" if value >= 0.005 else "<1"
            colour = "#b0b0b0" if value == 0 else INK
            ax.annotate(text, (value, y), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8.5, color=colour)
        ax.set_title(plain(name), fontsize=10, parse_math=False)
        ax.set_xlim(0, 1.3 * highest)
        ax.set_xlabel(f"{kept[name]:,} tokens" if number else f"of {kept[name]:,} tokens", fontsize=9.5)
        ax.set_xticks([])
        ax.tick_params(length=0)
    axes[0, 0].set_yticks(range(count + 1), [*tokens, "all others"], fontsize=9.5, parse_math=False)
    axes[0, 0].set_ylim(count + 0.6, -0.6)
    axes[0, 0].set_ylabel("next token, in %")
    fewest = min(kept, key=kept.__getitem__)
    finding = f"One distribution, {len(tables)} ways to draw from it: “{plain(fewest)}” leaves {kept[fewest]:,} of {len(original):,} tokens"
    headline(figure, finding)
    first = pieces(order.tolist())[0].strip()
    columns = "; ".join(
        f"{name}: {kept[name]:,} tokens possible, “{first}” {100 * values[order[0]]:.0f} %" for name, values in tables.items()
    )
    return alt(figure, f"Bars of the probabilities of the {count} likeliest next tokens, a column for each sampler. {columns}. {finding}.")


def repeats(token_ids: Sequence[int], n: int = 4) -> list[bool]:
    """Whether each token ends a run of n tokens that has come before: bool[T]."""
    runs = [tuple(token_ids[t - n + 1 : t + 1]) if t >= n - 1 else None for t in range(len(token_ids))]
    seen: set[tuple[int, ...] | None] = {None}
    found = []
    for run in runs:
        found.append(run is not None and run in seen)
        seen.add(run)
    return found


def plot_repetition(texts: Mapping[str, Continuation], n: int = 4) -> Figure:
    """Plot how likely each token of written texts was, one chart above the other, and which tokens only say again what was said.

    texts: how it was chosen -> what was written   n: a token repeats when the run of n tokens that it ends has come before
    """
    figure, axes = subplots(len(texts), 1, figsize=(8.6, 0.9 + 1.45 * len(texts)), sharex=True, sharey=True, squeeze=False)
    shares = {}
    for ax, (name, text) in zip(axes[:, 0], texts.items(), strict=True):
        again = repeats(text.token_ids, n)
        shares[name] = sum(again) / max(1, len(again))
        bars = ax.bar(range(1, len(again) + 1), text.probs, 1.0, color=[END if repeated else tint(START, 0.6) for repeated in again])
        for t, (bar, repeated) in enumerate(zip(bars, again, strict=True)):
            bar.set_gid(f"{name} {t} {'again' if repeated else 'new'}")
        beginning = textwrap.shorten(" ".join((text.beginning + text.text).split()), 95, placeholder=" ...")
        ax.set_title(f"{name}: {plain(beginning)}", fontsize=9, fontweight="normal", parse_math=False)
        ax.set_ylim(0, 1.05)
        ax.set_yticks([0, 0.5, 1])
        ax.set_ylabel("probability")
    axes[-1, 0].set_xlim(0.4, max(len(text.token_ids) for text in texts.values()) + 0.6)
    axes[-1, 0].set_xlabel(f"token (orange: the last {n} tokens have come before in this order)")
    finding = f"Tokens that only say again what was said: {', '.join(f'{percent(share)} {name}' for name, share in shares.items())}"
    headline(figure, finding)
    means = "; ".join(f"{name}: mean probability {np.mean(text.probs):.2f}" for name, text in texts.items() if text.probs)
    return alt(figure, f"Bars of the probability of each token of a text, coloured where it repeats. {means}. {finding}.")


def draw_cache(T: int = 5) -> Figure:
    """Draw which tokens go through the network for each new token, with a cache and without one: a row for each step.

    T: steps drawn, 3 to 8
    """
    if not 3 <= T <= 8:
        raise ValueError(f"T is {T}; draw 3 to 8 steps.")
    figure, axes = subplots(1, 2, figsize=(8.2, 1.25 + 0.36 * T))
    counts = []
    for ax, with_cache in zip(axes, (False, True), strict=True):
        clean_axes(ax)
        ax.set_xlim(-2.2, T + 0.2)
        ax.set_ylim(T - 0.3, -1.25)
        ax.text(-0.45, -0.8, "with a cache" if with_cache else "without a cache", fontsize=11, fontweight="bold", va="center")
        computed = 0
        for step in range(T):
            ax.text(-0.65, step, f"step {step + 1}", ha="right", va="center", fontsize=9.5, color="#555555")
            for t in range(step + 1):
                new = not with_cache or t == step
                computed += new
                face = tint(ATTENDING, 0.7) if new else "white"
                circle = Circle((t, step), 0.34, facecolor=face, edgecolor=ATTENDING if new else MUTED, linewidth=1.1)
                circle.set_gid(f"{'with' if with_cache else 'without'} {step} {t} {'computed' if new else 'kept'}")
                ax.add_patch(circle)
        ax.set_aspect("equal")
        counts.append(computed)
    finding = f"{T} tokens: {counts[0]} passes through the network without a cache, {counts[1]} with one"
    headline(figure, finding)
    return alt(
        figure,
        f"Two triangles of circles, a row for each new token, a circle for each token read. Without a cache all {counts[0]} circles are "
        f"filled: computed. With one only the last of each row is, {counts[1]}; the others are kept from before. {finding}.",
    )
