"""Figures of word vectors: words as numbers, one-hot and counts, angles, neighbours, equations, both evaluations (notebook 01)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.patches import Arc

from src.embeddings import AnalogyReport, SimilarityReport, WordVectors
from src.plots import ANSWER, END, FAINT, INK, MUTED, PALE, START, Figure, alt, headline, percent, plain, readable_on, subplots, tint

Plane = np.ndarray  # float[words, 2]

# --- words as numbers, one-hot, counts -----------------------------------------------------------------------------------


def draw_word_numbers(words: Sequence[str], word: str) -> Figure:
    """Draw words at their numbers on a line, 0 for the first, and which of them lie nearest to `word` there."""
    place = list(words).index(word)
    near = [other for other in (place - 1, place + 1) if 0 <= other < len(words)]
    figure, ax = subplots(figsize=(8, 1.9))
    for number, other in enumerate(words):
        colour = END if number == place else START if number in near else MUTED
        bold = "bold" if number == place or number in near else "normal"
        ax.plot(number, 0, "o", color=colour, markersize=8)
        ax.annotate(plain(other), (number, 0), (0, 10), textcoords="offset points", ha="center", color=colour, fontweight=bold)
    ax.set_ylim(-0.4, 0.8)
    ax.set_xlim(-0.6, len(words) - 0.4)
    ax.set_xticks(range(len(words)))
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("number of the word")
    finding = f"By their numbers, “{plain(word)}” is nearest to {_listing([f'“{plain(words[other])}”' for other in near])}"
    headline(figure, finding)
    listed = ", ".join(f"{number} {other}" for number, other in enumerate(words))
    return alt(figure, f"Words on a line at their numbers: {listed}. {finding}.")


def plot_one_hot(words: Sequence[str]) -> Figure:
    """Plot the one-hot vectors of a whole vocabulary, a row for each word."""
    V = len(words)
    figure, ax = subplots(figsize=(5.6, 1.2 + 0.36 * V))
    _heatmap(ax, np.eye(V), words, words, "{:.0f}")
    ax.set_xlabel("place in the vector")
    ax.set_ylabel("word")
    finding = f"One 1 in each row: {percent(1 - 1 / V)} of the {V * V} numbers are zeros"
    headline(figure, finding)
    return alt(figure, f"Heatmap of the one-hot vectors of {', '.join(words)}: 1 on the diagonal, 0 elsewhere. {finding}.")


def plot_counts(counts: np.ndarray, weights: np.ndarray, texts: Sequence[str], words: Sequence[str]) -> Figure:
    """Plot how often each word stands in each text, and beneath it what TF-IDF makes of the counts.

    counts, weights: float[texts, words]
    """
    figure, axes = subplots(2, 1, figsize=(8, 1.9 + 0.72 * len(texts)))
    for ax, values, name, form in ((axes[0], counts, "count", "{:.0f}"), (axes[1], weights, "TF-IDF", "{:.2f}")):
        _heatmap(ax, values, texts, words, form)
        ax.set_title(name, fontsize=11)
    axes[0].set_xticks([])
    axes[1].set_xlabel("word of the vocabulary")
    before, after = int(counts.sum(axis=0).argmax()), int(weights.max(axis=0).argmax())
    finding = f"“{plain(words[before])}” leads the counts; TF-IDF gives it at most {weights[:, before].max():.2f}"
    if before != after:
        finding += f", and “{plain(words[after])}” {weights[:, after].max():.2f}"
    headline(figure, finding)
    rows = "; ".join(
        f"{text}: {', '.join(f'{word} {count:.0f} ({weight:.2f})' for word, count, weight in zip(words, c, w, strict=True) if count)}"
        for text, c, w in zip(texts, counts, weights, strict=True)
    )
    return alt(figure, f"Two heatmaps of texts by words. {finding}. Counts, with TF-IDF in brackets: {rows}.")


def _heatmap(ax: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], form: str) -> None:
    """Draw a matrix with its numbers written in the cells, zeros small."""
    image = ax.imshow(values, aspect="auto", vmin=0)
    for (row, column), value in np.ndenumerate(values):
        colour = readable_on(image.cmap(image.norm(value)))
        ax.text(column, row, form.format(value) if value else "0", ha="center", va="center", color=colour, fontsize=9 if value else 7)
    ax.set_xticks(range(len(columns)), [plain(column) for column in columns], rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), [plain(row) for row in rows])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def plot_bytes(sizes: Mapping[str, float]) -> Figure:
    """Plot how much memory each of several ways to store the same words takes. sizes: name -> bytes."""
    names, values = list(sizes), np.array(list(sizes.values()))
    figure, ax = subplots(figsize=(8, 1.3 + 0.42 * len(names)))
    large, small = int(values.argmax()), int(values.argmin())
    colours = [END if number == large else START for number in range(len(names))]
    ax.barh(range(len(names)), values, color=colours)
    for number, value in enumerate(values):
        ax.text(value * 1.15, number, _bytes(value), va="center", color=colours[number], fontweight="bold")
    ax.set_xscale("log")
    ax.set_xlim(values.min() / 3, values.max() * 8)
    ax.set_yticks(range(len(names)), [plain(name) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("bytes, each step ten times the one before" if values.max() < 1e3 * values.min() else "bytes (logarithmic)")
    finding = f"“{plain(names[large])}” takes {values[large] / values[small]:,.0f} times the memory of “{plain(names[small])}”"
    headline(figure, finding)
    return alt(figure, f"Bars. {finding}. " + "; ".join(f"{name}: {_bytes(value)}" for name, value in sizes.items()) + ".")


def _bytes(value: float) -> str:
    """Bytes in the largest unit that leaves one digit at least before the point."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} bytes"


# --- angles and vectors --------------------------------------------------------------------------------------------------


def draw_angles(vectors: Mapping[str, Sequence[float]]) -> Figure:
    """Draw three vectors of the plane, the angle from the first to each other one, and their cosines.

    vectors: name -> (x, y); the first is what the others are compared with.
    """
    names, rows = list(vectors), np.array(list(vectors.values()), dtype=float)
    lengths = np.linalg.norm(rows, axis=1)
    cosines = rows @ rows[0] / (lengths * lengths[0])
    limit = 1.25 * np.abs(rows).max()
    left, bottom = np.minimum(0, 1.25 * rows.min(axis=0)) - 0.02 * limit
    right, top = limit, 1.2 * max(0.2, rows[:, 1].max())
    figure, ax = subplots(figsize=(6.4, 1.4 + 5.6 * (top - bottom) / (right - left)))
    degrees = np.degrees(np.arctan2(rows[:, 1], rows[:, 0]))
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        colour = (INK, START, END, ANSWER)[number % 4]
        ax.annotate("", row, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0})
        text = plain(name) if number == 0 else f"{plain(name)}\ncosine {cosines[number]:.2f}"
        ax.annotate(text, row, (5, 5), textcoords="offset points", color=colour, fontweight="bold", annotation_clip=False)
        if number:
            low, high = sorted((degrees[0], degrees[number]))
            ax.add_patch(Arc((0, 0), *2 * [0.5 * number * lengths.min()], theta1=low, theta2=high, color=colour, linewidth=1.6))
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    ax.set_xlabel("first number")
    ax.set_ylabel("second number")
    ax.grid()
    best = 1 + int(cosines[1:].argmax())
    nearest = 1 + int(np.linalg.norm(rows[1:] - rows[0], axis=1).argmin())
    finding = f"By direction, “{plain(names[best])}” is nearest to “{plain(names[0])}”"
    finding += f"; by distance, “{plain(names[nearest])}” is" if nearest != best else ", and by distance too"
    headline(figure, finding)
    listed = "; ".join(f"{name} at ({x:g}, {y:g}), cosine {c:.2f}" for name, (x, y), c in zip(names, rows, cosines, strict=True))
    return alt(figure, f"Arrows from the origin: {listed}. {finding}.")


def plot_vectors(wv: WordVectors, words: Sequence[str]) -> Figure:
    """Plot the numbers of a few words' vectors as rows of a heatmap."""
    rows = np.stack([wv[word] for word in words])
    limit = float(np.quantile(np.abs(rows), 0.98))  # one or two numbers are much larger, and would make all others look alike
    figure, ax = subplots(figsize=(8, 1.7 + 0.3 * len(words)))
    image = ax.imshow(rows, aspect="auto", vmin=-limit, vmax=limit)
    figure.colorbar(image, ax=ax, extend="both", label="value", pad=0.015)
    ax.set_yticks(range(len(words)), [plain(word) for word in words])
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("place in the vector")
    cosines = np.array([[wv.similarity(one, other) for other in words] for one in words]) - 2 * np.eye(len(words))
    one, other = np.unravel_index(int(cosines.argmax()), cosines.shape)
    finding = (
        f"{percent(float((rows == 0).mean()))} of these numbers are zero; most alike are “{plain(words[one])}” and “{plain(words[other])}”"
    )
    finding = finding.replace("0 % of these numbers are zero", "None of these numbers is zero")
    headline(figure, finding)
    return alt(
        figure,
        f"Heatmap of {len(words)} words by {rows.shape[1]} numbers: {', '.join(words)}. {finding}, with a cosine of {cosines.max():.2f}.",
    )


def plot_neighbours(wv: WordVectors, words: Sequence[str], n: int = 8) -> Figure:
    """Plot the nearest words of a few words side by side, as bars of their cosines."""
    figure, axes = subplots(1, len(words), figsize=(8, 1.4 + 0.26 * n), squeeze=False)
    found = {word: wv.get_top_similar(word, n) for word in words}
    for number, (ax, (word, near)) in enumerate(zip(axes[0], found.items(), strict=True)):
        bars = ax.barh(range(n), list(near.values()), color=tint(START, 0.45), height=0.82)
        bars[0].set_color(tint(END, 0.55))
        for row, (other, cosine) in enumerate(near.items()):
            ax.text(0.03, row, plain(other), va="center", fontsize=10, color=INK)
            ax.text(cosine - 0.02, row, f"{cosine:.2f}", va="center", ha="right", fontsize=8.5, color=INK)
        ax.set_xlim(0, 1)
        ax.set_ylim(n - 0.5, -0.5)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.set_xticks([0, 0.5], ["0", "0.5"])
        ax.set_title(plain(word), fontsize=11)
        if number == (len(words) - 1) // 2:
            ax.set_xlabel("cosine")
    word, near = max(found.items(), key=lambda item: max(item[1].values()))
    best, cosine = next(iter(near.items()))
    finding = f"The nearest pair is “{plain(word)}” and “{plain(best)}”, with a cosine of {cosine:.2f}"
    headline(figure, finding)
    listed = "; ".join(f"{word}: {', '.join(f'{other} {c:.2f}' for other, c in near.items())}" for word, near in found.items())
    return alt(figure, f"Bars of the nearest words and their cosines. {finding}. {listed}.")


# --- equations -----------------------------------------------------------------------------------------------------------


def draw_equation(wv: WordVectors, a: str, b: str, c: str) -> Figure:
    """Draw a is to b as c is to ... in a plane: the step from a to b, the same step from c, and the nearest other word.

    The plane is the one that a, b, c and b - a + c lie in; the answer is drawn where it stands above or below that plane, so the
    true cosines are written beside the words. The vectors are scaled to length one first, as in `WordVectors.analogy`.
    """
    answer = next(iter(wv.analogy(a, b, c, 1)))
    words = [a, b, c, answer]
    units = np.stack([wv.units[wv.vocabulary[word]] for word in words])
    target = units[1] - units[0] + units[2]
    cosines = units @ target / np.linalg.norm(target)
    points, _ = _plane(np.vstack([units[:3], target, units[3]]), 4)
    width, height = np.ptp(points, axis=0)
    figure, ax = subplots(figsize=(7, min(5.2, 2.1 + 4.6 * 1.3 * height / (1.5 * width))))
    _arrow(ax, points[0], points[1], START)
    _arrow(ax, points[2], points[3], END)
    for point, word, cosine, colour in zip(points[[0, 1, 2, 4]], words, cosines, (START, START, END, ANSWER), strict=True):
        ax.plot(*point, "o", color=colour, markersize=8)
        ax.annotate(f"{plain(word)} ({cosine:.2f})", point, (8, 6), textcoords="offset points", color=colour, fontweight="bold")
    ax.plot(*points[3], "X", color=INK, markersize=9)
    below = points[4, 1] > points[3, 1]  # on the other side than the answer's own name
    away = (8, -15 if below else 9)
    ax.annotate(f"{plain(b)} - {plain(a)} + {plain(c)}", points[3], away, textcoords="offset points", color=INK)
    _plane_axes(ax, points)
    ax.set_aspect("equal")  # the step from b to the end is as long as the one from a to c, and looks it
    closest = int(cosines.argmax())
    finding = f"{b} - {a} + {c} ends near “{answer}” (cosine {cosines[3]:.2f})"
    if closest != 3:
        finding += f", and nearer still to “{words[closest]}” ({cosines[closest]:.2f}) of the question"
    headline(figure, plain(finding))
    listed = ", ".join(f"{word} {cosine:.2f}" for word, cosine in zip(words, cosines, strict=True))
    return alt(
        figure,
        f"An arrow leads from {a} to {b}; the same arrow from {c} ends at {b} - {a} + {c}. Cosines of the words with that point: {listed}. "
        f"{finding}.",
    )


def draw_pairs(wv: WordVectors, pairs: Sequence[tuple[str, str]], first: str = "first", second: str = "second") -> Figure:
    """Draw pairs of words as arrows in the plane that shows most of how all these words differ.

    first, second: what the words of a pair are, for the headline: "country", "capital".
    """
    starts, ends = (np.stack([wv.units[wv.vocabulary[pair[side]]] for pair in pairs]) for side in (0, 1))
    points, shown = _plane(np.vstack([starts, ends]), 2 * len(pairs))
    figure, ax = subplots(figsize=(8, 5))
    names = []
    for number, pair in enumerate(pairs):
        start, end = points[number], points[len(pairs) + number]
        _arrow(ax, start, end, tint(PALE, 0.8))
        for point, word, colour in ((start, pair[0], START), (end, pair[1], END)):
            ax.plot(*point, "o", color=colour, markersize=6)
            names.append(ax.text(*point, plain(word), color=colour, fontsize=10, fontweight="bold"))
    _plane_axes(ax, points)
    figure.draw_without_rendering()  # names move by what they cover, which is known once the layout is
    adjust_text(names, x=points[:, 0], y=points[:, 1], ax=ax, expand=(1.15, 1.35), ensure_inside_axes=True)
    ax.legend(
        handles=[
            matplotlib.lines.Line2D([], [], marker="o", linestyle="", color=c, label=name) for c, name in ((START, first), (END, second))
        ],
        loc="best",
        fontsize=10,
    )
    steps = ends - starts
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    agreement = float((steps @ steps.T)[np.triu_indices(len(pairs), 1)].mean())
    finding = (
        f"The {len(pairs)} steps from {first} to {second} point {_how_alike(agreement)}: mean cosine {agreement:.2f} between two of them"
    )
    headline(figure, finding)
    listed = ", ".join(f"{one} to {other}" for one, other in pairs)
    return alt(figure, f"Arrows in a plane that shows {percent(shown)} of how the words differ: {listed}. {finding}.")


def _how_alike(cosine: float) -> str:
    return "nearly the same way" if cosine > 0.6 else "roughly the same way" if cosine > 0.25 else "many ways"


def _plane(vectors: np.ndarray, used: int) -> tuple[Plane, float]:
    """Vectors, float[n, D], as points of the plane in which the first `used` of them differ most, and the share of that it shows."""
    middle = vectors[:used].mean(axis=0)
    _, sizes, axes = np.linalg.svd(vectors[:used] - middle, full_matrices=False)
    signs = np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(axis=1)])  # svd leaves the signs open: this fixes them
    return (vectors - middle) @ (axes[:2] * signs[:, None]).T, float((sizes[:2] ** 2).sum() / (sizes**2).sum())


def _plane_axes(ax: Axes, points: Plane) -> None:
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * (high - low)
    ax.set_xlim(low[0] - margin[0], high[0] + 2.8 * margin[0])
    ax.set_ylim(low[1] - margin[1], high[1] + margin[1])
    ax.set_xlabel("first principal component")
    ax.set_ylabel("second principal component")
    ax.grid()


def _arrow(ax: Axes, start: np.ndarray, end: np.ndarray, colour: object) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.8, "shrinkA": 3, "shrinkB": 3})


# --- evaluation ----------------------------------------------------------------------------------------------------------


def plot_analogies(report: AnalogyReport, name: str = "") -> Figure:
    """Plot which share of each category of the Google analogies is answered right, best category first; unknown words shown."""
    counts = report.by_category()
    known = {category: count["right"] / count["known"] for category, count in counts.items() if count["known"]}
    if not known:
        raise ValueError(f"none of the {report.asked:,} questions has all its words in this vocabulary, so there is nothing to plot.")
    order = sorted(known, key=lambda category: -known[category])
    figure, ax = subplots(figsize=(8, 1.5 + 0.27 * len(order)))
    for row, category in enumerate(order):
        grammar = category.startswith("gram")
        share = 100 * known[category]
        ax.barh(row, share, color=PALE if grammar else START)
        count = counts[category]
        ax.text(share + 1, row, f"{share:.0f} %", va="center", fontsize=9.5)
        unknown = "" if count["known"] == count["asked"] else f", {count['asked'] - count['known']:,} unknown"
        ax.text(110, row, f"of {count['known']:,}{unknown}", va="center", fontsize=9, color=MUTED)
    ax.set_yticks(range(len(order)), [_category(category) for category in order])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.set_xlim(0, 138)
    ax.set_xticks(range(0, 101, 20))
    ax.spines["bottom"].set_bounds(0, 100)
    ax.set_xlabel("right answers, % of the questions whose words are known")
    handles = [matplotlib.patches.Patch(color=colour, label=label) for colour, label in ((START, "facts"), (PALE, "grammar"))]
    ax.legend(handles=handles, loc="lower right", bbox_to_anchor=(0.74, 0.02), fontsize=10)
    told = f"{name}: " if name else ""
    finding = (
        f"{told}{percent(report.accuracy)} of {report.known:,} questions right, from {_category(order[0])} ({percent(known[order[0]])}) "
        f"to {_category(order[-1])} ({percent(known[order[-1]])})"
    )
    headline(figure, finding)
    listed = "; ".join(f"{_category(c)}: {counts[c]['right']:,} of {counts[c]['known']:,}, {counts[c]['asked']:,} asked" for c in order)
    return alt(figure, f"Bars of right answers by category. {finding}. {listed}.")


def _category(name: str) -> str:
    """gram6-nationality-adjective -> nationality adjective"""
    words = name.split("-")
    return " ".join(words[1:] if words[0].startswith("gram") else words)


def plot_similarity(reports: Sequence[SimilarityReport], marked: Sequence[tuple[str, str]] = ()) -> Figure:
    """Plot people's marks of pairs of words against their cosines, a panel for each test. marked: pairs to name where they stand."""
    figure, axes = subplots(1, len(reports), figsize=(8, 4.3), squeeze=False, sharey=True)
    wanted = {frozenset(pair) for pair in marked}
    for ax, report in zip(axes[0], reports, strict=True):
        ax.plot([mark for *_, mark in report.used], report.cosines, ".", color=tint(PALE, 0.7), markersize=3.5)
        ax.set_title(f"{_test(report.name)}: Spearman {report.correlation:.2f}", fontsize=11)
        ax.set_xlim(-0.3, 10.3)
        ax.set_xlabel("people's mark, 0 to 10")
        ax.grid()
        for (one, other, mark), cosine in zip(report.used, report.cosines, strict=True):
            if frozenset((one, other)) in wanted:
                ax.plot(mark, cosine, "o", color=END, markersize=5)
                side = {"xytext": (-7, 0), "ha": "right"} if mark > 5 else {"xytext": (7, 0), "ha": "left"}
                look = {"va": "center", "color": INK, "fontsize": 9.5, "fontweight": "bold"}
                ax.annotate(f"{plain(one)} / {plain(other)}", (mark, cosine), textcoords="offset points", **side, **look)
    axes[0, 0].set_ylabel("cosine of the two words")
    best, worst = max(reports, key=lambda r: r.correlation), min(reports, key=lambda r: r.correlation)
    finding = f"The cosines order the pairs of {_test(best.name)} as people do to {best.correlation:.2f}"
    if best is not worst:
        finding += f", those of {_test(worst.name)} to {worst.correlation:.2f}"
    headline(figure, finding)
    listed = "; ".join(f"{_test(r.name)}, {len(r.used)} pairs, {len(r.missing)} missing" for r in reports)
    return alt(figure, f"Scatter of people's marks against cosines: {listed}. {finding} (Spearman correlation, 1 is the same order).")


def _test(name: str) -> str:
    return {"wordsim353": "WordSim-353", "simlex999": "SimLex-999"}.get(name, name)


def plot_associations(associations: Mapping[str, float], left: str, right: str, usual: Sequence[float]) -> Figure:
    """Plot to which of two groups of words each word leans, between the spread of ordinary words.

    associations: word -> mean cosine with the group `right` minus that with the group `left`
    usual: the same for many ordinary words: the band in which nine of ten of them lie
    """
    order = sorted(associations, key=lambda word: associations[word])
    values = np.array([associations[word] for word in order])
    low, high = np.quantile(usual, [0.05, 0.95])
    figure, ax = subplots(figsize=(8, 1.8 + 0.21 * len(order)))
    ax.axvspan(low, high, color=FAINT, linewidth=0)
    ax.axvline(0, color=MUTED, linewidth=1)
    ax.text((low + high) / 2, len(order) - 0.1, "nine in ten\nordinary words", ha="center", va="bottom", fontsize=9, color=MUTED)
    outside = (values < low) | (values > high)
    limit = 1.08 * max(np.abs(values).max(), abs(low), abs(high))
    for row, (word, value) in enumerate(zip(order, values, strict=True)):
        colour = MUTED if not outside[row] else START if value < low else END
        ax.plot([0, value], [row, row], color=colour, linewidth=1.6)
        ax.plot(value, row, "o", color=colour, markersize=6)
        ax.annotate(
            plain(word),
            (value, row),
            (8 if value >= 0 else -8, 0),
            textcoords="offset points",
            va="center",
            ha="left" if value >= 0 else "right",
            fontsize=9.5,
            color=INK,
        )
    ax.set_xlim(-1.3 * limit, 1.3 * limit)
    ax.set_ylim(-0.8, len(order) - 0.2)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(f"← nearer to {left}      mean difference of cosines      nearer to {right} →")
    finding = f"{int(outside.sum())} of {len(order)} words lean further than nine in ten ordinary words do (grey band)"
    headline(figure, finding)
    listed = ", ".join(f"{word} {value:+.2f}" for word, value in zip(order, values, strict=True))
    return alt(
        figure,
        f"Points left and right of zero, left nearer to {left}, right nearer to {right}: {listed}. {finding}, {low:+.2f} to {high:+.2f}.",
    )


def _listing(names: Sequence[str]) -> str:
    return " and ".join(names)
