"""Ways to open a notebook: in Colab, on GitHub, as a download.

    python tools/badges.py                     write the line of README.md again

pyproject.toml says where the course is published. As long as a placeholder is there, what needs
GitHub is no link, and a sentence says why: nothing looks alive that is not.
"""

import html
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
START = "<!-- ways to open the notebooks: written by tools/badges.py -->"
END = "<!-- end of the ways -->"
UNPUBLISHED = "Colab opens courses that are published on GitHub; this one is not there yet."
MEANWHILE = "Until then, run this notebook in a copy of the course on your computer: `make lab`."


def repository() -> str:
    """The address that the course is published at, or is to be."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"]


def is_published(address: str) -> bool:
    """Whether somebody can open an address: names below .invalid never exist (RFC 2606)."""
    return re.match(r"https?://[^/]*\.invalid(/|$)", address) is None


def links(notebook: str, address: str) -> dict[str, str]:
    """What to call the ways that need GitHub, and where they lead; empty for a course elsewhere.

    Args:
        notebook: its name, such as "04_attention".
        address: where the course is published.
    """
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", address)
    if not found:
        return {}
    place = f"{found[1]}/blob/main/notebooks/{notebook}.ipynb"
    return {
        "Open in Colab": f"https://colab.research.google.com/github/{place}",
        "View on GitHub": f"https://github.com/{place}",
    }


def ways_html(notebook: str, address: str) -> str:
    """The ways as a line of links for the top of a notebook's page; see `links`."""
    there = links(notebook, address)
    items = [f'<li><a href="{link}">{label}</a></li>' for label, link in there.items()]
    items.append(f'<li><a href="downloads/{notebook}.ipynb" download>Download</a></li>')
    reason = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(f"{UNPUBLISHED} {MEANWHILE}"))
    note = "" if there else f'<p class="ways-note">{reason}</p>'
    return f'<ul class="ways" aria-label="Ways to open this notebook">{"".join(items)}</ul>{note}'


def filled_in(readme: str, notebooks: Iterable[str], address: str) -> str:
    """README.md with its line between START and END written again."""
    colab = {name: links(name, address).get("Open in Colab") for name in notebooks}
    shown = [f"[{name.partition('_')[0]}]({link})" for name, link in colab.items() if link]
    line = f"Open in Colab: {' · '.join(shown)}" if shown else UNPUBLISHED
    between = re.compile(f"({re.escape(START)}\n).*?(\n{re.escape(END)})", re.DOTALL)
    return between.sub(lambda found: found[1] + line + found[2], readme)


def main() -> None:
    """Write the line of README.md again."""
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    text = README.read_text(encoding="utf-8")
    README.write_text(filled_in(text, names, repository()), encoding="utf-8")


if __name__ == "__main__":
    main()
