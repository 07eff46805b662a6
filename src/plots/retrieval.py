"""Figures of asking ten thousand articles: words and meanings found, lists fused, passages read, ways to answer (notebook 07)."""

from __future__ import annotations

import html
import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from scipy.stats import binomtest

from src.plots import (
    ANSWER,
    FAINT,
    INK,
    MUTED,
    START,
    Figure,
    alt,
    arrow,
    clean_axes,
    headline,
    label_line_ends,
    plain,
    subplots,
    tint,
)
from src.plots.qa import Highlight, answer_box, with_marks
from src.text import split_sentences

if TYPE_CHECKING:
    from src.qa.open_domain import OpenAnswer

KEYWORD, DENSE, FUSED = "C4", "C0", "C2"  # the three ways to find, in every figure
WAY_COLOURS = {"keyword": KEYWORD, "dense": DENSE, "fused": FUSED}
WAY_NAMES = {"keyword": "by keyword", "dense": "by meaning", "fused": "both, fused"}


# --- an answer with its evidence -----------------------------------------------------------------------------------------


def show_open_answer(answer: OpenAnswer, question: str | None = None, runners_up: int = 3) -> Highlight:
    """Show an answer in its passage, its sentence tinted, with title, score and what else was found; or that nothing supports one.

    answer: of `WikipediaAnswerer`   runners_up: how many other candidates to list at most
    """
    others = answer.runners_up[:runners_up]
    listed = [f"{found.score:.2f}  {found.text}  (in: {found.title})" for found in others]
    if answer.is_refusal:
        passage, verdict = "", f"I don't know: nothing found supports an answer ({answer.score:.2f} sure of the best guess)"
        shown, name = html.escape(verdict), "the guesses"
    else:
        first, last = sentence_around(answer.passage, answer.start, answer.end)
        sentence = with_marks(answer.passage[first:last], answer.start - first, answer.end - first)
        passage = (
            f'{html.escape(answer.passage[:first])}<span style="background: rgba(0, 158, 115, 0.1)">{sentence}</span>'
            f"{html.escape(answer.passage[last:])}"
        )
        verdict = f"{answer.text} ({answer.score:.2f} sure; in: {answer.title})"
        shown = f"{html.escape(answer.text)} ({answer.score:.2f} sure; in: <em>{html.escape(answer.title)}</em>)"
        name = "runners-up"
    items = "".join(f"<li>{html.escape(line)}</li>" for line in listed)
    below = f'<div style="margin-top: 4px">{name}:<ul style="margin: 0">{items}</ul></div>' if items else ""
    text = f"{question + ' ' if question else ''}{verdict}" + "".join(f"\n  {line}" for line in listed)
    return Highlight(answer_box(passage, shown, answer.score, answer.is_refusal, question, below), text)


def sentence_around(passage: str, start: int, end: int) -> tuple[int, int]:
    """First and last character of the sentence, or sentences, that hold passage[start:end]."""
    first, last, at = start, end, 0
    for sentence in split_sentences(passage):
        begin = passage.index(sentence, at)
        at = begin + len(sentence)
        if begin < end and start < at:
            first, last = min(first, begin), max(last, at)
    return first, last


def draw_open_pipeline(passages: int, pool: int, read: int) -> Figure:
    """Draw the way of a question: searched by keyword and by meaning, lists fused, the best read, an answer or none.

    passages: in the library   pool: kept of each search   read: read for an answer
    """
    figure, ax = subplots(figsize=(8.6, 3.1))
    clean_axes(ax)
    ax.set_xlim(-0.5, 100.5)
    ax.set_ylim(0, 40)
    boxes = {
        "question": (0, 13, 20, INK, "question"),
        "keyword": (20, 19, 31, KEYWORD, f"by keyword:\nthe best {pool:,}"),
        "dense": (20, 19, 9, DENSE, f"by meaning:\nthe best {pool:,}"),
        "fused": (46, 15, 20, FUSED, f"fused:\nthe best {read:,}"),
        "read": (67, 13, 20, START, f"read:\n{read:,} answers"),
        "answer": (86, 14, 31, ANSWER, "answer and\nits evidence"),
        "refusal": (86, 14, 9, MUTED, "I don't\nknow"),
    }
    style = "round,pad=0,rounding_size=1.4"
    for name, (x, width, y, colour, text) in boxes.items():
        box = FancyBboxPatch((x, y - 5), width, 10, boxstyle=style, facecolor=tint(colour, 0.14), edgecolor=colour)
        box.set_gid(name)
        ax.add_patch(box)
        ax.text(x + width / 2, y, text, ha="center", va="center", fontsize=10.5)
    for one, other in (
        ("question", "keyword"),
        ("question", "dense"),
        ("keyword", "fused"),
        ("dense", "fused"),
        ("fused", "read"),
        ("read", "answer"),
        ("read", "refusal"),
    ):
        x, width, y, *_ = boxes[one]
        ax.add_patch(arrow((x + width + 0.6, y), (boxes[other][0] - 0.6, boxes[other][2])))
    ax.text(29.5, 20, f"{passages:,} passages", ha="center", va="center", fontsize=11, fontweight="bold")
    ax.text(79, 33, "sure enough", ha="center", va="center", fontsize=9.5, color="#555555")
    ax.text(80, 7, "not", ha="center", va="center", fontsize=9.5, color="#555555")
    finding = f"Of {passages:,} passages {read:,} are read, and one of them answers, or none"
    headline(figure, finding)
    return alt(
        figure,
        f"Boxes and arrows: a question is searched for by keyword and by meaning among {passages:,} passages; the best {pool:,} of each "
        f"are fused, the best {read:,} of those are read; what is sure enough becomes an answer with its evidence, else “I don't know”. "
        f"{finding}.",
    )


# --- by keyword ----------------------------------------------------------------------------------------------------------


def draw_inverted_index(index: Mapping[str, Mapping[str, int]], asked: Sequence[str]) -> Figure:
    """Draw an inverted index: a column for each word, a row for each text, how often it stands there; what is asked for stands out.

    index: word -> name of a text -> times, 22 words at most   asked: the question's words
    """
    words, names = list(index), list(dict.fromkeys(name for places in index.values() for name in places))
    if not 1 <= len(words) <= 22:
        raise ValueError(f"an index of 1 to 22 words can be drawn; this one has {len(words)}.")
    figure, ax = subplots(figsize=(8.6, 1.9 + 0.42 * len(names)))
    looked_at = 0
    for column, word in enumerate(words):
        wanted = word in asked
        for row, name in enumerate(names):
            times = index[word].get(name, 0)
            looked_at += wanted and times > 0
            colour = tint(KEYWORD, 0.6 if times else 0.12) if wanted else FAINT if times else "white"
            edge = MUTED if wanted else FAINT
            box = Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, facecolor=colour, edgecolor=edge, gid=f"{word} {name}")
            ax.add_patch(box)
            ax.text(column, row, f"{times}" if times else "", ha="center", va="center", fontsize=10.5, color=INK if wanted else "#666666")
    ax.set_xlim(-0.6, len(words) - 0.4)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xticks(range(len(words)), [plain(word) for word in words], rotation=45 if len(words) > 8 else 0, parse_math=False)
    for word, label in zip(words, ax.get_xticklabels(), strict=True):
        label.set(fontweight="bold" if word in asked else "normal", color=INK if word in asked else "#777777")
    ax.set_yticks(range(len(names)), [plain(name) for name in names], parse_math=False)
    ax.set_xlabel("word, and how often it stands in each text")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    known = [word for word in dict.fromkeys(asked) if word in index]
    whole = sum(len(places) for places in index.values())
    question = " ".join(map(plain, dict.fromkeys(asked)))
    finding = f"For “{question}” {len(known)} of {len(words)} words are looked up: {looked_at} of {whole} entries"
    headline(figure, finding)
    entries = "; ".join(f"{word}: " + ", ".join(f"{name} {times}" for name, times in places.items()) for word, places in index.items())
    return alt(figure, f"An inverted index, a column for each word. {finding}. {entries}.")


def plot_term_weights(by_times: Mapping[str, Sequence[float]], by_texts: Mapping[int, float]) -> Figure:
    """Plot what a word gives a text under BM25: left, by how often it stands there; right, by how many texts hold it.

    by_times: length of the text -> the part of the word's weight at 0, 1, 2, ... times   by_texts: texts that hold it -> weight
    """
    figure, (left, right) = subplots(1, 2, figsize=(8.6, 3.5), width_ratios=(1.25, 1))
    ends = []
    for number, (name, values) in enumerate(by_times.items()):
        colour = ("C4", "C0", "C6")[number % 3]
        left.plot(range(len(values)), values, "o-", color=colour, markersize=4, gid=name)
        ends.append((len(values) - 1, values[-1], plain(name), colour))
    times = max(len(values) for values in by_times.values()) - 1
    left.set_xlim(-0.2, times * 1.02)
    left.set_ylim(0, 1.05)
    left.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    left.set_xlabel("times the word stands in the text")
    left.set_ylabel("part of its weight")
    left.grid(axis="y")
    label_line_ends(left, ends)
    right.plot(list(by_texts), list(by_texts.values()), "o-", color=KEYWORD, markersize=4, gid="idf")
    right.set_xscale("log")
    right.set_ylim(0, 1.08 * max(by_texts.values()))
    right.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda x, _: f"{x:,.0f}"))
    right.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    right.set_xlabel("texts that hold the word")
    right.set_ylabel("weight of the word (idf)")
    right.grid(axis="y")
    name, values = next(iter(by_times.items()))
    few, many = min(by_texts), max(by_texts)
    finding = f"{times} times is worth {values[-1] / values[1]:.1f} times as much as once ({plain(name)})"
    finding += f"; a word in {few:,} text{'s' if few > 1 else ''} weighs {by_texts[few]:.1f}, one in {many:,} weighs {by_texts[many]:.2f}"
    headline(figure, finding)
    lines = "; ".join(f"{name}: {', '.join(f'{value:.2f}' for value in values)}" for name, values in by_times.items())
    weights = ", ".join(f"{value:.2f} for {texts:,}" for texts, value in by_texts.items())
    return alt(figure, f"Two charts of a word's weight. {finding}. By times, from 0: {lines}. By texts that hold it: {weights}.")


# --- by meaning ----------------------------------------------------------------------------------------------------------


def draw_pooling(tokens: Sequence[str], vectors: Any, mean: Any, shown: int = 40) -> Figure:
    """Draw the vectors of a sentence's tokens as rows of a heatmap, and below them the one vector that is their mean.

    tokens: str[T]   vectors: float[T, D]   mean: float[D]   shown: how many of the D numbers, the first ones
    """
    vectors, mean = np.asarray(vectors, dtype=float), np.asarray(mean, dtype=float)
    T, D = vectors.shape
    if len(tokens) != T or mean.shape != (D,):
        raise ValueError(f"{len(tokens)} tokens need {len(tokens)} vectors and a mean as wide; got {vectors.shape} and {mean.shape}.")
    shown = min(shown, D)
    figure, (upper, lower) = subplots(2, 1, figsize=(8, 1.9 + 0.24 * T), height_ratios=(T, 1.3), sharex=True)
    limit = float(np.abs(vectors[:, :shown]).max())
    picture = upper.imshow(vectors[:, :shown], aspect="auto", vmin=-limit, vmax=limit)
    lower.imshow(mean[None, :shown], aspect="auto", vmin=-limit, vmax=limit)
    upper.set_yticks(range(T), [plain(token) for token in tokens], parse_math=False, fontsize=10)
    lower.set_yticks([0], ["mean"], fontweight="bold")
    lower.set_xlabel(f"number in the vector, the first {shown} of {D}")
    upper.tick_params(length=0, labelbottom=False)
    lower.tick_params(axis="y", length=0)
    for ax in (upper, lower):
        ax.spines[:].set_visible(False)
    figure.colorbar(picture, ax=[upper, lower], label="value", pad=0.02)
    finding = f"{T} vectors of {D} numbers, one for each token, become one for the sentence: their mean"
    headline(figure, finding)
    return alt(figure, f"A heatmap with a row for each of the tokens {' '.join(tokens)}, and below it the row of their means. {finding}.")


def plot_two_searches(question: str, texts: Sequence[str], scores: Mapping[str, Sequence[float]]) -> Figure:
    """Plot the scores that two searches give the same texts, side by side; the highest of each is marked.

    scores: name of the search ("keyword" or "dense") -> float[len(texts)]
    """
    lines = ["\n".join(textwrap.wrap(plain(text), 34)) for text in texts]
    figure, axes = subplots(1, len(scores), figsize=(8.6, 1.35 + 0.52 * len(texts)), sharey=True, squeeze=False)
    for ax, (name, values) in zip(axes[0], scores.items(), strict=True):
        values, best = np.asarray(values, dtype=float), int(np.argmax(values))
        colour = WAY_COLOURS[name]
        shades = [tint(colour, 0.9 if row == best else 0.35) for row in range(len(texts))]
        bars = ax.barh(range(len(texts)), values, 0.66, color=shades)
        for row, bar in enumerate(bars):
            bar.set_gid(f"{name} {row}")
        ax.bar_label(bars, [f"{value:.2f}".replace("-", "−") for value in values], padding=3, fontsize=10)
        ax.axvline(0, color=MUTED, linewidth=0.8)
        low, high = min(0.0, values.min()), max(values.max(), 1e-9)
        ax.set_xlim(low - (0.22 * (high - low) if low < 0 else 0), high + 0.22 * (high - low))
        ax.set_xlabel({"keyword": "score by keyword (BM25)", "dense": "score by meaning (cosine)"}[name])
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    axes[0, 0].set_yticks(range(len(texts)), lines, parse_math=False, fontsize=10)
    axes[0, 0].set_ylim(len(texts) - 0.4, -0.6)
    first = {name: texts[int(np.argmax(values))] for name, values in scores.items()}
    found = "; ".join(f"{WAY_NAMES[name]} “{plain(text)}” is first" for name, text in first.items())
    headline(figure, f"“{plain(question)}”: {found}")
    rows = "; ".join(
        f"{text}: " + ", ".join(f"{WAY_NAMES[name]} {values[row]:.2f}" for name, values in scores.items()) for row, text in enumerate(texts)
    )
    return alt(figure, f"Bars of the scores of {len(texts)} texts. “{question}”: {found}. {rows}.")


def draw_fusion(rankings: Mapping[str, Sequence[str]], fused: Mapping[str, float]) -> Figure:
    """Draw how lists become one: each document's places on the lists, lines to its place on the fused one, and its sum there.

    rankings: "keyword" and "dense" -> documents, best first   fused: document -> sum, best first
    """
    columns = [*rankings, "fused"]
    lists = [*rankings.values(), list(fused)]
    longest = max(map(len, lists))
    figure, ax = subplots(figsize=(8.4, 1.3 + 0.44 * longest))
    clean_axes(ax)
    ax.set_xlim(-0.42, len(columns) - 0.3)
    ax.set_ylim(longest - 0.3, -1.1)
    ends = {document: place for place, document in enumerate(fused)}
    for column, (name, documents) in enumerate(zip(columns, lists, strict=True)):
        ax.text(column, -0.8, WAY_NAMES[name], ha="center", va="center", fontweight="bold", color=WAY_COLOURS[name], fontsize=11)
        for place, document in enumerate(documents):
            label = f"{place + 1}  {plain(document)}" + (f"   {fused[document]:.4f}" if name == "fused" else "")
            style = {"boxstyle": "round,pad=0.3", "facecolor": tint(WAY_COLOURS[name], 0.14), "edgecolor": WAY_COLOURS[name]}
            ax.text(column, place, label, ha="center", va="center", fontsize=10.5, bbox=style, parse_math=False, gid=f"{name} {document}")
            if name != "fused":
                colour = tint(WAY_COLOURS[name], 0.55)
                line = ax.plot([column, len(columns) - 1], [place, ends[document]], color=colour, linewidth=1.3, zorder=0)
                line[0].set_gid(f"line {name} {document}")
    first = next(iter(fused))
    places = {name: list(found).index(first) + 1 for name, found in rankings.items() if first in found}
    finding = f"“{plain(first)}” comes first: " + ", ".join(f"place {place} {WAY_NAMES[name]}" for name, place in places.items())
    headline(figure, finding)
    written = "; ".join(f"{WAY_NAMES[name]}: {', '.join(documents)}" for name, documents in rankings.items())
    sums = ", ".join(f"{document} {total:.4f}" for document, total in fused.items())
    return alt(figure, f"Ranked lists with lines to the list they are fused into. {finding}. {written}. Fused: {sums}.")


def plot_recall(ranks: Mapping[str, Sequence[float]], depths: Sequence[int] = (1, 5, 20)) -> Figure:
    """Plot recall at several depths: for how many questions the right article is among the first k found, with 95 % intervals.

    ranks: "keyword", "dense", "fused" -> the right article's rank for each question, infinite where it was not found
    """
    figure, ax = subplots(figsize=(8, 3.7))
    width = 0.8 / len(ranks)
    recall: dict[str, list[float]] = {}
    count = 0
    for number, (name, places) in enumerate(ranks.items()):
        places = np.asarray(places, dtype=float)
        count = len(places)
        hits = [int((places <= depth).sum()) for depth in depths]
        recall[name] = [100 * found / count for found in hits]
        x = np.arange(len(depths)) + (number - (len(ranks) - 1) / 2) * width
        bounds = 100 * np.array([list(binomtest(found, count).proportion_ci(method="wilson")) for found in hits])  # [depths, 2]
        bars = ax.bar(x, recall[name], 0.92 * width, color=tint(WAY_COLOURS[name], 0.75), label=WAY_NAMES[name])
        ax.errorbar(x, recall[name], yerr=np.abs(bounds.T - recall[name]), fmt="none", ecolor="#444444", elinewidth=1.2, capsize=3)
        for depth, bar, value in zip(depths, bars, recall[name], strict=True):
            bar.set_gid(f"{name} {depth}")
            ax.text(bar.get_x() + bar.get_width() / 2, 3, f"{value:.0f}", ha="center", va="bottom", fontsize=10.5, fontweight="bold")
    ax.set_xticks(range(len(depths)), [f"the first {depth}" if depth > 1 else "the first" for depth in depths])
    ax.tick_params(axis="x", length=0)
    ax.set_ylim(0, 104)
    ax.set_ylabel("% of questions")
    ax.set_xlabel("the right article is among")
    ax.grid(axis="y")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=len(ranks), frameon=False, fontsize=10)
    middle = len(depths) // 2
    best_first = sorted(recall, key=lambda name: -recall[name][middle])
    shares = ", ".join(f"{WAY_NAMES[name]} {recall[name][middle]:.0f} %" for name in best_first)
    finding = f"The right article is among the first {depths[middle]} of all: {shares}, of {count} questions"
    headline(figure, finding)
    table = "; ".join(
        f"{WAY_NAMES[name]}: " + ", ".join(f"{value:.0f} % at {depth}" for depth, value in zip(depths, values, strict=True))
        for name, values in recall.items()
    )
    return alt(figure, f"Bars of recall, with intervals of 95 % confidence. {finding}. {table}.")


# --- reading -------------------------------------------------------------------------------------------------------------


def plot_candidates(
    titles: Sequence[str], texts: Sequence[str], reader_scores: Sequence[float], supports: Sequence[float], threshold: float
) -> Figure:
    """Plot what the reader found in each passage, how sure it is, and what is left of that after the place on the list.

    titles, texts: of the passages and of the answers in them, best-ranked passage first   reader_scores, supports: float[N], 0 to 1
    threshold: the lowest support that is answered
    """
    N = len(titles)
    figure, ax = subplots(figsize=(8.6, 1.6 + 0.58 * N))
    rows = np.arange(N)
    best = int(np.argmax(supports))
    ax.barh(rows - 0.19, reader_scores, 0.34, color=tint(START, 0.4))
    colours = [ANSWER if row == best else tint(ANSWER, 0.45) for row in rows]
    ax.barh(rows + 0.19, supports, 0.34, color=colours)
    for row, (sure, supported) in enumerate(zip(reader_scores, supports, strict=True)):
        for y, value in ((row - 0.19, sure), (row + 0.19, supported)):
            ax.text(value + 0.012, y, f"{value:.2f}", va="center", fontsize=9.5)
    ax.axvline(threshold, color=INK, linestyle="--", linewidth=1.2)
    ax.annotate(f"threshold {threshold:.2f}", (threshold, -0.62), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9.5)
    shown = zip(titles, texts, strict=True)
    names = [f"{rank}  {_cut(plain(title), 30)}\n“{_cut(plain(text), 30)}”" for rank, (title, text) in enumerate(shown, 1)]
    ax.set_yticks(rows, names, parse_math=False, fontsize=10)
    ax.set_ylim(N - 0.4, -0.8)
    ax.set_xlim(0, 1.1)
    ax.set_xlabel("score, 0 to 1")
    ax.tick_params(axis="y", length=0)
    keys = {"reader: how sure it is": tint(START, 0.4), "support: after the place on the list": ANSWER}
    handles = [Patch(facecolor=colour, label=label) for label, colour in keys.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    if supports[best] >= threshold:
        finding = f"“{plain(texts[best])}”, from place {best + 1}, has the most support: {supports[best]:.2f}"
    else:
        finding = f"Nothing reaches the threshold: the best guess has a support of {supports[best]:.2f}"
    headline(figure, finding)
    listed = "; ".join(
        f"{rank}, {title}: “{text}”, reader {sure:.2f}, support {supported:.2f}"
        for rank, (title, text, sure, supported) in enumerate(zip(titles, texts, reader_scores, supports, strict=True), 1)
    )
    return alt(figure, f"Bars for the answers in {N} passages. {finding}. Threshold {threshold:.2f}. {listed}.")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 4].rstrip() + " ..."


def plot_discount(supports: Mapping[float, Sequence[float]], threshold: float) -> Figure:
    """Plot support against the passage's place, a line for each reader's score, and down to which place each is answered.

    supports: reader's score -> support at place 1, 2, 3, ...   threshold: the lowest support that is answered
    """
    figure, ax = subplots(figsize=(8, 3.6))
    ends, reach = [], {}
    for number, (score, values) in enumerate(supports.items()):
        colour = f"C{number}"
        places = np.arange(1, len(values) + 1)
        ax.plot(places, values, "o-", color=colour, markersize=5, gid=f"{score:g}")
        ends.append((len(values), values[-1], f"{score:g} sure", colour))
        reach[score] = int(sum(value >= threshold for value in values))
    longest = max(len(values) for values in supports.values())
    ax.axhline(threshold, color=INK, linestyle="--", linewidth=1.2)

    def room(x: float) -> float:
        """How far every line is from a name at x, under the threshold."""
        return min(abs(np.interp(x, np.arange(1, len(values) + 1), values) - (threshold - 0.05)) for values in supports.values())

    free = max((place + 0.5 for place in range(1, longest)), key=room, default=1.0)  # between two places
    at = {"xytext": (0, -3), "textcoords": "offset points", "ha": "center", "va": "top"}
    ax.annotate(f"threshold {threshold:.2f}", (free, threshold), fontsize=9.5, **at)
    ax.set_xlim(0.9, longest + 0.05)
    ax.set_ylim(0, 1.03)
    ax.set_xticks(range(1, longest + 1))
    ax.set_xlabel("place of the passage on the list")
    ax.set_ylabel("support, 0 to 1")
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    answered = []
    for score, place in reach.items():
        first = "to" if any("down to" in other for other in answered) else "is answered down to"
        answered.append(f"{score:g} sure {first} place {place}" if place else f"{score:g} sure is never answered")
    finding = "; ".join(answered)
    finding = f"A reader {finding}"
    headline(figure, finding)
    lines = "; ".join(f"{score:g}: {', '.join(f'{value:.2f}' for value in values)}" for score, values in supports.items())
    return alt(figure, f"Lines of support against the place of a passage. {finding}. {lines}.")


def plot_passages_read(f1: Mapping[str, Mapping[int, float]]) -> Figure:
    """Plot F1 against the number of passages read, a line for each way to choose among their answers.

    f1: name -> passages read -> F1, 0 to 100
    """
    figure, ax = subplots(figsize=(8, 3.6))
    ends = []
    for number, (name, values) in enumerate(f1.items()):
        colour = ("C2", "C1", "C0")[number % 3]
        ax.plot(list(values), list(values.values()), "o-", color=colour, gid=name)
        ends.append((max(values), values[max(values)], plain(name), colour))
    counts = sorted({count for values in f1.values() for count in values})
    ax.set_xticks(counts)
    ax.set_xlim(counts[0] - 0.2, counts[-1] + 0.1)
    low, high = (edge(value for values in f1.values() for value in values.values()) for edge in (min, max))
    ax.set_ylim(max(0, 10 * math.floor(low / 10) - 10), min(100, 10 * math.ceil(high / 10) + 5))
    ax.set_xlabel("passages read")
    ax.set_ylabel("F1, 0 to 100")
    ax.grid(axis="y")
    label_line_ends(ax, ends)
    few, many = counts[0], counts[-1]
    changes = [f"{name}: {values[few]:.0f} with {few} read, {values[many]:.0f} with {many}" for name, values in f1.items()]
    finding = "F1 " + "; ".join(map(plain, changes))
    headline(figure, finding)
    lines = "; ".join(f"{name}: " + ", ".join(f"{value:.1f} at {count}" for count, value in values.items()) for name, values in f1.items())
    return alt(figure, f"Lines of F1 against the number of passages read. {finding}. {lines}.")


# --- several processes ---------------------------------------------------------------------------------------------------


def draw_schedule(taken: Sequence[tuple[int, float, float]], labels: Sequence[str] | None = None) -> Figure:
    """Draw which process works on which chunk of a file, and when: a row for each process, a bar for each chunk.

    taken: for each chunk, in the file's order, its process (from 0), and the seconds at which that begins and ends with it
    labels: of the chunks; None numbers them from 1
    """
    if not taken:
        raise ValueError("there are no chunks to draw; give a process, a begin and an end for each.")
    processes = sorted({process for process, _, _ in taken})
    names = [str(number) for number in range(1, len(taken) + 1)] if labels is None else list(labels)
    figure, ax = subplots(figsize=(8.6, 1.5 + 0.5 * len(processes)))
    seen: Counter[int] = Counter()
    for chunk, ((process, begin, end), name) in enumerate(zip(taken, names, strict=True)):
        row, colour = processes.index(process), tint(f"C{process % 6}", 0.35 if seen[process] % 2 else 0.55)
        seen[process] += 1  # neighbours in two shades
        ax.barh(row, end - begin, 0.7, left=begin, color=colour, edgecolor="white", linewidth=1.5, gid=f"chunk {chunk}")
        ax.text((begin + end) / 2, row, plain(name), ha="center", va="center", fontsize=10, parse_math=False)
    done, work = max(end for _, _, end in taken), sum(end - begin for _, begin, end in taken)
    ax.axvline(done, color=INK, linestyle="--", linewidth=1.2)
    ax.set_yticks(range(len(processes)), [f"process {process}" for process in processes])
    ax.set_ylim(len(processes) - 0.5, -0.5)
    ax.set_xlim(0, 1.02 * done)
    ax.set_xlabel("seconds")
    ax.tick_params(axis="y", length=0)
    who = "1 process is" if len(processes) == 1 else f"{len(processes)} processes are"
    finding = f"{len(taken)} chunks, {work:g} seconds of work: {who} done after {done:g}"
    headline(figure, finding)
    written = "; ".join(
        f"{name}: process {process}, {begin:g} to {end:g} s" for name, (process, begin, end) in zip(names, taken, strict=True)
    )
    return alt(figure, f"Bars in time, a row for each process. {finding}. {written}.")
