"""`python -m src.qa` for test_many.py, in chunks of 8, whose processes can kill themselves.

Environment: KILL, "rank n": that process kills itself instead of answering its n-th chunk.
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from src import runtime

runtime.configure_libraries()

from src.qa import many  # noqa: E402
from src.qa.__main__ import main  # noqa: E402

RANK = os.environ.get("RANK", "0")
answer = many._answer
count = 0


def answer_or_die(*args: object) -> list[dict]:
    """In place of many._answer."""
    global count
    count += 1
    if os.environ.get("KILL") == f"{RANK} {count}":
        os.kill(os.getpid(), signal.SIGKILL)
    os.write(2, f"chunk by {RANK}\n".encode())  # in one piece: the other process writes there, too
    return answer(*args)


many.CHUNK, many._answer = 8, answer_or_die
sys.exit(main())
