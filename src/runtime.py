"""Where am I running: the course's folder, the device, seeds, fast mode, quiet libraries, plot style, the latest training run.

The set-up cell of every notebook calls `start()`. Importing this module is light: torch, transformers and datasets are
loaded only by the functions that need them.
"""

from __future__ import annotations

import glob
import importlib.abc
import importlib.machinery
import importlib.util
import json
import math
import os
import platform
import random
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch

COURSE = Path(__file__).resolve().parent.parent
SPIN_COUNT = 6000  # how often a thread that waits for others looks before it sleeps; left to itself GNU's library looks 300,000 times
FAST_SECONDS = 10.0  # what any training gets in fast mode: enough to measure the speed, plan, and save
GIGABYTE = 1024**3


def start(seed: int = 0) -> None:
    """Prepare this Python for the course: packages there, libraries quiet, hub off, seeds set, plot style on.

    Can be called twice. On Colab, and in a folder where the set-up cell fetched the course, missing packages are installed
    first. Prints one line where torch came first and its threads will spin while they wait, and nothing else.

    Args:
        seed: where random numbers start.

    Raises:
        ImportError: packages are missing or half the course is, and what to do about it is the reader's decision.
    """
    _check_clone()
    ensure_packages()
    configure_libraries()
    if _threads_spin and sys.platform == "linux" and sys.modules["torch"].get_num_threads() > 1 and device().type == "cpu":
        print(
            "torch was loaded before the course, and its threads keep the processor busy while they wait: beside other programs "
            "training is several times slower. Restart the kernel, then run this cell first."
        )
    import matplotlib.style

    matplotlib.style.use(COURSE / "src" / "plots" / "course.mplstyle")
    set_seed(seed)


def configure_libraries() -> None:
    """Set the environment variables that libraries read when they are imported; a reader's own values win.

    The Hub is off, because everything the course uses by default is local; COURSE_ONLINE=1 leaves it on. Threads wait asleep,
    see `let_threads_sleep`.
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
    """Set how torch's threads wait for each other: asleep, but for a moment. `src` calls this when it is imported.

    Threads that wait awake take the processor from whatever else runs, and from the thread they wait for: beside one busy
    process a training on two cores was eight times slower. An OpenMP library reads these variables when torch loads it, and
    never again. A reader's own values win.
    """
    global _threads_spin
    if "OMP_WAIT_POLICY" in os.environ:
        return
    if "torch" in sys.modules and "GOMP_SPINCOUNT" not in os.environ:
        _threads_spin = True
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))  # GNU's library, in torch's wheels for Linux
    os.environ.setdefault("KMP_BLOCKTIME", "0")  # LLVM's, in those for macOS, and Intel's; in milliseconds, by default 200


_threads_spin = False  # whether torch was loaded before `let_threads_sleep`


def is_online() -> bool:
    """Whether COURSE_ONLINE=1 allows names to resolve to the Hugging Face Hub."""
    return os.environ.get("COURSE_ONLINE", "0") not in ("", "0")


def cache() -> Path:
    """Folder for everything that can be fetched or computed again: COURSE_CACHE, else data/cache. Not made here."""
    return Path(os.environ.get("COURSE_CACHE") or COURSE / "data" / "cache").expanduser().absolute()


# --- packages ------------------------------------------------------------------------------------------------------------


def missing_packages(requirements: Iterable[str] | None = None) -> list[str]:
    """Those of the course's requirements that are not installed, or at a version outside the tested range.

    requirements: like "torch>=2.13,<3"; None takes the dependencies of pyproject.toml.
    """
    from packaging.requirements import Requirement

    if requirements is None:
        requirements = tomllib.loads((COURSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    missing = []
    for line in requirements:
        requirement = Requirement(line)
        try:
            fits = requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
        except metadata.PackageNotFoundError:
            fits = False
        if not fits:
            missing.append(line)
    return missing


def ensure_packages() -> None:
    """Install what is missing where that was asked for (Colab, or a fresh clone by the set-up cell); elsewhere say what to do.

    Packages that are there and fit the ranges stay as they are: a hosted notebook's own torch is the one built for its GPU.
    Raises ImportError in one sentence when packages are missing and may not, or cannot, be installed, and when one was replaced whose
    compiled code this Python has loaded already: that cannot be loaded anew, and does not go with the new files.
    """
    missing = missing_packages()
    if not missing:
        return
    fetched_here = COURSE.parent == Path.cwd().resolve()
    if not (fetched_here or "google.colab" in sys.modules):
        raise ImportError(
            f"This Python ({sys.executable}) lacks what the course needs: {', '.join(missing)}. "
            f"Run `make lab` in {COURSE}, or choose the kernel of its .venv."
        )
    before = _versions_of_compiled_code()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *missing]
    with _one_at_a_time():  # two notebooks opened together: the second pip finds all there
        result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise ImportError(f"Installing {', '.join(missing)} failed: {reason}. Check the network, then run this cell again.")
    importlib.invalidate_caches()
    after = _versions_of_compiled_code()
    replaced = sorted(name for name in before if after.get(name) != before[name])
    if replaced:
        raise ImportError(
            f"The course needed other versions of what was loaded here already ({', '.join(replaced)}); they are installed now: "
            "restart the kernel (on Colab: Runtime, Restart session), then run this cell again."
        )


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two set-up cells that install into one Python take turns, since two pips at once break it."""
    import fcntl  # not on Windows, where the course runs in WSL

    with (COURSE / "pyproject.toml").open("a") as lock:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)  # released by the system, however this process ends
        yield


def _check_clone() -> None:
    """Clear away what set-up cells left that were killed while they fetched this course.

    Raises ImportError where it was fetched by git, and git was killed before the last file was written.
    """
    if COURSE.parent == Path.cwd().resolve():
        for unfinished in COURSE.parent.glob(".unfinished-course-*"):  # also of a cell still at it: it finds the course, then
            shutil.rmtree(unfinished, ignore_errors=True)
    git = COURSE / ".git"
    if (git / "packed-refs").exists() and not (git / "index").exists():  # what a clone writes before and after the files
        raise ImportError(f"{COURSE} holds part of the course only, since fetching it was cut off: move it away, then run this cell again.")


def _versions_of_compiled_code() -> dict[str, str]:
    """Package -> its version on disk, of the installed packages of which compiled modules are loaded."""
    compiled = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    files = {name: getattr(module, "__dict__", {}).get("__file__") for name, module in list(sys.modules.items())}
    modules = {name.partition(".")[0] for name, file in files.items() if str(file).endswith(compiled)}
    owners = metadata.packages_distributions()
    versions = {}
    for package in {package for module in modules for package in owners.get(module, ()) if package}:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


# --- seeds ---------------------------------------------------------------------------------------------------------------


def set_seed(seed: int) -> None:
    """Make what follows repeatable: Python's, numpy's and torch's random numbers start from `seed`.

    numpy and torch are not imported for it: one that is not loaded yet is seeded at the moment it is.
    """
    random.seed(seed)
    _now_or_when_imported("numpy", lambda numpy: numpy.random.seed(seed % 2**32))
    _now_or_when_imported("torch", lambda torch: torch.manual_seed(seed))


def _now_or_when_imported(name: str, action: Callable[[ModuleType], object]) -> None:
    """Call `action` with the module `name`: at once if it is loaded, else right after its import (the last action given wins)."""
    _SeedOnImport.actions.pop(name, None)
    if name in sys.modules:
        action(sys.modules[name])
        return
    _SeedOnImport.actions[name] = action
    if _SeedOnImport not in sys.meta_path:
        sys.meta_path.insert(0, _SeedOnImport)


class _SeedOnImport(importlib.abc.MetaPathFinder):
    """Import hook that lets Python find a module as always and runs an action once the module is loaded."""

    actions: ClassVar[dict[str, Callable[[ModuleType], object]]] = {}

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """The usual spec of `name`, its loader followed by the action; None (not mine) for every other module.

        The action stays until the module is really loaded: libraries also look for a spec merely to see what is installed.
        """
        if name not in cls.actions:
            return None
        specs = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not cls)  # type: ignore[arg-type]
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_then_act(module: ModuleType) -> None:
            load(module)
            action = cls.actions.pop(name, None)
            if action is not None:
                action(module)

        spec.loader.exec_module = load_then_act  # type: ignore[method-assign]
        return spec


# --- fast mode, device, machine ------------------------------------------------------------------------------------------


def is_fast() -> bool:
    """Whether COURSE_FAST=1 asks for the same cells with seconds of training (the tests run notebooks so)."""
    return os.environ.get("COURSE_FAST", "0") not in ("", "0")


def minutes(wanted: float) -> float:
    """Minutes of training to ask for: `wanted`, or ten seconds' worth in fast mode."""
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
    """One line for people: cores, processor, memory, GPU, system, Python and torch. torch is not imported for it."""
    count = cores()
    parts = [f"{count} CPU core{'s' if count > 1 else ''}", _processor_name(), f"{memory_bytes() / GIGABYTE:.0f} GB memory", gpu_name()]
    try:
        torch_version = f"torch {metadata.version('torch')}"
    except metadata.PackageNotFoundError:
        torch_version = "no torch"
    return f"{', '.join(part for part in parts if part)}; {platform.system()}; Python {platform.python_version()}; {torch_version}"


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor_name() -> str:
    """The processor's name as its maker gives it, without trade marks; the architecture where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return " ".join(name.replace("(R)", "").replace("(TM)", "").replace(" CPU", "").split("@")[0].split())


def memory_bytes() -> int:
    """Physical memory, or less where a container is given less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def gpu_name() -> str:
    """Name of the first NVIDIA GPU by its own tool, "Apple GPU" on Apple's processors, else "no GPU"."""
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        try:
            names = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip().splitlines()
        except (OSError, subprocess.TimeoutExpired):
            names = []
        if names:
            return names[0] if len(names) == 1 else f"{len(names)} x {names[0]}"
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "Apple GPU"
    return "no GPU"


# --- progress of a training ----------------------------------------------------------------------------------------------


def progress_line(progress: Mapping[str, Any]) -> str:
    """The state of a training as one line: "step 120 of 400 · 61 s of 180 s · 54 questions/s · loss 1.83".

    progress: what is known of phase, step, steps, seconds, planned_seconds, examples_per_second, loss, and the unit ("questions").
    """
    what = progress.get("unit", "questions")
    phase = str(progress.get("phase") or "training")
    parts = [] if phase == "training" else [phase]
    for name, total, unit in (("step", "steps", ""), ("seconds", "planned_seconds", " s")):
        done, planned = as_number(progress.get(name)), as_number(progress.get(total))
        if done is not None:
            prefix = "step " if name == "step" else ""
            parts.append(f"{prefix}{done:,.0f}{unit}" + (f" of {planned:,.0f}{unit}" if planned is not None else ""))
    speed, loss = as_number(progress.get("examples_per_second")), as_number(progress.get("loss"))
    if speed is not None:
        parts.append(f"{speed:,.0f} {what}/s" if speed >= 9.5 else f"{speed:.1f} {what}/s")
    if loss is not None:
        parts.append(f"loss {loss:.2f}")
    elif progress.get("loss") is not None:
        parts.append("loss is not a number")
    return " · ".join(parts) or phase


def print_progress(every: float = 5.0) -> Callable[[dict], None]:
    """A progress reporter that prints one line at most every so many seconds, and at each change of phase."""
    last = {"at": -every, "phase": None}

    def report(progress: dict) -> None:
        if progress["seconds"] - last["at"] < every and progress["phase"] == last["phase"]:
            return
        last.update(at=progress["seconds"], phase=progress["phase"])
        planned = as_number(progress.get("planned_seconds"))
        late = " · slower than planned" if planned is not None and progress["seconds"] > 1.15 * planned else ""
        print(progress_line(progress) + late, flush=True)

    return report


def as_number(value: Any) -> float | None:
    """`value` as a finite float, None for everything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


# --- results of slow cells -----------------------------------------------------------------------------------------------


def run_folder(name: str) -> Path:
    """Where a notebook's training runs go, one level below: COURSE_RUNS/name, else build/runs/name. Not made here.

    In fast mode build/runs-fast/name, since a run of seconds must never stand in for, or collide with, a real one.
    tools/run_notebooks.py sets COURSE_RUNS, so that every execution of a notebook trains anew and a reader's own runs stay.
    """
    runs = os.environ.get("COURSE_RUNS") or ("build/runs-fast" if is_fast() else "build/runs")
    return COURSE / Path(runs).expanduser() / name


def latest_run(folder: str | Path, shipped: str | Path) -> Path:
    """The folder a cell after a slow one takes its result from: the newest finished run in `folder`, else the shipped one.

    folder: a run, or a folder of runs, such as `run_folder("06")`; runs beside it, as live-2 beside live, count too. A run is
    finished when its run.json says `"finished": true`.
    shipped: the folder that comes with the course. Paths are absolute or relative to the course.
    Prints one sentence that says which one it is, the path as seen from the course.
    Raises FileNotFoundError when there is neither.
    """
    folder, shipped = COURSE / folder, COURSE / shipped
    finished = [run for run in (*runs_beside(folder), *(folder.iterdir() if folder.is_dir() else ())) if is_finished(run)]
    if finished:
        newest = max(finished, key=lambda run: (run / "run.json").stat().st_mtime)
        print(f"Using your own run in {_short(newest)}.")
        return newest
    if not shipped.exists():
        raise FileNotFoundError(
            f"There is no finished run in {_short(folder)} and no shipped one at {_short(shipped)}: "
            f"run the training cell, or get the shipped one back with `git checkout {_short(shipped)}`."
        )
    print(f"Using the shipped result in {_short(shipped)}: there is no finished run of yours in {_short(folder)}.")
    return shipped


def runs_beside(folder: Path) -> list[Path]:
    """The folder, and those that runs with other arguments have made beside it: live, live-2, live-3."""
    beside = folder.parent.glob(f"{glob.escape(folder.name)}-*")
    return [folder, *(each for each in beside if each.name[len(folder.name) + 1 :].isdigit())]


def is_finished(run: Path) -> bool:
    """Whether the folder `run` holds a training run that came to its end."""
    try:
        return json.loads((run / "run.json").read_text(encoding="utf-8")).get("finished") is True
    except (OSError, ValueError, AttributeError):
        return False


def _short(path: Path) -> str:
    """The path as seen from the course's folder, where it lies in it."""
    return str(path.relative_to(COURSE)) if path.is_relative_to(COURSE) else str(path)
