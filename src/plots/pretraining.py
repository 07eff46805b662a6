"""Figures of pre-training: masked words, sentence pairs, replaced tokens, views, tasks."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from src.plots import (
    ANSWER,
    FAINT,
    INK,
    MUTED,
    Figure,
    finish,
    listed,
    percent,
    plain,
    readable_on,
    subplots,
    tint,
)
from src.plots.primitives import (
    GREY,
    arrow,
    bars,
    box,
    boxes,
    drawing,
    level,
    percents,
    title,
    write,
)
from src.pretraining import BEGIN, DELIMITER, EXTRACT

HIDDEN, OTHER, KEPT = "C0", "C1", ANSWER  # a chosen token: [MASK], another token, itself
FIRST, SECOND, SPECIAL = "C0", "C1", "C6"  # of two texts in one sequence, and what is between
SPECIAL_TOKENS = ("[CLS]", "[SEP]", "[PAD]")
LINE = 84  # letters that fit side by side in a figure as wide as the page


def _flow(texts: Sequence[str], most: float = LINE) -> list[tuple[int, float, float]]:
    """Where boxes of these texts go, line by line: line, middle and width of each, in letters."""
    places: list[tuple[int, float, float]] = []
    line, x = 0, 0.0
    for text in texts:
        width = max(len(plain(text)), 2) + 1.3
        if x and x + width > most:
            line, x = line + 1, 0.0
        places.append((line, x + width / 2, width))
        x += width + 0.5
    return places


def _draw_tokens(
    tokens: Sequence[str], below: Sequence[str], looks: Sequence[Mapping[str, Any]], key: Mapping
) -> Figure:
    """Draw tokens as boxes in lines, what was there below them, and a key of colours above."""
    places = _flow([max(pair, key=len) for pair in zip(tokens, below, strict=True)])
    lines = places[-1][0] + 1
    size = (8.6, 0.95 + 0.62 * lines)
    figure, ax = drawing(size, (-0.8, LINE + 0.8), (1.75 * lines - 0.6, -1.1))
    x = 0.0
    for name, colour in key.items():
        write(ax, x, -0.8, name, colour, bold=True, ha="left")
        x += 0.95 * len(name) + 3.5
    for token, under, look, (line, x, width) in zip(tokens, below, looks, places, strict=True):
        box(ax, x, 1.75 * line, width, 0.62, token, size=9.5, **look)
        if under:
            write(ax, x, 1.75 * line + 0.66, under, GREY, 9.5)
    return figure


# --- masked words ---------------------------------------------------------------------------------

CHOSEN = {"hidden": HIDDEN, "replaced by another": OTHER, "left as it is": KEPT}


def draw_masking(tokens: Sequence[str], inputs: Sequence[str], asked: Sequence[bool]) -> Figure:
    """Draw what masking made of a sentence: what the model sees, and below it the labels.

    Args:
        tokens, inputs: str[T], the sentence before and after.
        asked: bool[T], which tokens were chosen.
    """
    kinds = [_kind(*three) for three in zip(tokens, inputs, asked, strict=True)]
    looks = []
    for token, kind in zip(tokens, kinds, strict=True):
        edge = CHOSEN.get(kind, FAINT)
        face = tint(edge, 0.3) if kind else "white"
        ink = MUTED if token in SPECIAL_TOKENS else INK
        looks.append({"edge": edge, "face": face, "colour": ink, "bold": bool(kind)})
    below = [token if kind else "" for token, kind in zip(tokens, kinds, strict=True)]
    figure = _draw_tokens(inputs, below, looks, CHOSEN | {"label": GREY})
    words = sum(token not in SPECIAL_TOKENS for token in tokens)
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in CHOSEN)
    finding = f"{sum(map(bool, kinds))} of {words} tokens are asked: {counted}"
    said = [f"{old} is {kind}" for old, kind in zip(tokens, kinds, strict=True) if kind]
    shows = f"The sentence “{' '.join(tokens)}” becomes “{' '.join(inputs)}”"
    return finish(figure, finding, shows, ", ".join(said))


def _kind(token: str, shown: str, asked: bool) -> str:
    """What became of a token, a name in CHOSEN; "" where it was not chosen."""
    hidden, replaced, kept = CHOSEN
    if not asked:
        return ""
    return hidden if shown == "[MASK]" else replaced if shown != token else kept


def draw_fill_ins(table: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Figure:
    """Draw what several heads put into the blanks of several sentences.

    Args:
        table: sentence with [MASK] -> head -> the likeliest three words with probabilities.
    """
    heads = list(next(iter(table.values())))
    column, height = LINE / len(heads), 1.7 * len(table) - 0.5
    figure, ax = drawing((8.6, 0.95 + 0.5 * len(table)), (-0.8, LINE + 0.8), (height, -1.0))
    for i, name in enumerate(heads):
        write(ax, i * column, -0.75, name, GREY, bold=True, ha="left")
    for row, (sentence, answers) in enumerate(table.items()):
        y = 1.7 * row
        write(ax, 0, y, sentence.replace("[MASK]", "_____"), size=10.5, ha="left")
        for i, head in enumerate(heads):
            words = answers[head]
            text = "  ".join(f"{plain(word)} {percent(share)}" for word, share in words.items())
            face = tint(HIDDEN, 0.08 + 0.6 * max(words.values()))
            look = {"edge": "white", "face": face, "colour": readable_on(face)}
            look |= {"size": min(9.5, 12 * (column - 2) / len(text))}
            box(ax, i * column + (column - 1) / 2, y + 0.69, column - 1, 0.66, text, **look)
    tops = {s: {head: max(a[head], key=a[head].get) for head in heads} for s, a in table.items()}
    changed = sum(words[heads[0]] != words[heads[-1]] for words in tops.values())
    finding = f"“{heads[-1]}” fills {changed} of {len(table)} blanks otherwise than “{heads[0]}”"
    return finish(figure, finding, f"Words for each blank, {listed(table, percent)}")


def plot_shares(shares: Mapping[str, float], what: str, guess: tuple[float, str]) -> Figure:
    """Plot shares as bars, beside what guessing reaches.

    Args:
        shares: name -> share in [0, 1].
        what: the axis.
        guess: a share and what to call it.
    """
    figure, ax = subplots(figsize=(8.2, 1.65 + 0.42 * len(shares)))
    shown = [f"{100 * share:.1f} %" for share in shares.values()]
    bars(ax, shares, shown, tint("C0", 0.55), what)
    ax.set_ylim(top=-1)
    ax.set_xlim(0, 1 if max(shares.values()) > 0.6 else 1.25 * max(*shares.values(), guess[0]))
    percents(ax, "x")
    told = f"{guess[1]}: {100 * guess[0]:.1f} %"
    level(ax, guess[0], told, "x", left=True)
    best = max(shares, key=shares.get)
    return finish(figure, f"“{best}”: {100 * shares[best]:.1f} % right; {told}")


# --- two sentences, replaced tokens ---------------------------------------------------------------


def draw_pairs(pairs: Mapping[str, tuple[str, str, bool]]) -> Figure:
    """Draw pairs of sentences as the encoder reads them, with their labels.

    Args:
        pairs: where the pair comes from -> first sentence, second, whether it follows.
    """
    height = 1.55 * len(pairs) - 0.75
    figure, ax = drawing((8.6, 0.75 + 0.7 * len(pairs)), (-0.8, LINE + 0.8), (height, -0.85))
    for row, (name, (first, second, follows)) in enumerate(pairs.items()):
        y = 1.55 * row
        write(ax, 0, y - 0.55, name, GREY, bold=True, ha="left")
        label = f"label {int(follows)}: {'follows' if follows else 'does not'}"
        write(ax, LINE, y - 0.55, label, KEPT if follows else OTHER, bold=True, ha="right")
        x = 0.0
        for text, face in ((first, FIRST), (second, SECOND)):
            x = boxes(ax, x, y, ["[SEP]" if x else "[CLS]"], edge="white", face=FAINT)
            x = boxes(
                ax,
                x,
                y,
                [textwrap.shorten(text, 28, placeholder=" …")],
                edge="white",
                face=tint(face, 0.22),
            )
        boxes(ax, x, y, ["[SEP]"], edge="white", face=FAINT)
    finding = "Pairs label themselves: where the second sentence came from is the answer"
    said = {
        name: f"“{first}” then “{second}”, label {int(follows)}"
        for name, (first, second, follows) in pairs.items()
    }
    return finish(figure, finding, f"Sentences between [CLS] and [SEP], {listed(said)}")


def draw_replaced_probs(
    tokens: Sequence[str], originals: Sequence[str], chances: Sequence[float]
) -> Figure:
    """Draw a text with some tokens replaced, as a discriminator sees it.

    Args:
        tokens: str[T], as they are now.
        originals: str[T], what was there.
        chances: float[T], of having been replaced: the strength of the colour.
    """
    replaced = np.array([a != b for a, b in zip(tokens, originals, strict=True)])
    suspected = np.asarray(chances) > 0.5
    looks = []
    for new, chance in zip(replaced, chances, strict=True):
        face = tint(OTHER, float(chance))
        look = {"face": face, "colour": readable_on(face), "bold": bool(new)}
        looks.append(look | {"edge": INK if new else FAINT})
    below = [old if new else "" for old, new in zip(originals, replaced, strict=True)]
    key = {"suspected": OTHER, "framed: replaced, below it what was there": INK}
    figure = _draw_tokens(tokens, below, looks, key)
    finding = f"Suspected: {(replaced & suspected).sum()} of {replaced.sum()} replaced tokens, "
    finding += f"and {(~replaced & suspected).sum()} of {(~replaced).sum()} others"
    said = [
        f"{token} {percent(float(chance))}{f' in place of {old}' if old else ''}"
        for token, old, chance in zip(tokens, below, chances, strict=True)
    ]
    shows = "A text, and how likely a discriminator finds it that each token was replaced"
    return finish(figure, finding, f"{shows}: {', '.join(said)}")


# --- two views of one place -----------------------------------------------------------------------


def draw_views(
    words: Sequence[str],
    place: int,
    views: Mapping[str, tuple[Sequence[bool], Mapping[str, float]]],
) -> Figure:
    """Draw what models see of a sentence, and what they expect at one place.

    Args:
        words: str[T].
        place: of the word that is asked for.
        views: model -> which words it sees, bool[T], and its likeliest tokens.
    """
    size, widths = (8.6, 0.7 + 1.45 * len(views)), (1.65, 1)
    figure, axes = subplots(len(views), 2, figsize=size, width_ratios=widths, squeeze=False)
    places = _flow(words, 50)
    roles = {
        "asked": {"edge": OTHER, "face": tint(OTHER, 0.35), "bold": True},
        "seen": {"edge": FAINT, "face": tint(HIDDEN, 0.22)},
        "unseen": {"edge": FAINT, "face": "white", "colour": "#c0c0c0"},
    }
    highest = max(max(chances.values()) for _, chances in views.values())
    for (ax, right), (name, (sees, chances)) in zip(axes, views.items(), strict=True):
        ax.set(xlim=(-0.5, 51), ylim=(max(2.6, places[-1][0] + 1.4), -1.25))
        ax.set_axis_off()
        write(ax, 0, -0.85, name, size=11, bold=True, ha="left")
        for t, (line, x, width) in enumerate(places):
            look = roles["asked" if t == place else "seen" if sees[t] else "unseen"]
            text = "?" if t == place else words[t]
            box(ax, x, 0.85 * line, width, 0.62, text, size=9.5, **look)
        shown = [percent(chance) for chance in chances.values()]
        chances = {word.strip(): chance for word, chance in chances.items()}
        title(right, f"what {name} expects", 10, bold=False)
        bars(right, chances, shown, tint(OTHER, 0.55), "probability of the token")
        right.set_xlim(0, 1.3 * highest)
        percents(right, "x")
    tops = {name: next(iter(chances)).strip() for name, (_, chances) in views.items()}
    finding = "; ".join(f"{name} expects “{word}”" for name, word in tops.items())
    blanked = " ".join("?" if t == place else word for t, word in enumerate(words))
    seen = {name: f"sees {sum(map(bool, sees))} words" for name, (sees, _) in views.items()}
    return finish(figure, finding, f"The sentence “{blanked}”, {listed(seen)}")


# --- tasks as one sequence ------------------------------------------------------------------------


def draw_sequences(tasks: Mapping[str, Sequence[Sequence[str]]], ends: Mapping[str, str]) -> Figure:
    """Draw examples of tasks as the sequences that a GPT reads.

    Args:
        tasks: name -> sequences, see `src.pretraining.as_sequences`.
        ends: name -> what becomes of the vectors at the ends of the sequences.
    """
    bottom = 0.78 * sum(map(len, tasks.values())) + 0.6 * len(tasks)
    figure, ax = drawing((8.6, 0.6 + 0.4 * bottom), (-0.8, LINE + 0.8), (bottom - 0.4, -0.8))
    y = 0.2
    for name, sequences in tasks.items():
        write(ax, 0, y - 0.62, name, size=10.5, bold=True, ha="left")
        end = "\n".join(textwrap.wrap(ends[name], 20))
        write(ax, 67.2, y + 0.39 * (len(sequences) - 1), end, GREY, 9.5, ha="left")
        for sequence in sequences:
            x = _draw_sequence(ax, y, sequence)
            arrow(ax, (x, y), (66.5, y), width=1, head=8)
            y += 0.78
        y += 0.6
    finding = f"{len(tasks)} tasks, one model: every example becomes one sequence or several"
    said = {
        name: f"{' and '.join(map(' '.join, sequences))}, then {ends[name]}"
        for name, sequences in tasks.items()
    }
    return finish(figure, finding, listed(said))


def _draw_sequence(ax: Axes, y: float, sequence: Sequence[str]) -> float:
    """Draw one sequence, its texts cut to what fits; returns where it ends."""
    x, marks = 0.0, (BEGIN, DELIMITER, EXTRACT)
    lengths = [len(plain(part)) for part in sequence if part not in marks]
    fits = 51 - 2 * len(lengths)
    room = next(n for n in range(60, 0, -1) if sum(min(n, length) for length in lengths) <= fits)
    for i, part in enumerate(sequence):
        special = part in marks
        face = SPECIAL if special else SECOND if DELIMITER in sequence[:i] else FIRST
        look = {"edge": "white", "face": tint(face, 0.3 if special else 0.22), "bold": special}
        text = part if special else textwrap.shorten(part, room, placeholder=" …")
        x = boxes(ax, x, y, [text], size=9.5, **look)
    return x
