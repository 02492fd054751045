"""The example of ``deploy/postfix`` as an operator has it: a Postfix, a database, a login that may only look up."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.conftest import Servers, drop_database, in_database, migrate
from tests.integration.postfix.door import Door
from tests.integration.postgres.conftest import EMPTY, POOL_SIZE
from tests.integration.postgres.house import House, check
from tests.servers.postfix import Postfix, missing
from worker.adapters.postgres.pool import open_pool
from worker.adapters.secrets import SealedVault, generate_key
from worker.domain.model import Secret


GROUP = "rollcall_read"
EXAMPLE_DATABASE = "postgresql://rollcall_lookup@db.example.com/rollcall"


@dataclass(frozen=True, slots=True)
class Lookup:
    """A migrated database and the login that Postfix has there."""

    owner_url: str
    login: str
    password: str
    port: int

    def filled_in(self, *, port: int | None = None) -> dict[str, str]:
        """The example's database, as the one meant here; at another port when something stands between."""
        name = urlsplit(self.owner_url).path
        return {EXAMPLE_DATABASE: f"postgresql://{self.login}@127.0.0.1:{port or self.port}{name}"}


@pytest.fixture(scope="session")
def lookup(servers: Servers) -> Iterator[Lookup]:
    """Give a database of these tests' own: a login's rights come with the migration."""
    lacks = missing()
    if lacks:
        pytest.skip(lacks)
    admin, word = servers["STACK_DATABASE_ADMIN_URL"], secrets.token_hex(4)
    name, login, password = (
        f"rollcall_door_{word}",
        f"rollcall_lookup_{word}",
        secrets.token_hex(12),
    )
    asyncio.run(_make(admin, name, login, password))
    try:
        url = in_database(servers.database_url, name)
        migrate(url)
        yield Lookup(url, login, password, urlsplit(url).port or 5432)
    finally:
        asyncio.run(drop_database(admin, name))
        asyncio.run(_execute(admin, f"DROP ROLE {login}"))


async def _make(admin: str, name: str, login: str, password: str) -> None:
    await _execute(
        admin,
        f"""DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{GROUP}') THEN
                CREATE ROLE {GROUP} NOLOGIN;
            END IF;
        END $$""",
        f"CREATE ROLE {login} LOGIN PASSWORD '{password}' IN ROLE {GROUP}",
        f"CREATE DATABASE {name} OWNER rollcall",
    )


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close(timeout=10)


@contextmanager
def postfix_at(
    lookup: Lookup,
    *,
    port: int | None = None,
    password: str | None = None,
    also: Mapping[str, str] | None = None,
) -> Iterator[Postfix]:
    """Run a Postfix with the example, in a place that its accounts may walk to.

    ``port`` and ``password`` are the database's unless given; ``also`` is filled into the example as well.
    """
    filled_in = {**lookup.filled_in(port=port), **(also or {})}
    with (
        tempfile.TemporaryDirectory(prefix="rollcall-postfix-", dir="/var/tmp") as home,
        Postfix(Path(home), filled_in, password or lookup.password) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def postfix(lookup: Lookup) -> Iterator[Postfix]:
    """Give a Postfix whose database is there."""
    with postfix_at(lookup) as running:
        yield running


@pytest.fixture
def door(postfix: Postfix) -> Door:
    """Give its SMTP side."""
    return Door(postfix.port)


@pytest.fixture
async def house(lookup: Lookup) -> AsyncIterator[House]:
    """Give the store, empty, with time at will."""
    pool = await open_pool(lookup.owner_url, size=POOL_SIZE)
    try:
        await pool.execute(EMPTY)
        opened = await House.open(pool, SealedVault([Secret(generate_key())]))
        with opened.stack:
            yield opened
            await check(opened)
    finally:
        await pool.close()
