"""show_source: the right lines, readable on light and dark pages, and honest without source."""

import functools
import html
import inspect
import linecache
import re

import numpy as np
import pytest

from src.qa import metrics
from src.teaching.panel import style
from src.teaching.sources import highlight, show_source, source_of


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
        return number * 2

    @property
    def area(self):
        return self.size**2


@functools.lru_cache
def remembered(number):
    return number


def test_html_and_text_hold_every_character_of_the_source_and_where_it_is(shown):
    show_source(metrics.normalize_answer)
    (panel,) = shown
    source = inspect.getsource(metrics.normalize_answer).rstrip()
    heading = "src/qa/metrics.py"
    assert visible(panel.html) == heading + source
    assert panel.text == f"# {heading}\n{source}"
    assert set(panel._repr_mimebundle_()) == {"text/html", "text/plain"}


def test_several_objects_are_shown_in_the_order_given(shown):
    show_source(metrics.f1, Example)
    assert "def f1(" in shown[0].text and "class Example" in shown[1].text


@pytest.mark.parametrize("item", [Example.double, Example().double, Example.area, remembered])
def test_methods_properties_and_decorated_functions_show_what_is_behind_them(item):
    source = source_of(item)
    assert not source.startswith(" ") and "def " in source
    assert compile(source, "shown", "exec")


@pytest.mark.parametrize(
    "item",
    [len, np.ndarray.sum, 3, "text", Example(), None, type("Typed", (), {"__module__": "nowhere"})],
)
def test_an_object_without_source_gets_one_clear_sentence(item, shown):
    with pytest.raises(TypeError, match="has no Python source") as error:
        show_source(Example, item)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200
    assert not shown, "nothing is shown when one of several objects cannot be"


def test_highlighting_changes_no_character_and_marks_the_kinds():
    code = 'def f(x):\n\n    """Doc < doc."""\n    if x and "a&b":  # why\n        return 3\n'
    assert visible(highlight(code)) == code
    kinds = dict(re.findall(r'<span class="(\w)">(.*?)</span>', highlight(code), re.S))
    assert kinds["k"].startswith("return") and kinds["c"].startswith("# why")
    assert kinds["n"].startswith("3") and kinds["f"] == "f"


def luminance(colour):
    """Relative luminance of #rrggbb, by the formula of WCAG 2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("page", [0, 1], ids=["light", "dark"])
def test_every_colour_reads_on_its_background(page):
    colours = dict(re.findall(r"--(\w+):(#\w+)", style("source.css").split("}")[1 + page]))
    ground = luminance(colours.pop("bg"))
    for kind, colour in colours.items():
        bright, dim = sorted([luminance(colour), ground], reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5, kind
    assert len(colours) == 6


def test_the_stored_html_stays_small(shown):
    show_source(metrics)
    assert len(shown[0].html) < 1.5 * len(inspect.getsource(metrics)) + 2500


def test_a_cell_of_the_notebook_can_be_shown_too(shown):
    name, code = "/tmp/ipykernel_123/456.py", "def mine(x):\n    return x\n"
    linecache.cache[name] = (None, None, code.splitlines(keepends=True), name)
    namespace = {}
    exec(compile(code, name, "exec"), namespace)
    show_source(namespace["mine"])
    assert shown[0].text == f"# a cell of this notebook\n{code.rstrip()}"
