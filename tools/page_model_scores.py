"""What int8 weights cost: F1 of the reader in fp32 and of the files that pages read with.

python tools/page_model_scores.py [FOLDER]      after tools/page_models.py; needs onnxruntime
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from src import runtime

runtime.configure_libraries()

import numpy as np

from src.qa import QuestionAnswerer, load_squad
from src.qa.dataset import gold_answers
from src.qa.metrics import score_answers
from tools.page_models import FOLDER, READER
from tools.reader_data import load_wiki

onnxruntime = importlib.import_module("onnxruntime")  # no part of the course: pip install it
QUESTIONS = int(os.environ.get("QUESTIONS", "400"))  # of a set, at most


class PageReader(QuestionAnswerer):
    """The reader as a page computes it: one window at a time, with ONNX Runtime."""

    file: Path

    def logits(self, features):
        """See `QuestionAnswerer.logits`."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        if not hasattr(self, "session"):
            self.session = onnxruntime.InferenceSession(str(self.file), options)
        starts, ends = [], []
        for row in features:
            inputs = {n: np.array(row[n], np.int32) for n in ("input_ids", "token_type_ids")}
            start, end = self.session.run(["start_logits", "end_logits"], inputs)
            starts.append(start)
            ends.append(end)
        return starts, ends


def page_reader(file: Path) -> PageReader:
    """The reader whose logits a file gives, with the released threshold and scaling."""
    qa = PageReader.load(READER, precision="fp32")
    qa.file = file
    return qa


def sets():
    course = load_squad("course")["validation"]
    wiki = load_wiki("development")
    found = {"course": course}
    if wiki is not None:
        order = np.random.default_rng(0).permutation(len(wiki))[:QUESTIONS]
        found["new_wiki"] = wiki.select(order)
    return found


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    readers = {
        "fp32": QuestionAnswerer.load(READER, precision="fp32"),
        "page": page_reader(folder / f"{READER}.onnx"),
    }
    for name, rows in sets().items():
        told, found = {"n": len(rows)}, {}
        for kind, qa in readers.items():
            began = time.perf_counter()
            found[kind] = qa(list(rows["question"]), list(rows["context"]), 0.0, 1)
            told[f"{kind} ms"] = round(1000 * (time.perf_counter() - began) / len(rows))
            said = {
                qid: one.text if one.score >= (qa.threshold if name == "course" else 0) else ""
                for qid, one in zip(rows["id"], found[kind], strict=True)
            }
            told[f"{kind} f1"] = round(score_answers(said, gold_answers(rows))["f1"], 2)
        pairs = list(zip(found["fp32"], found["page"], strict=True))
        told["same text %"] = round(100 * np.mean([a.text == b.text for a, b in pairs]), 1)
        moved = np.array([abs(a.score - b.score) for a, b in pairs])
        told["score moved"] = f"mean {moved.mean():.4f}, most {moved.max():.4f}"
        print(name, json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
