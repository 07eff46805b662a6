"""Attention: each token takes what it needs from other tokens (notebook 04).

    output, weights = scaled_dot_product_attention(query, key, value, mask)
    output, weights = MultiHeadAttention(D=128, H=4)(x, mask=causal_mask(T))  # float[B, H, T, S]
    train_dates(AttentionEncoderDecoder(), minutes=1)  # the date task of `src.dates`

`True` in a mask always means "may be attended to". B: batch, T: queries, S: keys and values,
D: width, H: heads, V: vocabulary.

Sources: Bahdanau, Cho and Bengio 2015 (additive attention); Luong, Pham and Manning 2015 (where
the decoder attends); Vaswani et al. 2017, "Attention is all you need" (the rest).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.dates import CHARACTERS, START_ID
from src.rnn import EncoderDecoder, FastLayer

# --- masks: what may be attended to


def padding_mask(lengths: Tensor, S: int | None = None) -> Tensor:
    """Which positions hold a token, the same for every query: bool[B, 1, S].

    `padding_mask(lengths) & causal_mask(S)` is bool[B, S, S].

    Args:
        lengths: int64[B], tokens of each sequence.
        S: length of the padded batch; None takes the longest.
    """
    S = int(lengths.max()) if S is None else S
    return (torch.arange(S, device=lengths.device) < lengths[:, None])[:, None, :]  # [B, 1, S]


def causal_mask(T: int, S: int | None = None, device: torch.device | None = None) -> Tensor:
    """Each token may attend to itself and to what came before: a triangle, bool[T, S].

    S is the number of tokens in all, of which the T queries are the last; None: T, all of them.
    """
    S = T if S is None else S
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(S - T)


# --- dot products: the attention of transformers


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mix the rows of `value` by how well each `query` matches each `key`.

    softmax(QK^T / sqrt(D)) V, Vaswani et al. 2017, section 3.2.1.

    Args:
        query: float[..., T, D].
        key: float[..., S, D].
        value: float[..., S, D_v].
        mask: bool[..., T, S], True where attention is allowed; None allows all.

    Returns:
        float[..., T, D_v], and the weights float[..., T, S], whose allowed
        entries sum to one in each row. A row that may attend to nothing
        returns zeros.

    Raises:
        ValueError: widths or lengths do not fit.
    """
    _check_fit(query, key, value, mask)
    D = query.shape[-1]
    scores = query @ key.transpose(-2, -1) / math.sqrt(D)  # [..., T, S]
    weights = masked_softmax(scores, mask)
    return weights @ value, weights


def masked_softmax(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scores to weights, float[..., T, S]: each row sums to one, what is not allowed is zero.

    A row of the mask without any True gives zeros.
    """
    if mask is None:
        return torch.softmax(scores, dim=-1)
    # The lowest number, not minus infinity: a row without any True would give 0 / 0.
    weights = torch.softmax(scores.masked_fill(~mask, torch.finfo(scores.dtype).min), dim=-1)
    return weights * mask


def _check_fit(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> None:
    if query.shape[-1] != key.shape[-1]:
        found = f"queries are {query.shape[-1]} wide and keys {key.shape[-1]}"
        raise ValueError(f"{found}; a dot product needs one width for both.")
    if key.shape[-2] != value.shape[-2]:
        found = f"there are {key.shape[-2]} keys for {value.shape[-2]} values"
        raise ValueError(f"{found}; every value needs its key.")
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise ValueError(f"the mask holds {mask.dtype}; give booleans, True where allowed.")
    # From the right, as torch broadcasts: each length must be that of the scores, or 1.
    shape = (*query.shape[:-1], key.shape[-2])
    lengths = zip(mask.shape[::-1], shape[::-1], strict=False)
    if mask.dim() > len(shape) or not all(m in (1, s) for m, s in lengths):
        found = f"a mask of shape {tuple(mask.shape)} does not fit scores of shape {shape}"
        raise ValueError(f"{found}; it must be [..., T, S].")


class KeyValueCache:
    """The keys and values of the tokens so far, so that a new token needs only its own."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None  # float[B, H, S, D / H]
        self.values: Tensor | None = None

    def __len__(self) -> int:
        """S, the tokens it holds."""
        return 0 if self.keys is None else self.keys.shape[-2]

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add those of T new tokens; returns all, float[B, H, S + T, D / H]."""
        if self.keys is not None:
            keys = torch.cat([self.keys, keys], dim=2)
            values = torch.cat([self.values, values], dim=2)
        self.keys, self.values = keys, values
        return keys, values


class MultiHeadAttention(nn.Module):
    """H attentions side by side, each D / H wide; W_o mixes what they find."""

    def __init__(self, D: int, H: int):
        super().__init__()
        if D % H:
            raise ValueError(f"{H} heads cannot share a width of {D} evenly.")
        self.H = H
        self.W_q, self.W_k = nn.Linear(D, D), nn.Linear(D, D)
        self.W_v, self.W_o = nn.Linear(D, D), nn.Linear(D, D)

    def forward(
        self,
        x: Tensor,
        source: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor]:
        """x: float[B, T, D] attends to source: float[B, S, D], or to itself.

        A mask is bool[T, S], bool[B, 1, S] or bool[B, T, S]. A cache holds the
        keys and values of earlier tokens; those of this call are added.
        Returns float[B, T, D] and the weights float[B, H, T, S].
        """
        source = x if source is None else source
        query = self.split(self.W_q(x))
        key, value = self.split(self.W_k(source)), self.split(self.W_v(source))
        if cache is not None:
            key, value = cache.extend(key, value)
        if mask is not None and mask.dim() == 3:
            mask = mask[:, None]  # [B, 1, T, S]: the same for all heads
        mixed, weights = scaled_dot_product_attention(query, key, value, mask)
        return self.W_o(mixed.transpose(1, 2).flatten(2)), weights

    def split(self, x: Tensor) -> Tensor:
        """float[B, T, D] -> float[B, H, T, D / H]: its columns to each head."""
        B, T, D = x.shape
        return x.view(B, T, self.H, D // self.H).transpose(1, 2)


# --- positions


def sinusoidal_positions(T: int, D: int, base: float = 10_000) -> Tensor:
    """A pattern of waves that tells each position from every other.

    float[T, D]: column 2i holds sin(position / base^(2i / D)), column 2i + 1 the cosine, fast
    waves first, slow ones last. Vaswani et al. 2017, section 3.5. The slowest wave takes nearly
    2 pi base positions; far longer than the texts, it leaves columns that hardly change.
    """
    if D % 2:
        raise ValueError(f"a width of {D} leaves a sine without its cosine; choose an even D.")
    angles = torch.arange(T)[:, None] / base ** (torch.arange(0, D, 2) / D)  # [T, D / 2]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(T, D)


# --- additive attention: the bottleneck of the encoder-decoder removed


class AdditiveAttention(nn.Module):
    """score(query, key) = v . tanh(W_q query + W_k key); keys are the values.

    Bahdanau, Cho and Bengio 2015, section 3.1 and appendix A.1.2. D is the
    width of the hidden layer.
    """

    def __init__(self, D_query: int, D_key: int, D: int):
        super().__init__()
        self.W_q = nn.Linear(D_query, D, bias=False)
        self.W_k = nn.Linear(D_key, D)
        self.v = nn.Linear(D, 1, bias=False)

    def forward(
        self, query: Tensor, key: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mix keys float[B, S, D_key] for each query float[B, T, D_query].

        A mask is bool[B, 1, S] or bool[B, T, S], True where allowed. Returns
        the contexts float[B, T, D_key], and the weights float[B, T, S].
        """
        # [B, T, 1, D] + [B, 1, S, D] -> [B, T, S, D]
        pairs = self.W_q(query)[:, :, None] + self.W_k(key)[:, None]
        scores = self.v(torch.tanh(pairs)).squeeze(-1)  # [B, T, S]
        weights = masked_softmax(scores, mask)
        return weights @ key, weights


class OneVector(nn.Module):
    """Attention switched off: every query gets the encoder's last state.

    With keys of two directions, that is the first one's state after the last
    token, and the second one's after the first. Called as AdditiveAttention.
    """

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        mask: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """As AdditiveAttention's."""
        B, T, (S, D) = *query.shape[:2], key.shape[1:]
        ends = mask[:, 0].sum(-1) - 1  # int64[B]
        forth, back = key[torch.arange(B), ends], key[:, 0]  # [B, D] each
        last = torch.cat([forth[:, : D // 2], back[:, D // 2 :]], dim=-1)
        weights = F.one_hot(ends, S)[:, None].expand(B, T, S).to(key.dtype)
        return last[:, None].expand(B, T, D), weights


class AttentionEncoderDecoder(nn.Module):
    """An encoder-decoder whose decoder attends to every state of the encoder.

    The encoder reads in both directions. After each step the decoder's state attends to the
    encoder's states (as in Luong et al. 2015, with the additive score of Bahdanau et al. 2015),
    and what it finds helps to choose the next character. Its interface is `src.dates.DateModel`.
    D is the width of the states, half of it for each direction of the encoder.
    """

    def __init__(self, D: int = 96, D_embedding: int = 32, V: int = len(CHARACTERS)):
        super().__init__()
        if D % 2:
            raise ValueError(f"two directions cannot share a width of {D} evenly.")
        self.settings = {"D": D, "D_embedding": D_embedding, "V": V}
        self.source_embeddings = nn.Embedding(V, D_embedding)
        self.target_embeddings = nn.Embedding(V, D_embedding)
        self.encoder = FastLayer("lstm", D_embedding, D // 2, bidirectional=True)
        self.decoder = nn.LSTM(D_embedding, D, batch_first=True)
        self.attention = AdditiveAttention(D, D, D)
        self.output = nn.Linear(2 * D, V)

    def encode(self, source_ids: Tensor, source_mask: Tensor) -> tuple[Tensor, Tensor]:
        """int64[B, S], bool[B, S] -> all states float[B, S, D], the last as a vector [B, D]."""
        return self.encoder(self.source_embeddings(source_ids), source_mask)

    def decode(
        self, target_ids: Tensor, state: tuple[Tensor, Tensor], source: Tensor, source_mask: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
        """Continue writing, with the encoder's states as the source.

        int64[B, T], state, float[B, S, D], bool[B, S] -> logits float[B, T, V],
        the next state, and the weights float[B, T, S].
        """
        queries, state = self.decoder(self.target_embeddings(target_ids), state)  # [B, T, D]
        contexts, weights = self.attention(queries, source, source_mask[:, None])
        return self.output(torch.cat([queries, contexts], dim=-1)), state, weights

    def forward(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor:
        """Teacher forcing: the decoder reads the right characters, whatever it would write."""
        return self._decode_all(source_ids, source_mask, target_ids)[0]

    def alignments(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor:
        """What the decoder attends to: float[B, T, S]; row t is for character t + 1."""
        return self._decode_all(source_ids, source_mask, target_ids)[2]

    def _decode_all(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> tuple:
        source, last = self.encode(source_ids, source_mask)
        return self.decode(target_ids, EncoderDecoder.first_state(last), source, source_mask)

    @torch.no_grad()
    def greedy_decode(self, source_ids: Tensor, source_mask: Tensor, max_length: int) -> Tensor:
        """Write the most likely character, read it back in, and so on, max_length times."""
        source, last = self.encode(source_ids, source_mask)
        state = EncoderDecoder.first_state(last)
        written = [torch.full_like(source_ids[:, :1], START_ID)]
        for _ in range(max_length):
            logits, state, _ = self.decode(written[-1], state, source, source_mask)
            written.append(logits.argmax(-1))  # [B, 1]
        return torch.cat(written[1:], dim=1)
