"""Both searches together: fused by rank, added to, and asked for what cannot be had."""

import time

import numpy as np
import pytest

from src import assets
from src.qa import dense
from src.qa.documents import Document, RetrievalError
from src.qa.retriever import Retriever, fuse, top_k

QUARK = Document("Quark", "A quark is an elementary particle.")


@pytest.fixture
def retriever(tmp_path, monkeypatch, documents, counting_encoder) -> Retriever:
    """Over the five documents, with vectors of the stand-in."""
    monkeypatch.setattr(dense, "SentenceEncoder", counting_encoder)
    return Retriever.open(documents, folder=tmp_path)


def test_fusion_adds_one_over_constant_plus_rank():
    fused = fuse([[7, 3, 5], [3, 9]], constant=10)
    assert list(fused) == [3, 7, 9, 5]
    assert fused == pytest.approx({3: 1 / 12 + 1 / 11, 7: 1 / 11, 9: 1 / 12, 5: 1 / 13})
    assert list(fuse([[2], [1]], constant=60)) == [1, 2]  # equal: the lower number


def test_the_top_k_come_in_order_and_of_equals_the_first():
    scores = np.array([0.1, 0.9, 0.5, 0.9, 0.5, 0.5], dtype=np.float32)
    assert top_k(scores, 3) == [1, 3, 2]
    assert top_k(scores, 99) == [1, 3, 2, 4, 5, 0]
    assert top_k(np.tile([0.5, 0.9], 50), 100) == [*range(1, 100, 2), *range(0, 100, 2)]


def test_a_fused_search_is_the_fusion_of_the_two_searches(retriever, documents):
    question = "What is the atomic number of gold?"
    by_keyword, by_meaning = (retriever.search(question, 5, by) for by in ("keyword", "dense"))
    expected = fuse([[hit.number for hit in found] for found in (by_keyword, by_meaning)])
    hits = retriever.search(question, 5)
    assert [(hit.number, hit.score) for hit in hits] == list(expected.items())
    assert retriever.search(question, 1) == hits[:1], "fused before it is cut"
    for hit in hits:
        assert (hit.title, hit.text) == (documents[hit.number].title, documents[hit.number].text)
    scores = retriever.indexes["keyword"].scores(question)
    assert [hit.number for hit in by_keyword] == [n for n in top_k(scores, 5) if scores[n] > 0]
    assert (by_keyword[0].title, by_keyword[0].score) == ("Gold", scores.max())


def test_unknown_words_find_nothing_by_keyword_and_leave_the_fusion_to_meaning(retriever):
    assert retriever.search("zzyzx qwrtp", 5, "keyword") == []
    by_meaning = retriever.search("zzyzx qwrtp", 5, "dense")
    fused = retriever.search("zzyzx qwrtp", 5)
    assert [hit.number for hit in fused] == [hit.number for hit in by_meaning]


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("北京", "Beijing"),
        ("Où est Pékin ?", "Beijing"),
        ("<b>Peking</b><script>alert(1)</script>", "Beijing"),
        ("gold " * 50_000, "Gold"),
    ],
)
def test_any_text_is_a_question(retriever, question, title):
    assert retriever.search(question, 1, "keyword")[0].title == title
    assert len(retriever.search(question, 3)) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("  \n\t",), "the question is blank"),
        (("Stra\udcdfe?",), "not readable as text"),
        ((None,), "the question is None, which is no text"),
        (("gold", 0), "n is 0"),
        (("gold", 5, "magic"), "by is 'magic'"),
    ],
)
def test_what_cannot_be_asked_is_refused(retriever, arguments, says):
    with pytest.raises(ValueError, match=says):
        retriever.search(*arguments)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "no documents"),
        ([QUARK, "a string"], r"document 2 is 'a string'; pass documents, such as Document\("),
        ([{"title": "Gold"}], r"document 1 is \{'title': 'Gold'\}; pass documents"),
        ([QUARK, Document("Smile", "\ud83d")], "document 2, 'Smile', is not readable as text"),
    ],
)
def test_what_cannot_be_searched_is_refused(tmp_path, given, says):
    with pytest.raises(RetrievalError, match=says):
        Retriever.open(given, folder=tmp_path)


def test_a_retriever_opened_one_way_is_asked_that_way(documents):
    alone = Retriever.open(documents, "keyword")
    assert alone.search("gold", 1)[0].title == "Gold"
    for by in ("fused", "dense"):
        with pytest.raises(ValueError, match="opened by keyword alone"):
            alone.search("gold", by=by)
    with pytest.raises(ValueError, match="by is 'magic'"):
        Retriever.open(documents, "magic")


def test_passages_of_the_asset_are_documents_too():
    passage = assets.Passage("Iron", "Iron is a metal.", "a metal", "chemistry")
    found = Retriever.open([passage, passage], "keyword")
    assert found.documents == [Document("Iron", "Iron is a metal.")]


def test_wikipedia_opens_within_seconds_and_nine_of_ten_articles_are_among_the_first_five(tmp_path):
    """By keyword. Processor time, since other tests may run."""
    from src.qa import load_squad
    from src.qa.course_set import open_domain_questions

    Retriever.open([QUARK], "keyword")  # imports
    start = time.process_time()
    retriever = Retriever.open(folder=tmp_path)
    assert time.process_time() - start < 3
    assert len(retriever.documents) == len(retriever.indexes["dense"].vectors) == 10_033
    rows = open_domain_questions(load_squad("course")["validation"])
    hits = [retriever.search(question, 5, "keyword") for question in rows["question"]]
    pairs = zip(rows["title"], hits, strict=True)
    found = [title in [hit.title for hit in five] for title, five in pairs]
    assert len(retriever.search("What is the first question?", 1000, "keyword")) == 1000
    assert len(rows) >= 50 and np.mean(found) >= 0.9
