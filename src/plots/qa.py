"""Figures of question answering: windows, questions, scores over tokens and spans, thresholds."""

from __future__ import annotations

import html
import re
import textwrap
from collections import Counter
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
    FAINT,
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
    tell,
    tint,
    written,
)
from src.plots.primitives import (
    GREY,
    arrow,
    box,
    heatmap,
    html_panel,
    legend,
    level,
    lines,
    name_bars,
    stacked_bars,
    write,
)
from src.qa.features import choose_answer
from src.teaching.panel import Panel

if TYPE_CHECKING:
    from src.qa.decoding import Answer

Rows = Iterable[Mapping[str, Any]]  # a datasets.Dataset, or a list of its rows


# --- windows --------------------------------------------------------------------------------------


def draw_windows(features: Rows, tokenizer: PreTrainedTokenizerBase) -> Figure:
    """Draw the windows of one question's passage: what each covers and shares, and the answer.

    Args:
        features: the rows of one question from `src.qa.prepare_features`, with labels or without.
        tokenizer: the one they were made with.
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
    """How many windows there are, what they share, and how many hold the answer."""
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


# --- the questions --------------------------------------------------------------------------------


def plot_answer_positions(dataset: Rows) -> Figure:
    """Plot where in their passages the answers start, and how long they are.

    Args:
        dataset: rows with context and answers (SQuAD's columns); of several answers the most
            frequent counts, questions without one are left out.
    """
    found = [(row["context"], choose_answer(row["answers"])) for row in dataset]
    found = [(context, answer) for context, answer in found if answer]
    places = [100 * answer[0] / len(context) for context, answer in found]
    words = np.array([len(context[slice(*answer)].split()) for context, answer in found])
    N, middle, typical = len(found), float(np.median(places)), int(np.median(words))
    figure, (left, right) = subplots(1, 2, figsize=(8, 3.4), width_ratios=(1.25, 1))
    tenths = 100 * np.histogram(places, bins=10, range=(0, 100))[0] / N
    left.bar(range(0, 100, 10), tenths, 10, align="edge", color=START, edgecolor="white")
    left.set(xlim=(0, 100), ylim=(0, 1.15 * tenths.max()))
    level(left, middle, f"median {middle:.0f} %", "x", left=middle < 60)
    lengths = 100 * np.bincount(words.clip(1, 8), minlength=9)[1:] / N
    right.bar(range(1, 9), lengths, 0.85, color=[START] * typical + [PALE] * (8 - typical))
    right.set_xticks(range(1, 9), [*map(str, range(1, 8)), "8+"])
    left.set(xlabel="start of the answer, % of the passage", ylabel="answers, %")
    right.set(xlabel="length of the answer, words", ylabel="answers, %")
    for ax, shares in ((left, tenths), (right, lengths)):
        tell(ax, "Histogram", ", ".join(f"{share:.0f}" for share in shares))
    short = "one word" if typical == 1 else f"at most {typical} words"
    finding = f"Half of all answers start in the first {middle:.0f} % of their passage; "
    return finish(figure, f"{finding}{percent((words <= typical).mean())} of {N:,} have {short}")


HAS_ANSWER = {"the passage holds the answer": START, "it does not: unanswerable": END}


def plot_question_mix(splits: Mapping[str, Rows]) -> Figure:
    """Plot how many questions have an answer in their passage, and how the questions begin.

    Args:
        splits: name -> rows with question and answers (SQuAD's columns), such as a DatasetDict.
    """
    asked = [
        (name, row["question"].split()[0].lower(), bool(row["answers"]["text"]))
        for name, rows in splits.items()
        for row in rows
    ]
    total = len(asked)
    common = Counter(word for _, word, _ in asked).most_common(8)
    first, most = common[0]
    names = {word: f"{word} …" for word, _ in common}
    by_split = {name: dict.fromkeys(HAS_ANSWER, 0) for name in splits}
    by_word = {name: dict.fromkeys(HAS_ANSWER, 0.0) for name in (*names.values(), "others")}
    holds, does_not = HAS_ANSWER
    for split, word, has_answer in asked:
        kind = holds if has_answer else does_not
        by_split[split][kind] += 1
        by_word[names.get(word, "others")][kind] += 100 / total
    size = (8, 1.5 + max(0.27 * len(by_word), 0.4 * len(splits)))
    figure, axes = subplots(1, 2, figsize=size, width_ratios=(1, 1.25))
    panels = (by_split, "questions"), (by_word, "questions, % of all")
    for ax, (table, label) in zip(axes, panels, strict=True):
        stacked_bars(ax, table, HAS_ANSWER, label, "{:,.0f}", least=np.inf)
        sums = [sum(parts.values()) for parts in table.values()]
        for y, value in enumerate(sums):
            write(ax, value, y, f"{value:,.0f}", shift=(4, 0), ha="left")
        ax.set_xlim(0, 1.25 * max(sums))
    legend(figure, HAS_ANSWER)
    none = sum(parts[does_not] for parts in by_split.values()) / total
    finding = f"{percent(none)} of the {total:,} questions have no answer in their passage; "
    return finish(figure, f"{finding}{percent(most / total)} begin with “{first}”")


# --- scores ---------------------------------------------------------------------------------------


def _draw_scores(
    axes: Sequence[Axes], start: np.ndarray, end: np.ndarray, span: tuple[int, int], name: str
) -> None:
    """Bars of the start scores and of the end scores of tokens, the answer's tokens marked."""
    sides = zip(axes, (start, end), span, (START, END), ("start", "end"), strict=True)
    for ax, values, at, colour, side in sides:
        colours = [colour if i == at else tint(colour, 0.4) for i in range(len(values))]
        ax.bar(range(len(values)), values, 0.82, color=colours)
        ax.axvspan(span[0] - 0.5, span[1] + 0.5, color=ANSWER, alpha=0.2, linewidth=0, zorder=0)
        ax.set_ylabel(name.format(side), color=colour)
        ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.tick_params(axis="x", length=0, labelbottom=False)
    axes[0].set_xlim(-0.7, len(start) - 0.3)


def _write_tokens(ax: Axes, tokens: Sequence[str], span: tuple[int, int]) -> None:
    """Write tokens upright, the answer's in its colour, special ones grey."""
    for i, token in enumerate(tokens):
        chosen, special = span[0] <= i <= span[1], re.fullmatch(r"\[[A-Z]+\]|<.+>|⋯", token)
        colour = ANSWER if chosen else MUTED if special else INK
        look = {"xycoords": ax.get_xaxis_transform(), "rotation": 90, "va": "bottom"}
        write(ax, i, 0, token, colour, 10 if len(tokens) < 40 else 9, chosen, **look)


def plot_token_scores(
    tokens: Sequence[str], start_probs: Sequence[float], end_probs: Sequence[float]
) -> Figure:
    """Plot each token's probability of being the answer's start, and its end.

    Args:
        tokens: str[T], question and passage as the model reads them.
        start_probs, end_probs: float[T]; the likeliest span is marked, (0, 0) is no answer.
    """
    start, end = np.asarray(start_probs, dtype=float), np.asarray(end_probs, dtype=float)
    T = len(tokens)
    best = np.argmax(np.triu(np.outer(start, end)))
    first, last = (int(place) for place in np.unravel_index(best, (T, T)))
    shown = _around(T, first, last)
    labels = ["⋯" if i is None else plain(tokens[i]) for i in shown]
    figure, axes = subplots(3, 1, figsize=(8, 4.4), sharex=True, height_ratios=(1, 0.55, 1))
    values = [[0 if i is None else 100 * p[i] for i in shown] for p in (start, end)]
    span = shown.index(first), shown.index(last)
    _draw_scores(axes[::2], *values, span, "P({}), %")
    axes[1].set_axis_off()
    _write_tokens(axes[1], labels, span)
    for ax, at, share, shift in zip(
        axes[::2], span, (start[first], end[last]), (8, -8), strict=True
    ):
        ax.set_ylim(0, max(5, 118 * max(start.max(), end.max())))
        ax.grid(axis="y")
        write(ax, at, 100 * share, percent(share), bold=True, shift=(0, shift))
    axes[2].invert_yaxis()
    axes[2].spines[["bottom", "top"]].set_visible(False)
    text = _join(tokens[first : last + 1])
    finding = "No answer: " if last == 0 else "The likeliest answer "
    finding += f"“{text}” takes {percent(start[first])} of the start and "
    shows = f"Bars over the tokens, starts upwards, ends downwards: {' '.join(labels)}"
    return finish(figure, f"{finding}{percent(end[last])} of the end", shows)


def _join(tokens: Sequence[str]) -> str:
    """Word pieces as text for a reader: "ox", "##ygen" becomes "oxygen"."""
    return " ".join(tokens).replace(" ##", "").removeprefix("##")


def _around(T: int, first: int, last: int) -> list[int | None]:
    """Positions to show: all of a short text, else [CLS] and what is near; None is a gap."""
    reach = T if T <= 46 else 18 if last - first < 6 else 9
    near = [i for i in range(T) if i == 0 or min(abs(i - first), abs(i - last)) <= reach]
    shown: list[int | None] = []
    for i, following in zip(near, [*near[1:], T], strict=True):
        shown += [i] if following == i + 1 else [i, None]
    return shown


def plot_span_matrix(
    start_logits: Sequence[float],
    end_logits: Sequence[float],
    tokens: Sequence[str],
    max_answer_tokens: int = 30,
) -> Figure:
    """Draw the score of every span, start + end: rows are first tokens, columns last ones.

    Args:
        start_logits, end_logits: float[T].
        tokens: str[T], the passage's part of a window.
        max_answer_tokens: longer spans are not allowed.
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
    figure, ax = subplots(figsize=(8, 5.8))
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
    """The addition as people write it, with true minus signs."""
    return f"{a:.1f} {'+' if b >= 0 else '−'} {abs(b):.1f} = {a + b:.1f}".replace("-", "−")


def plot_threshold(
    scores: Sequence[float], has_answer: Sequence[bool], f1: Sequence[float], chosen: float
) -> Figure:
    """Plot what each threshold would answer and refuse: a score that reaches it is answered.

    Args:
        scores: float[N] in [0, 1], how sure the reader is of its best answer.
        has_answer: bool[N], whether there is one.
        f1: float[N] in [0, 1] of the best answers. By SQuAD 2.0's rule a refusal scores 1 where
            there is no answer, else 0.
        chosen: the threshold to mark.
    """
    sure, answerable = np.asarray(scores, dtype=float), np.asarray(has_answer, dtype=bool)
    grid = np.union1d(expit(np.linspace(-7, 7, 301)), [chosen])  # dense near 0 and 1, as the axis
    answered = sure[None] >= grid[:, None]  # bool[G, N]
    total = np.where(answered, np.where(answerable, f1, 0.0), ~answerable).mean(axis=1)
    shares = {
        "answerable: answered": answered[:, answerable].mean(axis=1),
        "unanswerable: refused": 1 - answered[:, ~answerable].mean(axis=1),
        "F1 over all": total,
    }
    at = int(np.flatnonzero(grid == chosen)[0])
    colours = dict(zip(shares, (START, END, ANSWER), strict=True))
    figure, ax = subplots(figsize=(8, 3.9))
    labels = "threshold: the lowest score that is answered", "% of questions, or F1"
    curves = {name: np.stack([grid, 100 * values], axis=1) for name, values in shares.items()}
    ax.set_xscale("logit")
    lines(ax, curves, *labels, colours, xlim=(grid[0], grid[-1]), ylim=(0, 105))
    figure.told.clear()  # the ends of the grid say nothing; the finding has what is marked
    ticks = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    for name, values in shares.items():
        ax.plot(chosen, 100 * values[at], "o", color=colours[name], markeredgecolor="white")
    level(ax, chosen, f"threshold {chosen:.2f}", "x", below=True, left=chosen < 0.7)
    answers, refuses, _ = (percent(values[at]) for values in shares.values())
    finding = f"At {chosen:.2f} the reader answers {answers} of the answerable questions"
    finding += f" and refuses {refuses} of the unanswerable ones"
    return finish(figure, finding, f"F1 over all questions is {100 * total[at]:.1f} there")


# --- pictures -------------------------------------------------------------------------------------

READ = "#8a5a00"  # an output vector that a head reads
HEADS = {  # name -> input tokens, what the vectors give that it reads, the question it answers
    "class": (
        "[CLS] what a great film [SEP]",
        {0: "positive 0.97"},
        "one label for the text: is this review positive?",
    ),
    "span": (
        "[CLS] how old ? [SEP] she is eight [SEP]",
        dict.fromkeys(range(9), ""),
        "two scores for each token: where does the answer start, where does it end?",
    ),
    "pair": (
        "[CLS] a dog runs [SEP] it moves [SEP]",
        {0: "follows 0.94"},
        "one label for two texts: does the second follow from the first?",
    ),
    "tag": (
        "[CLS] Ada lives in Paris [SEP]",
        {1: "person", 2: "–", 3: "–", 4: "place"},
        "one label for each token: which words are names?",
    ),
}


def draw_four_heads() -> Figure:
    """Draw one encoder under four heads, and which of its output vectors each head reads."""
    figure, axes = subplots(2, 2, figsize=(8, 5.4))
    for ax, (name, (text, gives, question)) in zip(axes.flat, HEADS.items(), strict=True):
        ax.set(xlim=(-0.02, 1.02), ylim=(0, 1))
        ax.set_axis_off()
        _draw_head(ax, text.split(), gives)
        write(ax, 0, 0.95, f"{name} head", size=11.5, bold=True, ha="left")
        lines_of = "\n".join(textwrap.wrap(question, 48))
        write(ax, 0, 0.9, lines_of, GREY, 9.3, ha="left", va="top")
    finding = "One encoder, four heads: they differ only in which output vectors they read"
    reads = {
        name: f"reads {len(gives)} of the vectors; {question}"
        for name, (_, gives, question) in HEADS.items()
    }
    return finish(figure, finding, listed(reads))


def _draw_head(ax: Axes, tokens: list[str], gives: Mapping[int, str]) -> None:
    """One encoder and one head: tokens, encoder, output vectors, what the head gives."""
    x, width = (np.arange(len(tokens)) + 0.5) / len(tokens), 0.86 / len(tokens)
    box(ax, 0.5, 0.315, 0.98, 0.15, "encoder", "#5b6b7b", "#e9edf2", rounded=0.02, size=11)
    for i, token in enumerate(tokens):
        write(ax, x[i], 0.1, token, INK if i in gives or token[0] != "[" else MUTED, 8.6)
        arrow(ax, (x[i], 0.15), (x[i], 0.235), MUTED, 0.9, 7)
        edge, face = (READ, tint(READ, 0.75)) if i in gives else (MUTED, FAINT)
        box(ax, x[i], 0.475, width, 0.07, edge=edge, face=face, line=0.8)
        if gives.get(i):
            arrow(ax, (x[i], 0.515), (x[i], 0.6), READ, 1.2, 8)
            at = (0.02, "left") if len(gives) == 1 else (x[i], "center")
            write(ax, at[0], 0.66, gives[i], READ, 9.5, bold=True, ha=at[1])
        elif i in gives:
            for side, colour in ((-0.24, START), (0.24, END)):
                height = 0.1 if i == 7 else 0.018 + 0.005 * ((i * 5 + (side > 0) * 3) % 4)
                at = x[i] + side * width, 0.58 + height / 2
                box(ax, *at, 0.36 * width, height, face=colour, line=0)
    if not any(gives.values()):
        for at, word, colour in ((0.1, "start score", START), (0.36, "end score", END)):
            write(ax, at, 0.71, word, colour, 9.5, bold=True)
        write(ax, x[7], 0.71, "answer", ANSWER, 9.5, bold=True)


def draw_question_to_answer(
    question: str,
    context: str,
    tokens: Sequence[str],
    start_logits: Sequence[float],
    end_logits: Sequence[float],
    span: tuple[int, int],
) -> Figure:
    """Draw one question on its way: text, tokens, two logits for each, the answer read off.

    Args:
        tokens: str[T], some 30 at most: a short passage.
        start_logits, end_logits: float[T].
        span: first and last token of the answer.
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
    _draw_scores(axes[2:], start, end, span, "{} logit")
    for ax in axes[2:]:
        ax.axhline(0, color=MUTED, linewidth=0.8)
        ax.spines["bottom"].set_visible(False)
        ax.margins(y=0.15)
    text = _join(tokens[first : last + 1])
    at = {"xycoords": axes[3].get_xaxis_transform(), "va": "top", "shift": (0, -5)}
    side = "left" if first < 0.2 * T else "right" if last > 0.8 * T else "center"
    write(axes[3], (first + last) / 2, 0, f"answer: {text}", ANSWER, 12, True, ha=side, **at)
    total = _sum(start[first], end[last])
    finding = f"{T} tokens, {2 * T} logits, one answer: “{text}”, where start and end score {total}"
    return finish(figure, finding, written(figure))


# --- answers in their passage ---------------------------------------------------------------------


def show_answer(answer: Answer, context: str, question: str | None = None) -> Panel:
    """Show the passage with the answer highlighted and how sure the reader is, or its refusal.

    Args:
        answer: of `QuestionAnswerer`.

    Raises:
        ValueError: the answer is not at its place in `context`.
    """
    if context[answer.start : answer.end] != answer.text:
        raise ValueError(
            f"the answer {answer.text!r} is not at characters {answer.start} to {answer.end} of "
            "this passage; show it with its own."
        )
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

    Args:
        passage, verdict, below: HTML; `below` is at the very end.
        score: in [0, 1].
        question: text.
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
