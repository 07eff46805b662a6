"""Notebook 03: an unrolled cell, a gate, greedy decoding."""

import numpy as np

from src.teaching.exercises.record import Case, Exercise


def unroll(
    inputs: np.ndarray,
    W_x: np.ndarray,
    W_h: np.ndarray,
    b: np.ndarray,
) -> np.ndarray:
    """The states of a tanh cell after each word of a sentence.

    h' = tanh(W_x x + W_h h + b), starting with h = zeros.
    Example: unroll(np.array([[1.0], [0.0]]), np.array([[1.0]]),
                    np.array([[0.5]]), np.array([0.0]))
    gives [[0.7616], [0.3634]]: the second word is 0, but the state remembers.

    Args:
        inputs: float[T, D_in], one row for each word.
        W_x, W_h, b: float[D, D_in], float[D, D] and float[D].

    Returns:
        float[T, D].
    """
    h, states = np.zeros(len(b)), []
    for x in inputs:
        h = np.tanh(W_x @ x + W_h @ h + b)
        states.append(h)
    return np.array(states)


CELL = ([[1.0, 0.5], [-0.5, 1.0]], [[0.5, -0.25], [0.75, 0.0]], [0.1, -0.2])
WORDS = [[1.0, 0.0], [0.0, 1.0], [0.5, -0.5]]

UNROLL = Exercise(
    unroll,
    hint="Start with `h = np.zeros(len(b))` and go through `inputs` in a loop. Where must the new "
    "`h` be kept so that the next round finds it?",
    insight="That loop is all of `nn.RNN`; `src.rnn.RNN` does the same for a batch.",
    cases=[
        Case([[1.0], [0.0]], [[1.0]], [[0.5]], [0.0], gives=[[0.7615942], [0.3633995]]),
        Case(WORDS, *CELL, here="there are three words"),
    ],
    mistakes="""
    + W_h @ h ->
    # The state before has no effect, so it is not recurrent: keep `h` from word to word and add
    # `W_h @ h`.
    np.tanh(W_x @ x + W_h @ h + b) -> W_x @ x + W_h @ h + b
    # The tanh is missing. Without it the state can grow without end.
    np.array(states) -> h
    # It returns the last state only. The states after *every* word are wanted, float[T, D]; collect
    # them on the way.
    W_h @ h -> h @ W_h
    # `W_h` is transposed. `W_h @ h` multiplies its rows with the state; `h @ W_h` takes its
    # columns.
    """,
)


def forget_gate(
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    W_x: np.ndarray,
    W_h: np.ndarray,
    b: np.ndarray,
) -> np.ndarray:
    """What an LSTM keeps of its memory, float[D], before it adds to it.

    gate = sigmoid(W_x x + W_h h + b), with sigmoid(z) = 1 / (1 + exp(-z));
    each number of the memory is multiplied by its own number of the gate.
    Example: forget_gate(np.array([1.0]), np.array([-1.0]), np.array([4.0]),
                         np.array([[2.0]]), np.array([[2.0]]), np.array([0.0]))
    gives [2.0]: the score is 0, so the gate is half open.

    Args:
        x, h, c: the word, float[D_in]; the state and the memory, float[D].
        W_x, W_h, b: this gate's weights, float[D, D_in], float[D, D], float[D].
    """
    gate = 1 / (1 + np.exp(-(W_x @ x + W_h @ h + b)))
    return gate * c


LSTM = ([[1.0, -1.0, 0.5], [0.0, 2.0, -1.0]], [[0.5, 1.0], [-1.0, 0.0]], [1.0, -0.5])
SHUT = (np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(2))

FORGET_GATE = Exercise(
    forget_gate,
    hint="First the score, `W_x @ x + W_h @ h + b`; then its sigmoid; then times the memory. Is "
    "that last one `*` or `@`?",
    insight="The other two gates are the same formula with other weights. `LSTMCell` computes all "
    "of them in one matrix product.",
    cases=[
        Case(
            [1.0, 2.0], [0.5, -0.5], [4.0, -2.0], *SHUT, gives=[2.0, -1.0], here="all weights are 0"
        ),
        Case([1.0, 0.5, -1.0], [0.8, -0.4], [2.0, -3.0], *LSTM, here="word, state and bias count"),
    ],
    mistakes="""
    gate * c -> gate
    # It returns the gate. What is left of the memory is wanted: multiply the gate with `c`, number
    # by number.
    gate * c -> (1 - gate) * c
    # It is the wrong way round: this is what goes. In spite of its name, a forget gate of 1 *keeps*
    # everything.
    return np.tanh(W_x @ x + W_h @ h + b) * c
    # It uses tanh, which goes from -1 to 1. A gate lies between 0 (shut) and 1 (open): the sigmoid.
    gate * c -> gate @ c
    # It adds everything up to one number. Every number of the memory has its own gate: `*`, not
    # `@`.
    """,
)


def greedy_write(
    scores: np.ndarray,
    start: int,
    end: int,
    most: int,
) -> list[int]:
    """Write token by token, each time the one with the highest score.

    Example: greedy_write(np.array([[0, 5, 1], [1, 0, 7], [0, 0, 0]]), 0, 2, 9)
    gives [1]: after 0 comes 1, and after 1 the end.

    Args:
        scores: float[V, V]; row i scores what may follow token i.
        start: the token to begin with.
        end: the token that ends the text.
        most: how many tokens to write at most.

    Returns:
        The tokens written, without start and end.
    """
    token, written = start, []
    while len(written) < most:
        token = int(scores[token].argmax())
        if token == end:
            break
        written.append(token)
    return written


SCORES = [[0, 1, 9, 2, 0], [0, 0, 1, 2, 8], [3, 0, 0, 7, 1], [0, 6, 0, 0, 5], [0, 0, 0, 0, 0]]

GREEDY_WRITE = Exercise(
    greedy_write,
    hint="A loop that keeps the current token. The next one is `int(scores[token].argmax())`. Stop "
    "at the end token, or when `most` are written.",
    insight="`EncoderDecoder.greedy_decode` does this with scores that also depend on the source "
    "and on everything written before.",
    cases=[
        Case([[0, 5, 1], [1, 0, 7], [0, 0, 0]], 0, 2, 9, gives=[1]),
        Case(SCORES, 0, 4, 9, gives=[2, 3, 1], here="three tokens come before the end"),
        Case(SCORES, 1, 4, 9, gives=[], here="the end comes first, so nothing is written"),
        Case(
            [[0, 5, 0], [6, 0, 1], [0, 0, 0]], 0, 2, 4, gives=[1, 0, 1, 0], here="no end ever comes"
        ),
    ],
    mistakes="""
    if token == end: -> if written and written[-1] == end:
    # It writes the end mark too. That mark says that the text is over; it is not part of it.
    token, written = start, [] -> token, written = start, [start]
    < most -> <= most
    # Its text begins with the start mark, which nobody wrote.
    scores[token] -> scores[start]
    # It never reads back what it wrote: the scores of the next token are in the row of the last
    # one.
    scores[token] -> scores[:, token]
    # It looks at columns. What may follow token i is in *row* i.
    """,
)
