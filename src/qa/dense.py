"""Find passages by meaning: a vector for every text, compared by cosine.

Light to import: torch is loaded by what needs it.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from src import assets, compute, runtime
from src.batching import batches_by_length
from src.files import write_whole, writing
from src.qa.documents import Document, RetrievalError

# Of the introductions, by tools/make_vectors.py.
SHIPPED = runtime.COURSE / "weights" / "wikipedia-vectors"
# all-MiniLM-L6-v2, and the most tokens of a text that it was trained to read.
ENCODER, MAX_TOKENS = "minilm", 256
DOCUMENTS_PER_FILE = 512  # computed and written together: what an interruption can cost
# Few enough to stay in the processor's cache: 4096 took up to twice as long (measured).
TOKENS_PER_BATCH = 1024
FP16_FROM_N_TEXTS = 64  # fewer are read in fp32

Encoder = Callable[[Sequence[str]], np.ndarray]
Report = Callable[[dict[str, Any]], None]


class SentenceEncoder:
    """MiniLM as it was made to be used: a text becomes the mean of its token vectors.

    Source: Reimers and Gurevych 2019 (mean pooling), and the card of all-MiniLM-L6-v2.
    """

    def __init__(self):
        runtime.configure_libraries()
        import torch
        from transformers import AutoModel, AutoTokenizer

        folder = assets.path(ENCODER)
        self.device = runtime.device()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32)
        self.model = model.eval().to(self.device)
        self.tuner = compute.ThreadTuner()

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts as float32[N, D], rows of length one.

        Of a long text its first MAX_TOKENS tokens count. Many texts are read in
        half precision where that is faster; cosines then differ by under 0.001.
        """
        half = len(texts) >= FP16_FROM_N_TEXTS and self.faster_in_half
        precision = "fp16" if half else "fp32"
        limit = {"truncation": True, "max_length": MAX_TOKENS}
        token_ids = self.tokenizer(list(texts), **limit)["input_ids"]
        shape = len(token_ids), self.model.config.hidden_size
        vectors = np.empty(shape, np.float32)
        lengths = np.array([len(ids) for ids in token_ids])
        for rows in batches_by_length(lengths, TOKENS_PER_BATCH):
            some = {"input_ids": [token_ids[row] for row in rows]}
            batch = self.tokenizer.pad(some, return_tensors="pt")
            timed = self.tuner.timed(batch["input_ids"].numel())
            with timed, compute.autocast(self.device, precision):
                vectors[rows] = self._read(batch)
        return vectors

    def _read(self, batch) -> np.ndarray:
        import torch

        batch = batch.to(self.device)
        with torch.inference_mode():
            tokens = self.model(**batch).last_hidden_state.float()  # [B, T, D]
            real = batch["attention_mask"][..., None]  # [B, T, 1]
            means = (tokens * real).sum(1) / real.sum(1)  # [B, D]
            return torch.nn.functional.normalize(means, dim=-1).cpu().numpy()

    @cached_property
    def faster_in_half(self) -> bool:
        """Whether this processor computes faster in half precision."""
        batch = self.tokenizer(["word " * 126] * 8, return_tensors="pt")
        return compute.faster_precision(lambda: self._read(batch), self.device, "fp16") == "fp16"


class DenseIndex:
    """One vector per document; a document scores by the cosine of its vector and the question's.

    On disk: files of DOCUMENTS_PER_FILE rows, a document's key and its vector in half precision,
    each file named by its own sha256. What a file holds is not computed again, in whatever company
    the document is searched; a file that does not match its name does not count.

    Args:
        vectors: float[N, D], rows of length one.
        encoder: of questions; None loads MiniLM at the first.
    """

    def __init__(self, vectors: np.ndarray, encoder: Encoder | None = None):
        self.vectors = np.asarray(vectors, dtype=np.float32)
        self.encoder = encoder

    @classmethod
    def open(
        cls,
        documents: Sequence[Document],
        folder: str | Path | None = None,
        report: Report | None = None,
        encoder: Encoder | None = None,
        shipped: Path | None = SHIPPED,
    ) -> DenseIndex:
        """The index of these documents; vectors that are not on disk yet are computed and stored.

        Args:
            folder: where vectors are kept; None is the course's cache.
            report: called after each file with a dict for `runtime.progress_line`.
            encoder: in place of MiniLM; give it a folder of its own.
            shipped: a folder of vectors that come with the course.
        """
        folder = runtime.cache() / "retrieval" if folder is None else Path(folder)
        stored = folder / "vectors"
        vectors = (_read_vectors(shipped) if shipped else {}) | _read_vectors(stored)
        missing = {_key(doc): doc for doc in documents if _key(doc) not in vectors}
        if missing:
            encoder = encoder or SentenceEncoder()
            _compute(stored, list(missing.values()), encoder, report)
            vectors |= _read_vectors(stored)
        return cls(np.stack([vectors[_key(document)] for document in documents]), encoder)

    def scores(self, question: str) -> np.ndarray:
        """float32[N], the cosine of the question with every document."""
        self.encoder = self.encoder or SentenceEncoder()
        return self.vectors @ self.encoder([question])[0]


def text_to_encode(document: Document) -> str:
    """What the encoder reads of a document."""
    return f"{document.title}. {document.text}"


def store_vectors(folder: Path, documents: Sequence[Document], vectors: np.ndarray) -> Path:
    """Write the vectors of these documents as one file, and return it."""
    rows = np.empty(len(documents), [("key", "u1", 16), ("vector", "<f2", vectors.shape[1])])
    rows["key"] = [list(_key(document)) for document in documents]
    rows["vector"] = vectors
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    file = folder / f"{_name(content.getvalue())}.npy"
    with writing(folder, "COURSE_CACHE", RetrievalError):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(file, content.getvalue())
    return file


def _key(document: Document) -> bytes:
    content = f"{ENCODER} {MAX_TOKENS}\0{document.title}\0{document.text}"
    return hashlib.sha256(content.encode("utf-8", "replace")).digest()[:16]


def _name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _read_vectors(folder: Path) -> dict[bytes, np.ndarray]:
    found: dict[bytes, np.ndarray] = {}
    for file in folder.glob("*.npy"):
        try:
            content = file.read_bytes()
        except PermissionError:  # of another person
            continue
        if _name(content) == file.stem:
            rows = np.load(io.BytesIO(content), allow_pickle=False)
            found |= zip(map(bytes, rows["key"]), rows["vector"], strict=True)
    return found


def _compute(
    folder: Path, documents: Sequence[Document], encoder: Encoder, report: Report | None
) -> None:
    start = time.perf_counter()
    with compute.keep_malloc_pages():
        for first in range(0, len(documents), DOCUMENTS_PER_FILE):
            some = documents[first : first + DOCUMENTS_PER_FILE]
            store_vectors(folder, some, encoder([text_to_encode(document) for document in some]))
            if report is not None:
                done, seconds = first + len(some), time.perf_counter() - start
                progress = {"phase": "reading passages", "unit": "passages", "step": done}
                speed = {"seconds": seconds, "examples_per_second": done / seconds}
                report(progress | {"steps": len(documents)} | speed)
