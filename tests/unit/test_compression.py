"""Quantising, pruning and distilling, against float64, exact integers and torch's own."""

import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune as torch_prune
from torch.testing import assert_close

from src import compression, runtime
from src.compression import (
    FORBIDDEN,
    Int8Linear,
    dequantise,
    distil,
    distillation_loss,
    halve_layers,
    hold_zeros,
    keep_layers,
    layers_loss,
    linear_layers,
    measure,
    megabytes,
    prune,
    quantise,
    quantise_rows,
    reader_of,
    smallest,
    to_16_bits,
)
from src.qa import QuestionAnswerer, load_squad
from src.qa.dataset import FEATURES, answerable_only
from src.qa.models import WEIGHTS, read_card

PASSAGE = (
    "Oxygen is a chemical element with the symbol O and atomic number 8. It was discovered in 1774 "
    "by Joseph Priestley in England."
)
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


@pytest.fixture(autouse=True)
def the_teacher_stays_as_it_is(teacher):
    before = {name: tensor.clone() for name, tensor in teacher.model.state_dict().items()}
    yield
    assert_close(teacher.model.state_dict(), before, rtol=0, atol=0)


@pytest.fixture(scope="module")
def questions() -> Dataset:
    """Five questions about one passage, in SQuAD's columns."""
    answers = [{"text": [a], "answer_start": [PASSAGE.index(a)]} for a in QUESTIONS.values()]
    columns = {"id": list("abcde"), "title": ["Oxygen"] * 5, "context": [PASSAGE] * 5}
    columns |= {"question": list(QUESTIONS), "answers": answers}
    return Dataset.from_dict(columns, features=FEATURES)


@pytest.fixture(scope="module")
def inputs(teacher) -> dict[str, torch.Tensor]:
    """The five questions as a batch with padding."""
    passages = [PASSAGE[: 60 + 15 * i] for i in range(5)]
    return dict(teacher.tokenizer(list(QUESTIONS), passages, padding=True, return_tensors="pt"))


@pytest.fixture(scope="module")
def linear(teacher) -> nn.Linear:
    """A layer of a trained model: weight float[1536, 384]."""
    return teacher.model.bert.encoder.layer[3].intermediate.dense.requires_grad_(False)


def answers_of(qa: QuestionAnswerer, threshold: float = 0.0) -> list[str]:
    return [answer.text for answer in qa(list(QUESTIONS), [PASSAGE] * 5, threshold)]


def randn(*shape: int, seed: int = 0, **settings) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **settings)


# --- quantise


def test_each_row_is_rounded_to_its_own_127th_part_as_torch_does(linear):
    numbers, scales = quantise_rows(linear.weight)
    exact = linear.weight.double()
    steps = exact.abs().amax(dim=1, keepdim=True) / 127
    assert numbers.dtype == torch.int8 and (numbers.abs().amax(dim=1) == 127).all()
    assert numbers.min() >= -127
    assert_close(scales.double(), steps, rtol=1e-6, atol=0)
    restored = dequantise(numbers, scales)
    assert ((restored - exact).abs() <= steps / 2 * (1 + 1e-4)).all()
    zeros = torch.zeros(len(scales), dtype=torch.int32)
    settings = (scales[:, 0], zeros, 0, -127, 127)
    theirs = torch.fake_quantize_per_channel_affine(linear.weight, *settings)
    apart = ((restored - theirs) / scales).abs().round()
    # It multiplies by 1 / scale: a weight halfway between two numbers may go the other way.
    assert (apart == 0).float().mean() > 0.9999 and apart.max() <= 1


def test_four_bits_count_from_minus_7_to_7():
    numbers, scales = quantise_rows(torch.tensor([[0.7, -1.4, 0.05], [7.0, 3.4, -3.6]]), 7)
    assert numbers.tolist() == [[4, -7, 0], [7, 3, -4]]  # 3.5 goes to the even neighbour
    assert_close(scales[:, 0], torch.tensor([0.2, 1.0]))


def test_a_row_is_rounded_as_if_it_were_alone_and_keeps_its_zeros_and_signs():
    x = torch.tensor([[1, -2, 0, 0.5], [1000, 1, -3, 0], [0, 0, 0, 0], [-1e-3, 1e-3, 5e-4, 0]])
    numbers, scales = quantise_rows(x)
    # 0.5 / (2 / 127) is 31.75; 63.5 is halfway and goes to the even neighbour.
    expected = [[64, -127, 0, 32], [127, 0, 0, 0], [0, 0, 0, 0], [-127, 127, 64, 0]]
    assert numbers.tolist() == expected
    assert torch.isfinite(scales).all()
    half = randn(2000, 64).bfloat16()
    numbers, _ = quantise_rows(half)
    assert (numbers.sign() * half.sign() >= 0).all()  # 128 would have become -128


@pytest.mark.parametrize("instructions", [True, False])
def test_whole_numbers_are_multiplied_exactly_whatever_the_processor(monkeypatch, instructions):
    if instructions and not torch.cpu.get_capabilities().get("avx512_vnni", False):
        pytest.skip("this processor has no instructions for bytes")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": instructions})
    generator = torch.Generator().manual_seed(0)
    for N, D_in, D_out in ((1, 4, 3), (7, 384, 11), (64, 384, 384), (33, 1000, 20)):
        x, weights = (
            torch.randint(-127, 128, (n, D_in), generator=generator, dtype=torch.int8)
            for n in (N, D_out)
        )
        x[0], weights[0] = -127, 127  # nothing saturates at 16 bits
        layer = Int8Linear(nn.Linear(D_in, D_out))
        layer.numbers, layer.scales = weights, torch.ones(D_out)
        for bf16 in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                assert torch.equal(layer.multiply(x).long(), x.long() @ weights.long().T)


@pytest.mark.parametrize("tokens", [1, 1025])  # 1024 are taken at once
def test_an_int8_layer_is_exact_arithmetic_on_rounded_numbers(linear, tokens):
    x = 3 * randn(2, tokens, 384)
    numbers, scales = quantise_rows(x)
    weights, row_scales = quantise_rows(linear.weight)
    sums = numbers.double() @ weights.double().T
    exact = sums * scales.double() * row_scales.double().T + linear.bias
    y = Int8Linear(linear)(x)
    assert y.dtype == torch.float32
    assert_close(y.double(), exact, rtol=1e-5, atol=1e-5)
    as_it_was = linear(x)
    assert (y - as_it_was).norm() / as_it_was.norm() < 0.03


def test_an_int8_layer_without_bias_and_under_autocast():
    linear = nn.Linear(16, 4, bias=False)
    layer, x = Int8Linear(linear), randn(3, 16)
    assert_close(layer(x), linear(x).detach(), atol=0.05, rtol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert layer(x.bfloat16()).dtype == torch.bfloat16


def test_a_quantised_reader_is_a_quarter_as_large_and_says_the_same(teacher, inputs):
    small = quantise(teacher.model)
    kinds = [type(module) for module in small.bert.modules()]
    assert nn.Linear not in kinds and nn.Embedding not in kinds and kinds.count(Int8Linear) == 36
    assert torch.equal(small.qa_outputs.weight, teacher.model.qa_outputs.weight)
    assert 0.25 < megabytes(small) / megabytes(teacher.model) < 0.27
    with torch.no_grad():
        logits = torch.stack([model(**inputs).start_logits for model in (small, teacher.model)])
    assert torch.corrcoef(logits[:, inputs["attention_mask"].bool()])[0, 1] > 0.99
    reader = reader_of(small, teacher, "fp32")
    for threshold in (0.0, 0.5):
        assert answers_of(reader, threshold) == answers_of(teacher, threshold)
    assert (reader.threshold, reader.scaling) == (teacher.threshold, teacher.scaling)


def test_sixteen_bits_are_half_as_large_and_say_the_same(teacher):
    small = to_16_bits(teacher.model)
    assert megabytes(small) == pytest.approx(megabytes(teacher.model) / 2)
    assert answers_of(reader_of(small, teacher, "fp32")) == answers_of(teacher)


# --- prune


@pytest.mark.parametrize("share", [0.0, 0.1, 0.937, 1.0])
def test_pruning_is_torchs_own(linear, share):
    module = nn.Linear(384, 1536)
    module.weight = nn.Parameter(linear.weight.clone())
    torch_prune.l1_unstructured(module, "weight", amount=share)
    marked = smallest(linear.weight, share)
    assert torch.equal(linear.weight.masked_fill(marked, 0), module.weight)
    for wrong in (-0.1 - share, 1.1 + share):
        with pytest.raises(ValueError, match="from 0 to 1"):
            smallest(linear.weight, wrong)


def test_every_layer_loses_its_own_share_and_the_file_stays_as_large(teacher):
    before, half = teacher.model.state_dict(), prune(teacher.model, 0.5)
    assert megabytes(half) == megabytes(teacher.model) and len(linear_layers(half)) == 36
    for name, after in half.state_dict().items():
        kept = after != 0
        assert torch.equal(after[kept], before[name][kept]), name
        if "encoder" in name and after.ndim == 2:
            assert float(kept.float().mean()) == pytest.approx(0.5, abs=2e-3), name
        elif "word_embeddings" in name:
            assert torch.equal(after, before[name])


def test_layers_that_are_kept_are_those_asked_for_in_order(teacher, inputs):
    small, bert = keep_layers(teacher.model, (4, 1)), teacher.model.bert
    assert len(small.bert.encoder.layer) == small.config.num_hidden_layers == 2
    assert teacher.model.config.num_hidden_layers == 6
    with torch.no_grad():
        hidden = bert.embeddings(inputs["input_ids"], inputs["token_type_ids"])
        mask = inputs["attention_mask"][:, None, None].bool()
        for layer in (4, 1):
            hidden = bert.encoder.layer[layer](hidden, mask)
        start = teacher.model.qa_outputs(hidden)[..., 0]
        assert_close(small(**inputs).start_logits, start, atol=1e-4, rtol=1e-4)


# --- distil


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_distillation_loss_is_torchs_kl_divergence_in_value_and_gradient(temperature):
    wanted = 4 * randn(6, 20, seed=1, dtype=torch.float64)
    mine, theirs = (
        (4 * randn(6, 20, seed=2, dtype=torch.float64)).requires_grad_() for _ in range(2)
    )
    loss = distillation_loss(mine, wanted, temperature)
    student, target = (theirs / temperature).log_softmax(-1), (wanted / temperature).softmax(-1)
    expected = temperature**2 * F.kl_div(student, target, reduction="batchmean")
    assert_close(loss, expected)
    assert_close(torch.autograd.grad(loss, mine), torch.autograd.grad(expected, theirs))
    assert float(distillation_loss(wanted, wanted + 3, temperature)) == pytest.approx(0, abs=1e-12)
    padding = torch.full((6, 9), FORBIDDEN, dtype=torch.float64)
    padded = [torch.cat([logits, padding], dim=1) for logits in (mine, wanted)]
    assert distillation_loss(*padded, temperature).item() == pytest.approx(loss.item())


def test_the_layers_loss_compares_each_layer_with_the_one_as_far_on_and_leaves_padding_out():
    layers = list(randn(6, 2, 5, 8))
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    mean = [layer[mask].mean().expand_as(layer) for layer in layers[1::2]]
    spoiled = [layer.masked_fill(~mask[..., None], 99) for layer in layers[1::2]]
    for student in (layers[1::2], [layers[2], layers[5]], spoiled):
        assert float(layers_loss(student, layers, mask)) == 0
    assert float(layers_loss(layers[0::2], layers, mask)) > 1
    assert float(layers_loss(mean, layers, mask)) == pytest.approx(1, abs=0.02)


def test_a_student_moves_towards_its_teacher_and_opens_like_every_reader(
    teacher, questions, tmp_path
):
    student, folder = halve_layers(teacher.model), tmp_path / "student"
    start = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    settings = {"minutes": None, "steps": 25, "batch_size": 5, "learning_rate": 3e-4}
    run = distil(student, teacher, questions, questions, folder=folder, **settings)
    assert run.model is student and run.finished and run.settings["temperature"] == 2.0
    assert run.history[-1]["loss"] < 0.5 * run.history[0]["loss"]
    agreements = [entry["agreement"] for entry in run.history if "agreement" in entry]
    assert agreements[-1] > agreements[0] and agreements[-1] >= 0.6
    assert all(value * 5 == pytest.approx(round(value * 5)) for value in agreements)
    trained = student.state_dict()
    moved = {name for name in start if not torch.equal(start[name], trained[name])}
    assert "bert.embeddings.word_embeddings.weight" not in moved
    assert "bert.encoder.layer.1.output.dense.weight" in moved
    implementation = teacher.model.config._attn_implementation
    assert student.config._attn_implementation == implementation

    assert runtime.latest_run(tmp_path, "weights/qa-minilm") == folder
    assert json.loads((folder / "history.json").read_text()) == run.history
    reader = QuestionAnswerer.load(folder, precision="fp32")
    assert (reader.threshold, reader.scaling) == (teacher.threshold, teacher.scaling)
    for name, tensor in reader.model.state_dict().items():
        exact = trained[name]
        assert torch.equal(tensor, exact if name not in moved else exact.half().float()), name


def test_the_loss_of_a_batch_is_that_of_its_questions_one_by_one_without_padding(
    teacher, questions
):
    student, T = halve_layers(teacher.model), 3.0
    divergences, mine, theirs = [], [], []
    for question in QUESTIONS:
        inputs = dict(teacher.tokenizer(question, PASSAGE, return_tensors="pt"))
        with torch.no_grad():
            given, wanted = (
                model(**inputs, output_hidden_states=True) for model in (student, teacher.model)
            )
        for name in ("start_logits", "end_logits"):
            q, p = ((output[name][0].double() / T).softmax(0) for output in (given, wanted))
            divergences.append(T**2 * float((p * (p / q).log()).sum()))
        mine.append(torch.stack(given.hidden_states[1:])[:, 0])
        theirs.append(torch.stack([wanted.hidden_states[number][0] for number in (2, 4, 6)]))
    mine, theirs = torch.cat(mine, dim=1), torch.cat(theirs, dim=1)  # [3, tokens, D]
    unlike = np.mean(
        [float((a - b).square().mean() / b.var()) for a, b in zip(mine, theirs, strict=True)]
    )
    settings = {"minutes": None, "steps": 1, "batch_size": 5, "temperature": T}
    run = distil(student, teacher, questions, questions, **settings)
    assert run.history[0]["loss"] == pytest.approx(np.mean(divergences) + unlike, rel=1e-4)


def test_labels_only_are_the_control_and_zeros_that_are_held_stay_zero(teacher, questions):
    pruned, other = prune(teacher.model, 0.5), prune(teacher.model, 0.5)
    hold_zeros(pruned)
    losses = []
    for question, answer in QUESTIONS.items():
        encoded = teacher.tokenizer(question, PASSAGE, return_tensors="pt")
        with torch.no_grad():
            said = pruned(**encoded)
        first = PASSAGE.index(answer)
        places = {"start": first, "end": first + len(answer) - 1}
        for side, place in places.items():
            token = encoded.char_to_token(0, place, sequence_index=1)
            losses.append(-float(said[f"{side}_logits"][0].log_softmax(0)[token]))
    settings = {"minutes": None, "steps": 2, "batch_size": 5, "labels_only": True}
    runs = [distil(one, teacher, questions, questions, **settings) for one in (pruned, other)]
    assert runs[0].history[0]["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    shares = [
        np.mean([float((linear.weight == 0).float().mean()) for linear in linear_layers(one)])
        for one in (pruned, other)
    ]
    assert shares[0] == pytest.approx(0.5, abs=1e-3) and shares[1] < 0.01


def test_nobody_tells_the_student_which_answer_is_right(teacher, questions):
    nothing = [{"text": [], "answer_start": []}] * 5
    other = Dataset.from_dict(questions.to_dict() | {"answers": nothing}, features=FEATURES)
    students = []
    for train in (questions, other):
        students.append(halve_layers(teacher.model))
        distil(students[-1], teacher, train, train, minutes=None, steps=2, batch_size=5)
    assert_close(students[0].state_dict(), students[1].state_dict(), rtol=0, atol=0)


# --- measuring


def test_size_counts_every_byte_of_the_numbers():
    linear, twin = nn.Linear(10, 20), nn.Linear(10, 20)
    twin.weight = linear.weight  # a matrix that two layers share
    assert megabytes(nn.ModuleList([linear, twin])) == pytest.approx((220 + 20) * 4 / 1e6)
    assert megabytes(Int8Linear(linear)) == pytest.approx((200 * 1 + 20 * 4 + 20 * 4) / 1e6)


def test_readers_take_turns_and_the_median_counts(monkeypatch, teacher, questions):
    calls = []
    readers = {name: reader_of(teacher.model, teacher, "fp32") for name in ("a", "b")}
    seconds = {"a": iter([9.0, 1.0, 2.0, 30.0]), "b": iter([9.0, 5.0, 5.0, 5.0])}
    wrong = dict(zip("abcde", ["8", "1774", "Joseph", "", "England"], strict=True))
    right = dict(zip("abcde", QUESTIONS.values(), strict=True))

    def fake_answer(qa, dataset):
        name = next(name for name, reader in readers.items() if reader is qa)
        calls.append(name)
        return (right if name == "a" else wrong), next(seconds[name])

    monkeypatch.setattr(compression, "_answer", fake_answer)
    a, b = measure(readers, questions, rounds=3)
    assert calls == ["a", "b"] * 4  # the first two are thrown away
    assert (a.name, a.questions_per_second, a.f1, a.questions) == ("a", 2.5, 100.0, 5)
    assert (a.slowest, a.fastest) == (5 / 30, 5.0) and (a.f1_low, a.f1_high) == (0, 0)
    # F1 of "Joseph" is 2/3, of nothing 0.
    assert b.f1 == pytest.approx(100 * (3 + 2 / 3) / 5) and b.exact_match == pytest.approx(60)
    assert b.f1_low < b.f1 - a.f1 < b.f1_high == 0


def test_the_shipped_student_is_small_and_as_good_as_its_card_says():
    card, student = read_card("qa-student"), QuestionAnswerer.load("qa-student")
    assert (WEIGHTS / "qa-student" / "model.safetensors").stat().st_size < 12e6
    assert student.model.config.num_hidden_layers == 3 and student.threshold == card["threshold"]
    asked = answerable_only(load_squad("course")["validation"])
    (found,) = measure({"student": student}, asked, rounds=1)
    stated = card["development"]["course"]["f1_answerable_without_refusing"]
    assert found.f1 == pytest.approx(stated, abs=1.0) and found.questions_per_second > 0
