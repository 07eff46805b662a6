"""Figures of recurrent networks: bags, unrolled cells, vanishing gradients, gates, both directions, topics, encoder and decoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

from src.plots import (
    ANSWER,
    FAINT,
    INK,
    MUTED,
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

INPUT, STATE = "C0", "C1"  # what the colours mean in the drawings of this file
COLOURS = {"tanh RNN": "C1", "LSTM": "C0", "GRU": "C2"}


# --- order ---------------------------------------------------------------------------------------------------------------


def draw_bags(sentences: Sequence[Sequence[str]]) -> Figure:
    """Draw two or three sentences word by word, and beside each the bag it becomes: its words in alphabetical order, with counts."""
    bags = [sorted(Counter(words).items()) for words in sentences]
    figure, ax = subplots(figsize=(8.6, 0.95 + 0.62 * len(sentences)))
    longest = max(sum(len(word) + 1.6 for word in words) for words in sentences)
    ax.set_xlim(-0.5, 2 * longest + 8)
    ax.set_ylim(len(sentences) - 0.4, -0.75)
    clean_axes(ax)
    ax.text(0, -0.62, "the sentence", color=INPUT, fontsize=10.5, fontweight="bold")
    ax.text(longest + 6, -0.62, "its bag of words", color=STATE, fontsize=10.5, fontweight="bold")
    for y, (words, bag) in enumerate(zip(sentences, bags, strict=True)):
        _row_of_boxes(ax, 0, y, words, INPUT)
        ax.add_patch(arrow((longest + 0.8, y), (longest + 4.6, y)))
        _row_of_boxes(ax, longest + 6, y, [word if count == 1 else f"{word} {count}" for word, count in bag], STATE)
    same = all(bag == bags[0] for bag in bags)
    finding = f"{len(sentences)} sentences, {'one and the same bag' if same else 'different bags'}"
    headline(figure, finding)
    texts = "; ".join(
        f"“{' '.join(words)}” becomes {', '.join(word for word, _ in bag)}" for words, bag in zip(sentences, bags, strict=True)
    )
    return alt(figure, f"Sentences and what is left of them when the order is thrown away. {texts}. {finding}.")


def _row_of_boxes(ax: Axes, x: float, y: float, words: Sequence[str], colour: str) -> None:
    for word in words:
        ax.add_patch(Rectangle((x, y - 0.3), len(word) + 1.1, 0.6, facecolor=tint(colour, 0.2), edgecolor=colour, linewidth=0.9))
        ax.text(x + (len(word) + 1.1) / 2, y, plain(word), ha="center", va="center", fontsize=10, parse_math=False)
        x += len(word) + 1.6


# --- one cell, unrolled --------------------------------------------------------------------------------------------------


def draw_unrolled(words: Sequence[str], inputs: Any, states: Any) -> Figure:
    """Draw one cell once per word, with the numbers that go in, along and out.

    words: str[T]   inputs: float[T, D_in]   states: float[T, D], the state after each word; few numbers each, they are written out
    """
    inputs, states = np.asarray(inputs, dtype=float), np.asarray(states, dtype=float)
    T = len(words)
    figure, ax = subplots(figsize=(8.6, 3.5))
    ax.set_xlim(-1.35, 2 * T - 0.4)
    ax.set_ylim(-0.25, 4.15)
    clean_axes(ax)
    _numbers(ax, (-0.72, 2.1), np.zeros(states.shape[1]), STATE, "before")
    for t, word in enumerate(words):
        x = 2 * t + 0.55
        ax.text(x, 0.02, plain(word), ha="center", va="center", fontsize=12, fontweight="bold", parse_math=False)
        _numbers(ax, (x, 0.62), inputs[t], INPUT, f"input {t}")
        ax.add_patch(arrow((x, 0.92), (x, 1.68)))
        cell = Rectangle((x - 0.4, 1.7), 0.8, 0.8, facecolor="#f4f6f8", edgecolor="#5b6b7b", linewidth=1.3)
        cell.set_gid(f"cell {t}")
        ax.add_patch(cell)
        ax.text(x, 2.1, "cell", ha="center", va="center", fontsize=11)
        ax.add_patch(arrow((x - 1.27 if t else -0.28, 2.1), (x - 0.42, 2.1), STATE))
        ax.add_patch(arrow((x, 2.52), (x, 3.3)))
        _numbers(ax, (x, 3.6), states[t], STATE, f"state {t}")
        if t < T - 1:
            ax.plot([x + 0.4, x + 0.73], [2.1, 2.1], color=STATE, linewidth=1.2)
    ax.text(-1.3, 3.6, "state", color=STATE, fontsize=10.5, fontweight="bold", va="center")
    ax.text(-1.3, 0.62, "input", color=INPUT, fontsize=10.5, fontweight="bold", va="center")
    finding = f"One cell, used {T} times: each state is made of a word and of the state before it"
    headline(figure, finding)
    steps = "; ".join(f"{word} {_vector(x)} gives {_vector(h)}" for word, x, h in zip(words, inputs, states, strict=True))
    return alt(figure, f"The words “{' '.join(words)}” from left to right, under each its numbers, above it the state. {steps}. {finding}.")


def _numbers(ax: Axes, middle: tuple[float, float], values: np.ndarray, colour: str, gid: str) -> None:
    width, height = 0.98, 0.54
    box = Rectangle((middle[0] - width / 2, middle[1] - height / 2), width, height, facecolor=tint(colour, 0.18), edgecolor=colour)
    box.set_gid(gid)
    ax.add_patch(box)
    ax.text(*middle, _vector(values).strip("[]"), ha="center", va="center", fontsize=9.5)


def _vector(values: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:.2f}".replace("-0.00", "0.00") for value in values) + "]"


# --- gradients -----------------------------------------------------------------------------------------------------------


def plot_gradient_norms(norms: Mapping[str, Sequence[float]]) -> Figure:
    """Plot how large the gradient of the last state by each input is, against how many steps lie between them.

    norms: layer -> float[distances], the first for distance 0
    """
    figure, ax = subplots(figsize=(8, 3.9))
    ends, falls = [], {}
    for number, (name, values) in enumerate(norms.items()):
        drawn = np.maximum(values, 1e-45)  # a float's least: a gradient that is gone stays on the axis
        colour = COLOURS.get(name, f"C{number}")
        ax.plot(range(len(drawn)), drawn, color=colour, gid=name)
        ends.append((len(drawn) - 1, float(drawn[-1]), plain(name), colour))
        falls[name] = float(values[-1] / values[0])
    steps = max(end[0] for end in ends)
    ax.set_xlim(0, steps)
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(numticks=7))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("distance: steps between the input and the state that is asked about")
    ax.set_ylabel("norm of the gradient")
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    weakest, strongest = min(falls, key=falls.__getitem__), max(falls, key=falls.__getitem__)
    weak, strong = (f"{falls[name]:.0e}" if falls[name] < 1e-3 else f"{falls[name]:.2g}" for name in (weakest, strongest))
    finding = f"What is left of the gradient {steps} steps back: {strongest} {strong}, {weakest} {weak}"
    headline(figure, finding)
    values = "; ".join(f"{name}: {norm[0]:.2g} at distance 0, {norm[-1]:.2g} at distance {len(norm) - 1}" for name, norm in norms.items())
    return alt(figure, f"Lines of the gradient's norm against distance, on a logarithmic axis. {values}. {finding}.")


def plot_clipping(norms: Mapping[str, Sequence[float]], losses: Mapping[str, Sequence[float]], limit: float) -> Figure:
    """Plot two trainings, without and with clipping: the gradient's length before it is clipped, and the loss, at every step.

    norms, losses: name -> float[steps], the same names in both   limit: where the second was clipped
    """
    figure, axes = subplots(1, 2, figsize=(8.6, 3.5))
    for ax, series, label in ((axes[0], norms, "length of the gradient"), (axes[1], losses, "loss")):
        for number, (name, values) in enumerate(series.items()):
            ax.plot(values, color=(STATE, INPUT)[number], linewidth=1.3, label=plain(name), gid=f"{label} {name}")
        ax.set_xlabel("training, steps")
        ax.set_ylabel(label)
        ax.set_yscale("log")
        ax.grid(axis="y")
    axes[0].axhline(limit, color=MUTED, linestyle="--", linewidth=1.3)
    axes[0].annotate(f"limit {limit:g}", (0, limit), xytext=(2, 4), textcoords="offset points", fontsize=9.5, color="#555555")
    axes[1].legend(loc="upper right", fontsize=9.5)
    without, clipped = list(norms)
    for ax, series in zip(axes, (norms, losses), strict=True):
        ax.set_ylim(None, 100 * max(max(series[clipped]), limit))  # what explodes leaves the picture
    finding = f"Clipped at {limit:g}, the loss ends at {losses[clipped][-1]:.2g}"
    broken = np.flatnonzero(~np.isfinite(losses[without]))
    if len(broken):
        finding += f"; as it is, it is no number any more from step {broken[0]} on"
    else:
        finding += f", as it is at {losses[without][-1]:.2g}"
    headline(figure, finding)
    lines = "; ".join(f"{name}: longest gradient {max(norms[name]):.3g}, last loss {losses[name][-1]:.3g}" for name in norms)
    return alt(
        figure, f"Two charts against training steps, lengths of gradients and losses, each without and with clipping. {lines}. {finding}."
    )


# --- LSTM ----------------------------------------------------------------------------------------------------------------


def draw_lstm_cell() -> Figure:
    """Draw an LSTM cell: the line of the memory, what is multiplied into it and added to it, and what of it is shown."""
    figure, ax = subplots(figsize=(8.6, 4.1))
    ax.set_xlim(-1.2, 10.6)
    ax.set_ylim(-1.15, 4.9)
    clean_axes(ax)
    ax.add_patch(Rectangle((0.4, 0.15), 8.4, 4.1, facecolor="#f7f8fa", edgecolor="#5b6b7b", linewidth=1.3))
    ax.add_patch(arrow((-0.5, 3.6), (9.8, 3.6), STATE, 2.6))
    ax.text(-0.6, 3.6, "memory $c$", ha="right", va="center", color=STATE, fontsize=11, fontweight="bold")
    ax.text(9.9, 3.6, "$c'$", va="center", color=STATE, fontsize=13)
    ax.add_patch(arrow((-0.5, 0.55), (8.0, 0.55), INPUT, 1.6))
    ax.text(-0.6, 0.55, "state $h$\nword $x$", ha="right", va="center", color=INPUT, fontsize=11, fontweight="bold")
    boxes = {"forget": (1.5, ANSWER, "σ"), "input": (3.4, "C3", "σ"), "candidate": (4.9, "C5", "tanh"), "output": (7.0, "C4", "σ")}
    for name, (x, colour, function) in boxes.items():
        box = Rectangle((x - 0.55, 1.15), 1.1, 0.62, facecolor=tint(colour, 0.35), edgecolor=colour, linewidth=1.3)
        box.set_gid(name)
        ax.add_patch(box)
        ax.text(x, 1.46, function, ha="center", va="center", fontsize=11)
        ax.text(x + 0.08, 0.86, name, ha="left", va="center", fontsize=9.5, color=INK)
        ax.add_patch(arrow((x, 0.55), (x, 1.13), INPUT))
    ax.add_patch(arrow((1.5, 1.79), (1.5, 3.36)))
    ax.add_patch(arrow((3.4, 1.79), (4.72, 2.4)))
    ax.add_patch(arrow((4.9, 1.79), (4.9, 2.3)))
    ax.add_patch(arrow((4.9, 2.74), (4.9, 3.36)))
    ax.add_patch(arrow((7.0, 1.79), (7.7, 2.35)))
    ax.add_patch(arrow((7.9, 3.6), (7.9, 3.17)))
    ax.text(7.9, 2.98, "tanh", ha="center", va="center", fontsize=9.5, bbox={"facecolor": "white", "edgecolor": MUTED, "pad": 2})
    ax.add_patch(arrow((7.9, 2.8), (7.9, 2.72)))
    for x, y, sign in ((1.5, 3.6, "×"), (4.9, 3.6, "+"), (4.9, 2.52, "×"), (7.9, 2.5, "×")):
        ax.add_patch(Circle((x, y), 0.22, facecolor="white", edgecolor=INK, linewidth=1.2, zorder=3))
        ax.text(x, y, sign, ha="center", va="center", fontsize=12, zorder=4)
    ax.add_patch(arrow((8.12, 2.5), (9.8, 2.5), INPUT, 1.6))
    ax.text(9.9, 2.5, "$h'$", va="center", color=INPUT, fontsize=13)
    ax.text(1.5, 4.5, "how much stays", ha="center", fontsize=9.5, color="#555555")
    ax.text(4.9, 4.5, "what is added", ha="center", fontsize=9.5, color="#555555")
    ax.text(7.9, 4.5, "how much is shown", ha="center", fontsize=9.5, color="#555555")
    ax.text(4.6, -0.55, "each box has weights of its own for the word and for the state", ha="center", fontsize=10, color="#555555")
    finding = "The memory runs through an LSTM with one product and one sum on its way"
    headline(figure, finding)
    return alt(
        figure,
        "An LSTM cell. The memory c goes straight through: first it is multiplied by the forget gate, then the product of the input gate "
        "and the candidate is added. The new state h is tanh of the new memory times the output gate. All four boxes read the word x and "
        f"the state h. {finding}.",
    )


def plot_gates(
    gates: Mapping[str, Any], tokens: Sequence[str], names: Sequence[str] = ("input", "forget", "output"), units: int = 12
) -> Figure:
    """Plot gates as heatmaps, one above the other: a column for each token, a row for each of the first `units` numbers of the state.

    gates: name -> float[T, D], each between 0 (shut) and 1 (open), such as `layer.gates(inputs)["forget"][0]`
    """
    tables = {name: np.asarray(gates[name], dtype=float)[:, :units].T for name in names}  # [units, T] each
    T = len(tokens)
    if any(table.shape[1] != T for table in tables.values()):
        raise ValueError(f"{T} tokens need gates of {T} steps; got { ({name: table.shape[1] for name, table in tables.items()}) }.")
    figure, axes = subplots(len(names), 1, figsize=(min(8.6, 2.2 + 0.62 * T), 1.5 + 1.45 * len(names)), sharex=True, squeeze=False)
    for ax, (name, table) in zip(axes[:, 0], tables.items(), strict=True):
        picture = ax.imshow(table, aspect="auto", vmin=0, vmax=1)
        ax.set_ylabel(f"{name} gate\nunit")
        ax.set_yticks([0, len(table) - 1], ["1", str(len(table))])
        ax.tick_params(length=0)
        for spine in ax.spines.values():
            spine.set_visible(False)
    size = 10.5 if T <= 14 else 9
    axes[-1, 0].set_xticks(range(T), [plain(token) for token in tokens], rotation=60 if T > 8 else 0, ha="right" if T > 8 else "center",
                           rotation_mode="anchor" if T > 8 else None, fontsize=size, parse_math=False)  # fmt: skip
    axes[-1, 0].set_xlabel("token, read from left to right")
    figure.colorbar(picture, ax=axes[:, 0], label="0 shut, 1 open", pad=0.02)
    means = {name: table.mean(axis=0) for name, table in tables.items()}
    name = max(means, key=lambda gate: float(np.ptp(means[gate])))
    most, least = int(means[name].argmax()), int(means[name].argmin())
    widest, narrowest = (f"“{plain(tokens[t])}” ({means[name][t]:.2f})" for t in (most, least))
    finding = f"The {name} gate opens widest at {widest}, least at {narrowest}"
    headline(figure, finding)
    averages = "; ".join(
        f"{gate}: {', '.join(f'{token} {value:.2f}' for token, value in zip(tokens, mean, strict=True))}" for gate, mean in means.items()
    )
    return alt(figure, f"Heatmaps of the gates of an LSTM over the tokens of a sentence. {finding}. Mean over the units drawn, {averages}.")


# --- both directions -----------------------------------------------------------------------------------------------------


def plot_directions(first: Sequence[str], second: Sequence[str], differences: Mapping[str, Sequence[float]]) -> Figure:
    """Plot how far the states of two sentences are apart at each place, for each direction of reading.

    first, second: str[T], two sentences of one length   differences: direction -> float[T], norm of the difference of the states
    """
    T = len(first)
    figure, ax = subplots(figsize=(8.2, 3.7))
    width = 0.8 / len(differences)
    for number, (name, values) in enumerate(differences.items()):
        ax.bar(
            np.arange(T) + (number - (len(differences) - 1) / 2) * width,
            values,
            width,
            label=plain(name),
            color=(INPUT, STATE)[number],
            gid=name,
        )
    labels = [plain(a) if a == b else f"{plain(a)} /\n{plain(b)}" for a, b in zip(first, second, strict=True)]
    ax.set_xticks(range(T), labels, parse_math=False)
    ax.set_ylabel("distance of the two states")
    ax.set_xlabel("place in the sentence")
    ax.legend(loc="upper left", bbox_to_anchor=(0, 1.02))
    ax.set_ylim(0, 1.3 * max(max(values) for values in differences.values()))
    ax.grid(axis="y")
    changed = [t for t in range(T) if first[t] != second[t]]
    same_before = {name: max(values[: changed[0]], default=0.0) < 1e-6 for name, values in differences.items()}
    blind = [name for name, same in same_before.items() if same]
    seeing = [name for name, same in same_before.items() if not same]
    finding = "Both directions differ everywhere"
    if blind and seeing:
        finding = (
            f"Before “{plain(first[changed[0]])}” and “{plain(second[changed[0]])}” only reading {seeing[0]} tells the sentences apart"
        )
    headline(figure, finding)
    values = "; ".join(f"{name}: {', '.join(f'{value:.2f}' for value in row)}" for name, row in differences.items())
    return alt(
        figure, f"Bars for “{' '.join(first)}” and “{' '.join(second)}”: distance of their states at each place. {values}. {finding}."
    )


# --- padding and topics --------------------------------------------------------------------------------------------------


def draw_padding(texts: Sequence[Sequence[str]]) -> Figure:
    """Draw a batch of texts as a rectangle: words, and the padding that fills the shorter rows."""
    T = max(map(len, texts))
    figure, ax = subplots(figsize=(8.4, 1.0 + 0.42 * len(texts)))
    ax.set_xlim(-0.05, T)
    ax.set_ylim(len(texts), -0.05)
    clean_axes(ax)
    for row, words in enumerate(texts):
        for t in range(T):
            real = t < len(words)
            box = Rectangle((t + 0.03, row + 0.08), 0.94, 0.84, facecolor=tint(INPUT, 0.22) if real else FAINT, edgecolor="white")
            box.set_gid(f"{row} {t} {'word' if real else 'padding'}")
            ax.add_patch(box)
            ax.text(t + 0.5, row + 0.5, plain(words[t]) if real else "pad", ha="center", va="center", fontsize=9.5,
                    color=INK if real else MUTED, parse_math=False)  # fmt: skip
    empty = len(texts) * T - sum(map(len, texts))
    finding = f"{empty} of {len(texts) * T} places are padding: there to be computed, never to count"
    headline(figure, finding)
    rows = "; ".join(f"{len(words)} words and {T - len(words)} pads" for words in texts)
    return alt(figure, f"A batch as a grid of {len(texts)} rows and {T} columns. {rows}. {finding}.")


def plot_topic_scores(scores: Mapping[str, Sequence[float]], texts: int, guess: float) -> Figure:
    """Plot the accuracy of classifiers, a bar for the mean over seeds and a dot for each.

    scores: name -> accuracies in [0, 1], one for each seed   texts: how many they were measured on
    guess: accuracy of always naming the commonest topic
    """
    figure, ax = subplots(figsize=(8.2, 1.6 + 0.5 * len(scores)))
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    for y, (name, values) in enumerate(scores.items()):
        ax.barh(y, means[name], 0.62, color=tint(INPUT, 0.55), gid=name)
        ax.plot(values, [y] * len(values), "o", color=INK, markersize=4)
        ax.text(max(values) + 0.012, y, f"{100 * means[name]:.1f} %", va="center", fontsize=10.5)
    ax.axvline(guess, color=MUTED, linestyle="--", linewidth=1.3)
    ax.text(guess + 0.01, -0.62, "always the commonest topic", fontsize=9.5, color="#444444", va="center")
    ax.set_yticks(range(len(scores)), [plain(name) for name in scores])
    ax.set_ylim(len(scores) - 0.5, -0.85)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel(f"topics right, of {texts:,} introductions that no model saw in training")
    best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    seeds = max(map(len, scores.values()))
    finding = f"{100 * means[best]:.1f} % right for “{best}”, {100 * means[worst]:.1f} % for “{worst}”"
    headline(figure, finding)
    values = "; ".join(f"{name} {', '.join(f'{100 * value:.1f} %' for value in row)}" for name, row in scores.items())
    often = f"Always the commonest topic: {100 * guess:.1f} %"
    return alt(figure, f"Bars of accuracy, {seeds} seed{'s' if seeds > 1 else ''} each: {values}. {often}. {finding}.")


def plot_confusion(counts: Any, topics: Sequence[str]) -> Figure:
    """Plot a confusion matrix: a row for each true topic, a column for what it was taken for, in percent of the row.

    counts: int[topics, topics]
    """
    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, ax = subplots(figsize=(8.4, 5.6))
    picture = ax.imshow(100 * shares, aspect="auto", vmin=0, vmax=100)
    for i, j in np.ndindex(*counts.shape):
        if shares[i, j] >= 0.005:
            ax.text(j, i, f"{100 * shares[i, j]:.0f}", ha="center", va="center", fontsize=9.5,
                    color=readable_on(picture.cmap(picture.norm(100 * shares[i, j]))), gid=f"{i} {j}")  # fmt: skip
    ax.set_xticks(range(len(topics)), topics, rotation=40, ha="right", rotation_mode="anchor", fontsize=9.5)
    ax.set_yticks(range(len(topics)), topics, fontsize=9.5)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_ylabel("true topic")
    ax.set_xlabel("taken for")
    figure.colorbar(picture, ax=ax, label="% of the row", pad=0.02)
    wrong = np.where(np.eye(len(topics), dtype=bool), 0, shares)
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    finding = f"{topics[i]} is taken for {topics[j]} most often: {percent(float(wrong[i, j]))} of {counts[i].sum()} texts"
    headline(figure, finding)
    right = "; ".join(f"{topic} {percent(float(shares[k, k]))}" for k, topic in enumerate(topics))
    return alt(figure, f"Heatmap of true topics by predicted ones. Right: {right}. {finding}.")


# --- encoder and decoder -------------------------------------------------------------------------------------------------


def draw_encoder_decoder(written: str, iso: str, D: int) -> Figure:
    """Draw an encoder-decoder at work: characters in, one vector of D numbers between, characters out, each read back in."""
    read, wrote = list(written), list(iso)
    shown = wrote if len(wrote) <= 8 else [*wrote[:6], "…"]
    read = read if len(read) <= 14 else [*read[:8], "…", *read[-4:]]
    figure, ax = subplots(figsize=(8.8, 3.1))
    ax.set_xlim(-0.3, len(read) + len(shown) + 3.9)
    ax.set_ylim(-0.75, 3.3)
    clean_axes(ax)
    for x, character in enumerate(read):
        _letter(ax, x + 0.4, 0.1, character, INPUT)
        _cell(ax, x + 0.4, INPUT)
        ax.add_patch(arrow((x + 0.4, 0.42), (x + 0.4, 1.02)))
        ax.add_patch(arrow((x + 0.74, 1.35), (x + 1.06 if x < len(read) - 1 else x + 1.73, 1.35), INPUT))
    middle = len(read) + 1.5
    vector = Rectangle((middle - 0.3, 0.55), 0.6, 1.6, facecolor=tint(STATE, 0.4), edgecolor=STATE, linewidth=1.6)
    vector.set_gid("vector")
    ax.add_patch(vector)
    ax.text(middle, 2.45, f"one vector:\n{D} numbers", ha="center", va="bottom", fontsize=10.5, fontweight="bold", color=STATE)
    ax.text(middle, 0.4, "in view at\nevery step", ha="center", va="top", fontsize=8.5, color=STATE)
    start = len(read) + 3.0
    for x, character in enumerate(shown):
        place = start + x + 0.3
        fed = "start" if x == 0 else shown[x - 1]
        ax.add_patch(arrow((place - 1.15 if x == 0 else place - 0.66, 1.35), (place - 0.34, 1.35), ANSWER))
        _cell(ax, place, ANSWER)
        if character == "…":
            ax.text(place, 2.5, "…", ha="center", va="center", fontsize=12)
            continue
        ax.text(place, 0.1, fed, ha="center", va="center", fontsize=11 if x else 8.5, color=MUTED, parse_math=False)
        ax.add_patch(arrow((place, 0.38), (place, 1.02), MUTED))
        ax.add_patch(arrow((place, 1.68), (place, 2.2)))
        _letter(ax, place, 2.5, character, ANSWER)
    ax.text(0.1, -0.6, "encoder: reads", fontsize=10.5, fontweight="bold", color=INPUT)
    ax.text(start, -0.6, "decoder: writes, and reads what it wrote", fontsize=10.5, fontweight="bold", color=ANSWER)
    finding = f"Whatever “{plain(written)}” says must pass through {D} numbers"
    headline(figure, finding)
    return alt(
        figure,
        f"An encoder reads the {len(written)} characters of “{written}” one by one; its last state, {D} numbers, is all the decoder gets. "
        f"The decoder begins with a start mark and writes “{iso}”, reading each character it wrote before it writes the next. {finding}.",
    )


def _letter(ax: Axes, x: float, y: float, character: str, colour: str) -> None:
    ax.text(
        x,
        y,
        "␣" if character == " " else plain(character),
        ha="center",
        va="center",
        fontsize=12,
        color=colour,
        fontweight="bold",
        parse_math=False,
    )


def _cell(ax: Axes, x: float, colour: str) -> None:
    ax.add_patch(Rectangle((x - 0.32, 1.04), 0.64, 0.62, facecolor=tint(colour, 0.18), edgecolor=colour, linewidth=1.1))


def plot_accuracy_by_length(curves: Mapping[str, Mapping[tuple[int, int], tuple[int, int]]]) -> Figure:
    """Plot the share of dates that models get right, by the length of what they read; a bar says how sure the share is.

    curves: model -> {(low, high): (right, count)}, as `src.dates.exact_match_by_length` gives them
    """
    figure, ax = subplots(figsize=(8.2, 4.0))
    bins = sorted({edges for curve in curves.values() for edges in curve})
    places = {edges: i for i, edges in enumerate(bins)}
    ends, falls = [], {}
    for number, (name, curve) in enumerate(curves.items()):
        x = [places[edges] for edges in sorted(curve)]
        right, count = np.array([curve[edges] for edges in sorted(curve)], dtype=float).T
        share = right / count
        error = np.sqrt(np.maximum(share * (1 - share), 0) / count)  # standard error of a share
        ax.errorbar(x, share, yerr=error, color=f"C{number}", marker="o", markersize=4, capsize=2, elinewidth=1, gid=name)
        ends.append((x[-1], float(share[-1]), plain(name), f"C{number}"))
        falls[name] = (float(share[0]), float(share[-1]), float(right.sum() / count.sum()))
    ax.set_xticks(range(len(bins)), [f"{low} to {high - 1}" for low, high in bins])
    ax.set_xlabel("characters of the written date")
    ax.set_ylabel("exact match")
    ax.set_ylim(0, 1.04)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    if len(falls) == 1:
        ((name, (first, last, _)),) = falls.items()
        finding = f"The {name} gets {percent(first)} of the shortest dates right, {percent(last)} of the longest"
    else:
        low = min(falls, key=lambda name: falls[name][1])
        high = max(falls, key=lambda name: falls[name][1])
        finding = f"On the longest dates: {low} {percent(falls[low][1])} right, {high} {percent(falls[high][1])}"
    headline(figure, finding)
    values = []
    for name, curve in curves.items():
        shares = (
            f"{low} to {high - 1} characters {percent(right / count)} of {count}" for (low, high), (right, count) in sorted(curve.items())
        )
        values.append(f"{name}: {', '.join(shares)}")
    return alt(figure, f"Lines of exact match by length of the input. {'; '.join(values)}. {finding}.")
