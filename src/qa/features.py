"""From questions and passages to windows of token ids: the input of the reader.

A passage longer than the model can read is cut into windows that overlap by `doc_stride` tokens, so
that no answer is lost on a cut. A window is a row: [CLS] question [SEP] part of the passage [SEP].
"""

from collections import Counter

import numpy as np
from datasets import Dataset, concatenate_datasets
from transformers import PreTrainedTokenizerBase

# BERT's own limit: a longer question would leave no room for the passage.
MAX_QUESTION_TOKENS = 64
TOGETHER = 1_000  # questions: as Python's numbers their windows take far more room than as Arrow's


def prepare_features(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int = 384,
    doc_stride: int = 128,
    labels: bool = True,
) -> Dataset:
    """Cut questions and their passages into windows of `max_length` tokens.

    A question loses blanks around it, and is cut after 64 tokens (fewer in
    small windows).

    Args:
        dataset: rows with id, question, context and, for labels, answers.
        tokenizer, max_length: of the model, and tokens of a window at most.
        doc_stride: tokens of the passage that neighbouring windows share, as in
            Hugging Face's libraries; in BERT's own code it is the step from one
            window to the next.
        labels: whether to add where answers are.

    Returns:
        One row per window, without padding. input_ids, attention_mask and,
        where the model has them, token_type_ids: int[T]. token_starts,
        token_ends: int[T], characters of the passage's tokens in `context`, -1
        on others. example_index, example_id: of the question. length: T. With
        labels also start_positions, end_positions: first and last token of the
        answer that most people gave, those of [CLS] where the window does not
        hold all of it; and answer_starts, answer_ends: the same of each answer
        that was given.

    Raises:
        ValueError: there are no questions, an answer covers no token, or
            `doc_stride` leaves no room to move on.
    """
    if not len(dataset):
        raise ValueError("found no questions to prepare; pass at least one.")
    question_limit = min(MAX_QUESTION_TOKENS, max_length // 3)
    special_tokens = tokenizer.num_special_tokens_to_add(pair=True)
    room = max_length - special_tokens - question_limit
    if not 0 <= doc_stride < room:
        found = f"doc_stride is {doc_stride}, but windows of max_length {max_length} have room for"
        advice = f"{room} passage tokens beside a long question; choose a doc_stride below that"
        raise ValueError(f"{found} {advice}.")
    how = tokenizer, question_limit, max_length, doc_stride, labels
    starts = range(0, len(dataset), TOGETHER)
    parts = [_windows(dataset.skip(start).take(TOGETHER), start, *how) for start in starts]
    return concatenate_datasets(parts)


def _windows(
    dataset: Dataset,
    first: int,
    tokenizer: PreTrainedTokenizerBase,
    question_limit: int,
    max_length: int,
    doc_stride: int,
    labels: bool,
) -> Dataset:
    """The windows of some questions; `first` is the place of the first one among all."""
    questions = [question.strip() for question in dataset["question"]]
    encoded = tokenizer(
        _shorten(questions, tokenizer, question_limit),
        list(dataset["context"]),
        truncation="only_second",
        max_length=max_length,
        stride=doc_stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    names = "input_ids", "token_type_ids", "attention_mask"
    columns = {name: encoded[name] for name in names if name in encoded}
    columns["token_starts"], columns["token_ends"] = _passage_offsets(encoded)
    columns["example_index"] = encoded["overflow_to_sample_mapping"]
    ids = dataset["id"][:]
    columns["example_id"] = [ids[i] for i in columns["example_index"]]
    columns["length"] = [len(token_ids) for token_ids in encoded["input_ids"]]
    if labels:
        _add_labels(columns, dataset, tokenizer.cls_token_id, doc_stride)
    columns["example_index"] = [first + i for i in columns["example_index"]]
    return Dataset.from_dict(columns)


def _spans(answers: dict) -> list[tuple[int, int]]:
    return [
        (start, start + len(text))
        for text, start in zip(answers["text"], answers["answer_start"], strict=True)
    ]


def _shorten(questions: list[str], tokenizer: PreTrainedTokenizerBase, limit: int) -> list[str]:
    """Cut each question's text after `limit` tokens; shorter ones come back as they are."""
    encoded = tokenizer(questions, add_special_tokens=False, return_offsets_mapping=True)
    shortened = list(questions)
    for i, spans in enumerate(encoded["offset_mapping"]):
        if len(spans) > limit:
            end = spans[limit - 1][1]
            # A character of several tokens, as in Hangul, goes altogether or stays.
            while len(tokenizer(questions[i][:end], add_special_tokens=False)["input_ids"]) > limit:
                end -= 1
            shortened[i] = questions[i][:end]
    return shortened


def _passage_offsets(encoded) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Start and end characters of every passage token, -1 on question and special tokens."""
    starts, ends = [], []
    for i, spans in enumerate(encoded["offset_mapping"]):
        in_passage = np.array([sequence == 1 for sequence in encoded.sequence_ids(i)], dtype=bool)
        offsets = np.asarray(spans, dtype=np.int32).reshape(-1, 2)
        starts.append(np.where(in_passage, offsets[:, 0], -1))
        ends.append(np.where(in_passage, offsets[:, 1], -1))
    return starts, ends


def _add_labels(columns: dict, dataset: Dataset, cls_token_id: int, doc_stride: int) -> None:
    rows_of: dict[int, list[int]] = {}
    for row, i in enumerate(columns["example_index"]):
        rows_of.setdefault(i, []).append(row)
    labels = {"start_positions": [], "end_positions": [], "answer_starts": [], "answer_ends": []}
    for i, answers in enumerate(dataset["answers"]):
        rows = rows_of[i]
        windows = [np.flatnonzero(columns["token_starts"][row] >= 0) for row in rows]
        # The tokens of the passage, each once though windows overlap, numbered from 0. Numbers
        # tell more than characters: one character can be several tokens, some behind the cut.
        once = [window[doc_stride if k else 0 :] for k, window in enumerate(windows)]
        starts, ends = (
            np.concatenate([columns[name][row][w] for row, w in zip(rows, once, strict=True)])
            for name in ("token_starts", "token_ends")
        )
        spans = []
        for (start, end), times in Counter(_spans(answers)).most_common():
            tokens = np.flatnonzero((starts < end) & (ends > start))
            if not tokens.size:
                where = f"question {dataset[i]['id']}"
                answer = f"its answer {dataset[i]['context'][start:end]!r}"
                raise ValueError(f"{where}: {answer} covers no token; correct the answer.")
            spans += [(tokens[0], tokens[-1])] * times
        number = 0  # of the window's first token
        for row, window in zip(rows, windows, strict=True):
            no_answer = columns["input_ids"][row].index(cls_token_id)
            found = [] if spans else [(no_answer, no_answer)]
            for first, last in spans:
                whole = number <= first and last < number + window.size
                shift = window[0] - number
                found.append((first + shift, last + shift) if whole else (no_answer, no_answer))
            firsts, lasts = (list(positions) for positions in zip(*found, strict=True))
            for name, label in zip(labels, (firsts[0], lasts[0], firsts, lasts), strict=True):
                labels[name].append(label)
            number += window.size - doc_stride
    columns.update(labels)
