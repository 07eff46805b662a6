"""Dates with attention on and off, for notebook 04: goes on with data/attention.json.

All read with one encoder and write with one decoder, the same dates in as many steps.
"""

import common  # noqa: F401  it makes `src` known
import torch

from src.attention import AttentionEncoderDecoder, OneVector
from src.dates import exact_match, make_dates, train_dates
from src.files import read_json, write_json
from src.runtime import COURSE

RESULT, STEPS = COURSE / "data/attention.json", 600


def main() -> None:
    found, pairs = read_json(RESULT, dict), make_dates(1000, 0, "test")
    for seed in range(3):
        for way, rate in ("on", 8e-3), ("off", 8e-3), ("off", 4e-3):
            run = found.setdefault(f"dates {way} {rate} {seed}", {"steps": STEPS})
            if "span" in run:
                continue
            torch.manual_seed(seed)
            model = AttentionEncoderDecoder()
            if way == "off":
                model.attention = OneVector()
            train_dates(model, None, seed, learning_rate=rate, steps=STEPS)
            for kind in ("single", "span"):
                some = [pair for pair in pairs if ("/" in pair.iso) == (kind == "span")]
                right = round(exact_match(model, some) * len(some))
                run[kind] = [right, len(some)]
            write_json(RESULT, found)
            print(way, rate, seed, run, flush=True)


if __name__ == "__main__":
    main()
