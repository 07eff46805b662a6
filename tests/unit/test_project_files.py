"""The files that say what the course needs agree with each other and with the environment."""

import ast
import functools
import importlib.util
import json
import re
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


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


PROJECT = tomllib.loads(read("pyproject.toml"))["project"]
REQUIREMENTS = [Requirement(line) for line in environment.wanted_packages()]
TESTED = environment.tested_versions()
PINS = {canonicalize_name(name): Version(version) for name, version in TESTED.items()}
REPOSITORY = PROJECT["urls"]["Repository"]
PYTHON = Requirement(f"python{PROJECT['requires-python']}").specifier


def names_of(lines: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


# --- packages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_each_range_goes_from_the_lowest_tested_version_to_the_next_major(requirement):
    pin = PINS[canonicalize_name(requirement.name)]
    bounds = {clause.operator: Version(clause.version) for clause in requirement.specifier}
    assert set(bounds) == {">=", "<"} and bounds[">="] <= pin
    assert bounds["<"] == Version(str(pin.major + 1)), "the upper bound is the next major version"


def test_constraints_pin_every_package_exactly_once_without_a_build():
    lines = [line for line in read("constraints.txt").splitlines() if line and line[0] != "#"]
    pinned = [re.fullmatch(r"([A-Za-z0-9._-]+)==[0-9][A-Za-z0-9.]*", line) for line in lines]
    assert all(pinned), "a +cpu pin would not resolve on PyPI"
    assert len({canonicalize_name(match[1]) for match in pinned}) == len(lines)


def test_the_environment_of_the_tests_is_the_pinned_one():
    installed = {canonicalize_name(d.name): d.version for d in metadata.distributions()}
    there = {name: Version(version.split("+")[0]) for name, version in installed.items()}
    different = {name: there[name] for name in PINS if there.get(name, PINS[name]) != PINS[name]}
    missing = {canonicalize_name(requirement.name) for requirement in REQUIREMENTS} - set(there)
    advice = "run `make course` (or `make .venv/.course-stamp`) to bring .venv up to date"
    assert not different and not missing, advice


def test_every_pinned_version_runs_on_the_first_release_of_the_lowest_python():
    """Debian 12 has Python 3.11.2: a package that asks for 3.11.5 cannot be installed there."""
    first = ".".join(map(str, pick_python.LOWEST)) + ".0"
    for name in PINS:
        asked = metadata.metadata(name).get("Requires-Python") or ">=3"
        assert Requirement(f"python{asked}").specifier.contains(first), f"{name}: {asked}"


def test_everything_the_course_needs_is_pinned_down_to_the_last_dependency():
    """A package that pip may choose freely would differ from machine to machine."""
    todo, seen = [requirement.name for requirement in REQUIREMENTS], set()
    while todo:
        name = canonicalize_name(todo.pop())
        if name in seen:
            continue
        seen.add(name)
        for dependency in map(Requirement, metadata.requires(name) or []):
            if dependency.marker is None or dependency.marker.evaluate({"extra": ""}):
                todo.append(dependency.name)
    of_gpus = {name for name in seen if name.startswith(("nvidia", "triton", "cuda"))}
    assert seen - set(PINS) <= {"setuptools", "pip"} | of_gpus


OWN_FOLDERS = {"src", "tools", "tests", "benchmarks"}


def code_of(file: Path) -> str:
    """The Python of a file or of a notebook's cells, without lines that are IPython's (%, !)."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        return text
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def imported_modules(file: Path) -> set[str]:
    """What a file imports from outside the standard library, the course and its own folder."""
    modules = set()
    for node in ast.walk(ast.parse(code_of(file))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add(node.module)
    beside = {other.stem for other in file.parent.glob("*.py")}
    beside |= set(re.findall(r"%%writefile .*?/(\w+)\.py", file.read_text(encoding="utf-8")))
    return {name.split(".")[0] for name in modules} - OWN_FOLDERS - beside - sys.stdlib_module_names


owners_of_modules = functools.cache(metadata.packages_distributions)


@pytest.mark.parametrize("folder", sorted(OWN_FOLDERS | {"notebooks"}))
def test_every_package_that_the_code_imports_is_stated_and_not_only_there_by_way_of_another(folder):
    """For src and the notebooks the groups for building and testing do not count."""
    groups = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + groups["lab"]
    if folder not in ("src", "notebooks"):
        lines += groups["build"] + groups["test"]
    stated, owners = names_of(lines), owners_of_modules()
    for file in checks.files():
        if file.startswith(f"{folder}/") and file.endswith((".py", ".ipynb")):
            for module in imported_modules(ROOT / file):
                packages = set(map(canonicalize_name, owners.get(module, [module])))
                assert packages & stated, f"state {module} of {file} in pyproject.toml"


def test_what_transformers_needs_without_asking_for_it_is_stated():
    """Trainer needs accelerate, reading SmolLM2 gguf; pip does not bring them."""
    assert {"accelerate", "gguf", "torch"} <= names_of(PROJECT["dependencies"])


def test_conda_installs_the_same_project():
    parts = yaml.safe_load(read("environment.yml"))["dependencies"]
    pip = next(part["pip"] for part in parts if isinstance(part, dict))
    assert "-c constraints.txt" in pip
    stated = [str(Requirement(line)) for line in pip if not line.startswith("-")]
    assert sorted(stated) == sorted(map(str, REQUIREMENTS))
    (python,) = (part for part in parts if str(part).startswith("python="))
    assert PYTHON.contains(python.removeprefix("python="))


def test_all_files_name_the_same_range_of_pythons():
    lowest, below = map(pick_python.dotted, (pick_python.LOWEST, pick_python.BELOW))
    assert PROJECT["requires-python"] == f">={lowest},<{below}"
    fitting = [(3, minor) for minor in range(30) if pick_python.fits((3, minor))]
    assert fitting == environment.VERSIONS and sys.version_info[:2] in fitting
    assert not any(map(pick_python.fits, [(3, 10), (3, 14), (2, 7), None]))
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    matrix = jobs["course"]["strategy"]["matrix"]["python"]
    assert matrix == list(map(pick_python.dotted, fitting))


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("WARNING: '<...>: Failed to establish a new connection'", "cannot be reached"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "the disk is full"),
        ("ERROR: None\nERROR: No matching distribution found for torch==2", "has no torch==2 for"),
        ("ERROR: something new", "something new"),
        ("", "no output"),
    ],
)
def test_what_pip_prints_becomes_one_sentence(output, sentence):
    explained = environment.explain_pip(output, Path(".venv"))
    assert sentence in explained and "\n" not in explained


# --- addresses, programs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["tools/setup_cell.py", "README.md", "environment.yml", ".github/workflows/ci.yml"]
)
def test_only_the_address_in_pyproject_is_given_as_the_courses_own(name):
    address = r"https?://[^\s\"')>\]]*(?:example\.invalid|words-to-answers)[^\s\"')>\]]*"
    own = REPOSITORY.removeprefix("https://github.com/")
    assert all(own in found for found in re.findall(address, read(name)))
    assert f'ADDRESS = "{REPOSITORY}"' in read("tools/setup_cell.py")


def test_the_readme_says_which_notebooks_are_here_and_links_lead_somewhere():
    row = r"^\| \[\w[^\]]+\]\((notebooks/\w+\.ipynb)\) \|[^|]{10,}\|$"
    rows = re.findall(row, read("README.md"), re.MULTILINE)
    here = sorted(f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert len(here) >= 8 and sorted(rows) == here, "the course map of README.md is not up to date"
    assert all((ROOT / to).exists() for to in re.findall(r"\]\(([^)#:]+)\)", read("README.md")))


def test_the_development_container_makes_the_environment_by_the_makefile():
    container = json.loads(read(".devcontainer/devcontainer.json"))
    assert PYTHON.contains(container["image"].rpartition(":")[2])
    assert container["postCreateCommand"] == "make assets"
    assert re.search(r"^assets: \$\(STAMP\)", read("Makefile"), re.MULTILINE)
    interpreter = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter == "${containerWorkspaceFolder}/" + str(environment.python_of(Path(".venv")))
    ports = {port: about["label"] for port, about in container["portsAttributes"].items()}
    assert set(ports) == set(map(str, container["forwardPorts"]))
    for port, command in ports.items():
        program = command.removeprefix("make ")
        assert re.search(rf"^{program}:", read("Makefile"), re.MULTILINE), command
        if program != "lab":  # JupyterLab's own
            code = read(f"src/apps/{program}/__main__.py")
            assert re.search(rf"^    port: .* = {port},$", code, re.MULTILINE), command


def test_what_continuous_integration_leaves_out_is_there():
    left_out = re.findall(r"--deselect (\S+)::(\w+)", read(".ci/lowest"))
    assert left_out and all(f"def {test}(" in read(file) for file, test in left_out)


def test_the_hooks_before_a_commit_are_our_own_and_their_programs_are_there():
    (source,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert source["repo"] == "local", "a hook from elsewhere would have to be fetched"
    for hook in source["hooks"]:
        python, *words = hook["entry"].split()
        assert python == str(environment.python_of(Path(".venv"))) and hook["language"] == "system"
        assert words[0] != "-m" or importlib.util.find_spec(words[1]), hook["entry"]
        assert all((ROOT / word).exists() for word in words if "/" in word), hook["entry"]
        if "-k" in words:  # not whole notebooks, and not none of the form's tests
            tests = re.findall(r"^def (test_\w+)", read(words[-1]), re.MULTILINE)
            chosen = [test for test in tests if words[words.index("-k") + 1] in test]
            assert len(chosen) >= 4 and not any("runs" in test for test in chosen)


# --- licences ------------------------------------------------------------------------------------

WEIGHTS = sorted(path.name for path in (ROOT / "weights").iterdir() if path.is_dir())


def licences_of(heading: str, folder: str) -> list[list[str]]:
    """The rows of a table of LICENSES.md that name a folder of weights, as cells."""
    section = read("LICENSES.md").partition(f"\n## {heading}\n")[2].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [line for line in lines if f"`weights/{folder}`" in line]
    assert rows, f"weights/{folder} is not in the table of LICENSES.md, {heading}"
    return [row.strip("| ").split(" | ") for row in rows]


@pytest.mark.parametrize("folder", WEIGHTS)
def test_licences_name_every_folder_of_weights_with_all_licences_of_its_card(folder):
    card = json.loads(read(f"weights/{folder}/card.json"))
    stated = card.get("licence") or card.get("licences") or card["data"]["licence"]
    found = re.findall(r"CC BY(?:-SA)? 4\.0|PDDL|none needed", json.dumps(stated))
    assert found, f"the card of {folder} names no licence"
    data = " ".join(row[3] for row in licences_of("Training data of shipped weights", folder))
    assert all(licence in data.replace("-4.0", " 4.0").replace("CC-", "CC ") for licence in found)
    ((_, licence, *_),) = licences_of("The weights themselves", folder)
    assert licence == ("CC BY-SA 4.0" if "CC-BY-SA-4.0" in data else "CC BY 4.0")
    assert licence.replace(" ", "-") in PROJECT["license"].split(" AND ")


def test_whatever_lies_here_with_a_licence_of_its_own_is_named_and_nothing_else():
    text = read("LICENSES.md")
    assert set(re.findall(r"`weights/([\w-]+)`", text)) == set(WEIGHTS)
    listed = set(re.findall(r"^\| `([\w.]+)/?` \|", read("data/README.md"), re.MULTILINE))
    data = {name.split("/")[1] for name in checks.files() if name.startswith("data/")}
    assert listed | {"README.md"} >= data
    own = {"LICENSE", "LICENSE-TEXT", "LICENSES.md"}
    names = [
        name for name in checks.files() if re.search(r"(^|/)(LICEN[CS]E|COPYING|NOTICE)", name)
    ]
    assert all(f"`{Path(name).parent.as_posix()}" in text for name in set(names) - own)
    assert "MIT License" in read("LICENSE") and "Attribution 4.0 Inter" in read("LICENSE-TEXT")
    # Apache-2.0, section 4: whoever passes on a changed work gives the licence with it.
    apache = read("weights/LICENSE-APACHE-2.0")
    assert "4. Redistribution" in apache and "END OF TERMS AND CONDITIONS" in apache
    assert "(weights/LICENSE-APACHE-2.0)" in text
    assert {"MIT", "Apache-2.0"} <= set(PROJECT["license"].split(" AND "))


def test_a_citation_names_the_version_and_the_licences_of_pyproject():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys(), "the format wants it"
    assert citation["version"] == PROJECT["version"]
    assert " AND ".join(citation["license"]) == PROJECT["license"]
    assert f"\n## {PROJECT['version']}" in read("CHANGELOG.md")
