"""Answering from all that is found: the best of several passages, with its source, or a refusal."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.special

from src.qa import dense, open_domain, retriever
from src.qa.__main__ import main
from src.qa.decoding import Answer, Candidate
from src.qa.open_domain import OpenAnswer, WikipediaAnswerer
from src.qa.retriever import Retriever
from tests.unit.qa.test_text_files import book

QUESTION = "Which element has the atomic number 79?"  # by keyword: Gold, then Oxygen


class ScriptedReader:
    """Marks in each passage the words that it was told to, as sure against no answer."""

    def __init__(self, script: dict[str, tuple[str, float]]):
        self.script = script

    def __call__(self, questions, contexts, threshold, n_best):
        assert threshold == 0.0 and len(questions) == len(contexts)
        return [self.read(context) for context in contexts]

    def read(self, context: str) -> Answer:
        text, sure = self.script.get(context.split()[0], ("", 0.0))
        if not text:
            return Answer("", 0, 0, 0.0, 1.0)
        place = text, context.index(text), context.index(text) + len(text)
        logit = -5 + float(np.clip(scipy.special.logit(sure), -800, 800))
        # The scores are not those to compare between passages.
        return Answer(*place, 0.01, 0.02, (Candidate(*place, logit, 0.01),), null_logit=-5.0)


@pytest.fixture
def answerer(documents):
    """answerer(threshold, Gold=("Gold", 0.9), ...), which searches by keyword."""

    def make(threshold: float, **script) -> WikipediaAnswerer:
        searched = Retriever.open(documents, "keyword")
        return WikipediaAnswerer(searched, ScriptedReader(script), threshold)

    return make


def test_the_answer_comes_with_its_passage_its_title_and_the_runners_up(answerer, documents):
    asked = answerer(0.5, Gold=("Gold", 0.9), Oxygen=("Oxygen", 0.4))
    answer = asked.ask(QUESTION)
    assert (answer.text, answer.title, answer.passage) == ("Gold", "Gold", documents[1].text)
    assert answer.passage[answer.start : answer.end] == answer.text and not answer.is_refusal
    assert answer.reader_score == pytest.approx(0.9)
    assert answer.score == pytest.approx(0.9)  # the first passage keeps the reader's own score
    assert answer.retrieval_score == asked.retriever.search(QUESTION, 1)[0].score
    (second,) = answer.runners_up
    odds = 0.4 / 0.6 * open_domain.RANK_DISCOUNT
    assert (second.title, second.text) == ("Oxygen", "Oxygen")
    assert second.reader_score == pytest.approx(0.4)
    assert second.score == pytest.approx(odds / (1 + odds))


def test_a_surer_answer_further_down_the_ranking_wins(answerer):
    answer = answerer(0.0, Gold=("Gold", 0.2), Oxygen=("Oxygen", 0.99)).ask(QUESTION)
    assert answer.title == "Oxygen"
    assert [found.title for found in answer.candidates] == ["Oxygen", "Gold"]


def test_nothing_is_answered_below_the_threshold_and_the_candidates_stay(answerer):
    asked = answerer(0.95, Gold=("Gold", 0.9), Oxygen=("Oxygen", 0.4))
    refusal = asked.ask(QUESTION)
    assert refusal.is_refusal
    assert (refusal.text, refusal.title, refusal.passage) == ("", "", "")
    assert (refusal.start, refusal.end, refusal.score) == (0, 0, pytest.approx(0.9))
    assert [found.text for found in refusal.runners_up] == ["Gold", "Oxygen"]
    assert asked.ask(QUESTION, threshold=0.8999).text == "Gold"
    assert [f.text for f in asked.ask(QUESTION, n=1, threshold=0.0).candidates] == ["Gold"]


def test_nothing_found_and_nothing_marked_are_refusals_too(answerer):
    asked = answerer(0.0)
    for question in ("zzyzx qwrtp", QUESTION):
        assert asked.ask(question) == OpenAnswer("", 0, 0, "", "", 0.0, 0.0, 0.0, ())
    with pytest.raises(ValueError, match="blank"):
        asked.ask(" ")


def test_many_questions_are_answered_as_each_would_be_alone(answerer):
    asked = answerer(0.5, Gold=("Gold", 0.9), Oxygen=("Oxygen", 0.4), Bees=("insects", 0.7))
    questions = [QUESTION, "zzyzx qwrtp", "Which insects are known for honey?", QUESTION]
    assert asked.ask_many(questions) == [asked.ask(question) for question in questions]
    answers = asked.ask_many(questions, n=1, threshold=0.8)
    assert [answer.text for answer in answers] == ["Gold", "", "", "Gold"]
    assert asked.ask_many([]) == []


def test_a_reader_that_is_altogether_sure_is_no_division_by_zero(answerer):
    answer = answerer(0.9, Gold=("Gold", 1.0), Oxygen=("Oxygen", 0.0)).ask(QUESTION)
    assert answer.score == pytest.approx(1) and answer.runners_up[0].score == 0


@pytest.mark.parametrize("threshold", [math.nan, -0.1, 1.5])
def test_a_threshold_that_is_no_score_is_an_error(answerer, threshold):
    with pytest.raises(ValueError, match="threshold is"):
        answerer(0.5).ask(QUESTION, threshold=threshold)
    with pytest.raises(ValueError, match="threshold is"):
        answerer(threshold)


@pytest.fixture
def without_minilm(monkeypatch, counting_encoder):
    monkeypatch.setattr(dense, "SentenceEncoder", counting_encoder)


def test_a_real_reader_marks_each_passage_as_it_would_alone(
    tmp_path, tiny_folder, without_minilm, documents
):
    asked = WikipediaAnswerer.load(tiny_folder, documents=documents, folder=tmp_path)
    answer = asked.ask(QUESTION, n=4, threshold=0.0)
    assert len(answer.candidates) == 4 and answer.text == answer.candidates[0].text != ""
    for found in answer.candidates:
        alone = asked.reader(QUESTION, found.passage, threshold=0.0)
        assert (found.text, found.start, found.end) == (alone.text, alone.start, alone.end)
        sure = 1 / (1 + math.exp(alone.null_logit - alone.candidates[0].logit))
        assert found.reader_score == pytest.approx(sure, abs=0.02)


@pytest.fixture
def small_wikipedia(tmp_path, monkeypatch, without_minilm, documents):
    """For the command line: five documents in place of Wikipedia, and an index of its own."""
    monkeypatch.setattr(retriever, "wikipedia", lambda: list(documents))
    monkeypatch.setattr("src.runtime.cache", lambda: tmp_path / "cache")


def test_ask_without_a_context_asks_wikipedia(capsys, small_wikipedia, tiny_folder):
    arguments = ["ask", QUESTION, "--model", str(tiny_folder), "--threshold", "0", "--top", "2"]
    assert main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out.splitlines()[-1])
    names = ["question", "text", "start", "end", "score", "null_score", "title", "passage"]
    assert list(result) == [*names, "retrieval_score", "candidates"]
    assert result["passage"][result["start"] : result["end"]] == result["text"] != ""
    assert len(result["candidates"]) == 2 and result["candidates"][0]["title"] == result["title"]
    assert "step 5 of 5" in captured.err  # the index was built, and said so
    assert main(arguments) == 0
    captured = capsys.readouterr()
    first, *others = captured.out.splitlines()
    assert first.startswith(result["text"]) and f"Wikipedia: {result['title']}" in first
    assert len(others) == 2 and captured.err == ""
    assert main([*arguments[:-4], "--threshold", "1"]) == 0
    assert capsys.readouterr().out.startswith("I don't know")


@pytest.fixture
def two_pages(tmp_path):
    """A folder with a book of two pages, the second of which has words, and with a scan."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "gold.pdf").write_bytes(book([[""], ["Gold is a metal."]], {"Metals": 1}))
    (folder / "scan.pdf").write_bytes(book([[""]], {"Scan": 0}))
    return folder


def test_own_texts_are_answered_with_file_and_page_and_what_was_not_read_is_named(
    tmp_path, tiny_folder, without_minilm, two_pages
):
    with pytest.warns(
        UserWarning, match=r"not read: scan\.pdf \(1 of 1 pages have no text"
    ) as warned:
        asked = WikipediaAnswerer.load(tiny_folder, texts=two_pages, folder=tmp_path / "index")
    assert warned[0].filename == __file__
    assert asked.texts.read == {"gold.pdf": 1} and list(asked.texts.unread) == ["scan.pdf"]
    answer = asked.ask(QUESTION, threshold=0.0)
    assert answer.passage == "Gold is a metal." and answer.title == "gold: Metals"
    assert (answer.file, answer.page, answer.place) == ("gold.pdf", 2, "gold.pdf, page 2")
    refusal = asked.ask(QUESTION, threshold=1.0)
    assert (refusal.file, refusal.page) == ("", None) and refusal.candidates[0].page == 2
    with pytest.raises(ValueError, match="both given"):
        WikipediaAnswerer.load(tiny_folder, documents=[], texts=two_pages)


def test_ask_takes_a_folder_of_texts(capsys, small_wikipedia, tiny_folder, two_pages):
    arguments = ["ask", QUESTION, "--model", str(tiny_folder), "--threshold", "0"]
    assert main([*arguments, "--texts", str(two_pages)]) == 0
    captured = capsys.readouterr()
    first, candidate = captured.out.splitlines()
    assert first.endswith("sure; gold: Metals, gold.pdf, page 2)")
    assert candidate.endswith("in 'gold: Metals, gold.pdf, page 2'")
    assert "not read: scan.pdf (1 of 1 pages have no text" in captured.err
    assert main([*arguments, "--texts", str(two_pages), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["file"], result["page"]) == ("gold.pdf", 2)
    assert main([*arguments, "--texts", str(two_pages), "--context-file", "a.txt"]) == 2
    assert "both given; name one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("question", "says"), [(" ", "is blank"), ("Stra\udcdfe?", "not readable as text")]
)
def test_ask_checks_the_question_before_it_builds(
    capsys, small_wikipedia, tiny_folder, tmp_path, question, says
):
    assert main(["ask", question, "--model", str(tiny_folder)]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()
