"""Pre-training tasks: makers by independent counting, no peeking, features against the library's BERT, merges against `tokenizers`."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from sklearn.metrics import accuracy_score, recall_score
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close
from transformers import AutoTokenizer, BertModel

from src import assets, compute
from src.pretraining import (
    FEWEST_TOKENS,
    MOST_TOKENS,
    NO_LABEL,
    REPLAY_BUFFER,
    Article,
    Discriminator,
    FrequencyGenerator,
    FrozenEncoder,
    MaskedWordGenerator,
    MaskedWordHead,
    PairClassifier,
    TokenKinds,
    as_sequences,
    batches_by_length,
    binary_accuracy,
    collect,
    count_tokens,
    discriminator_scores,
    endless_sentences,
    fill_in,
    load_articles,
    load_encoder,
    mask_words,
    masked_accuracy,
    masked_batches,
    pair_batches,
    pair_features,
    read_around,
    replace_words,
    replaced_batches,
    sentence_pairs,
    tokenize_articles,
    train_discriminator,
    train_masked_words,
    train_pairs,
    with_replay,
)
from src.runtime import COURSE
from src.subwords import Merge, apply_merge, learn_merges, letters_of, longest_match, merge_steps, train_wordpiece
from src.text import tokenize_words
from src.topics import split_of
from src.training import load_run
from src.transformer import Encoder

TOKENIZER = AutoTokenizer.from_pretrained(assets.path("minilm"))
KINDS = TokenKinds.of(TOKENIZER)
COLOURS = ["red", "green", "blue", "white"]
THINGS = ["blood", "grass", "sky", "snow"]  # each thing has its colour
TEXTS = {
    f"page {i}": " ".join(f"The {THINGS[k % 4]} of page {i} is always {COLOURS[k % 4]} and never pale." for k in range(i, i + 2 + i % 4))
    for i in range(60)
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def within(count: int, n: int, chance: float) -> bool:
    """Whether a count lies within four and a half standard deviations of a binomial's mean: by luck it does not one time in 150,000."""
    return abs(count - n * chance) <= 4.5 * math.sqrt(n * chance * (1 - chance))


def tiny_encoder(D: int = 32, L: int = 1) -> FrozenEncoder:
    """An untrained encoder with MiniLM's vocabulary."""
    torch.manual_seed(0)
    encoder = Encoder(V=len(TOKENIZER), D=D, H=2, L=L, hidden=32, max_T=160)
    return FrozenEncoder(encoder, TOKENIZER)


def seeing_head(encoder: FrozenEncoder) -> MaskedWordHead:
    """A head with random weights; a new one does not look at the sentence."""
    torch.manual_seed(2)
    head = MaskedWordHead(encoder.V, encoder.D, encoder.D_words)
    nn.init.normal_(head.contract.weight, std=0.5)
    return head


class Mirror(FrozenEncoder):
    """A encoder whose vectors say what it was given to read: the token, its type, and how many real tokens the row has."""

    def __init__(self) -> None:
        super().__init__(Encoder(V=len(TOKENIZER), D=3, H=1, L=1, hidden=1, max_T=160), TOKENIZER)

    def read(self, token_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        types = torch.zeros_like(token_ids) if token_type_ids is None else token_type_ids
        real = (token_ids != KINDS.pad_id).sum(1, keepdim=True).expand_as(token_ids)
        return torch.stack([token_ids, types, real], dim=-1).float()


@pytest.fixture(scope="module")
def articles() -> dict:
    return tokenize_articles(TEXTS, TOKENIZER)


@pytest.fixture
def in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor without instructions for bf16: to compare with what others compute, to the last digits."""
    monkeypatch.setattr(compute, "has_amx_bf16", lambda: False)


@pytest.fixture(scope="module")
def batch() -> Tensor:
    """Rows of ordinary tokens with special ones among them, int64[400, 60]: two at the ends, padding behind every second row."""
    rows = KINDS.ordinary[torch.randint(len(KINDS.ordinary), (400, 60), generator=seeded(7))]
    rows[:, 0], rows[:, -1] = KINDS.cls_id, KINDS.sep_id
    rows[::2, 40] = KINDS.sep_id
    rows[::2, 41:] = KINDS.pad_id
    return rows


# --- what tokens are -----------------------------------------------------------------------------------------------------


def test_ordinary_tokens_are_all_that_are_neither_special_nor_unused() -> None:
    names = TOKENIZER.convert_ids_to_tokens(KINDS.ordinary.tolist())
    assert not any(name.startswith("[") and name.endswith("]") and len(name) > 2 for name in names)
    left_out = set(range(len(TOKENIZER))) - set(KINDS.ordinary.tolist())
    unused = [name for name in TOKENIZER.convert_ids_to_tokens(sorted(left_out)) if name.startswith("[unused")]
    assert len(left_out) - len(unused) == 5 == int(KINDS.special.sum())


def test_articles_keep_their_words_in_their_split_and_their_order(articles: dict) -> None:
    assert {split for split, some in articles.items() if some} == {"train", "development", "test"}
    for split, some in articles.items():
        for article in some:
            assert split_of(article.title) == split
            assert all(FEWEST_TOKENS <= len(sentence) <= MOST_TOKENS for sentence in article.sentences)
            text = " ".join(TOKENIZER.decode(sentence) for sentence in article.sentences)
            assert tokenize_words(text) == tokenize_words(TEXTS[article.title])
    cut = tokenize_articles({"long": "word " * 100 + ".", "short": "Two words."}, TOKENIZER)
    assert [[len(s) for s in a.sentences] for some in cut.values() for a in some] == [[MOST_TOKENS]]


def test_a_stream_holds_every_sentence_once_per_pass_and_no_article_is_an_error(articles: dict) -> None:
    wanted = Counter(sentence for article in articles["train"] for sentence in article.sentences)
    stream = endless_sentences(articles["train"], random.Random(0))
    passes = [list(itertools.islice(stream, wanted.total())) for _ in range(2)]
    assert Counter(passes[0]) == Counter(passes[1]) == wanted and passes[0] != passes[1]
    with pytest.raises(ValueError, match="no sentence"):
        next(endless_sentences([], random.Random(0)))


def test_batches_of_one_length_lose_nothing_and_need_less_padding() -> None:
    rng = random.Random(0)
    items = [(i, rng.randrange(1, 60)) for i in range(16 * 8)]
    batches = list(itertools.islice(batches_by_length(iter(items), lambda item: item[1], 8, rng), 16))
    assert sorted(item for batch in batches for item in batch) == items
    padded = sum(max(length for _, length in batch) - length for batch in batches for _, length in batch)
    plain = [items[i : i + 8] for i in range(0, len(items), 8)]
    assert padded < 0.2 * sum(max(length for _, length in batch) - length for batch in plain for _, length in batch)


def test_the_reader_gives_what_the_librarys_bert_gives_and_is_never_trained(in_fp32: None) -> None:
    encoder = FrozenEncoder(Encoder.from_pretrained("minilm"), TOKENIZER)
    texts = ["Oxygen is a chemical element.", "Stars shine.", "A violin has four strings and is played with a bow."]
    token_ids = encoder.batch(TOKENIZER(texts, add_special_tokens=False)["input_ids"])
    library = TOKENIZER(texts, padding=True, return_tensors="pt")
    assert torch.equal(token_ids, library["input_ids"])
    with torch.no_grad():
        theirs = BertModel.from_pretrained(assets.path("minilm")).eval()(**library).last_hidden_state
    mask = library["attention_mask"].bool()
    assert_close(encoder.read(token_ids)[mask], theirs[mask], rtol=0, atol=1e-5)
    layers = encoder.bert.trace(token_ids, mask).layers
    some = FrozenEncoder(encoder.bert, TOKENIZER, blocks=(2, 6))
    assert_close(some.read(token_ids)[mask], torch.cat([layers[2], layers[6]], dim=-1)[mask])
    assert some.D == 2 * some.D_words == 2 * encoder.D
    assert not encoder.read(token_ids).requires_grad and not any(p.requires_grad for p in encoder.bert.parameters())


# --- masked words --------------------------------------------------------------------------------------------------------


def test_masking_keeps_to_15_and_to_80_10_10_and_leaves_everything_else_alone(batch: Tensor) -> None:
    masked = mask_words(batch, KINDS, seeded(0))
    text = chosen = hidden = other = same = 0
    ordinary = set(KINDS.ordinary.tolist())
    triples = torch.stack([batch, masked.inputs, masked.labels], dim=-1).flatten(0, 1).tolist()
    for before, after, label in triples:
        if before not in ordinary:
            assert (after, label) == (before, -100), "a special token was chosen"
            continue
        text += 1
        if label == -100:
            assert after == before, "a token changed that nobody asks about"
            continue
        assert label == before
        chosen += 1
        hidden += after == TOKENIZER.mask_token_id
        same += after == before
        other += after not in (before, TOKENIZER.mask_token_id)
        assert after in ordinary or after == TOKENIZER.mask_token_id, "a special token was put into a text"
    assert text > 18_000 and chosen == hidden + other + same
    assert within(chosen, text, 0.15)
    assert within(hidden, chosen, 0.8) and within(other, chosen, 0.1) and within(same, chosen, 0.1)


def test_masking_chooses_every_place_alike_and_other_shares_where_asked(batch: Tensor) -> None:
    rounds = [mask_words(batch, KINDS, seeded(seed)).labels != NO_LABEL for seed in range(30)]
    often = torch.stack(rounds).sum(dim=(0, 1))  # int64[T]
    text = (~KINDS.special[batch]).sum(0) * len(rounds)
    assert all(within(int(count), int(n), 0.15) for count, n in zip(often, text, strict=True))
    half = mask_words(batch, KINDS, seeded(0), share=0.5).labels != NO_LABEL
    assert within(int(half.sum()), int((~KINDS.special[batch]).sum()), 0.5)


def test_drawn_tokens_come_from_the_whole_vocabulary(batch: Tensor) -> None:
    drawn: list[int] = []
    for seed in range(40):
        masked = mask_words(batch, KINDS, seeded(seed), share=1.0)
        drawn += masked.inputs[(masked.inputs != batch) & (masked.inputs != KINDS.mask_id)].tolist()
    quarter = len(KINDS.ordinary) // 4
    counts = Counter(int(torch.searchsorted(KINDS.ordinary, token)) // quarter for token in drawn)
    assert all(within(counts[i], len(drawn), quarter / len(KINDS.ordinary)) for i in range(4))


def test_equal_seeds_mask_equally_and_others_do_not(batch: Tensor) -> None:
    first, again, other = (mask_words(batch, KINDS, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.inputs, again.inputs) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.labels, other.labels)
    assert torch.equal(first.chosen, first.labels != NO_LABEL)


def test_the_model_sees_at_a_blank_what_masking_put_there_and_is_asked_what_stood_there(articles: dict) -> None:
    pieces = masked_batches(Mirror(), articles["train"], seed=0)
    seen, labels = collect(pieces, 40)
    words = {token for article in articles["train"] for sentence in article.sentences for token in sentence}
    assert set(labels.tolist()) <= words
    shown = seen[:, 3].long()  # float[N, 9]: three numbers each of the token before, the token itself and the token after
    assert within(int((shown == KINDS.mask_id).sum()), len(shown), 0.8)
    assert within(int((shown == labels).sum()), len(shown), 0.1)
    assert (seen[:, 5] >= FEWEST_TOKENS + 2).all() and (seen[:, 2] == seen[:, 8]).all()
    blanks, _ = collect(masked_batches(Mirror(), articles["train"], seed=0, blanks_only=True), 40)
    assert (blanks[:, 3] == KINDS.mask_id).all() and len(blanks) == int((shown == KINDS.mask_id).sum())


def test_a_place_is_read_with_the_neighbour_on_either_side() -> None:
    token_ids = Mirror().batch([(11, 12, 13, 14), (21, 22)])  # [CLS] 11 12 13 14 [SEP] and [CLS] 21 22 [SEP] [PAD] [PAD]
    places = torch.zeros_like(token_ids, dtype=torch.bool)
    places[0, 1] = places[0, 3] = places[1, 2] = True
    found = read_around(Mirror(), token_ids, places)[:, [0, 3, 6]].long().tolist()
    assert found == [[KINDS.cls_id, 11, 12], [12, 13, 14], [21, 22, KINDS.sep_id]]


def test_an_untrained_head_sees_no_sentence_and_knows_how_frequent_words_are(articles: dict) -> None:
    encoder = tiny_encoder()
    head = MaskedWordHead.untrained(encoder, articles["train"])
    counted = Counter(token for article in articles["train"] for sentence in article.sentences for token in sentence)
    assert count_tokens(articles["train"], encoder.V).tolist() == [counted[i] for i in range(encoder.V)]
    shares = torch.tensor([counted[i] + 0.1 for i in range(encoder.V)], dtype=torch.float64)
    logits = head(torch.randn(5, 3 * encoder.D, generator=seeded(0)), encoder.words)
    assert_close(logits.double(), (shares / shares.sum()).log().expand(5, -1), rtol=0, atol=1e-5)


def test_accuracy_counts_the_blanks_whose_likeliest_word_is_right() -> None:
    encoder = tiny_encoder()
    head = seeing_head(encoder)
    vectors = torch.randn(700, 3 * encoder.D, generator=seeded(1))
    with torch.no_grad():
        likeliest = head(vectors, encoder.words).argmax(-1)
    labels = likeliest.clone()
    labels[:175] += 1
    assert masked_accuracy(head, encoder, vectors, labels) == pytest.approx(525 / 700)
    assert head.training  # as it was


def test_a_blank_is_filled_with_the_likeliest_words_first_and_there_must_be_one() -> None:
    encoder = tiny_encoder()
    head = seeing_head(encoder)
    text = "The snow is [MASK] today."
    found = fill_in(head, encoder, text, n=4)
    chances = list(found.values())
    assert len(found) == 4 and chances == sorted(chances, reverse=True) and 0 < sum(chances) < 1
    ids = TOKENIZER(text)["input_ids"]
    place = ids.index(TOKENIZER.mask_token_id)
    with torch.no_grad():
        around = encoder.read(torch.tensor([ids]))[0, place - 1 : place + 2].flatten()
        probs = head(around[None], encoder.words).softmax(-1)[0]
    assert found[TOKENIZER.convert_ids_to_tokens(int(probs.argmax()))] == pytest.approx(float(probs.max()))
    for wrong in ("no blank here", "two [MASK] of [MASK] them"):
        with pytest.raises(ValueError, match=r"\[MASK\] exactly once"):
            fill_in(head, encoder, wrong)


def test_pieces_are_used_once_fresh_and_then_again_from_those_already_seen() -> None:
    stream = list(itertools.islice(with_replay(itertools.count(), again=2, seed=0), 3 * (REPLAY_BUFFER + 50)))
    fresh, old = stream[::3], [stream[i + 1 : i + 3] for i in range(0, len(stream), 3)]
    assert fresh == list(range(REPLAY_BUFFER + 50))
    assert all(new - REPLAY_BUFFER < piece <= new for new, pieces in zip(fresh, old, strict=True) for piece in pieces)
    assert len({piece for pieces in old for piece in pieces}) > REPLAY_BUFFER // 2


def test_a_head_learns_what_stands_at_blanks_and_the_encoder_stays_as_it_is(
    articles: dict, tmp_path: Path, ticking_clock: SimpleNamespace
) -> None:
    ticking_clock.tick = 0.012
    encoder = tiny_encoder()
    before = {name: weights.clone() for name, weights in encoder.bert.state_dict().items()}
    head = MaskedWordHead.untrained(encoder, articles["train"])
    test = collect(masked_batches(encoder, articles["test"], seed=5, blanks_only=True), 2)
    untrained = masked_accuracy(head, encoder, *test)
    run = train_masked_words(head, encoder, articles, minutes=6 / 60, folder=tmp_path / "run")
    trained = masked_accuracy(head, encoder, *test)
    assert trained > untrained + 0.1, (untrained, trained)
    assert run.history[-1]["loss"] < run.history[0]["loss"] and "accuracy" in run.history[-1]
    assert all(torch.equal(weights, before[name]) for name, weights in encoder.bert.state_dict().items())
    again = load_run(tmp_path / "run", MaskedWordHead).model
    assert masked_accuracy(again, encoder, *test) == pytest.approx(trained, abs=0.02)
    assert not any(len(weights) == encoder.V and weights.dim() == 2 for weights in again.state_dict().values()), "embeddings are not stored"


# --- two sentences -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def numbered() -> list[Article]:
    """Articles whose every sentence names its article and its place: (article, place, ...)."""
    return [Article(f"a{i}", tuple((1000 + i, 2000 + j, 3000, 3001) for j in range(1 + i % 5))) for i in range(40)]


def where(sentence: tuple[int, ...]) -> tuple[int, int]:
    return sentence[0] - 1000, sentence[1] - 2000


def test_half_of_the_pairs_are_neighbours_and_the_others_come_from_another_article(numbered: list[Article]) -> None:
    pairs = list(itertools.islice(sentence_pairs(numbered, "another article", seed=0), 4000))
    assert within(sum(pair.follows for pair in pairs), 4000, 0.5)
    for pair in pairs:
        (article, place), (other, other_place) = where(pair.first), where(pair.second)
        assert pair.place == place
        assert ((other, other_place) == (article, place + 1)) == pair.follows
        assert pair.follows or other != article
        assert other_place > 0, "a true second sentence is never the first of its article, so that would give a wrong one away"


def test_swapped_pairs_are_the_same_neighbours_the_other_way_round(numbered: list[Article]) -> None:
    pairs = list(itertools.islice(sentence_pairs(numbered, "swapped", seed=0), 4000))
    assert within(sum(pair.follows for pair in pairs), 4000, 0.5)
    for pair in pairs:
        (article, place), (other, other_place) = where(pair.first), where(pair.second)
        assert article == other and other_place - place == (1 if pair.follows else -1)
        assert pair.place == min(place, other_place)


def test_pairs_are_the_same_for_a_seed_and_need_two_articles_and_a_known_kind(numbered: list[Article]) -> None:
    first, again, other = (list(itertools.islice(sentence_pairs(numbered, "swapped", seed), 50)) for seed in (1, 1, 2))
    assert first == again != other
    for articles, wrong in ((numbered[:1], "swapped"), (numbered, "random")):
        with pytest.raises(ValueError, match="'another article' or 'swapped'"):
            next(sentence_pairs(articles, wrong, 0))


def test_features_of_a_pair_are_means_of_what_the_librarys_bert_makes_of_both_sentences(articles: dict, in_fp32: None) -> None:
    encoder = FrozenEncoder(Encoder.from_pretrained("minilm"), TOKENIZER)
    pairs = list(itertools.islice(sentence_pairs(articles["train"], "another article", seed=0), 5))
    features = pair_features(encoder, pairs)
    library = BertModel.from_pretrained(assets.path("minilm")).eval()
    for pair, row in zip(pairs, features, strict=True):
        texts = [TOKENIZER.decode(sentence) for sentence in (pair.first, pair.second)]
        inputs = TOKENIZER(*texts, return_tensors="pt")
        n, m = len(pair.first), len(pair.second)
        assert inputs["input_ids"].shape == (1, n + m + 3)
        with torch.no_grad():
            vectors = library(**inputs).last_hidden_state[0]
        first, second = vectors[1 : n + 1].mean(0), vectors[n + 2 : n + m + 2].mean(0)
        assert_close(row, torch.stack([vectors[0], first, second]), rtol=0, atol=1e-4)


def test_a_batch_of_pairs_says_which_follow(numbered: list[Article]) -> None:
    encoder = Mirror()
    for features, follows in itertools.islice(pair_batches(encoder, numbered, "swapped", seed=0), 5):
        # The mean token of a sentence gives away its place here: all but one of its four tokens are the same.
        assert torch.equal((features[:, 2, 0] > features[:, 1, 0]).float(), follows)
        assert (features[:, 1, 1] == 0).all() and (features[:, 2, 1] == 1).all()  # token types of the two sentences


def test_a_classifier_learns_which_sentences_belong_together(articles: dict, tmp_path: Path, ticking_clock: SimpleNamespace) -> None:
    ticking_clock.tick = 0.025
    encoder = load_encoder()
    torch.manual_seed(0)
    classifier = PairClassifier(encoder.D)
    pages = load_articles()
    some = {split: pages[split][:400] for split in pages}
    run = train_pairs(classifier, encoder, some, "another article", minutes=6 / 60, folder=tmp_path / "run")
    test = collect(pair_batches(encoder, some["test"], "another article", seed=9), 6)
    assert binary_accuracy(classifier, *test) > 0.65
    assert run.history[-1]["unit"] == "pairs"
    again = load_run(tmp_path / "run", PairClassifier).model
    assert binary_accuracy(again, *test) == pytest.approx(binary_accuracy(classifier, *test), abs=0.02)


# --- replaced tokens -----------------------------------------------------------------------------------------------------


def test_replacing_keeps_to_its_share_and_says_truly_what_was_replaced(batch: Tensor, articles: dict) -> None:
    generator = FrequencyGenerator(articles["train"], KINDS)
    example = replace_words(batch, KINDS, generator, seeded(0))
    ordinary, frequent = set(KINDS.ordinary.tolist()), {t for a in articles["train"] for s in a.sentences for t in s}
    text = replaced = 0
    triples = torch.stack([batch, example.inputs, example.replaced.long()], dim=-1).flatten(0, 1).tolist()
    for before, after, said in triples:
        assert said == (before != after)
        text += before in ordinary
        replaced += said
        if said:
            assert before in ordinary and after in frequent & ordinary, "a special token was replaced, or put in"
    assert within(replaced, text, 0.15)  # the batch is random, so hardly a token is drawn that stood there
    again, other = (replace_words(batch, KINDS, generator, seeded(seed)) for seed in (0, 1))
    assert torch.equal(example.inputs, again.inputs) and not torch.equal(example.inputs, other.inputs)


def test_a_draw_that_happens_to_be_the_token_itself_is_no_replacement(batch: Tensor) -> None:
    example = replace_words(batch, KINDS, lambda token_ids, chosen, generator: token_ids[chosen], seeded(0))
    assert not example.replaced.any() and torch.equal(example.inputs, batch)


def test_the_generator_that_never_reads_draws_words_as_often_as_they_occur(batch: Tensor, articles: dict) -> None:
    generator = FrequencyGenerator(articles["train"], KINDS)
    chosen = torch.ones_like(batch, dtype=torch.bool)
    drawn = Counter(generator(batch, chosen, seeded(0)).tolist())
    counted = Counter(token for article in articles["train"] for sentence in article.sentences for token in sentence)
    assert drawn.total() == batch.numel()
    assert all(within(drawn[token], drawn.total(), count / counted.total()) for token, count in counted.items())


def test_the_generator_that_reads_draws_by_its_head_and_cannot_see_what_it_replaces(batch: Tensor, articles: dict) -> None:
    encoder = tiny_encoder()
    head = seeing_head(encoder)
    rows = batch[:40]
    chosen = (torch.arange(rows.shape[1]) % 7 == 3) & ~KINDS.special[rows]
    proposed = MaskedWordGenerator(head, encoder)(rows, chosen, seeded(0))
    changed = rows.masked_fill(chosen, 2003)
    assert torch.equal(proposed, MaskedWordGenerator(head, encoder)(changed, chosen, seeded(0))), "it looked at the tokens it replaces"
    assert set(proposed.tolist()) <= set(KINDS.ordinary.tolist())
    with torch.no_grad():
        head.bias[4248] += 100  # sure of one token now, and even surer of a special one, which it must not draw
        head.bias[KINDS.mask_id] += 1000
    assert set(MaskedWordGenerator(head, encoder)(rows, chosen, seeded(0)).tolist()) == {4248}


def test_every_token_of_the_text_is_asked_about_and_no_special_one(articles: dict) -> None:
    encoder = Mirror()
    generator = FrequencyGenerator(articles["train"], KINDS)
    features, replaced = collect(replaced_batches(encoder, articles["train"], generator, seed=0), 20)
    assert not KINDS.special[features[:, 0].long()].any()
    assert_close(features[:, 3:], encoder.words[features[:, 0].long()])
    counted = Counter(token for article in articles["train"] for sentence in article.sentences for token in sentence)
    same = sum((count / counted.total()) ** 2 for count in counted.values())  # the chance to draw the very token that stood there
    assert within(int(replaced.sum()), len(replaced), 0.15 * (1 - same))


def test_scores_of_a_discriminator_are_those_of_scikit_learn() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(4, 4)
    features, replaced = torch.randn(500, 8), (torch.rand(500) < 0.2).float()
    with torch.no_grad():
        predicted = (discriminator(features) > 0).float()
    scores = discriminator_scores(discriminator, features, replaced)
    assert scores["accuracy"] == pytest.approx(accuracy_score(replaced, predicted))
    assert scores["accuracy"] == pytest.approx(binary_accuracy(discriminator, features, replaced))
    assert scores["recall"] == pytest.approx(recall_score(replaced, predicted))
    assert scores["false positive rate"] == pytest.approx(1 - recall_score(1 - replaced, 1 - predicted))
    assert scores['always "original"'] == pytest.approx(1 - replaced.mean().item())


def test_a_discriminator_learns_to_tell_words_that_do_not_belong(articles: dict, tmp_path: Path, ticking_clock: SimpleNamespace) -> None:
    encoder = tiny_encoder()
    torch.manual_seed(0)
    discriminator = Discriminator(encoder.D, encoder.D_words)
    # Frequent words of German in English sentences: the embedding alone gives them away.
    german = TOKENIZER("der die das und nicht ein ist", add_special_tokens=False)["input_ids"]
    generator = FrequencyGenerator([Article("Wörter", (tuple(german),))], KINDS)
    train_discriminator(discriminator, encoder, articles, generator, minutes=3 / 60, folder=tmp_path / "run")
    test = collect(replaced_batches(encoder, articles["test"], generator, seed=3), 3)
    scores = discriminator_scores(discriminator, *test)
    assert scores["accuracy"] > 0.98 > scores['always "original"']
    assert discriminator_scores(load_run(tmp_path / "run", Discriminator).model, *test)["accuracy"] > 0.98
    strange = encoder.batch([TOKENIZER("the blood is und always red", add_special_tokens=False)["input_ids"]])
    assert int(discriminator.replaced_probs(encoder, strange)[0].argmax()) == TOKENIZER.convert_ids_to_tokens(strange[0].tolist()).index(
        "und"
    )


# --- tasks as one sequence -----------------------------------------------------------------------------------------------


def test_tasks_are_written_as_the_paper_writes_them() -> None:
    assert as_sequences("classification", "a fine day") == [["<s>", "a fine day", "<e>"]]
    assert as_sequences("entailment", "it rains", "it is wet") == [["<s>", "it rains", "$", "it is wet", "<e>"]]
    assert as_sequences("similarity", "a", "b") == [["<s>", "a", "$", "b", "<e>"], ["<s>", "b", "$", "a", "<e>"]]
    choices = as_sequences("multiple choice", "a story", "who?", "he", "she", "they")
    assert choices == [["<s>", "a story", "who?", "$", answer, "<e>"] for answer in ("he", "she", "they")]


@pytest.mark.parametrize(("task", "texts"), [("entailment", ["one"]), ("multiple choice", ["story", "question"]), ("summary", ["text"])])
def test_the_wrong_number_of_texts_is_an_error(task: str, texts: list[str]) -> None:
    with pytest.raises(ValueError, match="do not make an example"):
        as_sequences(task, *texts)


# --- word pieces ---------------------------------------------------------------------------------------------------------


def test_merges_by_hand() -> None:
    counts = {"sing": 6, "ring": 4, "king": 3, "sings": 2}
    merges = learn_merges(counts, 3)
    assert merges == [Merge("##i", "##n", 15), Merge("##in", "##g", 15), Merge("s", "##ing", 8)]
    assert [merge.joined for merge in merges] == ["##in", "##ing", "sing"]
    assert merge_steps("sings", merges) == [
        (None, ["s", "##i", "##n", "##g", "##s"]),
        (merges[0], ["s", "##in", "##g", "##s"]),
        (merges[1], ["s", "##ing", "##s"]),
        (merges[2], ["sing", "##s"]),
    ]
    assert merge_steps("ox", merges) == [(None, ["o", "##x"])]
    assert apply_merge(["a", "##b", "##b", "##b"], Merge("##b", "##b", 1)) == ["a", "##bb", "##b"]
    assert learn_merges({"ab": 1}, 9) == [Merge("a", "##b", 1)]


def first_tie(counts: dict[str, int], merges: list[Merge]) -> int:
    """Before which merge two pairs are equally frequent, so that either may come first."""
    words = {word: letters_of(word) for word in counts}
    for number, merge in enumerate(merges):
        pairs = Counter(pair for word, pieces in words.items() for pair in itertools.pairwise(pieces) for _ in range(counts[word]))
        if list(pairs.values()).count(merge.count) > 1:
            return number
        words = {word: apply_merge(pieces, merge) for word, pieces in words.items()}
    return len(merges)


def test_merges_are_those_of_the_library_tokenizers() -> None:
    rng, compared = random.Random(0), 0
    for _ in range(8):
        words = {"".join(rng.sample("abcdef", rng.randrange(2, 6))) for _ in range(30)}
        counts = {word: rng.randrange(1, 200) for word in sorted(words)}
        library = Tokenizer(models.BPE(continuing_subword_prefix="##"))
        library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer = trainers.BpeTrainer(vocab_size=40, min_frequency=0, continuing_subword_prefix="##", show_progress=False)
        library.train_from_iterator((" ".join([word] * count) for word, count in counts.items()), trainer)
        theirs = [tuple(pair) for pair in json.loads(library.to_str())["model"]["merges"]]
        ours = learn_merges(counts, len(theirs))
        same = first_tie(counts, ours)
        assert [(merge.left, merge.right) for merge in ours[:same]] == theirs[:same]
        compared += same
    assert compared > 40


def test_words_fall_apart_as_in_berts_own_tokenizer() -> None:
    vocabulary = TOKENIZER.get_vocab()
    words = {word for page in itertools.islice(assets.load_passages().values(), 300) for word in tokenize_words(page.text)}
    plain = sorted(word for word in words if word.isascii() and word.isalnum())
    assert len(plain) > 4000
    for word in plain:
        assert longest_match(word, vocabulary) == TOKENIZER.tokenize(word), word
    assert longest_match("ab", {"a", "##c"}) == ["[UNK]"]
    assert letters_of("ox") == ["o", "##x"]


def test_a_trained_vocabulary_has_the_size_that_was_asked_for_and_loses_no_letter() -> None:
    texts = [page.text for page in itertools.islice(assets.load_passages().values(), 200)]
    tokenizer = train_wordpiece(texts, V=1500)
    vocabulary = tokenizer.get_vocab()
    assert len(vocabulary) == 1500 and {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} <= set(vocabulary)
    for word in ("the", "Chemistry", "element", "naïve"):
        pieces = tokenizer.encode(word, add_special_tokens=False).tokens
        plain = word.lower().replace("ï", "i")
        assert "".join(piece.removeprefix("##") for piece in pieces) == plain
        assert pieces == longest_match(plain, vocabulary)


# --- what is shipped -----------------------------------------------------------------------------------------------------

WEIGHTS = COURSE / "weights"


def test_the_released_heads_score_what_their_cards_say() -> None:
    encoder, pages = load_encoder(), load_articles()
    run = load_run(WEIGHTS / "mlm-head", MaskedWordHead)
    assert (WEIGHTS / "mlm-head" / "model.safetensors").stat().st_size <= 2_000_000
    test = collect(masked_batches(encoder, pages["test"], seed=0, blanks_only=True), 8)
    scores = run.card["scores"]
    assert masked_accuracy(run.model, encoder, *test) == pytest.approx(scores["test_accuracy"], abs=0.03)
    assert scores["test_accuracy"] > 2 * scores["always_the_commonest"]
    for name, wrong in (("next-sentence", "another article"), ("sentence-order", "swapped")):
        run = load_run(WEIGHTS / name, PairClassifier)
        test = collect(pair_batches(encoder, pages["test"], wrong, seed=0), 8)
        assert binary_accuracy(run.model, *test) == pytest.approx(run.card["scores"]["test_accuracy"], abs=0.06)
        assert run.card["scores"]["test_accuracy"] > 0.55


def test_the_released_discriminator_beats_the_one_that_suspects_nobody() -> None:
    encoder, pages = load_encoder(), load_articles()
    generator = MaskedWordGenerator(load_run(WEIGHTS / "mlm-head", MaskedWordHead).model, encoder)
    run = load_run(WEIGHTS / "replaced-tokens", Discriminator)
    test = collect(replaced_batches(encoder, pages["test"], generator, seed=0), 6)
    scores = discriminator_scores(run.model, *test)
    assert scores["accuracy"] > scores['always "original"']
    assert scores["accuracy"] == pytest.approx(run.card["scores"]["accuracy"], abs=0.015)


def test_masked_loss_is_over_the_chosen_places_only(batch: Tensor) -> None:
    labels = mask_words(batch[:2], KINDS, seeded(0)).labels.flatten()
    logits = torch.randn(len(labels), 30522, generator=seeded(1))
    chosen = [i for i, label in enumerate(labels.tolist()) if label != NO_LABEL]
    by_hand = sum(-float(logits[i].double().log_softmax(-1)[labels[i]]) for i in chosen) / len(chosen)
    assert float(F.cross_entropy(logits, labels)) == pytest.approx(by_hand, rel=1e-5)
