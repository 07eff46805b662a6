"""The exercises of notebook 05b: their solutions against torch and the course's own makers, and answers as readers write them."""

import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch.nn import functional as F

from src import compression
from src.teaching.exercises import notebook_05b

CHOSEN = "chosen = (dice[0] < 0.15) & ~special\n    "
WRITTEN = {
    "05b.mask_tokens": [
        (
            "inputs, labels = token_ids.copy(), np.full(len(token_ids), -100)\n    for i in range(len(token_ids)):\n"
            "        if dice[0, i] < 0.15:\n            labels[i] = token_ids[i]\n"
            "            inputs[i] = mask_id if dice[1, i] < 0.8 else drawn[i] if dice[1, i] < 0.9 else token_ids[i]\n"
            "    return inputs, labels",
            "chooses special tokens",
        ),
        (
            f"{CHOSEN}token_ids[chosen & (dice[1] < 0.8)] = mask_id\n    labels = np.where(chosen, token_ids, -100)\n"
            "    swap = chosen & (dice[1] >= 0.8) & (dice[1] < 0.9)\n    return np.where(swap, drawn, token_ids), labels",
            "not what stood there",
        ),
        (f"{CHOSEN}return np.where(chosen, mask_id, token_ids), np.where(chosen, token_ids, -100)", "hides every chosen token"),
        (
            f"{CHOSEN}x = np.where(chosen, drawn, token_ids)\n    x[chosen & (dice[1] < 0.8)] = mask_id\n"
            "    return x, np.where(chosen, token_ids, -100)",
            "replaces everything",
        ),
        (f"{CHOSEN}return np.where(chosen, mask_id, token_ids), np.where(chosen, token_ids, 0)", "expected"),
    ],
    "05b.masked_loss": [
        (
            "total = 0\n    for row, label in zip(logits, labels):\n        if label != -100:\n"
            "            total += np.log(np.exp(row).sum()) - row[label]\n    return total / len(labels)",
            "number of all places",
        ),
        (
            "rows = [i for i in range(len(labels)) if labels[i] >= 0]\n"
            "    return np.mean([-np.log(np.exp(logits[i, labels[i]]) / np.exp(logits[i]).sum()) for i in rows]) if rows else 0.0",
            "it overflows",
        ),
        ("return -logits[labels >= 0, labels[labels >= 0]].mean()", "averages the scores"),
        ("return -np.log(np.exp(logits)[np.arange(len(labels)), labels]).mean()", "IndexError"),
    ],
    "05b.merge_once": [
        (
            "from collections import Counter\n    pairs = Counter(p for w in words for p in zip(w, w[1:]))\n"
            "    best = min(pairs, key=lambda p: (-pairs[p], p))\n"
            "    return [' '.join(w).replace(' '.join(best), ''.join(best)).split() for w in words]",
            "counts every word once",
        ),
        (
            "pairs = {}\n    for w, c in zip(words, counts):\n        for p in zip(w, w[1:]):\n            pairs[p] = pairs.get(p, 0) + c\n"
            "    best = max(pairs, key=pairs.get)\n"
            "    return [' '.join(w).replace(' '.join(best), ''.join(best)).split() for w in words]",
            "the one it saw first",
        ),
        ("return [[''.join(w)] for w in words]", "expected"),
    ],
    "05b.quantise_matrix": [
        ("s = np.abs(weights).max() / 127\n    return np.round(weights / s), np.array([s] * len(weights))", "one scale for the whole"),
        ("s = np.abs(weights).max() / 127\n    return np.round(weights / s).astype(int), s", "a single number"),
        ("s = np.abs(weights).mean(1) / 127\n    return np.rint(weights / s[:, None]), s", "from the mean"),
        ("s = weights.max(1) / 127\n    s[s == 0] = 1\n    return np.rint(weights / s[:, None]), s", "larger in size"),
        ("s = np.abs(weights).max(1) / 127\n    return weights / s[:, None], s", "not rounded"),
        ("s = np.maximum(np.abs(weights).max(1), 1e-9) / 127\n    return np.trunc(weights / s[:, None]), s", "cuts off"),
        ("s = np.abs(weights).max(1) / 127\n    return np.rint(weights / s[:, None]), s", "divided by zero"),
        ("s = np.abs(weights).max(1) / 127\n    return np.rint(weights / s), s", "expected"),
    ],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("exercise", "body", "words"), [(name, *case) for name, written in WRITTEN.items() for case in written])
def test_answers_written_otherwise_are_told_what_is_wrong_too(verdict_on, exercise, body, words):
    verdict = verdict_on(exercise, body)
    assert not verdict.passed and words in verdict.message, verdict.message


def test_masking_asks_hides_and_replaces_by_its_dice_at_every_place():
    rng = np.random.default_rng(0)
    for _ in range(200):
        T = rng.integers(1, 30)
        token_ids, drawn = rng.integers(200, 300, (2, T))
        special, dice = rng.random(T) < 0.2, rng.random((2, T))
        inputs, labels = notebook_05b.mask_tokens(token_ids, special, dice, drawn, 103)
        for i in range(T):
            asked = dice[0, i] < 0.15 and not special[i]
            assert labels[i] == (token_ids[i] if asked else -100)
            wanted = 103 if dice[1, i] < 0.8 else drawn[i] if dice[1, i] < 0.9 else token_ids[i]
            assert inputs[i] == (wanted if asked else token_ids[i])


def test_the_loss_is_that_of_torch():
    rng = np.random.default_rng(0)
    for _ in range(50):
        T, V = rng.integers(1, 9, 2)
        logits, labels = rng.normal(0, 30, (T, V)), rng.integers(0, V, T)
        labels[rng.random(T) < 0.6] = -100
        theirs = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item() if (labels >= 0).any() else 0.0
        assert notebook_05b.masked_loss(logits, labels) == pytest.approx(theirs)


def test_merges_one_after_another_cut_words_as_the_library_does():
    rng, compared = random.Random(0), 0
    for _ in range(12):
        counts = {word: rng.randrange(1, 400) for word in sorted({"".join(rng.sample("abcd", rng.randrange(2, 5))) for _ in range(25)})}
        pieces, ties = [list(word) for word in counts], False
        for _ in range(5):
            pairs: Counter = Counter()
            for word, count in zip(pieces, counts.values(), strict=True):
                for pair in pairwise(word):
                    pairs[pair] += count
            first, second = (count for _, count in pairs.most_common(2))
            ties |= first == second  # either may come first then
            pieces = notebook_05b.merge_once(pieces, list(counts.values()))
        library = Tokenizer(models.BPE())
        library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer = trainers.BpeTrainer(vocab_size=4 + 5, min_frequency=0, show_progress=False)
        library.train_from_iterator((" ".join([word] * count) for word, count in counts.items()), trainer)
        if not ties:
            assert pieces == [library.encode(word).tokens for word in counts]
            compared += 1
    assert compared >= 6


def test_merging_until_nothing_is_left_makes_every_word_one_piece_and_never_changes_the_text():
    words, counts = [list("singing"), list("ring"), list("sing"), list("bananas")], [5, 3, 2, 1]
    seen = [words]
    while (following := notebook_05b.merge_once(seen[-1], counts)) != seen[-1]:
        seen.append(following)
        assert ["".join(pieces) for pieces in following] == ["singing", "ring", "sing", "bananas"]
        assert sum(map(len, following)) < sum(map(len, seen[-2]))
    assert all(len(pieces) == 1 for pieces in seen[-1])


def test_whole_numbers_and_scales_are_those_of_the_course():
    rng = np.random.default_rng(0)
    for _ in range(50):
        weights = rng.normal(size=rng.integers(1, 40, 2)).astype(np.float32)
        numbers, scales = notebook_05b.quantise_matrix(weights)
        theirs, their_scales = compression.quantise_rows(torch.from_numpy(weights))
        assert (numbers == theirs.numpy()).all() and scales == pytest.approx(their_scales[:, 0].numpy())
        assert np.abs(numbers * scales[:, None] - weights).max() <= scales.max() * 0.501
