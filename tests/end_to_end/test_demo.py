"""The demo in a real browser, with the real reader over a few dozen passages: by mouse, by keyboard, by screen reader, by attack."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.apps.demo.desk import NOT_ENGLISH, Desk
from src.apps.demo.server import OXYGEN, TO_READ, address, bind, make_application, serve
from src.qa.retrieval import OPEN_THRESHOLD, Document, WikipediaAnswerer, wikipedia

QUESTION = "What is the atomic number of oxygen?"
HOSTILE = (
    "🙂🙂 <script>window.hacked = 1</script> Zorblium <b>is</b> a metal & has the atomic number 240. "
    "<img src='x' onerror='window.hacked = 2'>"
)
# Text that does not stand out from what is behind it by 4.5 to 1 (WCAG 2, 1.4.3), and what it stands on, seen from the element up.
FAINT = """(() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = rgb(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const light = (colour) => colour.slice(0, 3).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  let seen = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !element.getClientRects().length) continue;
    seen += 1;
    const [one, two] = [light(rgb(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    if ((one + 0.05) / (two + 0.05) < 4.5) found.push(`${element.tagName}: ${texts.currentNode.textContent.trim()}`);
  }
  return seen > 10 ? found : ["hardly any text"];
})()"""
FOCUSED = "document.activeElement.id || document.activeElement.dataset.question || document.activeElement.textContent"


@contextlib.contextmanager
def served(answerer: WikipediaAnswerer) -> Iterator[str]:
    """The address of a demo that runs in a thread of this process."""
    listening = bind("127.0.0.1", 0)
    loop = asyncio.new_event_loop()
    serving = loop.create_task(serve(make_application(Desk(answerer)), listening))

    def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(serving)
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield address(listening)
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A demo over the first introductions, the one on oxygen, and one that a hostile person wrote."""
    documents = wikipedia()
    chosen = [*documents[:40], *(document for document in documents if document.title == "Oxygen"), Document("<i>Zorblium</i>", HOSTILE)]
    answerer = WikipediaAnswerer.load(documents=chosen, folder=tmp_path_factory.mktemp("index"))
    with served(answerer) as found:
        yield found


def ask(browser, question: str) -> None:
    """Type a question over the one that is there, and press Enter; the old answer is taken off, so as not to be read for the new one."""
    browser.run("document.getElementById('verdict').replaceChildren(), document.getElementById('question').select()")
    browser.type(question)
    browser.press("Enter")


def answered(browser) -> str:
    """Wait for an answer, and return it."""
    browser.wait("document.querySelector('#verdict .answer') !== null")
    return browser.text("#verdict .answer")


def everything_was_asked_here(browser, url: str) -> bool:
    return bool(browser.requests) and all(request.startswith((url, "data:")) for request in browser.requests)


def test_the_answer_is_marked_in_its_passage_and_nothing_is_asked_of_another_computer(browser, url):
    browser.open(url)
    ask(browser, QUESTION)
    assert answered(browser) == "8"
    assert browser.text("#evidence mark") == "8"
    passage = next(document.text for document in wikipedia() if document.title == "Oxygen")
    assert browser.run("document.querySelector('#evidence blockquote').textContent") == passage
    assert re.search(r"\d+ % sure, from “Oxygen”", browser.text("#verdict"))
    sure = float(re.search(r"(\d+) % sure", browser.text("#verdict"))[1])
    filled = browser.run("document.querySelector('#evidence .fill').offsetWidth / document.querySelector('#evidence .bar').clientWidth")
    assert filled == pytest.approx(sure / 100, abs=0.02)
    assert everything_was_asked_here(browser, url) and browser.problems == []


def test_moving_the_slider_refuses_and_answers_again_without_asking_the_reader(browser, url):
    browser.open(url)
    ask(browser, QUESTION)
    assert answered(browser) == "8"
    asked = len(browser.requests)
    browser.run("document.getElementById('threshold').focus()")
    browser.press("End")
    assert browser.text("#verdict .answer") == "I don’t know."
    assert browser.run("document.querySelector('#evidence mark')") is None
    assert browser.text("#least") == "100 %" and "not sure enough" in browser.text("#runners-up-title")
    assert "“8”" in browser.text("#others li:first-child summary"), "the best guess is still there to look at"
    browser.press("Home")
    assert browser.text("#verdict .answer") == "8" and browser.text("#evidence mark") == "8"
    assert len(browser.requests) == asked


def test_runners_up_unfold_with_their_passages(browser, url):
    browser.open(url)
    ask(browser, QUESTION)
    answered(browser)
    count = browser.run("document.querySelectorAll('#others li').length")
    assert count == 4 and browser.text("#runners-up-title") == "Runners-up"
    assert not browser.run("document.querySelector('#others blockquote').checkVisibility()")
    browser.click("#others summary")
    browser.wait("document.querySelector('#others blockquote').checkVisibility()")
    assert browser.text("#others mark") in browser.text("#others summary")


def test_markup_in_questions_passages_and_titles_is_shown_as_text(browser, url):
    attack = '<img src=x onerror="window.hacked=3"><script>window.hacked=4</script> What atomic number has Zorblium?'
    browser.open(url)
    ask(browser, attack)
    assert answered(browser)
    shown = browser.run("[...document.querySelectorAll('blockquote')].map((quote) => quote.textContent)")
    assert HOSTILE in shown and "<i>Zorblium</i>" in browser.text("main")
    browser.click("input[value=passage]")
    browser.run("document.getElementById('passage').focus()")
    browser.type(HOSTILE)
    ask(browser, attack)
    answered(browser)
    ask(browser, "What is the atomic number of Zorblium?")
    assert answered(browser) != "I don’t know."
    assert browser.run("document.querySelector('#evidence blockquote').textContent") == HOSTILE
    assert "240" in browser.text("#evidence mark"), "characters of two code units before it do not move the mark"
    assert browser.run("typeof window.hacked") == "undefined"
    assert browser.run("document.querySelectorAll('main img, main script, main b, main i').length") == 0
    assert everything_was_asked_here(browser, url) and browser.problems == []


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("", "There is no word in the question yet; type some."),
        ("?!", "There is no word in the question yet; type some."),
        ("why " * 200, "at most 500 are read"),
    ],
)
def test_what_cannot_be_asked_is_explained_beside_the_field_and_an_old_answer_goes(browser, url, question, sentence):
    browser.open(url)
    ask(browser, QUESTION)
    answered(browser)
    ask(browser, question or " ")
    browser.wait("document.getElementById('problem').textContent !== ''")
    assert sentence in browser.text("#problem")
    assert browser.run("document.getElementById('question').getAttribute('aria-invalid')") == "true"
    assert browser.run("document.querySelector('mark')") is None
    ask(browser, QUESTION)
    assert answered(browser) == "8" and browser.run("document.getElementById('problem').textContent") == ""


def test_a_question_in_another_language_is_answered_with_a_warning(browser, url):
    browser.open(url)
    ask(browser, "¿Cuál es el número atómico de oxygen?")
    answered(browser)
    assert NOT_ENGLISH in browser.text("#verdict")


def test_an_example_is_asked_with_a_click_also_of_a_passage(browser, url):
    browser.open(url)
    assert not browser.run("document.getElementById('passage').checkVisibility()")
    browser.click(f"[data-question={json.dumps(TO_READ[0])}]")
    assert "Scheele" in answered(browser)
    assert browser.run("document.getElementById('passage').checkVisibility() && document.getElementById('passage').value") == OXYGEN
    assert "from your passage" in browser.text("#verdict")


def test_when_the_server_is_gone_the_page_says_so(browser, url):
    browser.open(url)
    connection = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.call("Network.emulateNetworkConditions", offline=True, **connection)
    try:
        ask(browser, QUESTION)
        browser.wait("document.getElementById('problem').textContent !== ''")
        assert "does not answer" in browser.text("#problem")
    finally:
        browser.call("Network.emulateNetworkConditions", offline=False, **connection)


def test_the_keyboard_alone_reaches_everything_in_the_order_of_the_page(browser, url):
    browser.open(url)
    order = []
    for _ in range(4):
        browser.press("Tab")
        order.append(browser.run("document.activeElement.value === 'search' ? 'where' : " + FOCUSED))
    assert order[:3] == ["where", "question", "Ask"] and order[3] == QUESTION
    outline = browser.run("getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "solid3px", "the focus can be seen"
    browser.press("Enter")
    assert answered(browser) == "8"
    for _ in range(20):
        browser.press("Tab")
        if browser.run("document.activeElement.id") == "threshold":
            break
    browser.press("End")
    assert browser.text("#verdict .answer") == "I don’t know."
    browser.press("Tab")
    assert browser.run("document.activeElement.tagName") == "SUMMARY"
    browser.press("Enter")
    assert browser.run("document.activeElement.parentElement.open")


def test_a_screen_reader_is_told_what_everything_is_and_the_answer(browser, url):
    browser.open(url)
    ask(browser, QUESTION)
    answered(browser)
    told = browser.accessible()

    def named(role: str) -> list[str]:
        return [one["name"] for one in told if one["role"] == role]

    assert sorted(named("heading")) == ["Answer", "Ask Wikipedia", "Or try one of these", "Runners-up"]
    assert named("textbox") == ["Your question, in English"] and named("slider") == ["Answer only when at least this sure"]
    assert len(named("radio")) == 2 and all(named("radio")) and "Ask" in named("button") and all(named("button"))
    (slider,) = [one for one in told if one["role"] == "slider"]
    assert (slider["value"], slider["valuemin"], slider["valuemax"]) == (round(100 * OPEN_THRESHOLD), 0, 100)
    assert browser.run("document.getElementById('threshold').ariaValueText") == browser.text("#least") == f"{100 * OPEN_THRESHOLD:.0f} %"
    (status,) = [one for one in told if one["role"] == "status"]
    assert status["live"] == "polite" and status["atomic"] is True
    ask(browser, " ")
    browser.wait("document.getElementById('problem').textContent !== ''")
    (alert,) = [one for one in browser.accessible() if one["role"] == "alert"]
    assert alert["live"] == "assertive"


@pytest.mark.parametrize("width", [360, 1000])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read_and_nothing_sticks_out(browser, url, width, dark):
    browser.open(url, width=width, dark=dark)
    ask(browser, QUESTION)
    answered(browser)
    browser.click("#others summary")
    fits = "document.documentElement.scrollWidth <= window.innerWidth"
    assert browser.run(FAINT) == [] and browser.run(fits)
    browser.click("input[value=passage]")
    browser.run("document.getElementById('passage').focus()")
    browser.type("y" * 400 + " has the number 8.")
    ask(browser, "What number does " + "y" * 400 + " have?")
    answered(browser)
    assert browser.run(FAINT) == [] and browser.run(fits)
    page = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", page))) < 200) == dark


@pytest.mark.full
def test_the_command_asks_all_of_wikipedia(browser, course: Path):
    """As `make demo` starts it, over the index that is there, or that it builds."""
    command = [sys.executable, "-m", "src.apps.demo", "--port", "0"]
    process = subprocess.Popen(command, cwd=course, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("Ask Wikipedia: http://127.0.0.1:")
        browser.open(line.split()[2])
        assert "10,033 passages" in browser.text("fieldset")
        ask(browser, QUESTION)
        assert answered(browser) == "8" and "“Oxygen”" in browser.text("#verdict")
    finally:
        process.terminate()
        process.wait()
