"""Ask questions of passages: the trained reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from src import compute, runtime
from src.batching import batches_by_length
from src.qa.calibration import Scaling
from src.qa.decoding import MAX_ANSWER_TOKENS, Answer, checked_logits, decode
from src.qa.features import prepare_features
from src.qa.metrics import check_threshold
from src.qa.models import (
    DEFAULT_THRESHOLD,
    MODEL_INPUTS,
    load_model,
    read_card,
    scaling_of,
    window_sizes,
)
from src.text import check_text

TOKENS_PER_BATCH = 8192
QUESTIONS_PER_ROUND = 2048  # so that memory does not grow with the number of questions


@dataclass(frozen=True)
class TokenScores:
    """The reader's view of one window: tokens, float[T] of logits, bool[T] on the passage."""

    tokens: list[str]
    start_logits: np.ndarray
    end_logits: np.ndarray
    in_passage: np.ndarray


class QuestionAnswerer:
    """Answers questions from passages, one or many at a time, or says that there is no answer.

    Args:
        threshold: the lowest score, in [0, 1], that is answered, unless a call says otherwise.
        max_length, doc_stride: tokens of a window, and of the overlap of two, fewer of both where
            the model has fewer positions.
        precision: "fp32" or "bf16"; "auto" measures once which is faster here.
        scaling: makes scores true; see `fit_calibration`.
        max_answer_tokens: the longest answer, 1 at least.

    Attributes:
        card: of the model that `load` loaded; {} where there is none.
    """

    card: Mapping = {}

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        threshold: float = DEFAULT_THRESHOLD,
        max_length: int = 384,
        doc_stride: int = 128,
        precision: str = "auto",
        scaling: Scaling | None = None,
        max_answer_tokens: int = MAX_ANSWER_TOKENS,
    ):
        check_threshold(threshold)
        if max_answer_tokens < 1:
            found = f"max_answer_tokens is {max_answer_tokens}"
            raise ValueError(f"{found}; an answer has at least one token.")
        self.device = runtime.device()
        self.model = model.eval().to(self.device)
        self.tokenizer = tokenizer
        self.threshold, self.scaling = threshold, scaling or Scaling()
        self.max_length, self.doc_stride = window_sizes(model, max_length, doc_stride)
        self.max_answer_tokens = max_answer_tokens
        self._precision, self._tuner = precision, compute.ThreadTuner()

    @classmethod
    def load(
        cls, name: str | Path = "qa-minilm", threshold: float | None = None, **options
    ) -> QuestionAnswerer:
        """Load shipped weights ("qa-minilm"), a folder that `finetune` wrote, or a Hub id.

        Args:
            threshold: None takes the one on the model's card, chosen on validation questions, or
                0.5 where there is no card. The card's scaling is taken, too.
            options: as the class takes them.

        Raises:
            ModelError: there is no such model, or it is damaged.
        """
        if threshold is not None:
            check_threshold(threshold)  # before anything slow
        model, tokenizer = load_model(name)
        card = read_card(name)
        if threshold is None:
            threshold = card.get("threshold", DEFAULT_THRESHOLD)
        reader = cls(model, tokenizer, threshold, **{"scaling": scaling_of(card)} | options)
        reader.card = card
        return reader

    def __call__(
        self,
        question: str | Sequence[str],
        context: str | Sequence[str],
        threshold: float | None = None,
        n_best: int = 5,
    ) -> Answer | list[Answer]:
        """Answer one question about one passage, or lists of both in their order.

        `threshold` is the lowest score that is answered, None this answerer's; `n_best` candidates
        are kept with each answer.

        Raises:
            ValueError: the lengths differ, a question is blank, or the threshold is not in [0, 1].
        """
        for given in (question, context):
            if not isinstance(given, Iterable):
                check_text(given, "a question or passage")
        if isinstance(question, str) and isinstance(context, str):
            return self([question], [context], threshold, n_best)[0]
        questions, contexts = list(question), list(context)
        if isinstance(question, str) or isinstance(context, str) or len(questions) != len(contexts):
            found = f"found {len(questions)} questions for {len(contexts)} passages"
            raise ValueError(f"{found}; pass two strings, or two lists of equal length.")
        for text in (*questions, *contexts):
            if not isinstance(text, str):
                check_text(text, "a question or passage")
        blank = [i for i, text in enumerate(questions) if not text.strip()]
        if blank:
            raise ValueError(f"question {blank[0]} is blank; ask something.")
        threshold = self.threshold if threshold is None else threshold
        check_threshold(threshold)
        answers: list[Answer] = []
        settings = {"threshold": threshold, "scaling": self.scaling, "n_best": n_best}
        settings["max_answer_tokens"] = self.max_answer_tokens
        for i in range(0, len(questions), QUESTIONS_PER_ROUND):
            part = slice(i, i + QUESTIONS_PER_ROUND)
            rows, features = self._windows(questions[part], contexts[part])
            answers += decode(features, rows, *self.logits(features), **settings)
        return answers

    def _windows(self, questions: list[str], contexts: list[str]) -> tuple[Dataset, Dataset]:
        ids = [str(i) for i in range(len(questions))]
        rows = Dataset.from_dict({"id": ids, "question": questions, "context": contexts})
        size = (self.max_length, self.doc_stride)
        return rows, prepare_features(rows, self.tokenizer, *size, labels=False)

    def logits(self, features: Dataset) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Start and end logits of every window, float32[T] each, in the order of `features`.

        Windows of like length go through the model together, so that there is little padding.
        """
        lengths = np.asarray(features["length"])
        names = [name for name in MODEL_INPUTS if name in features.column_names]
        columns = {name: features[name] for name in names}
        collate = DataCollatorWithPadding(self.tokenizer)
        starts: list[np.ndarray] = [np.empty(0)] * len(lengths)
        ends: list[np.ndarray] = [np.empty(0)] * len(lengths)
        for batch in batches_by_length(lengths, TOKENS_PER_BATCH):
            windows = [{name: column[i] for name, column in columns.items()} for i in batch]
            start_logits, end_logits = self._forward(collate(windows).to(self.device))
            for row, i in enumerate(batch):
                starts[i], ends[i] = start_logits[row, : lengths[i]], end_logits[row, : lengths[i]]
        return starts, ends

    def token_scores(self, question: str, context: str) -> TokenScores:
        """Tokens and logits of the first window: what the model says before decoding."""
        check_text(question, "the question")
        check_text(context, "the passage")
        _, features = self._windows([question], [context])
        first = features[0]
        start_logits, end_logits = (
            checked_logits(logits[0], first["length"])
            for logits in self.logits(features.select([0]))
        )
        tokens = self.tokenizer.convert_ids_to_tokens(first["input_ids"])
        return TokenScores(tokens, start_logits, end_logits, np.array(first["token_starts"]) >= 0)

    @property
    def precision(self) -> str:
        """What the model computes in here: "fp32" or "bf16"."""
        if self._precision == "auto":
            shape = 16, min(160, self.max_length)  # a usual batch
            token_ids = torch.full(shape, self.tokenizer.cls_token_id, device=self.device)
            inputs = {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids)}
            self._precision = compute.faster_precision(lambda: self._read(inputs), self.device)
        return self._precision

    def _forward(self, inputs) -> tuple[np.ndarray, np.ndarray]:
        with (
            self._tuner.timed(inputs["input_ids"].numel()),
            compute.autocast(self.device, self.precision),
        ):
            return self._read(inputs)

    def _read(self, inputs) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            output = self.model(**inputs)
        return output.start_logits.float().cpu().numpy(), output.end_logits.float().cpu().numpy()
