"""What a model's name means, released weights there and back, and that nothing which could run code is read."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForQuestionAnswering, DistilBertConfig, DistilBertForQuestionAnswering, PreTrainedModel

from src import assets
from src.qa import models
from src.qa.answerer import QuestionAnswerer
from src.qa.models import ModelError, load_model, read_card, released_folder, save_released

CARD = {"base": "minilm", "threshold": 0.4}


@pytest.fixture(scope="module")
def minilm_reader() -> PreTrainedModel:
    """A reader of one small layer with MiniLM's own word embeddings: all that released weights need to be about."""
    config = BertConfig(hidden_size=384, num_hidden_layers=1, num_attention_heads=12, intermediate_size=32, max_position_embeddings=64)
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


def test_released_weights_come_back_as_they_went_but_for_half_precision(minilm_reader, tokenizer, tmp_path):
    save_released(minilm_reader, tmp_path / "released", CARD)
    model, loaded_tokenizer = load_model(tmp_path / "released")

    state, original = model.state_dict(), minilm_reader.state_dict()
    assert state.keys() == original.keys()
    for name, tensor in state.items():
        assert tensor.dtype == torch.float32
        word_embeddings = name.endswith("word_embeddings.weight")
        assert torch.equal(tensor, original[name] if word_embeddings else original[name].half().float()), name
    assert not model.training
    stored = load_file(tmp_path / "released" / "model.safetensors")
    assert (tmp_path / "released" / "model.safetensors").stat().st_mode & 0o044 == 0o044, "others of this computer can read it"
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert not any("word_embeddings" in name for name in stored)
    assert read_card(tmp_path / "released") == CARD
    token_ids = tokenizer("Oxygen has number 8", return_tensors="pt")
    assert torch.equal(loaded_tokenizer("Oxygen has number 8", return_tensors="pt")["input_ids"], token_ids["input_ids"])
    with torch.no_grad():
        torch.testing.assert_close(model(**token_ids).start_logits, minilm_reader(**token_ids).start_logits, atol=1e-2, rtol=1e-2)


def test_released_weights_are_found_by_name_and_by_path(minilm_reader, tmp_path, monkeypatch):
    save_released(minilm_reader, tmp_path / "qa-small", CARD)
    monkeypatch.setattr(models, "WEIGHTS", tmp_path)
    assert released_folder("qa-small") == released_folder(tmp_path / "qa-small") == tmp_path / "qa-small"
    assert released_folder("qa-other") is None
    assert load_model("qa-small")[0].config.num_hidden_layers == 1


def test_weights_whose_embeddings_differ_from_the_base_are_not_released(minilm_reader, tmp_path):
    embeddings = minilm_reader.bert.embeddings.word_embeddings.weight
    before = embeddings[7, 7].item()
    try:
        with torch.no_grad():
            embeddings[7, 7] += 1e-3
        with pytest.raises(ModelError, match="the word embeddings differ from those of 'minilm'") as error:
            save_released(minilm_reader, tmp_path / "released", CARD)
    finally:
        with torch.no_grad():
            embeddings[7, 7] = before
    one_sentence(error)
    assert not (tmp_path / "released").exists()


def test_minilm_gets_a_new_head_on_the_assets_encoder(tokenizer):
    torch.manual_seed(3)
    model, loaded_tokenizer = load_model("minilm")
    torch.manual_seed(3)
    again, _ = load_model("minilm")
    stored = load_file(assets.path("minilm") / "model.safetensors")
    query = next(tensor for name, tensor in stored.items() if name.endswith("layer.5.attention.self.query.weight"))
    assert torch.equal(model.bert.encoder.layer[5].attention.self.query.weight, query.float())
    assert torch.equal(model.qa_outputs.weight, again.qa_outputs.weight) and model.qa_outputs.weight.abs().max() > 0
    assert loaded_tokenizer.get_vocab() == tokenizer.get_vocab()


def test_a_saved_folder_is_loaded_in_fp32_and_evaluation_mode(tiny_model, broken):
    tiny_model.to(torch.bfloat16).save_pretrained(broken)
    model, _ = load_model(str(broken))
    assert not model.training
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, tiny_model.state_dict()[name].float())


def dropouts(model: PreTrainedModel) -> set[float]:
    return {layer.p for layer in model.modules() if isinstance(layer, torch.nn.Dropout)}


def test_dropout_is_the_models_own_or_the_one_asked_for(tiny_folder, tokenizer, minilm_reader, tmp_path):
    assert dropouts(load_model(tiny_folder)[0]) == {0.1}
    model, _ = load_model(tiny_folder, dropout=0.0)
    assert dropouts(model) == {0.0} and model.config.attention_probs_dropout_prob == 0.0
    save_released(minilm_reader, tmp_path / "released", CARD)
    assert dropouts(load_model(tmp_path / "released", dropout=0.25)[0]) == {0.25}
    other = DistilBertForQuestionAnswering(DistilBertConfig(dim=8, n_layers=1, n_heads=1, hidden_dim=8))  # it calls dropout otherwise
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
    with pytest.raises(ModelError, match="is no folder here and cannot be had from the Hub") as error:
        load_model(name)
    assert repr(name) in one_sentence(error) and "use minilm, qa-minilm, a folder" in str(error.value)


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
    "a config of an unknown kind": lambda folder: (folder / "config.json").write_text('{"model_type": "no-such-kind"}'),
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


def lose_a_tensor(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    del state["qa_outputs.bias"]
    save_file(state, folder / "model.safetensors")


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
    torch.save(tiny_model.state_dict(), broken / "pytorch_model.bin")  # nor one that would do no harm
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(broken)
    assert not trace.exists()


def test_no_code_from_a_model_folder_is_run(broken, tmp_path):
    trace = tmp_path / "code-was-run"
    (broken / "modeling_trap.py").write_text(f"from pathlib import Path\nPath({str(trace)!r}).touch()\n")
    config = json.loads((broken / "config.json").read_text())
    trap = {"AutoConfig": "modeling_trap.Config", "AutoModelForQuestionAnswering": "modeling_trap.Model"}
    (broken / "config.json").write_text(json.dumps(config | {"auto_map": trap}))
    load_model(broken)  # BERT is known: the folder's own code is not needed
    (broken / "config.json").write_text(json.dumps(config | {"auto_map": trap, "model_type": "trap"}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(broken)
    assert not trace.exists()


def test_the_released_weights_load_are_small_and_answer_with_their_threshold():
    folder = models.released_folder("qa-minilm")
    card = models.read_card(folder)
    assert (folder / "model.safetensors").stat().st_size <= 25_000_000
    assert {"data", "start", "recipe", "seeds", "machine", "minutes", "threshold", "development", "test"} <= set(card)
    qa = QuestionAnswerer.load("qa-minilm")
    assert qa.threshold == card["threshold"]
    passage = "The lighthouse of Marrow Point was built in 1874 by the engineer Clara Voss."
    assert qa("Who built the lighthouse?", passage).text in ("Clara Voss", "the engineer Clara Voss", "engineer Clara Voss")


def test_the_mean_of_models_is_the_mean_of_every_weight(tiny_folder, tmp_path):
    """Against numpy, with three models; the first model's folder is left as it is."""
    folders, stored = [], []
    for number in range(3):
        model, tokenizer = load_model(tiny_folder)
        torch.manual_seed(number)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        folders.append(tmp_path / str(number))
        model.save_pretrained(folders[-1])
        tokenizer.save_pretrained(folders[-1])
        stored.append({name: tensor.numpy().copy() for name, tensor in model.state_dict().items()})
    mean, tokenizer = models.mean_of_models(folders)
    for name, tensor in mean.state_dict().items():
        np.testing.assert_allclose(tensor.numpy(), np.mean([state[name] for state in stored], axis=0), rtol=0, atol=1e-6)
    assert not mean.training and tokenizer.vocab_size > 0
    first = load_model(folders[0])[0].state_dict()
    assert all(np.array_equal(first[name].numpy(), tensor) for name, tensor in stored[0].items())


def test_models_of_other_shapes_have_no_mean(tiny_folder, minilm_reader, tmp_path):
    minilm_reader.save_pretrained(tmp_path / "other")
    shutil.copy(tiny_folder / "tokenizer.json", tmp_path / "other")
    shutil.copy(tiny_folder / "tokenizer_config.json", tmp_path / "other")
    with pytest.raises(ModelError, match=f"{tmp_path / 'other'} has other weights") as error:
        models.mean_of_models([tiny_folder, tmp_path / "other"])
    assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="no models"):
        models.mean_of_models([])


def test_weight_changes_are_relative_norms(tiny_folder):
    before, _ = models.load_model(tiny_folder)
    after, _ = models.load_model(tiny_folder)
    query = after.base_model.encoder.layer[1].attention.self.query.weight
    with torch.no_grad():
        query.mul_(1.5)
    changes = models.relative_changes(before, after)
    assert changes["W_q"] == [0.0, pytest.approx(0.5, rel=1e-5)]
    assert changes["word embeddings"] == [0.0] and set(changes) == {*models.LAYER_PARTS, "word embeddings"}
