"""Every notebook runs from top to bottom in a clean kernel, and is stored in the promised form."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tools import run_notebooks

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = run_notebooks.find_notebooks(ROOT / "notebooks")
IMAGE_BYTES = 60_000
NOTEBOOK_BYTES = 2_000_000

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)


def cells_of(notebook: Path, kind: str = "code") -> list[dict[str, Any]]:
    """The notebook's cells of one kind, sources joined."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [
        cell | {"source": "".join(cell["source"])} for cell in cells if cell["cell_type"] == kind
    ]


@each_notebook
@pytest.mark.timeout(900)
def test_it_runs_from_top_to_bottom_in_fast_mode(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_FAST", "1")
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    run_notebooks.run(notebook, tmp_path / notebook.name, cell_seconds=300)


@each_notebook
def test_its_set_up_cell_is_the_courses_the_first_code_and_folded(notebook):
    cell, do = cells_of(notebook)[0], "run: python tools/run_notebooks.py notebooks --set-up-cell"
    source = run_notebooks.SET_UP_CELL.read_text(encoding="utf-8").strip()
    assert cell["source"].strip() == source, do
    assert cell["metadata"].items() >= run_notebooks.FOLDED.items(), do


@each_notebook
def test_its_stored_outputs_are_those_of_its_cells(notebook):
    marks = run_notebooks.read_marks(notebook)
    assert marks.get("code") == run_notebooks.code_hash(notebook), (
        "the cells changed after the outputs were stored: run make notebooks"
    )
    counts = [cell["execution_count"] for cell in cells_of(notebook) if cell["source"].strip()]
    assert counts == list(range(1, len(counts) + 1)), (
        "stored from a run out of order: run make notebooks"
    )


@each_notebook
def test_cells_fit_a_projector(notebook):
    for cell in cells_of(notebook):
        lines, tags = "".join(cell["source"]).splitlines(), cell["metadata"].get("tags", [])
        assert len(lines) <= 25 or {"set-up", "exercise"} & set(tags), cell["id"]
        assert max(map(len, lines), default=0) <= 80, cell["id"]


@each_notebook
def test_what_it_prints_fits_the_page(notebook):
    printed = [output.get("text", "") for cell in cells_of(notebook) for output in cell["outputs"]]
    lines = "\n".join(map("".join, printed)).splitlines()
    assert [line for line in lines if len(line) > 76] == []


@each_notebook
def test_its_stored_outputs_hold_no_error_no_widget_and_no_path_of_the_machine(
    notebook,
):
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert "widgets" not in content["metadata"], (
        "GitHub refuses to draw a notebook with widget state"
    )
    for number, cell in enumerate(cells_of(notebook)):
        text = json.dumps(cell["outputs"])
        assert '"output_type": "error"' not in text or "raises-exception" in cell["metadata"].get(
            "tags", []
        ), f"code cell {number}"
        assert str(ROOT) not in text and str(Path.home()) + "/" not in text, (
            f"code cell {number} shows a path of the machine it ran on"
        )


@each_notebook
def test_its_figures_are_small_enough_to_load_quickly(notebook):
    for number, cell in enumerate(cells_of(notebook)):
        for output in cell["outputs"]:
            image = output.get("data", {}).get("image/png")
            if image:
                size = len(base64.b64decode("".join(image)))
                assert size <= IMAGE_BYTES, (
                    f"the figure of code cell {number} has {size} bytes; at most {IMAGE_BYTES}"
                )


@each_notebook
def test_its_file_is_small_enough_to_open_on_a_phone(notebook):
    size = notebook.stat().st_size
    assert size <= NOTEBOOK_BYTES, (
        f"{size} bytes with its outputs; at most {NOTEBOOK_BYTES}: fewer or smaller figures"
    )
