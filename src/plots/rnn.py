"""Figures of recurrent networks: bags, cells, gradients, gates, topics, encoder and decoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle

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
    plain,
    subplots,
    tell,
    tint,
)
from src.plots.primitives import (
    GREY,
    arrow,
    bars,
    box,
    boxes,
    drawing,
    heatmap,
    level,
    lines,
    percents,
    write,
)

INPUT, STATE = START, END  # what the colours mean in the drawings of this file
COLOURS = {"tanh RNN": "C1", "LSTM": "C0", "GRU": "C2"}


# --- order ----------------------------------------------------------------------------------------


def draw_bags(sentences: Sequence[Sequence[str]]) -> Figure:
    """Draw sentences word by word, and beside each its bag: words in order of the alphabet."""
    bags = [sorted(Counter(words).items()) for words in sentences]
    longest = max(sum(len(word) + 1.6 for word in words) for words in sentences)
    size = (8.6, 0.95 + 0.62 * len(sentences))
    figure, ax = drawing(size, (-0.5, 2 * longest + 8), (len(sentences) - 0.4, -0.75))
    told = []
    write(ax, 0, -0.68, "the sentence", INPUT, 10.5, bold=True, ha="left")
    write(ax, longest + 6, -0.68, "its bag of words", STATE, 10.5, bold=True, ha="left")
    for y, (words, bag) in enumerate(zip(sentences, bags, strict=True)):
        boxes(ax, 0, y, words, edge=INPUT)
        arrow(ax, (longest + 0.8, y), (longest + 4.6, y))
        counted = [word if count == 1 else f"{word} {count}" for word, count in bag]
        boxes(ax, longest + 6, y, counted, edge=STATE)
        told.append(f"“{' '.join(words)}” becomes {', '.join(counted)}")
    same = "one and the same bag" if all(bag == bags[0] for bag in bags) else "different bags"
    return finish(figure, f"{len(sentences)} sentences, {same}", "; ".join(told))


# --- one cell, unrolled ---------------------------------------------------------------------------


def draw_unrolled(words: Sequence[str], inputs: Any, states: Any) -> Figure:
    """Draw one cell once per word, with the numbers that go in, along and out.

    Args:
        words: str[T].
        inputs, states: float[T, D_in] and float[T, D], few numbers each, which are written out.
    """
    inputs, states = np.asarray(inputs, dtype=float), np.asarray(states, dtype=float)
    T, told = len(words), []
    figure, ax = drawing((8.6, 3.5), (-1.35, 2 * T - 0.4), (-0.25, 4.15))
    _numbers(ax, -0.72, 2.1, np.zeros(states.shape[1]), STATE)
    for t, word in enumerate(words):
        x = 2 * t + 0.55
        write(ax, x, 0.02, word, size=12, bold=True)
        _numbers(ax, x, 0.62, inputs[t], INPUT)
        box(ax, x, 2.1, 0.8, 0.8, "cell", "#5b6b7b", "#f4f6f8", size=11)
        arrow(ax, (x, 0.92), (x, 1.68))
        arrow(ax, (x - 1.6 if t else -0.22, 2.1), (x - 0.42, 2.1), STATE)
        arrow(ax, (x, 2.52), (x, 3.3))
        _numbers(ax, x, 3.6, states[t], STATE)
        told.append(f"{word} [{_vector(inputs[t])}] gives [{_vector(states[t])}]")
    for y, name, colour in ((3.6, "state", STATE), (0.62, "input", INPUT)):
        write(ax, -1.3, y, name, colour, 10.5, bold=True, ha="left")
    finding = f"One cell, used {T} times: each state is made of a word and of the state before it"
    begin = f"From left to right, the first state before them being all zeros: {'; '.join(told)}"
    return finish(figure, finding, begin)


def _numbers(ax: Axes, x: float, y: float, values: np.ndarray, colour: str) -> None:
    box(ax, x, y, 0.98, 0.54, _vector(values), colour, size=9.5)


def _vector(values: np.ndarray) -> str:
    return ", ".join(f"{value:.2f}".replace("-0.00", "0.00") for value in values)


# --- gradients ------------------------------------------------------------------------------------


def plot_gradient_norms(norms: Mapping[str, Sequence[float]]) -> Figure:
    """Plot the gradient of the last state by each input against the steps between them.

    Args:
        norms: layer -> float[distances], the norm at distance 0 first.
    """
    figure, ax = subplots(figsize=(8, 3.9))
    curves = {  # a float's least value: a gradient that is gone stays on the axis
        name: list(enumerate(np.maximum(values, 1e-45))) for name, values in norms.items()
    }
    label = "distance: steps between the input and the state that is asked about"
    lines(ax, curves, label, "norm of the gradient", COLOURS, log="y")
    ax.locator_params(axis="x", integer=True)
    steps = max(map(len, norms.values())) - 1
    left = {name: float(values[-1] / values[0]) for name, values in norms.items()}
    most, least = (f"{f(left, key=left.get)} ({f(left.values()):.2g})" for f in (max, min))
    finding = f"What is left of the gradient {steps} steps back: most with {most}, least with"
    return finish(figure, f"{finding} {least}")


def plot_clipping(
    norms: Mapping[str, Sequence[float]], losses: Mapping[str, Sequence[float]], limit: float
) -> Figure:
    """Plot two trainings, without and with clipping: length of the gradient and loss by step.

    Args:
        norms, losses: name -> float[steps], the same two names in both; the second was clipped.
        limit: where it was clipped.
    """
    without, clipped = norms
    figure, axes = subplots(1, 2, figsize=(8.6, 3.5))
    panels = {"length of the gradient": norms, "loss": losses}
    for ax, (label, series) in zip(axes, panels.items(), strict=True):
        for (name, values), colour in zip(series.items(), (STATE, INPUT), strict=True):
            ax.plot(values, color=colour, linewidth=1.3, label=plain(name))
        ax.set(xlabel="training, steps", ylabel=label, yscale="log")
        ax.set_ylim(None, 100 * max(*series[clipped], limit))  # what explodes leaves the picture
        ax.grid(axis="y")
    level(axes[0], limit, f"limit {limit:g}", below=True)
    axes[1].legend(loc="upper right", fontsize=9.5)
    broken = np.flatnonzero(~np.isfinite(losses[without]))
    last = f"ends at {losses[without][-1]:.2g}"
    if len(broken):
        last = f"is no number any more from step {broken[0]} on"
    finding = (
        f"Clipped at {limit:g}, the loss ends at {losses[clipped][-1]:.2g}; {without}, it {last}"
    )
    told = {
        name: f"longest gradient {max(values):.3g}, last loss {losses[name][-1]:.3g}"
        for name, values in norms.items()
    }
    shows = "Two charts against training steps, the length of the gradient and the loss"
    return finish(figure, finding, shows, listed(told))


# --- LSTM -----------------------------------------------------------------------------------------

GATES = {  # place, colour, function
    "forget": (1.5, ANSWER, "σ"),
    "input": (3.4, "C3", "σ"),
    "candidate": (4.9, "C5", "tanh"),
    "output": (7.0, "C4", "σ"),
}
LSTM_LINES = (
    (-0.6, 3.6, "memory $c$", STATE), (-0.6, 0.55, "state $h$\nword $x$", INPUT),
    (9.9, 3.6, "$c'$", STATE), (9.9, 2.5, "$h'$", INPUT),
)  # fmt: skip
LSTM_NOTES = (
    (1.5, 4.57, "how much stays"), (4.9, 4.57, "what is added"), (7.9, 4.57, "how much is shown"),
    (4.6, -0.5, "each box has weights of its own for the word and for the state"),
)  # fmt: skip
LSTM_ARROWS = (
    ((1.5, 1.79), (1.5, 3.36)), ((3.4, 1.79), (4.72, 2.4)), ((4.9, 1.79), (4.9, 2.3)),
    ((4.9, 2.74), (4.9, 3.36)), ((7.0, 1.79), (7.7, 2.35)), ((7.9, 3.6), (7.9, 3.17)),
    ((7.9, 2.8), (7.9, 2.72)),
)  # fmt: skip


def draw_lstm_cell() -> Figure:
    """Draw an LSTM cell: the line of the memory, what is multiplied and added, what is shown."""
    figure, ax = drawing((8.6, 4.1), (-1.2, 10.6), (-1.15, 4.9))
    box(ax, 4.6, 2.2, 8.4, 4.1, edge="#5b6b7b", face="#f7f8fa", line=1.3)
    arrow(ax, (-0.5, 3.6), (9.8, 3.6), STATE, 2.6)
    arrow(ax, (-0.5, 0.55), (8.0, 0.55), INPUT, 1.6)
    arrow(ax, (8.12, 2.5), (9.8, 2.5), INPUT, 1.6)
    for x, y, text, colour in LSTM_LINES:
        side = "right" if x < 0 else "left"
        write(ax, x, y, text, colour, 11.5, bold=True, ha=side, parse_math=True)
    for name, (x, colour, function) in GATES.items():
        box(ax, x, 1.46, 1.1, 0.62, function, colour, tint(colour, 0.35), size=11)
        write(ax, x + 0.08, 0.86, name, size=9.5, ha="left")
        arrow(ax, (x, 0.55), (x, 1.13), INPUT)
    for start, end in LSTM_ARROWS:
        arrow(ax, start, end)
    box(ax, 7.9, 2.98, 0.6, 0.34, "tanh", face="white", size=9.5)
    for x, y, sign in ((1.5, 3.6, "×"), (4.9, 3.6, "+"), (4.9, 2.52, "×"), (7.9, 2.5, "×")):
        ring = {"facecolor": "white", "edgecolor": INK, "linewidth": 1.2, "zorder": 3}
        ax.add_patch(Circle((x, y), 0.22, **ring))
        write(ax, x, y, sign, size=12, zorder=4)
    for x, y, note in LSTM_NOTES:
        write(ax, x, y, note, GREY, 9.5)
    finding = "The memory runs through an LSTM with one product and one sum on its way"
    memory = "The memory c goes straight through: first it is multiplied by the forget gate, then"
    memory += " the product of the input gate and the candidate is added"
    state = "The new state h is tanh of the new memory times the output gate. All four boxes read"
    return finish(figure, finding, memory, f"{state} the word x and the state h")


def plot_gates(gates: Mapping[str, Any], tokens: Sequence[str]) -> Figure:
    """Plot the gates of an LSTM as heatmaps: a column for each token, a row for each of 12 units.

    Args:
        gates: "input", "forget", "output" -> float[T, D], each between 0 (shut) and 1 (open).
        tokens: str[T].
    """
    names, T = ("input", "forget", "output"), len(tokens)
    tables = {name: np.asarray(gates[name], dtype=float)[:, :12].T for name in names}
    figure, axes = subplots(3, 1, figsize=(min(8.6, 2.2 + 0.62 * T), 5.85), sharex=True)
    for ax, (name, table) in zip(axes, tables.items(), strict=True):
        picture = heatmap(ax, table, columns=tokens, high=1)
        ax.tick_params(axis="x", labelbottom=ax is axes[-1])
        ax.set_ylabel(f"{name} gate\nunit")
        ax.set_yticks([0, len(table) - 1], ["1", str(len(table))])
    axes[-1].set_xlabel("token, read from left to right")
    figure.colorbar(picture, ax=axes, label="0 shut, 1 open", pad=0.02)
    means = {name: table.mean(axis=0) for name, table in tables.items()}
    name = max(means, key=lambda gate: float(np.ptp(means[gate])))
    most, least = (
        f"“{tokens[t]}” ({means[name][t]:.2f})"
        for t in (means[name].argmax(), means[name].argmin())
    )
    finding = f"The {name} gate opens widest at {most}, least at {least}"
    told = listed({gate: list(zip(tokens, mean, strict=True)) for gate, mean in means.items()})
    drawn = f"Heatmaps; mean over the {len(tables[name])} units drawn"
    return finish(figure, finding, f"{drawn}, {told}")


# --- both directions ------------------------------------------------------------------------------


def plot_directions(
    first: Sequence[str], second: Sequence[str], differences: Mapping[str, Sequence[float]]
) -> Figure:
    """Plot how far the states of two sentences are apart at each place, for each direction.

    Args:
        first, second: str[T], two sentences of one length.
        differences: direction -> float[T], norm of the difference of the states.
    """
    T, width = len(first), 0.8 / len(differences)
    figure, ax = subplots(figsize=(8.2, 3.7))
    pairs = list(zip(first, second, strict=True))
    labels = [plain(a) if a == b else f"{plain(a)} /\n{plain(b)}" for a, b in pairs]
    for i, (name, values) in enumerate(differences.items()):
        middles = np.arange(T) + (i - (len(differences) - 1) / 2) * width
        ax.bar(middles, values, width, label=plain(name), color=(INPUT, STATE)[i])
        tell(ax, f"Bars {name}", listed(list(zip(labels, values, strict=True))))
    ax.set_xticks(range(T), labels, parse_math=False)
    ax.set(xlabel="place in the sentence", ylabel="distance of the two states")
    ax.set_ylim(0, 1.3 * max(max(values) for values in differences.values()))
    ax.legend(loc="upper left", bbox_to_anchor=(0, 1.02))
    ax.grid(axis="y")
    changed = next(t for t, (a, b) in enumerate(pairs) if a != b)
    before = {name: max(values[:changed], default=0.0) for name, values in differences.items()}
    seeing = [name for name, difference in before.items() if difference > 1e-6]
    finding = "Both directions differ everywhere"
    if len(seeing) == 1:
        finding = f"Before “{first[changed]}” and “{second[changed]}” only reading {seeing[0]}"
        finding += " tells the sentences apart"
    return finish(figure, finding)


# --- padding and topics ---------------------------------------------------------------------------


def draw_padding(texts: Sequence[Sequence[str]]) -> Figure:
    """Draw a batch of texts as a rectangle: words, and the padding that fills the shorter rows."""
    T = max(map(len, texts))
    figure, ax = drawing((8.4, 1.0 + 0.42 * len(texts)), (-0.05, T), (len(texts), -0.05))
    for row, words in enumerate(texts):
        for t in range(T):
            look = {"edge": "white", "face": FAINT, "colour": MUTED, "size": 9.5}
            if t < len(words):
                look |= {"face": tint(INPUT, 0.22), "colour": INK}
            box(ax, t + 0.5, row + 0.5, 0.94, 0.84, [*words, *["pad"] * T][t], **look)
    empty = len(texts) * T - sum(map(len, texts))
    finding = f"{empty} of {len(texts) * T} places are padding: "
    finding += "there to be computed, never to count"
    rows = ", ".join(f"“{' '.join(words)}” and {T - len(words)} pad" for words in texts)
    return finish(figure, finding, f"A batch of {len(texts)} rows: {rows}")


def plot_topic_scores(scores: Mapping[str, Sequence[float]], texts: int, guess: float) -> Figure:
    """Plot the accuracy of classifiers, a bar for the mean over seeds and a dot for each.

    Args:
        scores: name -> accuracies in [0, 1], one for each seed.
        texts: how many they were measured on.
        guess: accuracy of always naming the commonest topic.
    """
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    figure, ax = subplots(figsize=(8.2, 1.6 + 0.5 * len(scores)))
    label = f"topics right, of {texts:,} introductions that no model saw in training"
    percents(ax, "x")
    told = [
        f"{_tenths(means[name])} (seeds: {', '.join(map(_tenths, values))})"
        for name, values in scores.items()
    ]
    bars(ax, means, "", tint(INPUT, 0.55), label, told=told)
    for y, (name, values) in enumerate(scores.items()):
        ax.plot(values, [y] * len(values), "o", color=INK, markersize=4)
        write(ax, max(values), y, _tenths(means[name]), size=10.5, shift=(6, 0), ha="left")
    ax.axvline(guess, color=MUTED, linestyle="--", linewidth=1.3)
    write(ax, guess, -0.62, "always the commonest topic", GREY, 9.5, shift=(5, 0), ha="left")
    ax.set(xlim=(0, 1), ylim=(len(scores) - 0.5, -0.85))
    best, worst = max(means, key=means.get), min(means, key=means.get)
    finding = f"{_tenths(means[best])} right for “{best}”, {_tenths(means[worst])} for “{worst}”"
    return finish(figure, finding, f"Always the commonest topic: {_tenths(guess)}")


def _tenths(share: float) -> str:
    return f"{100 * share:.1f} %"


def plot_confusion(counts: Any, topics: Sequence[str]) -> Figure:
    """Plot a confusion matrix: a row for each true topic, in percent of that row.

    Args:
        counts: int[topics, topics], a column for what it was taken for.
    """
    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, ax = subplots(figsize=(8.4, 5.6))
    ax.set(xlabel="taken for", ylabel="true topic")
    look = {"form": _whole, "high": 100, "unit": "% of the row", "size": 9.5}
    heatmap(ax, 100 * shares, topics, topics, **look)
    wrong = np.where(np.eye(len(topics), dtype=bool), 0, shares)
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    finding = f"{topics[i]} is taken for {topics[j]} most often:"
    finding += f" {percent(float(wrong[i, j]))} of {counts[i].sum()} texts"
    return finish(figure, finding)


def _whole(value: float) -> str:
    return f"{value:.0f}" if value >= 0.5 else ""


# --- encoder and decoder --------------------------------------------------------------------------


def draw_encoder_decoder(date: str, iso: str, D: int) -> Figure:
    """Draw an encoder-decoder at work: characters in, one vector between, characters out.

    Args:
        date, iso: what is read and what is written, shortened in the drawing.
        D: numbers of the vector.
    """
    read, wrote = list(date), list(iso)
    read = read if len(read) <= 14 else [*read[:8], "…", *read[-4:]]
    wrote = wrote if len(wrote) <= 8 else [*wrote[:6], "…"]
    R, start = len(read), len(read) + 3.0
    figure, ax = drawing((8.8, 3.1), (-0.3, R + len(wrote) + 3.9), (-0.75, 3.3))
    for x, character in enumerate(read):
        _cell(ax, x + 0.4, INPUT, character, read_at=0.1)
        arrow(ax, (x + 0.74, 1.35), (x + (1.06 if x < R - 1 else 1.73), 1.35), INPUT)
    box(ax, R + 1.5, 1.35, 0.6, 1.6, edge=STATE, face=tint(STATE, 0.4), line=1.6)
    name, note = f"one vector:\n{D} numbers", "in view at\nevery step"
    write(ax, R + 1.5, 2.45, name, STATE, 10.5, bold=True, va="bottom")
    write(ax, R + 1.5, 0.4, note, STATE, 8.5, va="top")
    for x, (character, fed) in enumerate(zip(wrote, ["start", *wrote], strict=False)):
        place = start + x + 0.3
        arrow(ax, (place - (0.66 if x else 1.15), 1.35), (place - 0.34, 1.35), ANSWER)
        _cell(ax, place, ANSWER, character, read_at=2.5)
        if character != "…":
            write(ax, place, 0.1, fed, MUTED, 11 if x else 8.5)
            arrow(ax, (place, 0.38), (place, 1.02), MUTED)
    write(ax, 0.1, -0.55, "encoder: reads", INPUT, 10.5, bold=True, ha="left")
    says = "decoder: writes, and reads what it wrote"
    write(ax, start, -0.55, says, ANSWER, 10.5, bold=True, ha="left")
    finding = f"Whatever “{date}” says must pass through {D} numbers"
    encoder = f"An encoder reads the {len(date)} characters of “{date}” one by one; its last"
    decoder = f"The decoder begins with a start mark and writes “{iso}”, reading each character it"
    shows = f"{encoder} state, {D} numbers, is all the decoder gets"
    return finish(figure, finding, shows, f"{decoder} wrote before it writes the next")


def _cell(ax: Axes, x: float, colour: str, character: str, read_at: float) -> None:
    """A cell and its character: below it, read by it, or above it, written by it."""
    box(ax, x, 1.35, 0.64, 0.62, edge=colour, face=tint(colour, 0.18))
    if character == "…":
        write(ax, x, read_at, character, size=12)
        return
    write(ax, x, read_at, character, colour, 12, bold=True)
    arrow(ax, (x, 0.42 if read_at < 1 else 1.68), (x, 1.02 if read_at < 1 else 2.2))


def plot_accuracy_by_length(
    curves: Mapping[str, Mapping[tuple[int, int], tuple[int, int]]],
) -> Figure:
    """Plot the share of dates that models get right, by the length of what they read.

    Args:
        curves: model -> {(low, high): (right, count)}, of `src.dates.exact_match_by_length`. The
            band around a curve is one standard error to either side.
    """
    bins = sorted({edges for curve in curves.values() for edges in curve})
    points, bands = {}, {}
    for name, curve in curves.items():
        order = sorted(curve)
        right, count = np.array([curve[edges] for edges in order], dtype=float).T
        share, places = right / count, [bins.index(edges) for edges in order]
        error = np.sqrt(share * (1 - share) / count)
        points[name], bands[name] = np.column_stack([places, share]), (share - error, share + error)
    figure, ax = subplots(figsize=(8.2, 4.0))
    label = "characters of the written date"
    percents(ax)
    ax.set_xticks(range(len(bins)), [f"{low} to {high - 1}" for low, high in bins])
    lines(ax, points, label, "exact match", bands=bands, ylim=(0, 1.04), marker="o")
    ax.set_xlim(-0.2, len(bins) - 0.95)
    ends = {name: (percent(p[0, 1]), percent(p[-1, 1])) for name, p in points.items()}
    low, *_, high = sorted(points, key=lambda name: points[name][-1, 1]) * 2
    finding = f"On the longest dates: {ends[low][1]} right ({low}), {ends[high][1]} ({high})"
    if len(points) == 1:
        finding = f"The {low} gets {ends[low][0]} of the shortest dates right,"
        finding += f" {ends[low][1]} of the longest"
    return finish(figure, finding)
