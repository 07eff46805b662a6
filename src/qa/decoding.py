"""From start and end logits over tokens to answers.

Every span is weighed against all others and against no answer. A span's logit is its start logit
plus its end logit. The null logit is that of [CLS] with itself, the lowest over the windows of a
passage, for a window without the answer says "not here" and not "nowhere". A softmax over the best
spans and the null gives each its share. Spans that differ by a word are right together, so what
speaks for a span is the sum of the shares of all that agree with it; a scaling fitted on questions
with known answers makes that the probability that it is right: its score.
"""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from datasets import Dataset
from scipy.special import softmax

from src.qa.calibration import Scaling
from src.qa.metrics import agreement, check_threshold, share_of_rest

SPANS = 20  # of a question, the best over its windows: they and the null share the probability
MAX_ANSWER_TOKENS = 30

Spans = dict[tuple[int, int], float]  # characters (start, end) -> logit


@dataclass(frozen=True)
class Candidate:
    """One possible answer: text == context[start:end], its logit, and its score.

    The score is the probability, in [0, 1], that it is right. Two answers can be right, so the
    scores of all do not add up to 1.
    """

    text: str
    start: int
    end: int
    logit: float
    score: float


@dataclass(frozen=True)
class Answer:
    """What the reader says to one question.

    Attributes:
        text, start, end: text == context[start:end]; a refusal has text "" and start = end = 0.
        score: the probability, in [0, 1], that the best span is right (with a token F1 of 0.5 at
            least), also where it is refused.
        null_score: the probability, in [0, 1], that there is no answer here.
        candidates: the n best spans, best first, also where the answer is a refusal.
        null_logit: of no answer, the lowest over the windows of the passage.
    """

    text: str
    start: int
    end: int
    score: float
    null_score: float
    candidates: tuple[Candidate, ...] = field(default=(), repr=False)
    null_logit: float = field(default=0.0, repr=False)

    @property
    def is_refusal(self) -> bool:
        """Whether this says that the passage holds no answer."""
        return self.start == self.end


def decode(
    features: Dataset,
    dataset: Dataset,
    start_logits: Sequence[np.ndarray],
    end_logits: Sequence[np.ndarray],
    threshold: float = 0.0,
    n_best: int = 5,
    scaling: Scaling | None = None,
    max_answer_tokens: int = MAX_ANSWER_TOKENS,
) -> list[Answer]:
    """One `Answer` per question of `dataset`, in its order.

    A span that two windows see counts once, with its higher logit. Of equal
    logits the earlier span wins, then the shorter. A passage without tokens
    is a refusal: score 0, null score 1.

    Args:
        features: windows of `prepare_features(dataset, ...)`.
        start_logits, end_logits: float[T] for each window, or longer.
        threshold: the lowest score, in [0, 1], that is answered.
        n_best: how many candidates an answer keeps.
        scaling: from the sum of shares to the score; None leaves it as it is.
        max_answer_tokens: the longest span.
    """
    check_threshold(threshold)
    contexts = list(dataset["context"])
    how = max(n_best, SPANS), max_answer_tokens
    spans, nulls = [{} for _ in contexts], [math.inf for _ in contexts]
    names = ("example_index", "token_starts", "token_ends")
    columns = [*(features[name] for name in names), start_logits, end_logits]
    for i, starts, ends, *logits in zip(*columns, strict=True):
        start, end = (checked_logits(each, len(starts)) for each in logits)
        nulls[i] = min(nulls[i], float(start[0] + end[0]))  # of [CLS]
        window = starts, ends, contexts[i], start, end
        for span, logit in best_spans(*window, *how).items():
            spans[i][span] = max(logit, spans[i].get(span, -math.inf))
    settings, answers = (threshold, n_best, scaling or Scaling()), []
    for i, context in enumerate(contexts):
        answers.append(_answer(context, spans[i], nulls[i], *settings))
    return answers


def best_spans_plain(
    token_starts: Sequence[int],
    token_ends: Sequence[int],
    context: str,
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    n_best: int = SPANS,
    max_answer_tokens: int = MAX_ANSWER_TOKENS,
) -> Spans:
    """The n best spans of one window, by looking at every pair of tokens.

    Args:
        token_starts, token_ends: int[T], characters of `context`, -1 on tokens
            outside the passage.
        start_logits, end_logits: float[T].

    Returns:
        Characters (start, end) -> logit, the best first.
    """
    passage = [i for i, start in enumerate(token_starts) if start >= 0]
    logits = {}
    for i in passage:
        for j in passage:
            if i <= j < i + max_answer_tokens:
                end = _whole_character(context, token_ends[j])
                span = (token_starts[i], end)
                logit = float(start_logits[i]) + float(end_logits[j])
                logits[span] = max(logit, logits.get(span, -math.inf))
    best_first = sorted(logits, key=lambda span: (-logits[span], span))
    return {span: logits[span] for span in best_first[:n_best]}


def best_spans(
    token_starts: Sequence[int],
    token_ends: Sequence[int],
    context: str,
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    n_best: int = SPANS,
    max_answer_tokens: int = MAX_ANSWER_TOKENS,
) -> Spans:
    """What `best_spans_plain` finds, faster.

    All logits are added at once, as a band matrix [start, length - 1], and sorted.
    """
    passage = np.flatnonzero(np.asarray(token_starts) >= 0)
    if not passage.size:
        return {}
    length = min(max_answer_tokens, passage.size)
    start = np.asarray(start_logits, dtype=np.float64)[passage]
    end = np.asarray(end_logits, dtype=np.float64)[passage]
    padded = np.concatenate([end, np.full(length - 1, -np.inf)])
    band = start[:, None] + np.lib.stride_tricks.sliding_window_view(padded, length)
    spans: Spans = {}
    lowest = math.inf
    for spot in np.argsort(-band, axis=None):  # the best first
        logit = float(band.flat[spot])
        # Spans as good as the last one are all taken: which of them come first is seen below.
        if logit == -math.inf or (logit < lowest and len(spans) >= n_best):
            break
        first, more = divmod(spot, length)
        i, j = passage[first], passage[first + more]
        # One character can be several tokens, as in Hangul: the best of their spans counts.
        spans.setdefault((token_starts[i], _whole_character(context, token_ends[j])), logit)
        lowest = logit
    return _best_first(spans, n_best)


def _best_first(spans: Spans, n: int) -> Spans:
    return dict(sorted(spans.items(), key=lambda item: (-item[1], item[0]))[:n])


def _answer(
    context: str, spans: Spans, null_logit: float, threshold: float, n_best: int, scaling: Scaling
) -> Answer:
    if not spans:
        return Answer("", 0, 0, 0.0, 1.0, null_logit=null_logit)
    ranked = _best_first(spans, max(n_best, SPANS))
    texts = [context[start:end] for start, end in ranked]
    shares, null_share = _softmax_with_null(np.array([*ranked.values()]), null_logit)
    support = agreement(texts, shares)
    scores = scaling(support)
    candidates = tuple(
        Candidate(text, *span, logit, float(score))
        for text, (span, logit), score in zip(texts, ranked.items(), scores, strict=True)
    )
    top = candidates[0]
    null_score = share_of_rest(null_share, support[0], top.score)
    said = (top.text, top.start, top.end) if top.score >= threshold else ("", 0, 0)
    return Answer(*said, top.score, null_score, candidates[:n_best], null_logit)


def _softmax_with_null(logits: np.ndarray, null_logit: float) -> tuple[np.ndarray, float]:
    """The shares of the first SPANS spans, and of the null; beyond them spans have none."""
    shares = softmax([*logits[:SPANS], null_logit])
    return np.pad(shares[:-1], (0, len(logits) - len(shares) + 1)), float(shares[-1])


def checked_logits(logits: np.ndarray, length: int) -> np.ndarray:
    """float64[length], the logits of the window's own tokens.

    Raises:
        ValueError: one is no number.
    """
    inside = np.asarray(logits, dtype=np.float64)[:length]
    if not np.isfinite(inside).all():
        found = "the model gives logits that are not numbers (NaN or infinite), so it is damaged"
        raise ValueError(f"{found}; load another, or train it again.")
    return inside


def _whole_character(context: str, end: int) -> int:
    """`end` moved past accents, vowel signs and joiners: tokenizers leave them out."""
    while end < len(context):
        mark = context[end]
        if mark != "\u200d" and not unicodedata.category(mark).startswith("M"):
            break
        end += 1
    return end
