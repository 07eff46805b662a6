"""Recurrent networks: cells, layers, a text classifier, an encoder-decoder (notebook 03).

    layer = LSTM(50, 64)                         # equals nn.LSTM; see copy_weights
    outputs, last = layer(inputs, mask)          # float[B, T, 64], float[B, 64]
    train_dates(EncoderDecoder(), minutes=1)     # one vector between reading and writing

RNN, LSTM and GRU are written to be read: a loop over time, one step as a formula. `FastLayer`
computes the same by torch's own layers, several times as fast; the two models are built on it.
B: batch, T and S: time steps, D: width of the state, D_in: width of an input, V: vocabulary.
A mask is bool[B, T], True on real tokens, which are at the left.

Sources: Elman 1990 (RNN); Hochreiter and Schmidhuber 1997, Gers et al. 2000 (LSTM, forget gate);
Cho et al. 2014 (GRU, encoder-decoder); Schuster and Paliwal 1997 (both directions); Sutskever et
al. 2014 (sequence to sequence).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src import compute
from src.dates import CHARACTERS, START_ID

State = Tensor | tuple[Tensor, Tensor]  # an LSTM's (h, c), else h alone; each float[B, D]

# --- one step


class Cell(nn.Module):
    """What the three cells share: weights for the input and for the state, as torch names them.

    A cell gives `forward(x, state)`, the next state; x is float[B, D_in]. The gated ones also give
    `gates(x, state)`, those of one step by name, float[B, D] each.
    """

    blocks: int  # of D rows that each weight has

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
        """The state before the first step, zeros, for inputs like `x`."""
        return x.new_zeros(len(x), self.D)

    def forward(self, x: Tensor, state: State) -> State:
        """The next state, from x: float[B, D_in] and the state, float[B, D] (an LSTM's: two)."""
        raise NotImplementedError


class RNNCell(Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh)"""

    blocks = 1

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        from_input = x @ self.weight_ih.T + self.bias_ih
        return torch.tanh(from_input + h @ self.weight_hh.T + self.bias_hh)


class LSTMCell(Cell):
    """Two states: the memory c is only multiplied and added to; h is shown.

    c' = forget * c + input * candidate
    h' = output * tanh(c')
    """

    blocks = 4

    def start(self, x: Tensor) -> State:
        return x.new_zeros(len(x), self.D), x.new_zeros(len(x), self.D)

    def gates(self, x: Tensor, state: State) -> dict[str, Tensor]:
        h, _ = state
        from_input = x @ self.weight_ih.T + self.bias_ih
        mixed = from_input + h @ self.weight_hh.T + self.bias_hh  # [B, 4 D]
        i, f, g, o = mixed.chunk(4, dim=-1)  # [B, D] each, in torch's order
        gates = {"input": i.sigmoid(), "forget": f.sigmoid()}
        return gates | {"candidate": g.tanh(), "output": o.sigmoid()}

    def forward(self, x: Tensor, state: State) -> State:
        gates = self.gates(x, state)
        c = gates["forget"] * state[1] + gates["input"] * gates["candidate"]
        return gates["output"] * torch.tanh(c), c


class GRUCell(Cell):
    """One state, two gates: h' = update * h + (1 - update) * candidate"""

    blocks = 3

    def gates(self, x: Tensor, h: Tensor) -> dict[str, Tensor]:
        from_input = x @ self.weight_ih.T + self.bias_ih
        from_state = h @ self.weight_hh.T + self.bias_hh
        reset_x, update_x, candidate_x = from_input.chunk(3, dim=-1)
        reset_h, update_h, candidate_h = from_state.chunk(3, dim=-1)
        reset = (reset_x + reset_h).sigmoid()
        update = (update_x + update_h).sigmoid()
        candidate = torch.tanh(candidate_x + reset * candidate_h)
        return {"reset": reset, "update": update, "candidate": candidate}

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        gates = self.gates(x, h)
        return gates["update"] * h + (1 - gates["update"]) * gates["candidate"]


# --- a cell over a sequence


def select_state(keep: Tensor, new: State, old: State) -> State:
    """The new state of each row where `keep`, bool[B], is True, else the old one."""
    if isinstance(new, tuple):
        return select_state(keep, new[0], old[0]), select_state(keep, new[1], old[1])
    return torch.where(keep[:, None], new, old)


def hidden(state: State) -> Tensor:
    """h, float[B, D], of any cell's state."""
    return state[0] if isinstance(state, tuple) else state


class Layer(nn.Module):
    """A cell that runs over sequences from left to right.

    Args:
        D_in: width of the inputs.
        D: width of the state.
        bidirectional: a second cell runs from right to left.
    """

    cell_class: type[Cell]

    def __init__(self, D_in: int, D: int, bidirectional: bool = False):
        super().__init__()
        self.cell = self.cell_class(D_in, D)
        self.reverse_cell = self.cell_class(D_in, D) if bidirectional else None

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read the inputs.

        Args:
            inputs: float[B, T, D_in].
            mask: bool[B, T], True on real tokens; None: all are.

        Returns:
            outputs float[B, T, D], h after each token, zeros on padding, and the last h of each
            row, float[B, D]. In both directions each is 2 D wide, left to right first; the last h
            of the second direction is that after the first token.
        """
        mask = all_real(inputs) if mask is None else mask
        times = range(inputs.shape[1])
        outputs, last = self._run(self.cell, inputs, mask, times)
        if self.reverse_cell is None:
            return outputs, last
        back, first = self._run(self.reverse_cell, inputs, mask, reversed(times))
        return torch.cat([outputs, back], dim=-1), torch.cat([last, first], dim=-1)

    @staticmethod
    def _run(
        cell: Cell, inputs: Tensor, mask: Tensor, times: Iterable[int]
    ) -> tuple[Tensor, Tensor]:
        """One direction, with the steps in the order of `times`."""
        state = cell.start(inputs[:, 0])
        outputs: list[Tensor] = [inputs] * inputs.shape[1]
        for t in times:
            # Padding leaves the state as it was.
            state = select_state(mask[:, t], cell(inputs[:, t], state), state)
            outputs[t] = hidden(state) * mask[:, t, None]
        return torch.stack(outputs, dim=1), hidden(state)


class RNN(Layer):
    """`RNNCell` over float[B, T, D_in]: h after each token, float[B, T, D], and the last one."""

    cell_class = RNNCell


class LSTM(Layer):
    """`LSTMCell`, with the shapes of `RNN`: only h is given, not c."""

    cell_class = LSTMCell


class GRU(Layer):
    """`GRUCell`, with the shapes of `RNN`."""

    cell_class = GRUCell


LAYERS: dict[str, type[Layer]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
TORCH_LAYERS: dict[str, Any] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def copy_weights(layer: Layer, source: nn.RNNBase) -> None:
    """Give our layer the weights of torch's: an nn.RNN, nn.LSTM or nn.GRU with one layer."""
    weights, names = source.state_dict(), ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    layer.cell.load_state_dict({name: weights[f"{name}_l0"] for name in names})
    if layer.reverse_cell is not None:
        layer.reverse_cell.load_state_dict({name: weights[f"{name}_l0_reverse"] for name in names})


# --- padding


def all_real(inputs: Tensor) -> Tensor:
    """The mask of a batch without padding, bool[B, T], for inputs [B, T, ...]."""
    return inputs.new_ones(inputs.shape[:2], dtype=torch.bool)


def pad(rows: Sequence[Sequence[int]], filling: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of token ids of any lengths as one rectangle int64[B, T], and its mask bool[B, T]."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    token_ids = torch.full(mask.shape, filling, dtype=torch.int64)
    token_ids[mask] = torch.tensor([i for row in rows for i in row], dtype=torch.int64)
    return token_ids, mask


def lengths_of(mask: Tensor) -> Tensor:
    """How many real tokens each row has, int64[B].

    Raises:
        ValueError: a row has none, or padding left of a real token: torch would read that.
    """
    lengths = mask.sum(1)
    if not (mask == (torch.arange(mask.shape[1], device=mask.device) < lengths[:, None])).all():
        found = "the mask has padding left of a real token"
        raise ValueError(f"{found}; put padding at the end of each row.")
    if not lengths.all():
        row = lengths.tolist().index(0)
        raise ValueError(f"row {row} of the mask has no real token; leave such rows out.")
    return lengths


def last_outputs(outputs: Tensor, mask: Tensor) -> Tensor:
    """The output at the last real token of each row: float[B, T, D], bool[B, T] -> float[B, D]."""
    return outputs[torch.arange(len(outputs)), lengths_of(mask) - 1]


def reverse_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """[B, T, D] with the real tokens of each row in reverse order, and its padding where it was."""
    lengths = lengths_of(mask)[:, None]
    places = torch.arange(mask.shape[1], device=mask.device)
    places = torch.where(mask, lengths - 1 - places, places)  # [B, T]
    return values[torch.arange(len(values))[:, None], places]


class FastLayer(nn.Module):
    """The same as RNN, LSTM or GRU by torch's own layer, several times as fast.

    A layer from left to right meets padding only after everything that counts. The second
    direction reads each row reversed within its length. (nn.utils.rnn.pack_padded_sequence gives
    the same numbers, and on a CPU takes two to eight times as long.)

    Args:
        kind: "rnn", "lstm" or "gru".
        D_in, D, bidirectional: as in `Layer`.
    """

    def __init__(self, kind: str, D_in: int, D: int, bidirectional: bool = False):
        super().__init__()
        self.forth = TORCH_LAYERS[kind](D_in, D, batch_first=True)
        self.back = TORCH_LAYERS[kind](D_in, D, batch_first=True) if bidirectional else None

    def forward(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `Layer.forward`."""
        outputs = self.forth(inputs)[0] * mask[:, :, None]
        last = last_outputs(outputs, mask)
        if self.back is None:
            return outputs, last
        reversed_outputs = self.back(reverse_tokens(inputs, mask))[0] * mask[:, :, None]
        back = reverse_tokens(reversed_outputs, mask)
        first = last_outputs(reversed_outputs, mask)
        return torch.cat([outputs, back], dim=-1), torch.cat([last, first], dim=-1)


def open_forget_gates(layer: nn.LSTM | nn.GRU, bias: float = 1) -> None:
    """With more bias an untrained layer begins by keeping most of its memory.

    It is added to an LSTM's forget gate, or to a GRU's update gate: in torch's order of the gates
    each is the second. Jozefowicz, Zaremba and Sutskever 2015 add 1.
    """
    D = layer.hidden_size
    with torch.no_grad():
        layer.bias_ih_l0[D : 2 * D] += bias


# name -> torch's layer, what is added to the bias of the gate that keeps, whether W_h begins
# orthogonal; "tanh RNN", "LSTM" and "GRU" are as torch starts them
STARTS = {
    "GRU": (nn.GRU, 0, False),
    "GRU, bias + 3": (nn.GRU, 3, False),
    "LSTM": (nn.LSTM, 0, False),
    "LSTM, bias + 1": (nn.LSTM, 1, False),
    "LSTM, bias + 3": (nn.LSTM, 3, False),
    "tanh RNN": (nn.RNN, 0, False),
    "tanh RNN, orthogonal": (nn.RNN, 0, True),
}


def start(name: str, D_in: int, D: int) -> nn.RNNBase:
    """An untrained layer of torch, started as `STARTS` says."""
    kind, bias, orthogonal = STARTS[name]
    layer = kind(D_in, D, batch_first=True)
    if bias:
        open_forget_gates(layer, bias)
    if orthogonal:
        nn.init.orthogonal_(layer.weight_hh_l0)
    return layer


@compute.one_thread()  # for layers this small a second gains little
def learn_first_symbol(
    layer: nn.RNNBase,
    length: int = 20,
    lessons: int = 800,
    learning_rate: float = 5e-3,
) -> float:
    """Teach a layer to say, after `length` symbols, which of four came first.

    All after the first is noise, and every lesson is as long: no short one
    shows the way. A lesson is a batch of 64.

    Args:
        layer: an untrained nn.RNN, nn.LSTM or nn.GRU with inputs of 4 numbers.

    Returns:
        The share right of 1,000 new sequences, 0 to 1; a guess has 0.25.
    """
    output = nn.Linear(layer.hidden_size, 4)
    weights = [*layer.parameters(), *output.parameters()]
    optimizer = torch.optim.Adam(weights, lr=learning_rate)
    for lesson in range(lessons + 1):
        symbols = torch.randint(4, (64 if lesson < lessons else 1000, length))
        outputs, _ = layer(F.one_hot(symbols, 4).float())
        logits = output(outputs[:, -1])  # float[B, 4]
        if lesson < lessons:
            optimizer.zero_grad()
            F.cross_entropy(logits, symbols[:, 0]).backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
    return (logits.argmax(-1) == symbols[:, 0]).float().mean().item()


# --- a text's topic

KINDS = ("bag", "words", "rnn", "lstm", "bilstm")


class WordLayer(nn.Module):
    """A hidden layer for each word by itself, blind to order; used as `FastLayer` is."""

    def __init__(self, D_in: int, D: int):
        super().__init__()
        self.hidden = nn.Linear(D_in, D)

    def forward(self, inputs: Tensor, mask: Tensor) -> tuple[Tensor, None]:
        """float[B, T, D_in], bool[B, T] -> float[B, T, D], zeros on padding."""
        return self.hidden(inputs).relu() * mask[:, :, None], None


class TextClassifier(nn.Module):
    """Words in, one score per topic out; `kind` says what reads the words.

    "bag" only averages their vectors, "words" gives each a hidden layer first:
    both are blind to order. "rnn" and "lstm" read from left to right, "bilstm"
    in both directions. The outputs are averaged, so that no topic has to wait
    for the last word.
    """

    def __init__(self, kind: str, D_in: int, topics: int, D: int = 64, dropout: float = 0.3):
        super().__init__()
        if kind not in KINDS:
            known = ", ".join(KINDS)
            raise ValueError(f"the kind is {kind!r}; take one of {known}.")
        self.settings = {"kind": kind, "D_in": D_in, "topics": topics}
        self.settings |= {"D": D, "dropout": dropout}
        self.layer = None
        if kind == "words":
            self.layer = WordLayer(D_in, D)
        elif kind != "bag":
            both = kind == "bilstm"
            self.layer = FastLayer(kind.removeprefix("bi"), D_in, D, both)
        self.dropout = nn.Dropout(dropout)
        width = {"bag": D_in, "bilstm": 2 * D}.get(kind, D)
        self.output = nn.Linear(width, topics)

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """float[B, T, D_in] and bool[B, T] -> logits float[B, topics]."""
        outputs = inputs = self.dropout(inputs)
        if self.layer is not None:
            outputs, _ = self.layer(inputs, mask)
        # Padding is zeros and does not count.
        mean = outputs.sum(1) / lengths_of(mask)[:, None]
        return self.output(self.dropout(mean))


# --- encoder and decoder


class EncoderDecoder(nn.Module):
    """One LSTM reads the source, another writes the target.

    All that passes between them is the first one's last state, one vector. Its interface is
    `src.dates.DateModel`.

    Args:
        D: width of that vector.
        D_embedding: width of a character's vector.
        V: characters, the same for both sides.
    """

    def __init__(
        self,
        D: int = 64,
        D_embedding: int = 32,
        V: int = len(CHARACTERS),
    ):
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
        """int64[B, S], bool[B, S] -> the source as one vector, float[B, D]."""
        _, last = self.encoder(self.source_embeddings(source_ids), source_mask)
        return last

    def decode(
        self,
        target_ids: Tensor,
        vector: Tensor,
        state: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Continue writing, with the one vector as an input of each step.

        int64[B, T], float[B, D], state -> logits float[B, T, V], the next state.
        """
        vectors = vector[:, None].expand(-1, target_ids.shape[1], -1)
        inputs = [self.target_embeddings(target_ids), vectors]
        outputs, state = self.decoder(torch.cat(inputs, dim=-1), state)
        return self.output(outputs), state

    @staticmethod
    def first_state(vector: Tensor) -> tuple[Tensor, Tensor]:
        """The decoder's state before it writes: h is the vector, c is empty; 2 x float[1, B, D]."""
        return vector[None].contiguous(), torch.zeros_like(vector)[None]

    def forward(
        self,
        source_ids: Tensor,
        source_mask: Tensor,
        target_ids: Tensor,
    ) -> Tensor:
        """Teacher forcing: the decoder reads the right characters."""
        vector = self.encode(source_ids, source_mask)
        logits, _ = self.decode(target_ids, vector, self.first_state(vector))
        return logits

    @torch.no_grad()
    def greedy_decode(self, source_ids: Tensor, source_mask: Tensor, max_length: int) -> Tensor:
        """Write the most likely character, read it back in, and so on, max_length times."""
        vector = self.encode(source_ids, source_mask)
        state = self.first_state(vector)
        written = [torch.full_like(source_ids[:, :1], START_ID)]
        for _ in range(max_length):
            logits, state = self.decode(written[-1], vector, state)
            written.append(logits.argmax(-1))  # [B, 1]
        return torch.cat(written[1:], dim=1)
