"""The training loop that dates, topics, language models and heads share; their own tests see what it teaches."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from src.training import fit


@pytest.mark.parametrize("steps", [1, 10, 100, 250])
def test_every_entry_of_a_history_has_a_loss_also_where_the_run_ends_with_a_log(steps: int) -> None:
    model = nn.Linear(1, 1)
    run = fit(
        model,
        itertools.repeat(torch.ones(4, 1)),
        lambda batch: model(batch).square().mean(),
        None,
        score=("right", lambda: 0.5),
        batch_size=4,
        learning_rate=1e-3,
        steps=steps,
    )
    assert run.history[-1]["step"] == steps and run.history[-1]["phase"] == "finished"
    assert all(entry["loss"] > 0 for entry in run.history)
