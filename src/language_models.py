"""Language models: what comes next? One interface, networks, training, and suggestions.

    data = LanguageData.load()  # Wikipedia introductions, split by article, as tokens
    gpt = GPTModel(GPT(data.tokenizer.V, D=256, L=2, max_T=256), data.tokenizer)
    train_language_model(gpt, data, minutes=1)
    for model in (NgramModel(data.tokenizer, data.rows["train"]), gpt, PretrainedModel()):
        print(model.score(data.texts["test"]).perplexity_per_word)
        print(model.generate("Oxygen is", 20, Sampler(top_p=0.9), seed=1).text)

Every text begins and ends with a token of its own, START: what a model knows before the first
word. Logarithms are natural ones. B: batch, T: tokens, V: vocabulary, D: width.

Sources: Mikolov et al. 2010 (recurrent); Radford et al. 2019 (GPT-2). Counting models are in
`src.ngrams`, samplers in `src.sampling`.
"""

from __future__ import annotations

import functools
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from src import assets, compute, runtime
from src.files import make_folder
from src.rnn import open_forget_gates
from src.sampling import Sampler
from src.subwords import BytePairTokenizer
from src.topics import Split, split_of
from src.training import Run, fit, in_eval_mode, load_run, save_run
from src.transformer import GPT

# --- texts as tokens


@dataclass
class LanguageData:
    """Texts by split, "train", "development" and "test", as they are and as tokens (`rows`)."""

    tokenizer: BytePairTokenizer
    texts: dict[Split, list[str]]
    rows: dict[Split, list[list[int]]]

    @classmethod
    @functools.cache
    def load(cls, V: int = 4000) -> LanguageData:
        """The Wikipedia introductions, and V tokens learned from the training ones; takes 6 s."""
        return cls.from_articles({p.title: p.text for p in assets.load_passages().values()}, V)

    @classmethod
    def from_articles(cls, articles: Mapping[str, str], V: int) -> LanguageData:
        """Split texts (by title), and learn V tokens from the training ones."""
        texts: dict[Split, list[str]] = {"train": [], "development": [], "test": []}
        for title, text in articles.items():
            texts[split_of(title)].append(text)
        tokenizer = BytePairTokenizer.train(texts["train"], V)
        rows = {split: tokenizer.encode_all(some) for split, some in texts.items()}
        return cls(tokenizer, texts, rows)


# --- the interface


@dataclass(frozen=True)
class TextScore:
    """How likely a model finds a text.

    Models with different tokens are compared by word or by byte: longer tokens are fewer, and
    each is harder.
    """

    log_prob: float  # logarithm of the text's probability, -inf where it is 0
    tokens: int  # how many the model cuts it into
    words: int  # what blanks separate
    bytes: int  # in UTF-8

    @property
    def perplexity_per_token(self) -> float:
        """exp(-log_prob / tokens): as hard as choosing among that many equally likely tokens."""
        return _exp(-self.log_prob / self.tokens)

    @property
    def perplexity_per_word(self) -> float:
        """exp(-log_prob / words): the same for whole words, whatever the tokens."""
        return _exp(-self.log_prob / self.words)

    @property
    def bits_per_byte(self) -> float:
        """-log_prob / (bytes ln 2): the size of the text packed with this model's help."""
        return -self.log_prob / (self.bytes * math.log(2))


def _exp(x: float) -> float:
    """e^x, infinite where it is larger than a float can be."""
    return math.exp(x) if x < 709 else math.inf


@dataclass(frozen=True)
class Continuation:
    """What a model wrote after a beginning."""

    beginning: str
    text: str  # without the beginning
    tokens: tuple[str, ...]
    token_ids: tuple[int, ...]
    probs: tuple[float, ...]  # how likely the model found each token, before any sampler
    ended: bool  # whether the model ended the text itself


@dataclass
class DecodingState:
    """What a model has read so far."""

    token_ids: list[int]  # all of it, from START on
    cache: Any = None  # what the network keeps of it
    start: int = 0  # the first token that `cache` knows of; see `window_start`
    done: int = 0  # how many of `token_ids` have gone into `cache`


class LanguageModel(ABC):
    """Says how likely every token is to come next; scoring and writing follow from that.

    A model gives `read`, for one text token by token, and `log_probs`, for whole texts.
    `parameters` says how many numbers it has learned.
    """

    tokenizer: BytePairTokenizer
    parameters: int

    @abstractmethod
    def read(self, state: DecodingState, token_ids: Sequence[int]) -> Tensor:
        """Read on; `state` keeps what was read. Returns logits float[V] of the next token."""

    @abstractmethod
    def log_probs(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        """For each row float64[T]: the log probability of each token after those before it."""

    def start(self) -> DecodingState:
        """Before the first token: only START."""
        return DecodingState([self.tokenizer.start_id])

    def next_token_probs(self, token_ids: Sequence[int]) -> Tensor:
        """How likely each token is to come after `token_ids`: float[V], summing to one."""
        return self.read(self.start(), token_ids).softmax(-1)

    def score(self, text: str | Sequence[str]) -> TextScore:
        """The probability of the tokens of a text, or of several independent ones.

        That a text ends there is not counted.

        Raises:
            ValueError: there is no word to score.
        """
        texts = [text] if isinstance(text, str) else list(text)
        words = sum(len(text.split()) for text in texts)
        if not words:
            raise ValueError("there is no word in this text to score; give it at least one.")
        rows = self.tokenizer.encode_all(texts)
        log_prob = sum(float(row.sum()) for row in self.log_probs(rows))
        n_bytes = sum(len(text.encode()) for text in texts)
        return TextScore(log_prob, sum(map(len, rows)), words, n_bytes)

    def generate(
        self,
        beginning: str,
        n: int = 30,
        sampler: Sampler | None = None,
        seed: int = 0,
        first: int | None = None,
    ) -> Continuation:
        """Write up to n tokens after a beginning, fewer where the model ends the text.

        Without a sampler tokens are drawn by the model's probabilities; the same seed writes
        the same. `first` is the first token to write, if it is not to be chosen.
        """
        sampler, generator = sampler or Sampler(), torch.Generator().manual_seed(seed)
        state, new = self.start(), self.tokenizer.encode(beginning)
        token_ids, probs, ended = [], [], False
        while len(token_ids) < n:
            logits = self.read(state, new)
            chosen, first = first, None
            if chosen is None:
                chosen = sampler(logits, state.token_ids, generator)
            if ended := chosen == self.tokenizer.start_id:
                break
            token_ids.append(chosen)
            probs.append(float(logits.softmax(-1)[chosen]))
            new = [chosen]
        text, tokens = self.tokenizer.decode(token_ids), tuple(self.tokenizer.pieces(token_ids))
        return Continuation(beginning, text, tokens, tuple(token_ids), tuple(probs), ended)


# --- networks


def window_start(place: int, context: int | None) -> int:
    """Where a model starts to read that predicts the token after `place`.

    A full window of `context` tokens slides on by half its length, so there is always
    something before. None: it reads from the beginning.
    """
    if context is None or place < context:
        return 0
    step = max(1, context // 2)
    return ((place - context) // step + 1) * step


def windows(T: int, context: int | None) -> Iterator[tuple[int, int, int]]:
    """The windows of T places: (start, first, end) reads from start, predicts from first on."""
    first = 0
    while first < T:
        start = window_start(first, context)
        end = T if context is None else min(T, start + context)
        yield start, first, end
        first = end


class NetworkModel(LanguageModel):
    """A language model whose logits come from a network.

    `use_cache` keeps what can be kept of tokens already read; without it, all are read again for
    each new one.
    """

    # Most tokens it can read at once; longer texts are read in sliding windows. None: any number.
    context: int | None = None

    def __init__(self, network: nn.Module, tokenizer: BytePairTokenizer, use_cache: bool = True):
        self.network, self.tokenizer, self.use_cache = network, tokenizer, use_cache
        self.parameters = sum(parameter.numel() for parameter in network.parameters())

    @abstractmethod
    def logits(self, token_ids: Tensor, cache: Any = None) -> tuple[Tensor, Any]:
        """int64[B, T], after what `cache` holds -> float[B, T, V], and the cache after them."""

    def read(self, state: DecodingState, token_ids: Sequence[int]) -> Tensor:
        state.token_ids += token_ids
        start = window_start(len(state.token_ids) - 1, self.context)
        if start > state.start or not self.use_cache:
            state.start, state.done, state.cache = start, start, None
        new = torch.tensor([state.token_ids[state.done :]])
        with in_eval_mode(self.network):
            logits, state.cache = self.logits(new, state.cache)
        state.done = len(state.token_ids)
        return logits[0, -1]

    def log_probs(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        with in_eval_mode(self.network):
            return [self._log_probs([self.tokenizer.start_id, *row]) for row in rows]

    def _log_probs(self, token_ids: list[int]) -> Tensor:
        parts = [torch.empty(0)]
        for start, first, end in windows(len(token_ids) - 1, self.context):
            read = torch.tensor([token_ids[start : end + 1]])
            logits, _ = self.logits(read[:, :-1])
            losses = F.cross_entropy(logits[0], read[0, 1:], reduction="none")
            parts.append(-losses[first - start :])
        return torch.cat(parts).double()


class RecurrentNetwork(nn.Module):
    """An LSTM that reads a text token by token and scores every next token.

    The embeddings, D wide as the state, serve twice, as in GPT. Mikolov et al.
    2010; Press and Wolf 2017 (used twice); Vaswani et al. 2017, section 3.4
    (times sqrt(D)).
    """

    def __init__(self, V: int, D: int = 256, L: int = 1, dropout: float = 0.0):
        super().__init__()
        self.settings = {"V": V, "D": D, "L": L, "dropout": dropout}
        self.words = nn.Embedding(V, D)
        self.dropout = nn.Dropout(dropout)
        layers = (nn.LSTM(D, D, batch_first=True) for _ in range(L))
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(D)  # an LSTM's outputs are small
        nn.init.normal_(self.words.weight, std=0.02)  # all alike at first
        for layer in self.layers:
            open_forget_gates(layer)

    def forward(
        self, token_ids: Tensor, state: list[Any] | None = None
    ) -> tuple[Tensor, list[Any]]:
        """int64[B, T], states -> logits float[B, T, V], the next states."""
        x = self.words(token_ids) * math.sqrt(self.words.embedding_dim)
        x = self.dropout(x)  # [B, T, D]
        states = []
        old_states = state or [None] * len(self.layers)
        for layer, old in zip(self.layers, old_states, strict=True):
            x, new = layer(x, old)
            x = self.dropout(x)
            states.append(new)
        return self.norm(x) @ self.words.weight.T, states


class TrainableModel(NetworkModel):
    """A network that this course trains, kept with its vocabulary and its `run`."""

    network_class: type[nn.Module]
    run: Run | None = None

    def __init__(self, network: nn.Module, tokenizer: BytePairTokenizer, use_cache: bool = True):
        super().__init__(network, tokenizer, use_cache)
        V, self.context = network.settings["V"], network.settings.get("max_T")
        if V != tokenizer.V:
            found = f"the network scores {V} tokens and the vocabulary has {tokenizer.V}"
            raise ValueError(f"{found}; make them equal.")

    def save(self, folder: str | Path) -> None:
        """Write a trained model, its run and its vocabulary; see `src.training.save_run`."""
        save_run(self.run, folder, {"tokenizer.json": self.tokenizer.to_json()})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; raises what `src.training.load_run` does."""
        run = load_run(folder, cls.network_class)
        model = cls(run.model, BytePairTokenizer.load(Path(folder) / "tokenizer.json"))
        model.run = run
        return model


class RecurrentModel(TrainableModel):
    """A language model by an LSTM, which keeps all it has read in a state of one size."""

    network_class = RecurrentNetwork

    def logits(self, token_ids: Tensor, cache: Any = None) -> tuple[Tensor, Any]:
        return self.network(token_ids, cache)


class GPTModel(TrainableModel):
    """A language model by `src.transformer.GPT`; the cache holds keys and values."""

    network_class = GPT

    def logits(self, token_ids: Tensor, cache: Any = None) -> tuple[Tensor, Any]:
        cache = cache or self.network.new_cache()
        return self.network(token_ids, cache), cache


class PretrainedModel(NetworkModel):
    """A language model that others have trained, with its own vocabulary.

    It has read far more text than this course has, most likely these Wikipedia articles too,
    the test ones included. SmolLM2's weights have been rounded to four bits (Q4_1) before. `name`
    is "smollm2" (SmolLM2-135M-Instruct), or the folder of a causal language model.
    """

    def __init__(self, name: str | Path = "smollm2"):
        folder = assets.path(name) if name == "smollm2" else Path(name)
        network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        tokenizer = BytePairTokenizer.load(folder / "tokenizer.json")
        super().__init__(network.to(runtime.device()), tokenizer)
        # 1024 are enough for an introduction, and little memory.
        self.context = min(1024, network.config.max_position_embeddings)

    def logits(self, token_ids: Tensor, cache: Any = None) -> tuple[Tensor, Any]:
        token_ids = token_ids.to(self.network.device)
        output = self.network(token_ids, past_key_values=cache, use_cache=True)
        return output.logits.cpu(), output.past_key_values


# --- training

ROW_LENGTH = 128  # tokens of a training row, for a model that could read any number
DEVELOPMENT_TEXTS = 16  # that the scores on the way are taken on
WRITES = 60  # tokens that a model writes at each of them, if it is to


def training_batches(
    rows: Sequence[Sequence[int]], start_id: int, T: int, batch_size: int, seed: int
) -> Iterator[Tensor]:
    """Batches without end, int64[B, T + 1]: T tokens to read, and the next one of each.

    All texts follow one another in random order, START between them. A row begins where a
    text does, or T, 2 T and so on tokens into it, and continues into the next text.
    """
    rng = random.Random(seed)
    while True:
        stream, begins = [], []
        for row in rng.sample(rows, len(rows)):
            begins += range(len(stream), len(stream) + len(row) + 1, T)
            stream += [start_id, *row]
        tokens = torch.tensor(stream)
        begins = [begin for begin in begins if begin + T < len(stream)]
        if len(begins) < batch_size:
            found = f"{len(stream)} tokens give {len(begins)} rows of {T}"
            raise ValueError(f"{found}, fewer than a batch of {batch_size}; use more text.")
        rng.shuffle(begins)
        for i in range(0, len(begins) - batch_size + 1, batch_size):
            batch = torch.tensor(begins[i : i + batch_size])
            yield tokens[batch[:, None] + torch.arange(T + 1)]


def train_language_model(
    model: TrainableModel,
    data: LanguageData,
    minutes: float | None,
    seed: int = 0,
    folder: str | Path | None = None,
    batch_size: int = 16,
    learning_rate: float = 3e-3,
    beginning: str | None = None,
    report: Callable[[dict], None] | None = None,
    **options: Any,
) -> Run:
    """Teach a model, in place, to predict the next token.

    The history's loss is per token, ln V for a model that guesses; its `perplexity_per_word` is
    that of some development texts. For the other arguments see `src.training.fit`.

    Args:
        model: its vocabulary must be that of the data.
        folder: where to keep the model, if anywhere; see `TrainableModel.save`.
        batch_size: rows per step, each of as many tokens as the model reads at once.
        beginning: with each score the history keeps what the model then writes after it,
            as `writes`.
    """
    if model.tokenizer != data.tokenizer:
        advice = "make the model with data.tokenizer"
        raise ValueError(f"the model and the data have different vocabularies; {advice}.")
    if folder is not None:
        make_folder(folder)
    T = model.context or ROW_LENGTH
    start_id = data.tokenizer.start_id
    development = [text for text in data.texts["development"] if text.split()][:DEVELOPMENT_TEXTS]

    def loss_of(rows: Tensor) -> Tensor:
        with compute.bf16_autocast():
            logits, _ = model.logits(rows[:, :-1])
            return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())

    def look(entry: dict) -> None:  # the clock stands still meanwhile
        if beginning is not None and "perplexity_per_word" in entry:
            entry["writes"] = model.generate(beginning, WRITES, seed=seed).text
        if report is not None:
            report(entry)

    with compute.keep_malloc_pages():
        model.run = fit(
            model.network,
            training_batches(data.rows["train"], start_id, T, batch_size, seed),
            loss_of,
            minutes,
            score=("perplexity_per_word", lambda: model.score(development).perplexity_per_word),
            batch_size=batch_size * T,
            learning_rate=learning_rate,
            seed=seed,
            unit="tokens",
            report=look,
            **options,
        )
    if folder is not None:
        model.save(folder)
    return model.run


# --- ways to go on


def likeliest_tokens(model: LanguageModel, text: str, n: int = 3) -> dict[str, float]:
    """The n likeliest tokens after the whole `text`, with their probabilities.

    Blanks around them are left out; where two differ in that alone, the likelier one stays.
    """
    probs, token_ids = model.next_token_probs(model.tokenizer.encode(text.rstrip())).topk(n)
    likeliest: dict[str, float] = {}
    pieces = model.tokenizer.pieces(token_ids.tolist())
    for piece, prob in zip(pieces, probs.tolist(), strict=True):
        likeliest.setdefault(piece.strip() or piece, prob)
    return likeliest


def three_continuations(
    model: LanguageModel, beginning: str, n: int = 12, seed: int = 0
) -> list[Continuation]:
    """Three ways to continue, of at most n tokens, for a writer to choose from.

    Each first token is drawn by its probability among the 20 likeliest, what
    follows by top-p. All three differ, also in their first token. Blanks at
    the end of the beginning are left out, since tokens begin with theirs.
    """
    beginning = beginning.rstrip()
    token_ids = model.tokenizer.encode(beginning)
    logits = model.read(model.start(), token_ids).clone()
    logits[model.tokenizer.start_id] = -math.inf  # do not end the text here
    probs = Sampler(top_k=20).probs(logits)
    generator = torch.Generator().manual_seed(seed)
    possible = int((probs > 0).sum())
    firsts = torch.multinomial(probs, possible, generator=generator)
    sampler = Sampler(temperature=0.8, top_p=0.9, repetition_penalty=1.1)
    continuations: dict[str, Continuation] = {}
    for first in firsts.tolist():
        found = model.generate(beginning, n, sampler, seed, first)
        continuations.setdefault(found.text, found)
        if len(continuations) == 3:
            break
    return list(continuations.values())


def beam_search(
    model: LanguageModel, beginning: str, n: int = 20, beams: int = 4
) -> list[tuple[float, str]]:
    """Look for the likeliest way to go on, keeping a few texts at every step.

    Each kept text is tried with every next token, and the `beams` likeliest
    of all these stay. One beam is greedy decoding. A text that the model has
    ended is kept as it is.

    Args:
        n: the most tokens to write.

    Returns:
        The logarithm of each one's probability, and its text, likeliest first.
    """
    tokenizer, kept = model.tokenizer, [(0.0, [])]
    begun = tokenizer.encode(beginning)
    for _ in range(n):
        tried = []
        for log_prob, written in kept:
            if written[-1:] == [tokenizer.start_id]:
                tried.append((log_prob, written))
                continue
            log_probs = model.next_token_probs([*begun, *written]).log()
            best = log_probs.topk(min(beams, tokenizer.V))
            for more, token in zip(*map(Tensor.tolist, best), strict=True):
                tried.append((log_prob + more, [*written, token]))
        kept = sorted(tried, reverse=True)[:beams]
    return [(log_prob, tokenizer.decode(written)) for log_prob, written in kept]
