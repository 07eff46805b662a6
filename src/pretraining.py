"""Learning from plain text: masked words, next sentence, replaced tokens on a frozen encoder; vocabularies of word pieces (05b).

    encoder, articles = load_encoder(), load_articles()             # MiniLM, which nothing here trains; introductions as tokens
    mask_words(token_ids, encoder.kinds, generator)                # hides 15 %, and keeps what stood there as labels
    head = MaskedWordHead.untrained(encoder, articles["train"])
    train_masked_words(head, encoder, articles, minutes=0.33)
    fill_in(head, encoder, "The capital of France is [MASK].")     # {"paris": 0.4, ...}
    train_pairs(PairClassifier(encoder.D), encoder, articles, "another article", minutes=0.1)
    train_discriminator(Discriminator(encoder.D, encoder.D_words), encoder, articles, MaskedWordGenerator(head, encoder), minutes=0.2)
    learn_merges({"singing": 5, "ring": 3}, 4)                    # four steps of byte-pair encoding

Each task makes its labels from the text alone. The encoder stays as it is, so what it makes of a batch can be used again: a head
learns in seconds on a CPU. B: batch   T: tokens   V: vocabulary   D: width   N: places that are asked about.

Sources: Devlin et al. 2019, "BERT" (masked words, next sentence); Lan et al. 2020, "ALBERT" (order of sentences); Clark et al. 2020,
"ELECTRA" (replaced tokens); Radford et al. 2018, "Improving language understanding by generative pre-training" (tasks as one
sequence); Sennrich et al. 2016 (merges); Wu et al. 2016, "Google's neural machine translation system" (WordPiece).
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from src import assets, compute
from src.rnn import pad
from src.text import split_sentences
from src.topics import Split, split_of
from src.training import Run, fit, in_eval_mode
from src.transformer import Encoder

NO_LABEL = -100  # where nothing is asked: torch's cross-entropy leaves such places out
SHARE = 0.15  # of the tokens are asked about, in BERT and in ELECTRA
FEWEST_TOKENS, MOST_TOKENS = 4, 62  # of a sentence; with [CLS] and [SEP] at most 64

Item = TypeVar("Item")

# --- the encoder and the texts -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenKinds:
    """What the tokens of a vocabulary are.

    special: bool[V], True for [PAD], [UNK], [CLS], [SEP] and [MASK], which are no text
    ordinary: int64[N], words and pieces of words; BERT's vocabulary also has places that were never used, "[unused7]"
    """

    special: Tensor
    ordinary: Tensor
    pad_id: int
    cls_id: int
    sep_id: int
    mask_id: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> TokenKinds:
        special = torch.zeros(len(tokenizer), dtype=torch.bool)
        special[tokenizer.all_special_ids] = True
        tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        ordinary = [i for i, token in enumerate(tokens) if not special[i] and not token.startswith("[unused")]
        ids = (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id)
        return cls(special, torch.tensor(ordinary), *ids)


class FrozenEncoder:
    """A BERT that is read and never trained.

    blocks: those whose vectors are read, side by side; None: the last one alone
    V: vocabulary   D: width of what is read of a token   words: float[V, D_words], its word embeddings   kinds: see `TokenKinds`
    """

    def __init__(self, encoder: Encoder, tokenizer: PreTrainedTokenizerBase, blocks: Sequence[int] | None = None):
        self.bert, self.tokenizer = encoder.requires_grad_(False).eval(), tokenizer
        self.blocks = blocks or [len(encoder.blocks)]
        self.words = encoder.words.weight
        self.V, self.D_words = self.words.shape
        self.D = len(self.blocks) * self.D_words
        self.kinds = TokenKinds.of(tokenizer)

    def read(self, token_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """One vector per token, without gradients.   token_ids, token_type_ids: int64[B, T], padded with [PAD]; None: all types 0

        Returns float[B, T, D].
        """
        with torch.no_grad(), compute.bf16_autocast():
            layers = self.bert.trace(token_ids, token_ids != self.kinds.pad_id, token_type_ids).layers
            return torch.cat([layers[block] for block in self.blocks], dim=-1).float()

    def batch(self, sentences: Iterable[Sequence[int]]) -> Tensor:
        """Sentences as one rectangle, each between [CLS] and [SEP]: int64[B, T]."""
        return pad([[self.kinds.cls_id, *sentence, self.kinds.sep_id] for sentence in sentences], self.kinds.pad_id)[0]


@functools.cache
def load_encoder() -> FrozenEncoder:
    """MiniLM (see `src.assets`), computed by the encoder of notebook 04.

    Its last block was trained to sum up sentences; the fourth one knows more of single words. Both are read.
    """
    return FrozenEncoder(Encoder.from_pretrained("minilm"), AutoTokenizer.from_pretrained(assets.path("minilm")), blocks=(4, 6))


@dataclass(frozen=True)
class Article:
    """An introduction: its title, and its sentences as token ids, without [CLS] and [SEP]."""

    title: str
    sentences: tuple[tuple[int, ...], ...]


@functools.cache
def load_articles() -> dict[Split, list[Article]]:
    """The Wikipedia introductions (see `src.assets`) as MiniLM's tokens, split by article as everywhere in the course."""
    return tokenize_articles({page.title: page.text for page in assets.load_passages().values()}, load_encoder().tokenizer)


def tokenize_articles(texts: Mapping[str, str], tokenizer: PreTrainedTokenizerBase) -> dict[Split, list[Article]]:
    """Cut texts into sentences and tokens.   texts: by title

    A sentence is cut after MOST_TOKENS; one with fewer than FEWEST_TOKENS is left out, and so is a text without any other.
    """
    found = [(title, sentence) for title, text in texts.items() for sentence in split_sentences(text)]
    rows = tokenizer([sentence for _, sentence in found], add_special_tokens=False)["input_ids"] if found else []
    articles: dict[Split, list[Article]] = {"train": [], "development": [], "test": []}
    for title, group in itertools.groupby(zip(found, rows, strict=True), key=lambda pair: pair[0][0]):
        sentences = tuple(tuple(row[:MOST_TOKENS]) for _, row in group if len(row) >= FEWEST_TOKENS)
        if sentences:
            articles[split_of(title)].append(Article(title, sentences))
    return articles


def endless_sentences(articles: Sequence[Article], rng: random.Random) -> Iterator[tuple[int, ...]]:
    """All sentences of all articles in random order, and again in another one, without end. Raises ValueError where there is none."""
    sentences = [sentence for article in articles for sentence in article.sentences]
    if not sentences:
        raise ValueError("there is no sentence in these articles; take a split of load_articles().")
    while True:
        yield from rng.sample(sentences, len(sentences))


def batches_by_length(items: Iterator[Item], length: Callable[[Item], int], batch_size: int, rng: random.Random) -> Iterator[list[Item]]:
    """Cut a stream without end into batches of items of about one length, so that little of a batch is padding."""
    while True:
        some = sorted(itertools.islice(items, 16 * batch_size), key=length)
        begins = list(range(0, len(some), batch_size))
        rng.shuffle(begins)
        for begin in begins:
            yield some[begin : begin + batch_size]


def count_tokens(articles: Iterable[Article], V: int) -> Tensor:
    """How often each token occurs: int64[V]."""
    token_ids = [token_id for article in articles for sentence in article.sentences for token_id in sentence]
    return torch.bincount(torch.tensor(token_ids, dtype=torch.int64), minlength=V)


# --- masked words --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MaskedTokens:
    """What the model gets to see, and what it is asked: inputs and labels int64[B, T], NO_LABEL where nothing is asked."""

    inputs: Tensor
    labels: Tensor

    @property
    def chosen(self) -> Tensor:
        """Where something is asked: bool[B, T]."""
        return self.labels != NO_LABEL


def choose_tokens(token_ids: Tensor, kinds: TokenKinds, generator: torch.Generator, share: float = SHARE) -> Tensor:
    """Choose each token that is text with the chance `share`.   token_ids: int64[B, T]   Returns bool[B, T]."""
    return (torch.rand(token_ids.shape, generator=generator) < share) & ~kinds.special[token_ids]


def mask_words(token_ids: Tensor, kinds: TokenKinds, generator: torch.Generator, share: float = SHARE) -> MaskedTokens:
    """Hide some tokens; what stood there is the label.

    Of the chosen tokens 80 % become [MASK], 10 % another token, drawn from all ordinary ones, and 10 % stay. So the model cannot
    rely on a word that it sees, and must know from the others what could stand there.
    token_ids: int64[B, T]   share: how many are chosen   Source: Devlin et al. 2019, section 3.1.
    """
    chosen = choose_tokens(token_ids, kinds, generator, share)
    dice = torch.rand(token_ids.shape, generator=generator)
    drawn = kinds.ordinary[torch.randint(len(kinds.ordinary), token_ids.shape, generator=generator)]
    inputs = torch.where(chosen & (dice < 0.8), kinds.mask_id, token_ids)
    inputs = torch.where(chosen & (dice >= 0.8) & (dice < 0.9), drawn, inputs)
    return MaskedTokens(inputs, token_ids.masked_fill(~chosen, NO_LABEL))


class MaskedWordHead(nn.Module):
    """Says how likely each token of the vocabulary stood at a place, from the encoder's vectors there.

    It also gets the vectors of the two neighbours: this encoder was not trained to gather at a [MASK] what belongs there. Two layers
    make a vector of the width of a word embedding from the three. The logit of a token is the dot product with its embedding, plus
    a bias. The embeddings are the encoder's own, frozen, and not part of the head: so it stays small. At first the second layer is
    zero: a new head does not see the sentence at all.   V: vocabulary   D: width of a vector   D_words: of a word embedding
    Source: Devlin et al. 2019 (the head of BERT, there with layer norm behind); Press and Wolf 2017 (shared embeddings).
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

    @classmethod
    def untrained(cls, encoder: FrozenEncoder, articles: Sequence[Article]) -> MaskedWordHead:
        """A head that knows how frequent each token is, and nothing else: its biases are the logarithms of the tokens' shares."""
        head = cls(encoder.V, encoder.D, encoder.D_words)
        shares = (count_tokens(articles, encoder.V) + 0.1).double()  # so that no logarithm is infinite
        with torch.no_grad():
            head.bias.copy_((shares / shares.sum()).log())
        return head

    def forward(self, vectors: Tensor, words: Tensor) -> Tensor:
        """vectors: float[N, 3 D], see `read_around`   words: float[V, D_words], the word embeddings   Returns logits float[N, V]."""
        x = self.contract(F.gelu(self.expand(self.norm(vectors))))  # [N, 3 D] -> [N, hidden] -> [N, D_words]
        return x @ words.T + self.bias


def read_around(encoder: FrozenEncoder, token_ids: Tensor, places: Tensor) -> Tensor:
    """What the encoder makes of some tokens and of the neighbours on either side.

    token_ids: int64[B, T], each row between [CLS] and [SEP]   places: bool[B, T], N of them, not the first or last of a row
    Returns float[N, 3 D]: the token before, the token itself, the token after.
    """
    vectors = encoder.read(token_ids)  # [B, T, D]
    return torch.cat([vectors.roll(1, dims=1)[places], vectors[places], vectors.roll(-1, dims=1)[places]], dim=-1)


def masked_batches(
    encoder: FrozenEncoder, articles: Sequence[Article], seed: int, batch_size: int = 64, blanks_only: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Hide words in sentences and let the encoder read them, a batch at a time, without end.

    blanks_only: leave out the chosen places that show a word; for scores, since 10 % of the chosen show the answer itself
    Yields what `read_around` gives at the places that are asked about, float[N, 3 D], and the tokens that stood there, int64[N].
    """
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    for sentences in batches_by_length(endless_sentences(articles, rng), len, batch_size, rng):
        masked = mask_words(encoder.batch(sentences), encoder.kinds, generator)
        asked = masked.inputs == encoder.kinds.mask_id if blanks_only else masked.chosen
        if asked.any():
            yield read_around(encoder, masked.inputs, asked), masked.labels[asked]


def collect(pieces: Iterator[tuple[Tensor, Tensor]], count: int) -> tuple[Tensor, Tensor]:
    """The first `count` pieces as one: what a score is taken on."""
    inputs, labels = zip(*itertools.islice(pieces, count), strict=True)
    return torch.cat(inputs), torch.cat(labels)


def masked_accuracy(head: MaskedWordHead, encoder: FrozenEncoder, vectors: Tensor, labels: Tensor) -> float:
    """The share of blanks, in [0, 1], whose likeliest token is the one that stood there.   vectors: float[N, 3 D]   labels: int64[N]"""
    with in_eval_mode(head):
        found = torch.cat([head(some, encoder.words).argmax(-1) for some in vectors.split(512)])
    return (found == labels).float().mean().item()


def fill_in(head: MaskedWordHead, encoder: FrozenEncoder, text: str, n: int = 5) -> dict[str, float]:
    """The n likeliest tokens for the blank in a text, with their probabilities.

    text: with one [MASK]. Raises ValueError for none or more than one.
    """
    token_ids = torch.tensor([encoder.tokenizer(text)["input_ids"]])
    blanks = token_ids == encoder.kinds.mask_id
    if blanks.sum() != 1:
        raise ValueError(f"{text!r} has {int(blanks.sum())} blanks; write [MASK] exactly once.")
    with in_eval_mode(head):
        probs, found = head(read_around(encoder, token_ids, blanks), encoder.words)[0].softmax(-1).topk(n)
    return dict(zip(encoder.tokenizer.convert_ids_to_tokens(found.tolist()), probs.tolist(), strict=True))


# --- training on a frozen encoder ----------------------------------------------------------------------------------------

REPLAY_BUFFER = 64  # pieces that are kept for another time: less than 1 GB


def with_replay(fresh: Iterator[Item], again: int, seed: int) -> Iterator[Item]:
    """Every fresh piece, and after it `again` pieces drawn from the latest ones so far.

    A frozen encoder gives the same for the same text, and takes longer than the head: what it has made should be used more than once.
    """
    rng, kept = random.Random(seed), []
    for piece in fresh:
        kept = [*kept[-REPLAY_BUFFER + 1 :], piece]
        yield piece
        yield from rng.choices(kept, k=again)


def train_masked_words(
    head: MaskedWordHead,
    encoder: FrozenEncoder,
    articles: Mapping[Split, Sequence[Article]],
    minutes: float,
    seed: int = 0,
    folder: str | Path | None = None,
    report: Callable[[dict], None] | None = None,
    learning_rate: float = 2e-3,
) -> Run:
    """Teach a head to say what stood at the blanks, for so many minutes, or until Ctrl-C.

    head: is trained in place   folder: where to keep the run, if at all (`src.training.load_run` reads it)
    report: called with every new entry of the history (`LiveCurve` is one)   learning_rate: its peak
    The history's loss is per blank, ln V for a head that guesses; its `accuracy` is that on development sentences.
    """
    development = collect(masked_batches(encoder, articles["development"], seed=1, blanks_only=True), 1)

    def loss_of(piece: tuple[Tensor, Tensor]) -> Tensor:
        vectors, labels = piece
        with compute.bf16_autocast():
            return F.cross_entropy(head(vectors, encoder.words), labels)

    pieces = with_replay(masked_batches(encoder, articles["train"], seed), 1, seed)
    score = ("accuracy", lambda: masked_accuracy(head, encoder, *development))
    return fit(head, pieces, loss_of, minutes, score, 64, learning_rate, seed=seed, unit="sentences", report=report, folder=folder)


# --- two sentences -------------------------------------------------------------------------------------------------------

Wrong = Literal["another article", "swapped"]


@dataclass(frozen=True)
class SentencePair:
    """Two sentences, and whether the second follows the first in an article.

    first, second: token ids   place: of the first in its article, from 0 (where they are swapped, of the earlier one)
    """

    first: tuple[int, ...]
    second: tuple[int, ...]
    follows: bool
    place: int


def sentence_pairs(articles: Sequence[Article], wrong: Wrong, seed: int) -> Iterator[SentencePair]:
    """Pairs of sentences without end, half of them true neighbours.

    wrong: what the other half is: "another article" has a second sentence from elsewhere (BERT), "swapped" has two neighbours in
    the wrong order (ALBERT). The sentence from elsewhere is never the first of its article, since a true second one never is.
    Raises ValueError for another `wrong`, and for fewer than two articles with two sentences.
    """
    several = [article for article in articles if len(article.sentences) > 1]
    if len(several) < 2 or wrong not in ("another article", "swapped"):
        raise ValueError(f"{len(several)} articles with two sentences, wrong {wrong!r}: take two or more, 'another article' or 'swapped'.")
    rng = random.Random(seed)
    while True:
        article, other = rng.sample(several, 2)
        place = rng.randrange(len(article.sentences) - 1)
        first, second = article.sentences[place : place + 2]
        follows = rng.random() < 0.5
        if not follows and wrong == "swapped":
            first, second = second, first
        elif not follows:
            second = rng.choice(other.sentences[1:])
        yield SentencePair(first, second, follows, place)


class PairClassifier(nn.Module):
    """Does the second sentence follow the first? Two layers on what a frozen encoder makes of both, read together.   D: its width"""

    def __init__(self, D: int, hidden: int = 64, dropout: float = 0.2):
        super().__init__()
        self.settings = {"D": D, "hidden": hidden, "dropout": dropout}
        self.norm, self.dropout = nn.LayerNorm(D), nn.Dropout(dropout)
        self.hidden = nn.Linear(4 * D, hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        """features: float[B, 3, D], see `pair_features`   Returns logits float[B]; above 0 it says that the second follows."""
        whole, first, second = self.norm(features).unbind(1)  # [B, D] each
        x = torch.cat([whole, first, second, first * second], dim=-1)  # the product: where do the two sentences agree?
        return self.output(F.gelu(self.hidden(self.dropout(x))))[:, 0]


def pair_features(encoder: FrozenEncoder, pairs: Sequence[SentencePair]) -> Tensor:
    """Read both sentences of each pair as one text, [CLS] first [SEP] second [SEP].

    Returns float[B, 3, D]: the vector of [CLS], and the mean vectors of the two sentences.
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
    first, second = ((vectors * which[..., None]).sum(1) / which.sum(1, keepdim=True) for which in (in_first, in_second))
    return torch.stack([vectors[:, 0], first, second], dim=1)


def pair_batches(
    encoder: FrozenEncoder, articles: Sequence[Article], wrong: Wrong, seed: int, batch_size: int = 32
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of `sentence_pairs` as the encoder reads them, a batch at a time: features float[B, 3, D], and float[B], 1 where true."""
    pairs = sentence_pairs(articles, wrong, seed)
    for batch in batches_by_length(pairs, lambda pair: len(pair.first) + len(pair.second), batch_size, random.Random(seed)):
        yield pair_features(encoder, batch), torch.tensor([float(pair.follows) for pair in batch])


def binary_accuracy(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """The share, in [0, 1], of logits on the right side of 0.   inputs: what the model takes   labels: float[N], 0 or 1"""
    with in_eval_mode(model):
        return ((model(inputs) > 0) == (labels > 0.5)).float().mean().item()


def train_pairs(
    classifier: PairClassifier,
    encoder: FrozenEncoder,
    articles: Mapping[Split, Sequence[Article]],
    wrong: Wrong,
    minutes: float,
    seed: int = 0,
    folder: str | Path | None = None,
    report: Callable[[dict], None] | None = None,
    learning_rate: float = 1e-3,
) -> Run:
    """Teach a classifier which sentences follow each other; arguments as in `train_masked_words`, wrong as in `sentence_pairs`.

    The history's loss is ln 2 for a classifier that guesses; its `accuracy` is that on development pairs.
    """
    development = collect(pair_batches(encoder, articles["development"], wrong, seed=1), 4)
    pieces = with_replay(pair_batches(encoder, articles["train"], wrong, seed), 3, seed)
    return _train_binary(classifier, pieces, development, minutes, seed, folder, report, learning_rate, 32, "pairs")


def _train_binary(
    model: nn.Module,
    pieces: Iterator[tuple[Tensor, Tensor]],
    development: tuple[Tensor, Tensor],
    minutes: float,
    seed: int,
    folder: str | Path | None,
    report: Callable[[dict], None] | None,
    learning_rate: float,
    batch_size: int,
    unit: str,
) -> Run:
    """Train a model whose output is one logit per row of its inputs, and keep the run where that is wished."""

    def loss_of(piece: tuple[Tensor, Tensor]) -> Tensor:
        return F.binary_cross_entropy_with_logits(model(piece[0]), piece[1])

    score = ("accuracy", lambda: binary_accuracy(model, *development))
    return fit(model, pieces, loss_of, minutes, score, batch_size, learning_rate, seed=seed, unit=unit, report=report, folder=folder)


# --- replaced tokens -----------------------------------------------------------------------------------------------------

# Draws a token for every chosen place: token_ids int64[B, T], chosen bool[B, T], generator -> int64[N].
TokenGenerator = Callable[[Tensor, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class ReplacedTokens:
    """A text in which some tokens are not its own: inputs int64[B, T], and replaced bool[B, T], True where they are not."""

    inputs: Tensor
    replaced: Tensor


def replace_words(
    token_ids: Tensor, kinds: TokenKinds, token_generator: TokenGenerator, generator: torch.Generator, share: float = SHARE
) -> ReplacedTokens:
    """Choose tokens as for masking, and put what `token_generator` draws in their places.

    A draw that happens to be the token itself is no replacement.

    token_ids: int64[B, T]   Source: Clark et al. 2020, section 2.
    """
    chosen = choose_tokens(token_ids, kinds, generator, share)
    inputs = token_ids.clone()
    inputs[chosen] = token_generator(token_ids, chosen, generator)
    return ReplacedTokens(inputs, inputs != token_ids)


class FrequencyGenerator:
    """A generator that never reads: it draws tokens by how often they occur."""

    def __init__(self, articles: Iterable[Article], kinds: TokenKinds):
        self.ordinary = kinds.ordinary
        self.counts = count_tokens(articles, len(kinds.special))[kinds.ordinary].double()

    def __call__(self, token_ids: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
        return self.ordinary[torch.multinomial(self.counts, int(chosen.sum()), replacement=True, generator=generator)]


class MaskedWordGenerator:
    """A generator that reads: it hides the chosen tokens and draws by what a masked-word head finds likely there."""

    def __init__(self, head: MaskedWordHead, encoder: FrozenEncoder):
        self.head, self.encoder = head, encoder

    def __call__(self, token_ids: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
        kinds = self.encoder.kinds
        vectors = read_around(self.encoder, token_ids.masked_fill(chosen, kinds.mask_id), chosen)  # [N, 3 D]
        with in_eval_mode(self.head), compute.bf16_autocast():
            logits = self.head(vectors, self.encoder.words).float()[:, kinds.ordinary]
        return kinds.ordinary[torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]]


class Discriminator(nn.Module):
    """Is this token the text's own? Two layers on the encoder's vector of the token, beside the token's word embedding.

    D, D_words: widths of the two
    """

    def __init__(self, D: int, D_words: int, hidden: int = 256):
        super().__init__()
        self.settings = {"D": D, "D_words": D_words, "hidden": hidden}
        self.norms = nn.ModuleList([nn.LayerNorm(D), nn.LayerNorm(D_words)])
        self.hidden = nn.Linear(D + D_words, hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, features: Tensor) -> Tensor:
        """features: float[..., D + D_words], see `token_features`   Returns logits float[...]; above 0 it says "replaced"."""
        parts = features.split([norm.normalized_shape[0] for norm in self.norms], dim=-1)
        x = torch.cat([norm(part) for norm, part in zip(self.norms, parts, strict=True)], dim=-1)
        return self.output(F.gelu(self.hidden(x)))[..., 0]

    def replaced_probs(self, encoder: FrozenEncoder, token_ids: Tensor) -> Tensor:
        """How likely it finds each token to have been replaced.   token_ids: int64[B, T]   Returns float[B, T]."""
        with in_eval_mode(self):
            return self(token_features(encoder, token_ids)).sigmoid()


def token_features(encoder: FrozenEncoder, token_ids: Tensor) -> Tensor:
    """What the encoder makes of each token in its sentence, and its embedding without any sentence: float[B, T, D + D_words]."""
    return torch.cat([encoder.read(token_ids), encoder.words[token_ids]], dim=-1)


def replaced_batches(
    encoder: FrozenEncoder, articles: Sequence[Article], token_generator: TokenGenerator, seed: int, batch_size: int = 64
) -> Iterator[tuple[Tensor, Tensor]]:
    """Replace words in sentences and let the encoder read them, a batch at a time, without end.

    Yields features float[N, D + D_words] of all tokens that are text, replaced or not, and labels float[N], 1 for a replaced one.
    """
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    for sentences in batches_by_length(endless_sentences(articles, rng), len, batch_size, rng):
        token_ids = encoder.batch(sentences)
        example = replace_words(token_ids, encoder.kinds, token_generator, generator)
        text = ~encoder.kinds.special[token_ids]
        yield token_features(encoder, example.inputs)[text], example.replaced[text].float()


def train_discriminator(
    discriminator: Discriminator,
    encoder: FrozenEncoder,
    articles: Mapping[Split, Sequence[Article]],
    token_generator: TokenGenerator,
    minutes: float,
    seed: int = 0,
    folder: str | Path | None = None,
    report: Callable[[dict], None] | None = None,
    learning_rate: float = 2e-3,
) -> Run:
    """Teach a discriminator which tokens were replaced; arguments as in `train_masked_words`, token_generator as in `replace_words`.

    The history's `accuracy` is that on development sentences; one that never suspects a token has about 1 - SHARE.
    """
    development = collect(replaced_batches(encoder, articles["development"], token_generator, seed=1), 2)
    pieces = with_replay(replaced_batches(encoder, articles["train"], token_generator, seed), 3, seed)
    return _train_binary(discriminator, pieces, development, minutes, seed, folder, report, learning_rate, 64, "sentences")


def discriminator_scores(discriminator: Discriminator, features: Tensor, replaced: Tensor) -> dict[str, float]:
    """How good a discriminator is, in [0, 1].   features: float[N, D + D_words]   replaced: float[N], 1 or 0

    accuracy: right verdicts   always "original": the accuracy of never suspecting anything   recall: of the replaced tokens, those it
    suspects   false positive rate: of the text's own tokens, those it suspects
    """
    with in_eval_mode(discriminator):
        predicted = discriminator(features) > 0
    example = replaced > 0.5
    shares = {
        "accuracy": predicted == example,
        'always "original"': ~example,
        "recall": predicted[example],
        "false positive rate": predicted[~example],
    }
    return {name: values.float().mean().item() for name, values in shares.items()}


# --- tasks as one sequence -----------------------------------------------------------------------------------------------

BEGIN, DELIMITER, EXTRACT = "<s>", "$", "<e>"  # new tokens; what GPT makes of the last one goes to the task's own layer
Task = Literal["classification", "entailment", "similarity", "multiple choice"]


def as_sequences(task: Task, *texts: str) -> list[list[str]]:
    """Write an example of a task as GPT reads it: sequences of texts and special tokens, each read by itself.

    texts: of classification one, of entailment the premise and the hypothesis, of similarity two, of multiple choice the
    document, the question and the answers.   Source: Radford et al. 2018, section 3.3.
    Raises ValueError for the wrong number of texts.
    """
    match task, texts:
        case "classification", [text]:
            middles = [[text]]
        case "entailment", [premise, hypothesis]:
            middles = [[premise, DELIMITER, hypothesis]]
        case "similarity", [first, second]:  # neither comes first, so both orders; what GPT makes of the two is added
            middles = [[first, DELIMITER, second], [second, DELIMITER, first]]
        case "multiple choice", [document, question, *answers] if answers:
            middles = [[document, question, DELIMITER, answer] for answer in answers]
        case _:
            raise ValueError(f"{len(texts)} texts do not make an example of {task!r}; see as_sequences.")
    return [[BEGIN, *middle, EXTRACT] for middle in middles]
