"""What others may read of the database: the views and functions of schema ``api``."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg


WITHIN_S = 10


class Store:
    """Asks as the mail filter does; a connection a question, so that a restart in between does no harm."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def rows(self, query: str, *values: object) -> list[asyncpg.Record]:
        """Run one query."""
        connection = await asyncpg.connect(self.url, timeout=WITHIN_S, command_timeout=WITHIN_S)
        try:
            found: list[asyncpg.Record] = await connection.fetch(query, *values)
        finally:
            await connection.close(timeout=WITHIN_S)
        return found

    async def recipients(self, tenant: str) -> dict[str, str]:
        """Return a tenant's addresses with their states."""
        query = "SELECT address, state FROM api.recipient WHERE tenant = $1"
        return {row["address"]: row["state"] for row in await self.rows(query, tenant)}

    async def history(self, tenant: str) -> Counter[tuple[str, str]]:
        """Return how often each change of an address was recorded."""
        query = "SELECT address, change FROM api.history WHERE tenant = $1"
        return Counter((row["address"], row["change"]) for row in await self.rows(query, tenant))

    async def runs(self, tenant: str) -> list[dict[str, Any]]:
        """Return a tenant's runs, the oldest first."""
        query = "SELECT * FROM api.run WHERE tenant = $1 ORDER BY queued_at"
        return [dict(row) for row in await self.rows(query, tenant)]

    async def lookup(self, address: str) -> str:
        """Return what SMTP is told of an address."""
        (row,) = await self.rows("SELECT state FROM api.lookup($1)", address)
        state: str = row["state"]
        return state

    # --- for impatient tests ---

    async def let_its_time_come(self, tenant: str) -> None:
        """Let a tenant's directories be due by themselves now, not in hours."""
        query = """UPDATE rollcall.directory i SET next_sync_at = now() FROM rollcall.tenant t
            WHERE t.tenant_id = i.tenant_id AND t.tenant = $1 AND i.next_sync_at IS NOT NULL RETURNING 1"""
        assert await self.rows(query, tenant)

    async def wait_for_no_trigger(self) -> None:
        """Wait until the broker has all triggers that were decided, under a deadline."""
        async with asyncio.timeout(WITHIN_S):
            while await self.rows("""SELECT FROM rollcall.trigger UNION ALL
                SELECT FROM rollcall.directory WHERE next_sync_at <= now()"""):
                pass

    # --- for rough tests -----------------------------------------------------

    @asynccontextmanager
    async def locked(self, tenant: str) -> AsyncIterator[None]:
        """Hold a tenant's lock, so that no run of it can end meanwhile."""
        connection = await asyncpg.connect(self.url, timeout=WITHIN_S, command_timeout=WITHIN_S)
        try:
            async with connection.transaction():
                query = "SELECT FROM rollcall.tenant WHERE tenant = $1 FOR UPDATE"
                await connection.execute(query, tenant)
                yield
        finally:
            await connection.close(timeout=WITHIN_S)

    async def cut_whoever_waits(self) -> int:
        """Wait until somebody waits for a lock in this database, end their connection; gives how many."""
        query = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'"""
        async with asyncio.timeout(WITHIN_S):
            while not (cut := await self.rows(query)):
                pass
        return len(cut)
