"""Find what makes the released reader's scores true, and write it into its card: `.venv/bin/python tools/calibrate_weights.py`.

Run it after `make weights`: until then the demo shows the scores as they are, and "90 % sure" is not right nine times out of ten. Two
scalings are fitted on the course's validation questions, and measured on its test questions: one for a passage that is given, and one
for passages that are searched for, where each open-domain question is asked with and without the article that answers it. An answer
is right here with an F1 of 0.5. No weight, threshold or answer changes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

from src.qa import WikipediaAnswerer, load_squad  # noqa: E402
from src.qa.calibration import entry_for_card, judge, judge_with_and_without  # noqa: E402
from src.qa.course_set import open_domain_questions  # noqa: E402
from src.qa.models import CARD, read_card, released_folder  # noqa: E402

DIGITS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qa-minilm", help="the released weights, or a folder with a card")
    parser.add_argument("--dry", action="store_true", help="print what was found, and write nothing")
    options = parser.parse_args()
    folder = released_folder(options.model)
    if folder is None:
        sys.exit(f"error: {options.model!r} has no card; name released weights, such as qa-minilm.")
    answerer = WikipediaAnswerer.load(options.model)
    parts = [load_squad("course")[split] for split in ("validation", "test")]
    found = {
        "search": entry_for_card(*(judge_with_and_without(answerer, open_domain_questions(rows)) for rows in parts)),
        "passage": entry_for_card(*(judge(answerer.reader, rows) for rows in parts)),
    }
    rounded = {where: {name: round(value, DIGITS) for name, value in entry.items()} for where, entry in found.items()}
    print(json.dumps(rounded, indent=2), flush=True)
    if not options.dry:
        card = read_card(folder) | {"calibration": rounded}
        (folder / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written to {folder / CARD}", flush=True)


if __name__ == "__main__":
    main()
