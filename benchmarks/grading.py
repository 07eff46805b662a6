"""Ask questions in three variants, and say what each answer is worth: for bench_variants.py.

The rule for "supported" was adjusted on the questions of data/qa_variants.csv.
"""

import re
import time
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from datasets import Dataset

from src.qa import QuestionAnswerer, load_squad
from src.qa.course_set import course_topics, open_domain_questions
from src.qa.dense import Report
from src.qa.generative import GenerativeAnswerer
from src.qa.metrics import exact_match, f1
from src.qa.variants import (
    CLOSED_BOOK,
    EXTRACTIVE,
    FLUENT,
    MARKED_WRONG,
    OPEN_BOOK,
    REFUSED,
    REPEATS,
    RIGHT,
    RIGHT_UNSUPPORTED,
    VARIANTS,
    WRONG_WITH_PASSAGE,
    new_words,
    stems,
    take_turns,
)

COLUMNS = ("id", "title", "question", "people_said", "variant", "answer", "exact_match", "f1")
COLUMNS += ("seconds", "supported", "kind")
BETWEEN_ANSWERS = " | "  # where several answers are right
# The share of an answer's words that must be in the passage. Chosen by reading which answers with
# the passage said what it does not.
SUPPORTED_SHARE = 0.8
_REFUSAL = re.compile(
    r"\bI(?:['’]m| am) (?:sorry|not sure|unable|not able)"
    r"|\bI (?:do not|don['’]t|cannot|can['’]t|could not|couldn['’]t) "
    r"(?:know|say|tell|answer|find|provide|determine)"
    r"|\b(?:passage|text|context) (?:does not|doesn['’]t|do not) "
    r"(?:mention|say|state|specify|provide|give|contain|answer)"
    r"|\bnot (?:mentioned|stated|specified|provided|given|answered) "
    r"(?:in|by) the (?:passage|text|context)",
    re.IGNORECASE,
)


def choose_questions(n: int = 100, seed: int = 0) -> Dataset:
    """Choose at most `n` test questions of the course set that make sense without their passage.

    There are as many of each topic as possible, and within a topic of as many articles as possible.
    The same seed gives the same questions.
    """
    rows, topics = open_domain_questions(load_squad("course")["test"]), course_topics()
    shuffled = np.random.default_rng(seed).permutation(len(rows))
    titles = pd.DataFrame({"title": rows["title"]}).iloc[shuffled]
    chosen = take_turns(titles.assign(topic=titles["title"].map(topics)), "title")
    return rows.select(sorted(take_turns(chosen, "topic").index[:n]))


def ask_variants(
    rows: Dataset,
    reader: QuestionAnswerer,
    writer: GenerativeAnswerer,
    report: Report | None = None,
) -> pd.DataFrame:
    """Ask every question in each variant, and grade the answers.

    Question after question, each in all variants, so that a slow moment of the machine does not
    fall on one of them alone.

    Args:
        rows: answerable questions in SQuAD's columns.
        reader: marks words in the passage.
        writer: writes, with and without the passage.
        report: is told of progress after each question, for `runtime.progress_line`.

    Returns:
        A row per question and variant, with the columns `COLUMNS`; see `grade`.
    """
    ask = {
        EXTRACTIVE: lambda row: reader(row["question"], row["context"], threshold=0.0).text,
        OPEN_BOOK: lambda row: writer(row["question"], row["context"]),
        CLOSED_BOOK: lambda row: writer(row["question"]),
    }
    # The first calls also pay for buffers and kernels.
    reader("What comes first?", "The first call comes first.", threshold=0.0)
    writer("What comes first?", max_new_tokens=1)
    said, begin = [], time.perf_counter()
    for step, row in enumerate(rows, 1):
        about = {name: row[name] for name in ("id", "title", "question")}
        about["people_said"] = BETWEEN_ANSWERS.join(dict.fromkeys(row["answers"]["text"]))
        for variant in VARIANTS:
            start = time.perf_counter()
            answer = ask[variant](row)
            seconds = time.perf_counter() - start
            said.append(about | {"variant": variant, "answer": answer, "seconds": seconds})
        if report is not None:
            told = {"phase": "asking", "step": step, "steps": len(rows)}
            report(told | {"seconds": time.perf_counter() - begin})
    return grade(pd.DataFrame(said), dict(zip(rows["id"], rows["context"], strict=True)))


def grade(said: pd.DataFrame, passages: Mapping[str, str]) -> pd.DataFrame:
    """Add what each answer was worth: SQuAD's two scores, whether it is supported, its kind.

    Args:
        said: id, title, question, people_said (right answers, joined by `BETWEEN_ANSWERS`),
            variant, answer, seconds.
        passages: question id -> the passage it was asked on, shown or not.

    Returns:
        The columns `COLUMNS`: also exact_match and f1 (0 to 100, the best over the right answers),
        supported (`is_supported`) and kind (`kind_of`).
    """
    rows = said.to_dict("records")
    for row in rows:
        golds = row["people_said"].split(BETWEEN_ANSWERS)
        answer, question = row["answer"], row["question"]
        row["exact_match"] = 100 * exact_match(answer, golds)
        row["f1"] = 100 * f1(answer, golds)
        row["supported"] = is_supported(answer, question, passages[row["id"]])
        row["kind"] = kind_of(row["variant"], answer, question, golds, row["supported"])
    return pd.DataFrame(rows, columns=list(COLUMNS))


def is_right(answer: str, golds: Sequence[str]) -> bool:
    """Whether the words of a right answer occur in the answer, one after another.

    Kinder than exact match, which counts a right sentence as wrong, and blind to what else the
    sentence says. Words are compared by their stems (Porter 1980), without capitals, articles and
    the commas in numbers; "seven" is 7. A right answer in other words still counts as wrong.
    """
    return bool(exact_match(answer, golds)) or any(_contains(answer, gold) for gold in golds)


def is_supported(answer: str, question: str, passage: str) -> bool:
    """Whether every name and number, and most words, are in the passage.

    At least SUPPORTED_SHARE of the words must be; words of the question and of
    NO_CLAIM do not count. If none is left, nothing is supported. A piece of
    the passage always is. Words are compared as in `is_right`, not their order
    or sense: a sentence can take all its words from the passage and still say
    what is not there, and a free paraphrase can look made up.
    """
    if answer.strip() and answer in passage:
        return True
    said, there = new_words(answer, question), set(stems(passage))
    found = {stem for stem in said if stem in there}
    names_and_numbers = {stem for stem, is_name in said.items() if is_name}
    enough = len(found) >= SUPPORTED_SHARE * len(said)
    return bool(said) and names_and_numbers <= found and enough


def kind_of(
    variant: str,
    answer: str,
    question: str,
    golds: Sequence[str],
    supported: bool,
) -> str:
    """What became of a question: one of KINDS.

    - right: it says a right answer, and nothing that is not in the passage
    - right but unsupported: beside it, something that is not in the passage
    - refused: it is empty, or says that it cannot answer
    - marked the wrong words: every other extractive answer
    - repeats the question: written, and says nothing new
    - wrong though the passage was there: open-book, wrong, in its words
    - fluent and wrong: every other wrong answer. This is what is called
      hallucination; a true sentence that is beside the point counts, too.
    """
    if is_right(answer, golds):
        return RIGHT if supported else RIGHT_UNSUPPORTED
    extractive = variant == EXTRACTIVE
    if not answer.strip() or (not extractive and _REFUSAL.search(answer)):
        return REFUSED
    if extractive:
        return MARKED_WRONG
    if not new_words(answer, question):
        return REPEATS
    return WRONG_WITH_PASSAGE if variant == OPEN_BOOK and supported else FLUENT


def _contains(answer: str, gold: str) -> bool:
    """Whether the words of `gold`, at least one, follow each other somewhere in `answer`."""
    words, part = stems(answer), stems(gold)
    n = len(part)
    return n > 0 and any(words[i : i + n] == part for i in range(len(words)))
