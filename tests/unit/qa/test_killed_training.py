"""Fine-tuning in processes that are killed, stopped or several: nothing is lost or hangs."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from run_folders import WITHOUT_GRADIENT, contents, different, weights

from src.qa.models import load_model
from src.qa.runs import CHECKPOINTS, MANIFEST, RUN, load_run

# Windows per step: 30 steps in the two passes over 60 questions; the learning rate.
B, PEAK = 4, 3e-3


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

    def _ask(self, line: str) -> list[int]:
        self.server.stdin.write(f"{line}\n")
        self.server.stdin.flush()
        return json.loads(self.server.stdout.readline())

    def start(self, output_dir: Path, *requests: dict, **options) -> list[int]:
        """Start one process for each request; returns their ids."""
        asked, self.last = [], []
        options = self.options | {"output_dir": str(output_dir)} | options
        for request in requests or ({},):
            self.n += 1
            self.last.append(self.folder / f"output-{self.n}.txt")
            asked.append({"options": options, "output": str(self.last[-1])} | request)
        return self._ask(json.dumps(asked))

    def statuses(self) -> list[int]:
        """Wait for the processes started last; their exit statuses."""
        return self._ask("")

    def printed(self) -> list[str]:
        """What each of the processes started last has printed."""
        return [output.read_text() for output in self.last]

    def run(
        self, output_dir: Path, *requests: dict, **options
    ) -> tuple[list[int], list[dict], list[str]]:
        """Start them, wait; returns exit statuses, the first one's progress, what each printed."""
        self.start(output_dir, *requests, **options)
        statuses, printed = self.statuses(), self.printed()
        lines = [line for line in printed[0].splitlines() if line.startswith('{"')]
        return statuses, [json.loads(line) for line in lines if line.endswith("}")], printed


@pytest.fixture(scope="module")
def processes(tmp_path_factory, tiny_folder, harbour_file) -> Iterator[Processes]:
    options = {"model": str(tiny_folder), "data": str(harbour_file), "epochs": 2}
    options |= {"batch_size": B, "learning_rate": PEAK}
    made = Processes(tmp_path_factory.mktemp("processes"), options)
    yield made
    # And with it what it forked, should a test have left one waiting.
    os.killpg(made.server.pid, signal.SIGKILL)
    made.server.communicate()


@pytest.fixture(scope="module")
def reference(processes, tmp_path_factory) -> Path:
    """An uninterrupted run of 30 steps in a process of its own."""
    folder = tmp_path_factory.mktemp("runs") / "reference"
    statuses, _, printed = processes.run(folder)
    assert statuses == [0], printed
    return folder


@pytest.fixture
def goes_on(processes) -> Callable[..., None]:
    """Resumes a run, which must end as another did that was left alone."""

    def check(folder: Path, other: Path, step: int | None, *requests: dict) -> None:
        statuses, reports, printed = processes.run(folder, *requests)
        assert set(statuses) == {0}, printed
        assert step is None or reports[0]["step"] == step, "where it goes on from"
        run = load_run(folder)
        assert run.finished and different(folder, other) == []
        losses = [[(e["step"], e["loss"]) for e in r.history] for r in (run, load_run(other))]
        assert losses[0] == losses[1]
        seconds = [entry["seconds"] for entry in run.history]
        assert seconds == sorted(seconds) and not (folder / CHECKPOINTS).exists()

    return check


def test_the_same_call_in_a_fresh_folder_gives_the_same_run_to_the_bit(
    goes_on, reference, tmp_path
):
    goes_on(tmp_path / "same", reference, 0, {"save_every": 3})


# Where it is killed, with checkpoints every so many steps, and the step from which it must go on.
KILLS = {
    "before anything is decided": ("measuring", 4, 0),
    "while its record is written": ("record half written", 4, 0),
    "in the step after a checkpoint": (9, 4, 8),
    "while the first checkpoint is written": ("checkpoint half written", 4, 0),
    "when the first checkpoint is written but not marked": ("checkpoint not yet marked", 4, 0),
    "when all is trained and the model saved": ("model saved, run not", 4, 28),
}


@pytest.mark.parametrize("moment", KILLS)
def test_killed_and_resumed_it_ends_in_the_same_bits(
    processes, goes_on, reference, tmp_path, moment
):
    at, save_every, expected = KILLS[moment]
    request = {"kill_at": at, "save_every": save_every}
    assert processes.run(tmp_path / "run", request)[0] == [-signal.SIGKILL]
    goes_on(tmp_path / "run", reference, expected, {"save_every": save_every})


def test_killed_while_clearing_up_it_is_finished(processes, goes_on, reference, tmp_path):
    request = {"kill_at": "checkpoints not yet removed", "save_every": 7}
    assert processes.run(tmp_path / "run", request)[0] == [-signal.SIGKILL]
    goes_on(tmp_path / "run", reference, 30)
    # Nothing was trained: the one report says that it was finished.
    assert processes.printed()[0].count('"phase": "finished"') == 1


def test_stopped_by_ctrl_c_and_resumed_it_ends_in_the_same_bits(
    processes, goes_on, reference, tmp_path
):
    for stop_at, steps in ((5, 5), (1, 6), (11, 17)):  # counted by each process anew
        statuses, reports, printed = processes.run(tmp_path / "run", {"stop_at": stop_at})
        assert statuses == [0], printed
        assert (reports[-1]["phase"], reports[-1]["step"]) == ("stopped", steps)
        assert load_run(tmp_path / "run").finished is False
        load_model(tmp_path / "run")
    goes_on(tmp_path / "run", reference, 17)


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(100, 110))]
)
def test_killed_again_and_again_at_random_moments_it_ends_in_the_same_bits(
    processes, goes_on, reference, tmp_path, seed
):
    choose, folder = random.Random(seed), tmp_path / "run"
    for _ in range(4 if seed == 1 else 8):
        if (folder / RUN).is_file() and load_run(folder).finished:
            break
        (pid,) = processes.start(folder, {"save_every": choose.choice((1, 2, 5))})
        started = time.monotonic()
        if choose.random() < 0.7:  # else anywhere, also while it is loading
            while not processes.last[0].exists() or '"step"' not in processes.printed()[0]:
                time.sleep(0.002)
                assert time.monotonic() - started < 300, processes.printed()
        time.sleep(choose.uniform(0, 0.8))
        os.kill(pid, signal.SIGKILL)
        processes.statuses()
    goes_on(folder, reference, None)


# --- damaged checkpoints ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(processes, tmp_path_factory) -> Path:
    """A run that was killed in its tenth step: checkpoints of steps 6 and 9 are there."""
    folder = tmp_path_factory.mktemp("runs") / "killed"
    assert processes.run(folder, {"kill_at": 10, "save_every": 3})[0] == [-signal.SIGKILL]
    assert checkpoints(folder) == {"checkpoint-6", "checkpoint-9"}
    return folder


def checkpoints(folder: Path) -> set[str]:
    return {path.name for path in (folder / CHECKPOINTS).iterdir()}


def change(name: str, damage: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(checkpoint: Path) -> None:
        file = checkpoint / name
        file.write_bytes(damage(file.read_bytes()))

    return apply


def other_byte(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


cut = change("optimizer.pt", lambda content: content[:-100])
DAMAGES = {
    "a file is cut": cut,
    "a byte is another": change("model.safetensors", other_byte),
    "a file is missing": lambda checkpoint: (checkpoint / "scheduler.pt").unlink(),
    "the manifest is empty": change(MANIFEST, lambda content: b""),
    "it is half written": lambda checkpoint: (checkpoint / MANIFEST).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_a_checkpoint_is_damaged_the_older_one_serves(
    processes, killed, goes_on, reference, tmp_path, damage
):
    folder = tmp_path / "run"
    shutil.copytree(killed, folder)
    DAMAGES[damage](folder / CHECKPOINTS / "checkpoint-9")
    statuses, reports, printed = processes.run(folder, {"stop_at": 1})
    assert (statuses, reports[0]["step"]) == ([0], 6), printed
    assert checkpoints(folder) == {"checkpoint-6", "checkpoint-7"}
    if damage == "a file is cut":
        goes_on(folder, reference, 7)


def test_where_all_checkpoints_are_damaged_one_sentence_says_so_and_they_stay(
    processes, killed, tmp_path
):
    folder = tmp_path / "run"
    shutil.copytree(killed, folder)
    for checkpoint in (folder / CHECKPOINTS).iterdir():
        cut(checkpoint)
    statuses, _, (text,) = processes.run(folder)
    assert statuses == [2] and text.count("\n") == 1
    says = f"the checkpoints in {folder / CHECKPOINTS} are damaged (checkpoint-9, checkpoint-6); "
    assert text.startswith(says)
    shutil.rmtree(folder / CHECKPOINTS)  # as it says
    statuses, reports, _ = processes.run(folder)
    assert (statuses, reports[0]["step"]) == ([0], 0)


# --- several processes ------------------------------------------------------------------------


def several(n: int, **of_one: dict) -> list[dict]:
    """Requests for `n` processes as torchrun starts them; `process_0={...}` goes to that one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(n), "LOCAL_WORLD_SIZE": str(n)}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    requests = []
    for i in range(n):
        environment = shared | {"RANK": str(i), "LOCAL_RANK": str(i)}
        request = {"environment": environment, "save_every": 7}
        requests.append(request | of_one.get(f"process_{i}", {}))
    return requests


@pytest.fixture(scope="module")
def two(processes, tmp_path_factory) -> SimpleNamespace:
    """An uninterrupted run of 30 steps on two processes: its folder, and what each printed."""
    folder = tmp_path_factory.mktemp("runs") / "two"
    statuses, _, printed = processes.run(folder, *several(2))
    assert statuses == [0, 0], printed
    return SimpleNamespace(folder=folder, printed=printed)


def largest_difference(a: Path, b: Path) -> float:
    first, second = weights(a), weights(b)
    assert {*first} == {*second}
    with_gradient = [name for name in first if not name.endswith(WITHOUT_GRADIENT)]
    return max(float((first[name] - second[name]).abs().max()) for name in with_gradient)


def test_two_processes_give_the_result_of_one_and_only_the_first_reports(
    processes, reference, two, tmp_path
):
    assert two.printed[1] == "" and two.printed[0].count('"phase"') == 32
    run, one = load_run(two.folder), load_run(reference)
    assert (run.processes, one.processes, run.steps, one.steps) == (2, 1, 30, 30)
    losses = [entry["loss"] for entry in one.history]
    assert [entry["loss"] for entry in run.history] == pytest.approx(losses, abs=1e-4)
    assert largest_difference(two.folder, reference) < 2e-3, "half precision's own steps"
    # Which a difference of one batch would exceed by far:
    processes.run(tmp_path / "other", seed=1)
    assert largest_difference(two.folder, tmp_path / "other") > 1e-2


def test_two_processes_score_on_the_way_save_by_the_clock_and_stop_together(
    processes, harbour, tmp_path
):
    """Each has its clock: were only one to score or save, they would wait for each other."""
    (tmp_path / "data").mkdir()
    harbour.to_parquet(tmp_path / "data" / "train.parquet")
    harbour.select(range(20)).to_parquet(tmp_path / "data" / "validation.parquet")
    requests = several(2, process_0={"checkpoints": 0.05}, process_1={"checkpoints": 0.05})
    for request in requests:
        del request["save_every"]
    requests[1]["late"] = 0.1
    options = {"data": str(tmp_path / "data"), "epochs": None, "minutes": 0.03}
    statuses, reports, printed = processes.run(tmp_path / "run", *requests, **options)
    assert statuses == [0, 0], printed
    run = load_run(tmp_path / "run")
    assert run.finished and 1 <= sum("f1" in entry for entry in run.history) <= 4
    assert reports[-1]["phase"] == "finished" and run.evaluation_seconds > 0 < run.saving_seconds


PEER_GONE = "another process of this command has ended, or this one was told to; "
PEER_GONE += "the same call with resume=True (--resume) goes on"

# Which of two processes is killed, where, and from which step both must go on.
KILLS_OF_TWO = {
    "the first, in the last step": (0, 30, 28),
    "the second, before it has written its share": (1, "checkpoint perhaps not yet whole", 0),
}


@pytest.mark.parametrize("moment", KILLS_OF_TWO)
def test_when_one_of_two_is_killed_the_other_says_so_and_a_resume_ends_in_the_same_bits(
    processes, two, goes_on, tmp_path, moment
):
    (killed_one, at, expected), folder = KILLS_OF_TWO[moment], tmp_path / "run"
    requests = several(2, **{f"process_{killed_one}": {"kill_at": at}})
    statuses, _, printed = processes.run(folder, *requests)
    other = 1 - killed_one
    assert (statuses[killed_one], statuses[other]) == (-signal.SIGKILL, 2), printed
    assert printed[other].splitlines()[-1] == f"{PEER_GONE} from the last checkpoint in {folder}."
    goes_on(folder, two.folder, expected, *several(2))


def test_ctrl_c_in_one_of_two_processes_stops_both_and_one_process_can_go_on(
    processes, reference, tmp_path
):
    folder = tmp_path / "run"
    statuses, _, printed = processes.run(folder, *several(2, process_1={"stop_at": 9}))
    assert statuses == [0, 0], printed
    assert (load_run(folder).steps, load_run(folder).processes) == (9, 2)
    statuses, reports, printed = processes.run(folder)
    assert (statuses, reports[0]["step"]) == ([0], 9), printed
    run = load_run(folder)
    assert (run.finished, run.processes) == (True, 1)
    assert [entry["step"] for entry in run.history] == list(range(1, 31))
    assert largest_difference(folder, reference) < 2e-3


def test_a_loss_that_is_not_a_number_in_one_of_two_processes_ends_both_with_the_same_sentence(
    processes, tmp_path
):
    folder, often = tmp_path / "run", {"save_every": 2}
    requests = several(2, process_0=often, process_1=often | {"nan_at": 5})
    statuses, reports, printed = processes.run(folder, *requests)
    assert statuses == [2, 2], printed
    says = f"the loss is not a number at step 5 of the run in {folder};"
    assert all(says in text.splitlines()[-1] for text in printed)
    assert {report["phase"] for report in reports} == {"training"} and not load_run(folder).finished
    assert checkpoints(folder) == {"checkpoint-2", "checkpoint-4"}
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


@pytest.fixture
def launch(course, clean_environment, harbour_file, tiny_folder) -> Callable[..., subprocess.Popen]:
    """Starts `python -m src.qa train`, on one process or by torchrun on several."""

    def start(output_dir: Path, n: int, *more: str) -> subprocess.Popen:
        torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(n)] if n > 1 else []
        command = [sys.executable, *torchrun, "-m", "src.qa", "train", "--data", str(harbour_file)]
        command += ["--model", str(tiny_folder), "--output-dir", str(output_dir)]
        return subprocess.Popen(
            [*command, "--batch-size", str(B), "--json", *more],
            cwd=course,
            env=clean_environment | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def result_of(process: subprocess.Popen) -> dict:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.count('"finished"') == out.count("finished · step ") == 1
    return json.loads(out.splitlines()[-1])


@pytest.mark.full
@pytest.mark.parametrize("n", [1, 2])
def test_ctrl_c_at_the_terminal_ends_well_and_resume_finishes(launch, tmp_path, n):
    process = launch(tmp_path / "run", n, "--epochs", "80")
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
    resumed = launch(tmp_path / "run", n, "--epochs", "80", "--resume")
    assert result_of(resumed)["steps"] == 1200


@pytest.mark.full
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_worker_killed_under_torchrun_ends_the_command_and_resume_finishes(
    launch, tmp_path, rank
):
    process = launch(tmp_path / "run", 2, "--epochs", "40")
    line = process.stdout.readline()
    assert line.startswith("step 0 of 600 · "), process.communicate()
    time.sleep(0.5)
    workers = psutil.Process(process.pid).children()
    (worker,) = (each for each in workers if each.environ().get("LOCAL_RANK") == rank)
    worker.kill()
    out, err = process.communicate(timeout=120)
    assert process.returncode != 0
    # The first is the one that speaks; torchrun names who was killed.
    assert err.count(f"error: {PEER_GONE}") == (1 if rank == "1" else 0), err
    assert "SIGKILL" in err and out.count('"finished"') == 0
    resumed = launch(tmp_path / "run", 2, "--epochs", "40", "--resume")
    assert result_of(resumed)["steps"] == 600
