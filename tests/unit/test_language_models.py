"""Language models keep to probability, n-grams equal a slow reference, caches change nothing."""

import itertools
import math
import random
from collections import Counter
from dataclasses import astuple
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from src import assets, language_models
from src.language_models import (
    Continuation,
    GPTModel,
    LanguageData,
    LanguageModel,
    PretrainedModel,
    RecurrentModel,
    RecurrentNetwork,
    TextScore,
    beam_search,
    likeliest_tokens,
    three_continuations,
    train_language_model,
    training_batches,
)
from src.ngrams import NgramModel
from src.sampling import Sampler
from src.subwords import BytePairTokenizer
from src.topics import split_of
from src.transformer import GPT

SENTENCE = "the cat sat on the mat a dog ran to the park and saw a small bird in our old tree"
WORDS = SENTENCE.split()
rng = random.Random(0)
ARTICLES = {
    f"article {i}": " ".join(rng.choices(WORDS, k=rng.randrange(5, 40))).capitalize() + "."
    for i in range(120)
}
DATA = LanguageData.from_articles(ARTICLES, V=290)
TOKENIZER, ROWS = DATA.tokenizer, DATA.rows["train"]
V = TOKENIZER.V
TEXT = "The cat saw the old park."
UNSEEN = "Zürich, 日本: a cat ran and ran; the tree sat near the park and the dog saw our house."


def tiny_gpt(use_cache: bool = True) -> GPTModel:
    torch.manual_seed(1)
    network = GPT(V, D=16, H=2, L=2, max_T=12)
    with torch.no_grad():  # an untrained one is so even that a mistake could not be seen
        network.words.weight *= 30
        network.positions.weight *= 30
    return GPTModel(network, TOKENIZER, use_cache)


def tiny_lstm(use_cache: bool = True) -> RecurrentModel:
    torch.manual_seed(1)
    network = RecurrentNetwork(V, D=16, L=2)
    with torch.no_grad():
        network.words.weight *= 10
    return RecurrentModel(network, TOKENIZER, use_cache)


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory) -> Path:
    """One of SmolLM2's kind in small, with random weights, on disk as others keep theirs."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.5}
    LlamaForCausalLM(LlamaConfig(vocab_size=V, **sizes)).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(TOKENIZER.to_json())
    return folder


KINDS = {
    "unigram": lambda folder: NgramModel(TOKENIZER, ROWS, 1),
    "trigram": lambda folder: NgramModel(TOKENIZER, ROWS, 3),
    "add-k": lambda folder: NgramModel(TOKENIZER, ROWS, 2, "add-k", 0.1),
    "counted only": lambda folder: NgramModel(TOKENIZER, ROWS, 2, "add-k", 0),
    "lstm": lambda folder: tiny_lstm(),
    "lstm without cache": lambda folder: tiny_lstm(use_cache=False),
    "gpt": lambda folder: tiny_gpt(),
    "gpt without cache": lambda folder: tiny_gpt(use_cache=False),
    "pretrained": PretrainedModel,
}


@pytest.fixture(params=KINDS)
def model(request, llama_folder) -> LanguageModel:
    return KINDS[request.param](llama_folder)


# --- the interface, for every model


@pytest.mark.parametrize("text", ["The", TEXT, UNSEEN])
def test_probabilities_sum_to_one_and_the_score_is_their_product(model, text):
    token_ids = TOKENIZER.encode(text)
    expected = 0.0
    for t, token_id in enumerate(token_ids):
        probs = model.next_token_probs(token_ids[:t])
        assert probs.shape == (V,) and (probs >= 0).all()
        assert float(probs.sum()) == pytest.approx(1, abs=1e-5)
        expected += float(probs[token_id].double().log())
    log_prob, *counts = astuple(model.score(text))
    assert log_prob == pytest.approx(expected, rel=1e-4)
    assert counts == [len(token_ids), len(text.split()), len(text.encode())]


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_reading_in_pieces_gives_what_reading_at_once_gives(model, pieces):
    token_ids = TOKENIZER.encode(UNSEEN)
    state = model.start()
    for begin in range(0, len(token_ids), pieces):
        logits = model.read(state, token_ids[begin : begin + pieces])
        expected = model.next_token_probs(token_ids[: begin + pieces])
        assert_close(logits.softmax(-1), expected, atol=1e-5, rtol=1e-4)
    assert state.token_ids == [TOKENIZER.start_id, *token_ids]


def test_several_texts_score_the_sum_of_each_and_no_word_is_an_error(model):
    texts = [TEXT, "A dog.", UNSEEN, "The"]
    together, alone = astuple(model.score(texts)), map(astuple, map(model.score, texts))
    assert together == pytest.approx([sum(values) for values in zip(*alone, strict=True)])
    with pytest.raises(ValueError, match="no word"):
        model.score(" \n ")


def test_what_is_generated_carries_its_own_probabilities(model):
    found = model.generate("The cat", 20, Sampler(temperature=1.2), seed=3)
    token_ids = TOKENIZER.encode("The cat")
    assert len(found.tokens) == len(found.token_ids) == len(found.probs) <= 20
    assert found.ended == (len(found.token_ids) < 20)
    for token_id, prob in zip(found.token_ids, found.probs, strict=True):
        expected = float(model.next_token_probs(token_ids)[token_id])
        assert prob == pytest.approx(expected, rel=1e-3)
        token_ids.append(token_id)
    assert TOKENIZER.decode(found.token_ids) == found.text
    assert found == model.generate("The cat", 20, Sampler(temperature=1.2), seed=3)


def test_three_continuations_differ_and_begin_with_different_tokens(model):
    found = three_continuations(model, "The cat ", n=6, seed=0)
    assert len({c.text for c in found}) == len({c.token_ids[0] for c in found}) == len(found) == 3
    assert all(c.beginning == "The cat" and 1 <= len(c.tokens) <= 6 and c.text for c in found)
    assert found == three_continuations(model, "The cat", n=6, seed=0)
    assert TOKENIZER.start_id not in {c.token_ids[0] for c in found}


def test_greedy_and_the_suggestions_take_the_likeliest_tokens(model):
    found = model.generate(TEXT, 5, Sampler.greedy())
    token_ids = TOKENIZER.encode(TEXT)
    for token_id in found.token_ids:
        assert token_id == int(model.next_token_probs(token_ids).argmax())
        token_ids.append(token_id)
    probs, likeliest = model.next_token_probs(TOKENIZER.encode(TEXT)).topk(3)
    words = [piece.strip() or piece for piece in TOKENIZER.pieces(likeliest.tolist())]
    first = {word: probs[words.index(word)].item() for word in words}
    assert likeliest_tokens(model, TEXT + " ", 3) == pytest.approx(first)


# --- scores


def test_perplexities_and_bits_all_follow_from_the_total():
    score = TextScore(log_prob=-60 * math.log(2), tokens=20, words=10, bytes=40)
    assert score.perplexity_per_word == pytest.approx(64)  # six bits a word
    assert score.perplexity_per_token == pytest.approx(8)
    assert score.bits_per_byte == pytest.approx(1.5)


def test_a_probability_of_zero_makes_the_perplexity_infinite():
    counted = NgramModel(TOKENIZER, ROWS, 2, "add-k", 0)
    score = counted.score(["The cat sat on the mat.", "xylophone"])
    assert score.log_prob == -math.inf
    found = {score.perplexity_per_word, score.perplexity_per_token, score.bits_per_byte}
    assert found == {math.inf}
    assert TextScore(-1e6, 900, 1, 900).perplexity_per_word == math.inf, "too large for a float"


# --- n-grams: a slow reference


def slow_kneser_ney(rows: list[list[int]], order: int, context: tuple[int, ...], token: int):
    """Interpolated Kneser-Ney by its definition, every count taken anew from the texts."""
    before = [TOKENIZER.start_id] * (order - 1)
    padded = [[*before, *row, TOKENIZER.start_id] for row in rows]

    def runs(m: int) -> list[tuple[int, ...]]:
        """All runs of m tokens whose last one is predicted."""
        ends = [(text, t + 1) for text in padded for t in range(order - 1, len(text))]
        return [tuple(text[end - m : end]) for text, end in ends]

    def counts_of(m: int) -> Counter[tuple[int, ...]]:
        return Counter(runs(m)) if m == order else Counter(run[1:] for run in set(runs(m + 1)))

    def prob(context: tuple[int, ...]) -> float:
        shorter = prob(context[1:]) if context else 1 / V
        counts = counts_of(len(context) + 1)
        n1, n2 = (sum(count == n for count in counts.values()) for n in (1, 2))
        discount = n1 / (n1 + 2 * n2) if n1 else 0.5
        following = [count for run, count in counts.items() if run[:-1] == context]
        if not following:
            return shorter
        saved = discount * len(following) * shorter
        return (max(counts[(*context, token)] - discount, 0) + saved) / sum(following)

    return prob(context)


SOME_ROWS = st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=5)
SOME_TEXT = st.lists(st.integers(0, 7), max_size=6)


def contexts_of(text: list[int], order: int) -> list[tuple[int, ...]]:
    """The order - 1 tokens before each token of a text, and after its last."""
    padded = [TOKENIZER.start_id] * (order - 1) + text
    return [tuple(padded[t : t + order - 1]) for t in range(len(text) + 1)]


@given(rows=SOME_ROWS, order=st.integers(1, 5), text=SOME_TEXT)
def test_kneser_ney_equals_its_definition(rows, order, text):
    model = NgramModel(TOKENIZER, rows, order)
    *contexts, last = contexts_of(text, order)
    expected = [slow_kneser_ney(rows, order, *pair) for pair in zip(contexts, text, strict=True)]
    found = model.log_probs([text])[0].exp()
    assert_close(found, torch.tensor(expected, dtype=torch.float64))
    probs = model.next_token_probs(text)
    expected = [slow_kneser_ney(rows, order, last, token) for token in range(8)]
    assert probs[:8].tolist() == pytest.approx(expected)
    assert float(probs.sum()) == pytest.approx(1)
    assert (probs > 0).all(), "no token is impossible"


@given(rows=SOME_ROWS, order=st.integers(1, 4), text=SOME_TEXT, k=st.sampled_from([0.0, 0.01, 1.0]))
def test_add_k_equals_its_definition(rows, order, text, k):
    before = [TOKENIZER.start_id] * (order - 1)
    padded = [[*before, *row, TOKENIZER.start_id] for row in rows]
    starts = [(row, t) for row in padded for t in range(len(row) - order + 1)]
    runs = Counter(tuple(row[t : t + order]) for row, t in starts)
    totals: Counter[tuple[int, ...]] = Counter()
    for run, count in runs.items():
        totals[run[:-1]] += count

    def prob(context: tuple[int, ...], token: int) -> float:
        total = totals[context] + k * V
        return (runs[(*context, token)] + k) / total if total else 1 / V

    model = NgramModel(TOKENIZER, rows, order, "add-k", k)
    *contexts, last = contexts_of(text, order)
    expected = [prob(*pair) for pair in zip(contexts, text, strict=True)]
    found = model.log_probs([text])[0].exp()
    assert_close(found, torch.tensor(expected, dtype=torch.float64))
    expected = [prob(last, token) for token in range(V)]
    assert_close(model.next_token_probs(text), torch.tensor(expected, dtype=torch.float64))


def test_n_grams_of_many_orders_and_a_large_vocabulary_do_not_overflow():
    """290 ^ 12 would not fit into 64 bits: keys are made of the numbers of runs."""
    counted = NgramModel(TOKENIZER, ROWS, 12, "add-k", 0)
    first = ROWS[0]
    expected = Counter(row[11] for row in ROWS if row[:11] == first[:11])
    found = float(counted.next_token_probs(first[:11])[first[11]])
    assert found == expected[first[11]] / expected.total()


def test_an_n_gram_model_counts_its_counts():
    # 5, 6, END; START 5, 5 6, 6 END
    assert NgramModel(TOKENIZER, [[5, 6]], 2).parameters == 3 + 3


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (ROWS, (0,), "the order is 0"),
        (ROWS, (2, "good-turing"), "no smoothing 'good-turing'"),
        (ROWS, (2, "add-k", -1), "k is -1"),
        (ROWS, (2, "kneser-ney", 0.5), "k is 0.5 with kneser-ney"),
        ([[5, V]], (2,), f"token {V} is not among the {V}"),
    ],
)
def test_impossible_n_grams_are_told(rows, settings, message):
    with pytest.raises(ValueError, match=message):
        NgramModel(TOKENIZER, rows, *settings)


# --- the data


def test_each_article_is_in_one_split_and_the_vocabulary_comes_from_the_training_texts():
    for split, texts in DATA.texts.items():
        assert texts == [text for title, text in ARTICLES.items() if split_of(title) == split]
        assert [TOKENIZER.decode(row) for row in DATA.rows[split]] == texts
    assert BytePairTokenizer.train(DATA.texts["train"], V) == TOKENIZER


def test_training_rows_are_texts_one_after_another_and_begin_where_texts_do():
    rows = [[1000 + i] * 3 + [2000 + i] * 4 for i in range(9)]

    def four_batches() -> Tensor:
        batches = training_batches(rows, start_id=0, T=5, batch_size=4, seed=0)
        return torch.cat(list(itertools.islice(batches, 4)))

    seen = four_batches()
    assert seen.shape == (16, 6)
    for row in seen.tolist():
        five_in = row[0] == row[1] and row[0] >= 2000
        assert row[0] == 0 or five_in, "at a text's start, or five tokens into it"
        for token, after in itertools.pairwise(row):
            if token >= 2000:
                assert after in (token, 0), "a text goes on, or ends"
            elif token == 0:
                assert after < 2000, "another text begins"
    assert len({tuple(row) for row in seen.tolist()}) > 8
    assert torch.equal(seen, four_batches())
    with pytest.raises(ValueError, match="use more text"):
        next(training_batches([[5, 6, 7]], 0, T=8, batch_size=4, seed=0))


# --- windows and caches


def test_a_cache_reads_each_token_once_while_the_window_stays(monkeypatch):
    def tokens_read(model: GPTModel) -> list[int]:
        read, logits = [], model.logits

        def spy(token_ids: Tensor, cache=None):
            read.append(token_ids.shape[1])
            return logits(token_ids, cache)

        monkeypatch.setattr(model, "logits", spy)
        model.generate("The", 8, Sampler.greedy())
        return read

    n = 1 + len(TOKENIZER.encode("The"))
    assert tokens_read(tiny_gpt()) == [n] + [1] * 7
    assert tokens_read(tiny_gpt(use_cache=False)) == list(range(n, n + 8))


@pytest.mark.parametrize("make", [tiny_gpt, tiny_lstm])
def test_cache_or_not_writes_the_same_beyond_the_context(make):
    kept, anew = (make(use_cache).generate("The cat", 60, seed=5) for use_cache in (True, False))
    assert kept.token_ids == anew.token_ids
    assert kept.probs == pytest.approx(anew.probs, rel=1e-3)


def test_pretrained_scores_and_writes_what_transformers_itself_does(llama_folder):
    network = LlamaForCausalLM.from_pretrained(llama_folder).eval()
    model, start = PretrainedModel(llama_folder), TOKENIZER.start_id
    token_ids = torch.tensor([[start, *TOKENIZER.encode(TEXT)]])
    with torch.no_grad():
        loss = float(network(token_ids, labels=token_ids).loss)
    assert model.score(TEXT).perplexity_per_token == pytest.approx(math.exp(loss), rel=1e-4)
    settings = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": start, "pad_token_id": 0}
    written = network.generate(token_ids, **settings)[0, token_ids.shape[1] :].tolist()
    found = model.generate(TEXT, 12, Sampler.greedy())
    assert list(found.token_ids) == [token_id for token_id in written if token_id != start]


def test_smollm2_knows_a_capital_and_cuts_words_as_its_makers_do():
    model = PretrainedModel()
    theirs = AutoTokenizer.from_pretrained(assets.path("smollm2"))
    assert model.tokenizer.encode(UNSEEN) == theirs(UNSEEN, add_special_tokens=False)["input_ids"]
    text = "Everybody knows that the capital of France is"
    assert list(likeliest_tokens(model, text, 1)) == ["Paris"]
    assert model.parameters == pytest.approx(135e6, rel=0.01)


# --- training


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (RecurrentModel, lambda: RecurrentNetwork(V, D=32)),
        (GPTModel, lambda: GPT(V, D=32, H=2, L=1, max_T=32)),
    ],
)
def test_training_teaches_and_a_saved_model_scores_the_same(kind, make, tmp_path):
    torch.manual_seed(0)
    model, test = kind(make(), TOKENIZER), DATA.texts["test"]
    assert model.score(test).perplexity_per_token == pytest.approx(V, rel=0.1), "it guesses"
    settings = {"batch_size": 4, "steps": 150, "beginning": "the "}
    run = train_language_model(model, DATA, None, folder=tmp_path, **settings)
    assert run is model.run and run.finished
    last = run.history[-1]
    assert last["unit"] == "tokens"
    assert last["writes"] == model.generate("the ", language_models.WRITES).text
    assert len([log for log in run.history if "writes" in log]) == 11, "one for each score"
    trained = model.score(test)
    unigram = NgramModel(TOKENIZER, ROWS, 1).score(test)
    assert trained.perplexity_per_token < min(V / 4, unigram.perplexity_per_token)
    development = model.score(DATA.texts["development"][: language_models.DEVELOPMENT_TEXTS])
    assert last["perplexity_per_word"] == pytest.approx(development.perplexity_per_word)
    loaded = kind.load(tmp_path)
    assert loaded.tokenizer == TOKENIZER and loaded.run.history == run.history
    in_half = loaded.score(test).log_prob
    assert in_half == pytest.approx(trained.log_prob, rel=1e-2)


def test_models_of_another_class_or_vocabulary_are_told(tmp_path):
    train_language_model(tiny_lstm(), DATA, None, folder=tmp_path, batch_size=2, steps=1)
    with pytest.raises(ValueError, match="class RecurrentNetwork, not GPT"):
        GPTModel.load(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match="no tokenizer at"):
        RecurrentModel.load(tmp_path)
    with pytest.raises(ValueError, match=f"scores 7 tokens and the vocabulary has {V}"):
        RecurrentModel(RecurrentNetwork(7, D=8), TOKENIZER)
    other = BytePairTokenizer.train(DATA.texts["test"], V)
    with pytest.raises(ValueError, match="different vocabularies"):
        train_language_model(RecurrentModel(RecurrentNetwork(V, D=8), other), DATA, minutes=1)


# --- ways to go on


def every_text(model: LanguageModel, beginning: str, n: int) -> dict[tuple[int, ...], float]:
    """The log probability of each text of at most n tokens, shorter ones ended by the model."""
    begun, texts = TOKENIZER.encode(beginning), {(): 0.0}
    for _ in range(n):
        longer = {}
        for text, log_prob in texts.items():
            if text[-1:] == (TOKENIZER.start_id,):
                longer[text] = log_prob
                continue
            for token, more in enumerate(model.next_token_probs([*begun, *text]).log().tolist()):
                longer[(*text, token)] = log_prob + more
        texts = longer
    return texts


def test_beams_that_keep_all_find_the_likeliest_text_and_one_beam_is_greedy():
    for order in (1, 2, 3):
        model = NgramModel(TOKENIZER, ROWS, order)
        expected = every_text(model, "the dog", 2)
        found = beam_search(model, "the dog", 2, beams=V)
        best = sorted(expected.values(), reverse=True)[:V]
        assert [log_prob for log_prob, _ in found] == pytest.approx(best)
        assert found[0][1] == TOKENIZER.decode(max(expected, key=expected.get))
        ((log_prob, text),) = beam_search(model, "the dog", 9, beams=1)
        greedy = model.generate("the dog", 9, Sampler.greedy())
        assert text == greedy.text
        if not greedy.ended:
            assert log_prob == pytest.approx(sum(map(math.log, greedy.probs)))


def test_a_model_with_one_way_to_go_on_gives_one_continuation():
    rows = TOKENIZER.encode_all(["the cat sat"])
    (found,) = three_continuations(NgramModel(TOKENIZER, rows, 4, "add-k", 0), "the", n=3)
    assert isinstance(found, Continuation) and found.probs[0] == 1
