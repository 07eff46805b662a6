"""Count how long each section of a notebook takes to teach, and what a plan for a class adds up to.

    python tools/minutes.py            print the sections of all notebooks
    python tools/minutes.py --write    write the tables of docs/teaching.md again

docs/teaching.md states the rule. Its tables are between `<!-- table NAME -->` and `<!-- end -->`,
where NAME is "sections" or the name of a plan in docs/plans.yaml. Seconds are those that
tools/run_notebooks.py noted in an executed copy; nothing here is measured or written by hand.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from src.teaching.quizzes import load_set

GUIDE, PLANS = ROOT / "docs" / "teaching.md", ROOT / "docs" / "plans.yaml"
TABLE = re.compile(r"(<!-- table (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
# Seconds to teach, apart from the minutes of an exercise.
PER_WORD = 60 / 130
PER_CELL, PER_LINE = 30, 3
PER_QUESTION = 60
PER_SLOW_CELL = 20  # where it states no `runtime.minutes(...)`
PER_ROOM = 120  # a question to the room
EXERCISE_MINUTES = 6
NOT_TAUGHT = {"set-up", "exercise", "open-exercise", "check", "solution"}  # tags


@dataclass(frozen=True)
class Section:
    """What is between two `##` headings; what comes before the first is the "Opening"."""

    title: str
    minutes: int  # to teach it, without its exercises; 1 at least
    core: int  # minutes of its part of the core path
    exercises: int
    quizzes: int
    slow: int  # cells that make a room wait
    seconds: float | None  # to run it; None where nobody measured


@dataclass(frozen=True)
class Lesson:
    """A notebook as an instructor plans it."""

    name: str  # the file's, such as "04_attention"
    title: str
    sections: tuple[Section, ...]

    @property
    def total(self) -> Section:
        """All sections as one."""
        counts = ("minutes", "core", "exercises", "quizzes", "slow")
        sums = {count: sum(getattr(one, count) for one in self.sections) for count in counts}
        seconds = [one.seconds for one in self.sections]
        return Section("all of it", seconds=None if None in seconds else sum(seconds), **sums)

    def section(self, title: str) -> Section:
        """The section of that title. Raises ValueError that names all titles."""
        titles = [section.title for section in self.sections]
        if title not in titles:
            said = ", ".join(map(repr, titles))
            raise ValueError(f"{self.name} has no section {title!r}; it has {said}.")
        return self.sections[titles.index(title)]


def lessons(folder: Path = ROOT / "notebooks") -> list[Lesson]:
    """All notebooks of a folder, by name."""
    return [read(path) for path in sorted(folder.glob("*.ipynb"))]


def read(notebook: Path) -> Lesson:
    """Count a notebook, executed or not."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    cells = [cell | {"source": "".join(cell["source"])} for cell in content["cells"]]
    title = re.search(r"^# (.+)$", cells[0]["source"] if cells else "", re.MULTILINE)
    noted = content["metadata"].get("course", {}).get("cell_seconds")
    sections = tuple(sections_of(cells, noted))
    return Lesson(notebook.stem, title[1] if title else notebook.stem, sections)


def sections_of(
    cells: Sequence[Mapping[str, Any]], cell_seconds: Sequence[float] | None
) -> Iterator[Section]:
    """The sections of a notebook: of its cells, sources joined, and the seconds to run each."""
    starts = [(0, "Opening")]
    for number, cell in enumerate(cells):
        heading = re.match(r"## (.+)", cell["source"])
        if heading and cell["cell_type"] == "markdown":
            starts.append((number, heading[1]))
    for (start, title), (end, _) in zip(starts, [*starts[1:], (len(cells), "")], strict=True):
        found = cells[start:end]
        tags = [tag for cell in found for tag in tags_of(cell)]
        core = [cell for cell in found if "core" in tags_of(cell)]
        minutes = [round(sum(map(seconds_to_teach, part)) / 60) for part in (found, core)]
        yield Section(
            title=title,
            minutes=max(1, minutes[0]),
            core=minutes[1],
            exercises=tags.count("check"),
            quizzes=tags.count("quiz"),
            slow=tags.count("slow"),
            seconds=sum(cell_seconds[start:end]) if cell_seconds else None,
        )


def tags_of(cell: Mapping[str, Any]) -> list[str]:
    """Its tags."""
    return cell["metadata"].get("tags", [])


def seconds_to_teach(cell: Mapping[str, Any]) -> float:
    """What one cell takes, by the rule of docs/teaching.md."""
    source, tags = cell["source"], tags_of(cell)
    if NOT_TAUGHT & set(tags):
        return 0
    if cell["cell_type"] == "markdown":
        return PER_WORD * len(source.split()) + PER_ROOM * ("room" in tags)
    if quiz := re.search(r'^show_quiz\("(\w+)", "([\w-]+)"\)', source, re.MULTILINE):
        return PER_QUESTION * len(load_set(*quiz.groups()).questions)
    lines = shown_lines(source)
    seconds = PER_CELL + PER_LINE * lines if lines else 0
    if "slow" in tags:
        stated = re.findall(r"runtime\.minutes\(([\d.]+)\)", source)
        seconds += sum(60 * float(minutes) for minutes in stated) or PER_SLOW_CELL
    return seconds


def shown_lines(source: str) -> int:
    """How many lines there are to talk about: not imports, nor calls of show_source."""
    shown = [
        node
        for node in ast.parse(re.sub(r"^%%.*", "", source)).body  # a file that a cell writes
        if not isinstance(node, ast.Import | ast.ImportFrom)
        and not ast.unparse(node).startswith("show_source(")
    ]
    # As if lines had no end.
    return sum(len(ast.unparse(node).splitlines()) for node in shown)


# --- tables


def section_table(found: Sequence[Lesson]) -> str:
    """Every section; with seconds where those of all were measured."""
    measured = bool(found) and all(lesson.total.seconds is not None for lesson in found)
    heads = ["minutes", "core", "exercises", "quizzes", "slow cells"]
    heads += ["seconds to run"] * measured
    rows = [
        f"| notebook | section | {' | '.join(heads)} |",
        f"| --- | --- |{' ---: |' * len(heads)}",
    ]
    for lesson in found:
        for place, section in enumerate((lesson.total, *lesson.sections)):
            counts = (section.core, section.exercises, section.quizzes, section.slow)
            numbers = [str(section.minutes), *(str(count or "") for count in counts)]
            numbers += [f"{section.seconds or 0:.0f}"] * measured
            words = [section.title.replace("|", "\\|"), *numbers]
            if place == 0:
                words = [f"**{word}**" if word else "" for word in words]
            name = f"**{lesson.name}**" if place == 0 else ""
            rows.append(f"| {name} | {' | '.join(words)} |")
    return "\n".join(rows)


def plan_table(name: str, plan: Mapping[str, Any], found: Sequence[Lesson]) -> str:
    """One plan of docs/plans.yaml by the clock of each of its blocks, as Markdown.

    Raises:
        ValueError: a block has fewer minutes than its parts take, or a part is not there.
    """
    rows = ["| block | from | minutes | what |", "| --- | --- | ---: | --- |"]
    for number, block in enumerate(plan["blocks"], start=1):
        clock = 0
        parts = [part_of(part, found) for part in block["parts"]]
        left = block["minutes"] - sum(minutes for minutes, _ in parts)
        if left < 0:
            raise ValueError(
                f"plan {name}, block {number}: its parts take {block['minutes'] - left} of "
                f"{block['minutes']} minutes; leave something out."
            )
        for minutes, what in [*parts, (left, "questions, and what took longer")]:
            rows.append(f"| {number} | {clock // 60}:{clock % 60:02} | {minutes} | {what} |")
            clock += minutes
    return "\n".join(rows)


def part_of(part: Mapping[str, Any], found: Sequence[Lesson]) -> tuple[int, str]:
    """Minutes of one part of a plan, and what it is. Raises ValueError where it is not there."""
    if "break" in part:
        return part["break"], f"break. {part['before']}" if "before" in part else "break"
    lesson = next((lesson for lesson in found if lesson.name == part["notebook"]), None)
    if lesson is None:
        raise ValueError(f"there is no notebook {part['notebook']!r}.")
    sections = [lesson.section(title) for title in part["sections"]]
    minutes = sum(section.minutes for section in sections)
    listed = "; ".join(f"{section.title} ({section.minutes})" for section in sections)
    exercises = part.get("exercises", 0)
    if not exercises:
        return minutes, f"{lesson.name}: {listed}"
    there = sum(section.exercises for section in sections)
    if exercises > there:
        raise ValueError(
            f"these sections of {lesson.name} have {there} exercises, not {exercises}."
        )
    practice = exercises * EXERCISE_MINUTES
    noun = "exercise" if exercises == 1 else "exercises"
    return minutes + practice, f"{lesson.name}: {listed}; {exercises} {noun} ({practice})"


def filled_in(text: str, found: Sequence[Lesson]) -> str:
    """A text with each of its tables written again. Raises ValueError for an unknown name."""
    plans = yaml.safe_load(PLANS.read_text(encoding="utf-8"))
    tables = {name: plan_table(name, plan, found) for name, plan in plans.items()}
    tables["sections"] = section_table(found)

    def table(match: re.Match[str]) -> str:
        if match["name"] not in tables:
            raise ValueError(f"there is no table {match['name']!r}; there are {', '.join(tables)}.")
        return f"{match[1]}{tables[match['name']]}\n{match[3]}"

    return TABLE.sub(table, text)


def main(
    write: bool = typer.Option(False, "--write", help="write the tables of docs/teaching.md again"),
) -> None:
    """Print the sections of all notebooks, or write the tables of docs/teaching.md again."""
    if write:
        GUIDE.write_text(filled_in(GUIDE.read_text(encoding="utf-8"), lessons()), encoding="utf-8")
    else:
        print(section_table(lessons()))


if __name__ == "__main__":
    typer.run(main)
