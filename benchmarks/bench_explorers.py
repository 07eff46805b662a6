"""How long pages that compute take, in Chromium: `python benchmarks/bench_explorers.py [SITE]`.

Of each view: seconds from opening its page to what it shows first, with nothing stored and with
the files in the browser's store; megabytes that came, and the browser's memory with the view open.
Then milliseconds an answer of the reader at 128, 256 and 384 tokens, a token of the GPT, seconds
an answer from Wikipedia. As any static host serves it (one thread), with the headers that allow
threads, and like a phone: Chromium can slow down a page but not its workers, so the whole browser
is stopped three quarters of the time. Run it on an idle machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import explorers, site_server
from tools.browser import Browser

READY = "document.querySelector('.rest:not([hidden])') !== null"
READY += " && document.querySelector('[aria-busy=true]') === null"
TOKENS, TIMES = (128, 256, 384), 7
LOADED = """performance.getEntriesByType("resource")
  .reduce((all, one) => all + one.encodedBodySize, 0) / 1e6"""
# A passage of so many tokens in one window: "a" is one.
READ = """Explorers.helper("reader").then((h) => {{
  const s = Explorers.about.reader;
  const given = {{name: "reader", question: "Who ?", passage: "a ".repeat({passage}),
    scaling: s.scaling, maxLength: 384, docStride: 128}};
  return h.do("read", given);
}}).then((read) => [read.milliseconds, read.windows[0].ids.length, read.windows.length])"""
WRITE = """Explorers.helper("language").then(async (h) => {
  const ids = [], began = performance.now();
  for (let i = 0; i < 40; i++) {
    const {logits} = await h.do("next", {model: "gpt", ids});
    ids.push(logits.indexOf(Math.max(...logits)));
  }
  return (performance.now() - began) / 40;
})"""
ASKED = ("Who wrote Hamlet?", "What is the atomic number of oxygen?", "Why is the sky blue?")
ASKED += ("When was the Eiffel Tower built?", "Which planet is the largest?")


def seconds(browser: Browser, address: str) -> float:
    """Seconds from opening a page to what it shows first."""
    began = time.perf_counter()
    browser.open(address)
    browser.wait(READY, 600)
    return round(time.perf_counter() - began, 2)


def megabytes() -> float:
    """Memory of the browser's processes; what they share is counted once."""
    mine = psutil.Process().children(recursive=True)
    return round(sum(p.memory_full_info().pss for p in mine if "chrom" in p.name()) / 1e6)


def milliseconds(browser: Browser, tokens: int) -> float:
    """The middle of several answers at so many tokens."""
    script = READ.format(passage=tokens - 5)
    taken = []
    for _ in range(TIMES):
        took, length, windows = browser.run(script)
        assert (length, windows) == (tokens, 1)
        taken.append(took)
    return round(statistics.median(taken))


def asking(browser: Browser) -> list[float]:
    """Seconds from asking Wikipedia to the answer, for each question."""
    taken = []
    for question in ASKED:
        browser.run(f"document.querySelector('.view input').value = {json.dumps(question)}; 0")
        began = time.perf_counter()
        browser.click(".view button.main")
        browser.wait("document.querySelector('[aria-busy=true]') === null", 120)
        taken.append(round(time.perf_counter() - began, 2))
    return taken


def measured(address: str, view: str) -> dict:
    """What one view takes, in a browser with nothing stored."""
    with tempfile.TemporaryDirectory() as profile, Browser(Path(profile)) as browser:
        page = f"{address}{view}.html"
        found = {"cold s": seconds(browser, page), "MB": round(browser.run(LOADED), 1)}
        found |= {"warm s": seconds(browser, page), "memory MB": megabytes()}
        if view == "reader":
            found |= {f"{tokens} tokens, ms": milliseconds(browser, tokens) for tokens in TOKENS}
        if view == "language":
            found["a token, ms"] = round(browser.run(WRITE), 1)
        if view == "ask":
            found["an answer, s"] = asking(browser)
    return found


@contextlib.contextmanager
def like_a_phone() -> Iterator[None]:
    """Let the browser, all of it, run in a quarter of the time only, on one core."""
    cores, over = os.sched_getaffinity(0), threading.Event()

    def beat() -> None:
        while not over.wait(0.02):
            browser = [p for p in psutil.Process().children(recursive=True) if "chrom" in p.name()]
            for process in browser:
                with contextlib.suppress(psutil.Error):
                    process.suspend()
            over.wait(0.06)
            for process in browser:
                with contextlib.suppress(psutil.Error):
                    process.resume()

    beating = threading.Thread(target=beat)
    beating.start()
    os.sched_setaffinity(0, {min(cores)})  # of this thread, and what it starts
    try:
        yield
    finally:
        over.set()
        beating.join()
        os.sched_setaffinity(0, cores)


def main() -> None:
    site = Path(sys.argv[1]) if len(sys.argv) > 1 else explorers.SITE
    if not (site / "reader.html").is_file():
        explorers.lay(site)
    ways = {
        "one thread": (False, contextlib.nullcontext),
        "threads": (True, contextlib.nullcontext),
        "like a phone": (False, like_a_phone),
    }
    for name, (isolated, beside) in ways.items():
        server = site_server.server(site, isolated=isolated)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with beside():
            for view in explorers.PAGES:
                took = measured(f"http://127.0.0.1:{server.server_port}/", view)
                print(name, view, json.dumps(took), flush=True)
        server.shutdown()


if __name__ == "__main__":
    main()
