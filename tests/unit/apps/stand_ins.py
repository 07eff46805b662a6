"""Questions of every kind with markup in them, and a reader without a model."""

import threading
from types import SimpleNamespace

from src.qa.decoding import Answer, Candidate
from src.qa.open_domain import OpenAnswer

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
PASSAGE = "🙂 Gold <b>79</b> & silver 47."


def question(key: str, kind: str, text: str, *choices: tuple, **more: object) -> dict:
    offered = [dict(zip(("text", "right", "why"), one, strict=True)) for one in choices]
    return {"id": key, "kind": kind, "text": text, "choices": offered} | more


QUESTIONS = [
    question(
        "one",
        "single",
        f"Which `word` is **right**, {HOSTILE}?",
        (f"the first {HOSTILE}", False, f"Wrong because {HOSTILE} of secret-a."),
        ("the `second`", True, "Right because of *secret-b*."),
        ("the third", False, "Wrong because of secret-c."),
        keep_order=True,
    ),
    question(
        "several",
        "multiple",
        "Which are even?",
        ("2", True, "Even: secret-d."),
        ("3", False, "Odd: secret-e."),
        ("4, a very long word: " + "o" * 120, True, "Even: secret-f."),
        keep_order=True,
    ),
    question(
        "number",
        "numeric",
        "How many are 3 x 4?",
        ("7", False, "That is the sum: secret-h."),
        ("100", False, "Far too many: secret-i."),
        **{"answer": 12, "unit": "things", "why": "Twelve: secret-g."},
    ),
]


def span(passage: str, text: str, score: float) -> Candidate:
    start = passage.index(text)
    return Candidate(text, start, start + len(text), 0.0, score)


class ScriptedReader:
    """Finds whichever of some spans a passage holds, overlapping ones among them."""

    threshold = 0.1
    spans = (("79", 0.9), ("Gold <b>79", 0.8), ("79</b>", 0.7), ("47", 0.6), ("silver 47", 0.5))

    def __call__(self, question, passage, threshold, n_best):
        assert threshold == 0.0
        held = tuple(span(passage, *one) for one in self.spans if one[0] in passage)
        return Answer("", 0, 0, 0.9, 0.1, held)


class ScriptedAnswerer:
    """Finds 79, then 47, for every question but "nothing"; waits where `allowed` is not set."""

    threshold = 0.3

    def __init__(self) -> None:
        self.retriever = SimpleNamespace(documents=[None] * 12_345)
        self.reader = ScriptedReader()
        self.asked: list[str] = []
        self.allowed = threading.Event()
        self.allowed.set()

    def ask(self, question, threshold):
        assert threshold == 0.0
        self.asked.append(question)
        assert self.allowed.wait(10)
        found = tuple(
            OpenAnswer(s.text, s.start, s.end, "Gold & co", PASSAGE, s.score, s.score, 1.0)
            for s in (span(PASSAGE, "79", 0.8), span(PASSAGE, "47", 0.2))
        )
        candidates = () if question == "nothing" else found
        return OpenAnswer("", 0, 0, "", "", 0.8, 0.8, 1.0, candidates)
