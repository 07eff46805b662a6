"""From questions and passages to windows of token ids: the input of the reader.

A passage longer than the model can read is cut into windows that overlap by `doc_stride` tokens, so
that no answer is lost on a cut. A window is a row: [CLS] question [SEP] part of the passage [SEP].
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

# BERT's own limit: a longer question would leave no room for the passage.
MAX_QUESTION_TOKENS = 64


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
        raise ValueError(
            f"doc_stride is {doc_stride}, but windows of max_length "
            f"{max_length} have room for {room} passage tokens beside a long "
            "question; choose a doc_stride below that."
        )
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
    ids = dataset["id"]
    columns["example_id"] = [ids[i] for i in columns["example_index"]]
    columns["length"] = [len(token_ids) for token_ids in encoded["input_ids"]]
    if labels:
        _add_labels(columns, dataset, tokenizer.cls_token_id, doc_stride)
    return Dataset.from_dict(columns)


def choose_answer(answers: dict) -> tuple[int, int] | None:
    """The answer most people gave, as (start, end) characters; None where there is none.

    Args:
        answers: {"text": list[str], "answer_start": list[int]}; of equally frequent spans the first
            is taken.
    """
    spans = Counter(_spans(answers)).most_common(1)
    return spans[0][0] if spans else None


def _spans(answers: dict) -> list[tuple[int, int]]:
    return [
        (start, start + len(text))
        for text, start in zip(answers["text"], answers["answer_start"], strict=True)
    ]


def _shorten(questions: list[str], tokenizer: PreTrainedTokenizerBase, limit: int) -> list[str]:
    """Cut each question's text after `limit` tokens; shorter ones come back as they are."""
    offsets = tokenizer(questions, add_special_tokens=False, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    shortened = list(questions)
    for i, spans in enumerate(offsets):
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
    """Add to the windows where the most frequent answer is, and where all that were given are."""
    no_answer = np.array(
        [token_ids.index(cls_token_id) for token_ids in columns["input_ids"]], dtype=np.int64
    )
    shifts = _passage_shifts(columns, doc_stride)
    spans = [Counter(_spans(answers)).most_common() for answers in dataset["answers"]]
    for rank in range(max(1, *map(len, spans))):
        answers = [found[rank][0] if rank < len(found) else None for found in spans]
        times = [
            found[rank][1] if rank < len(found) else int(rank == 0) for found in spans
        ]  # no answer counts as given once
        starts, ends = _label_windows(dataset, columns, shifts, no_answer, answers)
        if rank == 0:
            columns["start_positions"], columns["end_positions"] = starts, ends
            columns["answer_starts"], columns["answer_ends"] = (
                [[] for _ in starts] for _ in range(2)
            )
        for row, i in enumerate(columns["example_index"]):
            columns["answer_starts"][row] += [int(starts[row])] * times[i]
            columns["answer_ends"][row] += [int(ends[row])] * times[i]


def _passage_shifts(columns: dict, doc_stride: int) -> list[int]:
    """For each window, what takes a position in it to the token's number in the whole passage."""
    shifts = []
    question, number = -1, 0
    for i, starts in zip(columns["example_index"], columns["token_starts"], strict=True):
        passage = np.flatnonzero(starts >= 0)
        number = number if i == question else 0
        shifts.append(number - passage[0] if passage.size else 0)
        question, number = i, number + passage.size - doc_stride
    return shifts


def _label_windows(
    dataset: Dataset,
    columns: dict,
    shifts: list[int],
    no_answer: np.ndarray,
    answers: list[tuple[int, int] | None],
) -> tuple[np.ndarray, np.ndarray]:
    """First and last token in every window of the answer to its question, or [CLS] twice.

    Args:
        shifts: see `_passage_shifts`.
        no_answer: int[windows], where [CLS] is.
        answers: one per question, as characters, None without one.
    """
    inside: dict[
        int, np.ndarray
    ] = {}  # window -> the positions of the tokens that share a character with the answer
    # First and last token of the whole answer, over all windows of a question. Numbers, not
    # characters: one character can be several tokens, some of them behind the cut.
    whole: dict[int, tuple[int, int]] = {}
    for row, (i, starts, ends) in enumerate(
        zip(columns["example_index"], columns["token_starts"], columns["token_ends"], strict=True)
    ):
        if answers[i] is None:
            continue
        start, end = answers[i]
        tokens = np.flatnonzero((starts < end) & (ends > start) & (starts >= 0))
        if tokens.size:
            inside[row] = tokens
            span = (tokens[0] + shifts[row], tokens[-1] + shifts[row])
            first, last = whole.get(i, span)
            whole[i] = (min(first, span[0]), max(last, span[1]))
    for i, answer in enumerate(answers):
        if answer is not None and i not in whole:
            row = dataset[i]
            text = row["context"][slice(*answer)]
            raise ValueError(
                f"question {row['id']}: its answer {text!r} covers no token of the passage; "
                "correct the answer."
            )

    first_tokens, last_tokens = no_answer.copy(), no_answer.copy()
    for row, tokens in inside.items():
        if (tokens[0] + shifts[row], tokens[-1] + shifts[row]) == whole[
            columns["example_index"][row]
        ]:
            first_tokens[row], last_tokens[row] = tokens[0], tokens[-1]
    return first_tokens, last_tokens
