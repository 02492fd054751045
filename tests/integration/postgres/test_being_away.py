"""A store that is away, busy or wrong: told by a stable code, and waited for only where waiting can help."""

import asyncpg
import pytest

from tests.conftest import Servers, in_database
from tests.integration.postgres.house import House
from worker.adapters.postgres import pool as db
from worker.adapters.postgres.clock import PostgresClock
from worker.adapters.postgres.pool import open_pool
from worker.domain.failures import StoreFailure


async def fails_with(code: str, url: str) -> None:
    """Opening a pool there fails so."""
    with pytest.raises(StoreFailure) as failure:  # noqa: PT012 - a pool that opens after all must be closed
        opened = await open_pool(url, size=1)
        await opened.close()
    assert failure.value.code == code


async def test_the_clock_is_the_servers(house: House) -> None:
    """Workers on machines whose clocks differ agree on what is due."""
    before = await house.value("SELECT clock_timestamp()")

    now = await PostgresClock(house.pool).now()

    assert before <= now <= await house.value("SELECT clock_timestamp()")
    assert now.tzinfo is not None


async def test_nobody_at_the_address_is_an_outage() -> None:
    """It may come back."""
    await fails_with("store.unavailable", "postgresql://x:y@127.0.0.1:1/z")


async def test_a_database_that_does_not_exist_is_no_outage(servers: Servers) -> None:
    """Waiting mends no wrong address; an operator has to."""
    await fails_with("store.refused", in_database(servers.database_url, "no_such_database"))


async def test_a_connection_that_was_cut_is_an_outage(house: House) -> None:
    """A restart of the server passes; the pool is whole again after it."""
    with pytest.raises(StoreFailure) as failure:
        await _cut_in_the_middle(house)

    assert failure.value.code == "store.unavailable"
    assert (await PostgresClock(house.pool).now()).tzinfo is not None


async def _cut_in_the_middle(house: House) -> None:
    async with db.transaction(house.pool) as connection:
        victim = await connection.fetchval("SELECT pg_backend_pid()")
        await house.pool.execute("SELECT pg_terminate_backend($1)", victim)
        await db.rows(connection, "now")


async def test_a_lock_that_is_not_had_in_time_is_a_conflict(house: House) -> None:
    """Two that stand in each other's way both try again."""
    await house.founded()
    tenant_id = await house.value("SELECT tenant_id FROM rollcall.tenant")
    async with db.transaction(house.pool) as holder:
        await db.row(holder, "lock_tenant", tenant_id=tenant_id)
        with pytest.raises(StoreFailure) as failure:
            await _wait_briefly(house, tenant_id)

    assert failure.value.code == "store.conflict"


async def _wait_briefly(house: House, tenant_id: int) -> None:
    async with db.transaction(house.pool) as waiter:
        await waiter.execute("SET LOCAL lock_timeout = '50ms'")
        await db.row(waiter, "lock_tenant", tenant_id=tenant_id)


async def test_a_broken_rule_of_the_schema_is_a_bug(house: House) -> None:
    """It passes as it is, so that somebody sees it."""
    with pytest.raises(asyncpg.NotNullViolationError):
        async with db.transaction(house.pool) as connection:
            await connection.execute("INSERT INTO rollcall.turn (fair_key) VALUES ('x')")


async def test_a_query_that_finds_nothing_where_it_must_is_a_bug(house: House) -> None:
    """Not a silent None that breaks something later."""
    async with db.transaction(house.pool) as connection:
        with pytest.raises(LookupError, match="lock_tenant"):
            await db.only(connection, "lock_tenant", tenant_id=0)
