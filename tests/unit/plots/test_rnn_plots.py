"""The figures of recurrent networks say what the data say."""

import numpy as np
import pytest

from src.plots import rnn

DOG, MAN = ["the", "dog", "bites", "the", "man"], ["the", "man", "bites", "the", "dog"]
NORMS = {"as it is": [1.0, 1e30, np.inf], "clipped": [1.0, 5.0, 2.0]}
BROKEN = {"as it is": [1.0, 1e20, np.nan], "clipped": [1.0, 0.5, 0.25]}
TAME = {"as it is": [1.0, 2.0, 8.0], "clipped": [1.0, 0.5, 0.25]}
GATES = {
    "input": np.full((3, 20), 0.5),
    "forget": np.tile([[0.2], [0.9], [0.4]], (1, 20)),
    "output": np.full((3, 20), 0.1),
}
COUNTS = [[8, 2, 0], [0, 10, 0], [3, 1, 6]]
TOPICS = ["Society and social sciences", "Geography", "Mathematics"]
CURVES = {
    "one vector": {(8, 16): (90, 100), (16, 24): (60, 100), (60, 72): (25, 100)},
    "attention": {(8, 16): (99, 100), (16, 24): (98, 100), (60, 72): (97, 100)},
}
DATE = ("Monday, the fifth day of May 1871", "1871-05-05", 64)

FIGURES = {
    "draw_bags": (
        lambda: rnn.draw_bags([DOG, MAN]),
        "2 sentences, one and the same bag",
        "“the man bites the dog” becomes bites, dog, man, the 2",
    ),
    "draw_bags of different words": (
        lambda: rnn.draw_bags([["a", "dog", "bites"], ["a", "dog", "bites", "a"], ["a", "cat"]]),
        "3 sentences, different bags",
    ),
    "draw_unrolled": (
        lambda: rnn.draw_unrolled(["i", "have"], [[1, 0], [0, 1]], [[0.5, -0.25], [0.75, 0.125]]),
        "One cell, used 2 times: each state is made of a word and of the state before it",
        "i [1.00, 0.00] gives [0.50, -0.25]; have [0.00, 1.00] gives [0.75, 0.12]",
    ),
    "plot_gradient_norms": (
        lambda: rnn.plot_gradient_norms({"tanh RNN": [1, 1e-3, 1e-6], "LSTM": [0.5, 0.4, 0.25]}),
        "What is left of the gradient 2 steps back: "
        "most with LSTM (0.5), least with tanh RNN (1e-06)",
        "tanh RNN: 1 at 0, 0.001 at 1, 1e-06 at 2; LSTM: 0.5 at 0",
    ),
    "plot_clipping": (
        lambda: rnn.plot_clipping(NORMS, BROKEN, 1.0),
        "Clipped at 1, the loss ends at 0.25; as it is, it is no number any more from step 2 on",
        "longest gradient inf, last loss nan; clipped: longest gradient 5, last loss 0.25",
    ),
    "plot_clipping of a tame run": (
        lambda: rnn.plot_clipping(NORMS, TAME, 1.0),
        "Clipped at 1, the loss ends at 0.25; as it is, it ends at 8",
    ),
    "draw_lstm_cell": (
        rnn.draw_lstm_cell,
        "The memory runs through an LSTM with one product and one sum on its way",
    ),
    "plot_gates": (
        lambda: rnn.plot_gates(GATES, ["the", "violin", "is"]),
        "The forget gate opens widest at “violin” (0.90), least at “the” (0.20)",
        "mean over the 12 units drawn, input: the 0.50, violin 0.50, is 0.50; forget: the 0.20",
    ),
    "plot_directions": (
        lambda: rnn.plot_directions(
            ["the", "bank"], ["the", "tree"], {"left to right": [0, 1], "right to left": [0.5, 0.9]}
        ),
        "Before “bank” and “tree” only reading right to left tells the sentences apart",
        "by place in the sentence: the 0.00, bank / tree 1.00",
    ),
    "draw_padding": (
        lambda: rnn.draw_padding([["a", "violin", "is"], ["a"]]),
        "2 of 6 places are padding: there to be computed, never to count",
        "“a violin is” and 0 pad, “a” and 2 pad",
    ),
    "plot_topic_scores": (
        lambda: rnn.plot_topic_scores({"bag": [0.5, 0.7], "LSTM": [0.9]}, 100, 0.2),
        "90.0 % right for “LSTM”, 60.0 % for “bag”",
        "bag: 60.0 % (seeds: 50.0 %, 70.0 %); LSTM: 90.0 % (seeds: 90.0 %)",
    ),
    "plot_confusion": (
        lambda: rnn.plot_confusion(COUNTS, TOPICS),
        "Mathematics is taken for Society and social sciences most often: 30 % of 10 texts",
        "Geography: Geography 100; Mathematics: Society and social sciences 30, Geography 10",
    ),
    "draw_encoder_decoder": (
        lambda: rnn.draw_encoder_decoder(*DATE),
        "Whatever “Monday, the fifth day of May 1871” says must pass through 64 numbers",
    ),
    "plot_accuracy_by_length": (
        lambda: rnn.plot_accuracy_by_length(CURVES),
        "On the longest dates: 25 % right (one vector), 97 % (attention)",
        "one vector: 90 % at 8 to 15, 60 % at 16 to 23, 25 % at 60 to 71",
    ),
    "plot_accuracy_by_length of one": (
        lambda: rnn.plot_accuracy_by_length({"one vector": CURVES["one vector"]}),
        "The one vector gets 90 % of the shortest dates right, 25 % of the longest",
    ),
}


def test_gradients_are_drawn_also_where_nothing_is_left():
    figure = rnn.plot_gradient_norms({"tanh RNN": [1, 1e-3, 0.0], "LSTM": [0.5, 0.4, 0.25]})
    assert figure.axes[0].lines[0].get_ydata()[-1] > 0


def test_a_loss_that_explodes_leaves_the_clipped_one_readable():
    assert rnn.plot_clipping(NORMS, BROKEN, 1.0).axes[0].get_ylim()[1] == 500


def test_gates_have_a_row_for_each_unit_in_one_scale_from_shut_to_open():
    images = [ax.images[0] for ax in rnn.plot_gates(GATES, ["the", "violin", "is"]).axes[:3]]
    assert [image.get_array().shape for image in images] == [(12, 3)] * 3
    assert np.asarray(images[1].get_array())[:, 1].tolist() == [0.9] * 12
    assert {image.get_clim() for image in images} == {(0, 1)}


def test_the_band_around_accuracy_by_length_is_a_standard_error():
    band = rnn.plot_accuracy_by_length(CURVES).axes[0].collections[0].get_paths()[0].vertices
    middle = sorted(band[band[:, 0] == 1, 1])
    assert middle == pytest.approx([0.551, 0.649], abs=1e-4)  # root of 0.6 x 0.4 / 100 around 0.6
