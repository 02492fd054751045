"""Departures by decision: a domain taken off, a directory deleted. Grace at once, then the clock alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import take_places
from worker.adapters.postgres.final import CHANGES_PER_PART
from worker.domain.model import DirectoryId, TenantId


@dataclass(frozen=True, slots=True)
class Decision:
    """Whose decision changes the list, within which transaction; the tenant's row is locked."""

    connection: db.Connection
    tenant_id: int
    tenant: TenantId
    now: datetime
    command: int | None
    """The number of the person's command; None when it is the clock."""
    causes: Sequence[str] = ()
    directory: DirectoryId | None = None
    traceparent: str | None = None


async def depart(
    decision: Decision, *, domain: str | None, directory_id: int | None, grace: timedelta
) -> None:
    """Let all that one domain or one directory holds depart: into grace where nothing else holds it."""
    on, about = decision.connection, {"domain": domain, "directory_id": directory_id}
    await db.run(on, "plan_for_many")
    await db.run(on, "clear_touched")
    when = {"tenant_id": decision.tenant_id, "now": decision.now, "grace": grace}
    await db.run(on, "touch_decided", **when, **about)
    await db.run(on, "decide_departures", **when, **about)
    await db.run(on, "name_decided", tenant_id=decision.tenant_id)
    await _tell(decision, directory_id)


async def lapse(decision: Decision, *, most: int) -> None:
    """Remove decided departures whose grace the clock has ended, a bounded bite of them."""
    on = decision.connection
    await db.run(on, "plan_for_many")
    await db.run(on, "clear_touched")
    await db.run(on, "touch_lapsed", tenant_id=decision.tenant_id, now=decision.now, most=most)
    await db.run(on, "lapse_departures", tenant_id=decision.tenant_id, now=decision.now)
    await db.run(on, "name_lapsed", tenant_id=decision.tenant_id)
    await _tell(decision, None)


async def _tell(decision: Decision, directory_id: int | None) -> None:
    on = decision.connection
    counted = await db.only(on, "count_changes")
    parts = -(-counted["changes"] // CHANGES_PER_PART)
    if not parts:
        return
    await db.run(
        on,
        "write_decision_history",
        now=decision.now,
        tenant_id=decision.tenant_id,
        directory_id=directory_id,
        command=decision.command,
    )
    await db.run(on, "count_recipients", tenant_id=decision.tenant_id)
    place = await take_places(on, tenant_id=decision.tenant_id, count=parts)
    await db.run(
        on,
        "write_changed_events",
        tenant=decision.tenant,
        directory=decision.directory,
        run_id=None,
        causes=orjson.dumps(list(decision.causes)).decode(),
        now=decision.now,
        traceparent=decision.traceparent,
        epoch=place.epoch,
        first=place.sequence,
        parts=parts,
        per_part=CHANGES_PER_PART,
    )
