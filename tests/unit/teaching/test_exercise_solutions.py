"""The solutions of the exercises against references of another make, such as torch and bm25s.

Where each case of an exercise says what comes out (`gives`), that is proof enough.
"""

import itertools

import bm25s
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from torch.nn import functional as F

from src import attention, compression, word2vec
from src.qa import calibration, retriever
from src.sampling import top_p
from src.teaching.exercises import exercises, find, grading, notebooks

REFERENCES = []
TESTED_BELOW = {"09.bm25_term", "09.fuse"}


def reference(exercise):
    """Marks a function that draws the arguments of an exercise, and knows what comes out."""
    return lambda drawn: REFERENCES.append(pytest.param(exercise, drawn, id=drawn.__name__))


def solution(exercise):
    return find(exercise).solution


def tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


@reference("02.training_pairs")
def pairs_of_the_course(rng):
    sentence, window = rng.integers(0, 8, rng.integers(1, 9)).tolist(), int(rng.integers(1, 6))
    return (sentence, window), word2vec.training_pairs(sentence, window)


@reference("02.keep_probability")
def subsampling_of_the_course(rng):
    counts = rng.integers(1, 5000, 300)
    return (counts, 0.001), word2vec.subsampling_keep(counts, 0.001)


@reference("02.pair_loss")
def cross_entropy_of_one_yes_and_k_times_no(rng):
    K = rng.integers(0, 6)
    centre, context, negatives = rng.normal(size=8), rng.normal(size=8), rng.normal(size=(K, 8))
    scores = torch.tensor(np.concatenate([[context @ centre], negatives @ centre]))
    yes = torch.tensor([1.0] + [0.0] * K, dtype=torch.float64)
    expected = F.binary_cross_entropy_with_logits(scores, yes, reduction="sum")
    return (centre, context, negatives), float(expected)


@reference("03.unroll")
def torchs_rnn(rng):
    inputs, W_x, W_h, b = (rng.normal(size=s) for s in ((9, 4), (3, 4), (3, 3), 3))
    rnn = nn.RNN(4, 3).double()
    weights = {"weight_ih": W_x, "weight_hh": W_h, "bias_ih": b, "bias_hh": 0 * b}
    rnn.load_state_dict({f"{name}_l0": torch.tensor(w) for name, w in weights.items()})
    return (inputs, W_x, W_h, b), rnn(torch.tensor(inputs))[0].detach()


@reference("03.forget_gate")
def torchs_lstm_with_its_input_gate_shut(rng):
    """Nothing is added then: the next memory is what the forget gate kept."""
    x, h, c, W_x, W_h, b = (rng.normal(size=s) for s in (4, 3, 3, (3, 4), (3, 3), 3))
    cell = nn.LSTMCell(4, 3).double()
    with torch.no_grad():
        cell.bias_ih[:3], cell.bias_hh[:3] = -1e4, 0
        cell.weight_ih[3:6], cell.weight_hh[3:6] = tensors(W_x, W_h)
        cell.bias_ih[3:6], cell.bias_hh[3:6] = tensors(b, 0 * b)
        _, memory = cell(*tensors(x), tuple(tensors(h, c)))
    return (x, h, c, W_x, W_h, b), memory


@reference("04.masked_attention")
def attention_of_the_course(rng):
    T, S, D, width = rng.integers(1, 7, 4)
    query, key, value = (rng.normal(size=s) for s in ((T, D), (S, D), (S, width)))
    drawn = (query, key, value, rng.random((T, S)) < 0.6)
    return drawn, attention.scaled_dot_product_attention(*tensors(*drawn))[0]


@reference("05.positional_encoding")
def positions_of_the_course(rng):
    T, D = int(rng.integers(1, 99)), 2 * int(rng.integers(1, 20))
    return (T, D), attention.sinusoidal_positions(T, D)


@reference("05.layer_norm")
def layer_norm_of_torch(rng):
    x, gain, bias = rng.normal(3, 5, size=(6, 10)), rng.normal(size=10), rng.normal(size=10)
    return (x, gain, bias, 1e-5), F.layer_norm(*tensors(x), (10,), *tensors(gain, bias), eps=1e-5)


@reference("07.mask_tokens")
def masking_place_by_place(rng):
    T = rng.integers(1, 30)
    token_ids, drawn = rng.integers(200, 300, (2, T))
    special, dice = rng.random(T) < 0.2, rng.random((2, T))
    inputs, labels = token_ids.copy(), np.full(T, -100)
    for i in range(T):
        if dice[0, i] < 0.15 and not special[i]:
            labels[i] = token_ids[i]
            inputs[i] = 103 if dice[1, i] < 0.8 else drawn[i] if dice[1, i] < 0.9 else token_ids[i]
    return (token_ids, special, dice, drawn, 103), (inputs, labels)


@reference("07.masked_loss")
def masked_loss_of_torch(rng):
    T, V = rng.integers(1, 9, 2)
    logits, labels = rng.normal(0, 30, (T, V)), rng.integers(0, V, T)
    labels[rng.random(T) < 0.6] = -100
    theirs = F.cross_entropy(*tensors(logits, labels)).item()
    return (logits, labels), theirs if (labels >= 0).any() else 0.0


@reference("10.quantise_matrix")
def whole_numbers_of_the_course(rng):
    weights = rng.normal(size=rng.integers(1, 40, 2)).astype(np.float32)
    numbers, scales = compression.quantise_rows(torch.from_numpy(weights))
    return (weights,), (numbers, scales[:, 0])


def test_draws_by_top_p_have_the_chances_that_the_course_gives():
    rng = np.random.default_rng(0)
    for p in (0.1, 0.5, 0.8, 0.95):
        probs = rng.dirichlet(np.full(12, 0.5))
        drawn = [solution("06.sample_top_p")(probs, p, (i + 0.5) / 4000) for i in range(4000)]
        expected = top_p(torch.from_numpy(probs).log(), p).softmax(-1).tolist()
        assert np.bincount(drawn, minlength=12) / 4000 == pytest.approx(expected, abs=1 / 2000)


def test_windows_are_those_of_a_real_tokenizer():
    words = Tokenizer(models.WordLevel({"w": 0}, unk_token="w"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    for n_tokens, room in itertools.product(range(1, 30), range(1, 9)):
        for doc_stride in range(room):
            words.enable_truncation(max_length=room, stride=doc_stride)
            first = words.encode(" ".join("w" * n_tokens))
            starts = [window.offsets[0][0] // 2 for window in [first, *first.overflowing]]
            assert solution("08.window_starts")(n_tokens, room, doc_stride) == starts


@reference("08.best_span")
def the_largest_sum_of_all_valid_ones(rng):
    size, longest = rng.integers(1, 9, 2)
    start_logits, end_logits = rng.normal(size=(2, size))
    valid = np.triu(np.tril(np.ones((size, size)), longest - 1))
    sums = np.where(valid, start_logits[:, None] + end_logits, -np.inf)
    return (start_logits, end_logits, longest), np.unravel_index(sums.argmax(), sums.shape)


@reference("09.calibration_error")
def calibration_of_the_course(rng):
    size, bins = int(rng.choice([1, 3, 40])), int(rng.integers(1, 21))
    confidences = rng.random(size) ** 0.5
    rounded = rng.random(size) < 0.5
    confidences[rounded] = np.round(confidences[rounded], 1)  # edges, 0 and 1 among them
    correct = rng.random(size) < 0.6  # not as confidences say, or those of 1 would add nothing
    return (confidences, correct, bins), calibration.reliability(confidences, correct, bins).error


def test_the_terms_of_a_question_sum_to_the_score_that_bm25s_gives():
    rng = np.random.default_rng(0)
    for k1, b in itertools.product((0.5, 1.2, 2.0), (0.0, 0.4, 1.0)):
        texts = [rng.choice(list("aaaabbbccdef"), length).tolist() for length in (1, 4, 7, 11)]
        index = bm25s.BM25(k1=k1, b=b, method="lucene")
        index.index(texts, show_progress=False)
        question, scores = sorted(set(texts[3]))[:3], np.zeros(4)
        for place, text in enumerate(texts):
            for word in question:
                containing = sum(word in other for other in texts)
                counts = (text.count(word), len(text), 23 / 4, containing, 4)
                scores[place] += solution("09.bm25_term")(*counts, k1, b)
        assert index.get_scores(question) == pytest.approx(scores, rel=1e-5)


def test_rankings_fuse_as_those_of_the_course_do():
    rng = np.random.default_rng(0)
    for lengths in rng.integers(0, 11, (50, 3)):
        rankings = [rng.permutation(list("abcdefghij"))[:length].tolist() for length in lengths]
        found = solution("09.fuse")(rankings, 10.0)
        assert found == pytest.approx(retriever.fuse(rankings, 10.0))
        assert list(found.values()) == sorted(found.values(), reverse=True)


@pytest.mark.parametrize(("exercise", "drawn"), REFERENCES)
def test_a_solution_gives_what_its_reference_gives(exercise, drawn, monkeypatch):
    monkeypatch.setattr(grading, "TOLERANCE", 1e-4)  # some references are in half the precision
    for seed in range(30):
        arguments, expected = drawn(np.random.default_rng(seed))
        found = solution(exercise)(*arguments)
        assert grading.same(found, expected), (arguments, found, expected)


def test_every_result_is_stated_by_its_case_or_compared_here():
    compared = TESTED_BELOW | {entry.values[0] for entry in REFERENCES}
    for number in notebooks():
        for exercise in exercises(number).values():
            stated = all(case.gives is not ... for case in exercise.cases)
            assert stated or exercise.id in compared, f"{exercise.id}: `gives`, or a reference here"
