"""Lay out the pages that compute: `python tools/explorers.py [FOLDER]`, else in build/site.

Each view has a page of its own, such as reader.html, and is where the course comes to it
(`opener`). Files are scripts, so that pages work from any folder of any static host and, where the
browser allows it, opened as files. Nothing is compiled and nothing is asked of another computer.
What views compute with is made here, of the released weights: so no clone carries it twice.
"""

from __future__ import annotations

import gzip
import html
import json
import lzma
import re
import sys
import time
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from src.files import write_whole

SOURCE = ROOT / "src" / "explorers"
RUNTIME = SOURCE / "runtime"
SITE = ROOT / "build" / "site" / "explorers"
# In the order in which they run; those of the worker come as text too.
SCRIPTS = ("decoding.js", "worker.js", "engine.js", "reader.js", "attention.js")
SCRIPTS += ("words.js", "language.js", "search.js", "ask.js")
OF_WORKER = ("tokenizer.js", "decoding.js", "words_worker.js", "language_worker.js", "search.js")
STYLES = ("explorers.css", "words.css")
WASM = "ort-wasm-simd-threaded"
# Title and what it is, of the page of each view.
PAGES = {
    "reader": ("Ask the reader", "The model that the course trains, on your question and passage."),
    "attention": ("Attention", "All heads of a real encoder on your sentence, one opened."),
    "words": ("Words as numbers", "Neighbours, equations and a map of 40,000 words."),
    "language": ("What comes next?", "A small GPT and an n-gram model continue your text."),
    "ask": (
        "Ask Wikipedia",
        "Search, read, and answer or refuse: 10,033 introductions in a page. What was in"
        " parentheses there, such as dates of birth, is missing.",
    ),
}
# What the reader says to the first of its examples (src/explorers/reader.js).
ANSWERED = {
    "question": "Who discovered oxygen?",
    "passage": "It was discovered by Carl Wilhelm Scheele and Joseph Priestley, each on his own,"
    " in the years before 1775.",
    "answer": "Carl Wilhelm Scheele and Joseph Priestley",
    "sure": "83 %",
}
# After which cell of which notebook a view is, on its page.
PLACES = {
    ("08_bert_squad", "own-question"): "reader",
    ("04_attention", "lefts-look"): "attention",
    ("05_transformer", "explore"): "attention",
    ("01_embeddings", "neighbours-first"): "words",
    ("06_language_modelling", "dials"): "language",
    ("09_ask_wikipedia", "ask-yours"): "ask",
}
# The cell whose stored output is on a view's own page until the view does.
STILLS = {
    "reader": ("08_bert_squad", "own-question"),
    "attention": ("04_attention", "lefts-look"),
    "words": ("01_embeddings", "neighbours-figure"),
    "language": ("06_language_modelling", "samplers"),
    "ask": ("09_ask_wikipedia", "ask-yours"),
}


def as_script(name: str, data: bytes) -> bytes:
    """Bytes as a script that hands them over as one string, a character for each byte.

    Only four bytes need a backslash, so it is hardly longer than the data.
    """
    for byte, instead in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n"), (b"\r", b"\\r")):
        data = data.replace(byte, instead)
    return b"Explorers.take('" + name.encode() + b"',\"" + data + b'");'


def runtime_script() -> str:
    """ONNX Runtime as a function, and the address-free text of the script that it loads."""
    source = (RUNTIME / "ort.wasm.min.js").read_text(encoding="utf-8")
    glue = (RUNTIME / f"{WASM}.mjs").read_text(encoding="utf-8")
    source = re.sub(r"^//# sourceMappingURL.*$", "", source, flags=re.MULTILINE)
    return (
        f"Explorers.runtime = function () {{\n{source}\nreturn ort;\n}};\n"
        f"Explorers.glue = {json.dumps(glue)};\n"
    )


def engine_script() -> str:
    """All scripts of ours as one."""
    read = {name: (SOURCE / name).read_text(encoding="utf-8") for name in {*SCRIPTS, *OF_WORKER}}
    parts = ",\n".join(f"function () {{\n{read[name]}}}" for name in OF_WORKER)
    known = f"Explorers.workerParts = [{parts}];\n"
    own = "".join(f"(function () {{\n{read[name]}}})();\n" for name in SCRIPTS)
    return f"globalThis.Explorers ??= {{}};\n{known}{own}"


def opener(view: str, heading: str = "h4", still: str = "") -> str:
    """HTML for another page: a button that opens a view there; what it needs is loaded then.

    Args:
        view: of PAGES.
        heading: of the view's parts, below that of the place where it is.
        still: HTML of what is seen until then.
    """
    title, about = (html.escape(text) for text in PAGES[view])
    told = still or f"<p><strong>{title}.</strong> {about}</p>"
    meant = "; with the search by meaning, 43 MB in all" if view == "ask" else ""
    return (
        '<link rel="stylesheet" href="explorers/explorers.css">'
        f'<div class="explorer" data-view="{view}" data-from="explorers" data-heading="{heading}">'
        f'{told}<p class="opener"><button type="button" class="main">Try it yourself</button> '
        f'<a href="explorers/{view}.html">or on a page of its own</a></p>'
        f'<p class="opener quiet">It is loaded once, up to 30 MB{meant}. It computes on your'
        " device, and nothing that you type leaves it.</p></div>"
    )


def first_page_reader() -> str:
    """The reader for the site's first page, with an answer of its own to see at once."""
    before, marked, after = ANSWERED["passage"].partition(ANSWERED["answer"])
    still = (
        f'<p class="name">{ANSWERED["question"]}</p>'
        f"<blockquote>{before}<mark>{marked}</mark>{after}</blockquote>"
        f"<p>The reader marks the answer. It is {ANSWERED['sure']} sure.</p>"
    )
    return opener("reader", "h2", still)


def listed() -> str:
    """Markdown for the site's first page: all views, with what they are."""
    told = ((view, *map(html.escape, texts)) for view, texts in PAGES.items())
    return "\n".join(
        f'- **<a href="explorers/{view}.html">{title}</a>**  \n  {about}'
        for view, title, about in told
    )


def picture(view: str) -> str:
    """HTML of what a lesson stores of a view; empty where its notebook was not run."""
    notebook, wanted = STILLS[view]
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_bytes())["cells"]
    outputs = [one for cell in cells if cell["id"] == wanted for one in cell.get("outputs", [])]
    shown = [one["data"]["text/html"] for one in outputs if "text/html" in one.get("data", {})]
    if not shown:
        return ""
    caption = f'As <a href="../{notebook}.html">the lesson</a> shows it.'
    told = f'<figcaption class="quiet">{caption}</figcaption>'
    return f"<figure>{''.join(shown[0])}{told}</figure>"


def page(view: str) -> str:
    """The page of a view."""
    title, about = (html.escape(text) for text in PAGES[view])
    return f"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{title}</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="explorers.css">
    <style>
      html {{ color-scheme: light dark; }}
      body {{ margin: 0; }}
      .explorer {{ min-height: 100vh; padding: 1rem; }}
      .explorer > * {{ width: 100%; max-width: 46rem; margin-inline: auto; }}
      .explorer h1 {{ margin-block: 0; font-size: 1.7rem; line-height: 1.2; }}
    </style>
    <script src="explorers.js" defer></script>
  </head>
  <body>
    <main class="explorer">
      <p><a href="../index.html">Words to Answers</a></p>
      <h1>{title}</h1>
      <p class="quiet lead">{about}</p>
      <div data-view="{view}" data-own>{picture(view)}</div>
      <noscript><p>This page computes in your browser, and needs JavaScript.</p></noscript>
    </main>
  </body>
</html>
"""


def lay_pages(folder: Path) -> None:
    """Write pages and scripts into a folder; without models they say that these are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "runtime.js", runtime_script().encode())
    write_whole(folder / "explorers.js", engine_script().encode())
    styles = b"".join((SOURCE / name).read_bytes() for name in STYLES)
    write_whole(folder / "explorers.css", styles)
    for view in PAGES:
        write_whole(folder / f"{view}.html", page(view).encode())
    if not (folder / "about.js").exists():
        (folder / "about.js").write_text("Explorers.about = null;\n")


def lay(folder: Path) -> None:
    """Write pages, scripts and models into a folder."""
    from tools import page_models, page_search, page_words

    files = page_models.models()
    about = json.loads(files.pop("models.json"))
    files |= page_words.add(about)
    files |= page_search.add(about)
    with lzma.open(RUNTIME / f"{WASM}.wasm.xz") as wasm:
        files["runtime.wasm.gz"] = gzip.compress(wasm.read(), mtime=0)
    write(folder, files, about)


def write(folder: Path, files: dict[str, bytes], about: dict) -> None:
    """Write pages and scripts, and what they compute with, packed."""
    lay_pages(folder)
    packed = {
        name: data if name.endswith(".gz") else gzip.compress(data, 6, mtime=0)
        for name, data in files.items()
    }
    about["files"] = {
        name: {"bytes": len(data), "sha256": sha256(data).hexdigest()}
        for name, data in packed.items()
    }
    for name, data in packed.items():
        write_whole(folder / f"{name}.js", as_script(name, data))
    write_whole(folder / "about.js", f"Explorers.about = {json.dumps(about)};\n".encode())
    (folder / ".laid").touch()  # `make course` asks when


if __name__ == "__main__":
    print("  the pages that compute ...", end="", flush=True)
    began = time.monotonic()
    lay(Path(sys.argv[1]) if len(sys.argv) > 1 else SITE)
    print(f" {time.monotonic() - began:.0f} s", flush=True)
