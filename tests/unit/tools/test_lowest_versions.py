"""The file that the lowest versions are installed from says what pyproject.toml says."""

from packaging.requirements import Requirement

from tools import environment, lowest_versions


def test_the_file_holds_every_package_at_the_lower_bound_of_pyproject():
    text = lowest_versions.FILE.read_text(encoding="utf-8")
    assert text == lowest_versions.text(), "run: python tools/lowest_versions.py"
    pins = dict(line.split("==") for line in text.splitlines() if not line.startswith("#"))
    wanted = [Requirement(line) for line in environment.wanted_packages()]
    assert set(pins) == {requirement.name for requirement in wanted}
    for requirement in wanted:
        (bound,) = [one.version for one in requirement.specifier if one.operator == ">="]
        assert pins[requirement.name] == bound
