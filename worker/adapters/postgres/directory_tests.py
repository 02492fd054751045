"""Tests of directories: asked for by a command, claimed under a lease, answered once, forgotten with their secrets."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import Answer, announce
from worker.adapters.postgres.hand import Hand, Slip, envelope_of
from worker.adapters.postgres.runs import Claiming, lacking, opened
from worker.codec.stored import load_or_blank
from worker.domain import events
from worker.domain.failures import Finding, LeaseLost
from worker.domain.findings import INTERNAL
from worker.domain.model import ClaimedTest, DirectoryId, TenantId
from worker.domain.rulings import DELETED_MEANWHILE
from worker.ports.desk import Rejected
from worker.ports.vault import Clock, Vault


WAITS_AT_MOST = timedelta(minutes=5)
"""Who asked has gone by then: the directory is not bothered, and no password is sent, for nobody."""

ATTEMPTS_MAX = 3
"""How many workers may die over one test before it is answered without one."""


@dataclass(frozen=True, slots=True)
class PostgresTests:
    """The DirectoryTests port over Postgres."""

    pool: db.Pool
    clock: Clock
    vault: Vault = field(repr=False)
    claiming: Claiming
    per_tenant: int = 2

    async def claim(self, most: int) -> list[ClaimedTest]:
        """Claim up to ``most`` tests; those that are not to be carried out any more come with a fault."""
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            claimed = await db.rows(
                connection,
                "claim_tests",
                most=most,
                per_tenant=self.per_tenant,
                length=self.claiming.lease,
            )
        return [self._claimed(record, now) for record in claimed]

    def _claimed(self, record: asyncpg.Record, now: datetime) -> ClaimedTest:
        settings, illegible = load_or_blank(record["settings"].encode())
        credentials, unreadable = opened(self.vault, record)
        waited = now - record["asked_at"]
        fault = _past_its_time(waited, record["attempts"]) or illegible or unreadable
        if record["is_saved"]:
            fault = fault or lacking(settings, credentials)
        directory = record["directory"]
        return ClaimedTest(
            number=record["number"],
            token=record["token"],
            tenant=TenantId(record["tenant"]),
            directory=None if directory is None else DirectoryId(directory),
            causes=(record["command_id"],),
            settings=settings,
            credentials=credentials,
            is_saved=record["is_saved"],
            domains=tuple(record["domains"]),
            asked_at=record["asked_at"],
            queue_s=max(0.0, waited.total_seconds()),
            traceparent=record["traceparent"],
            fault=fault,
        )

    async def keep(self, test: ClaimedTest) -> None:
        """Renew the lease. Raises LeaseLost."""
        async with db.transaction(self.pool) as connection:
            await db.run(connection, "lazily")
            kept = await db.row(
                connection,
                "renew_test",
                number=test.number,
                token=test.token,
                length=self.claiming.lease,
            )
        if kept is None:
            raise _lost(test)

    async def end(self, test: ClaimedTest, found: Finding) -> None:
        """Answer and forget it in one transaction. Raises LeaseLost."""
        now = await self.clock.now()
        event = events.directory_tested(
            test.tenant,
            test.directory,
            causes=test.causes,
            notify=test.settings.notify,
            finding=found,
        )
        async with db.transaction(self.pool) as connection:
            asked = await db.row(connection, "end_test", number=test.number, token=test.token)
            if asked is None:
                raise _lost(test)
            answer = Answer(test.number, asked["reply_to"], asked["correlation_id"])
            await announce(
                connection, event, now=now, answers=(answer,), traceparent=test.traceparent
            )

    async def give_back(self, test: ClaimedTest) -> None:
        """Let another worker carry it out at once."""
        async with db.transaction(self.pool) as connection:
            await db.run(connection, "release_test", number=test.number, token=test.token)


def _past_its_time(waited: timedelta, attempts: int) -> str | None:
    if waited > WAITS_AT_MOST:
        return "settings.not_tested"
    return INTERNAL if attempts > ATTEMPTS_MAX else None


def _lost(test: ClaimedTest) -> LeaseLost:
    return LeaseLost(code="store.lease_lost", detail=f"test {test.number}, token {test.token}")


async def stop_tests(hand: Hand, directory_id: int | None = None) -> None:
    """Answer the open tests of a deleted directory, or of the whole deleted tenant; their secrets go."""
    stopped = await db.rows(
        hand.connection, "stop_tests", tenant_id=hand.tenant_id, directory_id=directory_id
    )
    for record in stopped:
        slip = Slip(hand.connection, record["number"], envelope_of(record), hand.now)
        await slip.reject(Rejected((DELETED_MEANWHILE,)))
