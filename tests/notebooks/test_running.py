"""tools/run_notebooks.py: clean kernels, clear failures, nothing run twice, stable outputs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import run_notebooks

Maker = Callable[..., Path]


@pytest.fixture
def make(tmp_path) -> Maker:
    """A function that writes a notebook with these code cells under the heading "A section"."""

    def write(*sources: str, name: str = "01_trial") -> Path:
        cells = [
            new_markdown_cell("# Trial\n\n## A section"),
            *(new_code_cell(source) for source in sources),
        ]
        path = tmp_path / "some notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=cells), path)
        return path

    return write


@pytest.fixture
def steady_sources(monkeypatch) -> None:
    """The course's own files count as unchanged, also while somebody edits them during the test."""
    monkeypatch.setattr(run_notebooks, "SOURCES", ())


def printed(path: Path) -> str:
    """All that the cells of an executed notebook printed."""
    cells = nbformat.read(path, as_version=4).cells
    return "".join(
        output.text
        for cell in cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    )


def run_tool(*arguments: object) -> subprocess.CompletedProcess[str]:
    """tools/run_notebooks.py as make starts it."""
    tool = Path(run_notebooks.__file__)
    return subprocess.run(
        [sys.executable, str(tool), *map(str, arguments)], capture_output=True, text=True
    )


PLACE = """import os, sys
print(os.getcwd(), sys.executable, os.environ["COURSE_RUNS"], os.getpid(), sep="\\n")"""


def test_a_notebook_runs_in_its_own_folder_with_this_python_and_times_are_noted(make, tmp_path):
    notebook = make(PLACE, "import time; time.sleep(0.7)", "")
    assert run_notebooks.run(notebook, tmp_path / "out" / notebook.name)
    folder, python, runs, kernel = printed(tmp_path / "out" / notebook.name).splitlines()
    assert (folder, python) == (str(notebook.parent), sys.executable)
    # Each execution deletes what the one before it trained: two workers must not share a folder.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    assert Path(runs).parent.name == f"tests-{worker}" and Path(runs).name.startswith(notebook.stem)
    with pytest.raises(ProcessLookupError):  # the kernel ended with its notebook
        os.kill(int(kernel), 0)
    noted = nbformat.read(tmp_path / "out" / notebook.name, as_version=4).metadata.course
    text, first, second, empty = noted.cell_seconds
    assert text == empty == 0 and 0.6 <= second < 5 and first + second <= noted.seconds


def test_each_notebook_gets_a_clean_kernel_and_copies_of_those_that_are_gone_go(make, tmp_path):
    for name in ("01_first", "02_second"):
        make("print('x' in globals()); x = 1", name=name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "09_gone.ipynb").write_text("{}")
    result = run_tool(tmp_path / "some notebooks", "--to", tmp_path / "out")
    assert result.returncode == 0 and result.stdout.count(" s\n") == 2, result.stderr
    copies = sorted((tmp_path / "out").glob("*.ipynb"))
    assert [printed(path) for path in copies] == ["False\n", "False\n"]


@pytest.mark.usefixtures("steady_sources")
def test_every_execution_trains_anew_and_leaves_a_readers_own_runs_alone(
    make, tmp_path, monkeypatch
):
    """The notebook looks for earlier runs, trains one, and finds it in a later cell."""
    monkeypatch.setattr(run_notebooks, "RUNS", tmp_path / "runs of notebooks")
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "mine"))
    monkeypatch.delenv("COURSE_FAST", raising=False)
    (tmp_path / "mine" / "hours of training").mkdir(parents=True)
    notebook = make(
        f"import sys; sys.path.insert(0, {str(run_notebooks.ROOT)!r})\n"
        "from src import runtime\nruns = runtime.run_folder('01')",
        "print(sorted(runs.rglob('*')))",
        "(runs / 'live').mkdir(parents=True)\n"
        "(runs / 'live' / 'run.json').write_text('{\"finished\": true}');",
        "print(runtime.latest_run(runs, 'weights/none') == runs / 'live')",
    )
    for number in range(2):
        run_notebooks.run(notebook, tmp_path / f"out-{number}.ipynb")
        lines = printed(tmp_path / f"out-{number}.ipynb").splitlines()
        assert (lines[0], lines[-1]) == ("[]", "True"), "an earlier execution's run was still there"
    assert (tmp_path / "runs of notebooks" / "01_trial" / "live").is_dir(), (
        "kept until the next execution"
    )
    monkeypatch.setenv("COURSE_FAST", "1")
    run_notebooks.run(notebook, tmp_path / "fast.ipynb")
    assert {path.name for path in (tmp_path / "runs of notebooks").iterdir()} == {
        "01_trial",
        "01_trial-fast",
    }
    assert (tmp_path / "mine" / "hours of training").is_dir()


@pytest.mark.usefixtures("steady_sources")
def test_an_unchanged_notebook_is_not_run_again_and_a_changed_one_is(make, tmp_path, monkeypatch):
    source = "import time; print(time.time_ns())"
    notebook, target = make(source), tmp_path / "out.ipynb"
    assert run_notebooks.run(notebook, target)
    first = printed(target)
    assert not run_notebooks.run(notebook, target) and printed(target) == first
    make(source + "  # changed")
    assert run_notebooks.run(notebook, target) and printed(target) != first
    monkeypatch.setenv("COURSE_FAST", "1")
    monkeypatch.setattr(run_notebooks, "execute", lambda *a: [])
    assert run_notebooks.run(notebook, target), "outputs of fast mode never stand in for full ones"


@pytest.mark.parametrize("changed", ["src/qa/deep.py", "weights/card.json", "constraints.txt"])
def test_a_change_in_what_notebooks_use_makes_them_stale(make, tmp_path, monkeypatch, changed):
    monkeypatch.setattr(run_notebooks, "ROOT", tmp_path)
    notebook = make("pass")
    (tmp_path / changed).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / changed).write_text("before")
    before = run_notebooks.sources_hash(notebook)
    (tmp_path / "src/__pycache__").mkdir(parents=True)
    (tmp_path / "src/__pycache__/x.pyc").write_text("compiled")
    (tmp_path / "data/cache").mkdir(parents=True)
    (tmp_path / "data/cache/model").write_text("fetched")
    assert run_notebooks.sources_hash(notebook) == before
    (tmp_path / changed).write_text("after")
    assert run_notebooks.sources_hash(notebook) != before


FIGURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"
WIDGET = "import ipywidgets; ipywidgets.IntSlider()"


@pytest.mark.usefixtures("steady_sources")
def test_written_back_notebooks_hold_nothing_that_differs_by_run(make, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")  # figures are stored all the same
    notebook = make("", "print(1)", FIGURE, WIDGET)
    before = run_notebooks.sources_hash(notebook)
    assert run_notebooks.run(notebook, notebook)
    content = nbformat.read(notebook, as_version=4)
    nbformat.validate(content)
    code = [cell for cell in content.cells if cell.cell_type == "code" and cell.source]
    assert [cell.execution_count for cell in code] == [1, 2, 3] and printed(notebook) == "1\n"
    assert all("execution" not in cell.metadata for cell in content.cells)
    first = notebook.read_bytes()
    assert b"image/png" in first and b"widget-view" not in first and b'"widgets"' not in first
    marks = {"code": run_notebooks.code_hash(notebook), "sources": before}
    assert content.metadata.course == marks, "seconds differ at every run"
    assert run_notebooks.sources_hash(notebook) == before, "outputs are no sources"
    assert not run_notebooks.run(notebook, notebook), "written back once, it is up to date"
    content.metadata.pop("course")
    nbformat.write(content, notebook)
    run_notebooks.run(notebook, notebook)
    assert notebook.read_bytes() == first


def test_a_failing_cell_stops_everything_and_is_named(make, tmp_path):
    make("x = 1", "\n# the step that divides\nx / 0", "print('never')")
    make("print('never')", name="02_after")
    result = run_tool(tmp_path / "some notebooks", "--to", tmp_path / "out")
    assert result.returncode == 1
    assert "01_trial.ipynb, cell 3 of 4 in the section 'A section'" in result.stderr
    assert (
        "# the step that divides" in result.stderr
        and "ZeroDivisionError: division by zero" in result.stderr
    )
    assert "Traceback" not in result.stderr
    assert (
        not (tmp_path / "out" / "02_after.ipynb").exists()
        and not (tmp_path / "out" / "01_trial.ipynb").exists()
    )
    assert "ZeroDivisionError" in (tmp_path / "out" / "failed" / "01_trial.ipynb").read_text()


def test_a_cell_that_takes_too_long_is_named(make, tmp_path):
    notebook = make("x = 1", "import time; time.sleep(60)", "y = 2")
    with pytest.raises(
        run_notebooks.NotebookFailure, match=r"(?s)cell 3 of 4.*time.sleep.*took too long"
    ):
        run_notebooks.run(notebook, tmp_path / "out.ipynb", cell_seconds=2)


def test_a_kernel_that_dies_is_named_with_its_last_words(make, tmp_path):
    notebook = make("x = 1", "import os; os.write(2, b'out of luck\\n'); os._exit(9)", "y = 2")
    with pytest.raises(
        run_notebooks.NotebookFailure, match=r"(?s)cell 3 of 4.*os._exit.*kernel died"
    ):
        run_notebooks.run(notebook, tmp_path / "out.ipynb")


def test_the_set_up_cell_is_written_second_and_then_kept_in_step(make):
    notebook = make("print('the lesson')")
    expected = [run_notebooks.SET_UP_CELL.read_text().strip(), "print('the lesson')"]

    def sources() -> list[str]:
        return [cell.source for cell in nbformat.read(notebook, as_version=4).cells][1:]

    assert run_tool(notebook, "--set-up-cell").returncode == 0 and sources() == expected
    content = json.loads(notebook.read_text())
    content["cells"][1]["source"] = "an old set-up cell"
    del content["cells"][1]["metadata"]["cellView"]
    notebook.write_text(json.dumps(content))
    run_notebooks.write_set_up_cell(notebook)
    assert sources() == expected
    cell = nbformat.read(notebook, as_version=4).cells[1]
    assert cell.metadata.items() >= run_notebooks.FOLDED.items()
