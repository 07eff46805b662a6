"""The files that say what the course needs agree with each other and with the environment."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools import checks, environment, pick_python

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = [Requirement(line) for line in environment.wanted_packages()]
PINS = {
    canonicalize_name(name): Version(version)
    for name, version in environment.tested_versions().items()
}
REPOSITORY = PROJECT["urls"]["Repository"]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_each_range_goes_from_the_lowest_tested_version_to_the_next_major(
    requirement: Requirement,
) -> None:
    pin = PINS[canonicalize_name(requirement.name)]
    bounds = {clause.operator: Version(clause.version) for clause in requirement.specifier}
    assert set(bounds) == {">=", "<"}, "one lower and one upper bound"
    assert bounds[">="] <= pin < bounds["<"], f"the tested {pin} is outside {requirement.specifier}"
    assert bounds["<"] == Version(str(pin.major + 1)), "the upper bound is the next major version"


def test_constraints_pin_every_package_exactly_once_without_a_build() -> None:
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line) for line in lines), (
        "a +cpu pin would not resolve on PyPI"
    )
    names = [canonicalize_name(line.split("==")[0]) for line in lines]
    assert len(names) == len(set(names))


def test_the_environment_of_the_tests_is_the_pinned_one() -> None:
    installed = {
        canonicalize_name(d.name): Version(d.version.split("+")[0])
        for d in metadata.distributions()
    }
    different = {
        name: (installed[name], pin)
        for name, pin in PINS.items()
        if name in installed and installed[name] != pin
    }
    missing = {
        requirement.name
        for requirement in REQUIREMENTS
        if canonicalize_name(requirement.name) not in installed
    }
    assert not different and not missing, (
        "run `make course` (or `make .venv/.course-stamp`) to bring .venv up to date"
    )


def test_everything_the_course_needs_is_pinned_down_to_the_last_dependency() -> None:
    """A package that pip may choose freely would differ from machine to machine."""
    todo, seen = [requirement.name for requirement in REQUIREMENTS], set()
    while todo:
        name = canonicalize_name(todo.pop())
        if name in seen:
            continue
        seen.add(name)
        for line in metadata.requires(name) or []:
            dependency = Requirement(line)
            if dependency.marker is None or dependency.marker.evaluate({"extra": ""}):
                todo.append(dependency.name)
    assert seen - set(PINS) <= {"setuptools", "pip"} | {
        name for name in seen if name.startswith(("nvidia", "triton", "cuda"))
    }


distributions_of_modules = functools.cache(metadata.packages_distributions)


def imported_packages(folder: str) -> dict[str, set[str]]:
    """Packages from outside that the files and notebooks below `folder` import, and which do."""
    distributions = distributions_of_modules()
    found: dict[str, set[str]] = {}
    for file in sorted(
        path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".ipynb")
    ):
        for node in ast.walk(ast.parse(code_of(file))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            beside = {
                other.stem for other in file.parent.glob("*.py")
            }  # scripts of one folder import each other by name
            for name in (
                {module.split(".")[0] for module in modules}
                - OWN_FOLDERS
                - beside
                - sys.stdlib_module_names
            ):
                for package in distributions.get(name, [f"{name}, which is not installed"]):
                    found.setdefault(canonicalize_name(package), set()).add(
                        str(file.relative_to(ROOT))
                    )
    return found


def code_of(file: Path) -> str:
    """The Python of a file or of a notebook's cells, without lines that are IPython's (%, !)."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        return text
    sources = [
        "".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"
    ]
    return "\n".join(
        line
        for source in sources
        for line in source.splitlines()
        if not line.lstrip().startswith(("%", "!"))
    )


OWN_FOLDERS = {"src", "tools", "tests", "benchmarks"}


@pytest.mark.parametrize("folder", sorted(OWN_FOLDERS | {"notebooks"}))
def test_every_package_that_the_code_imports_is_stated_and_not_only_there_by_way_of_another(
    folder: str,
) -> None:
    """For src and the notebooks the groups for building and testing do not count."""
    groups = PROJECT["optional-dependencies"]
    lines = (
        PROJECT["dependencies"]
        + groups["lab"]
        + ([] if folder in ("src", "notebooks") else groups["build"] + groups["test"])
    )
    stated = {canonicalize_name(Requirement(line).name) for line in lines}
    unstated = {
        package: files
        for package, files in imported_packages(folder).items()
        if package not in stated
    }
    assert unstated == {}, "state them in pyproject.toml and environment.yml"


def test_what_transformers_needs_without_asking_for_it_is_stated() -> None:
    stated = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert {"accelerate", "gguf", "torch"} <= stated, (
        "Trainer needs accelerate, reading SmolLM2 gguf; pip does not bring them"
    )


def test_conda_installs_the_same_project() -> None:
    parts = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(part["pip"] for part in parts if isinstance(part, dict))
    assert "-c constraints.txt" in pip
    assert sorted(
        map(str, map(Requirement, (line for line in pip if not line.startswith("-"))))
    ) == sorted(map(str, REQUIREMENTS))
    python = next(part for part in parts if isinstance(part, str) and part.startswith("python="))
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(
        python.removeprefix("python=")
    )


def test_all_files_name_the_same_range_of_pythons() -> None:
    assert (
        PROJECT["requires-python"]
        == f">={pick_python.dotted(pick_python.LOWEST)},<{pick_python.dotted(pick_python.BELOW)}"
    )
    assert [
        version for version in ((3, minor) for minor in range(30)) if pick_python.fits(version)
    ] == environment.VERSIONS
    assert pick_python.fits(sys.version_info[:2])
    assert (
        not pick_python.fits((3, 10))
        and not pick_python.fits((3, 14))
        and not pick_python.fits((2, 7))
        and not pick_python.fits(None)
    )


@pytest.mark.parametrize(
    "name", ["tools/setup_cell.py", "README.md", "environment.yml", ".github/workflows/ci.yml"]
)
def test_only_the_address_in_pyproject_is_given_as_the_courses_own(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    own = re.findall(
        r"https?://[^\s\"')>\]]*(?:example\.invalid|words-to-answers)[^\s\"')>\]]*", text
    )
    assert all(REPOSITORY.removeprefix("https://github.com/") in address for address in own), own


def test_the_readme_says_which_notebooks_are_here_and_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| \[\w+ [^\]]+\]\((notebooks/\w+\.ipynb)\) \|[^|]{10,}\|$", text, re.MULTILINE
    )
    here = sorted(f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert len(here) >= 8 and rows == here, "the course map of README.md is not up to date"
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), target


def test_the_set_up_cell_clones_the_address_in_pyproject() -> None:
    assert f'ADDRESS = "{REPOSITORY}"' in (ROOT / "tools" / "setup_cell.py").read_text()


def test_a_warning_in_our_own_code_fails_a_test_and_one_of_a_library_does_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "__init__.py").touch()
    for name in ("src/mine.py", "library.py"):
        (tmp_path / name).write_text(
            "import warnings\ndef warn(): warnings.warn('old', DeprecationWarning, stacklevel=1)\n"
        )
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "test_it.py").write_text(
        "import library\nfrom src import mine\n"
        "def test_mine(): mine.warn()\ndef test_library(): library.warn()\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_it.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (
        "1 failed, 1 passed" in result.stdout and "FAILED test_it.py::test_mine" in result.stdout
    ), result.stdout


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            "WARNING: NewConnectionError('<...>: Failed to establish a new connection')",
            "cannot be reached",
        ),
        (
            "ERROR: Could not install packages: [Errno 28] No space left on device",
            "the disk is full",
        ),
        (
            "ERROR: None\nERROR: No matching distribution found for torch==2.13.0",
            "has no torch==2.13.0 for Python",
        ),
        ("ERROR: something new", "something new"),
        ("", "no output"),
    ],
)
def test_what_pip_prints_becomes_one_sentence(output: str, sentence: str) -> None:
    explained = environment.explain_pip(output, Path(".venv"))
    assert sentence in explained and "\n" not in explained


WEIGHTS = sorted(path.name for path in (ROOT / "weights").iterdir() if path.is_dir())


def rows_of_licences(heading: str) -> list[str]:
    """The lines of the tables of LICENSES.md below one of its headings."""
    _, found, section = (
        (ROOT / "LICENSES.md").read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    )
    assert found, heading
    return [line for line in section.split("\n## ")[0].splitlines() if line.startswith("|")]


@pytest.mark.parametrize("folder", WEIGHTS)
def test_licences_name_every_folder_of_weights_with_all_licences_of_its_card(folder: str) -> None:
    rows = [
        row
        for row in rows_of_licences("Training data of shipped weights")
        if f"`weights/{folder}`" in row
    ]
    assert rows, f"weights/{folder} is not in the last table of LICENSES.md"
    card = json.loads((ROOT / "weights" / folder / "card.json").read_text(encoding="utf-8"))
    stated = card.get("licence") or card.get("licences") or card["data"]["licence"]
    for licence in re.findall(r"CC BY(?:-SA)? 4\.0|PDDL|none needed", json.dumps(stated)):
        assert any(
            f"| {licence.replace(' ', '-').replace('none-needed', 'none needed')}" in row
            for row in rows
        ), f"{folder}: {licence}"
    assert re.findall(r"CC BY|PDDL|none needed", json.dumps(stated)), (
        f"the card of {folder} names no licence"
    )


@pytest.mark.parametrize("folder", WEIGHTS)
def test_every_folder_of_weights_has_one_licence_of_its_own_which_that_of_its_data_allows(
    folder: str,
) -> None:
    (row,) = [
        row for row in rows_of_licences("The weights themselves") if f"`weights/{folder}`" in row
    ]
    licence = row.split(" | ")[1]
    learned_from = [
        row
        for row in rows_of_licences("Training data of shipped weights")
        if f"`weights/{folder}`" in row
    ]
    share_alike = any("| CC-BY-SA-4.0 |" in row for row in learned_from)
    assert licence == ("CC BY-SA 4.0" if share_alike else "CC BY 4.0")
    assert licence.replace(" ", "-") in PROJECT["license"].split(" AND ")


def test_weights_made_from_an_apache_model_come_with_that_licence() -> None:
    """Apache-2.0, section 4: whoever passes on a changed work gives the licence with it."""
    text = (ROOT / "weights" / "LICENSE-APACHE-2.0").read_text(encoding="utf-8")
    assert (
        "Apache License" in text
        and "4. Redistribution" in text
        and "END OF TERMS AND CONDITIONS" in text
    )
    assert "(weights/LICENSE-APACHE-2.0)" in (ROOT / "LICENSES.md").read_text(encoding="utf-8")
    assert {"MIT", "Apache-2.0"} <= set(PROJECT["license"].split(" AND "))


def test_licences_name_only_weights_that_are_there_and_all_of_data_is_listed() -> None:
    named = re.findall(r"`weights/([\w-]+)`", (ROOT / "LICENSES.md").read_text(encoding="utf-8"))
    assert set(named) == set(WEIGHTS)
    listed = set(
        re.findall(
            r"^\| `([\w.]+)/?` \|",
            (ROOT / "data" / "README.md").read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    )
    assert listed | {"README.md"} >= {
        name.split("/")[1] for name in checks.files() if name.startswith("data/")
    }


def test_licences_name_whatever_lies_here_with_a_licence_of_its_own() -> None:
    text = (ROOT / "LICENSES.md").read_text(encoding="utf-8")
    own = {"LICENSE", "LICENSE-TEXT", "LICENSES.md"}
    foreign = {
        name for name in checks.files() if re.search(r"(^|/)(LICEN[CS]E|COPYING|NOTICE)", name)
    } - own
    assert all(f"`{Path(name).parent.as_posix()}" in text for name in foreign), foreign


def test_the_development_container_makes_the_environment_by_the_makefile() -> None:
    container = json.loads(
        (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    )
    python = re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:(3\.\d+)", container["image"])
    assert python and Requirement(f"python{PROJECT['requires-python']}").specifier.contains(
        python[1]
    )
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    labels = [attributes["label"] for attributes in container["portsAttributes"].values()]
    for command in [container["postCreateCommand"], *labels]:
        assert re.search(rf"^{command.removeprefix('make ')}:", makefile, re.MULTILINE), command
    assert re.search(r"^assets: \$\(STAMP\)", makefile, re.MULTILINE), (
        "what is run when it opens does not make the environment"
    )
    interpreter = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter == "${containerWorkspaceFolder}/" + str(environment.python_of(Path(".venv")))
    assert {str(port) for port in container["forwardPorts"]} == set(container["portsAttributes"])
    defaults = {"make demo": "src/apps/demo/__main__.py", "make poll": "src/apps/poll/__main__.py"}
    for port, attributes in container["portsAttributes"].items():
        if attributes["label"] in defaults:
            assert re.search(
                rf"^    port: .* = {port},$",
                (ROOT / defaults[attributes["label"]]).read_text(),
                re.MULTILINE,
            ), attributes


def test_continuous_integration_takes_every_python_the_lowest_versions_and_the_linter() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))[
        "jobs"
    ]
    pythons = [f"3.{minor}" for minor in range(pick_python.LOWEST[1], pick_python.BELOW[1])]
    assert jobs["course"]["strategy"]["matrix"]["python"] == pythons
    commands = {
        name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()
    }
    assert commands == {
        "course": ["bash .ci/run"],
        "lowest": ["bash .ci/lowest"],
        "lint": ["make lint"],
    }
    script = (ROOT / ".ci" / "lowest").read_text(encoding="utf-8")
    left_out = re.findall(r"--deselect (\S+)::(\w+)", script)
    assert left_out and all(
        f"def {test}(" in (ROOT / file).read_text(encoding="utf-8") for file, test in left_out
    )


def test_the_hooks_before_a_commit_are_our_own_and_their_programs_are_there() -> None:
    settings = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [source["repo"] for source in settings["repos"]] == ["local"], (
        "a hook from elsewhere would have to be fetched"
    )
    hooks = settings["repos"][0]["hooks"]
    assert {"ruff-check", "ruff-format", "codespell", "links", "notebook-form", "file-size"} == {
        hook["id"] for hook in hooks
    }
    for hook in hooks:
        python, *words = hook["entry"].split()
        assert python == str(environment.python_of(Path(".venv"))) and hook["language"] == "system"
        if words[0] == "-m":
            assert importlib.util.find_spec(words[1]), hook["entry"]
        assert all((ROOT / word).exists() for word in words if "/" in word), hook["entry"]
    form = next(hook for hook in hooks if hook["id"] == "notebook-form")
    words = form["entry"].split()
    tests = re.findall(
        r"^def (test_\w+)", (ROOT / words[-1]).read_text(encoding="utf-8"), re.MULTILINE
    )
    chosen = [test for test in tests if words[words.index("-k") + 1] in test]
    assert len(chosen) >= 4 and not any("runs" in test for test in chosen), (
        "it would run whole notebooks, or none of the form's tests"
    )


def test_the_right_licence_is_named_for_code_text_and_wikipedia() -> None:
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    text = (ROOT / "LICENSE-TEXT").read_text()
    assert "Attribution 4.0 International" in text and "CC BY-SA" in text


def test_a_citation_names_the_version_and_the_licences_of_pyproject() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys(), (
        "required by the format, version 1.2.0"
    )
    assert (
        citation["version"] == PROJECT["version"]
        and " AND ".join(citation["license"]) == PROJECT["license"]
    )
    assert f"\n## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
