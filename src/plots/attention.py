"""Figures of attention: maps of weights, masks, heads, positions, blocks and their parts, what a head finds; one map to explore.

In every map a row is a token that looks, a column one that is looked at; all maps have one colour map, and grey is "not allowed".
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from src.plots import (
    ANSWER,
    END,
    FAINT,
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
from src.plots.explore import explorable
from src.plots.qa import Highlight

MARKS = frozenset(("[CLS]", "[SEP]", "[PAD]", "<start>", "<end>", "<pad>"))  # tokens that stand for no word


def _colours() -> matplotlib.colors.Colormap:
    """The course's colour map of heatmaps; what is not allowed is grey."""
    return matplotlib.colormaps[matplotlib.rcParams["image.cmap"]].with_extremes(bad=FAINT)


def _map(ax: Axes, values: np.ndarray, allowed: np.ndarray | None = None, low: float = 0.0, high: float | None = 1.0) -> Any:
    """Draw a matrix as a heatmap without frame; where `allowed` is False it is grey. Returns the picture, for a colour bar."""
    shown = np.ma.masked_where(np.zeros(values.shape, bool) if allowed is None else ~allowed, values)
    picture = ax.imshow(shown, cmap=_colours(), vmin=low, vmax=high, aspect="auto")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return picture


def _label(ax: Axes, rows: Sequence[str] | None, columns: Sequence[str] | None, size: float = 10, room: float = 0.25) -> None:
    """Write the tokens on both axes; None leaves an axis bare.   room: inches of a column, in which a token lies or else stands"""
    standing = columns is not None and max(map(len, columns), default=0) * size / 110 > room
    if columns is None:
        ax.set_xticks([])
    else:
        ax.set_xticks(
            range(len(columns)), [plain(token) for token in columns], fontsize=size, rotation=90 if standing else 0, parse_math=False
        )
    ax.set_yticks([] if rows is None else range(len(rows)), None if rows is None else [plain(token) for token in rows])
    if rows is not None:
        for label in ax.get_yticklabels():
            label.set(fontsize=size, parse_math=False)


def _write_numbers(ax: Axes, picture: Any, values: np.ndarray, form: str = "{:.2f}", size: float = 10) -> None:
    """Write each number into its cell, black or white, whichever can be read there."""
    for (row, column), value in np.ndenumerate(values):
        if not np.ma.is_masked(picture.get_array()[row, column]):
            colour = readable_on(picture.cmap(picture.norm(value)))
            ax.text(column, row, form.format(value), ha="center", va="center", fontsize=size, color=colour)


# --- maps of weights -----------------------------------------------------------------------------------------------------


def plot_attention(
    weights: Any,
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    mask: Any = None,
    finding: str | None = None,
    axes: tuple[str, str] = ("query: who looks", "key: who is looked at"),
) -> Figure:
    """Plot a map of attention: who looks (rows) at whom (columns), and how much; each row sums to one.

    weights: float[T, S]   rows: str[T]   columns: str[S]; None where the tokens look at each other
    mask: bool[T, S], True where attention is allowed, the rest is drawn grey   finding: the headline; None names the strongest look
    axes: what the rows do, and the columns.   Raises ValueError where tokens and weights do not fit.
    """
    weights = np.asarray(weights, dtype=float)
    columns = rows if columns is None else columns
    if weights.shape != (len(rows), len(columns)):
        raise ValueError(f"{len(rows)} rows and {len(columns)} columns need weights of that shape; got {weights.shape}.")
    T, S = weights.shape
    cell = min(0.5, 6.4 / S, 7.0 / T) if max(T, S) > 6 else 0.9
    longest = max(len(token) for token in rows)
    size = 10.5 if cell > 0.24 else 8.5
    figure, ax = subplots(figsize=(min(8.0, 2.3 + 0.085 * longest + cell * S), 1.75 + 0.075 * max(map(len, columns)) + cell * T))
    picture = _map(ax, weights, None if mask is None else np.broadcast_to(np.asarray(mask, dtype=bool), weights.shape))
    _label(ax, rows, columns, size, cell)
    ax.set_ylabel(axes[0])
    ax.set_xlabel(axes[1])
    if weights.size <= 64:
        _write_numbers(ax, picture, weights)
    figure.colorbar(picture, ax=ax, label="share of attention", pad=0.03)
    finding = finding or _strongest(weights, rows, columns)
    headline(figure, finding)
    tops = "; ".join(f"{row}: {columns[j]} {weights[i, j]:.2f}" for i, row in enumerate(rows) for j in [int(weights[i].argmax())])
    return alt(figure, f"Heatmap of attention weights, {T} rows by {S} columns. {finding}. Most of each row goes to: {tops}.")


def _strongest(weights: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> str:
    """The largest weight from one word to another one, as a sentence; marks such as [CLS] and a token itself do not count."""
    themselves = list(rows) == list(columns)
    pairs = [
        (weights[i, j], i, j)
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
        if not ({row, column} & MARKS) and not (themselves and i == j)
    ]
    if not pairs:
        return f"{len(rows)} tokens look at {len(columns)}"
    most, i, j = max(pairs)
    return f"“{plain(rows[i])}” looks at “{plain(columns[j])}” with {percent(float(most))} of its attention"


def plot_alignment(weights: Any, written: str, iso: str) -> Figure:
    """Plot where a model looked in a written date (columns) while it wrote each character of the answer (rows).

    weights: float[T, S], T characters of `iso`, S of `written`. The headline names, for year, month and day, the word
    of `written` that got the most of their attention.
    """
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (len(iso), len(written)):
        raise ValueError(f"{len(iso)} characters written and {len(written)} read need weights of that shape; got {weights.shape}.")
    figure, ax = subplots(figsize=(8.4, 1.9 + 0.21 * len(iso)))
    picture = _map(ax, weights)
    _label(ax, list(iso), list(written.replace(" ", "␣")), 11 if len(written) < 45 else 8.5)
    ax.set_xlabel("read: the written date, character by character")
    ax.set_ylabel("written, from top to bottom")
    figure.colorbar(picture, ax=ax, label="share of attention", pad=0.015)
    found = [", ".join(f"{part} from “{plain(word)}”" for part, word in date.items()) for date in aligned_words(weights, written, iso)]
    finding = "Each character written looks at a few of those read" if not found else "; then ".join(found)
    finding = finding[:1].upper() + finding[1:]
    headline(figure, finding)
    peaks = "; ".join(
        f"{mark}: {written[j]!r} at {j} ({weights[i, j]:.2f})" for i, mark in enumerate(iso) for j in [int(weights[i].argmax())]
    )
    return alt(figure, f"Heatmap: the answer {iso} by the written date “{written}”. {finding}. Most attention of each character: {peaks}.")


def draw_look_back(weights: Any, written: str, so_far: str, following: str) -> Figure:
    """Draw one step of a decoder that looks back: which of the encoder's states it mixes to choose the next character.

    weights: float[S], of this step   written: the S characters read   so_far, following: what is written already, and what is chosen now
    """
    weights = np.asarray(weights, dtype=float)
    S = len(written)
    if weights.shape != (S,):
        raise ValueError(f"{S} characters need weights of that many numbers; got {weights.shape}.")
    figure, ax = subplots(figsize=(8.6, 3.1))
    ax.set_xlim(-0.03 * S, 1.03 * S)
    ax.set_ylim(-0.9, 3.6)
    clean_axes(ax)
    colours = _colours()
    middle = S / 2
    for j, (mark, weight) in enumerate(zip(written, weights, strict=True)):
        colour = colours(weight)
        ax.add_patch(Rectangle((j + 0.06, 0), 0.88, 0.9, facecolor=colour, linewidth=0, gid=f"state {j}"))
        ax.text(j + 0.5, -0.4, plain(mark), ha="center", va="center", fontsize=min(12, 420 / S), parse_math=False)
        ax.plot([j + 0.5, middle], [0.92, 2.55], color=END, linewidth=0.3 + 5 * weight, alpha=0.15 + 0.85 * weight, solid_capstyle="round")
    box = {"boxstyle": "round,pad=0.5", "facecolor": tint(END, 0.25), "edgecolor": END}
    text = f"written so far: “{plain(so_far)}”"
    ax.text(middle, 3.0, text, ha="center", va="center", fontsize=11.5, bbox=box, parse_math=False)
    ax.annotate(
        f"next: “{plain(following)}”",
        (middle + 0.36 * S, 3.0),
        xytext=(middle + 0.2 * S, 3.0),
        ha="left",
        va="center",
        fontsize=12,
        fontweight="bold",
        color="#a34600",
        parse_math=False,
    )
    ax.text(0, 1.15, "states of the encoder,\ncoloured by their weight", fontsize=9, color="#555555", va="bottom")
    best = int(weights.argmax())
    word = next((m for m in re.finditer(r"[^\s,]+", written) if m.start() <= best < m.end()), None)
    where = f"“{plain(written[best])}”" + (f" of “{plain(word[0])}”" if word and len(word[0]) > 1 else "")
    finding = f"To write “{plain(following)}” it looks most at {where}: {percent(float(weights[best]))}"
    headline(figure, finding)
    top = ", ".join(f"{written[j]!r} at {j} {weights[j]:.2f}" for j in np.argsort(-weights)[:5])
    return alt(figure, f"A decoder that has written “{so_far}” and lines to the characters of “{written}”. {finding}. Largest: {top}.")


def aligned_words(weights: np.ndarray, written: str, iso: str) -> list[dict[str, str]]:
    """For year, month and day of each ISO date the word of `written` that got most of the attention; [] where `iso` is no date.

    weights: float[T, S], as in `plot_alignment`   iso: a date, or two with a slash between them
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(/\d{4}-\d\d-\d\d)?", iso):
        return []
    words = [match.span() for match in re.finditer(r"[^\s,]+", written)]

    def word_of(rows: slice) -> str:
        return written[slice(*max(words, key=lambda word: weights[rows, slice(*word)].sum()))]

    parts = {"year": (0, 4), "month": (5, 7), "day": (8, 10)}
    return [{part: word_of(slice(begin + i, begin + j)) for part, (i, j) in parts.items()} for begin in range(0, len(iso), 11)]


def plot_head_maps(
    weights: Any,
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    finding: str | None = None,
    across: int = 4,
) -> Figure:
    """Plot the maps of several heads in a grid, tokens on both axes, all in the same colours.

    weights: float[H, T, S]   rows: str[T]   columns: str[S]; None where the tokens look at each other
    names: of the heads; None counts them   across: maps side by side
    finding: the headline; None says how far the heads agree on where each token looks most
    """
    weights = np.asarray(weights, dtype=float)
    columns = rows if columns is None else columns
    H, T, S = len(weights), len(rows), len(columns)
    if weights.shape != (H, T, S):
        raise ValueError(f"{T} rows and {S} columns need weights of shape [H, {T}, {S}]; got {weights.shape}.")
    names = list(names) if names is not None else [f"head {h + 1}" for h in range(H)]
    across = min(across, H)
    lines = math.ceil(H / across)
    size = 8.5 if max(T, S) <= 16 else 7
    height = 0.92 * 7.2 / across * max(T / S, 0.4)
    figure, axes = subplots(lines, across, figsize=(8.6, 1.5 + lines * height), squeeze=False)
    for number, ax in enumerate(axes.flat):
        if number >= H:
            clean_axes(ax)
            continue
        picture = _map(ax, weights[number])
        last = number + across >= H
        _label(ax, rows if number % across == 0 else None, columns if last else None, size)
        ax.set_title(plain(names[number]), fontsize=10, parse_math=False)
    figure.colorbar(picture, ax=axes, label="share of attention", shrink=0.6, pad=0.02, aspect=30)
    figure.supxlabel("key: who is looked at", fontsize=10.5)
    figure.supylabel("query: who looks", fontsize=10.5)
    if finding is None:
        favourites = weights.argmax(axis=-1)  # [H, T]
        same = sum(len(set(favourites[:, t])) == 1 for t in range(T))
        finding = f"{H} heads look differently: they agree on where to look most for {same} of {T} tokens"
    headline(figure, finding)
    favourite = "; ".join(f"{name}: {_strongest(maps, rows, columns)}" for name, maps in zip(names, weights, strict=True))
    return alt(figure, f"{H} heatmaps of attention, rows {' '.join(rows)}, columns {' '.join(columns)}. {finding}. {favourite}.")


def draw_masks(masks: Mapping[str, Any], tokens: Sequence[str], columns: Sequence[str] | None = None) -> Figure:
    """Draw masks side by side, tokens on both axes: coloured where a row's token may look, grey where it may not.

    masks: name -> bool[T, S], or [1, S] for one that is the same in all rows   tokens: str[T]   columns: str[S]; None: `tokens`
    """
    columns = tokens if columns is None else columns
    shape = len(tokens), len(columns)
    spread = {name: np.broadcast_to(np.asarray(mask, dtype=bool).reshape(-1, shape[1]), shape) for name, mask in masks.items()}
    figure, axes = subplots(1, len(spread), figsize=(8.6, 1.9 + 0.26 * shape[0]), squeeze=False)
    for number, (ax, (name, mask)) in enumerate(zip(axes[0], spread.items(), strict=True)):
        _map(ax, np.where(mask, 0.75, 0.0), mask)
        ax.set_xticks(np.arange(-0.5, shape[1]), minor=True)
        ax.set_yticks(np.arange(-0.5, shape[0]), minor=True)
        ax.grid(which="minor", color="white", linewidth=1.5)
        ax.tick_params(which="minor", length=0)
        _label(ax, tokens if number == 0 else None, columns, 9.5)
        ax.set_title(plain(name), fontsize=11, parse_math=False)
        ax.set_xlabel("key: who may be looked at")
    axes[0, 0].set_ylabel("query: who looks")
    total = shape[0] * shape[1]
    finding = "; ".join(f"{name}: {int(mask.sum())} of {total} looks allowed" for name, mask in spread.items())
    finding = finding[:1].upper() + finding[1:]
    headline(figure, finding)
    rows = "; ".join(
        f"{name}: " + ", ".join(f"{token} {int(mask[i].sum())}" for i, token in enumerate(tokens)) for name, mask in spread.items()
    )
    return alt(figure, f"Masks over the tokens {' '.join(tokens)}. {finding}. How many tokens each may look at: {rows}.")


# --- scores, softmax, entropy --------------------------------------------------------------------------------------------


def plot_outputs(outputs: Mapping[str, tuple[Sequence[str], Any]], finding: str, numbers: bool = False) -> Figure:
    """Plot several matrices of vectors side by side, a row for each token.

    outputs: name -> (tokens str[T], vectors float[T, D])   finding: the headline   numbers: write them into the cells
    """
    values = {name: np.asarray(vectors, dtype=float) for name, (_, vectors) in outputs.items()}
    low, high = min(v.min() for v in values.values()), max(v.max() for v in values.values())
    most = max(len(tokens) for tokens, _ in outputs.values())
    widths = [v.shape[1] for v in values.values()] if numbers else None
    figure, axes = subplots(1, len(outputs), figsize=(8.6, 1.7 + 0.34 * most), squeeze=False, width_ratios=widths)
    for ax, (name, (tokens, _)) in zip(axes[0], outputs.items(), strict=True):
        picture = _map(ax, values[name], None, low, high)
        _label(ax, tokens, None)
        if numbers:
            _write_numbers(ax, picture, values[name], "{:.2g}", 11)
        ax.set_title(plain(name), fontsize=10.5, parse_math=False)
        ax.set_xlabel("place in the vector")
    if not numbers:
        figure.colorbar(picture, ax=axes, label="value", pad=0.02)
    headline(figure, finding)
    listed = "; ".join(f"{name}: {', '.join(tokens)}" for name, (tokens, _) in outputs.items())
    return alt(figure, f"Heatmaps of vectors, a row for each token. {finding}. Rows from top to bottom, {listed}.")


def plot_entropy(widths: Sequence[int], entropies: Mapping[str, Any], S: int) -> Figure:
    """Plot how evenly softmax spreads over S keys against the width of queries and keys, one line for each way to scale.

    widths: int[W]   entropies: name -> float[W, N], bits, of N random queries each; the line is their mean, the band holds 80 % of them
    """
    widths = np.asarray(widths)
    figure, ax = subplots(figsize=(8, 3.9))
    ends, means = [], {}
    for i, (name, values) in enumerate(entropies.items()):
        values = np.asarray(values, dtype=float)
        means[name] = values.mean(axis=1)
        ax.fill_between(widths, *np.quantile(values, [0.1, 0.9], axis=1), color=tint(f"C{i}", 0.18), linewidth=0)
        ax.plot(widths, means[name], "o-", color=f"C{i}", gid=name)
        ends.append((float(widths[-1]), float(means[name][-1]), plain(name), f"C{i}"))
    even = math.log2(S)
    ax.axhline(even, color=MUTED, linestyle="--", linewidth=1.3)
    ax.annotate(f"even over all {S} keys: {even:.0f} bits", (widths[0], even), xytext=(0, 5), textcoords="offset points", color="#666666")
    ax.set_xscale("log", base=2)
    ax.set_xticks(widths, [str(width) for width in widths])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(widths[0] / 1.15, widths[-1] * 1.1)
    ax.set_ylim(0, 1.18 * even)
    ax.set_xlabel("width d of queries and keys (logarithmic)")
    ax.set_ylabel("entropy of the weights, bits")
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    parts = [f"{mean[0]:.1f} to {mean[-1]:.1f} bits {name}" for name, mean in means.items()]
    finding = f"From width {widths[0]} to {widths[-1]} the entropy goes from {', from '.join(parts)}"
    headline(figure, finding)
    points = "; ".join(f"{name}: " + ", ".join(f"{w}: {m:.2f}" for w, m in zip(widths, mean, strict=True)) for name, mean in means.items())
    return alt(figure, f"Lines of softmax entropy over {S} keys against width. {finding}. Bits by width: {points}.")


# --- positions -----------------------------------------------------------------------------------------------------------


def plot_positions(tables: Mapping[str, Any], shown: int = 64) -> Figure:
    """Plot tables of position vectors as heatmaps, a row for each position, and below how alike the positions are.

    tables: name -> float[T, D]   shown: numbers of each vector that are drawn, from the first on
    How alike: the cosine of every position with every other, by all D numbers, the table's mean taken off first.
    """
    values = {name: np.asarray(table, dtype=float) for name, table in tables.items()}
    figure, axes = subplots(2, len(values), figsize=(8.6, 6.4), squeeze=False)
    reach = []
    for column, (name, table) in enumerate(values.items()):
        T = len(table)
        likeness, table = position_cosines(table), table[:, :shown]
        limit = float(np.quantile(np.abs(table), 0.98))  # a few numbers of a learned table are far larger than all others
        picture = _map(axes[0, column], table, None, -limit, limit)
        axes[0, column].set_title(plain(name), fontsize=10.5, parse_math=False)
        axes[0, column].set_xlabel("place in the vector")
        figure.colorbar(picture, ax=axes[0, column], label="value", extend="neither" if limit >= abs(table).max() else "both", pad=0.02)
        picture = _map(axes[1, column], likeness, None, -1.0)
        axes[1, column].set_xlabel("position")
        figure.colorbar(picture, ax=axes[1, column], label="cosine", pad=0.02)
        nearest = (likeness - 2 * np.eye(T)).argmax(axis=1)
        reach.append((name, float((np.abs(nearest - np.arange(T)) == 1).mean())))
        for row in (0, 1):
            axes[row, column].set_ylabel("position")
    finding = "Most like a position is the one next to it: " + ", ".join(f"{percent(share)} ({name})" for name, share in reach)
    headline(figure, finding)
    shapes = "; ".join(f"{name}: {table.shape[0]} positions, {table.shape[1]} numbers each" for name, table in values.items())
    return alt(figure, f"Heatmaps of position vectors, below them the cosines between positions. {shapes}. {finding}.")


def position_cosines(table: np.ndarray) -> np.ndarray:
    """The cosine of every position's vector with every other's, once the mean of all is taken off: float[T, T].

    table: float[T, D]
    """
    centred = table - table.mean(axis=0)
    units = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return units @ units.T


# --- blocks and what they cost -------------------------------------------------------------------------------------------

ATTENTION, FEED_FORWARD, NORM = START, ANSWER, "C4"
_BLOCKS = {  # from bottom to top; a sublayer is an attention or a feed-forward layer
    "encoder": ("self-attention", "feed-forward"),
    "decoder": ("masked self-attention", "attention to\nthe encoder", "feed-forward"),
    "decoder alone": ("masked self-attention", "feed-forward"),
}


def draw_blocks(kinds: Sequence[str] = ("encoder", "decoder"), D: int = 512, norm_first: bool = False) -> Figure:
    """Draw the blocks of a transformer side by side, from the vectors that go in (bottom) to those that come out.

    kinds: of "encoder", "decoder", "decoder alone"   D: the width written at the arrows
    norm_first: layer norm before each sublayer, as in GPT-2, instead of behind the sum, as in BERT and in the paper of 2017
    """
    unknown = [kind for kind in kinds if kind not in _BLOCKS]
    if unknown or not kinds:
        raise ValueError(f"there is no block {unknown}; there are {', '.join(map(repr, _BLOCKS))}.")
    tallest = max(len(_BLOCKS[kind]) for kind in kinds)
    figure, axes = subplots(1, len(kinds), figsize=(8.6 if len(kinds) > 1 else 4.6, 1.3 + 1.45 * tallest), squeeze=False)
    for ax, kind in zip(axes[0], kinds, strict=True):
        _block(ax, kind, D, norm_first, tallest)
    counted = "; ".join(f"{kind}: {len(_BLOCKS[kind])} sublayers" for kind in kinds)
    finding = f"{counted[:1].upper()}{counted[1:]}, each added to what went in"
    headline(figure, finding)
    order = "layer norm, then the sublayer, then the sum" if norm_first else "the sublayer, then the sum, then layer norm"
    listed = "; ".join(f"{kind}: {', '.join(part.replace(chr(10), ' ') for part in _BLOCKS[kind])}" for kind in kinds)
    return alt(figure, f"Diagram of transformer blocks, {D} wide. From bottom to top, {listed}. Each time: {order}. {finding}.")


def _block(ax: Axes, kind: str, D: int, norm_first: bool, tallest: int) -> None:
    """Draw one block: for each sublayer its box, the way around it, the sum and the layer norm."""
    ax.set_xlim(-1.35, 5.6)
    ax.set_ylim(-0.55, 2.0 * tallest + 0.75)
    clean_axes(ax)
    top = 2.0 * len(_BLOCKS[kind])
    ax.add_patch(
        FancyBboxPatch(
            (0.05, 0.05), 4.1, top - 0.1, boxstyle="round,pad=0.08", facecolor="#fafafa", edgecolor=MUTED, linewidth=1, zorder=0.2, gid=kind
        )
    )
    ax.text(2.0, -0.42, f"a vector for each token, {D} wide", ha="center", va="center", fontsize=9.5)
    ax.text(0.05, top + 0.5, kind, ha="left", va="center", fontsize=12.5, fontweight="bold")
    ax.plot([2.0, 2.0], [-0.25, top], color="#555555", linewidth=1.2, zorder=0.5)
    ax.add_patch(arrow((2.0, top), (2.0, top + 0.3)))
    for i, name in enumerate(_BLOCKS[kind]):
        y = 2.0 * i
        colour = FEED_FORWARD if name.startswith("feed") else ATTENTION
        sub, norm = (y + 1.0, y + 0.38) if norm_first else (y + 0.55, y + 1.64)
        add = y + 1.58 if norm_first else y + 1.18
        _part(ax, sub, 0.5, name, tint(colour, 0.3), colour, f"{kind} {name}")
        _part(ax, norm, 0.28, "layer norm", tint(NORM, 0.3), NORM, f"{kind} norm {i}")
        ax.plot([2.0, 3.75, 3.75, 2.15], [y + 0.1, y + 0.1, add, add], color=END, linewidth=1.4)
        ax.add_patch(arrow((2.4, add), (2.15, add), END))
        ax.plot([2.0], [add], "o", markersize=13, color="white", markeredgecolor=END)
        ax.text(2.0, add, "+", ha="center", va="center_baseline", fontsize=12, fontweight="bold", color=END)
        if i == 0:
            ax.text(4.4, (y + add) / 2 + 0.1, "residual:\nthe way\naround", va="center", fontsize=8.5, color="#a34600")
        if name.startswith("attention"):
            ax.add_patch(arrow((-1.3, sub), (0.58, sub), ATTENTION))
            ax.text(-1.3, sub + 0.12, "from the\nencoder", fontsize=8.5, color=ATTENTION, va="bottom")


def _part(ax: Axes, y: float, height: float, name: str, face: Any, edge: Any, gid: str) -> None:
    """One box of a block, centred at height y."""
    ax.add_patch(Rectangle((0.6, y - height / 2), 2.8, height, facecolor=face, edgecolor=edge, linewidth=1.1, gid=gid))
    ax.text(2.0, y, name, ha="center", va="center", fontsize=9.5)


def plot_parameter_counts(models: Mapping[str, Mapping[str, int]]) -> Figure:
    """Plot which parts of models hold their parameters, a bar of 100 % for each model.

    models: name -> part -> number of parameters
    """
    parts = list(dict.fromkeys(part for counts in models.values() for part in counts))
    totals = {name: sum(counts.values()) for name, counts in models.items()}
    figure, ax = subplots(figsize=(8.6, 1.75 + 0.62 * len(models)))
    for y, (name, counts) in enumerate(models.items()):
        left = 0.0
        for i, part in enumerate(parts):
            share = 100 * counts.get(part, 0) / totals[name]
            colour = f"C{i % 7}"
            ax.barh(
                y, share, 0.7, left=left, color=tint(colour, 0.75), edgecolor="white", label=part if y == 0 else None, gid=f"{name} {part}"
            )
            if share > 7:
                text = f"{share:.0f} %"
                ax.text(left + share / 2, y, text, ha="center", va="center", fontsize=10, color=readable_on(tint(colour, 0.75)))
            left += share
    ax.set_yticks(range(len(models)), [f"{plain(name)}\n{totals[name]:,}" for name in models], fontsize=10)
    ax.set_ylim(len(models) - 0.5, -0.5)
    ax.set_xlim(0, 100)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("parameters, % of the model")
    handles = [Rectangle((0, 0), 1, 1, facecolor=tint(f"C{i % 7}", 0.75)) for i in range(len(parts))]
    columns = min(len(parts), 5)
    figure.legend(handles, [plain(part) for part in parts], loc="outside lower center", ncols=columns, frameon=False, fontsize=10)
    largest = {name: max(counts, key=lambda part: counts[part]) for name, counts in models.items()}
    finding = "; ".join(f"{name}: {percent(models[name][part] / totals[name])} in {part}" for name, part in largest.items())
    headline(figure, finding)
    listed = "; ".join(
        f"{name}, {totals[name]:,}: " + ", ".join(f"{p} {n:,}" for p, n in counts.items()) for name, counts in models.items()
    )
    return alt(figure, f"Stacked bars of parameters by part. {finding}. {listed}.")


def plot_time_against_length(curves: Mapping[str, Mapping[int, float]], what: str = "one sequence") -> Figure:
    """Plot how long models take for a sequence against its length, both logarithmic.

    curves: name -> length in tokens -> seconds   what: was read in that time
    """
    figure, ax = subplots(figsize=(8, 4))
    ends, growth = [], []
    for i, (name, points) in enumerate(curves.items()):
        lengths, times = np.array(list(points)), 1000 * np.array(list(points.values()))
        ax.plot(lengths, times, "o-", color=f"C{i}", gid=name)
        ends.append((float(lengths[-1]), float(times[-1]), plain(name), f"C{i}"))
        growth.append((name, int(lengths[0]), int(lengths[-1]), times[-1] / times[0]))
    ax.set_xscale("log", base=2)
    lengths = sorted({length for points in curves.values() for length in points})
    ax.set_xticks(lengths, [f"{length:,}" for length in lengths])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    ax.yaxis.set_major_formatter(lambda mark, _: f"{mark:g}")
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("length, tokens (logarithmic)")
    ax.set_ylabel("milliseconds (logarithmic)")
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    longer = growth[0][2] / growth[0][1]
    finding = f"{longer:.0f} times the length takes " + ", ".join(f"{name} {factor:.0f} times as long" for name, _, _, factor in growth)
    headline(figure, finding)
    points = "; ".join(f"{name}: " + ", ".join(f"{n}: {1000 * t:.1f} ms" for n, t in c.items()) for name, c in curves.items())
    return alt(figure, f"Lines of the time for {what} against its length. {finding}. {points}.")


# --- what a real encoder does --------------------------------------------------------------------------------------------


def plot_layers(lines: Mapping[str, Sequence[float]], finding: str | None = None) -> Figure:
    """Plot cosines of pairs of vectors layer by layer, each pair named at the end of its line.

    lines: name -> float[L + 1], before the first block and after each; the first is what the headline speaks of
    """
    figure, ax = subplots(figsize=(8.4, 3.9))
    ends = []
    for i, (name, cosines) in enumerate(lines.items()):
        ax.plot(range(len(cosines)), cosines, "o-", color=f"C{i}", linewidth=2.6 if i == 0 else 1.8, gid=name)
        ends.append((float(len(cosines) - 1), float(cosines[-1]), plain(name), f"C{i}"))
    layers = len(next(iter(lines.values())))
    ax.set_xticks(range(layers), ["before"] + [str(layer) for layer in range(1, layers)])
    lowest = min(min(cosines) for cosines in lines.values())
    ax.set_ylim(min(0.0, lowest - 0.05), 1.05)
    ax.set_xlabel("after block")
    ax.set_ylabel("cosine of the two vectors")
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    name, cosines = next(iter(lines.items()))
    finding = finding or f"{name}: cosine {cosines[0]:.2f} before the first block, {min(cosines):.2f} after block {int(np.argmin(cosines))}"
    headline(figure, finding)
    listed = "; ".join(f"{name}: {', '.join(f'{c:.2f}' for c in cosines)}" for name, cosines in lines.items())
    return alt(figure, f"Lines of cosines by block. {finding}. From the embeddings to the last block, {listed}.")


def plot_heads(scores: Any, finding: str, label: str, chance: float | None = None, marked: tuple[int, int] | None = None) -> Figure:
    """Plot one number for each head of a model: a heatmap of layers by heads, the numbers in the cells.

    scores: float[L, H], shares   label: what they are   chance: what a head that knows nothing would reach, the middle of the colours
    marked: layer and head to draw a frame around, counted from 0
    """
    scores = np.asarray(scores, dtype=float)
    L, H = scores.shape
    figure, ax = subplots(figsize=(8.4, 1.7 + 0.4 * L))
    low, high = (0.0, 1.0) if chance is None else (max(0.0, 2 * chance - 1), 1.0)
    picture = _map(ax, scores, None, low, high)
    for (row, column), value in np.ndenumerate(scores):
        ax.text(
            column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=10, color=readable_on(picture.cmap(picture.norm(value)))
        )
    if marked is not None:
        ax.add_patch(Rectangle((marked[1] - 0.5, marked[0] - 0.5), 1, 1, fill=False, edgecolor=END, linewidth=3, gid="marked"))
    ax.set_xticks(range(H), [str(head + 1) for head in range(H)])
    ax.set_yticks(range(L), [f"block {layer + 1}" for layer in range(L)])
    ax.set_xlabel("head")
    bar = figure.colorbar(picture, ax=ax, label=label, pad=0.02)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    headline(figure, finding)
    rows = "; ".join(f"block {layer + 1}: {', '.join(f'{100 * value:.0f}' for value in row)}" for layer, row in enumerate(scores))
    return alt(figure, f"Heatmap of {label}, {L} blocks by {H} heads, in percent. {finding}. {rows}.")


# --- learning, and what weights do not prove -----------------------------------------------------------------------------


def plot_gradients(norms: Mapping[str, tuple[float, float]]) -> Figure:
    """Plot how long the gradient of each weight matrix is, by backpropagation and by finite differences.

    norms: name of the matrix -> (by backpropagation, by finite differences)
    """
    figure, ax = subplots(figsize=(8, 1.5 + 0.62 * len(norms)))
    highest = max(max(pair) for pair in norms.values()) or 1.0
    for y, (name, pair) in enumerate(norms.items()):
        for shift, value, colour, way in zip((-0.19, 0.19), pair, (START, END), ("backpropagation", "finite differences"), strict=True):
            ax.barh(y + shift, value, 0.36, color=colour, label=way if y == 0 else None, gid=f"{name} {way}")
            ax.text(value + 0.01 * highest, y + shift, f"{value:.6f}", va="center", fontsize=9.5, color=colour)
    ax.set_yticks(range(len(norms)), [plain(name) for name in norms])
    ax.set_ylim(len(norms) - 0.5, -0.5)
    ax.set_xlim(0, 1.22 * highest)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("length of the gradient")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    apart = max(abs(a - b) / max(abs(b), 1e-12) for a, b in norms.values())
    reached = sum(pair[0] > 0 for pair in norms.values())
    finding = f"The loss reaches {reached} of {len(norms)} matrices; two ways to measure it differ by {apart:.0e} of it at most"
    headline(figure, finding)
    listed = "; ".join(f"{name}: {a:.6f} and {b:.6f}" for name, (a, b) in norms.items())
    return alt(figure, f"Bars of gradient lengths, by backpropagation and by finite differences. {finding}. {listed}.")


def plot_two_rows(first: Any, second: Any, tokens: Sequence[str], names: tuple[str, str], finding: str) -> Figure:
    """Plot two ways to spread one token's attention over the same tokens: two rows of a map, one above the other.

    first, second: float[S]   tokens: str[S]   names: of the two
    """
    rows = np.stack([np.asarray(first, dtype=float), np.asarray(second, dtype=float)])
    figure, ax = subplots(figsize=(8.6, 3.1))
    picture = _map(ax, rows, None, 0.0, float(rows.max()))
    _label(ax, names, tokens, 9 if len(tokens) < 45 else 7.5)
    figure.colorbar(picture, ax=ax, label="share of attention", pad=0.015)
    ax.set_xlabel("key: who is looked at")
    headline(figure, finding)
    tops = "; ".join(
        f"{name}: " + ", ".join(f"{tokens[j]} {row[j]:.2f}" for j in np.argsort(-row)[:4]) for name, row in zip(names, rows, strict=True)
    )
    return alt(figure, f"Two rows of attention weights over {len(tokens)} tokens. {finding}. The largest of each, {tops}.")


# --- maps to explore -----------------------------------------------------------------------------------------------------


def _shades() -> list[str]:
    """The colour map of the figures in 32 steps, for the scripts."""
    colours = _colours()
    return [matplotlib.colors.to_hex(colours(i / 31)) for i in range(32)]


def explore_numbers(query: Any, key: Any, value: Any, words: Sequence[str], divisor: float) -> Highlight:
    """Attention of a few words with every number to change, worked out anew at each change. Needs scripts, no network.

    query, key: numbers[T, D]   value: numbers[T, D_v]   words: str[T]   divisor: of the scores, usually the root of D
    """
    tables = {"query": np.asarray(query), "key": np.asarray(key), "value": np.asarray(value)}
    if any(len(table) != len(words) or table.ndim != 2 for table in tables.values()) or tables["query"].shape != tables["key"].shape:
        raise ValueError(f"{len(words)} words need one row each, queries as wide as keys; got {[t.shape for t in tables.values()]}.")
    data = {"words": list(words), "divisor": divisor, "colours": _shades()} | {name: table.tolist() for name, table in tables.items()}
    text = f"Attention of {', '.join(words)}, with numbers to change. It needs a page that runs scripts."
    return explorable("numbers", data, "attention_numbers.js", text)


def explore_attention(weights: Any, tokens: Sequence[str], start: tuple[int, int, int] = (0, 0, 1)) -> Highlight:
    """All heads of a model on one sentence, to explore: choose block and head, click a token, see where it looks.

    Needs scripts, no network; works by keyboard as well.   weights: float[L, H, T, T]   tokens: str[T]
    start: block, head and token to begin with, counted from 0
    """
    weights = np.asarray(weights, dtype=float)
    L, H = weights.shape[:2] if weights.ndim == 4 else (0, 0)
    if weights.shape != (L, H, len(tokens), len(tokens)) or not len(tokens):
        raise ValueError(f"{len(tokens)} tokens need weights of shape [L, H, {len(tokens)}, {len(tokens)}]; got {weights.shape}.")
    steps = np.round(255 * weights.clip(0, 1)).astype(np.uint8)  # 256 shades are more than an eye tells apart
    data = {
        "tokens": list(tokens),
        "layers": L,
        "heads": H,
        "weights": base64.b64encode(steps.tobytes()).decode(),
        "start": list(start),
        "marks": [i for i, token in enumerate(tokens) if token in MARKS],
        "colours": _shades(),
    }
    text = f"{L * H} attention maps of “{' '.join(tokens)}” to explore. They need a page that runs scripts."
    return explorable("attention", data, "attention_map.js", text)
