"""WordVectors against gensim's KeyedVectors on GloVe's 400,000 words: the same answers, and speed.

Both take turns within every round, so that a busy machine is busy for both; the median of the
rounds counts. `nearest` answers the same queries all at once. Results count as the same where the
words are the same in the same order, or where the cosines of those that are not differ by less
than 1e-5, which is what two orders of adding up float32 numbers come to.
"""

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


def ways_of(wv: WordVectors, n: int) -> dict[str, Callable[[np.ndarray], Answers]]:
    """The three ways: each answers int[Q, 1], neighbours of a word, or int[Q, 3], analogies."""
    words = wv.vocabulary.words
    kv = KeyedVectors(wv.vectors.shape[1])
    kv.add_vectors(words, np.array(wv.vectors))
    kv.fill_norms()

    def gensim(rows: np.ndarray) -> Answers:
        named = [[words[number] for number in row] for row in rows]
        if rows.shape[1] == 1:
            return [kv.most_similar(word, topn=n) for (word,) in named]
        return [kv.most_similar([b, c], [a], topn=n) for a, b, c in named]

    def ours(rows: np.ndarray) -> Answers:
        named = [[words[number] for number in row] for row in rows]
        ask = wv.get_top_similar if rows.shape[1] == 1 else wv.analogy
        return [list(ask(*row, n).items()) for row in named]

    def at_once(rows: np.ndarray) -> Answers:
        units = wv.units[rows]  # [Q, 1 or 3, D]
        targets = units[:, 0] if rows.shape[1] == 1 else units[:, 1] - units[:, 0] + units[:, 2]
        found, cosines = wv.nearest(targets, n, rows.tolist())
        named = [wv.vocabulary.decode(ids) for ids in found]
        return [list(zip(*pair, strict=True)) for pair in zip(named, cosines.tolist(), strict=True)]

    return {"gensim": gensim, "ours": ours, "ours, all at once": at_once}


def measure(ways: dict[str, Callable], rows: np.ndarray, rounds: int) -> dict:
    """Answers per second of each way, which take turns, and how many answers are the same."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    answers: dict[str, Answers] = {name: [] for name in ways}
    for way in ways.values():
        way(rows[:3])  # the first calls make what is cached
    for part in np.array_split(rows, rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            answers[name] += way(part)
            seconds[name].append(time.perf_counter() - start)
    size = len(rows) / rounds
    rates = {name: size / float(np.median(values)) for name, values in seconds.items()}
    equal, largest = same(answers["ours"], answers["gensim"])
    equal_at_once, _ = same(answers["ours, all at once"], answers["gensim"])
    result = {"per_second": rates, "same": equal, "same_at_once": equal_at_once}
    return result | {"largest_difference": largest}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=1000, help="of each kind, at random")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--top", type=int, default=10)
    options = parser.parse_args()
    Q = options.queries
    start = time.perf_counter()
    wv = WordVectors.load("glove")
    opened, V = time.perf_counter() - start, len(wv)
    common.announce("Word vectors", f"{Q} random words of {V:,} and {Q} random analogies, seed 0")

    rng, ways = np.random.default_rng(0), ways_of(wv, options.top)
    kinds = {"neighbours": rng.choice(V, (Q, 1), replace=False)}
    kinds |= {"analogies": rng.integers(0, V, (Q, 3))}
    results = {kind: measure(ways, rows, options.rounds) for kind, rows in kinds.items()}
    heads = ("queries per second", *ways, "ours / gensim", "the same", "largest difference")
    table: list[tuple[object, ...]] = [heads]
    for kind, result in results.items():
        rates, equal = result["per_second"], f"{result['same']} and {result['same_at_once']}"
        speed, largest = rates["ours"] / rates["gensim"], f"{result['largest_difference']:.1e}"
        table.append((kind, *rates.values(), speed, equal, largest))
    about = f"GloVe opened in {opened:.2f} s; top {options.top} of {V:,}, {Q} queries of each kind"
    common.print_table(about, table)
    common.write("vectors", {"opened_seconds": opened, "queries": Q, "words": V} | results)
    return 0 if all(result["same"] == Q for result in results.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
