"""The report on the environment: what is wrong is marked and comes with something to do."""

import pytest

from src import runtime
from src.assets import AssetError
from src.teaching.environment import Finding, environment, report_panel

PROJECT = '[project]\nrequires-python = "{}"\ndependencies = ["{}", "pandas>=1"]\n'


def saying(**states):
    """A `verify` that says what it is told; an AssetError among the states is raised."""

    def verify(name):
        state = states.get(name, f"good, 12 MB in /some/where/{name}")
        if isinstance(state, AssetError):
            raise state
        return state

    return verify


@pytest.fixture
def course(tmp_path):
    """A course's folder that needs two packages, and has its weights."""
    (tmp_path / "pyproject.toml").write_text(PROJECT.format(">=3.11", "numpy>=1"))
    (tmp_path / "weights" / "qa-minilm").mkdir(parents=True)
    (tmp_path / "weights" / "qa-minilm" / "model.safetensors").write_bytes(bytes(3_000_000))
    return tmp_path


def by_name(course, **states):
    return {finding.what: finding for finding in environment(course, saying(**states))}


def test_where_everything_is_there_nothing_is_to_do(course):
    this_course = environment(verify=saying())
    assert "bad" not in {finding.verdict for finding in this_course}
    named = by_name(course)
    assert "bad" not in {finding.verdict for finding in named.values()}
    assert named["minilm"].found.endswith("; 12 MB") and "some/where" not in str(named)
    assert named["weights/qa-minilm"].found == "3 MB, they come with the course"
    assert named["packages"].found.startswith("2 of 2 at a tested version, among them numpy")


@pytest.mark.parametrize(
    ("python", "package", "what", "told"),
    [
        (">=3.11", "numpy>=999", "numpy", "tested with >=999"),
        (">=3.11", "no-such-package>=1", "no-such-package", "not installed"),
        (">=3.99", "numpy>=1", "Python", ">=3.99"),
    ],
)
def test_what_does_not_fit_gets_a_line_and_advice(course, python, package, what, told):
    (course / "pyproject.toml").write_text(PROJECT.format(python, package))
    finding = by_name(course)[what]
    assert finding.verdict == "bad" and "make lab" in finding.advice
    assert told in finding.found + finding.advice


def test_missing_damaged_and_unconverted_files_are_told_apart(course):
    (course / "weights" / "qa-minilm").rename(course / "weights" / "another")
    named = by_name(
        course,
        minilm=AssetError("asset minilm: not in /x yet; run ..."),
        glove=AssetError("asset glove: /x/a.npy is damaged; run ..."),
        smollm2="good, 98 MB in /x, to be converted at first use",
    )
    assert "not fetched" in named["minilm"].found
    assert "python -m src.assets fetch minilm" in named["minilm"].advice
    assert "damaged" in named["glove"].found and named["glove"].verdict == "bad"
    assert named["smollm2"].verdict == "note" and "converted" in named["smollm2"].advice
    gone = named["weights/qa-minilm"]
    assert gone.verdict == "bad" and "git checkout weights/qa-minilm" in gone.advice
    assert named["weights/another"].verdict == "good"


def test_a_small_machine_is_a_note_and_no_error(course, monkeypatch):
    monkeypatch.setattr(runtime, "cores", lambda: 1)
    monkeypatch.setattr(runtime, "memory_bytes", lambda: 2 * runtime.GIGABYTE)
    monkeypatch.setattr(runtime, "gpu_name", lambda: "no GPU")
    named = by_name(course)
    for what in ("processor", "memory", "GPU"):
        assert named[what].verdict == "note" and named[what].advice


def test_the_panel_counts_what_is_to_do_and_keeps_text_that_looks_like_html():
    findings = [Finding("a", "x < y"), Finding("b", "gone", "bad", "Run `make`.")]
    panel = report_panel(findings)
    assert "1 of 2 things need you" in panel.text and "✘ b: gone. Run `make`." in panel.text
    assert "x &lt; y" in panel.html and "<code>make</code>" in panel.html
    assert report_panel(findings[:1]).text.startswith("Everything is here.")
