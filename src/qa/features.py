"""From questions and passages to windows of token ids: the input of the reader.

A passage longer than the model can read is cut into windows that overlap by `doc_stride` tokens, so that no answer is
lost on a cut. Each window is one row: [CLS] question [SEP] part of the passage [SEP].
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

# BERT's own limit: a longer question would leave no room for the passage.
MAX_QUESTION_TOKENS = 64
PASSAGE = ("passage_start", "passage_end")  # of a window: its first passage token, and the one after its last
LEAST_PASSAGE = 32  # tokens of the passage that a crop keeps at least


def prepare_features(
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int = 384,
    doc_stride: int = 128,
    labels: bool = True,
) -> Dataset:
    """Cut every question and its passage into windows of at most `max_length` tokens, with the answer's place as label.

    dataset: rows with id, question, context and, for labels, answers (SQuAD's columns).
    doc_stride: tokens of the passage that two neighbouring windows share (Hugging Face's meaning; in BERT's original
    code the same name is the step from one window to the next).
    Returns one row per window, unpadded, in the order of `dataset`:
      input_ids, attention_mask and, where the model has them, token_type_ids: int[T];
      token_starts, token_ends: int[T], character offsets of each passage token in `context`, -1 on all other tokens;
      passage_start, passage_end: int, the first passage token and the one after the last, 0 and 0 where there is none;
      example_index: row of the question in `dataset`; example_id: its id; length: T;
      with labels, start_positions and end_positions: first and last token of the answer, both the position of [CLS]
      where the window does not hold the whole answer or the question has none.
    A question has surrounding blanks removed and is cut after 64 tokens (fewer in small windows). Where people gave several answers, the
    most frequent one is the label, the first of equals.
    Raises ValueError when `doc_stride` leaves no room to move on, when an answer covers no token, or when
    there are no questions.
    """
    question_limit = min(MAX_QUESTION_TOKENS, max_length // 3)
    special = tokenizer.num_special_tokens_to_add(pair=True)
    if not 0 <= doc_stride < max_length - special - question_limit:
        raise ValueError(
            f"doc_stride is {doc_stride}, but windows of max_length {max_length} have room for {max_length - special - question_limit} "
            f"passage tokens beside a long question; choose a doc_stride below that."
        )
    if not len(dataset):
        raise ValueError("found no questions to prepare; pass at least one.")
    questions = _shorten([question.strip() for question in dataset["question"]], tokenizer, question_limit)
    encoded = tokenizer(
        questions,
        list(dataset["context"]),
        truncation="only_second",
        max_length=max_length,
        stride=doc_stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    example_index = np.asarray(encoded["overflow_to_sample_mapping"], dtype=np.int64)
    names = [name for name in ("input_ids", "token_type_ids", "attention_mask") if name in encoded]
    columns: dict[str, list] = {name: encoded[name] for name in names}
    columns["token_starts"], columns["token_ends"] = _passage_offsets(encoded)
    passages = [np.flatnonzero(starts >= 0) for starts in columns["token_starts"]]
    columns["passage_start"] = [int(tokens[0]) if tokens.size else 0 for tokens in passages]
    columns["passage_end"] = [int(tokens[-1]) + 1 if tokens.size else 0 for tokens in passages]
    ids = dataset["id"]
    columns["example_index"] = example_index
    columns["example_id"] = [ids[i] for i in example_index]
    columns["length"] = [len(token_ids) for token_ids in encoded["input_ids"]]
    if labels:
        starts, ends = _label_windows(dataset, columns, tokenizer.cls_token_id, doc_stride)
        columns["start_positions"], columns["end_positions"] = starts, ends
    return Dataset.from_dict(columns)


def crop(window: dict, tokens: int, place: float) -> dict:
    """A window cut down to at most `tokens`: the whole question, and a part of the passage with the whole answer in it.

    Args:
        window: a row of `prepare_features` with labels: what the model reads, the answer's positions, and the passage's.
        tokens: at most so many, but for a long question or answer, which are kept.
        place: in [0, 1), which of the possible parts is taken, from the first to the last.

    Returns:
        What the model reads and the positions in it, without the passage's.
    """
    first, end = (window[name] for name in PASSAGE)
    length = len(window["input_ids"])
    start, last = window["start_positions"], window["end_positions"]
    kept = {name: value for name, value in window.items() if name not in PASSAGE}
    room = max(tokens - (length - (end - first)), LEAST_PASSAGE)
    if room >= end - first:
        return kept
    earliest, latest = first, end - room
    if first <= start < end:  # elsewhere, at [CLS], it stands for no answer
        earliest, latest = max(first, last + 1 - room), min(start, latest)
        if earliest > latest:  # the answer is longer than that
            return kept
    begin = earliest + int(place * (latest - earliest + 1))
    gone_before, gone = begin - first, end - first - room

    def moved(position: int) -> int:
        return position - (gone_before if first <= position < end else gone if position >= end else 0)

    for name in ("input_ids", "token_type_ids", "attention_mask"):
        if name in kept:
            kept[name] = kept[name][:first] + kept[name][begin : begin + room] + kept[name][end:]
    return kept | {"start_positions": moved(start), "end_positions": moved(last)}


def choose_answer(answers: dict) -> tuple[int, int] | None:
    """The answer most people gave, as (start, end) character offsets, end exclusive; None for an unanswerable question.

    answers: {"text": list[str], "answer_start": list[int]}. Of equally frequent spans the first is taken.
    """
    spans = [(start, start + len(text)) for text, start in zip(answers["text"], answers["answer_start"], strict=True)]
    return Counter(spans).most_common(1)[0][0] if spans else None


def _shorten(questions: list[str], tokenizer: PreTrainedTokenizerBase, limit: int) -> list[str]:
    """Cut each question's text after `limit` tokens; shorter ones come back as they are."""
    offsets = tokenizer(questions, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    shortened = list(questions)
    for i, spans in enumerate(offsets):
        if len(spans) > limit:
            end = spans[limit - 1][1]
            # A character that is several tokens, as in Hangul, goes altogether where it does not fit altogether.
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


def _label_windows(dataset: Dataset, columns: dict, cls_token_id: int, doc_stride: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last token of the answer in every window, or the position of [CLS] twice."""
    answers = [choose_answer(answer) for answer in dataset["answers"]]
    inside = []  # per window: the positions of the tokens that share a character with the answer
    shifts = []  # per window: what takes a position to the token's number in the whole passage
    question, number = -1, 0
    for i, starts, ends in zip(columns["example_index"], columns["token_starts"], columns["token_ends"], strict=True):
        start, end = answers[i] or (0, 0)
        inside.append(np.flatnonzero((starts < end) & (ends > start) & (starts >= 0)))
        passage = np.flatnonzero(starts >= 0)
        number = number if i == question else 0
        shifts.append(number - passage[0] if passage.size else 0)
        question, number = i, number + passage.size - doc_stride

    # First and last token of the whole answer, over all windows of a question. Numbers, not characters: one character can be
    # several tokens, some of them behind the cut.
    whole: dict[int, tuple[int, int]] = {}
    for i, tokens, shift in zip(columns["example_index"], inside, shifts, strict=True):
        if tokens.size:
            span = (tokens[0] + shift, tokens[-1] + shift)
            first, last = whole.get(i, span)
            whole[i] = (min(first, span[0]), max(last, span[1]))
    for i, answer in enumerate(answers):
        if answer is not None and i not in whole:
            row = dataset[i]
            text = row["context"][slice(*answer)]
            raise ValueError(f"question {row['id']}: its answer {text!r} covers no token of the passage; correct the answer.")

    first_tokens = np.array([token_ids.index(cls_token_id) for token_ids in columns["input_ids"]], dtype=np.int64)
    last_tokens = first_tokens.copy()
    for row, (i, tokens, shift) in enumerate(zip(columns["example_index"], inside, shifts, strict=True)):
        if tokens.size and (tokens[0] + shift, tokens[-1] + shift) == whole[i]:
            first_tokens[row], last_tokens[row] = tokens[0], tokens[-1]
    return first_tokens, last_tokens
