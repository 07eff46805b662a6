"""Write the lowest versions that pyproject.toml allows as a file that pip reads, so that they can be installed and tested.

    python tools/lowest_versions.py            writes .ci/lowest.txt

Run it whenever a range in pyproject.toml changes; a test compares the two. `.ci/lowest` installs what is in the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from packaging.requirements import Requirement

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import environment

FILE = environment.ROOT / ".ci" / "lowest.txt"
HEAD = "# The lowest versions that pyproject.toml allows, written by tools/lowest_versions.py. What these need in turn, pip chooses.\n"


def lowest(requirement: Requirement) -> str:
    """The requirement's lower bound as a pin: "torch>=2.13,<3" becomes "torch==2.13". Raises ValueError where it has none."""
    bounds = [clause.version for clause in requirement.specifier if clause.operator == ">="]
    if len(bounds) != 1:
        raise ValueError(f"{requirement} in pyproject.toml has no lower bound; give it one, as in {requirement.name}>=1.0,<2.")
    return f"{requirement.name}=={bounds[0]}"


def text() -> str:
    """The whole file, one package a line, in alphabetical order."""
    pins = [lowest(Requirement(line)) for line in environment.wanted_packages()]
    return HEAD + "\n".join(sorted(pins, key=str.lower)) + "\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(text(), encoding="utf-8")
    print(f"{FILE.relative_to(environment.ROOT)}: {len(environment.wanted_packages())} packages")


if __name__ == "__main__":
    main()
