"""The exercises of notebook 03: their solutions against torch, and answers as readers write them."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from src.teaching.exercises import notebook_03

SIGMOID = "s = lambda z: 1 / (1 + np.exp(-z))\n    "
STEPS = "h, out = 0 * b, []\n    for x in inputs:\n        h = {}\n        out.append(h)\n    return out"
WRITING = (
    "out, t = {}, start\n    while len(out) < most:\n        t = {}\n        if t == end: break\n        out.append(t)\n    return out"
)
WRITTEN = {
    "03.unroll": [
        ("return np.array([np.tanh(W_x @ x + b) for x in inputs])", "plays no part"),
        (STEPS.format("np.tanh(W_x @ x + h @ W_h + b)"), "on its side"),
        (STEPS.format("W_x @ x + W_h @ h + b"), "tanh is missing"),
        ("h = 0 * b\n    for x in inputs:\n        h = np.tanh(W_x @ x + W_h @ h + b)\n    return h", "last state only"),
        (STEPS.format("np.tanh(W_x @ x + W_h @ h)"), "bias `b` is missing"),
    ],
    "03.clip_gradient": [
        ("return np.maximum(np.minimum(gradient, limit), -limit)", "every number for itself"),
        ("return gradient / max(np.sqrt((gradient ** 2).sum()), 1e-12) * limit", "short gradients too"),
        ("n = np.linalg.norm(gradient)\n    return gradient / max(n, 1)", "whatever the limit"),
        ("return gradient if np.linalg.norm(gradient) <= limit else 0 * gradient", "throws long gradients away"),
    ],
    "03.forget_gate": [
        (SIGMOID + "return s(W_x @ x + W_h @ h + b)", "returns the gate"),
        (SIGMOID + "return c - s(W_x @ x + W_h @ h + b) * c", "wrong way round"),
        (SIGMOID + "return c * s(W_x @ x + W_h @ c + b)", "looks at the memory"),
        (SIGMOID + "return c @ s(W_x @ x + W_h @ h + b)", "up to one number"),
        ("return c * np.tanh(W_x @ x + W_h @ h + b)", "uses tanh"),
    ],
    "03.masked_mean": [
        ("return outputs.mean(1)", "as if it were words"),
        ("return np.where(mask[..., None], outputs, 0).mean(1)", "length with padding"),
        ("return np.einsum('btd,bt->bd', outputs, mask)", "it is the sum"),
        ("return (outputs * mask[:, :, None]).sum(1) / mask.sum(1).mean()", "divided by one number"),
    ],
    "03.greedy_write": [
        ("out = []\n    while len(out) < most and start != end:\n        start = scores[start].argmax()\n"
            "        out.append(start)\n    return out",
         "end mark too"),
        (WRITING.format("[start]", "scores[t].argmax()").replace("< most", "<= most"), "begins with the start mark"),
        (WRITING.format("[]", "scores[t].argmax()").replace("len(out) < most", "len(out) < 500"), "beyond `most`"),
        (WRITING.format("[]", "scores[t].argmax()").replace("len(out) < most", "True"), "still running"),
        (WRITING.format("[]", "scores[:, t].argmax()"), "looks at columns"),
        (WRITING.format("[]", "scores[start].argmax()"), "never reads back"),
    ],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("exercise", "body", "words"), [(name, *case) for name, written in WRITTEN.items() for case in written])
def test_answers_written_otherwise_are_told_what_is_wrong_too(verdict_on, exercise, body, words):
    verdict = verdict_on(exercise, body)
    assert not verdict.passed and words in verdict.message, verdict.message


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_the_unrolled_cell_is_torchs_rnn():
    inputs, W_x, W_h, b = numbers(9, 4), numbers(3, 4, seed=1), numbers(3, 3, seed=2), numbers(3, seed=3)
    theirs = nn.RNN(4, 3).double()
    theirs.load_state_dict({f"{name}_l0": torch.tensor(value) for name, value in
                            {"weight_ih": W_x, "weight_hh": W_h, "bias_ih": b, "bias_hh": 0 * b}.items()})  # fmt: skip
    assert notebook_03.unroll(inputs, W_x, W_h, b) == pytest.approx(theirs(torch.tensor(inputs))[0].detach().numpy())


@pytest.mark.parametrize("limit", [0.1, 1.0, 100.0])
def test_the_clipped_gradient_is_torchs(limit):
    gradient = numbers(20)
    parameter = nn.Parameter(torch.zeros(20, dtype=torch.float64))
    parameter.grad = torch.tensor(gradient)
    nn.utils.clip_grad_norm_([parameter], limit)
    assert notebook_03.clip_gradient(gradient, limit) == pytest.approx(parameter.grad.numpy(), rel=1e-5)


def test_the_forget_gate_is_that_of_torchs_lstm():
    """With the input gate shut, nothing is added: torch's next memory is what its forget gate kept."""
    x, h, c, W_x, W_h, b = (
        numbers(4),
        numbers(3, seed=1),
        numbers(3, seed=2),
        numbers(3, 4, seed=3),
        numbers(3, 3, seed=4),
        numbers(3, seed=5),
    )
    cell = nn.LSTMCell(4, 3).double()
    with torch.no_grad():
        cell.bias_ih[:3], cell.bias_hh[:3] = -1e4, 0
        for mine, theirs in ((W_x, cell.weight_ih), (W_h, cell.weight_hh), (b, cell.bias_ih), (0 * b, cell.bias_hh)):
            theirs[3:6] = torch.tensor(mine)
        _, memory = cell(torch.tensor(x)[None], (torch.tensor(h)[None], torch.tensor(c)[None]))
    assert notebook_03.forget_gate(x, h, c, W_x, W_h, b) == pytest.approx(memory[0].numpy())


def test_the_masked_mean_is_numpys_masked_average():
    outputs, mask = numbers(5, 7, 3), np.arange(7) < np.array([1, 7, 3, 4, 2])[:, None]
    expected = np.ma.masked_array(outputs, np.broadcast_to(~mask[:, :, None], outputs.shape)).mean(axis=1)
    assert notebook_03.masked_mean(outputs, mask) == pytest.approx(expected.filled(np.nan))


def test_greedy_writing_always_takes_the_highest_score_and_ends():
    rng = np.random.default_rng(0)
    for _ in range(100):
        scores = rng.normal(size=(6, 6))
        written = notebook_03.greedy_write(scores, 0, 5, 8)
        path = [0, *written] if len(written) == 8 else [0, *written, 5]
        assert all(scores[a, b] == scores[a].max() for a, b in itertools.pairwise(path))
        assert len(written) <= 8 and 5 not in written
