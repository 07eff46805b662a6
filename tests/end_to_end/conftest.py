"""A browser for tests, a checker of accessibility, and pages that compute."""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools import build_site, explorers, site_server
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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages that compute, below a page that opens one."""
    folder = tmp_path_factory.mktemp("a site") / "below" / "explorers"
    patterns = ("tools/page_*.py", "tools/onnx_file.py", "weights/*/card.json")
    made_of = [file for pattern in patterns for file in explorers.ROOT.glob(pattern)]
    laid = explorers.SITE / ".laid"  # by `make course`
    if laid.is_file() and all(os.path.getmtime(f) < os.path.getmtime(laid) for f in made_of):
        shutil.copytree(explorers.SITE, folder)
        explorers.lay_pages(folder)
    else:
        explorers.lay(folder)
    first = f"<!doctype html><title>One</title><body>{explorers.first_page_reader()}"
    first += '<script src="course.js"></script>'
    (folder.parent / "index.html").write_text(first, encoding="utf-8")
    shutil.copy(build_site.PAGES / "_static" / "course.js", folder.parent)
    return folder


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    """As any static host serves it: without the headers that allow threads."""
    server = site_server.server(site.parent, isolated=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/explorers/"
    server.shutdown()
