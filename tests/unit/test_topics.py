"""Topics: splits that do not overlap, inputs that say what they should, training that learns."""

import pytest
import torch
from sklearn.metrics import accuracy_score

from src.assets import load_passages
from src.embeddings import WordVectors
from src.rnn import TextClassifier
from src.runtime import COURSE
from src.text import Vocabulary, tokenize_words
from src.topics import (
    MOST_WORDS,
    UNLABELLED,
    TopicData,
    TopicText,
    accuracy,
    predict,
    predicted_topics,
    probabilities,
    true_topics,
)
from src.training import load_run
from tools.make_sequences import topic_batches, train_topics


@pytest.fixture(scope="module")
def data() -> TopicData:
    return TopicData.load()


@pytest.fixture
def toy() -> TopicData:
    """Two topics that one word tells apart, in vectors of three numbers."""
    vocabulary = Vocabulary(["<pad>", "bird", "song", "the"])
    embeddings = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    words = (("song", "the", "the"), ("the", "bird", "the"))
    texts = [TopicText(f"t{i}", words[i % 2], i % 2) for i in range(40)]
    splits = {"train": texts, "development": texts[:10], "test": texts[:20]}
    return TopicData(["Arts", "Birds"], splits, vocabulary, embeddings)


def test_every_labelled_introduction_is_in_one_split_with_its_topic_and_first_known_words(data):
    passages, known = load_passages(), WordVectors.load("glove").vocabulary.ids
    titles = [text.title for texts in data.splits.values() for text in texts]
    labelled = {page.title for page in passages.values() if page.topic != UNLABELLED}
    assert len(titles) == len(set(titles)) and set(titles) == labelled
    assert UNLABELLED not in data.topics and len(data.topics) == 11
    shares = {name: round(len(texts) / len(titles), 1) for name, texts in data.splits.items()}
    assert shares == {"train": 0.7, "development": 0.1, "test": 0.2}
    for text in data.splits["test"][::100]:
        passage = passages[text.title]
        assert data.topics[text.topic] == passage.topic
        words = [word for word in tokenize_words(passage.text) if word in known]
        assert list(text.words) == words[:MOST_WORDS]


def test_inputs_are_the_words_own_vectors_and_zeros_on_padding(data):
    wv = WordVectors.load("glove")
    inputs, mask = data.inputs([["violin", "oxygen", "the"], ["queen"]])
    assert mask.tolist() == [[True, True, True], [True, False, False]]
    assert inputs[0, 1].numpy() == pytest.approx(wv["oxygen"], rel=1e-6)
    assert inputs[1, 0].numpy() == pytest.approx(wv["queen"], rel=1e-6)
    assert not inputs[1, 1:].any()


def test_a_pass_of_batches_holds_every_training_text_once_with_its_topic(toy):
    batches = topic_batches(toy, batch_size=8, seed=0)
    seen = [next(batches) for _ in range(5)]
    assert sum(len(topics) for _, _, topics in seen) == 40
    for inputs, mask, topics in seen:
        assert torch.equal((inputs[:, :, 0].sum(1) > 0).long(), topics), "1 where a bird is"
        assert mask.all()


def test_predictions_come_in_the_order_of_the_texts_whatever_the_batches(toy):
    torch.manual_seed(0)
    model = TextClassifier("lstm", 3, 2, D=4)
    texts = [["the"] * (1 + i % 5) + ["bird"] for i in range(23)]
    alone = [probabilities(model, toy, [text])[0] for text in texts]
    together = probabilities(model, toy, texts, tokens=30)
    torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=1e-6)
    expected = accuracy_score(true_topics(toy, "test"), predicted_topics(model, toy, "test"))
    assert accuracy(model, toy, "test") == expected
    assert model.training  # as it was before


def test_training_learns_what_one_word_tells_and_comes_back_from_disk(toy, tmp_path):
    torch.manual_seed(0)
    model, folder = TextClassifier("lstm", 3, 2, D=4), tmp_path / "run"
    run = train_topics(model, toy, passes=100, folder=folder, learning_rate=2e-2)
    assert accuracy(run.model, toy, "test") == 1
    assert run.history[-1]["accuracy"] == 1
    again = load_run(folder, TextClassifier)
    assert accuracy(again.model, toy, "test") == 1
    assert next(iter(predict(again.model, toy, "The bird!"))) == "Birds"
    assert next(iter(predict(again.model, toy, "Unknown song"))) == "Arts"
    with pytest.raises(ValueError, match="no word of 'xyzzy'"):
        predict(again.model, toy, "xyzzy")


def test_training_by_passes_takes_the_same_steps_every_time(toy):
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        model = TextClassifier("rnn", 3, 2, D=4)
        runs.append(train_topics(model, toy, passes=3, batch_size=8, seed=1))
    assert [run.history[-1]["step"] for run in runs] == [15, 15]
    for name, weights in runs[0].model.state_dict().items():
        assert torch.equal(weights, runs[1].model.state_dict()[name])


def test_the_released_classifier_scores_what_its_card_says(data):
    released = load_run(COURSE / "weights" / "topics-lstm", TextClassifier)
    stated = released.card["scores"]["test_accuracy"]
    assert accuracy(released.model, data, "test") == pytest.approx(stated, abs=0.002)
