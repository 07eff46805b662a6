"""The tour's tasks: each against a slower way to the same result, on models made in the test."""

from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from src import tasks
from src.assets import Passage
from src.qa.dense import SentenceEncoder
from src.tasks import Score

START = "<|endoftext|>"
NAMES = "cat dog king queen mat man the a sat ran on good bad positive negative yes no maybe"
WORDS = [START, "mate", ":", *(f"Ġ{name}" for name in NAMES.split())]  # Ġ: a blank before it


@pytest.fixture(scope="module")
def writer():
    """A language model with random weights and a vocabulary of a few words."""
    torch.manual_seed(0)
    numbers = {word: number for number, word in enumerate(WORDS)}
    inner = Tokenizer(models.WordLevel(numbers, unk_token=START))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=START, unk_token=START)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    sizes |= {"num_attention_heads": 2, "eos_token_id": 0, "bos_token_id": 0}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), **sizes)).eval()
    with torch.no_grad():  # larger than usual, so that the model prefers some words to others
        for parameter in model.parameters():
            parameter.mul_(5)
    return SimpleNamespace(tokenizer=tokenizer, model=model)


def next_logits(writer, ids):
    with torch.inference_mode():
        return writer.model(torch.tensor([ids])).logits[0, -1]


def test_examples_are_as_many_as_their_readme_says_and_balanced():
    for task, count in {"sentiment": 20, "entailment": 18}.items():
        examples = tasks.load_examples(task)
        assert len(examples) == count == len({str(example) for example in examples})
        labels = [example["label"] for example in examples]
        assert len({labels.count(label) for label in labels}) == 1


def test_a_score_counts_the_right_ones_and_keeps_the_wrong_ones_with_what_was_said():
    examples = [{"text": str(i), "label": "odd" if i % 2 else "even"} for i in range(5)]
    score = tasks.score_labels(examples, lambda example: "odd")
    wrong = tuple((examples[i], "odd") for i in (0, 2, 4))
    assert score == Score(right=2, commonest=3, total=5, wrong=wrong)


def test_choosing_shares_the_models_belief_among_the_options(writer):
    options = {"up": " good", "down": " bad", "open": " maybe"}
    shares = tasks.choose("the cat sat :", options, writer)
    probs = next_logits(writer, writer.tokenizer("the cat sat :")["input_ids"]).softmax(-1)
    numbers = {label: WORDS.index(f"Ġ{word.strip()}") for label, word in options.items()}
    wanted = {label: probs[number].item() for label, number in numbers.items()}
    total = sum(wanted.values())
    assert shares == pytest.approx({label: prob / total for label, prob in wanted.items()})
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_sentiment_and_entailment_name_their_labels_and_read_the_text(writer):
    first, other = (tasks.sentiment(text, writer) for text in ("good", "bad"))
    assert set(first) == {"positive", "negative"} and first != other
    first, *others = (
        tasks.entailment(*texts, writer)
        for texts in (("the cat", "a cat"), ("the cat", "a dog"), ("the dog", "a cat"))
    )
    assert set(first) == {"follows", "contradicts", "open"} and first not in others


def test_next_words_are_the_likeliest_tokens_that_begin_a_word_with_the_letters(writer):
    text = "the king"
    probs = next_logits(writer, writer.tokenizer(text)["input_ids"]).softmax(-1)
    for letters in ("", "m"):
        fitting = [word for word in WORDS if word[0] == "Ġ" and word[1:].startswith(letters)]
        wanted = {word[1:]: probs[WORDS.index(word)].item() for word in fitting}
        likeliest = sorted(wanted, key=wanted.get, reverse=True)[:2]
        found = tasks.next_words(text, writer, letters, n=2)
        assert list(found) == likeliest
        assert found == tasks.next_words(f"{text} ", writer, letters, n=2)
        assert found == pytest.approx({word: wanted[word] for word in likeliest})
    for given, letters, says in ((text, "zz", "'zz'; give fewer"), ("", "m", "write something")):
        with pytest.raises(ValueError, match=says):
            tasks.next_words(given, writer, letters)


def test_vectors_find_the_same_in_other_words():
    texts = ["When did the war end?", "What is the atomic number of oxygen?", "Who painted it?"]
    query = "Which number has oxygen in the periodic table?"
    assert tasks.most_similar(query, texts, SentenceEncoder()) == texts[1]


def test_topics_are_learned_from_words_and_scored_on_what_was_held_out():
    passages = [Passage("t", f"goal striker match player {i}", "", "Sport") for i in range(30)]
    passages += [Passage("t", f"flour oven bread olive {i}", "", "Food") for i in range(40)]
    passages += [Passage("t", "nobody knows", "", "Uncategorized")] * 5
    topics = tasks.train_topics(passages, held_out=20)
    assert (topics.score.right, topics.score.total) == (20, 20)
    food = sum(topics(text)["Food"] > 0.5 for text in ("bread from the oven", "olive"))
    assert food == 2 and 8 <= topics.score.commonest <= 16
    assert sum(topics("bread from the oven").values()) == pytest.approx(1)


@pytest.mark.full
def test_the_real_models_do_nine_tasks():
    models = tasks.load_models()
    results = {name: said for name, _, said in tasks.nine_tasks("I liked it very much.", models)}
    assert len(results) == 9 and all(results.values())
    assert next(iter(results["sentiment"])) == "positive"
    assert "tea" in tasks.next_words("He drank a cup of", models.writer, "te")
