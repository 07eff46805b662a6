"""Figures of pre-training: masked words, blanks filled in, sentence pairs, replaced tokens, two views, word pieces, tasks (05b)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from src.plots import (
    ANSWER,
    FAINT,
    INK,
    MUTED,
    Figure,
    alt,
    arrow,
    clean_axes,
    headline,
    percent,
    plain,
    readable_on,
    subplots,
    tint,
)
from src.pretraining import BEGIN, DELIMITER, EXTRACT

HIDDEN, OTHER, KEPT = "C0", "C1", ANSWER  # what becomes of a chosen token: [MASK], another token, itself
FIRST, SECOND, SPECIAL = "C0", "C1", "C6"  # of two texts in one sequence; and the tokens between them
LINE = 84  # letters that fit side by side in a figure as wide as the page


def _flow(texts: Sequence[str], most: float = LINE) -> list[tuple[int, float, float]]:
    """Where boxes of these texts go, line by line from left to right: line, left edge and width of each, in letters."""
    places: list[tuple[int, float, float]] = []
    line, x = 0, 0.0
    for text in texts:
        width = max(len(plain(text)), 2) + 1.3
        if x and x + width > most:
            line, x = line + 1, 0.0
        places.append((line, x, width))
        x += width + 0.5
    return places


def _box(
    ax: Axes, x: float, y: float, width: float, text: str, face: Any, edge: Any, gid: str, colour: Any = INK, bold: bool = False
) -> None:
    """A box of the height 0.62 with its left edge at x and its middle at y."""
    ax.add_patch(Rectangle((x, y - 0.31), width, 0.62, facecolor=face, edgecolor=edge, linewidth=1.1, gid=gid))
    weight = "bold" if bold else "normal"
    ax.text(x + width / 2, y, plain(text), ha="center", va="center", fontsize=9.5, color=colour, fontweight=weight, parse_math=False)


def _drawing(height: float, top: float, bottom: float, width: float = LINE) -> tuple[Figure, Axes]:
    """A figure for boxes: y goes down from `top` to `bottom`, x is counted in letters."""
    figure, ax = subplots(figsize=(8.6, height))
    ax.set_xlim(-0.8, width + 0.8)
    ax.set_ylim(bottom, top)
    clean_axes(ax)
    return figure, ax


def _legend(ax: Axes, y: float, entries: Sequence[tuple[str, Any]]) -> None:
    """Names in their colours, side by side."""
    x = 0.0
    for name, colour in entries:
        ax.text(x, y, name, color=colour, fontsize=10, fontweight="bold", va="center")
        x += 0.95 * len(name) + 3.5


# --- masked words --------------------------------------------------------------------------------------------------------


def draw_masking(tokens: Sequence[str], inputs: Sequence[str], asked: Sequence[bool]) -> Figure:
    """Draw what masking made of a sentence: what the model sees, and below each chosen token the label, what stood there.

    tokens, inputs: str[T], the sentence before and after   asked: bool[T], which tokens were chosen
    """
    if not len(tokens) == len(inputs) == len(asked):
        raise ValueError(f"tokens, inputs and asked must be of one length; got {len(tokens)}, {len(inputs)} and {len(asked)}.")
    kinds = [_kind(*three) for three in zip(tokens, inputs, asked, strict=True)]
    colours = {"hidden": HIDDEN, "replaced": OTHER, "kept": KEPT}
    places = _flow([max(pair, key=len) for pair in zip(tokens, inputs, strict=True)])
    lines = places[-1][0] + 1
    figure, ax = _drawing(1.15 + 0.72 * lines, -0.95, 1.75 * lines - 0.55)
    _legend(ax, -0.72, [("hidden", HIDDEN), ("replaced by another", OTHER), ("chosen, but left as it is", KEPT), ("label", INK)])
    for t, (kind, (line, x, width)) in enumerate(zip(kinds, places, strict=True)):
        y = 1.75 * line
        colour = colours.get(kind)
        _box(
            ax, x, y, width, inputs[t], tint(colour, 0.3) if colour else "white", colour or FAINT, f"{kind} {t}",
            MUTED if kind == "special" else INK, bold=bool(colour),
        )  # fmt: skip
        if colour:
            ax.text(x + width / 2, y + 0.68, plain(tokens[t]), ha="center", va="center", fontsize=9.5, gid=f"label {t}", parse_math=False)
    counts = {kind: kinds.count(kind) for kind in colours}
    finding = (
        f"{sum(counts.values())} of {len(tokens) - kinds.count('special')} tokens are asked for: "
        f"{counts['hidden']} hidden, {counts['replaced']} replaced, {counts['kept']} left as they are"
    )
    headline(figure, finding)
    chosen = [(t, kind) for t, kind in enumerate(kinds) if kind in colours]
    said = "; ".join(f"“{tokens[t]}” {kind}" + (f" by “{inputs[t]}”" if kind == "replaced" else "") for t, kind in chosen)
    return alt(figure, f"The sentence “{' '.join(tokens)}” after masking. {finding}. In order: {said}.")


def _kind(token: str, shown: str, asked: bool) -> str:
    """What became of a token: "special", "text" (not chosen), "hidden", "replaced" or "kept"."""
    if not asked:
        return "special" if token in ("[CLS]", "[SEP]", "[PAD]") else "text"
    return "hidden" if shown == "[MASK]" else "replaced" if shown != token else "kept"


def draw_fill_ins(table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """Draw what several heads put into the blanks of several sentences.

    table: sentence with [MASK] -> name of a head -> the likeliest words with their probabilities, at most three are drawn
    """
    heads = list(next(iter(table.values())))
    column = LINE / len(heads)
    figure, ax = _drawing(0.95 + 0.56 * len(table), -1.0, 1.7 * len(table) - 0.5)
    for i, name in enumerate(heads):
        ax.text(i * column, -0.75, plain(name), fontsize=10, fontweight="bold", color="#444444", va="center", parse_math=False)
    for row, (sentence, answers) in enumerate(table.items()):
        y = 1.7 * row
        ax.text(0, y, plain(sentence.replace("[MASK]", "_____")), fontsize=10.5, va="center", parse_math=False)
        for i, name in enumerate(heads):
            words = list(answers[name].items())[:3]
            face = tint(HIDDEN, 0.08 + 0.6 * words[0][1])
            cell = Rectangle((i * column, y + 0.36), column - 1, 0.66, facecolor=face, edgecolor="white", gid=f"{row} {name}")
            ax.add_patch(cell)
            text = "  ".join(f"{plain(word)} {percent(share)}" for word, share in words)
            size = min(9.5, 12 * (column - 2) / len(text))
            ax.text(i * column + 0.7, y + 0.69, text, fontsize=size, va="center", color=readable_on(face), parse_math=False)
    likeliest = {name: [next(iter(answers[name])) for answers in table.values()] for name in heads}
    changed = sum(a != b for a, b in zip(likeliest[heads[0]], likeliest[heads[-1]], strict=True))
    finding = f"“{heads[-1]}” fills {changed} of {len(table)} blanks otherwise than “{heads[0]}”"
    headline(figure, finding)
    said = "; ".join(
        f"{sentence.replace('[MASK]', 'blank')}: " + ", ".join(f"{name} says {next(iter(answers[name]))}" for name in heads)
        for sentence, answers in table.items()
    )
    return alt(figure, f"Sentences with a blank, and the likeliest words for it by {len(heads)} heads. {said}. {finding}.")


def plot_shares(shares: Mapping[str, float], what: str, guess: tuple[float, str], finding: str | None = None) -> Figure:
    """Plot shares as bars, beside what guessing reaches.

    shares: name -> share in [0, 1]   what: the axis   guess: a share and what to call it   finding: the headline; None: best against guess
    """
    figure, ax = subplots(figsize=(8.2, 1.65 + 0.42 * len(shares)))
    for y, (name, share) in enumerate(shares.items()):
        ax.barh(y, share, 0.62, color=tint("C0", 0.55), gid=name)
        background = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # where the line of guessing would cross the number
        ax.text(share + 0.008, y, f"{100 * share:.1f} %", va="center", fontsize=10.5, bbox=background)
    ax.axvline(guess[0], color=MUTED, linestyle="--", linewidth=1.3)
    ax.text(guess[0] + 0.008, -0.66, f"{guess[1]}: {100 * guess[0]:.1f} %", fontsize=9.5, color="#444444", va="center")
    ax.set_yticks(range(len(shares)), [plain(name) for name in shares])
    ax.set_ylim(len(shares) - 0.5, -0.95)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0, 1 if max(shares.values()) > 0.6 else 1.25 * max(*shares.values(), guess[0]))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel(what)
    best = max(shares, key=shares.__getitem__)
    finding = finding or f"“{best}”: {100 * shares[best]:.1f} % right; {guess[1]}: {100 * guess[0]:.1f} %"
    headline(figure, finding)
    values = "; ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
    return alt(figure, f"Bars of {what}: {values}. For comparison {guess[1]}: {100 * guess[0]:.1f} %. {finding}.")


# --- two sentences, replaced tokens --------------------------------------------------------------------------------------


def draw_pairs(pairs: Mapping[str, tuple[str, str, bool]]) -> Figure:
    """Draw pairs of sentences as the encoder reads them, one sequence each, with their labels.

    pairs: where the pair comes from -> first sentence, second sentence, whether the second follows
    """
    figure, ax = _drawing(0.75 + 0.78 * len(pairs), -0.85, 1.55 * len(pairs) - 0.75)
    for row, (name, (first, second, follows)) in enumerate(pairs.items()):
        y = 1.55 * row
        ax.text(0, y - 0.55, plain(name), fontsize=10, fontweight="bold", color="#444444", va="center", parse_math=False)
        texts = ["[CLS]", _short(first, 28), "[SEP]", _short(second, 28), "[SEP]"]
        faces = [FAINT, tint(FIRST, 0.22), FAINT, tint(SECOND, 0.22), FAINT]
        for i, (text, face, (_, x, width)) in enumerate(zip(texts, faces, _flow(texts, 1e9), strict=True)):
            _box(ax, x, y, width, text, face, "white", f"{row} {i}")
        ax.text(LINE, y - 0.55, f"label {int(follows)}: {'follows' if follows else 'does not'}", ha="right", va="center", fontsize=10,
                fontweight="bold", color=ANSWER if follows else OTHER)  # fmt: skip
    finding = "Pairs label themselves: where the second sentence came from is the answer"
    headline(figure, finding)
    said = "; ".join(f"{name}: “{first}” then “{second}”, label {int(follows)}" for name, (first, second, follows) in pairs.items())
    return alt(figure, f"Two sentences in one sequence, between [CLS] and [SEP], once per row. {said}. {finding}.")


def _short(text: str, letters: int) -> str:
    return textwrap.shorten(text, letters, placeholder=" …") if len(text) > letters else text


def draw_suspicions(tokens: Sequence[str], originals: Sequence[str], chances: Sequence[float]) -> Figure:
    """Draw a text with some tokens replaced, as a detector sees it: the stronger the colour, the more it suspects the token.

    tokens: str[T], as they stand there now   originals: str[T], what stood there   chances: float[T], of having been replaced
    """
    places = _flow([max(pair, key=len) for pair in zip(tokens, originals, strict=True)])
    lines = places[-1][0] + 1
    figure, ax = _drawing(1.15 + 0.68 * lines, -0.95, 1.75 * lines - 0.55)
    _legend(ax, -0.72, [("suspected", OTHER), ("framed: replaced, below it what stood there", INK)])
    for t, (line, x, width) in enumerate(places):
        forged = tokens[t] != originals[t]
        face = tint(OTHER, float(chances[t]))
        _box(ax, x, 1.75 * line, width, tokens[t], face, INK if forged else FAINT, f"{'replaced' if forged else 'own'} {t}",
             readable_on(face), bold=forged)  # fmt: skip
        if forged:
            ax.text(x + width / 2, 1.75 * line + 0.66, plain(originals[t]), ha="center", va="center", fontsize=9, color="#444444",
                    gid=f"original {t}", parse_math=False)  # fmt: skip
    forged = np.array([token != original for token, original in zip(tokens, originals, strict=True)])
    suspected = np.asarray(chances) > 0.5
    right, wrongly = int((forged & suspected).sum()), int((~forged & suspected).sum())
    finding = f"Suspected: {right} of {forged.sum()} replaced tokens, and {wrongly} of {(~forged).sum()} others"
    headline(figure, finding)
    said = "; ".join(f"“{tokens[t]}” in place of “{originals[t]}”, {percent(float(chances[t]))}" for t in np.flatnonzero(forged))
    wrong = ", ".join(f"“{tokens[t]}” {percent(float(chances[t]))}" for t in np.flatnonzero(suspected & ~forged)) or "none"
    return alt(figure, f"The text “{' '.join(tokens)}”, coloured by suspicion. {said}. Suspected without reason: {wrong}. {finding}.")


# --- two views of one place ----------------------------------------------------------------------------------------------


def draw_views(words: Sequence[str], place: int, views: Mapping[str, tuple[Sequence[bool], Mapping[str, float]]]) -> Figure:
    """Draw what models see of a sentence, and what they expect at one place.

    words: str[T]   place: of the word that is asked for   views: model -> which words it sees, bool[T], and its likeliest tokens
    """
    figure, axes = subplots(len(views), 2, figsize=(8.6, 0.7 + 1.55 * len(views)), width_ratios=(1.65, 1), squeeze=False)
    places = _flow(words, 50)
    highest = max(max(chances.values()) for _, chances in views.values())
    for (ax, bars), (name, (sees, chances)) in zip(axes, views.items(), strict=True):
        ax.set_xlim(-0.5, 51)
        ax.set_ylim(max(2.6, places[-1][0] + 1.4), -1.25)
        clean_axes(ax)
        ax.text(0, -0.85, plain(name), fontsize=11, fontweight="bold", va="center", parse_math=False)
        for t, (line, x, width) in enumerate(places):
            role = "asked" if t == place else "seen" if sees[t] else "unseen"
            face = {"asked": tint(OTHER, 0.35), "seen": tint(HIDDEN, 0.22), "unseen": "white"}[role]
            text, ink = ("?" if role == "asked" else words[t]), ("#c0c0c0" if role == "unseen" else INK)
            edge = OTHER if role == "asked" else FAINT
            _box(ax, x, 0.85 * line, width, text, face, edge, f"{name} {t} {role}", ink, bold=role == "asked")
        for y, (word, chance) in enumerate(chances.items()):
            bars.barh(y, chance, 0.66, color=tint(OTHER, 0.55), gid=f"{name} {word}")
            bars.text(chance + 0.02 * highest, y, percent(chance), va="center", fontsize=9.5)
        bars.set_yticks(range(len(chances)), [plain(word.strip()) for word in chances], parse_math=False)
        bars.tick_params(axis="y", length=0)
        bars.set_ylim(len(chances) - 0.4, -0.6)
        bars.set_xlim(0, 1.3 * highest)
        bars.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[-1, 1].set_xlabel("probability of the token")
    tops = {name: next(iter(chances)).strip() for name, (_, chances) in views.items()}
    finding = "; ".join(f"{name} expects “{plain(word)}”" for name, word in tops.items())
    headline(figure, finding)
    said = ". ".join(
        f"{name} sees {sum(map(bool, sees))} of {len(words) - 1} words and expects "
        + ", ".join(f"{word.strip()} {percent(chance)}" for word, chance in chances.items())
        for name, (sees, chances) in views.items()
    )
    blanked = " ".join("?" if t == place else word for t, word in enumerate(words))
    what = f"The sentence “{blanked}” as each model sees it, with bars for what it expects in place of the question mark"
    return alt(figure, f"{what}. {said}.")


# --- word pieces ---------------------------------------------------------------------------------------------------------


def _row_of_pieces(ax: Axes, x: float, y: float, pieces: Sequence[str], colour: Any, gid: str) -> float:
    """Boxes side by side from x on; returns where they end."""
    for i, piece in enumerate(pieces):
        width = max(len(plain(piece)), 1) + 1.0
        _box(ax, x, y, width, piece, tint(colour, 0.28 if i % 2 == 0 else 0.14), colour, f"{gid} {i}")
        x += width + 0.25
    return x


def _width_of_pieces(pieces: Sequence[str]) -> float:
    return sum(max(len(plain(piece)), 1) + 1.25 for piece in pieces)


def draw_merges(word: str, steps: Sequence[tuple[str, Sequence[str]]]) -> Figure:
    """Draw what becomes of a word, a row for each merge that changes it.   steps: what was joined, and the pieces after it"""
    figure, ax = _drawing(0.75 + 0.38 * len(steps), -0.55, 0.85 * len(steps) - 0.3)
    captions = max(len(caption) for caption, _ in steps) + 2
    for row, (caption, pieces) in enumerate(steps):
        ax.text(0, 0.85 * row, plain(caption), fontsize=10, va="center", color="#444444", parse_math=False)
        _row_of_pieces(ax, captions, 0.85 * row, pieces, FIRST, f"row {row} piece")
    last = steps[-1][1]
    count = f"{len(last)} {'piece' if len(last) == 1 else 'pieces'}"
    finding = f"“{plain(word)}” goes from {len(steps[0][1])} letters to {count} in {len(steps) - 1} merges"
    headline(figure, finding)
    said = "; ".join(f"{caption}: {' '.join(pieces)}" for caption, pieces in steps)
    return alt(figure, f"The word “{word}” in pieces, a row for each merge. {said}. {finding}.")


def draw_vocabularies(table: Mapping[str, Mapping[str, Sequence[str]]]) -> Figure:
    """Draw how words fall into pieces under several vocabularies, a column for each.   table: word -> vocabulary -> pieces"""
    names = list(next(iter(table.values())))
    widths = [max(len(name) + 2, *(_width_of_pieces(row[name]) for row in table.values())) + 2 for name in names]
    lefts = np.concatenate([[0.0], np.cumsum(widths)])
    figure, ax = _drawing(0.85 + 0.38 * len(table), -1.05, 0.85 * len(table) - 0.35, max(LINE, lefts[-1]))
    for column, name in enumerate(names):
        ax.text(lefts[column], -0.75, plain(name), fontsize=10, fontweight="bold", color=f"C{column}", va="center", parse_math=False)
        for row, pieces in enumerate(table.values()):
            _row_of_pieces(ax, lefts[column], 0.85 * row, pieces[name], f"C{column}", f"{name} {row}")
    totals = {name: sum(len(pieces[name]) for pieces in table.values()) for name in names}
    finding = f"{len(table)} words make " + ", ".join(f"{total} tokens for {name}" for name, total in totals.items())
    headline(figure, finding)
    said = "; ".join(f"{word}: " + ", ".join(f"{name} {' '.join(pieces[name])}" for name in names) for word, pieces in table.items())
    return alt(figure, f"Words cut into tokens by {len(names)} vocabularies, boxes for tokens. {said}. {finding}.")


# --- tasks as one sequence -----------------------------------------------------------------------------------------------


def draw_sequences(tasks: Mapping[str, Sequence[Sequence[str]]], ends: Mapping[str, str]) -> Figure:
    """Draw examples of tasks as the sequences that a GPT reads.

    tasks: name -> sequences, see `src.pretraining.as_sequences`
    ends: name -> what becomes of the vectors at the ends of the sequences
    """
    rows = sum(map(len, tasks.values()))
    figure, ax = _drawing(0.55 + 0.34 * rows + 0.42 * len(tasks), -0.9, 0.78 * rows + 0.95 * len(tasks) - 0.75)
    y = 0.0
    for name, sequences in tasks.items():
        ax.text(0, y - 0.45, plain(name), fontsize=10.5, fontweight="bold", va="center")
        top = y + 0.2
        for number, sequence in enumerate(sequences):
            y += 0.78 if number else 0.2
            marks = [part in (BEGIN, DELIMITER, EXTRACT) for part in sequence]
            lengths = [len(plain(part)) for part, special in zip(sequence, marks, strict=True) if not special]
            room = next(room for room in range(60, 0, -1) if sum(min(n, room) for n in lengths) <= 51 - 2 * len(lengths))
            x = 0.0
            for i, (part, special) in enumerate(zip(sequence, marks, strict=True)):
                text = part if special else _short(part, room)
                width = len(plain(text)) + 1.3
                behind = DELIMITER in sequence[:i]
                face = tint(SPECIAL, 0.3) if special else tint(SECOND if behind else FIRST, 0.22)
                _box(ax, x, y, width, text, face, "white", f"{name} {number} {i}", bold=special)
                x += width + 0.3
            ax.add_patch(arrow((x + 0.2, y), (66.5, y), "#777777", 1.0, 8))
        ax.text(67.2, (top + y) / 2, "\n".join(textwrap.wrap(ends[name], 20)), fontsize=9.5, va="center", color="#444444")
        y += 0.95 + 0.2
    finding = f"{len(tasks)} tasks, one model: every example becomes one sequence or several"
    headline(figure, finding)
    written = {name: " and ".join(" ".join(sequence) for sequence in sequences) for name, sequences in tasks.items()}
    said = "; ".join(f"{name}: {text}, then {ends[name]}" for name, text in written.items())
    return alt(figure, f"Examples of tasks, written as sequences of texts and special tokens. {said}. {finding}.")
