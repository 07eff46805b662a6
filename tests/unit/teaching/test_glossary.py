"""The glossary: every term defined once, every link to it leads somewhere, the page and its anchors are what renderers make of them."""

import json
import re

import pytest

from src.teaching.glossary import (
    COURSE,
    anchor,
    broken_links,
    find_term,
    glossary,
    glossary_page,
    parse_glossary,
    term,
)

ENTRY = {"definition": "What it is.", "notebook": "06"}
NOTEBOOKS = sorted((COURSE / "notebooks").glob("*.ipynb"))


def test_every_term_has_a_definition_in_sentences_that_does_not_begin_with_the_term_itself():
    assert len(glossary()) >= 25
    for entry in glossary().values():
        assert len(entry.definition.split()) >= 6 and entry.definition.endswith((".", "!", "?")), (
            entry.name
        )
        assert not entry.definition.lower().startswith(
            (f"{entry.name.lower()} is ", f"a {entry.name.lower()} is ")
        ), entry.name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "token",
            "WordPiece",
            "logits",
            "softmax",
            "span",
            "exact match",
            "F1",
            "n-best",
            "null score",
            "threshold",
            "window",
        ),
        *(
            "max_length",
            "doc stride",
            "offset",
            "[CLS]",
            "fine-tuning",
            "head",
            "learning rate",
            "batch",
            "epoch",
            "checkpoint",
        ),
        *(
            "bf16",
            "collator",
            "extractive QA",
            "open generative question answering",
            "closed generative question answering",
        ),
    ],
)
def test_the_terms_of_notebook_06_are_there(name):
    assert find_term(name).definition


def test_the_page_has_one_heading_with_the_right_anchor_for_every_term_and_its_own_links_resolve():
    page = glossary_page()
    headings = [
        re.sub(r"\\(.)", r"\1", line[4:]) for line in page.splitlines() if line.startswith("### ")
    ]
    assert headings == list(glossary())
    anchors = [anchor(heading) for heading in headings]
    letters = [anchor(line[3:]) for line in page.splitlines() if line.startswith("## ")]
    assert len(set(anchors)) == len(anchors), "two terms would share an anchor"
    assert not set(anchors) & set(letters), "a letter's heading would take a term's anchor"
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= set(anchors)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("doc stride", "doc-stride"),
        ("[CLS]", "cls"),
        ("max_length", "max_length"),
        ("n-best", "n-best"),
        ("F1", "f1"),
    ],
)
def test_anchors_are_those_that_markdown_renderers_make(name, expected):
    assert anchor(name) == expected


def test_a_link_can_be_written_by_any_name_of_the_term():
    assert term("doc stride") == "[doc stride](glossary.md#doc-stride)"
    assert term("doc_stride", "the overlap") == "[the overlap](glossary.md#doc-stride)"
    assert term("[CLS]") == "[\\[CLS\\]](glossary.md#cls)"
    assert term("Softmax").endswith("#softmax)")
    with pytest.raises(ValueError, match="did you mean 'doc stride'"):
        term("doc strides")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({}, "mapping"),
        ({"a": {"notebook": "06"}}, "needs a definition"),
        ({"a": {"definition": "x"}}, "needs a notebook"),
        ({"a": ENTRY | {"notebook": "6"}}, "'00' to '07'"),
        ({"a": ENTRY | {"notebook": 6}}, "needs a notebook"),
        ({"a": ENTRY | {"links": []}}, "unknown key links"),
        ({None: ENTRY}, "quote"),
        ({"a": ENTRY, "A": ENTRY}, "stands for both"),
        ({"a": ENTRY, "b": ENTRY | {"also": ["a"]}}, "stands for both"),
        ({"n best": ENTRY, "n-best": ENTRY}, "stands for both"),
        ({"a": ENTRY | {"see": ["b"]}}, "refers to 'b'"),
    ],
)
def test_a_broken_glossary_is_refused_with_the_term_and_the_reason(data, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_glossary(data)


def test_broken_links_are_found():
    assert broken_links(
        "a [good](glossary.md#doc-stride), [bad](glossary.md#doc-strides), [page](glossary.md), [other](x.md#y)"
    ) == ["doc-strides"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_glossary_links_of_every_notebook_lead_to_a_term(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert broken_links(text) == []


def test_the_page_beside_the_notebooks_is_the_current_one():
    written = COURSE / "notebooks" / "glossary.md"
    assert written.is_file() and written.read_text(encoding="utf-8") == glossary_page(), (
        "notebooks/glossary.md is missing or old: python -m src.teaching.glossary notebooks/glossary.md"
    )
