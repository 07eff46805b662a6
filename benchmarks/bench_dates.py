"""The date task: a minute of training for each of three models, then exact match by length.

All are trained by `train_dates` with the settings of `tools/make_sequences.py`, which were chosen
on the development split; the score is that of the test split.
"""

from __future__ import annotations

import argparse
import sys

import common
import torch

from src import runtime
from src.dates import exact_match_by_length, make_dates, train_dates
from tools.make_sequences import DATES


def measure(name: str, pairs: list, minutes: float, seed: int) -> dict:
    """Train one model, and measure it."""
    make, recipe = DATES[name]
    torch.manual_seed(seed)
    model = make()
    run = train_dates(model, minutes, seed=seed, **recipe)
    by_length = exact_match_by_length(model, pairs)
    bins = {f"{low}-{high - 1}": counts for (low, high), counts in by_length.items()}
    exact_match = sum(right for right, _ in bins.values()) / len(pairs)
    print(f"{name}: exact match {exact_match:.3f} after {run.seconds:.0f} s", flush=True)
    return {
        "model": type(model).__name__,
        "model_settings": model.settings,
        "settings": run.settings,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": run.seconds,
        "steps": run.history[-1]["step"],
        "dates_per_second": run.history[-1]["examples_per_second"],
        "exact_match": exact_match,
        "by_length": bins,
    }


def main() -> int:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="of training for each model")
    parser.add_argument("--dates", type=int, default=5000, help="how many test dates are asked")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"dates\nmachine: {runtime.machine()}; {torch.get_num_threads()} threads", flush=True)
    pairs = make_dates(options.dates, 0, "test")
    results = {name: measure(name, pairs, options.minutes, options.seed) for name in DATES}

    rows: list[tuple] = [("model", "parameters", "dates/s", "all")]
    rows[0] += tuple(results["dates-rnn"]["by_length"])
    for name, found in results.items():
        row = (name, f"{found['parameters']:,}", f"{found['dates_per_second']:,.0f}")
        shares = [right / count for right, count in found["by_length"].values()]
        rows.append((*row, found["exact_match"], *shares))
    common.print_table(f"Exact match by length in characters, {len(pairs):,} test dates", rows)
    made = {"test_dates": len(pairs), "minutes": options.minutes, "results": results}
    common.write("dates", made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
