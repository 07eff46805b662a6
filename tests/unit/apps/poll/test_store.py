"""What the store has written is there after anything: another start, `kill -9`, a full disk."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import pytest

from src.apps.poll.store import Store, Vote, put_aside


def vote(voter, *choices, question="one", at="2026-01-01T00:00:00.000+00:00"):
    return Vote(question, voter, choices, at)


def test_votes_and_state_are_there_again_in_the_order_of_the_first_votes(file):
    store = Store(file)
    assert (store.votes(), store.state()) == ([], {})
    store.record([vote("ann", "x"), vote("bob", "y"), vote("bob", "x")])
    store.record([vote("ann", "y", "ü & <z>", at="later"), vote("ann", "x", question="two")])
    for name, value in (("shown", "two"), ("one", "closed"), ("one", "revealed")):
        store.keep(name, value)
    store.close()
    store = Store(file)
    last = [vote("ann", "y", "ü & <z>", at="later"), vote("bob", "x")]
    assert store.votes() == [*last, vote("ann", "x", question="two")]
    assert store.state() == {"shown": "two", "one": "revealed"}
    store.vote_again("one", "one/first")
    store.record([vote("ann", "x")])
    store.close()
    moved = [(one.question, one.voter, one.choices) for one in Store(file).votes()]
    assert moved[:2] == [("one/first", "ann", ("y", "ü & <z>")), ("one/first", "bob", ("x",))]
    assert moved[2:] == [("two", "ann", ("x",)), ("one", "ann", ("x",))]


WRITER = """
import sys
from pathlib import Path
from src.apps.poll.store import Store, Vote
store = Store(Path(sys.argv[1]))
for i in range(0, 300_000, 3):
    store.record([Vote("one", f"{j % 50}", (f"{j}",), "now") for j in range(i, i + 3)])
    print(i + 2, flush=True)
"""


@pytest.mark.parametrize("seed", range(4))
def test_every_vote_that_was_written_survives_kill_9(file, course, seed):
    command = [sys.executable, "-c", WRITER, str(file)]
    writer = subprocess.Popen(command, cwd=course, stdout=subprocess.PIPE, text=True)
    first = int(writer.stdout.readline())
    time.sleep(random.Random(seed).uniform(0.01, 0.5))
    writer.send_signal(signal.SIGKILL)
    written = [first, *map(int, writer.stdout.read().split())][-1]
    assert writer.wait() == -signal.SIGKILL
    assert written > 2, "it was killed in the middle"
    last = {row.voter: int(row.choices[0]) for row in Store(file).votes()}
    # Each is there, or what its voter voted later; and of the call that was cut short all or none.
    for acknowledged in range(max(0, written - 49), written + 1):
        assert last[f"{acknowledged % 50}"] >= acknowledged
    assert (max(last.values()) + 1) % 3 == 0
    assert set(Counter(last.values()).values()) == {1}


def test_a_vote_that_does_not_fit_on_the_disk_is_refused_and_leaves_nothing(file):
    store = Store(file)
    store.record([vote("ann", "x")])
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.record([vote("bob", "y"), vote("cid", "y" * 100_000)])
    assert store.votes() == [vote("ann", "x")]
    store._connection.execute("PRAGMA max_page_count = 1000000")
    store.record([vote("bob", "y")])
    store.close()
    assert Store(file).votes() == [vote("ann", "x"), vote("bob", "y")]


def test_a_commit_waits_for_the_disk(file):
    connection = Store(file)._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path):
    text, other = tmp_path / "notes.txt", tmp_path / "other.sqlite"
    text.write_text("These are notes, and longer than a page header of SQLite. " + "x" * 200)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE mine (a)")
        connection.commit()
    for path in (text, other):
        before = path.read_bytes()
        for use in (Store, put_aside):
            with pytest.raises(ValueError, match=r"cannot be used .* choose another --file\."):
                use(path)
        assert path.read_bytes() == before
    for path in (text / "poll.sqlite", tmp_path):
        with pytest.raises(ValueError, match=r"cannot be made .* choose another --file\."):
            Store(path)


def test_a_poll_has_its_file_alone_and_votes_put_aside_are_complete_in_another(file):
    assert put_aside(file) is None
    store = Store(file)
    store.record([vote("ann", "x")])
    for use in (Store, put_aside):
        with pytest.raises(ValueError, match=r"cannot be used \(in use by another poll; end that"):
            use(file)
    store.close()
    aside = put_aside(file)
    assert aside is not None and aside.suffix == ".sqlite"
    assert list(file.parent.iterdir()) == [aside]
    assert Store(file).votes() == []
    assert Store(aside).votes() == [vote("ann", "x")]
