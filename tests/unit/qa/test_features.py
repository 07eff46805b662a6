"""Windows and labels, against a slow reference that looks at every character."""

import random

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import BertProcessing
from transformers import PreTrainedTokenizerFast

import src.qa.features as features_of_questions
from src.qa.features import prepare_features

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
        start = max(0, offsets[first][0] - rng.choice((0, 0, 0, 1)))
        end = offsets[last][1] + rng.choice((0, 0, 0, 1, -1))
        if end > offsets[first][0]:
            answers.append((context[start:end], start))
    return answers + answers[-1:] * rng.choice((0, 0, 1))


def reference_windows(row: dict, tokenizer, max_length: int, doc_stride: int) -> list[dict]:
    """The same rows as `prepare_features`, slowly."""
    question = tokenizer(row["question"].strip(), add_special_tokens=False)["input_ids"]
    question = question[: min(64, max_length // 3)]
    passage = tokenizer(row["context"], add_special_tokens=False, return_offsets_mapping=True)
    token_ids, offsets = passage["input_ids"], passage["offset_mapping"]
    pairs = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
    given = [(start, start + len(text)) for text, start in pairs]
    before = [tokenizer.cls_token_id, *question, tokenizer.sep_token_id]
    room, around = max_length - len(question) - 3, [-1] * len(before)

    def label_of(answer: tuple[int, int] | None, here: range) -> tuple[int, int]:
        characters = set(range(*answer)) if answer else set()
        tokens = [t for t, span in enumerate(offsets) if characters & set(range(*span))]
        shift = len(before) - here.start
        inside = tokens and all(t in here for t in tokens)
        return (tokens[0] + shift, tokens[-1] + shift) if inside else (0, 0)

    windows, first = [], 0
    while True:
        here = range(first, min(first + room, len(token_ids)))
        label = label_of(max(given, key=given.count) if given else None, here)
        length = len(before) + len(here) + 1
        windows.append(
            {
                "input_ids": [*before, *(token_ids[t] for t in here), tokenizer.sep_token_id],
                "token_type_ids": [0] * len(before) + [1] * (len(here) + 1),
                "attention_mask": [1] * length,
                "token_starts": [*around, *(offsets[t][0] for t in here), -1],
                "token_ends": [*around, *(offsets[t][1] for t in here), -1],
                "example_id": row["id"],
                "length": length,
                "start_positions": label[0],
                "end_positions": label[1],
                "answer_labels": sorted(label_of(answer, here) for answer in given or [None]),
            }
        )
        if here.stop == len(token_ids):
            return windows
        first += room - doc_stride


SIZES = [(32, 0), (32, 18), (33, 7), (48, 16), (64, 39), (384, 128)]
QUESTIONS = ("Who?", "   What is the atomic number of oxygen?", "\n Wo liegt 北京? ")
QUESTIONS += ("very " * 100 + "long?", "cafe\u0301?")


@pytest.mark.parametrize(("max_length", "doc_stride"), SIZES)
def test_windows_and_labels_equal_the_slow_reference(
    tokenizer, questions, max_length, doc_stride, monkeypatch
):
    monkeypatch.setattr(features_of_questions, "TOGETHER", 20)  # 45 take three parts
    rng = random.Random(1000 * max_length + doc_stride)
    rows = []
    while len(rows) < 45:
        context = random_passage(rng, most=rng.choice((1, 10, 60, 150)))
        encoded = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
        offsets = encoded["offset_mapping"]
        answers = random_answers(rng, context, offsets) if offsets and rng.random() < 0.85 else []
        rows.append((rng.choice(QUESTIONS), context, *answers))
    dataset = questions(*rows)

    features = prepare_features(dataset, tokenizer, max_length, doc_stride)

    expected = []
    for i, row in enumerate(dataset):
        windows = reference_windows(row, tokenizer, max_length, doc_stride)
        expected += [window | {"example_index": i} for window in windows]
    found = [dict(window) for window in features]
    for window in found:  # in no particular order, but first with first and last with last token
        labels = window.pop("answer_starts"), window.pop("answer_ends")
        window["answer_labels"] = sorted(zip(*labels, strict=True))
    assert found == expected
    assert max(features["length"]) <= max_length
    labelled = sum(position > 0 for position in features["start_positions"])
    assert 10 < labelled < len(features)  # both kinds of windows occur
    if max_length <= 64:
        assert len(features) > len(dataset) + 15


def test_without_labels_the_same_windows_come_back_and_answers_are_not_looked_at(
    tokenizer, questions
):
    dataset = questions(("Who?", "Franz Kafka wrote it in Prague. " * 9, "Kafka"), ("Where?", ""))
    labelled = prepare_features(dataset, tokenizer, 40, 10)
    plain = prepare_features(dataset.remove_columns("answers"), tokenizer, 40, 10, labels=False)
    labels = {"start_positions", "end_positions", "answer_starts", "answer_ends"}
    assert set(labelled.column_names) - set(plain.column_names) == labels
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
    encoded = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
    assert encoded["offset_mapping"].count((50, 51)) == 3
    features = prepare_features(questions(("Which?", context, "한")), tokenizer, 32, 1)
    sizes = [window["token_starts"].count(50) for window in features]
    assert sizes[:2] == [2, 2], "the case is not the one meant"
    assert not any(features["start_positions"])


def test_blanks_around_a_question_change_nothing_even_where_a_tokenizer_counts_them(
    tokenizer, questions
):
    names = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", " ", "Who?", "Kafka")
    inner = Tokenizer(WordLevel({word: i for i, word in enumerate(names)}, unk_token="[UNK]"))
    inner.pre_tokenizer = Split(" ", "isolated")
    inner.post_processor = BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    special = {f"{name.lower()}_token": f"[{name}]" for name in ("UNK", "CLS", "SEP", "PAD")}
    counting = PreTrainedTokenizerFast(tokenizer_object=inner, **special)
    assert counting("  Who?", add_special_tokens=False)["input_ids"] == [4, 4, 5]
    for each in (counting, tokenizer):
        plain, blank = (
            prepare_features(questions((question, "Kafka", "Kafka")), each, 64, 8)[0]
            for question in ("Who?", "  Who? ")
        )
        assert plain == blank


@pytest.mark.parametrize(
    "text", ["한국어는 " * 60, "x" + "값" * 40, "ﷺ" * 30, "x" * 99 + "한" * 60]
)
@pytest.mark.parametrize("max_length", [32, 34, 48])
def test_a_long_question_of_characters_with_several_tokens_still_leaves_the_promised_room(
    tokenizer, questions, text, max_length
):
    limit = max_length // 3
    dataset = questions((text, "one two three " * 30, "two"))
    starts = prepare_features(dataset, tokenizer, max_length, max_length - limit - 4)[
        "token_starts"
    ]
    (length,) = (window.index(0) - 2 for window in starts if 0 in window)
    assert 0 < length <= limit


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
