"""Compute the released vectors of Wikipedia's introductions: `python tools/make_vectors.py`.

Nothing is trained: MiniLM reads every introduction of the `wikipedia` asset once, in a minute or
two. Results go to build/weights/wikipedia-vectors; with --release to weights/, where
`src.qa.dense` finds them. From such a vector nobody can read the text back.
"""

import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

from src.files import write_json
from src.qa import dense
from src.qa.documents import wikipedia
from tools.cards import made_here, parse_options, write_page


def main() -> None:
    options = parse_options(__doc__, [dense.SHIPPED.name])
    target = options.folder / dense.SHIPPED.name
    shutil.rmtree(target, ignore_errors=True)
    building = options.to / f"{target.name}.building"  # an interrupted call goes on from here
    documents = wikipedia()
    began = time.perf_counter()

    def tell(progress) -> None:
        print(runtime.progress_line(progress), flush=True)

    index = dense.DenseIndex.open(documents, building, tell, shipped=None)
    seconds = time.perf_counter() - began
    file = dense.store_vectors(target, documents, index.vectors)
    card = {
        "name": target.name,
        "title": "introductions as sentence vectors",
        "opened_by": "DenseIndex.open(wikipedia(), cache)",
        "documents": len(documents),
        "encoder": dense.ENCODER,
        "max_tokens": dense.MAX_TOKENS,
        "data": "introductions of English Wikipedia articles (asset wikipedia), each with its "
        "title in front",
        "licence": "CC BY-SA 4.0",
        "megabytes": round(file.stat().st_size / 1e6, 2),
        "minutes": round(seconds / 60, 2),
        "note": "The text cannot be read back from them.",
    } | made_here(options.remark)
    write_json(target / "card.json", card)
    write_page(target)
    shutil.rmtree(building)


if __name__ == "__main__":
    main()
