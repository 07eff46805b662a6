"""Figures of attention: maps of weights, masks, positions, blocks and heads; two to explore.

In every map a row is a token that looks, a column one that is looked at; grey is not allowed.
"""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from src.plots import (
    ANSWER,
    END,
    MUTED,
    PALE,
    START,
    Figure,
    finish,
    listed,
    percent,
    subplots,
    tint,
)
from src.plots.explore import explorable
from src.plots.primitives import arrow, box, drawing, heatmap, lines, readable_on, title, write
from src.teaching.panel import Panel

MARKS = frozenset(("[CLS]", "[SEP]", "[PAD]", "<start>", "<end>", "<pad>"))
SHARE = "share of attention"
LOOKS, LOOKED_AT = "query: who looks", "key: who is looked at"

# --- maps of weights


def plot_attention(
    weights: Any,
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    mask: Any = None,
    finding: str | None = None,
    axes: tuple[str, str] = (LOOKS, LOOKED_AT),
) -> Figure:
    """Plot a map of attention: who looks (rows) at whom (columns), and how much.

    Args:
        weights: float[T, S], each row sums to one.
        rows, columns: str[T] and str[S]; no columns where the tokens look at each other.
        mask: bool[T, S], True where attention is allowed.
        finding: the headline; None names the strongest look.
        axes: what the rows do, and the columns.
    """
    columns = rows if columns is None else columns
    weights = _weights(weights, len(rows), len(columns))
    T, S = weights.shape
    allowed = None if mask is None else np.broadcast_to(np.asarray(mask, dtype=bool), (T, S))
    width = min(1.0, 6.2 / S)
    height = min(0.5, max(0.6 * width, 0.2))
    margins = 2.6 + 0.085 * max(map(len, rows)), 1.5 + 0.075 * max(map(len, columns))
    figure, ax = subplots(figsize=(min(8.6, margins[0] + width * S), margins[1] + height * T))
    form = "{:.2f}".format if weights.size <= 64 else None
    heatmap(ax, weights, rows, columns, form, high=1, allowed=allowed, unit=SHARE)
    ax.set(ylabel=axes[0], xlabel=axes[1])
    if finding is None and mask is not None:
        finding = f"Forbidden looks get {weights[~allowed].sum():.2f} in all, and every row "
        finding += f"still sums to {weights.sum(axis=1).min():.2f}"
    return finish(figure, finding or _strongest(weights, rows, columns))


def _weights(values: Any, *shape: int) -> np.ndarray:
    weights = np.asarray(values, dtype=float)
    if weights.shape != shape:
        raise ValueError(f"these tokens need weights of shape {shape}; got {weights.shape}.")
    return weights


def _strongest(weights: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> str:
    themselves = list(rows) == list(columns)
    pairs = [
        (weight, rows[i], columns[j])
        for (i, j), weight in np.ndenumerate(weights)
        if not ({rows[i], columns[j]} & MARKS) and not (themselves and i == j)
    ]
    if not pairs:
        return f"{len(rows)} tokens look at {len(columns)}"
    most, row, column = max(pairs)
    return f"“{row}” looks at “{column}” with {percent(most)} of its attention"


def plot_alignment(weights: Any, written: str, iso: str) -> Figure:
    """Plot where a model looked in a written date while it wrote each character of the answer.

    `weights` are float[T, S], T characters of `iso`, S of `written`.
    """
    weights = _weights(weights, len(iso), len(written))
    figure, ax = subplots(figsize=(8.6, 1.9 + 0.2 * len(iso)))
    read, size = written.replace(" ", "␣"), 11 if len(written) < 45 else 8.5
    heatmap(ax, weights, list(iso), list(read), high=1, unit=SHARE, size=size)
    ax.set(xlabel="written date: read by characters", ylabel="answer: downwards")
    dates = _aligned_words(weights, written, iso)
    found = [", ".join(f"{part} from “{word}”" for part, word in date.items()) for date in dates]
    finding = f"It writes {iso}: " + ("; then ".join(found) or "each character looks at a few")
    return finish(figure, finding, f"It read “{written}”")


def _aligned_words(weights: np.ndarray, written: str, iso: str) -> list[dict[str, str]]:
    """Of each date of `iso` part -> the words its characters look at most; [] if no date."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(/\d{4}-\d\d-\d\d)?", iso):
        return []
    words = [match.span() for match in re.finditer(r"[^\s,]+", written)]

    def words_of(rows: slice) -> str:
        best = {max(words, key=lambda word: row[slice(*word)].sum()) for row in weights[rows]}
        return ", ".join(written[slice(*word)] for word in sorted(best))

    parts = {"year": (0, 4), "month": (5, 7), "day": (8, 10)}
    begins = range(0, len(iso), 11)
    return [{part: words_of(slice(b + i, b + j)) for part, (i, j) in parts.items()} for b in begins]


def plot_head_maps(
    weights: Any, tokens: Sequence[str], names: Sequence[str] | None = None
) -> Figure:
    """Plot the maps of several heads in a grid; the headline says how far they agree.

    `weights` are float[H, T, T], `tokens` str[T]; without names the heads are counted.
    """
    H, T = len(weights), len(tokens)
    weights = _weights(weights, H, T, T)
    names = names or [f"head {h + 1}" for h in range(H)]
    across = min(4, H)
    down = math.ceil(H / across)
    size = (8.6, 1.5 + down * 6.6 / across)
    figure, axes = subplots(down, across, figsize=size, squeeze=False)
    for h, ax in enumerate(axes.flat):
        if h >= H:
            ax.set_axis_off()
            continue
        outer = tokens if h % across == 0 else None, tokens if h + across >= H else None
        picture = heatmap(ax, weights[h], *outer, high=1, size=8.5 if T <= 16 else 7)
        title(ax, names[h], 10)
    figure.told.clear()  # only maps with both axes named tell theirs; below, all do
    figure.colorbar(picture, ax=axes, label=SHARE, shrink=0.6, pad=0.02, aspect=30)
    figure.supxlabel(LOOKED_AT, fontsize=10.5)
    figure.supylabel(LOOKS, fontsize=10.5)
    different = np.mean([len(set(looks)) for looks in weights.argmax(axis=-1).T])
    finding = f"From one token {H} heads look most at {different:.1f} different ones, on average"
    each = {n: _strongest(w, tokens, tokens) for n, w in zip(names, weights, strict=True)}
    return finish(figure, finding, f"Heatmaps of attention between tokens, {listed(each)}")


def draw_masks(masks: Mapping[str, Any], tokens: Sequence[str]) -> Figure:
    """Draw masks side by side: coloured where a row's token may look, grey where it may not.

    A mask is bool[T, T], or [1, T] for one that is the same in all rows; tokens are str[T].
    """
    T = len(tokens)
    spread = {n: np.broadcast_to(np.asarray(m, dtype=bool), (T, T)) for n, m in masks.items()}
    figure, axes = subplots(1, len(masks), figsize=(8.6, 1.9 + 0.26 * T), squeeze=False)
    for ax, (name, mask) in zip(axes[0], spread.items(), strict=True):
        rows = tokens if ax is axes[0, 0] else None
        heatmap(ax, np.where(mask, 0.75, 0.0), rows, tokens, None, 0, 1, mask, size=9.5)
        ax.set_xticks(np.arange(0.5, T), minor=True)
        ax.set_yticks(np.arange(0.5, T), minor=True)
        ax.grid(which="minor", color="white", linewidth=1.5)
        ax.tick_params(which="minor", length=0)
        title(ax, name, 11)
        ax.set_xlabel("key: who may be looked at")
    axes[0, 0].set_ylabel(LOOKS)
    finding = "; ".join(f"{name}: {_rule(mask, tokens)}" for name, mask in spread.items())
    counts = {name: f"{int(mask.sum())} of {T * T} looks allowed" for name, mask in spread.items()}
    shows = f"Masks over the tokens {' '.join(tokens)}: {listed(counts)}"
    return finish(figure, finding[0].upper() + finding[1:], shows)


def _rule(mask: np.ndarray, tokens: Sequence[str]) -> str:
    hidden = list(dict.fromkeys(tokens[j] for j in np.flatnonzero(~mask.any(axis=0))))
    ahead = [] if np.triu(mask, 1).any() else ["what comes later"]
    told = " or at ".join(hidden + ahead)
    return f"nobody looks at {told}" if told else "everybody looks at everybody"


def plot_outputs(outputs: Mapping[str, tuple[Sequence[str], Any]], finding: str) -> Figure:
    """Plot several matrices of vectors side by side, a row for each token.

    `outputs`: name -> (tokens str[T], vectors float[T, D]).
    """
    values = {name: np.asarray(vectors, dtype=float) for name, (_, vectors) in outputs.items()}
    low, high = min(v.min() for v in values.values()), max(v.max() for v in values.values())
    size = (8.6, 1.7 + 0.34 * max(map(len, values.values())))
    widths = [v.shape[1] for v in values.values()]
    figure, axes = subplots(1, len(values), figsize=size, squeeze=False, width_ratios=widths)
    for ax, (name, (tokens, _)) in zip(axes[0], outputs.items(), strict=True):
        picture = heatmap(ax, values[name], tokens, low=low, high=high)
        title(ax, name)
        ax.set_xlabel("place in the vector")
    figure.colorbar(picture, ax=axes, label="value", pad=0.02)
    rows = {name: " ".join(tokens) for name, (tokens, _) in outputs.items()}
    return finish(figure, finding, f"Heatmaps of vectors, a row for each token, {listed(rows)}")


def draw_projection(words: Sequence[str], x: Any, weights: Any, names: Sequence[str]) -> Figure:
    """Draw x, int[T, D], times a matrix, int[D, D], with numbers; the finding spells out the first.

    `words` are the T rows, `names` those of the vectors, the matrix and the result.
    """
    tables = x, weights, made = np.asarray(x), np.asarray(weights), np.asarray(x) @ weights
    D, places = len(weights), np.cumsum([0, *(t.shape[1] + 1.5 for t in tables)])
    figure, ax = drawing((8.6, 2.6), (-2.2, places[-1] - 1), (D + 0.2, -1.2))
    colours, top = matplotlib.colormaps[matplotlib.rcParams["image.cmap"]], max(map(np.max, tables))
    for name, table, left, after in zip(names, tables, places, ("×", "=", ""), strict=False):
        down = (D - len(table)) / 2
        for (i, j), value in np.ndenumerate(table):
            face = colours(value / top)
            box(ax, left + j, down + i, 0.94, 0.94, face=face, line=0)
            write(ax, left + j, down + i, f"{value}", readable_on(face), 11)
        write(ax, left + (table.shape[1] - 1) / 2, -0.95, name, size=11, bold=True)
        write(ax, left + table.shape[1] + 0.25, (D - 1) / 2, after, size=15)
    for i, word in enumerate(words):
        write(ax, -0.8, (D - len(words)) / 2 + i, word, size=10, ha="right")
    sums = " + ".join(f"{a}·{b}" for a, b in zip(x[0], weights[:, 0], strict=True))
    finding = f"The first number of {words[0]}'s {names[2]}: {sums} = {made[0, 0]}"
    return finish(figure, finding, f"{names[0]} times {names[1]} is {names[2]}: {made.tolist()}")


# --- positions as clocks, and the whole transformer

ATTENTION, FEED_FORWARD, NORM = START, ANSWER, "C4"
BLOCKS = {  # from bottom to top; a sublayer is an attention or a feed-forward layer
    "encoder": ("self-attention", "feed-forward"),
    "decoder": ("masked self-attention", "attention to the encoder", "feed-forward"),
    "decoder alone": ("masked self-attention", "feed-forward"),
}


def draw_transformer(
    columns: Mapping[str, tuple[str, str]], D: int, L: int, norm_first: bool = False
) -> Figure:
    """Draw transformers side by side, from what is read at the bottom to what comes out.

    Args:
        columns: one or two of BLOCKS -> what is read, and what comes out. The attention to the
            encoder gets an arrow from the column before.
        D, L: width, and number of blocks.
        norm_first: layer norm before each sublayer and at the end, not after each sum.
    """
    tallest = 2 * max(len(BLOCKS[kind]) for kind in columns)
    figure, ax = drawing((8.6, 2.7 + 0.62 * tallest), (-1.6, 12.2), (-2.5, tallest + 2.1))
    for k, (kind, (read, written)) in enumerate(columns.items()):
        x, top = 7 * k + 2.0, 2 * len(BLOCKS[kind])
        write(ax, x, -2.2, read, size=9.5)
        box(ax, x, -1.4, 3.4, 0.5, "word + position vectors", PALE, size=9.5)
        arrow(ax, (x, -2.0), (x, -1.65))
        write(ax, x - 2.9, top + 0.4, f"{kind}: {L} ×", size=11, bold=True, ha="left")
        _block(ax, x, kind, norm_first)
        if norm_first:
            box(ax, x, top + 0.95, 2.8, 0.28, "layer norm", NORM, tint(NORM, 0.3), size=9.5)
        write(ax, x, top + 1.75, written, size=9.5)
        if k and kind == "decoder":
            y, corner = 2.92 if norm_first else 2.55, x - 2.85
            ax.plot([2.0, corner, corner], [5.45, 5.45, y], color=ATTENTION, linewidth=1.2)
            arrow(ax, (corner, y), (x - 1.42, y), ATTENTION)
    finding = " and ".join(columns).capitalize() + " have the same block; only the mask differs"
    if "decoder" in columns:
        finding = f"The decoder has one sublayer more: {BLOCKS['decoder'][1]}"
    shows = f"{L} times a block, {D} wide, with layer norm and a residual connection in each part"
    listing = listed({kind: ", ".join(BLOCKS[kind]) for kind in columns})
    return finish(figure, finding, f"{shows}. From bottom to top, {listing}")


def _block(ax: Axes, x: float, kind: str, norm_first: bool) -> None:
    """Draw one block: each sublayer with the way around it, the sum and the layer norm."""
    top = 2.0 * len(BLOCKS[kind])
    box(ax, x + 0.1, top / 2, 4.26, top + 0.06, edge=MUTED, face="#fafafa", rounded=0.08)
    arrow(ax, (x, -1.15), (x, top + 1.45))
    for i, name in enumerate(BLOCKS[kind]):
        y = 2.0 * i
        norm, sub, add = (0.34, 0.92, 1.6) if norm_first else (1.64, 0.55, 1.18)
        colour = FEED_FORWARD if name.startswith("feed") else ATTENTION
        box(ax, x, y + sub, 2.8, 0.5, name, colour, tint(colour, 0.3), size=9.5)
        box(ax, x, y + norm, 2.8, 0.28, "layer norm", NORM, tint(NORM, 0.3), size=9.5)
        way = [x, x + 1.75, x + 1.75], [y + 0.1, y + 0.1, y + add]
        ax.plot(*way, color=END, linewidth=1.4)
        arrow(ax, (x + 1.75, y + add), (x + 0.15, y + add), END, 1.4)
        ax.plot([x], [y + add], "o", markersize=12, color="white", markeredgecolor=END)
        write(ax, x, y + add, "+", END, 12, bold=True, va="center_baseline")
    write(ax, x + 2.35, 0.6, "the way\naround", "#a34600", 8.5, ha="left")


def draw_clocks(positions: Sequence[int], bases: Sequence[float], D: int) -> Figure:
    """Draw position vectors as clocks: sine and cosine say where the tip of a hand is.

    Args:
        positions: a clock for each, from left to right.
        bases: of the waves, a row of clocks for each.
        D: two numbers for a hand; the faster a hand the longer.
    """
    limits = (-1.9, 2.4 * len(positions) - 1), (2.4 * len(bases) - 1, -1.9)
    figure, ax = drawing((8.6, 1.2 + 1.35 * len(bases)), *limits)
    turns = []
    for y, base in zip(np.arange(len(bases)) * 2.4, bases, strict=True):
        write(ax, -1.8, y, f"base\n{base:,}", ha="left")
        rates = base ** -(np.arange(0, D, 2) / D)
        turns.append(f"{np.degrees(positions[-1] * rates[-1]):.0f}° with base {base:,}")
        for x, position in zip(np.arange(len(positions)) * 2.4 + 0.4, positions, strict=True):
            ax.plot(x, y, "o", markersize=58, color="#fafafa", markeredgecolor=MUTED, zorder=0)
            write(ax, x, -1.5, f"position {position}")
            for i, angle in enumerate(position * rates):
                length = 0.75 - 0.45 * i / len(rates)
                tip = x + length * math.sin(angle), y - length * math.cos(angle)
                arrow(ax, (x, y), tip, f"C{i}", 1.8, 7)
    finding = f"At position {positions[-1]} the slowest hand has turned by {', by '.join(turns)}"
    places = ", ".join(map(str, positions))
    return finish(figure, finding, f"Clocks of {D // 2} hands at the positions {places}")


# --- what a real encoder does, and how it learns


def plot_layers(cosines: Mapping[str, Sequence[float]]) -> Figure:
    """Plot cosines of pairs of vectors layer by layer.

    `cosines`: name of the pairs -> float[L + 1], before the first block and after each.
    """
    figure, ax = subplots(figsize=(8.4, 3.9))
    lowest = min(map(min, cosines.values()))
    curves = {name: list(enumerate(values)) for name, values in cosines.items()}
    labels = "after block", "cosine of the two vectors"
    lines(ax, curves, *labels, ylim=(min(0, lowest - 0.05), 1.05), marker="o", clip_on=False)
    first = next(iter(cosines.values()))
    ax.set_xticks(range(len(first)), ["before", *map(str, range(1, len(first)))])
    ends = " and ".join(f"{each[-1]:.2f} for {name}" for name, each in cosines.items())
    return finish(figure, f"After block {len(first) - 1} the cosine is {ends}")


def plot_heads(
    scores: Any,
    finding: str,
    label: str,
    chance: float | None = None,
    marked: tuple[int, int] | None = None,
) -> Figure:
    """Plot one number for each head of a model, in percent.

    Args:
        scores: float[L, H], shares.
        label: what they are.
        chance: what a head that knows nothing would reach, the middle of the colours.
        marked: block and head to draw a frame around, counted from 0.
    """
    scores = np.asarray(scores, dtype=float)
    L, H = scores.shape
    figure, ax = subplots(figsize=(8.4, 1.7 + 0.4 * L))
    low = 0 if chance is None else max(0.0, 2 * chance - 1)
    names = [f"block {layer + 1}" for layer in range(L)], [str(head + 1) for head in range(H)]
    picture = heatmap(ax, scores, *names, lambda share: f"{100 * share:.0f}", low, 1)
    figure.colorbar(picture, ax=ax, label=label, pad=0.02, format=PercentFormatter(1))
    ax.set_xlabel("head")
    if marked is not None:
        box(ax, marked[1], marked[0], 1, 1, edge=END, face="none", line=3)
    return finish(figure, finding, f"In the cells, by block and head: {label}")


def plot_learned_looks(steps: Sequence[int], looks: Any, words: Sequence[str], gradients: Any):
    """Plot where a layer looks while it learns, and how much gradient reaches its matrices.

    Args:
        steps: int[N].
        looks: float[N, S], one query's weights.
        words: str[S]; the last should be looked at.
        gradients: matrix -> float[N], lengths.
    """
    figure, (left, right) = subplots(1, 2, figsize=(8.6, 3.9), width_ratios=(5, 4))
    looks = _weights(looks, len(steps), len(words))
    heatmap(left, looks, [str(step) for step in steps], words, "{:.2f}".format, high=1, size=9)
    left.set(ylabel="training step", xlabel=LOOKED_AT)
    curves = {name: np.stack([steps, each], axis=1) for name, each in gradients.items()}
    lines(right, curves, "training step", "length of the gradient (logarithmic)", log="y")
    first, last = (percent(look[-1]) for look in looks[[0, -1]])
    finding = f"From step {steps[0]} to {steps[-1]} the look at “{words[-1]}” goes from {first} to "
    return finish(figure, finding + last)


def _shades() -> list[str]:
    colours = matplotlib.colormaps[matplotlib.rcParams["image.cmap"]]
    return [matplotlib.colors.to_hex(colours(i / 31)) for i in range(32)]


def explore_numbers(
    query: Any, key: Any, value: Any, words: Sequence[str], divisor: float
) -> Panel:
    """Show attention of a few words with every number to change. Needs scripts, no network.

    Args:
        query, key, value: numbers[T, D], and [T, D_v] for the last.
        words: str[T].
        divisor: of the scores, usually the root of D.
    """
    tables = {"query": query, "key": key, "value": value}
    data = {"words": list(words), "divisor": divisor, "colours": _shades()}
    data |= {name: np.asarray(table).tolist() for name, table in tables.items()}
    text = f"Attention of {', '.join(words)}, with numbers to change. It needs a page with scripts."
    return explorable("numbers", data, "attention_numbers.js", text)


def explore_attention(
    weights: Any, tokens: Sequence[str], start: tuple[int, int, int] = (0, 0, 1)
) -> Panel:
    """Show all heads of a model on one sentence, to explore by mouse or keyboard.

    Args:
        weights: float[L, H, T, T].
        tokens: str[T].
        start: block, head and token to begin with, counted from 0.
    """
    L, H = np.shape(weights)[:2]
    weights = _weights(weights, L, H, len(tokens), len(tokens))
    steps = np.round(255 * weights.clip(0, 1)).astype(np.uint8)  # finer than an eye tells apart
    data = {
        "tokens": list(tokens),
        "layers": L,
        "heads": H,
        "weights": base64.b64encode(steps.tobytes()).decode(),
        "start": list(start),
        "marks": [i for i, token in enumerate(tokens) if token in MARKS],
        "colours": _shades(),
    }
    text = f"{L * H} attention maps of “{' '.join(tokens)}” to explore. They need"
    return explorable("attention", data, "attention_map.js", f"{text} a page with scripts.")
