"""Where indexes are kept on disk, and how one process at a time writes there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from src import runtime
from src.qa.documents import RetrievalError

Report = Callable[[dict[str, Any]], None]


def index_folder(folder: str | Path | None) -> Path:
    """`folder`, or the course's cache; it can be deleted at any time and is then built again."""
    return runtime.cache() / "retrieval" if folder is None else Path(folder)


@contextmanager
def index_lock(folder: Path, report: Report | None = None) -> Iterator[None]:
    """Hold the lock of `folder`; the operating system frees it when its holder dies.

    Args:
        folder: made where there is none.
        report: is told if another process has to be waited for.

    Raises:
        RetrievalError: inside it, the operating system refused to write.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=1)
        except Timeout:
            if report is not None:
                report({"phase": "waiting for another process that builds this index"})
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        # numpy reports a full disk without the system's reason.
        reason = getattr(error, "strerror", error) or "the disk is full"
        problem = f"the index cannot be written ({reason})"
        advice = "make room, or set COURSE_CACHE to another folder"
        raise RetrievalError(f"{folder}: {problem}; {advice}.") from error
