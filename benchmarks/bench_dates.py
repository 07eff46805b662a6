"""The date task: one minute of training for each of three models, then exact match by length on dates they have never met.

The encoder-decoder hands one vector from reader to writer; with attention the writer looks back; the transformer has nothing but
attention. All are trained by `train_dates` with the settings of `tools/make_sequences.py`, which were chosen on the development
split; the score is that of the test split. Then, for inputs of several lengths, the seconds a batch takes in training and in
greedy decoding.
"""

from __future__ import annotations

import argparse
import sys

import common
import torch

from src import runtime
from src.dates import exact_match_by_length, make_dates, train_dates
from src.transformer import seconds_per_batch
from tools.make_sequences import DATES

TEST_SEED, BATCH = 0, 64
LENGTHS = (8, 16, 32, 64, 128)  # characters of the inputs that are timed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="of training for each model")
    parser.add_argument("--dates", type=int, default=5000, help="how many test dates are asked")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"dates\nmachine: {runtime.machine()}; {torch.get_num_threads()} threads", flush=True)
    pairs = make_dates(options.dates, TEST_SEED, "test")

    results: dict[str, dict] = {}
    for name, (make, recipe) in DATES.items():
        torch.manual_seed(options.seed)
        model = make()
        run = train_dates(model, options.minutes, seed=options.seed, **recipe)
        by_length = exact_match_by_length(model, pairs)
        results[name] = {
            "model": type(model).__name__,
            "model_settings": model.settings,
            "settings": run.settings,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "seconds": run.seconds,
            "steps": run.history[-1]["step"],
            "dates_per_second": run.history[-1]["examples_per_second"],
            "exact_match": sum(right for right, _ in by_length.values()) / sum(count for _, count in by_length.values()),
            "by_length": [{"low": low, "high": high, "right": right, "count": n} for (low, high), (right, n) in by_length.items()],
            "seconds_per_batch": [
                {"S": S, "training": seconds_per_batch(model, S, BATCH, training=True), "decoding": seconds_per_batch(model, S, BATCH)}
                for S in LENGTHS
            ],
        }
        print(f"{name}: exact match {results[name]['exact_match']:.3f} after {run.seconds:.0f} s", flush=True)

    bins = [f"{entry['low']}-{entry['high'] - 1}" for entry in results["dates-rnn"]["by_length"]]
    rows: list[tuple] = [("model", "parameters", "dates/s", "all", *bins)]
    for name, result in results.items():
        shares = [entry["right"] / entry["count"] for entry in result["by_length"]]
        rows.append((name, f"{result['parameters']:,}", f"{result['dates_per_second']:,.0f}", result["exact_match"], *shares))
    common.print_table(f"Exact match by length in characters, {len(pairs):,} test dates", rows)

    rows = [("model", *(f"{S} {what}" for what in ("training", "decoding") for S in LENGTHS))]
    for name, result in results.items():
        times = [1000 * entry[what] for what in ("training", "decoding") for entry in result["seconds_per_batch"]]
        rows.append((name, *(f"{milliseconds:.0f}" for milliseconds in times)))
    common.print_table(f"Milliseconds for a batch of {BATCH} inputs of so many characters", rows)
    common.write("dates", {"test_dates": len(pairs), "minutes": options.minutes, "results": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
