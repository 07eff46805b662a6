"""The site works without any other host: nothing comes from outside, every link leads somewhere,
math is set, figures and folds are there, and all of it can be read on a phone, in the dark, with a
keyboard, and by who does not see it."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from src.teaching import glossary
from tests.end_to_end.pages import findings
from tools import anki, badges, build_site, build_slides, explorers, run_notebooks, site_server

NOTEBOOKS = sorted((build_site.ROOT / "notebooks").glob("*.ipynb"))
PHONE, DESK, LAPTOP = (390, 844), (1280, 900), (1366, 768)  # CSS pixels


class Page(HTMLParser):
    """A page: its `text`, and its `tags` with their attributes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.tags = path.read_text(encoding="utf-8"), []
        self.feed(self.text)
        self.links = {given["href"] for tag, given in self.tags if tag == "a" and "href" in given}
        self.places = {given["id"] for _, given in self.tags if "id" in given}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append((tag, dict(attrs)))

    def loaded(self) -> list[str]:
        """Addresses that a browser fetches by itself."""
        sources = [given["src"] for _, given in self.tags if given.get("src")]
        sheets = [given for tag, given in self.tags if tag == "link"]
        by_itself = re.compile("sheet|icon|pre")
        return sources + [given["href"] for given in sheets if by_itself.search(given["rel"])]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The whole site, of the notebooks as they are stored: the one in build, if it is current."""
    ready = build_site.ROOT / "build" / "site"
    stamp = ready / ".inputs"
    if stamp.is_file() and stamp.read_text() == build_site.inputs_hash(NOTEBOOKS):
        return ready
    folder = tmp_path_factory.mktemp("the course")
    build_site.build(NOTEBOOKS, folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    """All pages, by their address."""
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def served(site) -> Iterator[str]:
    """The address of the site on a web server, in a folder of it."""
    server = site_server.server(site.parent, isolated=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{site.name}/"
    server.shutdown()


# --- what a page loads and links to --------------------------------------------------------------


def test_no_page_loads_anything_from_another_host(site, pages):
    assert {
        *("index.html", "04_attention.html", "glossary.html", "instructors.html"),
        *("docs/polls.html", "reference/src.rnn.html"),
    } <= pages.keys()
    for name, page in pages.items():
        loaded = page.loaded()
        assert len(loaded) > 5 or name.startswith("explorers/")
        assert [one for one in loaded if re.match(r"(https?:)?//", one)] == [], name
        own = [one.split("?")[0] for one in loaded if not one.startswith("data:")]
        folder = (site / name).parent
        assert [address for address in own if not (folder / address).is_file()] == [], name
    outside = re.compile(r"@import[^;]*//|url\(\s*['\"]?(https?:)?//")
    for sheet in site.rglob("*.css"):
        assert not outside.search(sheet.read_text(encoding="utf-8")), sheet


def test_every_link_leads_to_a_page_and_a_place_that_are_there(site, pages):
    """A link to a placeholder would look alive and be dead."""
    broken = []
    for name, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                if link.startswith("http") and not badges.is_published(link):
                    broken.append(f"{name}: {link}")
                continue
            address, _, place = unquote(link).partition("#")
            path = address.split("?")[0]
            reached = ((site / name).parent / path).resolve() if path else site / name
            there = reached.is_file()
            if there and place and reached.suffix == ".html":
                there = place in pages[reached.relative_to(site.resolve()).as_posix()].places
            if not there:
                broken.append(f"{name}: {link}")
    assert broken == []


def test_every_image_has_alternative_text(pages):
    images = [
        (name, (given.get("alt") or "").strip())
        for name, page in pages.items()
        for tag, given in page.tags
        if tag == "img"
    ]
    assert len(images) > 80 and [name for name, alt in images if not alt] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_a_page_with_folded_answers_and_can_be_opened_and_downloaded(
    site, pages, path
):
    page, stored = pages[f"{path.stem}.html"], nbformat.read(path, as_version=4)
    ways = badges.links(path.stem, badges.repository())
    assert {*ways.values(), f"downloads/{path.name}"} <= page.links
    assert ways or "Colab opens courses that are published" in page.text
    tags = [tag for cell in stored.cells for tag in cell.metadata.get("tags", [])]
    folds = [given for tag, given in page.tags if tag == "details"]
    assert not [given for given in folds if "open" in given]
    assert len(folds) >= tags.count("solution") + tags.count("quiz") > 0
    assert re.search(r'pst-show_toc_level[^>]*>\s*<li class="toc-h3', page.text), "### in contents"
    download = nbformat.read(site / "downloads" / path.name, as_version=4)
    nbformat.validate(download)
    assert [cell.source for cell in download.cells] == [cell.source for cell in stored.cells]
    cells = [cell for cell in download.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert "course" not in download.metadata


def test_the_site_is_small_enough_to_carry(site):
    counted = re.fullmatch(r"(\d+) pages, ([\d.]+) MB", build_site.describe(site))
    models = sum(file.stat().st_size for file in (site / "explorers").iterdir()) / 1e6
    assert int(counted[1]) > 80 and float(counted[2]) - models < 40 and models < 60
    unused = [*site.rglob("*.map"), *site.glob("_static/locales")]
    assert unused == [], "what no page loads"


def test_a_host_that_leaves_out_folders_with_an_underscore_is_told_not_to(site):
    assert (site / ".nojekyll").is_file() and (site / "_static").is_dir()


def test_every_module_of_src_is_in_the_reference(pages):
    for path in (build_site.ROOT / "src").rglob("*.py"):
        name = ".".join(path.relative_to(build_site.ROOT).with_suffix("").parts)
        name = name.removesuffix(".__init__")
        if package := name.rpartition(".")[0]:
            assert f"{name}.html#module-{name}" in pages[f"reference/{package}.html"].links
    parts = ("MultiHeadAttention", "MultiHeadAttention.forward", "causal_mask")
    page = pages["reference/src.attention.html"]
    assert {f"src.attention.{part}" for part in parts} <= page.places
    entry = re.search(r'id="src.attention.scaled_dot_product_attention">.*?</dl>', page.text, re.S)
    words = " ".join(re.sub("<[^>]+>", " ", entry[0]).split())
    assert "query : Tensor" in words and "bool[..., T, S]" in words and "Returns" in words


def test_instructors_find_times_and_every_text_of_docs(pages):
    page = pages["instructors.html"]
    assert {f"docs/{text.stem}.html" for text in build_site.DOCS.glob("*.md")} <= page.links
    decks = {f"slides/{deck.stem}.html" for deck in (build_site.ROOT / "slides").glob("*.yaml")}
    assert len(decks) > 10 and decks <= page.links & pages.keys()
    assert all("../index.html" in pages[deck].links for deck in decks)
    words = re.sub("<[^>]+>", " ", page.text)
    assert "04_attention" in words
    assert re.search(r"minutes\s+core\s+exercises\s+quizzes\s+slow cells", words)


def test_terms_and_texts_of_the_repository_have_pages_and_links_to_them(pages):
    assert "glossary.html#doc-stride" in pages["08_bert_squad.html"].links
    assert "doc-stride" in pages["glossary.html"].places
    assert "glossary.html" in pages["index.html"].links
    index = pages["index.html"].text
    assert "How does a word know" in index and 'class="ways"' not in index
    assert "files/data/spam/README.html" in pages["00_start_here.html"].links
    assert "spam messages" in pages["files/data/spam/README.html"].text


def test_the_quizzes_are_a_deck_to_download_and_their_questions_are_counted(site, pages):
    page = pages["progress.html"]
    assert f"downloads/{anki.NAME}" in page.links
    assert (site / "downloads" / anki.NAME).read_text(encoding="utf-8") == anki.deck()
    counts = {
        (e["data-page"], e["data-what"]): e["data-of"] for _, e in page.tags if "data-of" in e
    }
    for path in NOTEBOOKS:
        text = pages[f"{path.stem}.html"].text.partition("<article")[2].partition("</article>")[0]
        assert int(counts[path.stem, "answers"]) == text.count('<div class="q" ')
        assert int(counts[path.stem, "sections"]) == text.count("<h2>") > 3


MOVED = {"05_language_modelling": "06", "05b_pretraining_and_size": "06 07 10"}
MOVED |= {"06_bert_squad": "08", "07_ask_wikipedia": "09"}


@pytest.mark.parametrize(("old", "now"), MOVED.items())
def test_an_old_address_leads_to_where_its_lessons_are_now(pages, old, now):
    text = pages[f"{old}.html"].text
    article = text.partition("<article")[2].partition("</article>")[0]
    assert re.findall(r'href="(\d+)_\w+\.html"', article) == now.split()
    assert re.findall(r'content="0; url=(\d+)_', text) == [now] * (len(now) == 2)


# --- how it is built -----------------------------------------------------------------------------


def write_notebook(file: Path, text: str) -> Path:
    nbformat.write(new_notebook(cells=[new_markdown_cell(text)]), file)
    return file


def test_links_that_lead_nowhere_stop_the_build_and_keep_the_old_site(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("the old site")
    broken = "# Two\n\n[a word](glossary.md#no-such-term) and [a file](nowhere.md)"
    notebook = write_notebook(tmp_path / "02_two.ipynb", broken)
    with pytest.raises(build_site.SiteError, match=r"(?s)(no-such-term.*nowhere)|nowhere.*no-such"):
        build_site.build([notebook], tmp_path / "site", whole=False)
    write_notebook(notebook, "# Two\n\n[nothing](../data/nothing.md)")
    with pytest.raises(build_site.SiteError, match=r"data/nothing\.md"):
        build_site.build([notebook], tmp_path / "site", whole=False)
    assert (tmp_path / "site" / "index.html").read_text() == "the old site"


def test_the_site_says_whose_outputs_it_shows(pages):
    for name in ("index.html", "08_bert_squad.html"):
        assert build_site.STORED.partition(";")[0] in pages[name].text
        assert "was run" not in pages[name].text and "it took" not in pages[name].text
    run = new_notebook(cells=[new_markdown_cell("# One")], metadata={"course": {"seconds": 3.0}})
    stored = new_notebook(cells=[new_markdown_cell("# Two")])
    mixed = build_site.index_page({"00_one": run, "01_two": stored}, False, str)
    assert "00: run where this site was built. In the others: The outputs here come" in mixed
    assert "Every notebook was run" in build_site.index_page({"00_one": run}, False, str)
    assert "There are no notebooks here." in build_site.index_page({}, False, str)
    (first,) = build_site.page_of(run, "00_one", str)["cells"]
    assert "it took 3 s" in first["source"] and build_site.STORED not in first["source"]


def test_what_terms_mean_is_escaped(monkeypatch):
    term = glossary.Term("<img src=x> & `a<b` *so*", "04", name="x < y")
    monkeypatch.setattr(glossary, "glossary", lambda: {"x < y": term})
    texts = json.loads(build_site.definitions().partition("=")[2].rstrip(";\n"))
    shown = "<p><b>x &lt; y</b>: &lt;img src=x&gt; &amp; <code>a&lt;b</code> <em>so</em></p>"
    assert texts.keys() == {"x--y"} and texts["x--y"].startswith(shown)


def test_a_deck_that_cannot_be_built_is_named_and_the_others_are_there(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "bad.yaml").write_text("title: <b>")
    shutil.copy(build_slides.DECKS / "00_start_here.yaml", tmp_path / "slides")
    monkeypatch.setattr(build_slides, "DECKS", tmp_path / "slides")
    listed = build_site.build_decks(tmp_path / "decks").splitlines()
    assert '<a href="slides/00_start_here.html">' in listed[0]
    assert listed[1].startswith("- bad is not here: slides/bad.yaml") and "<b>" not in listed[1]
    assert "slides/bad.yaml" in capsys.readouterr().err
    assert (tmp_path / "decks" / "00_start_here.html").is_file()


def test_a_copy_that_was_run_here_is_shown_as_long_as_its_cells_are_those_of_the_notebook(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(build_site, "EXECUTED", tmp_path)
    assert build_site.notebooks_to_show() == NOTEBOOKS
    first, second = (nbformat.read(path, as_version=4) for path in NOTEBOOKS[:2])
    first.metadata.course = {"code": run_notebooks.code_hash(NOTEBOOKS[0]), "seconds": 3.0}
    second.metadata.course = {"code": "of cells that have changed since", "seconds": 3.0}
    for path, notebook in zip(NOTEBOOKS, (first, second), strict=False):
        nbformat.write(notebook, tmp_path / path.name)
    assert build_site.notebooks_to_show() == [tmp_path / NOTEBOOKS[0].name, *NOTEBOOKS[1:]]


def test_a_second_build_of_the_same_notebooks_is_skipped_and_a_changed_one_is_built(
    tmp_path, monkeypatch, capsys
):
    def build(notebooks: list[Path], site: Path) -> None:
        site.mkdir(exist_ok=True)
        shutil.copy(notebooks[0], site / "index.html")

    def said() -> str:
        build_site.main(tmp_path / "site")
        return capsys.readouterr().out

    notebook = write_notebook(tmp_path / "01_one.ipynb", "# One")
    monkeypatch.setattr(build_site, "build", build)
    monkeypatch.setattr(build_site, "notebooks_to_show", lambda: [notebook])
    assert re.fullmatch(r"  site \.\.\. \d+ s \(1 pages, 0\.0 MB\)\n", said())
    assert "unchanged" in said()
    write_notebook(notebook, "# Uno")
    assert "unchanged" not in said()
    assert "Uno" in (tmp_path / "site" / "index.html").read_text()


def test_a_change_of_any_file_that_pages_lead_to_makes_a_new_site(tmp_path):
    folder = build_site.PageFolder(tmp_path, whole=True)
    inputs = {path for pattern in build_site.INPUTS for path in build_site.ROOT.glob(pattern)}
    for text in build_site.DOCS.glob("*.md"):
        folder.linked(text.read_text(encoding="utf-8"), "docs", "docs")
    for notebook in NOTEBOOKS:
        for cell in nbformat.read(notebook, as_version=4).cells:
            folder.linked(cell.source if cell.cell_type == "markdown" else "", "notebooks")
    files = tmp_path / "files"
    laid = [path.relative_to(files) for path in files.rglob("*") if path.is_file()]
    assert len(laid) >= 2 and [name for name in laid if build_site.ROOT / name not in inputs] == []


# --- in a browser --------------------------------------------------------------------------------

WIDER_THAN_THE_PAGE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
MATH_IS_SET = """window.MathJax.startup.promise.then(() => [
  document.querySelectorAll("mjx-container").length > 0,
  document.querySelectorAll("[data-mml-node=merror]").length,
])"""
# Of what fits a selector, all that is wider than its place, or whose table is.
WIDE = """[...document.querySelectorAll("%s")]
  .map((e) => e.matches("table") ? e.parentElement : e)
  .filter((e) => e.scrollWidth > e.clientWidth + 1)"""


def visit(browser, address: str, size: tuple[int, int], dark: bool = False) -> None:
    """Open a served page: it loads nothing from elsewhere, sets its math and has no complaint."""
    base = re.match(r"http://[^/]+/[^/]+/", address)[0]
    browser.open(address, *size, dark=dark)
    assert browser.run(MATH_IS_SET)[1] == 0
    assert browser.requests
    assert [url for url in browser.requests if not url.startswith((base, "data:"))] == [], address
    assert browser.problems == [], address
    assert browser.run("document.documentElement.dataset.theme") == ("dark" if dark else "light")


def test_a_page_opened_as_a_file_works_too(browser, site):
    browser.open((site / "04_attention.html").as_uri(), *DESK)
    assert browser.run(MATH_IS_SET) == [True, 0]
    elsewhere = [url for url in browser.requests if not url.startswith(("file:", "data:"))]
    assert elsewhere == [] and browser.problems == []


def test_a_view_stands_where_the_course_comes_to_it_and_loads_nothing_before_it_is_opened(
    browser, served, pages
):
    for (notebook, _), view in explorers.PLACES.items():
        assert f"explorers/{view}.html" in pages[f"{notebook}.html"].links
    for view in explorers.PAGES:
        assert f"{explorers.STILLS[view][0]}.html" in {
            link.removeprefix("../") for link in pages[f"explorers/{view}.html"].links
        }
    visit(browser, f"{served}index.html", PHONE)
    assert browser.run(WIDER_THAN_THE_PAGE) == 0
    names = {url.rpartition("/")[2] for url in browser.requests if "/explorers/" in url}
    assert names == {"explorers.css"}


def test_nothing_is_wider_than_a_phone_and_what_is_scrolls_within_itself(browser, served):
    for page, wide in (
        ("03_rnns", "pre.columns"),
        ("09_ask_wikipedia", ".cell_output .text_html"),
        ("instructors", "table.table"),
    ):
        visit(browser, f"{served}{page}.html", PHONE)
        assert browser.run(WIDER_THAN_THE_PAGE) == 0
        found = WIDE % wide
        assert browser.run(f"{found}.length > 0"), page
        assert browser.run(f"{found}.every((e) => getComputedStyle(e).overflowX === 'auto')"), page
        browser.wait(f"{found}.every((e) => e.tabIndex === 0)")  # with the keyboard too


@pytest.mark.parametrize("size", [PHONE, LAPTOP], ids=["phone", "laptop"])
def test_code_and_what_it_prints_fit_their_column_but_for_tables_on_a_phone(browser, served, size):
    visit(browser, f"{served}03_rnns.html", size)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.run("document.querySelectorAll('.cell_input pre').length") > 30
    printed = ".cell_output pre:not(.columns)" if size == PHONE else ".cell_output pre"
    assert browser.run(f"{WIDE % f'.cell_input pre, {printed}'}.map((e) => e.innerText)") == []


@pytest.mark.parametrize("clipboard", ["given", "not given, as on a page from another computer"])
def test_answers_open_at_a_click_and_code_is_copied_as_it_is(browser, served, clipboard):
    visit(browser, f"{served}04_attention.html", DESK)
    for fold in ("details.hide.above-input", ".wta-quiz details"):
        assert not browser.run(f"document.querySelector('{fold}').open")
        browser.click(f"{fold} summary")
        browser.wait(f"document.querySelector('{fold}').open")
    reason = "document.querySelector('.wta-quiz details .w').getClientRects().length"
    assert browser.run(reason) == 1
    if clipboard == "given":
        browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }; 0")
    else:
        browser.run("Object.defineProperty(navigator, 'clipboard', {value: undefined}); 0")
        copied = "() => { window.copied = document.activeElement.value; }"
        browser.run(f"document.addEventListener('copy', {copied}); 0")
    stored = nbformat.read(NOTEBOOKS[4], as_version=4)
    sources = [cell.source for cell in stored.cells if cell.cell_type == "code"]
    buttons = browser.run("document.querySelectorAll('button.copy').length")
    assert buttons == len(sources), "one for each cell, none for outputs"
    browser.click("details.hide.above-input button.copy")
    assert browser.wait("window.copied") in sources
    assert browser.text("details.hide.above-input button.copy") == "Copied"
    browser.run("localStorage.clear()")


TERM = "document.querySelector('article a[href$=\"glossary.html#layer-norm\"]')"
SEEN = "document.getElementById('definition').getClientRects().length"


def test_a_term_says_what_it_means_under_a_pointer_with_the_focus_and_at_a_tap(browser, served):
    visit(browser, f"{served}05_transformer.html", PHONE)
    browser.call("Emulation.setFocusEmulationEnabled", enabled=True)  # as a window in front
    browser.wait("window.courseDefinitions")
    box = f"""(() => {{
      {TERM}.scrollIntoView({{block: "center"}});
      const {{x, y}} = {TERM}.getClientRects()[0];
      return [x + 4, y + 4];
    }})()"""
    x, y = browser.run(box)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    browser.wait(SEEN)
    assert browser.text("#definition").startswith("layer norm")
    place = "document.getElementById('definition').getBoundingClientRect()"
    left, right = browser.run(f"[{place}.left, {place}.right]")
    assert left >= 0 and right <= PHONE[0]
    y_in = browser.run(f"{place}.top") + 9
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=left + 30, y=y_in)
    browser.run("new Promise((done) => setTimeout(done, 500))")
    assert browser.run(SEEN), "one can go there to read"
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=2)
    browser.wait(f"!{SEEN}")
    browser.run(f"{TERM}.focus()")
    assert browser.run(f"{SEEN} && {TERM}.getAttribute('aria-describedby')") == "definition"
    browser.press("Escape")
    assert not browser.run(SEEN) and not browser.run(f"{TERM}.hasAttribute('aria-describedby')")
    browser.run(f"{TERM}.blur()")

    def tap() -> None:
        points = [dict(zip("xy", browser.run(box), strict=True))]
        browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=points)
        browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    browser.call("Emulation.setTouchEmulationEnabled", enabled=True)
    tap()
    browser.wait(SEEN)
    assert browser.run("location.pathname").endswith("/05_transformer.html")
    tap()  # again: the link
    browser.wait("location.href.endsWith('/glossary.html#layer-norm')")
    browser.call("Emulation.setTouchEmulationEnabled", enabled=False)


def answer_and_finish(browser) -> None:
    """Answer a question of each kind, and finish the first section."""
    browser.click(".wta-quiz [data-kind=single] summary")
    browser.click(".wta-quiz [data-kind=multiple] details:nth-of-type(2) summary")
    browser.click(".wta-quiz [data-kind=multiple] button")
    browser.click(".wta-quiz [data-kind=numeric] input")
    browser.type("7")
    browser.press("Enter")
    browser.click("label.finish input")


ANSWERED = """[
  [...document.querySelectorAll(".wta-quiz [data-kind=single] details")].map((one) => one.open),
  [...document.querySelectorAll(".wta-quiz .picked")].length,
  document.querySelector(".wta-quiz [data-kind=multiple] output").textContent,
  document.querySelector(".wta-quiz [data-kind=numeric] output").textContent,
  document.querySelector("label.finish input").checked,
  document.querySelector(".progress-line").textContent.slice(0, 14),
  document.querySelectorAll(".bd-sidebar-secondary a.finished").length]"""
COUNTS = """[...document.querySelectorAll("[data-page='05_transformer']")]
  .map((one) => one.textContent)"""


def load(browser, name: str, text: str) -> str:
    """Give a file to the page about progress; returns what it says."""
    browser.run("document.querySelector('[role=status]').textContent = ''; 0")
    browser.run(f"""(() => {{
      const input = document.querySelector("input[type=file]"), files = new DataTransfer();
      files.items.add(new File([{json.dumps(text)}], {json.dumps(name)}));
      input.files = files.files;
      input.dispatchEvent(new Event("change"));
    }})()""")
    return browser.wait("document.querySelector('#your-own [role=status]').textContent")


def test_the_quizzes_of_a_page_can_be_answered_again_and_nothing_else_is_forgotten(browser, served):
    lesson, again = f"{served}05_transformer.html", ".progress-line button"
    visit(browser, lesson, PHONE)
    assert browser.run(f"document.querySelector('{again}').hidden")
    answer_and_finish(browser)
    visit(browser, lesson, PHONE)
    browser.click(again)
    browser.wait(f"document.querySelector('{again}')?.hidden")
    assert browser.run(ANSWERED)[1:] == [0, "", "", True, "Finished: 1 of", 1]
    visit(browser, f"{served}progress.html", PHONE)
    browser.run("localStorage.removeItem('words-to-answers')")


def test_answers_and_finished_sections_stay_on_this_device_until_they_are_erased(browser, served):
    lesson, progress = f"{served}05_transformer.html", f"{served}progress.html"
    visit(browser, lesson, DESK)
    answer_and_finish(browser)
    before = browser.run(ANSWERED)
    assert (before[0][0], before[1], *before[4:]) == (True, 1, True, "Finished: 1 of", 1)
    assert all(before[2:4])
    visit(browser, lesson, PHONE)
    assert browser.run(ANSWERED) == before
    visit(browser, progress, PHONE)
    of = browser.run(COUNTS.replace("textContent", "dataset.of"))
    assert browser.run(COUNTS) == [f"1 of {of[0]}", f"3 of {of[1]}"]
    browser.run("""(() => {
      const note = (text) => { window.saved = text; };
      URL.createObjectURL = (blob) => { blob.text().then(note); return "#"; };
      HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };
    })()""")
    browser.click("#your-own button")
    saved = browser.wait("window.saved")
    assert browser.run("window.savedAs") == "words-to-answers-progress.json"
    data = json.loads(saved)
    (page,) = data["pages"].values()
    assert len(page["answers"]) == 3 and len(page["sections"]) == 1

    foreign = [saved[:-9], "[]", "{}", json.dumps(data | {"course": "other"}), "\x00\xff", ""]
    foreign += [json.dumps(data | {"pages": {"__proto__": page}}), saved.replace("[", "[1, ")]
    for text in foreign:
        said = load(browser, "<i>my.json", text)
        assert said.startswith("<i>my.json is no file that this page saved") and "Nothing" in said
        assert json.loads(browser.run("localStorage.getItem('words-to-answers')")) == data

    browser.click("#your-own button:last-of-type")
    assert browser.run(COUNTS)[0].startswith("1 of"), "asked first"
    browser.click("#your-own button:last-of-type")
    assert browser.wait("localStorage.getItem('words-to-answers') === null")
    assert browser.run(COUNTS) == [f"0 of {of[0]}", f"0 of {of[1]}"]
    mine = {"sections": ["a"], "answers": {"mine": ["b"]}}
    assert "was added" in load(browser, "a.json", json.dumps(data | {"pages": {"x": mine}}))
    assert "was added" in load(browser, "b.json", saved)
    kept = json.loads(browser.run("localStorage.getItem('words-to-answers')"))
    assert kept == data | {"pages": data["pages"] | {"x": mine}}
    visit(browser, lesson, DESK)
    assert browser.run(ANSWERED) == before
    browser.run("localStorage.clear()")


def test_where_the_browser_forbids_storage_pages_work_and_say_that_they_forget(browser, served):
    forbid = (
        "Object.defineProperty(window, 'localStorage', {configurable: true, get() { throw 1; }})"
    )
    added = browser.call("Page.addScriptToEvaluateOnNewDocument", source=forbid)
    try:
        visit(browser, f"{served}05_transformer.html", DESK)
        browser.click("label.finish input")
        browser.wait("document.querySelector('.progress-line').textContent.includes(' 1 of ')")
        visit(browser, f"{served}progress.html", DESK)
        assert "forgotten" in browser.text("#your-own [role=status]")
        assert browser.run(COUNTS)[0].startswith("0 of")
    finally:
        browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


def test_search_finds_functions_and_words_and_puts_a_lesson_before_functions(browser, served):
    for words, page in (
        ("scaled_dot_product_attention", "reference/src.attention.html"),
        ("windows overlap", "08_bert_squad.html"),
        *((word, "reference/") for word in ("softmax", "padding", "vocabulary", "perplexity")),
    ):
        visit(browser, f"{served}search.html?q={words.replace(' ', '+')}", PHONE)
        results = "[...document.querySelectorAll('#search-results li a')]"
        browser.wait(f"{results}.some((a) => a.href.includes('{page}'))")
        first = browser.run(f"{results}[0].href")
        assert "/reference/" not in first and "/docs/" not in first, first


def test_the_first_page_leads_everywhere_and_the_reader_chooses_dark_pages(browser, served):
    visit(browser, f"{served}index.html", PHONE)
    links = browser.run(
        "[...document.querySelectorAll('article a')]"
        ".filter((a) => a.getClientRects().length).map((a) => a.getAttribute('href'))"
    )
    named = {f"{path.stem}.html" for path in NOTEBOOKS} | {"reference/src.html", "instructors.html"}
    named |= {f"explorers/{view}.html" for view in explorers.PAGES}
    assert named <= set(links)
    browser.open(f"{served}index.html", *DESK)
    browser.click(".theme-switch-button")
    browser.click("button.theme-change-button[data-mode=dark]")
    browser.wait("document.documentElement.dataset.theme === 'dark'")
    dimmed = browser.run("getComputedStyle(document.querySelector('article img')).filter")
    assert dimmed == "brightness(0.82)", "as the figures of the notebooks are"
    browser.open(f"{served}glossary.html", *DESK)
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background)[:3])) < 60
    browser.run("localStorage.clear()")


@pytest.mark.parametrize(
    ("page", "dark"),
    [
        ("index.html", True),
        ("08_bert_squad.html", False),
        ("progress.html", True),
        ("reference/src.attention.html", True),
    ],
)
def test_a_page_is_accessible_and_the_checker_hears_of_what_is_not(
    browser, axe, served, page, dark
):
    visit(browser, served + page, DESK, dark)
    browser.run(
        "document.querySelector('a[href*=\"glossary.html#\"]')?.dispatchEvent(new Event('focus'))"
    )
    assert findings(browser, axe) == []
    worse = "<h6>too deep</h6><p style='color:#bbb;background:#fff'>pale</p><img src='data:,'>"
    article = "document.querySelector('article')"
    browser.run(f"{article}.insertAdjacentHTML('beforeend', {json.dumps(worse)})")
    added = {found.partition(":")[0] for found in findings(browser, axe)}
    assert {"heading-order", "color-contrast", "image-alt"} <= added


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("dark", [False, True], ids=["light, phone", "dark, laptop"])
def test_every_page_is_accessible_and_fits(browser, axe, served, pages, dark):
    """Light on a phone and dark on a laptop: every page, with nothing asked of another host."""
    found = {}
    elsewhere = ("explorers/", "slides/")  # have tests of their own
    for name in (name for name in pages if not name.startswith(elsewhere)):
        visit(browser, served + name, LAPTOP if dark else PHONE, dark)
        problems = findings(browser, axe)
        if wider := browser.run(WIDER_THAN_THE_PAGE):
            problems.append(f"{wider} pixels wider than the screen")
        if problems:
            found[name] = problems
    assert found == {}
