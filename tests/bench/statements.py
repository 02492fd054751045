"""Where a first sync's time goes inside Postgres, by named query: read from the server's own log of durations."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.stack.stack import Stack
from worker.adapters.postgres.pool import queries


WITHIN_S = 30.0
LOGGED = re.compile(
    r"\[\d+\] (?P<database>\S+) LOG:  duration: (?P<ms>[\d.]+) ms  (?:execute|statement)[^:]*: "
    r"(?P<sql>.*?)(?=^\d{4}-\d\d-\d\d |\Z)",
    re.MULTILINE | re.DOTALL,
)
"""As ``log_line_prefix = '%m [%p] %d '`` of the stack writes it; a statement goes on over further lines."""

HEAD_CHARACTERS = 60
"""Enough of a statement to know it by: each begins with a sentence of its own."""


@dataclass(slots=True)
class Statements:
    """Seconds by the name of the query; what has no name by its first words."""

    seconds: dict[str, float] = field(default_factory=dict)

    def most(self, count: int) -> Sequence[tuple[str, float]]:
        """Return the longest, the longest first."""
        return sorted(self.seconds.items(), key=lambda each: -each[1])[:count]


async def log_durations(admin_url: str, database: str) -> None:
    """Have the server log every statement of connections that are opened to this database from now on."""
    connection = await asyncpg.connect(admin_url, timeout=WITHIN_S)
    try:
        await connection.execute(f'ALTER DATABASE "{database}" SET log_min_duration_statement = 0')
    finally:
        await connection.close()


@contextmanager
def watched(stack: Stack, database: str) -> Iterator[Statements]:
    """Give the statements that the server logs for this database until the end of the context."""
    log, found = stack.postgres.daemon.log, Statements()
    begin = log.stat().st_size
    yield found
    for name, seconds in _logged(log, begin, database):
        found.seconds[name] = found.seconds.get(name, 0.0) + seconds


def _logged(log: Path, begin: int, database: str) -> Iterator[tuple[str, float]]:
    names = {_head(query.sql): name for name, query in queries().items()}
    with log.open("rb") as file:
        file.seek(begin)
        text = file.read().decode("utf-8", "replace")
    for entry in LOGGED.finditer(text):
        if entry["database"] == database:
            head = _head(entry["sql"])
            yield names.get(head, head), float(entry["ms"]) / 1000


def _head(sql: str) -> str:
    return " ".join(sql.split())[:HEAD_CHARACTERS]
