"""`python -m src.apps.poll`: where it listens, what it says, and what it refuses in one line."""

import asyncio
import re
import socket

import pytest

from src.apps.poll import __main__ as command
from src.apps.poll import server
from src.apps.poll.__main__ import main
from src.apps.poll.room import Room
from src.apps.poll.server import network_address
from src.apps.poll.store import Store
from src.teaching.quizzes import all_sets, load_quiz, load_set


@pytest.fixture
def started(monkeypatch):
    """What the command would serve: (application, socket, options) of each start."""
    served = []

    def note(application, listening, **options):
        served.append((application, listening, options))

    monkeypatch.setattr(command, "serve_until_interrupted", note)
    yield served
    for _, listening, _ in served:
        listening.close()


def start(file, *arguments):
    return main(["--port", "0", "--file", str(file), *arguments])


def test_it_says_where_the_pages_are_and_each_start_has_a_token_of_its_own(capsys, started, file):
    tokens = set()
    for _ in range(2):
        assert start(file) == 0
        said = re.fullmatch(
            r"Poll: 00_start_here/subset, kept in (.*)\n"
            r"Instructor: (http://127\.0\.0\.1:\d+/)instructor\?token=([\w-]{43})\n"
            r"Attendees: (http://127\.0\.0\.1:\d+/)   \(Ctrl\+C ends it\)\n",
            capsys.readouterr().out,
        )
        assert said and said[1] == str(file) and said[2] == said[4]
        application, listening, options = started[-1]
        assert listening.getsockname()[0] == "127.0.0.1" and not options["xheaders"]
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # a phone that left without a word, in milliseconds
            assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        assert application.settings["names"] == {"127.0.0.1", "localhost", "::1"}
        assert application.settings["token"] == said[3]
        tokens.add(said[3])
    assert len(tokens) == 2


def test_the_network_is_listened_on_only_when_asked_for(capsys, started, file, monkeypatch):
    monkeypatch.setattr(server, "network_address", lambda: "192.168.1.7")
    assert start(file, "--network") == 0
    said = capsys.readouterr().out
    assert re.search(r"^Attendees: http://192\.168\.1\.7:\d+/ ", said, re.MULTILINE)
    assert re.search(r"^Instructor: http://127\.0\.0\.1:\d+/instructor\?", said, re.MULTILINE)
    application, listening, _ = started[0]
    assert listening.getsockname()[0] == "0.0.0.0" and application.settings["names"] is None


def test_behind_a_proxy_it_listens_here_and_is_called_by_both_names(capsys, started, file):
    assert start(file, "--url", "https://Poll.example.org") == 0
    said = capsys.readouterr().out
    assert "Attendees: https://Poll.example.org/ " in said
    assert "Instructor: https://Poll.example.org/instructor?token=" in said
    application, listening, options = started[0]
    assert listening.getsockname()[0] == "127.0.0.1" and options["xheaders"]
    names = {"127.0.0.1", "localhost", "::1", "poll.example.org"}
    assert application.settings["names"] == names


def test_it_goes_on_where_it_was_and_new_puts_all_votes_aside(capsys, started, file):
    def shown(*arguments):
        assert start(file, *arguments) == 0
        return started[-1][0].settings["room"].shown

    assert shown() == "00_start_here/subset"
    store = Store(file)
    room = Room(all_sets(), store)
    asyncio.run(room.vote("a" * 22, {"question": room.shown, "choices": [0]}))
    store.close()
    capsys.readouterr()
    masks = [f"04_attention/{one.id}" for one in load_set("04_attention", "masks").questions]
    assert shown("--quiz", "04_attention", "--set", "masks") == masks[0]
    assert "votes.sqlite; votes so far: 1 (--new begins without)\n" in capsys.readouterr().out
    store = Store(file)
    store.keep("shown", masks[1])
    store.close()
    assert shown() == shown("--quiz", "04_attention", "--set", "masks") == masks[1]
    assert shown("--quiz", "04_attention") != masks[1], "it is not of the first set"
    assert shown("--new") == "00_start_here/subset"
    said = capsys.readouterr().out
    aside = r"^The old votes are now in .*votes-\d{8}-\d{6}\.sqlite\.$"
    assert re.search(aside, said, re.MULTILINE) and said.count("votes so far") == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--quiz none", "there is no quiz 'none'"),
        ("--set none", "has no set 'none'; it has poll"),
        ("--quiz ../secrets", "there is no quiz"),
        ("--network --host 192.0.2.1", "choose one"),
        ("--network --url https://a.example", "choose one"),
        ("--url poll.example.org", "--url is 'poll.example.org'"),
        ("--url https://a.example/poll", "nothing after the name"),
        ("--url https://", "--url"),
        ("--url https://[", "--url"),
        ("--host no.such.host.invalid", "cannot listen on"),
        ("--port 70000", "65535"),
        ("--voters-per-address 0", "voters-per-address"),
        ("--unknown", "No such option"),
        ("--new --port TAKEN", "in use); choose another --port"),
    ],
)
def test_settings_that_cannot_be_are_one_line_and_leave_the_votes_alone(
    capsys, started, file, arguments, sentence
):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert start(file, *arguments.replace("TAKEN", port).split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and sentence in error
    assert started == [] and not file.exists()


def test_a_computer_in_no_network_is_one_sentence(monkeypatch):
    class Nowhere(socket.socket):
        def connect(self, address):
            raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(server.socket, "socket", Nowhere)
    with pytest.raises(OSError, match=r"in no network; join the one of the room, or give its addr"):
        network_address()


def test_quizzes_are_where_the_manual_says(course):
    text = (course / "docs" / "polls.md").read_text(encoding="utf-8")
    named = re.findall(r"--quiz (\w+) --set (\w+)", text)
    assert named and all(key in load_quiz(quiz) for quiz, key in named)
