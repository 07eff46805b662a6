"""word2vec: vectors for words, learned from nothing but which words stand near each other (notebook 02).

    run = train_word2vec(load_sentences(), architecture="skipgram", D=100, minutes=0.5)
    run.word_vectors().get_top_similar("king")
    save_word2vec(run, "build/runs/02/mine")              # WordVectors.load and load_word2vec read it again

Two ways to make questions with answers out of plain text: skip-gram asks a word for its neighbours, CBOW (continuous bag
of words) asks the neighbours for the word. `SkipGram` and `CBOW` are the models as one draws them; `train_word2vec` trains
the same two layers with the same loss, a thousand words at a time.

Source: Mikolov, Chen, Corrado and Dean 2013, "Efficient estimation of word representations in vector space" (the models), and
Mikolov, Sutskever, Chen, Corrado and Dean 2013, "Distributed representations of words and phrases and their compositionality"
(negative sampling, subsampling), called "Distributed representations" below.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src import assets, compute
from src.files import WRITE_AGAIN
from src.text import Vocabulary, sentence_stream, tokenize_words
from src.training import LOWER, MODEL, Budget, Log, Report, check_numbers, read_run, write_run

if TYPE_CHECKING:
    from src.embeddings import WordVectors

Architecture = Literal["skipgram", "cbow"]
LEARNING_RATES: dict[str, float] = {"skipgram": 6.0, "cbow": 6.0}  # chosen on the development half of the Google analogies
WARM_UP = 0.2  # the learning rate rises for about this share of a run: before that, nothing is known of how large gradients are

# How `train_word2vec` cuts its work. More words in a step: faster, until the vectors of frequent words move too far at once.
BLOCK = 32  # words in a row, whose windows are scored in one matrix product
BLOCKS_PER_STEP = 32
LEAST_STEPS = 50  # per pass, with fewer blocks in each where a text is small
SHARED_NEGATIVES = 256  # drawn once for all pairs of a step, each counting for less; with few, the loss rises before it falls
VOCABULARY = "vocabulary.json"  # in the folder of a run
SETTINGS = ("D", "window", "negatives", "epochs", "minutes", "min_count", "subsample", "learning_rate", "seed", "workers")  # of a run


# --- from a text to questions with answers -------------------------------------------------------------------------------


def load_sentences(whole: bool = False) -> list[list[str]]:
    """The sentences of the 10,033 Wikipedia introductions of the `wikipedia` asset, as lists of lower-case words.

    whole: take each introduction as one long sentence, so that windows reach from one sentence into the next.
    Text: Wikipedia's authors, CC BY-SA 4.0.
    """
    texts = [passage.text for passage in assets.load_passages().values()]
    return [words for text in texts if (words := tokenize_words(text))] if whole else list(sentence_stream(texts))


def training_pairs(token_ids: Sequence[int] | np.ndarray, window: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Every (centre, context) pair of one sentence: a word with each word at most `window` places before or after it.

    token_ids: int64[T].   rng: if given, each centre draws its own reach from 1..window, so that near words come up more often.
    Returns int64[N, 2], in the order of the centres, then of the contexts. Raises ValueError for a window below 1.
    """
    contexts, mask = context_windows(token_ids, window, rng)
    centre, _ = mask.nonzero()
    return np.stack([np.asarray(token_ids, dtype=np.int64)[centre], contexts[mask]], axis=1)


def context_windows(
    token_ids: Sequence[int] | np.ndarray, window: int, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """For each word of one sentence the words around it, as CBOW takes them.

    token_ids, window, rng: as in `training_pairs`.
    Returns contexts int64[T, 2 * window], 0 where there is no word, and mask bool[T, 2 * window], True where there is one.
    """
    if window < 1:
        raise ValueError(f"a window of {window} holds no neighbour; it must be 1 or more.")
    token_ids = np.asarray(token_ids, dtype=np.int64)
    T = len(token_ids)
    reach = rng.integers(1, window + 1, T) if rng else np.full(T, window)
    offsets = np.concatenate([np.arange(-window, 0), np.arange(1, window + 1)])
    places = np.arange(T)[:, None] + offsets  # [T, 2 * window]
    mask = (places >= 0) & (places < T) & (abs(offsets) <= reach[:, None])
    contexts = np.zeros_like(places)
    contexts[mask] = token_ids[places[mask]]
    return contexts, mask


def subsampling_keep(counts: Sequence[int] | np.ndarray, threshold: float) -> np.ndarray:
    """The chance of each word to stay in the text when frequent words are thinned out: min(1, sqrt(threshold / share)).

    counts: int[V], how often each word occurs; its share of the text is count / sum.
    threshold: words whose share is no greater all stay; 0 keeps every word.   Returns float64[V].
    Source: "Distributed representations", section 2.3. (The authors' C code, and gensim, keep a few more: they add threshold / share.)
    """
    counts = np.asarray(counts, dtype=np.float64)
    if threshold == 0:
        return np.ones_like(counts)
    shares = counts / counts.sum()
    return np.sqrt(threshold / np.maximum(shares, threshold))


def noise_distribution(counts: Sequence[int] | np.ndarray, power: float = 0.75) -> np.ndarray:
    """The chance of each word to be drawn as a wrong answer: in proportion to count ** power.

    counts: int[V], how often each word occurs.   Returns float64[V], which sums to one.
    Source: "Distributed representations", section 2.2.
    """
    weights = np.asarray(counts, dtype=np.float64) ** power
    return weights / weights.sum()


# --- the two models ------------------------------------------------------------------------------------------------------


class TwoLayers(nn.Module):
    """What both models are: a vector for every word, and a second layer that scores every word of the vocabulary.

    V: words   D: width. `embeddings.weight`, float[V, D], is what one keeps; `output.weight`, float[V, D], scores the answers.
    It begins as the original did: small random embeddings, output all zero, so that at first every answer is equally likely.
    """

    def __init__(self, V: int, D: int):
        super().__init__()
        self.embeddings = nn.Embedding(V, D)
        self.output = nn.Linear(D, V, bias=False)
        nn.init.uniform_(self.embeddings.weight, -0.5 / D, 0.5 / D)
        nn.init.zeros_(self.output.weight)

    def _tell_apart(self, hidden: Tensor, answers: Tensor, negatives: Tensor, weight: float) -> Tensor:
        """Mean over B of -log sigmoid(u_answer . h) - weight * (sum over the negatives of log sigmoid(-u_negative . h)).

        hidden: float[B, D]   answers: int64[B]   negatives: int64[B, K] or int64[K]   u: rows of the output layer
        """
        right = (hidden * self.output.weight[answers]).sum(-1)  # [B]
        wrong = (self.output.weight[negatives] @ hidden[:, :, None])[..., 0]  # [B, K]
        return -(F.logsigmoid(right) + weight * F.logsigmoid(-wrong).sum(-1)).mean()


class SkipGram(TwoLayers):
    """A word is asked for its neighbours: its vector gives each word of the vocabulary a score."""

    def forward(self, centres: Tensor) -> Tensor:
        """centres: int64[B].   Returns logits float[B, V]; F.cross_entropy(logits, contexts) is the full softmax loss."""
        return self.output(self.embeddings(centres))

    def negative_sampling_loss(self, centres: Tensor, contexts: Tensor, negatives: Tensor, weight: float = 1.0) -> Tensor:
        """Tell the true neighbour from wrong ones, instead of from all words; mean over the pairs.

        centres, contexts: int64[B].   negatives: int64[B, K], drawn by `noise_distribution`; or int64[K], the same for all pairs.
        weight: how much each negative counts.   Source: "Distributed representations", equation 4.
        """
        return self._tell_apart(self.embeddings(centres), contexts, negatives, weight)


class CBOW(TwoLayers):
    """The neighbours are asked for the word in their middle: the mean of their vectors gives each word of the vocabulary a score."""

    def forward(self, contexts: Tensor, mask: Tensor | None = None) -> Tensor:
        """contexts: int64[B, C].   mask: bool[B, C], True on words, False on filling; None: all are words.

        Returns logits float[B, V]; F.cross_entropy(logits, centres) is the full softmax loss.
        """
        return self.output(self._mean(contexts, mask))

    def negative_sampling_loss(
        self, contexts: Tensor, centres: Tensor, negatives: Tensor, mask: Tensor | None = None, weight: float = 1.0
    ) -> Tensor:
        """Tell the true centre from wrong ones, instead of from all words; mean over the centres.

        contexts, mask: as in `forward`.   centres: int64[B].   negatives: int64[B, K] or int64[K].   weight: as in SkipGram.
        """
        return self._tell_apart(self._mean(contexts, mask), centres, negatives, weight)

    def _mean(self, contexts: Tensor, mask: Tensor | None) -> Tensor:
        """The mean of the words' vectors, float[B, D]; zeros where there is no word."""
        vectors = self.embeddings(contexts)  # [B, C, D]
        if mask is None:
            return vectors.mean(1)
        return (vectors * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


# --- training them fast --------------------------------------------------------------------------------------------------
#
# Pair by pair, a computer spends its time on fetching vectors. So words are taken in blocks, and every centre of a block is
# scored with every word of the block and around it in one matrix product; a mask says which of these pairs count. The
# wrong answers are shared by all pairs of a step (Ji et al. 2016, "Parallelizing word2vec in shared and distributed memory").


@dataclass
class Blocks:
    """A text cut into N blocks of L words, each with the words around it.

    centres: int64[N, L].   contexts: int64[N, L + 2 * window], the same words and `window` more on either side.
    reach: int64[N, L], drawn from 1..window.   centre_sentences, context_sentences: number of the sentence, negative on filling.
    """

    centres: Tensor
    contexts: Tensor
    reach: Tensor
    centre_sentences: Tensor
    context_sentences: Tensor

    @classmethod
    def cut(cls, token_ids: np.ndarray, sentences: np.ndarray, window: int, rng: np.random.Generator, L: int = BLOCK) -> Blocks:
        """token_ids, sentences: int64[n], the words of a text and the number of the sentence of each."""
        N = -(-len(token_ids) // L)
        filling = N * L - len(token_ids)
        reach = np.pad(rng.integers(1, window + 1, len(token_ids)), (0, filling))
        around = (window, window + filling)
        places = np.arange(N)[:, None] * L + np.arange(L + 2 * window)  # in the text with its filling
        arrays = (
            np.pad(token_ids, (0, filling)).reshape(N, L),
            np.pad(token_ids, around)[places],
            reach.reshape(N, L),
            np.pad(sentences, (0, filling), constant_values=-1).reshape(N, L),
            np.pad(sentences, around, constant_values=-2)[places],
        )
        return cls(*map(torch.from_numpy, arrays))

    def pairs(self, chosen: Tensor) -> Tensor:
        """Which centre goes with which context: float[R, L, L + 2 * window], 1 for a pair and 0 for none.   chosen: int64[R]."""
        L, width = self.centres.shape[1], self.contexts.shape[1]
        distance = (torch.arange(width) - (width - L) // 2 - torch.arange(L)[:, None]).abs()  # [L, L + 2 * window]
        near = (distance > 0) & (distance <= self.reach[chosen][:, :, None])
        same_sentence = self.centre_sentences[chosen][:, :, None] == self.context_sentences[chosen][:, None, :]
        return (near & same_sentence).float()


@dataclass
class Batch:
    """What one step learns from.

    centres: int64[R, L]   contexts: int64[R, C]   pairs: float[R, L, C], 1 where a centre goes with a context, else 0
    noise: int64[K], the wrong answers, shared by all pairs   epoch: passes over the text before this step, such as 1.25
    """

    centres: Tensor
    contexts: Tensor
    pairs: Tensor
    noise: Tensor
    epoch: float

    def questions(self, architecture: Architecture) -> int:
        """How many questions it asks: skip-gram one for each pair, CBOW one for each centre with a neighbour."""
        return int(self.pairs.sum() if architecture == "skipgram" else self.pairs.any(-1).sum())


@dataclass
class Text:
    """A text as numbers.

    token_ids: int64[n], the words that are in the vocabulary, one sentence after another.   sentences: int64[n], number of the sentence
    of each.   words: how many words the text had, with those left out.
    """

    vocabulary: Vocabulary
    token_ids: np.ndarray
    sentences: np.ndarray
    words: int

    @classmethod
    def read(cls, sentences: Iterable[Sequence[str]], vocabulary: Vocabulary) -> Text:
        numbers, lengths, words = [], [], 0
        for sentence in sentences:
            known = vocabulary.encode(sentence, unknown="drop")
            numbers.extend(known)
            lengths.append(len(known))
            words += len(sentence)
        return cls(vocabulary, np.array(numbers, dtype=np.int64), np.repeat(np.arange(len(lengths)), lengths), words)

    def batches(self, window: int, subsample: float, rng: np.random.Generator) -> Iterator[Batch]:
        """Pass after pass over the text, without end; in each, frequent words are thinned out and reaches drawn anew, blocks shuffled."""
        keep = subsampling_keep(self.vocabulary.counts, subsample)[self.token_ids]
        noise_sums = noise_distribution(self.vocabulary.counts).cumsum()[:-1]
        for epoch in itertools.count():
            kept = rng.random(len(keep)) < keep
            blocks = Blocks.cut(self.token_ids[kept], self.sentences[kept], window, rng)
            order = torch.from_numpy(rng.permutation(len(blocks.centres)))
            steps = order.split(min(BLOCKS_PER_STEP, len(order) // LEAST_STEPS + 1))
            for step, chosen in enumerate(steps):
                noise = torch.from_numpy(noise_sums.searchsorted(rng.random(SHARED_NEGATIVES), side="right"))
                yield Batch(blocks.centres[chosen], blocks.contexts[chosen], blocks.pairs(chosen), noise, epoch + step / len(steps))


def block_loss(architecture: Architecture, centres: Tensor, contexts: Tensor, noise: Tensor, pairs: Tensor, weight: float) -> Tensor:
    """The negative sampling loss of whole blocks, summed: of `SkipGram` over pairs, of `CBOW` over centres with a neighbour.

    centres: float[R, L, D].   contexts: float[R, C, D].   noise: float[K, D].   pairs: float[R, L, C], 1 for a pair, else 0.
    Vectors of the questions are from the first layer, those of true and wrong answers from the second: for skip-gram the
    centres ask, for CBOW the contexts.   weight: how much each of the K negatives counts.
    """
    if architecture == "skipgram":
        right, wrong = centres @ contexts.mT, centres @ noise.T  # [R, L, C], [R, L, K]
        return -(F.logsigmoid(right) * pairs).sum() - weight * (F.logsigmoid(-wrong).sum(-1) * pairs.sum(-1)).sum()
    neighbours = pairs.sum(-1)  # [R, L]
    means = (pairs / neighbours.clamp(min=1)[:, :, None]) @ contexts  # [R, L, D]
    right, wrong = (means * centres).sum(-1), means @ noise.T  # [R, L], [R, L, K]
    return -((F.logsigmoid(right) + weight * F.logsigmoid(-wrong).sum(-1)) * (neighbours > 0)).sum()


class Layer:
    """One layer while it is trained: float[V, D], of which a step reads and changes a few rows only.

    Each row's gradient is divided by the root of the sum of its squared lengths so far (Adagrad with one number per row: Duchi,
    Hazan and Singer 2011), so that frequent words, which get hundreds of gradients in a step, move no further than rare ones.
    """

    def __init__(self, weights: Tensor):
        self.weights = weights
        self.squares = torch.zeros(len(weights))

    def take(self, *token_ids: Tensor) -> list[Tensor]:
        """The vectors of these words, float[..., D] for every int64[...]. Their gradients lead back to one copy of each row in use."""
        self.used, places = torch.cat([ids.flatten() for ids in token_ids]).unique(return_inverse=True)
        self.rows = self.weights.index_select(0, self.used).requires_grad_()
        vectors = self.rows.index_select(0, places).split([ids.numel() for ids in token_ids])
        return [part.view(*ids.shape, self.rows.shape[1]) for part, ids in zip(vectors, token_ids, strict=True)]

    def step(self, learning_rate: float) -> None:
        """Move the rows taken last against their gradients."""
        gradients = self.rows.grad
        self.squares[self.used] += gradients.square().sum(1)
        scale = learning_rate * (self.squares[self.used] + 1e-8).rsqrt()
        self.weights.index_add_(0, self.used, scale[:, None] * gradients, alpha=-1)


def batch_loss(architecture: Architecture, first: Layer, second: Layer, batch: Batch, weight: float) -> Tensor:
    """`block_loss` of a batch with the vectors that the two layers have for it."""
    if architecture == "skipgram":
        (centres,) = first.take(batch.centres)
        contexts, noise = second.take(batch.contexts, batch.noise)
    else:
        (contexts,) = first.take(batch.contexts)
        centres, noise = second.take(batch.centres, batch.noise)
    return block_loss(architecture, centres, contexts, noise, batch.pairs, weight)


def train_step(architecture: Architecture, first: Layer, second: Layer, batch: Batch, weight: float, learning_rate: float) -> float:
    """Learn from one batch: change the rows of both layers that it needs. Returns the summed loss before the change."""
    loss = batch_loss(architecture, first, second, batch, weight)
    loss.backward()
    first.step(learning_rate)
    second.step(learning_rate)
    return loss.item()


@dataclass
class Word2VecRun:
    """A trained word2vec.

    vocabulary: V words with their counts.   embeddings, output: float32[V, D], the first and the second layer (the second is None
    where it was not stored).   finished: False after Ctrl-C, which leaves the vectors as they are then.
    history: one dict per log: step, epoch (passes over the text so far), seconds, planned_seconds (as expected then), loss (mean per
    training pair, for CBOW per centre, since the last log; (1 + negatives) ln 2 before anything is learned), learning_rate,
    words_per_second, phase. gensim tells no such loss: its history has none.
    seconds: from the call to the end, without reports.   words_per_second: of the text, those left out included.
    settings: what it was trained with.
    """

    architecture: Architecture
    vocabulary: Vocabulary
    embeddings: np.ndarray
    output: np.ndarray | None
    history: list[dict]
    words_per_second: float
    seconds: float
    settings: dict
    finished: bool = True

    def word_vectors(self, name: str = "") -> WordVectors:
        """The first layer as `WordVectors`: neighbours, analogies, evaluation.   name: for messages."""
        from src.embeddings import WordVectors

        return WordVectors(self.vocabulary, self.embeddings, name or f"our {self.architecture} vectors")


def train_word2vec(
    sentences: Iterable[Sequence[str]],
    architecture: Architecture = "skipgram",
    D: int = 300,
    window: int = 5,
    negatives: int = 5,
    epochs: int = 10,
    minutes: float | None = None,
    min_count: int = 5,
    subsample: float = 1e-3,
    learning_rate: float | None = None,
    seed: int = 0,
    report: Callable[[dict], None] | None = None,
) -> Word2VecRun:
    """Learn a vector for every word that occurs at least `min_count` times, in PyTorch on the CPU.

    sentences: lists of words; a window never reaches over the end of a sentence.
    epochs: passes over the text.   minutes: train for so long instead, however many passes that makes, counted from the call.
    negatives: wrong answers per right one.   subsample: threshold of `subsampling_keep`, applied anew in every pass.
    learning_rate: rises from zero to nearly this, then falls in a straight line to zero. None takes the one of LEARNING_RATES.
    report: called with every new entry of the history as it is made (`LiveCurve` is one).
    Ctrl-C ends it early with what was learned so far. The same seed, settings and threads give the same vectors, to the bit; with
    `minutes` they depend on the machine's speed. Raises ValueError, in one sentence, for settings that cannot work and for a text in
    which nothing is left to learn from.
    """
    began = time.perf_counter()
    learning_rate = LEARNING_RATES.get(architecture) if learning_rate is None else learning_rate
    settings = _settings(locals())  # the arguments, by name
    text = _read_checked(sentences, architecture, settings)
    with torch.random.fork_rng(devices=[]):  # the reader's own random numbers go on as if nothing had been drawn
        torch.manual_seed(seed)
        model = TwoLayers(len(text.vocabulary), D).requires_grad_(False)
    first, second = Layer(model.embeddings.weight), Layer(model.output.weight)

    budget = Budget(minutes, epochs if minutes is None else None, began)
    log = _log(budget, text.words, learning_rate, report)
    tuner = compute.ThreadTuner([torch.get_num_threads()] if minutes is None else None)  # by passes: the same bits every time
    try:
        for batch in text.batches(window, subsample, np.random.default_rng(seed)):
            log.passes = batch.epoch
            if budget.is_over(batch.epoch):
                break
            done, questions = budget.done(batch.epoch), batch.questions(architecture)
            rate = learning_rate * min(done / WARM_UP, 1 - done)
            with tuner.timed(max(questions, 1)):
                loss = train_step(architecture, first, second, batch, negatives / SHARED_NEGATIVES, rate)
            log.add(loss / max(questions, 1), rate, weight=questions)
        log.write("finished")
    except KeyboardInterrupt:
        log.write("stopped")
    return _run(log, architecture, text.vocabulary, first.weights.numpy(), second.weights.numpy(), settings)


def train_with_gensim(
    sentences: Iterable[Sequence[str]],
    architecture: Architecture = "skipgram",
    D: int = 300,
    window: int = 5,
    negatives: int = 5,
    epochs: int = 10,
    min_count: int = 5,
    subsample: float = 1e-3,
    learning_rate: float = 0.025,
    seed: int = 0,
    workers: int = 2,
    report: Callable[[dict], None] | None = None,
) -> Word2VecRun:
    """The same with gensim's Word2Vec: the same settings, the same kind of result.

    workers: threads; with more than one, gensim gives slightly other vectors each time.   report: called after every pass.
    """
    from gensim.models.callbacks import CallbackAny2Vec
    from gensim.models.word2vec import Word2Vec

    settings = _settings(locals()) | {"minutes": None}
    sentences = list(sentences)
    words = _read_checked(sentences, architecture, settings).words
    budget = Budget(steps=epochs)  # its clock starts here: gensim reads and counts the text itself
    log = _log(budget, words, learning_rate, report)

    class AfterEachPass(CallbackAny2Vec):
        def on_epoch_end(self, model: Word2Vec) -> None:
            log.passes += 1
            log.write("finished" if budget.is_over(log.passes) else "training")

    model = Word2Vec(
        sentences,
        sg=int(architecture == "skipgram"),
        vector_size=D,
        window=window,
        negative=negatives,
        epochs=epochs,
        min_count=min_count,
        sample=subsample,
        alpha=learning_rate,
        seed=seed,
        workers=workers,
        callbacks=[AfterEachPass()],
    )
    vocabulary = Vocabulary(model.wv.index_to_key, [model.wv.get_vecattr(word, "count") for word in model.wv.index_to_key])
    return _run(log, architecture, vocabulary, model.wv.vectors, model.syn1neg, settings)


def text_loss(run: Word2VecRun, sentences: Iterable[Sequence[str]], seed: int = 0) -> float:
    """The mean negative sampling loss of a finished run over a text, for comparing runs: fresh windows, fresh wrong answers.

    Per training pair, for CBOW per centre; before any training it is (1 + negatives) ln 2.
    """
    text, settings = Text.read(sentences, run.vocabulary), run.settings
    first, second = Layer(torch.from_numpy(run.embeddings)), Layer(torch.from_numpy(run.output))
    loss = questions = 0.0
    for batch in text.batches(settings["window"], settings["subsample"], np.random.default_rng(seed)):
        if batch.epoch >= 1:
            return loss / questions
        loss += batch_loss(run.architecture, first, second, batch, settings["negatives"] / len(batch.noise)).item()
        questions += batch.questions(run.architecture)
    raise AssertionError("batches() has no end")


def _settings(arguments: dict[str, Any]) -> dict[str, Any]:
    """What a run keeps of the arguments of its trainer, by their names."""
    return {name: value for name, value in arguments.items() if name in SETTINGS}


def _read_checked(sentences: Iterable[Sequence[str]], architecture: str, settings: dict) -> Text:
    """The text as numbers, once settings and text are such that something can be learned; else ValueError, in one sentence."""
    if architecture not in get_args(Architecture):
        raise ValueError(f"there is no architecture {architecture!r}; there are {', '.join(get_args(Architecture))}.")
    for name in ("D", "window", "negatives", "min_count", "epochs"):
        if not settings[name] >= 1:
            raise ValueError(f"{name} is {settings[name]}; it must be 1 or more.")
    for name in ("minutes", "learning_rate"):
        if settings[name] is not None and not 0 < settings[name] < math.inf:
            raise ValueError(f"{name} is {settings[name]}; it must be a number above 0.")
    if not 0 <= settings["subsample"] < math.inf:
        found = f"subsample is {settings['subsample']}"
        raise ValueError(f"{found}; it must be 0 (keep every word) or a number above it.")

    sentences = list(sentences)
    if isinstance(next(iter(sentences), None), str):
        raise ValueError(f"the first sentence is the string {sentences[0]!r}; give every sentence as a list of words.")
    vocabulary = Vocabulary.from_sentences(sentences, settings["min_count"])
    text = Text.read(sentences, vocabulary)
    if not len(vocabulary):
        often = f"occurs {settings['min_count']} times or more" if text.words else "is there"
        raise ValueError(f"no word {often} in {len(sentences)} sentences; give more text or a lower min_count.")
    if not (text.sentences[1:] == text.sentences[:-1]).any():
        raise ValueError(
            "no sentence has two words of the vocabulary, so no word has a neighbour; give longer sentences or a lower min_count."
        )
    return text


def _log(budget: Budget, words: int, learning_rate: float, report: Report | None) -> Log:
    """The log of a run over a text of so many words, in passes over it."""

    def speed(passes: float, seconds: float) -> dict:
        return {"epoch": passes, "words_per_second": words * passes / seconds}

    log = Log(budget, learning_rate, speed, report=report)
    log.passes = 0.0
    return log


def _run(
    log: Log,
    architecture: Architecture,
    vocabulary: Vocabulary,
    embeddings: np.ndarray,
    output: np.ndarray,
    settings: dict,
) -> Word2VecRun:
    """What was trained, as a run. Raises ValueError where it is not numbers any more."""
    layers = {"embeddings": torch.from_numpy(embeddings), "output": torch.from_numpy(output)}
    check_numbers(layers, "the model", LOWER)
    last = log.history[-1]
    return Word2VecRun(
        architecture,
        vocabulary,
        embeddings,
        output,
        log.history,
        last["words_per_second"],
        last["seconds"],
        settings,
        log.finished,
    )


# --- keeping them --------------------------------------------------------------------------------------------------------


def save_word2vec(run: Word2VecRun, folder: str | Path, card: dict | None = None, with_output: bool = True) -> None:
    """Write a run, whole or not at all.

    `WordVectors.load(folder)` reads the vectors, `load_word2vec(folder)` all of it.

    Args:
        run: of `train_word2vec` or `train_with_gensim`.
        folder: made where there is none. model.safetensors holds embeddings.weight float16[V, D]
            and output.weight float16[V, D], vocabulary.json the words and their counts; for the
            other files see `src.training.write_run`.
        card: for card.json.
        with_output: keep the second layer, too.

    Raises:
        ValueError, OSError: see `src.training.write_run`.
    """
    weights = {"embeddings.weight": torch.from_numpy(run.embeddings)}
    if with_output and run.output is not None:
        weights["output.weight"] = torch.from_numpy(run.output)
    about = {name: getattr(run, name) for name in ("finished", "architecture", "settings", "seconds", "words_per_second")}
    write_run(folder, weights, about, run.history, card, {VOCABULARY: run.vocabulary.to_json()})


def load_word2vec(folder: str | Path) -> Word2VecRun:
    """Read what `save_word2vec` wrote; the weights come back in float32.

    Raises:
        FileNotFoundError: a file is missing, by name.
        ValueError: a file is damaged, weights do not fit the vocabulary, or one is not a number;
            in one sentence.
    """
    folder = Path(folder)
    fields = ("architecture", "words_per_second")
    weights, about, history, _ = read_run(folder, fields, others=(VOCABULARY,))
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    layers = {name: tensor.numpy() for name, tensor in weights.items()}
    if not {"embeddings.weight"} <= layers.keys() <= {"embeddings.weight", "output.weight"}:
        found = f"{folder / MODEL} holds {', '.join(layers) or 'nothing'}"
        raise ValueError(f"{found} instead of embeddings.weight; {WRITE_AGAIN}.")
    for name, layer in layers.items():
        if layer.ndim != 2 or len(layer) != len(vocabulary):
            found = f"{folder / MODEL} holds {name} of shape {list(layer.shape)}"
            raise ValueError(f"{found} for a vocabulary of {len(vocabulary)} words; {WRITE_AGAIN}.")
    return Word2VecRun(
        vocabulary=vocabulary,
        embeddings=layers["embeddings.weight"],
        output=layers.get("output.weight"),
        history=history,
        **{name: about[name] for name in (*fields, "finished", "seconds", "settings")},
    )
