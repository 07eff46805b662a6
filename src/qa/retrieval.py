"""Find the passages that may answer a question, by keyword and by meaning, then read them for the answer.

    retriever = Retriever.open()                                    # over Wikipedia's introductions
    retriever.search("Who found oxygen?", n=5)                      # [Hit(title="Oxygen", ...), ...]
    retriever.add(read_folder("my textbook"))                       # only what is new is computed
    answerer = WikipediaAnswerer.load()
    answerer.ask("What is the atomic number of oxygen?")            # OpenAnswer(text="8", title="Oxygen", ...)

What is built lies in `runtime.cache() / "retrieval"` and can be deleted at any time: it is built again. The vectors of Wikipedia's
introductions come with the course.
Light to import: torch and bm25s are loaded by what needs them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import reprlib
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from src import assets, runtime
from src.qa.metrics import check_threshold
from src.text import split_sentences, tokenize_words

if TYPE_CHECKING:
    from src.qa.answerer import QuestionAnswerer
    from src.qa.decoding import Answer

By = Literal["keyword", "dense", "fused"]
Report = Callable[[dict[str, Any]], None]

# Where it says "chosen": on the validation questions, by `benchmarks/bench_retrieval.py --choose`.
TITLE_TIMES, K1, B = 3, 1.5, 0.5  # chosen: how often a title counts beside its text, and BM25's two constants
FUSION = 10  # chosen: the larger, the less the first few ranks stand out
POOL = 100  # how far down each list a fusion looks
PASSAGES_READ = 5  # for an answer
TEXT_SUFFIXES = (".txt", ".md")
RANK_DISCOUNT = 0.3  # chosen: what the reader's odds keep with each place further down the list
OPEN_THRESHOLD = 0.9  # chosen: the lowest score answered, on questions asked with and without the article that answers them
SHIPPED = runtime.COURSE / "weights" / "wikipedia-vectors"  # of the introductions, by tools/make_vectors.py: nobody waits for them
ENCODER, MAX_TOKENS = "minilm", 256  # all-MiniLM-L6-v2, and the most tokens of a text that it was made to read
BLOCK = 512  # documents whose vectors are computed and written together: what an interruption can cost
TOKENS_PER_BATCH = 1024  # few enough to stay in the processor's cache: 4096 took up to twice as long (measured)
MANY = 64  # texts from which on half precision is considered
KEPT = 3  # keyword indexes on disk, the last ones built
UNUSED = 20_000  # vectors on disk of documents that were not asked for when others were added: twice Wikipedia's, 16 MB
PASSAGE_WORDS = 120  # a passage of one's own text: about as long as the longer introductions, and within MAX_TOKENS


class RetrievalError(ValueError):
    """Documents that cannot be read, or an index that cannot be written; one sentence that says what to do."""


# --- documents -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Document:
    """A passage to search and to read, and the title it is shown under. Whatever else has the two will do, too."""

    title: str
    text: str


def wikipedia() -> list[Document]:
    """The English introductions of the `wikipedia` asset, in its order."""
    return [Document(passage.title, passage.text) for passage in assets.load_passages().values()]


def read_folder(folder: str | Path) -> list[Document]:
    """Your own textbook: all .txt and .md files in `folder` and below it, by name, cut into passages of about PASSAGE_WORDS words.

    A passage ends where a paragraph ends; a long paragraph is cut between sentences. Its title is the file's name, in Markdown
    followed by the heading it stands under. Names that begin with a dot are passed over: Jupyter keeps an older copy of what it
    opens in .ipynb_checkpoints. Raises RetrievalError for a folder without such files, and where one or more
    cannot be read, or hold no words, naming them.
    """
    folder = Path(folder)
    files = [file for file in _visible_files(folder) if file.suffix.lower() in TEXT_SUFFIXES]
    if not files:
        problem = "holds no .txt or .md files" if folder.is_dir() else "is not a folder"
        raise RetrievalError(f"{folder} {problem}; name a folder with your texts in it.")
    documents, problems = [], []
    for file in files:
        try:
            found = _passages(file)
        except UnicodeError:
            problems.append(f"{file} (not UTF-8 text)")
        except OSError as error:
            problems.append(f"{file} ({error.strerror})")
        else:
            documents += found
            problems += [] if found else [f"{file} (no words in it)"]
    if problems:
        raise RetrievalError(f"found what cannot be read: {', '.join(problems)}; save as UTF-8 text, or take out of the folder.")
    return documents


def other_files(folder: str | Path) -> list[Path]:
    """What `read_folder` leaves out, since it is neither .txt nor .md, such as a PDF; by name."""
    return [file for file in _visible_files(Path(folder)) if file.suffix.lower() not in TEXT_SUFFIXES]


def _visible_files(folder: Path) -> list[Path]:
    return sorted(
        file for file in folder.rglob("*") if not file.is_dir() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def _passages(file: Path) -> list[Document]:
    text = file.read_text(encoding="utf-8-sig")
    if "\0" in text:  # valid UTF-8, but of no text that a person wrote
        raise UnicodeError
    documents: list[Document] = []
    title, gathered = file.stem, []
    markdown = file.suffix.lower() == ".md"

    def end_passage() -> None:
        if tokenize_words(" ".join(gathered)):
            documents.append(Document(title, "\n".join(gathered)))
        gathered.clear()

    for paragraph in re.split(r"\n\s*\n|\n(?=#{1,6}\s)" if markdown else r"\n\s*\n", text):
        heading = re.match(r"#{1,6}\s+([^\n]+)\n?", paragraph.strip()) if markdown else None
        if heading:
            end_passage()
            title = f"{file.stem}: {heading[1].strip(' #')}"
            paragraph = paragraph.strip()[heading.end() :]
        for part in _parts(" ".join(paragraph.split())):
            if gathered and _count(gathered) + len(part.split()) > PASSAGE_WORDS:
                end_passage()
            gathered.append(part)
    end_passage()
    return documents


def _parts(paragraph: str) -> list[str]:
    """The paragraph whole where it fits into a passage; else its sentences, and of a sentence too long pieces that fit."""
    if len(paragraph.split()) <= PASSAGE_WORDS:
        return [paragraph] if paragraph else []
    pieces = []
    for sentence in split_sentences(paragraph):
        words = sentence.split()
        pieces += [" ".join(words[i : i + PASSAGE_WORDS]) for i in range(0, len(words), PASSAGE_WORDS)]
    return pieces


def _count(texts: Iterable[str]) -> int:
    return sum(len(text.split()) for text in texts)


# --- by keyword ----------------------------------------------------------------------------------------------------------


def keywords(text: str) -> list[str]:
    """The words of a text as the keyword index knows them: in lower case, without a plural's or a possessor's s.

    "Bees' wings, the country's cities" -> bee, wing, the, country, city. Rules for English; other words mostly stay as they are.
    """
    return [_singular(word) for word in tokenize_words(text)]


def _singular(word: str) -> str:
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


class KeywordIndex:
    """BM25: a document scores by the question's words it holds; rare words count more, repeated ones less each time.

    score(d) = sum over the question's words w of  idf(w) · f / (f + K1 · (1 - B + B · length(d) / mean length)),
    f: times w stands in d   idf(w) = ln(1 + (N - n + 0.5) / (n + 0.5)), n of N documents hold w
    Source: Robertson and Zaragoza 2009, idf as in Lucene; computed by the library bm25s.
    """

    def __init__(self, bm25):
        self._bm25 = bm25

    @classmethod
    def build(cls, documents: Sequence[Document]) -> KeywordIndex:
        """Count all words of all documents. Raises RetrievalError where there is none."""
        import bm25s

        vocabulary: dict[str, int] = {}
        counted = [
            [vocabulary.setdefault(word, len(vocabulary)) for word in keywords(" ".join([doc.title] * TITLE_TIMES + [doc.text]))]
            for doc in documents
        ]
        if not vocabulary:
            raise RetrievalError(f"the {len(documents)} documents hold no words to search for; pass some that do.")
        bm25 = bm25s.BM25(k1=K1, b=B, method="lucene")
        bm25.index((counted, vocabulary), create_empty_token=False, show_progress=False)
        return cls(bm25)

    @classmethod
    def open(cls, documents: Sequence[Document], folder: str | Path | None = None) -> KeywordIndex:
        """The index of exactly these documents: the stored one where it is there and undamaged, else built (1 s per 10,000).

        Every weight depends on all documents, so with other documents it is another index.
        """
        import bm25s

        settings = f"{TITLE_TIMES} {K1} {B} {bm25s.__version__}".encode()
        name = hashlib.sha256(settings + b"".join(map(_key, documents))).hexdigest()[:32]
        stored = _home(folder) / "keyword" / name
        index = cls._load(stored)
        if index is None:
            with _alone(stored.parent):
                index = cls._load(stored)  # another process may have built it while this one waited
                if index is None:
                    index = cls.build(documents)
                    index._save(stored)
        return index

    def scores(self, question: str) -> np.ndarray:
        """float32[N], the BM25 score of every document; 0 where it holds none of the question's words."""
        words = self._bm25.get_tokens_ids(list(dict.fromkeys(keywords(question))))  # each once, however often it is asked for
        return self._bm25.get_scores_from_ids(words)

    @classmethod
    def _load(cls, stored: Path) -> KeywordIndex | None:
        import bm25s

        try:
            sums = json.loads((stored / "sha256.json").read_bytes())
            if any(_sha256((stored / file).read_bytes()) != digest for file, digest in sums.items()):
                return None
            return cls(bm25s.BM25.load(stored))
        except (OSError, ValueError, AttributeError):
            return None

    def _save(self, stored: Path) -> None:
        """Write to a new folder and move it into place; of other indexes the last ones built stay."""
        fresh = stored.parent / f"{uuid.uuid4().hex[:8]}.partial"
        try:
            self._bm25.save(fresh)
            sums = {file.name: _sha256(file.read_bytes()) for file in fresh.iterdir()}
            (fresh / "sha256.json").write_text(json.dumps(sums), encoding="utf-8")
        except OSError:  # a full disk should not stay full of half an index
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        others = [folder for folder in stored.parent.iterdir() if folder.is_dir() and folder not in (stored, fresh)]
        whole = sorted((folder for folder in others if folder.suffix != ".partial"), key=lambda folder: folder.stat().st_mtime)
        for folder in {stored, *others} - set(whole[1 - KEPT :]):
            shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(stored)


# --- by meaning ----------------------------------------------------------------------------------------------------------


class SentenceEncoder:
    """MiniLM as it was made to be used: a text becomes the mean of its token vectors, scaled to length one.

    Source: Reimers and Gurevych 2019 (mean pooling), and the card of all-MiniLM-L6-v2.
    """

    def __init__(self):
        runtime.configure_libraries()
        import torch
        from transformers import AutoModel, AutoTokenizer

        folder = assets.path(ENCODER)
        self.device = runtime.device()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval().to(self.device)
        self.tuner = runtime.ThreadTuner()

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """float32[N, D], a row of length one for each text; of a long text its first MAX_TOKENS tokens count.

        Many texts are read in half precision where that is faster here; cosines then differ by less than 0.001.
        """
        from src.qa.batches import batches_by_length  # which loads torch

        half = len(texts) >= MANY and self.faster_in_half
        token_ids = self.tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]
        lengths = np.array([len(ids) for ids in token_ids])
        vectors = np.empty((len(token_ids), self.model.config.hidden_size), dtype=np.float32)
        for rows in batches_by_length(lengths, TOKENS_PER_BATCH):
            batch = self.tokenizer.pad({"input_ids": [token_ids[row] for row in rows]}, return_tensors="pt")
            with self.tuner.timed(batch["input_ids"].numel()), runtime.autocast(self.device, "fp16" if half else "fp32"):
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
        return runtime.faster_precision(lambda: self._read(batch), self.device, "fp16") == "fp16"


class DenseIndex:
    """One vector per document; the score is the cosine between the question's vector and the document's, all of them computed.

    vectors: float[N, D], rows of length one   encoder: turns a question into such a row; None: MiniLM, loaded at the first question

    On disk: files of BLOCK documents, each row a document's key and its vector in half precision, each file named by its own
    sha256. A document that has a vector there is not read again, whichever others it is searched with; a file that does not
    match its name does not count, so what it held is read again. Of the files that hold nothing asked for, such as those of an
    older edition of your textbook, the last ones stay, UNUSED vectors in all. What comes with the course counts as if it lay there.
    """

    def __init__(self, vectors: np.ndarray, encoder: Callable[[Sequence[str]], np.ndarray] | None = None):
        self.vectors = np.asarray(vectors, dtype=np.float32)
        self.encoder = encoder

    @classmethod
    def open(
        cls,
        documents: Sequence[Document],
        folder: str | Path | None = None,
        report: Report | None = None,
        encoder: Callable[[Sequence[str]], np.ndarray] | None = None,
        shipped: Path | None = SHIPPED,
    ) -> DenseIndex:
        """The index of these documents; vectors that are not stored yet are computed and stored, BLOCK at a time.

        report: called after each block with a dict for `runtime.progress_line`. An interruption loses one block at most.
        encoder: in place of MiniLM; vectors are kept by text alone, so give it a folder of its own.
        shipped: a folder of vectors that come with the course; None: none.
        """
        stored = _home(folder) / "vectors"
        keys = [_key(document) for document in documents]
        ready = _read_blocks(shipped) if shipped else {}
        ready = {file: block for file, block in ready.items() if not set(keys).isdisjoint(_keys(block))}
        rows, vectors = _rows(ready | _read_blocks(stored))
        if not rows.keys() >= set(keys):
            encoder = encoder or SentenceEncoder()
            with _alone(stored, report):
                # Another process may have gone on while this one waited.
                rows, _ = _rows(ready | _read_blocks(stored, clean=True))
                missing = {key: document for key, document in zip(keys, documents, strict=True) if key not in rows}
                _write_blocks(stored, missing, encoder, report)
                blocks = _read_blocks(stored)
                _forget_unused(blocks, set(keys))
            rows, vectors = _rows(ready | blocks)
        return cls(vectors[[rows[key] for key in keys]], encoder)

    def scores(self, question: str) -> np.ndarray:
        """float32[N], the cosine of the question with every document."""
        self.encoder = self.encoder or SentenceEncoder()
        return self.vectors @ self.encoder([question])[0]


def _read_blocks(folder: Path, clean: bool = False) -> dict[Path, np.ndarray]:
    """All undamaged files, rows with "key" and "vector". clean: delete the others, and what a killed process left."""
    blocks = {}
    for file in sorted(folder.glob("*.npy")):
        try:
            content = file.read_bytes()
        except (FileNotFoundError, PermissionError):  # deleted by another process a moment ago, or another person's
            continue
        if _sha256(content)[:32] == file.stem:
            blocks[file] = np.load(io.BytesIO(content), allow_pickle=False)
        elif clean:
            file.unlink()
    for left in folder.glob("*.partial") if clean else ():
        left.unlink()
    return blocks


def _rows(blocks: dict[Path, np.ndarray]) -> tuple[dict[bytes, int], np.ndarray]:
    """Key -> row, and float16[rows, D], of files put one after another."""
    rows = {key: row for row, key in enumerate(key for block in blocks.values() for key in _keys(block))}
    return rows, np.concatenate([block["vector"] for block in blocks.values()]) if blocks else np.empty((0, 0), dtype=np.float16)


def _keys(block: np.ndarray) -> list[bytes]:
    keys = block["key"].tobytes()
    return [keys[i : i + 16] for i in range(0, len(keys), 16)]


def _forget_unused(blocks: dict[Path, np.ndarray], wanted: set[bytes]) -> None:
    """Delete the oldest files of which no document is wanted, so that those left hold UNUSED vectors at most."""
    unused = [file for file, block in blocks.items() if wanted.isdisjoint(_keys(block))]
    kept = 0
    for file in sorted(unused, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        kept += len(blocks[file])
        if kept > UNUSED:
            file.unlink()


def _write_blocks(
    folder: Path, missing: dict[bytes, Document], encoder: Callable[[Sequence[str]], np.ndarray], report: Report | None
) -> None:
    keys = list(missing)
    start = time.perf_counter()
    with runtime.keeping_memory():
        for first in range(0, len(keys), BLOCK):
            part = keys[first : first + BLOCK]
            vectors = encoder([text_to_encode(missing[key]) for key in part])
            _write_block(folder, part, vectors)
            if report is not None:
                done, seconds = first + len(part), time.perf_counter() - start
                told = {"step": done, "steps": len(keys), "seconds": seconds, "examples_per_second": done / seconds}
                report({"phase": "reading passages", "unit": "passages"} | told)


def _write_block(folder: Path, keys: Sequence[bytes], vectors: np.ndarray) -> Path:
    """One file of rows with "key" and "vector", under its own sha256; it is whole or it is not there."""
    block = np.empty(len(keys), dtype=[("key", "u1", 16), ("vector", "<f2", vectors.shape[1])])
    block["key"] = [list(key) for key in keys]
    block["vector"] = vectors
    content = io.BytesIO()
    np.save(content, block, allow_pickle=False)
    fresh = folder / f"{uuid.uuid4().hex[:8]}.partial"
    try:
        fresh.write_bytes(content.getvalue())
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    file = folder / f"{_sha256(content.getvalue())[:32]}.npy"
    os.replace(fresh, file)
    return file


def join_vectors(folder: str | Path, documents: Sequence[Document], target: Path) -> Path:
    """Write the stored vectors of these documents as the only file in the folder `target`, for others to have; returns the file.

    folder: as in `DenseIndex.open`, which has been called with them. Raises KeyError where one is missing.
    """
    rows, vectors = _rows(_read_blocks(_home(folder) / "vectors"))
    keys = sorted({_key(document) for document in documents})
    target.mkdir(parents=True, exist_ok=True)
    return _write_block(target, keys, vectors[[rows[key] for key in keys]])


def text_to_encode(document: Document) -> str:
    """What the encoder reads of a document."""
    return f"{document.title}. {document.text}"


# --- what both keep on disk ----------------------------------------------------------------------------------------------


def _home(folder: str | Path | None) -> Path:
    return runtime.cache() / "retrieval" if folder is None else Path(folder)


def _key(document: Document) -> bytes:
    """16 bytes that stand for what a document says and the model that reads it."""
    return hashlib.sha256(f"{ENCODER} {MAX_TOKENS}\0{document.title}\0{document.text}".encode("utf-8", "replace")).digest()[:16]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _alone(folder: Path, report: Report | None = None) -> Iterator[None]:
    """Hold the lock of `folder`, which the operating system frees when its holder dies; what it refuses becomes one sentence."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=1)
        except Timeout:
            if report is not None:
                report({"phase": "waiting for another process that builds this index"})
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except (OSError, NotImplementedError) as error:  # the latter is filelock's, on a file system without locks
        reason = getattr(error, "strerror", error) or "the disk is full"  # which numpy tells without the system's reason
        problem = f"the index cannot be written ({reason})"
        raise RetrievalError(f"{folder}: {problem}; make room, or set COURSE_CACHE to another folder.") from error


# --- both together -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hit:
    """A passage found.

    number: of the document   score: by what was asked for, higher is better
    scores, ranks: by each of "keyword" and "dense" that was used; a rank begins at 1 and is there for the first POOL alone, or
    the first n where more were asked for
    """

    number: int
    title: str
    text: str
    score: float
    scores: dict[str, float] = field(repr=False)
    ranks: dict[str, int]


def fuse(rankings: Iterable[Sequence[int]], constant: float = FUSION) -> dict[int, float]:
    """Reciprocal rank fusion: a document gets 1 / (constant + rank) from every list it stands on, ranks beginning at 1.

    Returns document -> sum, highest first; of equal ones the lower number. Source: Cormack, Clarke and Büttcher 2009.
    """
    totals: dict[int, float] = {}
    for ranking in rankings:
        for rank, number in enumerate(ranking, 1):
            totals[number] = totals.get(number, 0.0) + 1 / (constant + rank)
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def best(scores: np.ndarray, n: int) -> list[int]:
    """The numbers of the n highest scores, highest first; of equal ones the lower number."""
    n = min(n, len(scores))
    limit = np.partition(scores, -n)[-n]
    candidates = np.flatnonzero(scores >= limit)
    return candidates[np.argsort(-scores[candidates], kind="stable")][:n].tolist()


class Retriever:
    """Finds passages by keyword, by meaning ("dense"), or by both, fused. `Retriever.open()` makes one.

    documents: what is searched   indexes: "keyword" and "dense", or one of them
    """

    def __init__(self, documents: Sequence[Document], indexes: dict[str, KeywordIndex | DenseIndex], folder: str | Path | None = None):
        self.documents, self.indexes = list(documents), indexes
        self._folder = folder

    @classmethod
    def open(
        cls,
        documents: Iterable[Document] | None = None,
        by: By = "fused",
        folder: str | Path | None = None,
        report: Report | None = None,
    ) -> Retriever:
        """Open the indexes of these documents (None: Wikipedia), building what is not there or damaged.

        by: "keyword" or "dense" opens one index only   folder: where they are kept; None: `runtime.cache() / "retrieval"`
        report: told of progress where vectors are computed (ten milliseconds a passage; those of Wikipedia come with the course).
        Raises RetrievalError where there is nothing to search, or the index cannot be written.
        """
        _check_way(by)
        documents = wikipedia() if documents is None else _unique(documents)
        if not documents:
            raise RetrievalError("there are no documents to search; pass some, or None for Wikipedia.")
        indexes: dict[str, KeywordIndex | DenseIndex] = {}
        if by in ("keyword", "fused"):
            indexes["keyword"] = KeywordIndex.open(documents, folder)
        if by in ("dense", "fused"):
            indexes["dense"] = DenseIndex.open(documents, folder, report)
        return cls(documents, indexes, folder)

    def search(self, question: str, n: int = 5, by: By | None = None) -> list[Hit]:
        """The n passages that most likely answer the question, best first; fewer where fewer hold a word of it (by keyword).

        by: "keyword", "dense" or "fused"; None: with all that was opened.
        Raises ValueError for a blank question, and for a way that was not opened.
        """
        question = checked_question(question)
        if by is not None:
            _check_way(by)
        ways = list(self.indexes) if by in (None, "fused") else [by]
        if not set(ways) <= self.indexes.keys() or (by == "fused" and len(ways) < 2):
            raise ValueError(f"this retriever was opened by {' and '.join(self.indexes)} alone; open it by 'fused' for all ways.")
        if n < 1:
            raise ValueError(f"n is {n}; ask for one passage at least.")
        scores = {way: self.indexes[way].scores(question) for way in ways}
        lists = {way: best(scores[way], max(n, POOL)) for way in ways}
        if "keyword" in lists:  # a document without any of the words was not found
            lists["keyword"] = [number for number in lists["keyword"] if scores["keyword"][number] > 0]
        ranks = {way: {number: rank for rank, number in enumerate(found, 1)} for way, found in lists.items()}
        (first, *others) = lists.values()
        totals = fuse(lists.values()) if others else {number: float(scores[ways[0]][number]) for number in first}
        return [
            Hit(
                number,
                self.documents[number].title,
                self.documents[number].text,
                total,
                {way: float(scores[way][number]) for way in ways},
                {way: ranks[way][number] for way in ways if number in ranks[way]},
            )
            for number, total in list(totals.items())[:n]
        ]

    def add(self, documents: Iterable[Document], report: Report | None = None) -> None:
        """Search these, too, from now on; those that are here already change nothing. Vectors are computed for new ones only."""
        together = _unique([*self.documents, *documents])
        if together == self.documents:
            return
        indexes: dict[str, KeywordIndex | DenseIndex] = {}
        for way, index in self.indexes.items():
            if isinstance(index, DenseIndex):
                indexes[way] = DenseIndex.open(together, self._folder, report, index.encoder)  # no model is loaded twice
            else:
                indexes[way] = KeywordIndex.open(together, self._folder)
        self.documents, self.indexes = together, indexes  # only now: an interruption leaves all as it was


def _check_way(by: str) -> None:
    if by not in get_args(By):
        raise ValueError(f"by is {by!r}; use 'keyword', 'dense' or 'fused'.")


def _unique(documents: Iterable[Document]) -> list[Document]:
    """Each document once, in their order. Raises RetrievalError, naming the first, for what has no title or text that can be read."""
    found: dict[Document, None] = {}
    for place, document in enumerate(documents, 1):
        title, text = getattr(document, "title", None), getattr(document, "text", None)
        if not (isinstance(title, str) and isinstance(text, str)):
            raise RetrievalError(f"document {place} is {reprlib.repr(document)}; pass documents, such as Document(title, text).")
        try:
            f"{title}{text}".encode()
        except UnicodeEncodeError as error:
            raise RetrievalError(f"document {place}, {title!a}, is not readable as text ({error.reason}); mend it.") from None
        found[Document(title, text)] = None
    return list(found)


def checked_question(question: str) -> str:
    """The question without blanks around it. Raises ValueError for a blank one, and for one that is no text."""
    if not isinstance(question, str):
        raise ValueError(f"the question is {reprlib.repr(question)}; ask in words.")
    if not question.strip():
        raise ValueError("the question is blank; ask something.")
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"the question is not readable as text ({error.reason} at character {error.start}); type it anew.") from None
    return question.strip()


# --- retrieve, then read -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """The best answer within one passage: text == passage[start:end].

    score: how sure, in [0, 1], reading and retrieval taken together   reader_score: of the reader alone, `reader_score`
    retrieval_score: `Hit.score` of the passage
    """

    text: str
    start: int
    end: int
    title: str
    passage: str = field(repr=False)
    score: float
    reader_score: float
    retrieval_score: float


@dataclass(frozen=True)
class OpenAnswer:
    """What all passages together say: text == passage[start:end], from the article `title`.

    A refusal has text, title and passage "" and start = end = 0; its scores are those of the answer that was not sure enough.
    candidates: the best answer of each passage that was read, best first, also where the answer is a refusal.
    """

    text: str
    start: int
    end: int
    title: str
    passage: str = field(repr=False)
    score: float
    retrieval_score: float
    candidates: tuple[Found, ...] = field(default=(), repr=False)

    @property
    def is_refusal(self) -> bool:
        """Whether this says that nothing that was found supports an answer."""
        return self.start == self.end

    @property
    def runners_up(self) -> tuple[Found, ...]:
        """The candidates that were not taken, best first."""
        return self.candidates if self.is_refusal else self.candidates[1:]


class WikipediaAnswerer:
    """Answers a question from all that a retriever searches, or says that nothing there supports an answer.

    retriever: finds the passages   reader: reads them   threshold: the lowest `score` that is answered
    """

    def __init__(self, retriever: Retriever, reader: QuestionAnswerer, threshold: float = OPEN_THRESHOLD):
        check_threshold(threshold)
        self.retriever, self.reader, self.threshold = retriever, reader, threshold

    @classmethod
    def load(
        cls,
        model: str | Path = "qa-minilm",
        documents: Iterable[Document] | None = None,
        folder: str | Path | None = None,
        report: Report | None = None,
    ) -> WikipediaAnswerer:
        """Open the index (of other documents than Wikipedia's it is built on first use) and the reader.

        model: as `QuestionAnswerer.load` takes it   documents: what to search, such as `read_folder("my textbook")`; None: Wikipedia
        folder, report: as in `Retriever.open`. Raises ModelError, RetrievalError and AssetError.
        """
        runtime.configure_libraries()  # before the import that reads them
        from src.qa.answerer import QuestionAnswerer

        reader = QuestionAnswerer.load(model)  # first, for a wrong name should not cost a minute
        return cls(Retriever.open(documents, folder=folder, report=report), reader)

    def ask(self, question: str, n: int = PASSAGES_READ, threshold: float | None = None) -> OpenAnswer:
        """Search n passages, read them together, and answer from the one whose answer and place on the list are best.

        threshold: the lowest score that is answered; None takes this answerer's. Raises ValueError for a blank question, and for a
        threshold outside [0, 1].
        """
        return self.ask_many([question], n, threshold)[0]

    def ask_many(self, questions: Sequence[str], n: int = PASSAGES_READ, threshold: float | None = None) -> list[OpenAnswer]:
        """One `OpenAnswer` per question, in their order; all passages of all questions are read together, which is faster."""
        threshold = self.threshold if threshold is None else threshold
        check_threshold(threshold)
        hits = [self.retriever.search(question, n) for question in questions]
        asked = [question for question, found in zip(questions, hits, strict=True) for _ in found]
        texts = [hit.text for found in hits for hit in found]
        answers = iter(self.reader(asked, texts, threshold=0.0, n_best=1) if texts else [])
        return [_choose(found, [next(answers) for _ in found], threshold) for found in hits]


def _choose(hits: Sequence[Hit], answers: Sequence[Answer], threshold: float) -> OpenAnswer:
    """The best of the answers that the reader found in each passage, or a refusal."""
    found = []
    for rank, (hit, answer) in enumerate(zip(hits, answers, strict=True), 1):
        if answer.candidates:  # a passage without tokens has none
            best_span = answer.candidates[0]
            score = reader_score(answer)
            place = (best_span.text, best_span.start, best_span.end, hit.title, hit.text)
            found.append(Found(*place, support(score, rank), score, hit.score))
    candidates = tuple(sorted(found, key=lambda candidate: -candidate.score))  # of equal ones the one found first
    best_found = candidates[0] if candidates else None
    if best_found is None or best_found.score < threshold:
        score, retrieval_score = (best_found.score, best_found.retrieval_score) if best_found else (0.0, 0.0)
        return OpenAnswer("", 0, 0, "", "", score, retrieval_score, candidates)
    chosen = (best_found.text, best_found.start, best_found.end, best_found.title, best_found.passage)
    return OpenAnswer(*chosen, best_found.score, best_found.retrieval_score, candidates)


def reader_score(answer: Answer) -> float:
    """How sure, in [0, 1], the reader is of its best span against no answer alone: sigmoid(logit - null_logit).

    This is what is compared between passages: unlike `answer.score`, it is not lowered by other spans of the same passage.
    A passage without tokens has 0.
    """
    if not answer.candidates:
        return 0.0
    x = answer.candidates[0].logit - answer.null_logit
    return float(1.0 / (1.0 + np.exp(-x))) if x >= 0 else float(np.exp(x) / (1.0 + np.exp(x)))


def support(score: float, rank: int) -> float:
    """The reader's odds that the passage answers, less for every place further down the list of passages."""
    odds = score / max(1 - score, 1e-12) * RANK_DISCOUNT ** (rank - 1)
    return odds / (1 + odds)
