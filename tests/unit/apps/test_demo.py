"""The demo without a browser and without a model: what is asked, what is answered, and in turn."""

import asyncio
import json
import re
import socket
from dataclasses import replace

import pytest

from src.apps.demo import server, service
from src.apps.demo.__main__ import main
from src.apps.demo.server import make_application
from src.apps.demo.service import (
    NOT_ENGLISH,
    PASSAGE_CHARACTERS,
    QUESTION_CHARACTERS,
    AnswerService,
    Query,
    looks_foreign,
    parse_query,
)
from src.apps.web import server as web
from src.apps.web.server import Problem
from src.qa import open_domain
from src.qa.documents import OTHER_KIND, Folder
from tests.unit.apps.stand_ins import PASSAGE
from tests.unit.apps.visits import JSON, problem, until, visit

# --- what is asked ---


def test_what_a_browser_sends_becomes_a_query():
    long, longer = "a" * QUESTION_CHARACTERS, "b" * PASSAGE_CHARACTERS
    for question, passage, query in (
        ("  Who? ", None, Query("Who?")),
        ("谁发现了氧？", PASSAGE, Query("谁发现了氧？", PASSAGE)),
        (long, longer, Query(long, longer)),
        ("Who \ud800?", "it \udfff", Query("Who ??", "it ?")),
    ):
        assert parse_query({"question": question, "passage": passage}) == query


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        *((asked, "not a question") for asked in (None, ["Who?"], {}, {"question": "Who?"})),
        ({"question": 7, "passage": None}, "not a question"),
        ({"question": "Who?", "passage": {}}, "not a question"),
        ({"question": "", "passage": None}, "no word in the question"),
        ({"question": "?! 🙂 \u200b", "passage": None}, "no word in the question"),
        ({"question": "a" * 501, "passage": None}, "501 characters; at most 500 are read"),
        ({"question": "Who?", "passage": "\n"}, "no word in the passage"),
        ({"question": "Who?", "passage": "a" * 20_001}, "20,001 characters; at most 20,000"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_clear_sentence(asked, sentence):
    with pytest.raises(Problem, match=sentence) as refused:
        parse_query(asked)
    assert refused.value.status_code == 400 and len(refused.value.sentence) < 100


FOREIGN = """Quelle est la capitale de la France ?
¿Cuál es la capital de Francia?
Wer hat den Sauerstoff entdeckt?
Was ist das?
谁发现了氧？
Кто открыл кислород?"""
ENGLISH = """What is the capital of Côte d'Ivoire?
who was Ludwig van Beethoven
Los Angeles population
When did Qin Shi Huang (秦始皇) die?
Who wrote Das Kapital?
8 + 1?"""


def test_a_question_in_another_language_is_recognised_and_foreign_names_are_none():
    assert [one for one in FOREIGN.splitlines() if not looks_foreign(one)] == []
    assert [one for one in ENGLISH.splitlines() if looks_foreign(one)] == []


# --- what is answered ---


def texts(answer):
    return [candidate["text"] for candidate in answer["candidates"]]


def test_candidates_are_passages_in_three_pieces_and_overlap_no_better_one(answerer):
    asked = AnswerService(answerer)
    found, read = asked.answer(Query("What?")), asked.answer(Query("What?", PASSAGE))
    for result in (found, read):
        assert texts(result) == ["79", "47"] and result["note"] == ""
        for candidate in result["candidates"]:
            assert candidate["before"] + candidate["text"] + candidate["after"] == PASSAGE
    told = [(one["title"], one["score"]) for one in found["candidates"] + read["candidates"]]
    scores = [pytest.approx(score) for score in (0.8, 0.2, 0.9, 0.6)]
    assert told == list(zip(["Gold & co", "Gold & co", "", ""], scores, strict=True))
    assert asked.answer(Query("nothing"))["candidates"] == []
    assert asked.answer(Query("Quel ?", "neither")) == {"candidates": [], "note": NOT_ENGLISH}


# --- over HTTP ---


def asking(visited, question="What?", passage=None):
    return visited.post("ask", {"question": question, "passage": passage})


def test_a_question_is_answered_in_json_and_one_too_long_is_told_how_long_it_is(answerer):
    async def scenario(visited):
        long = "a" * 3_000_000
        return [await asking(visited, "What?", one) for one in (None, "Only 47 here.", long)]

    found, read, refused = visit(scenario, make_application(AnswerService(answerer)))
    assert texts(json.loads(found.body)) == ["79", "47"]
    piece = {"text": "47", "title": "", "place": "", "before": "Only ", "after": " here."}
    expected = {"candidates": [piece | {"score": pytest.approx(0.6)}], "note": ""}
    assert json.loads(read.body) == expected
    assert refused.code == 400 and "3,000,000 characters" in problem(refused)


def test_many_are_answered_in_turn_and_who_would_wait_too_long_is_asked_to_come_again(
    answerer, monkeypatch
):
    monkeypatch.setattr(service, "QUEUE", 3)
    answerer.allowed.clear()

    async def scenario(visited):
        waiting = [asyncio.ensure_future(asking(visited, f"question {i}")) for i in range(8)]
        await until(lambda: sum(one.done() for one in waiting) == 5)
        answerer.allowed.set()
        return await asyncio.gather(*waiting)

    replies = visit(scenario, make_application(AnswerService(answerer)))
    assert sorted(reply.code for reply in replies) == [200] * 3 + [503] * 5
    refused = {problem(reply) for reply in replies if reply.code == 503}
    assert refused == {service.BUSY} and len(answerer.asked) == 3


def test_a_question_whose_asker_has_closed_the_page_is_not_read(answerer):
    answerer.allowed.clear()
    asked = AnswerService(answerer)

    async def scenario(visited):
        first = asyncio.ensure_future(asking(visited, "first"))
        await until(lambda: answerer.asked)
        body = json.dumps({"question": "leaving", "passage": None})
        head = f"POST /ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        kind = f"Content-Type: {JSON['Content-Type']}\r\n\r\n"
        _, writer = await visited.connect((head + kind + body).encode())
        await until(lambda: asked._waiting == 2)
        writer.close()
        await until(lambda: asked._waiting == 1)
        answerer.allowed.set()
        return await first, await asking(visited, "last")

    replies = visit(scenario, make_application(asked))
    assert [reply.code for reply in replies] == [200, 200]
    assert answerer.asked == ["first", "last"]


def test_a_page_tells_what_it_searches_and_offers_wikipedias_questions_for_wikipedia_only(answerer):
    async def scenario(visited):  # by another name of this computer
        return (await visited.fetch(headers={"Host": "classroom.local:8007"})).body.decode()

    asked = AnswerService(answerer)
    own, wikipedia = (
        visit(scenario, make_application(asked, source, local_only=False))
        for source in ("<b>my & texts", "Wikipedia")
    )
    assert "<b>" not in own and "&lt;b&gt;my &amp; texts" in own
    assert server.WIKIPEDIA_QUESTIONS[0] not in own and "CC BY-SA" not in own
    assert server.WIKIPEDIA_QUESTIONS[0] in wikipedia and "CC BY-SA" in wikipedia
    assert "not how high it jumps" in wikipedia and "flea" not in own
    for page in (own, wikipedia):
        assert "12,345 passages" in page and 'data-search="0.3' in page
        assert server.OXYGEN_QUESTIONS[0] in page and 'id="files"' not in page


def test_the_pages_examples_are_answered_refused_and_answered_wrongly_as_it_says():
    answerer = open_domain.WikipediaAnswerer.load()
    answers = [answerer.ask(question) for question in server.WIKIPEDIA_QUESTIONS]
    assert [answer.is_refusal for answer in answers] == [False] * 4 + [True]
    (question,) = server.WRONG
    assert "3 millimetres" in answerer.ask(question).text


def test_the_page_says_which_files_were_read_and_which_not_and_why(answerer):
    async def scenario(visited):
        return (await visited.fetch()).body.decode()

    unread = {"<b>scan.pdf": "3 pages without text", "photo.png": OTHER_KIND}
    folder = Folder([], {"manual.pdf": 7}, unread)
    page = visit(scenario, make_application(AnswerService(answerer), "my texts", texts=folder))
    assert '<details id="files" open>' in page and "Files read: 1; not read: 2" in page
    assert "<strong>&lt;b&gt;scan.pdf</strong>: not read, 3 pages without text" in page
    assert "photo.png" in page and "manual.pdf: 7 passages" in page
    folder.unread.pop("<b>scan.pdf")  # and nothing is urgent
    page = visit(scenario, make_application(AnswerService(answerer), "my texts", texts=folder))
    assert '<details id="files">' in page


def test_a_candidate_says_its_file_and_page(answerer, monkeypatch):
    found = answerer.ask("What?", 0.0).candidates[0]
    paged = replace(found, file="manual.pdf", page=7)
    whole = replace(found, candidates=(paged, replace(paged, page=None), found))
    monkeypatch.setattr(answerer, "ask", lambda *_, **__: whole)
    shown = AnswerService(answerer).answer(Query("What?"))["candidates"]
    assert [one["place"] for one in shown] == ["manual.pdf, page 7", "manual.pdf", ""]


# --- the command ---


@pytest.fixture
def loaded(monkeypatch, answerer):
    """What a WikipediaAnswerer was asked for; serving ends at once, as by the keyboard."""
    asked = []

    def load(model, documents, report):
        asked.append((model, documents))
        return answerer

    async def interrupted(application, listening):
        assert listening.getsockname()[0] == "127.0.0.1"
        listening.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(open_domain.WikipediaAnswerer, "load", load)
    monkeypatch.setattr(web, "serve", interrupted)
    return asked


def test_the_command_says_where_the_page_is_and_ends_quietly_with_the_keyboard(capsys, loaded):
    assert main(["--port", "0"]) == 0
    said = r"Ask Wikipedia: http://127\.0\.0\.1:\d+/   \(Ctrl\+C ends it\)\nEnded\.\n"
    assert re.fullmatch(said, capsys.readouterr().out)
    assert loaded == [("qa-minilm", None)]


def test_the_command_can_ask_a_folder_of_texts(capsys, loaded, tmp_path):
    folder = tmp_path / "my texts"
    folder.mkdir()
    (folder / "one.txt").write_text("Gold has the number 79.")
    for other in ("a.pdf", "b.pdf", "c.png"):
        (folder / other).write_bytes(b"")
    assert main(["--port", "0", "--texts", str(folder)]) == 0
    said = capsys.readouterr()
    assert "Ask my texts: " in said.out
    assert "Not read: a.pdf (empty)\nNot read: b.pdf (empty)\n" in said.err
    assert [document.title for document in loaded[0][1]] == ["one"]


def test_settings_that_cannot_be_are_one_line_before_anything_is_loaded(capsys, loaded):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, sentence in (
            (f"--port {port}", rf"cannot listen on 127\.0\.0\.1:{port} \(.*in use\); choose anot"),
            ("--host no.such.host.invalid", "cannot listen on no.such"),
            ("--port 70000", "65535"),
            ("--texts /no/such/folder --port 0", "/no/such/folder is not a folder"),
            ("--none", "No such option"),
        ):
            assert main(arguments.split()) == 2
            error = capsys.readouterr().err
            assert re.match(rf"error: .*{sentence}", error) and error.count("\n") == 1
    assert loaded == []
