"""Figures of word vectors: words as numbers, counts, angles, neighbours, equations, evaluations."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Arc

from src.embeddings import AnalogyReport, SimilarityReport, WordVectors
from src.plots import (
    ANSWER,
    END,
    FAINT,
    INK,
    MUTED,
    PALE,
    START,
    Figure,
    finish,
    listed,
    percent,
    subplots,
    tint,
    written,
)
from src.plots.primitives import arrow, bars, heatmap, label_points, legend, title, write

# --- words as numbers, counts


def draw_word_numbers(words: Sequence[str], word: str) -> Figure:
    """Draw words at their numbers on a line, and which of them lie nearest to `word` there."""
    place = list(words).index(word)
    near = [other for other in (place - 1, place + 1) if 0 <= other < len(words)]
    figure, ax = subplots(figsize=(8, 1.9))
    for number, other in enumerate(words):
        colour = END if number == place else START if number in near else MUTED
        ax.plot(number, 0, "o", color=colour, markersize=8)
        write(ax, number, 0, other, colour, 11, colour != MUTED, shift=(0, 10), va="bottom")
    ax.set(ylim=(-0.4, 0.8), xlim=(-0.6, len(words) - 0.4), yticks=[])
    ax.set_xticks(range(len(words)))
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("number of the word")
    names = " and ".join(f"“{words[other]}”" for other in near)
    finding = f"By their numbers, “{word}” is nearest to {names}"
    return finish(figure, finding, f"Words on a line, from number 0: {written(figure)}")


def plot_counts(
    counts: np.ndarray, weights: np.ndarray, texts: Sequence[str], words: Sequence[str]
) -> Figure:
    """Plot how often each word occurs in each text, and beneath it what TF-IDF makes of that.

    `counts` and `weights` are float[texts, words].
    """
    figure, axes = subplots(2, 1, figsize=(8, 1.9 + 0.72 * len(texts)))
    panels = (("count", counts, "{:.0f}", None), ("TF-IDF", weights, "{:.2f}", words))
    for ax, (name, values, form, columns) in zip(axes, panels, strict=True):
        title(ax, name, 11)
        heatmap(ax, values, texts, columns, lambda x, form=form: form.format(x) if x else "0")
    axes[1].set_xlabel("word of the vocabulary")
    most = weights.max(axis=0)
    before, after = int(counts.sum(axis=0).argmax()), int(most.argmax())
    given = f"{most[before]:.2f} at most" if most[before] else "nothing"
    finding = f"“{words[before]}” is counted most and weighs {given} by TF-IDF"
    finding += f"; “{words[after]}” weighs most" if after != before else ", still the most"
    return finish(figure, finding, f"Of each text the words {', '.join(words)}")


# --- angles and vectors


def draw_angles(vectors: Mapping[str, Sequence[float]]) -> Figure:
    """Draw two to four vectors of the plane, their angles to the first, and their cosines."""
    names, rows = list(vectors), np.array(list(vectors.values()), dtype=float)
    lengths = np.linalg.norm(rows, axis=1)
    cosines = rows @ rows[0] / (lengths * lengths[0])
    left, bottom = 1.25 * np.minimum(0, rows.min(axis=0)) - 0.025 * np.abs(rows).max()
    right, top = 1.25 * np.abs(rows).max(), 1.2 * max(0.2, rows[:, 1].max())
    figure, ax = subplots(figsize=(6.4, 1.4 + 5.6 * (top - bottom) / (right - left)))
    degrees = np.degrees(np.arctan2(rows[:, 1], rows[:, 0]))
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        colour = (INK, START, END, ANSWER)[number]
        arrow(ax, (0, 0), row, colour, 2.2, 14)
        text = f"{name}\ncosine {cosines[number]:.2f}" if number else name
        write(ax, *row, text, colour, 11, bold=True, shift=(5, 5), ha="left", va="bottom")
        if number:
            low, high = sorted((degrees[0], degrees[number]))
            size, look = number * lengths.min() / 2, {"color": colour, "linewidth": 1.6}
            ax.add_patch(Arc((0, 0), size, size, theta1=low, theta2=high, **look))
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.set(xlabel="first number", ylabel="second number")
    ax.grid()
    best = names[1 + int(cosines[1:].argmax())]
    nearest = names[1 + int(np.linalg.norm(rows[1:] - rows[0], axis=1).argmin())]
    finding = f"By direction, “{best}” is nearest to “{names[0]}”"
    finding += f"; by distance, “{nearest}” is" if nearest != best else ", and by distance too"
    told = [f"{name} to ({x:g}, {y:g})" for name, (x, y) in zip(names, rows, strict=True)]
    told[1:] = [f"{text}, cosine {c:.2f}" for text, c in zip(told[1:], cosines[1:], strict=True)]
    return finish(figure, finding, f"Arrows from the origin: {'; '.join(told)}")


def plot_vectors(wv: WordVectors, words: Sequence[str]) -> Figure:
    """Plot the numbers of a few words' vectors as rows of a heatmap."""
    rows = np.stack([wv[word] for word in words])
    limit = float(np.quantile(np.abs(rows), 0.98))  # a few large numbers would make others alike
    figure, ax = subplots(figsize=(8, 1.7 + 0.3 * len(words)))
    image = heatmap(ax, rows, words, low=-limit, high=limit)
    figure.colorbar(image, ax=ax, extend="both", label="value", pad=0.015)
    ax.set_xticks(range(0, rows.shape[1], 10))
    ax.set_xlabel("place in the vector")
    cosines = np.array([[wv.similarity(a, b) for b in words] for a in words])
    pairs = list(combinations(range(len(words)), 2))
    pairs.sort(key=lambda pair: cosines[pair])
    least, most = (" and ".join(f"“{words[i]}”" for i in pairs[end]) for end in (0, -1))
    finding = f"{percent((rows != 0).mean())} of these numbers are not zero"
    if rows.all():
        finding = "None of these numbers is zero"
    finding += f"; {most} are most alike, {least} least"
    return finish(figure, finding, f"{rows.shape[1]} numbers of each word: {', '.join(words)}")


def plot_neighbours(wv: WordVectors, words: Sequence[str]) -> Figure:
    """Plot the eight nearest words of a few words side by side, as bars of their cosines.

    Raises:
        ValueError: there is no word.
    """
    found = {word: wv.get_top_similar(word, 8) for word in words}
    if not found:
        raise ValueError("there is no word to look up; put in one at least.")
    figure, axes = subplots(1, len(found), figsize=(8, 3.5), squeeze=False)
    for ax, (word, near) in zip(axes[0], found.items(), strict=True):
        title(ax, word, 11)
        colours = [tint(END, 0.55), *[tint(START, 0.45)] * (len(near) - 1)]
        bars(ax, near, "", colours, "cosine", height=0.82, told="{:.2f}")
        for row, (other, cosine) in enumerate(near.items()):
            write(ax, 0.03, row, other, ha="left")
            write(ax, cosine, row, f"{cosine:.2f}", size=8.5, shift=(-2, 0), ha="right")
        ax.set(xlim=(0, 1), yticks=[])
        ax.set_xticks([0, 0.5], ["0", "0.5"])
        ax.spines["left"].set_visible(False)
    near = {word: np.mean(list(row.values())) for word, row in found.items()}
    closest, loosest = max(near, key=near.get), min(near, key=near.get)
    finding = f"“{closest}” has the closest neighbours, “{loosest}” the least close"
    return finish(figure, finding)


# --- equations


def draw_equation(wv: WordVectors, a: str, b: str, c: str) -> Figure:
    """Draw a is to b as c is to ...: the step from a to b, the same from c, and where it ends.

    On the left is the plane that a, b, c and the end lie in. The nearest other word is not in it,
    so its dot there, a hollow one, seems too near. On the right are the true distances from the
    end. All vectors have length one, as in `WordVectors.analogy`.
    """
    if len({word.lower() for word in (a, b, c)}) < 3:
        raise ValueError(f"{a}, {b}, {c}: a word comes twice; an equation takes three words.")
    words = [a, b, c, next(iter(wv.analogy(a, b, c, 1)))]
    units = np.stack([wv.units[wv.vocabulary[word]] for word in words])
    end, name = units[1] - units[0] + units[2], f"{b} - {a} + {c}"
    away = dict(zip(words, np.linalg.norm(units - end, axis=1).tolist(), strict=True))
    points, _ = _plane(np.vstack([units[:3], end, units[3]]), 4)
    off = np.sqrt(max(0, away[words[3]] ** 2 - np.sum((points[4] - points[3]) ** 2)))
    figure, (ax, chart) = subplots(2, 1, figsize=(8, 5.2), height_ratios=(5, 3))
    arrow(ax, points[0], points[1], START, 1.8, gap=3)
    arrow(ax, points[2], points[3], END, 1.8, gap=3)
    colours = dict(zip(words, (START, START, END, ANSWER), strict=True))
    names = [*words[:3], f"{words[3]}, {off:.2f} off this plane"]
    for point, text, colour in zip(points[[0, 1, 2, 4]], names, colours.values(), strict=True):
        ax.plot(*point, "o", color=colour, markersize=8, mfc="none" if colour == ANSWER else colour)
        write(ax, *point, text, colour, 11, True, (8, 6), ha="left", va="bottom")
    ax.plot(*points[3], "X", color=INK, markersize=9)
    up = 6 if points[4, 1] <= points[3, 1] else -18  # on the other side than the answer's name
    write(ax, *points[3], name, size=11, shift=(8, up), ha="left", va="bottom")
    _plane_axes(ax, points)
    ax.set_aspect("equal")  # the two steps are equally long, and look it
    nearest = dict(sorted(away.items(), key=lambda item: item[1]))
    title(chart, f"true distance from {name}", 11)
    bars(chart, nearest, "{:.2f}", [colours[word] for word in nearest], "distance")
    finding = f"{name} ends nearest to “{min(away, key=away.get)}”"
    if min(away.values()) < away[words[3]]:
        finding += f", a word of the question; of all others “{words[3]}” is nearest"
    shows = f"An arrow leads from {a} to {b}; the same arrow from {c} ends at {name}"
    return finish(figure, finding, shows, f"{words[3]} lies {off:.2f} off the plane of the arrows")


def draw_pairs(
    wv: WordVectors, pairs: Sequence[tuple[str, str]], first: str, second: str
) -> Figure:
    """Draw pairs of words as arrows in the plane that shows most of how these words differ.

    The title compares the steps with those to the wrong words: from each first word to the second
    of every other pair. `first` and `second` name them: "country", "capital".
    """
    N, colours = len(pairs), {first: START, second: END}
    words = [pair[side] for side in (0, 1) for pair in pairs]
    units = np.stack([wv.units[wv.vocabulary[word]] for word in words])
    points, shown = _plane(units, 2 * N)
    figure, ax = subplots(figsize=(8, 5))
    for start, end in zip(points[:N], points[N:], strict=True):
        arrow(ax, start, end, tint(PALE, 0.8), 1.8, gap=3)
    inks = np.repeat(list(colours.values()), N).tolist()
    ax.scatter(*points.T, s=36, c=inks, zorder=2)
    _plane_axes(ax, points, shown)
    legend(figure, colours)
    label_points(ax, points, words, inks, bold=True)
    steps = [np.roll(units[N:], shift, axis=0) - units[:N] for shift in range(N)]
    right, *wrong = map(_degrees_apart, steps)
    finding = f"From {first} to {second} the steps are {right:.0f}° apart on average; "
    finding += f"to another's {second} they would be {np.mean(wrong):.0f}°"
    shows = f"Arrows in a plane that shows {percent(shown.sum())} of how the words differ"
    return finish(figure, finding, shows, ", ".join(f"{one} to {other}" for one, other in pairs))


def _degrees_apart(steps: np.ndarray) -> float:
    units = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    cosines = (units @ units.T)[np.triu_indices(len(units), 1)]
    return float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).mean())


def _plane(vectors: np.ndarray, used: int) -> tuple[np.ndarray, np.ndarray]:
    """Points float[N, 2] of the plane in which the first `used` vectors differ most.

    Also the share of the variance that each axis shows, float[2].
    """
    from sklearn.decomposition import PCA  # half a second to import, and needed here only

    plane = PCA(2).fit(vectors[:used])
    return plane.transform(vectors), plane.explained_variance_ratio_


def _plane_axes(ax: Axes, points: np.ndarray, shown: Sequence[float] = ()) -> None:
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.15 * (high - low)
    ax.set_xlim(low[0] - margin[0], high[0] + 2.2 * margin[0])
    ax.set_ylim(low[1] - margin[1], high[1] + margin[1])
    labels = ["principal component 1", "principal component 2"]
    for side, share in enumerate(shown):
        labels[side] += f" ({percent(share)})"
    ax.set(xlabel=labels[0], ylabel=labels[1])
    ax.grid()


# --- evaluation


def plot_analogies(report: AnalogyReport, name: str) -> Figure:
    """Plot the share of right answers in each category of the Google analogies, the best on top."""
    counts = {_category(key): row for key, row in report.by_category().items() if row["known"]}
    grammar = {_category(key) for key in report.by_category() if key.startswith("gram")}
    shares = {category: 100 * row["right"] / row["known"] for category, row in counts.items()}
    shares = dict(sorted(shares.items(), key=lambda item: -item[1]))
    figure, ax = subplots(figsize=(8, 1.8 + 0.27 * len(shares)))
    kinds = {"facts": START, "grammar": PALE}
    colours = [kinds["grammar" if category in grammar else "facts"] for category in shares]
    label = "right answers, % of the questions whose words are known"
    told = []
    for row, (category, share) in enumerate(shares.items()):
        known, asked = counts[category]["known"], counts[category]["asked"]
        unknown = f", {asked - known:,} unknown" if asked > known else ""
        write(ax, 110, row, f"of {known:,}{unknown}", MUTED, 9, ha="left")
        told.append(f"{share:.0f} %, {counts[category]['right']:,} of {known:,}{unknown}")
    bars(ax, shares, "{:.0f} %", colours, label, height=0.8, told=told)
    ax.set(xlim=(0, 138), xticks=range(0, 101, 20))
    ax.spines["bottom"].set_bounds(0, 100)
    legend(figure, kinds)
    best, *_, worst = shares
    finding = f"{name} answers questions on “{best}” best, on “{worst}” worst"
    return finish(figure, finding, f"Right in all: {percent(report.accuracy)} of {report.known:,}")


def _category(name: str) -> str:
    words = name.split("-")
    return " ".join(words[1:] if words[0].startswith("gram") else words)


TESTS = {"wordsim353": "WordSim-353", "simlex999": "SimLex-999"}


def plot_similarity(
    reports: Sequence[SimilarityReport], marked: Sequence[tuple[str, str]]
) -> Figure:
    """Plot people's marks of pairs of words against cosines, a panel a test; `marked` are named."""
    figure, axes = subplots(1, len(reports), figsize=(8, 4.3), squeeze=False, sharey=True)
    wanted = {frozenset(pair) for pair in marked}
    found = {TESTS[report.name]: report.correlation for report in reports}
    for ax, report in zip(axes[0], reports, strict=True):
        marks = [mark for *_, mark in report.used]
        ax.plot(marks, report.cosines, ".", color=tint(PALE, 0.7), markersize=3.5)
        title(ax, f"{TESTS[report.name]}: Spearman {report.correlation:.2f}", 11)
        ax.set(xlim=(-0.3, 10.3), xlabel="people's mark, 0 to 10")
        ax.grid()
        for (one, other, mark), cosine in zip(report.used, report.cosines, strict=True):
            if frozenset((one, other)) in wanted:
                ax.plot(mark, cosine, "o", color=END, markersize=5)
                shift, side = ((-7, 0), "right") if mark > 5 else ((7, 0), "left")
                look = {"size": 9.5, "bold": True, "shift": shift, "ha": side}
                write(ax, mark, cosine, f"{one} / {other}", **look)
    axes[0, 0].set_ylabel("cosine of the two words")
    order = " than in ".join(sorted(found, key=found.get, reverse=True))
    finding = f"Cosines follow people's marks better in {order}"
    scatter = {TESTS[r.name]: f"{len(r.used)} pairs, {len(r.missing)} missing" for r in reports}
    shows = f"Scatter of people's marks against cosines, {listed(scatter)}"
    return finish(figure, finding, shows, f"Named: {written(figure)}")


def plot_associations(
    associations: Mapping[str, float], left: str, right: str, usual: Sequence[float]
) -> Figure:
    """Plot to which of two groups of words each word leans, between the spread of ordinary words.

    `associations` are mean cosines with the group `right` minus those with `left`, `usual` the same
    of many ordinary words; nine in ten of them lie in the grey band.
    """
    leans = dict(sorted(associations.items(), key=lambda item: item[1]))
    low, high = np.quantile(usual, [0.05, 0.95])
    limit = 1.4 * max(*map(abs, leans.values()), abs(low), abs(high))
    figure, ax = subplots(figsize=(8, 1.8 + 0.21 * len(leans)))
    ax.axvspan(low, high, color=FAINT, linewidth=0)
    ax.axvline(0, color=MUTED, linewidth=1)
    band = {"size": 9, "va": "bottom"}
    write(ax, (low + high) / 2, len(leans) - 0.1, "nine in ten\nordinary words", MUTED, **band)
    for row, (word, value) in enumerate(leans.items()):
        colour = START if value < low else END if value > high else MUTED
        ax.plot([0, value], [row, row], color=colour, linewidth=1.6)
        ax.plot(value, row, "o", color=colour, markersize=6)
        side = {"shift": (8, 0), "ha": "left"} if value >= 0 else {"shift": (-8, 0), "ha": "right"}
        write(ax, value, row, word, size=9.5, **side)
    ax.set(xlim=(-limit, limit), ylim=(-0.8, len(leans) - 0.2), yticks=[])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(f"← nearer to {left}      mean difference of cosines      nearer to {right} →")
    outside = sum(not low <= value <= high for value in leans.values())
    finding = f"{outside} of {len(leans)} words lean further than nine in ten ordinary words do"
    finding += f"; of {len(leans)} ordinary words {0.1 * len(leans):.1f} would on average"
    band_text = f"The band of ordinary words goes from {low:+.2f} to {high:+.2f}"
    shows = f"Below zero nearer to {left}, above nearer to {right}, {listed(leans, '{:+.2f}')}"
    return finish(figure, finding, band_text, shows)
