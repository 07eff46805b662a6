"""Answers as readers write them: a wrong one is told its mistake, a right one passes.

The mistakes of the exercises themselves are proved in test_exercises.py; here are others, written
in another way than the exercise knows them: exercise -> body of the answer -> words of the check.
"""

import pytest

from src.teaching.exercises import find, grade

SIGMOID = "s = lambda z: 1 / (1 + np.exp(-z))\n"
STEPS = "h, out = 0 * b, []\nfor x in inputs:\n    h = {}\n    out.append(h)\nreturn out"
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
        "return np.array([words.count(v) for v in vocabulary]) / (len(words) or 1)": "divides by "
        "the",
        "return {w: words.count(w) for w in vocabulary}": "It is of type `dict`",
    },
    "01.tf_idf": {
        "n = sum(word in t for t in texts)\n"
        "return text.count(word) * len(texts) / max(n, 1)": "lacks",
        "n = sum(word in t for t in texts)\n"
        "return -text.count(word) * math.log(len(texts) / n) if n else 0": "upside down",
        "n = sum(word in t for t in texts)\n"
        "return (word in text) * math.log(len(texts) / max(n, 1))": "leaves out how often",
        "n = len([t for t in texts if word in t])\n"
        "return text.count(word) * math.log(len(texts) / n)": "divides by zero",
    },
    "01.cosine_similarity": {
        "return np.dot(a, b) / np.linalg.norm(b) if b.any() else 0": "expected 0.96",
        "return np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)": "divides 0 by 0",
        "return a * b / (np.linalg.norm(a) * np.linalg.norm(b) or 1)": "element by element",
    },
    "02.training_pairs": {
        "p = []\nfor i, w in enumerate(token_ids):\n    for j in range(i - window, i + window + "
        "1):\n"
        "        if 0 <= j < len(token_ids):\n            p.append((w, token_ids[j]))\n"
        "return p": "pair of every word with itself",
        "p = []\nfor i, w in enumerate(token_ids):\n    for j in range(i - window, i + window + "
        "1):\n"
        "        if j != i:\n            p.append((w, token_ids[j % len(token_ids)]))\n"
        "return p": "wraps around",
        "return [(w, c) for i, w in enumerate(token_ids)\n"
        "    for c in token_ids[max(0, i - window):i + window] if c is not w]": "misses the last",
        "return [(w, token_ids[i + 1]) for i, w in enumerate(token_ids)]": "IndexError",
        "return []": "It has 0 items",
    },
    "02.keep_probability": {
        "return np.clip(1 - np.sqrt(threshold / (counts / sum(counts))), 0, 1)": "being *dropped*",
        "f = counts / counts.sum()\nreturn np.sqrt(threshold / f) + threshold / f": "goes above 1",
        "f = counts / counts.sum()\n"
        "return np.where(f > threshold, np.sqrt(f / threshold), 1)": "goes above 1",
    },
    "02.pair_loss": {
        f"{SIGMOID}return np.log(s(context @ centre))"
        f" + np.log(s(-negatives @ centre)).sum()": "lacks",
        f"{SIGMOID}return -np.log(s(context @ centre)) - np.log(1"
        f" - s(negatives @ centre)).sum()": "rounds to 0",
        "return np.logaddexp(0, -centre @ context) + np.logaddexp(0, negatives @ centre)": "`list`",
    },
    "02.normalise_rows": {
        "return np.array([row / np.sqrt(row @ row) for row in embeddings])": "0 / 0",
        "s = (embeddings ** 2).sum(1, keepdims=True)\n"
        "return embeddings / np.maximum(s, 1e-12)": "by the sum of squares",
        "return embeddings / np.maximum(np.linalg.norm(embeddings, axis=0), 1e-12)": "*columns*",
    },
    "03.unroll": {
        "return np.array([np.tanh(W_x @ x + b) for x in inputs])": "has no effect",
        STEPS.format("np.tanh(W_x @ x + h @ W_h + b)"): "is transposed",
    },
    "03.clip_gradient": {
        "n = np.sqrt((gradient ** 2).sum())\nreturn gradient / max(n, 1e-12) * limit": "short",
        "return gradient / max(np.linalg.norm(gradient), 1)": "whatever the limit",
    },
    "03.forget_gate": {f"{SIGMOID}return c - s(W_x @ x + W_h @ h + b) * c": "wrong way round"},
    "03.masked_mean": {
        "return np.einsum('btd,bt->bd', outputs, mask)": "It is the sum",
        "return (outputs * mask[:, :, None]).sum(1) / mask.sum(1).mean()": "divided by one number",
    },
    "03.greedy_write": {
        "out = []\nwhile len(out) < most and start != end:\n    start = scores[start].argmax()\n"
        "    out.append(start)\nreturn out": "end mark too",
        WRITING.format("[start]", "scores[t].argmax()").replace("<", "<="): "begins with the start",
        WRITING.format("[]", "scores[t].argmax()").replace("most", "500"): "beyond `most`",
        WRITING.format("[]", "scores[t].argmax()").replace(
            "len(out) < most", "True"
        ): "still running",
        WRITING.format("[]", "scores[:, t].argmax()"): "looks at columns",
        WRITING.format("[]", "scores[start].argmax()"): "never reads back",
    },
    "04.masked_attention": {
        f"s = np.where(mask, query @ key.T, -1e9)\n{SOFTMAX}return w @ value": "not divided by "
        "sqrt(D)",
        f"s = query @ key.T / np.sqrt(query.shape[1])\n{SOFTMAX}return w * mask @ value": "after "
        "the",
        "s = np.where(mask, 0, 1) * -1e9 + query @ key.T / key.shape[1] ** 0.5\n"
        f"{SOFTMAX}return w @ value": "forbidden values",
        "s = np.where(mask, query @ key.T / np.sqrt(query.shape[1]), -np.inf)\n"
        "w = np.exp(s)\nreturn w / w.sum(-1, keepdims=True) @ value": "overflows",
        "s = np.where(mask, query @ key.T / np.sqrt(query.shape[1]), -np.inf)\n"
        f"{SOFTMAX}return w @ value": "0 / 0",
        "s = np.where(mask, -1e9, query @ key.T / np.sqrt(query.shape[1]))\n"
        f"{SOFTMAX}return w @ value": "expected",
        "return query @ key @ value": "ValueError",
    },
    "04.split_heads": {
        "return np.stack(np.split(x, H, axis=1), axis=1)": "on the second axis",
        "return x.reshape(len(x), -1, H).transpose(2, 0, 1)": "every H-th column",
    },
    "04.positional_encoding": {
        "p = np.zeros((T, D))\nfor t in range(T):\n    for j in range(D):\n"
        "        a = t / 10000 ** (j / D)\n        p[t, j] = np.cos(a) if j % 2 else np.sin(a)\n"
        "return p": "wave of its own",
        "p = np.zeros((T, D))\nfor i in range(D // 2):\n    a = np.arange(T) / 10000 ** (i / D)\n"
        "    p[:, 2 * i], p[:, 2 * i + 1] = np.sin(a), np.cos(a)\nreturn p": "instead of 2i / D",
        "return np.sin(np.arange(T)[:, None] / 10000 ** (np.arange(D) / D))": "expected",
    },
    "04.layer_norm": {
        "return (x - x.mean(0)) / np.sqrt(x.var(0) + epsilon) * gain + bias": "over the tokens",
        "return (x - x.mean(1)) / np.sqrt(x.var(1) + epsilon) * gain + bias": "ValueError",
    },
    "05.bigram_probability": {
        f"{COUNTS}return x / n": "k has no effect",
        f"{COUNTS}return (x + k) / n if n else 1 / V": "above the line only",
        f"{COUNTS}return (x + k) / (n + k * len(c)) if n else 1 / V": "not the V that could",
        f"{COUNTS}return x / sum(sum(f.values()) for f in following.values())": "count of *all*",
        "c = following[before]\n"
        "return (c.get(word, 0) + k) / (sum(c.values()) + k * V)": "KeyError",
        f"{COUNTS}return (x + k) / (n + k * V)": "0 / 0",
    },
    "05.perplexity_per_word": {
        "return np.exp(-np.mean(log_probs))": "number of tokens",
        "return np.exp(-np.array(log_probs)).mean()": "rarest token decides",
        "p = np.prod(np.exp(log_probs))\n"
        "return np.inf if p == 0 else p ** (-1 / words)": "multiplies probabilities",
    },
    "05.sample_top_p": {
        f"{SORTED}s = i[: max(1, np.searchsorted(c, p, side='right'))]\n{DRAW}": "crosses p",
        f"s = np.array([t for t in np.argsort(-probs) if probs[t] > p])\n{DRAW}": "each token by",
        f"{SORTED}total = 0\nfor t in i[c - probs[i] < p]:\n    total += probs[t]\n"
        "    if u < total:\n        return t": "sum to one again",
        f"{SORTED}s = i[c - probs[i] < p]\nreturn s[np.argmax(np.cumsum(probs[s]) > u)]": "but "
        "False",
        f"{SORTED}s = i[c - probs[i] < p]\nr = np.cumsum(probs[s])\n"
        "return np.argmax(r > u * r[-1])": "sorted order",
        f"{SORTED}s = np.sort(i[c - probs[i] < p])\n{DRAW}": "order of the vocabulary",
    },
    "05.repetition_penalised": {
        "for i in token_ids:\n    logits[i] = logits[i] / penalty if logits[i] > 0 else "
        "logits[i] * penalty\nreturn logits": "penalised three times",
        "return np.where(logits > 0, logits / penalty, logits * penalty)": "every token of the voc",
        "for i in set(token_ids):\n    logits[i] = -np.inf\nreturn logits": "once and for all",
        "for i in set(token_ids):\n    logits[i] /= penalty": "returns `None` every time",
    },
    "05b.mask_tokens": {
        "x, y = token_ids.copy(), np.full(len(token_ids), -100)\nfor i in range(len(token_ids)):\n"
        "    if dice[0, i] < 0.15:\n        y[i] = token_ids[i]\n        d = dice[1, i]\n"
        "        x[i] = mask_id if d < 0.8 else drawn[i] if d < 0.9 else x[i]\n"
        "return x, y": "chooses special tokens",
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
        "s = np.abs(weights).max() / 127\n"
        "return np.round(weights / s), np.array([s] * len(weights))": "one scale for the whole",
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
        "return [i * room for i in range(-(-n_tokens // room))]": "do not overlap",
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
        SEARCH.format(-1e9, "min(len(end_logits), s + max_answer_length + 1)"): "token too many",
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
        f"return np.log1p({ODDS}) * frequency / (frequency + k1)": "has no effect",
        f"return np.log1p({ODDS}) * {PART.replace('(1 - b + b *', '(b + (1 - b) *')}": "mixed up",
        f"return np.log1p({ODDS}) * {PART.replace('(frequency', 'frequency')[:-1]}": "expected",
        f"return math.log(1 + (containing - documents + 0.5) / (documents + 0.5))"
        f" * {PART}": "swapped",
        f"return np.log1p(1 / ({ODDS})) * {PART}": "expected",
        "return math.log(1 + odds) * frequency": "NameError",
    },
    "07.fuse": {
        f"{ADDING}return t": "not in order",
        f"{ADDING}return dict(sorted(t.items()))": "not in order",
        f"{ADDING}return dict(sorted(t.items(), key=lambda item: item[1]))": "the smallest comes "
        "first",
        f"{ADDING}return sorted(t, key=t.get, reverse=True)": "It returns a list",
        f"{FUSING}t[n] = 1 / (constant + rank)\n"
        "return dict(sorted(t.items(), key=lambda item: -item[1]))": "overwrites",
        "names = [n for n in rankings[0] if all(n in r for r in rankings)]\n"
        "s = {n: sum(1 / (constant + r.index(n) + 1) for r in rankings) for n in names}\n"
        "return dict(sorted(s.items(), key=lambda item: -item[1]))": "only what is on every list",
        f"{FUSING}t[n] += 1 / (constant + rank)\nreturn t": "KeyError",
        "return {}": "expected {'b': 0.1742, 'a': 0.09091, 'c': 0.08333}",
    },
    "07.recall_at": {
        "return sum(1 for r in ranks if r in range(k)) / len(ranks)": "leaves rank k out",
        "return np.nanmean([r <= k if r else np.nan for r in ranks])": "whose passage was found",
        "return np.mean([r <= k for r in ranks])": "compares None with a number",
        "return 100 * np.mean([bool(r) and r <= k for r in ranks])": "returns percent",
        "return len([r for r in ranks[:k] if r]) / k": "expected",
    },
    "07.calibration_error": {
        BINS.format(f"+= abs{GAP} / bins"): "empty ones too",
        BINS.replace("if m.any(): ", "").format(f"+= m.mean() * abs{GAP}"): "one nan",
        BINS.format(f"+= m.mean() * {GAP}"): "cancel each other out",
        BINS.format(f"+= -m.mean() * {GAP}"): "cancel each other out",
        BINS.format(f"+= m.sum() * abs{GAP}"): "sum to one",
        BINS.replace("i == bins - 1", "False").format(
            f"+= m.mean() * abs{GAP}"
        ): "fall into no bin",
        "error = 0\nfor low in np.arange(bins) / bins:\n"
        "    m = (confidences > low) & (confidences <= low + 1 / bins)\n"
        f"    if m.any(): error += m.mean() * abs{GAP}\nreturn error": "into the lower bin",
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
