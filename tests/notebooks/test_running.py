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


def test_a_notebook_runs_in_its_own_folder_with_this_python(make, tmp_path):
    notebook = make("import os, sys; print(os.getcwd()); print(sys.executable)")
    assert run_notebooks.run(notebook, tmp_path / "out" / notebook.name)
    assert printed(tmp_path / "out" / notebook.name).split("\n")[:2] == [
        str(notebook.parent),
        sys.executable,
    ]


def test_each_notebook_gets_a_clean_kernel(make, tmp_path):
    for name in ("01_first", "02_second"):
        make("print('x' in globals()); x = 1", name=name)
    result = run_tool(tmp_path / "some notebooks", "--to", tmp_path / "out")
    assert result.returncode == 0 and result.stdout.count(" s\n") == 2, result.stderr
    assert [printed(path) for path in sorted((tmp_path / "out").glob("*.ipynb"))] == [
        "False\n",
        "False\n",
    ]


def test_two_processes_of_the_tests_can_run_the_same_notebook_at_the_same_time(make, tmp_path):
    """Each execution deletes what the one before it trained: they must not share a folder."""
    notebook = make("import os; print(os.environ['COURSE_RUNS'])")
    run_notebooks.run(notebook, tmp_path / "out.ipynb")
    runs = Path(printed(tmp_path / "out.ipynb").strip())
    assert (
        runs.parent.name == f"tests-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
        and runs.name.startswith(notebook.stem)
    )


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


@pytest.mark.usefixtures("steady_sources")
def test_a_copy_says_how_long_the_notebook_and_each_of_its_cells_took(make, tmp_path):
    notebook = make("1 + 1", "import time; time.sleep(0.7)", "")
    run_notebooks.run(notebook, tmp_path / "out.ipynb")
    noted = nbformat.read(tmp_path / "out.ipynb", as_version=4).metadata.course
    text, first, second, empty = noted.cell_seconds
    assert text == empty == 0 and 0.6 <= second < 5 and first + second <= noted.seconds
    run_notebooks.run(notebook, notebook)
    assert (
        not {"seconds", "cell_seconds"}
        & nbformat.read(notebook, as_version=4).metadata.course.keys()
    ), "they differ at every run"


@pytest.mark.parametrize(
    "changed",
    ["src/new.py", "src/qa/deep.py", "data/words.txt", "weights/card.json", "constraints.txt"],
)
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


@pytest.mark.usefixtures("steady_sources")
def test_outputs_do_not_count_as_sources(make):
    notebook = make("print(1)")
    before = run_notebooks.sources_hash(notebook)
    assert run_notebooks.run(notebook, notebook)
    assert "outputs" in notebook.read_text() and printed(notebook) == "1\n"
    assert run_notebooks.sources_hash(notebook) == before
    assert not run_notebooks.run(notebook, notebook), "written back once, it is up to date"


@pytest.mark.usefixtures("steady_sources")
def test_written_back_notebooks_hold_nothing_that_differs_by_run(make):
    notebook = make("", "print(1)", "import IPython.display as d; d.HTML('<b>x</b>')", "print(2)")
    run_notebooks.run(notebook, notebook)
    content = nbformat.read(notebook, as_version=4)
    nbformat.validate(content)
    assert [
        cell.execution_count for cell in content.cells if cell.cell_type == "code" and cell.source
    ] == [1, 2, 3]
    assert (
        all("execution" not in cell.metadata for cell in content.cells)
        and "widgets" not in content.metadata
    )
    assert content.metadata.course.code == run_notebooks.code_hash(notebook)
    first = notebook.read_bytes()
    content.metadata.pop("course")
    nbformat.write(content, notebook)
    run_notebooks.run(notebook, notebook)
    assert notebook.read_bytes() == first


def test_figures_are_stored_whatever_backend_the_caller_draws_with(make, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = make("import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    run_notebooks.run(notebook, notebook)
    assert "image/png" in notebook.read_text()


def test_widgets_leave_neither_state_nor_views(make):
    notebook = make("import ipywidgets; ipywidgets.IntSlider()")
    run_notebooks.run(notebook, notebook)
    assert "widget-view" not in notebook.read_text() and '"widgets"' not in notebook.read_text()


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


def test_a_kernel_ends_with_its_notebook(make, tmp_path):
    run_notebooks.run(make("import os; print(os.getpid())"), tmp_path / "out" / "trial.ipynb")
    with pytest.raises(ProcessLookupError):
        os.kill(int(printed(tmp_path / "out" / "trial.ipynb")), 0)


def test_a_kernel_that_dies_is_named_with_its_last_words(make, tmp_path):
    notebook = make("x = 1", "import os; os.write(2, b'out of luck\\n'); os._exit(9)", "y = 2")
    with pytest.raises(
        run_notebooks.NotebookFailure, match=r"(?s)cell 3 of 4.*os._exit.*kernel died"
    ):
        run_notebooks.run(notebook, tmp_path / "out.ipynb")


def test_copies_of_notebooks_that_are_gone_are_removed(make, tmp_path):
    make("pass")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "09_gone.ipynb").write_text("{}")
    assert run_tool(tmp_path / "some notebooks", "--to", tmp_path / "out").returncode == 0
    assert [path.name for path in (tmp_path / "out").glob("*.ipynb")] == ["01_trial.ipynb"]


def test_the_set_up_cell_is_written_second_and_then_kept_in_step(make):
    notebook = make("print('the lesson')")
    expected = run_notebooks.SET_UP_CELL.read_text().strip()
    assert run_tool(notebook, "--set-up-cell").returncode == 0
    cells = nbformat.read(notebook, as_version=4).cells
    assert [cell.source for cell in cells][1:] == [expected, "print('the lesson')"]
    content = json.loads(notebook.read_text())
    content["cells"][1]["source"] = "an old set-up cell"
    notebook.write_text(json.dumps(content))
    assert run_tool(notebook, "--set-up-cell").returncode == 0
    assert [cell.source for cell in nbformat.read(notebook, as_version=4).cells][1:] == [
        expected,
        "print('the lesson')",
    ]
