"""Figures of question answering: windows, questions, scores over tokens and spans, thresholds, weights, answers (notebook 06)."""

from __future__ import annotations

import html
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import matplotlib
import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from transformers import PreTrainedTokenizerBase

from src.plots import (
    ANSWER,
    END,
    FAINT,
    INK,
    MUTED,
    PALE,
    START,
    Figure,
    alt,
    clean_axes,
    headline,
    join_tokens,
    label_line_ends,
    percent,
    plain,
    subplots,
    tint,
)
from src.qa.features import choose_answer

Rows = Iterable[Mapping[str, Any]]  # a datasets.Dataset, or a list of its rows


class AnswerLike(Protocol):
    """What `show_answer` needs of an answer: text is "" for a refusal; start and end count characters of the passage."""

    text: str
    start: int
    end: int
    score: float
    null_score: float


# --- windows -------------------------------------------------------------------------------------------------------------


def draw_windows(features: Rows, tokenizer: PreTrainedTokenizerBase) -> Figure:
    """Draw the windows of one question's passage: what each covers, what two share, and which holds the whole answer.

    features: the rows of one question from `src.qa.prepare_features`: input_ids, token_starts, token_ends int[T] (characters,
    -1 on tokens that are not the passage's), example_index and, where labelled, start_positions and end_positions.
    tokenizer: the one they were made with; it tells the answer's text and the [CLS] token.
    Raises ValueError where there is no window, or windows of more than one question.
    """
    rows = list(features)
    if not rows or len({row["example_index"] for row in rows}) != 1:
        raise ValueError(
            f"draw_windows needs the windows of one question, not of {len({row['example_index'] for row in rows})}; "
            "give it prepare_features(dataset.select([i]), tokenizer, ...)."
        )
    spans, places = _passage_tokens(rows)
    answer = _labelled_answer(rows, places)
    whole = [bool(_label(row)) for row in rows]
    labelled = "start_positions" in rows[0]
    before = [
        int(np.argmax(np.asarray(row["token_starts"]) >= 0)) if len(place) else len(row["input_ids"])
        for row, place in zip(rows, places, strict=True)
    ]

    T = len(spans)
    covered = np.zeros(T, dtype=int)  # windows that hold each token
    for place in places:
        covered[place] += 1
    gap = max(1.0, 0.015 * T)
    roomy = len(rows) <= 14
    figure, ax = subplots(figsize=(8, 1.75 + (0.42 if roomy else 0.17) * len(rows)))
    alone, several = tint(PALE, 0.45), tint(START, 0.65)
    for k, (_, place, question_size) in enumerate(zip(rows, places, before, strict=True)):
        block = ax.barh(k, question_size, 0.66, left=-gap - question_size, color="#d9d9d9", edgecolor=MUTED, linewidth=0.8)
        block[0].set_gid(f"question {k}")
        if roomy:
            text = "[CLS] question [SEP]" if question_size > 0.25 * T else "question" if question_size > 0.12 * T else ""
            ax.text(-gap - question_size / 2, k, text, ha="center", va="center", fontsize=8.5, color=INK)
        if not len(place):
            continue
        first, last = int(place[0]), int(place[-1])
        bar = ax.barh(k, last + 1 - first, 0.66, left=first, color=alone, edgecolor=START, linewidth=1)
        bar[0].set_gid(f"window {k}")
        for start, stop in _runs(covered[first : last + 1] > 1, first):
            shared = ax.barh(k, stop - start, 0.66, left=start, color=several, linewidth=0)
            shared[0].set_gid(f"overlap {k}")
        inside = [token for token in answer if first <= token <= last]
        if inside:
            colour = ANSWER if whole[k] else "C4"
            mark = ax.barh(k, len(inside), 0.66, left=inside[0], color=colour, edgecolor=INK, linewidth=0.8)
            mark[0].set_gid(f"answer {k}")
        if labelled and roomy:
            text, colour = ("labelled: the answer", ANSWER) if whole[k] else ("labelled: [CLS]", MUTED)
            ax.text(T + gap, k, text, ha="left", va="center", fontsize=9.5, color=colour, fontweight="bold").set_gid(f"label {k}")

    ax.set_ylim(len(rows) - 0.45, -0.55)
    ax.set_yticks(
        range(len(rows)) if roomy else range(0, len(rows), 5),
        [f"window {k + 1}" for k in (range(len(rows)) if roomy else range(0, len(rows), 5))],
    )
    ax.set_xlim(-gap - max(before) - gap / 2, T * (1.24 if labelled and roomy else 1.02))
    ticks = [tick for tick in matplotlib.ticker.MaxNLocator(7, integer=True).tick_values(0, T) if 0 <= tick <= T]
    ax.set_xticks(ticks)
    ax.set_xlabel("token of the passage")
    ax.spines["bottom"].set_bounds(0, T)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)

    length, shared = max(len(row["input_ids"]) for row in rows), _overlap(places)
    windows = "1 window" if len(rows) == 1 else f"{len(rows)} windows"
    finding = f"{windows} of up to {length} tokens {'reads' if len(rows) == 1 else 'read'} a passage of {T}"
    text = _answer_text(rows, tokenizer)
    if answer:
        finding += f"; {_count(sum(whole), len(rows))} the whole answer “{plain(text)}”"
    elif labelled:
        finding += "; none holds an answer"
    headline(figure, finding)
    handles = [
        Rectangle((0, 0), 1, 1, facecolor="#d9d9d9", edgecolor=MUTED, label="[CLS] question [SEP]"),
        Rectangle((0, 0), 1, 1, facecolor=alone, edgecolor=START, label="in one window"),
    ]
    if shared:
        handles.append(Rectangle((0, 0), 1, 1, facecolor=several, label=f"in several (doc_stride {shared})"))
    if any(whole):
        handles.append(Rectangle((0, 0), 1, 1, facecolor=ANSWER, edgecolor=INK, label="the answer"))
    if answer and any(set(answer) & set(place.tolist()) and not held for place, held in zip(places, whole, strict=True)):
        handles.append(Rectangle((0, 0), 1, 1, facecolor="C4", edgecolor=INK, label="cut answer"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=4 if len(handles) < 5 else 3,
        frameon=False,
        fontsize=9.5,
        handlelength=1.2,
        columnspacing=1.4,
    )
    ranges = "; ".join(
        f"window {k + 1} holds tokens {place[0]} to {place[-1]}"
        + (", labelled with the answer" if whole[k] else ", labelled [CLS]" if labelled else "")
        for k, place in enumerate(places)
        if len(place)
    )
    return alt(figure, f"Bars over a passage of {T} tokens, one per window, the question before each. {finding}: {ranges}.")


def _passage_tokens(rows: list[Mapping[str, Any]]) -> tuple[list[tuple[int, int]], list[np.ndarray]]:
    """Character spans of the passage's tokens in order, and for every window the numbers of the tokens it holds, int[]."""
    held = [[(s, e) for s, e in zip(row["token_starts"], row["token_ends"], strict=True) if s >= 0] for row in rows]
    spans = sorted({span for window in held for span in window})
    number = {span: i for i, span in enumerate(spans)}
    return spans, [np.array([number[span] for span in window], dtype=int) for window in held]


def _label(row: Mapping[str, Any]) -> tuple[int, int] | None:
    """First and last position of the answer in this window; None where the label is [CLS] or there is none."""
    start = row.get("start_positions")
    if start is None or row["token_starts"][start] < 0:
        return None
    return start, row["end_positions"]


def _labelled_answer(rows: list[Mapping[str, Any]], places: list[np.ndarray]) -> list[int]:
    """Numbers of the passage tokens that are the answer, [] where no window holds it."""
    for row, place in zip(rows, places, strict=True):
        label = _label(row)
        if label:
            offset = int(place[0]) - int(np.argmax(np.asarray(row["token_starts"]) >= 0))
            return list(range(label[0] + offset, label[1] + offset + 1))
    return []


def _answer_text(rows: list[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase) -> str:
    """The answer as the tokenizer spells it."""
    for row in rows:
        label = _label(row)
        if label:
            return tokenizer.decode(row["input_ids"][label[0] : label[1] + 1])
    return ""


def _overlap(places: list[np.ndarray]) -> int:
    """Tokens that the first two windows share: the stride, since only the last window may share more."""
    return len(np.intersect1d(places[0], places[1])) if len(places) > 1 else 0


def _runs(flags: np.ndarray, offset: int) -> list[tuple[int, int]]:
    """Runs of True as (start, stop), counted from `offset`."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(int)))
    return [(int(a) + offset, int(b) + offset) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _count(k: int, n: int) -> str:
    """How many of the n windows hold something, as a clause: "both hold", "1 of 4 holds"."""
    if k == n:
        return "it holds" if n == 1 else "all hold"
    return f"{k} of them {'holds' if k == 1 else 'hold'}"


# --- the questions -------------------------------------------------------------------------------------------------------


def plot_answer_positions(dataset: Rows) -> Figure:
    """Plot where in their passages the answers start, and how long they are.

    dataset: rows with context and answers (SQuAD's columns); where people gave several, the most frequent counts.
    Unanswerable questions are left out; raises ValueError where nothing remains.
    """
    places, words = [], []
    for row in dataset:
        answer = choose_answer(row["answers"])
        if answer:
            places.append(answer[0] / len(row["context"]))
            words.append(len(row["context"][slice(*answer)].split()))
    if not places:
        raise ValueError("none of these questions has an answer in its passage, so there are no positions to plot.")
    middle, typical, N = float(np.median(places)), int(np.median(words)), len(places)

    figure, (left, right) = subplots(1, 2, figsize=(8, 3.4), width_ratios=(1.25, 1))
    counts, edges = np.histogram(places, bins=10, range=(0, 1))
    left.bar(edges[:-1] * 100, 100 * counts / N, 10, align="edge", color=START, edgecolor="white")
    left.axvline(100 * middle, color=END, linewidth=2)
    left.set_ylim(0, 115 * counts.max() / N)
    near_end = middle > 0.6
    left.text(
        100 * middle + (-2 if near_end else 2),
        112 * counts.max() / N,
        f"median {percent(middle)}",
        color=END,
        va="top",
        ha="right" if near_end else "left",
        fontweight="bold",
    )
    left.set_xlim(0, 100)
    left.set_xlabel("start of the answer, % of the passage")
    left.set_ylabel("answers, %")

    most = 8
    lengths = Counter(min(length, most) for length in words)
    right.bar(
        range(1, most + 1),
        [100 * lengths[length] / N for length in range(1, most + 1)],
        0.85,
        color=[START if length <= typical else PALE for length in range(1, most + 1)],
    )
    right.set_xticks(range(1, most + 1), [*map(str, range(1, most)), f"{most}+"])
    right.set_xlabel("length of the answer, words")
    right.set_ylabel("answers, %")
    left.grid(axis="y")
    right.grid(axis="y")
    short = sum(length <= typical for length in words) / N
    finding = f"Half of all answers start in the first {percent(middle)} of their passage; {percent(short)} have {_words(typical)}"
    headline(figure, finding)
    bars = ", ".join(f"{100 * count / N:.0f}" for count in counts)
    by_length = ", ".join(f"{100 * lengths[length] / N:.0f}" for length in range(1, most + 1))
    return alt(
        figure,
        f"Two histograms of {N:,} answers. {finding}. Percent of answers starting in each tenth of the passage: {bars}. "
        f"Percent by length in words, 1 to {most} or more: {by_length}.",
    )


def _words(n: int) -> str:
    return "one word" if n == 1 else f"at most {n} words"


def plot_question_mix(splits: Mapping[str, Rows], first_words: int = 8) -> Figure:
    """Plot how many questions of each split have an answer in their passage, and how the questions begin.

    splits: name -> rows with question and answers (SQuAD's columns), such as a DatasetDict.
    first_words: how many of the most frequent first words get a bar; the others share one.
    """
    sizes: dict[str, tuple[int, int]] = {}
    words: Counter[tuple[str, bool]] = Counter()
    for name, rows in splits.items():
        has_answer = []
        for row in rows:
            has_answer.append(bool(row["answers"]["text"]))
            words[(row["question"].split() or [""])[0].lower(), has_answer[-1]] += 1
        sizes[name] = (sum(has_answer), len(has_answer) - sum(has_answer))
    total = words.total()
    if not total:
        raise ValueError("these splits hold no question.")
    unanswerable = sum(no for _, no in sizes.values()) / total
    by_word = Counter({word: words[word, True] + words[word, False] for word, _ in words})
    common = [word for word, _ in by_word.most_common(first_words)]
    bars = [(f"{plain(word)} …", words[word, True], words[word, False]) for word in common]
    others = [word for word in by_word if word not in common]
    if others:
        bars.append(("others", sum(words[w, True] for w in others), sum(words[w, False] for w in others)))

    figure, (left, right) = subplots(1, 2, figsize=(8, 1.5 + max(0.27 * len(bars), 0.4 * max(3, len(sizes)))), width_ratios=(1, 1.25))
    _stacked(left, [(name, *size) for name, size in sizes.items()])
    _stacked(right, bars, total)
    left.set_xlabel("questions")
    right.set_xlabel("questions, % of all")
    handles = [Rectangle((0, 0), 1, 1, facecolor=c) for c in (START, END)]
    figure.legend(
        handles,
        ["the passage holds the answer", "it does not: unanswerable"],
        loc="outside lower center",
        ncols=2,
        frameon=False,
        fontsize=10,
        handlelength=1.2,
    )
    finding = f"{percent(unanswerable)} of the {total:,} questions have no answer in their passage"
    if not unanswerable:
        finding = f"All {total:,} questions have an answer in their passage"
    finding += f"; {percent(by_word[common[0]] / total)} begin with “{plain(common[0])}”"
    headline(figure, finding)
    parts = "; ".join(f"{name}: {yes:,} answerable, {no:,} unanswerable" for name, (yes, no) in sizes.items())
    starts = ", ".join(f"{word} {100 * by_word[word] / total:.0f} %" for word in common)
    return alt(figure, f"Stacked bars. {finding}. By split: {parts}. By first word: {starts}.")


def _stacked(ax: Axes, bars: list[tuple[str, int, int]], total: int | None = None) -> None:
    """Horizontal bars (name, answerable, unanswerable) from the top down, with the sum at the end; in percent of `total` if given."""
    for y, (_, yes, no) in enumerate(bars):
        unit = 100 / total if total else 1
        ax.barh(y, yes * unit, 0.7, color=START)
        ax.barh(y, no * unit, 0.7, left=yes * unit, color=END)
        label = f"{(yes + no) * unit:.0f}" if total else f"{yes + no:,} ({percent(no / (yes + no)) if yes + no else '0 %'})"
        ax.annotate(label, ((yes + no) * unit, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=10)
    widest = max(yes + no for _, yes, no in bars) * (100 / total if total else 1)
    ax.set_xlim(0, widest * (1.16 if total else 1.45))
    ax.set_ylim(max(len(bars), 3) - 0.4, -0.6)
    ax.set_yticks(range(len(bars)), [name for name, _, _ in bars], parse_math=False)
    ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4, integer=True))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")


# --- scores --------------------------------------------------------------------------------------------------------------


def plot_token_scores(
    tokens: Sequence[str],
    start_probs: Sequence[float],
    end_probs: Sequence[float],
    answer: tuple[int, int] | None = None,
    show: int = 46,
) -> Figure:
    """Plot each token's probability of being the answer's start (upwards) and its end (downwards), the answer marked.

    tokens: str[T], question and passage as the model reads them   start_probs, end_probs: float[T], each summing to one
    answer: first and last token of the span to mark; None takes the likeliest. (0, 0) is [CLS], which stands for "no answer".
    show: at most so many tokens are drawn: [CLS], and the part around the answer.
    """
    start, end = np.asarray(start_probs, dtype=float), np.asarray(end_probs, dtype=float)
    T = len(tokens)
    if not (start.shape == end.shape == (T,)) or T == 0:
        raise ValueError(f"needs one start and one end probability per token: {T} tokens, shapes {start.shape} and {end.shape}.")
    if answer is None:
        answer = np.unravel_index(np.argmax(np.triu(np.outer(start, end))), (T, T))
    first, last = int(answer[0]), int(answer[1])
    if not 0 <= first <= last < T:
        raise ValueError(f"the answer {answer} is not a span of the {T} tokens.")
    shown = _around(T, first, last, show)
    labels = ["⋯" if i is None else plain(tokens[i]) for i in shown]
    where = {i: x for x, i in enumerate(shown) if i is not None}
    x = np.array(list(where.values()))
    kept = list(where)

    figure, (upper, lower) = subplots(2, 1, figsize=(8, 4.2), sharex=True)
    highest = max(start[kept].max(), end[kept].max())
    for ax, probs, colour, name in ((upper, start, START, "start"), (lower, end, END, "end")):
        ax.bar(x, probs[kept] * 100, 0.82, color=colour)
        ax.axvspan(where[first] - 0.5, where[last] + 0.5, color=ANSWER, alpha=0.2, linewidth=0, zorder=0)
        ax.set_ylabel(f"P({name}), %", color=colour)
        ax.set_ylim(0, max(5, 118 * highest))
        ax.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(3))
        ax.grid(axis="y")
    for ax, probs, at, offset, side in ((upper, start, first, 3, "bottom"), (lower, end, last, -3, "top")):
        ax.annotate(
            percent(probs[at]).replace("over ", ">").replace("under ", "<"),
            (where[at], 100 * probs[at]),
            xytext=(0, offset),
            textcoords="offset points",
            ha="center",
            va=side,
            fontsize=10,
            fontweight="bold",
            color=INK,
        )
    lower.invert_yaxis()
    lower.spines["bottom"].set_visible(False)
    lower.spines["top"].set_visible(True)
    lower.tick_params(axis="x", length=0, labelbottom=False)
    upper.tick_params(axis="x", length=0, pad=2, labelbottom=True)
    upper.set_xticks(range(len(shown)), labels, rotation=90, fontsize=10 if len(shown) <= 40 else 9, parse_math=False)
    upper.set_xlim(-0.7, len(shown) - 0.3)
    for i, text in zip(shown, upper.get_xticklabels(), strict=True):
        special = i is None or re.fullmatch(r"\[[A-Z]+\]|<.+>", tokens[i])
        chosen = i is not None and first <= i <= last
        text.set(color=ANSWER if chosen else MUTED if special else INK, fontweight="bold" if chosen else "normal")
    text = join_tokens(list(tokens[first : last + 1]))
    if first == last == 0:
        finding = f"No answer: {text} takes {percent(start[0])} of the start and {percent(end[0])} of the end"
    else:
        finding = f"The likeliest answer is “{text}”: {percent(start[first])} of the start and {percent(end[last])} of the end fall on it"
    headline(figure, finding)
    return alt(
        figure,
        f"Bars over {len(kept)} tokens, start probabilities upwards, end probabilities downwards. {finding}. "
        f"Tokens shown: {' '.join(labels)}.",
    )


def _around(T: int, first: int, last: int, show: int) -> list[int | None]:
    """At most `show` positions to draw: all, or [CLS] and the stretch around the answer (its two ends if it is longer); None is a gap."""
    if show >= T:
        return list(range(T))
    room = max(2, show - 4)  # without [CLS] and three gaps
    if last - first < room:
        begin = min(max(1, (first + last + 1 - room) // 2), T - room)
        kept = list(range(begin, begin + room))
    else:
        kept = [*range(first, first + room // 2), *range(last + 1 - room // 2, last + 1)]
    shown: list[int | None] = []
    for position in [0, *kept] if kept[0] else kept:
        if shown and position != shown[-1] + 1:
            shown.append(None)
        shown.append(position)
    return shown if kept[-1] == T - 1 else [*shown, None]


def plot_span_matrix(
    start_logits: Sequence[float],
    end_logits: Sequence[float],
    tokens: Sequence[str],
    max_answer_tokens: int = 30,
    show: int = 26,
) -> Figure:
    """Draw the score of every span, start + end, as a heatmap: rows are first tokens, columns are last tokens.

    start_logits, end_logits: float[T]   tokens: str[T], the passage's part of a window (leave out [CLS] and question)
    max_answer_tokens: longer spans are not allowed. Spans that end before they start, or are too long, are grey.
    show: at most so many tokens are drawn, those around the best span. The best span over all T tokens is marked.
    """
    start, end = np.asarray(start_logits, dtype=float), np.asarray(end_logits, dtype=float)
    T = len(tokens)
    if not (start.shape == end.shape == (T,)) or T == 0:
        raise ValueError(f"needs one start and one end logit per token: {T} tokens, shapes {start.shape} and {end.shape}.")
    rows, columns = np.indices((T, T))
    allowed = (columns >= rows) & (columns - rows < max_answer_tokens)
    scores = np.where(allowed, start[:, None] + end[None, :], -np.inf)
    first, last = (int(i) for i in np.unravel_index(np.argmax(scores), scores.shape))
    size = min(T, max(show, last - first + 1))
    begin = min(max(0, (first + last + 1 - size) // 2), T - size)
    part = slice(begin, begin + size)

    figure, ax = subplots(figsize=(8, 6.6))
    cells = np.ma.masked_where(~allowed[part, part], scores[part, part])
    colours = matplotlib.colormaps[matplotlib.rcParams["image.cmap"]].with_extremes(bad=FAINT)
    picture = ax.imshow(cells, cmap=colours)
    ax.add_patch(Rectangle((last - begin - 0.5, first - begin - 0.5), 1, 1, fill=False, edgecolor=END, linewidth=3, gid="best"))
    labels = [plain(token) for token in tokens[part]]
    ax.set_xticks(range(size), labels, rotation=90, fontsize=9.5, parse_math=False)
    ax.set_yticks(range(size), labels, fontsize=9.5, parse_math=False)
    for i, x_label, y_label in zip(range(begin, begin + size), ax.get_xticklabels(), ax.get_yticklabels(), strict=True):
        for label, at, colour in ((y_label, first, START), (x_label, last, END)):
            if i == at:
                label.set(fontweight="bold", color=colour)
    ax.set_xlabel("last token of the span")
    ax.set_ylabel("first token of the span")
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if size >= 6:
        ax.text(0.25 * size, 0.78 * size, "not allowed:\nends before it starts", ha="center", va="center", color="#666666", fontsize=11)
    if size - max_answer_tokens >= 6:
        ax.text(size - 0.9, -0.1, f"longer than\n{max_answer_tokens} tokens", ha="right", va="top", color="#666666", fontsize=10)
    figure.colorbar(picture, ax=ax, label="start logit + end logit", shrink=0.75, pad=0.02)
    text = join_tokens(list(tokens[first : last + 1]))
    best = scores[first, last]
    finding = f"Of {int(allowed.sum()):,} allowed spans “{text}” scores highest: {_sum(start[first], end[last], best)}"
    headline(figure, finding)
    drawn = "" if size == T else f" Drawn: tokens {begin} to {begin + size - 1} of {T}."
    return alt(figure, f"Heatmap of span scores, first token by last token; spans that end before they start are grey. {finding}.{drawn}")


def _sum(a: float, b: float, total: float) -> str:
    """The addition as people write it, with true minus signs."""
    return f"{a:.1f} {'+' if b >= 0 else '−'} {abs(b):.1f} = {total:.1f}".replace("-", "−")


def plot_threshold(
    scores: Sequence[float],
    has_answer: Sequence[bool],
    f1: Sequence[float] | None = None,
    chosen: float | None = None,
) -> Figure:
    """Plot what each threshold would answer and refuse: a question is answered where its score reaches the threshold.

    scores: float[N] in [0, 1], how sure the reader is of its best answer   has_answer: bool[N], whether the passage holds one
    f1: float[N] in [0, 1] of the best answers (ignored where there is none to find), for the F1 by SQuAD 2.0's rule:
    a refusal scores 1 on an unanswerable question, 0 on an answerable one.
    chosen: the threshold to mark; None takes the one with the best F1 or, without f1, the best mean of the two shares.
    """
    sure, answerable = np.asarray(scores, dtype=float), np.asarray(has_answer, dtype=bool)
    if sure.shape != answerable.shape or sure.ndim != 1 or answerable.all() or not answerable.any():
        raise ValueError("needs one score and one has_answer per question, and questions of both kinds.")
    if not ((sure >= 0) & (sure <= 1)).all():
        raise ValueError("scores must lie in [0, 1].")
    grid = np.union1d(np.linspace(0, 1, 201), [] if chosen is None else [chosen])
    answers = sure[None, :] >= grid[:, None]  # bool[G, N]
    answered = answers[:, answerable].mean(axis=1)
    refused = 1 - answers[:, ~answerable].mean(axis=1)
    total = None
    if f1 is not None:
        gained = np.where(answerable, np.asarray(f1, dtype=float), 0.0)
        total = np.where(answers, gained, ~answerable).mean(axis=1)
    if chosen is None:
        chosen = float(grid[np.argmax(total if total is not None else answered + refused)])
    at = int(np.argmin(np.abs(grid - chosen)))

    figure, ax = subplots(figsize=(8, 3.9))
    lines = [(answered, "answerable: answered", START), (refused, "unanswerable: refused", END)]
    if total is not None:
        lines.append((total, "F1 over all", ANSWER))
    for values, _, colour in lines:
        ax.plot(grid, 100 * values, color=colour)
        ax.plot(chosen, 100 * values[at], "o", color=colour, markersize=7, markeredgecolor="white", zorder=4)
    ax.axvline(chosen, color=INK, linestyle="--", linewidth=1.2)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 105)
    ax.annotate(
        f"threshold {chosen:.2f}",
        (chosen, 0),
        xytext=(5 if chosen < 0.7 else -5, 5),
        textcoords="offset points",
        ha="left" if chosen < 0.7 else "right",
        fontweight="bold",
    )
    ax.grid(axis="y")
    ax.set_xlabel("threshold: the lowest score that is answered")
    ax.set_ylabel("% of questions, or F1")
    label_line_ends(ax, [(1.0, 100 * values[-1], name, colour) for values, name, colour in lines])
    finding = f"At {chosen:.2f} the reader answers {percent(answered[at])} of the answerable questions"
    finding += f" and refuses {percent(refused[at])} of the unanswerable ones"
    headline(figure, finding)
    best = f" F1 over all questions is {100 * total[at]:.1f} there." if total is not None else ""
    return alt(
        figure,
        f"Lines against the threshold from 0 to 1: with a higher one fewer questions are answered and more are refused. {finding}.{best}",
    )


# --- pictures ------------------------------------------------------------------------------------------------------------

READ = "#8a5a00"  # an output vector that a head reads

HEADS = (
    # name, input tokens, positions whose output vectors the head reads, what each of them gives, the question it answers
    ("class", ["[CLS]", "what", "a", "great", "film", "[SEP]"], [0], ["positive 0.97"], "one label for the text: is this review positive?"),
    (
        "span",
        ["[CLS]", "how", "old", "?", "[SEP]", "she", "is", "eight", "[SEP]"],
        None,
        None,
        "two scores for each token: where does the answer start, where does it end?",
    ),
    (
        "pair",
        ["[CLS]", "a", "dog", "runs", "[SEP]", "it", "moves", "[SEP]"],
        [0],
        ["follows 0.94"],
        "one label for two texts: does the second follow from the first?",
    ),
    (
        "tag",
        ["[CLS]", "Ada", "lives", "in", "Paris", "[SEP]"],
        [1, 2, 3, 4],
        ["person", "–", "–", "place"],
        "one label for each token: which words are names?",
    ),
)


def draw_four_heads() -> Figure:
    """Draw one encoder under four heads (class, span, pair, tag), and which of its output vectors each head reads.

    class: [CLS] only; span: every token, twice (start and end); pair: [CLS], after two texts; tag: every token, once.
    """
    figure, axes = subplots(2, 2, figsize=(8, 5.8))
    for ax, (name, tokens, used, outputs, question) in zip(axes.flat, HEADS, strict=True):
        _draw_head(ax, name, tokens, used, outputs, question)
    headline(figure, "One encoder, four heads: they differ only in which output vectors they read")
    return alt(
        figure,
        "Four small diagrams of the same encoder, tokens going in below, one output vector per token coming out above. The class head "
        "reads the vector of [CLS] and gives one label. The span head reads every token's vector twice, for a start and an end score. "
        "The pair head reads the vector of [CLS] after two texts. The tag head reads every word's vector and gives each a label.",
    )


def _draw_head(ax: Axes, name: str, tokens: list[str], used: list[int] | None, outputs: list[str] | None, question: str) -> None:
    """One encoder and one head, in a unit square: tokens, encoder, output vectors, what the head gives."""
    clean_axes(ax)
    T = len(tokens)
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(0, 1)
    x = (np.arange(T) + 0.5) / T
    width = 0.86 / T
    reads = list(range(T)) if used is None else used
    ax.add_patch(
        FancyBboxPatch(
            (0.01, 0.24),
            0.98,
            0.15,
            boxstyle="round,pad=0,rounding_size=0.02",
            facecolor="#e9edf2",
            edgecolor="#5b6b7b",
            linewidth=1.3,
        )
    )
    ax.text(0.5, 0.315, "encoder", ha="center", va="center", fontsize=11, color=INK)
    for i, token in enumerate(tokens):
        ax.text(x[i], 0.1, token, ha="center", va="center", fontsize=8.6, color=MUTED if token.startswith("[") and i not in reads else INK)
        ax.add_patch(
            FancyArrowPatch(
                (x[i], 0.15), (x[i], 0.235), arrowstyle="-|>", mutation_scale=7, color=MUTED, linewidth=0.9, shrinkA=0, shrinkB=0
            )
        )
        ax.add_patch(
            Rectangle(
                (x[i] - width / 2, 0.44),
                width,
                0.07,
                facecolor=tint(READ, 0.75) if i in reads else FAINT,
                edgecolor=READ if i in reads else MUTED,
                linewidth=0.8,
                gid=f"{name} {i} {'read' if i in reads else 'unread'}",
            )
        )
    if used is None:
        for i in range(T):
            for dx, word, colour, best in ((-0.24, "start", START, 7), (0.24, "end", END, 7)):
                height = 0.1 if i == best else 0.018 + 0.014 * ((i * 5 + (dx > 0) * 3) % 4) / 3
                ax.add_patch(
                    Rectangle(
                        (x[i] + dx * width - 0.16 * width, 0.58),
                        0.36 * width,
                        height,
                        facecolor=colour,
                        linewidth=0,
                        gid=f"{name} {word} {i}",
                    )
                )
            ax.plot([x[i], x[i]], [0.515, 0.57], color=READ, linewidth=1)
        ax.text(0.02, 0.71, "start score", color=START, fontsize=9.5, fontweight="bold", va="center")
        ax.text(0.27, 0.71, "end score", color=END, fontsize=9.5, fontweight="bold", va="center")
        ax.text(x[7], 0.71, "answer", color=ANSWER, fontsize=9.5, fontweight="bold", va="center", ha="center")
    else:
        for i, output in zip(reads, outputs or [], strict=True):
            ax.add_patch(
                FancyArrowPatch(
                    (x[i], 0.515), (x[i], 0.6), arrowstyle="-|>", mutation_scale=8, color=READ, linewidth=1.2, shrinkA=0, shrinkB=0
                )
            )
            alone = len(reads) == 1
            ax.text(
                0.02 if alone else x[i],
                0.66,
                output,
                ha="left" if alone else "center",
                va="center",
                fontsize=9.5,
                fontweight="bold",
                color=READ,
            )
    ax.text(0.0, 0.985, f"{name} head", fontsize=11.5, fontweight="bold", va="top")
    ax.text(0.0, 0.9, "\n".join(textwrap.wrap(question, 48)), fontsize=9.3, va="top", color="#444444", linespacing=1.15)


def draw_question_to_answer(
    question: str,
    context: str,
    tokens: Sequence[str],
    start_logits: Sequence[float],
    end_logits: Sequence[float],
    span: tuple[int, int],
) -> Figure:
    """Draw one question on its way: text, tokens, a start and an end logit for each token, the span read off as the answer.

    tokens: str[T], at most 30: a short passage   start_logits, end_logits: float[T]   span: first and last token of the answer
    """
    start, end = np.asarray(start_logits, dtype=float), np.asarray(end_logits, dtype=float)
    T, (first, last) = len(tokens), span
    if not (start.shape == end.shape == (T,)) or not 0 < T <= 30 or not 0 <= first <= last < T:
        raise ValueError(f"needs 1 to 30 tokens, a start and an end logit for each, and a span among them; found {T} tokens, span {span}.")
    lines = [*textwrap.wrap(f"question: {plain(question)}", 82), *textwrap.wrap(f"passage: {plain(context)}", 82)]
    figure, (text_ax, token_ax, upper, lower) = subplots(
        4, 1, figsize=(8, 4.6 + 0.22 * len(lines)), sharex=True, height_ratios=(0.25 * len(lines), 0.8, 1, 1)
    )
    for ax, name in ((text_ax, "text"), (token_ax, "tokens")):
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0, labelleft=False, labelbottom=False)
        ax.set_ylim(0, 1)
        ax.set_ylabel(name, color=MUTED)
    text_ax.text(0, 0.5, "\n".join(lines), transform=text_ax.transAxes, va="center", fontsize=11, linespacing=1.35, parse_math=False)
    for i, token in enumerate(tokens):
        chosen = first <= i <= last
        style = {"color": ANSWER, "fontweight": "bold"} if chosen else {"color": MUTED if token.startswith("[") else INK}
        token_ax.text(i, 0, plain(token), rotation=90, ha="center", va="bottom", fontsize=10.5, parse_math=False, **style)
    for ax, logits, at, colour, name in ((upper, start, first, START, "start"), (lower, end, last, END, "end")):
        ax.bar(range(T), logits, 0.8, color=[colour if i == at else tint(colour, 0.4) for i in range(T)])
        ax.axhline(0, color=MUTED, linewidth=0.8)
        ax.axvspan(first - 0.5, last + 0.5, color=ANSWER, alpha=0.18, linewidth=0, zorder=0)
        ax.set_ylabel(f"{name} logit", color=colour)
        ax.tick_params(axis="x", length=0, labelbottom=False)
        ax.spines["bottom"].set_visible(False)
        ax.margins(y=0.15)
        ax.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(3, integer=True))
    lower.set_xlim(-0.7, T - 0.3)
    text = join_tokens(list(tokens[first : last + 1]))
    middle = (first + last) / 2
    side = "left" if middle < 0.2 * T else "right" if middle > 0.8 * T else "center"
    at_answer = middle + {"left": -0.5, "right": 0.5, "center": 0}[side]
    lower.annotate(
        f"answer: {text}",
        (at_answer, 0),
        xycoords=lower.get_xaxis_transform(),
        xytext=(0, -5),
        textcoords="offset points",
        ha=side,
        va="top",
        color=ANSWER,
        fontsize=12,
        fontweight="bold",
        parse_math=False,
    )
    total = _sum(start[first], end[last], start[first] + end[last])
    finding = f"{T} tokens, {2 * T} logits, one answer: “{text}”, where start and end score {total}"
    headline(figure, finding)
    return alt(
        figure,
        f"A question on its way to its answer. Text: {question} {context} Then the tokens, and bars of start and end logits. {finding}.",
    )


# --- answers in their passage --------------------------------------------------------------------------------------------


class Highlight(HTML):
    """HTML that reads well where only text is shown, too."""

    def __init__(self, data: str, text: str) -> None:
        super().__init__(data)
        self.text = text

    def __repr__(self) -> str:
        return self.text


def show_answer(answer: AnswerLike, context: str, question: str | None = None) -> HTML:
    """Show the passage with the answer highlighted and how sure the reader is, or that it refuses; for light and dark pages.

    answer: of `QuestionAnswerer`: text, start, end (characters of `context`), score and null_score in [0, 1].
    Raises ValueError where the answer does not stand at its place in `context`.
    """
    refused = not answer.text
    if not refused and context[answer.start : answer.end] != answer.text:
        raise ValueError(
            f"the answer {answer.text!r} does not stand at characters {answer.start} to {answer.end} of this passage; show it with its own."
        )
    if refused:
        passage = html.escape(context)
        verdict = f"no answer in this passage ({answer.score:.2f} sure of the best guess)"
    else:
        passage = with_marks(context, answer.start, answer.end)
        verdict = f"{answer.text} ({answer.score:.2f} sure)"
    return Highlight(
        answer_box(passage, html.escape(verdict), answer.score, refused, question), f"{question + ' ' if question else ''}{verdict}"
    )


def with_marks(context: str, start: int, end: int) -> str:
    """The passage as HTML, with context[start:end] marked as the answer."""
    mark = "background: rgba(0, 158, 115, 0.32); color: inherit; border-bottom: 2px solid #009e73; padding: 0 2px; font-weight: bold"
    answer = f'<mark style="{mark}">{html.escape(context[start:end])}</mark>'
    return f"{html.escape(context[:start])}{answer}{html.escape(context[end:])}"


def answer_box(passage: str, verdict: str, score: float, refused: bool, question: str | None = None, below: str = "") -> str:
    """A question, a passage, a bar of how sure and the verdict, in a box with a coloured edge; for light and dark pages.

    passage, verdict, below: HTML, `below` at the very end   score: in [0, 1]   question: text
    """
    colour = "#8a8a8a" if refused else "#009e73"
    share = 100 * min(1.0, max(0.0, score))
    bar = (
        f'<span role="img" aria-label="score {score:.2f} of 1" style="display: inline-block; width: 90px; height: 9px; '
        f'border: 1px solid {colour}; border-radius: 5px; overflow: hidden; vertical-align: middle; margin-right: 8px">'
        f'<span style="display: block; width: {share:.0f}%; height: 100%; background: {colour}"></span></span>'
    )
    asked = f'<div style="font-weight: bold; margin-bottom: 4px" dir="auto">{html.escape(question)}</div>' if question else ""
    shown = f'<div style="white-space: pre-wrap" dir="auto">{passage}</div>' if passage else ""
    return (
        '<div style="border-left: 4px solid '
        + colour
        + '; padding: 6px 12px; margin: 6px 0; max-width: 46em; line-height: 1.5; color: inherit">'
        f'{asked}{shown}<div style="margin-top: 6px">{bar}<strong>{verdict}</strong></div>{below}</div>'
    )
