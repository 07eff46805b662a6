"""Build a talk from each notebook: slides for reveal.js that ask nothing of any other host, with notes for the speaker.

    python tools/build_slides.py                    all talks, into build/slides
    python tools/build_slides.py 04_attention       this one
    python tools/build_slides.py --pdf              also a PDF of each, where there is a Chromium
    python tools/build_slides.py --plan             write the tables of minutes in docs/teaching.md again, from the notebooks

Started by `make slides` (ARGS='04_attention --pdf'). Outputs come from the executed copies in build/notebooks where they are,
else as they are stored in notebooks/. How cells become slides is in tools/slides/talk.py.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from src.teaching.sources import BACKGROUNDS, COLOURS  # noqa: E402
from tools.build_site import vendor_mathjax  # noqa: E402
from tools.slides import plan  # noqa: E402
from tools.slides.pieces import words_of  # noqa: E402
from tools.slides.talk import Slide, Talk, make_talk  # noqa: E402

PARTS = ROOT / "tools" / "slides"
EXECUTED, STORED = ROOT / "build" / "notebooks", ROOT / "notebooks"
GUIDE = ROOT / "docs" / "teaching.md"
# reveal.js 5.2.1 (MIT) as published on npm: three files of `npm pack reveal.js@5.2.1`, and what they must hash to.
REVEAL = {
    "reveal.js": "46538b52db48724192f59bf46f5e851a18e302777c46f4a34c32709d010d6a29",
    "reveal.css": "68f915a11ebf7203c0446576b7e952ff61c5dd02134a8a226ffaf62ed42136d2",
    "notes.js": "df1201d19d03241a2897d39c3d38768177df1cbd4bde06327b321cb83461ae89",
    "LICENSE": "34014800f4126ac2525e224166f099f26628612e95c41f76d70841b63138c989",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PRINT_FLAGS = (
    "--headless --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync "
    "--no-pdf-header-footer --virtual-time-budget=30000 --run-all-compositor-stages-before-draw"
)
PRINT_SECONDS = 300  # more than enough for a browser that works


class SlidesError(Exception):
    """Slides cannot be built; the message says why and what to do."""


def main() -> None:
    """Read the arguments and do what they ask."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NOTEBOOK", help="such as 04_attention; without any, all of them")
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "slides", help="folder for the talks (default: build/slides)")
    parser.add_argument("--pdf", action="store_true", help="also print each talk to a PDF (needs Chromium or Chrome)")
    parser.add_argument("--plan", action="store_true", help="only write the minutes in docs/teaching.md again")
    arguments = parser.parse_args()
    try:
        if arguments.plan:
            GUIDE.write_text(plan.filled_in(GUIDE.read_text(encoding="utf-8"), all_talks()), encoding="utf-8")
            print(f"  {GUIDE.relative_to(ROOT)}: minutes written again")
            return
        notebooks = [find_notebook(name) for name in arguments.names or sorted(path.stem for path in STORED.glob("*.ipynb"))]
        browser = find_browser() if arguments.pdf else ""
        talks = [build(notebook, arguments.to) for notebook in notebooks]
        if not arguments.names:
            (arguments.to / "index.html").write_text(index_page(talks), encoding="utf-8")
        for talk in talks if browser else []:
            print_pdf(arguments.to / f"{talk.name}.html", browser)
        first = f"{talks[0].name}.html" if arguments.names else "index.html"
        print(f"Open {arguments.to / first} in a browser; in a talk, S opens the speaker's view.")
    except SlidesError as error:
        sys.exit(f"slides: {error}")


def find_notebook(name: str) -> Path:
    """The executed copy of a notebook where there is one, else the notebook as stored. Raises SlidesError where there is neither."""
    name = Path(name).stem
    for folder in (EXECUTED, STORED):
        if (folder / f"{name}.ipynb").is_file():
            return folder / f"{name}.ipynb"
    known = ", ".join(sorted(path.stem for path in STORED.glob("*.ipynb")))
    raise SlidesError(f"there is no notebook {name!r} in notebooks/; there are {known}.")


def all_talks() -> list[Talk]:
    """The talks of the notebooks as stored: what the tables of docs/teaching.md are counted from."""
    return [read_talk(path) for path in sorted(STORED.glob("*.ipynb"))]


def read_talk(notebook: Path) -> Talk:
    """The talk of a notebook's file. Raises SlidesError where it is not a notebook with a title."""
    try:
        return make_talk(notebook.stem, json.loads(notebook.read_text(encoding="utf-8")))
    except (ValueError, KeyError) as error:
        raise SlidesError(f"{notebook} is no notebook that slides can be made of: {error}") from error


def build(notebook: Path, folder: Path) -> Talk:
    """Write the talk of `notebook` into `folder`, with the files that its page needs beside it."""
    talk = read_talk(notebook)
    folder.mkdir(parents=True, exist_ok=True)
    lay_parts(folder)
    (folder / f"{talk.name}.html").write_text(talk_page(talk), encoding="utf-8")
    print(f"  {talk.name}: {len(talk.slides)} slides, {talk.minutes} minutes")
    return talk


def lay_parts(folder: Path) -> None:
    """Put the look, the scripts, reveal.js and MathJax beside the talks. Raises SlidesError where reveal.js is not as published."""
    for name, wanted in REVEAL.items():
        data = (PARTS / "reveal" / name).read_bytes() if (PARTS / "reveal" / name).is_file() else b""
        if hashlib.sha256(data).hexdigest() != wanted:
            raise SlidesError(f"tools/slides/reveal/{name} is not that of reveal.js 5.2.1; get it back with git checkout.")
        _write_if_new(folder / "reveal" / name, data)
    _write_if_new(folder / "talk.js", (PARTS / "talk.js").read_bytes())
    _write_if_new(folder / "talk.css", (PARTS / "talk.css").read_bytes() + code_colours().encode())
    if not (folder / "mathjax" / "tex-svg-full.js").is_file():
        vendor_mathjax(folder / "mathjax")


def _write_if_new(target: Path, data: bytes) -> None:
    if not target.is_file() or target.read_bytes() != data:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def code_colours() -> str:
    """The colours of code, light and dark: the ones that show_source has in the notebooks."""
    rules = (
        f"{root}{{{''.join(f'--{kind}:{pair[which]};' for kind, pair in COLOURS.items())}--bg:{BACKGROUNDS[which]}}}"
        for which, root in enumerate((":root", ":root[data-theme=dark]"))
    )
    return "\n".join(rules) + "\n"


# --- pages ---------------------------------------------------------------------------------------------------------------


def talk_page(talk: Talk) -> str:
    """The page of a talk: sections to the right, their slides downwards, MathJax only where there is math."""
    stacks = "\n".join(f"<section>\n{''.join(map(slide_html, section.slides))}</section>" for section in talk.sections)
    math = ""
    if 'class="tex"' in stacks:
        settings = {"startup": {"typeset": False}, "svg": {"fontCache": "local"}, "options": {"enableMenu": False}}
        math = f"<script>window.MathJax = {json.dumps(settings)};</script>\n<script src='mathjax/tex-svg-full.js'></script>\n"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(plain_title(talk))}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="reveal/reveal.css">
<link rel="stylesheet" href="talk.css">
</head>
<body>
<div class="reveal"><div class="slides">
{stacks}
</div></div>
{math}<script src="reveal/reveal.js"></script>
<script src="reveal/notes.js"></script>
<script src="talk.js"></script>
</body>
</html>
"""


def slide_html(slide: Slide) -> str:
    """One slide with its notes; `data-timing` is what the speaker's view keeps the pace by, in seconds."""
    level = "h1" if slide.kind == "title" else "h2"
    kicker = f'<p class="kicker">{slide.kicker}</p>' if slide.kicker else ""
    blocks = "\n".join(block.html.replace('class="', 'class="fragment ', 1) if block.fragment else block.html for block in slide.blocks)
    notes = "\n".join(slide.notes)
    return (
        f'<section class="{slide.kind}" data-timing="{round(slide.seconds)}"><div class="page">'
        f'<header>{kicker}<{level}>{slide.title}</{level}></header><div class="body">\n{blocks}\n</div></div>'
        f'<aside class="notes">{notes}</aside></section>\n'
    )


def plain_title(talk: Talk) -> str:
    """The title without marks, for the browser's tab."""
    return words_of(talk.title)


def index_page(talks: list[Talk]) -> str:
    """The list of talks."""
    rows = "".join(
        f'<tr><td><a href="{talk.name}.html">{html.escape(plain_title(talk))}</a></td>'
        f"<td>{len(talk.slides)}</td><td>{talk.minutes}</td></tr>"
        for talk in talks
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Words to Answers: the talks</title><link rel="icon" href="data:,">
<style>:root{{color-scheme:light dark}}body{{font:18px/1.5 system-ui,sans-serif;max-width:44em;margin:2em auto;padding:0 1em}}
table{{border-collapse:collapse}}th,td{{text-align:left;padding:.3em 1em .3em 0}}</style></head>
<body><h1>Words to Answers: the talks</h1>
<table><thead><tr><th>talk</th><th>slides</th><th>minutes, estimated</th></tr></thead><tbody>{rows}</tbody></table>
<p>In a talk: arrows and Space go on, <kbd>S</kbd> opens the speaker's view with notes and a clock, <kbd>D</kbd> changes between light and
dark, <kbd>O</kbd> shows all slides, <kbd>F</kbd> fills the screen, <kbd>?</kbd> lists the other keys.</p>
</body></html>
"""


# --- PDF -----------------------------------------------------------------------------------------------------------------


def find_browser() -> str:
    """The program that prints. Raises SlidesError where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    mac = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    if not found and not mac.is_file():
        raise SlidesError("a PDF needs Chromium or Chrome, and neither is here: install one, or print TALK.html?print-pdf from a browser.")
    return found or str(mac)


def print_pdf(page: Path, browser: str) -> Path:
    """Print a talk, a page for each slide with everything shown. Raises SlidesError where the browser makes no PDF."""
    target = page.with_suffix(".pdf")
    target.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *PRINT_FLAGS.split(), f"--user-data-dir={profile}", f"--print-to-pdf={target}"]
        command.append(f"{page.resolve().as_uri()}?print-pdf")
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium refuses to start as root with it
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PRINT_SECONDS)
        except subprocess.TimeoutExpired:
            said = f"{browser} printed no PDF of {page.name} in {PRINT_SECONDS} s; print {page.name}?print-pdf from a browser."
            raise SlidesError(said) from None
    if not target.is_file():
        raise SlidesError(f"{browser} printed no PDF of {page.name}; it says: {(done.stderr.strip().splitlines() or ['nothing'])[-1]}")
    print(f"  {target.name}: {target.stat().st_size / 1e6:.1f} MB")
    return target


if __name__ == "__main__":
    main()
