"""Blocks, encoder, translator and GPT against torch's modules and transformers' BertModel."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForQuestionAnswering,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
)

from src import assets
from src.attention import causal_mask, padding_mask, sinusoidal_positions
from src.dates import collate, make_dates
from src.text import split_sentences
from src.transformer import (
    GPT,
    POSITION_BASE,
    DecoderBlock,
    Encoder,
    EncoderBlock,
    ModernBlock,
    Transformer,
    bert_to_ours,
    rotate_positions,
)
from tests.unit.networks import (
    DATE_MODEL_CHECKS,
    Pairs,
    assert_same_gradients,
    attention_pairs,
    copy_from_torch,
    gradients,
    normal,
    shake,
)

B, T, S, D, H, HIDDEN = 3, 4, 5, 6, 2, 10


def block_pairs(ours: EncoderBlock | DecoderBlock, theirs: nn.Module) -> Pairs:
    """Our parameters and those of torch's TransformerEncoderLayer or TransformerDecoderLayer."""
    modules = [
        (ours.attention_norm, theirs.norm1),
        (ours.feed_forward.expand, theirs.linear1),
        (ours.feed_forward.contract, theirs.linear2),
    ]
    pairs = attention_pairs(ours.attention, theirs.self_attn)
    last = theirs.norm2
    if hasattr(ours, "cross_attention"):
        pairs += attention_pairs(ours.cross_attention, theirs.multihead_attn)
        modules.append((ours.cross_attention_norm, theirs.norm2))
        last = theirs.norm3
    for mine, other in [*modules, (ours.feed_forward_norm, last)]:
        pairs += [([mine.weight], other.weight), ([mine.bias], other.bias)]
    return pairs


def torch_block(kind: type[nn.Module], norm_first: bool = True) -> nn.Module:
    """torch's block with random weights, in training mode, so that it takes no shortcut."""
    options = {"dropout": 0.0, "activation": F.gelu, "batch_first": True, "dtype": torch.float64}
    return shake(kind(D, H, HIDDEN, norm_first=norm_first, **options))


def torch_encoder(blocks: nn.ModuleList, norm: nn.LayerNorm) -> nn.TransformerEncoder:
    """torch's encoder; our blocks get its weights."""
    block = torch_block(nn.TransformerEncoderLayer)
    theirs = nn.TransformerEncoder(block, len(blocks), norm, enable_nested_tensor=False)
    shake(theirs)  # no two blocks alike
    for ours, other in zip(blocks, theirs.layers, strict=True):
        copy_from_torch(block_pairs(ours, other))
    return theirs


# --- the blocks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_block_equals_torchs_in_outputs_and_gradients(norm_first):
    theirs = torch_block(nn.TransformerEncoderLayer, norm_first)
    ours = EncoderBlock(D, H, HIDDEN, norm_first).double()
    pairs = block_pairs(ours, theirs)
    copy_from_torch(pairs)
    x, padding = normal(B, T, D), padding_mask(torch.tensor([4, 2, 3]))
    output, weights = ours(x, padding & causal_mask(T))
    expected = theirs(x, src_mask=~causal_mask(T), src_key_padding_mask=~padding[:, 0])
    assert_close(output, expected)
    assert weights.shape == (B, H, T, T)
    assert_same_gradients(output, expected, [x], pairs)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_decoder_block_equals_torchs_in_outputs_and_gradients(norm_first):
    theirs = torch_block(nn.TransformerDecoderLayer, norm_first)
    ours = DecoderBlock(D, H, HIDDEN, norm_first=norm_first).double()
    pairs = block_pairs(ours, theirs)
    copy_from_torch(pairs)
    x, source = normal(B, T, D), normal(B, S, D, seed=1)
    padding = padding_mask(torch.tensor([5, 1, 3]))
    output, weights, source_weights = ours(x, source, causal_mask(T), padding)
    expected = theirs(x, source, tgt_mask=~causal_mask(T), memory_key_padding_mask=~padding[:, 0])
    assert_close(output, expected)
    assert weights.shape == (B, H, T, T) and source_weights.shape == (B, H, T, S)
    assert_same_gradients(output, expected, [x, source], pairs)


def test_dropout_leaves_out_what_a_part_adds_and_only_in_training():
    block, x = EncoderBlock(D, H, HIDDEN, norm_first=True, dropout=1.0).double(), normal(B, T, D)
    assert_close(block(x)[0], x)
    assert (block.eval()(x)[0] - x).abs().min() > 0


# --- the encoder ---------------------------------------------------------------------------------


def assert_equals_library(encoder: Encoder, library: BertModel, inputs: dict[str, Tensor]) -> None:
    """Every layer and every attention map, to 1e-5 of numbers that are about one."""
    arguments = inputs["input_ids"], inputs["attention_mask"].bool(), inputs["token_type_ids"]
    with torch.no_grad():
        expected = library(**inputs, output_hidden_states=True, output_attentions=True)
        trace = encoder.trace(*arguments)
        assert_close(encoder(*arguments), expected.last_hidden_state, rtol=0, atol=1e-5)
    assert_close(trace.layers, list(expected.hidden_states), rtol=1e-5, atol=1e-5)
    assert_close(trace.attention, list(expected.attentions), rtol=1e-5, atol=1e-5)


def test_our_encoder_with_minilms_weights_equals_the_librarys_on_real_sentences():
    folder = assets.path("minilm")
    library = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    encoder, tokenizer = Encoder.from_pretrained("minilm"), AutoTokenizer.from_pretrained(folder)
    passages = list(assets.load_passages().values())[::2000]
    sentences = [split_sentences(passage.text)[0] for passage in passages]
    inputs = tokenizer(sentences, padding=True, truncation=True, max_length=64, return_tensors="pt")
    assert len(set(inputs["attention_mask"].sum(1).tolist())) > 2, "there is padding"
    assert_equals_library(encoder, library, inputs)
    alone = inputs["input_ids"][:1, :4]
    with torch.no_grad():
        given = torch.ones_like(alone).bool(), torch.zeros_like(alone)
        assert_close(encoder(alone), encoder(alone, *given))  # what is taken where none is given


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[BertModel, Path]:
    """A BERT of random weights, and the folder it was saved in, with a head for answers."""
    sizes = {"vocab_size": 50, "hidden_size": 12, "num_hidden_layers": 3}
    sizes |= {"num_attention_heads": 2, "intermediate_size": 20, "max_position_embeddings": 16}
    config = BertConfig(**sizes, attn_implementation="eager")
    with_head = shake(BertForQuestionAnswering(config)).eval()
    folder = tmp_path_factory.mktemp("bert")
    with_head.save_pretrained(folder)
    return with_head.bert, folder


def tiny_inputs() -> dict[str, Tensor]:
    """As many rows as tokens: a mask on the wrong axis would fit."""
    generator = torch.Generator().manual_seed(0)
    token_ids = torch.randint(50, (4, 4), generator=generator)
    types = torch.randint(2, (4, 4), generator=generator)
    mask = padding_mask(torch.tensor([1, 2, 3, 4]))[:, 0]
    return {"input_ids": token_ids, "attention_mask": mask.long(), "token_type_ids": types}


def test_our_encoder_reads_a_bert_from_a_folder_and_its_gradients_are_the_librarys(
    tiny,
):
    library, folder = tiny
    encoder, inputs = Encoder.from_pretrained(folder), tiny_inputs()
    assert_equals_library(encoder, library, inputs)
    encoder.double()
    library = BertModel.from_pretrained(folder, attn_implementation="eager").double().eval()
    ours = encoder(inputs["input_ids"], inputs["attention_mask"].bool(), inputs["token_type_ids"])
    theirs = library(**inputs).last_hidden_state
    assert_close(ours, theirs)
    named = {name: p for name, p in library.named_parameters() if bert_to_ours(name)}
    mine = dict(encoder.named_parameters())
    assert sorted(map(bert_to_ours, named)) == sorted(mine), "each has one place in the file"
    found = gradients(ours, [mine[bert_to_ours(name)] for name in named])
    for name, one, other in zip(named, found, gradients(theirs, list(named.values())), strict=True):
        assert_close(one, other, msg=lambda text, name=name: f"{name}: {text}")


def test_our_encoder_reads_half_precision_and_the_names_of_the_first_release(tiny, tmp_path):
    library, folder = tiny
    shutil.copy(folder / "config.json", tmp_path)
    tensors = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        tensors[name.replace("LayerNorm.bias", "LayerNorm.beta")] = tensor.half()
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    encoder = Encoder.from_pretrained(str(tmp_path))
    assert encoder.norm.weight.dtype == torch.float32
    assert_close(encoder.norm.weight, library.embeddings.LayerNorm.weight.half().float())


def test_a_model_that_cannot_be_had_is_told_in_a_sentence(tiny, tmp_path):
    shutil.copytree(tiny[1], tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "empty").mkdir()
    for name, changes, message in [
        (tmp_path / "empty", {}, r"empty \(.*; use minilm, a folder with a BERT, or go online"),
        ("nobody/nothing", {}, "read from nobody/nothing .* go online with COURSE_ONLINE=1"),
        (tmp_path, {"model_type": "roberta"}, "model_type is 'roberta'"),
        (tmp_path, {"hidden_act": "relu"}, "hidden_act is 'relu'"),
        (tmp_path, {"num_hidden_layers": 4}, "layer.3.* is missing"),
        (tmp_path, {"hidden_size": 14}, "no encoder can be read"),
    ]:
        (tmp_path / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(ValueError, match=message):
            Encoder.from_pretrained(name)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match="no encoder can be read from"):
        Encoder.from_pretrained(tmp_path)


def test_inputs_that_do_not_fit_the_encoder_are_told_in_a_sentence(tiny):
    encoder, token_ids = Encoder.from_pretrained(tiny[1]), torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"torch.int64 of shape \(2, 3\); give bool\[2, 3\]"):
        encoder(token_ids, torch.ones(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"of shape \(3, 2\); give bool\[2, 3\]"):
        encoder(token_ids, torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="positions for 16 tokens, and 17 are asked for"):
        encoder(torch.zeros(1, 17, dtype=torch.int64))


# --- the translator ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Transformer:
    return shake(Transformer(D=D, H=H, L=2, hidden=HIDDEN).double())


@pytest.mark.parametrize("check", DATE_MODEL_CHECKS)
def test_the_translator_is_a_date_model(check, model):
    check(model)


def test_the_translator_equals_torchs_encoder_and_decoder(model):
    source_ids, source_mask, target_ids = batch = collate(make_dates(5, seed=0))
    encoder = torch_encoder(model.encoder, model.encoder_norm)
    block = torch_block(nn.TransformerDecoderLayer)
    decoder = shake(nn.TransformerDecoder(block, 2, norm=model.decoder_norm))
    for ours, theirs in zip(model.decoder, decoder.layers, strict=True):
        copy_from_torch(block_pairs(ours, theirs))
    source, target = model.source_embeddings(source_ids), model.target_embeddings(target_ids)
    source = source + sinusoidal_positions(source.shape[1], D, POSITION_BASE)
    target = target + sinusoidal_positions(target.shape[1], D, POSITION_BASE)
    masks = {"tgt_mask": ~causal_mask(target.shape[1]), "tgt_is_causal": True}
    read = encoder(source, src_key_padding_mask=~source_mask)
    written = decoder(target, read, memory_key_padding_mask=~source_mask, **masks)
    expected, logits = model.output(written), model(*batch)
    assert_close(logits, expected)
    embeddings = [model.source_embeddings.weight]
    assert_close(gradients(logits, embeddings), gradients(expected, embeddings))


# --- the language model --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpt() -> GPT:
    model = shake(GPT(V=20, D=D, H=H, L=3, hidden=HIDDEN, max_T=12).double())
    nn.init.normal_(model.positions.weight, std=3)
    return model.eval()


def tokens(rows: int, length: int, V: int = 20) -> Tensor:
    return torch.randint(V, (rows, length), generator=torch.Generator().manual_seed(1))


def test_a_language_model_equals_torchs_blocks_under_a_causal_mask(gpt):
    theirs, token_ids = torch_encoder(gpt.blocks, gpt.norm), tokens(B, 7)
    x = (gpt.words.weight[token_ids] + gpt.positions.weight[:7]) * D**0.5
    expected, logits = theirs(x, mask=~causal_mask(7)) @ gpt.words.weight.T, gpt(token_ids)
    assert_close(logits, expected)
    embeddings = [gpt.words.weight, gpt.positions.weight]
    assert_close(gradients(logits, embeddings), gradients(expected, embeddings))


def test_a_cache_changes_no_score(gpt):
    token_ids, cache = tokens(B, 10), gpt.new_cache()
    parts = [gpt(part, cache) for part in token_ids.split([4, 1, 3, 1, 1], dim=1)]
    assert_close(torch.cat(parts, dim=1), gpt(token_ids))


def test_before_it_has_learned_a_language_model_finds_all_tokens_about_equally_likely():
    torch.manual_seed(0)
    token_ids = tokens(8, 33, V=500)
    logits = GPT(V=500, max_T=32)(token_ids[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), token_ids[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(500), abs=0.1)


def test_too_many_tokens_are_told_in_a_sentence(gpt):
    with pytest.raises(ValueError, match="positions for 12 tokens, and 13 are asked for"):
        gpt(tokens(1, 13))
    cache = gpt.new_cache()
    gpt(tokens(1, 12), cache)
    with pytest.raises(ValueError, match="positions for 12 tokens, and 13 are asked for"):
        gpt(tokens(1, 1), cache)


# --- ModernBERT ----------------------------------------------------------------------------------


def test_blocks_of_today_equal_modernberts_near_and_far():
    sizes = {"vocab_size": 20, "hidden_size": 16, "num_attention_heads": 2, "pad_token_id": 0}
    sizes |= {"num_hidden_layers": 3, "intermediate_size": 10, "local_attention": 4}
    library = shake(ModernBertModel(ModernBertConfig(**sizes))).double().eval()
    token_ids = tokens(B, 9)
    x = library.embeddings(token_ids)
    for i, layer in enumerate(library.layers):
        block = ModernBlock(16, 2, 10, 10_000 if i else 160_000, 2 if i else None).double()
        if i == 0:
            block.attention_norm = nn.Identity()
        weights = layer.state_dict().values()
        block.load_state_dict(dict(zip(block.state_dict(), weights, strict=True)))
        x = block(x)
    expected = library(token_ids).last_hidden_state
    assert_close(library.final_norm(x), expected, rtol=1e-5, atol=1e-5)


def test_turned_queries_and_keys_see_only_how_far_apart_they_are():
    query, key = (normal(8, seed=seed).expand(12, 8) for seed in (0, 1))
    scores = rotate_positions(query) @ rotate_positions(key).T
    for apart in range(-11, 12):
        same = scores.diagonal(apart)
        assert_close(same, same[:1].expand_as(same), rtol=1e-5, atol=1e-5)
    assert scores[0].std() > 0.1
