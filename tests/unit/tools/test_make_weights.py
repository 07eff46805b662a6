"""The released weights are the mean of runs that share a start."""

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering

from src import assets
from src.qa import QuestionAnswerer, evaluate, load_squad
from src.qa.dataset import answerable_only
from src.qa.models import ModelError
from tools.make_weights import mean_of_models, scores_of
from tools.reader_data import select_articles


def save_reader(folder: Path, width: int, seed: int) -> dict[str, np.ndarray]:
    """A random reader of that width in `folder`; returns its weights."""
    torch.manual_seed(seed)
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForQuestionAnswering(BertConfig(hidden_size=width, **sizes))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(assets.path("minilm")).save_pretrained(folder)
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def test_the_mean_of_models_is_the_mean_of_every_weight_and_needs_one_shape(tmp_path):
    stored = [save_reader(tmp_path / str(seed), 8, seed) for seed in range(3)]
    mean, tokenizer = mean_of_models([tmp_path / str(seed) for seed in range(3)])
    for name, tensor in mean.state_dict().items():
        expected = np.mean([state[name] for state in stored], axis=0)
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=0, atol=1e-6)
    assert not mean.training and tokenizer.vocab_size > 0
    save_reader(tmp_path / "other", 16, 0)
    with pytest.raises(ModelError, match=f"{tmp_path / 'other'} has other weights"):
        mean_of_models([tmp_path / "0", tmp_path / "other"])


def test_articles_are_selected_in_the_order_of_the_file_with_all_their_questions():
    rows = [(title, number) for number, title in enumerate(["Zebra", "Ant", "Zebra", "Bee", "Ant"])]
    dataset = Dataset.from_list([{"title": title, "id": str(number)} for title, number in rows])
    assert select_articles(dataset, slice(0, 2))["id"][:] == ["0", "1", "2", "4"]
    assert select_articles(dataset, slice(2, 9))["id"][:] == ["3"]


def test_a_card_says_what_the_threshold_costs_where_some_questions_have_no_answer():
    qa = QuestionAnswerer.load("qa-student")
    some = load_squad("course")["validation"].select(range(40))
    told = scores_of(qa, {"all": answerable_only(some), "some": some})
    refused = np.array(
        [answer.is_refusal for answer in qa(some["question"][:], some["context"][:])]
    )
    lacking = np.array([not answers["text"] for answers in some["answers"]])
    assert told["some"]["unanswerable"] == lacking.sum() > 0
    for name, asked in (("unanswerable", lacking), ("answerable", ~lacking)):
        rate = told["some"][f"{name}_refused_percent"]
        assert rate == round(100 * refused[asked].mean(), 1)
    marked = evaluate(qa, answerable_only(some), threshold=0.0)
    assert told["all"]["f1"] == told["some"]["f1_answerable_without_refusing"]
    assert told["all"]["f1"] == pytest.approx(marked["f1"], abs=0.01)
    assert told["some"]["f1"] == pytest.approx(evaluate(qa, some)["f1"], abs=0.01)
    assert "f1_standard_error" in told["all"] and "auc" in told["some"]
