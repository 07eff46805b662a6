"""Run notebooks from top to bottom, each in a clean kernel, and keep the executed copies.

    python tools/run_notebooks.py notebooks --to build/notebooks    copies with outputs; a notebook whose sources did not change is skipped
    python tools/run_notebooks.py notebooks --in-place              outputs go back into the notebooks themselves
    python tools/run_notebooks.py notebooks --set-up-cell           write the course's set-up cell into every notebook (runs nothing)

Started by `make course` and `make notebooks`. A failing cell stops it with status 1 and the notebook, the cell and the error.
Heavy modules are imported only once there is something to run, so that a run with nothing to do ends at once.
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
RUNS = ROOT / "build" / "notebook-runs"  # what notebooks train when they are executed; a reader's own runs are in build/runs
CELL_SECONDS = 900  # the longest a single cell may take; a notebook's metadata `execution.timeout` overrides it
SOURCES = ("src", "data", "weights", "constraints.txt")  # with the notebook itself, what its outputs depend on
NOT_SOURCES = {"__pycache__", "cache", ".ipynb_checkpoints"}  # data/cache is fetched, and pinned by data/assets.txt


class NotebookFailure(Exception):
    """A notebook did not run to its end; the message names notebook, section, cell and error."""


def main() -> None:
    """Read the arguments and run what they name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", type=Path, help="a notebook, or a folder of notebooks")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", type=Path, metavar="FOLDER", help="folder for the executed copies")
    what.add_argument("--in-place", action="store_true", help="write the outputs back into the notebooks")
    what.add_argument("--set-up-cell", action="store_true", help="write the set-up cell into the notebooks; run nothing")
    parser.add_argument("--timeout", type=int, default=CELL_SECONDS, help="seconds a cell may take (default: %(default)s)")
    arguments = parser.parse_args()
    notebooks = find_notebooks(arguments.notebooks)
    if not notebooks:
        print(f"{arguments.notebooks}: no notebooks here yet")
        return
    try:
        for notebook in notebooks:
            if arguments.set_up_cell:
                write_set_up_cell(notebook)
            else:
                run(notebook, notebook if arguments.in_place else arguments.to / notebook.name, arguments.timeout)
    except NotebookFailure as failure:
        sys.exit(f"\n{failure}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; the notebooks that are finished are kept")
    if arguments.to:
        remove_leftovers(arguments.to, notebooks)


def find_notebooks(where: Path) -> list[Path]:
    """The notebook `where`, or the notebooks in the folder `where` in the order of their names."""
    return [where] if where.is_file() else sorted(where.glob("*.ipynb"))


def run(notebook: Path, target: Path, cell_seconds: int = CELL_SECONDS) -> bool:
    """Execute `notebook` into `target` unless `target` holds the outputs of these very sources; prints one line.

    Returns whether it was executed. Raises NotebookFailure; what was executed so far is then beside `target`, in `failed/`.
    """
    sources = sources_hash(notebook)
    marks = read_marks(target)
    if marks.get("sources") == sources:
        print(f"  {notebook.stem}: unchanged, outputs kept (they took {marks.get('seconds', 0):.0f} s)")
        return False

    import nbformat

    print(f"  {notebook.stem} ...", end="", flush=True)
    start = time.monotonic()
    try:
        executed = nbformat.read(notebook, as_version=4)
        spent = execute(executed, notebook, target.parent if target != notebook else ROOT / "build" / "notebooks", cell_seconds)
    except NotebookFailure:
        print(f" failed after {time.monotonic() - start:.0f} s", flush=True)
        raise
    seconds = time.monotonic() - start
    tidy(executed)
    # Wall time goes into the copies only: in the notebooks themselves it would be a difference at every run.
    executed.metadata["course"] = {"sources": sources, "code": code_hash(notebook)} | (
        {} if target == notebook else {"seconds": round(seconds, 1), "cell_seconds": [round(cell, 1) for cell in spent]}
    )
    write_atomically(executed, target)
    print(f" {seconds:.0f} s", flush=True)
    return True


def execute(notebook: NotebookNode, path: Path, log_folder: Path, cell_seconds: int) -> list[float]:
    """Run all cells of `notebook` in a kernel of this very Python, working in the folder that holds `path`.

    Returns the seconds of each cell, 0 for text.
    """
    import nbformat
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    class ThisPython(KernelSpecManager):
        """Offers one kernel, this interpreter: kernels registered on the machine are other people's."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            """The kernel of `sys.executable`, whatever the name."""
            command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=command, display_name="Python 3", language="python", env={})

    class ManagerOfThisPython(AsyncKernelManager):
        """Starts that kernel. Given as a class, not as an object: nbclient ends only kernels whose manager it made itself."""

        def __init__(self, **options: Any):
            super().__init__(**options | {"kernel_spec_manager": ThisPython()})

    log_folder.mkdir(parents=True, exist_ok=True)
    log = log_folder / f".{path.stem}.kernel.log"  # what the kernel's process says aside from its cells: wanted when it dies
    reached = [0]  # the cell that runs now; a cell that times out or kills its kernel leaves no other trace

    spent = [0.0] * len(notebook.cells)

    def note(cell: NotebookNode, cell_index: int) -> None:
        reached[0] = cell_index
        spent[cell_index] = -time.monotonic()

    def finish(cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        spent[cell_index] += time.monotonic()

    client = NotebookClient(
        notebook,
        on_cell_execute=note,
        on_cell_executed=finish,
        kernel_manager_class=ManagerOfThisPython,
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
            client.execute(stderr=stderr, env=env | {"COURSE_RUNS": str(empty_runs_folder(path))})
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        failed = log_folder / "failed" / path.name
        failed.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, failed)
        raise NotebookFailure(f"{describe_failure(notebook, path, reached[0], error, log)}\nWhat ran up to there: {failed}") from error
    log.unlink(missing_ok=True)
    return spent


def empty_runs_folder(notebook: Path) -> Path:
    """Where `src.runtime.run_folder` puts the runs of this execution: nothing is in it yet, so that every execution trains anew.

    It stays until the next execution, so that what a notebook trained can be looked at.
    """
    folder = RUNS / (notebook.stem + ("-fast" if os.environ.get("COURSE_FAST", "0") not in ("", "0") else ""))
    if folder.exists():
        shutil.rmtree(folder)
    return folder


def describe_failure(notebook: NotebookNode, path: Path, index: int, error: Exception, log: Path) -> str:
    """Which notebook, section and cell (the one at `index`) failed, how, and the first line of that cell."""
    cell = notebook.cells[index]
    errors = [output for output in cell.outputs if output.output_type == "error"]
    if isinstance(error, TimeoutError):  # a cell that is cut off also shows an error of its own: KeyboardInterrupt
        what = "it took too long"
    elif errors:
        what = f"{errors[-1].ename}: {errors[-1].evalue}"
    else:
        what = f"its kernel died; {last_words(log)}"
    texts = [cell.source for cell in notebook.cells[:index] if cell.cell_type == "markdown"]
    headings = [heading for text in texts for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    where = f" in the section {headings[-1]!r}" if headings else ""
    first_line = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"{path}, cell {index + 1} of {len(notebook.cells)}{where}, which starts with\n    {first_line}\nfailed: {what}"


def last_words(log: Path) -> str:
    """The last line the kernel's process wrote before it died."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"its last words: {lines[-1]}" if lines else "it left no message (out of memory?)"


def tidy(notebook: NotebookNode) -> None:
    """Drop what differs from run to run or keeps GitHub from drawing the notebook: widget state, timings, versions."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


def write_atomically(notebook: NotebookNode, target: Path) -> None:
    """Write the notebook so that an interruption leaves the old file or the new one, never half of one."""
    import nbformat

    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    nbformat.write(notebook, partial)
    partial.replace(target)


def remove_leftovers(folder: Path, notebooks: list[Path]) -> None:
    """Delete executed copies of notebooks that no longer exist, so that the site does not show them."""
    names = {notebook.name for notebook in notebooks}
    for copy in folder.glob("*.ipynb"):
        if copy.name not in names:
            copy.unlink()


# --- what a notebook's outputs depend on ---------------------------------------------------------------------------------


def sources_hash(notebook: Path) -> str:
    """Hash of everything the outputs of `notebook` depend on: its own cells, SOURCES, fast mode, and the Python version."""
    digest = hashlib.sha256(f"{code_hash(notebook)} {os.environ.get('COURSE_FAST', '0')} {sys.version_info[:2]}".encode())
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
    """Hash of the notebook's own cells (type, source, tags) without outputs; tests compare it to notice stale outputs."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = [(cell["cell_type"], "".join(cell["source"]), cell.get("metadata", {}).get("tags", [])) for cell in cells]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def read_marks(executed: Path) -> dict[str, Any]:
    """What `run` noted in an executed notebook (sources, code, seconds); empty where there is none yet."""
    try:
        return json.loads(executed.read_text(encoding="utf-8"))["metadata"].get("course", {})
    except (OSError, ValueError, KeyError):
        return {}


# --- the set-up cell -----------------------------------------------------------------------------------------------------


def write_set_up_cell(path: Path) -> None:
    """Put tools/setup_cell.py into the cell tagged "set-up"; a notebook without one gets it as its second cell."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    source = SET_UP_CELL.read_text(encoding="utf-8").strip()
    cell = next((cell for cell in notebook.cells if SET_UP_TAG in cell.metadata.get("tags", [])), None)
    if cell is None:
        cell = nbformat.v4.new_code_cell(metadata={"tags": [SET_UP_TAG]})
        notebook.cells.insert(min(1, len(notebook.cells)), cell)
    if cell.source == source:
        print(f"  {path.stem}: has this set-up cell")
        return
    cell.source, cell.outputs = source, []
    write_atomically(notebook, path)
    print(f"  {path.stem}: set-up cell written")


if __name__ == "__main__":
    main()
