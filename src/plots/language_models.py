"""Figures of language models: probabilities, counts, pieces, reach, size, sampling."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

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
    number,
    percent,
    plain,
    subplots,
    tint,
)
from src.plots.primitives import (
    GREY,
    arrow,
    bars,
    box,
    drawing,
    heatmap,
    label_line_ends,
    lines,
    logarithmic,
    title,
    write,
)

COUNTING, RECURRING, ATTENDING, PRETRAINED = ANSWER, START, END, "C3"  # colours of the four kinds
KINDS = {"gram": COUNTING, "lstm": RECURRING, "gpt": ATTENDING, "smollm2": PRETRAINED}


def colour_of(name: str) -> str:
    """The colour of a model by its name: "5-gram", "LSTM, 20 s", "GPT"; grey for another."""
    return next((colour for kind, colour in KINDS.items() if kind in name.lower()), MUTED)


def visible(token: str) -> str:
    """A token with its blanks made visible."""
    return plain(token.replace(" ", "␣"))


def scientific(value: float) -> str:
    """A small number as one writes it by hand: 0.25, or 3.0 × 10⁻⁸."""
    if value == 0 or value >= 0.001:
        return f"{value:.3g}"
    digits, power = f"{value:.1e}".split("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits} × 10{raised}"


# --- the chain rule, and completion


def draw_chain_rule(tokens: Sequence[str], probs: Sequence[float]) -> Figure:
    """Draw how likely each of up to 16 tokens is after all before it, and the product so far."""
    values = np.asarray(probs, dtype=float)
    T, products = len(tokens), np.cumprod(values)
    figure, ax = subplots(figsize=(8.6, 3.5))
    ax.bar(range(T), values, 0.72, color=tint(START, 0.75))
    size, said = 10.5 if T <= 9 else 8.5, []
    for t, (token, value) in enumerate(zip(tokens, values, strict=True)):
        shown = f"{value:.2f}" if value >= 0.01 else scientific(value)
        said.append(f"“{token}” {shown}, product {scientific(products[t])}")
        write(ax, t, value, shown, size=size, shift=(0, 8))
        write(ax, t, 0, visible(token), size=size, bold=True, shift=(0, -10))
        write(ax, t, 0, scientific(products[t]), GREY, size - 1.5, shift=(0, -26))
    ax.set(xlim=(-0.7, T - 0.3), ylim=(0, 1.12), xticks=[], yticks=(0, 0.5, 1))
    ax.set_ylabel("probability,\ngiven all before")
    ax.set_xlabel("token, and below it the product so far", labelpad=36)
    finding = f"{T} probabilities, one for each token, multiply to {scientific(products[-1])}"
    return finish(figure, finding, f"Bars, one for each token: {'; '.join(said)}")


# --- counting


def plot_bigrams(counts: Any, words: Sequence[str]) -> Figure:
    """Plot how often each of some 14 words came after each other one; grey where it never did.

    `counts` are int[V, V], a row for the word before, a column for the word after.
    """
    counts, V = np.asarray(counts), len(words)
    figure, ax = subplots(figsize=(min(8.2, 2.4 + 0.62 * V), 1.6 + 0.36 * V))
    heatmap(ax, counts, words, words, "{:.0f}".format, allowed=counts > 0)
    ax.set(xlabel="word after", ylabel="word before")
    never = int((counts == 0).sum())
    finding = f"{never} of {V * V} pairs never occur ({percent(never / V**2)})"
    return finish(figure, finding)


def draw_pieces(text: str, cuts: Mapping[str, Sequence[str]]) -> Figure:
    """Draw one text cut into pieces in several ways, a row for each: name -> the pieces."""
    letters = max(sum(map(len, pieces)) for pieces in cuts.values())
    room = 0.45 * max(map(len, cuts)) + 1
    limits = (-room, max(letters + 3, 50 - room)), (len(cuts) - 0.4, -0.6)
    figure, ax = drawing((8.6, 0.75 + 0.42 * len(cuts)), *limits)
    size = min(12.0, 560 / (letters + room))
    for row, (name, pieces) in enumerate(cuts.items()):
        write(ax, -room, row, name, GREY, 10, ha="left")
        end = _pieces(ax, 0, row, pieces, ("C4", "C0"), size)
        write(ax, end + 1, row, f"{len(pieces)}", GREY, ha="left")
    counts = [f"in {len(pieces)} pieces ({name})" for name, pieces in cuts.items()]
    finding = f"“{text}” {', '.join(dict.fromkeys((counts[0], counts[-1])))}"
    said = {n: f"{' | '.join(map(visible, each))} ({len(each)})" for n, each in cuts.items()}
    return finish(figure, finding, listed(said))


def draw_vocabularies(table: Mapping[str, Mapping[str, Sequence[str]]]) -> Figure:
    """Draw how words fall into pieces under several vocabularies, a column for each.

    `table`: word -> vocabulary -> pieces.
    """
    rows = list(table.values())
    names = list(rows[0])
    widths = [max(len(n), *(sum(map(len, row[n])) for row in rows)) + 3 for n in names]
    lefts = np.cumsum([0, *widths])
    figure, ax = drawing((8.6, 0.9 + 0.36 * len(rows)), (0, lefts[-1]), (len(rows) - 0.5, -1.4))
    for column, name in enumerate(names):
        left, colour = lefts[column], f"C{column}"
        write(ax, left, -1, name, colour, 10, bold=True, ha="left")
        for y, row in enumerate(rows):
            shades = colour, tint(colour, 0.5)
            _pieces(ax, left, y, row[name], shades, min(11, 620 / lefts[-1]))
    totals = {name: sum(len(row[name]) for row in rows) for name in names}
    counts = ", ".join(f"{total} tokens for {name}" for name, total in totals.items())
    finding = f"{len(rows)} words make {counts}"
    said = {
        word: {name: " ".join(map(visible, row[name])) for name in names}
        for word, row in table.items()
    }
    return finish(figure, finding, f"Words cut into tokens, {listed(said)}")


def _pieces(
    ax: Axes, x: float, y: float, pieces: Sequence[str], colours: Any, size: float
) -> float:
    """Draw pieces side by side, a letter is 1 wide; returns where they end."""
    for i, piece in enumerate(pieces):
        look = {"face": tint(colours[i % 2], 0.25), "edge": "white", "family": "monospace"}
        box(ax, x + len(piece) / 2, y, len(piece), 0.7, visible(piece), size=size, **look)
        x += len(piece)
    return x


def plot_orders(perplexities: Mapping[str, Mapping[int, float]]) -> Figure:
    """Plot perplexity per word against n; an infinite one is a triangle at the upper edge.

    `perplexities`: way of counting -> n -> perplexity per word of held-out texts.
    """
    points = [(value, n, name) for name, each in perplexities.items() for n, value in each.items()]
    finite = [value for value, *_ in points if np.isfinite(value)]
    edge = 3.2 * max(finite)
    curves = {
        name: [(n, min(value, edge)) for n, value in each.items()]
        for name, each in perplexities.items()
    }
    colours = dict(zip(curves, (COUNTING, "C4", "C1", "C3"), strict=False))
    figure, ax = subplots(figsize=(8, 3.9))
    labels = "n: tokens in a run, the predicted one included", "perplexity per word"
    limits = {"ylim": (min(finite) / 1.6, 1.25 * edge), "log": "y"}
    lines(ax, curves, *labels, colours, marker="o", clip_on=False, **limits)
    infinite = [(n, name) for value, n, name in points if np.isinf(value)]
    for n, name in infinite:
        ax.plot([n], [edge], "^", color=colours[name], markersize=11)
    ax.set_xticks(sorted({n for _, n, _ in points}))
    ax.set_xlim(min(n for _, n, _ in points) - 0.15)
    found = []
    for name, each in perplexities.items():
        low, last = min(each.values()), [*each.values()][-1]
        if np.isfinite(last):
            back = f" and back up to {last:,.0f}" if last > low else ""
            found.append(f"{low:,.0f}{back} ({name})")
    finding = f"With longer runs perplexity falls to {', '.join(found)}; infinite (▲): "
    finding += ", ".join(sorted({name for _, name in infinite})) or "none"
    figure.told.clear()  # the lines have the height of the edge where they are infinite
    return finish(figure, finding, f"Perplexity against n, {listed(perplexities, number)}")


# --- what a model looks back at

REACH = {  # kind -> its colour, and what it knows
    "counting": (COUNTING, "counting, n = {n}: the last {last}, and nothing before"),
    "recurring": (RECURRING, "recurring: one state, handed on from token to token"),
    "attending": (ATTENDING, "attending: every token of its window, each directly"),
}


def draw_reach(tokens: Sequence[str], n: int = 3) -> Figure:
    """Draw what each kind of model knows of 3 to 10 tokens when it predicts the next one.

    The one that counts knows the last n - 1.
    """
    T, words = len(tokens), [*tokens, "?"]
    widths = np.array([max(len(word), 3) + 1.2 for word in words])
    middles = np.cumsum(widths + 0.8) - widths / 2
    size = (8.6, 0.55 + 1.4 * len(REACH))
    figure, ax = drawing(size, (0, middles[-1] + 3), (2.4 * len(REACH), 0))
    last = f"{n - 1} tokens" if n > 2 else "token"
    says = [REACH[kind][1].format(n=n, last=last) for kind in REACH]
    for row, (kind, text) in enumerate(zip(REACH, says, strict=True)):
        colour, y = REACH[kind][0], 2.4 * row + 2
        write(ax, 0.8, y - 1.8, text, colour, 10.5, bold=True, ha="left")
        for t, (word, x) in enumerate(zip(words, middles, strict=True)):
            _token(ax, x, y, widths[t], word, colour if kind != "counting" or T - t < n else FAINT)
        if kind == "recurring":
            _states(ax, middles, y, colour)
            continue
        for t in range(max(T - n + 1, 0) if kind == "counting" else 0, T):
            bend = -min(0.42, 2.6 / (middles[T] - middles[t]))
            target = middles[T] - 0.2 * (T - t) / T
            arrow(ax, (middles[t], y - 0.36), (target, y - 0.36), colour, bend=bend)
    finding = f"What a model knows when it predicts the next token: {', '.join(REACH)}"
    return finish(figure, finding, f"The tokens “{' '.join(tokens)}” and a “?”", ". ".join(says))


def _token(ax: Axes, x: float, y: float, width: float, word: str, colour: str) -> None:
    edge, face = (INK, "white") if word == "?" else (colour, tint(colour, 0.25))
    box(ax, x, y, width, 0.72, word, edge, face, colour=MUTED if colour == FAINT else INK)


def _states(ax: Axes, middles: np.ndarray, y: float, colour: Any) -> None:
    *seen, asked = middles
    for x, following in zip(seen, [*seen[1:], None], strict=True):
        arrow(ax, (x, y - 0.36), (x, y - 0.84), colour)
        box(ax, x, y - 1.1, 1.3, 0.5, edge=colour, face=tint(colour, 0.55))
        if following is not None:
            arrow(ax, (x + 0.68, y - 1.1), (following - 0.68, y - 1.1), colour)
    arrow(ax, (seen[-1] + 0.68, y - 1.1), (asked - 0.15, y - 0.36), colour)


# --- what text and size buy


@dataclass(frozen=True)
class Rung:
    """A model on the ladder.   tokens: of the text it learned from, however often read"""

    name: str
    parameters: int
    tokens: float
    perplexity: float


def plot_ladder(rungs: Sequence[Rung]) -> Figure:
    """Plot perplexity against size, and against the text learned from, a point for each model."""
    figure, axes = subplots(1, 2, figsize=(8.8, 3.9), sharey=True)
    ys = [rung.perplexity for rung in rungs]
    for ax, of in zip(axes, ("parameters", "tokens"), strict=True):
        xs = [getattr(rung, of) for rung in rungs]
        for rung, x, y in zip(rungs, xs, ys, strict=True):
            ax.plot([x], [y], "o", markersize=9, color=colour_of(rung.name))
        ax.set(xscale="log", xlim=(min(xs) / 3, max(xs) * 3), ylim=(min(ys) / 1.5, max(ys) * 1.5))
        ax.grid(axis="y")
    logarithmic(axes[0])
    axes[0].set(xlabel="parameters", ylabel="perplexity per word")
    axes[1].set_xlabel("tokens of text learned from")
    right = axes[1].get_xlim()[1]
    ends = [(right, rung.perplexity, rung.name, colour_of(rung.name)) for rung in rungs]
    label_line_ends(axes[1], ends)
    best = min(rungs, key=lambda rung: rung.perplexity)
    sizes = ("tokens", "parameters")
    most = [of for of in sizes if best == max(rungs, key=operator.attrgetter(of))]
    finding = f"Lowest: {best.name}, perplexity {best.perplexity:,.0f} per word"
    finding += f", with the most {' and '.join(most)}" if most else ""
    said = {
        rung.name: f"perplexity {rung.perplexity:,.0f}, {rung.parameters:,} parameters, "
        f"{rung.tokens:,.0f} tokens"
        for rung in rungs
    }
    return finish(figure, finding, listed(said))


# --- sampling


def plot_samplers(probs: Mapping[str, Any], pieces: Callable[[list[int]], list[str]]) -> Figure:
    """Plot one distribution as it is, and as several samplers change it.

    Args:
        probs: sampler -> float[V], the first as it is; its twelve likeliest are drawn.
        pieces: token numbers -> tokens (`tokenizer.pieces`).
    """
    tables = {name: np.asarray(values, dtype=float) for name, values in probs.items()}
    original = next(iter(tables.values()))
    order = np.argsort(-original, kind="stable")[:12]
    tokens = [*map(visible, pieces(order.tolist())), "all others"]
    kept = {name: int((values > 0).sum()) for name, values in tables.items()}
    size = (8.8, 1.35 + 0.235 * len(tokens))
    figure, axes = subplots(1, len(tables), figsize=size, sharey=True, squeeze=False)
    heights = {name: [*p[order], np.delete(p, order).sum()] for name, p in tables.items()}
    colours = [tint("C0", 0.75)] * (len(tokens) - 1) + [tint(MUTED, 0.8)]
    for ax, (name, values) in zip(axes[0], heights.items(), strict=True):
        title(ax, name, 10)
        shown = ["out" if not p else f"{100 * p:.0f} %" if p >= 0.005 else "<1 %" for p in values]
        label = f"of {kept[name]:,} tokens"
        bars(ax, [*zip(tokens, values, strict=True)], shown, colours, label, height=0.75, size=9.5)
        ax.set(xlim=(0, 1.5 * max(map(max, heights.values()))), xticks=[])
    axes[0, 0].set_ylabel("next token")
    fewest = min(kept, key=kept.get)
    widest = max(heights, key=lambda name: heights[name][-1])
    finding = f"“{widest}” leaves {percent(heights[widest][-1])} to all but the {len(order)} "
    finding += f"likeliest, “{fewest}” only {kept[fewest]:,} of {len(original):,} tokens"
    left = {name: f"{count:,}" for name, count in kept.items()}
    return finish(figure, finding, f"Tokens that stay possible, {listed(left)}")
