"""Figures of pre-training: masked words, shares of right verdicts, two views of one place."""

from collections.abc import Mapping, Sequence
from typing import Any

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
from src.plots.primitives import GREY, bars, box, drawing, intervals, level, percents, title, write

HIDDEN, OTHER = "C0", "C1"  # a chosen token: [MASK], another token
SPECIAL_TOKENS = ("[CLS]", "[SEP]", "[PAD]")
LINE = 84  # letters that fit side by side in a figure as wide as the page


def _flow(texts: Sequence[str], most: float = LINE) -> list[tuple[int, float, float]]:
    """Where boxes of these texts go: line, middle and width of each, in letters."""
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
    """Draw tokens as boxes in lines, what was there below, and a key of colours above."""
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


# --- masked words

CHOSEN = {"hidden": HIDDEN, "replaced by another": OTHER, "left as it is": ANSWER}


def draw_masking(tokens: Sequence[str], inputs: Sequence[str], asked: Sequence[bool]) -> Figure:
    """Draw what masking made of a sentence: what the model sees, and below it the labels.

    `tokens` and `inputs` are str[T], before and after; `asked`, bool[T], are the chosen ones.
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

    `table`: sentence with [MASK] -> head -> its likeliest words with probabilities.
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
    ends = ((answers[heads[0]], answers[heads[-1]]) for answers in table.values())
    changed = sum(max(one, key=one.get) != max(other, key=other.get) for one, other in ends)
    finding = f"“{heads[-1]}” and “{heads[0]}” differ in {changed} of {len(table)} blanks"
    return finish(figure, finding, f"Words for each blank, {listed(table, percent)}")


def plot_shares(
    shares: Mapping[str, float], what: str, guess: tuple[float, str], n: int = 0, finding: str = ""
) -> Figure:
    """Plot shares as bars, beside what guessing reaches.

    Args:
        shares: name -> share in [0, 1].
        what: the axis.
        guess: a share and what to call it.
        n: how many cases each share is of; draws its 95 % interval (Wilson).
        finding: the headline; without one it names the best.
    """
    figure, ax = subplots(figsize=(8.2, 1.65 + 0.42 * len(shares)))
    values = list(shares.values())
    shown = [f"{100 * share:.1f} %" for share in values]
    if n:
        ends = intervals([round(n * share) for share in values], [n] * len(values))
        shown = [f"{s} ({a:.0f} to {b:.0f})" for s, a, b in zip(shown, *ends, strict=True)]
        bars(ax, shares, "", tint("C0", 0.55), what, told=shown)
        ax.hlines(range(len(values)), *ends / 100, color=INK, linewidth=1.4)
        for y, (text, end) in enumerate(zip(shown, ends[1] / 100, strict=True)):
            write(ax, end, y, text, size=9.5, shift=(4, 0), ha="left")
    else:
        bars(ax, shares, shown, tint("C0", 0.55), what)
    ax.set_xlim(0, 1.35 * max(*values, guess[0]))
    ax.set_xticks([tick for tick in ax.get_xticks() if 0 <= tick <= 1])
    percents(ax, "x")
    told = f"{guess[1]}: {100 * guess[0]:.1f} %"
    level(ax, guess[0], told, "x")
    best = max(shares, key=shares.get)
    found = f"“{best}” is right most often"
    if n:  # whose intervals reach that of the best
        lowest = ends[0, list(shares).index(best)]
        near = [k for k, high in zip(shares, ends[1], strict=True) if high >= lowest and k != best]
        found += f", “{near[0]}” nearly so" if near else ""
    return finish(figure, f"{finding or found}; {told}")


# --- two views of one place

LOOKS = {  # of a word
    "asked": {"edge": OTHER, "face": tint(OTHER, 0.35), "bold": True},
    "seen": {"edge": FAINT, "face": tint(HIDDEN, 0.22)},
    "unseen": {"edge": FAINT, "face": "white", "colour": "#c0c0c0"},
}


def draw_views(
    words: Sequence[str],
    place: int,
    views: Mapping[str, tuple[Sequence[bool], Mapping[str, float]]],
) -> Figure:
    """Draw what models see of a sentence, and what they expect at one place.

    `views`: model -> which words it sees, bool[T], and its likeliest tokens.
    """
    size, widths = (8.6, 0.7 + 1.45 * len(views)), (1.65, 1)
    figure, axes = subplots(len(views), 2, figsize=size, width_ratios=widths, squeeze=False)
    places = _flow(words, 50)
    highest = max(max(chances.values()) for _, chances in views.values())
    for (ax, right), (name, (sees, chances)) in zip(axes, views.items(), strict=True):
        ax.set(xlim=(-0.5, 51), ylim=(max(2.6, places[-1][0] + 1.4), -1.25))
        ax.set_axis_off()
        write(ax, 0, -0.85, name, size=11, bold=True, ha="left")
        for t, (line, x, width) in enumerate(places):
            look = LOOKS["asked" if t == place else "seen" if sees[t] else "unseen"]
            text = "?" if t == place else words[t]
            box(ax, x, 0.85 * line, width, 0.62, text, size=9.5, **look)
        shown = [percent(chance) for chance in chances.values()]
        title(right, f"what {name} expects", 10, bold=False)
        pairs = [(word.strip() or "␣", chance) for word, chance in chances.items()]
        bars(right, pairs, shown, tint(OTHER, 0.55), "probability of the token")
        right.set_xlim(0, 1.3 * highest)
        percents(right, "x")
    tops = {name: next(iter(chances)).strip() or "␣" for name, (_, chances) in views.items()}
    finding = "; ".join(f"{name} expects “{word}”" for name, word in tops.items())
    blanked = " ".join("?" if t == place else word for t, word in enumerate(words))
    seen = {name: f"sees {sum(map(bool, sees))} words" for name, (sees, _) in views.items()}
    return finish(figure, finding, f"The sentence “{blanked}”, {listed(seen)}")
