"""tools/check_sizes.py: a file that is too large is named with its size; no file of the course is."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from tools import check_sizes, repository


def test_no_file_of_the_course_is_too_large() -> None:
    assert check_sizes.too_large(repository.files()) == []


def test_a_file_over_the_limit_is_named_with_its_size_and_one_at_the_limit_passes(clone: Path, add: Callable[..., Path]) -> None:
    for name, size in (("at the limit", 25_000_000), ("over", 25_050_001)):
        with add(name).open("wb") as file:
            file.truncate(size)
    (problem,) = check_sizes.too_large(repository.files(clone), clone)
    assert problem.startswith("over: 25.1 MB, and 25 MB is the most")


def test_files_are_those_that_are_or_could_be_committed(clone: Path, add: Callable[..., Path]) -> None:
    add("build/ignored")
    gone = add("deleted")
    subprocess.run(["git", "add", "deleted"], cwd=clone, check=True)
    gone.unlink()
    add("new with ü and space.md")
    assert repository.files(clone) == [".gitignore", "new with ü and space.md"]
