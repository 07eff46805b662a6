"""Votes and states of polls in one SQLite file.

What a call has written survives the death of the process, and a power cut.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

APPLICATION, FORMAT = 0x706F6C6C, 1  # "poll": how SQLite's files say whose they are
BUSY_SECONDS = 1.0  # to wait for another process that has the file
SCHEMA = f"""
BEGIN;
CREATE TABLE votes (
  poll TEXT NOT NULL, question TEXT NOT NULL, voter TEXT NOT NULL,
  choices TEXT NOT NULL, at TEXT NOT NULL, UNIQUE (poll, question, voter)
);
CREATE TABLE phases (
  poll TEXT NOT NULL, question TEXT NOT NULL, phase TEXT NOT NULL, PRIMARY KEY (poll, question)
);
CREATE TABLE shown (poll TEXT PRIMARY KEY, question TEXT NOT NULL);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
COMMIT;
"""
CAST = """
INSERT INTO votes VALUES (?, ?, ?, ?, ?)
ON CONFLICT (poll, question, voter) DO UPDATE SET choices = excluded.choices, at = excluded.at
"""


@dataclass(frozen=True)
class Vote:
    """Who chose what.

    choices: the texts, so that the file can be read without the quiz.
    at: UTC, as ISO 8601 writes it.
    """

    question: str
    voter: str
    choices: tuple[str, ...]
    at: str


class Store:
    """One poll's votes, one for each question and voter, its phases, and what is shown.

    A file holds many polls. One process has it at a time, in one thread. When a method raises
    sqlite3.Error, nothing is written.

    Args:
        path: the file; made where there is none.
        poll: its name in the file.

    Raises:
        ValueError: the file cannot be used.
    """

    def __init__(self, path: Path, poll: str):
        self.path, self._poll = path, poll
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"{path} cannot be made ({reason}); choose another --file.") from None
        try:
            self._prepare()
        except (ValueError, sqlite3.Error) as error:
            self.close()
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            reason = "in use by another poll; end that one" if busy else error
            raise ValueError(f"{path} cannot be used ({reason}); choose another --file.") from None

    def _prepare(self) -> None:
        # Before the first look into the file: from then on it is ours until this process ends.
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        found = tuple(
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version", "schema_version")
        )
        fresh = found == (0, 0, 0)
        if not fresh and found[:2] != (APPLICATION, FORMAT):
            raise ValueError("not a file of votes, or one of another version of the course")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")  # a commit waits for the disk
        if fresh:
            self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def record(self, votes: Iterable[Vote]) -> None:
        """Write votes, all or none, each in place of an earlier one of the same voter."""
        rows = [
            (self._poll, vote.question, vote.voter, json.dumps(vote.choices), vote.at)
            for vote in votes
        ]
        with self._connection:
            self._connection.executemany(CAST, rows)

    def votes(self) -> list[Vote]:
        """All votes of this poll, in the order in which they were first cast."""
        rows = self._read("SELECT question, voter, choices, at FROM votes", "ORDER BY rowid")
        return [
            Vote(question, voter, tuple(json.loads(choices)), at)
            for question, voter, choices, at in rows
        ]

    def shown(self) -> str | None:
        """The question that was shown last; None before the first."""
        return next((question for (question,) in self._read("SELECT question FROM shown")), None)

    def show(self, question: str) -> None:
        """Write which question is shown."""
        self._replace("INSERT OR REPLACE INTO shown VALUES (?, ?)", question)

    def phases(self) -> dict[str, str]:
        """Question -> phase, of those that ever had one."""
        return dict(self._read("SELECT question, phase FROM phases"))

    def set_phase(self, question: str, phase: str) -> None:
        """Write a question's phase."""
        self._replace("INSERT OR REPLACE INTO phases VALUES (?, ?, ?)", question, phase)

    def _read(self, select: str, order: str = "") -> list[tuple]:
        return self._connection.execute(
            f"{select} WHERE poll = ? {order}", (self._poll,)
        ).fetchall()

    def _replace(self, statement: str, *values: str) -> None:
        with self._connection:
            self._connection.execute(statement, (self._poll, *values))


def put_aside(path: Path) -> Path | None:
    """Rename a file of votes, so that a new one can begin.

    Returns:
        The new name, which has the time in it; None where there is no file.

    Raises:
        ValueError: it is no such file, or in use.
    """
    if not path.exists():
        return None
    Store(path, "").close()  # nobody has it; and closing brings everything into the one file
    aside = path.with_name(f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    if aside.exists():
        raise ValueError(f"{aside} is there already; wait a second, then try again.")
    return path.rename(aside)
