"""Choosing the next token: temperature, top-k, top-p and a repetition penalty (notebook 05).

    sampler = Sampler(temperature=0.8, top_p=0.9)
    sampler(logits, token_ids, torch.Generator().manual_seed(0))  # the next token's number

Each function takes and returns logits float[V]; -inf takes a token out of the choice. They equal transformers' LogitsProcessors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def temperature(logits: Tensor, t: float) -> Tensor:
    """Divide by t: below 1 the likely tokens become likelier still, above 1 all become more alike."""
    if t <= 0:
        raise ValueError(f"the temperature is {t}; it must be above 0 (for the likeliest token take Sampler.greedy()).")
    return logits / t


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k likeliest tokens, and all that are as likely as the last of them."""
    if k < 1:
        raise ValueError(f"k is {k}; at least one token must be kept.")
    last = logits.topk(min(k, len(logits))).values[-1]
    return logits.masked_fill(logits < last, -math.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest likeliest tokens whose probabilities together reach p; the likeliest always stays.

    Source: Holtzman et al. 2019, "The curious case of neural text degeneration" (there "nucleus sampling").
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}; it is a probability, from 0 to 1.")
    rising, order = logits.sort()
    out = rising.softmax(-1).cumsum(-1) <= 1 - p  # those that together are not needed to reach p
    out[-1] = False
    return logits.masked_fill(torch.empty_like(out).scatter(0, order, out), -math.inf)


def repetition_penalty(logits: Tensor, token_ids: Sequence[int], penalty: float) -> Tensor:
    """Make tokens that have come before less likely: a positive logit is divided by the penalty, a negative one multiplied.

    penalty: 1 changes nothing.   Source: Keskar et al. 2019, "CTRL", section 4.1.
    """
    if penalty <= 0:
        raise ValueError(f"the penalty is {penalty}; it must be above 0, and 1 changes nothing.")
    before = torch.tensor(sorted(set(token_ids)), dtype=torch.int64)
    values = logits[before]
    return logits.scatter(0, before, torch.where(values < 0, values * penalty, values / penalty))


@dataclass(frozen=True)
class Sampler:
    """How to choose the next token: what has been said is penalised, then temperature, top-k and top-p, then a draw.

    temperature: 0 means no draw, the likeliest token   top_k, top_p: None leaves that step out
    repetition_penalty: see `repetition_penalty`; START has come before, too, so that a penalty lets texts end later
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0

    @classmethod
    def greedy(cls, repetition_penalty: float = 1.0) -> Sampler:
        """Always the likeliest token."""
        return cls(temperature=0, repetition_penalty=repetition_penalty)

    def probs(self, logits: Tensor, token_ids: Sequence[int] = ()) -> Tensor:
        """The probabilities that the next token is drawn with: float[V].   logits: float[V]   token_ids: those before it"""
        logits = repetition_penalty(logits, token_ids, self.repetition_penalty)
        if self.temperature == 0:
            return F.one_hot(logits.argmax(), len(logits)).to(logits)
        logits = temperature(logits, self.temperature)
        if self.top_k is not None:
            logits = top_k(logits, self.top_k)
        if self.top_p is not None:
            logits = top_p(logits, self.top_p)
        return logits.softmax(-1)

    def __call__(self, logits: Tensor, token_ids: Sequence[int], generator: torch.Generator) -> int:
        """Draw the number of the next token."""
        return int(torch.multinomial(self.probs(logits, token_ids), 1, generator=generator))
