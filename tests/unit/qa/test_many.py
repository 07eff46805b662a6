"""A file of questions answered by one process, by several, and by several that are killed: always the same bytes."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file

from src import runtime
from src.qa import many, processes
from src.qa.__main__ import main
from src.qa.answerer import QuestionAnswerer
from src.qa.dataset import load_squad
from src.qa.many import Answered, answer_many, chunk_size
from src.qa.processes import RunError

WORDS = ("oxygen", "is", "a", "chemical", "element", "with", "symbol", ";", "cafe\u0301", "北京", "🙂", "\u2028", "found", "in", "1771")
N = 120  # questions: 15 chunks of 8
FIELDS = ["id", "text", "start", "end", "score", "null_score"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQuAD file of N questions on passages of very different lengths, some of several windows, without answers."""
    choose = random.Random(0)
    paragraphs = []
    for i in range(N // 2):
        context = " ".join(choose.choice(WORDS) for _ in range(choose.choice((3, 10, 30, 60, 120, 500))))
        questions = [f"What is {' '.join(choose.choices(WORDS, k=choose.randrange(1, 6)))}?" for _ in (0, 1)]
        qas = [{"id": f"q{i}-{k}", "question": q, "answers": [], "is_impossible": True} for k, q in enumerate(questions)]
        paragraphs.append({"context": context, "qas": qas})
    choose.shuffle(paragraphs)
    made = tmp_path_factory.mktemp("data") / "many questions.json"
    made.write_text(json.dumps({"version": "v2.0", "data": [{"title": "Oxygen", "paragraphs": paragraphs}]}), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def asked(file: Path) -> Dataset:
    return load_squad(file)["train"]


@pytest.fixture(scope="module")
def threshold(asked: Dataset, tiny_folder: Path) -> float:
    """One that refuses some of the questions."""
    scores = sorted(answer.score for answer in QuestionAnswerer.load(tiny_folder)(asked["question"], asked["context"]))
    return round(scores[N // 3], 3)


@pytest.fixture(scope="module")
def answer(asked: Dataset, tiny_folder: Path, threshold: float) -> Callable[..., Answered]:
    """answer_many on one process, quietly; further arguments replace the usual ones."""

    def run(output: Path, **options) -> Answered:
        usual = {"questions": asked, "model": tiny_folder, "threshold": threshold, "report": lambda progress: None}
        return answer_many(output=output, **usual | options)

    return run


@pytest.fixture(scope="module")
def alone(answer: Callable[..., Answered], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What one process makes of it: the output's bytes, its lines, and what was reported."""
    output, reports = tmp_path_factory.mktemp("alone") / "answers.jsonl", []
    done = answer(output, report=lambda progress: reports.append(dict(progress)))
    whole = output.read_bytes()
    return SimpleNamespace(output=output, done=done, bytes=whole, lines=[json.loads(line) for line in whole.splitlines()], reports=reports)


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != processes.LOCK}


# ---------------------------------------------------------------------------------------------------------------- one process


def test_there_is_a_line_for_every_question_in_order(alone, asked):
    assert [line["id"] for line in alone.lines] == asked["id"]
    assert all(list(line) == FIELDS for line in alone.lines)
    assert alone.bytes.endswith(b"}\n") and "北京" in alone.bytes.decode()
    for line, context in zip(alone.lines, asked["context"], strict=True):
        assert line["text"] == context[line["start"] : line["end"]]
        assert 0 <= line["score"] <= line["score"] + line["null_score"] <= 1 + 2e-6


def test_answers_are_those_of_the_answerer_asked_chunk_by_chunk(alone, asked, tiny_folder, threshold):
    qa = QuestionAnswerer.load(tiny_folder, threshold, precision=alone.done.precision)
    with runtime.one_thread():
        for i in range(0, N, 8):
            rows = asked[i : i + 8]
            for line, found in zip(alone.lines[i : i + 8], qa(rows["question"], rows["context"]), strict=True):
                assert (line["text"], line["start"], line["end"]) == (found.text, found.start, found.end)
                assert (line["score"], line["null_score"]) == (round(found.score, 6), round(found.null_score, 6))


def test_asked_all_together_in_full_precision_the_answerer_says_the_same(answer, asked, tiny_folder, threshold, tmp_path, monkeypatch):
    monkeypatch.setattr(many, "_precision", lambda device: "fp32")
    answer(tmp_path / "answers.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_bytes().splitlines()]
    together = QuestionAnswerer.load(tiny_folder, threshold, precision="fp32")(asked["question"], asked["context"])
    assert [line["text"] for line in lines] == [found.text for found in together]
    assert [line["score"] for line in lines] == pytest.approx([found.score for found in together], abs=1e-5)


def test_questions_below_the_threshold_are_refused_and_counted(alone, threshold):
    refused = [line for line in alone.lines if line["score"] < threshold]
    assert 20 < len(refused) < 60
    assert all((line["text"], line["start"], line["end"]) == ("", 0, 0) for line in refused)
    assert alone.done.answered == N - len(refused)


def test_a_call_says_what_it_did_and_cost(alone):
    done = alone.done
    assert (done.output, done.questions, done.found, done.processes) == (alone.output, N, 0, 1)
    assert done.seconds > 0 and done.questions_per_second >= N / done.seconds


def test_progress_is_reported_chunk_by_chunk(alone):
    assert [progress["step"] for progress in alone.reports] == [*range(1, 16), 15]
    assert [progress["phase"] for progress in alone.reports] == ["answering"] * 15 + ["finished"]
    assert {progress["steps"] for progress in alone.reports} == {15}
    assert all(progress["planned_seconds"] >= progress["seconds"] - 1e-6 for progress in alone.reports)
    assert runtime.progress_line(alone.reports[0]).startswith("answering · step 1 of 15 · ")


@pytest.mark.parametrize(("questions", "expected"), [(1, 8), (30, 8), (256, 8), (257, 9), (2000, 63), (8192, 256), (10**6, 256)])
def test_chunks_are_cut_by_the_number_of_questions(questions, expected):
    assert chunk_size(questions) == expected


def test_a_process_computes_on_one_core_whatever_was_set_before(answer, alone, tmp_path, monkeypatch):
    seen, lines = set(), many._lines
    monkeypatch.setattr(many, "_lines", lambda *args: seen.add(torch.get_num_threads()) or lines(*args))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        answer(tmp_path / "answers.jsonl")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == {1}
    assert (tmp_path / "answers.jsonl").read_bytes() == alone.bytes


def test_no_questions_are_one_line(answer, asked, tmp_path):
    with pytest.raises(RunError) as error:
        answer(tmp_path / "answers.jsonl", questions=asked.select([]))
    assert "no questions" in one_line(error) and list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------------- asked for a second time


def test_a_finished_file_is_returned_without_computing(answer, alone, monkeypatch):
    assert names(alone.output.parent) == {"answers.jsonl", "answers.jsonl.parts"}
    assert names(alone.output.parent / "answers.jsonl.parts") == {many.PLAN}
    before = alone.output.stat().st_mtime_ns
    monkeypatch.setattr(many, "_lines", lambda *args: pytest.fail("it computed"))
    reports: list[dict] = []
    again = answer(alone.output, report=reports.append)
    assert (again.questions, again.answered, again.found, again.questions_per_second) == (N, alone.done.answered, N, 0)
    assert [progress["phase"] for progress in reports] == ["finished"]
    assert alone.output.stat().st_mtime_ns == before


def test_a_finished_file_that_was_changed_since_is_left_alone(answer, alone, tmp_path):
    shutil.copytree(alone.output.parent, tmp_path / "run")
    output = tmp_path / "run" / "answers.jsonl"
    output.write_bytes(alone.bytes + b"\n")
    with pytest.raises(RunError) as error:
        answer(output)
    assert f"{output} was changed since it was written" in one_line(error)
    assert output.read_bytes() == alone.bytes + b"\n"
    output.unlink()
    assert answer(output).found == 0 and output.read_bytes() == alone.bytes


def test_a_file_of_somebody_else_is_left_alone(answer, tmp_path):
    output = tmp_path / "answers.jsonl"
    output.write_text("mine")
    with pytest.raises(RunError) as error:
        answer(output)
    assert f"{output} is there already and not from this command" in one_line(error)
    assert (output.read_text(), names(tmp_path)) == ("mine", {"answers.jsonl"})


def test_a_file_that_somebody_put_there_meanwhile_is_left_alone(answer, alone, tmp_path):
    output = tmp_path / "answers.jsonl"
    with pytest.raises(RunError) as error:
        answer(output, report=lambda progress: output.write_text("mine"))
    assert f"{output} was made by somebody else" in one_line(error) and output.read_text() == "mine"
    output.unlink()
    assert answer(output).found == N and output.read_bytes() == alone.bytes


@pytest.mark.parametrize(
    ("name", "says"), [("", "is a folder; name a file"), ("text/answers.jsonl", "cannot be written (Not a directory)")]
)
def test_a_place_that_cannot_be_written_to_is_one_line(answer, tmp_path, name, says):
    (tmp_path / "text").write_text("mine")
    with pytest.raises(RunError) as error:
        answer(tmp_path / name)
    assert says in one_line(error)


def test_a_full_disk_is_one_line_and_what_is_finished_stays(answer, alone, tmp_path, monkeypatch):
    write_whole, left = many.write_whole, [4]

    def write_until_full(file: Path, content: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_whole(file, content)

    monkeypatch.setattr(many, "write_whole", write_until_full)
    with pytest.raises(RunError) as error:
        answer(tmp_path / "answers.jsonl")
    assert "answers.jsonl.parts cannot be written (No space left on device); make room" in one_line(error)
    assert not (tmp_path / "answers.jsonl").exists()
    monkeypatch.undo()
    assert answer(tmp_path / "answers.jsonl").found == 4 * 8
    assert (tmp_path / "answers.jsonl").read_bytes() == alone.bytes


def test_a_second_command_on_the_same_output_is_refused_until_the_first_has_ended(answer, alone, tmp_path):
    output = tmp_path / "answers.jsonl"
    seen = []

    def meanwhile(progress: dict) -> None:
        if progress["step"] == 1:
            with pytest.raises(RunError) as error:
                answer(output)
            seen.append(one_line(error))

    answer(output, report=meanwhile)
    assert seen == [f"another process (pid {os.getpid()}) is answering into {output}; wait for it, stop it, or choose another output."]
    assert output.read_bytes() == alone.bytes


def test_bad_input_on_the_command_line_is_status_2_and_one_line(capsys, file, tiny_folder, tmp_path):
    def refused(*arguments: str | Path) -> str:
        assert main(["answer", *map(str, arguments)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n"), err[:7]) == ("", 1, "error: ")
        return err

    output = tmp_path / "answers.jsonl"
    assert "Missing option '--output'" in refused("--data", file)
    assert "Missing option '--data'" in refused("--output", output)
    assert "no-such.json: no such file" in refused("--data", "no-such.json", "--output", output)
    assert "'no-such-model' is no folder here" in refused("--data", file, "--output", output, "--model", "no-such-model")
    assert "--threshold is 2.0" in refused("--data", file, "--output", output, "--threshold", "2")
    assert "is a folder" in refused("--data", file, "--output", tmp_path, "--model", tiny_folder)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------ several processes


@pytest.fixture(scope="module")
def launch(course: Path, file: Path, tiny_folder: Path, threshold: float) -> Callable[..., SimpleNamespace]:
    """torchrun with `n` processes; `script` is a program instead of `-m src.qa`. Returns status, out, err, and who wrote which part."""
    prefixes = ("COURSE_", "HF_", "TRANSFORMERS_", "TOKENIZERS_", "PYTHON")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)} | {"OMP_NUM_THREADS": "1"}

    def run(n: int, output: Path, *more: str, script: bool = True, **environment: str) -> SimpleNamespace:
        # standalone: on any free port, for two tests may run at a time
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n)]
        program = [str(Path(__file__).with_name("answering_processes.py"))] if script else ["-m", "src.qa"]
        options = ["--data", str(file), "--model", str(tiny_folder), "--threshold", str(threshold), "--output", str(output), "--json"]
        written = output.with_name("written.txt")
        written.write_text("")
        done = subprocess.run(
            [*torchrun, *program, "answer", *options, *more],
            cwd=course,
            env=clean | {"WRITTEN": str(written)} | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        who = [tuple(map(int, line.split())) for line in written.read_text().splitlines()]
        written.unlink()
        return SimpleNamespace(status=done.returncode, out=done.stdout.splitlines(), err=done.stderr, who=who)

    return run


@pytest.fixture(scope="module")
def killed(launch: Callable[..., SimpleNamespace], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two processes, of which the second kills itself while it writes its third part. Do not write to its folder."""
    folder = tmp_path_factory.mktemp("killed")
    done = launch(2, folder / "answers.jsonl", KILL="1 3")
    return SimpleNamespace(folder=folder, parts=folder / "answers.jsonl.parts", **vars(done))


@pytest.fixture
def half_done(killed: SimpleNamespace, tmp_path: Path) -> SimpleNamespace:
    """A copy of what the killed run left: the output to be, its parts, and how many of them are finished."""
    shutil.copytree(killed.folder, tmp_path / "run")
    parts = tmp_path / "run" / "answers.jsonl.parts"
    return SimpleNamespace(output=tmp_path / "run" / "answers.jsonl", parts=parts, finished=len(list(parts.glob("part-*"))))


def running_with(text: str) -> list[int]:
    """The ids of running processes in whose command line `text` comes up."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in file.read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                found.append(int(file.parent.name))
        except OSError:  # it has ended
            continue
    return found


def test_two_processes_share_the_work_and_write_the_bytes_of_one(launch, alone, tmp_path):
    done = launch(2, tmp_path / "answers.jsonl")
    assert done.status == 0, done.err
    assert (tmp_path / "answers.jsonl").read_bytes() == alone.bytes
    assert sorted(part for _, part in done.who) == list(range(15)), "every part is written, and by one process only"
    assert {rank for rank, _ in done.who} == {0, 1}
    result = json.loads(done.out[-1])
    assert (result["processes"], result["questions"], result["found"], result["answered"]) == (2, N, 0, alone.done.answered)
    assert (result["precision"], result["threshold"]) == (alone.done.precision, alone.done.threshold)
    assert sum(line.startswith("finished · step 15 of 15 · ") for line in done.out) == 1, "one process speaks"
    assert "Traceback" not in done.err
    assert names(tmp_path) == {"answers.jsonl", "answers.jsonl.parts"} and names(tmp_path / "answers.jsonl.parts") == {many.PLAN}


def test_a_killed_process_ends_the_command_with_a_sentence_and_no_output(killed):
    assert killed.status != 0
    assert not (killed.folder / "answers.jsonl").exists()
    assert killed.err.count("error: another process of this command has ended, or this one was told to;") == 1
    assert f"kept in {killed.parts}: the same command, on any number of processes, goes on from there." in killed.err
    assert sum(rank == 1 for rank, _ in killed.who) == 2
    assert {path.name for path in killed.parts.glob("part-*")} >= {f"part-{part:06}.jsonl" for _, part in killed.who}
    assert running_with(str(killed.folder)) == []


def test_three_processes_finish_what_two_began_with_the_bytes_of_one(half_done, launch, alone):
    kept = {path.name: path.stat().st_mtime_ns for path in half_done.parts.glob("part-*")}
    done = launch(3, half_done.output)
    assert done.status == 0, done.err
    assert half_done.output.read_bytes() == alone.bytes
    assert json.loads(done.out[-1])["found"] == 8 * half_done.finished > 0
    assert {f"part-{part:06}.jsonl" for _, part in done.who} & {*kept} == set()
    assert len(done.who) == 15 - half_done.finished
    assert names(half_done.parts) == {many.PLAN}, "what the kill left half written is gone, too"


def test_one_process_finishes_what_two_began_in_the_precision_they_had(half_done, answer, alone, monkeypatch):
    monkeypatch.setattr(many, "_precision", lambda device: pytest.fail("it chose a precision of its own"))
    done = answer(half_done.output)
    assert (done.found, done.precision) == (8 * half_done.finished, alone.done.precision)
    assert half_done.output.read_bytes() == alone.bytes


@pytest.mark.parametrize("damage", ["cut off", "one letter", "empty", "not JSON", "of another plan", "removed"])
def test_a_damaged_part_is_noticed_and_computed_again(half_done, answer, alone, damage):
    part = sorted(half_done.parts.glob("part-*"))[1]
    content = part.read_bytes()
    changed = {
        "cut off": content[:-40],
        "one letter": content.replace(b'"score": 0.', b'"score": 1.', 1),
        "empty": b"",
        "not JSON": b"{\n" + content.split(b"\n", 1)[1],
        "of another plan": content.replace(b'"plan": "', b'"plan": "0', 1),
    }
    part.write_bytes(changed[damage]) if damage in changed else part.unlink()
    assert not part.exists() or part.read_bytes() != content
    done = answer(half_done.output)
    assert done.found == 8 * (half_done.finished - 1)
    assert half_done.output.read_bytes() == alone.bytes


def test_a_part_that_is_damaged_while_the_others_are_computed_is_one_line(half_done, answer, alone):
    part = sorted(half_done.parts.glob("part-*"))[0]
    with pytest.raises(RunError) as error:
        answer(half_done.output, report=lambda progress: part.write_bytes(b"no"))
    assert f"{part} was damaged or removed" in one_line(error) and not half_done.output.exists()
    answer(half_done.output)
    assert half_done.output.read_bytes() == alone.bytes


def test_other_arguments_are_refused_by_name(half_done, answer, asked, threshold, tiny_folder, tmp_path):
    model = shutil.copytree(tiny_folder, tmp_path / "model")
    state = load_file(model / "model.safetensors")
    state["qa_outputs.weight"][0, 0] += 1e-6
    save_file(state, model / "model.safetensors", metadata={"format": "pt"})
    rows = asked.to_list()
    rows[7]["question"] += "?"
    before = {path.name: path.stat().st_mtime_ns for path in half_done.parts.iterdir()}
    for options, says in (
        ({"threshold": threshold + 0.1}, f"threshold={threshold!r}, and this one has threshold={threshold + 0.1!r}"),
        ({"model": model}, "model='sha256 "),
        ({"questions": Dataset.from_list(rows, features=asked.features)}, "questions='120 questions, sha256 "),
        ({"questions": asked.select(range(100))}, "this one has questions='100 questions, sha256 "),
    ):
        with pytest.raises(RunError) as error:
            answer(half_done.output, **options)
        assert str(half_done.parts) in one_line(error) and says in str(error.value)
        assert "choose another output, or delete that folder and answers.jsonl" in str(error.value)
    kept = {path.name: path.stat().st_mtime_ns for path in half_done.parts.iterdir()}
    assert {name: kept[name] for name in kept if name != processes.LOCK} == {
        name: before[name] for name in before if name != processes.LOCK
    }


@pytest.mark.parametrize("broken", ["", "{", "[]", "null"])
def test_a_plan_that_cannot_be_read_is_one_line(half_done, answer, broken):
    (half_done.parts / many.PLAN).write_text(broken)
    with pytest.raises(RunError) as error:
        answer(half_done.output)
    assert f"{half_done.parts / many.PLAN} cannot be read" in one_line(error)


def test_machines_that_took_part_are_recorded(half_done, answer, alone, monkeypatch):
    monkeypatch.setattr(runtime, "machine", lambda: "another machine")
    answer(half_done.output)
    plan = json.loads((half_done.parts / many.PLAN).read_text())
    assert len(plan["machines"]) == 2 and "another machine" in plan["machines"]
    assert half_done.output.read_bytes() == alone.bytes, "another name alone changes nothing"


@pytest.mark.full
@pytest.mark.parametrize("kill", ["0 2", "2 1"])
def test_whichever_process_is_killed_the_command_ends_and_any_number_goes_on(launch, answer, alone, tmp_path, kill):
    first = launch(3, tmp_path / "answers.jsonl", KILL=kill)
    assert first.status != 0 and not (tmp_path / "answers.jsonl").exists(), first.err
    assert running_with(str(tmp_path)) == []
    second = launch(2, tmp_path / "answers.jsonl", script=False)
    assert second.status == 0, second.err
    assert (tmp_path / "answers.jsonl").read_bytes() == alone.bytes


@pytest.fixture
def slow_pair(course: Path, file: Path, tiny_folder: Path, threshold: float, tmp_path: Path) -> SimpleNamespace:
    """Two processes that have begun and will take half a minute more: torchrun, the output to be, and the file of what they say."""
    program = [str(Path(__file__).with_name("answering_processes.py")), "answer", "--data", str(file), "--model", str(tiny_folder)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    output, said = tmp_path / "answers.jsonl", tmp_path / "said.txt"
    with said.open("w") as file_of_said:
        running = subprocess.Popen(
            [*torchrun, *program, "--threshold", str(threshold), "--output", str(output)],
            cwd=course,
            env=os.environ | {"WRITTEN": str(tmp_path / "written.txt"), "SLOW": "4", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=file_of_said,
        )
    wait_for(lambda: list((tmp_path / "answers.jsonl.parts").glob("part-*")))
    return SimpleNamespace(torchrun=running, output=output, said=said)


@pytest.mark.full
def test_when_all_are_killed_with_their_launcher_the_same_command_goes_on(slow_pair, launch, alone):
    every = running_with(str(slow_pair.output))
    assert len(every) == 3
    for process in every:
        os.kill(process, signal.SIGKILL)
    slow_pair.torchrun.wait()
    done = launch(2, slow_pair.output, script=False)
    assert done.status == 0 and json.loads(done.out[-1])["found"] > 0, done.err
    assert slow_pair.output.read_bytes() == alone.bytes


@pytest.mark.full
def test_processes_whose_launcher_is_killed_end_by_themselves(slow_pair):
    slow_pair.torchrun.kill()
    slow_pair.torchrun.wait()
    wait_for(lambda: not running_with(str(slow_pair.output)), seconds=20)
    assert slow_pair.said.read_text().count("error: ") == 1 and not slow_pair.output.exists()


@pytest.mark.full
def test_bad_input_to_two_processes_is_told_once(launch, tmp_path):
    done = launch(2, tmp_path / "answers.jsonl", "--model", "no-such-model", script=False)
    assert done.status != 0 and done.err.count("error: the model 'no-such-model' is no folder here") == 1
    assert done.err.count("error: ") == 1
    assert done.err.count("Traceback") == 1 and "ChildFailedError" in done.err, "torchrun's own report, and none of ours"


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


# ---------------------------------------------------------------------------------------------------- accelerate, several hosts


CONFIGS = Path("docs") / "accelerate"


@pytest.mark.parametrize(("name", "hosts"), [("one_host.yaml", 1), ("two_hosts.yaml", 2)])
def test_accelerate_reads_the_configurations_that_the_readme_names(course, name, hosts):
    from accelerate.commands.config.config_args import ClusterConfig

    config = ClusterConfig.from_yaml_file(str(course / CONFIGS / name))  # refuses keys it does not know
    assert (config.num_machines, config.machine_rank, config.distributed_type) == (hosts, 0, "MULTI_GPU")
    assert config.num_processes % hosts == 0 and config.mixed_precision == "no"
    assert (config.main_process_ip is not None) == (hosts > 1)
    assert str(CONFIGS / name) in (course / "README.md").read_text(encoding="utf-8")


def accelerate(course: Path, name: str, output: Path, file: Path, model: Path, threshold: float, *options: str) -> subprocess.Popen:
    """`accelerate launch` with one of the course's configurations, here on processor cores instead of GPUs."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / name), *options]
    arguments = ["--data", str(file), "--model", str(model), "--threshold", str(threshold), "--output", str(output), "--json"]
    return subprocess.Popen(
        [*command, "-m", "src.qa", "answer", *arguments],
        cwd=course,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def free_port() -> Iterator[str]:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield str(port)


@pytest.mark.full
def test_the_configuration_for_one_host_starts_several_processes(course, file, tiny_folder, threshold, alone, tmp_path, free_port):
    options = ("--num_processes", "2", "--main_process_port", free_port)
    running = accelerate(course, "one_host.yaml", tmp_path / "answers.jsonl", file, tiny_folder, threshold, *options)
    out, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["processes"] == 2
    assert (tmp_path / "answers.jsonl").read_bytes() == alone.bytes


@pytest.mark.full
def test_the_configuration_for_two_hosts_makes_one_command_of_two_launchers(
    course, file, tiny_folder, threshold, alone, tmp_path, free_port
):
    """Two launchers on this machine stand for two hosts."""
    options = ("--num_processes", "2", "--main_process_ip", "127.0.0.1", "--main_process_port", free_port)
    hosts = [
        accelerate(course, "two_hosts.yaml", tmp_path / "answers.jsonl", file, tiny_folder, threshold, *options, "--machine_rank", rank)
        for rank in "01"
    ]
    (out, err), (other_out, other_err) = (host.communicate(timeout=300) for host in hosts)
    assert [host.returncode for host in hosts] == [0, 0], err + other_err
    assert json.loads(out.splitlines()[-1])["processes"] == 2 and other_out == ""
    assert (tmp_path / "answers.jsonl").read_bytes() == alone.bytes
