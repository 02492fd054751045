"""A house a test: all adapters on one database that is emptied before each; what always holds is checked after it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from tests.conftest import Servers, in_database
from tests.integration.postgres.house import House, check
from worker.adapters.postgres.pool import Pool, open_pool
from worker.adapters.secrets import SealedVault, generate_key
from worker.domain.model import Secret
from worker.ports.vault import Vault


POOL_SIZE = 6
EMPTY = """
DO $$
DECLARE
    filled text;
BEGIN
    FOR filled IN
        SELECT oid::regclass::text FROM pg_class
        WHERE relnamespace = 'rollcall'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0
    LOOP
        EXECUTE 'TRUNCATE ' || filled || ' CASCADE';
    END LOOP;
END
$$
"""


@pytest.fixture(scope="session")
def vault() -> Vault:
    """One key for all tests."""
    return SealedVault([Secret(generate_key())])


@pytest.fixture(scope="session")
def shared_database(servers: Servers, database_template: str) -> Iterator[str]:
    """One migrated database for all tests here; making one for each would take a third of their time."""
    name = f"rollcall_house_{secrets.token_hex(6)}"
    asyncio.run(
        _execute(servers.database_url, f"CREATE DATABASE {name} TEMPLATE {database_template}")
    )
    yield in_database(servers.database_url, name)
    asyncio.run(_execute(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def own_pool(database: str) -> AsyncIterator[Pool]:
    """Connections to a database of the test's own, for tests that change more than rows."""
    opened = await open_pool(database, size=POOL_SIZE)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def pool(shared_database: str) -> AsyncIterator[Pool]:
    """Connections to the shared database, empty."""
    opened = await open_pool(shared_database, size=POOL_SIZE)
    try:
        await opened.execute(EMPTY)
        # a test that let months pass may have dropped the one we are in
        await opened.execute("SELECT rollcall.make_history_partitions(now())")
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def house(pool: Pool, vault: Vault) -> AsyncIterator[House]:
    """Nothing is known yet; the clock stands at the full hour."""
    opened = await House.open(pool, vault)
    with opened.stack:
        yield opened
        await check(opened)
