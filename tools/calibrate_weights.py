"""Find what makes a released reader's scores true, and write it into its card: `.venv/bin/python tools/calibrate_weights.py`.

For a passage that is given: the temperature and the threshold (`fit_calibration`), on the course's validation questions; the course's
questions are then scored again, the test part once. F1 on articles does not depend on them and stays.
For passages that are searched for (--search, after new weights): a scaling, fitted on the validation questions and measured on the test
questions, where each open-domain question is asked with and without the article that answers it. No answer changes by it.
An answer is right here with an F1 of 0.5.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

from datasets import DatasetDict  # noqa: E402

from src.qa import QuestionAnswerer, WikipediaAnswerer, load_squad  # noqa: E402
from src.qa.calibration import DIGITS, entry_for_card, judge_with_and_without  # noqa: E402
from src.qa.course_set import open_domain_questions  # noqa: E402
from src.qa.models import CARD, WEIGHTS, read_card, released_folder  # noqa: E402
from tools import make_student, make_weights  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qa-minilm", help="the released weights, or a folder with their card")
    parser.add_argument("--search", action="store_true", help="the scaling for searched passages instead, after new weights")
    parser.add_argument("--dry", action="store_true", help="print what was found, and write nothing")
    options = parser.parse_args()
    folder = released_folder(options.model)
    if folder is None:
        sys.exit(f"error: {options.model!r} has no card; name released weights, such as qa-minilm.")
    card, course = read_card(folder), load_squad("course")
    told = dict(card.get("calibration", {}))
    if options.search:
        told["search"] = search_entry(options.model, course)
    else:
        fields = score_given_passages(options.model, card, course)
        told |= fields.pop("calibration")
        card |= fields
    card["calibration"] = told
    print(json.dumps({name: card[name] for name in ("threshold", "temperature", "calibration")}, indent=2), flush=True)
    if not options.dry:
        describe = make_student.describe if "teacher" in card else make_weights.describe
        (folder / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(describe(card), encoding="utf-8")
        print(f"written to {folder / CARD}", flush=True)


def search_entry(model: str, course: DatasetDict) -> dict:
    """The card's entry for passages that are searched for."""
    answerer = WikipediaAnswerer.load(model)
    asked = (open_domain_questions(course[split]) for split in ("validation", "test"))
    entry = entry_for_card(*(judge_with_and_without(answerer, rows) for rows in asked))
    return {name: round(value, DIGITS) for name, value in entry.items()}


def score_given_passages(model: str, card: dict, course: DatasetDict) -> dict:
    """Fit on the validation questions, put the new scores of the course's questions into `card`, and return its new fields."""
    qa = QuestionAnswerer.load(model)
    fields = make_weights.calibrated(qa, course["validation"])
    for single in card.get("development_of_each_run", []):  # those models are not kept, so their refusals cannot be counted again
        single.pop("course", None)
    for part, split in (("development", "validation"), ("test", "test")):
        card[part] |= make_weights.scores_of(qa, None, course[split])
        if "teacher" in card:  # run for the teacher first
            card["teacher_scores"][part]["course"] = read_card(WEIGHTS / card["teacher"])[part]["course"]
    return fields


if __name__ == "__main__":
    main()
