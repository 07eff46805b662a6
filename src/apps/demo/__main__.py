"""The command line: `python -m src.apps.demo`. Bad input ends with status 2 and one line."""

import sys
import time
from pathlib import Path
from typing import Annotated

import psutil
from typer import Option

from src import runtime
from src.apps.command import run_command

runtime.configure_libraries()  # before the first Hugging Face import: no Hub, no progress bars


def demo(
    host: Annotated[
        str, Option(help="address to listen on; 0.0.0.0 lets other computers of the network ask")
    ] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 takes any free one")] = 8007,
    model: Annotated[str, Option(help="released weights, a folder, or a Hub id")] = "qa-minilm",
    texts: Annotated[
        Path | None, Option(help="folder of .txt, .md, .html, .epub, .docx, .pdf to ask instead")
    ] = None,
) -> None:
    """Open a page that asks Wikipedia, or a passage of your own, until Ctrl+C."""
    from src.apps.demo import server
    from src.apps.demo.service import AnswerService, Query
    from src.apps.web.server import LOOPBACK_NAMES, address, bind, serve_until_interrupted
    from src.qa.documents import scan_folder
    from src.qa.open_domain import WikipediaAnswerer

    process = psutil.Process()
    found = None if texts is None else scan_folder(texts)
    for problem in found.failed if found else ():
        _tell(f"Not read: {problem}")
    listening = bind(host, port)  # before anything slow
    _tell("Loading the reader and the index ...")
    answerer = WikipediaAnswerer.load(model, found and found.documents, report=_report)
    service = AnswerService(answerer)
    # The first answers wait for what is loaded and measured once.
    service.answer(Query("Who?"))
    service.answer(Query(server.OXYGEN_QUESTIONS[0], server.OXYGEN))
    seconds, megabytes = time.time() - process.create_time(), process.memory_info().rss / 1e6
    _tell(f"Ready after {seconds:.0f} s, with {megabytes:,.0f} MB of memory.")
    source = "Wikipedia" if texts is None else texts.resolve().name
    application = server.make_application(service, source, host in LOOPBACK_NAMES, found)
    print(f"Ask {source}: {address(listening)}   (Ctrl+C ends it)", flush=True)
    serve_until_interrupted(application, listening)


def _report(progress: dict) -> None:
    _tell(f"building the index, once: {runtime.progress_line(progress)}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    return run_command(demo, "python -m src.apps.demo", arguments)


if __name__ == "__main__":
    sys.exit(main())
