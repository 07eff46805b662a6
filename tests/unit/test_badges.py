"""The ways to open a notebook: links where they lead somewhere, words where they do not."""

import re

import pytest

from tools import badges

GITHUB = "https://github.com/someone/words-to-answers"
COLAB = "https://colab.research.google.com/github/someone/words-to-answers/blob/main/notebooks"


def links(text: str) -> list[str]:
    """Where the links of a piece of HTML lead."""
    return re.findall(r'<a href="([^"]+)"', text)


@pytest.mark.parametrize("end", ["", ".git", "/"])
def test_a_published_course_opens_in_colab_and_on_github(end):
    """Colab documents the form: colab.research.google.com/github/OWNER/NAME/blob/BRANCH/PATH."""
    text = badges.ways_html("04_attention", GITHUB + end)
    assert links(text) == [
        f"{COLAB}/04_attention.ipynb",
        f"{GITHUB}/blob/main/notebooks/04_attention.ipynb",
        "downloads/04_attention.ipynb",
    ]
    assert text.count(" download>") == 1 and "ways-note" not in text


@pytest.mark.parametrize(
    "address",
    ["https://example.invalid/x", "https://gitlab.example.org/a/b", "https://github.com/a"],
)
def test_an_address_that_colab_cannot_open_gives_no_link_to_it_and_says_so(address):
    text = badges.ways_html("04_attention", address)
    assert links(text) == ["downloads/04_attention.ipynb"]
    assert "Colab opens courses that are published on GitHub" in text


def test_placeholders_are_not_published():
    assert badges.is_published(GITHUB) and not badges.is_published("https://example.invalid/x")


def test_the_line_of_the_readme_is_replaced_and_nothing_else():
    readme = f"above\n{badges.START}\nold\nlines\n{badges.END}\nbelow\n"
    written = badges.filled_in(readme, ["00_start_here", "10_size"], GITHUB)
    line = f"Open in Colab: [00]({COLAB}/00_start_here.ipynb) · [10]({COLAB}/10_size.ipynb)"
    assert written == f"above\n{badges.START}\n{line}\n{badges.END}\nbelow\n"
    elsewhere = badges.filled_in(written, ["00_start_here"], "https://example.invalid/x")
    assert elsewhere == readme.replace("old\nlines", badges.UNPUBLISHED)


def test_the_readme_holds_what_the_address_gives():
    readme = badges.README.read_text(encoding="utf-8")
    notebooks = sorted(path.stem for path in (badges.ROOT / "notebooks").glob("*.ipynb"))
    written = badges.filled_in(readme, notebooks, badges.repository())
    assert badges.START in readme and readme == written, "run `python tools/badges.py`"
