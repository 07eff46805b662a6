"""Make the files with which the pages compute: `python tools/page_models.py [FOLDER]`.

Nothing is trained. The released reader and MiniLM become ONNX files whose weights are int8, each
block of 64 numbers with a scale of its own: a quarter of the bytes. What is computed with them is
fp32, so that pages and notebooks agree. Both models have the same word embeddings, stored once.

    words.bin        word embeddings, int8[30522, 384]
    NAME.bin         all other weights of a model
    NAME.onnx        the reader: token ids -> start and end logits
    NAME-heads.onnx  MiniLM: token ids -> the 72 attention maps, and what each is made of
    vocabulary.txt   word pieces, one a line
    models.json      how to read with them: windows, threshold, scaling
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src import assets
from src.files import json_bytes, write_whole
from src.qa import QuestionAnswerer
from tools.onnx_file import FLOAT, INT32, Graph, Weights

READER, ENCODER = "qa-minilm", "minilm"
GRAPHS = {READER: f"{READER}.onnx", ENCODER: f"{ENCODER}-heads.onnx"}
FOLDER = runtime.COURSE / "build" / "explorers" / "models"
DEEP = 127  # the largest int8
BLOCK = 64  # rows of a matrix that share a scale for each column


def quantise(matrix: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """float[in, out] as int8[in / block, block, out] and scales, float32[in / block, 1, out].

    The product of the two is nearer to the matrix than half a step of the scale.
    """
    parts = matrix.reshape(-1, block, matrix.shape[1])
    scales = np.abs(parts).max(axis=1, keepdims=True) / DEEP
    scales[scales == 0] = 1
    return np.round(parts / scales).astype(np.int8), scales.astype(np.float32)


class EncoderGraph:
    """BERT's computation for one text, as a graph over weights that are files of their own.

    Args:
        name: of the graph.
        config: of the model, any of BERT's kind.
        words, weights: where they were put, see `word_weights` and `model_weights`.
    """

    def __init__(self, name: str, config, words: Weights, weights: Weights):
        self.graph, self.config = Graph(name), config
        self.words, self.weights = words, weights
        self.heads, self.width = config.num_attention_heads, config.hidden_size
        self.depth = self.width // self.heads
        self.parts: dict[str, list[str]] = {}  # queries, keys, values, weights of every layer

    def embeddings(self) -> str:
        """Token ids and types, int32[T], to float[T, D]."""
        g = self.graph
        ids = g.input("input_ids", INT32, ["T"])
        types = g.input("token_type_ids", INT32, ["T"])
        word = g.node("Cast", g.node("Gather", g.weight(self.words, "words"), ids), to=FLOAT)
        scale = g.node("Gather", g.weight(self.words, "words.scale"), ids)
        word = g.node("Mul", word, scale)
        zero = g.constant("zero", np.zeros(1, np.int64))
        place = g.node("Slice", self._weight("positions"), zero, g.node("Shape", ids), zero)
        kind = g.node("Gather", self._weight("types"), types)
        return self._norm(g.node("Add", g.node("Add", word, place), kind), "norm")

    def layer(self, x: str, number: int) -> str:
        """A block: float[T, D] -> float[T, D]."""
        g, name = self.graph, f"{number}"
        x = self._norm(g.node("Add", self._attention(x, name), x), f"{name}.norm1")
        hidden = g.node("Gelu", self._linear(x, f"{name}.expand"))
        return self._norm(
            g.node("Add", self._linear(hidden, f"{name}.contract"), x), f"{name}.norm2"
        )

    def _attention(self, x: str, name: str) -> str:
        g = self.graph
        split = g.constant("split", np.array([0, self.heads, self.depth]))
        query, key, value = (
            g.node(
                "Transpose",
                g.node("Reshape", self._linear(x, f"{name}.{part}"), split),
                perm=[1, 0, 2],
            )
            for part in ("query", "key", "value")
        )  # [H, T, D / H]
        turned = g.node("Transpose", key, perm=[0, 2, 1])
        root = g.constant("root", np.float32(self.depth**-0.5))
        scores = g.node("Mul", g.node("MatMul", query, turned), root)
        shares = g.node("Softmax", scores, axis=-1)  # [H, T, T]
        for part, made in zip(
            ("queries", "keys", "values", "shares"), (query, key, value, shares), strict=True
        ):
            self.parts.setdefault(part, []).append(made)
        mixed = g.node("Transpose", g.node("MatMul", shares, value), perm=[1, 0, 2])
        whole = g.constant("whole", np.array([0, self.width]))
        return self._linear(g.node("Reshape", mixed, whole), f"{name}.out")

    def _linear(self, x: str, name: str) -> str:
        # Cast, Mul and Reshape of what is constant are done once, when the model is loaded.
        g = self.graph
        numbers = g.node("Cast", self._weight(name), to=FLOAT)
        rows = g.constant(f"{name}.shape", np.array(self.weights.shapes[name]))
        scaled = g.node("Mul", numbers, self._weight(f"{name}.scale"))
        matrix = g.node("Reshape", scaled, rows)
        return g.node("Add", g.node("MatMul", x, matrix), self._weight(f"{name}.bias"))

    def _norm(self, x: str, name: str) -> str:
        scale, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        epsilon = float(self.config.layer_norm_eps)
        return self.graph.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon)

    def _weight(self, name: str) -> str:
        return self.graph.weight(self.weights, name)

    def reader(self) -> bytes:
        """The model: start and end logits of every token, float[T] each."""
        x = self._encoded()
        logits = self._linear(x, "answer")  # [T, 2]
        for number, name in enumerate(("start_logits", "end_logits")):
            column = self.graph.constant(f"column{number}", np.int64(number))
            picked = self.graph.node("Gather", logits, column, axis=1)
            self.graph.output(picked, name, FLOAT, ["T"])
        return self.graph.model()

    def attention(self) -> bytes:
        """The model: attention of every head, float[L, H, T, T], and its queries, keys and values,
        float[L, H, T, D / H]; and the sentence as one vector, the mean of its tokens, float[D]."""
        x = self._encoded()
        L, H, d = self.config.num_hidden_layers, self.heads, self.depth
        axis = self.graph.constant("first", np.zeros(1, np.int64))
        for part, made in self.parts.items():
            each = [self.graph.node("Unsqueeze", one, axis) for one in made]
            shape = [L, H, "T", "T" if part == "shares" else d]
            self.graph.output(self.graph.node("Concat", *each, axis=0), part, FLOAT, shape)
        mean = self.graph.node("ReduceMean", x, axis, keepdims=0)
        self.graph.output(mean, "sentence", FLOAT, [self.width])
        return self.graph.model()

    def _encoded(self) -> str:
        x = self.embeddings()
        for number in range(self.config.num_hidden_layers):
            x = self.layer(x, number)
        return x


def word_weights(table: np.ndarray, file: str) -> Weights:
    """The word embeddings, float[V, D], a scale for each row."""
    words = Weights(file)
    numbers, scales = quantise(table.T, len(table.T))
    words.add("words.scale", scales[0].T)
    words.add("words", numbers[0].T)
    return words


def model_weights(model: PreTrainedModel, file: str) -> Weights:
    """All weights of an encoder but its word embeddings, and those of an answer head, if any."""
    weights, state = Weights(file), {n: t.float().numpy() for n, t in model.state_dict().items()}
    prefix = "bert." if any(name.startswith("bert.") for name in state) else ""

    def linear(name: str, source: str) -> None:
        matrix = state[f"{source}.weight"].T  # torch stores [out, in]
        numbers, scales = quantise(matrix, BLOCK)
        weights.shapes[name] = matrix.shape
        weights.add(name, numbers)
        weights.add(f"{name}.scale", scales)
        weights.add(f"{name}.bias", state[f"{source}.bias"])

    def norm(name: str, source: str) -> None:
        weights.add(f"{name}.weight", state[f"{source}.weight"])
        weights.add(f"{name}.bias", state[f"{source}.bias"])

    below = f"{prefix}embeddings"
    weights.add("positions", state[f"{below}.position_embeddings.weight"])
    weights.add("types", state[f"{below}.token_type_embeddings.weight"])
    norm("norm", f"{below}.LayerNorm")
    for i in range(model.config.num_hidden_layers):
        layer = f"{prefix}encoder.layer.{i}"
        for part in ("query", "key", "value"):
            linear(f"{i}.{part}", f"{layer}.attention.self.{part}")
        linear(f"{i}.out", f"{layer}.attention.output.dense")
        norm(f"{i}.norm1", f"{layer}.attention.output.LayerNorm")
        linear(f"{i}.expand", f"{layer}.intermediate.dense")
        linear(f"{i}.contract", f"{layer}.output.dense")
        norm(f"{i}.norm2", f"{layer}.output.LayerNorm")
    if "qa_outputs.weight" in state:
        linear("answer", "qa_outputs")
    return weights


def vocabulary(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The pieces in the order of their ids."""
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.get)


def as_pages_have_it(model: PreTrainedModel) -> PreTrainedModel:
    """A copy with the weights that pages compute with, for comparison."""
    copied = copy.deepcopy(model)
    for name, tensor in copied.state_dict().items():
        matrix = tensor.numpy()
        if name.endswith("word_embeddings.weight"):
            numbers, scales = quantise(matrix.T, matrix.shape[1])
        elif matrix.ndim == 2 and "embeddings" not in name:
            numbers, scales = quantise(matrix.T, BLOCK)
        else:
            continue
        tensor.copy_(torch.from_numpy((numbers * scales).reshape(matrix.T.shape).T))
    return copied


def models() -> dict[str, bytes]:
    """All files by name."""
    from transformers import AutoModel

    reader = QuestionAnswerer.load(READER, precision="fp32")
    encoder = AutoModel.from_pretrained(assets.path(ENCODER), dtype=torch.float32)
    files: dict[str, bytes] = {}
    needed: dict[str, list[str]] = {}
    known: list[tuple[np.ndarray, Weights]] = []
    for name, model in ((READER, reader.model), (ENCODER, encoder)):
        table = model.get_input_embeddings().weight.detach().numpy()
        words = next((one for other, one in known if np.array_equal(other, table)), None)
        if words is None:
            words = word_weights(table, f"{name}-words.bin" if known else "words.bin")
            known.append((table, words))
        weights = model_weights(model, f"{name}.bin")
        graph = EncoderGraph(name, model.config, words, weights)
        files |= {one.file: bytes(one.data) for one in (words, weights)}
        files[GRAPHS[name]] = graph.reader() if name == READER else graph.attention()
        needed[name] = [words.file, weights.file]
    files["vocabulary.txt"] = "".join(f"{one}\n" for one in vocabulary(reader.tokenizer)).encode()
    about = {
        "reader": {
            "threshold": reader.threshold,
            "scaling": dataclasses.asdict(reader.scaling),
            "max_length": reader.max_length,
            "doc_stride": reader.doc_stride,
        },
        "models": {
            view: {"graph": GRAPHS[name], "weights": needed[name]}
            for view, name in (("reader", READER), ("heads", ENCODER))
        },
    }
    return files | {"models.json": json_bytes(about)}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in models().items():
        write_whole(folder / name, data)
        print(f"{name}: {len(data) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
