"""What every figure owes: a title that follows its data, alternative text, few bytes, readability.

The tests of each subject have FIGURES: name of the function, perhaps a blank and what is special,
-> a call that draws it, the title that these data must give, and more that its alternative text
must say of them. What the primitives draw is what they tell (test_primitives.py).
"""

import base64
import html
import importlib
import importlib.util
import inspect
import io
import itertools
import re
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from src import plots
from src.plots import primitives


def figures_of(file):
    spec = importlib.util.spec_from_file_location(f"examples_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, "FIGURES", {})


FILES = sorted(set(Path(__file__).parent.glob("test_*.py")) - {Path(__file__)})
SUBJECTS = {
    file.stem.removeprefix("test_").removesuffix("_plots"): figures_of(file) for file in FILES
}
CASES = [
    pytest.param(draw, title, said, id=f"{subject}.{name}")
    for subject, figures in SUBJECTS.items()
    for name, (draw, title, *said) in figures.items()
]


@pytest.mark.parametrize("subject", [subject for subject, figures in SUBJECTS.items() if figures])
def test_every_function_that_draws_has_an_example(subject):
    module = importlib.import_module(f"src.plots.{subject}")
    drawing = {
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith(("plot_", "draw_")) and function.__module__ == module.__name__
    }
    assert drawing == {name.split()[0] for name in SUBJECTS[subject]}


@pytest.mark.parametrize(("draw", "title", "said"), CASES)
def test_a_figure_states_what_its_data_say_and_can_be_read_on_any_page(draw, title, said):
    figure = draw()
    assert " ".join(figure.get_suptitle().split()) == title
    assert figure.alt.startswith(title) and len(figure.alt.split()) >= 12
    for text in said:
        assert text in figure.alt
    page = figure.to_html()
    assert len(page) < 62_000 and html.escape(figure.alt) in page
    stored = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
    picture = Image.open(io.BytesIO(stored)).convert("RGBA")  # opaque and light: for dark pages
    assert picture.getchannel("A").getextrema() == (255, 255)
    assert picture.getpixel((0, 0)) == (255, 255, 255, 255)
    for ax in figure.axes:
        assert not ax.axison or ax.get_xlabel() or ax.get_ylabel() or ax.get_title(loc="left")
    renderer, edges = FigureCanvasAgg(figure).get_renderer(), figure.bbox.padded(1)
    figure.draw_without_rendering()
    labels = axis_labels(figure)
    for text in itertools.chain(*labels, *(ax.texts for ax in figure.axes)):
        box = Text.get_window_extent(text, renderer)
        inside = edges.contains(box.x0, box.y0) and edges.contains(box.x1, box.y1)
        assert inside or not text.get_text().strip(), f"{text.get_text()!r} leaves the picture"
    for group in labels:
        upright = [text for text in group if text.get_rotation() % 90 == 0]
        boxes = [text.get_window_extent(renderer).padded(-1) for text in upright]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2)), title


def axis_labels(figure):
    """Of each axis the visible labels: those of its ticks and its own."""
    groups = []
    for axis in [axis for ax in figure.axes if ax.axison for axis in (ax.xaxis, ax.yaxis)]:
        low, high = sorted(axis.get_view_interval())
        ticks = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        shown = [text for text in (*ticks, axis.label) if text.get_visible() and text.get_text()]
        groups.append(shown)
    return groups


def test_a_figure_without_alternative_text_is_refused():
    figure, _ = plots.subplots()
    with pytest.raises(ValueError, match="no alternative text"):
        figure.to_html()


def test_a_word_is_drawn_as_it_is_without_a_warning(recwarn):
    """Dollars begin no formula, blanks can be seen, letters that the font lacks become a box."""
    assert plots.plain("語 a\tb") == "▯ a␣b" and plots.plain("  ") == "␣␣"
    figure, ax = primitives.drawing((4, 2), (0, 9), (0, 1))
    primitives.box(ax, 2, 0.5, 3, 0.5, "$x$ 語")
    primitives.boxes(ax, 5, 0.5, ["a$b$c"])
    plots.finish(figure, "A $5 語 word", "Two boxes").png()
    assert not recwarn.list and plots.written(figure) == "$x$ ▯; a$b$c"


def test_a_long_title_is_wrapped_into_lines_of_even_length_that_fit():
    figure, _ = plots.subplots(figsize=(8, 3))
    plots.headline(figure, "word " * 40)
    figure.draw_without_rendering()
    assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1
    lengths = [len(line) for line in figure.get_suptitle().split("\n")]
    assert max(lengths) - min(lengths) <= 10 and sum(lengths) > 190
