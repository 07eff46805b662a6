"""Smaller models: quantise, prune, distil, and measure what each gains and costs.

    teacher = QuestionAnswerer.load("qa-minilm")
    int8 = reader_of(quantise(teacher.model), teacher, precision="fp32")  # whole numbers of 8 bits
    pruned = reader_of(prune(teacher.model, 0.5), teacher)  # every second weight zero
    run = distil(halve_layers(teacher.model), teacher, train, held_out, minutes=1)
    measure({"as it is": teacher, "int8": int8}, questions, rounds=3)

B: batch, T: tokens, D: width.

Sources: Jacob et al. 2018 (whole numbers); Dettmers et al. 2022, "LLM.int8()" (a scale for each
row and token); Han et al. 2015 (pruning); Hinton, Vinyals and Dean 2015 (distillation); Sanh et
al. 2019, "DistilBERT" (every second layer); Sun et al. 2019 (patient: layers, too).
"""

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, median
from typing import Any, Literal

import numpy as np
import torch
from datasets import Dataset
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DataCollatorWithPadding, PreTrainedModel

from src import compute, runtime
from src.batching import batch_passes
from src.files import make_folder
from src.qa import QuestionAnswerer, prepare_features
from src.qa.batches import PAD_TO, span_loss
from src.qa.dataset import gold_answers
from src.qa.metrics import score_questions
from src.qa.models import MODEL_INPUTS, prepare_network, save_released
from src.training import Run, fit, in_eval_mode

# --- measuring


@dataclass(frozen=True)
class Measurement:
    """What a reader needs and gives; exact match and F1 are percentages of `questions`.

    Speed is the median of the rounds, `slowest` and `fastest` are the ends of their range.
    `f1_low` to `f1_high` is the 95 % interval of how many points of F1 there are more than the
    first reader has, over the same questions (bootstrap).
    """

    name: str
    megabytes: float
    questions_per_second: float
    slowest: float
    fastest: float
    exact_match: float
    f1: float
    f1_low: float
    f1_high: float
    questions: int


def megabytes(model: nn.Module) -> float:
    """The size of a model's numbers in a file; what two layers share counts once."""
    stored = {tensor.data_ptr(): tensor.nbytes for tensor in model.state_dict().values()}
    return sum(stored.values()) / 1e6


def reader_of(
    model: PreTrainedModel,
    like: QuestionAnswerer,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
) -> QuestionAnswerer:
    """A reader with this model, and everything around it as in `like`."""
    settings = (like.threshold, like.max_length, like.doc_stride, precision, like.scaling)
    return QuestionAnswerer(model, like.tokenizer, *settings)


def measure(
    readers: Mapping[str, QuestionAnswerer], questions: Dataset, rounds: int = 3
) -> list[Measurement]:
    """Let every reader answer all questions, none refused: size, speed and quality.

    In each round the readers take turns, so that a slow moment of the machine does not meet one
    alone. In fast mode there is one round.
    """
    golds, n = gold_answers(questions), len(questions)
    for qa in readers.values():  # the first batch also pays for buffers and kernels
        _answer(qa, questions.select(range(min(8, n))))
    texts, speeds = {}, {name: [] for name in readers}
    for _ in range(1 if runtime.is_fast() else rounds):
        for name, qa in readers.items():
            texts[name], seconds = _answer(qa, questions)
            speeds[name].append(n / seconds)
    found, first = [], None
    for name, speed in speeds.items():
        scores = score_questions(texts[name], golds)
        first = scores.f1 if first is None else first
        more = interval(100 * (scores.f1 - first))
        quality = (100 * scores.exact.mean(), 100 * scores.f1.mean(), *more)
        range_ = (median(speed), min(speed), max(speed))
        found.append(Measurement(name, megabytes(readers[name].model), *range_, *quality, n))
    return found


def _answer(qa: QuestionAnswerer, questions: Dataset) -> tuple[dict[str, str], float]:
    start = time.perf_counter()
    asked = list(questions["question"]), list(questions["context"])
    answers = qa(*asked, threshold=0.0, n_best=1)
    seconds = time.perf_counter() - start
    return {i: a.text for i, a in zip(questions["id"], answers, strict=True)}, seconds


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of float[N], by drawing the N again."""
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    drawn = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=2000, rng=0)
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


# --- quantise

LARGEST = 127  # of 8 bits with a sign; -128 is left unused, so that both sides are alike


def quantise_rows(x: Tensor, largest: int = LARGEST) -> tuple[Tensor, Tensor]:
    """Write each row as whole numbers from -largest to largest and one scale.

    A row's largest number, of either sign, becomes 127 or -127; with 7 as the
    largest a number fits into four bits.
    float[rows, columns] -> int8[rows, columns], scales float[rows, 1].
    """
    x = x.float()
    low, high = x.amin(dim=-1, keepdim=True), x.amax(dim=-1, keepdim=True)
    farthest = torch.maximum(high, -low)
    scales = farthest.clamp(min=1e-12) / largest  # a row of zeros stays one
    return (x / scales).round_().to(torch.int8), scales


def dequantise(numbers: Tensor, scales: Tensor) -> Tensor:
    """Back to floating point, at most half a scale from what it was."""
    return numbers * scales


class Int8Linear(nn.Module):
    """A linear layer in whole numbers of 8 bits; replaces `linear`.

    Weights have a scale for each row, inputs one for each token. The product of
    the whole numbers is exact; it is multiplied by both scales.
    """

    TOKENS_AT_ONCE = 1024  # these stay in the processor's cache

    def __init__(self, linear: nn.Linear):
        super().__init__()
        numbers, scales = quantise_rows(linear.weight.detach())
        bias = torch.zeros(len(numbers))
        if linear.bias is not None:
            bias += linear.bias.detach()
        self.register_buffer("numbers", numbers)  # int8[D_out, D_in]
        self.register_buffer("scales", scales[:, 0])  # float[D_out]
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        """float[..., D_in] -> float[..., D_out]"""
        parts = []
        for some in x.flatten(0, -2).split(self.TOKENS_AT_ONCE):
            numbers, scales = quantise_rows(some)
            y = torch.addcmul(self.bias, self.multiply(numbers), scales)
            parts.append(y.to(_wanted_dtype(x)))
        return torch.cat(parts).unflatten(0, x.shape[:-1])

    def multiply(self, numbers: Tensor) -> Tensor:
        """int8[N, D_in] times weights and scales -> float[N, D_out]"""
        if numbers.is_cpu and _multiplies_bytes():
            return _multiply_bytes(numbers, self.packed, self.scales)
        # Not in bf16, which has too few digits for these sums.
        with torch.autocast(numbers.device.type, enabled=False):
            return numbers.float() @ self.numbers.float().T * self.scales

    @cached_property
    def packed(self) -> Tensor:
        """The weights in the order in which oneDNN reads them."""
        return torch.ops.onednn.qlinear_prepack(self.numbers, None)


def _wanted_dtype(x: Tensor) -> torch.dtype:
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _multiplies_bytes() -> bool:
    """Whether this processor has instructions for it; without, floating point is exact to 2^24."""
    return torch.cpu.get_capabilities().get("avx512_vnni", False)


def _multiply_bytes(numbers: Tensor, packed: Tensor, scales: Tensor) -> Tensor:
    # With signed inputs oneDNN takes a thousand times as long on processors without AMX.
    zero, shifted = 128, numbers.view(torch.uint8) ^ 128
    no_shift = torch.zeros_like(scales, dtype=torch.int64)
    weights, output = (packed, scales, no_shift, None), (1.0, 0, torch.float32, "none", [], "")
    return torch.ops.onednn.qlinear_pointwise(shifted, 1.0, zero, *weights, *output)


class Int8Embedding(nn.Module):
    """Embeddings in whole numbers, a scale for each row; replaces `embedding`."""

    def __init__(self, embedding: nn.Embedding):
        super().__init__()
        numbers, scales = quantise_rows(embedding.weight.detach())
        self.register_buffer("numbers", numbers)  # int8[V, D]
        self.register_buffer("scales", scales)  # float[V, 1]

    def forward(self, token_ids: Tensor) -> Tensor:
        """int64[B, T] -> float[B, T, D]"""
        return dequantise(self.numbers[token_ids], self.scales[token_ids])


def quantise(model: PreTrainedModel) -> PreTrainedModel:
    """A copy whose encoder has linear layers and embeddings in int8; the rest is as it was."""
    small = copy.deepcopy(model)
    replacements = {nn.Linear: Int8Linear, nn.Embedding: Int8Embedding}
    for module in list(small.base_model.modules()):
        for name, child in list(module.named_children()):
            if type(child) in replacements:
                setattr(module, name, replacements[type(child)](child))
    return small


def to_16_bits(model: PreTrainedModel) -> PreTrainedModel:
    """A copy in bf16: 8 bits for the power of two, as in fp32, and only 8 for the digits."""
    return copy.deepcopy(model).bfloat16()


# --- prune


def smallest(weights: Tensor, share: float) -> Tensor:
    """Mark the `share` of the weights nearest to zero: bool, same shape.

    Han et al. 2015, section 3.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share is {share}; it must be from 0 to 1.")
    sizes = weights.abs().flatten()
    n = round(share * len(sizes))
    marked = torch.zeros_like(sizes, dtype=torch.bool)
    marked[sizes.topk(n, largest=False).indices] = True
    return marked.view_as(weights)


def prune(model: PreTrainedModel, share: float) -> PreTrainedModel:
    """A copy with this share of every linear layer of the encoder zero."""
    small = copy.deepcopy(model)
    with torch.no_grad():
        for linear in linear_layers(small):
            linear.weight[smallest(linear.weight, share)] = 0
    return small


def hold_zeros(model: PreTrainedModel) -> None:
    """Train only what is not zero: no pruned weight comes back."""
    for linear in linear_layers(model):
        kept = linear.weight.requires_grad_() != 0
        linear.weight.register_hook(lambda gradient, kept=kept: gradient * kept)


def linear_layers(model: PreTrainedModel) -> list[nn.Linear]:
    """The linear layers of a model's encoder."""
    modules = model.base_model.encoder.modules()
    return [module for module in modules if isinstance(module, nn.Linear)]


def keep_layers(model: PreTrainedModel, kept: Sequence[int]) -> PreTrainedModel:
    """A copy with these layers of the encoder only, in this order; the first is 0."""
    small = copy.deepcopy(model)
    encoder = small.base_model.encoder
    encoder.layer = nn.ModuleList(encoder.layer[layer] for layer in kept)
    small.config.num_hidden_layers = len(kept)
    return small


# --- distil

HELD_OUT = 48  # questions that the agreement on the way is measured on
FORBIDDEN = -1e4  # the logit of padding: probability 0, and no 0 times infinity in the loss


def halve_layers(model: PreTrainedModel) -> PreTrainedModel:
    """An untaught student: a copy of the teacher with every second layer, the first among them.

    (With 0, 2 and 4 a student had F1 38 after 15 seconds, with 1, 3 and 5 it had 19.)
    """
    return keep_layers(model, range(0, len(model.base_model.encoder.layer), 2))


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float,
) -> Tensor:
    """How far the student's softened probabilities are from the teacher's.

    T² KL(teacher || student), the mean over rows. Hinton et al. 2015.

    Args:
        student_logits, teacher_logits: float[B, T], of the start or of the end
            of the answer.
        temperature: T divides all logits; the higher, the more the teacher's
            second and third choices count. T² keeps the gradients as large.
    """
    teacher = (teacher_logits / temperature).log_softmax(dim=-1)
    student = (student_logits / temperature).log_softmax(dim=-1)
    divergence = (teacher.exp() * (teacher - student)).sum(dim=-1)
    return temperature**2 * divergence.mean()


def layers_loss(
    student_layers: Sequence[Tensor], teacher_layers: Sequence[Tensor], mask: Tensor
) -> Tensor:
    """The part of the teacher's layers that the student's do not explain: 0 for none.

    1 is as if each gave the mean of all. Sun et al. 2019, section 3, there on [CLS] alone.

    Layers are float[B, T, D]; one is compared with the teacher's that is as far on, so with every
    second where the student has half as many. The mask, bool[B, T], is True on real tokens.
    """
    parts = []
    for number, mine in enumerate(student_layers, start=1):
        end = round(number * len(teacher_layers) / len(student_layers)) - 1
        theirs = teacher_layers[end][mask].float()
        parts.append(F.mse_loss(mine[mask].float(), theirs) / theirs.var())
    return torch.stack(parts).mean()


def lesson_loss(
    student: PreTrainedModel,
    teacher: PreTrainedModel,
    batch: Mapping[str, Tensor],
    temperature: float,
) -> Tensor:
    """The distillation loss of start and end, plus the layers' loss."""
    mask = batch["attention_mask"].bool()
    given = student(**batch, output_hidden_states=True)
    with torch.no_grad():
        wanted = teacher(**batch, output_hidden_states=True)
    losses = []
    for name in ("start_logits", "end_logits"):
        logits = (output[name].float() for output in (given, wanted))
        logits = (row.masked_fill(~mask, FORBIDDEN) for row in logits)
        losses.append(distillation_loss(*logits, temperature))
    layers = (output.hidden_states[1:] for output in (given, wanted))
    return sum(losses) / 2 + layers_loss(*layers, mask)


def distil(
    student: PreTrainedModel,
    teacher: QuestionAnswerer,
    train: Dataset,
    held_out: Dataset,
    minutes: float | None,
    temperature: float = 2.0,
    labels_only: bool = False,
    batch_size: int = 16,
    learning_rate: float = 5e-4,
    seed: int = 0,
    folder: str | Path | None = None,
    **options: Any,
) -> Run:
    """Teach a student, in place, what its teacher says to the questions.

    Nobody tells it which answer is right, unless `labels_only`: then it learns
    that and nothing else, in the same batches. It keeps its word embeddings.
    The history has its agreement with the teacher on some of `held_out`. For
    the arguments from `batch_size` on, and the options `report` and `steps`,
    see `src.training.fit`.
    """
    if folder is not None:
        make_folder(folder)
    lessons = _lessons(train, teacher, batch_size, seed, labels_only)
    prepare_network(student.to(teacher.device))
    score = ("agreement", _agreement(student, teacher, held_out))

    def loss_of(batch: Mapping[str, Tensor]) -> Tensor:
        with compute.autocast(teacher.device, teacher.precision):
            if labels_only:
                return labels_loss(student, batch)
            return lesson_loss(student, teacher.model, batch, temperature)

    options |= {"batch_size": batch_size, "seed": seed, "unit": "questions"}
    options |= {"learning_rate": learning_rate}
    with compute.keep_malloc_pages():
        run = fit(student, lessons, loss_of, minutes, score, **options)
    student.set_attn_implementation(teacher.model.config._attn_implementation)
    run.settings["temperature"] = temperature
    if folder is not None:
        card = {"base": "minilm", "threshold": teacher.threshold}
        card |= asdict(teacher.scaling)
        save_student(run, Path(folder), card)
    return run


def _windows(dataset: Dataset, teacher: QuestionAnswerer, labels: bool = False) -> Dataset:
    settings = (teacher.tokenizer, teacher.max_length, teacher.doc_stride)
    return prepare_features(dataset, *settings, labels)


def _lessons(
    dataset: Dataset, teacher: QuestionAnswerer, batch_size: int, seed: int, labels: bool
) -> Iterator[Mapping[str, Tensor]]:
    """Batches of windows of like length, without end; with the places of the answers if asked."""
    windows = _windows(dataset, teacher, labels)
    wanted = (*MODEL_INPUTS, "start_positions", "end_positions")
    read = windows.select_columns([name for name in wanted if name in windows.column_names])
    rows, lengths = read.to_list(), np.asarray(windows["length"])
    collate = DataCollatorWithPadding(teacher.tokenizer, pad_to_multiple_of=PAD_TO)
    for batches in batch_passes(lengths, batch_size, seed):
        for places in batches:
            yield collate([rows[place] for place in places]).to(teacher.device)


def _agreement(
    student: PreTrainedModel, teacher: QuestionAnswerer, held_out: Dataset
) -> Callable[[], float]:
    windows = _windows(held_out.select(range(min(HELD_OUT, len(held_out)))), teacher)
    reader = reader_of(student, teacher, teacher.precision)

    def marks(qa: QuestionAnswerer) -> list[tuple[int, int]]:
        """The likeliest start and end of each window."""
        with in_eval_mode(qa.model), compute.one_thread():
            both = zip(*qa.logits(windows), strict=True)
            return [(int(start.argmax()), int(end.argmax())) for start, end in both]

    wanted = marks(teacher)
    return lambda: mean(mine == theirs for mine, theirs in zip(marks(reader), wanted, strict=True))


def save_student(run: Run, folder: Path, card: Mapping) -> None:
    """Write a student so that `QuestionAnswerer.load(folder)` opens it, with its curve.

    The card names the base whose word embeddings it shares, and the threshold.
    """
    about = {"finished": run.finished, "settings": run.settings, "seconds": run.seconds}
    save_released(run.model, folder, card, about, run.history)


def labels_loss(student: PreTrainedModel, batch: Mapping[str, Tensor]) -> Tensor:
    """The cross-entropy of the right start and the right end, without padding."""
    return span_loss(student, batch)[0]
