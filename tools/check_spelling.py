"""Find misspelt words in code, texts and the cells of notebooks, by codespell's list of common mistakes.

    python tools/check_spelling.py [FILES]     all files of the repository where none are named

Started by `make lint` and before a commit. Of a notebook the sources of its cells are read, not the outputs: a small language
model may spell as it likes. Words that are right here, and files in other languages, are named in pyproject.toml, [tool.codespell].
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import repository

MISSPELT = 65  # codespell's exit status where it found something


def misspellings(names: Sequence[str], root: Path = repository.ROOT) -> list[str]:
    """One line for each misspelt word in these files of `root`: where, the word, and what it should be.

    Raises OSError when codespell cannot do its work.
    """
    with tempfile.TemporaryDirectory() as folder:
        places: dict[str, str] = {}  # a cell's own file -> what to call it
        for name in (name for name in names if name.endswith(".ipynb")):
            for number, source in repository.cells(root / name):
                cell = Path(folder, f"{len(places)}.md")
                cell.write_text(source, encoding="utf-8")
                places[str(cell)] = f"{name}, cell {number}"
        texts = [name for name in names if not name.endswith(".ipynb")]
        command = [sys.executable, "-m", "codespell_lib", "--check-hidden", "--toml", str(repository.ROOT / "pyproject.toml")]
        result = subprocess.run([*command, *texts, *places], cwd=root, capture_output=True, text=True)
        if result.returncode not in (0, MISSPELT):
            raise OSError(f"codespell failed: {(result.stderr.strip().splitlines() or ['it says nothing'])[-1]}")
        found = []
        for line in result.stdout.splitlines():
            path, number, rest = line.split(":", 2)
            found.append(f"{places[path]}, line {number}:{rest}" if path in places else line)
        return found


def main() -> None:
    """Check the files named on the command line, or all."""
    try:
        found = misspellings(repository.named_or_all(sys.argv[1:]))
    except OSError as error:
        sys.exit(str(error))
    advice = "a word that is right here goes into pyproject.toml, [tool.codespell]."
    sys.exit("\n".join([*found, f"misspelt: {len(found)}; {advice}"]) if found else None)


if __name__ == "__main__":
    main()
