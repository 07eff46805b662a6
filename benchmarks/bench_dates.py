"""The date task: a minute of training for each of three models, then exact match by length.

All are trained by `train_dates` with the settings of `tools/make_sequences.py`, which were chosen
on the development split; the score is that of the test split.
"""

import argparse

import common
import torch

from src import runtime
from src.dates import exact_match_by_length, make_dates, train_dates
from tools.make_sequences import DATES

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--minutes", type=float, default=1.0, help="of training for each model")
minutes = parser.parse_args().minutes
print(f"dates\nmachine: {runtime.machine_line()}; {torch.get_num_threads()} threads", flush=True)
pairs, results = make_dates(5000, 0, "test"), {}
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
