"""What changes a list without a run: departures by decision and by the clock, and how all such changes are told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import Answer, announce, take_places
from worker.adapters.postgres.readiness import count_recipients
from worker.domain import events
from worker.domain.model import DirectoryId, TenantId


CHANGES_PER_PART = 600
"""With addresses of at most 254 octets (RFC 5321) a part stays under 256 KiB, whatever they are."""

BY_HAND = 0
"""The number that stands for "by hand" where directories are numbered."""


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


@dataclass(frozen=True, slots=True)
class Departing:
    """Whose addresses depart by decision: those of a domain, of a source, or these by name; None: any."""

    domain: str | None = None
    directory_id: int | None = None
    addresses: Sequence[str] | None = None


async def depart(
    decision: Decision, departing: Departing, *, grace: timedelta, answer: Answer | None = None
) -> None:
    """Let addresses depart: into grace where nothing else holds them."""
    on = decision.connection
    about = {
        "domain": departing.domain,
        "directory_id": departing.directory_id,
        "addresses": departing.addresses,
    }
    await db.run(on, "plan_for_many")
    await db.run(on, "clear_touched")
    when = {"tenant_id": decision.tenant_id, "now": decision.now, "grace": grace}
    await db.run(on, "touch_decided", **when, **about)
    await db.run(on, "decide_departures", **when, **about)
    await db.run(on, "name_decided", tenant_id=decision.tenant_id)
    await tell_changes(decision, departing.directory_id or None, answer=answer)


async def put_back(decision: Decision, domain: str) -> None:
    """Let people hold again what they held in a domain when it was taken off."""
    on, by_hand = decision.connection, {"tenant_id": decision.tenant_id, "directory_id": BY_HAND}
    await db.run(on, "plan_for_many")
    await db.run(on, "clear_touched")
    if not await db.run(on, "touch_put_back", tenant_id=decision.tenant_id, domain=domain):
        return
    await db.run(on, "name_changes")
    await db.run(on, "renew_since", now=decision.now, **by_hand)
    await db.run(on, "end_departures", **by_hand)
    await tell_changes(decision, None)


async def lapse(decision: Decision, *, most: int) -> None:
    """Remove decided departures whose grace the clock has ended, a bounded bite of them."""
    on = decision.connection
    await db.run(on, "plan_for_many")
    await db.run(on, "clear_touched")
    await db.run(on, "touch_lapsed", tenant_id=decision.tenant_id, now=decision.now, most=most)
    await db.run(on, "lapse_departures", tenant_id=decision.tenant_id, now=decision.now)
    await db.run(on, "name_lapsed", tenant_id=decision.tenant_id)
    await tell_changes(decision, None)


async def tell_changes(
    decision: Decision, directory_id: int | None, *, answer: Answer | None = None
) -> None:
    """Record what ``touched`` says of the tenant's list, and tell it.

    To ``answer`` it is told also if nothing changes: an empty ``recipients.changed`` is an outcome, too.
    """
    on = decision.connection
    counted = await db.only(on, "count_changes")
    parts = -(-counted["changes"] // CHANGES_PER_PART)
    if not parts:
        if answer is not None:
            await _tell_nothing(decision, answer)
        return
    await db.run(
        on,
        "write_decision_history",
        now=decision.now,
        tenant_id=decision.tenant_id,
        directory_id=directory_id,
        command=decision.command,
    )
    await count_recipients(on, decision.tenant_id, decision.now)
    place = await take_places(on, tenant_id=decision.tenant_id, count=parts)
    written = await db.rows(
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
    if answer is not None:
        numbers = [record["number"] for record in written]
        await db.run(on, "keep_parts", number=answer.number, parts=numbers)
        await reply(on, answer, numbers)


async def reply(on: db.Connection, answer: Answer, parts: Sequence[int]) -> None:
    """Send parts that are in the outbox to the reply queues of a command and its repeats as well."""
    await db.run(on, "reply_with_parts_to_repeats", number=answer.number, parts=parts)
    await db.run(
        on,
        "reply_with_parts",
        reply_to=answer.reply_to,
        correlation_id=answer.correlation_id,
        parts=parts,
    )


async def _tell_nothing(decision: Decision, answer: Answer) -> None:
    on = decision.connection
    part = events.Part(1, 1, directory=decision.directory, causes=tuple(decision.causes))
    await announce(
        on,
        events.recipients_changed(decision.tenant, part, changes=()),
        now=decision.now,
        place=await take_places(on, tenant_id=decision.tenant_id, count=1),
        answers=(answer,),
        traceparent=decision.traceparent,
    )
