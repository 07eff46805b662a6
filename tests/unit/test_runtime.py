"""src/runtime.py: light to import, quiet to start, repeatable, right about the latest run."""

from __future__ import annotations

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

HEAVY = ("torch", "transformers", "datasets", "sklearn", "pandas", "gensim")


def run_python(
    code: str, course: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh Python that works in the course's folder."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=course, env=environment, capture_output=True, text=True
    )


def test_starting_is_quiet_and_loads_nothing_heavy(
    course: Path, clean_environment: dict[str, str]
) -> None:
    code = "import sys; from src import runtime; runtime.start(); runtime.start(); "
    code += f"sys.exit(' '.join(set({HEAVY}) & set(sys.modules)))"
    result = run_python(code, course, clean_environment)
    assert (result.stdout, result.stderr.strip()) == ("", "")


def test_the_hub_is_off_unless_asked_for_and_a_readers_own_setting_wins(
    course: Path, clean_environment: dict[str, str]
) -> None:
    code = "from src import runtime; runtime.start(); "
    code += "import os; print(os.environ.get('HF_HUB_OFFLINE'))"
    answers = [
        run_python(code, course, clean_environment | settings).stdout.strip()
        for settings in (
            {},
            {"COURSE_ONLINE": "1"},
            {"COURSE_ONLINE": "0"},
            {"HF_HUB_OFFLINE": "0"},
        )
    ]
    assert answers == ["1", "None", "1", "0"]


# --- how threads wait ----------------------------------------------------------------------------

WAITING = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")
# Runs a script up to its first look for torch; the status says how threads would wait.
UP_TO_TORCH = """
import importlib.abc, os, runpy, sys
class Spy(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            os._exit(11 if os.environ.get("GOMP_SPINCOUNT") else 12)
sys.meta_path.insert(0, Spy())
sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[1])))
runpy.run_path(sys.argv[1], run_name="imported")
"""


@pytest.fixture
def no_waiting_set(clean_environment: dict[str, str]) -> dict[str, str]:
    """An environment without settings for waiting, in which OpenMP says what it was told."""
    others = {name: value for name, value in clean_environment.items() if name not in WAITING}
    return others | {"OMP_DISPLAY_ENV": "VERBOSE"}


def spin_count_of(stderr: str) -> str:
    """What GNU's OpenMP library displayed as it was loaded; skips where torch has another one."""
    if "OMP_WAIT_POLICY" not in stderr:
        pytest.skip("torch has another OpenMP library here")
    (count,) = set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", stderr))
    return count


def test_whatever_loads_torch_first_threads_wait_asleep_by_then(
    course: Path, no_waiting_set: dict[str, str]
) -> None:
    files = [
        *(course / "tools").glob("*.py"),
        *(course / "benchmarks").glob("*.py"),
        *(course / "tests" / "unit" / "qa").glob("*_processes.py"),
    ]
    scripts = [
        path
        for path in files
        if path.name != "setup_cell.py" and "__main__" in path.read_text(encoding="utf-8")
    ]
    found = {
        path.name: subprocess.run(
            [sys.executable, "-c", UP_TO_TORCH, path],
            cwd=course,
            env=no_waiting_set,
            capture_output=True,
        ).returncode
        for path in scripts
    }
    assert {name: status for name, status in found.items() if status not in (0, 11)} == {}
    assert found["make_sequences.py"] == found["bench_finetune.py"] == 11


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "src.qa", "evaluate", "--data", "nowhere.json"],
        ["-c", "from src.qa import QuestionAnswerer"],
        ["-c", "from src import runtime; runtime.start(); import torch"],
    ],
)
def test_torchs_own_library_takes_the_spin_count(
    course: Path, no_waiting_set: dict[str, str], command: list[str]
) -> None:
    result = subprocess.run(
        [sys.executable, *command], cwd=course, env=no_waiting_set, capture_output=True, text=True
    )
    assert spin_count_of(result.stderr) == str(runtime.SPIN_COUNT)


@pytest.mark.parametrize(
    ("own", "count"),
    [({"GOMP_SPINCOUNT": "123"}, "123"), ({"OMP_WAIT_POLICY": "active"}, "30000000000")],
)
def test_a_readers_own_way_of_waiting_wins(
    course: Path, no_waiting_set: dict[str, str], own: dict[str, str], count: str
) -> None:
    result = run_python(
        "from src import runtime; runtime.start(); import torch", course, no_waiting_set | own
    )
    assert spin_count_of(result.stderr) == count


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is said")
@pytest.mark.parametrize(
    ("threads", "own", "code", "told"),
    [
        (2, {}, "import torch; from src import runtime; runtime.start(); runtime.start()", 2),
        (2, {}, "from src import runtime; import torch; runtime.start()", 0),
        (1, {}, "import torch; from src import runtime; runtime.start()", 0),
        (
            2,
            {"OMP_WAIT_POLICY": "passive"},
            "import torch; from src import runtime; runtime.start()",
            0,
        ),
        (2, {"GOMP_SPINCOUNT": "0"}, "import torch; from src import runtime; runtime.start()", 0),
    ],
)
def test_threads_that_spin_since_torch_came_first_are_told_of(
    course: Path,
    no_waiting_set: dict[str, str],
    threads: int,
    own: dict[str, str],
    code: str,
    told: int,
) -> None:
    settings = {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": "", **own}
    result = run_python(code, course, no_waiting_set | settings)
    lines = result.stdout.splitlines()
    assert result.returncode == 0 and len(lines) == told, result.stderr
    assert all(
        line.startswith("torch was loaded before the course") and "Restart the kernel" in line
        for line in lines
    )


# --- seeds ---------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_numbers_in_all_three_libraries() -> None:

    def draw() -> tuple:
        return random.random(), np.random.rand(), torch.rand(1).item()

    runtime.set_seed(7)
    first = draw()
    runtime.set_seed(7)
    assert draw() == first
    runtime.set_seed(8)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_torch_is_seeded_when_it_is_imported_later(
    course: Path, clean_environment: dict[str, str]
) -> None:
    code = """
import importlib.util
from src import runtime
runtime.set_seed(1), runtime.set_seed(5)
assert importlib.util.find_spec("torch")
import torch
first = torch.rand(1)
torch.manual_seed(5)
assert first == torch.rand(1)
print("same")
"""
    result = run_python(code, course, clean_environment)
    assert result.stdout.strip() == "same", result.stderr


def test_two_set_up_cells_install_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pips at once in one Python break it."""
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "pyproject.toml").touch()
    locked = []

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        with (tmp_path / "course" / "pyproject.toml").open() as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                locked.append(command[-1])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtime, "COURSE", tmp_path / "course")
    monkeypatch.setattr(runtime, "missing_packages", lambda: ["something>=1"])
    monkeypatch.setattr(runtime.subprocess, "run", pip)
    runtime.ensure_packages()
    runtime.ensure_packages()
    assert locked == ["something>=1"] * 2, "the lock is held while pip runs, and let go afterwards"


def test_fast_mode_cuts_minutes_to_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_FAST", raising=False)
    assert not runtime.is_fast() and runtime.minutes(3) == 3
    monkeypatch.setenv("COURSE_FAST", "0")
    assert not runtime.is_fast()
    monkeypatch.setenv("COURSE_FAST", "1")
    assert runtime.is_fast() and runtime.minutes(3) * 60 == pytest.approx(runtime.FAST_SECONDS)
    assert runtime.minutes(0.01) == 0.01, "less than the fast budget stays as it is"


def test_the_machine_line_names_cores_memory_and_versions() -> None:
    line = runtime.machine()
    assert "\n" not in line and "GB memory" in line
    assert line.split()[0].isdigit() and int(line.split()[0]) <= (os.cpu_count() or 1)
    assert f"Python {sys.version.split()[0]}" in line and "torch 2." in line


def test_progress_lines_come_now_and_then_and_at_each_change_of_phase(
    capsys: pytest.CaptureFixture[str],
) -> None:
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


def test_runs_go_where_they_cannot_be_taken_for_another_kinds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("COURSE_RUNS", "COURSE_FAST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(
        tmp_path
    )  # a kernel works in notebooks/, a script anywhere: the folder is the same
    assert runtime.run_folder("06") == runtime.COURSE / "build/runs/06"
    monkeypatch.setenv("COURSE_FAST", "1")
    assert runtime.run_folder("06") == runtime.COURSE / "build/runs-fast/06"
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    assert runtime.run_folder("06") == tmp_path / "06"
    monkeypatch.setenv("COURSE_RUNS", "build/elsewhere")
    assert runtime.run_folder("06") == runtime.COURSE / "build/elsewhere/06"
    assert not (runtime.COURSE / "build/elsewhere").exists(), "asking makes no folder"


def make_run(folder: Path, state: str | dict, age: float = 0.0) -> Path:
    """A run's folder whose run.json says `state`, written `age` seconds ago."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(state if isinstance(state, str) else json.dumps(state))
    stamp = time.time() - age
    os.utime(folder / "run.json", (stamp, stamp))
    return folder


def test_the_newest_finished_run_is_taken_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "qa" / "old", {"finished": True}, age=100)
    newest = make_run(tmp_path / "qa" / "new", {"finished": True}, age=50)
    make_run(tmp_path / "qa" / "interrupted", {"finished": False})
    make_run(tmp_path / "qa" / "half-written", '{"finished": tr')
    make_run(tmp_path / "qa" / "not-ours", "[1]")
    (tmp_path / "qa" / "empty").mkdir()
    assert runtime.latest_run(tmp_path / "qa", tmp_path / "shipped") == newest
    printed = capsys.readouterr().out
    assert str(newest) in printed and printed.count("\n") == 1


@pytest.mark.parametrize("variable", [None, "build/notebook-runs/06_bert_squad"])
def test_a_restarted_kernel_finds_its_run_again_and_prints_no_path_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    variable: str | None,
) -> None:
    monkeypatch.setattr(runtime, "COURSE", tmp_path)
    monkeypatch.delenv("COURSE_FAST", raising=False)
    if variable is None:
        monkeypatch.delenv("COURSE_RUNS", raising=False)
    else:
        monkeypatch.setenv(
            "COURSE_RUNS", str(tmp_path / variable)
        )  # absolute, as tools/run_notebooks.py gives it
    (tmp_path / "weights" / "qa-minilm").mkdir(parents=True)
    assert (
        runtime.latest_run(runtime.run_folder("06"), "weights/qa-minilm")
        == tmp_path / "weights/qa-minilm"
    )
    make_run(runtime.run_folder("06") / "live", {"finished": True}, age=50)
    newest = make_run(runtime.run_folder("06") / "more", {"finished": True}, age=10)
    make_run(runtime.run_folder("07") / "other", {"finished": True})
    assert runtime.latest_run(runtime.run_folder("06"), "weights/qa-minilm") == newest
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and str(tmp_path) not in " ".join(lines)
    assert lines[1] == f"Using your own run in {variable or 'build/runs'}/06/more."


def test_a_newer_run_beside_it_counts_too_and_other_names_do_not(tmp_path: Path) -> None:
    live = make_run(tmp_path / "li[v]e", {"finished": True}, age=100)
    beside = make_run(tmp_path / "li[v]e-2", {"finished": True}, age=50)
    make_run(tmp_path / "li[v]e-3", {"finished": False})
    for name in ("li[v]e-old", "li[v]e-2b", "live-4", "another"):
        make_run(tmp_path / name, {"finished": True})
    assert runtime.latest_run(live, tmp_path / "shipped") == beside
    make_run(live / "longer", {"finished": True}, age=10)
    assert runtime.latest_run(live, tmp_path / "shipped") == live / "longer"


def test_without_a_finished_run_the_shipped_one_stands_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shipped").mkdir()
    make_run(tmp_path / "qa" / "interrupted", {"finished": False})
    assert runtime.latest_run(tmp_path / "qa", tmp_path / "shipped") == tmp_path / "shipped"
    assert runtime.latest_run(tmp_path / "never", tmp_path / "shipped") == tmp_path / "shipped"
    with pytest.raises(
        FileNotFoundError, match=r"no finished run in .*/qa and no shipped one at .*/x"
    ):
        runtime.latest_run(tmp_path / "qa", tmp_path / "x")
    assert "shipped" in capsys.readouterr().out


def test_missing_too_old_and_too_new_packages_are_told_from_fitting_ones() -> None:
    import numpy

    major = int(numpy.__version__.split(".")[0])
    fitting, too_new, too_old = (
        f"numpy>={major},<{major + 1}",
        f"numpy<{major}",
        f"numpy>={major + 1}",
    )
    absent = "there-is-no-such-package>=1,<2"
    assert runtime.missing_packages([fitting, too_new, too_old, absent]) == [
        too_new,
        too_old,
        absent,
    ]
    assert runtime.missing_packages() == [], (
        "the environment of the tests holds all of the course's packages"
    )


def test_in_a_readers_own_python_nothing_is_installed_unasked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runtime, "missing_packages", lambda: ["gensim>=4,<5"])
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("pip was started"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImportError, match=r"lacks what the course needs: gensim.*make lab"):
        runtime.ensure_packages()


def test_figures_are_opaque_light_and_small(tmp_path: Path) -> None:
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
