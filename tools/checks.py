"""Check the files of the repository: links, spelling and sizes.

    python tools/checks.py                        all three, for all files: part of `make lint`
    python tools/checks.py spelling [FILES]       one of them, for these files: before a commit

A link must lead to a file of the repository, or to a folder with such files; what is behind a #
must be a heading there. Links to other hosts are not asked for: they need a network. The pages in
tools/pages link to what is only on the site; Sphinx follows those. Spelling goes by codespell's
list of common mistakes; of a notebook the cells are read, not the outputs: a small language model
may spell as it likes. Words that are right here are in pyproject.toml, [tool.codespell].
"""

import functools
import json
import posixpath
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from src.teaching.glossary import anchor

MARKDOWN = MarkdownIt("commonmark").enable("table")
OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)  # https:, mailto:, and the like
ATTRIBUTE = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)\s*=\s*[\"']([^\"']+)", re.IGNORECASE)
PLACE = re.compile(r"<[a-z]+\b[^>]*?\b(?:id|name)\s*=\s*[\"']([^\"']+)", re.IGNORECASE)
MISSPELT = 65  # codespell's exit status where it found something
LARGEST_MB = 25  # of one file: whoever clones the repository gets every version of it
CLONE_MB = 85  # of all files together


def files(root: Path = ROOT) -> list[str]:
    """All files that are, or could be, committed: those git tracks, and new ones.

    Raises:
        OSError: `root` is no clone.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["git says nothing"])[-1]
        raise OSError(f"{root} is no clone of the course ({reason}); its files need one.")
    names = set(result.stdout.split("\0")) - {""}
    return sorted(name for name in names if (root / name).is_file())


def cells(notebook: Path, kind: str | None = None) -> Iterator[tuple[int, str]]:
    """Number (from 1) and source of the cells of one kind, or of all, of a notebook."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    for number, cell in enumerate(content["cells"], 1):
        if kind in (None, cell["cell_type"]):
            yield number, "".join(cell["source"])


# --- links


def broken_links(root: Path = ROOT) -> list[str]:
    """One line for each link that leads nowhere: where it is, and what is missing."""
    known = files(root)
    places = {*known, *(str(parent) for name in known for parent in Path(name).parents)}
    return [
        f"{where}: the link to {target} leads nowhere: {problem}"
        for name in known
        if not name.startswith("tools/")  # pages of the site, and the template of a notebook
        for where, text in texts(root, name)
        for target in targets(text)
        if (problem := problem_of(root, name, target, places))
    ]


def texts(root: Path, name: str) -> Iterator[tuple[str, str]]:
    """The Markdown in a file, or in the text cells of a notebook; each with what to call it."""
    if name.endswith(".md"):
        yield name, (root / name).read_text(encoding="utf-8")
    elif name.endswith(".ipynb"):
        for number, source in cells(root / name, "markdown"):
            yield f"{name}, cell {number}", source


@functools.lru_cache(maxsize=16)
def tokens(text: str) -> list[Token]:
    """Markdown, parsed; what is inside a paragraph or a heading comes after it."""
    found = MARKDOWN.parse(text)
    return [token for outer in found for token in (outer, *(outer.children or []))]


def html_of(text: str) -> str:
    """What is HTML in a Markdown text."""
    return "".join(one.content for one in tokens(text) if one.type.startswith("html_"))


def targets(text: str) -> list[str]:
    """What links and pictures of a Markdown text lead to, without those to other hosts."""
    found = [one.attrs.get("href") or one.attrs.get("src") for one in tokens(text)]
    found += ATTRIBUTE.findall(html_of(text))
    return [str(target) for target in found if target and not OUTSIDE.match(str(target))]


@functools.cache
def anchors(root: Path, name: str) -> set[str]:
    """What may be behind a # in a link to a file: its headings as GitHub and the site write them,
    and ids in its HTML."""
    found: set[str] = set()
    for _, text in texts(root, name):
        found |= set(PLACE.findall(html_of(text)))
        times: Counter[str] = Counter()
        for opening, inline in pairwise(tokens(text)):
            if opening.type == "heading_open":
                own = anchor("".join(part.content for part in inline.children or []))
                found.add(f"{own}-{times[own]}" if times[own] else own)
                times[own] += 1
    return found


def problem_of(root: Path, name: str, target: str, places: set[str]) -> str | None:
    """Why a link in the file `name` leads nowhere; None where it leads to one of `places`."""
    path, _, place = unquote(target).partition("#")
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
    if reached.startswith(("../", "/")):
        return "it leaves the repository."
    if reached not in places:
        built = (root / reached).exists()
        return "the file is built, or ignored by git." if built else "there is no such file."
    if place and place not in anchors(root, reached):
        return f"{reached} has no heading with the anchor {place!r}."
    return None


# --- spelling and sizes


def misspellings(names: Sequence[str], root: Path = ROOT) -> list[str]:
    """One line for each misspelt word in these files: where, the word, and what it should be.

    Raises:
        OSError: codespell cannot do its work.
    """
    with tempfile.TemporaryDirectory() as folder:
        places: dict[str, str] = {}  # a cell's own file -> what to call it
        for name in (name for name in names if name.endswith(".ipynb")):
            for number, source in cells(root / name):
                cell = Path(folder, f"{len(places)}.md")
                cell.write_text(source, encoding="utf-8")
                places[str(cell)] = f"{name}, cell {number}"
        plain = [name for name in names if not name.endswith(".ipynb")]
        settings = ["--check-hidden", "--toml", str(ROOT / "pyproject.toml")]
        command = [sys.executable, "-m", "codespell_lib", *settings, *plain, *places]
        result = subprocess.run(command, cwd=root, capture_output=True, text=True)
        if result.returncode not in (0, MISSPELT):
            said = (result.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise OSError(f"codespell failed: {said}")
        found = []
        for line in result.stdout.splitlines():
            path, number, rest = line.split(":", 2)
            found.append(f"{places[path]}, line {number}:{rest}" if path in places else line)
        return found


def too_large(names: Sequence[str], root: Path = ROOT) -> list[str]:
    """A sentence for each of these files that is too large, and one for all of them together."""
    sizes = {name: (root / name).stat().st_size / 1e6 for name in names}
    advice = "outside files belong into data/assets.txt, see CONTRIBUTING.md"
    found = [
        f"{name}: {size:.1f} MB, and {LARGEST_MB} MB is the most; {advice}."
        for name, size in sizes.items()
        if size > LARGEST_MB
    ]
    if sum(sizes.values()) > CLONE_MB:
        found.append(
            f"all files: {sum(sizes.values()):.1f} MB, and the budget is {CLONE_MB} MB, "
            "see CONTRIBUTING.md, 'What a clone weighs'."
        )
    return found


def main(arguments: Sequence[str]) -> None:
    """Do what the command line says; ends with status 1 and a line for each finding."""
    kinds = {"links": lambda names: broken_links(), "spelling": misspellings, "sizes": too_large}
    chosen, named = (arguments[:1], arguments[1:]) if arguments else (list(kinds), [])
    try:
        paths = [Path(name).resolve(strict=True) for name in named]
        names = [path.relative_to(ROOT).as_posix() for path in paths] or files()
        found = [line for kind in chosen for line in kinds[kind](names)]
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"checks: {error}")
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main(sys.argv[1:])
