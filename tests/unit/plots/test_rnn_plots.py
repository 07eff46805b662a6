"""The figures of recurrent networks say what the data say."""

import pytest

from src.plots import rnn

DOG, MAN = ["the", "dog", "bites", "the", "man"], ["the", "man", "bites", "the", "dog"]
CURVES = {
    "spans": {(16, 24): (60, 100), (60, 72): (75, 100)},
    "single dates": {(8, 16): (99, 100), (16, 24): (98, 100), (60, 72): (97, 100)},
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
        "2 steps back the gradient is at most 0.5 times that at 0 (LSTM), "
        "at least 1e-06 times (tanh RNN)",
        "tanh RNN: 1 at 0, 0.001 at 1, 1e-06 at 2; LSTM: 0.5 at 0",
    ),
    "plot_gradient_norms of two starts each": (
        lambda: rnn.plot_gradient_norms(
            {
                f"{cell}{start}": [1.0, step, step**2]
                for cell in ("tanh RNN", "LSTM", "GRU")
                for start, step in (("", 0.1), (", keeping", 0.9))
            }
        ),
        "2 steps back the gradient is at most 0.81 times that at 0 (tanh RNN, keeping), "
        "at least 0.01 times (tanh RNN)",
    ),
    "plot_scores": (
        lambda: rnn.plot_scores(
            {"bag": [0.5, 0.7], "LSTM": [0.9]}, "topics right", 0.2, "always the commonest"
        ),
        "Most right: LSTM, 90.0 %. Least: bag, 60.0 %",
        "bag: 60.0 % (seeds: 50.0 %, 70.0 %); LSTM: 90.0 % (seeds: 90.0 %)",
        "always the commonest: 20.0 %",
    ),
    "draw_lstm_cell of stage 1": (
        lambda: rnn.draw_lstm_cell(1),
        "Stage 1: the forget gate says how much of the memory stays",
    ),
    "draw_lstm_cell": (
        rnn.draw_lstm_cell,
        "Stage 3: the output gate says how much of the memory is shown",
        "how much of the memory stays; the input gate says how much of the candidate is added",
    ),
    "plot_directions": (
        lambda: rnn.plot_directions(
            ["the", "bank"], ["the", "tree"], {"left to right": [0, 1], "right to left": [0.5, 0.9]}
        ),
        "Before “bank” and “tree” only reading right to left tells the sentences apart",
        "by place in the sentence: the 0.00, bank / tree 1.00",
    ),
    "draw_encoder_decoder": (
        lambda: rnn.draw_encoder_decoder(*DATE),
        "Whatever “Monday, the fifth day of May 1871” says must pass through 64 numbers",
    ),
    "plot_accuracy_by_length": (
        lambda: rnn.plot_accuracy_by_length(CURVES),
        "Right, by length: spans 60 to 75 %; single dates 97 to 99 %",
        "spans: 60 % at 16 to 23, 75 % at 60 to 71",
    ),
}


def test_gradients_are_drawn_also_where_nothing_is_left():
    figure = rnn.plot_gradient_norms({"tanh RNN": [1, 1e-3, 0.0], "LSTM": [0.5, 0.4, 0.25]})
    assert figure.axes[0].lines[0].get_ydata()[-1] > 0


def test_each_stage_of_the_lstm_adds_gates_and_takes_none_away():
    words = [{t.get_text() for t in rnn.draw_lstm_cell(n).axes[0].texts} for n in (1, 2, 3)]
    assert words[0] < words[1] < words[2]
    assert "output" in words[2] - words[1] and "forget" in words[0]


def test_the_band_around_accuracy_by_length_is_wilsons_interval():
    band = rnn.plot_accuracy_by_length(CURVES).axes[0].collections[1].get_paths()[0].vertices
    middle = sorted(band[band[:, 0] == 1, 1])
    assert middle == pytest.approx([0.930, 0.994], abs=1e-3)  # by hand, of 98 in 100
