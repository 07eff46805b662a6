"""Why this answer? Take something away, and watch the score of the answer that was given.

falls(reader, question, passage, "words")   # how far its score falls without each word
with blinded(reader, block, heads): ...     # with heads that look at all tokens alike
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from src.qa.answerer import QuestionAnswerer
from src.qa.decoding import SPANS, Answer
from src.qa.metrics import HALF_RIGHT, f1

BORDERS = {"words": r"\s+", "sentences": r"(?<=[.!?])\s+"}


def belief(answers: Sequence[Answer], said: str) -> np.ndarray:
    """In each of N answers the best score of a span that agrees, else 0.

    Args:
        answers: with many candidates.
        said: an answer, in words.

    Returns:
        float[N] in [0, 1].
    """
    scores = []
    for answer in answers:
        found = answer.candidates
        same = [c for c in found if f1(c.text, [said]) >= HALF_RIGHT]
        scores.append(max((each.score for each in same), default=0.0))
    return np.array(scores)


def falls(
    reader: QuestionAnswerer,
    question: str,
    passage: str,
    what: str,
) -> tuple[list[str], np.ndarray, Answer]:
    """How far the score of the answer falls without each piece of a text.

    Args:
        what: "words" of the question, or "sentences" of the passage.

    Returns:
        The pieces; float[pieces], below 0 where the score rises; and the
        answer that was given to the whole.
    """
    text = question if what == "words" else passage
    pieces = re.split(BORDERS[what], text.strip())
    n = len(pieces)
    less = [" ".join(pieces[:i] + pieces[i + 1 :]) or "?" for i in range(n)]
    asked, read = [question] * (n + 1), [passage] * (n + 1)
    (asked if what == "words" else read)[1:] = less
    answer, *others = reader(asked, read, threshold=0, n_best=SPANS)
    return pieces, answer.score - belief(others, answer.text), answer


@contextmanager
def blinded(
    reader: QuestionAnswerer,
    block: int,
    heads: Sequence[int],
) -> Iterator[None]:
    """Let some heads of a block look at all tokens alike, for a while.

    A query of zeros has the same product with every key.

    Args:
        reader: with a model of BERT's own kind.
        block, heads: counted from 0.
    """
    bert = reader.model.base_model
    query = bert.encoder.layer[block].attention.self.query
    kept = [parameter.data.clone() for parameter in query.parameters()]
    size = bert.config.hidden_size // bert.config.num_attention_heads
    try:
        for head in heads:
            for parameter in query.parameters():  # [D, D] and [D]
                parameter.data[head * size : (head + 1) * size] = 0
        yield
    finally:
        for parameter, values in zip(query.parameters(), kept, strict=True):
            parameter.data = values


def planted_cases() -> list[tuple[str, str, str, str]]:
    """Questions of which it is known what their answers hang on.

    Two towns, two years: without the town's name both years are equally good.

    Returns:
        24 of question, passage, the town that is asked for, the right year.
    """
    towns = [("Arven", "Tolm"), ("Kesra", "Dunby"), ("Pellow", "Marrik")]
    cases = []
    for thing in ("bridge", "school", "tower", "harbour"):
        for one, other in towns:
            passage = f"The {thing} of {one} was built in 1842. "
            passage += f"The {thing} of {other} was built in 1907. "
            passage += "It often rains there in autumn."
            for town, year in ((one, "1842"), (other, "1907")):
                question = f"When was the {thing} of {town} built?"
                cases.append((question, passage, town, year))
    return cases
