"""Build the written decks: slides/NAME.yaml becomes build/slides/NAME.html, slides of reveal.js.

    python tools/build_slides.py [NAMES] [--pdf] [--sheet]

Pictures, code and printed lines come from the notebooks as they ran, by the id of their cell. A
page asks nothing of other hosts, and works as a file. S opens the speaker's view: notes, a clock.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import sys
import tempfile
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer
import yaml
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from src.teaching.panel import inline_html
from src.teaching.quizzes import as_choices, load_quiz
from src.teaching.schema import FORBID, Text, checked
from src.teaching.sources import highlight
from tools import explorers
from tools.browser import Browser
from tools.build_site import notebooks_to_show

DECKS, LOOK = ROOT / "slides", ROOT / "tools" / "slides"
REVEAL = ("dist/reveal.js", "dist/reveal.css", "plugin/notes/notes.js", "revealjs/LICENSE")
KINDS = ("text", "cell", "prints", "source", "code", "ask", "poll")
HEADLINE, LINES, WIDE = 10, 10, 80  # words, lines of code, characters in one
UNASKED = 15  # minutes
VIEWS = "../site/explorers/"  # from build/slides
POLL = "http://127.0.0.1:8008/instructor#"  # and the question


@dataclass(frozen=True, config=FORBID)
class Slide:
    """One idea: `say`, a sentence that could be true or false, and one of KINDS.

    cell, prints, source: what a cell drew, printed, is; its id, in another notebook "NOTEBOOK/ID".
    output: which of its outputs, from 1 (else the last that fits). lines: such as "3-9".
    ask: to the room. poll: "QUIZ/QUESTION". part: begins one. credit: whose words are shown.
    explorer: a view of the site that computes; it opens over the slide, for a text of the room.
    """

    say: Text
    notes: Text
    minutes: Annotated[float, Field(gt=0, le=15)]
    part: Text | None = None
    text: Annotated[list[Text], Field(min_length=1, max_length=3)] | None = None
    cell: Text | None = None
    prints: Text | None = None
    source: Text | None = None
    code: Text | None = None
    ask: Text | None = None
    poll: Text | None = None
    output: int | None = None
    lines: Annotated[str, Field(pattern=r"^\d+-\d+$")] | None = None
    credit: Text | None = None
    explorer: Literal[*explorers.PAGES] | None = None

    @model_validator(mode="after")
    def _one_idea(self) -> Slide:
        words = len(self.say.split())
        if words > HEADLINE or self.say.endswith("?"):
            raise ValueError(
                f"the headline {self.say!r} is {words} words, or a question; "
                f"assert it in {HEADLINE} at most"
            )
        held = [kind for kind in KINDS if getattr(self, kind)]
        if len(held) != 1:
            shows = " and ".join(held) or "nothing"
            raise ValueError(f"{self.say!r} shows {shows}; show one of {', '.join(KINDS)}")
        return self


@dataclass(frozen=True, config=FORBID)
class Deck:
    """A title, the notebook whose cells are meant, and slides."""

    title: Text
    notebook: Text
    slides: Annotated[tuple[Slide, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _goes_on_asking(self) -> Deck:
        silent = 0.0
        for number, slide in enumerate(self.slides, 1):
            silent = 0.0 if slide.ask or slide.poll else silent + slide.minutes
            if silent > UNASKED:
                raise ValueError(
                    f"up to slide {number} the room is asked nothing for {silent:g} minutes; "
                    f"put in an ask or a poll, every {UNASKED} at least"
                )
        return self


def main(
    names: Annotated[list[str] | None, typer.Argument()] = None,
    pdf: bool = False,
    sheet: bool = False,
) -> None:
    """Build the decks NAMES, or all; with a PDF, and a picture of all slides to look at."""
    try:
        for file in [DECKS / f"{name}.yaml" for name in names or ()] or sorted(DECKS.glob("*")):
            page = build(file, ROOT / "build" / "slides")
            minutes = sum(slide.minutes for slide in read(file).slides)
            print(f"  {page.relative_to(ROOT)}: {minutes:g} minutes")
            if pdf or sheet:
                picture(page, pdf, sheet)
    except ValueError as error:
        sys.exit(f"slides: {error}")


def read(file: Path) -> Deck:
    """A deck. Raises ValueError: one sentence with file, slide, what is wrong and what to do."""
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise ValueError(f"slides/{file.name} cannot be read ({said}); put it right.") from None
    return checked(Deck, data, f"slides/{file.name}")


def build(file: Path, folder: Path, views: str = VIEWS) -> Path:
    """Write the page of a deck, and what it needs beside it; `views` is where those that compute
    are, from there. Raises ValueError as `read` does."""
    deck, sections, part = read(file), [], ""
    for number, slide in enumerate(deck.slides, 1):
        part = slide.part or part
        try:
            shown = content(slide, deck.notebook)
        except ValueError as error:
            where = f"slides/{file.name}, slide {number}, {slide.say!r}"
            raise ValueError(f"{where}: {str(error).rstrip('.')}.") from None
        below = [inline_html(slide.credit)] if slide.credit else []
        if slide.explorer:
            link = f'<a data-preview-link href="{views}{slide.explorer}.html">Try your own</a>'
            below.append(f"{link} (make course)")
        if number == 1 and views != VIEWS:  # on the site
            below.append('<a href="../index.html">All lessons</a>')
        credit = f"<footer>{'; '.join(below)}</footer>" if below else ""
        notes = "".join(f"<p>{inline_html(line)}</p>" for line in slide.notes.splitlines())
        sections.append(
            f'<section data-timing="{60 * slide.minutes:.0f}"><p class="part">{inline_html(part)}'
            f"<span>{number}</span></p><h2>{inline_html(slide.say)}</h2>{shown}{credit}"
            f'<aside class="notes"><p><b>{slide.minutes:g} min</b></p>{notes}</aside></section>'
        )
    folder.mkdir(parents=True, exist_ok=True)
    for found in metadata.files("sphinx-revealjs") or []:
        if str(found).endswith(REVEAL):
            shutil.copy(str(found.locate()), folder / found.name)
    for name in ("deck.css", "deck.js"):
        shutil.copy(LOOK / name, folder / name)
    frame = (LOOK / "deck.html").read_text(encoding="utf-8")
    frame = frame.replace("<!-- title -->", html.escape(deck.title))
    page = folder / f"{file.stem}.html"
    page.write_text(frame.replace("<!-- slides -->", "\n".join(sections)), encoding="utf-8")
    return page


def content(slide: Slide, notebook: str) -> str:
    """What a slide shows below its headline, as HTML. Raises ValueError with what is wrong."""
    if slide.text or slide.ask:
        lines = "".join(f"<p>{inline_html(line)}</p>" for line in slide.text or [slide.ask])
        return f'<div class="{"text" if slide.text else "ask"}">{lines}</div>'
    if slide.poll:
        return poll(slide.poll)
    if slide.code:
        return code(slide.code, slide.lines)
    *other, name = (slide.cell or slide.prints or slide.source).rsplit("/", 1)
    found = cells(*other or [notebook]).get(name)
    if found is None:
        raise ValueError(f"notebook {(*other, notebook)[0]} has no cell {name!r}; name one it has")
    if slide.source:
        return code("".join(found["source"]), slide.lines)
    outputs = found.get("outputs", [])[slide.output and slide.output - 1 :][: slide.output and 1]
    if slide.prints:
        texts = [one.get("text") or one.get("data", {}).get("text/plain") for one in outputs]
        if texts := ["".join(text) for text in texts if text]:
            return code(texts[-1], slide.lines, python=texts[-1].startswith("# src/"))
    elif views := [
        one["data"]["text/html"] for one in outputs if "text/html" in one.get("data", {})
    ]:
        return view("".join(views[-1]))
    raise ValueError(f"cell {name!r} stores no such output; run the notebook, or name another")


@cache
def cells(notebook: str) -> dict[str, dict]:
    """The cells of a notebook by their id: of the copy that ran here, else as they are stored."""
    files = {path.stem: path for path in notebooks_to_show()}
    if notebook not in files:
        raise ValueError(f"there is no notebook {notebook!r}; there are {', '.join(files)}")
    return {cell["id"]: cell for cell in json.loads(files[notebook].read_bytes())["cells"]}


def view(shown: str) -> str:
    """A cell's HTML on a slide: a picture alone, a frame where a script needs one, or as it is."""
    if len(images := re.findall(r"<img\b[^>]*>", shown)) == 1:
        return f'<div class="picture">{images[0]}</div>'
    if "<script" in shown:  # in a frame of its own a pointer is where the script thinks it is
        style = (LOOK / "frame.css").read_text(encoding="utf-8")
        framed = html.escape(f"<!doctype html><meta charset=utf-8><style>{style}</style>{shown}")
        return f'<div class="live"><iframe srcdoc="{framed}" title="to explore"></iframe></div>'
    return f'<div class="view"><div>{shown}</div></div>'


def code(text: str, lines: str | None, python: bool = True) -> str:
    """Lines of code, or of what was printed, in the largest letters that fit."""
    first, last = map(int, (lines or "1-999").split("-"))
    shown = text.rstrip().splitlines()[first - 1 : last]
    widest = max(map(len, shown), default=0)
    if not 0 < len(shown) <= LINES or widest > WIDE:
        asked = f"give 1 to {LINES} lines of at most {WIDE} characters, such as lines: 1-{LINES}"
        raise ValueError(f"{len(shown)} lines, {widest} wide, are shown; {asked}")
    size = min(34, int(1158 / 0.602 / max(widest, 1)))
    body = (highlight if python else html.escape)("\n".join(shown))
    return f'<pre style="font-size:{size}px"><code>{body}</code></pre>'


def poll(name: str) -> str:
    """A question to vote on, with the link that shows it on the projector."""
    quiz, _, wanted = name.partition("/")
    questions = {one.id: one for some in load_quiz(quiz).values() for one in some.questions}
    if wanted not in questions:
        raise ValueError(f"quiz {quiz} has no question {wanted!r}; it has {', '.join(questions)}")
    asked = as_choices(questions[wanted])
    choices = "".join(f"<li>{inline_html(choice.text)}</li>" for choice in asked.choices)
    many = " Choose all that apply." * (asked.kind == "multiple")
    link = f'<a href="{POLL}{name}" target="poll">Put it to the vote</a>'  # one tab for all
    vote = f"<footer>{link} (make poll)</footer>"
    return f'<div class="poll"><p>{inline_html(asked.text)}{many}</p><ol>{choices}</ol>{vote}</div>'


def picture(page: Path, pdf: bool, sheet: bool) -> None:
    """Print a deck, a page for each slide, or lay its slides on one picture, to be looked at."""
    from PIL import Image

    wide, high, across = 480, 270, 5
    with tempfile.TemporaryDirectory() as profile, Browser(Path(profile)) as browser:
        if pdf:
            browser.open(f"{page.as_uri()}?print-pdf", 1280, 720)
            browser.wait("window.fitted && document.querySelectorAll('.pdf-page').length")
            printed = browser.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
            page.with_suffix(".pdf").write_bytes(base64.b64decode(printed["data"]))
        if sheet:
            browser.open(page.as_uri(), wide, high)
            browser.wait("window.fitted")
            n = browser.run("Reveal.getTotalSlides()")
            board = Image.new("RGB", (across * (wide + 8), -(-n // across) * (high + 8)), "#888")
            for i in range(n):
                browser.run(f"Reveal.slide({i})")
                shot = Image.open(io.BytesIO(browser.picture(whole=False)))
                board.paste(shot, (i % across * (wide + 8), i // across * (high + 8)))
            board.save(page.with_suffix(".png"))


if __name__ == "__main__":
    typer.run(main)
