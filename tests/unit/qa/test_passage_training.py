"""tools/passage_training.py: several passages of a question in a batch; a teacher's labels."""

import numpy as np
import pandas as pd
import pytest
import torch
from transformers.utils import ModelOutput

from src.qa import finetune
from src.qa.features import prepare_features
from src.qa.rows import dataset_of
from tools import passage_training
from tools.passage_training import PassageCollator, PassageTrainer, by_question, with_shares

GOLD, OTHER = "Kafka wrote it in Prague in 1915", "Mann wrote it in Munich"


@pytest.fixture(scope="module")
def windows(tokenizer):
    """Two questions; the first comes with a passage that does not answer it."""
    rows = []
    for row_id, context, answer in [
        ("a", GOLD, "Prague"),
        ("b", OTHER, None),
        ("a-searched", OTHER, None),
    ]:
        answers = {"text": [answer], "answer_start": [context.index(answer)]} if answer else None
        answers = answers or {"text": [], "answer_start": []}
        row = {"id": row_id, "title": "", "context": context, "question": "Where?"}
        rows.append(row | {"answers": answers})
    return prepare_features(dataset_of(rows), tokenizer)


def labels(tokenizer, batch, side: str) -> list[dict[str, float]]:
    return [
        {tokenizer.convert_ids_to_tokens(int(ids[i])): float(row[i]) for i in row.nonzero()[:, 0]}
        for ids, row in zip(batch["input_ids"], batch[f"{side}_positions"], strict=True)
    ]


def test_all_passages_of_a_question_come_together(tokenizer, windows):
    grouped = by_question(with_shares(windows, {}, 0.0))
    lengths = windows["length"][:]
    assert grouped["length"][:] == [max(lengths[0], lengths[2]), lengths[1]]
    batch = PassageCollator(tokenizer)(grouped.remove_columns("length").__getitems__([0, 1]))
    assert batch["question"].tolist() == [0, 0, 1]
    assert batch["input_ids"].shape == batch["start_positions"].shape == (3, max(lengths))
    assert labels(tokenizer, batch, "end") == [{"prague": 1.0}, {"[CLS]": 1.0}, {"[CLS]": 1.0}]


def test_a_label_is_partly_what_the_teacher_said(tokenizer, windows, tmp_path):
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32)).astype(np.float16)
    begins = np.array([GOLD.index("Prague"), GOLD.index("1915"), -1], np.int32)
    ends = begins + np.array([len("Prague"), len("1915"), 0], np.int32)
    said = {"id": ["a"], "starts": [begins], "ends": [ends]}
    said |= {"start_logits": [logits], "end_logits": [logits]}
    pd.DataFrame(said).to_parquet(tmp_path / "part.parquet")
    known = passage_training.read_said(tmp_path)
    grouped = by_question(with_shares(windows, known, 0.5)).remove_columns("length")
    batch = PassageCollator(tokenizer)(grouped.__getitems__([0, 1]))
    for side in ("start", "end"):
        first, *others = labels(tokenizer, batch, side)
        assert first == pytest.approx({"prague": 0.75, "1915": 0.15, "[CLS]": 0.1}, abs=2e-3)
        assert others == [{"[CLS]": 1.0}, {"[CLS]": 1.0}]


def test_the_shared_loss_is_one_softmax_over_the_tokens_of_a_question():
    generator = torch.Generator().manual_seed(0)
    logits = {f"{s}_logits": torch.randn(3, 4, generator=generator) for s in ("start", "end")}
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]])
    wanted = torch.tensor([[0.2, 0, 0.8, 0], [1.0, 0, 0, 0], [0.5, 0.25, 0, 0.25]])
    inputs = {"attention_mask": mask, "start_positions": wanted, "end_positions": wanted.flip(1)}
    inputs["end_positions"] = inputs["end_positions"] * mask
    inputs["question"] = torch.tensor([0, 0, 1])
    found = passage_training.shared_loss(ModelOutput(**logits), inputs)
    losses = []
    for side in ("start", "end"):
        given, label = logits[f"{side}_logits"].double().numpy(), inputs[f"{side}_positions"]
        for rows in ([0, 1], [2]):
            pairs = [(r, t) for r in rows for t in range(1, 4) if mask[r, t]]
            total = np.log(sum(np.exp(given[pair]) for pair in pairs))
            losses.append(sum(float(label[pair]) * (total - given[pair]) for pair in pairs))
    assert float(found) == pytest.approx(sum(losses) / 3 / 2, abs=1e-5)


def test_a_reader_is_trained_on_groups(tmp_path, tiny_folder):
    rows = []
    for number in range(12):
        text = f"Number {number} is in box {number + 7}, and that is all there is to say."
        answers = {"text": [str(number + 7)], "answer_start": [text.index("box ") + 4]}
        row = {"id": f"{number}", "title": "", "context": text, "question": f"Where is {number}?"}
        none = {"id": f"{number}-searched", "answers": {"text": [], "answer_start": []}}
        rows += [row | {"answers": answers}, row | none | {"context": "Nothing is in a box."}]
    about = {"epochs": 30, "batch_size": 4, "learning_rate": 3e-3, "report": lambda _: None}
    run = finetune(
        tiny_folder, dataset_of(rows), output_dir=tmp_path / "run", trainer=PassageTrainer, **about
    )
    losses = [entry["loss"] for entry in run.history]
    assert run.finished and run.steps == 90  # 12 questions, 4 a step
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
