"""Figures of question answering: windows, scores of tokens and spans, thresholds, answers."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.special import expit
from transformers import PreTrainedTokenizerBase

from src.plots import (
    ANSWER,
    END,
    INK,
    MUTED,
    PALE,
    START,
    Figure,
    finish,
    listed,
    percent,
    plain,
    subplots,
    tint,
    written,
)
from src.plots.primitives import (
    GREY,
    box,
    heatmap,
    html_panel,
    legend,
    level,
    lines,
    name_bars,
    write,
)
from src.teaching.panel import Panel

if TYPE_CHECKING:
    from src.qa.decoding import Answer

Rows = Iterable[Mapping[str, Any]]  # a datasets.Dataset, or a list of its rows


# --- windows


def draw_windows(features: Rows, tokenizer: PreTrainedTokenizerBase) -> Figure:
    """Draw the windows of one question's passage: what each covers and shares, and the answer.

    `features` are the rows of one question from `src.qa.prepare_features`.
    """
    rows = list(features)
    places, answers = _passage_places(rows)
    T = 1 + max(place[-1] for place in places)
    held = np.bincount(np.concatenate(places).astype(int))  # by how many windows
    figure, ax = subplots(figsize=(8, 1.75 + 0.42 * min(len(rows), 14)))
    colours = {"[CLS] question [SEP]": "#d9d9d9", "in one window": tint(PALE, 0.45)}
    colours |= {"in several": tint(START, 0.65), "the answer": ANSWER, "cut answer": "C4"}
    gap, drawn = max(1.0, 0.015 * T), set()
    for k, (row, place, answer) in enumerate(zip(rows, places, answers, strict=True)):
        before = np.arange(-[start >= 0 for start in row["token_starts"]].index(True), 0)
        parts = [("[CLS] question [SEP]", before - gap), *_window_parts(place, held)]
        inside = np.intersect1d(max(answers, key=len), place)
        parts += [("the answer" if len(answer) else "cut answer", inside)] * (len(inside) > 0)
        for kind, tokens in parts:
            look = {"color": colours[kind], "edgecolor": MUTED, "linewidth": 0.6}
            ax.barh(k, len(tokens), 0.66, left=tokens[0], **look)
            drawn.add(kind)
        if "start_positions" in row:
            told, colour = ("the answer", ANSWER) if len(answer) else ("[CLS]", MUTED)
            write(ax, T + gap, k, f"labelled: {told}", colour, 9.5, bold=True, ha="left")
    name_bars(ax, [f"window {k + 1}" for k in range(len(rows))], "token of the passage")
    ax.spines["left"].set_visible(False)
    ax.spines["bottom"].set_bounds(0, T)
    ax.set_xlim(right=1.24 * T)
    ax.set_xticks([tick for tick in MaxNLocator(7).tick_values(0, T) if 0 <= tick <= T])
    legend(figure, {name: colour for name, colour in colours.items() if name in drawn})
    ranges = {f"window {k}": f"{place[0]} to {place[-1]}" for k, place in enumerate(places, 1)}
    finding = _windows_in_words(rows, places, answers, T, tokenizer)
    return finish(figure, finding, f"Tokens of the passage in {listed(ranges)}", written(figure))


def _window_parts(place: np.ndarray, held: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """A window's tokens of the passage, and each run of them that other windows have, too."""
    shared = place[held[place] > 1]
    runs = np.split(shared, np.flatnonzero(np.diff(shared) > 1) + 1)
    return [("in one window", place), *(("in several", run) for run in runs if len(run))]


def _windows_in_words(rows: list, places: list, answers: list, T: int, tokenizer: Any) -> str:
    finding = f"{len(rows)} window{'s' * (len(rows) > 1)}"
    finding += f" of up to {max(len(row['input_ids']) for row in rows)} tokens for a passage of {T}"
    if len(rows) > 1:
        finding += f", {len(np.intersect1d(*places[:2]))} shared (doc_stride)"
    holding = [row for row, answer in zip(rows, answers, strict=True) if len(answer)]
    if holding:
        first, last = holding[0]["start_positions"], holding[0]["end_positions"]
        text = tokenizer.decode(holding[0]["input_ids"][first : last + 1])
        text = textwrap.shorten(text, 60, placeholder=" ...")
        finding += f"; {len(holding)} of {len(rows)} with the whole answer “{text}”"
    return finding


def _passage_places(rows: list[Mapping[str, Any]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Numbers of the passage's tokens in each window, and of those that its label marks."""
    starts = [np.asarray(row["token_starts"]) for row in rows]  # -1 outside the passage
    every = np.unique(np.concatenate(starts))
    places = [np.searchsorted(every, start) - 1 for start in starts]
    answers = [
        place[row["start_positions"] : row["end_positions"] + 1]
        if row.get("start_positions")
        else place[:0]
        for row, place in zip(rows, places, strict=True)
    ]
    return [place[place >= 0] for place in places], answers


# --- scores


def _draw_scores(
    axes: Sequence[Axes], start: np.ndarray, end: np.ndarray, span: tuple[int, int]
) -> None:
    sides = zip(axes, (start, end), span, (START, END), ("start", "end"), strict=True)
    for ax, values, at, colour, side in sides:
        colours = [colour if i == at else tint(colour, 0.4) for i in range(len(values))]
        ax.bar(range(len(values)), values, 0.82, color=colours)
        ax.axvspan(span[0] - 0.5, span[1] + 0.5, color=ANSWER, alpha=0.2, linewidth=0, zorder=0)
        ax.axhline(0, color=MUTED, linewidth=0.8)
        ax.set_ylabel(f"{side} logit", color=colour)
        ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.tick_params(axis="x", length=0, labelbottom=False)
        ax.spines["bottom"].set_visible(False)
        ax.margins(y=0.15)
    axes[0].set_xlim(-0.7, len(start) - 0.3)


def _write_tokens(ax: Axes, tokens: Sequence[str], span: tuple[int, int]) -> None:
    for i, token in enumerate(tokens):
        chosen, special = span[0] <= i <= span[1], re.fullmatch(r"\[[A-Z]+\]|<.+>|⋯", token)
        colour = ANSWER if chosen else MUTED if special else INK
        look = {"xycoords": ax.get_xaxis_transform(), "rotation": 90, "va": "bottom"}
        write(ax, i, 0, token, colour, 10 if len(tokens) < 40 else 9, chosen, **look)


def _join(tokens: Sequence[str]) -> str:
    return " ".join(tokens).replace(" ##", "").removeprefix("##")


def plot_span_matrix(
    start_logits: Sequence[float],
    end_logits: Sequence[float],
    tokens: Sequence[str],
    max_answer_tokens: int = 30,
) -> Figure:
    """Draw the score of every span, start + end: rows are first tokens, columns last ones.

    The logits are float[T], for the passage's part of a window; longer spans than
    `max_answer_tokens` are not allowed.
    """
    start, end = np.asarray(start_logits, dtype=float), np.asarray(end_logits, dtype=float)
    T = len(tokens)
    length = np.arange(T) - np.arange(T)[:, None]  # of a span, less one
    allowed = (length >= 0) & (length < max_answer_tokens)
    scores = np.where(allowed, start[:, None] + end, -np.inf)
    first, last = (int(i) for i in np.unravel_index(np.argmax(scores), scores.shape))
    size = min(T, max(26, last - first + 1))
    begin = min(max(0, (first + last + 1 - size) // 2), T - size)
    part = slice(begin, begin + size)
    figure, ax = subplots(figsize=(8, 5))
    drawn = np.where(allowed, scores, 0)[part, part], tokens[part], tokens[part]
    unit = "start logit + end logit"
    heatmap(ax, *drawn, low=None, allowed=allowed[part, part], unit=unit, size=9)
    box(ax, last - begin, first - begin, 1, 1, edge=END, face="none", line=3)
    ax.get_yticklabels()[first - begin].set(fontweight="bold", color=START)
    ax.get_xticklabels()[last - begin].set(fontweight="bold", color=END)
    ax.set(xlabel="last token of the span", ylabel="first token of the span")
    if size >= 6:
        write(ax, 0.25 * size, 0.78 * size, "not allowed:\nends before it starts", GREY, 11)
    best = _sum(start[first], end[last])
    finding = f"Of {int(allowed.sum()):,} allowed spans “{_join(tokens[first : last + 1])}” scores"
    shows = f"Heatmap of span scores, first token by last: tokens {begin} to {begin + size - 1}"
    return finish(figure, f"{finding} highest: {best}", f"{shows} of {T}")


def _sum(a: float, b: float) -> str:
    return f"{a:.1f} {'+' if b >= 0 else '−'} {abs(b):.1f} = {a + b:.1f}".replace("-", "−")


def plot_threshold(
    scores: Sequence[float], has_answer: Sequence[bool], f1: Sequence[float], chosen: float
) -> Figure:
    """Plot what each threshold would answer and refuse: a score that reaches it is answered.

    Args:
        scores: float[N] in [0, 1], how sure the reader is of its best answer.
        has_answer: bool[N].
        f1: float[N] in [0, 1] of the best answers. By SQuAD 2.0's rule a refusal scores 1 where
            there is no answer, else 0.
        chosen: the threshold to mark.
    """
    sure, answerable = np.asarray(scores, dtype=float), np.asarray(has_answer, dtype=bool)
    grid = np.union1d(expit(np.linspace(-7, 7, 301)), [chosen])  # dense near 0 and 1
    answered = sure >= grid[:, None]  # bool[G, N]
    shares = {
        "answerable: answered": answered[:, answerable].mean(axis=1),
        "unanswerable: refused": 1 - answered[:, ~answerable].mean(axis=1),
        "F1 over all": np.where(answered, np.where(answerable, f1, 0), ~answerable).mean(axis=1),
    }
    marked = [values[grid == chosen].item() for values in shares.values()]
    colours = dict(zip(shares, (START, END, ANSWER), strict=True))
    figure, ax = subplots(figsize=(8, 3.9))
    labels = "threshold: the lowest score that is answered", "% of questions, or F1"
    x, place = (np.clip(each, expit(-7), expit(7)) for each in (grid, chosen))  # not 0, not 1
    curves = {name: np.stack([x, 100 * values], axis=1) for name, values in shares.items()}
    ax.set_xscale("logit")
    lines(ax, curves, *labels, colours, xlim=(x[0], x[-1]), ylim=(0, 105))
    figure.told.clear()  # the ends of the grid say nothing; the finding has what is marked
    ticks = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    for value, colour in zip(marked, colours.values(), strict=True):
        ax.plot(place, 100 * value, "o", color=colour, markeredgecolor="white")
    level(ax, place, f"threshold {chosen:.2f}", "x")
    finding = f"At {chosen:.2f} the reader answers {percent(marked[0])} of {answerable.sum()} "
    finding += f"answerable questions and refuses {percent(marked[1])} of {(~answerable).sum()} "
    finding += "unanswerable ones"
    return finish(figure, finding, f"F1 over all questions is {100 * marked[2]:.1f} there")


# --- pictures


def draw_question_to_answer(
    question: str,
    context: str,
    tokens: Sequence[str],
    start_logits: Sequence[float],
    end_logits: Sequence[float],
    span: tuple[int, int],
) -> Figure:
    """Draw one question on its way: text, tokens, two logits for each, the answer read off.

    `tokens` are some 30 at most, `span` the answer's first and last.
    """
    start, end = np.asarray(start_logits, dtype=float), np.asarray(end_logits, dtype=float)
    T, (first, last) = len(tokens), span
    texts = [f"question: {plain(question)}", f"passage: {plain(context)}"]
    wrapped = [line for text in texts for line in textwrap.wrap(text, 82)]
    size, heights = (8, 4.2 + 0.22 * len(wrapped)), (0.25 * len(wrapped), 0.8, 1, 1)
    figure, axes = subplots(4, 1, figsize=size, sharex=True, height_ratios=heights)
    for ax, name in zip(axes, ("text", "tokens"), strict=False):
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0, labelleft=False, labelbottom=False)
        ax.set_ylabel(name, color=MUTED)
    look = {"xycoords": "axes fraction", "ha": "left", "linespacing": 1.35}
    write(axes[0], 0, 0.5, "\n".join(wrapped), size=11, **look)
    _write_tokens(axes[1], tokens, span)
    _draw_scores(axes[2:], start, end, span)
    text = _join(tokens[first : last + 1])
    at = {"xycoords": axes[3].get_xaxis_transform(), "va": "top", "shift": (0, -5)}
    side = "left" if first < 0.2 * T else "right" if last > 0.8 * T else "center"
    write(axes[3], (first + last) / 2, 0, f"answer: {text}", ANSWER, 12, True, ha=side, **at)
    total = _sum(start[first], end[last])
    finding = f"{T} tokens, {2 * T} logits, one answer: “{text}”, where start and end score {total}"
    return finish(figure, finding, written(figure))


# --- answers in their passage


def show_answer(answer: Answer, context: str, question: str | None = None) -> Panel:
    """Show the passage with the answer highlighted and how sure the reader is, or its refusal.

    Raises:
        ValueError: the answer is not at its place in `context`.
    """
    if context[answer.start : answer.end] != answer.text:
        found = f"the answer {answer.text!r} is not at characters {answer.start} to {answer.end}"
        raise ValueError(f"{found} of this passage; show it with its own.")
    passage = with_marks(context, answer.start, answer.end)
    verdict = f"{answer.text} ({answer.score:.2f} sure)"
    if not answer.text:
        passage = html.escape(context)
        verdict = f"no answer in this passage ({answer.score:.2f} sure of the best guess)"
    shown = answer_box(passage, html.escape(verdict), answer.score, not answer.text, question)
    return html_panel(shown, f"{question or ''} {verdict}".strip())


def with_marks(context: str, start: int, end: int) -> str:
    """The passage as HTML, with context[start:end] marked as the answer."""
    style = "background:rgba(0,158,115,.32);color:inherit;border-bottom:2px solid #009e73;"
    answer = html.escape(context[start:end])
    mark = f'<mark style="{style}padding:0 2px;font-weight:bold">{answer}</mark>'
    return f"{html.escape(context[:start])}{mark}{html.escape(context[end:])}"


def answer_box(
    passage: str,
    verdict: str,
    score: float,
    refused: bool,
    question: str | None = None,
    below: str = "",
) -> str:
    """A question, a passage, a bar of how sure and the verdict, in a box with a coloured edge.

    `passage`, `verdict` and `below`, the very end, are HTML, `question` is text.
    """
    colour = "#8a8a8a" if refused else "#009e73"
    frame = f"width:90px;height:9px;border:1px solid {colour};border-radius:5px;overflow:hidden"
    fill = f'<span style="display:block;width:{100 * score:.0f}%;height:100%;background:{colour}">'
    bar = (
        f'<span role="img" aria-label="score {score:.2f} of 1" style="display:inline-block;{frame};'
        f'vertical-align:middle;margin-right:8px">{fill}</span></span>'
    )
    asked = f'<div style="font-weight:bold" dir="auto">{html.escape(question or "")}</div>'
    shown = f'<div style="white-space:pre-wrap" dir="auto">{passage}</div>' if passage else ""
    edge = f"border-left:4px solid {colour};padding:6px 12px;margin:6px 0;max-width:46em"
    return (
        f'<div style="{edge};line-height:1.5;color:inherit">{asked if question else ""}{shown}'
        f'<div style="margin-top:6px">{bar}<strong>{verdict}</strong></div>{below}</div>'
    )
