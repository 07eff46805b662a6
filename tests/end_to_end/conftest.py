"""A browser for tests, and a checker of accessibility."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator

import pytest

from tools.browser import CHROMIUM, Browser

# https://github.com/dequelabs/axe-core, MPL-2.0: used here, and no part of the course
AXE = "axe-core-4.14.1"
# Its sha512, as npm gives it.
AXE_INTEGRITY = (
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)


@pytest.fixture(scope="module")
def start_browser(tmp_path_factory) -> Iterator[Callable[[], Browser]]:
    """Starts browsers for a module, each with its own cookies; without Chromium tests are skipped.

    One that does not start fails them.
    """
    if CHROMIUM is None:
        pytest.skip("needs chromium (Debian: apt-get install chromium)")
    started: list[Browser] = []

    def start() -> Browser:
        started.append(Browser(tmp_path_factory.mktemp("profile")))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture(scope="module")
def browser(start_browser) -> Browser:
    """A browser for the tests of a module."""
    return start_browser()


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker axe-core, from npm; tests without it are skipped and say so."""
    folder, why = tmp_path_factory.mktemp("axe"), "npm is not installed"
    if shutil.which("npm"):
        # Without retries: where there is no network, npm's own take longer than anybody waits.
        options = ["--silent", "--fetch-retries=0", "--fetch-timeout=60000"]
        command = ["npm", "pack", "@".join(AXE.rsplit("-", 1)), *options]
        try:
            how = {"capture_output": True, "text": True, "timeout": 60}
            why = subprocess.run(command, cwd=folder, **how).stderr.strip()[-200:]
        except subprocess.TimeoutExpired:
            why = "no answer within a minute"
    archive = folder / f"{AXE}.tgz"
    if not archive.is_file():
        pytest.skip(f"{AXE} checks accessibility and could not be fetched from npm: {why}")
    assert base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() == AXE_INTEGRITY
    with tarfile.open(archive) as package:
        return package.extractfile("package/axe.min.js").read().decode("utf-8")
