"""Every figure of the course, one file per subject. Here: what a figure is, and its words.

`subplots` makes a figure, `src.plots.primitives` draws into it, `finish` gives it its title, which
states the finding, and its alternative text. At the end of a cell it shows itself as one <img> with
that text: opaque and light, so it reads on dark pages, at most 60 KB as stored, and twice as sharp
as the page where that fits. pyplot is not involved: nothing is drawn twice, no figure stays open.
The look itself is in course.mplstyle, applied by `src.runtime.start()`.
"""

import base64
import html
import io
import textwrap
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ft2font import FT2Font
from PIL import Image

# What a colour means, in every figure: entries of the style's colour cycle.
START, END, ANSWER, PALE = "C0", "C1", "C2", "C5"
MUTED = "#8a8a8a"  # what is not used, not allowed, or only context
FAINT = "#e4e4e4"
INK = "#222222"
STORED_BYTES = 60_000  # of a figure in a notebook file: its picture, written as text


class Figure(MatplotlibFigure):
    """A matplotlib Figure that notebooks and pages show with its alternative text."""

    alt: str = ""
    told: list[tuple[Axes, str, str]]  # of each chart what was drawn, for the alternative text

    def png(self, live: bool = False) -> bytes:
        """The picture as stored, in 256 colours: sharp, or quickly made for a live curve."""
        for scale in (1.0,) if live else (2.0, 1.5, 1.25, 1.0):  # pixels per point on the page
            buffer, method = io.BytesIO(), Image.Quantize.MAXCOVERAGE  # white stays white
            picture = self._picture(scale).quantize(method=method, dither=Image.Dither.NONE)
            picture.save(buffer, "png", optimize=not live)
            if 4 * buffer.tell() <= 3 * STORED_BYTES:  # base64 writes 3 bytes as 4 characters
                break
        return buffer.getvalue()

    def _picture(self, scale: float) -> Image.Image:
        canvas, dpi = self.canvas, self.dpi
        try:
            self.dpi = dpi * scale
            agg = FigureCanvasAgg(self)
            agg.draw()
            return Image.fromarray(np.asarray(agg.buffer_rgba())[:, :, :3])
        finally:
            self.dpi = dpi
            self.set_canvas(canvas)

    def to_html(self, live: bool = False) -> str:
        """The picture as an HTML image with its alternative text, never wider than the page."""
        if not self.alt:
            raise ValueError("this figure has no alternative text; end with src.plots.finish(...).")
        source = base64.b64encode(self.png(live)).decode()
        width = round(self.get_figwidth() * self.dpi)
        return (
            f'<img class="dark-light" src="data:image/png;base64,{source}" '
            f'alt="{html.escape(self.alt)}" width="{width}" '
            'style="max-width: 100%; height: auto; background: #ffffff">'
        )

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What Jupyter stores. HTML: JupyterLab, nbconvert and myst-nb drop an image/png's alt."""
        return {"text/html": self.to_html(), "text/plain": self.alt}


def subplots(
    rows: int = 1,
    columns: int = 1,
    figsize: tuple[float, float] | None = None,
    layout: str | None = None,
    **options: Any,
) -> tuple[Figure, Any]:
    """Make a figure and its axes as `plt.subplots` does, unknown to pyplot."""
    figure = Figure(figsize=figsize, layout=layout)
    figure.told = []
    return figure, figure.subplots(rows, columns, **options)


def finish(figure: Figure, finding: str, *details: str) -> Figure:
    """Give a figure its title and its alternative text, and return it.

    The alternative text is the finding, the details, and what the primitives drew with its numbers.

    Args:
        finding: what the picture shows, in one sentence that is computed from the data.
        details: more sentences, for what no primitive tells.
    """
    headline(figure, finding)
    drawn = [f"{kind}{_named(ax)}: {text}" if kind else text for ax, kind, text in figure.told]
    return alt(figure, ". ".join([finding, *filter(None, details), *drawn]) + ".")


def tell(ax: Axes, kind: str, text: str) -> None:
    """Keep for the alternative text what was drawn into `ax`: "Bars" and "king 0.8; queen 0.7"."""
    ax.get_figure(root=True).told.append((ax, kind, text))


def _named(ax: Axes) -> str:
    title = ax.get_title(loc="left")
    axes = [label.partition(":")[0] for label in (ax.get_ylabel(), ax.get_xlabel())]
    named = " by ".join(filter(None, [title] if title else axes))
    return f" of {named}" if named.strip() else ""


def written(figure: Figure) -> str:
    """All texts of a drawing in the order they were written, for its alternative text."""
    return "; ".join(text.get_text() for ax in figure.axes for text in ax.texts)


def headline(figure: Figure, text: str) -> None:
    """Set the figure's title, the finding in one sentence, wrapped to the figure's width."""
    size = 12
    letters = int(figure.get_figwidth() * 72 / (0.61 * size))  # a bold one is 0.6 of its size wide
    text = plain(text)
    lines = textwrap.wrap(text, letters) or [""]
    while len(lines) > 1 and len(even := textwrap.wrap(text, letters - 1)) == len(lines):
        lines, letters = even, letters - 1
    look = {"fontsize": size, "fontweight": "bold", "parse_math": False}
    figure.suptitle("\n".join(lines), x=0.01, ha="left", **look)


def alt(figure: Figure, text: str) -> Figure:
    """Give a figure its alternative text, what it shows in sentences, and return it."""
    figure.alt = " ".join(text.split())
    return figure


def plain(text: str) -> str:
    """`text` as the figures' font can draw it: unknown characters become a hollow box, blanks "␣".

    Give the result to matplotlib with parse_math=False, or two dollars in it become a formula.
    """
    blank = "".join("␣" if c.isspace() and c not in " \u00a0" else c for c in text)
    shown = "".join(c if ord(c) in _characters() else "▯" for c in blank)
    return shown if shown.strip() else "␣" * max(len(shown), 1)


@cache
def _characters() -> frozenset[int]:
    """Code points that the default font can draw, regular and bold: the bold one has fewer."""
    faces = [font_manager.FontProperties(weight=weight) for weight in ("normal", "bold")]
    fonts = [FT2Font(font_manager.findfont(face)) for face in faces]
    return frozenset.intersection(*(frozenset(font.get_charmap()) for font in fonts))


def listed(
    values: Mapping[Any, Any] | list[tuple[Any, Any]], form: str | Callable[[Any], str] = "{:.2f}"
) -> str:
    """Names with their values, for alternative texts: "king 0.83, queen 0.79".

    Args:
        values: name -> number; or name -> text or table, as "king: 0.83; queen: his wife". Pairs
            where a name may come twice, such as tokens.
        form: of a number.
    """
    pairs = list(values.items()) if isinstance(values, Mapping) else values
    write = form.format if isinstance(form, str) else form
    if not any(isinstance(value, (str, list, Mapping)) for _, value in pairs):
        return ", ".join(valued(name, write(value)) for name, value in pairs)
    rows = [(name, row if isinstance(row, str) else listed(row, form)) for name, row in pairs]
    return "; ".join(f"{name}: {row}" for name, row in rows)


def valued(name: Any, value: str) -> str:
    """A name and its value: "king 0.83", and "layer 2: 0.83", where two numbers would meet."""
    return f"{name}: {value}" if str(name)[-1:].isdigit() else f"{name} {value}"


def number(value: float) -> str:
    """A number with three digits, or whole: "0.25", "12.5", "1,400"."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(share: float) -> str:
    """A share in [0, 1] as "12 %"; "under 1 %" and "over 99 %" where that would say none or all."""
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{100 * share:.0f} %"


def tint(colour: Any, share: float) -> tuple[float, ...]:
    """`colour` mixed with white, opaque: share 1 is the colour itself, 0 is white."""
    return tuple(1 - share * (1 - part) for part in matplotlib.colors.to_rgb(colour))


def readable_on(colour: Any) -> str:
    """Black or white, whichever reads better on `colour`."""
    brightness = np.dot(matplotlib.colors.to_rgb(colour), (0.299, 0.587, 0.114))
    return INK if brightness > 0.55 else "#ffffff"
