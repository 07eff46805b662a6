"""The course's glossary: one meaning per term, in data/glossary.yaml, and the page made of it.

A notebook links a term where it uses it: `[doc stride](glossary.md#doc-stride)`. The page is
beside the notebooks, so that the same link works in Jupyter, on GitHub and on the site.

    python -m src.teaching.glossary notebooks/glossary.md      write the page
"""

import functools
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints
from pydantic.dataclasses import dataclass

from src.runtime import COURSE
from src.teaching.schema import FORBID, Text, checked

GLOSSARY = COURSE / "data" / "glossary.yaml"


@dataclass(frozen=True, config=FORBID)
class Term:
    """One entry; `notebook` is where it is taught, `also` are other names, `see` related terms."""

    definition: Text
    notebook: Annotated[str, StringConstraints(pattern=r"^(\d\d[a-z]?|workshop)$")]
    also: tuple[Text, ...] = ()
    see: tuple[Text, ...] = ()
    name: str = ""

    @property
    def anchor(self) -> str:
        """The part of a link behind the #."""
        return anchor(self.name)


def anchor(name: str) -> str:
    """The anchor that GitHub, JupyterLab and MyST give to a heading: doc-stride to "doc stride"."""
    return re.sub(r"[^\w\- ]", "", name.lower()).strip().replace(" ", "-")


@functools.cache
def glossary() -> Mapping[str, Term]:
    """All terms by name, in alphabetical order.

    Raises:
        ValueError: as `parse_glossary`.
    """
    import yaml

    return parse_glossary(yaml.safe_load(GLOSSARY.read_text(encoding="utf-8")))


def parse_glossary(data: object) -> dict[str, Term]:
    """The terms of the file's content by name, in alphabetical order.

    Raises:
        ValueError: an entry is incomplete, double, or refers to nothing.
    """
    terms = {
        name: replace(entry, name=name, definition=" ".join(entry.definition.split()))
        for name, entry in checked(dict[str, Term], data, "glossary").items()
    }
    names: dict[str, str] = {}
    for name, entry in terms.items():
        for other in {name.lower(), entry.anchor, *(also.lower() for also in entry.also)}:
            if names.setdefault(other, name) != name:
                both = f"both {names[other]!r} and {name!r}"
                raise ValueError(f"glossary: {other!r} means {both}; rename one of them.")
        for other in entry.see:
            if other not in terms:
                raise ValueError(f"glossary, {name}: it refers to {other!r}, which has no entry.")
    return dict(sorted(terms.items(), key=lambda item: (item[1].anchor, item[0])))


def glossary_page() -> str:
    """The whole glossary as one Markdown page; every term is a heading."""
    lines = ["# Glossary", ""]
    lines += ["What the course means by its words. The number is the notebook that teaches it."]
    letter = ""
    for name, entry in glossary().items():
        if entry.anchor[0].upper() != letter:
            letter = entry.anchor[0].upper()
            lines += ["", f"## {letter}"]
        text = entry.definition
        if entry.also:
            text += f" Also called {', '.join(entry.also)}."
        if entry.see:
            links = (f"[{_plain(other)}](#{anchor(other)})" for other in entry.see)
            text += f" See also {', '.join(links)}."
        lines += ["", f"### {_plain(name)}", "", f"{text} *Notebook {entry.notebook}.*"]
    return "\n".join(lines) + "\n"


def _plain(name: str) -> str:
    return re.sub(r"([\[\]_*])", r"\\\1", name)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(glossary_page(), encoding="utf-8")
    print(f"{sys.argv[1]}: {len(glossary())} terms")
