"""The figures of three ways to answer say what the numbers say: bars, lines and titles are read back from the figures."""

from __future__ import annotations

import matplotlib.style
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from src import plots
from src.plots.ways import plot_kinds, plot_ways
from src.qa import variants
from src.runtime import COURSE


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


def table_of(**kinds_by_way):
    """One row per answer: table_of(extractive={"right": 3}) has three right answers."""
    rows = []
    for way, kinds in kinds_by_way.items():
        for kind, count in kinds.items():
            right = kind.startswith("right")
            rows += [(way.replace("_", "-"), kind, 100.0 * right, 100.0 * right, 0.5 + len(rows) / 100, "unsupported" not in kind)] * count
    return pd.DataFrame(rows, columns=["variant", "kind", "exact_match", "f1", "seconds", "supported"])


TABLE = table_of(
    extractive={"right": 15, "marked the wrong words": 5},
    open_book={"right": 10, "right but unsupported": 2, "wrong though the passage was there": 5, "fluent and wrong": 3},
    closed_book={"right": 3, "right but unsupported": 1, "fluent and wrong": 14, "repeats the question": 1, "refused": 1},
)


def marked(figure, gid):
    (found,) = figure.findobj(lambda artist: artist.get_gid() == gid)
    return found


def every_figure():
    yield plot_ways(variants.summarise(TABLE))
    yield plot_ways(variants.summarise(TABLE[TABLE["variant"] != "open-book"]))
    yield plot_ways(variants.summarise(variants.load_variants()))
    yield plot_kinds(TABLE)
    yield plot_kinds(TABLE[TABLE["variant"] == "extractive"])
    yield plot_kinds(variants.load_variants())


def test_every_figure_is_small_and_has_alternative_text():
    for figure in every_figure():
        stored = figure._repr_mimebundle_()["text/html"]
        assert len(stored) < 62_000 and plots.title_of(figure) in figure.alt and len(figure.alt.split()) > 20


def test_nothing_is_cut_off_and_no_two_texts_overlap():
    for figure in every_figure():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        page = figure.bbox.padded(1)
        texts = [text for ax in figure.axes for text in (*ax.texts, ax.title, ax.xaxis.label) if text.get_text()]
        texts += [text for legend in figure.legends for text in legend.get_texts()]
        boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
        assert all(page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1) for box in boxes)
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_bars_are_the_numbers_of_the_summary_and_lines_their_reach():
    summary = variants.summarise(TABLE)
    figure = plot_ways(summary)
    for way, row in summary.iterrows():
        for measure in ("exact_match", "f1", "right", "supported", "fluent_and_wrong", "median_seconds"):
            assert marked(figure, f"{measure} {way}").get_width() == pytest.approx(row[measure])
        assert marked(figure, f"line fluent_and_wrong {way}").get_xdata() == pytest.approx([row["fluent_low"], row["fluent_high"]])
        assert marked(figure, f"line median_seconds {way}").get_xdata() == pytest.approx([row["median_seconds"], row["seconds_95th"]])
    right, wrong = "extractive, 75 %", "closed-book, 70 %"
    assert plots.title_of(figure) == f"Most often right is {right}; most often fluent and wrong {wrong}"


def test_the_parts_of_a_bar_are_the_counts_of_the_kinds():
    figure = plot_kinds(TABLE)
    counts = variants.count_kinds(TABLE)
    widths = {container.get_label(): [bar.get_width() for bar in container] for container in figure.axes[0].containers}
    assert set(widths) == set(variants.KINDS)
    for kind in variants.KINDS:
        assert widths[kind] == pytest.approx(list(5 * counts[kind])), "of 20 questions one is 5 %"
    assert marked(figure, "fluent and wrong closed-book").get_text() == "14"
    counted = "closed-book 14 of 20, open-book 3 of 20, extractive 0 of 20"
    assert plots.title_of(figure) == f"Fluent and wrong: {counted}"


def test_kinds_that_do_not_occur_are_not_in_the_legend():
    figure = plot_kinds(TABLE[TABLE["variant"] == "extractive"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["right", "marked the wrong words"]


def test_nothing_to_draw_is_refused():
    empty = TABLE[TABLE["variant"] == "none"]
    for draw, given in ((plot_ways, variants.summarise(empty)), (plot_kinds, empty)):
        with pytest.raises(ValueError, match="nothing to draw"):
            draw(given)
