"""How long a page that computes takes, in Chromium: `python benchmarks/bench_explorers.py`.

Seconds from opening the page to its first answer, with nothing stored and with the files in the
browser's store; milliseconds an answer at 128, 256 and 384 tokens; as any static host serves it
(one thread), and with the headers that allow threads. Run it on an idle machine. Chromium can slow
down a page, but not its workers: for a phone, multiply.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import explorers, site_server
from tools.browser import Browser

READY = "document.querySelector('.rest:not([hidden])') !== null"
TOKENS, TIMES = (128, 256, 384), 7
# A passage of so many tokens in one window: "a" is one.
READ = """Explorers.helper('reader').then((h) => {{
  const s = Explorers.about.reader;
  const given = {{name: 'reader', question: 'Who ?', passage: 'a '.repeat({passage}),
    scaling: s.scaling, maxLength: 384, docStride: 128}};
  return h.do('read', given);
}}).then((read) => [read.milliseconds, read.windows[0].ids.length, read.windows.length])"""


def first_answer(browser: Browser, address: str) -> float:
    """Seconds from opening a page to what it shows first."""
    began = time.perf_counter()
    browser.open(address)
    browser.wait(READY, 600)
    return round(time.perf_counter() - began, 2)


def milliseconds(browser: Browser, tokens: int) -> float:
    """The middle of several answers at so many tokens."""
    script = READ.format(passage=tokens - 5)
    taken = []
    for _ in range(TIMES):
        took, length, windows = browser.run(script)
        assert (length, windows) == (tokens, 1)
        taken.append(took)
    return round(statistics.median(taken))


def measured(site: Path, isolated: bool) -> dict:
    server = site_server.server(site, isolated=isolated)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/reader.html"
    with tempfile.TemporaryDirectory() as profile, Browser(Path(profile)) as browser:
        found = {"cold s": first_answer(browser, address), "warm s": first_answer(browser, address)}
        found |= {f"{tokens} tokens, ms": milliseconds(browser, tokens) for tokens in TOKENS}
    server.shutdown()
    return found


def main() -> None:
    site = Path(sys.argv[1]) if len(sys.argv) > 1 else explorers.SITE
    if not (site / "reader.html").is_file():
        explorers.lay(site)
    for name, isolated in {"one thread": False, "threads": True}.items():
        print(name, json.dumps(measured(site, isolated)), flush=True)


if __name__ == "__main__":
    main()
