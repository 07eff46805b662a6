"""A poll in real browsers, as `make poll` starts it: several phones and a projector."""

import contextlib
import json
import logging
import multiprocessing
import os
import re
import shutil
import signal
import sys

import pytest

from src.apps.poll import server
from src.apps.poll.__main__ import main
from src.apps.poll.reader import Reader
from src.apps.poll.server import NO_COOKIE
from src.teaching import quizzes
from tests.end_to_end.pages import FAINT, FITS
from tests.unit.apps.stand_ins import HOSTILE, QUESTIONS

WORDS = {"id": "words", "kind": "open", "text": "In your words?", "why": "One of many."}
GOLD = {"id": "gold", "kind": "open", "text": "The number of gold?", "passage": "Gold has 79."}
QUIZ = {
    "sets": [
        {"id": "poll", "title": "a poll & a *test*", "questions": QUESTIONS},
        {"id": "words", "title": "words", "questions": [WORDS, GOLD | {"accepted": ["79"]}]},
    ]
}
SECRET = "Right because of secret-b."


def run(output, errors, folder, heartbeat, arguments):
    """The command, in a process of its own that has imported everything."""
    # Ctrl+C is listened to as in a terminal: a shell makes a process in the background deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.root.handlers.clear()  # those of pytest
    sys.stdout, sys.stderr = os.fdopen(output, "w"), errors.open("a")
    quizzes.QUIZZES, server.HEARTBEAT = folder, heartbeat
    Reader._ask = led_away
    sys.exit(main(arguments))


def led_away(reader, asked):
    led = "silver" in f"{asked[0]} {asked[1]}"
    return {"text": "47" if led else "79", "score": 0.25 if led else 0.5, "right": not led}


class Poll:
    """A running poll; instructor: the address with the token, phones: the attendees'."""

    def __init__(self, folder):
        self.folder, self.errors, self._port = folder, folder / "errors.txt", 0
        shutil.copytree(quizzes.QUIZZES, folder, dirs_exist_ok=True)
        (folder / "q.json").write_text(json.dumps(QUIZ), encoding="utf-8")
        self.start()

    def start(self, heartbeat=server.HEARTBEAT):
        """Start it; the second time on the port of the first."""
        arguments = ["--quiz", "q", "--port", str(self._port)]
        arguments += ["--file", str(self.folder / "poll.sqlite")]
        reading, writing = os.pipe()
        given = (writing, self.errors, self.folder, heartbeat, arguments)
        self._process = multiprocessing.get_context("fork").Process(target=run, args=given)
        self._process.start()
        os.close(writing)
        self._output = os.fdopen(reading)
        lines = [self._output.readline() for _ in range(3)]
        assert lines[2].startswith("Attendees: http://127.0.0.1:"), self.errors.read_text()
        self.instructor, self.phones = lines[1].split()[1], lines[2].split()[1]
        self._port = int(self.phones.rstrip("/").rsplit(":", 1)[1])

    def stop(self, how):
        os.kill(self._process.pid, how)
        self._process.join(20)
        assert self._process.exitcode is not None
        self._output.close()

    @contextlib.contextmanager
    def asleep(self):
        """It does nothing, and no connection ends: as a laptop does that is shut."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)


@pytest.fixture
def poll(tmp_path):
    """A poll; it must end quietly at Ctrl+C, with every browser still there."""
    started = Poll(tmp_path)
    yield started
    started.stop(signal.SIGINT)
    assert started.errors.read_text() == ""


@pytest.fixture(scope="module")
def browsers(start_browser):
    return [start_browser() for _ in range(4)]


@pytest.fixture
def projector(browsers, poll):
    open_projector(browsers[0], poll)
    return browsers[0]


@pytest.fixture
def phones(browsers, poll):
    """Three pages to vote on, of voters who were never there."""
    for phone in browsers[1:]:
        open_phone(phone, poll)
    return browsers[1:]


@pytest.fixture
def phone(browsers, poll):
    open_phone(browsers[1], poll)
    return browsers[1]


def open_phone(phone, poll, **options):
    phone.call("Network.clearBrowserCookies")
    phone.open(poll.phones, **{"width": 360, "height": 740} | options)
    phone.wait("document.querySelectorAll('#choices > *').length > 0")


def open_projector(projector, poll, **options):
    projector.call("Network.clearBrowserCookies")
    projector.open(poll.instructor, **options)
    projector.wait("document.querySelectorAll('#bars li').length > 0")
    projector.run("live.checked || live.click()")


def choose(phone, *choices):
    for i in choices:
        phone.click(f"#choices label:nth-child({i + 1}) input")
    phone.click("#send")


def vote(phone, *choices):
    choose(phone, *choices)
    shows(phone, "Your vote is counted.", "#said")


def shows(browser, words, selector="main"):
    element = f"document.querySelector({json.dumps(selector)})"
    browser.wait(f"{element}?.innerText.includes({json.dumps(words)})")


def count(browser, selector):
    return browser.run(f"document.querySelectorAll({json.dumps(selector)}).length")


def pause(browser, milliseconds):
    browser.run(f"new Promise((done) => setTimeout(done, {milliseconds}))")


def shows_counts(projector, *counts):
    numbers = "[...document.querySelectorAll('.count')].map((one) => parseInt(one.textContent))"
    projector.wait(f"`${{{numbers}}}` === '{','.join(map(str, counts))}'")


def bars(projector):
    """How wide the bars are, in percent, once they have moved."""
    width = "fill.getBoundingClientRect().width / fill.parentElement.clientWidth"
    widths = f"[...document.querySelectorAll('.fill')].map((fill) => Math.round(100 * {width}))"
    pause(projector, 300)
    return projector.run(widths)


def test_a_poll_from_the_first_vote_to_the_next_question(projector, phones, poll):
    assert projector.run("location.href") == f"{poll.phones}instructor", "without the token"
    shows(projector, "0 voted, 3 here", "#total")
    for browser in (projector, *phones):
        browser.run("window.loaded = 'once'")
        assert browser.run("document.cookie") == "", "no script reads a cookie"
    assert bars(projector) == [0, 0, 0]
    shows_counts(projector, 0, 0, 0)

    vote(phones[0], 0)
    shows(projector, "1 voted", "#total")
    assert bars(projector) == [100, 0, 0]
    vote(phones[1], 1)
    vote(phones[2], 0)
    shows_counts(projector, 2, 1, 0)
    assert "2, 67 %" in projector.text("#bars")
    assert bars(projector) == [67, 33, 0]
    assert phones[0].text("#send") == "Change my vote"
    choose(phones[0], 1)
    shows_counts(projector, 1, 2, 0)

    for said, usable in (("Voting is closed. Your vote is counted.", 0), ("You can change it", 3)):
        projector.click("#closing")
        for phone in phones:
            shows(phone, said, "#said")
            assert count(phone, "input:enabled") == usable
    choose(phones[2], 2)
    shows_counts(projector, 0, 2, 1)

    assert "secret" not in projector.text("body")
    projector.click("#reveal")
    shows(projector, f"Right. {SECRET}", "#bars li.right")
    verdicts = ["You are right."] * 2 + ["Your vote is not the answer: see why."]
    for phone, verdict in zip(phones, verdicts, strict=True):
        shows(phone, verdict, "#said")
        right = phone.text("#answers li.right")
        assert f"Right. {SECRET}" in right and "2 of 3, 67 %" in right
        assert "Wrong because of secret-c." in phone.text("#answers")
        assert not phone.run("form.checkVisibility()") and count(phone, ".own") == 1
    assert "the third" in phones[2].text("li:has(.own)")

    projector.click("#next")
    shows(projector, "Which are even?", "#question")
    for phone in phones:
        shows(phone, "Question 2 of 3", "#place")
        assert count(phone, "#choices input:checked") == 0
    vote(phones[0], 0, 2)
    shows(projector, "1 voted", "#total")
    assert bars(projector) == [100, 0, 100]
    projector.click("#previous")
    shows(projector, "The answer is shown.", "#said")
    shows(phones[1], "You are right.", "#said")
    for browser in (projector, *phones):
        assert browser.run("window.loaded") == "once", "nothing was reloaded"
        assert all(request.startswith((poll.phones, "data:")) for request in browser.requests)
        assert browser.requests and browser.problems == []


def test_a_voter_is_told_what_is_missing_and_stays_the_same_when_the_page_is_opened_again(
    projector, phone, poll
):
    phone.click("#send")
    shows(phone, "Choose something first.", "#problem")
    phone.click("#choices input")
    assert phone.run("problem.textContent") == ""
    vote(phone)
    phone.open(poll.phones, width=360)
    phone.wait("document.querySelector('#choices input:checked') !== null")
    assert "Your vote is counted." in phone.text("#said")
    choose(phone, 2)
    shows_counts(projector, 0, 0, 1)
    assert "1 voted, 1 here" in projector.text("#total")
    phone.call("Network.clearBrowserCookies")
    choose(phone, 1)
    shows(phone, NO_COOKIE, "#problem")
    phone.run("document.dispatchEvent(new Event('visibilitychange'))")
    shows(phone, NO_COOKIE, "#connection")


def test_a_poll_that_was_killed_comes_back_with_its_votes_and_what_is_picked_is_still_picked(
    projector, phones, poll
):
    vote(phones[0], 0)
    vote(phones[1], 1)
    projector.click("#reveal")
    shows(projector, "The answer is shown.", "#said")
    projector.click("#next")
    for phone, choices in zip(phones, ((0, 2), (1,), (2,)), strict=True):
        shows(phone, "Question 2 of 3", "#place")
        vote(phone, *choices)
    phones[1].click("#choices label:nth-child(3) input")
    assert "not sent yet" in phones[1].text("#said")
    old = poll.instructor
    poll.stop(signal.SIGKILL)
    shows(phones[1], "The poll does not answer. This page tries again by itself.", "#connection")
    shows(projector, "open the address that its terminal prints now", "#connection")
    phones[1].click("#send")
    shows(phones[1], "The poll does not answer.", "#problem")
    poll.start()
    for phone in phones:
        phone.wait("connection.textContent === ''")
    projector.open(old)
    assert "open the address that the poll's terminal prints" in projector.text("body")
    open_projector(projector, poll)
    shows(projector, "3 voted, 3 here", "#total")
    shows_counts(projector, 1, 1, 2)
    vote(phones[1])
    shows_counts(projector, 1, 1, 3)
    projector.click("#previous")
    shows_counts(projector, 1, 1, 0)
    for phone, verdict in zip(phones, ("not the answer", "right.", "not vote."), strict=True):
        shows(phone, verdict, "#said")


def test_pages_notice_a_laptop_that_sleeps_and_go_on_when_it_wakes(projector, phone, poll):
    poll.stop(signal.SIGINT)
    poll.start(heartbeat=0.3)
    open_projector(projector, poll)
    open_phone(phone, poll)
    phone.click("#choices label:nth-child(2) input")
    with poll.asleep():
        for browser in (phone, projector):
            shows(browser, "The poll does not answer.", "#connection")
        phone.click("#send")
        shows(phone, "When it is here again, try once more.", "#problem")
    for browser in (phone, projector):
        browser.wait("connection.textContent === ''")
    vote(phone)
    shows_counts(projector, 0, 1, 0)
    shows(projector, "1 voted, 1 here", "#total")


def test_a_page_that_newer_ones_replaced_says_so_and_is_live_again_when_looked_at(projector, phone):
    phone.run("window.newer = [1, 2, 3, 4].map(() => new EventSource('events'))")
    shows(phone, "This poll is open on newer pages of this browser.", "#connection")
    phone.run("window.newer.map((stream) => stream.close())")
    projector.click("#next")
    shows(projector, "question 2 of 3", "#place")
    assert "Question 1 of 3" in phone.text("#place")
    phone.run("document.dispatchEvent(new Event('visibilitychange'))")
    shows(phone, "Question 2 of 3", "#place")
    assert phone.run("connection.textContent") == ""
    shows(projector, "1 here", "#total")


def test_a_double_click_moves_the_room_once_and_the_next_question_is_seen_from_its_beginning(
    projector, phone, poll
):
    phone.open(poll.phones, width=360, height=300)
    projector.click("#reveal")
    shows(phone, "You did not vote.", "#said")
    shows(projector, "The answer is shown.", "#said")  # its buttons moved to make room for it
    phone.run("scrollTo(0, document.documentElement.scrollHeight)")
    assert phone.run("scrollY") > 300
    second_click = "dispatchEvent(new MouseEvent('click', { detail: 2, bubbles: true }))"
    for name, said in (("next", "Voting is open."), ("closing", "Voting is closed.")):
        projector.click(f"#{name}")
        shows(phone, "Question 2 of 3", "#place")
        shows(projector, said, "#said")
        projector.run(f"document.getElementById('{name}').{second_click}")
        pause(projector, 300)
        assert "question 2 of 3" in projector.text("#place") and said in projector.text("#said")
    assert phone.run("[scrollY, document.documentElement.scrollHeight > innerHeight]") == [0, True]


def test_the_keyboard_alone_votes_and_holds_a_poll(projector, phone):
    def focused(browser):
        return browser.run("document.activeElement.id || document.activeElement.value")

    for key in ("Tab", " ", "ArrowDown"):
        phone.press(key)
    outline = "getComputedStyle(document.activeElement.closest('label')).outlineStyle"
    assert focused(phone) == "1" and phone.run(outline) == "solid"
    phone.press("Enter")
    shows(phone, "Your vote is counted.", "#said")
    shows(projector, "1 voted", "#total")
    for name in ("place", "previous", "closing", "again", "reveal", "next"):
        projector.press("Tab")
        assert focused(projector) == name
    for number in (2, 3):
        projector.press("Enter")
        shows(projector, f"question {number} of 3", "#place")
    assert focused(projector) == "next", "a button that can do no more keeps the focus"
    assert projector.run("document.activeElement.ariaDisabled") == "true"
    projector.press("Enter")
    shows(phone, "Question 3 of 3", "#place")
    assert phone.text("#choices").split("\n") == ["7 things", "12 things", "100 things"]
    assert projector.text("#problem") == ""


def test_a_screen_reader_is_told_what_everything_is_and_markup_in_questions_is_text(
    projector, phone, poll
):
    def named(browser, *roles):
        return [one["name"] for one in browser.accessible() if one["role"] in roles]

    # The instructor's address is followed as a link from another site.
    projector.call("Network.clearBrowserCookies")
    projector.open(f"data:text/html,<title>a chat</title><a href='{poll.instructor}'>the poll</a>")
    projector.click("a")
    projector.wait("document.querySelectorAll('#bars li').length > 0")
    marks = "[...document.querySelectorAll('#question > *')].map((one) => one.outerHTML)"
    for browser in (projector, phone):
        assert browser.text("#question") == f"Which word is right, {HOSTILE}?"
        assert browser.run(marks) == ["<code>word</code>", "<strong>right</strong>"]
    vote(phone, 1)
    assert named(phone, "heading") == ["Poll: a poll & a test"]
    assert named(phone, "button") == ["Change my vote"]
    assert [name.startswith("the ") for name in named(phone, "radio")] == [True] * 3
    (group,) = named(phone, "group")
    assert group.startswith("Which word is right") and group.endswith("Choose one.")
    live = {one["live"] for one in phone.accessible() if one["role"] == "status"}
    assert live == {"polite"}
    shows(projector, "1 voted", "#total")
    assert named(projector, "heading")[1:] == ["Votes", "Vote here"]
    buttons = ["Previous", "Close voting", "Vote again", "Reveal the answer", "Next"]
    assert named(projector, "button") == buttons
    assert f"QR code of {poll.phones}" in named(projector, "image", "img")
    assert "the second\n\n1, 100 %" in projector.text("#bars")
    projector.click("#reveal")
    for browser in (projector, phone):
        shows(browser, f"Wrong because {HOSTILE} of secret-a.")
        assert browser.run("typeof window.hacked") == "undefined" and browser.problems == []
        assert count(browser, "main img, main script") == 0
    assert named(phone, "heading")[1].startswith("Which word is") and named(phone, "button") == []
    projector.click("#next")
    shows(phone, "Question 2 of 3", "#place")
    assert len(named(phone, "checkbox")) == 3


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1280, False)])
def test_every_text_can_be_read_and_nothing_sticks_out(projector, phone, poll, width, dark):
    def readable(said):
        shows(phone, said, "#said")
        for browser in (projector, phone):
            assert browser.run(FAINT) == [] and browser.run(FITS)

    open_projector(projector, poll, width=width, height=250, dark=dark)
    open_phone(phone, poll, dark=dark)
    vote(phone, 0)
    readable("Your vote is counted.")
    projector.click("#closing")
    readable("Voting is closed.")
    projector.click("#reveal")
    shows(projector, "The answer is shown.", "#said")
    readable("Your vote is not the answer")
    if width == 1280:  # the buttons are in reach, however long the answers are
        assert projector.run("document.documentElement.scrollHeight > 1.2 * innerHeight")
        box = "document.getElementById('next').getBoundingClientRect()"
        at = f"document.elementFromPoint({box}.x + 9, {box}.y + 9)"
        assert projector.run(f"scrollTo(0, 0), {at}?.id") == "next"
    projector.click("#next")
    shows(phone, "Question 2 of 3", "#place")
    vote(phone, 2)
    shows(projector, "1 voted", "#total")
    readable("Your vote is counted.")
    page = phone.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", page))) < 200) == dark


def test_a_clicker_leads_through_a_poll_whose_bars_are_hidden_until_nobody_can_vote(
    projector, phone, poll
):
    projector.run("live.click()")
    vote(phone, 1)
    shows(projector, "1 voted", "#total")
    assert "%" not in projector.text("#bars")
    projector.run("live.click()")
    assert "1, 100 %" in projector.text("#bars")
    projector.run("live.click()")
    projector.click("#question")
    steps = [("PageDown", "closed"), (" ", "shown"), ("ArrowRight", "open"), ("PageUp", "shown")]
    press = "dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }))"
    for key, said in steps:
        if key == "ArrowRight":  # and a clicker that bounces
            projector.run(f"document.body.{press} + document.body.{press}")
        else:
            projector.press(key)
        shows(projector, said, "#said")
        assert ("1, 100 %" in projector.text("#bars")) == (said != "open")
        pause(projector, 450)
    assert projector.text("li.right .mark") == "\u2714 Right answer"


def test_the_room_discusses_and_votes_again_and_a_timer_ends_it(projector, phones, poll):
    for phone, choice in zip(phones, (0, 0, 1), strict=True):
        vote(phone, choice)
    projector.click("#closing")
    shows(projector, "closed", "#said")
    projector.click("#again")
    for phone in phones:
        shows(phone, "vote again", "#said")
        vote(phone, 1)
    shows_counts(projector, 2, 0, 1, 3, 0, 0)
    assert bars(projector) == [67, 0, 33, 100, 0, 0]
    assert "After the discussion" in projector.text("#bars")
    pick(projector, "timer", "30")
    assert projector.text("#clock") in ("0:30", "0:29")
    projector.run('localStorage.timer = localStorage.timer.replace(/"end":\\d+/, \'"end":0\')')
    shows(phones[0], "Voting is closed.", "#said")
    shows(projector, "closed", "#said")
    assert projector.text("#clock") == ""
    projector.click("#reveal")
    shows(phones[0], "3 of 3, 100 %; before: 1 of 3, 33 %", "#answers li.right")


def pick(projector, menu, value):
    projector.run(f"menu = document.getElementById('{menu}'); menu.value = '{value}'")
    projector.run("menu.dispatchEvent(new Event('change'))")


def write(phone, text):
    phone.wait("document.querySelector('textarea') !== null")
    phone.run("document.querySelector('textarea').select()")
    phone.type(text)
    phone.click("#send")
    shows(phone, "Your answer is sent.", "#said")


def test_another_quiz_needs_no_restart_and_words_are_read_before_they_are_shown(
    browsers, projector, phones, poll
):
    desk = browsers[1]
    pick(projector, "sets", "q/words")
    shows(phones[1], "In your words?", "#question")
    projector.open(f"{poll.phones}instructor#q/several")
    shows(phones[1], "Which are even?", "#question")
    projector.open(f"{poll.phones}instructor#q/words")
    shows(projector, "In your words?", "#question")
    assert projector.run("location.hash") == "", "a reload stays where the room is by then"
    desk.open(poll.instructor)
    desk.open(f"{poll.phones}instructor?desk")
    for phone, text in zip(phones[1:], ("constructor", HOSTILE), strict=True):
        write(phone, text)
    shows(projector, "2 to be read at the desk", "#total")
    press = "dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }))"
    desk.run(f"pressed = document.querySelector('#words button'), pressed.{press}")
    write(phones[1], f" {HOSTILE.upper()}. ")
    pause(desk, 300)
    assert desk.run("pressed.isConnected"), "what is pressed is the same when it is let go"
    desk.run("dispatchEvent(new PointerEvent('pointerup'))")
    shows(desk, "\u00d7 2", "#words")
    assert projector.text("#words") == ""
    desk.click("#words button")
    shows(projector, f"{HOSTILE.upper()}. \u00d7 2", "#words")
    assert projector.run("typeof window.hacked") == "undefined"
    desk.click("#words button")
    projector.wait("words.innerText === ''")
    projector.click("#reveal")
    shows(phones[1], "One of many.", "#answers")


def test_the_room_breaks_the_reader_with_what_was_allowed(browsers, projector, phones, poll):
    projector.open(f"{poll.phones}instructor?desk#q/gold")
    shows(projector, "The reader says: 79 (50 % sure).", "#reading")
    for phone, text in zip(phones, ("A true word.", "Is it silver?", "Of silver 47."), strict=True):
        write(phone, text)
        shows(projector, text, "#words")
    for hides in (1, 2):
        projector.click("#words button")
        projector.wait(f"document.body.innerText.split('Hide').length === {hides + 1}")
    projector.open(f"{poll.phones}instructor")
    shows(projector, "1 of 2 made it fail.", "#reading")
    failed = projector.text("li.broken")
    assert "Is it silver?" in failed and "before: 79 (50 % sure), after: 47 (25 % sure)" in failed
    assert "Still right" in projector.text("#words li:last-child")


# All is in view, in text of 20 of 720 pixels at least, and fills the screen or is huge.
FILLED = """(() => {
  const size = parseFloat(board.style.fontSize) / innerHeight, page = document.documentElement;
  const parts = [...document.querySelectorAll('section > *')];
  const bottom = Math.max(...parts.map((one) => one.getBoundingClientRect().bottom));
  const full = bottom / document.querySelector('.keys').getBoundingClientRect().top;
  const inView = page.scrollHeight <= innerHeight && page.scrollWidth <= innerWidth;
  return inView && size > 0.027 && (full > 0.8 || size > 0.06) ? '' : `${size} ${full} ${inView}`;
})()"""


DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.mark.parametrize("course", [False, pytest.param(True, marks=pytest.mark.full)])
def test_every_question_fills_a_projector_and_nothing_is_below_its_edge(projector, course):
    names = [f"q/{one}" for one in ("one", "several", "number", "words", "gold")]
    if course:
        names = [f"{one.quiz}/{asked.id}" for one in quizzes.all_sets() for asked in one.questions]
    for name in names:
        projector.run(f"location.hash = '{name}'")
        for pressed, said in (("title", "open"), ("closing", "closed"), ("reveal", "shown")):
            projector.click(f"#{pressed}")
            projector.wait(f"place.href.endsWith('#{name}') && said.textContent.includes('{said}')")
            for width, height in ((1280, 720), (1920, 1080)):
                size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
                projector.call("Emulation.setDeviceMetricsOverride", **size)
                projector.run(DRAWN)
                assert projector.run(FILLED) == "", (name, said, height)
