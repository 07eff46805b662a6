"""Which model a name means, checked while it is loaded, and the format of released weights.

Released weights (`weights/qa-minilm`) hold the trained parameters in half precision. The word
embeddings were frozen in training, so they come from the asset of the model it began with.
"""

from __future__ import annotations

import inspect
import json
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import SAFE_WEIGHTS_NAME

from src import assets, runtime
from src.files import json_bytes, make_folder, write_together, writing
from src.qa.cpu_attention import use_cpu_attention
from src.qa.metrics import check_temperature, check_threshold
from src.training import pack_weights

WEIGHTS = runtime.COURSE / "weights"
CARD, CONFIG = "card.json", "config.json"
WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
# The settings of dropout: in BERT and most of its family, and in DistilBERT.
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
DROPOUTS += ("dropout", "attention_dropout", "qa_dropout")
DEFAULT_THRESHOLD = 0.5  # of a model without a card
LIBRARY_FILES = (".json", ".safetensors", ".txt", ".model")  # what the libraries read of a folder
OUTPUTS = 2  # numbers for each token: start and end logits
MODEL_INPUTS = ("input_ids", "token_type_ids", "attention_mask")
CASED_SHARE = 0.1  # of tokens with capitals, from which on a vocabulary is a cased one


class ModelError(ValueError):
    """A model that cannot be used; one sentence that says which, why, and what to do."""


def load_model(
    name: str | Path, dropout: float | None = None, for_training: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The question-answering model and tokenizer of that name, whole, in fp32, in evaluation mode.

    Args:
        name: "minilm", released weights such as "qa-minilm", a folder that `finetune` or
            `save_pretrained` wrote, or a Hub id.
        dropout: probability for every dropout layer; None keeps the model's own.
        for_training: allows a model whose answer head is missing, such as "minilm", and makes a
            new one: seed torch first.

    Raises:
        ModelError: no such model, a damaged one, weights that are missing, superfluous or not
            numbers, or a tokenizer that does not fit.
    """
    folder = assets.path(name) if name == "minilm" else card_folder(name) or Path(name)
    local = _is_readable_folder(folder)
    released = released_folder(name)
    try:
        model, tokenizer, found = _read(str(folder if local else name), released, dropout)
    except (assets.AssetError, ModelError):
        raise
    except Exception as error:  # what the libraries raise for damaged files has no class in common
        if local:
            raise _refusal(name, first_line(error), "use another, or write it again.") from None
        raise ModelError(
            f"the model {str(name)!r} is no folder here and cannot be had from the Hub "
            f"({first_line(error)}); use minilm, qa-minilm, a folder, "
            "or go online with COURSE_ONLINE=1."
        ) from None
    _check_weights(name, model, found, for_training)
    _check_tokenizer(name, model, tokenizer)
    return model.eval(), tokenizer


def _read(
    source: str, released: Path | None, dropout: float | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Mapping]:
    """Model and tokenizer as they are, and what the file lacked or had too much."""
    # Only formats that cannot run code are read: safetensors, json, plain text.
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    for setting in DROPOUTS if dropout is not None else ():
        if hasattr(config, setting):
            setattr(config, setting, dropout)
    if released is not None:
        model, found = _load_released(released, config)
        base = assets.path(read_card(released)["base"])
        return model, AutoTokenizer.from_pretrained(base), found
    model, found = AutoModelForQuestionAnswering.from_pretrained(
        source,
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # so that they are reported, and we can say which
    )
    return model, AutoTokenizer.from_pretrained(source, trust_remote_code=False), found


def window_length(model: PreTrainedModel, max_length: int) -> int:
    """The longest window that `model` can read: `max_length`, or its positions where fewer.

    That a model has fewer is said once, on stderr.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or max_length
    for name, module in model.named_modules():
        if (
            name.endswith("position_embeddings")
            and getattr(module, "padding_idx", None) is not None
        ):
            positions -= module.padding_idx + 1  # RoBERTa numbers its tokens from there
    if positions < max_length:
        _say_once(
            f"This model has {positions} positions, "
            f"so windows are {positions} tokens long, not {max_length}."
        )
    return min(max_length, positions)


def window_stride(doc_stride: int, max_length: int, length: int) -> int:
    """The overlap for windows that `window_length` made shorter: the same share of a window."""
    return doc_stride if length >= max_length else doc_stride * length // max_length


def prepare_network(network: PreTrainedModel) -> None:
    """For training: freeze the word embeddings, and take the fastest attention for this device."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.endswith(WORD_EMBEDDINGS))
    if not torch.cuda.is_available() and network.config._attn_implementation == "sdpa":
        use_cpu_attention(network)


@cache
def _say_once(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


# --- checks -----------------------------------------------------------------------------------


def _refusal(name: str | Path, problem: str, advice: str) -> ModelError:
    return ModelError(f"the model {str(name)!r} cannot be loaded ({problem}); {advice}")


def _is_readable_folder(folder: Path) -> bool:
    """Whether it is a folder. ModelError for one without a model, or that may not be read."""
    try:
        if not stat.S_ISDIR(folder.stat().st_mode):
            return False
        entries = list(os.scandir(folder))
        files = [f for f in entries if f.name.endswith(LIBRARY_FILES) and not f.is_dir()]
        for file in files:
            open(file.path, "rb").close()
    except PermissionError as error:
        unreadable = f"{error.filename} may not be read by this user"
        raise ModelError(f"{unreadable}; ask its owner for it (chmod -R a+rX {folder}).") from None
    except (OSError, ValueError):  # not there, or no name that a folder can have
        return False
    if not any(file.name == CONFIG for file in files):
        advice = "name a folder that finetune wrote, minilm or qa-minilm"
        raise ModelError(f"{folder} holds no model ({CONFIG} is missing); {advice}.")
    return True


def _check_weights(
    name: str | Path, model: PreTrainedModel, found: Mapping, for_training: bool
) -> None:
    """Raise ModelError unless the file held exactly this model; for training, but for the head.

    found: missing_keys, unexpected_keys, and mismatched_keys with both shapes.
    """
    again = "use another, or write it again."
    labels, prefix = model.config.num_labels, f"{model.base_model_prefix}."
    if labels != OUTPUTS:
        problem = f"it gives {labels} numbers for each token, where start and end are {OUTPUTS}"
        raise _refusal(name, problem, "use a model for questions, or one without an answer head.")
    if found["mismatched_keys"]:
        weight, stored, wanted = min(found["mismatched_keys"])
        shapes = f"{tuple(stored)}, where {CONFIG} asks for {tuple(wanted)}"
        raise _refusal(name, f"{weight} has shape {shapes}", again)
    missing = sorted(found["missing_keys"])
    body = [weight for weight in missing if weight.startswith(prefix)]
    if body:
        wrapped = any(weight.startswith("module.") for weight in found["unexpected_keys"])
        unwrap = "its weights' names begin with 'module.': save model.module instead of model."
        raise _refusal(name, f"{_listed(body)} missing", unwrap if wrapped else again)
    if missing and not for_training:
        head = f"its answer head ({', '.join(missing)}) is untrained, so it would answer at random"
        command = f"python -m src.qa train --model {name} --output-dir build/qa --minutes 4"
        raise _refusal(name, head, f"fine-tune it first: {command}.")
    # Other heads and the pooler are left over in many good models; another layer is not.
    parts = {part for part, _ in model.base_model.named_children()}
    unexpected = sorted(found["unexpected_keys"])
    extra = [w for w in unexpected if w.removeprefix(prefix).split(".")[0] in parts]
    if extra:
        raise _refusal(name, f"{_listed(extra)} more than {CONFIG} asks for", again)
    for weight, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            problem = f"{weight} holds what is not a number (NaN or infinite)"
            raise _refusal(name, problem, "train it again, or use another.")


def _listed(weights: Sequence[str]) -> str:
    """How many weights, and the first of them."""
    one = len(weights) == 1
    return f"{weights[0]} is" if one else f"{len(weights)} weights, the first {weights[0]}, are"


def _check_tokenizer(
    name: str | Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Set what the code relies on. ModelError where the tokenizer does not fit the model."""
    if not tokenizer.is_fast:
        kind = f"its tokenizer, {type(tokenizer).__name__}"
        problem = f"{kind}, does not tell where in the text a token is"
        raise _refusal(name, problem, "use a model with a fast tokenizer (tokenizer.json).")
    vocabulary = tokenizer.get_vocab()
    rows = model.get_input_embeddings().num_embeddings
    advice = "save the tokenizer that the model was trained with beside it."
    if vocabulary.keys() <= set(tokenizer.all_special_tokens):
        raise _refusal(name, "it has no tokenizer, so that every word would be unknown", advice)
    if max(vocabulary.values()) >= rows:
        known = f"its tokenizer knows {max(vocabulary.values()) + 1} tokens"
        raise _refusal(name, f"{known} and its embeddings have {rows} rows", advice)
    for token in ("pad_token", "cls_token"):
        if getattr(tokenizer, token) is None:
            raise _refusal(name, f"its tokenizer has no {token}", "use a model of BERT's family.")
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    takes = set(inspect.signature(model.forward).parameters)
    if getattr(model.config, "type_vocab_size", 0) < 2:
        takes.discard("token_type_ids")
    tokenizer.model_input_names = [given for given in MODEL_INPUTS if given in takes]
    pair = tokenizer("a", "b")
    sides = [side for side, _ in groupby(pair.sequence_ids(0))]
    if pair["input_ids"][0] != tokenizer.cls_token_id or sides[:4] != [None, 0, None, 1]:
        problem = "its tokenizer does not write a pair as [CLS] question [SEP] passage"
        raise _refusal(name, problem, "use a model of BERT's family, with its own tokenizer.")
    capitals = sum(token != token.lower() for token in vocabulary) / len(vocabulary)
    word, small = (tokenizer.tokenize(text) for text in ("Prague", "prague"))
    loses_words = tokenizer.unk_token in word and tokenizer.unk_token not in small
    if loses_words or (word == small and capitals > CASED_SHARE):
        found = "its tokenizer's do_lower_case is not that of its vocabulary"
        raise _refusal(name, f"{found}, so that capital letters are lost", advice)


# --- cards and released weights ---------------------------------------------------------------


def released_folder(name: str | Path) -> Path | None:
    """The folder of released weights that a name or path means; their card names a `base`."""
    folder = card_folder(name)
    return folder if folder is not None and "base" in read_card(folder) else None


def card_folder(name: str | Path) -> Path | None:
    """The folder with a card, of released weights or of a run, that a name or path means."""
    for folder in (Path(name), WEIGHTS / str(name)):
        if os.path.isfile(folder / CARD):  # unlike Path.is_file also where it may not be asked
            return folder
    return None


def read_card(folder: Path) -> dict:
    """The card of released weights or of a run: data, recipe, machine, threshold, scores.

    Raises:
        ModelError: it cannot be read, or its threshold or temperature is not a number in range.
    """
    file = folder / CARD
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(card, dict):
            raise ValueError("it is no table of names")
        check_threshold(card.get("threshold", DEFAULT_THRESHOLD))
        check_temperature(card.get("temperature", 1.0))
    except PermissionError:
        unreadable = f"{file} may not be read by this user"
        raise ModelError(f"{unreadable}; ask its owner for it (chmod a+r {file}).") from None
    except (OSError, ValueError) as error:
        advice = "write it again, or take it from the original"
        raise ModelError(f"{file} cannot be loaded ({first_line(error)}); {advice}.") from None
    return card


def threshold_and_temperature(name: str | Path) -> tuple[float, float]:
    """What a model answers with: its card's, or DEFAULT_THRESHOLD and 1 without a card."""
    folder = card_folder(name)
    card = read_card(folder) if folder else {}
    return card.get("threshold", DEFAULT_THRESHOLD), card.get("temperature", 1.0)


def save_released(model: PreTrainedModel, folder: Path, card: dict) -> None:
    """Write `model` as released weights: half precision, without word embeddings, with a card.

    Args:
        model: a fine-tuned reader.
        folder: where to.
        card: names the `base` whose word embeddings the model shares.

    Raises:
        ModelError: the embeddings differ from the base's, for then they would be lost.
    """
    content = {"model.safetensors": pack_weights(trained_weights(model, card["base"]))}
    content |= {CONFIG: config_json(model), CARD: json_bytes(card)}
    folder = make_folder(folder)
    with writing(folder):
        write_together({folder / name: written for name, written in content.items()})


def trained_weights(model: PreTrainedModel, base: str) -> dict[str, torch.Tensor]:
    """The weights of `model` without the word embeddings that it shares with `base`.

    Raises:
        ModelError: it does not share them.
    """
    state = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    frozen = next(name for name in state if name.endswith(WORD_EMBEDDINGS))
    if not torch.equal(state.pop(frozen).float(), _base_embeddings(base)):
        differ = f"the word embeddings differ from those of {base!r}"
        raise ModelError(f"{differ}; train with them frozen, or save the model whole.")
    return state


def config_json(model: PreTrainedModel) -> bytes:
    """The content of config.json, as `save_pretrained` writes it."""
    return model.config.to_json_string().encode()


def share(folder: Path) -> None:
    """Let those read a saved model whom the umask allows: safetensors lets its owner only."""
    mode = (folder / CONFIG).stat().st_mode  # written by Python, so as the umask says
    for file in folder.glob("*.safetensors"):
        file.chmod(mode)


def _load_released(folder: Path, config: PreTrainedConfig) -> tuple[PreTrainedModel, dict]:
    """The model, and what was missing or superfluous in its file."""
    model = AutoModelForQuestionAnswering.from_config(config, dtype=torch.float32)
    stored = load_file(folder / SAFE_WEIGHTS_NAME)
    state = {name: tensor.float() for name, tensor in stored.items()}
    base = _base_embeddings(read_card(folder)["base"])
    state[f"{model.base_model_prefix}.{WORD_EMBEDDINGS}"] = base
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    fitting = {n: t for n, t in state.items() if n not in wanted or t.shape == wanted[n]}
    other = {(n, t.shape, wanted[n]) for n, t in state.items() if n not in fitting}
    missing, unexpected = model.load_state_dict(fitting, strict=False)
    found = {"missing_keys": missing, "unexpected_keys": unexpected, "mismatched_keys": other}
    return model, found


def _base_embeddings(base: str) -> torch.Tensor:
    state = load_file(assets.path(base) / SAFE_WEIGHTS_NAME)
    return next(tensor for name, tensor in state.items() if name.endswith(WORD_EMBEDDINGS)).float()


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
    """How far each weight matrix moved: |after - before| / |before| (Frobenius norms).

    Args:
        before, after: two models of the BERT family, of one shape.

    Returns:
        The parts of `LAYER_PARTS`, a number per layer, and "word embeddings", one number.
    """
    old, new = before.base_model.state_dict(), after.base_model.state_dict()

    def change(name: str) -> float:
        return float((new[name] - old[name]).norm() / old[name].norm())

    layers = [f"encoder.layer.{i}" for i in range(before.config.num_hidden_layers)]
    changes = {
        p: [change(f"{layer}.{name}") for layer in layers] for p, name in LAYER_PARTS.items()
    }
    return changes | {"word embeddings": [change(WORD_EMBEDDINGS)]}
