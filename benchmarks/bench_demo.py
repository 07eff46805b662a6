"""The demo under load: so many people ask Wikipedia at once for a minute, each a new question as soon as the last is answered.

The demo runs as `make demo` starts it, in a process of its own; the people are simulated here, over HTTP. The questions are the
open-domain ones of the course set. Exit status 1 where a person got anything but an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections import Counter

import common
import numpy as np
from tornado.httpclient import AsyncHTTPClient

from src.qa import load_squad
from src.qa.course_set import open_domain_questions

JSON = {"Content-Type": "application/json"}


def open_questions() -> list[str]:
    """The open-domain questions of all parts, in a random order that is always the same."""
    found = [question for part in load_squad("course").values() for question in open_domain_questions(part)["question"]]
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


async def one_person(fetch, questions, think: float, end: float, told: list[tuple[int, float]]) -> None:
    """Ask, wait, think, ask again, until the end; (status, seconds) of each question go to `told`."""
    while time.perf_counter() < end:
        start = time.perf_counter()
        told.append((await fetch(next(questions)), time.perf_counter() - start))
        await asyncio.sleep(think)


async def many_people(url: str, questions: list[str], people: int, seconds: float, think: float) -> tuple[list[tuple[int, float]], float]:
    """What everybody was told, and the seconds until the last one was."""
    client = AsyncHTTPClient(force_instance=True, max_clients=people)

    async def fetch(question: str) -> int:
        body = json.dumps({"question": question, "passage": None})
        reply = await client.fetch(f"{url}ask", method="POST", headers=JSON, body=body, raise_error=False, request_timeout=120)
        return reply.code if reply.code != 200 or json.loads(reply.body)["candidates"] else 0  # 0: no candidates at all

    told: list[tuple[int, float]] = []
    start = time.perf_counter()
    turns = itertools.cycle(questions)
    await asyncio.gather(*(one_person(fetch, turns, think, start + seconds, told) for _ in range(people)))
    return told, time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=50, help="how many ask at once")
    parser.add_argument("--seconds", type=float, default=60, help="for how long")
    parser.add_argument("--think", type=float, default=0, help="seconds that each waits before the next question")
    parser.add_argument("--model", default="qa-minilm", help="the reader")
    options = parser.parse_args()
    questions = open_questions()
    common.announce("The demo under load", f"{len(questions)} open-domain questions of the course set, over all introductions")
    start = time.perf_counter()
    command = [sys.executable, "-m", "src.apps.demo", "--port", "0", "--model", options.model]
    demo = subprocess.Popen(command, cwd=common.runtime.COURSE, stdout=subprocess.PIPE, text=True)
    try:
        line = demo.stdout.readline()
        if not line:
            return 1
        ready, url = time.perf_counter() - start, line.split()[2]
        result: dict = {"people": options.people, "think": options.think, "seconds until the page is there": ready}
        for name, people in (("one person", 1), (f"{options.people} people", options.people)):
            told, seconds = asyncio.run(many_people(url, questions, people, options.seconds if people > 1 else 10, options.think))
            waited, statuses = np.array([wait for _, wait in told]), Counter(status for status, _ in told)
            result[name] = {
                "questions": len(told),
                "questions per second": len(told) / seconds,
                "median seconds": float(np.median(waited)),
                "95th percentile seconds": float(np.percentile(waited, 95)),
                "longest seconds": float(waited.max()),
                "errors": len(told) - statuses[200],
            }
            common.print_table(name, [("what", "value"), *result[name].items()])
            if set(statuses) != {200}:
                print(f"other than answers: {dict(statuses)}", flush=True)
        common.write("demo", result)
        return int(any(part["errors"] for part in result.values() if isinstance(part, dict)))
    finally:
        demo.terminate()
        demo.wait()


if __name__ == "__main__":
    sys.exit(main())
