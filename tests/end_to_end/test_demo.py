"""The demo in a real browser, with the real reader over a few dozen passages."""

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from src.apps.demo.server import OXYGEN, OXYGEN_QUESTIONS, make_application
from src.apps.demo.service import NOT_ENGLISH, AnswerService
from src.apps.web.server import address, bind, serve
from src.qa.documents import Document, Folder, wikipedia
from src.qa.open_domain import OPEN_THRESHOLD, WikipediaAnswerer
from tests.end_to_end.pages import FAINT, FITS

QUESTION = "What is the atomic number of oxygen?"
HOSTILE = (
    "🙂🙂 <script>window.hacked = 1</script> Zorblium <b>is</b> a metal & has the atomic number "
    "240. <img src='x' onerror='window.hacked = 2'>"
)
ATTACK = f'<img src=x onerror="window.hacked=3"> {QUESTION.replace("oxygen", "Zorblium")}'


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """A demo in a thread over some introductions, oxygen's, and what a hostile person wrote."""
    documents = wikipedia()
    oxygen = next(document for document in documents if document.title == "Oxygen")
    hostile = Document("<i>Zorblium</i>", HOSTILE, "<b>zorblium</b>.pdf", ((0, 7),))
    chosen = [*documents[:40], oxygen, hostile]
    texts = Folder(
        chosen, {"<b>zorblium</b>.pdf": 42}, {"a_long_name" * 9 + ".pdf": "a <i>scan</i>"}
    )
    folder = tmp_path_factory.mktemp("index")
    service = AnswerService(WikipediaAnswerer.load(documents=chosen, folder=folder))
    listening = bind("127.0.0.1", 0)
    loop = asyncio.new_event_loop()
    serving = loop.create_task(serve(make_application(service, texts=texts), listening))
    thread = threading.Thread(target=loop.run_until_complete, args=[asyncio.wait([serving])])
    thread.start()
    yield address(listening)
    loop.call_soon_threadsafe(serving.cancel)
    thread.join()
    loop.close()


def ask(browser, question: str) -> None:
    """Type a question over the one that is there, and press Enter; the old answer is removed."""
    browser.run("document.getElementById('verdict').replaceChildren()")
    browser.run("document.getElementById('question').select()")
    browser.type(question)
    browser.press("Enter")


def answered(browser) -> str:
    """Wait for an answer, and return it."""
    browser.wait("document.querySelector('#verdict .answer') !== null")
    return browser.text("#verdict .answer")


def type_passage(browser, passage: str) -> None:
    browser.click("input[value=passage]")
    browser.run("document.getElementById('passage').focus()")
    browser.type(passage)


def test_an_answer_is_marked_in_its_passage_and_the_slider_decides_without_asking_again(
    browser, url
):
    browser.open(url)
    ask(browser, QUESTION)
    assert answered(browser) == browser.text("#evidence mark") == "8"
    passage = next(document.text for document in wikipedia() if document.title == "Oxygen")
    assert browser.run("document.querySelector('#evidence blockquote').textContent") == passage
    sure = re.search(r"(\d+) % sure, from “Oxygen”", browser.text("#verdict"))
    fill, bar = (f"document.querySelector('#evidence .{name}')" for name in ("fill", "bar"))
    filled = browser.run(f"{fill}.offsetWidth / {bar}.clientWidth")
    assert filled == pytest.approx(float(sure[1]) / 100, abs=0.02)

    assert browser.run("document.querySelectorAll('#others li').length") == 4
    assert browser.text("#runners-up-title") == "Runners-up"
    assert not browser.run("document.querySelector('#others blockquote').checkVisibility()")
    browser.click("#others summary")
    browser.wait("document.querySelector('#others blockquote').checkVisibility()")
    assert browser.text("#others mark") in browser.text("#others summary")

    asked = len(browser.requests)
    browser.run("document.getElementById('threshold').focus()")
    browser.press("End")
    assert browser.text("#verdict .answer") == "I don’t know."
    assert browser.run("document.querySelector('#evidence mark')") is None
    assert browser.text("#least") == "100 %"
    assert "not sure enough" in browser.text("#runners-up-title")
    assert "“8”" in browser.text("#others li:first-child summary"), "still there to look at"
    browser.press("Home")
    assert browser.text("#verdict .answer") == browser.text("#evidence mark") == "8"
    assert len(browser.requests) == asked > 0 and browser.problems == []
    assert all(request.startswith((url, "data:")) for request in browser.requests)


def test_markup_in_questions_passages_and_titles_is_shown_as_text(browser, url):
    browser.open(url)
    ask(browser, ATTACK)
    assert answered(browser)
    quotes = "[...document.querySelectorAll('blockquote')].map((quote) => quote.textContent)"
    assert HOSTILE in browser.run(quotes)
    assert "from “<i>Zorblium</i>” (<b>zorblium</b>.pdf, page 7)" in browser.text("main")
    assert ": not read, a <i>scan</i>" in browser.text("#files")
    type_passage(browser, HOSTILE)
    ask(browser, QUESTION.replace("oxygen", "Zorblium"))
    assert answered(browser) != "I don’t know."
    assert browser.run("document.querySelector('#evidence blockquote').textContent") == HOSTILE
    assert "240" in browser.text("#evidence mark"), "emoji before it do not move the mark"
    assert browser.run("typeof window.hacked") == "undefined" and browser.problems == []
    elements = "document.querySelectorAll('main img, main script, main b, main i').length"
    assert browser.run(elements) == 0


def test_what_cannot_be_asked_is_explained_beside_the_field_and_an_old_answer_goes(browser, url):
    browser.open(url)
    invalid = "document.getElementById('question').getAttribute('aria-invalid')"
    problem = "document.getElementById('problem').textContent"

    def told(question: str) -> str:
        ask(browser, QUESTION)
        assert answered(browser) == "8"
        assert browser.run(f"[{invalid}, {problem}]") == ["false", ""]
        ask(browser, question)
        return browser.wait(problem)

    for question, sentence in ((" ", "no word in the question"), ("why " * 200, "at most 500")):
        assert sentence in told(question) and browser.run(invalid) == "true"
        assert browser.run("document.querySelector('mark')") is None
    ask(browser, "¿Cuál es el número atómico de oxygen?")
    answered(browser)
    assert NOT_ENGLISH in browser.text("#verdict")
    connection = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    browser.call("Network.emulateNetworkConditions", offline=True, **connection)
    try:
        ask(browser, QUESTION)
        assert "does not answer" in browser.wait(problem)
    finally:
        browser.call("Network.emulateNetworkConditions", offline=False, **connection)


def test_an_example_is_asked_with_a_click_also_of_a_passage(browser, url):
    browser.open(url)
    assert not browser.run("document.getElementById('passage').checkVisibility()")
    browser.click(f"[data-question={json.dumps(OXYGEN_QUESTIONS[0])}]")
    assert "Scheele" in answered(browser) and "from your passage" in browser.text("#verdict")
    assert browser.run("document.getElementById('passage').checkVisibility()")
    assert browser.run("document.getElementById('passage').value") == OXYGEN


def test_keyboard_and_screen_reader_reach_everything_in_the_order_of_the_page(browser, url):
    browser.open(url)
    order = []
    focused = "document.activeElement"
    for _ in range(6):
        browser.press("Tab")
        order.append(browser.run(f"{focused}.id || {focused}.value || {focused}.textContent"))
    unread = "Files that could not be read: 1"
    assert order == ["search", unread, "question", "Ask", "threshold", QUESTION]
    style = f"getComputedStyle({focused})"
    seen = browser.run(f"[{style}.outlineStyle, {style}.outlineWidth]")
    assert seen == ["solid", "3px"], "the focus can be seen"
    browser.press("Enter")
    assert answered(browser) == "8"

    def of_role(role: str) -> list[dict]:
        return [one for one in browser.accessible() if one["role"] == role]

    def named(role: str) -> list[str]:
        return [one["name"] for one in of_role(role)]

    headings = ["Answer", "Ask Wikipedia", "Or try one of these", "Runners-up"]
    assert sorted(named("heading")) == headings
    assert named("textbox") == ["Your question, in English"]
    assert named("slider") == ["Answer only when at least this sure"]
    assert len(named("radio")) == 2 and "Ask" in named("button")
    assert all(named("radio")) and all(named("button"))
    (slider,) = of_role("slider")
    percent = round(100 * OPEN_THRESHOLD)
    assert (slider["value"], slider["valuemin"], slider["valuemax"]) == (percent, 0, 100)
    told = browser.run("document.getElementById('threshold').ariaValueText")
    assert told == browser.text("#least") == f"{percent} %"
    (status,) = of_role("status")
    assert status["live"] == "polite" and status["atomic"] is True

    while browser.run(f"{focused}.id") != "threshold":
        browser.press("Tab")
    browser.press("End")
    assert browser.text("#verdict .answer") == "I don’t know."
    browser.press("Tab")
    assert browser.run(f"{focused}.tagName") == "SUMMARY"
    browser.press("Enter")
    assert browser.run(f"{focused}.parentElement.open")


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1000, False)])
def test_every_text_can_be_read_and_nothing_sticks_out(browser, url, width, dark):
    browser.open(url, width=width, dark=dark)
    ask(browser, QUESTION)
    answered(browser)
    browser.click("#others summary")
    assert browser.run(FAINT) == [] and browser.run(FITS)
    type_passage(browser, "y" * 400 + " has the number 8.")
    ask(browser, "What number does " + "y" * 400 + " have?")
    answered(browser)
    assert browser.run(FAINT) == [] and browser.run(FITS)
    page = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", page))) < 200) == dark


@pytest.mark.full
def test_the_command_asks_all_of_wikipedia(browser, course):
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
