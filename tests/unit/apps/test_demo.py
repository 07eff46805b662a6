"""The demo without a browser and without a model: what is asked is checked, many are answered together, and the page is safe."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from tornado.httpclient import AsyncHTTPClient

from src.apps.demo import server
from src.apps.demo.__main__ import main
from src.apps.demo.batcher import Batcher, TooMany
from src.apps.demo.desk import NOT_ENGLISH, PASSAGE_CHARACTERS, QUESTION_CHARACTERS, Desk, Question, checked, looks_foreign
from src.apps.demo.server import BUSY, FAILED, FOLDER, address, bind, make_application, serve
from src.qa import retrieval
from src.qa.calibration import Scaling, wilson
from src.qa.decoding import Answer, Candidate
from src.qa.models import ModelError, read_card, released_folder
from src.qa.retrieval import Found, OpenAnswer

PASSAGE = "🙂 Gold <b>79</b> & silver 47."
FILES = {name: (FOLDER / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "page.js")}


def span(passage, text, score):
    start = passage.index(text)
    return Candidate(text, start, start + len(text), 0.0, score)


class ScriptedReader:
    """Stands in for a QuestionAnswerer: whichever of some spans the passage holds, overlapping ones among them."""

    threshold = 0.1
    spans = (("79", 0.9), ("Gold <b>79", 0.8), ("79</b>", 0.7), ("47", 0.6), ("silver 47", 0.5))

    def __call__(self, questions, passages, threshold, n_best):
        assert threshold == 0.0 and len(questions) == len(passages)
        held = [tuple(span(passage, *s) for s in self.spans if s[0] in passage) for passage in passages]
        return [Answer("", 0, 0, 0.9, 0.1, candidates) for candidates in held]


class Scripted:
    """Stands in for a WikipediaAnswerer: finds 79, then 47. Questions with "trouble" in them break it."""

    threshold = 0.3

    def __init__(self):
        self.retriever = SimpleNamespace(documents=[None] * 12_345)
        self.reader = ScriptedReader()
        self.batches: list[list[str]] = []

    def ask_many(self, questions, n, threshold):
        assert threshold == 0.0
        self.batches.append(list(questions))
        if any("trouble" in question for question in questions):
            raise RuntimeError("trouble")
        spans = [span(PASSAGE, "79", 0.8), span(PASSAGE, "47", 0.2)]
        found = tuple(Found(s.text, s.start, s.end, "Gold & co", PASSAGE, s.score, s.score, 1.0) for s in spans)
        return [OpenAnswer("", 0, 0, "", "", 0.8, 1.0, () if "nothing" in question else found) for question in questions]


# --- the desk -------------------------------------------------------------------------------------------------------------


def test_what_a_browser_sends_becomes_a_question():
    assert checked({"question": "  Who? ", "passage": None}) == Question("Who?")
    assert checked({"question": "Who?"}) == Question("Who?", None)
    assert checked({"question": "谁发现了氧？", "passage": PASSAGE}) == Question("谁发现了氧？", PASSAGE)
    longest = "a" * QUESTION_CHARACTERS
    assert checked({"question": longest, "passage": "b" * PASSAGE_CHARACTERS}).text == longest


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (None, "not a question"),
        (["Who?"], "not a question"),
        ({}, "question is not text"),
        ({"question": 7}, "question is not text"),
        ({"question": ""}, "no word in the question"),
        ({"question": " \t\n"}, "no word in the question"),
        ({"question": "?! 🙂 \u200b"}, "no word in the question"),
        ({"question": "a" * (QUESTION_CHARACTERS + 1)}, "501 characters; at most 500 are read"),
        ({"question": "Who \ud800?"}, "question holds characters that are no text"),
        ({"question": "Who?", "passage": ""}, "no word in the passage"),
        ({"question": "Who?", "passage": {}}, "passage is not text"),
        ({"question": "Who?", "passage": "a" * 20_001}, "20,001 characters; at most 20,000"),
        ({"question": "Who?", "passage": "it \udfff"}, "passage holds characters that are no text"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_clear_sentence(asked, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        checked(asked)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value) and len(str(refused.value)) < 100


@pytest.mark.parametrize(
    "question",
    [
        "Quelle est la capitale de la France ?",
        "¿Cuál es la capital de Francia?",
        "Wer hat den Sauerstoff entdeckt?",
        "Was ist das?",
        "谁发现了氧？",
        "Кто открыл кислород?",
        "ऑक्सीजन की खोज किसने की?",
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
        "oxygen atomic number",
        "Vincent van der Waals?",
        "Who wrote Das Kapital?",
        "8 + 1?",
    ],
)
def test_an_english_question_with_foreign_names_is_not_called_foreign(question):
    assert not looks_foreign(question)


def test_the_three_pieces_of_every_candidate_are_its_passage():
    found, read = Desk(Scripted()).answer([Question("What?"), Question("What?", PASSAGE)])
    for result in (found, read):
        assert {candidate["before"] + candidate["text"] + candidate["after"] for candidate in result["candidates"]} == {PASSAGE}
    assert [(c["text"], c["title"], c["score"]) for c in found["candidates"]] == [
        ("79", "Gold & co", pytest.approx(0.8)),
        ("47", "Gold & co", pytest.approx(0.2)),
    ]
    json.dumps([found, read])


def test_runners_up_in_a_passage_of_ones_own_do_not_overlap_a_better_answer():
    (result,) = Desk(Scripted()).answer([Question("What?", PASSAGE)])
    assert [candidate["text"] for candidate in result["candidates"]] == ["79", "47"]


def test_questions_of_both_kinds_get_their_own_answers_in_their_order():
    questions = [Question("one", "47 alone"), Question("two"), Question("nothing"), Question("Quel est-ce ?", "neither")]
    results = Desk(Scripted()).answer(questions)
    assert [[c["text"] for c in result["candidates"]] for result in results] == [["47"], ["79", "47"], [], []]
    assert [result["note"] for result in results] == ["", "", "", NOT_ENGLISH]


def test_scores_and_threshold_of_searched_passages_are_scaled_together_and_those_of_a_given_one_are_the_readers():
    scaling, questions = Scaling(2.0, -1.0), [Question("What?"), Question("What?", PASSAGE)]
    plain, scaled = Desk(Scripted()), Desk(Scripted(), scaling)
    assert plain.thresholds == pytest.approx({"search": 0.3, "passage": 0.1})
    assert scaled.thresholds == pytest.approx({"search": float(scaling(0.3)), "passage": 0.1})
    (found, read), (found_scaled, read_scaled) = plain.answer(questions), scaled.answer(questions)
    for one, other in zip(found["candidates"], found_scaled["candidates"], strict=True):
        assert other["score"] == pytest.approx(float(scaling(one["score"])))
        assert (one["score"] >= plain.thresholds["search"]) == (other["score"] >= scaled.thresholds["search"])
    assert read == read_scaled and [candidate["score"] for candidate in read["candidates"]] == [0.9, 0.6]


# --- many at once ---------------------------------------------------------------------------------------------------------


class Reader:
    """Doubles numbers, when it is allowed to; raises for negative ones; notes its batches."""

    def __init__(self, waiting=False):
        self.allowed = threading.Event()
        self.batches: list[list[int]] = []
        if not waiting:
            self.allowed.set()

    def __call__(self, items):
        self.batches.append(list(items))
        assert self.allowed.wait(10)
        if min(items) < 0:
            raise ValueError(f"negative: {min(items)}")
        return [2 * item for item in items]


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen within ten seconds")


def test_those_who_wait_are_answered_together_and_each_gets_their_own_answer():
    async def scenario():
        reader = Reader(waiting=True)
        batcher = Batcher(reader, most_together=4)
        asked = [asyncio.create_task(batcher.ask(i)) for i in range(10)]
        await until(lambda: reader.batches)
        reader.allowed.set()
        assert await asyncio.gather(*asked) == [2 * i for i in range(10)]
        return reader.batches

    batches = asyncio.run(scenario())
    assert sorted(item for batch in batches for item in batch) == list(range(10)) and len(batches) <= 4 and max(map(len, batches)) == 4


def test_what_several_ask_is_read_once():
    async def scenario():
        reader = Reader(waiting=True)
        batcher = Batcher(reader)
        asked = [asyncio.create_task(batcher.ask(i)) for i in (1, 7, 7, 7, 8)]
        await until(lambda: reader.batches)
        reader.allowed.set()
        assert await asyncio.gather(*asked) == [2, 14, 14, 14, 16]
        return reader.batches

    assert sum(len(batch) for batch in asyncio.run(scenario())) == 3


def test_one_that_fails_spoils_no_other():
    async def scenario():
        batcher = Batcher(Reader())
        return await asyncio.gather(*(batcher.ask(i) for i in (1, -5, 2, -6, 3)), return_exceptions=True)

    one, five, two, six, three = asyncio.run(scenario())
    assert (one, two, three) == (2, 4, 6)
    assert (str(five), str(six)) == ("negative: -5", "negative: -6")


def test_when_too_many_wait_the_next_is_told_so_and_later_ones_are_answered():
    async def scenario():
        reader = Reader(waiting=True)
        batcher = Batcher(reader, most_together=1, most_waiting=3)
        asked = [asyncio.create_task(batcher.ask(0))]
        await until(lambda: reader.batches)  # one is being read, three wait
        asked += [asyncio.create_task(batcher.ask(i)) for i in (1, 2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(TooMany):
            await batcher.ask(4)
        reader.allowed.set()
        assert await asyncio.gather(*asked) == [0, 2, 4, 6]
        assert await batcher.ask(5) == 10

    asyncio.run(scenario())


def test_who_leaves_is_not_read_for_and_frees_their_place():
    async def scenario():
        reader = Reader(waiting=True)
        batcher = Batcher(reader, most_together=1, most_waiting=2)
        first = asyncio.create_task(batcher.ask(1))
        await until(lambda: reader.batches)
        leaving, staying = (asyncio.create_task(batcher.ask(i)) for i in (2, 3))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0.01)
        last = asyncio.create_task(batcher.ask(4))
        first.cancel()  # while it is being read
        reader.allowed.set()
        assert await asyncio.gather(staying, last) == [6, 8] and leaving.cancelled()
        return reader.batches

    assert asyncio.run(scenario()) == [[1], [3], [4]]


# --- over HTTP ------------------------------------------------------------------------------------------------------------


def visit(scenario, answerer=None, source="Wikipedia", local_only=True, **batching):
    """Run `await scenario(url, fetch)` against a server on a port of its own; fetch gives any status without raising."""

    async def visited():
        listening = bind("127.0.0.1", 0)
        serving = asyncio.create_task(serve(make_application(Desk(answerer or Scripted()), source, local_only, **batching), listening))
        client = AsyncHTTPClient(force_instance=True, max_clients=100)

        async def fetch(url, **options):
            return await client.fetch(url, raise_error=False, request_timeout=60, **options)

        try:
            return await scenario(address(listening), fetch)
        finally:
            client.close()
            serving.cancel()

    return asyncio.run(visited())


JSON = {"Content-Type": "application/json"}


def asking(fetch, url, question="What?", **more):
    return fetch(f"{url}ask", method="POST", headers=JSON, body=json.dumps({"question": question, **more}))


def test_the_page_and_its_files_are_served_with_headers_that_keep_the_browser_here():
    async def scenario(url, fetch):
        return [await fetch(f"{url}{name}") for name in ("", "page.css", "page.js")]

    pages = visit(scenario)
    assert [page.code for page in pages] == [200, 200, 200]
    kinds = [page.headers["Content-Type"].split(";")[0].replace("application/", "text/") for page in pages]
    assert kinds == ["text/html", "text/css", "text/javascript"]
    for page in pages:
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'") and "unsafe" not in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff" and page.headers["Referrer-Policy"] == "no-referrer"
    assert "12,345 passages" in pages[0].body.decode() and 'data-search="0.3' in pages[0].body.decode()


def test_a_question_is_answered_in_json():
    async def scenario(url, fetch):
        return await asking(fetch, url), await asking(fetch, url, passage="Only 47 here."), await asking(fetch, url, "nothing at all")

    found, read, nothing = map(lambda reply: json.loads(reply.body), visit(scenario))
    assert [candidate["text"] for candidate in found["candidates"]] == ["79", "47"]
    assert read == {
        "candidates": [{"text": "47", "title": "", "before": "Only ", "after": " here.", "score": pytest.approx(0.6)}],
        "note": "",
    }
    assert nothing == {"candidates": [], "note": ""}


@pytest.mark.parametrize(
    ("body", "headers", "status", "sentence"),
    [
        (b"{", JSON, 400, "not JSON"),
        (b"\xff\xfe", JSON, 400, "not JSON"),
        (b"[" * 100_000, JSON, 400, "not JSON"),
        (b'"text"', JSON, 400, "not a question"),
        (b'{"question": "Who \\ud800?"}', JSON, 400, "characters that are no text"),
        (b'{"question": "' + b"a" * 3_000_000 + b'"}', JSON, 400, "3,000,000 characters"),
        (b'{"question": "Who?"}', {"Content-Type": "text/plain"}, 400, "not JSON"),
        (b'{"question": "Who?"}', JSON | {"Host": "elsewhere.example"}, 403, "this computer only"),
    ],
)
def test_hostile_requests_are_refused_in_one_sentence_and_the_server_goes_on(body, headers, status, sentence):
    async def scenario(url, fetch):
        refused = await fetch(f"{url}ask", method="POST", headers=headers, body=body)
        return refused, await asking(fetch, url)

    refused, after = visit(scenario)
    assert refused.code == status and sentence in json.loads(refused.body)["problem"]
    assert after.code == 200


@pytest.mark.parametrize(("path", "method", "status"), [("nowhere", "GET", 404), ("../server.py", "GET", 404), ("ask", "GET", 405)])
def test_other_addresses_and_methods_hold_nothing(path, method, status):
    async def scenario(url, fetch):
        return await fetch(f"{url}{path}", method=method)

    reply = visit(scenario)
    assert reply.code == status and json.loads(reply.body)["problem"].endswith(".")


def test_where_the_network_may_ask_other_names_of_this_computer_are_answered():
    async def scenario(url, fetch):
        return await fetch(url, headers={"Host": "classroom.local:8007"})

    assert visit(scenario, local_only=False).code == 200


def test_trouble_of_one_question_is_told_in_a_sentence_without_its_details(caplog):
    async def scenario(url, fetch):
        return await asyncio.gather(asking(fetch, url, "trouble"), *(asking(fetch, url, f"fine {i}") for i in range(5)))

    trouble, *fine = visit(scenario)
    assert trouble.code == 500 and json.loads(trouble.body) == {"problem": FAILED}
    assert [reply.code for reply in fine] == [200] * 5
    assert "RuntimeError: trouble" in caplog.text  # the terminal says what


class Slow(Scripted):
    """Takes its time, as a model does."""

    def ask_many(self, questions, n, threshold):
        time.sleep(0.02 + 0.002 * len(questions))
        return super().ask_many(questions, n, threshold)


def test_fifty_people_at_once_are_all_answered():
    async def scenario(url, fetch):
        replies = []
        for i in range(4):
            replies += await asyncio.gather(*(asking(fetch, url, f"person {person}, question {i}") for person in range(50)))
        return replies

    answerer = Slow()
    replies = visit(scenario, answerer)
    assert [reply.code for reply in replies] == [200] * 200
    assert len(answerer.batches) < 100, "they were answered together"


def test_when_the_queue_is_full_people_are_asked_to_come_again():
    async def scenario(url, fetch):
        return await asyncio.gather(*(asking(fetch, url, f"question {i}") for i in range(12)))

    replies = visit(scenario, Slow(), most_together=1, most_waiting=2)
    assert {reply.code for reply in replies} == {200, 503}
    assert {json.loads(reply.body).get("problem") for reply in replies} == {None, BUSY}


def test_a_question_whose_asker_has_closed_the_page_is_not_read():
    class Stopped(Scripted):
        allowed = threading.Event()

        def ask_many(self, questions, n, threshold):
            found = super().ask_many(questions, n, threshold)
            assert self.allowed.wait(10)
            return found

    answerer = Stopped()

    async def scenario(url, fetch):
        first = asyncio.ensure_future(asking(fetch, url, "first"))
        await until(lambda: answerer.batches)
        port = int(url.rstrip("/").rsplit(":", 1)[1])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        body = b'{"question": "leaving"}'
        writer.write(b"POST /ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.sleep(0.1)
        answerer.allowed.set()
        return await first, await asking(fetch, url, "last")

    assert [reply.code for reply in visit(scenario, answerer)] == [200, 200]
    assert answerer.batches == [["first"], ["last"]]


# --- the page -------------------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Every element of a page as (name, attributes)."""

    def __init__(self, text):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def page(**options):
    async def scenario(url, fetch):
        return (await fetch(url)).body.decode()

    return visit(scenario, **options)


def test_nothing_on_the_page_comes_from_elsewhere_or_runs_from_within_it():
    for name, text in FILES.items():
        assert not re.search(r"(https?:)?//\w|@import|url\(", re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)), name
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", FILES["page.js"])
    for tag, attributes in Elements(page()).found:
        assert tag not in ("style", "iframe", "object", "embed", "base") and "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert tag != "script" or attributes["src"] == "page.js"


def test_every_field_has_a_label_and_every_part_a_heading():
    elements = Elements(page()).found
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {attributes["for"] for tag, attributes in elements if tag == "label" and "for" in attributes}
    for tag, attributes in elements:
        if tag in ("input", "textarea") and attributes.get("type") != "radio":  # those stand inside their labels
            assert attributes["id"] in labels
        for reference in ("aria-labelledby", "aria-describedby"):
            assert reference not in attributes or attributes[reference] in ids
        assert "tabindex" not in attributes, "the order of the page is the order of the keyboard"
    assert sum(tag == "section" for tag, _ in elements) == sum(tag == "h2" for tag, _ in elements) == 3
    assert ("html", {"lang": "en"}) in elements


def test_a_folder_of_texts_with_markup_in_its_name_is_shown_as_text_and_gets_no_questions_of_wikipedia():
    text = page(source="<b>my & texts")
    assert "<b>" not in text and "&lt;b&gt;my &amp; texts" in text
    assert server.TO_SEARCH[0] not in text and server.TO_READ[0] in text and "CC BY-SA" not in text
    assert server.TO_SEARCH[0] in page() and "CC BY-SA" in page()


# --- the command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_model(monkeypatch):
    """WikipediaAnswerer.load gives the stand-in, and notes what it was asked for."""
    asked = []

    def load(model, documents, report):
        asked.append((model, documents))
        return Scripted()

    monkeypatch.setattr(retrieval.WikipediaAnswerer, "load", load)
    return asked


def test_the_command_says_where_the_page_is_and_ends_quietly_with_the_keyboard(capsys, monkeypatch, no_model):
    async def interrupted(application, listening):
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "serve", interrupted)
    assert main(["--port", "0"]) == 0
    captured = capsys.readouterr()
    assert re.fullmatch(r"Ask Wikipedia: http://127\.0\.0\.1:\d+/   \(Ctrl\+C ends it\)\nEnded\.\n", captured.out)
    assert no_model == [("qa-minilm", None)]


def test_the_command_can_ask_a_folder_of_texts(capsys, monkeypatch, no_model, tmp_path):
    async def interrupted(application, listening):
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "serve", interrupted)
    (tmp_path / "my texts").mkdir()
    (tmp_path / "my texts" / "one.txt").write_text("Gold has the number 79.")
    for other in ("a.pdf", "b.pdf", "c.png"):
        (tmp_path / "my texts" / other).write_bytes(b"")
    assert main(["--port", "0", "--texts", str(tmp_path / "my texts")]) == 0
    said = capsys.readouterr()
    assert "Ask my texts: " in said.out
    assert f"Files in {tmp_path / 'my texts'} that are not read (2 .pdf, 1 .png): save as .txt or .md" in said.err
    assert [document.title for document in no_model[0][1]] == ["one"]


def test_a_port_that_is_taken_is_said_before_anything_is_loaded(capsys, no_model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    problem = capsys.readouterr().err
    assert re.fullmatch(rf"error: cannot listen on 127\.0\.0\.1:{port} \(.*in use\); choose another --port or --host\.\n", problem)
    assert no_model == []


@pytest.mark.parametrize("arguments", ["--host no.such.host.invalid", "--port 70000", "--texts /no/such/folder --port 0"])
def test_settings_that_cannot_be_are_one_line(capsys, no_model, arguments):
    assert main([*arguments.split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and no_model == []


def test_a_card_with_a_calibration_is_obeyed(tmp_path):
    card = {"threshold": 0.2, "calibration": {"search": {"temperature": 2.0, "offset": 0.5, "ece": 0.1}}}
    (tmp_path / "card.json").write_text(json.dumps(card))
    assert server.search_scaling(tmp_path) == Scaling(2.0, 0.5)
    (tmp_path / "card.json").write_text(json.dumps({"threshold": 0.2}))
    assert server.search_scaling(tmp_path) is server.search_scaling("no such weights") is None


@pytest.mark.parametrize("search", [{}, {"temperature": 0, "offset": 0}, {"temperature": 1.0, "offset": float("nan")}, "1.0"])
def test_a_card_with_a_damaged_calibration_is_one_sentence(tmp_path, search):
    (tmp_path / "card.json").write_text(json.dumps({"calibration": {"search": search}}))
    with pytest.raises(ModelError, match="calibration for searching is damaged") as error:
        server.search_scaling(tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_the_shipped_reader_says_in_the_demo_how_sure_it_is_in_scores_that_were_made_truer():
    """After new weights: tools/calibrate_weights.py --search."""
    assert server.search_scaling("qa-minilm") is not None
    entry = read_card(released_folder("qa-minilm"))["calibration"]["search"]
    assert entry["ece_scaled"] < entry["ece"] and entry["questions"] >= 400
    assert wilson(entry["sure_and_right"], entry["sure"])[1] >= 0.9, "as far as so few answers can tell"
