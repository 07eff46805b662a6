"""src/compute.py: threads and precision by a clock of the test, and memory that stays."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from src import compute


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="only Linux's C library is told to",
)
def test_freed_memory_is_used_again_while_kept_and_given_back_afterwards(course, clean_environment):
    code = """
import resource, sys
import torch
from src.compute import keep_malloc_pages

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(64, 1024, 256)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def megabytes():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1024**2

faults(), faults()
unkept = faults()
start = megabytes()
with keep_malloc_pages():
    for _ in range(30):  # aligned blocks need some neighbours before one of them fits again
        faults()
    kept, held = sum(faults() for _ in range(3)), megabytes() - start
print(unkept, kept, held, megabytes() - start, faults())
"""
    settings = {"cwd": course, "env": clean_environment, "capture_output": True}
    result = subprocess.run([sys.executable, "-c", code], text=True, **settings)
    assert result.stderr == ""
    unkept, kept, held, afterwards, unkept_again = map(float, result.stdout.split())
    assert kept <= 2 < 30 < min(unkept, unkept_again)
    assert held > 60 > 5 > afterwards


# --- threads and precision, by a clock of the test -----------------------------------------------


class Machine:
    """Work that takes as long as the test says for so many threads, and a clock that knows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]):
        self.now, self.seconds, self.threads = 0.0, seconds, max(seconds)
        monkeypatch.setattr(compute, "time", SimpleNamespace(perf_counter=lambda: self.now))
        monkeypatch.setattr(torch, "get_num_threads", lambda: self.threads)
        monkeypatch.setattr(torch, "set_num_threads", lambda count: setattr(self, "threads", count))

    def work(self, tuner: compute.ThreadTuner, pieces: int, amount: float = 10.0) -> list[int]:
        """Do some pieces of work; returns the number of threads that each was done with."""
        used = []
        for _ in range(pieces):
            with tuner.timed(amount):
                used.append(self.threads)
                self.now += amount * self.seconds[self.threads]
        return used

    def trials_within(self, tuner: compute.ThreadTuner, seconds: float) -> list[float]:
        """Work for so long; returns when a trial began."""
        begun, end = [], self.now + seconds
        while self.now < end:
            was_trying = tuner.is_trying
            self.work(tuner, 1)
            if tuner.is_trying and not was_trying:
                begun.append(self.now)
        return begun


@pytest.mark.parametrize(
    ("seconds", "best"),
    [({1: 0.02, 2: 0.01, 4: 0.03}, 2), ({1: 0.01, 3: 0.02, 4: 0.03}, 1), ({1: 4, 2: 2, 4: 1}, 4)],
)
def test_the_number_of_threads_is_the_one_that_work_is_done_cheapest_with(
    monkeypatch, seconds, best
):
    machine = Machine(monkeypatch, {count: seconds.get(count, 9.0) for count in (1, 2, 3, 4)})
    tuner = compute.ThreadTuner()
    machine.work(tuner, 1)  # the first piece does not count
    trial = machine.work(tuner, 8)
    assert {count: trial.count(count) for count in set(trial)} == {1: 2, 2: 2, 3: 2, 4: 2}, (
        "what torch has, one less, half, and one"
    )
    assert not tuner.is_trying and tuner.count == best
    assert machine.threads == 4, "outside it torch has as many as before"


def test_what_counts_is_the_cost_of_a_piece_not_its_size(monkeypatch):
    machine = Machine(monkeypatch, {1: 0.02, 2: 0.01})
    tuner = compute.ThreadTuner()
    machine.work(
        tuner, 3, amount=100.0
    )  # the first does not count, two threads get the large pieces
    machine.work(tuner, 2, amount=1.0)
    assert tuner.count == 2


def test_threads_are_chosen_again_when_the_work_becomes_much_slower_but_not_for_one_slow_piece(
    monkeypatch,
):
    machine = Machine(monkeypatch, {1: 0.02, 2: 0.01})
    tuner = compute.ThreadTuner()
    machine.work(tuner, 30)
    for slow in (2, 1, 2):  # at most two in a row
        machine.seconds[2] = 0.1
        machine.work(tuner, slow)
        machine.seconds[2] = 0.01
        machine.work(tuner, 1)
    assert tuner.count == 2 and not tuner.is_trying
    machine.seconds[2] = 0.1  # somebody else has begun to use a core
    used = machine.work(tuner, 20)
    assert used[:3] == [2, 2, 2] and used[-10:] == [1] * 10


def test_fewer_threads_than_cores_are_questioned_with_growing_patience_until_a_core_is_free_again(
    monkeypatch,
):
    machine = Machine(monkeypatch, {1: 0.01, 2: 0.03})
    tuner = compute.ThreadTuner()
    machine.work(tuner, 4)
    begun = machine.trials_within(tuner, 400)
    waits = np.diff(begun)
    assert begun[0] == pytest.approx(machine.now - 400, abs=12)
    assert waits[:4] == pytest.approx([21, 41, 81, 81], abs=2), "seconds, with the trial's own"
    machine.seconds[2] = 0.005
    machine.trials_within(tuner, 90)
    assert tuner.count == 2
    assert machine.trials_within(tuner, 400) == [], "with all of them there is nothing to question"


def test_where_there_is_no_choice_the_threads_never_change(monkeypatch):
    machine = Machine(monkeypatch, {1: 0.01, 2: 0.01, 3: 0.01})
    tuner = compute.ThreadTuner([2])
    assert not tuner.is_trying
    used = machine.work(tuner, 100)
    machine.seconds[2] = 1.0
    assert set(used + machine.work(tuner, 100)) == {2} and machine.threads == 3


def test_threads_are_as_before_also_after_work_that_failed(monkeypatch):
    machine = Machine(monkeypatch, {1: 0.01, 2: 0.01})
    with pytest.raises(RuntimeError), compute.ThreadTuner([1]).timed(1.0):
        assert machine.threads == 1
        raise RuntimeError
    assert machine.threads == 2


@pytest.mark.parametrize(
    ("half_takes", "chosen"),
    [(0.5, "bf16"), (0.85, "bf16"), (0.95, "fp32"), (1.0, "fp32"), (2.0, "fp32")],
)
def test_the_faster_precision_is_chosen_and_nearly_a_tie_goes_to_fp32(
    monkeypatch, half_takes, chosen
):
    machine = Machine(monkeypatch, {1: 1.0})
    calls = []

    def work():
        half = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        first = (
            half not in calls
        )  # the first call, which may build something, is not the one that counts
        calls.append(half)
        machine.now += 100.0 if first else half_takes if half else 1.0

    assert compute.faster_precision(work, torch.device("cpu")) == chosen
    assert calls.count(True) == calls.count(False) == 2


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_matrix_products_are_computed_in_the_precision_asked_for(precision, dtype):
    with compute.autocast(torch.device("cpu"), precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
