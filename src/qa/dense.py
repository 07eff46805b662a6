"""Find passages by meaning: a vector for every text, compared by cosine.

Light to import: torch is loaded by what needs it.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
import uuid
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from src import assets, compute, runtime
from src.batching import batches_by_length
from src.qa.documents import Document
from src.qa.index_folder import Report, index_folder, index_lock

# Of the introductions, by tools/make_vectors.py.
SHIPPED = runtime.COURSE / "weights" / "wikipedia-vectors"
# all-MiniLM-L6-v2, and the most tokens of a text that it was trained to read.
ENCODER, MAX_TOKENS = "minilm", 256
DOCUMENTS_PER_FILE = 512  # computed and written together: what an interruption can cost
# Few enough to stay in the processor's cache: 4096 took up to twice as long (measured).
TOKENS_PER_BATCH = 1024
FP16_FROM_N_TEXTS = 64  # fewer are read in fp32

Encoder = Callable[[Sequence[str]], np.ndarray]


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
        encoder: turns a question into such a row; None loads MiniLM at the first question.
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
            documents: what to search.
            folder: where vectors are kept; None is the course's cache.
            report: called after each file with a dict for `runtime.progress_line`.
            encoder: in place of MiniLM; give it a folder of its own.
            shipped: a folder of vectors that come with the course.
        """
        stored = index_folder(folder) / "vectors"
        keys = [_key(document) for document in documents]
        ready = _read_files(shipped) if shipped else {}
        ready = {f: rows for f, rows in ready.items() if not set(keys).isdisjoint(_keys(rows))}
        numbers, vectors = _joined(ready | _read_files(stored))
        if not numbers.keys() >= set(keys):
            encoder = encoder or SentenceEncoder()
            with index_lock(stored, report):
                # Another process may have gone on while this one waited.
                numbers, _ = _joined(ready | _read_files(stored, clean=True))
                pairs = zip(keys, documents, strict=True)
                missing = {key: document for key, document in pairs if key not in numbers}
                _compute(stored, missing, encoder, report)
            numbers, vectors = _joined(ready | _read_files(stored))
        return cls(vectors[[numbers[key] for key in keys]], encoder)

    def scores(self, question: str) -> np.ndarray:
        """float32[N], the cosine of the question with every document."""
        self.encoder = self.encoder or SentenceEncoder()
        return self.vectors @ self.encoder([question])[0]


def text_to_encode(document: Document) -> str:
    """What the encoder reads of a document."""
    return f"{document.title}. {document.text}"


def join_vectors(folder: str | Path, documents: Sequence[Document], target: Path) -> Path:
    """Write the stored vectors of these documents as the only file in `target`, to ship them.

    Args:
        folder: as in `DenseIndex.open`, which has been called with them.

    Returns:
        The file.
    """
    numbers, vectors = _joined(_read_files(index_folder(folder) / "vectors"))
    keys = sorted({_key(document) for document in documents})
    target.mkdir(parents=True, exist_ok=True)
    return _write_file(target, keys, vectors[[numbers[key] for key in keys]])


def _key(document: Document) -> bytes:
    """16 bytes for what a document says and the model that reads it."""
    content = f"{ENCODER} {MAX_TOKENS}\0{document.title}\0{document.text}"
    return hashlib.sha256(content.encode("utf-8", "replace")).digest()[:16]


def _keys(rows: np.ndarray) -> list[bytes]:
    keys = rows["key"].tobytes()
    return [keys[i : i + 16] for i in range(0, len(keys), 16)]


def _name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _read_files(folder: Path, clean: bool = False) -> dict[Path, np.ndarray]:
    """All undamaged files, rows with "key" and "vector"; clean: delete what is damaged."""
    found = {}
    for file in sorted(folder.glob("*.npy")):
        try:
            content = file.read_bytes()
        except (FileNotFoundError, PermissionError):  # just deleted by another, or not ours
            continue
        if _name(content) == file.stem:
            found[file] = np.load(io.BytesIO(content), allow_pickle=False)
        elif clean:
            file.unlink()
    for left in folder.glob("*.partial") if clean else ():
        left.unlink()
    return found


def _joined(files: dict[Path, np.ndarray]) -> tuple[dict[bytes, int], np.ndarray]:
    """Key -> row, and float16[rows, D], of files one after another."""
    keys = [key for rows in files.values() for key in _keys(rows)]
    vectors = [rows["vector"] for rows in files.values()] or [np.empty((0, 0), np.float16)]
    return {key: row for row, key in enumerate(keys)}, np.concatenate(vectors)


def _compute(
    folder: Path, missing: dict[bytes, Document], encoder: Encoder, report: Report | None
) -> None:
    keys = list(missing)
    start = time.perf_counter()
    with compute.keep_malloc_pages():
        for first in range(0, len(keys), DOCUMENTS_PER_FILE):
            some = keys[first : first + DOCUMENTS_PER_FILE]
            vectors = encoder([text_to_encode(missing[key]) for key in some])
            _write_file(folder, some, vectors)
            if report is not None:
                done, seconds = first + len(some), time.perf_counter() - start
                progress = {"phase": "reading passages", "unit": "passages", "step": done}
                speed = {"seconds": seconds, "examples_per_second": done / seconds}
                report(progress | {"steps": len(keys)} | speed)


def _write_file(folder: Path, keys: Sequence[bytes], vectors: np.ndarray) -> Path:
    """One file of rows with "key" and "vector", whole or not there."""
    rows = np.empty(len(keys), [("key", "u1", 16), ("vector", "<f2", vectors.shape[1])])
    rows["key"] = [list(key) for key in keys]
    rows["vector"] = vectors
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    fresh = folder / f"{uuid.uuid4().hex[:8]}.partial"
    try:
        fresh.write_bytes(content.getvalue())
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    file = folder / f"{_name(content.getvalue())}.npy"
    os.replace(fresh, file)
    return file
