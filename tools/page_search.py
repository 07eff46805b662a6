"""What the page that asks Wikipedia loads: its introductions, their vectors, and how to search.

    introductions.json  [title, text] of each, in the order of src.qa.documents.wikipedia
    vectors.bin         int8[N, D], rows in the same order, to be compared by cosine

Both are made on the reader's own computer, of what comes with the course and of the asset
`wikipedia`: the repository holds no text of Wikipedia.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from src.qa import keyword, open_domain, retriever
from src.qa.dense import MAX_TOKENS, DenseIndex
from src.qa.documents import WITHOUT_BLANKS, Document, wikipedia
from src.qa.models import read_card, scaling_of
from tools.page_models import DEEP

TEXT, VECTORS = "introductions.json", "vectors.bin"


def quantised(vectors: np.ndarray) -> np.ndarray:
    """float[N, D] as int8[N, D], with one scale for all of them."""
    return np.round(vectors * (DEEP / np.abs(vectors).max())).astype(np.int8)


def files(documents: list[Document]) -> dict[str, bytes]:
    """Both files by name."""
    pairs = [[document.title, document.text] for document in documents]
    vectors = quantised(DenseIndex.open(documents).vectors)
    text = json.dumps(pairs, ensure_ascii=False, separators=(",", ":")).encode()
    return {TEXT: text, VECTORS: vectors.tobytes()}


def about(reader: str) -> dict:
    """How Python searches and chooses: the page has no constants of its own."""
    card = read_card(reader)
    return {
        "search": {"pool": retriever.POOL, "constant": retriever.FUSION, "longest": MAX_TOKENS},
        "choose": {
            "logit": open_domain.LOGIT,
            "null": open_domain.NULL,
            "rank": open_domain.RANK,
            "none": open_domain.NONE,
            "spans": open_domain.SPANS_READ,
            "scaling": dataclasses.asdict(
                scaling_of(card.get("calibration", {}).get("search", {}))
            ),
        },
        "passages": open_domain.PASSAGES_READ,
        "threshold": open_domain.OPEN_THRESHOLD,
    }


def add(known: dict) -> dict[str, bytes]:
    """The files by name; what the page needs to know of them goes to `known`, as models.json."""
    models, documents = known["models"], wikipedia()
    known["ask"] = about(models["reader"]["graph"].removesuffix(".onnx"))
    known["ask"]["count"] = len(documents)
    constants = {"k1": keyword.K1, "b": keyword.B, "titleTimes": keyword.TITLE_TIMES}
    settings = constants | {"withoutBlanks": WITHOUT_BLANKS}
    models["ask"] = models["reader"] | {"data": {"introductions": TEXT}, "settings": settings}
    models["meaning"] = models["heads"] | {"data": {"vectors": VECTORS}}
    return files(documents)
