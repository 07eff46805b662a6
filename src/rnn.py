"""Recurrent networks from scratch: cells, layers over padded sequences, a text classifier, an encoder-decoder (notebook 03).

    layer = LSTM(50, 64)                                       # equals nn.LSTM; see copy_weights
    outputs, last = layer(inputs, mask)                        # float[B, T, 64], float[B, 64]; padding changes neither
    layer.gates(inputs, mask)["forget"]                        # float[B, T, 64], for drawing
    model = EncoderDecoder()                                   # one vector between reading and writing: the bottleneck
    train_dates(model, minutes=1)

RNN, LSTM and GRU are written to be read: a loop over time, one step as a formula. `FastLayer` computes the same by torch's own
layers, several times as fast, and is what the two models are built on. B: batch, T and S: time steps, D: width of the state,
D_in: width of an input, V: vocabulary. A mask is bool[B, T], True on real tokens, which stand at the left.

Sources: Elman 1990 (RNN); Hochreiter and Schmidhuber 1997, and Gers et al. 2000 for the forget gate (LSTM); Cho et al. 2014 (GRU,
encoder-decoder); Schuster and Paliwal 1997 (both directions); Sutskever et al. 2014 (sequence to sequence with LSTM).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from src.dates import CHARACTERS, END_ID, START_ID

State = Tensor | tuple[Tensor, Tensor]  # of an LSTM a pair (h, c), of the others h alone; each float[B, D]

# --- one step ------------------------------------------------------------------------------------------------------------


class Cell(nn.Module):
    """What the three cells share: weights for the input and for the state, `blocks` of D rows each, named and drawn as in torch."""

    blocks: int

    def __init__(self, D_in: int, D: int):
        super().__init__()
        self.D = D
        self.weight_ih = nn.Parameter(torch.empty(self.blocks * D, D_in))
        self.weight_hh = nn.Parameter(torch.empty(self.blocks * D, D))
        self.bias_ih = nn.Parameter(torch.empty(self.blocks * D))
        self.bias_hh = nn.Parameter(torch.empty(self.blocks * D))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(D), 1 / math.sqrt(D))

    def start(self, x: Tensor) -> State:
        """The state before the first step: zeros.   x: float[B, D_in]"""
        return x.new_zeros(len(x), self.D)

    def gates(self, x: Tensor, state: State) -> dict[str, Tensor]:
        """The gates of one step by name, each float[B, D]."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: State) -> State:
        """One step.   x: float[B, D_in]   Returns the next state."""
        raise NotImplementedError


class RNNCell(Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh)"""

    blocks = 1

    def gates(self, x: Tensor, h: Tensor) -> dict[str, Tensor]:
        return {}  # it has none: every step writes the whole state anew

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(x @ self.weight_ih.T + self.bias_ih + h @ self.weight_hh.T + self.bias_hh)


class LSTMCell(Cell):
    """Two states: c, the memory, is only multiplied and added to; h is what the cell shows of it.

    c' = forget * c + input * candidate      h' = output * tanh(c')
    """

    blocks = 4

    def start(self, x: Tensor) -> State:
        return x.new_zeros(len(x), self.D), x.new_zeros(len(x), self.D)

    def gates(self, x: Tensor, state: State) -> dict[str, Tensor]:
        h, _ = state
        mixed = x @ self.weight_ih.T + self.bias_ih + h @ self.weight_hh.T + self.bias_hh  # [B, 4 D]
        i, f, g, o = mixed.chunk(4, dim=-1)  # [B, D] each, in torch's order
        return {"input": i.sigmoid(), "forget": f.sigmoid(), "candidate": g.tanh(), "output": o.sigmoid()}

    def forward(self, x: Tensor, state: State) -> State:
        gates = self.gates(x, state)
        c = gates["forget"] * state[1] + gates["input"] * gates["candidate"]
        return gates["output"] * torch.tanh(c), c


class GRUCell(Cell):
    """h' = update * h + (1 - update) * candidate: one state, two gates."""

    blocks = 3

    def gates(self, x: Tensor, h: Tensor) -> dict[str, Tensor]:
        reset_x, update_x, candidate_x = (x @ self.weight_ih.T + self.bias_ih).chunk(3, dim=-1)
        reset_h, update_h, candidate_h = (h @ self.weight_hh.T + self.bias_hh).chunk(3, dim=-1)
        reset = (reset_x + reset_h).sigmoid()
        candidate = torch.tanh(candidate_x + reset * candidate_h)
        return {"reset": reset, "update": (update_x + update_h).sigmoid(), "candidate": candidate}

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        gates = self.gates(x, h)
        return gates["update"] * h + (1 - gates["update"]) * gates["candidate"]


# --- a cell over a sequence ----------------------------------------------------------------------------------------------


def choose(keep: Tensor, new: State, old: State) -> State:
    """Of each row the new state where `keep`, bool[B], is True, else the old one."""
    if isinstance(new, tuple):
        return choose(keep, new[0], old[0]), choose(keep, new[1], old[1])
    return torch.where(keep[:, None], new, old)


def shown(state: State) -> Tensor:
    """What a cell lets others see of its state: h, float[B, D]."""
    return state[0] if isinstance(state, tuple) else state


class Layer(nn.Module):
    """A cell that goes over sequences from left to right; with `bidirectional` a second one goes from right to left."""

    cell_class: type[Cell]

    def __init__(self, D_in: int, D: int, bidirectional: bool = False):
        super().__init__()
        self.cell = self.cell_class(D_in, D)
        self.reverse_cell = self.cell_class(D_in, D) if bidirectional else None

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """inputs: float[B, T, D_in]   mask: bool[B, T], True on real tokens; None: all are

        Returns outputs float[B, T, D], h after each token, zeros on padding, and the last h of each row, float[B, D].
        In both directions they are float[B, T, 2 D] and float[B, 2 D]: left to right first, and the `last` of the second
        direction is its state after the first token.
        """
        mask = all_real(inputs) if mask is None else mask
        outputs, last = self._run(self.cell, inputs, mask, range(inputs.shape[1]))
        if self.reverse_cell is None:
            return outputs, last
        back, first = self._run(self.reverse_cell, inputs, mask, reversed(range(inputs.shape[1])))
        return torch.cat([outputs, back], dim=-1), torch.cat([last, first], dim=-1)

    @staticmethod
    def _run(cell: Cell, inputs: Tensor, mask: Tensor, times: Sequence[int] | Iterator[int]) -> tuple[Tensor, Tensor]:
        """One direction.   times: the steps in the order in which they are taken"""
        state = cell.start(inputs[:, 0])
        outputs: list[Tensor] = [inputs] * inputs.shape[1]
        for t in times:
            state = choose(mask[:, t], cell(inputs[:, t], state), state)  # padding leaves the state as it was
            outputs[t] = shown(state) * mask[:, t, None]
        return torch.stack(outputs, dim=1), shown(state)

    def gates(self, inputs: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """Every gate of the left-to-right cell at each token, float[B, T, D], 0 on padding; also "state", h, and an LSTM's "memory", c."""
        mask = all_real(inputs) if mask is None else mask
        state = self.cell.start(inputs[:, 0])
        steps = []
        for t in range(inputs.shape[1]):
            gates = self.cell.gates(inputs[:, t], state)
            state = choose(mask[:, t], self.cell(inputs[:, t], state), state)
            more = {"state": shown(state)} | ({"memory": state[1]} if isinstance(state, tuple) else {})
            steps.append({name: values * mask[:, t, None] for name, values in (gates | more).items()})
        return {name: torch.stack([step[name] for step in steps], dim=1) for name in steps[0]}


class RNN(Layer):
    cell_class = RNNCell


class LSTM(Layer):
    cell_class = LSTMCell


class GRU(Layer):
    cell_class = GRUCell


LAYERS: dict[str, type[Layer]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
TORCH_LAYERS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def copy_weights(layer: Layer, source: nn.RNNBase) -> None:
    """Give our layer the weights of torch's: nn.RNN, nn.LSTM or nn.GRU with one layer. Raises RuntimeError where sizes differ."""
    weights = source.state_dict()
    for cell, ending in ((layer.cell, "_l0"), (layer.reverse_cell, "_l0_reverse")):
        if cell is not None:
            cell.load_state_dict({name: weights[name + ending] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")})


# --- padding -------------------------------------------------------------------------------------------------------------


def all_real(inputs: Tensor) -> Tensor:
    """The mask of a batch without padding.   inputs: [B, T, ...]   Returns bool[B, T]."""
    return torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)


def pad(rows: Sequence[Sequence[int]], filling: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of token ids of any lengths as one rectangle.   Returns token_ids int64[B, T] and mask bool[B, T]."""
    T = max(map(len, rows), default=0)
    token_ids = torch.tensor([[*row, *[filling] * (T - len(row))] for row in rows], dtype=torch.int64)
    mask = torch.tensor([[True] * len(row) + [False] * (T - len(row)) for row in rows], dtype=torch.bool)
    return token_ids, mask


def lengths_of(mask: Tensor) -> Tensor:
    """How many real tokens each row has, int64[B].

    Raises ValueError for a row without any, and for padding left of a real token: torch's layers would read it.
    """
    lengths = mask.sum(1)
    if not (mask == (torch.arange(mask.shape[1], device=mask.device) < lengths[:, None])).all():
        raise ValueError("the mask has padding left of a real token; put padding at the end of each row.")
    if not lengths.all():
        raise ValueError(f"row {lengths.tolist().index(0)} of the mask has no real token; leave such rows out.")
    return lengths


def last_outputs(outputs: Tensor, mask: Tensor) -> Tensor:
    """The output at the last real token of each row: outputs[:, -1] would be padding.   float[B, T, D] -> float[B, D]"""
    return outputs[torch.arange(len(outputs)), lengths_of(mask) - 1]


def reverse_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """Each row with its real tokens in reverse order and its padding where it was; done twice it is as before.

    values: [B, T, D]   Returns [B, T, D].
    """
    lengths, places = lengths_of(mask)[:, None], torch.arange(mask.shape[1], device=mask.device)
    places = torch.where(mask, lengths - 1 - places, places)  # [B, T]
    return values[torch.arange(len(values))[:, None], places]


class FastLayer(nn.Module):
    """The same as RNN, LSTM or GRU, computed by torch's own layer: same arguments, same results, several times as fast.

    kind: "rnn", "lstm" or "gru". Padding is at the right, where a layer that goes from left to right meets it only after
    everything that counts: so it may compute what it likes there. The second direction reads each row reversed within its length.
    (nn.utils.rnn.pack_padded_sequence gives the same numbers, and on a processor takes two to eight times as long.)
    """

    def __init__(self, kind: str, D_in: int, D: int, bidirectional: bool = False):
        super().__init__()
        self.forth = TORCH_LAYERS[kind](D_in, D, batch_first=True)
        self.back = TORCH_LAYERS[kind](D_in, D, batch_first=True) if bidirectional else None

    def forward(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """inputs: float[B, T, D_in]   mask: bool[B, T]   Returns outputs and last, as `Layer` does."""
        outputs = self.forth(inputs)[0] * mask[:, :, None]
        last = last_outputs(outputs, mask)
        if self.back is None:
            return outputs, last
        reversed_outputs = self.back(reverse_tokens(inputs, mask))[0] * mask[:, :, None]
        back, first = reverse_tokens(reversed_outputs, mask), last_outputs(reversed_outputs, mask)
        return torch.cat([outputs, back], dim=-1), torch.cat([last, first], dim=-1)


def open_forget_gates(layer: nn.LSTM) -> None:
    """Open the forget gates of an untrained LSTM: with a bias of 1 more, it begins by keeping most of its memory.

    Source: Jozefowicz, Zaremba and Sutskever 2015, "An empirical exploration of recurrent network architectures".
    """
    D = layer.hidden_size
    with torch.no_grad():
        layer.bias_ih_l0[D : 2 * D] += 1


# --- a text's topic ------------------------------------------------------------------------------------------------------

KINDS = ("bag", "rnn", "lstm", "bilstm")


class TextClassifier(nn.Module):
    """Words in, one score per topic out; `kind` says what reads the words.

    "bag": nothing does: their vectors are averaged, in whatever order they stand   "rnn", "lstm": a layer from left to right
    "bilstm": one in each direction. The outputs after all words are averaged, so that no topic has to wait for the last word.
    D_in: width of a word's vector   D: width of the state   topics: how many there are   dropout: share of numbers set to zero
    """

    def __init__(self, kind: str, D_in: int, topics: int, D: int = 64, dropout: float = 0.3):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"there is no kind {kind!r} of classifier; there are {', '.join(KINDS)}.")
        self.settings = {"kind": kind, "D_in": D_in, "topics": topics, "D": D, "dropout": dropout}
        self.layer = None if kind == "bag" else FastLayer(kind.removeprefix("bi"), D_in, D, bidirectional=kind == "bilstm")
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear({"bag": D_in, "bilstm": 2 * D}.get(kind, D), topics)

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """inputs: float[B, T, D_in], zeros on padding   mask: bool[B, T], True on words   Returns logits float[B, topics]."""
        inputs = self.dropout(inputs)
        outputs = inputs if self.layer is None else self.layer(inputs, mask)[0]
        mean = outputs.sum(1) / lengths_of(mask)[:, None]  # padding is zeros and does not count
        return self.output(self.dropout(mean))


# --- encoder and decoder -------------------------------------------------------------------------------------------------


class EncoderDecoder(nn.Module):
    """One LSTM reads the source, another writes the target; all that passes between them is the first one's last state.

    D: width of that one vector   D_embedding: width of a character's vector   V: characters, the same for both sides
    It has the interface of `src.dates.DateModel`.
    """

    def __init__(self, D: int = 64, D_embedding: int = 32, V: int = len(CHARACTERS)):
        super().__init__()
        self.settings = {"D": D, "D_embedding": D_embedding, "V": V}
        self.source_embeddings = nn.Embedding(V, D_embedding)
        self.target_embeddings = nn.Embedding(V, D_embedding)
        self.encoder = FastLayer("lstm", D_embedding, D)
        self.decoder = nn.LSTM(D_embedding + D, D, batch_first=True)
        self.output = nn.Linear(D, V)
        open_forget_gates(self.encoder.forth)
        open_forget_gates(self.decoder)

    def encode(self, source_ids: Tensor, source_mask: Tensor) -> Tensor:
        """The whole source as one vector.   int64[B, S], bool[B, S] -> float[B, D]"""
        _, last = self.encoder(self.source_embeddings(source_ids), source_mask)
        return last

    def decode(self, target_ids: Tensor, vector: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Go on writing, with the one vector in view at each step.

        target_ids: int64[B, T]   vector: float[B, D]   state: of the decoder   Returns logits float[B, T, V] and the next state.
        """
        B, T = target_ids.shape
        inputs = torch.cat([self.target_embeddings(target_ids), vector[:, None].expand(B, T, -1)], dim=-1)
        outputs, state = self.decoder(inputs, state)
        return self.output(outputs), state

    @staticmethod
    def first_state(vector: Tensor) -> tuple[Tensor, Tensor]:
        """The decoder's state before it writes: h is the one vector, the memory c is empty.   float[B, D] -> 2 x float[1, B, D]"""
        return vector[None].contiguous(), torch.zeros_like(vector)[None]

    def forward(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor:
        """Teacher forcing: the decoder reads the right characters, whatever it would have written itself.

        source_ids: int64[B, S]   source_mask: bool[B, S]   target_ids: int64[B, T], from START on   Returns logits float[B, T, V].
        """
        vector = self.encode(source_ids, source_mask)
        logits, _ = self.decode(target_ids, vector, self.first_state(vector))
        return logits

    @torch.no_grad()
    def greedy_decode(self, source_ids: Tensor, source_mask: Tensor, max_length: int) -> Tensor:
        """Write the likeliest character, read it back in, and so on, until every row has its END or max_length is reached.

        Returns int64[B, T] without START; after a row's END come characters that do not count.
        """
        vector = self.encode(source_ids, source_mask)
        state = self.first_state(vector)
        written = torch.full((len(source_ids), 1), START_ID)
        for _ in range(max_length):
            logits, state = self.decode(written[:, -1:], vector, state)
            written = torch.cat([written, logits.argmax(-1)], dim=1)
            if (written == END_ID).any(1).all():
                break
        return written[:, 1:]
