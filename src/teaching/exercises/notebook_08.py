"""Notebook 08: the four small pieces between a passage and a scored answer."""

from collections import Counter

import numpy as np

from src.qa.metrics import normalize_answer
from src.teaching.exercises.record import Case, Exercise


def window_starts(n_tokens: int, room: int, doc_stride: int) -> list[int]:
    """First passage token of every window that a long passage is cut into.

    The last window is the first one that reaches the end of the passage.
    Example: window_starts(10, 6, 2) gives [0, 4]: tokens 0 to 5, and 4 to 9.

    Args:
        n_tokens: passage tokens.
        room: passage tokens that fit into one window.
        doc_stride: tokens that two neighbouring windows share, less than room.
    """
    starts = [0]
    while starts[-1] + room < n_tokens:
        starts.append(starts[-1] + room - doc_stride)
    return starts


WINDOW_STARTS = Exercise(
    window_starts,
    hint="Start with `[0]`. As long as the last window ends before `n_tokens`, add another. It "
    "starts `doc_stride` tokens before the end of the one before it.",
    insight="A tokenizer does the same when it is called with `stride=doc_stride` and "
    "`return_overflowing_tokens=True`.",
    cases=[
        Case(10, 6, 2, gives=[0, 4]),
        Case(9, 4, 1, gives=[0, 3, 6], here="the last window is not full: it has tokens 6 to 8"),
        Case(5, 10, 2, gives=[0], here="the whole passage fits into one window"),
        Case(6, 6, 2, gives=[0], here="the passage fills one window exactly"),
        Case(12, 4, 0, gives=[0, 4, 8], here="a doc stride of 0 asks for no overlap at all"),
    ],
    mistakes="""
    return list(range(0, n_tokens, max(doc_stride, 1)))
    # It takes `doc_stride` as the step, as BERT's original code does. Here it is the overlap: the
    # step is `room - doc_stride`.
    return list(range(0, n_tokens - room + 1, room - doc_stride))
    # It keeps full windows only and misses the tail of the passage. The answer may be there.
    return list(range(0, n_tokens, room - doc_stride))
    # It goes on after a window has reached the end. The extra window holds only tokens that the one
    # before has already.
    return list(range(0, n_tokens, room))
    # Its windows do not overlap. An answer across a cut would be whole in neither.
    """,
)


def label_window(
    answer_start: int,
    answer_end: int,
    token_starts: list[int],
    token_ends: list[int],
) -> tuple[int, int]:
    """First and last token of the answer; (0, 0), [CLS], if it is not all here.

    Positions count from [CLS]; a token belongs to the answer as soon as it
    shares a character with it.
    Example, the answer "lovelace" in "[CLS] who ? [SEP] ada lovelace [SEP]":
    label_window(4, 12, [-1, -1, -1, -1, 0, 4, -1], [-1, -1, -1, -1, 3, 12, -1])
    gives (5, 5).

    Args:
        answer_start, answer_end: its place in the passage, in characters.
        token_starts, token_ends: the same for each token of the window; -1 for
            [CLS], [SEP] and the tokens of the question.
    """
    passage = [i for i, start in enumerate(token_starts) if start >= 0]
    first, last = passage[0], passage[-1]
    if answer_start < token_starts[first] or answer_end > token_ends[last]:
        return (0, 0)
    starts_before = [i for i in passage if token_starts[i] < answer_end]
    ends_after = [i for i in passage if token_ends[i] > answer_start]
    return (ends_after[0], starts_before[-1])


# "[CLS] which number ? [SEP] oxygen has atomic number 8 . [SEP]", and the second of two windows.
FIRST = (
    [-1, -1, -1, -1, -1, 0, 7, 11, 18, 25, 26, -1],
    [-1, -1, -1, -1, -1, 6, 10, 17, 24, 26, 27, -1],
)
SECOND = (
    [-1, -1, -1, -1, -1, 18, 25, 26, 28, 31, -1],
    [-1, -1, -1, -1, -1, 24, 26, 27, 30, 35, -1],
)

LABEL_WINDOW = Exercise(
    label_window,
    hint="First refuse: does the answer begin before the first passage token of the window, or end "
    "after the last? Then a token belongs to the answer if it starts before the answer ends, and "
    "ends after the answer starts.",
    insight="`src.qa.features` does this for all windows of a data set. Every unanswerable "
    "question is labelled at [CLS], too.",
    cases=[
        Case(25, 26, *FIRST, gives=(9, 9), here="the answer is the one token `8`"),
        Case(11, 24, *FIRST, gives=(7, 8), here="the answer is the two tokens `atomic number`"),
        Case(0, 6, *SECOND, gives=(0, 0), here="the answer is before this window"),
        Case(11, 24, *SECOND, gives=(0, 0), here="the window has `number`, but not `atomic`"),
        Case(19, 23, *FIRST, gives=(8, 8), here="the answer is part of one token"),
    ],
    mistakes="""
    answer_start < token_starts[first] or answer_end > token_ends[last]
    -> answer_end <= token_starts[first] or answer_start >= token_ends[last]
    # It labels a part of the answer, and the model learns cut-off answers. Unless the window has
    # all of it, the label is (0, 0).
    starts_before[-1]) -> starts_before[-1] + 1)
    # Its end is one too far. Character ends are exclusive, but the end label is the answer's last
    # token itself.
    (ends_after[0], starts_before[-1]) -> (ends_after[0] - first, starts_before[-1] - first)
    # It counts tokens from the beginning of the passage. Positions count from [CLS], which is 0.
    return (ends_after[0], starts_before[-1]) -> return (answer_start, answer_end)
    # It returns characters. Look for the tokens that these characters fall into.
    whole = answer_start in token_starts and answer_end in token_ends
    first, last = token_starts.index, token_ends.index
    return (first(answer_start), last(answer_end)) if whole else (0, 0)
    # It finds an answer only where tokens begin and end exactly with it. Compare with < and >, not
    # with ==.
    """,
)


def best_span(
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    max_answer_length: int,
) -> tuple[int, int]:
    """First and last token of the answer with the largest sum of scores.

    An answer does not end before it starts, and has at most max_answer_length
    tokens, its first and last included.
    Example: best_span(np.array([0.0, 5.0, 1.0]), np.array([4.0, 0.0, 3.0]), 2)
    gives (1, 2), with the sum 5 + 3.

    Args:
        start_logits, end_logits: float[T], how well the answer could start, or
            end, at each token.
        max_answer_length: in tokens.
    """
    best, span = -np.inf, (0, 0)
    for start in range(len(start_logits)):
        stop = min(start + max_answer_length, len(end_logits))
        for end in range(start, stop):
            if start_logits[start] + end_logits[end] > best:
                best = start_logits[start] + end_logits[end]
                span = (start, end)
    return span


BEST_SPAN = Exercise(
    best_span,
    hint="Two loops: every `start`, and for it every `end` from `start` to "
    "`start + max_answer_length - 1` (and less than T). Keep the pair with the largest sum, "
    "beginning with a sum of `-np.inf`.",
    insight="This is the heart of `src.qa.decoding`, which keeps the n best spans instead of one, "
    "and compares them with the score of [CLS].",
    cases=[
        Case([0, 5, 1, 0], [0, 0, 4, 1], 3, gives=(1, 2)),
        Case([1, 0, 6, 0], [0, 5, 0, 2], 4, gives=(2, 3), here="the best end is before the start"),
        Case([6, 0, 0, 2.5, 0], [1, 0, 0, 2, 6], 2, gives=(3, 4), here="0 to 4 is too long"),
        Case([5, 0, 0, 0], [0, 0, 1, 4], 3, gives=(0, 2), here="0 to 3 is one too long"),
        Case([4, 3.5, 0], [0, 0, 3], 2, gives=(1, 2), here="the best sum is 3.5 + 3"),
        Case([-3, -1, -2], [-2, -4, -1.5], 3, gives=(1, 2), here="all scores are below zero"),
    ],
    mistakes="""
    return int(np.argmax(start_logits)), int(np.argmax(end_logits))
    # It takes the best start and the best end apart from each other. The end can come first, or far
    # behind. Compare pairs.
    min(start + max_answer_length, len(end_logits)) -> len(end_logits)
    # It ignores `max_answer_length`. One stray high score makes an answer of half a page.
    start + max_answer_length -> start + max_answer_length + 1
    # It allows one token too many. A span from `start` to `end` has `end - start + 1` tokens.
    start + max_answer_length -> start + max_answer_length - 1
    # It allows one token too few: `max_answer_length` itself is still allowed.
    start = int(np.argmax(start_logits))
    ends = end_logits[start : start + max_answer_length]
    return start, start + int(np.argmax(ends))
    # It settles on the best start first. A lower one may have a far better end: compare sums.
    -np.inf -> 0
    # It begins with a best sum of 0, which no negative logits can beat: begin with `-np.inf`.
    """,
)


def token_f1(prediction: str, gold: str) -> float:
    """F1 by the SQuAD rules, 0 to 1: harmonic mean of precision and recall.

    precision: the part of the predicted words that gold has too
    recall: the part of gold's words that the prediction has too
    Example: token_f1("in Paris", "Paris") gives 0.667: precision 1/2, recall 1.

    Args:
        prediction, gold: both go through normalize_answer first, then are split
            into words, which are counted with repetition.

    Returns:
        F1. Where a text has no words left it is 1 if both have none, else 0.
    """
    predicted_words = normalize_answer(prediction).split()
    gold_words = normalize_answer(gold).split()
    if not predicted_words or not gold_words:
        return float(predicted_words == gold_words)
    shared = (Counter(predicted_words) & Counter(gold_words)).total()
    if shared == 0:
        return 0.0
    precision = shared / len(predicted_words)
    recall = shared / len(gold_words)
    return 2 * precision * recall / (precision + recall)


TOKEN_F1 = Exercise(
    token_f1,
    hint="Normalise, then split both texts into words. The number of shared words is "
    "`(Counter(predicted) & Counter(gold)).total()`. Divide by the one length for precision and by "
    "the other for recall. What if one of these is 0?",
    insight="`src.qa.metrics` takes the best of this over all the answers people gave, and the "
    "mean over all questions, times 100.",
    cases=[
        Case("Paris", "Paris", gives=1.0),
        Case("in Paris", "Paris", gives=2 / 3, here="precision is 1/2 and recall is 1"),
        Case("The king of Spain!", "king of Spain", gives=1.0, here="only `The` and `!` differ"),
        Case("New York New York", "New York", gives=2 / 3, here="gold has two of the four words"),
        Case("Bora Bora", "Bora Bora", gives=1.0, here="two words are predicted, both right"),
        Case("London", "Paris", gives=0.0, here="they have no word in common"),
        Case("", "", gives=1.0, here="the question has no answer and the model gave none"),
    ],
    mistakes="""
    (Counter(predicted_words) & Counter(gold_words)).total()
    -> len(set(predicted_words) & set(gold_words))
    # It compares sets, in which a repeated word counts once. `Counter(a) & Counter(b)` keeps
    # counts.
    (Counter(predicted_words) & Counter(gold_words)).total()
    -> sum(word in gold_words for word in predicted_words)
    # It counts every predicted word that occurs in gold, so one gold word is used up several times.
    # Use `Counter(a) & Counter(b)`.
    normalize_answer(prediction) -> prediction.lower()
    normalize_answer(gold) -> gold.lower()
    # Both texts go through `normalize_answer` first. It drops capitals, punctuation and the
    # articles a, an, the.
    2 * precision * recall / (precision + recall) -> (precision + recall) / 2
    # It takes the plain mean. F1 is the harmonic mean, 2PR / (P + R), which stays near the smaller
    # one.
    """,
)
