"""WordVectors against gensim's KeyedVectors on GloVe's 400,000 words: the same answers, and speed.

Both take turns within every round, so that a busy machine is busy for both; the median of the
rounds counts. `nearest` answers the same queries all at once. Results count as the same where the
words are the same in the same order, or where the cosines of those that are not differ by less
than 1e-5, which is what two orders of adding up float32 numbers come to.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import common
import numpy as np
from gensim.models import KeyedVectors

from src.embeddings import WordVectors

Answers = list[list[tuple[str, float]]]


def same(ours: Answers, theirs: Answers) -> tuple[int, float]:
    """How many answers are the same, and the largest difference of two cosines."""
    equal, largest = 0, 0.0
    for mine, other in zip(ours, theirs, strict=True):
        differences = [abs(a - b) for (_, a), (_, b) in zip(mine, other, strict=True)]
        largest = max(largest, *differences)
        equal += all(
            a == b or d < 1e-5 for (a, _), (b, _), d in zip(mine, other, differences, strict=True)
        )
    return equal, largest


def timed(seconds: list[float], action: Callable[[], Answers]) -> Answers:
    """Run `action` and add its wall time, in seconds, to the list."""
    start = time.perf_counter()
    answers = action()
    seconds.append(time.perf_counter() - start)
    return answers


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--queries", type=int, default=1000, help="random words, and as many random analogies"
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--top", type=int, default=10)
    options = parser.parse_args()
    start = time.perf_counter()
    wv = WordVectors.load("glove")
    opened = time.perf_counter() - start
    common.announce(
        "Word vectors",
        f"{options.queries} random words of {len(wv):,}, as many random analogies, seed 0",
    )

    words = wv.vocabulary.words
    kv = KeyedVectors(wv.vectors.shape[1])
    kv.add_vectors(words, np.array(wv.vectors))
    kv.fill_norms()
    V, n = len(wv), options.top
    rng = np.random.default_rng(0)
    queries = rng.choice(V, (options.queries, 1), replace=False)
    analogies = rng.integers(0, V, (options.queries, 3))

    def one_by_one(rows: np.ndarray) -> Answers:
        named = [[words[number] for number in row] for row in rows]
        return [
            list((wv.get_top_similar(*row, n) if len(row) == 1 else wv.analogy(*row, n)).items())
            for row in named
        ]

    def at_once(rows: np.ndarray) -> Answers:
        units = wv.units[rows]  # [Q, 1 or 3, D]
        targets = units[:, 0] if rows.shape[1] == 1 else units[:, 1] - units[:, 0] + units[:, 2]
        found, cosines = wv.nearest(targets, n, rows.tolist())
        return [
            list(zip(wv.vocabulary.decode(ids), values, strict=True))
            for ids, values in zip(found, cosines.tolist(), strict=True)
        ]

    def gensim(rows: np.ndarray) -> Answers:
        named = [[words[number] for number in row] for row in rows]
        return [
            kv.most_similar(row[0], topn=n)
            if len(row) == 1
            else kv.most_similar(row[1:], row[:1], topn=n)
            for row in named
        ]

    ways = {"gensim": gensim, "ours": one_by_one, "ours, all at once": at_once}
    table: list[tuple[object, ...]] = [
        ("queries per second", *ways, "ours / gensim", "the same", "largest difference")
    ]
    result: dict[str, object] = {"opened_seconds": opened, "queries": options.queries, "words": V}
    for kind, rows in (("neighbours", queries), ("analogies", analogies)):
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        answers: dict[str, Answers] = {name: [] for name in ways}
        for way in ways.values():
            way(rows[:3])  # the first calls make what is cached
        for part in np.array_split(rows, options.rounds):
            for name, way in ways.items():
                answers[name] += timed(seconds[name], lambda way=way, part=part: way(part))
        rates = {
            name: len(rows) / options.rounds / float(np.median(values))
            for name, values in seconds.items()
        }
        equal, largest = same(answers["ours"], answers["gensim"])
        equal_at_once, _ = same(answers["ours, all at once"], answers["gensim"])
        table.append(
            (
                kind,
                *rates.values(),
                rates["ours"] / rates["gensim"],
                f"{equal} and {equal_at_once}",
                f"{largest:.1e}",
            )
        )
        result[kind] = {
            "per_second": rates,
            "same": equal,
            "same_at_once": equal_at_once,
            "largest_difference": largest,
        }
    common.print_table(
        f"GloVe opened in {opened:.2f} s; top {n} of {V:,}, {options.queries} queries each", table
    )
    common.write("vectors", result)
    return (
        0
        if all(result[kind]["same"] == options.queries for kind in ("neighbours", "analogies"))
        else 1
    )  # type: ignore[index]


if __name__ == "__main__":
    raise SystemExit(main())
