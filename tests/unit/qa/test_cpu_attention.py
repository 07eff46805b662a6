"""The training attention: values and gradients against torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from src.qa import cpu_attention as module
from src.qa.cpu_attention import cpu_attention, use_cpu_attention

B, H, T, D = 5, 3, 17, 8


def inputs(dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, key, value and the gradient that comes back, float[B, H, T, D]."""
    generator = torch.Generator().manual_seed(seed)
    query, key, value, grad = torch.randn(
        4, B, H, T, D, generator=generator, dtype=torch.float64
    ).to(dtype)
    return query, key, value, grad


def padding_mask() -> Tensor:
    """bool[B, 1, T, T]: passages of 17, 9, 1, 16 and 5 tokens."""
    real = torch.arange(T) < torch.tensor([17, 9, 1, 16, 5])[:, None]
    return real[:, None, None, :].expand(B, 1, T, T)


def with_gradients(
    attention, query: Tensor, key: Tensor, value: Tensor, grad: Tensor
) -> list[Tensor]:
    """The output float[B, T, H, D] and the gradients of query, key and value."""
    leaves = [tensor.clone().requires_grad_() for tensor in (query, key, value)]
    output = attention(*leaves)
    output.backward(grad.transpose(1, 2))
    return [output.detach(), *(leaf.grad for leaf in leaves)]


def ours(mask: Tensor | None, scaling: float | None = None):
    return lambda query, key, value: cpu_attention(
        torch.nn.Module(), query, key, value, mask, scaling=scaling
    )[0]


def torchs(mask: Tensor | None, scaling: float | None = None):
    return lambda *tensors: scaled_dot_product_attention(
        *tensors, attn_mask=mask, scale=scaling
    ).transpose(1, 2)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scaling", [None, 0.7])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 6e-2)]
)
def test_values_and_gradients_equal_torchs(masked, scaling, dtype, tolerance):
    mask = padding_mask() if masked else None
    mine = with_gradients(ours(mask, scaling), *inputs(dtype))
    exact = with_gradients(torchs(mask, scaling), *(tensor.double() for tensor in inputs(dtype)))
    for one, other in zip(mine, exact, strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one.double(), other, atol=tolerance, rtol=tolerance)
    assert (mine[0] != 0).all() and mine[1].abs().max() > 0.05


def test_padding_gets_no_gradient_and_no_weight():
    query, key, value, grad = inputs(torch.float64)
    mask = padding_mask()
    output, _, grad_key, grad_value = with_gradients(ours(mask), query, key, value, grad)
    padding = ~mask[:, 0, 0]  # [B, T]
    assert padding.any()
    assert (grad_key.transpose(1, 2)[padding] == 0).all() and (
        grad_value.transpose(1, 2)[padding] == 0
    ).all()
    value.transpose(1, 2)[padding] = 1e6
    torch.testing.assert_close(ours(mask)(query, key, value), output)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("passages", "groups"), [(0, 5), (1, 5), (2, 3), (3, 2), (5, 1), (100, 1)])
def test_groups_of_any_size_give_the_same(monkeypatch, masked, passages, groups):
    calls = []
    apply = module._Attention.apply
    monkeypatch.setattr(
        module._Attention,
        "apply",
        lambda *arguments: calls.append(len(arguments[0])) or apply(*arguments),
    )
    monkeypatch.setattr(module, "WEIGHTS_PER_GROUP", passages * H * T * T + 1)
    mask = padding_mask() if masked else None
    mine = with_gradients(ours(mask), *inputs(torch.float64))
    assert len(calls) == groups and sum(calls) == B
    for one, other in zip(mine, with_gradients(torchs(mask), *inputs(torch.float64)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)


def test_dropout_is_an_error_that_says_what_to_set():
    query, key, value, _ = inputs(torch.float32)
    with pytest.raises(
        ValueError, match=r"no dropout, but the model asks for 0\.1; set attention dropout to 0"
    ):
        cpu_attention(torch.nn.Module(), query, key, value, None, dropout=0.1)


@pytest.mark.parametrize("padded", [False, True])
def test_a_whole_model_has_the_same_loss_and_gradients(tiny_model, padded):
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        setattr(tiny_model.config, name, 0.0)
    for layer in tiny_model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    model, other = tiny_model.train(), copy.deepcopy(tiny_model).train()
    other.set_attn_implementation("sdpa")
    calls = []
    module_attention = module._Attention.apply
    use_cpu_attention(model)
    assert model.config._attn_implementation == module.NAME

    generator = torch.Generator().manual_seed(0)
    token_ids = torch.randint(1000, 20000, (4, 23), generator=generator)
    attention_mask = (
        (torch.arange(23) < torch.tensor([23, 11, 20, 4])[:, None]).long()
        if padded
        else torch.ones_like(token_ids)
    )
    batch = {
        "input_ids": token_ids,
        "attention_mask": attention_mask,
        "start_positions": torch.tensor([1, 2, 0, 3]),
    }
    batch |= {"end_positions": torch.tensor([4, 5, 0, 3])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module._Attention,
            "apply",
            lambda *arguments: (
                calls.append(arguments[3] is not None) or module_attention(*arguments)
            ),
        )
        loss, reference = model(**batch).loss, other(**batch).loss
    assert (
        calls == [padded] * 2
    )  # it was used in both layers, by this model only, and with a mask where one is needed
    torch.testing.assert_close(loss, reference, atol=1e-6, rtol=1e-6)
    loss.backward()
    reference.backward()
    gradients = dict(other.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(
            parameter.grad, gradients[name].grad, atol=1e-5, rtol=1e-4, msg=name
        )
    assert model.bert.encoder.layer[0].attention.self.query.weight.grad.abs().max() > 1e-4
