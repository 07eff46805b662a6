"""What figures are drawn with: text, boxes, arrows, heatmaps, bars, lines, labels, tinted words.

Each primitive draws into axes that `src.plots.subplots` or `drawing` made. Words are shown as
they are: `$` begins no formula, and characters the font lacks become a hollow box. A chart tells
its numbers to the figure's alternative text.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import AxesImage
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatterMathtext,
    LogLocator,
    NullFormatter,
    PercentFormatter,
)
from scipy.stats import binomtest

from src.plots import (
    FAINT,
    INK,
    MUTED,
    START,
    Figure,
    listed,
    number,
    percent,
    plain,
    readable_on,
    subplots,
    tell,
    tint,
    valued,
)
from src.teaching.panel import UNBOXED, Panel

GREY = "#555555"  # of notes and arrows

# --- drawings: boxes, arrows, text


def drawing(
    size: tuple[float, float], x: tuple[float, float], y: tuple[float, float], columns: int = 1
) -> tuple[Figure, Any]:
    """Make a figure to draw in, without axes, scales or frames.

    Args:
        size: width and height in inches; a page is 8 to 8.6 wide.
        x, y: the limits of the coordinates; y may go down.
        columns: drawings side by side.

    Returns:
        The figure and its axes, an array of them where there is more than one column.
    """
    figure, axes = subplots(1, columns, figsize=size)
    for ax in np.ravel(axes):
        ax.set_xlim(*x)
        ax.set_ylim(*y)
        ax.set_axis_off()
    return figure, axes


def write(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    colour: Any = INK,
    size: float = 10,
    bold: bool = False,
    shift: tuple[float, float] = (0, 0),
    **options: Any,
) -> None:
    """Write `text` around the point (x, y), moved by `shift` points.

    Args:
        options: of `Axes.annotate`: ha, va, rotation, parse_math=True for a formula,
            xycoords="axes fraction".
    """
    defaults = {"ha": "center", "va": "center", "parse_math": False, "annotation_clip": False}
    lines = "\n".join(plain(line) if line else "" for line in text.split("\n"))
    weight = "bold" if bold else "normal"
    look = {"color": colour, "fontsize": size, "fontweight": weight, **defaults, **options}
    ax.annotate(lines, (x, y), xytext=shift, textcoords="offset points", **look)


def box(
    ax: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    text: str = "",
    edge: Any = MUTED,
    face: Any = None,
    line: float = 1.1,
    rounded: float = 0,
    **look: Any,
) -> None:
    """Draw a box around the point (x, y) with a text in it.

    Args:
        face: its colour; None takes a pale `edge`.
        rounded: radius of the corners.
        look: of the text, as in `write`.
    """
    face = tint(edge, 0.2) if face is None else face
    colours = {"facecolor": face, "edgecolor": edge, "linewidth": line}
    corner = (x - width / 2, y - height / 2)
    if rounded:
        style = f"round,pad=0,rounding_size={rounded}"
        ax.add_patch(FancyBboxPatch(corner, width, height, boxstyle=style, **colours))
    else:
        ax.add_patch(Rectangle(corner, width, height, **colours))
    if text:
        write(ax, x, y, text, **look)


def boxes(ax: Axes, x: float, y: float, texts: Sequence[str], **look: Any) -> float:
    """Draw boxes side by side from x on, as wide as their texts; returns where one would follow."""
    for text in texts:
        width = len(text) + 1.1
        box(ax, x + width / 2, y, width, 0.6, text, **look)
        x += width + 0.5
    return x


def arrow(
    ax: Axes,
    start: Sequence[float],
    end: Sequence[float],
    colour: Any = GREY,
    width: float = 1.2,
    head: float = 10,
    bend: float = 0,
    gap: float = 0,
) -> None:
    """Draw an arrow from one point to another.

    Args:
        width, head: of the line and of its head, in points.
        bend: 0 is straight.
        gap: points left free at both ends.
    """
    style = {"arrowstyle": "-|>", "mutation_scale": head, "connectionstyle": f"arc3,rad={bend}"}
    look = {"color": colour, "linewidth": width, "shrinkA": gap, "shrinkB": gap}
    ax.add_patch(FancyArrowPatch(tuple(start), tuple(end), **style, **look))


# --- charts: heatmaps, bars, lines


def title(ax: Axes, text: str, size: float = 10.5, bold: bool = True) -> None:
    """Write what one of several charts shows above it."""
    look = {"fontsize": size, "fontweight": "bold" if bold else "normal", "parse_math": False}
    ax.set_title("\n".join(map(plain, text.split("\n"))), **look)


def percents(ax: Axes, axis: str = "y") -> None:
    """Write the shares of an axis, 0 to 1, in percent; before lines are drawn."""
    (ax.xaxis if axis == "x" else ax.yaxis).set_major_formatter(PercentFormatter(1, 0))


def _told(axis: Axis, value: float) -> str:
    """A value of an axis for the alternative text: the name of its tick, if it was given one."""
    form = axis.get_major_formatter()
    if isinstance(form, PercentFormatter):
        return percent(value)
    name = form(value) if isinstance(form, FuncFormatter) else ""
    return name or number(value)


def heatmap(
    ax: Axes,
    values: np.ndarray,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    form: Callable[[float], str] | None = None,
    low: float | None = 0,
    high: float | None = None,
    allowed: np.ndarray | None = None,
    unit: str = "",
    size: float = 10,
) -> AxesImage:
    """Draw a matrix as a heatmap with its rows and columns named.

    Args:
        values: float[R, C].
        rows, columns: their names; None leaves an axis bare.
        form: how a number is written into its cell, such as "{:.2f}".format; None or "" is not.
        low, high: the ends of the colour map; None takes those of the values.
        allowed: bool[R, C]; where it is False the cell is grey and empty.
        unit: of the values; draws a colour bar.
        size: of all text, in points.

    Returns:
        The picture, such as a colour bar for several heatmaps needs.
    """
    colours = matplotlib.colormaps[matplotlib.rcParams["image.cmap"]].with_extremes(bad=FAINT)
    shown = np.ma.masked_where(np.zeros(np.shape(values)) if allowed is None else ~allowed, values)
    picture = ax.imshow(shown, cmap=colours, vmin=low, vmax=high, aspect="auto")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xticks=[], yticks=[])
    if columns is not None:
        name_columns(ax, columns, size)
    if rows is not None:
        look = {"fontsize": size, "parse_math": False}
        ax.set_yticks(range(len(rows)), list(map(plain, rows)), **look)
    if form is not None:
        cells: dict[int, list[str]] = {}
        for (row, column), value in np.ndenumerate(np.asarray(values)):
            text = form(value)
            if text and (allowed is None or allowed[row, column]):
                colour = readable_on(picture.cmap(picture.norm(value)))
                write(ax, column, row, text, colour, size)
                named = valued(columns[column], text) if columns is not None else text
                cells.setdefault(row, []).append(named)
        names = rows if rows is not None else range(1, len(values) + 1)
        said = [f"{names[row]}: {', '.join(texts)}" for row, texts in cells.items()]
        tell(ax, "Heatmap", "; ".join(said))
    elif rows is not None and columns is not None and allowed is None:
        tops = zip(rows, np.argmax(values, axis=1), np.max(values, axis=1), strict=True)
        share = percent if unit.startswith("share") else number
        said = [f"{row}: {columns[place]} {share(top)}" for row, place, top in tops]
        tell(ax, "Heatmap", f"most in each row, {'; '.join(said)}")
    if unit:
        ax.get_figure(root=True).colorbar(picture, ax=ax, label=unit, pad=0.015)
    return picture


def name_columns(ax: Axes, names: Sequence[str], size: float = 10) -> None:
    """Name the places 0, 1, ... of the x axis; names too long for their columns are slanted."""
    figure = ax.get_figure(root=True)
    room = ax.get_position().width * figure.get_figwidth() * 120 / size / max(len(names), 1)
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}  # room: in letters
    if max((len(line) for name in names for line in name.split("\n")), default=0) <= room:
        turned = {}
    elif room < 2.4:
        turned = {"rotation": 90}
    texts = ["\n".join(map(plain, name.split("\n"))) for name in names]
    ax.set_xticks(range(len(names)), texts, fontsize=size, parse_math=False, **turned)


def bars(
    ax: Axes,
    values: Mapping[str, float] | Sequence[tuple[str, float]],
    shown: str | Sequence[str] = "{:.2f}",
    colour: Any = None,
    label: str = "",
    room: float = 1.2,
    height: float = 0.62,
    size: float = 10,
    told: str | Sequence[str] = "",
) -> None:
    """Draw horizontal bars from the top down, each with its name and its value.

    Args:
        values: name -> length, or pairs where a name may come twice.
        shown: what is written at the end of a bar: a format, or a text for each.
        colour: one, or one for each bar.
        label: of the x axis; without it the axis is left out.
        room: how far the axis goes, in lengths of the longest bar.
        told: what the alternative text says instead of `shown`: a format, or a text for each.
    """
    pairs = values.items() if isinstance(values, Mapping) else values
    names, lengths = [name for name, _ in pairs], np.array([length for _, length in pairs])
    colour = tint(START, 0.7) if colour is None else colour
    ax.barh(range(len(names)), lengths, height, color=colour)
    texts = [shown.format(value) for value in lengths] if isinstance(shown, str) else shown
    for y, text in enumerate(texts):
        if text:
            write(ax, np.nanmax([lengths[y], 0]), y, text, size=size - 0.5, shift=(4, 0), ha="left")
    if told:
        texts = [told.format(value) for value in lengths] if isinstance(told, str) else told
    said = [text or _told(ax.xaxis, value) for text, value in zip(texts, lengths, strict=True)]
    tell(ax, "Bars", listed(list(zip(names, said, strict=True))))
    ax.set_xlim(0, room * max(np.nanmax(lengths, initial=0), 1e-12))
    name_bars(ax, names, label, size)


def intervals(hits: Sequence[int], counts: Sequence[int]) -> np.ndarray:
    """Wilson's 95 % intervals of shares: float[2, N], lower and upper ends in percent."""
    tests = [binomtest(int(hit), int(n)) for hit, n in zip(hits, counts, strict=True)]
    return 100 * np.array([tuple(test.proportion_ci(method="wilson")) for test in tests]).T


def stacked_bars(
    ax: Axes, table: Mapping[str, Mapping[str, float]], colours: Mapping[str, Any], label: str
) -> None:
    """Draw horizontal bars made of parts, each part with its value in it.

    `table`: name -> part -> length, the same parts in each, in the order of `colours`.
    """
    for y, parts in enumerate(table.values()):
        left = 0.0
        for part, colour in colours.items():
            ax.barh(y, parts[part], 0.62, left=left, color=colour)
            if parts[part]:
                at, ink = left + parts[part] / 2, readable_on(colour)
                write(ax, at, y, f"{parts[part]:.0f}", ink, bold=True)
            left += parts[part]
    tell(ax, "Stacked bars", listed(table, "{:.0f}"))
    name_bars(ax, list(table), label)


def grouped_bars(
    ax: Axes, table: Mapping[str, Mapping[str, float]], colours: Mapping[str, Any], label: str
) -> None:
    """Draw groups of horizontal bars, each bar with its value.

    `table`: name -> kind -> length, the same kinds in each, in the order of `colours`.
    """
    height = 0.8 / len(colours)
    for y, lengths in enumerate(table.values()):
        for k, (kind, colour) in enumerate(colours.items()):
            at = y + (k - (len(colours) - 1) / 2) * height
            ax.barh(at, lengths[kind], 0.92 * height, color=colour)
            write(ax, lengths[kind], at, f"{lengths[kind]:.2f}", shift=(4, 0), ha="left")
    ax.set_xlim(0, 1.2 * max(max(lengths.values()) for lengths in table.values()))
    tell(ax, "Bars", listed(table))
    name_bars(ax, list(table), label)


def name_bars(ax: Axes, names: Sequence[str], label: str = "", size: float = 10) -> None:
    """Name horizontal bars 0, 1, ... from the top down, and their axis, which goes without."""
    ax.set_yticks(range(len(names)), [plain(n) for n in names], fontsize=size, parse_math=False)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    if label:
        ax.set_xlabel(label, parse_math=False)
    else:
        ax.set_xticks([])
        ax.spines["bottom"].set_visible(False)


def lines(
    ax: Axes,
    curves: Mapping[str, Sequence[tuple[float, float]] | np.ndarray],
    x: str,
    y: str,
    colours: Mapping[str, Any] | None = None,
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    log: str = "",
    **look: Any,
) -> None:
    """Draw curves, each named at its end.

    Args:
        curves: name -> float[N, 2], points (x, y) in order; "" is drawn and not named.
        x, y: labels of the axes, with units.
        colours: name -> colour; the style's cycle where it says nothing.
        bands: name -> lower and upper y at the points of that curve, drawn pale around it.
        xlim, ylim: None goes from the first to the last point, and from zero to the highest.
        log: "x", "y" or "xy", the axes that are logarithmic.
        look: of `Axes.plot`, such as marker="o".
    """
    points = {name: np.asarray(curve, dtype=float).reshape(-1, 2) for name, curve in curves.items()}
    ends, told = [], {}
    for i, (name, curve) in enumerate(points.items()):
        colour = (colours or {}).get(name, f"C{i % 7}")
        ax.plot(*curve.T, color=colour, **look)
        if name in (bands or {}):
            ax.fill_between(curve[:, 0], *bands[name], color=colour, alpha=0.18, linewidth=0)
        if name:
            ends.append((*curve[-1], name, colour))
        some = curve if len(curve) <= 8 else curve[[0, -1]]
        told[name] = ", ".join(f"{_told(ax.yaxis, v)} at {_told(ax.xaxis, u)}" for u, v in some)
    tell(ax, "Lines", listed(told) if any(told) else told[""])
    both = np.concatenate(list(points.values()))
    ax.set_xlim(*(xlim or (both[:, 0].min(), both[:, 0].max() + 1e-9)))
    for axis in log:
        logarithmic(ax, axis)
    if ylim or "y" not in log:
        ax.set_ylim(*(ylim or (0, 1.12 * max(both[:, 1].max(), 1e-9))))
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(axis="y")
    label_line_ends(ax, ends)


def label_line_ends(ax: Axes, ends: list[tuple[float, float, str, Any]]) -> None:
    """Write each line's name right of its last point, moved until no two names overlap.

    Limits and scales must be final; `ends` are (x, y, name, colour) in data units.
    """
    figure = ax.get_figure(root=True)
    height = 72 * ax.get_position().height * figure.get_figheight()  # points, before the layout
    along = ax.yaxis.get_transform().transform  # of a logarithmic axis the logarithm
    low, high = along(np.array(ax.get_ylim()))
    order = sorted(ends, key=lambda end: end[1])
    wanted = (along(np.array([end[1] for end in order], dtype=float)) - low) * height / (high - low)
    placed = wanted.copy()
    for _ in range(100):  # neighbours that are too close, in points, push each other apart
        overlap = np.maximum(0, 13 - np.diff(placed))
        placed[1:] += overlap / 2
        placed[:-1] -= overlap / 2
        placed[:1] = np.maximum(placed[:1], 6)  # above the axis
    halo = [withStroke(linewidth=3, foreground="white")]  # where another line crosses a name
    for (x, y, name, colour), up in zip(order, placed - wanted, strict=True):
        look = {"ha": "left", "bold": True, "path_effects": halo}
        write(ax, x, y, name, colour, shift=(7, up), **look)


def logarithmic(ax: Axes, axis: str = "y") -> None:
    """Make an axis logarithmic, its ticks plain numbers or powers, after its limits are set."""
    (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
    low, high = ax.get_xlim() if axis == "x" else ax.get_ylim()
    chosen = ax.xaxis if axis == "x" else ax.yaxis
    steps = (1, 2, 5) if np.log10(high / low) < 2.5 else (1,)
    chosen.set_major_locator(LogLocator(10, subs=steps, numticks=8))
    powers = high / low > 1e7  # 10 to the power of ... rather than many zeros
    plain_numbers = FuncFormatter(lambda value, _: number(value))
    chosen.set_major_formatter(LogFormatterMathtext() if powers else plain_numbers)
    chosen.set_minor_formatter(NullFormatter())


def level(
    ax: Axes, value: float, name: str, axis: str = "y", below: bool = False, left: bool = False
) -> None:
    """Draw a dashed line to compare with: at a height, or with axis="x" at a place.

    Its name is above it at its right end, or `below` or `left`; at a place it is above the axes.
    """
    draw = ax.axhline if axis == "y" else ax.axvline
    draw(value, color=MUTED, linestyle="--", linewidth=1.3, zorder=1)
    tell(ax, "", f"Dashed line: {name}")
    if axis == "x":
        write(ax, value, 1, name, GREY, shift=(0, 8), xycoords=("data", "axes fraction"))
        return
    halo = [withStroke(linewidth=5, foreground="white")]  # where the grid crosses the name
    look = {"xycoords": ("axes fraction", "data"), "path_effects": halo}
    look |= {"shift": (4 if left else -4, -8 if below else 8), "ha": "left" if left else "right"}
    write(ax, 0 if left else 1, value, name, GREY, **look)


def label_points(
    ax: Axes,
    points: np.ndarray,
    names: Sequence[str],
    colours: Any = INK,
    size: float = 10,
    bold: Sequence[bool] | bool = False,
    avoid: np.ndarray | None = None,
) -> None:
    """Write a name at each of N points, shifted until none covers another or a point.

    Args:
        colours, bold: one for all names, or one for each.
        avoid: float[M, 2], points that no name may cover; None means `points`.
    """
    from adjustText import adjust_text  # 0.3 s, and needed here only

    inks, heavy = (np.broadcast_to(each, len(names)) for each in (colours, bold))
    texts = []
    for point, name, ink, strong in zip(points, names, inks, heavy, strict=True):
        look = {"color": ink, "fontsize": size, "fontweight": "bold" if strong else "normal"}
        texts.append(ax.text(*point, plain(name), parse_math=False, **look))
    state = np.random.get_state()
    np.random.seed(0)  # adjust_text uses numpy's old generator; the reader's numbers stay theirs
    try:
        FigureCanvasAgg(ax.get_figure(root=True)).draw()  # labels are measured as they are drawn
        rounds = {"iter_lim": 120, "time_lim": None}  # not seconds: the same picture each time
        line = {"arrowstyle": "-", "color": "#aaaaaa", "linewidth": 0.6}
        covered = points if avoid is None else avoid
        adjust_text(texts, *covered.T, ax=ax, expand=(1.1, 1.3), arrowprops=line, **rounds)
    finally:
        np.random.set_state(state)


def legend(figure: Figure, entries: Mapping[str, Any], columns: int = 4) -> None:
    """Name colours, name -> colour, below a figure."""
    patches = [Patch(facecolor=c, edgecolor=MUTED, label=plain(n)) for n, c in entries.items()]
    look = {"frameon": False, "fontsize": 10, "handlelength": 1.2, "columnspacing": 1.4}
    place = "outside lower center"
    figure.legend(handles=patches, loc=place, ncols=min(columns, len(patches)), **look)


# --- text in colours


def html_panel(content: str, text: str, style: str = "") -> Panel:
    """HTML for light and dark pages, in an element of this style; `text` where there is no page."""
    div = f'<div class="wta" style="max-width:52em;{style}">{content}</div>'
    return Panel(f"<style>{UNBOXED}</style>{div}", text)


def tinted_words(words: Sequence[tuple[str, float]], strongest: float, caption: str) -> Panel:
    """Show a text with each word on a background as strong as its value, and a line below.

    A word is orange above zero, blue below; the value `strongest` gets the full colour.
    """
    spans = []
    for word, value in words:
        colour = "213,94,0" if value > 0 else "0,114,178"
        share = 0.65 * min(1.0, abs(value) / strongest)
        style = f"background:rgba({colour},{share:.2f});border-radius:3px;padding:1px 3px"
        spans.append(f'<span style="{style}" title="{value:+.2f}">{html.escape(word)}</span>')
    body = f'<div style="line-height:1.9;font-size:105%">{" ".join(spans)}</div>'
    note = f'<div style="opacity:.75;margin-top:.2em">{html.escape(caption)}</div>'
    in_text = " ".join(f"{word.strip()} ({value:+.2f})" for word, value in words)
    return html_panel(body + note, f"{in_text}\n{caption}")
