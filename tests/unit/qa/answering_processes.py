"""`python -m src.qa` for test_many.py, which notes who wrote which part, and whose processes can be slowed down or kill themselves.

Environment: WRITTEN, a file for a line "rank part" each; KILL, "rank n": that process kills itself while it writes its n-th part;
SLOW, seconds that each part takes longer.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from src import runtime

runtime.configure_libraries()

from src.qa import many  # noqa: E402
from src.qa.__main__ import main  # noqa: E402

RANK = os.environ.get("RANK", "0")
write_part = many._write_part
count = 0


def write_part_and_note(parts: Path, number: int, *rest: object) -> None:
    """In place of many._write_part."""
    global count
    count += 1
    time.sleep(float(os.environ.get("SLOW", "0")))
    if os.environ.get("KILL") == f"{RANK} {count}":
        (parts / f".part-{number:06}.jsonl.{os.getpid()}").write_bytes(b"cut o")
        os.kill(os.getpid(), signal.SIGKILL)
    write_part(parts, number, *rest)
    with open(os.environ["WRITTEN"], "a", encoding="utf-8") as written:
        written.write(f"{RANK} {number}\n")


many._write_part = write_part_and_note
sys.exit(main())
