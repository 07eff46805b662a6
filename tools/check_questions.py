"""Check the course's question files, and print what the set is made of.

    .venv/bin/python tools/check_questions.py            # all of them
    .venv/bin/python tools/check_questions.py FILE...    # these alone

Bad input ends with status 2 and one line.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

import pandas as pd
from datasets import Dataset

from src.qa import course_set


def questions_report(splits: dict[str, Dataset], topics: dict[str, str]) -> pd.DataFrame:
    """What a set is made of, one column per split: sizes, mean words, first words, topics."""
    columns = {}
    for split, part in splits.items():
        rows = part.to_pandas()
        golds = [answers["text"][0] for answers in part["answers"] if answers["text"]]
        passages, asked = rows["context"].drop_duplicates(), rows["question"].str.split()
        column = {
            ("size", "articles"): rows["title"].nunique(),
            ("size", "passages"): len(passages),
            ("size", "questions"): len(rows),
            ("size", "unanswerable"): len(rows) - len(golds),
            ("mean words", "passage"): round(passages.str.split().str.len().mean(), 1),
            ("mean words", "question"): round(asked.str.len().mean(), 1),
            ("mean words", "answer"): round(pd.Series(golds).str.split().str.len().mean(), 1),
        }
        first = asked.str[0].str.lower().value_counts(normalize=True).head(8)
        column |= {("first word, %", word): round(100 * share, 1) for word, share in first.items()}
        by_topic = rows["title"].map(topics).value_counts().sort_index()
        columns[split] = column | {("questions by topic", t): n for t, n in by_topic.items()}
    return pd.DataFrame(columns, dtype=object).fillna(0)


def main(names: list[str]) -> int:
    files = [Path(name) for name in names] or course_set.question_files()
    try:
        splits = course_set.build_course_set(files)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"tools/check_questions.py: {error}", file=sys.stderr)
        return 2
    print(questions_report(splits, course_set.course_topics(files)).to_string())
    alone = {s: len(course_set.open_domain_questions(rows, files)) for s, rows in splits.items()}
    counts = ", ".join(f"{count} in {split}" for split, count in alone.items())
    print(f"make sense without their passage: {sum(alone.values())} ({counts})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
