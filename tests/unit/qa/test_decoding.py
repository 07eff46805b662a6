"""Answers from scores, against the plain search, which looks at every span in two loops."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.qa import metrics
from src.qa.calibration import Scaling
from src.qa.decoding import Answer, best_spans, best_spans_plain, decode
from src.qa.features import prepare_features

PASSAGE_WORDS = "oxygen has atomic number eight cafe\u0301 北京 한국어 हिन्दी กำลังกินที่ "
PASSAGE_WORDS += "🙂 👩‍🔬 1\ufe0f\u20e3 naïve unbelievably , . x\u0301\u0323"


def reference(windows: list[dict], context: str, starts: list, ends: list):
    """All spans, best first, as (start, end, logit), and the logit of "no answer"."""
    best: dict[tuple[int, int], float] = {}
    for window, *logits in zip(windows, starts, ends, strict=True):
        offsets = window["token_starts"], window["token_ends"]
        for span, logit in best_spans_plain(*offsets, context, *logits, n_best=10**6).items():
            best[span] = max(logit, best.get(span, -math.inf))
    ranked = sorted(best, key=lambda span: (-best[span], span[0], span[1]))
    null = min(float(start[0]) + float(end[0]) for start, end in zip(starts, ends, strict=True))
    return [(*span, best[span]) for span in ranked], null


def agree(text: str, other: str) -> bool:
    """Whether one would be right, by half, were the other the answer, and holds its words."""
    one, two = (Counter(metrics.normalize_answer(each).split()) for each in (text, other))
    return one == two or ((one <= two or two <= one) and metrics.f1(text, [other]) >= 0.5)


def softmax(logits: list[float]) -> list[float]:
    """exp(logit) over their sum, one by one."""
    powers = [math.exp(logit - max(logits)) for logit in logits]
    return [power / math.fsum(powers) for power in powers]


def random_logits(rng: np.random.Generator, window: dict, step: float | None) -> np.ndarray:
    """Logits for a window and some padding; the highest are where no answer may be."""
    logits = rng.normal(0, 3, window["length"] + rng.integers(0, 4)).astype(np.float32)
    if step:
        logits = (np.round(logits / step) * step).astype(np.float32)  # many ties
    logits[window["length"] :] = 99
    outside = np.flatnonzero(np.asarray(window["token_starts"]) < 0)
    logits[outside[1:]] = 50
    return logits


@pytest.mark.parametrize(
    ("step", "n_best", "temperature", "offset"),
    [
        (None, 5, 1.0, 0.0),
        (None, 1, 0.5, 1.0),
        (None, 40, 3.0, 0.0),
        (0.5, 5, 1.0, -1.0),
        (2.0, 7, 20.0, 0.0),
        (4.0, 20, 0.1, 0.0),
    ],
)
def test_answers_equal_those_of_the_plain_search(
    tokenizer, questions, step, n_best, temperature, offset
):
    words, rng = random.Random(n_best), np.random.default_rng(n_best)
    rows = []
    for _ in range(20):
        length = words.choice((0, 1, 3, 15, 40, 80))
        pieces = words.choices(PASSAGE_WORDS.split(), k=length)
        passage = "".join(piece + words.choice((" ", " ", "")) for piece in pieces)
        rows.append((words.choice(("Who?", "What is its atomic number, please?")), passage))
    dataset = questions(*rows)
    features = prepare_features(dataset, tokenizer, 32, 8, labels=False)
    starts, ends = ([random_logits(rng, window, step) for window in features] for _ in range(2))

    scaling = Scaling(temperature, offset)
    answers = decode(features, dataset, starts, ends, n_best=n_best, scaling=scaling)

    assert len(answers) == len(dataset)
    several_windows = 0
    for i, (row, answer) in enumerate(zip(dataset, answers, strict=True)):
        mine = [w for w, question in enumerate(features["example_index"]) if question == i]
        several_windows += len(mine) > 1
        logits = ([each[w] for w in mine] for each in (starts, ends))
        spans, null = reference([features[w] for w in mine], row["context"], *logits)
        assert [(c.start, c.end, c.logit) for c in answer.candidates] == spans[:n_best]
        assert all(c.text == row["context"][c.start : c.end] for c in answer.candidates)
        # The 20 best spans share the probability with the null, however many are asked for.
        *shares, null_share = softmax([span[2] for span in spans[:20]] + [null])
        texts = [row["context"][start:end] for start, end, _ in spans[: max(n_best, 20)]]
        wanted = [
            sum(share for other, share in zip(texts, shares, strict=False) if agree(text, other))
            for text in texts[:n_best]
        ]
        scores = [float(scaling(min(support, 1.0))) for support in wanted]
        assert [c.score for c in answer.candidates] == pytest.approx(scores, abs=1e-9)
        assert answer.null_logit == null
        if not spans or wanted[0] < 1 - 1e-9:
            share = null_share / (1 - wanted[0]) if spans else 1.0
            assert answer.null_score == pytest.approx((1 - answer.score) * share, abs=1e-6)
        if spans:
            assert (answer.start, answer.end) == spans[0][:2]
            assert answer.text == row["context"][answer.start : answer.end] != ""
            assert answer.score == answer.candidates[0].score
        else:
            assert answer == Answer("", 0, 0, 0.0, 1.0, (), null) and answer.is_refusal
    assert several_windows > 3 and not all(answer.candidates for answer in answers)


@pytest.fixture
def decoded(tokenizer, questions):
    """decoded(context, starts, ends): the answer, where logits are 0 but at these positions.

    The question is "Who?", so the passage begins at position 4: [CLS] who ? [SEP].
    """

    def decoded(context: str, starts: dict, ends: dict, **settings) -> Answer:
        dataset = questions(("Who?", context))
        features = prepare_features(dataset, tokenizer, 64, 8, labels=False)
        logits = [
            [np.array([values.get(i, 0.0) for i in range(length)]) for length in features["length"]]
            for values in (starts, ends)
        ]
        (answer,) = decode(features, dataset, *logits, **settings)
        return answer

    return decoded


def test_the_best_span_is_answered_and_everything_about_it_fits(decoded):
    answer = decoded("Oxygen has atomic number 8.", {6: 3.0}, {8: 2.0})
    assert (answer.text, answer.start, answer.end) == ("atomic number 8", 11, 26)
    assert not answer.is_refusal


def test_scores_of_a_passage_of_two_words_worked_out_by_hand(decoded):
    logits = {0: 0.5, 4: 1.0, 5: 2.0}, {0: 0.5, 4: 0.0, 5: 1.0}
    answer = decoded("London Paris", *logits)
    # paris 2 + 1, london paris 1 + 1, london 1 + 0, null 0.5 + 0.5
    found = [(c.text, c.logit) for c in answer.candidates]
    assert found == [("Paris", 3), ("London Paris", 2), ("London", 1)]
    whole = math.exp(3) + math.exp(2) + math.exp(1) + math.exp(1)
    paris, both, london, null = (math.exp(logit) / whole for logit in (3, 2, 1, 1))
    # "London Paris" shares half of its words with either; they share none.
    expected = [paris + both, paris + both + london, london + both]
    assert [c.score for c in answer.candidates] == pytest.approx(expected)
    assert (answer.score, answer.null_score) == pytest.approx((expected[0], null))
    scaled = decoded("London Paris", *logits, scaling=Scaling(2.0, 0.5))
    odds = math.sqrt(expected[0] / (1 - expected[0])) * math.exp(0.5)
    assert scaled.score == pytest.approx(odds / (1 + odds))
    # What is not the answer's is shared as before between the others and none.
    assert scaled.null_score == pytest.approx(null / (1 - expected[0]) / (1 + odds))


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


def test_of_equal_scores_the_earlier_then_the_shorter_span_wins(decoded):
    answer = decoded("one two three four", {}, {}, n_best=7)
    assert len(decoded("one two three four", {}, {}).candidates) == 5
    assert [candidate.text for candidate in answer.candidates] == [
        *("one", "one two", "one two three", "one two three four"),
        *("two", "two three", "two three four"),
    ]


def test_no_answer_takes_the_lowest_cls_score_over_the_windows(tokenizer, questions):
    dataset = questions(("Who?", "word " * 60))
    features = prepare_features(dataset, tokenizer, 32, 10, labels=False)
    logits = [np.zeros(length) for length in features["length"]]
    for row, of_cls in zip(logits, (9.0, 4.0, 6.0), strict=False):
        row[0] = of_cls
    logits[-1][0] = 8.0
    assert len(logits) > 2
    (answer,) = decode(features, dataset, logits, logits)
    # Twenty spans of logit 0.
    assert answer.null_logit == 8
    assert answer.null_score == pytest.approx(1 / (1 + 20 * math.exp(-8)))


@pytest.mark.parametrize("context", ["", "   ", "\u200b"])
def test_a_passage_without_tokens_is_a_refusal_with_score_zero(decoded, context):
    answer = decoded(context, {}, {})
    assert answer == Answer("", 0, 0, 0.0, 1.0) and answer.is_refusal


def test_the_threshold_is_the_lowest_score_that_is_answered(decoded):
    logits = {4: 0.5}, {4: 0.5}
    exact = decoded("Prague", *logits)
    # One word, so one span: logit 1 against a null of 0.
    assert exact.score == pytest.approx(1 / (1 + math.exp(-1)))
    assert decoded("Prague", *logits, threshold=exact.score).text == "Prague"
    refusal = decoded("Prague", *logits, threshold=np.nextafter(exact.score, 1))
    assert (refusal.text, refusal.start, refusal.end, refusal.is_refusal) == ("", 0, 0, True)
    # What would have been said is not lost.
    assert (refusal.score, refusal.candidates) == (exact.score, exact.candidates)


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
def test_accents_and_marks_stay_with_their_letter(decoded, context, answer):
    assert decoded(context, {5: 5.0}, {5: 5.0}).text == answer


@pytest.mark.parametrize(("logit", "score"), [(1e6, 1.0), (-1e6, 0.0)])
def test_very_large_scores_do_not_overflow(decoded, logit, score):
    with np.errstate(all="raise", under="ignore"):
        answer = decoded("Prague", {4: logit}, {4: logit}, scaling=Scaling(0.01))
    assert (answer.score, answer.null_score) == (score, 1 - score)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_numbers_are_an_error_that_blames_the_model(
    tokenizer, questions, number
):
    dataset = questions(("Who?", "Prague"))
    features = prepare_features(dataset, tokenizer, 64, 8, labels=False)
    whole = np.zeros(features[0]["length"])
    for place in range(len(whole)):
        broken = whole.copy()
        broken[place] = number
        for pair in (([broken], [whole]), ([whole], [broken])):
            with pytest.raises(
                ValueError, match=r"logits that are not numbers .* so it is damaged"
            ):
                decode(features, dataset, *pair)
    padded = [np.append(whole, number)]  # beyond the window nobody looks
    assert decode(features, dataset, padded, padded)[0].text == "Prague"


def test_logits_for_fewer_windows_than_there_are_are_an_error(tokenizer, questions):
    dataset = questions(("Who?", "Prague"), ("Who?", "Kafka"))
    features = prepare_features(dataset, tokenizer, 64, 8, labels=False)
    logits = [np.zeros(length) for length in features["length"]]
    with pytest.raises(ValueError, match="shorter"):
        decode(features, dataset, logits, logits[:1])


def test_a_threshold_that_is_none_is_an_error(decoded):
    with pytest.raises(ValueError, match="threshold is "):
        decoded("Prague", {}, {}, threshold=math.nan)
