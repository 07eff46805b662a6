"""Build the course's HTML site from executed notebooks and the glossary: static pages that ask nothing of any other host.

    python tools/build_site.py build/notebooks build/site

Started by `make course` and `make site`; a site whose inputs did not change is kept. Sphinx's settings are in tools/pages/conf.py.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "tools" / "pages"
NOTEBOOKS_TABLE = "```{toctree}\n:maxdepth: 2\n:glob:\n\n[0-9]*\n```"  # as it stands in tools/pages/index.md
GLOSSARY_SOURCES = (ROOT / "data" / "glossary.yaml", ROOT / "src" / "teaching" / "glossary.py")
REPOSITORY_FILE = re.compile(r"\]\(\.\./([\w./-]+\.md)\)")  # a link from notebooks/ to a text elsewhere in the repository
FOLDED_TAGS = {
    "solution": "hide-input",
    "set-up": "hide-input",
}  # our tag -> what myst-nb folds on the page; the outputs of hint() and solution() fold by themselves


def main() -> None:
    """Read the arguments, build what is stale, print where it is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    build(inputs, arguments.site)
    stamp.write_text(fingerprint)
    print(f" {time.monotonic() - start:.0f} s", flush=True)


def build(notebooks: list[Path], site: Path) -> None:
    """Lay the pages into a folder of their own beside `site`, run Sphinx over it, and put the result in place of the old site."""
    work = site.with_name(site.name + ".work")
    pages, fresh = work / "pages", work / "html"
    shutil.rmtree(work, ignore_errors=True)
    pages.mkdir(parents=True)
    index = (PAGES / "index.md").read_text(encoding="utf-8")
    if not notebooks:  # Sphinx would call a table of contents that finds nothing an error
        index = index.replace(NOTEBOOKS_TABLE, "No notebook has been run yet.")
    (pages / "index.md").write_text(index, encoding="utf-8")
    (pages / "glossary.md").write_text(glossary_page(), encoding="utf-8")
    for notebook in notebooks:
        page = page_of(notebook)
        lay_linked_files(page, pages)
        (pages / notebook.name).write_text(json.dumps(page), encoding="utf-8")
    options = ["-q", "-W", "--keep-going", "-b", "html", "-c", str(PAGES), "-d", str(work / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, str(pages), str(fresh)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        sys.exit(f" failed; Sphinx says:\n{result.stdout.strip()}")
    vendor_mathjax(fresh / "_static" / "vendor")
    shutil.rmtree(site, ignore_errors=True)
    fresh.rename(site)
    shutil.rmtree(work)


def glossary_page() -> str:
    """The page that notebooks link their terms to: `glossary.md#term` leads there in Jupyter, on GitHub, and here."""
    sys.path.insert(0, str(ROOT))
    try:
        from src.teaching import glossary
    finally:
        sys.path.remove(str(ROOT))
    return glossary.glossary_page()


def page_of(notebook: Path) -> dict:
    """The notebook as a page: the same cells, with the folding that its tags ask for."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        tags = cell.get("metadata", {}).get("tags", [])
        cell.setdefault("metadata", {})["tags"] = tags + [
            FOLDED_TAGS[tag] for tag in tags if tag in FOLDED_TAGS and cell["cell_type"] == "code"
        ]
    return content


def lay_linked_files(page: dict, pages: Path) -> None:
    """Put the course's own files that the notebook's text links to (`../data/spam/README.md`) beside the pages, and link there."""
    for cell in page["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            for linked in REPOSITORY_FILE.findall(text):
                source = ROOT / linked
                if not source.is_file():
                    sys.exit(f" failed: a notebook links to ../{linked}, which is not there.")
                target = pages / "files" / linked
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text("---\norphan: true\n---\n\n" + source.read_text(encoding="utf-8"), encoding="utf-8")
            cell["source"] = REPOSITORY_FILE.sub(r"](files/\1)", text)


def vendor_mathjax(folder: Path) -> None:
    """Copy MathJax out of the package sphinx-mathjax-offline: one file that sets all of TeX as SVG and loads nothing else."""
    from importlib.metadata import files

    name = "tex-svg-full.js"
    source = next(file for file in files("sphinx-mathjax-offline") or [] if file.name == name)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(str(source.locate()), folder / name)


def inputs_hash(notebooks: list[Path]) -> str:
    """Hash of all that the site is made from."""
    digest = hashlib.sha256()
    for file in [
        *notebooks,
        *sorted(p for p in PAGES.rglob("*") if p.is_file()),
        Path(__file__),
        *GLOSSARY_SOURCES,
        ROOT / "constraints.txt",
        ROOT / "pyproject.toml",
        *sorted((ROOT / "data").glob("*/README.md")),
    ]:
        if "__pycache__" not in file.parts:
            digest.update(file.name.encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
