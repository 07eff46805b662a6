"""The poll over HTTP: who may ask for what, and that 200 phones pass and a flood does not."""

import asyncio
import json
import re

import pytest
import segno

from src.apps.poll import server
from src.apps.poll.room import Room
from src.apps.poll.server import CONNECTION, NOT_YOURS, make_application
from src.apps.poll.store import Store
from tests.unit.apps import visits
from tests.unit.apps.visits import JSON, cookie_of, problem, voter

TOKEN = "the-token-of-this-start"
INSTRUCTOR = f"poll_token={TOKEN}"
HERE = "http://127.0.0.1:8008/"


def act(poll, path, asked):
    return poll.post(f"instructor/{path}", asked, INSTRUCTOR)


def visit(scenario, room, attendees=HERE, serving=None, **options):
    application = make_application(room, TOKEN, attendees, **options)
    return visits.visit(scenario, application, **CONNECTION | (serving or {}))


# --- who may ask for what ---


def test_a_browser_becomes_one_voter_by_a_cookie_that_scripts_cannot_read(room):
    async def scenario(poll):
        first, second = await poll.fetch(), await poll.fetch()
        cookie = first.headers["Set-Cookie"].split(";")[0]
        return first, second, await poll.fetch("", cookie), await poll.fetch("", "poll_voter=x")

    first, second, again, spoilt = visit(scenario, room)
    form = r"poll_voter=[\w-]{22}; HttpOnly; Max-Age=86400; Path=/; SameSite=Lax"
    assert re.fullmatch(form, first.headers["Set-Cookie"])
    assert first.headers["Set-Cookie"] != second.headers["Set-Cookie"]
    assert "Set-Cookie" not in again.headers and "Set-Cookie" in spoilt.headers


def test_the_token_moves_from_the_address_into_a_cookie_which_behind_tls_is_for_tls_only(room):
    async def scenario(poll):
        voter, first = await poll.fetch(), await poll.fetch(f"instructor?token={TOKEN}")
        cookie = first.headers["Set-Cookie"].split(";")[0]
        return voter, first, await poll.fetch("instructor", cookie)

    _, first, page = visit(scenario, room)
    assert (first.code, first.headers["Location"], first.body) == (303, "/instructor", b"")
    expected = f"poll_token={TOKEN}; HttpOnly; Path=/instructor; SameSite=Lax"
    assert first.headers["Set-Cookie"] == expected
    assert page.code == 200 and TOKEN not in page.body.decode()
    for reply in visit(scenario, room, attendees="https://poll.example.org/")[:2]:
        assert "Secure" in reply.headers["Set-Cookie"].split("; ")


INSTRUCTING = {
    "instructor": None,
    "instructor/events": None,
    "instructor/votes.csv": None,
    "instructor/show": {"question": "q/several"},
    "instructor/set_phase": {"question": "q/one", "phase": "revealed"},
    "instructor/moderate": {"question": "q/one", "text": "x", "shown": True},
}


@pytest.mark.parametrize("path", INSTRUCTING)
def test_without_the_token_nothing_of_the_instructors_is_answered_or_done(room, path):
    async def scenario(poll):
        asked = INSTRUCTING[path]
        options = {"method": "GET" if asked is None else "POST"}
        options["body"] = None if asked is None else json.dumps(asked)
        wrong = ["", "x", TOKEN[:-1], f"{TOKEN}x", "ä"]
        cookies = ["", cookie_of(0), *(f"poll_token={token}" for token in wrong)]
        replies = [await poll.fetch(path, cookie, JSON, **options) for cookie in cookies]
        addresses = ["?token=", "?token=x", f"?token={TOKEN}x", "?token=%F0%9F%99%82"]
        if path != "instructor":  # the token in the address helps on the page only
            addresses.append(f"?token={TOKEN}")
        return replies + [await poll.fetch(path + more, "", JSON, **options) for more in addresses]

    for reply in visit(scenario, room):
        told = reply.body.decode()
        assert reply.code == 403 and NOT_YOURS in told and "secret" not in told
        assert "Set-Cookie" not in reply.headers
    assert room.shown == "q/one" and room.phase("q/one") == "open"


def test_without_a_voters_cookie_there_is_no_vote_and_no_stream(room):
    async def scenario(poll):
        cookies = ["", "other=1", "poll_voter=me", f"poll_voter={'x' * 23}"]
        vote = {"question": "q/one", "choices": [0]}
        replies = [await poll.post("vote", vote, cookie) for cookie in cookies]
        return replies + [await poll.fetch("events", cookie) for cookie in cookies]

    for refused in visit(scenario, room):
        assert refused.code == 400 and "no cookie of the poll" in problem(refused)
    assert room._store.votes() == []


# --- a poll ---


def test_a_vote_reaches_the_instructors_stream_and_a_reveal_the_voters(room):
    async def scenario(poll):
        projector, _ = await poll.stream("instructor/events", INSTRUCTOR)
        assert (await projector.get())["now"]["counts"] == [0, 0, 0]
        phone, _ = await poll.stream("events", cookie_of(1))
        assert (await phone.get())["yours"] == []
        assert (await projector.get())["present"] == 1
        for choice, counts in ((1, [0, 1, 0]), (0, [1, 0, 0])):
            assert (await poll.vote(1, "q/one", choice)).code == 200
            assert (await projector.get())["now"]["counts"] == counts
        assert phone.empty(), "what others vote is not the phones' business"
        await act(poll, "set_phase", {"question": "q/one", "phase": "revealed"})
        told = await phone.get()
        assert told["answers"][1]["right"] and told["now"]["counts"] == [1, 0, 0]
        assert (await projector.get())["phase"] == "revealed"
        late = await poll.vote(2, "q/one", 1)
        assert (late.code, problem(late)) == (409, "Voting on this question is over.")
        assert (await act(poll, "show", {"question": "none"})).code == 400
        assert (await act(poll, "show", {"question": "q/several"})).code == 200
        assert (await phone.get())["id"] == "q/several"
        return await poll.fetch("instructor/votes.csv", INSTRUCTOR)

    table = visit(scenario, room)
    assert table.headers["Content-Disposition"] == 'attachment; filename="votes.csv"'
    assert table.headers["Content-Type"] == "text/csv; charset=UTF-16"
    assert table.body == room.csv()


def test_a_silent_stream_says_that_it_is_there_and_one_that_is_left_is_forgotten(room, monkeypatch):
    monkeypatch.setattr(server, "HEARTBEAT", 0.05)

    async def scenario(poll):
        projector, _ = await poll.stream("instructor/events", INSTRUCTOR)
        request = f"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie_of(0)}\r\n\r\n"
        reader, writer = await poll.connect(request.encode())
        heard = b""
        while heard.count(b"event: pulse\ndata: 0.05\n\n") < 3:
            heard += await asyncio.wait_for(reader.read(1000), 10)
        assert b"text/event-stream" in heard and heard.count(b'"id"') == 1
        while (await projector.get())["present"] != 1:
            pass
        writer.close()
        async with asyncio.timeout(10):
            while (await projector.get())["present"]:  # 1 may be told twice
                pass

    visit(scenario, room)


def test_the_projector_shows_the_address_as_text_and_as_a_code_with_a_border(room):
    async def scenario(poll):
        return (await poll.fetch("instructor", INSTRUCTOR)).body.decode()

    attendees = "http://192.168.1.7:8008/"
    page = visit(scenario, room, attendees=attendees)
    assert f">{attendees}<" in page and "Only this computer" not in page
    width, height = segno.make(attendees, error="m", micro=False).symbol_size(border=4)
    assert f'viewBox="0 0 {width} {height}"' in page
    assert "Only this computer" in visit(scenario, room)


# --- many, and too many ---


def test_two_hundred_phones_behind_one_address_change_their_minds_and_no_vote_is_lost(room):
    async def scenario(poll):
        streams = [await poll.stream("events", cookie_of(i)) for i in range(200)]
        await asyncio.gather(*(states.get() for states, _ in streams))
        for turn in range(3):
            votes = (poll.vote(i, "q/one", (i + turn) % 3) for i in range(200))
            assert {reply.code for reply in await asyncio.gather(*votes)} == {200}
        for _, hang_up in streams:
            hang_up()

    visit(scenario, room)
    texts = [choice.text for choice in room.questions["q/one"].choices]
    cast = {(vote.voter, vote.choices) for vote in room._store.votes()}
    assert cast == {(voter(i), (texts[(i + 2) % 3],)) for i in range(200)}


def test_one_script_that_floods_takes_nothing_from_the_others_behind_its_address(room):
    async def scenario(poll):
        for i in range(100):
            assert (await poll.vote(i, "q/one", 1)).code == 200
        flood = await asyncio.gather(*(poll.vote(0, "q/one", 0) for _ in range(500)))
        return flood, await asyncio.gather(*(poll.vote(i, "q/one", 2) for i in range(1, 101)))

    flood, others = visit(scenario, room)
    refused = [reply for reply in flood if reply.code == 429]
    assert 470 < len(refused) < 500 and "wait a few seconds" in problem(refused[0])
    assert {reply.code for reply in flood} == {200, 429}
    assert {reply.code for reply in others} == {200}


def test_after_another_start_those_who_have_voted_are_not_new(room, questions):
    def voting(count):
        async def scenario(poll):
            return [(await poll.vote(i, "q/one", 0)).code for i in range(count)]

        return scenario

    assert visit(voting(4), room, voters_per_address=4) == [200] * 4
    room._store.close()
    again = Room([questions], Store(room._store.path))
    assert visit(voting(7), again, voters_per_address=2) == [200] * 6 + [429]


@pytest.mark.parametrize(("proxy", "last"), [(True, 200), (False, 429)])
def test_who_asks_is_what_a_proxy_says_and_nobody_else(room, proxy, last):
    async def scenario(poll):
        sources = ["203.0.113.1"] * 4 + ["203.0.113.2"]
        headers = [{"X-Real-IP": one, "X-Forwarded-For": one} for one in sources]
        return [
            (await poll.vote(i, "q/one", 0, headers=more)).code for i, more in enumerate(headers)
        ]

    codes = visit(scenario, room, voters_per_address=3, serving={"xheaders": proxy})
    assert codes == [200, 200, 200, 429, last]


def test_the_fifth_page_of_a_browser_takes_the_place_of_its_first_which_is_told(room):
    async def scenario(poll):
        mine = []
        for _ in range(5):
            mine.append((await poll.stream("events", cookie_of(0)))[0])
            assert (await mine[-1].get())["id"] == "q/one"
        assert await asyncio.wait_for(mine[0].get(), 10) == "replaced"
        await act(poll, "show", {"question": "q/several"})
        for states in mine[1:]:
            assert (await asyncio.wait_for(states.get(), 10))["id"] == "q/several"
        assert mine[0].empty()

    visit(scenario, room)


def test_an_address_can_open_many_streams_and_no_more(room):
    async def scenario(poll):
        there = [await poll.stream("events", cookie_of(i)) for i in (0, 0, 0, 1, 1, 2)]
        await asyncio.gather(*(states.get() for states, _ in there))
        return await poll.fetch("events", cookie_of(3))

    refused = visit(scenario, room, voters_per_address=3)
    assert refused.code == 429 and "close some" in problem(refused)
