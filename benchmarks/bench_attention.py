"""Dates with attention on and off, for notebook 04: goes on with data/attention.json.

All read with one encoder and write with one decoder, the same dates in as many steps.
"""

import json

import common  # noqa: F401  it makes `src` known
import torch

from src.attention import AttentionEncoderDecoder, OneVector
from src.dates import exact_match, make_dates, train_dates
from src.runtime import COURSE

RESULT, STEPS, pairs = COURSE / "data/attention.json", 600, make_dates(1000, 0, "test")
found = json.loads(RESULT.read_text())
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
            run[kind] = [round(exact_match(model, some) * len(some)), len(some)]  # right, of all
        RESULT.write_text(json.dumps(found, indent=1) + "\n")
        print(way, rate, seed, run, flush=True)
