"""Several processes of one command in one folder, on one host or on several.

One command at a time works in a folder, and where one of its processes is gone the others end with
a sentence instead of waiting for it.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout

LOCK, HOLDER = ".lock", ".pid"  # HOLDER names the process that has the lock
# What gloo says of a process at the other end that is gone; what NCCL says has a class of its own.
PEER_GONE_MESSAGES = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Connection refused",
)

T = TypeVar("T")


class RunError(ValueError):
    """A run that cannot be started or continued as asked; says why, and what to do."""


def join() -> PartialState:
    """This process among those of its command: they talk by NCCL between GPUs, else by gloo."""
    return PartialState(cpu=not torch.cuda.is_available())


def broadcast(value: T, state: PartialState) -> T:
    """The `value` that the first process has, for all: measured by each it could differ."""
    if state.num_processes == 1:
        return value
    box = [value]
    broadcast_object_list(box)
    return box[0]


@contextmanager
def abort_when_a_peer_fails(state: PartialState, advice: str) -> Iterator[None]:
    """Say in one sentence, ending in `advice`, that another process failed.

    torchrun ends all processes with the first that fails, by SIGTERM. A process that works alone is
    left alone.

    Raises:
        RunError: another process is gone, or this one is told to end since another failed.
    """
    if state.num_processes == 1:
        yield
        return
    sentence = f"another process of this command has ended, or this one was told to; {advice}"

    def told_to_end(number, frame):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one is obeyed at once
        raise RunError(sentence)

    def let_it_speak(number, frame):
        signal.signal(signal.SIGTERM, before)

    # Signals can be handled in no other thread.
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = after = signal.signal(signal.SIGTERM, told_to_end) if in_main_thread else None
    try:
        yield
    except RuntimeError as error:
        in_words = any(words in str(error) for words in PEER_GONE_MESSAGES)
        if not in_words and not isinstance(error, torch.distributed.DistError):
            raise
        after = let_it_speak  # torchrun's SIGTERM is still to come, and the sentence to be said
        raise RunError(sentence) from None
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, after)


@contextmanager
def folder_lock(folder: Path, state: PartialState, doing: str, option: str) -> Iterator[None]:
    """Keep other commands out of `folder`, which is made where there is none.

    The first process holds the lock, and a kill opens it again. `doing` ("training in build/qa")
    and `option`, the argument that chooses the folder, are for the message.
    """
    if not state.is_main_process:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = f"another process{_holder(folder)} is {doing}"
        raise RunError(f"{who}; wait for it, stop it, or choose another {option}.") from None
    except NotImplementedError:  # filelock's, on a file system without locks
        problem = f"files in {folder} cannot be locked"
        raise RunError(f"{problem}; choose another {option}, on another disk.") from None
    try:
        (folder / HOLDER).write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _holder(folder: Path) -> str:
    with suppress(OSError, ValueError):
        return f" (pid {int((folder / HOLDER).read_text(encoding='utf-8'))})"
    return ""
