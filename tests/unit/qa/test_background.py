"""A training in a process of its own: watched, joined a second time, stopped with a model."""

import json
import time

import pytest

from src.qa.background import (
    BackgroundRun,
    find_in_background,
    print_failure,
    train_in_background,
)
from src.qa.models import load_model
from src.qa.runs import PROGRESS, load_run


@pytest.mark.timeout(120)
def test_it_runs_beside_is_joined_and_stops_with_a_usable_model(
    tiny_folder, harbour_file, tmp_path
):
    folder, options = tmp_path / "run", {"data": harbour_file, "model": tiny_folder, "epochs": 5000}
    beside = train_in_background(folder, **options)
    try:
        deadline = time.monotonic() + 90
        while beside.progress.get("step", 0) < 3 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert beside.is_running and beside.progress["phase"] == "training"
        assert train_in_background(folder, **options).process_id == beside.process_id
        assert find_in_background(folder).process_id == beside.process_id
    finally:
        beside.stop()
    assert not beside.is_running and not find_in_background(folder).is_running
    assert find_in_background(tmp_path / "never started") is None
    assert beside.progress["phase"] == "stopped", (folder / "train.log").read_text()
    assert load_run(folder).finished is False
    load_model(folder)


def test_the_progress_of_a_run_beside_is_found_by_its_process(tmp_path):
    for name, process in (("live", 1), ("live-2", 7), ("live-x", 7)):
        (tmp_path / name).mkdir()
        (tmp_path / name / PROGRESS).write_text(json.dumps({"process": process, "step": name}))
    assert BackgroundRun(tmp_path / "live", 7).progress["step"] == "live-2"
    assert BackgroundRun(tmp_path / "live", 8).progress == {}


def test_the_error_that_ended_a_script_is_said_and_nothing_else(tmp_path, capsys):
    script, error = tmp_path / "fine_tune.py", "Traceback (most recent call last):\n  ...\n"
    print_failure(script)
    for text in ("step 1\n", f"{error}RuntimeError: no Hub\n"):
        (tmp_path / "output.txt").write_text(text)
        print_failure(script)
    assert capsys.readouterr().out == "It ended early. RuntimeError: no Hub\n"
