"""The poll's web server: a page to vote on, a page for the projector, and event streams that keep both as they should be."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import resource
import secrets
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import segno
from tornado.iostream import StreamClosedError
from tornado.web import Application

from src.apps.poll.limits import AtOnce, Newest, Rate, TooMuch, network_of
from src.apps.poll.room import Over, Room, Signal
from src.apps.poll.store import Store, put_aside
from src.apps.web.server import BASE, LOCAL, File, Handler, Nothing, Problem, address, bind, json_of, serve
from src.teaching.quizzes import load_quiz, load_set

FOLDER = Path(__file__).resolve().parent
FILES = r"/(poll\.css|shared\.js|vote\.js|instructor\.js)"
MOST_BYTES = 2_000  # of a request's body: many times the longest that a page sends
CONNECTION = {"max_body_size": 1_000_000, "body_timeout": 10, "idle_connection_timeout": 30}  # bytes, seconds, seconds
HEARTBEAT = 5.0  # seconds of silence after which a stream says that it is there: proxies end silent ones, and pages give them up
VANISHED = 30  # seconds without an answer after which whoever is at the other end of a connection is taken for gone
PAUSE = 0.05  # seconds between two looks at the bars: faster than an eye, and 200 votes are a few messages
OPEN_FILES = 4096  # connections need one each; some systems allow 256 where nobody asks

VOTER, TOKEN = "poll_voter", "poll_token"  # cookies
VOTER_ID = re.compile(r"[A-Za-z0-9_-]{22}")  # as secrets.token_urlsafe(16) makes them
DAY = 86_400  # seconds; how long a phone is the same voter
VOTERS_PER_ADDRESS = 250  # a room may have one address for all its phones
NO_COOKIE = "This browser sends no cookie of the poll, which tells its vote from others'; allow it, and reload."
FAILED = "Something went wrong, and this was not kept; the terminal of the poll says what."
NOT_YOURS = "This page is the instructor's: open the address that the poll's terminal prints, as it prints it now."


class Limits:
    """How much one phone, and all phones behind one address, may ask for. A room of 200 is far below, a script soon above.

    voters_per_address: how many voters may come from one address; after that, one more every ten seconds
    """

    def __init__(self, voters_per_address: int = VOTERS_PER_ADDRESS):
        self.votes_of_voter = Rate(10, 1.0)
        self.votes_of_address = Rate(4 * voters_per_address, voters_per_address / 2)
        self.new_voters = Rate(voters_per_address, 0.1)
        self.streams_of_voter = Newest(4)
        self.streams_of_address = AtOnce(2 * voters_per_address)


class Web(Handler):
    """What the poll's answers have in common."""

    @property
    def room(self) -> Room:
        """The poll."""
        return self.settings["room"]

    @property
    def limits(self) -> Limits:
        """The limits on those who vote."""
        return self.settings["limits"]

    @property
    def source(self) -> str:
        """Where the request comes from, for the limits."""
        return network_of(self.request.remote_ip or "")

    def keep(self, name: str, value: str, **options: Any) -> None:
        """Set a cookie that no script can read and no other site can make a browser send along with a request of its own.

        Lax, not Strict: who follows a link to the poll, from a chat or from a terminal in a browser, must come as who they are.
        """
        self.set_cookie(name, value, httponly=True, secure=self.settings["secure"], samesite="Lax", **options)

    def asked(self) -> object:
        """What the body says. Raises Problem where it is too long, or no JSON."""
        if len(self.request.body) > MOST_BYTES:
            raise Problem(413, f"What arrived is longer than {MOST_BYTES:,} bytes; reload the page and try again.")
        try:
            return json_of(self.request)
        except ValueError as error:
            raise Problem(400, str(error)) from None


class Stream(Web):
    """An event stream: something to show, and again whenever it has changed, as it is then; what was between is left out."""

    _task: asyncio.Task | None = None
    _replaced = False

    async def send(self, view: Callable[[], dict[str, Any]], signal: Signal) -> None:
        """Send `view()` now and after each change, until the browser leaves."""
        self._task = asyncio.current_task()
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")  # a proxy (nginx) must not gather what should arrive at once
        pulse = f"event: pulse\ndata: {HEARTBEAT:g}\n\n"  # the page can tell from it for how long silence is nothing
        self.write(f"retry: 1000\n{pulse}")  # milliseconds until a browser that lost us looks again
        with suppress(StreamClosedError, asyncio.CancelledError):
            while True:
                version = signal.version
                self.write(f"data: {json.dumps(view())}\n\n")
                await self.flush()
                await asyncio.sleep(PAUSE)
                while not await signal.changed(version, HEARTBEAT):
                    self.write(pulse)
                    await self.flush()
        if self._replaced:
            self.write("event: replaced\ndata: by a newer one\n\n")

    def give_way(self) -> None:
        """End it for a newer one of the same browser, and tell the page, which would else come back at once."""
        self._replaced = True
        if self._task is not None:
            self._task.cancel()

    def on_connection_close(self) -> None:
        """Stop with the one who looked."""
        if self._task is not None:
            self._task.cancel()


# --- for those who vote --------------------------------------------------------------------------------------------------


class VotePage(Web):
    """The page to vote on. With it a browser gets the random id that makes it one voter."""

    def get(self) -> None:
        """Send the page."""
        if not VOTER_ID.fullmatch(self.get_cookie(VOTER, "")):
            self.keep(VOTER, secrets.token_urlsafe(16), max_age=DAY)
        self.render("vote.html")


class Voting(Web):
    """What is asked by somebody with a voter's id."""

    def voter(self) -> str:
        """Their id. Raises Problem where there is none."""
        voter = self.get_cookie(VOTER, "")
        if not VOTER_ID.fullmatch(voter):
            raise Problem(400, NO_COOKIE)
        return voter


class Events(Voting, Stream):
    """What a voter's page shows."""

    async def get(self) -> None:
        """Send it, and again when another question or phase is shown."""
        voter, limits = self.voter(), self.limits
        with ExitStack() as stack:
            try:
                stack.enter_context(limits.streams_of_address.one(self.source))
            except TooMuch:
                raise Problem(429, "This poll is open too many times from here; close some of its pages.") from None
            stack.enter_context(limits.streams_of_voter.one(voter, self.give_way))
            stack.callback(self.room.counted.fire)  # the instructor sees how many are there
            self.room.counted.fire()
            await self.send(lambda: self.room.attendee_view(voter), self.room.moved)


class Vote(Voting):
    """A vote, {"question": id, "choices": [numbers]}: answered when it is written, with {"written": how many that makes}."""

    async def post(self) -> None:
        """Take it."""
        voter, limits, known = self.voter(), self.limits, self.settings["known"]
        try:
            # In this order, so that one phone that votes too much takes nothing from the others behind its address.
            limits.votes_of_voter.take(voter)
            if voter not in known:
                limits.new_voters.take(self.source)
                known.add(voter)
            limits.votes_of_address.take(self.source)
        except TooMuch:
            raise Problem(429, "That were too many votes in a short time; wait a few seconds, then vote again.") from None
        try:
            self.finish({"written": await self.room.vote(voter, self.asked())})
        except ValueError as error:
            raise Problem(400, str(error)) from None
        except Over as error:
            raise Problem(409, str(error)) from None


# --- for the instructor --------------------------------------------------------------------------------------------------


class Instructing(Web):
    """What only the instructor may ask for: whoever has the token of this start, in a cookie."""

    def prepare(self) -> None:
        """Refuse everybody else."""
        super().prepare()
        if not self.is_token(self.get_cookie(TOKEN, "")):
            raise Problem(403, NOT_YOURS)

    def is_token(self, text: str) -> bool:
        """Whether this is the token, found out in a time that says nothing about how much of it is right."""
        return hmac.compare_digest(text.encode(errors="replace"), self.settings["token"].encode())


class InstructorPage(Instructing):
    """The page for the projector. The first time it is asked for with ?token=..., which is then kept in a cookie, not in the address."""

    def prepare(self) -> None:
        """Take the token out of the address."""
        token = self.get_query_argument("token", None)
        if token is None or not self.is_token(token):
            super().prepare()
            return
        Handler.prepare(self)
        self.keep(TOKEN, token, path="/instructor")
        self.redirect("/instructor", status=303)

    def get(self) -> None:
        """Send the page."""
        attendees = self.settings["attendees"]
        code = segno.make(attendees, error="m", micro=False).svg_inline(border=4, dark="#000", light="#fff", omitsize=True)
        self.render("instructor.html", attendees=attendees, code=code, here_only=urlsplit(attendees).hostname in LOCAL)

    def write_error(self, status_code: int, **details: Any) -> None:
        """Trouble as text, since a person reads it."""
        error = details.get("exc_info", (None, None))[1]
        if not isinstance(error, Problem):
            super().write_error(status_code, **details)
            return
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(error.sentence)


class InstructorEvents(Instructing, Stream):
    """What the projector shows."""

    async def get(self) -> None:
        """Send it, and again with every vote."""
        await self.send(lambda: self.room.instructor_view() | {"present": len(self.limits.streams_of_voter)}, self.room.counted)


class Act(Instructing):
    """POST show: another question. POST phase: open or close voting, or reveal the answer."""

    def post(self, action: str) -> None:
        """Do it; the streams show it."""
        try:
            {"show": self.room.show, "phase": self.room.set_phase}[action](self.asked())
        except ValueError as error:
            raise Problem(400, str(error)) from None
        except Over as error:
            raise Problem(409, str(error)) from None
        self.finish({})


class Export(Instructing):
    """All votes as a table."""

    def get(self) -> None:
        """Send it as a file."""
        self.set_header("Content-Type", "text/csv; charset=UTF-8")
        self.set_header("Content-Disposition", f'attachment; filename="{self.room.name}.csv"')
        self.finish(self.room.csv())


# --- the server ----------------------------------------------------------------------------------------------------------


def make_application(
    room: Room, token: str, attendees: str, names: frozenset[str] | None = frozenset(LOCAL), limits: Limits | None = None
) -> Application:
    """The web application: give it to tornado's HTTPServer.

    token: the instructor's   attendees: the address where they find the poll   names: what this computer may be called, None for anything
    """
    return Application(
        [
            (r"/", VotePage),
            (r"/events", Events),
            (r"/vote", Vote),
            (r"/instructor", InstructorPage),
            (r"/instructor/events", InstructorEvents),
            (r"/instructor/(show|phase)", Act),
            (r"/instructor/votes\.csv", Export),
            (FILES, File, {"path": str(FOLDER)}),
            BASE,
        ],
        default_handler_class=Nothing,
        template_path=str(FOLDER),
        room=room,
        limits=limits or Limits(),
        known=room.voters(),
        token=token,
        attendees=attendees,
        names=names,
        failed=FAILED,
        secure=attendees.startswith("https:"),
        log_function=lambda handler: None,  # who votes when is theirs, and an address can hold the token
    )


def network_address() -> str:
    """This computer's address in the network through which it reaches others. Raises OSError in one sentence where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as looking:
        try:
            looking.connect(("198.51.100.1", 9))  # sends nothing: it only finds out which way a message would take
        except OSError:
            raise OSError("this computer is in no network; join the one of the room, or give its address with --host.") from None
        return looking.getsockname()[0]


def public_address(url: str) -> str:
    """An address under which a proxy publishes the poll, checked. Raises ValueError in one sentence."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.username
    except ValueError:
        fits = False
    if not fits or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"--url is {url!r}; it is an address like https://poll.example.org, with nothing after the name.")
    return f"{parts.scheme}://{parts.netloc}/"


def run(
    quiz: str,
    questions: str | None,
    file: Path,
    begin: bool = False,
    host: str = LOCAL[0],
    port: int = 8008,
    network: bool = False,
    url: str | None = None,
    voters_per_address: int = VOTERS_PER_ADDRESS,
) -> None:
    """Say where the instructor's page and the attendees' are, and answer until Ctrl+C.

    quiz, questions: a file of data/quizzes and a set in it, its first where None   file: where votes are kept
    begin: put an old file aside first   network: listen on all of this computer's addresses, and tell attendees the one of the network
    url: where a proxy on this computer publishes the poll; it is then believed about who asks
    Raises ValueError and OSError in one sentence.
    """
    shown = load_set(quiz, questions or next(iter(load_quiz(quiz))))
    if sum((network, url is not None, host != LOCAL[0])) > 1:
        raise ValueError("--network, --host and --url are three ways to be reached; choose one.")
    published = public_address(url) if url else None
    listening = bind("0.0.0.0" if network else host, port)
    give_up_the_vanished(listening)
    port = listening.getsockname()[1]
    here = f"http://{LOCAL[0]}:{port}/" if network else address(listening)
    attendees = published or (f"http://{network_address()}:{port}/" if network else here)
    aside = put_aside(file) if begin else None
    store = Store(file, f"{shown.quiz}/{shown.id}")
    room = Room(shown, store)
    if aside:
        print(f"The old votes are now in {aside}.")
    token = secrets.token_urlsafe()
    names = None if network or host not in LOCAL else frozenset((*LOCAL, *filter(None, [urlsplit(attendees).hostname])))
    application = make_application(room, token, attendees, names, Limits(voters_per_address))
    allow_many_connections()
    goes_on = f"; votes so far: {room.written} (--new begins without)" if room.written else ""
    print(f"Poll: {shown.title}, {len(room.questions)} questions, kept in {file}{goes_on}")
    print(f"Instructor: {published or here}instructor?token={token}")
    print(f"Attendees: {attendees}   (Ctrl+C ends it)", flush=True)
    try:
        asyncio.run(serve(application, listening, xheaders=published is not None, **CONNECTION))
    except KeyboardInterrupt:
        print("Ended.")
    finally:
        store.close()


def give_up_the_vanished(listening: socket.socket) -> None:
    """Have the system end connections whose other end is silent: a phone that left says nothing, and would be "here" for 15 minutes more.

    Only Linux can; elsewhere the system's own patience decides.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * VANISHED)


def allow_many_connections() -> None:
    """Have the system let this process open as many files as a full room needs, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
