"""Blocks, encoder, translator and GPT against torch's modules and transformers' BertModel."""

from __future__ import annotations

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
from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering, BertModel

from src import assets
from src.attention import MultiHeadAttention, causal_mask, padding_mask, sinusoidal_positions
from src.dates import START_ID, collate, make_dates
from src.text import split_sentences
from src.transformer import (
    GPT,
    POSITION_BASE,
    DecoderBlock,
    Encoder,
    EncoderBlock,
    Transformer,
    bert_to_ours,
    count_parameters,
    seconds_per_batch,
)

B, T, S, D, H, HIDDEN = 3, 4, 5, 6, 2, 10


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers in double precision, whose gradients are wanted."""
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).requires_grad_()


def shake(module: nn.Module) -> nn.Module:
    """Random parameters: with layer norms of one and biases of zero no mix-up could be seen."""
    for seed, parameter in enumerate(module.parameters()):
        parameter.data = 0.5 * normal(*parameter.shape, seed=seed).detach().to(parameter.dtype)
    return module


def gradients(outputs: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    """Of a sum in which every number of the outputs has its own weight."""
    weights = torch.linspace(-1, 2, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
    return torch.autograd.grad((outputs * weights).sum(), inputs, retain_graph=True)


def attention_pairs(
    ours: MultiHeadAttention, theirs: nn.MultiheadAttention
) -> list[tuple[list[Tensor], Tensor]]:
    """Our parameters, in groups, each with the one of torch's that holds all of the group."""
    parts = [ours.W_q, ours.W_k, ours.W_v]
    return [
        ([part.weight for part in parts], theirs.in_proj_weight),
        ([part.bias for part in parts], theirs.in_proj_bias),
        ([ours.W_o.weight], theirs.out_proj.weight),
        ([ours.W_o.bias], theirs.out_proj.bias),
    ]


def block_pairs(
    ours: EncoderBlock | DecoderBlock, theirs: nn.Module
) -> list[tuple[list[Tensor], Tensor]]:
    """The same for a whole block and torch's TransformerEncoderLayer or TransformerDecoderLayer."""
    modules = [
        (ours.attention_norm, theirs.norm1),
        (ours.feed_forward.expand, theirs.linear1),
        (ours.feed_forward.contract, theirs.linear2),
    ]
    pairs = attention_pairs(ours.attention, theirs.self_attn)
    if hasattr(ours, "cross_attention"):
        pairs += attention_pairs(ours.cross_attention, theirs.multihead_attn)
        modules += [
            (ours.cross_attention_norm, theirs.norm2),
            (ours.feed_forward_norm, theirs.norm3),
        ]
    else:
        modules += [(ours.feed_forward_norm, theirs.norm2)]
    return pairs + [
        ([getattr(mine, kind)], getattr(other, kind))
        for mine, other in modules
        for kind in ("weight", "bias")
    ]


def copy(pairs: list[tuple[list[Tensor], Tensor]]) -> None:
    for ours, theirs in pairs:
        for mine, other in zip(ours, theirs.detach().chunk(len(ours)), strict=True):
            assert mine.shape == other.shape
            mine.data = other.clone()


def assert_same_gradients(
    ours: Tensor, theirs: Tensor, inputs: list[Tensor], pairs: list[tuple[list[Tensor], Tensor]]
) -> None:
    """ours, theirs: the outputs of the two, of the same inputs."""
    assert_close(gradients(ours, inputs), gradients(theirs, inputs))
    for mine, other in pairs:
        assert_close(torch.cat(gradients(ours, mine)), *gradients(theirs, [other]))


def torch_block(kind: type[nn.Module], norm_first: bool) -> nn.Module:
    """torch's block with random weights, in training mode, so that it takes no shortcut."""
    return shake(
        kind(
            D,
            H,
            HIDDEN,
            dropout=0.0,
            activation=F.gelu,
            batch_first=True,
            norm_first=norm_first,
            dtype=torch.float64,
        )
    )


# --- the blocks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_block_equals_torchs_in_outputs_and_gradients(norm_first: bool) -> None:
    theirs, ours = (
        torch_block(nn.TransformerEncoderLayer, norm_first),
        EncoderBlock(D, H, HIDDEN, norm_first).double(),
    )
    pairs = block_pairs(ours, theirs)
    copy(pairs)
    x, padding = normal(B, T, D), padding_mask(torch.tensor([4, 2, 3]))
    output, weights = ours(x, padding & causal_mask(T))
    expected = theirs(x, src_mask=~causal_mask(T), src_key_padding_mask=~padding[:, 0])
    assert_close(output, expected)
    assert weights.shape == (B, H, T, T)
    assert_same_gradients(output, expected, [x], pairs)


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_decoder_block_equals_torchs_in_outputs_and_gradients(norm_first: bool) -> None:
    theirs, ours = (
        torch_block(nn.TransformerDecoderLayer, norm_first),
        DecoderBlock(D, H, HIDDEN, norm_first=norm_first).double(),
    )
    pairs = block_pairs(ours, theirs)
    copy(pairs)
    x, source, padding = (
        normal(B, T, D),
        normal(B, S, D, seed=1),
        padding_mask(torch.tensor([5, 1, 3])),
    )
    output, weights, source_weights = ours(x, source, causal_mask(T), padding)
    expected = theirs(x, source, tgt_mask=~causal_mask(T), memory_key_padding_mask=~padding[:, 0])
    assert_close(output, expected)
    assert weights.shape == (B, H, T, T) and source_weights.shape == (B, H, T, S)
    assert_same_gradients(output, expected, [x, source], pairs)


def test_dropout_leaves_out_what_a_part_adds_and_only_in_training() -> None:
    block, x = EncoderBlock(D, H, HIDDEN, norm_first=True, dropout=1.0).double(), normal(B, T, D)
    assert_close(block(x)[0], x)
    assert (block.eval()(x)[0] - x).abs().min() > 0


# --- the encoder ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minilm() -> tuple[Encoder, BertModel, AutoTokenizer]:
    folder = assets.path("minilm")
    library = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    return Encoder.from_pretrained("minilm"), library, AutoTokenizer.from_pretrained(folder)


def assert_equals_library(encoder: Encoder, library: BertModel, inputs: dict[str, Tensor]) -> None:
    """Every layer and every attention map, to 1e-5 of numbers that are about one."""
    with torch.no_grad():
        expected = library(**inputs, output_hidden_states=True, output_attentions=True)
        arguments = (inputs["input_ids"], inputs["attention_mask"].bool(), inputs["token_type_ids"])
        trace = encoder.trace(*arguments)
        assert_close(encoder(*arguments), expected.last_hidden_state, rtol=0, atol=1e-5)
    assert len(trace.layers) == len(expected.hidden_states) and len(trace.attention) == len(
        expected.attentions
    )
    for ours, theirs in zip(
        [*trace.layers, *trace.attention],
        [*expected.hidden_states, *expected.attentions],
        strict=True,
    ):
        assert_close(ours, theirs, rtol=1e-5, atol=1e-5)  # between the blocks numbers are larger


def test_our_encoder_with_minilms_weights_equals_the_librarys_on_real_sentences(
    minilm: tuple,
) -> None:
    encoder, library, tokenizer = minilm
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
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[BertModel, Path]:
    """A BERT of random weights, and the folder it was saved in."""
    config = BertConfig(
        vocab_size=50,
        hidden_size=12,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=20,
        max_position_embeddings=16,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",
    )
    library = shake(BertModel(config)).eval()
    folder = tmp_path_factory.mktemp("bert")
    library.save_pretrained(folder)
    return library, folder


def tiny_inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    token_ids = torch.randint(
        50, (4, 4), generator=generator
    )  # as many rows as tokens: a mask on the wrong axis would fit
    mask = padding_mask(torch.tensor([1, 2, 3, 4]))[:, 0]
    return {
        "input_ids": token_ids,
        "attention_mask": mask.long(),
        "token_type_ids": torch.randint(2, (4, 4), generator=generator),
    }


def test_our_encoder_reads_a_bert_from_a_folder_and_its_gradients_are_the_librarys(
    tiny: tuple,
) -> None:
    library, folder = tiny
    assert_equals_library(Encoder.from_pretrained(str(folder)), library, tiny_inputs())
    encoder, inputs = Encoder.from_pretrained(folder).double(), tiny_inputs()
    library = BertModel.from_pretrained(folder, attn_implementation="eager").double().eval()
    ours = encoder(inputs["input_ids"], inputs["attention_mask"].bool(), inputs["token_type_ids"])
    theirs = library(**inputs).last_hidden_state
    assert_close(ours, theirs)
    named = {
        name: parameter for name, parameter in library.named_parameters() if bert_to_ours(name)
    }
    mine = dict(encoder.named_parameters())
    assert sorted(map(bert_to_ours, named)) == sorted(
        mine
    )  # each of ours has its one place in the file
    found = gradients(ours, [mine[bert_to_ours(name)] for name in named])
    for name, one, other in zip(named, found, gradients(theirs, list(named.values())), strict=True):
        assert_close(one, other, msg=lambda text, name=name: f"{name}: {text}")


def test_our_encoder_reads_a_bert_with_a_head_one_in_half_precision_and_one_with_old_names(
    tiny: tuple, tmp_path: Path
) -> None:
    library, _ = tiny
    with_head = BertForQuestionAnswering(library.config)
    with_head.bert.load_state_dict(library.state_dict(), strict=False)
    with_head.save_pretrained(tmp_path)
    assert_equals_library(Encoder.from_pretrained(tmp_path), library, tiny_inputs())

    tensors = load_file(tmp_path / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): t
        for name, t in tensors.items()
    }
    save_file(old, tmp_path / "model.safetensors")
    assert_equals_library(Encoder.from_pretrained(tmp_path), library, tiny_inputs())

    save_file(
        {name: tensor.half() for name, tensor in tensors.items()}, tmp_path / "model.safetensors"
    )
    encoder = Encoder.from_pretrained(tmp_path)
    assert encoder.words.weight.dtype == torch.float32
    assert_close(encoder.words.weight, library.embeddings.word_embeddings.weight.half().float())


def test_a_model_that_cannot_be_had_is_told_in_a_sentence(tiny: tuple, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"holds no model that can be read .* needs config.json and model.safetensors",
    ):
        Encoder.from_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"'nobody/nothing' is no folder here and cannot be had from the Hub"
    ):
        Encoder.from_pretrained("nobody/nothing")

    folder = tmp_path / "changed"
    shutil.copytree(tiny[1], folder)
    config = json.loads((folder / "config.json").read_text())
    for changes, message in [
        ({"model_type": "roberta"}, "model_type is 'roberta'"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ({"num_hidden_layers": 4}, r"weights do not fit config.json \(Missing key"),
        ({"hidden_size": 14}, r"weights do not fit config.json \(size mismatch"),
    ]:
        (folder / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(ValueError, match=message):
            Encoder.from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match="holds no model that can be read"):
        Encoder.from_pretrained(folder)


def test_inputs_that_do_not_fit_the_encoder_are_told_in_a_sentence(tiny: tuple) -> None:
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


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Dates of several lengths, so that there is padding."""
    return collate(make_dates(5, seed=0))


def test_the_translator_equals_torchs_encoder_and_decoder(model: Transformer, batch: tuple) -> None:
    source_ids, source_mask, target_ids = batch
    encoder = nn.TransformerEncoder(
        torch_block(nn.TransformerEncoderLayer, True),
        2,
        norm=model.encoder_norm,
        enable_nested_tensor=False,
    )
    decoder = nn.TransformerDecoder(
        torch_block(nn.TransformerDecoderLayer, True), 2, norm=model.decoder_norm
    )
    for ours, theirs in [
        *zip(model.encoder, encoder.layers, strict=True),
        *zip(model.decoder, decoder.layers, strict=True),
    ]:
        for mine, other in block_pairs(ours, theirs):
            other.data = torch.cat([part.detach() for part in mine])
    source, target = model.source_embeddings(source_ids), model.target_embeddings(target_ids)
    S, T = source_ids.shape[1], target_ids.shape[1]
    read = encoder(
        source + sinusoidal_positions(S, D, POSITION_BASE), src_key_padding_mask=~source_mask
    )
    written = decoder(
        target + sinusoidal_positions(T, D, POSITION_BASE),
        read,
        tgt_mask=~causal_mask(T),
        memory_key_padding_mask=~source_mask,
        tgt_is_causal=True,
    )
    expected, logits = model.output(written), model(*batch)
    assert_close(logits, expected)
    assert_close(
        gradients(logits, [model.source_embeddings.weight]),
        gradients(expected, [model.source_embeddings.weight]),
    )


def test_padding_changes_no_score_and_no_alignment_of_the_translator(
    model: Transformer, batch: tuple
) -> None:
    source_ids, source_mask, target_ids = batch
    logits, alignments = model(*batch), model.alignments(*batch)
    assert not source_mask.all() and len(alignments) == 2
    for row, length in enumerate(source_mask.sum(1).tolist()):
        alone = (
            source_ids[row : row + 1, :length],
            source_mask[row : row + 1, :length],
            target_ids[row : row + 1],
        )
        assert_close(logits[row : row + 1], model(*alone))
        for weights, weights_alone in zip(alignments, model.alignments(*alone), strict=True):
            assert_close(weights[row : row + 1, ..., :length], weights_alone)
            assert weights[row, ..., length:].eq(0).all()


def test_greedy_decoding_writes_what_the_translator_finds_most_likely_after_its_own_words(
    model: Transformer, batch: tuple
) -> None:
    source_ids, source_mask, _ = batch
    written = model.greedy_decode(source_ids, source_mask, 7)
    assert written.shape == (5, 7) and len(written.unique()) > 2
    read = torch.cat([torch.full((5, 1), START_ID), written[:, :-1]], dim=1)
    assert torch.equal(model(source_ids, source_mask, read).argmax(-1), written)


def test_every_parameter_of_the_translator_learns(model: Transformer, batch: tuple) -> None:
    model.zero_grad()
    logits = model(*batch[:2], batch[2][:, :-1])
    F.cross_entropy(logits.flatten(0, 1), batch[2][:, 1:].flatten()).backward()
    assert all(parameter.grad.norm() > 0 for name, parameter in model.named_parameters())
    assert type(model)(**model.settings).settings == model.settings


# --- the language model --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpt() -> GPT:
    model = shake(GPT(V=20, D=D, H=H, L=3, hidden=HIDDEN, max_T=12).double())
    nn.init.constant_(model.norm.bias, 0.1)  # a large one would make it say the same word always
    nn.init.normal_(model.positions.weight, std=3)
    return model.eval()


def tokens(rows: int, length: int, V: int = 20) -> Tensor:
    return torch.randint(V, (rows, length), generator=torch.Generator().manual_seed(1))


def test_a_language_model_equals_torchs_blocks_under_a_causal_mask(gpt: GPT) -> None:
    theirs = nn.TransformerEncoder(
        torch_block(nn.TransformerEncoderLayer, True), 3, norm=gpt.norm, enable_nested_tensor=False
    )
    for ours, block in zip(gpt.blocks, theirs.layers, strict=True):
        for mine, other in block_pairs(ours, block):
            other.data = torch.cat([part.detach() for part in mine])
    token_ids = tokens(B, 7)
    x = (gpt.words.weight[token_ids] + gpt.positions.weight[:7]) * D**0.5
    expected, logits = theirs(x, mask=~causal_mask(7)) @ gpt.words.weight.T, gpt(token_ids)
    assert_close(logits, expected)
    assert_close(
        gradients(logits, [gpt.words.weight, gpt.positions.weight]),
        gradients(expected, [gpt.words.weight, gpt.positions.weight]),
    )


def test_a_cache_changes_no_score(gpt: GPT) -> None:
    token_ids, cache = tokens(B, 10), gpt.new_cache()
    parts = [gpt(part, cache) for part in token_ids.split([4, 1, 3, 1, 1], dim=1)]
    assert_close(torch.cat(parts, dim=1), gpt(token_ids))


def test_no_token_sees_a_later_one(gpt: GPT) -> None:
    token_ids = tokens(1, 8)
    changed = token_ids.clone()
    changed[0, 5] = (changed[0, 5] + 1) % 20
    before, after = gpt(token_ids)[0], gpt(changed)[0]
    assert_close(before[:5], after[:5], rtol=0, atol=0)
    assert (before[5:] != after[5:]).any(-1).all()


def test_before_it_has_learned_a_language_model_finds_all_tokens_about_equally_likely() -> None:
    torch.manual_seed(0)
    token_ids = tokens(8, 33, V=500)
    logits = GPT(V=500, max_T=32)(token_ids[:, :-1])
    assert F.cross_entropy(
        logits.flatten(0, 1), token_ids[:, 1:].flatten()
    ).item() == pytest.approx(math.log(500), abs=0.1)


def test_too_many_tokens_or_none_are_told_in_a_sentence(gpt: GPT) -> None:
    with pytest.raises(ValueError, match="positions for 12 tokens, and 13 are asked for"):
        gpt(tokens(1, 13))
    cache = gpt.new_cache()
    gpt(tokens(1, 12), cache)
    with pytest.raises(ValueError, match="positions for 12 tokens, and 13 are asked for"):
        gpt(tokens(1, 1), cache)


# --- what it costs -------------------------------------------------------------------------------


def test_parameters_are_counted_by_part_and_all_of_them_once() -> None:
    gpt = GPT(V=20, D=6, H=2, L=3, hidden=10, max_T=12)
    assert count_parameters(gpt) == {
        "embeddings": 20 * 6 + 12 * 6,
        "attention": 3 * 4 * (6 * 6 + 6),
        "feed-forward": 3 * (6 * 10 + 10 + 10 * 6 + 6),
        "layer norm": (3 * 2 + 1) * 2 * 6,
    }
    model = Transformer(D=6, H=2, L=2, hidden=10)
    counts = count_parameters(model)
    assert counts["output"] == 6 * model.settings["V"] + model.settings["V"]
    assert counts["attention"] == 3 * 2 * 4 * (6 * 6 + 6)  # the decoder's blocks have two
    assert sum(counts.values()) == sum(parameter.numel() for parameter in model.parameters())


def test_timing_a_batch_leaves_no_gradient_behind() -> None:
    model = Transformer(D=6, H=2, L=1, hidden=10)
    assert seconds_per_batch(model, S=9, B=2, repeats=1) > 0
    assert seconds_per_batch(model, S=9, B=2, training=True, repeats=1) > 0
    assert all(parameter.grad is None for parameter in model.parameters())
