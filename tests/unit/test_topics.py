"""Topics: splits that do not overlap, inputs that say what they should, scores against scikit-learn, training that learns."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from src.assets import load_passages
from src.embeddings import WordVectors
from src.rnn import KINDS, TextClassifier
from src.runtime import COURSE
from src.text import Vocabulary
from src.topics import (
    MOST_WORDS,
    UNLABELLED,
    TopicData,
    TopicText,
    accuracy,
    confusion_matrix,
    predict,
    predicted_topics,
    probabilities,
    topic_batches,
    train_topics,
    true_topics,
)
from src.training import load_run


@pytest.fixture(scope="module")
def data() -> TopicData:
    return TopicData.load()


@pytest.fixture
def toy() -> TopicData:
    """Two topics that one word tells apart, in vectors of three numbers."""
    vocabulary = Vocabulary(["<pad>", "bird", "song", "the"])
    embeddings = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    texts = [TopicText(f"t{i}", ("the", "bird", "the")[: 2 + i % 2] if i % 2 else ("song", "the", "the"), i % 2) for i in range(40)]
    return TopicData(["Arts", "Birds"], {"train": texts, "development": texts[:10], "test": texts[:20]}, vocabulary, embeddings)


def test_every_labelled_introduction_is_in_one_split_and_no_unlabelled_one_in_any(data: TopicData) -> None:
    titles = [text.title for texts in data.splits.values() for text in texts]
    labelled = {passage.title for passage in load_passages().values() if passage.topic != UNLABELLED}
    assert len(titles) == len(set(titles))
    assert set(titles) == labelled
    assert UNLABELLED not in data.topics and len(data.topics) == 11
    assert {name: round(len(texts) / len(titles), 1) for name, texts in data.splits.items()} == {
        "train": 0.7,
        "development": 0.1,
        "test": 0.2,
    }


def test_a_text_has_its_own_topic_and_its_first_known_words(data: TopicData) -> None:
    passages = load_passages()
    for text in data.splits["test"][::100]:
        assert data.topics[text.topic] == passages[text.title].topic
        assert 0 < len(text.words) <= MOST_WORDS
        plain = passages[text.title].text.lower().replace("’", "'")
        assert all(word in plain for word in text.words[:5])


def test_inputs_are_the_words_own_vectors_and_zeros_on_padding(data: TopicData) -> None:
    wv = WordVectors.load("glove")
    inputs, mask = data.inputs([["violin", "oxygen", "the"], ["queen"]])
    assert mask.tolist() == [[True, True, True], [True, False, False]]
    assert inputs[0, 1].numpy() == pytest.approx(wv["oxygen"], rel=1e-6)
    assert inputs[1, 0].numpy() == pytest.approx(wv["queen"], rel=1e-6)
    assert not inputs[1, 1:].any()


def test_a_pass_of_batches_holds_every_training_text_once_with_its_topic(toy: TopicData) -> None:
    batches = topic_batches(toy, batch_size=8, seed=0)
    seen = [next(batches) for _ in range(5)]
    assert sum(len(topics) for _, _, topics in seen) == 40
    for inputs, mask, topics in seen:
        has_bird = (inputs[:, :, 0].sum(1) > 0).long()
        assert torch.equal(has_bird, topics)
        assert mask.sum(1).min() >= 2


def test_predictions_come_in_the_order_of_the_texts_whatever_the_batches(toy: TopicData) -> None:
    torch.manual_seed(0)
    model = TextClassifier("lstm", 3, 2, D=4)
    texts = [["the"] * (1 + i % 5) + ["bird"] for i in range(23)]
    together, alone = probabilities(model, toy, texts, batch_size=6), [probabilities(model, toy, [text])[0] for text in texts]
    torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=1e-6)
    assert model.training  # as it was before


def test_scores_are_those_of_scikit_learn(toy: TopicData) -> None:
    torch.manual_seed(0)
    model = TextClassifier("rnn", 3, 2, D=4)
    true, taken = true_topics(toy, "test"), predicted_topics(model, toy, "test")
    assert accuracy(model, toy, "test") == accuracy_score(true, taken)
    rng = np.random.default_rng(0)
    true, taken = rng.integers(0, 5, 300), rng.integers(0, 5, 300)
    assert (confusion_matrix(true, taken, 5) == sklearn_confusion(true, taken)).all()


def test_training_learns_what_one_word_tells_and_comes_back_from_disk(
    toy: TopicData, tmp_path: Path, ticking_clock: SimpleNamespace
) -> None:
    torch.manual_seed(0)
    ticking_clock.tick = 0.003
    run = train_topics(TextClassifier("lstm", 3, 2, D=4), toy, minutes=2 / 60, folder=tmp_path / "run", learning_rate=2e-2)
    assert accuracy(run.model, toy, "test") == 1
    assert run.history[-1]["accuracy"] == 1
    again = load_run(tmp_path / "run", TextClassifier)
    assert accuracy(again.model, toy, "test") == 1
    assert next(iter(predict(again.model, toy, "The bird!"))) == "Birds"
    assert next(iter(predict(again.model, toy, "Unknown song"))) == "Arts"
    with pytest.raises(ValueError, match="no word of 'xyzzy'"):
        predict(again.model, toy, "xyzzy")


def test_training_by_passes_takes_the_same_steps_every_time(toy: TopicData) -> None:
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        runs.append(train_topics(TextClassifier("rnn", 3, 2, D=4), toy, passes=3, batch_size=8, seed=1))
    assert [run.history[-1]["step"] for run in runs] == [15, 15]
    assert runs[0].settings["steps"] == 15
    for name, weights in runs[0].model.state_dict().items():
        assert torch.equal(weights, runs[1].model.state_dict()[name])
    with pytest.raises(ValueError, match="give one of them"):
        train_topics(TextClassifier("rnn", 3, 2, D=4), toy, minutes=1, passes=1)


def test_the_released_classifiers_score_what_their_cards_say(data: TopicData) -> None:
    for kind in KINDS:
        released = load_run(COURSE / "weights" / f"topics-{kind}", TextClassifier)
        assert accuracy(released.model, data, "test") == pytest.approx(released.card["scores"]["test_accuracy"], abs=0.002), kind
        assert len(released.card["test_accuracy_by_seed"]) == 3
