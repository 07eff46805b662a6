"""Tasks of language processing, each done by the smallest thing at hand that does it at all.

    writer = load_writer()  # SmolLM2, 135 million parameters: how likely is each next token?
    vectors = SentenceEncoder()  # MiniLM, 23 million parameters: one vector per text
    sentiment("I liked it.", writer)  # {"positive": 0.93, "negative": 0.07}
    entailment("Two dogs run.", "Animals move.", writer)
    complete("Thank you for the", writer)

Models this small make mistakes that larger ones no longer make. `load_examples` gives sentences
with known answers, for counting. N: texts, D: width of a vector, V: words or tokens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from src import runtime
from src.assets import Passage
from src.qa.dense import SentenceEncoder
from src.qa.generative import GenerativeAnswerer
from src.subwords import START
from src.text import Vocabulary, split_sentences, tokenize_words


def load_examples(task: str, part: str = "test") -> list[dict]:
    """Hand-written examples of a task with the right answers.

    Args:
        task: "sentiment" ({text, label}), "entailment" ({text, claim, label}) or
            "translation" ({english, french: [...]}).
        part: "test"; sentiment also has "train".
    """
    file = runtime.COURSE / "data" / "tasks" / f"{task}.json"
    return json.loads(file.read_text(encoding="utf-8"))[part]


@dataclass(frozen=True)
class Score:
    """How many examples came out right."""

    right: int
    total: int
    chance: float  # the share that guessing gets right
    wrong: tuple[tuple[dict, str], ...] = ()  # the others, each with what was said


def _score(
    examples: Sequence[dict], said: Sequence[str], golds: Sequence[Sequence[str]], chance: float
) -> Score:
    pairs = zip(examples, said, golds, strict=True)
    wrong = tuple((example, answer) for example, answer, right in pairs if answer not in right)
    return Score(len(examples) - len(wrong), len(examples), chance, wrong)


def score_labels(examples: Sequence[dict], judge: Callable[[dict], str]) -> Score:
    """Ask `judge` for the label of every example, and count."""
    labels = [example["label"] for example in examples]
    said = [judge(example) for example in examples]
    return _score(examples, said, [[label] for label in labels], 1 / len(set(labels)))


# --- a prompt with a few examples: sentiment, entailment ----------------------------------------


def load_writer() -> GenerativeAnswerer:
    """SmolLM2-135M-Instruct, which writes one token after another."""
    return GenerativeAnswerer("smollm2")


def next_token_probs(text: str, writer: GenerativeAnswerer) -> torch.Tensor:
    """How likely each token is to come next: float[V], summing to one."""
    inputs = writer.tokenizer(text, return_tensors="pt").to(writer.model.device)
    with torch.inference_mode():
        return writer.model(**inputs, logits_to_keep=1).logits[0, -1].softmax(dim=-1)


def choose(
    text: str,
    options: Mapping[str, str],
    writer: GenerativeAnswerer,
) -> dict[str, float]:
    """Share the model's belief among a few continuations of `text`.

    Args:
        text: the prompt.
        options: label -> the word for it, with the blank before it; its first
            token is what is compared.
        writer: the model.

    Returns:
        label -> share, the likeliest first; shares add up to 1.
    """
    probs = next_token_probs(text, writer)
    found = {}
    for label, word in options.items():
        first_token = writer.tokenizer(word)["input_ids"][0]
        found[label] = float(probs[first_token])
    total = sum(found.values())
    likeliest = sorted(found, key=found.get, reverse=True)
    return {label: found[label] / total for label in likeliest}


SENTIMENT_PROMPT = """\
Review: I slept badly in this bed.
Sentiment: negative
Review: A wonderful present.
Sentiment: positive
Review: {text}
Sentiment:"""

ENTAILMENT_PROMPT = """\
Text: A boy is eating soup. Claim: A child is eating. True? yes
Text: A boy is eating soup. Claim: The boy is asleep. True? no
Text: A boy is eating soup. Claim: The soup is hot. True? maybe
Text: {text} Claim: {claim} True?"""


def sentiment(text: str, writer: GenerativeAnswerer) -> dict[str, float]:
    """Is a text positive or negative? A share for each label, the likelier first."""
    options = {"positive": " positive", "negative": " negative"}
    return choose(SENTIMENT_PROMPT.format(text=text), options, writer)


def entailment(
    text: str,
    claim: str,
    writer: GenerativeAnswerer,
) -> dict[str, float]:
    """Does a claim follow from a text? A share for each label, likeliest first.

    It "follows", "contradicts" the text, or is left "open".
    """
    prompt = ENTAILMENT_PROMPT.format(text=text, claim=claim)
    options = {"follows": " yes", "contradicts": " no", "open": " maybe"}
    return choose(prompt, options, writer)


# --- vectors of texts: sentiment, similar texts, a summary --------------------------------------


def sentiment_by_vectors(
    examples: Sequence[dict], vectors: SentenceEncoder
) -> Callable[[str], str]:
    """A judge of sentiment learned from examples: logistic regression on MiniLM's vectors."""
    texts, labels = zip(*((example["text"], example["label"]) for example in examples), strict=True)
    model = LogisticRegression(C=1.0).fit(vectors(texts), labels)
    return lambda text: str(model.predict(vectors([text]))[0])


def most_similar(
    query: str,
    texts: Sequence[str],
    text_vectors: np.ndarray,
    vectors: SentenceEncoder,
    n: int = 3,
) -> dict[str, float]:
    """The n texts nearest in meaning to `query` with their cosines.

    `text_vectors` is `vectors(texts)`, float[N, D].
    """
    cosines = text_vectors @ vectors([query])[0]
    return {texts[i]: float(cosines[i]) for i in np.argsort(-cosines)[:n]}


def summarise_by_choosing(text: str, vectors: SentenceEncoder) -> str:
    """The sentence whose vector is nearest to the mean of all: an extractive summary."""
    sentences = split_sentences(text)
    rows = vectors(sentences)  # float[N, D]
    return sentences[int(np.argmax(rows @ rows.mean(axis=0)))]


# --- language modelling: a summary, auto-completion, surprise -----------------------------------


def summarise_by_writing(text: str, writer: GenerativeAnswerer) -> str:
    """One sentence in the model's own words, at most 40 tokens: an abstractive summary."""
    return writer.reply(f"Summarize in one short sentence:\n\n{text}", max_new_tokens=40)


def complete(
    text: str, writer: GenerativeAnswerer, ways: int = 3, tokens: int = 6
) -> dict[str, float]:
    """Continue `text` in several ways.

    Each begins with one of the likeliest next tokens, whose probability is given, and goes on
    with the likeliest rest, `tokens` tokens in all.
    """
    probs, first = next_token_probs(text, writer).topk(ways)
    prompt = writer.tokenizer(text, return_tensors="pt")["input_ids"].to(writer.model.device)
    starts = torch.cat([prompt.expand(ways, -1), first[:, None]], dim=1)  # int64[ways, T + 1]
    with torch.inference_mode():
        out = writer.model.generate(
            starts,
            attention_mask=torch.ones_like(starts),
            max_new_tokens=tokens - 1,
            do_sample=False,
            pad_token_id=writer.tokenizer.eos_token_id,
        )
    new = out[:, prompt.shape[1] :]
    endings = writer.tokenizer.batch_decode(new, skip_special_tokens=True)
    return dict(zip(endings, probs.tolist(), strict=True))


def surprise(text: str, writer: GenerativeAnswerer) -> list[tuple[str, float]]:
    """Every token of a text with its surprise in bits: -log2 of its probability.

    The model begins with START, so the first token has a surprise, too.
    """
    ids = writer.tokenizer(text, return_tensors="pt")["input_ids"][0]
    if not len(ids):
        raise ValueError("a text without any token cannot surprise; give it some words.")
    start = torch.tensor([writer.tokenizer.convert_tokens_to_ids(START)])
    with torch.inference_mode():
        inputs = torch.cat([start, ids])[None].to(writer.model.device)
        logits = writer.model(inputs).logits[0, :-1].cpu()  # float[T, V]
    losses = torch.nn.functional.cross_entropy(logits, ids, reduction="none")
    tokens = writer.tokenizer.batch_decode(ids[:, None])
    return list(zip(tokens, (losses / np.log(2)).tolist(), strict=True))


def perplexity(surprises: Sequence[tuple[str, float]]) -> float:
    """2 to the mean surprise: as hard as choosing among so many equally likely tokens."""
    return float(2 ** np.mean([bits for _, bits in surprises]))


# --- classification: which topic ----------------------------------------------------------------


@dataclass(frozen=True)
class TopicClassifier:
    """TF-IDF and logistic regression, with its score on passages that were held out."""

    features: TfidfVectorizer
    model: LogisticRegression
    score: Score

    def __call__(self, text: str, n: int = 3) -> dict[str, float]:
        """The n likeliest topics of a text with their probabilities."""
        probs = self.model.predict_proba(self.features.transform([text]))[0]
        return {str(self.model.classes_[i]): float(probs[i]) for i in np.argsort(-probs)[:n]}


def train_topics(
    passages: Sequence[Passage], held_out: int = 1000, seed: int = 0
) -> TopicClassifier:
    """Learn the topics of introductions; `held_out` of them are kept for the score."""
    known = [passage for passage in passages if passage.topic != "Uncategorized"]
    np.random.default_rng(seed).shuffle(known)
    texts, labels = [passage.text for passage in known], [passage.topic for passage in known]
    features = TfidfVectorizer(
        tokenizer=tokenize_words, token_pattern=None, lowercase=False, min_df=3, sublinear_tf=True
    )
    model = LogisticRegression(C=10.0, max_iter=100, tol=1e-3)
    model.fit(features.fit_transform(texts[held_out:]), labels[held_out:])
    predicted = model.predict(features.transform(texts[:held_out]))
    right = int((predicted == np.array(labels[:held_out])).sum())
    return TopicClassifier(features, model, Score(right, len(predicted), 1 / len(model.classes_)))


# --- translation --------------------------------------------------------------------------------


@dataclass(frozen=True)
class LearnedDictionary:
    """Which word of one language goes with which of another.

    Attributes:
        source: words of the one.
        target: words of the other.
        strengths: float[V_source, V_target], -1 to 1.
    """

    source: Vocabulary
    target: Vocabulary
    strengths: np.ndarray

    def __call__(self, word: str, n: int = 3) -> dict[str, float]:
        """The n best translations of a word with their strengths."""
        row = self.strengths[self.source[word]]
        return {self.target.words[i]: float(row[i]) for i in np.argsort(-row)[:n]}

    def _first(self, word: str, otherwise: str) -> str:
        return next(iter(self(word, 1))) if word in self.source else otherwise

    def word_by_word(self, sentence: str) -> str:
        """Each word replaced by its best translation; unknown words stay."""
        return " ".join(self._first(word, otherwise=word) for word in tokenize_words(sentence))

    def score(self, examples: Sequence[dict]) -> Score:
        """How many words of the examples get a right translation in first place."""
        said = [self._first(example["english"], otherwise="?") for example in examples]
        return _score(examples, said, [row["french"] for row in examples], 1 / len(self.target))


def learn_dictionary(pairs: Sequence[tuple[str, str]], min_count: int = 8) -> LearnedDictionary:
    """Learn a dictionary from pairs of texts on one subject that are not translations.

    A word and its translation tend to occur in the same pairs, so the strength is the
    correlation, over all pairs, between "the word is in the first text" and "the other word is
    in the second". A word must be in `min_count` texts.
    """
    sides = []
    for side in zip(*pairs, strict=True):
        words = [set(tokenize_words(text)) for text in side]
        vocabulary = Vocabulary.from_sentences(words, min_count=min_count)
        present = np.zeros((len(words), len(vocabulary)), dtype=np.float32)
        for row, found in enumerate(words):
            present[row, vocabulary.encode(found, unknown="drop")] = 1
        present -= present.mean(axis=0)
        sides.append((vocabulary, present / np.maximum(np.linalg.norm(present, axis=0), 1e-9)))
    (source, left), (target, right) = sides
    return LearnedDictionary(source, target, left.T @ right)
