"""The ways to open a notebook: links where they lead somewhere, words where they do not, and one table for site and README."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from tools import badges

GITHUB = "https://github.com/someone/words-to-answers"


class Links(HTMLParser):
    """Collects the links of a piece of HTML: (address, whether it is saved)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str | None, bool]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the links."""
        if tag == "a":
            self.found.append((dict(attrs).get("href"), "download" in dict(attrs)))


def test_a_published_course_opens_in_colab_and_on_github() -> None:
    """The form of Colab's addresses is in its own documentation: colab.research.google.com/github/OWNER/NAME/blob/BRANCH/PATH."""
    links = Links(badges.ways_html("04_attention", GITHUB)).found
    path = "someone/words-to-answers/blob/main/notebooks/04_attention.ipynb"
    assert links == [
        (f"https://colab.research.google.com/github/{path}", False),
        (f"https://github.com/{path}", False),
        ("downloads/04_attention.ipynb", True),
    ]


@pytest.mark.parametrize("address", ["https://example.invalid/words-to-answers", "https://gitlab.example.org/a/b", "https://github.com/a"])
def test_an_address_that_colab_cannot_open_gives_no_link_to_it_and_says_so(address: str) -> None:
    text = badges.ways_html("04_attention", address)
    assert Links(text).found == [("downloads/04_attention.ipynb", True)]
    assert "Colab opens courses that are published on GitHub" in text


@pytest.mark.parametrize("end", ["", ".git", "/"])
def test_the_ways_an_address_can_be_written_mean_the_same_course(end: str) -> None:
    assert badges.on_github(GITHUB + end) == "someone/words-to-answers"


def test_placeholders_are_not_published() -> None:
    assert badges.is_published(GITHUB) and not badges.is_published("https://example.invalid/words-to-answers")


def test_the_line_of_the_readme_is_replaced_and_nothing_else() -> None:
    readme = f"above\n{badges.START}\nold\nlines\n{badges.END}\nbelow\n"
    written = badges.filled_in(readme, ["00_start_here", "05b_size"], GITHUB)
    colab = "https://colab.research.google.com/github/someone/words-to-answers/blob/main/notebooks"
    line = f"Open in Colab: [00]({colab}/00_start_here.ipynb) · [05b]({colab}/05b_size.ipynb)"
    assert written == f"above\n{badges.START}\n{line}\n{badges.END}\nbelow\n"
    assert badges.filled_in(written, ["00_start_here"], "https://example.invalid/x").count("](") == 0
    with pytest.raises(ValueError, match="README"):
        badges.filled_in("no place", ["00_start_here"], GITHUB)


def test_the_readme_holds_what_the_table_and_the_address_give() -> None:
    readme = badges.README.read_text(encoding="utf-8")
    notebooks = sorted(path.stem for path in (badges.ROOT / "notebooks").glob("*.ipynb"))
    assert readme == badges.filled_in(readme, notebooks, badges.repository()), "run `python tools/badges.py`"
