"""What the tests of question answering share: a tokenizer, a tiny reader, questions, documents."""

from __future__ import annotations

import math
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from src import assets, runtime
from src.qa.documents import Document

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

sys.path.insert(0, str(Path(__file__).parent))  # for run_folders.py, which several tests share
runtime.configure_libraries()  # before Hugging Face's libraries are imported


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    """MiniLM's own tokenizer: BERT's WordPiece vocabulary of 30,522, without capitals."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(assets.path("minilm"))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory, tokenizer) -> Path:
    """A folder with an untrained BERT reader (2 layers, 32 wide). Do not write to it."""
    import torch
    from transformers import BertConfig, BertForQuestionAnswering

    folder = tmp_path_factory.mktemp("tiny-reader")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    # Larger weights than usual: without training, too, the scores differ from token to token.
    config = BertConfig(**sizes, intermediate_size=64, initializer_range=0.2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForQuestionAnswering(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_model(tiny_folder) -> PreTrainedModel:
    """The tiny reader, fresh for every test, in fp32 and evaluation mode."""
    import torch
    from transformers import BertForQuestionAnswering

    return BertForQuestionAnswering.from_pretrained(tiny_folder, dtype=torch.float32).eval()


@pytest.fixture(scope="session")
def questions() -> Callable[..., Dataset]:
    """questions((question, context, answer, ...), ...); answers: texts or (text, start)."""
    from src.qa.rows import dataset_of

    def make(*rows: tuple) -> Dataset:
        made = []
        for i, (question, context, *answers) in enumerate(rows):
            spans = [a if isinstance(a, tuple) else (a, context.index(a)) for a in answers]
            found = {"text": [t for t, _ in spans], "answer_start": [s for _, s in spans]}
            row = {"id": f"q{i}", "title": "Title", "context": context, "question": question}
            made.append(row | {"answers": found})
        return dataset_of(made)

    return make


@pytest.fixture(scope="session")
def harbour(questions) -> Dataset:
    """60 questions a tiny model can learn: the answer is always the name of a place."""
    from datasets import Dataset

    places = ("Paris", "Oslo", "Rome", "Lima", "Cairo")
    filler = "ships left the harbour early because winds were mild and nobody wanted rain"
    choose, rows = random.Random(0), []
    for i in range(60):
        count = choose.choice((2, 5, 10, 20, 40, 120))
        words, place = choose.choices(filler.split(), k=count), choose.choice(places)
        words.insert(choose.randrange(count), place)
        row = {"id": f"q{i}", "title": "Harbour", "context": " ".join(words)}
        answers = {"text": [place], "answer_start": [row["context"].index(place)]}
        rows.append(row | {"question": "Where is it?", "answers": answers})
    return Dataset.from_list(rows)


@pytest.fixture(scope="session")
def harbour_file(harbour, tmp_path_factory) -> Path:
    """The same questions as a file, one a line."""
    file = tmp_path_factory.mktemp("data") / "harbour.jsonl"
    harbour.to_json(file)
    return file


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    """Five passages to search."""
    texts = {
        "Oxygen": "Oxygen is the chemical element with symbol O and atomic number 8.",
        "Gold": "Gold is a chemical element with symbol Au and atomic number 79. "
        "Gold is a soft metal, and gold is dear.",
        "Bee": "Bees are winged insects, known for pollination and for the honey of one species.",
        "Beijing": "Beijing (北京) is the capital of China; in French its name is Pékin, "
        "and <b>Peking</b> is an older spelling.",
        "Moon": "The Moon is the only natural satellite of the Earth.",
    }
    return [Document(title, text) for title, text in texts.items()]


class CountingEncoder:
    """In place of MiniLM: a vector that depends on the text alone, and a list of all texts."""

    def __init__(self, stop_after: float = math.inf):
        self.texts: list[str] = []
        self.stop_after = stop_after

    def __call__(self, texts):
        if len(self.texts) + len(texts) > self.stop_after:
            raise KeyboardInterrupt
        self.texts += texts
        seeds = [zlib.crc32(text.encode()) for text in texts]
        rows = np.stack([np.random.default_rng(seed).normal(size=24) for seed in seeds])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def counting_encoder() -> type[CountingEncoder]:
    return CountingEncoder
