"""Questions of every kind, with markup in them, and a room that asks them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from src.apps.poll.room import Room
from src.apps.poll.store import Store
from src.teaching.quizzes import QuestionSet, parse_quiz

HOSTILE = "<script>alert(1)</script>"
DATA = {
    "sets": [
        {
            "id": "mixed",
            "title": "a *mixed* set",
            "questions": [
                {
                    "id": "one",
                    "kind": "single",
                    "keep_order": True,
                    "text": f"Which is `right`, {HOSTILE}?",
                    "choices": [
                        {"text": "first & <b>foremost</b>", "right": False, "why": "The first is wrong because of secret-a."},
                        {"text": 'second, "quoted"', "right": True, "why": "The second is right because of secret-b."},
                        {"text": "third", "right": False, "why": "The third is wrong because of secret-c."},
                    ],
                },
                {
                    "id": "several",
                    "kind": "multiple",
                    "keep_order": True,
                    "text": "Which are even?",
                    "choices": [
                        {"text": "2", "right": True, "why": "Even: secret-d."},
                        {"text": "3", "right": False, "why": "Odd: secret-e."},
                        {"text": "4", "right": True, "why": "Even: secret-f."},
                    ],
                },
                {
                    "id": "number",
                    "kind": "numeric",
                    "text": "How many are 3 x 4?",
                    "answer": 12,
                    "unit": "things",
                    "why": "Twelve: secret-g.",
                    "choices": [
                        {"text": "7", "right": False, "why": "That is the sum: secret-h."},
                        {"text": "100", "right": False, "why": "Far too many: secret-i."},
                    ],
                },
            ],
        }
    ]
}


@pytest.fixture
def questions() -> QuestionSet:
    """Three questions: "one" (the second choice is right), "several" (the first and the third), "number" (the second, 12)."""
    return parse_quiz(DATA, "q")["mixed"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where votes are kept."""
    return tmp_path / "new folder" / "poll.sqlite"


@pytest.fixture(autouse=True)
def every_store_is_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A poll closes its file when it ends, and so does a test: Python 3.13 warns of one that is left open."""
    opened: list[Store] = []
    begin = Store.__init__

    def begin_and_note(store: Store, *arguments: object) -> None:
        begin(store, *arguments)
        opened.append(store)

    monkeypatch.setattr(Store, "__init__", begin_and_note)
    yield
    for store in opened:
        store.close()


@pytest.fixture
def room(questions: QuestionSet, file: Path) -> Room:
    """A poll that has just begun."""
    return Room(questions, Store(file, "q/mixed"))
