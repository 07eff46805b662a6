"""From start and end scores over tokens to answers: every valid span is weighed against all others and against no answer.

An answer's logit is its start logit plus its end logit. The logit of "no answer" is that of [CLS] with itself, the lowest
over the windows of a passage, for a window without the answer says "not here" and not "nowhere".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from datasets import Dataset


@dataclass(frozen=True)
class Candidate:
    """One possible answer: text == context[start:end], its logit, and its score in [0, 1] against no answer."""

    text: str
    start: int
    end: int
    logit: float
    score: float


@dataclass(frozen=True)
class Answer:
    """What the reader says to one question.

    text == context[start:end]; a refusal has text "" and start = end = 0. score: how sure, in [0, 1], of the best span
    against no answer; null_score: 1 - score, how sure that the passage does not answer. candidates: the n best spans,
    best first, also where the answer is a refusal.
    """

    text: str
    start: int
    end: int
    score: float
    null_score: float
    candidates: tuple[Candidate, ...] = field(default=(), repr=False)

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
) -> list[Answer]:
    """One `Answer` per question of `dataset`, in its order.

    features: windows of `prepare_features(dataset, ...)`. start_logits, end_logits: one float[T] per window, T at least
    the window's length; what lies beyond it is padding. threshold: the lowest score that is answered.
    A span starts and ends on passage tokens of one window, end not before start, at most `max_answer_tokens` long. The
    same span seen in two windows counts once, with its higher logit. Of equal logits the earlier, then the shorter wins.
    A passage without tokens gives a refusal with score 0.
    Raises ValueError when the number of windows differs.
    """
    if not len(features) == len(start_logits) == len(end_logits):
        raise ValueError(f"{len(features)} windows, but scores for {len(start_logits)} starts and {len(end_logits)} ends; pass one each.")
    contexts = dataset["context"]
    texts = [contexts[question] for question in features["example_index"]]
    per_window = list(_best_spans(features, texts, start_logits, end_logits, n_best, max_answer_tokens))
    windows_of: list[list[int]] = [[] for _ in range(len(dataset))]
    for window, question in enumerate(features["example_index"]):
        windows_of[question].append(window)
    return [
        _answer(context, [per_window[window] for window in windows], threshold, n_best)
        for context, windows in zip(contexts, windows_of, strict=True)
    ]


@dataclass(frozen=True)
class _Window:
    """The best spans of one window, characters (start, end) -> logit, and the logit of [CLS]."""

    spans: dict[tuple[int, int], float]
    null_logit: float


def _best_spans(
    features: Dataset, contexts: Sequence[str], start_logits: Sequence, end_logits: Sequence, n_best: int, max_answer_tokens: int
) -> Iterator[_Window]:
    """A _Window for every window. Spans are scored as a band matrix [start, length - 1], so nothing is built that is too long."""
    columns = (features["token_starts"], features["token_ends"], contexts, start_logits, end_logits)
    for starts, ends, context, start, end in zip(*columns, strict=True):
        starts, ends = np.asarray(starts), np.asarray(ends)
        start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        null_logit = float(start[0] + end[0])
        passage = np.flatnonzero(starts >= 0)
        if not passage.size:
            yield _Window({}, null_logit)
            continue
        length = min(max_answer_tokens, passage.size)
        ends_padded = np.concatenate([end[passage], np.full(length - 1, -np.inf)])
        band = start[passage, None] + np.lib.stride_tricks.sliding_window_view(ends_padded, length)  # [passage tokens, length]
        yield _Window(_top_spans(band, starts[passage], ends[passage], context, n_best), null_logit)


def _top_spans(band: np.ndarray, starts: np.ndarray, ends: np.ndarray, context: str, n_best: int) -> dict[tuple[int, int], float]:
    """The `n_best` best spans of characters; more where several are as good as the last.

    One character can be several tokens, as in Hangul: then many spans of tokens are one span of characters, and more are looked at.
    """
    logits = band.ravel()
    available = int(np.isfinite(logits).sum())
    kept = min(n_best, available)
    spans: dict[tuple[int, int], float] = {}
    while kept and len(spans) < n_best:
        limit = np.partition(logits, -kept)[-kept]
        spots = np.flatnonzero(logits >= limit)
        rows, columns = np.divmod(spots, band.shape[1])
        for start, end, logit in zip(starts[rows].tolist(), ends[rows + columns].tolist(), logits[spots].tolist(), strict=True):
            span = (start, _whole_character(context, end))
            spans[span] = max(logit, spans.get(span, -np.inf))
        if kept == available:
            break
        kept = min(4 * kept, available)
    return spans


def _answer(context: str, windows: list[_Window], threshold: float, n_best: int) -> Answer:
    null_logit = min(window.null_logit for window in windows)
    best: dict[tuple[int, int], float] = {}
    for window in windows:
        for span, logit in window.spans.items():
            best[span] = max(logit, best.get(span, -np.inf))
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))[:n_best]
    candidates = tuple(Candidate(context[start:end], start, end, logit, _sigmoid(logit - null_logit)) for (start, end), logit in ranked)
    if not candidates:
        return Answer("", 0, 0, 0.0, 1.0)
    top = candidates[0]
    if top.score < threshold:
        return Answer("", 0, 0, top.score, 1.0 - top.score, candidates)
    return Answer(top.text, top.start, top.end, top.score, 1.0 - top.score, candidates)


def _whole_character(context: str, end: int) -> int:
    """`end` moved behind the accents, vowel signs and joiners that belong to the last character: tokenizers leave them out."""
    while end < len(context) and (context[end] == "\u200d" or unicodedata.category(context[end]).startswith("M")):
        end += 1
    return end


def _sigmoid(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-x))) if x >= 0 else float(np.exp(x) / (1.0 + np.exp(x)))
