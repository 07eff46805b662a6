"""Refuse files that are too large for the repository: whoever clones it gets every version of every file.

    python tools/check_sizes.py [FILES]        all files of the repository where none are named

Started by `make lint` and before a commit. Ends with status 1 and a line for each file that is too large.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import repository

LARGEST_MB = 25


def too_large(names: Sequence[str], root: Path = repository.ROOT) -> list[str]:
    """A sentence for each of these files of `root` that is larger than LARGEST_MB."""
    sizes = ((name, (root / name).stat().st_size / 1e6) for name in names)
    advice = "outside files belong into data/assets.txt, see CONTRIBUTING.md"
    return [f"{name}: {size:.1f} MB, and {LARGEST_MB} MB is the most; {advice}." for name, size in sizes if size > LARGEST_MB]


def main() -> None:
    """Check the files named on the command line, or all."""
    try:
        problems = too_large(repository.named_or_all(sys.argv[1:]))
    except OSError as error:
        sys.exit(str(error))
    sys.exit("\n".join(problems) or None)


if __name__ == "__main__":
    main()
