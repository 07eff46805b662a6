"""Ways to open a notebook, in one table: "Open in Colab", "View on GitHub" and "Download", for the site's pages and for README.md.

    python tools/badges.py                     write the list of README.md again

Where the course is published is said once, in pyproject.toml. As long as a placeholder stands there, a way that needs GitHub
is no link, and a sentence says why: nothing looks alive that is not.
"""

from __future__ import annotations

import html
import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BRANCH = "main"
README = ROOT / "README.md"
START, END = "<!-- ways to open the notebooks: written by tools/badges.py -->", "<!-- end of the ways -->"
UNPUBLISHED = "Colab opens courses that are published on GitHub; this one is not there yet (its address is set in `pyproject.toml`)."
MEANWHILE = "Until then a downloaded notebook runs inside a copy of the course, in `notebooks/`."


@dataclass(frozen=True)
class Way:
    """One way to open a notebook. address: with {course} (owner/name on GitHub), {branch} and {notebook} to fill in"""

    label: str
    address: str
    saves: bool = False  # the browser saves what is there, and does not show it

    @property
    def needs_github(self) -> bool:
        """Whether it works only for a course that is on GitHub."""
        return "{course}" in self.address


WAYS = (
    Way("Open in Colab", "https://colab.research.google.com/github/{course}/blob/{branch}/notebooks/{notebook}.ipynb"),
    Way("View on GitHub", "https://github.com/{course}/blob/{branch}/notebooks/{notebook}.ipynb"),
    Way("Download", "downloads/{notebook}.ipynb", saves=True),  # laid there by tools/build_site.py
)


def repository(project: Path = ROOT / "pyproject.toml") -> str:
    """The address that the course is published at, or is to be: the one field that says so."""
    return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


def is_published(address: str) -> bool:
    """Whether it is an address that somebody can open, and no placeholder: names below .invalid never exist (RFC 2606)."""
    return re.match(r"https?://[^/]*\.invalid(/|$)", address) is None


def on_github(address: str) -> str | None:
    """owner/name of a course on GitHub, None for any other address."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", address)
    return found[1] if found else None


def target(way: Way, notebook: str, address: str) -> str | None:
    """Where a way leads for a notebook ("04_attention") of the course at `address`; None where it cannot lead anywhere yet."""
    course = on_github(address)
    if way.needs_github and course is None:
        return None
    return way.address.format(course=course, branch=BRANCH, notebook=notebook)


def ways_html(notebook: str, address: str) -> str:
    """The ways as a line of links for the top of the notebook's page; one that leads nowhere yet is text that says so."""
    items = []
    for way in WAYS:
        link, label = target(way, notebook, address), html.escape(way.label)
        if link is not None:
            items.append(f'<li><a href="{html.escape(link)}"{" download" if way.saves else ""}>{label}</a></li>')
    reason = "" if on_github(address) else f'<p class="ways-note">{_code(UNPUBLISHED)} {_code(MEANWHILE)}</p>'
    return f'<ul class="ways" aria-label="Ways to open this notebook">{"".join(items)}</ul>{reason}'


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def ways_markdown(notebooks: Iterable[str], address: str) -> str:
    """The first way for each notebook as one line of Markdown for README.md, or why there is none yet."""
    way = WAYS[0]
    links = [(notebook.partition("_")[0], target(way, notebook, address)) for notebook in notebooks]
    if not links or None in dict(links).values():
        return UNPUBLISHED
    return f"{way.label}: " + " · ".join(f"[{number}]({link})" for number, link in links)


def filled_in(readme: str, notebooks: Iterable[str], address: str) -> str:
    """README.md with its line written again, between START and END. Raises ValueError where these two are not there."""
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"README.md has no place for the ways to open notebooks; it needs a line {START} and, below it, {END}.")
    return f"{before}{START}\n{ways_markdown(notebooks, address)}\n{END}{after}"


def main() -> None:
    """Write the line of README.md."""
    notebooks = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    try:
        README.write_text(filled_in(README.read_text(encoding="utf-8"), notebooks, repository()), encoding="utf-8")
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
