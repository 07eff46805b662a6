"""What slides are made of: Markdown, code and outputs of a notebook as blocks of HTML, each with the height it will need."""

from __future__ import annotations

import html
import math
import re
import struct
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from src.teaching.sources import highlight

WIDTH, BODY = 1184, 556  # pixels for the content of a slide of 1280 x 720: between its margins, below its title
CODE_SIZES = ((6, "large", 21), (12, "medium", 18), (10_000, "small", 16))  # up to so many lines: class in talk.css, its pixels
CODE_LINES, PRINTED_LINES, TABLE_ROWS = 20, 14, 8  # more of a cell's code, of printed lines or of a table's rows are left to the notebook
CHARACTER = 0.6  # width of a monospaced letter as a share of its size
LARGER = 1.25  # figures are shown so much larger than in the notebook where there is room: people sit far away
STOP = re.compile(r"""[.!?]["”)\]*_]*\s+(?=["“(\[`*$A-Z0-9])""")
NOT_A_STOP = re.compile(r"\b(e\.g|i\.e|al|vs|cf|Dr|Mr|Mrs|St)\.$")


@dataclass(frozen=True)
class Block:
    """A piece of a slide.

    html: one element, with a class
    height: pixels it takes, as far as one can tell before a browser has set it   least: how far it may shrink (only figures do)
    fragment: whether it waits for a key press   joined: whether it may not be the first on a slide of its own
    output: whether it is what a cell shows
    """

    html: str
    height: float
    least: float
    fragment: bool = False
    joined: bool = False
    output: bool = False


# --- text ----------------------------------------------------------------------------------------------------------------


@cache
def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return parser.use(dollarmath_plugin, renderer=_math, allow_digits=False, double_inline=True)


def _math(content: str, options: Mapping[str, Any]) -> str:
    """Math for MathJax, which talk.js points at the class "tex" only."""
    opening, closing = (r"\[", r"\]") if options["display_mode"] else (r"\(", r"\)")
    return f'<span class="tex">{opening}{html.escape(content.strip())}{closing}</span>'


def paragraphs(text: str) -> list[str]:
    """The Markdown `text` cut at its top level: each paragraph, list, table, formula and fence with its marks."""
    lines = text.strip().split("\n")
    found = [token for token in _markdown().parse("\n".join(lines)) if token.level == 0 and token.map and token.nesting >= 0]
    return ["\n".join(lines[token.map[0] : token.map[1]]).strip() for token in found if token.map]


def is_rich(paragraph: str) -> bool:
    """Whether a paragraph is to be seen rather than said: a formula, a table, a list, a piece of code."""
    return bool(re.match(r"\$\$|\|.*\n\|[\s:|-]+\||[-*] |\d+[.)] |```|    ", paragraph))


def unlinked(text: str) -> str:
    """Markdown without its links inside the course (glossary, notebooks, files), of which only the words stay."""
    return re.sub(r"\[([^\[\]]+(?:\[[^\]]*\][^\[\]]*)*)\]\((?!https?:)[^)\s]+\)", r"\1", text)


def to_html(text: str) -> str:
    """Markdown as HTML, with the links inside the course taken out."""
    return _markdown().render(unlinked(text)).strip()


def inline_html(text: str) -> str:
    """A line of Markdown, such as a heading, as HTML without a paragraph around it."""
    return _markdown().renderInline(unlinked(text))


def words_of(content: str) -> str:
    """HTML as the words one reads."""
    content = re.sub(r"<style.*?</style>|<script.*?</script>", "", content, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", content)).split())


def plain(text: str) -> str:
    """Markdown as the words one reads."""
    return words_of(to_html(text))


def sentences(text: str) -> list[str]:
    """The sentences of a Markdown paragraph, their marks kept; code, formulas and links are never cut."""
    text = " ".join(unlinked(text).split())
    hidden = re.sub(r"`[^`]*`|\$[^$]*\$", lambda match: match.group(0)[0] + "x" * (len(match.group(0)) - 2) + match.group(0)[-1], text)
    pieces, start = [], 0
    for stop in STOP.finditer(hidden):
        piece = text[start : stop.end()]
        if not NOT_A_STOP.search(hidden[start : stop.start() + 1]) and piece.count("**") % 2 == 0 and _closed(hidden[start : stop.end()]):
            pieces.append(piece.strip())
            start = stop.end()
    return [*pieces, text[start:].strip()] if text[start:].strip() else pieces


def _closed(piece: str) -> bool:
    return piece.count("(") <= piece.count(")") and piece.count('"') % 2 == 0


def first_sentences(text: str, words: int) -> str:
    """As many of the first sentences as `words` words hold, and at least one."""
    kept: list[str] = []
    for sentence in sentences(text):
        if kept and len(" ".join([*kept, sentence]).split()) > words:
            break
        kept.append(sentence)
    return " ".join(kept)


def text_block(text: str, kind: str, fragment: bool = False, joined: bool = False) -> Block:
    """A paragraph of Markdown. kind: "lead", "prompt", "takeaway", "said", a class of talk.css."""
    size, line = {"said": (28, 40), "subtitle": (34, 46)}.get(kind, (24, 34))
    height = line * lines_of(plain(text), WIDTH / (size * 0.5)) + (22 if kind == "prompt" else 6)
    return Block(f'<div class="{kind}">{to_html(text)}</div>', height, height, fragment, joined)


def rich_block(paragraph: str) -> Block:
    """A formula, list, table or fence of Markdown."""
    if paragraph.startswith("$$"):
        height = 92.0 + 34 * paragraph.count(r"\\")
    elif paragraph.startswith("|"):
        rows = [[plain(cell) for cell in row.strip("| ").split("|")] for row in paragraph.split("\n") if not re.fullmatch(r"[\s:|-]+", row)]
        height = _table_height(rows)
    elif paragraph.startswith(("```", "    ")):
        height = 26.0 * lines_of(paragraph, 100) + 20
    else:
        height = sum(34.0 * lines_of(plain(item), 86) + 8 for item in re.split(r"\n(?=[-*] |\d+[.)] )", paragraph))
    return Block(f'<div class="rich">{to_html(paragraph)}</div>', height, height)


def lines_of(text: str, letters: float) -> int:
    """How many lines `text` takes where `letters` fit on one."""
    return sum(max(1, math.ceil(len(line) / letters)) for line in text.split("\n"))


# --- code ----------------------------------------------------------------------------------------------------------------


def without_imports(source: str) -> str:
    """The code of a cell without the imports that it begins with, nor those further down that stand at the margin."""
    kept, inside = [], False
    for line in source.split("\n"):
        if re.match(r"(import|from) \S+", line) or inside:
            inside = (inside or line.rstrip().endswith("(")) and ")" not in line
        else:
            kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip("\n")


def code_block(source: str) -> Block:
    """Code, highlighted, in the largest letters that its number of lines allows; what is too long ends in a note."""
    lines = source.split("\n")
    note = ""
    if len(lines) > CODE_LINES:
        note = _cut_note(len(lines) - CODE_LINES, "line", "lines")
        lines = lines[:CODE_LINES]
    name, size = next((name, size) for most, name, size in CODE_SIZES if len(lines) <= most)
    marked = re.sub(r'<span class="(\w)">(.*?)</span>', _closed_at_line_ends, highlight("\n".join(lines)), flags=re.DOTALL)
    rows = "".join(f'<span class="line">{line or " "}</span>' for line in marked.split("\n"))
    shown = sum(lines_of(line, WIDTH / (size * CHARACTER) - 4) for line in lines)
    height = shown * size * 1.4 + 26 + (28 if note else 0)
    return Block(f'<div class="coded"><pre class="code {name}" translate="no">{rows}</pre>{note}</div>', height, height)


def _closed_at_line_ends(match: re.Match[str]) -> str:
    kind, text = match.groups()
    return "\n".join(f'<span class="{kind}">{line}</span>' if line else "" for line in text.split("\n"))


def _cut_note(count: int, one: str, many: str) -> str:
    return f'<p class="cut">… {count} more {one if count == 1 else many} in the notebook</p>'


# --- outputs -------------------------------------------------------------------------------------------------------------


def output_blocks(outputs: Iterable[Mapping[str, Any]]) -> list[Block]:
    """What a cell shows, in order. Printed pieces that follow each other are one block; a widget is left to its other output."""
    blocks: list[Block] = []
    printed = ""
    for output in [*outputs, {"output_type": "end"}]:
        if output["output_type"] == "stream" and output.get("name") == "stderr":
            continue
        if output["output_type"] == "stream":
            printed += _without_paths(_joined(output["text"]))
            continue
        if printed.strip():
            blocks.append(printed_block(printed))
        printed = ""
        if output["output_type"] == "error":
            blocks.append(printed_block(f"{output['ename']}: {output['evalue']}"))
        data = output.get("data", {})
        if "text/html" in data:
            blocks += html_blocks(_joined(data["text/html"]))
        elif "text/plain" in data:
            blocks.append(printed_block(_joined(data["text/plain"])))
    return blocks


def _without_paths(text: str) -> str:
    """Printed text without the lines that say where a result was taken from (runtime.latest_run): of use to who runs the cell."""
    return re.sub(r"^Using (your own run|the shipped result) in[^\n]*\n?", "", text, flags=re.MULTILINE)


def _output(content: str, height: float, least: float | None = None) -> Block:
    return Block(content, height, height if least is None else least, fragment=True, output=True)


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def printed_block(text: str) -> Block:
    """Printed text as it stands; long ones end in a note."""
    lines = text.strip("\n").expandtabs().split("\n")
    note = ""
    if len(lines) > PRINTED_LINES:
        note = _cut_note(len(lines) - PRINTED_LINES, "line", "lines")
        lines = lines[:PRINTED_LINES]
    large = len(lines) <= 3 or (len(lines) <= 8 and max(map(len, lines)) <= 100)  # columns are not broken for the sake of size
    name, size = ("large", 19) if large else ("small", 16)
    height = sum(lines_of(line, WIDTH / (size * CHARACTER) - 3) for line in lines) * size * 1.4 + 20 + (28 if note else 0)
    shown = html.escape("\n".join(lines), quote=False)
    return _output(f'<div class="out"><pre class="printed {name}" translate="no">{shown}</pre>{note}</div>', height)


def html_blocks(content: str) -> list[Block]:
    """An HTML output: a figure, a table of data, something to explore (a frame of its own), or a panel as it is."""
    figures = re.findall(r"<img\b[^>]*>", content)
    if figures and not words_of(content):
        return [figure_block(figure) for figure in figures]
    if 'class="dataframe"' in content:
        return [data_block(content)]
    if "<script" in content:
        return [frame_block(content)]
    words = words_of(re.sub(r"<rt.*?</rt>", "", content, flags=re.DOTALL))
    breaks = len(re.findall(r"<(?:p|li|div|tr|br|summary|h\d)\b", content))
    height = 32.0 * max(lines_of(words, 84), 0.75 * breaks) + 30
    if "<ruby" in content:  # numbers above the words
        height *= 1.5
    return [_output(f'<div class="panel">{content}</div>', height)]


def figure_block(image: str) -> Block:
    """A figure, with its alternative text, as large as the room on its slide allows."""
    attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', image))
    pixels_wide, pixels_high = _png_size(attributes["src"])
    width = float(attributes.get("width") or pixels_wide)
    height = width * pixels_high / pixels_wide
    shown = min(height * LARGER, WIDTH * pixels_high / pixels_wide, BODY)
    least = min(0.85 * height, BODY - 80)
    style = f"flex: 0 1 {shown:.0f}px; min-height: {min(least, shown) * 0.7:.0f}px"
    source, alt = attributes["src"], attributes.get("alt", "")
    return _output(f'<div class="figure" style="{style}"><img src="{source}" alt="{alt}"></div>', shown, min(least, shown))


def _png_size(address: str) -> tuple[int, int]:
    """Width and height of a PNG in a data: address, from its header; of anything else, those of a common figure."""
    if not address.startswith("data:image/png;base64,"):
        return 720, 440
    header = b64decode(address.partition(",")[2][:44])
    return struct.unpack(">II", header[16:24])  # type: ignore[return-value]


def data_block(content: str) -> Block:
    """A table of data, its first rows."""
    content = re.sub(r"<style.*?</style>", "", content, flags=re.DOTALL)
    head, body, tail = re.split(r"(<tbody>.*?</tbody>)", content, maxsplit=1, flags=re.DOTALL)
    rows = re.findall(r"<tr\b.*?</tr>", body, flags=re.DOTALL)
    note = _cut_note(len(rows) - TABLE_ROWS, "row", "rows") if len(rows) > TABLE_ROWS else ""
    rows = rows[:TABLE_ROWS]
    tail = re.sub(r"<p>\d+ rows . \d+ columns</p>", "", tail)
    cells = [[words_of(cell) for cell in re.findall(r"<t[hd]\b.*?</t[hd]>", row, flags=re.DOTALL)] for row in [head, *rows]]
    height = _table_height(cells) + (28 if note else 0)
    return _output(f'<div class="data">{head}<tbody>{"".join(rows)}</tbody>{tail}{note}</div>', height)


def _table_height(rows: list[list[str]]) -> float:
    """Of a table whose columns share the width by their longest cells."""
    columns = max(map(len, rows))
    widest = [max((len(row[i]) for row in rows if i < len(row)), default=1) + 3 for i in range(columns)]
    room = min(1.0, WIDTH / 10 / sum(widest))
    return sum(10 + 26 * max(lines_of(cell, max(6, widest[i] * room)) for i, cell in enumerate(row)) for row in rows if row)


def frame_block(content: str) -> Block:
    """Something to explore. Its scripts reckon in pixels of a page, and a slide is scaled: in a frame of its own both are right."""
    page = (
        "<!doctype html><meta charset='utf-8'><style>html{color:#1b1f24;font:16px/1.45 system-ui,sans-serif}"
        f"html[data-theme=dark]{{color:#e8eaed}}body{{margin:0 2px}}</style>{content}"
    )
    words = re.search(r"<p>(.*?)</p>", content, flags=re.DOTALL)
    title = html.escape(words_of(words.group(1)) if words else "something to explore", quote=True)
    size = f'width="{WIDTH}" height="{BODY - 40}"'
    frame = f'<iframe class="explore" title="{title}" srcdoc="{html.escape(page, quote=True)}" {size}></iframe>'
    return _output(f'<div class="panel">{frame}</div>', BODY - 40)
