"""After our own database was restored from an older backup: every tenant's order begins again, and its list is told whole.

What was answered since the backup is known to others and lost here. So a new epoch, which no lost time can have used, and
nobody is called unknown until each directory has been read again: first of all, for all tenants in one commit. Then
one transaction a tenant, under its row's lock; cut short, it is run again from the start under a newer epoch, which
receivers take as they take the first. Decides nothing about addresses and takes none away.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.decisions import Decision
from worker.adapters.postgres.recipient_book import ToldList, publish_list
from worker.domain.model import TenantId
from worker.ports import Clock


BITE_TENANTS = 200
"""Looked up at once; each is told in a transaction of its own."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was told anew."""

    restored_at: datetime
    epoch: int
    tenants: int
    recipients: int
    domains_by_hand: int
    """These are authoritative again when ``tenant.save`` names them again: only people can say who is missing there."""


async def begin_again(pool: db.Pool, clock: Clock, *, tell: Callable[[int], None]) -> Restored:
    """Begin every living tenant's order again; ``tell`` hears how many are done. Raises StoreFailure."""
    now = await clock.now()
    epoch, by_hand = await _distrust(pool, now)
    tenants = recipients = 0
    async for tenant_id in _tenants(pool, epoch):
        told = await _tell(pool, tenant_id, epoch=epoch, now=now)
        if told is not None:
            tenants += 1
            recipients += told.recipients
            tell(tenants)
    return Restored(now, epoch, tenants, recipients, by_hand)


async def _distrust(pool: db.Pool, now: datetime) -> tuple[int, int]:
    """Let nothing that was read before make a domain authoritative, and let go of what the backup says is held."""
    async with db.transaction(pool) as connection:
        begun = await db.only(connection, "begin_restore", now=now)
        by_hand = await db.only(connection, "count_by_hand")
    for leases in ("end_all_leases", "end_all_services"):
        async with db.transaction(pool) as connection:
            await db.run(connection, leases)
    return begun["epoch"], by_hand["domains"]


async def _tenants(pool: db.Pool, epoch: int) -> AsyncIterator[int]:
    after = 0
    while True:
        async with db.transaction(pool) as connection:
            bite = await db.rows(
                connection, "tenants_of_old", epoch=epoch, after=after, most=BITE_TENANTS
            )
        for record in bite:
            after = record["tenant_id"]
            yield after
        if len(bite) < BITE_TENANTS:
            return


async def _tell(pool: db.Pool, tenant_id: int, *, epoch: int, now: datetime) -> ToldList | None:
    async with db.transaction(pool) as connection:
        begun = await db.row(connection, "begin_epoch", tenant_id=tenant_id, epoch=epoch)
        if begun is None:
            return None
        await db.run(connection, "forget_digests", tenant_id=tenant_id, directory_id=None)
        tenant = TenantId(begun["tenant"])
        return await publish_list(Decision(connection, tenant_id, tenant, now, command=None))
