"""Several processes of one command: one at a time, and a sentence when one is gone."""

import os
import signal
from types import SimpleNamespace

import pytest
import torch

from src.files import write_whole
from src.qa.processes import PEER_GONE_MESSAGES, RunError, abort_when_a_peer_fails, folder_lock

TWO = SimpleNamespace(num_processes=2, is_main_process=True)
ONE = SimpleNamespace(num_processes=1, is_main_process=True)
SENTENCE = "another process of this command has ended, or this one was told to; start again."


def test_a_process_that_is_told_to_end_says_so_in_a_sentence():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RunError) as error, abort_when_a_peer_fails(TWO, "start again."):
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it went on")
    assert str(error.value) == SENTENCE
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    "error",
    [
        torch.distributed.DistBackendError("NCCL says something else"),
        *(RuntimeError(f"[pair.cc:534] {words} [127.0.0.1]:47") for words in PEER_GONE_MESSAGES),
    ],
    ids=str,
)
def test_a_process_whose_neighbour_is_gone_says_so_in_a_sentence(error):
    """And torchrun's SIGTERM, which may come later, does not end it before it has."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with pytest.raises(RunError) as told, abort_when_a_peer_fails(TWO, "start again."):
            raise error
        assert str(told.value) == SENTENCE
        for _ in range(2):  # the second is obeyed
            signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_errors_pass_and_a_process_alone_is_left_alone():
    with pytest.raises(RuntimeError, match="shape"), abort_when_a_peer_fails(TWO, "start again."):
        raise RuntimeError("a wrong shape")
    before, gone = signal.getsignal(signal.SIGTERM), PEER_GONE_MESSAGES[0]
    with pytest.raises(RuntimeError, match=gone), abort_when_a_peer_fails(ONE, "start again."):
        assert signal.getsignal(signal.SIGTERM) is before
        raise RuntimeError(gone)


def test_the_first_process_locks_a_folder_and_the_others_come_with_it(tmp_path):
    about = (tmp_path / "run", ONE, "training in run", "output_dir")
    with folder_lock(*about):
        with pytest.raises(RunError, match="is training in run; wait for it"), folder_lock(*about):
            pytest.fail("two at a time")
        with folder_lock(tmp_path / "run", SimpleNamespace(is_main_process=False), "", ""):
            pass
    with folder_lock(*about):
        pass


def test_a_disk_without_locks_is_one_sentence(tmp_path, monkeypatch):
    def acquire(*args: object, **options: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("src.qa.processes.FileLock.acquire", acquire)
    says = "cannot be locked; choose another output, on another disk"
    with pytest.raises(RunError, match=says), folder_lock(tmp_path, ONE, "", "output"):
        pytest.fail("without a lock")


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    def replace(*args: object) -> None:
        raise OSError("killed here")

    write_whole(tmp_path / "plan.json", b"all of it")
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="killed here"):
        write_whole(tmp_path / "plan.json", b"half of it")
    assert (tmp_path / "plan.json").read_bytes() == b"all of it"
    assert len(list(tmp_path.iterdir())) == 1
