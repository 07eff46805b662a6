"""The figures of attention say what the weights say; the explorers work in a browser."""

import base64
import re

import numpy as np
import pytest

from src.plots import attention

TOKENS = ["[CLS]", "the", "left", "side", "of", "the", "desk", "[SEP]"]
T = len(TOKENS)


def maps(*shape, seed=0):
    """Random attention weights whose rows sum to one."""
    weights = np.exp(2 * np.random.default_rng(seed).normal(size=shape))
    return weights / weights.sum(axis=-1, keepdims=True)


def looks():
    """Attention in which “left” looks at “side” most, if marks and itself do not count."""
    weights = np.full((T, T), 0.05)
    weights[2, 3], weights[0, 5], weights[4, 4], weights[5, 7] = 0.6, 0.9, 0.8, 0.95
    return weights


def waves(T=30, D=64):
    angles = np.arange(T)[:, None] / 1000 ** (np.arange(D // 2) / (D // 2))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


WRITTEN, ISO = "the 23rd of November, 2026", "2026-11-23"


def aligned(copies=1):
    """Weights that look at year, month and day where they are, for one date or a span of two."""
    weights = np.zeros((10, len(WRITTEN)))
    parts = ((range(4), "2026"), ((5, 6), "November"), ((8, 9), "23rd"), ((4, 7), "the"))
    for rows, word in parts:
        for row in rows:
            weights[row, WRITTEN.index(word) + row % 2] = 1
    return weights if copies == 1 else np.concatenate([weights, weights[:1], weights])


HEADS = maps(6, T, T)
HEADS[:, 3] = np.eye(T)[5]  # all heads agree on one token
PADDING, CAUSAL = np.array([[True, True, False]]), np.tri(3, dtype=bool)
SHARES = [[0.5, 1.0], [0.0, 0.25]]

FIGURES = {
    "plot_attention": (
        lambda: attention.plot_attention(looks(), TOKENS),
        "“left” looks at “side” with 60 % of its attention",
        "Heatmap of query by key: [CLS]: [CLS] 0.05",
        "left: [CLS] 0.05, the 0.05, left 0.05, side 0.60",
    ),
    "plot_attention of a question": (
        lambda: attention.plot_attention([[0.88, 0.12]], ["who shines?"], ["star", "$1 oak"]),
        "“who shines?” looks at “star” with 88 % of its attention",
        "who shines?: star 0.88, $1 oak 0.12",
    ),
    "plot_attention with a mask": (
        lambda: attention.plot_attention([[1.0, 0.0], [0.3, 0.7]], ["a", "b"], mask=np.tri(2)),
        "Forbidden looks get 0.00 in all, and every row still sums to 1.00",
        ": a: a 1.00; b: a 0.30, b 0.70",
    ),
    "plot_alignment": (
        lambda: attention.plot_alignment(aligned(), WRITTEN, ISO),
        f"It writes {ISO}: year from “2026”, month from “November”, day from “23rd”",
        "1: o 100 %; 1: N 100 %; -: h 100 %; 2: 2 100 %; 3: 3 100 %",
    ),
    "plot_alignment of a span": (
        lambda: attention.plot_alignment(aligned(2), WRITTEN, f"{ISO}/2026-11-24"),
        f"It writes {ISO}/2026-11-24: year from “2026”, month from “November”, day from “23rd”; "
        "then year from “2026”, month from “November”, day from “23rd”",
    ),
    "plot_alignment of no date": (
        lambda: attention.plot_alignment(aligned(), WRITTEN, "2026-11-2?"),
        "It writes 2026-11-2?: each character looks at a few",
    ),
    "plot_head_maps": (
        lambda: attention.plot_head_maps(HEADS, TOKENS),
        "From one token 6 heads look most at 4.2 different ones, on average",
    ),
    "draw_masks": (
        lambda: attention.draw_masks({"padding": PADDING, "causal": CAUSAL}, ["a", "b", "[PAD]"]),
        "Padding: nobody looks at [PAD]; causal: nobody looks at what comes later",
        "padding: 6 of 9 looks allowed",
    ),
    "draw_masks of both kinds, and of none": (
        lambda: attention.draw_masks(
            {"both": PADDING & CAUSAL, "none": np.ones((3, 3))}, ["a", "b", "[PAD]"]
        ),
        "Both: nobody looks at [PAD] or at what comes later; none: everybody looks at everybody",
    ),
    "plot_outputs": (
        lambda: attention.plot_outputs({"x": (TOKENS, waves(T, 4))}, "A small matrix"),
        "A small matrix",
        "Heatmaps of vectors, a row for each token, x: [CLS] the",
    ),
    "draw_projection": (
        lambda: attention.draw_projection(
            ["a", "b"], [[1, 2], [0, 1]], [[3, 0], [1, 2]], ("x", "W", "query")
        ),
        "The first number of a's query: 1·3 + 2·1 = 5",
        "x times W is query: [[5, 4], [1, 2]]",
    ),
    "draw_transformer": (
        lambda: attention.draw_transformer(
            {"encoder": ("5 May", "read"), "decoder": ("19", "7")}, 64, 1, norm_first=True
        ),
        "The decoder has one sublayer more: attention to the encoder",
        "decoder: masked self-attention, attention to the encoder, feed-forward",
    ),
    "draw_transformer of GPT": (
        lambda: attention.draw_transformer(
            {"encoder": ("a b", "read"), "decoder alone": ("a b", "c")}, 64, 2
        ),
        "Encoder and decoder alone have the same block; only the mask differs",
    ),
    "draw_clocks": (
        lambda: attention.draw_clocks([0, 9], [10_000, 100], 4),
        "At position 9 the slowest hand has turned by 5° with base 10,000, by 52° with base 100",
        "Clocks of 2 hands at the positions 0, 9",
    ),
    "plot_layers": (
        lambda: attention.plot_layers({"the two": [0.9, 0.6, 0.7], "others": [1.0, 0.9, 0.9]}),
        "After block 2 the cosine is 0.70 for the two and 0.90 for others",
        "others: 1 at 0, 0.9 at 1, 0.9 at 2",
    ),
    "plot_heads": (
        lambda: attention.plot_heads(SHARES, "What four heads find", "right", 0.5, (0, 1)),
        "What four heads find",
        "by block and head: right",
        "block 1: 1: 50, 2: 100; block 2: 1: 0, 2: 25",
    ),
    "plot_learned_looks": (
        lambda: attention.plot_learned_looks(
            [0, 20], [[0.5, 0.5], [0.1, 0.9]], ["first", "last"], {"W_q": [1, 0.1]}
        ),
        "From step 0 to 20 the look at “last” goes from 50 % to 90 %",
        "20: first 0.10, last 0.90",
        "W_q: 1 at 0, 0.1 at 20",
    ),
}


def pictures(figure):
    """The heatmaps of a figure in the order they were drawn."""
    return [image.get_array() for ax in figure.axes for image in ax.get_images()]


def test_maps_that_do_not_fit_their_tokens_are_refused():
    for call in (
        lambda: attention.plot_attention(maps(2, 3), ["a", "b"]),
        lambda: attention.plot_alignment(maps(3, 3), "abc", "ab"),
        lambda: attention.plot_head_maps(maps(2, 3, 4), ["a", "b", "c"]),
        lambda: attention.explore_attention(maps(2, 3, 3, 3), ["a", "b"]),
    ):
        with pytest.raises(ValueError, match="need weights of"):
            call()


def test_every_head_has_its_own_map_under_its_name():
    figure = attention.plot_head_maps(HEADS, TOKENS)
    assert all((drawn == HEADS[h]).all() for h, drawn in enumerate(pictures(figure)[:6]))
    titles = [ax.get_title(loc="left") for ax in figure.axes[:6]]
    assert titles == [f"head {h}" for h in range(1, 7)]


def test_masks_are_grey_where_they_forbid():
    padding, causal = pictures(attention.draw_masks({"padding": PADDING, "causal": CAUSAL}, "abc"))
    assert (padding.mask == ~np.broadcast_to(PADDING, (3, 3))).all(), "one row for all"
    assert (causal.mask == ~CAUSAL).all()


# --- maps to explore ------------------------------------------------------------------------------

WORDS = ["[CLS]", '"><script>alert(1)</script>', "it's", "a&b", "été"]
QUERY, KEY, VALUE = [[2, 1, 0, 1], [0, 1, 2, 1]], [[2, 2, 1, 0], [1, 0, 3, 0]], [[5, 0], [1, 4]]


def test_the_explorer_holds_the_weights_and_tokens(data_of):
    weights = maps(2, 3, 5, 5)
    shown = attention.explore_attention(weights, WORDS, start=(1, 2, 3))
    data = data_of(shown)
    assert "6 attention maps" in repr(shown)
    assert data["tokens"] == WORDS and data["start"] == [1, 2, 3] and data["marks"] == [0]
    stored = np.frombuffer(base64.b64decode(data["weights"]), dtype=np.uint8) / 255
    assert stored == pytest.approx(weights.ravel(), abs=1 / 500)
    assert len(attention.explore_attention(maps(6, 12, 30, 30), ["token"] * 30).html) < 150_000


def test_the_explorer_works_in_a_browser_by_buttons_keys_and_clicks(in_browser):
    weights = maps(2, 3, T, T)
    acts = """
    var box = document.querySelector(".wta-attention"), p = box.querySelector("p");
    var steps = box.querySelectorAll("button"), canvases = box.querySelectorAll("canvas");
    var tick = box.querySelector("input");
    function say(what) { note(what, p.textContent); }
    function key(element, name) {
      function nothing() {}
      element.onkeydown({key: name, preventDefault: nothing, stopPropagation: nothing});
    }
    say("start");
    steps[1].click(); steps[3].click(); say("next");
    steps[4 + 5].click(); say("token");
    tick.checked = true; tick.onchange(); say("without marks");
    tick.checked = false; tick.onchange();
    key(canvases[0], "ArrowUp"); key(canvases[0], "ArrowLeft"); say("keys");
    key(canvases[1], "ArrowDown"); say("row");
    var r = canvases[0].getBoundingClientRect();
    canvases[0].onclick({clientX: r.left + r.width * 0.9, clientY: r.top + r.height * 0.9});
    say("click");
    """
    said, page = in_browser(attention.explore_attention(weights, TOKENS, start=(0, 0, 2)), acts)

    def expected(layer, head, row, without=()):
        shares = np.round(255 * weights[layer, head, row]) / 255
        shares[list(without)] = 0
        shares = shares / shares.sum() if without else shares
        most = np.argsort(-shares, kind="stable")[:3]
        names = [f"“{TOKENS[j]}” ({np.floor(100 * shares[j] + 0.5):.0f} %)" for j in most]
        where = f"in block {layer + 1}, head {head + 1}, most at {', '.join(names)}."
        return f"“{TOKENS[row]}” looks, {where}"

    places = {"start": (0, 0, 2), "next": (1, 1, 2), "token": (1, 1, 5), "keys": (0, 0, 5)}
    places |= {"row": (0, 0, 6), "click": (1, 2, 6), "without marks": (1, 1, 5, (0, T - 1))}
    assert said == {what: expected(*place) for what, place in places.items()}
    assert len(re.findall(r"<canvas", page)) == 4, "two explorers on one page"


def test_the_numbers_to_change_are_on_the_page(data_of):
    data = data_of(attention.explore_numbers(QUERY, KEY, VALUE, ["Thinking", "</div>"], 2))
    assert [data[name] for name in ("query", "key", "value", "divisor")] == [QUERY, KEY, VALUE, 2]
    assert data["words"] == ["Thinking", "</div>"]


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
    mixed = "Thinking becomes 0.88 × [5, 0] + 0.12 × [1, 4] = [4.52, 0.48]"
    assert said["start"] == said["again"] == f"0.88 0.12 0.27 0.73 {mixed}"
    assert said["query"].startswith("0.73 0.27 0.27 0.73")  # scores 2 and 0, divided by 2
    assert said["divisor"].startswith("0.50 0.50 0.50 0.50")
    assert said["sharp"].startswith("1.00 0.00 0.00 1.00")
    assert said["empty"].startswith("1.00 0.00")
