"""The poll under load: many voters at once, over HTTP. Are votes lost, how soon do bars move?

The poll runs as `make poll` starts it. Each simulated phone opens the page, keeps its event stream
open, and votes on the three questions of the opening poll: within a few seconds, then changing its
mind, then all in the same moment. Then all send a sentence to break the reader, of which some are
shown and read. The instructor's stream is watched. At the end the poll is killed (`kill -9`), and
what is on the disk is compared with what the phones were told. With --training, all of it beside
the fine-tuning of a reader. Exit status 1 where a vote is lost or refused.
"""

import argparse
import asyncio
import json
import random
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

from src.apps.poll.server import raise_file_limit
from src.apps.poll.store import Store
from tests.unit.apps.visits import Visit, cookie_of, until, voter

SECONDS = 240  # that it may take; beyond it something hangs
READING = "while the reader reads"
BREAK = "room/gold"
TRIES = (
    "The atomic number of gold that most people guess is 47.",
    "Asked for the atomic number of gold, the jeweller said 24 and meant carats.",
    "Mercury, right of gold, has the atomic number 80.",
    "Gold was known 6000 years ago.",
    "What is the atomic number of the soft, yellow metal?",
)


@dataclass
class Sent:
    """An acknowledged vote; times in seconds, and how many votes there were with it."""

    sent: float
    acknowledged: float
    written: int
    when: str


@dataclass
class Poll:
    """What the phones of a poll were told, and what the instructor saw."""

    visit: Visit
    voters: int
    state: dict = field(default_factory=dict)
    seen: list[tuple[int, float]] = field(default_factory=list)  # votes in the bars, and when
    votes: list[Sent] = field(default_factory=list)
    last: dict[tuple[str, str], str] = field(default_factory=dict)  # question, voter -> choice
    refused: list[str] = field(default_factory=list)
    reading: dict[str, float] = field(default_factory=dict)

    async def watch(self, instructor: str) -> None:
        """Note what the instructor's bars show."""
        states, _ = await self.visit.stream("instructor/events", instructor)
        while True:
            self.state = await states.get()
            self.seen.append((self.state["written"], time.perf_counter()))

    async def vote(self, i: int, choice: int | str, wait: float, when: str) -> None:
        """Vote after `wait` seconds, and note what comes back."""
        question, choices = self.state["id"], self.state["choices"]
        await asyncio.sleep(wait)
        start = time.perf_counter()
        reply = await self.visit.vote(i, question, choice)
        if reply.code != 200:
            self.refused.append(f"{reply.code} {reply.body!r}")
            return
        written = json.loads(reply.body)["written"]
        self.votes.append(Sent(start, time.perf_counter(), written, when))
        pieces = [("", choice)] if isinstance(choice, str) else choices[choice]
        self.last[question, voter(i)] = "".join(words for _, words in pieces)

    async def ask(self, spread: float, changing: float, when: str) -> None:
        """Have everybody vote within `spread` seconds, and some of them once more."""
        rng = random.Random(len(self.votes))
        everybody = range(self.voters)
        count = len(self.state["choices"])
        for voters in (everybody, [i for i in everybody if rng.random() < changing]):
            await asyncio.gather(
                *(self.vote(i, rng.randrange(count), rng.uniform(0, spread), when) for i in voters)
            )
        await until(lambda: self.state["written"] >= len(self.votes))

    async def break_the_reader(self, instructor: str, spread: float) -> None:
        """Everybody sends a sentence while the first ones are shown and read, in turn."""

        async def has_read(count: int) -> float:
            start = time.perf_counter()
            while len(list(filter(None, self.state.get("allowed", {}).values()))) < count:
                await asyncio.sleep(0.02)
            return time.perf_counter() - start

        await self.visit.post("instructor/show", {"question": BREAK}, instructor)
        await until(lambda: self.state["id"] == BREAK)
        self.reading["seconds until it is awake"] = await has_read(1)
        wait = random.Random(0).uniform
        said = [f"{i}: {TRIES[i % len(TRIES)]}" for i in range(self.voters)]
        sent = asyncio.gather(
            *(self.vote(i, text, wait(0, spread), READING) for i, text in enumerate(said))
        )
        for text in TRIES:
            shown = {"question": BREAK, "text": text, "shown": True}
            await self.visit.post("instructor/moderate", shown, instructor)
        self.reading[f"seconds for {len(TRIES)} sentences"] = await has_read(len(TRIES) + 1)
        await sent
        await until(lambda: self.state["written"] >= len(self.votes))
        read = self.state["allowed"].values()
        self.reading["of them made it fail"] = sum(one["right"] is False for one in read)

    async def hold(self, token: str, spread: float) -> None:
        """Three questions: over `spread` seconds, with changes of mind, and all at once.

        Then "Break the reader".
        """
        instructor = (await self.visit.fetch(f"instructor?token={token}")).headers["Set-Cookie"]
        instructor = instructor.partition(";")[0]
        watching = asyncio.create_task(self.watch(instructor))
        for i in range(self.voters):
            await self.visit.fetch("", cookie_of(i))
            await self.visit.stream("events", cookie_of(i))
        await until(lambda: self.state.get("present") == self.voters)
        some, all_at_once = f"within {spread:g} seconds", "all in the same moment"
        for within, changing, when in ((spread, 0, some), (spread, 0.5, some), (0, 0, all_at_once)):
            await self.ask(within, changing, when)
            question, names = self.state["id"], [*self.state["names"], None]
            following = names[names.index(question) + 1]
            if following:
                revealed = {"question": question, "phase": "revealed"}
                await self.visit.post("instructor/set_phase", revealed, instructor)
                await self.visit.post("instructor/show", {"question": following}, instructor)
                await until(lambda following=following: self.state["id"] == following)
        await self.break_the_reader(instructor, spread)
        watching.cancel()

    def lost(self, file: Path) -> int:
        """How many acknowledged votes are not on the disk as they were cast."""
        store = Store(file)
        kept = {(vote.question, vote.voter): "".join(vote.choices) for vote in store.votes()}
        store.close()
        pairs = kept.keys() | self.last.keys()
        return sum(kept.get(pair) != self.last.get(pair) for pair in pairs)

    def waits(self, when: str) -> dict[str, float]:
        """Milliseconds from a vote until the instructor's bars hold it, and it is acknowledged."""
        written = [number for number, _ in self.seen]
        votes = [vote for vote in self.votes if vote.when == when]
        bars = [self.seen[bisect_left(written, vote.written)][1] - vote.sent for vote in votes]
        acknowledged = [vote.acknowledged - vote.sent for vote in votes]
        found: dict[str, float] = {"votes": len(votes)}
        for name, seconds in (("vote to bar", bars), ("acknowledged", acknowledged)):
            for what, percent in (("median", 50), ("95th percentile", 95), ("longest", 100)):
                found[f"{name}, {what} ms"] = 1000 * float(np.percentile(seconds, percent))
        return found


async def held(lines: list[str], voters: int, spread: float) -> Poll:
    """Hold the poll that printed these lines; raises TimeoutError where it hangs."""
    url, token = lines[2].split()[1], lines[1].split("token=")[1].strip()
    client = AsyncHTTPClient(force_instance=True, max_clients=2 * voters + 10)
    poll = Poll(Visit(url, client), voters)
    await asyncio.wait_for(poll.hold(token, spread), SECONDS)
    return poll


def train(folder: str) -> subprocess.Popen:
    """A training that has begun its steps."""
    command = [sys.executable, "-u", "-m", "src.qa", "train", "--minutes", "10", "--output-dir"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([*command, f"{folder}/run"], cwd=common.runtime.COURSE, **pipes)
    while "step " not in (line := process.stdout.readline()):
        assert line, "the training ended"
    return process


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voters", type=int, default=200, help="how many vote at once")
    parser.add_argument("--spread", type=float, default=3, help="seconds within which they vote")
    parser.add_argument("--training", action="store_true", help="beside the training of a reader")
    options = parser.parse_args()
    raise_file_limit()
    beside = "beside a training" if options.training else "nothing beside"
    common.announce("The poll under load", f"the opening poll, {options.voters} voters, {beside}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "poll.sqlite"
        command = [sys.executable, "-m", "src.apps.poll", "--port", "0", "--file", str(file)]
        command += ["--voters-per-address", str(options.voters)]
        pipes = {"stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, cwd=common.runtime.COURSE, **pipes)
        training = train(folder) if options.training else None
        try:
            lines = [process.stdout.readline() for _ in range(3)]
            if not lines[2]:
                return 1
            poll = asyncio.run(held(lines, options.voters, options.spread))
        finally:
            for one in filter(None, (process, training)):
                one.kill()
                one.wait()
        lost = poll.lost(file)
    result: dict = {"voters": options.voters, "acknowledged": len(poll.votes)}
    result |= {"refused": len(poll.refused), "lost": lost}
    common.print_table("votes", [("what", "value"), *result.items()])
    for problem in poll.refused[:3]:
        print(problem, flush=True)
    for name in dict.fromkeys(vote.when for vote in poll.votes):
        result[name] = poll.waits(name)
        common.print_table(name, [("what", "value"), *result[name].items()])
    result["reader"] = poll.reading
    common.print_table("break the reader", [("what", "value"), *poll.reading.items()])
    common.write("poll-training" if options.training else "poll", result)
    return int(lost > 0 or bool(poll.refused))


if __name__ == "__main__":
    sys.exit(main())
