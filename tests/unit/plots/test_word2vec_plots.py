"""The figures of word2vec say what the data say; the map to explore holds no foreign code."""

import re

import numpy as np
import pytest

from src.plots import word2vec

SENTENCE = ["oxygen", "is", "the", "most", "abundant", "element", "in", "the", "crust"]
WORDS = ["the", "two", "three", "sea", "1990s", "king", *(f"far{i}" for i in range(60))]
PLACES = np.vstack([  # "far" words far away, the later the farther
    [[0, 0], [9, 9], [9, 8.5], [0, 1], [0, 0.2], [5, 0]],
    [[100 + i, 100 - i] for i in range(60)],
])  # fmt: skip
MAPS = {f"seed {seed}": np.random.default_rng(seed).normal(size=(40, 2)) for seed in (1, 2)}
FORTY_WORDS = [f"w{i}" for i in range(40)]

FIGURES = {
    "draw_windows": (
        lambda: word2vec.draw_windows(SENTENCE, 2),
        "A window of 2 takes 9 steps: 9 rows of CBOW, 30 pairs of skip-gram",
        "oxygen: is the; is: oxygen the most; the: oxygen is most abundant; most: is the abundant",
    ),
    "draw_network": (
        lambda: word2vec.draw_network(12_394, 300, "oxygen"),
        "Two matrices and nothing between them: 7,436,400 numbers to learn",
    ),
    "draw_architectures": (
        word2vec.draw_architectures,
        "One window, two questions: CBOW makes one example of it, skip-gram four",
        "a, bright, emits, light are averaged, and the mean predicts star",
    ),
    "draw_negative_sampling": (
        lambda: word2vec.draw_negative_sampling("star", "light", ["sea", "two"], [1, -1, 0], 500),
        "One pair asks 3 yes-no questions and moves 3 output rows of 500",
        "light (occurred): 0.73; sea (drawn): 0.27; two (drawn): 0.50",
    ),
    "plot_keep_probability": (  # 0.9 x 0.25 + 0.1 = 0.325
        lambda: word2vec.plot_keep_probability(["the", "sea"], [90, 10], [0.25, 1], 0.1, ["sea"]),
        "“the” stays 25 times in 100; in all, 32 % of the text is left",
        "sea 100 %. Dashed line: threshold, 10 %",
    ),
    "plot_word_map": (
        lambda: word2vec.plot_word_map(WORDS, PLACES),
        "2 of the 3 numbers have a number as their nearest word on the map; 5 % would by chance",
        "A map of 66 words, 3 of them numbers, in green. Named: two, sea, 1990s, far0",
    ),
    "plot_word_map around a word": (
        lambda: word2vec.plot_word_map(WORDS, PLACES, around="the"),
        "Around “the”: 1990s, sea, king, three, two",
    ),
    "plot_word_maps": (
        lambda: word2vec.plot_word_maps(MAPS, FORTY_WORDS, {"numbers": ["w1", "w2"]}),
        "The same words, 2 maps: places and outlines change, while 19 % of each word's 8 nearest "
        "stay; 21 % would by chance",
    ),
}


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    return tmp_path


def clusters(groups=4, size=30, width=60):
    """Vectors in groups far apart, float[groups * size, width]."""
    rng = np.random.default_rng(0)
    middles = rng.normal(scale=4, size=(groups, 1, width))
    near = middles + rng.normal(scale=0.3, size=(groups, size, width))
    return near.reshape(-1, width).astype(np.float32)


# --- maps -----------------------------------------------------------------------------------------


def test_numbers_begin_with_a_digit_or_are_number_words():
    assert all(map(word2vec.is_number, ["8", "000", "1990s", "2nd", "seven", "million"]))
    assert not any(map(word2vec.is_number, ["km2", "co2", "seventh", "number", "often", ""]))


def test_groups_far_apart_stay_groups_on_the_map(cache):
    places = word2vec.tsne(clusters(), perplexity=10)
    assert places.shape == (120, 2)
    nearest = ((places[:, None] - places[None]) ** 2).sum(axis=2) + 1e9 * np.eye(120)
    assert (nearest.argmin(axis=1) // 30 == np.arange(120) // 30).mean() > 0.98


def test_places_are_kept_for_the_same_vectors_and_settings_and_are_the_same_again(cache):
    vectors, settings = clusters(2, 20), {"perplexity": 5, "seed": 1}
    first = word2vec.tsne(vectors, **settings)
    (stored,) = (cache / "tsne").iterdir()
    np.save(stored, first + 1)
    assert (word2vec.tsne(vectors, **settings) == first + 1).all()
    stored.unlink()
    assert (word2vec.tsne(vectors, **settings) == first).all()
    for changed in ({"seed": 2}, {"perplexity": 6}):
        assert not np.allclose(word2vec.tsne(vectors, **settings | changed), first)
    word2vec.tsne(vectors + 1, **settings)
    assert len(list((cache / "tsne").iterdir())) == 4


def test_a_cache_that_cannot_be_written_stops_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file"))
    assert word2vec.tsne(clusters(2, 10), perplexity=3).shape == (20, 2)


def test_the_map_has_all_words_numbers_apart_and_names_all_over_it(texts):
    figure = word2vec.plot_word_map(WORDS, PLACES)
    others, numbers = figure.axes[0].collections
    assert numbers.get_offsets().tolist() == PLACES[[1, 2, 4]].tolist()
    assert len(others.get_offsets()) == 63
    assert len(set(texts(figure))) < 30, "the far ones are a crowd"


def test_a_close_look_names_the_nearest_words_and_nothing_else(texts):
    named = set(filter(None, texts(word2vec.plot_word_map(WORDS, PLACES, around="the"))))
    assert named == set(WORDS[:41])


def test_kept_neighbours_counts_who_stays_near():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 2))
    turned = points @ np.array([[0, 1], [-1, 0]]) * 7
    assert word2vec.kept_neighbours(points, turned) == 1
    by_chance = word2vec.kept_neighbours(points, rng.permutation(points))
    assert by_chance == pytest.approx(10 / 59, abs=0.06)


# --- the map to explore ---------------------------------------------------------------------------


def explorable(words):
    places = np.random.default_rng(0).normal(size=(len(words), 2))
    near = np.random.default_rng(1).integers(0, len(words), (len(words), 5))
    return word2vec.explore_word_map(words, places, near), places, near


def test_the_map_to_explore_holds_its_words_where_they_are(data_of):
    words = ["the", "seven", '"><script>alert(1)</script>', "it's", "a&b", "été", "</div>"]
    shown, places, near = explorable(words)
    data = data_of(shown)
    assert data["words"] == words and data["green"] == [1] and data["near"] == near.tolist()
    for drawn, axis in ((data["x"], places[:, 0]), (data["y"], -places[:, 1])):  # y points down
        assert np.corrcoef(drawn, axis)[0, 1] > 0.9999
    assert "7 words" in repr(shown)


def test_the_map_works_in_a_browser_by_buttons_search_keys_and_pointer(in_browser):
    words = ["the", "seven", "king", "queen", "sea", "<b>"]
    shown, _, near = explorable(words)
    acts = """
    var box = document.querySelector(".wta-map"), field = box.querySelector("input");
    var canvas = box.querySelector("canvas"), buttons = box.querySelectorAll("button");
    function say(what) { note(what, box.querySelector("p").textContent); }
    function look(word) { field.value = word; field.oninput(); }
    function nothing() {}
    look("King"); say("search");
    look("kingg"); say("unknown");
    buttons[2].click(); say("whole");
    canvas.focus();
    canvas.onkeydown({key: "n", preventDefault: nothing, stopPropagation: nothing}); say("key");
    buttons[0].click();
    look("queen"); look("");
    var r = canvas.getBoundingClientRect();
    var middle = {clientX: r.left + r.width / 2, clientY: r.top + r.height / 2, pointerId: 1};
    canvas.onpointermove(middle); say("point");
    note("drawn", buttons.length + " buttons, canvas " + canvas.width + "x" + canvas.height);
    note("left behind", [typeof begin, typeof add, typeof control].join(" "));
    """
    said, page = in_browser(shown, acts)

    def nearest(word):
        names = ", ".join(words[j] for j in near[words.index(word)])
        return f"Nearest by all their numbers: {names}."

    assert said["search"] == f"king (number 3 by frequency). {nearest('king')}"
    assert "“kingg” is not among these 6 words" in said["unknown"]
    assert said["whole"].startswith("Point at a word")
    assert said["key"].startswith("the (number 1 by frequency)")
    assert said["point"] == f"queen (number 4 by frequency). {nearest('queen')}"
    assert re.match(r"3 buttons, canvas \d{3,}x\d{3,}", said["drawn"])
    assert len(re.findall(r"<canvas", page)) == 2, "two maps on one page"
    assert said["left behind"] == "undefined undefined undefined"  # the page keeps its names
