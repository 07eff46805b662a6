"""What the tests of question answering share: MiniLM's tokenizer, and a reader so small that it runs in a millisecond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from src import assets, runtime

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

runtime.configure_libraries()  # Hugging Face's libraries read it when they are imported, hence the imports further down


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    """MiniLM's own tokenizer: BERT's WordPiece vocabulary of 30,522, without capitals."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(assets.path("minilm"))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerBase) -> Path:
    """A folder as `save_pretrained` writes it: an untrained BERT reader (2 layers, 32 wide) and MiniLM's tokenizer. Do not write to it."""
    import torch
    from transformers import BertConfig, BertForQuestionAnswering

    folder = tmp_path_factory.mktemp("tiny-reader")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        # Larger weights than usual: without training, too, the scores differ from token to token.
        config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, initializer_range=0.2)
        model = BertForQuestionAnswering(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_model(tiny_folder: Path) -> PreTrainedModel:
    """The tiny reader, fresh for every test, in fp32 and evaluation mode."""
    import torch
    from transformers import BertForQuestionAnswering

    return BertForQuestionAnswering.from_pretrained(tiny_folder, dtype=torch.float32).eval()


@pytest.fixture(scope="session")
def questions() -> Callable[..., Dataset]:
    """Makes rows in SQuAD's columns: questions((question, context, answer, ...), ...); answers are texts or (text, start) pairs."""
    from datasets import Dataset

    from src.qa.dataset import FEATURES

    def make(*rows: tuple) -> Dataset:
        columns: dict[str, list] = {name: [] for name in FEATURES}
        for i, (question, context, *answers) in enumerate(rows):
            spans = [answer if isinstance(answer, tuple) else (answer, context.index(answer)) for answer in answers]
            columns["id"].append(f"q{i}")
            columns["title"].append("Title")
            columns["context"].append(context)
            columns["question"].append(question)
            columns["answers"].append({"text": [text for text, _ in spans], "answer_start": [start for _, start in spans]})
        return Dataset.from_dict(columns, features=FEATURES)

    return make
