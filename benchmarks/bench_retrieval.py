"""Asking Wikipedia: building and opening the index, finding the right article, and answering, on
open-domain questions.

The questions are those of the course set that make sense without their passage; the right article
is the one a question was written on. `--choose` looks at the validation part alone and prints what
the constants of `keyword`, `retriever` and `open_domain` were chosen by; without it they are taken
as they are, and the test part is asked. `--growth` measures seconds per question alone, over 1,000,
10,033 and 100,000 passages.
"""

import argparse
import itertools
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import common
import numpy as np
from datasets import Dataset
from scipy.optimize import minimize
from scipy.special import softmax

import src.qa.retriever
from src import assets
from src.qa import QuestionAnswerer, dense, keyword, load_squad, open_domain
from src.qa.course_set import open_domain_questions
from src.qa.dense import DenseIndex
from src.qa.documents import Document, wikipedia
from src.qa.keyword import KeywordIndex
from src.qa.metrics import HALF_RIGHT, agreement, exact_match, f1
from src.qa.open_domain import SPANS_READ, WikipediaAnswerer
from src.qa.retriever import Retriever
from tools.reader_data import everyday_questions

DEPTHS = (1, 5, 20)
WAYS = ("keyword", "dense", "fused")
FOLDER = common.RESULTS / "retrieval-index"


def open_questions(split: str, most: int) -> Dataset:
    """The open-domain questions of a part of the course set."""
    rows = open_domain_questions(load_squad("course")[split])
    return rows.select(range(min(most, len(rows))))


def progress(told: dict) -> None:
    if told["step"] % (10 * dense.DOCUMENTS_PER_FILE) == 0 or told["step"] == told["steps"]:
        print(common.runtime.progress_line(told), flush=True)


def build(documents: Sequence[Document], folder: Path) -> dict[str, float]:
    """Seconds to build both indexes in an empty folder, also what comes with the course, and to
    open them again; MB on disk.
    """
    shutil.rmtree(folder, ignore_errors=True)
    times = {}
    start = time.perf_counter()
    KeywordIndex.build(documents)
    times["keyword, build seconds"] = time.perf_counter() - start
    for state in ("build", "open"):
        start = time.perf_counter()
        DenseIndex.open(documents, folder, progress, shipped=None)
        times[f"dense, {state} seconds"] = time.perf_counter() - start
    times["dense, MB"] = sum(file.stat().st_size for file in folder.rglob("*.npy")) / 1e6
    start = time.perf_counter()
    Retriever.open(documents, folder=folder)
    return times | {"both, open seconds": time.perf_counter() - start}


def find(retriever: Retriever, rows: Dataset, by: str) -> dict[str, float]:
    """Recall in percent at each depth, and milliseconds per question."""
    retriever.search("What is the first question for?", 1, by)  # loads the model
    ranks, seconds = [], []
    for question, title in zip(rows["question"], rows["title"], strict=True):
        start = time.perf_counter()
        hits = retriever.search(question, max(DEPTHS), by)
        seconds.append(time.perf_counter() - start)
        ranks.append(
            next((rank for rank, hit in enumerate(hits, 1) if hit.title == title), max(DEPTHS) + 1)
        )
    recall = {
        f"recall at {depth}": 100 * float(np.mean(np.array(ranks) <= depth)) for depth in DEPTHS
    }
    return recall | {
        "median ms": 1000 * float(np.median(seconds)),
        "95th ms": 1000 * float(np.percentile(seconds, 95)),
    }


# --- choosing, on the validation part


def choose_keyword(documents: Sequence[Document], rows: Dataset) -> None:
    found = {}
    for times, k1, b in (
        (0, 1.5, 0.75),
        (1, 1.5, 0.75),
        (2, 1.5, 0.75),
        (2, 0.9, 0.4),
        (2, 1.2, 0.75),
        (2, 1.5, 0.5),
        (3, 1.5, 0.5),
    ):
        keyword.TITLE_TIMES, keyword.K1, keyword.B = times, k1, b
        found[f"title x {times}, k1 {k1}, b {b}"] = find(
            Retriever(documents, {"keyword": KeywordIndex.build(documents)}), rows, "keyword"
        )
    common.print_rows("by keyword, validation part", found)


def choose_fusion(retriever: Retriever, rows: Dataset) -> None:
    fuse, found = src.qa.retriever.fuse, {}
    for constant in (1, 5, 10, 20, 60, 120):
        src.qa.retriever.fuse = lambda rankings, constant=constant: fuse(rankings, constant)
        found[f"constant {constant}"] = find(retriever, rows, "fused")
    src.qa.retriever.fuse = fuse
    common.print_rows("fused, validation part", found)


@dataclass
class Read:
    """What the reader marked in the passages found for some questions, N of them, S spans at most.

    Attributes:
        logits, nulls, places: float[N, S]; logits are -inf where there is no further span, places
            the logarithms of the passages' ranks.
        exact, f1: float[N, S], of each span as the answer.
        texts: by question and span.
        kinds: "open", "open, taken away" or "everyday".
    """

    logits: np.ndarray
    nulls: np.ndarray
    places: np.ndarray
    exact: np.ndarray
    f1: np.ndarray
    texts: list[list[str]]
    kinds: np.ndarray
    answerable: np.ndarray

    def shares(self, weights: np.ndarray) -> np.ndarray:
        """float[N, S + 1]: the softmax over spans and none, as `open_domain.choose` makes it."""
        logit, null, rank, none = weights
        speaks = logit * self.logits - null * self.nulls - rank * self.places
        return softmax(np.column_stack([speaks, np.full(len(speaks), none)]), axis=1)

    def loss(self, weights: np.ndarray, rows: np.ndarray) -> float:
        """Mean negative log-likelihood of what is right: the right spans, or none."""
        right = self.f1[rows] >= HALF_RIGHT
        right = np.column_stack([right, ~right.any(1)])
        return -float(np.log((self.shares(weights)[rows] * right).sum(1) + 1e-9).mean())


def read_passages(
    retriever: Retriever, reader: QuestionAnswerer, sets: dict[str, Dataset], n: int
) -> Read:
    """Read n passages for each question; open ones also without the article that answers them."""
    columns: dict[str, list] = {name: [] for name in Read.__dataclass_fields__}
    for kind, rows in sets.items():
        for row in rows:
            hits = retriever.search(row["question"], n + 1)
            given = reader([row["question"]] * len(hits), [h.text for h in hits], 0.0, SPANS_READ)
            found = list(zip(hits, given, strict=True))
            add(columns, kind, found[:n], row["answers"]["text"])
            if kind == "open":
                left = [(hit, answer) for hit, answer in found if hit.title != row["title"]]
                add(columns, "open, taken away", left[:n], [])
    size = n * SPANS_READ
    padding = {"logits": -np.inf}
    for name in ("logits", "nulls", "places", "exact", "f1"):
        pad = padding.get(name, 0.0)
        columns[name] = np.array([[*each, *[pad] * (size - len(each))] for each in columns[name]])
    columns |= {name: np.array(columns[name]) for name in ("kinds", "answerable")}
    return Read(**columns)


def add(columns: dict[str, list], kind: str, found: list, golds: list[str]) -> None:
    spans = [
        (span, answer.null_logit, np.log(rank))
        for rank, (_, answer) in enumerate(found, 1)
        for span in answer.candidates
    ]
    texts = [span.text for span, *_ in spans]
    scores = [(exact_match(text, golds), f1(text, golds)) if golds else (0, 0) for text in texts]
    values = [span.logit for span, *_ in spans], *zip(*[rest for _, *rest in spans], strict=True)
    for name, value in zip(("logits", "nulls", "places"), values, strict=True):
        columns[name].append(list(value))
    for name, value in zip(("exact", "f1"), zip(*scores, strict=True), strict=True):
        columns[name].append(list(value))
    columns["texts"].append(texts)
    columns["kinds"].append(kind)
    columns["answerable"].append(bool(golds))


def choose_reading(retriever: Retriever, reader: QuestionAnswerer, rows: Dataset) -> None:
    """How many passages to read, and the weights of `open_domain.support`; each question's outcome
    is by weights that were fitted on others.
    """
    sets = {"open": rows, "everyday": everyday_questions("development")}
    header = "passages", "open EM", "F1", "everyday right", "answered", "of these right", "refused"
    table, most = [(*header, "open refused without", "weights")], 20
    whole = read_passages(retriever, reader, sets, most)
    for n, free in itertools.product((3, 5, 10, 20), ((1, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1))):
        few = replace(whole, **{k: getattr(whole, k)[:, : n * SPANS_READ] for k in SPAN_COLUMNS})
        folds, best = np.arange(len(few.kinds)) // 2 % 5, np.zeros(len(few.kinds), int)
        scores = np.zeros(len(best))
        for fold in range(5):
            weights = fit(few, free, folds != fold)
            shares = few.shares(weights)[:, :-1]
            for row in np.flatnonzero(folds == fold):
                texts = few.texts[row][: shares.shape[1]]
                best[row] = shares[row].argmax()
                scores[row] = agreement(texts, shares[row][: len(texts)])[best[row]]
        picked = np.arange(len(best)), best
        exact, right = few.exact[picked], few.f1[picked]
        is_open, everyday = few.kinds == "open", few.kinds == "everyday"
        said, has = scores >= open_domain.OPEN_THRESHOLD, few.answerable
        outcome = (
            *(exact[is_open], right[is_open], right[everyday & has] >= HALF_RIGHT),
            *(said[everyday & has], right[everyday & said] >= HALF_RIGHT, ~said[everyday & ~has]),
            ~said[few.kinds == "open, taken away"],
        )
        found = " ".join(f"{weight:.2f}" for weight in fit(few, free, folds >= 0))
        table.append((f"{n}", *(100 * float(np.mean(each)) for each in outcome), found))
    common.print_table("reading, development questions: %", table)


SPAN_COLUMNS = ("logits", "nulls", "places", "exact", "f1")


def fit(read: Read, free: Sequence[int], rows: np.ndarray) -> np.ndarray:
    """The weights, those that are not free being 0, that make what is right likeliest."""
    free = np.array(free)
    start = np.array([0.5, 0.3, 0.5, 0.0])
    found = minimize(lambda weights: read.loss(weights * free, rows), start, method="BFGS")
    return found.x * free


# --- end to end


def grow(reader: QuestionAnswerer, rows: Dataset) -> dict[str, dict[str, float]]:
    """Seconds per question against the number of passages: English ones first, then French and
    Spanish ones, then variants of all.

    Time alone is measured: beyond the English passages a vector is a noisy copy of an English one.
    """
    english = wikipedia()
    vectors = DenseIndex.open(english, FOLDER, progress).vectors
    others = [
        passage
        for language in ("fr-fr", "es-es")
        for passage in assets.load_passages(language).values()
    ]
    documents = english + [Document(passage.title, passage.text) for passage in others]
    most = 100_000
    documents += [
        Document(f"{doc.title}, variant {i}", doc.text) for i in range(1, 9) for doc in documents
    ][: most - len(documents)]
    rng, copies = np.random.default_rng(0), np.arange(len(english), most) % len(english)
    noisy = vectors[copies] + rng.normal(0, 0.02, (len(copies), vectors.shape[1])).astype(
        np.float32
    )
    vectors = np.concatenate([vectors, noisy / np.linalg.norm(noisy, axis=1, keepdims=True)])
    found = {}
    for n in (1_000, len(english), most):
        start = time.perf_counter()
        index = KeywordIndex.build(documents[:n])
        built = time.perf_counter() - start
        print(
            f"{n:,} passages: keyword index built in {built:.1f} s; {len(rows)} questions follow",
            flush=True,
        )
        retriever = Retriever(documents[:n], {"keyword": index, "dense": DenseIndex(vectors[:n])})
        answerer = WikipediaAnswerer(retriever, reader)
        answerer.ask("What is the first question for?")
        searching, asking = [], []
        for question in rows["question"]:
            start = time.perf_counter()
            retriever.search(question)
            searching.append(time.perf_counter() - start)
            start = time.perf_counter()
            answerer.ask(question)
            asking.append(time.perf_counter() - start)
        found[f"{n:,}"] = {"keyword build s": built} | {
            f"{name} {which} ms": 1000 * float(np.percentile(seconds, percent))
            for name, seconds in (("search", searching), ("ask", asking))
            for which, percent in (("median", 50), ("95th", 95))
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--choose", action="store_true", help="compare settings on the validation part"
    )
    parser.add_argument(
        "--growth",
        action="store_true",
        help="seconds per question over 1,000, 10,033 and 100,000 passages instead",
    )
    parser.add_argument(
        "--keep-index",
        action="store_true",
        help="take the index of the last run instead of building one",
    )
    parser.add_argument(
        "--passages", type=int, default=10**9, help="search only the first so many introductions"
    )
    parser.add_argument(
        "--questions", type=int, default=10**9, help="ask only the first so many questions"
    )
    parser.add_argument(
        "--model",
        default="qa-minilm",
        help="the reader: released weights, or a folder that finetune wrote",
    )
    options = parser.parse_args()
    start = time.perf_counter()
    documents = wikipedia()[: options.passages]
    reading = {"introductions, read seconds": time.perf_counter() - start}
    rows = open_questions("validation" if options.choose else "test", options.questions)
    common.announce(
        "Retrieval", f"{len(rows)} open-domain questions, {len(documents)} introductions"
    )
    result: dict = {"passages": len(documents), "questions": len(rows), "model": options.model}
    if options.growth:
        result["growth"] = grow(QuestionAnswerer.load(options.model), rows)
        common.print_rows("seconds against passages", result["growth"])
        common.write("retrieval-growth", result)
        return 0
    if not options.keep_index:
        result["index"] = reading | build(documents, FOLDER)
        common.print_table("index", [("what", "value"), *result["index"].items()])
    retriever, reader = (
        Retriever.open(documents, folder=FOLDER, report=progress),
        QuestionAnswerer.load(options.model),
    )
    if options.choose:
        choose_fusion(retriever, rows)
        choose_reading(retriever, reader, rows)
        choose_keyword(documents, rows)
        return 0
    result["recall"] = {by: find(retriever, rows, by) for by in WAYS}
    common.print_rows("finding, test part", result["recall"])
    common.write("retrieval", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
