"""The poll over HTTP: a page to vote on, a page for the projector, and their event streams."""

import asyncio
import hmac
import json
import re
import resource
import secrets
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import segno
from tornado.iostream import StreamClosedError
from tornado.locks import Condition
from tornado.web import Application

from src.apps.poll.limits import VoterLimits, rate_key
from src.apps.poll.room import Room
from src.apps.web import server as web
from src.apps.web.server import LOOPBACK_NAMES, Handler, Problem

FOLDER = Path(__file__).resolve().parent
# Many times the longest body that a page sends; seconds; seconds.
CONNECTION = {"max_body_size": 2_000, "body_timeout": 10, "idle_connection_timeout": 30}
HEARTBEAT = 5.0  # seconds; proxies end streams that are silent, and pages give them up
SILENT_SECONDS = 30  # after which the other end of a connection is taken for gone
REDRAW_SECONDS = 0.05  # between two messages: faster than an eye, few for 200 votes
OPEN_FILES = 4096  # one for each connection; some systems allow 256 where nobody asks

VOTER_COOKIE, TOKEN_COOKIE = "poll_voter", "poll_token"
VOTER_ID = re.compile(r"[A-Za-z0-9_-]{22}")  # as secrets.token_urlsafe(16) makes them
DAY = 86_400  # seconds for which a phone is the same voter
VOTERS_PER_ADDRESS = 250  # a room may have one address for all its phones
NO_COOKIE = (
    "This browser sends no cookie of the poll, by which votes are counted; allow it, and reload."
)
NOT_YOURS = "This page is the instructor's: open the address that the poll's terminal prints now."
TOO_MANY_VOTES = "Those were too many votes in a short time; wait a few seconds, then vote again."
TOO_MANY_STREAMS = "This poll is open too many times from here; close some of its pages."


class PollHandler(Handler):
    """What the poll's answers have in common."""

    @property
    def room(self) -> Room:
        return self.settings["room"]

    @property
    def limits(self) -> VoterLimits:
        return self.settings["limits"]

    @property
    def source(self) -> str:
        return rate_key(self.request.remote_ip or "")

    @property
    def voter(self) -> str:
        """The id of the voter who asks."""
        voter = self.get_cookie(VOTER_COOKIE, "")
        if not VOTER_ID.fullmatch(voter):
            raise Problem(400, NO_COOKIE)
        return voter

    def keep(self, name: str, value: str, **options: Any) -> None:
        """Set a cookie that no script reads and no other site's script makes a browser send."""
        secure = self.settings["attendees"].startswith("https:")
        # A link from elsewhere may: slides lead to their question.
        self.set_cookie(name, value, httponly=True, secure=secure, samesite="Lax", **options)


class EventStream(PollHandler):
    """Something to show, again whenever it has changed."""

    _task: asyncio.Task | None = None
    _replaced = False

    async def send(self, view: Callable[[], dict[str, Any]], changed: Condition) -> None:
        """Send `view()` now and after each change, until the browser leaves."""
        self._task = asyncio.current_task()
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")  # nginx must not gather what should arrive
        pulse = f"event: pulse\ndata: {HEARTBEAT:g}\n\n"  # how long silence means nothing
        self.write(f"retry: 1000\n{pulse}")  # milliseconds until a browser reconnects
        told = ""
        with suppress(StreamClosedError, asyncio.CancelledError):
            while True:
                change = changed.wait(timedelta(seconds=HEARTBEAT))
                state = json.dumps(view())  # anew: a change may come as time runs out
                self.write(pulse if state == told else f"data: {state}\n\n")
                told = state
                await self.flush()
                await asyncio.sleep(REDRAW_SECONDS)
                await change
        if self._replaced:
            self.write("event: replaced\ndata: by a newer one\n\n")

    def give_way(self) -> None:
        """End for a newer stream of this browser, whose page would else come back at once."""
        self._replaced = True
        self.on_connection_close()

    def on_connection_close(self) -> None:
        if self._task is not None:
            self._task.cancel()


# --- for those who vote ---


class VoterPage(PollHandler):
    """The page to vote on, which makes a browser one voter."""

    def get(self) -> None:
        if not VOTER_ID.fullmatch(self.get_cookie(VOTER_COOKIE, "")):
            self.keep(VOTER_COOKIE, secrets.token_urlsafe(16), max_age=DAY)
        self.render("vote.html")


class VoterEvents(EventStream):
    """What a voter's page shows."""

    async def get(self) -> None:
        voter, room = self.voter, self.room
        with self.limits.streams.opened(voter, self.source, self.give_way) as allowed:
            if not allowed:
                raise Problem(429, TOO_MANY_STREAMS)
            room.counted.notify_all()  # the instructor sees how many are there
            await self.send(lambda: room.voter_view(voter), room.moved)
        room.counted.notify_all()


class CastVote(PollHandler):
    """POST to `Room.vote`."""

    async def post(self) -> None:
        voter = self.voter
        if not self.limits.take_vote(voter, self.source):
            raise Problem(429, TOO_MANY_VOTES)
        self.finish({"written": await self.room.vote(voter, self.json_body())})


# --- for the instructor ---


class InstructorHandler(PollHandler):
    """What needs this start's token in a cookie."""

    def prepare(self) -> None:
        super().prepare()
        if not self.is_token(self.get_cookie(TOKEN_COOKIE, "")):
            raise Problem(403, NOT_YOURS)

    def is_token(self, text: str) -> bool:
        """Whether this is the token, compared in constant time."""
        token = self.settings["token"].encode()
        return hmac.compare_digest(text.encode(errors="replace"), token)


class InstructorPage(InstructorHandler):
    """The page for the projector. ?token=... is moved from the address into a cookie."""

    def prepare(self) -> None:
        token = self.get_query_argument("token", None)
        if token is None or not self.is_token(token):
            super().prepare()
            return
        Handler.prepare(self)
        self.keep(TOKEN_COOKIE, token, path="/instructor")
        self.redirect("/instructor", status=303)

    def get(self) -> None:
        attendees = self.settings["attendees"]
        code = segno.make(attendees, error="m", micro=False)
        image = code.svg_inline(border=4, dark="#000", light="#fff", omitsize=True)
        here_only = urlsplit(attendees).hostname in LOOPBACK_NAMES
        self.render("instructor.html", attendees=attendees, code=image, here_only=here_only)

    def write_error(self, status_code: int, **details: Any) -> None:  # a person reads it
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(self.sentence(status_code, details))


class InstructorEvents(InstructorHandler, EventStream):
    """What the projector shows."""

    async def get(self) -> None:
        room, streams = self.room, self.limits.streams
        await self.send(lambda: room.instructor_view() | {"present": streams.voters}, room.counted)


class InstructorAction(InstructorHandler):
    """POST to a method of the room."""

    def post(self, action: str) -> None:
        getattr(self.room, action)(self.json_body())
        self.finish({})


class VotesFile(InstructorHandler):
    """All votes as a table."""

    def get(self) -> None:
        self.set_header("Content-Type", "text/csv; charset=UTF-16")
        self.set_header("Content-Disposition", 'attachment; filename="votes.csv"')
        self.finish(self.room.csv())


# --- the server ---


def make_application(
    room: Room,
    token: str,
    attendees: str,
    names: Collection[str] | None = LOOPBACK_NAMES,
    voters_per_address: int = VOTERS_PER_ADDRESS,
) -> Application:
    """The web application.

    Args:
        room: the poll.
        token: the instructor's.
        attendees: the address where they find the poll.
        names: host names it answers to; None: any.
        voters_per_address: see VoterLimits.
    """
    routes: list[tuple] = [
        (r"/", VoterPage),
        (r"/events", VoterEvents),
        (r"/vote", CastVote),
        (r"/instructor", InstructorPage),
        (r"/instructor/events", InstructorEvents),
        (r"/instructor/(show|set_phase|moderate)", InstructorAction),
        (r"/instructor/votes\.csv", VotesFile),
    ]
    return web.make_application(
        routes,
        FOLDER,
        room=room,
        limits=VoterLimits(voters_per_address, room.voters()),
        token=token,
        attendees=attendees,
        names=names,
    )


def network_address() -> str:
    """This computer's address in its network.

    Raises:
        OSError: it is in none.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:  # sends nothing: it only finds out which way a message would take
            probe.connect(("198.51.100.1", 9))
        except OSError:
            advice = "join the one of the room, or give its address with --host"
            raise OSError(f"this computer is in no network; {advice}.") from None
        return probe.getsockname()[0]


def public_address(url: str) -> str:
    """The address of a proxy, with a slash at its end.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(r"https?://([\w.-]+|\[[\da-fA-F:.]+\])(:[1-9]\d{0,4})?/*", url):
        form = "an address like https://poll.example.org, with nothing after the name"
        raise ValueError(f"--url is {url!r}; it is {form}.")
    return f"{url.rstrip('/')}/"


def end_silent_connections(listening: socket.socket) -> None:
    """Have Linux end connections to phones that left, which would be "here" for 15 minutes."""
    if option := getattr(socket, "TCP_USER_TIMEOUT", None):  # in milliseconds
        listening.setsockopt(socket.IPPROTO_TCP, option, 1000 * SILENT_SECONDS)


def raise_file_limit() -> None:
    """Let this process open as many files as a full room needs, where it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
