"""Times and triggers in the store: worked out anew whenever something happens, claimed by one scheduler when they come.

Isolation: READ COMMITTED. A scheduler locks the directories it has in hand and waits for nobody (SKIP LOCKED), so the
time it moves and the trigger it writes commit together and no other scheduler sees that time. All others
(commands, endings of runs) hold the tenant's row, then wait for the directory's: they have the last word.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from worker.adapters.postgres import pool as db
from worker.adapters.postgres.announce import announce, take_places
from worker.codec.outbound import render_request
from worker.domain import events
from worker.domain.model import DirectoryId, Schedule, TenantId, Tier
from worker.domain.plans import PAUSED as PAUSED_BY_PLAN, Right, effective, having
from worker.domain.schedule import (
    Appointment,
    Standing,
    Turn,
    arranged,
    is_stopped_by_plan,
    turn,
)
from worker.ports.broker import Message
from worker.ports.schedule import Bite
from worker.ports.vault import Clock


TAKEN_FOR = timedelta(seconds=15)
"""Longer than one batch may take to publish; what a killed worker had taken waits so long."""

PAUSED_BY_REFUSALS = "sign-ins were refused"

ROUTING_KEY = "sync.request.scheduled"


@dataclass(frozen=True, slots=True)
class Concerned:
    """The directories that something happened to, within a transaction that holds their tenant's row."""

    connection: db.Connection
    tenant_id: int
    directory_id: int | None
    """None: all of the tenant's."""
    now: datetime


def as_it_is(standing: Standing) -> Standing:
    """Nothing happened to the directory's runs."""
    return standing


async def rearrange(on: Concerned, happened: Callable[[Standing], Standing] = as_it_is) -> None:
    """Work out anew when these directories are due; ``happened`` says what a run or a person did to their standing."""
    found = await db.rows(
        on.connection,
        "standing_directories",
        tenant_id=on.tenant_id,
        directory_id=on.directory_id,
    )
    before = [(record["directory_id"], _standing(record)) for record in found]
    after = [(number, happened(standing)) for number, standing in before]
    told = [(number, each, arranged(each, on.now)) for number, each in after]
    await _write(
        on.connection,
        [
            (number, appointment, each.failed_in_a_row)
            for (number, each, appointment), (_, known) in zip(told, before, strict=True)
            if (appointment, each.failed_in_a_row) != (known.appointment, known.failed_in_a_row)
        ],
    )


async def pause_refused(
    on: Concerned, tenant: TenantId, directory: DirectoryId, causes: Sequence[str]
) -> None:
    """Stop the schedule of a directory whose password nothing automatic sends again, and tell so."""
    told = events.directory_paused(tenant, directory, causes=causes, reason=PAUSED_BY_REFUSALS)
    await _turn_over(on, "pause_refused", told)


async def resume_refused(
    on: Concerned, tenant: TenantId, directory: DirectoryId, causes: Sequence[str]
) -> None:
    """Let the schedule go on that refused sign-ins stopped, if they did; and tell so."""
    await _turn_over(
        on, "resume_refused", events.directory_resumed(tenant, directory, causes=causes)
    )


async def _turn_over(on: Concerned, query: str, told: events.Event) -> None:
    which = {"directory_id": on.directory_id, "reason": PAUSED_BY_REFUSALS}
    turned = await db.row(on.connection, query, **which)
    if turned is None or turned["is_told"]:  # the plan stops it, whatever else does
        return
    place = await take_places(on.connection, tenant_id=on.tenant_id, count=1)
    await announce(on.connection, told, now=on.now, place=place)
    await rearrange(on)


async def settle_plan(on: Concerned, tenant: TenantId, *, causes: Sequence[str]) -> None:
    """Pause what the plan does not let go on by itself, or let that go on again; tell of each that this changes.

    After all that the transaction writes of these directories, so that events are in the order of their numbers.
    """
    found = await db.rows(
        on.connection, "standing_directories", tenant_id=on.tenant_id, directory_id=on.directory_id
    )
    for record in found:
        reason = PAUSED_BY_PLAN if is_stopped_by_plan(_standing(record)) else None
        if (reason is None) != (record["plan_pause"] is None):
            await _plan_pause(on, tenant, record, reason, causes)


async def _plan_pause(
    on: Concerned,
    tenant: TenantId,
    record: asyncpg.Record,
    reason: str | None,
    causes: Sequence[str],
) -> None:
    which = {"directory_id": record["directory_id"], "reason": reason}
    await db.run(on.connection, "write_plan_pause", **which)
    if record["is_paused"]:
        return  # by a person or by refusals, and it stays so whatever the plan is
    directory = DirectoryId(record["directory"])
    told = (
        events.directory_resumed(tenant, directory, causes=causes)
        if reason is None
        else events.directory_paused(tenant, directory, causes=causes, reason=reason)
    )
    place = await take_places(on.connection, tenant_id=on.tenant_id, count=1)
    await announce(on.connection, told, now=on.now, place=place)


@dataclass(frozen=True, slots=True)
class PostgresSchedule:
    """The Schedule port over Postgres."""

    pool: db.Pool
    clock: Clock
    taken_for: timedelta = TAKEN_FOR

    async def decide(self, most: int) -> Bite:
        """Decide about those whose time has come; next times and triggers are one commit."""
        now = await self.clock.now()
        async with db.transaction(self.pool) as connection:
            found = await db.rows(connection, "due_directories", now=now, most=most)
            if not found:
                return Bite(0, 0, 0, 0.0)
            turns = [(record, turn(_standing(record), now)) for record in found]
            await _write(
                connection,
                [
                    (record["directory_id"], each.appointment, record["failed_in_a_row"])
                    for record, each in turns
                ],
            )
            triggered = [record for record, each in turns if each.is_triggered]
            if triggered:
                await db.run(
                    connection,
                    "write_triggers",
                    directory_ids=[record["directory_id"] for record in triggered],
                    dues=[record["next_sync_at"] for record in triggered],
                    now=now,
                )
        return _bite(turns, now)

    async def take(self, most: int) -> list[Message]:
        """Take triggers to publish; another worker has them once ``taken_for`` is over."""
        async with db.transaction(self.pool) as connection:
            taken = await db.rows(connection, "take_triggers", most=most, length=self.taken_for)
        return [_message(record) for record in taken]

    async def confirmed(self, messages: Sequence[Message]) -> None:
        """Forget what the broker has confirmed."""
        async with db.transaction(self.pool) as connection:
            await db.run(
                connection, "forget_triggers", trigger_ids=[message.id for message in messages]
            )

    async def recheck(self, most: int) -> int:
        """Look at tenants again whose reseller's plan has changed, each in a transaction of its own."""
        for checked in range(most):
            now = await self.clock.now()
            async with db.transaction(self.pool) as connection:
                taken = await db.row(connection, "take_plan_check")
                if taken is None:
                    return checked
                tenant = await db.only(connection, "lock_tenant", tenant_id=taken["tenant_id"])
                if not tenant["is_deleted"]:
                    concerned = Concerned(connection, taken["tenant_id"], None, now)
                    await rearrange(concerned)
                    await settle_plan(concerned, TenantId(tenant["tenant"]), causes=())
        return most

    async def arrange(self, most: int) -> int:
        """Give a time to those that should have one and have none; have the others looked at that an older release stopped."""
        now, tiers = await self.clock.now(), having(Right.AUTOMATIC_SYNC)
        async with db.transaction(self.pool) as connection:
            await db.run(connection, "ask_unsaid_pauses", tiers=tiers, now=now)
            found = await db.rows(connection, "unarranged_directories", tiers=tiers, most=most)
            await _write(
                connection,
                [
                    (
                        record["directory_id"],
                        arranged(_standing(record), now),
                        record["failed_in_a_row"],
                    )
                    for record in found
                ],
            )
        return len(found)


async def _write(
    connection: db.Connection, told: Sequence[tuple[int, Appointment | None, int]]
) -> None:
    if not told:
        return
    times = [each for _, each, _ in told]
    await db.run(
        connection,
        "write_appointments",
        directory_ids=[number for number, _, _ in told],
        nexts=[each.next_sync_at if each else None for each in times],
        froms=[each.since if each else None for each in times],
        hours=[each.every_hours if each else None for each in times],
        failures=[failures for _, _, failures in told],
    )


def _standing(record: asyncpg.Record) -> Standing:
    is_arranged = record["next_sync_at"] is not None and record["scheduled_from"] is not None
    return Standing(
        tenant=TenantId(record["tenant"]),
        directory=DirectoryId(record["directory"]),
        tier=tier_of(record),
        schedule=None
        if record["every_hours"] is None
        else Schedule(record["automatic"], record["every_hours"]),
        is_paused=record["is_paused"],
        failed_in_a_row=record["failed_in_a_row"],
        appointment=Appointment(
            record["next_sync_at"], record["scheduled_from"], record["scheduled_hours"]
        )
        if is_arranged
        else None,
    )


def tier_of(record: asyncpg.Record) -> Tier:
    """Return the plan that counts, of a row with the tenant's own and its reseller's."""
    above = record["reseller_tier"]
    return effective(Tier(record["tier"]), None if above is None else Tier(above))


def _bite(turns: Iterable[tuple[asyncpg.Record, Turn]], now: datetime) -> Bite:
    listed = list(turns)
    late = [
        (now - record["next_sync_at"]).total_seconds()
        for record, each in listed
        if each.is_triggered
    ]
    postponed = sum(each.appointment is not None and not each.is_triggered for _, each in listed)
    return Bite(len(listed), len(late), postponed, max(late, default=0.0))


def _message(record: asyncpg.Record) -> Message:
    """The command as an outside scheduler would send it; the same each time it is taken."""
    trigger_id, tenant = str(record["trigger_id"]), TenantId(record["tenant"])
    return Message(
        number=record["directory_id"],
        id=trigger_id,
        type="rollcall.sync.request.v1",
        tenant=tenant,
        routing_key=ROUTING_KEY,
        body=render_request(
            tenant, DirectoryId(record["directory"]), id=trigger_id, time=record["decided_at"]
        ),
    )
