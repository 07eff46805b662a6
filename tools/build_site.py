"""Build the course's HTML site: executed notebooks, glossary, reference of src, and what instructors need; static pages that ask
nothing of any other host.

    python tools/build_site.py build/notebooks build/site

Started by `make course` and `make site`; a site whose inputs did not change is kept. Sphinx's settings are in tools/pages/conf.py,
the badges' table is in tools/badges.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import posixpath
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from src.teaching import glossary  # noqa: E402
from tools import badges, minutes, reference  # noqa: E402
from tools.check_links import CODE, OUTSIDE  # noqa: E402

PAGES = ROOT / "tools" / "pages"
DOCS = ROOT / "docs"
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")  # [text](path#place)
FOLDED_TAGS = {
    "solution": "hide-input",
    "set-up": "hide-input",
}  # our tag -> what myst-nb folds on the page; the outputs of hint() and solution() fold by themselves
UNUSED = ("**/*.map", "_static/locales", "_static/webpack-macros.html", "_static/sbt-webpack-macros.html")  # of themes, never loaded
INPUTS = (  # what the site is made from besides notebooks, as patterns
    *("*.md", "pyproject.toml", "constraints.txt", "src/**/*.py", "docs/**/*", "tools/pages/**/*"),
    *("data/*/README.md", "data/*.csv", "data/glossary.yaml", "weights/*/README.md"),
)
TOOLS = ("build_site.py", "badges.py", "reference.py", "minutes.py", "check_links.py")


class SiteError(Exception):
    """The site cannot be built; the message says why."""


def main() -> None:
    """Read the arguments, build what is stale, print where it is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("notebooks", type=Path, help="folder of executed notebooks")
    parser.add_argument("site", type=Path, help="folder for the site")
    arguments = parser.parse_args()
    inputs = sorted(arguments.notebooks.glob("*.ipynb"))
    fingerprint = inputs_hash(inputs)
    stamp = arguments.site / ".inputs"
    if stamp.is_file() and stamp.read_text() == fingerprint and (arguments.site / "index.html").is_file():
        print("  site: unchanged")
        return
    print("  site ...", end="", flush=True)
    start = time.monotonic()
    try:
        build(inputs, arguments.site)
    except SiteError as error:
        sys.exit(f" failed: {error}")
    stamp.write_text(fingerprint)
    print(f" {time.monotonic() - start:.0f} s ({describe(arguments.site)})", flush=True)


def describe(site: Path) -> str:
    """How much there is of a site."""
    sizes = [file.stat().st_size for file in site.rglob("*") if file.is_file()]
    return f"{sum(1 for _ in site.rglob('*.html'))} pages, {sum(sizes) / 1e6:.1f} MB"


def build(notebooks: list[Path], site: Path, whole: bool = True) -> None:
    """Lay the pages into a folder of their own beside `site`, run Sphinx over it, and put the result in place of the old site.

    whole: False leaves out the reference and the instructor's section.   Raises SiteError where a page links to nothing, or Sphinx
    complains; the old site then stays.
    """
    work = site.with_name(site.name + ".work")
    pages, fresh = work / "pages", work / "html"
    shutil.rmtree(work, ignore_errors=True)
    pages.mkdir(parents=True)
    desk = Desk(pages, whole)
    downloads = {}
    for notebook in notebooks:
        content = json.loads(notebook.read_text(encoding="utf-8"))
        downloads[notebook.name] = without_outputs(content)
        desk.lay(notebook.name, json.dumps(page_of(content, notebook.stem, lambda text: desk.linked(text, "notebooks"))))
    desk.lay("glossary.md", glossary.glossary_page())
    desk.lay("index.md", index_page(notebooks, whole, lambda text: desk.linked(text, "notebooks")))
    if whole:
        desk.lay("instructors.md", instructors_page(notebooks))
        for name, text in reference.pages(reference.modules()).items():
            desk.lay(f"reference/{name}", text)
        for file in sorted(DOCS.glob("*.md")):
            desk.lay(f"docs/{file.name}", desk.linked(file.read_text(encoding="utf-8"), "docs", "docs"))
    run_sphinx(pages, fresh, work / "doctrees")
    vendor_mathjax(fresh / "_static" / "vendor")
    drop_unused(fresh)
    (fresh / "downloads").mkdir()
    for name, content in downloads.items():
        (fresh / "downloads" / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(site, ignore_errors=True)
    fresh.rename(site)
    shutil.rmtree(work)


def run_sphinx(pages: Path, target: Path, doctrees: Path) -> None:
    """Make HTML of the pages. Raises SiteError with what Sphinx says, of a warning too."""
    options = ["-q", "-W", "--keep-going", "-j", "auto", "-b", "html", "-c", str(PAGES), "-d", str(doctrees)]
    command = [sys.executable, "-m", "sphinx", *options, str(pages), str(target)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"NO_COLOR": "1"})
    if result.returncode:
        raise SiteError(f"Sphinx says:\n{result.stdout.strip()}")


def drop_unused(site: Path) -> None:
    """Delete what themes bring along and no page loads: source maps, translations, templates."""
    for pattern in UNUSED:
        for path in site.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def vendor_mathjax(folder: Path) -> None:
    """Copy MathJax out of the package sphinx-mathjax-offline: one file that sets all of TeX as SVG and loads nothing else."""
    from importlib.metadata import files

    name = "tex-svg-full.js"
    source = next(file for file in files("sphinx-mathjax-offline") or [] if file.name == name)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(str(source.locate()), folder / name)


# --- pages ---------------------------------------------------------------------------------------------------------------


def page_of(content: dict, name: str, linked: Callable[[str], str]) -> dict:
    """The notebook as a page: its cells, with the folding that their tags ask for, the ways to open it under the title, links put right."""
    for cell in content["cells"]:
        tags = cell.setdefault("metadata", {}).get("tags", [])
        if cell["cell_type"] == "code":
            cell["metadata"]["tags"] = tags + [FOLDED_TAGS[tag] for tag in tags if tag in FOLDED_TAGS]
        else:
            cell["source"] = linked("".join(cell["source"]))
    if content["cells"] and content["cells"][0]["cell_type"] == "markdown":
        title, _, rest = content["cells"][0]["source"].partition("\n")
        content["cells"][0]["source"] = f"{title}\n\n{badges.ways_html(name, badges.repository())}\n\n{rest}"
    return content


def without_outputs(content: dict) -> dict:
    """The notebook to download: to be run by the reader, so without outputs, and without what was noted when it was run here."""
    copy = json.loads(json.dumps(content))
    copy["metadata"].pop("course", None)
    for cell in copy["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return copy


def index_page(notebooks: list[Path], whole: bool, linked: Callable[[str], str]) -> str:
    """The first page: each notebook with its first sentence, and what else there is."""
    text = (PAGES / "index.md").read_text(encoding="utf-8")
    course = "There are no notebooks here."
    if notebooks:
        entries = [(notebook.stem, *title_and_intro(notebook)) for notebook in notebooks]
        listed = [f"- **[{title}]({stem}.ipynb)**  \n  {linked(intro)}" for stem, title, intro in entries]
        course = "\n".join([*listed, "", toctree("The course", [f"{title} <{stem}>" for stem, title, _ in entries])])
    rest = ["- The [reference](reference/index.md) explains every function of `src`, module by module."] if whole else []
    rest += ["", toctree("Look it up", ["glossary", *(["reference/index"] if whole else [])])]
    if whole:
        rest += ["", "## Teach it", "", "- [For instructors](instructors.md): minutes and seconds, polls, what to skip."]
        rest += ["", toctree("Teach it", ["instructors"])]
    return text.replace("<!-- course -->", course).replace("<!-- rest -->", "\n".join(rest))


def title_and_intro(notebook: Path) -> tuple[str, str]:
    """A notebook's number and title, and the paragraph that follows it."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    paragraphs = re.split(r"\n{2,}", "".join(cells[0]["source"]).strip()) if cells else [notebook.stem]
    title = f"{notebook.stem.partition('_')[0]} {paragraphs[0].lstrip('# ')}"
    return title, " ".join(paragraphs[1].split()) if len(paragraphs) > 1 else ""


def toctree(caption: str, names: list[str]) -> str:
    """An entry of the navigation, which the page itself does not show."""
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```"])


def instructors_page(notebooks: list[Path]) -> str:
    """The instructor's page with its tables of minutes and seconds filled in."""
    text = (PAGES / "instructors.md").read_text(encoding="utf-8")
    return text.replace("<!-- tables -->", minutes.section_table([minutes.read(notebook) for notebook in notebooks]))


class Desk:
    """The folder in which pages are laid out for Sphinx, and where in it the files of the repository are.

    A link of the repository leads to the file's own page where it has one (notebooks, docs, modules of src); any other file is laid
    below `files/`, texts with their own links put right. A folder is shown by its README.
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
        """Markdown with its links put right.   folder: where the text is in the repository   page_folder: where its page is

        Raises SiteError for a link to a file that is not there.
        """
        pieces, end = [], 0
        for code in CODE.finditer(text):  # what is only code stays as it is
            pieces += [self._links_put_right(text[end : code.start()], folder, page_folder), code[0]]
            end = code.end()
        return "".join([*pieces, self._links_put_right(text[end:], folder, page_folder)])

    def _links_put_right(self, prose: str, folder: str, page_folder: str) -> str:
        def put_right(link: re.Match[str]) -> str:
            words, path, place = link[1], link[2], link[3] or ""
            if OUTSIDE.match(path):
                return link[0]
            name = posixpath.normpath(posixpath.join(folder, path))
            page = self.page_of(name)
            if page is None:
                return words
            return f"[{words}]({posixpath.relpath(page, page_folder or '.')}{place})"

        return LINK.sub(put_right, prose)

    def page_of(self, name: str) -> str | None:
        """Where a file of the repository is among the pages; None for a folder that no text describes. Lays it there if it has no page."""
        source = ROOT / name
        if name.startswith("notebooks/") and source.suffix in (".ipynb", ".md"):
            return source.name  # laid by `build`; if it is not, Sphinx says so
        if self.whole and name.startswith("docs/") and source.parent == DOCS and source.suffix == ".md":
            return name
        if self.whole and name.startswith("src/") and source.suffix == ".py" and source.is_file():
            return f"reference/{'.'.join(Path(name).with_suffix('').parts).removesuffix('.__init__')}.md"
        if source.is_dir():
            return self.page_of(f"{name}/README.md") if (source / "README.md").is_file() else None
        if not source.is_file():
            raise SiteError(f"a page links to {name}, which is not there.")
        target = self.pages / "files" / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()  # so that texts may link to each other
            if source.suffix == ".md":
                text = self.linked(
                    source.read_text(encoding="utf-8"), posixpath.dirname(name), posixpath.join("files", posixpath.dirname(name))
                )
                target.write_text("---\norphan: true\n---\n\n" + text, encoding="utf-8")
            else:
                shutil.copy(source, target)
        return f"files/{name}"


# --- what the site is made from ------------------------------------------------------------------------------------------


def inputs_hash(notebooks: list[Path]) -> str:
    """Hash of all that the site is made from."""
    digest = hashlib.sha256()
    course = sorted({path for pattern in INPUTS for path in ROOT.glob(pattern) if path.is_file() and "__pycache__" not in path.parts})
    for file in [*notebooks, *course, *(ROOT / "tools" / name for name in TOOLS)]:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
