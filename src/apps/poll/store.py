"""The votes and the state of polls in one SQLite file: what a call has written survives the death of the process, and a power cut."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

APPLICATION, FORMAT = 0x706F6C6C, 1  # "poll": how SQLite's files say whose they are, and in which version
BUSY_SECONDS = 1.0  # to wait for another process that has the file
SCHEMA = f"""
BEGIN;
CREATE TABLE votes (poll TEXT NOT NULL, question TEXT NOT NULL, voter TEXT NOT NULL, choices TEXT NOT NULL, at TEXT NOT NULL,
  UNIQUE (poll, question, voter));
CREATE TABLE phases (poll TEXT NOT NULL, question TEXT NOT NULL, phase TEXT NOT NULL, PRIMARY KEY (poll, question));
CREATE TABLE shown (poll TEXT PRIMARY KEY, question TEXT NOT NULL);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {FORMAT};
COMMIT;
"""
VOTE = """
INSERT INTO votes VALUES (?, ?, ?, ?, ?)
ON CONFLICT (poll, question, voter) DO UPDATE SET choices = excluded.choices, at = excluded.at
"""


@dataclass(frozen=True)
class Vote:
    """Who chose what. choices: the texts, so that the file can be read without the quiz   at: UTC, as ISO 8601 writes it"""

    question: str
    voter: str
    choices: tuple[str, ...]
    at: str


class Store:
    """One poll's votes, one per question and voter, and which question is shown in which phase. A file holds many polls.

    poll: its name in the file. Only one process has the file at a time, and only one thread may be in a Store.
    Raises ValueError in one sentence where the file cannot be used; its methods raise sqlite3.Error, and then nothing is written.
    """

    def __init__(self, path: Path, poll: str):
        self.path, self._poll = path, poll
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise ValueError(f"{path} cannot be made ({getattr(error, 'strerror', None) or error}); choose another --file.") from None
        try:
            self._prepare()
        except (ValueError, sqlite3.Error) as error:
            self.close()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:  # the lower byte: the rest says why
                error = "in use by another poll; end that one"
            raise ValueError(f"{path} cannot be used ({error}); choose another --file.") from None

    def _prepare(self) -> None:
        # Before the first look into the file: from then on nobody else has it, until this process ends, in whatever way.
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        names = ("application_id", "user_version", "schema_version")  # the last one counts the changes to tables
        application, version, tables = (self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
        fresh = (application, version, tables) == (0, 0, 0)
        if not fresh and (application, version) != (APPLICATION, FORMAT):
            raise ValueError("not a file of votes, or one of another version of the course")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")  # a commit returns when the disk has it
        if fresh:
            self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    # --- votes ---

    def record(self, votes: Iterable[Vote]) -> None:
        """Write votes, all or none, each in place of an earlier one of the same voter."""
        rows = [(self._poll, vote.question, vote.voter, json.dumps(vote.choices, ensure_ascii=False), vote.at) for vote in votes]
        with self._connection:
            self._connection.executemany(VOTE, rows)

    def votes(self) -> list[Vote]:
        """All votes of this poll, in the order in which they were first cast."""
        rows = self._connection.execute("SELECT question, voter, choices, at FROM votes WHERE poll = ? ORDER BY rowid", (self._poll,))
        return [Vote(question, voter, tuple(json.loads(choices)), at) for question, voter, choices, at in rows]

    # --- the state ---

    def shown(self) -> str | None:
        """The question that was shown last; None before the first."""
        row = self._connection.execute("SELECT question FROM shown WHERE poll = ?", (self._poll,)).fetchone()
        return row and row[0]

    def show(self, question: str) -> None:
        """Write which question is shown."""
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO shown VALUES (?, ?)", (self._poll, question))

    def phases(self) -> dict[str, str]:
        """Question -> phase, of those that ever had one."""
        return dict(self._connection.execute("SELECT question, phase FROM phases WHERE poll = ?", (self._poll,)))

    def set_phase(self, question: str, phase: str) -> None:
        """Write a question's phase."""
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO phases VALUES (?, ?, ?)", (self._poll, question, phase))


def put_aside(path: Path) -> Path | None:
    """Give a file of votes a name with the time in it, so that a new one can begin; returns that name, None where there is no file.

    Raises ValueError in one sentence where it is no such file, or in use.
    """
    if not path.exists():
        return None
    Store(path, "").close()  # it is one, and nobody has it; closing brings everything into the one file
    aside = path.with_name(f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    if aside.exists():
        raise ValueError(f"{aside} is there already; wait a second, then try again.")
    return path.rename(aside)
