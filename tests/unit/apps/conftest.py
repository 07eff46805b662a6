"""Questions of every kind, a room that asks them, and a reader without a model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from src.apps.poll.room import Room
from src.apps.poll.store import Store
from src.teaching.quizzes import QuestionSet, parse_quiz
from tests.unit.apps.stand_ins import QUESTIONS, ScriptedAnswerer


@pytest.fixture
def questions() -> QuestionSet:
    """ "one" (the second is right), "several" (the first and third), "number" (the second, 12)."""
    sets = [{"id": "mixed", "title": "a *mixed* set", "questions": QUESTIONS}]
    return parse_quiz({"sets": sets}, "q")["mixed"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "votes.sqlite"


@pytest.fixture(autouse=True)
def every_store_is_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Python 3.13 warns of a file that is left open."""
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
    return Room([questions], Store(file))


@pytest.fixture
def answerer() -> ScriptedAnswerer:
    return ScriptedAnswerer()
