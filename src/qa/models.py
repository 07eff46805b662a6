"""Which model a name means, checked while it is loaded, and the format of released weights.

Released weights (`weights/qa-minilm`) hold the trained parameters in half precision. The word
embeddings were frozen in training, so they come from the asset of the model it began with.
"""

import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import SAFE_WEIGHTS_NAME

from src import assets, runtime
from src.files import read_json
from src.qa.calibration import Scaling
from src.qa.cpu_attention import use_cpu_attention
from src.qa.metrics import check_threshold
from src.runtime import first_line
from src.training import write_run

WEIGHTS = runtime.COURSE / "weights"
CARD, CONFIG = "card.json", "config.json"
WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
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
    local = _is_model_folder(folder)
    try:
        model, tokenizer, found = _read(str(folder if local else name), read_card(name), dropout)
    except (assets.AssetError, ModelError):
        raise
    except Exception as error:  # what the libraries raise for damaged files has no class in common
        if local:
            raise _refusal(name, first_line(error), "use another, or write it again.") from None
        found = f"is no folder here and cannot be had from the Hub ({first_line(error)})"
        advice = "use minilm, qa-minilm, a folder, or go online with COURSE_ONLINE=1"
        raise ModelError(f"the model {str(name)!r} {found}; {advice}.") from None
    _check_weights(name, model, found, for_training)
    _check_tokenizer(name, model, tokenizer)
    return model.eval(), tokenizer


def _read(
    source: str, card: Mapping, dropout: float | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Mapping]:
    """Model and tokenizer as they are, and what the file lacked or had too much."""
    # Only formats that cannot run code are read: safetensors, json, plain text.
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    for setting, value in config.to_dict().items():
        if dropout is not None and "dropout" in setting and isinstance(value, float):
            setattr(config, setting, dropout)
    model, found = AutoModelForQuestionAnswering.from_pretrained(
        source,
        config=config,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # so that they are reported, and we can say which
    )
    if "base" in card:  # released weights
        source = assets.path(card["base"])
        model.get_input_embeddings().weight.data = _base_embeddings(card["base"])
        found["missing_keys"].discard(f"{model.base_model_prefix}.{WORD_EMBEDDINGS}")
    return model, AutoTokenizer.from_pretrained(source, trust_remote_code=False), found


def window_sizes(model: PreTrainedModel, max_length: int, doc_stride: int) -> tuple[int, int]:
    """`max_length` and `doc_stride`, both in proportion less where the model has fewer positions.

    That it has fewer is said on stderr.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or max_length
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            positions -= padding + 1  # RoBERTa numbers its tokens from there
    if positions >= max_length:
        return max_length, doc_stride
    windows = f"windows are {positions} tokens long, not {max_length}"
    print(f"This model has {positions} positions, so {windows}.", file=sys.stderr, flush=True)
    return positions, doc_stride * positions // max_length


def prepare_network(network: PreTrainedModel) -> None:
    """For training: freeze the word embeddings, and take the fastest attention for this device."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not name.endswith(WORD_EMBEDDINGS))
    if not torch.cuda.is_available() and network.config._attn_implementation == "sdpa":
        use_cpu_attention(network)


# --- checks


def _refusal(name: str | Path, problem: str, advice: str) -> ModelError:
    return ModelError(f"the model {str(name)!r} cannot be loaded ({problem}); {advice}")


def _is_model_folder(folder: Path) -> bool:
    """Whether it is a folder. ModelError for one without a model, or that may not be read."""
    try:
        if not folder.is_dir():
            return False
        for file in folder.iterdir():
            if file.suffix in LIBRARY_FILES:
                file.open("rb").close()
        if (folder / CONFIG).is_file():
            return True
    except PermissionError as error:
        unreadable = f"{error.filename} may not be read by this user"
        raise ModelError(f"{unreadable}; ask its owner for it (chmod -R a+rX {folder}).") from None
    except OSError:  # no name that a folder can have
        return False
    advice = "name a folder that finetune wrote, minilm or qa-minilm"
    raise ModelError(f"{folder} holds no model ({CONFIG} is missing); {advice}.")


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
    one = len(weights) == 1
    return f"{weights[0]} is" if one else f"{len(weights)} weights, the first {weights[0]}, are"


def _check_tokenizer(
    name: str | Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
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


# --- cards and released weights


def card_folder(name: str | Path) -> Path | None:
    """The folder with a card, of released weights or of a run, that a name or path means."""
    for folder in (Path(name), WEIGHTS / str(name)):
        if os.path.isfile(folder / CARD):  # unlike Path.is_file also where it may not be asked
            return folder
    return None


def read_card(name: str | Path) -> dict:
    """The card of released weights or of a run: data, recipe, machine, threshold, scores.

    {} for a model without a card. Only released weights have a `base`.

    Raises:
        ModelError: it cannot be read, or threshold, temperature or offset is not a number in range.
    """
    folder = card_folder(name)
    if folder is None:
        return {}
    file = folder / CARD
    try:
        card = read_json(file, dict)
        check_threshold(card.get("threshold", DEFAULT_THRESHOLD))
        scaling_of(card)
    except PermissionError:
        unreadable = f"{file} may not be read by this user"
        raise ModelError(f"{unreadable}; ask its owner for it (chmod a+r {file}).") from None
    except (OSError, ValueError) as error:
        advice = "write it again, or take it from the original"
        raise ModelError(f"{file} cannot be loaded ({first_line(error)}); {advice}.") from None
    return card


def scaling_of(card: dict) -> Scaling:
    """What makes scores true, by a card; without it they stay as they are."""
    return Scaling(card.get("temperature", 1.0), card.get("offset", 0.0))


def save_released(
    model: PreTrainedModel,
    folder: Path,
    card: Mapping,
    about: Mapping | None = None,
    history: Sequence[dict] = (),
) -> None:
    """Write `model` as released weights: half precision, without its base's word embeddings.

    The card names the `base`; `about` and `history` of the training are as in `write_run`.

    Raises:
        ModelError: the embeddings differ from the base's, for then they would be lost.
    """
    weights = model.state_dict()
    frozen = next(name for name in weights if name.endswith(WORD_EMBEDDINGS))
    if not torch.equal(weights.pop(frozen).cpu().float(), _base_embeddings(card["base"])):
        differ = f"the word embeddings differ from those of {card['base']!r}"
        raise ModelError(f"{differ}; train with them frozen, or save the model whole.")
    config = {CONFIG: model.config.to_json_string().encode()}
    write_run(folder, weights, about or {}, list(history), card, config)


def share(folder: Path) -> None:
    """Let those read a saved model whom the umask allows: safetensors lets its owner only."""
    mode = (folder / CONFIG).stat().st_mode  # written by Python, so as the umask says
    for file in folder.glob("*.safetensors"):
        file.chmod(mode)


def _base_embeddings(base: str) -> torch.Tensor:
    state = load_file(assets.path(base) / SAFE_WEIGHTS_NAME)
    return next(tensor for name, tensor in state.items() if name.endswith(WORD_EMBEDDINGS)).float()


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

    Of two models of the BERT family, of one shape, the parts of `LAYER_PARTS`, a number per layer,
    and "word embeddings", one number.
    """
    old, new = before.base_model.state_dict(), after.base_model.state_dict()

    def change(name: str) -> float:
        return float((new[name] - old[name]).norm() / old[name].norm())

    layers, changes = range(before.config.num_hidden_layers), {}
    for part, name in LAYER_PARTS.items():
        changes[part] = [change(f"encoder.layer.{i}.{name}") for i in layers]
    return changes | {"word embeddings": [change(WORD_EMBEDDINGS)]}
