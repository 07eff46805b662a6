"""The demo's web server: three files for a browser, and POST /ask. Built on tornado, the server that Jupyter runs on."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tornado.web import Application

from src import runtime
from src.apps.demo.batcher import Batcher, TooMany
from src.apps.demo.desk import Desk, Question, checked
from src.apps.web.server import BASE, LOCAL, File, Handler, Nothing, address, bind, json_of, serve
from src.qa.calibration import Scaling

FOLDER = Path(__file__).resolve().parent
BUSY = "More people are asking than can be answered; try again in a moment."
FAILED = "Something went wrong while reading; the terminal of the demo says what. Other questions may still work."

OXYGEN = (
    "Oxygen is a chemical element with symbol O and atomic number 8. It was discovered by Carl Wilhelm Scheele and Joseph Priestley, "
    "each on his own, in the years before 1775. Nearly half of the Earth's crust, by mass, is oxygen, bound to other elements."
)
# What the page offers to click: questions to Wikipedia, the last one without an answer there; and two to a passage, likewise.
TO_SEARCH = (
    "What is the atomic number of oxygen?",
    "Who wrote the novel Frankenstein?",
    "Who was the first person to walk on the Moon?",
    "Who painted the Mona Lisa?",
    "Who will win the next World Cup?",
)
TO_READ = ("Who discovered oxygen?", "What does a bottle of oxygen cost?")


class Page(Handler):
    """The page, its examples and thresholds filled in; the template escapes them."""

    def get(self) -> None:
        """Send the page."""
        self.render("page.html", passage=OXYGEN, to_read=TO_READ, **self.settings["about"])


class Ask(Handler):
    """A question in JSON, its candidates in JSON; what is wrong with it as {"problem": ...} with status 400 or 503."""

    _answering: asyncio.Task | None = None

    async def post(self) -> None:
        """Check the question, wait for its turn, and send what was found."""
        try:
            question = checked(json_of(self.request))
        except ValueError as error:
            self.set_status(400)
            self.finish({"problem": str(error)})
            return
        self._answering = asyncio.ensure_future(self.settings["batcher"].ask(question))
        try:
            self.finish(await self._answering)
        except TooMany:
            self.set_status(503)
            self.finish({"problem": BUSY})
        except asyncio.CancelledError:
            pass  # whoever asked has left

    def on_connection_close(self) -> None:
        """Leave the queue with the person who asked."""
        if self._answering is not None:
            self._answering.cancel()


def make_application(desk: Desk, source: str = "Wikipedia", local_only: bool = True, **batching: int) -> Application:
    """The web application: give it to tornado's HTTPServer.

    source: what is searched, as the page calls it   local_only: whether only this computer may ask
    batching: as `Batcher` takes it.
    """
    count = len(desk.answerer.retriever.documents)
    about = {
        "source": source,
        "count": f"{count:,}",
        "thresholds": desk.thresholds,
        "to_search": TO_SEARCH if source == "Wikipedia" else (),
    }
    batcher: Batcher[Question, dict] = Batcher(desk.answer, **batching)
    return Application(
        [(r"/", Page), (r"/ask", Ask), (r"/(page\.css|page\.js)", File, {"path": str(FOLDER)}), BASE],
        default_handler_class=Nothing,
        template_path=str(FOLDER),
        names=LOCAL if local_only else None,
        failed=FAILED,
        about=about,
        batcher=batcher,
        log_function=lambda handler: None,  # what people ask is theirs
    )


def run(host: str, port: int, model: str | Path = "qa-minilm", texts: str | Path | None = None) -> None:
    """Load everything, say where the page is, and answer until Ctrl+C.

    model: the reader, as `QuestionAnswerer.load` takes it   texts: a folder of one's own texts, to ask instead of Wikipedia
    Raises OSError, ModelError, RetrievalError and AssetError in one sentence.
    """
    from src.qa.documents import other_files, read_folder
    from src.qa.open_domain import WikipediaAnswerer

    documents = None if texts is None else read_folder(texts)
    if texts is not None and (others := Counter(file.suffix or "without a suffix" for file in other_files(texts))):
        kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common())
        print(f"Files in {texts} that are not read ({kinds}): save as .txt or .md what you want to ask.", file=sys.stderr, flush=True)
    listening = bind(host, port)  # before anything slow
    print("Loading the reader and the index ...", file=sys.stderr, flush=True)
    answerer = WikipediaAnswerer.load(model, documents, report=_report)
    desk = Desk(answerer, search_scaling(model))
    desk.answer([Question(TO_SEARCH[0]), Question(TO_READ[0], OXYGEN)])  # the first answers wait for what is loaded and measured once
    source = "Wikipedia" if texts is None else Path(texts).resolve().name
    application = make_application(desk, source, local_only=host in LOCAL)
    print(f"Ask {source}: {address(listening)}   (Ctrl+C ends it)", flush=True)
    try:
        asyncio.run(serve(application, listening))
    except KeyboardInterrupt:
        print("Ended.")


def _report(progress: dict[str, Any]) -> None:
    print(f"building the index, once: {runtime.progress_line(progress)}", file=sys.stderr, flush=True)


def search_scaling(model: str | Path) -> Scaling | None:
    """What makes the scores of searched passages true, by the model's card; None where that does not say.

    The card: {"calibration": {"search": {"temperature": 1.8, "offset": -0.2}}}, from tools/calibrate_weights.py.
    Raises ModelError where these are not numbers.
    """
    from src.qa.models import ModelError, card_folder, read_card

    folder = card_folder(model)
    told = read_card(folder).get("calibration", {}) if folder else {}
    if "search" not in told:
        return None
    try:
        return Scaling(float(told["search"]["temperature"]), float(told["search"]["offset"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder}: its card's calibration for searching is damaged ({error}); take the card from the original.") from None
