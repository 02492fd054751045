"""Where the passwords of a run might have been left: the log, the events, the database, the process's arguments."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.demo.stage import Stage


TABLES = (
    "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname = 'rollcall'"
)


async def places_with(passwords: Sequence[str], stage: Stage) -> list[str]:
    """Which of these places hold one of the passwords, in clear or in hex."""
    forms = [form for password in passwords for form in written(password)]
    return [name async for name, text in places(stage) if any(form in text for form in forms)]


def written(password: str) -> tuple[bytes, ...]:
    """The ways it could stand there; a bytea is shown in hex."""
    return password.encode(), password.encode().hex().encode()


async def places(stage: Stage) -> AsyncIterator[tuple[str, bytes]]:
    """Each place with all that stands there."""
    yield "the worker's log", stage.worker.log().encode()
    yield "the events", b"\n".join(seen.body for seen in stage.platform.events)
    yield "the process's arguments", arguments(stage)
    for (table,) in await stage.store.rows(TABLES):
        # the names come from the catalogue
        rows = await stage.store.rows(f"SELECT t::text FROM {table} t")  # noqa: S608
        yield f"table {table}", "\n".join(row[0] for row in rows).encode()


def arguments(stage: Stage) -> bytes:
    """What everyone on the machine may read of the worker's process."""
    return Path(f"/proc/{stage.worker.daemon.pid}/cmdline").read_bytes()
