"""Set-up and surroundings: the course's folder, seeds, fast mode, the machine, runs of notebooks.

The set-up cell of every notebook calls `start()`. Importing this module is light: torch and
Hugging Face's libraries are loaded only by the functions that need them.
"""

from __future__ import annotations

import glob
import importlib
import json
import math
import os
import platform
import random
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

COURSE = Path(__file__).resolve().parent.parent
SPIN_COUNT = 6000  # how often a waiting thread looks before it sleeps; GNU's default is 300,000
FAST_SECONDS = 4.0  # of any training in fast mode: enough to measure the speed, and save
GIGABYTE = 1024**3
NO_GPU = "no GPU"
HUB_SECONDS = 5.0  # that the Hub has for a small file


def start(seed: int = 0) -> None:
    """Prepare this Python for the course: packages, quiet libraries, seeds, plot style.

    Can be called twice. On Colab, and in a folder where the set-up cell fetched the course,
    missing packages are installed first. On Colab with a GPU names resolve to the Hugging Face Hub.
    Prints a sentence where the Hub does not answer, or where torch was loaded first and its threads
    will spin while they wait, and nothing else.

    Raises:
        ImportError: packages or part of the course are missing; the reader decides what to do.
    """
    _check_clone()
    ensure_packages()
    if on_colab() and gpu_name() != NO_GPU:
        os.environ.setdefault("COURSE_ONLINE", "1")
    _check_hub()
    configure_libraries()
    if _threads_spin and sys.platform == "linux" and device().type == "cpu":
        if sys.modules["torch"].get_num_threads() > 1:
            print(
                "torch was loaded before the course, and its threads keep the processor busy "
                "while they wait: beside other programs training is several times slower. "
                "Restart the kernel, then run this cell first."
            )
    import matplotlib.style

    matplotlib.style.use(COURSE / "src" / "plots" / "course.mplstyle")
    set_seed(seed)


def configure_libraries() -> None:
    """Set the environment variables that libraries read when they are imported.

    The Hub is off, because everything the course uses by default is local; COURSE_ONLINE=1 leaves
    it on. A reader's own values win.
    """
    let_threads_sleep()
    settings = {
        "TOKENIZERS_PARALLELISM": "false",  # its threads and forked data loaders do not mix
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # transformers' "Loading weights" bars go by it too
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_DATASETS_CACHE": str(cache() / "datasets"),
    }
    if not is_online():
        settings["HF_HUB_OFFLINE"] = "1"
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def let_threads_sleep() -> None:
    """Let torch's threads sleep while they wait for each other, but for a moment.

    Threads that wait awake take the processor from whatever else runs, and from the thread they
    wait for: beside one busy process a training on two cores was eight times slower. An OpenMP
    library reads these variables when torch loads it, and never again, so `src` calls this when
    it is imported. A reader's own values win.
    """
    global _threads_spin
    if "OMP_WAIT_POLICY" in os.environ:
        return
    if "torch" in sys.modules and "GOMP_SPINCOUNT" not in os.environ:
        _threads_spin = True
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))  # GNU's, in torch for Linux
    os.environ.setdefault("KMP_BLOCKTIME", "0")  # LLVM's and Intel's; milliseconds, usually 200


_threads_spin = False  # whether torch was loaded before `let_threads_sleep`


def is_online() -> bool:
    """Whether COURSE_ONLINE=1 allows names to resolve to the Hugging Face Hub."""
    return os.environ.get("COURSE_ONLINE", "0") not in ("", "0")


def on_colab() -> bool:
    """Whether this is a notebook on Google Colab."""
    return "google.colab" in sys.modules


def _check_hub() -> None:
    """Where one is online and the Hub gives no small file within seconds: say so, and go offline.

    Left alone, its libraries ask again for a minute, for each file, before they give up.
    """
    if not is_online():
        return
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    try:
        page = Request(f"{address}/bert-base-uncased/resolve/main/config.json", method="HEAD")
        urlopen(page, timeout=HUB_SECONDS).close()
    except (OSError, ValueError, HTTPException) as error:
        os.environ["COURSE_ONLINE"] = "0"
        found = f"{address} does not answer as the Hugging Face Hub does ({first_line(error)})"
        print(
            f"{found}, so you go on without it, with the course's own questions and models. To "
            "try it again, restart the kernel and run this cell."
        )


@contextmanager
def hub() -> Iterator[None]:
    """Online, let what fails inside end with one sentence that offers the way without the Hub.

    Offline nothing is changed.

    Raises:
        RuntimeError: whatever the libraries raised.
    """
    try:
        yield
    except Exception as error:  # what they raise has no class in common
        if not is_online():
            raise
        raise RuntimeError(
            f"The Hugging Face Hub did not do what was asked ({first_line(error)}). Try again, or "
            'go on without it: run `import os; os.environ["COURSE_ONLINE"] = "0"` in a cell, then '
            "once more the cells that need it."
        ) from None


def first_line(error: BaseException | str) -> str:
    """The first line of an error's text, else its class, for one-sentence messages."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")[:300]


def cache() -> Path:
    """The folder for what can be fetched or computed again: COURSE_CACHE, else data/cache."""
    return Path(os.environ.get("COURSE_CACHE") or COURSE / "data/cache").expanduser().absolute()


# --- packages


def missing_packages(requirements: Iterable[str] | None = None) -> list[str]:
    """The requirements, pyproject.toml's by default, of which no tested version is installed."""
    from packaging.requirements import Requirement

    if requirements is None:
        text = (COURSE / "pyproject.toml").read_text(encoding="utf-8")
        requirements = tomllib.loads(text)["project"]["dependencies"]
    missing = []
    for line in requirements:
        requirement = Requirement(line)
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = None
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            missing.append(line)
    return missing


def ensure_packages() -> None:
    """Install what is missing on Colab and where the set-up cell fetched the course.

    Packages that are there and fit the ranges stay as they are: a hosted notebook's own torch is
    the one built for its GPU.

    Raises:
        ImportError: packages are missing and may not, or cannot, be installed; or one was replaced
            that is loaded already.
    """
    missing = missing_packages()
    if not missing:
        return
    listed = ", ".join(missing)
    fetched_here = COURSE.parent == Path.cwd().resolve()
    if not (fetched_here or on_colab()):
        found = f"This Python ({sys.executable}) lacks what the course needs: {listed}."
        raise ImportError(f"{found} Run `make lab` in {COURSE}, or choose the kernel of its .venv.")
    before = _versions_of_what_is_loaded()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input"]
    with _one_at_a_time():
        result = subprocess.run(
            [*command, "--disable-pip-version-check", *missing], capture_output=True, text=True
        )
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        advice = "Check the network, then run this cell again"
        raise ImportError(f"Installing {listed} failed: {reason}. {advice}.")
    importlib.invalidate_caches()
    after = _versions_of_what_is_loaded()
    replaced = sorted(name for name in before if after.get(name) != before[name])
    if replaced:
        raise ImportError(
            "The course needed other versions of what was loaded here already "
            f"({', '.join(replaced)}); they are installed now: restart the kernel (on Colab: "
            "Runtime, Restart session), then run this cell again."
        )


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Set-up cells of notebooks opened together take turns: two pips at once break a Python."""
    import fcntl  # not on Windows, where the course runs in WSL

    with (COURSE / "pyproject.toml").open("a") as lock:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)  # freed by the system, however this process ends
        yield


def _check_clone() -> None:
    """Clear away what killed set-up cells left, and complete a clone that was cut off.

    ImportError where git cannot complete it.
    """
    if COURSE.parent == Path.cwd().resolve():
        for unfinished in COURSE.parent.glob(".unfinished-course-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
    git = COURSE / ".git"  # a clone writes packed-refs before the files, and index after them
    if not (git / "packed-refs").exists() or (git / "index").exists():
        return
    # Files come in the order of their names: notebooks are whole, and a reader may have edited one.
    commands = ("checkout HEAD -- . :!notebooks", "reset")
    options = {"cwd": COURSE, "check": True, "capture_output": True, "text": True}
    try:
        (git / "index.lock").unlink(missing_ok=True)  # a git that is killed leaves it
        for command in commands:
            subprocess.run(["git", *command.split()], **options)
    except (OSError, subprocess.CalledProcessError) as error:
        (git / "index").unlink(missing_ok=True)  # git writes it also where it could not do a file
        reason = first_line(getattr(error, "stderr", "") or error)
        found = f"{COURSE} holds part of the course only, since fetching it was cut off"
        advice = "move it away, then run this cell again"
        raise ImportError(f"{found}, and git cannot complete it ({reason}): {advice}.") from None


def _versions_of_what_is_loaded() -> dict[str, str]:
    owners = metadata.packages_distributions()
    loaded = {package for module in list(sys.modules) for package in owners.get(module, ())}
    loaded.discard(None)  # what half an installation is called
    return {package: metadata.version(package) for package in loaded}


# --- seeds


def set_seed(seed: int) -> None:
    """Let the random numbers of Python, numpy and torch start from `seed`.

    torch is not loaded for it: it is seeded when it is imported, if that comes later.
    """
    import numpy as np
    import wrapt

    random.seed(seed)
    np.random.seed(seed % 2**32)
    wrapt.register_post_import_hook(lambda torch: torch.manual_seed(seed), "torch")


# --- fast mode, device, machine


def is_fast() -> bool:
    """Whether COURSE_FAST=1 asks for the same cells with seconds of training, as the tests do."""
    return os.environ.get("COURSE_FAST", "0") not in ("", "0")


def minutes(wanted: float) -> float:
    """Minutes of training to ask for: `wanted`, or seconds in fast mode."""
    return min(wanted, FAST_SECONDS / 60) if is_fast() else wanted


def device() -> torch.device:
    """The fastest device of this machine: CUDA, Apple's MPS, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def machine() -> str:
    """`machine_line` in 75 columns, with room for "These outputs come from " before it."""
    return textwrap.fill(machine_line(), 75, initial_indent=" " * 24).lstrip()


def machine_line() -> str:
    """One line: cores, processor, memory, GPU, system, Python and torch, which is not loaded."""
    count = cores()
    parts = [f"{count} CPU core{'s' if count > 1 else ''}", _processor_name()]
    parts += [f"{memory_bytes() / GIGABYTE:.0f} GB memory", gpu_name()]
    system = f"{platform.system()}; Python {platform.python_version()}"
    return f"{', '.join(filter(None, parts))}; {system}; torch {metadata.version('torch')}"


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor_name() -> str:
    """As its maker gives it, without trade marks; the architecture where that is not told."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    for mark in ("(R)", "(TM)", " CPU"):
        name = name.replace(mark, "")
    return " ".join(name.split("@")[0].split())


def memory_bytes() -> int:
    """Physical memory, or less where a container is given less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def gpu_name() -> str:
    """The first NVIDIA GPU by its own tool, "Apple GPU" on Apple's processors, else "no GPU"."""
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        with suppress(OSError, subprocess.TimeoutExpired):
            result = subprocess.run(command, capture_output=True, text=True, timeout=10)
            if names := result.stdout.strip().splitlines():
                return names[0] if len(names) == 1 else f"{len(names)} x {names[0]}"
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "Apple GPU"
    return NO_GPU


# --- progress of a training


def progress_line(progress: Mapping[str, Any]) -> str:
    """The state of a training: "step 120 of 400 · 61 s of 180 s · 54 questions/s · loss 1.83".

    Args:
        progress: what is known of phase, step, steps, seconds, planned_seconds,
            examples_per_second, loss, and unit ("questions").
    """
    phase = str(progress.get("phase") or "training")
    known = {name: as_number(value) for name, value in progress.items()}
    parts = [] if phase == "training" else [phase]
    if (step := known.get("step")) is not None:
        total = known.get("steps")
        parts.append(f"step {step:,.0f}" + ("" if total is None else f" of {total:,.0f}"))
    if (seconds := known.get("seconds")) is not None:
        total = known.get("planned_seconds")
        parts.append(f"{seconds:,.0f} s" + ("" if total is None else f" of {total:,.0f} s"))
    if (speed := known.get("examples_per_second")) is not None:
        number = f"{speed:,.0f}" if speed >= 9.5 else f"{speed:.1f}"
        parts.append(f"{number} {progress.get('unit', 'questions')}/s")
    if (loss := known.get("loss")) is not None:
        parts.append(f"loss {loss:.2f}")
    elif progress.get("loss") is not None:
        parts.append("loss is not a number")
    return " · ".join(parts) or phase


def print_progress(every: float = 5.0) -> Callable[[dict], None]:
    """A reporter that prints a line at most every `every` seconds, and at each new phase."""
    last = {"at": -every, "phase": None}

    def report(progress: dict) -> None:
        seconds, phase = progress["seconds"], progress["phase"]
        if seconds - last["at"] < every and phase == last["phase"]:
            return
        last.update(at=seconds, phase=phase)
        planned = as_number(progress.get("planned_seconds"))
        late = planned is not None and seconds > 1.15 * planned
        print(progress_line(progress) + (" · slower than planned" if late else ""), flush=True)

    return report


def as_number(value: Any) -> float | None:
    """`value` as a finite float, None for everything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


# --- results of slow cells


def run_folder(name: str) -> Path:
    """The folder of a notebook's runs: COURSE_RUNS, else build/runs/name. Not made here.

    In fast mode it is build/runs-fast/name, so that a run of seconds never replaces a real one.
    tools/run_notebooks.py sets COURSE_RUNS for each notebook, so that every execution trains anew
    and a reader's own runs stay.
    """
    own = f"build/runs-fast/{name}" if is_fast() else f"build/runs/{name}"
    return COURSE / Path(os.environ.get("COURSE_RUNS") or own).expanduser()


def latest_run(folder: str | Path, shipped: str | Path) -> Path:
    """The newest finished run in `folder`, else the shipped one: where a slow cell's result is.

    Prints one sentence that says which it is. Paths are absolute or relative to the course.

    Args:
        folder: a run, or a folder of runs, such as `run_folder("08_bert_squad")`; runs beside it,
            as live-2 beside live, count too.
        shipped: the folder that comes with the course.

    Raises:
        FileNotFoundError: there is neither.
    """
    folder, shipped = COURSE / folder, COURSE / shipped
    inside = folder.iterdir() if folder.is_dir() else ()
    finished = [run for run in (*runs_beside(folder), *inside) if is_finished(run)]
    if finished:
        newest = max(finished, key=lambda run: (run / "run.json").stat().st_mtime)
        print(f"Using your own run in {_short(newest)}.")
        return newest
    mine, theirs = _short(folder), _short(shipped)
    if not shipped.exists():
        found = f"There is no finished run in {mine} and no shipped one at {theirs}"
        advice = f"run the training cell, or get the shipped one back with `git checkout {theirs}`"
        raise FileNotFoundError(f"{found}: {advice}.")
    print(f"Using the shipped result in {theirs}:\nno finished run of yours in {mine}.")
    return shipped


def runs_beside(folder: Path) -> list[Path]:
    """The folder, and those that runs with other arguments made beside it: live-2, live-3."""
    beside = folder.parent.glob(f"{glob.escape(folder.name)}-*")
    return [folder, *(each for each in beside if each.name[len(folder.name) + 1 :].isdigit())]


def is_finished(run: Path) -> bool:
    """Whether the folder `run` holds a training run that came to its end."""
    try:
        about = json.loads((run / "run.json").read_text(encoding="utf-8"))
        return about.get("finished") is True
    except (OSError, ValueError, AttributeError):
        return False


def _short(path: Path) -> str:
    return str(path.relative_to(COURSE)) if path.is_relative_to(COURSE) else str(path)
