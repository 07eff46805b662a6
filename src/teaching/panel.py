"""One way to put something on the page: HTML where there is a page, else the same as plain text."""

import functools
import html
import re
from pathlib import Path

from IPython.display import display

# Translucent tints and no text colour: a page's own text stays readable on them, light or dark.
TINTS = {"good": "46,160,67", "bad": "218,54,51", "open": "128,128,128", "info": "56,139,253"}

# Sphinx's themes put the HTML of cells into a light box on dark pages. Ours reads on both, so its
# box goes. Every output carries this rule, since in Colab each is a frame of its own.
UNBOXED = (
    "[data-theme=dark] .text_html:has(>.wta)"
    "{background:none!important;color:inherit!important;padding:0!important}"
)

_MARKUP = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*")
_ELEMENTS = ("code", "strong", "em")  # the groups of _MARKUP


@functools.cache
def style(name: str) -> str:
    """A style sheet of this folder, for outputs that bring their own."""
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    rules = re.sub(r"/\*.*?\*/|\n", "", text)  # without comments and line ends
    return f"<style>{UNBOXED}{rules}</style>"


class Panel:
    """Something to display: `html` in notebooks and pages, `text` in a terminal."""

    def __init__(self, html: str, text: str) -> None:
        self.html = html
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def show(self) -> None:
        """Display it here, anywhere in a cell; outside a notebook its text is printed."""
        display(self)


def inline_pieces(text: str) -> list[tuple[str, str]]:
    """`text` cut into (element, words): Markdown's "code", "strong", "em", and "" for the rest."""
    pieces, end = [], 0
    for match in _MARKUP.finditer(text):
        pieces.append(("", text[end : match.start()]))
        pieces.append((_ELEMENTS[match.lastindex - 1], match[match.lastindex]))
        end = match.end()
    return [(element, words) for element, words in [*pieces, ("", text[end:])] if words]


def inline_html(text: str) -> str:
    """`text` as HTML, with its pieces in their elements; HTML in it is shown as it is written."""
    found = ""
    for element, words in inline_pieces(text):
        escaped = html.escape(words, quote=False)
        found += f"<{element}>{escaped}</{element}>" if element else escaped
    return found


def inline_text(text: str) -> str:
    """`text` without the marks of strong and emphasis; code keeps its backticks."""
    return "".join(f"`{w}`" if element == "code" else w for element, w in inline_pieces(text))


def paragraphs_html(text: str) -> str:
    """`text` as HTML paragraphs; a paragraph that is indented by four spaces is code."""
    blocks = []
    for block in text.strip("\n").split("\n\n"):
        lines = block.split("\n")
        if all(line.startswith("    ") for line in lines):
            code = html.escape("\n".join(line[4:] for line in lines), quote=False)
            style = "margin:.3em 0 .3em 1em;background:none;border:0;padding:0"
            blocks.append(f'<pre style="{style}">{code}</pre>')
        else:
            blocks.append(f'<p style="margin:.3em 0">{inline_html(" ".join(lines))}</p>')
    return "".join(blocks)


def framed(kind: str, content: str) -> str:
    """`content` in a box with a coloured edge, one of TINTS.

    Its styles are inline: a page that strips them leaves plain paragraphs.
    """
    style = (
        f"border-left:4px solid rgb({TINTS[kind]});background:rgba({TINTS[kind]},.1);"
        "padding:.4em .8em;margin:.3em 0;border-radius:3px"
    )
    return f'<style>{UNBOXED}</style><div class="wta" style="{style}">{content}</div>'


def folded(summary: str, content: str, kind: str = "info") -> str:
    """`content` behind a line to click on: <details>, which needs no script, also on GitHub."""
    line = f'<summary style="cursor:pointer">{summary}</summary>'
    return framed(kind, f"<details>{line}{content}</details>")
