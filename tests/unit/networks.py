"""What the tests of networks share: random numbers, gradients, torch's weights, date models."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from src.attention import MultiHeadAttention
from src.dates import START_ID, collate, make_dates

Pairs = list[tuple[list[Tensor], Tensor]]  # parameters of ours, and the one of torch's with all


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers in double precision, whose gradients are wanted."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def shake(module: nn.Module, size: float = 0.5) -> nn.Module:
    """Random parameters: with layer norms of one and biases of zero no mix-up could be seen."""
    for seed, parameter in enumerate(module.parameters()):
        parameter.data = size * normal(*parameter.shape, seed=seed).detach().to(parameter.dtype)
    return module


def gradients(outputs: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Of a sum in which every number of the outputs has its own weight."""
    weights = torch.linspace(-1, 2, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
    return torch.autograd.grad((outputs * weights).sum(), inputs, retain_graph=True)


def attention_pairs(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> Pairs:
    parts = [ours.W_q, ours.W_k, ours.W_v]
    return [
        ([part.weight for part in parts], theirs.in_proj_weight),
        ([part.bias for part in parts], theirs.in_proj_bias),
        ([ours.W_o.weight], theirs.out_proj.weight),
        ([ours.W_o.bias], theirs.out_proj.bias),
    ]


def copy_from_torch(pairs: Pairs) -> None:
    for ours, theirs in pairs:
        for mine, other in zip(ours, theirs.detach().chunk(len(ours)), strict=True):
            assert mine.shape == other.shape
            mine.data = other.clone()


def assert_same_gradients(ours: Tensor, theirs: Tensor, inputs: list[Tensor], pairs: Pairs) -> None:
    """ours, theirs: the outputs of the two, of the same inputs."""
    assert_close(gradients(ours, inputs), gradients(theirs, inputs))
    for mine, other in pairs:
        assert_close(torch.cat(gradients(ours, mine)), *gradients(theirs, [other]))


# --- what every date model keeps to; the models are in double precision, their weights random


def padding_changes_nothing(model: nn.Module) -> None:
    source_ids, source_mask, target_ids = collate(make_dates(5, seed=0))

    def maps(*batch: Tensor) -> list[Tensor]:
        found = model.alignments(*batch) if hasattr(model, "alignments") else []
        return found if isinstance(found, list) else [found]

    batch = (source_ids, source_mask, target_ids)
    logits, alignments = model(*batch), maps(*batch)
    assert not source_mask.all()
    for row, length in enumerate(source_mask.sum(1).tolist()):
        one = slice(row, row + 1)
        alone = source_ids[one, :length], source_mask[one, :length], target_ids[one]
        assert_close(logits[one], model(*alone))
        for weights, weights_alone in zip(alignments, maps(*alone), strict=True):
            assert_close(weights[one, ..., :length], weights_alone)
            assert weights[row, ..., length:].eq(0).all()


def it_writes_what_it_finds_most_likely_after_its_own_words(model: nn.Module) -> None:
    source_ids, source_mask, _ = collate(make_dates(5, seed=0))
    written = model.greedy_decode(source_ids, source_mask, 7)
    assert written.shape == (5, 7)
    assert len(written.unique()) > 2
    read = torch.cat([torch.full((5, 1), START_ID), written[:, :-1]], dim=1)
    assert torch.equal(model(source_ids, source_mask, read).argmax(-1), written)


def no_place_sees_what_comes_after_it(model: nn.Module) -> None:
    source_ids, source_mask, target_ids = collate(make_dates(3, seed=0))
    changed = target_ids.clone()
    changed[:, 6] += 1
    before = model(source_ids, source_mask, target_ids)
    after = model(source_ids, source_mask, changed)
    assert torch.equal(after[:, :6], before[:, :6])
    assert (after[:, 6:] - before[:, 6:]).abs().amax(dim=(1, 2)).min() > 0


def every_parameter_learns(model: nn.Module) -> None:
    model.zero_grad()
    source_ids, source_mask, target_ids = collate(make_dates(8, seed=0))
    logits = model(source_ids, source_mask, target_ids[:, :-1])
    F.cross_entropy(logits.flatten(0, 1), target_ids[:, 1:].flatten()).backward()
    assert all(parameter.grad.norm() > 0 for parameter in model.parameters())
    assert type(model)(**model.settings).settings == model.settings


DATE_MODEL_CHECKS = [
    padding_changes_nothing,
    it_writes_what_it_finds_most_likely_after_its_own_words,
    no_place_sees_what_comes_after_it,
    every_parameter_learns,
]
