"""What README.md, CONTRIBUTING.md and docs/ tell people to type or to open exists: targets of make,
programs, their options, paths."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

import pytest

from tools import checks

ROOT = checks.ROOT
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]
FILES = checks.files()
PLACES = {*FILES, *(parent.as_posix() for name in FILES for parent in Path(name).parents)}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
MADE = ("build/", "data/cache")  # by running things: not there in a fresh clone
PLACEHOLDER = re.compile(r"NN|NAME|11_title")  # stand for a name of the reader's own
PATH = re.compile(
    r"(?<![\w./-])((?:src|tools|tests|docs|data|weights|notebooks|benchmarks|build"
    r"|\.ci|\.github|\.devcontainer)/[\w./*-]*)"
)
PROGRAM = re.compile(r"-m (src(?:\.\w+)*)(?= |$)(.*)|((?:tools|benchmarks)/\w+\.py)(.*)")


def commands(page: str) -> Iterator[str]:
    """What is set as code on a page: lines of blocks without their comments, and spans."""
    for block in FENCE.findall(page):
        yield from (line.partition("  #")[0].strip() for line in block.splitlines())
    yield from (span.strip() for span in SPAN.findall(FENCE.sub("", page)))


def problems(page: str) -> list[str]:
    """What a page names and is not there, one sentence each."""
    found: list[str] = []
    for command in commands(page):
        found += [f"there is no {path}" for path in PATH.findall(command) if not is_there(path)]
        program = PROGRAM.search(command)
        if command.startswith("make "):
            found += problems_of_make(command)
        elif program and not command.startswith(("src", "tools", "benchmarks")):
            found += problems_of_program(program[1] or program[3], program[2] or program[4] or "")
    return found


def is_there(path: str) -> bool:
    """Whether a path, perhaps with a placeholder or a star, is here or made by running things."""
    if f"{path}/".startswith(MADE):
        return True
    path = PLACEHOLDER.sub("*", path.rstrip("/."))
    return any(fnmatchcase(place, path) for place in PLACES)


def problems_of_make(command: str) -> list[str]:
    """What is wrong with a `make` command: its target, and the options that it passes on."""
    target = next((word for word in command.split()[1:] if "=" not in word), "course")
    rule = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)*)", MAKEFILE, re.MULTILINE)
    if rule is None:
        return [f"make has no target {target}"]
    arguments = re.search(r"ARGS=(?:'([^']*)'|\"([^\"]*)\"|(\S+))", command)
    if arguments is None:
        return []
    if "$(ARGS)" not in rule[1]:
        return [f"make {target} passes nothing on"]
    program, given = PROGRAM.search(rule[1]), next(filter(None, arguments.groups()), "")
    if program is None:
        return []  # pytest's options are its own
    return problems_of_program(program[1] or program[3], f" {given}", subcommands=False)


def problems_of_program(program: str, rest: str, subcommands: bool = True) -> list[str]:
    """What is wrong with a call of "src.qa" or "tools/badges.py", with the rest of its line."""
    stem = program.removesuffix(".py").replace(".", "/")
    sources = [name for name in (f"{stem}/__main__.py", f"{stem}.py") if name in FILES]
    code = (ROOT / sources[0]).read_text(encoding="utf-8") if sources else ""
    if "__main__" not in code:
        return [f"{program} is no program"]
    words, found = re.split(r"[|;&>]", rest)[0].split(), []
    for option in (word.partition("=")[0] for word in words if word.startswith("--")):
        parameter = option[2:].replace("-", "_")  # as typer makes it an option
        typed = rf"^    {parameter}: (Annotated\[|\w+Option\b)"
        if f'"{option}"' not in code and not re.search(typed, code, re.MULTILINE):
            found.append(f"{program} has no option {option}")
    command = next(filter(str.isalpha, words[:1]), "")
    if subcommands and "@app.command()" in code and f"def {command}" not in code:
        found.append(f"{program} has no command {command}")
    return found


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_names_is_there(name):
    assert problems((ROOT / name).read_text(encoding="utf-8")) == []


TABLES_ON = [*PAGES, "CHANGELOG.md", "LICENSES.md", "data/README.md"]


def lines_behind_tables(page: str) -> list[str]:
    """Lines right below a table, which are drawn as one more row of it. A comment ends a table."""
    lines = FENCE.sub("", page).splitlines()
    return [
        below
        for line, below in pairwise(lines)
        if line.startswith("|") and below.strip() and not below.startswith(("|", "<!--"))
    ]


@pytest.mark.parametrize("name", TABLES_ON)
def test_a_table_ends_where_its_last_row_does(name):
    assert lines_behind_tables((ROOT / name).read_text(encoding="utf-8")) == []


def test_the_map_of_the_house_shows_every_folder_and_every_module_of_the_package():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = page.partition("\n## The map of the house\n")[2].partition("\n## ")[0]
    places = {name.split("/")[0] for name in FILES if "/" in name and not name.startswith(".")}
    modules = {"/".join(name.split("/")[:2]) for name in FILES if name.startswith("src/")}
    for place in places | modules - {"src/__init__.py"}:
        assert f"`{place}`" in rows or f"`{place}/`" in rows, f"{place} is not on the map"


def test_there_is_much_to_look_at_on_the_page_for_authors():
    every = list(commands((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert sum(command.startswith("make ") for command in every) >= 10
    assert sum(bool(PATH.search(command)) for command in every) >= 40
    assert sum("python " in command for command in every) >= 5


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("`make lessons`", "make has no target lessons"),
        ("```\nmake JOBS=2 tset\n```", "make has no target tset"),
        ("`make demo ARGS='--text FOLDER'`", "src.apps.demo has no option --text"),
        ("look at `weights/nothing` and `weights/*/gone.json`", "there is no weights/nothing"),
        ("`python tools/minutes.py --setup`", "tools/minutes.py has no option --setup"),
        ("`torchrun --nproc-per-node 2 -m src.qa learn --data x`", "src.qa has no command learn"),
        ("```\npython -m src.qa train --date course  # that\n```", "src.qa has no option --date"),
    ],
)
def test_what_is_not_there_is_found(page, problem):
    assert problem in problems(page)


@pytest.mark.parametrize(
    "page",
    [
        "`make demo ARGS='--texts FOLDER'`, `make poll ARGS='--network --set masks'`",
        "`notebooks/11_title.ipynb`, `data/quizzes/NN_NAME.json`",
        "```\ntorchrun --nproc-per-node 2 -m src.qa answer --data course --output build/a\n```",
        "`python tools/minutes.py --write`, `-m src.qa`, `src.qa.retriever`",
    ],
)
def test_what_is_there_passes(page):
    assert problems(page) == []
