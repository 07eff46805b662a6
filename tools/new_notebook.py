"""Start a notebook in the house's form: `make new-notebook NAME=11_title`.

Writes notebooks/11_title.ipynb out of tools/template.ipynb. It runs as it is: title, set-up cell,
one section as an example, closing cells. What to put in place of the example is said in the lines
that begin with AUTHOR_MARK; a test sees to it that none of them stays.
"""

import re
import sys
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import run_notebooks

FOLDER = run_notebooks.ROOT / "notebooks"
TEMPLATE = Path(__file__).with_name("template.ipynb")
NAME = re.compile(r"(\d\d[a-z]?)_([a-z0-9]+(?:_[a-z0-9]+)*)")
AUTHOR_MARK = "**For the author.**"


class NameProblem(ValueError):
    """A name that no new notebook can have; one sentence that says why, and what to do."""


def main() -> None:
    """Write the notebook that is named on the command line, and say what comes next."""
    try:
        path = write(" ".join(sys.argv[1:]))
    except NameProblem as problem:
        sys.exit(f"make: {problem}")
    place = path.relative_to(run_notebooks.ROOT)
    print(f"{place} is there. What comes next is in CONTRIBUTING.md, under 'Add a notebook'.")


def write(name: str, folder: Path = FOLDER) -> Path:
    """Write the template as a new notebook.

    Args:
        name: two digits, perhaps a letter, and small letters, such as "11_title".
        folder: where to.

    Returns:
        The new file.

    Raises:
        NameProblem: the name has another form, or a notebook of `folder` has its number.
    """
    formed = NAME.fullmatch(name)
    if formed is None:
        raise NameProblem(
            f"NAME={name!r} is no name for a notebook; write two digits and small letters, "
            "as in: make new-notebook NAME=11_title"
        )
    number, words = formed.groups()
    for taken in sorted(folder.glob(f"{number}_*.ipynb")):
        raise NameProblem(
            f"there is a notebook {number} already, {taken.name}; take another number, "
            f"such as {number[:2]}b or the next."
        )
    notebook = nbformat.read(TEMPLATE, as_version=4)
    title = words.replace("_", " ").capitalize()
    for cell in notebook.cells:
        for mark, value in {"{title}": title, "{name}": name, "{number}": number}.items():
            cell.source = cell.source.replace(mark, value)
    path = folder / f"{name}.ipynb"
    run_notebooks.write_atomically(notebook, path)
    run_notebooks.write_set_up_cell(path)
    return path


if __name__ == "__main__":
    main()
