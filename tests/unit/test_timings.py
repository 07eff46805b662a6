"""What instructors plan with is read from the notebooks: nothing in it is written by hand."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import timings

CELLS = [
    new_markdown_cell("# A | title\n\nAbout 90 minutes\nto teach."),
    new_code_cell("set_up()"),
    new_markdown_cell("## One\n\n### deeper"),
    new_code_cell("train()", metadata={"tags": ["slow", "training"]}),
    new_code_cell("check()", metadata={"tags": ["exercise", "check"]}),
    new_markdown_cell("## Two"),
    new_code_cell("show_quiz()", metadata={"tags": ["quiz"]}),
]


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """An executed notebook whose run was timed."""
    noted = {"seconds": 27.6, "cell_seconds": [0, 1.5, 0, 20.2, 0.1, 0, 0.4]}
    nbformat.write(new_notebook(cells=CELLS, metadata={"course": noted}), tmp_path / "03_one.ipynb")
    return tmp_path / "03_one.ipynb"


def test_minutes_and_seconds_come_from_the_notebook(notebook: Path) -> None:
    timing = timings.timing_of(notebook)
    assert (timing.minutes, timing.seconds, timing.title) == (90, 27.6, "A | title")
    assert [(section.title, section.slow, section.exercises, section.quizzes) for section in timing.sections] == [
        ("", 0, 0, 0),
        ("One", 1, 1, 0),
        ("Two", 0, 0, 1),
    ]
    assert [section.seconds for section in timing.sections] == pytest.approx([1.5, 20.3, 0.4])


def test_tables_have_a_row_for_each_notebook_and_section_with_its_numbers(notebook: Path) -> None:
    rows = timings.tables([timings.timing_of(notebook)]).splitlines()
    assert r"| [A \| title](03_one.ipynb) | 90 | 28 | 1 | 1 | 1 |" in rows
    assert "| One | 20 | 1 | 1 | 0 |" in rows and "| Two | under 1 | 0 | 0 | 1 |" in rows


def test_what_nobody_measured_is_not_given_a_number(tmp_path: Path) -> None:
    nbformat.write(new_notebook(cells=CELLS), tmp_path / "03_one.ipynb")
    text = timings.tables([timings.timing_of(tmp_path / "03_one.ipynb")])
    assert "| not measured |" in text and "| One | 1 | 1 | 0 |" in text.splitlines(), "sections have no column of seconds"


def test_every_notebook_says_how_long_it_takes_to_teach() -> None:
    notebooks = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
    assert notebooks and [notebook.name for notebook in notebooks if timings.timing_of(notebook).minutes is None] == []
