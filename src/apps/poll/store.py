"""Votes and what the room is at, in one SQLite file.

What a call has written survives the death of the process, and a power cut.
"""

import json
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SCHEMA = Path(__file__).with_name("schema.sql")
APPLICATION, FORMAT = 0x706F6C6C, 2  # in SCHEMA: how SQLite's files say whose they are
BUSY_SECONDS = 1.0  # to wait for another process that has the file
CAST = """
INSERT INTO votes VALUES (?, ?, ?, ?)
ON CONFLICT (question, voter) DO UPDATE SET choices = excluded.choices, at = excluded.at
"""
KEEP = "INSERT OR REPLACE INTO state VALUES (?, ?)"


@dataclass(frozen=True)
class Vote:
    """Who chose what.

    choices: the texts; of an open question the answer.
    at: UTC, as ISO 8601 writes it.
    """

    question: str
    voter: str
    choices: tuple[str, ...]
    at: str


class Store:
    """Votes, one for each question and voter, and a table of names and values.

    One process has it at a time. When a method raises sqlite3.Error, nothing is written.

    Args:
        path: the file; made where there is none.

    Raises:
        ValueError: the file cannot be used.
    """

    def __init__(self, path: Path):
        self.path = path
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
            self._connection.executescript(SCHEMA.read_text(encoding="utf-8"))

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def record(self, votes: Iterable[Vote]) -> None:
        """Write votes, all or none, each in place of an earlier one of the same voter."""
        rows = [(v.question, v.voter, json.dumps(v.choices), v.at) for v in votes]
        with self._connection:
            self._connection.executemany(CAST, rows)

    def votes(self) -> list[Vote]:
        """All votes, in the order in which they were first cast."""
        rows = self._connection.execute("SELECT * FROM votes ORDER BY rowid")
        return [Vote(question, voter, tuple(json.loads(c)), at) for question, voter, c, at in rows]

    def state(self) -> dict[str, str]:
        """What was kept last under each name."""
        return dict(self._connection.execute("SELECT * FROM state"))

    def keep(self, name: str, value: str) -> None:
        """Write a value under a name."""
        with self._connection:
            self._connection.execute(KEEP, (name, value))

    def vote_again(self, question: str, first: str) -> None:
        """Keep the votes on a question as those on `first`, and open it."""
        with self._connection:
            move = "UPDATE votes SET question = ? WHERE question = ?"
            self._connection.execute(move, (first, question))
            self._connection.execute(KEEP, (question, "open"))


def put_aside(path: Path) -> Path | None:
    """Rename a file of votes; returns the new name, which has the time in it, or None.

    Raises:
        ValueError: it is no such file, or in use.
    """
    if not path.exists():
        return None
    Store(path).close()  # nobody has it; and closing brings everything into the one file
    aside = path.with_name(f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    if aside.exists():
        raise ValueError(f"{aside} is there already; wait a second, then try again.")
    return path.rename(aside)
