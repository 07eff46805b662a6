"""Programs stand at the end of the imports, and one command line serves them all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = ("demo", "poll")


def test_nothing_in_the_package_or_the_notebooks_imports_a_program(course: Path) -> None:
    files = [file for file in (course / "src").rglob("*.py") if "apps" not in file.parts]
    files += (course / "notebooks").glob("*.ipynb")
    imports = re.compile(r"(from|import) src\.apps|from src import .*\bapps\b")
    guilty = [str(file) for file in files if imports.search(file.read_text(encoding="utf-8"))]
    assert len(files) > 50 and guilty == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_what_it_takes_without_loading_a_model(course: Path, program: str) -> None:
    code = f"""
import sys
from src.apps.{program}.__main__ import main
assert main(["--help"]) == 0
print("loaded", sorted({{"torch", "transformers", "datasets", "matplotlib"}} & set(sys.modules)))
"""
    said = subprocess.check_output([sys.executable, "-c", code], cwd=course, text=True)
    assert "--port" in said and said.endswith("loaded []\n")
