"""Say where the course is published: `make publish ADDRESS=https://github.com/OWNER/NAME`.

Writes the address into pyproject.toml and the set-up cell, that cell into all notebooks, and the
badges of README.md. What notebooks put out stays as it is.
"""

import re
import sys
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import badges, run_notebooks

ADDRESS = re.compile(r"(https://git(?:hub|lab)\.com/[\w.-]+/[\w.-]+?)(?:\.git)?/?")
PLACES = {badges.ROOT / "pyproject.toml": "Repository", run_notebooks.SET_UP_CELL: "ADDRESS"}


def main() -> None:
    """Write the address that is named on the command line, and say what comes next."""
    given = " ".join(sys.argv[1:])
    found = ADDRESS.fullmatch(given)
    if found is None:
        sys.exit(
            f"make: ADDRESS={given!r} is no repository on GitHub or GitLab; write its address, "
            "as in: make publish ADDRESS=https://github.com/someone/words-to-answers"
        )
    for path, name in PLACES.items():
        text = path.read_text(encoding="utf-8")
        line = re.compile(f'^{name} = ".*"$', re.MULTILINE)
        path.write_text(line.sub(f'{name} = "{found[1]}"', text), encoding="utf-8")
    for notebook in run_notebooks.find_notebooks(badges.ROOT / "notebooks"):
        write_set_up_cell(notebook)
    badges.main()
    print(f"Written: {found[1]}. Commit what changed, and push it there, to the branch main.")


def write_set_up_cell(path: Path) -> None:
    """Write the set-up cell into a notebook whose outputs stay those of its cells.

    They do not depend on the address, from which only a course that is not here is fetched. Marks
    that were of other sources before, and so call for a new run, stay too.
    """
    before = marks(path)
    run_notebooks.write_set_up_cell(path)
    notebook = nbformat.read(path, as_version=4)
    stored = notebook.metadata.get("course", {})
    kept = {name: mark for name, mark in marks(path).items() if stored.get(name) == before[name]}
    stored.update(kept)
    run_notebooks.write_atomically(notebook, path)


def marks(path: Path) -> dict[str, str]:
    """What `run_notebooks.run` would note today of the sources of a notebook's outputs."""
    return {
        "code": run_notebooks.code_hash(path),
        "sources": run_notebooks.sources_hash(path),
    }


if __name__ == "__main__":
    main()
