"""src/runtime.py: light to import, quiet to start, repeatable, right about the latest run."""

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from src import runtime

START = "from src import runtime; runtime.start(); "


def run_python(
    course: Path, environment: dict[str, str], *command: str
) -> subprocess.CompletedProcess[str]:
    """A fresh Python that works in the course's folder; one argument is code."""
    given = command if len(command) > 1 else ("-c", *command)
    settings = {"cwd": course, "env": environment, "capture_output": True}
    return subprocess.run([sys.executable, *given], text=True, **settings)


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        (f"{START}{START}pass", "torch transformers datasets sklearn pandas gensim"),
        ("import src.assets", "torch numpy filelock"),
        ("import src.embeddings", "torch gensim sklearn pandas scipy"),
        ("import src.qa.open_domain, src.qa.retriever", "torch transformers bm25s datasets"),
        ("from src.teaching.environment import environment; environment()", "torch transformers"),
    ],
)
def test_it_starts_quietly_and_loads_nothing_heavy(course, clean_environment, code, heavy):
    code = f"import sys; {code}; sys.exit(' '.join({{*{heavy.split()}}} & set(sys.modules)))"
    result = run_python(course, clean_environment, code)
    assert (result.stdout, result.stderr.strip()) == ("", "")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "1"),
        ({"COURSE_ONLINE": "0"}, "1"),
        ({"COURSE_ONLINE": "1"}, "None"),
        ({"HF_HUB_OFFLINE": "0"}, "0"),
    ],
)
def test_the_hub_is_off_unless_asked_for_and_a_readers_own_setting_wins(
    course, clean_environment, settings, told
):
    code = "from src import runtime; runtime.configure_libraries(); "
    code += "import os; print(os.environ.get('HF_HUB_OFFLINE'))"
    assert run_python(course, clean_environment | settings, code).stdout == f"{told}\n"


# --- how threads wait ----------------------------------------------------------------------------

WAITING = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")
# Runs scripts, each up to its first look for torch; the status says how threads would wait.
UP_TO_TORCH = """
import importlib.abc, os, runpy, sys
import matplotlib.pyplot, pandas, scipy.stats, sklearn.linear_model  # slow, so once for all
class Spy(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            os._exit(11 if os.environ.get("GOMP_SPINCOUNT") else 12)
sys.meta_path.insert(0, Spy())
for path in sys.argv[1:]:
    child = os.fork()
    if not child:
        sys.path.insert(0, os.path.dirname(path))
        try:
            runpy.run_path(path, run_name="imported")
            os._exit(0)
        finally:
            os._exit(1)
    print(os.path.basename(path), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
# The library itself, which takes seconds less than torch with it.
OPENMP = f"""{START}
import ctypes, importlib.util, pathlib
(folder,) = importlib.util.find_spec("torch").submodule_search_locations
for library in pathlib.Path(folder).glob("lib/libgomp*"):
    ctypes.CDLL(str(library))
"""


@pytest.fixture
def no_waiting_set(clean_environment) -> dict[str, str]:
    """An environment without settings for waiting, in which OpenMP says what it was told."""
    others = {name: value for name, value in clean_environment.items() if name not in WAITING}
    return others | {"OMP_DISPLAY_ENV": "VERBOSE"}


def spin_count_of(stderr: str) -> str:
    """What GNU's OpenMP library displayed as it was loaded; skips where torch has another one."""
    if "OMP_WAIT_POLICY" not in stderr:
        pytest.skip("torch has another OpenMP library here")
    (count,) = set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", stderr))
    return count


def test_whatever_loads_torch_first_threads_wait_asleep_by_then(course, no_waiting_set):
    files = [*(course / "tools").glob("*.py"), *(course / "benchmarks").glob("*.py")]
    files += (course / "tests" / "unit" / "qa").glob("*_processes.py")
    programs = [
        str(path)
        for path in files
        if path.name != "setup_cell.py" and "__main__" in path.read_text(encoding="utf-8")
    ]
    result = run_python(course, no_waiting_set, "-c", UP_TO_TORCH, *programs)
    found = dict(line.split() for line in result.stdout.splitlines())
    assert len(found) == len(programs) and set(found.values()) == {"0", "11"}, found
    assert found["make_sequences.py"] == found["bench_finetune.py"] == "11"


DEFAULT = str(runtime.SPIN_COUNT)


@pytest.mark.parametrize(
    ("own", "command", "count"),
    [
        ({}, ("-m", "src.qa", "evaluate", "--data", "nowhere.json"), DEFAULT),
        ({}, (OPENMP,), DEFAULT),
        ({"GOMP_SPINCOUNT": "123"}, (OPENMP,), "123"),
        ({"OMP_WAIT_POLICY": "active"}, (OPENMP,), "30000000000"),
    ],
)
def test_torchs_own_library_takes_the_spin_count_and_a_readers_own_wins(
    course, no_waiting_set, own, command, count
):
    result = run_python(course, no_waiting_set | own, *command)
    assert spin_count_of(result.stderr) == count


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is said")
@pytest.mark.parametrize(
    ("own", "threads", "told"),
    [
        ({}, 2, 2),
        ({"GOMP_SPINCOUNT": "6000"}, 2, 0),  # as where the course came before torch
        ({"OMP_WAIT_POLICY": "passive"}, 2, 0),
        ({}, 1, 0),
    ],
)
def test_threads_that_spin_since_torch_came_first_are_told_of(
    monkeypatch, capsys, own, threads, told
):
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runtime, "_threads_spin", False)
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr("matplotlib.style.use", lambda style: None)
    for _ in range(2):
        runtime.start()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == told
    for line in lines:
        assert line.startswith("torch was loaded before") and "Restart the kernel" in line


# --- seeds ---------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_numbers_in_all_three_libraries():
    drawn = []
    for seed in (7, 7, 8):
        runtime.set_seed(seed)
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
    assert all(a != b for a, b in zip(drawn[1], drawn[2], strict=True))


def test_torch_is_seeded_when_it_is_imported_later(course, clean_environment):
    code = """
import importlib.util
from src import runtime
runtime.set_seed(1), runtime.set_seed(5)
assert importlib.util.find_spec("torch")
import torch
first = torch.rand(1)
torch.manual_seed(5)
assert first == torch.rand(1)
"""
    result = run_python(course, clean_environment, code)
    assert result.returncode == 0, result.stderr


# --- packages ------------------------------------------------------------------------------------


def test_missing_too_old_and_too_new_packages_are_told_from_fitting_ones():
    major = int(np.__version__.split(".")[0])
    unfit = [f"numpy<{major}", f"numpy>={major + 1}", "there-is-no-such-package>=1,<2"]
    assert runtime.missing_packages([f"numpy>={major},<{major + 1}", *unfit]) == unfit
    assert runtime.missing_packages() == [], "here are all of the course's packages"


def test_in_a_readers_own_python_nothing_is_installed_unasked(monkeypatch, tmp_path):
    monkeypatch.setattr(runtime, "missing_packages", lambda: ["gensim>=4,<5"])
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("pip was started"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImportError, match=r"lacks what the course needs: gensim.*make lab"):
        runtime.ensure_packages()


def test_two_set_up_cells_install_one_after_the_other(tmp_path, monkeypatch):
    """Two pips at once in one Python break it."""
    fcntl = pytest.importorskip("fcntl")
    project, locked = tmp_path / "course" / "pyproject.toml", []
    project.parent.mkdir()
    project.touch()

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        with project.open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked.append(command[-1])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtime, "COURSE", project.parent)
    monkeypatch.setattr(runtime, "missing_packages", lambda: ["something>=1"])
    monkeypatch.setattr(runtime.subprocess, "run", pip)
    runtime.ensure_packages()
    runtime.ensure_packages()
    assert locked == ["something>=1"] * 2, "the lock is let go afterwards"


# --- the machine, progress -----------------------------------------------------------------------


def test_fast_mode_cuts_minutes_to_seconds(monkeypatch):
    for value, minutes in ((None, 3), ("0", 3), ("1", runtime.FAST_SECONDS / 60)):
        monkeypatch.delenv("COURSE_FAST", raising=False)
        if value is not None:
            monkeypatch.setenv("COURSE_FAST", value)
        assert runtime.is_fast() == (value == "1") and runtime.minutes(3) == minutes
    assert runtime.minutes(0.01) == 0.01, "less than the fast budget stays as it is"


def test_the_machine_line_names_cores_memory_and_versions():
    line, shown = runtime.machine_line(), f"These outputs come from {runtime.machine()}."
    assert "\n" not in line and "GB memory" in line
    assert " ".join(shown.split()) == f"These outputs come from {line}."
    assert max(map(len, shown.splitlines())) <= 76
    assert line.split()[0].isdigit() and int(line.split()[0]) <= (os.cpu_count() or 1)
    assert f"Python {sys.version.split()[0]}" in line and "torch 2." in line


def test_progress_lines_come_now_and_then_and_at_each_change_of_phase(capsys):
    progress = {
        "step": 1,
        "steps": 9,
        "planned_seconds": 20.0,
        "loss": None,
        "examples_per_second": 3.14,
        "phase": "training",
    }
    report = runtime.print_progress(every=5)
    report({"phase": "training", "step": 0, "seconds": 0.0, "steps": 30, "planned_seconds": None})
    report({"phase": "training", "step": 0, "seconds": 6.0, "steps": None, "planned_seconds": 60.0})
    report = runtime.print_progress(every=5)
    for seconds in (0.0, 1.0, 4.9, 5.0, 9.0, 24.0):
        report(progress | {"seconds": seconds, "loss": seconds or None})
    report(progress | {"seconds": 24.1, "phase": "finished"})
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "step 0 of 30 · 0 s",
        "step 0 · 6 s of 60 s",
        "step 1 of 9 · 0 s of 20 s · 3.1 questions/s",
        "step 1 of 9 · 5 s of 20 s · 3.1 questions/s · loss 5.00",
        "step 1 of 9 · 24 s of 20 s · 3.1 questions/s · loss 24.00 · slower than planned",
        "finished · step 1 of 9 · 24 s of 20 s · 3.1 questions/s · slower than planned",
    ]


# --- runs ----------------------------------------------------------------------------------------


def test_runs_go_where_they_cannot_be_taken_for_another_kinds(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # a kernel works in notebooks/, a script anywhere: all the same
    for name in ("COURSE_RUNS", "COURSE_FAST"):
        monkeypatch.delenv(name, raising=False)
    assert runtime.run_folder("06") == runtime.COURSE / "build/runs/06"
    monkeypatch.setenv("COURSE_FAST", "1")
    assert runtime.run_folder("06") == runtime.COURSE / "build/runs-fast/06"
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    assert runtime.run_folder("06") == tmp_path
    monkeypatch.setenv("COURSE_RUNS", "build/elsewhere")
    assert runtime.run_folder("06") == runtime.COURSE / "build/elsewhere"
    assert not (runtime.COURSE / "build/elsewhere").exists(), "asking makes no folder"


FINISHED = {"finished": True}


@pytest.fixture
def runs(monkeypatch, tmp_path) -> Path:
    """A folder of runs in a course that comes with a shipped one."""
    monkeypatch.setattr(runtime, "COURSE", tmp_path)
    (tmp_path / "weights" / "shipped").mkdir(parents=True)
    return tmp_path / "runs"


def make_run(folder: Path, state: object, age: float = 0.0) -> Path:
    """A run's folder whose run.json says `state`, written `age` seconds ago."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(state if isinstance(state, str) else json.dumps(state))
    stamp = time.time() - age
    os.utime(folder / "run.json", (stamp, stamp))
    return folder


def test_the_newest_finished_run_is_taken_and_named_without_a_path_of_the_machine(runs, capsys):
    make_run(runs / "old", FINISHED, age=100)
    newest = make_run(runs / "new", FINISHED, age=50)
    make_run(runs / "interrupted", {"finished": False})
    make_run(runs / "half-written", '{"finished": tr')
    make_run(runs / "not-ours", [1])
    (runs / "empty").mkdir()
    make_run(runs.parent / "others" / "other", FINISHED)
    assert runtime.latest_run("runs", "weights/shipped") == newest
    assert runtime.latest_run(runs, "weights/shipped") == newest
    assert capsys.readouterr().out == "Using your own run in runs/new.\n" * 2


def test_a_newer_run_beside_it_counts_too_and_other_names_do_not(runs):
    live = make_run(runs / "li[v]e", FINISHED, age=100)
    beside = make_run(runs / "li[v]e-2", FINISHED, age=50)
    make_run(runs / "li[v]e-3", {"finished": False})
    for name in ("li[v]e-old", "li[v]e-2b", "live-4", "another"):
        make_run(runs / name, FINISHED)
    assert runtime.latest_run(live, "weights/shipped") == beside
    longer = make_run(live / "longer", FINISHED, age=10)
    assert runtime.latest_run(live, "weights/shipped") == longer


def test_without_a_finished_run_the_shipped_one_stands_in(runs, capsys):
    make_run(runs / "interrupted", {"finished": False})
    for folder in ("runs", "never"):
        shipped = runtime.latest_run(folder, "weights/shipped")
        assert shipped == runs.parent / "weights/shipped"
        assert capsys.readouterr().out.startswith("Using the shipped result in weights/shipped:")
    with pytest.raises(FileNotFoundError, match="no finished run in runs and no shipped one at x:"):
        runtime.latest_run("runs", "x")


def test_figures_are_opaque_light_and_small(tmp_path):
    import matplotlib.style
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    with matplotlib.style.context(runtime.COURSE / "src/plots/course.mplstyle"):
        figure = Figure()
        axes = figure.subplots()
        image = axes.imshow(np.random.default_rng(0).random((24, 24)))
        assert image.get_cmap().name == "viridis"
        figure.savefig(tmp_path / "heatmap.png")
    pixels = imread(tmp_path / "heatmap.png")
    assert pixels.shape[2] == 3 or pixels[..., 3].min() == 1, (
        "a transparent figure vanishes on a dark page"
    )
    assert pixels[0, 0, :3].min() > 0.95, "dark text needs a light background"
    assert (tmp_path / "heatmap.png").stat().st_size <= 60_000
