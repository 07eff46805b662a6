"""The demo under load: many people ask Wikipedia at once, again as soon as they are answered.

The demo runs as `make demo` starts it; the people are simulated, over HTTP. The questions are the
open-domain ones of the course set. Exit status 1 where a person got anything but an answer.
"""

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
from tests.unit.apps.visits import Visit


def open_questions() -> list[str]:
    """The open-domain questions of all parts, in a random order that is always the same."""
    parts = load_squad("course").values()
    found = [question for part in parts for question in open_domain_questions(part)["question"]]
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


async def many_people(
    url: str, questions: list[str], people: int, seconds: float, think: float
) -> tuple[list[tuple[int, float]], float]:
    """(status, seconds) of each question, and the seconds until the last was answered."""
    visit = Visit(url, AsyncHTTPClient(force_instance=True, max_clients=people))
    told: list[tuple[int, float]] = []
    start = time.perf_counter()
    turns = itertools.cycle(questions)

    async def one_person() -> None:
        while (asked := time.perf_counter()) < start + seconds:
            reply = await visit.post("ask", {"question": next(turns), "passage": None})
            answered = reply.code == 200 and json.loads(reply.body)["candidates"]
            code = reply.code if answered or reply.code != 200 else 0  # 0: no candidates at all
            told.append((code, time.perf_counter() - asked))
            await asyncio.sleep(think)

    await asyncio.gather(*(one_person() for _ in range(people)))
    return told, time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=50, help="how many ask at once")
    parser.add_argument("--seconds", type=float, default=60, help="for how long")
    parser.add_argument("--think", type=float, default=0, help="seconds before the next question")
    parser.add_argument("--model", default="qa-minilm", help="the reader")
    options = parser.parse_args()
    questions = open_questions()
    common.announce("The demo under load", f"{len(questions)} open-domain ones of the course set")
    start = time.perf_counter()
    command = [sys.executable, "-m", "src.apps.demo", "--port", "0", "--model", options.model]
    pipes = {"stdout": subprocess.PIPE, "text": True}
    demo = subprocess.Popen(command, cwd=common.runtime.COURSE, **pipes)
    result: dict = {"people": options.people, "think": options.think}
    errors = 0
    try:
        line = demo.stdout.readline()
        if not line:
            return 1
        result["seconds until the page is there"] = time.perf_counter() - start
        for people, seconds in ((1, 10), (options.people, options.seconds)):
            asked = many_people(line.split()[2], questions, people, seconds, options.think)
            told, took = asyncio.run(asked)
            waited, statuses = [wait for _, wait in told], Counter(status for status, _ in told)
            row = {
                "questions": len(told),
                "questions per second": len(told) / took,
                "median seconds": float(np.median(waited)),
                "95th percentile seconds": float(np.percentile(waited, 95)),
                "longest seconds": max(waited),
                "errors": len(told) - statuses[200],
            }
            name = "one person" if people == 1 else f"{people} people"
            result[name] = row
            errors += row["errors"]
            common.print_table(name, [("what", "value"), *row.items()])
            if set(statuses) != {200}:
                print(f"other than answers: {dict(statuses)}", flush=True)
        common.write("demo", result)
        return int(errors > 0)
    finally:
        demo.terminate()
        demo.wait()


if __name__ == "__main__":
    sys.exit(main())
