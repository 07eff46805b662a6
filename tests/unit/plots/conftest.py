"""What the tests of several figures share."""

import html.parser

import pytest


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
