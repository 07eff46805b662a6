"""tools/lowest_versions.py: the file that the lowest versions are installed from says what pyproject.toml says."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement

from tools import environment, lowest_versions


def test_the_file_holds_every_package_at_the_lower_bound_of_pyproject() -> None:
    lines = [line for line in lowest_versions.FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    wanted = [Requirement(line) for line in environment.wanted_packages()]
    assert len(lines) == len(pins) and set(pins) == {requirement.name for requirement in wanted}, "run: python tools/lowest_versions.py"
    for requirement in wanted:
        bound = next(clause.version for clause in requirement.specifier if clause.operator == ">=")
        assert pins[requirement.name] == bound, "run: python tools/lowest_versions.py"
        assert requirement.specifier.contains(pins[requirement.name])


def test_the_file_is_what_the_tool_writes() -> None:
    assert lowest_versions.FILE.read_text(encoding="utf-8") == lowest_versions.text(), "run: python tools/lowest_versions.py"


def test_a_range_without_a_lower_bound_is_one_sentence() -> None:
    assert lowest_versions.lowest(Requirement("some_package>=1.2,<2")) == "some_package==1.2"
    with pytest.raises(ValueError, match=r"some_package<2 in pyproject\.toml has no lower bound"):
        lowest_versions.lowest(Requirement("some_package<2"))
