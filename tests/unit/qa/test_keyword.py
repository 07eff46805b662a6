"""Search by keyword: scores by the formula, computed slowly."""

import math
from collections import Counter

import pytest

from src.qa import keyword
from src.qa.documents import Document, RetrievalError
from src.qa.keyword import KeywordIndex, keywords
from src.qa.retriever import top_k


def bm25_by_the_formula(question: str, documents: list[Document]) -> list[float]:
    k1, b = keyword.K1, keyword.B
    titles = ([document.title] * keyword.TITLE_TIMES for document in documents)
    pairs = zip(titles, documents, strict=True)
    texts = [keywords(" ".join([*title, document.text])) for title, document in pairs]
    mean = sum(map(len, texts)) / len(texts)
    scores = []
    for words in texts:
        counts, score = Counter(words), 0.0
        for word in set(keywords(question)):
            n = sum(word in other for other in texts)
            idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
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
def test_scores_and_ranks_are_those_of_the_formula(question, documents):
    expected = bm25_by_the_formula(question, documents)
    found = KeywordIndex.build(documents).scores(question)
    assert found == pytest.approx(expected, abs=1e-5)
    ranks = sorted(range(5), key=lambda number: (-round(expected[number], 6), number))
    ranked = [number for number in top_k(found, 5) if found[number] > 0]
    assert ranked == [number for number in ranks if expected[number] > 0]


def test_a_plural_or_a_possessive_is_the_same_keyword_and_words_that_only_end_in_s_stay():
    found = keywords("Bees' wings; the country's cities")
    assert found == ["bee", "wing", "the", "country", "city"]
    assert keywords("glass virus basis gas his") == ["glass", "virus", "basis", "gas", "his"]


def test_documents_without_a_word_are_named_as_such():
    with pytest.raises(RetrievalError, match="the 1 documents hold no words"):
        KeywordIndex.build([Document("...", "!?")])
