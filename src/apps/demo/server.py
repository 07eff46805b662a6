"""The demo over HTTP: its page, and POST /ask."""

import asyncio
from contextlib import suppress
from pathlib import Path

from tornado.web import Application

from src.apps.demo.service import AnswerService, parse_query
from src.apps.web import server as web
from src.apps.web.server import LOOPBACK_NAMES, Handler
from src.qa.documents import Folder

FOLDER = Path(__file__).resolve().parent
OXYGEN = (
    "Oxygen is a chemical element with symbol O and atomic number 8. It was discovered by Carl "
    "Wilhelm Scheele and Joseph Priestley, each on his own, in the years before 1775. Nearly half "
    "of the Earth's crust, by mass, is oxygen, bound to other elements."
)
# What the page offers to click; the last question of each has no answer there.
WIKIPEDIA_QUESTIONS = (
    "What is the atomic number of oxygen?",
    "Who wrote the novel Frankenstein?",
    "Who was the first person to walk on the Moon?",
    "Who painted the Mona Lisa?",
    "What is the capital of Australia?",
)
WRONG = {  # has none there either, which the reader does not notice
    "How high can a flea jump?": "Goes wrong: the text has a flea's length, not how high it jumps"
}
OXYGEN_QUESTIONS = ("Who discovered oxygen?", "What does a bottle of oxygen cost?")


class Page(Handler):
    """The page, with its examples and thresholds; the template escapes them."""

    def get(self) -> None:
        service, source = self.settings["service"], self.settings["source"]
        self.render(
            "page.html",
            source=source,
            count=f"{len(service.answerer.retriever.documents):,}",
            thresholds=service.thresholds,
            to_search=WIKIPEDIA_QUESTIONS if source == "Wikipedia" else (),
            to_fail=WRONG if source == "Wikipedia" else {},
            to_read=OXYGEN_QUESTIONS,
            passage=OXYGEN,
            texts=self.settings["texts"],
        )


class Ask(Handler):
    """A question in JSON, its candidates in JSON."""

    _task: asyncio.Task | None = None

    async def post(self) -> None:
        self._task = asyncio.current_task()
        query = parse_query(self.json_body())
        with suppress(asyncio.CancelledError):
            self.finish(await self.settings["service"].ask(query))

    def on_connection_close(self) -> None:
        if self._task is not None:  # leave the queue with the person who asked
            self._task.cancel()


def make_application(
    service: AnswerService,
    source: str = "Wikipedia",
    local_only: bool = True,
    texts: Folder | None = None,
) -> Application:
    """The web application: what answers, and what is searched, as the page calls it.

    `local_only`: only this computer may ask. `texts`: the folder that is searched, for the page to
    say which files were read.
    """
    return web.make_application(
        [(r"/", Page), (r"/ask", Ask)],
        FOLDER,
        service=service,
        source=source,
        texts=texts,
        names=LOOPBACK_NAMES if local_only else None,
    )
