"""The training attention: values and gradients against torch's own."""

import copy

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from src.qa import cpu_attention as module
from src.qa.cpu_attention import cpu_attention, use_cpu_attention

B, H, T, D = 5, 3, 17, 8
# bool[B, 1, T, T]: passages of 17, 9, 1, 16 and 5 tokens.
REAL = torch.arange(T) < torch.tensor([17, 9, 1, 16, 5])[:, None]
PADDED = REAL[:, None, None, :].expand(B, 1, T, T)


def inputs(dtype: torch.dtype) -> Tensor:
    """Query, key, value and the gradient that comes back, float[4, B, H, T, D]."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, B, H, T, D, generator=generator, dtype=torch.float64).to(dtype)


def with_gradients(attention, inputs: Tensor) -> list[Tensor]:
    """The output float[B, T, H, D] and the gradients of query, key and value."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs[:3]]
    output = attention(*leaves)
    output.backward(inputs[3].transpose(1, 2))
    return [output.detach(), *(leaf.grad for leaf in leaves)]


def ours(mask: Tensor | None, scaling: float | None = None):
    return lambda *tensors: cpu_attention(None, *tensors, mask, scaling=scaling)[0]


def torchs(mask: Tensor | None, scaling: float | None = None):
    return lambda *tensors: scaled_dot_product_attention(
        *tensors, attn_mask=mask, scale=scaling
    ).transpose(1, 2)


@pytest.mark.parametrize("mask", [None, PADDED], ids=["whole", "padded"])
@pytest.mark.parametrize("scaling", [None, 0.7])
@pytest.mark.parametrize("passages", [1, 2, 100])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 6e-2)]
)
def test_values_and_gradients_equal_torchs_in_groups_of_any_size(
    monkeypatch, mask, scaling, passages, dtype, tolerance
):
    monkeypatch.setattr(module, "WEIGHTS_PER_GROUP", passages * H * T * T)
    mine = with_gradients(ours(mask, scaling), inputs(dtype))
    exact = with_gradients(torchs(mask, scaling), inputs(dtype).double())
    for one, other in zip(mine, exact, strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one.double(), other, atol=tolerance, rtol=tolerance)
    assert (mine[0] != 0).all() and mine[1].abs().max() > 0.05


def test_padding_gets_no_gradient_and_no_weight():
    tensors = inputs(torch.float64)
    output, _, *grads = with_gradients(ours(PADDED), tensors)
    for grad in grads:
        assert (grad.transpose(1, 2)[~REAL] == 0).all()
    query, key, value, _ = tensors
    value.transpose(1, 2)[~REAL] = 1e6
    torch.testing.assert_close(ours(PADDED)(query, key, value), output)


def test_dropout_is_an_error_that_says_what_to_set():
    query, key, value, _ = inputs(torch.float32)
    message = r"no dropout, but the model asks for 0\.1; set attention dropout to 0"
    with pytest.raises(ValueError, match=message):
        cpu_attention(None, query, key, value, None, dropout=0.1)


@pytest.mark.parametrize("padded", [False, True])
def test_a_whole_model_has_the_same_loss_and_gradients(tiny_model, padded):
    for layer in tiny_model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    tiny_model.config.attention_probs_dropout_prob = 0.0
    model, other = tiny_model.train(), copy.deepcopy(tiny_model).train()
    other.set_attn_implementation("sdpa")
    use_cpu_attention(model)
    assert model.config._attn_implementation == module.NAME

    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([23, 11, 20, 4] if padded else [23] * 4)
    batch = {
        "input_ids": torch.randint(1000, 20000, (4, 23), generator=generator),
        "attention_mask": (torch.arange(23) < lengths[:, None]).long(),
        "start_positions": torch.tensor([1, 2, 0, 3]),
        "end_positions": torch.tensor([4, 5, 0, 3]),
    }
    losses = [each(**batch).loss for each in (model, other)]
    torch.testing.assert_close(*losses, atol=1e-6, rtol=1e-6)
    for loss in losses:
        loss.backward()
    gradients = dict(other.named_parameters())
    for name, parameter in model.named_parameters():
        expected = gradients[name].grad
        torch.testing.assert_close(parameter.grad, expected, atol=1e-5, rtol=1e-4, msg=name)
    assert model.bert.encoder.layer[0].attention.self.query.weight.grad.abs().max() > 1e-4
