"""Whether a re-ranker pays for its milliseconds: the reader's encoder with a head of one number,
which puts the passages that the search found into a new order before they are read.

It learns from the reader's own training questions: a softmax over a question's passage and those
that do not answer it. Both ways, the search's order and the new one, then go through the choice of
`bench_retrieval.py --choose`, on development questions alone; its weights are fitted anew for each.
"""

import argparse
import sys
import time

import common
import numpy as np
import torch
from bench_retrieval import FOLDER, choose_reading, open_questions, progress
from datasets import concatenate_datasets
from torch import nn

from src.qa import QuestionAnswerer
from src.qa.documents import wikipedia
from src.qa.metrics import normalize_answer
from src.qa.models import load_model
from src.qa.retriever import Hit, Retriever
from tools.passage_training import question_of
from tools.reader_data import collections, everyday_questions, holds, thinned, training_rows

TOKENS, QUESTIONS_A_STEP, RATE, WARM_UP, SEED = 256, 16, 1e-4, 0.1, 0


class Reranker(nn.Module):
    """A logit for each pair of a question and a passage, from the vector of [CLS]."""

    def __init__(self, reader: str):
        super().__init__()
        model, self.tokenizer = load_model(reader)
        self.bert, self.head = model.bert, nn.Linear(model.config.hidden_size, 1)

    def forward(self, questions: list[str], passages: list[str]) -> torch.Tensor:
        """float[N]; of a long passage its beginning counts."""
        how = {"truncation": "only_second", "max_length": TOKENS, "padding": True}
        encoded = self.tokenizer(questions, passages, return_tensors="pt", **how)
        with torch.autocast("cpu", torch.bfloat16):
            states = self.bert(**encoded).last_hidden_state[:, 0]
        return self.head(states.float())[:, 0]


class Reranked:
    """A retriever whose hits come in the re-ranker's order."""

    def __init__(self, retriever: Retriever, reranker: Reranker):
        self.retriever, self.reranker = retriever, reranker

    @torch.inference_mode()
    def search(self, question: str, n: int) -> list[Hit]:
        hits = self.retriever.search(question, n)
        scores = self.reranker([question] * len(hits), [hit.text for hit in hits])
        return [hits[i] for i in (-scores).argsort(stable=True)]


def questions_with_others(share: float) -> list[tuple[str, list[str]]]:
    """Questions with their passages: first the one that answers, then those that do not."""
    rows = concatenate_datasets([*thinned(training_rows(collections()), share).values()])
    answered, others = {}, {}
    for row in rows:
        if row["answers"]["text"]:
            answered[row["id"]] = row["question"], row["context"]
        else:
            others.setdefault(question_of(row["id"]), []).append(row["context"])
    return [
        (answered[i][0], [answered[i][1], *some]) for i, some in others.items() if i in answered
    ]


def train(reranker: Reranker, asked: list[tuple[str, list[str]]]) -> None:
    """One pass; the loss is the cross entropy of the passage that answers."""
    rng, bert = np.random.default_rng(SEED), reranker.bert
    bert.embeddings.word_embeddings.requires_grad_(False)
    learned = [one for one in reranker.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=RATE)
    steps = len(asked) // QUESTIONS_A_STEP
    rates = [
        min(i / (WARM_UP * steps), (steps - i) / (steps * (1 - WARM_UP))) for i in range(steps)
    ]
    order, began = rng.permutation(len(asked)), time.perf_counter()
    for step, rate in enumerate(rates):
        some = [asked[i] for i in order[step * QUESTIONS_A_STEP :][:QUESTIONS_A_STEP]]
        pairs = [(question, text) for question, passages in some for text in passages]
        logits = reranker(*map(list, zip(*pairs, strict=True)))
        parts = logits.split([len(passages) for _, passages in some])
        loss = -torch.stack([part.log_softmax(0)[0] for part in parts]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = RATE * rate
        optimizer.step()
        if step % 50 == 0:
            seconds = time.perf_counter() - began
            print(f"step {step} of {steps} · {seconds:.0f} s · loss {loss:.3f}", flush=True)


def found_and_time(retriever, rows, depth: int = 20) -> dict[str, float]:
    """How many questions in a hundred have a passage that holds their answer among the first; and
    the milliseconds of a search.
    """
    places, seconds = [], []
    for row in rows:
        began = time.perf_counter()
        hits = retriever.search(row["question"], depth)
        seconds.append(time.perf_counter() - began)
        golds = [normalize_answer(text) for text in row["answers"]["text"]]
        places.append(next((i for i, hit in enumerate(hits) if holds(hit.text, golds)), depth))
    recall = {
        f"in the first {n}": 100 * float(np.mean(np.array(places) < n)) for n in (1, 3, 5, 10)
    }
    return recall | {"median ms": 1000 * float(np.median(seconds))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, help="train on so many only, to try it out")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    asked = questions_with_others(0.25)[: options.questions]
    common.announce("Re-ranking", f"{len(asked):,} questions to learn from")
    reranker = Reranker("qa-minilm")
    train(reranker.train(), asked)
    retriever = Retriever.open(wikipedia(), folder=FOLDER, report=progress)
    rows, reader = open_questions("validation", 10**9), QuestionAnswerer.load("qa-minilm")
    everyday = everyday_questions("development").filter(lambda row: bool(row["answers"]["text"]))
    ways = {"search": retriever, "re-ranked": Reranked(retriever, reranker.eval())}
    for name, questions in {"open": rows, "everyday": everyday}.items():
        found = {way: found_and_time(one, questions) for way, one in ways.items()}
        common.print_rows(f"a passage with the answer, {name} questions, development: %", found)
    for way, one in ways.items():
        print(f"\n{way}", flush=True)
        choose_reading(one, reader, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
