"""Put the cells of an exercise into its notebook: `tools/new_exercise.py 11.share`.

Three cells come before the notebook's last section: a heading, the stub, its check with hint and
solution. Move them to where they belong.
"""

import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src.teaching.exercises import find
from tools import run_notebooks
from tools.new_notebook import AUTHOR_MARK

IMPORT = "from src.teaching import check, hint, solution"


def main() -> None:
    """Put in the exercise of the command line, and say what comes next."""
    folder = run_notebooks.ROOT / "notebooks"
    try:
        path = put_in(" ".join(sys.argv[1:]), folder)
    except ValueError as problem:
        sys.exit(f"tools/new_exercise.py: {problem}")
    print(f"{path.relative_to(folder.parent)} has the exercise before its last section. Move it,")
    print(f"say what to write, and begin its section's first code cell with: {IMPORT}")


def put_in(exercise: str, folder: Path) -> Path:
    """Put an exercise's cells into its notebook, and return the notebook's path.

    Raises:
        ValueError: there is no such exercise or notebook, or it has the exercise already.
    """
    new = cells(exercise)
    number = exercise.partition(".")[0]
    path = next(folder.glob(f"{number}_*.ipynb"), None)
    if path is None:
        raise ValueError(
            f"there is no notebook {number} in {folder}; make new-notebook starts one."
        )
    notebook = nbformat.read(path, as_version=4)
    if any(cell.id == new[0].id for cell in notebook.cells):
        raise ValueError(f"{path.name} has {exercise} already, in the cell {new[0].id}.")
    sections = [i for i, cell in enumerate(notebook.cells) if cell.source.startswith("## ")]
    notebook.cells[sections[-1] : sections[-1]] = new
    run_notebooks.write_atomically(notebook, path)
    return path


def cells(exercise: str) -> list[NotebookNode]:
    """Its three cells. Raises ValueError as `find` does."""
    found = find(exercise)
    slug = exercise.replace(".", "-").replace("_", "-")
    calls = [f'check("{exercise}", {found.name})', f'hint("{exercise}")', f'solution("{exercise}")']
    code = {"exercise": found.stub, "check": "\n".join(calls)}
    heading = f"### Exercise: {found.name}\n\n{AUTHOR_MARK} What to write."
    return [
        new_markdown_cell(heading, id=slug, metadata={"tags": ["exercise"]}),
        *(
            new_code_cell(source, id=f"{slug}-{tag}", metadata={"tags": [tag]})
            for tag, source in code.items()
        ),
    ]


if __name__ == "__main__":
    main()
