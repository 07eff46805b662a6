"""Notebook 01: weigh words by TF-IDF, compare two vectors, solve an analogy."""

import math

import numpy as np

from src.teaching.exercises.record import Case, Exercise


def tf_idf(word: str, text: list[str], texts: list[list[str]]) -> float:
    """How much a word says about one text among several: count x ln(N / n).

    n is the number of texts with the word; where it is 0, so is the weight.
    Example: tf_idf("dog", ["a", "dog"], [["a", "dog"], ["a", "cat"]])
    gives 0.693: one occurrence, in 1 of the 2 texts.

    Args:
        word: the word to weigh.
        text: the words of the text it is weighed for.
        texts: the words of all N texts, `text` among them.
    """
    n = sum(word in other for other in texts)
    if n == 0:
        return 0.0
    return text.count(word) * math.log(len(texts) / n)


TEXTS = [
    ["the", "king", "rules", "the", "land"],
    ["the", "queen", "rules", "the", "land"],
    ["the", "dog", "chases", "the", "other", "dog"],
]

TF_IDF = Exercise(
    tf_idf,
    hint="Two counts: how often `word` occurs in `text` (`text.count(word)`), and how many of "
    "`texts` have it (`word in other` is True or False, and True adds as 1).",
    insight="Libraries differ in details: scikit-learn adds 1 in three places and scales each text "
    "to length one.",
    cases=[
        Case("king", TEXTS[0], TEXTS, gives=math.log(3), here="`king` is in 1 of 3 texts"),
        Case("the", TEXTS[0], TEXTS, gives=0.0, here="all texts have `the`, and ln(3 / 3) is 0"),
        Case("dog", TEXTS[2], TEXTS, gives=2 * math.log(3), here="`dog` occurs twice in this text"),
        Case("dog", TEXTS[0], TEXTS, gives=0.0, here="`dog` does not occur in this text"),
        Case("unicorn", TEXTS[0], TEXTS, gives=0.0, here="no text has `unicorn`"),
    ],
    mistakes="""
    math.log(len(texts) / n) -> len(texts) / n
    # It lacks the logarithm. Without it a word of all texts keeps its full count instead of 0.
    len(texts) / n -> n / len(texts)
    # It has the fraction upside down, so rare words get negative weights.
    word in other for -> other.count(word) for
    # It counts occurrences in all texts. n is the number of *texts*: one that has the word twice
    # counts once.
    text.count(word) * -> (word in text) *
    # It leaves out how often the word occurs in *this* text. A word said twice weighs twice as
    # much.
    """,
)


def cosine_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """The cosine of the angle between two vectors, from -1 (opposite) to 1.

    Example: cosine_similarity(np.array([3.0, 4.0]), np.array([4.0, 3.0]))
    gives 0.96: (3 * 4 + 4 * 3) / (5 * 5).

    Args:
        a, b: float[D].

    Returns:
        The cosine; 0 where a vector is all zeros.
    """
    lengths = np.sqrt(a @ a) * np.sqrt(b @ b)
    if lengths == 0:
        return 0.0
    return float(a @ b / lengths)


COSINE_SIMILARITY = Exercise(
    cosine_similarity,
    hint="`a @ b` is the dot product. The length of a vector is the root of its dot product with "
    "itself.",
    insight="If all vectors have length one, the dot product *is* the cosine; `WordVectors.units` "
    "holds them so.",
    cases=[
        Case([3, 4], [4, 3], gives=0.96),
        Case([1, 2], [2, 4], gives=1.0, here="they point the same way, one is longer"),
        Case([1, 0], [0, 5], gives=0.0, here="the angle is a right one"),
        Case([0, 0], [1, 2], gives=0.0, here="the first vector is all zeros"),
    ],
    mistakes="""
    a @ b / lengths -> a @ b
    # It is the dot product alone, which grows with the lengths of the vectors. Divide by both
    # lengths.
    * np.sqrt(b @ b) ->
    # It divides by the length of one vector only. Make the other twice as long, and your number
    # doubles.
    np.sqrt(a @ a) * np.sqrt(b @ b) -> (a @ a) * (b @ b)
    # It divides by the *squared* lengths. `a @ a` is the square of the length; take its root.
    return np.linalg.norm(a - b)
    # It is the distance between the two tips, which grows with their lengths. The cosine looks at
    # the angle only.
    return float(a @ b / lengths) -> return a * b / lengths
    # `a * b` multiplies element by element and leaves D numbers. The dot product `a @ b` adds them
    # up.
    """,
)


def solve_analogy(embeddings: np.ndarray, a: int, b: int, c: int) -> int:
    """a is to b as c is to ...: the number of the word nearest to b - a + c.

    Nearest is the word with the largest cosine with b - a + c.
    Example:
    solve_analogy(np.array([[1, 0], [0, 1], [0, -1], [-1, 0]]), 0, 1, 2)
    gives 3: (0, 1) - (1, 0) + (0, -1) is (-1, 0), the vector of word 3.

    Args:
        embeddings: float[V, D], the vector of every word, each of length one.
        a, b, c: numbers of three words, which are not allowed as the answer.
    """
    target = embeddings[b] - embeddings[a] + embeddings[c]
    # The target's length is the same for all words: no need to divide by it.
    scores = (embeddings @ target).astype(float)
    scores[[a, b, c]] = -np.inf
    return int(scores.argmax())


def directions(*degrees: float) -> np.ndarray:
    """Vectors of length one in the plane, float[len(degrees), 2]."""
    turns = np.radians(degrees)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


ROYAL = np.array(  # man, woman, king, queen, apple, by "male", "royal" and "fruit"
    [[0.8, 0, 0.6], [-0.8, 0, 0.6], [0.6, 0.8, 0], [-0.6, 0.8, 0], [0, 0, 1]]
)

SOLVE_ANALOGY = Exercise(
    solve_analogy,
    hint="Compute the target, one vector of D numbers. `embeddings @ target` gives every word's "
    "score. Set the scores of a, b and c to `-np.inf` before you look for the largest.",
    insight="`WordVectors.analogy` does the same with words, on all 400,000 of GloVe.",
    cases=[
        Case(ROYAL, 0, 2, 1, gives=3, here="man (0) is to king (2) as woman (1) is to queen (3)"),
        Case(directions(0, 10, 90, 130, 260), 0, 1, 2, gives=3, here="the nearest of all is c"),
        Case(directions(0, 90, 10, 120, 300), 0, 1, 2, gives=3, here="the nearest of all is b"),
        Case(directions(0, 5, 10, 190, 260), 0, 1, 2, gives=4, here="all cosines are below 0"),
    ],
    mistakes="""
    scores[[a, b, c]] = -np.inf ->
    # It lets the words of the question answer. b - a is often a short step, so the nearest word is
    # c (or b) itself.
    embeddings[b] - embeddings[a] -> embeddings[a] - embeddings[b]
    # It takes the step the wrong way: a - b + c. From a *to* b is b - a.
    [[a, b, c]] -> [c]
    # It leaves out c only. b can be the nearest word as well, and so can a; none of the three is an
    # answer.
    - embeddings[a] -> + embeddings[a]
    # It adds all three vectors. a is what c has *instead of* b: subtract it.
    -np.inf -> 0
    # It gives the excluded words the score 0. Where all others score below 0, they win. Use minus
    # infinity.
    """,
)
