"""The exercises of notebook 05: from counts to a probability, perplexity per word, a draw by top-p, a penalty for repetition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from src.teaching.exercises import Case, Exercise, Mistake

# --- bigram_probability --------------------------------------------------------------------------------------------------


def bigram_probability(
    before: str,
    word: str,
    following: dict[str, dict[str, int]],
    V: int,
    k: float,
) -> float:
    """How likely `word` is to come right after `before`, with add-k smoothing.

    following: following[a][b] is how often b came right after a; what never came
    is not in it
    V: words in the vocabulary   k: added to the count of each of the V pairs
    Returns (count of the pair + k) / (count of all pairs that begin with `before`
    + k V); where that is 0 / 0, all words are equally likely: 1 / V.
    Example: bigram_probability("the", "cat", {"the": {"cat": 3}}, 10, 0.5)
    gives 0.4375: (3 + 0.5) / (3 + 0.5 x 10).
    """
    counts = following.get(before, {})
    total = sum(counts.values()) + k * V
    return (counts.get(word, 0) + k) / total if total else 1 / V


def _pair(before: str, word: str, following: Any) -> int:
    return following.get(before, {}).get(word, 0)


def _all_after(before: str, following: Any) -> int:
    return sum(following.get(before, {}).values())


def _of_all_pairs(before: str, word: str, following: Any, V: int, k: float) -> float:
    return (_pair(before, word, following) + k) / (sum(_all_after(a, following) for a in following) + k * V)


def _words_changed_places(before: str, word: str, following: Any, V: int, k: float) -> float:
    return bigram_probability(word, before, following, V, k)


def _of_the_second_word(before: str, word: str, following: Any, V: int, k: float) -> float:
    return (_pair(before, word, following) + k) / (sum(_pair(a, word, following) for a in following) + k * V)


def _unsmoothed(before: str, word: str, following: Any, V: int, k: float) -> float:
    return bigram_probability(before, word, following, V, 0)


def _added_above_only(before: str, word: str, following: Any, V: int, k: float) -> float:
    return (_pair(before, word, following) + k) / _all_after(before, following)


def _added_once_below(before: str, word: str, following: Any, V: int, k: float) -> float:
    return (_pair(before, word, following) + k) / (_all_after(before, following) + k)


def _one_below_for_each(before: str, word: str, following: Any, V: int, k: float) -> float:
    return (_pair(before, word, following) + k) / (_all_after(before, following) + V)


def _seen_pairs_only(before: str, word: str, following: Any, V: int, k: float) -> float:
    return (_pair(before, word, following) + k) / (_all_after(before, following) + k * len(following.get(before, {})))


def _must_be_there(before: str, word: str, following: Any, V: int, k: float) -> float:
    return (following[before][word] + k) / (sum(following[before].values()) + k * V)


def _nothing_for_nothing(before: str, word: str, following: Any, V: int, k: float) -> float:
    return bigram_probability(before, word, following, V, k) if k or _all_after(before, following) else 0.0


def _nothing_by_nothing(before: str, word: str, following: Any, V: int, k: float) -> float:
    return (_pair(before, word, following) + k) / (_all_after(before, following) + k * V)


_FOLLOWING = {"the": {"cat": 3, "dog": 1}, "a": {"dog": 2}, "cat": {"sat": 2, "ran": 2}}

BIGRAM_PROBABILITY = Exercise(
    id="05.bigram_probability",
    title="from counts to a probability",
    goal="Write the smallest language model there is: it knows one word, and says how likely each other one is to follow.",
    solution=bigram_probability,
    cases=(
        Case(("the", "cat", _FOLLOWING, 8, 0.0), 3 / 4, "k is 0, so counting is all: `the` came four times, three times before `cat`"),
        Case(("the", "cat", _FOLLOWING, 8, 0.5), 3.5 / 8, "each of the 8 pairs that begin with `the` gets half a count more"),
        Case(("the", "mouse", _FOLLOWING, 8, 0.5), 0.5 / 8, "the pair never came; what was added is all it has"),
        Case(("a", "dog", _FOLLOWING, 8, 2.0), 4 / 18, "`dog` has come after two different words, but only `a` is asked about"),
        Case(("mouse", "cat", _FOLLOWING, 8, 0.5), 1 / 8, "nothing ever followed `mouse`, so all words are equally likely"),
        Case(("mouse", "cat", _FOLLOWING, 8, 0.0), 1 / 8, "nothing ever followed `mouse`, and nothing is added either"),
    ),
    mistakes=(
        Mistake(
            _of_all_pairs,
            "it divides by the count of *all* pairs. That is how often the pair comes at all; asked for is what follows once `before` "
            "stands there, so only pairs that begin with it count below the line.",
            "count of *all* pairs",
        ),
        Mistake(
            _words_changed_places,
            "the two words have changed places: it looks for what comes before, `following[word][before]`.",
            "changed places",
        ),
        Mistake(
            _of_the_second_word,
            "it divides by how often the second word comes. That tells which word stood before a `cat`; a model that writes needs the "
            "other direction.",
            "how often the second word comes",
        ),
        Mistake(
            _unsmoothed,
            "k plays no part. Without it a single pair that never came makes the whole text impossible, and its perplexity infinite.",
            "k plays no part",
        ),
        Mistake(
            _added_above_only,
            "k is added above the line only, so the probabilities of the V words sum to more than one. Below, all V additions count: k V.",
            "above the line only",
        ),
        Mistake(
            _added_once_below,
            "below the line k is added once. Each of the V words that could follow gets it, so it is k V.",
            "added once",
        ),
        Mistake(
            _one_below_for_each,
            "below the line it adds V instead of k V. The two are the same for k = 1 only.",
            "V instead of k V",
        ),
        Mistake(
            _seen_pairs_only,
            "below the line it counts the words that have followed, not the V that could. The point of smoothing is to leave something for "
            "those that have not.",
            "not the V that could",
        ),
        Mistake(
            _must_be_there,
            "it stumbles over what is not in the dictionary. Most pairs never came: take `following.get(before, {})`, and 0 for a word "
            "that is not in there.",
            "stumbles over",
        ),
        Mistake(
            _nothing_for_nothing,
            "after a word that nothing followed it gives every word 0 if k is 0. Probabilities have to sum to one: where nothing is known, "
            "each of the V words gets 1 / V.",
            "have to sum to one",
        ),
        Mistake(
            _nothing_by_nothing,
            "the formula is right, but for k = 0 and a word that nothing followed it is 0 / 0. Nothing is known then, so each of the V "
            "words gets 1 / V.",
            "0 / 0",
        ),
    ),
    hint="`following.get(before, {})` are the counts after `before`, empty if it never came; `counts.get(word, 0)` is one of them. "
    "What do all of them sum to, and what does adding k to each of V counts add to that sum?",
    insight="`NgramModel(..., order=2, smoothing='add-k')` is this on tokens. Kneser-Ney takes the same from every count instead, and "
    "gives it to words that follow many others.",
)

# --- perplexity_per_word -------------------------------------------------------------------------------------------------


def perplexity_per_word(log_probs: list[float], words: int) -> float:
    """Among how many equally likely words a model seems to choose, on average.

    log_probs: natural logarithm of the probability of each token, -inf for 0
    words: how many words these tokens make up, often fewer than there are tokens
    Returns exp(-total / words), of the total of all log_probs.
    Example: perplexity_per_word([-1.0, -2.0, -3.0], 2) gives 20.0855, e cubed.
    """
    return math.exp(-sum(log_probs) / words)


def _per_token(log_probs: list[float], words: int) -> float:
    return math.exp(-sum(log_probs) / len(log_probs))


def _base_two(log_probs: list[float], words: int) -> float:
    return 2 ** (-sum(log_probs) / words)


def _minus_forgotten(log_probs: list[float], words: int) -> float:
    return math.exp(sum(log_probs) / words)


def _mean_of_exps(log_probs: list[float], words: int) -> float:
    return sum(math.exp(-log_prob) for log_prob in log_probs) / len(log_probs)


def _no_exp(log_probs: list[float], words: int) -> float:
    return -sum(log_probs) / words


def _never_divided(log_probs: list[float], words: int) -> float:
    return math.exp(min(-sum(log_probs), 700))


def _product(log_probs: list[float], words: int) -> float:
    return math.prod(map(math.exp, log_probs)) ** (-1 / words)


def _exps_by_words(case: Case, value: Any) -> bool:
    log_probs, words = case.arguments
    return math.isclose(value, sum(math.exp(-log_prob) for log_prob in log_probs) / words)


def _infinite_for_nothing(case: Case, value: Any) -> bool:
    return value == math.inf > case.expected


_HALVES = [-math.log(2), -math.log(4), -math.log(8)]  # tokens of probability 1/2, 1/4 and 1/8

PERPLEXITY_PER_WORD = Exercise(
    id="05.perplexity_per_word",
    title="perplexity per word",
    goal="Turn the probabilities that a model gave the tokens of a text into one number, by which models with different tokens can be "
    "compared.",
    solution=perplexity_per_word,
    cases=(
        Case(([-math.log(8)] * 3, 3), 8.0, "every word is one token of probability 1/8, as if it were drawn from 8"),
        Case((_HALVES, 2), 8.0, "three tokens make up two words; together they have probability 1/64, which is 1/8 for each word"),
        Case(([0.0, 0.0], 2), 1.0, "the model was sure of both tokens, and right"),
        Case(([-1.0] * 800, 400), math.exp(2), "the product of 800 probabilities is smaller than the smallest number of the computer"),
        Case(([-0.5, -math.inf, -1.5], 2), math.inf, "the model held one token for impossible, and there it is"),
    ),
    mistakes=(
        Mistake(
            _per_token,
            "it divides by the number of tokens. A model with longer tokens has fewer of them, so its result cannot be compared; words "
            "are the same for all.",
            "number of tokens",
        ),
        Mistake(
            _base_two,
            "it mixes two bases: the logarithms are natural ones, but 2 is raised to their mean. What `math.log` took, `math.exp` gives "
            "back.",
            "mixes two bases",
        ),
        Mistake(
            _minus_forgotten,
            "the minus is missing, so it is the probability of an average word. Perplexity is 1 divided by it, and never below 1.",
            "minus is missing",
        ),
        Mistake(
            _mean_of_exps,
            "it takes e to the power for each token, and then the mean, so the rarest token decides nearly alone. First the mean of the "
            "logarithms per word, then, once, e to the power of minus that.",
            "rarest token decides",
            _exps_by_words,
        ),
        Mistake(
            _no_exp,
            "it stops at the mean surprise, which is a logarithm. The perplexity is e to the power of it.",
            "stops at the mean surprise",
        ),
        Mistake(
            _never_divided,
            "`words` plays no part, so a long text would always be worse than a short one. Divide the total by it before `exp`.",
            "plays no part",
        ),
        Mistake(
            _product,
            "it multiplies probabilities. The product of a few hundred of them is rounded to 0; their logarithms can be added without end.",
            "multiplies probabilities",
            _infinite_for_nothing,
        ),
    ),
    hint="Three steps: the sum of all logarithms; divided by the number of words, with a minus; e to the power of that, `math.exp`.",
    insight="Divided by the bytes and by ln 2 instead, the same total gives bits per byte. `Score` keeps the total for that reason.",
    imports="import math",
)

# --- sample_top_p --------------------------------------------------------------------------------------------------------


def sample_top_p(probs: np.ndarray, p: float, u: float) -> int:
    """Draw from the fewest likeliest tokens that together reach p.

    probs: float[V], summing to one   p: above 0, up to 1
    u: a random number, 0 <= u < 1, which decides the draw
    Sort the tokens from the likeliest on. A token stays if those before it do
    not reach p yet. Go through those that stay and add up their probabilities;
    stop at the first where the sum is above u times the sum of all that stay.
    Returns the number of that token, its place in probs.
    Example: sample_top_p(np.array([0.1, 0.6, 0.3]), 0.8, 0.9) gives 2: the tokens
    1 and 2 stay with a sum of 0.9, and only with token 2 it gets above 0.81.
    """
    order = np.argsort(-probs)
    before = np.cumsum(probs[order]) - probs[order]
    kept = order[before < p]
    running = np.cumsum(probs[kept])
    return int(kept[np.argmax(running > u * running[-1])])


def _draw(probs: Any, kept: Any, u: float) -> int:
    running = np.cumsum(probs[kept])
    return int(kept[np.argmax(running > u * running[-1])])


def _crossing_dropped(probs: Any, p: float, u: float) -> int:
    order = np.argsort(-probs)
    return _draw(probs, order[: max(1, (np.cumsum(probs[order]) <= p).sum())], u)


def _perhaps_nothing_left(probs: Any, p: float, u: float) -> int:
    order = np.argsort(-probs)
    return _draw(probs, order[np.cumsum(probs[order]) <= p], u)


def _each_above_p(probs: Any, p: float, u: float) -> int:
    order = np.argsort(-probs)
    return _draw(probs, order[probs[order] >= p], u)


def _rarest_first(probs: Any, p: float, u: float) -> int:
    order = np.argsort(probs)
    return _draw(probs, order[np.cumsum(probs[order]) - probs[order] < p], u)


def _not_shared_out(probs: Any, p: float, u: float) -> int | None:
    order = np.argsort(-probs)
    total = 0.0
    for token in order[np.cumsum(probs[order]) - probs[order] < p]:
        total += probs[token]
        if total > u:
            return int(token)
    return None


def _nothing_but_false(probs: Any, p: float, u: float) -> int:
    order = np.argsort(-probs)
    kept = order[np.cumsum(probs[order]) - probs[order] < p]
    return int(kept[np.argmax(np.cumsum(probs[kept]) > u)])


def _all_stay(probs: Any, p: float, u: float) -> int:
    return sample_top_p(probs, 1.0, u)


def _likeliest(probs: Any, p: float, u: float) -> int:
    return int(probs.argmax())


def _place_in_order(probs: Any, p: float, u: float) -> int:
    return np.argsort(-probs).tolist().index(sample_top_p(probs, p, u))


def _order_of_the_vocabulary(probs: Any, p: float, u: float) -> int:
    order = np.argsort(-probs)
    return _draw(probs, np.sort(order[np.cumsum(probs[order]) - probs[order] < p]), u)


def _nothing_drawn(case: Case, value: Any) -> bool:
    return value is None


_PROBS = np.array([0.125, 0.5, 0.25, 0.09375, 0.03125])  # from the likeliest on: 1, 2, 0, 3, 4

SAMPLE_TOP_P = Exercise(
    id="05.sample_top_p",
    title="a draw by top-p",
    goal="Cut off the long tail of unlikely tokens where the likely ones together are enough, and draw from those that stay.",
    solution=sample_top_p,
    cases=(
        Case((_PROBS, 0.2, 0.9), 1, "the likeliest token alone reaches p, so no other stays"),
        Case((_PROBS, 0.7, 0.9), 2, "0.5 does not reach p, 0.5 + 0.25 does: tokens 1 and 2 stay"),
        Case((_PROBS, 0.7, 0.0), 1, "u is 0, so the first token of the order is drawn"),
        Case((_PROBS, 0.8, 0.95), 0, "tokens 1, 2 and 0 stay, with a sum of 0.875, and u is near the end"),
        Case((_PROBS, 0.9, 0.7), 2, "four tokens stay, and u is somewhere in the middle"),
        Case((_PROBS, 1.0, 0.97), 4, "p is 1: every token stays"),
    ),
    mistakes=(
        Mistake(
            _crossing_dropped,
            "it drops the token with which the sum crosses p. That token still belongs to them: without it they do not reach p.",
            "crosses p",
        ),
        Mistake(
            _perhaps_nothing_left,
            "where the likeliest token alone is above p, nothing stays to be drawn. What counts is the sum *before* a token; before the "
            "first it is 0, so the first always stays.",
            "nothing stays to be drawn",
        ),
        Mistake(
            _each_above_p,
            "it holds each token by itself against p. What has to reach p is the sum of those that stay.",
            "each token by itself",
        ),
        Mistake(
            _rarest_first,
            "it begins with the rarest tokens: `argsort` sorts upwards. Sort `-probs`, or turn the order round.",
            "rarest tokens",
        ),
        Mistake(
            _not_shared_out,
            "those that stay are not made to sum to one again, so a large u finds no token. Compare with u times their sum.",
            "sum to one again",
            _nothing_drawn,
        ),
        Mistake(
            _nothing_but_false,
            "the running sum of those that stay ends below 1, and a large u is above all of it. `np.argmax` of nothing but False is 0, so "
            "the likeliest token is taken. Compare with u times their sum.",
            "nothing but False",
        ),
        Mistake(_all_stay, "p makes no difference: it draws from all tokens, the whole tail included.", "makes no difference"),
        Mistake(_likeliest, "it always takes the likeliest token. That is greedy decoding; here u decides.", "greedy decoding"),
        Mistake(
            _place_in_order,
            "it returns the place of the token in the sorted order. Asked for is its number, the place in `probs`: `order[place]`.",
            "place of the token in the sorted order",
        ),
        Mistake(
            _order_of_the_vocabulary,
            "the right tokens stay, with the right chances, but the walk goes through them in the order of the vocabulary. Go on from the "
            "likeliest, so that everybody's u gives the same token.",
            "order of the vocabulary",
        ),
    ),
    hint="`order = np.argsort(-probs)` are the numbers of the tokens, the likeliest first; `np.cumsum(probs[order])` is their running "
    "sum. Take a token's own probability off it: that is what those before it reach. `np.argmax` of true and false gives the first true.",
    insight="Where the model is sure, one or two tokens stay; where it is not, hundreds may. Top-k keeps the same number in both cases.",
    imports="import numpy as np",
)

# --- repetition_penalised ------------------------------------------------------------------------------------------------


def repetition_penalised(
    logits: np.ndarray,
    token_ids: list[int],
    penalty: float,
) -> np.ndarray:
    """Make tokens that have come before less likely to come again.

    logits: float[V]   token_ids: those that have come, some of them repeatedly
    penalty: 1 changes nothing, more than 1 makes them less likely
    Returns float[V]: of each token that has come, a positive logit is divided by
    the penalty and a negative one multiplied, once; the others stay as they are.
    Example: repetition_penalised(np.array([3.0, -1.0, 4.0]), [0, 1, 0], 2.0)
    gives [1.5, -2.0, 4.0].
    """
    result = logits.copy()
    for token in set(token_ids):
        if logits[token] > 0:
            result[token] /= penalty
        else:
            result[token] *= penalty
    return result


def _always_divided(logits: Any, token_ids: Any, penalty: float) -> Any:
    result = logits.copy()
    for token in set(token_ids):
        result[token] /= penalty
    return result


def _subtracted(logits: Any, token_ids: Any, penalty: float) -> Any:
    result = logits.copy()
    for token in set(token_ids):
        result[token] -= penalty
    return result


def _once_per_repeat(logits: Any, token_ids: Any, penalty: float) -> Any:
    result = logits.copy()
    for token in token_ids:
        result[token] *= 1 / penalty if logits[token] > 0 else penalty
    return result


def _all_tokens(logits: Any, token_ids: Any, penalty: float) -> Any:
    return repetition_penalised(logits, list(range(len(logits))), penalty)


def _the_other_way(logits: Any, token_ids: Any, penalty: float) -> Any:
    return repetition_penalised(logits, token_ids, 1 / penalty)


def _always_multiplied(logits: Any, token_ids: Any, penalty: float) -> Any:
    return _always_divided(logits, token_ids, 1 / penalty)


def _forbidden(logits: Any, token_ids: Any, penalty: float) -> Any:
    result = logits.copy()
    for token in set(token_ids):
        result[token] = -math.inf
    return result


def _last_token_only(logits: Any, token_ids: Any, penalty: float) -> Any:
    return repetition_penalised(logits, token_ids[-1:], penalty)


_LOGITS = np.array([2.0, -1.0, 0.5, -3.0, 0.0])

REPETITION_PENALISED = Exercise(
    id="05.repetition_penalised",
    title="a penalty for repetition",
    goal="Take the loop out of greedy writing: what has been said becomes less likely to be said again.",
    solution=repetition_penalised,
    cases=(
        Case((_LOGITS, [0], 2.0), np.array([1.0, -1.0, 0.5, -3.0, 0.0]), "one token has come, and its logit is positive"),
        Case((_LOGITS, [1], 2.0), np.array([2.0, -2.0, 0.5, -3.0, 0.0]), "one token has come, and its logit is negative"),
        Case((_LOGITS, [3, 2], 1.5), np.array([2.0, -1.0, 1 / 3, -4.5, 0.0]), "two different tokens have come"),
        Case((_LOGITS, [0, 3, 0, 0], 2.0), np.array([1.0, -1.0, 0.5, -6.0, 0.0]), "token 0 has come three times"),
        Case((_LOGITS, [], 2.0), _LOGITS, "nothing has come yet"),
        Case((_LOGITS, [0, 1], 1.0), _LOGITS, "a penalty of 1 changes nothing"),
    ),
    mistakes=(
        Mistake(
            _always_divided,
            "it divides negative logits too, which brings them nearer to 0, and so makes these tokens *likelier*. Multiply those.",
            "makes these tokens *likelier*",
        ),
        Mistake(
            _subtracted,
            "it subtracts the penalty. That is another kind of penalty; this one divides and multiplies, so that 1 changes nothing.",
            "subtracts the penalty",
        ),
        Mistake(
            _once_per_repeat,
            "a token that has come three times is penalised three times. Once is enough: go through `set(token_ids)`.",
            "penalised three times",
        ),
        Mistake(
            _all_tokens,
            "it penalises every token of the vocabulary. Only those in `token_ids` have come before.",
            "every token of the vocabulary",
        ),
        Mistake(
            _the_other_way,
            "it is the wrong way round: a positive logit that grows, or a negative one nearer to 0, makes the token more likely.",
            "wrong way round",
        ),
        Mistake(
            _always_multiplied,
            "it multiplies positive logits too, which makes them larger. Those are to be divided.",
            "multiplies positive logits too",
        ),
        Mistake(
            _forbidden,
            "it forbids what has come, once and for all. A text without a second `the` would soon be strange; make it less likely only.",
            "once and for all",
        ),
        Mistake(_last_token_only, "it looks at the last token only. A loop can be longer than one token.", "last token only"),
    ),
    hint="Begin with `logits.copy()`. In a loop over `set(token_ids)`: is this logit positive? Then divide it by the penalty, else "
    "multiply it.",
    insight="`repetition_penalty` does this for the writing assistant. It knows nothing of meaning: `the` is penalised like a rare name.",
    imports="import numpy as np",
)

EXERCISES = (BIGRAM_PROBABILITY, PERPLEXITY_PER_WORD, SAMPLE_TOP_P, REPETITION_PENALISED)
