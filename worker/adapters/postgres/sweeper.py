"""What keeps the store healthy: partitions ahead, decided departures by the clock, old rows gone in bounded bites."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.decisions import Decision, lapse
from worker.adapters.postgres.runs import PostgresRuns
from worker.adapters.postgres.translate import translated
from worker.adapters.postgres.warnings import warn
from worker.domain.model import TenantId
from worker.ports.runs import Backlog
from worker.ports.vault import Clock


KEPT = timedelta(days=30)
"""Idempotency keys, removed addresses, rows of deleted tenants."""

HELD_FOR = timedelta(minutes=3)
"""How long one worker keeps house before another may take over."""

BITE = 5_000
"""Rows one statement may delete, so that no lock is held long."""

TENANTS_AT_MOST = 50

HISTORY_MONTHS = 13
"""How long what happened is kept: a year, and the month that it is compared with."""

PAST = ("purge_old_login_history", "purge_old_runs", "purge_old_holds")
"""Goes with the history that is as old."""

PURGES = (
    "purge_holdings",
    "purge_ignored",
    "purge_logins",
    "purge_login_conflicts",
    "purge_login_history",
    "purge_history",
    "purge_holds",
    "purge_runs",
    "purge_tenant_sign_ins",
    "purge_revisions",
    "purge_directories",
    "purge_domains",
)
"""What is left of a deleted tenant goes in this order: nothing goes before what refers to it."""


@dataclass(frozen=True, slots=True)
class PostgresSweeper:
    """The Sweeper port over Postgres."""

    pool: db.Pool
    clock: Clock
    runs: PostgresRuns
    bite: int = BITE
    history_months: int = HISTORY_MONTHS

    async def sweep(self) -> int:
        """Queue again what dead workers left."""
        return await self.runs.sweep()

    async def backlog(self) -> Backlog:
        """Count what waits."""
        with translated():
            async with self.pool.acquire(timeout=db.ACQUIRE_S) as connection:
                found = await db.only(connection, "backlog")
        return Backlog(
            outbox_rows=found["outbox_rows"],
            outbox_age_s=found["outbox_age_s"],
            manual_ready=found["manual_ready"],
            scheduled_ready=found["scheduled_ready"],
            run_age_s=found["run_age_s"],
            tests_ready=found["tests_ready"],
            test_age_s=found["test_age_s"],
        )

    async def housekeep(self) -> None:
        """Take one bounded bite of everything that time alone brings about; one worker at a time does."""
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            held = await db.row(
                connection,
                "hold_service",
                service="housekeeper",
                owner=self.runs.claiming.owner,
                length=HELD_FOR,
            )
        if held is None:
            return
        async with db.transaction(self.pool) as connection:
            await db.only(connection, "partitions_ahead", now=now)
        async with db.transaction(self.pool) as connection:
            lapsed = await db.rows(connection, "tenants_with_lapsed", now=now, most=TENANTS_AT_MOST)
        for record in lapsed:
            await self._lapse(record["tenant_id"])
        await warn(self.pool, now, page=self.bite)
        await self._forget(now)
        for query in ("purge_commands", "purge_removed", "purge_parked"):
            async with db.transaction(self.pool) as connection:
                await db.run(connection, query, before=now - KEPT, most=self.bite)
        async with db.transaction(self.pool) as connection:
            await db.run(connection, "purge_sets", now=now, most=self.bite)
            await db.run(connection, "purge_sign_ins", before=now - KEPT, most=self.bite)
            deleted = await db.rows(
                connection, "tenants_to_purge", before=now - KEPT, most=TENANTS_AT_MOST
            )
        for record in deleted:
            await self._purge(record["tenant_id"], now)

    async def _forget(self, now: datetime) -> None:
        """Let what happened go when its time is over: history by the month, the rest in bites."""
        async with db.transaction(self.pool) as connection:
            await db.only(connection, "drop_old_history", now=now, months=self.history_months)
        for query in PAST:
            async with db.transaction(self.pool) as connection:
                await db.run(connection, query, now=now, months=self.history_months, most=self.bite)

    async def _purge(self, tenant_id: int, now: datetime) -> None:
        """Take one bite of the first table that still holds something of a deleted tenant."""
        async with db.transaction(self.pool) as connection:
            for query in PURGES:
                if await db.run(connection, query, tenant_id=tenant_id, most=self.bite):
                    return
            await db.run(connection, "tenant_purged", tenant_id=tenant_id, now=now)

    async def _lapse(self, tenant_id: int) -> None:
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            await db.run(connection, "make_touched")
            tenant = await db.only(connection, "lock_tenant", tenant_id=tenant_id)
            decision = Decision(connection, tenant_id, TenantId(tenant["tenant"]), now, None)
            await lapse(decision, most=self.bite)
