"""Word vectors: nearest words, equations and both evaluations against gensim's; reading files."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors
from gensim.test.utils import datapath
from safetensors.numpy import save_file

from src import embeddings
from src.embeddings import (
    AnalogyReport,
    WordVectors,
    evaluate_analogies,
    evaluate_similarity,
    google_analogies,
    word_pairs,
)
from src.text import UnknownWordError, Vocabulary

SEARCHED = 20_000  # words of GloVe in the comparisons with gensim


@pytest.fixture(scope="module")
def glove() -> WordVectors:
    return WordVectors.load("glove")


@pytest.fixture(scope="module")
def small(glove: WordVectors) -> WordVectors:
    return WordVectors(
        Vocabulary(glove.vocabulary.words[:SEARCHED]), np.array(glove.vectors[:SEARCHED])
    )


@pytest.fixture(scope="module")
def reference(small: WordVectors) -> KeyedVectors:
    vectors = KeyedVectors(small.vectors.shape[1])
    vectors.add_vectors(small.vocabulary.words, small.vectors)
    return vectors


@pytest.fixture
def compass() -> WordVectors:
    """Five words in the plane; "up" is long, "Home" has no direction."""
    return WordVectors(
        Vocabulary(["east", "up", "NorthEast", "west", "Home"]),
        np.array([[1, 0], [0, 5], [1, 1], [-1, 0], [0, 0]], dtype=np.float32),
    )


# --- words and their vectors ---------------------------------------------------------------------


def test_a_word_is_found_in_any_capitalisation(compass: WordVectors) -> None:
    for spelling in ("up", "Up", "UP"):
        compass[spelling][0] = 99  # of a copy
        assert compass[spelling].tolist() == [0, 5]
        assert spelling in compass
    assert compass["northeast"].tolist() == [1, 1]


def test_an_unknown_word_is_told_with_close_spellings_by_every_way_in(small: WordVectors) -> None:
    ways: list[Callable[[], object]] = [
        lambda: small["Germny"],
        lambda: small.get_top_similar("Germny"),
        lambda: small.similarity("Germny", "france"),
        lambda: small.similarity("france", "Germny"),
        lambda: small.analogy("paris", "france", "Germny"),
        lambda: small.most_similar_to(small["france"], leave_out=["Germny"]),
    ]
    for way in ways:
        with pytest.raises(UnknownWordError) as caught:
            way()
        assert caught.value.suggestions[0] == "germany"
    assert "Germny" not in small


def test_similarity_is_the_cosine_whatever_the_lengths(compass: WordVectors) -> None:
    assert compass.similarity("east", "northeast") == pytest.approx(np.sqrt(0.5))
    assert compass.similarity("up", "northeast") == pytest.approx(np.sqrt(0.5))
    assert compass.similarity("east", "west") == pytest.approx(-1)
    assert compass.similarity("home", "east") == 0, "a vector of zeros has no direction"
    with pytest.raises(ValueError, match=r"are 2 wide; got vectors of shape \(1, 3\)"):
        compass.most_similar_to(np.ones(3))


def test_top_similar_is_a_plain_dict_best_first_without_the_word_itself(
    compass: WordVectors,
) -> None:
    found = compass.get_top_similar("EAST", 10)
    assert next(iter(found)) == "NorthEast"
    assert list(found)[-1] == "west"
    assert set(found) == {"NorthEast", "up", "Home", "west"}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert all(type(value) is float for value in found.values())
    assert compass.get_top_similar("east", 0) == {}


def test_an_equation_works_on_directions_and_leaves_its_words_out(compass: WordVectors) -> None:
    # up - east + west is (-2, 1) once the long "up" is scaled; as stored it would be (-2, 5).
    found = compass.analogy("east", "up", "west")
    assert set(found) == {"NorthEast", "Home"}
    assert found["Home"] == 0
    assert found["NorthEast"] == pytest.approx(-1 / np.sqrt(10))


def test_nearest_of_many_equals_one_at_a_time_also_past_one_batch(small: WordVectors) -> None:
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(2 * embeddings.QUERIES + 3, 50))
    leave_out = [rng.integers(0, SEARCHED, 2).tolist() for _ in queries]
    found, cosines = small.nearest(queries, 5, leave_out)
    for number, query in enumerate(queries):
        alone, its_cosines = small.nearest(query[None], 5, [leave_out[number]])
        assert found[number].tolist() == alone[0].tolist()
        assert cosines[number] == pytest.approx(its_cosines[0], abs=1e-6)


def test_nearest_gives_no_more_words_than_there_are(compass: WordVectors) -> None:
    found, _ = compass.nearest(np.array([[1.0, 0.0], [0.0, 1.0]]), n=10, leave_out=[[0, 0], [1]])
    assert found.shape == (2, 4)
    assert 0 not in found[0] and 1 not in found[1]
    assert compass.nearest(np.zeros((0, 2)), 3)[0].shape == (0, 3)
    among, _ = compass.nearest(np.array([[1.0, 1.0]]), n=5, among=2, leave_out=[[3]])
    assert sorted(among[0].tolist()) == [0, 1]


# --- against gensim ------------------------------------------------------------------------------


def test_neighbours_of_random_words_equal_gensims(
    small: WordVectors, reference: KeyedVectors
) -> None:
    for number in np.random.default_rng(1).choice(SEARCHED, 500, replace=False):
        word = small.vocabulary.words[number]
        expected = reference.most_similar(word, topn=10)
        found = small.get_top_similar(word, 10)
        assert list(found) == [other for other, _ in expected]
        assert list(found.values()) == pytest.approx([cosine for _, cosine in expected], abs=1e-5)


def test_random_equations_equal_gensims(small: WordVectors, reference: KeyedVectors) -> None:
    for numbers in np.random.default_rng(2).integers(0, SEARCHED, (500, 3)):
        a, b, c = (small.vocabulary.words[number] for number in numbers)
        expected = reference.most_similar(positive=[b, c], negative=[a], topn=5)
        found = small.analogy(a, b, c, 5)
        assert list(found) == [other for other, _ in expected]
        assert list(found.values()) == pytest.approx([cosine for _, cosine in expected], abs=1e-5)


def test_analogies_by_category_equal_gensims_with_unknown_words_counted(
    small: WordVectors, reference: KeyedVectors
) -> None:
    _, sections = reference.evaluate_word_analogies(
        datapath("questions-words.txt"), restrict_vocab=5000
    )
    expected = {section["section"]: section for section in sections[:-1]}
    report = evaluate_analogies(small, among=5000)
    counts = report.by_category()
    for name, section in expected.items():
        right, wrong = len(section["correct"]), len(section["incorrect"])
        found = counts.get(name, {"known": 0, "right": 0})
        assert (found["right"], found["known"]) == (right, right + wrong)
    assert (report.asked, report.searched) == (19_544, 5000)
    assert 0 < report.right < report.known < report.asked
    assert report.accuracy == report.right / report.known
    assert "5,000 words searched" in str(report)


@pytest.mark.parametrize("name", ["wordsim353", "simlex999"])
def test_similarity_scores_equal_gensims(
    small: WordVectors, reference: KeyedVectors, name: str
) -> None:
    _, spearman, missing_percent = reference.evaluate_word_pairs(datapath(embeddings.PAIRS[name]))
    report = evaluate_similarity(small, name)
    assert report.correlation == pytest.approx(spearman.statistic, abs=1e-6)
    assert 100 * len(report.missing) / (len(report.used) + len(report.missing)) == pytest.approx(
        missing_percent
    )
    assert len(report.cosines) == len(report.used)


# --- the questions -------------------------------------------------------------------------------


def test_the_halves_of_the_analogies_share_no_line_and_make_up_the_whole() -> None:
    whole, development, test = map(google_analogies, ("all", "development", "test"))
    assert len(whole) == 19_544
    assert {q.line % 2 for q in development} == {0} and {q.line % 2 for q in test} == {1}
    assert sorted(development + test, key=lambda q: q.line) == list(whole)
    assert len({q.category for q in development}) == len({q.category for q in test}) == 14


def test_word_pairs_have_their_known_sizes_and_an_unknown_list_is_refused() -> None:
    assert len(word_pairs("wordsim353")) == 353 and len(word_pairs("simlex999")) == 999
    assert ("old", "new", 1.58) in word_pairs("simlex999")
    with pytest.raises(ValueError, match="no half 'odd'"):
        google_analogies("odd")
    with pytest.raises(ValueError, match="no word pairs 'simlex'"):
        word_pairs("simlex")


def test_vectors_that_know_no_question_say_so_instead_of_scoring(compass: WordVectors) -> None:
    report = evaluate_analogies(compass)
    assert (report.asked, report.known, report.right) == (19_544, 0, 0)
    assert np.isnan(report.accuracy)
    with pytest.raises(ValueError, match="has the words of 0 pairs of simlex999"):
        evaluate_similarity(compass, "simlex999")


def test_a_right_answer_counts_in_any_capitalisation() -> None:
    question = embeddings.AnalogyQuestion("family", "Athens", "Greece", "Oslo", "Norway", 3)
    report = AnalogyReport((question, question, question), ("norway", "sweden", None), 10)
    assert (report.known, report.right) == (2, 1)


# --- GloVe ---------------------------------------------------------------------------------------


def test_glove_gives_the_words_the_course_promises(glove: WordVectors) -> None:
    assert len(glove) == 400_000 and glove.vectors.shape == (400_000, 50)
    assert isinstance(glove.vectors, np.memmap)
    assert "austria" in glove.get_top_similar("Germany", 5)
    assert next(iter(glove.analogy("man", "king", "woman", 3))) == "queen"
    assert (
        next(iter(glove.most_similar_to(glove["king"] - glove["man"] + glove["woman"], 3)))
        == "king"
    )


def test_importing_embeddings_loads_neither_torch_nor_gensim(course: Path) -> None:
    heavy = "{'torch', 'gensim', 'sklearn', 'pandas', 'scipy'}"
    code = f"import sys, src.embeddings; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=course, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


# --- folders and files ---------------------------------------------------------------------------


def save_folder(folder: Path, tensors: dict[str, np.ndarray], words: list[str]) -> Path:
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    Vocabulary(words).save(folder / "vocabulary.json")
    return folder


def test_a_folder_of_half_precision_weights_is_opened_as_stored(tmp_path: Path) -> None:
    stored = np.array([[1, 0.5], [0.25, 2]], dtype=np.float16)
    folder = save_folder(
        tmp_path / "mine",
        {"embeddings.weight": stored, "output.weight": 2 * stored},
        ["king", "queen"],
    )
    wv = WordVectors.load(folder)
    assert wv.vectors.dtype == np.float16 and wv.vectors.tolist() == stored.tolist()
    assert wv["Queen"].dtype == np.float32 and wv.units.dtype == np.float32
    assert wv.similarity("king", "queen") == pytest.approx(1.25 / np.sqrt(1.25 * 4.0625))


def test_the_courses_own_weights_have_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    save_folder(
        tmp_path / "weights" / "word2vec-cbow",
        {"embeddings.weight": np.ones((1, 3), dtype=np.float16)},
        ["king"],
    )
    monkeypatch.setattr(embeddings.runtime, "COURSE", tmp_path)
    assert WordVectors.load("word2vec-cbow").name == "word2vec-cbow"
    with pytest.raises(FileNotFoundError, match="word2vec-skipgram"):
        WordVectors.load("word2vec-skipgram")


def test_a_folder_that_is_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no model\.safetensors"):
        WordVectors.load(tmp_path)
    lacking = save_folder(tmp_path / "a", {"weight": np.ones((1, 3))}, ["king"])
    with pytest.raises(ValueError, match=r"model\.safetensors has no tensor 'embeddings\.weight'"):
        WordVectors.load(lacking)
    not_finite = save_folder(
        tmp_path / "c", {"embeddings.weight": np.array([[1.0, 2], [3, np.nan]])}, ["king", "queen"]
    )
    with pytest.raises(ValueError, match=r"'embeddings\.weight' holds NaN or infinite numbers"):
        WordVectors.load(not_finite)
    uneven = save_folder(tmp_path / "b", {"embeddings.weight": np.ones((2, 3))}, ["king"])
    with pytest.raises(
        ValueError, match=r"b: 1 words need vectors of shape \(1, D\); got \(2, 3\)"
    ):
        WordVectors.load(uneven)


def test_a_name_that_is_nothing_is_told_with_the_names_there_are() -> None:
    with pytest.raises(
        FileNotFoundError,
        match="no word vectors 'golve': neither a path nor one of glove, word2vec-skipgram",
    ):
        WordVectors.load("golve")


@pytest.mark.parametrize("header", [True, False])
def test_text_files_written_by_gensim_are_read(
    small: WordVectors, tmp_path: Path, header: bool
) -> None:
    words = small.vocabulary.words[:200]
    vectors = KeyedVectors(50)
    vectors.add_vectors(words, small.vectors[:200])
    file = tmp_path / "vectors.txt"
    vectors.save_word2vec_format(str(file), write_header=header)
    wv = WordVectors.load(file)
    assert wv.vocabulary.words == words
    assert np.allclose(wv.vectors, small.vectors[:200])


@pytest.mark.parametrize(("value", "length"), [(np.nan, "nan"), (np.inf, "inf"), (1e30, "inf")])
def test_a_vector_without_a_length_is_named_and_not_compared(value: float, length: str) -> None:
    wv = WordVectors(Vocabulary(["king", "queen"]), np.array([[1.0, 2.0], [1.0, value]]), "mine")
    with pytest.raises(
        ValueError, match=f"^mine: the vector of 'queen' has the length {length}; write it again"
    ):
        wv.get_top_similar("king")


def test_words_with_blanks_and_other_line_ends_inside_are_read(tmp_path: Path) -> None:
    file = tmp_path / "vectors.txt"
    file.write_bytes("king 1 2\r\n. . 3 4\nfoo\u2028bar 5 6 \n".encode())
    wv = WordVectors.load(file)
    assert wv.vocabulary.words == ["king", ". .", "foo\u2028bar"]
    assert wv.vectors.tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("header", [True, False])
def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path: Path, header: bool) -> None:
    plain, marked = tmp_path / "plain.txt", tmp_path / "marked.txt"
    text = ("2 2\n" if header else "") + "the 1 2\nking 3 4\n"
    plain.write_text(text, encoding="utf-8")
    marked.write_text(text, encoding="utf-8-sig")
    expected = KeyedVectors.load_word2vec_format(str(plain), no_header=not header)
    wv = WordVectors.load(marked)
    assert wv.vocabulary.words == expected.index_to_key == ["the", "king"]
    assert wv.vectors.tolist() == expected.vectors.tolist()


def test_with_a_header_the_last_numbers_are_the_vector_and_all_before_is_the_word(
    tmp_path: Path,
) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text("4 3\nthe year 1999 1 2 3\n1999 4 5 6\nking 7 8 9\n3 1 2 1.5 -2e-1 .5 \n")
    wv = WordVectors.load(file)
    assert wv.vocabulary.words == ["the year 1999", "1999", "king", "3 1 2"]
    assert wv["the year 1999"].tolist() == [1, 2, 3]
    assert wv["3 1 2"] == pytest.approx([1.5, -0.2, 0.5])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no word vectors"),
        ("2 2\n", "holds no word vectors"),
        ("king 1 2\nqueen 1\n", "line 2: expected a word and 2 numbers; got 'queen 1'"),
        ("king 1 2\nthe year 1999 1 2\n", "put a first line in front that says 'V 2'"),
        ("2 2\nking 1 2\n1 2\n", "line 3: expected a word and 2 numbers; got '1 2'"),
        ("2 2\nking 1 2\nqueen  1 2\n", "line 3: expected a word and 2 numbers; got 'queen  1 2'"),
        ("2 3\nking 1 2\nqueen 3 4\n", "line 2: expected a word and 3 numbers; got 'king 1 2'"),
        ("2 1\nking 1 2\nqueen 3 4\n", "line 1: announces 1 numbers for each word; there are more"),
        ("1 2\nking 1 2\nqueen 3 4\n", "line 1: announces 1 words; there are 2"),
        (
            "2 2\nking 1 2\nqueen inf 2\n",
            "line 3: expected a word and 2 numbers; got 'queen inf 2'",
        ),
        ("1 2\nking 1_0 2\n", "line 2: expected a word and 2 numbers; got 'king 1_0 2'"),
        ("1 2\nking \uff11 2\n", "line 2: expected a word and 2 numbers"),
        ("king 1 2\nqueen 1 x\n", "line 2: expected a word and 2 numbers"),
        ("king 1 2\nqueen 1 1e50\n", "line 2: expected a word and 2 numbers"),
        ("king 1 2\n\nqueen 1 2\n", "line 2: expected a word and 2 numbers; got ''"),
        ("king 1 2\n 1 2\n", "line 2: expected a word and 2 numbers"),
        ("king 1 2\nqueen 3 4\nking 5 6\n", "line 3: the word 'king' is there already"),
        ("3 2\nking 1 2\nqueen 3 4\n", "line 1: announces 3 words; there are 2"),
        ("king\nqueen\n", "line 1: expected a word and its numbers; got 'king'"),
        (
            "A page that is no vectors at all, with words in it.\n",
            "line 1: expected a word and 11 numbers",
        ),
    ],
)
def test_a_text_file_that_is_not_vectors_is_told_by_file_and_line(
    tmp_path: Path, text: str, says: str
) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as caught, warnings.catch_warnings():
        warnings.simplefilter("error")
        WordVectors.load(file)
    assert says in str(caught.value) and str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "vectors.bin"
    file.write_bytes(b"3 2\nking \xff\xfe\x00\x01")
    with pytest.raises(ValueError, match="is not a text in UTF-8"):
        WordVectors.load(file)


def test_a_file_that_may_not_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text("king 1 2\n")

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        ValueError,
        match=r"vectors\.txt cannot be read \(Permission denied\); check its permissions\.",
    ):
        WordVectors.load(file)
