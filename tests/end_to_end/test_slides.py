"""Decks: what they may hold, and in a browser that they fit, can be read, ask nothing outside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.pages import FAINT
from tools import build_slides, explorers, minutes
from tools.browser import Browser

# Every slide at once: what sticks out or is cut, the smallest letters, and the words that are read.
LOOK = """(() => {
  document.body.classList.add("measure");
  return Array.from(document.querySelectorAll(".slides > section"), (slide) => {
    const page = slide.getBoundingClientRect(), out = [];
    let smallest = 99, words = 0;
    for (const one of slide.querySelectorAll(":scope > :not(aside), :scope > :not(aside) *")) {
      const box = one.getBoundingClientRect(), style = getComputedStyle(one);
      const cut = one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1;
      if (!box.width || one.closest("style, script") || one.matches(".live")) continue;
      if (box.right > page.right + 1 || box.bottom > page.bottom + 1) out.push(one.tagName);
      if (style.overflow !== "visible" && style.display !== "inline" && cut) out.push("cut");
      for (const text of one.childNodes) {
        if (text.nodeType !== 3 || !text.data.trim()) continue;
        smallest = Math.min(smallest, parseFloat(style.fontSize) * (one.currentCSSZoom || 1));
        if (!one.closest("pre, .view")) words += text.data.trim().split(/\\s+/).length;
      }
    }
    const frame = slide.querySelector("iframe");
    if (frame) {
      const { scrollHeight: high, scrollWidth: wide } = frame.contentDocument.documentElement;
      if (high > frame.clientHeight + 1 || wide > frame.clientWidth + 1) out.push("frame");
    }
    return [slide.querySelector("h2").innerText, out, smallest, words];
  });
})()"""
SLIDE = {"say": "Oxygen is an element", "text": ["a line"], "notes": "Say so.", "minutes": 1}


@pytest.fixture(scope="module", params=sorted(path.stem for path in build_slides.DECKS.glob("*")))
def name(request: pytest.FixtureRequest) -> str:
    """Of each deck."""
    return request.param


def built(name: str, folder: Path) -> tuple[Path, tuple[build_slides.Slide, ...]]:
    """The page of a deck, and its slides."""
    file = build_slides.DECKS / f"{name}.yaml"
    return build_slides.build(file, folder), build_slides.read(file).slides


def test_a_deck_takes_the_minutes_of_its_core_path(name: str):
    slides = build_slides.read(build_slides.DECKS / f"{name}.yaml").slides
    wanted, least, most = 150, 70, 90
    if name != "workshop":
        lesson = minutes.read(minutes.ROOT / "notebooks" / f"{name}.ipynb")
        wanted, least, most = lesson.total.core, 15, 25
    assert sum(slide.minutes for slide in slides) == pytest.approx(wanted, rel=0.1)
    assert least <= len(slides) <= most


def test_every_slide_fits_can_be_read_and_asks_nothing_of_another_host(
    name: str, tmp_path: Path, browser: Browser
):
    page, slides = built(name, tmp_path / "with a blank")
    browser.open(page.as_uri(), 1280, 720)
    browser.wait("window.fitted")
    found = browser.run(LOOK)
    assert len(found) == len(slides)
    assert [(say, out) for say, out, *_ in found if out] == []
    assert [(say, size) for say, _, size, _ in found if size < 24] == []
    assert sorted(words for *_, words in found)[len(found) // 2] < 25
    assert browser.run(FAINT) == []
    assert [one for one in browser.requests if not one.startswith(("file:", "data:"))] == []
    assert browser.problems == []


def test_a_key_turns_the_page_and_a_pdf_and_a_sheet_have_every_slide(
    tmp_path: Path, browser: Browser
):
    page, slides = built("04_attention", tmp_path)
    browser.open(f"{page.as_uri()}#/1", 1920, 1080)
    browser.wait("window.fitted")
    browser.press("ArrowRight")
    assert browser.text("section.present .part span") == "3"
    browser.open(f"{page.as_uri()}?print-pdf", 1280, 720)
    browser.wait("document.querySelectorAll('.pdf-page h2').length")
    inside = (
        "Array.from(document.querySelectorAll('.pdf-page h2'), (h) => h.getBoundingClientRect().x)"
    )
    assert set(browser.run(inside)) == {48}
    build_slides.picture(page, pdf=True, sheet=True)
    pdf = page.with_suffix(".pdf").read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == len(slides)
    assert page.with_suffix(".png").is_file()


def test_a_view_that_computes_opens_over_its_slide_and_closes_again(
    tmp_path: Path, browser: Browser
):
    explorers.lay_pages(tmp_path / "explorers")
    file = build_slides.DECKS / "04_attention.yaml"
    page = build_slides.build(file, tmp_path / "slides", "../explorers/")
    at = [slide.explorer for slide in build_slides.read(file).slides].index("attention")
    browser.open(f"{page.as_uri()}#/{at}", 1280, 720)
    browser.wait("window.fitted")
    assert browser.run("document.querySelector('iframe[src]') === null")
    browser.click("section.present footer a")
    browser.wait("document.querySelector('[data-state=loaded] iframe') !== null")
    box = "document.querySelector('.r-overlay iframe').getBoundingClientRect()"
    browser.wait(f"{box}.width > 1260")  # it grows
    browser.press("Escape")
    browser.wait("document.querySelector('.r-overlay') === null")
    assert browser.run("Reveal.getIndices().h") == at
    there = [one for one in browser.requests if one.endswith("/explorers/attention.html")]
    assert len(there) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"say": "a b c d e f g h i j k"}, "is 11 words, or a question; assert it in 10"),
        ({"say": "Is oxygen an element?"}, "is 4 words, or a question; assert"),
        ({"code": "x = 1"}, "shows text and code; show one of"),
        ({"text": None}, "shows nothing; show one of"),
        ({"text": None, "cell": "nowhere"}, "has no cell 'nowhere'; name one it has"),
        ({"text": None, "cell": "bags-text"}, "stores no such output; run the notebook"),
        ({"text": None, "source": "nobody/bags"}, "no notebook 'nobody'; there are 00_start"),
        ({"text": None, "source": "bags", "lines": "1-11"}, "11 lines, 74 wide, are shown; give"),
        ({"text": None, "poll": "03_rnns/nothing"}, "no question 'nothing'; it has same_bag"),
        ({"minutes": 16}, "minutes: input should be less than or equal to 15; got '16'"),
        ({"picture": "x"}, "picture: unexpected"),
        ({"minutes": 15}, "asked nothing for 16 minutes; put in an ask or a poll"),
    ],
)
def test_a_deck_that_is_wrong_is_told_in_one_sentence_with_file_and_slide(
    tmp_path: Path, changed: dict, said: str
):
    file = tmp_path / "new.yaml"
    slides = [SLIDE, {key: value for key, value in (SLIDE | changed).items() if value}]
    file.write_text(yaml.safe_dump({"title": "New", "notebook": "03_rnns", "slides": slides}))
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        build_slides.build(file, tmp_path)
    assert re.match(r"slides/new\.yaml[,:] .*?(number|slide) 2", str(error.value))
