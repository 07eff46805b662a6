"""What the tests of several figures share."""

import html
import html.parser
import re
import subprocess

import pytest

from tools.browser import CHROMIUM


class Page(html.parser.HTMLParser):
    """Gathers tags, the data of something to explore, and every attribute that could lead elsewhere."""

    def __init__(self):
        super().__init__()
        self.tags, self.data, self.addresses = [], None, []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        self.data = self.data or next((given[name] for name in ("data-map", "data-attention", "data-numbers") if given.get(name)), None)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]


@pytest.fixture
def read_page():
    """read_page(text): its tags, data and addresses; see Page."""

    def read(text):
        page = Page()
        page.feed(text)
        return page

    return read


@pytest.fixture
def in_browser(tmp_path):
    """in_browser(shown, acts): two copies of something to explore on one page in chromium, and a script that acts on the first.

    acts: calls note(what, text) for each thing to look at. Returns {what: text}, and the page's HTML afterwards.
    """
    if CHROMIUM is None:
        pytest.skip("needs chromium (Debian: apt-get install chromium)")

    def run(shown, acts):
        notes = "var said = []; function note(what, text) { said.push(what + '=' + text); }"
        page = tmp_path / "page.html"
        script = f"<script>{notes}\n{acts}\ndocument.title = said.join('|');</script>"
        page.write_text(f"<html><body>{shown.html}{shown.html}{script}</body></html>", encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
        result = subprocess.run([CHROMIUM, *flags, page.as_uri()], capture_output=True, text=True, timeout=120)
        title = html.unescape(re.search(r"<title>(.*?)</title>", result.stdout, re.S)[1])
        return dict(part.split("=", 1) for part in title.split("|")), result.stdout

    return run
