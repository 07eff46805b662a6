"""How much memory a step of `finetune` needs for a BERT of any size, worked out before it runs out.

    python -m src.qa.memory                 the tables of docs/colab_t4.md: bert-base-uncased in fp16

The formulas count what `src.qa.training` keeps: fp32 weights, of which autocast makes copies in half precision; gradients and the
two moving averages of AdamW for every weight but the frozen word embeddings; and what the forward pass keeps for the backward pass,
without dropout, with attention that never writes down its T x T weights (`sdpa`). A test compares each of them with a real model.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Literal

from transformers import BertConfig

Precision = Literal["fp32", "fp16", "bf16"]
FULL, HALF = 4, 2  # bytes of a number
# Share of a GPU that the formulas leave free: for the backward pass's own results, the libraries, and memory in pieces too small to use.
MARGIN = 0.25
T4_BYTES = 16e9
SQUAD_QUESTIONS = 87_599  # SQuAD 1.1, the part for training: data/squad_sizes.csv


@dataclass(frozen=True)
class StepMemory:
    """Bytes that one training step keeps at its fullest, when the backward pass begins, by what they are for."""

    weights: int
    copies: int  # of the weights that multiply, in half precision
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of them. Gradients and activations are not all there at once, so this is a little more than is ever used."""
        return sum(astuple(self))


def parameter_count(config: BertConfig) -> int:
    """Parameters of a BertForQuestionAnswering with this config: embeddings, encoder, and a head with two outputs."""
    D = config.hidden_size
    embeddings = (config.vocab_size + config.max_position_embeddings + config.type_vocab_size) * D + 2 * D  # and a layer norm
    return embeddings + config.num_hidden_layers * (_multiplying(config) + 9 * D + config.intermediate_size) + 2 * D + 2


def _multiplying(config: BertConfig) -> int:
    """Weights of one layer that inputs are multiplied with: query, key, value, output, and the two of the feed-forward part."""
    return 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size


def trained_count(config: BertConfig) -> int:
    """Parameters that `finetune` trains: all but the word embeddings."""
    return parameter_count(config) - config.vocab_size * config.hidden_size


def activation_bytes(config: BertConfig, batch_size: int, length: int, precision: Precision = "fp16") -> int:
    """Bytes that the forward pass keeps for the backward pass, for `batch_size` windows of `length` tokens.

    In each layer and for each token: what enters query, key and value, the three of them, the attention's result, and what enters the
    feed-forward part, D numbers each; F numbers before GELU and F after it; and D numbers before each of two layer norms, in fp32 always.
    Under autocast query, key and value each make their own copy in half precision of what enters them.
    """
    N, D, F = batch_size * length, config.hidden_size, config.intermediate_size
    size, copies = (FULL, 1) if precision == "fp32" else (HALF, 3)
    numbers = N * (size * ((copies + 5) * D + 2 * F) + FULL * 2 * D)
    attention = FULL * N * config.num_attention_heads + size * N * length  # the sum of each row; which tokens are padding
    norm = FULL * 2 * N  # each token's mean and spread
    embeddings, head = FULL * N * D + norm, size * N * D  # what enters the embeddings' layer norm, and the last layer of all
    return config.num_hidden_layers * (numbers + attention + 2 * norm) + embeddings + head


def step_memory(config: BertConfig, batch_size: int, length: int, precision: Precision = "fp16") -> StepMemory:
    """Memory of one step on `batch_size` windows of `length` tokens, the whole of it kept on one device."""
    trained = trained_count(config)
    multiplying = config.num_hidden_layers * _multiplying(config) + 2 * config.hidden_size
    return StepMemory(
        weights=FULL * parameter_count(config),
        copies=0 if precision == "fp32" else HALF * multiplying,
        gradients=FULL * trained,
        optimizer=2 * FULL * trained,
        activations=activation_bytes(config, batch_size, length, precision),
    )


def largest_batch(config: BertConfig, length: int, available: float, precision: Precision = "fp16") -> int:
    """The most windows of `length` tokens that a step may have on a GPU of `available` bytes, MARGIN left free; 0 where none fits."""
    fixed = step_memory(config, 0, length, precision).total
    return max(0, math.floor(((1 - MARGIN) * available - fixed) / activation_bytes(config, 1, length, precision)))


def accumulate(batch_size: int, fits: int) -> tuple[int, int]:
    """How to learn from `batch_size` windows a step where only `fits` go in at once: (windows at once, times), equal parts.

    Gradients of the parts are added up before the optimizer takes its step: gradient accumulation. Raises ValueError if none fits.
    """
    if fits < 1:
        raise ValueError("not even one window fits; take a smaller model, shorter windows, or a larger GPU.")
    times = next(times for times in range(1, batch_size + 1) if batch_size % times == 0 and batch_size // times <= fits)
    return batch_size // times, times


def batch_table(config: BertConfig, length: int = 384) -> str:
    """What a step needs on a T4 by the windows in it, in GB, and how many steps one pass over SQuAD takes: a table in Markdown."""
    parts = ["weights", "half-precision copies", "gradients", "AdamW", "activations", "together", "of a T4's 16 GB"]
    rows = [["windows a step", *parts, "steps a pass, at least"], ["---"] * 9]
    for batch_size in (8, 16, 32, 64):
        memory = step_memory(config, batch_size, length)
        gigabytes = [f"{part / 1e9:.2f}" for part in (*astuple(memory), memory.total)]
        rows.append([batch_size, *gigabytes, f"{100 * memory.total / T4_BYTES:.0f} %", f"{math.ceil(SQUAD_QUESTIONS / batch_size):,}"])
    return _markdown(rows)


def gpu_table(config: BertConfig, length: int = 384, batch_size: int = 32) -> str:
    """How many windows fit on GPUs of some sizes, and what that means for `batch_size` of them: a table in Markdown."""
    rows = [["a GPU of", "windows that fit at once", f"for {batch_size} windows a step"], ["---"] * 3]
    for gigabytes in (4, 8, 16):
        fits = largest_batch(config, length, gigabytes * 1e9)
        at_once, times = accumulate(batch_size, fits)
        rows.append([f"{gigabytes} GB", fits, "at once" if times == 1 else f"{times} times {at_once}, gradients added up"])
    return _markdown(rows)


def _markdown(rows: list[list]) -> str:
    return "".join("| " + " | ".join(map(str, row)) + " |\n" for row in rows)


if __name__ == "__main__":
    bert_base = BertConfig()  # its own values are those of bert-base-uncased
    print(batch_table(bert_base), gpu_table(bert_base), sep="\n", end="")
