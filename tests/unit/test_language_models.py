"""Language models keep to probability, n-grams equal a slow reference, samplers equal transformers', caches change nothing."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from src import assets, language_models
from src.language_models import (
    Continuation,
    DecodingState,
    GPTModel,
    LanguageData,
    LanguageModel,
    PretrainedModel,
    RecurrentModel,
    RecurrentNetwork,
    TextScore,
    count_next_words,
    keyboard_suggestions,
    likeliest_tokens,
    three_continuations,
    train_language_model,
    training_batches,
    window_start,
    windows,
)
from src.ngrams import NgramModel
from src.sampling import Sampler, repetition_penalty, temperature, top_k, top_p
from src.subwords import START, BytePairTokenizer
from src.text import tokenize_words
from src.topics import split_of
from src.transformer import GPT

WORDS = tokenize_words("the cat sat on the mat a dog ran to the park and the cat saw a small bird in the old tree near our house")
rng = random.Random(0)
ARTICLES = {f"article {i}": " ".join(rng.choices(WORDS, k=rng.randrange(5, 40))).capitalize() + "." for i in range(120)}
DATA = LanguageData.from_articles(ARTICLES, V=290)
TOKENIZER = DATA.tokenizer
V = TOKENIZER.V
TEXT = "The cat saw the old park."
UNSEEN = "Zürich, 日本: a cat ran and ran; the tree sat near the park and the dog saw our small old house."  # longer than a context


def tiny_gpt(use_cache: bool = True) -> GPTModel:
    torch.manual_seed(1)
    network = GPT(V, D=16, H=2, L=2, max_T=12)
    with torch.no_grad():
        network.words.weight *= 30  # an untrained one is so even that a mistake could not be seen
        network.positions.weight *= 30
    return GPTModel(network, TOKENIZER, use_cache)


def tiny_lstm(use_cache: bool = True) -> RecurrentModel:
    torch.manual_seed(1)
    network = RecurrentNetwork(V, D=16, L=2)
    with torch.no_grad():
        network.words.weight *= 10
    return RecurrentModel(network, TOKENIZER, use_cache)


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-trained model in small: one of SmolLM2's kind, with random weights, on disk as others keep theirs."""
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    LlamaForCausalLM(LlamaConfig(vocab_size=V, initializer_range=0.5, **sizes)).save_pretrained(folder)
    TOKENIZER.save(folder / "tokenizer.json")
    return folder


KINDS = ["unigram", "trigram", "add-k", "counted only", "lstm", "lstm without cache", "gpt", "gpt without cache", "pretrained"]


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, llama_folder: Path) -> LanguageModel:
    rows = DATA.rows["train"]
    return {
        "unigram": lambda: NgramModel(TOKENIZER, rows, 1),
        "trigram": lambda: NgramModel(TOKENIZER, rows, 3),
        "add-k": lambda: NgramModel(TOKENIZER, rows, 2, "add-k", 0.1),
        "counted only": lambda: NgramModel(TOKENIZER, rows, 2, "add-k", 0),
        "lstm": tiny_lstm,
        "lstm without cache": lambda: tiny_lstm(use_cache=False),
        "gpt": tiny_gpt,
        "gpt without cache": lambda: tiny_gpt(use_cache=False),
        "pretrained": lambda: PretrainedModel(llama_folder),
    }[request.param]()


# --- the interface, for every model --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "The", TEXT, UNSEEN])
def test_next_token_probabilities_sum_to_one(model: LanguageModel, text: str) -> None:
    probs = model.next_token_probs(TOKENIZER.encode(text))
    assert probs.shape == (V,)
    assert (probs >= 0).all()
    assert float(probs.sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("text", ["The", TEXT, UNSEEN])
def test_the_score_of_a_text_is_the_product_of_its_tokens_probabilities(model: LanguageModel, text: str) -> None:
    token_ids = TOKENIZER.encode(text)
    one_by_one = [float(model.next_token_probs(token_ids[:t])[token_ids[t]]) for t in range(len(token_ids))]
    expected = sum(math.log(p) if p else -math.inf for p in one_by_one)
    score = model.score(text)
    assert score.log_prob == pytest.approx(expected, rel=1e-4)
    assert (score.tokens, score.words, score.bytes) == (len(token_ids), len(text.split()), len(text.encode()))


@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_reading_in_pieces_gives_what_reading_at_once_gives(model: LanguageModel, pieces: int) -> None:
    token_ids = TOKENIZER.encode(UNSEEN)
    state = model.start()
    for begin in range(0, len(token_ids), pieces):
        logits = model.read(state, token_ids[begin : begin + pieces])
        until = state.token_ids[1:]
        assert_close(logits.softmax(-1), model.next_token_probs(until), atol=1e-5, rtol=1e-4)
    assert state.token_ids == [TOKENIZER.start_id, *token_ids]


def test_several_texts_score_the_sum_of_each(model: LanguageModel) -> None:
    texts = [TEXT, "A dog.", UNSEEN, "The"]
    together, alone = model.score(texts), sum(map(model.score, texts), TextScore())
    assert together.log_prob == pytest.approx(alone.log_prob, rel=1e-5)
    assert (together.tokens, together.words, together.bytes) == (alone.tokens, alone.words, alone.bytes)


def test_what_is_generated_carries_its_own_probabilities(model: LanguageModel) -> None:
    found = model.generate("The cat", 20, Sampler(temperature=1.2), seed=3)
    token_ids = TOKENIZER.encode("The cat")
    assert len(found.tokens) == len(found.token_ids) == len(found.probs) <= 20
    assert found.ended == (len(found.token_ids) < 20)
    for token_id, prob in zip(found.token_ids, found.probs, strict=True):
        assert float(model.next_token_probs(token_ids)[token_id]) == pytest.approx(prob, rel=1e-3)
        token_ids.append(token_id)
    assert TOKENIZER.decode(found.token_ids) == found.text
    assert found == model.generate("The cat", 20, Sampler(temperature=1.2), seed=3)


def test_three_continuations_differ_and_begin_with_different_tokens(model: LanguageModel) -> None:
    found = three_continuations(model, "The cat ", n=6, seed=0)
    assert len({c.text for c in found}) == len({c.token_ids[0] for c in found}) == len(found) == 3
    assert all(c.beginning == "The cat" and 1 <= len(c.tokens) <= 6 and c.text for c in found)
    assert found == three_continuations(model, "The cat", n=6, seed=0)
    assert TOKENIZER.start_id not in {c.token_ids[0] for c in found}


def test_a_text_without_words_is_refused(model: LanguageModel) -> None:
    with pytest.raises(ValueError, match="no word"):
        model.score(" \n ")


def test_greedy_takes_the_likeliest_token_each_time(model: LanguageModel) -> None:
    found = model.generate(TEXT, 5, Sampler.greedy())
    token_ids = TOKENIZER.encode(TEXT)
    for token_id in found.token_ids:
        assert token_id == int(model.next_token_probs(token_ids).argmax())
        token_ids.append(token_id)


def test_the_likeliest_tokens_come_first_with_their_probabilities(model: LanguageModel) -> None:
    probs = model.next_token_probs(TOKENIZER.encode("The cat"))
    found = likeliest_tokens(model, "The cat", 3)
    assert list(found.values()) == pytest.approx(sorted(probs.tolist(), reverse=True)[: len(found)])


# --- scores --------------------------------------------------------------------------------------------------------------


class Uniform(LanguageModel):
    """Finds all tokens equally likely."""

    tokenizer = TOKENIZER
    parameters = 0

    def read(self, state: DecodingState, token_ids: Sequence[int]) -> Tensor:
        state.token_ids += token_ids
        return torch.zeros(V)

    def log_probs(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        return [torch.full((len(row),), -math.log(V), dtype=torch.float64) for row in rows]


def test_the_perplexity_of_a_model_that_guesses_is_the_size_of_its_vocabulary() -> None:
    assert Uniform().score([TEXT, UNSEEN]).perplexity_per_token == pytest.approx(V)


def test_perplexities_and_bits_all_follow_from_the_total() -> None:
    score = TextScore(log_prob=-60 * math.log(2), tokens=20, words=10, bytes=40)
    assert score.perplexity_per_word == pytest.approx(64)  # six bits a word
    assert score.perplexity_per_token == pytest.approx(8)
    assert score.bits_per_byte == pytest.approx(1.5)
    assert score.bits_per_byte * score.bytes * math.log(2) == pytest.approx(score.words * math.log(score.perplexity_per_word))


def test_a_probability_of_zero_makes_the_perplexity_infinite() -> None:
    score = NgramModel(TOKENIZER, DATA.rows["train"], 2, "add-k", 0).score(["The cat sat on the mat.", "xylophone"])
    assert score.log_prob == -math.inf
    assert score.perplexity_per_word == score.perplexity_per_token == score.bits_per_byte == math.inf


def test_a_very_long_word_has_an_infinite_perplexity_and_no_error() -> None:
    assert Uniform().score("日" * 300).perplexity_per_word == math.inf


# --- n-grams: a slow reference -------------------------------------------------------------------------------------------


def slow_kneser_ney(rows: Sequence[Sequence[int]], order: int, context: tuple[int, ...], token: int) -> float:
    """Interpolated Kneser-Ney by its definition, every count taken anew from the texts."""
    padded = [[TOKENIZER.start_id] * (order - 1) + list(row) + [TOKENIZER.start_id] for row in rows]

    def runs(m: int) -> list[tuple[int, ...]]:
        """All runs of m tokens whose last one is predicted."""
        return [tuple(text[t - m + 1 : t + 1]) for text in padded for t in range(order - 1, len(text))]

    def counts_of(m: int) -> Counter[tuple[int, ...]]:
        return Counter(runs(m)) if m == order else Counter(run[1:] for run in set(runs(m + 1)))

    def prob(context: tuple[int, ...]) -> float:
        m = len(context) + 1
        shorter = prob(context[1:]) if context else 1 / V
        counts = counts_of(m)
        n1, n2 = (sum(count == n for count in counts.values()) for n in (1, 2))
        discount = n1 / (n1 + 2 * n2) if n1 else 0.5
        following = {run: count for run, count in counts.items() if run[:-1] == context}
        if not following:
            return shorter
        total = sum(following.values())
        return (max(counts[(*context, token)] - discount, 0) + discount * len(following) * shorter) / total

    return prob(context)


ROWS = st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=1, max_size=5)


@given(rows=ROWS, order=st.integers(1, 5), text=st.lists(st.integers(0, 7), max_size=6))
def test_kneser_ney_equals_its_definition(rows: list[list[int]], order: int, text: list[int]) -> None:
    model = NgramModel(TOKENIZER, rows, order)
    padded = [TOKENIZER.start_id] * (order - 1) + text
    expected = [slow_kneser_ney(rows, order, tuple(padded[t : t + order - 1]), text[t]) for t in range(len(text))]
    assert_close(model.log_probs([text])[0].exp(), torch.tensor(expected, dtype=torch.float64))
    probs = model.next_token_probs(text)
    context = tuple(padded[len(text) :])
    for token in range(8):
        assert float(probs[token]) == pytest.approx(slow_kneser_ney(rows, order, context, token))
    assert float(probs.sum()) == pytest.approx(1)
    assert (probs > 0).all(), "no token is impossible"


@given(rows=ROWS, order=st.integers(1, 4), text=st.lists(st.integers(0, 7), max_size=6), k=st.sampled_from([0.0, 0.01, 1.0]))
def test_add_k_equals_its_definition(rows: list[list[int]], order: int, text: list[int], k: float) -> None:
    before = [TOKENIZER.start_id] * (order - 1)
    padded = [[*before, *row, TOKENIZER.start_id] for row in rows]
    runs = Counter(tuple(row[t : t + order]) for row in padded for t in range(len(row) - order + 1))
    contexts: Counter[tuple[int, ...]] = Counter()
    for run, count in runs.items():
        contexts[run[:-1]] += count

    def prob(context: tuple[int, ...], token: int) -> float:
        total = contexts[context] + k * V
        return (runs[(*context, token)] + k) / total if total else 1 / V

    model = NgramModel(TOKENIZER, rows, order, "add-k", k)
    whole = [*before, *text]
    expected = [prob(tuple(whole[t : t + order - 1]), text[t]) for t in range(len(text))]
    assert_close(model.log_probs([text])[0].exp(), torch.tensor(expected, dtype=torch.float64))
    probs = model.next_token_probs(text)
    assert_close(probs, torch.tensor([prob(tuple(whole[len(text) :]), token) for token in range(V)], dtype=torch.float64))


def test_n_grams_of_many_orders_and_a_large_vocabulary_do_not_overflow() -> None:
    """Keys are made of the numbers of runs, not of products of token numbers: 290 ^ 12 would not fit into 64 bits."""
    rows = DATA.rows["train"]
    counted = NgramModel(TOKENIZER, rows, 12, "add-k", 0)
    expected = Counter(row[11] for row in rows if row[:11] == rows[0][:11])
    assert float(counted.next_token_probs(rows[0][:11])[rows[0][11]]) == expected[rows[0][11]] / expected.total()
    assert counted.score(DATA.texts["train"]).log_prob > NgramModel(TOKENIZER, rows, 6, "add-k", 0).score(DATA.texts["train"]).log_prob


def test_a_token_after_many_others_is_likelier_than_one_after_few_when_counts_are_equal() -> None:
    """Kneser-Ney's own point: "Francisco" is as frequent as "tea" here, but only ever after "San"."""
    san, francisco, tea = 10, 11, 12
    rows = [[san, francisco]] * 5 + [[other, tea] for other in range(20, 25)]
    probs = NgramModel(TOKENIZER, rows, 2).next_token_probs([30])  # after a token never seen
    assert probs[tea] > 2 * probs[francisco]


def test_zeros_go_where_smoothing_comes() -> None:
    counted = NgramModel(TOKENIZER, DATA.rows["train"], 3, "add-k", 0).score(DATA.texts["test"])
    assert counted.log_prob == -math.inf
    for smoothed in (NgramModel(TOKENIZER, DATA.rows["train"], 3), NgramModel(TOKENIZER, DATA.rows["train"], 3, "add-k", 0.01)):
        assert math.isfinite(smoothed.score(DATA.texts["test"]).perplexity_per_word)


def test_an_n_gram_model_counts_its_counts() -> None:
    assert NgramModel(TOKENIZER, [[5, 6]], 2).parameters == 3 + 3  # 5, 6, END; START 5, 5 6, 6 END


@pytest.mark.parametrize(
    ("order", "smoothing", "k", "message"),
    [
        (0, "kneser-ney", 0, "the order is 0"),
        (2, "good-turing", 0, "no smoothing 'good-turing'"),
        (2, "add-k", -1, "k is -1"),
        (2, "kneser-ney", 0.5, "k is 0.5 with kneser-ney"),
    ],
)
def test_impossible_n_grams_are_told(order: int, smoothing: str, k: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NgramModel(TOKENIZER, DATA.rows["train"], order, smoothing, k)


def test_rows_that_cannot_be_counted_are_told() -> None:
    with pytest.raises(ValueError, match="no text to count"):
        NgramModel(TOKENIZER, [], 2)
    with pytest.raises(ValueError, match=f"token {V} is not among the {V}"):
        NgramModel(TOKENIZER, [[5, V]], 2)


# --- the vocabulary and the data -----------------------------------------------------------------------------------------


@given(st.text())
def test_every_text_comes_back_and_nothing_is_unknown(text: str) -> None:
    token_ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(token_ids) == text
    assert TOKENIZER.start_id not in token_ids
    assert token_ids == TOKENIZER.encode_all([text])[0]


def test_the_name_of_start_in_a_text_is_only_text() -> None:
    token_ids = TOKENIZER.encode(f"before {START} after")
    assert TOKENIZER.start_id not in token_ids
    assert TOKENIZER.decode(token_ids) == f"before {START} after"
    assert "".join(TOKENIZER.pieces(token_ids)) == f"before {START} after"


def test_the_vocabulary_is_learned_the_same_each_time_and_from_training_texts_only() -> None:
    assert BytePairTokenizer.train(DATA.texts["train"], 290) == TOKENIZER
    assert BytePairTokenizer.train(DATA.texts["test"], 290) != TOKENIZER
    assert V == 290
    assert len(TOKENIZER.encode(" the")) == 1, "the most frequent word is one token, with the blank before it"


def test_a_vocabulary_smaller_than_the_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 257"):
        BytePairTokenizer.train(["a"], 256)


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert LanguageData.from_articles(ARTICLES, 290, tmp_path / "cache").rows == DATA.rows


def test_the_cache_keeps_the_vocabulary_of_these_texts_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = LanguageData.from_articles(ARTICLES, 290, tmp_path)
    other = LanguageData.from_articles({title: text.replace("cat", "owl") for title, text in ARTICLES.items()}, 290, tmp_path)
    assert other.tokenizer != first.tokenizer
    monkeypatch.setattr(BytePairTokenizer, "train", None)  # from now on it could not be learned again
    assert LanguageData.from_articles(ARTICLES, 290, tmp_path).tokenizer == first.tokenizer == TOKENIZER
    assert len(list(tmp_path.rglob("*.json"))) == len([file for file in tmp_path.rglob("*") if file.is_file()]) == 2


def test_each_article_is_in_one_split_as_for_the_topics() -> None:
    assert sum(map(len, DATA.texts.values())) == len(ARTICLES)
    for split, texts in DATA.texts.items():
        assert texts == [text for title, text in ARTICLES.items() if split_of(title) == split]
        assert [TOKENIZER.decode(row) for row in DATA.rows[split]] == texts


def test_the_introductions_are_split_and_their_vocabulary_is_the_same_in_every_process() -> None:
    data = LanguageData.load()
    assert data.tokenizer.V == 4000
    assert {split: len(texts) for split, texts in data.texts.items()} == {"train": 7102, "development": 960, "test": 1971}
    assert BytePairTokenizer.train(data.texts["train"], 4000) == data.tokenizer, "the cached one may come from another process"
    assert all(data.tokenizer.decode(row) == text for row, text in zip(data.rows["test"], data.texts["test"], strict=True))


def test_training_rows_are_texts_one_after_another_and_begin_where_texts_do() -> None:
    rows = [[1000 + i] * 3 + [2000 + i] * 4 for i in range(9)]
    batches = training_batches(rows, start_id=0, T=5, batch_size=4, seed=0)
    seen = torch.cat([next(batches) for _ in range(4)])
    assert seen.shape == (16, 6)
    for row in seen.tolist():
        assert row[0] == 0 or (row[0] == row[1] and row[0] >= 2000), "at a text's start, or five tokens into it"
        for token, after in itertools.pairwise(row):
            if token >= 2000:
                assert after in (token, 0), "a text goes on, or ends"
            elif token == 0:
                assert after < 2000, "another text begins"
    assert len({tuple(row) for row in seen.tolist()}) > 8
    again = training_batches(rows, start_id=0, T=5, batch_size=4, seed=0)
    assert torch.equal(seen, torch.cat([next(again) for _ in range(4)]))


def test_too_little_text_for_a_batch_is_told() -> None:
    with pytest.raises(ValueError, match="use more text"):
        next(training_batches([[5, 6, 7]], 0, T=8, batch_size=4, seed=0))


# --- windows and caches --------------------------------------------------------------------------------------------------


@given(T=st.integers(0, 80), context=st.one_of(st.none(), st.integers(1, 20)))
def test_windows_predict_every_place_once_from_where_reading_one_by_one_begins(T: int, context: int | None) -> None:
    places = []
    for begin, first, end in windows(T, context):
        assert begin <= first < end
        assert context is None or end - begin <= context
        assert all(window_start(place, context) == begin for place in range(first, end))
        places += range(first, end)
    assert places == list(range(T))


def test_a_cache_reads_each_token_once_while_the_window_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def tokens_read(model: GPTModel) -> list[int]:
        read: list[int] = []
        logits = model.logits
        monkeypatch.setattr(model, "logits", lambda token_ids, state=None: (read.append(token_ids.shape[1]), logits(token_ids, state))[1])
        model.generate("The", 8, Sampler.greedy())
        return read

    n = 1 + len(TOKENIZER.encode("The"))
    assert tokens_read(tiny_gpt()) == [n] + [1] * 7
    assert tokens_read(tiny_gpt(use_cache=False)) == list(range(n, n + 8))


def test_cache_or_not_writes_the_same_beyond_the_context() -> None:
    sampler = Sampler(temperature=0.9, top_k=20)
    for make in (tiny_gpt, tiny_lstm):
        with_cache, without = (make(use_cache).generate("The cat", 60, sampler, 5) for use_cache in (True, False))
        assert with_cache.token_ids == without.token_ids
        assert with_cache.probs == pytest.approx(without.probs, rel=1e-3)


def test_scoring_in_many_batches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*DATA.rows["test"][:6], []]
    expected = tiny_gpt().log_probs(rows)
    monkeypatch.setattr(language_models, "MOST_LOGITS", 1)  # every window by itself
    for row, other in zip(expected, tiny_gpt().log_probs(rows), strict=True):
        assert_close(row, other, atol=1e-5, rtol=1e-5)


def test_pretrained_equals_what_transformers_itself_computes(llama_folder: Path) -> None:
    network = LlamaForCausalLM.from_pretrained(llama_folder).eval()
    token_ids = torch.tensor([[TOKENIZER.start_id, *TOKENIZER.encode(TEXT)]])
    with torch.no_grad():
        loss = float(network(token_ids, labels=token_ids).loss)
    assert PretrainedModel(llama_folder).score(TEXT).perplexity_per_token == pytest.approx(math.exp(loss), rel=1e-4)


def test_pretrained_writes_what_transformers_itself_writes(llama_folder: Path) -> None:
    network = LlamaForCausalLM.from_pretrained(llama_folder).eval()
    token_ids = torch.tensor([[TOKENIZER.start_id, *TOKENIZER.encode(TEXT)]])
    expected = network.generate(token_ids, max_new_tokens=12, do_sample=False, eos_token_id=TOKENIZER.start_id, pad_token_id=0)
    found = PretrainedModel(llama_folder).generate(TEXT, 12, Sampler.greedy())
    written = expected[0, token_ids.shape[1] :].tolist()
    assert list(found.token_ids) == [token_id for token_id in written if token_id != TOKENIZER.start_id]


def test_smollm2_knows_a_capital_and_cuts_words_as_its_makers_do() -> None:
    model = PretrainedModel()
    theirs = AutoTokenizer.from_pretrained(assets.path("smollm2"))
    assert model.tokenizer.encode(UNSEEN) == theirs(UNSEEN, add_special_tokens=False)["input_ids"]
    assert list(likeliest_tokens(model, "Everybody knows that the capital of France is", 1)) == [" Paris"]
    assert model.parameters == pytest.approx(135e6, rel=0.01)


def test_a_folder_without_a_vocabulary_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no tokenizer at .*tokenizer\.json"):
        BytePairTokenizer.load(tmp_path / "tokenizer.json")


# --- samplers: transformers' own ----------------------------------------------------------------------------------------


def some_logits(seed: int) -> Tensor:
    """Random logits, with ties among them (rounded), and some tokens impossible."""
    logits = 3 * torch.randn(40, generator=torch.Generator().manual_seed(seed))
    if seed % 2:
        logits = logits.round()
    if seed % 3 == 0:
        logits[::7] = -math.inf
    return logits


SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("t", [0.01, 0.7, 1.0, 3.0])
def test_temperature_equals_the_librarys(seed: int, t: float) -> None:
    logits = some_logits(seed)
    assert torch.equal(temperature(logits, t), TemperatureLogitsWarper(t)(None, logits[None])[0])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("k", [1, 2, 5, 39, 40, 100])
def test_top_k_equals_the_librarys(seed: int, k: int) -> None:
    logits = some_logits(seed)
    assert torch.equal(top_k(logits, k), TopKLogitsWarper(k)(None, logits[None])[0])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("p", [0.0, 1e-6, 0.3, 0.5, 0.9, 0.999, 1.0])
def test_top_p_equals_the_librarys(seed: int, p: float) -> None:
    logits = some_logits(seed)
    assert torch.equal(top_p(logits, p), TopPLogitsWarper(p)(None, logits[None])[0])


@pytest.mark.parametrize("logits", [torch.zeros(8), torch.tensor([0.0, 0.0, -1.0, -1.0]), torch.tensor([5.0])])
@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_ties_at_the_edge_of_top_p_and_top_k_go_as_in_the_library(logits: Tensor, p: float) -> None:
    assert torch.equal(top_p(logits, p), TopPLogitsWarper(p)(None, logits[None])[0])
    assert torch.equal(top_k(logits, 3), TopKLogitsWarper(3)(None, logits[None])[0])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.3, 10.0])
@pytest.mark.parametrize("token_ids", [[0], [3, 3, 5, 39], list(range(40))])
def test_repetition_penalty_equals_the_librarys(seed: int, penalty: float, token_ids: list[int]) -> None:
    logits = some_logits(seed)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([token_ids]), logits[None])[0]
    assert torch.equal(repetition_penalty(logits, token_ids, penalty), expected)


def test_samplers_leave_what_they_are_given_as_it_is() -> None:
    logits = some_logits(0)
    before = logits.clone()
    Sampler(0.5, top_k=3, top_p=0.5, repetition_penalty=2.0).probs(logits, [1, 2])
    assert torch.equal(logits, before)


def test_a_penalty_for_nothing_said_yet_changes_nothing() -> None:
    logits = some_logits(1)
    assert torch.equal(repetition_penalty(logits, [], 2.0), logits)


def test_the_steps_of_a_sampler_come_in_the_librarys_order() -> None:
    logits, token_ids = some_logits(2), [4, 9, 9]
    expected = RepetitionPenaltyLogitsProcessor(1.4)(torch.tensor([token_ids]), logits[None])
    for warper in (TemperatureLogitsWarper(0.6), TopKLogitsWarper(12), TopPLogitsWarper(0.8)):
        expected = warper(None, expected)
    found = Sampler(temperature=0.6, top_k=12, top_p=0.8, repetition_penalty=1.4).probs(logits, token_ids)
    assert_close(found, expected.softmax(-1)[0])


def test_a_sampler_draws_by_its_probabilities() -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(Sampler()(logits, [], generator) for _ in range(4000))
    for token, prob in enumerate([0.1, 0.2, 0.3, 0.4]):
        assert drawn[token] / 4000 == pytest.approx(prob, abs=0.03)  # four standard deviations
    assert {Sampler(top_k=2)(logits, [], generator) for _ in range(200)} == {2, 3}
    assert {Sampler.greedy()(logits, [], generator) for _ in range(20)} == {3}


def test_a_penalty_breaks_a_loop() -> None:
    logits = torch.tensor([2.0, 1.9, 0.0])
    assert int(Sampler.greedy().probs(logits, [0]).argmax()) == 0
    assert int(Sampler.greedy(repetition_penalty=1.2).probs(logits, [0]).argmax()) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda logits: temperature(logits, 0), "temperature is 0"),
        (lambda logits: top_k(logits, 0), "k is 0"),
        (lambda logits: top_p(logits, 1.5), "p is 1.5"),
        (lambda logits: repetition_penalty(logits, [0], 0), "penalty is 0"),
    ],
)
def test_impossible_settings_are_told(wrong, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong(torch.zeros(5))


# --- training ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: RecurrentNetwork(V, D=32), lambda: GPT(V, D=32, H=2, L=1, max_T=32)])
def test_an_untrained_network_guesses(make) -> None:
    torch.manual_seed(0)
    network = make()
    model = (RecurrentModel if isinstance(network, RecurrentNetwork) else GPTModel)(network, TOKENIZER)
    assert model.score(DATA.texts["test"]).perplexity_per_token == pytest.approx(V, rel=0.1)


@pytest.mark.parametrize("kind", [RecurrentModel, GPTModel])
def test_training_teaches_and_a_saved_model_scores_the_same(kind: type, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = kind(RecurrentNetwork(V, D=32) if kind is RecurrentModel else GPT(V, D=32, H=2, L=1, max_T=32), TOKENIZER)
    entries: list[dict] = []
    run = train_language_model(model, DATA, None, folder=tmp_path, report=entries.append, batch_size=4, steps=150)
    assert run is model.run
    assert run.finished
    assert run.history == entries
    assert entries[-1]["unit"] == "tokens"
    trained = model.score(DATA.texts["test"])
    assert trained.perplexity_per_token < V / 4
    assert trained.perplexity_per_token < NgramModel(TOKENIZER, DATA.rows["train"], 1).score(DATA.texts["test"]).perplexity_per_token
    development = model.score(DATA.texts["development"][: language_models.DEVELOPMENT])
    assert entries[-1]["perplexity_per_word"] == pytest.approx(development.perplexity_per_word)
    loaded = kind.load(tmp_path)
    assert loaded.tokenizer == TOKENIZER
    assert loaded.run.history == run.history
    assert loaded.parameters == model.parameters
    assert loaded.score(DATA.texts["test"]).log_prob == pytest.approx(trained.log_prob, rel=1e-2)  # half precision
    assert (tmp_path / "model.safetensors").stat().st_size < 2.1 * model.parameters + 4000


def test_models_of_another_class_or_vocabulary_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not been trained"):
        tiny_gpt().save(tmp_path)
    lstm = tiny_lstm()
    train_language_model(lstm, DATA, None, folder=tmp_path, batch_size=2, steps=1)
    with pytest.raises(ValueError, match="class RecurrentNetwork, not GPT"):
        GPTModel.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0", "trunc')
    with pytest.raises(ValueError, match=r"tokenizer\.json is damaged \("):
        RecurrentModel.load(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(FileNotFoundError, match="no tokenizer at"):
        RecurrentModel.load(tmp_path)
    with pytest.raises(ValueError, match=f"scores 7 tokens and the vocabulary has {V}"):
        RecurrentModel(RecurrentNetwork(7, D=8), TOKENIZER)
    other = BytePairTokenizer.train(DATA.texts["test"], V)
    with pytest.raises(ValueError, match="different vocabularies"):
        train_language_model(RecurrentModel(RecurrentNetwork(V, D=8), other), DATA, minutes=1)


# --- suggestions ---------------------------------------------------------------------------------------------------------


def test_a_phone_keyboard_suggests_what_followed_the_last_word_most_often() -> None:
    following = count_next_words(["The cat sat. The cat ran.", "the dog; A cat sat"])
    assert keyboard_suggestions(following, "I saw the") == pytest.approx({"cat": 2 / 3, "dog": 1 / 3})
    assert list(keyboard_suggestions(following, "Cat", 1)) == ["sat"]
    assert "sat" not in following, "it ends every sentence"
    for nothing in ("", "...", "zebra"):
        assert keyboard_suggestions(following, nothing) == {}


def test_a_keyboard_knows_one_word_where_a_model_knows_the_sentence() -> None:
    rows = TOKENIZER.encode_all(["one a b one"] * 3 + ["two a c two"] * 4)
    model = NgramModel(TOKENIZER, rows, 8)
    following = count_next_words(["one a b one"] * 3 + ["two a c two"] * 4)
    assert list(keyboard_suggestions(following, "one a", 1)) == ["c"]
    assert next(iter(likeliest_tokens(model, "one a", 2))) in (" b", " ")
    assert model.generate("one a", 4, Sampler.greedy()).text.startswith(" b")


def test_a_model_with_one_way_to_go_on_gives_one_continuation() -> None:
    rows = TOKENIZER.encode_all(["the cat sat"])
    found = three_continuations(NgramModel(TOKENIZER, rows, 4, "add-k", 0), "the", n=3)
    assert len(found) == 1
    assert isinstance(found[0], Continuation)
    assert found[0].probs[0] == 1
