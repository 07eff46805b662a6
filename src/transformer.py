"""The transformer: blocks of attention and feed-forward layers, built into an encoder, a translator, a language model (04, 05).

    encoder = Encoder.from_pretrained("minilm")              # BERT's kind: every token sees every other
    vectors = encoder(token_ids, mask, token_type_ids)       # float[B, T, D]
    train_dates(Transformer(), minutes=1)                    # encoder and decoder: the date task of `src.dates`
    gpt = GPT(V, D=128, H=4, L=4, max_T=128)                 # GPT's kind: every token sees those before it
    gpt(token_ids, gpt.new_cache())                          # a score for every next token; `src.language_models` writes with it

Everywhere `True` in a mask means "may be looked at". B: batch   T: tokens   S: tokens of the source   D: width   H: heads
L: blocks   V: vocabulary.

Sources: Vaswani et al. 2017, "Attention is all you need" (blocks, encoder-decoder); Devlin et al. 2019, "BERT" (Encoder);
Radford et al. 2019, "Language models are unsupervised multitask learners" (GPT: layer norm before each part, tied embeddings).
"""

from __future__ import annotations

import json
import math
import re
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from src import assets
from src.attention import AdditiveAttention, KeyValueCache, MultiHeadAttention, causal_mask, sinusoidal_positions
from src.dates import CHARACTERS, END_ID, START_ID, TARGET_LENGTH

# --- the blocks ----------------------------------------------------------------------------------------------------------


class FeedForward(nn.Module):
    """Two layers that every token goes through by itself: out to `hidden` numbers, gelu, and back to D."""

    def __init__(self, D: int, hidden: int):
        super().__init__()
        self.expand = nn.Linear(D, hidden)
        self.contract = nn.Linear(hidden, D)

    def forward(self, x: Tensor) -> Tensor:
        """x: float[B, T, D].   Returns float[B, T, D]."""
        return self.contract(F.gelu(self.expand(x)))  # [B, T, hidden] -> [B, T, D]


class AddNorm(nn.LayerNorm):
    """The residual connection around a part of a block, with layer norm after the sum (BERT) or before the part (GPT-2).

    D: width   norm_first: before the part   dropout: share of what the part adds that is left out in training
    """

    def __init__(self, D: int, norm_first: bool, dropout: float, epsilon: float):
        super().__init__(D, eps=epsilon)
        self.norm_first = norm_first
        self.dropout = nn.Dropout(dropout)

    def before(self, x: Tensor) -> Tensor:
        """What the part gets to see: float[B, T, D]."""
        return self(x) if self.norm_first else x

    def after(self, x: Tensor, update: Tensor) -> Tensor:
        """x: what went around the part   update: what the part made of it, both float[B, T, D].   Returns their sum."""
        x = x + self.dropout(update)
        return x if self.norm_first else self(x)


class EncoderBlock(nn.Module):
    """Self-attention, then a feed-forward layer, each with a residual connection and layer norm.

    D: width   H: heads   hidden: width inside the feed-forward layer   norm_first, dropout, epsilon: see `AddNorm`
    Equal to nn.TransformerEncoderLayer with activation gelu.   Source: Vaswani et al. 2017, section 3.1.
    """

    def __init__(self, D: int, H: int, hidden: int, norm_first: bool = False, dropout: float = 0.0, epsilon: float = 1e-5):
        super().__init__()
        self.attention = MultiHeadAttention(D, H)
        self.attention_norm = AddNorm(D, norm_first, dropout, epsilon)
        self.feed_forward = FeedForward(D, hidden)
        self.feed_forward_norm = AddNorm(D, norm_first, dropout, epsilon)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x: float[B, T, D]   mask: bool[T, T], bool[B, 1, T] or bool[B, T, T], True where attention is allowed.

        Returns float[B, T, D] and the attention weights float[B, H, T, T].
        """
        update, weights = self.attention(self.attention_norm.before(x), mask=mask)
        x = self.attention_norm.after(x, update)
        x = self.feed_forward_norm.after(x, self.feed_forward(self.feed_forward_norm.before(x)))
        return x, weights


class DecoderBlock(nn.Module):
    """Self-attention, attention to a source, then a feed-forward layer, each with a residual connection and layer norm.

    cross: False leaves the attention to a source out, as GPT does   the rest: as in `EncoderBlock`
    The block itself forbids nothing: that no token sees a later one is the causal mask's doing.
    Equal to nn.TransformerDecoderLayer with activation gelu.   Source: Vaswani et al. 2017, section 3.1.
    """

    def __init__(
        self, D: int, H: int, hidden: int, cross: bool = True, norm_first: bool = False, dropout: float = 0.0, epsilon: float = 1e-5
    ):
        super().__init__()
        self.attention = MultiHeadAttention(D, H)
        self.attention_norm = AddNorm(D, norm_first, dropout, epsilon)
        if cross:
            self.cross_attention = MultiHeadAttention(D, H)
            self.cross_attention_norm = AddNorm(D, norm_first, dropout, epsilon)
        self.feed_forward = FeedForward(D, hidden)
        self.feed_forward_norm = AddNorm(D, norm_first, dropout, epsilon)

    def forward(
        self,
        x: Tensor,
        source: Tensor | None = None,
        mask: Tensor | None = None,
        source_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """x: float[B, T, D]   source: float[B, S, D], what the encoder gives; None exactly where `cross` is False
        mask: bool[T, T] or bool[B, T, T], usually causal   source_mask: bool[B, 1, S]   cache: of the self-attention

        Returns float[B, T, D], the self-attention weights float[B, H, T, T] and those on the source float[B, H, T, S] (or None).
        """
        update, weights = self.attention(self.attention_norm.before(x), mask=mask, cache=cache)
        x = self.attention_norm.after(x, update)
        source_weights = None
        if source is not None:
            update, source_weights = self.cross_attention(self.cross_attention_norm.before(x), source, source_mask)
            x = self.cross_attention_norm.after(x, update)
        x = self.feed_forward_norm.after(x, self.feed_forward(self.feed_forward_norm.before(x)))
        return x, weights, source_weights


# --- the encoder: BERT ---------------------------------------------------------------------------------------------------

# Where each parameter of a BERT file goes in `Encoder`. In "encoder.layer.3.attention.self.query.weight" the first half names the
# block, which is blocks.3 here; the second half is looked up below.
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


@dataclass
class EncoderTrace:
    """What happened inside an encoder.

    layers: L + 1 tensors float[B, T, D], the embeddings and then what each block made of them
    attention: L tensors float[B, H, T, T], who looked at whom in each block
    """

    layers: list[Tensor]
    attention: list[Tensor]


class Encoder(nn.Module):
    """BERT's encoder: words, token types and positions are added up, then go through L blocks in which all tokens see each other.

    V: vocabulary   D: width   H: heads   L: blocks   hidden: width inside the feed-forward layers   max_T: most tokens
    types: token types (0 for the first text, 1 for the second)   dropout, epsilon: see `AddNorm`
    """

    def __init__(
        self, V: int, D: int, H: int, L: int, hidden: int, max_T: int, types: int = 2, dropout: float = 0.0, epsilon: float = 1e-12
    ):
        super().__init__()
        self.words = nn.Embedding(V, D)
        self.positions = nn.Embedding(max_T, D)
        self.types = nn.Embedding(types, D)
        self.norm = nn.LayerNorm(D, eps=epsilon)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(EncoderBlock(D, H, hidden, dropout=dropout, epsilon=epsilon) for _ in range(L))

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Encoder:
        """The encoder of a BERT, in evaluation mode and without dropout.

        name: "minilm", a folder with config.json and model.safetensors, or a Hub id (needs COURSE_ONLINE=1).
        Raises ValueError, in one sentence, for a folder without a model of BERT's kind, and for an id that cannot be had.
        """
        folder = _model_folder(name)
        config, state = _read_bert(folder)
        encoder = cls(
            V=config["vocab_size"],
            D=config["hidden_size"],
            H=config["num_attention_heads"],
            L=config["num_hidden_layers"],
            hidden=config["intermediate_size"],
            max_T=config["max_position_embeddings"],
            types=config["type_vocab_size"],
            epsilon=config["layer_norm_eps"],
        )
        try:
            encoder.load_state_dict(state)
        except RuntimeError as error:
            reason = str(error).split("\n")[1].strip()
            raise ValueError(f"{folder}: the weights do not fit config.json ({reason}); use another model, or write it again.") from None
        return encoder.eval()

    def forward(self, token_ids: Tensor, mask: Tensor | None = None, token_type_ids: Tensor | None = None) -> Tensor:
        """One vector per token, each in the light of all the others.

        token_ids: int64[B, T]   mask: bool[B, T], True on real tokens; None: all are   token_type_ids: int64[B, T]; None: all 0
        Returns float[B, T, D]. Raises ValueError for more tokens than it has positions, and for a mask that is not bool[B, T].
        """
        return self.trace(token_ids, mask, token_type_ids).layers[-1]

    def trace(self, token_ids: Tensor, mask: Tensor | None = None, token_type_ids: Tensor | None = None) -> EncoderTrace:
        """The same, with every layer's vectors and attention kept; arguments as in `forward`."""
        if mask is not None:
            if mask.dtype != torch.bool or mask.shape != token_ids.shape:
                found = f"{mask.dtype} of shape {tuple(mask.shape)}"
                raise ValueError(f"the mask is {found}; give bool{list(token_ids.shape)}, True on real tokens (attention_mask.bool()).")
            mask = mask[:, None]  # [B, 1, T]: the same for every token that asks
        x = self.embed(token_ids, token_type_ids)  # [B, T, D]
        layers, attention = [x], []
        for block in self.blocks:
            x, weights = block(x, mask)
            layers.append(x)
            attention.append(weights)
        return EncoderTrace(layers, attention)

    def embed(self, token_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """What goes into the first block: float[B, T, D]."""
        _check_length(token_ids.shape[1], self.positions)
        types = torch.zeros_like(token_ids) if token_type_ids is None else token_type_ids
        places = torch.arange(token_ids.shape[1], device=token_ids.device)
        return self.dropout(self.norm(self.words(token_ids) + self.types(types) + self.positions(places)))


def bert_to_ours(name: str) -> str | None:
    """Our name for a parameter in a BERT file; None for what `Encoder` does not have (the pooler, and heads for other tasks)."""
    # A model that was saved with a head has a prefix; files converted from the first release call weight and bias gamma and beta.
    name = name.removeprefix("bert.").replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
    module, _, kind = name.rpartition(".")  # kind: weight or bias
    block = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)", module)
    prefix, module = (f"blocks.{block[1]}.", block[2]) if block else ("", module)
    return f"{prefix}{BERT_NAMES[module]}.{kind}" if module in BERT_NAMES else None


def _model_folder(name: str | Path) -> Path:
    """The local folder of a model: an asset, a folder, or what the Hub has under that id."""
    if name == "minilm":
        return assets.path("minilm")
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(name), allow_patterns=["config.json", "model.safetensors"]))
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(". ")
        raise ValueError(
            f"the model {str(name)!r} is no folder here and cannot be had from the Hub ({reason}); "
            "use minilm, a folder, or go online with COURSE_ONLINE=1."
        ) from None


def _read_bert(folder: Path) -> tuple[dict, dict[str, Tensor]]:
    """The configuration of a BERT and its parameters under our names, in float32. Raises ValueError, one sentence, naming the folder."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder} holds no model that can be read ({error}); it needs config.json and model.safetensors.") from None
    for setting, needed in {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}.items():
        if config.get(setting, needed) != needed:
            raise ValueError(f"{folder}: {setting} is {config[setting]!r}; Encoder reads models where it is {needed!r}.")
    return config, {ours: tensor.float() for name, tensor in tensors.items() if (ours := bert_to_ours(name))}


def _check_length(T: int, positions: nn.Embedding) -> None:
    """Raise ValueError, one sentence, for more tokens than there are positions."""
    most = positions.num_embeddings
    if most < T:
        raise ValueError(f"the model has positions for {most} tokens, and {T} are asked for; cut the text into shorter pieces.")


# --- encoder and decoder: a translator -----------------------------------------------------------------------------------


# Of its positions. The paper's 10,000 is for texts of hundreds of tokens: with it, half of the columns hardly move within the 72
# characters of a date, and the model learned more slowly.
WAVES = 100


class Transformer(nn.Module):
    """A small encoder-decoder: L blocks that read the source, and L that write the answer token by token.

    D: width   H: heads   L: blocks on either side   hidden: width inside the feed-forward layers   dropout: see `AddNorm`
    V: characters, the same for both sides.   Layer norm stands before each part, and once more at the end of either side.
    It has the interface of `src.dates.DateModel`.   Source: Vaswani et al. 2017.
    """

    def __init__(self, D: int = 64, H: int = 2, L: int = 1, hidden: int = 128, dropout: float = 0.0, V: int = len(CHARACTERS)):
        super().__init__()
        self.settings = {"D": D, "H": H, "L": L, "hidden": hidden, "dropout": dropout, "V": V}
        self.source_embeddings = nn.Embedding(V, D)
        self.encoder = nn.ModuleList(EncoderBlock(D, H, hidden, norm_first=True, dropout=dropout) for _ in range(L))
        self.encoder_norm = nn.LayerNorm(D)
        self.target_embeddings = nn.Embedding(V, D)
        self.decoder = nn.ModuleList(DecoderBlock(D, H, hidden, norm_first=True, dropout=dropout) for _ in range(L))
        self.decoder_norm = nn.LayerNorm(D)
        self.output = nn.Linear(D, V)

    def forward(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> Tensor:
        """Teacher forcing: the decoder reads the right characters, all places at once.

        source_ids: int64[B, S]   source_mask: bool[B, S]   target_ids: int64[B, T], from START on   Returns logits float[B, T, V].
        """
        return self.decode(target_ids, self.encode(source_ids, source_mask), source_mask)[0]

    def alignments(self, source_ids: Tensor, source_mask: Tensor, target_ids: Tensor) -> list[Tensor]:
        """Where the decoder looks while it chooses the character after each of `target_ids`; arguments as in `forward`.

        Returns, for each of the L decoder blocks, weights float[B, H, T, S]; row t belongs to the choice of character t + 1.
        """
        return self.decode(target_ids, self.encode(source_ids, source_mask), source_mask)[1]

    def encode(self, source_ids: Tensor, source_mask: Tensor) -> Tensor:
        """Read the source. Returns float[B, S, D]."""
        x = self.source_embeddings(source_ids)
        x = x + sinusoidal_positions(*x.shape[1:], base=WAVES).to(x)
        for block in self.encoder:
            x, _ = block(x, source_mask[:, None])
        return self.encoder_norm(x)

    def decode(
        self, target_ids: Tensor, source: Tensor, source_mask: Tensor, cache: list[KeyValueCache] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """target_ids: int64[B, T]   source: float[B, S, D]   cache: one per block; then `target_ids` are only the tokens new since.

        Returns logits float[B, T, V], and each block's weights on the source, float[B, H, T, S].
        """
        x = self.target_embeddings(target_ids)
        before = len(cache[0]) if cache else 0
        T, D = x.shape[1:]
        x = x + sinusoidal_positions(before + T, D, base=WAVES)[before:].to(x)
        alignments = []
        for i, block in enumerate(self.decoder):
            mask = causal_mask(T, before + T, x.device)
            x, _, weights = block(x, source, mask, source_mask[:, None], cache[i] if cache else None)
            alignments.append(weights)
        return self.output(self.decoder_norm(x)), alignments

    @torch.no_grad()
    def greedy_decode(self, source_ids: Tensor, source_mask: Tensor, max_length: int) -> Tensor:
        """Write the likeliest character, read it back in, and so on, max_length times.

        Returns int64[B, max_length] without START; after a row's END come characters that do not count.
        """
        source = self.encode(source_ids, source_mask)
        cache = [KeyValueCache() for _ in self.decoder]
        written = [torch.full_like(source_ids[:, :1], START_ID)]
        for _ in range(max_length):
            logits, _ = self.decode(written[-1], source, source_mask, cache)
            written.append(logits.argmax(-1))  # [B, 1]
        return torch.cat(written[1:], dim=1)


# --- the decoder alone: GPT ----------------------------------------------------------------------------------------------


class GPT(nn.Module):
    """A language model: decoder blocks without a source; every token sees itself and those before it, and says what comes next.

    V: vocabulary   D: width   H: heads   L: blocks   hidden: width inside the feed-forward layers; None: 4 D
    max_T: most tokens   dropout: see `AddNorm`.   The word embeddings serve twice: to read a token, and to score the next one.
    Source: Radford et al. 2019; Vaswani et al. 2017, section 3.4 (read at sqrt(D) times their size).
    """

    def __init__(self, V: int, D: int = 128, H: int = 4, L: int = 4, hidden: int | None = None, max_T: int = 128, dropout: float = 0.0):
        super().__init__()
        hidden = hidden or 4 * D
        self.settings = {"V": V, "D": D, "H": H, "L": L, "hidden": hidden, "max_T": max_T, "dropout": dropout}
        self.words = nn.Embedding(V, D)
        self.positions = nn.Embedding(max_T, D)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(DecoderBlock(D, H, hidden, cross=False, norm_first=True, dropout=dropout) for _ in range(L))
        self.norm = nn.LayerNorm(D)
        for embeddings in (self.words, self.positions):
            nn.init.normal_(embeddings.weight, std=0.02)  # small, so that at first every next token is about equally likely

    def forward(self, token_ids: Tensor, cache: list[KeyValueCache] | None = None) -> Tensor:
        """Score every next token.

        token_ids: int64[B, T]   cache: what `new_cache` made; then `token_ids` are only the tokens that are new since.
        Returns logits float[B, T, V]. Raises ValueError for more tokens than it has positions.
        """
        before = len(cache[0]) if cache else 0
        T = token_ids.shape[1]
        _check_length(before + T, self.positions)
        places = torch.arange(before, before + T, device=token_ids.device)
        x = self.words(token_ids) + self.positions(places)  # [B, T, D]
        x = self.dropout(x * math.sqrt(x.shape[-1]))  # no longer small beside what the blocks add
        mask = causal_mask(T, before + T, x.device)
        for i, block in enumerate(self.blocks):
            x, _, _ = block(x, mask=mask, cache=cache[i] if cache else None)
        return self.norm(x) @ self.words.weight.T

    def new_cache(self) -> list[KeyValueCache]:
        """An empty cache for each block."""
        return [KeyValueCache() for _ in self.blocks]


# --- what it costs -------------------------------------------------------------------------------------------------------

PARTS = {
    nn.Embedding: "embeddings",
    MultiHeadAttention: "attention",
    AdditiveAttention: "attention",
    FeedForward: "feed-forward",
    nn.LayerNorm: "layer norm",
    nn.RNNBase: "recurrent",
    nn.Linear: "output",  # what is not inside one of the others
}


def count_parameters(model: nn.Module) -> dict[str, int]:
    """How many numbers a model learns, by part: the values of PARTS that it has. Together they are all of the model's parameters."""
    counts: Counter[str] = Counter()
    counted: set[nn.Parameter] = set()
    for module in model.modules():  # from the outside in, so that the layers of an attention count as attention
        part = next((part for kind, part in PARTS.items() if isinstance(module, kind)), None)
        new = set(module.parameters()) - counted
        if part is not None and new:
            counts[part] += sum(parameter.numel() for parameter in new)
            counted |= new
    return dict(counts)


def seconds_per_batch(model: nn.Module, S: int, B: int = 64, training: bool = False, repeats: int = 5) -> float:
    """How long a date model (`src.dates.DateModel`) takes for a batch of random sources of S characters: the median, in seconds.

    training: forwards and backwards through an answer; else greedy decoding of one.   repeats: measured after one for warming up.
    """
    generator = torch.Generator().manual_seed(0)
    source_ids = torch.randint(END_ID + 1, len(CHARACTERS), (B, S), generator=generator)
    target_ids = torch.randint(END_ID + 1, len(CHARACTERS), (B, TARGET_LENGTH), generator=generator)
    source_mask = torch.ones(B, S, dtype=torch.bool)

    def work() -> float:
        began = time.perf_counter()
        if training:
            logits = model(source_ids, source_mask, target_ids)  # [B, T, V]
            F.cross_entropy(logits.flatten(0, 1), target_ids.flatten()).backward()
        else:
            model.greedy_decode(source_ids, source_mask, TARGET_LENGTH)
        return time.perf_counter() - began

    work()
    seconds = statistics.median(work() for _ in range(repeats))
    model.zero_grad()
    return seconds
