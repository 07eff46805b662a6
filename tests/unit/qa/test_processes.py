"""Several processes of one command: one at a time, and a sentence when one is gone."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from src.files import write_json, write_whole
from src.qa.processes import (
    PEER_GONE_MESSAGES,
    RunError,
    abort_when_a_peer_fails,
    broadcast,
    folder_lock,
)

TWO, ONE = (
    SimpleNamespace(num_processes=2, is_main_process=True),
    SimpleNamespace(num_processes=1, is_main_process=True),
)
SENTENCE = "another process of this command has ended, or this one was told to; start again."


def test_a_process_that_is_told_to_end_says_so_in_a_sentence():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RunError) as error, abort_when_a_peer_fails(TWO, "start again."):
        assert signal.getsignal(signal.SIGTERM) is not before
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it went on")
    assert str(error.value) == SENTENCE
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("words", PEER_GONE_MESSAGES)
def test_a_process_whose_neighbour_is_gone_says_so_in_a_sentence(words):
    with pytest.raises(RunError) as error, abort_when_a_peer_fails(TWO, "start again."):
        raise RuntimeError(f"[pair.cc:534] {words} [127.0.0.1]:4711")
    assert str(error.value) == SENTENCE
    with pytest.raises(RunError), abort_when_a_peer_fails(TWO, "start again."):
        raise torch.distributed.DistBackendError("NCCL says something else")


def test_other_errors_pass_and_a_process_alone_is_left_alone():
    with pytest.raises(RuntimeError, match="shape"), abort_when_a_peer_fails(TWO, "start again."):
        raise RuntimeError("a wrong shape")
    before = signal.getsignal(signal.SIGTERM)
    with (
        pytest.raises(RuntimeError, match=PEER_GONE_MESSAGES[0]),
        abort_when_a_peer_fails(ONE, "start again."),
    ):
        assert signal.getsignal(signal.SIGTERM) is before
        raise RuntimeError(PEER_GONE_MESSAGES[0])


def test_alone_a_process_keeps_to_what_it_says_itself():
    value = object()
    assert broadcast(value, ONE) is value


def test_a_folder_is_locked_by_the_first_process_and_free_afterwards(tmp_path: Path):
    with folder_lock(tmp_path / "run", ONE, "training in run", "output_dir"):
        with (
            pytest.raises(RunError) as error,
            folder_lock(tmp_path / "run", ONE, "training in run", "output_dir"),
        ):
            pytest.fail("two at a time")
        who = f"another process (pid {os.getpid()}) is training in run; "
        who += "wait for it, stop it, or choose another output_dir."
        assert str(error.value) == who
        with folder_lock(
            tmp_path / "run",
            SimpleNamespace(is_main_process=False),
            "training in run",
            "output_dir",
        ):
            pass  # the others come with the first
    with folder_lock(tmp_path / "run", ONE, "training in run", "output_dir"):
        pass


def test_a_disk_without_locks_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def acquire(*args: object, **options: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("src.qa.processes.FileLock.acquire", acquire)
    with (
        pytest.raises(RunError, match="cannot be locked; choose another output, on another disk"),
        folder_lock(tmp_path, ONE, "", "output"),
    ):
        pytest.fail("without a lock")


def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_json(tmp_path / "plan.json", {"steps": 3, "wörter": "北京"})
    before = (tmp_path / "plan.json").read_text(encoding="utf-8")
    assert "北京" in before and before.endswith("}\n")
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(OSError("killed here")))
    with pytest.raises(OSError, match="killed here"):
        write_whole(tmp_path / "plan.json", b"half of it")
    assert (tmp_path / "plan.json").read_text(encoding="utf-8") == before
