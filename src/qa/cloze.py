"""Questions that nobody wrote: a sentence with a gap becomes a question, and the gap its answer.

A few hundred human questions are too few to teach an encoder what an answer is. Ten thousand
introductions hold tens of thousands of names and numbers to take out, so the label costs nothing:
this is self-supervision, as in pretraining. The questions are crude ("when Einstein published in
four papers?"), and that is enough to warm up on.
After Lewis, Denoyer and Riedel 2019, "Unsupervised Question Answering by Cloze Translation".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from datasets import Dataset

from src.qa.course_set import question_id
from src.qa.dataset import FEATURES

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


def cloze_questions(passages: Mapping[str, str], count: int, seed: int) -> Dataset:
    """Make questions from the sentences of passages, at most two a passage.

    Args:
        passages: title -> text.
        count: how many; there can be fewer.
        seed: of the choice.

    Returns:
        Rows in SQuAD's columns, one answer each, in random order.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict] = []
    titles = list(passages)
    for at in rng.permutation(len(titles)):
        title = titles[at]
        gaps = list(gaps_of(passages[title]))
        for pick in rng.permutation(len(gaps))[:2]:
            start, end, word, sentence_start, sentence_end = gaps[pick]
            question = _question(
                passages[title], start, end, word, sentence_start, sentence_end, rng
            )
            if question:
                answers = {"text": [passages[title][start:end]], "answer_start": [start]}
                identity = question_id(title, f"{question} {start}")
                rows.append(
                    {
                        "id": identity,
                        "title": title,
                        "context": passages[title],
                        "question": question,
                        "answers": answers,
                    }
                )
        if len(rows) >= count:
            break
    return Dataset.from_list(rows[:count], features=FEATURES)


def gaps_of(text: str):
    """(start, end, question word, sentence start, sentence end) of what could be asked for."""
    sentence_start, taken = 0, set()
    for sentence_end in [match.start() for match in SENTENCE_END.finditer(text)] + [len(text)]:
        for pattern, word in GAPS:
            for match in pattern.finditer(text, sentence_start, sentence_end):
                if taken.isdisjoint(range(*match.span())):
                    taken.update(range(*match.span()))
                    yield *match.span(), word, sentence_start, sentence_end
        sentence_start = sentence_end


def _question(
    text: str,
    start: int,
    end: int,
    word: str,
    sentence_start: int,
    sentence_end: int,
    rng: np.random.Generator,
) -> str:
    """The sentence with the question word in front; "" where too little is left of it."""
    before = text[sentence_start:start].split()[-WORDS_AROUND:]
    after = text[end:sentence_end].strip(" .,;").split()[:WORDS_AROUND]
    if word == "when" and before and before[-1].lower() == "in":
        before = before[:-1]
    # People put the subject in front or ask from the verb on; both orders are seen.
    words = after + before if rng.random() < 0.5 else before + after
    kept = [w for w in words if rng.random() >= DROPPED]
    return f"{word} {' '.join(kept)}".rstrip(" .,;") + "?" if len(kept) >= 3 else ""
