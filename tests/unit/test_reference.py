"""Sphinx can set every docstring of `src`: checked here in seconds, before the site is built."""

import importlib
import inspect
import io
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from docutils.core import publish_doctree
from docutils.nodes import system_message
from sphinx.ext.napoleon import Config, GoogleDocstring

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = runpy.run_path(str(ROOT / "tools" / "pages" / "conf.py"))
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "src").rglob("*.py"))
]


def complaints(docstring: str) -> list[str]:
    """What docutils says of a docstring, after what the site does to it."""
    lines = inspect.cleandoc(docstring).split("\n")
    SETTINGS["plain_text"](None, "", "", None, None, lines)
    options = {name: value for name, value in SETTINGS.items() if name.startswith("napoleon_")}
    text = str(GoogleDocstring(lines, Config(**options)))
    tree = publish_doctree(text, settings_overrides={"warning_stream": io.StringIO()})
    messages = tree.findall(system_message)
    return [message.astext() for message in messages if message["level"] >= 2]


def docstrings(name: str) -> Iterator[tuple[str, str]]:
    """The docstrings of a module, and of its own public functions, classes and methods."""
    module = importlib.import_module(name)
    yield name, module.__doc__ or ""
    for label, value in vars(module).items():
        if getattr(value, "__module__", "") == name and not label.startswith("_"):
            members = vars(value).items() if inspect.isclass(value) else ()
            for inner, thing in [("", value), *members]:
                if not inner.startswith("_") and (inspect.isroutine(thing) or thing is value):
                    yield f"{name}.{label}.{inner}", inspect.getdoc(thing) or ""


@pytest.mark.parametrize("name", MODULES)
def test_sphinx_takes_every_docstring(name):
    found = {place: said for place, text in docstrings(name) if (said := complaints(text))}
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "Plain *words*, |bars|, a_name_, `code_` and 2**3.",
        "A place is FILE:LINE; see https://example.org/x.",
        "The loss is a\n- weight * b,\nwhich is no list.",
        "Lists:\n- one,\n  that goes on;\n- two.\n\n- three\n",
        "Text.\n\n    code(*args)\n\n        more\n\nText.",
        "Old form.\n\nx: float[T]\n    goes on\nReturns y.",
        "New.\n\nArgs:\n    x: float[T],\n        goes on.\n    *more: others.\n\nReturns:\n    y.",
    ],
)
def test_docstrings_are_plain_text(text):
    assert complaints(text) == []


def test_a_form_that_sphinx_cannot_set_is_found():
    assert complaints(
        "Odd.\n\nArgs:\n    one, two,\n        three: names on two lines.\n    four: one."
    )
