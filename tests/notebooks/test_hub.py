"""Online, the names of the Hub work as they say, against a stand-in on 127.0.0.1.

Where it is slow, cut off, or shows an error page, one sentence offers the way without it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import nbformat
import pytest
import safetensors.torch
from datasets import Dataset, DatasetDict, concatenate_datasets

from src import runtime
from src.qa import load_squad
from src.qa.readers import read_file
from tests.hub import TOKEN, Hub, serving, squad_files, tiny_bert
from tools import run_notebooks

ROOT = run_notebooks.ROOT
REAL = ROOT.parent / "shared" / "data" / "squad_dev"  # during development, SQuAD's own questions
PUSHED = "me/my-reader"


def questions(train: int) -> DatasetDict:
    """Of SQuAD's form, and its own where they are at hand, again and again up to `train`."""
    if REAL.is_dir():
        files = {"train": "squad2_dev_train", "validation": "squad2_dev_dev"}
        parts = {split: read_file(REAL / f"{file}.json") for split, file in files.items()}
    else:
        parts = load_squad("course")
    counts = {"train": train, "validation": 500}
    return DatasetDict({split: repeated(parts[split], n, split) for split, n in counts.items()})


def repeated(rows: Dataset, count: int, split: str) -> Dataset:
    """So many rows with ids of their own."""
    many = concatenate_datasets([rows] * -(-count // len(rows))).select(range(count))
    ids = [f"{split}-{number}" for number in range(count)]
    return many.remove_columns("id").add_column("id", ids).select_columns(rows.column_names)


@pytest.fixture(scope="module")
def repositories(tmp_path_factory) -> dict[str, dict[str, bytes]]:
    few = questions(64)
    few["validation"] = few["validation"].select(range(40))
    some = few.filter(lambda row: bool(row["answers"]["text"]))
    bert = tiny_bert(tmp_path_factory.mktemp("hub") / "bert", few["train"]["context"])
    return {
        "models/google-bert/bert-base-uncased": bert,
        "datasets/rajpurkar/squad": squad_files(some),
        "datasets/rajpurkar/squad_v2": squad_files(few),
    }


@pytest.fixture
def hub(repositories) -> Iterator[Hub]:
    with serving(repositories) as hub:
        yield hub


@pytest.fixture
def online(hub, clean_environment, tmp_path) -> dict[str, str]:
    """An environment that is online, knows the stand-in for the Hub, and has nothing from it."""
    settings = {"COURSE_ONLINE": "1", "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf")}
    settings |= {"HF_DATASETS_CACHE": str(tmp_path / "sets"), "HF_TOKEN": TOKEN}
    return clean_environment | settings | {"COURSE_CACHE": str(runtime.cache())}


def python(environment: Mapping[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    options = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True}
    return subprocess.run([sys.executable, *command], **options)


@pytest.mark.timeout(900)
def test_one_command_trains_on_squad_and_uploads_and_another_asks_what_was_uploaded(
    hub, online, tmp_path
):
    train = "-m src.qa train --data squad --model bert-base-uncased --epochs 1 --json"
    where = ["--output-dir", str(tmp_path / "run"), "--push-to-hub", PUSHED]
    result = python(online, *train.split(), *where)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["finished"]
    uploaded = hub.repositories[f"models/{PUSHED}"]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(uploaded)
    weights = safetensors.torch.load(uploaded["model.safetensors"])
    for name, kept in safetensors.torch.load_file(tmp_path / "run" / "model.safetensors").items():
        assert weights[name].equal(kept.float()), name  # kept in half of the bytes
    evaluate = f"-m src.qa evaluate --data squad_v2 --model {PUSHED} --json"
    result = python(online, *evaluate.split())
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["total"] == 40
    fetched = {line.split()[1] for line in hub.asked if line.endswith(".parquet")}
    assert {re.search("squad(_v2)?/", path)[0] for path in fetched} == {"squad/", "squad_v2/"}


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["", "slow", "error page", "nothing there"])
def test_set_up_says_that_the_hub_does_not_answer_and_goes_on_without_it(
    hub, monkeypatch, capsys, fault
):
    monkeypatch.setattr(runtime, "HUB_SECONDS", 0.5)
    monkeypatch.setenv("COURSE_ONLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    if fault == "nothing there":
        hub.server_close()
    hub.fault = fault
    runtime.start()
    said = capsys.readouterr().out
    assert runtime.is_online() == (not fault) == (not said)
    assert not fault or (said.count("\n") == 1 and "you go on without it" in said)


ON_COLAB = [("Tesla T4", None, True), ("Tesla T4", "0", False), (runtime.NO_GPU, None, False)]


@pytest.mark.parametrize(("gpu", "own", "is_on"), ON_COLAB)
def test_colab_with_a_gpu_is_online(hub, monkeypatch, gpu, own, is_on):
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    monkeypatch.setattr(runtime, "gpu_name", lambda: gpu)
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("COURSE_ONLINE", own or "")
    if own is None:
        monkeypatch.delenv("COURSE_ONLINE")
    runtime.start()
    assert runtime.is_online() == is_on
    monkeypatch.setenv("COURSE_ONLINE", "")  # so that it is put back


ASK = """
from src import runtime; runtime.start()
from datasets import load_dataset
from src.qa import load_squad, runs
from types import SimpleNamespace
def go(what, *given):
    try:
        with runtime.hub():
            what(*given)
    except Exception as error:
        print(error)
go(load_dataset, "rajpurkar/squad_v2")
go(load_squad, "squad")
go(runs.publish, SimpleNamespace(output_dir="weights/qa-student"), "me/my-reader")
"""


@pytest.mark.timeout(300)
def test_what_is_cut_off_or_wants_a_login_is_one_sentence_that_offers_the_way_without(hub, online):
    hub.fault = "cut off"
    result = python(online | {"HF_TOKEN": ""}, "-c", ASK)
    said = result.stdout.splitlines()
    assert len(said) == 3, result.stdout + result.stderr
    assert all(line.startswith("The Hugging Face Hub did not do what was asked (") for line in said)
    assert all('os.environ["COURSE_ONLINE"] = "0"' in line for line in said)
    assert "squad: `datasets` cannot load it here" in said[1] and "log in with" in said[2]


# --- notebooks ------------------------------------------------------------------------------------


def executed(name: str, environment: Mapping[str, str], monkeypatch, folder: Path, keep=None):
    """The notebook's cells, run in fast mode; `keep` chooses some of them by id."""
    for variable in set(os.environ) - set(environment):
        monkeypatch.delenv(variable)
    for variable, value in (environment | {"COURSE_FAST": "1"}).items():
        monkeypatch.setenv(variable, value)
    path = ROOT / "notebooks" / f"{name}.ipynb"
    content = nbformat.read(path, as_version=4)
    if keep:
        content.cells = [cell for cell in content.cells if cell.id in keep]
    for cell in content.cells:
        cell.source = cell.source.replace('HUB_NAME = ""', f'HUB_NAME = "{PUSHED}"')
    run_notebooks.execute(content, path, folder, cell_seconds=300)
    return content.cells


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["workshop", "08_bert_squad"])
def test_a_notebook_that_is_online_learns_from_bert_and_squad(
    hub, online, monkeypatch, tmp_path, name
):
    hub.repositories["datasets/rajpurkar/squad_v2"] = squad_files(questions(20_001))
    cells = executed(name, online, monkeypatch, tmp_path)
    text = "".join(out.get("text", "") for cell in cells for out in cell.get("outputs", ()))
    assert "without it" not in text and "shipped result" not in text
    fetched = [line for line in hub.asked if line.startswith("GET")]
    for file in ("squad_v2/resolve", "bert-base-uncased/resolve"):
        assert any(file in line for line in fetched)
    if name == "08_bert_squad":
        assert "'train': 20000" in text
        assert {"model.safetensors", "tokenizer.json"} <= set(hub.repositories[f"models/{PUSHED}"])


@pytest.mark.full
@pytest.mark.timeout(600)
def test_the_workshop_says_why_its_training_ended_where_the_hub_is_cut_off(
    hub, online, monkeypatch, tmp_path
):
    hub.fault = "cut off"
    ids = "set-up training-folder questions-file windows-file model-file budget-file"
    ids = f"{ids} fine-tune-file start training-curve question-to-answer"
    cells = {
        cell.id: cell for cell in executed("workshop", online, monkeypatch, tmp_path, ids.split())
    }
    said = "".join(out.get("text", "") for out in cells["training-curve"].outputs)
    assert "ended early" in said and 'os.environ["COURSE_ONLINE"]' in " ".join(said.split())
    assert "shipped result" in cells["question-to-answer"].outputs[0].text
