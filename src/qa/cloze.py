"""Questions that nobody wrote: a sentence with a gap becomes a question, and the gap its answer.

A few hundred human questions are too few to teach an encoder what an answer is. Ten thousand
introductions hold tens of thousands of names and numbers to take out, so the label costs nothing.
The questions are crude ("when Einstein published in four papers?"), and enough to warm up on.
After Lewis, Denoyer and Riedel 2019, "Unsupervised Question Answering by Cloze Translation".
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from datasets import Dataset

from src.qa.course_set import question_id
from src.qa.rows import dataset_of

SENTENCE_END = re.compile(r"(?<=[a-z0-9)][.!?])\s+(?=[A-Z])")
# What can be the gap, with its question word: years, other numbers, names inside a sentence.
GAPS = (
    (re.compile(r"(?<=\b[Ii]n )(?:1[0-9]|20)\d\d\b"), "when"),
    (re.compile(r"\b\d[\d,.]*\d\b|\b\d\b"), "how many"),
    (re.compile(r"(?<=\bby )[A-Z][\w'’-]+(?: (?:of |the |de |von )?[A-Z][\w'’-]+)*"), "who"),
    (re.compile(r"(?<=\b[io]n )(?:the )?[A-Z][\w'’-]+(?: (?:of |the )?[A-Z][\w'’-]+)*"), "where"),
    (re.compile(r"(?<=[a-z,] )[A-Z][\w'’-]+(?: (?:of |the |de |von )?[A-Z][\w'’-]+)*"), "what"),
    (re.compile(r"(?<=\b(?:the|its) )[a-z]+(?: [a-z]+)?(?= (?:of|in|for|that|which)\b)"), "what"),
)
WORDS_AROUND = 12  # of either side of the gap, at most
DROPPED = 0.15  # of the words, at random, so that matching them is not enough to find the place


class Gap(NamedTuple):
    """What can be asked for in a text: where it begins and ends, how, and its sentence."""

    start: int
    end: int
    word: str
    sentence_start: int
    sentence_end: int


def cloze_questions(passages: Mapping[str, str], count: int, seed: int) -> Dataset:
    """Make `count` questions, or fewer, from the sentences of passages, two of each at most.

    `passages`: title -> text. Returns rows in SQuAD's columns, one answer each, in random order.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict] = []
    titles = list(passages)
    for at in rng.permutation(len(titles)):
        title, text = titles[at], passages[titles[at]]
        gaps = list(_gaps(text))
        for pick in rng.permutation(len(gaps))[:2]:
            gap = gaps[pick]
            if question := _question(text, gap, rng):
                answers = {"text": [text[gap.start : gap.end]], "answer_start": [gap.start]}
                row = {"id": question_id(title, f"{question} {gap.start}"), "title": title}
                rows.append(row | {"context": text, "question": question, "answers": answers})
        if len(rows) >= count:
            break
    return dataset_of(rows[:count])


def _gaps(text: str) -> Iterator[Gap]:
    sentence_start, taken = 0, set()
    for sentence_end in [match.start() for match in SENTENCE_END.finditer(text)] + [len(text)]:
        for pattern, word in GAPS:
            for match in pattern.finditer(text, sentence_start, sentence_end):
                if taken.isdisjoint(range(*match.span())):
                    taken.update(range(*match.span()))
                    yield Gap(*match.span(), word, sentence_start, sentence_end)
        sentence_start = sentence_end


def _question(text: str, gap: Gap, rng: np.random.Generator) -> str:
    """The sentence with the question word in front; "" where too little is left of it."""
    before = text[gap.sentence_start : gap.start].split()[-WORDS_AROUND:]
    after = text[gap.end : gap.sentence_end].strip(" .,;").split()[:WORDS_AROUND]
    if gap.word == "when" and before and before[-1].lower() == "in":
        before = before[:-1]
    # People put the subject in front or ask from the verb on; both orders are seen.
    words = after + before if rng.random() < 0.5 else before + after
    kept = [w for w in words if rng.random() >= DROPPED]
    return f"{gap.word} {' '.join(kept)}".rstrip(" .,;") + "?" if len(kept) >= 3 else ""
