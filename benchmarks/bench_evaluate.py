"""Answering 1,000 questions: QuestionAnswerer against the same weights in fp32, every window padded
to 384, batch 16.

Both are timed from the texts to the answers, in turns, after one small call each; the median of the
rounds counts.
"""

import argparse
import sys
import time

import common
import numpy as np
import torch
from datasets import Dataset

from src.qa import QuestionAnswerer, prepare_features
from src.qa.dataset import gold_answers
from src.qa.decoding import Answer, decode
from src.qa.metrics import score_answers
from src.qa.models import ModelError


def answer_padded(qa: QuestionAnswerer, dataset: Dataset) -> list[Answer]:
    """The plain way: fp32, 16 windows at a time as they come, padded to 384."""
    features = prepare_features(
        dataset, qa.tokenizer, common.PADDED_TO, qa.doc_stride, labels=False
    )
    starts, ends = [], []
    for first in range(0, len(features), common.REFERENCE_BATCH):
        rows = range(first, min(first + common.REFERENCE_BATCH, len(features)))
        inputs = common.pad(features, rows, qa.tokenizer, common.PADDED_TO).to(qa.device)
        with torch.inference_mode():
            output = qa.model(**inputs)
        for row, (start_logits, end_logits) in zip(
            rows, zip(output.start_logits, output.end_logits, strict=True), strict=True
        ):
            length = features[row]["length"]
            starts.append(start_logits[:length].cpu().numpy())
            ends.append(end_logits[:length].cpu().numpy())
    return decode(features, dataset, starts, ends, threshold=0.0, n_best=1)


def answer_ours(qa: QuestionAnswerer, dataset: Dataset) -> list[Answer]:
    return qa(list(dataset["question"]), list(dataset["context"]), threshold=0.0, n_best=1)


PADDED, OURS = "fp32, padded to 384", "ours"
ANSWERERS = {PADDED: answer_padded, OURS: answer_ours}


def time_ways(
    qa: QuestionAnswerer, dataset: Dataset, rounds: int
) -> tuple[dict[str, list[Answer]], dict[str, list[float]]]:
    """The answers of each way, and its seconds in every round."""
    answers: dict[str, list[Answer]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ANSWERERS}
    for turn in range(rounds + 1):  # the first is thrown away
        asked = dataset if turn else dataset.select(range(min(8, len(dataset))))
        for name, way in ANSWERERS.items():
            start = time.perf_counter()
            answers[name] = way(qa, asked)
            if turn:
                seconds[name].append(time.perf_counter() - start)
        print(f"round {turn} of {rounds} done", flush=True)
    return answers, seconds


def score_ways(
    dataset: Dataset, answers: dict[str, list[Answer]], seconds: dict[str, list[float]]
) -> dict[str, dict[str, float]]:
    """How fast and how good each way is."""
    golds, found = gold_answers(dataset), {}
    for name, given in answers.items():
        texts = [answer.text for answer in given]
        scores = score_answers(dict(zip(dataset["id"], texts, strict=True)), golds)
        median = float(np.median(seconds[name]))
        found[name] = {
            "seconds": median,
            "questions/s": len(dataset) / median,
            "exact match": scores["exact_match"],
            "F1": scores["f1"],
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--model",
        default="qa-minilm",
        help="weights that answer: released ones, or a folder that finetune wrote",
    )
    options = parser.parse_args()
    try:
        qa = QuestionAnswerer.load(options.model)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    questions = common.load_questions()
    dataset = questions.development.select(
        range(min(options.questions, len(questions.development)))
    )
    common.announce(
        "Evaluation", f"{questions.source}; the first {len(dataset)} of the latter are answered"
    )

    answers, seconds = time_ways(qa, dataset, options.rounds)
    found = score_ways(dataset, answers, seconds)
    common.print_rows(f"{len(dataset)} questions, {options.model}; ours in {qa.precision}", found)
    padded, ours = found[PADDED], found[OURS]
    same = [one.text == other.text for one, other in zip(*answers.values(), strict=True)]
    result = {
        "source": questions.source,
        "questions": len(dataset),
        "model": options.model,
        "precision": qa.precision,
        "seconds": seconds,
        "times_faster": padded["seconds"] / ours["seconds"],
        "same_answers_percent": 100 * float(np.mean(same)),
        "f1": {name: way["F1"] for name, way in found.items()},
        "f1_difference": ours["F1"] - padded["F1"],
    }
    print(
        f"\n{result['times_faster']:.1f} times faster; {result['same_answers_percent']:.1f} % of "
        "the answers are the same; "
        f"F1 differs by {result['f1_difference']:+.2f}"
    )
    common.write("evaluate", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
