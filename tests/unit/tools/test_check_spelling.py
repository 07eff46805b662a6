"""tools/check_spelling.py: common mistakes are found in files and cells, the words of pyproject.toml pass, the course has no other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import check_spelling, repository

Add = Callable[..., Path]
WRONG = "teh"  # codespell:ignore


def test_nothing_in_the_course_is_misspelt() -> None:
    assert check_spelling.misspellings(repository.files()) == []


def test_a_misspelt_word_is_named_with_file_line_and_what_it_should_be(clone: Path, add: Add) -> None:
    add("src/module.py", f"x = 1\n# {WRONG} end\n")
    add(".ci/run", f"# {WRONG}\n")
    found = check_spelling.misspellings(repository.files(clone), clone)
    assert sorted(found) == [f".ci/run:1: {WRONG} ==> the", f"src/module.py:2: {WRONG} ==> the"]


def test_of_a_notebook_the_cells_are_read_and_named_and_outputs_are_not(clone: Path, add: Add) -> None:
    path = add("notebooks/01.ipynb", cells=[("markdown", "fine"), ("markdown", f"one\n{WRONG}"), ("code", f"print('{WRONG}')")])
    path.write_text(
        path.read_text().replace('"outputs": []', f'"outputs": [{{"output_type": "stream", "name": "stdout", "text": "{WRONG}"}}]')
    )
    assert check_spelling.misspellings(["notebooks/01.ipynb"], clone) == [
        f"notebooks/01.ipynb, cell 2, line 2: {WRONG} ==> the",
        f"notebooks/01.ipynb, cell 3, line 1: {WRONG} ==> the",
    ]


def test_the_words_and_files_of_pyproject_pass(clone: Path, add: Add) -> None:
    add("a.md", "The 2nd, Coco Chanel and Harold Pinter\n")
    add("data/spam/messages.csv", WRONG)
    add("weights/some/vocabulary.json", f'["{WRONG}"]')
    assert check_spelling.misspellings(repository.files(clone), clone) == []


def test_british_and_american_words_both_count_as_right(clone: Path, add: Add) -> None:
    add("a.md", "colour and color, licence and license, to summarise\n")
    assert check_spelling.misspellings(["a.md"], clone) == []


@pytest.mark.parametrize("tool", ["check_spelling.py", "check_sizes.py"])
def test_a_file_that_is_not_there_is_one_sentence(tool: str) -> None:
    result = subprocess.run(
        [sys.executable, repository.ROOT / "tools" / tool, "gone.md"], cwd=repository.ROOT, capture_output=True, text=True
    )
    assert result.returncode == 1 and result.stderr.startswith("gone.md is no file of the course") and result.stderr.count("\n") == 1


def test_the_tool_ends_with_a_line_for_each_word_and_how_to_allow_it(tmp_path: Path) -> None:
    misspelt = repository.ROOT / "build" / "misspelt.md"
    misspelt.parent.mkdir(exist_ok=True)
    misspelt.write_text(f"{WRONG}\n")
    try:
        command = [sys.executable, repository.ROOT / "tools" / "check_spelling.py", str(misspelt)]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    finally:
        misspelt.unlink()
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"build/misspelt.md:1: {WRONG} ==> the",
        "misspelt: 1; a word that is right here goes into pyproject.toml, [tool.codespell].",
    ]
