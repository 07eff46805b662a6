"""Three ways to answer the same questions, side by side: marked in the passage, written with it, and written from memory.

    rows = choose_questions(100)                                  # make sense without their passage, so memory has a chance
    table = ask_ways(rows, QuestionAnswerer.load(), GenerativeAnswerer())
    summarise(table)                                              # one row per way: how often right, how often fluent and wrong
    telling_failures(table, 6)                                    # where one way was right and another was not

`load_ways()` gives the table of a run over 100 questions, which takes minutes; benchmarks/bench_ways.py made it.

All questions are answerable from their passage, and every way has to answer: the reader's threshold is 0, and the chat model is not
told that it may refuse. So what is compared is how well they answer. When to refuse is another question (`src.qa.calibration`),
and one that only the reader can be asked: it gives a score with its answer.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from datasets import Dataset

from src import runtime
from src.qa.calibration import wilson
from src.qa.course_set import course_topics, open_domain_ids
from src.qa.dataset import load_squad
from src.qa.metrics import exact_match, f1
from src.text import tokenize_words

if TYPE_CHECKING:
    from src.qa.answerer import QuestionAnswerer
    from src.qa.generative import GenerativeAnswerer
    from src.qa.retrieval import Report

Item = TypeVar("Item")

WAYS = ("extraction", "with the passage", "from memory")
EXTRACTION, WITH_PASSAGE, FROM_MEMORY = WAYS

RIGHT, RIGHT_UNSUPPORTED = "right", "right but unsupported"
MARKED_WRONG, WRONG_WITH_PASSAGE = "marked the wrong words", "wrong though the passage was there"
FLUENT, REPEATS, REFUSED = "fluent and wrong", "repeats the question", "refused"
KINDS = (RIGHT, RIGHT_UNSUPPORTED, MARKED_WRONG, WRONG_WITH_PASSAGE, FLUENT, REPEATS, REFUSED)

COLUMNS = ("id", "title", "question", "people_said", "way", "answer", "exact_match", "f1", "seconds", "supported", "kind")
BETWEEN_ANSWERS = " | "  # where several answers are right
SHIPPED = runtime.COURSE / "data" / "three_ways.csv"


# --- asking ---------------------------------------------------------------------------------------------------------------


def choose_questions(n: int | None = 100, seed: int = 0, without: Collection[str] = ()) -> Dataset:
    """Questions of the course set's test part that make sense without their passage, as many of each topic as possible.

    Within a topic they come from as many articles as possible. The same `seed` gives the same questions of the same set, in its
    order. n: how many; None: all   without: ids of questions to leave out. Raises ValueError where there are fewer than `n`.
    """
    rows, alone, topics = load_squad("course")["test"], open_domain_ids().difference(without), course_topics()
    titles = list(rows["title"])
    places = [i for i, question_id in enumerate(rows["id"]) if question_id in alone]
    n = len(places) if n is None else n
    if not 0 < n <= len(places):
        which = ", and were not left out" if without else ""
        raise ValueError(f"{n} questions are asked for; the test part has {len(places)} that make sense without their passage{which}.")
    shuffled = np.random.default_rng(seed).permutation(places).tolist()
    by_article = _take_turns(shuffled, lambda i: titles[i])
    return rows.select(sorted(_take_turns(by_article, lambda i: topics[titles[i]])[:n]))


def ask_ways(rows: Dataset, reader: QuestionAnswerer, writer: GenerativeAnswerer, report: Report | None = None) -> pd.DataFrame:
    """Ask every question each way and compare with what people said: one row per question and way.

    rows: answerable questions in SQuAD's columns   report: told of progress after each question, for `runtime.progress_line`
    Returns the columns `COLUMNS`; exact_match and f1 are 0 to 100, seconds are those of this question alone. See `grade`.
    Raises ValueError where there is no question, or one without an answer.
    """
    return grade(pd.DataFrame(ask_each(rows, reader, writer, report)), dict(zip(rows["id"], rows["context"], strict=True)))


def ask_each(rows: Dataset, reader: QuestionAnswerer, writer: GenerativeAnswerer, report: Report | None = None) -> Iterator[dict[str, Any]]:
    """The answers one by one as they are given, not yet graded: for keeping those of a run that may be interrupted.

    Question after question, each in all ways, so that a slow moment of the machine does not fall on one way alone.
    Arguments and errors as `ask_ways`; yields its columns id, title, question, people_said, way, answer and seconds.
    """
    unanswerable = [question_id for question_id, answers in zip(rows["id"], rows["answers"], strict=True) if not answers["text"]]
    if unanswerable or not len(rows):
        found = f"question {unanswerable[0]!r} has no answer" if unanswerable else "there are no questions"
        raise ValueError(f"{found}; ask answerable ones, such as `choose_questions()`.")
    reader("What comes first?", "The first call comes first.", threshold=0.0)  # it also pays for buffers and kernels
    writer("What comes first?", max_new_tokens=1)
    begin = time.perf_counter()
    for step, row in enumerate(rows, 1):
        about = {"id": row["id"], "title": row["title"], "question": row["question"]}
        about["people_said"] = BETWEEN_ANSWERS.join(dict.fromkeys(row["answers"]["text"]))
        for way in WAYS:
            start = time.perf_counter()
            answer = _ask(way, row["question"], row["context"], reader, writer)
            yield about | {"way": way, "answer": answer, "seconds": time.perf_counter() - start}
        if report is not None:
            report({"phase": "asking three ways", "step": step, "steps": len(rows), "seconds": time.perf_counter() - begin})


def _ask(way: str, question: str, passage: str, reader: QuestionAnswerer, writer: GenerativeAnswerer) -> str:
    if way == EXTRACTION:
        return reader(question, passage, threshold=0.0).text
    return writer(question, passage) if way == WITH_PASSAGE else writer(question)


# --- grading --------------------------------------------------------------------------------------------------------------


def grade(said: pd.DataFrame, passages: Mapping[str, str]) -> pd.DataFrame:
    """What each answer was worth: SQuAD's two scores, whether it stands in the passage, and its kind.

    said: id, title, question, people_said (right answers, parted by `BETWEEN_ANSWERS`), way, answer, seconds
    passages: question id -> the passage it was asked on, whether or not the way was shown it
    Adds exact_match, f1 (0 to 100, the best over the right answers), supported (`is_supported`) and kind (`kind_of`).
    """
    table = said.copy()
    golds = [people_said.split(BETWEEN_ANSWERS) for people_said in table["people_said"]]
    answers = list(table["answer"])
    table["exact_match"] = [100 * exact_match(answer, gold) for answer, gold in zip(answers, golds, strict=True)]
    table["f1"] = [100 * f1(answer, gold) for answer, gold in zip(answers, golds, strict=True)]
    asked = zip(answers, table["question"], table["id"], strict=True)
    table["supported"] = [is_supported(answer, question, passages[question_id]) for answer, question, question_id in asked]
    judged = zip(table["way"], answers, table["question"], golds, table["supported"], strict=True)
    table["kind"] = [kind_of(*what) for what in judged]
    return table[list(COLUMNS)]


def is_right(answer: str, golds: Iterable[str]) -> bool:
    """Whether the answer says one of the right answers: its words stand in it, one behind the other, whatever stands around them.

    Kinder than exact match, which counts a right sentence as wrong, and blind to what else the sentence says. Words are compared by
    their stems (Porter 1980), without capitals, articles and the commas within numbers; "seven" is 7. A right answer in other words
    is still counted as wrong, so this, too, is rather too strict.
    """
    golds = list(golds)
    words = _stems(answer)
    return bool(exact_match(answer, golds)) or any(_contains(words, _stems(gold)) for gold in golds)


def is_supported(answer: str, question: str, passage: str) -> bool:
    """Whether what was said stands in the passage: every name and number of it, and at least `ENOUGH` of its words.

    Words of the question and of `NO_CLAIM` are left out; where nothing is left, nothing was said, and nothing is supported. A piece
    of the passage always is. Words are compared as in `is_right`, not their order or their sense, so this is a coarse measure: a
    sentence can take all its words from the passage and still say what is not there, and a free paraphrase can look invented.
    """
    if answer.strip() and answer in passage:
        return True
    said, there = new_words(answer, question), set(_stems(passage))
    found = {stem for stem in said if stem in there}
    names_and_numbers = {stem for stem, is_name in said.items() if is_name}
    return bool(said) and names_and_numbers <= found and len(found) >= ENOUGH * len(said)


def new_words(answer: str, question: str) -> dict[str, bool]:
    """By what an answer says more than the question: stem -> whether it is a name (a capital within the answer) or a number."""
    known = {*_stems(question), *_stems(NO_CLAIM)}
    said: dict[str, bool] = {}
    for place, word in enumerate(_plain_words(answer)):
        for stem in _stems(word):
            if stem not in known:
                is_name = (place > 0 and word[0].isupper()) or any(character.isdigit() for character in stem)
                said[stem] = said.get(stem, False) or is_name
    return said


def kind_of(way: str, answer: str, question: str, golds: Iterable[str], supported: bool) -> str:
    """What became of a question: one of `KINDS`.

    right: it says a right answer (`is_right`), and nothing that does not stand in the passage
    right but unsupported: it says a right answer, and beside it something that does not stand in the passage
    refused: it is empty, or says that it cannot answer
    marked the wrong words: of extraction, which can only mark what is there, every other answer
    repeats the question: written, and says nothing that the question did not say
    wrong though the passage was there: written with the passage, in its words, and wrong
    fluent and wrong: written, wrong, and not taken from a text: from memory every other wrong answer, with the passage those that
        bring what it does not hold. This is what is called hallucination; a true sentence that is beside the point counts, too.
    """
    if is_right(answer, golds):
        return RIGHT if supported else RIGHT_UNSUPPORTED
    if not answer.strip() or (way != EXTRACTION and _REFUSAL.search(answer)):
        return REFUSED
    if way == EXTRACTION:
        return MARKED_WRONG
    if not new_words(answer, question):
        return REPEATS
    return WRONG_WITH_PASSAGE if way == WITH_PASSAGE and supported else FLUENT


ENOUGH = 0.8  # of the words that say something: chosen by reading which answers with the passage said what it does not
# Words without a claim of their own, which could be right or wrong: grammar, hedges, and what one speaks of answers with.
NO_CLAIM = """
    about above across after against all along also although always am among an and another any are around as at be became because
    become been before being below between both but by can could did do does during each either else for from had has have he
    her here hers him his how however i if in into is it its itself may me might mine more most much must my neither no nor not of off
    on only onto or other our out over own same shall she should since so some such than that the their them themselves then there
    these they this those though through thus to together too toward towards under until up upon us very via was we were what when
    where whether which while who whom whose why will with within without would yet you your
    actually approximately commonly especially generally indeed largely mainly often primarily probably sometimes specifically
    still therefore typically usually widely
    answer ask attribute call cite consider context correct credit describe due include know mean name passage question refer regard
    say see specific term text use word
"""
_REFUSAL = re.compile(
    r"\bI(?:['’]m| am) (?:sorry|not sure|unable|not able)"
    r"|\bI (?:do not|don['’]t|cannot|can['’]t|could not|couldn['’]t) (?:know|say|tell|answer|find|provide|determine)"
    r"|\b(?:passage|text|context) (?:does not|doesn['’]t|do not) (?:mention|say|state|specify|provide|give|contain|answer)"
    r"|\bnot (?:mentioned|stated|specified|provided|given|answered) (?:in|by) the (?:passage|text|context)",
    re.IGNORECASE,
)
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


@cache
def _stems(text: str) -> tuple[str, ...]:
    """What to compare words by, in order: "The king's 1,000 horses, and two" gives king, 1000, hors, and, 2."""
    from gensim.parsing.porter import PorterStemmer  # a second, and needed here only

    words = (word.lower().removesuffix("'s") for word in _plain_words(text))
    words = (str(_NUMBERS.index(word)) if word in _NUMBERS else word for word in words if word not in ("a", "an", "the"))
    stem = PorterStemmer().stem
    return tuple(stem(word) for word in words)


def _plain_words(text: str) -> list[str]:
    """The words with their capitals, numbers without commas."""
    return tokenize_words(re.sub(r"(?<=\d),(?=\d{3})", "", text), lower=False)


def _contains(words: tuple[str, ...], part: tuple[str, ...]) -> bool:
    """Whether `part` stands in `words`, one behind the other; nothing stands nowhere."""
    return bool(part) and any(words[i : i + len(part)] == part for i in range(len(words) - len(part) + 1))


# --- looking at the results -----------------------------------------------------------------------------------------------


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """One row per way, in the order of `WAYS`: how good, how true to the passage, how fast.

    questions: how many   exact_match, f1: the means   right, supported, fluent_and_wrong: shares of the questions, all in percent
    fluent_low, fluent_high: where the last lies on other questions of the kind, with 95 % confidence (`calibration.wilson`)
    median_seconds, seconds_95th: per question, half and 95 % of them took less
    """
    rows = {}
    for way in WAYS:
        part = table[table["way"] == way]
        if part.empty:
            continue
        fluent = int((part["kind"] == FLUENT).sum())
        low, high = wilson(fluent, len(part))
        rows[way] = {
            "questions": len(part),
            "exact_match": part["exact_match"].mean(),
            "f1": part["f1"].mean(),
            "right": 100 * part["kind"].isin((RIGHT, RIGHT_UNSUPPORTED)).mean(),
            "supported": 100 * part["supported"].mean(),
            "fluent_and_wrong": 100 * fluent / len(part),
            "fluent_low": 100 * low,
            "fluent_high": 100 * high,
            "median_seconds": part["seconds"].median(),
            "seconds_95th": part["seconds"].quantile(0.95),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("way")


def count_kinds(table: pd.DataFrame) -> pd.DataFrame:
    """How many answers of each way are of each kind: one row per way, one column per kind, in the order of `WAYS` and `KINDS`."""
    counts = pd.crosstab(table["way"], table["kind"])
    return counts.reindex(index=[way for way in WAYS if way in counts.index], columns=list(KINDS), fill_value=0)


def telling_failures(table: pd.DataFrame, n: int = 6, kind: str = FLUENT) -> pd.DataFrame:
    """Questions that one way got right and another did not: the failures worth teaching, one row per question.

    kind: what became of the other, one of `KINDS`   n: at most so many
    Returns id, title, question, people_said, right_way, right_answer, other_way, other_answer, pairs of ways in turn, the
    rarest first; of a pair those first that bring a name or a number of their own, and short. Raises ValueError for a kind that is not one.
    """
    if kind not in KINDS or kind == RIGHT:
        raise ValueError(f"kind is {kind!r}; a failure is one of {', '.join(name for name in KINDS if name != RIGHT)}.")
    found = []
    for _, asked in table.groupby("id", sort=False):
        right, others = asked[asked["kind"] == RIGHT], asked[asked["kind"] == kind]
        for other in others.itertuples():
            found += [(answered, other) for answered in right.itertuples()]
    pairs = Counter((answered.way, other.way) for answered, other in found)
    found.sort(key=lambda pair: (pairs[pair[0].way, pair[1].way], not _is_specific(pair[1]), len(pair[1].answer)))
    rows, seen = [], set()
    for answered, other in _take_turns(found, lambda pair: (pair[0].way, pair[1].way)):
        if answered.id in seen:
            continue
        seen.add(answered.id)
        about = {name: getattr(answered, name) for name in ("id", "title", "question", "people_said")}
        rows.append(
            about | {"right_way": answered.way, "right_answer": answered.answer, "other_way": other.way, "other_answer": other.answer}
        )
    names = ["id", "title", "question", "people_said", "right_way", "right_answer", "other_way", "other_answer"]
    return pd.DataFrame(rows[:n], columns=names)


def _is_specific(row: Any) -> bool:
    """Whether the answer of a row of the table names a name or a number that the question did not."""
    return any(new_words(row.answer, row.question).values())


def load_ways() -> pd.DataFrame:
    """The table of the run that comes with the course: 100 questions, three ways. data/README.md says where and when it was made."""
    # Without the default, an answer such as "None" or "NA" would be read as a gap.
    return pd.read_csv(SHIPPED, keep_default_na=False)


def _take_turns(items: Iterable[Item], group_of: Callable[[Item], Hashable]) -> list[Item]:
    """The first item of every group, then the second of every group, and so on; otherwise in the order they come."""
    seen: Counter[Hashable] = Counter()
    turns = []
    for item in items:
        seen[group_of(item)] += 1
        turns.append((seen[group_of(item)], item))
    return [item for _, item in sorted(turns, key=lambda turn: turn[0])]
