"""Quantising, pruning and distilling: against float64, exact integers and torch's own; and that measuring compares fairly."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune as torch_prune

from src import compression, runtime
from src.compression import (
    FORBIDDEN,
    Int8Embedding,
    Int8Linear,
    dequantise,
    distil,
    distillation_loss,
    halve_layers,
    keep_layers,
    layers_loss,
    linear_layers,
    measure,
    megabytes,
    prune,
    quantise,
    quantise_rows,
    reader_of,
    save_student,
    share_of_zeros,
    smallest,
    to_16_bits,
    with_layers,
)
from src.qa import QuestionAnswerer, evaluate, load_squad
from src.qa.dataset import FEATURES, answerable_only
from src.qa.models import WEIGHTS, read_card

INSTRUCTIONS_FOR_BYTES = torch.cpu.get_capabilities().get("avx512_vnni", False)
PASSAGE = "Oxygen is a chemical element with the symbol O and atomic number 8. It was discovered in 1774 by Joseph Priestley in England."
QUESTIONS = {
    "What is the atomic number of oxygen?": "8",
    "When was oxygen discovered?": "1774",
    "Who discovered oxygen?": "Joseph Priestley",
    "What is the symbol of oxygen?": "O",
    "Where was oxygen discovered?": "England",
}


@pytest.fixture(scope="module")
def teacher() -> QuestionAnswerer:
    """The shipped reader, in fp32. Do not change its weights."""
    return QuestionAnswerer.load("qa-minilm", precision="fp32")


@pytest.fixture(scope="module")
def questions() -> Dataset:
    """Five questions about one passage, in SQuAD's columns."""
    answers = [{"text": [text], "answer_start": [PASSAGE.index(text)]} for text in QUESTIONS.values()]
    n = len(QUESTIONS)
    columns = {"id": [f"q{i}" for i in range(n)], "title": ["Oxygen"] * n, "context": [PASSAGE] * n, "question": list(QUESTIONS)}
    return Dataset.from_dict(columns | {"answers": answers}, features=FEATURES)


@pytest.fixture(scope="module")
def inputs(teacher) -> dict[str, torch.Tensor]:
    """The five questions as a batch with padding."""
    passages = [PASSAGE[: 60 + 15 * i] for i in range(len(QUESTIONS))]
    return dict(teacher.tokenizer(list(QUESTIONS), passages, padding=True, return_tensors="pt"))


@pytest.fixture(scope="module")
def weights(teacher) -> torch.Tensor:
    """A matrix of a trained model: float[1536, 384]."""
    return teacher.model.bert.encoder.layer[3].intermediate.dense.weight.detach().clone()


def state_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same_state(model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    now = model.state_dict()
    assert now.keys() == state.keys()
    assert all(torch.equal(now[name], tensor) for name, tensor in state.items())


# --- quantise ------------------------------------------------------------------------------------------------------------


def test_each_row_is_rounded_to_its_own_127th_part(weights):
    numbers, scales = quantise_rows(weights)
    exact = weights.numpy().astype(np.float64)
    steps = np.abs(exact).max(axis=1, keepdims=True) / 127
    assert numbers.dtype == torch.int8 and numbers.shape == weights.shape and scales.shape == (len(weights), 1)
    assert scales.numpy() == pytest.approx(steps, rel=1e-6)
    assert np.abs(numbers.numpy() - exact / steps).max() <= 0.5 + 1e-4
    assert (numbers.abs().amax(dim=1) == 127).all() and numbers.min() >= -127
    errors = np.abs(dequantise(numbers, scales).numpy() - exact)
    assert (errors <= steps / 2 * (1 + 1e-4)).all() and errors.max() > steps.min() / 4


def test_rounding_is_that_of_torchs_own_quantiser(weights):
    numbers, scales = quantise_rows(weights)
    zeros = torch.zeros(len(weights), dtype=torch.int32)
    theirs = torch.fake_quantize_per_channel_affine(weights, scales[:, 0], zeros, 0, -127, 127)
    apart = ((dequantise(numbers, scales) - theirs) / scales).abs().round()
    # It multiplies by 1 / scale where we divide by the scale: a weight halfway between two numbers may go the other way.
    assert (apart == 0).float().mean() > 0.9999 and apart.max() <= 1


def test_a_row_is_rounded_as_if_it_were_alone_and_keeps_its_zeros_and_signs():
    x = torch.tensor([[1.0, -2.0, 0.0, 0.5], [1000.0, 1.0, -3.0, 0.0], [0.0, 0.0, 0.0, 0.0], [-1e-3, 1e-3, 5e-4, 0.0]])
    numbers, scales = quantise_rows(x)
    # 0.5 / (2 / 127) is 31.75, 1 / (1000 / 127) is 0.127, -3 is -0.381, and 63.5 is halfway: it goes to the even neighbour.
    assert numbers.tolist() == [[64, -127, 0, 32], [127, 0, 0, 0], [0, 0, 0, 0], [-127, 127, 64, 0]]
    assert torch.isfinite(scales).all() and (dequantise(numbers, scales)[2] == 0).all()
    for i in range(4):
        assert torch.equal(quantise_rows(x[i : i + 1])[0][0], numbers[i])


def test_half_precision_never_rounds_past_127():
    x = torch.randn(2000, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    numbers, _ = quantise_rows(x)
    assert numbers.min() >= -127
    assert (numbers.sign() * x.sign() >= 0).all()  # 128 would have become -128


def product(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """What an int8 layer with these whole numbers as weights makes of x."""
    layer = Int8Linear(nn.Linear(weights.shape[1], weights.shape[0]))
    layer.numbers, layer.scales = weights, torch.ones(len(weights))
    return layer.multiply(x)


@pytest.mark.parametrize("instructions", [True, False])
def test_whole_numbers_are_multiplied_exactly_whatever_the_processor(monkeypatch, instructions):
    if instructions and not INSTRUCTIONS_FOR_BYTES:
        pytest.skip("this processor has none")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": instructions})
    generator = torch.Generator().manual_seed(0)
    for N, D_in, D_out in ((1, 4, 3), (7, 384, 11), (64, 384, 384), (33, 1000, 20)):
        x, weights = (torch.randint(-127, 128, size, generator=generator, dtype=torch.int8) for size in ((N, D_in), (D_out, D_in)))
        exact = x.numpy().astype(np.int64) @ weights.numpy().astype(np.int64).T
        assert (product(x, weights).numpy() == exact).all() and torch.equal(product(x, weights).int(), torch._int_mm(x, weights.T))
        with torch.autocast("cpu", torch.bfloat16):
            assert (product(x, weights).numpy() == exact).all()
    x, weights = torch.full((3, 1024), -127, dtype=torch.int8), torch.full((5, 1024), 127, dtype=torch.int8)
    assert (product(x, weights) == -127 * 127 * 1024).all()  # nothing saturates at 16 bits


def test_an_int8_layer_is_exact_arithmetic_on_rounded_numbers(teacher):
    linear = teacher.model.bert.encoder.layer[2].output.dense
    layer, x = Int8Linear(linear), 3 * torch.randn(2, 5, linear.in_features, generator=torch.Generator().manual_seed(0))
    numbers, scales = quantise_rows(x.flatten(0, 1))
    row_numbers, row_scales = quantise_rows(linear.weight.detach())
    sums = numbers.numpy().astype(np.int64) @ row_numbers.numpy().astype(np.int64).T
    exact = sums * scales.numpy().astype(np.float64) * row_scales.numpy().astype(np.float64).T + linear.bias.detach().numpy()
    with torch.no_grad():
        y, as_it_was = layer(x), linear(x)
    assert y.shape == (2, 5, linear.out_features) and y.dtype == torch.float32
    assert y.flatten(0, 1).numpy() == pytest.approx(exact, rel=1e-5, abs=1e-5)
    assert (y - as_it_was).norm() / as_it_was.norm() < 0.03  # what rounding to whole numbers costs this layer


@pytest.mark.parametrize("tokens", [1, 2, 1023, 1024, 1025, 2500])
def test_many_tokens_are_taken_in_parts_and_none_sees_another(tokens):
    layer, x = Int8Linear(nn.Linear(12, 5)), torch.randn(tokens, 12, generator=torch.Generator().manual_seed(0))
    y = layer(x)
    assert y.shape == (tokens, 5)
    for i in {0, tokens // 2, tokens - 1}:
        torch.testing.assert_close(y[i], layer(x[i : i + 1])[0])
    x[0] *= 1000
    assert torch.equal(layer(x)[1:], y[1:])


def test_an_int8_layer_without_bias_and_under_autocast():
    linear = nn.Linear(16, 4, bias=False)
    layer, x = Int8Linear(linear), torch.randn(3, 16)
    torch.testing.assert_close(layer(x), linear(x).detach(), atol=0.05, rtol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16 and layer(x.bfloat16()).shape == (3, 4)
    torch.testing.assert_close(layer(x.bfloat16()), layer(x).bfloat16(), atol=0.05, rtol=0.05)


def test_int8_embeddings_are_rows_rounded_by_themselves():
    embedding = nn.Embedding(50, 8)
    with torch.no_grad():
        embedding.weight[7] *= 100
    small, ids = Int8Embedding(embedding), torch.tensor([[7, 3], [0, 7]])
    restored = dequantise(*quantise_rows(embedding.weight.detach()))
    assert torch.equal(small(ids), restored[ids]) and small(ids).shape == (2, 2, 8)
    assert ((small(ids) - embedding(ids)).abs() <= small.scales[ids] * 0.501).all()


def test_a_quantised_reader_is_a_quarter_as_large_and_says_the_same(teacher, questions, inputs):
    before = state_of(teacher.model)
    small = quantise(teacher.model)
    assert_same_state(teacher.model, before)
    assert not [module for module in small.bert.modules() if type(module) in (nn.Linear, nn.Embedding)]
    assert sum(isinstance(module, Int8Linear) for module in small.modules()) == 6 * 6
    assert torch.equal(small.qa_outputs.weight, teacher.model.qa_outputs.weight)
    assert 0.25 < megabytes(small) / megabytes(teacher.model) < 0.27
    with torch.no_grad():
        mine, theirs = small(**inputs).start_logits, teacher.model(**inputs).start_logits
    real = inputs["attention_mask"].bool()
    assert torch.corrcoef(torch.stack([mine[real], theirs[real]]))[0, 1] > 0.99
    reader = reader_of(small, teacher, "fp32")
    for threshold in (0.0, 0.5):
        answers = [[answer.text for answer in qa(list(QUESTIONS), [PASSAGE] * 5, threshold)] for qa in (reader, teacher)]
        assert answers[0] == answers[1]
    assert (reader.threshold, reader.temperature) == (teacher.threshold, teacher.temperature)
    assert reader.tokenizer is teacher.tokenizer


def test_sixteen_bits_are_half_as_large(teacher):
    small = to_16_bits(teacher.model)
    assert megabytes(small) == pytest.approx(megabytes(teacher.model) / 2) and teacher.model.dtype == torch.float32
    answers = [[answer.text for answer in qa(list(QUESTIONS), [PASSAGE] * 5, 0.0)] for qa in (reader_of(small, teacher, "fp32"), teacher)]
    assert answers[0] == answers[1]


# --- prune ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.937, 1.0])
def test_pruning_is_torchs_own(weights, share):
    module = nn.Linear(weights.shape[1], weights.shape[0])
    module.weight = nn.Parameter(weights.clone())
    torch_prune.l1_unstructured(module, "weight", amount=share)
    marked = smallest(weights, share)
    assert marked.shape == weights.shape and marked.sum() == round(share * weights.numel())
    assert torch.equal(weights.masked_fill(marked, 0), module.weight)
    if 0 < share < 1:
        assert weights[marked].abs().max() <= weights[~marked].abs().min()


def test_a_share_that_is_none_is_refused(weights):
    for share in (-0.1, 1.5):
        with pytest.raises(ValueError, match="from 0 to 1"):
            smallest(weights, share)


def test_every_layer_loses_its_own_share_and_the_file_stays_as_large(teacher):
    before = state_of(teacher.model)
    half = prune(teacher.model, 0.5)
    assert_same_state(teacher.model, before)
    assert share_of_zeros(half) == pytest.approx(0.5, abs=1e-3) and share_of_zeros(teacher.model) < 0.01
    assert all(float((linear.weight == 0).float().mean()) == pytest.approx(0.5, abs=2e-3) for linear in linear_layers(half))
    assert len(linear_layers(half)) == 36 and megabytes(half) == megabytes(teacher.model)
    kept = half.bert.encoder.layer[0].output.dense.weight
    assert torch.equal(kept[kept != 0], before["bert.encoder.layer.0.output.dense.weight"][kept != 0])
    assert torch.equal(half.bert.embeddings.word_embeddings.weight, teacher.model.bert.embeddings.word_embeddings.weight)


def test_layers_that_are_kept_are_those_asked_for_in_order(teacher, inputs):
    small = keep_layers(teacher.model, (4, 1))
    assert len(small.bert.encoder.layer) == small.config.num_hidden_layers == 2 and teacher.model.config.num_hidden_layers == 6
    for mine, theirs in ((0, 4), (1, 1)):
        weight = small.bert.encoder.layer[mine].attention.self.query.weight
        assert torch.equal(weight, teacher.model.bert.encoder.layer[theirs].attention.self.query.weight)
    with torch.no_grad():
        whole = keep_layers(teacher.model, range(6))(**inputs).end_logits
        assert torch.equal(whole, teacher.model(**inputs).end_logits)
        hidden = teacher.model.bert.embeddings(inputs["input_ids"], inputs["token_type_ids"])
        mask = inputs["attention_mask"][:, None, None].bool()
        for layer in (4, 1):
            hidden = teacher.model.bert.encoder.layer[layer](hidden, mask)
        start = teacher.model.qa_outputs(hidden)[..., 0]
    torch.testing.assert_close(small(**inputs).start_logits.detach(), start, atol=1e-4, rtol=1e-4)
    for kept in ((), (6,), (-1,)):
        with pytest.raises(ValueError, match="layers 0 to 5"):
            keep_layers(teacher.model, kept)


# --- distil --------------------------------------------------------------------------------------------------------------


def some_logits(seed: int, rows: int = 6, T: int = 20) -> torch.Tensor:
    return 4 * torch.randn(rows, T, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 7.0])
def test_the_distillation_loss_is_torchs_kl_divergence_in_value_and_gradient(temperature):
    teacher_logits = some_logits(1)
    mine, theirs = (some_logits(2).requires_grad_() for _ in range(2))
    loss = distillation_loss(mine, teacher_logits, temperature)
    student, target = (theirs / temperature).log_softmax(-1), (teacher_logits / temperature).softmax(-1)
    expected = temperature**2 * F.kl_div(student, target, reduction="batchmean")
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad)
    assert mine.grad.abs().max() > 1e-3


def test_the_loss_is_zero_for_the_teacher_itself_and_blind_to_padding():
    teacher_logits, student_logits = some_logits(1), some_logits(2)
    assert float(distillation_loss(teacher_logits, teacher_logits + 3, 2.0)) == pytest.approx(0, abs=1e-12)  # softmax sees differences only
    loss = distillation_loss(student_logits, teacher_logits, 2.0)
    padded = [torch.cat([logits, torch.full((6, 9), FORBIDDEN, dtype=logits.dtype)], dim=1) for logits in (student_logits, teacher_logits)]
    assert float(distillation_loss(*padded, 2.0)) == pytest.approx(float(loss))
    assert torch.isfinite(loss) and loss > 0.1


def test_the_layers_loss_compares_each_layer_with_the_one_as_far_on_and_leaves_padding_out():
    layers = list(torch.randn(6, 2, 5, 8, generator=torch.Generator().manual_seed(0)))
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    assert float(layers_loss(layers[1::2], layers, mask)) == 0
    assert float(layers_loss([layers[2], layers[5]], layers, mask)) == 0
    assert float(layers_loss(layers[0::2], layers, mask)) > 1
    mean = [layer[mask].mean().expand_as(layer) for layer in layers[1::2]]
    assert float(layers_loss(mean, layers, mask)) == pytest.approx(1, abs=0.02)
    spoiled = [layer.clone() for layer in layers[1::2]]
    for layer in spoiled:
        layer[~mask] = 99
    assert float(layers_loss(spoiled, layers, mask)) == 0


def test_what_the_layers_give_is_what_the_library_calls_hidden_states(teacher, inputs):
    with torch.no_grad():
        output, given = with_layers(teacher.model, inputs)
        theirs = teacher.model(**inputs, output_hidden_states=True)
    assert len(given) == 6 and torch.equal(output.start_logits, theirs.start_logits)
    for mine, hidden in zip(given, theirs.hidden_states[1:], strict=True):
        assert torch.equal(mine, hidden)
    with torch.no_grad():
        teacher.model(**inputs)
    assert len(given) == 6  # the hooks are gone


def test_a_student_moves_towards_its_teacher_and_nothing_else_moves(teacher, questions):
    before, student = state_of(teacher.model), halve_layers(teacher.model)
    start = state_of(student)
    reported = []
    run = distil(student, teacher, questions, questions, minutes=None, steps=25, batch_size=5, learning_rate=3e-4, report=reported.append)
    assert_same_state(teacher.model, before)
    assert run.model is student and run.finished and reported == run.history
    losses = [entry["loss"] for entry in run.history if "loss" in entry]
    assert losses[-1] < 0.5 * losses[0]
    agreements = [entry["agreement"] for entry in run.history if "agreement" in entry]
    assert agreements[-1] > agreements[0] and agreements[-1] >= 0.6 and all(value * 5 == round(value * 5) for value in agreements)
    after = student.state_dict()
    moved = {name for name in start if not torch.equal(start[name], after[name])}
    assert "bert.embeddings.word_embeddings.weight" not in moved and "bert.encoder.layer.1.output.dense.weight" in moved
    assert student.config._attn_implementation == teacher.model.config._attn_implementation


def test_the_loss_of_a_batch_is_that_of_its_questions_one_by_one_without_padding(teacher, questions):
    student, T = halve_layers(teacher.model), 3.0
    divergences, mine, theirs = [], [], []
    for question in QUESTIONS:
        inputs = dict(teacher.tokenizer(question, PASSAGE, return_tensors="pt"))
        with torch.no_grad():
            given, wanted = (model(**inputs, output_hidden_states=True) for model in (student, teacher.model))
        for name in ("start_logits", "end_logits"):
            q, p = (torch.softmax(getattr(output, name)[0].double() / T, dim=0) for output in (given, wanted))
            divergences.append(T**2 * float((p * (p / q).log()).sum()))
        mine.append([layer[0] for layer in given.hidden_states[1:]])
        theirs.append([wanted.hidden_states[number][0] for number in (2, 4, 6)])
    layers = [[torch.cat(layer) for layer in zip(*side, strict=True)] for side in (mine, theirs)]
    unlike = np.mean([float(((a - b) ** 2).mean() / b.var()) for a, b in zip(*layers, strict=True)])
    run = distil(student, teacher, questions, questions, minutes=None, steps=1, batch_size=5, temperature=T)
    assert run.history[0]["loss"] == pytest.approx(np.mean(divergences) + unlike, rel=1e-4)


def test_nobody_tells_the_student_which_answer_is_right(teacher, questions):
    other = Dataset.from_dict(questions.to_dict() | {"answers": [{"text": [], "answer_start": []}] * 5}, features=FEATURES)
    students = []
    for train in (questions, other):
        student = halve_layers(teacher.model)
        distil(student, teacher, train, train, minutes=None, steps=2, batch_size=5)
        students.append(student)
    assert_same_state(students[0], state_of(students[1]))


def test_a_student_is_written_so_that_it_opens_like_every_reader(teacher, questions, tmp_path, capsys):
    student = halve_layers(teacher.model)
    run = distil(student, teacher, questions, questions, minutes=None, steps=2, batch_size=5, folder=tmp_path / "student")
    assert runtime.latest_run(tmp_path, "weights/qa-minilm") == tmp_path / "student"
    reader = QuestionAnswerer.load(tmp_path / "student", precision="fp32")
    assert (reader.threshold, reader.temperature) == (teacher.threshold, teacher.temperature)
    assert reader.model.config.num_hidden_layers == 3
    for name, tensor in reader.model.state_dict().items():
        theirs = student.state_dict()[name]
        assert torch.equal(tensor, theirs if "word_embeddings" in name else theirs.half().float()), name
    assert json.loads((tmp_path / "student" / "history.json").read_text()) == run.history
    assert run.settings["temperature"] == 2.0 and run.settings["steps"] == 2
    save_student(run, tmp_path / "again", {"base": "minilm", "threshold": 0.25})
    assert read_card(tmp_path / "again")["threshold"] == 0.25


# --- measuring -----------------------------------------------------------------------------------------------------------


def test_size_counts_every_byte_of_the_numbers():
    linear = nn.Linear(10, 20)
    assert megabytes(linear) == pytest.approx(220 * 4 / 1e6)
    assert megabytes(Int8Linear(linear)) == pytest.approx((200 * 1 + 20 * 4 + 20 * 4) / 1e6)
    twin = nn.Linear(10, 20)
    twin.weight = linear.weight
    assert megabytes(nn.ModuleList([linear, twin])) == pytest.approx((220 + 20) * 4 / 1e6), "a matrix that two layers share"


def test_readers_take_turns_and_the_median_counts(monkeypatch, teacher, questions):
    calls, seconds = [], {"a": iter([9.0, 1.0, 2.0, 30.0]), "b": iter([9.0, 5.0, 5.0, 5.0])}
    readers = {name: reader_of(teacher.model, teacher, "fp32") for name in ("a", "b")}
    names = {id(reader): name for name, reader in readers.items()}

    def fake_evaluate(qa, dataset):
        calls.append((names[id(qa)], len(dataset)))
        return {"seconds": next(seconds[names[id(qa)]]), "exact_match": 50.0, "f1": 60.0}

    monkeypatch.setattr(compression, "evaluate", fake_evaluate)
    found = measure(readers, questions, rounds=3)
    assert [name for name, _ in calls] == ["a", "b"] + ["a", "b"] * 3  # the first two are thrown away
    assert [(one.name, one.questions_per_second, one.f1, one.questions) for one in found] == [("a", 2.5, 60.0, 5), ("b", 1.0, 60.0, 5)]


def test_measuring_gives_the_scores_of_evaluate(teacher, questions):
    (found,) = measure({"as it is": teacher}, questions)
    report = evaluate(teacher, questions)
    assert (found.exact_match, found.f1) == (report["exact_match"], report["f1"]) and found.f1 > 70
    assert found.questions_per_second > 0 and found.megabytes == pytest.approx(megabytes(teacher.model))


# --- the shipped student -------------------------------------------------------------------------------------------------


def test_the_shipped_student_is_small_and_as_good_as_its_card_says():
    folder = WEIGHTS / "qa-student"
    assert (folder / "model.safetensors").stat().st_size < 12e6
    card, student = read_card(folder), QuestionAnswerer.load("qa-student")
    assert student.model.config.num_hidden_layers == 3 and student.threshold == card["threshold"]
    assert sum(parameter.numel() for parameter in student.model.parameters()) == card["parameters"]
    validation = answerable_only(load_squad("course")["validation"])
    assert evaluate(student, validation)["f1"] == pytest.approx(card["development"]["course"]["f1_answerable_without_refusing"], abs=1.0)
    history = json.loads((folder / "history.json").read_text())
    agreements, losses = ([entry[name] for entry in history if name in entry] for name in ("agreement", "loss"))
    assert agreements[-1] > agreements[0] and losses[-1] < losses[0]
