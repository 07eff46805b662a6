"""The environment is made once, and anew where another Python is asked for."""

import sys
from pathlib import Path
from types import SimpleNamespace

from tools import environment


def test_a_python_that_is_asked_for_replaces_the_environment_of_another(tmp_path, monkeypatch):
    venv = tmp_path / ".venv"
    environment.create(venv)
    (venv / environment.STAMP).write_text(environment.wanted_fingerprint())
    made: list[Path] = []
    monkeypatch.setattr(environment, "create", made.append)
    monkeypatch.setattr(environment, "check_space", lambda venv: None)
    monkeypatch.setattr(
        environment, "installed_torch", lambda venv: environment.tested_versions()["torch"]
    )
    monkeypatch.setattr(environment, "pip", lambda *arguments: None)

    environment.bring_up_to_date(venv, this_python=True)
    assert made == [], "it was made with this very version"
    another = next(version for version in environment.VERSIONS if version != sys.version_info[:2])
    monkeypatch.setattr(environment, "sys", SimpleNamespace(version_info=another))
    environment.bring_up_to_date(venv)
    assert made == [], "nobody asked for a version, and the course runs on the one that is there"
    environment.bring_up_to_date(venv, this_python=True)
    assert made == [venv]
