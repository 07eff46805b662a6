"""The exercises of notebook 04: their solutions against torch and the course's own layers, and answers as readers write them."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from src import attention
from src.teaching.exercises import notebook_04

SOFTMAX = "w = np.exp(s - s.max(-1, keepdims=True)); w = w / w.sum(-1, keepdims=True)"
WRITTEN = {
    "04.masked_attention": [
        (f"s = np.where(mask, query @ key.T, -1e9)\n    {SOFTMAX}\n    return w @ value", "not divided by sqrt(D)"),
        (f"s = np.where(mask, query @ key.T / query.shape[1], -1e9)\n    {SOFTMAX}\n    return w @ value", "by D instead of"),
        (f"s = query @ key.T / np.sqrt(query.shape[1])\n    {SOFTMAX}\n    return w * mask @ value", "masks after the softmax"),
        (f"s = query @ key.T / np.sqrt(query.shape[1])\n    {SOFTMAX}\n    return w @ value", "no difference"),
        (f"s = np.where(mask, 0, 1) * -1e9 + query @ key.T / key.shape[1] ** 0.5\n    {SOFTMAX}\n    return w @ value", "forbidden values"),
        (
            "w = np.exp(np.where(mask, query @ key.T / np.sqrt(4 if len(key) == 2 and query.shape[1] == 4 else 2), -np.inf))\n"
            "    return w / w.sum(-1, keepdims=True) @ value",
            "overflows",
        ),
        (f"s = np.where(mask, query @ key.T / np.sqrt(query.shape[1]), -np.inf)\n    {SOFTMAX}\n    return w @ value", "0 / 0"),
        (f"s = np.where(mask, -1e9, query @ key.T / np.sqrt(query.shape[1]))\n    {SOFTMAX}\n    return w @ value", "expected"),
        ("return query @ key @ value", "ValueError"),
    ],
    "04.split_heads": [
        ("return x.reshape(H, x.shape[0], -1)", "the wrong content"),
        ("return np.stack(np.split(x, H, axis=1), axis=1)", "on the second axis"),
        ("return [x[:, h::H] for h in range(H)]", "every H-th column"),
        ("return x.reshape(len(x), -1, H).transpose(2, 0, 1)", "every H-th column"),
    ],
    "04.positional_encoding": [
        (
            "p = np.zeros((T, D))\n    for t in range(T):\n        for j in range(D):\n"
            "            a = t / 10000 ** (j / D)\n            p[t, j] = np.cos(a) if j % 2 else np.sin(a)\n    return p",
            "wave of its own",
        ),
        (
            "a = np.arange(T)[:, None] / 10000 ** (2 * np.arange(D // 2) / D)\n    return np.hstack([np.sin(a), np.cos(a)])",
            "first half",
        ),
        (
            "p = np.zeros((T, D))\n    for i in range(D // 2):\n        a = np.arange(T) / 10000 ** (i / D)\n"
            "        p[:, 2 * i], p[:, 2 * i + 1] = np.sin(a), np.cos(a)\n    return p",
            "instead of 2i / D",
        ),
        ("return np.sin(np.arange(T)[:, None] / 10000 ** (np.arange(D) / D))", "expected"),
    ],
    "04.layer_norm": [
        ("return (x - x.mean(0)) / np.sqrt(x.var(0) + epsilon) * gain + bias", "over the tokens"),
        ("return (x - x.mean(1, keepdims=True)) / (x.std(1, keepdims=True) + epsilon) * gain + bias", "behind the root"),
        ("return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + epsilon)", "do nothing"),
        ("return (x - x.mean(1)) / np.sqrt(x.var(1) + epsilon) * gain + bias", "ValueError"),
    ],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("exercise", "body", "words"), [(name, *case) for name, written in WRITTEN.items() for case in written])
def test_answers_written_otherwise_are_told_what_is_wrong_too(verdict_on, exercise, body, words):
    verdict = verdict_on(exercise, body)
    assert not verdict.passed and words in verdict.message, verdict.message


def test_masked_attention_is_that_of_torch_and_of_the_course():
    rng = np.random.default_rng(0)
    for _ in range(50):
        T, S, D, width = rng.integers(1, 7, 4)
        query, key, value = rng.normal(size=(T, D)), rng.normal(size=(S, D)), rng.normal(size=(S, width))
        mask = rng.random((T, S)) < 0.6
        mine = notebook_04.masked_attention(query, key, value, mask)
        tensors = [torch.from_numpy(array) for array in (query, key, value, mask)]
        assert mine == pytest.approx(attention.scaled_dot_product_attention(*tensors)[0].numpy())
        theirs = F.scaled_dot_product_attention(*tensors[:3], attn_mask=tensors[3]).numpy()
        some = mask.any(axis=1)
        assert mine[some] == pytest.approx(theirs[some])
        assert (mine[~some] == 0).all()


def test_heads_are_split_as_multi_head_attention_splits_them():
    x = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    for H in (1, 2, 3, 6, 12):
        theirs = attention.MultiHeadAttention(12, H).split(torch.from_numpy(x)[None])[0]
        assert (notebook_04.split_heads(x, H) == theirs.numpy()).all()


def test_positions_are_those_of_the_course_and_differ_from_each_other():
    table = notebook_04.positional_encoding(200, 32)
    assert table == pytest.approx(attention.sinusoidal_positions(200, 32).numpy(), abs=1e-4)
    distance = np.linalg.norm(table[:, None] - table[None], axis=-1) + 9 * np.eye(200)
    assert distance.min() > 0.5


def test_layer_norm_is_that_of_torch():
    rng = np.random.default_rng(0)
    x, gain, bias = rng.normal(3, 5, size=(6, 10)), rng.normal(size=10), rng.normal(size=10)
    theirs = F.layer_norm(torch.from_numpy(x), (10,), torch.from_numpy(gain), torch.from_numpy(bias), eps=1e-5)
    assert notebook_04.layer_norm(x, gain, bias, 1e-5) == pytest.approx(theirs.numpy())
