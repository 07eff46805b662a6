"""The spam filters: the data are what their README says, the learned filter is what torch's gradients and scikit-learn find."""

from __future__ import annotations

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
    RULES,
    RULES_NEEDED,
    Message,
    count_errors,
    count_words,
    load_messages,
    log_loss,
    matching_rules,
    rules_filter,
    sigmoid,
    train_filter,
)
from src.text import Vocabulary, tokenize_words

MESSAGES = [
    Message("Win a free prize now", True),
    Message("free cash, free prize", True),
    Message("see you on Sunday", False),
    Message("tea on Sunday, see you now", False),
    Message("a prize for the best tea", False),
]


# --- data ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "spam", "ham"), [("train", 126, 154), ("validation", 18, 22), ("test", 36, 44)])
def test_the_splits_hold_what_their_readme_says(split, spam, ham):
    messages = load_messages(split)
    assert [sum(message.is_spam == kind for message in messages) for kind in (True, False)] == [spam, ham]
    assert all(message.text.strip() for message in messages)


def test_no_message_is_in_two_splits():
    texts = [message.text for split in ("train", "validation", "test") for message in load_messages(split)]
    assert len(set(texts)) == len(texts) == 400


def test_another_split_is_refused_by_name():
    with pytest.raises(ValueError, match=r"no split 'dev'.*train, validation, test"):
        load_messages("dev")


# --- errors --------------------------------------------------------------------------------------------------------------


def test_both_kinds_of_error_are_counted_apart():
    assert count_errors(lambda text: True, MESSAGES).false_alarms == 3
    assert count_errors(lambda text: False, MESSAGES).missed == 2
    errors = count_errors(lambda text: "prize" in text, MESSAGES)
    assert (errors.false_alarms, errors.missed, errors.total) == (1, 0, 5)
    assert errors.accuracy == pytest.approx(0.8)
    with pytest.raises(ValueError, match="no messages"):
        count_errors(lambda text: True, [])


# --- rules ---------------------------------------------------------------------------------------------------------------


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
    ],
)
def test_each_rule_fits_its_sign_and_not_its_neighbours(text, rules):
    assert matching_rules(text) == rules


def test_one_sign_is_not_enough_and_two_are():
    assert RULES_NEEDED == 2
    assert not rules_filter("You have won!") and rules_filter("You have won 3.50!")


def test_every_rule_hits_some_training_spam_and_more_of_it_than_ham():
    train = load_messages("train")
    for name in RULES:
        spam = sum(name in matching_rules(message.text) for message in train if message.is_spam)
        ham = sum(name in matching_rules(message.text) for message in train if not message.is_spam)
        assert spam / 126 > ham / 154, f"{name!r} says nothing"


def test_the_rules_are_better_than_calling_nothing_spam_on_every_split():
    for split in ("train", "validation", "test"):
        messages = load_messages(split)
        errors, lazy = count_errors(rules_filter, messages), count_errors(lambda text: False, messages)
        assert errors.accuracy > lazy.accuracy


# --- the learned filter --------------------------------------------------------------------------------------------------


@given(st.floats(-1000, 1000))
def test_the_sigmoid_is_scipys_and_never_overflows(score):
    with np.errstate(over="raise"):
        assert sigmoid(np.array(score)) == pytest.approx(expit(score), abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.999)), min_size=1, max_size=20))
def test_the_loss_is_scikit_learns(rows):
    truth, probabilities = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    assert log_loss(truth, probabilities) == pytest.approx(metrics.log_loss(truth, probabilities, labels=[False, True]))


def test_the_loss_of_a_certain_error_is_large_and_finite():
    assert 100 < log_loss(np.array([True]), np.array([0.0])) < np.inf


def test_counts_are_scikit_learns_and_repeated_words_count_twice():
    texts = [message.text for message in MESSAGES]
    vocabulary = Vocabulary.from_sentences(map(tokenize_words, texts))
    library = CountVectorizer(tokenizer=tokenize_words, token_pattern=None, lowercase=False, vocabulary=vocabulary.ids)
    assert (count_words(texts, vocabulary) == library.transform(texts).toarray()).all()
    assert count_words(["free free unheard"], vocabulary)[0].sum() == 2


def test_each_epoch_is_the_step_that_torchs_gradients_say():
    learned, history = train_filter(MESSAGES, epochs=3, learning_rate=0.3, decay=0.7, min_count=1)
    counts = torch.tensor(count_words([message.text for message in MESSAGES], learned.vocabulary))
    truth = torch.tensor([float(message.is_spam) for message in MESSAGES], dtype=torch.float64)
    weights = torch.zeros(counts.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    losses = []
    for _ in range(3):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(counts @ weights + bias, truth)
        losses.append(loss.item())
        (loss + 0.7 / 2 * (weights**2).sum() / len(truth)).backward()
        with torch.no_grad():
            for parameter in (weights, bias):
                parameter -= 0.3 * parameter.grad
                parameter.grad = None
    np.testing.assert_allclose(learned.weights, weights.detach(), atol=1e-12)
    assert learned.bias == pytest.approx(bias.item(), abs=1e-12)
    assert [entry["loss"] for entry in history] == pytest.approx(losses) and [entry["epoch"] for entry in history] == [1, 2, 3]


def test_in_the_end_it_is_scikit_learns_logistic_regression():
    train = load_messages("train")
    learned, history = train_filter(train)
    counts = count_words([message.text for message in train], learned.vocabulary)
    library = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(counts, [message.is_spam for message in train])
    np.testing.assert_allclose(learned.weights, library.coef_[0], atol=1e-3)
    assert learned.bias == pytest.approx(library.intercept_[0], abs=1e-3)
    assert history[0]["loss"] == pytest.approx(np.log(2)) and history[-1]["loss"] < 0.2
    verdicts = library.predict(count_words([message.text for message in load_messages("test")], learned.vocabulary))
    assert [learned(message.text) for message in load_messages("test")] == list(verdicts)


def test_words_of_a_message_come_with_their_weights_and_add_up_to_its_probability():
    learned, _ = train_filter(MESSAGES, epochs=50, min_count=1)
    words = learned.word_weights("Free tea, free umbrella!")
    assert [word for word, _ in words] == ["free", "tea", "free", "umbrella"] and words[3][1] == 0
    assert learned.probability("Free tea, free umbrella!") == pytest.approx(expit(sum(weight for _, weight in words) + learned.bias))
    assert learned.probability("free prize") > 0.5 > learned.probability("tea on Sunday")


def test_the_strongest_words_are_those_with_the_largest_and_smallest_weights():
    learned, _ = train_filter(MESSAGES, epochs=50, min_count=1)
    for_spam, against = learned.strongest(2)
    ranked = sorted(zip(learned.vocabulary.words, learned.weights, strict=True), key=lambda pair: pair[1])
    assert list(for_spam.values()) == pytest.approx([ranked[-1][1], ranked[-2][1]])
    assert list(against.values()) == pytest.approx([ranked[0][1], ranked[1][1]])
