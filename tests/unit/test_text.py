"""From text to sentences, words, numbers, and back."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.assets import load_passages
from src.text import (
    UnknownWordError,
    Vocabulary,
    check_text,
    close_spellings,
    sentence_stream,
    split_sentences,
    tokenize_words,
)

LETTERS = st.text(st.characters(categories=["Ll", "Nd"]), min_size=1, max_size=6)
WORDS = st.lists(LETTERS, unique=True, max_size=20)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Oxygen isn't a metal.", ["oxygen", "isn't", "a", "metal"]),
        ("Rock ’n’ roll: the 1950s", ["rock", "n", "roll", "the", "1950s"]),
        ("well-known (and how!)", ["well", "known", "and", "how"]),
        ("It’s São Paulo_2", ["it's", "são", "paulo", "2"]),
        ("cafe\u0301 = caf\u00e9", ["caf\u00e9", "caf\u00e9"]),
        ("東京 Москва", ["東京", "москва"]),
        ("... -- 🙂", []),
    ],
)
def test_words_are_letters_and_digits_with_inner_apostrophes(text, words):
    assert tokenize_words(text) == words
    assert [word.lower() for word in tokenize_words(text, lower=False)] == words


@pytest.mark.parametrize(
    "sentences",
    [
        ["It rained.", "We stayed!", "Why not?"],
        ["J. R. R. Tolkien was born in 1892.", "He wrote."],
        ["St. Paul and Dr. King met.", "(They talked.)", "1990 came."],
        ['He said "Go."', "Then he left."],
        ["It weighs 3.5 kg at most"],
        ["the iPhone vs. Android"],
        [],
    ],
)
def test_sentences_end_where_a_reader_would_end_them(sentences):
    assert split_sentences("  ".join(sentences) + " ") == sentences


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_splitting_into_sentences_loses_nothing_but_blanks(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def test_the_stream_gives_every_word_of_wikipedia_once():
    texts = [passage.text for passage in list(load_passages().values())[:300]]
    streamed = Counter(word for sentence in sentence_stream(texts) for word in sentence)
    assert streamed == Counter(word for text in texts for word in tokenize_words(text))
    assert all(sentence_stream(texts))


def test_a_vocabulary_is_sorted_by_frequency_and_cut_where_asked():
    sentences = [["b", "a", "c", "a"], ["c", "d", "a"]]
    vocabulary = Vocabulary.from_sentences(sentences)
    assert vocabulary.words == ["a", "c", "b", "d"] and vocabulary.counts.tolist() == [3, 2, 1, 1]
    assert Vocabulary.from_sentences(sentences, min_count=2).words == ["a", "c"]
    cut = Vocabulary.from_sentences(sentences, min_count=3, specials=["<pad>"])
    assert cut.words == ["<pad>", "a"] and cut.counts.tolist() == [0, 3]


@given(WORDS)
def test_encoding_and_decoding_are_inverse(words):
    vocabulary = Vocabulary(words)
    assert vocabulary.decode(vocabulary.encode(reversed(words))) == words[::-1]
    assert list(vocabulary) == words and len(vocabulary) == len(words)


def test_any_capitalisation_finds_the_word_and_the_exact_one_wins():
    vocabulary = Vocabulary(["may", "mother", "May", "NASA", "straße"])
    asked = ("Mother", "MOTHER", "May", "may", "nasa", " mother ", "STRASSE")
    assert [vocabulary[word] for word in asked] == [1, 1, 2, 0, 3, 1, 4]
    assert "Nasa" in vocabulary and "father" not in vocabulary and 3 not in vocabulary


def test_an_unknown_word_names_close_spellings_most_similar_first():
    words = ["the", "kind", "king", "kings", "queen"]
    with pytest.raises(KeyError) as caught:
        Vocabulary(words)["Kingg"]
    # "kind" differs in two letters of five
    assert caught.type is UnknownWordError and caught.value.suggestions == ["king", "kings"]
    assert str(caught.value) == "'Kingg' is not in the vocabulary. Did you mean 'king', 'kings'?"
    assert close_spellings("kigns", words, 1) == ["kings"], "a swap counts as one change"
    with pytest.raises(UnknownWordError, match=r"Nothing there is spelled like it\.$"):
        Vocabulary(words)["zzzzzz"]


def test_words_outside_are_an_error_or_left_out_as_asked():
    vocabulary = Vocabulary(["a", "b"])
    with pytest.raises(UnknownWordError, match="'z' is not in"):
        vocabulary.encode(["a", "z"])
    assert vocabulary.encode(["a", "z", "b"], unknown="drop") == [0, 1]


@pytest.mark.parametrize("number", [-1, 2])
def test_a_number_without_a_word_is_an_error(number):
    with pytest.raises(IndexError, match=rf"no word has the number {number}; there are 0 to 1"):
        Vocabulary(["a", "b"]).decode([0, number])


def test_bad_vocabularies_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match="'a' occurs twice"):
        Vocabulary(["a", "b", "a"])
    with pytest.raises(ValueError, match="2 words with 1 counts"):
        Vocabulary(["a", "b"], [3])


@pytest.mark.parametrize(("words", "counts"), [(["é", "b"], [5, 2]), (["x"], None)])
def test_a_saved_vocabulary_is_the_same_when_read(tmp_path, words, counts):
    (tmp_path / "v.json").write_bytes(Vocabulary(words, counts).to_json())
    again = Vocabulary.load(tmp_path / "v.json")
    assert again.words == words
    assert (None if again.counts is None else again.counts.tolist()) == counts


TWICE = json.dumps({"words": ["a", "a"], "counts": None})


@pytest.mark.parametrize("text", ["", "[]", "{}", TWICE, '{"words": 3, "counts": []}'])
def test_a_file_that_is_no_vocabulary_is_named(tmp_path, text):
    (tmp_path / "v.json").write_text(text)
    with pytest.raises(ValueError, match=r"v\.json is not a vocabulary"):
        Vocabulary.load(tmp_path / "v.json")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (7, "the claim is 7, which is no text"),
        (" ", "is blank"),
        ("abcd", "has 4 characters; take 3"),
    ],
)
def test_what_is_no_text_or_too_much_of_it_is_one_sentence(text, says):
    with pytest.raises(ValueError, match=says):
        check_text(text, "the claim", most=3)
    assert check_text("abc", most=3) == "abc"
