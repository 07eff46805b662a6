"""Answers as readers write them: a wrong one is told what is wrong, a right one passes.

test_exercises.py proves that an answer which gives what a mistake of the exercise gives is told
that mistake. Here are answers that the exercise does not know in this form: exercise -> body of
the function -> words of the check.
"""

import pytest

from src.teaching.exercises import find, grade

CHOSEN = "chosen = (dice[0] < 0.15) & ~special\n"
SEARCH = (  # the sum to beat, the end of the inner loop
    "best = {}\nfor s in range(len(start_logits)):\n    for e in range(s, {}):\n"
    "        if start_logits[s] + end_logits[e] > best:\n"
    "            best, span = start_logits[s] + end_logits[e], (s, e)\nreturn span"
)
ADDING = (
    "t = {}\nfor ranking in rankings:\n    for rank, n in enumerate(ranking, 1):\n"
    "        t[n] = t.get(n, 0) + 1 / (constant + rank)\n"
)

WRONG = {
    "02.training_pairs": {
        "return [(w, c) for i, w in enumerate(token_ids)\n"
        "    for c in token_ids[max(0, i - window):i + window] if c is not w]": "misses the last",
        "return []": "It has 0 items",
    },
    "04.masked_attention": {
        "s = np.where(mask, query @ key.T / np.sqrt(query.shape[1]), -np.inf)\n"
        "w = np.exp(s)\nreturn w / w.sum(-1, keepdims=True) @ value": "overflows"
    },
    "06.perplexity_per_word": {
        "p = np.prod(np.exp(log_probs))\n"
        "return np.inf if p == 0 else p ** (-1 / words)": "multiplies probabilities"
    },
    "07.mask_tokens": {
        f"{CHOSEN}token_ids[chosen & (dice[1] < 0.8)] = mask_id\n"
        "labels = np.where(chosen, token_ids, -100)\n"
        "swap = chosen & (dice[1] >= 0.8) & (dice[1] < 0.9)\n"
        "return np.where(swap, drawn, token_ids), labels": "not the original tokens"
    },
    "08.window_starts": {
        "s = [0]\nwhile s[-1] + doc_stride < n_tokens:\n    s.append(s[-1] + doc_stride)\n"
        "return s": "the step is",
        "s = [0]\nwhile s[-1] + room < n_tokens:\n    s.append(s[-1])\nreturn s": "ever end?",
        "print(0)": "returns `None` every time",
        "return len(range(0, n_tokens, room))": "of type `int`; a `list` was expected",
    },
    "08.label_window": {
        "n = range(len(token_starts))\n"
        "t = [i for i in n if answer_start <= token_starts[i] < answer_end]\n"
        "return (t[0], t[-1] + 1) if t else (0, 0)": "one too far"
    },
    "08.best_span": {
        SEARCH.format(
            0, "min(len(end_logits), s + max_answer_length)"
        ): "all scores are below zero",
        "start_logits[:] = 0\nreturn 1, 2": "expected (2, 3)",
    },
    "09.bm25_term": {"return math.log(1 + odds) * frequency": "NameError"},
    "09.fuse": {
        f"{ADDING}return sorted(t, key=t.get, reverse=True)": "a `dict` was expected",
    },
    "09.recall_at": {
        "return np.nanmean([r <= k if r else np.nan for r in ranks])": "whose passage was found"
    },
}
RIGHT = {
    "06.sample_top_p": "i = np.argsort(-probs)\nc = np.cumsum(probs[i])\n"
    "s = i[: np.searchsorted(c, p) + 1]\nr = np.cumsum(probs[s])\n"
    "return s[np.argmax(r > u * r[-1])]",
    "08.best_span": "s, e, n, T = start_logits, end_logits, max_answer_length, len(start_logits)\n"
    "sums = [(s[i] + e[j], i, j) for i in range(T) for j in range(i, min(i + n, T))]\n"
    "return np.array(max(sums)[1:])",
    "08.window_starts": "return range(0, max(n_tokens - doc_stride, 1), room - doc_stride)",
    "09.fuse": f"{ADDING}return dict(sorted(t.items(), key=lambda item: -item[1]))",
    "09.calibration_error": "i = np.clip((confidences * bins).astype(int), 0, bins - 1)\n"
    "return np.abs(np.bincount(i, correct) - np.bincount(i, confidences)).sum() / len(i)",
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("exercise", "body", "words"),
    [(exercise, *case) for exercise, table in WRONG.items() for case in table.items()],
)
def test_a_wrong_answer_written_otherwise_is_told_what_is_wrong(exercise, body, words):
    verdict = grade(exercise, find(exercise).with_body(body))
    assert not verdict.passed and words in verdict.message, verdict.message


@pytest.mark.parametrize(("exercise", "body"), RIGHT.items())
def test_a_right_answer_written_otherwise_passes(exercise, body):
    verdict = grade(exercise, find(exercise).with_body(body))
    assert verdict.passed, verdict.message
