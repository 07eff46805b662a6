"""Skip-gram on the Wikipedia introductions: ours, gensim with two workers, and the full softmax.

All three read the same sentences and make pairs in the same way. Ours and gensim make the same
number of passes; the full softmax (`SkipGram` with autograd and Adam, as one would write it first)
gets the seconds that ours took. Speeds include reading and counting the text. The loss of ours and
of gensim is the negative-sampling loss of the finished vectors over the text; that of the full
softmax is its cross-entropy in its last steps, to be compared with ln V. Scores are no race: ours
has the learning rate that was chosen for it, gensim its default, the full softmax one of Adam's.
"""

import argparse
import itertools
import math
import sys
import time
from collections.abc import Iterator

import common
import numpy as np
import torch
from gensim.models import Word2Vec
from torch.nn import functional as F

from src import runtime
from src.embeddings import WordVectors, evaluate_analogies, evaluate_similarity
from src.text import Vocabulary
from src.word2vec import (
    SkipGram,
    Word2VecRun,
    from_gensim,
    load_sentences,
    noise_distribution,
    subsampling_keep,
    train_word2vec,
)
from src.word2vec_engine import AdagradRows, Batch, EncodedText, batch_loss

PAIRS_AT_ONCE = 1024  # of the full softmax: 1,024 x V scores are 50 MB
SOFTMAX_RATE = 1e-3  # of Adam


def batches_of(
    text: EncodedText, vocabulary: Vocabulary, settings: dict, seed: int
) -> Iterator[Batch]:
    """The batches that `train_word2vec` learns from with these settings."""
    keep = subsampling_keep(vocabulary.counts, settings["subsample"])
    noise = noise_distribution(vocabulary.counts)
    return text.batches(settings["window"], keep, noise, np.random.default_rng(seed))


def text_loss(run: Word2VecRun, sentences: list[list[str]], seed: int = 0) -> float:
    """The mean loss of a finished run over a text, per target, with fresh windows and negatives."""
    text, settings = EncodedText.read(sentences, run.vocabulary), run.settings
    first, second = (
        AdagradRows(torch.from_numpy(run.embeddings)),
        AdagradRows(torch.from_numpy(run.output)),
    )
    loss = targets = 0.0
    for batch in itertools.takewhile(
        lambda batch: batch.epoch < 1, batches_of(text, run.vocabulary, settings, seed)
    ):
        weight = settings["negatives"] / len(batch.noise)
        loss += batch_loss(run.architecture, first, second, batch, weight).item()
        targets += batch.targets(run.architecture)
    return loss / targets


def train_with_gensim(
    sentences: list[list[str]], architecture: str, D: int, epochs: int
) -> Word2VecRun:
    """The same by gensim, whose other settings are ours."""
    began = time.perf_counter()
    options = {"vector_size": D, "epochs": epochs, "sg": int(architecture == "skipgram")}
    model = Word2Vec(sentences, workers=2, **options)
    return from_gensim(model, time.perf_counter() - began)


def train_full_softmax(
    sentences: list[list[str]], settings: dict, seconds: float
) -> tuple[WordVectors, dict]:
    """Train `SkipGram` with the full softmax; returns its vectors and what was measured."""
    began = time.perf_counter()
    vocabulary = Vocabulary.from_sentences(sentences, settings["min_count"])
    text = EncodedText.read(sentences, vocabulary)
    torch.manual_seed(settings["seed"])
    model = SkipGram(len(vocabulary), settings["D"])
    optimizer = torch.optim.Adam(model.parameters(), SOFTMAX_RATE)
    losses, passes = [], 0.0
    for batch in batches_of(text, vocabulary, settings, settings["seed"]):
        passes = batch.epoch
        if (
            losses and time.perf_counter() - began > seconds
        ):  # one batch at least, so that there is a speed
            break
        block, centre, context = batch.pairs.nonzero(as_tuple=True)
        pairs = zip(
            batch.centres[block, centre].split(PAIRS_AT_ONCE),
            batch.contexts[block, context].split(PAIRS_AT_ONCE),
            strict=True,
        )
        for centres, contexts in pairs:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(centres), contexts)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    took = time.perf_counter() - began
    measured = {
        "passes": passes,
        "seconds": took,
        "words_per_second": text.words * passes / took,
        "loss": float(np.mean(losses[-20:])),
    }
    return WordVectors(
        vocabulary, model.embeddings.weight.detach().numpy(), "full softmax"
    ), measured


def qualities(wv: WordVectors) -> dict:
    return {
        "wordsim353": evaluate_similarity(wv, "wordsim353").correlation,
        "simlex999": evaluate_similarity(wv, "simlex999").correlation,
        "analogies_development_percent": 100 * evaluate_analogies(wv, "development").accuracy,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--width", type=int, default=300)
    parser.add_argument("--sentences", type=int, help="take only this many sentences")
    options = parser.parse_args()
    sentences = load_sentences()[: options.sentences]
    words = sum(map(len, sentences))
    print(f"word2vec\nmachine: {runtime.machine_line()}; {torch.get_num_threads()} threads")
    print(f"text: {len(sentences):,} sentences, {words:,} words")

    results = {}
    asked = {"D": options.width, "epochs": options.epochs}
    for name, train in {"ours": train_word2vec, "gensim": train_with_gensim}.items():
        run = train(sentences, "skipgram", **asked)
        measured = {
            "passes": options.epochs,
            "seconds": run.seconds,
            "words_per_second": run.words_per_second,
        }
        results[name] = measured | {
            "loss": text_loss(run, sentences),
            **qualities(run.word_vectors()),
        }
        if name == "ours":
            settings, V = run.settings, len(run.vocabulary)
        print(f"{name} done", flush=True)
    wv, measured = train_full_softmax(sentences, settings, results["ours"]["seconds"])
    results["full softmax"] = measured | qualities(wv)

    rows = [
        ("way", "passes", "seconds", "words/s", "loss", "WordSim-353", "SimLex-999", "analogies, %")
    ]
    rows += [
        (name, *(float(value) for value in result.values())) for name, result in results.items()
    ]
    common.print_table(
        f"Skip-gram, {options.width} wide, {V:,} words, ln V = {math.log(V):.2f}", rows
    )
    ours, gensim, softmax = results.values()
    compared = {
        "of_gensims_speed": ours["words_per_second"] / gensim["words_per_second"],
        "times_full_softmax": ours["words_per_second"] / softmax["words_per_second"],
        "wordsim_minus_gensims": ours["wordsim353"] - gensim["wordsim353"],
    }
    speed, softmax_speed, difference = compared.values()
    print(
        f"\nOurs runs at {speed:.2f} of gensim's speed and {softmax_speed:.0f} times as fast as the"
    )
    print(f"full softmax; its WordSim-353 differs from gensim's by {difference:+.3f}")
    common.write("word2vec", {"settings": settings, "vocabulary": V, "results": results} | compared)
    return 0


if __name__ == "__main__":
    sys.exit(main())
