"""Attention for training on a CPU, with a backward pass that is a few matrix products.

torch's fused attention is fast forwards, but on a CPU its backward pass in bf16 takes half of a
training step. As batched matrix products, both run on the processor's matrix units. Tests hold
values and gradients against torch's own.
"""

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "course_cpu"
# Passages are taken in groups whose attention weights stay within the processor's cache: 2 to 8 of
# 256 tokens and more, and more of shorter ones (measured).
WEIGHTS_PER_GROUP = 4_000_000


class CPUAttention(torch.autograd.Function):
    """softmax(Q K^T · scale + bias) V for float[N, H, T, D]; bias: float[N, 1, 1, T] or None."""

    @staticmethod
    def forward(
        ctx, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float
    ) -> Tensor:
        N, H, T, D = query.shape
        query, key, value = (x.reshape(N * H, T, D) for x in (query * scale, key, value))
        scores = torch.bmm(query, key.transpose(1, 2))  # [N·H, T, T]
        if bias is not None:
            scores.view(N, H, T, T).add_(bias)
        weights = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(query, key, value, weights)
        ctx.scale = scale
        return torch.bmm(weights, value).view(N, H, T, D)

    @staticmethod
    def backward(ctx, grad_output: Tensor):
        query, key, value, weights = ctx.saved_tensors
        shape = grad_output.shape
        grad_output = grad_output.reshape(query.shape)
        grad_value = torch.bmm(weights.transpose(1, 2), grad_output)
        grad_weights = torch.bmm(grad_output, value.transpose(1, 2))
        # The softmax's own derivative: w · (g - sum(w · g)) in one pass over the matrix.
        grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        grad_query = torch.bmm(grad_scores, key).mul_(ctx.scale)
        grad_key = torch.bmm(grad_scores.transpose(1, 2), query)  # `query` holds the scale already
        return grad_query.view(shape), grad_key.view(shape), grad_value.view(shape), None, None


def cpu_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[Tensor, None]:
    """Attention in the form that transformers calls: float[B, T, H, D], and no weights.

    Args:
        query, key, value: float[B, H, T, D].
        attention_mask: bool[B, 1, T, T], True where attention is allowed, the same for every query
            (padding); None allows all.

    Raises:
        ValueError: dropout is above zero, which this path leaves out.
    """
    if dropout:
        found = f"{NAME} attention has no dropout, but the model asks for {dropout}"
        raise ValueError(f"{found}; set attention dropout to 0 or use 'sdpa'.")
    B, H, T, D = query.shape
    scale = D**-0.5 if scaling is None else scaling
    bias = None
    if attention_mask is not None:
        bias = torch.zeros(B, 1, 1, T, dtype=query.dtype).masked_fill_(
            ~attention_mask[:, :, :1], torch.finfo(query.dtype).min
        )
    group = max(1, WEIGHTS_PER_GROUP // (H * T * T))
    groups = [tensor.split(group) for tensor in (query, key, value)]
    biases = [None] * len(groups[0]) if bias is None else bias.split(group)
    parts = [CPUAttention.apply(*each, scale) for each in zip(*groups, biases, strict=True)]
    return torch.cat([part.transpose(1, 2) for part in parts]), None  # [B, T, H, D]


def use_cpu_attention(model: PreTrainedModel) -> None:
    """Let `model` train with this attention (its dropout must be 0)."""
    AttentionInterface.register(NAME, cpu_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
