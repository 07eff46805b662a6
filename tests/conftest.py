"""What tests of all folders share."""

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import pytest

from src import runtime

ROOT = Path(__file__).resolve().parent.parent

runtime.configure_libraries()  # before any test imports a Hugging Face library

# Figures are drawn, never shown; set before any test imports matplotlib.
os.environ.setdefault("MPLBACKEND", "agg")

# On a computer without a network torch's processes would warn that it has no name.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

# Speed is measured in benchmarks/; a test that is slow because the machine is busy has not failed.
hypothesis.settings.register_profile("course", deadline=None)
hypothesis.settings.load_profile("course")


@pytest.fixture(scope="session")
def course() -> Path:
    """The folder of the course under test."""
    return ROOT


@pytest.fixture
def ticking_clock(monkeypatch) -> SimpleNamespace:
    """The clock of `src.training`: it goes on by `tick` seconds whenever somebody looks at it.

    So a training by minutes takes the same steps on every machine; `fit` looks three times a step.
    """
    from src import training  # here, since torch is slow to import and many tests do without

    clock = SimpleNamespace(now=1000.0, tick=0.01)

    def perf_counter() -> float:
        clock.now += clock.tick
        return clock.now

    clock.perf_counter = perf_counter
    monkeypatch.setattr(training, "time", clock)
    return clock


@pytest.fixture
def clean_environment() -> dict[str, str]:
    """The environment of a stranger, without this course's variables or Hugging Face's."""
    prefixes = ("COURSE_", "HF_", "TRANSFORMERS_", "PYTHON", "TOKENIZERS_", "PYTEST_", "MPL")
    prefixes += ("GIT_", "MAKE", "MFLAGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """A git repository with one commit: the working tree, without what git ignores."""
    folder = tmp_path_factory.mktemp("published") / "words-to-answers.git"
    command = "git -c safe.directory=* ls-files -z --cached --others --exclude-standard"
    listing = subprocess.check_output(command.split(), cwd=ROOT, text=True)
    for name in filter(None, listing.split("\0")):
        source = ROOT / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    # 80 MB, most of them weights: compressed, they would be hardly smaller, and seconds later.
    settings = "user.name=test user.email=test@example.invalid commit.gpgsign=false"
    options = [word for one in f"{settings} core.compression=0".split() for word in ("-c", one)]
    for command in ("init --quiet", "add --all", "commit --quiet --message first"):
        subprocess.run(["git", *options, *command.split()], cwd=folder, check=True)
    return folder
