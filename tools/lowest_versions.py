"""Write the lowest versions that pyproject.toml allows, so that they can be installed and tested.

    python tools/lowest_versions.py            writes .ci/lowest.txt

Run it whenever a range in pyproject.toml changes; a test compares the two. `.ci/lowest` installs
what is in the file.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import environment

FILE = environment.ROOT / ".ci" / "lowest.txt"
HEAD = (
    "# The lowest versions that pyproject.toml allows, written by tools/lowest_versions.py. "
    "What these need in turn, pip chooses.\n"
)


def text() -> str:
    """The whole file, one package a line, in alphabetical order."""
    pins = [re.sub(r">=([^,]+),<.+", r"==\1", line) for line in environment.wanted_packages()]
    return HEAD + "\n".join(sorted(pins, key=str.lower)) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
