"""The README's pictures are those of the stored notebooks, with words for who does not see them."""

import base64
import json
import re
from pathlib import Path

import pytest

from tools import pictures

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


def drawing(source: str, content: bytes, described: str) -> dict:
    """A code cell whose output is a figure, as src.plots stores one."""
    data = base64.b64encode(content).decode()
    shown = (
        f'<img class="dark-light" src="data:image/png;base64,{data}" alt="{described}" width="9">'
    )
    return {
        "cell_type": "code",
        "source": source,
        "outputs": [{"output_type": "display_data", "data": {"text/html": shown}}],
    }


def store(folder: Path, *cells: dict) -> None:
    (folder / "n.ipynb").write_text(json.dumps({"cells": list(cells)}))


def test_the_figure_of_a_cell_comes_with_its_alternative_text(tmp_path):
    cells = (
        drawing("draw(other)", b"no", "no"),
        drawing("a = 1\ndraw(this)", PNG, "a &lt; b &amp; c"),
    )
    store(tmp_path, {"cell_type": "markdown", "source": "draw(this) is called below"}, *cells)
    assert pictures.figure("n", "draw(this)", tmp_path) == (PNG, "a < b & c")


@pytest.mark.parametrize("calls", [(), ("draw(this)", "draw(this)")])
def test_a_figure_that_is_missing_or_not_the_only_one_is_named(tmp_path, calls):
    store(
        tmp_path,
        *(drawing(call, PNG, "x") for call in calls),
        {"cell_type": "code", "source": "draw(this)", "outputs": []},
    )
    with pytest.raises(LookupError, match=rf"^n: {len(calls)} cells .*'draw\(this\)'"):
        pictures.figure("n", "draw(this)", tmp_path)


@pytest.mark.parametrize("file", pictures.FIGURES, ids=lambda file: file.name)
def test_the_figures_are_those_of_the_stored_notebooks(file):
    """`python tools/pictures.py --figures` writes them again, as `make notebooks` does."""
    assert file.read_bytes() == pictures.figure(*pictures.FIGURES[file])[0]


def test_the_readme_shows_every_picture_and_says_what_is_on_it(course):
    shown = dict(
        re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", (course / "README.md").read_text(encoding="utf-8"))
    )
    expected = {
        file.relative_to(course).as_posix()
        for file in [*pictures.FIGURES, *pictures.SCREENSHOTS.values()]
    }
    assert set(shown.values()) == expected
    assert all(len(words) > 40 for words in shown)
    assert {file for file in expected if (course / file).stat().st_size < 10_000} == set()
