"""Choosing the next token: temperature, top-k, top-p and a repetition penalty.

    sampler = Sampler(temperature=0.8, top_p=0.9)
    sampler(logits, token_ids, torch.Generator().manual_seed(0))  # a token id

Each function takes and returns logits float[V]; -inf takes a token out of the
choice. They are transformers' LogitsProcessors, one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


def temperature(logits: Tensor, t: float) -> Tensor:
    """Divide by t: below 1 likely tokens become likelier, above 1 less so."""
    if t <= 0:
        advice = "it must be above 0 (for the likeliest token take Sampler.greedy())"
        raise ValueError(f"the temperature is {t}; {advice}.")
    return logits / t


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k likeliest tokens, and all as likely as the last of them."""
    if k < 1:
        raise ValueError(f"k is {k}; at least one token must be kept.")
    last = logits.topk(min(k, len(logits))).values[-1]
    return logits.masked_fill(logits < last, -math.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the fewest likeliest tokens whose probabilities reach p together.

    The likeliest always stays. Holtzman et al. 2019, "The curious case of
    neural text degeneration" (there "nucleus sampling").
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}; it is a probability, from 0 to 1.")
    rising, order = logits.sort()
    out = rising.softmax(-1).cumsum(-1) <= 1 - p  # not needed to reach p
    out[-1] = False
    out = torch.empty_like(out).scatter(0, order, out)  # in the old order
    return logits.masked_fill(out, -math.inf)


def repetition_penalty(logits: Tensor, token_ids: Sequence[int], penalty: float) -> Tensor:
    """Make tokens that have come before less likely.

    Positive logits are divided by the penalty, negative ones multiplied; 1
    changes nothing. Keskar et al. 2019, "CTRL", section 4.1.
    """
    if penalty <= 0:
        raise ValueError(f"the penalty is {penalty}; it must be above 0.")
    before = torch.tensor(sorted(set(token_ids)), dtype=torch.int64)
    values = logits[before]
    values = torch.where(values < 0, values * penalty, values / penalty)
    return logits.scatter(0, before, values)


@dataclass(frozen=True)
class Sampler:
    """How to choose the next token: penalty, temperature, top-k, top-p, a draw.

    A temperature of 0 takes the likeliest token, without a draw. START has come
    before, too, so a penalty makes texts longer.
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
        """The probabilities float[V] to draw with, after `token_ids`."""
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
        """Draw the id of the next token."""
        probs = self.probs(logits, token_ids)
        return int(torch.multinomial(probs, 1, generator=generator))
