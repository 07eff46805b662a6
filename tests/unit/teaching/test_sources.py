"""show_source: the right lines, readable on light and dark pages, folded or shortened on request, and honest without source."""

import dataclasses
import functools
import html
import inspect
import re
import textwrap

import numpy as np
import pytest

from src.qa import metrics
from src.teaching import sources
from src.teaching.sources import highlight, outline, show_source, source_of


@pytest.fixture
def shown(monkeypatch):
    """What show_source displayed: its panels, in order."""
    panels = []
    monkeypatch.setattr("src.teaching.panel.display", panels.append)
    return panels


def visible(markup):
    """The text of some HTML as a reader sees it."""
    return html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"<style>.*?</style>", "", markup)))


class Example:
    """A class
    with an untidy docstring."""

    size: int = 3

    def double(self, number):
        """Twice the number."""
        # a comment <b>
        return "&amp;" * number if number else number * 2

    def one(self): return 1  # fmt: skip

    @property
    def area(self):
        return self.size**2

    @functools.cached_property
    def kept(self):
        return self.size + 1


@functools.lru_cache
def remembered(number):
    return number


def test_html_and_text_hold_every_character_of_the_source_and_where_it_stands(shown):
    show_source(metrics.normalize_answer)
    (panel,) = shown
    source = inspect.getsource(metrics.normalize_answer).rstrip()
    line = inspect.getsourcelines(metrics.normalize_answer)[1]
    heading = f"src/qa/metrics.py, line {line}"
    assert visible(panel.html) == heading + source
    assert panel.text == f"# {heading}\n{source}"
    assert set(panel._repr_mimebundle_()) == {"text/html", "text/plain"}


def test_several_objects_are_shown_in_the_order_given(shown):
    show_source(metrics.f1, metrics.Interval)
    assert ["def f1(" in panel.text for panel in shown] == [True, False]
    assert "class Interval" in shown[1].text


@pytest.mark.parametrize(
    "item",
    [
        Example.double,
        Example().double,
        Example.area,
        Example.kept,
        functools.partial(Example.double, None),
        remembered,
    ],
)
def test_methods_properties_partials_and_decorated_functions_show_what_stands_behind_them(item):
    source = source_of(item)
    assert not source.startswith(" ") and "def " in source
    assert compile(source, "shown", "exec")


@pytest.mark.parametrize(
    "item",
    [len, np.ndarray.sum, 3, "text", Example(), None, type("Typed", (), {"__module__": "nowhere"})],
)
def test_an_object_without_source_gets_one_clear_sentence(item, shown):
    with pytest.raises(
        TypeError, match=r"has no Python source|needs a class, a function or a module"
    ) as error:
        show_source(Example, item)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200
    assert not shown, "nothing is shown when one of several objects cannot be"


def test_wrong_arguments_are_named():
    with pytest.raises(TypeError, match="at least one"):
        show_source()
    with pytest.raises(ValueError, match="'fold'"):
        show_source(Example, docstring="folded")


def test_a_folded_docstring_is_behind_a_line_that_says_what_it_is_about_and_nothing_is_lost(shown):
    show_source(metrics.score_questions, docstring="fold")
    markup = shown[0].html
    folded = re.search(r"<details><summary>(.*?)</summary>(.*?)</details>", markup, re.S)
    assert folded[1].startswith(
        "docstring: Score every question by itself"
    ) and "Raises ValueError" in visible(folded[2])
    assert "_check(predictions" in visible(markup.replace(folded[0], ""))
    assert shown[0].text.endswith(inspect.getsource(metrics.score_questions).rstrip())


def test_a_hidden_docstring_leaves_code_that_still_parses(shown):
    show_source(metrics.score_questions, docstring="hide")
    assert "Raises ValueError" not in shown[0].text and "_check(predictions" in shown[0].text
    show_source(remembered, docstring="hide")
    assert "return number" in shown[1].text


def test_without_bodies_a_class_keeps_fields_signatures_and_docstrings():
    short = outline(source_of(Example))
    assert (
        "size: int = 3" in short
        and "def double(self, number):" in short
        and "Twice the number." in short
        and "@property" in short
    )
    assert (
        "a comment" not in short
        and "self.size**2" not in short
        and "def one(self): return 1" in short
    )
    assert compile(short, "outline", "exec")


def test_the_outline_of_every_public_function_of_metrics_has_its_signature():
    for name, item in vars(metrics).items():
        if inspect.isfunction(item) or dataclasses.is_dataclass(item):
            short = outline(source_of(item))
            compiled = {}
            exec(
                compile(
                    "from __future__ import annotations\nfrom dataclasses import dataclass\n"
                    + short,
                    name,
                    "exec",
                ),
                {},
                compiled,
            )
            if inspect.isfunction(item):
                assert list(inspect.signature(compiled[name]).parameters) == list(
                    inspect.signature(item).parameters
                )


def test_highlighting_changes_no_character_and_marks_the_kinds():
    code = 'def f(x):\n\n    """Doc < doc."""\n    if x and "a&b":  # why\n        return 3\n'
    assert visible(highlight(code)) == code
    kinds = dict(re.findall(r'<span class="(\w)">(.*?)</span>', highlight(code), re.S))
    assert (
        kinds["k"].startswith("return")
        and kinds["c"].startswith("# why")
        and kinds["n"].startswith("3")
        and kinds["f"] == "f"
    )


def luminance(colour):
    """Relative luminance of #rrggbb, by the formula of WCAG 2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("page", [0, 1], ids=["light", "dark"])
def test_every_colour_reads_on_its_background(page):
    ground = luminance(sources.BACKGROUNDS[page])
    for kind, pair in sources.COLOURS.items():
        bright, dim = sorted([luminance(pair[page]), ground], reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, kind


def test_the_stored_html_stays_small(shown):
    show_source(metrics)
    source = inspect.getsource(metrics)
    assert len(shown[0].html) < 1.5 * len(source) + 2500


def test_a_cell_of_the_notebook_can_be_shown_too(shown):
    import linecache

    name = "/tmp/ipykernel_123/456.py"
    linecache.cache[name] = (None, None, ["def mine(x):\n", "    return x\n"], name)
    namespace = {}
    exec(compile(textwrap.dedent("def mine(x):\n    return x\n"), name, "exec"), namespace)
    show_source(namespace["mine"])
    assert shown[0].text == "# a cell of this notebook, line 1\ndef mine(x):\n    return x"
