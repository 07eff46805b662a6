"""Minutes for a class: the tables of docs/teaching.md, filled in from the notebooks and from tools/slides/plans.yaml.

A table stands between `<!-- table NAME -->` and `<!-- end -->`; NAME is "sections" or the name of a plan.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.slides.talk import EXERCISE_MINUTES, Section, Talk

PLANS = Path(__file__).with_name("plans.yaml")
TABLE = re.compile(r"(<!-- table (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled_in(text: str, talks: Sequence[Talk]) -> str:
    """`text` with every table written again. Raises ValueError for a table, notebook or section that there is none of."""
    plans = yaml.safe_load(PLANS.read_text(encoding="utf-8"))
    tables = {"sections": section_table(talks)}
    for name, plan in plans.items():
        tables[name] = plan_table(name, plan, talks)

    def table(match: re.Match[str]) -> str:
        if match["name"] not in tables:
            raise ValueError(f"there is no table {match['name']!r}; there are {', '.join(tables)}.")
        return f"{match[1]}{tables[match['name']]}\n{match[3]}"

    return TABLE.sub(table, text)


def section_table(talks: Sequence[Talk]) -> str:
    """Every section of every notebook: minutes, slides, exercises, slow cells."""
    rows = ["| notebook | section | minutes | slides | exercises | slow cells |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for talk in talks:
        exercises = sum(len(section.exercises) for section in talk.sections)
        slow = sum(section.slow for section in talk.sections)
        rows.append(f"| **{talk.name}** | **all of it** | **{talk.minutes}** | {len(talk.slides)} | {exercises} | {slow} |")
        for section in talk.sections:
            count = f"{len(section.slides)} | {len(section.exercises) or ''} | {section.slow or ''}"
            rows.append(f"| | {section.title} | {section.minutes} | {count} |")
    return "\n".join(rows)


def plan_table(name: str, plan: Mapping[str, Any], talks: Sequence[Talk]) -> str:
    """One plan by the clock of each of its blocks. Raises ValueError where a block asks for more minutes than it has."""
    rows = ["| block | from | minutes | what |", "| --- | --- | ---: | --- |"]
    for number, block in enumerate(plan["blocks"], start=1):
        clock = 0
        for part in block["parts"]:
            minutes, what = part_of(part, talks)
            rows.append(f"| {number} | {clock // 60}:{clock % 60:02} | {minutes} | {what} |")
            clock += minutes
        if clock > block["minutes"]:
            raise ValueError(f"plan {name}, block {number}: its parts take {clock} of {block['minutes']} minutes; leave something out.")
        rows.append(f"| {number} | {clock // 60}:{clock % 60:02} | {block['minutes'] - clock} | questions, and what took longer |")
    return "\n".join(rows)


def part_of(part: Mapping[str, Any], talks: Sequence[Talk]) -> tuple[int, str]:
    """Minutes of a part and what it is: a break, or sections of a notebook with as many of their exercises as the plan says."""
    if "break" in part:
        return part["break"], f"break. {part['before']}" if "before" in part else "break"
    talk = next((talk for talk in talks if talk.name == part["notebook"]), None)
    if talk is None:
        raise ValueError(f"there is no notebook {part['notebook']!r}; there are {', '.join(talk.name for talk in talks)}.")
    sections = [section_of(talk, title) for title in part["sections"]]
    minutes = sum(section.minutes for section in sections)
    what = f"{talk.name}: " + "; ".join(f"{section.title} ({section.minutes})" for section in sections)
    if exercises := part.get("exercises", 0):
        there = sum(len(section.exercises) for section in sections)
        if exercises > there:
            raise ValueError(f"these sections of {talk.name} have {there} exercises, and the plan wants {exercises}.")
        minutes += exercises * EXERCISE_MINUTES
        what += f"; {exercises} {'exercise' if exercises == 1 else 'exercises'} ({exercises * EXERCISE_MINUTES})"
    return minutes, what


def section_of(talk: Talk, title: str) -> Section:
    """The section of that title. Raises ValueError naming the titles there are."""
    found = next((section for section in talk.sections if section.title == title), None)
    if found is None:
        raise ValueError(f"{talk.name} has no section {title!r}; it has {', '.join(repr(section.title) for section in talk.sections)}.")
    return found
