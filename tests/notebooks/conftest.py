"""What the tests of notebooks share: a place of its own for what they train."""

import os

import pytest

from tools import run_notebooks


@pytest.fixture(autouse=True)
def runs_of_its_own(monkeypatch) -> None:
    """Two tests that run one notebook at the same time do not delete each other's runs."""
    monkeypatch.setattr(
        run_notebooks,
        "RUNS",
        run_notebooks.RUNS / f"tests-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}",
    )
