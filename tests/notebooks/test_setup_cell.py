"""The set-up cell finds the course from wherever a notebook is opened, or says why not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from src import runtime
from tools import environment, run_notebooks

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = run_notebooks.find_notebooks(ROOT / "notebooks")
CELL = (ROOT / "tools" / "setup_cell.py").read_text(encoding="utf-8")
WHERE = "\nimport src.runtime, sys; print(src.runtime.COURSE); print('src.runtime' in sys.modules)"


def run_cell(
    folder: Path,
    environment: dict[str, str],
    before: str = "",
    after: str = WHERE,
    python: str = sys.executable,
) -> subprocess.CompletedProcess[str]:
    """Run the cell, with code before and after it, in a fresh Python that works in `folder`."""
    return subprocess.run(
        [python, "-c", f"{before}\n{CELL}{after}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def course_of(result: subprocess.CompletedProcess[str]) -> Path:
    """The course the cell found, after checking that it said nothing else."""
    assert result.returncode == 0 and result.stderr.strip() == "", result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 2, "the set-up cell prints nothing"
    return Path(lines[0])


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """A fresh clone of the course, in a folder with spaces and an umlaut in its name."""
    folder = tmp_path / "my clönes of it" / "a course"
    subprocess.run(
        ["git", "clone", "--quiet", str(repository), str(folder)], check=True, capture_output=True
    )
    (folder / "notebooks").mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("place", [".", "notebooks", "tests/unit"])
def test_it_finds_the_course_from_inside_the_checkout(
    checkout: Path, clean_environment: dict[str, str], place: str
) -> None:
    assert course_of(run_cell(checkout / place, clean_environment)) == checkout


def test_in_an_empty_folder_it_fetches_the_course_once(
    repository: Path, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    folder = tmp_path / "empty folder"
    folder.mkdir()
    first = run_cell(folder, clean_environment | {"COURSE_REPOSITORY": str(repository)})
    assert course_of(first) == folder / "words-to-answers"
    again = run_cell(folder, clean_environment | {"COURSE_REPOSITORY": "/nowhere"})
    assert course_of(again) == folder / "words-to-answers", (
        "the second time it is there, and nothing is fetched"
    )


@pytest.mark.parametrize("address", ["/nowhere/at/all", "http://127.0.0.1:9/course"])
def test_an_address_that_does_not_answer_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, clean_environment: dict[str, str], address: str
) -> None:
    result = run_cell(tmp_path, clean_environment | {"COURSE_REPOSITORY": address})
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(
        f"RuntimeError: Fetching the course into {tmp_path} failed; it takes git, {address}, "
        "and room there: fatal: "
    )
    assert list(tmp_path.iterdir()) == []


def test_a_computer_without_git_is_told_so_in_one_sentence(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    (tmp_path / "no programs").mkdir()
    (tmp_path / "empty").mkdir()
    result = run_cell(
        tmp_path / "empty", clean_environment | {"PATH": str(tmp_path / "no programs")}
    )
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(
        f"RuntimeError: Fetching the course into {tmp_path / 'empty'} failed; it takes git, "
    )
    assert last.endswith("No such file or directory: 'git'")
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_repository_that_wants_a_login_is_an_error_and_never_a_question(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    """A server on this machine answers 401 to everything, as a private repository does."""
    server_code = (
        "from http.server import *\n"
        "class Private(BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(401)\n"
        "        self.send_header('WWW-Authenticate', 'Basic realm=\"private\"')\n"
        "        self.end_headers()\n"
        "    def log_message(self, *a): pass\n"
        "server = HTTPServer(('127.0.0.1', 0), Private)\n"
        "print(server.server_port, flush=True)\n"
        "server.serve_forever()\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", server_code], stdout=subprocess.PIPE, text=True
    )
    try:
        port = server.stdout.readline().strip()
        environment = clean_environment | {
            "COURSE_REPOSITORY": f"http://127.0.0.1:{port}/private.git",
            "no_proxy": "127.0.0.1",
        }
        begin = time.monotonic()
        result = run_cell(tmp_path, environment)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert result.returncode != 0
    assert " failed; it takes git, " in result.stderr.strip().splitlines()[-1]
    assert time.monotonic() - begin < 20, "it waited for somebody to type"


# --- a fetch that is cut off, runs twice at once, or has no room ---------------------------------


@pytest.fixture
def slow_git(
    tmp_path: Path, clean_environment: dict[str, str]
) -> Iterator[tuple[dict[str, str], Path, Path]]:
    """A git that clones, says its process id in one pipe, and ends with the status of another."""
    pipes = tmp_path / "said", tmp_path / "status"
    for pipe in pipes:
        os.mkfifo(pipe)
    program = tmp_path / "programs" / "git"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n{shutil.which("git")} "$@"\necho $$ > {pipes[0]}\n'
        f"read status < {pipes[1]}\nexit $status\n"
    )
    program.chmod(0o755)
    yield clean_environment | {"PATH": f"{program.parent}:{clean_environment['PATH']}"}, *pipes
    os.close(os.open(pipes[1], os.O_RDWR))  # lets a git go that still waits


def start_cell(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """The cell in a Python of its own, which is not waited for."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # As in a kernel; a job in the background ignores it.
    stoppable = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    return subprocess.Popen(
        [sys.executable, "-c", f"{stoppable}\n{CELL}{WHERE}"],
        cwd=folder,
        env=environment,
        text=True,
        **pipes,
    )


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """What a started cell said, once it has ended."""
    output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_cell_that_is_stopped_while_it_fetches_leaves_nothing_that_the_next_one_stumbles_over(
    repository: Path,
    tmp_path: Path,
    clean_environment: dict[str, str],
    slow_git: tuple,
    end: signal.Signals,
) -> None:
    """The git that it started goes on alone where the cell was killed."""
    (tmp_path / "here").mkdir()
    slow, said, _ = slow_git
    there = {"COURSE_REPOSITORY": str(repository)}
    with start_cell(tmp_path / "here", slow | there) as first:
        said.read_text()
        first.send_signal(end)
        assert ended(first).returncode != 0
    left = list((tmp_path / "here").iterdir())
    assert (
        left == []
        if end == signal.SIGINT
        else (left and not any(path.name.startswith("words") for path in left))
    )
    assert (
        course_of(run_cell(tmp_path / "here", clean_environment | there))
        == tmp_path / "here" / "words-to-answers"
    )
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["words-to-answers"], (
        "what was left is cleared away"
    )


@pytest.mark.parametrize("status", [0, 128])
def test_a_notebook_that_was_quicker_is_no_error_however_the_slower_fetch_ends(
    repository: Path,
    tmp_path: Path,
    clean_environment: dict[str, str],
    slow_git: tuple,
    status: int,
) -> None:
    (tmp_path / "here").mkdir()
    slow, said, told = slow_git
    there = {"COURSE_REPOSITORY": str(repository)}
    with start_cell(tmp_path / "here", slow | there) as slower:
        said.read_text()
        quicker = run_cell(tmp_path / "here", clean_environment | there)
        told.write_text(f"{status}\n")
        assert (
            course_of(quicker) == course_of(ended(slower)) == tmp_path / "here" / "words-to-answers"
        )
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["words-to-answers"]


@pytest.mark.parametrize("files", [[".git/HEAD", "src/runtime.py"], ["my notes.txt"]])
def test_half_a_course_or_a_folder_of_ones_own_stays_and_the_whole_course_comes_beside_it(
    repository: Path, tmp_path: Path, clean_environment: dict[str, str], files: list[str]
) -> None:
    """As a clone that was killed left it, under the course's own name."""
    half = tmp_path / "words-to-answers"
    for file in files:
        (half / file).parent.mkdir(parents=True, exist_ok=True)
        (half / file).write_text("half")
    first = run_cell(tmp_path, clean_environment | {"COURSE_REPOSITORY": str(repository)})
    assert course_of(first) == tmp_path / "words-to-answers-2"
    again = run_cell(tmp_path, clean_environment | {"COURSE_REPOSITORY": "/nowhere"})
    assert course_of(again) == tmp_path / "words-to-answers-2", (
        "the second time it is there, and nothing is fetched"
    )
    assert sorted(
        str(path.relative_to(half)) for path in half.rglob("*") if path.is_file()
    ) == sorted(files)
    assert all((half / file).read_text() == "half" for file in files)


def test_a_clone_that_was_cut_off_among_its_last_files_is_told_in_one_sentence(
    checkout: Path, clean_environment: dict[str, str]
) -> None:
    """git writes files in order of their names, weights at last, and its index after them."""
    (checkout / ".git" / "index").unlink()
    shutil.rmtree(checkout / "weights")
    result = run_cell(checkout / "notebooks", clean_environment)
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: {checkout} holds part of the course only")
    assert "move it away" in last


def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    repository: Path, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    on_a_small_disk = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        'mount -t tmpfs -o size=1m none "$0" && cd "$0" && "$@"; ls -A',
        str(tmp_path),
    ]
    if (
        not shutil.which("unshare")
        or subprocess.run([*on_a_small_disk, "true"], capture_output=True).returncode
    ):
        pytest.skip("no small file system can be mounted here")
    environment = clean_environment | {"COURSE_REPOSITORY": f"file://{repository}"}
    result = subprocess.run(
        [*on_a_small_disk, sys.executable, "-c", CELL],
        env=environment,
        capture_output=True,
        text=True,
    )
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"RuntimeError: Fetching the course into {tmp_path} failed; ")
    assert result.stdout == ""
    assert "No space left on device" in last or "unable to write file" in last


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A folder with somebody else's package named src."""
    folder = tmp_path / "stranger"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "__init__.py").write_text("")
    (folder / "src" / "runtime.py").write_text("raise SystemExit('the wrong src')")
    return folder


def test_a_strangers_src_earlier_on_the_path_loses(
    checkout: Path, stranger: Path, clean_environment: dict[str, str]
) -> None:
    before = f"import sys; sys.path.insert(0, {str(stranger)!r})"
    assert (
        course_of(
            run_cell(
                checkout / "notebooks", clean_environment | {"PYTHONPATH": str(stranger)}, before
            )
        )
        == checkout
    )


@pytest.mark.parametrize("kind", ["package", "folder without __init__.py"])
def test_a_strangers_src_that_is_loaded_already_is_named_in_one_sentence(
    checkout: Path, stranger: Path, clean_environment: dict[str, str], kind: str
) -> None:
    if kind != "package":
        (stranger / "src" / "__init__.py").unlink()
    result = run_cell(
        checkout / "notebooks",
        clean_environment,
        before=f"import sys; sys.path.insert(0, {str(stranger)!r}); import src",
    )
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: Another package named src is loaded")
    assert str(stranger) in last
    assert "restart the kernel" in last


def test_running_the_cell_twice_in_one_kernel_changes_nothing(
    checkout: Path, clean_environment: dict[str, str]
) -> None:
    result = run_cell(
        checkout / "notebooks",
        clean_environment,
        before=CELL,
        after=WHERE + f"\nassert sys.path.count({str(checkout)!r}) == 1",
    )
    assert course_of(result) == checkout


# --- hosted notebooks, such as Colab's: most packages are there, some of them in other versions --


def hosted_python(folder: Path) -> Path:
    """An interpreter to which all packages of this test are "preinstalled", with its own pip."""
    venv.create(folder, with_pip=True)
    (tested,) = {
        Path(entry)
        for entry in sys.path
        if entry.endswith("site-packages") and Path(entry, "torch").is_dir()
    }
    (site_packages(folder) / "tested.pth").write_text(f"{tested}\n")
    return folder / "bin" / "python"


def site_packages(folder: Path) -> Path:
    """Where the own packages of the environment in `folder` are; they come first."""
    (own,) = (folder / "lib").glob("python3.*/site-packages")
    return own


def contents(python: Path) -> set[str]:
    """Names of what is installed in the environment of this interpreter itself."""
    return {path.name for path in site_packages(python.parents[1]).iterdir()} - {"__pycache__"}


@pytest.fixture
def fetched(repository: Path, tmp_path: Path) -> Path:
    """The course in a hosted notebook's folder; one package it asks for is in no environment."""
    course = tmp_path / "colab" / "words-to-answers"
    subprocess.run(
        ["git", "clone", "--quiet", str(repository), str(course)], check=True, capture_output=True
    )
    project = course / "pyproject.toml"
    project.write_text(
        project.read_text().replace(
            "dependencies = [", 'dependencies = [\n    "course-missing-piece>=1,<2",', 1
        )
    )
    return course


def missing_piece(folder: Path, version: str, compiled: Path | None = None) -> None:
    """Write that package as a wheel into `folder`, perhaps with a compiled module in it."""
    about = f"course_missing_piece-{version}.dist-info/"
    with zipfile.ZipFile(folder / f"course_missing_piece-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("course_missing_piece/__init__.py", f"version = '{version}'\n")
        if compiled:
            wheel.write(compiled, f"course_missing_piece/{compiled.name}")
        wheel.writestr(
            about + "METADATA",
            f"Metadata-Version: 2.1\nName: course-missing-piece\nVersion: {version}\n",
        )
        wheel.writestr(
            about + "WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(about + "RECORD", "")


def test_where_it_fetched_the_course_it_installs_what_is_missing_and_nothing_else(
    fetched: Path, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    missing_piece(tmp_path, "1.5")
    python = hosted_python(tmp_path / "python")
    before = contents(python)
    after = "\nimport course_missing_piece as piece, src.runtime as runtime"
    after += "\nprint(runtime.COURSE)\nprint(piece.version)"
    only_here = clean_environment | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    result = run_cell(fetched.parent, only_here, after=after, python=str(python))
    assert course_of(result) == fetched and result.stdout.endswith("1.5\n")
    assert contents(python) - before == {
        "course_missing_piece",
        "course_missing_piece-1.5.dist-info",
    }


def with_a_piece_that_is_too_old(
    folder: Path, environment: dict[str, str], compiled: Path | None
) -> Path:
    """A hosted Python with version 0.9 of that package; `environment` offers 1.5 after this."""
    python = hosted_python(folder / "python")
    missing_piece(folder, "0.9", compiled)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "course-missing-piece"],
        env=environment,
        check=True,
        capture_output=True,
    )
    missing_piece(folder, "1.5", compiled)
    return python


def test_a_compiled_package_that_is_loaded_and_gets_replaced_asks_for_a_new_kernel_in_one_sentence(
    fetched: Path, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    """As if the kernel had loaded a numpy that is too old: its code would meet the new files."""
    compiled = next(Path(sysconfig.get_config_var("DESTSHARED") or "none").glob("_bisect.*"), None)
    if compiled is None:
        pytest.skip("this Python has no compiled module in a file of its own to put into a package")
    only_here = clean_environment | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    python = with_a_piece_that_is_too_old(tmp_path, only_here, compiled)
    first = run_cell(
        fetched.parent, only_here, before="import course_missing_piece._bisect", python=str(python)
    )
    assert first.returncode != 0
    last = first.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert "(course-missing-piece)" in last
    assert "restart the kernel" in last
    again = run_cell(
        fetched.parent,
        only_here,
        after=f"{WHERE}\nimport course_missing_piece as c; assert c.version == '1.5'",
        python=str(python),
    )
    assert course_of(again) == fetched


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A hosted Python with the newest versions that pyproject.toml allows, and which are newer.

    All but torch, whose newest is gigabytes. Skips where no index answers, or it has nothing newer.
    """
    python = hosted_python(tmp_path_factory.mktemp("newer") / "python")
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "dependencies"
    ]
    others = [line for line in lines if Requirement(line).name != "torch"]
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--upgrade",
        "--only-binary",
        ":all:",
        f"torch=={metadata.version('torch')}",
    ]
    result = subprocess.run([*command, *others], capture_output=True, text=True)
    if result.returncode and environment.UNREACHABLE.search(result.stderr):
        pytest.skip("the Python package index is out of reach")
    assert result.returncode == 0, result.stderr
    own = {
        canonicalize_name(found.name): found.version
        for found in metadata.distributions(path=[str(site_packages(python.parents[1]))])
    }
    versions = {
        name: own[name]
        for name in (canonicalize_name(Requirement(line).name) for line in others)
        if name in own
    }
    if not versions:
        pytest.skip("the Python package index has nothing newer than what is tested")
    assert all(version != metadata.version(name) for name, version in versions.items())
    return python, versions


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "place", ["an empty folder", "the folder it was fetched into", "the notebooks of a clone"]
)
def test_newer_packages_that_are_allowed_stay_as_they_are_wherever_the_cell_is_run(
    newer: tuple[Path, dict[str, str]],
    repository: Path,
    tmp_path: Path,
    clean_environment: dict[str, str],
    place: str,
) -> None:
    python, versions = newer
    folder = tmp_path / "content"
    course = folder / "words-to-answers"
    folder.mkdir()
    if place != "an empty folder":
        subprocess.run(
            ["git", "clone", "--quiet", str(repository), str(course)],
            check=True,
            capture_output=True,
        )
    before = contents(python)
    after = (
        "\nimport json, src.runtime; from importlib import metadata\nprint(src.runtime.COURSE)\n"
        f"print(json.dumps({{name: metadata.version(name) for name in {sorted(versions)}}}))"
    )
    nothing_to_install = clean_environment | {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
        "COURSE_REPOSITORY": str(repository),
    }
    start = course / "notebooks" if place == "the notebooks of a clone" else folder
    result = run_cell(start, nothing_to_install, after=after, python=str(python))
    assert course_of(result) == course
    assert json.loads(result.stdout.splitlines()[1]) == versions, "the newer ones are used"
    assert contents(python) == before, "nothing was installed or removed"


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_alone_in_a_folder_fetches_the_course_and_runs_to_its_end_on_newer_packages(
    newer: tuple[Path, dict[str, str]],
    repository: Path,
    tmp_path: Path,
    clean_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    notebook: Path,
) -> None:
    """As in Colab: a kernel of the hosted Python, the notebook and nothing else."""
    python, versions = newer
    alone = tmp_path / "content" / notebook.name
    alone.parent.mkdir()
    shutil.copy2(notebook, alone)
    cache = str(runtime.cache())
    for name in sorted(set(os.environ) - set(clean_environment)):
        monkeypatch.delenv(name)
    for name, value in {
        "COURSE_REPOSITORY": str(repository),
        "COURSE_CACHE": cache,
        "COURSE_FAST": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "executable", str(python))  # what run_notebooks starts kernels with
    content = nbformat.read(alone, as_version=4)
    ask = (
        "import json, transformers; from importlib import metadata\n"
        f"print(json.dumps([metadata.version(name) for name in {sorted(versions)}]))\n"
        "print(runtime.COURSE)\nprint(transformers.__version__)"
    )
    content.cells.append(nbformat.v4.new_code_cell(ask))
    run_notebooks.execute(content, alone, tmp_path / "log", cell_seconds=300)
    set_up = next(
        cell for cell in content.cells if run_notebooks.SET_UP_TAG in cell.metadata.get("tags", [])
    )
    assert set_up.outputs == []
    used, course, transformers = content.cells[-1].outputs[0].text.splitlines()
    assert json.loads(used) == [versions[name] for name in sorted(versions)]
    assert Path(course) == alone.parent / "words-to-answers"
    assert transformers == versions.get("transformers", transformers)


def test_the_cell_is_short_enough_to_read() -> None:
    assert len(CELL.splitlines()) <= 50 and max(map(len, CELL.splitlines())) <= 80
