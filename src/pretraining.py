"""Learning from plain text: masked words, next sentence, replaced tokens, on a frozen encoder.

    encoder, articles = load_encoder(), load_articles()  # MiniLM; introductions as tokens
    mask_words(token_ids, encoder.kinds, generator)  # hides 15 %, keeps the words as labels
    head = MaskedWordHead.untrained(encoder, articles["train"])
    train_masked_words(head, encoder, articles, minutes=0.33)
    fill_in(head, encoder, "The capital of France is [MASK].")  # {"paris": 0.4, ...}

Each task makes its labels from the text alone. The encoder is not trained, so what it makes of
a batch can be used again: a head learns in seconds on a CPU. B: batch, T: tokens, V:
vocabulary, D: width, N: query positions, those with a label.

Sources: Devlin et al. 2019, "BERT" (masked words, next sentence); Lan et al. 2020, "ALBERT"
(order of sentences); Clark et al. 2020, "ELECTRA" (replaced tokens); Radford et al. 2018, "GPT"
(tasks as one sequence).
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from src import assets, compute
from src.batching import length_grouped
from src.rnn import pad
from src.text import check_text, split_sentences
from src.topics import Split, split_of
from src.training import Run, fit, in_eval_mode
from src.transformer import Encoder

NO_LABEL = -100  # torch's cross-entropy leaves such positions out
QUERY_SHARE = 0.15  # of the tokens have a label, in BERT and in ELECTRA
FEWEST_TOKENS, MOST_TOKENS = 4, 62  # of a sentence; with [CLS] and [SEP] at most 64
BATCH_SIZE = 64  # sentences
REPLAY_BUFFER = 64  # batches: less than 1 GB

Item = TypeVar("Item")
Examples = tuple[Tensor, Tensor]  # what a head reads, and the labels

# --- the encoder and the texts


@dataclass(frozen=True)
class TokenKinds:
    """What the tokens of a vocabulary are."""

    special: Tensor  # bool[V], True for [PAD], [UNK], [CLS], [SEP] and [MASK]
    ordinary: Tensor  # int64[N], words and pieces of words: neither special nor "[unused7]"
    pad_id: int
    cls_id: int
    sep_id: int
    mask_id: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> TokenKinds:
        special = torch.zeros(len(tokenizer), dtype=torch.bool)
        special[tokenizer.all_special_ids] = True
        tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        unused = torch.tensor([token.startswith("[unused") for token in tokens])
        ids = (getattr(tokenizer, f"{name}_token_id") for name in ("pad", "cls", "sep", "mask"))
        return cls(special, (~special & ~unused).nonzero()[:, 0], *ids)


class FrozenEncoder:
    """A BERT that is read and never trained.

    The vectors of some `blocks` are read, side by side: D numbers for each token.
    `words` are its word embeddings, float[V, D_words].
    """

    def __init__(self, bert: Encoder, tokenizer: PreTrainedTokenizerBase, blocks: Sequence[int]):
        self.bert, self.tokenizer = bert.requires_grad_(False).eval(), tokenizer
        self.blocks, self.words = blocks, bert.words.weight
        self.V, self.D_words = self.words.shape
        self.D = len(blocks) * self.D_words
        self.kinds = TokenKinds.of(tokenizer)

    def read(self, token_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """int64[B, T], padded with [PAD] -> one vector per token, float[B, T, D]."""
        mask = token_ids != self.kinds.pad_id
        with torch.no_grad(), compute.bf16_autocast():
            layers = self.bert.trace(token_ids, mask, token_type_ids).layers
            return torch.cat([layers[block] for block in self.blocks], dim=-1).float()

    def batch(self, sentences: Iterable[Sequence[int]]) -> Tensor:
        """Sentences as int64[B, T], each between [CLS] and [SEP]."""
        rows = [[self.kinds.cls_id, *sentence, self.kinds.sep_id] for sentence in sentences]
        return pad(rows, self.kinds.pad_id)[0]


@functools.cache
def load_encoder() -> FrozenEncoder:
    """MiniLM, computed by the course's own encoder.

    Its last block was trained to summarise sentences, and the fourth knows more of single
    words: both are read.
    """
    tokenizer = AutoTokenizer.from_pretrained(assets.path("minilm"))
    return FrozenEncoder(Encoder.from_pretrained("minilm"), tokenizer, blocks=(4, 6))


@dataclass(frozen=True)
class Article:
    """An introduction: its title, and its sentences as token ids, without [CLS] and [SEP]."""

    title: str
    sentences: tuple[tuple[int, ...], ...]


@functools.cache
def load_articles() -> dict[Split, list[Article]]:
    """The Wikipedia introductions as MiniLM's tokens, split by article."""
    texts = {page.title: page.text for page in assets.load_passages().values()}
    return tokenize_articles(texts, load_encoder().tokenizer)


def tokenize_articles(
    texts: Mapping[str, str], tokenizer: PreTrainedTokenizerBase
) -> dict[Split, list[Article]]:
    """Cut texts, by title, into sentences and tokens.

    A sentence is cut after MOST_TOKENS; one with fewer than FEWEST_TOKENS is left out.
    """
    found = [(title, part) for title, text in texts.items() for part in split_sentences(text)]
    rows = tokenizer([sentence for _, sentence in found], add_special_tokens=False)["input_ids"]
    by_title: dict[str, list[tuple[int, ...]]] = {}
    for (title, _), row in zip(found, rows, strict=True):
        if len(row) >= FEWEST_TOKENS:
            by_title.setdefault(title, []).append(tuple(row[:MOST_TOKENS]))
    articles: dict[Split, list[Article]] = {"train": [], "development": [], "test": []}
    for title, sentences in by_title.items():
        articles[split_of(title)].append(Article(title, tuple(sentences)))
    return articles


def count_tokens(articles: Iterable[Article], V: int) -> Tensor:
    """How often each token occurs: int64[V]."""
    token_ids = [i for article in articles for sentence in article.sentences for i in sentence]
    return torch.bincount(torch.tensor(token_ids, dtype=torch.int64), minlength=V)


def sentence_batches(
    encoder: FrozenEncoder, articles: Sequence[Article], batch_size: int, rng: random.Random
) -> Iterator[Tensor]:
    """All sentences in batches int64[B, T] of about one length, in random order, without end."""
    sentences = [sentence for article in articles for sentence in article.sentences]
    while sentences:
        shuffled = rng.sample(sentences, len(sentences))
        for batch in length_grouped(shuffled, len, batch_size, rng):
            yield encoder.batch(batch)


def with_replay(fresh: Iterator[Item], again: int, seed: int) -> Iterator[Item]:
    """After each fresh batch, `again` batches drawn from a replay buffer of the latest ones.

    A frozen encoder takes longer than the head: what it has made is used more than once.
    """
    rng, buffer = random.Random(seed), []
    for batch in fresh:
        buffer = [*buffer[1 - REPLAY_BUFFER :], batch]
        yield batch
        yield from rng.choices(buffer, k=again)


def collect(batches: Iterator[Examples], count: int) -> Examples:
    """The first `count` batches as one: what a score is taken on."""
    inputs, labels = zip(*itertools.islice(batches, count), strict=True)
    return torch.cat(inputs), torch.cat(labels)


# --- masked words


class MaskedTokens(NamedTuple):
    """What the model sees, and its labels: int64[B, T] each, NO_LABEL where nothing is asked.

    `chosen`, bool[B, T], is True at the query positions.
    """

    inputs: Tensor
    labels: Tensor
    chosen: Tensor


def choose_tokens(
    token_ids: Tensor, kinds: TokenKinds, generator: torch.Generator, share: float = QUERY_SHARE
) -> Tensor:
    """Choose each token that is text with the chance `share`: bool[B, T]."""
    dice = torch.rand(token_ids.shape, generator=generator)
    return (dice < share) & ~kinds.special[token_ids]


def mask_words(
    token_ids: Tensor,
    kinds: TokenKinds,
    generator: torch.Generator,
    share: float = QUERY_SHARE,
) -> MaskedTokens:
    """Hide some tokens, int64[B, T], and keep them as labels.

    Of the chosen tokens 80 % become [MASK], 10 % a random token, and 10 %
    stay. So the model cannot rely on a word that it sees, and must predict
    it from the others. Devlin et al. 2019, section 3.1.
    """
    chosen = choose_tokens(token_ids, kinds, generator, share)
    dice = torch.rand(token_ids.shape, generator=generator)
    drawn = torch.randint(len(kinds.ordinary), dice.shape, generator=generator)
    hidden = chosen & (dice < 0.8)
    replaced = chosen & (dice >= 0.8) & (dice < 0.9)
    inputs = torch.where(hidden, kinds.mask_id, token_ids)
    inputs = torch.where(replaced, kinds.ordinary[drawn], inputs)
    labels = token_ids.masked_fill(~chosen, NO_LABEL)
    return MaskedTokens(inputs, labels, chosen)


class MaskedWordHead(nn.Module):
    """Predicts a token from the encoder's vectors there and beside it.

    The logit of a token is the dot product with its word embedding, plus a
    bias. The embeddings are the encoder's, frozen, and no part of the head
    (Press and Wolf 2017). A new head sees no sentence: its second layer is 0.
    """

    def __init__(self, V: int, D: int, D_words: int, hidden: int = 256):
        super().__init__()
        self.settings = {"V": V, "D": D, "D_words": D_words, "hidden": hidden}
        self.norm = nn.LayerNorm(3 * D)
        self.expand = nn.Linear(3 * D, hidden)
        self.contract = nn.Linear(hidden, D_words)
        self.bias = nn.Parameter(torch.zeros(V))
        nn.init.zeros_(self.contract.weight)
        nn.init.zeros_(self.contract.bias)

    def forward(self, vectors: Tensor, words: Tensor) -> Tensor:
        """float[N, 3 D], float[V, D_words] -> logits float[N, V]."""
        x = F.gelu(self.expand(self.norm(vectors)))  # [N, hidden]
        return self.contract(x) @ words.T + self.bias

    @classmethod
    def untrained(
        cls,
        encoder: FrozenEncoder,
        articles: Sequence[Article],
    ) -> MaskedWordHead:
        """A head that knows only how frequent each token is."""
        head = cls(encoder.V, encoder.D, encoder.D_words)
        counts = count_tokens(articles, encoder.V).double() + 0.1  # none is 0
        head.bias.data.copy_((counts / counts.sum()).log())
        return head


def read_around(encoder: FrozenEncoder, token_ids: Tensor, places: Tensor) -> Tensor:
    """Read the N tokens at `places`, bool[B, T], none of them the first or last of its row.

    float[N, 3 D]: the token before, the token itself, the token after.
    """
    vectors = encoder.read(token_ids)  # [B, T, D]
    before, after = vectors.roll(1, dims=1), vectors.roll(-1, dims=1)
    return torch.cat([before[places], vectors[places], after[places]], dim=-1)


def masked_batches(
    encoder: FrozenEncoder, articles: Sequence[Article], seed: int, blanks_only: bool = False
) -> Iterator[Examples]:
    """Hide words in sentences, and read around the query positions, without end.

    Each batch is float[N, 3 D], and the tokens there, int64[N]. `blanks_only` is for scores: it
    leaves out the query positions that show a word.
    """
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    for token_ids in sentence_batches(encoder, articles, BATCH_SIZE, rng):
        masked = mask_words(token_ids, encoder.kinds, generator)
        query = masked.inputs == encoder.kinds.mask_id if blanks_only else masked.chosen
        if query.any():
            yield read_around(encoder, masked.inputs, query), masked.labels[query]


def masked_accuracy(
    head: MaskedWordHead, encoder: FrozenEncoder, vectors: Tensor, labels: Tensor
) -> float:
    """The share of blanks, 0 to 1, whose likeliest token is right; see `masked_batches`."""
    with in_eval_mode(head):
        found = [head(some, encoder.words).argmax(-1) for some in vectors.split(512)]
    return (torch.cat(found) == labels).float().mean().item()


def fill_in(
    head: MaskedWordHead, encoder: FrozenEncoder, text: str, n: int = 5
) -> dict[str, float]:
    """The n likeliest tokens for the one [MASK] in a text, with their probabilities."""
    check_text(text, most=2000)
    token_ids = torch.tensor([encoder.tokenizer(text)["input_ids"]])
    blanks = token_ids == encoder.kinds.mask_id
    if blanks.sum() != 1:
        raise ValueError(f"{text!r} has {int(blanks.sum())} blanks; write [MASK] exactly once.")
    with in_eval_mode(head):
        logits = head(read_around(encoder, token_ids, blanks), encoder.words)[0]
    probs, found = logits.softmax(-1).topk(n)
    tokens = encoder.tokenizer.convert_ids_to_tokens(found.tolist())
    return dict(zip(tokens, probs.tolist(), strict=True))


def train_masked_words(
    head: MaskedWordHead,
    encoder: FrozenEncoder,
    articles: Mapping[Split, Sequence[Article]],
    minutes: float,
    seed: int = 0,
    **options: Any,
) -> Run:
    """Teach a head, in place, what was at the blanks.

    `minutes`, `seed` and `options`, such as `folder` and `report`, are those of
    `src.training.fit`. The history's loss is per query position, ln V for a head that guesses;
    its `accuracy` is that on blanks in development sentences.
    """
    test = masked_batches(encoder, articles["development"], seed=1, blanks_only=True)
    development = collect(test, 1)

    def loss_of(examples: Examples) -> Tensor:
        vectors, labels = examples
        with compute.bf16_autocast():
            return F.cross_entropy(head(vectors, encoder.words), labels)

    return fit(
        head,
        with_replay(masked_batches(encoder, articles["train"], seed), 1, seed),
        loss_of,
        minutes,
        score=("accuracy", lambda: masked_accuracy(head, encoder, *development)),
        batch_size=BATCH_SIZE,
        learning_rate=2e-3,
        seed=seed,
        unit="sentences",
        **options,
    )


# --- two sentences

Negatives = Literal["another article", "swapped"]


@dataclass(frozen=True)
class SentencePair:
    """Two sentences as token ids, and whether the second follows the first."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    follows: bool
    place: int  # of the earlier one in its article, from 0


def sentence_pairs(
    articles: Sequence[Article], negatives: Negatives, seed: int
) -> Iterator[SentencePair]:
    """Pairs of sentences without end, half of them true neighbours.

    Of the others "another article" takes the second sentence from elsewhere
    (BERT), "swapped" swaps neighbours (ALBERT).
    """
    if negatives not in ("another article", "swapped"):
        found = f"negatives is {negatives!r}"
        raise ValueError(f"{found}; take 'another article' or 'swapped'.")
    several = [article for article in articles if len(article.sentences) > 1]
    rng = random.Random(seed)
    while True:
        article, other = rng.sample(several, 2)
        place = rng.randrange(len(article.sentences) - 1)
        first, second = article.sentences[place : place + 2]
        follows = rng.random() < 0.5
        if not follows and negatives == "swapped":
            first, second = second, first
        elif not follows:
            # Never its first sentence, since a true second one never is.
            second = rng.choice(other.sentences[1:])
        yield SentencePair(first, second, follows, place)


class PairClassifier(nn.Module):
    """Does the second sentence follow the first? Two layers on vectors of width D."""

    def __init__(self, D: int, hidden: int = 64, dropout: float = 0.2):
        super().__init__()
        self.settings = {"D": D, "hidden": hidden, "dropout": dropout}
        self.norm, self.dropout = nn.LayerNorm(D), nn.Dropout(dropout)
        self.hidden = nn.Linear(4 * D, hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        """float[B, 3, D] of `pair_features` -> logits float[B]; above 0 it follows."""
        whole, first, second = self.norm(features).unbind(1)  # [B, D] each
        # The product: where do the two sentences agree?
        x = torch.cat([whole, first, second, first * second], dim=-1)
        return self.output(F.gelu(self.hidden(self.dropout(x))))[:, 0]


def pair_features(encoder: FrozenEncoder, pairs: Sequence[SentencePair]) -> Tensor:
    """Read both sentences of each pair as one text, [CLS] first [SEP] second [SEP].

    float[B, 3, D]: the vector of [CLS], and the mean vectors of the two sentences.
    """
    rows = [[*pair.first, encoder.kinds.sep_id, *pair.second] for pair in pairs]
    token_ids = encoder.batch(rows)  # [B, T]
    places = torch.arange(token_ids.shape[1])
    lengths = torch.tensor([[len(pair.first), len(pair.second)] for pair in pairs])
    begin_second = 2 + lengths[:, :1]  # behind [CLS], the first sentence and its [SEP]
    in_first = (places > 0) & (places < begin_second - 1)  # bool[B, T]
    in_second = (places >= begin_second) & (places < begin_second + lengths[:, 1:])
    types = ((places >= begin_second) & (token_ids != encoder.kinds.pad_id)).long()
    vectors = encoder.read(token_ids, types)  # [B, T, D]

    def mean(which: Tensor) -> Tensor:
        return (vectors * which[..., None]).sum(1) / which.sum(1, keepdim=True)

    return torch.stack([vectors[:, 0], mean(in_first), mean(in_second)], dim=1)


# --- replaced tokens

# ELECTRA's generator: token_ids int64[B, T], chosen bool[B, T], random numbers -> int64[N].
TokenGenerator = Callable[[Tensor, Tensor, torch.Generator], Tensor]


class ReplacedTokens(NamedTuple):
    """Some tokens replaced: inputs int64[B, T], and replaced bool[B, T], True where they are."""

    inputs: Tensor
    replaced: Tensor


def replace_words(
    token_ids: Tensor,
    kinds: TokenKinds,
    draw: TokenGenerator,
    generator: torch.Generator,
    share: float = QUERY_SHARE,
) -> ReplacedTokens:
    """Choose tokens as for masking, and replace them by what `draw` gives.

    A draw that happens to be the token itself is no replacement.
    Clark et al. 2020, section 2.
    """
    chosen = choose_tokens(token_ids, kinds, generator, share)
    inputs = token_ids.clone()
    inputs[chosen] = draw(token_ids, chosen, generator)
    return ReplacedTokens(inputs, inputs != token_ids)


class FrequencyGenerator:
    """A generator that never reads: it draws tokens by how often they occur."""

    def __init__(self, articles: Iterable[Article], kinds: TokenKinds):
        self.ordinary = kinds.ordinary
        self.counts = count_tokens(articles, len(kinds.special))[kinds.ordinary].double()

    def __call__(self, token_ids: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
        n = int(chosen.sum())
        drawn = torch.multinomial(self.counts, max(n, 1), replacement=True, generator=generator)
        return self.ordinary[drawn[:n]]  # none of an empty text


class MaskedWordGenerator:
    """A generator that reads: it hides the chosen tokens and draws what a head finds likely."""

    def __init__(self, head: MaskedWordHead, encoder: FrozenEncoder):
        self.head, self.encoder = head, encoder

    def __call__(self, token_ids: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
        kinds = self.encoder.kinds
        hidden = token_ids.masked_fill(chosen, kinds.mask_id)
        vectors = read_around(self.encoder, hidden, chosen)  # [N, 3 D]
        with in_eval_mode(self.head), compute.bf16_autocast():
            logits = self.head(vectors, self.encoder.words).float()[:, kinds.ordinary]
        drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
        return kinds.ordinary[drawn[:, 0]]


class Discriminator(nn.Module):
    """Was this token replaced? Two layers on its vector, width D, and its word embedding."""

    def __init__(self, D: int, D_words: int, hidden: int = 256):
        super().__init__()
        self.settings = {"D": D, "D_words": D_words, "hidden": hidden}
        self.norms = nn.ModuleList([nn.LayerNorm(D), nn.LayerNorm(D_words)])
        self.hidden = nn.Linear(D + D_words, hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        """float[..., D + D_words] of `token_features` -> logits float[...]; above 0: replaced."""
        parts = features.split([norm.normalized_shape[0] for norm in self.norms], dim=-1)
        normed = [norm(part) for norm, part in zip(self.norms, parts, strict=True)]
        return self.output(F.gelu(self.hidden(torch.cat(normed, dim=-1))))[..., 0]

    def replaced_probs(self, encoder: FrozenEncoder, token_ids: Tensor) -> Tensor:
        """How likely each token was replaced: int64[B, T] -> float[B, T]."""
        with in_eval_mode(self):
            return self(token_features(encoder, token_ids)).sigmoid()


def token_features(encoder: FrozenEncoder, token_ids: Tensor) -> Tensor:
    """Each token as read in its sentence, and its embedding: float[B, T, D + D_words]."""
    return torch.cat([encoder.read(token_ids), encoder.words[token_ids]], dim=-1)


def replaced_batches(
    encoder: FrozenEncoder, articles: Sequence[Article], draw: TokenGenerator, seed: int
) -> Iterator[Examples]:
    """Replace words in sentences, and read all tokens that are text, without end.

    Each batch is float[N, D + D_words], and labels float[N], 1 for a replaced token.
    """
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    for token_ids in sentence_batches(encoder, articles, BATCH_SIZE, rng):
        example = replace_words(token_ids, encoder.kinds, draw, generator)
        text = ~encoder.kinds.special[token_ids]
        features = token_features(encoder, example.inputs)
        yield features[text], example.replaced[text].float()


def discriminator_scores(
    discriminator: Discriminator, features: Tensor, replaced: Tensor
) -> dict[str, float]:
    """How good a discriminator is, as shares from 0 to 1; arguments as `replaced_batches` yields.

    Recall: of the replaced tokens, those it finds. False positive rate: of the others, those it
    takes for replaced.
    """
    with in_eval_mode(discriminator):
        predicted = discriminator(features) > 0
    replaced = replaced > 0.5
    shares = {
        "accuracy": predicted == replaced,
        'always "original"': ~replaced,
        "recall": predicted[replaced],
        "false positive rate": predicted[~replaced],
    }
    return {name: values.float().mean().item() for name, values in shares.items()}


# --- tasks as one sequence

# New tokens; what GPT makes of the last one goes to the task's own layer.
BEGIN, DELIMITER, EXTRACT = "<s>", "$", "<e>"
Task = Literal["classification", "entailment", "similarity", "multiple choice"]


def as_sequences(task: Task, *texts: str) -> list[list[str]]:
    """Write an example of a task as GPT reads it: one or more sequences.

    Radford et al. 2018, section 3.3. The texts are one for classification,
    premise and hypothesis, two for similarity; for multiple choice document,
    question and answers.
    """
    match task, texts:
        case "classification", [text]:
            middles = [[text]]
        case "entailment", [premise, hypothesis]:
            middles = [[premise, DELIMITER, hypothesis]]
        case "similarity", [first, second]:  # both orders; vectors are added
            middles = [[first, DELIMITER, second], [second, DELIMITER, first]]
        case "multiple choice", [document, question, *answers] if answers:
            context = [document, question, DELIMITER]
            middles = [[*context, answer] for answer in answers]
        case _:
            found = f"{len(texts)} texts do not make an example of {task!r}"
            raise ValueError(f"{found}; see as_sequences.")
    return [[BEGIN, *middle, EXTRACT] for middle in middles]
