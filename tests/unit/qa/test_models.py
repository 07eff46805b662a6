"""What a model's name means, released weights there and back, and no code is ever run."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering, PreTrainedModel

from src import assets
from src.qa import models
from src.qa.answerer import QuestionAnswerer
from src.qa.calibration import Scaling
from src.qa.models import ModelError, load_model, read_card, save_released

CARD = {"base": "minilm", "threshold": 0.4}
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SMALL |= {"intermediate_size": 16, "vocab_size": 30522}


@pytest.fixture(scope="module")
def minilm_reader() -> PreTrainedModel:
    """A reader of one small layer with MiniLM's own word embeddings."""
    model = BertForQuestionAnswering(BertConfig(**SMALL | {"hidden_size": 384})).eval()
    stored = load_file(assets.path("minilm") / "model.safetensors")
    (embeddings,) = (t for n, t in stored.items() if n.endswith("word_embeddings.weight"))
    model.bert.embeddings.word_embeddings.weight.data = embeddings.float()
    return model


@pytest.fixture
def released(minilm_reader, tmp_path) -> Path:
    """That reader as released weights."""
    save_released(minilm_reader, tmp_path / "qa-small", CARD)
    return tmp_path / "qa-small"


@pytest.fixture
def broken(tiny_folder, tmp_path) -> Path:
    """A copy of the tiny reader's folder that a test may damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "reader"))


def refusal(name: str | Path, says: str, load: Callable = load_model, **options) -> None:
    """Loading it is an error in one sentence that names it and says this."""
    with pytest.raises(ModelError, match=says) as error:
        load(name, **options)
    text = str(error.value)
    assert "\n" not in text and text.endswith(".") and len(text) < 500 and str(name) in text


def change_json(folder: Path, file: str, **changes) -> None:
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | changes))


def change_weights(folder: Path, change: Callable[[dict], dict]) -> None:
    file = folder / "model.safetensors"
    changed = {name: tensor.clone() for name, tensor in change(load_file(file)).items()}
    save_file(changed, file, metadata={"format": "pt"})


# --- what is loaded ---------------------------------------------------------------------------


def test_released_weights_come_back_as_they_went_but_for_half_precision(
    minilm_reader, released, tokenizer, monkeypatch
):
    model, loaded_tokenizer = load_model(released)
    state, original = model.state_dict(), minilm_reader.state_dict()
    assert state.keys() == original.keys() and not model.training
    for name, tensor in state.items():
        kept = original[name] if "word_embeddings" in name else original[name].half().float()
        assert tensor.dtype == torch.float32 and torch.equal(tensor, kept), name
    stored = load_file(released / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert not any("word_embeddings" in name for name in stored)
    assert read_card(released) == CARD
    assert loaded_tokenizer.get_vocab() == tokenizer.get_vocab()
    monkeypatch.setattr(models, "WEIGHTS", released.parent)
    assert load_model("qa-small")[0].config.intermediate_size == 16


def test_weights_whose_embeddings_differ_from_the_base_are_not_released(tmp_path):
    model = BertForQuestionAnswering(BertConfig(**SMALL | {"hidden_size": 384}))
    with pytest.raises(ModelError, match="the word embeddings differ from those of 'minilm'"):
        save_released(model, tmp_path / "released", CARD)
    assert not (tmp_path / "released").exists()


def test_minilm_gets_a_new_head_where_it_is_to_be_trained_and_does_not_answer(tokenizer):
    made = []
    for _ in range(2):
        torch.manual_seed(3)
        made.append(load_model("minilm", for_training=True)[0])
    model, again = made
    name = "encoder.layer.5.attention.self.query.weight"
    stored = load_file(assets.path("minilm") / "model.safetensors")
    (query,) = (tensor for key, tensor in stored.items() if key.endswith(name))
    assert torch.equal(model.bert.get_parameter(name), query.float())
    assert torch.equal(model.qa_outputs.weight, again.qa_outputs.weight)
    assert model.qa_outputs.weight.abs().max() > 0
    head = r"its answer head .* is untrained, so it would answer at random\); fine-tune it first: "
    refusal("minilm", head + "python -m src.qa train --model minilm")


def test_a_saved_folder_is_loaded_in_fp32_and_evaluation_mode(tiny_model, broken):
    tiny_model.to(torch.bfloat16).save_pretrained(broken)
    model, _ = load_model(str(broken))
    assert not model.training
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, tiny_model.state_dict()[name].float())


def test_dropout_is_the_models_own_or_the_one_asked_for(tiny_folder, tokenizer, released, tmp_path):
    def dropouts(folder: Path, dropout: float | None) -> set[float]:
        layers = load_model(folder, dropout)[0].modules()
        return {layer.p for layer in layers if isinstance(layer, torch.nn.Dropout)}

    assert dropouts(tiny_folder, None) == {0.1} and dropouts(tiny_folder, 0.0) == {0.0}
    assert dropouts(released, 0.25) == {0.25}
    kind, sizes = FAMILIES["distilbert"]  # which calls it otherwise
    kind(kind.config_class(**sizes)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert 0.0 not in dropouts(tmp_path, None) and dropouts(tmp_path, 0.0) == {0.0}


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no-such-model", "no/such/folder/here"])
def test_a_name_that_leads_nowhere_is_an_error_that_says_what_can_be_used(name):
    refusal(name, "is no folder here and cannot be had from the Hub .* use minilm, qa-minilm, a f")


# --- what does not load -----------------------------------------------------------------------


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content)


def truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def weights(change: Callable[[dict], dict]) -> Callable[[Path], None]:
    return lambda folder: change_weights(folder, change)


def without(part: str) -> Callable[[Path], None]:
    return weights(lambda state: {name: t for name, t in state.items() if part not in name})


def with_one(value: float) -> Callable[[Path], None]:
    def change(state: dict) -> dict:
        state["bert.encoder.layer.0.output.dense.weight"][3, 5] = value
        return state

    return weights(change)


def gain_a_layer(state: dict) -> dict:
    more = {name: tensor for name, tensor in state.items() if "layer.1." in name}
    return state | {name.replace("layer.1.", "layer.2."): t for name, t in more.items()}


def remove_tokenizer(folder: Path) -> None:
    for file in folder.glob("*token*"):
        file.unlink()
    (folder / "vocab.txt").unlink(missing_ok=True)


def add_token(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["unheard-of"])
    tokenizer.save_pretrained(folder)


def make_slow(folder: Path) -> None:
    vocabulary = AutoTokenizer.from_pretrained(folder).get_vocab()
    remove_tokenizer(folder)
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get)))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "EsmTokenizer"}')


def lose_special(token: str) -> Callable[[Path], None]:
    changes = {token: None, "tokenizer_class": "PreTrainedTokenizerFast"}
    return lambda folder: change_json(folder, "tokenizer_config.json", **changes)


def lose_template(folder: Path) -> None:
    change_json(folder, "tokenizer.json", post_processor=None)
    change_json(folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")


def keep_capitals(folder: Path) -> None:
    normalizer = json.loads((folder / "tokenizer.json").read_text())["normalizer"]
    change_json(folder, "tokenizer.json", normalizer=normalizer | {"lowercase": False})
    change_json(folder, "tokenizer_config.json", do_lower_case=False)


def config(**changes) -> Callable[[Path], None]:
    return lambda folder: change_json(folder, "config.json", **changes)


NAN, INFINITE = float("nan"), float("inf")
NOT_A_NUMBER = r"layer\.0\.output\.dense\.weight holds what is not a number"
LABELS = {"id2label": dict(enumerate("abc")), "label2id": {"a": 0, "b": 1, "c": 2}}
DAMAGES = {  # what happened to a folder, and what is said
    "half a weight file": (truncate, "cannot be loaded"),
    "no weight file": (lambda f: (f / "model.safetensors").unlink(), "cannot be loaded"),
    "no config": (lambda f: (f / "config.json").unlink(), r"no model \(config.json is missing\)"),
    "a broken config": (write("config.json", b"{"), "cannot be loaded"),
    "a broken tokenizer": (write("tokenizer.json", b"{"), "cannot be loaded"),
    "another shape": (
        config(intermediate_size=65),
        r"layer\.0\.\S+ has shape \(64,\), where config\.json asks for \(65,\)",
    ),
    "three outputs": (config(**LABELS), "it gives 3 numbers for each token, where start and end"),
    "no last layer": (without("layer.1."), r"16 weights, the first bert\.enc\S+layer\.1\.\S+, are"),
    "a weight missing": (
        without("embeddings.LayerNorm.bias"),
        r"bert\.embeddings\.LayerNorm\.bias is missing",
    ),
    "module. before each": (
        weights(lambda state: {f"module.{name}": tensor for name, tensor in state.items()}),
        r"are missing\); its weights' names begin with 'module\.': save model\.module instead",
    ),
    "a layer more": (weights(gain_a_layer), r"layer\.2\.\S+, are more than config\.json asks for"),
    "NaN": (with_one(NAN), NOT_A_NUMBER),
    "infinite": (with_one(INFINITE), NOT_A_NUMBER),
    "no tokenizer": (remove_tokenizer, "it has no tokenizer, so that every word would be unknown"),
    "a token too many": (add_token, "knows 30523 tokens and its embeddings have 30522 rows"),
    "slow": (make_slow, "EsmTokenizer, does not tell where in the text a token is"),
    "no [PAD]": (lose_special("pad_token"), "its tokenizer has no pad_token"),
    "no [CLS]": (lose_special("cls_token"), "its tokenizer has no cls_token"),
    "no template": (lose_template, r"does not write a pair as \[CLS\] question \[SEP\] passage"),
    "capitals kept": (keep_capitals, "its tokenizer's do_lower_case is not that of its vocabulary"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_is_not_whole_is_refused_for_answering_and_for_training(broken, kind):
    damage, says = DAMAGES[kind]
    damage(broken)
    for for_training in (False, True):
        refusal(broken, says, for_training=for_training)


@pytest.mark.parametrize("head", ["qa_outputs.", "qa_outputs.bias"])
def test_the_answer_head_alone_may_be_missing_and_only_for_training(broken, head):
    stored = load_file(broken / "model.safetensors")
    without(head)(broken)
    state = load_model(broken, for_training=True)[0].state_dict()
    assert all(torch.equal(t, stored[name]) for name, t in state.items() if head not in name)
    refusal(broken, r"its answer head .* is untrained")


def test_heads_of_pre_training_and_a_pooler_may_be_left_over(broken):
    plain = load_file(broken / "model.safetensors")
    extra = {"bert.pooler.dense.weight": torch.zeros(32, 32)}
    extra |= {"cls.predictions.bias": torch.zeros(7), "cls.seq_relationship.bias": torch.zeros(2)}
    change_weights(broken, lambda state: state | extra)
    loaded = load_model(broken)[0].state_dict()
    assert loaded.keys() == plain.keys()
    assert all(torch.equal(loaded[name], plain[name]) for name in plain)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        without("qa_outputs.bias"),
        write("card.json", b"{}"),
    ],
)
def test_damaged_released_weights_are_an_error_that_names_them(released, damage):
    damage(released)
    refusal(released, "cannot be loaded")


def test_capitals_of_a_vocabulary_that_has_them_must_be_kept(tmp_path):
    """A small cased vocabulary, right and with do_lower_case wrong."""
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] Prague prague London The the ##s of Paris city a b"
    vocabulary = {token: i for i, token in enumerate(words.split())}
    sizes = SMALL | {"vocab_size": len(vocabulary)}
    for lowered in (False, True):
        folder = tmp_path / str(lowered)
        BertForQuestionAnswering(BertConfig(**sizes)).save_pretrained(folder)
        tokenizer = transformers.BertTokenizer(vocab=vocabulary, do_lower_case=lowered)
        tokenizer.save_pretrained(folder)
    assert load_model(tmp_path / "False")[1].tokenize("Prague") == ["Prague"]
    refusal(tmp_path / "True", "do_lower_case is not that of its vocabulary")


# --- what the code relies on ------------------------------------------------------------------

PASSAGES = [
    "Oxygen is the chemical element with symbol O and atomic number 8. " * n for n in (1, 4, 2, 9)
]
LEFT = {"padding_side": "left", "truncation_side": "left"}


@pytest.mark.parametrize(
    "settings", [LEFT | {"model_input_names": ["input_ids"]}, {"model_max_length": 16}]
)
def test_tokenizer_settings_that_would_move_tokens_change_no_answer(tiny_folder, broken, settings):
    options = {"precision": "fp32", "max_length": 64, "doc_stride": 16}
    plain = QuestionAnswerer.load(tiny_folder, **options)
    change_json(broken, "tokenizer_config.json", **settings)
    qa = QuestionAnswerer.load(broken, **options)
    questions = ["What is the number of oxygen?"] * len(PASSAGES)
    found, expected = (each(questions, PASSAGES, 0.0) for each in (qa, plain))
    for one, other in zip(found, expected, strict=True):
        assert (one.start, one.end, one.text) == (other.start, other.end, other.text)
        assert one.score == pytest.approx(other.score, rel=1e-4)


DISTIL = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}
MODERN = {"pad_token_id": 0, "cls_token_id": 101, "sep_token_id": 102}
BART = {"encoder_layers": 1, "decoder_layers": 1, "vocab_size": 30522, "d_model": 16}
BART |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
ROBERTA = {"max_position_embeddings": 130, "type_vocab_size": 1}
FAMILIES = {
    "bert": (transformers.BertForQuestionAnswering, SMALL),
    "roberta": (transformers.RobertaForQuestionAnswering, SMALL | ROBERTA),
    "distilbert": (transformers.DistilBertForQuestionAnswering, DISTIL),
    "albert": (transformers.AlbertForQuestionAnswering, SMALL | {"embedding_size": 8}),
    "electra": (transformers.ElectraForQuestionAnswering, SMALL | {"embedding_size": 8}),
    "mpnet": (transformers.MPNetForQuestionAnswering, SMALL),
    "deberta-v2": (transformers.DebertaV2ForQuestionAnswering, SMALL),
    "modernbert": (transformers.ModernBertForQuestionAnswering, SMALL | MODERN),
    "bart": (transformers.BartForQuestionAnswering, BART),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_that_has_such_a_head_is_loaded_whole_and_answers_long_passages(
    family, tokenizer, tmp_path
):
    kind, sizes = FAMILIES[family]
    kind(kind.config_class(**sizes)).half().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    qa = QuestionAnswerer.load(tmp_path, precision="fp32")
    together = qa(["Where is it?"] * len(PASSAGES), PASSAGES, 0.0)
    for answer, passage in zip(together, PASSAGES, strict=True):
        alone = qa("Where is it?", passage, 0.0)
        scores = answer.score, answer.null_score
        assert alone.text and scores == pytest.approx((alone.score, alone.null_score), abs=1e-4)


@pytest.mark.parametrize(("family", "positions"), [("bert", 30), ("roberta", 28)])
def test_the_window_is_as_long_as_the_positions_allow_and_no_longer(family, positions, capsys):
    """RoBERTa's positions begin behind its [PAD]: of 30 rows 28 are for tokens."""
    kind, sizes = FAMILIES[family]
    model = kind(kind.config_class(**sizes | {"max_position_embeddings": 30}))
    assert models.window_sizes(model, 12, 4) == (12, 4)
    assert models.window_sizes(model, 384, 128) == (positions, positions // 3)
    says = f"has {positions} positions, so windows are {positions} tokens long, not 384."
    assert says in capsys.readouterr().err
    model(torch.full((1, positions), 7))
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, positions + 1), 7))


# --- cards and permissions --------------------------------------------------------------------


@pytest.mark.parametrize(
    "card",
    [
        *("{", "[]", '{"threshold": 1.5}', '{"threshold": null}', '{"temperature": 0}'),
        *(f'{{"offset": {value}}}' for value in ("Infinity", "[1]", "null", "true")),
    ],
)
def test_a_damaged_card_is_one_sentence_that_names_it(broken, card):
    (broken / "card.json").write_text(card)
    for load in (QuestionAnswerer.load, read_card):
        refusal(broken, r"card\.json cannot be loaded", load)


def test_a_card_without_a_base_is_a_runs_and_its_folder_holds_the_whole_model(broken):
    (broken / "card.json").write_text(json.dumps({"threshold": 0.3, "temperature": 2}))
    qa = QuestionAnswerer.load(broken)
    assert (qa.threshold, qa.scaling) == (0.3, Scaling(2))
    assert read_card("minilm") == {}


@pytest.mark.parametrize(("umask", "mode"), [(0o027, 0o640), (0o077, 0o600)])
def test_released_weights_can_be_read_by_whom_the_umask_allows(
    minilm_reader, tmp_path, umask, mode
):
    """safetensors writes for the owner alone, whatever the umask."""
    before = os.umask(umask)
    try:
        save_released(minilm_reader, tmp_path / "released", CARD)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "released").iterdir()} == {mode}


@contextmanager
def as_a_stranger() -> Iterator[None]:
    """As a user to whom file permissions apply: root reads everything."""
    root = os.geteuid() == 0
    if root:
        try:
            os.seteuid(65534)
        except OSError:
            pytest.skip("there is no other user to become, as in a user namespace")
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of Unix")
@pytest.mark.parametrize("what", ["config.json", "."])
def test_what_may_not_be_read_is_said_not_to_be_readable(tiny_folder, what):
    with tempfile.TemporaryDirectory() as parent:  # pytest's own folders are closed to strangers
        Path(parent).chmod(0o755)
        folder = Path(shutil.copytree(tiny_folder, Path(parent) / "reader"))
        for file in (folder, *folder.iterdir()):
            file.chmod(0o755)
        load_model(folder)
        (folder / what).chmod(0)
        try:
            with as_a_stranger():
                refusal(folder, rf"{folder / what} may not be read by this user; .*chmod -R a\+rX")
        finally:
            (folder / what).chmod(0o755)


class Boom:
    """Unpickled, it leaves a file behind: proof that code was run."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def test_no_pickle_is_ever_read(tiny_model, broken, tmp_path):
    trace = tmp_path / "code-was-run"
    (broken / "model.safetensors").unlink()
    for harm in ({}, {"boom": Boom(trace)}):
        torch.save(tiny_model.state_dict() | harm, broken / "pytorch_model.bin")
        refusal(broken, "cannot be loaded")
    assert not trace.exists()
    torch.load(broken / "pytorch_model.bin", weights_only=False)
    assert trace.exists()  # the trap works


def test_no_code_from_a_model_folder_is_run(broken, tmp_path):
    trace = tmp_path / "code-was-run"
    code = f"from pathlib import Path\nPath({str(trace)!r}).touch()\n"
    (broken / "modeling_trap.py").write_text(code)
    kinds = {"AutoConfig": "Config", "AutoModelForQuestionAnswering": "Model"}
    trap = {kind: f"modeling_trap.{name}" for kind, name in kinds.items()}
    change_json(broken, "config.json", auto_map=trap)
    load_model(broken)  # BERT is known: the folder's own code is not needed
    change_json(broken, "config.json", model_type="trap")
    refusal(broken, "cannot be loaded")
    assert not trace.exists()


def test_the_released_weights_load_are_small_and_answer_with_their_threshold():
    folder, card = models.card_folder("qa-minilm"), read_card("qa-minilm")
    assert (folder / "model.safetensors").stat().st_size <= 25_000_000
    needed = {"data", "recipe", "seeds", "machine", "minutes", "threshold", "development", "test"}
    assert needed <= set(card)
    qa = QuestionAnswerer.load("qa-minilm")
    assert qa.threshold == card["threshold"]
    passage = "The lighthouse of Marrow Point was built in 1874 by the engineer Clara Voss."
    assert qa("Who built the lighthouse?", passage).text.endswith("Clara Voss")


def test_weight_changes_are_relative_norms(tiny_folder):
    before, after = (load_model(tiny_folder)[0] for _ in range(2))
    with torch.no_grad():
        after.bert.encoder.layer[1].attention.self.query.weight.mul_(1.5)
    changes = models.relative_changes(before, after)
    assert changes.pop("W_q") == [0.0, pytest.approx(0.5, rel=1e-5)]
    assert changes.pop("word embeddings") == [0.0]
    assert changes.keys() == models.LAYER_PARTS.keys() - {"W_q"}
    assert all(change == [0.0, 0.0] for change in changes.values())
