"""What an instructor plans with: minutes to teach and seconds to run for each notebook, by section, from the executed copies.

The seconds are those that tools/run_notebooks.py noted in a copy's metadata when it ran it; none of them is written by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NONE = "No notebook has been run yet; `make course` runs them all."
MINUTES = re.compile(r"(\d+)\s+minutes\s+to\s+teach")  # as the first cell of a notebook says it


@dataclass(frozen=True)
class Section:
    """A section of a notebook: its cells, from a `##` heading to the next; what stands before the first heading has the title ""."""

    title: str
    seconds: float | None
    slow: int
    exercises: int
    quizzes: int


@dataclass(frozen=True)
class Timing:
    """A notebook as an instructor sees it. minutes: to teach, as it says   seconds: to run, as measured; None where nobody did"""

    name: str
    title: str
    minutes: int | None
    seconds: float | None
    sections: tuple[Section, ...]

    def total(self, kind: str) -> int:
        """How many there are of "slow", "exercises" or "quizzes" in all sections."""
        return sum(getattr(section, kind) for section in self.sections)


def timing_of(notebook: Path) -> Timing:
    """Read an executed notebook."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    cells, noted = content["cells"], content["metadata"].get("course", {})
    first = "".join(cells[0]["source"]) if cells else ""
    title = re.search(r"^# (.+)$", first, re.MULTILINE)
    minutes = MINUTES.search(first)
    return Timing(
        name=notebook.stem,
        title=title[1] if title else notebook.stem,
        minutes=int(minutes[1]) if minutes else None,
        seconds=noted.get("seconds"),
        sections=tuple(sections_of(cells, noted.get("cell_seconds"))),
    )


def sections_of(cells: Sequence[Mapping[str, Any]], cell_seconds: Sequence[float] | None) -> list[Section]:
    """The sections of a notebook's cells.   cell_seconds: float[cells], None where they were not noted"""
    starts = [(0, "")]
    for number, cell in enumerate(cells):
        heading = re.match(r"## (.+)", "".join(cell["source"])) if cell["cell_type"] == "markdown" else None
        if heading:
            starts.append((number, heading[1]))
    sections = []
    for (start, title), (end, _) in zip(starts, [*starts[1:], (len(cells), "")], strict=True):
        tags = [tag for cell in cells[start:end] for tag in cell.get("metadata", {}).get("tags", [])]
        seconds = sum(cell_seconds[start:end]) if cell_seconds else None
        sections.append(Section(title, seconds, tags.count("slow"), tags.count("check"), tags.count("quiz")))
    return sections


def tables(timings: Sequence[Timing]) -> str:
    """All notebooks in one table, then the sections of each, as Markdown."""
    head = "| notebook | minutes to teach | seconds to run | slow cells | exercises | quizzes |\n| --- | --: | --: | --: | --: | --: |"
    rows = [
        f"| [{_cell(timing.title)}]({timing.name}.ipynb) | {timing.minutes or 'not said'} | {_seconds(timing.seconds)} "
        f"| {timing.total('slow')} | {timing.total('exercises')} | {timing.total('quizzes')} |"
        for timing in timings
    ]
    parts = ["\n".join([head, *rows])] if timings else [NONE]
    return "\n\n".join(parts + [f"### {timing.title}\n\n{_sections_table(timing)}" for timing in timings])


def _sections_table(timing: Timing) -> str:
    measured = all(section.seconds is not None for section in timing.sections)
    head = f"| section | {'seconds to run | ' * measured}slow cells | exercises | quizzes |\n| --- | {'--: | ' * measured}--: | --: | --: |"
    rows = [
        f"| {_cell(section.title) or 'the first cells'} | {f'{_seconds(section.seconds)} | ' * measured}"
        f"{section.slow} | {section.exercises} | {section.quizzes} |"
        for section in timing.sections
    ]
    return "\n".join([head, *rows])


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "not measured"
    return f"{seconds:.0f}" if seconds >= 1 else "under 1"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
