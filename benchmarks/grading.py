"""Ask questions in three variants, and say what each answer is worth: for bench_variants.py.

The rule for "supported" was adjusted on the questions of data/qa_variants.csv.
"""

import re
import time
from collections.abc import Mapping, Sequence
from functools import cache

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
    take_turns,
)
from src.text import tokenize_words

COLUMNS = ("id", "title", "question", "people_said", "variant", "answer", "exact_match", "f1")
COLUMNS += ("seconds", "supported", "kind", "specific")
BETWEEN_ANSWERS = " | "  # where several answers are right
# The share of an answer's words that must be in the passage. Chosen by reading which answers with
# the passage said what it does not.
SUPPORTED_SHARE = 0.8
# Words without a claim of their own: grammar, hedges, and what one speaks of answers with.
NO_CLAIM = """
    about above across after against all along also although always am among an and another any are
    around as at be became because become been before being below between both but by can could did
    do does during each either else for from had has have he her here hers him his how however i if
    in into is it its itself may me might mine more most much must my neither no nor not of off on
    only onto or other our out over own same shall she should since so some such than that the their
    them themselves then there these they this those though through thus to together too toward
    towards under until up upon us very via was we were what when where whether which while who whom
    whose why will with within without would yet you your
    actually approximately commonly especially generally indeed largely mainly often primarily
    probably sometimes specifically still therefore typically usually widely
    answer ask attribute call cite consider context correct credit describe due include know mean
    name passage question refer regard say see specific term text use word
"""
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
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_NUMBERS += ["eleven", "twelve"]


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
        supported (`is_supported`), kind (`kind_of`), and whether it is specific: says a name or
        number of its own.
    """
    rows = said.to_dict("records")
    for row in rows:
        golds = row["people_said"].split(BETWEEN_ANSWERS)
        answer, question = row["answer"], row["question"]
        row["exact_match"] = 100 * exact_match(answer, golds)
        row["f1"] = 100 * f1(answer, golds)
        row["supported"] = is_supported(answer, question, passages[row["id"]])
        row["kind"] = kind_of(row["variant"], answer, question, golds, row["supported"])
        row["specific"] = any(new_words(answer, question).values())
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


def new_words(answer: str, question: str) -> dict[str, bool]:
    """What an answer says beyond the question: stem -> whether it is a name or a number."""
    known = {*stems(question), *stems(NO_CLAIM)}
    said: dict[str, bool] = {}
    for place, word in enumerate(_plain_words(answer)):
        for stem in stems(word):
            if stem not in known:
                is_number = any(character.isdigit() for character in stem)
                is_name = (place > 0 and word[0].isupper()) or is_number
                said[stem] = said.get(stem, False) or is_name
    return said


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


@cache
def stems(text: str) -> tuple[str, ...]:
    """What to compare words by: "The king's 1,000 horses, and two" is king, 1000, hors, and, 2."""
    from gensim.parsing.porter import PorterStemmer  # takes a second, and needed here only

    words = [word.lower().removesuffix("'s") for word in _plain_words(text)]
    words = [word for word in words if word not in ("a", "an", "the")]
    stem = PorterStemmer().stem
    return tuple(stem(str(_NUMBERS.index(w)) if w in _NUMBERS else w) for w in words)


def _plain_words(text: str) -> list[str]:
    return tokenize_words(re.sub(r"(?<=\d),(?=\d{3})", "", text), lower=False)


def _contains(answer: str, gold: str) -> bool:
    """Whether the words of `gold`, at least one, follow each other somewhere in `answer`."""
    words, part = stems(answer), stems(gold)
    n = len(part)
    return n > 0 and any(words[i : i + n] == part for i in range(len(words)))
