"""Notebooks bear what readers do: cells twice or once more at the end, any section, slow cells
skipped or interrupted.

All in fast mode, on copies, by `make test-full`. Straight through is in test_notebooks.py.
"""

import copy
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tools import run_notebooks

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = run_notebooks.find_notebooks(ROOT / "notebooks")

# As if the kernel were a new one, at a fraction of its cost: no names, and nothing trained before.
FORGET = """%reset -f
import os, shutil
shutil.rmtree(os.environ["COURSE_RUNS"], ignore_errors=True)"""
# What the stop button sends, seconds into the cell that follows, and a note whether it did.
STOP_SOON = """import os, signal, threading
sent = []
def stop():
    sent.append(True)
    os.kill(os.getpid(), signal.SIGINT)
stopping = threading.Timer(2, stop)
stopping.start()"""
DO_NOT_STOP = """stopping.cancel()
print("stopped" if sent else "too quick to be stopped")"""
# What a reader changes in a code cell.
OWN = re.compile(r"^my_\w+ = |^(?!#).*# .*\byour\b", re.MULTILINE)
STOPPED = "stopped"  # the tag of a cell that is
# Where the training is a process beside the notebook, it is told to stop once it has begun.
STOP_BESIDE = """import signal, time
while training.poll() is None and not (RUNS / "log.json").exists():
    time.sleep(0.2)
training.send_signal(signal.SIGINT)
print("too quick to be stopped" if training.wait() else "stopped")"""


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def another(cell: NotebookNode) -> NotebookNode:
    """The same cell with an id of its own."""
    return nbformat.v4.new_code_cell(cell.source, metadata=copy.deepcopy(cell.metadata))


def every_cell_twice(cells: list[NotebookNode]) -> list[NotebookNode]:
    return [
        each
        for cell in cells
        for each in ([cell, another(cell)] if cell.cell_type == "code" else [cell])
    ]


def every_section_alone(cells: list[NotebookNode]) -> list[NotebookNode]:
    """The set-up cell and one section; then, in a new kernel, the set-up cell and the next."""
    set_up = next(cell for cell in cells if run_notebooks.SET_UP_TAG in tags(cell))
    rows: list[NotebookNode] = []
    for cell in cells[cells.index(set_up) + 1 :]:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            rows += [nbformat.v4.new_code_cell(FORGET), another(set_up)]
        rows.append(cell)
    return [set_up, *rows]


def without_slow_cells(cells: list[NotebookNode]) -> list[NotebookNode]:
    return [cell for cell in cells if not {"slow", "training"} & set(tags(cell))]


def interrupted_and_continued(cells: list[NotebookNode]) -> list[NotebookNode]:
    """The training cells are stopped after seconds, and run again."""
    rows: list[NotebookNode] = []
    for cell in cells:
        if "beside" in tags(cell):
            rows += [another(cell), nbformat.v4.new_code_cell(STOP_BESIDE)]
        elif "training" in tags(cell):
            stopped = another(cell)
            stopped.metadata["tags"] = [*tags(cell), "raises-exception", STOPPED]
            rows += [
                nbformat.v4.new_code_cell(STOP_SOON),
                stopped,
                nbformat.v4.new_code_cell(DO_NOT_STOP),
            ]
        rows.append(cell)
    return rows


def own_cells_again(cells: list[NotebookNode]) -> list[NotebookNode]:
    """Whoever ran all goes back to where a word of their own belongs."""
    own = [cell for cell in without_slow_cells(cells) if OWN.search(cell.source)]
    return cells + [another(cell) for cell in own if cell.cell_type == "code"]


def core_path_alone(cells: list[NotebookNode]) -> list[NotebookNode]:
    return [cell for cell in cells if "core" in tags(cell)]


WAYS = [every_cell_twice, every_section_alone, without_slow_cells, interrupted_and_continued]
WAYS += [core_path_alone, own_cells_again]


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_bears(
    notebook,
    way,
    tmp_path,
    monkeypatch,
):
    monkeypatch.setenv("COURSE_FAST", "1")
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    content = nbformat.read(notebook, as_version=4)
    content.cells = way(content.cells)
    if not content.cells:
        pytest.skip("no cell is marked as core: all of it is")
    run_notebooks.execute(content, notebook, tmp_path, cell_seconds=300)
    stopped = [output for cell in content.cells if STOPPED in tags(cell) for output in cell.outputs]
    errors = {output.ename for output in stopped if output.output_type == "error"}
    assert errors <= {"KeyboardInterrupt"}, (
        "a training cell that is stopped fails with something else than that it was stopped"
    )
    notes = [
        output.text
        for cell in content.cells
        if cell.source in (DO_NOT_STOP, STOP_BESIDE)
        for output in cell.outputs
    ]
    assert not notes or "stopped\n" in notes, (
        "no training cell took long enough to be stopped: the test shows nothing"
    )
