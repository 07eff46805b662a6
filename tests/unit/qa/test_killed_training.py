"""Fine-tuning in processes that are killed, stopped or several: nothing is lost or hangs."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from run_folders import WITHOUT_GRADIENT, contents, different, weights

from src.qa.models import load_model
from src.qa.runs import CHECKPOINTS, MANIFEST, RUN, load_run

B, PEAK = (
    4,
    3e-3,
)  # windows per step: 30 steps in the two passes over 60 questions; the learning rate


# --- killed processes -------------------------------------------------------------------------


class Processes:
    """finetune in processes of their own, which can be killed; see training_processes.py."""

    def __init__(self, folder: Path, options: dict):
        self.folder, self.options, self.n, self.last = folder, options, 0, []
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("training_processes.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    def start(self, output_dir: Path, *requests: dict, **options) -> list[int]:
        """Start one process for each request; returns their ids."""
        asked, self.last = [], []
        for request in requests or ({},):
            self.n += 1
            self.last.append(self.folder / f"output-{self.n}.txt")
            asked.append(
                {
                    "options": self.options | {"output_dir": str(output_dir)} | options,
                    "output": str(self.last[-1]),
                }
                | request
            )
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def statuses(self) -> list[int]:
        """Wait for the processes started last; their exit statuses."""
        self.server.stdin.write("\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def printed(self) -> list[str]:
        """What each of the processes started last has printed."""
        return [output.read_text() for output in self.last]

    def run(
        self, output_dir: Path, *requests: dict, **options
    ) -> tuple[list[int], list[dict], list[str]]:
        """Start them, wait; returns exit statuses, the first one's progress, what each printed."""
        self.start(output_dir, *requests, **options)
        statuses, printed = self.statuses(), self.printed()
        return (
            statuses,
            [
                json.loads(line)
                for line in printed[0].splitlines()
                if line.startswith('{"') and line.endswith("}")
            ],
            printed,
        )


@pytest.fixture(scope="module")
def processes(
    tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path, harbour_file: Path
) -> Iterator[Processes]:
    options = {
        "model": str(tiny_folder),
        "data": str(harbour_file),
        "epochs": 2,
        "batch_size": B,
        "learning_rate": PEAK,
    }
    made = Processes(tmp_path_factory.mktemp("processes"), options)
    yield made
    os.killpg(
        made.server.pid, signal.SIGKILL
    )  # and with it what it forked, should a test have left one waiting
    made.server.communicate()


@pytest.fixture(scope="module")
def reference(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of 30 steps in a process of its own."""
    folder = tmp_path_factory.mktemp("runs") / "reference"
    statuses, _, printed = processes.run(folder)
    assert statuses == [0], printed
    return folder


def assert_same_result(folder: Path, reference: Path) -> None:
    run, other = load_run(folder), load_run(reference)
    assert run.finished
    assert different(folder, reference) == []
    assert [(entry["step"], entry["loss"]) for entry in run.history] == [
        (entry["step"], entry["loss"]) for entry in other.history
    ]
    seconds = [entry["seconds"] for entry in run.history]
    assert seconds == sorted(seconds)
    assert not (folder / CHECKPOINTS).exists()


def test_the_same_call_in_a_fresh_folder_gives_the_same_run_to_the_bit_and_another_seed_another(
    processes, reference, tmp_path
):
    statuses, reports, _ = processes.run(tmp_path / "same", {"save_every": 3})
    assert (statuses, reports[0]["step"]) == ([0], 0)
    assert_same_result(tmp_path / "same", reference)
    assert processes.run(tmp_path / "other", seed=1)[0] == [0]
    assert len(different(tmp_path / "other", reference)) > 10


# Where it is killed, with checkpoints every so many steps, and the step from which it must go on.
KILLS = {
    "before anything is decided": ("measuring", 4, 0),
    "while its record is written": ("record half written", 4, 0),
    "in the first step": (1, 4, 0),
    "before the first checkpoint": (3, 4, 0),
    "in the step after a checkpoint": (9, 4, 8),
    "in the last step": (30, 4, 28),
    "while the first checkpoint is written": ("checkpoint half written", 4, 0),
    "when the first checkpoint is written but not marked": ("checkpoint not yet marked", 4, 0),
    "when all is trained and the model saved": ("model saved, run not", 4, 28),
}


@pytest.mark.parametrize("moment", KILLS)
def test_killed_and_resumed_it_ends_in_the_same_bits(processes, reference, tmp_path, moment):
    at, save_every, expected = KILLS[moment]
    assert processes.run(tmp_path / "run", {"kill_at": at, "save_every": save_every})[0] == [
        -signal.SIGKILL
    ]
    statuses, reports, printed = processes.run(tmp_path / "run", {"save_every": save_every})
    assert statuses == [0], printed
    assert reports[0]["step"] == expected
    assert_same_result(tmp_path / "run", reference)


def test_killed_while_clearing_up_it_is_finished(processes, reference, tmp_path):
    request = {"kill_at": "checkpoints not yet removed", "save_every": 7}
    assert processes.run(tmp_path / "run", request)[0] == [-signal.SIGKILL]
    statuses, reports, _ = processes.run(tmp_path / "run")
    assert statuses == [0]
    # Nothing is trained: the one report says that it was finished, and tells the whole history.
    assert [(report["phase"], report["step"]) for report in reports] == [("finished", 30)]
    assert reports[0]["history"] == load_run(tmp_path / "run").history
    assert_same_result(tmp_path / "run", reference)


def test_stopped_by_ctrl_c_and_resumed_it_ends_in_the_same_bits(processes, reference, tmp_path):
    for stop_at, steps in ((5, 5), (1, 6), (11, 17)):  # counted by each process anew
        statuses, reports, printed = processes.run(tmp_path / "run", {"stop_at": stop_at})
        assert statuses == [0], printed
        assert (reports[-1]["phase"], reports[-1]["step"]) == ("stopped", steps)
        assert load_run(tmp_path / "run").finished is False
        load_model(tmp_path / "run")
    assert processes.run(tmp_path / "run")[0] == [0]
    assert_same_result(tmp_path / "run", reference)


def kill_at_random(processes: Processes, folder: Path, kills: int, seed: int) -> list[float]:
    """Kill a run after random delays, resuming it each time, then let it end."""
    choose, delays = random.Random(seed), []
    while len(delays) < kills and not ((folder / RUN).is_file() and load_run(folder).finished):
        (pid,) = processes.start(folder, {"save_every": choose.choice((1, 2, 5))})
        started = time.monotonic()
        if choose.random() < 0.7:  # else anywhere, also while it is loading
            while not processes.last[0].exists() or '"step"' not in processes.printed()[0]:
                time.sleep(0.002)
                assert time.monotonic() - started < 300, processes.printed()
        time.sleep(choose.uniform(0, 0.8))
        os.kill(pid, signal.SIGKILL)
        delays.append(round(time.monotonic() - started, 2))
        processes.statuses()
    statuses, _, printed = processes.run(folder)
    assert statuses == [0], printed
    return delays


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(100, 110))]
)
def test_killed_again_and_again_at_random_moments_it_ends_in_the_same_bits(
    processes, reference, tmp_path, seed
):
    assert kill_at_random(processes, tmp_path / "run", kills=4 if seed == 1 else 8, seed=seed)
    assert_same_result(tmp_path / "run", reference)


# --- damaged checkpoints ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed in its tenth step: checkpoints of steps 6 and 9 are there."""
    folder = tmp_path_factory.mktemp("runs") / "killed"
    assert processes.run(folder, {"kill_at": 10, "save_every": 3})[0] == [-signal.SIGKILL]
    assert {path.name for path in (folder / CHECKPOINTS).iterdir()} == {
        "checkpoint-6",
        "checkpoint-9",
    }
    return folder


def cut(checkpoint: Path) -> None:
    file = checkpoint / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:-100])


def change_a_byte(checkpoint: Path) -> None:
    content = bytearray((checkpoint / "model.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (checkpoint / "model.safetensors").write_bytes(content)


DAMAGES = {
    "a file is cut": cut,
    "a byte is another": change_a_byte,
    "a file is missing": lambda checkpoint: (checkpoint / "scheduler.pt").unlink(),
    "the manifest is empty": lambda checkpoint: (checkpoint / MANIFEST).write_bytes(b""),
    "the manifest is a list": lambda checkpoint: (checkpoint / MANIFEST).write_text("[]"),
    "it is half written": lambda checkpoint: (checkpoint / MANIFEST).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_a_checkpoint_is_damaged_the_older_one_serves(
    processes, killed, reference, tmp_path, damage
):
    folder = tmp_path / "run"
    shutil.copytree(killed, folder)
    DAMAGES[damage](folder / CHECKPOINTS / "checkpoint-9")
    statuses, reports, printed = processes.run(folder, {"stop_at": 1})
    assert (statuses, reports[0]["step"]) == ([0], 6), printed
    assert {path.name for path in (folder / CHECKPOINTS).iterdir()} == {
        "checkpoint-6",
        "checkpoint-7",
    }
    assert processes.run(folder)[0] == [0]
    assert_same_result(folder, reference)


def test_where_all_checkpoints_are_damaged_one_sentence_says_so_and_they_stay(
    processes, killed, tmp_path
):
    folder = tmp_path / "run"
    shutil.copytree(killed, folder)
    for checkpoint in (folder / CHECKPOINTS).iterdir():
        cut(checkpoint)
    statuses, _, (text,) = processes.run(folder)
    assert statuses == [2] and text.count("\n") == 1
    assert text.startswith(
        f"the checkpoints in {folder / CHECKPOINTS} are damaged (checkpoint-9, checkpoint-6); "
    )
    shutil.rmtree(folder / CHECKPOINTS)  # as it says
    statuses, reports, _ = processes.run(folder)
    assert (statuses, reports[0]["step"]) == ([0], 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have the rights of somebody else")
@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_that_may_not_be_written_is_one_sentence(
    processes, tiny_folder, harbour_file, exists
):
    with tempfile.TemporaryDirectory() as public:
        place = Path(public)
        place.chmod(0o755)
        shutil.copytree(tiny_folder, place / "model")
        shutil.copy(harbour_file, place / "data.json")
        for file in [place / "data.json", *(place / "model").iterdir()]:
            file.chmod(0o644)
        (place / "model").chmod(0o755)
        if exists:
            (place / "run").mkdir(mode=0o755)
        processes.start(
            place / "run",
            {"user": 65534},
            model=str(place / "model"),
            data=str(place / "data.json"),
        )
        (status,), text = processes.statuses(), processes.last[0].read_text()
        assert status == 2 and text.count("\n") == 1, text
        assert text.startswith(f"{place / 'run'} cannot be written (Permission denied); ")


# --- several processes ------------------------------------------------------------------------


def several(n: int, **of_one: dict) -> list[dict]:
    """Requests for `n` processes as torchrun starts them; `process_0={...}` goes to that one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(n),
        "LOCAL_WORLD_SIZE": str(n),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    requests = [
        {"environment": shared | {"RANK": str(i), "LOCAL_RANK": str(i)}, "save_every": 7}
        for i in range(n)
    ]
    return [request | of_one.get(f"process_{i}", {}) for i, request in enumerate(requests)]


@pytest.fixture(scope="module")
def two(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An uninterrupted run of 30 steps on two processes: its folder, and what each printed."""
    folder = tmp_path_factory.mktemp("runs") / "two"
    statuses, _, printed = processes.run(folder, *several(2))
    assert statuses == [0, 0], printed
    return SimpleNamespace(folder=folder, printed=printed)


def largest_difference(a: Path, b: Path) -> float:
    first, second = weights(a), weights(b)
    assert {*first} == {*second}
    return max(
        float((first[name] - second[name]).abs().max())
        for name in first
        if not name.endswith(WITHOUT_GRADIENT)
    )


def test_two_processes_give_the_result_of_one_and_only_the_first_reports(
    processes, reference, two, tmp_path
):
    assert two.printed[1] == ""
    assert two.printed[0].count('"phase"') == 32
    run, one = load_run(two.folder), load_run(reference)
    assert (run.processes, one.processes, run.steps, one.steps) == (2, 1, 30, 30)
    assert [e["loss"] for e in run.history] == pytest.approx(
        [e["loss"] for e in one.history], abs=1e-4
    )
    assert largest_difference(two.folder, reference) < 2e-3, "half precision's own steps"
    # Which a difference of one batch would exceed by far:
    processes.run(tmp_path / "other", seed=1)
    assert largest_difference(two.folder, tmp_path / "other") > 1e-2


def test_two_processes_score_on_the_way_save_by_the_clock_and_stop_together(
    processes, harbour, tmp_path
):
    """Each has its clock: were only one to score or save, they would wait for each other."""
    (tmp_path / "data").mkdir()
    for split, part in {"train": harbour, "validation": harbour.select(range(20))}.items():
        part.to_parquet(tmp_path / "data" / f"{split}.parquet")
    apart = {"process_0": {"checkpoints": 0.05}, "process_1": {"checkpoints": 0.05, "late": 0.1}}
    requests = [
        {name: value for name, value in request.items() if name != "save_every"}
        for request in several(2, **apart)
    ]
    statuses, reports, printed = processes.run(
        tmp_path / "run", *requests, data=str(tmp_path / "data"), epochs=None, minutes=0.03
    )
    assert statuses == [0, 0], printed
    run = load_run(tmp_path / "run")
    assert run.finished and 1 <= sum("f1" in entry for entry in run.history) <= 4
    assert reports[-1]["phase"] == "finished" and run.evaluation_seconds > 0 < run.saving_seconds


GONE = "another process of this command has ended, or this one was told to; "
GONE += "the same call with resume=True (--resume) goes on"

# Which of two processes is killed, where, and from which step both must go on.
KILLS_OF_TWO = [
    pytest.param(1, 3, 0, id="the second, before the first checkpoint", marks=pytest.mark.full),
    pytest.param(1, 8, 7, id="the second, in the step after a checkpoint"),
    pytest.param(0, 30, 28, id="the first, in the last step"),
    pytest.param(
        0,
        "checkpoint half written",
        0,
        id="the first, while a checkpoint is written",
        marks=pytest.mark.full,
    ),
    pytest.param(
        1,
        "checkpoint perhaps not yet whole",
        0,
        id="the second, when it may not have written its share of a checkpoint",
    ),
]


@pytest.mark.parametrize(("killed_one", "at", "expected"), KILLS_OF_TWO)
def test_when_one_of_two_is_killed_the_other_says_so_and_a_resume_ends_in_the_same_bits(
    processes, two, tmp_path, killed_one, at, expected
):
    folder = tmp_path / "run"
    statuses, _, printed = processes.run(
        folder, *several(2, **{f"process_{killed_one}": {"kill_at": at}})
    )
    assert (statuses[killed_one], statuses[1 - killed_one]) == (-signal.SIGKILL, 2), printed
    assert (
        printed[1 - killed_one].splitlines()[-1] == f"{GONE} from the last checkpoint in {folder}."
    )
    statuses, reports, printed = processes.run(folder, *several(2))
    assert statuses == [0, 0], printed
    assert reports[0]["step"] == expected
    assert_same_result(folder, two.folder)


def test_ctrl_c_in_one_of_two_processes_stops_both_and_one_process_can_go_on(
    processes, reference, tmp_path
):
    statuses, _, printed = processes.run(tmp_path / "run", *several(2, process_1={"stop_at": 9}))
    assert statuses == [0, 0], printed
    assert (load_run(tmp_path / "run").steps, load_run(tmp_path / "run").processes) == (9, 2)
    statuses, reports, printed = processes.run(tmp_path / "run")
    assert statuses == [0], printed
    assert reports[0]["step"] == 9
    run = load_run(tmp_path / "run")
    assert (run.finished, run.processes) == (True, 1)
    assert [entry["step"] for entry in run.history] == list(range(1, 31))
    assert largest_difference(tmp_path / "run", reference) < 2e-3


def test_a_loss_that_is_not_a_number_in_one_of_two_processes_ends_both_with_the_same_sentence(
    processes, tmp_path
):
    folder = tmp_path / "run"
    statuses, reports, printed = processes.run(
        folder, *several(2, process_0={"save_every": 2}, process_1={"save_every": 2, "nan_at": 5})
    )
    assert statuses == [2, 2], printed
    assert all(
        f"the loss is not a number at step 5 of the run in {folder};" in text.splitlines()[-1]
        for text in printed
    )
    assert {report["phase"] for report in reports} == {"training"} and not load_run(folder).finished
    assert {path.name for path in (folder / CHECKPOINTS).iterdir()} == {
        "checkpoint-2",
        "checkpoint-4",
    }
    for checkpoint in (folder / CHECKPOINTS).iterdir():
        assert all(tensor.isfinite().all() for tensor in weights(checkpoint).values())


def test_processes_that_cannot_share_the_batch_are_refused_and_the_run_stays_as_it_is(
    processes, two
):
    before = contents(two.folder)
    statuses, _, printed = processes.run(two.folder, *several(3))
    assert statuses == [2, 2, 2], printed
    assert set(printed) == {"batch_size is 4; choose a multiple of the number of processes, 3.\n"}
    assert contents(two.folder) == before


# --- the command line -------------------------------------------------------------------------


def launch(
    harbour_file: Path, tiny_folder: Path, output_dir: Path, processes: int, *more: str
) -> list[str]:
    launcher = (
        ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
    )
    options = [
        "--data",
        str(harbour_file),
        "--model",
        str(tiny_folder),
        "--output-dir",
        str(output_dir),
        "--batch-size",
        str(B),
    ]
    return [sys.executable, *launcher, "-m", "src.qa", "train", *options, *more]


@pytest.fixture
def of_the_course(course, clean_environment) -> dict:
    return {"cwd": course, "env": clean_environment | {"OMP_NUM_THREADS": "1"}, "text": True}


@pytest.mark.full
def test_torchrun_with_two_processes_gives_the_result_of_one(
    of_the_course, harbour_file, tiny_folder, tmp_path
):
    results = {}
    for n in (1, 2):
        command = launch(
            harbour_file,
            tiny_folder,
            tmp_path / str(n),
            n,
            "--epochs",
            "2",
            "--learning-rate",
            "3e-3",
            "--json",
        )
        done = subprocess.run(command, **of_the_course, capture_output=True)
        assert done.returncode == 0, done.stderr
        results[n] = json.loads(done.stdout.splitlines()[-1])
        assert done.stdout.count('"finished"') == 1
        assert done.stdout.count("finished · step 30 of 30 · ") == 1
    assert [results[n]["processes"] for n in (1, 2)] == [1, 2]
    precisions = {result["precision"] for result in results.values()}
    assert largest_difference(tmp_path / "1", tmp_path / "2") < (
        2e-3 if precisions == {"fp32"} else 0.05
    )


@pytest.mark.full
@pytest.mark.parametrize("n", [1, 2])
def test_ctrl_c_at_the_terminal_ends_well_and_resume_finishes(
    of_the_course, harbour_file, tiny_folder, tmp_path, n
):
    command = launch(harbour_file, tiny_folder, tmp_path / "run", n, "--epochs", "80", "--json")
    process = subprocess.Popen(
        command, **of_the_course, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    line = process.stdout.readline()
    assert line.startswith("step 0 of 1,200 · "), process.communicate()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    found = json.loads(out.splitlines()[-1])
    assert found["finished"] is False, err
    assert 0 < found["steps"] < 1200
    if n == 1:  # torchrun itself reports that it was interrupted
        assert (process.returncode, err) == (0, "")
    load_model(tmp_path / "run")
    done = subprocess.run([*command, "--resume"], **of_the_course, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 1200


@pytest.mark.full
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_worker_killed_under_torchrun_ends_the_command_and_resume_finishes(
    of_the_course, harbour_file, tiny_folder, tmp_path, rank
):
    command = launch(harbour_file, tiny_folder, tmp_path / "run", 2, "--epochs", "40", "--json")
    process = subprocess.Popen(
        command, **of_the_course, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    line = process.stdout.readline()
    assert line.startswith("step 0 of 600 · "), process.communicate()
    time.sleep(0.5)
    os.kill(worker_of(process.pid, rank), signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode != 0
    assert err.count(f"error: {GONE}") == (1 if rank == "1" else 0), (
        err
    )  # the first is the one that speaks; torchrun names who was killed
    assert "SIGKILL" in err and out.count('"finished"') == 0
    done = subprocess.run([*command, "--resume"], **of_the_course, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["steps"] == 600


def worker_of(launcher: int, rank: str) -> int:
    """The process id of the worker with that rank below a torchrun."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
            if parent == str(launcher) and f"LOCAL_RANK={rank}".encode() in (
                folder / "environ"
            ).read_bytes().split(b"\0"):
                return int(folder.name)
        except OSError:  # it has ended
            continue
    raise AssertionError(f"torchrun {launcher} has no worker {rank}")
