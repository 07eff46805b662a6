"""tools/gpu_check.py does its checks, here on the CPU, and fails on what is not as it must be."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tools import gpu_check

RUN = {"seconds": 32.9, "planned_seconds": 30, "finished": True, "answers": True}
RUN |= {"from_step": 0, "steps": 90, "loss_at_first": 5.0, "loss_at_last": 2.0}
BEGUN, ENDED = RUN | {"finished": False, "steps": 40}, RUN | {"from_step": 40}


@pytest.fixture
def check(monkeypatch) -> Callable[..., dict]:
    """check(name, run, ...): what a check makes of runs, or answers, as they come in turn."""

    def look(name: str, *runs: dict, gpu_bytes: float = 0) -> dict:
        left = iter(runs)

        def here(*given, **named) -> dict:
            return next(left) | {"on_gpu": gpu_bytes > 0}

        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu_bytes > 0)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: gpu_bytes)
        monkeypatch.setattr(gpu_check, "train", here)
        monkeypatch.setattr(gpu_check, "answer", here)
        job = SimpleNamespace(sizes=gpu_check.T4, folder=Path("build"))
        job.on_cpu = lambda function, *given, **named: function() | {"on_gpu": False}
        return gpu_check.attempt(name, job)

    return look


@pytest.mark.full
def test_tried_on_the_cpu_every_check_is_done_and_passes(tmp_path):
    file = tmp_path / "new" / "found.json"
    command = [sys.executable, gpu_check.__file__, "--cpu", "--output", str(file)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    found = json.loads(file.read_text())["checks"]
    lines = [line for line in result.stdout.splitlines() if line.startswith("PASS ")]
    assert [*found] == [*gpu_check.CHECKS] and len(lines) == len(found)
    assert [found[name]["precision"] for name in ("fp16", "bf16")] == ["fp32", "bf16"]
    assert all(found[name]["from_step"] > 0 for name in ("GPU to CPU", "CPU to GPU"))
    assert (found["answers"]["equal_percent"], found["answers"]["total"]) == (100, 40)
    assert list(file.parent.iterdir()) == [file], "no run is left behind"


def test_where_there_is_no_gpu_one_sentence_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_check.main(["--output", str(tmp_path / "found.json")]) == 2
    assert capsys.readouterr().err == "There is no GPU here that torch can use; try --cpu.\n"
    assert not any(tmp_path.iterdir())


def test_one_check_that_fails_breaks_or_takes_too_long_is_told_and_the_others_go_on(
    monkeypatch, tmp_path, capsys
):
    checks = {
        "fails": (lambda *given: ({"f1": 3.0}, {"good": False, "fast": True}), 5),
        "breaks": (lambda *given: {}["model"], 5),
        "is slow": (lambda *given: time.sleep(60), 1),
        "passes": (lambda *given: ({"f1": 80.0}, {"good": True}), 5),
    }
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # --cpu sets it for good
    monkeypatch.setattr(gpu_check, "CHECKS", checks)
    assert gpu_check.main(["--cpu", "--output", str(tmp_path / "found.json")]) == 1
    found = json.loads((tmp_path / "found.json").read_text())["checks"]
    unmet = [["good"], ["KeyError('model')"], ["RuntimeError('not done in 1 s')"], []]
    assert [each["unmet"] for each in found.values()] == unmet
    printed = capsys.readouterr().out.splitlines()[1:]
    assert [line[:4] for line in printed] == ["FAIL", "FAIL", "FAIL", "PASS"]
    assert "'f1': 3.0" in printed[0]


def test_the_checks_take_eight_minutes_at_most():
    assert sum(seconds for _, seconds in gpu_check.CHECKS.values()) <= 8 * 60


@pytest.mark.parametrize(
    ("change", "unmet"),
    [
        ({}, []),
        ({"seconds": 33.1}, ["minutes kept"]),
        ({"seconds": 26.9}, ["minutes kept"]),
        ({"finished": False}, ["finished"]),
        ({"answers": False}, ["answers"]),
        ({"loss_at_last": 5.0}, ["loss falls"]),
        ({"loss_at_last": float("nan")}, ["loss falls"]),
    ],
)
def test_a_training_keeps_its_minutes_learns_and_ends_usable(check, change, unmet):
    assert check("bf16", RUN | change)["unmet"] == unmet


@pytest.mark.parametrize(("share", "unmet"), [(1, 0), (0.7, 1), (1.3, 0), (1.4, 1)])
def test_the_peak_is_compared_with_what_the_page_says(check, share, unmet):
    said = check("BERT-base", RUN)["documented_gigabytes"]
    assert said == 6.34
    assert len(check("BERT-base", RUN, gpu_bytes=share * said * 1e9)["unmet"]) == unmet


@pytest.mark.parametrize(("name", "ends_on_gpu"), [("GPU to CPU", False), ("CPU to GPU", True)])
def test_a_run_has_to_be_stopped_and_to_go_on_where_it_was_on_the_other_device(
    check, name, ends_on_gpu
):
    found = check(name, BEGUN, ENDED, gpu_bytes=1)
    assert (found["unmet"], found["on_gpu"]) == ([], ends_on_gpu)
    assert check(name, BEGUN, RUN, gpu_bytes=1)["unmet"] == ["went on"]
    assert check(name, BEGUN, ENDED | {"steps": 40}, gpu_bytes=1)["unmet"] == ["went on"]
    assert check(name, RUN | {"steps": 40}, ENDED, gpu_bytes=1)["unmet"] == ["stopped halfway"]


@pytest.mark.parametrize(
    ("others", "f1", "unmet"),
    [(2, 60.5, []), (3, 60.0, ["answers equal"]), (0, 60.6, ["F1 equal"])],
)
def test_answers_are_compared_with_those_on_the_cpu(check, others, f1, unmet):
    cpu = {"texts": ["Oslo"] * 100, "f1": 60.0}
    here = {"texts": ["Oslo"] * (100 - others) + ["Rome"] * others, "f1": f1}
    found = check("answers", cpu, here)
    assert (found["unmet"], found["equal_percent"]) == (unmet, 100 - others)
