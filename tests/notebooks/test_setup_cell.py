"""The set-up cell finds the right course from every place a notebook may be opened in, quietly and quickly, or says why not."""

from __future__ import annotations

import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

import pytest

CELL = (Path(__file__).resolve().parents[2] / "tools" / "setup_cell.py").read_text(encoding="utf-8")
WHERE = "\nimport src.runtime, sys; print(src.runtime.COURSE); print('src.runtime' in sys.modules)"


def run_cell(
    folder: Path, environment: dict[str, str], before: str = "", after: str = WHERE, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Run the cell (with code before and after it) in a fresh Python that works in `folder`, as a kernel does."""
    return subprocess.run(
        [python, "-c", f"{before}\n{CELL}{after}"], cwd=folder, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
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
    subprocess.run(["git", "clone", "--quiet", str(repository), str(folder)], check=True, capture_output=True)
    (folder / "notebooks").mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("place", [".", "notebooks", "tests/unit"])
def test_it_finds_the_course_from_inside_the_checkout(checkout: Path, clean_environment: dict[str, str], place: str) -> None:
    begin = time.monotonic()
    assert course_of(run_cell(checkout / place, clean_environment)) == checkout
    assert time.monotonic() - begin < 3


def test_in_an_empty_folder_it_fetches_the_course_once(repository: Path, tmp_path: Path, clean_environment: dict[str, str]) -> None:
    folder = tmp_path / "empty folder"
    folder.mkdir()
    first = run_cell(folder, clean_environment | {"COURSE_REPOSITORY": str(repository)})
    assert course_of(first) == folder / "words-to-answers"
    again = run_cell(folder, clean_environment | {"COURSE_REPOSITORY": "/nowhere"})
    assert course_of(again) == folder / "words-to-answers", "the second time it is there, and nothing is fetched"


@pytest.mark.parametrize("address", ["/nowhere/at/all", "http://127.0.0.1:9/course"])
def test_an_address_that_does_not_answer_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, clean_environment: dict[str, str], address: str
) -> None:
    result = run_cell(tmp_path, clean_environment | {"COURSE_REPOSITORY": address})
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"RuntimeError: The course is not in {tmp_path}, and fetching it from {address} failed")
    assert list(tmp_path.iterdir()) == []


def test_a_repository_that_wants_a_login_is_an_error_and_never_a_question(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    """A server on this machine answers 401 to everything, as a private repository does."""
    server_code = (
        "from http.server import *\n"
        "class Private(BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(401); self.send_header('WWW-Authenticate', 'Basic realm=\"private\"'); self.end_headers()\n"
        "    def log_message(self, *a): pass\n"
        "server = HTTPServer(('127.0.0.1', 0), Private); print(server.server_port, flush=True); server.serve_forever()\n"
    )
    server = subprocess.Popen([sys.executable, "-c", server_code], stdout=subprocess.PIPE, text=True)
    try:
        port = server.stdout.readline().strip()
        environment = clean_environment | {"COURSE_REPOSITORY": f"http://127.0.0.1:{port}/private.git", "no_proxy": "127.0.0.1"}
        begin = time.monotonic()
        result = run_cell(tmp_path, environment)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert result.returncode != 0 and "failed: " in result.stderr.strip().splitlines()[-1]
    assert time.monotonic() - begin < 20, "it waited for somebody to type"


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A folder with somebody else's package named src."""
    folder = tmp_path / "stranger"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "__init__.py").write_text("")
    (folder / "src" / "runtime.py").write_text("raise SystemExit('the wrong src')")
    return folder


def test_a_strangers_src_earlier_on_the_path_loses(checkout: Path, stranger: Path, clean_environment: dict[str, str]) -> None:
    before = f"import sys; sys.path.insert(0, {str(stranger)!r})"
    assert course_of(run_cell(checkout / "notebooks", clean_environment | {"PYTHONPATH": str(stranger)}, before)) == checkout


def test_a_strangers_src_in_the_folder_the_course_is_fetched_into_loses(
    repository: Path, stranger: Path, clean_environment: dict[str, str]
) -> None:
    result = run_cell(stranger, clean_environment | {"COURSE_REPOSITORY": str(repository)})
    assert course_of(result) == stranger / "words-to-answers"


@pytest.mark.parametrize("kind", ["package", "folder without __init__.py"])
def test_a_strangers_src_that_is_loaded_already_is_named_in_one_sentence(
    checkout: Path, stranger: Path, clean_environment: dict[str, str], kind: str
) -> None:
    if kind != "package":
        (stranger / "src" / "__init__.py").unlink()
    result = run_cell(checkout / "notebooks", clean_environment, before=f"import sys; sys.path.insert(0, {str(stranger)!r}); import src")
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: Another package named src is loaded") and str(stranger) in last and "restart the kernel" in last


def test_running_the_cell_twice_in_one_kernel_changes_nothing(checkout: Path, clean_environment: dict[str, str]) -> None:
    result = run_cell(
        checkout / "notebooks", clean_environment, before=CELL, after=WHERE + f"\nassert sys.path.count({str(checkout)!r}) == 1"
    )
    assert course_of(result) == checkout


def test_where_it_fetched_the_course_it_installs_what_is_missing_and_nothing_else(
    repository: Path, tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    """Like Colab: a Python with most packages, one missing. The missing one is a wheel made here, so no index is needed."""
    folder = tmp_path / "colab"
    subprocess.run(["git", "clone", "--quiet", str(repository), str(folder / "words-to-answers")], check=True, capture_output=True)
    project = folder / "words-to-answers" / "pyproject.toml"
    project.write_text(project.read_text().replace("dependencies = [", 'dependencies = [\n    "course-missing-piece>=1,<2",', 1))
    with zipfile.ZipFile(tmp_path / "course_missing_piece-1.5-py3-none-any.whl", "w") as wheel:
        about = "course_missing_piece-1.5.dist-info/"
        wheel.writestr("course_missing_piece.py", "here = True\n")
        wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: course-missing-piece\nVersion: 1.5\n")
        wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(about + "RECORD", "")
    python = tmp_path / "python"
    venv.create(python, with_pip=True)
    (site_packages,) = (python / "lib").glob("python3.*/site-packages")
    (tested,) = {Path(entry) for entry in sys.path if entry.endswith("site-packages") and Path(entry, "torch").is_dir()}
    (site_packages / "tested.pth").write_text(f"{tested}\n")  # "preinstalled": everything this test runs with
    before = set(site_packages.iterdir())

    environment = clean_environment | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    after = "\nimport course_missing_piece, src.runtime; print(src.runtime.COURSE); print(course_missing_piece.here)"
    result = run_cell(folder, environment, after=after, python=str(python / "bin" / "python"))
    assert course_of(result) == folder / "words-to-answers"
    new = {path.name for path in set(site_packages.iterdir()) - before}
    assert new - {"__pycache__"} == {"course_missing_piece.py", "course_missing_piece-1.5.dist-info"}


def test_the_cell_is_short_enough_to_read() -> None:
    assert len(CELL.strip().splitlines()) <= 25
