"""Asking Wikipedia: building and opening the index, finding the right article, and answering, on
open-domain questions.

The questions are those of the course set that make sense without their passage; the right article
is the one a question was written on. `--choose` looks at the validation part alone and prints what
the constants of `keyword`, `retriever` and `open_domain` were chosen by; without it they are taken
as they are, and the test part is asked. `--growth` measures seconds per question alone, over 1,000,
10,033 and 100,000 passages.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import common
import numpy as np
from datasets import Dataset

import src.qa.retriever
from src import assets
from src.qa import QuestionAnswerer, dense, keyword, load_squad, open_domain
from src.qa.course_set import open_domain_questions
from src.qa.dataset import gold_answers
from src.qa.dense import DenseIndex
from src.qa.documents import Document, wikipedia
from src.qa.keyword import KeywordIndex
from src.qa.metrics import score_answers
from src.qa.open_domain import WikipediaAnswerer, discounted_score, reader_score
from src.qa.retriever import Retriever
from tools.calibrate_weights import without_their_articles

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


# --- choosing, on the validation part ------------------------------------------------------------


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


def choose_dense(documents: Sequence[Document], rows: Dataset) -> None:
    found = {
        "title and text": find(Retriever.open(documents, "dense", FOLDER, progress), rows, "dense")
    }
    dense.text_to_encode = lambda document: document.text
    folder = FOLDER.with_name(
        "retrieval-index-without-titles"
    )  # the keys do not tell the two apart
    found["text alone"] = find(Retriever.open(documents, "dense", folder, progress), rows, "dense")
    common.print_rows("by meaning, validation part", found)


def choose_fusion(retriever: Retriever, rows: Dataset) -> None:
    fuse, found = src.qa.retriever.fuse, {}
    for constant in (1, 5, 10, 20, 60, 120):
        src.qa.retriever.fuse = lambda rankings, constant=constant: fuse(rankings, constant)
        found[f"constant {constant}"] = find(retriever, rows, "fused")
    src.qa.retriever.fuse = fuse
    common.print_rows("fused, validation part", found)


def choose_reading(retriever: Retriever, reader: QuestionAnswerer, rows: Dataset) -> None:
    """How many passages to read, how much to discount those further down, and from which score on
    to answer.
    """
    most = 10
    hits = [retriever.search(question, most + 1) for question in rows["question"]]
    pairs = [
        (question, hit.text)
        for question, found in zip(rows["question"], hits, strict=True)
        for hit in found
    ]
    answers = iter(
        reader(
            [question for question, _ in pairs],
            [text for _, text in pairs],
            threshold=0.0,
            n_best=1,
        )
    )
    read = [[(hit, next(answers)) for hit in found] for found in hits]
    golds = gold_answers(rows)

    def outcome(n: int, discount: float, without: bool) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Texts, scores, and F1 by question; without: as if the article that answers it were not
        there.
        """
        open_domain.RANK_DISCOUNT = discount
        texts, scores = [], []
        for title, found in zip(rows["title"], read, strict=True):
            kept = [(hit, answer) for hit, answer in found if not (without and hit.title == title)][
                :n
            ]
            ranked = [
                (discounted_score(reader_score(answer), rank), answer.text)
                for rank, (_, answer) in enumerate(kept, 1)
            ]
            score, text = max(ranked, key=lambda pair: pair[0], default=(0.0, ""))
            texts.append(text)
            scores.append(score)
        f1 = [
            score_answers({i: text}, {i: golds[i]})["f1"]
            for i, text in zip(rows["id"], texts, strict=True)
        ]
        return texts, np.array(scores), np.array(f1)

    table = [
        (
            "passages, discount",
            "exact match",
            "F1",
            "best threshold",
            "F1 with refusals",
            "answered",
            "refused without",
        )
    ]
    for n in (1, 3, 5, 10):
        for discount in (1.0, 0.7, 0.5, 0.3, 0.1) if n > 1 else (1.0,):
            texts, scores, f1 = outcome(n, discount, without=False)
            _, scores_without, f1_without = outcome(n, discount, without=True)
            exact = score_answers(dict(zip(rows["id"], texts, strict=True)), golds)["exact_match"]

            def mixed(
                threshold: float, s=scores, f=f1, s_without=scores_without, f_without=f1_without
            ) -> float:
                return (
                    float(
                        np.where(s >= threshold, f, 0).mean()
                        + np.where(s_without >= threshold, f_without, 100).mean()
                    )
                    / 2
                )

            # Half-way between two scores that occur, so that neither lies on the edge.
            steps = np.sort(np.concatenate([[0], scores, scores_without]))
            threshold = max(((a + b) / 2 for a, b in itertools.pairwise(steps)), key=mixed)
            shares = (
                100 * float((scores >= threshold).mean()),
                100 * float((scores_without < threshold).mean()),
            )
            table.append(
                (
                    f"{n}, {discount}",
                    exact,
                    float(f1.mean()),
                    f"{threshold:.4f}",
                    mixed(threshold),
                    *shares,
                )
            )
    common.print_table(
        "reading, validation part, each question with and without the article that answers it",
        table,
    )


# --- end to end ------------------------------------------------------------


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


def answer_all(retriever: Retriever, reader: QuestionAnswerer, rows: Dataset) -> dict[str, float]:
    answerer = WikipediaAnswerer(retriever, reader)
    answerer.ask("What is the first question for?")
    answers, seconds = [], []
    for question in rows["question"]:
        start = time.perf_counter()
        answers.append(answerer.ask(question))
        seconds.append(time.perf_counter() - start)
    golds = gold_answers(rows)
    always = {
        i: answer.candidates[0].text if answer.candidates else ""
        for i, answer in zip(rows["id"], answers, strict=True)
    }
    all_scores = score_answers(always, golds)
    scores = score_answers(
        {i: answer.text for i, answer in zip(rows["id"], answers, strict=True)}, golds
    )
    answered = [i for i, answer in enumerate(answers) if not answer.is_refusal]
    exact = [
        score_answers({rows[i]["id"]: answers[i].text}, {rows[i]["id"]: golds[rows[i]["id"]]})[
            "exact_match"
        ]
        for i in answered
    ]
    lacking = without_their_articles(answerer, rows)
    refused = [lacking.ask(question).is_refusal for question in rows["question"]]
    return {
        "always answering: exact match": all_scores["exact_match"],
        "always answering: F1": all_scores["f1"],
        "with refusals: exact match": scores["exact_match"],
        "with refusals: F1": scores["f1"],
        "answered, percent": 100 * len(answered) / len(answers),
        "exact match of those answered": float(np.mean(exact)) if exact else 0.0,
        "right article chosen, percent": 100
        * float(np.mean([a.title == t for a, t in zip(answers, rows["title"], strict=True)])),
        "refused where the article is taken away, percent": 100 * float(np.mean(refused)),
        "median seconds": float(np.median(seconds)),
        "95th percentile seconds": float(np.percentile(seconds, 95)),
    }


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
        choose_dense(documents, rows)
        return 0
    result["recall"] = {by: find(retriever, rows, by) for by in WAYS}
    common.print_rows("finding, test part", result["recall"])
    result["answers"] = answer_all(retriever, reader, rows)
    common.print_table(
        "retrieve and read, test part", [("what", "value"), *result["answers"].items()]
    )
    common.write("retrieval", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
