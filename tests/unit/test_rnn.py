"""RNN, LSTM and GRU against torch's own, forward and backward; padding; the two models."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from src import rnn
from src.dates import CHARACTERS, END_ID, START_ID, collate, encode_written, make_dates
from src.rnn import (
    KINDS,
    EncoderDecoder,
    FastLayer,
    GRUCell,
    LSTMCell,
    RNNCell,
    TextClassifier,
    all_real,
    copy_weights,
    last_outputs,
    lengths_of,
    open_forget_gates,
    pad,
    reverse_tokens,
)

B, T, D_IN, D = 4, 7, 5, 6
LENGTHS = [7, 3, 1, 5]
MASK = torch.tensor([[t < length for t in range(T)] for length in LENGTHS])
NAMES = ("rnn", "lstm", "gru")


def random_inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def pair_of_layers(name: str, bidirectional: bool) -> tuple[rnn.Layer, nn.RNNBase]:
    """Ours and torch's, with the same weights, in double precision."""
    torch.manual_seed(1)
    theirs = rnn.TORCH_LAYERS[name](D_IN, D, batch_first=True, bidirectional=bidirectional).double()
    ours = rnn.LAYERS[name](D_IN, D, bidirectional).double()
    copy_weights(ours, theirs)
    return ours, theirs


def torch_packed(layer: nn.RNNBase, inputs: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """torch's way with padding: outputs float[B, T, ...] and the last states side by side."""
    options = {"batch_first": True, "enforce_sorted": False}
    packed = nn.utils.rnn.pack_padded_sequence(inputs, torch.tensor(lengths), **options)
    outputs, state = layer(packed)
    outputs, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    last = state[0] if isinstance(state, tuple) else state
    return outputs, torch.cat(list(last), dim=-1)


def gradients(layer: nn.Module, inputs: Tensor, outputs: Tensor, last: Tensor) -> list[Tensor]:
    """Of a sum in which every number counts differently, by the inputs and all parameters."""
    weights = torch.arange(outputs.numel(), dtype=torch.float64).reshape(outputs.shape).cos()
    total = (outputs * weights).sum() + (
        last**2 * torch.arange(last.numel()).reshape(last.shape)
    ).sum()
    return list(torch.autograd.grad(total, [inputs, *layer.parameters()]))


# --- equal to torch ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"), [(RNNCell, nn.RNNCell), (LSTMCell, nn.LSTMCell), (GRUCell, nn.GRUCell)]
)
def test_one_step_of_each_cell_is_torchs(ours: type, theirs: type) -> None:
    theirs = theirs(D_IN, D).double()
    ours = ours(D_IN, D).double()
    ours.load_state_dict(theirs.state_dict())
    x, h, c = random_inputs(B, D_IN), random_inputs(B, D) / 2, random_inputs(B, D) * 2
    state = (h, c) if isinstance(ours, LSTMCell) else h
    got, expected = ours(x, state), theirs(x, state)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_gradients_over_padded_sequences_are_torchs(
    name: str, bidirectional: bool
) -> None:
    ours, theirs = pair_of_layers(name, bidirectional)
    inputs = random_inputs(B, T, D_IN).requires_grad_()
    got, expected = ours(inputs, MASK), torch_packed(theirs, inputs, LENGTHS)
    torch.testing.assert_close(got[0], expected[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(got[1], expected[1], rtol=0, atol=1e-10)
    ours_by, theirs_by = gradients(ours, inputs, *got), gradients(theirs, inputs, *expected)
    assert len(ours_by) == len(theirs_by) == (9 if bidirectional else 5)
    for one, other in zip(ours_by, theirs_by, strict=True):
        assert other.abs().max() > 1e-3
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    torch.testing.assert_close(ours(inputs)[0], theirs(inputs)[0], rtol=0, atol=1e-10)  # no mask


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_fast_layer_computes_what_torch_does_on_packed_sequences(
    name: str, bidirectional: bool
) -> None:
    _, theirs = pair_of_layers(name, bidirectional)
    fast = FastLayer(name, D_IN, D, bidirectional).double()
    weights = theirs.state_dict()
    forth = {key: value for key, value in weights.items() if not key.endswith("_reverse")}
    fast.forth.load_state_dict(forth)
    if fast.back is not None:
        back = {key: value for key, value in weights.items() if key.endswith("_reverse")}
        fast.back.load_state_dict({key.removesuffix("_reverse"): back[key] for key in back})
    inputs = random_inputs(B, T, D_IN).requires_grad_()
    got, expected = fast(inputs, MASK), torch_packed(theirs, inputs, LENGTHS)
    torch.testing.assert_close(got[0], expected[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(got[1], expected[1], rtol=0, atol=1e-10)
    for one, other in zip(
        gradients(fast, inputs, *got), gradients(theirs, inputs, *expected), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_the_cells_start_as_torchs_do_with_small_numbers_of_both_signs() -> None:
    torch.manual_seed(0)
    weights = torch.cat([parameter.flatten() for parameter in LSTMCell(50, 16).parameters()])
    assert weights.abs().max() <= 1 / 4
    assert weights.std().item() == pytest.approx(
        1 / 4 / math.sqrt(3), rel=0.03
    )  # of a uniform distribution


# --- padding -------------------------------------------------------------------------------------


def layers_that_take_a_mask() -> list[nn.Module]:
    torch.manual_seed(2)
    ours = [rnn.LAYERS[name](D_IN, D, both) for name in NAMES for both in (False, True)]
    return ours + [FastLayer(name, D_IN, D, both) for name in NAMES for both in (False, True)]


@pytest.mark.parametrize("layer", layers_that_take_a_mask())
def test_padding_never_changes_an_output(layer: nn.Module) -> None:
    """A row alone, with padding, and with padding full of large numbers gives the same."""
    inputs = random_inputs(B, T, D_IN).float()
    loud = torch.where(MASK[:, :, None], inputs, torch.full_like(inputs, 1000.0))
    outputs, last = layer(inputs, MASK)
    loud_outputs, loud_last = layer(loud, MASK)
    torch.testing.assert_close(loud_outputs, outputs, rtol=0, atol=1e-6)
    torch.testing.assert_close(loud_last, last, rtol=0, atol=1e-6)
    for row, length in enumerate(LENGTHS):
        alone_outputs, alone_last = layer(
            inputs[row : row + 1, :length], MASK[row : row + 1, :length]
        )
        torch.testing.assert_close(outputs[row, :length], alone_outputs[0], rtol=0, atol=1e-6)
        torch.testing.assert_close(last[row], alone_last[0], rtol=0, atol=1e-6)
        assert not outputs[row, length:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_padding_never_changes_a_classification(kind: str) -> None:
    torch.manual_seed(3)
    model = TextClassifier(kind, D_IN, topics=3, D=D).eval()
    inputs = random_inputs(B, T, D_IN).float() * MASK[:, :, None]  # zeros on padding
    logits = model(inputs, MASK)
    for row, length in enumerate(LENGTHS):
        alone = model(inputs[row : row + 1, :length], MASK[row : row + 1, :length])
        torch.testing.assert_close(logits[row], alone[0], rtol=0, atol=1e-6)


def test_a_mask_that_torchs_layers_would_misread_is_refused() -> None:
    assert lengths_of(MASK).tolist() == LENGTHS
    with pytest.raises(ValueError, match="left of a real token"):
        lengths_of(torch.tensor([[True, False, True]]))
    with pytest.raises(ValueError, match="row 1 of the mask has no real token"):
        lengths_of(torch.tensor([[True, False], [False, False]]))


def test_rows_are_padded_at_the_right_and_the_mask_says_where() -> None:
    token_ids, mask = pad([[5, 6, 7], [8]], filling=9)
    assert token_ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[True, True, True], [True, False, False]]


@settings(deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_reversing_twice_gives_the_rows_back_and_once_turns_only_real_tokens(
    lengths: list[int],
) -> None:
    token_ids, mask = pad([list(range(1, length + 1)) for length in lengths])
    values = token_ids[:, :, None]
    turned = reverse_tokens(values, mask)
    assert [row[:length] for row, length in zip(turned[..., 0].tolist(), lengths, strict=True)] == [
        list(range(length, 0, -1)) for length in lengths
    ]
    assert torch.equal(reverse_tokens(turned, mask), values)
    assert last_outputs(values, mask)[:, 0].tolist() == lengths
    assert all_real(values).all()


# --- gates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_gates_that_are_drawn_give_the_states_that_are_computed(name: str) -> None:
    ours, _ = pair_of_layers(name, bidirectional=False)
    inputs = random_inputs(B, T, D_IN)
    gates = ours.gates(inputs, MASK)
    outputs, _ = ours(inputs, MASK)
    torch.testing.assert_close(gates["state"], outputs, rtol=0, atol=1e-12)
    if name == "lstm":
        before = torch.cat([torch.zeros(B, 1, D), gates["memory"][:, :-1]], dim=1)
        memory = (gates["forget"] * before + gates["input"] * gates["candidate"]) * MASK[:, :, None]
        torch.testing.assert_close(gates["memory"], memory, rtol=0, atol=1e-12)
        torch.testing.assert_close(
            gates["state"], gates["output"] * memory.tanh(), rtol=0, atol=1e-12
        )
    if name == "gru":
        before = torch.cat([torch.zeros(B, 1, D), gates["state"][:, :-1]], dim=1)
        state = gates["update"] * before + (1 - gates["update"]) * gates["candidate"]
        torch.testing.assert_close(gates["state"], state * MASK[:, :, None], rtol=0, atol=1e-12)


def test_open_forget_gates_keep_most_of_the_memory_at_first() -> None:
    torch.manual_seed(0)
    closed, opened = nn.LSTM(D_IN, 64), nn.LSTM(D_IN, 64)
    open_forget_gates(opened)
    kept = []
    for layer in (closed, opened):
        ours = rnn.LSTM(D_IN, 64)
        copy_weights(ours, layer)
        kept.append(ours.gates(torch.zeros(1, 3, D_IN))["forget"].mean().item())
    assert kept[0] == pytest.approx(0.5, abs=0.03)
    assert kept[1] == pytest.approx(0.73, abs=0.03)  # sigmoid(1)


# --- the classifier and the encoder-decoder ------------------------------------------------------


def test_only_the_bag_cannot_tell_one_order_from_another() -> None:
    torch.manual_seed(4)
    inputs = random_inputs(1, T, D_IN).float()
    for kind in KINDS:
        model = TextClassifier(kind, D_IN, topics=3, D=D).eval()
        mask = all_real(inputs)
        difference = (model(inputs, mask) - model(inputs.flip(1), mask)).abs().max()
        assert (difference < 1e-6) == (kind == "bag"), kind
    with pytest.raises(ValueError, match="bag, rnn, lstm, bilstm"):
        TextClassifier("gpt", D_IN, topics=3)


def test_teacher_forcing_gives_each_place_only_what_stands_before_it() -> None:
    torch.manual_seed(5)
    model = EncoderDecoder(D=16)
    source_ids, source_mask, target_ids = collate(make_dates(3, seed=0))
    logits = model(source_ids, source_mask, target_ids[:, :-1])
    assert logits.shape == (3, target_ids.shape[1] - 1, len(CHARACTERS))
    changed = target_ids[:, :-1].clone()
    changed[:, 6] = CHARACTERS.ids["9"]
    changed[:, 6] += changed[:, 6] == target_ids[:, 6]
    again = model(source_ids, source_mask, changed)
    assert torch.equal(again[:, :6], logits[:, :6])
    assert (again[:, 6:] - logits[:, 6:]).abs().amax(dim=(1, 2)).min() > 0


def test_the_source_reaches_the_decoder_through_one_vector_of_d_numbers() -> None:
    model = EncoderDecoder(D=16)
    short = encode_written(["1.1.1700"])
    long = encode_written(["Sunday, the first day of March in the year two thousand and one"])
    assert model.encode(*short).shape == model.encode(*long).shape == (1, 16)


def test_padding_never_changes_a_vector_or_a_score_of_the_encoder_decoder() -> None:
    torch.manual_seed(7)
    model = EncoderDecoder(D=16)
    source_ids, source_mask, target_ids = collate(make_dates(6, seed=0))
    vectors, logits = (
        model.encode(source_ids, source_mask),
        model(source_ids, source_mask, target_ids[:, :-1]),
    )
    for row, length in enumerate(lengths_of(source_mask).tolist()):
        alone = source_ids[row : row + 1, :length], source_mask[row : row + 1, :length]
        torch.testing.assert_close(model.encode(*alone)[0], vectors[row], rtol=0, atol=1e-6)
        torch.testing.assert_close(
            model(*alone, target_ids[row : row + 1, :-1])[0], logits[row], rtol=0, atol=1e-6
        )


def test_greedy_decoding_writes_what_teacher_forcing_scores_highest() -> None:
    torch.manual_seed(6)
    model = EncoderDecoder(D=16)
    written = ["3 May 1871", "the twenty-third of November, nineteen hundred and five"]
    source_ids, source_mask = encode_written(written)
    answer = model.greedy_decode(source_ids, source_mask, max_length=9)
    assert answer.shape == (2, 9)
    fed = torch.cat([torch.full((2, 1), START_ID), answer[:, :-1]], dim=1)
    assert torch.equal(model(source_ids, source_mask, fed).argmax(-1), answer)
    alone = model.greedy_decode(*encode_written(written[:1]), max_length=9)
    assert torch.equal(alone[0], answer[0])


def test_greedy_decoding_stops_when_every_row_has_ended() -> None:
    model = EncoderDecoder(D=16)
    with torch.no_grad():
        model.output.bias[END_ID] += 100
    assert model.greedy_decode(
        *encode_written(["3 May 1871", "1.1.1700"]), max_length=9
    ).tolist() == [[END_ID], [END_ID]]


def test_gradients_reach_every_parameter_of_the_models() -> None:
    model = EncoderDecoder(D=16)
    source_ids, source_mask, target_ids = collate(make_dates(8, seed=0))
    model(source_ids, source_mask, target_ids[:, :-1]).square().mean().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())
    for kind in KINDS:
        classifier = TextClassifier(kind, D_IN, topics=3, D=D)
        classifier(random_inputs(B, T, D_IN).float(), MASK).square().mean().backward()
        assert all(parameter.grad.abs().max() > 0 for parameter in classifier.parameters()), kind
