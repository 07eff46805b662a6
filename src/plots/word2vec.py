"""Figures of word2vec: windows and pairs, the two networks, sampling, loss curves, maps of words by t-SNE, one of them to explore."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from src import runtime
from src.plots import ANSWER, FAINT, INK, MUTED, Figure, alt, arrow, clean_axes, headline, move_apart, percent, plain, subplots, tint
from src.plots.explore import explorable
from src.plots.qa import Highlight
from src.plots.training import loss_lines

_arrow = partial(arrow, width=1.1)
CENTRE, CONTEXT, NUMBER = "C0", "C1", ANSWER  # what the colours mean in every figure of this file; numbers are green
# fmt: off
NUMBER_WORDS = frozenset((
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty",
    "ninety", "hundred", "hundreds", "thousand", "thousands", "million", "millions", "billion", "billions", "trillion",
))
# fmt: on


# --- windows and pairs ---------------------------------------------------------------------------------------------------


def draw_windows(words: Sequence[str], window: int, centres: Sequence[int] | None = None) -> Figure:
    """Draw a window sliding over a sentence, a row for each place of it, with the training pairs each gives.

    words: str[T], 20 at most   window: places to either side   centres: the places to draw; None draws every one, 8 at most
    """
    T = len(words)
    centres = list(range(min(T, 8))) if centres is None else list(centres)
    if not 2 <= T <= 20 or window < 1 or not centres or not all(0 <= i < T for i in centres):
        raise ValueError(f"needs 2 to 20 words, a window of 1 or more, and centres among the words; got {T} words, {window}, {centres}.")
    widths = np.array([max(len(word), 2) + 1.6 for word in words])
    lefts = np.concatenate([[0.0], np.cumsum(widths)[:-1]])
    figure, ax = subplots(figsize=(8.6, 1.35 + 0.42 * len(centres)))
    ax.set_xlim(-0.5, widths.sum() + 13)
    ax.set_ylim(len(centres) - 0.4, -0.9)
    clean_axes(ax)
    per_letter = min(10.5, 72 * 8.3 / (widths.sum() + 13) * 1.5)
    total = 0
    for row, i in enumerate(centres):
        near = [j for j in range(max(i - window, 0), min(i + window + 1, T)) if j != i]
        total += len(near)
        for j, word in enumerate(words):
            role = "centre" if j == i else "context" if j in near else "outside"
            face = {"centre": CENTRE, "context": tint(CONTEXT, 0.28), "outside": "white"}[role]
            box = Rectangle((lefts[j], row - 0.36), widths[j] - 0.4, 0.72, facecolor=face, edgecolor=FAINT, linewidth=0.8)
            box.set_gid(f"row {row} place {j} {role}")
            ax.add_patch(box)
            ax.text(
                lefts[j] + widths[j] / 2 - 0.2,
                row,
                plain(word),
                ha="center",
                va="center",
                fontsize=per_letter,
                color="white" if j == i else MUTED if role == "outside" else INK,
                fontweight="bold" if j == i else "normal",
                parse_math=False,
            )
        ax.text(widths.sum() + 0.8, row, f"{len(near)} pairs", va="center", fontsize=10, color=INK)
    ax.text(0, -0.72, "centre: the question", color=CENTRE, fontsize=10, fontweight="bold", va="center")
    ax.text(0.32 * widths.sum(), -0.72, "context: its right answers", color=CONTEXT, fontsize=10, fontweight="bold", va="center")
    finding = f"A window of {window} to either side makes {total} training pairs in {len(centres)} steps"
    headline(figure, finding)
    first = centres[0]
    others = ", ".join(words[j] for j in range(max(first - window, 0), min(first + window + 1, T)) if j != first)
    return alt(
        figure,
        f"The sentence “{' '.join(words)}” once per row, the window one word further each time. {finding}. "
        f"In the first row the centre is “{words[first]}” and its context: {others}.",
    )


# --- the networks --------------------------------------------------------------------------------------------------------


def draw_network(V: int, D: int, word: str = "oxygen") -> Figure:
    """Draw word2vec as what it is: a one-hot row, a matrix, D numbers, a second matrix, V scores; with all shapes."""
    figure, ax = subplots(figsize=(8.6, 3.5))
    ax.set_xlim(-0.5, 10)
    ax.set_ylim(0, 4.1)
    clean_axes(ax)
    columns = (("one-hot", 0.35, 12, CENTRE), ("hidden", 4.25, 5, "C4"), ("scores", 8.35, 12, CONTEXT))
    for name, x, cells, colour in columns:
        height = 0.22
        bottom = 2.05 - cells * height / 2
        for i in range(cells):
            on = name != "one-hot" or i == 7
            share = {"one-hot": 0.9, "hidden": (0.5, 0.15, 0.8, 0.3, 0.65)[i % 5], "scores": 0.1 + 0.55 * ((5 * i + 3) % 12 / 11) ** 3}[
                name
            ]
            ax.add_patch(
                Rectangle(
                    (x, bottom + i * height), 0.36, height, facecolor=tint(colour, share) if on else "white", edgecolor=MUTED, linewidth=0.7
                )
            )
    for x, title, shape, colour in (
        (0.53, f"“{plain(word)}”, one-hot", f"{V:,} numbers", CENTRE),
        (4.43, "its vector", f"{D} numbers", "#9a6400"),
        (8.53, "scores, then softmax", f"{V:,} numbers", CONTEXT),
    ):
        ax.text(x, 3.72, title, ha="center", fontsize=10.5, fontweight="bold", color=colour, parse_math=False)
        ax.text(x, 0.3, shape, ha="center", fontsize=10.5, color=INK)
    for x, name, shape, note in (
        (1.35, "embeddings", f"{V:,} × {D}", "this layer we keep"),
        (5.2, "output", f"{D} × {V:,}", "this one we put aside"),
    ):
        ax.add_patch(Rectangle((x + 0.35, 1.35), 1.9, 1.4, facecolor="#f4f6f8", edgecolor="#5b6b7b", linewidth=1.2))
        ax.text(x + 1.3, 2.42, name, ha="center", va="center", fontsize=11.5, fontweight="bold")
        ax.text(x + 1.3, 2.05, shape, ha="center", va="center", fontsize=11)
        ax.text(x + 1.3, 1.66, note, ha="center", va="center", fontsize=9, color="#555555")
        for start, end in ((x - 0.45, x + 0.32), (x + 2.28, x + 2.83)):
            ax.add_patch(_arrow((start, 2.05), (end, 2.05)))
    finding = f"Two matrices and nothing between them: {2 * V * D:,} numbers to learn"
    headline(figure, finding)
    return alt(
        figure,
        f"A network of two layers. A one-hot row of {V:,} numbers picks one row of the embeddings, {V:,} by {D}; these {D} numbers times "
        f"the output matrix, {D} by {V:,}, give {V:,} scores, and softmax makes probabilities of them. {finding}.",
    )


def draw_architectures(words: Sequence[str] = ("a", "bright", "star", "emits", "light")) -> Figure:
    """Draw CBOW beside skip-gram on the same window: five words, the middle one the centre."""
    if len(words) != 5:
        raise ValueError(f"needs a window of five words, the middle one the centre; got {len(words)}.")
    figure, axes = subplots(1, 2, figsize=(8.6, 4.1))
    around = [word for place, word in enumerate(words) if place != 2]
    heights = (3.4, 2.6, 1.4, 0.6)
    for ax, title, asks in (
        (axes[0], "CBOW", "the neighbours ask for the centre"),
        (axes[1], "skip-gram", "the centre asks for its neighbours"),
    ):
        cbow = title == "CBOW"
        ax.set_xlim(-0.15, 6.3)
        ax.set_ylim(-0.1, 4.7)
        clean_axes(ax)
        ax.text(0, 4.5, title, fontsize=13, fontweight="bold", va="center")
        ax.text(0, 4.1, asks, fontsize=10.5, color="#555555", va="center")
        many, one = (0.1, 4.5) if cbow else (4.5, 0.1)
        for y, word in zip(heights, around, strict=True):
            _word_box(ax, (many, y), word, CONTEXT, f"{title} {'in' if cbow else 'out'} {word}")
        _word_box(ax, (one, 2.0), words[2], CENTRE, f"{title} {'out' if cbow else 'in'} {words[2]}")
        ax.add_patch(Rectangle((2.72, 1.35), 0.42, 1.3, facecolor=tint("C4", 0.45), edgecolor=MUTED, linewidth=0.8))
        ax.text(2.93, 1.1, "mean of\n4 vectors" if cbow else "1 vector", ha="center", va="top", fontsize=9.5)
        for y in heights:
            ax.add_patch(_arrow((1.55, y), (2.66, 2.0 + (y - 2.0) * 0.3)) if cbow else _arrow((3.2, 2.0 + (y - 2.0) * 0.3), (4.44, y)))
        ax.add_patch(_arrow((3.2, 2.0), (4.44, 2.0)) if cbow else _arrow((1.55, 2.0), (2.66, 2.0)))
        ax.text(0.8, 0.05, "embeddings", ha="center", fontsize=9.5, color=MUTED)
        ax.text(5.2, 0.05, "output, softmax", ha="center", fontsize=9.5, color=MUTED)
    finding = "One window, two questions: CBOW makes one example of it, skip-gram four"
    headline(figure, finding)
    return alt(
        figure,
        f"Two small networks on the window “{' '.join(words)}”. CBOW: the vectors of {', '.join(around)} are averaged, and the mean "
        f"predicts {words[2]}. Skip-gram: the vector of {words[2]} predicts each of {', '.join(around)}. {finding}.",
    )


def _word_box(ax: Axes, corner: tuple[float, float], word: str, colour: str, name: str) -> None:
    box = Rectangle((corner[0], corner[1] - 0.25), 1.4, 0.5, facecolor=tint(colour, 0.28), edgecolor=colour, linewidth=1.1)
    box.set_gid(name)
    ax.add_patch(box)
    ax.text(corner[0] + 0.7, corner[1], plain(word), ha="center", va="center", fontsize=10.5, parse_math=False)


# --- losses --------------------------------------------------------------------------------------------------------------


def plot_losses(
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    start: tuple[float, str],
    floor: tuple[float, str] | None = None,
    against: str = "step",
) -> Figure:
    """Plot the loss of runs from their first step, with the value it must start at, and the lowest it can reach where that is known.

    runs: name -> history, dicts with loss and step or seconds   against: "step", "seconds" or "epoch", the key of the x axis
    start, floor: a loss and how to name it, as (3.4, "ln 30")
    """
    units = {"step": "training, steps", "seconds": "training, seconds", "epoch": "training, passes over the text"}
    series = {
        name: np.array(
            [(entry[against], entry["loss"]) for entry in history if None not in (entry.get(against), entry.get("loss"))], dtype=float
        ).reshape(-1, 2)
        for name, history in runs.items()
    }
    series = {name: points for name, points in series.items() if len(points)}
    if not series or against not in units:
        raise ValueError(f"needs a run with a loss in its history, drawn against one of {', '.join(units)}; got {list(runs)}, {against!r}.")
    figure, ax = loss_lines(series, [start] if floor is None else [start, floor])
    ax.set_xlim(0, 1.02 * max(float(points[-1, 0]) for points in series.values()))
    ax.set_xlabel(units[against])
    ax.set_ylabel("loss per pair")
    first = max(float(points[0, 1]) for points in series.values())
    best = min(float(points[-1, 1]) for points in series.values())
    finding = f"The loss starts at {first:.2f}, as {start[1]} says, and {'falls to' if best < first else 'ends at'} {best:.2f}"
    if not math.isclose(first, start[0], rel_tol=0.05):
        finding = f"The loss goes from {first:.2f} to {best:.2f}; untrained it would be {start[0]:.2f}"
    headline(figure, finding)
    lines = "; ".join(f"{name}: from {points[0, 1]:.2f} to {points[-1, 1]:.2f}" for name, points in series.items())
    below = f" The lowest it could reach: {floor[0]:.2f}, {floor[1]}." if floor else ""
    return alt(figure, f"Lines of loss per pair against {units[against]}. {lines}. The dashed start: {start[0]:.2f}, {start[1]}.{below}")


# --- sampling ------------------------------------------------------------------------------------------------------------


def draw_negative_sampling(centre: str, context: str, negatives: Sequence[str], scores: Sequence[float], V: int) -> Figure:
    """Draw what one pair trains: the chance it gives the true neighbour and each drawn word, and where training pushes it.

    scores: float[1 + K], dot product with the centre's vector, of the context first and then of the negatives   V: words in all
    """
    words, K = [context, *negatives], len(negatives)
    chances = 1 / (1 + np.exp(-np.asarray(scores, dtype=float)))
    if chances.shape != (1 + K,) or K < 1:
        raise ValueError(f"needs one score for the context and one for each of the negatives; got {len(scores)} for {1 + K} words.")
    figure, ax = subplots(figsize=(8, 1.7 + 0.4 * K))
    for y, chance in enumerate(chances):
        colour, target = (ANSWER, 1.0) if y == 0 else (CONTEXT, 0.0)
        ax.barh(y, chance, 0.55, color=tint(colour, 0.6), edgecolor=colour, gid=f"chance {y}")
        if abs(target - chance) > 0.06:
            ax.add_patch(_arrow((chance, y), (chance + 0.8 * (target - chance), y), colour))
        ax.text(1.03, y, f"{chance:.2f}, should be {target:.0f}", va="center", fontsize=10, color=INK)
    ax.set_yticks(range(1 + K), [f"{plain(context)} (stood there)", *(f"{plain(word)} (drawn)" for word in negatives)])
    ax.set_ylim(K + 0.6, -0.6)
    ax.set_xlim(0, 1.38)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_xlabel(f"chance the model gives that the word stands near “{plain(centre)}”", parse_math=False)
    finding = f"One pair asks {1 + K} yes-no questions and moves {1 + K} output rows of {V:,}"
    headline(figure, finding)
    values = "; ".join(f"{word} {chance:.2f}" for word, chance in zip(words, chances, strict=True))
    return alt(
        figure,
        f"Bars of the chance to stand near “{centre}”: {values}. The first, “{context}”, is pushed up to 1, "
        f"the others, drawn at random, down to 0. {finding}.",
    )


def plot_keep_probability(
    words: Sequence[str], counts: Sequence[int], keep: Sequence[float], threshold: float, labels: Sequence[str]
) -> Figure:
    """Plot how likely each word is to stay in the text against how frequent it is.

    words, counts, keep: str[V], int[V], float[V] of the whole vocabulary, by falling count   labels: the words to name
    """
    shares = np.asarray(counts, dtype=float) / np.sum(counts)
    keep = np.asarray(keep, dtype=float)
    figure, ax = subplots(figsize=(8, 3.7))
    ax.plot(100 * shares, 100 * keep, color=MUTED, linewidth=1.2, zorder=1)
    ax.plot(100 * shares, 100 * keep, "o", color=CENTRE, markersize=3, alpha=0.5, markeredgewidth=0)
    ax.axvline(100 * threshold, color=MUTED, linestyle="--", linewidth=1.2, zorder=0)
    ax.annotate(
        f"threshold, {100 * threshold:g} %",
        (100 * threshold, 4),
        xytext=(-5, 0),
        textcoords="offset points",
        ha="right",
        color="#555555",
        fontsize=10,
    )
    for label in labels:
        place = list(words).index(label)
        x, y = 100 * shares[place], 100 * keep[place]
        ax.plot(x, y, "o", color=CONTEXT, markersize=6)
        ax.annotate(plain(label), (x, y), xytext=(5, 5), textcoords="offset points", fontsize=10.5, fontweight="bold", parse_math=False)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(0, 112)
    ax.set_xlabel("share of the text, % (each step ten times more frequent)")
    ax.set_ylabel("stays in the text, %")
    ax.grid(axis="y")
    left = float((shares * keep).sum())
    finding = f"“{words[0]}” stays {_one_in(keep[0])}; in all, {100 * left:.0f} % of the text is left"
    headline(figure, finding)
    named = "; ".join(f"{label} {100 * keep[list(words).index(label)]:.0f} %" for label in labels)
    return alt(
        figure,
        f"How likely a word is to stay, falling with its share of the text, on a logarithmic axis. {finding}. "
        f"Words rarer than {100 * threshold:g} % all stay. {named}.",
    )


def _one_in(share: float) -> str:
    return f"one time in {1 / share:.0f}" if share <= 0.4 else f"{100 * share:.0f} times in 100"


# --- comparisons ---------------------------------------------------------------------------------------------------------


def plot_comparison(table: Mapping[str, Mapping[str, float]], best: Mapping[str, str] | None = None) -> Figure:
    """Plot a few ways of doing one thing side by side, a small chart for each measure.

    table: measure -> {way -> value}, the same ways in each, nan where a way has no value
    best: measure -> "most" (if not given) or "least", which end is the good one; it is written beside the measure
    """
    ways = list(dict.fromkeys(way for values in table.values() for way in values))
    if not table or any(set(values) != set(ways) for values in table.values()):
        raise ValueError(
            f"every measure needs a value for the same ways; got { ({measure: list(values) for measure, values in table.items()}) }."
        )
    best = {measure: (best or {}).get(measure, "most") for measure in table}
    figure, axes = subplots(1, len(table), figsize=(8.6, 1.35 + 0.42 * len(ways)), sharey=True, squeeze=False)
    winners = {}
    for ax, (measure, values) in zip(axes[0], table.items(), strict=True):
        numbers = np.array([values[way] for way in ways], dtype=float)
        winner = int(np.nanargmax(numbers) if best[measure] == "most" else np.nanargmin(numbers))
        winners[measure] = ways[winner]
        highest = max(float(np.nanmax(numbers)), 1e-9)
        for y, number in enumerate(numbers):
            if not math.isnan(number):
                ax.barh(y, number, 0.6, color=CENTRE if y == winner else tint(CENTRE, 0.4), gid=f"{measure} {ways[y]}")
            shown = "none" if math.isnan(number) else _short_number(number)
            ax.text(max(0.0 if math.isnan(number) else number, 0.0) + 0.03 * highest, y, shown, va="center", fontsize=10)
        ax.set_xlim(min(0.0, float(np.nanmin(numbers))), 1.45 * highest)
        ax.set_xticks([])
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.set_title(f"{plain(measure)}\n", fontsize=10, parse_math=False)
        ax.annotate(
            f"{best[measure]} is best",
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, 4),
            textcoords="offset points",
            fontsize=9,
            color="#555555",
        )
    axes[0, 0].set_yticks(range(len(ways)), [plain(way) for way in ways])
    axes[0, 0].invert_yaxis()
    wins = {way: [measure for measure in table if winners[measure] == way] for way in dict.fromkeys(winners.values())}
    finding = "; ".join(f"{way} is ahead in {' and '.join(measures)}" for way, measures in wins.items())
    headline(figure, finding)
    values = ". ".join(
        f"{measure}: " + ", ".join(f"{way} {'none' if math.isnan(value) else _short_number(value)}" for way, value in values.items())
        for measure, values in table.items()
    )
    return alt(figure, f"Bars for {', '.join(ways)}. {values}. {finding}.")


def _short_number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 2 else f"{value:.3f}"


def plot_agreement(counts: Sequence[int], shared: Sequence[float], n: int, names: tuple[str, str]) -> Figure:
    """Plot how many of the n nearest words two sets of vectors share, against how often the word stood in the smaller text.

    counts: int[W], of each word asked   shared: float[W], words that both sets have among their n nearest   names: of the two sets
    """
    counts, shared = np.asarray(counts, dtype=float), np.asarray(shared, dtype=float)
    order = np.argsort(-counts, kind="stable")
    groups = [group for group in np.array_split(order, min(8, len(order))) if len(group)]
    middles = [float(np.exp(np.log(counts[group]).mean())) for group in groups]
    means = [float(shared[group].mean()) for group in groups]
    figure, ax = subplots(figsize=(8, 3.6))
    ax.plot(middles, means, "o-", color=CENTRE, markersize=7)
    for x, y in zip(middles, means, strict=True):
        ax.annotate(f"{y:.1f}", (x, y), xytext=(0, 8), textcoords="offset points", ha="center", fontsize=10)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(0, max(1.25 * max(means), 0.5))
    ax.set_xlabel("times the word stands in our text (logarithmic)")
    ax.set_ylabel(f"shared of the {n} nearest")
    ax.grid(axis="y")
    both = f"{names[0]} and {names[1]} share {means[0]:.1f}"
    finding = f"Of the {n} nearest words {both} for our most frequent words, {means[-1]:.1f} for the rarest of these"
    headline(figure, finding)
    points = "; ".join(f"about {x:,.0f} times: {y:.1f}" for x, y in zip(middles, means, strict=True))
    return alt(
        figure, f"A line of shared neighbours against frequency, each point the mean of {len(groups[0])} words. {points}. {finding}."
    )


# --- maps of words -------------------------------------------------------------------------------------------------------


def is_number(word: str) -> bool:
    """Whether a word begins with a digit ("8", "1945", "1990s", "19th") or is a number word ("seven", "million")."""
    return word in NUMBER_WORDS or word[:1].isdigit()


def tsne(vectors: np.ndarray, perplexity: float = 30, seed: int | None = None) -> np.ndarray:
    """Places on a plane for word vectors, float[N, 2], such that near neighbours stay near: t-SNE, scikit-learn's.

    vectors: float[N, D]; each is first scaled to length one and, by PCA, to 50 numbers
    perplexity: about how many neighbours of each point count
    seed: None starts from the two main directions of PCA, the same each time; a number from random places
    The places are kept in the course's cache, so that the same call comes back at once.
    Source: van der Maaten and Hinton 2008, "Visualizing data using t-SNE".
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    key = hashlib.sha256(vectors.tobytes() + repr((vectors.shape, perplexity, seed)).encode()).hexdigest()[:16]
    file = runtime.cache() / "tsne" / f"{key}.npy"
    if file.is_file():
        return np.load(file)
    from sklearn.decomposition import PCA  # with t-SNE a second to import, and needed here only
    from sklearn.manifold import TSNE

    points = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    if min(vectors.shape) > 50:
        points = PCA(50, random_state=0).fit_transform(points)
    start = {"init": "pca" if seed is None else "random", "random_state": seed or 0}
    places = TSNE(perplexity=perplexity, angle=0.7, **start).fit_transform(points)  # angle 0.5: half as long again, no better
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        with partial.open("wb") as out:
            np.save(out, places)
        partial.replace(file)  # at once: nobody ever reads half a file
    return places


def plot_word_map(
    words: Sequence[str], places: np.ndarray, labels: int | Sequence[str] = 45, around: str | None = None, nearest: int = 40
) -> Figure:
    """Plot a map of words, numbers in green, with labels that do not cover each other.

    words: str[N], most frequent first   places: float[N, 2], of `tsne`
    labels: the words to name, or how many, which are then spread over the map
    around: a word to look at closely; the map is then cut to its `nearest` nearest words, all of them named
    """
    words, places = list(words), np.asarray(places, dtype=float)
    if places.shape != (len(words), 2):
        raise ValueError(f"{len(words)} words need places of shape ({len(words)}, 2); got {places.shape}.")
    shown = np.arange(len(words))
    if around is not None:
        distance = np.linalg.norm(places - places[words.index(around)], axis=1)
        shown = np.sort(distance.argsort(kind="stable")[: nearest + 1])
    numbers = np.array([is_number(word) for word in words])
    named = (
        shown
        if around is not None
        else _spread(places, numbers, labels)
        if isinstance(labels, int)
        else [words.index(word) for word in labels]
    )
    figure, ax = subplots(figsize=(8.4, 6.1 if around is None else 4.5))
    FigureCanvasAgg(figure)  # adjust_text measures the labels as they will be drawn
    for group, colour, size in ((~numbers, tint(CENTRE, 0.45), 7), (numbers, NUMBER, 16)):
        chosen = shown[group[shown]]
        name, area = "numbers" if group is numbers else "words", size if around is None else 26
        ax.scatter(*places[chosen].T, s=area, color=colour, linewidth=0, snap=around is None, gid=name)  # snapped: small to store
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("t-SNE, first direction (no unit)")
    ax.set_ylabel("second direction (no unit)")
    texts = [
        ax.text(
            *places[i],
            plain(words[i]),
            fontsize=9 if around is None else 10,
            color="#006b4e" if numbers[i] else INK,
            fontweight="bold" if numbers[i] or words[i] == around else "normal",
            parse_math=False,
        )
        for i in named
    ]
    move_apart(figure, ax, texts, places[shown] if around is not None else np.empty((0, 2)))
    if around is None:
        finding = _numbers_finding(words, places, numbers)
        what = f"A map of {len(words):,} words, {numbers.sum()} of them numbers, in green."
    else:
        own = int(numbers[shown].sum())
        finding = f"Around “{around}”: {', '.join(words[i] for i in distance.argsort(kind='stable')[1:6])}"
        what = f"The part of the map around “{around}”, {len(shown)} words, {own} of them numbers, in green."
    headline(figure, finding)
    return alt(figure, f"{what} {finding}. Named: {', '.join(words[i] for i in named)}.")


def _spread(places: np.ndarray, numbers: np.ndarray, count: int) -> list[int]:
    """About `count` words all over the map: of each square of a grid the most frequent, and of a finer grid a number."""
    side = max(2, round(math.sqrt(1.4 * count)))  # the corners of the grid are empty
    low, high = places.min(axis=0), places.max(axis=0)
    N = len(places)
    skipped = N // 40  # the very most frequent, "the" and "of", say little, and only where nothing else is
    chosen: dict[tuple[Any, ...], int] = {}
    for i in [*range(skipped, N), *range(skipped)]:
        cells = np.minimum((places[i] - low) / (high - low + 1e-9) * side * (1.6 if numbers[i] else 1), 2 * side).astype(int)
        chosen.setdefault((bool(numbers[i]), *cells.tolist()), i)
    return sorted(chosen.values())


def _numbers_finding(words: Sequence[str], places: np.ndarray, numbers: np.ndarray) -> str:
    """How many of the numbers have a number as their nearest word on the map: the picture's claim, counted."""
    found = np.flatnonzero(numbers)
    if not len(found) or len(words) < 2:
        return f"{len(words):,} words, and no number among them"
    beside = sum(numbers[_nearest(places, i, 1)[0]] for i in found)
    by_chance = percent(len(found) / len(words))
    return f"{beside} of the {len(found)} numbers have another number as their nearest word; {by_chance} would by chance"


def _nearest(places: np.ndarray, i: int, n: int) -> np.ndarray:
    """The n points nearest to point i, itself left out: int64[n]."""
    distance = ((places - places[i]) ** 2).sum(axis=1)
    distance[i] = np.inf
    return distance.argsort(kind="stable")[:n]


def plot_word_maps(maps: Mapping[str, np.ndarray], words: Sequence[str], marked: Mapping[str, Sequence[str]]) -> Figure:
    """Plot several maps of the same words side by side, two in a row, with a few groups of words marked in each.

    maps: title -> float[N, 2], of `tsne`   marked: name of a group -> its words; three groups at most, numbers may be one
    """
    words = list(words)
    rows = math.ceil(len(maps) / 2)
    figure, axes = subplots(rows, 2, figsize=(8.6, 3.4 * rows + 0.6), squeeze=False)
    colours = (NUMBER, CONTEXT, "C3")
    for ax in axes.flat:
        clean_axes(ax)
    for ax, (title, places) in zip(axes.flat, maps.items(), strict=False):
        places = np.asarray(places, dtype=float)
        ax.scatter(*places.T, s=4, color="#d4d8dc", linewidth=0)
        for (name, members), colour in zip(marked.items(), colours, strict=False):
            found = places[[words.index(word) for word in members if word in words]]
            ax.scatter(*found.T, s=14, color=colour, linewidth=0, label=name)
        ax.set_title(plain(title), fontsize=10.5, parse_math=False)
        ax.set_aspect("equal", adjustable="datalim")
    axes[0, 0].legend(loc="upper left", fontsize=9, frameon=False, handletextpad=0.1, borderaxespad=0)
    kept = [kept_neighbours(a, b) for number, a in enumerate(maps.values()) for b in list(maps.values())[number + 1 :]]
    stay = f"{percent(min(kept))} to {percent(max(kept))} of near neighbours stay"
    finding = f"The same words, {len(maps)} maps: places and outlines change, while {stay}"
    headline(figure, finding)
    groups = "; ".join(f"{name}: {', '.join(members[:5])} and so on" for name, members in marked.items())
    return alt(
        figure, f"Small maps of the same {len(words):,} words: {', '.join(maps)}. Marked: {groups}. {finding}, of ten for each word."
    )


def kept_neighbours(first: np.ndarray, second: np.ndarray, n: int = 10) -> float:
    """The share of each point's n nearest in one arrangement that are among its n nearest in another; mean over all points.

    first, second: float[N, D] and float[N, D2], the same N points; n is less than N.
    """
    from sklearn.neighbors import NearestNeighbors

    found = [NearestNeighbors(n_neighbors=n).fit(points).kneighbors(return_distance=False) for points in map(np.asarray, (first, second))]
    return float(np.mean([len(set(a) & set(b)) / n for a, b in zip(*map(np.ndarray.tolist, found), strict=True)]))


def explore_word_map(words: Sequence[str], places: np.ndarray, neighbours: np.ndarray) -> Highlight:
    """A map to explore: zoom by wheel, buttons or two fingers, drag, point at a word or look one up. Needs scripts, no network.

    words: str[N], most frequent first   places: float[N, 2], of `tsne`   neighbours: int[N, k], the nearest words by their vectors
    (of `WordVectors.nearest`), to which lines are drawn from the word pointed at
    """
    places = np.asarray(places, dtype=float)
    if places.shape != (len(words), 2) or len(neighbours) != len(words):
        raise ValueError(f"{len(words)} words need as many places and neighbours; got {places.shape} and {np.shape(neighbours)}.")
    low, span = places.min(axis=0), float(np.ptp(places, axis=0).max()) or 1.0
    grid = np.round((places - low) / span * 9999).astype(int)
    data = {
        "words": list(words),
        "x": grid[:, 0].tolist(),
        "y": (9999 - grid[:, 1]).tolist(),
        "green": [i for i, word in enumerate(words) if is_number(word)],
        "near": np.asarray(neighbours).tolist(),
    }
    text = f"A map of {len(words):,} words to explore, numbers in green. It needs a page that runs scripts."
    return explorable("map", data, "word_map.js", text)
