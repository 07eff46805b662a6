"""tools/checks.py: links, spelling and sizes: what is wrong is found, what is right passes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import checks

Add = Callable[..., Path]
WRONG = "teh"  # codespell:ignore


def test_the_course_passes_every_check():
    names = checks.files()
    assert checks.broken_links() == []
    assert checks.misspellings(names) == []
    assert checks.too_large(names) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[a](gone.md)", "no such file"),
        ("![a picture](docs/gone.png)", "no such file"),
        ('<img src="gone.png" alt="a">', "no such file"),
        ("[a](docs/page.md#one-way)", "no heading with the anchor 'one-way'"),
        ("[a](#elsewhere)", "README.md has no heading with the anchor 'elsewhere'"),
        ("```\n# not a heading\n```\n\n[a](#not-a-heading)", "no heading"),
        ("[a](lesson.ipynb#nowhere)", "no heading"),
        ("[a](build/site.html)", "built, or ignored by git"),
        ("[a](../outside.md)", "leaves the repository"),
        ("[a](Docs/page.md)", "no such file"),
    ],
)
def test_a_link_that_leads_nowhere_is_named_with_its_place_and_the_reason(clone, add, text, why):
    add("docs/page.md", "# Page\n\n## Two ways\n")
    add("lesson.ipynb", cells=[("markdown", "# A lesson")])
    add("build/site.html")
    (clone.parent / "outside.md").touch()
    add("README.md", f"# Top\n\n{text}\n")
    (problem,) = checks.broken_links(clone)
    assert problem.startswith("README.md: the link to ") and why in problem


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/page.md) and [b](<docs/page.md>) and [c](docs/page.md 'its title')",
        "[a](docs) and [b](docs/)",
        "[a](docs/page.md#two-ways) and [b](docs/page.md#two-ways-1)",
        "[a](docs/page.md#the-ranked-list) and [b](docs/page.md#by-hand)",
        "[a](lesson.ipynb#a-lesson)",
        "[a](with%20space.md)",
        "[a](https://example.com/gone.md) and <https://example.com>",
        "[a](mailto:a@example.com) and [b](//example.com/x)",
        "`[a](gone.md)` and ``[b](gone.md) ` ``",
        "```\n[a](gone.md)\n# no heading\n```",
    ],
)
def test_a_link_that_leads_somewhere_and_what_is_only_code_pass(clone, add, text):
    heading = "### The [ranked `list`](../README.md)"
    add(
        "docs/page.md",
        f'# Page\n\n## Two ways\n\n## Two ways\n\n{heading}\n\n<a id="by-hand"></a>\n',
    )
    add("lesson.ipynb", cells=[("markdown", "# A lesson")])
    add("with space.md")
    add("text")
    add("README.md", f"# Top\n\n{text}\n")
    assert checks.broken_links(clone) == []


def test_text_cells_of_notebooks_are_followed_from_their_folder_and_code_is_not(clone, add):
    add("data/README.md", "# Data")
    good, bad = "[a](../data/README.md)", "[b](data/README.md)"
    cells = [("code", f"# {bad}"), ("markdown", good), ("markdown", f"{good} {bad}")]
    add("notebooks/01.ipynb", cells=cells)
    (problem,) = checks.broken_links(clone)
    assert problem.startswith("notebooks/01.ipynb, cell 3: the link to data/README.md leads")


def test_files_are_those_that_are_or_could_be_committed(clone, add):
    add("build/ignored")
    gone = add("deleted")
    subprocess.run(["git", "add", "deleted"], cwd=clone, check=True)
    gone.unlink()
    add("new with ü and space.md")
    assert checks.files(clone) == [".gitignore", "new with ü and space.md"]


def test_outside_of_a_clone_one_sentence_says_so(tmp_path):
    with pytest.raises(OSError, match="is no clone of the course"):
        checks.files(tmp_path)


def test_sizes_over_the_limits_are_named_and_those_at_the_limit_pass(clone, add, monkeypatch):
    for name, size in (("at the limit", 25_000_000), ("over", 25_050_001)):
        with add(name).open("wb") as file:
            file.truncate(size)
    (problem,) = checks.too_large(checks.files(clone), clone)
    assert problem.startswith("over: 25.1 MB, and 25 MB is the most")
    monkeypatch.setattr(checks, "CLONE_MB", 50)
    assert checks.too_large(checks.files(clone), clone)[1].startswith("all files: 50.1 MB")


def test_a_misspelt_word_is_named_with_file_line_and_what_it_should_be(clone, add):
    add("src/module.py", f"x = 1\n# {WRONG} end\n")
    add(".ci/run", f"# {WRONG}\n")
    found = checks.misspellings(checks.files(clone), clone)
    assert sorted(found) == [f".ci/run:1: {WRONG} ==> the", f"src/module.py:2: {WRONG} ==> the"]


def test_of_a_notebook_the_cells_are_read_and_named_and_outputs_are_not(clone, add):
    cells = [("markdown", "fine"), ("markdown", f"one\n{WRONG}"), ("code", f"print('{WRONG}')")]
    path = add("notebooks/01.ipynb", cells=cells)
    output = f'{{"output_type": "stream", "name": "stdout", "text": "{WRONG}"}}'
    path.write_text(path.read_text().replace('"outputs": []', f'"outputs": [{output}]'))
    assert checks.misspellings(["notebooks/01.ipynb"], clone) == [
        f"notebooks/01.ipynb, cell 2, line 2: {WRONG} ==> the",
        f"notebooks/01.ipynb, cell 3, line 1: {WRONG} ==> the",
    ]


def test_the_words_and_files_of_pyproject_and_both_englishes_pass(clone, add):
    add("a.md", "The 2nd, Coco Chanel and Harold Pinter; colour and color, licence and license\n")
    add("data/spam/messages.csv", WRONG)
    add("weights/some/vocabulary.json", f'["{WRONG}"]')
    assert checks.misspellings(checks.files(clone), clone) == []


def test_the_tool_ends_with_status_1_and_a_line_for_each_finding_or_what_is_wrong(tmp_path):
    misspelt = checks.ROOT / "build" / "misspelt.md"
    misspelt.parent.mkdir(exist_ok=True)
    misspelt.write_text(f"{WRONG}\n")
    found = f"build/misspelt.md:1: {WRONG} ==> the\n"
    for name, says in ((misspelt, found), ("gone.md", "gone.md")):
        command = [sys.executable, checks.__file__, "spelling", str(name)]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        misspelt.unlink(missing_ok=True)
        assert result.returncode == 1 and says in result.stderr and result.stderr.count("\n") == 1
