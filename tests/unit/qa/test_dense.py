"""Search by meaning: vectors by a slow reference, kept through damage, kills and full disks."""

import resource
import signal
from pathlib import Path

import numpy as np
import pytest

from src.qa import dense
from src.qa.dense import DenseIndex, store_vectors, text_to_encode
from src.qa.documents import Document, RetrievalError, wikipedia
from src.qa.retriever import top_k


@pytest.fixture
def open_dense(counting_encoder, monkeypatch):
    """open_dense(documents, folder) -> the index, and the encoder that it was built with."""
    monkeypatch.setattr(dense, "DOCUMENTS_PER_FILE", 3)

    def open_(documents, folder, encoder=None, **options):
        encoder = encoder or counting_encoder()
        return DenseIndex.open(documents, folder, encoder=encoder, **options), encoder

    return open_


def many(n: int, word: str = "passage") -> list[Document]:
    return [Document(f"Title {i}", f"{word} number {i}") for i in range(n)]


def files_in(folder: Path) -> list[Path]:
    return sorted((folder / "vectors").iterdir())


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("half", [False, True])
def test_scores_are_those_of_sentence_vectors_computed_one_text_at_a_time(
    tmp_path, tokenizer, monkeypatch, half, documents
):
    """The reference is the course's own encoder, in fp32, without padding."""
    import torch

    from src.transformer import Encoder

    long = " ".join(f"{number} elements have symbols." for number in range(120))
    documents = [*documents, Document("Long", long), Document("Short", "Au")]
    encoder = Encoder.from_pretrained("minilm")
    most = dense.MAX_TOKENS

    def slowly(text: str) -> np.ndarray:
        token_ids = tokenizer(text)["input_ids"]
        if len(token_ids) > most:  # a text that is cut short still ends with [SEP]
            token_ids = [*token_ids[: most - 1], tokenizer.sep_token_id]
        with torch.no_grad():
            vector = encoder(torch.tensor([token_ids]))[0].mean(0)
        return (vector / vector.norm()).numpy()

    expected = np.stack([slowly(text_to_encode(document)) for document in documents])
    monkeypatch.setattr(dense, "FP16_FROM_N_TEXTS", 2)  # a question alone is read in fp32
    monkeypatch.setattr(dense.SentenceEncoder, "faster_in_half", half)
    DenseIndex.open(documents, tmp_path)
    index = DenseIndex.open(documents, tmp_path)  # from disk
    assert index.vectors.dtype == np.float32 and index.vectors.shape == (7, 384)
    for question in ("What is the atomic number of gold?", "北京在哪里？", "<b>honey</b>"):
        assert index.scores(question) == pytest.approx(expected @ slowly(question), abs=1e-3)
    assert top_k(index.scores("Which animals make honey?"), 1) == [2]
    honey = "Which animals make honey? "
    assert index.scores(honey * 3000) == pytest.approx(index.scores(honey * 300))


def test_vectors_are_kept_in_half_precision_in_files_that_need_no_pickle(
    tmp_path, open_dense, counting_encoder
):
    told = []
    index, encoder = open_dense(many(7), tmp_path, report=told.append)
    stored = [np.load(file, allow_pickle=False) for file in files_in(tmp_path)]
    assert sorted(map(len, stored)) == [1, 3, 3]
    assert {rows["vector"].dtype for rows in stored} == {np.dtype(np.float16)}
    assert index.vectors == pytest.approx(counting_encoder()(encoder.texts), abs=1e-3)
    steps = [(one["step"], one["steps"], one["unit"]) for one in told]
    assert steps == [(n, 7, "passages") for n in (3, 6, 7)]
    assert all(one["seconds"] > 0 and one["examples_per_second"] > 0 for one in told)


def test_only_new_and_changed_documents_are_encoded_in_any_order_and_company(tmp_path, open_dense):
    first, _ = open_dense(many(7), tmp_path)
    shuffled = [many(7)[i] for i in (4, 1, 6)]
    again, encoder = open_dense(shuffled, tmp_path)
    assert encoder.texts == [] and np.array_equal(again.vectors, first.vectors[[4, 1, 6]])
    more, encoder = open_dense([*many(2, "new"), *shuffled], tmp_path)
    assert len(encoder.texts) == 2 and np.array_equal(more.vectors[2:], again.vectors)
    changed = [Document("Title 1", "changed"), Document("changed", "passage number 2")]
    assert len(open_dense([many(3)[0], *changed], tmp_path)[1].texts) == 2


def test_an_interruption_costs_one_file_at_most(tmp_path, open_dense, counting_encoder):
    with pytest.raises(KeyboardInterrupt):
        open_dense(many(10), tmp_path, counting_encoder(stop_after=7))
    resumed, encoder = open_dense(many(10), tmp_path)
    assert len(encoder.texts) == 10 - 6
    whole, _ = open_dense(many(10), tmp_path / "elsewhere")
    assert np.array_equal(resumed.vectors, whole.vectors)


@pytest.mark.parametrize(
    "damage", [flip_a_byte, lambda file: file.write_bytes(file.read_bytes()[:100]), Path.unlink]
)
def test_of_a_damaged_index_only_the_damaged_file_is_computed_again(tmp_path, damage, open_dense):
    sound, _ = open_dense(many(9), tmp_path)
    names = files_in(tmp_path)
    damage(names[1])
    repaired, encoder = open_dense(many(9), tmp_path)
    assert len(encoder.texts) == 3
    assert np.array_equal(repaired.vectors, sound.vectors) and files_in(tmp_path) == names
    assert open_dense(many(9), tmp_path)[1].texts == []


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, open_dense):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RetrievalError, match=r"file.*cannot be written.*COURSE_CACHE"):
        open_dense(many(1), tmp_path / "file")


def test_a_full_disk_is_one_sentence_and_is_not_left_full(tmp_path, counting_encoder):
    """The system refuses to let a file of this process grow, as a disk without room does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(RetrievalError, match=r"be written \(File too large\); make room"):
            DenseIndex.open(many(100), tmp_path, encoder=counting_encoder())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert files_in(tmp_path) == []


def test_vectors_that_only_another_person_may_read_are_computed_again(
    tmp_path, monkeypatch, open_dense
):
    open_dense(many(2), tmp_path)
    (theirs,) = files_in(tmp_path)
    read = Path.read_bytes

    def refuse(file: Path) -> bytes:
        if file == theirs:
            raise PermissionError(13, "Permission denied", str(file))
        return read(file)

    # The tests may run as root, who may read everything.
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert len(open_dense(many(1, "another"), tmp_path)[1].texts) == 1


# --- what comes with the course ---------------------------------------------------------------


def test_the_vectors_of_all_introductions_come_with_the_course(tmp_path):
    documents = wikipedia()
    index = DenseIndex.open(documents, tmp_path, encoder=lambda _: pytest.fail("encoded again"))
    assert index.vectors.shape == (10_033, 384) and not list(tmp_path.iterdir())
    every = len(documents) // 20
    fresh = dense.SentenceEncoder()([text_to_encode(document) for document in documents[::every]])
    assert (index.vectors[::every] * fresh).sum(axis=1).min() > 0.999
    assert sum(file.stat().st_size for file in dense.SHIPPED.glob("*.npy")) < 9e6


def test_shipped_vectors_that_are_damaged_or_of_another_text_are_computed(tmp_path, open_dense):
    built, new = many(7), Document("New", "a new text")
    shipped = store_vectors(tmp_path / "shipped", built, open_dense(built, tmp_path)[0].vectors)
    where = {"shipped": shipped.parent}
    expected, encoder = open_dense([*built, new], tmp_path / "a", **where)
    assert encoder.texts == ["New. a new text"]
    flip_a_byte(shipped)
    again, encoder = open_dense([*built, new], tmp_path / "b", **where)
    assert len(encoder.texts) == 8 and np.array_equal(again.vectors, expected.vectors)
