"""Written answers: the likeliest token each time, after a prompt with or without a passage."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from src.assets import load_passages
from src.qa.generative import CLOSED_BOOK, OPEN_BOOK, GenerativeAnswerer

TEXT = "<|end|> Read Answer Question Passage : . Cats Dogs Kings sat ran on a mat few"
WORDS = TEXT.split()


@pytest.fixture(scope="module")
def tiny_writer(tmp_path_factory):
    """A chat model with random weights and a few words, from a folder."""
    folder = tmp_path_factory.mktemp("tiny-writer")
    numbers = {word: number for number, word in enumerate(WORDS)}
    inner = Tokenizer(models.WordLevel(numbers, unk_token="few"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"eos_token": "<|end|>", "unk_token": "few"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **special)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    sizes = {"vocab_size": len(WORDS), "hidden_size": 32, "intermediate_size": 64}
    sizes |= {"num_hidden_layers": 2, "num_attention_heads": 2}
    # Larger weights than usual, so that the model prefers some words to others.
    config = LlamaConfig(**sizes, initializer_range=0.4, eos_token_id=0, bos_token_id=0)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return GenerativeAnswerer(str(folder))


def likeliest_tokens(writer, prompt, most):
    """Greedy decoding as it is defined: the whole text goes through the model for every token."""
    ids = torch.tensor([writer.tokenizer(prompt)["input_ids"]])
    prompt_tokens = ids.shape[1]
    for _ in range(most):
        with torch.inference_mode():
            following = writer.model(ids).logits[0, -1].argmax()
        ids = torch.cat([ids, following[None, None]], dim=1)
        if following == writer.tokenizer.eos_token_id:
            break
    return writer.tokenizer.decode(ids[0, prompt_tokens:], skip_special_tokens=True).strip()


PROMPTS = [
    f"{first} {verb} on a {last} . {last} {first}"
    for first in WORDS[7:10]
    for verb in WORDS[10:12]
    for last in WORDS[13:16]
]


def test_what_is_written_is_the_likeliest_token_each_time(tiny_writer):
    texts = [tiny_writer.reply(prompt, 12) for prompt in PROMPTS]
    assert texts == [likeliest_tokens(tiny_writer, prompt, 12) for prompt in PROMPTS]
    assert len(set(texts)) > 3, "the prompts should make a difference"


def test_the_passage_is_in_the_prompt_where_it_is_given_and_only_there(tiny_writer):
    question, passage = "Cats sat on a mat", "Kings ran . Dogs ran"
    prompt = OPEN_BOOK.format(question=question, context=passage)
    assert tiny_writer(question, passage) == tiny_writer.reply(prompt)
    assert tiny_writer(question) == tiny_writer.reply(CLOSED_BOOK.format(question=question))


@pytest.mark.full
def test_the_chat_model_finds_the_number_in_the_passage_it_is_given():
    writer = GenerativeAnswerer("smollm2")
    passage = load_passages()["Oxygen"].text
    assert "8" in writer("What is the atomic number of oxygen?", passage)
    # Greedy decoding: the same question gives the same words.
    assert writer("What is the capital of France?") == writer("What is the capital of France?")
