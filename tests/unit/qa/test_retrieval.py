"""Finding passages and answering from them: scores by slow references, indexes that survive damage, and refusals."""

from __future__ import annotations

import hashlib
import math
import os
import resource
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.special

from src import assets
from src.qa import retrieval
from src.qa.__main__ import main
from src.qa.decoding import Answer, Candidate
from src.qa.retrieval import (
    DenseIndex,
    Document,
    Found,
    KeywordIndex,
    OpenAnswer,
    RetrievalError,
    Retriever,
    WikipediaAnswerer,
    best,
    fuse,
    keywords,
    other_files,
    read_folder,
)

DOCUMENTS = [
    Document("Oxygen", "Oxygen is the chemical element with symbol O and atomic number 8."),
    Document("Gold", "Gold is a chemical element with symbol Au and atomic number 79. Gold is a soft metal, and gold is dear."),
    Document("Bee", "Bees are winged insects, known for their part in pollination and for the honey of one of their species."),
    Document("Beijing", "Beijing (北京) is the capital of China; in French its name is Pékin, and <b>Peking</b> is an older spelling."),
    Document("Moon", "The Moon is the only natural satellite of the Earth."),
]


class CountingEncoder:
    """Stands in for MiniLM: a vector that depends on the text alone, and a note of every text it was given."""

    def __init__(self, stop_after: float = math.inf):
        self.texts: list[str] = []
        self.stop_after = stop_after

    def __call__(self, texts):
        if len(self.texts) + len(texts) > self.stop_after:
            raise KeyboardInterrupt
        self.texts += texts
        rows = np.stack([np.random.default_rng(zlib.crc32(text.encode())).normal(size=24) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(retrieval, "BLOCK", 3)


def many(n: int, word: str = "passage") -> list[Document]:
    return [Document(f"Title {i}", f"{word} number {i}") for i in range(n)]


def open_dense(documents, folder, encoder=None, **options) -> tuple[DenseIndex, CountingEncoder]:
    encoder = encoder or CountingEncoder()
    return DenseIndex.open(documents, folder, encoder=encoder, **options), encoder


def blocks(folder: Path) -> list[Path]:
    return sorted((folder / "vectors").glob("*.npy"))


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


# -- by keyword ------------------------------------------------------------------------------------------------------------


def bm25_by_the_formula(question: str, documents: list[Document], k1: float, b: float, title_times: int) -> list[float]:
    texts = [keywords(" ".join([document.title] * title_times + [document.text])) for document in documents]
    mean = sum(map(len, texts)) / len(texts)
    scores = []
    for words in texts:
        counts, score = Counter(words), 0.0
        for word in set(keywords(question)):
            holders = sum(word in other for other in texts)
            idf = math.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
            score += idf * counts[word] / (counts[word] + k1 * (1 - b + b * len(words) / mean))
        scores.append(score)
    return scores


@pytest.mark.parametrize(
    "question",
    [
        "What is the atomic number of gold?",
        "gold gold gold gold oxygen",
        "Which insects are known for honey, and what is the capital of China?",
        "Pékin",
        "北京 <b>Peking</b>",
        "quark",
    ],
)
def test_keyword_scores_and_ranks_are_those_of_the_formula(question):
    expected = bm25_by_the_formula(question, DOCUMENTS, retrieval.K1, retrieval.B, retrieval.TITLE_TIMES)
    found = KeywordIndex.build(DOCUMENTS).scores(question)
    assert found == pytest.approx(expected, abs=1e-5)
    assert [number for number in best(found, 5) if found[number] > 0] == [
        number for number in sorted(range(5), key=lambda number: (-round(expected[number], 6), number)) if expected[number] > 0
    ]


def test_a_plural_or_a_possessor_is_the_same_keyword_and_words_that_only_end_in_s_stay():
    assert keywords("Bees' wings; the country's cities") == ["bee", "wing", "the", "country", "city"]
    assert keywords("glass virus basis gas his") == ["glass", "virus", "basis", "gas", "his"]


def test_documents_without_a_word_are_named_as_such():
    with pytest.raises(RetrievalError, match="the 1 documents hold no words"):
        KeywordIndex.build([Document("...", "!?")])


def test_a_stored_keyword_index_gives_the_same_scores_and_is_not_built_again(tmp_path, monkeypatch):
    built = KeywordIndex.open(DOCUMENTS, tmp_path).scores("atomic number of gold")
    monkeypatch.setattr(KeywordIndex, "build", None)
    assert np.array_equal(KeywordIndex.open(DOCUMENTS, tmp_path).scores("atomic number of gold"), built)


def test_damage_to_any_file_of_a_keyword_index_is_noticed_and_repaired(tmp_path):
    expected = KeywordIndex.open(DOCUMENTS, tmp_path).scores("atomic number of gold")
    (stored,) = (path for path in (tmp_path / "keyword").iterdir() if path.is_dir())
    sound = {file.name: file.read_bytes() for file in stored.iterdir()}
    for name, content in sound.items():
        for damage in (flip_a_byte, lambda file: file.write_bytes(file.read_bytes()[:-7]), Path.unlink):
            damage(stored / name)
            assert np.array_equal(KeywordIndex.open(DOCUMENTS, tmp_path).scores("atomic number of gold"), expected)
            assert (stored / name).read_bytes() == content


def test_only_the_last_keyword_indexes_stay_on_disk(tmp_path):
    for n in range(1, 7):
        KeywordIndex.open(DOCUMENTS[:1] * n, tmp_path)
    (tmp_path / "keyword" / "killed.partial").mkdir()
    KeywordIndex.open(DOCUMENTS, tmp_path)
    folders = [path for path in (tmp_path / "keyword").iterdir() if path.is_dir()]
    assert len(folders) == retrieval.KEPT and all(path.suffix != ".partial" for path in folders)


# -- by meaning ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", [False, True])
def test_dense_scores_are_those_of_sentence_vectors_computed_one_text_at_a_time(tmp_path, tokenizer, monkeypatch, half):
    """The reference is the course's own encoder, in fp32, without padding; the index reads in batches and keeps half precision."""
    import torch

    from src.transformer import Encoder

    long = Document("Long", " ".join(f"{number} elements have symbols." for number in range(120)))
    documents = [*DOCUMENTS, long, Document("Short", "Au")]
    encoder = Encoder.from_pretrained("minilm")

    def slowly(text: str) -> np.ndarray:
        token_ids = torch.tensor([tokenizer(text)["input_ids"][: retrieval.MAX_TOKENS - 1]])
        if token_ids.shape[1] == retrieval.MAX_TOKENS - 1:  # a text cut short still ends with [SEP]
            token_ids = torch.cat([token_ids, torch.tensor([[tokenizer.sep_token_id]])], dim=1)
        with torch.no_grad():
            vector = encoder(token_ids)[0].mean(0)
        return (vector / vector.norm()).numpy()

    expected = np.stack([slowly(retrieval.text_to_encode(document)) for document in documents])
    monkeypatch.setattr(retrieval, "MANY", 2)  # a question alone is read in fp32 all the same
    monkeypatch.setattr(retrieval.SentenceEncoder, "faster_in_half", half)
    DenseIndex.open(documents, tmp_path)
    index = DenseIndex.open(documents, tmp_path)  # from disk
    assert index.vectors.dtype == np.float32 and index.vectors.shape == (7, 384)
    for question in (
        "What is the atomic number of gold?",
        "北京在哪里？",
        "<script>alert('honey')</script>",
        "Qui a découvert l'oxygène ?",
    ):
        assert index.scores(question) == pytest.approx(expected @ slowly(question), abs=1e-3)
    assert best(index.scores("Which animals make honey?"), 1) == [2]


def test_vectors_are_kept_in_half_precision_in_files_that_need_no_pickle(tmp_path, small_blocks):
    index, encoder = open_dense(many(7), tmp_path)
    files = blocks(tmp_path)
    assert len(files) == 3
    stored = [np.load(file, allow_pickle=False) for file in files]
    assert sum(map(len, stored)) == 7 and {block["vector"].dtype for block in stored} == {np.dtype(np.float16)}
    assert all(file.stem == hashlib.sha256(file.read_bytes()).hexdigest()[:32] for file in files)
    assert index.vectors == pytest.approx(CountingEncoder()(encoder.texts), abs=1e-3)


def test_building_again_reads_nothing_again_in_any_order_and_company(tmp_path, small_blocks):
    first, _ = open_dense(many(7), tmp_path)
    shuffled = [many(7)[i] for i in (4, 1, 6)]
    again, encoder = open_dense(shuffled, tmp_path)
    assert encoder.texts == [] and np.array_equal(again.vectors, first.vectors[[4, 1, 6]])
    more, encoder = open_dense([*many(2, "new"), *shuffled], tmp_path)
    assert len(encoder.texts) == 2 and np.array_equal(more.vectors[2:], again.vectors)


def test_a_title_or_text_that_changed_is_read_again(tmp_path):
    open_dense(many(3), tmp_path)
    _, encoder = open_dense([many(3)[0], Document("Title 1", "changed"), Document("changed", "passage number 2")], tmp_path)
    assert len(encoder.texts) == 2


def test_an_interruption_costs_one_block_at_most(tmp_path, small_blocks):
    with pytest.raises(KeyboardInterrupt):
        open_dense(many(10), tmp_path, CountingEncoder(stop_after=7))
    resumed, encoder = open_dense(many(10), tmp_path)
    assert len(encoder.texts) == 10 - 6
    whole, _ = open_dense(many(10), tmp_path / "elsewhere")
    assert np.array_equal(resumed.vectors, whole.vectors)


@pytest.mark.parametrize("damage", [flip_a_byte, lambda file: file.write_bytes(file.read_bytes()[:100]), Path.unlink])
def test_of_a_damaged_index_only_the_damaged_part_is_built_again(tmp_path, small_blocks, damage):
    sound, _ = open_dense(many(9), tmp_path)
    names = blocks(tmp_path)
    damage(names[1])
    (tmp_path / "vectors" / "killed.partial").write_bytes(b"half a bl")
    repaired, encoder = open_dense(many(9), tmp_path)
    assert len(encoder.texts) == 3
    assert np.array_equal(repaired.vectors, sound.vectors)
    assert blocks(tmp_path) == names and not list((tmp_path / "vectors").glob("*.partial"))


def test_of_vectors_that_nobody_asks_for_the_last_ones_stay(tmp_path, small_blocks, monkeypatch):
    monkeypatch.setattr(retrieval, "UNUSED", 7)
    for edition in range(5):  # a textbook that is written again and again, each time in two files of three vectors
        open_dense(many(6, f"edition {edition}"), tmp_path)
        for file in blocks(tmp_path):  # a second passes; a file system's own clock may be too coarse to tell the editions apart
            os.utime(file, ns=(0, file.stat().st_mtime_ns - 10**9))
    assert len(blocks(tmp_path)) == 4
    assert open_dense(many(6, "edition 3"), tmp_path)[1].texts == []
    assert len(open_dense(many(6, "edition 1"), tmp_path)[1].texts) == 6


def test_vectors_that_are_asked_for_stay_however_many_they_are(tmp_path, small_blocks, monkeypatch):
    monkeypatch.setattr(retrieval, "UNUSED", 0)
    first, _ = open_dense(many(9), tmp_path)
    both, encoder = open_dense([*many(9), *many(1, "new")], tmp_path)
    assert len(encoder.texts) == 1 and np.array_equal(both.vectors[:9], first.vectors)
    open_dense(many(2, "other"), tmp_path)
    assert sum(len(np.load(file)) for file in blocks(tmp_path)) == 2


def test_progress_is_told_block_by_block(tmp_path, small_blocks):
    told = []
    open_dense(many(7), tmp_path, report=told.append)
    assert [(progress["step"], progress["steps"], progress["unit"]) for progress in told] == [(n, 7, "passages") for n in (3, 6, 7)]
    assert all(progress["seconds"] > 0 and progress["examples_per_second"] > 0 for progress in told)


BUILDER = """
import sys, time
sys.path[:0] = [{course!r}, {tests!r}]
from test_retrieval import CountingEncoder, many
from src.qa import retrieval
retrieval.BLOCK = 3
class Slow(CountingEncoder):
    def __call__(self, texts):
        time.sleep(0.05)
        return super().__call__(texts)
encoder = Slow()
index = retrieval.DenseIndex.open(many(30), {folder!r}, encoder=encoder)
retrieval.KeywordIndex.open(many(30), {folder!r})
print(len(encoder.texts), index.vectors.shape)
"""


def test_two_processes_that_build_at_once_share_the_work(course, clean_environment, tmp_path):
    code = BUILDER.format(course=str(course), tests=str(Path(__file__).parent), folder=str(tmp_path))
    command = [sys.executable, "-c", code]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment, cwd=course) for _ in range(2)]
    printed = [process.communicate(timeout=120)[0].split(maxsplit=1) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert {shape.strip() for _, shape in printed} == {"(30, 24)"}
    assert sum(int(count) for count, _ in printed) == 30
    assert sum(len(np.load(file)) for file in blocks(tmp_path)) == 30


def test_who_waits_for_another_process_is_told(tmp_path):
    from filelock import FileLock

    (tmp_path / "vectors").mkdir()
    told = []
    lock = FileLock(tmp_path / "vectors" / ".lock", thread_local=False)
    lock.acquire()

    def release_when_told(progress):
        told.append(progress)
        lock.release()

    open_dense(many(2), tmp_path, report=release_when_told)
    assert told[0]["phase"].startswith("waiting for another process") and told[-1]["steps"] == 2


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RetrievalError, match=r"file.*cannot be written.*COURSE_CACHE"):
        open_dense(many(1), tmp_path / "file")


@pytest.mark.parametrize("make", [lambda folder: KeywordIndex.open(many(500), folder), lambda folder: open_dense(many(100), folder)])
def test_a_full_disk_is_one_sentence_and_is_not_left_full(tmp_path, make):
    """The system refuses to let a file of this process grow, as a disk without room does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(RetrievalError, match=r"the index cannot be written \((File too large|the disk is full)\); make room"):
            make(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [file.name for file in tmp_path.rglob("*") if file.is_file() and file.name != ".lock"] == []


def test_vectors_that_only_another_person_may_read_are_computed_again(tmp_path, monkeypatch):
    open_dense(many(2), tmp_path)
    (theirs,) = blocks(tmp_path)
    read = Path.read_bytes

    def refuse(file: Path) -> bytes:
        if file == theirs:
            raise PermissionError(13, "Permission denied", str(file))
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", refuse)  # the tests may run as root, who reads everything
    _, encoder = open_dense(many(2) + many(1, "another"), tmp_path)
    assert len(encoder.texts) == 3


# -- both together ---------------------------------------------------------------------------------------------------------


def test_fusion_adds_one_over_constant_plus_rank():
    fused = fuse([[7, 3, 5], [3, 9]], constant=10)
    assert list(fused) == [3, 7, 9, 5]
    assert fused == pytest.approx({3: 1 / 12 + 1 / 11, 7: 1 / 11, 9: 1 / 12, 5: 1 / 13})
    assert list(fuse([[2], [1]], constant=60)) == [1, 2]  # equal: the lower number


def test_the_best_come_in_order_and_of_equals_the_first():
    scores = np.array([0.1, 0.9, 0.5, 0.9, 0.5, 0.5], dtype=np.float32)
    assert best(scores, 3) == [1, 3, 2]
    assert best(scores, 99) == [1, 3, 2, 4, 5, 0]


@pytest.fixture
def retriever(tmp_path, monkeypatch) -> Retriever:
    """Over the five documents, with vectors of the stand-in."""
    monkeypatch.setattr(retrieval, "SentenceEncoder", CountingEncoder)
    return Retriever.open(DOCUMENTS, folder=tmp_path)


def test_a_fused_search_is_the_fusion_of_the_two_searches(retriever):
    question = "What is the atomic number of gold?"
    by_keyword, by_meaning = retriever.search(question, 5, "keyword"), retriever.search(question, 5, "dense")
    expected = fuse([[hit.number for hit in by_keyword], [hit.number for hit in by_meaning]])
    hits = retriever.search(question, 5)
    assert [hit.number for hit in hits] == list(expected)
    assert [hit.score for hit in hits] == pytest.approx(list(expected.values()))
    for hit in hits:
        assert (hit.title, hit.text) == (DOCUMENTS[hit.number].title, DOCUMENTS[hit.number].text)
        assert hit.ranks.get("keyword") == next((rank for rank, other in enumerate(by_keyword, 1) if other.number == hit.number), None)
        assert hit.ranks["dense"] == [other.number for other in by_meaning].index(hit.number) + 1
    assert by_keyword[0].title == "Gold" and by_keyword[0].score == by_keyword[0].scores["keyword"]


def test_unknown_words_find_nothing_by_keyword_and_leave_the_fusion_to_meaning(retriever):
    assert retriever.search("zzyzx qwrtp", 5, "keyword") == []
    by_meaning = retriever.search("zzyzx qwrtp", 5, "dense")
    fused = retriever.search("zzyzx qwrtp", 5)
    assert [hit.number for hit in fused] == [hit.number for hit in by_meaning]
    assert all("keyword" not in hit.ranks for hit in fused)


@pytest.mark.parametrize("question", ["", "  \n\t"])
def test_a_blank_question_is_refused(retriever, question):
    with pytest.raises(ValueError, match="the question is blank"):
        retriever.search(question)


def test_a_question_that_is_no_text_is_refused(retriever):
    with pytest.raises(ValueError, match="not readable as text"):
        retriever.search("Stra\udcdfe?")
    with pytest.raises(ValueError, match="the question is None; ask in words"):
        retriever.search(None)


@pytest.mark.parametrize(
    ("question", "title"),
    [("北京", "Beijing"), ("Où est Pékin ?", "Beijing"), ("<b>Peking</b><script>alert(1)</script>", "Beijing"), ("gold " * 50_000, "Gold")],
)
def test_any_text_is_a_question(retriever, question, title):
    assert retriever.search(question, 1, "keyword")[0].title == title
    assert len(retriever.search(question, 3)) == 3


def test_a_very_long_question_is_read_as_far_as_the_model_reads(tmp_path):
    index = DenseIndex.open(DOCUMENTS, tmp_path)
    assert index.scores("Which animals make honey? " * 3000) == pytest.approx(index.scores("Which animals make honey? " * 300))


def test_what_cannot_be_asked_for_is_refused(retriever, tmp_path):
    with pytest.raises(ValueError, match="n is 0"):
        retriever.search("gold", 0)
    with pytest.raises(ValueError, match="by is 'magic'"):
        retriever.search("gold", by="magic")
    with pytest.raises(ValueError, match="by is 'magic'"):
        Retriever.open(DOCUMENTS, "magic", tmp_path)
    with pytest.raises(RetrievalError, match="no documents"):
        Retriever.open([], folder=tmp_path)
    with pytest.raises(RetrievalError, match=r"document 2 is 'a string'; pass documents, such as Document\(title, text\)"):
        Retriever.open([DOCUMENTS[0], "a string"], folder=tmp_path)
    with pytest.raises(RetrievalError, match=r"document 1 is \{.*'title': 'Gold'.*; pass documents"):
        Retriever.open([{"title": "Gold", "text": "Gold is a metal."}], folder=tmp_path)
    with pytest.raises(RetrievalError, match="document 2, 'Smile', is not readable as text"):
        Retriever.open([DOCUMENTS[0], Document("Smile", "half a \ud83d")], folder=tmp_path)
    alone = Retriever.open(DOCUMENTS, "keyword", tmp_path)
    assert alone.search("gold", 1)[0].title == "Gold"
    with pytest.raises(ValueError, match="opened by keyword alone"):
        alone.search("gold", by="fused")


def test_added_documents_are_found_and_only_they_are_read_by_the_model_that_is_there(retriever, monkeypatch):
    monkeypatch.setattr(retrieval, "SentenceEncoder", lambda: pytest.fail("the model was loaded again"))
    encoder = retriever.indexes["dense"].encoder
    before = len(encoder.texts)
    quark = Document("Quark", "A quark is an elementary particle.")
    retriever.add([quark, DOCUMENTS[0]])
    assert encoder.texts[before:] == [retrieval.text_to_encode(quark)]
    assert [document.title for document in retriever.documents] == [*(document.title for document in DOCUMENTS), "Quark"]
    assert retriever.search("What is a quark?", 1, "keyword")[0].title == "Quark"
    assert len(retriever.search("What is a quark?", 9)) == 6
    indexes = dict(retriever.indexes)
    retriever.add([quark])
    assert len(retriever.documents) == 6 and retriever.indexes == indexes


def test_an_interrupted_addition_leaves_a_retriever_as_it_was(retriever):
    retriever.indexes["dense"].encoder.stop_after = 5
    with pytest.raises(KeyboardInterrupt):
        retriever.add([Document("Quark", "A quark is an elementary particle.")])
    assert retriever.documents == DOCUMENTS
    retriever.indexes["dense"].encoder.stop_after = math.inf
    assert len(retriever.search("What is a quark?", 9)) == 5


def test_passages_of_the_asset_are_documents_too(tmp_path):
    passage = assets.Passage("Iron", "Iron is a metal.", "a metal", "chemistry")
    assert Retriever.open([passage, passage], "keyword", tmp_path).documents == [Document("Iron", "Iron is a metal.")]


def test_by_keyword_alone_the_right_article_is_among_the_first_five_for_nine_of_ten_validation_questions(tmp_path):
    from src.qa import load_squad
    from src.qa.course_set import open_domain_ids

    alone = open_domain_ids()
    rows = [row for row in load_squad("course")["validation"] if row["id"] in alone]
    retriever = Retriever.open(None, "keyword", tmp_path)
    found = [row["title"] in [hit.title for hit in retriever.search(row["question"], 5)] for row in rows]
    assert len(rows) >= 50 and np.mean(found) >= 0.9


# -- what comes with the course --------------------------------------------------------------------------------------------


def test_the_vectors_of_all_introductions_come_with_the_course_so_that_nobody_waits(tmp_path):
    documents = retrieval.wikipedia()
    index = DenseIndex.open(documents, tmp_path, encoder=lambda texts: pytest.fail("a text was read again"))
    assert index.vectors.shape == (10_033, 384) and not blocks(tmp_path)
    chosen = documents[:: len(documents) // 20]
    read_now = retrieval.SentenceEncoder()([retrieval.text_to_encode(document) for document in chosen])
    cosines = (index.vectors[:: len(documents) // 20] * read_now).sum(axis=1)
    assert cosines.min() > 0.999


def test_the_index_of_all_introductions_takes_fifty_megabytes_at_most_and_opens_within_a_second(tmp_path):
    """Processor time, since other tests may run beside this one. Of three, since the first pays for imports."""
    Retriever.open(folder=tmp_path)  # builds what does not come with the course
    seconds = []
    for _ in range(3):
        start = time.process_time()
        retriever = Retriever.open(folder=tmp_path)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1
    assert len(retriever.documents) == len(retriever.indexes["dense"].vectors) == 10_033
    assert retriever.search("What is the atomic number of oxygen?", 2, "keyword")[1].title == "Oxygen"
    files = [file for place in (tmp_path, retrieval.SHIPPED) for file in place.rglob("*") if file.is_file()]
    assert 8e6 < sum(file.stat().st_size for file in files) <= 50e6
    assert sum(file.stat().st_size for file in retrieval.SHIPPED.glob("*.npy")) < 9e6


def test_shipped_vectors_that_are_damaged_or_of_another_text_are_computed_as_if_they_were_not_there(tmp_path):
    documents = many(7)
    open_dense(documents, tmp_path / "built")
    shipped = retrieval.join_vectors(tmp_path / "built", documents, tmp_path / "shipped")
    expected, encoder = open_dense([*documents, Document("New", "a new text")], tmp_path / "a", shipped=shipped.parent)
    assert encoder.texts == ["New. a new text"]
    flip_a_byte(shipped)
    again, encoder = open_dense([*documents, Document("New", "a new text")], tmp_path / "b", shipped=shipped.parent)
    assert len(encoder.texts) == 8 and np.array_equal(again.vectors, expected.vectors)
    assert shipped.is_file(), "what comes with the course is not ours to delete"


# -- your own textbook -----------------------------------------------------------------------------------------------------


def test_a_folder_of_texts_becomes_passages_cut_at_paragraphs(tmp_path):
    paragraphs = [" ".join(f"{name}{i}" for i in range(50)) for name in ("a", "b", "c")]
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "physics.txt").write_text("\ufeff" + "\n\n".join(paragraphs), encoding="utf-8")
    (tmp_path / "cells.MD").write_text("# The cell\nA cell is\nsmall.\n## Its wall #\n\nPlants have one.\n", encoding="utf-8")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    (tmp_path / ".ipynb_checkpoints" / "cells-checkpoint.md").write_text("# The cell\nAn older edition.")
    (tmp_path / ".hidden.txt").write_text("Not for others.")
    assert read_folder(tmp_path) == [
        Document("cells: The cell", "A cell is small."),
        Document("cells: Its wall", "Plants have one."),
        Document("physics", "\n".join(paragraphs[:2])),
        Document("physics", paragraphs[2]),
    ]
    assert other_files(tmp_path) == [tmp_path / "image.png"]


def test_a_long_paragraph_is_cut_between_sentences_and_no_word_is_lost(tmp_path):
    sentences = [f"Sentence {i} has exactly these eight words here." for i in range(60)]
    endless = " ".join(f"word{i}" for i in range(300))
    (tmp_path / "long.txt").write_text(" ".join(sentences) + "\n\n" + endless, encoding="utf-8")
    documents = read_folder(tmp_path)
    assert all(len(document.text.split()) <= retrieval.PASSAGE_WORDS for document in documents)
    assert " ".join(document.text for document in documents).split() == " ".join([*sentences, endless]).split()
    assert all(document.text.split("\n")[-1].endswith("here.") for document in documents[:3])


def test_files_that_cannot_be_read_are_named_all_of_them_in_one_sentence(tmp_path):
    (tmp_path / "good.txt").write_text("Fine.")
    (tmp_path / "latin.txt").write_bytes("Straße".encode("latin-1"))
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "binary.txt").write_bytes(b"text\x00\x01text")
    (tmp_path / "link.txt").symlink_to(tmp_path / "nowhere.txt")
    with pytest.raises(RetrievalError) as error:
        read_folder(tmp_path)
    message = str(error.value)
    assert "latin.txt (not UTF-8 text)" in message and "empty.md (no words in it)" in message and "binary.txt (not UTF-8 text)" in message
    assert "link.txt (No such file or directory)" in message
    assert "good.txt" not in message and "\n" not in message


def test_a_folder_without_texts_is_named(tmp_path):
    with pytest.raises(RetrievalError, match=r"holds no \.txt or \.md files"):
        read_folder(tmp_path)
    with pytest.raises(RetrievalError, match="is not a folder"):
        read_folder(tmp_path / "nowhere")


# -- retrieve, then read ---------------------------------------------------------------------------------------------------


class ScriptedReader:
    """Answers each passage with the words, and as sure against no answer, as it was told to; the scores it gives are others."""

    def __init__(self, script: dict[str, tuple[str, float]]):
        self.script = script

    def __call__(self, questions, contexts, threshold, n_best):
        assert threshold == 0.0 and len(questions) == len(contexts)
        answers = []
        for context in contexts:
            text, sure = self.script.get(context.split()[0], ("", 0.0))
            if not text:
                answers.append(Answer("", 0, 0, 0.0, 1.0))
                continue
            place = (text, context.index(text), context.index(text) + len(text))
            logit = -5 + float(np.clip(scipy.special.logit(sure), -800, 800))
            answers.append(Answer(*place, 0.01, 0.02, (Candidate(*place, logit, 0.01),), null_logit=-5.0))
        return answers


QUESTION = "Which element has the atomic number 79?"  # by keyword: Gold, then Oxygen


@pytest.fixture
def keyword_retriever(tmp_path) -> Retriever:
    return Retriever.open(DOCUMENTS, "keyword", tmp_path)


def test_the_answer_comes_with_its_passage_its_title_and_the_runners_up(keyword_retriever):
    reader = ScriptedReader({"Gold": ("Gold", 0.9), "Oxygen": ("Oxygen", 0.4)})
    answer = WikipediaAnswerer(keyword_retriever, reader, threshold=0.5).ask(QUESTION)
    assert (answer.text, answer.title, answer.passage) == ("Gold", "Gold", DOCUMENTS[1].text)
    assert answer.passage[answer.start : answer.end] == answer.text and not answer.is_refusal
    assert answer.score == pytest.approx(0.9)  # the first on the list keeps the reader's own score
    assert answer.retrieval_score == keyword_retriever.search(QUESTION, 1)[0].score
    (second,) = answer.runners_up
    odds = 0.4 / 0.6 * retrieval.RANK_DISCOUNT
    assert (second.title, second.text, second.reader_score) == ("Oxygen", "Oxygen", pytest.approx(0.4))
    assert second.score == pytest.approx(odds / (1 + odds))


def test_a_surer_answer_further_down_the_list_wins(keyword_retriever):
    answer = WikipediaAnswerer(keyword_retriever, ScriptedReader({"Gold": ("Gold", 0.2), "Oxygen": ("Oxygen", 0.99)}), 0.0).ask(QUESTION)
    assert (answer.title, [found.title for found in answer.candidates]) == ("Oxygen", ["Oxygen", "Gold"])


def test_nothing_is_answered_below_the_threshold_and_the_candidates_stay(keyword_retriever):
    answerer = WikipediaAnswerer(keyword_retriever, ScriptedReader({"Gold": ("Gold", 0.9), "Oxygen": ("Oxygen", 0.4)}), threshold=0.95)
    refusal = answerer.ask(QUESTION)
    assert refusal.is_refusal and (refusal.text, refusal.title, refusal.passage, refusal.start, refusal.end) == ("", "", "", 0, 0)
    assert refusal.score == pytest.approx(0.9) and [found.text for found in refusal.runners_up] == ["Gold", "Oxygen"]
    assert answerer.ask(QUESTION, threshold=0.8999).text == "Gold"
    assert [found.text for found in answerer.ask(QUESTION, n=1, threshold=0.0).candidates] == ["Gold"]


def test_nothing_found_and_nothing_marked_are_refusals_too(keyword_retriever):
    answerer = WikipediaAnswerer(keyword_retriever, ScriptedReader({}), threshold=0.0)
    for question in ("zzyzx qwrtp", QUESTION):
        assert answerer.ask(question) == OpenAnswer("", 0, 0, "", "", 0.0, 0.0, ())
    with pytest.raises(ValueError, match="blank"):
        answerer.ask(" ")


def test_many_questions_are_answered_as_each_would_be_alone(keyword_retriever):
    reader = ScriptedReader({"Gold": ("Gold", 0.9), "Oxygen": ("Oxygen", 0.4), "Bees": ("insects", 0.7)})
    answerer = WikipediaAnswerer(keyword_retriever, reader, threshold=0.5)
    questions = [QUESTION, "zzyzx qwrtp", "Which insects are known for honey?", QUESTION]
    assert answerer.ask_many(questions) == [answerer.ask(question) for question in questions]
    assert [answer.text for answer in answerer.ask_many(questions, n=1, threshold=0.8)] == ["Gold", "", "", "Gold"]
    assert answerer.ask_many([]) == []


def test_a_reader_that_is_altogether_sure_is_no_division_by_zero(keyword_retriever):
    answer = WikipediaAnswerer(keyword_retriever, ScriptedReader({"Gold": ("Gold", 1.0), "Oxygen": ("Oxygen", 0.0)})).ask(QUESTION)
    assert answer.score == pytest.approx(1) and answer.runners_up[0].score == 0


def test_a_real_reader_marks_each_passage_as_it_would_alone(tmp_path, tiny_folder, monkeypatch):
    monkeypatch.setattr(retrieval, "SentenceEncoder", CountingEncoder)
    answerer = WikipediaAnswerer.load(tiny_folder, documents=DOCUMENTS, folder=tmp_path)
    answer = answerer.ask(QUESTION, n=4, threshold=0.0)
    assert len(answer.candidates) == 4 and answer.text == answer.candidates[0].text != ""
    for found in answer.candidates:
        alone = answerer.reader(QUESTION, found.passage, threshold=0.0)
        assert isinstance(found, Found) and (found.text, found.start, found.end) == (alone.text, alone.start, alone.end)
        best = alone.candidates[0]
        assert found.reader_score == pytest.approx(1 / (1 + math.exp(alone.null_logit - best.logit)), abs=0.02)


@pytest.mark.parametrize("threshold", [math.nan, -0.1, 1.5])
def test_a_threshold_that_is_no_score_is_an_error(keyword_retriever, threshold):
    answerer = WikipediaAnswerer(keyword_retriever, ScriptedReader({}))
    with pytest.raises(ValueError, match="threshold is"):
        answerer.ask(QUESTION, threshold=threshold)
    with pytest.raises(ValueError, match="threshold is"):
        WikipediaAnswerer(keyword_retriever, ScriptedReader({}), threshold)


# -- on the command line ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small_wikipedia(tmp_path, monkeypatch):
    """For the command line: five documents in place of Wikipedia, an index of its own, and the stand-in's vectors."""
    monkeypatch.setattr(retrieval, "wikipedia", lambda: list(DOCUMENTS))
    monkeypatch.setattr(retrieval, "SentenceEncoder", CountingEncoder)
    monkeypatch.setattr(retrieval.runtime, "cache", lambda: tmp_path / "cache")


def test_ask_without_a_context_asks_wikipedia(capsys, small_wikipedia, tiny_folder):
    import json

    arguments = ["ask", QUESTION, "--model", str(tiny_folder), "--threshold", "0", "--top", "2"]
    assert main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out.splitlines()[-1])
    assert list(result) == [
        *("question", "text", "start", "end", "score", "null_score", "title", "passage", "retrieval_score", "candidates")
    ]
    assert result["passage"][result["start"] : result["end"]] == result["text"] != ""
    assert len(result["candidates"]) == 2 and result["candidates"][0]["title"] == result["title"]
    assert "step 5 of 5" in captured.err  # the index was built, and said so
    assert main(arguments) == 0
    captured = capsys.readouterr()
    first, *others = captured.out.splitlines()
    assert first.startswith(result["text"]) and f"Wikipedia: {result['title']}" in first and len(others) == 2
    assert captured.err == ""
    assert main([*arguments[:-4], "--threshold", "1"]) == 0
    assert capsys.readouterr().out.startswith("I don't know")


def test_ask_without_a_context_checks_the_question_before_it_builds(capsys, small_wikipedia, tiny_folder, tmp_path):
    for question, says in ((" ", "is blank"), ("Stra\udcdfe?", "not readable as text")):
        assert main(["ask", question, "--model", str(tiny_folder)]) == 2
        assert says in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_reading_the_module_loads_neither_torch_nor_the_keyword_library(course, clean_environment):
    code = (
        "import sys, src.qa; assert 'src.qa.retrieval' not in sys.modules; import src.qa.retrieval; "
        "print({'torch', 'transformers', 'bm25s', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean_environment, cwd=course, timeout=60)
    assert (done.stdout, done.stderr) == ("set()\n", "")
