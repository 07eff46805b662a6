"""RNN, LSTM and GRU against torch's own, forward and backward; padding; the two models."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from src import rnn
from src.dates import encode_written
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
    learn_first_symbol,
    lengths_of,
    open_forget_gates,
    pad,
    reverse_tokens,
    start,
)
from tests.unit.networks import DATE_MODEL_CHECKS, gradients, normal, shake

B, T, D_IN, D = 4, 7, 5, 6
LENGTHS = [7, 3, 1, 5]
MASK = torch.tensor([[t < length for t in range(T)] for length in LENGTHS])
NAMES = ("rnn", "lstm", "gru")


def pair_of_layers(name: str, bidirectional: bool) -> tuple[rnn.Layer, nn.RNNBase]:
    """Ours and torch's, with the same weights, in double precision."""
    torch.manual_seed(1)
    theirs = rnn.TORCH_LAYERS[name](D_IN, D, batch_first=True, bidirectional=bidirectional).double()
    ours = rnn.LAYERS[name](D_IN, D, bidirectional).double()
    copy_weights(ours, theirs)
    return ours, theirs


def fast_layer(name: str, theirs: nn.RNNBase) -> FastLayer:
    """The fast one with the weights of torch's, which may have two directions."""
    fast = FastLayer(name, D_IN, D, theirs.bidirectional).double()
    weights = theirs.state_dict()
    back = {key: weights.pop(key) for key in list(weights) if key.endswith("_reverse")}
    fast.forth.load_state_dict(weights)
    if back:
        fast.back.load_state_dict({key.removesuffix("_reverse"): back[key] for key in back})
    return fast


def torch_packed(layer: nn.RNNBase, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """torch's way with padding: outputs float[B, T, ...] and the last states side by side."""
    options = {"batch_first": True, "enforce_sorted": False}
    packed = nn.utils.rnn.pack_padded_sequence(inputs, torch.tensor(LENGTHS), **options)
    outputs, state = layer(packed)
    outputs, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    last = state[0] if isinstance(state, tuple) else state
    return outputs, torch.cat(list(last), dim=-1)


def gradients_of(layer: nn.Module, inputs: Tensor, found: tuple[Tensor, Tensor]) -> tuple:
    """By the inputs and all parameters, of outputs and last states together."""
    together = torch.cat([part.flatten() for part in found])
    return gradients(together, [inputs, *layer.parameters()])


# --- equal to torch ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"), [(RNNCell, nn.RNNCell), (LSTMCell, nn.LSTMCell), (GRUCell, nn.GRUCell)]
)
def test_one_step_of_each_cell_is_torchs(ours, theirs):
    theirs, ours = theirs(D_IN, D).double(), ours(D_IN, D).double()
    ours.load_state_dict(theirs.state_dict())
    x, h, c = normal(B, D_IN), normal(B, D, seed=1) / 2, normal(B, D, seed=2) * 2
    state = (h, c) if isinstance(ours, LSTMCell) else h
    assert_close(ours(x, state), theirs(x, state), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_gradients_over_padded_sequences_are_torchs(name, bidirectional):
    ours, theirs = pair_of_layers(name, bidirectional)
    inputs = normal(B, T, D_IN)
    expected = torch_packed(theirs, inputs)
    expected_gradients = gradients_of(theirs, inputs, expected)
    assert all(gradient.abs().max() > 1e-3 for gradient in expected_gradients)
    for layer in (ours, fast_layer(name, theirs)):
        found = layer(inputs, MASK)
        assert_close(found, expected, rtol=0, atol=1e-10)
        assert_close(gradients_of(layer, inputs, found), expected_gradients, rtol=0, atol=1e-10)
    assert_close(ours(inputs)[0], theirs(inputs)[0], rtol=0, atol=1e-10)  # no mask


def test_the_cells_start_as_torchs_do_with_small_numbers_of_both_signs():
    torch.manual_seed(0)
    weights = torch.cat([parameter.flatten() for parameter in LSTMCell(50, 16).parameters()])
    assert weights.abs().max() <= 1 / 4
    uniform = 1 / 4 / math.sqrt(3)
    assert weights.std().item() == pytest.approx(uniform, rel=0.03)


# --- padding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_padding_never_changes_an_output(name, bidirectional):
    """A row alone, with padding, and with padding full of large numbers gives the same."""
    inputs = normal(B, T, D_IN)
    loud = inputs.masked_fill(~MASK[:, :, None], 1000.0)
    ours, theirs = pair_of_layers(name, bidirectional)
    for layer in (ours, fast_layer(name, theirs)):
        outputs, last = layer(inputs, MASK)
        assert_close(layer(loud, MASK), (outputs, last))
        for row, length in enumerate(LENGTHS):
            alone, alone_last = layer(inputs[row : row + 1, :length], MASK[row : row + 1, :length])
            assert_close(outputs[row, :length], alone[0])
            assert_close(last[row], alone_last[0])
            assert not outputs[row, length:].any()


def test_a_mask_that_torchs_layers_would_misread_is_refused():
    assert lengths_of(MASK).tolist() == LENGTHS
    with pytest.raises(ValueError, match="left of a real token"):
        lengths_of(torch.tensor([[True, False, True]]))
    with pytest.raises(ValueError, match="row 1 of the mask has no real token"):
        lengths_of(torch.tensor([[True, False], [False, False]]))


def test_rows_are_padded_at_the_right_and_the_mask_says_where():
    token_ids, mask = pad([[5, 6, 7], [8]])
    assert token_ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert torch.equal(pad([[5, 6, 7], [8]], filling=9)[0], token_ids.masked_fill(~mask, 9))
    assert mask.tolist() == [[True, True, True], [True, False, False]]


def test_reversing_turns_only_real_tokens_and_the_last_output_is_that_of_a_real_one():
    token_ids, mask = pad([[1, 2, 3], [4], [5, 6]])
    values = token_ids[:, :, None]
    turned = reverse_tokens(values, mask)
    assert turned[..., 0].tolist() == [[3, 2, 1], [4, 0, 0], [6, 5, 0]]
    assert last_outputs(values, mask)[:, 0].tolist() == [3, 4, 6]


# --- gates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "gate"), [("lstm", "forget"), ("gru", "update")])
def test_open_forget_gates_keep_most_of_the_memory_at_first(name, gate):
    torch.manual_seed(0)
    for bias, kept in ((0, 0.5), (1, 0.73), (3, 0.95)):  # the sigmoid of the bias
        theirs, ours = rnn.TORCH_LAYERS[name](D_IN, 64), rnn.LAYERS[name](D_IN, 64)
        open_forget_gates(theirs, bias)
        copy_weights(ours, theirs)
        nothing = torch.zeros(1, D_IN)
        opened = ours.cell.gates(nothing, ours.cell.start(nothing))[gate]
        assert opened.mean().item() == pytest.approx(kept, abs=0.03)


def test_a_start_that_keeps_turns_the_state_without_shortening_it_or_opens_a_gate():
    weight = start("tanh RNN, orthogonal", 4, 16).weight_hh_l0
    assert_close(weight @ weight.T, torch.eye(16))
    for name in ("LSTM", "GRU"):
        plain, keeping = (start(name + more, 4, 64).bias_ih_l0 for more in ("", ", bias + 3"))
        added = (keeping - plain).view(-1, 64).mean(1)
        assert added[:3].tolist() == pytest.approx([0, 3, 0], abs=0.1)


def test_the_first_symbol_is_learned_where_it_is_near_and_guessed_where_nothing_is():
    torch.manual_seed(0)
    assert learn_first_symbol(nn.GRU(4, 16, batch_first=True), length=2, lessons=150) > 0.95
    guess = learn_first_symbol(nn.GRU(4, 16, batch_first=True), length=2, lessons=0)
    assert guess == pytest.approx(0.25, abs=0.1)


# --- the classifier and the encoder-decoder ------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_classifier_sees_no_padding_and_all_its_parameters_learn(kind):
    model = shake(TextClassifier(kind, D_IN, topics=3, D=D).double()).eval()
    inputs = normal(B, T, D_IN) * MASK[:, :, None]  # zeros on padding
    logits = model(inputs, MASK)
    for row, length in enumerate(LENGTHS):
        alone = model(inputs[row : row + 1, :length], MASK[row : row + 1, :length])
        assert_close(logits[row], alone[0])
    logits.square().mean().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


def test_only_what_is_blind_to_order_cannot_tell_one_order_from_another():
    inputs = normal(1, T, D_IN)
    for kind in KINDS:
        model = shake(TextClassifier(kind, D_IN, topics=3, D=D).double()).eval()
        mask = all_real(inputs)
        difference = (model(inputs, mask) - model(inputs.flip(1), mask)).abs().max()
        assert (difference < 1e-6) == (kind in ("bag", "words")), kind
    with pytest.raises(ValueError, match="bag, words, rnn, lstm, bilstm"):
        TextClassifier("gpt", D_IN, topics=3)


@pytest.fixture
def model() -> EncoderDecoder:
    return shake(EncoderDecoder(D=16).double(), 1.0)


@pytest.mark.parametrize("check", DATE_MODEL_CHECKS)
def test_the_encoder_decoder_is_a_date_model(check, model):
    check(model)


def test_the_source_reaches_the_decoder_through_one_vector_of_d_numbers(
    model,
):
    long = "Sunday, the first day of March in the year two thousand and one"
    for text in ("1.1.1700", long):
        assert model.encode(*encode_written([text])).shape == (1, 16)
