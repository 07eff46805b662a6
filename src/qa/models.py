"""Which model a name means, and how released weights are written and read.

Released weights (`weights/qa-minilm`) hold the trained parameters in half precision. The word embeddings were frozen
while training, so they are not stored twice: they come from the asset of the model that training began with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from src import assets

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
CARD = "card.json"
WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
# What the settings of dropout are called: in BERT and most of its family, and in DistilBERT.
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "qa_dropout")


class ModelError(ValueError):
    """A model that cannot be loaded; one sentence that says which, and what to do."""


def load_model(
    name: str | Path, dropout: float | None = None, for_training: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The question-answering model and tokenizer of that name, in fp32, in evaluation mode.

    name: "minilm" (an encoder whose answer head is new: seed torch first), released weights such as "qa-minilm", a
    folder that `finetune` or `save_pretrained` wrote, or a Hub id.
    dropout: probability for every dropout layer; None keeps the model's own.
    Raises ModelError for a folder without a model or with a broken one, and for a Hub id that cannot be reached.
    """
    released = released_folder(name)
    source = str(assets.path(name)) if name == "minilm" else str(released or name)
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise ModelError(f"{source} holds no model (config.json is missing); name a folder that finetune wrote, minilm or qa-minilm.")
    try:
        # Only formats that cannot run code are read: safetensors, json, plain text.
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        for setting in DROPOUTS if dropout is not None else ():
            if hasattr(config, setting):
                setattr(config, setting, dropout)
        if released is not None:
            return _load_released(released, config)
        model = AutoModelForQuestionAnswering.from_pretrained(
            source, config=config, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except assets.AssetError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if Path(source).is_dir():
            problem, advice = "cannot be loaded", "use another, or write it again."
        else:
            problem = "is no folder here and cannot be had from the Hub"
            advice = "use minilm, qa-minilm, a folder, or go online with COURSE_ONLINE=1."
        raise ModelError(f"the model {str(name)!r} {problem} ({first_line(error)}); {advice}") from None
    return model.eval(), tokenizer


def window_length(model: PreTrainedModel, max_length: int) -> int:
    return min(max_length, model.config.max_position_embeddings)


def released_folder(name: str | Path) -> Path | None:
    """The folder of released weights that a name or path means, or None when it means something else."""
    for folder in (Path(name), WEIGHTS / str(name)):
        if (folder / CARD).is_file():
            return folder if "base" in read_card(folder) else None
    return None


def read_card(folder: Path) -> dict:
    """The card of released weights: base, data, recipe, seeds, machine, minutes, threshold, scores."""
    return json.loads((folder / CARD).read_text(encoding="utf-8"))


def save_released(model: PreTrainedModel, folder: Path, card: dict) -> None:
    """Write `model` as released weights: half precision, without the frozen word embeddings, with its card.

    card: must name the `base` whose word embeddings the model shares.
    Raises ModelError when the embeddings differ from the base's, for then they would be lost.
    """
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    frozen = next(name for name in state if name.endswith(WORD_EMBEDDINGS))
    if not torch.equal(state[frozen].float(), _base_embeddings(card["base"])):
        raise ModelError(f"the word embeddings differ from those of {card['base']!r}; train with them frozen, or save the model whole.")
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.half().contiguous() for name, tensor in state.items() if name != frozen}, folder / "model.safetensors")
    model.config.save_pretrained(folder)
    (folder / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _load_released(folder: Path, config: PreTrainedConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    card = read_card(folder)
    base = assets.path(card["base"])
    model = AutoModelForQuestionAnswering.from_config(config, dtype=torch.float32)
    state = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    state[f"{model.base_model_prefix}.{WORD_EMBEDDINGS}"] = _base_embeddings(card["base"])
    model.load_state_dict(state)
    return model.eval(), AutoTokenizer.from_pretrained(base)


def _base_embeddings(base: str) -> torch.Tensor:
    state = load_file(assets.path(base) / "model.safetensors")
    return next(tensor for name, tensor in state.items() if name.endswith(WORD_EMBEDDINGS)).float()


def mean_of_models(folders: Sequence[str | Path]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model whose every weight is the mean over the models in these folders, with the tokenizer of the first.

    They should have been fine-tuned from one model: runs that did not share their beginning have no useful mean.
    After Wortsman et al. 2022, "Model soups". Raises ModelError when there is none to average, or one is of another shape.
    """
    if not folders:
        raise ModelError("there are no models to take the mean of; name at least one folder.")
    model, tokenizer = load_model(folders[0])
    states = [load_model(folder)[0].state_dict() for folder in folders]
    for folder, state in zip(folders, states, strict=True):
        if {name: tensor.shape for name, tensor in state.items()} != {name: tensor.shape for name, tensor in states[0].items()}:
            raise ModelError(f"the model in {folder} has other weights than the one in {folders[0]}; average runs of one model.")
    model.load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})
    return model, tokenizer


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for one-sentence messages."""
    return str(error).strip().split("\n")[0].rstrip(". ")


# Parts of an encoder layer by the names that BERT's parameters have.
LAYER_PARTS = {
    "W_q": "attention.self.query.weight",
    "W_k": "attention.self.key.weight",
    "W_v": "attention.self.value.weight",
    "W_o": "attention.output.dense.weight",
    "feed-forward in": "intermediate.dense.weight",
    "feed-forward out": "output.dense.weight",
}


def relative_changes(before: PreTrainedModel, after: PreTrainedModel) -> dict[str, list[float]]:
    """How far each weight matrix moved: |after - before| / |before| (Frobenius norms), part by part, layer by layer.

    before, after: two models of the BERT family, of one shape. Returns the parts of `LAYER_PARTS`, one number per layer, and
    "word embeddings", one number. Raises ModelError when the shapes differ.
    """
    old, new = before.base_model.state_dict(), after.base_model.state_dict()
    shared = [name for name in old if name in new]
    if any(old[name].shape != new[name].shape for name in shared):
        raise ModelError("the two models differ in shape; compare a model with the one its training began from.")

    def change(name: str) -> float:
        return float((new[name] - old[name]).norm() / old[name].norm())

    layers = range(before.config.num_hidden_layers)
    changes = {part: [change(f"encoder.layer.{layer}.{name}") for layer in layers] for part, name in LAYER_PARTS.items()}
    return changes | {"word embeddings": [change(WORD_EMBEDDINGS)]}
