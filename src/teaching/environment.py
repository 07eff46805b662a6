"""What this machine brings to the course: Python, packages, processor, memory, GPU, files, weights.

    show_environment()     in a notebook: a line for each, and what to do about what is wrong
    environment()          the same as data

Neither torch nor transformers is imported for it, so it still answers where they are broken.
"""

import html
import platform
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from src import assets, runtime
from src.teaching.panel import TINTS, UNBOXED, Panel, inline_html, inline_text

ENOUGH_GIGABYTES = 4  # notebooks 06 and 08 take up to 3 GB of memory, and the system wants some
NEEDED_WEIGHTS = {"qa-minilm"}  # what notebook 00 opens; the other folders are listed too
TOLD_VERSIONS = ("torch", "transformers", "numpy", "pandas", "scikit-learn")
MARKS = {"good": "✔", "note": "•", "bad": "✘"}
CELL = 'style="padding:.15em .7em;text-align:left;vertical-align:top;border:0"'


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Its verdict is "good", "note" (slower or later, and it works), or "bad": then `advice` helps.
    """

    what: str
    found: str
    verdict: Literal["good", "note", "bad"] = "good"
    advice: str = ""


def environment(
    course: Path = runtime.COURSE, verify: Callable[[str], str] = assets.verify
) -> list[Finding]:
    """Look at everything the course needs, in the order a reader would ask.

    `verify` says how an outside file is.
    """
    project = tomllib.loads((course / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [
        _python(project["requires-python"]),
        *_packages(project["dependencies"]),
        *_machine(),
        *(_asset(name, verify) for name in assets.ASSETS),
        *_weights(course / "weights"),
    ]


def show_environment() -> None:
    """Show the report: what was found, and what to do where something is wrong."""
    report_panel(environment()).show()


def report_panel(findings: list[Finding]) -> Panel:
    """The report as a table and as plain text, with the number of things to do on top."""
    bad = sum(finding.verdict == "bad" for finding in findings)
    summary = "**Everything is here.**"
    if bad:
        summary = f"**{bad} of {len(findings)} things need you.** Look for the {MARKS['bad']}."
    rows, lines = [], [inline_text(summary)]
    for finding in findings:
        tint = TINTS["open" if finding.verdict == "note" else finding.verdict]
        mark, found = MARKS[finding.verdict], html.escape(finding.found)
        if finding.advice:
            found += f"<br>{inline_html(finding.advice)}"
        rows.append(
            f"<tr style='background:none'>"
            f'<td {CELL}><b style="color:rgb({tint})">{mark}</b></td>'
            f"<td {CELL} nowrap>{html.escape(finding.what)}</td><td {CELL}>{found}</td></tr>"
        )
        said = [finding.found, finding.advice] if finding.advice else [finding.found]
        lines.append(f"{mark} {finding.what}: {'. '.join(said)}")
    table = f'<table style="border-collapse:collapse;margin:0">{"".join(rows)}</table>'
    page = f'<style>{UNBOXED}</style><div class="wta"><p>{inline_html(summary)}</p>{table}</div>'
    return Panel(page, "\n".join(lines))


# --- one thing each


def _python(wanted: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding("Python", version)
    advice = f"The course is tested with {wanted}. Run `make lab`: it finds or asks for one."
    return Finding("Python", version, "bad", advice)


def _packages(requirements: list[str]) -> list[Finding]:
    from packaging.requirements import Requirement

    unfit = set(runtime.missing_packages(requirements))
    fit = {Requirement(line).name for line in requirements if line not in unfit}
    told = [f"{name} {metadata.version(name)}" for name in TOLD_VERSIONS if name in fit]
    counted = f"{len(fit)} of {len(requirements)} at a tested version"
    findings = [Finding("packages", f"{counted}, among them {', '.join(told) or 'none'}")]
    advice = (
        "Run `make lab` in the course's folder, or choose the kernel of its `.venv`. "
        "On Colab, run the set-up cell again."
    )
    for requirement in map(Requirement, sorted(unfit)):
        try:
            version = metadata.version(requirement.name)
            found = f"{version}, tested with {requirement.specifier}"
        except metadata.PackageNotFoundError:
            found = "not installed"
        findings.append(Finding(requirement.name, found, "bad", advice))
    return findings


def _machine() -> list[Finding]:
    cores, gpu = runtime.cores(), runtime.gpu_name()
    gigabytes = runtime.memory_bytes() / runtime.GIGABYTE
    slow = "All works; training takes about twice the time that the notebooks state."
    close = "Close other programs, and one notebook before you open the next."
    none = "None is needed: every time stated in this course was measured without one."
    lines = [
        ("processor", f"{cores} cores", cores == 1, slow),
        ("memory", f"{gigabytes:.0f} GB", gigabytes < ENOUGH_GIGABYTES, close),
        ("GPU", gpu, gpu == runtime.NO_GPU, none),
    ]
    return [
        Finding(what, found, "note", advice) if noted else Finding(what, found)
        for what, found, noted, advice in lines
    ]


def _asset(name: str, verify: Callable[[str], str]) -> Finding:
    about = assets.ASSETS[name].about.split(":")[0]
    try:
        state = verify(name)  # "good, 92 MB in <folder>", and perhaps ", to be converted"
    except assets.AssetError as error:
        found = "not fetched" if "yet" in str(error) else "damaged"
        advice = (
            f"Run `make assets`, or `python -m src.assets fetch {name}`. "
            "With a network its first use in a notebook fetches it too."
        )
        return Finding(name, f"{about}; {found}", "bad", advice)
    found = f"{about}; {state.split(' in ')[0].removeprefix('good, ')}"
    if "converted" in state:
        once = "Its first use takes some seconds more, once: it is converted then."
        return Finding(name, found, "note", once)
    return Finding(name, found)


def _weights(folder: Path) -> list[Finding]:
    sizes = {name: 0 for name in NEEDED_WEIGHTS}
    for file in folder.glob("*/*.safetensors"):
        sizes[file.parent.name] = sizes.get(file.parent.name, 0) + file.stat().st_size
    findings = []
    for name, size in sorted(sizes.items()):
        megabytes = f"{size / 1e6:.0f} MB" if size >= 1e6 else "under 1 MB"
        found = Finding(f"weights/{name}", f"{megabytes}, they come with the course")
        if not size:
            advice = f"Get them back with `git checkout weights/{name}`."
            found = Finding(f"weights/{name}", "not there", "bad", advice)
        findings.append(found)
    return findings
