"""The demo over HTTP: its page, and POST /ask."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tornado.web import Application

from src.apps.demo.batcher import Batcher, QueueFull
from src.apps.demo.service import AnswerService, Query, parse_query
from src.apps.web import server as web
from src.apps.web.server import LOOPBACK_NAMES, Handler, Problem

FOLDER = Path(__file__).resolve().parent
BUSY = "More people are asking than can be answered; try again in a moment."
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
    "Who will win the next World Cup?",
)
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
            to_read=OXYGEN_QUESTIONS,
            passage=OXYGEN,
        )


class Ask(Handler):
    """A question in JSON, its candidates in JSON."""

    _answering: asyncio.Task | None = None

    async def post(self) -> None:
        query = parse_query(self.json_body())
        self._answering = asyncio.ensure_future(self.settings["batcher"].ask(query))
        try:
            self.finish(await self._answering)
        except QueueFull:
            raise Problem(503, BUSY) from None
        except asyncio.CancelledError:
            pass  # whoever asked has left

    def on_connection_close(self) -> None:
        if self._answering is not None:  # leave the queue with the person who asked
            self._answering.cancel()


def make_application(
    service: AnswerService, source: str = "Wikipedia", local_only: bool = True, **batching: int
) -> Application:
    """The web application.

    Args:
        service: answers.
        source: what is searched, as the page calls it.
        local_only: whether only this computer may ask.
        batching: as Batcher takes it.
    """
    batcher: Batcher[Query, dict] = Batcher(service.answer, **batching)
    return web.make_application(
        [(r"/", Page), (r"/ask", Ask)],
        FOLDER,
        service=service,
        source=source,
        batcher=batcher,
        names=LOOPBACK_NAMES if local_only else None,
    )
