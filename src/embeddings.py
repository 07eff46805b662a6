"""Words as dense vectors: nearest words, vector equations, and two old tests of how good they are.

    wv = WordVectors.load("glove")  # or "word2vec-skipgram", "word2vec-cbow", a folder, a text file
    wv.get_top_similar("Germany", 5)                  # {"austria": 0.858, ...}
    wv.analogy("man", "king", "woman", 3)             # man : king = woman : ? {"queen": 0.861, ...}
    evaluate_analogies(wv).accuracy                   # share of the Google analogies it gets right
    evaluate_similarity(wv, "simlex999").correlation  # how far cosines order pairs as people do

Light to import: torch, gensim and scikit-learn are not needed here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from src import assets, runtime
from src.files import WRITE_AGAIN
from src.text import Vocabulary

WEIGHTS = ("word2vec-skipgram", "word2vec-cbow")  # trained by this course, in its folder `weights`
QUERIES = 16  # at a time: reading 400,000 vectors from memory takes longer than multiplying them
TINY = np.finfo(np.float32).tiny  # to divide by the length of a vector of zeros
NUMBERS = re.compile(r"[-+.0-9eE ]+")  # Python would take "1_000" and digits of other scripts, too


class WordVectors:
    """Words and their vectors, float[V, D], a row for each. A word is found in any capitalisation.

    One that is not there raises UnknownWordError, which names close spellings. `name` is for
    messages.

    Raises:
        ValueError: there is not one row of numbers for each word.
    """

    def __init__(self, vocabulary: Vocabulary, vectors: np.ndarray, name: str = "these vectors"):
        V = len(vocabulary)
        if vectors.ndim != 2 or len(vectors) != V or vectors.shape[1] == 0:
            needed = f"{V} words need vectors of shape ({V}, D)"
            raise ValueError(f"{name}: {needed}; got {vectors.shape}.")
        self.vocabulary, self.vectors, self.name = vocabulary, vectors, name

    @classmethod
    def load(cls, source: str | Path) -> WordVectors:
        """Open vectors by name or by path.

        Args:
            source: "glove", "word2vec-skipgram" or "word2vec-cbow"; a folder with
                model.safetensors and vocabulary.json, as in `weights/`; or a text file as word2vec
                and GloVe write them: a line for each word, the word and its D numbers, with or
                without a first line "V D".

        Raises:
            FileNotFoundError: there is nothing.
            ValueError: it is something else; names the file, and the line.
        """
        if source == "glove":
            return _load_glove()
        path = runtime.COURSE / "weights" / source if source in WEIGHTS else Path(source)
        if path.is_dir():
            return _load_folder(path)
        if path.is_file():
            return _load_text(path)
        names = ", ".join(("glove", *WEIGHTS))
        found = f"there are no word vectors {str(source)!r}"
        raise FileNotFoundError(f"{found}: neither a path nor one of {names}.")

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __contains__(self, word: object) -> bool:
        return word in self.vocabulary

    def __getitem__(self, word: str) -> np.ndarray:
        """The vector of a word, float32[D], a copy."""
        return self.vectors[self.vocabulary[word]].astype(np.float32)

    def __repr__(self) -> str:
        D = self.vectors.shape[1]
        return f"<WordVectors {self.name}: {len(self):,} words, {D} numbers each>"

    @cached_property
    def units(self) -> np.ndarray:
        """All vectors scaled to length one, float32[V, D], made at first use.

        A dot product of two rows is their cosine. A vector of zeros has no direction and stays
        zeros: its cosine with everything is 0.

        Raises:
            ValueError: a vector is not numbers; with its word.
        """
        vectors = np.asarray(self.vectors, dtype=np.float32)
        lengths = _lengths(vectors)
        broken = np.flatnonzero(~np.isfinite(lengths))
        if len(broken):
            word, length = self.vocabulary.words[broken[0]], lengths[broken[0]]
            found = f"{self.name}: the vector of {word!r} has the length {length}"
            raise ValueError(f"{found}; {WRITE_AGAIN}.")
        return vectors / np.maximum(lengths, TINY)[:, None]

    def similarity(self, a: str, b: str) -> float:
        """Cosine of the angle between the vectors of two words, -1 to 1."""
        return float(self.units[self.vocabulary[a]] @ self.units[self.vocabulary[b]])

    def get_top_similar(self, word: str, n: int = 10) -> dict[str, float]:
        """The n words with the largest cosines, best first, without itself."""
        vector = self.units[self.vocabulary[word]]
        return self.most_similar_to(vector, n, leave_out=[word])

    def analogy(self, a: str, b: str, c: str, n: int = 10) -> dict[str, float]:
        """a is to b as c is to ...: the n words nearest to b - a + c, best first.

        The three are left out. Their vectors are scaled to length one first, so that a long one
        does not outweigh the others. Mikolov, Yih and Zweig 2013, section 5 (3CosAdd).
        """
        rows = [self.vocabulary[word] for word in (a, b, c)]
        first, second, third = self.units[rows]
        return self.most_similar_to(second - first + third, n, leave_out=[a, b, c])

    def most_similar_to(
        self, vector: np.ndarray, n: int = 10, leave_out: Iterable[str] = ()
    ) -> dict[str, float]:
        """The n words whose vectors point most nearly the way `vector`, float[D], does.

        The best first, with their cosines, without those to `leave_out`.
        """
        left_out = [self.vocabulary[word] for word in leave_out]
        token_ids, cosines = self.nearest(np.asarray(vector)[None], n, [left_out])
        words = self.vocabulary.decode(token_ids[0])
        return dict(zip(words, cosines[0].tolist(), strict=True))

    def nearest(
        self,
        vectors: np.ndarray,
        n: int = 10,
        leave_out: Sequence[Sequence[int]] | None = None,
        among: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """For many vectors at once the n nearest words, best first.

        Args:
            vectors: float[Q, D].
            n: how many; fewer where there are not as many words.
            leave_out: for each vector, numbers of words not to give.
            among: search only this many words, the first.

        Returns:
            Their numbers int64[Q, n] and their cosines float32[Q, n].
        """
        units, vectors = self.units[:among], np.asarray(vectors, dtype=np.float32)
        (V, D), Q = units.shape, len(vectors)
        if vectors.shape != (Q, D):
            wanted = f"{self.name} are {D} wide"
            raise ValueError(f"{wanted}; got vectors of shape {vectors.shape}.")
        directions = vectors / np.maximum(_lengths(vectors), TINY)[:, None]
        leave_out = [[i for i in row if i < V] for row in leave_out or [()] * Q]
        n = max(0, min(n, V - max((len(set(row)) for row in leave_out), default=0)))
        found = np.empty((Q, n), dtype=np.int64)
        cosines = np.empty((Q, n), dtype=np.float32)
        for start in range(0, Q, QUERIES):
            scores = directions[start : start + QUERIES] @ units.T
            for q, row in enumerate(scores, start):  # float[V]
                row[leave_out[q]] = -np.inf
                # The n best in any order first: faster than sorting all V.
                best = np.argpartition(-row, n - 1)[:n] if n else found[q]
                found[q] = best[np.argsort(-row[best])]
                cosines[q] = row[found[q]]
        return found, cosines


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("vd,vd->v", vectors, vectors))


# --- opening them


def _load_glove() -> WordVectors:
    """GloVe 6B, most frequent first. The numbers stay on disk until they are used."""
    import pyarrow.parquet  # 0.1 s, and needed for this file only

    folder = assets.path("glove")
    table = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet", columns=["index"])
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")
    words = table.column(0).to_numpy().tolist()
    return WordVectors(Vocabulary(words), vectors, "glove")


def _load_folder(folder: Path) -> WordVectors:
    from safetensors import SafetensorError, safe_open

    file = folder / "model.safetensors"
    for name in ("model.safetensors", "vocabulary.json"):
        if not (folder / name).is_file():
            needed = "a folder of word vectors has model.safetensors and vocabulary.json"
            raise FileNotFoundError(f"{folder} holds no {name}; {needed}.")
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    try:
        with safe_open(file, framework="numpy") as tensors:
            vectors = tensors.get_tensor("embeddings.weight")
    except (SafetensorError, TypeError, AttributeError) as error:  # the last two: such as bf16
        found = f"{file} has no tensor 'embeddings.weight' that can be read"
        raise ValueError(f"{found}: {error}.") from error
    if not np.isfinite(vectors).all():
        raise ValueError(
            f"{file}: 'embeddings.weight' holds NaN or infinite numbers; {WRITE_AGAIN}."
        )
    return WordVectors(vocabulary, vectors, folder.name)


def _load_text(path: Path) -> WordVectors:
    """A text file of vectors. Every line is checked, so that nothing else is taken for numbers."""
    try:
        # utf-8-sig: a byte order mark is no part of the first word. newline: some words have
        # other characters that end lines.
        with path.open(encoding="utf-8-sig", newline="\n") as lines:
            rows = _read_rows(lines, path)
    except UnicodeDecodeError as error:
        found = f"{path} is not a text in UTF-8 ({error.reason})"
        raise ValueError(f"{found}; word vectors are read from text files only.") from error
    return WordVectors(Vocabulary(rows), np.stack(list(rows.values())), path.name)


def _read_rows(lines: Iterable[str], path: Path) -> dict[str, np.ndarray]:
    """The words of a text file and their vectors.

    The last D fields of a line are its vector. The word is all that comes before, also with
    blanks in it, such as "the year 1999": GloVe has such words. Where no first line says "V D",
    a word that ends in a number is an error, since the line may have one number too many.
    """
    rows: dict[str, np.ndarray] = {}
    V = D = None
    for number, line in enumerate((line.rstrip(" \r\n") for line in lines), start=1):
        if number == 1 and re.fullmatch(r"[0-9]+ [0-9]+", line):
            V, D = map(int, line.split(" "))
            continue
        D = D or line.count(" ")
        word, *fields = line.rsplit(" ", D)
        where, row = f"{path}, line {number}", _numbers(fields)
        found = f"{where}: expected a word and {D or 'its'} numbers; got {line[:50]!r}"
        if row is None or len(row) != D or not word or word != word.strip(" "):
            raise ValueError(f"{found}.")
        if V is None and " " in word and _numbers(word.split(" ")[-1:]) is not None:
            advice = f"put a first line in front that says 'V {D}'"
            raise ValueError(f"{found}; if the word ends in a number, {advice}.")
        if word in rows:
            raise ValueError(f"{where}: the word {word!r} is there already.")
        rows[word] = row
    if not rows:
        raise ValueError(f"{path} holds no word vectors: no line has a word and its numbers.")
    if V is not None and len(rows) != V:
        raise ValueError(f"{path}, line 1: announces {V} words; there are {len(rows)}.")
    return rows


def _numbers(fields: Sequence[str]) -> np.ndarray | None:
    """Texts as float32[len(fields)]; None where one is not a finite number."""
    if not NUMBERS.fullmatch(" ".join(fields)):
        return None
    try:
        with np.errstate(over="ignore"):  # 1e50 becomes infinite
            row = np.array(fields, dtype=np.float32)
    except ValueError:
        return None
    return row if np.isfinite(row).all() else None


# --- the Google analogies


@dataclass(frozen=True)
class AnalogyQuestion:
    """a is to b as c is to d."""

    category: str
    a: str
    b: str
    c: str
    d: str


@dataclass(frozen=True)
class AnalogyReport:
    """How vectors answered analogy questions.

    Attributes:
        questions: all of them.
        answers: a word for each; None where one of its four words is unknown.
        searched: how many words, the most frequent, were searched and could be in a question.
    """

    questions: tuple[AnalogyQuestion, ...]
    answers: tuple[str | None, ...]
    searched: int

    @property
    def asked(self) -> int:
        """Questions in all."""
        return len(self.questions)

    @property
    def known(self) -> int:
        """Questions whose four words are all known: the only ones that can be answered."""
        return sum(answer is not None for answer in self.answers)

    @property
    def right(self) -> int:
        """Questions answered with the word the test expects."""
        return sum(map(_is_right, self.questions, self.answers))

    @property
    def accuracy(self) -> float:
        """Right answers as a share of the known questions; nan where none is known."""
        return self.right / self.known if self.known else math.nan

    def by_category(self) -> dict[str, dict[str, int]]:
        """asked, known and right for each category, in the order of the file."""
        counts: dict[str, dict[str, int]] = {}
        for question, answer in zip(self.questions, self.answers, strict=True):
            count = counts.setdefault(question.category, {"asked": 0, "known": 0, "right": 0})
            count["asked"] += 1
            count["known"] += answer is not None
            count["right"] += _is_right(question, answer)
        return counts

    def __str__(self) -> str:
        right = f"{self.right:,} right of {self.known:,} with known words ({self.accuracy:.1%})"
        return f"{right}, of {self.asked:,} asked;\n{self.searched:,} words searched"


def _is_right(question: AnalogyQuestion, answer: str | None) -> bool:
    return answer is not None and answer.casefold() == question.d.casefold()


def google_analogies(
    half: Literal["all", "development", "test"] = "all",
) -> tuple[AnalogyQuestion, ...]:
    """The 19,544 analogy questions of Google's test, from gensim's test data.

    Mikolov, Chen, Corrado and Dean 2013, section 4.1.

    Args:
        half: "development", the even lines of the file, is for choosing settings; "test", the
            odd ones, for what is reported.
    """
    wanted = {"all": (0, 1), "development": (0,), "test": (1,)}
    questions, category = [], ""
    for line, text in enumerate(_test_data("questions-words.txt"), start=1):
        if text.startswith(":"):
            category = text[1:].strip()
        elif line % 2 in wanted[half]:
            questions.append(AnalogyQuestion(category, *text.split()))
    return tuple(questions)


def evaluate_analogies(
    wv: WordVectors,
    half: Literal["all", "development", "test"] = "all",
    among: int | None = 300_000,
) -> AnalogyReport:
    """Answer the Google analogies: the word nearest to b - a + c that is none of the three.

    Args:
        half: see `google_analogies`.
        among: how many words are searched, the most frequent; a question with another word
            counts as unknown. None takes all; 300,000 gives the numbers of gensim's
            `evaluate_word_analogies`.
    """
    questions = google_analogies(half)
    V = min(len(wv), among or len(wv))
    rows = [[wv.vocabulary.find(word) for word in (q.a, q.b, q.c, q.d)] for q in questions]
    known = [i for i, row in enumerate(rows) if all(id is not None and id < V for id in row)]
    a, b, c, _ = np.array([rows[i] for i in known], dtype=np.int64).reshape(-1, 4).T
    targets = wv.units[b] - wv.units[a] + wv.units[c]
    nearest, _ = wv.nearest(targets, 1, np.stack([a, b, c], axis=1).tolist(), V)
    answers: list[str | None] = [None] * len(questions)
    for i, (token_id,) in zip(known, nearest.tolist(), strict=True):
        answers[i] = wv.vocabulary.words[token_id]
    return AnalogyReport(questions, tuple(answers), V)


# --- what people say of pairs

PAIRS: Mapping[str, str] = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}


@dataclass(frozen=True)
class SimilarityReport:
    """How far cosines order pairs of words as people do.

    Attributes:
        correlation: Spearman's, over the used pairs: 1 for the same order, 0 for none.
        used, missing: (word, word, people's mark); missing are those with an unknown word.
        cosines: float[len(used)].
    """

    name: str
    correlation: float
    used: tuple[tuple[str, str, float], ...]
    missing: tuple[tuple[str, str, float], ...]
    cosines: np.ndarray = field(repr=False)

    def __str__(self) -> str:
        pairs = f"{len(self.used)} pairs; {len(self.missing)} pairs missing"
        return f"{self.name}: Spearman correlation {self.correlation:.3f} over {pairs}"


def word_pairs(name: Literal["wordsim353", "simlex999"]) -> tuple[tuple[str, str, float], ...]:
    """Pairs of words with the mean of people's marks, 0 to 10, from gensim's test data.

    Args:
        name: "wordsim353": how *related* two words are (Finkelstein et al. 2002); "simlex999":
            how *similar*, which is another question (Hill, Reichart and Korhonen 2015).
    """
    lines = [line for line in _test_data(PAIRS[name]) if line and not line.startswith("#")]
    return tuple((a, b, float(mark)) for a, b, mark in (line.split("\t") for line in lines))


def evaluate_similarity(
    wv: WordVectors, name: Literal["wordsim353", "simlex999"]
) -> SimilarityReport:
    """Compare the cosines of pairs of words with people's marks; see `word_pairs`.

    Raises:
        ValueError: fewer than two pairs have known words, so that there is nothing to order.
    """
    from scipy.stats import spearmanr  # 0.3 s, and needed here only

    pairs = word_pairs(name)
    used = tuple(pair for pair in pairs if pair[0] in wv and pair[1] in wv)
    missing = tuple(pair for pair in pairs if pair not in used)
    if len(used) < 2:
        found = f"{wv.name} has the words of {len(used)} pairs of {name}"
        raise ValueError(f"{found}; a correlation needs two at least.")
    cosines = np.array([wv.similarity(first, second) for first, second, _ in used])
    correlation = float(spearmanr([mark for *_, mark in used], cosines).statistic)
    return SimilarityReport(name, correlation, used, missing, cosines)


def _test_data(name: str) -> list[str]:
    """The lines of a file among gensim's test data. gensim is found, not imported."""
    folder = Path(find_spec("gensim").origin).parent / "test" / "test_data"
    return (folder / name).read_text(encoding="utf-8").splitlines()
