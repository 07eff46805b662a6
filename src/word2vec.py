"""word2vec: word vectors learned from nothing but which words occur near each other (notebook 02).

    run = train_word2vec(load_sentences(), architecture="skipgram", D=100, minutes=0.5)
    run.word_vectors().get_top_similar("king")
    save_word2vec(run, "build/runs/02/mine")  # WordVectors.load and load_word2vec read it again

Skip-gram predicts the neighbours of a word, CBOW (continuous bag of words) the word from its
neighbours. `SkipGram` and `CBOW` are the models as one draws them; `train_word2vec` trains the
same two layers with the same loss, a thousand words at a time.

Sources: Mikolov, Chen, Corrado and Dean 2013, "Efficient estimation of word representations in
vector space" (the models); Mikolov, Sutskever, Chen, Corrado and Dean 2013, "Distributed
representations of words and phrases and their compositionality" (negative sampling, subsampling),
called "Distributed representations" below.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from src import assets
from src.compute import ThreadTuner
from src.embeddings import WordVectors
from src.text import Vocabulary, sentence_stream
from src.training import LOWER, Budget, Log, Report, check_numbers, read_run, write_run
from src.word2vec_engine import (
    SHARED_NEGATIVES,
    AdagradRows,
    Architecture,
    Batch,
    EncodedText,
    train_step,
)

if TYPE_CHECKING:
    import gensim

# Chosen on the development half of the Google analogies.
LEARNING_RATES: dict[str, float] = {"skipgram": 6.0, "cbow": 6.0}
WARM_UP = 0.2  # the learning rate rises for this share of a run: how large gradients are shows then
VOCABULARY = "vocabulary.json"  # in the folder of a run
FIELDS = ("finished", "architecture", "settings", "seconds", "words_per_second")  # of run.json


# --- from a text to training examples


def load_sentences() -> list[list[str]]:
    """The sentences of the 10,033 Wikipedia introductions, as lists of lower-case words.

    Text: Wikipedia's authors, CC BY-SA 4.0.
    """
    return list(sentence_stream(page.text for page in assets.load_passages().values()))


def training_pairs(
    token_ids: Sequence[int] | np.ndarray, window: int, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Every (centre, context) pair of one sentence: a word with each of its neighbours.

    Args:
        token_ids: int64[T].
        window: a neighbour is at most this many places before or after.
        rng: if given, each centre draws its own reach from 1 to window, so that near words come
            up more often.

    Returns:
        int64[N, 2], in the order of the centres, then of the contexts.
    """
    contexts, mask = context_windows(token_ids, window, rng)
    centre, _ = mask.nonzero()
    return np.stack([np.asarray(token_ids, dtype=np.int64)[centre], contexts[mask]], axis=1)


def context_windows(
    token_ids: Sequence[int] | np.ndarray, window: int, rng: np.random.Generator | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """For each word of one sentence the words around it, as CBOW takes them.

    Arguments as in `training_pairs`. Returns contexts int64[T, 2 * window], 0 where there is no
    word, and mask bool[T, 2 * window], True where there is one.
    """
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
    """How likely each word is kept when frequent words are thinned out: float64[V].

    min(1, sqrt(threshold / share)), "Distributed representations", section 2.3. The authors' C
    code, and gensim, keep a few more: they add threshold / share. The share of a word is its
    count, int[V], by the sum; a threshold of 0 keeps every word.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if threshold == 0:
        return np.ones_like(counts)
    shares = counts / counts.sum()
    return np.sqrt(threshold / np.maximum(shares, threshold))


def noise_distribution(counts: Sequence[int] | np.ndarray, power: float = 0.75) -> np.ndarray:
    """How likely each word is drawn as a negative: in proportion to count ** power, float64[V].

    "Distributed representations", section 2.2. A power of 1 follows the counts, int[V], 0 makes
    all words equally likely.
    """
    weights = np.asarray(counts, dtype=np.float64) ** power
    return weights / weights.sum()


# --- the two models


class EmbeddingModel(nn.Module):
    """A vector for every word, and a second layer that scores every word.

    As in the authors' program the embeddings begin small and random, the output
    layer with zeros: at first every word is equally likely.

    Args:
        V: words in the vocabulary.
        D: width. `embeddings.weight`, float[V, D], are the word vectors;
            `output.weight`, float[V, D], scores the words that are predicted.
    """

    def __init__(self, V: int, D: int):
        super().__init__()
        self.embeddings = nn.Embedding(V, D)
        self.output = nn.Linear(D, V, bias=False)
        nn.init.uniform_(self.embeddings.weight, -0.5 / D, 0.5 / D)
        nn.init.zeros_(self.output.weight)


def negative_sampling_loss(
    hidden: Tensor, output: Tensor, targets: Tensor, negatives: Tensor, weight: float = 1.0
) -> Tensor:
    """Tell the true word from a few negatives, instead of from all words.

    The mean of -log sigmoid(u_target . h)
    - weight * (sum over the negatives of log sigmoid(-u_negative . h)),
    "Distributed representations", equation 4.

    Args:
        hidden: float[B, D], the vectors that predict.
        output: float[V, D], whose rows are the u.
        targets: int64[B], the true words.
        negatives: int64[B, K], or int64[K], the same for all.
        weight: how much each negative counts.
    """
    positive = (hidden * output[targets]).sum(-1)  # [B]
    negative = (output[negatives] @ hidden[:, :, None])[..., 0]  # [B, K]
    negatives_loss = weight * F.logsigmoid(-negative).sum(-1)
    return -(F.logsigmoid(positive) + negatives_loss).mean()


class SkipGram(EmbeddingModel):
    """Predicts the neighbours of a word from its vector."""

    def forward(self, centres: Tensor) -> Tensor:
        """Score every word as a neighbour.

        With contexts int64[B], F.cross_entropy(logits, contexts) is the full
        softmax loss.

        Args:
            centres: int64[B].

        Returns:
            logits float[B, V].
        """
        return self.output(self.embeddings(centres))

    def negative_sampling_loss(
        self, centres: Tensor, contexts: Tensor, negatives: Tensor, weight: float = 1.0
    ) -> Tensor:
        """The loss of pairs; see the function `negative_sampling_loss`."""
        hidden, u = self.embeddings(centres), self.output.weight
        return negative_sampling_loss(hidden, u, contexts, negatives, weight)


class CBOW(EmbeddingModel):
    """Predicts a word from the mean of its neighbours' vectors."""

    def forward(self, contexts: Tensor, mask: Tensor | None = None) -> Tensor:
        """Score every word as the centre.

        Args:
            contexts: int64[B, C].
            mask: bool[B, C], True on words, False on padding; None: all are.

        Returns:
            logits float[B, V].
        """
        return self.output(self.mean_vector(contexts, mask))

    def mean_vector(self, contexts: Tensor, mask: Tensor | None) -> Tensor:
        """float[B, D]; zeros where there is no word."""
        vectors = self.embeddings(contexts)  # [B, C, D]
        if mask is None:
            return vectors.mean(1)
        words = mask.sum(1, keepdim=True).clamp(min=1)
        return (vectors * mask[:, :, None]).sum(1) / words

    def negative_sampling_loss(
        self,
        contexts: Tensor,
        centres: Tensor,
        negatives: Tensor,
        mask: Tensor | None = None,
        weight: float = 1.0,
    ) -> Tensor:
        """The loss of centres; see the function `negative_sampling_loss`."""
        hidden, u = self.mean_vector(contexts, mask), self.output.weight
        return negative_sampling_loss(hidden, u, centres, negatives, weight)


# --- training


@dataclass
class Word2VecRun:
    """A trained word2vec.

    Attributes:
        vocabulary: V words with their counts.
        embeddings: float32[V, D], the first layer.
        output: float32[V, D], the second; None after loading, since it is not stored.
        history: one dict per entry: step, epoch (passes over the text so far), seconds,
            planned_seconds, loss (mean per target since the last entry; (1 + negatives) ln 2
            before anything is learned), learning_rate, words_per_second, phase. gensim has no
            such loss.
        words_per_second: of the text, with words that were left out.
        seconds: from the call to the end, without reports.
        finished: False after Ctrl-C, which leaves the vectors as they are then.
    """

    architecture: Architecture
    vocabulary: Vocabulary
    embeddings: np.ndarray
    output: np.ndarray | None
    history: list[dict]
    words_per_second: float
    seconds: float
    settings: dict[str, Any]
    finished: bool = True

    def word_vectors(self) -> WordVectors:
        """The first layer: neighbours, analogies, evaluation."""
        return WordVectors(self.vocabulary, self.embeddings, f"our {self.architecture} vectors")


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
    report: Report | None = None,
) -> Word2VecRun:
    """Learn a vector for every word that occurs often enough, in PyTorch on the CPU.

    Ctrl-C ends it early with what was learned so far. The same seed, settings and threads give
    the same vectors, to the bit; with `minutes` they depend on the machine's speed.

    Args:
        sentences: lists of words; no window reaches over the end of one.
        D: width of the vectors.
        window: how many places before and after a word its neighbours are found.
        negatives: per target.
        epochs: passes over the text.
        minutes: train for this long instead, counted from the call.
        min_count: rarer words are left out.
        subsample: threshold of `subsampling_keep`, applied anew in every pass.
        learning_rate: its peak; None takes the one of LEARNING_RATES.
        report: called with every new entry of the history (`LiveCurve` is one).

    Raises:
        ValueError: settings that cannot work, or a text from which nothing can be learned.
    """
    peak = LEARNING_RATES.get(architecture) if learning_rate is None else learning_rate
    settings = {"D": D, "window": window, "negatives": negatives, "epochs": epochs}
    settings |= {"minutes": minutes, "min_count": min_count, "subsample": subsample}
    settings |= {"learning_rate": peak, "seed": seed}
    _check_settings(architecture, settings)
    budget = Budget(minutes, epochs if minutes is None else None)
    text, vocabulary = _read_text(sentences, min_count)

    def speed(passes: float, seconds: float) -> dict:
        return {"epoch": passes, "words_per_second": text.words * passes / seconds}

    log = Log(budget, peak, speed, report=report)
    with torch.random.fork_rng(devices=[]):  # the reader's own random numbers stay as they are
        torch.manual_seed(seed)
        model = EmbeddingModel(len(vocabulary), D).requires_grad_(False)

    layers = AdagradRows(model.embeddings.weight), AdagradRows(model.output.weight)
    keep = subsampling_keep(vocabulary.counts, subsample)
    noise = noise_distribution(vocabulary.counts)
    batches = text.batches(window, keep, noise, np.random.default_rng(seed))
    train_on_batches(architecture, layers, batches, log, negatives)
    embeddings, output = (layer.weights for layer in layers)
    check_numbers({"embeddings": embeddings, "output": output}, "the model", LOWER)
    last = log.history[-1]
    return Word2VecRun(
        architecture,
        vocabulary,
        embeddings.numpy(),
        output.numpy(),
        log.history,
        last["words_per_second"],
        last["seconds"],
        settings,
        log.finished,
    )


def train_on_batches(
    architecture: Architecture,
    layers: tuple[AdagradRows, AdagradRows],
    batches: Iterable[Batch],
    log: Log,
    negatives: int,
) -> None:
    """The loop of `train_word2vec`: take steps until the budget is spent.

    The learning rate rises to nearly its peak, then falls in a line to zero. A
    run by passes keeps its threads, so that it gives the same bits every time.
    """
    budget = log.budget
    by_passes = [torch.get_num_threads()] if budget.minutes is None else None
    tuner, weight = ThreadTuner(by_passes), negatives / SHARED_NEGATIVES
    log.passes = 0.0
    try:
        for batch in batches:
            log.passes = batch.epoch
            if budget.is_over(batch.epoch):
                break
            done = budget.done(batch.epoch)
            targets = batch.targets(architecture)
            rate = log.peak * min(done / WARM_UP, 1 - done)
            with tuner.timed(max(targets, 1)):
                loss = train_step(architecture, *layers, batch, weight, rate)
            log.add(loss / max(targets, 1), rate, weight=targets)
        log.write("finished")
    except KeyboardInterrupt:
        log.write("stopped")


def from_gensim(model: gensim.models.Word2Vec, seconds: float) -> Word2VecRun:
    """A model that gensim has trained, as a run: the same evaluation, the same files.

    Args:
        model: trained with negative sampling.
        seconds: how long that took, with reading and counting the text.
    """
    settings = {"D": model.vector_size, "window": model.window, "negatives": model.negative}
    settings |= {"epochs": model.epochs, "minutes": None, "min_count": model.min_count}
    settings |= {"subsample": model.sample, "learning_rate": model.alpha}
    settings |= {"seed": model.seed, "workers": model.workers}
    words = model.wv.index_to_key
    vocabulary = Vocabulary(words, [model.wv.get_vecattr(word, "count") for word in words])
    speed = model.epochs * model.corpus_total_words / seconds
    entry = {"epoch": model.epochs, "seconds": seconds, "words_per_second": speed}
    return Word2VecRun(
        "skipgram" if model.sg else "cbow",
        vocabulary,
        model.wv.vectors,
        model.syn1neg,
        [entry | {"phase": "finished"}],
        speed,
        seconds,
        settings,
    )


def _check_settings(architecture: str, settings: dict[str, Any]) -> None:
    if architecture not in LEARNING_RATES:
        known = ", ".join(LEARNING_RATES)
        raise ValueError(f"there is no architecture {architecture!r}; there are {known}.")
    for name in ("D", "window", "negatives", "min_count", "epochs"):
        if not settings[name] >= 1:
            raise ValueError(f"{name} is {settings[name]}; it must be 1 or more.")
    if not 0 <= settings["subsample"] < math.inf:
        found = f"subsample is {settings['subsample']}"
        raise ValueError(f"{found}; it must be 0 (keep every word) or a number above it.")


def _read_text(
    sentences: Iterable[Sequence[str]], min_count: int
) -> tuple[EncodedText, Vocabulary]:
    """The text as numbers; ValueError, one sentence, where nothing can be learned from it."""
    sentences = list(sentences)
    if sentences and isinstance(sentences[0], str):
        found = f"the first sentence is the string {sentences[0]!r}"
        raise ValueError(f"{found}; give every sentence as a list of words.")
    vocabulary = Vocabulary.from_sentences(sentences, min_count)
    text = EncodedText.read(sentences, vocabulary)
    if not len(vocabulary):
        often = f"occurs {min_count} times or more" if text.words else "is there"
        found = f"no word {often} in {len(sentences)} sentences"
        raise ValueError(f"{found}; give more text or a lower min_count.")
    if not (text.sentences[1:] == text.sentences[:-1]).any():
        found = "no sentence has two words of the vocabulary, so no word has a neighbour"
        raise ValueError(f"{found}; give longer sentences or a lower min_count.")
    return text, vocabulary


# --- two sets of vectors side by side


def nearest_words(
    wv: WordVectors, words: Sequence[str], n: int, asked: slice = slice(100, 1100)
) -> np.ndarray:
    """The n words of a list that are nearest to some of them, themselves left out.

    Args:
        words: the most frequent first.
        asked: whose neighbours; the first hundred, such as "the", say little.

    Returns:
        int64[words asked, n], numbers in `words`, the nearest first.
    """
    units = wv.units[wv.vocabulary.encode(words)]
    cosines, numbers = units[asked] @ units.T, np.arange(len(words))[asked]
    cosines[np.arange(len(numbers)), numbers] = -2
    return np.argsort(-cosines, axis=1)[:, :n]


def shared_neighbours(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The share of the neighbours in one set of vectors that are neighbours in another.

    Of int64[words, n] and int64[words, m], the mean over words of the share of the n that are among
    the m, and half of its 95 % interval.
    """
    shares = [len({*a} & {*b}) / len(a) for a, b in zip(first, second, strict=True)]
    return float(np.mean(shares)), float(1.96 * stats.sem(shares))


# --- keeping a run


def save_word2vec(run: Word2VecRun, folder: str | Path, card: dict | None = None) -> None:
    """Write a run without its second layer, whole or not at all.

    `WordVectors.load(folder)` reads the vectors, `load_word2vec(folder)` all of it. In the folder
    model.safetensors holds embeddings.weight, float16[V, D], vocabulary.json the words and their
    counts; for the other files, and errors, see `src.training.write_run`.
    """
    weights = {"embeddings.weight": torch.from_numpy(run.embeddings)}
    about = {name: getattr(run, name) for name in FIELDS}
    write_run(folder, weights, about, run.history, card, {VOCABULARY: run.vocabulary.to_json()})


def load_word2vec(folder: str | Path) -> Word2VecRun:
    """Read what `save_word2vec` wrote; the vectors come back in float32.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: one is damaged.
    """
    folder = Path(folder)
    _, about, history, _ = read_run(folder, FIELDS)
    wv = WordVectors.load(folder)
    return Word2VecRun(
        vocabulary=wv.vocabulary,
        embeddings=wv.vectors.astype(np.float32),
        output=None,
        history=history,
        **{name: about[name] for name in FIELDS},
    )
