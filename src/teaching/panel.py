"""One way to put something on the page: HTML where there is a page, the same as plain text where there is none."""

from __future__ import annotations

import html
import re

from IPython.display import display

# Only translucent tints and no text colour: whatever page this stands on, light or dark, its own text stays readable on them.
TINTS = {"good": "46,160,67", "bad": "218,54,51", "open": "128,128,128", "info": "56,139,253"}

# Sphinx's themes put the HTML of cells into a light box on dark pages. Ours reads on both, so its box goes. Every output carries
# this rule, since in Colab each is a frame of its own; a page that strips styles has no such box either.
UNBOXED = "[data-theme=dark] .text_html:has(>.wta){background:none!important;color:inherit!important;padding:0!important}"

_MARKUP = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*")


class Panel:
    """Something to display: `html` in notebooks and pages, `text` in a terminal and wherever HTML is not drawn."""

    def __init__(self, html: str, text: str) -> None:
        self.html = html
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.text}

    def show(self) -> None:
        """Display it here, whether or not it is the last line of a cell; outside a notebook its text is printed."""
        display(self)


def inline_pieces(text: str) -> list[tuple[str, str]]:
    """`text` cut into (element, words): "code", "strong" and "em" in Markdown's notation, and "" for everything else as it stands."""
    pieces, end = [], 0
    for match in _MARKUP.finditer(text):
        element, words = next((element, words) for element, words in zip(("code", "strong", "em"), match.groups(), strict=True) if words)
        pieces += [("", text[end : match.start()]), (element, words)]
        end = match.end()
    return [(element, words) for element, words in [*pieces, ("", text[end:])] if words]


def inline_html(text: str) -> str:
    """`text` as HTML: its pieces in their elements, and what looks like HTML in it shown as it stands."""
    escaped = ((element, html.escape(words, quote=False)) for element, words in inline_pieces(text))
    return "".join(f"<{element}>{words}</{element}>" if element else words for element, words in escaped)


def inline_text(text: str) -> str:
    """`text` without the marks of strong and emphasis; code keeps its backticks, which read well as they are."""
    return _MARKUP.sub(lambda match: next((content for content in match.groups()[1:] if content), match.group(0)), text)


def paragraphs_html(text: str) -> str:
    """`text` as HTML paragraphs; a line that is indented by four blanks is code."""
    blocks = []
    for block in text.strip("\n").split("\n\n"):
        lines = block.split("\n")
        if all(line.startswith("    ") for line in lines):
            code = html.escape("\n".join(line[4:] for line in lines), quote=False)
            blocks.append(f'<pre style="margin:.3em 0 .3em 1em;background:none;border:0;padding:0">{code}</pre>')
        else:
            blocks.append(f'<p style="margin:.3em 0">{inline_html(" ".join(lines))}</p>')
    return "".join(blocks)


def box(kind: str, content: str) -> str:
    """`content` in a box with a coloured edge. Its own styles are inline: a page that strips them leaves plain paragraphs.

    kind: "good", "bad", "open" or "info".
    """
    tint = TINTS[kind]
    style = f"border-left:4px solid rgb({tint});background:rgba({tint},.1);padding:.4em .8em;margin:.3em 0;border-radius:3px"
    return f'<style>{UNBOXED}</style><div class="wta" style="{style}">{content}</div>'


def folded(summary: str, content: str, kind: str = "info") -> str:
    """`content` behind a line to click on: <details>, which needs no script and survives GitHub's filter."""
    return box(kind, f'<details><summary style="cursor:pointer">{summary}</summary>{content}</details>')
