"""tools/publish.py: one address comes wherever it belongs, and the notebook's outputs stay."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

from tools import badges, run_notebooks

NOTEBOOK = "notebooks/00_start_here.ipynb"
TOOLS = ("__init__", "badges", "publish", "run_notebooks", "setup_cell")
FILES = ["pyproject.toml", "README.md", NOTEBOOK, *(f"tools/{name}.py" for name in TOOLS)]
COLAB = f"[00](https://colab.research.google.com/github/someone/course/blob/main/{NOTEBOOK})"


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Path:
    """What publishing takes, with one notebook, whose outputs are marked as those of its cells."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(run_notebooks.ROOT / name, tmp_path / name)
    monkeypatch.setattr(run_notebooks, "SOURCES", ())  # the copy has none of them
    mark(tmp_path / NOTEBOOK, marks_of(tmp_path / NOTEBOOK))
    return tmp_path


def marks_of(path: Path) -> dict[str, str]:
    """The marks of a notebook whose outputs are those of its cells."""
    return {"code": run_notebooks.code_hash(path), "sources": run_notebooks.sources_hash(path)}


def mark(path: Path, marks: dict[str, str]) -> None:
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["course"] = marks
    run_notebooks.write_atomically(notebook, path)


def publish(folder: Path, address: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "tools" / "publish.py"), address]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("given", "address", "way"),
    [
        ("https://github.com/someone/course.git", "https://github.com/someone/course", COLAB),
        ("https://gitlab.com/someone/course/", "https://gitlab.com/someone/course", None),
    ],
)
def test_the_address_comes_into_all_places_and_outputs_count_as_before(copy, given, address, way):
    before = nbformat.read(copy / NOTEBOOK, as_version=4)
    result = publish(copy, given)
    assert result.returncode == 0, result.stderr
    project = tomllib.loads((copy / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Repository"] == address
    cell = (copy / "tools" / "setup_cell.py").read_text(encoding="utf-8").strip()
    assert f'\nADDRESS = "{address}"\n' in cell
    after = nbformat.read(copy / NOTEBOOK, as_version=4)
    tagged = (one for one in before.cells if "set-up" in one.metadata.get("tags", []))
    next(tagged).source = cell
    assert after.cells == before.cells
    assert after.metadata.course == marks_of(copy / NOTEBOOK)
    assert (way or badges.UNPUBLISHED) in (copy / "README.md").read_text(encoding="utf-8")


def test_outputs_of_other_cells_do_not_become_those_of_these(copy):
    stale = {"code": "of other cells", "sources": "of another src"}
    mark(copy / NOTEBOOK, stale)
    assert publish(copy, "https://github.com/someone/course").returncode == 0
    assert run_notebooks.read_marks(copy / NOTEBOOK) == stale


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://github.com/someone/course",
        "https://example.org/someone/course",
        "https://github.com/someone",
        "https://github.com/someone/course/tree/main",
    ],
)
def test_what_is_no_repository_is_refused_in_one_line_and_nothing_is_written(copy, address):
    before = {name: (copy / name).read_bytes() for name in FILES}
    result = publish(copy, address)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"make: ADDRESS={address!r} is no repository")
    assert before == {name: (copy / name).read_bytes() for name in FILES}
