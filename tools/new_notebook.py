"""Start a notebook in the house's form: `make new-notebook NAME=08_title`, or `python tools/new_notebook.py 08_title`.

What it writes to notebooks/08_title.ipynb runs as it is: title, set-up cell, one section in the rhythm that every section of the course
has (question, picture, formula, a few lines, a printed value, what it says), and the closing cells. What to put in place of the
example is said in the lines that begin with AUTHOR_MARK; a test sees to it that none of them stays.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import run_notebooks

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = run_notebooks.ROOT / "notebooks"
NAME = re.compile(r"(\d\d[a-z]?)_([a-z0-9]+(?:_[a-z0-9]+)*)")
AUTHOR_MARK = "**For the author.**"

TITLE = f"""# {{title}}

{AUTHOR_MARK} One sentence: what the reader can do at the end that was not possible before.

**What you will build.** {AUTHOR_MARK} The finished thing, which the first section shows working.

**What you need.** {AUTHOR_MARK} What of the notebooks before. About 60 minutes to teach. The [glossary](glossary.md)
explains every term."""

QUESTION = f"""## A section answers one question

How much of a value is left when it is halved again and again?

{AUTHOR_MARK} Begin with the question. Define each term where it first appears, in data/glossary.yaml, and link it from then on, as
here: [token](glossary.md#token). This section's first code cell brings every name that the section
uses, so that it also runs right after the set-up cell."""

PICTURE = """from src.plots import alt, headline, subplots

values = [1.0]
for _ in range(5):
    values.append(values[-1] / 2)

figure, ax = subplots(figsize=(6, 2.4), layout="constrained")
ax.bar(range(len(values)), values)
ax.set_xlabel("times halved")
ax.set_ylabel("what is left")
headline(figure, "After three halvings an eighth is left")
alt(figure, f"Six bars, each half as high as the one before, from {values[0]:g} to {values[-1]:g}.")"""

FORMULA = f"""With the value $x_0$ at the start, after $n$ halvings:

$$x_n = \\frac{{x_0}}{{2^n}}$$

**Predict:** is anything left after fifty of them?

{AUTHOR_MARK} Then the formula, with every letter named, and a question to answer before the next cell is run. A figure that stays moves
into a function of src/plots, in the file of its subject."""

LINES = """x_0 = 1.0
x_50 = x_0 / 2**50
print(f"after fifty halvings {x_50:.1e} is left; more than nothing: {x_50 > 0}")"""

READING = f"""Nearly a quadrillionth is left, but it is not zero.

{AUTHOR_MARK} One sentence reads the value. What could go wrong comes next, then a quiz or an exercise:

- a quiz: a set in data/quizzes/{{name}}.json, shown by a cell `show_quiz("{{name}}", "the_set")` with the tag `quiz`;
- an exercise: an `Exercise` in src/teaching/exercises/notebook_{{number}}.py; `src.teaching.exercises.cells("{{number}}.its_name")` gives its
  four cells with their tags: a text to fill in, stub, check, hint and solution;
- a cell of more than ten seconds gets the tag `slow`, one that trains also `training`; the cell after it takes the result
  through `runtime.latest_run`, never from the slow cell's variables."""

RECAP = f"""## What you take with you

- Halving never reaches zero; it only gets too small to matter.

**Further reading.** {AUTHOR_MARK} Author, year, *Title*, with dots between them.

**How does this get us to question answering?** {AUTHOR_MARK} Two or three sentences, the last of which leads to the next notebook."""

MACHINE = """from src import runtime

print(f"These outputs come from {runtime.machine()}.")"""


class NameProblem(ValueError):
    """A name that no new notebook can have; one sentence that says why, and what to do."""


def main() -> None:
    """Write the notebook that is named on the command line and say what comes next."""
    try:
        path = write(" ".join(sys.argv[1:]))
    except NameProblem as problem:
        sys.exit(f"make: {problem}")
    print(f"{path.relative_to(run_notebooks.ROOT)} is there. What comes next is in CONTRIBUTING.md, under 'Add a notebook'.")


def write(name: str, folder: Path = FOLDER) -> Path:
    """Write the template as notebook `name` into `folder` and return its path.

    Raises NameProblem for a name that is badly formed, or whose number another notebook of `folder` has.
    """
    formed = NAME.fullmatch(name)
    if formed is None:
        raise NameProblem(
            f"NAME={name!r} is no name for a notebook; write two digits and small letters, as in: make new-notebook NAME=08_title"
        )
    number, words = formed.groups()
    taken = next(iter(sorted(folder.glob(f"{number}_*.ipynb"))), None)
    if taken is not None:
        raise NameProblem(f"there is a notebook {number} already, {taken.name}; take another number, such as {number[:2]}b or the next.")
    path = folder / f"{name}.ipynb"
    run_notebooks.write_atomically(template(name, number, words.replace("_", " ").capitalize()), path)
    return path


def template(name: str, number: str, title: str) -> NotebookNode:
    """The notebook itself, without outputs."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    set_up = run_notebooks.SET_UP_CELL.read_text(encoding="utf-8").strip()
    notebook = new_notebook(
        cells=[
            new_markdown_cell(TITLE.format(title=title), id="title"),
            new_code_cell(set_up, id="set-up", metadata={"tags": [run_notebooks.SET_UP_TAG]}),
            new_markdown_cell(QUESTION, id="question"),
            new_code_cell(PICTURE, id="picture"),
            new_markdown_cell(FORMULA, id="formula"),
            new_code_cell(LINES, id="lines"),
            new_markdown_cell(READING.format(name=name, number=number), id="reading"),
            new_markdown_cell(RECAP, id="recap"),
            new_code_cell(MACHINE, id="machine"),
        ]
    )
    run_notebooks.tidy(notebook)
    return notebook


if __name__ == "__main__":
    main()
