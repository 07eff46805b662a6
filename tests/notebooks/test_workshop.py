"""The workshop keeps its promises: it fits the time, and what attendees write trains a reader."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import datasets
import nbformat
import pytest
import transformers

from src import tasks
from src.qa import QuestionAnswerer
from src.qa.background import process_of
from tools import minutes, run_notebooks

NOTEBOOK = run_notebooks.ROOT / "notebooks" / "workshop.ipynb"
CELLS = nbformat.read(NOTEBOOK, as_version=4).cells
CODE = [cell for cell in CELLS if cell.cell_type == "code"]
MARK = '%%writefile "{here}/'
FILES = {  # what an attendee writes: name -> source
    first.removeprefix(MARK).rstrip('"'): rest
    for first, _, rest in (cell.source.partition("\n") for cell in CODE)
    if first.startswith(MARK)
}


def test_it_fits_two_and_a_half_hours_with_a_question_to_the_room_every_fifteen_minutes():
    lesson = minutes.read(NOTEBOOK).total
    assert len(CELLS) <= 90
    assert (lesson.quizzes, lesson.exercises) == (3, 1)
    assert lesson.minutes + minutes.EXERCISE_MINUTES <= 150
    silent = 0.0
    for cell in CELLS:
        silent += minutes.seconds_to_teach(cell) / 60
        assert silent < 15, f"nobody is asked anything before {cell.id}"
        if {"room", "quiz", "exercise"} & set(minutes.tags_of(cell)):
            silent = 0.0


def test_every_notebook_is_linked_where_its_subject_comes_up():
    text = "\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")
    others = {path.name for path in NOTEBOOK.parent.glob("[0-9]*.ipynb")}
    assert all(f"]({name})" in text for name in others)


OWN = [  # cell, what it is given, what it says
    ("index-numbers", 'my_text = ""', "write 2 to 15 different words, not 0"),
    ("index-numbers", "my_text = 7", "the text is 7, which is no text; put it in quotes."),
    ("cbow-skip-gram", 'my_sentence = "на " * 900', "write 2 to 20 words, not 900"),
    ("rnn-unrolled", "my_order = []", "only ['i', 'have', 'a', 'dog']"),
    ("rnn-unrolled", 'my_order = ["<b>"]', "only ['i', 'have', 'a', 'dog']"),
]


@pytest.mark.parametrize(("cell_id", "line", "says"), OWN)
def test_what_cannot_be_used_gets_a_sentence(cell_id, line, says):
    (source,) = [cell.source for cell in CODE if cell.id == cell_id]
    name = line.partition(" ")[0]
    changed = re.sub(rf"^{name} = .*$", lambda _: line, source, count=1, flags=re.MULTILINE)
    assert changed != source
    with pytest.raises((ValueError, AssertionError)) as error:
        exec(changed, {})
    assert str(error.value) == says


@pytest.mark.parametrize("text", ["", 7, "word " * 999])
def test_a_writer_is_given_a_text_of_some_length_only(text):
    for judge in (tasks.sentiment, tasks.next_words):
        with pytest.raises(ValueError, match=r"is blank|is no text|characters; take 2,000"):
            judge(text, None)
    with pytest.raises(ValueError, match="the claim"):
        tasks.entailment("A fact.", text, None)


# --- the training that an attendee writes ---------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, source in FILES.items():
        (tmp_path / name).write_text(source)
    return tmp_path


def start(folder: Path, wanted: float) -> subprocess.Popen:
    """As the notebook's own cell starts it, for `wanted` minutes."""
    (cell,) = [cell for cell in CODE if "subprocess.Popen(" in cell.source]
    there = SimpleNamespace(minutes=lambda _: wanted, COURSE=run_notebooks.ROOT)
    names = {"runtime": there, "RUNS": folder, "process_of": process_of}
    names |= {"os": os, "sys": sys, "subprocess": subprocess}
    exec(cell.source, names)
    first = names["training"]
    exec(cell.source, names)  # a second time nothing is started
    assert names["training"] is first
    return first


@pytest.mark.timeout(700)
@pytest.mark.parametrize("stops", [False, True], ids=["by the clock", "by Ctrl-C"])
def test_its_files_train_a_reader_until_the_minutes_are_over_or_somebody_stops_it(folder, stops):
    process = start(folder, 30.0 if stops else 0.1)
    try:
        deadline = time.monotonic() + 600
        while stops and not (folder / "log.json").exists() and time.monotonic() < deadline:
            time.sleep(0.5)
        if stops:
            process.send_signal(signal.SIGINT)
        assert process.wait(max(1, deadline - time.monotonic())) == 0, (
            folder / "output.txt"
        ).read_text()[-2000:]
    finally:
        process.kill()
        process.wait()
    assert process_of(folder / "fine_tune.py") is None
    assert json.loads((folder / "mine" / "run.json").read_text()) == {"finished": True}
    last = json.loads((folder / "log.json").read_text())["log_history"][-1]
    assert stops or 6 <= last["seconds"] < 60
    reader = QuestionAnswerer.load(folder / "mine")
    assert reader("Who sleeps?", "The cat sleeps.", threshold=0).text in "The cat sleeps."


def test_the_learning_rate_follows_the_clock_up_and_down_to_nothing(monkeypatch):
    names: dict = {}
    exec(FILES["budget.py"], names)
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=100.0)
    names["time"] = clock
    budget, control = names["TimeBudget"](minutes=2), SimpleNamespace(should_training_stop=False)
    rates = []
    for clock.now in (100, 106, 112, 160, 219, 220, 500):
        rates.append(budget.rate())
        budget.on_step_end(None, None, control)
        assert control.should_training_stop == (clock.now >= 220)
    assert rates == pytest.approx([0, 0.5, 0.9, 0.5, 1 / 120, 0, 0])


def test_online_it_takes_bert_and_a_part_of_the_real_squad(monkeypatch):
    asked: list[str] = []
    rows = {"question": ["who?"] * 20_001, "context": ["she"] * 20_001}

    def load(name: str, split: str) -> datasets.Dataset:
        asked.append(f"{name} {split}")
        return datasets.Dataset.from_dict(rows)

    monkeypatch.setenv("COURSE_ONLINE", "1")
    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", asked.append)
    names: dict = {}
    exec(FILES["questions.py"], names)
    assert asked == ["rajpurkar/squad_v2 train", "bert-base-uncased"]
    assert len(names["squad"]) == 20_000 and names["RATE"] < 1e-4
