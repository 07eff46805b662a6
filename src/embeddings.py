"""Words as dense vectors: nearest words, vector equations, and how good they are by two old tests of the field.

    wv = WordVectors.load("glove")                       # or "word2vec-skipgram", "word2vec-cbow", a folder, a text file
    wv.get_top_similar("Germany", 5)                     # {"austria": 0.858, ...}
    wv.analogy("man", "king", "woman", 3)                # man is to king as woman is to ...: {"queen": 0.861, ...}
    evaluate_analogies(wv).accuracy                      # share of the Google analogy questions that come out right
    evaluate_similarity(wv, "simlex999").correlation     # how far the cosines order pairs of words as people do

Light to import: torch, gensim and scikit-learn are not needed here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
QUERIES = 16  # at a time, where several are asked: reading 400,000 vectors from memory takes longer than multiplying them
CHUNK = 512  # questions and words at a time, where thousands are asked: 512 x 512 scores stay in the processor's cache


class WordVectors:
    """Words and their vectors. A word is found in any capitalisation; one that is not there raises UnknownWordError.

    vocabulary: src.text.Vocabulary, the words   vectors: float[V, D] as stored, row i for word number i   name: for messages
    """

    def __init__(self, vocabulary: Vocabulary, vectors: np.ndarray, name: str = "these vectors"):
        """Raises ValueError where there is not one row of numbers for each word."""
        if vectors.ndim != 2 or len(vectors) != len(vocabulary) or vectors.shape[1] == 0:
            raise ValueError(f"{name}: {len(vocabulary)} words need vectors of shape ({len(vocabulary)}, D); got {vectors.shape}.")
        self.vocabulary, self.vectors, self.name = vocabulary, vectors, name

    @classmethod
    def load(cls, source: str | Path) -> WordVectors:
        """Open vectors by name ("glove", "word2vec-skipgram", "word2vec-cbow") or by path.

        A path is a folder with model.safetensors and vocabulary.json, as in `weights/`, or a text file as word2vec and GloVe
        write them: a line for each word, the word and its D numbers, with or without a first line "V D".
        Raises FileNotFoundError where there is nothing, ValueError naming file and line where it is something else.
        """
        if source == "glove":
            return _load_glove()
        path = runtime.COURSE / "weights" / source if source in WEIGHTS else Path(source)
        if path.is_dir():
            return _load_folder(path)
        if path.is_file():
            return _load_text(path)
        raise FileNotFoundError(f"there are no word vectors {str(source)!r}: neither a path nor one of {', '.join(('glove', *WEIGHTS))}.")

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __contains__(self, word: object) -> bool:
        return word in self.vocabulary

    def __getitem__(self, word: str) -> np.ndarray:
        """The vector of a word, float32[D], a copy."""
        return self.vectors[self.vocabulary[word]].astype(np.float32)

    def __repr__(self) -> str:
        return f"<WordVectors {self.name}: {len(self):,} words, {self.vectors.shape[1]} numbers each>"

    @cached_property
    def units(self) -> np.ndarray:
        """All vectors scaled to length one, float32[V, D], so that a dot product of two rows is their cosine. Made at first use.

        A vector of zeros has no direction and stays zeros: its cosine with everything counts as 0. Raises ValueError, with the
        word, for a vector that is not numbers.
        """
        vectors = np.asarray(self.vectors, dtype=np.float32)
        lengths = np.sqrt(np.einsum("vd,vd->v", vectors, vectors))
        broken = np.flatnonzero(~np.isfinite(lengths))
        if len(broken):
            word, length = self.vocabulary.words[broken[0]], lengths[broken[0]]
            found = f"{self.name}: the vector of {word!r} has the length {length}"
            raise ValueError(f"{found}; {WRITE_AGAIN}.")
        return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)[:, None]

    def similarity(self, a: str, b: str) -> float:
        """Cosine of the angle between the vectors of two words, -1 to 1."""
        return float(self.units[self.vocabulary[a]] @ self.units[self.vocabulary[b]])

    def get_top_similar(self, word: str, n: int = 10) -> dict[str, float]:
        """The n words whose vectors point most nearly the same way, with their cosines, best first; the word itself left out."""
        return self.most_similar_to(self.units[self.vocabulary[word]], n, leave_out=[word])

    def analogy(self, a: str, b: str, c: str, n: int = 10) -> dict[str, float]:
        """a is to b as c is to ...: the n words nearest to b - a + c, with their cosines, best first; a, b and c left out.

        The three vectors are scaled to length one first, so that a long one does not outweigh the others.
        Source: Mikolov, Yih and Zweig 2013, section 5 (often called 3CosAdd).
        """
        first, second, third = self.units[[self.vocabulary[word] for word in (a, b, c)]]
        return self.most_similar_to(second - first + third, n, leave_out=[a, b, c])

    def most_similar_to(self, vector: np.ndarray, n: int = 10, leave_out: Iterable[str] = ()) -> dict[str, float]:
        """The n words whose vectors point most nearly the way `vector`, float[D], points, with their cosines, best first."""
        left_out = [[self.vocabulary[word] for word in leave_out]]
        token_ids, cosines = self.nearest(np.asarray(vector)[None], n, left_out)
        return dict(zip(self.vocabulary.decode(token_ids[0]), cosines[0].tolist(), strict=True))

    def nearest(
        self, vectors: np.ndarray, n: int = 10, leave_out: Sequence[Sequence[int]] | None = None, among: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """For many vectors at once: the numbers of the n nearest words, int64[Q, n], and their cosines, float32[Q, n], best first.

        vectors: float[Q, D]   leave_out: for each of them, numbers of words not to give   among: search the first so many words
        n is cut to the words that can be given. Raises ValueError for vectors of another width.
        """
        vectors = np.asarray(vectors, dtype=np.float32)
        V = min(len(self), among or len(self))
        if vectors.ndim != 2 or vectors.shape[1] != self.units.shape[1]:
            raise ValueError(f"{self.name} are {self.units.shape[1]} wide; got vectors of shape {vectors.shape}.")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        directions = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        left_out = [[token_id for token_id in token_ids if token_id < V] for token_ids in leave_out or [()] * len(directions)]
        n = max(0, min(n, V - max((len(set(token_ids)) for token_ids in left_out), default=0)))
        found = np.empty((len(directions), n), dtype=np.int64)
        cosines = np.empty((len(directions), n), dtype=np.float32)
        for first in range(0, len(directions), QUERIES):
            scores = directions[first : first + QUERIES] @ self.units[:V].T  # [QUERIES, V]
            for number, row in enumerate(scores, start=first):
                row[left_out[number]] = -np.inf
                best = np.argpartition(-row, n - 1)[:n] if n else np.arange(0)  # the n best in any order: quicker than sorting all V
                found[number] = best[np.argsort(-row[best])]
                cosines[number] = row[found[number]]
        return found, cosines


# --- opening them --------------------------------------------------------------------------------------------------------


def _load_glove() -> WordVectors:
    """GloVe 6B, 400,000 words x 50, most frequent first. The numbers stay on disk until they are used."""
    import pyarrow.parquet  # 0.1 s, and needed for this file only

    folder = assets.path("glove")
    words = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet", columns=["index"]).column(0).to_numpy().tolist()
    return WordVectors(Vocabulary(words), np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r"), "glove")


def _load_folder(folder: Path) -> WordVectors:
    """A folder with model.safetensors, whose tensor `embeddings.weight` is float[V, D], and vocabulary.json."""
    from safetensors import SafetensorError, safe_open

    for name in ("model.safetensors", "vocabulary.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} holds no {name}; a folder of word vectors has model.safetensors and vocabulary.json.")
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    try:
        with safe_open(folder / "model.safetensors", framework="numpy") as tensors:
            vectors = tensors.get_tensor("embeddings.weight")
    except (SafetensorError, TypeError, AttributeError) as error:  # the last two: numbers that numpy has not, such as bf16
        raise ValueError(f"{folder / 'model.safetensors'} has no tensor 'embeddings.weight' that can be read: {error}.") from error
    wrong = np.flatnonzero(~np.isfinite(vectors).reshape(len(vectors), -1).all(axis=1)) if vectors.ndim else []
    if len(wrong):
        raise ValueError(f"{folder / 'model.safetensors'}: row {wrong[0]} of 'embeddings.weight' has a number that is not finite.")
    return WordVectors(vocabulary, vectors, folder.name)


def _load_text(path: Path) -> WordVectors:
    """Read a text file of vectors, checking every line.

    With a first line "V D" the last D fields of a line are its vector, and the word is all that comes before, such as
    "the year 1999". Without one, D is counted in the first line, and one number more in another line is an error.

    Raises:
        ValueError: naming file and line.
    """
    words: list[str] = []
    rows: list[np.ndarray] = []
    places: dict[str, int] = {}  # word -> its line
    announced: tuple[int, int] | None = None  # V and D by the first line, where it tells them
    for line, text in enumerate(_lines(path), start=1):
        fields = text.split(" ")
        if line == 1 and len(fields) == 2 and all(part.isascii() and part.isdigit() for part in fields):
            announced = int(fields[0]), int(fields[1])
            continue
        D = len(rows[0]) if rows else announced[1] if announced else len(fields) - 1
        word, *numbers = text.rsplit(" ", D) if D else [text]  # from the right: some files have words with blanks in them
        if not numbers or len(numbers) < D:
            raise ValueError(f"{path}, line {line}: expected a word and {D or 'its'} numbers; got {_short(text)}.")
        row = _numbers(numbers)
        too_many = announced is None and _ends_in_number(word)
        if row is None or too_many or not word or word != word.strip(" "):
            advice = f"; if the word ends in a number, put a first line in front that says 'V {D}'" if too_many else ""
            raise ValueError(f"{path}, line {line}: expected a word and {D} finite numbers; got {_short(text)}{advice}.")
        if word in places:
            raise ValueError(f"{path}, line {line}: the word {word!r} stands in line {places[word]} already.")
        places[word] = line
        words.append(word)
        rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds no word vectors: it has no line with a word and its numbers.")
    if announced and announced[0] != len(rows):
        raise ValueError(f"{path}, line 1: announces {announced[0]} words; there are {len(rows)}.")
    if announced:
        _check_width(path, words, len(rows[0]))
    return WordVectors(Vocabulary(words), np.stack(rows), path.name)


def _check_width(path: Path, words: Sequence[str], D: int) -> None:
    """Raise ValueError where every word is one word and as many numbers: the first line told too small a D."""
    if len(words) > 1 and all(" " in word for word in words):
        extra = {word.count(" ") if _numbers(word.split(" ")[1:]) is not None else 0 for word in words}
        if len(extra) == 1 and 0 not in extra:
            raise ValueError(f"{path}, line 1: announces {D} numbers for each word; every line has {D + extra.pop()}.")


def _lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text, without what ends them. Raises ValueError where it is no such text."""
    try:
        # utf-8-sig: a byte order mark is no part of the first word. newline: some words are made of other characters that
        # end lines.
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for line in file:
                yield line.rstrip(" \r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8 ({error.reason}); word vectors are read from text files only.") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error


def _numbers(parts: Sequence[str]) -> np.ndarray | None:
    """Texts as float32[len(parts)]; None where one is not a finite number."""
    joined = "".join(parts)
    if not joined.isascii() or "_" in joined:  # numpy would take "1_000" and digits of other scripts
        return None
    try:
        with np.errstate(over="ignore"):  # 1e50 becomes infinite, and is told below
            row = np.array(parts, dtype=np.float32)
    except ValueError:
        return None
    return row if np.isfinite(row).all() else None


def _ends_in_number(word: str) -> bool:
    """Whether a word with blanks in it ends in a number."""
    return " " in word and _numbers([word.rsplit(" ", 1)[1]]) is not None


def _short(text: str) -> str:
    return repr(text if len(text) <= 50 else f"{text[:47]}...")


# --- the Google analogies ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AnalogyQuestion:
    """a is to b as c is to d, and which line of the file asks it."""

    category: str
    a: str
    b: str
    c: str
    d: str
    line: int


@dataclass(frozen=True)
class AnalogyReport:
    """What vectors answered. `answers` has a word for each question, None where one of its four words is not in the vocabulary.

    searched: how many words, the most frequent, were looked through for each answer, and could stand in a question.
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
        """Questions whose four words are all in the vocabulary: the only ones that can be answered."""
        return sum(answer is not None for answer in self.answers)

    @property
    def right(self) -> int:
        """Questions answered with the word the test expects."""
        return sum(_is_right(question, answer) for question, answer in zip(self.questions, self.answers, strict=True))

    @property
    def accuracy(self) -> float:
        """Right answers as a share of the known questions, as it is usually given; nan where none is known."""
        return self.right / self.known if self.known else math.nan

    def by_category(self) -> dict[str, dict[str, int]]:
        """asked, known and right for each category, in the order of the file; `pandas.DataFrame(...).T` makes it a table."""
        counts: dict[str, dict[str, int]] = {}
        for question, answer in zip(self.questions, self.answers, strict=True):
            count = counts.setdefault(question.category, {"asked": 0, "known": 0, "right": 0})
            count["asked"] += 1
            count["known"] += answer is not None
            count["right"] += _is_right(question, answer)
        return counts

    def __str__(self) -> str:
        return (
            f"{self.right:,} right of {self.known:,} with known words ({self.accuracy:.1%}), of {self.asked:,} asked; "
            f"{self.searched:,} words searched"
        )


def _is_right(question: AnalogyQuestion, answer: str | None) -> bool:
    return answer is not None and answer.casefold() == question.d.casefold()


def google_analogies(half: Literal["all", "development", "test"] = "all") -> tuple[AnalogyQuestion, ...]:
    """The 19,544 analogy questions of Google's test, from gensim's test data.

    half: "development", the even lines of the file, is for choosing settings; "test", the odd ones, for what is reported.
    Source: Mikolov, Chen, Corrado and Dean 2013, section 4.1.
    """
    wanted = {"all": (0, 1), "development": (0,), "test": (1,)}
    if half not in wanted:
        raise ValueError(f"the analogies have no half {half!r}; there are {', '.join(wanted)}.")
    questions, category = [], ""
    for line, text in enumerate(_test_data("questions-words.txt"), start=1):
        if text.startswith(":"):
            category = text[1:].strip()
        elif line % 2 in wanted[half]:
            questions.append(AnalogyQuestion(category, *text.split(), line))
    return tuple(questions)


def evaluate_analogies(wv: WordVectors, half: Literal["all", "development", "test"] = "all", among: int | None = 300_000) -> AnalogyReport:
    """Let the vectors answer the Google analogies: for each, the word nearest to b - a + c that is none of the three.

    among: the most frequent so many words are searched, and a question with another word counts as unknown; None takes all.
    300,000 is what gensim's `evaluate_word_analogies` takes, and the numbers are the same.
    """
    questions = google_analogies(half)
    V = min(len(wv), among or len(wv))
    rows = [[wv.vocabulary.find(word) for word in (q.a, q.b, q.c, q.d)] for q in questions]
    known = [number for number, row in enumerate(rows) if all(token_id is not None and token_id < V for token_id in row)]
    a, b, c, _ = np.array([rows[number] for number in known], dtype=np.int64).reshape(-1, 4).T
    nearest = _nearest_of_many(wv.units[:V], wv.units[b] - wv.units[a] + wv.units[c], np.stack([a, b, c], axis=1))
    answers: list[str | None] = [None] * len(questions)
    for number, token_id in zip(known, nearest.tolist(), strict=True):
        answers[number] = wv.vocabulary.words[token_id]
    return AnalogyReport(questions, tuple(answers), V)


def _nearest_of_many(units: np.ndarray, targets: np.ndarray, leave_out: np.ndarray) -> np.ndarray:
    """For each of many targets the number of the one nearest word, int64[Q].

    units: float32[V, D], scaled to length one   targets: float32[Q, D]   leave_out: int[Q, k], numbers of words not to give
    Piece by piece: all scores at once would be 23 GB for the Google analogies on 300,000 words.
    """
    nearest = np.zeros(len(targets), dtype=np.int64)
    for first in range(0, len(targets), CHUNK):
        some, left_out = targets[first : first + CHUNK], leave_out[first : first + CHUNK]
        rows = np.arange(len(some))
        best = np.full(len(some), -np.inf, dtype=np.float32)
        for start in range(0, len(units), CHUNK):
            scores = some @ units[start : start + CHUNK].T  # [CHUNK, CHUNK]
            question, column = np.nonzero((left_out >= start) & (left_out < start + CHUNK))
            scores[question, left_out[question, column] - start] = -np.inf
            places = scores.argmax(axis=1)
            better = scores[rows, places] > best
            best[better] = scores[rows, places][better]
            nearest[first + rows[better]] = start + places[better]
    return nearest


# --- what people say of pairs --------------------------------------------------------------------------------------------

PAIRS: Mapping[str, str] = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}


@dataclass(frozen=True)
class SimilarityReport:
    """How far the cosines order pairs of words as people do.

    correlation: Spearman's, over the used pairs: 1 for the same order, 0 for none   used, missing: (word, word, people's mark)
    cosines: float[len(used)], the vectors' own marks for the used pairs
    """

    name: str
    correlation: float
    used: tuple[tuple[str, str, float], ...]
    missing: tuple[tuple[str, str, float], ...]
    cosines: np.ndarray = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name}: Spearman correlation {self.correlation:.3f} over {len(self.used)} pairs; {len(self.missing)} pairs missing"


def word_pairs(name: Literal["wordsim353", "simlex999"]) -> tuple[tuple[str, str, float], ...]:
    """Pairs of words with the mean of the marks that people gave them, 0 to 10, from gensim's test data.

    "wordsim353": how *related* two words are (Finkelstein et al. 2002); "simlex999": how *similar*, which
    is asked to be something else (Hill, Reichart and Korhonen 2015).
    """
    if name not in PAIRS:
        raise ValueError(f"there are no word pairs {name!r}; there are {', '.join(PAIRS)}.")
    rows = [line.split("\t") for line in _test_data(PAIRS[name]) if line and not line.startswith("#")]
    return tuple((first, second, float(mark)) for first, second, mark in rows)


def evaluate_similarity(wv: WordVectors, name: Literal["wordsim353", "simlex999"]) -> SimilarityReport:
    """Compare the cosines of pairs of words with people's marks. Pairs with a word that is not in the vocabulary are told, not used.

    Raises ValueError where fewer than two pairs remain, since there is nothing to order.
    """
    from scipy.stats import spearmanr  # 0.3 s, and needed here only

    pairs = word_pairs(name)
    used = tuple(pair for pair in pairs if pair[0] in wv and pair[1] in wv)
    missing = tuple(pair for pair in pairs if pair not in used)
    if len(used) < 2:
        raise ValueError(f"{wv.name} has the words of {len(used)} pairs of {name}; a correlation needs two at least.")
    cosines = np.array([wv.similarity(first, second) for first, second, _ in used])
    return SimilarityReport(name, float(spearmanr([mark for *_, mark in used], cosines).statistic), used, missing, cosines)


def _test_data(name: str) -> list[str]:
    """The lines of a file that gensim ships among its test data. gensim itself is found, not imported."""
    package = find_spec("gensim")
    if package is None or package.origin is None:
        raise FileNotFoundError(f"the package gensim is not installed; {name} is among its test data.")
    return (Path(package.origin).parent / "test" / "test_data" / name).read_text(encoding="utf-8").splitlines()
