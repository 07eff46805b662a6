"""What this machine brings to the course, as a report for people: Python, packages, processor, memory, GPU, files, weights.

    show_environment()     in a notebook: one line per thing, and for each that is wrong what to do about it
    environment()          the same as data

Neither torch nor transformers is imported for it, so it still answers where they are broken.
"""

from __future__ import annotations

import html
import platform
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from src import assets, runtime
from src.teaching.panel import TINTS, UNBOXED, Panel, inline_html, inline_text

ENOUGH_GIGABYTES = 4  # of memory: notebook 05 and 06 peak at less than 3 GB, and the system wants its part
WEIGHTS = ("qa-minilm",)  # what notebook 00 itself opens; every other folder of weights/ is listed too

Verdict = Literal["good", "note", "bad"]
MARKS = {"good": "✔", "note": "•", "bad": "✘"}


@dataclass(frozen=True)
class Finding:
    """One line of the report. verdict: "good", "note" (slower or later, and it works), "bad" (`advice` says what to do)."""

    what: str
    found: str
    verdict: Verdict = "good"
    advice: str = ""


def environment(course: Path | None = None, store: assets.Store | None = None) -> list[Finding]:
    """Look at everything the course needs, in the order a reader would ask.

    course: the course's folder   store: where outside files lie; None takes the course's own.
    """
    course, store = course or runtime.COURSE, store or assets.store()
    project = tomllib.loads((course / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [
        _python(project["requires-python"]),
        *_packages(project["dependencies"]),
        *_machine(),
        *(_asset(store, name) for name in store.assets),
        *_weights(course / "weights"),
    ]


def show_environment() -> None:
    """Show the report: a mark, what was looked at, what was found, and what to do where something is wrong."""
    report_panel(environment()).show()


def report_panel(findings: list[Finding]) -> Panel:
    """The report as a table, and as plain text; the first line says how many things need doing."""
    bad = [finding for finding in findings if finding.verdict == "bad"]
    summary = "**Everything is here.**" if not bad else f"**{len(bad)} of {len(findings)} things need you.** Look for the ✘."
    cell = 'style="padding:.15em .7em;text-align:left;vertical-align:top;border:0"'
    rows, lines = [], [inline_text(summary)]
    for finding in findings:
        tint = TINTS[{"good": "good", "note": "open", "bad": "bad"}[finding.verdict]]
        mark = f'<span style="color:rgb({tint});font-weight:bold">{MARKS[finding.verdict]}</span>'
        advice = f'<br><span style="border-left:3px solid rgb({tint});padding-left:.5em">{inline_html(finding.advice)}</span>'
        found = html.escape(finding.found) + (advice if finding.advice else "")
        rows.append(
            f"<tr style='background:none'><td {cell}>{mark}</td>"
            f"<td {cell} nowrap>{html.escape(finding.what)}</td><td {cell}>{found}</td></tr>"
        )
        lines.append(f"{MARKS[finding.verdict]} {finding.what}: {finding.found}" + (f" {finding.advice}" if finding.advice else ""))
    table = f'<table style="border-collapse:collapse;margin:0">{"".join(rows)}</table>'
    return Panel(
        f'<style>{UNBOXED}</style><div class="wta"><p style="margin:.3em 0">{inline_html(summary)}</p>{table}</div>', "\n".join(lines)
    )


# --- one thing each ------------------------------------------------------------------------------------------------------


def _python(wanted: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding("Python", version)
    return Finding("Python", version, "bad", f"The course is tested with {wanted}. Run `make lab`: it finds or asks for one that fits.")


def _packages(requirements: list[str]) -> list[Finding]:
    """One line for all packages that fit, and one for each that does not."""
    from packaging.requirements import Requirement

    unfit = set(runtime.missing_packages(requirements))
    fit = [Requirement(line).name for line in requirements if line not in unfit]
    named = [f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "numpy", "pandas", "scikit-learn") if name in fit]
    findings = [Finding("packages", f"{len(fit)} of {len(requirements)} at a tested version, among them {', '.join(named) or 'none'}")]
    for line in sorted(unfit):
        requirement = Requirement(line)
        try:
            found = f"{metadata.version(requirement.name)}, tested with {requirement.specifier}"
        except metadata.PackageNotFoundError:
            found = "not installed"
        advice = "Run `make lab` in the course's folder, or choose the kernel of its `.venv`. On Colab, run the set-up cell again."
        findings.append(Finding(requirement.name, found, "bad", advice))
    return findings


def _machine() -> list[Finding]:
    processor, memory, gpu = runtime.cores(), runtime.memory_bytes() / runtime.GIGABYTE, runtime.gpu_name()
    findings = [
        Finding("processor", f"{processor} core{'s' if processor > 1 else ''}")
        if processor > 1
        else Finding("processor", "1 core", "note", "All works; what trains takes about twice the seconds that the notebooks state."),
        Finding("memory", f"{memory:.0f} GB")
        if memory >= ENOUGH_GIGABYTES
        else Finding("memory", f"{memory:.1f} GB", "note", "Close other programs, and one notebook before you open the next."),
    ]
    if gpu == "no GPU":
        findings.append(Finding("GPU", "none", "note", "None is needed: every time stated in this course was measured without one."))
    else:
        findings.append(Finding("GPU", gpu))
    return findings


def _asset(store: assets.Store, name: str) -> Finding:
    about = store.assets[name].about.split(":")[0]
    try:
        state = store.verify(name)  # "good, 92 MB in <folder>", and perhaps ", to be converted at first use"
    except assets.AssetError as error:
        found = "not fetched" if "yet" in str(error) else "damaged"
        advice = f"Run `make assets`, or `python -m src.assets fetch {name}`. Its first use in a notebook fetches it too, with a network."
        return Finding(name, f"{about}; {found}", "bad", advice)
    found = f"{about}; {state.split(' in ')[0].removeprefix('good, ')}"
    if "converted" in state:
        return Finding(name, found, "note", "Its first use takes some seconds more, once: it is converted then.")
    return Finding(name, found)


def _weights(folder: Path) -> list[Finding]:
    shipped = {path.name for path in folder.glob("*/") if any(path.glob("*.safetensors"))}
    findings = []
    for name in sorted(shipped | set(WEIGHTS)):
        size = sum(file.stat().st_size for file in (folder / name).glob("*.safetensors")) / 1e6
        if name in shipped:
            findings.append(Finding(f"weights/{name}", f"{size:.0f} MB, they come with the course"))
        else:
            findings.append(Finding(f"weights/{name}", "not there", "bad", f"Get them back with `git checkout weights/{name}`."))
    return findings
