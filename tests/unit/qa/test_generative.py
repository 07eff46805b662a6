"""Written answers: the passage goes into the prompt, and with it a small chat model copies what stands there."""

import pytest

from src.assets import load_passages
from src.qa.generative import GenerativeAnswerer


@pytest.mark.full
def test_the_chat_model_finds_the_number_in_the_passage_it_is_given():
    writer = GenerativeAnswerer("smollm2")
    passage = load_passages()["Oxygen"].text
    assert "8" in writer("What is the atomic number of oxygen?", passage)
    # Greedy decoding: the same question gives the same words.
    assert writer("What is the capital of France?") == writer("What is the capital of France?")
