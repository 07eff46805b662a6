"""What the tests of several figures share."""

import html
import html.parser
import json
import re
import subprocess

import matplotlib.style
import pytest

from src.runtime import COURSE
from tools.browser import CHROMIUM


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


class Page(html.parser.HTMLParser):
    """Gathers the tags and the data of something to explore."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.data = [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.data = self.data or next((v for k, v in attrs if k.startswith("data-") and v), None)


OUTSIDE = re.compile(r"https?:|//cdn|(src|href)=|import\(|fetch\(|XMLHttp|eval\(|innerHTML")


@pytest.fixture
def data_of():
    """data_of(panel): what its script is given, after a look that it asks no host for anything."""

    def read(panel):
        page = Page(panel.html)
        assert page.tags == ["div", "p", "script"], "words are escaped"
        assert not OUTSIDE.search(panel.html)
        return json.loads(page.data)

    return read


@pytest.fixture
def in_browser(tmp_path):
    """in_browser(shown, acts): two copies of an explorer on a page in chromium, and a script.

    acts: JavaScript that acts on the first and calls note(what, text) for each thing to look at.
    Returns {what: text}, and the page's HTML afterwards.
    """
    if CHROMIUM is None:
        pytest.skip("needs chromium (Debian: apt-get install chromium)")

    def run(shown, acts):
        notes = "var said = []; function note(what, text) { said.push(what + '=' + text); }"
        script = f"<script>{notes}\n{acts}\ndocument.title = said.join('|');</script>"
        page = tmp_path / "page.html"
        body = f"<html><body>{shown.html}{shown.html}{script}</body></html>"
        page.write_text(body, encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"]
        command = [CHROMIUM, *flags, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        title = html.unescape(re.search(r"<title>(.*?)</title>", result.stdout, re.S)[1])
        return dict(part.split("=", 1) for part in title.split("|")), result.stdout

    return run


@pytest.fixture
def texts():
    """texts(figure): everything written in it, ticks apart."""
    return lambda figure: [text.get_text() for ax in figure.axes for text in ax.texts]
