"""Talks in a real browser: nothing is asked of another host, nothing sticks out of a slide, and what a speaker and a room use works."""

from __future__ import annotations

import base64
import io
import re
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tools import build_slides

NOTEBOOKS = sorted(path.stem for path in build_slides.STORED.glob("*.ipynb"))
QUICK = "06_bert_squad"  # the talk that `make test` looks at; `make test-full` looks at all
SMALLEST_ZOOM = 0.65  # how far a slide may be shrunk to fit: letters of 24 pixels are 16 then

# Goes to every slide and through its fragments. What it returns: slides, states looked at, [slide, title, what] that sticks out, zooms.
LOOK_AT_ALL = """(() => {
  const over = [], zooms = [];
  let states = 0;
  Reveal.getSlides().forEach((slide, number) => {
    const at = Reveal.getIndices(slide), page = slide.querySelector('.page');
    const title = slide.querySelector('h1, h2').innerText;
    for (let fragment = -1; fragment < slide.querySelectorAll('.fragment').length; fragment++) {
      Reveal.slide(at.h, at.v, fragment);
      states++;
      const box = page.getBoundingClientRect();
      if (Math.round(box.width) !== 1280 || Math.round(box.height) !== 720) over.push([number, title, 'the page is ' + box.width]);
      for (const element of page.querySelectorAll('*')) {
        if (!element.checkVisibility() || element.closest('svg *, mjx-assistive-mml')) continue;
        const one = element.getBoundingClientRect(), style = getComputedStyle(element);
        if (!one.width || !one.height) continue;
        const what = element.tagName + '.' + element.className;
        const inside = (part) =>
          part.left >= box.left + 8 && part.top >= box.top + 8 && part.right <= box.right - 8 && part.bottom <= box.bottom - 24;
        if (!inside(one)) over.push([number, title, what + ' sticks out']);
        for (const node of element.childNodes) { // letters may leave the box of their element
          const range = document.createRange();
          range.selectNodeContents(node);
          if (node.nodeType === 3 && node.data.trim() && !Array.from(range.getClientRects()).every(inside))
            over.push([number, title, 'words of ' + what + ' stick out']);
        }
        if (/hidden|auto|scroll/.test(style.overflowX + style.overflowY) && style.display !== 'inline' &&
            (element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1))
          over.push([number, title, what + ' is cut off']);
      }
      page.querySelectorAll('iframe').forEach((frame) => {
        const inside = frame.contentDocument.documentElement;
        if (inside.scrollHeight > frame.clientHeight + 1 || inside.scrollWidth > frame.clientWidth + 1) over.push([number, title, 'frame']);
      });
    }
    zooms.push(+page.dataset.zoom);
  });
  return {slides: zooms.length, states, over, zooms};
})()"""

# Unfolds every answer of every quiz. What it returns: slides with a quiz, [title, pixels] where an answer is not on the slide, zooms.
UNFOLD_ALL = """(async () => {
  const over = [], zooms = [];
  for (const slide of Reveal.getSlides().filter((one) => one.querySelector('.wta-quiz'))) {
    const at = Reveal.getIndices(slide), page = slide.querySelector('.page');
    Reveal.slide(at.h, at.v, 99);
    slide.querySelectorAll('details').forEach((one) => (one.open = true));
    await new Promise((done) => setTimeout(done, 100)); // the talk hears of it and makes room
    const bottom = page.getBoundingClientRect().bottom;
    const answers = Array.from(slide.querySelectorAll('.w'), (one) => bottom - one.getBoundingClientRect().bottom);
    if (!answers.length || Math.min(...answers) < 20) over.push([slide.querySelector('h2').innerText, answers]);
    zooms.push(+page.dataset.zoom);
  }
  return {slides: zooms.length, over, zooms};
})()"""

# Text of the slide that is shown whose contrast with what is behind it is below 4.5 (3 where it is large), as WCAG reckons it.
PALE_TEXT = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)));
  const behind = (element) => {
    const stack = [];
    for (let at = element; at; at = at.parentElement) stack.push(parts(getComputedStyle(at).backgroundColor));
    return stack.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const light = (colour) => colour.slice(0, 3).map((c) => (c /= 255, c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  document.querySelectorAll('section.present section.present .page *').forEach((element) => {
    const words = Array.from(element.childNodes, (node) => node.nodeType === 3 ? node.textContent.trim() : "").filter(Boolean);
    if (!words.length || !element.checkVisibility() || element.closest('svg, mjx-container')) return;
    const style = getComputedStyle(element), ground = behind(element);
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= +getComputedStyle(at).opacity;
    const ink = parts(style.color), shown = over([ink[0], ink[1], ink[2], (ink[3] ?? 1) * opacity], ground);
    const [high, low] = [light(shown), light(ground)].sort((a, b) => b - a), contrast = (high + 0.05) / (low + 0.05);
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) found.push([words[0].slice(0, 40), contrast.toFixed(1), style.color]);
  });
  return found;
})()"""


def open_talk(browser: Any, page: Path, query: str = "", dark: bool = False, width: int = 1280, height: int = 720) -> None:
    """Open a talk and wait until reveal.js has it."""
    browser.open(page.as_uri() + query, width=width, height=height, dark=dark)
    browser.wait("document.documentElement.dataset.ready === 'true'")


def go(browser: Any, script: str, fragment: int = 99) -> None:
    """Go to the first slide for which `script`, an expression on `slide`, is true, with all of it shown or up to `fragment`."""
    found = f"Reveal.getSlides().find((slide, number) => {script})"
    browser.run(f"(() => {{ const at = Reveal.getIndices({found}); Reveal.slide(at.h, at.v, {fragment}); }})()")


def place(browser: Any) -> list[int]:
    """Section and slide that are shown."""
    return browser.run("[Reveal.getIndices().h, Reveal.getIndices().v]")


def outside(browser: Any) -> list[str]:
    return [address for address in browser.requests if not address.startswith(("file:", "data:", "about:", "blob:"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("the talks")  # a blank in the path, as people have


@pytest.fixture(scope="module")
def quick(folder: Path) -> Path:
    """The talk of QUICK, from its stored outputs."""
    build_slides.build(build_slides.STORED / f"{QUICK}.ipynb", folder)
    return folder / f"{QUICK}.html"


EVERY_TALK = pytest.mark.parametrize("name", [name if name == QUICK else pytest.param(name, marks=pytest.mark.full) for name in NOTEBOOKS])


@EVERY_TALK
def test_a_talk_asks_nothing_of_another_host_and_nothing_sticks_out_of_a_slide(browser: Any, folder: Path, name: str) -> None:
    made = build_slides.build(build_slides.find_notebook(name), folder)
    open_talk(browser, folder / f"{name}.html")
    seen: dict[str, Any] = browser.run(LOOK_AT_ALL)
    print(f"{name}: {seen['slides']} slides, {seen['states']} states, {len(seen['over'])} stick out, smallest zoom {min(seen['zooms'])}")
    assert seen["slides"] == len(made.slides) and seen["states"] >= seen["slides"]
    assert seen["over"] == []
    assert min(seen["zooms"]) >= SMALLEST_ZOOM
    assert browser.run("document.querySelectorAll('[data-mml-node=merror]').length") == 0
    assert outside(browser) == [] and browser.problems == []
    unfolded: dict[str, Any] = browser.run(UNFOLD_ALL)
    print(f"{name}: {unfolded['slides']} slides with a quiz, smallest zoom with all answers unfolded {min(unfolded['zooms'])}")
    assert unfolded["slides"] == sum(slide.kind == "quiz" for slide in made.slides) and unfolded["over"] == []


def test_what_is_far_too_much_for_a_slide_is_shrunk_split_and_cut_until_it_fits(browser: Any, folder: Path) -> None:
    wide = "".join(f"<th>column {i}</th>" for i in range(14))
    rows = "".join(f"<tr>{''.join(f'<td>a long cell {i} {j}</td>' for j in range(14))}</tr>" for i in range(30))
    table = f'<div><table border="1" class="dataframe"><thead><tr>{wide}</tr></thead><tbody>{rows}</tbody></table></div>'
    picture = io.BytesIO()
    Image.new("RGB", (1440, 2000), "#0072b2").save(picture, "png")
    figure = f'<img src="data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}" alt="a blue page" width="720">'
    sentence = "This sentence has to be said and is far too long to be read by anybody in the last row of a room. "
    slide = {"slideshow": {"slide_type": "slide"}}
    printed = new_output("stream", text="y" * 3000 + "\n" + "z\n" * 90)
    figures = [new_output("display_data", {"text/html": content}) for content in (figure, figure, f"<div>{'many words ' * 300}</div>")]
    cells = [
        new_markdown_cell("# " + "A long title " * 8 + "\n\n" + sentence * 3, metadata=slide),
        new_markdown_cell("## " + "A long heading " * 7 + f"\n\n{sentence * 20}\n\n" + "- a point in some words\n" * 16, metadata=slide),
        new_markdown_cell(sentence * 5 + "\n\n$$" + r"\frac{a}{b} + " * 40 + "c$$"),
        new_code_cell("\n".join(f"variable_{i} = 'some text' + " + "x" * 150 for i in range(40)), outputs=[printed]),
        new_code_cell("table", outputs=[new_output("display_data", {"text/html": table})]),
        new_code_cell("figures", outputs=figures),
    ]
    nbformat.write(new_notebook(cells=cells), folder / "98_much.ipynb")
    made = build_slides.build(folder / "98_much.ipynb", folder)
    open_talk(browser, folder / "98_much.html")
    seen = browser.run(LOOK_AT_ALL)
    assert seen["slides"] == len(made.slides) > 6
    assert seen["over"] == [] and min(seen["zooms"]) < 1


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(browser: Any, quick: Path, dark: bool) -> None:
    open_talk(browser, quick, dark=dark)
    assert browser.run("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    pale: dict[int, Any] = {}
    for number in range(browser.run("Reveal.getSlides().length")):
        go(browser, f"number === {number}")
        if found := browser.run(PALE_TEXT):
            pale[number] = found
    assert pale == {}


def key(browser: Any, letter: str) -> None:
    """Press a letter."""
    details = {"key": letter, "code": f"Key{letter.upper()}", "windowsVirtualKeyCode": ord(letter.upper()), "text": letter}
    browser.call("Input.dispatchKeyEvent", type="keyDown", **details)
    browser.call("Input.dispatchKeyEvent", type="keyUp", **details)


def test_d_changes_between_light_and_dark(browser: Any, quick: Path) -> None:
    open_talk(browser, quick)
    before = browser.run("getComputedStyle(document.querySelector('.present .page')).backgroundColor")
    key(browser, "d")
    after = browser.run("getComputedStyle(document.querySelector('.present .page')).backgroundColor")
    assert (before, after) == ("rgb(255, 255, 255)", "rgb(21, 24, 28)")


def test_the_next_key_shows_the_output_before_it_leaves_the_slide(browser: Any, quick: Path) -> None:
    open_talk(browser, quick)
    go(browser, "slide.querySelector('.fragment')", fragment=-1)
    shown_now = "document.querySelectorAll('section.present section.present .fragment.visible').length"
    here = place(browser)
    assert browser.run(shown_now) == 0
    browser.press(" ")
    assert browser.run(shown_now) == 1 and place(browser) == here


def test_s_opens_a_view_for_the_speaker_that_has_the_notes_and_follows(browser: Any, quick: Path) -> None:
    open_talk(browser, quick)
    browser.run("(() => { const open = window.open; window.open = (...all) => (window.speaker = open.apply(window, all)); })()")
    key(browser, "s")
    notes = "(window.speaker && window.speaker.document.querySelector('.speaker-controls-notes .value') || {}).innerText || ''"
    browser.wait(f"({notes}).includes('Begins 0:00 into the talk')")
    browser.run("Reveal.slide(0, 1)")
    browser.wait(f"({notes}).includes('no class has measured them')")
    assert "From text to windows" in browser.run(notes), "the table of minutes"
    pace = "window.speaker.document.querySelector('.pacing')"
    browser.wait(f"getComputedStyle({pace}).display === 'block'", 5)  # the clock knows how long each slide is meant to take
    browser.run("window.speaker.close()")
    assert outside(browser) == []


def test_a_quiz_on_a_slide_says_what_is_right_and_still_fits(browser: Any, quick: Path) -> None:
    open_talk(browser, quick)
    go(browser, "slide.querySelector('.wta-quiz [data-kind=single]')")
    here = place(browser)
    slide = "section.present section.present"
    browser.run(f"document.querySelector('{slide} summary').focus()")
    browser.press(" ")
    browser.wait(f"document.querySelector('{slide} details').open")
    assert place(browser) == here, "Space unfolds the choice that has the focus, and does not go on"
    browser.run(f"document.querySelectorAll('{slide} details').forEach((one) => (one.open = true))")
    time.sleep(0.2)
    box = browser.run(
        f"(() => {{ const page = document.querySelector('{slide} .page').getBoundingClientRect();"
        f" return Array.from(document.querySelectorAll('{slide} .w')).map((one) => page.bottom - one.getBoundingClientRect().bottom); }})()"
    )
    assert len(box) >= 3 and min(box) > 20, "all answers unfolded"


def test_something_to_explore_answers_where_it_is_pointed_at_on_a_slide_of_any_size(browser: Any, folder: Path) -> None:
    build_slides.build(build_slides.STORED / "04_attention.ipynb", folder)
    open_talk(browser, folder / "04_attention.html", width=1920, height=1080)
    go(browser, "slide.querySelector('iframe[srcdoc*=wta-attention]')")
    frame = "document.querySelector('section.present section.present iframe')"
    word = f"Array.from({frame}.contentDocument.querySelectorAll('button')).find((one) => one.textContent === 'peter')"
    inner = browser.run(f"((box) => [box.x + box.width / 2, box.y + box.height / 2])({word}.getBoundingClientRect())")
    left, top, width = browser.run(f"((box) => [box.x, box.y, box.width])({frame}.getBoundingClientRect())")
    scale = width / browser.run(f"{frame}.contentWindow.innerWidth")
    said = f"{frame}.contentDocument.body.innerText"
    assert scale != 1 and "“peter” looks" not in browser.run(said)
    for kind in ("mousePressed", "mouseReleased"):
        where = {"x": left + inner[0] * scale, "y": top + inner[1] * scale}
        browser.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **where)
    browser.wait(f"({said}).includes('“peter” looks')", 5)
    assert outside(browser) == [] and browser.problems == []


@EVERY_TALK
def test_the_pdf_has_a_page_for_every_slide(browser: Any, folder: Path, name: str) -> None:  # where there is one for tests, one prints
    made = build_slides.build(build_slides.STORED / f"{name}.ipynb", folder)
    pdf = build_slides.print_pdf(folder / f"{name}.html", build_slides.find_browser()).read_bytes()
    pages = re.findall(rb"/Type\s*/Page\b", pdf)
    print(f"{name}: {len(pages)} pages of PDF")
    assert len(pages) == len(made.slides)
    sizes = set(re.findall(rb"/MediaBox\s*\[([\d. ]+)\]", pdf))
    assert {tuple(round(float(number)) for number in size.split()) for size in sizes} == {(0, 0, 960, 540)}, "1280 x 720 pixels in points"
