"""Follow every link that stays inside the repository: in the *.md files and in the text cells of notebooks.

    python tools/check_links.py                all files of the repository

Started by `make lint`. A link must lead to a file of the repository (not to one that is only built), or to a folder with such
files; what stands behind a # must be a heading of that file. Links to other hosts are not asked for: they need a network. The pages
of the site in tools/pages link to what is only there on the site; Sphinx follows those when it builds it.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src.teaching.glossary import anchor
from tools import repository

CODE = re.compile(r"^ *(```+|~~~+).*?^ *\1[^\n]*$|(?<!`)(`+)(?!`).+?(?<!`)\2(?!`)", re.DOTALL | re.MULTILINE)  # fenced, or within a line
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'(][^)]*)?\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)", re.MULTILINE)
ATTRIBUTE = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)\s*=\s*[\"']([^\"']+)", re.IGNORECASE)
PLACE = re.compile(r"<[a-z]+\b[^>]*?\b(?:id|name)\s*=\s*[\"']([^\"']+)", re.IGNORECASE)
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
SITE_PAGES = "tools/pages/"
OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)  # https:, mailto:, and the like


def broken_links(root: Path = repository.ROOT) -> list[str]:
    """One line for each link in the repository at `root` that leads nowhere: where it stands, and what is missing."""
    known = repository.files(root)
    places = {*known, *(parent.as_posix() for name in known for parent in Path(name).parents)}
    problems = []
    for name in (name for name in known if not name.startswith(SITE_PAGES)):
        for where, text in texts(root, name):
            for target in targets(text):
                problem = _problem(root, name, target, places)
                if problem:
                    problems.append(f"{where}: the link to {target} leads nowhere: {problem}")
    return problems


def texts(root: Path, name: str) -> Iterator[tuple[str, str]]:
    """The Markdown in a file: the file itself, or the text cells of a notebook; each with what to call it."""
    if name.endswith(".md"):
        yield name, (root / name).read_text(encoding="utf-8")
    elif name.endswith(".ipynb"):
        for number, source in repository.cells(root / name, "markdown"):
            yield f"{name}, cell {number}", source


def targets(text: str) -> list[str]:
    """What the links and pictures of a Markdown text lead to, without those to other hosts and without what is only code."""
    prose = CODE.sub("", text)
    found = [*LINK.findall(prose), *REFERENCE.findall(prose), *ATTRIBUTE.findall(prose)]
    return [target for target in found if not OUTSIDE.match(target)]


def anchors(root: Path, name: str) -> set[str]:
    """What can stand behind a # in a link to this file: its headings as GitHub and the site write them, and ids in its HTML."""
    found: set[str] = set()
    for _, text in texts(root, name):
        prose = re.sub(r"^ *(```+|~~~+).*?^ *\1[^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)
        found |= set(PLACE.findall(prose))
        times = Counter()
        for heading in HEADING.findall(prose):
            own = anchor(re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading))  # of a link in it the words
            found.add(f"{own}-{times[own]}" if times[own] else own)
            times[own] += 1
    return found


def _problem(root: Path, name: str, target: str, places: set[str]) -> str | None:
    """Why a link in the file `name` leads nowhere, None where it leads somewhere.   places: the files and folders there are"""
    path, _, place = unquote(target).partition("#")
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
    if reached.startswith(("../", "/")):
        return "it leaves the repository."
    if reached not in places:
        return "the file is built, or ignored by git." if (root / reached).exists() else "there is no such file."
    if place and place not in anchors(root, reached):
        return f"{reached} has no heading with the anchor {place!r}."
    return None


def main() -> None:
    """Check all links; one line for each that is broken."""
    try:
        problems = broken_links()
    except OSError as error:
        sys.exit(str(error))
    sys.exit("\n".join(problems) or None)


if __name__ == "__main__":
    main()
