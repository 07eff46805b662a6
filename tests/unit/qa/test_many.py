"""A file of questions answered by one process, several, or killed ones: the same answers."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from datasets import Dataset
from safetensors.torch import load_file, save_file

from src import runtime
from src.qa import many, processes
from src.qa.__main__ import main
from src.qa.answerer import QuestionAnswerer
from src.qa.course_set import build_course_set, load_passage_texts
from src.qa.dataset import load_squad
from src.qa.many import answer_many
from src.qa.processes import RunError

WORDS = (
    "oxygen",
    "is",
    "a",
    "chemical",
    "element",
    "with",
    "symbol",
    ";",
    "cafe\u0301",
    "北京",
    "🙂",
    "\u2028",
    "found",
    "in",
    "1771",
)
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
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQuAD file of N questions on passages of different lengths, some of several windows."""
    choose = random.Random(0)
    paragraphs = []
    for i in range(N // 2):
        context = " ".join(
            choose.choice(WORDS) for _ in range(choose.choice((3, 10, 30, 60, 120, 500)))
        )
        questions = [
            f"What is {' '.join(choose.choices(WORDS, k=choose.randrange(1, 6)))}?" for _ in (0, 1)
        ]
        qas = [
            {"id": f"q{i}-{k}", "question": q, "answers": [], "is_impossible": True}
            for k, q in enumerate(questions)
        ]
        paragraphs.append({"context": context, "qas": qas})
    choose.shuffle(paragraphs)
    made = tmp_path_factory.mktemp("data") / "many questions.json"
    made.write_text(
        json.dumps({"version": "v2.0", "data": [{"title": "Oxygen", "paragraphs": paragraphs}]}),
        encoding="utf-8",
    )
    return made


@pytest.fixture(scope="module")
def asked(file: Path) -> Dataset:
    """The same questions, without gold answers: nothing that answers may look at them."""
    return load_squad(file)["train"].remove_columns(["answers", "title"])


@pytest.fixture(scope="module")
def threshold(asked: Dataset, tiny_folder: Path) -> float:
    """One that refuses some of the questions."""
    qa = QuestionAnswerer.load(tiny_folder, precision="fp32")
    scores = sorted(answer.score for answer in qa(asked["question"], asked["context"]))
    return (scores[N // 3] + scores[N // 3 + 1]) / 2


@pytest.fixture(scope="module")
def answer(asked: Dataset, tiny_folder: Path, threshold: float) -> Callable[..., dict]:
    """answer_many on one process, quietly; further arguments replace the usual ones."""

    def run(output: Path, **options) -> dict:
        usual = {
            "questions": asked,
            "model": tiny_folder,
            "threshold": threshold,
            "report": lambda progress: None,
        }
        return answer_many(output=output, **usual | options)

    return run


@pytest.fixture(scope="module")
def alone(answer: Callable[..., dict], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What one process makes of it: the output, its lines, and what was reported."""
    output, reports = tmp_path_factory.mktemp("alone") / "answers.jsonl", []
    done = answer(output, report=reports.append)
    return SimpleNamespace(output=output, done=done, lines=lines_of(output), reports=reports)


def lines_of(output: Path) -> list[dict]:
    return [json.loads(line) for line in output.read_bytes().splitlines()]


def assert_same(output: Path, expected: list[dict]) -> None:
    """Equal answers, and scores within 0.001."""
    lines = lines_of(output)
    for name in ("id", "text", "start", "end"):
        assert [line[name] for line in lines] == [line[name] for line in expected]
    for name in ("score", "null_score"):
        assert [line[name] for line in lines] == pytest.approx(
            [line[name] for line in expected], abs=0.001
        )


def one_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != processes.LOCK}


# --- one process ------------------------------------------------------------------------------


def test_there_is_a_line_for_every_question_in_order(alone, asked):
    assert [line["id"] for line in alone.lines] == list(asked["id"])
    assert all(list(line) == FIELDS for line in alone.lines)
    assert alone.output.read_bytes().endswith(b"}\n") and "北京" in alone.output.read_text(
        encoding="utf-8"
    )
    for line, context in zip(alone.lines, asked["context"], strict=True):
        assert line["text"] == context[line["start"] : line["end"]]
        assert 0 <= line["score"] <= line["score"] + line["null_score"] <= 1 + 2e-6


def test_answers_and_scores_are_those_of_the_answerer(
    answer, asked, tiny_folder, threshold, tmp_path, monkeypatch
):
    monkeypatch.setattr(many, "_precision", lambda device: "fp32")
    answer(tmp_path / "answers.jsonl")
    lines = lines_of(tmp_path / "answers.jsonl")
    together = QuestionAnswerer.load(tiny_folder, threshold, precision="fp32")(
        asked["question"], asked["context"]
    )
    assert [(line["text"], line["start"], line["end"]) for line in lines] == [
        (found.text, found.start, found.end) for found in together
    ]
    assert [line["score"] for line in lines] == pytest.approx(
        [found.score for found in together], abs=1e-5
    )


def test_questions_below_the_threshold_are_refused_and_counted(alone, threshold):
    refused = [line for line in alone.lines if line["score"] < threshold]
    assert 20 < len(refused) < 60
    assert all((line["text"], line["start"], line["end"]) == ("", 0, 0) for line in refused)
    assert alone.done["answered"] == N - len(refused)


def test_a_call_says_what_it_did_and_how_far_it_is(alone):
    done = alone.done
    assert (done["output"], done["questions"], done["found"], done["processes"]) == (
        str(alone.output),
        N,
        0,
        1,
    )
    assert done["seconds"] > 0 and done["questions_per_second"] >= N / done["seconds"]
    assert [(progress["step"], progress["steps"]) for progress in alone.reports] == [
        (step, 15) for step in range(1, 16)
    ]
    assert all(
        progress["planned_seconds"] >= progress["seconds"] - 1e-6 for progress in alone.reports
    )
    assert runtime.progress_line(alone.reports[0]).startswith("answering · step 1 of 15 · ")


def test_no_questions_are_one_line(answer, asked, tmp_path):
    with pytest.raises(RunError) as error:
        answer(tmp_path / "answers.jsonl", questions=asked.select([]))
    assert "no questions" in one_line(error) and list(tmp_path.iterdir()) == []


# --- asked for a second time ------------------------------------------------------------------


def test_a_finished_file_is_returned_without_computing(answer, alone, monkeypatch):
    assert names(alone.output.parent) == {"answers.jsonl", "answers.jsonl.parts"}
    assert names(alone.output.parent / "answers.jsonl.parts") == {many.RUN}
    before = alone.output.stat().st_mtime_ns
    monkeypatch.setattr(many, "_answer", lambda *args: pytest.fail("it computed"))
    again = answer(alone.output)
    assert (
        again["questions"],
        again["answered"],
        again["found"],
        again["questions_per_second"],
    ) == (N, alone.done["answered"], N, 0)
    assert alone.output.stat().st_mtime_ns == before


def test_a_finished_file_that_was_changed_since_is_left_alone(answer, alone, tmp_path):
    shutil.copytree(alone.output.parent, tmp_path / "run")
    output = tmp_path / "run" / "answers.jsonl"
    output.write_bytes(alone.output.read_bytes() + b"\n")
    with pytest.raises(RunError) as error:
        answer(output)
    assert f"{output} was changed since it was written" in one_line(error)
    assert output.read_bytes() == alone.output.read_bytes() + b"\n"
    output.unlink()
    assert answer(output)["found"] == 0
    assert_same(output, alone.lines)


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
    assert answer(output)["found"] == N
    assert_same(output, alone.lines)


def test_a_second_command_on_the_same_output_is_refused_until_the_first_has_ended(
    answer, alone, tmp_path
):
    output = tmp_path / "answers.jsonl"
    seen = []

    def meanwhile(progress: dict) -> None:
        if progress["step"] == 1:
            with pytest.raises(RunError) as error:
                answer(output)
            seen.append(one_line(error))

    answer(output, report=meanwhile)
    assert seen == [
        f"another process (pid {os.getpid()}) is answering into {output}; "
        "wait for it, stop it, or choose another output."
    ]
    assert_same(output, alone.lines)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is a folder; name a file"),
        ("text/answers.jsonl", "cannot be written (Not a directory)"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_one_line(answer, tmp_path, name, says):
    (tmp_path / "text").write_text("mine")
    with pytest.raises(RunError) as error:
        answer(tmp_path / name)
    assert says in one_line(error)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_or_a_denied_permission_is_one_line_and_what_is_finished_stays(
    answer, alone, tmp_path, monkeypatch, number
):
    open_file, writes = Path.open, []

    def open_until_full(path: Path, mode: str = "r", *args: object, **options: object):
        writes.extend(["another"] if mode == "ab" else [])
        if len(writes) > 4:
            raise OSError(number, os.strerror(number))
        return open_file(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", open_until_full)
    with pytest.raises(RunError) as error:
        answer(tmp_path / "answers.jsonl")
    assert (
        f"answers.jsonl cannot be written ({os.strerror(number)}); "
        "make room, or choose another output." in one_line(error)
    )
    assert not (tmp_path / "answers.jsonl").exists()
    monkeypatch.undo()
    assert answer(tmp_path / "answers.jsonl")["found"] == 4 * 8
    assert_same(tmp_path / "answers.jsonl", alone.lines)


# --- what a kill leaves -----------------------------------------------------------------------


@pytest.fixture
def half_done(answer: Callable[..., dict], tmp_path: Path) -> SimpleNamespace:
    """A run that was stopped after five of its fifteen chunks: output, and the file of chunks."""
    output = tmp_path / "run" / "answers.jsonl"
    stop_after(5, answer, output)
    parts = output.with_name("answers.jsonl.parts")
    return SimpleNamespace(output=output, parts=parts, chunks=parts / many.CHUNKS)


def stop_after(step: int, answer: Callable[..., dict], output: Path) -> None:
    def stop(progress: dict) -> None:
        if progress["step"] == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(output, report=stop)


def test_what_is_finished_is_not_computed_again(half_done, answer, alone, monkeypatch):
    assert not half_done.output.exists()
    computed, compute = [], many._answer
    monkeypatch.setattr(
        many, "_answer", lambda rows, qa: computed.extend(rows["id"]) or compute(rows, qa)
    )
    assert answer(half_done.output)["found"] == 5 * 8
    assert computed == [line["id"] for line in alone.lines][40:]
    assert_same(half_done.output, alone.lines)
    assert names(half_done.parts) == {many.RUN}


@pytest.mark.parametrize("damage", ["cut off", "not JSON", "of other questions"])
def test_a_damaged_chunk_is_noticed_and_computed_again(half_done, answer, alone, damage):
    lines = half_done.chunks.read_bytes().splitlines()
    last = lines[-1]
    changed = {
        "cut off": last[:-40],
        "not JSON": b"\xff" * 50,
        "of other questions": last.replace(b'"id": "q', b'"id": "p'),
    }
    assert changed[damage] != last
    half_done.chunks.write_bytes(b"\n".join([*lines[:-1], changed[damage]]))
    stop_after(6, answer, half_done.output)  # what is written after the damage is not lost with it
    assert answer(half_done.output)["found"] == 6 * 8
    assert_same(half_done.output, alone.lines)


def test_other_arguments_are_refused_by_name(
    half_done, answer, asked, threshold, tiny_folder, tmp_path
):
    model = shutil.copytree(tiny_folder, tmp_path / "model")
    state = load_file(model / "model.safetensors")
    state["qa_outputs.weight"][0, 0] += 1e-6
    save_file(state, model / "model.safetensors", metadata={"format": "pt"})
    rows = asked.to_list()
    rows[7]["question"] += "?"
    before = half_done.chunks.read_bytes()
    for options, says in (
        (
            {"threshold": threshold + 0.1},
            f"threshold={threshold!r}, and this one has threshold={threshold + 0.1!r}",
        ),
        ({"model": model}, "model='sha256 "),
        ({"questions": Dataset.from_list(rows)}, f"questions='{N} questions, sha256 "),
        ({"questions": asked.select(range(100))}, "this one has questions='100 questions, sha256 "),
    ):
        with pytest.raises(RunError) as error:
            answer(half_done.output, **options)
        assert str(half_done.parts) in one_line(error) and says in str(error.value)
        assert "choose another output, or delete that folder and answers.jsonl" in str(error.value)
    assert half_done.chunks.read_bytes() == before


@pytest.mark.parametrize("broken", ["", "{", "[]", "null"])
def test_a_record_that_cannot_be_read_is_one_line(half_done, answer, broken):
    (half_done.parts / many.RUN).write_text(broken)
    with pytest.raises(RunError) as error:
        answer(half_done.output)
    assert f"{half_done.parts / many.RUN} cannot be read" in one_line(error)


def test_bad_input_on_the_command_line_is_status_2_and_one_line(
    capsys, file, tiny_folder, tmp_path
):
    def refused(*arguments: str | Path) -> str:
        assert main(["answer", *map(str, arguments)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n"), err[:7]) == ("", 1, "error: ")
        return err

    output = tmp_path / "answers.jsonl"
    assert "Missing option '--output'" in refused("--data", file)
    assert "Missing option '--data'" in refused("--output", output)
    assert "no-such.json: no such file" in refused("--data", "no-such.json", "--output", output)
    assert "'no-such-model' is no folder here" in refused(
        "--data", file, "--output", output, "--model", "no-such-model"
    )
    assert "--threshold is 2.0" in refused("--data", file, "--output", output, "--threshold", "2")
    assert "is a folder" in refused("--data", file, "--output", tmp_path, "--model", tiny_folder)
    assert list(tmp_path.iterdir()) == []


# --- several processes ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def launch(
    course: Path, file: Path, tiny_folder: Path, threshold: float
) -> Callable[..., SimpleNamespace]:
    """torchrun with `n` processes; returns status, out, err, and who answered chunks."""
    prefixes = ("COURSE_", "HF_", "TRANSFORMERS_", "TOKENIZERS_", "PYTHON")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)} | {
        "OMP_NUM_THREADS": "1"
    }

    def run(
        n: int,
        output: Path,
        data: Path = file,
        model: str | Path = tiny_folder,
        script: bool = True,
        **environment: str,
    ) -> SimpleNamespace:
        # standalone: on any free port, for two tests may run at a time
        torchrun = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            str(n),
        ]
        program = [SCRIPT] if script else ["-m", "src.qa"]
        options = [
            "--data",
            data,
            "--model",
            model,
            "--threshold",
            threshold,
            "--output",
            output,
            "--json",
        ]
        done = subprocess.run(
            [*torchrun, *program, "answer", *map(str, options)],
            cwd=course,
            env=clean | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        who = [
            line.removeprefix("chunk by ")
            for line in done.stderr.splitlines()
            if line.startswith("chunk by ")
        ]
        return SimpleNamespace(
            status=done.returncode, out=done.stdout.splitlines(), err=done.stderr, who=who
        )

    return run


@pytest.fixture(scope="module")
def killed(
    launch: Callable[..., SimpleNamespace], tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """Two processes; the second kills itself in the third round. Do not write to its folder."""
    folder = tmp_path_factory.mktemp("killed")
    done = launch(2, folder / "answers.jsonl", KILL="1 3")
    return SimpleNamespace(folder=folder, **vars(done))


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


@pytest.mark.parametrize("n", [2, pytest.param(3, marks=pytest.mark.full)])
def test_several_processes_share_the_work_and_give_the_answers_of_one(launch, alone, tmp_path, n):
    done = launch(n, tmp_path / "answers.jsonl")
    assert done.status == 0, done.err
    assert_same(tmp_path / "answers.jsonl", alone.lines)
    assert len(done.who) == 15, "every chunk is answered by one process only"
    assert {done.who.count(str(rank)) for rank in range(n)} <= {15 // n, 15 // n + 1}
    result = json.loads(done.out[-1])
    assert (result["processes"], result["questions"], result["found"], result["answered"]) == (
        n,
        N,
        0,
        alone.done["answered"],
    )
    assert (result["precision"], result["threshold"]) == (
        alone.done["precision"],
        alone.done["threshold"],
    )
    assert sum(line.startswith("answering · step ") for line in done.out) >= 1
    assert "Traceback" not in done.err
    assert names(tmp_path) == {"answers.jsonl", "answers.jsonl.parts"} and names(
        tmp_path / "answers.jsonl.parts"
    ) == {many.RUN}


def test_a_killed_process_ends_the_command_with_a_sentence_and_no_output(killed):
    assert killed.status != 0
    assert not (killed.folder / "answers.jsonl").exists()
    assert (
        killed.err.count(
            "error: another process of this command has ended, or this one was told to;"
        )
        == 1
    )
    parts = killed.folder / "answers.jsonl.parts"
    assert (
        f"kept in {parts}: the same command, on any number of processes, goes on from there."
        in killed.err
    )
    assert killed.who.count("1") == 2
    assert running_with(str(killed.folder)) == []


def test_three_processes_finish_what_two_began(killed, launch, alone, tmp_path):
    output = shutil.copytree(killed.folder, tmp_path / "run") / "answers.jsonl"
    done = launch(3, output)
    assert done.status == 0, done.err
    assert_same(output, alone.lines)
    assert json.loads(done.out[-1])["found"] == 4 * 8
    assert len(done.who) == 15 - 4


def test_processes_that_have_not_the_same_files_are_refused(answer, tmp_path, monkeypatch):
    monkeypatch.setattr(
        many, "gather_object", lambda mine: [*mine, {**mine[0], "model": "sha256 of another"}]
    )
    with pytest.raises(RunError) as error:
        answer(tmp_path / "answers.jsonl")
    assert "process 1 has model='sha256 of another', and this one has model='sha256 " in one_line(
        error
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
@pytest.mark.parametrize("kill", ["0 2", "2 1"])
def test_whichever_process_is_killed_the_command_ends_and_any_number_goes_on(
    launch, alone, tmp_path, kill
):
    first = launch(3, tmp_path / "answers.jsonl", KILL=kill)
    assert first.status != 0 and not (tmp_path / "answers.jsonl").exists(), first.err
    assert running_with(str(tmp_path)) == []
    second = launch(2, tmp_path / "answers.jsonl")
    assert second.status == 0, second.err
    assert_same(tmp_path / "answers.jsonl", alone.lines)


@pytest.mark.full
def test_bad_input_to_two_processes_is_told_once(launch, tmp_path):
    done = launch(2, tmp_path / "answers.jsonl", model="no-such-model", script=False)
    assert (
        done.status != 0
        and done.err.count("error: the model 'no-such-model' is no folder here") == 1
    )
    assert done.err.count("error: ") == 1
    assert done.err.count("Traceback") == 1 and "ChildFailedError" in done.err, (
        "torchrun's own report, and none of ours"
    )


@pytest.mark.full
def test_the_released_reader_gives_two_processes_the_answers_of_one(launch, threshold, tmp_path):
    squad = build_course_set(passages=load_passage_texts())["validation"]
    data, alone = tmp_path / "questions.json", tmp_path / "alone.jsonl"
    data.write_text(json.dumps(squad | {"data": squad["data"][:8]}), encoding="utf-8")
    answer_many(load_squad(data)["train"], alone, "qa-minilm", threshold, lambda progress: None)
    done = launch(
        2, tmp_path / "answers.jsonl", data, "qa-minilm", COURSE_CACHE=str(runtime.cache())
    )
    assert done.status == 0, done.err
    assert_same(tmp_path / "answers.jsonl", lines_of(alone))
    assert json.loads(done.out[-1])["answered"] > 0


# --- accelerate, several hosts ----------------------------------------------------------------


CONFIGS = Path("docs") / "accelerate"


@pytest.mark.parametrize(("name", "hosts"), [("one_host.yaml", 1), ("two_hosts.yaml", 2)])
def test_accelerate_reads_the_configurations_that_the_readme_names(course, name, hosts):
    from accelerate.commands.config.config_args import ClusterConfig

    config = ClusterConfig.from_yaml_file(
        str(course / CONFIGS / name)
    )  # refuses keys it does not know
    assert (config.num_machines, config.machine_rank, config.distributed_type) == (
        hosts,
        0,
        "MULTI_GPU",
    )
    assert config.num_processes % hosts == 0 and config.mixed_precision == "no"
    assert (config.main_process_ip is not None) == (hosts > 1)
    assert str(CONFIGS / name) in (course / "README.md").read_text(encoding="utf-8")


def accelerate(
    course: Path, name: str, output: Path, file: Path, model: Path, threshold: float, *options: str
) -> subprocess.Popen:
    """`accelerate launch` with one of the course's configurations, without GPUs."""
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        str(CONFIGS / name),
        *options,
    ]
    arguments = [
        "--data",
        str(file),
        "--model",
        str(model),
        "--threshold",
        str(threshold),
        "--output",
        str(output),
        "--json",
    ]
    return subprocess.Popen(
        [*command, SCRIPT, "answer", *arguments],
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
def test_the_configuration_for_one_host_starts_several_processes(
    course, file, tiny_folder, threshold, alone, tmp_path, free_port
):
    options = ("--num_processes", "2", "--main_process_port", free_port)
    running = accelerate(
        course, "one_host.yaml", tmp_path / "answers.jsonl", file, tiny_folder, threshold, *options
    )
    out, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["processes"] == 2
    assert_same(tmp_path / "answers.jsonl", alone.lines)


@pytest.mark.full
def test_the_configuration_for_two_hosts_makes_one_command_of_two_launchers(
    course, file, tiny_folder, threshold, alone, tmp_path, free_port
):
    """Two launchers here play two hosts, with folders of their own."""
    options = (
        "--num_processes",
        "2",
        "--main_process_ip",
        "127.0.0.1",
        "--main_process_port",
        free_port,
    )
    hosts = [
        accelerate(
            course,
            "two_hosts.yaml",
            tmp_path / rank / "answers.jsonl",
            file,
            tiny_folder,
            threshold,
            *options,
            "--machine_rank",
            rank,
        )
        for rank in "01"
    ]
    (out, err), (other_out, other_err) = (host.communicate(timeout=300) for host in hosts)
    assert [host.returncode for host in hosts] == [0, 0], err + other_err
    assert json.loads(out.splitlines()[-1])["processes"] == 2 and other_out == ""
    assert_same(tmp_path / "0" / "answers.jsonl", alone.lines)
    assert not (tmp_path / "1").exists()
