"""Answering from all that is found: the best of several passages, with its source, or a refusal."""

import json
import math
import shutil
from functools import partial

import pytest
import scipy.special

from src.qa import dense, open_domain, retriever
from src.qa.__main__ import main
from src.qa.calibration import Scaling
from src.qa.decoding import Answer, Candidate
from src.qa.documents import Document
from src.qa.open_domain import OpenAnswer, WikipediaAnswerer
from src.qa.retriever import Retriever
from tests.unit.qa.test_text_files import book

QUESTION = "Which element has the atomic number 79?"  # by keyword: Gold, then Oxygen


class ScriptedReader:
    """Marks in each passage the spans that it was told to, with their logits."""

    def __init__(self, script: dict[str, dict[str, float]]):
        self.script = script

    def __call__(self, questions, contexts, threshold, n_best):
        assert threshold == 0.0 and len(questions) == len(contexts)
        return [self.read(context) for context in contexts]

    def read(self, context: str) -> Answer:
        marked = self.script.get(context.split()[0], {})
        if not marked:
            return Answer("", 0, 0, 0.0, 1.0)
        places = [(context.index(text), context.index(text) + len(text)) for text in marked]
        spans = tuple(
            Candidate(text, *place, logit, 0.01)
            for (text, logit), place in zip(marked.items(), places, strict=True)
        )
        # The reader's own score is not the one to compare between passages.
        return Answer(spans[0].text, *places[0], 0.25, 0.02, spans, NULLS[context.split()[0]])


NULLS = {"Gold": -5.0, "Oxygen": -3.0, "Bees": 0.0}


@pytest.fixture
def answerer(documents):
    """answerer(threshold, Gold={"Gold": 2.0}, ...), which searches by keyword."""

    def make(threshold: float, scaling: Scaling | None = None, **script) -> WikipediaAnswerer:
        searched = Retriever.open(documents, "keyword")
        return WikipediaAnswerer(searched, ScriptedReader(script), threshold, scaling)

    return make


def power(logit: float, title: str, rank: int) -> float:
    """exp of what speaks for a span."""
    found = open_domain.LOGIT * logit - open_domain.NULL * NULLS[title]
    return math.exp(found) * rank**-open_domain.RANK


def test_the_answer_comes_with_its_passage_its_title_and_the_runners_up(answerer, documents):
    asked = answerer(0.0, Gold={"Gold": -4.0, "atomic number 79": -5.0}, Oxygen={"Oxygen": -3.0})
    answer = asked.ask(QUESTION)
    assert (answer.text, answer.title, answer.passage) == ("Gold", "Gold", documents[1].text)
    assert answer.passage[answer.start : answer.end] == answer.text and not answer.is_refusal
    gold, other, oxygen = power(-4, "Gold", 1), power(-5, "Gold", 1), power(-3, "Oxygen", 2)
    whole = gold + other + oxygen + math.exp(open_domain.NONE)
    assert answer.score == pytest.approx(gold / whole)
    assert answer.null_score == pytest.approx(math.exp(open_domain.NONE) / whole)
    assert answer.reader_score == 0.25
    assert answer.retrieval_score == asked.retriever.search(QUESTION, 1)[0].score
    (second,) = answer.runners_up  # of each passage the best
    assert (second.title, second.text, second.score) == (
        *("Oxygen", "Oxygen"),
        pytest.approx(oxygen / whole),
    )


def test_passages_that_agree_speak_for_an_answer_together_and_scores_are_scaled(answerer):
    scaling, script = Scaling(2.0, -0.5), {"Gold": {"metal": -4.0}, "Oxygen": {"gas": -3.0}}
    script |= {"Bees": {"insects": 1.0}}
    question = "Which metal, gas or insects?"
    plain, scaled = (answerer(0.0, each, **script).ask(question) for each in (None, scaling))
    assert [one.score for one in scaled.candidates] == pytest.approx(
        [float(scaling(one.score)) for one in plain.candidates]
    )
    others = 1 - plain.score
    assert scaled.null_score == pytest.approx((1 - scaled.score) * plain.null_score / others)
    hits = 3 * answerer(0.0).retriever.search(question, 1)
    agreeing = [
        Answer("x", 0, 1, 0.1, 0.9, (Candidate(text, 0, 1, logit, 0.1),), -1.0)
        for text, logit in (("The Moon", 0.0), ("the moon", -0.5), ("Mars", 0.2))
    ]
    found = open_domain.choose(hits, agreeing, 0.0, Scaling())
    logits = [
        open_domain.LOGIT * logit + open_domain.NULL - open_domain.RANK * math.log(rank)
        for rank, logit in enumerate((0.0, -0.5, 0.2), 1)
    ]
    *shares, _ = scipy.special.softmax([*logits, open_domain.NONE])
    assert found.text == "The Moon" and found.score == pytest.approx(shares[0] + shares[1])


def test_a_surer_answer_further_down_the_ranking_wins(answerer):
    answer = answerer(0.0, Gold={"Gold": -6.0}, Oxygen={"Oxygen": 6.0}).ask(QUESTION)
    assert answer.title == "Oxygen"
    assert [found.title for found in answer.candidates] == ["Oxygen", "Gold"]


def test_nothing_is_answered_below_the_threshold_and_the_candidates_stay(answerer):
    asked = answerer(1.0, Gold={"Gold": -3.0}, Oxygen={"Oxygen": -4.0})
    refusal = asked.ask(QUESTION)
    assert refusal.is_refusal and 0 < refusal.score < 1
    assert (refusal.text, refusal.title, refusal.passage) == ("", "", "")
    assert (refusal.start, refusal.end) == (0, 0)
    assert [found.text for found in refusal.runners_up] == ["Gold", "Oxygen"]
    assert asked.ask(QUESTION, threshold=refusal.score).text == "Gold"
    assert [f.text for f in asked.ask(QUESTION, n=1, threshold=0.0).candidates] == ["Gold"]


def test_nothing_found_and_nothing_marked_are_refusals_too(answerer):
    asked = answerer(0.0)
    for question in ("zzyzx qwrtp", QUESTION):
        assert asked.ask(question) == OpenAnswer("", 0, 0, "", "", 0.0, 0.0, 0.0, null_score=1.0)
    with pytest.raises(ValueError, match="blank"):
        asked.ask(" ")


def test_many_questions_are_answered_as_each_would_be_alone(answerer):
    script = {"Gold": {"Gold": 4.0}, "Oxygen": {"Oxygen": -4.0}, "Bees": {"insects": -9.0}}
    asked = answerer(0.1, **script)
    questions = [QUESTION, "zzyzx qwrtp", "Which insects are known for honey?", QUESTION]
    assert asked.ask_many(questions) == [asked.ask(question) for question in questions]
    low, high = sorted(asked.ask(question, n=1).score for question in questions[::2][:2])
    answers = asked.ask_many(questions, n=1, threshold=(low + high) / 2)
    assert [answer.text for answer in answers] == ["Gold", "", "", "Gold"]
    assert asked.ask_many([]) == []


def test_a_reader_that_is_altogether_sure_is_no_overflow(answerer):
    answer = answerer(0.9, Gold={"Gold": 800.0}, Oxygen={"Oxygen": -800.0}).ask(QUESTION)
    assert (answer.score, answer.null_score) == (pytest.approx(1), pytest.approx(0))
    assert answer.runners_up[0].score == pytest.approx(0)


def test_a_cards_calibration_for_searching_is_obeyed(tiny_folder, tmp_path, without_minilm):
    folder = shutil.copytree(tiny_folder, tmp_path / "run")
    load = partial(WikipediaAnswerer.load, folder, folder=tmp_path)
    search = {"temperature": 2.0, "offset": 0.5, "ece": 0.1}
    (folder / "card.json").write_text(json.dumps({"calibration": {"search": search}}))
    documents = [Document("Gold", "Gold is a metal.")]
    assert load(documents=documents).scaling == Scaling(2.0, 0.5)
    (folder / "card.json").write_text(json.dumps({"threshold": 0.2}))
    assert load(documents=documents).scaling == Scaling()


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
        assert found.reader_score == pytest.approx(alone.score, abs=0.02)


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
