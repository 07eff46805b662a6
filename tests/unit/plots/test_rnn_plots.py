"""The figures of recurrent networks say what the data say, are small, and describe themselves."""

import matplotlib.style
import numpy as np
import pytest

from src import plots
from src.plots import rnn
from src.runtime import COURSE

TOPICS = ["Arts", "Geography", "Mathematics"]
CURVES = {
    "one vector": {(8, 16): (90, 100), (16, 24): (60, 100), (60, 72): (25, 100)},
    "attention": {(8, 16): (99, 100), (16, 24): (98, 100), (60, 72): (97, 100)},
}


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.style.context(COURSE / "src" / "plots" / "course.mplstyle"):
        yield


def marks(figure, prefix=""):
    """gid -> artist of everything that was given an id starting with `prefix`."""
    found = figure.findobj(lambda artist: artist.get_gid() is not None and str(artist.get_gid()).startswith(prefix))
    return {artist.get_gid(): artist for artist in found}


def some_figures():
    rng = np.random.default_rng(0)
    yield rnn.draw_bags([["the", "dog", "bites", "the", "man"], ["the", "man", "bites", "the", "dog"]])
    yield rnn.draw_unrolled(["i", "have", "a", "dog"], np.eye(4)[:, :2], rng.uniform(-1, 1, (4, 2)))
    yield rnn.plot_gradient_norms(
        {"tanh RNN": np.exp(-np.arange(41) / 2), "LSTM": np.exp(-np.arange(41) / 9), "GRU": np.exp(-np.arange(41))}
    )
    yield rnn.plot_clipping({"as it is": [9, 0.5, 200], "clipped": [9, 0.4, 3]}, {"as it is": [1, 2, 50], "clipped": [1, 0.5, 0.1]}, 1.0)
    yield rnn.draw_lstm_cell()
    yield rnn.plot_gates({name: rng.uniform(0, 1, (16, 64)) for name in ("input", "forget", "output")}, [f"token{i}" for i in range(16)])
    yield rnn.plot_directions(["a", "b", "river"], ["a", "b", "street"], {"left to right": [0, 0, 1.0], "right to left": [0.5, 0.7, 0.9]})
    yield rnn.draw_padding([["a", "violin", "is"], ["a"]])
    yield rnn.plot_topic_scores({"bag of words": [0.8, 0.81, 0.82], "LSTM": [0.9, 0.91, 0.9]}, 1762, 0.2)
    yield rnn.plot_confusion(rng.integers(0, 9, (11, 11)) + 99 * np.eye(11, dtype=int), ["Society and social sciences"] * 11)
    yield rnn.draw_encoder_decoder("Monday, the fifth day of May 1871", "1871-05-05", 128)
    yield rnn.plot_accuracy_by_length(CURVES)


def test_every_figure_has_a_finding_a_description_and_is_small():
    for figure in some_figures():
        assert len(plots.title_of(figure).split()) >= 5 and len(figure.alt.split()) >= 20
        assert len(figure.to_html()) < 63_000, plots.title_of(figure)


def test_bags_of_one_content_are_told_from_different_ones():
    same = rnn.draw_bags([["the", "dog", "bites", "the", "man"], ["the", "man", "bites", "the", "dog"]])
    assert plots.title_of(same) == "2 sentences, one and the same bag"
    assert [text.get_text() for text in same.axes[0].texts].count("the 2") == 2
    assert "different bags" in plots.title_of(rnn.draw_bags([["a"], ["b"]]))


def test_the_unrolled_cell_shows_every_number_it_was_given():
    figure = rnn.draw_unrolled(["i", "have"], [[1, 0], [0, 1]], [[0.5, -0.25], [0.75, 0.125]])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"1.00, 0.00", "0.00, 1.00", "0.50, -0.25", "0.75, 0.12"} <= set(texts)
    assert len(marks(figure, "cell")) == 2


def test_gradients_are_drawn_as_powers_of_ten_and_the_headline_names_the_two_ends():
    figure = rnn.plot_gradient_norms({"tanh RNN": [1, 1e-3, 1e-6], "LSTM": [0.5, 0.4, 0.25]})
    assert figure.axes[0].get_yscale() == "log"
    assert marks(figure)["tanh RNN"].get_ydata() == pytest.approx([1, 1e-3, 1e-6])
    assert plots.title_of(figure) == "What is left of the gradient 2 steps back: LSTM 0.5, tanh RNN 1e-06"
    gone = rnn.plot_gradient_norms({"tanh RNN": [1, 0.0], "LSTM": [1, 1]})
    assert (marks(gone)["tanh RNN"].get_ydata() > 0).all()  # what is zero has no place on a logarithmic axis


def test_a_loss_that_is_no_number_any_more_is_told_and_leaves_the_clipped_one_readable():
    norms = {"as it is": [1.0, 1e30, np.inf], "clipped": [1.0, 5.0, 2.0]}
    figure = rnn.plot_clipping(norms, {"as it is": [1.0, 1e20, np.nan], "clipped": [1.0, 0.5, 0.25]}, 1.0)
    assert plots.title_of(figure) == "Clipped at 1, the loss ends at 0.25; as it is, it is no number any more from step 2 on"
    assert figure.axes[0].get_ylim()[1] == 500
    tame = rnn.plot_clipping(norms, {"as it is": [1.0, 2.0, 8.0], "clipped": [1.0, 0.5, 0.25]}, 1.0)
    assert plots.title_of(tame) == "Clipped at 1, the loss ends at 0.25, as it is at 8"


def test_gates_are_drawn_with_a_row_for_each_unit_and_the_headline_finds_the_widest():
    gates = {"input": np.full((3, 20), 0.5), "forget": np.tile([[0.2], [0.9], [0.4]], (1, 20)), "output": np.full((3, 20), 0.1)}
    figure = rnn.plot_gates(gates, ["the", "violin", "is"], units=4)
    assert [ax.images[0].get_array().shape for ax in figure.axes[:3]] == [(4, 3)] * 3
    assert np.asarray(figure.axes[1].images[0].get_array())[:, 1].tolist() == [0.9] * 4
    assert plots.title_of(figure) == "The forget gate opens widest at “violin” (0.90), least at “the” (0.20)"
    with pytest.raises(ValueError, match="2 tokens need gates of 2 steps"):
        rnn.plot_gates(gates, ["the", "violin"])


def test_the_direction_that_cannot_see_the_last_word_is_told_from_the_one_that_can():
    figure = rnn.plot_directions(["the", "bank"], ["the", "tree"], {"left to right": [0.0, 1.0], "right to left": [0.5, 0.9]})
    assert plots.title_of(figure) == "Before “bank” and “tree” only reading right to left tells the sentences apart"


def test_padding_is_counted():
    figure = rnn.draw_padding([["a", "violin", "is"], ["a"]])
    assert plots.title_of(figure).startswith("2 of 6 places are padding")
    assert sum("padding" in gid for gid in marks(figure)) == 2


def test_topic_scores_are_means_over_seeds():
    figure = rnn.plot_topic_scores({"bag": [0.5, 0.7], "LSTM": [0.9]}, 100, 0.2)
    assert [round(bar.get_width(), 6) for bar in figure.axes[0].patches] == [0.6, 0.9]
    assert plots.title_of(figure) == "90.0 % right for “LSTM”, 60.0 % for “bag”"


def test_the_confusion_matrix_is_in_percent_of_its_rows_and_names_the_worst_mix_up():
    figure = rnn.plot_confusion([[8, 2, 0], [0, 10, 0], [3, 1, 6]], TOPICS)
    assert np.asarray(figure.axes[0].images[0].get_array())[2] == pytest.approx(np.array([30, 10, 60]))
    assert plots.title_of(figure) == "Mathematics is taken for Arts most often: 30 % of 10 texts"


def test_long_dates_are_drawn_shortened_with_one_vector_in_the_middle():
    figure = rnn.draw_encoder_decoder("Monday, the fifth day of May 1871", "1871-05-05", 64)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("…") >= 2 and "one vector:\n64 numbers" in texts
    assert "vector" in marks(figure)


def test_accuracy_by_length_is_right_over_count_and_the_headline_compares_the_longest():
    figure = rnn.plot_accuracy_by_length(CURVES)
    assert plots.title_of(figure) == "On the longest dates: one vector 25 % right, attention 97 %"
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["8 to 15", "16 to 23", "60 to 71"]
    alone = rnn.plot_accuracy_by_length({"one vector": CURVES["one vector"]})
    assert plots.title_of(alone) == "The one vector gets 90 % of the shortest dates right, 25 % of the longest"
