"""Attention: outputs, weights and gradients against torch's own and loops; masks; padding."""

import math

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
    OneVector,
    causal_mask,
    masked_softmax,
    padding_mask,
    scaled_dot_product_attention,
    sinusoidal_positions,
)
from src.dates import collate, make_dates
from tests.unit.networks import (
    DATE_MODEL_CHECKS,
    assert_same_gradients,
    attention_pairs,
    copy_from_torch,
    gradients,
    normal,
    shake,
)

B, T, S, D, H = 3, 4, 5, 6, 2  # all different: swapped axes do not fit, or give other numbers


def random_mask(*shape: int) -> Tensor:
    """A random mask in which every row may look at something, and something is forbidden."""
    mask = torch.rand(*shape, generator=torch.Generator().manual_seed(0)) < 0.6
    mask[..., 0] |= ~mask.any(-1)
    assert not mask.all()
    return mask


@pytest.fixture
def qkv() -> list[Tensor]:
    """Query, key and value."""
    return [normal(B, T, D), normal(B, S, D, seed=1), normal(B, S, D, seed=2)]


# --- masks ---------------------------------------------------------------------------------------


def test_a_causal_mask_lets_each_place_see_itself_and_what_came_before():
    assert causal_mask(3).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    last_two_of_four = causal_mask(2, 4)
    assert last_two_of_four.int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_a_padding_mask_shows_the_tokens_that_are_there():
    assert padding_mask(torch.tensor([2, 3])).int().tolist() == [[[1, 1, 0]], [[1, 1, 1]]]
    assert padding_mask(torch.tensor([2, 0]), 4).int().tolist() == [[[1, 1, 0, 0]], [[0, 0, 0, 0]]]
    both = padding_mask(torch.tensor([1, 3])) & causal_mask(3)
    assert both.int().tolist() == [[[1, 0, 0]] * 3, [[1, 0, 0], [1, 1, 0], [1, 1, 1]]]


# --- dot products --------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
def test_dot_product_attention_equals_torchs_in_outputs_and_gradients(masked):
    inputs = [normal(B, H, T, D), normal(B, H, S, D, seed=1), normal(B, H, S, D + 1, seed=2)]
    mask = random_mask(B, H, T, S) if masked else None
    ours, weights = scaled_dot_product_attention(*inputs, mask)
    theirs = F.scaled_dot_product_attention(*inputs, mask)
    assert_close(ours, theirs)
    assert_close(gradients(ours, inputs), gradients(theirs, inputs))
    assert_close(weights.sum(-1), torch.ones(B, H, T, dtype=torch.float64))
    if masked:
        assert torch.equal(weights > 0, mask)


def test_what_the_mask_forbids_has_no_influence(qkv):
    query, key, value = qkv
    mask = padding_mask(torch.tensor([2, 5, 4]))
    forbidden = ~mask.transpose(1, 2)  # [B, S, 1]
    others = key.masked_fill(forbidden, 1e4), value.masked_fill(forbidden, -1e4)
    output, _ = scaled_dot_product_attention(query, key, value, mask)
    changed, _ = scaled_dot_product_attention(query, *others, mask)
    assert_close(output, changed, rtol=0, atol=0)


def test_a_row_that_may_look_at_nothing_gives_zeros_and_harms_no_gradient(
    qkv,
):
    mask = random_mask(B, T, S)
    mask[1, 2] = False
    output, weights = scaled_dot_product_attention(*qkv, mask)
    assert output[1, 2].eq(0).all() and weights[1, 2].eq(0).all()
    assert output.ne(0).any(-1).sum() == B * T - 1  # and no other row does
    found = gradients(output, qkv)
    assert found[0][1, 2].eq(0).all()
    assert all(gradient.isfinite().all() for gradient in found)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_masks_hold_in_every_precision(dtype):
    mask = torch.tensor([[True, False, True], [False, False, False]])
    weights = masked_softmax(torch.full((2, 3), -100.0, dtype=dtype), mask)
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
def test_shapes_that_do_not_fit_are_told_in_a_sentence(qkv, refused, says):
    with pytest.raises(ValueError, match=says):
        scaled_dot_product_attention(*refused(*qkv))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MultiHeadAttention(8, 3), "3 heads cannot share a width of 8"),
        (lambda: AttentionEncoderDecoder(D=7), "two directions cannot share a width of 7"),
        (lambda: sinusoidal_positions(3, 7), "width of 7 leaves a sine without its cosine"),
    ],
)
def test_sizes_that_cannot_work_are_told_in_a_sentence(make, says):
    with pytest.raises(ValueError, match=says):
        make()


# --- several heads -------------------------------------------------------------------------------


@pytest.mark.parametrize("to_itself", [True, False])
def test_attention_with_heads_equals_torchs_in_outputs_and_gradients(to_itself):
    theirs = shake(nn.MultiheadAttention(D, H, batch_first=True, dtype=torch.float64))
    ours = MultiHeadAttention(D, H).double()
    pairs = attention_pairs(ours, theirs)
    copy_from_torch(pairs)
    x = normal(B, T, D)
    source = x if to_itself else normal(B, S, D, seed=1)
    mask = random_mask(B, T, source.shape[1])
    output, weights = ours(x, None if to_itself else source, mask)
    forbidden = ~mask.repeat_interleave(H, dim=0)
    expected, expected_weights = theirs(
        x, source, source, attn_mask=forbidden, average_attn_weights=False
    )
    assert_close(output, expected)
    assert_close(weights, expected_weights)
    assert_same_gradients(output, expected, [x, source], pairs)


def test_as_many_rows_as_tokens_do_not_mix_up_a_mask_of_padding():
    """With B = T = S a mask on the wrong axis would fit, and be wrong."""
    attention, x = MultiHeadAttention(D, H).double(), normal(4, 4, D)
    lengths = torch.tensor([1, 2, 3, 4])
    output, _ = attention(x, mask=padding_mask(lengths))
    for row, length in enumerate(lengths.tolist()):
        alone, _ = attention(x[row : row + 1, :length])
        assert_close(output[row : row + 1, :length], alone)


def test_token_by_token_with_a_cache_is_the_same_as_all_at_once():
    attention, x = MultiHeadAttention(D, H).double(), normal(B, T, D)
    whole, whole_weights = attention(x, mask=causal_mask(T))
    cache = KeyValueCache()
    for t in range(T):
        output, weights = attention(x[:, t : t + 1], mask=causal_mask(1, t + 1), cache=cache)
        assert len(cache) == t + 1
        assert_close(output, whole[:, t : t + 1])
        assert_close(weights, whole_weights[:, :, t : t + 1, : t + 1])


# --- positions and additive attention ------------------------------------------------------------


def test_positions_are_the_waves_of_the_formula():
    positions = sinusoidal_positions(50, 8)
    for place in (0, 1, 7, 49):
        angles = [place / 10_000 ** (2 * i / 8) for i in range(4)]
        expected = [wave for angle in angles for wave in (math.sin(angle), math.cos(angle))]
        assert positions[place].tolist() == pytest.approx(expected, abs=1e-5)


def test_additive_attention_is_what_one_computes_pair_by_pair():
    attention = AdditiveAttention(D, D + 1, 3).double()
    query, key = normal(B, T, D), normal(B, S, D + 1, seed=1)
    mask = padding_mask(torch.tensor([5, 1, 3]), S)
    contexts, weights = attention(query, key, mask)
    for b in range(B):
        length = int(mask[b].sum())
        for t in range(T):
            from_query = attention.W_q.weight @ query[b, t]
            scores = []
            for s in range(length):
                from_key = attention.W_k.weight @ key[b, s] + attention.W_k.bias
                scores.append(attention.v.weight[0] @ torch.tanh(from_query + from_key))
            expected = torch.stack(scores).softmax(0)
            assert_close(weights[b, t, :length], expected)
            assert_close(contexts[b, t], expected @ key[b, :length])
        assert weights[b, :, length:].eq(0).all()
    assert torch.autograd.gradcheck(lambda query, key: attention(query, key, mask), (query, key))


# --- the encoder-decoder with attention ----------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> AttentionEncoderDecoder:
    return shake(AttentionEncoderDecoder(D=16, D_embedding=8).double(), 1.0)


@pytest.mark.parametrize("check", DATE_MODEL_CHECKS)
def test_the_encoder_decoder_with_attention_is_a_date_model(check, model):
    check(model)


def test_attention_switched_off_gives_every_step_the_encoders_last_state(
    model,
):
    source_ids, source_mask, _ = collate(make_dates(5, seed=0))
    source, last = model.encode(source_ids, source_mask)
    contexts, weights = OneVector()(normal(5, T, D), source, source_mask[:, None])
    assert_close(contexts, last[:, None].expand(5, T, -1))
    assert weights.shape == (5, T, source.shape[1]) and weights.sum(-1).eq(1).all()


def test_the_decoder_step_by_step_gives_the_scores_of_teacher_forcing(
    model,
):
    source_ids, source_mask, target_ids = batch = collate(make_dates(5, seed=0))
    logits, weights = model(*batch), model.alignments(*batch)
    source, last = model.encode(source_ids, source_mask)
    state = (last[None].contiguous(), torch.zeros_like(last)[None])
    for t in range(target_ids.shape[1]):
        step, state, looked = model.decode(target_ids[:, t : t + 1], state, source, source_mask)
        assert_close(step, logits[:, t : t + 1])
        assert_close(looked, weights[:, t : t + 1])
