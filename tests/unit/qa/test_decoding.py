"""Answers from scores, against a slow reference that looks at every span in two plain loops."""

from __future__ import annotations

import math
import random
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.qa.decoding import best_spans, best_spans_plain, decode
from src.qa.features import prepare_features

PASSAGE_WORDS = "oxygen has atomic number eight cafe\u0301 北京 한국어 हिन्दी กำลังกินที่ "
PASSAGE_WORDS += "🙂 👩‍🔬 1\ufe0f\u20e3 naïve unbelievably , . x\u0301\u0323"


def reference(
    window_rows: list[dict],
    context: str,
    starts: list,
    ends: list,
    n_best: int,
    max_answer_tokens: int,
):
    """The n best spans, as (start, end, logit), and the logit of "no answer" of one question."""
    best: dict[tuple[int, int], float] = {}
    for window, start_logits, end_logits in zip(window_rows, starts, ends, strict=True):
        for i in range(window["length"]):
            for j in range(i, window["length"]):
                if (
                    j - i + 1 > max_answer_tokens
                    or window["token_starts"][i] < 0
                    or window["token_starts"][j] < 0
                ):
                    continue
                end = window["token_ends"][j]
                while end < len(context) and (
                    unicodedata.category(context[end]) in ("Mn", "Mc", "Me")
                    or context[end] == "\u200d"
                ):
                    end += 1
                span = (window["token_starts"][i], end)
                logit = float(start_logits[i]) + float(end_logits[j])
                if span not in best or best[span] < logit:
                    best[span] = logit
    ranked = sorted(best, key=lambda span: (-best[span], span[0], span[1]))[:n_best]
    null = min(
        float(start_logits[0]) + float(end_logits[0])
        for start_logits, end_logits in zip(starts, ends, strict=True)
    )
    return [(*span, best[span]) for span in ranked], null


def softmax(logits: list[float], temperature: float) -> list[float]:
    """exp(logit / temperature) over their sum, one by one."""
    highest = max(logits)
    powers = [math.exp((logit - highest) / temperature) for logit in logits]
    return [power / math.fsum(powers) for power in powers]


def random_logits(rng: np.random.Generator, window: dict, step: float | None) -> np.ndarray:
    """Logits for a window and some padding; the highest are where no answer may be."""
    logits = rng.normal(0, 3, window["length"] + rng.integers(0, 4)).astype(np.float32)
    if step:
        logits = (np.round(logits / step) * step).astype(np.float32)  # many ties
    logits[window["length"] :] = 99
    special = np.asarray(window["token_starts"]) < 0
    special[0] = False
    logits[: window["length"]][special] = 50
    return logits


@pytest.mark.parametrize(
    ("step", "n_best", "max_answer_tokens", "temperature"),
    [
        *(
            (None, 5, 30, 1.0),
            (None, 1, 4, 0.5),
            (None, 40, 12, 3.0),
            (0.5, 5, 8, 1.0),
            (2.0, 7, 30, 20.0),
            (4.0, 20, 3, 1.0),
        ),
        (1.0, 3, 1, 0.1),
    ],
)
def test_answers_equal_those_of_two_plain_loops(
    tokenizer, questions, step, n_best, max_answer_tokens, temperature
):
    seed = n_best * 100 + max_answer_tokens
    words, rng = random.Random(seed), np.random.default_rng(seed)
    vocabulary = PASSAGE_WORDS.split()
    rows = []
    for _ in range(20):
        passage = "".join(
            words.choice(vocabulary) + words.choice((" ", " ", ""))
            for _ in range(words.choice((0, 1, 3, 15, 40, 80)))
        )
        rows.append(
            (words.choice(("Who?", "What is the atomic number of oxygen, please?")), passage)
        )
    dataset = questions(*rows)
    features = prepare_features(dataset, tokenizer, 32, 8, labels=False)
    starts, ends = ([random_logits(rng, window, step) for window in features] for _ in range(2))

    answers = decode(
        features,
        dataset,
        starts,
        ends,
        n_best=n_best,
        max_answer_tokens=max_answer_tokens,
        temperature=temperature,
    )

    assert len(answers) == len(dataset)
    several_windows = 0
    for i, (row, answer) in enumerate(zip(dataset, answers, strict=True)):
        mine = [w for w, question in enumerate(features["example_index"]) if question == i]
        several_windows += len(mine) > 1
        windows = [features[w] for w in mine]
        mine_logits = ([logits[w] for w in mine] for logits in (starts, ends))
        all_spans, null = reference(windows, row["context"], *mine_logits, 10**6, max_answer_tokens)
        expected = all_spans[:n_best]
        assert [(c.start, c.end, c.logit) for c in answer.candidates] == expected
        assert all(c.text == row["context"][c.start : c.end] for c in answer.candidates)
        # The 20 best spans share the probability with the null, however many are asked for.
        *scores, null_score = softmax(
            [logit for _, _, logit in all_spans[:20]] + [null], temperature
        )
        assert [c.score for c in answer.candidates][:20] == pytest.approx(scores[:n_best], rel=1e-9)
        assert all(0 <= c.score <= scores[-1] for c in answer.candidates[20:])
        assert (answer.null_score, answer.null_logit) == (pytest.approx(null_score, rel=1e-9), null)
        if expected:
            assert (answer.start, answer.end) == expected[0][:2]
            assert answer.text == row["context"][answer.start : answer.end] != ""
            assert answer.score == answer.candidates[0].score
        else:
            assert (answer.text, answer.start, answer.end, answer.score) == ("", 0, 0, 0)
    assert several_windows > 3 and not all(answer.candidates for answer in answers)


def scores(features, values: dict[int, float], rest: float = 0.0) -> list[np.ndarray]:
    """The same logits for every window: `values` at some positions, `rest` at all others."""
    return [
        np.array([values.get(i, rest) for i in range(length)], dtype=np.float32)
        for length in features["length"]
    ]


def test_the_best_span_is_answered_and_everything_about_it_fits(tokenizer, questions):
    dataset = questions(("Which number?", "Oxygen has atomic number 8."))
    features = prepare_features(
        dataset, tokenizer, 64, 8, labels=False
    )  # [CLS] which number ? [SEP] oxygen has atomic number 8 . [SEP]
    (answer,) = decode(features, dataset, scores(features, {7: 3.0}), scores(features, {9: 2.0}))
    assert (answer.text, answer.start, answer.end) == ("atomic number 8", 11, 26)
    assert not answer.is_refusal


def test_scores_of_a_passage_of_two_words_worked_out_by_hand(tokenizer, questions):
    dataset = questions(("Who?", "London Paris"))
    features = prepare_features(
        dataset, tokenizer, 64, 8, labels=False
    )  # [CLS] who ? [SEP] london paris [SEP]
    starts, ends = (
        scores(features, {0: 0.5, 4: 1.0, 5: 2.0}),
        scores(features, {0: 0.5, 4: 0.0, 5: 1.0}),
    )
    # paris 2 + 1, london paris 1 + 1, london 1 + 0, null 0.5 + 0.5
    whole = math.exp(3) + math.exp(2) + math.exp(1) + math.exp(1)
    (answer,) = decode(features, dataset, starts, ends)
    assert [(c.text, c.logit) for c in answer.candidates] == [
        ("Paris", 3),
        ("London Paris", 2),
        ("London", 1),
    ]
    assert [c.score for c in answer.candidates] == pytest.approx(
        [math.exp(3) / whole, math.exp(2) / whole, math.exp(1) / whole]
    )
    assert (answer.score, answer.null_score) == pytest.approx(
        (math.exp(3) / whole, math.exp(1) / whole)
    )
    (warm,) = decode(features, dataset, starts, ends, temperature=2.0)
    assert warm.score == pytest.approx(
        math.exp(1.5) / (math.exp(1.5) + math.exp(1) + 2 * math.exp(0.5))
    )


@st.composite
def windows(draw) -> tuple:
    """One window: tokens that may share a character or have an accent behind them, logits."""
    before, words = draw(st.integers(1, 5)), draw(st.integers(0, 12))
    letters = draw(
        st.lists(st.sampled_from(["a", "한", "e\u0301", "x\u200d"]), min_size=words, max_size=words)
    )
    starts, ends, context = [-1] * before, [-1] * before, ""
    for letter in letters:
        for _ in range(draw(st.integers(1, 3))):  # tokens of one character
            starts.append(len(context))
            ends.append(len(context) + 1)
        context += letter + draw(st.sampled_from(["", " "]))
    starts.append(-1)
    ends.append(-1)
    logits = st.lists(
        st.integers(-3, 3).map(float) | st.floats(-30, 30, width=32),
        min_size=len(starts),
        max_size=len(starts),
    )
    return (
        starts,
        ends,
        context,
        np.array(draw(logits), dtype=np.float32),
        np.array(draw(logits), dtype=np.float32),
    )


@given(window=windows(), n_best=st.integers(1, 25), max_answer_tokens=st.integers(1, 12))
def test_the_fast_search_finds_what_the_plain_one_finds_in_the_same_order(
    window, n_best, max_answer_tokens
):
    fast, plain = (
        search(*window, n_best, max_answer_tokens) for search in (best_spans, best_spans_plain)
    )
    assert list(fast.items()) == list(plain.items())


def test_of_equal_scores_the_earlier_then_the_shorter_span_wins(tokenizer, questions):
    dataset = questions(("Who?", "one two three four"))
    features = prepare_features(dataset, tokenizer, 64, 8, labels=False)
    (answer,) = decode(features, dataset, scores(features, {}), scores(features, {}), n_best=7)
    assert [candidate.text for candidate in answer.candidates] == [
        *("one", "one two", "one two three", "one two three four"),
        *("two", "two three", "two three four"),
    ]


def test_no_answer_takes_the_lowest_cls_score_over_the_windows(tokenizer, questions):
    dataset = questions(("Who?", "word " * 60))
    features = prepare_features(dataset, tokenizer, 32, 10, labels=False)
    starts, ends = scores(features, {0: 9.0}), scores(features, {0: 9.0})
    (unsure,) = decode(features, dataset, starts, ends)
    assert unsure.null_logit == 18 and unsure.null_score == pytest.approx(
        1 / (1 + 20 * math.exp(-18))
    )  # twenty spans of logit 0
    starts[1][0] = -1.0
    (surer,) = decode(features, dataset, starts, ends)
    assert surer.null_logit == 8 and surer.null_score == pytest.approx(1 / (1 + 20 * math.exp(-8)))


@pytest.mark.parametrize("context", ["", "   ", "\u200b"])
def test_a_passage_without_tokens_is_a_refusal_with_score_zero(tokenizer, questions, context):
    dataset = questions(("Who?", context), ("Who?", "Prague"))
    features = prepare_features(dataset, tokenizer, 64, 8, labels=False)
    refusal, answer = decode(features, dataset, scores(features, {}), scores(features, {}))
    assert (refusal.text, refusal.start, refusal.end, refusal.score, refusal.null_score) == (
        "",
        0,
        0,
        0,
        1,
    )
    assert refusal.is_refusal and refusal.candidates == ()
    assert answer.text == "Prague"


def test_the_threshold_is_the_lowest_score_that_is_answered(tokenizer, questions):
    dataset = questions(("Who?", "Prague"))
    features = prepare_features(dataset, tokenizer, 64, 8, labels=False)
    logits = scores(features, {4: 0.5})
    score = 1 / (1 + math.exp(-1))  # one word, so one span: logit 1 against a null of 0
    (exact,) = decode(features, dataset, logits, logits)
    assert exact.score == pytest.approx(score)
    assert decode(features, dataset, logits, logits, threshold=exact.score)[0].text == "Prague"
    (refusal,) = decode(features, dataset, logits, logits, threshold=np.nextafter(exact.score, 1))
    assert (refusal.text, refusal.start, refusal.end, refusal.is_refusal) == ("", 0, 0, True)
    assert (
        refusal.score == exact.score and refusal.candidates == exact.candidates
    )  # what would have been said is not lost


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("il cafe\u0301 bar", "cafe\u0301"),
        ("es x\u0301\u0323 nach", "x\u0301\u0323"),
        ("say हि now", "हि"),  # a vowel sign of combining class 0
        ("say ที่ now", "ที่"),
        ("key 1\ufe0f\u20e3 now", "1\ufe0f\u20e3"),
        ("love ❤\ufe0f now", "❤\ufe0f"),
    ],
)
def test_accents_and_marks_stay_with_their_letter(tokenizer, questions, context, answer):
    dataset = questions(("Which?", context))
    features = prepare_features(dataset, tokenizer, 64, 8, labels=False)
    spot = features[0]["token_starts"].index(context.index(answer))
    logits = scores(features, {spot: 5.0})
    assert decode(features, dataset, logits, logits)[0].text == answer


def test_very_large_scores_do_not_overflow(tokenizer, questions):
    dataset = questions(("Who?", "Prague"))
    features = prepare_features(dataset, tokenizer, 64, 8, labels=False)
    for logit, score in ((1e6, 1.0), (-1e6, 0.0)):
        with np.errstate(all="raise", under="ignore"):
            (answer,) = decode(
                features,
                dataset,
                scores(features, {4: logit}),
                scores(features, {4: logit}),
                temperature=0.01,
            )
            assert (answer.score, answer.null_score) == (score, 1 - score)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_numbers_are_an_error_that_blames_the_model(
    tokenizer, questions, number
):
    dataset = questions(("Who?", "Prague"))
    features = prepare_features(dataset, tokenizer, 64, 8, labels=False)
    whole = scores(features, {4: 1.0})
    for place in range(len(whole[0])):
        broken = scores(features, {place: number})
        for pair in ((broken, whole), (whole, broken)):
            with pytest.raises(
                ValueError, match=r"logits that are not numbers .* so it is damaged"
            ):
                decode(features, dataset, *pair)
    padded = [np.append(logits, number) for logits in whole]  # beyond the window nobody looks
    assert decode(features, dataset, padded, padded)[0].text == "Prague"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("threshold", value) for value in (math.nan, -0.01, 1.01, math.inf, "0.5", True)),
        *(("temperature", value) for value in (math.nan, 0, -1.0, math.inf, "1")),
    ],
)
def test_a_threshold_or_temperature_that_is_none_is_an_error(tokenizer, questions, setting, value):
    dataset = questions(("Who?", "Prague"))
    features = prepare_features(dataset, tokenizer, 64, 8, labels=False)
    with pytest.raises(ValueError, match=f"{setting} is "):
        decode(features, dataset, scores(features, {}), scores(features, {}), **{setting: value})
