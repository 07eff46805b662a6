"""The report on the environment: what is wrong is marked and comes with something to do."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from src import runtime
from src.assets import ASSETS, AssetError
from src.teaching.environment import Finding, environment, report_panel

GOOD = {name: f"good, 12 MB in /some/where/{name}" for name in ASSETS}


def store(**states):
    """An asset store that says what it is told; an AssetError among the states is raised."""

    def verify(name):
        state = {**GOOD, **states}[name]
        if isinstance(state, AssetError):
            raise state
        return state

    return SimpleNamespace(assets=ASSETS, verify=verify)


@pytest.fixture
def course(tmp_path):
    """A course's folder that needs two packages, and has its weights."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nrequires-python = ">=3.11"\ndependencies = ["numpy>=1", "pandas>=1"]\n'
    )
    (tmp_path / "weights" / "qa-minilm").mkdir(parents=True)
    (tmp_path / "weights" / "qa-minilm" / "model.safetensors").write_bytes(bytes(3_000_000))
    return tmp_path


def by_name(findings):
    return {finding.what: finding for finding in findings}


def test_where_everything_is_there_nothing_is_to_do(course):
    findings = environment(course, store())
    assert all(finding.verdict != "bad" for finding in findings)
    named = by_name(findings)
    assert named["minilm"].found.endswith("; 12 MB") and "some/where" not in str(findings)
    assert named["weights/qa-minilm"].found == "3 MB, they come with the course"
    assert named["packages"].found.startswith("2 of 2 at a tested version, among them numpy")


def test_the_report_on_this_very_course_has_no_complaint():
    """Assets may be fetched later, so they are left out."""
    assert not [finding for finding in environment(store=store()) if finding.verdict == "bad"]


@pytest.mark.parametrize(
    ("line", "what", "found"),
    [
        ("numpy>=999", "numpy", "tested with >=999"),
        ("no-such-package-here>=1", "no-such-package-here", "not installed"),
    ],
)
def test_a_package_that_does_not_fit_gets_a_line_and_advice(course, line, what, found):
    (course / "pyproject.toml").write_text(
        f'[project]\nrequires-python = ">=3.11"\ndependencies = ["{line}", "pandas>=1"]\n'
    )
    finding = by_name(environment(course, store()))[what]
    assert finding.verdict == "bad" and found in finding.found and "make lab" in finding.advice


def test_another_python_is_named_with_the_range_that_was_tested(course):
    (course / "pyproject.toml").write_text(
        '[project]\nrequires-python = ">=3.99"\ndependencies = []\n'
    )
    finding = by_name(environment(course, store()))["Python"]
    assert finding.verdict == "bad" and ">=3.99" in finding.advice


def test_missing_damaged_and_unconverted_files_are_told_apart(course):
    states = {
        "minilm": AssetError("asset minilm: not in /x yet; run ..."),
        "glove": AssetError("asset glove: /x/a.npy is damaged; run ..."),
        "smollm2": "good, 98 MB in /x, to be converted at first use",
    }
    named = by_name(environment(course, store(**states)))
    assert (
        "not fetched" in named["minilm"].found
        and "python -m src.assets fetch minilm" in named["minilm"].advice
    )
    assert "damaged" in named["glove"].found and named["glove"].verdict == "bad"
    assert named["smollm2"].verdict == "note" and "converted" in named["smollm2"].advice


def test_weights_that_are_gone_are_missed_and_others_are_listed(course):
    (course / "weights" / "qa-minilm" / "model.safetensors").rename(course / "moved.safetensors")
    (course / "weights" / "another").mkdir()
    (course / "moved.safetensors").rename(course / "weights" / "another" / "model.safetensors")
    named = by_name(environment(course, store()))
    assert (
        named["weights/qa-minilm"].verdict == "bad"
        and "git checkout weights/qa-minilm" in named["weights/qa-minilm"].advice
    )
    assert named["weights/another"].verdict == "good"


def test_a_small_machine_is_a_note_and_no_error(course, monkeypatch):
    monkeypatch.setattr(runtime, "cores", lambda: 1)
    monkeypatch.setattr(runtime, "memory_bytes", lambda: 2 * runtime.GIGABYTE)
    monkeypatch.setattr(runtime, "gpu_name", lambda: "no GPU")
    named = by_name(environment(course, store()))
    assert {named[what].verdict for what in ("processor", "memory", "GPU")} == {"note"}
    assert all(named[what].advice for what in ("processor", "memory", "GPU"))


def test_the_panel_counts_what_is_to_do_and_keeps_text_that_looks_like_html():
    findings = [Finding("a", "x < y"), Finding("b", "gone", "bad", "Run `make`.")]
    panel = report_panel(findings)
    assert "1 of 2 things need you" in panel.text and "✘ b: gone Run `make`." in panel.text
    assert "x &lt; y" in panel.html and "<code>make</code>" in panel.html
    assert report_panel(findings[:1]).text.startswith("Everything is here.")


def test_it_answers_without_loading_torch_or_transformers():
    code = (
        "import sys; from src.teaching.environment import environment; environment();"
        "print({'torch', 'transformers', 'datasets', 'sklearn'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=runtime.COURSE, capture_output=True, text=True
    )
    assert result.stdout.strip() == "set()", result.stdout + result.stderr
