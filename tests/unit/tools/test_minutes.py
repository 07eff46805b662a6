"""Minutes to teach are counted by the rule that the guide states, and its tables add them up."""

import re
from collections import Counter

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import minutes
from tools.minutes import tags_of as tags

HEADINGS = {"quiz": "Quiz", "exercise": "Exercise", "open-exercise": "Build"}
NOTEBOOKS = sorted((minutes.ROOT / "notebooks").glob("*.ipynb"))
CELLS = [
    new_markdown_cell("# A title\n\n" + " ".join(["word"] * 127)),
    new_code_cell("set_up()", metadata={"tags": ["set-up"]}),
    new_markdown_cell("## One | two\n\n### deeper"),
    new_code_cell(
        "from src import runtime\n\ntrain(\n    minutes=runtime.minutes(1.5))",
        metadata={"tags": ["slow", "training"]},
    ),
    new_code_cell("show_source(train)"),
    new_code_cell("mine = 1", metadata={"tags": ["exercise"]}),
    new_code_cell("check(mine)", metadata={"tags": ["check"]}),
    new_markdown_cell("## Three"),
    new_code_cell(
        'from src.teaching import show_quiz\n\nshow_quiz("08_bert_squad", "windows")',
        metadata={"tags": ["quiz"]},
    ),
    new_code_cell("think()", metadata={"tags": ["slow", "core"]}),
]
MEASURED = {"seconds": 30.0, "cell_seconds": [0, 1.5, 0, 20.2, 0.1, 0.1, 0, 0, 0.4, 7]}


@pytest.fixture
def lesson(tmp_path) -> minutes.Lesson:
    """A notebook with these cells, executed and timed."""
    notebook = new_notebook(cells=CELLS, metadata={"course": MEASURED})
    nbformat.write(notebook, tmp_path / "03_one.ipynb")
    (read,) = minutes.lessons(tmp_path)
    return read


@pytest.mark.parametrize(
    ("number", "seconds"),
    [
        (0, 60),
        (1, 0),
        (2, 6 / 130 * 60),
        (3, 30 + 3 + 90),  # however a formatter breaks the line
        (4, 0),
        (5, 0),
        (6, 0),
        (8, 2 * 60),
        (9, 30 + 3 + 20),
    ],
)
def test_each_kind_of_cell_takes_what_the_guide_says(number, seconds):
    assert minutes.seconds_to_teach(CELLS[number]) == pytest.approx(seconds)


def test_sections_go_from_heading_to_heading_with_their_own_counts(lesson):
    assert lesson.title == "A title"
    assert lesson.sections == (
        minutes.Section("Opening", 1, 0, 0, 0, 0, pytest.approx(1.5)),
        minutes.Section("One | two", 2, 0, 1, 0, 1, pytest.approx(20.4)),
        minutes.Section("Three", 3, 1, 0, 1, 1, pytest.approx(7.4)),
    )
    total = lesson.total
    assert (total.minutes, total.core, total.seconds) == (6, 1, pytest.approx(29.3))


def test_seconds_have_a_column_only_where_every_notebook_was_measured(lesson, tmp_path):
    rows = minutes.section_table([lesson]).splitlines()
    assert rows[0].endswith("| slow cells | seconds to run |")
    assert (
        rows[2] == "| **03_one** | **all of it** | **6** | **1** | **1** | **1** | **2** | **29** |"
    )
    assert rows[4] == r"|  | One \| two | 2 |  | 1 |  | 1 | 20 |"
    nbformat.write(new_notebook(cells=CELLS), tmp_path / "04_two.ipynb")
    both = minutes.section_table(minutes.lessons(tmp_path)).splitlines()
    assert both[0].endswith("| slow cells |") and both[4] == r"|  | One \| two | 2 |  | 1 |  | 1 |"


def test_a_plan_adds_up_sections_exercises_and_breaks(lesson):
    part = {"notebook": "03_one", "sections": ["One | two", "Three"], "exercises": 1}
    plan = {"blocks": [{"minutes": 30, "parts": [part, {"break": 10}]}]}
    assert minutes.plan_table("p", plan, [lesson]).splitlines()[2:] == [
        "| 1 | 0:00 | 11 | 03_one: One | two (2); Three (3); 1 exercise (6) |",
        "| 1 | 0:11 | 10 | break |",
        "| 1 | 0:21 | 9 | questions, and what took longer |",
    ]
    plan["blocks"][0]["minutes"] = 20
    with pytest.raises(ValueError, match="plan p, block 1: its parts take 21 of 20 minutes"):
        minutes.plan_table("p", plan, [lesson])


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"notebook": "98_none", "sections": []}, "no notebook '98_none'"),
        ({"notebook": "03_one", "sections": ["No"]}, "no section 'No'; it has 'Opening', 'One"),
        ({"notebook": "03_one", "sections": ["Three"], "exercises": 1}, "have 0 exercises"),
    ],
)
def test_a_plan_of_what_is_not_there_is_refused(part, says, lesson):
    with pytest.raises(ValueError, match=re.escape(says)):
        minutes.part_of(part, [lesson])


def test_the_tables_of_the_guide_are_those_of_the_notebooks():
    """To a few minutes: a sentence more in a notebook need not change the guide."""
    text = minutes.GUIDE.read_text(encoding="utf-8")
    stored, fresh = text.splitlines(), minutes.filled_in(text, minutes.lessons()).splitlines()
    advice = "run: .venv/bin/python tools/minutes.py --write"
    assert len(minutes.TABLE.findall(text)) == 4 and len(stored) == len(fresh), advice
    for old, new in zip(stored, fresh, strict=True):
        assert re.sub(r"[\d\s]+", "0", old) == re.sub(r"[\d\s]+", "0", new), advice
        numbers = [[int(number) for number in re.findall(r"\d+", row)] for row in (old, new)]
        assert all(abs(a - b) <= 5 for a, b in zip(*numbers, strict=True)) or ":" in old, advice


def test_every_notebook_says_how_long_it_takes_to_teach():
    for notebook in NOTEBOOKS:
        assert re.search(
            r"\d+\s+minutes\s+to\s+teach", nbformat.read(notebook, as_version=4).cells[0].source
        ), notebook


with_core = pytest.mark.parametrize(
    "notebook", [path for path in NOTEBOOKS if minutes.read(path).total.core], ids=lambda p: p.stem
)


@with_core
def test_a_core_path_fits_40_minutes_its_notebook_the_hour(notebook):
    total, cells = minutes.read(notebook).total, nbformat.read(notebook, as_version=4).cells
    assert total.core <= 40 and total.minutes <= 60 and len(cells) <= 100
    says = r"(\d+) minutes for the core path, (\d+) minutes to teach all"
    core, everything = map(int, re.search(says, cells[0].source).groups())
    assert abs(core - total.core) <= 1 and abs(everything - total.minutes) <= 1


@with_core
def test_its_parts_are_in_the_promised_form(notebook):
    further, heading, counts = "", "", Counter()
    for cell in nbformat.read(notebook, as_version=4).cells:
        text = cell.source if cell.cell_type == "markdown" else ""
        for heading in re.findall(r"^##+ .+$", text, re.MULTILINE):
            ends = heading.startswith(("## ", "### Going further"))
            assert ends or not further, f"{heading} comes after {further}"
            further = heading if heading.startswith("### G") else ""
        assert not (further and "core" in tags(cell)), f"{further} is not core"
        if cell.cell_type == "code":
            counts.update(tags(cell))
            for tag, word in HEADINGS.items():
                assert tag not in tags(cell) or heading.startswith(f"### {word}"), heading
            if "check" in tags(cell):
                assert re.findall(r"^\w+", cell.source, re.M) == ["check", "hint", "solution"]
    assert counts["open-exercise"] == 1 and counts["exercise"] == counts["check"]
