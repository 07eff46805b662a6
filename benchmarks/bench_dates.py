"""The date task: a minute of training for each of three models, then exact match by length.

All are trained by `train_dates` with the settings of `tools/make_sequences.py`, which were chosen
on the development split; the score is that of the test split.
"""

import common
import torch
import typer

from src.dates import exact_match_by_length, make_dates, train_dates
from tools.make_sequences import DATES


def main(minutes: float = 1.0) -> None:
    """Train each model for these minutes."""
    pairs, results = make_dates(5000, 0, "test"), {}
    common.announce("dates", f"{len(pairs):,} test dates")
    for name, (make, recipe) in DATES.items():
        torch.manual_seed(0)
        run = train_dates(make(), minutes, **recipe)
        bins = exact_match_by_length(run.model, pairs)
        results[name] = {
            "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
            "dates_per_second": run.history[-1]["examples_per_second"],
            "all": sum(right for right, _ in bins.values()) / len(pairs),
        } | {f"{low}-{high - 1}": right / count for (low, high), (right, count) in bins.items()}
    common.print_rows(f"Exact match by length in characters, {len(pairs):,} test dates", results)
    common.write("dates", {"minutes": minutes, "results": results})


if __name__ == "__main__":
    typer.run(main)
