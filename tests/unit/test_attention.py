"""Attention: outputs, weights and gradients against torch's own and loops; masks; padding."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from src.attention import (
    AdditiveAttention,
    AttentionEncoderDecoder,
    KeyValueCache,
    MultiHeadAttention,
    causal_mask,
    masked_softmax,
    padding_mask,
    scaled_dot_product_attention,
    sinusoidal_positions,
)
from src.dates import START_ID, collate, make_dates

B, T, S, D, H = (
    3,
    4,
    5,
    6,
    2,
)  # all different, so that swapped axes do not fit or give other numbers


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers in double precision, whose gradients are wanted."""
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).requires_grad_()


def random_mask(*shape: int, seed: int = 0) -> Tensor:
    """A random mask in which every row may look at something, and something is forbidden."""
    mask = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    mask[..., 0] |= ~mask.any(-1)
    assert not mask.all()
    return mask


def gradients(outputs: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    """Of a sum in which every number of the outputs has its own weight."""
    weights = torch.linspace(-1, 2, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
    return torch.autograd.grad((outputs * weights).sum(), inputs)


# --- masks ---------------------------------------------------------------------------------------


def test_a_causal_mask_lets_each_place_see_itself_and_what_came_before() -> None:
    assert causal_mask(3).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert causal_mask(2, 4).int().tolist() == [
        [1, 1, 1, 0],
        [1, 1, 1, 1],
    ]  # the last two of four ask


def test_a_padding_mask_shows_the_tokens_that_are_there() -> None:
    assert padding_mask(torch.tensor([2, 3])).int().tolist() == [[[1, 1, 0]], [[1, 1, 1]]]
    assert padding_mask(torch.tensor([2, 0]), 4).int().tolist() == [[[1, 1, 0, 0]], [[0, 0, 0, 0]]]
    both = padding_mask(torch.tensor([1, 3])) & causal_mask(3)
    assert both.int().tolist() == [[[1, 0, 0]] * 3, [[1, 0, 0], [1, 1, 0], [1, 1, 1]]]
    with pytest.raises(ValueError, match="7 tokens does not fit into a batch of length 5"):
        padding_mask(torch.tensor([7, 2]), 5)


# --- dot products --------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
def test_dot_product_attention_equals_torchs_in_outputs_and_gradients(masked: bool) -> None:
    query, key, value = (
        normal(B, H, T, D),
        normal(B, H, S, D, seed=1),
        normal(B, H, S, D + 1, seed=2),
    )
    mask = random_mask(B, H, T, S) if masked else None
    ours, _ = scaled_dot_product_attention(query, key, value, mask)
    theirs = F.scaled_dot_product_attention(query, key, value, mask)
    assert_close(ours, theirs)
    assert_close(gradients(ours, [query, key, value]), gradients(theirs, [query, key, value]))


def test_allowed_weights_sum_to_one_and_forbidden_ones_are_zero() -> None:
    mask = random_mask(B, T, S)
    _, weights = scaled_dot_product_attention(
        normal(B, T, D), normal(B, S, D, seed=1), normal(B, S, D, seed=2), mask
    )
    assert weights[~mask].eq(0).all() and weights[mask].gt(0).all()
    assert_close(weights.sum(-1), torch.ones(B, T, dtype=torch.float64))


def test_what_the_mask_forbids_has_no_influence() -> None:
    query, key, value, mask = (
        normal(B, T, D),
        normal(B, S, D, seed=1),
        normal(B, S, D, seed=2),
        padding_mask(torch.tensor([2, 5, 4])),
    )
    output, _ = scaled_dot_product_attention(query, key, value, mask)
    forbidden = ~mask.transpose(1, 2)  # [B, S, 1]
    changed, _ = scaled_dot_product_attention(
        query, key.masked_fill(forbidden, 1e4), value.masked_fill(forbidden, -1e4), mask
    )
    assert_close(output, changed, rtol=0, atol=0)


def test_a_row_that_may_look_at_nothing_gives_zeros_and_harms_no_gradient() -> None:
    query, key, value = normal(B, T, D), normal(B, S, D, seed=1), normal(B, S, D, seed=2)
    mask = random_mask(B, T, S)
    mask[1, 2] = False
    output, weights = scaled_dot_product_attention(query, key, value, mask)
    assert output[1, 2].eq(0).all() and weights[1, 2].eq(0).all()
    assert output.ne(0).any(-1).sum() == B * T - 1  # and no other row does
    grad_query, grad_key, grad_value = gradients(output, [query, key, value])
    assert grad_query[1, 2].eq(0).all()
    assert all(gradient.isfinite().all() for gradient in (grad_query, grad_key, grad_value))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_masks_hold_in_every_precision(dtype: torch.dtype) -> None:
    weights = masked_softmax(
        torch.full((2, 3), -100.0, dtype=dtype),
        torch.tensor([[True, False, True], [False, False, False]]),
    )
    assert weights.tolist() == [[0.5, 0, 0.5], [0, 0, 0]]


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        (lambda q, k, v: (q, torch.zeros(B, S, 7), v), "queries are 6 wide and keys 7"),
        (lambda q, k, v: (q, k, torch.zeros(B, 4, D)), "5 keys for 4 values"),
        (lambda q, k, v: (q, k, v, torch.ones(B, S, T) > 0), r"\(3, 5, 4\) does not fit scores of"),
        (lambda q, k, v: (q, k, v, torch.ones(1, B, T, S) > 0), r"\(1, 3, 4, 5\) does not fit"),
        (lambda q, k, v: (q, k, v, torch.ones(B, T, S)), "torch.float32; give booleans"),
    ],
)
def test_shapes_that_do_not_fit_are_told_in_a_sentence(refused: Callable, says: str) -> None:
    arguments = refused(torch.zeros(B, T, D), torch.zeros(B, S, D), torch.zeros(B, S, D))
    with pytest.raises(ValueError, match=says):
        scaled_dot_product_attention(*arguments)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MultiHeadAttention(8, 3), "3 heads cannot share a width of 8"),
        (lambda: AttentionEncoderDecoder(D=7), "two directions cannot share a width of 7"),
        (lambda: sinusoidal_positions(3, 7), "width of 7 leaves a sine without its cosine"),
        (
            lambda: AdditiveAttention(D, D, 3)(
                torch.zeros(B, T, D), torch.zeros(B, S, D), torch.ones(B, S, T) > 0
            ),
            r"mask of shape \(3, 5, 4\) does not fit",
        ),
    ],
)
def test_sizes_that_cannot_work_are_told_in_a_sentence(make: Callable, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


# --- several heads -------------------------------------------------------------------------------


def pair_of_multi_heads() -> tuple[MultiHeadAttention, nn.MultiheadAttention]:
    """Ours and torch's with the same weights; biases too are random, not zero as torch begins."""
    theirs = nn.MultiheadAttention(D, H, batch_first=True, dtype=torch.float64)
    for seed, parameter in enumerate(theirs.parameters()):
        parameter.data = normal(*parameter.shape, seed=seed).detach()
    ours = MultiHeadAttention(D, H).double()
    copy_attention(ours, theirs)
    return ours, theirs


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    parts = zip(
        (ours.W_q, ours.W_k, ours.W_v),
        theirs.in_proj_weight.chunk(3),
        theirs.in_proj_bias.chunk(3),
        strict=True,
    )
    for linear, weight, bias in [*parts, (ours.W_o, theirs.out_proj.weight, theirs.out_proj.bias)]:
        linear.weight.data, linear.bias.data = weight.detach().clone(), bias.detach().clone()


def test_self_attention_with_heads_equals_torchs() -> None:
    ours, theirs = pair_of_multi_heads()
    x, padding = normal(B, T, D), padding_mask(torch.tensor([4, 2, 3]))
    output, weights = ours(x, mask=padding & causal_mask(T))
    expected, expected_weights = theirs(
        x,
        x,
        x,
        key_padding_mask=~padding[:, 0],
        attn_mask=~causal_mask(T),
        need_weights=True,
        average_attn_weights=False,
    )
    assert_close(output, expected)
    assert_close(weights, expected_weights)


def test_attention_with_heads_to_a_source_equals_torchs_in_outputs_and_gradients() -> None:
    ours, theirs = pair_of_multi_heads()
    x, source, mask = normal(B, T, D), normal(B, S, D, seed=1), random_mask(B, T, S)
    output, weights = ours(x, source, mask)
    expected, expected_weights = theirs(
        x, source, source, attn_mask=~mask.repeat_interleave(H, dim=0), average_attn_weights=False
    )
    assert_close(output, expected)
    assert_close(weights, expected_weights)

    *our_gradients, output_weight, output_bias = gradients(output, [x, source, *ours.parameters()])
    their_gradients = gradients(expected, [x, source, *theirs.parameters()])
    assert_close(our_gradients[:2], list(their_gradients[:2]))
    assert_close(
        torch.cat(our_gradients[2::2]), their_gradients[2]
    )  # W_q, W_k, W_v below each other
    assert_close(torch.cat(our_gradients[3::2]), their_gradients[3])  # and their biases
    assert_close((output_weight, output_bias), their_gradients[4:])


def test_as_many_rows_as_tokens_do_not_mix_up_a_mask_of_padding() -> None:
    """With B = T = S a mask on the wrong axis would fit, and be wrong."""
    attention, x = MultiHeadAttention(D, H).double(), normal(4, 4, D)
    lengths = torch.tensor([1, 2, 3, 4])
    output, _ = attention(x, mask=padding_mask(lengths))
    for row, length in enumerate(lengths.tolist()):
        alone, _ = attention(x[row : row + 1, :length])
        assert_close(output[row : row + 1, :length], alone)


def test_token_by_token_with_a_cache_is_the_same_as_all_at_once() -> None:
    attention, x = MultiHeadAttention(D, H).double(), normal(B, T, D)
    whole, whole_weights = attention(x, mask=causal_mask(T))
    cache = KeyValueCache()
    for t in range(T):
        output, weights = attention(x[:, t : t + 1], mask=causal_mask(1, t + 1), cache=cache)
        assert len(cache) == t + 1
        assert_close(output, whole[:, t : t + 1])
        assert_close(weights, whole_weights[:, :, t : t + 1, : t + 1])


# --- positions -----------------------------------------------------------------------------------


def test_positions_are_the_waves_of_the_formula() -> None:
    positions = sinusoidal_positions(50, 8)
    for place in (0, 1, 7, 49):
        for i in range(4):
            angle = place / 10_000 ** (2 * i / 8)
            assert positions[place, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert positions[place, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)


# --- additive attention --------------------------------------------------------------------------


def test_additive_attention_is_what_one_computes_pair_by_pair() -> None:
    attention = AdditiveAttention(D, D + 1, 3).double()
    query, key, mask = (
        normal(B, T, D),
        normal(B, S, D + 1, seed=1),
        padding_mask(torch.tensor([5, 1, 3]), S),
    )
    contexts, weights = attention(query, key, mask)
    for b in range(B):
        length = int(mask[b].sum())
        for t in range(T):
            hidden = [
                attention.W_q.weight @ query[b, t]
                + attention.W_k.weight @ key[b, s]
                + attention.W_k.bias
                for s in range(length)
            ]
            scores = torch.stack([attention.v.weight[0] @ torch.tanh(values) for values in hidden])
            expected = scores.exp() / scores.exp().sum()
            assert_close(weights[b, t, :length], expected)
            assert_close(contexts[b, t], sum(share * key[b, s] for s, share in enumerate(expected)))
        assert weights[b, :, length:].eq(0).all()
    assert torch.autograd.gradcheck(lambda query, key: attention(query, key, mask), (query, key))


# --- the encoder-decoder with attention ----------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> AttentionEncoderDecoder:
    """A small one with large random weights, so that its answers differ."""
    model = AttentionEncoderDecoder(D=16, D_embedding=8).double()
    for seed, parameter in enumerate(model.parameters()):
        parameter.data = normal(*parameter.shape, seed=seed).detach()
    return model


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Dates of several lengths, so that there is padding."""
    return collate(make_dates(5, seed=0))


def test_padding_changes_no_score_and_no_alignment_of_the_encoder_decoder(
    model: AttentionEncoderDecoder, batch: tuple
) -> None:
    source_ids, source_mask, target_ids = batch
    logits, weights = (
        model(source_ids, source_mask, target_ids),
        model.alignments(source_ids, source_mask, target_ids),
    )
    assert not source_mask.all()
    for row, length in enumerate(source_mask.sum(1).tolist()):
        alone = (
            source_ids[row : row + 1, :length],
            source_mask[row : row + 1, :length],
            target_ids[row : row + 1],
        )
        assert_close(logits[row : row + 1], model(*alone))
        assert_close(weights[row : row + 1, :, :length], model.alignments(*alone))
        assert weights[row, :, length:].eq(0).all()


def test_the_decoder_step_by_step_gives_the_scores_of_teacher_forcing(
    model: AttentionEncoderDecoder, batch: tuple
) -> None:
    source_ids, source_mask, target_ids = batch
    logits, weights = model(*batch), model.alignments(*batch)
    source, last = model.encode(source_ids, source_mask)
    state = (last[None].contiguous(), torch.zeros_like(last)[None])
    for t in range(target_ids.shape[1]):
        step, state, looked = model.decode(target_ids[:, t : t + 1], state, source, source_mask)
        assert_close(step, logits[:, t : t + 1])
        assert_close(looked, weights[:, t : t + 1])


def test_greedy_decoding_writes_what_the_model_finds_most_likely_after_its_own_words(
    model: AttentionEncoderDecoder, batch: tuple
) -> None:
    source_ids, source_mask, _ = batch
    written = model.greedy_decode(source_ids, source_mask, 7)
    assert written.shape == (5, 7) and len(written.unique()) > 2
    read = torch.cat([torch.full((5, 1), START_ID), written[:, :-1]], dim=1)
    assert torch.equal(model(source_ids, source_mask, read).argmax(-1), written)


def test_every_parameter_of_the_encoder_decoder_learns(
    model: AttentionEncoderDecoder, batch: tuple
) -> None:
    model.zero_grad()
    logits = model(*batch[:2], batch[2][:, :-1])
    F.cross_entropy(logits.flatten(0, 1), batch[2][:, 1:].flatten()).backward()
    assert all(
        parameter.grad is not None and parameter.grad.norm() > 0 for parameter in model.parameters()
    )
    assert type(model)(**model.settings).settings == model.settings
