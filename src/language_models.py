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
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from src import assets, runtime
from src.rnn import pad, remember_at_first
from src.text import sentence_stream, tokenize_words
from src.topics import Split, split_of
from src.training import Run, fit, in_eval_mode, load_run, save_run
from src.transformer import GPT

START = "<|endoftext|>"  # begins every text, and ends it: the name that GPT-2 and SmolLM2 have for it

# --- texts as tokens -----------------------------------------------------------------------------------------------------


class BytePairTokenizer:
    """A byte-level BPE vocabulary: frequent words are one token, rare ones fall into pieces, at worst into single bytes.

    So there is no unknown word, and `decode` gives back every text that `encode` took. V: tokens   start_id: the number of START
    """

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._tokenizer.encode_special_tokens = True  # "<|endoftext|>" in somebody's text is text, and ends nothing
        self.V: int = tokenizer.get_vocab_size()
        start_id = tokenizer.token_to_id(START)
        if start_id is None:
            raise ValueError(f"this vocabulary has no {START}, with which every text begins; use one that has, as GPT-2's and SmolLM2's.")
        self.start_id: int = start_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BytePairTokenizer) and self._tokenizer.to_str() == other._tokenizer.to_str()

    @classmethod
    def train(cls, texts: Iterable[str], V: int) -> BytePairTokenizer:
        """Merge the pair of neighbours that is most frequent, again and again, until there are V tokens, or no pair occurs twice.

        Raises ValueError for a V too small for START and the 256 bytes.
        """
        if V < 257:
            raise ValueError(f"V is {V}; the 256 bytes and {START} need at least 257.")
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # no token reaches over two words
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=V, min_frequency=2, special_tokens=[START], initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, file: str | Path) -> BytePairTokenizer:
        """Read a tokenizer.json. Raises FileNotFoundError where there is none, ValueError where it cannot be read."""
        if not Path(file).is_file():
            raise FileNotFoundError(f"there is no tokenizer at {file}; name a tokenizer.json, or the folder of a saved model.")
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library has no class of its own for it
            raise ValueError(f"{file} is damaged ({error}); {runtime.WRITE_AGAIN}.") from None
        return cls(tokenizer)

    def to_json(self) -> bytes:
        """What `save` writes."""
        return (self._tokenizer.to_str() + "\n").encode()

    def save(self, file: str | Path) -> None:
        """Write it as tokenizer.json, whole or not at all."""
        runtime.write_whole(Path(file), self.to_json())

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without START."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of many texts, in their order."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def decode(self, token_ids: Sequence[int]) -> str:
        """Tokens back to their text; START is left out."""
        return self._tokenizer.decode(list(token_ids), skip_special_tokens=True)

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Each token by itself, as it is written; "�" stands for part of a character."""
        return [self._tokenizer.decode([token_id], skip_special_tokens=False) for token_id in token_ids]


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
class Score:
    """How likely a model finds a text, and how long the text is. Scores can be added: `sum(scores, Score())`.

    log_prob: natural logarithm of the text's probability, -inf where it is 0   tokens: as the model cuts it
    words: what stands between blanks   bytes: in UTF-8
    Models with different tokens are compared by word or by byte: a model with longer tokens has fewer, and each is harder.
    """

    log_prob: float = 0.0
    tokens: int = 0
    words: int = 0
    bytes: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.log_prob + other.log_prob, self.tokens + other.tokens, self.words + other.words, self.bytes + other.bytes)

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


# --- choosing the next token ---------------------------------------------------------------------------------------------
# Small functions on logits float[V]; -inf takes a token out of the choice. They are transformers' LogitsProcessors, one by one.


def temperature(logits: Tensor, t: float) -> Tensor:
    """Divide by t: below 1 the likely tokens become likelier still, above 1 all become more alike."""
    if t <= 0:
        raise ValueError(f"the temperature is {t}; it must be above 0 (for the likeliest token take Sampler.greedy()).")
    return logits / t


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k likeliest tokens, and all that are as likely as the last of them."""
    if k < 1:
        raise ValueError(f"k is {k}; at least one token must be kept.")
    last = logits.topk(min(k, len(logits))).values[-1]
    return logits.masked_fill(logits < last, -math.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest likeliest tokens whose probabilities together reach p; the likeliest always stays.

    Source: Holtzman et al. 2019, "The curious case of neural text degeneration" (there "nucleus sampling").
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}; it is a probability, from 0 to 1.")
    rising, order = logits.sort()
    out = rising.softmax(-1).cumsum(-1) <= 1 - p  # those that together are not needed to reach p
    out[-1] = False
    return logits.masked_fill(torch.empty_like(out).scatter(0, order, out), -math.inf)


def repetition_penalty(logits: Tensor, token_ids: Sequence[int], penalty: float) -> Tensor:
    """Make tokens that have come before less likely: a positive logit is divided by the penalty, a negative one multiplied.

    penalty: 1 changes nothing.   Source: Keskar et al. 2019, "CTRL", section 4.1.
    """
    if penalty <= 0:
        raise ValueError(f"the penalty is {penalty}; it must be above 0, and 1 changes nothing.")
    before = torch.tensor(sorted(set(token_ids)), dtype=torch.int64)
    values = logits[before]
    return logits.scatter(0, before, torch.where(values < 0, values * penalty, values / penalty))


@dataclass(frozen=True)
class Sampler:
    """How to choose the next token: what has been said is penalised, then temperature, top-k and top-p, then a draw.

    temperature: 0 means no draw, the likeliest token   top_k, top_p: None leaves that step out
    repetition_penalty: see `repetition_penalty`; START has come before, too, so that a penalty lets texts end later
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0

    @classmethod
    def greedy(cls, repetition_penalty: float = 1.0) -> Sampler:
        """Always the likeliest token."""
        return cls(temperature=0, repetition_penalty=repetition_penalty)

    def probs(self, logits: Tensor, token_ids: Sequence[int] = ()) -> Tensor:
        """The probabilities that the next token is drawn with: float[V].   logits: float[V]   token_ids: those before it"""
        logits = repetition_penalty(logits, token_ids, self.repetition_penalty)
        if self.temperature == 0:
            return F.one_hot(logits.argmax(), len(logits)).to(logits)
        logits = temperature(logits, self.temperature)
        if self.top_k is not None:
            logits = top_k(logits, self.top_k)
        if self.top_p is not None:
            logits = top_p(logits, self.top_p)
        return logits.softmax(-1)

    def __call__(self, logits: Tensor, token_ids: Sequence[int], generator: torch.Generator) -> int:
        """Draw the number of the next token."""
        return int(torch.multinomial(self.probs(logits, token_ids), 1, generator=generator))


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
class Memory:
    """What a model has read so far.

    token_ids: all of it, from START on   state: what the model keeps of it   begin: the first token that `state` knows of
    done: how many of `token_ids` have gone into `state`
    """

    token_ids: list[int]
    state: Any = None
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
    def read(self, memory: Memory, token_ids: Sequence[int]) -> Tensor:
        """Read on, and keep it in `memory`.   Returns logits float[V] for the token after; softmax makes them probabilities."""

    @abstractmethod
    def log_probs(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        """How likely each token of each row is after those before it: for each row float64[T], natural logarithms."""

    def start(self) -> Memory:
        """Before the first token: nothing but START."""
        return Memory([self.tokenizer.start_id])

    def next_token_probs(self, token_ids: Sequence[int]) -> Tensor:
        """How likely each token is to come next.   token_ids: the text so far, may be empty   Returns float[V], summing to one."""
        return self.read(self.start(), token_ids).softmax(-1)

    def score(self, text: str | Sequence[str]) -> Score:
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
        return Score(log_prob, sum(map(len, rows)), words, sum(len(text.encode()) for text in texts))

    def generate(self, beginning: str, n: int = 30, sampler: Sampler = Sampler(), seed: int = 0) -> Continuation:
        """Write on after a beginning: up to n tokens, fewer where the model ends the text. The same seed writes the same."""
        return self._write(beginning, n, sampler, seed)

    def _write(self, beginning: str, n: int, sampler: Sampler, seed: int, first: int | None = None) -> Continuation:
        """As `generate`.   first: the token to begin with; None: it is drawn like the others"""
        generator = torch.Generator().manual_seed(seed)
        memory, new = self.start(), self.tokenizer.encode(beginning)
        token_ids, probs, ended = [], [], False
        while len(token_ids) < n:
            logits = self.read(memory, new)
            chosen = first if first is not None and not token_ids else sampler(logits, memory.token_ids, generator)
            if ended := chosen == self.tokenizer.start_id:
                break
            token_ids.append(chosen)
            probs.append(float(logits.softmax(-1)[chosen]))
            new = [chosen]
        pieces = tuple(self.tokenizer.pieces(token_ids))
        return Continuation(beginning, self.tokenizer.decode(token_ids), pieces, tuple(token_ids), tuple(probs), ended)


# --- counting: n-grams ---------------------------------------------------------------------------------------------------


@dataclass
class Level:
    """All runs of m tokens that occur, for one m, numbered from 0 to N - 1.

    keys: int64[N], rising: the number (in the level of m - 1) of all but the last token, times V, plus the last token
    counts: int64[N], how often it occurs, or how many different tokens it occurs after (see `count_ngrams`)
    totals, types: for each run of m - 1 tokens, the sum of the counts of what follows, and how many different tokens follow
    """

    keys: np.ndarray
    counts: np.ndarray
    totals: np.ndarray
    types: np.ndarray

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The numbers of these keys, -1 for one that does not occur."""
        places = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, -1)

    def discount(self) -> float:
        """What Kneser-Ney takes off every count: n1 / (n1 + 2 n2), of n1 counts of one and n2 of two; 1/2 where no count is one."""
        n1, n2 = (int((self.counts == count).sum()) for count in (1, 2))
        return n1 / (n1 + 2 * n2) if n1 else 0.5


def count_ngrams(rows: Iterable[Sequence[int]], order: int, V: int, start_id: int, continuations: bool) -> list[Level]:
    """Count the runs of 1 to `order` tokens in texts; each text stands between order - 1 STARTs and one.

    continuations: of runs shorter than `order`, count after how many different tokens they occur, not how often: "Francisco" is
    frequent, but after one word only (Kneser and Ney 1995).
    """
    padded = [np.array([*[start_id] * (order - 1), *row, start_id]) for row in rows]
    if not padded:
        raise ValueError("there is no text to count; give at least one.")
    tokens = np.concatenate(padded)
    if tokens.max() >= V:
        raise ValueError(f"token {tokens.max()} is not among the {V} of this vocabulary; cut the texts with the same tokenizer.")
    foretold = np.concatenate([np.arange(len(text)) >= order - 1 for text in padded])  # the STARTs before a text are given
    all_keys: list[np.ndarray] = []
    all_counts: list[np.ndarray] = []
    numbers = np.zeros(len(tokens) + 1, dtype=np.int64)  # of the run of m - 1 tokens that begins at each place
    for m in range(1, order + 1):
        shorter = numbers
        keys, first, numbers = np.unique(shorter[:-1] * V + tokens[m - 1 :], return_index=True, return_inverse=True)
        counts = np.bincount(numbers[foretold[m - 1 :]], minlength=len(keys))
        if continuations and m > 1:
            without_first = shorter[first[counts > 0] + 1]  # every different run of m tokens, its first one left out
            all_counts[-1] = np.bincount(without_first, minlength=len(all_keys[-1]))
        all_keys.append(keys)
        all_counts.append(counts)
    levels, parents = [], 1
    for keys, counts in zip(all_keys, all_counts, strict=True):
        totals = np.bincount(keys // V, weights=counts, minlength=parents)
        types = np.bincount(keys // V, weights=counts > 0, minlength=parents)
        levels.append(Level(keys, counts, totals, types))
        parents = len(keys)
    return levels


class NgramModel(LanguageModel):
    """Counts which tokens follow which n - 1 tokens; for those it has not seen it asks ever shorter runs.

    rows: the training texts as tokens   order: n, the length of the runs: 1 looks at no token before
    smoothing: "kneser-ney" takes the same discount off every count, and what it saves goes to the next shorter run, down to
        1 / V; "add-k" adds k to every count of the longest runs and asks no shorter ones
    k: for "add-k"; 0 is maximum likelihood: what did not follow has probability 0, and after a run never seen all are equal
    Source: Chen and Goodman 1998, section 2 (add-k, interpolated Kneser-Ney with one discount per length).
    Raises ValueError for other settings, for no text at all, and for tokens of another vocabulary.
    """

    def __init__(
        self,
        tokenizer: BytePairTokenizer,
        rows: Iterable[Sequence[int]],
        order: int = 4,
        smoothing: Literal["kneser-ney", "add-k"] = "kneser-ney",
        k: float = 0.0,
    ):
        if order < 1:
            raise ValueError(f"the order is {order}; it is the length of the runs, 1 or more.")
        if smoothing not in ("kneser-ney", "add-k"):
            raise ValueError(f"there is no smoothing {smoothing!r}; take 'kneser-ney' or 'add-k'.")
        if k < 0 or (k and smoothing == "kneser-ney"):
            raise ValueError(f"k is {k} with {smoothing}; it is 0 or more, and only for 'add-k'.")
        self.tokenizer, self.order, self.smoothing, self.k = tokenizer, order, smoothing, k
        self.levels = count_ngrams(rows, order, tokenizer.V, tokenizer.start_id, continuations=smoothing == "kneser-ney")
        self.discounts = [level.discount() for level in self.levels]

    @property
    def parameters(self) -> int:
        """The counts it keeps."""
        return sum(int((level.counts > 0).sum()) for level in self.levels)

    def mix(self, m: int, contexts: np.ndarray, counts: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """From the probabilities by runs of m - 1 tokens to those by runs of m tokens.

        contexts: the numbers of the m - 1 tokens before, -1 where they are unknown   counts: of the run with the token
        shorter: its probability by the shorter run.   All of one shape, which is returned, or contexts of shape [1].
        """
        level, discount = self.levels[m - 1], self.discounts[m - 1]
        totals = np.where(contexts < 0, 0, level.totals[contexts])
        if self.smoothing == "add-k":
            return self._add_k(counts, totals)
        saved = discount * level.types[contexts]  # for an unknown context any number: its total is 0, see below
        mixed = (np.maximum(counts - discount, 0) + saved * shorter) / np.maximum(totals, 1)
        return np.where(totals > 0, mixed, shorter)

    def _add_k(self, counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
        """The shares of counts with k added to each; where nothing was counted all tokens are equal."""
        V = self.tokenizer.V
        all_counts = totals + self.k * V
        return np.divide(counts + self.k, all_counts, out=np.full(np.broadcast(counts, totals).shape, 1 / V), where=all_counts > 0)

    def next_token_probs(self, token_ids: Sequence[int]) -> Tensor:
        V = self.tokenizer.V
        last = [*[self.tokenizer.start_id] * (self.order - 1), *token_ids][len(token_ids) :]  # the order - 1 tokens before
        probs = np.full(V, 1 / V)
        for m, level in enumerate(self.levels, start=1):
            context = np.array([0])
            # The number of the last m - 1 tokens, level by level.
            for shorter_level, token in zip(self.levels, last[len(last) - m + 1 :], strict=False):
                context = shorter_level.find(context * V + token)
            begin, end = np.searchsorted(level.keys, [context[0] * V, (context[0] + 1) * V])  # all that follows this context
            counts = np.zeros(V)
            counts[level.keys[begin:end] - context[0] * V] = level.counts[begin:end]
            probs = self.mix(m, context, counts, probs)
        return torch.from_numpy(probs)

    def read(self, memory: Memory, token_ids: Sequence[int]) -> Tensor:
        memory.token_ids += token_ids
        return self.next_token_probs(memory.token_ids[1:]).log()

    def log_probs(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        return [self._log_probs(row) for row in rows]

    def _log_probs(self, token_ids: Sequence[int]) -> Tensor:
        """One row of `log_probs`, at all places at once."""
        V, T = self.tokenizer.V, len(token_ids)
        tokens = np.array([*[self.tokenizer.start_id] * (self.order - 1), *token_ids], dtype=np.int64)
        probs = np.full(T, 1 / V)
        numbers = np.zeros(len(tokens) + 1, dtype=np.int64)  # of the run of m - 1 tokens that begins at each place
        for m, level in enumerate(self.levels, start=1):
            contexts = numbers[:-1]
            numbers = level.find(contexts * V + tokens[m - 1 :])
            counts = np.where(numbers < 0, 0, level.counts[numbers])
            scored = slice(len(numbers) - T, None)  # the runs that end at a token of the text
            probs = self.mix(m, contexts[scored], counts[scored], probs)
        return torch.from_numpy(probs).log()


# --- networks ------------------------------------------------------------------------------------------------------------

MOST_LOGITS = 50_000_000  # of a batch that is scored: 0.2 GB of them


def window_begin(place: int, context: int | None) -> int:
    """Where the model begins to read in order to foretell the token after `place`, when it can read `context` tokens at most.

    A full window moves on by half of its length, so that there is always something before; None: it reads from the beginning.
    """
    if context is None or place < context:
        return 0
    step = max(1, context // 2)
    return ((place - context) // step + 1) * step


def windows(T: int, context: int | None) -> Iterator[tuple[int, int, int]]:
    """The windows of T places, as (begin, first, end): read begin .. end - 1, foretell after first .. end - 1."""
    first = 0
    while first < T:
        begin = window_begin(first, context)
        end = T if context is None else min(T, begin + context)
        yield begin, first, end
        first = end


class NetworkModel(LanguageModel):
    """A language model whose logits come from a network.

    network: the nn.Module   use_cache: keep what can be kept of tokens already read (False: read all of them again for each new one)
    context: tokens it can read at once, None for any number; longer texts are read in the windows of `window_begin`
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

    def read(self, memory: Memory, token_ids: Sequence[int]) -> Tensor:
        memory.token_ids += token_ids
        begin = window_begin(len(memory.token_ids) - 1, self.context)
        if begin > memory.begin or not self.use_cache:
            memory.begin, memory.done, memory.state = begin, begin, None
        with in_eval_mode(self.network):
            logits, memory.state = self.logits(torch.tensor([memory.token_ids[memory.done :]]), memory.state)
        memory.done = len(memory.token_ids)
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
            remember_at_first(layer)

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
    """Batches without end, int64[B, T + 1]: in every row T tokens to read, and after each the one to foretell.

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
    """Teach a model to foretell the next token, for so many minutes from the call on, or so many steps, or until Ctrl-C.

    model: is trained in place   folder: where to keep the result, if at all (see `TrainableModel.save`)
    report: called with every new entry of the history (`LiveCurve` is one)   learning_rate: its peak, see `learning_rate_at`
    batch_size: rows per step, of as many tokens as the model reads at once; the history and the run's settings count the tokens
    The history's loss is per token, ln V for a model that guesses; its `perplexity_per_word` is that of some development texts.
    Raises ValueError for a model whose vocabulary is not that of the data.
    """
    if model.tokenizer != data.tokenizer:
        raise ValueError("the model and the data have different vocabularies; make the model with data.tokenizer.")
    if folder is not None:
        runtime.make_folder(folder)
    T = model.context or ROW_LENGTH
    development = [text for text in data.texts["development"] if text.split()][:DEVELOPMENT]

    def loss_of(rows: Tensor) -> Tensor:
        with runtime.quick_products():
            logits, _ = model.logits(rows[:, :-1])
            return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())

    with runtime.keeping_memory():
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
