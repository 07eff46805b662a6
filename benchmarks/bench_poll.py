"""The poll under load: so many voters at once, over HTTP, in a minute at most. How many votes are lost, how soon do bars move?

The poll runs as `make poll` starts it, in a process of its own. Each simulated phone opens the page, keeps its event stream open, and
votes on every question of the opening poll: within a few seconds on the first, changing its mind on the second, and all in the same
moment on the third. An instructor's stream is watched meanwhile. At the end the poll is killed (`kill -9`), and what is on the disk
is compared with what every phone was told. Exit status 1 where a vote is lost or refused.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path

import common
import numpy as np
from tornado.httpclient import AsyncHTTPClient

from src.apps.poll.server import allow_many_connections
from src.apps.poll.store import Store

JSON = {"Content-Type": "application/json"}
LAST = 2  # the question, counted from 0, on which all vote in the same moment
SECONDS = 60  # that the voting may take; beyond it something hangs


@dataclass
class Told:
    """What the phones were told, and what the instructor saw."""

    acknowledged: dict[tuple[str, str], list[int]] = field(default_factory=dict)  # (question, voter) -> choices of the last vote
    sent: dict[int, tuple[float, float, bool]] = field(
        default_factory=dict
    )  # number of a vote -> when it was sent, when acknowledged, and whether with all others
    refused: list[str] = field(default_factory=list)
    seen: list[tuple[int, float]] = field(default_factory=list)  # votes that the bars held, and when they did


class Phones:
    """The simulated voters of one poll, and its instructor."""

    def __init__(self, instructor: str, phones: str, voters: int):
        self.url, self._instructor, self._voters = phones, instructor, voters
        self._client = AsyncHTTPClient(force_instance=True, max_clients=2 * voters + 10)
        self.told, self.state = Told(), {}
        self._changed = asyncio.Event()

    async def fetch(self, path: str, cookie: str = "", **options):
        """A reply of any status."""
        headers = {"Cookie": cookie} | options.pop("headers", {})
        options = {"raise_error": False, "follow_redirects": False, "request_timeout": SECONDS} | options
        return await self._client.fetch(self.url + path, headers=headers, **options)

    async def join(self) -> list[str]:
        """Open the page on every phone; returns their cookies."""
        return [reply.headers["Set-Cookie"].split(";")[0] for reply in await asyncio.gather(*(self.fetch("") for _ in range(self._voters)))]

    async def watch(self, path: str, cookie: str, see=lambda state: None) -> None:
        """Keep an event stream open, and call `see` with what it brings."""
        text = ""

        def gather(chunk: bytes) -> None:
            nonlocal text
            text += chunk.decode()
            *events, text = text.split("\n\n")
            for event in events:
                if event.startswith("data: "):
                    see(json.loads(event.removeprefix("data: ")))

        await self.fetch(path, cookie, streaming_callback=gather)

    async def log_in(self) -> str:
        """The instructor's cookie."""
        reply = await self.fetch(self._instructor.removeprefix(self.url))
        return reply.headers["Set-Cookie"].split(";")[0]

    def see(self, state: dict) -> None:
        """Note what the bars of the instructor show."""
        self.told.seen.append((state["written"], time.perf_counter()))
        self.state = state
        self._changed.set()

    async def until(self, condition) -> None:
        """Wait until the instructor's page shows what fits."""
        while not (self.state and condition(self.state)):
            self._changed.clear()
            await self._changed.wait()

    async def vote(self, cookie: str, question: str, choices: list[int], wait: float, at_once: bool) -> None:
        """Vote after `wait` seconds, and note what comes back."""
        await asyncio.sleep(wait)
        start = time.perf_counter()
        body = json.dumps({"question": question, "choices": choices})
        reply = await self.fetch("vote", cookie, method="POST", headers=JSON, body=body)
        if reply.code != 200:
            self.told.refused.append(f"{reply.code} {reply.body!r}")
            return
        self.told.acknowledged[question, cookie.partition("=")[2]] = choices
        self.told.sent[json.loads(reply.body)["written"]] = (start, time.perf_counter(), at_once)

    async def act(self, path: str, what: dict, cookie: str) -> None:
        """Press a button of the instructor."""
        await self.fetch(f"instructor/{path}", cookie, method="POST", headers=JSON, body=json.dumps(what))


async def hold_poll(poll: subprocess.Popen, phones: Phones, voters: int, spread: float) -> dict[str, list[str]]:
    """Three questions: over `spread` seconds, with changes of mind, and all at once; then kill the poll. Returns question -> choices."""
    rng = random.Random(0)
    cookie = await phones.log_in()
    cookies = await phones.join()
    streams = [asyncio.ensure_future(phones.watch("instructor/events", cookie, phones.see))]
    streams += [asyncio.ensure_future(phones.watch("events", one)) for one in cookies]
    await phones.until(lambda state: state["present"] == voters)
    offered = {}
    for turn, (within, changing) in enumerate([(spread, 0.0), (spread, 0.5), (0.0, 0.0)]):
        question = phones.state["id"]
        offered[question] = ["".join(words for _, words in pieces) for pieces in phones.state["choices"]]

        def some_choice(count: int = len(offered[question])) -> list[int]:
            return [rng.randrange(count)]

        await asyncio.gather(*(phones.vote(one, question, some_choice(), rng.uniform(0, within), turn == LAST) for one in cookies))
        minds = [one for one in cookies if rng.random() < changing]
        await asyncio.gather(*(phones.vote(one, question, some_choice(), rng.uniform(0, within), turn == LAST) for one in minds))
        await phones.until(lambda state: state["written"] >= len(phones.told.sent))
        if turn < LAST:  # the last votes are the last that is written
            await phones.act("phase", {"question": question, "phase": "revealed"}, cookie)
            await phones.act("show", {"question": phones.state["next"]}, cookie)
            await phones.until(lambda state, before=question: state["id"] != before)
    poll.send_signal(signal.SIGKILL)
    await asyncio.gather(*streams, return_exceptions=True)  # they end with it
    return offered


async def watched(poll: subprocess.Popen, instructor: str, url: str, voters: int, spread: float) -> tuple[Told, dict[str, list[str]]]:
    """Hold the poll, in SECONDS at most; returns what the phones were told, and question -> choices."""
    phones = Phones(instructor, url, voters)
    offered = await asyncio.wait_for(hold_poll(poll, phones, voters, spread), SECONDS)
    return phones.told, offered


def lost_votes(told: Told, offered: dict[str, list[str]], file: Path) -> int:
    """How many of the acknowledged votes are not on the disk as they were cast."""
    store = Store(file, "00_start_here/poll")
    kept = {(vote.question, vote.voter): list(vote.choices) for vote in store.votes()}
    store.close()
    wanted = {(question, voter): [offered[question][i] for i in choices] for (question, voter), choices in told.acknowledged.items()}
    return sum(kept.get(key) != choices for key, choices in wanted.items()) + len(kept.keys() - wanted.keys())


def waits(told: Told, at_once: bool) -> dict[str, float]:
    """Milliseconds from sending a vote until the instructor's stream brought bars that hold it, and until it was acknowledged."""
    numbers = [number for number, _ in told.seen]
    votes = [(number, start, end) for number, (start, end, together) in told.sent.items() if together == at_once]
    bars = [1000 * (told.seen[bisect_left(numbers, number)][1] - start) for number, start, _ in votes]
    acknowledged = [1000 * (end - start) for _, start, end in votes]
    return {
        "votes": len(votes),
        "vote to bar, median ms": float(np.median(bars)),
        "vote to bar, 95th percentile ms": float(np.percentile(bars, 95)),
        "vote to bar, longest ms": max(bars),
        "acknowledged, median ms": float(np.median(acknowledged)),
        "acknowledged, 95th percentile ms": float(np.percentile(acknowledged, 95)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voters", type=int, default=200, help="how many vote at once")
    parser.add_argument("--spread", type=float, default=3, help="seconds within which they vote, except on the last question")
    options = parser.parse_args()
    allow_many_connections()
    common.announce("The poll under load", f"the opening poll, {options.voters} voters")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "poll.sqlite"
        command = [sys.executable, "-m", "src.apps.poll", "--port", "0", "--file", str(file), "--voters-per-address", str(options.voters)]
        poll = subprocess.Popen(command, cwd=common.runtime.COURSE, stdout=subprocess.PIPE, text=True)
        try:
            lines = [poll.stdout.readline() for _ in range(3)]
            if not lines[2]:
                return 1
            told, offered = asyncio.run(watched(poll, lines[1].split()[1], lines[2].split()[1], options.voters, options.spread))
        finally:
            poll.kill()
            poll.wait()
        lost = lost_votes(told, offered, file)
    result: dict = {"voters": options.voters, "acknowledged": len(told.sent), "refused": len(told.refused), "lost": lost}
    common.print_table("votes", [("what", "value"), *result.items()])
    for problem in told.refused[:3]:
        print(problem, flush=True)
    for name, at_once in ((f"within {options.spread:g} seconds", False), ("all in the same moment", True)):
        result[name] = waits(told, at_once)
        common.print_table(name, [("what", "value"), *result[name].items()])
    common.write("poll", result)
    return int(lost > 0 or bool(told.refused))


if __name__ == "__main__":
    sys.exit(main())
