"""The figures of attention say what the weights say; masks, heads and blocks are drawn as they are; the explorer works in a browser."""

import base64
import json
import re

import matplotlib
import matplotlib.style
import numpy as np
import pytest
from matplotlib.colors import to_hex

from src import plots
from src.plots import attention
from src.runtime import COURSE

TOKENS = ["[CLS]", "the", "left", "side", "of", "the", "desk", "[SEP]"]
T = len(TOKENS)


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


def marks(figure, prefix):
    """gid -> artist of everything that was given an id starting with `prefix`."""
    found = figure.findobj(lambda artist: (artist.get_gid() or "").startswith(prefix) and artist.get_gid() is not None)
    return {artist.get_gid(): artist for artist in found}


def maps(*shape, seed=0):
    """Random attention weights whose rows sum to one."""
    weights = np.exp(2 * np.random.default_rng(seed).normal(size=shape))
    return weights / weights.sum(axis=-1, keepdims=True)


def labels(ax):
    """The tokens written on the two axes, rows and columns."""
    return [label.get_text() for label in ax.get_yticklabels()], [label.get_text() for label in ax.get_xticklabels()]


def pictures(figure):
    """The heatmaps of a figure in the order they were drawn, colour bars left out."""
    return [image for ax in figure.axes for image in ax.get_images()]


def some_figures():
    rng = np.random.default_rng(1)
    yield attention.plot_attention(maps(T, T), TOKENS)
    yield attention.plot_alignment(maps(10, 16), "23 November 2026", "2026-11-23")
    yield attention.draw_look_back(maps(16), "23 November 2026", "2026-", "1")
    yield attention.plot_head_maps(maps(6, T, T), TOKENS)
    yield attention.draw_masks({"padding": [[1] * 6 + [0] * 2], "causal": np.tri(8)}, TOKENS)
    yield attention.plot_outputs(
        {"x": (TOKENS, rng.normal(size=(T, 4))), "y": (TOKENS, rng.normal(size=(T, 4)))}, "Two small matrices of numbers", True
    )
    yield attention.plot_entropy([4, 16, 64], {"not divided": rng.random((3, 9)), "divided": 2 + rng.random((3, 9))}, 16)
    yield attention.plot_positions({"one": rng.normal(size=(20, 16)), "other": rng.normal(size=(30, 24))})
    yield attention.draw_blocks()
    yield attention.draw_blocks(("decoder alone",), 64, norm_first=True)
    yield attention.plot_parameter_counts({"small": {"embeddings": 30, "attention": 70}, "large": {"embeddings": 500, "norm": 20}})
    yield attention.plot_time_against_length({"RNN": {16: 0.01, 64: 0.04}, "transformer": {16: 0.004, 64: 0.02}})
    yield attention.plot_layers({"the two “left”": [0.9, 0.6, 0.7], "two of one kind": [0.9, 0.9, 0.8]})
    yield attention.plot_heads(rng.random((3, 4)), "One head of twelve knows more than the others", "right, %", 0.5, (1, 2))
    yield attention.plot_gradients({"W_q": (0.01, 0.01), "W_v": (0.5, 0.500001)})
    yield attention.plot_two_rows(maps(T), maps(T, seed=2), TOKENS, ("before", "after"), "Two rows of weights, one and the same output")


def test_every_figure_has_a_finding_a_description_and_is_small():
    for figure in some_figures():
        assert len(plots.title_of(figure).split()) >= 5 and len(figure.alt.split()) >= 20
        assert len(figure.to_html()) < 63_000


def test_every_heatmap_has_the_one_colour_map():
    found = [image.get_cmap()(np.linspace(0, 1, 9)) for figure in some_figures() for image in pictures(figure)]
    assert len(found) > 15 and all((colours == found[0]).all() for colours in found)


# --- maps ----------------------------------------------------------------------------------------------------------------


def test_a_map_shows_the_weights_with_who_looks_in_rows_and_names_the_strongest_look_between_words():
    weights = np.full((T, T), 0.05)
    weights[2, 3], weights[0, 5], weights[4, 4], weights[5, 7] = 0.6, 0.9, 0.8, 0.95  # from a word, from [CLS], to itself, to [SEP]
    figure = attention.plot_attention(weights, TOKENS)
    assert (pictures(figure)[0].get_array() == weights).all()
    assert labels(figure.axes[0]) == (TOKENS, TOKENS)
    assert (figure.axes[0].get_ylabel(), figure.axes[0].get_xlabel()) == ("query: who looks", "key: who is looked at")
    assert plots.title_of(figure) == "“left” looks at “side” with 60 % of its attention"


def test_a_small_map_has_its_numbers_written_in_and_other_rows_than_columns():
    figure = attention.plot_attention([[0.88, 0.12, 0.0]], ["who shines?"], ["star", "sea", "oak"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.88", "0.12", "0.00"]
    assert labels(figure.axes[0]) == (["who shines?"], ["star", "sea", "oak"])
    assert "“who shines?” looks at “star” with 88 %" in plots.title_of(figure)


def test_what_a_mask_forbids_is_grey_and_has_no_number():
    figure = attention.plot_attention([[1.0, 0.0], [0.3, 0.7]], ["a", "b"], mask=np.tri(2))
    assert np.ma.getmaskarray(pictures(figure)[0].get_array()).tolist() == [[False, True], [False, False]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.00", "0.30", "0.70"]
    assert to_hex(pictures(figure)[0].get_cmap().get_bad()) == plots.FAINT


def test_maps_that_do_not_fit_their_tokens_are_refused():
    for call in (
        lambda: attention.plot_attention(maps(2, 3), ["a", "b"]),
        lambda: attention.plot_alignment(maps(3, 3), "abc", "ab"),
        lambda: attention.draw_look_back(maps(4), "abc", "a", "b"),
        lambda: attention.plot_head_maps(maps(2, 3, 4), ["a", "b", "c"]),
        lambda: attention.explore_attention(maps(2, 3, 3), ["a", "b", "c"]),
        lambda: attention.explore_attention(np.zeros((1, 1, 0, 0)), []),
    ):
        with pytest.raises(ValueError, match="need weights of"):
            call()


def test_the_alignment_names_the_word_that_each_part_of_the_date_looks_at():
    written, iso = "the 23rd of November, 2026", "2026-11-23"
    weights = np.zeros((10, len(written)))
    for rows, word in ((range(4), "2026"), ((5, 6), "November"), ((8, 9), "23rd"), ((4, 7), "the")):
        for row in rows:
            weights[row, written.index(word) + row % 2] = 1
    figure = attention.plot_alignment(weights, written, iso)
    assert plots.title_of(figure) == "Year from “2026”, month from “November”, day from “23rd”"
    assert labels(figure.axes[0]) == (list(iso), list("the␣23rd␣of␣November,␣2026"))
    assert attention.aligned_words(weights, written, "2026-11-2?") == []
    twice = np.concatenate([weights, weights[:1], weights])  # a span: the same date, a slash, the same date
    assert attention.aligned_words(twice, written, f"{iso}/{iso}") == 2 * [{"year": "2026", "month": "November", "day": "23rd"}]


def test_one_look_back_colours_the_states_by_their_weights_and_names_the_word_of_the_strongest():
    weights = np.array([0.1, 0.0, 0.0, 0.7, 0.2])
    figure = attention.draw_look_back(weights, "5 May", "2026-0", "5")
    colours = [marks(figure, "state")[f"state {j}"].get_facecolor() for j in range(5)]
    assert colours == [tuple(matplotlib.colormaps["viridis"](weight)) for weight in weights]
    assert plots.title_of(figure) == "To write “5” it looks most at “a” of “May”: 70 %"


def test_every_head_has_its_own_map_and_both_axes_their_tokens():
    weights = maps(6, T, T)
    weights[:, 3] = np.eye(T)[5]  # all heads agree on one token
    figure = attention.plot_head_maps(weights, TOKENS, across=4)
    assert all((image.get_array() == weights[h]).all() for h, image in enumerate(pictures(figure)[:6]))
    assert [ax.get_title(loc="left") for ax in figure.axes[:6]] == [f"head {h}" for h in range(1, 7)]
    assert labels(figure.axes[0])[0] == TOKENS and labels(figure.axes[4]) == (TOKENS, TOKENS)
    assert labels(figure.axes[2])[1] == TOKENS, "the last of its column, though not in the last row"
    same = sum(len(set(weights[:, t].argmax(axis=-1))) == 1 for t in range(T))
    assert f"for {same} of 8 tokens" in plots.title_of(figure) and same >= 1


def test_masks_are_drawn_as_they_are_also_one_row_for_all():
    tokens = ["a", "b", "c"]
    figure = attention.draw_masks({"padding": np.array([[True, True, False]]), "causal": np.tri(3, dtype=bool)}, tokens)
    hidden = [np.ma.getmaskarray(image.get_array()).tolist() for image in pictures(figure)]
    assert hidden == [[[False, False, True]] * 3, [[False, True, True], [False, False, True], [False] * 3]]
    assert plots.title_of(figure) == "Padding: 6 of 9 looks allowed; causal: 6 of 9 looks allowed"


# --- numbers -------------------------------------------------------------------------------------------------------------


def test_entropy_is_drawn_as_the_mean_of_its_samples():
    figure = attention.plot_entropy([4, 64], {"not divided": [[1.0, 3.0], [0.0, 1.0]], "divided": [[3.0, 3.0], [3.0, 3.2]]}, S=16)
    lines = marks(figure, "")
    assert lines["not divided"].get_ydata().tolist() == [2.0, 0.5]
    assert plots.title_of(figure) == "From width 4 to 64 the entropy goes from 2.0 to 0.5 bits not divided, from 3.0 to 3.1 bits divided"


def test_neighbouring_positions_are_found_most_alike_where_they_are():
    angles = np.arange(30)[:, None] / 1000 ** (np.arange(32) / 32)
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    figure = attention.plot_positions({"waves": waves}, shown=40)
    assert "100 % (waves)" in plots.title_of(figure)
    assert (pictures(figure)[0].get_array() == waves[:, :40]).all()
    assert (pictures(figure)[1].get_array() == attention.position_cosines(waves)).all(), "by all numbers, not only those drawn"
    cosines = attention.position_cosines(waves)
    centred = waves - waves.mean(axis=0)
    assert cosines[3, 7] == pytest.approx(centred[3] @ centred[7] / np.linalg.norm(centred[3]) / np.linalg.norm(centred[7]))


def test_blocks_have_the_sublayers_they_are_known_for_and_norms_where_they_are_asked_for():
    figure = attention.draw_blocks(("encoder", "decoder", "decoder alone"))
    parts = {gid.replace("\n", " ") for gid in marks(figure, "") if "norm" not in gid}
    assert {"encoder self-attention", "decoder attention to the encoder", "decoder alone masked self-attention"} <= parts
    assert "decoder alone attention to the encoder" not in parts and "encoder masked self-attention" not in parts

    def height(figure, gid):
        return marks(figure, gid)[gid].get_y()

    after, before = (attention.draw_blocks(("encoder",), norm_first=first) for first in (False, True))
    assert height(after, "encoder norm 0") > height(after, "encoder self-attention")
    assert height(before, "encoder norm 0") < height(before, "encoder self-attention")
    with pytest.raises(ValueError, match="no block"):
        attention.draw_blocks(("reader",))


def test_parameter_bars_are_shares_of_each_model():
    figure = attention.plot_parameter_counts({"small": {"embeddings": 30, "attention": 70}, "large": {"embeddings": 600, "attention": 400}})
    widths = {gid: bar.get_width() for gid, bar in marks(figure, "").items()}
    assert widths == {"small embeddings": 30, "small attention": 70, "large embeddings": 60, "large attention": 40}
    assert plots.title_of(figure) == "small: 70 % in attention; large: 60 % in embeddings"


def test_times_are_drawn_in_milliseconds_and_the_title_says_how_they_grow():
    figure = attention.plot_time_against_length({"RNN": {16: 0.01, 64: 0.04}, "transformer": {16: 0.004, 64: 0.02}})
    assert figure.axes[0].get_yscale() == "log"
    assert marks(figure, "RNN")["RNN"].get_ydata() == pytest.approx([10, 40])
    assert plots.title_of(figure) == "4 times the length takes RNN 4 times as long, transformer 5 times as long"


def test_layers_gradients_and_heads_show_the_numbers_they_are_given():
    figure = attention.plot_layers({"the two": [0.9, 0.6, 0.7]})
    assert plots.title_of(figure) == "the two: cosine 0.90 before the first block, 0.60 after block 1"
    figure = attention.plot_gradients({"W_q": (0.0, 0.0), "W_v": (0.5, 0.4)})
    assert marks(figure, "W_v")["W_v finite differences"].get_width() == 0.4
    assert plots.title_of(figure).startswith("The loss reaches 1 of 2 matrices") and "2e-01" in plots.title_of(figure)
    figure = attention.plot_heads([[0.5, 1.0], [0.0, 0.25]], "What the heads of a small model find", "right", 0.5, (0, 1))
    assert [text.get_text() for text in figure.axes[0].texts] == ["50", "100", "0", "25"]
    assert marks(figure, "marked")["marked"].get_xy() == (0.5, -0.5)


# --- the explorer --------------------------------------------------------------------------------------------------------


def test_the_explorer_holds_the_weights_and_tokens_escaped_and_asks_no_host(read_page):
    tokens = ["[CLS]", '"><script>alert(1)</script>', "it's", "a&b", "été"]
    weights = maps(2, 3, 5, 5)
    shown = attention.explore_attention(weights, tokens, start=(1, 2, 3))
    page = read_page(shown.html)
    assert page.tags == ["div", "p", "script"] and not page.addresses
    assert not re.search(r"https?:|//cdn|import\(|fetch\(|XMLHttp|eval\(|innerHTML", shown.html)
    data = json.loads(page.data)
    assert data["tokens"] == tokens and data["start"] == [1, 2, 3] and data["marks"] == [0]
    stored = np.frombuffer(base64.b64decode(data["weights"]), dtype=np.uint8).reshape(2, 3, 5, 5) / 255
    assert stored == pytest.approx(weights, abs=1 / 500)
    assert "6 attention maps" in repr(shown)


def test_seventy_two_heads_on_a_long_sentence_stay_small():
    shown = attention.explore_attention(maps(6, 12, 30, 30), ["token"] * 30)
    assert len(shown.html) < 150_000


def test_the_explorer_works_in_a_browser_by_buttons_keys_and_clicks(in_browser):
    weights = maps(2, 3, T, T)
    shown = attention.explore_attention(weights, TOKENS, start=(0, 0, 2))
    acts = """
    var box = document.querySelector(".wta-attention"), p = box.querySelector("p");
    var steps = box.querySelectorAll("button"), canvases = box.querySelectorAll("canvas"), tick = box.querySelector("input");
    function say(what) { note(what, p.textContent); }
    function key(element, name) { element.onkeydown({key: name, preventDefault: function () {}, stopPropagation: function () {}}); }
    say("start");
    steps[1].click(); steps[3].click(); say("next");
    steps[4 + 5].click(); say("token");
    tick.checked = true; tick.onchange(); say("without marks");
    tick.checked = false; tick.onchange();
    key(canvases[0], "ArrowUp"); key(canvases[0], "ArrowLeft"); say("keys");
    key(canvases[1], "ArrowDown"); say("row");
    var r = canvases[0].getBoundingClientRect();
    canvases[0].onclick({clientX: r.left + r.width * 0.9, clientY: r.top + r.height * 0.9}); say("click");
    """
    said, page = in_browser(shown, acts)

    def expected(layer, head, row, without=()):
        shares = np.round(255 * weights[layer, head, row]) / 255
        shares[list(without)] = 0
        shares = shares / shares.sum() if without else shares
        most = np.argsort(-shares, kind="stable")[:3]
        names = ", ".join(f"“{TOKENS[j]}” ({np.floor(100 * shares[j] + 0.5):.0f} %)" for j in most)
        return f"“{TOKENS[row]}” looks, in block {layer + 1}, head {head + 1}, most at {names}."

    assert said["start"] == expected(0, 0, 2)
    assert said["next"] == expected(1, 1, 2)
    assert said["token"] == expected(1, 1, 5)
    assert said["without marks"] == expected(1, 1, 5, without=(0, T - 1))
    assert said["keys"] == expected(0, 0, 5)
    assert said["row"] == expected(0, 0, 6)
    assert said["click"] == expected(1, 2, 6)
    assert len(re.findall(r"<canvas", page)) == 4, "two explorers on one page"


# --- numbers to change ---------------------------------------------------------------------------------------------------

QUERY, KEY, VALUE = [[2, 1, 0, 1], [0, 1, 2, 1]], [[2, 2, 1, 0], [1, 0, 3, 0]], [[5, 0], [1, 4]]


def test_the_numbers_to_change_are_on_the_page_and_it_asks_no_host(read_page):
    shown = attention.explore_numbers(QUERY, KEY, VALUE, ["Thinking", "</div>"], divisor=2)
    page = read_page(shown.html)
    assert page.tags == ["div", "p", "script"] and not page.addresses
    assert not re.search(r"https?:|//cdn|import\(|fetch\(|XMLHttp|eval\(|innerHTML", shown.html)
    data = json.loads(page.data)
    assert (data["query"], data["key"], data["value"], data["divisor"]) == (QUERY, KEY, VALUE, 2)
    assert data["words"] == ["Thinking", "</div>"] and len(shown.html) < 15_000
    with pytest.raises(ValueError, match="one row each"):
        attention.explore_numbers(QUERY, KEY, VALUE, ["Thinking"], divisor=2)


def test_a_changed_number_changes_shares_and_mixture_in_a_browser(in_browser):
    shown = attention.explore_numbers(QUERY, KEY, VALUE, ["Thinking", "Machines"], divisor=2)
    acts = """
    var box = document.querySelector(".wta-numbers"), fields = box.querySelectorAll("input");
    function say(what) {
      var cells = [];
      box.querySelectorAll("td strong").forEach(function (cell) { cells.push(cell.textContent); });
      note(what, cells.join(" ") + " " + box.lastChild.firstChild.textContent);
    }
    function type(field, value) { field.value = value; field.oninput(); }
    say("start");
    type(fields[0], 0); say("query");
    box.querySelector("button").click(); say("again");
    type(fields[fields.length - 1], 1000); say("divisor");
    type(fields[fields.length - 1], 0.001); say("sharp");
    type(fields[0], ""); say("empty");
    """
    said, _ = in_browser(shown, acts)
    assert said["start"] == "0.88 0.12 0.27 0.73 Thinking becomes 0.88 × [5, 0] + 0.12 × [1, 4] = [4.52, 0.48]"
    assert said["query"].startswith("0.73 0.27 0.27 0.73")  # scores 2 and 0, divided by 2
    assert said["again"] == said["start"]
    assert said["divisor"].startswith("0.50 0.50 0.50 0.50")
    assert said["sharp"].startswith("1.00 0.00 0.00 1.00")
    assert said["empty"].startswith("1.00 0.00")
