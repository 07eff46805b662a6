"""The course's glossary: one meaning per term, in data/glossary.yaml, and the page that notebooks link their terms to.

A notebook links a term where it uses it: `[doc stride](glossary.md#doc-stride)`, which `term("doc stride")` writes. The page
stands beside the notebooks, so that the same link works in Jupyter, on GitHub and on the site.

    python -m src.teaching.glossary notebooks/glossary.md      write the page
"""

from __future__ import annotations

import argparse
import difflib
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COURSE = Path(__file__).resolve().parents[2]
GLOSSARY = COURSE / "data" / "glossary.yaml"
PAGE = "glossary.md"
LINK = re.compile(r"\]\(glossary\.md(?:#([^)\s]*))?\)")


@dataclass(frozen=True)
class Term:
    """One entry. notebook: where it is taught, "06"; also: other names for it; see: related terms."""

    name: str
    definition: str
    notebook: str
    also: tuple[str, ...] = ()
    see: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """The part of a link behind the #."""
        return anchor(self.name)


def anchor(name: str) -> str:
    """The anchor that GitHub, JupyterLab and MyST give to a heading `name`: small letters, no punctuation, hyphens for blanks."""
    return re.sub(r"[^\w\- ]", "", name.lower()).strip().replace(" ", "-")


@functools.cache
def glossary() -> Mapping[str, Term]:
    """All terms by name, in alphabetical order. Raises ValueError naming the entry that is incomplete, double or points nowhere."""
    import yaml

    return parse_glossary(yaml.safe_load(GLOSSARY.read_text(encoding="utf-8")))


def parse_glossary(data: object) -> dict[str, Term]:
    """The terms of the file's content, a mapping from a term to {definition, notebook, also?, see?}, checked. See `glossary`."""
    if not isinstance(data, dict) or not data:
        raise ValueError("the glossary must be a mapping from terms to their entries.")
    terms = {}
    for name, entry in data.items():
        place = f"glossary, term {name!r}"
        if not isinstance(name, str) or not isinstance(entry, dict):
            raise ValueError(f"{place}: expected a text with definition and notebook under it (quote names such as `null` or 1).")
        if unknown := entry.keys() - {"definition", "notebook", "also", "see"}:
            raise ValueError(f"{place}: unknown key {', '.join(map(str, sorted(unknown, key=str)))}.")
        for key in ("definition", "notebook"):
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                raise ValueError(f"{place}: needs a {key}, as text.")
        if not re.fullmatch(r"0[0-7]", entry["notebook"]):
            raise ValueError(f"{place}: notebook must be '00' to '07'; got {entry['notebook']!r}.")
        definition = " ".join(entry["definition"].split())
        terms[name] = Term(name, definition, entry["notebook"], tuple(entry.get("also", ())), tuple(entry.get("see", ())))
    _check(terms)
    return dict(sorted(terms.items(), key=lambda item: (item[1].anchor, item[0])))


def _check(terms: Mapping[str, Term]) -> None:
    """No name twice, no anchor twice, and every `see` leads somewhere."""
    names: dict[str, str] = {}
    for term_ in terms.values():
        for name in {term_.name.lower(), term_.anchor, *(other.lower() for other in term_.also)}:
            if names.setdefault(name, term_.name) != term_.name:
                raise ValueError(f"glossary: {name!r} stands for both {names[name]!r} and {term_.name!r}.")
        for other in term_.see:
            if other not in terms:
                raise ValueError(f"glossary, term {term_.name!r}: it refers to {other!r}, which has no entry.")


def find_term(name: str) -> Term:
    """The entry of a term or of another name for it, capital or small. Raises ValueError that offers the nearest there is."""
    names = {other.lower(): entry for entry in glossary().values() for other in (entry.name, *entry.also)}
    if name.lower() not in names:
        near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
        offer = f"; did you mean {' or '.join(repr(names[other].name) for other in near)}?" if near else "."
        raise ValueError(f"the glossary has no {name!r}{offer} Terms live in data/glossary.yaml.")
    return names[name.lower()]


def term(name: str, text: str | None = None) -> str:
    """A Markdown link to a term: term("doc stride") is "[doc stride](glossary.md#doc-stride)". `text` is shown in place of `name`."""
    shown = (text or name).replace("[", "\\[").replace("]", "\\]")
    return f"[{shown}]({PAGE}#{find_term(name).anchor})"


def glossary_page() -> str:
    """The whole glossary as one Markdown page, for notebooks/glossary.md and for the site; every term is a heading."""
    lines = [
        "# Glossary",
        "",
        "What the course means by its words. The number says which notebook teaches it.",
    ]
    letter = ""
    for entry in glossary().values():
        if (initial := entry.anchor[0].upper()) != letter:
            letter = initial
            lines += ["", f"## {letter}"]
        also = f" Also called {', '.join(entry.also)}." if entry.also else ""
        see = f" See also {', '.join(f'[{_heading(other)}](#{anchor(other)})' for other in entry.see)}." if entry.see else ""
        lines += ["", f"### {_heading(entry.name)}", "", f"{entry.definition}{also}{see} *Notebook {entry.notebook}.*"]
    return "\n".join(lines) + "\n"


def _heading(name: str) -> str:
    return re.sub(r"([\[\]_*])", r"\\\1", name)


def broken_links(markdown: str) -> list[str]:
    """The anchors of glossary links in `markdown` that lead to no term."""
    anchors = {entry.anchor for entry in glossary().values()}
    return [found for found in LINK.findall(markdown) if found and found not in anchors]


def main() -> None:
    """Write the page to the file named on the command line."""
    parser = argparse.ArgumentParser(description="Write the course's glossary as a Markdown page.")
    parser.add_argument("page", type=Path, help="for example notebooks/glossary.md")
    arguments = parser.parse_args()
    arguments.page.write_text(glossary_page(), encoding="utf-8")
    print(f"{arguments.page}: {len(glossary())} terms")


if __name__ == "__main__":
    main()
