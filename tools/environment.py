"""Create the course's virtual environment and install the tested packages into it.

    python3 tools/environment.py [--venv .venv]     (started by `make` through tools/pick_python.py)

Standard library only, since nothing is installed yet. A run that was interrupted is continued by
the next one, and a stamp in the environment makes a run with nothing to do end at once.
"""

import argparse
import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NEEDED_GB = 3.0  # the environment takes about 2 GB; pip unpacks into a temporary folder beside it
STAMP = ".course-stamp"
VERSIONS = [(3, 11), (3, 12), (3, 13)]
DISK_FULL = "No space left on device"
UNREACHABLE = re.compile(
    r"NewConnectionError|Failed to establish|name resolution|Name or service not known"
    r"|Network is unreachable|Connection refused|ConnectTimeout|ReadTimeout|Read timed out"
    r"|ProxyError|RemoteDisconnected|Connection reset|MaxRetryError|connection broken",
    re.IGNORECASE,
)


class SetupError(Exception):
    """The environment cannot be made; the message is one sentence for the reader."""


def main() -> None:
    """Bring the environment up to date and report each step with its time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="default: .venv")
    parser.add_argument(
        "--this-python", action="store_true", help="replace one that another Python made"
    )
    arguments = parser.parse_args()
    venv = arguments.venv.absolute()
    try:
        with only_one_at_a_time():
            bring_up_to_date(venv, arguments.this_python)
    except SetupError as error:
        sys.exit(f"make: {error}")
    except OSError as error:
        said = f"{error.filename or venv}: {error.strerror}; put it right, then run make again."
        sys.exit(f"make: {explain_pip(DISK_FULL, venv) if error.errno == 28 else said}")
    except KeyboardInterrupt:
        sys.exit("make: stopped; what is installed so far stays, and the next run goes on there.")


def bring_up_to_date(venv: Path, this_python: bool = False) -> None:
    """Make the environment if it is missing or broken, install what is wanted, write the stamp.

    Args:
        venv: its folder.
        this_python: make it anew also where another version of Python made it.
    """
    stamp = venv / STAMP
    fingerprint = wanted_fingerprint()
    versions = [sys.version_info[:2]] if this_python else VERSIONS
    if stamp.is_file() and stamp.read_text() == fingerprint and works(venv, versions):
        stamp.touch()  # make compares dates: the files were touched, but say the same
        return
    stamp.unlink(missing_ok=True)
    if not works(venv, versions):
        check_space(venv)
        with step(f"making {venv.name} with Python {platform.python_version()}"):
            create(venv)
    pins = tested_versions()
    if installed_torch(venv) != pins["torch"]:
        install_torch(venv, pins["torch"])
    with step(f"installing the packages ({len(pins)} pinned; the first time takes some minutes)"):
        pip(venv, "install", "-c", str(ROOT / "constraints.txt"), *wanted_packages())
    stamp.write_text(fingerprint)


def wanted_packages() -> list[str]:
    """Direct requirements of the course, its tests and its site, as pyproject.toml states them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return sum(project["optional-dependencies"].values(), project["dependencies"])


def tested_versions() -> dict[str, str]:
    """Package name (lower case) -> exact version of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name.strip().lower(): version.strip() for name, version in pairs}


def wanted_fingerprint() -> str:
    """Hash of everything that decides what gets installed; the stamp holds it."""
    pins = (f"{name}=={version}" for name, version in tested_versions().items())
    text = "\n".join([*sorted(wanted_packages()), *sorted(pins)])
    return hashlib.sha256(text.encode()).hexdigest()


# --- the virtual environment


def python_of(venv: Path) -> Path:
    """Its interpreter. Scripts beside it are never used: a path with spaces breaks their start."""
    return venv / "bin" / "python"


def works(venv: Path, versions: list[tuple[int, int]]) -> bool:
    """Whether the environment has a Python that starts, is one of `versions`, and has pip."""
    check = f"import sys, pip; sys.exit(sys.version_info[:2] not in {versions})"
    try:
        command = [python_of(venv), "-I", "-c", check]
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def create(venv: Path) -> None:
    """Make a fresh environment, replacing what a broken attempt left in its folder."""
    if venv.exists() and any(venv.iterdir()) and not (venv / "pyvenv.cfg").is_file():
        raise SetupError(
            f"{venv} exists but is not a Python environment; move it away, then run make again."
        )
    command = [sys.executable, "-m", "venv", "--clear", str(venv)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        output = result.stdout + result.stderr
        if "ensurepip" in output and DISK_FULL not in output:
            raise SetupError(
                f"{sys.executable} comes without venv and pip; install them (on Debian and Ubuntu: "
                "apt install python3-venv), then run make again."
            )
        raise SetupError(explain_pip(output, venv))


def check_space(venv: Path) -> None:
    """Say at once that the disk is too full, rather than after minutes of downloading."""
    folder = next(parent for parent in [venv, *venv.parents] if parent.exists())
    free = shutil.disk_usage(folder).free / 1e9
    if free < NEEDED_GB:
        raise SetupError(
            f"the disk that holds {folder} has {free:.1f} GB free, but the packages need "
            f"{NEEDED_GB:.0f} GB; make room, then make again."
        )


# --- torch


def installed_torch(venv: Path) -> str | None:
    """The version of torch, without its build ("2.13.0" for "2.13.0+cpu"); None without torch."""
    code = "from importlib.metadata import version; print(version('torch').split('+')[0])"
    result = subprocess.run([python_of(venv), "-I", "-c", code], capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else None


def install_torch(venv: Path, version: str) -> None:
    """Install torch, on a Linux without a GPU as the CPU build: PyPI's own brings CUDA.

    Asks pip's configured sources for the CPU build first, then PyTorch's own index of CPU builds,
    and only then takes the plain build, saying so.
    """
    constraints = ("-c", str(ROOT / "constraints.txt"))
    if platform.system() == "Linux" and not shutil.which("nvidia-smi"):
        cpu_build = f"torch=={version}+cpu"  # never on PyPI, so this starts no CUDA download
        with step(f"installing torch {version}, CPU build"):
            output, status = run_pip(venv, "install", "--retries", "1", cpu_build, *constraints)
            if status and answers(f"{TORCH_CPU_INDEX}/torch/"):
                only_there = ("--no-deps", "--retries", "1", "--index-url", TORCH_CPU_INDEX)
                output, status = run_pip(venv, "install", *only_there, cpu_build)
            if status and (DISK_FULL in output or UNREACHABLE.search(output)):
                raise SetupError(explain_pip(output, venv))  # another build would end the same way
        if not status:
            return
        print("  no CPU build of torch could be had here: taking the plain one, with CUDA on x86")
    with step(f"installing torch {version}"):
        pip(venv, "install", f"torch=={version}", *constraints)


def answers(url: str) -> bool:
    """Whether an address can be fetched within ten seconds."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status == 200
    except (OSError, ValueError):
        return False


# --- pip


def pip(venv: Path, *arguments: str) -> None:
    """Run the environment's pip. Raises SetupError with one sentence where it fails."""
    output, status = run_pip(venv, *arguments)
    if status:
        raise SetupError(explain_pip(output, venv))


def run_pip(venv: Path, *arguments: str) -> tuple[str, int]:
    """Output and status of a call of pip, which also go to setup.log; a PYTHONPATH has no say."""
    command = [str(python_of(venv)), "-I", "-m", "pip", "--no-input", "--disable-pip-version-check"]
    result = subprocess.run(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    # On a full disk the sentence for the reader matters more.
    with contextlib.suppress(OSError), (venv / "setup.log").open("a", encoding="utf-8") as log:
        log.write(f"$ pip {' '.join(arguments)}\n{result.stdout}\n")
    return result.stdout, result.returncode


def explain_pip(output: str, venv: Path) -> str:
    """One sentence for the reader out of what pip printed."""
    again = "then run make again: it goes on from here."
    if DISK_FULL in output:
        return (
            f"the disk is full while installing into {venv} or the temporary folder; "
            f"make room, {again}"
        )
    if UNREACHABLE.search(output):
        return (
            "the Python package index cannot be reached; check the network (or pip's index and "
            f"proxy settings), {again}"
        )
    missing = re.search(r"No matching distribution found for (\S+)", output)
    if missing:
        return (
            f"the package index has no {missing[1].rstrip(';')} for Python "
            f"{platform.python_version()} on {platform.system()} {platform.machine()}; "
            "try another Python with: make course PYTHON=python3.11"
        )
    lines = output.strip().splitlines()
    said = [line for line in lines if line.startswith("ERROR")] or lines or ["no output"]
    return (
        f"pip stopped with {said[-1]!r}; the full output is in {venv / 'setup.log'}. "
        "Run make again once it is put right."
    )


# --- small things


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Print what is being done, then how long it took."""
    print(f"  {what} ...", end="", flush=True)
    start = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - start:.0f} s", flush=True)


@contextlib.contextmanager
def only_one_at_a_time() -> Iterator[None]:
    """Two `make` in one folder take turns, since two pips in one environment break it."""
    import fcntl

    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    with (folder / ".environment.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released by the system, however this process ends
        yield


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
