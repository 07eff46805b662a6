"""The files that pages compute with: small, near to the weights, and read by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, strategies
from transformers import BertConfig, BertForQuestionAnswering

from tools import explorers, page_models
from tools.onnx_file import FLOAT, Graph, varint

CONFIG = BertConfig(
    vocab_size=50,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    max_position_embeddings=32,
)


@pytest.fixture(scope="module")
def model() -> BertForQuestionAnswering:
    torch.manual_seed(0)
    return BertForQuestionAnswering(CONFIG).eval()


def files_of(model) -> dict[str, bytes]:
    words = page_models.word_weights(model.get_input_embeddings().weight.detach().numpy(), "w.bin")
    weights = page_models.model_weights(model, "m.bin")
    parts = ("reader", model.config, words, weights)
    return {
        "w.bin": bytes(words.data),
        "m.bin": bytes(weights.data),
        "reader.onnx": page_models.EncoderGraph(*parts).reader(),
        "heads.onnx": page_models.EncoderGraph(*parts).attention(),
    }


def test_a_quantised_matrix_is_within_half_a_step_and_zeros_stay_zeros():
    matrix = np.random.default_rng(0).normal(size=(128, 6)).astype(np.float32)
    matrix[:64, 2] = 0
    numbers, scales = page_models.quantise(matrix, 64)
    assert numbers.shape == (2, 64, 6) and scales.shape == (2, 1, 6)
    off = np.abs(numbers * scales - matrix.reshape(2, 64, 6))
    assert (off <= scales / 2 + 1e-6).all() and not off[0, :, 2].any()


def test_the_files_give_what_torch_gives_with_the_same_weights(model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    for name, data in files_of(model).items():
        (tmp_path / name).write_bytes(data)
    ids, types = np.arange(1, 21, dtype=np.int32), np.repeat([0, 1], 10).astype(np.int32)
    inputs = {"input_ids": ids, "token_type_ids": types}
    tensors = {name: torch.from_numpy(one).long()[None] for name, one in inputs.items()}
    same = page_models.as_pages_have_it(model)
    same.set_attn_implementation("eager")
    with torch.inference_mode():
        wanted = same(**tensors, output_attentions=True, output_hidden_states=True)
    reader, heads = (
        onnxruntime.InferenceSession(str(tmp_path / name)).run(None, inputs)
        for name in ("reader.onnx", "heads.onnx")
    )
    assert np.allclose(reader[0], wanted.start_logits[0], atol=1e-5)
    assert np.allclose(reader[1], wanted.end_logits[0], atol=1e-5)
    queries, keys, values, shares, sentence = heads
    assert np.allclose(sentence, wanted.hidden_states[-1][0].mean(0), atol=1e-5)
    assert np.allclose(shares, torch.cat(wanted.attentions), atol=1e-5)
    assert queries.shape == keys.shape == values.shape == (2, 4, 20, 16)


def test_the_weights_take_a_byte_each_and_little_more(model):
    files = files_of(model)
    numbers = sum(one.numel() for one in model.parameters() if one.ndim == 2)
    assert numbers < len(files["w.bin"]) + len(files["m.bin"]) < 1.5 * numbers


@given(strategies.binary())
def test_bytes_come_back_from_a_script(data):
    script = explorers.as_script("a.bin", data).decode("latin-1")
    assert script.startswith("Explorers.take('a.bin',\"") and script.endswith('");')
    assert not {"\n", "\r"} & set(script)
    inside, found = iter(script[24:-3]), bytearray()
    for letter in inside:
        escaped = next(inside) if letter == "\\" else None
        found.append(ord({"n": "\n", "r": "\r"}.get(escaped, escaped or letter)))
    assert bytes(found) == data


def test_numbers_are_written_seven_bits_a_byte():
    assert [varint(value) for value in (0, 127, 128, 300)] == [b"\0", b"\x7f", b"\x80\1", b"\xac\2"]
    assert len(varint(-1)) == 10


def test_a_graph_names_what_its_nodes_give():
    graph = Graph("two")
    x = graph.input("x", FLOAT, ["T"])
    first, second = graph.node("Split", x, outputs=2, axis=0)
    assert len({x, first, second, graph.node("Neg", first)}) == 4
