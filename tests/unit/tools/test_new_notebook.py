"""tools/new_notebook.py: what it writes has the house's form and runs; other names are refused."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from src.teaching.glossary import glossary
from tools import new_notebook, run_notebooks

FOLDER = new_notebook.FOLDER


@pytest.fixture
def written(tmp_path) -> Path:
    return new_notebook.write("11_ask_your_own_texts", tmp_path)


def test_it_has_title_set_up_cell_one_section_and_closing_cells(written):
    notebook = nbformat.read(written, as_version=4)
    nbformat.validate(notebook)
    cells = notebook.cells
    assert written.name == "11_ask_your_own_texts.ipynb"
    assert cells[1].source == run_notebooks.SET_UP_CELL.read_text(encoding="utf-8").strip()
    assert "set-up" in cells[1].metadata["tags"]
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    title, *headings = re.findall("^#+ .*", text, re.M)
    assert title == "# Ask your own texts" and cells[0].source.startswith(title)
    assert headings == ["## A section answers one question", "## What you take with you"]
    assert "How does this get us to question answering?" in cells[-2].source
    assert "runtime.machine()" in cells[-1].source and "notebook_11.py" in cells[6].source
    assert 'show_quiz("11_ask_your_own_texts"' in cells[6].source


def test_its_terms_are_in_the_glossary_and_its_code_passes_the_linter(written):
    notebook = nbformat.read(written, as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    linked = set(re.findall(r"glossary\.md#([\w-]+)", text))
    assert linked and linked <= {term.anchor for term in glossary().values()}
    settings = ["--config", str(run_notebooks.ROOT / "pyproject.toml"), "--ignore", "E402"]
    for command in (["check", *settings], ["format", "--check", *settings[:2]]):
        result = subprocess.run(
            [sys.executable, "-m", "ruff", *command, str(written)], capture_output=True, text=True
        )
        assert result.returncode == 0, result.stdout


def test_it_runs_from_top_to_bottom_and_its_section_right_after_the_set_up_cell(written, tmp_path):
    notebook = nbformat.read(written, as_version=4)
    run_notebooks.execute(notebook, FOLDER / written.name, tmp_path, cell_seconds=120)
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert re.search("After three halvings an eighth is left|img", str(outputs["picture"]))
    (line,) = outputs["lines"]
    assert line.text == "after fifty halvings 8.9e-16 is left; more than nothing: True\n"
    assert not (FOLDER / written.name).exists()


@pytest.mark.parametrize("name", ["", "8_title", "11_", "11_Title", "11_two words", "../11_x"])
def test_a_badly_formed_name_is_refused_with_an_example(name, tmp_path):
    with pytest.raises(new_notebook.NameProblem, match="as in: make new-notebook NAME=11_title"):
        new_notebook.write(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["11_title", "11_other"])
def test_a_number_that_is_taken_is_refused_and_the_notebook_stays_as_it_is(name, tmp_path):
    (tmp_path / "11_title.ipynb").write_text("mine")
    with pytest.raises(
        new_notebook.NameProblem, match=r"is a notebook 11 already, 11_title\.ipynb"
    ):
        new_notebook.write(name, tmp_path)
    (only,) = tmp_path.iterdir()
    assert only.read_text() == "mine"
    assert new_notebook.write("11b_title", tmp_path).is_file()


def test_on_the_command_line_a_refusal_is_one_line_and_nothing_is_written():
    before = sorted(FOLDER.iterdir())
    for arguments, words in (
        (["01_again"], "there is a notebook 01 already"),
        ([], "is no name for a notebook"),
    ):
        result = subprocess.run(
            [sys.executable, new_notebook.__file__, *arguments], capture_output=True, text=True
        )
        assert (
            result.returncode == 1
            and words in result.stderr
            and result.stderr.startswith("make: ")
            and result.stderr.count("\n") == 1
        )
    assert sorted(FOLDER.iterdir()) == before


@pytest.mark.parametrize(
    "notebook", run_notebooks.find_notebooks(FOLDER), ids=lambda path: path.stem
)
def test_no_notebook_of_the_course_still_has_lines_for_its_author(notebook):
    assert new_notebook.AUTHOR_MARK not in notebook.read_text(encoding="utf-8")
