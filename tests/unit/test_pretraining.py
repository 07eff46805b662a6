"""Pre-training tasks: examples by independent counting, no peeking, features as BERT's."""

import itertools
import math
import random
from collections import Counter

import pytest
import torch
from sklearn.metrics import accuracy_score, recall_score
from torch import Tensor, nn
from torch.testing import assert_close
from transformers import AutoTokenizer, BertModel

from src import assets, compute
from src.batching import length_grouped
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
    collect,
    discriminator_scores,
    fill_in,
    load_articles,
    load_encoder,
    mask_words,
    masked_accuracy,
    masked_batches,
    pair_features,
    read_around,
    replace_words,
    replaced_batches,
    sentence_batches,
    sentence_pairs,
    tokenize_articles,
    train_masked_words,
    with_replay,
)
from src.runtime import COURSE
from src.text import tokenize_words
from src.topics import split_of
from src.training import load_run
from src.transformer import Encoder
from tools.make_pretraining import (
    binary_accuracy,
    pair_batches,
    train_discriminator,
    train_pairs,
)

TOKENIZER = AutoTokenizer.from_pretrained(assets.path("minilm"))
KINDS = TokenKinds.of(TOKENIZER)
ORDINARY = set(KINDS.ordinary.tolist())
FACTS = [("blood", "red"), ("grass", "green"), ("sky", "blue"), ("snow", "white")]


def page(i: int) -> str:
    facts = (FACTS[k % 4] for k in range(i, i + 2 + i % 4))
    return " ".join(f"The {a} of page {i} is always {b} and never pale." for a, b in facts)


TEXTS = {f"page {i}": page(i) for i in range(60)}
ARTICLES = tokenize_articles(TEXTS, TOKENIZER)
COUNTS = Counter(i for article in ARTICLES["train"] for sent in article.sentences for i in sent)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def within(count: int, n: int, chance: float) -> bool:
    """Whether a count is within 4.5 standard deviations; by luck it is not once in 150,000."""
    return abs(count - n * chance) <= 4.5 * math.sqrt(n * chance * (1 - chance))


def tiny_encoder() -> FrozenEncoder:
    """An untrained encoder with MiniLM's vocabulary."""
    torch.manual_seed(0)
    bert = Encoder(V=len(TOKENIZER), D=32, H=2, L=1, hidden=32, max_T=160)
    return FrozenEncoder(bert, TOKENIZER, blocks=[1])


def seeing_head(encoder: FrozenEncoder) -> MaskedWordHead:
    """A head with random weights; a new one does not look at the sentence."""
    torch.manual_seed(2)
    head = MaskedWordHead(encoder.V, encoder.D, encoder.D_words)
    nn.init.normal_(head.contract.weight, std=0.5)
    return head


class Mirror(FrozenEncoder):
    """Its vectors say what it was given to read: token, type, and real tokens in the row."""

    def __init__(self) -> None:
        bert = Encoder(V=len(TOKENIZER), D=3, H=1, L=1, hidden=1, max_T=160)
        super().__init__(bert, TOKENIZER, blocks=[1])

    def read(self, token_ids: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        types = torch.zeros_like(token_ids) if token_type_ids is None else token_type_ids
        real = (token_ids != KINDS.pad_id).sum(1, keepdim=True).expand_as(token_ids)
        return torch.stack([token_ids, types, real], dim=-1).float()


@pytest.fixture
def in_fp32(monkeypatch) -> None:
    """As on a processor without instructions for bf16: to compare to the last digits."""
    monkeypatch.setattr(compute, "has_amx_bf16", lambda: False)


@pytest.fixture(scope="module")
def batch() -> Tensor:
    """int64[400, 60] of ordinary tokens, with special ones at the ends and padding."""
    rows = KINDS.ordinary[torch.randint(len(KINDS.ordinary), (400, 60), generator=seeded(7))]
    rows[:, 0], rows[:, -1] = KINDS.cls_id, KINDS.sep_id
    rows[::2, 40] = KINDS.sep_id
    rows[::2, 41:] = KINDS.pad_id
    return rows


# --- texts and the encoder


def test_ordinary_tokens_are_all_that_are_neither_special_nor_unused():
    left_out = [i for i in range(len(TOKENIZER)) if i not in ORDINARY]
    names = TOKENIZER.convert_ids_to_tokens(left_out)
    assert sum(not name.startswith("[unused") for name in names) == 5 == int(KINDS.special.sum())
    ids = (KINDS.pad_id, KINDS.cls_id, KINDS.sep_id, KINDS.mask_id)
    assert TOKENIZER.convert_ids_to_tokens(ids) == ["[PAD]", "[CLS]", "[SEP]", "[MASK]"]


def test_articles_keep_their_words_in_their_split_and_their_order():
    assert all(ARTICLES[split] for split in ("train", "development", "test"))
    for split, some in ARTICLES.items():
        for article in some:
            assert split_of(article.title) == split
            text = " ".join(TOKENIZER.decode(sentence) for sentence in article.sentences)
            assert tokenize_words(text) == tokenize_words(TEXTS[article.title])
    cut = tokenize_articles({"long": "word " * 100 + ".", "short": "Two words."}, TOKENIZER)
    assert [len(s) for some in cut.values() for a in some for s in a.sentences] == [MOST_TOKENS]


def test_a_pass_of_batches_holds_every_sentence_once_in_another_order_each_time():
    sentences = [sentence for article in ARTICLES["train"] for sentence in article.sentences]
    batches = sentence_batches(Mirror(), ARTICLES["train"], 8, random.Random(0))
    passes = []
    for _ in range(2):
        seen: list[tuple[int, ...]] = []
        while len(seen) < len(sentences):
            rows = next(batches).tolist()
            seen += [tuple(i for i in row if not KINDS.special[i]) for row in rows]
        passes.append(seen)
    assert Counter(passes[0]) == Counter(passes[1]) == Counter(sentences)
    assert passes[0] != passes[1]
    assert not list(sentence_batches(Mirror(), [], 8, random.Random(0)))


def test_batches_of_about_one_length_lose_nothing_and_need_little_padding():
    rng = random.Random(0)
    items = [(i, rng.randrange(1, 60)) for i in range(130)]
    batches = list(length_grouped(items, lambda item: item[1], 8, rng))
    assert sorted(item for some in batches for item in some) == items

    def padding(batches: list) -> int:
        return sum(max(n for _, n in some) - n for some in batches for _, n in some)

    assert padding(batches) < 0.2 * padding([items[i : i + 8] for i in range(0, 130, 8)])


def test_the_encoder_gives_what_the_librarys_bert_gives_and_is_never_trained(in_fp32):
    encoder = FrozenEncoder(Encoder.from_pretrained("minilm"), TOKENIZER, blocks=(2, 6))
    texts = ["Oxygen is a chemical element.", "Stars shine.", "A violin is played with a bow."]
    token_ids = encoder.batch(TOKENIZER(texts, add_special_tokens=False)["input_ids"])
    library = TOKENIZER(texts, padding=True, return_tensors="pt")
    assert torch.equal(token_ids, library["input_ids"])
    with torch.no_grad():
        bert = BertModel.from_pretrained(assets.path("minilm")).eval()
        theirs = bert(**library, output_hidden_states=True).hidden_states
    mask = library["attention_mask"].bool()
    both = torch.cat([theirs[2], theirs[6]], dim=-1)
    assert_close(encoder.read(token_ids)[mask], both[mask], rtol=0, atol=1e-5)
    assert 2 * encoder.D_words == encoder.D
    assert not encoder.read(token_ids).requires_grad
    assert not any(parameter.requires_grad for parameter in encoder.bert.parameters())


def test_batches_are_used_once_fresh_and_then_again_from_those_already_seen():
    n = REPLAY_BUFFER + 50
    stream = list(itertools.islice(with_replay(itertools.count(), again=2, seed=0), 3 * n))
    fresh, old = stream[::3], [stream[i + 1 : i + 3] for i in range(0, len(stream), 3)]
    assert fresh == list(range(n))
    for new, batches in zip(fresh, old, strict=True):
        assert all(new - REPLAY_BUFFER < batch <= new for batch in batches)
    assert len({batch for batches in old for batch in batches}) > REPLAY_BUFFER // 2


# --- masked words


def test_masking_keeps_to_15_and_to_80_10_10_and_leaves_everything_else_alone(batch):
    masked, text = mask_words(batch, KINDS, seeded(0)), ~KINDS.special[batch]
    chosen = masked.chosen
    assert torch.equal(chosen, masked.labels != NO_LABEL)
    assert torch.equal(masked.inputs[~chosen], batch[~chosen]), "nobody asks about these"
    assert torch.equal(masked.labels[chosen], batch[chosen])
    assert text[chosen].all(), "a special token was chosen"
    after, n = masked.inputs[chosen], int(chosen.sum())
    hidden, same = after == TOKENIZER.mask_token_id, after == batch[chosen]
    assert set(after[~hidden].tolist()) <= ORDINARY
    assert int(text.sum()) > 18_000 and within(n, int(text.sum()), 0.15)
    for kind, chance in ((hidden, 0.8), (same, 0.1), (~hidden & ~same, 0.1)):
        assert within(int(kind.sum()), n, chance)


def test_masking_takes_other_shares_where_asked_and_draws_from_the_whole_vocabulary(batch):
    half = mask_words(batch, KINDS, seeded(0), share=0.5).chosen
    assert within(int(half.sum()), int((~KINDS.special[batch]).sum()), 0.5)
    assert torch.equal(half, mask_words(batch, KINDS, seeded(0), share=0.5).chosen)
    drawn: list[int] = []
    for seed in range(40):
        inputs = mask_words(batch, KINDS, seeded(seed), share=1.0).inputs
        drawn += inputs[(inputs != batch) & (inputs != KINDS.mask_id)].tolist()
    quarter = len(KINDS.ordinary) // 4
    counts = Counter(int(torch.searchsorted(KINDS.ordinary, i)) // quarter for i in drawn)
    assert all(within(counts[i], len(drawn), quarter / len(ORDINARY)) for i in range(4))


def test_the_model_sees_at_a_blank_what_masking_put_there_and_is_asked_what_was_there():
    seen, labels = collect(masked_batches(Mirror(), ARTICLES["train"], seed=0), 40)
    assert set(labels.tolist()) <= set(COUNTS)
    shown = seen[:, 3].long()  # float[N, 9]: three numbers of each of three tokens
    hidden = shown == KINDS.mask_id
    assert within(int(hidden.sum()), len(shown), 0.8)
    assert within(int((shown == labels).sum()), len(shown), 0.1)
    assert (seen[:, 5] >= FEWEST_TOKENS + 2).all()  # real tokens in the row
    batches = masked_batches(Mirror(), ARTICLES["train"], seed=0, blanks_only=True)
    blanks, _ = collect(batches, 40)
    assert (blanks[:, 3] == KINDS.mask_id).all() and len(blanks) == int(hidden.sum())


def test_a_place_is_read_with_the_neighbour_on_either_side():
    token_ids = Mirror().batch([(11, 12, 13, 14), (21, 22)])  # and [CLS], [SEP] and [PAD]
    places = torch.zeros_like(token_ids, dtype=torch.bool)
    places[0, 1] = places[0, 3] = places[1, 2] = True
    found = read_around(Mirror(), token_ids, places)[:, [0, 3, 6]].long().tolist()
    assert found == [[KINDS.cls_id, 11, 12], [12, 13, 14], [21, 22, KINDS.sep_id]]


def test_an_untrained_head_sees_no_sentence_and_knows_how_frequent_words_are():
    encoder = tiny_encoder()
    head = MaskedWordHead.untrained(encoder, ARTICLES["train"])
    shares = torch.tensor([COUNTS[i] + 0.1 for i in range(encoder.V)], dtype=torch.float64)
    logits = head(torch.randn(5, 3 * encoder.D, generator=seeded(0)), encoder.words)
    expected = (shares / shares.sum()).log().expand(5, -1)
    assert_close(logits.double(), expected, rtol=0, atol=1e-5)


def test_accuracy_counts_the_blanks_whose_likeliest_word_is_right():
    encoder = tiny_encoder()
    head = seeing_head(encoder)
    vectors = torch.randn(700, 3 * encoder.D, generator=seeded(1))
    with torch.no_grad():
        labels = head(vectors, encoder.words).argmax(-1)
    labels[:175] += 1
    assert masked_accuracy(head, encoder, vectors, labels) == pytest.approx(525 / 700)
    assert head.training  # as it was


def test_a_blank_is_filled_with_the_likeliest_words_first_and_there_must_be_one():
    encoder = tiny_encoder()
    head = seeing_head(encoder)
    text = "The snow is [MASK] today."
    ids = TOKENIZER(text)["input_ids"]
    place = ids.index(TOKENIZER.mask_token_id)
    with torch.no_grad():
        around = encoder.read(torch.tensor([ids]))[0, place - 1 : place + 2].flatten()
        probs, found = head(around[None], encoder.words).softmax(-1)[0].topk(4)
    expected = dict(zip(TOKENIZER.convert_ids_to_tokens(found), probs.tolist(), strict=True))
    assert fill_in(head, encoder, text, n=4) == pytest.approx(expected)
    for wrong in ("no blank here", "two [MASK] of [MASK] them"):
        with pytest.raises(ValueError, match=r"\[MASK\] exactly once"):
            fill_in(head, encoder, wrong)


def test_a_head_learns_what_was_at_blanks_and_the_encoder_stays_as_it_is(tmp_path, ticking_clock):
    ticking_clock.tick = 0.012
    encoder = tiny_encoder()
    before = {name: weights.clone() for name, weights in encoder.bert.state_dict().items()}
    head = MaskedWordHead.untrained(encoder, ARTICLES["train"])
    test = collect(masked_batches(encoder, ARTICLES["test"], seed=5, blanks_only=True), 2)
    untrained = masked_accuracy(head, encoder, *test)
    run = train_masked_words(head, encoder, ARTICLES, minutes=6 / 60, folder=tmp_path)
    trained = masked_accuracy(head, encoder, *test)
    assert trained > untrained + 0.1, (untrained, trained)
    assert run.history[-1]["loss"] < run.history[0]["loss"] and "accuracy" in run.history[-1]
    assert_close(encoder.bert.state_dict(), before, rtol=0, atol=0)
    again = load_run(tmp_path, MaskedWordHead).model
    assert masked_accuracy(again, encoder, *test) == pytest.approx(trained, abs=0.02)
    shapes = {weights.shape for weights in again.state_dict().values()}
    assert encoder.words.shape not in shapes, "embeddings are not stored"


# --- two sentences

# Every sentence names its article and its place: (1000 + article, 2000 + place, ...).
NUMBERED = [
    Article(f"a{i}", tuple((1000 + i, 2000 + j, 3000, 3001) for j in range(1 + i % 5)))
    for i in range(40)
]


@pytest.mark.parametrize("negatives", ["another article", "swapped"])
def test_half_of_the_pairs_are_neighbours_and_the_others_wrong_in_their_way(negatives):
    pairs = list(itertools.islice(sentence_pairs(NUMBERED, negatives, seed=0), 4000))
    assert within(sum(pair.follows for pair in pairs), 4000, 0.5)
    for pair in pairs:
        (article, place, *_), (other, other_place, *_) = pair.first, pair.second
        assert ((other, other_place) == (article, place + 1)) == pair.follows
        if negatives == "swapped":
            assert article == other and abs(other_place - place) == 1
            assert pair.place == min(place, other_place) - 2000
        else:
            assert pair.place == place - 2000 and (pair.follows or other != article)
            assert other_place > 2000, "the first of an article would give a wrong pair away"


def test_pairs_are_of_a_known_kind():
    with pytest.raises(ValueError, match="'another article' or 'swapped'"):
        next(sentence_pairs(NUMBERED, "random", 0))


def test_features_of_a_pair_are_means_of_what_the_librarys_bert_makes_of_both(in_fp32):
    encoder = FrozenEncoder(Encoder.from_pretrained("minilm"), TOKENIZER, blocks=[6])
    pairs = list(itertools.islice(sentence_pairs(ARTICLES["train"], "another article", 0), 5))
    library = BertModel.from_pretrained(assets.path("minilm")).eval()
    for pair, row in zip(pairs, pair_features(encoder, pairs), strict=True):
        texts = [TOKENIZER.decode(sentence) for sentence in (pair.first, pair.second)]
        n, m = len(pair.first), len(pair.second)
        with torch.no_grad():
            vectors = library(**TOKENIZER(*texts, return_tensors="pt")).last_hidden_state[0]
        assert len(vectors) == n + m + 3
        first, second = vectors[1 : n + 1].mean(0), vectors[n + 2 : n + m + 2].mean(0)
        assert_close(row, torch.stack([vectors[0], first, second]), rtol=0, atol=1e-4)


def test_a_classifier_learns_which_sentences_belong_together(tmp_path, ticking_clock):
    ticking_clock.tick = 0.025
    encoder, kind = load_encoder(), "another article"
    some = {split: articles[:400] for split, articles in load_articles().items()}
    torch.manual_seed(0)
    classifier = PairClassifier(encoder.D)
    run = train_pairs(classifier, encoder, some, kind, minutes=4 / 60, folder=tmp_path)
    test = collect(pair_batches(encoder, some["test"], kind, seed=9), 6)
    accuracy = binary_accuracy(classifier, *test)
    assert accuracy > 0.65 and run.history[-1]["unit"] == "pairs"
    again = load_run(tmp_path, PairClassifier).model
    assert binary_accuracy(again, *test) == pytest.approx(accuracy, abs=0.02)


# --- replaced tokens


def test_replacing_keeps_to_its_share_and_says_truly_what_was_replaced(batch):
    draw = FrequencyGenerator(ARTICLES["train"], KINDS)
    inputs, replaced = replace_words(batch, KINDS, draw, seeded(0))
    assert torch.equal(inputs, replace_words(batch, KINDS, draw, seeded(0)).inputs)
    assert torch.equal(replaced, inputs != batch)
    before, after = batch[replaced].tolist(), inputs[replaced].tolist()
    assert set(before) <= ORDINARY and set(after) <= ORDINARY & set(COUNTS)
    assert not replace_words(batch[:0], KINDS, draw, seeded(0)).inputs.numel(), "an empty text"
    # The batch is random, so hardly a token is drawn that was there.
    assert within(len(after), int((~KINDS.special[batch]).sum()), 0.15)


def test_a_draw_that_happens_to_be_the_token_itself_is_no_replacement(batch):
    example = replace_words(batch, KINDS, lambda ids, chosen, generator: ids[chosen], seeded(0))
    assert not example.replaced.any() and torch.equal(example.inputs, batch)


def test_the_generator_that_never_reads_draws_words_as_often_as_they_occur(batch):
    draw = FrequencyGenerator(ARTICLES["train"], KINDS)
    drawn = Counter(draw(batch, torch.ones_like(batch, dtype=torch.bool), seeded(0)).tolist())
    assert drawn.total() == batch.numel()
    for token, count in COUNTS.items():
        assert within(drawn[token], drawn.total(), count / COUNTS.total())


def test_the_generator_that_reads_draws_by_its_head_and_cannot_see_what_it_replaces(batch):
    encoder = tiny_encoder()
    head, rows = seeing_head(encoder), batch[:40]
    draw = MaskedWordGenerator(head, encoder)
    chosen = (torch.arange(rows.shape[1]) % 7 == 3) & ~KINDS.special[rows]
    drawn = draw(rows, chosen, seeded(0))
    changed = rows.masked_fill(chosen, 2003)
    assert torch.equal(drawn, draw(changed, chosen, seeded(0))), "it saw what it replaces"
    assert set(drawn.tolist()) <= ORDINARY
    with torch.no_grad():  # sure of one token, and surer of a special one, which it must not draw
        head.bias[4248] += 100
        head.bias[KINDS.mask_id] += 1000
    assert set(draw(rows, chosen, seeded(0)).tolist()) == {4248}


def test_every_token_of_the_text_is_asked_about_and_no_special_one():
    encoder, draw = Mirror(), FrequencyGenerator(ARTICLES["train"], KINDS)
    features, replaced = collect(replaced_batches(encoder, ARTICLES["train"], draw, seed=0), 20)
    token_ids = features[:, 0].long()
    assert not KINDS.special[token_ids].any()
    assert_close(features[:, 3:], encoder.words[token_ids])
    same = sum((count / COUNTS.total()) ** 2 for count in COUNTS.values())  # drawn by chance
    assert within(int(replaced.sum()), len(replaced), 0.15 * (1 - same))


def test_scores_of_a_discriminator_are_those_of_scikit_learn():
    torch.manual_seed(0)
    discriminator = Discriminator(4, 4)
    features, replaced = torch.randn(500, 8), (torch.rand(500) < 0.2).float()
    with torch.no_grad():
        predicted = (discriminator(features) > 0).float()
    expected = {
        "accuracy": accuracy_score(replaced, predicted),
        'always "original"': 1 - replaced.mean().item(),
        "recall": recall_score(replaced, predicted),
        "false positive rate": 1 - recall_score(1 - replaced, 1 - predicted),
    }
    assert discriminator_scores(discriminator, features, replaced) == pytest.approx(expected)
    accuracy = binary_accuracy(discriminator, features, replaced)
    assert accuracy == pytest.approx(expected["accuracy"])


def test_a_discriminator_learns_to_tell_words_that_do_not_belong(tmp_path, ticking_clock):
    encoder = tiny_encoder()
    torch.manual_seed(0)
    discriminator = Discriminator(encoder.D, encoder.D_words)
    # Frequent words of German in English sentences: the embedding alone gives them away.
    german = TOKENIZER("der die das und nicht ein ist", add_special_tokens=False)["input_ids"]
    draw = FrequencyGenerator([Article("Wörter", (tuple(german),))], KINDS)
    train_discriminator(discriminator, encoder, ARTICLES, draw, minutes=3 / 60, folder=tmp_path)
    test = collect(replaced_batches(encoder, ARTICLES["test"], draw, seed=3), 3)
    for model in (discriminator, load_run(tmp_path, Discriminator).model):
        scores = discriminator_scores(model, *test)
        assert scores["accuracy"] > 0.98 > scores['always "original"']
    strange = TOKENIZER("the blood is und always red", return_tensors="pt")["input_ids"]
    probs = discriminator.replaced_probs(encoder, strange)[0]
    assert TOKENIZER.decode([strange[0, int(probs.argmax())]]) == "und"


# --- tasks as one sequence


def test_tasks_are_written_as_the_paper_writes_them():
    assert as_sequences("classification", "a fine day") == [["<s>", "a fine day", "<e>"]]
    expected = [["<s>", "it rains", "$", "it is wet", "<e>"]]
    assert as_sequences("entailment", "it rains", "it is wet") == expected
    expected = [["<s>", "a", "$", "b", "<e>"], ["<s>", "b", "$", "a", "<e>"]]
    assert as_sequences("similarity", "a", "b") == expected
    choices = as_sequences("multiple choice", "a story", "who?", "he", "she")
    assert choices == [["<s>", "a story", "who?", "$", answer, "<e>"] for answer in ("he", "she")]
    for task, *texts in (("entailment", "one"), ("multiple choice", "a", "b"), ("summary", "a")):
        with pytest.raises(ValueError, match="do not make an example"):
            as_sequences(task, *texts)


# --- what is shipped

WEIGHTS = COURSE / "weights"


def test_the_released_heads_score_what_their_cards_say():
    encoder, test = load_encoder(), load_articles()["test"]
    run = load_run(WEIGHTS / "mlm-head", MaskedWordHead)
    blanks = collect(masked_batches(encoder, test, seed=0, blanks_only=True), 5)
    accuracy, stated = masked_accuracy(run.model, encoder, *blanks), run.card["scores"]
    assert accuracy == pytest.approx(stated["test_accuracy"], abs=0.03)
    assert accuracy > 2 * stated["always_the_commonest"]
    for name, negatives in (("next-sentence", "another article"), ("sentence-order", "swapped")):
        run = load_run(WEIGHTS / name, PairClassifier)
        pairs = collect(pair_batches(encoder, test, negatives, 0), 6)
        stated = run.card["scores"]["test_accuracy"]
        assert binary_accuracy(run.model, *pairs) == pytest.approx(stated, abs=0.06)


def test_the_released_discriminator_beats_the_one_that_never_says_replaced():
    encoder, test = load_encoder(), load_articles()["test"]
    draw = MaskedWordGenerator(load_run(WEIGHTS / "mlm-head", MaskedWordHead).model, encoder)
    run = load_run(WEIGHTS / "replaced-tokens", Discriminator)
    scores = discriminator_scores(run.model, *collect(replaced_batches(encoder, test, draw, 0), 5))
    assert scores["accuracy"] > scores['always "original"']
    assert scores["accuracy"] == pytest.approx(run.card["scores"]["accuracy"], abs=0.015)
