"""The command line: `python -m src.apps.poll`. Bad input ends with status 2 and one line."""

import secrets
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from typer import Option

from src import runtime
from src.apps.command import run_command
from src.apps.poll import server
from src.apps.poll.reader import Reader
from src.apps.poll.room import Room
from src.apps.poll.store import Store, put_aside
from src.apps.web.server import LOOPBACK_NAMES, address, bind, serve_until_interrupted
from src.teaching.quizzes import all_sets, load_quiz, load_set

HERE = LOOPBACK_NAMES[0]
VOTES = runtime.COURSE / "build" / "poll" / "votes.sqlite"


def poll(
    quiz: Annotated[
        str | None, Option(help="a file of data/quizzes, without .json; left out: as it was")
    ] = None,
    questions: Annotated[
        str | None, Option("--set", help="a set of questions in it; left out: the first")
    ] = None,
    network: Annotated[
        bool, Option("--network", help="let the phones of this computer's network vote")
    ] = False,
    host: Annotated[
        str, Option(help="instead: the one address of this computer to listen on")
    ] = HERE,
    url: Annotated[
        str | None, Option(help="instead: where a proxy here publishes the poll; see docs/polls.md")
    ] = None,
    port: Annotated[int, Option(min=0, max=65535, help="0 takes any free one")] = 8008,
    file: Annotated[Path, Option(help="where votes are kept, and found again")] = VOTES,
    begin: Annotated[
        bool, Option("--new", help="begin without votes; the old file is renamed")
    ] = False,
    voters_per_address: Annotated[
        int, Option(min=1, help="how many voters may come from one address")
    ] = server.VOTERS_PER_ADDRESS,
) -> None:
    """Ask a room: questions on the projector, votes from phones, until Ctrl+C."""
    begins = quiz or "00_start_here"
    asked = load_set(begins, questions or next(iter(load_quiz(begins))))
    if sum((network, url is not None, host != HERE)) > 1:
        raise ValueError("--network, --host and --url are three ways to be reached; choose one.")
    published = server.public_address(url) if url else None
    listening = bind("0.0.0.0" if network else host, port)
    server.end_silent_connections(listening)
    port = listening.getsockname()[1]
    here = f"http://{HERE}:{port}/" if network else address(listening)
    attendees = published or (f"http://{server.network_address()}:{port}/" if network else here)
    names = None
    if not network and host in LOOPBACK_NAMES:
        names = {*LOOPBACK_NAMES, urlsplit(attendees).hostname or ""}
    if begin and (aside := put_aside(file)):
        print(f"The old votes are now in {aside}.")
    token = secrets.token_urlsafe()
    server.raise_file_limit()
    store, reader = Store(file), Reader()
    try:
        room = Room(all_sets(), store, reader)
        first = [f"{begins}/{question.id}" for question in asked.questions]
        if (quiz or questions) and room.shown not in first:
            room.show({"question": first[0]})
        application = server.make_application(room, token, attendees, names, voters_per_address)
        so_far = f"; votes so far: {room.written} (--new begins without)" if room.written else ""
        print(f"Poll: {room.shown}, kept in {file}{so_far}")
        print(f"Instructor: {published or here}instructor?token={token}")
        print(f"Attendees: {attendees}   (Ctrl+C ends it)", flush=True)
        # A proxy is believed about who asks.
        options = server.CONNECTION | {"xheaders": published is not None}
        serve_until_interrupted(application, listening, **options)
    finally:
        store.close()
        reader.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    return run_command(poll, "python -m src.apps.poll", arguments)


if __name__ == "__main__":
    sys.exit(main())
