"""Windows and labels, against a slow reference that looks at every character."""

from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import BertProcessing
from transformers import PreTrainedTokenizerFast

from src.qa.features import choose_answer, prepare_features

# Accents apart and together, other scripts, emoji of several code points, invisible characters,
# letters that grow when made small, words of many pieces, words that are unknown.
TROUBLE = (
    "the of Oxygen, atomic 8 1,000 U.S. unbelievably electroencephalographically naïve café "
    "cafe\u0301 e\u0301 İstanbul Straße ﬁne ½ "
    "北京 日本語です 한국어 हिन्दी कु ไทยที่ العَرَبِيَّة 👩‍🔬 🙂 🇩🇪 👍🏽 1\ufe0f\u20e3 "
    "\u00ad \u200b \ufffd xq'zz ... (1883–1924) \u0301"
)
WORDS = TROUBLE.split()
BLANKS = (" ", " ", " ", "  ", "\n", "\t", "\u00a0", "")


def random_passage(rng: random.Random, most: int) -> str:
    return "".join(rng.choice(WORDS) + rng.choice(BLANKS) for _ in range(rng.randrange(most)))


def random_answers(
    rng: random.Random, context: str, offsets: list[tuple[int, int]]
) -> list[tuple[str, int]]:
    """Spans that touch a token: whole ones mostly, a few characters more or less, or very long."""
    answers = []
    for _ in range(rng.choice((1, 1, 1, 3))):
        first = rng.randrange(len(offsets))
        last = min(len(offsets) - 1, first + rng.choice((0, 0, 1, 2, 5, 20, 60)))
        start, end = (
            offsets[first][0] - rng.choice((0, 0, 0, 1)),
            offsets[last][1] + rng.choice((0, 0, 0, 1, -1)),
        )
        start = max(0, start)
        if end > offsets[first][0]:
            answers.append((context[start:end], start))
    return answers + answers[-1:] * rng.choice((0, 0, 1))


def reference_answer(answers: dict) -> tuple[int, int] | None:
    best = None
    for text, start in zip(answers["text"], answers["answer_start"], strict=True):
        votes = sum(
            other == (text, start)
            for other in zip(answers["text"], answers["answer_start"], strict=True)
        )
        if best is None or votes > best[0]:
            best = (votes, start, start + len(text))
    return best and best[1:]


def reference_windows(row: dict, tokenizer, max_length: int, doc_stride: int) -> list[dict]:
    """The same rows as `prepare_features`, slowly."""
    question = tokenizer(row["question"].strip(), add_special_tokens=False)["input_ids"][
        : min(64, max_length // 3)
    ]
    passage = tokenizer(row["context"], add_special_tokens=False, return_offsets_mapping=True)
    token_ids, offsets = passage["input_ids"], passage["offset_mapping"]
    given = [
        (start, start + len(text))
        for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
    ]

    def tokens_of(answer: tuple[int, int] | None) -> list[int]:
        characters = set(range(*answer)) if answer else set()
        return [t for t, (start, end) in enumerate(offsets) if characters & set(range(start, end))]

    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    room = max_length - len(question) - 3
    windows, first = [], 0
    while True:
        here = range(first, min(first + room, len(token_ids)))
        before = [cls, *question, sep]

        def label_of(
            answer: tuple[int, int] | None, here: range = here, shift: int = len(before) - first
        ) -> tuple[int, int]:
            tokens = tokens_of(answer)
            return (
                (tokens[0] + shift, tokens[-1] + shift)
                if tokens and all(t in here for t in tokens)
                else (0, 0)
            )

        label = label_of(reference_answer(row["answers"]))
        labels = sorted(map(label_of, given or [None]))
        around = [-1] * len(before)
        windows.append(
            {
                "input_ids": [*before, *(token_ids[t] for t in here), sep],
                "token_type_ids": [0] * len(before) + [1] * (len(here) + 1),
                "attention_mask": [1] * (len(before) + len(here) + 1),
                "token_starts": [*around, *(offsets[t][0] for t in here), -1],
                "token_ends": [*around, *(offsets[t][1] for t in here), -1],
                "example_id": row["id"],
                "length": len(before) + len(here) + 1,
                "start_positions": label[0],
                "end_positions": label[1],
                "answer_labels": labels,
            }
        )
        if here.stop == len(token_ids):
            return windows
        first += room - doc_stride


@pytest.mark.parametrize(
    ("max_length", "doc_stride"),
    [
        (32, 0),
        (32, 1),
        (32, 8),
        (32, 18),
        (33, 7),
        (40, 5),
        (48, 16),
        (48, 28),
        (64, 3),
        (64, 24),
        (64, 39),
        (384, 128),
    ],
)
def test_windows_and_labels_equal_the_slow_reference(tokenizer, questions, max_length, doc_stride):
    rng = random.Random(1000 * max_length + doc_stride)
    rows = []
    while len(rows) < 45:
        context = random_passage(rng, most=rng.choice((1, 10, 60, 150)))
        offsets = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)[
            "offset_mapping"
        ]
        answers = random_answers(rng, context, offsets) if offsets and rng.random() < 0.85 else []
        words = rng.choice(
            (
                "Who?",
                "   What is the atomic number of oxygen?",
                "\n Wo liegt 北京? ",
                "very " * 100 + "long?",
                "cafe\u0301?",
            )
        )
        rows.append((words, context, *answers))
    dataset = questions(*rows)

    features = prepare_features(dataset, tokenizer, max_length, doc_stride)

    expected = []
    for i, row in enumerate(dataset):
        expected += [
            window | {"example_index": i}
            for window in reference_windows(row, tokenizer, max_length, doc_stride)
        ]
    found = [dict(window) for window in features]
    for window in found:  # in no particular order, but first with first and last with last token
        window["answer_labels"] = sorted(
            zip(window.pop("answer_starts"), window.pop("answer_ends"), strict=True)
        )
    assert set(found[0]) == set(expected[0])
    for one, other in zip(found, expected, strict=True):
        assert one == other
    assert max(features["length"]) <= max_length
    labelled = sum(position > 0 for position in features["start_positions"])
    assert (
        10 < labelled < len(features)
    )  # the cases are worth something: both kinds of windows occur
    if max_length <= 64:
        assert len(features) > len(dataset) + 15


def test_without_labels_the_same_windows_come_back_and_answers_are_not_looked_at(
    tokenizer, questions
):
    dataset = questions(("Who?", "Franz Kafka wrote it in Prague. " * 9, "Kafka"), ("Where?", ""))
    labelled = prepare_features(dataset, tokenizer, 40, 10)
    plain = prepare_features(dataset.remove_columns("answers"), tokenizer, 40, 10, labels=False)
    assert plain.column_names == [
        name
        for name in labelled.column_names
        if not name.startswith(("start_p", "end_p", "answer_"))
    ]
    assert list(plain) == list(labelled.select_columns(plain.column_names))


def test_an_answer_on_the_cut_is_found_in_the_window_that_holds_all_of_it(tokenizer, questions):
    # The question's 2 tokens leave room for 27: "27 28" is on the cut.
    context = " ".join(str(number) for number in range(1, 60))
    features = prepare_features(questions(("Which?", context, "27 28")), tokenizer, 32, 5)
    labels = list(zip(features["start_positions"], features["end_positions"], strict=True))
    assert labels[0] == (0, 0)
    start, end = labels[1]
    assert context[features[1]["token_starts"][start] : features[1]["token_ends"][end]] == "27 28"


def test_a_character_of_several_tokens_that_no_window_holds_is_nowhere_labelled(
    tokenizer, questions
):
    # A Hangul syllable is three tokens at one place: two at a window's edge are not the answer.
    context = "x " * 25 + "한" + " y" * 30
    offsets = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    assert offsets.count((50, 51)) == 3
    features = prepare_features(questions(("Which?", context, "한")), tokenizer, 32, 1)
    sizes = [window["token_starts"].count(50) for window in features]
    assert sizes[:2] == [2, 2], "the case is not the one meant"
    assert not any(features["start_positions"])


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"text": [], "answer_start": []}, None),
        ({"text": ["b"], "answer_start": [1]}, (1, 2)),
        ({"text": ["a", "bc", "bc"], "answer_start": [0, 1, 1]}, (1, 3)),
        ({"text": ["bc", "a", "a", "bc"], "answer_start": [1, 0, 0, 1]}, (1, 3)),
        ({"text": ["a", "b"], "answer_start": [0, 1]}, (0, 1)),
        (
            {"text": ["a", "a", "b", "b"], "answer_start": [0, 4, 1, 1]},
            (1, 2),
        ),  # the same text elsewhere is another answer
    ],
)
def test_the_most_frequent_answer_is_the_label_and_the_first_of_equals(answers, expected):
    assert choose_answer(answers) == expected


def test_blanks_around_a_question_change_nothing_even_where_a_tokenizer_counts_them(
    tokenizer, questions
):
    words = {
        word: i for i, word in enumerate(("[UNK]", "[CLS]", "[SEP]", "[PAD]", " ", "Who?", "Kafka"))
    }
    inner = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = Split(" ", "isolated")
    inner.post_processor = BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    counting = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
    )
    assert counting("  Who?", add_special_tokens=False)["input_ids"] == [4, 4, 5]
    for each in (counting, tokenizer):
        plain, blank = (
            prepare_features(questions((question, "Kafka", "Kafka")), each, 64, 8)[0]
            for question in ("Who?", "  Who? ")
        )
        assert plain == blank


@pytest.mark.parametrize(
    "text",
    ["한국어는 " * 60, "각" * 40, "x" + "값" * 40, "가나다" * 50, "ﷺ" * 30, "x" * 99 + "한" * 60],
)
@pytest.mark.parametrize("max_length", [32, 34, 48])
def test_a_long_question_of_characters_with_several_tokens_still_leaves_the_promised_room(
    tokenizer, questions, text, max_length
):
    limit = max_length // 3
    room = max_length - 3 - limit
    features = prepare_features(
        questions((text, "one two three " * 30, "two")), tokenizer, max_length, room - 1
    )
    question = [
        window["token_starts"].index(0) - 2 for window in features if 0 in window["token_starts"]
    ]
    assert len(question) == 1 and 0 < question[0] <= limit


def test_a_doc_stride_that_leaves_no_room_to_move_on_is_an_error_that_gives_the_limit(
    tokenizer, questions
):
    dataset = questions(("very " * 60 + "long?", "word " * 100, "word"))
    assert len(prepare_features(dataset, tokenizer, 32, 18)) > 10
    for doc_stride in (19, 32, -1):
        with pytest.raises(
            ValueError, match=f"doc_stride is {doc_stride}, .* room for 19 passage tokens"
        ):
            prepare_features(dataset, tokenizer, 32, doc_stride)


def test_an_answer_that_covers_no_token_is_an_error_that_names_question_and_answer(
    tokenizer, questions
):
    dataset = questions(("Who?", "Kafka", "Kafka"), ("What?", "a \u200b b", ("\u200b", 2)))
    with pytest.raises(ValueError, match=r"question q1: its answer '\\u200b' covers no token"):
        prepare_features(dataset, tokenizer, 64, 8)
    assert len(prepare_features(dataset, tokenizer, 64, 8, labels=False)) == 2


def test_no_questions_are_an_error_in_one_sentence(tokenizer, questions):
    with pytest.raises(ValueError, match="found no questions"):
        prepare_features(questions(), tokenizer, 64, 8)
