"""The set-up cell finds the course from wherever a notebook is opened, or says why not."""

import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
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
# As in a kernel; a job in the background ignores it.
STOPPABLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
Environment = dict[str, str]


def start_cell(
    folder: Path,
    environment: Environment,
    before: str = STOPPABLE,
    after: str = WHERE,
    python: str | Path = sys.executable,
) -> subprocess.Popen[str]:
    """The cell, with code before and after it, in a fresh Python that works in `folder`."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [python, "-c", f"{before}\n{CELL}{after}"]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)


def course_of(process: subprocess.Popen[str]) -> Path:
    """The course the cell found, after checking that it said nothing else."""
    output, errors = process.communicate()
    assert process.returncode == 0 and errors.strip() == "", errors
    lines = output.splitlines()
    assert len(lines) == 2, "the set-up cell prints nothing"
    return Path(lines[0])


def error_of(process: subprocess.Popen[str]) -> str:
    """The sentence with which the cell ended."""
    _, errors = process.communicate()
    assert process.returncode != 0
    return errors.strip().splitlines()[-1]


def clone(repository: Path, folder: Path) -> Path:
    command = ["git", "clone", "--quiet", str(repository), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def checkout(repository, tmp_path) -> Path:
    """A fresh clone of the course, in a folder with spaces and an umlaut in its name."""
    return clone(repository, tmp_path / "my clönes of it" / "a course")


@pytest.fixture
def empty(tmp_path) -> Path:
    """An empty folder, as a notebook that was downloaded alone is opened in."""
    folder = tmp_path / "empty folder"
    folder.mkdir()
    return folder


@pytest.fixture
def fetching(repository, clean_environment) -> Environment:
    """An environment in which the course can be fetched, by an address as a room is given one."""
    return clean_environment | {"COURSE_REPOSITORY": f"file://{repository}"}


@pytest.fixture
def offline(clean_environment) -> Environment:
    return clean_environment | {"COURSE_REPOSITORY": "/nowhere/at/all"}


@pytest.mark.parametrize("place", [".", "notebooks", "tests/unit"])
def test_it_finds_the_course_from_inside_the_checkout(checkout, clean_environment, place):
    assert course_of(start_cell(checkout / place, clean_environment)) == checkout


def test_running_it_twice_in_one_kernel_changes_nothing(checkout, clean_environment):
    after = f"{WHERE}\nassert sys.path.count({str(checkout)!r}) == 1"
    assert course_of(start_cell(checkout, clean_environment, CELL, after)) == checkout


def test_in_an_empty_folder_it_fetches_the_course_once(empty, fetching, offline):
    assert course_of(start_cell(empty, fetching)) == empty / "words-to-answers"
    assert course_of(start_cell(empty, offline)) == empty / "words-to-answers"


@pytest.mark.parametrize("files", [[".git/HEAD", "src/runtime.py"], ["my notes.txt"]])
def test_half_a_course_or_a_folder_of_ones_own_stays_and_the_whole_course_comes_beside_it(
    empty, fetching, offline, files
):
    """As a clone that was killed left it, under the course's own name."""
    half = empty / "words-to-answers"
    for file in files:
        (half / file).parent.mkdir(parents=True, exist_ok=True)
        (half / file).write_text("half")
    for settings in (fetching, offline):  # the second time nothing is fetched
        assert course_of(start_cell(empty, settings)) == empty / "words-to-answers-2"
    left = [path for path in half.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(half)) for path in left) == sorted(files)
    assert all(path.read_text() == "half" for path in left)


# --- when it cannot be fetched -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"COURSE_REPOSITORY": "/nowhere/at/all"}, ": fatal: "),
        ({"COURSE_REPOSITORY": "http://127.0.0.1:9/course"}, ": fatal: "),
        ({"PATH": "/no/programs"}, "No such file or directory: 'git'"),
    ],
)
def test_a_fetch_that_fails_is_one_sentence_and_leaves_nothing(
    empty, clean_environment, settings, reason
):
    error = error_of(start_cell(empty, clean_environment | settings))
    assert error.startswith(f"RuntimeError: Fetching the course into {empty} failed; it takes git,")
    assert reason in error and list(empty.iterdir()) == []


class Private(http.server.BaseHTTPRequestHandler):
    """Wants a login for everything, as a private repository does."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="private"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_a_repository_that_wants_a_login_is_an_error_and_never_a_question(empty, clean_environment):
    with http.server.HTTPServer(("127.0.0.1", 0), Private) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/private.git"
        settings = {"COURSE_REPOSITORY": address, "no_proxy": "127.0.0.1"}
        begin = time.monotonic()
        error = error_of(start_cell(empty, clean_environment | settings))
        server.shutdown()
    assert " failed; it takes git, " in error
    assert time.monotonic() - begin < 20, "it waited for somebody to type"


def test_a_full_disk_is_one_sentence_and_leaves_nothing(repository, empty, clean_environment):
    script = 'mount -t tmpfs -o size=1m none "$0" && cd "$0" && "$@"; ls -A'
    small_disk = ["unshare", "-rm", "sh", "-c", script, str(empty)]
    if not shutil.which("unshare") or subprocess.run([*small_disk, "true"]).returncode:
        pytest.skip("no small file system can be mounted here")
    settings = clean_environment | {"COURSE_REPOSITORY": f"file://{repository}"}
    command = [*small_disk, sys.executable, "-c", CELL]
    result = subprocess.run(command, env=settings, capture_output=True, text=True)
    error = result.stderr.strip().splitlines()[-1]
    assert error.startswith(f"RuntimeError: Fetching the course into {empty} failed; ")
    assert "No space left on device" in error or "unable to write file" in error
    assert result.stdout == ""


@pytest.fixture
def slow_git(tmp_path, fetching) -> Iterator[tuple[Environment, Path, Path]]:
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
    yield fetching | {"PATH": f"{program.parent}:{fetching['PATH']}"}, *pipes
    os.close(os.open(pipes[1], os.O_RDWR))  # lets a git go that still waits


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_cell_that_is_stopped_while_it_fetches_does_not_hinder_the_next_one(
    empty, fetching, slow_git, end
):
    """The git that it started goes on alone where the cell was killed."""
    slow, said, _ = slow_git
    first = start_cell(empty, slow)
    said.read_text()
    first.send_signal(end)
    error_of(first) if end == signal.SIGINT else first.communicate()
    left = [path.name for path in empty.iterdir()]
    assert bool(left) == (end == signal.SIGKILL) and "words-to-answers" not in left
    assert course_of(start_cell(empty, fetching)) == empty / "words-to-answers"
    assert [path.name for path in empty.iterdir()] == ["words-to-answers"], "it was not cleared"


@pytest.mark.parametrize("status", [0, 128])
def test_a_notebook_that_was_quicker_is_no_error_however_the_slower_fetch_ends(
    empty, fetching, slow_git, status
):
    slow, said, told = slow_git
    slower = start_cell(empty, slow)
    said.read_text()
    quicker = course_of(start_cell(empty, fetching))
    told.write_text(f"{status}\n")
    assert quicker == course_of(slower) == empty / "words-to-answers"
    assert [path.name for path in empty.iterdir()] == ["words-to-answers"]


@pytest.fixture
def cut_off(checkout) -> Path:
    """A clone whose git was killed: it writes weights at last, and its index after all files."""
    (checkout / ".git" / "index").rename(checkout / ".git" / "index.lock")
    (checkout / "tools" / "template.ipynb").write_text("half")
    shutil.rmtree(checkout / "weights")
    return checkout


def test_a_clone_that_was_cut_off_among_its_last_files_is_completed(cut_off, clean_environment):
    """And what its reader wrote into a notebook by then stays."""
    (cut_off / "notebooks" / "00_start_here.ipynb").write_text("mine")
    assert course_of(start_cell(cut_off / "notebooks", clean_environment)) == cut_off
    status = ["git", "status", "--short"]
    changed = subprocess.check_output(status, cwd=cut_off, env=clean_environment, text=True)
    assert changed == " M notebooks/00_start_here.ipynb\n"


def test_a_clone_that_git_cannot_complete_is_told_as_long_as_it_is_there(
    cut_off, clean_environment
):
    name = ["git", "rev-parse", "HEAD:LICENSES.md"]
    content = subprocess.check_output(name, cwd=cut_off, env=clean_environment, text=True).strip()
    (cut_off / ".git" / "objects" / content[:2] / content[2:]).unlink()
    for settings, reason in (({}, "LICENSES.md"), ({"PATH": "/no/programs"}, "'git'")):
        error = error_of(start_cell(cut_off / "notebooks", clean_environment | settings))
        assert error.startswith(f"ImportError: {cut_off} holds part of the course only")
        assert reason in error and "move it away" in error


# --- another package named src -------------------------------------------------------------------


@pytest.fixture
def stranger(tmp_path) -> Path:
    """A folder with somebody else's package named src."""
    folder = tmp_path / "stranger"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "__init__.py").touch()
    (folder / "src" / "runtime.py").write_text("raise SystemExit('the wrong src')")
    return folder


def test_a_strangers_src_earlier_on_the_path_loses(checkout, stranger, clean_environment):
    before = f"import sys; sys.path.insert(0, {str(stranger)!r})"
    settings = clean_environment | {"PYTHONPATH": str(stranger)}
    assert course_of(start_cell(checkout / "notebooks", settings, before)) == checkout


@pytest.mark.parametrize("kind", ["package", "folder without __init__.py"])
def test_a_strangers_src_that_is_loaded_already_is_named(
    checkout, stranger, clean_environment, kind
):
    if kind != "package":
        (stranger / "src" / "__init__.py").unlink()
    before = f"import sys; sys.path.insert(0, {str(stranger)!r}); import src"
    error = error_of(start_cell(checkout / "notebooks", clean_environment, before))
    assert error.startswith("ImportError: Another package named src is loaded")
    assert str(stranger) in error and "restart the kernel" in error


# --- hosted notebooks, such as Colab's: most packages are there, some of them in other versions --


def hosted_python(folder: Path) -> Path:
    """An interpreter to which all packages of this test are "preinstalled", with its own pip."""
    venv.create(folder, with_pip=True)
    places = (Path(entry) for entry in sys.path if entry.endswith("site-packages"))
    (tested,) = {place for place in places if (place / "torch").is_dir()}
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
def fetched(repository, tmp_path) -> Path:
    """The course in a hosted notebook's folder; one package it asks for is in no environment."""
    course = clone(repository, tmp_path / "colab" / "words-to-answers")
    project, line = course / "pyproject.toml", "dependencies = ["
    more = f'{line}\n    "course-missing-piece>=1,<2",'
    project.write_text(project.read_text().replace(line, more, 1))
    return course


@pytest.fixture
def index(tmp_path, clean_environment) -> Environment:
    """An environment whose pip sees only the wheels in `tmp_path`."""
    return clean_environment | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}


def missing_piece(folder: Path, version: str) -> None:
    """Write that package as a wheel into `folder`."""
    about = f"course_missing_piece-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: course-missing-piece\nVersion: {version}\n"
    members = {
        "course_missing_piece/__init__.py": f"version = '{version}'\n",
        f"{about}/METADATA": head,
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"course_missing_piece-{version}-py3-none-any.whl", "w") as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)


def test_where_it_fetched_the_course_it_installs_what_is_missing_and_nothing_else(
    fetched, tmp_path, index
):
    """And asks for a new kernel where that replaces a package whose old code is loaded."""
    missing_piece(tmp_path, "1.5")
    python = hosted_python(tmp_path / "python")
    before = contents(python)
    load = "import course_missing_piece as piece"
    after = f"{WHERE}\n{load}; assert piece.version == '1.5'"

    def start(code: str = STOPPABLE) -> subprocess.Popen[str]:
        return start_cell(fetched.parent, index, before=code, after=after, python=python)

    assert course_of(start()) == fetched
    new = {"course_missing_piece", "course_missing_piece-1.5.dist-info"}
    assert contents(python) - before == new
    missing_piece(tmp_path, "0.9")
    command = [python, "-m", "pip", "install", "--quiet", "course-missing-piece==0.9"]
    subprocess.run(command, env=index, check=True, capture_output=True)
    error = error_of(start(load))
    assert error.startswith("ImportError: ") and "(course-missing-piece)" in error
    assert "restart the kernel" in error
    assert course_of(start()) == fetched


@pytest.fixture(scope="module")
def newer(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A hosted Python with the newest versions that pyproject.toml allows, and which are newer.

    All but torch, whose newest is gigabytes. Skips where no index answers, or it has nothing newer.
    """
    python = hosted_python(tmp_path_factory.mktemp("newer") / "python")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    others = [line for line in project["dependencies"] if Requirement(line).name != "torch"]
    command = [python, "-m", "pip", "install", "--quiet", "--upgrade", "--only-binary", ":all:"]
    command += [f"torch=={metadata.version('torch')}", *others]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode and environment.UNREACHABLE.search(result.stderr):
        pytest.skip("the Python package index is out of reach")
    assert result.returncode == 0, result.stderr
    own = {
        canonicalize_name(found.name): found.version
        for found in metadata.distributions(path=[str(site_packages(python.parents[1]))])
    }
    wanted = {canonicalize_name(Requirement(line).name) for line in others}
    versions = {name: own[name] for name in sorted(wanted & set(own))}
    if not versions:
        pytest.skip("the Python package index has nothing newer than what is tested")
    return python, versions


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_alone_in_a_folder_fetches_the_course_and_runs_on_newer_packages(
    newer, fetching, empty, tmp_path, monkeypatch, notebook
):
    """As in Colab: a kernel of the hosted Python, the notebook and nothing else."""
    python, versions = newer
    alone = Path(shutil.copy2(notebook, empty))
    more = {"COURSE_CACHE": str(runtime.cache()), "COURSE_FAST": "1", "PIP_NO_INDEX": "1"}
    for name in set(os.environ) - set(fetching):
        monkeypatch.delenv(name)
    for name, value in (fetching | more).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "executable", str(python))  # what run_notebooks starts kernels with
    before, content = contents(python), nbformat.read(alone, as_version=4)
    ask = "import json; from importlib import metadata; print(runtime.COURSE)\n"
    ask += f"print(json.dumps({{name: metadata.version(name) for name in {list(versions)}}}))"
    content.cells.append(nbformat.v4.new_code_cell(ask))
    run_notebooks.execute(content, alone, tmp_path / "log", cell_seconds=300)
    tagged = [cell for cell in content.cells if "tags" in cell.metadata]
    set_up = next(cell for cell in tagged if run_notebooks.SET_UP_TAG in cell.metadata["tags"])
    assert set_up.outputs == []
    course, used = content.cells[-1].outputs[0].text.splitlines()
    assert Path(course) == empty / "words-to-answers"
    assert json.loads(used) == versions, "the newer ones are used"
    assert contents(python) == before, "nothing was installed or removed"


def test_the_cell_is_short_enough_to_read():
    assert len(CELL.splitlines()) <= 50 and max(map(len, CELL.splitlines())) <= 80
