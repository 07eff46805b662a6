"""From start and end logits over tokens to answers: every span is weighed against all others and against no answer.

A span's logit is its start logit plus its end logit. The null logit is that of [CLS] with itself, the lowest over the windows
of a passage, for a window without the answer says "not here" and not "nowhere". A softmax over the best spans and the null,
divided by a temperature, turns logits into scores in [0, 1].
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from datasets import Dataset

from src.qa.metrics import check_temperature, check_threshold

SPANS = 20  # of a question, the best over its windows: they and the null share the probability


@dataclass(frozen=True)
class Candidate:
    """One possible answer: text == context[start:end], its logit, and its score, the probability in [0, 1] that it is right."""

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
        score: the probability, in [0, 1], that the best span is right, also where it is refused.
        null_score: the probability, in [0, 1], that there is no answer here.
        candidates: the n best spans, best first, also where the answer is a refusal.
        null_logit: the logit of no answer, the lowest over the windows of the passage.
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
    max_answer_tokens: int = 30,
    temperature: float = 1.0,
) -> list[Answer]:
    """One `Answer` per question of `dataset`, in its order.

    A span that two windows see counts once, with its higher logit. Of equal logits the earlier
    span wins, then the shorter. A passage without tokens is a refusal: score 0, null score 1.

    Args:
        features: windows of `prepare_features(dataset, ...)`.
        start_logits, end_logits: float[T] for each window; beyond its length they are padding.
        threshold: the lowest score, in [0, 1], that is answered.
        n_best: how many candidates an answer keeps; scores do not depend on it.
        temperature: above 0; what all logits are divided by before the softmax.

    Raises:
        ValueError: windows are missing, logits are not numbers, or a setting is out of range.
    """
    check_threshold(threshold)
    check_temperature(temperature)
    if not len(features) == len(start_logits) == len(end_logits):
        raise ValueError(f"{len(features)} windows, but logits for {len(start_logits)} starts and {len(end_logits)} ends; pass one each.")
    contexts = list(dataset["context"])
    spans, null_logits = [{} for _ in contexts], [math.inf] * len(dataset)
    columns = (features["example_index"], features["token_starts"], features["token_ends"], start_logits, end_logits)
    for question, token_starts, token_ends, start, end in zip(*columns, strict=True):
        start, end = (checked_logits(logits, len(token_starts)) for logits in (start, end))
        null_logits[question] = min(null_logits[question], float(start[0] + end[0]))
        window = (token_starts, token_ends, contexts[question], start, end)
        for span, logit in best_spans(*window, max(n_best, SPANS), max_answer_tokens).items():
            spans[question][span] = max(logit, spans[question].get(span, -math.inf))
    return [
        _answer(context, found, null_logit, threshold, n_best, temperature)
        for context, found, null_logit in zip(contexts, spans, null_logits, strict=True)
    ]


def best_spans_plain(
    token_starts: Sequence[int],
    token_ends: Sequence[int],
    context: str,
    start_logits: Sequence[float],
    end_logits: Sequence[float],
    n_best: int = SPANS,
    max_answer_tokens: int = 30,
) -> dict[tuple[int, int], float]:
    """What `best_spans` finds, by looking at every pair of tokens."""
    passage = [i for i, start in enumerate(token_starts) if start >= 0]
    logits = {}
    for i in passage:
        for j in passage:
            if i <= j < i + max_answer_tokens:
                span = token_starts[i], _whole_character(context, token_ends[j])
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
    max_answer_tokens: int = 30,
) -> dict[tuple[int, int], float]:
    """The n best spans of one window, best first: characters (start, end) -> logit.

    All logits are added at once, as a band matrix [start, length - 1], so nothing is built that is too long.

    Args:
        token_starts, token_ends: int[T], characters of `context`, -1 on tokens outside the passage.
        start_logits, end_logits: float[T].
    """
    starts, ends = np.asarray(token_starts), np.asarray(token_ends)
    passage = np.flatnonzero(starts >= 0)
    if not passage.size:
        return {}
    length = min(max_answer_tokens, passage.size)
    start, end = (np.asarray(logits, dtype=np.float64)[passage] for logits in (start_logits, end_logits))
    beyond = np.full(length - 1, -np.inf)
    band = start[:, None] + np.lib.stride_tricks.sliding_window_view(np.concatenate([end, beyond]), length)
    return _top_spans(band, starts[passage], ends[passage], context, n_best)


def _top_spans(band: np.ndarray, starts: np.ndarray, ends: np.ndarray, context: str, n_best: int) -> dict[tuple[int, int], float]:
    """The `n_best` best spans of characters, best first.

    One character can be several tokens, as in Hangul: then many spans of tokens are one span of characters, and more are
    looked at.
    """
    logits = band.ravel()
    available = int(np.isfinite(logits).sum())
    kept = min(n_best, available)
    spans: dict[tuple[int, int], float] = {}
    while kept and len(spans) < n_best:
        limit = np.partition(logits, -kept)[-kept]
        spots = np.flatnonzero(logits >= limit)
        rows, columns = np.divmod(spots, band.shape[1])
        found = zip(starts[rows].tolist(), ends[rows + columns].tolist(), logits[spots].tolist(), strict=True)
        for start, end, logit in found:
            span = (start, _whole_character(context, end))
            spans[span] = max(logit, spans.get(span, -math.inf))
        if kept == available:
            break
        kept = min(4 * kept, available)
    return dict(sorted(spans.items(), key=lambda item: (-item[1], item[0]))[:n_best])


def _answer(
    context: str,
    spans: dict[tuple[int, int], float],
    null_logit: float,
    threshold: float,
    n_best: int,
    temperature: float,
) -> Answer:
    if not spans:
        return Answer("", 0, 0, 0.0, 1.0, null_logit=null_logit)
    ranked = sorted(spans.items(), key=lambda item: (-item[1], item[0]))[: max(n_best, SPANS)]
    scores, null_score = softmax_with_null(np.array([logit for _, logit in ranked]), null_logit, temperature)
    candidates = tuple(
        Candidate(context[start:end], start, end, logit, score)
        for ((start, end), logit), score in zip(ranked[:n_best], scores.tolist(), strict=False)
    )
    top = candidates[0]
    said = (top.text, top.start, top.end) if top.score >= threshold else ("", 0, 0)
    return Answer(*said, top.score, null_score, candidates, null_logit)


def softmax_with_null(logits: np.ndarray, null_logit: float, temperature: float = 1.0) -> tuple[np.ndarray, float]:
    """The probabilities of spans, and of no answer: exp(logit / temperature), divided by the sum over SPANS spans and the null.

    Args:
        logits: float[K], best first; beyond the first SPANS they take no part in the sum.

    Returns:
        float[K] and a float, all in [0, 1]; those of the first SPANS and of the null sum to one.
    """
    scaled = np.append(logits, null_logit) / temperature
    powers = np.exp(scaled - scaled.max())
    shares = powers / (powers[:-1][:SPANS].sum() + powers[-1])
    return shares[:-1], float(shares[-1])


def checked_logits(logits: np.ndarray, length: int) -> np.ndarray:
    """float64[length], the logits without what lies beyond the window. Raises ValueError where some are not numbers."""
    inside = np.asarray(logits, dtype=np.float64)[:length]
    if not np.isfinite(inside).all():
        raise ValueError(
            "the model gives logits that are not numbers (NaN or infinite), so it is damaged; load another, or train it again."
        )
    return inside


def _whole_character(context: str, end: int) -> int:
    """`end` moved behind the accents, vowel signs and joiners of the last character: tokenizers leave them out."""
    while end < len(context) and (context[end] == "\u200d" or unicodedata.category(context[end]).startswith("M")):
        end += 1
    return end
