"""The two commands as a stranger types them: in a fresh clone, in a folder with spaces, with an old
Python or no network."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import environment

STAMP = ".venv/.course-stamp"
NO_INDEX = {  # nothing listens on port 9 of this machine: the quick way to have no network
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
    "PIP_RETRIES": "0",
    "https_proxy": "http://127.0.0.1:9",
}


@pytest.fixture
def checkout(repository, tmp_path) -> Path:
    """A fresh clone in a folder with spaces in its name."""
    folder = tmp_path / "words to answers, a clone"
    subprocess.run(
        ["git", "clone", "--quiet", str(repository), str(folder)], check=True, capture_output=True
    )
    return folder


def make(folder: Path, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run make there without anybody at the keyboard."""
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def sentence(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that says what is wrong, where make failed and nothing was traced."""
    assert result.returncode != 0
    assert "Traceback" not in result.stdout + result.stderr
    lines = [
        line
        for line in result.stderr.splitlines()
        if line.strip() and not line.startswith("make: ***") and "WARNING" not in line
    ]
    assert len(lines) == 1, result.stderr
    return lines[0]


def fake_python(folder: Path, version: str) -> Path:
    """A program that gives itself out as Python `version` ("3 8")."""
    program = folder / "python-fake"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    return program


def test_make_alone_lists_targets_that_all_exist(checkout, clean_environment):
    result = make(checkout, env=clean_environment)
    targets = re.findall(r"^  ([a-z-]+) +\S", result.stdout, re.MULTILINE)
    assert {
        "course",
        "run",
        "test",
        "test-full",
        "lab",
        "notebooks",
        "site",
        "assets",
        "lint",
        "clean",
    } <= set(targets)
    for target in targets:
        assert make(checkout, "--dry-run", target, env=clean_environment).returncode == 0, target
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("version", ["3 10", "3 14"])
def test_a_python_that_does_not_fit_is_named_with_the_range(
    checkout, tmp_path, clean_environment, version
):
    said = sentence(
        make(checkout, STAMP, f"PYTHON={fake_python(tmp_path, version)}", env=clean_environment)
    )
    assert f"is Python {version.replace(' ', '.')}" in said and "3.11 to 3.13" in said


def test_a_python_that_is_not_there_is_named(checkout, clean_environment):
    assert "PYTHON=/nowhere/python3 does not start" in sentence(
        make(checkout, STAMP, "PYTHON=/nowhere/python3", env=clean_environment)
    )


def test_an_environment_that_is_there_is_compared_with_a_python_that_is_asked_for(
    checkout, clean_environment
):
    (checkout / STAMP).parent.mkdir()
    (checkout / STAMP).touch()
    assert make(checkout, "--question", STAMP, env=clean_environment).returncode == 0, (
        "there is nothing to do"
    )
    assert (
        make(
            checkout, "--question", STAMP, f"PYTHON={sys.executable}", env=clean_environment
        ).returncode
        == 1
    )


OLD_PYTHONS = [
    path
    for path in sorted(Path.home().glob(".pyenv/versions/*/bin/python"))
    if not path.parts[-3].startswith(("3.11", "3.12", "3.13"))
]


@pytest.mark.parametrize("python", OLD_PYTHONS, ids=lambda path: path.parts[-3])
def test_a_really_old_python_says_so_itself_when_there_is_no_other(
    checkout, python, tmp_path, clean_environment
):
    script = str(checkout / "tools" / "pick_python.py")
    environment = clean_environment | {
        "PATH": str(tmp_path)
    }  # an empty folder: no other Python to be found
    said = sentence(
        subprocess.run([str(python), script], env=environment, capture_output=True, text=True)
    )
    assert "needs Python 3.11 to 3.13, but python3 is" in said and str(python) in said


def test_an_old_python3_makes_way_for_a_newer_one_on_the_path(
    checkout, tmp_path, clean_environment
):
    if not OLD_PYTHONS:
        pytest.skip("there is no old Python on this machine")
    (tmp_path / "python3.11").symlink_to(sys.executable)
    (checkout / "tools" / "environment.py").write_text(
        "import sys; print('chosen', *sys.version_info[:2], sys.argv[1:])"
    )
    script = str(checkout / "tools" / "pick_python.py")
    result = subprocess.run(
        [str(OLD_PYTHONS[-1]), script, "--venv", "x"],
        env=clean_environment | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.stdout.strip() == f"chosen 3 {sys.version_info[1]} ['--venv', 'x']", result.stderr


def test_an_index_out_of_reach_is_one_sentence_and_the_next_run_goes_on(
    checkout, clean_environment
):
    offline = clean_environment | NO_INDEX
    said = sentence(make(checkout, STAMP, f"PYTHON={sys.executable}", env=offline))
    assert "package index cannot be reached" in said
    made = (checkout / ".venv" / "pyvenv.cfg").stat().st_mtime_ns
    again = make(checkout, STAMP, f"PYTHON={sys.executable}", env=offline)
    assert "cannot be reached" in sentence(again) and not (checkout / STAMP).exists()
    assert (checkout / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == made, (
        "what was made the first time is used the second time"
    )


def test_a_full_disk_is_one_sentence_before_anything_is_downloaded(checkout, clean_environment):
    """A file system of 30 MB in a mount name space of its own: no full disk is faked."""
    (checkout / ".venv").mkdir()
    script = 'mount -t tmpfs -o size=30m none .venv 2> /dev/null || exit 77; exec make "$@"'
    command = [
        "unshare",
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        script,
        "sh",
        STAMP,
        f"PYTHON={sys.executable}",
    ]
    if not shutil.which("unshare"):
        pytest.skip("needs unshare, of Linux")
    result = subprocess.run(
        command, cwd=checkout, env=clean_environment, capture_output=True, text=True
    )
    if result.returncode == 77 or "unshare failed" in result.stderr:
        pytest.skip("this system does not let a test mount a small disk")
    said = sentence(result)
    assert "0.0 GB free" in said and "make room" in said


def test_a_folder_called_venv_that_is_something_else_is_left_alone(checkout, clean_environment):
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "thesis.txt").write_text("mine")
    assert "is not a Python environment" in sentence(
        make(checkout, STAMP, f"PYTHON={sys.executable}", env=clean_environment)
    )
    assert (checkout / ".venv" / "thesis.txt").read_text() == "mine"


def test_on_linux_without_a_gpu_cuda_builds_are_the_last_resort(monkeypatch, tmp_path):
    """In this order: pip's sources for the CPU build, PyTorch's index of them, the plain build."""

    def asked(gpu: bool, index_answers: bool, works: int, system: str = "Linux") -> list[str]:
        calls: list[str] = []

        def run_pip(venv: Path, *arguments: str) -> tuple[str, int]:
            calls.append(" ".join(arguments))
            return "", 0 if len(calls) == works else 1

        monkeypatch.setattr(environment, "run_pip", run_pip)
        monkeypatch.setattr(environment, "answers", lambda url: index_answers)
        monkeypatch.setattr(environment.platform, "system", lambda: system)
        monkeypatch.setattr(
            environment.shutil, "which", lambda name: "/usr/bin/nvidia-smi" if gpu else None
        )
        environment.install_torch(tmp_path, "2.13.0")
        return [
            "CPU index"
            if environment.TORCH_CPU_INDEX in call
            else "CPU"
            if "+cpu" in call
            else "plain"
            for call in calls
        ]

    assert asked(gpu=False, index_answers=True, works=1) == ["CPU"]
    assert asked(gpu=False, index_answers=True, works=2) == ["CPU", "CPU index"]
    assert asked(gpu=False, index_answers=True, works=3) == ["CPU", "CPU index", "plain"]
    assert asked(gpu=False, index_answers=False, works=2) == ["CPU", "plain"]
    assert asked(gpu=True, index_answers=True, works=1) == ["plain"]
    assert asked(gpu=False, index_answers=True, works=1, system="Darwin") == ["plain"]


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_make_course_in_a_fresh_clone_then_again_at_once_then_without_a_network(
    checkout, clean_environment
):
    first = make(checkout, "course", f"PYTHON={sys.executable}", env=clean_environment)
    assert first.returncode == 0, first.stdout + first.stderr
    told = [
        first.stdout.index(words)
        for words in (
            "0.5 GB to fetch",
            "packages (",
            "site ...",
            "minilm",
            "training",
            "You:",
            "ready",
        )
    ]
    assert told == sorted(told), (
        "first what will be done, then each step, and the answer at the end"
    )
    assert (
        checkout / "build" / "site" / "index.html"
    ).is_file() and "build/site/index.html" in first.stdout
    assert re.search(r"Reader: 8 \(0\.\d\d sure", first.stdout), first.stdout[-500:]
    if sys.platform == "linux" and not shutil.which("nvidia-smi"):
        (about,) = (checkout / ".venv").glob("lib/python3*/site-packages/torch-*.dist-info")
        assert "+cpu" in about.name, "gigabytes of CUDA on a machine without a GPU"

    begin = time.monotonic()
    second = make(checkout, "course", env=clean_environment)
    assert second.returncode == 0 and time.monotonic() - begin < 2, second.stdout

    if shutil.which("unshare"):
        make(checkout, "clean", env=clean_environment)
        command = [
            "unshare",
            "--net",
            "--map-root-user",
            "sh",
            "-c",
            "ip link set lo up; exec make course",
        ]
        third = subprocess.run(
            command, cwd=checkout, env=clean_environment, capture_output=True, text=True
        )
        assert third.returncode == 0, third.stdout + third.stderr
