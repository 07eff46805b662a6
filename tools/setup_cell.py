# @title Set-up: run me first
# The same in every notebook: finds the course, or fetches it (as on Colab).
import os
import sys
import tempfile
from pathlib import Path
from subprocess import CalledProcessError, run

ADDRESS = "https://example.invalid/words-to-answers"
REPOSITORY = os.environ.get("COURSE_REPOSITORY", ADDRESS)
here, name = Path.cwd(), "words-to-answers"
places = [here, *here.parents, here / name, here / f"{name}-2"]


def is_course(place):  # half a course is none, and stays
    return (place / "src/../tools/setup_cell.py").is_file()


COURSE = min(places, key=lambda place: (not is_course(place), place.exists()))
if not COURSE.exists():
    aside = {
        "prefix": ".unfinished-course-",
        "dir": here,
        "ignore_cleanup_errors": True,
    }
    quiet = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true"}
    options = {"env": quiet, "check": True, "capture_output": True}
    try:  # aside, then renamed: what is stopped midway has another name
        with tempfile.TemporaryDirectory(**aside) as new:
            command = ["git", "clone", "--quiet", "--depth", "1"]
            run([*command, REPOSITORY, f"{new}/course"], text=True, **options)
            os.rename(f"{new}/course", COURSE)
    except (OSError, CalledProcessError) as error:
        if not COURSE.exists():  # where it does, another notebook was quicker
            reason = str(getattr(error, "stderr", error)).strip().split("\n")[0]
            found = f"Fetching the course into {here} failed"
            needs = f"it takes git, {REPOSITORY}, and room there"
            raise RuntimeError(f"{found}; {needs}: {reason}") from None
sys.path[:] = [str(COURSE), *(p for p in sys.path if p != str(COURSE))]
ours = str(COURSE / "src")
loaded = list(getattr(sys.modules.get("src"), "__path__", [ours]))
if ours not in loaded:
    found = f"Another package named src is loaded, from {loaded}"
    raise ImportError(f"{found}: restart the kernel, run this first.")
from src import runtime

runtime.start(seed=0)
