"""Smaller models: quantise, prune, distil, and measure what each gains and what it costs (notebook 05b).

    teacher = QuestionAnswerer.load("qa-minilm")
    int8 = reader_of(quantise(teacher.model), teacher, precision="fp32")     # whole numbers of 8 bits
    pruned = reader_of(prune(teacher.model, 0.5), teacher)                   # every second weight zero
    run = distil(halve_layers(teacher.model), teacher, train, held_out, minutes=1)
    measure({"as it is": teacher, "int8": int8, "student": reader_of(run.model, teacher)}, questions)

B: batch   T: tokens   D: width.

Sources: Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only inference";
Dettmers et al. 2022, "LLM.int8()" (a scale for each row and for each token); Han et al. 2015, "Learning both weights and connections
for efficient neural networks" (pruning by size); Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network";
Sanh et al. 2019, "DistilBERT" (every second layer); Sun et al. 2019, "Patient knowledge distillation" (the layers' outputs too).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DataCollatorWithPadding, PreTrainedModel
from transformers.utils import ModelOutput

from src import compute
from src.files import make_folder
from src.qa import QuestionAnswerer, evaluate, prepare_features
from src.qa.batches import PAD_TO, batch_passes
from src.qa.cpu_attention import use_cpu_attention
from src.qa.models import CONFIG, config_json, trained_weights
from src.training import Run, fit, in_eval_mode, write_run

# --- measuring -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measurement:
    """What a reader needs and what it gives.

    megabytes: see `megabytes`   questions_per_second: from texts to answers   exact_match, f1: in percent   questions: how many
    """

    name: str
    megabytes: float
    questions_per_second: float
    exact_match: float
    f1: float
    questions: int


def megabytes(model: nn.Module) -> float:
    """The size of a model's numbers, as they would lie in a file: millions of bytes. What two layers share counts once."""
    stored = {tensor.data_ptr(): tensor for tensor in model.state_dict().values()}
    return sum(tensor.numel() * tensor.element_size() for tensor in stored.values()) / 1e6


def reader_of(model: PreTrainedModel, like: QuestionAnswerer, precision: Literal["auto", "fp32", "bf16"] = "auto") -> QuestionAnswerer:
    """A reader with this model, and everything around it as in `like`.   precision: see QuestionAnswerer"""
    return QuestionAnswerer(model, like.tokenizer, like.threshold, like.max_length, like.doc_stride, precision, like.temperature)


def measure(readers: Mapping[str, QuestionAnswerer], questions: Dataset, rounds: int = 1) -> list[Measurement]:
    """Let every reader answer all questions, and measure size, speed and quality.

    questions: rows in SQuAD's columns; where each has an answer nothing is refused, see `evaluate`.
    rounds: how often. In each they take turns, so that a slow moment of the machine does not fall on one alone; the median counts.
    """
    for qa in readers.values():
        evaluate(qa, questions.select(range(min(8, len(questions)))))  # the first batch also pays for buffers and kernels
    reports: dict[str, list[dict]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, qa in readers.items():
            reports[name].append(evaluate(qa, questions))
    return [
        Measurement(
            name,
            megabytes(qa.model),
            len(questions) / median(report["seconds"] for report in reports[name]),
            reports[name][-1]["exact_match"],
            reports[name][-1]["f1"],
            len(questions),
        )
        for name, qa in readers.items()
    ]


# --- quantise ------------------------------------------------------------------------------------------------------------

LARGEST = 127  # of a whole number of 8 bits, with its sign; -128 is left unused, so that the range is the same on both sides


def quantise_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Write each row as whole numbers from -127 to 127 and one scale: its largest number becomes 127 or -127.

    x: float[rows, columns]   Returns int8[rows, columns] and the scales float[rows, 1]; see `dequantise`.
    A row of zeros stays one.
    """
    x = x.float()
    largest = torch.maximum(x.amax(dim=-1, keepdim=True), -x.amin(dim=-1, keepdim=True))  # of either sign
    scales = largest.clamp(min=1e-12) / LARGEST
    return (x / scales).round_().to(torch.int8), scales


def dequantise(numbers: Tensor, scales: Tensor) -> Tensor:
    """Back to floating point; no number is further than half a scale from what it was: float[rows, columns]."""
    return numbers * scales


class Int8Linear(nn.Module):
    """A linear layer in whole numbers: int8 weights with a scale for each row, int8 inputs with a scale for each token.

    x W^T + b becomes (numbers of x)(numbers of W)^T, times the scale of the row, times the scale of the token, plus b. The product
    in the middle is exact: its sums are whole numbers of 32 bits.   linear: the layer to replace
    """

    TOKENS_AT_ONCE = 1024  # so few that what goes from step to step stays in the processor's cache: a third faster than all at once

    def __init__(self, linear: nn.Linear):
        super().__init__()
        numbers, scales = quantise_rows(linear.weight.detach())
        bias = torch.zeros(len(numbers)) if linear.bias is None else linear.bias.detach()
        self.register_buffer("numbers", numbers)  # int8[D_out, D_in]
        self.register_buffer("scales", scales[:, 0])  # float[D_out]
        self.register_buffer("bias", bias.float().clone())

    def forward(self, x: Tensor) -> Tensor:
        """x: float[..., D_in]   Returns float[..., D_out], in bf16 under autocast to it."""
        wanted = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        parts = []
        for some in x.flatten(0, -2).split(self.TOKENS_AT_ONCE):
            numbers, scales = quantise_rows(some)
            parts.append(torch.addcmul(self.bias, self.multiply(numbers), scales).to(wanted))
        return torch.cat(parts).unflatten(0, x.shape[:-1])

    def multiply(self, numbers: Tensor) -> Tensor:
        """The product with the weights, each column times the scale of its row: int8[N, D_in] -> float[N, D_out].

        A processor with instructions for bytes multiplies them as they are. Any other does it in floating point: slower, and no
        different but for the last digit of sums above 2^24.
        """
        if numbers.is_cpu and torch.cpu.get_capabilities().get("avx512_vnni", False):
            no_shift = torch.zeros_like(self.scales, dtype=torch.int64)
            arguments = (numbers, 1.0, 0, self.packed, self.scales, no_shift, None, 1.0, 0, torch.float32, "none", [], "")
            return torch.ops.onednn.qlinear_pointwise(*arguments)
        with torch.autocast(numbers.device.type, enabled=False):  # bf16 has too few digits for these sums
            return numbers.float() @ self.numbers.float().T * self.scales

    @cached_property
    def packed(self) -> Tensor:
        """The weights in the order in which oneDNN's product reads them."""
        return torch.ops.onednn.qlinear_prepack(self.numbers, None)


class Int8Embedding(nn.Module):
    """Embeddings in whole numbers, a scale for each row.   embedding: the layer to replace"""

    def __init__(self, embedding: nn.Embedding):
        super().__init__()
        numbers, scales = quantise_rows(embedding.weight.detach())
        self.register_buffer("numbers", numbers)  # int8[V, D]
        self.register_buffer("scales", scales)  # float[V, 1]

    def forward(self, token_ids: Tensor) -> Tensor:
        """token_ids: int64[B, T]   Returns float[B, T, D]."""
        return dequantise(self.numbers[token_ids], self.scales[token_ids])


def quantise(model: PreTrainedModel) -> PreTrainedModel:
    """A copy whose encoder has its linear layers and embeddings in int8. Biases, layer norms and the answer head stay as they are."""
    small = copy.deepcopy(model)
    replacements = {nn.Linear: Int8Linear, nn.Embedding: Int8Embedding}
    for module in list(small.base_model.modules()):
        for name, child in list(module.named_children()):
            if type(child) in replacements:
                setattr(module, name, replacements[type(child)](child))
    return small


def to_16_bits(model: PreTrainedModel) -> PreTrainedModel:
    """A copy whose numbers are bf16: 8 bits for the power of two, as in fp32, and only 8 for the digits."""
    return copy.deepcopy(model).bfloat16()


# --- prune ---------------------------------------------------------------------------------------------------------------


def smallest(weights: Tensor, share: float) -> Tensor:
    """Which weights are the `share` nearest to zero: bool, of the shape of `weights`, True for those.

    share: from 0 to 1. Raises ValueError for another.   Source: Han et al. 2015, section 3.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share is {share}; it is a part of all weights, from 0 to 1.")
    sizes = weights.abs().flatten()
    marked = torch.zeros_like(sizes, dtype=torch.bool)
    marked[sizes.topk(round(share * len(sizes)), largest=False, sorted=False).indices] = True
    return marked.view_as(weights)


def prune(model: PreTrainedModel, share: float) -> PreTrainedModel:
    """A copy in which this share of every linear layer of the encoder is zero: of each, the weights nearest to zero."""
    small = copy.deepcopy(model)
    with torch.no_grad():
        for linear in linear_layers(small):
            linear.weight[smallest(linear.weight, share)] = 0
    return small


def linear_layers(model: PreTrainedModel) -> list[nn.Linear]:
    """The linear layers of a model's encoder."""
    return [module for module in model.base_model.encoder.modules() if isinstance(module, nn.Linear)]


def share_of_zeros(model: PreTrainedModel) -> float:
    """How many of the weights in the encoder's linear layers are exactly zero, from 0 to 1."""
    weights = [linear.weight for linear in linear_layers(model)]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def keep_layers(model: PreTrainedModel, kept: Sequence[int]) -> PreTrainedModel:
    """A copy with these layers of the encoder only, in this order; the first is 0. Raises ValueError where there is no such layer."""
    layers = len(model.base_model.encoder.layer)
    if not kept or not all(0 <= layer < layers for layer in kept):
        raise ValueError(f"layers {list(kept)} cannot be kept; this encoder has layers 0 to {layers - 1}, and at least one must stay.")
    small = copy.deepcopy(model)
    small.base_model.encoder.layer = nn.ModuleList(small.base_model.encoder.layer[layer] for layer in kept)
    small.config.num_hidden_layers = len(kept)
    return small


# --- distil --------------------------------------------------------------------------------------------------------------

HELD_OUT = 48  # questions that the agreement on the way is measured on
FORBIDDEN = -1e4  # the logit of padding: its probability is 0, and the loss of it is no 0 times infinity


def halve_layers(model: PreTrainedModel) -> PreTrainedModel:
    """A student before its first lesson: a copy of the teacher with every second layer, the first one among them.

    With layers 0, 2 and 4 a student had F1 38 after 15 seconds, with 1, 3 and 5 it had 19.
    """
    return keep_layers(model, range(0, len(model.base_model.encoder.layer), 2))


def distillation_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """How far the student's probabilities are from the teacher's, both softened: T² KL(teacher || student), the mean over rows.

    student_logits, teacher_logits: float[B, T], of the start or of the end of the answer.   temperature: what all logits are divided
    by; the higher it is, the more the teacher's second and third choices count. T² keeps the gradients as large as they were.
    Source: Hinton, Vinyals and Dean 2015, section 2.
    """
    teacher = (teacher_logits / temperature).log_softmax(dim=-1)
    student = (student_logits / temperature).log_softmax(dim=-1)
    return temperature**2 * (teacher.exp() * (teacher - student)).sum(dim=-1).mean()


def layers_loss(student_layers: Sequence[Tensor], teacher_layers: Sequence[Tensor], mask: Tensor) -> Tensor:
    """How much of what the teacher's layers give the student's do not: 0 for nothing, 1 as if each gave the mean of all.

    student_layers, teacher_layers: float[B, T, D] each; a student's layer is compared with the one that ends the same share of the way,
    so with every second where it has half as many.   mask: bool[B, T], True on real tokens
    Source: Sun et al. 2019, section 3, there on [CLS] alone.
    """
    ends = [round((i + 1) * len(teacher_layers) / len(student_layers)) - 1 for i in range(len(student_layers))]
    parts = [
        F.mse_loss(mine[mask].float(), (theirs := teacher_layers[end][mask].float())) / theirs.var()
        for mine, end in zip(student_layers, ends, strict=True)
    ]
    return torch.stack(parts).mean()


def with_layers(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> tuple[ModelOutput, list[Tensor]]:
    """A forward pass: the model's output, and what each layer of its encoder gave, float[B, T, D] each."""
    given: list[Tensor] = []
    handles = [layer.register_forward_hook(lambda module, x, y: given.append(y)) for layer in model.base_model.encoder.layer]
    try:
        return model(**inputs), given
    finally:
        for handle in handles:
            handle.remove()


def distil(
    student: PreTrainedModel,
    teacher: QuestionAnswerer,
    train: Dataset,
    held_out: Dataset,
    minutes: float | None,
    temperature: float = 2.0,
    batch_size: int = 16,
    learning_rate: float = 5e-4,
    seed: int = 0,
    folder: str | Path | None = None,
    report: Callable[[dict], None] | None = None,
    steps: int | None = None,
) -> Run:
    """Teach a student, in place, what its teacher says to the questions of `train`; which answer is right is told to neither.

    student: a model with fewer layers, such as `halve_layers` gives   train, held_out: rows in SQuAD's columns
    minutes, steps, learning_rate, seed, report: see `src.training.fit`; one of minutes and steps is None
    temperature: see `distillation_loss`   folder: where the result is written, as `save_student` does; None writes nothing
    The loss is the distillation loss of start and end, and the layers' loss. The history has the agreement: the share of the first 48
    windows of `held_out` in which the student marks the same start and end as its teacher.
    Word embeddings stay as they are, so that the student can share its teacher's.
    """
    if folder is not None:
        make_folder(folder)
    precision, collate = teacher.precision, DataCollatorWithPadding(teacher.tokenizer, pad_to_multiple_of=PAD_TO)
    columns, lengths = _windows(train, teacher)
    held_out_columns, held_out_lengths = _windows(held_out.select(range(min(HELD_OUT, len(held_out)))), teacher)

    def batch_of(columns: dict[str, list], rows: Sequence[int]) -> dict[str, Tensor]:
        return dict(collate([{name: column[row] for name, column in columns.items()} for row in rows]).to(teacher.device))

    def batches() -> Iterator[dict[str, Tensor]]:
        for order in batch_passes(lengths, batch_size, seed):
            yield from (batch_of(columns, batch) for batch in order)

    def autocast() -> torch.autocast:
        return torch.autocast(teacher.device.type, torch.bfloat16, enabled=precision == "bf16")

    def loss_of(batch: dict[str, Tensor]) -> Tensor:
        mask = batch["attention_mask"].bool()
        with autocast():
            with torch.no_grad():
                wanted, wanted_layers = with_layers(teacher.model, batch)
            given, given_layers = with_layers(student, batch)
        marks = [
            distillation_loss(*(logits.float().masked_fill(~mask, FORBIDDEN) for logits in pair), temperature)
            for pair in ((given.start_logits, wanted.start_logits), (given.end_logits, wanted.end_logits))
        ]
        return (marks[0] + marks[1]) / 2 + layers_loss(given_layers, wanted_layers, mask)

    held_out_batches = [batch_of(held_out_columns, rows) for rows in np.array_split(np.argsort(held_out_lengths), 3) if len(rows)]
    with in_eval_mode(teacher.model), autocast():
        wanted_marks = [_marks(teacher.model, batch) for batch in held_out_batches]

    def agreement() -> float:
        with in_eval_mode(student), autocast():
            same = [(_marks(student, batch) == marks).all(dim=0) for batch, marks in zip(held_out_batches, wanted_marks, strict=True)]
        return float(torch.cat(same).double().mean())

    student.to(teacher.device).get_input_embeddings().weight.requires_grad_(False)
    optimiser = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed, "steps": steps}
    with _attention_of_training(student), compute.keep_malloc_pages():
        run = fit(student, batches(), loss_of, minutes, ("agreement", agreement), unit="questions", report=report, **optimiser)
    run.settings["temperature"] = temperature
    if folder is not None:
        save_student(run, Path(folder), {"base": "minilm", "threshold": teacher.threshold, "temperature": teacher.temperature})
    return run


def _windows(dataset: Dataset, teacher: QuestionAnswerer) -> tuple[dict[str, list], np.ndarray]:
    """What the models read of each window, by name, and the windows' lengths."""
    windows = prepare_features(dataset, teacher.tokenizer, teacher.max_length, teacher.doc_stride, labels=False)
    names = [name for name in ("input_ids", "token_type_ids", "attention_mask") if name in windows.column_names]
    return {name: list(windows[name]) for name in names}, np.asarray(windows["length"])


def _marks(model: PreTrainedModel, batch: Mapping[str, Tensor]) -> Tensor:
    """The likeliest start and end: int64[2, B]."""
    output, padding = model(**batch), batch["attention_mask"] == 0
    return torch.stack([logits.masked_fill(padding, FORBIDDEN).argmax(dim=-1) for logits in (output.start_logits, output.end_logits)])


@contextmanager
def _attention_of_training(model: PreTrainedModel) -> Iterator[None]:
    """The attention whose backward pass is fast on a CPU, and the model's own again afterwards."""
    before = model.config._attn_implementation
    if model.device.type == "cpu":
        use_cpu_attention(model)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def save_student(run: Run, folder: Path, card: Mapping) -> None:
    """Write a student so that `QuestionAnswerer.load(folder)` opens it, with its curve (history.json) and run.json.

    card: names the base whose word embeddings it shares, and the threshold; see `src.qa.models.save_released`.
    """
    weights = trained_weights(run.model, card["base"])
    about = {"finished": run.finished, "settings": run.settings, "seconds": run.seconds}
    write_run(folder, weights, about, run.history, card, {CONFIG: config_json(run.model)})
