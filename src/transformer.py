"""The transformer: its blocks, BERT's encoder, a translator, GPT (notebooks 05 and 06).

    encoder = Encoder.from_pretrained("minilm")         # like BERT: every token attends to all
    vectors = encoder(token_ids, mask, token_type_ids)  # float[B, T, D]
    train_dates(Transformer(), minutes=1)               # the date task of `src.dates`
    gpt = GPT(V, D=128, H=4, L=4, max_T=128)            # every token attends to those before it
    gpt(token_ids, gpt.new_cache())                     # a score for every next token

`True` in a mask always means "may be attended to". B: batch, T: tokens, S: tokens of the source,
D: width, H: heads, L: blocks, V: vocabulary.

Sources: Vaswani et al. 2017, "Attention is all you need" (blocks, encoder-decoder); Devlin et al.
2019, "BERT" (Encoder); Radford et al. 2019, GPT-2 (layer norm before each part, tied embeddings).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src import assets, runtime
from src.attention import (
    KeyValueCache,
    MultiHeadAttention,
    causal_mask,
    scaled_dot_product_attention,
    sinusoidal_positions,
)
from src.dates import CHARACTERS, START_ID

if TYPE_CHECKING:
    from transformers import BertModel

# --- the blocks


class FeedForward(nn.Module):
    """Two layers for every token by itself: out to `hidden` numbers, gelu, and back to D."""

    def __init__(self, D: int, hidden: int):
        super().__init__()
        self.expand = nn.Linear(D, hidden)
        self.contract = nn.Linear(hidden, D)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, D] -> float[B, T, D]."""
        return self.contract(F.gelu(self.expand(x)))  # [B, T, hidden] -> [B, T, D]


class AddNorm(nn.LayerNorm):
    """The residual connection around a part of a block, with layer norm.

    `norm_first`: layer norm before the part (GPT-2), not after the sum (BERT). `dropout`: the
    share of what the part adds that is left out in training.
    """

    def __init__(self, D: int, norm_first: bool, dropout: float, epsilon: float):
        super().__init__(D, eps=epsilon)
        self.norm_first = norm_first
        self.dropout = nn.Dropout(dropout)

    def before(self, x: Tensor) -> Tensor:
        """What the part gets: float[B, T, D]."""
        return self(x) if self.norm_first else x

    def after(self, x: Tensor, update: Tensor) -> Tensor:
        """The sum of x, which went around the part, and the part's update; float[B, T, D]."""
        x = x + self.dropout(update)
        return x if self.norm_first else self(x)


class EncoderBlock(nn.Module):
    """Self-attention, then a feed-forward layer, each inside `AddNorm`.

    Equal to nn.TransformerEncoderLayer with gelu; Vaswani et al. 2017,
    section 3.1. `hidden` is the width inside the feed-forward layer.
    """

    def __init__(
        self,
        D: int,
        H: int,
        hidden: int,
        norm_first: bool = False,
        dropout: float = 0.0,
        epsilon: float = 1e-5,
    ):
        super().__init__()
        self.attention = MultiHeadAttention(D, H)
        self.attention_norm = AddNorm(D, norm_first, dropout, epsilon)
        self.feed_forward = FeedForward(D, hidden)
        self.feed_forward_norm = AddNorm(D, norm_first, dropout, epsilon)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """float[B, T, D] -> the same, and the weights float[B, H, T, T].

        A mask is bool[T, T], bool[B, 1, T] or bool[B, T, T].
        """
        queries = self.attention_norm.before(x)
        update, weights = self.attention(queries, mask=mask)
        x = self.attention_norm.after(x, update)
        update = self.feed_forward(self.feed_forward_norm.before(x))
        return self.feed_forward_norm.after(x, update), weights


class DecoderBlock(nn.Module):
    """Self-attention, attention to a source, and a feed-forward layer.

    Without `cross` there is no attention to a source, as in GPT. Equal to
    nn.TransformerDecoderLayer with gelu, where the mask is causal.
    """

    def __init__(
        self,
        D: int,
        H: int,
        hidden: int,
        cross: bool = True,
        norm_first: bool = False,
        dropout: float = 0.0,
        epsilon: float = 1e-5,
    ):
        super().__init__()
        norm = (norm_first, dropout, epsilon)
        self.attention = MultiHeadAttention(D, H)
        self.attention_norm = AddNorm(D, *norm)
        if cross:
            self.cross_attention = MultiHeadAttention(D, H)
            self.cross_attention_norm = AddNorm(D, *norm)
        self.feed_forward = FeedForward(D, hidden)
        self.feed_forward_norm = AddNorm(D, *norm)

    def forward(
        self,
        x: Tensor,
        source: Tensor | None = None,
        mask: Tensor | None = None,
        source_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """float[B, T, D] -> the same, and the weights on itself and the source.

        The source is float[B, S, D]; None exactly where `cross` is False. A mask
        is bool[T, T] or bool[B, T, T], usually causal; that of the source is
        bool[B, 1, S]. The weights are float[B, H, T, T] and float[B, H, T, S].
        """
        queries = self.attention_norm.before(x)
        update, weights = self.attention(queries, mask=mask, cache=cache)
        x, source_weights = self.attention_norm.after(x, update), None
        if source is not None:
            queries = self.cross_attention_norm.before(x)
            attended = self.cross_attention(queries, source, source_mask)
            update, source_weights = attended
            x = self.cross_attention_norm.after(x, update)
        update = self.feed_forward(self.feed_forward_norm.before(x))
        return self.feed_forward_norm.after(x, update), weights, source_weights


# --- the encoder: BERT

# Where each parameter of a BERT goes in `Encoder`. In "encoder.layer.3.attention.self.query.weight"
# the first half names the block, which is blocks.3 here; the second is looked up below.
BERT_NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "types",
    "embeddings.LayerNorm": "norm",
    "attention.self.query": "attention.W_q",
    "attention.self.key": "attention.W_k",
    "attention.self.value": "attention.W_v",
    "attention.output.dense": "attention.W_o",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "feed_forward.expand",
    "output.dense": "feed_forward.contract",
    "output.LayerNorm": "feed_forward_norm",
}
BERT_SETTINGS = {"model_type": "bert", "hidden_act": "gelu"}
BERT_SETTINGS |= {"position_embedding_type": "absolute"}


@dataclass
class EncoderTrace:
    """What happened inside an encoder: what each block made of its input, and its attention."""

    layers: list[Tensor]  # L + 1, float[B, T, D]; the first are the embeddings
    attention: list[Tensor]  # L, float[B, H, T, T]


class Encoder(nn.Module):
    """BERT's encoder: the vectors of words, token types and positions go through L blocks.

    Args:
        V, D, H, L: vocabulary, width, heads and blocks.
        hidden: width inside the feed-forward layers.
        max_T: most tokens.
        types: token types, 0 for the first text and 1 for the second.
        epsilon: see `AddNorm`.
    """

    def __init__(
        self,
        V: int,
        D: int,
        H: int,
        L: int,
        hidden: int,
        max_T: int,
        types: int = 2,
        epsilon: float = 1e-12,
    ):
        super().__init__()
        self.words = nn.Embedding(V, D)
        self.positions = nn.Embedding(max_T, D)
        self.types = nn.Embedding(types, D)
        self.norm = nn.LayerNorm(D, eps=epsilon)
        blocks = (EncoderBlock(D, H, hidden, epsilon=epsilon) for _ in range(L))
        self.blocks = nn.ModuleList(blocks)

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Encoder:
        """The encoder of a BERT, in evaluation mode.

        `name` is "minilm", a folder, or a Hub id, which needs COURSE_ONLINE=1.

        Raises:
            ValueError: no model of BERT's kind can be had or read.
        """
        bert = _read_bert(name)
        config, state = bert.config, bert.state_dict()
        encoder = cls(
            V=config.vocab_size,
            D=config.hidden_size,
            H=config.num_attention_heads,
            L=config.num_hidden_layers,
            hidden=config.intermediate_size,
            max_T=config.max_position_embeddings,
            types=config.type_vocab_size,
            epsilon=config.layer_norm_eps,
        )
        encoder.load_state_dict({bert_to_ours(name): state[name] for name in state})
        return encoder.eval()

    def forward(
        self, token_ids: Tensor, mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """One vector per token, float[B, T, D], each in the light of all the others.

        Args:
            token_ids: int64[B, T].
            mask: bool[B, T], True on real tokens; None: all are.
            token_type_ids: int64[B, T]; None: all 0.

        Raises:
            ValueError: more tokens than positions, or a mask that is not bool[B, T].
        """
        return self.trace(token_ids, mask, token_type_ids).layers[-1]

    def trace(
        self, token_ids: Tensor, mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> EncoderTrace:
        """As `forward`, with the vectors and the attention of every layer."""
        if mask is not None:
            if mask.dtype != torch.bool or mask.shape != token_ids.shape:
                found = f"the mask is {mask.dtype} of shape {tuple(mask.shape)}"
                advice = "True on real tokens (attention_mask.bool())"
                raise ValueError(f"{found}; give bool{list(token_ids.shape)}, {advice}.")
            mask = mask[:, None]  # [B, 1, T]: the same for every query
        _check_length(token_ids.shape[1], self.positions)
        positions = self.positions(torch.arange(token_ids.shape[1], device=token_ids.device))
        types = torch.zeros_like(token_ids) if token_type_ids is None else token_type_ids
        x = self.norm(self.words(token_ids) + self.types(types) + positions)  # [B, T, D]
        layers, attention = [x], []
        for block in self.blocks:
            x, weights = block(x, mask)
            layers.append(x)
            attention.append(weights)
        return EncoderTrace(layers, attention)


def bert_to_ours(name: str) -> str | None:
    """Our name for a parameter of a BERT; None for its pooler and its heads for tasks."""
    module, _, kind = name.removeprefix("bert.").rpartition(".")  # kind: weight or bias
    block = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)", module)
    prefix, module = (f"blocks.{block[1]}.", block[2]) if block else ("", module)
    return f"{prefix}{BERT_NAMES[module]}.{kind}" if module in BERT_NAMES else None


def _read_bert(name: str | Path) -> BertModel:
    """The library's model, whole and in float32, without what follows the encoder."""
    from transformers import AutoConfig, BertModel

    source = assets.path("minilm") if name == "minilm" else name
    try:
        config = AutoConfig.from_pretrained(source)
        for setting, needed in BERT_SETTINGS.items():
            if (found := getattr(config, setting, needed)) != needed:
                raise ValueError(f"{setting} is {found!r}, and Encoder reads {needed!r} only")
        options = {"add_pooling_layer": False, "use_safetensors": True, "dtype": torch.float32}
        options |= {"config": config, "output_loading_info": True}
        bert, report = BertModel.from_pretrained(source, **options)
        if report["missing_keys"]:
            raise ValueError(f"{min(report['missing_keys'])} is missing")
    except Exception as error:  # what the library raises has no class in common
        reason = runtime.first_line(error)
        advice = "use minilm, a folder with a BERT, or go online with COURSE_ONLINE=1"
        raise ValueError(f"no encoder can be read from {name} ({reason}); {advice}.") from None
    return bert


def _check_length(T: int, positions: nn.Embedding) -> None:
    most = positions.num_embeddings
    if most < T:
        found = f"the model has positions for {most} tokens, and {T} are asked for"
        raise ValueError(f"{found}; cut the text into shorter pieces.")


# --- encoder and decoder: a translator

# The paper's 10,000 is for longer texts: more than a third of its waves turn by less than 20
# degrees within the 72 characters of a date.
POSITION_BASE = 100


class Transformer(nn.Module):
    """A small encoder-decoder: L blocks read the source, L blocks write the answer.

    Layer norm is before each part, and once more at the end of either side; `hidden` is the width
    inside the feed-forward layers. Its interface is `src.dates.DateModel`. Vaswani et al. 2017.
    """

    def __init__(
        self,
        D: int = 64,
        H: int = 2,
        L: int = 1,
        hidden: int = 128,
        dropout: float = 0.0,
        V: int = len(CHARACTERS),
    ):
        super().__init__()
        self.settings = {"D": D, "H": H, "L": L}
        self.settings |= {"hidden": hidden, "dropout": dropout, "V": V}
        sizes, options = (D, H, hidden), {"norm_first": True, "dropout": dropout}
        self.source_embeddings = nn.Embedding(V, D)
        blocks = [EncoderBlock(*sizes, **options) for _ in range(L)]
        self.encoder = nn.ModuleList(blocks)
        self.encoder_norm = nn.LayerNorm(D)
        self.target_embeddings = nn.Embedding(V, D)
        blocks = [DecoderBlock(*sizes, **options) for _ in range(L)]
        self.decoder = nn.ModuleList(blocks)
        self.decoder_norm = nn.LayerNorm(D)
        self.output = nn.Linear(D, V)

    def forward(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor:
        """Teacher forcing: the decoder reads the right characters, all at once."""
        source = self.encode(source_ids, source_mask)
        return self.decode(target_ids, source, source_mask)[0]

    def alignments(
        self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor
    ) -> list[Tensor]:
        """What each decoder block attends to: float[B, H, T, S]; row t is for character t + 1."""
        source = self.encode(source_ids, source_mask)
        return self.decode(target_ids, source, source_mask)[1]

    def encode(self, source_ids: Tensor, source_mask: Tensor) -> Tensor:
        """int64[B, S] and bool[B, S] -> the source, float[B, S, D]."""
        x = self.source_embeddings(source_ids)
        S, D = x.shape[1:]
        x = x + sinusoidal_positions(S, D, POSITION_BASE).to(x)
        for block in self.encoder:
            x, _ = block(x, source_mask[:, None])
        return self.encoder_norm(x)

    def decode(
        self,
        target_ids: Tensor,
        source: Tensor,
        source_mask: Tensor,
        cache: list[KeyValueCache] | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Score the next character after each of the target.

        int64[B, T] (with a cache, one per block, only those new since),
        float[B, S, D], bool[B, S] -> logits float[B, T, V], and each block's
        weights on the source, float[B, H, T, S].
        """
        x = self.target_embeddings(target_ids)
        T, D = x.shape[1:]
        start = len(cache[0]) if cache else 0
        positions = sinusoidal_positions(start + T, D, POSITION_BASE)
        x = x + positions[start:].to(x)
        mask, alignments = causal_mask(T, start + T, x.device), []
        for i, block in enumerate(self.decoder):
            known = cache[i] if cache else None
            x, _, weights = block(x, source, mask, source_mask[:, None], known)
            alignments.append(weights)
        return self.output(self.decoder_norm(x)), alignments

    @torch.no_grad()
    def greedy_decode(self, source_ids: Tensor, source_mask: Tensor, max_length: int) -> Tensor:
        """Write the most likely character, read it back in, and so on, max_length times."""
        source = self.encode(source_ids, source_mask)
        cache = [KeyValueCache() for _ in self.decoder]
        written = [torch.full_like(source_ids[:, :1], START_ID)]
        for _ in range(max_length):
            logits, _ = self.decode(written[-1], source, source_mask, cache)
            written.append(logits.argmax(-1))  # [B, 1]
        return torch.cat(written[1:], dim=1)


# --- the decoder alone: GPT


class GPT(nn.Module):
    """A language model: every token attends to itself and those before it.

    The word embeddings serve twice: to read a token and to score the next one. A token goes in as
    sqrt(D) (word + position); Vaswani et al. 2017, section 3.4, multiply the word alone. Radford et
    al. 2019.

    Args:
        V, D, H, L: vocabulary, width, heads and blocks.
        hidden: width inside the feed-forward layers; None: 4 D.
        max_T: most tokens.
        dropout: see `AddNorm`.
    """

    def __init__(
        self,
        V: int,
        D: int = 128,
        H: int = 4,
        L: int = 4,
        hidden: int | None = None,
        max_T: int = 128,
        dropout: float = 0.0,
    ):
        super().__init__()
        hidden = hidden or 4 * D
        self.settings = {"V": V, "D": D, "H": H, "L": L}
        self.settings |= {"hidden": hidden, "max_T": max_T, "dropout": dropout}
        self.words = nn.Embedding(V, D)
        self.positions = nn.Embedding(max_T, D)
        self.dropout = nn.Dropout(dropout)
        options = {"cross": False, "norm_first": True, "dropout": dropout}
        self.blocks = nn.ModuleList(DecoderBlock(D, H, hidden, **options) for _ in range(L))
        self.norm = nn.LayerNorm(D)
        for embeddings in (self.words, self.positions):  # small: at first every next token is
            nn.init.normal_(embeddings.weight, std=0.02)  # about equally likely

    def forward(self, token_ids: Tensor, cache: list[KeyValueCache] | None = None) -> Tensor:
        """Score every next token: int64[B, T] -> logits float[B, T, V].

        With a cache, made by `new_cache`, token_ids are only those new since.

        Raises:
            ValueError: more tokens than it has positions.
        """
        start, T = len(cache[0]) if cache else 0, token_ids.shape[1]
        _check_length(start + T, self.positions)
        positions = torch.arange(start, start + T, device=token_ids.device)
        x = self.words(token_ids) + self.positions(positions)  # [B, T, D]
        x = self.dropout(x * math.sqrt(x.shape[-1]))  # not small beside what the blocks add
        mask = causal_mask(T, start + T, x.device)
        for i, block in enumerate(self.blocks):
            x, _, _ = block(x, mask=mask, cache=cache[i] if cache else None)
        return self.norm(x) @ self.words.weight.T

    def new_cache(self) -> list[KeyValueCache]:
        """An empty cache for each block."""
        return [KeyValueCache() for _ in self.blocks]


# --- what has changed since: ModernBERT


def rotate_positions(x: Tensor, base: float = 10_000) -> Tensor:
    """RoPE: turn each vector by its position, two numbers at a time.

    Numbers i and i + D / 2 are the tip of a hand, which turns as the i-th of
    `sinusoidal_positions`. So a query times a key depends on their distance.
    float[..., T, D] -> the same. Su et al. 2021.
    """
    waves = sinusoidal_positions(*x.shape[-2:], base).to(x)
    sin, cos = waves[:, 0::2], waves[:, 1::2]  # [T, D / 2]
    x1, x2 = x.chunk(2, dim=-1)
    return torch.cat([x1 * cos - x2 * sin, x2 * cos + x1 * sin], dim=-1)


class ModernBlock(nn.Module):
    """An encoder block of today: RoPE, GeGLU, no biases, layer norm first.

    With a `window` a token attends to that many on either side, and to no
    others. Equal to a layer of ModernBERT, Warner et al. 2024.
    """

    def __init__(self, D: int, H: int, hidden: int, base: float, window: int | None):
        super().__init__()
        self.H, self.base, self.window = H, base, window
        self.attention_norm = nn.LayerNorm(D, bias=False)
        self.W_qkv = nn.Linear(D, 3 * D, bias=False)
        self.W_o = nn.Linear(D, D, bias=False)
        self.feed_forward_norm = nn.LayerNorm(D, bias=False)
        self.expand = nn.Linear(D, 2 * hidden, bias=False)
        self.contract = nn.Linear(hidden, D, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """float[B, T, D] -> the same."""
        B, T, D = x.shape
        qkv = self.W_qkv(self.attention_norm(x))
        qkv = qkv.view(B, T, 3, self.H, D // self.H)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # [B, H, T, D / H]
        query = rotate_positions(query, self.base)
        key = rotate_positions(key, self.base)
        places = torch.arange(T)
        apart = (places[:, None] - places).abs()
        near = apart <= (T if self.window is None else self.window)
        mixed, _ = scaled_dot_product_attention(query, key, value, near)
        x = x + self.W_o(mixed.transpose(1, 2).flatten(2))
        inner = self.expand(self.feed_forward_norm(x))
        inner, gate = inner.chunk(2, dim=-1)  # [B, T, hidden]
        return x + self.contract(F.gelu(inner) * gate)
