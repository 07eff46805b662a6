"""The site works without any other host: nothing comes from outside, every link leads somewhere,
math is set, figures and folds are there, and all of it can be read on a phone, in the dark, with a
keyboard, and by who does not see it."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from src.teaching.quizzes import load_set, quiz_html
from tools import badges, build_site, run_notebooks

COLUMNS = "".join(f"| {letter} " for letter in "abcdefghijklmnopqrstuvwxyz" * 2) + "|"
SUM = " + ".join(f"x_{{{i}}}" for i in range(80))
WIDE = f"## Wide things\n\n$${SUM}$$\n\n{COLUMNS}\n{'| -- ' * 52}|\n{COLUMNS}"
LONG = "a_name_that_goes_on = " + "and_on_" * 40
AXE = (
    "axe-core",
    "4.14.1",
)  # https://github.com/dequelabs/axe-core, MPL-2.0: used here, and no part of the course
# Its sha512, as npm gives it.
AXE_INTEGRITY = (
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)
NOTEBOOKS = sorted((build_site.ROOT / "notebooks").glob("*.ipynb"))
PHONE, DESK = (390, 844), (1280, 900)  # CSS pixels


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of one executed notebook, without reference and instructors' section."""
    folder = tmp_path_factory.mktemp("the site")
    (folder / "notebooks").mkdir()
    table = new_output(
        "execute_result",
        {"text/plain": "8", "text/html": "<table><tr><td>8</td></tr></table>"},
        execution_count=1,
    )
    wide = f"<table><tr>{''.join(f'<td>column{i}</td>' for i in range(60))}</tr></table>"
    quiz = new_output(
        "display_data",
        {"text/plain": "a quiz", "text/html": quiz_html(load_set("00_start_here", "poll"))},
    )
    notebook = new_notebook(
        metadata={"language_info": {"name": "python"}, "course": {"seconds": 3.0}},
        cells=[
            new_markdown_cell(
                "# Attention\n\nThe [doc stride](glossary.md#doc-stride) again. Inline $\\sqrt{D}$ "
                "and\n\n$$\\mathrm{softmax}(QK^T) V$$"
            ),
            new_code_cell("1 + 7", outputs=[table], execution_count=1),
            new_code_cell(
                "print('the solution')",
                metadata={"tags": ["solution"]},
                outputs=[new_output("stream", text="what it prints")],
                execution_count=2,
            ),
            new_code_cell(
                LONG,
                outputs=[new_output("display_data", {"text/plain": "wide", "text/html": wide})],
                execution_count=3,
            ),
            new_markdown_cell(WIDE),
            new_code_cell(
                "show_quiz('00_start_here', 'poll')",
                metadata={"tags": ["quiz"]},
                outputs=[quiz],
                execution_count=4,
            ),
        ],
    )
    nbformat.write(notebook, folder / "notebooks" / "04_attention.ipynb")
    build_site.build([folder / "notebooks" / "04_attention.ipynb"], folder / "site", whole=False)
    return folder / "site"


@pytest.fixture(scope="module")
def course_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, of the notebooks as they are stored."""
    folder = tmp_path_factory.mktemp("course")
    assert NOTEBOOKS
    build_site.build(NOTEBOOKS, folder / "site")
    return folder / "site"


class Quiet(SimpleHTTPRequestHandler):
    """A web server of files that does not talk."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def serve(folder: Path) -> ThreadingHTTPServer:
    """Start serving a folder on this computer."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    """The address of the small site on a web server."""
    server = serve(site)
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def course_served(course_site: Path) -> Iterator[str]:
    """The address of the whole site on a web server."""
    server = serve(course_site)
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker axe-core, from npm; tests without it are skipped and say so."""
    folder, (name, version) = tmp_path_factory.mktemp("axe"), AXE
    if not shutil.which("npm"):
        pytest.skip(
            f"{name} {version} checks accessibility and comes from npm, which is not installed"
        )
    # Without retries: where there is no network, npm's own take longer than anybody waits.
    command = [
        "npm",
        "pack",
        f"{name}@{version}",
        "--silent",
        "--fetch-retries=0",
        "--fetch-timeout=60000",
    ]
    try:
        said = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=60
        ).stderr
    except subprocess.TimeoutExpired:
        said = "no answer within a minute"
    archive = folder / f"{name}-{version}.tgz"
    if not archive.is_file():
        pytest.skip(
            f"{name} {version} checks accessibility and could not be fetched from npm: "
            f"{said.strip()[-200:]}"
        )
    assert base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() == AXE_INTEGRITY
    with tarfile.open(archive) as package:
        return package.extractfile("package/axe.min.js").read().decode("utf-8")


# --- what a page loads and links to --------------------------------------------------------------


class Page(HTMLParser):
    """What is in a page.

    Attributes:
        loaded: addresses that a browser fetches by itself.
        links: addresses to click on.
        places: ids.
        images: their alternative texts.
        folds: for each thing that unfolds, whether it is open when the page is.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.images: list[str | None] = []
        self.folds: list[bool] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag loads, leads to, or is called."""
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed"):
            self.loaded.append(given.get("src") or "")
        if tag == "link" and set((given.get("rel") or "").split()) & {
            "stylesheet",
            "preload",
            "icon",
            "preconnect",
            "prefetch",
        }:
            self.loaded.append(given.get("href") or "")
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "img":
            self.images.append(given.get("alt"))
        if tag == "details":
            self.folds.append("open" in given)
        if given.get("id"):
            self.places.add(given["id"])


@pytest.fixture(scope="module")
def pages(course_site: Path) -> dict[Path, Page]:
    """All pages of the whole site, read."""
    return {path: Page(path) for path in sorted(course_site.rglob("*.html"))}


def test_no_page_loads_anything_from_another_host(
    course_site: Path, pages: dict[Path, Page]
) -> None:
    names = {path.relative_to(course_site).as_posix() for path in pages}
    assert {
        "index.html",
        "04_attention.html",
        "glossary.html",
        "instructors.html",
        "docs/polls.html",
        "reference/src.rnn.html",
    } <= names
    for path, page in pages.items():
        assert len(page.loaded) > 5
        assert [address for address in page.loaded if re.match(r"(https?:)?//", address)] == [], (
            path
        )
        own = [
            address.split("?")[0]
            for address in page.loaded
            if address and not address.startswith("data:")
        ]
        assert [address for address in own if not (path.parent / address).is_file()] == [], path
    for sheet in course_site.rglob("*.css"):
        assert not re.search(
            r"@import[^;]*//|url\(\s*['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")
        ), sheet


def test_every_link_leads_to_a_page_and_a_place_that_are_there(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            address, _, place = unquote(link).partition("#")
            reached = (path.parent / address.split("?")[0]).resolve() if address else path.resolve()
            if not reached.is_file() or (
                place and reached.suffix == ".html" and place not in pages[reached].places
            ):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_links_to_other_hosts_lead_to_addresses_that_exist_by_name(pages: dict[Path, Page]) -> None:
    """A link to a placeholder would look alive and be dead."""
    outside = {link for page in pages.values() for link in page.links if re.match(r"https?:", link)}
    assert outside and [link for link in outside if not badges.is_published(link)] == []


def test_every_image_has_alternative_text(pages: dict[Path, Page]) -> None:
    texts = [(path.name, text) for path, page in pages.items() for text in page.images]
    assert len(texts) > 80 and [name for name, text in texts if not (text or "").strip()] == []


def test_every_notebook_has_a_page_with_the_ways_to_open_it_and_answers_that_are_folded(
    course_site: Path,
) -> None:
    for path in NOTEBOOKS:
        page = Page(course_site / f"{path.stem}.html")
        ways = badges.links(path.stem, badges.repository())
        assert {*ways.values(), f"downloads/{path.name}"} <= set(page.links)
        if not ways:
            assert "Colab opens courses that are published" in (
                course_site / f"{path.stem}.html"
            ).read_text(encoding="utf-8")
        tags = [
            tag
            for cell in nbformat.read(path, as_version=4).cells
            for tag in cell.metadata.get("tags", [])
        ]
        assert (
            not any(page.folds)
            and len(page.folds) >= tags.count("solution") + tags.count("quiz") > 0
        )


def test_the_site_is_small_enough_to_carry(course_site: Path) -> None:
    counted = re.fullmatch(r"(\d+) pages, ([\d.]+) MB", build_site.describe(course_site))
    assert int(counted[1]) > 80 and float(counted[2]) < 40
    assert not [*course_site.rglob("*.map"), *course_site.glob("_static/locales")], (
        "what no page loads"
    )


def test_a_notebook_can_be_downloaded_to_be_run(site: Path) -> None:
    page, (name,) = Page(site / "04_attention.html"), (site / "downloads").iterdir()
    assert f"downloads/{name.name}" in page.links
    content = nbformat.read(name, as_version=4)
    nbformat.validate(content)
    assert [cell.source for cell in content.cells if cell.cell_type == "code"][:2] == [
        "1 + 7",
        "print('the solution')",
    ]
    assert (
        not any(cell.get("outputs") or cell.get("execution_count") for cell in content.cells)
        and "course" not in content.metadata
    )
    assert content.cells[0].source.startswith("# Attention\n\nThe [doc stride]"), (
        "the text is the notebook's, without the page's links"
    )


def test_every_module_of_src_is_in_the_reference(course_site: Path) -> None:
    for path in (build_site.ROOT / "src").rglob("*.py"):
        name = ".".join(path.relative_to(build_site.ROOT).with_suffix("").parts).removesuffix(
            ".__init__"
        )
        package = name.rpartition(".")[0]
        assert (
            not package
            or f"{name}.html#module-{name}"
            in Page(course_site / "reference" / f"{package}.html").links
        )
    page = Page(course_site / "reference" / "src.attention.html")
    assert {
        "src.attention.MultiHeadAttention",
        "src.attention.MultiHeadAttention.forward",
        "src.attention.causal_mask",
    } <= page.places


def test_a_function_is_explained_with_its_arguments_shapes_and_results(course_site: Path) -> None:
    page = (course_site / "reference" / "src.attention.html").read_text(encoding="utf-8")
    (entry,) = re.findall(
        r'<dt class="sig[^"]*" id="src.attention.scaled_dot_product_attention">.*?</dd></dl>',
        page,
        re.DOTALL,
    )
    words = " ".join(re.sub("<[^>]+>", " ", entry).split())
    assert "query : Tensor" in words and "bool[..., T, S]" in words and "Returns" in words


def test_instructors_find_times_and_every_text_of_docs(course_site: Path) -> None:
    page = Page(course_site / "instructors.html")
    for text in build_site.DOCS.glob("*.md"):
        assert f"docs/{text.stem}.html" in page.links
    words = re.sub("<[^>]+>", " ", (course_site / "instructors.html").read_text(encoding="utf-8"))
    assert "04_attention" in words and re.search(
        r"minutes\s+exercises\s+quizzes\s+slow cells", words
    )


def test_solutions_are_folded(site: Path) -> None:
    page = (site / "04_attention.html").read_text(encoding="utf-8")
    (folded,) = re.findall(
        r'<details class="admonition hide above-input">.*?</details>', page, re.DOTALL
    )
    assert "the solution" in folded and "what it prints" in page.replace(folded, ""), (
        "hint() and solution() fold their own output"
    )


def test_terms_lead_to_their_entry_in_the_glossary(site: Path) -> None:
    assert 'href="glossary.html#doc-stride"' in (site / "04_attention.html").read_text(
        encoding="utf-8"
    )
    assert 'id="doc-stride"' in (site / "glossary.html").read_text(encoding="utf-8")
    assert 'href="glossary.html"' in (site / "index.html").read_text(encoding="utf-8")


def test_a_link_to_a_term_that_the_glossary_lacks_stops_the_build(tmp_path: Path) -> None:
    notebook = tmp_path / "02_two.ipynb"
    nbformat.write(
        new_notebook(cells=[new_markdown_cell("# Two\n\n[a word](glossary.md#no-such-term)")]),
        notebook,
    )
    with pytest.raises(build_site.SiteError, match=r"no-such-term"):
        build_site.build([notebook], tmp_path / "site", whole=False)


def test_the_site_says_whose_outputs_it_shows(
    site: Path, course_site: Path, tmp_path: Path
) -> None:
    assert (
        "the outputs here come with the course"
        not in (site / "04_attention.html").read_text(encoding="utf-8").lower()
    )
    assert "it took 3 s" in (site / "04_attention.html").read_text(encoding="utf-8")
    assert "Every notebook was run" in (site / "index.html").read_text(encoding="utf-8")
    for page in ("index.html", "06_bert_squad.html"):
        text = (course_site / page).read_text(encoding="utf-8")
        assert (
            "The outputs here come with the course" in text
            and "was run" not in text
            and "it took" not in text
        )
    contents = {
        "00_one": {"cells": [{"source": "# One"}], "metadata": {"course": {"seconds": 3.0}}},
        "01_two": {"cells": [{"source": "# Two"}], "metadata": {"course": {}}},
    }
    assert (
        "00: run where this site was built. In the others: The outputs here come"
        in build_site.index_page(contents, False, str)
    )


def test_a_copy_that_was_run_here_is_shown_as_long_as_its_cells_are_those_of_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_site, "EXECUTED", tmp_path)
    assert build_site.notebooks_to_show() == NOTEBOOKS
    first, second = (nbformat.read(path, as_version=4) for path in NOTEBOOKS[:2])
    first.metadata.course = {"code": run_notebooks.code_hash(NOTEBOOKS[0]), "seconds": 3.0}
    second.metadata.course = {"code": "of cells that have changed since", "seconds": 3.0}
    for path, notebook in zip(NOTEBOOKS, (first, second), strict=False):
        nbformat.write(notebook, tmp_path / path.name)
    assert build_site.notebooks_to_show() == [tmp_path / NOTEBOOKS[0].name, *NOTEBOOKS[1:]]


def test_a_course_without_notebooks_has_a_page_that_says_so(tmp_path: Path) -> None:
    build_site.build([], tmp_path / "site", whole=False)
    assert (tmp_path / "site" / "glossary.html").is_file()
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "There are no notebooks here." in page


def test_a_second_build_of_the_same_notebooks_is_skipped_and_a_changed_one_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notebooks").mkdir()
    notebook = tmp_path / "notebooks" / "01_one.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# One")]), notebook)
    build = functools.partial(build_site.build, whole=False)
    monkeypatch.setattr(build_site, "build", build)
    monkeypatch.setattr(build_site, "notebooks_to_show", lambda: [notebook])
    build_site.main(tmp_path / "site")
    assert re.search(r"site \.\.\. \d+ s \(\d+ pages, [\d.]+ MB\)", capsys.readouterr().out)
    build_site.main(tmp_path / "site")
    assert "unchanged" in capsys.readouterr().out
    content = json.loads(notebook.read_text())
    content["cells"][0]["source"] = "# Uno"
    notebook.write_text(json.dumps(content))
    build_site.main(tmp_path / "site")
    assert "unchanged" not in capsys.readouterr().out
    assert "Uno" in (tmp_path / "site" / "01_one.html").read_text()


def test_a_link_to_a_text_of_the_repository_leads_to_its_copy_on_the_site(tmp_path: Path) -> None:
    notebook = tmp_path / "02_two.ipynb"
    nbformat.write(
        new_notebook(cells=[new_markdown_cell("# Two\n\n[messages](../data/spam/README.md)")]),
        notebook,
    )
    build_site.build([notebook], tmp_path / "site", whole=False)
    assert 'href="files/data/spam/README.html"' in (tmp_path / "site" / "02_two.html").read_text(
        encoding="utf-8"
    )
    assert "spam messages" in (
        tmp_path / "site" / "files" / "data" / "spam" / "README.html"
    ).read_text(encoding="utf-8")
    nbformat.write(
        new_notebook(cells=[new_markdown_cell("# Two\n\n[nothing](../data/nothing.md)")]), notebook
    )
    with pytest.raises(build_site.SiteError, match=r"data/nothing\.md"):
        build_site.build([notebook], tmp_path / "site", whole=False)


def test_what_sphinx_complains_about_stops_the_build_and_keeps_the_old_site(tmp_path: Path) -> None:
    notebook = tmp_path / "02_two.ipynb"
    nbformat.write(
        new_notebook(cells=[new_markdown_cell("# Two\n\n[broken](nowhere.md)")]), notebook
    )
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("the old site")
    with pytest.raises(build_site.SiteError, match=r"nowhere\.md"):
        build_site.build([notebook], tmp_path / "site", whole=False)
    assert (tmp_path / "site" / "index.html").read_text() == "the old site"


def test_links_of_the_repository_lead_to_the_pages_that_the_site_has(tmp_path: Path) -> None:
    desk = build_site.Desk(tmp_path, whole=True)
    for link, right in {
        "[a](../notebooks/04_attention.ipynb)": "[a](../04_attention.ipynb)",
        "[a](polls.md#in-the-class)": "[a](polls.md#in-the-class)",
        "[a](../src/qa/decoding.py)": "[a](../reference/src.qa.decoding.md)",
        "[a](../src/qa/__init__.py)": "[a](../reference/src.qa.md)",
        "[a folder](../src)": "a folder",
        "`[a](x.md)`": "`[a](x.md)`",
        "[a](https://example.org/x.md) [b](#here)": "[a](https://example.org/x.md) [b](#here)",
        "[a](../LICENSE)": "[a](../files/LICENSE)",
    }.items():
        assert desk.linked(link, "docs", "docs") == right
    assert (tmp_path / "files" / "LICENSE").is_file()


def test_a_change_of_any_file_that_pages_lead_to_makes_a_new_site(tmp_path: Path) -> None:
    desk, inputs = (
        build_site.Desk(tmp_path, whole=True),
        {path for pattern in build_site.INPUTS for path in build_site.ROOT.glob(pattern)},
    )
    for text in build_site.DOCS.glob("*.md"):
        desk.linked(text.read_text(encoding="utf-8"), "docs", "docs")
    for notebook in NOTEBOOKS:
        for cell in nbformat.read(notebook, as_version=4).cells:
            desk.linked(cell.source if cell.cell_type == "markdown" else "", "notebooks")
    laid = [
        path.relative_to(tmp_path / "files")
        for path in (tmp_path / "files").rglob("*")
        if path.is_file()
    ]
    assert len(laid) >= 2 and [name for name in laid if build_site.ROOT / name not in inputs] == []


# --- in a browser --------------------------------------------------------------------------------

WIDER_THAN_THE_PAGE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
MATH_IS_SET = (
    "window.MathJax.startup.promise"
    ".then(() => document.querySelectorAll('[data-mml-node=merror]').length)"
)
# What is serious or critical to the checker, and whatever it says of headings: a level that is left
# out is only "moderate" to it.
FINDINGS = """(async () => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  const found = await axe.run(document, {resultTypes: ["violations"]});
  const grave = (rule) => ["serious", "critical"].includes(rule.impact);
  const said = (rule, node) => `${rule.id}: ${node.target.join(" ")}: ${node.html.slice(0, 150)}`;
  return found.violations.filter((rule) => grave(rule) || rule.id.includes("heading"))
    .flatMap((rule) => rule.nodes.map((node) => said(rule, node)));
})()"""


def visit(browser, address: str, size: tuple[int, int], dark: bool = False) -> None:
    """Open a served page: it loads nothing from elsewhere, sets its math and has no complaint."""
    base = re.match(r"http://[^/]+/", address)[0]
    browser.open(address, *size, dark=dark)
    assert browser.run(MATH_IS_SET) == 0
    assert (
        browser.requests
        and [url for url in browser.requests if not url.startswith((base, "data:"))] == []
    ), address
    assert browser.problems == [], address
    assert browser.run("document.documentElement.dataset.theme") == ("dark" if dark else "light")


def findings(browser, axe: str) -> list[str]:
    """What the checker finds on the open page, all unfolded: rule, place, and the element."""
    browser.run(f"{axe}; 0")
    return browser.run(FINDINGS)


def test_math_is_set_wherever_it_stands(browser, served: str) -> None:
    visit(browser, served + "04_attention.html", DESK)
    assert browser.run("document.querySelectorAll('mjx-container').length") == 3


def test_a_page_opened_as_a_file_works_too(browser, site: Path) -> None:
    browser.open((site / "04_attention.html").as_uri(), *DESK)
    assert (
        browser.run(MATH_IS_SET) == 0
        and browser.run("document.querySelectorAll('mjx-container').length") == 3
    )
    assert [
        url for url in browser.requests if not url.startswith(("file:", "data:"))
    ] == [] and browser.problems == []


def test_nothing_is_wider_than_a_phone_and_what_is_scrolls_within_itself(
    browser, served: str
) -> None:
    visit(browser, served + "04_attention.html", PHONE)
    assert browser.run(WIDER_THAN_THE_PAGE) == 0
    for wide in (".cell_input pre", ".cell_output .text_html:has(td:nth-child(60))", "table.table"):
        inside = (
            f"[...document.querySelectorAll('{wide}')]"
            ".map((e) => e.matches('table') ? e.parentElement : e)"
        )
        assert browser.run(
            f"{inside}.some((e) => e.scrollWidth > e.clientWidth"
            " && getComputedStyle(e).overflowX === 'auto')"
        ), wide
        (
            browser.wait(
                f"{inside}.filter((e) => e.scrollWidth > e.clientWidth + 1)"
                ".every((e) => e.tabIndex === 0)"
            ),
            "with the keyboard too",
        )


def test_solutions_and_answers_of_quizzes_open_at_a_click(browser, served: str) -> None:
    visit(browser, served + "04_attention.html", DESK)
    for fold in ("details.hide", ".wta-quiz details"):
        assert not browser.run(f"document.querySelector('{fold}').open")
        browser.click(f"{fold} summary")
        browser.wait(f"document.querySelector('{fold}').open")
    assert (
        browser.run("document.querySelector('.wta-quiz details .w').getClientRects().length") == 1
    )


@pytest.mark.parametrize("clipboard", ["given", "not given, as on a page from another computer"])
def test_code_is_copied_as_it_stands(browser, served: str, clipboard: str) -> None:
    visit(browser, served + "04_attention.html", DESK)
    if clipboard == "given":
        browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }; 0")
    else:
        browser.run("Object.defineProperty(navigator, 'clipboard', {value: undefined}); 0")
        browser.run(
            "document.addEventListener('copy',"
            " () => { window.copied = document.activeElement.value; }); 0"
        )
    buttons = browser.run("document.querySelectorAll('button.copy').length")
    assert buttons == browser.run("document.querySelectorAll('.cell_input pre').length") == 4, (
        "one for each cell, none for outputs"
    )
    browser.click("button.copy")
    assert browser.wait("window.copied") == "1 + 7"
    assert browser.text("button.copy") == "Copied"


def test_search_finds_functions_and_words_of_notebooks(browser, course_served: str) -> None:
    for words, page in (
        ("scaled_dot_product_attention", "reference/src.attention.html"),
        ("windows overlap", "06_bert_squad.html"),
    ):
        visit(browser, f"{course_served}search.html?q={words.replace(' ', '+')}", PHONE)
        assert browser.wait(
            "[...document.querySelectorAll('#search-results a')]"
            f".some((a) => a.href.includes('{page}'))"
        )


def test_search_puts_a_lesson_or_the_glossary_before_functions_of_that_name(
    browser, course_served: str
) -> None:
    visit(browser, f"{course_served}search.html?q=perplexity", PHONE)
    assert browser.wait(
        "document.querySelectorAll('#search-results a[href*=\"reference/\"]').length > 0"
    )
    first = browser.run("document.querySelector('#search-results li a').href")
    assert "/reference/" not in first and "/docs/" not in first, first


def test_the_reader_chooses_dark_pages_and_they_stay_dark(browser, course_served: str) -> None:
    visit(browser, course_served + "index.html", DESK)
    browser.click(".theme-switch-button")
    browser.click("button.theme-change-button[data-mode=dark]")
    browser.wait("document.documentElement.dataset.theme === 'dark'")
    browser.open(course_served + "glossary.html", *DESK)
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    assert browser.run(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3)"
        ".every((light) => light < 60)"
    )
    browser.run("localStorage.clear()")


def test_every_notebook_can_be_reached_from_the_first_page(browser, course_served: str) -> None:
    visit(browser, course_served + "index.html", PHONE)
    links = browser.run(
        "[...document.querySelectorAll('article a')]"
        ".filter((a) => a.getClientRects().length).map((a) => a.getAttribute('href'))"
    )
    assert {f"{path.stem}.html" for path in NOTEBOOKS} | {
        "reference/src.html",
        "instructors.html",
    } <= set(links)


def test_the_checker_hears_of_pale_text_an_image_without_words_and_a_heading_too_deep(
    browser, axe: str, served: str
) -> None:
    visit(browser, served + "index.html", DESK)
    before = findings(browser, axe)
    worse = "<h6>too deep</h6><p style='color:#bbb;background:#fff'>pale</p><img src='data:,'>"
    browser.run(
        f'document.querySelector("article").insertAdjacentHTML("beforeend", {json.dumps(worse)})'
    )
    added = {found.partition(":")[0] for found in findings(browser, axe)} - {
        found.partition(":")[0] for found in before
    }
    assert {"heading-order", "color-contrast", "image-alt"} <= added


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", ["06_bert_squad.html", "reference/src.attention.html"])
def test_a_notebook_and_a_page_of_the_reference_are_accessible(
    browser, axe: str, course_served: str, page: str, dark: bool
) -> None:
    visit(browser, course_served + page, DESK, dark)
    assert findings(browser, axe) == []


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("dark", [False, True], ids=["light, phone", "dark, desk"])
def test_every_page_is_accessible_and_fits(
    browser, axe: str, course_served: str, course_site: Path, dark: bool
) -> None:
    """Light on a phone and dark on a desk: every page, with nothing asked of another host."""
    found, paths = {}, sorted(course_site.rglob("*.html"))
    for path in paths:
        name = path.relative_to(course_site).as_posix()
        visit(browser, course_served + name, DESK if dark else PHONE, dark)
        problems = findings(browser, axe)
        if wider := browser.run(WIDER_THAN_THE_PAGE):
            problems.append(f"{wider} pixels wider than the screen")
        if problems:
            found[name] = problems
    print(f"{build_site.describe(course_site)}; {len(paths)} checked, findings on {len(found)}")
    assert found == {}
