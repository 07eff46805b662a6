"""The solutions of the exercises against references of another make, such as torch and bm25s."""

import itertools
import math
import random
from collections import Counter, defaultdict

import bm25s
import numpy as np
import pytest
import torch
from scipy.spatial import distance
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import top_k_accuracy_score
from sklearn.preprocessing import normalize
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import nn
from torch.nn import functional as F
from transformers import RepetitionPenaltyLogitsProcessor

from src import attention, compression, word2vec
from src.embeddings import WordVectors
from src.language_models import TextScore
from src.ngrams import NgramModel
from src.qa import calibration, keyword, metrics, retriever
from src.qa.documents import Document
from src.sampling import top_p
from src.subwords import BytePairTokenizer
from src.teaching.exercises import find
from src.text import Vocabulary


def solution(exercise):
    return find(exercise).solution


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# --- 01, 02 ---------------------------------------------------------------------------------------


def test_bags_are_those_of_scikit_learn(rng):
    vocabulary = ["cat", "dog", "king", "land", "queen"]
    counter = CountVectorizer(vocabulary=vocabulary)
    for _ in range(50):
        words = rng.choice([*vocabulary, "unicorn"], rng.integers(0, 9)).tolist()
        theirs = counter.transform([" ".join(words)]).toarray()[0].tolist()
        assert solution("01.bag_of_words")(words, vocabulary) == theirs


def test_weights_are_counts_times_the_logarithm_by_table(rng):
    words = ["cat", "dog", "king", "land", "queen"]
    texts = [rng.choice(words, 6).tolist() for _ in range(4)]
    counts = np.array([[text.count(word) for word in words] for text in texts])
    n = (counts > 0).sum(axis=0)
    expected = counts * np.log(4 / np.maximum(n, 1))
    found = [[solution("01.tf_idf")(word, text, texts) for word in words] for text in texts]
    assert found == pytest.approx(expected)


def test_cosines_are_those_of_scipy(rng):
    for a, b in rng.normal(size=(50, 2, 7)):
        assert solution("01.cosine_similarity")(a, b) == pytest.approx(1 - distance.cosine(a, b))


def test_analogies_are_solved_as_the_course_solves_them(rng):
    for _ in range(50):
        rows = normalize(rng.normal(size=(9, 4)))
        wv = WordVectors(Vocabulary("abcdefghi"), rows)
        a, b, c = rng.integers(0, 9, 3).tolist()
        expected = next(iter(wv.analogy(*("abcdefghi"[i] for i in (a, b, c)), 1)))
        assert solution("01.solve_analogy")(rows, a, b, c) == "abcdefghi".index(expected)


def test_pairs_are_those_of_the_course(rng):
    for _ in range(200):
        sentence, window = rng.integers(0, 8, rng.integers(1, 9)).tolist(), int(rng.integers(1, 6))
        theirs = word2vec.training_pairs(sentence, window).tolist()
        assert solution("02.training_pairs")(sentence, window) == list(map(tuple, theirs))


def test_the_probability_of_staying_is_that_of_the_course(rng):
    counts = rng.integers(1, 5000, 300)
    for threshold in (1e-5, 1e-3, 0.1):
        theirs = word2vec.subsampling_keep(counts, threshold)
        assert solution("02.keep_probability")(counts, threshold) == pytest.approx(theirs)


def test_the_loss_of_a_pair_is_the_cross_entropy_of_one_yes_and_k_times_no(rng):
    for K in (0, 1, 5):
        centre, context, negatives = rng.normal(size=8), rng.normal(size=8), rng.normal(size=(K, 8))
        scores = torch.tensor(np.concatenate([[context @ centre], negatives @ centre]))
        yes = torch.tensor([1.0] + [0.0] * K, dtype=torch.float64)
        expected = F.binary_cross_entropy_with_logits(scores, yes, reduction="sum")
        found = solution("02.pair_loss")(centre, context, negatives)
        assert found == pytest.approx(float(expected))


def test_normalised_rows_are_those_of_scikit_learn_and_the_argument_is_left_alone(rng):
    embeddings = rng.normal(size=(50, 7))
    embeddings[3] = 0
    before = embeddings.copy()
    assert solution("02.normalise_rows")(embeddings) == pytest.approx(normalize(embeddings))
    assert (embeddings == before).all()


# --- 03, 04 ---------------------------------------------------------------------------------------


def test_the_unrolled_cell_is_torchs_rnn(rng):
    inputs, W_x, W_h, b = (rng.normal(size=s) for s in ((9, 4), (3, 4), (3, 3), 3))
    rnn = nn.RNN(4, 3).double()
    weights = {"weight_ih": W_x, "weight_hh": W_h, "bias_ih": b, "bias_hh": 0 * b}
    rnn.load_state_dict({f"{name}_l0": torch.tensor(w) for name, w in weights.items()})
    theirs = rnn(torch.tensor(inputs))[0].detach().numpy()
    assert solution("03.unroll")(inputs, W_x, W_h, b) == pytest.approx(theirs)


@pytest.mark.parametrize("limit", [0.1, 1.0, 100.0])
def test_the_clipped_gradient_is_torchs(rng, limit):
    gradient = rng.normal(size=20)
    parameter = nn.Parameter(torch.zeros(20, dtype=torch.float64))
    parameter.grad = torch.tensor(gradient)
    nn.utils.clip_grad_norm_([parameter], limit)
    theirs = parameter.grad.numpy()
    assert solution("03.clip_gradient")(gradient, limit) == pytest.approx(theirs, rel=1e-5)


def test_the_forget_gate_is_that_of_torchs_lstm(rng):
    """With the input gate shut, nothing is added: the next memory is what the forget gate kept."""
    x, h, c, W_x, W_h, b = (rng.normal(size=s) for s in (4, 3, 3, (3, 4), (3, 3), 3))
    cell = nn.LSTMCell(4, 3).double()
    with torch.no_grad():
        cell.bias_ih[:3], cell.bias_hh[:3] = -1e4, 0
        parts = (
            (W_x, cell.weight_ih),
            (W_h, cell.weight_hh),
            (b, cell.bias_ih),
            (0 * b, cell.bias_hh),
        )
        for mine, theirs in parts:
            theirs[3:6] = torch.tensor(mine)
        _, memory = cell(torch.tensor(x)[None], (torch.tensor(h)[None], torch.tensor(c)[None]))
    found = solution("03.forget_gate")(x, h, c, W_x, W_h, b)
    assert found == pytest.approx(memory[0].numpy())


def test_the_masked_mean_is_numpys_masked_average(rng):
    outputs, mask = rng.normal(size=(5, 7, 3)), np.arange(7) < np.array([1, 7, 3, 4, 2])[:, None]
    hidden = np.broadcast_to(~mask[:, :, None], outputs.shape)
    expected = np.ma.masked_array(outputs, hidden).mean(axis=1).filled(np.nan)
    assert solution("03.masked_mean")(outputs, mask) == pytest.approx(expected)


def test_greedy_decoding_always_takes_the_highest_score_and_ends(rng):
    for _ in range(100):
        scores = rng.normal(size=(6, 6))
        written = solution("03.greedy_write")(scores, 0, 5, 8)
        path = [0, *written] if len(written) == 8 else [0, *written, 5]
        assert all(scores[a, b] == scores[a].max() for a, b in itertools.pairwise(path))
        assert len(written) <= 8 and 5 not in written


def test_masked_attention_is_that_of_torch_and_of_the_course(rng):
    for _ in range(50):
        T, S, D, width = rng.integers(1, 7, 4)
        query, key, value = (rng.normal(size=s) for s in ((T, D), (S, D), (S, width)))
        mask = rng.random((T, S)) < 0.6
        mine = solution("04.masked_attention")(query, key, value, mask)
        tensors = [torch.from_numpy(array) for array in (query, key, value, mask)]
        ours = attention.scaled_dot_product_attention(*tensors)[0]
        assert mine == pytest.approx(ours.numpy())
        theirs = F.scaled_dot_product_attention(*tensors[:3], attn_mask=tensors[3]).numpy()
        some = mask.any(axis=1)
        assert mine[some] == pytest.approx(theirs[some])
        assert (mine[~some] == 0).all()


def test_heads_are_split_as_multi_head_attention_splits_them(rng):
    x = rng.normal(size=(5, 12)).astype(np.float32)
    for H in (1, 2, 3, 6, 12):
        theirs = attention.MultiHeadAttention(12, H).split(torch.from_numpy(x)[None])[0]
        assert (solution("04.split_heads")(x, H) == theirs.numpy()).all()


def test_positions_are_those_of_the_course_and_differ_from_each_other():
    table = solution("04.positional_encoding")(200, 32)
    assert table == pytest.approx(attention.sinusoidal_positions(200, 32).numpy(), abs=1e-4)
    apart = np.linalg.norm(table[:, None] - table[None], axis=-1) + 9 * np.eye(200)
    assert apart.min() > 0.5


def test_layer_norm_is_that_of_torch(rng):
    x, gain, bias = rng.normal(3, 5, size=(6, 10)), rng.normal(size=10), rng.normal(size=10)
    tensors = (torch.from_numpy(array) for array in (gain, bias))
    theirs = F.layer_norm(torch.from_numpy(x), (10,), *tensors, eps=1e-5)
    assert solution("04.layer_norm")(x, gain, bias, 1e-5) == pytest.approx(theirs.numpy())


# --- 05, 05b --------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0.0, 0.3, 1.0])
def test_the_bigram_probability_is_that_of_the_courses_model_and_sums_to_one(rng, k):
    tokenizer = BytePairTokenizer.train(["a"], 257)
    rows = rng.integers(1, 12, size=(20, 15)).tolist()
    following = defaultdict(Counter)
    for row in rows:
        text = [tokenizer.start_id, *row, tokenizer.start_id]
        for before, after in itertools.pairwise(text):
            following[before][after] += 1
    model = NgramModel(tokenizer, rows, order=2, smoothing="add-k", k=k)
    probability = solution("05.bigram_probability")
    for before in (3, 11, 200):
        mine = [
            probability(before, after, following, tokenizer.V, k) for after in range(tokenizer.V)
        ]
        assert mine == pytest.approx(model.next_token_probs([before]).tolist())
        assert sum(mine) == pytest.approx(1)


def test_the_perplexity_is_that_of_the_course_and_of_torch(rng):
    perplexity = solution("05.perplexity_per_word")
    log_probs = np.log(rng.random(50))
    ours = TextScore(float(log_probs.sum()), 50, 20, 100).perplexity_per_word
    assert perplexity(log_probs.tolist(), 20) == pytest.approx(ours)
    logits, right = torch.from_numpy(rng.normal(size=(30, 9))), torch.arange(30) % 9
    of_the_right = logits.log_softmax(-1)[torch.arange(30), right].tolist()
    assert perplexity(of_the_right, 30) == pytest.approx(math.exp(F.cross_entropy(logits, right)))


def test_draws_by_top_p_come_from_the_tokens_that_the_course_keeps_with_their_chances(rng):
    for p in (0.1, 0.5, 0.8, 0.95):
        probs = rng.dirichlet(np.full(12, 0.5))
        us = (np.arange(4000) + 0.5) / 4000
        drawn = Counter(solution("05.sample_top_p")(probs, p, u) for u in us)
        expected = top_p(torch.from_numpy(probs).log(), p).softmax(-1).tolist()
        assert [drawn[token] / 4000 for token in range(12)] == pytest.approx(expected, abs=1 / 2000)


def test_the_penalty_is_that_of_transformers(rng):
    logits = rng.normal(size=40)
    for token_ids in ([3], [3, 3, 5, 39], list(range(40))):
        process = RepetitionPenaltyLogitsProcessor(1.3)
        theirs = process(torch.tensor([token_ids]), torch.from_numpy(logits)[None])[0]
        found = solution("05.repetition_penalised")(logits, token_ids, 1.3)
        assert found == pytest.approx(theirs.numpy())


def test_masking_asks_hides_and_replaces_by_its_dice_at_every_place(rng):
    for _ in range(200):
        T = rng.integers(1, 30)
        token_ids, drawn = rng.integers(200, 300, (2, T))
        special, dice = rng.random(T) < 0.2, rng.random((2, T))
        inputs, labels = solution("05b.mask_tokens")(token_ids, special, dice, drawn, 103)
        for i in range(T):
            asked = dice[0, i] < 0.15 and not special[i]
            assert labels[i] == (token_ids[i] if asked else -100)
            wanted = 103 if dice[1, i] < 0.8 else drawn[i] if dice[1, i] < 0.9 else token_ids[i]
            assert inputs[i] == (wanted if asked else token_ids[i])


def test_the_masked_loss_is_that_of_torch(rng):
    for _ in range(50):
        T, V = rng.integers(1, 9, 2)
        logits, labels = rng.normal(0, 30, (T, V)), rng.integers(0, V, T)
        labels[rng.random(T) < 0.6] = -100
        theirs = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item()
        expected = theirs if (labels >= 0).any() else 0.0
        assert solution("05b.masked_loss")(logits, labels) == pytest.approx(expected)


def test_merges_one_after_another_cut_words_as_the_library_does():
    rng, compared = random.Random(0), 0
    for _ in range(12):
        words = {"".join(rng.sample("abcd", rng.randrange(2, 5))) for _ in range(25)}
        counts = {word: rng.randrange(1, 400) for word in sorted(words)}
        pieces, ties = [list(word) for word in counts], False
        for _ in range(5):
            pairs: Counter = Counter()
            for word, count in zip(pieces, counts.values(), strict=True):
                for pair in itertools.pairwise(word):
                    pairs[pair] += count
            first, second = (count for _, count in pairs.most_common(2))
            ties |= first == second  # either may come first then
            pieces = solution("05b.merge_once")(pieces, list(counts.values()))
        library = Tokenizer(models.BPE())
        library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer = trainers.BpeTrainer(vocab_size=4 + 5, min_frequency=0, show_progress=False)
        text = (" ".join([word] * count) for word, count in counts.items())
        library.train_from_iterator(text, trainer)
        if not ties:
            assert pieces == [library.encode(word).tokens for word in counts]
            compared += 1
    assert compared >= 6


def test_merging_until_nothing_is_left_makes_every_word_one_piece_and_never_changes_the_text():
    texts, counts = ["singing", "ring", "sing", "bananas"], [5, 3, 2, 1]
    words = [list(text) for text in texts]
    while (following := solution("05b.merge_once")(words, counts)) != words:
        assert ["".join(pieces) for pieces in following] == texts
        assert sum(map(len, following)) < sum(map(len, words))
        words = following
    assert all(len(pieces) == 1 for pieces in words)


def test_whole_numbers_and_scales_are_those_of_the_course(rng):
    for _ in range(50):
        weights = rng.normal(size=rng.integers(1, 40, 2)).astype(np.float32)
        numbers, scales = solution("05b.quantise_matrix")(weights)
        theirs, their_scales = compression.quantise_rows(torch.from_numpy(weights))
        assert (numbers == theirs.numpy()).all()
        assert scales == pytest.approx(their_scales[:, 0].numpy())
        assert np.abs(numbers * scales[:, None] - weights).max() <= scales.max() * 0.501


# --- 06, 07 ---------------------------------------------------------------------------------------


def test_windows_are_those_of_a_real_tokenizer():
    words = Tokenizer(models.WordLevel({"w": 0}, unk_token="w"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    for n_tokens, room in itertools.product(range(1, 30), range(1, 9)):
        for doc_stride in range(room):
            words.enable_truncation(max_length=room, stride=doc_stride)
            first = words.encode(" ".join("w" * n_tokens))
            starts = [window.offsets[0][0] // 2 for window in [first, *first.overflowing]]
            assert solution("06.window_starts")(n_tokens, room, doc_stride) == starts


def test_window_labels_mark_exactly_the_answer_where_the_window_holds_it():
    rng = random.Random(0)
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    ends = list(itertools.accumulate(len(word) + 1 for word in words))
    starts, ends = [0, *ends[:-1]], [end - 1 for end in ends]
    for _ in range(500):
        first, size = rng.randrange(10), rng.randrange(1, 11)
        shown = slice(first, first + size)
        spans = ([-1, -1, -1, *values[shown], -1] for values in (starts, ends))
        i = rng.randrange(10)
        j = rng.randrange(i, 10)
        label = solution("06.label_window")(starts[i], ends[j], *spans)
        whole = first <= i and j < min(first + size, 10)
        assert label == ((i - first + 3, j - first + 3) if whole else (0, 0))


def test_the_best_span_has_the_largest_sum_of_all_valid_ones(rng):
    for _ in range(300):
        size, longest = rng.integers(1, 9, 2)
        start_logits, end_logits = rng.normal(size=(2, size))
        sums = np.triu(np.tril(np.ones((size, size)), longest - 1))
        sums = np.where(sums > 0, start_logits[:, None] + end_logits, -np.inf)
        best = np.unravel_index(sums.argmax(), sums.shape)
        assert solution("06.best_span")(start_logits, end_logits, longest) == best


def test_f1_is_that_of_the_course():
    rng = random.Random(0)
    words = ["the", "a", "King", "king", "of", "Spain", "...", "8", "x"]
    for _ in range(2000):
        prediction, gold = (" ".join(rng.choices(words, k=rng.randrange(5))) for _ in range(2))
        expected = metrics.f1(prediction, [gold])
        assert solution("06.token_f1")(prediction, gold) == pytest.approx(expected)


def bm25_of(text, word, texts, k1, b):
    """The exercise's term for one word of one text; texts are lists of words."""
    mean_length, containing = sum(map(len, texts)) / len(texts), sum(word in t for t in texts)
    counts = text.count(word), len(text), mean_length, containing, len(texts)
    return solution("07.bm25_term")(*counts, k1, b)


def test_the_terms_of_a_question_sum_to_the_score_that_bm25s_gives():
    rng = random.Random(0)
    for _ in range(60):
        lengths = [rng.randrange(1, 12) for _ in range(rng.randrange(1, 9))]
        texts = [rng.choices("aaaabbbccdef", k=length) for length in lengths]
        k1, b = rng.choice([0.5, 1.2, 1.5, 2.0]), rng.choice([0.0, 0.4, 0.75, 1.0])
        index = bm25s.BM25(k1=k1, b=b, method="lucene")
        index.index(texts, show_progress=False)
        question = sorted({word for text in texts for word in text})[: rng.randrange(1, 5)]
        scores = [sum(bm25_of(text, word, texts, k1, b) for word in question) for text in texts]
        assert index.get_scores(question) == pytest.approx(scores, rel=1e-5)


def test_a_term_is_what_the_courses_own_index_gives_a_question_of_one_word():
    texts = ["osmium osmium metal", "metal", "gas gas gas gas", "osmium gas water and more"]
    index = keyword.KeywordIndex.build([Document("", text) for text in texts])
    words = [text.split() for text in texts]
    for word in ("osmium", "metal", "gas", "water"):
        found = [bm25_of(text, word, words, keyword.K1, keyword.B) for text in words]
        assert index.scores(word) == pytest.approx(found, rel=1e-5)


def test_two_rankings_fuse_as_those_of_the_course_do():
    rng = random.Random(0)
    for _ in range(200):
        rankings = [rng.sample("abcdefghij", rng.randrange(11)) for _ in range(rng.randrange(1, 4))]
        constant = rng.choice([1.0, 10.0, 60.0])
        found = solution("07.fuse")(rankings, constant)
        assert found == pytest.approx(retriever.fuse(rankings, constant))
        assert list(found.values()) == sorted(found.values(), reverse=True)


def test_recall_is_how_often_the_right_class_is_among_the_k_with_the_best_scores(rng):
    for _ in range(50):
        questions, passages = rng.integers(1, 30), int(rng.integers(3, 12))
        scores, right = rng.random((questions, passages)), rng.integers(0, passages, questions)
        ranks = 1 + (scores > scores[np.arange(questions), right][:, None]).sum(axis=1)
        k, half = int(rng.integers(1, passages)), passages // 2
        shown = [rank if rank <= half else None for rank in ranks]  # a list that ends half way down
        for listed, depth in ((ranks, k), (shown, min(k, half))):
            theirs = top_k_accuracy_score(right, scores, k=depth, labels=range(passages))
            assert solution("07.recall_at")(listed, k) == pytest.approx(theirs)


def test_the_calibration_error_is_that_of_the_course_also_on_edges_and_with_empty_bins(rng):
    for bins, size in itertools.product(range(1, 21), (1, 3, 40, 400)):
        confidences = rng.random(size) ** 0.5
        rounded = rng.random(size) < 0.5
        confidences[rounded] = np.round(confidences[rounded], 1)  # edges, 0 and 1 among them
        correct = (
            rng.random(size) < 0.6
        )  # not as the confidences say, or those of 1 would add nothing
        theirs = calibration.reliability(confidences, correct, bins).error
        found = solution("07.calibration_error")(confidences, correct, bins)
        assert found == pytest.approx(theirs)
