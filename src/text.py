"""Words and vocabularies: from texts to sentences, words and numbers, and back.

    words = tokenize_words("Oxygen isn't a metal.")  # ["oxygen", "isn't", "a", "metal"]
    vocabulary = Vocabulary.from_sentences(sentence_stream(texts), min_count=5)
    vocabulary.encode(["the", "king"])  # [0, 512]
    vocabulary["Kingg"]  # UnknownWordError: ... Did you mean 'king', 'kings'?

Light to import: neither torch nor pandas is needed here.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

# Letters and digits of any script, with an apostrophe inside: "isn't", "o'clock", "1990s".
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# A sentence ends at . ! or ? (and what closes a quotation) before a blank and what can begin
# the next one, unless the word before the full stop is a single letter or an abbreviation.
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[^\W\d_a-z]|[\"'“‘(\[]*\d)")
_ABBREVIATIONS = """
approx art c ca capt cf col dr e.g ed eds est et etc fl gen gov i.e jr lit lt mr mrs ms mt no nos op
pl pp prof r rev sgt sr st ste u.s vol vs
"""
_ABBREVIATED = frozenset(_ABBREVIATIONS.split())


def check_text(text: object, what: str = "the text", most: int | None = None) -> str:
    """Return `text`.

    Raises:
        ValueError: it is no text, blank, or of more than `most` characters.
    """
    if not isinstance(text, str):
        raise ValueError(f"{what} is {text!r}, which is no text; put it in quotes.")
    if not text.strip():
        raise ValueError(f"{what} is blank; write something.")
    if most is not None and len(text) > most:
        raise ValueError(f"{what} has {len(text):,} characters; take {most:,} at most.")
    return text


def tokenize_words(text: str, lower: bool = True) -> list[str]:
    """The words of a text, in lower case or as written.

    Punctuation is left out, and hyphens separate. Letters with two spellings ("é" as one character
    or two) come out as one, and curly apostrophes as straight ones.
    """
    if not isinstance(text, str):
        check_text(text)
    text = unicodedata.normalize("NFC", text).replace("’", "'")
    return _WORD.findall(text.lower() if lower else text)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text as they are written, without the blanks around them.

    Rules, not a trained model: a full stop after one letter or a common abbreviation
    ("J. R. R.", "St.") ends no sentence.
    """
    sentences, begin = [], 0
    for end in _SENTENCE_END.finditer(text):
        before = re.search(r"(\S+)\.$", text[begin : end.start()])
        word = before[1].lstrip("(\"'“‘[").lower() if before else ""
        if word in _ABBREVIATED or (len(word) == 1 and word.isalpha()):
            continue
        sentences.append(text[begin : end.end()].strip())
        begin = end.end()
    rest = text[begin:].strip()
    return [*sentences, rest] if rest else sentences


def sentence_stream(texts: Iterable[str]) -> Iterator[list[str]]:
    """The sentences of all texts as lists of lower-case words; those without any are left out."""
    for text in texts:
        for sentence in split_sentences(text):
            if words := tokenize_words(sentence):
                yield words


def close_spellings(word: str, known: Sequence[str], n: int = 3) -> list[str]:
    """Up to n of the `known` words that differ from `word` in the fewest letters.

    A difference is a letter changed, left out or added, or two neighbours swapped; at most one
    letter in three may differ. Of equally close words the earlier comes first.
    """
    most = max(1, len(word) // 3)
    found = process.extract(word, known, scorer=OSA.distance, score_cutoff=most, limit=None)
    found.sort(key=lambda match: (match[1], match[2]))
    return [match[0] for match in found[:n]]


class UnknownWordError(KeyError):
    """A word that is not in the vocabulary; `suggestions` are close spellings that are."""

    def __init__(self, word: str, suggestions: Sequence[str], where: str = "the vocabulary"):
        self.word, self.suggestions = word, list(suggestions)
        hint = "Nothing there is spelled like it."
        if suggestions:
            hint = f"Did you mean {', '.join(map(repr, suggestions))}?"
        super().__init__(f"{word!r} is not in {where}. {hint}")

    def __str__(self) -> str:  # KeyError shows the repr of its argument, with every quote escaped
        return self.args[0]


class Vocabulary:
    """Words and their numbers, from 0.

    Finds a word in any capitalisation: as written, else in lower case, else the first that
    differs in case only.

    Args:
        words: each once; the position is the number.
        counts: int[V], how often each occurs in the corpus, if known.
    """

    def __init__(self, words: Iterable[str], counts: Sequence[int] | np.ndarray | None = None):
        self.words: list[str] = list(words)
        self.ids: dict[str, int] = {word: number for number, word in enumerate(self.words)}
        if len(self.ids) < len(self.words):
            twice = Counter(self.words).most_common(1)[0][0]
            raise ValueError(f"the word {twice!r} occurs twice in the list; give each word once.")
        self.counts = None if counts is None else np.asarray(counts, dtype=np.int64)
        if self.counts is not None and len(self.counts) != len(self.words):
            found = f"{len(self.words)} words with {len(self.counts)} counts"
            raise ValueError(f"{found}; give one count for each word.")

    @classmethod
    def from_sentences(
        cls, sentences: Iterable[Sequence[str]], min_count: int = 1, specials: Sequence[str] = ()
    ) -> Vocabulary:
        """Count the words of all sentences; the most frequent gets number 0.

        Words with a lower count than `min_count` are left out; `specials`, such as "<pad>", go in
        front, with the count 0.
        """
        counted = Counter(word for sentence in sentences for word in sentence)
        pairs = [(word, count) for word, count in counted.items() if count >= min_count]
        pairs.sort(key=lambda pair: (-pair[1], pair[0]))  # equally frequent: by the alphabet
        pairs = [(special, 0) for special in specials] + pairs
        return cls([word for word, _ in pairs], [count for _, count in pairs])

    def __len__(self) -> int:
        return len(self.words)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self.find(word) is not None

    def __getitem__(self, word: str) -> int:
        """The number of a word in any capitalisation; raises UnknownWordError."""
        number = self.find(word)
        if number is None:
            near = close_spellings(str(word).strip().lower(), self.words)
            raise UnknownWordError(word, near)
        return number

    def find(self, word: str) -> int | None:
        """The number of a word in any capitalisation, None where it is not there."""
        word = unicodedata.normalize("NFC", str(word).strip())
        for spelling in (word, word.lower()):
            if spelling in self.ids:
                return self.ids[spelling]
        return self._folded.get(word.casefold())

    @cached_property
    def _folded(self) -> dict[str, int]:
        folded: dict[str, int] = {}
        for number, word in enumerate(self.words):
            folded.setdefault(word.casefold(), number)
        return folded

    def encode(
        self, words: Iterable[str], unknown: Literal["error", "drop"] = "error"
    ) -> list[int]:
        """Words to numbers, as they are spelled.

        For words that are not there `unknown` "error" raises UnknownWordError, "drop" leaves them
        out.
        """
        if unknown == "drop":
            return [self.ids[word] for word in words if word in self.ids]
        return [self.ids[word] if word in self.ids else self[word] for word in words]

    def decode(self, token_ids: Iterable[int]) -> list[str]:
        """Numbers to words.

        Raises:
            IndexError: no word has such a number.
        """
        token_ids = list(token_ids)
        for number in token_ids:
            if not 0 <= number < len(self.words):
                most = len(self.words) - 1
                raise IndexError(f"no word has the number {number}; there are 0 to {most}.")
        return [self.words[number] for number in token_ids]

    def to_json(self) -> bytes:
        """What `load` reads: {"words": [...], "counts": [...] or null}."""
        counts = None if self.counts is None else self.counts.tolist()
        data = {"words": self.words, "counts": counts}
        return (json.dumps(data, ensure_ascii=False) + "\n").encode()

    @classmethod
    def load(cls, file: str | Path) -> Vocabulary:
        """Read a file of `to_json`.

        Raises:
            ValueError: it is anything else; names the file.
        """
        try:
            data = json.loads(Path(file).read_text(encoding="utf-8"))
            return cls(data["words"], data["counts"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{file} is not a vocabulary: {error}") from error
