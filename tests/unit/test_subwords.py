"""Merges equal those of `tokenizers`, word pieces BERT's own, and no text is lost."""

import itertools
import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from src import assets
from src.subwords import (
    START,
    BytePairTokenizer,
    Merge,
    apply_merge,
    learn_merges,
    letters_of,
    longest_match,
    merge_steps,
)
from src.text import tokenize_words

TEXTS = [page.text for page in itertools.islice(assets.load_passages().values(), 300)]
TOKENIZER = BytePairTokenizer.train(TEXTS[:20], 290)

# --- step by step


def test_merges_by_hand():
    merges = learn_merges({"sing": 6, "ring": 4, "king": 3, "sings": 2}, 3)
    assert merges == [Merge("##i", "##n", 15), Merge("##in", "##g", 15), Merge("s", "##ing", 8)]
    assert [merge.joined for merge in merges] == ["##in", "##ing", "sing"]
    assert merge_steps("sings", merges) == [
        (None, ["s", "##i", "##n", "##g", "##s"]),
        (merges[0], ["s", "##in", "##g", "##s"]),
        (merges[1], ["s", "##ing", "##s"]),
        (merges[2], ["sing", "##s"]),
    ]
    assert merge_steps("ox", merges) == [(None, ["o", "##x"])]
    assert apply_merge(["a", "##b", "##b", "##b"], Merge("##b", "##b", 1)) == ["a", "##bb", "##b"]
    assert learn_merges({"ab": 1}, 9) == [Merge("a", "##b", 1)]


def first_tie(counts: dict[str, int], merges: list[Merge]) -> int:
    """Before which merge two pairs are equally frequent, so that either may come first."""
    words = {word: letters_of(word) for word in counts}
    for number, merge in enumerate(merges):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, pieces in words.items():
            for pair in itertools.pairwise(pieces):
                pairs[pair] += counts[word]
        if list(pairs.values()).count(merge.count) > 1:
            return number
        words = {word: apply_merge(pieces, merge) for word, pieces in words.items()}
    return len(merges)


def test_merges_are_those_of_the_library_tokenizers():
    rng, compared = random.Random(0), 0
    for _ in range(8):
        words = {"".join(rng.sample("abcdef", rng.randrange(2, 6))) for _ in range(30)}
        counts = {word: rng.randrange(1, 200) for word in sorted(words)}
        library = Tokenizer(models.BPE(continuing_subword_prefix="##"))
        library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        settings = {"vocab_size": 40, "min_frequency": 0, "show_progress": False}
        trainer = trainers.BpeTrainer(continuing_subword_prefix="##", **settings)
        texts = (" ".join([word] * count) for word, count in counts.items())
        library.train_from_iterator(texts, trainer)
        theirs = [tuple(pair) for pair in json.loads(library.to_str())["model"]["merges"]]
        ours = learn_merges(counts, len(theirs))
        same = first_tie(counts, ours)
        assert [(merge.left, merge.right) for merge in ours[:same]] == theirs[:same]
        compared += same
    assert compared > 40


def test_words_fall_apart_as_in_berts_own_tokenizer():
    bert = AutoTokenizer.from_pretrained(assets.path("minilm"))
    vocabulary = bert.get_vocab()
    words = {word for text in TEXTS for word in tokenize_words(text)}
    plain = sorted(word for word in words if word.isascii() and word.isalnum())
    assert len(plain) > 4000
    for word in plain:
        assert longest_match(word, vocabulary) == bert.tokenize(word), word
    assert longest_match("ab", {"a", "##c"}) == ["[UNK]"]


# --- tokenizers


@given(st.one_of(st.text(), st.just(f"before {START} after")))
def test_every_text_comes_back_and_nothing_in_it_is_unknown_or_start(text):
    token_ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(token_ids) == text
    assert TOKENIZER.start_id not in token_ids
    assert token_ids == TOKENIZER.encode_all([text])[0]
    if text.isascii():
        assert "".join(TOKENIZER.pieces(token_ids)) == text


def test_the_vocabulary_is_learned_the_same_each_time_and_the_file_gives_it_back(tmp_path):
    assert BytePairTokenizer.train(TEXTS[:20], 290) == TOKENIZER
    assert BytePairTokenizer.train(TEXTS[20:40], 290) != TOKENIZER
    assert TOKENIZER.V == 290
    assert len(TOKENIZER.encode(" the")) == 1, "a frequent word with the blank before it"
    file = tmp_path / "tokenizer.json"
    file.write_bytes(TOKENIZER.to_json())
    assert BytePairTokenizer.load(file) == TOKENIZER


def test_vocabularies_that_cannot_be_are_told(tmp_path):
    with pytest.raises(ValueError, match="at least 257"):
        BytePairTokenizer.train(["a"], 256)
    file = tmp_path / "tokenizer.json"
    with pytest.raises(FileNotFoundError, match=r"no tokenizer at .*tokenizer\.json"):
        BytePairTokenizer.load(file)
    file.write_text('{"version": "1.0", "trunc')
    with pytest.raises(ValueError, match=r"tokenizer\.json is damaged \("):
        BytePairTokenizer.load(file)
    Tokenizer(models.WordPiece({"[UNK]": 0})).save(str(file))
    with pytest.raises(ValueError, match=r"has no <\|endoftext\|>"):
        BytePairTokenizer.load(file)
