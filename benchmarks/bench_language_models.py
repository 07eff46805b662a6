"""Writing with the language models of notebook 06, and what SmolLM2 costs.

Tokens per second of the small GPT with and without a cache of keys and values; it must write the
same text both ways. SmolLM2 is measured in a process of its own: seconds to open it, megabytes of
memory, tokens per second in fp32 and bf16.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from pathlib import Path

import common
import torch

from src import assets, runtime
from src.language_models import GPTModel, LanguageModel, PretrainedModel
from src.sampling import Sampler

LENGTHS = (32, 128, 256)
BEGINNING = "Oxygen is a chemical element"


def seconds_to_write(model: LanguageModel, n: int) -> tuple[float, str]:
    start = time.perf_counter()
    text = model.generate(BEGINNING, n, Sampler.greedy()).text
    return time.perf_counter() - start, text


def with_and_without_cache(rounds: int) -> dict[str, dict[str, float]]:
    """Tokens per second of the shipped GPT by length; exit status 1 if the texts differ."""
    model = GPTModel.load(runtime.COURSE / "weights" / "lm-gpt")
    found = {}
    for n in LENGTHS:
        times: dict[bool, list[float]] = {True: [], False: []}
        texts = set()
        for _ in range(rounds):
            for model.use_cache in (True, False):
                seconds, text = seconds_to_write(model, n)
                times[model.use_cache].append(seconds)
                texts.add(text)
        if len(texts) > 1:
            sys.exit(
                f"bench_language_models: with the cache the GPT writes another text at {n} tokens."
            )
        speed = {
            name: n / min(times[kept])
            for name, kept in (("with, tokens/s", True), ("without, tokens/s", False))
        }
        found[f"{n} tokens"] = speed | {
            "times": speed["with, tokens/s"] / speed["without, tokens/s"]
        }
    return found


def megabytes() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def smollm2(precision: str, connection) -> None:
    """Measured from a fresh process, so that memory is its own."""
    assets.path("smollm2")  # converted once, at the very first call
    before, start = megabytes(), time.perf_counter()
    model = PretrainedModel()
    model.network.to(torch.bfloat16 if precision == "bf16" else torch.float32)
    opened = time.perf_counter() - start
    seconds_to_write(model, 8)
    used = megabytes() - before
    times = [seconds_to_write(model, 128)[0] for _ in range(3)]
    speed = 128 / min(times)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    connection.send(
        {
            "open, seconds": opened,
            "memory, MB": used,
            "whole process at most, MB": most,
            "tokens/s": speed,
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    common.announce(
        "Writing", f"none; each model goes on from {BEGINNING!r}, always with the likeliest token"
    )
    result: dict[str, dict] = {"GPT": with_and_without_cache(options.rounds), "SmolLM2": {}}
    common.print_rows("GPT, keys and values kept or not", result["GPT"])
    fresh = multiprocessing.get_context("spawn")
    for precision in ("fp32", "bf16"):
        receive, send = fresh.Pipe(duplex=False)
        process = fresh.Process(target=smollm2, args=(precision, send))
        process.start()
        send.close()
        result["SmolLM2"][precision] = receive.recv()
        process.join()
    common.print_rows("SmolLM2-135M-Instruct", result["SmolLM2"])
    common.write("language-models", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
