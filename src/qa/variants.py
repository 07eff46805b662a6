"""Three kinds of question answering on the same questions: extractive, open-book and closed-book.

    table = load_variants()     # 100 questions, three answers to each
    summarise(table)            # a row each: how often right, how often made up
    telling_failures(table, 6)  # where one was right and another was not

The extractive reader marks words of the passage, the open-book writer is shown it, the closed-book
writer is not. All have to answer: the reader's threshold is 0, and the writer is not told that it
may refuse. benchmarks/bench_variants.py asks them, benchmarks/grading.py says what is right.
"""

import pandas as pd
from scipy.stats import binomtest

from src import runtime

VARIANTS = ("extractive", "open-book", "closed-book")
EXTRACTIVE, OPEN_BOOK, CLOSED_BOOK = VARIANTS

RIGHT, RIGHT_UNSUPPORTED = "right", "right but unsupported"
MARKED_WRONG, WRONG_WITH_PASSAGE = "marked the wrong words", "wrong though the passage was there"
FLUENT, REPEATS, REFUSED = "fluent and wrong", "repeats the question", "refused"
KINDS = (RIGHT, RIGHT_UNSUPPORTED, MARKED_WRONG, WRONG_WITH_PASSAGE, FLUENT, REPEATS, REFUSED)

SHIPPED = runtime.COURSE / "data" / "qa_variants.csv"


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """One row per variant: how good, how true to the passage, how fast.

    questions: how many; exact_match, f1: means; right, supported, fluent_and_wrong: percent of the
    questions; fluent_low, fluent_high: its 95 % interval (Wilson 1927); median_seconds,
    seconds_95th: per question, half and 95 % of them took less.
    """
    rows = {}
    for variant, part in table.groupby("variant", sort=False):
        fluent = int((part["kind"] == FLUENT).sum())
        interval = binomtest(fluent, len(part)).proportion_ci(method="wilson")
        rows[variant] = {
            "questions": len(part),
            "exact_match": part["exact_match"].mean(),
            "f1": part["f1"].mean(),
            "right": 100 * part["kind"].isin((RIGHT, RIGHT_UNSUPPORTED)).mean(),
            "supported": 100 * part["supported"].mean(),
            "fluent_and_wrong": 100 * fluent / len(part),
            "fluent_low": 100 * interval.low,
            "fluent_high": 100 * interval.high,
            "median_seconds": part["seconds"].median(),
            "seconds_95th": part["seconds"].quantile(0.95),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")


def count_kinds(table: pd.DataFrame) -> pd.DataFrame:
    """How many answers of each variant (rows) are of each kind (columns)."""
    counts = pd.crosstab(table["variant"], table["kind"])
    return counts.reindex(index=table["variant"].unique(), columns=list(KINDS), fill_value=0)


def telling_failures(table: pd.DataFrame, n: int = 6, kind: str = FLUENT) -> pd.DataFrame:
    """Questions that one variant got right and another did not: the failures worth teaching.

    `kind`, one of KINDS, is what became of the other. Returns at most n rows: id, title, question,
    people_said, right_variant, right_answer, other_variant, other_answer. Pairs of variants take
    turns, the rarest first; of a pair the short answers with a name or number of their own come
    first.
    """
    rights = table[table["kind"] == RIGHT]
    pairs = rights.merge(table[table["kind"] == kind], on="id", suffixes=("", "_other"))
    pairs["letters"] = pairs["answer_other"].str.len()
    both = ["variant", "variant_other"]
    pairs["times"] = pairs.groupby(both)["id"].transform("size")
    order, up = ["times", "specific_other", "letters"], [True, False, True]
    pairs = take_turns(pairs.sort_values(order, ascending=up, kind="stable"), both)
    pairs = pairs.drop_duplicates("id")[:n].reset_index(drop=True)
    renamed = {"variant": "right_variant", "answer": "right_answer"}
    renamed |= {"variant_other": "other_variant", "answer_other": "other_answer"}
    return pairs[["id", "title", "question", "people_said", *renamed]].rename(columns=renamed)


def load_variants() -> pd.DataFrame:
    """The run that comes with the course: 100 questions, three variants; see data/README.md."""
    # Without the default, an answer such as "None" or "NA" would be read as a gap.
    return pd.read_csv(SHIPPED, keep_default_na=False)


def take_turns(frame: pd.DataFrame, by: str | list[str]) -> pd.DataFrame:
    """The first row of every group, then the second of every group, and so on."""
    return frame.iloc[frame.groupby(by).cumcount().to_numpy().argsort(kind="stable")]
