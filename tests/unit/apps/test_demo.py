"""The demo without a browser and without a model: what is asked is checked, and many answered."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time

import pytest
from scipy.stats import binomtest

from src.apps.demo import server
from src.apps.demo.__main__ import main
from src.apps.demo.batcher import Batcher, QueueFull
from src.apps.demo.server import BUSY, make_application
from src.apps.demo.service import (
    NOT_ENGLISH,
    PASSAGE_CHARACTERS,
    QUESTION_CHARACTERS,
    AnswerService,
    Query,
    looks_foreign,
    parse_query,
    search_scaling,
)
from src.apps.web import server as web
from src.apps.web.server import Problem
from src.qa import open_domain
from src.qa.calibration import Scaling
from src.qa.models import ModelError, read_card, released_folder
from tests.unit.apps.stand_ins import PASSAGE, ScriptedAnswerer
from tests.unit.apps.visits import JSON, problem, until, visit

# --- what is asked ---


@pytest.mark.parametrize(
    ("question", "passage", "query"),
    [
        ("  Who? ", None, Query("Who?")),
        ("谁发现了氧？", PASSAGE, Query("谁发现了氧？", PASSAGE)),
        ("a" * QUESTION_CHARACTERS, "b" * PASSAGE_CHARACTERS, Query("a" * 500, "b" * 20_000)),
        ("Who \ud800?", "it \udfff", Query("Who ??", "it ?")),
    ],
)
def test_what_a_browser_sends_becomes_a_query(question, passage, query):
    assert parse_query({"question": question, "passage": passage}) == query


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (None, "not a question"),
        (["Who?"], "not a question"),
        ({}, "not a question"),
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


@pytest.mark.parametrize(
    "question",
    [
        "Quelle est la capitale de la France ?",
        "¿Cuál es la capital de Francia?",
        "Wer hat den Sauerstoff entdeckt?",
        "Was ist das?",
        "谁发现了氧？",
        "Кто открыл кислород?",
    ],
)
def test_a_question_in_another_language_is_recognised(question):
    assert looks_foreign(question)


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Côte d'Ivoire?",
        "who was Ludwig van Beethoven",
        "Los Angeles population",
        "When did Qin Shi Huang (秦始皇) die?",
        "Who wrote Das Kapital?",
        "8 + 1?",
    ],
)
def test_an_english_question_with_foreign_names_is_not_called_foreign(question):
    assert not looks_foreign(question)


# --- what is answered ---


def test_questions_of_both_kinds_get_their_own_answers_in_their_order(answerer):
    queries = [Query("one", "47 alone"), Query("two"), Query("nothing"), Query("Quel ?", "neither")]
    results = AnswerService(answerer).answer(queries)
    texts = [[candidate["text"] for candidate in result["candidates"]] for result in results]
    assert texts == [["47"], ["79", "47"], [], []]
    assert [result["note"] for result in results] == ["", "", "", NOT_ENGLISH]


def test_a_candidate_is_its_passage_in_three_pieces_and_overlaps_no_better_one(answerer):
    found, read = AnswerService(answerer).answer([Query("What?"), Query("What?", PASSAGE)])
    for result in (found, read):
        assert [candidate["text"] for candidate in result["candidates"]] == ["79", "47"]
        for candidate in result["candidates"]:
            assert candidate["before"] + candidate["text"] + candidate["after"] == PASSAGE
    told = [(one["title"], one["score"]) for one in found["candidates"] + read["candidates"]]
    scores = [pytest.approx(score) for score in (0.8, 0.2, 0.9, 0.6)]
    assert told == list(zip(["Gold & co", "Gold & co", "", ""], scores, strict=True))
    json.dumps([found, read])


def test_scores_of_searches_and_their_threshold_are_scaled_and_those_of_a_passage_not(answerer):
    scaling, queries = Scaling(2.0, -1.0), [Query("What?"), Query("What?", PASSAGE)]
    plain, scaled = AnswerService(answerer), AnswerService(answerer, scaling)
    assert plain.thresholds == pytest.approx({"search": 0.3, "passage": 0.1})
    assert scaled.thresholds == pytest.approx({"search": float(scaling(0.3)), "passage": 0.1})
    (found, read), (found_scaled, read_scaled) = plain.answer(queries), scaled.answer(queries)
    scores = [candidate["score"] for candidate in found_scaled["candidates"]]
    assert scores == pytest.approx([float(scaling(one["score"])) for one in found["candidates"]])
    assert read == read_scaled


def test_a_cards_calibration_for_searching_is_obeyed(tmp_path):
    card = tmp_path / "card.json"
    search = {"temperature": 2.0, "offset": 0.5, "ece": 0.1}
    card.write_text(json.dumps({"threshold": 0.2, "calibration": {"search": search}}))
    assert search_scaling(tmp_path) == Scaling(2.0, 0.5)
    card.write_text(json.dumps({"threshold": 0.2}))
    assert search_scaling(tmp_path) == search_scaling("no such weights") == Scaling()


@pytest.mark.parametrize(
    "search",
    [{}, {"temperature": 0, "offset": 0}, {"temperature": 1.0, "offset": float("nan")}, "1.0"],
)
def test_a_card_with_a_damaged_calibration_is_one_sentence(tmp_path, search):
    (tmp_path / "card.json").write_text(json.dumps({"calibration": {"search": search}}))
    with pytest.raises(ModelError, match="calibration for searching is damaged") as error:
        search_scaling(tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_the_shipped_readers_scores_of_searches_were_made_truer():
    """After new weights: tools/calibrate_weights.py --search."""
    assert search_scaling("qa-minilm") != Scaling()
    entry = read_card(released_folder("qa-minilm"))["calibration"]["search"]
    assert entry["ece_scaled"] < entry["ece"] and entry["questions"] >= 400
    sure = binomtest(entry["sure_and_right"], entry["sure"]).proportion_ci(method="wilson")
    assert sure.high >= 0.9, "as far as so few can tell"


# --- many at once ---


class Doubler:
    """Doubles numbers, when it is allowed to; raises for negative ones; notes its batches."""

    def __init__(self):
        self.allowed = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, items):
        self.batches.append(list(items))
        assert self.allowed.wait(10)
        if min(items) < 0:
            raise ValueError(f"negative: {min(items)}")
        return [2 * item for item in items]


def asked_together(items, **batching):
    """Results or errors of items asked at once, and the batches in which they were read."""

    async def scenario():
        reader = Doubler()
        batcher = Batcher(reader, **batching)
        asked = [asyncio.create_task(batcher.ask(item)) for item in items]
        await until(lambda: reader.batches)
        reader.allowed.set()
        return await asyncio.gather(*asked, return_exceptions=True), reader.batches

    return asyncio.run(scenario())


def test_those_who_wait_are_answered_together_and_each_gets_their_own_answer():
    results, batches = asked_together(range(10), batch_size=4)
    assert results == [2 * i for i in range(10)]
    assert sorted(item for batch in batches for item in batch) == list(range(10))
    assert len(batches) <= 4 and max(map(len, batches)) == 4


def test_what_several_ask_is_read_once():
    results, batches = asked_together([1, 7, 7, 7, 8])
    assert results == [2, 14, 14, 14, 16] and sorted(
        item for batch in batches for item in batch
    ) == [1, 7, 8]


def test_one_that_fails_spoils_no_other():
    (one, five, two, six, three), _ = asked_together([1, -5, 2, -6, 3])
    assert (one, two, three) == (2, 4, 6)
    assert (str(five), str(six)) == ("negative: -5", "negative: -6")


def test_when_too_many_wait_the_next_is_told_so_and_who_leaves_frees_a_place():
    async def scenario():
        reader = Doubler()
        batcher = Batcher(reader, batch_size=1, queue_size=2)
        first = asyncio.create_task(batcher.ask(1))
        await until(lambda: reader.batches)  # one is being read, two wait
        leaving, staying = (asyncio.create_task(batcher.ask(i)) for i in (2, 3))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await batcher.ask(4)
        leaving.cancel()
        await asyncio.sleep(0.01)
        last = asyncio.create_task(batcher.ask(5))
        first.cancel()  # while it is being read
        reader.allowed.set()
        assert await asyncio.gather(staying, last) == [6, 10] and leaving.cancelled()
        assert await batcher.ask(6) == 12
        return reader.batches

    assert asyncio.run(scenario()) == [[1], [3], [5], [6]]


# --- over HTTP ---


def asking(visited, question="What?", passage=None):
    return visited.post("ask", {"question": question, "passage": passage})


def test_a_question_is_answered_in_json(answerer):
    async def scenario(visited):
        return await asking(visited), await asking(visited, "What?", "Only 47 here.")

    found, read = visit(scenario, make_application(AnswerService(answerer)))
    assert [one["text"] for one in json.loads(found.body)["candidates"]] == ["79", "47"]
    piece = {"text": "47", "title": "", "before": "Only ", "after": " here."}
    expected = {"candidates": [piece | {"score": pytest.approx(0.6)}], "note": ""}
    assert json.loads(read.body) == expected


def test_a_text_far_too_long_is_told_how_long_it_is(answerer):
    async def scenario(visited):
        return await asking(visited, "Who?", "a" * 3_000_000)

    reply = visit(scenario, make_application(AnswerService(answerer)))
    assert reply.code == 400 and "3,000,000 characters" in problem(reply)


class Slow(ScriptedAnswerer):
    """Takes its time, as a model does."""

    def ask_many(self, questions, n, threshold):
        time.sleep(0.02 + 0.002 * len(questions))
        return super().ask_many(questions, n, threshold)


def test_when_the_queue_is_full_people_are_asked_to_come_again():
    async def scenario(visited):
        return await asyncio.gather(*(asking(visited, f"question {i}") for i in range(12)))

    application = make_application(AnswerService(Slow()), batch_size=1, queue_size=2)
    replies = visit(scenario, application)
    assert {reply.code for reply in replies} == {200, 503}
    assert {problem(reply) for reply in replies if reply.code == 503} == {BUSY}


def test_a_question_whose_asker_has_closed_the_page_is_not_read():
    class Stopped(ScriptedAnswerer):
        allowed = threading.Event()

        def ask_many(self, questions, n, threshold):
            found = super().ask_many(questions, n, threshold)
            assert self.allowed.wait(10)
            return found

    answerer = Stopped()

    async def scenario(visited):
        first = asyncio.ensure_future(asking(visited, "first"))
        await until(lambda: answerer.batches)
        body = json.dumps({"question": "leaving", "passage": None})
        head = f"POST /ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        kind = f"Content-Type: {JSON['Content-Type']}\r\n\r\n"
        _, writer = await visited.connect((head + kind + body).encode())
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.sleep(0.1)
        answerer.allowed.set()
        return await first, await asking(visited, "last")

    replies = visit(scenario, make_application(AnswerService(answerer)))
    assert [reply.code for reply in replies] == [200, 200]
    assert answerer.batches == [["first"], ["last"]]


def test_a_page_tells_what_it_searches_and_offers_wikipedias_questions_for_wikipedia_only(answerer):
    async def scenario(visited):  # by another name of this computer
        return (await visited.fetch(headers={"Host": "classroom.local:8007"})).body.decode()

    service = AnswerService(answerer)
    own, wikipedia = (
        visit(scenario, make_application(service, source, local_only=False))
        for source in ("<b>my & texts", "Wikipedia")
    )
    assert "<b>" not in own and "&lt;b&gt;my &amp; texts" in own
    assert server.WIKIPEDIA_QUESTIONS[0] not in own and "CC BY-SA" not in own
    assert server.WIKIPEDIA_QUESTIONS[0] in wikipedia and "CC BY-SA" in wikipedia
    for page in (own, wikipedia):
        assert "12,345 passages" in page and 'data-search="0.3' in page
        assert server.OXYGEN_QUESTIONS[0] in page


# --- the command ---


@pytest.fixture
def loaded(monkeypatch, answerer):
    """What a WikipediaAnswerer was asked for; serving ends at once, as by the keyboard."""
    asked = []

    def load(model, documents, report):
        asked.append((model, documents))
        return answerer

    async def interrupted(application, listening):
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
    assert f"Not read in {folder}: 2 .pdf, 1 .png; save as .txt or .md" in said.err
    assert [document.title for document in loaded[0][1]] == ["one"]


def test_a_port_that_is_taken_is_said_before_anything_is_loaded(capsys, loaded):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    said = rf"error: cannot listen on 127\.0\.0\.1:{port} \(.*in use\); choose another --port or "
    assert re.match(said, capsys.readouterr().err) and loaded == []


@pytest.mark.parametrize(
    "arguments",
    ["--host no.such.host.invalid", "--port 70000", "--texts /no/such/folder --port 0", "--none"],
)
def test_settings_that_cannot_be_are_one_line(capsys, loaded, arguments):
    assert main(arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and loaded == []
