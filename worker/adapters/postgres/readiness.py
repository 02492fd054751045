"""How far a tenant's lists can be trusted: counted along with the recipients, read when a run ends."""

from collections.abc import Mapping
from datetime import datetime

import orjson

from worker.adapters.postgres import pool as db
from worker.domain.advice import UNSTABLE_COUNT, UNSTABLE_SHARE, Readiness


async def count_recipients(
    on: db.Connection, tenant_id: int, now: datetime, *, kinds_follow: bool = False
) -> None:
    """Keep the recipients of each domain by what was touched; much at once, and its list is stable from now on only.

    ``kinds_follow``: what was touched tells also how many there are of each kind, so that nobody need count them all.
    """
    await db.run(
        on,
        "count_recipients",
        tenant_id=tenant_id,
        now=now,
        unstable_count=UNSTABLE_COUNT,
        unstable_share=UNSTABLE_SHARE,
        kinds_follow=kinds_follow,
    )


async def recount_kinds(on: db.Connection, tenant_id: int) -> None:
    """Have those of each kind counted when somebody wants to know."""
    await db.run(on, "recount_kinds", tenant_id=tenant_id)


async def readiness(
    on: db.Connection, tenant_id: int, *, may_be_automatic: bool
) -> tuple[Readiness, ...]:
    """Return how far the domains with catch-all are; without any, nothing is counted."""
    found = await db.rows(on, "readiness", tenant_id=tenant_id)
    if any(each["kinds"] is None for each in found):
        await db.run(on, "count_kinds", tenant_id=tenant_id)
        found = await db.rows(on, "readiness", tenant_id=tenant_id)
    return tuple(
        Readiness(
            domain=each["domain"],
            complete_runs=each["complete_runs"],
            stable_since=each["stable_since"],
            addresses=each["addresses"],
            kinds=_kinds(each["kinds"]),
            automatic=each["automatic"] and may_be_automatic,
        )
        for each in found
    )


def _kinds(told: str | None) -> Mapping[str, int]:
    kinds: Mapping[str, int] = orjson.loads(told or "{}")
    return kinds
