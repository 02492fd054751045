"""The pool, the named queries, and the transaction they run in."""

import functools
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias
from uuid import UUID

import asyncpg

from worker.adapters.postgres.translate import translated


# Strings, because asyncpg's classes are generic to the checker only.
Connection: TypeAlias = (
    "asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]"
)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

ACQUIRE_S = 10.0
COMMAND_S = 120.0

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")


class WrongParametersError(TypeError):
    """A query was called with other parameters than its text names: a bug of the caller's."""

    def __init__(self, name: str, takes: Iterable[str], got: Iterable[str]) -> None:
        super().__init__(f"query {name} takes {sorted(takes)}, got {sorted(got)}")


class Query(NamedTuple):
    """One named query: text with ``$n``, and the names of its parameters in that order."""

    sql: str
    parameters: tuple[str, ...]


@functools.cache
def queries() -> dict[str, Query]:
    """Read ``queries.sql``: blocks that begin with ``-- name: x``, parameters written ``:x``."""
    parts = _NAME.split(Path(__file__).with_name("queries.sql").read_text(encoding="utf-8"))
    return {name: _numbered(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _numbered(text: str) -> Query:
    names = tuple(dict.fromkeys(_PARAMETER.findall(text)))
    sql = _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", text).strip()
    return Query(sql, names)


def _call(name: str, arguments: dict[str, object]) -> tuple[str, list[object]]:
    query = queries()[name]
    if arguments.keys() != set(query.parameters):
        raise WrongParametersError(name, query.parameters, arguments)
    return query.sql, [arguments[parameter] for parameter in query.parameters]


async def rows(on: Connection, name: str, /, **arguments: object) -> list[asyncpg.Record]:
    """Run a named query and return all its rows."""
    sql, values = _call(name, arguments)
    return await on.fetch(sql, *values)


async def row(on: Connection, name: str, /, **arguments: object) -> asyncpg.Record | None:
    """Run a named query and return its first row."""
    sql, values = _call(name, arguments)
    return await on.fetchrow(sql, *values)


async def only(on: Connection, name: str, /, **arguments: object) -> asyncpg.Record:
    """Run a named query that always has exactly one row."""
    found = await row(on, name, **arguments)
    if found is None:
        raise LookupError(name)
    return found


async def cursor(
    on: Connection, name: str, /, **arguments: object
) -> "asyncpg.cursor.Cursor[asyncpg.Record]":
    """Open a cursor over a named query, for as long as the transaction lasts."""
    sql, values = _call(name, arguments)
    return await on.cursor(sql, *values)


async def run(on: Connection, name: str, /, **arguments: object) -> int:
    """Run a named statement and return how many rows it touched."""
    sql, values = _call(name, arguments)
    status = await on.execute(sql, *values)
    count = status.rpartition(" ")[2]
    return int(count) if count.isdigit() else 0


async def _prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Give UUIDs as the standard library's: asyncpg's own class is one that JSON writers do not know."""
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=UUID)


async def _keep(_connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Hand a connection back as it is: nothing here outlasts its transaction, so RESET ALL would be a round trip for nothing."""


async def open_pool(url: str, *, size: int) -> Pool:
    """Connect; the pool is as large as the number of transactions at once, not of runs.

    Raises StoreFailure when Postgres is away.
    """
    with translated():
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            command_timeout=COMMAND_S,
            timeout=ACQUIRE_S,
            init=_prepare,
            reset=_keep,
            max_inactive_connection_lifetime=300,
            server_settings={
                "application_name": "rollcall",
                "lock_timeout": "15s",
                "statement_timeout": "120s",
                "idle_in_transaction_session_timeout": "60s",
                "jit": "off",  # compiling costs more than any statement here saves
            },
        )


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """One READ COMMITTED transaction; every race here is shut out by explicit row locks, named where taken.

    Raises StoreFailure when Postgres is away or another transaction stood in the way.
    """
    with translated():
        async with pool.acquire(timeout=ACQUIRE_S) as connection, connection.transaction():
            yield connection
