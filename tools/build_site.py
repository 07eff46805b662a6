"""Build the course's HTML site: notebooks, glossary, reference of `src`, what instructors need.

    python tools/build_site.py build/site

A notebook that `make run` executed here is shown with those outputs, any other with the ones that
are stored in it; each page says which. A site whose inputs did not change is kept. The pages ask
nothing of any other host. Sphinx's settings are in tools/pages/conf.py.
"""

import functools
import hashlib
import html
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from src.teaching import glossary
from src.teaching.panel import inline_html
from tools import anki, badges, explorers, minutes, run_notebooks
from tools.checks import OUTSIDE

PAGES, DOCS = ROOT / "tools" / "pages", ROOT / "docs"
EXECUTED = ROOT / "build" / "notebooks"  # by `make run`
# What is only code: fenced, or within a line.
CODE = re.compile(
    r"^ *(```+|~~~+).*?^ *\1[^\n]*$|(?<!`)(`+)(?!`).+?(?<!`)\2(?!`)", re.DOTALL | re.MULTILINE
)
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")  # [text](path#place)
# Our tags, and what myst-nb folds for them. What hint() and solution() print folds by itself.
FOLDED_TAGS = {"solution": "hide-input", "set-up": "hide-input"}
UNUSED_THEME_FILES = ("**/*.map", "_static/locales", "_static/webpack-macros.html")
UNUSED_THEME_FILES += ("_static/sbt-webpack-macros.html",)
# What the site is made from besides notebooks.
INPUTS = ["*.md", "pyproject.toml", "constraints.txt", "src/**/*.py", "docs/**/*", "tools/*.py"]
INPUTS += ["tools/pages/**/*", "data/*/README.md", "data/*.csv", "data/*.yaml"]
INPUTS += ["weights/*/README.md", "src/explorers/**/*", "data/quizzes/*.json"]
INPUTS += ["slides/*.yaml", "tools/slides/*"]
STORED = "The outputs here come with the course; `make run` makes them again on your computer."


class SiteError(Exception):
    """The site cannot be built; the message says why."""


def main(site: Path) -> None:
    """Build what is stale, and print how long that took."""
    notebooks = notebooks_to_show()
    fingerprint = inputs_hash(notebooks)
    stamp = site / ".inputs"
    if stamp.is_file() and stamp.read_text() == fingerprint and (site / "index.html").is_file():
        print("  site: unchanged")
        return
    print("  site ...", end="", flush=True)
    start = time.monotonic()
    try:
        build(notebooks, site)
    except SiteError as error:
        sys.exit(f" failed: {error}")
    stamp.write_text(fingerprint)
    print(f" {time.monotonic() - start:.0f} s ({describe(site)})", flush=True)


def notebooks_to_show() -> list[Path]:
    """Of each notebook the copy that `make run` executed, where its cells are still these."""
    found = []
    for stored in run_notebooks.find_notebooks(ROOT / "notebooks"):
        copy = EXECUTED / stored.name
        fits = run_notebooks.read_marks(copy).get("code") == run_notebooks.code_hash(stored)
        found.append(copy if fits else stored)
    return found


def describe(site: Path) -> str:
    """How much there is of a site."""
    sizes = [file.stat().st_size for file in site.rglob("*") if file.is_file()]
    return f"{sum(1 for _ in site.rglob('*.html'))} pages, {sum(sizes) / 1e6:.1f} MB"


def build(notebooks: list[Path], site: Path, whole: bool = True) -> None:
    """Lay out the pages beside `site`, run Sphinx, and put the result in place of the old site.

    Args:
        notebooks: with outputs.
        site: the folder to write.
        whole: False leaves out the reference and the instructors' section.

    Raises:
        SiteError: a page links to nothing, or Sphinx complains; the old site then stays.
    """
    work = site.with_name(site.name + ".work")
    pages, fresh = work / "pages", work / "html"
    shutil.rmtree(work, ignore_errors=True)
    pages.mkdir(parents=True)
    folder = PageFolder(pages, whole)
    linked = functools.partial(folder.linked, folder="notebooks")
    contents = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in notebooks}
    downloads = {name: without_outputs(content) for name, content in contents.items()}
    folder.lay("index.md", index_page(contents, whole, linked))
    folder.lay("progress.md", progress_page(contents))
    decks = build_decks(work / "slides") if whole else ""
    for name, content in contents.items():
        page = page_of(content, name, linked)
        folder.lay(f"{name}.ipynb", json.dumps(page))
    folder.lay("glossary.md", glossary.glossary_page())
    if whole:
        for page in (PAGES / "moved").glob("*.md"):  # at addresses that notebooks had before
            folder.lay(page.name, page.read_text(encoding="utf-8"))
        text = (PAGES / "instructors.md").read_text(encoding="utf-8")
        table = minutes.section_table([minutes.read(path) for path in notebooks])
        text = text.replace("<!-- tables -->", table).replace("<!-- decks -->", decks)
        folder.lay("instructors.md", text)
        for name, text in reference_pages().items():
            folder.lay(f"reference/{name}.md", text)
        for file in sorted(DOCS.glob("*.md")):
            text = folder.linked(file.read_text(encoding="utf-8"), "docs", "docs")
            folder.lay(f"docs/{file.name}", text)
    run_sphinx(pages, fresh, work / "doctrees")
    vendor_mathjax(fresh / "_static" / "vendor")
    for path in (path for pattern in UNUSED_THEME_FILES for path in fresh.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (fresh / "_static" / "definitions.js").write_text(definitions(), encoding="utf-8")
    if whole:
        (work / "slides").rename(fresh / "slides")
    (fresh / "downloads").mkdir()
    (fresh / "downloads" / anki.NAME).write_text(anki.deck(), encoding="utf-8")
    for name, content in downloads.items():
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        (fresh / "downloads" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    if (site / "explorers").is_dir():  # with models, which `make course` laid there
        (site / "explorers").rename(fresh / "explorers")
    explorers.lay_pages(fresh / "explorers")
    (fresh / ".nojekyll").touch()  # so that GitHub's host does not leave out _static
    shutil.rmtree(site, ignore_errors=True)
    fresh.rename(site)
    shutil.rmtree(work)


def run_sphinx(pages: Path, target: Path, doctrees: Path) -> None:
    """Make HTML of the pages. Raises SiteError with what Sphinx says, of a warning too."""
    options = ["-q", "-W", "--keep-going", "-j", "auto", "-b", "html", "-c", PAGES, "-d", doctrees]
    command = [sys.executable, "-m", "sphinx", *options, pages, target]
    environment = os.environ | {"NO_COLOR": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        raise SiteError(f"Sphinx says:\n{result.stdout}{result.stderr}".strip())


def vendor_mathjax(folder: Path) -> None:
    """Copy MathJax, out of a package: one file that sets all of TeX as SVG and loads no other."""
    name = "tex-svg-full.js"
    files = metadata.files("sphinx-mathjax-offline") or []
    source = next(file for file in files if file.name == name)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(str(source.locate()), folder / name)


# --- pages


def page_of(content: dict, name: str, linked: Callable[[str], str]) -> dict:
    """The notebook as a page: folded as its tags ask, ways to open it, links put right, and views
    that compute at their places."""
    for place, cell in reversed([*enumerate(content["cells"], 1)]):
        if view := explorers.PLACES.get((name, cell.get("id"))):
            shown = {"cell_type": "markdown", "metadata": {}, "source": explorers.opener(view)}
            content["cells"].insert(place, shown | {"id": f"explorer-{view}"})
    for cell in content["cells"]:
        tags = cell.setdefault("metadata", {}).get("tags", [])
        if cell["cell_type"] == "code":
            folds = [FOLDED_TAGS[tag] for tag in tags if tag in FOLDED_TAGS]
            cell["metadata"]["tags"] = tags + folds
        else:
            cell["source"] = linked("".join(cell["source"]))
    if content["cells"] and content["cells"][0]["cell_type"] == "markdown":
        title, _, rest = content["cells"][0]["source"].partition("\n")
        seconds = seconds_here(content)
        ran = f"This page shows a run on the computer that built the site; it took {seconds:.0f} s."
        head = [title, badges.ways_html(name, badges.repository()), ran if seconds else STORED]
        content["cells"][0]["source"] = "\n\n".join([*head, rest])
    return content


def seconds_here(content: dict) -> float:
    """How long a notebook ran on this computer; 0 where its outputs are the stored ones."""
    return content["metadata"].get("course", {}).get("seconds", 0)


def without_outputs(content: dict) -> dict:
    """The notebook to download: to be run by the reader, so without outputs and notes of a run."""
    copy = json.loads(json.dumps(content))
    copy["metadata"].pop("course", None)
    for cell in copy["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return copy


def index_page(contents: dict[str, dict], whole: bool, linked: Callable[[str], str]) -> str:
    """The first page: whose outputs it shows, each notebook, and what else there is."""
    here = [name.partition("_")[0] for name, content in contents.items() if seconds_here(content)]
    outputs = STORED
    if here and len(here) == len(contents):
        outputs = (
            "Every notebook was run from its first cell to its last where this site was built."
        )
    elif here:
        outputs = f"{', '.join(here)}: run where this site was built. In the others: {STORED}"
    course, titles = ["There are no notebooks here."], []
    if contents:
        heads = {name: title_and_intro(name, content) for name, content in contents.items()}
        listed = (f"- **[{t}]({n}.ipynb)**  \n  {linked(i)}" for n, (t, i) in heads.items())
        titles = [f"{title} <{name}>" for name, (title, _) in heads.items()]
        course = [outputs, "", *listed, "", toctree("The course", titles)]
    look_up, teach = ["progress", "glossary"], []
    if whole:
        look_up.append("reference/src")
        guide = "- [For instructors](instructors.md): minutes, polls, plans."
        teach = ["", "## Teach it", "", guide, "", toctree("Teach it", ["instructors"])]
    text = (PAGES / "index.md").read_text(encoding="utf-8")
    text = text.replace("<!-- reader -->", explorers.first_page_reader())
    text = text.replace("<!-- views -->", explorers.listed())
    own = "- [Your progress](progress.md) is what you finished, and has cards to learn with."
    rest = [own, *["- The [reference](reference/src.md) explains every function of `src`."] * whole]
    rest += ["", toctree("Look it up", look_up), *teach]
    return text.replace("<!-- course -->", "\n".join(course)).replace(
        "<!-- rest -->", "\n".join(rest)
    )


def progress_page(contents: dict[str, dict]) -> str:
    """What the reader finished, which progress.js counts, and the quizzes as cards to download."""
    rows = ["| | sections finished | questions answered |", "| --- | --- | --- |"]
    for name, content in contents.items():
        cells = content["cells"]
        texts = ("".join(one["source"]) for one in cells if one["cell_type"] == "markdown")
        headings = sum(len(re.findall("^## ", text, re.MULTILINE)) for text in texts)
        shown = json.dumps([one.get("outputs") for one in cells])
        row = [f"[{title_and_intro(name, content)[0]}]({name}.ipynb)"]
        for what, count in ("sections", headings), ("answers", shown.count('<div class=\\"q\\" ')):
            marks = f'data-page="{name}" data-what="{what}" data-of="{count}"'
            row.append(f"<span {marks}>0 of {count}</span>")
        rows.append(f"| {' | '.join(row)} |")
    text = (PAGES / "progress.md").read_text(encoding="utf-8")
    link = f'<a href="downloads/{anki.NAME}" download>The questions of all quizzes</a>'
    text = text.replace("<!-- cards -->", f"{link} {anki.HOW}")
    return text.replace("<!-- table -->", "\n".join(rows))


def definitions() -> str:
    """The script that holds what each term of the glossary means, as HTML by its anchor."""
    texts = {}
    for name, term in glossary.glossary().items():
        told = f"<b>{inline_html(name)}</b>: {inline_html(term.definition)}"
        again = '<p class="again">Tap the word again for its place in the glossary.</p>'
        texts[term.anchor] = f"<p>{told}</p>{again}"
    return f"window.courseDefinitions = {json.dumps(texts, ensure_ascii=False)};\n"


def build_decks(folder: Path) -> str:
    """Write the decks of slides; returns a list of links to them, and of those that have faults."""
    from tools import build_slides  # which imports this module

    folder.mkdir()
    listed = []
    for file in sorted(build_slides.DECKS.glob("*.yaml")):
        try:
            deck = build_slides.read(file)
            page = build_slides.build(file, folder, "../explorers/")
            length = sum(slide.minutes for slide in deck.slides)
            link = f'<a href="slides/{page.name}">{html.escape(deck.title)}</a>'
            listed.append(f"- {link}: {len(deck.slides)} slides, {length:.0f} minutes")
        except ValueError as error:  # a cell that did not run here, say: the rest is still a site
            print(f"\n  {error}", file=sys.stderr)
            listed.append(f"- {file.stem} is not here: {inline_html(str(error))}")
    return "\n".join(listed)


def title_and_intro(name: str, content: dict) -> tuple[str, str]:
    """A notebook's number, if any, and title, and the paragraph that follows it."""
    paragraphs = re.split(r"\n{2,}", "".join(content["cells"][0]["source"]).strip())
    number = f"{name.partition('_')[0]} " if name[:1].isdigit() else ""
    title = number + paragraphs[0].lstrip("# ")
    return title, " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""


def toctree(caption: str, names: Sequence[str]) -> str:
    """An entry of the navigation, which the page itself does not show."""
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```"])


def reference_pages() -> dict[str, str]:
    """A page for each module of `src`, which autodoc fills in; a package lists its modules."""
    files = sorted((ROOT / "src").rglob("*.py"))
    dotted = (".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files)
    modules = [name.removesuffix(".__init__") for name in dotted]
    pages = {}
    for name in modules:
        inner = [other for other in modules if other.rpartition(".")[0] == name]
        title = f"# `{name}`" if name != "src" else "# Reference"
        lines = [title, "", "```{eval-rst}", f".. automodule:: {name}", ""]
        if inner:
            lines += [".. py:currentmodule:: None", "", ".. autosummary::", ""]
            lines += [f"   {other}" for other in inner]
        lines += ["```", "", *([toctree(name, inner)] if inner else [])]
        pages[name] = "\n".join(lines)
    return pages


class PageFolder:
    """Where pages are laid out for Sphinx, and where in it the files of the repository are.

    A link of the repository leads to the file's own page where it has one (notebooks, docs,
    modules of src). Any other file is laid below `files/`, texts with their own links put right.
    A folder is shown by its README.

    Args:
        pages: the folder for Sphinx.
        whole: whether the site has a reference and an instructors' section.
    """

    def __init__(self, pages: Path, whole: bool):
        self.pages = pages
        self.whole = whole

    def lay(self, name: str, text: str) -> None:
        """Write a page."""
        target = self.pages / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def linked(self, text: str, folder: str, page_folder: str = "") -> str:
        """Markdown with its links put right.

        Args:
            text: the Markdown.
            folder: where it is in the repository.
            page_folder: where its page is on the site.

        Raises:
            SiteError: it links to a file that is not there.
        """

        def put_right(link: re.Match[str]) -> str:
            words, path, place = link[1], link[2], link[3] or ""
            if OUTSIDE.match(path):
                return link[0]
            page = self.page_of(posixpath.normpath(posixpath.join(folder, path)))
            if page is None:
                return words
            return f"[{words}]({posixpath.relpath(page, page_folder or '.')}{place})"

        pieces, end = [], 0
        for code in CODE.finditer(text):  # what is only code stays as it is
            pieces += [LINK.sub(put_right, text[end : code.start()]), code[0]]
            end = code.end()
        return "".join([*pieces, LINK.sub(put_right, text[end:])])

    def page_of(self, name: str) -> str | None:
        """The page of a file of the repository, laid now if it has none; None for a bare folder."""
        source = ROOT / name
        if name.startswith("notebooks/") and source.suffix in (".ipynb", ".md"):
            return source.name  # laid by `build`; if it is not, Sphinx says so
        if self.whole and source.parent == DOCS and source.suffix == ".md":
            return name
        if self.whole and name.startswith("src/") and source.suffix == ".py" and source.is_file():
            module = ".".join(Path(name).with_suffix("").parts)
            return f"reference/{module.removesuffix('.__init__')}.md"
        if source.is_dir():
            readme = source / "README.md"
            return self.page_of(f"{name}/README.md") if readme.is_file() else None
        if not source.is_file():
            raise SiteError(f"a page links to {name}, which is not there.")
        target = self.pages / "files" / name
        if not target.exists():
            self.lay(f"files/{name}", "")  # so that texts may link to each other
            shutil.copy(source, target)
            if source.suffix == ".md":
                folder = posixpath.dirname(name)
                text = source.read_text(encoding="utf-8")
                text = self.linked(text, folder, posixpath.join("files", folder))
                target.write_text(f"---\norphan: true\n---\n\n{text}", encoding="utf-8")
        return f"files/{name}"


def inputs_hash(notebooks: list[Path]) -> str:
    """Hash of all that the site is made from."""
    digest = hashlib.sha256()
    course = sorted({path for pattern in INPUTS for path in ROOT.glob(pattern) if path.is_file()})
    for file in [*notebooks, *course]:
        digest.update(str(file).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
