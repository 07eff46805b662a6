"""How torch computes on this machine: how many threads, in which precision, with which memory.

Light to import: torch is loaded when it is needed.
"""

from __future__ import annotations

import ctypes
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from statistics import mean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within it torch computes with `count` threads; afterwards it has as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread() -> AbstractContextManager[None]:
    """Within it torch computes on one core: for small models.

    A second thread speeds up a small model by a quarter at best. Beside another busy program it
    costs many times as much: threads wait for each other in each of a step's thousand operations.
    """
    return threads(1)


class ThreadTuner:
    """Chooses how many threads torch computes with, by timing real work.

    Beside another busy program two threads can be slower than one, since they wait for each other
    at every operation. Each count takes its turn with a few pieces of work, and the fastest stays.
    It is tried again when the work becomes much slower, and from time to time while fewer than all
    cores are used: work on one core cannot tell that another is free.

        tuner = ThreadTuner()
        for batch in batches:
            with tuner.timed(batch.numel()):
                step(batch)

    Args:
        counts: to choose from; None takes what torch has now, one less, half of it, and one.
    """

    PIECES = 2  # of work that a count is timed with
    SLOWER = 1.5  # times the chosen count's cost that are much slower
    IN_A_ROW = 3  # pieces of work that must be that slow
    SECONDS = 10.0  # until fewer threads than cores are questioned, doubled up to eight times that

    def __init__(self, counts: Iterable[int] | None = None):
        import torch

        most = torch.get_num_threads()
        usual = {most} if torch.cuda.is_available() else {most, most - 1, most // 2, 1} - {0}
        self.counts = sorted(usual if counts is None else counts, reverse=True)
        self.count = self.counts[0]
        self.patience, self.trials = self.SECONDS, 0
        self.lock, self.is_cold = threading.Lock(), True
        self._begin_trial()

    @property
    def is_trying(self) -> bool:
        """Whether it has yet to choose: some more work has to be timed first."""
        return bool(self.left)

    @contextmanager
    def timed(self, work: float) -> Iterator[None]:
        """Within it torch has the chosen number of threads; `work` says how much is done."""
        count = self.left[0] if self.left else self.count
        start = time.perf_counter()
        with threads(count):
            yield
        with self.lock:
            self._learn(count, (time.perf_counter() - start) / work)

    def _begin_trial(self) -> None:
        several = len(self.counts) > 1
        self.left = [count for count in self.counts for _ in range(self.PIECES)] if several else []
        self.costs: dict[int, list[float]] = {count: [] for count in self.counts}
        self.expected, self.slow = math.inf, 0

    def _learn(self, count: int, cost: float) -> None:
        """Take note of what a piece of work cost; end a trial, or see whether one is due."""
        now = time.perf_counter()
        if self.is_cold:  # the first piece pays for buffers and kernels
            self.is_cold = False
            return
        if self.left:
            self.costs[count].append(cost)
            if count in self.left:  # another thread of this process may have timed it meanwhile
                self.left.remove(count)
            if not self.left:
                self._choose(now)
            return
        self.slow = self.slow + 1 if cost > self.SLOWER * self.expected else 0
        questioned = self.count < self.counts[0] and now - self.trial_ended > self.patience
        if len(self.counts) > 1 and (self.slow >= self.IN_A_ROW or questioned):
            self._begin_trial()

    def _choose(self, now: float) -> None:
        """End a trial with the fastest count, more patiently where it was chosen before."""
        best = min(self.counts, key=lambda count: mean(self.costs[count]))
        confirmed = best == self.count and self.trials
        longest = 8 * self.SECONDS
        self.patience = min(2 * self.patience, longest) if confirmed else self.SECONDS
        self.count, self.expected = best, mean(self.costs[best])
        self.trials, self.trial_ended = self.trials + 1, now


def faster_precision(work: Callable[[], object], device: torch.device, half: str = "bf16") -> str:
    """The precision in which `work` takes less time: `half` or, if it is nearly a tie, "fp32".

    Args:
        work: computes something typical on `device`; called twice in each precision, and the first
            call does not count.
        half: "bf16" or "fp16", what autocast computes matrix products in.
    """
    import torch

    seconds = {}
    for precision in ("fp32", half):
        for _ in range(2):
            start = time.perf_counter()
            with autocast(device, precision):
                work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds[precision] = time.perf_counter() - start
    return half if seconds[half] < 0.9 * seconds["fp32"] else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Within it `device` multiplies matrices in `precision`: "fp32", "bf16" or "fp16"."""
    import torch

    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


def bf16_autocast() -> torch.autocast:
    """Within it the CPU multiplies matrices in bf16 where it has instructions for it (AMX).

    Sums, softmax and losses stay in fp32. A result that is compared to the last digit is better
    computed without it.
    """
    import torch

    return torch.autocast("cpu", torch.bfloat16, enabled=has_amx_bf16())


def has_amx_bf16() -> bool:
    """Whether this processor has instructions that multiply matrices in bf16 (AMX)."""
    import torch

    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


@contextmanager
def keep_malloc_pages() -> Iterator[None]:
    """Within it, memory that tensors free stays with this process instead of the system's.

    Linux's C library gives every large block back at once, and a training step asks for the same
    blocks again. Fetching fresh pages took a third of a step of a small BERT here, most of all
    where batches have many lengths. Elsewhere it does nothing.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(library, "mallopt"):  # a C library that decides for itself
        yield
        return
    trim_threshold, mmap_threshold = -1, -3  # mallopt's names for the two limits
    library.mallopt(mmap_threshold, 2**31 - 1)  # the most it takes
    library.mallopt(trim_threshold, 2**31 - 1)
    try:
        yield
    finally:
        library.mallopt(mmap_threshold, 32 * 1024**2)  # where its own adjusting ends on 64 bits
        library.mallopt(trim_threshold, 64 * 1024**2)
        library.malloc_trim(0)
