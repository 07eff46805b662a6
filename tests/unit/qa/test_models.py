"""What a model's name means, released weights there and back, and no code is ever run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForQuestionAnswering,
    BertTokenizer,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    PreTrainedModel,
    RobertaConfig,
    RobertaForQuestionAnswering,
)

from src import assets
from src.qa import models
from src.qa.answerer import QuestionAnswerer
from src.qa.models import ModelError, load_model, read_card, released_folder, save_released

CARD = {"base": "minilm", "threshold": 0.4}


@pytest.fixture(scope="module")
def minilm_reader() -> PreTrainedModel:
    """A reader of one small layer with MiniLM's own word embeddings."""
    config = BertConfig(
        hidden_size=384,
        num_hidden_layers=1,
        num_attention_heads=12,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    model = BertForQuestionAnswering(config).eval()
    embeddings = load_file(assets.path("minilm") / "model.safetensors")
    model.bert.embeddings.word_embeddings.weight.data = next(
        t for n, t in embeddings.items() if n.endswith("word_embeddings.weight")
    ).float()
    return model


@pytest.fixture
def broken(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny reader's folder that a test may damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "reader"))


def one_sentence(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text and text.endswith(".") and len(text) < 500
    return text


def test_released_weights_come_back_as_they_went_but_for_half_precision(
    minilm_reader, tokenizer, tmp_path
):
    save_released(minilm_reader, tmp_path / "released", CARD)
    model, loaded_tokenizer = load_model(tmp_path / "released")

    state, original = model.state_dict(), minilm_reader.state_dict()
    assert state.keys() == original.keys()
    for name, tensor in state.items():
        assert tensor.dtype == torch.float32
        word_embeddings = name.endswith("word_embeddings.weight")
        assert torch.equal(
            tensor, original[name] if word_embeddings else original[name].half().float()
        ), name
    assert not model.training
    stored = load_file(tmp_path / "released" / "model.safetensors")
    assert (tmp_path / "released" / "model.safetensors").stat().st_mode & 0o044 == 0o044, (
        "others of this computer can read it"
    )
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert not any("word_embeddings" in name for name in stored)
    assert read_card(tmp_path / "released") == CARD
    token_ids = tokenizer("Oxygen has number 8", return_tensors="pt")
    assert torch.equal(
        loaded_tokenizer("Oxygen has number 8", return_tensors="pt")["input_ids"],
        token_ids["input_ids"],
    )
    with torch.no_grad():
        torch.testing.assert_close(
            model(**token_ids).start_logits,
            minilm_reader(**token_ids).start_logits,
            atol=1e-2,
            rtol=1e-2,
        )


def test_released_weights_are_found_by_name_and_by_path(minilm_reader, tmp_path, monkeypatch):
    save_released(minilm_reader, tmp_path / "qa-small", CARD)
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    assert (
        released_folder("qa-small")
        == released_folder(tmp_path / "qa-small")
        == tmp_path / "qa-small"
    )
    assert released_folder("qa-other") is None
    assert load_model("qa-small")[0].config.num_hidden_layers == 1


def test_weights_whose_embeddings_differ_from_the_base_are_not_released(minilm_reader, tmp_path):
    embeddings = minilm_reader.bert.embeddings.word_embeddings.weight
    before = embeddings[7, 7].item()
    try:
        with torch.no_grad():
            embeddings[7, 7] += 1e-3
        with pytest.raises(
            ModelError, match="the word embeddings differ from those of 'minilm'"
        ) as error:
            save_released(minilm_reader, tmp_path / "released", CARD)
    finally:
        with torch.no_grad():
            embeddings[7, 7] = before
    one_sentence(error)
    assert not (tmp_path / "released").exists()


def test_minilm_gets_a_new_head_on_the_assets_encoder_where_it_is_to_be_trained(tokenizer):
    torch.manual_seed(3)
    model, loaded_tokenizer = load_model("minilm", for_training=True)
    torch.manual_seed(3)
    again, _ = load_model("minilm", for_training=True)
    stored = load_file(assets.path("minilm") / "model.safetensors")
    query = next(
        tensor
        for name, tensor in stored.items()
        if name.endswith("layer.5.attention.self.query.weight")
    )
    assert torch.equal(model.bert.encoder.layer[5].attention.self.query.weight, query.float())
    assert (
        torch.equal(model.qa_outputs.weight, again.qa_outputs.weight)
        and model.qa_outputs.weight.abs().max() > 0
    )
    assert loaded_tokenizer.get_vocab() == tokenizer.get_vocab()


def test_minilm_does_not_answer_with_a_head_that_is_untrained():
    with pytest.raises(
        ModelError,
        match=r"its answer head .* is untrained, so it would answer at random\); fine-tune",
    ) as error:
        load_model("minilm")
    assert "src.qa train --model minilm" in one_sentence(error)


def test_a_saved_folder_is_loaded_in_fp32_and_evaluation_mode(tiny_model, broken):
    tiny_model.to(torch.bfloat16).save_pretrained(broken)
    model, _ = load_model(str(broken))
    assert not model.training
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32 and torch.equal(
            tensor, tiny_model.state_dict()[name].float()
        )


def dropouts(model: PreTrainedModel) -> set[float]:
    return {layer.p for layer in model.modules() if isinstance(layer, torch.nn.Dropout)}


def test_dropout_is_the_models_own_or_the_one_asked_for(
    tiny_folder, tokenizer, minilm_reader, tmp_path
):
    assert dropouts(load_model(tiny_folder)[0]) == {0.1}
    model, _ = load_model(tiny_folder, dropout=0.0)
    assert dropouts(model) == {0.0} and model.config.attention_probs_dropout_prob == 0.0
    save_released(minilm_reader, tmp_path / "released", CARD)
    assert dropouts(load_model(tmp_path / "released", dropout=0.25)[0]) == {0.25}
    other = DistilBertForQuestionAnswering(
        DistilBertConfig(dim=8, n_layers=1, n_heads=1, hidden_dim=8)
    )  # it calls dropout otherwise
    other.save_pretrained(tmp_path / "distil")
    tokenizer.save_pretrained(tmp_path / "distil")
    assert 0.0 not in dropouts(load_model(tmp_path / "distil")[0])
    assert dropouts(load_model(tmp_path / "distil", dropout=0.0)[0]) == {0.0}


def test_a_folder_without_a_model_is_an_error_that_says_so(tmp_path):
    with pytest.raises(ModelError, match=r"holds no model \(config.json is missing\)") as error:
        load_model(tmp_path)
    assert str(tmp_path) in one_sentence(error)


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no-such-model", "no/such/folder/here"])
def test_a_name_that_leads_nowhere_is_an_error_that_says_what_can_be_used(name):
    with pytest.raises(
        ModelError, match="is no folder here and cannot be had from the Hub"
    ) as error:
        load_model(name)
    assert repr(name) in one_sentence(error) and "use minilm, qa-minilm, a folder" in str(
        error.value
    )


def truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def other_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 65}))


DAMAGES = {
    "half a weight file": truncate,
    "no weight file": lambda folder: (folder / "model.safetensors").unlink(),
    "no safetensors": lambda folder: (folder / "model.safetensors").write_bytes(b"hello"),
    "an empty weight file": lambda folder: (folder / "model.safetensors").write_bytes(b""),
    "a config of another shape": other_shape,
    "a broken config": lambda folder: (folder / "config.json").write_text("{"),
    "a config of an unknown kind": lambda folder: (folder / "config.json").write_text(
        '{"model_type": "no-such-kind"}'
    ),
    "a config without a kind": lambda folder: (folder / "config.json").write_text("{}"),
    "a broken tokenizer": lambda folder: (folder / "tokenizer.json").write_text("{"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_an_error_that_names_it(broken, damage):
    load_model(broken)
    DAMAGES[damage](broken)
    with pytest.raises(ModelError, match="cannot be loaded") as error:
        load_model(broken)
    assert str(broken) in one_sentence(error)


def change_weights(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    changed = change(load_file(folder / "model.safetensors"))
    save_file(
        {name: tensor.clone() for name, tensor in changed.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


def change_json(folder: Path, file: str, **changes) -> None:
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | changes))


def lose_a_tensor(folder: Path) -> None:
    change_weights(
        folder,
        lambda state: {name: tensor for name, tensor in state.items() if name != "qa_outputs.bias"},
    )


def lose_the_last_layer(state: dict) -> dict:
    return {name: tensor for name, tensor in state.items() if "layer.1." not in name}


def gain_a_layer(state: dict) -> dict:
    return state | {
        name.replace("layer.1.", "layer.2."): tensor
        for name, tensor in state.items()
        if "layer.1." in name
    }


def not_a_number(value: float) -> Callable[[dict], dict]:
    def change(state: dict) -> dict:
        weight = state["bert.encoder.layer.0.output.dense.weight"].clone()
        weight[3, 5] = value
        return state | {"bert.encoder.layer.0.output.dense.weight": weight}

    return change


NOT_WHOLE = {  # what happened to the weights, and what is said
    "the last layer is missing": (
        lose_the_last_layer,
        r"16 weights, the first bert\.encoder\.layer\.1\..*, are missing",
    ),
    "one weight is missing": (
        lambda state: {
            name: tensor
            for name, tensor in state.items()
            if name != "bert.embeddings.LayerNorm.bias"
        },
        r"bert\.embeddings\.LayerNorm\.bias is missing",
    ),
    "module. stands before each": (
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        r"are missing\); its weights' names begin with 'module\.': save model\.module instead",
    ),
    "there is a layer more": (
        gain_a_layer,
        r"16 weights, the first bert\.encoder\.layer\.2\..*, are more than config\.json asks for",
    ),
    "one is of another shape": (
        lambda state: state | {"bert.encoder.layer.1.output.dense.bias": torch.zeros(31)},
        r"layer\.1\.output\.dense\.bias has shape \(31,\), where config\.json asks for \(32,\)",
    ),
    "one is NaN": (
        not_a_number(float("nan")),
        r"layer\.0\.output\.dense\.weight holds what is not a number",
    ),
    "one is infinite": (
        not_a_number(float("inf")),
        r"layer\.0\.output\.dense\.weight holds what is not a number",
    ),
}


@pytest.mark.parametrize("for_training", [False, True])
@pytest.mark.parametrize("kind", NOT_WHOLE)
def test_a_model_that_is_not_whole_is_refused_for_answering_and_for_training(
    broken, kind, for_training
):
    change, sentence = NOT_WHOLE[kind]
    change_weights(broken, change)
    with pytest.raises(ModelError, match=sentence) as error:
        load_model(broken, for_training=for_training)
    assert str(broken) in one_sentence(error)


@pytest.mark.parametrize("head", [("qa_outputs.weight", "qa_outputs.bias"), ("qa_outputs.bias",)])
def test_the_answer_head_alone_may_be_missing_and_only_for_training(broken, head):
    stored = load_file(broken / "model.safetensors")
    change_weights(
        broken, lambda state: {name: tensor for name, tensor in state.items() if name not in head}
    )
    model, _ = load_model(broken, for_training=True)
    assert all(
        torch.equal(tensor, stored[name])
        for name, tensor in model.state_dict().items()
        if name not in head
    )
    with pytest.raises(ModelError, match=r"its answer head .* is untrained") as error:
        load_model(broken)
    assert str(broken) in one_sentence(error)


def test_heads_of_pre_training_and_a_pooler_may_be_left_over(broken):
    plain = load_model(broken)[0].state_dict()
    extra = {
        "bert.pooler.dense.weight": torch.zeros(32, 32),
        "cls.predictions.bias": torch.zeros(7),
        "cls.seq_relationship.bias": torch.zeros(2),
    }
    change_weights(broken, lambda state: state | extra)
    loaded = load_model(broken)[0].state_dict()
    assert loaded.keys() == plain.keys() and all(
        torch.equal(loaded[name], plain[name]) for name in plain
    )


def test_a_model_with_three_outputs_is_refused(broken):
    change_json(
        broken,
        "config.json",
        id2label={"0": "a", "1": "b", "2": "c"},
        label2id={"a": 0, "b": 1, "c": 2},
    )
    with pytest.raises(
        ModelError, match="it gives 3 numbers for each token, where start and end are 2"
    ) as error:
        load_model(broken)
    one_sentence(error)


# --- tokenizers -------------------------------------------------------------------------------


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
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "EsmTokenizer"}))


def without_its_template(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(content | {"post_processor": None}))
    change_json(folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")


def keep_capitals(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(content))
    change_json(folder, "tokenizer_config.json", do_lower_case=False)


def lose_special(token: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        change_json(
            folder,
            "tokenizer_config.json",
            **{token: None, "tokenizer_class": "PreTrainedTokenizerFast"},
        )

    return change


TOKENIZERS = {
    "none": (remove_tokenizer, "it has no tokenizer, so that every word would be unknown"),
    "a token too many": (
        add_token,
        "its tokenizer knows 30523 tokens and its embeddings have 30522 rows",
    ),
    "slow": (make_slow, "EsmTokenizer, does not tell where in the text a token is"),
    "no [PAD]": (lose_special("pad_token"), "its tokenizer has no pad_token"),
    "no [CLS]": (lose_special("cls_token"), "its tokenizer has no cls_token"),
    "no template": (
        without_its_template,
        r"does not write a pair as \[CLS\] question \[SEP\] passage",
    ),
    "capitals kept": (keep_capitals, "its tokenizer's do_lower_case is not that of its vocabulary"),
}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_tokenizer_that_does_not_fit_is_refused(broken, kind):
    change, sentence = TOKENIZERS[kind]
    change(broken)
    for for_training in (False, True):
        with pytest.raises(ModelError, match=sentence) as error:
            load_model(broken, for_training=for_training)
        assert str(broken) in one_sentence(error)


def test_capitals_of_a_vocabulary_that_has_them_must_be_kept(tmp_path):
    """A small cased vocabulary, right and with do_lower_case wrong."""
    words = ["Prague", "prague", "London", "The", "the", "##s", "of", "Paris", "city", "a", "b"]
    vocabulary = {
        token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
    }
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
    )
    for lowered in (False, True):
        folder = tmp_path / str(lowered)
        BertForQuestionAnswering(config).save_pretrained(folder)
        BertTokenizer(vocab=vocabulary, do_lower_case=lowered).save_pretrained(folder)
    assert load_model(tmp_path / "False")[1].tokenize("Prague") == ["Prague"]
    with pytest.raises(ModelError, match="do_lower_case is not that of its vocabulary"):
        load_model(tmp_path / "True")


PASSAGES = [
    "Oxygen is the chemical element with symbol O and atomic number 8. " * n for n in (1, 4, 2, 9)
]


@pytest.mark.parametrize(
    "settings",
    [
        {"padding_side": "left"},
        {"truncation_side": "left"},
        {"model_input_names": ["input_ids"]},
        {"model_max_length": 16},
        {
            "padding_side": "left",
            "truncation_side": "left",
            "model_input_names": ["attention_mask"],
        },
    ],
)
def test_tokenizer_settings_that_would_move_tokens_change_no_answer(tiny_folder, broken, settings):
    plain = QuestionAnswerer.load(tiny_folder, precision="fp32", max_length=64, doc_stride=16)
    change_json(broken, "tokenizer_config.json", **settings)
    qa = QuestionAnswerer.load(broken, precision="fp32", max_length=64, doc_stride=16)
    questions = ["What is the number of oxygen?"] * len(PASSAGES)
    for one, other in zip(
        qa(questions, PASSAGES, 0.0), plain(questions, PASSAGES, 0.0), strict=True
    ):
        assert (one.start, one.end, one.text) == (other.start, other.end, other.text)
        assert one.score == pytest.approx(other.score, rel=1e-4)


SMALL = {
    "vocab_size": 30522,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
OF_BART = {
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}
FAMILIES = {
    "bert": (transformers.BertForQuestionAnswering, SMALL),
    "roberta": (
        transformers.RobertaForQuestionAnswering,
        SMALL | {"max_position_embeddings": 130, "type_vocab_size": 1},
    ),
    "distilbert": (
        transformers.DistilBertForQuestionAnswering,
        {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16},
    ),
    "albert": (transformers.AlbertForQuestionAnswering, SMALL | {"embedding_size": 8}),
    "electra": (transformers.ElectraForQuestionAnswering, SMALL | {"embedding_size": 8}),
    "mpnet": (transformers.MPNetForQuestionAnswering, SMALL),
    "deberta-v2": (transformers.DebertaV2ForQuestionAnswering, SMALL),
    "modernbert": (
        transformers.ModernBertForQuestionAnswering,
        SMALL | {"pad_token_id": 0, "cls_token_id": 101, "sep_token_id": 102},
    ),
    "bart": (transformers.BartForQuestionAnswering, {"vocab_size": 30522, "d_model": 16} | OF_BART),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_that_has_such_a_head_is_loaded_whole_and_answers_long_passages(
    family, tokenizer, tmp_path
):
    kind, sizes = FAMILIES[family]
    kind(kind.config_class(**sizes)).half().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    load_model(tmp_path, for_training=True)
    qa = QuestionAnswerer.load(tmp_path, precision="fp32")
    together = qa(["Where is it?"] * len(PASSAGES), PASSAGES, 0.0)
    for answer, passage in zip(together, PASSAGES, strict=True):
        alone = qa("Where is it?", passage, 0.0)
        assert alone.text and (answer.score, answer.null_score) == pytest.approx(
            (alone.score, alone.null_score), abs=1e-4
        )


def test_the_window_is_as_long_as_the_positions_allow_and_no_longer():
    """RoBERTa's positions begin behind its [PAD]: of 30 rows 28 are for tokens."""
    sizes = {
        "vocab_size": 50,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 8,
    }
    for model, positions in (
        (BertForQuestionAnswering(BertConfig(**sizes, max_position_embeddings=30)), 30),
        (RobertaForQuestionAnswering(RobertaConfig(**sizes, max_position_embeddings=30)), 28),
    ):
        assert models.window_length(model, 384) == positions
        assert models.window_length(model, 12) == 12
        model(torch.full((1, positions), 7))
        with pytest.raises((IndexError, RuntimeError)):
            model(torch.full((1, positions + 1), 7))
    assert models.window_stride(128, 384, 384) == 128
    assert models.window_stride(128, 384, 96) == 32


# --- cards and permissions --------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", '"text"', ""),
        *(
            '{"threshold": NaN}',
            '{"threshold": 1.5}',
            '{"threshold": -0.1}',
            '{"threshold": "0.5"}',
            '{"threshold": null}',
        ),
        *(
            '{"temperature": NaN}',
            '{"temperature": 0}',
            '{"temperature": -1}',
            '{"temperature": Infinity}',
            '{"temperature": [1]}',
        ),
    ],
)
def test_a_damaged_card_is_one_sentence_that_names_it(broken, content):
    (broken / "card.json").write_text(content)
    for attempt in (lambda: QuestionAnswerer.load(broken), lambda: read_card(broken)):
        with pytest.raises(ModelError, match=r"card\.json cannot be loaded") as error:
            attempt()
        assert str(broken / "card.json") in one_sentence(error)


def test_a_card_without_a_base_is_a_runs_and_its_folder_holds_the_whole_model(
    broken, minilm_reader, tmp_path
):
    (broken / "card.json").write_text(json.dumps({"threshold": 0.3, "temperature": 2}))
    assert released_folder(broken) is None and models.card_folder(broken) == broken
    assert models.threshold_and_temperature(broken) == (0.3, 2)
    load_model(broken)
    save_released(minilm_reader, tmp_path / "released", CARD)
    assert (
        released_folder(tmp_path / "released")
        == models.card_folder(tmp_path / "released")
        == tmp_path / "released"
    )
    assert models.threshold_and_temperature(tmp_path / "released") == (0.4, 1)
    assert models.threshold_and_temperature("minilm") == (0.5, 1)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
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
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of Unix")
@pytest.mark.parametrize("what", ["model.safetensors", "config.json", "tokenizer.json", "."])
def test_what_may_not_be_read_is_said_not_to_be_readable(tiny_folder, what):
    with tempfile.TemporaryDirectory() as parent:  # pytest's own folders are closed to strangers
        Path(parent).chmod(0o755)
        folder = Path(shutil.copytree(tiny_folder, Path(parent) / "reader"))
        for file in folder.iterdir():
            file.chmod(0o644)
        folder.chmod(0o755)
        load_model(folder)
        (folder / what).chmod(0)
        try:
            with (
                as_a_stranger(),
                pytest.raises(
                    ModelError,
                    match=r"may not be read by this user; ask its owner .*chmod -R a\+rX",
                ) as error,
            ):
                load_model(folder)
        finally:
            (folder / what).chmod(0o755)
        assert str(folder / what) in one_sentence(error)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        lose_a_tensor,
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "card.json").write_text("{"),
        lambda folder: (folder / "card.json").write_text("{}"),
    ],
)
def test_damaged_released_weights_are_an_error_that_names_them(minilm_reader, tmp_path, damage):
    save_released(minilm_reader, tmp_path / "released", CARD)
    damage(tmp_path / "released")
    with pytest.raises(ModelError, match="cannot be loaded") as error:
        load_model(tmp_path / "released")
    assert str(tmp_path / "released") in one_sentence(error)


class Boom:
    """Unpickled, it leaves a file behind: proof that code was run."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def test_no_pickle_is_ever_read(tiny_model, broken, tmp_path):
    trace = tmp_path / "code-was-run"
    pickle.loads(pickle.dumps(Boom(trace)))
    assert trace.exists()  # the trap works
    trace.unlink()
    (broken / "model.safetensors").unlink()
    torch.save(tiny_model.state_dict() | {"boom": Boom(trace)}, broken / "pytorch_model.bin")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(broken)
    torch.save(
        tiny_model.state_dict(), broken / "pytorch_model.bin"
    )  # nor one that would do no harm
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(broken)
    assert not trace.exists()


def test_no_code_from_a_model_folder_is_run(broken, tmp_path):
    trace = tmp_path / "code-was-run"
    (broken / "modeling_trap.py").write_text(
        f"from pathlib import Path\nPath({str(trace)!r}).touch()\n"
    )
    config = json.loads((broken / "config.json").read_text())
    trap = {
        "AutoConfig": "modeling_trap.Config",
        "AutoModelForQuestionAnswering": "modeling_trap.Model",
    }
    (broken / "config.json").write_text(json.dumps(config | {"auto_map": trap}))
    load_model(broken)  # BERT is known: the folder's own code is not needed
    (broken / "config.json").write_text(
        json.dumps(config | {"auto_map": trap, "model_type": "trap"})
    )
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(broken)
    assert not trace.exists()


def test_the_released_weights_load_are_small_and_answer_with_their_threshold():
    folder = models.released_folder("qa-minilm")
    card = models.read_card(folder)
    assert (folder / "model.safetensors").stat().st_size <= 25_000_000
    assert {
        "data",
        "start",
        "recipe",
        "seeds",
        "machine",
        "minutes",
        "threshold",
        "development",
        "test",
    } <= set(card)
    qa = QuestionAnswerer.load("qa-minilm")
    assert qa.threshold == card["threshold"]
    passage = "The lighthouse of Marrow Point was built in 1874 by the engineer Clara Voss."
    assert qa("Who built the lighthouse?", passage).text in (
        "Clara Voss",
        "the engineer Clara Voss",
        "engineer Clara Voss",
    )


def test_weight_changes_are_relative_norms(tiny_folder):
    before, _ = models.load_model(tiny_folder)
    after, _ = models.load_model(tiny_folder)
    query = after.base_model.encoder.layer[1].attention.self.query.weight
    with torch.no_grad():
        query.mul_(1.5)
    changes = models.relative_changes(before, after)
    assert changes["W_q"] == [0.0, pytest.approx(0.5, rel=1e-5)]
    assert changes["word embeddings"] == [0.0] and set(changes) == {
        *models.LAYER_PARTS,
        "word embeddings",
    }
