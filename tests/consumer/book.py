"""Where a receiver keeps its list: a SQLite file, the list and its place in the order written in one transaction.

A list that is kept without its place, or a place without its list, is wrong after the first crash.
"""

import sqlite3
from pathlib import Path

from tests.consumer.core import Place, Recipient, State, started


TABLES = """
CREATE TABLE IF NOT EXISTS recipient (
    address TEXT PRIMARY KEY, state TEXT NOT NULL, grace_until TEXT, kind TEXT, is_primary INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS place (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, heard_epoch INTEGER NOT NULL, heard_sequence INTEGER NOT NULL);
"""


class Book:
    """One tenant's list on disk."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(TABLES)

    def load(self) -> State:
        """Return what was saved last, to go on from; at first nothing."""
        place = self._connection.execute(
            "SELECT epoch, sequence, heard_epoch, heard_sequence FROM place"
        ).fetchone()
        if place is None:
            return State()
        rows = self._connection.execute(
            "SELECT address, state, grace_until, kind, is_primary FROM recipient"
        )
        known = {row[0]: Recipient(row[1], row[2], row[3], bool(row[4])) for row in rows}
        # the parts of a snapshot are not kept: it is asked for again if it was needed
        return started(State(known, Place(*place[:2]), Place(*place[2:])))

    def save(self, before: State, after: State) -> None:
        """Write what one event changed, all of it or nothing."""
        self._connection.execute("BEGIN")
        try:
            if before.recipients is not after.recipients:
                self._write(before, after)
            self._connection.execute(
                "INSERT OR REPLACE INTO place VALUES (1, ?, ?, ?, ?)", (*after.place, *after.heard)
            )
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _write(self, before: State, after: State) -> None:
        gone = before.recipients.keys() - after.recipients.keys()
        new = after.recipients.items() - before.recipients.items()
        self._connection.executemany(
            "DELETE FROM recipient WHERE address = ?", [(a,) for a in gone]
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO recipient VALUES (?, ?, ?, ?, ?)",
            [(address, *known) for address, known in new],
        )

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
