"""Tasks of language processing, each done by the smallest thing at hand that does it at all (notebook 00).

    writer = load_writer()                    # SmolLM2, 135 million parameters: says how likely each next token is
    vectors = SentenceVectors()               # MiniLM, 23 million parameters: one vector per text
    sentiment("I liked it.", writer)          # {"positive": 0.93, "negative": 0.07}
    entailment("Two dogs run.", "Animals move.", writer)
    complete("Thank you for the", writer)

Models this small make mistakes that larger ones no longer make. `load_examples` gives sentences with known answers, for counting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from transformers import AutoModel, AutoTokenizer

from src import assets, runtime
from src.assets import Passage
from src.qa.generative import GenerativeAnswerer
from src.text import Vocabulary, split_sentences, tokenize_words


def load_examples(task: str, part: str = "test") -> list[dict]:
    """Hand-written examples of a task with the right answers. Raises ValueError for a task or a part that has none.

    task: "sentiment" ({text, label}), "entailment" ({text, claim, label}) or "translation" ({english, french: [...]}).
    part: "test"; sentiment also has "train".
    """
    folder = runtime.COURSE / "data" / "tasks"
    known = sorted(file.stem for file in folder.glob("*.json"))
    if task not in known:
        raise ValueError(f"there are no examples for {task!r}; there are for {', '.join(known)}.")
    parts = json.loads((folder / f"{task}.json").read_text(encoding="utf-8"))
    if part not in parts:
        raise ValueError(f"the examples for {task} have no part {part!r}; they have {', '.join(parts)}.")
    return parts[part]


@dataclass(frozen=True)
class Score:
    """How many examples came out right, of how many, and what guessing would get. wrong: the others, with what was said."""

    right: int
    total: int
    chance: float
    wrong: tuple[tuple[dict, str], ...] = ()


def score_labels(examples: Sequence[dict], judge: Callable[[dict], str]) -> Score:
    """Ask `judge` for the label of every example and count. chance: one over the number of labels."""
    said = [judge(example) for example in examples]
    wrong = tuple((example, answer) for example, answer in zip(examples, said, strict=True) if answer != example["label"])
    labels = {example["label"] for example in examples}
    return Score(len(examples) - len(wrong), len(examples), 1 / len(labels), wrong)


# --- the two models ------------------------------------------------------------------------------------------------------


def load_writer() -> GenerativeAnswerer:
    """SmolLM2-135M-Instruct, which writes one token after another; the first use on a machine converts it for some seconds."""
    return GenerativeAnswerer("smollm2")


class SentenceVectors:
    """MiniLM as a maker of one vector per text: the mean of its tokens' vectors, made as long as 1.

    The product of two such vectors is their cosine: 1 for texts that mean the same, near 0 for texts that have nothing in common.
    """

    def __init__(self):
        source = str(assets.path("minilm"))
        self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.model = AutoModel.from_pretrained(source, dtype=torch.float32).eval().to(runtime.device())

    def __call__(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """One row per text: float32[N, D], D = 384. A text longer than 256 tokens is cut."""
        vectors = np.zeros((len(texts), self.model.config.hidden_size), dtype=np.float32)
        order = np.argsort([len(text) for text in texts])  # texts of like length together: less padding
        for start in range(0, len(texts), batch_size):
            rows = order[start : start + batch_size]
            inputs = self.tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=256, return_tensors="pt")
            inputs = inputs.to(self.model.device)
            with torch.inference_mode():
                tokens = self.model(**inputs).last_hidden_state  # float[B, T, D]
            mask = inputs["attention_mask"][:, :, None]
            mean = (tokens * mask).sum(dim=1) / mask.sum(dim=1)
            vectors[rows] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        return vectors


def next_token_probs(text: str, writer: GenerativeAnswerer) -> torch.Tensor:
    """How likely the model holds each token of its vocabulary to come next: float[V], adding up to 1."""
    inputs = writer.tokenizer(text, return_tensors="pt").to(writer.model.device)
    with torch.inference_mode():
        return writer.model(**inputs, logits_to_keep=1).logits[0, -1].softmax(dim=-1)


def choose(text: str, options: Mapping[str, str], writer: GenerativeAnswerer) -> dict[str, float]:
    """How the model shares its belief among a few continuations of `text`, the likeliest first; shares add up to 1.

    options: label -> the word that stands for it, with the blank before it; its first token is what is compared.
    """
    probs = next_token_probs(text, writer)
    found = {label: float(probs[writer.tokenizer(word)["input_ids"][0]]) for label, word in options.items()}
    total = sum(found.values())
    return {label: found[label] / total for label in sorted(found, key=found.__getitem__, reverse=True)}


# --- sentiment and entailment: a prompt with a few examples --------------------------------------------------------------

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
    """Whether a text speaks well or badly of something: {"positive": share, "negative": share}, the likelier first."""
    return choose(SENTIMENT_PROMPT.format(text=text), {"positive": " positive", "negative": " negative"}, writer)


def entailment(text: str, claim: str, writer: GenerativeAnswerer) -> dict[str, float]:
    """Whether a claim "follows" from a text, "contradicts" it, or is left "open": a share for each, the likeliest first."""
    words = {"follows": " yes", "contradicts": " no", "open": " maybe"}
    return choose(ENTAILMENT_PROMPT.format(text=text, claim=claim), words, writer)


def sentiment_by_vectors(examples: Sequence[dict], vectors: SentenceVectors) -> Callable[[str], str]:
    """A judge of sentiment learned from labelled examples: logistic regression on MiniLM's vectors."""
    model = LogisticRegression(C=1.0).fit(vectors([example["text"] for example in examples]), [example["label"] for example in examples])
    return lambda text: str(model.predict(vectors([text]))[0])


# --- classification: which topic -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TopicClassifier:
    """TF-IDF and logistic regression over Wikipedia's topics. score: on the passages that were held out."""

    features: TfidfVectorizer
    model: LogisticRegression
    score: Score

    def __call__(self, text: str, n: int = 3) -> dict[str, float]:
        """The n likeliest topics of a text with their probabilities."""
        probs = self.model.predict_proba(self.features.transform([text]))[0]
        order = np.argsort(-probs)[:n]
        return {str(self.model.classes_[i]): float(probs[i]) for i in order}


def train_topics(passages: Sequence[Passage], held_out: int = 1000, seed: int = 0) -> TopicClassifier:
    """Learn to tell the topic of an introduction; `held_out` of them are kept aside for the score. "Uncategorized" is left out."""
    known = [passage for passage in passages if passage.topic != "Uncategorized"]
    np.random.default_rng(seed).shuffle(known)
    test, train = known[:held_out], known[held_out:]
    features = TfidfVectorizer(tokenizer=tokenize_words, token_pattern=None, lowercase=False, min_df=3, sublinear_tf=True)
    model = LogisticRegression(C=10.0, max_iter=100, tol=1e-3).fit(
        features.fit_transform([passage.text for passage in train]), [passage.topic for passage in train]
    )
    predicted = model.predict(features.transform([passage.text for passage in test]))
    right = sum(passage.topic == topic for passage, topic in zip(test, predicted, strict=True))
    return TopicClassifier(features, model, Score(right, len(test), 1 / len(model.classes_)))


# --- summarisation -------------------------------------------------------------------------------------------------------


def summarise_by_choosing(text: str, vectors: SentenceVectors) -> str:
    """The sentence of a text whose vector lies nearest to the mean of all its sentences: an extractive summary."""
    sentences = split_sentences(text)
    rows = vectors(sentences)  # float[sentences, D]
    return sentences[int(np.argmax(rows @ rows.mean(axis=0)))]


def summarise_by_writing(text: str, writer: GenerativeAnswerer) -> str:
    """One sentence in the model's own words: an abstractive summary. Cut off where it does not end within 40 tokens."""
    return writer.reply(f"Summarize in one short sentence:\n\n{text}", max_new_tokens=40)


# --- translation ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LearnedDictionary:
    """Which word of one language keeps company with which of another. strengths: float[V_source, V_target], in [-1, 1]."""

    source: Vocabulary
    target: Vocabulary
    strengths: np.ndarray

    def __call__(self, word: str, n: int = 3) -> dict[str, float]:
        """The n best translations of a word with their strengths. Raises UnknownWordError for a word it never met."""
        row = self.strengths[self.source[word]]
        return {self.target.words[i]: float(row[i]) for i in np.argsort(-row)[:n]}

    def word_by_word(self, sentence: str) -> str:
        """A sentence, each word replaced by its best translation; a word that is not known stays."""
        return " ".join(next(iter(self(word, 1))) if word in self.source else word for word in tokenize_words(sentence))

    def score(self, examples: Sequence[dict]) -> Score:
        """How many words of the examples get one of their right translations in first place."""
        first = [next(iter(self(example["english"], 1))) if example["english"] in self.source else "?" for example in examples]
        wrong = tuple((example, said) for example, said in zip(examples, first, strict=True) if said not in example["french"])
        return Score(len(examples) - len(wrong), len(examples), 1 / len(self.target), wrong)


def learn_dictionary(pairs: Sequence[tuple[str, str]], min_count: int = 8) -> LearnedDictionary:
    """Learn a dictionary from pairs of texts about the same thing, which are not translations of each other.

    A word and its translation tend to stand in the same pairs, so the strength is the correlation, over all pairs, between "the
    word is in the first text" and "the other word is in the second". min_count: texts a word must be in.
    """
    sides = []
    for side in zip(*pairs, strict=True):
        words = [set(tokenize_words(text)) for text in side]
        vocabulary = Vocabulary.from_sentences(words, min_count=min_count)
        present = np.zeros((len(words), len(vocabulary)), dtype=np.float32)  # 1 where the text has the word
        for row, found in enumerate(words):
            present[row, vocabulary.encode(found, unknown="drop")] = 1
        present -= present.mean(axis=0)
        sides.append((vocabulary, present / np.maximum(np.linalg.norm(present, axis=0), 1e-9)))
    (source, left), (target, right) = sides
    return LearnedDictionary(source, target, left.T @ right)


# --- language modelling and auto-completion ------------------------------------------------------------------------------


def complete(text: str, writer: GenerativeAnswerer, ways: int = 3, tokens: int = 6) -> dict[str, float]:
    """Go on from `text` in several ways: the likeliest next tokens, each with its probability, and after it the likeliest rest."""
    probs, first = next_token_probs(text, writer).topk(ways)
    prompt = writer.tokenizer(text, return_tensors="pt")["input_ids"].to(writer.model.device)  # int64[1, T]
    starts = torch.cat([prompt.expand(ways, -1), first[:, None]], dim=1)  # int64[ways, T + 1]
    with torch.inference_mode():
        out = writer.model.generate(
            starts,
            attention_mask=torch.ones_like(starts),
            max_new_tokens=tokens - 1,
            do_sample=False,
            pad_token_id=writer.tokenizer.eos_token_id,
        )
    endings = writer.tokenizer.batch_decode(out[:, prompt.shape[1] :], skip_special_tokens=True)
    return {ending: float(prob) for ending, prob in zip(endings, probs, strict=True)}


def surprise(text: str, writer: GenerativeAnswerer) -> list[tuple[str, float]]:
    """Every token of a text with the surprise it was to the model, -log2 of the probability it had given it, in bits.

    The model begins from the token that stood between texts in its training, so the first token has a surprise too.
    Raises ValueError for a blank text.
    """
    ids = writer.tokenizer(text, return_tensors="pt")["input_ids"][0]
    if not len(ids):
        raise ValueError("a text without any token cannot surprise; give it some words.")
    start = torch.tensor([writer.tokenizer.convert_tokens_to_ids("<|endoftext|>")])
    with torch.inference_mode():
        logits = writer.model(torch.cat([start, ids])[None].to(writer.model.device)).logits[0]  # float[T + 1, V]
    bits = -logits[:-1].log_softmax(dim=-1).gather(1, ids[:, None].to(logits.device))[:, 0] / np.log(2)
    return list(zip(writer.tokenizer.batch_decode(ids[:, None]), bits.tolist(), strict=True))


def perplexity(surprises: Sequence[tuple[str, float]]) -> float:
    """Of how many equally likely tokens the model had to choose each time, on average: 2 to the power of the mean surprise."""
    return float(2 ** np.mean([bits for _, bits in surprises]))


# --- finding what means the same -----------------------------------------------------------------------------------------


def most_similar(query: str, texts: Sequence[str], text_vectors: np.ndarray, vectors: SentenceVectors, n: int = 3) -> dict[str, float]:
    """The n texts nearest in meaning to `query` with their cosines. text_vectors: float[N, D], `vectors(texts)`."""
    cosines = text_vectors @ vectors([query])[0]
    return {texts[i]: float(cosines[i]) for i in np.argsort(-cosines)[:n]}
