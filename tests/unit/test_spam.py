"""The spam filters: the learned one is what torch's gradients and scikit-learn find."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import metrics
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from src.spam import (
    Message,
    chance_of_luck,
    count_errors,
    count_words,
    cross_validate,
    load_messages,
    log_loss,
    matching_rules,
    rules_filter,
    sigmoid,
    train_filter,
    without_addresses,
)
from src.text import Vocabulary, tokenize_words

MESSAGES = [
    Message("Win a free prize now", True),
    Message("free cash, free prize", True),
    Message("see you on Sunday", False),
    Message("tea on Sunday, see you now", False),
    Message("a prize for the best tea", False),
]
TEXTS = [message.text for message in MESSAGES]


def test_the_splits_hold_what_their_readme_says_and_no_message_is_in_two():
    texts = []
    for split, *counts in (("train", 126, 154), ("validation", 18, 22), ("test", 36, 44)):
        messages = load_messages(split)
        assert [sum(m.is_spam == kind for m in messages) for kind in (True, False)] == counts
        texts += [message.text for message in messages]
    assert len(set(texts)) == len(texts) == 400 and all(text.strip() for text in texts)
    with pytest.raises(ValueError, match=r"no split 'dev'.*train, validation, test"):
        load_messages("dev")


def test_both_kinds_of_error_are_counted_apart():
    assert count_errors(lambda text: True, MESSAGES).false_alarms == 3
    assert count_errors(lambda text: False, MESSAGES).missed == 2
    errors = count_errors(lambda text: "prize" in text, MESSAGES)
    assert (errors.false_alarms, errors.missed, errors.wrong, errors.total) == (1, 0, 1, 5)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("You have won!", ["promises a prize"]),
        ("See you at wonderland", []),
        ("Look at flirt.example.com", ["has a link"]),
        ("STOP that", ["shouts"]),
        ("Y0u h4ve it", ["hides letters behind digits"]),
        ("the B14 gate and week 4", []),
        ("It costs 3.50", ["names a price"]),
        ("call 555-0101", ["asks to text or call"]),
        ("last chance, no deposit", ["costs nothing", "is in a hurry"]),
    ],
)
def test_each_rule_matches_its_sign_and_two_make_spam(text, rules):
    assert matching_rules(text) == rules
    assert rules_filter(text) == (len(rules) >= 2)


@given(st.floats(-1000, 1000))
def test_the_sigmoid_is_scipys_and_never_overflows(score):
    with np.errstate(over="raise"):
        assert sigmoid(np.array(score)) == pytest.approx(expit(score), abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.999)), min_size=1, max_size=20))
def test_the_loss_is_scikit_learns_and_finite_for_a_certain_error(rows):
    truth, probs = (np.array(column) for column in zip(*rows, strict=True))
    expected = metrics.log_loss(truth, probs, labels=[False, True])
    assert log_loss(truth, probs) == pytest.approx(expected)
    assert 100 < log_loss(np.array([True]), np.array([0.0])) < np.inf


def test_counts_are_scikit_learns_and_repeated_words_count_twice():
    vocabulary = Vocabulary.from_sentences(map(tokenize_words, TEXTS))
    library = CountVectorizer(
        tokenizer=tokenize_words, token_pattern=None, lowercase=False, vocabulary=vocabulary.ids
    )
    assert (count_words(TEXTS, vocabulary) == library.transform(TEXTS).toarray()).all()
    assert count_words(["free free unheard"], vocabulary)[0].sum() == 2


def test_each_epoch_is_the_step_that_torchs_gradients_say():
    settings = {"epochs": 3, "learning_rate": 0.3, "decay": 0.7, "min_count": 1}
    learned, history = train_filter(MESSAGES, **settings)
    counts = torch.tensor(count_words(TEXTS, learned.vocabulary))
    truth = torch.tensor([float(m.is_spam) for m in MESSAGES], dtype=torch.float64)
    weights = torch.zeros(counts.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    for entry in history:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(counts @ weights + bias, truth)
        assert entry["loss"] == pytest.approx(loss.item())
        (loss + 0.7 / 2 * (weights**2).sum() / len(truth)).backward()
        with torch.no_grad():
            for parameter in (weights, bias):
                parameter -= 0.3 * parameter.grad
                parameter.grad = None
    np.testing.assert_allclose(learned.weights, weights.detach(), atol=1e-12)
    assert learned.bias == pytest.approx(bias.item(), abs=1e-12)
    assert [entry["epoch"] for entry in history] == [1, 2, 3]


def test_in_the_end_it_is_scikit_learns_logistic_regression():
    train, test = load_messages("train"), [message.text for message in load_messages("test")]
    learned, history = train_filter(train, epochs=3000)
    counts = count_words([message.text for message in train], learned.vocabulary)
    library = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000)
    library.fit(counts, [message.is_spam for message in train])
    np.testing.assert_allclose(learned.weights, library.coef_[0], atol=1e-3)
    assert learned.bias == pytest.approx(library.intercept_[0], abs=1e-3)
    assert history[0]["loss"] == pytest.approx(np.log(2)) and history[-1]["loss"] < 0.2
    verdicts = library.predict(count_words(test, learned.vocabulary))
    assert [learned(text) for text in test] == list(verdicts)


def test_bias_and_weights_of_words_are_told_and_add_up_to_the_probability():
    learned, _ = train_filter(MESSAGES, epochs=50, min_count=1)
    text = "Free tea, free umbrella!"
    parts = learned.contributions(text)
    assert [word for word, _ in parts] == ["bias", "free", "tea", "free", "umbrella"]
    assert parts[4][1] == 0
    assert learned.probability(text) == pytest.approx(expit(sum(number for _, number in parts)))
    for_spam, against = learned.strongest(2)
    rising = sorted(learned.weights)
    assert list(for_spam.values()) == rising[:-3:-1] and list(against.values()) == rising[:2]


def test_addresses_and_telephone_numbers_go_and_nothing_else_does():
    text = "Write to amos@hill.example.org (or x.example.net/9f), ring 555-0114 at 5.55."
    bare = without_addresses([Message(text, True), *load_messages("train")])
    assert bare[0] == Message("Write to  (or  ring  at 5.55.", True)
    assert not any(sign in one.text for one in bare for sign in (".example", "555-"))


def test_cross_validation_judges_a_message_by_filters_that_never_saw_it():
    own = [Message(f"name{i} name{i}", i % 2 == 0) for i in range(12)]
    told = [Message(f"{m.text} {'prize' if m.is_spam else 'tea'}", m.is_spam) for m in own]
    assert count_errors(train_filter(own, epochs=300)[0], own).wrong == 0
    assert cross_validate(own, own, parts=12)[0].sum() <= 6
    right, otherwise = cross_validate(told, told, own, parts=4, seed=1)
    assert right.all() and otherwise.sum() <= 6


def test_luck_is_the_sign_test_on_what_only_one_has_right():
    right, other = [True] * 8 + [False] * 6, [True] * 2 + [False] * 6 + [True, True] + [False] * 4
    first, second, luck = chance_of_luck(right, other)
    assert (first, second) == (6, 2)
    assert luck == pytest.approx(2 * sum(math.comb(8, k) for k in (0, 1, 2)) / 2**8)
    assert chance_of_luck(right, right) == (0, 0, 1.0)
