"""Run notebooks from top to bottom, each in a clean kernel, and keep the executed copies.

    python tools/run_notebooks.py notebooks --to build/notebooks    copies with outputs
    python tools/run_notebooks.py notebooks --in-place              outputs go into the notebooks
    python tools/run_notebooks.py notebooks --set-up-cell           writes that cell, runs nothing

A notebook whose sources did not change is not run again. A failing cell stops it with status 1
and the notebook, the cell and the error. Heavy modules are imported once there is something to
run, so that a run with nothing to do ends at once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
SET_UP_CELL = ROOT / "tools" / "setup_cell.py"
SET_UP_TAG = "set-up"
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # in JupyterLab; in Colab
RUNS = ROOT / "build" / "notebook-runs"  # what executed notebooks train; a reader's: build/runs
CELL_SECONDS = 900  # for one cell; a notebook's metadata `execution.timeout` overrides it
SOURCES = ("src", "data", "weights", "constraints.txt")  # what outputs depend on, with the notebook
NOT_SOURCES = {"__pycache__", "cache", ".ipynb_checkpoints"}  # fetched, or made


class NotebookFailure(Exception):
    """A notebook did not run to its end; the message names notebook, section, cell and error."""


def main() -> None:
    """Read the arguments and run what they name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", type=Path, help="a notebook, or a folder of notebooks")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", type=Path, metavar="FOLDER", help="folder for the executed copies")
    what.add_argument("--in-place", action="store_true", help="write the outputs into them")
    what.add_argument("--set-up-cell", action="store_true", help="write that cell; run nothing")
    arguments = parser.parse_args()
    notebooks = find_notebooks(arguments.notebooks)
    try:
        for notebook in notebooks:
            if arguments.set_up_cell:
                write_set_up_cell(notebook)
            else:
                run(notebook, arguments.to / notebook.name if arguments.to else notebook)
    except NotebookFailure as failure:
        sys.exit(f"\n{failure}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; the notebooks that are finished are kept")
    if arguments.to:  # copies of notebooks that no longer exist
        for copy in set(arguments.to.glob("*.ipynb")) - {arguments.to / n.name for n in notebooks}:
            copy.unlink()


def find_notebooks(where: Path) -> list[Path]:
    """The notebook `where`, or those in the folder `where` in the order of their names."""
    return [where] if where.is_file() else sorted(where.glob("*.ipynb"))


def run(notebook: Path, target: Path, cell_seconds: int = CELL_SECONDS) -> bool:
    """Execute a notebook, unless the target holds the outputs of these very sources.

    Args:
        notebook: its file.
        target: the file for the executed copy; the notebook itself to store outputs in it.
        cell_seconds: the longest that a cell may take.

    Returns:
        Whether it was executed.

    Raises:
        NotebookFailure: what was executed so far is then beside `target`, in `failed/`.
    """
    sources = sources_hash(notebook)
    marks = read_marks(target)
    if marks.get("sources") == sources:
        print(f"  {notebook.stem}: unchanged, outputs kept ({marks.get('seconds', 0):.0f} s)")
        return False

    import nbformat

    print(f"  {notebook.stem} ...", end="", flush=True)
    start = time.monotonic()
    try:
        executed = nbformat.read(notebook, as_version=4)
        folder = ROOT / "build" / "notebooks" if target == notebook else target.parent
        spent = execute(executed, notebook, folder, cell_seconds)
    except NotebookFailure:
        print(f" failed after {time.monotonic() - start:.0f} s", flush=True)
        raise
    seconds = time.monotonic() - start
    tidy(executed)
    marks = {"sources": sources, "code": code_hash(notebook)}
    if target != notebook:  # in the notebooks themselves it would be a difference at every run
        cells = [round(cell, 1) for cell in spent]
        marks |= {"seconds": round(seconds, 1), "cell_seconds": cells}
    executed.metadata["course"] = marks
    write_atomically(executed, target)
    print(f" {seconds:.0f} s", flush=True)
    return True


def execute(notebook: NotebookNode, path: Path, log_folder: Path, cell_seconds: int) -> list[float]:
    """Run all cells of a notebook in a kernel of this very Python.

    Args:
        notebook: gets the outputs.
        path: its file, in whose folder it works.
        log_folder: for what the kernel's process says aside from its cells.
        cell_seconds: the longest that a cell may take.

    Returns:
        The seconds of each cell, 0 for text.

    Raises:
        NotebookFailure: a cell failed, took too long, or killed the kernel.
    """
    import nbformat
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    class KernelOfThisPython(AsyncKernelManager):
        """Knows no kernel that is registered on the machine: those are other people's."""

        def __init__(self, **options: Any):
            nowhere = KernelSpecManager(kernel_dirs=[])
            super().__init__(**options | {"kernel_spec_manager": nowhere})

    log_folder.mkdir(parents=True, exist_ok=True)
    log = log_folder / f".{path.stem}.kernel.log"  # wanted when the kernel dies
    reached = 0  # a cell that times out or kills its kernel leaves no other trace
    spent = [0.0] * len(notebook.cells)

    def note(cell: NotebookNode, cell_index: int) -> None:
        nonlocal reached
        reached = cell_index
        spent[cell_index] = -time.monotonic()

    def finish(cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        spent[cell_index] += time.monotonic()

    client = NotebookClient(
        notebook,
        kernel_name="python3",
        on_cell_execute=note,
        on_cell_executed=finish,
        kernel_manager_class=KernelOfThisPython,
        timeout=notebook.metadata.get("execution", {}).get("timeout", cell_seconds),
        resources={"metadata": {"path": str(path.parent.absolute())}},
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
    )
    try:
        with log.open("w", encoding="utf-8") as stderr:
            # Figures belong into the notebook, whatever backend the caller draws with.
            env = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
            env["COURSE_RUNS"] = str(empty_runs_folder(path))
            client.execute(stderr=stderr, env=env)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        failed = log_folder / "failed" / path.name
        failed.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, failed)
        said = describe_failure(notebook, path, reached, error, log)
        raise NotebookFailure(f"{said}\nWhat ran up to there: {failed}") from error
    log.unlink(missing_ok=True)
    return spent


def empty_runs_folder(notebook: Path) -> Path:
    """The folder for the runs of this execution, emptied, so that every execution trains anew."""
    fast = os.environ.get("COURSE_FAST", "0") not in ("", "0")
    folder = RUNS / (notebook.stem + "-fast" * fast)
    if folder.exists():
        shutil.rmtree(folder)
    return folder


def describe_failure(
    notebook: NotebookNode, path: Path, index: int, error: Exception, log: Path
) -> str:
    """Which notebook, section and cell failed, how, and the first line of that cell."""
    cell = notebook.cells[index]
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if isinstance(error, TimeoutError):  # its cell also shows an error, KeyboardInterrupt
        what = "it took too long"
    elif errors:
        what = f"{errors[-1].ename}: {errors[-1].evalue}"
    else:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        what = "its kernel died without a message (out of memory?)"
        if said:
            what = f"its kernel died; its last words: {said[-1]}"
    texts = [cell.source for cell in notebook.cells[:index] if cell.cell_type == "markdown"]
    headings = re.findall(r"^#+ (.+)$", "\n".join(texts), re.MULTILINE)
    where = f" in the section {headings[-1]!r}" if headings else ""
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    number = f"cell {index + 1} of {len(notebook.cells)}"
    return f"{path}, {number}{where}, which starts with\n    {first}\nfailed: {what}"


def tidy(notebook: NotebookNode) -> None:
    """Drop what differs from run to run, or keeps GitHub from drawing the notebook."""
    notebook.metadata.pop("widgets", None)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["kernelspec"] = kernel
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


def write_atomically(notebook: NotebookNode, target: Path) -> None:
    """Write the notebook so that an interruption leaves the old file or the new one."""
    import nbformat

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    nbformat.write(notebook, partial)
    partial.replace(target)


# --- what a notebook's outputs depend on


def sources_hash(notebook: Path) -> str:
    """Hash of all that outputs depend on: cells, SOURCES, fast mode, and the Python version."""
    fast = os.environ.get("COURSE_FAST", "0")
    digest = hashlib.sha256(f"{code_hash(notebook)} {fast} {sys.version_info[:2]}".encode())
    for file in source_files():
        digest.update(str(file.relative_to(ROOT)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def source_files() -> Iterator[Path]:
    """The files of SOURCES in a fixed order, without what is fetched or generated."""
    for name in SOURCES:
        top = ROOT / name
        if top.is_file():
            yield top
        for folder, subfolders, files in os.walk(top):
            subfolders[:] = sorted(set(subfolders) - NOT_SOURCES)
            yield from (Path(folder) / file for file in sorted(files))


def code_hash(notebook: Path) -> str:
    """Hash of the notebook's cells (type, source, tags); tests compare it to find stale outputs."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = [
        (cell["cell_type"], "".join(cell["source"]), cell.get("metadata", {}).get("tags", []))
        for cell in cells
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def read_marks(executed: Path) -> dict[str, Any]:
    """What `run` noted in an executed notebook; empty where there is none yet."""
    try:
        return json.loads(executed.read_text(encoding="utf-8"))["metadata"].get("course", {})
    except (OSError, ValueError, KeyError):
        return {}


def write_set_up_cell(path: Path) -> None:
    """Put tools/setup_cell.py into the cell tagged "set-up", or into a new second cell."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    source = SET_UP_CELL.read_text(encoding="utf-8").strip()
    tagged = [cell for cell in notebook.cells if SET_UP_TAG in cell.metadata.get("tags", [])]
    if tagged and tagged[0].source == source and tagged[0].metadata.items() >= FOLDED.items():
        return
    if not tagged:
        tagged = [nbformat.v4.new_code_cell(metadata={"tags": [SET_UP_TAG]})]
        notebook.cells.insert(1, tagged[0])
    tagged[0].source, tagged[0].outputs = source, []
    tagged[0].metadata.update(FOLDED)
    write_atomically(notebook, path)
    print(f"  {path.stem}: set-up cell written")


if __name__ == "__main__":
    main()
