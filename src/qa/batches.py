"""What is learned from at a time: batches of windows of like length, their labels, the loss."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from transformers import BatchEncoding, DataCollatorWithPadding
from transformers.utils import ModelOutput

from src.batching import batch_passes
from src.qa.models import MODEL_INPUTS

PAD_TO = 8  # tokens: with fewer different shapes a CPU keeps fewer buffers and kernels
ENDLESS = 10**9  # steps of a run by minutes: the clock ends it
LEARNED_FROM = ("input_ids", "token_type_ids", "attention_mask", "answer_starts", "answer_ends")


class LengthGroupedBatches:
    """A batch sampler: endless passes over the windows in random batches of like length.

    Args:
        lengths: int[windows], in tokens.
        batch_size: windows a step, over all `processes`, each of which takes its share.
        epochs: how many passes make `steps` steps; None has no end.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int,
        epochs: float | None = None,
        processes: int = 1,
    ):
        self.lengths, self.step_size = np.asarray(lengths), batch_size
        self.seed, self.processes = seed, processes
        self.batch_size, self.drop_last = batch_size // processes, False
        per_pass = -(-len(self.lengths) // batch_size)
        self.steps = None if epochs is None else max(1, round(epochs * per_pass))

    def __len__(self) -> int:
        return (self.steps or ENDLESS) * self.processes

    def __iter__(self) -> Iterator[list[int]]:
        for batches in batch_passes(self.lengths, self.step_size, self.seed):
            yield from batches.reshape(-1, self.batch_size).tolist()


class ReaderCollator(DataCollatorWithPadding):
    """Pads windows to the longest of a batch, and makes one label of all answers to a question.

    A batch has start_positions and end_positions, float[B, T]: the share of the answers that begin,
    or end, at each token. Each answer counts as much, but for windows that bring start_shares and
    end_shares.
    """

    def __call__(self, windows: list[dict]) -> BatchEncoding:
        labels: dict[str, list] = {"start": [], "end": []}
        for window in windows:
            for side, answers in labels.items():
                tokens = window.pop(f"answer_{side}s")
                equal = [1 / len(tokens)] * len(tokens)
                answers.append((tokens, window.pop(f"{side}_shares", equal)))
        batch = super().__call__(windows)
        for side, answers in labels.items():
            wanted = torch.zeros(batch["input_ids"].shape)
            for row, (tokens, shares) in enumerate(answers):
                wanted[row].index_add_(0, torch.tensor(tokens), torch.tensor(shares))
            batch[f"{side}_positions"] = wanted
        return batch


def span_loss(
    model: torch.nn.Module,
    inputs: Mapping[str, Tensor],
) -> tuple[Tensor, ModelOutput]:
    """Mean cross entropy of the answer's first and last token.

    Padding takes no part in the softmax. In the library's own loss it does, so
    that the same window is worth something else in a batch with longer ones.

    Args:
        model: gives start_logits and end_logits, float[B, T].
        inputs: what the model reads, int64[B, T] each, with start_positions
            and end_positions: int64[B], or float[B, T] where people gave
            several answers: the share of them at each token.

    Returns:
        The loss, and the model's output.
    """
    names = ("start_positions", "end_positions")
    read = {name: inputs[name] for name in MODEL_INPUTS if name in inputs}
    outputs = model(**read)
    padding, losses = inputs["attention_mask"] == 0, []
    both = outputs.start_logits, outputs.end_logits
    for name, logits in zip(names, both, strict=True):
        logits = logits.float().masked_fill(padding, -torch.inf)
        log_probs, wanted = logits.log_softmax(-1), inputs[name]
        if wanted.ndim == 1:
            wanted = one_hot(wanted, logits.shape[1]).float()
        # Where nothing is wanted, 0 times the logarithm of 0 is 0, not NaN.
        losses.append(-(wanted * log_probs.where(wanted > 0, 0)).sum(-1).mean())
    return (losses[0] + losses[1]) / 2, outputs
