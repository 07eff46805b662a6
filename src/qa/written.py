"""Questions that a language model wrote: it is shown an introduction and a piece of it, and asks for that piece.

Many of them ask for something else, or for nothing at all. So a reader has the last word: a question is kept when the reader,
given the passage, marks the piece that the question was written for.
After Alberti and others 2019, "Synthetic QA Corpora Generation with Roundtrip Consistency".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from src import assets, runtime
from src.qa.answerer import QuestionAnswerer
from src.qa.cloze import gaps_of
from src.qa.course_set import question_id
from src.qa.dataset import FEATURES
from src.qa.metrics import f1

# Our own examples, about things that do not exist: the model copies the pattern, and has nothing to copy besides.
EXAMPLES = (
    (
        "Tern Island is an island in Lake Vormund. It was mapped in 1871 by Ada Northcote, and 340 people live on it, most of whom fish.",
        (("1871", "In which year was Tern Island mapped?"), ("Ada Northcote", "Who drew the first map of Tern Island?")),
    ),
    (
        "The glass harp is a musical instrument made of drinking glasses. Bruno Hofmann refined it in Vienna; a player needs 37 glasses.",
        (("37", "How many glasses does it take to play a glass harp?"), ("Vienna", "Where was the glass harp improved?")),
    ),
)
LONGEST = 200  # words of a passage
AT_ONCE = 16  # prompts that are written to together
MOST_TOKENS = 24  # of a question
FEWEST_WORDS, MOST_WORDS = 5, 22
KEPT_FROM = 0.8  # F1 between what the reader marks and what the question was written for


def written_questions(passages: Mapping[str, str], count: int, seed: int, file: str | Path, reader: str | Path = "qa-minilm") -> Dataset:
    """`count` questions that SmolLM2 wrote on `passages` and a reader confirmed; fewer where the passages do not give as many.

    passages: title -> text. file: JSON lines, every question tried and whether it was kept; what stands there is not written
    again, so that an interrupted call goes on. reader: as `QuestionAnswerer.load` takes it.
    Returns rows in SQuAD's columns, one answer each, at its offset.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    tried = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
    wanted = list(_places(passages, seed))
    writer = None
    with file.open("a", encoding="utf-8") as lines:
        while sum(row["kept"] for row in tried) < count and len(tried) < len(wanted):
            writer = writer or _Writer(reader)
            for row in writer(passages, wanted[len(tried) : len(tried) + AT_ONCE]):
                tried.append(row)
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            lines.flush()
    rows = []
    for row in [row for row in tried if row["kept"]][:count]:
        answers = {"text": [row["answer"]], "answer_start": [row["start"]]}
        identity = question_id(row["title"], f"{row['question']} {row['start']}")
        rows.append(
            {"id": identity, "title": row["title"], "context": passages[row["title"]], "question": row["question"], "answers": answers}
        )
    return Dataset.from_list(rows, features=FEATURES)


def _places(passages: Mapping[str, str], seed: int) -> Iterator[tuple[str, int, int]]:
    """(title, start, end) of a piece to ask for, one a passage, in random order."""
    rng = np.random.default_rng(seed)
    titles = list(passages)
    for at in rng.permutation(len(titles)):
        text = passages[titles[at]]
        gaps = list(gaps_of(text))
        if gaps and len(text.split()) <= LONGEST:
            start, end, *_ = gaps[rng.integers(len(gaps))]
            yield titles[at], start, end


class _Writer:
    """The language model and the reader, loaded once."""

    def __init__(self, reader: str | Path):
        folder = assets.path("smollm2")
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.tokenizer.pad_token = self.tokenizer.eos_token
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval().to(runtime.device())
        self.reader = QuestionAnswerer.load(reader)

    def __call__(self, passages: Mapping[str, str], places: list[tuple[str, int, int]]) -> list[dict]:
        """One row per place: title, start, answer, question, and whether it was kept."""
        texts = [passages[title] for title, _, _ in places]
        answers = [text[start:end] for text, (_, start, end) in zip(texts, places, strict=True)]
        questions = self._write([prompt(text, answer) for text, answer in zip(texts, answers, strict=True)])
        good = [i for i, question in enumerate(questions) if _is_a_question(question, answers[i])]
        read = self.reader([questions[i] for i in good], [texts[i] for i in good], threshold=0.0, n_best=1) if good else []
        marked = {i: answer.text for i, answer in zip(good, read, strict=True)}
        return [
            {"title": title, "start": start, "answer": answer, "question": question, "kept": f1(marked.get(i, ""), [answer]) >= KEPT_FROM}
            for i, ((title, start, _), answer, question) in enumerate(zip(places, answers, questions, strict=True))
        ]

    def _write(self, prompts: list[str]) -> list[str]:
        inputs = self.tokenizer(prompts, padding=True, return_tensors="pt").to(self.model.device)
        with torch.inference_mode():
            output = self.model.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False, pad_token_id=self.tokenizer.pad_token_id)
        new = self.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return [text.strip().split("\n")[0].strip() for text in new]


def prompt(passage: str, answer: str) -> str:
    """What the language model is given: our examples, then the passage and the piece to ask for."""
    shown = [
        f"Passage: {text}\n" + "\n".join(f"Answer: {piece}\nQuestion: {question}" for piece, question in pairs) for text, pairs in EXAMPLES
    ]
    return "\n\n".join([*shown, f"Passage: {' '.join(passage.split())}\nAnswer: {answer}\nQuestion:"])


def _is_a_question(question: str, answer: str) -> bool:
    """Whether it has the form of a question and does not give its answer away."""
    words = question.split()
    return question.endswith("?") and FEWEST_WORDS <= len(words) <= MOST_WORDS and answer.lower() not in question.lower()
