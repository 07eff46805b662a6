"""The exercises of notebook 06: the four small pieces between a passage and a scored answer, in plain Python and numpy."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from src.qa.metrics import normalize_answer
from src.teaching.exercises import Case, Exercise, Mistake

# --- window_starts -------------------------------------------------------------------------------------------------------


def window_starts(n_tokens: int, room: int, doc_stride: int) -> list[int]:
    """First passage token of every window that a long passage is cut into.

    n_tokens: passage tokens   room: passage tokens that fit into one window
    doc_stride: tokens that two neighbouring windows share, less than room
    The last window is the first one that reaches the end of the passage.
    Example: window_starts(10, 6, 2) gives [0, 4]: tokens 0 to 5, and 4 to 9.
    """
    starts = [0]
    while starts[-1] + room < n_tokens:
        starts.append(starts[-1] + room - doc_stride)
    return starts


def _stride_as_step(n_tokens: int, room: int, doc_stride: int) -> list[int]:
    starts = [0]
    while starts[-1] + room < n_tokens:
        starts.append(starts[-1] + max(doc_stride, 1))
    return starts


def _full_windows_only(n_tokens: int, room: int, doc_stride: int) -> list[int]:
    return list(range(0, n_tokens - room + 1, room - doc_stride))


def _a_window_too_many(n_tokens: int, room: int, doc_stride: int) -> list[int]:
    return list(range(0, n_tokens, room - doc_stride))


def _no_overlap(n_tokens: int, room: int, doc_stride: int) -> list[int]:
    return list(range(0, n_tokens, room))


def _steps_by(step: int, value: Any) -> bool:
    return len(value) > 1 and value[1] - value[0] == step


def _other_step(case: Case, value: Any) -> bool:
    _, room, doc_stride = case.arguments
    return doc_stride != room - doc_stride and _steps_by(doc_stride, value)


WINDOW_STARTS = Exercise(
    id="06.window_starts",
    title="where the windows start",
    goal="Cut a passage of `n_tokens` tokens into windows of `room` tokens, neighbours sharing `doc_stride` of them, so that no "
    "token is left out.",
    solution=window_starts,
    cases=(
        Case((10, 6, 2), [0, 4]),
        Case((9, 4, 1), [0, 3, 6], "the last window is not full: it holds tokens 6 to 8"),
        Case((5, 10, 2), [0], "the whole passage fits into one window"),
        Case((6, 6, 2), [0], "the passage fills one window exactly"),
        Case((7, 6, 2), [0, 4], "one single token is left for the second window"),
        Case((900, 300, 100), [0, 200, 400, 600], "the fourth window ends exactly with the passage"),
        Case((12, 4, 0), [0, 4, 8], "a doc stride of 0 asks for no overlap at all"),
        Case((1, 4, 3), [0], "the passage is a single token"),
    ),
    mistakes=(
        Mistake(
            _stride_as_step,
            "it takes `doc_stride` as the step from one window to the next. Here it is the overlap, so the step is `room - doc_stride`. "
            "(In BERT's original code the same name does mean the step, which is why so many people trip here.)",
            "the step is",
            _other_step,
        ),
        Mistake(
            _full_windows_only,
            "it keeps full windows only and misses the tail. The last tokens of the passage need a window too, even if it is not full; "
            "an answer may stand there.",
            "misses the tail",
            lambda case, value: list(value) == case.expected[: len(value)],
        ),
        Mistake(
            _a_window_too_many,
            "it goes on after a window has reached the end of the passage. The extra window holds only tokens that the one before it "
            "holds already: work for nothing.",
            "extra window",
            lambda case, value: list(value)[: len(case.expected)] == case.expected,
        ),
        Mistake(
            _no_overlap,
            "its windows do not overlap. An answer that lies across a cut would be whole in neither of them; the step must be smaller "
            "than `room`.",
            "do not overlap",
            lambda case, value: _steps_by(case.arguments[1], value),
        ),
    ),
    hint="Start with `[0]`. How far does the last window reach? As long as that is short of `n_tokens`, another window is needed. "
    "It starts `doc_stride` tokens before the end of the one before it.",
    insight="A tokenizer does the same when it is called with `stride=doc_stride` and `return_overflowing_tokens=True`.",
)

# --- label_window --------------------------------------------------------------------------------------------------------


def label_window(
    answer_start: int,
    answer_end: int,
    token_starts: list[int],
    token_ends: list[int],
) -> tuple[int, int]:
    """First and last token of the answer; (0, 0), [CLS], if it is not all here.

    answer_start, answer_end: passage[answer_start:answer_end] is the answer
    token_starts, token_ends: the same characters for each token of the window;
        -1 for [CLS], [SEP] and the tokens of the question
    Positions count from [CLS]; the last one is that of the answer's last token.
    A token belongs to the answer as soon as it shares a character with it.
    Example, the answer "lovelace" in "[CLS] who ? [SEP] ada lovelace [SEP]":
    label_window(4, 12, [-1, -1, -1, -1, 0, 4, -1], [-1, -1, -1, -1, 3, 12, -1])
    gives (5, 5).
    """
    passage = [i for i, start in enumerate(token_starts) if start >= 0]
    first, last = passage[0], passage[-1]
    if answer_start < token_starts[first] or answer_end > token_ends[last]:
        return (0, 0)
    starts_before = {i for i in passage if token_starts[i] < answer_end}
    ends_behind = {i for i in passage if token_ends[i] > answer_start}
    answer = starts_before & ends_behind
    return (min(answer), max(answer))


def _touching(answer_start: int, answer_end: int, token_starts: list[int], token_ends: list[int]) -> list[int]:
    spans = enumerate(zip(token_starts, token_ends, strict=True))
    return [token for token, (start, end) in spans if start >= 0 and start < answer_end and end > answer_start]


def _label_a_part(answer_start: int, answer_end: int, token_starts: list[int], token_ends: list[int]) -> tuple[int, int]:
    answer = _touching(answer_start, answer_end, token_starts, token_ends)
    return (answer[0], answer[-1]) if answer else (0, 0)


def _end_exclusive(answer_start: int, answer_end: int, token_starts: list[int], token_ends: list[int]) -> tuple[int, int]:
    first, last = label_window(answer_start, answer_end, token_starts, token_ends)
    return (first, last + 1) if first else (0, 0)


def _count_from_passage(answer_start: int, answer_end: int, token_starts: list[int], token_ends: list[int]) -> tuple[int, int]:
    first, last = label_window(answer_start, answer_end, token_starts, token_ends)
    offset = next(token for token, start in enumerate(token_starts) if start >= 0)
    return (first - offset, last - offset) if first else (0, 0)


def _characters(answer_start: int, answer_end: int, token_starts: list[int], token_ends: list[int]) -> tuple[int, int]:
    first, last = label_window(answer_start, answer_end, token_starts, token_ends)
    return (answer_start, answer_end) if (first, last) != (0, 0) else (0, 0)


def _exact_edges(answer_start: int, answer_end: int, token_starts: list[int], token_ends: list[int]) -> tuple[int, int]:
    if answer_start in token_starts and answer_end in token_ends:
        return (token_starts.index(answer_start), token_ends.index(answer_end))
    return (0, 0)


def _not_there(answer_start: int, answer_end: int, token_starts: list[int], token_ends: list[int]) -> tuple[int, int] | None:
    label = label_window(answer_start, answer_end, token_starts, token_ends)
    return None if label == (0, 0) else label


# "[CLS] which number ? [SEP] oxygen has atomic number 8 . [SEP]", and the second of two windows over a longer passage.
_FIRST = ([-1, -1, -1, -1, -1, 0, 7, 11, 18, 25, 26, -1], [-1, -1, -1, -1, -1, 6, 10, 17, 24, 26, 27, -1])
_SECOND = ([-1, -1, -1, -1, -1, 18, 25, 26, 28, 31, -1], [-1, -1, -1, -1, -1, 24, 26, 27, 30, 35, -1])

LABEL_WINDOW = Exercise(
    id="06.label_window",
    title="from characters to token labels",
    goal="A data set gives an answer as characters of the passage; the model learns two token positions. Translate one into the other.",
    solution=label_window,
    cases=(
        Case((25, 26, *_FIRST), (9, 9), "the answer is the one token `8`"),
        Case((11, 24, *_FIRST), (7, 8), "the answer is the two tokens `atomic number`"),
        Case((0, 6, *_FIRST), (5, 5), "the answer is the first word of the passage"),
        Case((0, 6, *_SECOND), (0, 0), "the answer lies before this window, which begins with character 18"),
        Case((11, 24, *_SECOND), (0, 0), "the window holds `number`, the second word of the answer, but not `atomic`, its first"),
        Case((25, 35, *_SECOND), (6, 9), "the answer ends with the last token of the window"),
        Case((31, 35, *_FIRST), (0, 0), "the answer lies behind this window"),
        Case((19, 23, *_FIRST), (8, 8), "the answer is a part of one token, as in `America` of `American`"),
    ),
    mistakes=(
        Mistake(
            _label_a_part,
            "it labels a part of the answer where the window holds only a part. Trained so, the model learns to answer with cut-off "
            "answers; "
            "unless the window holds the whole answer, its label is (0, 0).",
            "a part of the answer",
            lambda case, value: case.expected == (0, 0) and min(value) > 0,
        ),
        Mistake(
            _end_exclusive,
            "its end is one too far. Character ends are exclusive, as in Python's slices, but the end label is the position of the "
            "answer's last token itself.",
            "one too far",
            lambda case, value: tuple(value) == (case.expected[0], case.expected[1] + 1),
        ),
        Mistake(
            _count_from_passage,
            "it counts tokens from the beginning of the passage. The model's scores are for all tokens of the window, so positions "
            "count from [CLS], which is 0.",
            "from the beginning of the passage",
        ),
        Mistake(
            _characters,
            "it returns characters. The model has one score per token: look for the tokens that these characters fall into.",
            "returns characters",
            lambda case, value: tuple(value) == case.arguments[:2],
        ),
        Mistake(
            _exact_edges,
            "it finds an answer only where tokens begin and end exactly with it. An answer can begin in the middle of a token: compare "
            "with < and >, not with ==.",
            "in the middle of a token",
        ),
        Mistake(
            _not_there,
            "it returns nothing where the answer is not in the window. The model still needs a target there: (0, 0), the position of "
            "[CLS].",
            "the position of [CLS]",
            lambda case, value: case.expected == (0, 0) and (value is None or min(value) < 0),
        ),
    ),
    hint="First the refusals: which are the first and the last passage token of the window (those whose start is not -1), and does "
    "the answer begin before the "
    "one or end behind the other? Then a token belongs to the answer if it starts before the answer ends, and ends after the answer "
    "starts.",
    insight="`src.qa.features` does this for all windows of a data set. A label at [CLS] is also what every unanswerable question gets.",
)

# --- best_span -----------------------------------------------------------------------------------------------------------


def best_span(
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    max_answer_length: int,
) -> tuple[int, int]:
    """First and last token of the answer with the largest sum of scores.

    start_logits, end_logits: float[T], how well the answer could start, or end,
        at each token
    An answer does not end before it starts, and has at most max_answer_length
    tokens, its first and last included.
    Example: best_span(np.array([0.0, 5.0, 1.0]), np.array([4.0, 0.0, 3.0]), 2)
    gives (1, 2), with the sum 5 + 3.
    """
    # float[T, T]: a row for every start, a column for every end
    sums = start_logits[:, None] + end_logits[None, :]
    token = np.arange(len(start_logits))
    length = token[None, :] - token[:, None] + 1
    allowed = (length >= 1) & (length <= max_answer_length)
    best = np.argmax(np.where(allowed, sums, -np.inf))
    start, end = np.unravel_index(best, sums.shape)
    return int(start), int(end)


def _independent(start_logits: np.ndarray, end_logits: np.ndarray, max_answer_length: int) -> tuple[int, int]:
    return int(np.argmax(start_logits)), int(np.argmax(end_logits))


def _any_length(start_logits: np.ndarray, end_logits: np.ndarray, max_answer_length: int) -> tuple[int, int]:
    return best_span(start_logits, end_logits, len(start_logits))


def _one_too_long(start_logits: np.ndarray, end_logits: np.ndarray, max_answer_length: int) -> tuple[int, int]:
    return best_span(start_logits, end_logits, max_answer_length + 1)


def _one_too_short(start_logits: np.ndarray, end_logits: np.ndarray, max_answer_length: int) -> tuple[int, int] | None:
    return best_span(start_logits, end_logits, max_answer_length - 1) if max_answer_length > 1 else None


def _start_first(start_logits: np.ndarray, end_logits: np.ndarray, max_answer_length: int) -> tuple[int, int]:
    start = int(np.argmax(start_logits))
    return start, start + int(np.argmax(end_logits[start : start + max_answer_length]))


def _zero_for_forbidden(start_logits: np.ndarray, end_logits: np.ndarray, max_answer_length: int) -> tuple[int, int]:
    sums = np.triu(start_logits[:, None] + end_logits[None, :])
    sums = np.tril(sums, max_answer_length - 1)
    start, end = np.unravel_index(np.argmax(sums), sums.shape)
    return int(start), int(end)


def _zero_to_beat(start_logits: np.ndarray, end_logits: np.ndarray, max_answer_length: int) -> tuple[int, int]:
    best, best_sum = (0, 0), 0.0
    for start in range(len(start_logits)):
        for end in range(start, min(start + max_answer_length, len(end_logits))):
            if start_logits[start] + end_logits[end] > best_sum:
                best, best_sum = (start, end), float(start_logits[start] + end_logits[end])
    return best


def _logits(start: list[float], end: list[float], max_answer_length: int) -> tuple[np.ndarray, np.ndarray, int]:
    return np.array(start), np.array(end), max_answer_length


BEST_SPAN = Exercise(
    id="06.best_span",
    imports="import numpy as np",
    title="the best valid span",
    goal="From a start score and an end score for every token, find the answer: the first and the last token of the valid span with "
    "the largest sum.",
    solution=best_span,
    cases=(
        Case(_logits([0.0, 5.0, 1.0, 0.0], [0.0, 0.0, 4.0, 1.0], 3), (1, 2)),
        Case(
            _logits([1.0, 0.0, 6.0, 0.0], [0.0, 5.0, 0.0, 2.0], 4), (2, 3), "the best end (token 1) comes before the best start (token 2)"
        ),
        Case(
            _logits([6.0, 0.0, 0.0, 2.5, 0.0], [1.0, 0.0, 0.0, 2.0, 6.0], 2),
            (3, 4),
            "the span from the best start (0) to the best end (4) has five tokens, and two are allowed",
        ),
        Case(_logits([5.0, 0.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0], 3), (0, 2), "the best span has three tokens, which is just allowed"),
        Case(
            _logits([5.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 4.0], 3),
            (0, 2),
            "the span from 0 to 3 would have four tokens, one more than allowed",
        ),
        Case(_logits([4.0, 3.5, 0.0], [0.0, 0.0, 3.0], 2), (1, 2), "the best sum, 3.5 + 3, does not use the best start"),
        Case(_logits([-3.0, -1.0, -2.0], [-2.0, -4.0, -1.5], 3), (1, 2), "all scores are below zero"),
        Case(_logits([1.0, 2.0, 0.0], [0.0, 1.5, 3.0], 1), (1, 1), "answers are one token long"),
    ),
    mistakes=(
        Mistake(
            _independent,
            "it takes the best start and the best end apart from each other. Together they need not make a span: the end can come "
            "before the start, or far behind it. "
            "Compare pairs.",
            "apart from each other",
            lambda case, value: value[1] < value[0],
        ),
        Mistake(
            _any_length,
            "it ignores `max_answer_length`. Without that limit one stray high score far away makes an answer of half a page.",
            "ignores",
            lambda case, value: value[1] - value[0] > case.arguments[2],
        ),
        Mistake(
            _one_too_long,
            "it allows one token too many. A span from `start` to `end` has `end - start + 1` tokens, since both ends belong to it.",
            "one token too many",
            lambda case, value: value[1] - value[0] == case.arguments[2],
        ),
        Mistake(
            _one_too_short,
            "it allows one token too few. A span from `start` to `end` has `end - start + 1` tokens, and `max_answer_length` itself is "
            "still allowed.",
            "one token too few",
        ),
        Mistake(
            _start_first,
            "it settles on the best start first and then looks for an end. A start that is a little lower may have a far better end "
            "behind it: compare sums.",
            "best start first",
        ),
        Mistake(
            _zero_for_forbidden,
            "it gives forbidden pairs a score of 0 (as `np.triu` does). Where all logits are negative, 0 wins. What must not be chosen "
            "needs `-np.inf`.",
            "forbidden pairs",
        ),
        Mistake(
            _zero_to_beat,
            "it begins its search with a best sum of 0. Logits can all be negative, and then nothing beats 0: begin with `-np.inf`.",
            "best sum of 0",
        ),
    ),
    hint="Two loops do it: every `start`, and for it every `end` from `start` to `start + max_answer_length - 1` (and less than T). "
    "Keep the pair with the largest sum, "
    "beginning with a sum of `-np.inf`. Without loops: `start_logits[:, None] + end_logits[None, :]` holds all sums; set the forbidden "
    "ones to `-np.inf`.",
    insight="This is the heart of `src.qa.decoding`, which keeps the n best spans instead of one, and compares them with the score "
    "of [CLS].",
)

# --- token_f1 ------------------------------------------------------------------------------------------------------------


def token_f1(prediction: str, gold: str) -> float:
    """F1 by the SQuAD rules, 0 to 1: harmonic mean of precision and recall.

    prediction and gold go through normalize_answer first, then are split into
    words, which are counted with repetition.
    precision: the part of the predicted words that gold has too
    recall: the part of gold's words that the prediction has too
    Where a text has no words left, F1 is 1 if both have none, else 0.
    Example: token_f1("in Paris", "Paris") gives 0.667: precision 1/2, recall 1.
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


def _f1_of_words(predicted_words: list[str], gold_words: list[str], shared: int) -> float:
    if not predicted_words or not gold_words:
        return float(predicted_words == gold_words)
    return 2 * shared / (len(predicted_words) + len(gold_words))


def _sets(prediction: str, gold: str) -> float:
    predicted_words, gold_words = set(normalize_answer(prediction).split()), set(normalize_answer(gold).split())
    return _f1_of_words(sorted(predicted_words), sorted(gold_words), len(predicted_words & gold_words))


def _membership(prediction: str, gold: str) -> float:
    predicted_words, gold_words = normalize_answer(prediction).split(), normalize_answer(gold).split()
    return _f1_of_words(predicted_words, gold_words, sum(word in gold_words for word in predicted_words))


def _not_normalised(prediction: str, gold: str) -> float:
    predicted_words, gold_words = prediction.split(), gold.split()
    return _f1_of_words(predicted_words, gold_words, (Counter(predicted_words) & Counter(gold_words)).total())


def _lower_case_only(prediction: str, gold: str) -> float:
    return _not_normalised(prediction.lower(), gold.lower())


def _division_by_zero(prediction: str, gold: str) -> float:
    predicted_words, gold_words = normalize_answer(prediction).split(), normalize_answer(gold).split()
    shared = (Counter(predicted_words) & Counter(gold_words)).total()
    precision, recall = shared / len(predicted_words), shared / len(gold_words)
    return 2 * precision * recall / (precision + recall)


def _plain_mean(prediction: str, gold: str) -> float:
    predicted_words, gold_words = normalize_answer(prediction).split(), normalize_answer(gold).split()
    if not predicted_words or not gold_words:
        return float(predicted_words == gold_words)
    shared = (Counter(predicted_words) & Counter(gold_words)).total()
    return (shared / len(predicted_words) + shared / len(gold_words)) / 2


def _percent(prediction: str, gold: str) -> float:
    return 100 * token_f1(prediction, gold)


TOKEN_F1 = Exercise(
    id="06.token_f1",
    title="F1 by the SQuAD rules",
    goal="Score a predicted answer against the gold one, with part of the credit for a part of the words.",
    solution=token_f1,
    imports="from collections import Counter\n\nfrom src.qa.metrics import normalize_answer",
    cases=(
        Case(("Paris", "Paris"), 1.0),
        Case(("in Paris", "Paris"), 2 / 3, "precision is 1/2 and recall is 1"),
        Case(("The king of Spain!", "king of Spain"), 1.0, "only an article and an exclamation mark set them apart, which do not count"),
        Case(("a King", "king"), 1.0, "a capital and an article set them apart, which do not count"),
        Case(("the Eiffel Tower in Paris", "Eiffel Tower"), 2 / 3, "precision is 2/4, as `the` is dropped, and recall is 1"),
        Case(("New York New York", "New York"), 2 / 3, "the prediction has four words, of which gold holds two"),
        Case(("dog big big", "big dog dog"), 2 / 3, "each text has three words, and they share `big` once and `dog` once"),
        Case(("Bora Bora", "Bora Bora"), 1.0, "two words are predicted, and both are right"),
        Case(("London", "Paris"), 0.0, "they have no word in common"),
        Case(("", ""), 1.0, "the question has no answer and the model gave none"),
        Case(("Paris", ""), 0.0, "the question has no answer, yet the model gave one"),
        Case(("the", "Paris"), 0.0, "nothing is left of the prediction once its article is dropped"),
    ),
    mistakes=(
        Mistake(
            _sets,
            "it compares sets, in which a repeated word counts once. SQuAD counts words with repetition: `Counter(a) & Counter(b)` "
            "keeps, of each word, the smaller count.",
            "compares sets",
            # sets for the shared words, lists for the lengths: shows only where both texts repeat a word
            lambda case, value: case.arguments == ("Bora Bora", "Bora Bora") and value < 1,
        ),
        Mistake(
            _membership,
            "it counts every predicted word that occurs in gold, so one gold word is used up several times. `Counter(a) & Counter(b)` "
            "keeps, of each word, the smaller count.",
            "used up several times",
        ),
        Mistake(
            _not_normalised,
            "it compares the texts as they are. Small letters, no punctuation, no articles: both texts go through `normalize_answer` "
            "first.",
            "through `normalize_answer` first",
        ),
        Mistake(
            _lower_case_only,
            "it makes letters small and stops there. The rules also drop punctuation and the articles a, an, the: `normalize_answer` "
            "does all of it.",
            "punctuation and the articles",
        ),
        Mistake(
            _division_by_zero,
            "it divides by zero. With no word in common, precision and recall are both 0, and so is their sum; and a text without "
            "words has length 0. Return early in both cases.",
            "divides by zero",
        ),
        Mistake(
            _plain_mean,
            "it takes the plain mean of precision and recall. F1 is their harmonic mean, 2PR / (P + R), which stays near the smaller "
            "of the two.",
            "harmonic mean",
        ),
        Mistake(
            _percent,
            "it returns percent. Here F1 lies between 0 and 1; the factor 100 comes when scores are averaged for a report.",
            "returns percent",
            lambda case, value: 1.5 < value <= 100,
        ),
    ),
    hint="Normalise, then split both texts into words. The shared words, with repetition, number `(Counter(predicted) & "
    "Counter(gold)).total()`. "
    "Divide by the one length for precision and by the other for recall. What if a length, or the number of shared words, is 0?",
    insight="`src.qa.metrics` takes the best of this over all the answers people gave, and the mean over all questions, times 100.",
)

EXERCISES = (WINDOW_STARTS, LABEL_WINDOW, BEST_SPAN, TOKEN_F1)
