"""The exercises of notebook 03: a cell unrolled, a gradient clipped, an LSTM's forget gate, a mean without padding, greedy writing."""

from __future__ import annotations

from typing import Any

import numpy as np

from src.teaching.exercises import Case, Exercise, Mistake

# --- unroll --------------------------------------------------------------------------------------------------------------


def unroll(
    inputs: np.ndarray,
    W_x: np.ndarray,
    W_h: np.ndarray,
    b: np.ndarray,
) -> np.ndarray:
    """The states of a tanh cell after each word of a sentence.

    inputs: float[T, D_in], one row for each word
    W_x: float[D, D_in]   W_h: float[D, D]   b: float[D]
    h' = tanh(W_x x + W_h h + b), starting with h = zeros.
    Returns float[T, D].
    Example: unroll(np.array([[1.0], [0.0]]), np.array([[1.0]]),
                    np.array([[0.5]]), np.array([0.0]))
    gives [[0.7616], [0.3634]]: the second word is 0, but the state remembers.
    """
    h, states = np.zeros(len(b)), []
    for x in inputs:
        h = np.tanh(W_x @ x + W_h @ h + b)
        states.append(h)
    return np.array(states)


def _no_memory(inputs: np.ndarray, W_x: np.ndarray, W_h: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.tanh(inputs @ W_x.T + b)


def _no_tanh(inputs: np.ndarray, W_x: np.ndarray, W_h: np.ndarray, b: np.ndarray) -> np.ndarray:
    h, states = np.zeros(len(b)), []
    for x in inputs:
        h = W_x @ x + W_h @ h + b
        states.append(h)
    return np.array(states)


def _only_the_last(inputs: np.ndarray, W_x: np.ndarray, W_h: np.ndarray, b: np.ndarray) -> np.ndarray:
    return unroll(inputs, W_x, W_h, b)[-1]


def _state_outside_tanh(inputs: np.ndarray, W_x: np.ndarray, W_h: np.ndarray, b: np.ndarray) -> np.ndarray:
    h, states = np.zeros(len(b)), []
    for x in inputs:
        h = np.tanh(W_x @ x + b) + W_h @ h
        states.append(h)
    return np.array(states)


def _bias_forgotten(inputs: np.ndarray, W_x: np.ndarray, W_h: np.ndarray, b: np.ndarray) -> np.ndarray:
    return unroll(inputs, W_x, W_h, np.zeros_like(b))


def _transposed(inputs: np.ndarray, W_x: np.ndarray, W_h: np.ndarray, b: np.ndarray) -> np.ndarray:
    return unroll(inputs, W_x, W_h.T, b)


_W_X, _W_H, _B = np.array([[1.0, 0.5], [-0.5, 1.0]]), np.array([[0.5, -0.25], [0.75, 0.0]]), np.array([0.1, -0.2])
_WORDS = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, -0.5]])

UNROLL = Exercise(
    id="03.unroll",
    title="a cell, unrolled",
    goal="Run a tanh cell over a sentence: each state is made of a word and of the state before it.",
    solution=unroll,
    cases=(
        Case((np.array([[1.0], [0.0]]), np.array([[1.0]]), np.array([[0.5]]), np.array([0.0])), np.array([[0.7615942], [0.3633995]])),
        Case(
            (_WORDS[:1], _W_X, _W_H, _B),
            np.array([[0.8004990, -0.6043678]]),
            "the sentence has one word, so nothing came before it",
        ),
        Case(
            (_WORDS, _W_X, _W_H, _B),
            np.array([[0.8004990, -0.6043678], [0.8181980, 0.8854325], [0.4912760, -0.3242163]]),
            "three words, and all numbers take part",
        ),
    ),
    mistakes=(
        Mistake(
            _no_memory,
            "the state before plays no part. Then it is a layer, but not a recurrent one: keep `h` from word to word and add `W_h @ h`.",
            "plays no part",
        ),
        Mistake(_no_tanh, "the tanh is missing. Without it the state can grow without end.", "tanh is missing"),
        Mistake(
            _only_the_last,
            "it returns the last state only. Asked for are the states after *every* word, float[T, D]; collect them on the way.",
            "last state only",
        ),
        Mistake(
            _state_outside_tanh,
            "the old state is added after the tanh. It belongs inside, with the word: the sum of all three is squeezed.",
            "after the tanh",
        ),
        Mistake(_bias_forgotten, "the bias `b` is missing.", "bias `b` is missing"),
        Mistake(
            _transposed,
            "`W_h` is used on its side. `W_h @ h` multiplies its rows with the state; `h @ W_h` would take its columns.",
            "on its side",
        ),
    ),
    hint="Start with `h = np.zeros(len(b))` and go through `inputs` in a loop. What must be done with `h` so that the next round finds it?",
    insight="That loop is all of `nn.RNN`; `src.rnn.RNN` does the same for a batch.",
    imports="import numpy as np",
)


# --- clip_gradient -------------------------------------------------------------------------------------------------------


def clip_gradient(gradient: np.ndarray, limit: float) -> np.ndarray:
    """The gradient, shortened to the length `limit` if it is longer.

    gradient: float[N]   limit: more than 0
    Returns float[N], which points where the gradient pointed.
    Example: clip_gradient(np.array([3.0, 4.0]), 1.0) gives [0.6, 0.8];
    clip_gradient(np.array([0.3, 0.4]), 1.0) leaves it at [0.3, 0.4].
    """
    length = np.linalg.norm(gradient)
    return gradient * (limit / length) if length > limit else gradient


def _each_number(gradient: np.ndarray, limit: float) -> np.ndarray:
    return np.clip(gradient, -limit, limit)


def _always(gradient: np.ndarray, limit: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return gradient * (limit / np.linalg.norm(gradient))


def _limit_forgotten(gradient: np.ndarray, limit: float) -> np.ndarray:
    length = np.linalg.norm(gradient)
    return gradient / length if length > limit else gradient


def _thrown_away(gradient: np.ndarray, limit: float) -> np.ndarray:
    return np.zeros_like(gradient) if np.linalg.norm(gradient) > limit else gradient


def _by_the_largest(gradient: np.ndarray, limit: float) -> np.ndarray:
    largest = np.abs(gradient).max()
    return gradient * (limit / largest) if largest > limit else gradient


CLIP_GRADIENT = Exercise(
    id="03.clip_gradient",
    title="a gradient that is too long",
    goal="Shorten a gradient that is longer than a limit, without turning it.",
    solution=clip_gradient,
    cases=(
        Case((np.array([3.0, 4.0]), 1.0), np.array([0.6, 0.8])),
        Case((np.array([0.3, 0.4]), 1.0), np.array([0.3, 0.4]), "the gradient is shorter than the limit, so it stays as it is"),
        Case((np.array([-6.0, 8.0]), 2.0), np.array([-1.2, 1.6]), "the limit is 2"),
        Case((np.array([2.0, 2.0, 1.0]), 2.5), np.array([5 / 3, 5 / 3, 5 / 6]), "no single number is above the limit, but the length is 3"),
        Case((np.zeros(2), 1.0), np.zeros(2), "the gradient is zero: its length is too"),
    ),
    mistakes=(
        Mistake(
            _each_number,
            "it clips every number for itself. That turns the gradient: a step would no longer go downhill the steepest way. Scale all "
            "of it by one number.",
            "every number for itself",
        ),
        Mistake(
            _always,
            "it scales short gradients too. Near a minimum gradients are short for a good reason; only long ones are clipped.",
            "short gradients too",
        ),
        Mistake(
            _limit_forgotten, "long gradients come out with the length 1, whatever the limit. Multiply by `limit`.", "whatever the limit"
        ),
        Mistake(
            _thrown_away,
            "it throws long gradients away. Their length cannot be trusted, but their direction can.",
            "throws long gradients away",
        ),
        Mistake(
            _by_the_largest,
            "it measures the largest number. The length is the root of the sum of squares, `np.linalg.norm`.",
            "measures the largest number",
        ),
    ),
    hint="`np.linalg.norm(gradient)` is the length. If it is above the limit, by which number must you multiply to make it the limit?",
    insight="`torch.nn.utils.clip_grad_norm_` does this over all parameters together, between `backward()` and `step()`.",
    imports="import numpy as np",
)


# --- forget_gate ---------------------------------------------------------------------------------------------------------


def forget_gate(
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    W_x: np.ndarray,
    W_h: np.ndarray,
    b: np.ndarray,
) -> np.ndarray:
    """What an LSTM keeps of its memory before it adds anything to it.

    x: float[D_in], the word   h: float[D], the state   c: float[D], the memory
    W_x: float[D, D_in], W_h: float[D, D], b: float[D]: this gate's weights
    gate = sigmoid(W_x x + W_h h + b), with sigmoid(z) = 1 / (1 + exp(-z));
    each number of the memory is multiplied by its own number of the gate.
    Returns float[D].
    Example: forget_gate(np.array([1.0]), np.array([-1.0]), np.array([4.0]),
                         np.array([[2.0]]), np.array([[2.0]]), np.array([0.0]))
    gives [2.0]: the score is 0, the gate half open.
    """
    gate = 1 / (1 + np.exp(-(W_x @ x + W_h @ h + b)))
    return gate * c


def _gate_itself(x: Any, h: Any, c: Any, W_x: Any, W_h: Any, b: Any) -> np.ndarray:
    return 1 / (1 + np.exp(-(W_x @ x + W_h @ h + b)))


def _what_is_forgotten(x: Any, h: Any, c: Any, W_x: Any, W_h: Any, b: Any) -> np.ndarray:
    return (1 - _gate_itself(x, h, c, W_x, W_h, b)) * c


def _tanh_for_sigmoid(x: Any, h: Any, c: Any, W_x: Any, W_h: Any, b: Any) -> np.ndarray:
    return np.tanh(W_x @ x + W_h @ h + b) * c


def _memory_for_state(x: Any, h: Any, c: Any, W_x: Any, W_h: Any, b: Any) -> np.ndarray:
    return _gate_itself(x, c, c, W_x, W_h, b) * c


def _state_kept(x: Any, h: Any, c: Any, W_x: Any, W_h: Any, b: Any) -> np.ndarray:
    return _gate_itself(x, h, c, W_x, W_h, b) * h


def _word_only(x: Any, h: Any, c: Any, W_x: Any, W_h: Any, b: Any) -> np.ndarray:
    return _gate_itself(x, np.zeros_like(h), c, W_x, W_h, b) * c


def _one_number(x: Any, h: Any, c: Any, W_x: Any, W_h: Any, b: Any) -> float:
    return float(_gate_itself(x, h, c, W_x, W_h, b) @ c)


def _no_bias(x: Any, h: Any, c: Any, W_x: Any, W_h: Any, b: Any) -> np.ndarray:
    return _gate_itself(x, h, c, W_x, W_h, np.zeros_like(b)) * c


_LSTM = (np.array([[1.0, -1.0, 0.5], [0.0, 2.0, -1.0]]), np.array([[0.5, 1.0], [-1.0, 0.0]]), np.array([1.0, -0.5]))

FORGET_GATE = Exercise(
    id="03.forget_gate",
    title="the forget gate of an LSTM",
    goal="Write the first of the three gates: it decides, number by number, how much of the memory stays.",
    solution=forget_gate,
    cases=(
        Case(
            (np.array([1.0, 2.0]), np.array([0.5, -0.5]), np.array([4.0, -2.0]), np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(2)),
            np.array([2.0, -1.0]),
            "all weights are zero, so the gate is half open",
        ),
        Case(
            (np.zeros(3), np.zeros(2), np.array([1.0, 1.0]), *_LSTM[:2], np.array([30.0, -30.0])),
            np.array([1.0, 0.0]),
            "the bias opens the first gate wide and shuts the second",
        ),
        Case(
            (np.array([1.0, 0.5, -1.0]), np.array([0.8, -0.4]), np.array([2.0, -3.0]), *_LSTM),
            np.array([1.4621172, -2.0045633]),
            "word, state and bias all take part",
        ),
    ),
    mistakes=(
        Mistake(
            _gate_itself,
            "it returns the gate. Asked for is what is left of the memory: multiply the gate with `c`, number by number.",
            "returns the gate",
        ),
        Mistake(
            _what_is_forgotten,
            "it is the wrong way round: this is what goes. In spite of its name, a forget gate of 1 *keeps* everything.",
            "wrong way round",
        ),
        Mistake(
            _tanh_for_sigmoid,
            "it uses tanh, which goes from -1 to 1. A gate must lie between 0 (shut) and 1 (open): the sigmoid.",
            "uses tanh",
        ),
        Mistake(
            _memory_for_state, "the gate looks at the memory `c`. It is computed from the word and the *state* `h`.", "looks at the memory"
        ),
        Mistake(_state_kept, "it multiplies the gate with the state `h`. It is the memory `c` that is kept or dropped.", "with the state"),
        Mistake(
            _word_only,
            "the gate does not look at the state. What to keep depends on what came before, too: add `W_h @ h`.",
            "does not look at the state",
        ),
        Mistake(
            _one_number,
            "it adds everything up to one number. Every number of the memory has a gate of its own: `*`, not `@`.",
            "up to one number",
        ),
        Mistake(_no_bias, "the bias `b` is missing.", "bias `b` is missing"),
    ),
    hint="First the score, `W_x @ x + W_h @ h + b`, float[D]; then the sigmoid of it; then times the memory. Is that last one `*` or `@`?",
    insight="The other two gates are the same formula with other weights. `LSTMCell` computes all of them in one matrix product.",
    imports="import numpy as np",
)


# --- masked_mean ---------------------------------------------------------------------------------------------------------


def masked_mean(outputs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean of the outputs over the words of each text, without padding.

    outputs: float[B, T, D]   mask: bool[B, T], True on words, False on padding
    Returns float[B, D]. Every text has at least one word.
    Example: masked_mean(np.array([[[2.0], [4.0], [9.0]]]),
                         np.array([[True, True, False]])) gives [[3.0]].
    """
    words = outputs * mask[:, :, None]  # [B, T, D], zeros on padding
    return words.sum(axis=1) / mask.sum(axis=1, keepdims=True)


def _padding_counts(outputs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return outputs.mean(axis=1)


def _divided_by_all(outputs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return (outputs * mask[:, :, None]).mean(axis=1)


def _sum_only(outputs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return (outputs * mask[:, :, None]).sum(axis=1)


def _batch_mixed(outputs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return (outputs * mask[:, :, None]).sum(axis=0) / np.maximum(mask.sum(axis=0), 1)[:, None]


def _mask_turned(outputs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return (outputs * ~mask[:, :, None]).sum(axis=1) / np.maximum((~mask).sum(axis=1, keepdims=True), 1)


def _one_count(outputs: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return (outputs * mask[:, :, None]).sum(axis=1) * len(mask) / mask.sum()


_OUTPUTS = np.array([[[1.0, 2.0], [3.0, 6.0], [50.0, 50.0]], [[4.0, -2.0], [70.0, 70.0], [80.0, 80.0]]])
_MASK = np.array([[True, True, False], [True, False, False]])

MASKED_MEAN = Exercise(
    id="03.masked_mean",
    title="a mean without padding",
    goal="Average the outputs over the words of each text, so that padding changes nothing.",
    solution=masked_mean,
    cases=(
        Case((np.array([[[2.0], [4.0], [9.0]]]), np.array([[True, True, False]])), np.array([[3.0]])),
        Case((np.array([[[2.0], [4.0], [9.0]]]), np.array([[True, True, True]])), np.array([[5.0]]), "there is no padding at all"),
        Case((_OUTPUTS, _MASK), np.array([[2.0, 4.0], [4.0, -2.0]]), "two texts of different lengths"),
        Case((_OUTPUTS * _MASK[:, :, None], _MASK), np.array([[2.0, 4.0], [4.0, -2.0]]), "the padding is zeros already"),
    ),
    mistakes=(
        Mistake(
            _padding_counts,
            "padding counts as if it were words. Make it zero first, by `outputs * mask[:, :, None]`.",
            "as if it were words",
        ),
        Mistake(
            _divided_by_all,
            "the sum is right, but it is divided by the length with padding. Divide by the number of *words*, `mask.sum(axis=1)`.",
            "length with padding",
        ),
        Mistake(
            _sum_only, "it is the sum. A long text would shout louder than a short one: divide by the number of words.", "it is the sum"
        ),
        Mistake(_batch_mixed, "it averages over the texts of the batch (axis 0). Time is axis 1.", "over the texts of the batch"),
        Mistake(_mask_turned, "it averages the padding, and leaves the words out. True in the mask is a word.", "averages the padding"),
        Mistake(
            _one_count,
            "all texts are divided by one number. Each has its own count of words: `mask.sum(axis=1, keepdims=True)`.",
            "divided by one number",
        ),
    ),
    hint="`mask[:, :, None]` has the shape [B, T, 1] and can be multiplied with the outputs. What is to be divided by, for each text?",
    insight="`TextClassifier` does this with its outputs, and a test shows that padding never changes what it says.",
    imports="import numpy as np",
)


# --- greedy_write --------------------------------------------------------------------------------------------------------


def greedy_write(
    scores: np.ndarray,
    start: int,
    end: int,
    most: int,
) -> list[int]:
    """Write token by token, each time the one with the highest score.

    scores: float[V, V]; row i scores what may follow token i
    start: the token to begin with   end: the token that ends the text
    Returns the tokens written, without start and end, at most `most` of them.
    Example: greedy_write(np.array([[0, 5, 1], [1, 0, 7], [0, 0, 0]]), 0, 2, 9)
    gives [1]: after 0 comes 1, and after 1 the end.
    """
    token, written = start, []
    while len(written) < most:
        token = int(scores[token].argmax())
        if token == end:
            break
        written.append(token)
    return written


def _end_written(scores: np.ndarray, start: int, end: int, most: int) -> list[int]:
    token, written = start, []
    while token != end and len(written) < most:
        token = int(scores[token].argmax())
        written.append(token)
    return written


def _start_written(scores: np.ndarray, start: int, end: int, most: int) -> list[int]:
    return [start, *greedy_write(scores, start, end, most)]


def _never_read_back(scores: np.ndarray, start: int, end: int, most: int) -> list[int]:
    written: list[int] = []
    while len(written) < most:
        token = int(scores[start].argmax())
        if token == end:
            break
        written.append(token)
    return written


def _no_limit(scores: np.ndarray, start: int, end: int, most: int) -> list[int]:
    return greedy_write(scores, start, end, 1000)


def _columns_for_rows(scores: np.ndarray, start: int, end: int, most: int) -> list[int]:
    return greedy_write(scores.T, start, end, most)


def _lowest(scores: np.ndarray, start: int, end: int, most: int) -> list[int]:
    return greedy_write(-scores, start, end, most)


_SCORES = np.array([[0, 1, 9, 2, 0], [0, 0, 1, 2, 8], [3, 0, 0, 7, 1], [0, 6, 0, 0, 5], [0, 0, 0, 0, 0]], dtype=float)
_ROUND = np.array([[0, 5, 0], [6, 0, 1], [0, 0, 0]], dtype=float)

GREEDY_WRITE = Exercise(
    id="03.greedy_write",
    title="greedy writing",
    goal="Write as the decoder does after training: take the likeliest token, read it back in, go on until the end.",
    solution=greedy_write,
    cases=(
        Case((np.array([[0, 5, 1], [1, 0, 7], [0, 0, 0]]), 0, 2, 9), [1]),
        Case((_SCORES, 0, 4, 9), [2, 3, 1], "three tokens come before the end"),
        Case((_SCORES, 3, 4, 9), [1], "it begins at token 3"),
        Case((_SCORES, 1, 4, 9), [], "the end comes first, so nothing is written"),
        Case((_ROUND, 0, 2, 4), [1, 0, 1, 0], "the end never comes, so `most` has to stop it"),
    ),
    mistakes=(
        Mistake(
            _end_written, "it writes the end mark too. It says that the text is over; it is not a part of it.", "writes the end mark too"
        ),
        Mistake(
            _start_written,
            "it begins with the start mark. That is where the decoder starts from; it did not write it.",
            "begins with the start mark",
        ),
        Mistake(
            _never_read_back,
            "it never reads back what it wrote: the row looked at is always that of `start`. The token just written chooses the next row.",
            "never reads back",
        ),
        Mistake(
            _no_limit,
            "it goes on beyond `most`. A decoder may never write the end; something else must stop it.",
            "beyond `most`",
            lambda case, value: len(value) > case.arguments[3],
        ),
        Mistake(_columns_for_rows, "it looks at columns. Row i, `scores[i]`, scores what follows token i.", "looks at columns"),
        Mistake(_lowest, "it takes the lowest score. `argmax` gives the place of the highest.", "lowest score"),
    ),
    hint="Keep the last token in a variable. In a loop: the next one is `scores[token].argmax()`; is it the end? If not, write it down. "
    "When else must the loop stop?",
    insight="`EncoderDecoder.greedy_decode` does this with scores that also depend on the source and on everything written before.",
    imports="import numpy as np",
)

EXERCISES = (UNROLL, CLIP_GRADIENT, FORGET_GATE, MASKED_MEAN, GREEDY_WRITE)
