"""A poll in real browsers, as `make poll` starts it: several phones and a projector, keyboards, screen readers, attacks, and `kill -9`."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from src.apps.poll.server import HEARTBEAT, NO_COOKIE
from tests.end_to_end.test_demo import FAINT

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
QUIZ = {
    "sets": [
        {
            "id": "poll",
            "title": "a poll & a *test*",
            "questions": [
                {
                    "id": "one",
                    "kind": "single",
                    "keep_order": True,
                    "text": f"Which `word` is **right**, {HOSTILE}?",
                    "choices": [
                        {"text": f"the first {HOSTILE}", "right": False, "why": f"Wrong, because {HOSTILE} of this."},
                        {"text": "the `second`", "right": True, "why": "Right, because of *that*."},
                        {"text": "the third", "right": False, "why": "Wrong, because of those."},
                    ],
                },
                {
                    "id": "several",
                    "kind": "multiple",
                    "keep_order": True,
                    "text": "Which are even?",
                    "choices": [
                        {"text": "two", "right": True, "why": "Two is twice one."},
                        {"text": "three", "right": False, "why": "Three is odd."},
                        {"text": "four " + "and a very long word: " + "o" * 120, "right": True, "why": "Four is twice two."},
                    ],
                },
                {
                    "id": "number",
                    "kind": "numeric",
                    "text": "How many are 3 x 4?",
                    "answer": 12,
                    "why": "Three times four.",
                    "choices": [{"text": "7", "right": False, "why": "That is the sum of them."}],
                },
            ],
        },
        {
            "id": "later",
            "title": "a later poll",
            "questions": [
                {
                    "id": "after",
                    "kind": "single",
                    "keep_order": True,
                    "text": "Which comes after the first set?",
                    "choices": [
                        {"text": "this one", "right": True, "why": "It is the second."},
                        {"text": "none", "right": False, "why": "There are two."},
                    ],
                }
            ],
        },
    ]
}
START = (  # Ctrl+C is listened to as in a terminal: a process that a shell starts in the background is made deaf to it
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "import sys; from pathlib import Path; from src.teaching import quizzes; quizzes.QUIZZES = Path(sys.argv[1]); "
    "from src.apps.poll import server; server.HEARTBEAT = float(sys.argv[2]); "
    "from src.apps.poll.__main__ import main; sys.exit(main(sys.argv[3:]))"
)


class Poll:
    """A running poll on a file of its own. instructor: the address with the token   phones: the attendees'"""

    def __init__(self, course: Path, folder: Path):
        self._course, self.folder, self._port = course, folder, 0
        (folder / "quizzes").mkdir()
        (folder / "quizzes" / "q.json").write_text(json.dumps(QUIZ), encoding="utf-8")
        self.start()

    def start(self, *more: str, pulse: float = HEARTBEAT) -> None:
        """Start it: the second time on the port of the first. pulse: seconds after which a silent stream says that it is there"""
        arguments = ["--quiz", "q", "--port", str(self._port), "--file", str(self.folder / "poll.sqlite"), *more]
        command = [sys.executable, "-c", START, str(self.folder / "quizzes"), str(pulse), *arguments]
        self.errors = self.folder / "errors.txt"
        with self.errors.open("a") as errors:
            self._process = subprocess.Popen(command, cwd=self._course, stdout=subprocess.PIPE, stderr=errors, text=True)
        lines = [self._process.stdout.readline() for _ in range(3)]
        assert lines[2].startswith("Attendees: http://127.0.0.1:"), self.errors.read_text()
        self.instructor, self.phones = lines[1].split()[1], lines[2].split()[1]
        self._port = int(self.phones.rstrip("/").rsplit(":", 1)[1])

    def stop(self, how: signal.Signals) -> None:
        """Send the process a signal, and wait for its end."""
        self._process.send_signal(how)
        self._process.wait(20)
        self._process.stdout.close()

    @contextlib.contextmanager
    def asleep(self) -> Iterator[None]:
        """It does nothing while the context lasts, and no connection ends: as a laptop does that is shut."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def poll(course: Path, tmp_path: Path) -> Iterator[Poll]:
    """A poll that has just begun; it must end quietly at Ctrl+C, with every browser still there."""
    started = Poll(course, tmp_path)
    yield started
    started.stop(signal.SIGINT)
    assert started.errors.read_text() == ""


@pytest.fixture(scope="module")
def projector(start_browser: Callable) -> Iterator:
    """The instructor's browser."""
    return start_browser()


@pytest.fixture(scope="module")
def phones(start_browser: Callable) -> list:
    """Three voters' browsers."""
    return [start_browser() for _ in range(3)]


@pytest.fixture
def phone(phones: list):
    """The first voter's browser."""
    return phones[0]


def open_phone(phone, poll: Poll, **options) -> None:
    """Open the page to vote on, as a voter who was never there."""
    phone.call("Network.clearBrowserCookies")
    phone.open(poll.phones, width=360, height=740, **options)
    phone.wait("document.querySelectorAll('#choices input').length > 0")


def open_projector(projector, poll: Poll, **options) -> None:
    """Open the instructor's page by the address that the terminal printed."""
    projector.call("Network.clearBrowserCookies")
    projector.open(poll.instructor, **options)
    projector.wait("document.querySelectorAll('#bars li').length > 0")


def choose(phone, *choices: int) -> None:
    """Click on choices, then on the button."""
    for i in choices:
        phone.click(f"#choices label:nth-child({i + 1}) input")
    phone.click("#send")


def vote(phone, *choices: int) -> None:
    """Vote, and wait until the page says that it counts."""
    choose(phone, *choices)
    phone.wait("document.getElementById('said').textContent.startsWith('Your vote is counted.')")


def shows(browser, words: str, selector: str = "main") -> None:
    """Wait until words are in the page."""
    browser.wait(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(words)})")


def counts(projector) -> list[str]:
    return projector.run("[...document.querySelectorAll('.count')].map((count) => count.textContent)")


def bars(projector) -> list[int]:
    """How wide the bars are, in percent, once they have moved."""
    width = "Math.round(100 * fill.getBoundingClientRect().width / fill.parentElement.clientWidth)"
    return projector.run(
        f"new Promise((done) => setTimeout(() => done([...document.querySelectorAll('.fill')].map((fill) => {width})), 300))"
    )


def press_button(projector, name: str) -> None:
    projector.click(f"#{name}")


def test_a_poll_from_the_first_vote_to_the_next_question(projector, phones, poll):
    open_projector(projector, poll)
    assert projector.run("location.href") == f"{poll.phones}instructor", "the token is not in the address any more"
    for phone in phones:
        open_phone(phone, poll)
    shows(projector, "0 voted, 3 here", "#total")
    projector.run("window.loaded = 'once'")
    for phone in phones:
        phone.run("window.loaded = 'once'")
    assert bars(projector) == [0, 0, 0] and counts(projector) == ["0, 0 %"] * 3

    vote(phones[0], 0)
    shows(projector, "1 voted", "#total")
    assert bars(projector) == [100, 0, 0]
    vote(phones[1], 1)
    vote(phones[2], 0)
    shows(projector, "3 voted", "#total")
    assert bars(projector) == [67, 33, 0] and counts(projector) == ["2, 67 %", "1, 33 %", "0, 0 %"]
    assert phones[0].text("#send") == "Change my vote"
    choose(phones[0], 1)
    projector.wait("document.querySelectorAll('.count')[1].textContent === '2, 67 %'")
    assert bars(projector) == [33, 67, 0]

    press_button(projector, "closing")
    for phone in phones:
        shows(phone, "Voting is closed. Your vote is counted.")
        assert phone.run("document.querySelectorAll('#choices input:enabled').length") == 0
    press_button(projector, "closing")
    for phone in phones:
        phone.wait("document.querySelectorAll('#choices input:enabled').length === 3")
    choose(phones[2], 2)
    projector.wait("document.querySelectorAll('.count')[2].textContent === '1, 33 %'")

    assert not projector.run("document.body.innerText.includes('because')")
    press_button(projector, "reveal")
    shows(projector, "Right. Right, because of that.", "#bars li.right")
    for phone, verdict in zip(phones, ["You are right.", "You are right.", "Your vote is not the answer: see why."], strict=True):
        shows(phone, verdict, "#said")
        assert "Right. Right, because of that." in phone.text("#answers li.right")
        assert "2 of 3, 67 %" in phone.text("#answers li.right") and "Wrong, because of those." in phone.text("#answers")
        assert not phone.run("document.querySelector('#form').checkVisibility()")
    own = phones[2].run("[...document.querySelectorAll('.own')].map((own) => own.parentElement.innerText)")
    assert len(own) == 1 and "the third" in own[0]

    press_button(projector, "next")
    shows(projector, "Which are even?", "#question")
    for phone in phones:
        shows(phone, "Question 2 of 3", "#place")
        assert phone.run("document.querySelectorAll('#choices input[type=checkbox]:checked').length") == 0
    vote(phones[0], 0, 2)
    shows(projector, "1 voted", "#total")
    assert bars(projector) == [100, 0, 100]
    press_button(projector, "previous")
    shows(projector, "The answer is shown.", "#said")
    shows(phones[1], "You are right.", "#said")
    for browser in (projector, *phones):
        assert browser.run("window.loaded") == "once", "nothing was reloaded"
        assert browser.requests and all(request.startswith((poll.phones, "data:")) for request in browser.requests)
        assert browser.problems == []


def test_the_votes_can_be_had_as_a_table(projector, phone, poll):
    open_projector(projector, poll)
    open_phone(phone, poll)
    vote(phone, 1)
    text = projector.run("fetch(document.querySelector('nav a').href).then((reply) => reply.text())")
    assert [(row["question"], row["choice"], row["right"]) for row in csv.DictReader(io.StringIO(text))] == [
        ("one", "the `second`", "true")
    ]


def test_a_voter_can_do_nothing_of_what_the_instructor_can_and_no_script_reads_a_cookie(projector, phone, poll):
    open_projector(projector, poll)
    open_phone(phone, poll)
    for path in ("instructor", "instructor/events", "instructor/votes.csv"):
        assert phone.run(f"fetch('{path}').then((reply) => reply.status)") == 403
    for path, what in (("show", {"question": "several"}), ("phase", {"question": "one", "phase": "revealed"})):
        options = json.dumps({"method": "POST", "headers": {"Content-Type": "application/json"}, "body": json.dumps(what)})
        assert phone.run(f"fetch('instructor/{path}', {options}).then((reply) => reply.status)") == 403
    assert phone.run("document.cookie") == projector.run("document.cookie") == ""
    assert "Voting is open." in projector.text("#said") and "Which word is right" in projector.text("#question")
    phone.open(f"{poll.phones}instructor")
    assert "open the address that the poll's terminal prints" in phone.text("body")


def test_markup_in_questions_is_shown_as_text_and_the_quizzes_own_marks_as_what_they_are(projector, phone, poll):
    open_projector(projector, poll)
    open_phone(phone, poll)
    for browser in (projector, phone):
        assert browser.run("document.getElementById('question').textContent") == f"Which word is right, {HOSTILE}?"
        assert browser.run("[...document.querySelectorAll('#question > *')].map((one) => one.outerHTML)") == [
            "<code>word</code>",
            "<strong>right</strong>",
        ]
    press_button(projector, "reveal")
    shows(phone, f"Wrong, because {HOSTILE} of this.", "#answers")
    shows(projector, f"Wrong, because {HOSTILE} of this.", "#bars")
    for browser in (projector, phone):
        assert browser.run("typeof window.hacked") == "undefined"
        assert browser.run("document.querySelectorAll('main img, main script').length") == 0 and browser.problems == []


def test_a_voter_stays_the_same_when_the_page_is_opened_again(projector, phone, poll):
    open_projector(projector, poll)
    open_phone(phone, poll)
    vote(phone, 0)
    phone.open(poll.phones, width=360)
    phone.wait("document.querySelector('#choices input:checked') !== null")
    assert "Your vote is counted." in phone.text("#said")
    choose(phone, 2)
    projector.wait("document.querySelectorAll('.count')[2].textContent === '1, 100 %'")
    assert "1 voted, 1 here" in projector.text("#total")


def test_a_vote_without_a_choice_and_one_too_late_are_explained(projector, phone, poll):
    open_projector(projector, poll)
    open_phone(phone, poll)
    phone.click("#send")
    shows(phone, "Choose something first.", "#problem")
    phone.click("#choices input")
    assert phone.run("document.getElementById('problem').textContent") == ""
    press_button(projector, "reveal")
    shows(projector, "The answer is shown.", "#said")
    late = {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": json.dumps({"question": "one", "choices": [0]})}
    told = phone.run(f"fetch('vote', {json.dumps(late)}).then((reply) => reply.json())")
    assert told == {"problem": "Voting on this question is over."}


def test_what_is_picked_and_not_sent_survives_a_lost_connection_and_both_pages_say_that_it_is_lost(projector, phone, poll):
    open_projector(projector, poll)
    open_phone(phone, poll)
    vote(phone, 1)
    phone.click("#choices label:nth-child(3) input")
    assert "not sent yet" in phone.text("#said")
    poll.stop(signal.SIGKILL)
    shows(phone, "The poll does not answer. This page tries again by itself.", "#connection")
    shows(projector, "open the address that its terminal prints now", "#connection")
    phone.click("#send")
    shows(phone, "The poll does not answer.", "#problem")
    poll.start()
    phone.wait("document.getElementById('connection').textContent === ''")
    assert phone.run("document.querySelectorAll('#choices input')[2].checked")
    choose(phone)
    phone.wait("document.getElementById('said').textContent.startsWith('Your vote is counted.')")
    open_projector(projector, poll)
    assert counts(projector) == ["0, 0 %", "0, 0 %", "1, 100 %"]


def test_a_poll_that_was_killed_comes_back_with_its_votes_question_and_phase(projector, phones, poll):
    open_projector(projector, poll)
    for phone, choice in zip(phones, (0, 1, 1), strict=True):
        open_phone(phone, poll)
        vote(phone, choice)
    press_button(projector, "reveal")
    shows(projector, "The answer is shown.", "#said")
    press_button(projector, "next")
    for phone, choices in zip(phones, ((0, 2), (1,), (2,)), strict=True):
        shows(phone, "Question 2 of 3", "#place")
        vote(phone, *choices)
    press_button(projector, "closing")
    shows(projector, "Voting is closed.", "#said")
    old = poll.instructor
    poll.stop(signal.SIGKILL)
    poll.start()
    assert poll.instructor != old
    projector.open(old)
    assert "open the address that the poll's terminal prints" in projector.text("body"), "an old token opens nothing"
    open_projector(projector, poll)
    shows(projector, "3 voted, 3 here", "#total")
    assert counts(projector) == ["1, 33 %", "1, 33 %", "2, 67 %"] and "Voting is closed." in projector.text("#said")
    for phone in phones:
        shows(phone, "Voting is closed. Your vote is counted.", "#said")
    press_button(projector, "previous")
    shows(projector, "The answer is shown.", "#said")
    assert counts(projector) == ["1, 33 %", "2, 67 %", "0, 0 %"]
    for phone, verdict in zip(phones, ["not the answer", "You are right.", "You are right."], strict=True):
        shows(phone, verdict, "#said")


def test_pages_notice_a_laptop_that_sleeps_and_go_on_when_it_wakes(projector, phone, poll):
    poll.stop(signal.SIGINT)
    poll.start(pulse=0.3)
    open_projector(projector, poll)
    open_phone(phone, poll)
    phone.click("#choices label:nth-child(2) input")
    with poll.asleep():
        shows(phone, "The poll does not answer.", "#connection")
        shows(projector, "The poll does not answer.", "#connection")
        phone.click("#send")
        shows(phone, "The poll does not answer. When it is here again, try once more.", "#problem")
    for browser in (phone, projector):
        browser.wait("document.getElementById('connection').textContent === ''")
    vote(phone)
    projector.wait("document.querySelectorAll('.count')[1].textContent === '1, 100 %'")
    shows(projector, "1 voted, 1 here", "#total")


def test_phones_that_stay_on_the_page_vote_in_the_next_poll_which_has_another_quiz(projector, phones, poll):
    for phone in phones[:2]:
        open_phone(phone, poll)
        vote(phone, 2)
    open_projector(projector, poll)
    press_button(projector, "reveal")
    shows(phones[1], "Your vote is not the answer", "#said")
    poll.stop(signal.SIGINT)
    poll.start("--set", "later")
    open_projector(projector, poll)
    shows(projector, "0 voted, 2 here", "#total")
    for phone in phones[:2]:
        shows(phone, "Which comes after the first set?", "#question")
        assert phone.text("h1") == "Poll: a later poll" and "Question 1 of 1" in phone.text("#place")
        vote(phone, 0)
    shows(projector, "2 voted, 2 here", "#total")
    poll.stop(signal.SIGINT)
    poll.start()
    shows(phones[0], "Your vote is not the answer", "#said")


def test_a_phone_whose_cookie_is_gone_is_told_what_to_do(phone, poll):
    open_phone(phone, poll)
    phone.call("Network.clearBrowserCookies")
    poll.stop(signal.SIGINT)
    poll.start()
    shows(phone, NO_COOKIE, "#connection")
    phone.open(poll.phones, width=360)
    vote(phone, 1)


def test_a_page_that_newer_ones_of_its_browser_replaced_says_so_and_is_live_again_when_looked_at(projector, phone, poll):
    open_projector(projector, poll)
    open_phone(phone, poll)
    phone.run("window.newer = [1, 2, 3, 4].map(() => new EventSource('events'))")
    shows(phone, "This poll is open on newer pages of this browser.", "#connection")
    phone.run("window.newer.map((stream) => stream.close())")
    press_button(projector, "next")
    shows(projector, "question 2 of 3", "#place")
    assert "Question 1 of 3" in phone.text("#place")
    phone.run("document.dispatchEvent(new Event('visibilitychange'))")
    shows(phone, "Question 2 of 3", "#place")
    assert phone.run("document.getElementById('connection').textContent") == ""
    shows(projector, "1 here", "#total")


def test_the_instructors_address_can_be_followed_as_a_link_from_another_site(projector, poll):
    projector.call("Network.clearBrowserCookies")
    projector.open(f"data:text/html,<title>a chat</title><a href='{poll.instructor}'>the poll</a>")
    projector.click("a")
    projector.wait("location.pathname === '/instructor' && document.querySelectorAll('#bars li').length > 0")


def test_the_next_question_is_seen_from_its_beginning(projector, phone, poll):
    open_projector(projector, poll)
    open_phone(phone, poll)
    phone.open(poll.phones, width=360, height=300)
    press_button(projector, "reveal")
    shows(phone, "You did not vote.", "#said")
    phone.run("scrollTo(0, document.documentElement.scrollHeight)")
    assert phone.run("scrollY") > 300
    press_button(projector, "next")
    shows(phone, "Which are even?", "#question")
    assert phone.run("[scrollY, document.documentElement.scrollHeight > innerHeight]") == [0, True]


def test_a_double_click_moves_the_room_once(projector, phone, poll):
    open_projector(projector, poll)
    open_phone(phone, poll)
    for name, place, said in (("next", "question 2 of 3", "Voting is open."), ("closing", "question 2 of 3", "Voting is closed.")):
        press_button(projector, name)
        shows(projector, place, "#place")
        shows(projector, said, "#said")
        projector.run(f"document.getElementById('{name}').dispatchEvent(new MouseEvent('click', {{ detail: 2, bubbles: true }}))")
        shows(phone, place.capitalize(), "#place")
        assert projector.run("new Promise((done) => setTimeout(done, 300))") is None
        assert place in projector.text("#place") and said in projector.text("#said")


def focused(browser) -> str:
    return browser.run("document.activeElement.id || document.activeElement.value || document.activeElement.textContent")


def test_the_keyboard_alone_votes_and_holds_a_poll(projector, phone, poll):
    open_projector(projector, poll)
    open_phone(phone, poll)
    phone.press("Tab")
    phone.press(" ")
    phone.press("ArrowDown")
    outline = "getComputedStyle(document.activeElement.closest('label')).outlineStyle"
    assert focused(phone) == "1" and phone.run(outline) == "solid"
    phone.press("Enter")
    shows(phone, "Your vote is counted.", "#said")
    shows(projector, "1 voted", "#total")
    order = []
    for _ in range(5):
        projector.press("Tab")
        order.append(focused(projector))
    assert order == ["previous", "closing", "reveal", "next", "Votes as CSV"]
    projector.run("document.getElementById('next').focus()")
    for number in (2, 3):
        projector.press("Enter")
        shows(projector, f"question {number} of 3", "#place")
    assert focused(projector) == "next", "a button that can do no more keeps the focus"
    assert projector.run("document.activeElement.ariaDisabled") == "true"
    projector.press("Enter")
    shows(phone, "Question 3 of 3", "#place")
    assert phone.run("[...document.querySelectorAll('#choices label')].map((label) => label.innerText)") == ["7", "12"]
    assert projector.text("#problem") == ""


def test_a_screen_reader_is_told_what_everything_is(projector, phone, poll):
    open_projector(projector, poll)
    open_phone(phone, poll)
    vote(phone, 1)

    def named(browser, role: str) -> list[str]:
        return [one["name"] for one in browser.accessible() if one["role"] == role]

    assert named(phone, "heading") == ["Poll: a poll & a test"] and named(phone, "button") == ["Change my vote"]
    assert [name.startswith("the ") for name in named(phone, "radio")] == [True] * 3
    (group,) = named(phone, "group")
    assert group.startswith("Which word is right") and group.endswith("Choose one.")
    live = {one["live"] for one in phone.accessible() if one["role"] == "status"}
    assert live == {"polite"}
    shows(projector, "1 voted", "#total")
    headings = named(projector, "heading")
    assert headings[0].startswith("Which word is right") and headings[1:] == ["Votes", "Vote here"]
    assert named(projector, "button") == ["Previous", "Close voting", "Reveal the answer", "Next"]
    assert f"QR code of {poll.phones}" in [one["name"] for one in projector.accessible() if one["role"] in ("image", "img")]
    assert projector.text("#bars li:nth-child(2)").split("\n")[:2] == ["the second", "1, 100 %"]
    press_button(projector, "next")
    shows(phone, "Question 2 of 3", "#place")
    assert len(named(phone, "checkbox")) == 3
    press_button(projector, "reveal")
    shows(phone, "You did not vote.", "#said")
    assert named(phone, "heading")[1] == "Which are even?" and named(phone, "button") == []


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_can_be_read_and_nothing_sticks_out(projector, phone, poll, width, dark):
    open_projector(projector, poll, width=width, height=720, dark=dark)
    open_phone(phone, poll, dark=dark)
    vote(phone, 0)
    fits = "document.documentElement.scrollWidth <= window.innerWidth"

    def readable() -> None:
        for browser in (projector, phone):
            assert browser.run(FAINT) == [] and browser.run(fits)

    readable()
    press_button(projector, "closing")
    shows(phone, "Voting is closed.", "#said")
    readable()
    press_button(projector, "reveal")
    shows(phone, "Your vote is not the answer", "#said")
    shows(projector, "The answer is shown.", "#said")
    readable()
    press_button(projector, "next")
    shows(phone, "Question 2 of 3", "#place")
    vote(phone, 2)
    shows(projector, "1 voted", "#total")
    readable()
    page = phone.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", page))) < 200) == dark


def test_the_instructors_buttons_are_in_reach_however_long_the_answers_are(projector, poll):
    open_projector(projector, poll, width=1280, height=400)
    press_button(projector, "reveal")
    shows(projector, "The answer is shown.", "#said")
    long = "document.documentElement.scrollHeight > 1.2 * innerHeight"
    box = "((box) => [box.x + box.width / 2, box.y + box.height / 2])(document.getElementById('next').getBoundingClientRect())"
    assert projector.run(long), "else this shows nothing"
    projector.run("scrollTo(0, 0)")
    assert projector.run(f"document.elementFromPoint(...{box})?.id") == "next", "it is seen, and nothing lies over it"
    projector.run("scrollTo(0, document.documentElement.scrollHeight)")
    last, keys = (f"document.querySelector('{one}').getBoundingClientRect()" for one in ("#bars li:last-child .why", ".keys"))
    assert projector.run(f"{last}.bottom <= {keys}.top"), "the last reason can be read"


def test_a_poll_of_the_course_fits_on_a_projector_without_scrolling(projector, course, tmp_path):
    command = [sys.executable, "-m", "src.apps.poll", "--port", "0", "--file", str(tmp_path / "poll.sqlite")]
    process = subprocess.Popen(command, cwd=course, stdout=subprocess.PIPE, text=True)
    with contextlib.closing(process.stdout):
        try:
            lines = [process.stdout.readline() for _ in range(3)]
            projector.open(lines[1].split()[1], width=1280, height=720)
            shows(projector, "Machine learning is a subset of")
            assert projector.run("document.documentElement.scrollHeight <= window.innerHeight")
            press_button(projector, "reveal")
            shows(projector, "The answer is shown.", "#said")
            assert projector.run("document.documentElement.scrollHeight <= window.innerHeight")
        finally:
            process.terminate()
            process.wait()
