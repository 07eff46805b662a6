"""Figures of asking Wikipedia: words and meanings found, lists fused, passages read."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from src.plots import (
    ANSWER,
    FAINT,
    INK,
    MUTED,
    START,
    Figure,
    finish,
    listed,
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
    drawing,
    grouped_bars,
    heatmap,
    html_panel,
    intervals,
    legend,
    level,
    lines,
    name_bars,
    name_columns,
    write,
)
from src.plots.qa import answer_box, with_marks
from src.teaching.panel import Panel
from src.text import split_sentences

if TYPE_CHECKING:
    from src.qa.open_domain import OpenAnswer

KEYWORD, DENSE, FUSED = "C4", "C0", "C2"  # the three ways to find, in every figure
WAY_COLOURS = {"keyword": KEYWORD, "dense": DENSE, "fused": FUSED}
WAY_NAMES = {"keyword": "by keyword", "dense": "by meaning", "fused": "both, fused"}


# --- an answer with its evidence


def show_open_answer(answer: OpenAnswer, question: str | None = None) -> Panel:
    """Show an answer in its passage, its sentence tinted, with the runners-up; or a refusal."""
    others = answer.runners_up[:3]
    listing = [f"{found.score:.2f}  {found.text}  (in: {found.source})" for found in others]
    if answer.is_refusal:
        verdict = "I don't know: nothing found supports an answer "
        verdict += f"({answer.score:.2f} sure of the best guess)"
        passage, shown, name = "", html.escape(verdict), "the guesses"
    else:
        first, last = sentence_around(answer.passage, answer.start, answer.end)
        before, after = html.escape(answer.passage[:first]), html.escape(answer.passage[last:])
        marked = with_marks(answer.passage[first:last], answer.start - first, answer.end - first)
        passage = f'{before}<span style="background:rgba(0,158,115,.1)">{marked}</span>{after}'
        sure = f"({answer.score:.2f} sure; in: "
        verdict, name = f"{answer.text} {sure}{answer.source})", "runners-up"
        shown = f"{html.escape(answer.text)} {sure}<em>{html.escape(answer.source)}</em>)"
    items = "".join(f"<li>{html.escape(line)}</li>" for line in listing)
    below = f'<div style="margin-top:4px">{name}:<ul style="margin:0">{items}</ul></div>'
    below = below if items else ""
    text = "\n  ".join([f"{question or ''} {verdict}".strip(), *listing])
    shown = answer_box(passage, shown, answer.score, answer.is_refusal, question, below)
    return html_panel(shown, text)


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
    """Draw the way of a question: two searches, one list, passages read, an answer or none.

    Of the library's `passages` each search keeps `pool`, and `read` are read.
    """
    figure, ax = drawing((8.6, 3.1), (-0.5, 100.5), (2, 38))
    boxes = {  # name -> middle, width, colour, text
        "question": (6.5, 20, 13, INK, "question"),
        "keyword": (29.5, 31, 19, KEYWORD, f"by keyword:\nthe best {pool:,}"),
        "dense": (29.5, 9, 19, DENSE, f"by meaning:\nthe best {pool:,}"),
        "fused": (53.5, 20, 15, FUSED, f"fused:\nthe best {read:,}"),
        "read": (73.5, 20, 13, START, f"read:\n{read:,} answers"),
        "answer": (93, 31, 14, ANSWER, "answer and\nits evidence"),
        "refusal": (93, 9, 14, MUTED, "I don't\nknow"),
    }
    for x, y, width, colour, text in boxes.values():
        box(ax, x, y, width, 10, text, colour, tint(colour, 0.14), rounded=1.4, size=10.5)
    ways = {"question": "keyword dense", "keyword": "fused", "dense": "fused", "fused": "read"}
    for name, following in (ways | {"read": "answer refusal"}).items():
        x, y, width, *_ = boxes[name]
        for to_x, to_y, to_width, *_ in map(boxes.get, following.split()):
            arrow(ax, (x + width / 2 + 0.6, y), (to_x - to_width / 2 - 0.6, to_y))
    write(ax, 29.5, 20, f"{passages:,} passages", size=11, bold=True)
    write(ax, 79, 33, "sure enough", GREY, 9.5)
    write(ax, 80, 7, "not", GREY, 9.5)
    finding = f"Of {passages:,} passages {read:,} are read, and one of them answers, or none"
    shows = f"Two searches, by keyword and by meaning, keep the best {pool:,} each of {passages:,}"
    shows += f" passages for the question. The best {read:,} of both, fused, are read. If it is "
    shows += "sure enough, what comes out is the answer and its evidence, if not, “I don't know”"
    return finish(figure, finding, shows)


# --- by keyword


def draw_inverted_index(index: Mapping[str, Mapping[str, int]], asked: Sequence[str]) -> Figure:
    """Draw an inverted index, a row for each text; the columns that are looked up stand out.

    `index`: some 22 words -> name of a text -> times.
    """
    words = list(index)
    names = list(dict.fromkeys(name for places in index.values() for name in places))
    figure, ax = subplots(figsize=(8.6, 1.9 + 0.4 * len(names)))
    counts = np.array([[index[word].get(name, 0) for word in words] for name in names])
    for (row, column), times in np.ndenumerate(counts):
        wanted = words[column] in asked
        face = tint(KEYWORD, 0.6 if times else 0.12) if wanted else FAINT if times else "white"
        look = {"edge": MUTED if wanted else FAINT}
        look |= {"face": face, "colour": INK if wanted else GREY}
        box(ax, column, row, 0.92, 0.88, f"{times or ''}", **look)
    name_bars(ax, names, "word, and how often it occurs in each text")
    name_columns(ax, words)
    ax.set_xlim(-0.6, len(words) - 0.4)
    ax.spines[:].set_visible(False)
    for word, label in zip(words, ax.get_xticklabels(), strict=True):
        label.set_fontweight("bold" if word in asked else "normal")
    known = [word for word in dict.fromkeys(asked) if word in index]
    looked_at, whole = sum(len(index[word]) for word in known), int((counts > 0).sum())
    finding = f"For “{' '.join(dict.fromkeys(asked))}” {len(known)} of {len(words)} words are"
    finding += f" looked up: {looked_at} of {whole} entries"
    return finish(figure, finding, f"An inverted index, {listed(index, '{}')}")


def draw_pooling(tokens: Sequence[str], vectors: Any, mean: Any) -> Figure:
    """Draw the vectors of tokens as rows, and below them their mean, float[D].

    Of the vectors, float[T, D], the first 40 numbers are drawn.
    """
    both = np.concatenate([np.asarray(vectors, dtype=float), np.asarray(mean)[None]])
    T, D = both.shape[0] - 1, both.shape[1]
    part = both[:, :40]
    limit = np.abs(part).max()
    size, heights = (8, 1.9 + 0.24 * T), (T, 1.3)
    figure, (upper, lower) = subplots(2, 1, figsize=size, height_ratios=heights, sharex=True)
    picture = heatmap(upper, part[:T], tokens, None, None, -limit, limit)
    heatmap(lower, part[T:], ["mean"], None, None, -limit, limit)
    upper.set_ylabel("token")
    lower.set_xticks(range(0, part.shape[1], 5), range(0, part.shape[1], 5))
    lower.set_xlabel(f"number in the vector, the first {part.shape[1]} of {D}")
    figure.colorbar(picture, ax=[upper, lower], label="value", pad=0.02)
    finding = f"{T} vectors of {D} numbers, one for each token, become one for the sentence: "
    return finish(figure, f"{finding}their mean", f"The tokens are {' '.join(tokens)}")


def plot_two_searches(
    question: str, texts: Sequence[str], scores: Mapping[str, Sequence[float]]
) -> Figure:
    """Plot the scores, "keyword" and "dense", that two searches give the same texts."""
    size = (8.6, 1.35 + 0.5 * len(texts))
    figure, axes = subplots(1, len(scores), figsize=size, sharey=True, squeeze=False)
    labels = {"keyword": "score by keyword (BM25)", "dense": "score by meaning (cosine)"}
    found = []
    for ax, (name, values) in zip(axes[0], scores.items(), strict=True):
        first = int(np.argmax(values))
        shades = [tint(WAY_COLOURS[name], 0.9 if i == first else 0.35) for i in range(len(texts))]
        bars(ax, [*zip(texts, values, strict=True)], "{:.2f}", shades, labels[name], room=1.25)
        ax.set_xlim(left=1.2 * min(0, *values))
        ax.axvline(0, color=MUTED, linewidth=0.8)
        found.append(f"{WAY_NAMES[name]} “{texts[first]}” is first")
    names = ["\n".join(textwrap.wrap(plain(text), 34)) for text in texts]
    axes[0, 0].set_yticks(range(len(texts)), names, parse_math=False)
    return finish(figure, f"“{question}”: {'; '.join(found)}")


def draw_fusion(rankings: Mapping[str, Sequence[str]], fused: Mapping[str, float]) -> Figure:
    """Draw how two lists become one: lines from each document's places to that on the fused list.

    The lists, "keyword" and "dense", have the best first, and so has `fused`, document -> sum.
    """
    (one, left), (other, right) = rankings.items()
    columns = {one: left, "fused": list(fused), other: right}
    longest = max(map(len, columns.values()))
    figure, ax = drawing((8.6, 1.0 + 0.42 * longest), (-0.9, 5.9), (longest - 0.4, -1.1))
    widths = {one: 1.3, "fused": 1.9, other: 1.3}
    for x, (name, documents) in zip((0, 2.5, 5), columns.items(), strict=True):
        colour = WAY_COLOURS[name]
        write(ax, x, -0.8, WAY_NAMES[name], colour, 11, bold=True)
        for place, document in enumerate(documents):
            total = f"   {fused[document]:.4f}" if name == "fused" else ""
            look = {"rounded": 0.1, "size": 10.5}
            box(ax, x, place, widths[name], 0.64, f"{place + 1}  {document}{total}", colour, **look)
            if name != "fused":
                inner = (0.65, 1.55) if x == 0 else (4.35, 3.45)
                ends = place, list(fused).index(document)
                ax.plot(inner, ends, color=tint(colour, 0.7), linewidth=1.4)
    first = next(iter(fused))
    places = [
        f"place {list(each).index(first) + 1} {WAY_NAMES[name]}"
        for name, each in rankings.items()
        if first in each
    ]
    lists = {WAY_NAMES[name]: ", ".join(documents) for name, documents in rankings.items()}
    finding = f"“{first}” comes first: {', '.join(places)}"
    return finish(figure, finding, listed(lists), f"Fused: {listed(fused, '{:.4f}')}")


def plot_recall(ranks: Mapping[str, Sequence[float]]) -> Figure:
    """Plot for how many questions the right article is among the first k found, with intervals.

    `ranks`: way -> the right article's rank for each question, infinite where it was not found.
    """
    figure, ax = subplots(figsize=(8, 3.7))
    depths = {1: "the first", 5: "the first 5", 10: "the first 10"}
    count, width = len(next(iter(ranks.values()))), 0.8 / len(ranks)
    recall, colours = {}, {WAY_NAMES[name]: tint(WAY_COLOURS[name], 0.75) for name in ranks}
    for i, (name, places) in enumerate(ranks.items()):
        way = WAY_NAMES[name]
        hits = [int((np.asarray(places) <= depth).sum()) for depth in depths]
        recall[way] = [100 * found / count for found in hits]
        x = np.arange(len(depths)) + (i - (len(ranks) - 1) / 2) * width
        ax.bar(x, recall[way], 0.92 * width, color=colours[way])
        ax.vlines(x, *intervals(hits, [count] * len(hits)), color="#444444", linewidth=1.4)
        for at, value in zip(x, recall[way], strict=True):
            write(ax, at, 0, f"{value:.0f}", size=10.5, bold=True, shift=(0, 8))
    ax.set_xticks(range(len(depths)), depths.values())
    ax.set(ylim=(0, 104), ylabel="% of questions", xlabel="the right article is among")
    ax.grid(axis="y")
    legend(figure, colours)
    table = {way: dict(zip(depths.values(), each, strict=True)) for way, each in recall.items()}
    tell(ax, "Bars with 95 % intervals", listed(table, "{:.0f} %"))
    best = sorted(recall, key=lambda way: -recall[way][1])
    shares = "; ".join(f"{way} for {recall[way][1]:.0f} %" for way in best)
    finding = f"The right article is among the first 5: {shares} of {count} questions"
    return finish(figure, finding)


# --- reading


def plot_candidates(
    titles: Sequence[str],
    texts: Sequence[str],
    alone: Sequence[float],
    together: Sequence[float],
    threshold: float,
) -> Figure:
    """Plot how sure the reader is of its answer in each passage, alone and among the others.

    Args:
        titles, texts: of the passages and of the answers in them, best-ranked passage first.
        alone, together: float[N], 0 to 1, the scores if this is the only passage, and of one
            softmax over all of them.
        threshold: the lowest score together that is answered.
    """
    N, best = len(titles), int(np.argmax(together))
    kinds = {"read alone": tint(START, 0.4), "one softmax over all": tint(ANSWER, 0.7)}
    shown = zip(range(1, N + 1), titles, texts, strict=True)
    names = [f"{rank}  {_cut(title, 26)}: “{_cut(text, 26)}”" for rank, title, text in shown]
    pairs = zip(names, alone, together, strict=True)
    table = {name: dict(zip(kinds, pair, strict=True)) for name, *pair in pairs}
    figure, ax = subplots(figsize=(8.6, 1.6 + 0.52 * N))
    grouped_bars(ax, table, kinds, "score, 0 to 1")
    level(ax, threshold, f"threshold {threshold:.2f}", "x")
    ax.set_xlim(0, 1.12)
    legend(figure, kinds)
    finding = f"“{texts[best]}”, from place {best + 1}, has the highest score: "
    finding += f"{together[best]:.2f}"
    if together[best] < threshold:
        finding = f"Nothing reaches {threshold:.2f}: the best guess has {together[best]:.2f}"
    return finish(figure, finding)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 4].rstrip() + " ..."


def plot_passages_read(f1: Mapping[str, Mapping[int, float]]) -> Figure:
    """Plot F1, 0 to 100, against the number of passages read, a line for each way to choose."""
    figure, ax = subplots(figsize=(8, 3.6))
    curves = {name: list(values.items()) for name, values in f1.items()}
    colours = dict(zip(f1, ("C2", "C1", "C0"), strict=False))
    lines(ax, curves, "passages read", "F1, 0 to 100", colours, marker="o")
    counts = sorted(next(iter(f1.values())))
    ax.set(xticks=counts, xlim=(counts[0] - 0.2, counts[-1] + 0.1))
    few, many = counts[0], counts[-1]
    changes = [
        f"{name}: {each[few]:.0f} with {few} read, {each[many]:.0f} with {many}"
        for name, each in f1.items()
    ]
    return finish(figure, f"F1 {'; '.join(changes)}")
