"""Figures of recurrent networks: bags, cells, gradients, the LSTM, encoder and decoder."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from src.plots import (
    ANSWER,
    END,
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
    intervals,
    lines,
    percents,
    write,
)

INPUT, STATE = START, END  # what the colours mean in the drawings of this file
COLOURS = {"tanh RNN": "C1", "LSTM": "C0", "GRU": "C2"}


# --- order


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


# --- one cell, unrolled


def draw_unrolled(words: Sequence[str], inputs: Any, states: Any) -> Figure:
    """Draw one cell once per word, with the numbers that go in, along and out.

    `inputs` and `states` are float[T, D_in] and float[T, D], few numbers each.
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


# --- gradients


def plot_gradient_norms(norms: Mapping[str, Sequence[float]]) -> Figure:
    """Plot the gradient of the last state by each input against the steps between them.

    `norms`: layer -> float[distances], from distance 0 on. Before a comma the name is the cell's,
    which has one colour, pale where nothing follows.
    """
    figure, ax = subplots(figsize=(8.4, 3.9))
    colours = {
        name: COLOURS[cell] if start or len(norms) <= len(COLOURS) else tint(COLOURS[cell], 0.5)
        for name in norms
        for cell, start in [name.partition(",")[::2]]
        if cell in COLOURS
    }
    curves = {  # a float's least value: a gradient that is gone stays on the axis
        name: list(enumerate(np.maximum(values, 1e-45))) for name, values in norms.items()
    }
    label = "distance: steps between the input and the state that is asked about"
    lines(ax, curves, label, "norm of the gradient", colours, log="y")
    ax.locator_params(axis="x", integer=True)
    steps = max(map(len, norms.values())) - 1
    left = {name: float(values[-1] / values[0]) for name, values in norms.items()}
    most, least = max(left, key=left.get), min(left, key=left.get)
    finding = f"{steps} steps back the gradient is at most {left[most]:.2g} times that at 0"
    return finish(figure, f"{finding} ({most}), at least {left[least]:.2g} times ({least})")


def plot_scores(
    scores: Mapping[str, Sequence[float]], label: str, guess: float, guessing: str
) -> Figure:
    """Plot what models get right, a bar for the mean over seeds and a dot for each.

    Args:
        scores: name -> shares in [0, 1], one for each seed.
        label: of the axis: what was right, and of how many.
        guess, guessing: what the cheapest rival gets right, and its name.
    """
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    figure, ax = subplots(figsize=(8.4, 1.6 + 0.42 * len(scores)))
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
    write(ax, guess, -0.68, guessing, GREY, 9.5, shift=(5, 0), ha="left")
    ax.set(xlim=(0, 1.08), ylim=(len(scores) - 0.5, -0.95))
    best, worst = max(means.values()), min(means, key=means.get)
    ahead = ["; ".join(name for name, mean in means.items() if mean == best), _tenths(best)]
    finding = f"Most right: {', '.join(ahead)}. Least: {worst}, {_tenths(means[worst])}"
    return finish(figure, finding, f"{guessing}: {_tenths(guess)}")


def _tenths(share: float) -> str:
    return f"{100 * share:.1f} %"


# --- LSTM

LSTM_STAGES = (  # gates, arrows, signs, where its note is; what the title and the note say
    (
        [("forget", 1.5, ANSWER, "σ")],
        [((1.5, 1.79), (1.5, 3.36))],
        [(1.5, 3.6, "×")],
        (1.5, "the forget gate says how much of the memory stays", "how much stays"),
    ),
    (
        [("input", 3.4, "C3", "σ"), ("candidate", 4.9, "C5", "tanh")],
        [((3.4, 1.79), (4.72, 2.4)), ((4.9, 1.79), (4.9, 2.3)), ((4.9, 2.74), (4.9, 3.36))],
        [(4.9, 3.6, "+"), (4.9, 2.52, "×")],
        (4.9, "the input gate says how much of the candidate is added", "what is added"),
    ),
    (
        [("output", 7.0, "C4", "σ")],
        [((7.0, 1.79), (7.7, 2.35)), ((7.9, 3.6), (7.9, 3.17)), ((7.9, 2.8), (7.9, 2.72))],
        [(7.9, 2.5, "×")],
        (7.9, "the output gate says how much of the memory is shown", "how much is shown"),
    ),
)


def draw_lstm_cell(stage: int = 3) -> Figure:
    """Draw an LSTM cell in the first one, two or three of its stages: keep, add, show."""
    figure, ax = drawing((8.4, 3.6), (-1.2, 10.6), (0.1, 4.9))
    box(ax, 4.6, 2.3, 8.4, 4.0, edge="#5b6b7b", face="#f7f8fa", line=1.3)
    ends = [(-0.6, 3.6, "memory $c$", STATE), (-0.6, 0.6, "state $h$\nword $x$", INPUT)]
    ends += [(9.9, 3.6, "$c'$", STATE), (9.9, 2.5, "$h'$", INPUT)][: 1 + (stage == 3)]
    for x, y, text, colour in ends:
        side = "right" if x < 0 else "left"
        write(ax, x, y, text, colour, 11.5, bold=True, ha=side, parse_math=True)
    arrow(ax, (-0.5, 3.6), (9.8, 3.6), STATE, 2.6)
    arrow(ax, (-0.5, 0.6), (8.0, 0.6), INPUT, 1.6)
    if stage == 3:
        arrow(ax, (8.12, 2.5), (9.8, 2.5), INPUT, 1.6)
        box(ax, 7.9, 2.98, 0.6, 0.34, "tanh", face="white", size=9.5)
    for gates, arrows, signs, (at, _, note) in LSTM_STAGES[:stage]:
        write(ax, at, 4.57, note, GREY, 10)
        for name, x, colour, function in gates:
            box(ax, x, 1.46, 1.1, 0.62, function, colour, tint(colour, 0.35), size=11)
            write(ax, x + 0.08, 0.88, name, size=9.5, ha="left")
            arrow(ax, (x, 0.6), (x, 1.13), INPUT)
        for start, end in arrows:
            arrow(ax, start, end)
        ring = {"facecolor": "white", "edgecolor": INK, "linewidth": 1.2, "zorder": 3}
        for x, y, sign in signs:
            ax.add_patch(Circle((x, y), 0.22, **ring))
            write(ax, x, y, sign, size=12, zorder=4)
    does = [says for *_, (_, says, _) in LSTM_STAGES[:stage]]
    told = f"The memory c goes straight through the cell; {'; '.join(does)}"
    return finish(figure, f"Stage {stage}: {does[-1]}", f"{told}. All boxes read word and state")


# --- both directions


def plot_directions(
    first: Sequence[str], second: Sequence[str], differences: Mapping[str, Sequence[float]]
) -> Figure:
    """Plot how far the states of two sentences are apart at each place, for each direction.

    The sentences are of one length; `differences`: direction -> float[T], norm of the difference.
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


# --- encoder and decoder


def draw_encoder_decoder(date: str, iso: str, D: int) -> Figure:
    """Draw an encoder-decoder with its wires: characters in, one vector, characters out.

    `date` is read and `iso` written, shortened in the drawing; the vector has D numbers.
    """
    read = list(date) if len(date) <= 12 else [*date[:7], "…", *date[-4:]]
    wrote, R = [*iso[:5], "…"], len(read)
    figure, ax = drawing((8.6, 3.9), (-0.35, R + 10.7), (-1.4, 4.1))
    for x, character in enumerate(read):
        _cell(ax, x + 0.4, INPUT)
        write(ax, x + 0.4, -0.35, character, INPUT, 12, bold=True)
        arrow(ax, (x + 0.4, -0.05), (x + 0.4, 1.02))
        arrow(ax, (x + 0.74, 1.35), (x + (1.06 if x < R - 1 else 1.6), 1.35), INPUT)
    box(ax, R + 1.0, 1.35, 0.6, 1.7, edge=STATE, face=tint(STATE, 0.4), line=1.6)
    write(ax, R + 0.5, 2.3, f"one vector:\n{D} numbers", STATE, 10.5, bold=True, va="bottom")
    arrow(ax, (R + 1.32, 1.6), (R + 2.26, 1.6), STATE)
    wire = {"color": STATE, "linewidth": 1.6, "zorder": 0}
    ax.plot([R + 1.3, R + 2.43 + 1.5 * (len(wrote) - 1)], [0.65, 0.65], **wire)
    for t, pair in enumerate(zip(["", *wrote], wrote, strict=False)):
        _draw_step(ax, R + 2.6 + 1.5 * t, *pair, t == len(wrote) - 1)
    write(ax, 0.05, -1.15, "encoder: reads", INPUT, 10.5, bold=True, ha="left")
    says = "decoder: the likeliest character is read next"
    write(ax, R + 2.2, -1.15, says, ANSWER, 10.5, bold=True, ha="left")
    finding = f"Whatever “{date}” says must pass through {D} numbers"
    shows = f"An encoder reads the {len(date)} characters of “{date}”; its last state, {D} numbers,"
    shows += f" is the decoder's first state and an input of all its steps. It writes “{iso}”, each"
    return finish(figure, finding, f"{shows} character read back in")


def _draw_step(ax: Axes, x: float, read: str, character: str, last: bool) -> None:
    """A step of the decoder, which reads a character, "" at the start, and writes the next."""
    _cell(ax, x, ANSWER)
    arrow(ax, (x - 0.17, 0.65), (x - 0.17, 1.02), STATE)
    arrow(ax, (x, 1.68), (x, 2.12))
    box(ax, x, 2.35, 1.04, 0.44, "scores", GREY, "white", size=8)
    arrow(ax, (x, 2.6), (x, 3.0))
    write(ax, x, 3.3, character, ANSWER, 12, bold=True)
    write(ax, x + 0.17, -0.35, read or "start", MUTED, 12 if read else 8.5)
    arrow(ax, (x + 0.17, -0.05), (x + 0.17, 1.02), MUTED)
    if not last:
        arrow(ax, (x + 0.34, 1.35), (x + 1.14, 1.35), ANSWER)
        back = ([x + 0.25, x + 0.8, x + 0.8], [3.3, 3.3, -0.35])
        ax.plot(*back, color=MUTED, linewidth=1.1, linestyle=":", zorder=0)
        arrow(ax, (x + 0.8, -0.35), (x + 1.4, -0.35), MUTED)


def _cell(ax: Axes, x: float, colour: str) -> None:
    box(ax, x, 1.35, 0.64, 0.62, edge=colour, face=tint(colour, 0.18))


def plot_accuracy_by_length(
    curves: Mapping[str, Mapping[tuple[int, int], tuple[int, int]]],
) -> Figure:
    """Plot the share of dates that come out right, by the length of what is read.

    The curves are of `src.dates.exact_match_by_length`, each in the band of its 95 % interval.
    """
    bins = sorted({edges for curve in curves.values() for edges in curve})
    points, bands = {}, {}
    for name, curve in curves.items():
        order = sorted(curve)
        right, count = np.array([curve[edges] for edges in order], dtype=float).T
        places = [bins.index(edges) for edges in order]
        points[name] = np.column_stack([places, right / count])
        bands[name] = intervals(right, count) / 100
    figure, ax = subplots(figsize=(8.2, 4.0))
    label = "characters of the written date"
    percents(ax)
    ax.set_xticks(range(len(bins)), [f"{low} to {high - 1}" for low, high in bins])
    lines(ax, points, label, "exact match, 95 % interval", bands=bands, ylim=(0, 1.04), marker="o")
    ax.set_xlim(-0.2, len(bins) - 0.95)
    ends = {name: (percent(p[:, 1].min()), percent(p[:, 1].max())) for name, p in points.items()}
    said = [f"{name} {low.removesuffix(' %')} to {high}" for name, (low, high) in ends.items()]
    return finish(figure, f"Right, by length: {'; '.join(said)}")
