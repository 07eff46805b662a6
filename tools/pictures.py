"""Take the README's pictures: figures of the stored notebooks, and the demo and poll in a browser.

    python tools/pictures.py                 all of them
    python tools/pictures.py --figures       only the figures, as `make notebooks` does

The files go where FIGURES and SCREENSHOTS say. Screenshots need Chromium or Chrome.
"""

import base64
import html
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime
from tools.browser import CHROMIUM, Browser

DOCS = runtime.COURSE / "docs" / "pictures"
STATIC = runtime.COURSE / "tools" / "pages" / "_static"
# File -> notebook, and what only the cell that draws the figure says.
FIGURES = {
    STATIC / "question_to_answer.png": ("08_bert_squad", "draw_question_to_answer("),
    DOCS / "word_map.png": ("02_word2vec_tsne", "plot_word_map(words, places)"),
    DOCS / "attention.png": ("05_transformer", "plot_attention(attention[layer, head], tokens)"),
    DOCS / "fine_tuning.png": ("08_bert_squad", 'LiveCurve("Our questions, from the warmed-up'),
}
SCREENSHOTS = {"demo": DOCS / "demo.png", "poll": DOCS / "poll.png"}
VOTES = (0, 0, 1, 1, 1, 1, 1, 1, 2, 1, 1, 3)  # the choices of a class that does not exist
IMAGE = re.compile(r'<img [^>]*?src="data:image/png;base64,([^"]+)" alt="([^"]*)"')


def figure(
    notebook: str, call: str, folder: Path = runtime.COURSE / "notebooks"
) -> tuple[bytes, str]:
    """The figure that a stored notebook's cell with `call` in it drew last.

    Args:
        notebook: its name.
        call: what no other cell with a figure has in it.
        folder: of the notebooks.

    Returns:
        The PNG and the alternative text.

    Raises:
        LookupError: no cell, or more than one, has `call` and a figure.
    """
    stored = json.loads((folder / f"{notebook}.ipynb").read_text(encoding="utf-8"))
    found = []
    for cell in stored["cells"]:
        if cell["cell_type"] == "code" and call in "".join(cell["source"]):
            shown = "".join(
                "".join(output.get("data", {}).get("text/html", "")) for output in cell["outputs"]
            )
            found += IMAGE.findall(shown)[-1:]
    if len(found) != 1:
        raise LookupError(
            f"{notebook}: {len(found)} cells with a figure call {call!r}; "
            "name one in tools/pictures.py."
        )
    return base64.b64decode(found[0][0]), html.unescape(found[0][1])


@contextmanager
def started(module: str, *arguments: str, says: str) -> Iterator[list[str]]:
    """Run `python -m module` in the block; gives its lines up to the one that begins `says`."""
    command = [sys.executable, "-m", module, *arguments, "--port", "0"]
    process = subprocess.Popen(command, cwd=runtime.COURSE, stdout=subprocess.PIPE, text=True)
    try:
        lines: list[str] = []
        while not lines or not lines[-1].startswith(says):
            line = process.stdout.readline()
            if not line:
                raise OSError(f"python -m {module} ended by itself; start it by hand to see why.")
            lines.append(line.strip())
        yield lines
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def picture_of_demo(browser: Browser) -> bytes:
    """A question to Wikipedia, answered; down to the slider."""
    with started("src.apps.demo", says="Ask Wikipedia:") as lines:
        browser.open(lines[-1].split()[2], width=900, height=1100)
        browser.run("document.getElementById('question').select()")
        browser.type("What is the atomic number of oxygen?")
        browser.press("Enter")
        browser.wait("document.querySelector('#verdict .answer') !== null")
        return browser.picture(whole=False)


def picture_of_poll(browser: Browser) -> bytes:
    """The instructor's page after VOTES."""
    with (
        tempfile.TemporaryDirectory() as folder,
        started("src.apps.poll", "--file", f"{folder}/poll.sqlite", says="Attendees:") as lines,
    ):
        instructor, attendees = (
            next(line.split()[1] for line in lines if line.startswith(who))
            for who in ("Instructor:", "Attendees:")
        )
        for choice in VOTES:
            browser.call("Network.clearBrowserCookies")  # another voter
            browser.open(attendees, width=360, height=740)
            browser.wait("document.querySelectorAll('#choices input').length > 0")
            browser.click(f"#choices label:nth-child({choice + 1}) input")
            browser.click("#send")
            browser.wait(
                "document.getElementById('said').textContent.startsWith('Your vote is counted.')"
            )
        browser.open(instructor, width=1280, height=720)
        browser.wait("!!document.querySelector('#bars li')")
        browser.click("#closing")
        browser.run("new Promise((done) => setTimeout(done, 1000))")  # the bars move
        return browser.picture()


def main(
    figures: bool = typer.Option(False, "--figures", help="only the figures of the notebooks"),
) -> None:
    """Write the pictures."""
    DOCS.mkdir(parents=True, exist_ok=True)
    for file, (notebook, call) in FIGURES.items():
        content, described = figure(notebook, call)
        file.write_bytes(content)
        print(f"{file.relative_to(runtime.COURSE)}: {described}")
    if figures:
        return
    if CHROMIUM is None:
        raise SystemExit(
            "pictures: there is no Chromium; install it (Debian: apt-get install chromium), "
            "or ask for --figures alone."
        )
    with tempfile.TemporaryDirectory() as profile, Browser(Path(profile)) as browser:
        for name, take in {"demo": picture_of_demo, "poll": picture_of_poll}.items():
            SCREENSHOTS[name].write_bytes(take(browser))
            print(SCREENSHOTS[name].relative_to(runtime.COURSE))


if __name__ == "__main__":
    typer.run(main)
