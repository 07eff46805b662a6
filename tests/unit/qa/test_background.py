"""A training in a process of its own: watched, joined a second time, stopped with a model."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from src.qa.background import find_in_background, train_in_background
from src.qa.models import load_model


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    context = "The lighthouse of Marrow Point was built in 1874 by Clara Voss."
    qas = [
        {
            "id": str(i),
            "question": f"Who built lighthouse number {i}?",
            "answers": [{"text": "Clara Voss", "answer_start": context.index("Clara")}],
        }
        for i in range(64)
    ]
    file = tmp_path / "questions.json"
    file.write_text(
        json.dumps(
            {
                "version": "1.1",
                "data": [{"title": "Lighthouse", "paragraphs": [{"context": context, "qas": qas}]}],
            }
        )
    )
    return file


@pytest.mark.timeout(120)
def test_it_runs_beside_is_joined_and_stops_with_a_usable_model(tiny_folder, questions, tmp_path):
    folder = tmp_path / "run"
    beside = train_in_background(folder, data=questions, model=tiny_folder, epochs=5000)
    try:
        deadline = time.monotonic() + 90
        while beside.progress.get("step", 0) < 3 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert beside.is_running and beside.progress["phase"] == "training"
        assert (
            train_in_background(folder, data=questions, model=tiny_folder, epochs=5000).process_id
            == beside.process_id
        )
        assert find_in_background(folder).process_id == beside.process_id
    finally:
        beside.stop()
    assert not beside.is_running and not find_in_background(folder).is_running
    assert find_in_background(tmp_path / "never started") is None
    assert beside.progress["phase"] == "stopped", (folder / "train.log").read_text()
    assert json.loads((folder / "run.json").read_text())["finished"] is False
    load_model(folder)
