"""How the released reader is trained: several passages of a question at a time, and by what a
teacher said of them.

A question comes with its own passage and with others that do not answer it, in one batch. Beside
the loss of each passage alone, the tokens of all of them share one softmax, so that the scores of
passages can be compared. Clark and Gardner 2018, "Simple and Effective Multi-Paragraph Reading
Comprehension", section 3. Labels are people's, or partly the teacher's probabilities.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from datasets import Dataset, concatenate_datasets
from scipy.special import softmax
from torch import Tensor
from transformers import BatchEncoding
from transformers.utils import ModelOutput

from src import runtime
from src.qa import QuestionAnswerer
from src.qa.batches import LEARNED_FROM, ReaderCollator
from src.qa.clock import Clock
from src.qa.training import ReaderTrainer
from tools.reader_data import ANOTHER, SEARCHED

SAID = runtime.COURSE / "data" / "teacher"  # what the teacher said
SIDES = ("start", "end")
LABELS, SHARES = ("answer_starts", "answer_ends"), ("start_shares", "end_shares")
TOGETHER = 3  # windows of a question at most; what is more is learned from in groups of its own


class PassageCollator(ReaderCollator):
    """As ReaderCollator, for groups of windows that belong to one question.

    A batch also has question, int64[B], which windows of one question have in common.
    """

    def __call__(self, groups: list[dict]) -> BatchEncoding:
        windows, question = [], []
        for number, group in enumerate(groups):
            for values in zip(*group.values(), strict=True):
                windows.append(dict(zip(group, values, strict=True)))
                question.append(number)
        batch = super().__call__(windows)
        batch["question"] = torch.tensor(question)
        return batch


class PassageTrainer(ReaderTrainer):
    """Trains on groups of windows, by the losses of each passage and of all of a question.

    Args:
        said: folder of what a teacher said, see `tools/make_teacher.py`; None learns from people.
        trust: in [0, 1], the teacher's share of a label.
        together: the weight of the softmax over all passages.
    """

    collator, learned_from = PassageCollator, (*LEARNED_FROM, *SHARES)

    def __init__(
        self,
        reader: QuestionAnswerer,
        windows: Dataset,
        clock: Clock,
        said: Path | None = None,
        trust: float = 0.0,
        together: float = 1.0,
    ):
        self.together = together
        known = {} if said is None else read_said(said)
        super().__init__(reader, by_question(with_shares(windows, known, trust)), clock)

    def compute_loss(self, model, inputs, return_outputs=False, **options):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
        if self.together:
            loss = loss + self.together * shared_loss(outputs, inputs)
        return (loss, outputs) if return_outputs else loss


def shared_loss(outputs: ModelOutput, inputs: Mapping[str, Tensor]) -> Tensor:
    """Cross entropy of the answer's ends among the tokens of all windows of a question.

    [CLS], at 0, is left out: this asks where the answer is, if it is anywhere.

    Args:
        outputs: start_logits and end_logits, float[B, T].
        inputs: attention_mask, the labels, float[B, T], and question, int64[B].
    """
    question = inputs["question"]
    others = inputs["attention_mask"] == 0
    others[:, 0] = True
    same = question[:, None] == question[None, :]
    losses = []
    for side in ("start", "end"):
        logits = outputs[f"{side}_logits"].float().masked_fill(others, -torch.inf)
        of_window = logits.logsumexp(-1)
        of_question = torch.where(same, of_window[None, :], -torch.inf).logsumexp(-1)
        wanted = inputs[f"{side}_positions"].masked_fill(others, 0)
        log_probs = (logits - of_question[:, None]).where(wanted > 0, 0)
        losses.append(-(wanted * log_probs).sum(-1).mean())
    return (losses[0] + losses[1]) / 2


def question_of(row_id: str) -> str:
    """The id of the question, for whichever passage the row has."""
    return row_id.removesuffix(f"-{SEARCHED}").removesuffix(f"-{ANOTHER}")


def by_question(windows: Dataset) -> Dataset:
    """A row for each question: every column a list with one entry a window; length: the longest."""
    places: dict[str, list[int]] = {}
    for place, row_id in enumerate(windows["example_id"]):
        places.setdefault(question_of(row_id), []).append(place)
    groups = [
        some[begin : begin + TOGETHER]
        for some in places.values()
        for begin in range(0, len(some), TOGETHER)
    ]
    read = [name for name in (*LEARNED_FROM, *SHARES) if name in windows.column_names]
    columns = {name: windows[name][:] for name in (*read, "length")}
    rows = {
        name: [[column[i] for i in group] for group in groups] for name, column in columns.items()
    }
    rows["length"] = [max(lengths) for lengths in rows["length"]]
    return Dataset.from_dict(rows)


def read_said(folder: Path) -> dict[str, dict]:
    """What a teacher said, by the id of the row."""
    tables = [pd.read_parquet(file) for file in sorted(folder.glob("*.parquet"))]
    return {row["id"]: row for table in tables for row in table.to_dict("records")}


def with_shares(windows: Dataset, said: Mapping[str, dict], trust: float) -> Dataset:
    """Windows with how much of the label each of the answers' first and last tokens has.

    Of a row that a teacher spoke of, `trust` of it is the teacher's probabilities. What it gives
    to tokens of other windows is [CLS]'s here.
    """
    new: dict[str, list] = {name: [] for name in (*LABELS, *SHARES)}
    of_tokens = {side: windows[f"token_{side}s"][:] for side in SIDES}
    answers = {side: windows[f"answer_{side}s"][:] for side in SIDES}
    for row, row_id in enumerate(windows["example_id"]):
        for side in SIDES:
            tokens = answers[side][row]
            shares = [1 / len(tokens)] * len(tokens)
            if row_id in said:
                places = np.asarray(of_tokens[side][row])
                its = {int(place): token for token, place in enumerate(places) if place >= 0}
                probabilities = softmax(said[row_id][f"{side}_logits"].astype(np.float32))
                shares = [(1 - trust) * share for share in shares]
                shares += (trust * probabilities).tolist()
                tokens = tokens + [its.get(int(place), 0) for place in said[row_id][f"{side}s"]]
            new[f"answer_{side}s"].append(tokens)
            new[f"{side}_shares"].append(shares)
    windows = windows.remove_columns(list(LABELS))
    return concatenate_datasets([windows, Dataset.from_dict(new)], axis=1)
