"""The memory of a training step: every formula against a real model of the same classes, and the tables of docs/colab_t4.md."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForQuestionAnswering

from src.qa import load_squad, memory
from src.qa.training import prepare_network, span_loss
from src.runtime import COURSE, cache

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SMALL = {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 240, "vocab_size": 500}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.mark.parametrize("settings", [{}, SMALL, SMALL | {"intermediate_size": 384, "max_position_embeddings": 64, "type_vocab_size": 1}])
def test_parameters_are_those_of_the_real_model_with_and_without_word_embeddings(settings):
    """With no settings it is bert-base-uncased, built from its config; its numbers are never filled in."""
    config = BertConfig(**settings)
    with torch.device("meta"):
        model = BertForQuestionAnswering(config)
    assert memory.parameter_count(config) == sum(p.numel() for p in model.parameters())
    prepare_network(model)
    assert memory.trained_count(config) == sum(p.numel() for p in model.parameters() if p.requires_grad)


def kept_by_the_forward_pass(config, batch_size, length, precision):
    """Bytes that torch keeps of one forward pass in training, (activations, copies of weights): each block of memory once."""
    torch.manual_seed(0)
    model = BertForQuestionAnswering(config).train()
    prepare_network(model)
    model.set_attn_implementation("sdpa")  # as on the GPUs of the page; a CPU gets another
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    shapes = {shape for p in model.parameters() if p.dim() == 2 for shape in (tuple(p.shape), tuple(p.T.shape))}
    kept, blocks = [], {}

    def keep(tensor):
        block = tensor.untyped_storage()
        if block.data_ptr() not in weights:
            kept.append(tensor)  # nothing else may get its address
            is_copy = precision != "fp32" and tensor.dtype == DTYPES[precision] and tuple(tensor.shape) in shapes
            blocks[block.data_ptr()] = (block.nbytes(), is_copy)
        return tensor

    ids = torch.randint(0, config.vocab_size, (batch_size, length))
    mask = torch.ones_like(ids)
    mask[0, -2:] = 0  # without padding there would be no mask to keep
    positions = torch.zeros(batch_size, dtype=torch.long)
    inputs = {"input_ids": ids, "attention_mask": mask, "start_positions": positions, "end_positions": positions}
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", DTYPES[precision], precision != "fp32"),
    ):
        span_loss(model, inputs)
    return tuple(sum(size for size, is_copy in blocks.values() if is_copy == wanted) for wanted in (False, True))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(("batch_size", "length"), [(4, 64), (9, 64), (4, 150)])
def test_activations_and_copies_of_weights_are_what_torch_keeps(precision, batch_size, length):
    """Within one percent, which is what the loss keeps: some numbers for each token that the formula leaves out."""
    config = BertConfig(**SMALL, **NO_DROPOUT)
    activations, copies = kept_by_the_forward_pass(config, batch_size, length, precision)
    assert memory.activation_bytes(config, batch_size, length, precision) == pytest.approx(activations, rel=0.01)
    assert memory.step_memory(config, batch_size, length, precision).copies == copies


def test_gradients_and_optimizer_are_what_a_step_leaves_behind():
    config = BertConfig(**SMALL, **NO_DROPOUT)
    model = BertForQuestionAnswering(config).train()
    prepare_network(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    ids = torch.randint(0, config.vocab_size, (2, 8))
    ends = torch.tensor([1, 2])
    span_loss(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids), "start_positions": ends, "end_positions": ends})[
        0
    ].backward()
    optimizer.step()
    step = memory.step_memory(config, 2, 8)
    assert step.weights == sum(p.nbytes for p in model.parameters())
    assert step.gradients == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    states = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    assert step.optimizer == sum(value.nbytes for value in states)
    assert step.total == step.weights + step.copies + step.gradients + step.optimizer + step.activations


@pytest.mark.parametrize("gigabytes", [2, 4, 16, 40])
def test_the_largest_batch_fits_with_the_margin_and_one_more_does_not(gigabytes):
    config, room = BertConfig(), (1 - memory.MARGIN) * gigabytes * 1e9
    fits = memory.largest_batch(config, 384, gigabytes * 1e9)
    assert memory.step_memory(config, fits, 384).total <= room or fits == 0
    assert memory.step_memory(config, fits + 1, 384).total > room


@pytest.mark.parametrize(
    ("batch_size", "fits", "expected"), [(32, 70, (32, 1)), (32, 29, (16, 2)), (32, 9, (8, 4)), (30, 7, (6, 5)), (7, 3, (1, 7))]
)
def test_accumulated_parts_are_equal_fit_and_are_as_few_as_possible(batch_size, fits, expected):
    assert memory.accumulate(batch_size, fits) == expected


def test_where_nothing_fits_one_sentence_says_so():
    with pytest.raises(ValueError, match="smaller model"):
        memory.accumulate(32, memory.largest_batch(BertConfig(), 384, 1e9))


def test_gradients_of_accumulated_parts_are_those_of_the_whole_batch():
    """What the page says of accumulation: parts of equal size, their mean loss divided by how many there are, add up to the same step."""
    config = BertConfig(**SMALL, **NO_DROPOUT)
    torch.manual_seed(0)
    model = BertForQuestionAnswering(config).train()
    ids, ends = torch.randint(0, config.vocab_size, (8, 12)), torch.randint(0, 12, (8,))
    rows = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "start_positions": ends, "end_positions": ends}
    at_once, times = memory.accumulate(8, 3)
    gradients = []
    for size, divisor in ((8, 1), (at_once, times)):
        model.zero_grad()
        for start in range(0, 8, size):
            part = {name: tensor[start : start + size] for name, tensor in rows.items()}
            (span_loss(model, part)[0] / divisor).backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.allclose(whole, parts, atol=1e-6) for whole, parts in zip(*gradients, strict=True))


def test_the_page_on_colab_shows_these_tables_and_counts():
    page = (COURSE / "docs" / "colab_t4.md").read_text(encoding="utf-8")
    bert_base = BertConfig()
    for table in (memory.batch_table(bert_base), memory.gpu_table(bert_base)):
        assert table in page, "docs/colab_t4.md shows other numbers: put in those of python -m src.qa.memory"
    assert f"{memory.parameter_count(bert_base):,}" in page and f"{memory.trained_count(bert_base):,}" in page


def test_a_pass_over_squad_takes_as_many_full_batches_as_training_makes_of_its_questions():
    from src.qa.batches import batch_passes

    sizes = (COURSE / "data" / "squad_sizes.csv").read_text(encoding="utf-8")
    assert f"SQuAD 1.1,train,{memory.SQUAD_QUESTIONS}," in sizes
    steps = len(next(batch_passes(np.ones(memory.SQUAD_QUESTIONS, dtype=int), 16, 0)))
    assert steps == math.ceil(memory.SQUAD_QUESTIONS / 16) and f" {steps:,} |" in memory.batch_table(BertConfig())


@pytest.mark.full
def test_the_commands_of_the_page_train_and_score_a_small_model_of_the_same_classes(tiny_folder, tmp_path, clean_environment):
    """A model and data that are here stand in for those that need a network; every other word is the page's own."""
    page = (COURSE / "docs" / "colab_t4.md").read_text(encoding="utf-8")
    typed = re.findall(r"^!cd words-to-answers && COURSE_ONLINE=1 python (-m src\.qa .+)$", page, re.MULTILINE)
    ours = {"bert-base-uncased": str(tiny_folder), "squad": "course", "build/runs/bert-base-squad": str(tmp_path / "run")}
    results = []
    for words in map(str.split, typed):
        command = [sys.executable, *(ours.get(word, word) for word in words)]
        done = subprocess.run(command, cwd=COURSE, env=clean_environment | {"COURSE_CACHE": str(cache())}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        results.append(json.loads(done.stdout.splitlines()[-1]))
    trained, scored = results
    questions = len(load_squad("course")["train"])
    assert trained["finished"] and trained["steps"] == 2 * math.ceil(questions / 32), "two passes, 32 windows a step"
    assert f"take {trained['steps']} steps, twice the {trained['steps'] // 2} that" in page and f"{questions:,} questions" in page
    assert 0 <= scored["exact_match"] <= scored["f1"] <= 100
