"""word2vec: pairs, losses and gradients against slow and obvious versions; whole trainings."""

import json
import math
from itertools import chain

import numpy as np
import pytest
import torch
from gensim.models import Word2Vec
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save
from torch.nn import functional as F

from src.assets import load_passages
from src.embeddings import WordVectors, evaluate_similarity
from src.text import tokenize_words
from src.word2vec import (
    CBOW,
    SkipGram,
    Word2VecRun,
    context_windows,
    from_gensim,
    load_sentences,
    load_word2vec,
    nearest_words,
    noise_distribution,
    save_word2vec,
    shared_neighbours,
    subsampling_keep,
    train_word2vec,
    training_pairs,
)
from src.word2vec_engine import AdagradRows, Batch, EncodedText, batch_loss, cut_blocks

IDS = st.lists(st.integers(0, 20), max_size=12)


# --- pairs ---------------------------------------------------------------------------------------


def pairs_one_by_one(token_ids: list[int], reach: list[int]) -> list[tuple[int, int]]:
    """Every word with every other word of the sentence that is near enough."""
    return [
        (token_ids[i], token_ids[j])
        for i in range(len(token_ids))
        for j in range(len(token_ids))
        if i != j and abs(i - j) <= reach[i]
    ]


class FixedReach:
    """A random generator that has decided: the reaches it gives are known beforehand."""

    def __init__(self, window: int):
        self.window, self.given = window, np.arange(0)

    def integers(self, low: int, high: int, size: int) -> np.ndarray:
        assert (low, high) == (1, self.window + 1)
        self.given = np.arange(size) * 7 % self.window + 1
        return self.given


@given(IDS, st.integers(1, 5))
def test_pairs_and_windows_are_those_found_one_by_one(token_ids, window):
    fixed = FixedReach(window)
    whole, drawn = training_pairs(token_ids, window), training_pairs(token_ids, window, fixed)
    expected = pairs_one_by_one(token_ids, [window] * len(token_ids))
    assert list(map(tuple, whole)) == expected and whole.dtype == np.int64
    assert list(map(tuple, drawn)) == pairs_one_by_one(token_ids, fixed.given.tolist())
    contexts, mask = context_windows(token_ids, window)
    assert contexts.shape == mask.shape == (len(token_ids), 2 * window)
    assert not contexts[~mask].any() and contexts[mask].tolist() == whole[:, 1].tolist()
    assert np.repeat(token_ids, mask.sum(1)).tolist() == whole[:, 0].tolist()


def test_near_words_come_up_more_often_when_each_centre_draws_its_reach():
    pairs = training_pairs(np.arange(40_000), 4, np.random.default_rng(0))
    shares = np.bincount(abs(pairs[:, 0] - pairs[:, 1])) / 80_000
    # A neighbour at distance d is reached in 5 - d of 4 cases.
    assert shares == pytest.approx([0, 1, 3 / 4, 2 / 4, 1 / 4], abs=0.01)


@given(st.lists(IDS, min_size=1, max_size=6), st.integers(1, 4), st.integers(1, 5))
def test_blocks_hold_the_pairs_of_all_sentences_and_none_across_them(sentences, window, L):
    token_ids = np.array(list(chain.from_iterable(sentences)), dtype=np.int64)
    numbers = np.repeat(np.arange(len(sentences)), list(map(len, sentences)))
    reach = FixedReach(window).integers(1, window + 1, len(token_ids))
    chosen = np.arange(-(-len(token_ids) // L))
    centres, contexts, pairs = cut_blocks(token_ids, numbers, reach, chosen, window, L)
    block, centre, context = pairs.nonzero()
    found = zip(centres[block, centre].tolist(), contexts[block, context].tolist(), strict=True)
    reaches = np.split(reach, np.cumsum(list(map(len, sentences)))[:-1])
    of_each = map(pairs_one_by_one, sentences, (each.tolist() for each in reaches))
    assert list(found) == list(chain.from_iterable(of_each))


def test_the_sentences_are_those_of_the_introductions():
    words = chain.from_iterable(tokenize_words(page.text) for page in load_passages().values())
    assert list(chain.from_iterable(load_sentences())) == list(words)


# --- probabilities -------------------------------------------------------------------------------


def test_frequent_words_are_thinned_out_as_in_the_paper():
    counts, t = np.array([7000, 2000, 900, 90, 10]), 1e-2
    # Distributed representations, equation 5.
    discarded = [max(0.0, 1 - math.sqrt(t / (count / 10_000))) for count in counts.tolist()]
    keep = subsampling_keep(counts, t)
    assert keep == pytest.approx([1 - p for p in discarded])
    assert keep[3:].tolist() == [1, 1] and (subsampling_keep(counts, 0) == 1).all()


def test_noise_follows_the_counts_to_the_power_of_three_quarters():
    noise = noise_distribution([16, 81, 0, 1])
    assert noise == pytest.approx([8 / 36, 27 / 36, 0, 1 / 36]) and noise.sum() == pytest.approx(1)
    assert noise_distribution([1, 3], power=1.0) == pytest.approx([0.25, 0.75])


def test_noise_is_drawn_as_distributed():
    noise = noise_distribution([500, 300, 150, 50])
    text = EncodedText(np.tile(np.arange(4), 2000), np.repeat(np.arange(2000), 4), 8000)
    drawn = np.zeros(4)
    for batch in text.batches(2, np.ones(4), noise, np.random.default_rng(0)):
        drawn += np.bincount(batch.noise, minlength=4)
        if batch.epoch >= 60:
            break
    assert drawn / drawn.sum() == pytest.approx(noise, abs=0.01)


def test_a_pass_keeps_words_as_often_as_told():
    token_ids = (np.random.default_rng(0).random(100_000) < 0.1).astype(np.int64)
    text = EncodedText(token_ids, np.zeros(100_000, dtype=np.int64), 100_000)
    seen, keep = np.zeros(2), np.array([0.2, 0.7])
    for batch in text.batches(1, keep, np.full(2, 0.5), np.random.default_rng(1)):
        if batch.epoch >= 1:
            break
        seen += np.bincount(batch.centres[batch.pairs.any(-1)], minlength=2)
    assert seen / np.bincount(token_ids) == pytest.approx(keep, rel=0.03)


# --- the two models ------------------------------------------------------------------------------


def random_model(kind: type, V: int = 7, D: int = 3) -> torch.nn.Module:
    torch.manual_seed(0)
    model = kind(V, D).double()
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    return model


def layers_of(model: torch.nn.Module) -> list[np.ndarray]:
    return [weight.detach().numpy() for weight in (model.embeddings.weight, model.output.weight)]


def test_every_word_is_equally_likely_at_the_start():
    centres, contexts = torch.tensor([0, 1, 2]), torch.tensor([1, 2, 3])
    model, negatives = SkipGram(V=50, D=8), torch.zeros(3, 5, dtype=torch.int64)
    assert F.cross_entropy(model(centres), contexts).item() == pytest.approx(math.log(50))
    loss = model.negative_sampling_loss(centres, contexts, negatives)
    assert loss.item() == pytest.approx(6 * math.log(2))
    assert model.embeddings.weight.abs().max() <= 0.5 / 8 and model.embeddings.weight.std() > 0.02


def test_skipgram_scores_are_dot_products_and_cbow_those_of_the_mean():
    skipgram, cbow = random_model(SkipGram), random_model(CBOW)
    first, second = layers_of(skipgram)
    np.testing.assert_allclose(skipgram(torch.tensor([4, 2])).detach(), first[[4, 2]] @ second.T)
    contexts = torch.tensor([[1, 5, 0], [3, 0, 0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    first, second = layers_of(cbow)
    means = np.stack([(first[1] + first[5]) / 2, first[3]])
    np.testing.assert_allclose(cbow(contexts, mask).detach(), means @ second.T)
    of_all = (first[1] + first[5] + first[0]) / 3
    np.testing.assert_allclose(cbow(contexts).detach()[0], of_all @ second.T)


@pytest.mark.parametrize("negatives", [[[4, 4, 6], [1, 0, 2]], [4, 4, 6]])
def test_the_negative_sampling_loss_is_the_sum_one_writes_as_a_loop(negatives):
    model, centres, contexts = random_model(SkipGram), [0, 3], [1, 2]
    first, second = layers_of(model)

    def log_sigmoid(x: float) -> float:
        return -math.log(1 + math.exp(-x))

    total = 0.0
    for i, (centre, context) in enumerate(zip(centres, contexts, strict=True)):
        total -= log_sigmoid(second[context] @ first[centre])
        for negative in negatives[i] if isinstance(negatives[0], list) else negatives:
            total -= 0.5 * log_sigmoid(-second[negative] @ first[centre])
    tensors = map(torch.tensor, (centres, contexts, negatives))
    loss = model.negative_sampling_loss(*tensors, weight=0.5)
    assert loss.item() == pytest.approx(total / 2)


# --- fast training against the models ------------------------------------------------------------


@pytest.fixture
def batch() -> Batch:
    """Of a text of 150 words and 12 sentences, in double precision."""
    rng = np.random.default_rng(0)
    text = EncodedText(rng.integers(0, 9, 150), np.sort(rng.integers(0, 12, 150)), 150)
    batch = next(text.batches(3, np.ones(9), np.full(9, 1 / 9), np.random.default_rng(1)))
    batch.pairs = batch.pairs.double()
    return batch


@pytest.mark.parametrize(("architecture", "kind"), [("skipgram", SkipGram), ("cbow", CBOW)])
def test_the_fast_loss_and_its_gradients_are_those_of_the_model(architecture, kind, batch):
    model, noise = random_model(kind, V=9, D=4), batch.noise
    if kind is SkipGram:
        block, centre, context = batch.pairs.nonzero(as_tuple=True)
        contexts = batch.contexts[block, context]
        loss = model.negative_sampling_loss(batch.centres[block, centre], contexts, noise, 0.3)
    else:
        block, centre = batch.pairs.any(-1).nonzero(as_tuple=True)
        mask, centres = batch.pairs[block, centre] > 0, batch.centres[block, centre]
        loss = model.negative_sampling_loss(batch.contexts[block], centres, noise, mask, 0.3)
    (loss * batch.targets(architecture)).backward()

    weights = model.embeddings.weight, model.output.weight
    layers = [AdagradRows(weight.detach()) for weight in weights]
    fast = batch_loss(architecture, *layers, batch, weight=0.3)
    fast.backward()
    assert fast.item() == pytest.approx(loss.item() * batch.targets(architecture))
    for layer, weight in zip(layers, weights, strict=True):
        found = torch.zeros_like(weight).index_add_(0, layer.used, layer.rows.grad)
        torch.testing.assert_close(found, weight.grad)


def test_a_step_moves_each_row_by_its_gradient_over_the_root_of_all_its_squares():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(5, 3))
    layer, squares = AdagradRows(torch.from_numpy(weights.copy()).float()), np.zeros(5)
    for _ in range(3):
        token_ids, more = rng.integers(0, 4, (2, 3)), rng.integers(0, 4, 2)
        factors = rng.normal(size=(8, 3))
        vectors, others = layer.take(torch.from_numpy(token_ids), torch.from_numpy(more))
        np.testing.assert_allclose(vectors.detach(), weights[token_ids], rtol=1e-5)
        np.testing.assert_allclose(others.detach(), weights[more], rtol=1e-5)
        both = torch.cat([vectors.reshape(6, 3), others])
        (both * torch.from_numpy(factors).float()).sum().backward()
        layer.step(learning_rate=0.1)
        gradients = np.zeros((5, 3))
        for token_id, factor in zip([*token_ids.flatten(), *more], factors, strict=True):
            gradients[token_id] += factor
        squares += (gradients**2).sum(1)
        weights -= 0.1 * gradients / np.sqrt(np.maximum(squares, 1e-30))[:, None]
    np.testing.assert_allclose(layer.weights, weights, rtol=1e-4)


# --- whole trainings -----------------------------------------------------------------------------

SUBJECTS = [
    ["bread", "cheese", "butter", "milk"],
    ["car", "wheel", "road", "engine"],
    ["rain", "cloud", "storm", "wind"],
]


def sentences_about_three_things(n: int = 600) -> list[list[str]]:
    """Each sentence keeps to one subject, so that only words of a subject are neighbours."""
    rng = np.random.default_rng(0)
    return [[str(word) for word in rng.choice(SUBJECTS[rng.integers(3)], 4)] for _ in range(n)]


SMALL = {"D": 12, "window": 3, "subsample": 0, "epochs": 20}


def subjects_found(run: Word2VecRun) -> int:
    """For how many of the words the three nearest are the three others of their subject."""
    wv, others = run.word_vectors(), {word: set(group) for group in SUBJECTS for word in group}
    return sum({word, *wv.get_top_similar(word, 3)} == others[word] for word in others)


@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_training_finds_which_words_belong_together_and_tells_of_it_as_it_goes(architecture):
    told: list[dict] = []
    report = {"report": lambda entry: told.append(dict(entry))}
    run = train_word2vec(sentences_about_three_things(), architecture, **SMALL, **report)
    assert subjects_found(run) == 12
    assert run.embeddings.shape == run.output.shape == (12, 12)
    assert run.embeddings.dtype == np.float32
    losses = [entry["loss"] for entry in run.history]
    assert losses[0] == pytest.approx(6 * math.log(2), abs=0.01) and losses[-1] < 0.75 * losses[0]
    assert told == run.history and run.finished and len(told) > 50
    first, last = told[0], told[-1]
    assert (first["step"], first["epoch"], first["phase"]) == (1, 0, "training")
    assert (last["epoch"], last["phase"], last["seconds"]) == (20, "finished", run.seconds)
    for name in ("step", "epoch", "seconds"):
        assert [entry[name] for entry in told] == sorted(entry[name] for entry in told)
    assert run.words_per_second == pytest.approx(2400 * 20 / run.seconds)
    rates = [entry["learning_rate"] for entry in told[:-1]]
    assert max(rates) <= run.settings["learning_rate"] and rates[-1] < 0.1 * max(rates)


def test_the_same_seed_gives_the_same_vectors_and_leaves_the_readers_random_numbers_alone():
    sentences, made, drawn = sentences_about_three_things(60), [], []
    for seed in (1, 1, 2):
        torch.manual_seed(5)
        run = train_word2vec(sentences, seed=seed, **SMALL)
        made.append(np.concatenate([run.embeddings, run.output]))
        drawn.append(torch.rand(3).tolist())
    torch.manual_seed(5)
    assert drawn == [torch.rand(3).tolist()] * 3
    assert np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])


def test_training_ends_when_its_minutes_are_over_and_reports_take_none_of_them(
    ticking_clock,
):
    def report(entry: dict):
        ticking_clock.now += 60

    run = train_word2vec(sentences_about_three_things(200), minutes=10 / 60, report=report, **SMALL)
    assert run.seconds == pytest.approx(10, abs=0.05) and run.finished
    assert run.history[-1]["planned_seconds"] == 10 and run.history[-1]["epoch"] > 1
    assert run.words_per_second == pytest.approx(800 * run.history[-1]["epoch"] / run.seconds)


def test_an_interrupt_keeps_what_was_learned():
    def stop(entry: dict):
        if entry["epoch"] >= 10 and entry["phase"] == "training":
            raise KeyboardInterrupt

    run = train_word2vec(sentences_about_three_things(), report=stop, **SMALL)
    assert not run.finished
    assert run.history[-1]["phase"] == "stopped"
    assert run.history[-1]["epoch"] < 12
    assert run.embeddings.any() and run.output.any()


def test_a_model_of_gensims_is_a_run_like_ours():
    sentences = sentences_about_three_things()
    options = {"sg": 1, "vector_size": 12, "window": 3, "negative": 5, "sample": 0, "epochs": 20}
    model = Word2Vec(sentences, min_count=5, alpha=0.2, seed=0, workers=1, **options)
    run, ours = from_gensim(model, seconds=2.0), train_word2vec(sentences, **SMALL)
    assert subjects_found(run) == 12 and run.finished and run.architecture == "skipgram"
    assert run.words_per_second == 2400 * 20 / 2 and run.history[-1]["epoch"] == 20
    assert run.vocabulary.counts.sum() == 2400 and run.output.shape == (12, 12)
    assert run.settings == ours.settings | {"learning_rate": 0.2, "workers": 1}
    assert set(run.vocabulary) == set(ours.vocabulary)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window is 0; it must be 1 or more"),
        ({"epochs": 0}, "epochs is 0"),
        ({"minutes": math.nan}, "minutes is nan"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"subsample": -1.0}, "subsample is -1.0"),
        ({"architecture": "glove"}, "no architecture 'glove'; there are skipgram, cbow"),
        ({"min_count": 9}, "no word occurs 9 times or more in 2 sentences"),
        ({"sentences": []}, "no word is there in 0 sentences"),
        ({"sentences": [["one"], ["one"]]}, "no sentence has two words"),
        ({"sentences": ["a string"]}, "'a string'; give every sentence as a list of words"),
    ],
)
def test_what_cannot_be_learned_from_is_said_in_one_sentence(options, message):
    given = {"sentences": [["a", "b"], ["a", "b"]], "min_count": 1} | options
    with pytest.raises(ValueError) as error:
        train_word2vec(**given)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_text_whose_words_are_nearly_all_thinned_out_still_ends():
    run = train_word2vec([["a", "b"]] * 3, min_count=1, subsample=1e-12, epochs=3, D=2)
    assert run.finished and run.history[-1]["epoch"] == 3


def test_a_learning_rate_that_is_far_too_high_is_named():
    with pytest.raises(ValueError, match="train with a learning_rate below"):
        train_word2vec(sentences_about_three_things(), learning_rate=1e38, **SMALL)


# --- two sets of vectors side by side ------------------------------------------------------------


def test_nearest_words_are_of_the_list_and_their_shared_part_has_its_interval():
    wv = WordVectors.load("word2vec-cbow")
    words = wv.vocabulary.words[:300:2]
    for word, row in zip(words[20:23], nearest_words(wv, words, 3, slice(20, 23)), strict=True):
        others = [other for other in wv.get_top_similar(word, 12_000) if other in words]
        assert [words[i] for i in row] == others[:3]
    share, half = shared_neighbours(np.array([[1, 2], [3, 4]]), np.array([[2, 1, 9], [4, 8, 9]]))
    assert (share, half) == pytest.approx((0.75, 1.96 * 0.25))


# --- keeping them --------------------------------------------------------------------------------


def test_a_saved_run_comes_back_and_its_vectors_open_by_their_folder(tmp_path):
    run = train_word2vec(sentences_about_three_things(), "cbow", **SMALL)
    save_word2vec(run, tmp_path, card={"data": "three things"})
    again = load_word2vec(tmp_path)
    np.testing.assert_allclose(again.embeddings, run.embeddings, atol=2e-3)
    assert again.embeddings.dtype == np.float32 and again.output is None
    for name in ("history", "settings", "architecture", "seconds", "finished", "words_per_second"):
        assert getattr(again, name) == getattr(run, name)
    assert again.vocabulary.words == run.vocabulary.words
    assert json.loads((tmp_path / "card.json").read_text()) == {"data": "three things"}
    wv, ours = WordVectors.load(tmp_path), run.word_vectors()
    assert repr(ours) == "<WordVectors our cbow vectors: 12 words, 12 numbers each>"
    assert list(wv.get_top_similar("Rain", 3)) == list(ours.get_top_similar("rain", 3))


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("model.safetensors", save({"weight": np.ones((2, 2))}), "has no tensor 'embeddings.w"),
        ("model.safetensors", save({"embeddings.weight": np.full((2, 2), np.nan)}), "holds NaN"),
        ("vocabulary.json", b'{"words": ["a"', "vocabulary.json is not a vocabulary"),
        ("vocabulary.json", b'{"words": ["a"], "counts": null}', "1 words need vectors of shape"),
        ("run.json", b'{"finished": true}', "run.json does not say seconds, settings, arch"),
    ],
)
def test_vectors_that_are_not_whole_are_one_sentence(tmp_path, file, content, says):
    save_word2vec(train_word2vec([["a", "b"]] * 3, min_count=1, epochs=1, D=2), tmp_path / "run")
    (tmp_path / "run" / file).write_bytes(content)
    with pytest.raises(ValueError) as error:
        load_word2vec(tmp_path / "run")
    assert says in str(error.value) and "run" in str(error.value) and "\n" not in str(error.value)
    (tmp_path / "run" / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"holds no {file}"):
        load_word2vec(tmp_path / "run")


@pytest.mark.parametrize("name", ["word2vec-skipgram", "word2vec-cbow"])
def test_the_shipped_weights_are_what_their_card_says(course, name):
    folder = course / "weights" / name
    run, card = load_word2vec(folder), json.loads((folder / "card.json").read_text())
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 12e6
    assert run.embeddings.shape == (len(run.vocabulary), 300)
    assert name == f"word2vec-{run.architecture}" and run.finished
    assert run.settings == card["recipe"]
    correlation = evaluate_similarity(WordVectors.load(name), "wordsim353").correlation
    assert correlation == pytest.approx(card["scores"]["wordsim353"], abs=5e-4)
