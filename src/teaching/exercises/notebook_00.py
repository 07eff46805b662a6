"""The exercises of notebook 00: a rule, one step of gradient descent, and the forward step of a learned filter, in plain Python."""

from __future__ import annotations

import math
from typing import Any

from src.teaching.exercises import Case, Exercise, Mistake

# --- capital_share -------------------------------------------------------------------------------------------------------


def capital_share(text: str) -> float:
    """The part of a message's letters that are capitals, from 0 to 1.

    text: the message; digits, blanks and punctuation are not letters
    A message without any letter shouts nothing: 0.
    Example: capital_share("WIN now!!!") gives 0.5: 3 capitals of 6 letters.
    """
    letters = [character for character in text if character.isalpha()]
    if not letters:
        return 0.0
    return sum(letter.isupper() for letter in letters) / len(letters)


def _of_all_characters(text: str) -> float:
    return sum(character.isupper() for character in text) / len(text) if text else 0.0


def _of_words(text: str) -> float:
    words = [word for word in text.split() if any(character.isalpha() for character in word)]
    return sum(word.isupper() for word in words) / len(words) if words else 0.0


def _all_or_nothing(text: str) -> float:
    return float(text.isupper())


def _without_letters(text: str) -> float:
    letters = [character for character in text if character.isalpha()]
    return sum(letter.isupper() for letter in letters) / len(letters)


def _counted(text: str) -> float:
    return float(sum(character.isupper() for character in text))


CAPITAL_SHARE = Exercise(
    id="00.capital_share",
    title="a rule of your own",
    goal="Shouting is a sign of spam. Measure how loud a message is: which part of its letters are capitals?",
    solution=capital_share,
    cases=(
        Case(("WINNER",), 1.0, "every letter is a capital"),
        Case(("WIN now",), 0.5, "3 of 6 letters are capitals; the blank is no letter"),
        Case(("Act NOW, pay 0!",), 0.4444444, "4 of 9 letters are capitals: the 0, the comma and the mark are not letters"),
        Case(("see you at 8",), 0.0, "no letter is a capital"),
        Case(("Hello Anna",), 2 / 9, "both words begin with a capital, and most letters are small"),
        Case(("555-0150",), 0.0, "there is no letter at all"),
        Case(("",), 0.0, "the message is empty"),
    ),
    mistakes=(
        Mistake(
            _of_all_characters,
            "it divides by all characters. Blanks, digits and punctuation can be neither small nor capital: divide by the letters only.",
            "divides by all characters",
        ),
        Mistake(
            _of_words,
            "it counts whole words. The question is about letters: `WIN now` and `WINNER is` have different shares.",
            "counts whole words",
        ),
        Mistake(
            _all_or_nothing,
            "it says 1 or 0. `text.isupper()` asks whether *everything* is in capitals; a share lies in between.",
            "says 1 or 0",
        ),
        Mistake(
            _without_letters,
            "it divides by zero where a message has no letter. Return 0 early.",
            "divides by zero",
        ),
        Mistake(
            _counted,
            "it returns the number of capitals. A long message has many of them without shouting: divide by the letters.",
            "returns the number of capitals",
            lambda case, value: value > 1,
        ),
    ),
    hint="`character.isalpha()` says whether a character is a letter, `character.isupper()` whether it is a capital. Collect letters.",
    insight="A rule needs one more thing: a number above which it calls the message spam. You would look at examples to choose it. "
    "Learning does nothing else.",
)

# --- gradient_step -------------------------------------------------------------------------------------------------------


def gradient_step(
    x: list[float],
    y: list[float],
    slope: float,
    intercept: float,
    learning_rate: float,
) -> tuple[float, float]:
    """Slope and intercept of a line after one step of gradient descent.

    x, y: the points   slope, intercept: the line before the step
    learning_rate: how much of the gradient is subtracted
    The error is the mean of (slope * x + intercept - y) squared. Its gradient:
        for the slope      the mean of 2 * (slope * x + intercept - y) * x
        for the intercept  the mean of 2 * (slope * x + intercept - y)
    Example: gradient_step([1, 2], [2, 4], 0, 0, 0.1) gives (1.0, 0.6).
    """
    wrong_by = [slope * a + intercept - b for a, b in zip(x, y, strict=True)]
    times_x = [d * a for d, a in zip(wrong_by, x, strict=True)]
    slope_gradient = 2 * sum(times_x) / len(x)
    intercept_gradient = 2 * sum(wrong_by) / len(x)
    return (
        slope - learning_rate * slope_gradient,
        intercept - learning_rate * intercept_gradient,
    )


def _gradients(x: list[float], y: list[float], slope: float, intercept: float) -> tuple[float, float]:
    wrong_by = [slope * a + intercept - b for a, b in zip(x, y, strict=True)]
    return sum(2 * d * a for d, a in zip(wrong_by, x, strict=True)) / len(x), sum(2 * d for d in wrong_by) / len(x)


def _uphill(x: list[float], y: list[float], slope: float, intercept: float, learning_rate: float) -> tuple[float, float]:
    ds, di = _gradients(x, y, slope, intercept)
    return slope + learning_rate * ds, intercept + learning_rate * di


def _sum_not_mean(x: list[float], y: list[float], slope: float, intercept: float, learning_rate: float) -> tuple[float, float]:
    ds, di = _gradients(x, y, slope, intercept)
    return slope - learning_rate * ds * len(x), intercept - learning_rate * di * len(x)


def _without_x(x: list[float], y: list[float], slope: float, intercept: float, learning_rate: float) -> tuple[float, float]:
    _, di = _gradients(x, y, slope, intercept)
    return slope - learning_rate * di, intercept - learning_rate * di


def _without_two(x: list[float], y: list[float], slope: float, intercept: float, learning_rate: float) -> tuple[float, float]:
    ds, di = _gradients(x, y, slope, intercept)
    return slope - learning_rate * ds / 2, intercept - learning_rate * di / 2


def _one_after_the_other(x: list[float], y: list[float], slope: float, intercept: float, learning_rate: float) -> tuple[float, float]:
    slope -= learning_rate * _gradients(x, y, slope, intercept)[0]
    return slope, intercept - learning_rate * _gradients(x, y, slope, intercept)[1]


def _no_learning_rate(x: list[float], y: list[float], slope: float, intercept: float, learning_rate: float) -> tuple[float, float]:
    ds, di = _gradients(x, y, slope, intercept)
    return slope - ds, intercept - di


GRADIENT_STEP = Exercise(
    id="00.gradient_step",
    title="one step of training",
    goal="Forward, error, gradient, adjust: write the whole step for a line.",
    solution=gradient_step,
    cases=(
        Case(([1.0, 2.0], [2.0, 4.0], 0.0, 0.0, 0.1), (1.0, 0.6)),
        Case(([1.0, 2.0, 3.0], [2.0, 3.0, 5.0], 1.0, 1.0, 0.1), (1.2, 1.0666667), "the line is nearly right, so the step is small"),
        Case(([1.0, 2.0], [3.0, 5.0], 2.0, 1.0, 0.1), (2.0, 1.0), "the line goes through both points: the gradient is 0, nothing moves"),
        Case(([3.0], [1.0], 1.0, 1.0, 0.05), (0.1, 0.7), "there is one point, and the line passes above it"),
        Case(([-1.0, 0.0, 2.0, 3.0], [4.0, 1.0, 0.0, -2.0], 0.5, -1.0, 0.01), (0.435, -0.975), "a point lies at a negative x"),
        Case(([2.0, 4.0], [1.0, 3.0], 0.0, 2.0, 0.0), (0.0, 2.0), "a learning rate of 0 changes nothing"),
    ),
    mistakes=(
        Mistake(
            _uphill,
            "it goes uphill. The gradient points to where the error grows, so a step *subtracts* it.",
            "goes uphill",
        ),
        Mistake(
            _sum_not_mean,
            "it adds up over the points without dividing by their number. Twice the points would make the step twice as long.",
            "without dividing",
        ),
        Mistake(
            _without_x,
            "it uses the same gradient for both. Turning the slope moves the line at x by x times as much: a factor `x`.",
            "the same gradient for both",
        ),
        Mistake(
            _without_two,
            "the factor 2 is missing. It comes from the square: the derivative of d² is 2d.",
            "factor 2 is missing",
        ),
        Mistake(
            _one_after_the_other,
            "it has already moved the slope when it computes the intercept's gradient. Compute both, then move both.",
            "already moved the slope",
        ),
        Mistake(
            _no_learning_rate,
            "it subtracts the whole gradient. Multiply it by `learning_rate`, or the step jumps far over the lowest point.",
            "the whole gradient",
        ),
    ),
    hint="First, for every point, how far the line is off: `slope * x + intercept - y`. Both gradients are means made of it. "
    "Only then change slope and intercept, each by `- learning_rate` times its gradient.",
    insight="Every network of this course is trained by steps like this one. The number of weights grows, a library works out the "
    "gradients, and often adapts the length of the step.",
)

# --- spam_probability ----------------------------------------------------------------------------------------------------


def spam_probability(
    words: list[str],
    weights: dict[str, float],
    bias: float,
) -> float:
    """How likely a message is spam, by the weights of its words.

    words: the words of the message, repeated ones as often as they stand there
    weights: one number per known word; every other word counts 0
    bias: where the sum starts, before any word is read
    The sum of all goes through the sigmoid, 1 / (1 + exp(-sum)).
    Example: spam_probability(["free", "free", "tea"], {"free": 1.0}, -2.0)
    gives 0.5: the sum is -2 + 1 + 1 + 0.
    """
    score = bias + sum(weights.get(word, 0.0) for word in words)
    return 1 / (1 + math.exp(-score))


def _sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-score))


def _each_word_once(words: list[str], weights: dict[str, float], bias: float) -> float:
    return _sigmoid(bias + sum(weights.get(word, 0.0) for word in set(words)))


def _known_words_only(words: list[str], weights: dict[str, float], bias: float) -> float:
    return _sigmoid(bias + sum(weights[word] for word in words))


def _no_sigmoid(words: list[str], weights: dict[str, float], bias: float) -> float:
    return bias + sum(weights.get(word, 0.0) for word in words)


def _no_bias(words: list[str], weights: dict[str, float], bias: float) -> float:
    return _sigmoid(sum(weights.get(word, 0.0) for word in words))


def _all_weights(words: list[str], weights: dict[str, float], bias: float) -> float:
    return _sigmoid(bias + sum(weights.values()))


def _sign_of_exponent(words: list[str], weights: dict[str, float], bias: float) -> float:
    return 1 - spam_probability(words, weights, bias)


def _outside_zero_to_one(case: Case, value: Any) -> bool:
    return not 0 <= value <= 1


WEIGHTS = {"free": 1.0, "prize": 2.0, "now": 0.5, "sunday": -1.5, "tea": -1.0}

SPAM_PROBABILITY = Exercise(
    id="00.spam_probability",
    imports="import math",
    title="the forward step of the filter",
    goal="The filter has a weight for each word. Turn a message into the probability that it is spam.",
    solution=spam_probability,
    cases=(
        Case((["free", "prize"], WEIGHTS, 0.0), 0.9525741, "the sum is 1 + 2"),
        Case((["sunday"], WEIGHTS, -0.5), 0.1192029, "the sum is -0.5 - 1.5, so spam is unlikely"),
        Case((["free", "free", "free"], WEIGHTS, -2.0), 0.7310586, "`free` stands there three times, and counts three times"),
        Case((["free", "umbrella", "now"], WEIGHTS, -1.0), 0.6224593, "`umbrella` has no weight, so it counts 0"),
        Case(([], WEIGHTS, 1.0), 0.7310586, "a message without words has only the bias"),
        Case((["tea", "sunday"], WEIGHTS, 2.5), 0.5, "the sum is 0: as likely as not"),
    ),
    mistakes=(
        Mistake(
            _each_word_once,
            "it counts a repeated word once. The message says it twice, so its weight is added twice.",
            "a repeated word once",
        ),
        Mistake(
            _known_words_only,
            "it stumbles over a word without a weight. New messages always have some: `weights.get(word, 0.0)` gives 0 for them.",
            "a word without a weight",
        ),
        Mistake(
            _no_sigmoid,
            "it returns the sum itself. A probability lies between 0 and 1: the sum has to go through the sigmoid.",
            "returns the sum itself",
            _outside_zero_to_one,
        ),
        Mistake(_no_bias, "it leaves out the bias, which is where the sum starts.", "leaves out the bias"),
        Mistake(
            _all_weights,
            "it adds up all weights there are, whatever the message says. Only the words of the message count.",
            "all weights there are",
        ),
        Mistake(
            _sign_of_exponent,
            "it gives the probability that the message is *not* spam: the minus in `exp(-sum)` is missing.",
            "the minus in",
        ),
    ),
    hint="Begin with the bias. Go through the words and add `weights.get(word, 0.0)` for each. Then `1 / (1 + math.exp(-score))`.",
    insight="This is logistic regression, and at the same time the smallest neural network there is: one layer with one output.",
)

EXERCISES = (CAPITAL_SHARE, GRADIENT_STEP, SPAM_PROBABILITY)
