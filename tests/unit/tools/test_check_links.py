"""tools/check_links.py: what leads nowhere is found, what leads somewhere is not, and the course itself has only the latter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tools import check_links

Add = Callable[..., Path]


def test_no_link_of_the_course_leads_nowhere() -> None:
    assert check_links.broken_links() == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[a](gone.md)", "no such file"),
        ("[a](docs/page)", "no such file"),
        ("![a picture](docs/gone.png)", "no such file"),
        ('<img src="gone.png" alt="a">', "no such file"),
        ("[a][one]\n\n[one]: gone.md", "no such file"),
        ("[a](docs/page.md#one-way)", "no heading with the anchor 'one-way'"),
        ("[a](#elsewhere)", "README.md has no heading with the anchor 'elsewhere'"),
        ("[a](lesson.ipynb#nowhere)", "no heading"),
        ("[a](build/site.html)", "built, or ignored by git"),
        ("[a](../outside.md)", "leaves the repository"),
        ("[a](Docs/page.md)", "no such file"),
        ("```\ncode\n```\n\n[a](gone.md)", "no such file"),
        ("`code` [a](gone.md) `code`", "no such file"),
    ],
)
def test_a_link_that_leads_nowhere_is_named_with_its_place_and_the_reason(clone: Path, add: Add, text: str, why: str) -> None:
    add("docs/page.md", "# Page\n\n## Two ways\n")
    add("lesson.ipynb", cells=[("markdown", "# A lesson")])
    add("build/site.html")
    (clone.parent / "outside.md").touch()
    add("README.md", f"# Top\n\n{text}\n")
    (problem,) = check_links.broken_links(clone)
    assert problem.startswith("README.md: the link to ") and why in problem


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/page.md) and [b](<docs/page.md>) and [c](docs/page.md 'its title')",
        "[a](docs) and [b](docs/)",
        "[a](docs/page.md#two-ways) and [b](docs/page.md#two-ways-1) and [c](docs/page.md#the-ranked-list) and [d](docs/page.md#by-hand)",
        "[a](#top)",
        "[a](lesson.ipynb#a-lesson)",
        "[a](with%20space.md)",
        "[a](https://example.com/gone.md) and <https://example.com> and [b](mailto:a@example.com) and [c](//example.com/x)",
        "`[a](gone.md)` and ``[b](gone.md) ` ``",
        "```\n[a](gone.md)\n# no heading\n```",
        "a list[int](text) in code: `x`[0]",
    ],
)
def test_a_link_that_leads_somewhere_and_what_is_only_code_pass(clone: Path, add: Add, text: str) -> None:
    add("docs/page.md", '# Page\n\n## Two ways\n\n## Two ways\n\n### The [ranked `list`](../README.md)\n\n<a id="by-hand"></a>\n')
    add("lesson.ipynb", cells=[("markdown", "# A lesson")])
    add("with space.md")
    add("text")
    add("README.md", f"# Top\n\n{text}\n")
    assert check_links.broken_links(clone) == []


def test_a_heading_within_code_is_none(clone: Path, add: Add) -> None:
    add("README.md", "```\n# not a heading\n```\n\n[a](#not-a-heading)\n")
    assert len(check_links.broken_links(clone)) == 1


def test_text_cells_of_notebooks_are_followed_from_their_folder_and_code_is_not(clone: Path, add: Add) -> None:
    add("data/README.md", "# Data")
    good, bad = "[a](../data/README.md)", "[b](data/README.md)"
    add("notebooks/01.ipynb", cells=[("code", f"# {bad}"), ("markdown", good), ("markdown", f"{good} {bad}")])
    (problem,) = check_links.broken_links(clone)
    assert problem.startswith("notebooks/01.ipynb, cell 3: the link to data/README.md leads nowhere")


def test_outside_of_a_clone_one_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is no clone of the course"):
        check_links.broken_links(tmp_path)
