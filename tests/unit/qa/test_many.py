"""A file of questions answered by one process, several, or killed ones: the same answers."""

import errno
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from datasets import Dataset
from run_folders import refusal
from safetensors.torch import load_file, save_file

from src import runtime
from src.qa import many, processes
from src.qa.answerer import QuestionAnswerer
from src.qa.dataset import load_split
from src.qa.many import answer_many

SENTENCE = "oxygen is a chemical element with symbol ; cafe\u0301 北京 🙂 \u2028 found in 1771"
N = 116  # questions: 15 chunks of 8, the last of them smaller
SCRIPT = str(Path(__file__).with_name("answering_processes.py"))
FIELDS = ["id", "text", "start", "end", "score", "null_score"]


@pytest.fixture(scope="module", autouse=True)
def small_chunks() -> Iterator[None]:
    """As answering_processes.py has them: several rounds for few questions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many, "CHUNK", 8)
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """N questions without answers on passages of different lengths, some of several windows."""
    choose, words = random.Random(0), SENTENCE.split(" ")
    made = tmp_path_factory.mktemp("data") / "many questions.jsonl"
    with made.open("w", encoding="utf-8") as opened:
        for i in range(N):
            context = " ".join(choose.choices(words, k=choose.choice((3, 10, 30, 60, 120, 500))))
            question = f"What is {' '.join(choose.choices(words, k=choose.randrange(1, 6)))}?"
            row = {"id": f"q{i}", "question": question, "context": context}
            opened.write(json.dumps(row) + "\n")
    return made


@pytest.fixture(scope="module")
def asked(file) -> Dataset:
    return load_split([str(file)], "validation", answers=False)


@pytest.fixture(scope="module")
def threshold(asked, tiny_folder) -> float:
    """One that refuses some of the questions."""
    qa = QuestionAnswerer.load(tiny_folder, precision="fp32")
    scores = sorted(answer.score for answer in qa(asked["question"], asked["context"]))
    return (scores[N // 3] + scores[N // 3 + 1]) / 2


@pytest.fixture(scope="module")
def answer(asked, tiny_folder, threshold) -> Callable[..., dict]:
    """answer_many on one process, quietly; further arguments replace the usual ones."""

    def run(output: Path, **options) -> dict:
        usual = {"questions": asked, "model": tiny_folder, "threshold": threshold}
        return answer_many(output=output, **usual | {"report": lambda progress: None} | options)

    return run


@pytest.fixture(scope="module")
def alone(answer, tmp_path_factory) -> SimpleNamespace:
    """What one process makes of it: the output, its lines, and what was reported."""
    output, reports = tmp_path_factory.mktemp("alone") / "answers.jsonl", []
    done = answer(output, report=reports.append)
    return SimpleNamespace(output=output, done=done, lines=lines_of(output), reports=reports)


@pytest.fixture
def refused(answer) -> Callable[..., str]:
    return partial(refusal, answer)


def lines_of(output: Path) -> list[dict]:
    return [json.loads(line) for line in output.read_bytes().splitlines()]


def assert_same(output: Path, expected: list[dict]) -> None:
    """Equal answers, and scores within 0.001."""
    lines = lines_of(output)
    for name in FIELDS:
        values = [line[name] for line in expected]
        equal = pytest.approx(values, abs=0.001) if "score" in name else values
        assert [line[name] for line in lines] == equal


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != processes.LOCK}


# --- one process ------------------------------------------------------------------------------


def test_there_is_a_line_for_every_question_in_order(alone, asked, threshold):
    assert [line["id"] for line in alone.lines] == list(asked["id"])
    assert all(list(line) == FIELDS for line in alone.lines)
    content = alone.output.read_text(encoding="utf-8")
    assert content.endswith("}\n") and "北京" in content
    for line, context in zip(alone.lines, asked["context"], strict=True):
        assert line["text"] == context[line["start"] : line["end"]]
        assert 0 <= line["score"] <= line["score"] + line["null_score"] <= 1 + 2e-6
    refused = [line for line in alone.lines if line["score"] < threshold]
    assert 20 < len(refused) < 60 and alone.done["answered"] == N - len(refused)
    assert all((line["text"], line["start"], line["end"]) == ("", 0, 0) for line in refused)


def test_answers_and_scores_are_those_of_the_answerer(
    answer, asked, tiny_folder, threshold, tmp_path, monkeypatch
):
    monkeypatch.setattr(many, "_precision", lambda device: "fp32")
    answer(tmp_path / "answers.jsonl")
    qa = QuestionAnswerer.load(tiny_folder, threshold, precision="fp32")
    together = qa(asked["question"], asked["context"])
    expected = [{name: getattr(a, name) for name in FIELDS[1:]} for a in together]
    ids = [{"id": question_id} for question_id in asked["id"]]
    assert_same(tmp_path / "answers.jsonl", [a | b for a, b in zip(ids, expected, strict=True)])


def test_a_call_says_what_it_did_and_how_far_it_is(alone):
    done = alone.done
    about = {"output": str(alone.output), "questions": N, "found": 0, "processes": 1}
    assert about.items() <= done.items()
    assert done["seconds"] > 0 and done["questions_per_second"] >= N / done["seconds"]
    steps = [(progress["step"], progress["steps"]) for progress in alone.reports]
    assert steps == [(step, 15) for step in range(1, 16)]
    assert all(told["planned_seconds"] >= told["seconds"] - 1e-6 for told in alone.reports)
    assert runtime.progress_line(alone.reports[0]).startswith("answering · step 1 of 15 · ")


def test_no_questions_are_one_line(refused, asked, tmp_path):
    assert "no questions" in refused(tmp_path / "answers.jsonl", questions=asked.select([]))
    assert list(tmp_path.iterdir()) == []


# --- asked for a second time ------------------------------------------------------------------


def test_a_finished_file_is_returned_without_computing(answer, alone, monkeypatch):
    assert names(alone.output.parent) == {"answers.jsonl", "answers.jsonl.parts"}
    before = alone.output.stat().st_mtime_ns
    monkeypatch.setattr(many, "_answer", lambda *args: pytest.fail("it computed"))
    again = answer(alone.output)
    about = {"questions": N, "answered": alone.done["answered"], "found": N}
    assert (about | {"questions_per_second": 0}).items() <= again.items()
    assert alone.output.stat().st_mtime_ns == before


def test_a_finished_file_that_was_changed_since_is_left_alone(answer, refused, alone, tmp_path):
    output = shutil.copytree(alone.output.parent, tmp_path / "run") / "answers.jsonl"
    output.write_bytes(changed := alone.output.read_bytes() + b"\n")
    assert f"{output} does not hold these answers" in refused(output)
    assert output.read_bytes() == changed
    output.unlink()
    assert answer(output)["found"] == N
    assert_same(output, alone.lines)


def test_a_file_of_somebody_else_is_left_alone(answer, refused, alone, tmp_path):
    output = tmp_path / "answers.jsonl"
    output.write_text("mine")
    assert f"{output} is there already and not from this command" in refused(output)
    assert names(tmp_path) == {"answers.jsonl"}
    output.unlink()
    # Or one that appears meanwhile.
    assert "somebody else" in refused(output, report=lambda progress: output.write_text("mine"))
    assert output.read_text() == "mine"
    output.unlink()
    assert answer(output)["found"] == N
    assert_same(output, alone.lines)


def test_a_second_command_on_the_same_output_is_refused_until_the_first_has_ended(
    answer, refused, alone, tmp_path
):
    output, seen = tmp_path / "answers.jsonl", []

    def meanwhile(progress: dict) -> None:
        if progress["step"] == 1:
            seen.append(refused(output))

    answer(output, report=meanwhile)
    who = f"another process (pid {os.getpid()}) is answering into {output}"
    assert seen == [f"{who}; wait for it, stop it, or choose another output."]
    assert_same(output, alone.lines)


def test_a_place_that_cannot_be_written_to_is_one_line(refused, tmp_path):
    (tmp_path / "text").write_text("mine")
    assert "is a folder; name a file" in refused(tmp_path)
    says = refused(tmp_path / "text" / "answers.jsonl")
    assert "cannot be written (Not a directory)" in says


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_or_a_denied_permission_is_one_line_and_what_is_finished_stays(
    answer, refused, alone, tmp_path, monkeypatch, number
):
    open_file, writes = Path.open, []

    def open_until_full(path: Path, mode: str = "r", *args: object, **options: object):
        writes.extend(["another"] if mode == "ab" else [])
        if len(writes) > 4:
            raise OSError(number, os.strerror(number))
        return open_file(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", open_until_full)
    says = f"answers.jsonl cannot be written ({os.strerror(number)}); make room"
    assert says in refused(tmp_path / "answers.jsonl")
    assert not (tmp_path / "answers.jsonl").exists()
    monkeypatch.undo()
    assert answer(tmp_path / "answers.jsonl")["found"] == 4 * 8
    assert_same(tmp_path / "answers.jsonl", alone.lines)


# --- what a kill leaves -----------------------------------------------------------------------


@pytest.fixture
def half_done(answer, tmp_path) -> SimpleNamespace:
    """A run that was stopped after five of its fifteen chunks."""

    def stop(progress: dict) -> None:
        if progress["step"] == 5:
            raise KeyboardInterrupt

    output = tmp_path / "run" / "answers.jsonl"
    with pytest.raises(KeyboardInterrupt):
        answer(output, report=stop)
    parts = output.with_name("answers.jsonl.parts")
    return SimpleNamespace(output=output, parts=parts, answers=parts / many.ANSWERS)


def test_what_is_finished_is_not_computed_again(half_done, answer, alone, monkeypatch):
    assert not half_done.output.exists()
    computed, compute = [], many._answer

    def noted(rows: dict, qa: QuestionAnswerer) -> list[dict]:
        computed.extend(rows["id"])
        return compute(rows, qa)

    monkeypatch.setattr(many, "_answer", noted)
    assert answer(half_done.output)["found"] == 5 * 8
    assert computed == [line["id"] for line in alone.lines][40:]
    assert_same(half_done.output, alone.lines)


@pytest.mark.parametrize("last_line", [b'{"id": "q39", "', b"\xff" * 50, b""])
def test_a_chunk_that_was_cut_off_is_computed_again_as_a_whole(half_done, answer, alone, last_line):
    lines = half_done.answers.read_bytes().splitlines()
    half_done.answers.write_bytes(b"\n".join([*lines[:-1], last_line]))
    assert answer(half_done.output)["found"] == 4 * 8
    assert_same(half_done.output, alone.lines)


def test_other_arguments_are_refused_by_name(
    half_done, refused, asked, threshold, tiny_folder, tmp_path
):
    model = shutil.copytree(tiny_folder, tmp_path / "model")
    state = load_file(model / "model.safetensors")
    state["qa_outputs.weight"][0, 0] += 1e-6
    save_file(state, model / "model.safetensors", metadata={"format": "pt"})
    rows = asked.to_list()
    rows[7]["question"] += "?"
    before = half_done.answers.read_bytes()
    mine = f"threshold={threshold!r}, and this one has threshold={threshold + 0.1!r}"
    for options, says in (
        ({"threshold": threshold + 0.1}, mine),
        ({"model": model}, "model='sha256 "),
        ({"questions": Dataset.from_list(rows)}, f"questions='{N} questions, sha256 "),
        ({"questions": asked.select(range(100))}, "this one has questions='100 questions, sha256 "),
    ):
        line = refused(half_done.output, **options)
        assert str(half_done.parts) in line and says in line
        assert "choose another output, or delete that folder and the output" in line
    assert half_done.answers.read_bytes() == before


@pytest.mark.parametrize("broken", ["", "[]"])
def test_a_record_that_cannot_be_read_is_one_line(half_done, answer, broken):
    (half_done.parts / many.RUN).write_text(broken)
    with pytest.raises(ValueError, match=r"run\.json (is damaged|holds a list)"):
        answer(half_done.output)


def test_processes_that_have_not_the_same_files_are_refused(refused, tmp_path, monkeypatch):
    theirs = {"model": "sha256 of another"}
    monkeypatch.setattr(many, "gather_object", lambda mine: [*mine, mine[0] | theirs])
    says = "process 1 has model='sha256 of another', and this one has model='sha256 "
    assert says in refused(tmp_path / "answers.jsonl")
    assert list(tmp_path.iterdir()) == []


# --- several processes ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def start(course, file, tiny_folder, threshold) -> Callable[..., subprocess.Popen]:
    """Answers the file by `launcher` in a clean environment."""
    prefixes = ("COURSE_", "HF_", "TRANSFORMERS_", "TOKENIZERS_", "PYTHON")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}

    def run(launcher: str, output: Path, data=file, model=tiny_folder, **environment: str):
        options = ["--data", data, "--model", model, "--threshold", threshold, "--output", output]
        command = [sys.executable, "-m", *launcher.split(), SCRIPT, "answer", *options, "--json"]
        return subprocess.Popen(
            [*map(str, command)],
            cwd=course,
            env=clean | {"OMP_NUM_THREADS": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


@pytest.fixture(scope="module")
def launch(start) -> Callable[..., SimpleNamespace]:
    """torchrun with `n` processes; returns status, out, err, and who answered chunks."""

    def run(n: int, *args: object, **options) -> SimpleNamespace:
        # standalone: on any free port, for two tests may run at a time
        torchrun = f"torch.distributed.run --standalone --nproc-per-node {n}"
        process = start(torchrun, *args, **options)
        out, err = process.communicate(timeout=300)
        who = [line.split()[-1] for line in err.splitlines() if line.startswith("chunk by ")]
        return SimpleNamespace(status=process.returncode, out=out.splitlines(), err=err, who=who)

    return run


@pytest.fixture(scope="module")
def killed(launch, tmp_path_factory) -> SimpleNamespace:
    """Two processes; the second kills itself in the third round. Do not write to its folder."""
    folder = tmp_path_factory.mktemp("killed")
    return SimpleNamespace(folder=folder, **vars(launch(2, folder / "answers.jsonl", KILL="1 3")))


@pytest.mark.full
@pytest.mark.parametrize("n", [2, 3])
def test_several_processes_share_the_work_and_give_the_answers_of_one(launch, alone, tmp_path, n):
    done = launch(n, tmp_path / "answers.jsonl")
    assert done.status == 0, done.err
    assert_same(tmp_path / "answers.jsonl", alone.lines)
    assert len(done.who) == 15, "every chunk is answered by one process only"
    assert {done.who.count(str(rank)) for rank in range(n)} <= {15 // n, 15 // n + 1}
    kept = ("questions", "found", "answered", "precision", "threshold")
    expected = {name: alone.done[name] for name in kept} | {"processes": n}
    assert expected.items() <= json.loads(done.out[-1]).items()
    assert any(line.startswith("answering · step ") for line in done.out)
    assert "Traceback" not in done.err
    assert names(tmp_path) == {"answers.jsonl", "answers.jsonl.parts"}


def test_a_killed_process_ends_the_command_with_a_sentence_and_no_output(killed):
    assert killed.status != 0 and not (killed.folder / "answers.jsonl").exists()
    gone = "error: another process of this command has ended, or this one was told to;"
    assert killed.err.count(gone) == 1
    parts = killed.folder / "answers.jsonl.parts"
    goes_on = f"kept in {parts}: the same command, on any number of processes, goes on from there."
    assert goes_on in killed.err and killed.who.count("1") == 2


def test_three_processes_finish_what_two_began(killed, launch, alone, tmp_path):
    output = shutil.copytree(killed.folder, tmp_path / "run") / "answers.jsonl"
    done = launch(3, output)
    assert done.status == 0, done.err
    assert_same(output, alone.lines)
    told = json.loads(done.out[-1])
    assert (told["found"], told["processes"], told["answered"]) == (32, 3, alone.done["answered"])
    assert sorted(map(done.who.count, "012")) == [3, 4, 4], "each chunk by one process only"


@pytest.mark.full
@pytest.mark.parametrize("kill", ["0 2", "2 1"])
def test_whichever_process_is_killed_the_command_ends_and_any_number_goes_on(
    launch, alone, tmp_path, kill
):
    first = launch(3, tmp_path / "answers.jsonl", KILL=kill)
    assert first.status != 0 and not (tmp_path / "answers.jsonl").exists(), first.err
    second = launch(2, tmp_path / "answers.jsonl")
    assert second.status == 0, second.err
    assert_same(tmp_path / "answers.jsonl", alone.lines)


@pytest.mark.full
def test_the_released_reader_gives_two_processes_the_answers_of_one(launch, threshold, tmp_path):
    asked = load_split(["course"], "validation", answers=False).select(range(100))
    data, alone = tmp_path / "questions.jsonl", tmp_path / "alone.jsonl"
    asked.select_columns(["id", "question", "context"]).to_json(data)
    answer_many(asked, alone, "qa-minilm", threshold, lambda progress: None)
    cache = {"COURSE_CACHE": str(runtime.cache())}
    done = launch(2, tmp_path / "answers.jsonl", data, "qa-minilm", **cache)
    assert done.status == 0, done.err
    assert_same(tmp_path / "answers.jsonl", lines_of(alone))
    assert json.loads(done.out[-1])["answered"] > 0


# --- accelerate, several hosts ----------------------------------------------------------------


@pytest.mark.parametrize(("name", "hosts"), [("one_host.yaml", 1), ("two_hosts.yaml", 2)])
def test_accelerate_reads_the_configurations_that_the_readme_names(course, name, hosts):
    from accelerate.commands.config.config_args import ClusterConfig

    file = f"docs/accelerate/{name}"
    config = ClusterConfig.from_yaml_file(str(course / file))  # refuses keys it does not know
    found = (config.num_machines, config.machine_rank, config.distributed_type)
    assert found == (hosts, 0, "MULTI_GPU")
    assert config.num_processes % hosts == 0 and config.mixed_precision == "no"
    assert (config.main_process_ip is not None) == (hosts > 1)
    assert file in (course / "README.md").read_text(encoding="utf-8")


@pytest.mark.full
@pytest.mark.parametrize("hosts", [1, 2])
def test_the_configurations_start_two_processes_by_one_launcher_or_two(
    start, alone, tmp_path, hosts
):
    """Two launchers here play two hosts, with folders of their own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = "docs/accelerate/one_host.yaml"
    if hosts == 2:
        config = "docs/accelerate/two_hosts.yaml --main_process_ip 127.0.0.1"
    command = f"accelerate.commands.launch --config_file {config} --num_processes 2"
    command += f" --main_process_port {port}"
    running = [
        start(
            f"{command} --machine_rank {rank}" if hosts == 2 else command,
            tmp_path / str(rank) / "answers.jsonl",
        )
        for rank in range(hosts)
    ]
    told = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0] * hosts, told
    assert json.loads(told[0][0].splitlines()[-1])["processes"] == 2
    assert_same(tmp_path / "0" / "answers.jsonl", alone.lines)
    assert all(out == "" for out, _ in told[1:]) and not (tmp_path / "1").exists()
