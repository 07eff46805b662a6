"""Sub-words: byte-pair encoding and WordPiece step by step, and tokenizers learned from texts.

    learn_merges({"singing": 5, "ring": 3}, 4)  # four steps of byte-pair encoding
    tokenizer = BytePairTokenizer.train(texts, V=4000)
    tokenizer.decode(tokenizer.encode("Oxygen"))  # "Oxygen"

Sources: Sennrich et al. 2016 (byte-pair encoding); Wu et al. 2016 (WordPiece); Radford et al. 2019
(GPT-2; bytes as the alphabet).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from src.files import WRITE_AGAIN

START = "<|endoftext|>"  # begins and ends every text; named as in GPT-2 and SmolLM2
CONTINUES = "##"  # begins a piece that continues a word

# --- byte-pair encoding and WordPiece, step by step


@dataclass(frozen=True)
class Merge:
    """Two neighbouring pieces that become one, and how often they were neighbours by then."""

    left: str
    right: str
    count: int

    @property
    def joined(self) -> str:
        return self.left + self.right.removeprefix(CONTINUES)


def letters_of(word: str) -> list[str]:
    """A word as letters, all but the first marked: "sing" gives s ##i ##n ##g."""
    return [letter if i == 0 else CONTINUES + letter for i, letter in enumerate(word)]


def apply_merge(pieces: Sequence[str], merge: Merge) -> list[str]:
    """Join the two pieces wherever they are neighbours, from left to right."""
    result: list[str] = []
    for piece in pieces:
        if result and (result[-1], piece) == (merge.left, merge.right):
            result[-1] = merge.joined
        else:
            result.append(piece)
    return result


def learn_merges(counts: Mapping[str, int], n: int) -> list[Merge]:
    """Byte-pair encoding: n times, join the most frequent neighbours.

    Sennrich et al. 2016, section 3.2. `counts` says how often each word occurs.
    Among equally frequent pairs the first in the alphabet is taken. There are
    fewer merges than n once every word is one piece.
    """
    words = {word: letters_of(word) for word in counts}
    merges: list[Merge] = []
    for _ in range(n):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, pieces in words.items():
            for pair in itertools.pairwise(pieces):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(Merge(*best, pairs[best]))
        for word, pieces in words.items():
            words[word] = apply_merge(pieces, merges[-1])
    return merges


def merge_steps(word: str, merges: Iterable[Merge]) -> list[tuple[Merge | None, list[str]]]:
    """What becomes of a word: its letters, then each merge that changes it, and the pieces."""
    steps: list[tuple[Merge | None, list[str]]] = [(None, letters_of(word))]
    for merge in merges:
        pieces = apply_merge(steps[-1][1], merge)
        if pieces != steps[-1][1]:
            steps.append((merge, pieces))
    return steps


def longest_match(word: str, vocabulary: Container[str]) -> list[str]:
    """Cut a word as WordPiece does: take the longest piece it has, and again.

    Where nothing fits, the whole word is unknown. Devlin et al. 2019.
    """
    pieces, begin = [], 0
    while begin < len(word):
        mark = CONTINUES if begin else ""
        end = len(word)
        while end > begin and mark + word[begin:end] not in vocabulary:
            end -= 1
        if end == begin:
            return ["[UNK]"]
        pieces.append(mark + word[begin:end])
        begin = end
    return pieces


# --- tokenizers learned from texts


class BytePairTokenizer:
    """A byte-level BPE vocabulary of V tokens: frequent words are one, rare ones several.

    At worst a token is a single byte, so no word is unknown, and `decode` gives back every
    text that `encode` took. `start_id` is the number of START.
    """

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        # "<|endoftext|>" within a text is text, and ends nothing.
        self._tokenizer.encode_special_tokens = True
        self.V, self.start_id = tokenizer.get_vocab_size(), tokenizer.token_to_id(START)
        if self.start_id is None:
            raise ValueError(f"this vocabulary has no {START}; use one that has, such as GPT-2's.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BytePairTokenizer) and self.to_json() == other.to_json()

    @classmethod
    def train(cls, texts: Iterable[str], V: int) -> BytePairTokenizer:
        """Merge the most frequent pair until there are V tokens, or no pair occurs twice."""
        if V < 257:
            raise ValueError(f"V is {V}; the 256 bytes and {START} need at least 257.")
        tokenizer = Tokenizer(models.BPE())
        # No token reaches over two words.
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=V,
            min_frequency=2,
            special_tokens=[START],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @classmethod
    def load(cls, file: str | Path) -> BytePairTokenizer:
        """Read a tokenizer.json.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is damaged, or something else.
        """
        if not Path(file).is_file():
            advice = "name a tokenizer.json, or the folder of a saved model"
            raise FileNotFoundError(f"there is no tokenizer at {file}; {advice}.")
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library has no class of its own for it
            raise ValueError(f"{file} is damaged ({error}); {WRITE_AGAIN}.") from None
        return cls(tokenizer)

    def to_json(self) -> bytes:
        """The content of its tokenizer.json."""
        return (self._tokenizer.to_str() + "\n").encode()

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without START."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of many texts, in their order."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encoded]

    def decode(self, token_ids: Sequence[int]) -> str:
        """Tokens back to their text, without START."""
        return self._tokenizer.decode(list(token_ids), skip_special_tokens=True)

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Each token as it is written; "�" is part of a character."""
        decode = self._tokenizer.decode
        return [decode([token_id], skip_special_tokens=False) for token_id in token_ids]
