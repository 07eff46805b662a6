"""Figures of word2vec: windows and pairs, networks, sampling, losses, maps of words by t-SNE."""

import contextlib
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.spatial import KDTree
from scipy.special import expit

from src import runtime
from src.files import write_whole
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
from src.plots.explore import explorable
from src.plots.primitives import (
    GREY,
    arrow,
    bars,
    box,
    drawing,
    label_points,
    level,
    logarithmic,
    title,
    write,
)
from src.teaching.panel import Panel
from src.word2vec import shared_neighbours

CENTRE, CONTEXT, NUMBER = START, END, ANSWER  # in every figure of this file; numbers are green
_NUMBER_WORDS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
hundreds thousand thousands million millions billion billions trillion
"""
NUMBER_WORDS = frozenset(_NUMBER_WORDS.split())

# --- windows and pairs


def draw_windows(words: Sequence[str], window: int) -> Figure:
    """Draw a window, `window` places to either side, sliding over a sentence of about 20 words."""
    T = len(words)
    widths = np.array([max(len(word), 2) + 1.6 for word in words])
    middles, width = np.cumsum(widths) - widths / 2 - 0.2, widths.sum()
    figure, ax = drawing((8.6, 1.35 + 0.42 * T), (-0.5, width + 13), (T - 0.4, -0.9))
    letters = min(10.5, 900 / (width + 13))
    outside = {"face": "white", "colour": MUTED}
    centre = {"face": CENTRE, "colour": "white", "bold": True}
    context = {"face": tint(CONTEXT, 0.28), "colour": INK}
    near = [[j for j in range(T) if 0 < abs(i - j) <= window] for i in range(T)]
    for i, around in enumerate(near):
        for j, word in enumerate(words):
            look = centre if j == i else context if j in around else outside
            box(ax, middles[j], i, widths[j] - 0.4, 0.72, word, FAINT, size=letters, **look)
        write(ax, width + 0.8, i, f"context of {len(around)}", ha="left")
    write(ax, 0, -0.72, "centre", CENTRE, bold=True, ha="left")
    write(
        ax, 0.32 * width, -0.72, f"context, {window} to either side", CONTEXT, bold=True, ha="left"
    )
    finding = f"A window of {window} takes {T} steps: {T} rows of CBOW"
    shows = f"The sentence “{' '.join(words)}” once per row, the window one word further each time"
    pairs = [(words[i], " ".join(words[j] for j in around)) for i, around in enumerate(near)]
    finding += f", {sum(map(len, near))} pairs of skip-gram"
    return finish(figure, finding, shows, f"Centre and context, {listed(pairs)}")


# --- the networks


def draw_network(V: int, D: int, word: str) -> Figure:
    """Draw word2vec: a one-hot row, a matrix, D numbers, a second matrix, V scores."""
    figure, ax = drawing((8.6, 3.5), (-0.5, 10), (0, 4.1))
    scores = [0.1 + 0.55 * ((5 * i + 3) % 12 / 11) ** 3 for i in range(12)]
    one_hot, vector = [0.9 * (i == 7) for i in range(12)], [0.5, 0.15, 0.8, 0.3, 0.65]
    for x, name, ink, colour, numbers, shades in (  # how dark each cell is
        (0.53, f"“{word}”, one-hot", CENTRE, CENTRE, V, one_hot),
        (4.43, "its vector", "#9a6400", "C4", D, vector),
        (8.53, "scores, then softmax", CONTEXT, CONTEXT, V, scores),
    ):
        for i, share in enumerate(shades):
            y = 2.16 + 0.22 * (i - len(shades) / 2)
            box(ax, x, y, 0.36, 0.22, face=tint(colour, share), line=0.7)
        write(ax, x, 3.8, name, ink, 10.5, bold=True)
        write(ax, x, 0.35, f"{numbers:,} numbers", size=10.5)
    for x, name, shape, note in (
        (2.65, "embeddings", f"{V:,} × {D}", "this layer we keep"),
        (6.5, "output", f"{D} × {V:,}", "this one we put aside"),
    ):
        box(ax, x, 2.05, 1.9, 1.4, edge="#5b6b7b", face="#f4f6f8")
        write(ax, x, 2.42, name, size=11.5, bold=True)
        write(ax, x, 2.05, shape, size=11)
        write(ax, x, 1.66, note, GREY, 9)
        arrow(ax, (x - 1.75, 2.05), (x - 0.98, 2.05), width=1.1)
        arrow(ax, (x + 0.98, 2.05), (x + 1.53, 2.05), width=1.1)
    finding = f"Two matrices and nothing between them: {2 * V * D:,} numbers to learn"
    shows = f"A one-hot row of {V:,} numbers picks one row of the embeddings, {V:,} by {D}; these "
    shows += f"{D} numbers times the output matrix, {D} by {V:,}, give {V:,} scores, and softmax"
    return finish(figure, finding, f"{shows} makes probabilities of them")


def draw_architectures() -> Figure:
    """Draw CBOW beside skip-gram on the same window of five words, the middle one the centre."""
    around, centre = ("a", "bright", "emits", "light"), "star"
    figure, axes = drawing((8.6, 4.1), (-0.15, 6.3), (-0.1, 4.7), columns=2)
    _draw_architecture(axes[0], "CBOW", "the neighbours ask for the centre", around, centre)
    _draw_architecture(axes[1], "skip-gram", "the centre asks for its neighbours", around, centre)
    finding = "One window, two questions: CBOW makes one example of it, skip-gram four"
    words = ", ".join(around)
    cbow = f"Two small networks. CBOW: the vectors of {words} are averaged, and the mean predicts"
    skip_gram = f"Skip-gram: the vector of {centre} predicts each of {words}"
    return finish(figure, finding, f"{cbow} {centre}", skip_gram)


def _draw_architecture(ax: Axes, name: str, asks: str, around: Sequence[str], centre: str) -> None:
    cbow = name == "CBOW"
    write(ax, 0, 4.5, name, size=13, bold=True, ha="left")
    write(ax, 0, 4.1, asks, GREY, 10.5, ha="left")
    many, one = (0.8, 5.2) if cbow else (5.2, 0.8)
    heights = (3.4, 2.6, 1.4, 0.6)
    box(ax, 2.93, 2.0, 0.42, 1.3, face=tint("C4", 0.45), line=0.8)
    write(ax, 2.93, 1.1, "mean of\n4 vectors" if cbow else "1 vector", size=9.5, va="top")
    for y, x, word in (*zip(heights, [many] * 4, around, strict=True), (2.0, one, centre)):
        colour, inner = CENTRE if word == centre else CONTEXT, 2.0 + 0.3 * (y - 2.0)
        box(ax, x, y, 1.4, 0.5, word, colour, tint(colour, 0.28), size=10.5)
        if x == 0.8:
            arrow(ax, (1.55, y), (2.66, inner), width=1.1)
        else:
            arrow(ax, (3.2, inner), (4.44, y), width=1.1)
    write(ax, 0.8, 0.05, "embeddings", MUTED, 9.5)
    write(ax, 5.2, 0.05, "output, softmax", MUTED, 9.5)


# --- losses and sampling


def draw_negative_sampling(
    centre: str, context: str, negatives: Sequence[str], scores: Sequence[float], V: int
) -> Figure:
    """Draw what one pair trains: the probability of each word, and where training pushes it.

    `scores`, float[1 + K], are dot products with the centre's vector, the context's first.
    """
    K = len(negatives)
    probs = expit(np.asarray(scores, dtype=float))
    names = [f"{context} (occurred)", *(f"{word} (drawn)" for word in negatives)]
    colours = [ANSWER, *[CONTEXT] * K]
    figure, ax = subplots(figsize=(8, 1.7 + 0.4 * K))
    label = f"probability that the word occurs near “{centre}”"
    shades = [tint(colour, 0.6) for colour in colours]
    bars(ax, list(zip(names, probs, strict=True)), "", shades, label, height=0.55, told="{:.2f}")
    for y, (prob, colour) in enumerate(zip(probs, colours, strict=True)):
        target = 0.0 if y else 1.0
        if abs(target - prob) > 0.06:
            arrow(ax, (prob, y), (prob + 0.8 * (target - prob), y), colour, 1.1)
        write(ax, 1.03, y, f"{prob:.2f}, should be {target:.0f}", ha="left")
    ax.set(xlim=(0, 1.38), xticks=np.linspace(0, 1, 5))
    finding = f"One pair asks {1 + K} yes-no questions and moves {1 + K} output rows of {V:,}"
    pushed = f"Training pushes the first, “{context}”, up to 1, the others to 0"
    return finish(figure, finding, pushed)


def plot_keep_probability(
    words: Sequence[str],
    counts: np.ndarray,
    keep: np.ndarray,
    threshold: float,
    labels: Sequence[str],
) -> Figure:
    """Plot how likely each word is to stay in the text against how frequent it is.

    Args:
        words, counts, keep: str[V], int[V], float[V], by falling count.
        labels: the words to name.
    """
    shares, stays = 100 * np.asarray(counts) / np.sum(counts), 100 * np.asarray(keep)
    figure, ax = subplots(figsize=(8, 3.7))
    ax.plot(shares, stays, color=MUTED, linewidth=1.2, zorder=1)
    ax.plot(shares, stays, "o", color=CENTRE, markersize=3, alpha=0.5, markeredgewidth=0)
    level(ax, 100 * threshold, f"threshold, {100 * threshold:g} %", "x")
    places = {label: list(words).index(label) for label in labels}
    for label, i in places.items():
        ax.plot(shares[i], stays[i], "o", color=CONTEXT, markersize=6)
        look = {"shift": (5, 5), "ha": "left", "va": "bottom"}
        write(ax, shares[i], stays[i], label, size=10.5, bold=True, **look)
    logarithmic(ax, "x")
    ax.set(
        ylim=(0, 112), xlabel="share of the text, % (logarithmic)", ylabel="stays in the text, %"
    )
    ax.grid(axis="y")
    left = float((shares * stays).sum() / 100)
    finding = f"“{words[0]}” stays {stays[0]:.0f} times in 100; "
    named = listed({label: stays[i] for label, i in places.items()}, "{:.0f} %")
    rare = f"Words rarer than {100 * threshold:g} % all stay"
    return finish(figure, f"{finding}in all, {left:.0f} % of the text is left", rare, named)


# --- maps of words


def is_number(word: str) -> bool:
    """Whether a word begins with a digit ("8", "1990s", "19th") or is a number word ("seven")."""
    return word in NUMBER_WORDS or word[:1].isdigit()


def tsne(vectors: np.ndarray, perplexity: float = 30, seed: int | None = None) -> np.ndarray:
    """Place word vectors on a plane such that near neighbours stay near: scikit-learn's t-SNE.

    The places are kept in the course's cache, so the same call comes back at once. Source: van der
    Maaten and Hinton 2008, "Visualizing data using t-SNE".

    Args:
        vectors: float[N, D]; each is first scaled to length one and, by PCA, to 50 numbers.
        perplexity: about how many neighbours of each point count.
        seed: None starts from the two main directions of PCA; a number from random places.

    Returns:
        float[N, 2].
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    key = hashlib.sha256(vectors.tobytes() + repr((vectors.shape, perplexity, seed)).encode())
    file = runtime.cache() / "tsne" / f"{key.hexdigest()[:16]}.npy"
    if file.is_file():
        return np.load(file)
    from sklearn.decomposition import PCA  # with t-SNE a second to import, and needed here only
    from sklearn.manifold import TSNE

    points = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    if min(vectors.shape) > 50:
        points = PCA(50, random_state=0).fit_transform(points)
    begin = {"init": "pca" if seed is None else "random", "random_state": seed or 0}
    # angle 0.5, the default, takes half as long again and is no better
    places = TSNE(perplexity=perplexity, angle=0.7, **begin).fit_transform(points)
    stored = io.BytesIO()
    np.save(stored, places)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, stored.getvalue())
    return places


def plot_word_map(words: Sequence[str], places: np.ndarray, around: str | None = None) -> Figure:
    """Plot a map of words, numbers in green, with labels that do not cover each other.

    Args:
        words: str[N], the most frequent first; some all over the map are named.
        places: float[N, 2], of `tsne`.
        around: a word to look at closely: its 40 nearest words, all of them named.
    """
    numbers = np.array([is_number(word) for word in words])
    if around is not None:
        nearest = min(41, len(words))
        order = KDTree(places).query(places[list(words).index(around)], nearest)[1]
        shown = named = np.sort(order)
    else:
        shown = np.arange(len(words))
        named = _spread(places, numbers)
    figure, ax = subplots(figsize=(8.4, 6.1 if around is None else 4.5))
    for name, colour, area in (("words", tint(CENTRE, 0.45), 7), ("numbers", NUMBER, 16)):
        dots = shown[numbers[shown] == (name == "numbers")]
        look = {"s": area if around is None else 26, "snap": around is None}  # small to store
        ax.scatter(*places[dots].T, color=colour, linewidth=0, **look)
    ax.set(xticks=[], yticks=[], ylabel="second direction (no unit)")
    ax.set_xlabel("t-SNE, first direction (no unit)")
    inks = ["#006b4e" if numbers[i] else INK for i in named]
    bold = [bool(numbers[i]) or words[i] == around for i in named]
    avoid = np.empty((0, 2)) if around is None else places[shown]
    texts = [words[i] for i in named]
    label_points(ax, places[named], texts, inks, 9 if around is None else 10, bold, avoid)
    what = f"{len(shown):,} words, {numbers[shown].sum()} of them numbers, in green"
    if around is None:
        finding, shows = _numbers_finding(places, numbers), f"A map of {what}"
    else:
        finding = f"Around “{around}”: {', '.join(words[i] for i in order[1:6])}"
        shows = f"The part of a map around “{around}”, {what}"
    return finish(figure, finding, shows, f"Named: {', '.join(texts)}")


def _spread(places: np.ndarray, numbers: np.ndarray) -> list[int]:
    """Words to name: the most frequent of each square of a grid, numbers of a finer one."""
    side = 8
    low, span = places.min(axis=0), np.ptp(places, axis=0) + 1e-9
    N = len(places)
    skipped = N // 40  # "the" and "of" say little; they are named only where nothing else is
    chosen: dict[tuple[Any, ...], int] = {}
    for i in [*range(skipped, N), *range(skipped)]:
        cell = ((places[i] - low) / span * side * (1.6 if numbers[i] else 1)).astype(int)
        chosen.setdefault((bool(numbers[i]), *cell.tolist()), i)
    return sorted(chosen.values())


def _numbers_finding(places: np.ndarray, numbers: np.ndarray) -> str:
    nearest = KDTree(places).query(places[numbers], 2)[1][:, 1]
    finding = f"{numbers[nearest].sum()} of the {numbers.sum()} numbers have a number as their"
    return f"{finding} nearest word on the map; {percent(numbers.mean())} would by chance"


def plot_word_maps(
    maps: Mapping[str, np.ndarray], words: Sequence[str], marked: Mapping[str, Sequence[str]]
) -> Figure:
    """Plot several maps of the same words, two in a row, with groups of words marked in each.

    Args:
        maps: title -> float[N, 2], of `tsne`.
        marked: name of a group -> its words, all on the map; three groups at most.
    """
    N, near = len(words), max(1, min(10, len(words) // 5))
    place = {word: i for i, word in enumerate(words)}
    rows = math.ceil(len(maps) / 2)
    figure, axes = subplots(rows, 2, figsize=(8.6, 3.4 * rows + 0.6), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (name, places) in zip(axes.flat, maps.items(), strict=False):
        title(ax, name)
        ax.scatter(*places.T, s=4, color="#d4d8dc", linewidth=0)
        for (label, group), colour in zip(marked.items(), (NUMBER, CONTEXT, "C3"), strict=False):
            dots = places[[place[word] for word in group]]
            ax.scatter(*dots.T, s=14, color=colour, linewidth=0, label=label)
        ax.set_aspect("equal", adjustable="datalim")
        if N <= 60:
            label_points(ax, places, words, size=8)
    axes[0, 0].legend(loc="upper left", fontsize=9, frameon=False, handletextpad=0.1)
    drawn = list(maps.values())
    kept = [kept_neighbours(a, b, near) for i, a in enumerate(drawn) for b in drawn[i + 1 :]]
    finding = f"The same words, {len(maps)} maps: places and outlines change, while"
    stay = dict.fromkeys([percent(min(kept)), percent(max(kept))])
    finding += f" {' to '.join(stay)} of each word's {near} nearest stay;"
    finding += f" {percent(near / (N - 1))} would by chance"
    shows = f"Small maps of the same {N:,} words: {', '.join(maps)}"
    groups = listed({name: ", ".join(group[:5]) for name, group in marked.items()})
    return finish(figure, finding, shows, f"Marked, some of each: {groups}")


def kept_neighbours(first: np.ndarray, second: np.ndarray, n: int = 10) -> float:
    """The share of each point's n nearest in one arrangement that are so in another.

    The same N points are float[N, D] and float[N, D2].
    """
    from sklearn.neighbors import NearestNeighbors

    found = [
        NearestNeighbors(n_neighbors=n).fit(points).kneighbors(return_distance=False)
        for points in (first, second)
    ]
    return shared_neighbours(*found)[0]


def explore_word_map(words: Sequence[str], places: np.ndarray, neighbours: np.ndarray) -> Panel:
    """A map to explore: zoom by wheel, buttons or two fingers, drag, point at a word, look one up.

    Args:
        words: str[N], the most frequent first.
        places: float[N, 2], of `tsne`.
        neighbours: int[N, k], the nearest by their vectors, of `WordVectors.nearest`; lines lead to
            them from the word pointed at.
    """
    low, span = places.min(axis=0), float(np.ptp(places, axis=0).max()) or 1.0
    grid = np.round((places - low) / span * 9999).astype(int)
    data = {
        "words": list(words),
        "x": grid[:, 0].tolist(),
        "y": (9999 - grid[:, 1]).tolist(),
        "green": [i for i, word in enumerate(words) if is_number(word)],
        "near": np.asarray(neighbours).tolist(),
    }
    text = f"A map of {len(words):,} words to explore, numbers in green. It needs a page that runs"
    return explorable("map", data, "word_map.js", f"{text} scripts.")
