"""The glossary: every term defined once, every link to it leads somewhere, one page of it."""

import re

import pytest

from src.runtime import COURSE
from src.teaching.glossary import anchor, glossary, glossary_page, parse_glossary

ENTRY = {"definition": "What it is.", "notebook": "06"}
NOTEBOOKS = sorted((COURSE / "notebooks").glob("*.ipynb"))


def test_every_term_has_a_definition_that_does_not_begin_with_itself_and_a_notebook():
    numbers = {notebook.stem.partition("_")[0] for notebook in NOTEBOOKS}
    for name, entry in glossary().items():
        text = entry.definition.lower()
        assert len(text.split()) >= 6 and text.endswith((".", "!", "?")), name
        assert not text.startswith((f"{name.lower()} is ", f"a {name.lower()} is ")), name
        assert entry.notebook in numbers, name


def test_the_page_has_a_heading_for_every_term_and_its_own_links_resolve():
    page = glossary_page()
    headings = [re.sub(r"\\(.)", r"\1", h) for h in re.findall(r"^### (.*)$", page, re.M)]
    assert headings == list(glossary())
    anchors = [anchor(heading) for heading in headings]
    letters = {anchor(letter) for letter in re.findall(r"^## (.*)$", page, re.M)}
    assert len(set(anchors)) == len(anchors), "two terms would share an anchor"
    assert not set(anchors) & letters, "a letter's heading would take a term's anchor"
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= set(anchors)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("doc stride", "doc-stride"), ("[CLS]", "cls"), ("max_length", "max_length"), ("F1", "f1")],
)
def test_anchors_are_those_that_markdown_renderers_make(name, expected):
    assert anchor(name) == expected


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"a": {"definition": "x"}}, "glossary, a, notebook: field required"),
        ({"a": ENTRY | {"notebook": "6"}}, "glossary, a, notebook: string should match"),
        ({"a": ENTRY | {"links": []}}, "glossary, a, links: unexpected"),
        ({"a": ENTRY, "A": ENTRY}, "'a' means both 'a' and 'A'"),
        ({"a": ENTRY, "b": ENTRY | {"also": ["a"]}}, "'a' means both 'a' and 'b'"),
        ({"n best": ENTRY, "n-best": ENTRY}, "'n-best' means both"),
        ({"a": ENTRY | {"see": ["b"]}}, "glossary, a: it refers to 'b'"),
    ],
)
def test_a_broken_glossary_is_refused_with_the_term_and_the_reason(data, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        parse_glossary(data)
    assert "\n" not in str(error.value)


def test_the_page_beside_the_notebooks_is_the_current_one():
    written = COURSE / "notebooks" / "glossary.md"
    assert written.read_text(encoding="utf-8") == glossary_page(), (
        "it is old: python -m src.teaching.glossary notebooks/glossary.md"
    )
