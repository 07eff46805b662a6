"""What holds for the pages of both programs: who is answered, what is refused, what a page is."""

import json
import subprocess
import sys
from typing import NamedTuple

import pytest
from tornado.web import Application

from src.apps.demo.server import make_application as make_demo
from src.apps.demo.service import AnswerService
from src.apps.poll.server import CONNECTION
from src.apps.poll.server import make_application as make_poll
from src.apps.web.server import SENTENCES
from tests.unit.apps.visits import problem, visit


class Program(NamedTuple):
    application: Application
    folder: str
    pages: list[str]
    path: str
    asked: dict
    cookie: str = ""

    def fetch(self, *paths: str, **options):

        async def scenario(visited):
            return [await visited.fetch(path, self.cookie, **options) for path in paths]

        return visit(scenario, self.application)


@pytest.fixture(params=["demo", "poll"])
def program(request, room, answerer) -> Program:
    if request.param == "demo":
        question = {"question": "What?", "passage": None}
        return Program(make_demo(AnswerService(answerer)), "demo", [""], "ask", question)
    application = make_poll(room, "token", "http://127.0.0.1:8008/")
    cookie = f"poll_voter={'a' * 22}; poll_token=token"
    vote = {"question": "q/one", "choices": [0]}
    return Program(application, "poll", ["", "instructor"], "vote", vote, cookie)


def test_pages_and_files_have_headers_that_keep_the_browser_here(course, program):
    files = (course / "src/apps" / program.folder).iterdir()
    served = [file.name for file in files if file.suffix in (".css", ".js")]
    for reply in program.fetch(*program.pages, *served, "base.css"):
        assert reply.code == 200 and "Server" not in reply.headers
        policy = reply.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("body", "headers", "status", "sentence"),
    [
        *((body, {}, 400, "not JSON") for body in (b"{", b"", b"\xff\xfe", b"[" * 1_900)),
        *((body, {}, 400, "reload the page") for body in (b"NaN", b'"text"', b'{"question": []}')),
        (None, {"Content-Type": "text/plain"}, 400, "not JSON"),
        (None, {"Content-Type": "application/x-www-form-urlencoded"}, 400, "not JSON"),
        (None, {"Host": "elsewhere.example"}, 403, "this computer only"),
    ],
)
def test_malformed_and_foreign_requests_are_refused_and_the_next_one_is_answered(
    program, body, headers, status, sentence
):
    body = json.dumps(program.asked).encode() if body is None else body

    async def scenario(visited):
        refused = await visited.post(program.path, body, program.cookie, headers)
        return refused, await visited.post(program.path, program.asked, program.cookie)

    refused, after = visit(scenario, program.application)
    assert refused.code == status and sentence in problem(refused)
    assert after.code == 200


def test_other_addresses_and_methods_hold_nothing(program):
    paths = ["nowhere", "../server.py", "server.py", f"{program.folder}.py", "page.html"]
    for reply in program.fetch(*paths):
        assert reply.code == 404 and problem(reply)
    (reply,) = program.fetch(program.path)
    assert reply.code == 405 and problem(reply)


def test_an_error_nobody_foresaw_is_told_without_its_details(program, monkeypatch, caplog):
    def fail(*arguments, **options):
        raise RuntimeError("details")

    settings = program.application.settings
    if program.folder == "poll":
        monkeypatch.setattr(settings["room"]._store, "record", fail)
    else:
        monkeypatch.setattr(settings["service"].answerer, "ask", fail)

    async def scenario(visited):
        return await visited.post(program.path, program.asked, program.cookie)

    reply = visit(scenario, program.application)
    assert reply.code == 500 and problem(reply) == SENTENCES[500]
    assert "RuntimeError: details" in caplog.text  # the terminal says what


@pytest.mark.parametrize(
    ("sent", "limit"),
    [
        (b"POST /vote HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{", "body_timeout"),
        (b"POST /vote HTTP/1.1\r\nHost: 127.0.0.1\r\nX-One", "idle_connection_timeout"),
        (b"", "idle_connection_timeout"),
    ],
)
def test_a_request_that_never_ends_is_given_up(program, sent, limit):
    async def scenario(visited):
        reader, _ = await visited.connect(sent)
        await reader.read()

    visit(scenario, program.application, **{limit: 0.2})
    assert 0 < CONNECTION[limit] <= 30


def test_a_body_far_too_long_is_not_even_read(program):
    async def scenario(visited):
        head = f"POST /{program.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        length = "Content-Type: application/json\r\nContent-Length: 100000000\r\n\r\n"
        reader, _ = await visited.connect((head + length).encode())
        return await reader.read()

    assert visit(scenario, program.application).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("program", ["demo", "poll"])
def test_a_program_says_what_it_takes_without_loading_a_model(course, program):
    code = f"""
import sys
from src.apps.{program}.__main__ import main
assert main(["--help"]) == 0
print("loaded", sorted({{"torch", "transformers", "datasets", "matplotlib"}} & set(sys.modules)))
"""
    said = subprocess.check_output([sys.executable, "-c", code], cwd=course, text=True)
    assert "--port" in said and said.endswith("loaded []\n")
