"""The figures of question answering say what the data say: titles, extents and marks are read back from the figures."""

import html.parser
import io
import itertools
import re
import warnings
from types import SimpleNamespace

import matplotlib.style
import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from transformers import AutoTokenizer

from src import assets, plots
from src.plots import qa
from src.qa.features import prepare_features
from src.runtime import COURSE

PASSAGE = (
    "Oxygen is a chemical element with the symbol O and atomic number 8. It is a member of the chalcogen group, a highly reactive "
    "nonmetal, and a strong oxidizing agent that readily forms oxides with most elements as well as with other compounds. Oxygen is "
    "the most abundant element in the crust of the Earth, and the third most abundant in the universe after hydrogen and helium."
)
QUESTION = "What is the atomic number of oxygen?"


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(assets.path("minilm"))


def rows(answer="8", at=None, context=PASSAGE, question=QUESTION):
    answers = (
        {"text": [answer], "answer_start": [context.index(answer) if at is None else at]} if answer else {"text": [], "answer_start": []}
    )
    return {"id": "q", "title": "Oxygen", "context": context, "question": question, "answers": answers}


def windows(tokenizer, max_length=48, doc_stride=12, **row):
    columns = {name: [value] for name, value in rows(**row).items()}
    return prepare_features(Dataset.from_dict(columns), tokenizer, max_length=max_length, doc_stride=doc_stride)


def marks(figure, prefix):
    """gid -> artist of everything that was given an id starting with `prefix`."""
    found = figure.findobj(lambda artist: str(artist.get_gid() or "").startswith(prefix))
    return {artist.get_gid(): artist for artist in found}


def title(figure):
    return plots.title_of(figure)


# --- what every figure owes ----------------------------------------------------------------------------------------------


def every_figure(tokenizer):
    rng = np.random.default_rng(0)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(QUESTION, PASSAGE)["input_ids"])
    T = len(tokens)
    probs = rng.dirichlet(np.ones(T), 2)
    has_answer = np.arange(200) % 3 > 0
    data = [rows("8"), rows("a chemical element"), rows("")]
    yield qa.draw_windows(windows(tokenizer), tokenizer)
    yield qa.plot_answer_positions(data)
    yield qa.plot_question_mix({"train": data, "test": data[:1]})
    yield qa.plot_token_scores(tokens, *probs)
    yield qa.plot_span_matrix(*rng.normal(size=(2, T)), tokens)
    yield qa.plot_threshold(rng.random(200), has_answer, rng.random(200))
    yield qa.draw_four_heads()
    yield qa.draw_question_to_answer(QUESTION, "8 is it.", tokens[:20], *rng.normal(size=(2, 20)), (4, 5))


class Images(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.found.append(dict(attributes))


def test_every_figure_is_stored_small_opaque_and_with_alternative_text(tokenizer):
    for figure in every_figure(tokenizer):
        bundle = figure._repr_mimebundle_()
        (image,) = Images(bundle["text/html"]).found
        assert image["alt"] == bundle["text/plain"] == figure.alt
        assert title(figure).rstrip(".") in figure.alt or len(figure.alt) > 200
        assert len(image["src"]) <= 61_000
        assert int(image["width"]) == round(figure.get_figwidth() * figure.dpi)
        picture = Image.open(io.BytesIO(figure.png())).convert("RGBA")
        assert picture.getchannel("A").getextrema() == (255, 255)
        assert picture.getpixel((0, 0)) == (255, 255, 255, 255)


def test_no_label_lies_over_another_or_outside_the_picture(tokenizer):
    for figure in every_figure(tokenizer):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer, page = canvas.get_renderer(), figure.bbox
        for axes in figure.axes:
            if not axes.axison:
                continue
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_visible()]
                boxes = [label.get_window_extent(renderer) for label in (*ticks, axis.label) if label.get_text()]
                assert all(page.padded(1).contains(box.x0, box.y0) and page.padded(1).contains(box.x1, box.y1) for box in boxes)
                shrunk = [box.padded(-1) for box in boxes if min(box.width, box.height) > 2]
                assert not any(one.overlaps(two) for one, two in itertools.combinations(shrunk, 2)), title(figure)


def test_pyplot_knows_nothing_of_the_figures():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    qa.draw_four_heads()
    assert plt.get_fignums() == before


def test_a_figure_without_alternative_text_says_so_when_it_is_shown():
    figure, _ = plots.subplots()
    with pytest.raises(ValueError, match="alternative text"):
        figure._repr_mimebundle_()


def test_alternative_text_is_escaped():
    figure, _ = plots.subplots()
    text = 'a "quoted" <b> & more'
    (image,) = Images(plots.alt(figure, text).to_html()).found
    assert image["alt"] == text


def test_a_long_headline_is_wrapped_into_lines_of_even_length_that_fit():
    figure, _ = plots.subplots(figsize=(8, 3))
    plots.headline(figure, "word " * 40)
    figure.draw_without_rendering()
    assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1
    lengths = [len(line) for line in figure.get_suptitle().split("\n")]
    assert max(lengths) - min(lengths) <= 10 and sum(lengths) > 190


def test_storing_in_few_colours_changes_no_pixel_visibly(tokenizer):
    canvas = FigureCanvasAgg(qa.draw_windows(windows(tokenizer), tokenizer))
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]
    stored = np.asarray(plots._few_colours(pixels).convert("RGB"))
    error = np.abs(pixels.astype(int) - stored).max(axis=2)
    assert error.max() <= 40 and (error > 16).mean() < 0.002
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 256


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=6))
def test_tokens_of_any_script_are_drawn_without_a_warning(words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        share = np.full(len(words), 1 / len(words))
        qa.plot_token_scores(words, share, share).png(1)


def test_dollars_are_text_and_not_formulas():
    tokens = ["$", "5", "and", "$", "6"]
    figure = qa.plot_token_scores(tokens, [1, 0, 0, 0, 0], [0, 0, 0, 0, 1])
    figure.draw_without_rendering()
    assert all(not text.get_parse_math() for text in figure.axes[0].get_xticklabels())
    assert "$ 5 and $ 6" in title(figure) and not figure._suptitle.get_parse_math()


# --- windows -------------------------------------------------------------------------------------------------------------


def test_bars_cover_the_tokens_of_their_windows(tokenizer):
    features = windows(tokenizer)
    figure = qa.draw_windows(features, tokenizer)
    offsets = tokenizer(PASSAGE, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    bars = marks(figure, "window ")
    assert len(bars) == len(features) > 2
    for k, row in enumerate(features):
        held = [offsets.index((s, e)) for s, e in zip(row["token_starts"], row["token_ends"], strict=True) if s >= 0]
        bar = bars[f"window {k}"]
        assert (bar.get_x(), bar.get_x() + bar.get_width()) == (held[0], held[-1] + 1)
    assert f"{len(features)} windows" in title(figure) and f"a passage of {len(offsets)}" in title(figure)


def test_the_shaded_part_is_what_two_windows_share(tokenizer):
    figure = qa.draw_windows(windows(tokenizer, doc_stride=9), tokenizer)
    first, second = (marks(figure, f"window {k}")[f"window {k}"] for k in (0, 1))
    shared = marks(figure, "overlap 0")["overlap 0"]
    assert shared.get_x() == second.get_x()
    assert shared.get_x() + shared.get_width() == first.get_x() + first.get_width()
    assert shared.get_width() == 9


def test_the_answer_is_marked_and_windows_without_it_are_called_cls(tokenizer):
    features = windows(tokenizer, answer="chalcogen")
    figure = qa.draw_windows(features, tokenizer)
    offsets = tokenizer(PASSAGE, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    at = PASSAGE.index("chalcogen")
    tokens = [i for i, (s, e) in enumerate(offsets) if s < at + 9 and e > at]
    labels = {gid: text.get_text() for gid, text in marks(figure, "label ").items()}
    holds = [row["start_positions"] > 0 for row in features]
    assert any(holds) and not all(holds)
    for k, held in enumerate(holds):
        assert ("[CLS]" in labels[f"label {k}"]) == (not held)
        if held:
            mark = marks(figure, f"answer {k}")[f"answer {k}"]
            assert (mark.get_x(), mark.get_width()) == (tokens[0], len(tokens))
    assert f"{sum(holds)} of them hold" in title(figure) and "chalcogen" in title(figure)


def test_an_answer_cut_by_a_window_has_another_colour(tokenizer):
    long = PASSAGE[PASSAGE.index("a highly") : PASSAGE.index(" readily")]
    features = windows(tokenizer, answer=long, doc_stride=16)
    figure = qa.draw_windows(features, tokenizer)
    colours = {gid: mark.get_facecolor() for gid, mark in marks(figure, "answer ").items()}
    whole = {f"answer {k}" for k, row in enumerate(features) if row["start_positions"] > 0}
    assert whole and whole < set(colours)
    assert not {colours[gid] for gid in whole} & {colours[gid] for gid in set(colours) - whole}


def test_an_unanswerable_question_has_only_windows_labelled_cls(tokenizer):
    figure = qa.draw_windows(windows(tokenizer, answer=""), tokenizer)
    assert "none holds an answer" in title(figure)
    assert not marks(figure, "answer ")
    assert {text.get_text() for text in marks(figure, "label ").values()} == {"labelled: [CLS]"}


def test_windows_without_labels_and_an_empty_passage_can_be_drawn(tokenizer):
    unlabelled = prepare_features(Dataset.from_dict({k: [v] for k, v in rows().items()}), tokenizer, 48, 12, labels=False)
    assert not marks(qa.draw_windows(unlabelled, tokenizer), "label ")
    empty = windows(tokenizer, answer="", context="")
    assert "passage of 0" in title(qa.draw_windows(empty, tokenizer))


def test_windows_of_two_questions_are_refused(tokenizer):
    data = Dataset.from_list([rows(), rows() | {"id": "other"}])
    with pytest.raises(ValueError, match=r"of one question, not of 2.*select"):
        qa.draw_windows(prepare_features(data, tokenizer), tokenizer)


# --- the questions -------------------------------------------------------------------------------------------------------


def test_answer_positions_state_the_medians():
    context = "x" * 50 + " one two three " + "y" * 85  # 150 characters
    data = [rows("one", context=context), rows("two three", context=context), rows("y", at=120, context=context), rows("", context=context)]
    figure = qa.plot_answer_positions(data)
    middle = np.median([51, 55, 120]) / 150
    assert f"first {100 * middle:.0f} % of their passage" in title(figure)
    assert "67 % have one word" in title(figure)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert len(heights) == 10 and sum(heights) == pytest.approx(100)
    assert figure.axes[0].lines[0].get_xdata()[0] == pytest.approx(100 * middle)
    with pytest.raises(ValueError, match="no positions"):
        qa.plot_answer_positions([rows("")])


def test_the_question_mix_adds_up():
    part = [rows(), rows(""), rows(question="who is it?"), rows(question="WHO was it?")]
    figure = qa.plot_question_mix({"train": part * 3, "test": part[:2]}, first_words=1)
    left, right = figure.axes
    assert [bar.get_width() for bar in left.patches] == [9, 3, 1, 1]
    assert sum(bar.get_width() for bar in right.patches) == pytest.approx(100)
    assert [label.get_text() for label in right.get_yticklabels()] == ["what …", "others"]
    assert "29 % of the 14 questions have no answer" in title(figure) and "57 % begin with “what”" in title(figure)
    assert title(qa.plot_question_mix({"test": part[2:]})).startswith("All 2 questions have an answer")


# --- scores --------------------------------------------------------------------------------------------------------------


def test_start_scores_point_up_end_scores_down_and_the_title_names_the_best_span():
    tokens = ["[CLS]", "atomic", "ox", "##ygen", "is"]
    start, end = [0.1, 0.1, 0.7, 0.05, 0.05], [0.1, 0.2, 0.1, 0.6, 0.0]
    figure = qa.plot_token_scores(tokens, start, end)
    upper, lower = figure.axes
    assert [bar.get_height() for bar in upper.patches[:5]] == pytest.approx([100 * p for p in start])
    assert [bar.get_height() for bar in lower.patches[:5]] == pytest.approx([100 * p for p in end])
    assert not upper.yaxis_inverted() and lower.yaxis_inverted()
    assert title(figure) == "The likeliest answer is “oxygen”: 70 % of the start and 60 % of the end fall on it"


def test_the_best_span_never_ends_before_it_starts():
    figure = qa.plot_token_scores(list("abc"), [0.0, 0.1, 0.9], [0.8, 0.15, 0.05])
    assert "“c”" in title(figure)


def test_a_long_passage_is_shown_around_the_answer_with_its_first_token():
    T = 300
    tokens = ["[CLS]", *[f"t{i}" for i in range(1, T)]]
    share = np.full(T, 1 / T)
    for answer in [(0, 0), (1, 2), (150, 152), (T - 1, T - 1), (20, 110)]:
        figure = qa.plot_token_scores(tokens, share, share, answer)
        labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
        assert labels[0] == "[CLS]" and len(labels) <= 46
        assert tokens[answer[0]] in labels and tokens[answer[1]] in labels
        shown = [tokens.index(label) if label != "⋯" else None for label in labels]
        for left, right in itertools.pairwise(shown):  # every gap is shown as one, nothing else is
            assert left is None or right is None or right == left + 1
        gaps = [(left, right) for left, gap, right in zip(shown, shown[1:], shown[2:], strict=False) if gap is None]
        assert all(right > left + 1 for left, right in gaps)
        assert (shown[-1] is None) == (T - 1 not in shown)


def test_no_answer_is_read_off_cls():
    figure = qa.plot_token_scores(["[CLS]", "a"], [0.9, 0.1], [0.8, 0.2], (0, 0))
    assert title(figure) == "No answer: [CLS] takes 90 % of the start and 80 % of the end"


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_matrix_marks_the_best_allowed_span(T, longest, seed):
    start, end = np.random.default_rng(seed).normal(size=(2, T))
    figure = qa.plot_span_matrix(start, end, [f"t{i}" for i in range(T)], max_answer_tokens=longest)
    total, i, j = max((start[i] + end[j], i, j) for i in range(T) for j in range(i, min(T, i + longest)))
    ax = figure.axes[0]
    mark = marks(figure, "best")["best"]
    column, row = round(mark.get_x() + 0.5), round(mark.get_y() + 0.5)
    assert ax.get_yticklabels()[row].get_text() == f"t{i}" and ax.get_xticklabels()[column].get_text() == f"t{j}"
    cells = ax.images[0].get_array()
    assert cells[row, column] == cells.max() == pytest.approx(total)
    assert np.ma.getmaskarray(cells)[np.tril_indices(len(cells), -1)].all()
    assert f"{total:.1f}".replace("-", "−") in title(figure)


def test_the_threshold_splits_the_questions_as_it_says():
    scores = [0.1, 0.4, 0.6, 0.9, 0.2, 0.7]
    has_answer = [True, True, True, True, False, False]
    f1 = [1, 1, 0.5, 1, 0, 0]
    figure = qa.plot_threshold(scores, has_answer, f1, chosen=0.4)
    assert title(figure) == "At 0.40 the reader answers 75 % of the answerable questions and refuses 50 % of the unanswerable ones"
    grid = figure.axes[0].lines[0].get_xdata()
    lines = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_xdata()) == len(grid)]
    at = int(np.flatnonzero(np.isclose(grid, 0.4))[0])
    assert [line[at] for line in lines] == pytest.approx([75, 50, 100 * (0 + 1 + 0.5 + 1 + 1 + 0) / 6])
    assert [line[0] for line in lines] == pytest.approx([100, 0, 100 * 3.5 / 6])
    assert "58.3" in figure.alt
    best = qa.plot_threshold(scores, has_answer, f1)
    assert float(re.search(r"At (\d\.\d+)", title(best))[1]) == pytest.approx(grid[np.argmax(lines[2])], abs=0.006)
    with pytest.raises(ValueError, match="both kinds"):
        qa.plot_threshold([0.5], [True])
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        qa.plot_threshold([0.5, 7], [True, False])


# --- pictures and answers ------------------------------------------------------------------------------------------------


def test_each_head_reads_the_vectors_it_should():
    figure = qa.draw_four_heads()
    reads = {name: {int(gid.split()[1]) for gid in marks(figure, f"{name} ") if gid.endswith(" read")} for name, *_ in qa.HEADS}
    tokens = {name: tokens for name, tokens, *_ in qa.HEADS}
    assert reads["class"] == reads["pair"] == {0}
    assert reads["span"] == set(range(len(tokens["span"])))
    assert reads["tag"] == {i for i, token in enumerate(tokens["tag"]) if not token.startswith("[")}
    for side in ("start", "end"):
        assert len(marks(figure, f"span {side} ")) == len(tokens["span"])


def test_the_way_to_an_answer_names_it_and_adds_its_logits():
    tokens = ["[CLS]", "which", "[SEP]", "num", "##ber", "8", "[SEP]"]
    figure = qa.draw_question_to_answer("which", "number 8", tokens, [0, 0, 0, 5.5, 0, 1, 0], [0, 0, 0, 0, 0, -2, 0], (3, 5))
    assert "7 tokens, 14 logits" in title(figure) and "“number 8”" in title(figure) and "5.5 − 2.0 = 3.5" in title(figure)
    with pytest.raises(ValueError, match="1 to 30 tokens"):
        qa.draw_question_to_answer("", "", ["a"] * 31, [0] * 31, [0] * 31, (0, 0))


def answer(text, start, score=0.9):
    return SimpleNamespace(text=text, start=start, end=start + len(text), score=score, null_score=1 - score)


def test_the_passage_is_shown_whole_escaped_with_the_answer_marked():
    context = '<script>alert("x")</script> & 8 <b>bold</b>\nnext'
    page = qa.show_answer(answer("8 <b>", context.index("8")), context, question="What <i>is</i> it?").data
    assert "<script>" not in page and "<b>" not in page and "<i>" not in page
    assert re.search(r"<mark[^>]*>8 &lt;b&gt;</mark>", page)
    (body,) = re.findall(r"pre-wrap[^>]*>(.*?)</div>", page, flags=re.S)
    assert html.unescape(re.sub(r"</?mark[^>]*>", "", body)) == context
    assert "What &lt;i&gt;is&lt;/i&gt; it?" in page
    assert "width: 90%" in page and "0.90 sure" in page
    assert "color: inherit" in page and "background: white" not in page


def test_a_refusal_marks_nothing_and_says_so():
    shown = qa.show_answer(answer("", 0, score=0.12), "Some passage.")
    assert "<mark" not in shown.data and "no answer in this passage (0.12 sure" in shown.data
    assert "no answer" in repr(shown)


def test_an_answer_of_another_passage_is_refused():
    with pytest.raises(ValueError, match="does not stand at"):
        qa.show_answer(answer("8", 0), "no such thing")
