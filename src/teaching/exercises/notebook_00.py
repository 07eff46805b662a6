"""Notebook 00: a step of gradient descent, the forward step of a learned filter."""

import math

from src.teaching.exercises.record import Case, Exercise


def gradient_step(
    x: list[float],
    y: list[float],
    slope: float,
    intercept: float,
    learning_rate: float,
) -> tuple[float, float]:
    """Slope and intercept of a line after one step of gradient descent.

    The loss is the mean of (slope * x + intercept - y) squared. Its gradient is
        for the slope      the mean of 2 * (slope * x + intercept - y) * x
        for the intercept  the mean of 2 * (slope * x + intercept - y)
    Example: gradient_step([1, 2], [2, 4], 0, 0, 0.1) gives (1.0, 0.6).

    Args:
        x, y: the points.
        slope, intercept: the line before the step.
        learning_rate: how much of the gradient is subtracted.
    """
    errors = [slope * a + intercept - b for a, b in zip(x, y, strict=True)]
    times_x = [error * a for error, a in zip(errors, x, strict=True)]
    slope_gradient = 2 * sum(times_x) / len(x)
    intercept_gradient = 2 * sum(errors) / len(x)
    return (
        slope - learning_rate * slope_gradient,
        intercept - learning_rate * intercept_gradient,
    )


GRADIENT_STEP = Exercise(
    gradient_step,
    hint="First, for every point, how far the line is off: `slope * x + intercept - y`. Both "
    "gradients are means made of it. Only then change slope and intercept.",
    insight="Every network of this course is trained by steps like this one. It has more weights, "
    "and a library works out the gradients.",
    cases=[
        Case([1.0, 2.0], [2.0, 4.0], 0.0, 0.0, 0.1, gives=(1.0, 0.6)),
        Case(
            [1.0, 2.0, 3.0],
            [2.0, 3.0, 5.0],
            1.0,
            1.0,
            0.3,
            gives=(1.6, 1.2),
            here="one error is -1",
        ),
        Case([1.0, 2.0], [3.0, 5.0], 2.0, 1.0, 0.1, gives=(2.0, 1.0), here="the line is right"),
    ],
    mistakes="""
    - learning_rate -> + learning_rate
    # It goes uphill. The gradient points to where the loss grows, so a step *subtracts* it.
    / len(x) ->
    # It adds up over the points without dividing by their number. Twice the points would make the
    # step twice as long.
    slope_gradient, -> intercept_gradient,
    # It uses the same gradient for both. Turning the slope moves the line at x by x times as much:
    # a factor `x`.
    2 * sum -> sum
    # The factor 2 is missing: the derivative of d² is 2d.
    slope = gradient_step(x, y, slope, intercept, learning_rate)[0]
    return slope, gradient_step(x, y, slope, intercept, learning_rate)[1]
    # It has already moved the slope when it computes the intercept's gradient. Compute both, then
    # move both.
    """,
)


def spam_probability(
    words: list[str],
    weights: dict[str, float],
    bias: float,
) -> float:
    """The probability that a message is spam, from the weights of its words.

    The sum of bias and weights goes through the sigmoid, 1 / (1 + exp(-sum)).
    Example: spam_probability(["free", "free", "tea"], {"free": 1.0}, -2.0)
    gives 0.5: the sum is -2 + 1 + 1 + 0.

    Args:
        words: the words of the message; a word said twice is there twice.
        weights: one number for each known word; all others count 0.
        bias: where the sum starts.
    """
    score = bias + sum(weights.get(word, 0.0) for word in words)
    return 1 / (1 + math.exp(-score))


WEIGHTS = {"free": 1.0, "prize": 2.0, "now": 0.5, "sunday": -1.5, "tea": -1.0}

SPAM_PROBABILITY = Exercise(
    spam_probability,
    hint="Begin with the bias. Add `weights.get(word, 0.0)` for each word. Then "
    "`1 / (1 + math.exp(-score))`.",
    insight="This is logistic regression, and also the smallest neural network there is: one layer "
    "with one output.",
    cases=[
        Case(["free", "prize"], WEIGHTS, 0.0, gives=0.9525741, here="the sum is 1 + 2"),
        Case(["sunday"], WEIGHTS, -0.5, gives=0.1192029, here="the sum is -0.5 - 1.5"),
        Case(["free"] * 3, WEIGHTS, -2.0, gives=0.7310586, here="`free` occurs three times"),
        Case(["free", "umbrella"], WEIGHTS, -1.0, gives=0.5, here="`umbrella` has no weight"),
        Case([], WEIGHTS, 1.0, gives=0.7310586, here="a message without words has only the bias"),
    ],
    mistakes="""
    in words -> in set(words)
    # It counts a repeated word once. The message says it twice, so its weight is added twice.
    return 1 / (1 + math.exp(-score)) -> return score
    # It returns the sum itself. A probability lies between 0 and 1: apply the sigmoid.
    exp(-score) -> exp(score)
    # It gives the probability that the message is *not* spam: the minus in `exp(-sum)` is missing.
    """,
)
