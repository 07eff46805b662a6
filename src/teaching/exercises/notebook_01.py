"""The exercises of notebook 01: counting words, weighting the counts, comparing two vectors, solving an equation of words."""

from __future__ import annotations

import math

import numpy as np

from src.teaching.exercises import Case, Exercise, Mistake

# --- bag_of_words --------------------------------------------------------------------------------------------------------


def bag_of_words(words: list[str], vocabulary: list[str]) -> list[int]:
    """How often each word of the vocabulary stands among the words of a text.

    words: the words of the text, in small letters
    vocabulary: V different words; place i of the result belongs to word i
    A word of the text that is not in the vocabulary is left out.
    Example: bag_of_words(["a", "cat", "is", "a", "cat"], ["cat", "dog", "a"])
    gives [2, 0, 2].
    """
    counts = [0] * len(vocabulary)
    for word in words:
        if word in vocabulary:
            counts[vocabulary.index(word)] += 1
    return counts


def _presence(words: list[str], vocabulary: list[str]) -> list[int]:
    return [int(word in words) for word in vocabulary]


def _order_of_the_text(words: list[str], vocabulary: list[str]) -> list[int]:
    return [words.count(word) for word in dict.fromkeys(words) if word in vocabulary]


def _unknown_words_fail(words: list[str], vocabulary: list[str]) -> list[int]:
    counts = [0] * len(vocabulary)
    for word in words:
        counts[vocabulary.index(word)] += 1
    return counts


def _one_row_per_word(words: list[str], vocabulary: list[str]) -> list[list[int]]:
    return [[int(word == other) for other in vocabulary] for word in words]


def _shares(words: list[str], vocabulary: list[str]) -> list[float]:
    counts = bag_of_words(words, vocabulary)
    return [count / max(len(words), 1) for count in counts]


_DOG = ["the", "dog", "chases", "the", "cat"]
_WORDS = ["cat", "chases", "dog", "king", "the"]

BAG_OF_WORDS = Exercise(
    id="01.bag_of_words",
    title="a bag of words",
    goal="Turn a text into one number for each word of the vocabulary: how often it stands there.",
    solution=bag_of_words,
    cases=(
        Case((_DOG, _WORDS), [1, 1, 1, 0, 2], "`the` stands there twice, and `king` not at all"),
        Case((["cat", "dog"], ["dog", "cat", "king"]), [1, 1, 0], "the vocabulary has an order of its own"),
        Case((["king", "king", "the"], _WORDS), [0, 0, 0, 2, 1]),
        Case((["a", "cat", "chases", "a", "mouse"], _WORDS), [1, 1, 0, 0, 0], "`a` and `mouse` are not in the vocabulary"),
        Case(([], ["cat", "dog"]), [0, 0], "the text has no words"),
    ),
    mistakes=(
        Mistake(
            _presence,
            "it tells *whether* a word stands there, not how often. In the first text `the` counts 2.",
            "not how often",
        ),
        Mistake(
            _order_of_the_text,
            "its numbers follow the order of the text, and words of the vocabulary that are not there have no place. All texts need the "
            "same V places, or their vectors cannot be compared.",
            "the order of the text",
        ),
        Mistake(
            _unknown_words_fail,
            "it stumbles over a word that is not in the vocabulary. Real texts have such words all the time; here they are left out.",
            "stumbles over a word",
        ),
        Mistake(
            _one_row_per_word,
            "it returns the one-hot vector of every word, one below the other. The bag is their *sum*, column by column.",
            "is their *sum*",
        ),
        Mistake(
            _shares,
            "it divides by the length of the text. That can be useful; here the counts themselves are asked for.",
            "divides by the length",
        ),
    ),
    hint="Begin with a list of V zeros. Go through the words of the text; where a word is in the vocabulary, add 1 at its place. "
    "Or the other way round: for each word of the vocabulary, `words.count(word)`.",
    insight="scikit-learn's `CountVectorizer` does the same for many texts, and stores only what is not zero.",
)

# --- tf_idf --------------------------------------------------------------------------------------------------------------


def tf_idf(word: str, text: list[str], texts: list[list[str]]) -> float:
    """How much a word says about one text among several: its count x ln(N / n).

    word: the word to weigh   text: the words of the text it is weighed for
    texts: the words of all N texts, `text` among them
    n is the number of texts that the word stands in, however often.
    A word that stands in none of them has the weight 0.
    Example: tf_idf("dog", ["a", "dog"], [["a", "dog"], ["a", "cat"]])
    gives 0.693: it stands there once, and in 1 of the 2 texts.
    """
    n = sum(word in other for other in texts)
    if n == 0:
        return 0.0
    return text.count(word) * math.log(len(texts) / n)


def _no_logarithm(word: str, text: list[str], texts: list[list[str]]) -> float:
    n = sum(word in other for other in texts)
    return text.count(word) * len(texts) / n if n else 0.0


def _upside_down(word: str, text: list[str], texts: list[list[str]]) -> float:
    n = sum(word in other for other in texts)
    return text.count(word) * math.log(n / len(texts)) if n else 0.0


def _occurrences(word: str, text: list[str], texts: list[list[str]]) -> float:
    n = sum(other.count(word) for other in texts)
    return text.count(word) * math.log(len(texts) / n) if n else 0.0


def _decimal_logarithm(word: str, text: list[str], texts: list[list[str]]) -> float:
    return tf_idf(word, text, texts) / math.log(10)


def _count_left_out(word: str, text: list[str], texts: list[list[str]]) -> float:
    n = sum(word in other for other in texts)
    return math.log(len(texts) / n) if n and word in text else 0.0


def _idf_only(word: str, text: list[str], texts: list[list[str]]) -> float:
    n = sum(word in other for other in texts)
    return math.log(len(texts) / n) if n else 0.0


def _division_by_zero(word: str, text: list[str], texts: list[list[str]]) -> float:
    return text.count(word) * math.log(len(texts) / sum(word in other for other in texts))


_TEXTS = [
    ["the", "king", "rules", "the", "land"],
    ["the", "queen", "rules", "the", "land"],
    ["the", "dog", "chases", "the", "other", "dog"],
]

TF_IDF = Exercise(
    id="01.tf_idf",
    title="weigh a word by TF-IDF",
    goal="Weigh a word for a text: more if it stands there often, less if it stands in many of the other texts as well.",
    solution=tf_idf,
    imports="import math",
    cases=(
        Case(("king", _TEXTS[0], _TEXTS), math.log(3), "`king` stands there once, and in 1 of the 3 texts"),
        Case(("rules", _TEXTS[0], _TEXTS), math.log(3 / 2), "`rules` stands in 2 of the 3 texts"),
        Case(("the", _TEXTS[0], _TEXTS), 0.0, "`the` stands twice in this text, and in all 3 texts, so it sets none apart: ln(3 / 3) is 0"),
        Case(("dog", _TEXTS[2], _TEXTS), 2 * math.log(3), "`dog` stands there twice, and still in only 1 of the 3 texts"),
        Case(("dog", _TEXTS[0], _TEXTS), 0.0, "`dog` does not stand in this text"),
        Case(("unicorn", _TEXTS[0], _TEXTS), 0.0, "`unicorn` stands in none of the texts"),
    ),
    mistakes=(
        Mistake(
            _no_logarithm,
            "it lacks the logarithm. Without it a word of all texts keeps its full count instead of 0.",
            "lacks the logarithm",
        ),
        Mistake(
            _upside_down,
            "it has the fraction upside down, so rare words get negative weights. N, all texts, belongs above; n, those with the word, "
            "below.",
            "upside down",
        ),
        Mistake(
            _occurrences,
            "it counts how often the word stands in all texts together. n is the number of *texts* it stands in: one with it twice counts "
            "once.",
            "the number of *texts*",
        ),
        Mistake(
            _decimal_logarithm,
            "it takes the logarithm to base 10. The order of the words stays the same; the example above has the natural one, `math.log`.",
            "base 10",
        ),
        Mistake(
            _count_left_out,
            "it leaves out how often the word stands in *this* text. A word said twice weighs twice as much.",
            "leaves out how often",
        ),
        Mistake(
            _idf_only,
            "it gives the word the same weight in every text, even where it does not stand. Multiply by its count in `text`.",
            "the same weight in every text",
        ),
        Mistake(
            _division_by_zero,
            "it divides by zero for a word that stands in no text. Return 0 before you divide.",
            "divides by zero",
        ),
    ),
    hint="Two counts: how often `word` stands in `text` (`text.count(word)`), and in how many of `texts` it stands at all "
    "(`word in other` is True or False, and True adds as 1). If the second is 0, the answer is 0.",
    insight="Libraries differ in details: scikit-learn adds 1 in three places and scales each text to length one. The idea is this one.",
)

# --- cosine_similarity ---------------------------------------------------------------------------------------------------


def cosine_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """The cosine of the angle between two vectors, from -1 (opposite) to 1.

    a, b: float[D], two vectors of the same width
    A vector of zeros points nowhere: its cosine with everything counts as 0.
    Example: cosine_similarity(np.array([3.0, 4.0]), np.array([4.0, 3.0]))
    gives 0.96: (3 * 4 + 4 * 3) / (5 * 5).
    """
    lengths = np.sqrt(a @ a) * np.sqrt(b @ b)
    if lengths == 0:
        return 0.0
    return float(a @ b / lengths)


def _dot_product(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b)


def _one_length(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a)) if a.any() else 0.0


def _squared_lengths(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / ((a @ a) * (b @ b))) if a.any() and b.any() else 0.0


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b))


def _cosine_distance(a: np.ndarray, b: np.ndarray) -> float:
    return 1 - cosine_similarity(a, b)


def _zero_over_zero(a: np.ndarray, b: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _element_wise(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    return a * b / lengths if lengths else 0 * a


def _vectors(*rows: list[float]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(row, dtype=float) for row in rows)


COSINE_SIMILARITY = Exercise(
    id="01.cosine_similarity",
    title="cosine similarity",
    goal="Measure how nearly two vectors point the same way, whatever their lengths.",
    solution=cosine_similarity,
    imports="import numpy as np",
    cases=(
        Case(_vectors([3, 4], [4, 3]), 0.96),
        Case(_vectors([1, 2], [2, 4]), 1.0, "the second vector is twice the first: the same direction, another length"),
        Case(_vectors([1, 0], [0, 5]), 0.0, "they stand at a right angle"),
        Case(_vectors([1, 1, 2], [-2, -2, -4]), -1.0, "they point opposite ways"),
        Case(_vectors([2, 0, 1], [1, 1, 0]), 2 / math.sqrt(10)),
        Case(_vectors([0, 0], [1, 2]), 0.0, "the first vector is all zeros"),
    ),
    mistakes=(
        Mistake(
            _dot_product,
            "it is the dot product alone. That grows with the lengths of the vectors, whatever their directions: divide by both lengths.",
            "the dot product alone",
        ),
        Mistake(
            _one_length,
            "it divides by the length of one vector only. Make the other twice as long and your number doubles; the angle stays the same.",
            "one vector only",
        ),
        Mistake(
            _squared_lengths,
            "it divides by the *squared* lengths. `a @ a` is the square of the length; take its root.",
            "*squared* lengths",
        ),
        Mistake(
            _distance,
            "it is the distance between the two tips. That is 0 for equal vectors and grows with their lengths; the cosine looks at the "
            "angle only.",
            "distance between the two tips",
        ),
        Mistake(
            _cosine_distance,
            "it is 1 minus the cosine, often called cosine *distance* (scipy's `cosine` gives this one): small for similar vectors. Here "
            "similar is large.",
            "1 minus the cosine",
        ),
        Mistake(
            _zero_over_zero,
            "it divides 0 by 0 where a vector is all zeros, and gets nan. Return 0 in that case.",
            "divides 0 by 0",
        ),
        Mistake(
            _element_wise,
            "`a * b` multiplies place by place and leaves D numbers. The dot product `a @ b` adds them up.",
            "place by place",
        ),
    ),
    hint="`a @ b` is the dot product: multiply place by place, add up. The length of a vector is the root of its dot product with itself.",
    insight="If all vectors are scaled to length one beforehand, the dot product *is* the cosine; `WordVectors.units` holds them so.",
)

# --- solve_analogy -------------------------------------------------------------------------------------------------------


def solve_analogy(embeddings: np.ndarray, a: int, b: int, c: int) -> int:
    """a is to b as c is to ...: the number of the word nearest to b - a + c.

    embeddings: float[V, D], the vector of every word, each of length one
    a, b, c: numbers of three words, which are not allowed as the answer
    The nearest word is the one with the largest cosine with b - a + c.
    Example: solve_analogy(np.array([[1, 0], [0, 1], [0, -1], [-1, 0]]), 0, 1, 2)
    gives 3: (0, 1) - (1, 0) + (0, -1) is (-1, 0), the vector of word 3.
    """
    target = embeddings[b] - embeddings[a] + embeddings[c]
    # The target's own length is the same for all words, so it needs no division.
    scores = (embeddings @ target).astype(float)
    scores[[a, b, c]] = -np.inf
    return int(scores.argmax())


def _words_allowed(embeddings: np.ndarray, a: int, b: int, c: int) -> int:
    return int((embeddings @ (embeddings[b] - embeddings[a] + embeddings[c])).argmax())


def _wrong_way(embeddings: np.ndarray, a: int, b: int, c: int) -> int:
    return solve_analogy(embeddings, b, a, c)


def _only_c_left_out(embeddings: np.ndarray, a: int, b: int, c: int) -> int:
    scores = (embeddings @ (embeddings[b] - embeddings[a] + embeddings[c])).astype(float)
    scores[c] = -np.inf
    return int(scores.argmax())


def _zero_for_left_out(embeddings: np.ndarray, a: int, b: int, c: int) -> int:
    scores = (embeddings @ (embeddings[b] - embeddings[a] + embeddings[c])).astype(float)
    scores[[a, b, c]] = 0
    return int(scores.argmax())


def _all_added(embeddings: np.ndarray, a: int, b: int, c: int) -> int:
    scores = (embeddings @ (embeddings[b] + embeddings[a] + embeddings[c])).astype(float)
    scores[[a, b, c]] = -np.inf
    return int(scores.argmax())


def _the_vector(embeddings: np.ndarray, a: int, b: int, c: int) -> np.ndarray:
    return embeddings[solve_analogy(embeddings, a, b, c)]


def _directions(*degrees: float) -> np.ndarray:
    """Vectors of length one in the plane, float[len(degrees), 2]."""
    turns = np.radians(degrees)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


_ROYAL = np.array(  # man, woman, king, queen, apple: numbers for "male", "royal" and "fruit", scaled to length one
    [[0.8, 0, 0.6], [-0.8, 0, 0.6], [0.6, 0.8, 0], [-0.6, 0.8, 0], [0, 0, 1]]
)

SOLVE_ANALOGY = Exercise(
    id="01.solve_analogy",
    title="solve an equation of words",
    goal='Answer "a is to b as c is to ..." with the word nearest to b - a + c, the three words of the question left out.',
    solution=solve_analogy,
    imports="import numpy as np",
    cases=(
        Case((_ROYAL, 0, 2, 1), 3, "man (0) is to king (2) as woman (1) is to queen (3), among man, woman, king, queen, apple"),
        Case((_ROYAL, 3, 1, 2), 0, "queen (3) is to woman (1) as king (2) is to man (0)"),
        Case((_directions(0, 10, 90, 130, 260), 0, 1, 2), 3, "b - a is a short step, so b - a + c stays closest to c itself"),
        Case((_directions(0, 90, 10, 120, 300), 0, 1, 2), 3, "c lies close to a, so b - a + c stays closest to b itself"),
        Case((_directions(0, 5, 10, 190, 260), 0, 1, 2), 4, "every word that is allowed has a cosine below 0"),
    ),
    mistakes=(
        Mistake(
            _words_allowed,
            "it lets the words of the question answer. b - a is often a short step, and then the nearest of all words is c (or b) itself: "
            "that is how `king` came out in so many demonstrations.",
            "lets the words of the question answer",
        ),
        Mistake(
            _wrong_way,
            "it walks the step the wrong way: a - b + c. From a *to* b is b - a.",
            "the wrong way",
        ),
        Mistake(
            _only_c_left_out,
            "it leaves out c only. b can be the nearest word as well, and a too; none of the three is an answer.",
            "leaves out c only",
        ),
        Mistake(
            _zero_for_left_out,
            "it gives the left-out words the score 0. Where all others score below 0, they win. Use minus infinity.",
            "the score 0",
        ),
        Mistake(
            _all_added,
            "it adds all three vectors. a is what c has *instead of* b: it must be taken away.",
            "adds all three",
        ),
        Mistake(
            _the_vector,
            "it returns the vector of the word. Its number was asked for: `argmax` gives it.",
            "returns the vector",
        ),
    ),
    hint="Compute the target, one vector of D numbers. `embeddings @ target` gives every word's score at once. Before you look for the "
    "largest, write `-np.inf` into the scores of a, b and c.",
    insight="`WordVectors.analogy` does the same with names for numbers, on all 400,000 words of GloVe.",
)

EXERCISES = (BAG_OF_WORDS, TF_IDF, COSINE_SIMILARITY, SOLVE_ANALOGY)
