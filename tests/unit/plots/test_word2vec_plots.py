"""The figures of word2vec say what the data say; maps are repeatable, kept, and as a page they hold no foreign code or address."""

import json
import re

import matplotlib.style
import numpy as np
import pytest

from src import plots
from src.plots import word2vec
from src.runtime import COURSE

SENTENCE = ["oxygen", "is", "the", "most", "abundant", "element", "in", "the", "crust"]


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    return tmp_path


def marks(figure, prefix):
    """gid -> artist of everything that was given an id starting with `prefix`."""
    found = figure.findobj(lambda artist: str(artist.get_gid() or "").startswith(prefix))
    return {artist.get_gid(): artist for artist in found}


def clusters(groups=4, size=30, width=60):
    """Vectors in groups far apart, float[groups * size, width]."""
    rng = np.random.default_rng(0)
    middles = rng.normal(scale=4, size=(groups, width))
    return (middles[:, None] + rng.normal(scale=0.3, size=(groups, size, width))).reshape(-1, width).astype(np.float32)


def some_figures():
    words, places = ["the", "two", "king", "1990s", "queen", "sea"] * 1, np.random.default_rng(0).normal(size=(6, 2))
    history = [{"step": i, "seconds": i / 2, "loss": 3.4 / (1 + i / 20)} for i in range(60)]
    yield word2vec.draw_windows(SENTENCE, 2)
    yield word2vec.draw_network(12_394, 300)
    yield word2vec.draw_architectures()
    yield word2vec.plot_losses({"skip-gram": history}, (np.log(30), "ln 30"), (1.0, "the floor"))
    yield word2vec.draw_negative_sampling("oxygen", "element", ["sea", "two"], [1, -1, 0.5], 12_394)
    yield word2vec.plot_keep_probability(["the", "of", "sea"], [90, 9, 1], [0.3, 1, 1], 0.1, ["the", "sea"])
    yield word2vec.plot_comparison({"speed": {"ours": 3, "gensim": 30}, "WordSim": {"ours": 0.5, "gensim": 0.4}})
    yield word2vec.plot_agreement(np.arange(100, 20, -1), np.linspace(5, 1, 80), 10, ("ours", "GloVe"))
    yield word2vec.plot_word_map(words, places, labels=4)
    yield word2vec.plot_word_map(words, places, around="king", nearest=3)
    maps = {"perplexity 5": np.random.default_rng(1).normal(size=(40, 2)), "perplexity 30": np.random.default_rng(2).normal(size=(40, 2))}
    yield word2vec.plot_word_maps(maps, [f"w{i}" for i in range(40)], {"numbers": ["w1", "w2"]})


def test_every_figure_has_a_finding_a_description_and_is_small():
    for figure in some_figures():
        assert len(plots.title_of(figure).split()) >= 5 and len(figure.alt.split()) >= 20
        assert len(figure.to_html()) < 63_000


# --- windows, networks, sampling -----------------------------------------------------------------------------------------


def test_the_windows_drawn_are_the_pairs_of_the_sentence():
    T, window = len(SENTENCE), 2
    figure = word2vec.draw_windows(SENTENCE, window, centres=range(T))
    drawn = {tuple(gid.split()[1::2]) for gid in marks(figure, "row") if gid.endswith("context")}
    assert drawn == {(str(i), str(j)) for i in range(T) for j in range(T) if 0 < abs(i - j) <= window}
    assert f"makes {len(drawn)} training pairs in {T} steps" in plots.title_of(figure)
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text().endswith("pairs")][:3] == ["2 pairs", "3 pairs", "4 pairs"]


def test_windows_that_cannot_be_drawn_are_refused():
    for words, window, centres in ((["one"], 2, None), (SENTENCE, 0, None), (SENTENCE, 2, [9]), (["w"] * 21, 2, None)):
        with pytest.raises(ValueError, match="needs 2 to 20 words"):
            word2vec.draw_windows(words, window, centres)


def test_both_architectures_have_the_same_words_with_question_and_answer_exchanged():
    figure = word2vec.draw_architectures(["a", "b", "c", "d", "e"])
    boxes = {gid for gid in marks(figure, "CBOW") | marks(figure, "skip-gram")}
    assert boxes == {f"CBOW in {w}" for w in "abde"} | {"CBOW out c", "skip-gram in c"} | {f"skip-gram out {w}" for w in "abde"}


def test_a_pair_is_drawn_with_the_sigmoid_of_its_scores():
    figure = word2vec.draw_negative_sampling("oxygen", "element", ["sea", "two"], [1.0, -1.0, 0.0], 500)
    bars = marks(figure, "chance")
    assert [bars[f"chance {i}"].get_width() for i in range(3)] == pytest.approx([0.731059, 0.268941, 0.5], abs=1e-5)
    assert plots.title_of(figure) == "One pair asks 3 yes-no questions and moves 3 output rows of 500"
    with pytest.raises(ValueError, match="one score"):
        word2vec.draw_negative_sampling("oxygen", "element", ["sea"], [1.0], 500)


def test_the_text_that_is_left_is_the_sum_of_what_stays_of_each_word():
    figure = word2vec.plot_keep_probability(["the", "sea"], [90, 10], [0.25, 1.0], 0.1, ["sea"])
    assert plots.title_of(figure) == "“the” stays one time in 4; in all, 32 % of the text is left"  # 0.9 x 0.25 + 0.1


# --- losses and comparisons ------------------------------------------------------------------------------------------------


def test_losses_are_drawn_as_logged_and_the_title_says_whether_they_start_where_they_must():
    history = [{"step": 0, "loss": 3.4}, {"step": 5, "loss": 2.0}, {"step": 7, "loss": None}, {"step": 9, "loss": 1.5}]
    figure = word2vec.plot_losses({"skip-gram": history}, (np.log(30), "ln 30"))
    line = marks(figure, "skip-gram")["skip-gram"]
    assert line.get_xdata().tolist() == [0, 5, 9] and line.get_ydata().tolist() == [3.4, 2.0, 1.5]
    assert plots.title_of(figure) == "The loss starts at 3.40, as ln 30 says, and falls to 1.50"
    late = word2vec.plot_losses({"skip-gram": history[1:]}, (np.log(30), "ln 30"))
    assert plots.title_of(late) == "The loss goes from 2.00 to 1.50; untrained it would be 3.40"
    worse = word2vec.plot_losses({"skip-gram": [{"step": 0, "loss": 3.4}, {"step": 1, "loss": 4.0}]}, (np.log(30), "ln 30"))
    assert plots.title_of(worse).endswith("and ends at 4.00")
    for runs, against in (({}, "step"), ({"a": [{"step": 1}]}, "step"), ({"a": history}, "hour")):
        with pytest.raises(ValueError, match="needs a run"):
            word2vec.plot_losses(runs, (1.0, "x"), against=against)


def test_a_comparison_names_who_is_ahead_in_what_also_where_least_is_best():
    numbers = {"ours": 3.0, "gensim": 30.0}
    table = {"speed": numbers, "seconds": numbers, "score": {"ours": float("nan"), "gensim": 0.4}}
    figure = word2vec.plot_comparison(table, best={"seconds": "least"})
    assert plots.title_of(figure) == "gensim is ahead in speed and score; ours is ahead in seconds"
    assert marks(figure, "speed")["speed gensim"].get_width() == 30 and "score ours" not in marks(figure, "score")
    with pytest.raises(ValueError, match="same ways"):
        word2vec.plot_comparison({"speed": {"ours": 1}, "score": {"gensim": 1}})


# --- maps ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["8", "000", "1945", "1990s", "19th", "2nd", "seven", "million"])
def test_numbers_are_recognised(word):
    assert word2vec.is_number(word)


@pytest.mark.parametrize("word", ["km2", "co2", "seventh", "number", "often", ""])
def test_what_is_no_number_is_not(word):
    assert not word2vec.is_number(word)


def test_groups_far_apart_stay_groups_on_the_map_and_the_same_call_gives_the_same_places(cache):
    vectors = clusters()
    places = word2vec.tsne(vectors, perplexity=10)
    assert places.shape == (120, 2)
    nearest = ((places[:, None] - places[None]) ** 2).sum(axis=2) + 1e9 * np.eye(120)
    assert (nearest.argmin(axis=1) // 30 == np.arange(120) // 30).mean() > 0.98
    (stored,) = (cache / "tsne").iterdir()
    stored.unlink()
    assert (word2vec.tsne(vectors, perplexity=10) == places).all()


def test_places_come_from_the_cache_for_the_same_vectors_and_settings_only(cache, monkeypatch):
    vectors = clusters(2, 20)
    first = word2vec.tsne(vectors, perplexity=5, seed=1)
    assert not np.allclose(first, word2vec.tsne(vectors, perplexity=5, seed=2))
    monkeypatch.setattr("sklearn.manifold.TSNE", None)
    assert (word2vec.tsne(vectors, perplexity=5, seed=1) == first).all()
    for changed in ({"seed": 3}, {"perplexity": 6}):
        with pytest.raises(TypeError):
            word2vec.tsne(vectors, **({"perplexity": 5, "seed": 1} | changed))
    with pytest.raises(TypeError):
        word2vec.tsne(vectors + 1, perplexity=5, seed=1)


def test_a_cache_that_cannot_be_written_stops_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file"))
    assert word2vec.tsne(clusters(2, 10), perplexity=3).shape == (20, 2)


def test_the_map_counts_the_numbers_that_have_a_number_beside_them():
    words = ["the", "two", "three", "sea", "1990s", "king"]
    places = np.array([[0, 0], [9, 9], [9, 8.5], [0, 1], [0, 0.2], [5, 0]])
    figure = word2vec.plot_word_map(words, places, labels=["the", "two"])
    assert plots.title_of(figure).startswith("2 of the 3 numbers have another number as their nearest word; 50 % would by chance")
    assert {text.get_text() for text in figure.axes[0].texts if text.get_text()} == {"the", "two"}
    assert len(marks(figure, "numbers")["numbers"].get_offsets()) == 3 and len(marks(figure, "words")["words"].get_offsets()) == 3


def test_a_close_look_names_the_nearest_words_and_nothing_else():
    rng = np.random.default_rng(0)
    words, places = [f"w{i}" for i in range(50)], rng.normal(size=(50, 2))
    figure = word2vec.plot_word_map(words, places, around="w7", nearest=5)
    order = np.linalg.norm(places - places[7], axis=1).argsort()
    assert {text.get_text() for text in figure.axes[0].texts if text.get_text()} == {words[i] for i in order[:6]}
    assert plots.title_of(figure) == "Around “w7”: " + ", ".join(words[i] for i in order[1:6])


def test_drawing_a_map_leaves_the_readers_random_numbers_alone():
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    word2vec.plot_word_map(["a", "b", "c"], np.eye(3)[:, :2], labels=3)
    assert np.random.random() == expected


def test_kept_neighbours_counts_who_stays_near():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 2))
    turned = points @ np.array([[0, 1], [-1, 0]]) * 7
    assert word2vec.kept_neighbours(points, turned) == 1
    assert word2vec.kept_neighbours(points, rng.permutation(points)) == pytest.approx(10 / 59, abs=0.06)


# --- the map to explore --------------------------------------------------------------------------------------------------


def explorable(words):
    places = np.random.default_rng(0).normal(size=(len(words), 2))
    near = np.random.default_rng(1).integers(0, len(words), (len(words), 5))
    return word2vec.explore_word_map(words, places, near), places, near


def test_the_map_to_explore_holds_its_words_escaped_and_asks_no_host(read_page):
    words = ["the", "seven", '"><script>alert(1)</script>', "it's", "a&b", "été", "</div>"]
    shown, places, near = explorable(words)
    page = read_page(shown.data)
    assert page.tags == ["div", "p", "script"] and not page.addresses
    assert not re.search(r"https?:|//cdn|import\(|fetch\(|XMLHttp|eval\(|innerHTML", shown.data)
    data = json.loads(page.data)
    assert data["words"] == words and data["green"] == [1] and data["near"] == near.tolist()
    drawn = np.array([data["x"], data["y"]]).T.astype(float)
    drawn[:, 1] *= -1  # a page's y axis points down
    assert np.corrcoef(drawn.ravel() - drawn.mean(), (places - places.mean()).ravel())[0, 1] > 0  # not mirrored
    for axis in (0, 1):
        assert np.corrcoef(drawn[:, axis], places[:, axis])[0, 1] > 0.9999
    assert "7 words" in repr(shown)


def test_two_thousand_words_stay_far_below_the_size_a_notebook_can_bear():
    shown, _, _ = explorable([f"word{i}" for i in range(2000)])
    assert len(shown.data) < 300_000 / 2


def test_a_map_without_a_place_for_every_word_is_refused():
    with pytest.raises(ValueError, match="3 words need as many places"):
        word2vec.explore_word_map(["a", "b", "c"], np.zeros((2, 2)), np.zeros((3, 5), int))
    with pytest.raises(ValueError, match="3 words need places"):
        word2vec.plot_word_map(["a", "b", "c"], np.zeros((2, 2)))


def test_the_map_works_in_a_browser_by_buttons_search_keys_and_pointer(in_browser):
    words = ["the", "seven", "king", "queen", "sea", "<b>"]
    shown, _, near = explorable(words)
    acts = """
    var box = document.querySelector(".wta-map"), canvas = box.querySelector("canvas"), p = box.querySelector("p");
    function say(what) { note(what, p.textContent); }
    var field = box.querySelector("input");
    field.value = "King"; field.oninput(); say("search");
    field.value = "kingg"; field.oninput(); say("unknown");
    box.querySelectorAll("button")[2].click(); say("whole");
    canvas.focus();
    canvas.onkeydown({key: "n", preventDefault: function () {}, stopPropagation: function () {}}); say("key");
    box.querySelectorAll("button")[0].click();
    var r = canvas.getBoundingClientRect();
    field.value = "queen"; field.oninput();
    field.value = ""; field.oninput();
    canvas.onpointermove({pointerId: 1, clientX: r.left + r.width / 2, clientY: r.top + r.height / 2}); say("point");
    say("buttons " + box.querySelectorAll("button").length + " canvas " + canvas.width + "x" + canvas.height);
    note("left behind", [typeof begin, typeof add, typeof control].join(" "));
    """
    said, page = in_browser(shown, acts)

    def nearest(word):
        return "Nearest by all their numbers: " + ", ".join(words[j] for j in near[words.index(word)]) + "."

    assert said["search"] == f"king (number 3 by frequency). {nearest('king')}"
    assert "“kingg” is not among these 6 words" in said["unknown"]
    assert said["whole"].startswith("Point at a word")
    assert said["key"].startswith("the (number 1 by frequency)")
    assert said["point"] == f"queen (number 4 by frequency). {nearest('queen')}"
    assert any(re.match(r"buttons 3 canvas \d{3,}x\d{3,}", what) for what in said)
    assert len(re.findall(r"<canvas", page)) == 2, "two maps on one page"
    assert said["left behind"] == "undefined undefined undefined"  # the page's own scripts keep their names
