"""Word vectors: nearest words, equations and both evaluations against gensim's; reading files."""

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
def small(glove) -> WordVectors:
    words, vectors = glove.vocabulary.words[:SEARCHED], np.array(glove.vectors[:SEARCHED])
    return WordVectors(Vocabulary(words), vectors)


@pytest.fixture(scope="module")
def reference(small) -> KeyedVectors:
    vectors = KeyedVectors(small.vectors.shape[1])
    vectors.add_vectors(small.vocabulary.words, small.vectors)
    return vectors


@pytest.fixture
def compass() -> WordVectors:
    """Five words in the plane; "up" is long, "Home" has no direction."""
    words = Vocabulary(["east", "up", "NorthEast", "west", "Home"])
    return WordVectors(words, np.array([[1, 0], [0, 5], [1, 1], [-1, 0], [0, 0]], dtype=np.float32))


# --- words and their vectors ---------------------------------------------------------------------


def test_a_word_is_found_in_any_capitalisation(compass):
    for spelling in ("up", "Up", "UP"):
        compass[spelling][0] = 99  # of a copy
        assert compass[spelling].tolist() == [0, 5] and spelling in compass


@pytest.mark.parametrize(
    "way",
    [
        lambda wv: wv["Germny"],
        lambda wv: wv.get_top_similar("Germny"),
        lambda wv: wv.similarity("Germny", "france"),
        lambda wv: wv.similarity("france", "Germny"),
        lambda wv: wv.analogy("paris", "france", "Germny"),
        lambda wv: wv.most_similar_to(wv["france"], leave_out=["Germny"]),
    ],
)
def test_an_unknown_word_is_told_with_close_spellings_by_every_way_in(small, way):
    with pytest.raises(UnknownWordError) as caught:
        way(small)
    assert caught.value.suggestions[0] == "germany" and "Germny" not in small


def test_similarity_is_the_cosine_whatever_the_lengths(compass):
    assert compass.similarity("east", "northeast") == pytest.approx(np.sqrt(0.5))
    assert compass.similarity("up", "northeast") == pytest.approx(np.sqrt(0.5))
    assert compass.similarity("east", "west") == pytest.approx(-1)
    assert compass.similarity("home", "east") == 0, "a vector of zeros has no direction"
    with pytest.raises(ValueError, match=r"are 2 wide; got vectors of shape \(1, 3\)"):
        compass.most_similar_to(np.ones(3))


def test_top_similar_is_a_plain_dict_best_first_without_the_word_itself(compass):
    found = compass.get_top_similar("EAST", 10)
    assert set(found) == {"NorthEast", "up", "Home", "west"}
    assert next(iter(found)) == "NorthEast" and list(found)[-1] == "west"
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert all(type(value) is float for value in found.values())
    assert compass.get_top_similar("east", 0) == {}


def test_an_equation_works_on_directions_and_leaves_its_words_out(compass):
    # up - east + west is (-2, 1) once the long "up" is scaled; as stored it would be (-2, 5).
    found = compass.analogy("east", "up", "west")
    assert found == {"NorthEast": pytest.approx(-1 / np.sqrt(10)), "Home": 0}


def test_nearest_of_many_equals_one_at_a_time_also_past_one_batch(small):
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(2 * embeddings.QUERIES + 3, 50))
    leave_out = [rng.integers(0, SEARCHED, 2).tolist() for _ in queries]
    found, cosines = small.nearest(queries, 5, leave_out)
    for number, query in enumerate(queries):
        alone, its_cosines = small.nearest(query[None], 5, [leave_out[number]])
        assert found[number].tolist() == alone[0].tolist()
        assert cosines[number] == pytest.approx(its_cosines[0], abs=1e-6)


def test_nearest_gives_no_more_words_than_there_are(compass):
    found, _ = compass.nearest(np.array([[1.0, 0.0], [0.0, 1.0]]), n=10, leave_out=[[0, 0], [1]])
    assert found.shape == (2, 4) and 0 not in found[0] and 1 not in found[1]
    assert compass.nearest(np.zeros((0, 2)), 3)[0].shape == (0, 3)
    among, _ = compass.nearest(np.array([[1.0, 1.0]]), n=5, among=2, leave_out=[[3]])
    assert sorted(among[0].tolist()) == [0, 1]


@pytest.mark.parametrize(("value", "length"), [(np.nan, "nan"), (np.inf, "inf"), (1e30, "inf")])
def test_a_vector_without_a_length_is_named_and_not_compared(value, length):
    wv = WordVectors(Vocabulary(["king", "queen"]), np.array([[1.0, 2.0], [1.0, value]]), "mine")
    says = f"^mine: the vector of 'queen' has the length {length}; write it again"
    with pytest.raises(ValueError, match=says):
        wv.get_top_similar("king")


# --- against gensim ------------------------------------------------------------------------------


def test_random_neighbours_and_equations_equal_gensims(small, reference):
    words = small.vocabulary.words
    for a, b, c in np.random.default_rng(2).integers(0, SEARCHED, (300, 3)):
        found = small.get_top_similar(words[a], 10), small.analogy(words[a], words[b], words[c], 5)
        asked = {"positive": [words[b], words[c]], "negative": [words[a]]}
        expected = reference.most_similar(words[a]), reference.most_similar(**asked, topn=5)
        for ours, theirs in zip(found, map(dict, expected), strict=True):
            assert list(ours) == list(theirs) and ours == pytest.approx(theirs, abs=1e-5)


def test_analogies_by_category_equal_gensims_with_unknown_words_counted(small, reference):
    file = datapath("questions-words.txt")
    _, sections = reference.evaluate_word_analogies(file, restrict_vocab=5000)
    report = evaluate_analogies(small, among=5000)
    counts = report.by_category()
    for section in sections[:-1]:
        right, wrong = len(section["correct"]), len(section["incorrect"])
        found = counts.get(section["section"], {"known": 0, "right": 0})
        assert (found["right"], found["known"]) == (right, right + wrong)
    assert (report.asked, report.searched) == (19_544, 5000)
    assert 0 < report.right < report.known < report.asked
    assert report.accuracy == report.right / report.known
    assert "5,000 words searched" in str(report)


@pytest.mark.parametrize(("name", "size"), [("wordsim353", 353), ("simlex999", 999)])
def test_similarity_scores_equal_gensims(small, reference, name, size):
    _, spearman, missing = reference.evaluate_word_pairs(datapath(embeddings.PAIRS[name]))
    report = evaluate_similarity(small, name)
    assert report.correlation == pytest.approx(spearman.statistic, abs=1e-6)
    assert 100 * len(report.missing) / size == pytest.approx(missing)
    assert len(report.cosines) == len(report.used) == size - len(report.missing)


# --- the questions -------------------------------------------------------------------------------


def test_the_halves_of_the_analogies_are_every_other_question_and_make_up_the_whole():
    whole, development, test = map(google_analogies, ("all", "development", "test"))
    lines = Path(datapath("questions-words.txt")).read_text().splitlines()
    odd = [line for line in lines[::2] if not line.startswith(":")]
    assert [" ".join((q.a, q.b, q.c, q.d)) for q in test] == odd
    assert len(whole) == 19_544 and set(development) | set(test) == set(whole)
    assert len(development) + len(test) == len(whole)
    assert len({q.category for q in development}) == len({q.category for q in test}) == 14


def test_word_pairs_come_with_peoples_marks():
    assert ("old", "new", 1.58) in word_pairs("simlex999")


def test_vectors_that_know_no_question_say_so_instead_of_scoring(compass):
    report = evaluate_analogies(compass)
    assert (report.asked, report.known, report.right) == (19_544, 0, 0)
    assert np.isnan(report.accuracy)
    with pytest.raises(ValueError, match="has the words of 0 pairs of simlex999"):
        evaluate_similarity(compass, "simlex999")


def test_a_right_answer_counts_in_any_capitalisation():
    question = embeddings.AnalogyQuestion("family", "Athens", "Greece", "Oslo", "Norway")
    report = AnalogyReport((question, question, question), ("norway", "sweden", None), 10)
    assert (report.known, report.right) == (2, 1)


# --- opening them --------------------------------------------------------------------------------


def test_glove_gives_the_words_the_course_promises(glove):
    assert len(glove) == 400_000 and glove.vectors.shape == (400_000, 50)
    assert isinstance(glove.vectors, np.memmap)
    assert "austria" in glove.get_top_similar("Germany", 5)
    assert next(iter(glove.analogy("man", "king", "woman", 3))) == "queen"
    step = glove["king"] - glove["man"] + glove["woman"]
    assert next(iter(glove.most_similar_to(step, 3))) == "king"


def save_folder(folder: Path, tensors: dict[str, np.ndarray], words: list[str]) -> Path:
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "vocabulary.json").write_bytes(Vocabulary(words).to_json())
    return folder


def test_a_folder_of_half_precision_weights_is_opened_as_stored(tmp_path, monkeypatch):
    stored = np.array([[1, 0.5], [0.25, 2]], dtype=np.float16)
    tensors = {"embeddings.weight": stored, "output.weight": 2 * stored}
    save_folder(tmp_path / "weights" / "word2vec-cbow", tensors, ["king", "queen"])
    monkeypatch.setattr(embeddings.runtime, "COURSE", tmp_path)
    wv = WordVectors.load("word2vec-cbow")  # one of the course's own names
    assert wv.vectors.dtype == np.float16 and wv.vectors.tolist() == stored.tolist()
    assert wv["Queen"].dtype == np.float32 and wv.units.dtype == np.float32
    assert wv.similarity("king", "queen") == pytest.approx(1.25 / np.sqrt(1.25 * 4.0625))


@pytest.mark.parametrize(
    ("tensor", "rows", "says"),
    [
        ("weight", np.ones((1, 3)), r"model\.safetensors has no tensor 'embeddings\.weight'"),
        ("embeddings.weight", np.array([[np.nan]]), "holds NaN or infinite numbers"),
        ("embeddings.weight", np.ones((2, 3)), r"1 words need .* \(1, D\); got \(2, 3\)"),
    ],
)
def test_a_folder_that_is_something_else_is_named(tmp_path, tensor, rows, says):
    with pytest.raises(ValueError, match=says):
        WordVectors.load(save_folder(tmp_path / "a", {tensor: rows}, ["king"]))


def test_what_is_not_there_is_told_with_what_is_needed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no model\.safetensors"):
        WordVectors.load(tmp_path)
    says = "no word vectors 'golve': neither a path nor one of glove, word2vec-skipgram"
    with pytest.raises(FileNotFoundError, match=says):
        WordVectors.load("golve")


@pytest.mark.parametrize("header", [True, False])
def test_text_files_written_by_gensim_are_read_also_with_a_byte_order_mark(small, tmp_path, header):
    words, file = small.vocabulary.words[:200], tmp_path / "vectors.txt"
    vectors = KeyedVectors(50)
    vectors.add_vectors(words, small.vectors[:200])
    vectors.save_word2vec_format(str(file), write_header=header)
    for encoding in ("utf-8", "utf-8-sig"):
        file.write_text(file.read_text(encoding="utf-8"), encoding=encoding)
        wv = WordVectors.load(file)
        assert wv.vocabulary.words == words
        assert np.allclose(wv.vectors, small.vectors[:200])


def test_all_before_the_numbers_is_the_word_also_with_blanks_and_other_line_ends(tmp_path):
    file = tmp_path / "vectors.txt"
    file.write_bytes("king 1 2\r\n. . 3 4\nfoo\u2028bar 5 6 \n".encode())
    wv = WordVectors.load(file)
    assert wv.vocabulary.words == ["king", ". .", "foo\u2028bar"]
    assert wv.vectors.tolist() == [[1, 2], [3, 4], [5, 6]]
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
        ("1 2\nking 1 2\nqueen 3 4\n", "line 1: announces 1 words; there are 2"),
        ("3 2\nking 1 2\nqueen 3 4\n", "line 1: announces 3 words; there are 2"),
        ("1 2\nking 1_0 2\n", "line 2: expected a word and 2 numbers; got 'king 1_0 2'"),
        ("1 2\nking inf 2\n", "line 2: expected a word and 2 numbers; got 'king inf 2'"),
        ("1 2\nking \uff11 2\n", "line 2: expected a word and 2 numbers"),
        ("king 1 2\nqueen 1 1e50\n", "line 2: expected a word and 2 numbers"),
        ("king 1 2\n 1 2\n", "line 2: expected a word and 2 numbers"),
        ("king 1 2\nqueen 3 4\nking 5 6\n", "line 3: the word 'king' is there already"),
        ("king\nqueen\n", "line 1: expected a word and its numbers; got 'king'"),
        (b"3 2\nking \xff\xfe\x00\x01", "is not a text in UTF-8"),
    ],
)
def test_a_file_that_is_not_vectors_is_told_by_file_and_line(tmp_path, text, says):
    file = tmp_path / "vectors.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError) as caught:
        WordVectors.load(file)
    assert says in str(caught.value) and str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
