"""The poll over HTTP without a browser: who may ask for what, what is refused, that 200 phones pass and a flood does not."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import secrets
import socket
from html.parser import HTMLParser

import pytest
from tornado.httpclient import AsyncHTTPClient

from src.apps.poll import server
from src.apps.poll.__main__ import main
from src.apps.poll.room import Room
from src.apps.poll.server import FOLDER, NOT_YOURS, Limits, make_application, network_address, public_address
from src.apps.poll.store import Store
from src.apps.web import server as web
from src.apps.web.server import address, bind, serve
from src.teaching.quizzes import QUIZZES

TOKEN = "the-token-of-this-start"
JSON = {"Content-Type": "application/json"}
FILES = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir() if path.suffix in (".html", ".css", ".js")}
FILES["base.css"] = (FOLDER.parent / "web" / "base.css").read_text(encoding="utf-8")


class Visit:
    """A poll that answers on a port of its own, and what people ask of it."""

    def __init__(self, url, client):
        self.url, self.client = url, client

    async def fetch(self, path, cookie=None, headers=None, **options):
        headers = (headers or {}) | ({"Cookie": cookie} if cookie else {})
        options = {"raise_error": False, "request_timeout": 60, "follow_redirects": False} | options
        return await self.client.fetch(self.url + path, headers=headers, **options)

    async def post(self, path, what, cookie=None, headers=None):
        body = what if isinstance(what, bytes) else json.dumps(what)
        return await self.fetch(path, cookie, JSON | (headers or {}), method="POST", body=body)

    async def vote(self, voter, question="one", *choices):
        return await self.post("vote", {"question": question, "choices": list(choices)}, f"poll_voter={voter}")

    async def act(self, path, what):
        return await self.post(f"instructor/{path}", what, f"poll_token={TOKEN}")

    async def stream(self, path, cookie):
        """An asyncio.Queue that gets what an event stream sends, and the task that listens: cancel it to leave."""
        states: asyncio.Queue = asyncio.Queue()
        text = ""

        def gather(chunk):
            nonlocal text
            text += chunk.decode()
            *events, text = text.split("\n\n")
            for event in events:
                if event.startswith("data: "):
                    states.put_nowait(json.loads(event.removeprefix("data: ")))
                elif event.startswith("event: replaced\ndata: "):
                    states.put_nowait("replaced")

        client = AsyncHTTPClient(force_instance=True)  # a closed client is the way to hang up
        task = asyncio.ensure_future(
            client.fetch(self.url + path, headers={"Cookie": cookie}, streaming_callback=gather, request_timeout=0, raise_error=False)
        )
        return states, client, task


def visit(scenario, room, **options):
    """Run `await scenario(Visit)` against a server of its own."""
    serving_options = options.pop("serving", {})

    async def visited():
        listening = bind("127.0.0.1", 0)
        application = make_application(room, TOKEN, options.pop("attendees", address(listening)), **options)
        serving = asyncio.create_task(serve(application, listening, **(server.CONNECTION | serving_options)))
        client = AsyncHTTPClient(force_instance=True, max_clients=300)
        try:
            return await scenario(Visit(address(listening), client))
        finally:
            client.close()
            serving.cancel()

    return asyncio.run(visited())


def voter(i=0):
    return f"{i:022}"


def problem(reply):
    told = json.loads(reply.body)["problem"]
    assert told.endswith(".") and "\n" not in told and len(told) < 150
    return told


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen within ten seconds")


# --- who may ask for what -------------------------------------------------------------------------------------------------


def test_pages_and_files_are_served_with_headers_that_keep_the_browser_here(room):
    async def scenario(poll):
        names = ["", "base.css", "poll.css", "shared.js", "vote.js", "instructor.js"]
        return [await poll.fetch(name) for name in names] + [await poll.fetch("instructor", f"poll_token={TOKEN}")]

    for page in visit(scenario, room):
        assert page.code == 200
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'") and "unsafe" not in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff" and page.headers["Referrer-Policy"] == "no-referrer"
        assert "Server" not in page.headers


def test_a_browser_becomes_one_voter_by_a_cookie_that_scripts_cannot_read(room):
    async def scenario(poll):
        first, second = await poll.fetch(""), await poll.fetch("")
        cookie = first.headers["Set-Cookie"].split(";")[0]
        return first, second, await poll.fetch("", cookie), await poll.fetch("", "poll_voter=short")

    first, second, again, spoilt = visit(scenario, room)
    assert re.fullmatch(r"poll_voter=[\w-]{22}; HttpOnly; Max-Age=86400; Path=/; SameSite=Lax", first.headers["Set-Cookie"])
    assert first.headers["Set-Cookie"] != second.headers["Set-Cookie"]
    assert "Set-Cookie" not in again.headers and "Set-Cookie" in spoilt.headers


def test_behind_a_proxy_with_tls_cookies_are_for_tls_only(room):
    async def scenario(poll):
        return await poll.fetch(""), await poll.fetch(f"instructor?token={TOKEN}")

    for reply in visit(scenario, room, attendees="https://poll.example.org/"):
        assert "Secure" in reply.headers["Set-Cookie"].split("; ")


def test_the_token_moves_from_the_address_into_a_cookie(room):
    async def scenario(poll):
        first = await poll.fetch(f"instructor?token={TOKEN}")
        return first, await poll.fetch("instructor", first.headers["Set-Cookie"].split(";")[0])

    first, page = visit(scenario, room)
    assert (first.code, first.headers["Location"], first.body) == (303, "/instructor", b"")
    assert first.headers["Set-Cookie"] == f"poll_token={TOKEN}; HttpOnly; Path=/instructor; SameSite=Lax"
    assert page.code == 200 and TOKEN not in page.body.decode()


INSTRUCTING = [
    ("instructor", "GET", None),
    ("instructor/events", "GET", None),
    ("instructor/votes.csv", "GET", None),
    ("instructor/show", "POST", {"question": "several"}),
    ("instructor/phase", "POST", {"question": "one", "phase": "revealed"}),
]


@pytest.mark.parametrize(("path", "method", "what"), INSTRUCTING)
@pytest.mark.parametrize(
    "cookie",
    [None, f"poll_voter={voter()}", "poll_token=", "poll_token=x", f"poll_token={TOKEN[:-1]}", f"poll_token={TOKEN}x", "poll_token=ä"],
)
def test_without_the_token_nothing_of_the_instructors_is_answered_or_done(room, path, method, what, cookie):
    async def scenario(poll):
        return await poll.fetch(path, cookie, JSON, method=method, body=None if what is None else json.dumps(what))

    reply = visit(scenario, room)
    assert reply.code == 403 and NOT_YOURS in reply.body.decode() and "secret" not in reply.body.decode()
    assert room.shown == "one" and room.phase("one") == "open"


@pytest.mark.parametrize("query", ["token=", "token=x", f"token={TOKEN}x", "token=%F0%9F%99%82", f"Token={TOKEN}"])
def test_a_wrong_token_in_the_address_opens_nothing(room, query):
    async def scenario(poll):
        return await poll.fetch(f"instructor?{query}")

    reply = visit(scenario, room)
    assert reply.code == 403 and reply.body.decode() == NOT_YOURS and "Set-Cookie" not in reply.headers


def test_the_token_in_the_address_helps_on_the_first_page_only(room):
    async def scenario(poll):
        return [await poll.fetch(f"instructor/{path}?token={TOKEN}") for path in ("events", "votes.csv")]

    assert [reply.code for reply in visit(scenario, room)] == [403, 403]


# --- a poll ---------------------------------------------------------------------------------------------------------------


def test_a_vote_reaches_the_instructors_stream_and_a_reveal_the_voters(room):
    async def scenario(poll):
        ann, bob = f"poll_voter={voter(1)}", f"poll_voter={voter(2)}"
        projector, *_ = await poll.stream("instructor/events", f"poll_token={TOKEN}")
        assert (await projector.get())["counts"] == [0, 0, 0]
        phone, *_ = await poll.stream("events", ann)
        assert (await phone.get())["yours"] == []
        assert (await projector.get())["present"] == 1
        assert (await poll.vote(voter(1), "one", 1)).code == 200
        assert (await projector.get())["counts"] == [0, 1, 0]
        assert (await poll.vote(voter(1), "one", 0)).code == 200
        assert (await projector.get())["counts"] == [1, 0, 0]
        assert phone.empty(), "what others vote is not the phones' business"
        assert (await poll.act("phase", {"question": "one", "phase": "revealed"})).code == 200
        told = await phone.get()
        assert told["answers"][1]["right"] and told["yours"] == [0] and told["counts"] == [1, 0, 0]
        assert (await projector.get())["phase"] == "revealed"
        late = await poll.vote(voter(2), "one", 1)
        assert (late.code, problem(late)) == (409, "Voting on this question is over.")
        assert (await poll.act("show", {"question": "several"})).code == 200
        assert (await phone.get())["id"] == "several"
        other, *_ = await poll.stream("events", bob)
        assert (await other.get())["id"] == "several"

    visit(scenario, room)


def test_what_the_instructor_asks_for_too_late_or_wrong_is_told(room):
    async def scenario(poll):
        await poll.act("phase", {"question": "one", "phase": "revealed"})
        return [
            await poll.act("phase", {"question": "one", "phase": "open"}),
            await poll.act("phase", {"question": "one", "phase": "ended"}),
            await poll.act("show", {"question": "none"}),
            await poll.post(
                "instructor/show", b"question=one", f"poll_token={TOKEN}", {"Content-Type": "application/x-www-form-urlencoded"}
            ),
        ]

    replies = visit(scenario, room)
    assert [reply.code for reply in replies] == [409, 400, 400, 400] and all(map(problem, replies))


def test_the_table_of_votes_is_a_file(room):
    async def scenario(poll):
        await poll.vote(voter(), "one", 2)
        return await poll.fetch("instructor/votes.csv", f"poll_token={TOKEN}")

    reply = visit(scenario, room)
    assert reply.headers["Content-Disposition"] == 'attachment; filename="q-mixed.csv"'
    assert reply.headers["Content-Type"] == "text/csv; charset=UTF-8"
    assert [row["choice"] for row in csv.DictReader(io.StringIO(reply.body.decode()))] == ["third"]


def test_a_stream_that_is_left_is_forgotten_and_a_silent_one_says_that_it_is_there(room, monkeypatch):
    monkeypatch.setattr(server, "HEARTBEAT", 0.05)
    limits = Limits()
    heard = b""

    async def scenario(poll):
        nonlocal heard
        reader, writer = await asyncio.open_connection("127.0.0.1", int(poll.url.rstrip("/").rsplit(":", 1)[1]))
        writer.write(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: poll_voter={voter()}\r\n\r\n".encode())
        while heard.count(b"event: pulse\ndata: 0.05\n\n") < 3:  # the first says how long the pulse is, the others are two of it
            heard += await asyncio.wait_for(reader.read(1000), 10)
        assert len(limits.streams_of_voter) == len(limits.streams_of_address) == 1
        writer.close()
        await until(lambda: len(limits.streams_of_voter) == len(limits.streams_of_address) == 0)

    visit(scenario, room, limits=limits)
    assert b"text/event-stream" in heard


# --- hostile --------------------------------------------------------------------------------------------------------------

GOOD = {"question": "one", "choices": [0]}


@pytest.mark.parametrize(
    ("body", "headers", "status", "sentence"),
    [
        (b"{", {}, 400, "not JSON"),
        (b"\xff\xfe", {}, 400, "not JSON"),
        (b"[" * 1_500, {}, 400, "not JSON"),
        (b"", {}, 400, "not JSON"),
        (b"NaN", {}, 400, "not what this page sends"),
        (b'"text"', {}, 400, "not what this page sends"),
        (b'{"question": "\\ud800", "choices": [0]}', {}, 400, "no such question"),
        (b'{"question": "one", "choices": [1e999]}', {}, 400, "no such choice"),
        (b'{"question": "one; DROP TABLE votes", "choices": [0]}', {}, 400, "no such question"),
        (json.dumps(GOOD).encode() + b" " * 3_000, {}, 413, "longer than 2,000 bytes"),
        (b"9" * 900_000, {}, 413, "longer than 2,000 bytes"),
        (json.dumps(GOOD).encode(), {"Content-Type": "text/plain"}, 400, "not JSON"),
        (json.dumps(GOOD).encode(), {"Content-Type": "application/x-www-form-urlencoded"}, 400, "not JSON"),
        (json.dumps(GOOD).encode(), {"Host": "elsewhere.example"}, 403, "this computer only"),
        (json.dumps(GOOD).encode(), {"Cookie": "poll_voter=me"}, 400, "no cookie of the poll"),
        (json.dumps(GOOD).encode(), {"Cookie": f"poll_voter={'x' * 23}"}, 400, "no cookie of the poll"),
        (json.dumps(GOOD).encode(), {"Cookie": "poll_voter=" + "'" * 22}, 400, "no cookie of the poll"),
        (json.dumps(GOOD).encode(), {"Cookie": "other=1"}, 400, "no cookie of the poll"),
    ],
)
def test_hostile_votes_are_refused_in_one_sentence_and_not_kept_and_the_poll_goes_on(room, body, headers, status, sentence):
    async def scenario(poll):
        refused = await poll.post("vote", body, headers={"Cookie": f"poll_voter={voter(1)}"} | headers)
        assert room._store.votes() == []
        return refused, await poll.vote(voter(2), "one", 0)

    refused, after = visit(scenario, room)
    assert refused.code == status and sentence in problem(refused)
    assert after.code == 200 and len(room._store.votes()) == 1


def test_a_body_far_too_long_is_not_even_read(room):
    async def scenario(poll):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(poll.url.rstrip("/").rsplit(":", 1)[1]))
        writer.write(b"POST /vote HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n")
        return await asyncio.wait_for(reader.read(), 10)

    assert visit(scenario, room).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("sent", "limit"),
    [
        (b"POST /vote HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{", "body_timeout"),
        (b"POST /vote HTTP/1.1\r\nHost: 127.0.0.1\r\nX-One", "idle_connection_timeout"),
        (b"", "idle_connection_timeout"),
    ],
)
def test_a_request_that_never_ends_is_given_up(room, sent, limit):
    async def scenario(poll):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(poll.url.rstrip("/").rsplit(":", 1)[1]))
        writer.write(sent)
        return await asyncio.wait_for(reader.read(), 10)

    visit(scenario, room, serving={limit: 0.2})
    assert 0 < server.CONNECTION[limit] <= 30


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("nowhere", "GET", 404),
        ("../store.py", "GET", 404),
        ("server.py", "GET", 404),
        ("vote", "GET", 405),
        ("instructor/anything", "GET", 404),
        ("instructor/phase", "GET", 403),
        ("events", "GET", 400),
    ],
)
def test_other_addresses_and_methods_hold_nothing(room, path, method, status):
    async def scenario(poll):
        return await poll.fetch(path, method=method)

    reply = visit(scenario, room)
    assert reply.code == status and problem(reply)


def test_an_error_nobody_foresaw_is_told_without_its_details(room, caplog):
    def full(votes):
        raise RuntimeError("details")

    room._store.record = full

    async def scenario(poll):
        return await poll.vote(voter(), "one", 0)

    reply = visit(scenario, room)
    assert reply.code == 500 and problem(reply) == server.FAILED
    assert "RuntimeError: details" in caplog.text  # the terminal says what


# --- many, and too many ---------------------------------------------------------------------------------------------------


def test_two_hundred_phones_behind_one_address_vote_change_their_minds_and_none_is_lost(room):
    async def scenario(poll):
        streams = [await poll.stream("events", f"poll_voter={voter(i)}") for i in range(200)]
        await asyncio.gather(*(states.get() for states, *_ in streams))
        for turn in range(3):
            replies = await asyncio.gather(*(poll.vote(voter(i), "one", (i + turn) % 3) for i in range(200)))
            assert {reply.code for reply in replies} == {200}
        for _, client, task in streams:
            task.cancel()
            client.close()

    visit(scenario, room)
    assert {(vote.voter, vote.choices) for vote in room._store.votes()} == {
        (voter(i), (room.questions["one"].choices[(i + 2) % 3].text,)) for i in range(200)
    }


def test_one_script_that_floods_is_stopped_and_takes_nothing_from_the_others_behind_its_address(room):
    async def scenario(poll):
        for i in range(100):
            assert (await poll.vote(voter(i), "one", 1)).code == 200
        flood = await asyncio.gather(*(poll.vote(voter(0), "one", 0) for _ in range(500)))
        others = await asyncio.gather(*(poll.vote(voter(i), "one", 2) for i in range(1, 101)))
        return flood, others

    flood, others = visit(scenario, room)
    passed = [reply for reply in flood if reply.code == 200]
    refused = [reply for reply in flood if reply.code == 429]
    assert len(passed) < 30 and len(passed) + len(refused) == 500
    assert "wait a few seconds" in problem(refused[0])
    assert {reply.code for reply in others} == {200}


def test_a_script_that_invents_voters_is_stopped_and_those_who_have_voted_go_on(room):
    async def scenario(poll):
        assert (await poll.vote(voter(999), "one", 1)).code == 200
        flood = [(await poll.vote(secrets.token_urlsafe(16), "one", 0)).code for _ in range(120)]
        return flood, (await poll.vote(voter(999), "one", 2)).code

    flood, known = visit(scenario, room, limits=Limits(voters_per_address=50))
    assert 49 <= flood.count(200) <= 55 and set(flood) == {200, 429}, "49, and one more every ten seconds"
    assert known == 200


def test_after_another_start_those_who_have_voted_are_not_new(room, questions):
    async def first(poll):
        return [(await poll.vote(voter(i), "one", 0)).code for i in range(4)]

    async def second(poll):
        return [(await poll.vote(voter(i), "one", 1)).code for i in range(7)]

    assert visit(first, room, limits=Limits(4)) == [200] * 4
    room._store.close()
    assert visit(second, Room(questions, Store(room._store.path, "q/mixed")), limits=Limits(2)) == [200] * 6 + [429]


def test_behind_a_proxy_the_limits_are_for_the_address_it_names(room):
    async def vote(poll, i, source):
        return (await poll.post("vote", GOOD, f"poll_voter={voter(i)}", {"X-Real-IP": source})).code

    async def scenario(poll):
        return [await vote(poll, i, "203.0.113.1") for i in range(4)] + [await vote(poll, 9, "203.0.113.2")]

    assert visit(scenario, room, limits=Limits(3), serving={"xheaders": True}) == [200, 200, 200, 429, 200]
    assert [vote.voter for vote in room._store.votes()] == [voter(0), voter(1), voter(2), voter(9)]


def test_without_a_proxy_nobody_can_pretend_another_address(room):
    async def scenario(poll):
        headers = [{"X-Real-IP": f"203.0.113.{i}", "X-Forwarded-For": f"203.0.113.{i}"} for i in range(4)]
        return [(await poll.post("vote", GOOD, f"poll_voter={voter(i)}", more)).code for i, more in enumerate(headers)]

    assert visit(scenario, room, limits=Limits(3)) == [200, 200, 200, 429]


def test_the_fifth_page_of_a_browser_takes_the_place_of_its_first_which_is_told(room):
    limits = Limits()

    async def scenario(poll):
        mine = []
        for _ in range(5):
            mine.append(await poll.stream("events", f"poll_voter={voter()}"))
            assert (await mine[-1][0].get())["id"] == "one"
        assert await asyncio.wait_for(mine[0][0].get(), 10) == "replaced"
        assert (await asyncio.wait_for(mine[0][2], 10)).code == 200, "and its connection ends"
        await poll.act("show", {"question": "several"})
        for states, *_ in mine[1:]:
            assert (await asyncio.wait_for(states.get(), 10))["id"] == "several"
        assert len(limits.streams_of_voter) == 1 and limits.streams_of_address._there == {"127.0.0.1": 4}

    visit(scenario, room, limits=limits)


def test_an_address_can_open_many_streams_and_no_more(room):
    async def scenario(poll):
        there = [await poll.stream("events", f"poll_voter={voter(i)}") for i in (0, 0, 0, 1, 1, 2)]
        await asyncio.gather(*(states.get() for states, *_ in there))
        return await poll.fetch("events", f"poll_voter={voter(3)}")

    refused = visit(scenario, room, limits=Limits(voters_per_address=3))
    assert refused.code == 429 and "close some" in problem(refused)


# --- the pages ------------------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Every element of a page as (name, attributes)."""

    def __init__(self, text):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def pages(room, **options):
    async def scenario(poll):
        return [(await poll.fetch(path, f"poll_token={TOKEN}")).body.decode() for path in ("", "instructor")]

    return visit(scenario, room, **options)


def test_nothing_on_the_pages_comes_from_elsewhere_or_runs_from_within_them(room):
    assert len(FILES) == 7
    for name, text in FILES.items():
        assert not re.search(r"(https?:)?//\w|@import|url\(", re.sub(r"(^|\s)//\s.*$", "", text, flags=re.MULTILINE)), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), name
    for page in pages(room):
        for tag, attributes in Elements(page).found:
            assert tag not in ("style", "iframe", "object", "embed", "base") and "style" not in attributes
            assert not [name for name in attributes if name.startswith("on")]
            assert tag != "script" or attributes["src"] in FILES


def test_every_part_has_a_heading_and_the_order_of_the_page_is_the_order_of_the_keyboard(room):
    for page in pages(room):
        elements = Elements(page).found
        ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
        assert len(ids) == len(set(ids)) and ("html", {"lang": "en"}) in elements
        assert [tag for tag, _ in elements].count("h1") == 1
        for _, attributes in elements:
            assert "tabindex" not in attributes
            for reference in ("aria-labelledby", "aria-describedby"):
                assert reference not in attributes or attributes[reference] in ids


def test_the_projector_shows_the_address_as_text_and_as_a_code_with_a_border(room):
    attendees = "http://192.168.1.7:8008/"
    page = pages(room, attendees=attendees)[1]
    assert f">{attendees}<" in page and "Only this computer" not in page
    import segno

    assert dict(Elements(page).found)["svg"]["viewbox"] == "0 0 33 33", "25 x 25 modules and four of white on each side"
    expected = segno.make(attendees, error="m", micro=False)
    assert expected.symbol_size(border=4) == (33, 33)
    drawn = re.search(r'<path[^>]*stroke="#000"[^>]* d="([^"]+)"', page)[1]
    assert dark_modules(drawn) == {
        (x, y) for y, row in enumerate(expected.matrix_iter(border=4)) for x, module in enumerate(row) if module
    }, "every module is where it should be"
    assert "Only this computer" in pages(room)[1]


def dark_modules(path):
    """The squares that the lines of an SVG path cover, as (column, row): M and m move, h draws to the right."""
    x = y = 0.0
    found = set()
    for command, numbers in re.findall(r"([Mmh])([^Mmh]*)", path):
        values = [float(value) for value in re.findall(r"-?\d*\.?\d+", numbers)]
        if command == "M":
            x, y = values
        elif command == "m":
            x, y = x + values[0], y + values[1]
        else:
            found |= {(int(x) + i, int(y)) for i in range(int(values[0]))}
            x += values[0]
    return found


# --- the command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch):
    """What the command would serve: (application, listening socket, options) of each start."""
    served = []

    async def note(application, listening, **options):
        served.append((application, listening.getsockname(), options))
        listening.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "serve", note)
    return served


def command(file, *arguments):
    return main(["--port", "0", "--file", str(file), *arguments])


def test_the_command_says_where_the_pages_are_and_ends_quietly_with_the_keyboard(capsys, started, file):
    assert command(file) == 0
    out = capsys.readouterr().out
    found = re.fullmatch(
        r"Poll: the opening poll, 3 questions, kept in (.*)\n"
        r"Instructor: (http://127\.0\.0\.1:\d+/)instructor\?token=([\w-]{43})\n"
        r"Attendees: (http://127\.0\.0\.1:\d+/)   \(Ctrl\+C ends it\)\nEnded\.\n",
        out,
    )
    assert found and found[1] == str(file) and found[2] == found[4]
    ((application, (host, _), options),) = started
    assert host == "127.0.0.1" and application.settings["token"] == found[3] and not options["xheaders"]
    assert application.settings["names"] == {"127.0.0.1", "localhost", "::1"}
    assert command(file) == 0
    assert started[1][0].settings["token"] != found[3], "each start has a token of its own"


def test_the_network_is_listened_on_only_when_asked_for(capsys, started, file, monkeypatch):
    monkeypatch.setattr(server, "network_address", lambda: "192.168.1.7")
    assert command(file, "--network") == 0
    out = capsys.readouterr().out
    assert re.search(r"^Attendees: http://192\.168\.1\.7:\d+/ ", out, re.MULTILINE)
    assert re.search(r"^Instructor: http://127\.0\.0\.1:\d+/instructor\?token=", out, re.MULTILINE), "the token stays off the network"
    application, (host, _), _ = started[0]
    assert host == "0.0.0.0" and application.settings["names"] is None


def test_behind_a_proxy_it_listens_here_and_is_called_by_both_names(capsys, started, file):
    assert command(file, "--url", "https://Poll.example.org") == 0
    out = capsys.readouterr().out
    assert "Attendees: https://Poll.example.org/ " in out and "Instructor: https://Poll.example.org/instructor?token=" in out
    application, (host, _), options = started[0]
    assert host == "127.0.0.1" and options["xheaders"] and application.settings["secure"]
    assert application.settings["names"] == {"127.0.0.1", "localhost", "::1", "poll.example.org"}


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux can be told")
def test_a_phone_that_left_without_a_word_is_given_up_after_half_a_minute(monkeypatch, file):
    found = []

    async def accept_one(application, listening, **options):
        with socket.create_connection(listening.getsockname()):
            connection, _ = listening.accept()
            found.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        connection.close()
        listening.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "serve", accept_one)
    assert command(file) == 0 and found == [30_000], "milliseconds, of each connection"


def test_another_set_is_another_poll_in_the_same_file_and_new_puts_all_of_it_aside(capsys, started, file):
    store = Store(file, "00_start_here/poll")
    room = Room(server.load_set("00_start_here", "poll"), store)
    asyncio.run(room.vote(voter(), {"question": room.shown, "choices": [0]}))
    store.close()
    assert command(file) == 0 and "poll.sqlite; votes so far: 1 (--new begins without)\n" in capsys.readouterr().out
    assert command(file, "--quiz", "04_attention", "--set", "masks") == 0
    out = capsys.readouterr().out
    assert "4 questions" in out and "votes so far" not in out
    assert command(file, "--quiz", "04_attention") == 0
    assert started[-1][0].settings["room"].name == "04_attention-alignment"
    assert command(file, "--new") == 0
    out = capsys.readouterr().out
    assert re.search(r"^The old votes are now in .*poll-\d{8}-\d{6}\.sqlite\.$", out, re.MULTILINE) and "votes so far" not in out


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
    ],
)
def test_settings_that_cannot_be_are_one_line(capsys, started, file, arguments, sentence):
    assert command(file, *arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and sentence in error and started == []


def test_a_port_that_is_taken_is_one_line_and_leaves_the_votes_alone(capsys, started, file):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["--port", port, "--file", str(file), "--new"]) == 2
    assert re.fullmatch(rf"error: cannot listen on 127\.0\.0\.1:{port} \(.*in use\); .*\n", capsys.readouterr().err)
    assert not file.exists()


def test_a_computer_in_no_network_is_one_sentence(monkeypatch):
    class Nowhere(socket.socket):
        def connect(self, address):
            raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(server.socket, "socket", Nowhere)
    with pytest.raises(OSError, match=r"in no network; join the one of the room, or give its address with --host\."):
        network_address()


def test_the_address_of_the_network_is_one_that_can_be_listened_on():
    try:
        found = network_address()
    except OSError:
        pytest.skip("this computer is in no network")
    bind(found, 0).close()


@pytest.mark.parametrize(
    ("url", "published"),
    [("https://poll.example.org", "https://poll.example.org/"), ("http://10.0.0.1:81/", "http://10.0.0.1:81/")],
)
def test_a_published_address_ends_with_a_slash(url, published):
    assert public_address(url) == published


def test_the_demo_and_the_poll_answer_by_the_same_rules():
    from src.apps.demo import server as demo

    assert demo.Handler is server.Handler is web.Handler and demo.serve is web.serve and demo.bind is server.bind


def test_quizzes_are_where_the_manual_says(course):
    text = (course / "docs" / "polls.md").read_text(encoding="utf-8")
    for quiz, key in re.findall(r"--quiz (\w+) --set (\w+)", text):
        assert key in server.load_quiz(quiz)
    assert course / "data" / "quizzes" == QUIZZES and "data/quizzes" in text
    assert all(option in text for option in ("--network", "--host", "--url", "--file", "--new", "--voters-per-address"))
