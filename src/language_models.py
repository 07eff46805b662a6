"""Language models: what comes next? Counting, recurring, attending, pre-trained, behind one interface (notebook 05).

    data = LanguageData.load()                                       # Wikipedia introductions, split by article, as tokens
    counting = NgramModel(data.tokenizer, data.rows["train"], order=4)
    attending = GPTModel(GPT(data.tokenizer.V, D=256, L=2, max_T=256), data.tokenizer)
    train_language_model(attending, data, minutes=1)
    for model in (counting, attending, PretrainedModel()):
        print(model.score(data.texts["test"]).perplexity_per_word)
        print(model.generate("Oxygen is", 20, Sampler(top_p=0.9), seed=1).text)
    three_continuations(attending, "We are having a great learning", n=8, seed=0)

Every text begins with one token of its own, the START, which also ends it: what a model knows before the first word. B: batch
T: tokens   V: vocabulary   D: width. Probabilities are natural-log ones where they are logarithms.

Sources: Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling" (n-grams); Mikolov et al. 2010
(recurrent); Radford et al. 2019 (GPT-2; bytes as the alphabet of the tokens); Holtzman et al. 2019 (top-p); Keskar et al. 2019
(repetition penalty).
"""

from __future__ import annotations

import itertools
import math
import random
import zlib
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from src import assets, compute, runtime
from src.files import make_folder
from src.rnn import open_forget_gates, pad
from src.sampling import Sampler
from src.subwords import BytePairTokenizer
from src.text import sentence_stream, tokenize_words
from src.topics import Split, split_of
from src.training import Run, fit, in_eval_mode, load_run, save_run
from src.transformer import GPT

# --- texts as tokens -----------------------------------------------------------------------------------------------------


@dataclass
class LanguageData:
    """Texts in three splits, as they are and as tokens.   texts, rows: by split, "train", "development" and "test"."""

    tokenizer: BytePairTokenizer
    texts: dict[Split, list[str]]
    rows: dict[Split, list[list[int]]]

    @classmethod
    def load(cls, V: int = 4000) -> LanguageData:
        """The Wikipedia introductions (see `src.assets`), and a vocabulary learned from the training ones, kept in the cache folder."""
        return cls.from_articles({passage.title: passage.text for passage in assets.load_passages().values()}, V, runtime.cache())

    @classmethod
    def from_articles(cls, articles: Mapping[str, str], V: int, cache: Path | None = None) -> LanguageData:
        """Split by article, as `src.topics` does; learn V tokens from the training texts, or take them from the cache.

        articles: title -> text   cache: a folder for the vocabulary; None keeps it nowhere
        """
        texts: dict[Split, list[str]] = {"train": [], "development": [], "test": []}
        for title, text in articles.items():
            texts[split_of(title)].append(text)
        tokenizer = _cached_tokenizer(texts["train"], V, cache) if cache else BytePairTokenizer.train(texts["train"], V)
        return cls(tokenizer, texts, {split: tokenizer.encode_all(some) for split, some in texts.items()})


def _cached_tokenizer(texts: list[str], V: int, cache: Path) -> BytePairTokenizer:
    """The vocabulary of these texts from the cache; learned and put there the first time. Other texts have another file."""
    file = cache / "tokenizers" / f"bpe-{V}-{zlib.crc32(chr(0).join(texts).encode()):08x}.json"
    if file.is_file():
        return BytePairTokenizer.load(file)
    tokenizer = BytePairTokenizer.train(texts, V)
    with suppress(OSError):  # a cache that cannot be written costs time, nothing else
        file.parent.mkdir(parents=True, exist_ok=True)
        tokenizer.save(file)
    return tokenizer


# --- how good is a model? ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TextScore:
    """How likely a model finds a text, and how long the text is. Scores can be added: `sum(scores, TextScore())`.

    log_prob: natural logarithm of the text's probability, -inf where it is 0   tokens: as the model cuts it
    words: what stands between blanks   bytes: in UTF-8
    Models with different tokens are compared by word or by byte: a model with longer tokens has fewer, and each is harder.
    """

    log_prob: float = 0.0
    tokens: int = 0
    words: int = 0
    bytes: int = 0

    def __add__(self, other: TextScore) -> TextScore:
        return TextScore(self.log_prob + other.log_prob, self.tokens + other.tokens, self.words + other.words, self.bytes + other.bytes)

    @property
    def perplexity_per_token(self) -> float:
        """exp(-log_prob / tokens): among how many equally likely tokens it had to choose, on average."""
        return _exp(-self.log_prob / self.tokens)

    @property
    def perplexity_per_word(self) -> float:
        """exp(-log_prob / words): the same for whole words, whatever pieces the model cut them into."""
        return _exp(-self.log_prob / self.words)

    @property
    def bits_per_byte(self) -> float:
        """-log_prob / (bytes ln 2): the size of the text packed with this model's help, as bits for each byte of it."""
        return -self.log_prob / (self.bytes * math.log(2))


def _exp(x: float) -> float:
    """e^x, infinite where it is larger than a float can be."""
    return math.exp(x) if x < 709 else math.inf


@dataclass(frozen=True)
class Continuation:
    """What a model wrote after a beginning.

    text: without the beginning   tokens: the text's tokens, each as it is written   token_ids: their numbers
    probs: how likely the model found each token at its place, before any sampler   ended: whether it ended the text by itself
    """

    beginning: str
    text: str
    tokens: tuple[str, ...]
    token_ids: tuple[int, ...]
    probs: tuple[float, ...]
    ended: bool


# --- the interface -------------------------------------------------------------------------------------------------------


@dataclass
class DecodingState:
    """What a model has read so far.

    token_ids: all of it, from START on   cache: what the model keeps of it   begin: the first token that `cache` knows of
    done: how many of `token_ids` have gone into `cache`
    """

    token_ids: list[int]
    cache: Any = None
    begin: int = 0
    done: int = 0


class LanguageModel(ABC):
    """Says how likely every token is to come next. Everything else, scoring and writing, follows from that.

    A model gives `read`, for one text token by token, and `log_probs`, the same for whole texts at once.
    """

    tokenizer: BytePairTokenizer

    @property
    @abstractmethod
    def parameters(self) -> int:
        """How many numbers the model has learned."""

    @abstractmethod
    def read(self, state: DecodingState, token_ids: Sequence[int]) -> Tensor:
        """Read on, and keep it in `state`.   Returns logits float[V] for the token after; softmax makes them probabilities."""

    @abstractmethod
    def log_probs(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        """How likely each token of each row is after those before it: for each row float64[T], natural logarithms."""

    def start(self) -> DecodingState:
        """Before the first token: nothing but START."""
        return DecodingState([self.tokenizer.start_id])

    def next_token_probs(self, token_ids: Sequence[int]) -> Tensor:
        """How likely each token is to come next.   token_ids: the text so far, may be empty   Returns float[V], summing to one."""
        return self.read(self.start(), token_ids).softmax(-1)

    def score(self, text: str | Sequence[str]) -> TextScore:
        """The probability of a text, or of several independent ones: the product over their tokens.

        It is that of the tokens which the tokenizer makes of the text; that a text ends there is not counted.
        Raises ValueError where there is no word to score.
        """
        texts = [text] if isinstance(text, str) else list(text)
        words = sum(len(text.split()) for text in texts)
        if not words:
            raise ValueError("there is no word in this text to score; give it at least one.")
        rows = self.tokenizer.encode_all(texts)
        log_prob = sum(float(row.sum()) for row in self.log_probs(rows))
        return TextScore(log_prob, sum(map(len, rows)), words, sum(len(text.encode()) for text in texts))

    def generate(self, beginning: str, n: int = 30, sampler: Sampler | None = None, seed: int = 0) -> Continuation:
        """Write on after a beginning: up to n tokens, fewer where the model ends the text. The same seed writes the same."""
        return self._write(beginning, n, sampler or Sampler(), seed)

    def _write(self, beginning: str, n: int, sampler: Sampler, seed: int, first: int | None = None) -> Continuation:
        """As `generate`.   first: the token to begin with; None: it is drawn like the others"""
        generator = torch.Generator().manual_seed(seed)
        state, new = self.start(), self.tokenizer.encode(beginning)
        token_ids, probs, ended = [], [], False
        while len(token_ids) < n:
            logits = self.read(state, new)
            chosen = first if first is not None and not token_ids else sampler(logits, state.token_ids, generator)
            if ended := chosen == self.tokenizer.start_id:
                break
            token_ids.append(chosen)
            probs.append(float(logits.softmax(-1)[chosen]))
            new = [chosen]
        pieces = tuple(self.tokenizer.pieces(token_ids))
        return Continuation(beginning, self.tokenizer.decode(token_ids), pieces, tuple(token_ids), tuple(probs), ended)


# --- networks ------------------------------------------------------------------------------------------------------------

MOST_LOGITS = 50_000_000  # of a batch that is scored: 0.2 GB of them


def window_start(place: int, context: int | None) -> int:
    """Where the model begins to read in order to predict the token after `place`, when it can read `context` tokens at most.

    A full window moves on by half of its length, so that there is always something before; None: it reads from the beginning.
    """
    if context is None or place < context:
        return 0
    step = max(1, context // 2)
    return ((place - context) // step + 1) * step


def windows(T: int, context: int | None) -> Iterator[tuple[int, int, int]]:
    """The windows of T places, as (begin, first, end): read begin .. end - 1, predict after first .. end - 1."""
    first = 0
    while first < T:
        begin = window_start(first, context)
        end = T if context is None else min(T, begin + context)
        yield begin, first, end
        first = end


class NetworkModel(LanguageModel):
    """A language model whose logits come from a network.

    network: the nn.Module   use_cache: keep what can be kept of tokens already read (False: read all of them again for each new one)
    context: tokens it can read at once, None for any number; longer texts are read in the windows of `window_start`
    """

    context: int | None = None

    def __init__(self, network: nn.Module, tokenizer: BytePairTokenizer, use_cache: bool = True):
        self.network, self.tokenizer, self.use_cache = network, tokenizer, use_cache

    @abstractmethod
    def logits(self, token_ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """token_ids: int64[B, T], after those in `state`   Returns logits float[B, T, V] and the state after them."""

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.network.parameters())

    def read(self, state: DecodingState, token_ids: Sequence[int]) -> Tensor:
        state.token_ids += token_ids
        begin = window_start(len(state.token_ids) - 1, self.context)
        if begin > state.begin or not self.use_cache:
            state.begin, state.done, state.cache = begin, begin, None
        with in_eval_mode(self.network):
            logits, state.cache = self.logits(torch.tensor([state.token_ids[state.done :]]), state.cache)
        state.done = len(state.token_ids)
        return logits[0, -1]

    def log_probs(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        read = [[self.tokenizer.start_id, *row] for row in rows]
        parts = [(i, *window) for i, row in enumerate(rows) for window in windows(len(row), self.context)]
        parts.sort(key=lambda part: part[3] - part[1])  # windows of about one length together: less padding
        result = [torch.empty(len(row), dtype=torch.float64) for row in rows]
        with in_eval_mode(self.network):
            while parts:
                size = max(1, MOST_LOGITS // (self.tokenizer.V * (parts[-1][3] - parts[-1][1])))
                batch, parts = parts[-size:], parts[:-size]  # from the longest on
                token_ids, _ = pad([read[i][begin : end + 1] for i, begin, _, end in batch])
                logits, _ = self.logits(token_ids[:, :-1])
                losses = F.cross_entropy(logits.flatten(0, 1), token_ids[:, 1:].flatten(), reduction="none")  # [B * T]
                for (i, begin, first, end), row in zip(batch, -losses.view(len(batch), -1), strict=True):
                    result[i][first:end] = row[first - begin : end - begin]
        return result


class RecurrentNetwork(nn.Module):
    """An LSTM that reads a text token by token; its output after each is compared with the embedding of every token.

    V: vocabulary   D: width of the embeddings and of the state   L: layers   dropout: share of numbers set to zero
    The embeddings serve twice, as in GPT.   Source: Mikolov et al. 2010; Press and Wolf 2017 (used twice); Vaswani et al. 2017,
    section 3.4 (read at sqrt(D) times their size).
    """

    def __init__(self, V: int, D: int = 256, L: int = 1, dropout: float = 0.0):
        super().__init__()
        self.settings = {"V": V, "D": D, "L": L, "dropout": dropout}
        self.words = nn.Embedding(V, D)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(nn.LSTM(D, D, batch_first=True) for _ in range(L))
        self.norm = nn.LayerNorm(D)  # an LSTM's outputs are small; without this the scores of tokens stay alike for long
        nn.init.normal_(self.words.weight, std=0.02)  # small, so that at first every next token is about equally likely
        for layer in self.layers:
            open_forget_gates(layer)

    def forward(self, token_ids: Tensor, state: list[Any] | None = None) -> tuple[Tensor, list[Any]]:
        """token_ids: int64[B, T]   state: of each layer, after the tokens before   Returns logits float[B, T, V] and the next state."""
        x = self.dropout(self.words(token_ids) * math.sqrt(self.words.embedding_dim))  # [B, T, D], no longer small
        states = []
        for layer, before in zip(self.layers, state or [None] * len(self.layers), strict=True):
            x, after = layer(x, before)
            x = self.dropout(x)
            states.append(after)
        return self.norm(x) @ self.words.weight.T, states


TrainedModel = TypeVar("TrainedModel", bound="TrainableModel")


class TrainableModel(NetworkModel):
    """A network that this course trains: on the vocabulary of `LanguageData`, kept together with it.   run: how it was trained."""

    network_class: type[nn.Module]
    run: Run | None = None

    def __init__(self, network: nn.Module, tokenizer: BytePairTokenizer, use_cache: bool = True):
        super().__init__(network, tokenizer, use_cache)
        if network.settings["V"] != tokenizer.V:
            raise ValueError(
                f"the network scores {network.settings['V']} tokens and the vocabulary has {tokenizer.V}; make it with V={tokenizer.V}."
            )

    def save(self, folder: str | Path) -> None:
        """Write the model, its run and its vocabulary, as `src.training.save_run` does. Raises ValueError for an untrained one."""
        if self.run is None:
            raise ValueError("this model has not been trained; train it with train_language_model, then save it.")
        save_run(self.run, folder, {"tokenizer.json": self.tokenizer.to_json()})

    @classmethod
    def load(cls: type[TrainedModel], folder: str | Path) -> TrainedModel:
        """Read what `save` wrote. Raises FileNotFoundError, naming what is missing, and ValueError for a model of another class."""
        run = load_run(folder, cls.network_class)
        model = cls(run.model, BytePairTokenizer.load(Path(folder) / "tokenizer.json"))
        model.run = run
        return model


class RecurrentModel(TrainableModel):
    """A language model by an LSTM: what it knows of all it has read is its state, of one size."""

    network_class = RecurrentNetwork

    def logits(self, token_ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return self.network(token_ids, state)


class GPTModel(TrainableModel):
    """A language model by `src.transformer.GPT`: it looks back at every token in its window; the cache keeps their keys and values."""

    network_class = GPT

    def __init__(self, network: GPT, tokenizer: BytePairTokenizer, use_cache: bool = True):
        super().__init__(network, tokenizer, use_cache)
        self.context = network.settings["max_T"]

    def logits(self, token_ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        cache = self.network.new_cache() if state is None else state
        return self.network(token_ids, cache), cache


class PretrainedModel(NetworkModel):
    """A language model that others have trained, with its own vocabulary.

    name: "smollm2" (SmolLM2-135M-Instruct, from the course's assets), or the folder of a causal language model with tokenizer.json
    It has read far more text than this course has, most likely these Wikipedia articles too, the test ones included.
    """

    context = 1024  # it could read more at once; this is enough for an introduction, and its memory stays small

    def __init__(self, name: str | Path = "smollm2", use_cache: bool = True):
        folder = assets.path(name) if name == "smollm2" else Path(name)
        network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(runtime.device())
        super().__init__(network, BytePairTokenizer.load(folder / "tokenizer.json"), use_cache)
        self.context = min(self.context, network.config.max_position_embeddings)

    def logits(self, token_ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        output = self.network(token_ids.to(self.network.device), past_key_values=state, use_cache=self.use_cache)
        return output.logits.cpu(), output.past_key_values


# --- training ------------------------------------------------------------------------------------------------------------

ROW_LENGTH = 128  # tokens of a training row, for a model that could read any number
DEVELOPMENT = 64  # texts that the scores on the way are taken on


def training_batches(rows: Sequence[Sequence[int]], start_id: int, T: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Batches without end, int64[B, T + 1]: in every row T tokens to read, and after each the one to predict.

    All texts stand one after another, START between them, in another order each time. A row begins where a text does, or T, 2 T
    and so on tokens into it, and goes on into the text that follows. Raises ValueError for too few tokens to fill a batch.
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
            raise ValueError(f"{len(stream)} tokens give {len(begins)} rows of {T}, fewer than a batch of {batch_size}; use more text.")
        rng.shuffle(begins)
        for i in range(0, len(begins) - batch_size + 1, batch_size):
            yield tokens[torch.tensor(begins[i : i + batch_size])[:, None] + torch.arange(T + 1)]


def train_language_model(
    model: TrainableModel,
    data: LanguageData,
    minutes: float | None,
    seed: int = 0,
    folder: str | Path | None = None,
    report: Callable[[dict], None] | None = None,
    batch_size: int = 16,
    learning_rate: float = 3e-3,
    steps: int | None = None,
) -> Run:
    """Teach a model to predict the next token, for so many minutes from the call on, or so many steps, or until Ctrl-C.

    model: is trained in place   folder: where to keep the result, if at all (see `TrainableModel.save`)
    report: called with every new entry of the history (`LiveCurve` is one)   learning_rate: its peak, see `learning_rate_at`
    batch_size: rows per step, of as many tokens as the model reads at once; the history and the run's settings count the tokens
    The history's loss is per token, ln V for a model that guesses; its `perplexity_per_word` is that of some development texts.
    Raises ValueError for a model whose vocabulary is not that of the data.
    """
    if model.tokenizer != data.tokenizer:
        raise ValueError("the model and the data have different vocabularies; make the model with data.tokenizer.")
    if folder is not None:
        make_folder(folder)
    T = model.context or ROW_LENGTH
    development = [text for text in data.texts["development"] if text.split()][:DEVELOPMENT]

    def loss_of(rows: Tensor) -> Tensor:
        with compute.bf16_autocast():
            logits, _ = model.logits(rows[:, :-1])
            return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())

    with compute.keep_malloc_pages():
        model.run = fit(
            model.network,
            training_batches(data.rows["train"], data.tokenizer.start_id, T, batch_size, seed),
            loss_of,
            minutes,
            score=("perplexity_per_word", lambda: model.score(development).perplexity_per_word),
            batch_size=batch_size * T,
            learning_rate=learning_rate,
            seed=seed,
            unit="tokens",
            report=report,
            steps=steps,
        )
    if folder is not None:
        model.save(folder)
    return model.run


# --- suggestions while one types -----------------------------------------------------------------------------------------


def count_next_words(texts: Iterable[str]) -> dict[str, Counter[str]]:
    """For every word the words that follow it in its sentences, and how often: all that a simple phone keyboard knows."""
    following: dict[str, Counter[str]] = defaultdict(Counter)
    for words in sentence_stream(texts):
        for word, after in itertools.pairwise(words):
            following[word][after] += 1
    return dict(following)


def keyboard_suggestions(following: Mapping[str, Counter[str]], text: str, n: int = 3) -> dict[str, float]:
    """The n words that followed the last word of `text` most often, with their shares; none for a word that nothing followed."""
    last = tokenize_words(text)[-1:]
    counts = following.get(last[0], Counter()) if last else Counter()
    return {word: count / counts.total() for word, count in counts.most_common(n)}


def likeliest_tokens(model: LanguageModel, text: str, n: int = 3) -> dict[str, float]:
    """The n tokens that the model finds likeliest after the whole `text`, with their probabilities.

    Blanks at its end are left out, since tokens bring theirs along in front.
    """
    probs, token_ids = model.next_token_probs(model.tokenizer.encode(text.rstrip())).topk(n)
    return dict(zip(model.tokenizer.pieces(token_ids.tolist()), probs.tolist(), strict=True))


FIRST_TOKENS = 20  # among so many likeliest ones are the first tokens of three continuations drawn


def three_continuations(model: LanguageModel, beginning: str, n: int = 12, seed: int = 0) -> list[Continuation]:
    """Three ways to go on, n tokens at most, for a writer to choose from; each begins with another token, and no two are the same.

    Each first token is drawn by its probability, what follows by top-p. Blanks at the end of the beginning are left out, since
    tokens bring theirs along in front. A model that knows fewer than three ways (one without smoothing) gives fewer.
    """
    beginning = beginning.rstrip()
    logits = model.read(model.start(), model.tokenizer.encode(beginning)).clone()
    logits[model.tokenizer.start_id] = -math.inf  # the text shall go on
    probs = Sampler(top_k=FIRST_TOKENS).probs(logits)
    firsts = torch.multinomial(probs, int((probs > 0).sum()), generator=torch.Generator().manual_seed(seed))
    continuations: dict[str, Continuation] = {}
    for first in firsts.tolist():
        found = model._write(beginning, n, Sampler(temperature=0.8, top_p=0.9, repetition_penalty=1.1), seed, first)
        continuations.setdefault(found.text, found)
        if len(continuations) == 3:
            break
    return list(continuations.values())
