"""The tour's tasks: each function against a slower way to the same result, on models small enough to be made in the test."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModel, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from src import assets, tasks
from src.assets import Passage
from src.tasks import Score, SentenceVectors
from src.text import UnknownWordError

NOUNS, OTHERS = ["cat", "dog", "king", "queen", "mat"], ["the", "a", "sat", "ran", "on", ".", ":", "?"]
WORDS = ["<|endoftext|>", *NOUNS, *OTHERS, "good", "bad", "positive", "negative", "yes", "no", "maybe"]


@pytest.fixture(scope="module")
def writer():
    """A language model with random weights and a vocabulary of a few words."""
    torch.manual_seed(0)
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<|endoftext|>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|endoftext|>", unk_token="<|endoftext|>")
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=0,
        bos_token_id=0,
    )
    # larger than usual, so that the model prefers some words to others
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)
    return SimpleNamespace(tokenizer=tokenizer, model=model)


@pytest.fixture(scope="module")
def vectors():
    return SentenceVectors()


def next_logits(writer, ids):
    with torch.inference_mode():
        return writer.model(torch.tensor([ids])).logits[0, -1]


# --- examples and scores -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "part", "count"),
    [("sentiment", "train", 24), ("sentiment", "test", 20), ("entailment", "test", 18), ("translation", "test", 40)],
)
def test_the_examples_are_as_many_as_their_readme_says_and_differ(task, part, count):
    examples = tasks.load_examples(task, part)
    assert len(examples) == count == len({str(example) for example in examples})


def test_the_labels_of_every_task_are_balanced():
    for task, part in (("sentiment", "train"), ("sentiment", "test"), ("entailment", "test")):
        labels = [example["label"] for example in tasks.load_examples(task, part)]
        assert len({labels.count(label) for label in labels}) == 1


def test_no_sentiment_sentence_is_in_both_parts():
    texts = [{example["text"] for example in tasks.load_examples("sentiment", part)} for part in ("train", "test")]
    assert not texts[0] & texts[1]


def test_unknown_tasks_and_parts_are_refused_by_name():
    with pytest.raises(ValueError, match="no examples for 'spelling'; there are for entailment, sentiment, translation"):
        tasks.load_examples("spelling")
    with pytest.raises(ValueError, match="no part 'train'; they have test"):
        tasks.load_examples("entailment", "train")


def test_a_score_counts_the_right_ones_and_keeps_the_wrong_ones_with_what_was_said():
    examples = [{"text": str(i), "label": "odd" if i % 2 else "even"} for i in range(4)]
    score = tasks.score_labels(examples, lambda example: "odd")
    assert (score.right, score.total, score.chance) == (2, 4, 0.5)
    assert [example["text"] for example, said in score.wrong] == ["0", "2"] and {said for _, said in score.wrong} == {"odd"}


# --- a language model ----------------------------------------------------------------------------------------------------


def test_choosing_shares_the_models_belief_among_the_options(writer):
    options = {"up": " good", "down": " bad", "open": " maybe"}
    shares = tasks.choose("the cat sat :", options, writer)
    probs = next_logits(writer, writer.tokenizer("the cat sat :")["input_ids"]).softmax(-1)
    wanted = {label: probs[WORDS.index(word.strip())].item() for label, word in options.items()}
    assert shares == pytest.approx({label: prob / sum(wanted.values()) for label, prob in wanted.items()})
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_sentiment_and_entailment_name_their_labels_and_read_the_text(writer):
    assert set(tasks.sentiment("good", writer)) == {"positive", "negative"}
    assert set(tasks.entailment("the cat sat", "a cat ran", writer)) == {"follows", "contradicts", "open"}
    assert tasks.sentiment("good", writer) != tasks.sentiment("bad", writer)
    assert tasks.entailment("the cat sat", "a cat ran", writer) != tasks.entailment("the cat sat", "a dog ran", writer)


def test_surprise_is_what_asking_token_by_token_gives(writer):
    text = "the cat sat on the mat"
    ids = [0, *writer.tokenizer(text)["input_ids"]]
    by_hand = [-next_logits(writer, ids[:i]).log_softmax(-1)[ids[i]].item() / np.log(2) for i in range(1, len(ids))]
    found = tasks.surprise(text, writer)
    assert [word for word, _ in found] == text.split()
    assert [bits for _, bits in found] == pytest.approx(by_hand, abs=1e-4)
    assert tasks.perplexity(found) == pytest.approx(np.prod([2**bits for bits in by_hand]) ** (1 / len(by_hand)), rel=1e-3)
    with pytest.raises(ValueError, match="without any token"):
        tasks.surprise(" ", writer)


def test_equal_chances_of_one_in_eight_have_a_perplexity_of_eight():
    assert tasks.perplexity([("a", 3.0), ("b", 3.0)]) == 8


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
        wanted[writer.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)] = prob
    assert offers == pytest.approx(wanted, rel=1e-4)


# --- sentence vectors ----------------------------------------------------------------------------------------------------


def test_a_sentence_vector_is_the_mean_over_its_tokens_whatever_else_is_in_the_batch(vectors):
    texts = ["A cat.", "Two dogs are running along the beach in the rain.", "Oxygen"]
    together = vectors(texts)
    tokenizer, model = AutoTokenizer.from_pretrained(assets.path("minilm")), AutoModel.from_pretrained(assets.path("minilm")).eval()
    for text, row in zip(texts, together, strict=True):
        with torch.inference_mode():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0)
        np.testing.assert_allclose(row, mean / mean.norm(), atol=1e-5)
    np.testing.assert_allclose(vectors(texts, batch_size=1), together, atol=1e-5)
    assert vectors([]).shape == (0, 384)


def test_the_nearest_text_says_the_same_in_other_words(vectors):
    texts = ["When did the war end?", "What is the atomic number of oxygen?", "Who painted the ceiling?"]
    near = tasks.most_similar("Which number has oxygen in the periodic table?", texts, vectors(texts), vectors, n=2)
    assert next(iter(near)) == texts[1] and len(near) == 2
    assert list(near.values()) == sorted(near.values(), reverse=True)


def test_the_chosen_summary_is_a_sentence_of_the_text(vectors):
    text = "Tea is a drink. It is made of leaves. My neighbour bought a red car."
    assert tasks.summarise_by_choosing(text, vectors) in ("Tea is a drink.", "It is made of leaves.")


def test_sentiment_by_vectors_learns_its_own_examples(vectors):
    examples = tasks.load_examples("sentiment", "train")
    judge = tasks.sentiment_by_vectors(examples, vectors)
    assert sum(judge(example["text"]) == example["label"] for example in examples) >= 20


# --- classification and translation --------------------------------------------------------------------------------------


def test_topics_are_learned_from_words_and_scored_on_what_was_held_out():
    passages = [Passage("t", f"goal striker match player {i}", "", "Sport") for i in range(30)]
    passages += [Passage("t", f"flour oven bread olive {i}", "", "Food") for i in range(30)]
    passages += [Passage("t", "nobody knows", "", "Uncategorized")] * 5
    topics = tasks.train_topics(passages, held_out=20)
    assert topics.score == Score(20, 20, 0.5)
    probs = topics("bread from the oven")
    assert next(iter(probs)) == "Food" and sum(probs.values()) == pytest.approx(1)


PAIRS = [("the king sat", "le roi assis"), ("a king ran", "un roi court"), ("the cat sat", "le chat assis"), ("a dog", "un chien")]


def test_the_strength_of_a_translation_is_the_correlation_over_pairs():
    dictionary = tasks.learn_dictionary(PAIRS, min_count=1)
    for word in ("king", "sat", "dog"):
        for other in ("roi", "chat", "assis"):
            here = np.array([[word in left.split(), other in right.split()] for left, right in PAIRS], dtype=float)
            found = dictionary.strengths[dictionary.source[word], dictionary.target[other]]
            assert found == pytest.approx(np.corrcoef(here.T)[0, 1], abs=1e-5)
    assert next(iter(dictionary("King"))) == "roi"
    assert dictionary.word_by_word("The cat sat, umbrella").split()[1:] == ["chat", dictionary.word_by_word("sat"), "umbrella"]
    with pytest.raises(UnknownWordError):
        dictionary("umbrella")


def test_a_dictionary_is_scored_by_its_first_choice_and_an_unknown_word_is_wrong():
    dictionary = tasks.learn_dictionary(PAIRS, min_count=1)
    examples = [{"english": "king", "french": ["roi"]}, {"english": "dog", "french": ["chat"]}, {"english": "boat", "french": ["bateau"]}]
    score = dictionary.score(examples)
    assert (score.right, score.total) == (1, 3) and score.wrong[1][1] == "?"
    assert score.chance == pytest.approx(1 / len(dictionary.target))


@pytest.mark.full
def test_the_real_writer_knows_the_likelier_of_two_sentences_and_the_plainer_sentiments():
    writer = tasks.load_writer()
    surprise = {text: tasks.perplexity(tasks.surprise(text, writer)) for text in ("The cat sat on the mat.", "Mat the on sat cat the.")}
    assert surprise["The cat sat on the mat."] < surprise["Mat the on sat cat the."]
    score = tasks.score_labels(tasks.load_examples("sentiment"), lambda row: next(iter(tasks.sentiment(row["text"], writer))))
    assert score.right >= 14
    assert tasks.summarise_by_writing("Tea is a drink that is made of leaves.", writer)
