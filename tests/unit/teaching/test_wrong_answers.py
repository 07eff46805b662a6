"""Answers as readers write them: a wrong one is told its mistake, a right one passes.

An answer that gives what a mistake of the exercise gives is told that mistake, which
test_exercises.py proves. Here are answers that the exercise does not know in this form, because
they make two mistakes, say, or one of the wrong kind: exercise -> body -> words of the check.
"""

import pytest

from src.teaching.exercises import find, grade

SIGMOID = "s = lambda z: 1 / (1 + np.exp(-z))\n"
WRITING = (
    "out, t = {}, start\nwhile len(out) < most:\n    t = {}\n    if t == end: break\n"
    "    out.append(t)\nreturn out"
)
SOFTMAX = "w = np.exp(s - s.max(-1, keepdims=True)); w = w / w.sum(-1, keepdims=True)\n"
COUNTS = "c = following.get(before, {})\nn, x = sum(c.values()), c.get(word, 0)\n"
SORTED = "i = np.argsort(-probs)\nc = np.cumsum(probs[i])\n"
DRAW = "r = np.cumsum(probs[s])\nreturn s[np.argmax(r > u * r[-1])]"
CHOSEN = "chosen = (dice[0] < 0.15) & ~special\n"
SPACED = "return [' '.join(w).replace(' '.join(best), ''.join(best)).split() for w in words]"
SEARCH = (  # the sum to beat, the end of the inner loop
    "best = {}\nfor s in range(len(start_logits)):\n    for e in range(s, {}):\n"
    "        if start_logits[s] + end_logits[e] > best:\n"
    "            best, span = start_logits[s] + end_logits[e], (s, e)\nreturn span"
)
NORMALISED = "p, g = normalize_answer(prediction).split(), normalize_answer(gold).split()\n"
ODDS = "(documents - containing + 0.5) / (containing + 0.5)"
PART = "frequency / (frequency + k1 * (1 - b + b * length / mean_length))"
FUSING = "t = {}\nfor ranking in rankings:\n    for rank, n in enumerate(ranking, 1):\n        "
ADDING = f"{FUSING}t[n] = t.get(n, 0) + 1 / (constant + rank)\n"
BINS = (
    "error = 0\nfor i in range(bins):\n    low, high = i / bins, (i + 1) / bins\n"
    "    m = (confidences >= low) & (confidences < high)\n"
    "    if i == bins - 1: m = confidences >= low\n    if m.any(): error {}\nreturn error"
)
GAP = "(correct[m].mean() - confidences[m].mean())"

WRONG = {
    "01.bag_of_words": {
        "from collections import Counter\nreturn list(Counter(words).values())": "order of the "
        "text",
        "return {w: words.count(w) for w in vocabulary}": "It is of type `dict`",
    },
    "01.cosine_similarity": {
        "return np.dot(a, b) / np.linalg.norm(b) if b.any() else 0": "expected 0.96",
        "return a * b / (np.linalg.norm(a) * np.linalg.norm(b) or 1)": "element by element",
    },
    "02.training_pairs": {
        "return [(w, c) for i, w in enumerate(token_ids)\n"
        "    for c in token_ids[max(0, i - window):i + window] if c is not w]": "misses the last",
        "return [(w, token_ids[i + 1]) for i, w in enumerate(token_ids)]": "IndexError",
        "return []": "It has 0 items",
    },
    "02.keep_probability": {
        "f = counts / counts.sum()\nreturn np.sqrt(threshold / f) + threshold / f": "goes above 1",
        "f = counts / counts.sum()\n"
        "return np.where(f > threshold, np.sqrt(f / threshold), 1)": "goes above 1",
    },
    "02.pair_loss": {
        f"{SIGMOID}return np.log(s(context @ centre))"
        f" + np.log(s(-negatives @ centre)).sum()": "lacks",
        "return np.logaddexp(0, -centre @ context) + np.logaddexp(0, negatives @ centre)": "`list`",
    },
    "03.clip_gradient": {
        "n = np.sqrt((gradient ** 2).sum())\nreturn gradient / max(n, 1e-12) * limit": "short",
    },
    "03.greedy_write": {
        WRITING.format("[]", "scores[t].argmax()").replace("most", "500"): "beyond `most`",
        WRITING.format("[]", "scores[t].argmax()").replace(
            "len(out) < most", "True"
        ): "still running",
    },
    "04.masked_attention": {
        f"s = np.where(mask, query @ key.T, -1e9)\n{SOFTMAX}return w @ value": "not divided by "
        "sqrt(D)",
        "s = np.where(mask, 0, 1) * -1e9 + query @ key.T / key.shape[1] ** 0.5\n"
        f"{SOFTMAX}return w @ value": "forbidden values",
        "s = np.where(mask, query @ key.T / np.sqrt(query.shape[1]), -np.inf)\n"
        "w = np.exp(s)\nreturn w / w.sum(-1, keepdims=True) @ value": "overflows",
        "s = np.where(mask, -1e9, query @ key.T / np.sqrt(query.shape[1]))\n"
        f"{SOFTMAX}return w @ value": "expected",
        "return query @ key @ value": "ValueError",
    },
    "04.positional_encoding": {
        "return np.sin(np.arange(T)[:, None] / 10000 ** (np.arange(D) / D))": "expected",
    },
    "04.layer_norm": {
        "return (x - x.mean(1)) / np.sqrt(x.var(1) + epsilon) * gain + bias": "ValueError",
    },
    "05.bigram_probability": {
        f"{COUNTS}return x / n": "k has no effect",
        f"{COUNTS}return x / sum(sum(f.values()) for f in following.values())": "count of *all*",
        "c = following[before]\n"
        "return (c.get(word, 0) + k) / (sum(c.values()) + k * V)": "KeyError",
    },
    "05.perplexity_per_word": {
        "p = np.prod(np.exp(log_probs))\n"
        "return np.inf if p == 0 else p ** (-1 / words)": "multiplies probabilities",
    },
    "05.repetition_penalised": {
        "for i in set(token_ids):\n    logits[i] /= penalty": "returns `None` every time",
    },
    "05b.mask_tokens": {
        f"{CHOSEN}token_ids[chosen & (dice[1] < 0.8)] = mask_id\n"
        "labels = np.where(chosen, token_ids, -100)\n"
        "swap = chosen & (dice[1] >= 0.8) & (dice[1] < 0.9)\n"
        "return np.where(swap, drawn, token_ids), labels": "not the original tokens",
        f"{CHOSEN}return np.where(chosen, mask_id, token_ids), "
        "np.where(chosen, token_ids, 0)": "expected",
    },
    "05b.masked_loss": {
        "total = 0\nfor row, label in zip(logits, labels):\n    if label != -100:\n"
        "        total += np.log(np.exp(row).sum()) - row[label]\n"
        "return total / len(labels)": "number of all places",
        "rows = [i for i in range(len(labels)) if labels[i] >= 0]\np = np.exp(logits)\n"
        "losses = [-np.log(p[i, labels[i]] / p[i].sum()) for i in rows]\n"
        "return np.mean(losses) if rows else 0.0": "overflows",
        "return -np.log(np.exp(logits)[np.arange(len(labels)), labels]).mean()": "IndexError",
    },
    "05b.merge_once": {
        "pairs = Counter(p for w in words for p in zip(w, w[1:]))\n"
        f"best = min(pairs, key=lambda p: (-pairs[p], p))\n{SPACED}": "counts every word once",
        "pairs = {}\nfor w, c in zip(words, counts):\n    for p in zip(w, w[1:]):\n"
        f"        pairs[p] = pairs.get(p, 0) + c\nbest = max(pairs, key=pairs.get)\n"
        f"{SPACED}": "saw",
        "return [[''.join(w)] for w in words]": "expected",
    },
    "05b.quantise_matrix": {
        "s = np.maximum(np.abs(weights).max(1), 1e-9) / 127\n"
        "return np.trunc(weights / s[:, None]), s": "cuts off",
        "s = np.abs(weights).max(1) / 127\nreturn np.rint(weights / s[:, None]), s": "by zero",
        "s = np.abs(weights).max(1) / 127\nreturn np.rint(weights / s), s": "expected",
    },
    "06.window_starts": {
        "return list(range(0, n_tokens, doc_stride or 1))": "the step is",
        "s = [0]\nwhile s[-1] + doc_stride < n_tokens:\n    s.append(s[-1] + doc_stride)\n"
        "return s": "the step is",
        "return np.arange(0, max(n_tokens - room, 0) + 1, room - doc_stride)[:-1]": "misses the "
        "tail",
        "s = [0]\nwhile s[-1] + room < n_tokens:\n    s.append(s[-1])\nreturn s": "ever end?",
        "print(0)": "returns `None` every time",
        "return len(range(0, n_tokens, room))": "of type `int`; a `list` was expected",
        "return [0, 4.5]": "expected [0, 4]",
    },
    "06.label_window": {
        "n = range(len(token_starts))\n"
        "t = [i for i in n if answer_start <= token_starts[i] < answer_end]\n"
        "return (t[0], t[-1] + 1) if t else (0, 0)": "one too far",
        "t = token_starts.index(answer_start), token_ends.index(answer_end)\nreturn t": "(0, 0)",
        "return (answer_start, answer_end - 1)": "expected (9, 9)",
        "return (answer_start, answer_end)": "returns characters",
    },
    "06.best_span": {
        "s, e = start_logits.argmax(), end_logits.argmax()\n"
        "return (s, e) if s <= e else (e, s)": "expected (2, 3)",
        SEARCH.format(
            0, "min(len(end_logits), s + max_answer_length)"
        ): "all scores are below zero",
        "return start_logits.top()": "has no attribute 'top'",
        "return (1,)": "It has 1 items; 2 were expected.",
        "start_logits[:] = 0\nreturn 1, 2": "expected (2, 3)",
    },
    "06.token_f1": {
        "p, g = set(prediction.lower().split()), set(gold.lower().split())\ns = len(p & g)\n"
        "return 2 * s / (len(p) + len(g)) if p or g else 1.0": "punctuation and the articles",
        "p, g = prediction.split(), gold.split()\ns = len([w for w in p if w in g])\n"
        "return 2 * s / (len(p) + len(g)) if p or g else 1.0": "through `normalize_answer` first",
        f"{NORMALISED}s = len(set(p) & set(g))\npr, re = s / len(p), s / len(g)\n"
        "return 2 * pr * re / (pr + re)": "compares sets",
        "return 100.0 if prediction == gold else 0.0": "returns percent",
    },
    "07.bm25_term": {
        f"return np.log1p({ODDS}) * {PART.replace('(frequency', 'frequency')[:-1]}": "expected",
        f"return np.log1p(1 / ({ODDS})) * {PART}": "expected",
        "return math.log(1 + odds) * frequency": "NameError",
    },
    "07.fuse": {
        f"{ADDING}return sorted(t, key=t.get, reverse=True)": "It returns a list",
        f"{FUSING}t[n] += 1 / (constant + rank)\nreturn t": "KeyError",
        "return {}": "expected {'b': 0.1742, 'a': 0.09091, 'c': 0.08333}",
    },
    "07.recall_at": {
        "return np.nanmean([r <= k if r else np.nan for r in ranks])": "whose passage was found",
        "return len([r for r in ranks[:k] if r]) / k": "expected",
    },
    "07.calibration_error": {
        BINS.format(f"+= -m.mean() * {GAP}"): "cancel each other out",
    },
}
RIGHT = {
    "05.bigram_probability": [f"{COUNTS}t = n + k * V\nreturn (x + k) / t if t else V**-1"],
    "05.perplexity_per_word": ["return np.e ** (-np.sum(log_probs) / words)"],
    "05.sample_top_p": [f"{SORTED}s = i[: np.searchsorted(c, p) + 1]\n{DRAW}"],
    "05.repetition_penalised": [
        "i = list(set(token_ids))\nx = logits[i]\n"
        "logits[i] = np.where(x < 0, x * penalty, x / penalty)\nreturn logits"
    ],
    "06.best_span": [
        "s, e, n, T = start_logits, end_logits, max_answer_length, len(start_logits)\n"
        "sums = [(s[i] + e[j], i, j) for i in range(T) for j in range(i, min(i + n, T))]\n"
        "return np.array(max(sums)[1:])"
    ],
    "06.window_starts": ["return range(0, max(n_tokens - doc_stride, 1), room - doc_stride)"],
    "07.bm25_term": [
        f"return np.log1p({ODDS}) / (1 + k1 * (1 - b + b * length / mean_length) / frequency) "
        "if frequency else 0"
    ],
    "07.fuse": [f"{ADDING}return dict(sorted(t.items(), key=lambda item: -item[1]))"],
    "07.recall_at": ["return np.mean(np.array([r or np.inf for r in ranks]) <= k)"],
    "07.calibration_error": [
        BINS.format(f"+= m.mean() * abs{GAP}"),
        "i = np.clip((confidences * bins).astype(int), 0, bins - 1)\n"
        "return np.abs(np.bincount(i, correct) - np.bincount(i, confidences)).sum() / len(i)",
    ],
}


def verdict_on(exercise, body):
    return grade(exercise, find(exercise).with_body(body))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("exercise", "body", "words"),
    [(exercise, *case) for exercise, table in WRONG.items() for case in table.items()],
)
def test_a_wrong_answer_written_otherwise_is_told_what_is_wrong(exercise, body, words):
    verdict = verdict_on(exercise, body)
    assert not verdict.passed and words in verdict.message, verdict.message


@pytest.mark.parametrize(
    ("exercise", "body"),
    [(exercise, body) for exercise, bodies in RIGHT.items() for body in bodies],
)
def test_a_right_answer_written_otherwise_passes(exercise, body):
    verdict = verdict_on(exercise, body)
    assert verdict.passed, verdict.message
