"""The site works without any other host: nothing on a page is loaded from outside, math is set, figures and folds are there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import build_site

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of one executed notebook that has what notebooks have."""
    folder = tmp_path_factory.mktemp("the site")
    (folder / "notebooks").mkdir()
    table = new_output("execute_result", {"text/plain": "8", "text/html": "<table><tr><td>8</td></tr></table>"}, execution_count=1)
    notebook = new_notebook(
        metadata={"language_info": {"name": "python"}},
        cells=[
            new_markdown_cell(
                "# Attention\n\nThe [doc stride](glossary.md#doc-stride) again. Inline $\\sqrt{D}$ and\n\n$$\\mathrm{softmax}(QK^T) V$$"
            ),
            new_code_cell("1 + 7", outputs=[table], execution_count=1),
            new_code_cell(
                "print('the solution')",
                metadata={"tags": ["solution"]},
                outputs=[new_output("stream", text="what it prints")],
                execution_count=2,
            ),
        ],
    )
    nbformat.write(notebook, folder / "notebooks" / "04_attention.ipynb")
    build_site.build([folder / "notebooks" / "04_attention.ipynb"], folder / "site")
    return folder / "site"


class Loaded(HTMLParser):
    """Collects the addresses that a browser fetches by itself when it opens a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what scripts, images, frames and linked style sheets point to; links to click on do not count."""
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.addresses.append(given.get("src") or "")
        if tag == "link" and set((given.get("rel") or "").split()) & {"stylesheet", "preload", "icon", "preconnect", "prefetch"}:
            self.addresses.append(given.get("href") or "")


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = sorted(site.glob("*.html"))
    assert {"index.html", "04_attention.html", "glossary.html"} <= {page.name for page in pages}
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert len(loaded.addresses) > 5
        outside = [address for address in loaded.addresses if re.match(r"(https?:)?//", address)]
        assert outside == [], page.name
        missing = [a for a in loaded.addresses if a and not a.startswith("data:") and not (page.parent / a.split("?")[0]).is_file()]
        assert missing == [], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"@import[^;]*//|url\(\s*['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_solutions_are_folded(site: Path) -> None:
    page = (site / "04_attention.html").read_text(encoding="utf-8")
    (folded,) = re.findall(r"<details[^>]*>.*?</details>", page, re.DOTALL)
    assert "the solution" in folded and "what it prints" in page.replace(folded, ""), "hint() and solution() fold their own output"


def test_terms_lead_to_their_entry_in_the_glossary(site: Path) -> None:
    assert 'href="glossary.html#doc-stride"' in (site / "04_attention.html").read_text(encoding="utf-8")
    assert 'id="doc-stride"' in (site / "glossary.html").read_text(encoding="utf-8")
    assert 'href="glossary.html"' in (site / "index.html").read_text(encoding="utf-8")


def test_a_link_to_a_term_that_the_glossary_lacks_stops_the_build(tmp_path: Path) -> None:
    notebook = tmp_path / "02_two.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Two\n\n[a word](glossary.md#no-such-term)")]), notebook)
    with pytest.raises(SystemExit, match=r"no-such-term"):
        build_site.build([notebook], tmp_path / "site")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (Debian: apt-get install chromium)")
def test_a_browser_without_a_network_sets_the_math(site: Path, tmp_path: Path) -> None:
    """A proxy that does not exist keeps the browser from every host; what it logs as asked for must be files only."""
    log = tmp_path / "net.json"
    command = [str(CHROMIUM), *CHROMIUM_FLAGS.split(), "--proxy-server=http://127.0.0.1:9", f"--user-data-dir={tmp_path / 'profile'}"]
    command += [f"--log-net-log={log}", "--virtual-time-budget=8000", "--dump-dom", (site / "04_attention.html").as_uri()]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    assert page.count("<mjx-container") == 2 and '<g data-mml-node="merror"' not in page
    asked = set(re.findall(r'"url":"(https?://[^"]+)"', log.read_text(encoding="utf-8", errors="replace")))
    chromium_itself = re.compile(r"https?://([a-z0-9-]+\.)*(google|googleapis|gvt1|gstatic)\.com/")
    assert {url for url in asked if not chromium_itself.match(url)} == set()


def test_a_course_without_notebooks_has_a_page_that_says_so(tmp_path: Path) -> None:
    build_site.build([], tmp_path / "site")
    assert (tmp_path / "site" / "glossary.html").is_file()
    assert "No notebook has been run yet" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_a_second_build_of_the_same_notebooks_is_skipped_and_a_changed_one_is_built(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    notebook = tmp_path / "notebooks" / "01_one.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# One")]), notebook)
    command = [sys.executable, str(Path(build_site.__file__)), str(tmp_path / "notebooks"), str(tmp_path / "site")]
    assert "unchanged" not in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "unchanged" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    content = json.loads(notebook.read_text())
    content["cells"][0]["source"] = "# Uno"
    notebook.write_text(json.dumps(content))
    assert "unchanged" not in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Uno" in (tmp_path / "site" / "01_one.html").read_text()


def test_a_link_to_a_text_of_the_repository_leads_to_its_copy_on_the_site(tmp_path: Path) -> None:
    notebook = tmp_path / "02_two.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Two\n\n[messages](../data/spam/README.md)")]), notebook)
    build_site.build([notebook], tmp_path / "site")
    assert 'href="files/data/spam/README.html"' in (tmp_path / "site" / "02_two.html").read_text(encoding="utf-8")
    assert "spam messages" in (tmp_path / "site" / "files" / "data" / "spam" / "README.html").read_text(encoding="utf-8")
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Two\n\n[nothing](../data/nothing.md)")]), notebook)
    with pytest.raises(SystemExit, match=r"data/nothing\.md"):
        build_site.build([notebook], tmp_path / "site")


def test_the_notebooks_of_the_course_as_they_are_stored_make_a_site(tmp_path: Path) -> None:
    notebooks = sorted((build_site.ROOT / "notebooks").glob("*.ipynb"))
    assert notebooks
    build_site.build(notebooks, tmp_path / "site")
    assert {f"{notebook.stem}.html" for notebook in notebooks} <= {page.name for page in (tmp_path / "site").glob("*.html")}


def test_what_sphinx_complains_about_stops_the_build_and_keeps_the_old_site(tmp_path: Path) -> None:
    notebook = tmp_path / "02_two.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Two\n\n[broken](nowhere.md)")]), notebook)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("the old site")
    with pytest.raises(SystemExit, match=r"nowhere\.md"):
        build_site.build([notebook], tmp_path / "site")
    assert (tmp_path / "site" / "index.html").read_text() == "the old site"
