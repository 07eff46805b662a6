"""A browser for tests."""

from collections.abc import Callable, Iterator

import pytest

from tools.browser import CHROMIUM, Browser


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
