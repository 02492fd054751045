"""Forward-only migrations: plain SQL files, each once, in order, under one lock.

Names are ``NNNN_pre_name.sql`` (before the code is rolled out) and ``NNNN_post_name.sql`` (after it); a file
that was merged is never edited, and its digest is checked.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from worker.adapters.postgres.pool import ACQUIRE_S
from worker.adapters.postgres.translate import translated
from worker.domain.failures import StoreFailure


LOCK = 0x726F6C6C63616C6C
"""One migration at a time: "rollcall" in ASCII."""

_NAME = re.compile(r"^\d{4}_(pre|post)_[a-z0-9_]+\.sql$")

_BOOK = """
CREATE TABLE IF NOT EXISTS public.rollcall_migration (
    name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
"""


class MisnamedError(ValueError):
    """A file whose name does not say when it is applied."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"migrations are named NNNN_pre_name.sql or NNNN_post_name.sql: {names}")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    name: str
    sql: str

    @property
    def digest(self) -> str:
        """BLAKE2b-16 of its text, in hex."""
        return hashlib.blake2b(self.sql.encode(), digest_size=16).hexdigest()


def folder() -> Path:
    """Return where the files lie: beside the installed package, or in the checkout."""
    package = Path(__file__).parents[2]
    installed = package / "schemas" / "sql"
    return installed if installed.is_dir() else package.parent / "schemas" / "sql"


def all_migrations() -> list[Migration]:
    """Read the files in order. Raises MisnamedError."""
    paths = sorted(folder().glob("*.sql"))
    misnamed = [path.name for path in paths if not _NAME.match(path.name)]
    if misnamed:
        raise MisnamedError(misnamed)
    return [Migration(path.name, path.read_text(encoding="utf-8")) for path in paths]


async def migrate(url: str) -> list[str]:
    """Apply what is new, all in one transaction; gives the names.

    Raises StoreFailure ``store.unavailable``, or ``store.migrated_otherwise`` when an applied file was edited.
    """
    with translated():
        connection = await asyncpg.connect(url, timeout=ACQUIRE_S)
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
                return await _apply(connection)
        finally:
            await connection.close()


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    await connection.execute(_BOOK)
    book = await connection.fetch("SELECT name, digest FROM public.rollcall_migration")
    known = {record["name"]: record["digest"] for record in book}
    applied = []
    for migration in all_migrations():
        if migration.name in known:
            _check(migration, known[migration.name])
            continue
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO public.rollcall_migration (name, digest) VALUES ($1, $2)",
            migration.name,
            migration.digest,
        )
        applied.append(migration.name)
    return applied


def _check(migration: Migration, digest: str) -> None:
    if migration.digest != digest:
        raise StoreFailure(code="store.migrated_otherwise", detail=migration.name)


async def pending(url: str) -> list[str]:
    """Name the migrations that this database has not seen: readiness wants none. Raises StoreFailure."""
    with translated():
        connection = await asyncpg.connect(url, timeout=ACQUIRE_S)
        try:
            exists = await connection.fetchval("SELECT to_regclass('public.rollcall_migration')")
            names = (
                await connection.fetch("SELECT name FROM public.rollcall_migration")
                if exists
                else []
            )
        finally:
            await connection.close()
    known = {record["name"] for record in names}
    return [migration.name for migration in all_migrations() if migration.name not in known]
