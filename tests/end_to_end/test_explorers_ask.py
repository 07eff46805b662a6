"""The page that asks Wikipedia finds, chooses and refuses as Python does, and shows its sources."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from src.qa import load_squad, open_domain, retriever
from src.qa.calibration import Scaling
from src.qa.course_set import open_domain_questions
from src.qa.decoding import Answer, Candidate
from src.qa.documents import Document, wikipedia
from src.qa.keyword import KeywordIndex
from src.qa.retriever import Hit, fuse, top_k
from tests.end_to_end.test_explorers import (
    HOSTILE,
    ODD,
    SELECTED,
    only_from,
    visit,
)
from tools import explorers, page_search

QUESTIONS = (
    "Why is the sky blue?",
    "Which cities did the Romans' armies destroy?",
    "Who wrote O'Reilly’s 1990s stories, and about bees?",
    "What does 光合作用 mean, and naïve CAFÉ?",
    "xyzzyx qwxz",
)


@pytest.fixture(scope="module")
def parts(browser, site: Path):
    """The page's scripts by themselves, without models."""
    (site / "parts.html").write_text('<meta charset="utf-8"><script src="explorers.js"></script>')
    browser.open((site / "parts.html").as_uri())
    browser.run("Explorers.workerParts.forEach((part) => part()); S = Explorers.searching({}); 0")
    return browser


def given(settings: dict, documents: list) -> str:
    """JavaScript that hands documents to the search."""
    text = json.dumps(json.dumps(documents))
    bytes_ = f"new TextEncoder().encode({text})"
    return f"S.introductions({{bytes: {bytes_}, settings: {json.dumps(settings)}}}).then(() => 0)"


def test_words_find_what_python_finds_in_the_same_order(parts):
    documents = [*wikipedia()[:600], *(Document(f"{text} {text}", text) for text in ODD)]
    about = {"models": {"reader": {"graph": "qa-minilm.onnx"}, "heads": {}}}
    page_search.add(about)
    settings = about["models"]["ask"]["settings"]
    parts.run(given(settings, [[one.title, one.text] for one in documents]))
    index = KeywordIndex.build(documents)
    for question in (*QUESTIONS, *(text for text in ODD if text.strip())):
        scores = index.scores(question)
        wanted = [number for number in top_k(scores, 100) if scores[number] > 0]
        asked = json.dumps({"question": question, "pool": 100})
        assert parts.run(f"S.byWords({asked})") == wanted
    assert about["ask"]["search"]["pool"] == retriever.POOL


def test_rankings_are_joined_as_in_python(parts):
    rng = random.Random(1)
    for constant in (1, retriever.FUSION):
        rankings = [rng.sample(range(40), 20) for _ in range(2)]
        made = parts.run(f"Explorers.fuse({json.dumps(rankings)}, {constant})")
        assert made == list(fuse(rankings, constant))


def test_the_best_of_all_passages_is_chosen_as_in_python(parts):
    rng, texts = random.Random(2), ("Paris", "the city of Paris", "in 1889", "1889", "nobody", "a")
    how = page_search.about("qa-minilm")["choose"]
    for scaling in (Scaling(), Scaling(1.16, 0.52)):
        hits, answers = [], []
        for number in range(5):
            spans = sorted((rng.uniform(-8, 12) for _ in range(rng.randrange(8))), reverse=True)
            found = tuple(Candidate(rng.choice(texts), 1, 4, logit, 0.5) for logit in spans)
            hits.append(Hit(number, Document(f"T{number}", "x"), 0.0))
            answers.append(Answer("", 0, 0, 0.0, 1.0, found[:5], rng.uniform(-6, 6)))
        wanted = open_domain.choose(hits, answers, 0.0, scaling).candidates
        read = [
            {"candidates": [vars(one) for one in answer.candidates], "nullLogit": answer.null_logit}
            for answer in answers
        ]
        settings = how | {"scaling": vars(scaling)}
        made = parts.run(f"C = Explorers.choose({json.dumps(read)}, {json.dumps(settings)})")
        got = [(one["text"], f"T{one['rank'] - 1}") for one in made["candidates"]]
        assert got == [(one.text, one.title) for one in wanted]
        for one, other in zip(made["candidates"], wanted, strict=True):
            assert one["score"] == pytest.approx(other.score, abs=1e-9)
            assert one["nullScore"] == pytest.approx(other.null_score, abs=1e-9)
        assert parts.run(f"C.belief({json.dumps(wanted[0].text)})") == pytest.approx(
            wanted[0].score, abs=1e-9
        )


def test_int8_vectors_keep_cosines():
    vectors = np.random.default_rng(0).normal(size=(50, 384))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    small = page_search.quantised(vectors).astype(float)
    small /= np.linalg.norm(small, axis=1, keepdims=True)
    assert np.abs(small @ vectors.T - vectors @ vectors.T).max() < 2e-3


SHOWN = """({
  answer: document.querySelector('.verdict .answer').innerText,
  verdict: document.querySelector('.verdict').innerText,
  mark: document.querySelector('mark')?.textContent,
  source: document.querySelector('.source').innerText,
  titles: [...document.querySelectorAll('.found th button')].map((one) => one.innerText),
})"""

# Of the files of some models.
MEGABYTES = """[...new Set(%s.flatMap((model) => Explorers.filesOf(model)))]
  .reduce((sum, name) => sum + Explorers.about.files[name].bytes, 0) / 1e6"""


def test_it_answers_by_words_and_says_what_the_answer_hangs_on(browser, served):
    visit(browser, f"{served}ask.html#{urlencode({'q': QUESTIONS[0], 'm': 0})}")
    browser.click("input[type=text]")
    browser.wait(SELECTED)
    shown = browser.run(SHOWN)
    assert "Rayleigh scattering" in shown["answer"] and shown["mark"] == shown["answer"]
    assert "Wikipedia" in shown["source"] and "CC BY-SA 4.0" in shown["source"]
    documents = wikipedia()
    scores = KeywordIndex.build(documents).scores(QUESTIONS[0])
    assert shown["titles"] == [documents[number].title for number in top_k(scores, 10)]
    browser.click(".evidence button")
    browser.wait("document.querySelector('.evidence table') !== null", 300)
    rows = browser.run("[...document.querySelectorAll('.evidence tr')].map((r) => r.innerText)")
    (hangs,) = [row for row in rows if "Rayleigh" in row]
    before, after = (int(one.split()[-1]) for one in hangs.split("%")[:2])
    assert after < before / 2, "without the sentence that says it, the answer is hardly believed"
    browser.run("document.querySelector('input[type=range]').focus()")
    browser.press("End")
    assert browser.text(".verdict .answer") == "I don’t know."
    assert "t=1" in browser.run("location.hash")
    browser.click(".found tr:nth-of-type(2) button")
    assert browser.text(".source h2") == shown["titles"][1]
    assert only_from(browser, served)
    told = [int(number) for number in re.findall(r"(\d+) MB", explorers.opener("ask"))]
    assert browser.run(MEGABYTES % ["ask"]) < told[0]
    assert browser.run(MEGABYTES % ["ask", "meaning"]) == pytest.approx(told[1], abs=1)


def test_a_page_opened_as_a_file_answers_too(browser, site):
    visit(browser, (site / "ask.html").as_uri())
    assert browser.text(".verdict .answer")
    assert only_from(browser, "file:")


@pytest.mark.full
def test_meaning_finds_what_words_do_not(browser, served):
    visit(browser, f"{served}ask.html#{urlencode({'q': 'Why do leaves look green?', 'm': 1})}")
    assert "chlorophyll" in browser.run(SHOWN)["answer"]
    documents, same = retriever.Retriever.open(), 0
    questions = open_domain_questions(load_squad("course")["test"])["question"][:]
    for question in questions:
        asked = json.dumps({"question": question, "pool": 100, "longest": 256, "name": "meaning"})
        got = browser.run(f"""Promise.all([["ask", "byWords"], ["meaning", "byMeaning"]]
          .map(([model, task]) => Explorers.helper(model).then((one) => one.do(task, {asked}))))
          .then((rankings) => Explorers.fuse(rankings, {retriever.FUSION}).slice(0, 5))""")
        same += {*got} == {hit.number for hit in documents.search(question, 5)}
    assert same >= 0.95 * len(questions) > 200


def test_a_refusal_says_why(browser, served):
    visit(browser, f"{served}ask.html#{urlencode({'q': HOSTILE})}")
    assert browser.text(".verdict .answer") == "I don’t know."
    assert "Why: the best guess is" in browser.text(".verdict")
