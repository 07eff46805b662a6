"""The tour's tasks: each against a slower way to the same result, on models made in the test."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from src import tasks
from src.assets import Passage
from src.qa.dense import SentenceEncoder
from src.tasks import Score
from src.text import UnknownWordError

START = "<|endoftext|>"
WORDS = [START, *"cat dog king queen mat the a sat ran on . : ?".split()]  # noqa: SIM905
WORDS += ["good", "bad", "positive", "negative", "yes", "no", "maybe"]


@pytest.fixture(scope="module")
def writer():
    """A language model with random weights and a vocabulary of a few words."""
    torch.manual_seed(0)
    numbers = {word: number for number, word in enumerate(WORDS)}
    inner = Tokenizer(models.WordLevel(numbers, unk_token=START))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=START, unk_token=START)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    sizes |= {"num_attention_heads": 2, "eos_token_id": 0, "bos_token_id": 0}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), **sizes)).eval()
    with torch.no_grad():  # larger than usual, so that the model prefers some words to others
        for parameter in model.parameters():
            parameter.mul_(8)
    return SimpleNamespace(tokenizer=tokenizer, model=model)


@pytest.fixture(scope="module")
def vectors():
    return SentenceEncoder()


def next_logits(writer, ids):
    with torch.inference_mode():
        return writer.model(torch.tensor([ids])).logits[0, -1]


def test_examples_are_as_many_as_their_readme_says_balanced_and_in_one_part():
    counts = {("sentiment", "train"): 24, ("sentiment", "test"): 20, ("entailment", "test"): 18}
    for (task, part), count in (counts | {("translation", "test"): 40}).items():
        examples = tasks.load_examples(task, part)
        assert len(examples) == count == len({str(example) for example in examples})
        labels = [example.get("label") for example in examples]
        assert len({labels.count(label) for label in labels}) == 1
    texts = [
        {row["text"] for row in tasks.load_examples("sentiment", part)}
        for part in ("train", "test")
    ]
    assert not texts[0] & texts[1]


def test_a_score_counts_the_right_ones_and_keeps_the_wrong_ones_with_what_was_said():
    examples = [{"text": str(i), "label": "odd" if i % 2 else "even"} for i in range(4)]
    score = tasks.score_labels(examples, lambda example: "odd")
    assert score == Score(2, 4, 0.5, ((examples[0], "odd"), (examples[2], "odd")))


def test_choosing_shares_the_models_belief_among_the_options(writer):
    options = {"up": " good", "down": " bad", "open": " maybe"}
    shares = tasks.choose("the cat sat :", options, writer)
    probs = next_logits(writer, writer.tokenizer("the cat sat :")["input_ids"]).softmax(-1)
    wanted = {label: probs[WORDS.index(word.strip())].item() for label, word in options.items()}
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


def test_surprise_is_what_asking_token_by_token_gives(writer):
    text = "the cat sat on the mat"
    ids = [0, *writer.tokenizer(text)["input_ids"]]
    by_hand = [
        -next_logits(writer, ids[:i]).log_softmax(-1)[ids[i]].item() / np.log(2)
        for i in range(1, len(ids))
    ]
    found = tasks.surprise(text, writer)
    assert [word for word, _ in found] == text.split()
    assert [bits for _, bits in found] == pytest.approx(by_hand, abs=1e-4)
    product = np.prod([2**bits for bits in by_hand])
    assert tasks.perplexity(found) == pytest.approx(product ** (1 / len(by_hand)), rel=1e-3)
    assert tasks.perplexity([("a", 3.0), ("b", 3.0)]) == 8, "one in eight"
    with pytest.raises(ValueError, match="without any token"):
        tasks.surprise(" ", writer)


def test_completions_begin_with_the_likeliest_tokens_and_go_on_greedily(writer):
    text, ways, tokens = "the king", 3, 4
    offers = tasks.complete(text, writer, ways, tokens)
    prompt = writer.tokenizer(text)["input_ids"]
    probs, first = next_logits(writer, prompt).softmax(-1).topk(ways)
    wanted = {}
    for prob, token in zip(probs.tolist(), first.tolist(), strict=True):
        ids = [*prompt, token]
        while len(ids) < len(prompt) + tokens and ids[-1] != 0:
            ids.append(int(next_logits(writer, ids).argmax()))
        ending = writer.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)
        wanted[ending] = prob
    assert offers == pytest.approx(wanted, rel=1e-4)


def test_vectors_find_the_same_in_other_words_a_central_sentence_and_a_sentiment(vectors):
    texts = ["When did the war end?", "What is the atomic number of oxygen?", "Who painted it?"]
    query = "Which number has oxygen in the periodic table?"
    near = tasks.most_similar(query, texts, vectors(texts), vectors, n=2)
    assert next(iter(near)) == texts[1] and len(near) == 2
    assert list(near.values()) == sorted(near.values(), reverse=True)
    text = "Tea is a drink. It is made of leaves. My neighbour bought a red car."
    summary = tasks.summarise_by_choosing(text, vectors)
    assert summary in ("Tea is a drink.", "It is made of leaves.")
    examples = tasks.load_examples("sentiment", "train")
    judge = tasks.sentiment_by_vectors(examples, vectors)
    assert sum(judge(example["text"]) == example["label"] for example in examples) >= 20


def test_topics_are_learned_from_words_and_scored_on_what_was_held_out():
    passages = [Passage("t", f"goal striker match player {i}", "", "Sport") for i in range(30)]
    passages += [Passage("t", f"flour oven bread olive {i}", "", "Food") for i in range(30)]
    passages += [Passage("t", "nobody knows", "", "Uncategorized")] * 5
    topics = tasks.train_topics(passages, held_out=20)
    assert topics.score == Score(20, 20, 0.5)
    probs = topics("bread from the oven")
    assert next(iter(probs)) == "Food" and sum(probs.values()) == pytest.approx(1)


PAIRS = [("the king sat", "le roi assis"), ("a king ran", "un roi court")]
PAIRS += [("the cat sat", "le chat assis"), ("a dog", "un chien")]


def test_the_strength_of_a_translation_is_the_correlation_over_pairs():
    dictionary = tasks.learn_dictionary(PAIRS, min_count=1)
    for word in ("king", "sat", "dog"):
        for other in ("roi", "chat", "assis"):
            here = [[word in left.split(), other in right.split()] for left, right in PAIRS]
            found = dictionary.strengths[dictionary.source[word], dictionary.target[other]]
            expected = np.corrcoef(np.array(here, dtype=float).T)[0, 1]
            assert found == pytest.approx(expected, abs=1e-5)
    assert next(iter(dictionary("King"))) == "roi"
    said = dictionary.word_by_word("The cat sat, umbrella").split()
    assert said[1:] == ["chat", dictionary.word_by_word("sat"), "umbrella"]
    with pytest.raises(UnknownWordError):
        dictionary("umbrella")
    asked = {"king": ["roi"], "dog": ["chat"], "boat": ["bateau"]}
    score = dictionary.score([{"english": word, "french": right} for word, right in asked.items()])
    assert (score.right, score.total) == (1, 3) and score.wrong[1][1] == "?"
    assert score.chance == pytest.approx(1 / len(dictionary.target))


@pytest.mark.full
def test_the_real_writer_knows_the_likelier_of_two_sentences_and_the_plainer_sentiments():
    writer = tasks.load_writer()
    plain, odd = (
        tasks.perplexity(tasks.surprise(text, writer))
        for text in ("The cat sat on the mat.", "Mat the on sat cat the.")
    )
    assert plain < odd
    examples = tasks.load_examples("sentiment")
    score = tasks.score_labels(
        examples, lambda row: next(iter(tasks.sentiment(row["text"], writer)))
    )
    assert score.right >= 14
    assert tasks.summarise_by_writing("Tea is a drink that is made of leaves.", writer)
