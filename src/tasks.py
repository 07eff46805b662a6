"""Tasks of language processing, each done by the smallest thing at hand that does it at all.

    writer = load_writer()  # SmolLM2, 135 million parameters: how likely is each next token?
    vectors = SentenceEncoder()  # MiniLM, 23 million parameters: one vector per text
    sentiment("I liked it.", writer)  # {"positive": 0.93, "negative": 0.07}
    entailment("Two dogs run.", "Animals move.", writer)
    next_words("Thank you for", writer, letters="y")

Models this small make mistakes that larger ones no longer make. `load_examples` gives sentences
with known answers, for counting. V: words or tokens.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from src import runtime
from src.assets import Passage, load_passages
from src.qa import QuestionAnswerer, load_squad
from src.qa.dense import SentenceEncoder
from src.qa.generative import GenerativeAnswerer
from src.text import check_text, tokenize_words

MOST_CHARACTERS = 2000  # of a text that is put in: on two cores some seconds


def load_examples(task: str) -> list[dict]:
    """Hand-written examples with the right answers.

    Args:
        task: "sentiment" ({text, label}) or "entailment" ({text, claim, label}).
    """
    file = runtime.COURSE / "data" / "tasks" / f"{task}.json"
    return json.loads(file.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Score:
    """How many examples came out right, and what that has to beat.

    Attributes:
        right: so many answers.
        commonest: so many would be, if every answer were the commonest label.
        total: so many examples.
        wrong: the others, each with what was said.
    """

    right: int
    commonest: int
    total: int
    wrong: tuple[tuple[dict, str], ...] = ()


def score_labels(examples: Sequence[dict], judge: Callable[[dict], str]) -> Score:
    """Ask `judge` for the label of every example, and count."""
    said = [judge(example) for example in examples]
    pairs = list(zip(examples, said, strict=True))
    wrong = tuple((example, answer) for example, answer in pairs if answer != example["label"])
    [(_, commonest)] = Counter(example["label"] for example in examples).most_common(1)
    return Score(len(examples) - len(wrong), commonest, len(examples), wrong)


# --- a prompt with a few examples: sentiment, entailment


def load_writer() -> GenerativeAnswerer:
    """SmolLM2-135M-Instruct, which writes one token after another."""
    return GenerativeAnswerer("smollm2")


def next_token_probs(text: str, writer: GenerativeAnswerer) -> torch.Tensor:
    """How likely each token is to come next: float[V], summing to one."""
    if not text:
        raise ValueError("an empty text has no next word; write a few words.")
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
    check_text(text, "the review", MOST_CHARACTERS)
    options = {"positive": " positive", "negative": " negative"}
    return choose(SENTIMENT_PROMPT.format(text=text), options, writer)


def entailment(text: str, claim: str, writer: GenerativeAnswerer) -> dict[str, float]:
    """Does a claim follow from a text? A share for each label, likeliest first.

    It "follows", "contradicts" the text, or is left "open".
    """
    check_text(text, "the text", MOST_CHARACTERS)
    check_text(claim, "the claim", MOST_CHARACTERS)
    prompt = ENTAILMENT_PROMPT.format(text=text, claim=claim)
    options = {"follows": " yes", "contradicts": " no", "open": " maybe"}
    return choose(prompt, options, writer)


# --- similar texts


def most_similar(query: str, texts: Sequence[str], vectors: SentenceEncoder) -> str:
    """Which of the texts is nearest in meaning to `query`, by the cosine of their vectors."""
    cosines = vectors(texts) @ vectors([query])[0]
    return texts[int(np.argmax(cosines))]


# --- auto-completion and language modelling


def next_words(
    text: str, writer: GenerativeAnswerer, letters: str = "", n: int = 3
) -> dict[str, float]:
    """The likeliest words to go on with, and how likely each is.

    Args:
        text: what is there; blanks at its end count for nothing.
        writer: the model; its tokens are mostly whole words.
        letters: how the next word begins, if that is known.
        n: how many words.
    """
    check_text(text, most=MOST_CHARACTERS)
    probs = next_token_probs(text.rstrip(), writer)
    found = {}
    for number in probs.argsort(descending=True).tolist():
        token = writer.tokenizer.decode([number])
        if token.startswith(" " + letters):
            found[token.strip()] = float(probs[number])
        if len(found) == n:
            break
    if not found:
        raise ValueError(f"no token of the model begins with {letters!r}; give fewer letters.")
    return found


# --- classification: which topic


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
    [(commonest, _)] = Counter(labels[held_out:]).most_common(1)
    score = Score(right, labels[:held_out].count(commonest), len(predicted))
    return TopicClassifier(features, model, score)


# --- nine of them, one after the other


@dataclass(frozen=True)
class Models:
    """What the tour of tasks needs: three small networks, and the topics' classifier."""

    writer: GenerativeAnswerer
    vectors: SentenceEncoder
    reader: QuestionAnswerer
    topics: TopicClassifier


def load_models() -> Models:
    """Load the networks, and learn the topics of Wikipedia's introductions."""
    topics = train_topics(list(load_passages().values()))
    reader = QuestionAnswerer.load("qa-minilm")
    return Models(load_writer(), SentenceEncoder(), reader, topics)


def nine_tasks(review: str, models: Models) -> list[tuple[str, str, object]]:
    """Do nine tasks: the name of each, what goes in, and what comes out.

    Args:
        review: a sentence that praises or complains.
        models: of `load_models`.
    """
    writer, passages = models.writer, load_passages()
    sports = "The striker scored twice before half time."
    fact = "All the shops in the village are closed on Sunday."
    claim = "The village baker sells cakes in his shop on Sunday."
    begun = "The cat sat on the"
    query = "Who makes use of drones in agriculture?"
    asked = list(load_squad("course")["validation"]["question"])
    oxygen = passages["Oxygen"].text
    english = "The king of France was a great writer."
    question = "What is coffee made from?"
    return [
        ("sentiment", review, sentiment(review, writer)),
        ("topic", sports, models.topics(sports)),
        ("entailment", f"{fact} {claim}", entailment(fact, claim, writer)),
        ("language modelling", begun, next_words(begun, writer)),
        ("asked before?", query, most_similar(query, asked, models.vectors)),
        (
            "summarisation",
            f"{oxygen[:90]} ...",
            writer.reply(f"Summarize in one short sentence:\n\n{oxygen}"),
        ),
        (
            "translation",
            english,
            writer.reply(f"Translate into French: {english}", 20),
        ),
        (
            "auto-completion",
            "I am writing to as",
            ", ".join(next_words("I am writing to", writer, "as")),
        ),
        (
            "question answering",
            question,
            models.reader(question, passages["Coffee"].text).text,
        ),
    ]
