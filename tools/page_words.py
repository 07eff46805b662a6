"""Make the files of two pages that compute: words, and language models that write.

    glove.safetensors  the vectors of the commonest words, int8[V, D], and the map, uint16[M, 2]
    glove.txt.gz       these words, one a line
    gpt.safetensors    the small GPT: int8, each 64 numbers of a row with a scale of their own
    bpe.json           its tokenizer
    texts.gz           the training texts as tokens, uint16[N], START around each: n-grams are
                       counted in the page, when they are asked for

`python tools/page_words.py` computes the map again, which is kept, as are the discounts below:
both take long, and depend on nothing but files that are fetched by their hashes.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

import numpy as np
from safetensors.numpy import save

from src import assets
from src.embeddings import WordVectors
from src.language_models import GPTModel
from src.topics import split_of
from tools.page_models import BLOCK, DEEP, quantise

V, MAPPED = 40_000, 12_000  # words with a vector, and with a place on the map
MAP = runtime.COURSE / "src" / "explorers" / "word_map.npy"
GPT = runtime.COURSE / "weights" / "lm-gpt"
LONGEST = 5  # of the runs that are counted
# Kneser-Ney's discounts for runs of 1, 2, ... tokens: of the longest, and of those that
# longer ones fall back on.
DISCOUNTS = {
    "longest": [0.29411765, 0.65535814, 0.77921552, 0.87802444, 0.93275711],
    "shorter": [0.25888325, 0.69131371, 0.82320156, 0.91337521],
}


def rounded_vectors(wv: WordVectors) -> np.ndarray:
    """Directions of the commonest words as int8[V, D]; the largest number of each is 127."""
    units = wv.units[:V]
    numbers = np.round(units / np.abs(units).max(1, keepdims=True) * DEEP)
    return numbers.astype(np.int8, order="C")  # safetensors takes the memory as it is


def words() -> dict[str, bytes]:
    """The files of the view of words."""
    wv = WordVectors.load("glove")
    tensors = {"vectors": rounded_vectors(wv), "map": np.load(MAP)}
    text = "\n".join(wv.vocabulary.words[:V])
    return {
        "glove.safetensors": save(tensors),
        "glove.txt.gz": gzip.compress(text.encode(), mtime=0),
    }


def language() -> dict[str, bytes]:
    """The files of the view of language models."""
    gpt, tensors = GPTModel.load(GPT), {}
    for name, parameter in gpt.network.state_dict().items():
        tensors[name] = matrix = parameter.float().numpy()
        if matrix.ndim == 2:  # [out, in], as torch keeps it
            numbers, scales = (part.transpose(2, 0, 1) for part in quantise(matrix.T, BLOCK))
            tensors[name] = np.ascontiguousarray(numbers.reshape(matrix.shape))
            tensors[f"{name}.scale"] = np.ascontiguousarray(scales[..., 0])
    return {
        "gpt.safetensors": save(tensors),
        "bpe.json": (GPT / "tokenizer.json").read_bytes(),
        "texts.gz": gzip.compress(token_stream(gpt).tobytes(), mtime=0),
    }


def token_stream(gpt: GPTModel) -> np.ndarray:
    """The texts that both models learned from, uint16[N], START before and after each."""
    passages = assets.load_passages().values()
    texts = {p.title: p.text for p in passages if split_of(p.title) == "train"}
    start, rows = gpt.tokenizer.start_id, gpt.tokenizer.encode_all(list(texts.values()))
    return np.concatenate([[start], *([*row, start] for row in rows)]).astype(np.uint16)


def add(about: dict) -> dict[str, bytes]:
    """All files, and in `about` what the pages have to know of them."""
    files: dict[str, bytes] = {}
    for view, made in (("words", words()), ("language", language())):
        about["models"][view] = {"weights": list(made)}
        files |= made
    scores = json.loads((runtime.COURSE / "data" / "language_models.json").read_text())
    rows = {row["model"]: row["perplexity_per_word"] for row in scores["rows"]}
    about["language"] = {
        "heads": json.loads((GPT / "card.json").read_text())["model"]["H"],
        "discounts": DISCOUNTS,
        "perplexity": {
            "texts": scores["test_texts"],
            "gpt": rows["lm-gpt"],
            "ngram": [rows[f"{n}-gram"] for n in range(1, LONGEST + 1)],
        },
    }
    return files


def make_map() -> np.ndarray:
    """A t-SNE map of the commonest words: uint16[M, 2]."""
    from sklearn.manifold import TSNE

    units = WordVectors.load("glove").units[:MAPPED]
    places = TSNE(2, init="pca", random_state=0, n_jobs=1).fit_transform(units)
    places -= places.min(0)
    return np.round(places / places.max() * (2**16 - 1)).astype(np.uint16)


if __name__ == "__main__":
    np.save(MAP, make_map())
